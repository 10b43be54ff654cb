//! Virtual servers on a kernel that has no IPVS: said once; VRRP, checks and SNMP go on. Where the kernel has it, the same
//! holds, and there is nothing to say.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Nic};
use agentx_tests::process::run;
use agentx_tests::snmp::{KEEPALIVED, Manager, Snmpd};
use agentx_tests::wait;
use agentx_tests::web::Web;

const CONFIGURATION: &str = "vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    virtual_ipaddress {
        10.70.0.10/24
    }
}
virtual_server 10.70.0.10 80 {
    delay_loop 1
    lvs_method NAT
    protocol TCP
    real_server 127.0.0.1 8011 {
        TCP_CHECK {
        }
    }
    real_server 127.0.0.1 8012 {
        TCP_CHECK {
            retry 0
        }
    }
}
";

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_kernel_without_ipvs_is_told_once_and_the_rest_of_the_daemon_works() {
    let lab = Lab::new();
    let (node, switch) = (lab.node("L1"), lab.switch());
    lab.connect(&node, &switch, Nic { name: "eth0", addresses: &["10.70.0.1/24"], ..Nic::default() });
    let there = run(node.command(&["ipvsadm", "-Ln"])).status.success();
    let web = |port| Web::start(&node, SocketAddr::from(([127, 0, 0, 1], port)), "W");
    let _first = web(8011);
    let snmpd = Snmpd::start(&node, None);
    let agentx = snmpd.agentx();
    let options = Options { agentx: Some(&agentx), ..Options::default() };
    let mut daemon = Daemon::start(&node, Program::Keepwatch, CONFIGURATION, options);
    daemon.wait_for_address("10.70.0.10", true, LIMIT);
    let manager = Manager::on(&node, "127.0.0.1");
    let states = |wanted: [i64; 2]| {
        let state = |row: u32| manager.number(&format!("{KEEPALIVED}.3.4.1.6.1.{row}"));
        let reached = wait::within(LIMIT, || ([state(1), state(2)] == wanted.map(Some)).then_some(()));
        assert!(reached.is_some(), "not {wanted:?}: {:#?}\n{}", manager.walk(&format!("{KEEPALIVED}.3")), daemon.log());
    };
    states([1, 2]);
    let second = web(8012);
    states([1, 1]);
    // It looks again every 5 s; each check that fails and passes means work for the kernel.
    drop(second);
    states([1, 2]);
    let second = web(8012);
    states([1, 1]);
    let checks = || second.connections_from(Ipv4Addr::LOCALHOST.into());
    let enough = checks() + 6;
    wait::until("six seconds of checks", LIMIT, || (checks() >= enough).then_some(()));
    let log = daemon.log();
    assert_eq!(log.matches("IPVS is not there").count(), usize::from(!there), "{log}");
    assert!(there || !log.contains("IPVS refused"), "{log}");

    let weight = format!("{KEEPALIVED}.3.4.1.7.1.1");
    let (said, code) = manager.raw("snmpset", "private", &[&weight, "i", "0"]);
    if there {
        assert_eq!((code, manager.number(&weight)), (0, Some(0)), "{said}");
    } else {
        assert!(said.contains("commitFailed"), "{code}: {said}");
        assert_eq!(manager.number(&weight), Some(1));
    }
    assert_eq!(manager.number(&format!("{KEEPALIVED}.2.3.1.4.1")), Some(2), "VI_1 is master");
    assert_eq!(daemon.stop(), 0);
    assert!(!node.has("10.70.0.10"));
}
