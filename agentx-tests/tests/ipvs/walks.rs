//! Walks of the recorded IPVS scenarios, with keepwatchd in Keepalived's place.

use std::net::SocketAddr;
use std::time::Duration;

use agentx_tests::daemon::{Options, Program};
use agentx_tests::ipvsadm;
use agentx_tests::net::{Lab, Nic};
use agentx_tests::pool::{CONFIGURATION, Pool, V4, V6};
use agentx_tests::recording::{self, FWMARK_QUORUM, MODULES, Recording, SEED_IPVS};
use agentx_tests::snmp::{Manager, Snmpd};
use agentx_tests::vm::scenario;
use agentx_tests::wait;
use agentx_tests::web::{Web, fetch};

const FWMARK: &str = include_str!("../../oracle/06-fwmark-quorum/keepalived.conf");

#[test]
fn the_walk_of_the_seed_s_load_balancer_is_as_recorded() {
    scenario(|| {
        let pool = Pool::new();
        let snmpd = Snmpd::start(&pool.director, None);
        let agentx = snmpd.agentx();
        let daemon =
            pool.direct(Program::Keepwatch, CONFIGURATION, Options { agentx: Some(&agentx), ..Options::default() });
        daemon.wait_for_address("1.1.1.15", true, Duration::from_secs(60));
        for (to, service) in [V4, V6] {
            pool.wait_for_reals(&daemon, service, &[0, 1, 2, 3], Duration::from_secs(60));
            // As many as were recorded: connections are no volatile value.
            for answer in pool.answers(to, 6) {
                answer.unwrap_or_else(|why| panic!("{to}: {why}"));
            }
        }
        assert_as_recorded(&SEED_IPVS, &Manager::on(&pool.director, "127.0.0.1"), &daemon.log());
    });
}

#[test]
fn the_walk_of_marks_groups_quorums_and_sorry_servers_is_as_recorded() {
    scenario(|| {
        let lab = Lab::new();
        let [outside, inside, link] = [lab.switch(), lab.switch(), lab.switch()];
        let (director, client, server) = (lab.node("LB"), lab.node("client"), lab.node("W"));
        director.sysctl("net/ipv4/ip_forward", "1");
        director.sysctl("net/ipv6/conf/all/forwarding", "1");
        let own = |number: u32| format!("10.70.0.{number}/24");
        let mut addresses: Vec<String> = [1, 10, 20, 21, 22, 30, 40].map(own).into();
        addresses.extend(["1", "10", "30"].map(|last| format!("2001:db8:70::{last}/64")));
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let nic = |index, name, addresses| Nic { name, index: Some(index), addresses, ..Nic::default() };
        lab.connect(&director, &outside, nic(10, "eth0", &addresses));
        lab.connect(&director, &inside, nic(11, "eth1", &["10.71.0.1/24", "2001:db8:71::1/64"]));
        lab.connect(&director, &link, nic(12, "eth2", &["10.72.0.1/24"]));
        lab.connect(&client, &outside, nic(10, "eth0", &["10.70.0.200/24"]));
        let servers = ["10.71.0.10/24", "10.71.0.11/24", "10.71.0.12/24", "10.71.0.98/24", "10.71.0.99/24"];
        let sixes = ["2001:db8:71::10/64", "2001:db8:71::99/64"];
        let all: Vec<&str> = servers.into_iter().chain(sixes).collect();
        lab.connect(&server, &inside, nic(10, "eth0", &all));
        server.ip(&["route", "add", "default", "via", "10.71.0.1"]);
        server.ip(&["-6", "route", "add", "default", "via", "2001:db8:71::1"]);
        let socket = |text: &str| text.parse::<SocketAddr>().unwrap();
        let webs = ["10.71.0.10:80", "10.71.0.11:80", "10.71.0.98:80", "[2001:db8:71::10]:80"];
        let _webs = webs.map(|address| Web::start(&server, socket(address), "ok"));

        let snmpd = Snmpd::start(&director, None);
        let agentx = snmpd.agentx();
        let options = Options { more: &["-A", &agentx], ..Options::default() };
        let daemon = agentx_tests::daemon::Daemon::start(&director, Program::Keepwatch, FWMARK, options);
        // alpha: servers of the second virtual server join after their first checks.
        let complete = wait::within(Duration::from_secs(60), || {
            let dns = ipvsadm::destinations(&director, "UDP 10.70.0.30:53")?;
            let web = ipvsadm::destinations(&director, "TCP 10.70.0.21:8080")?;
            (dns.len() == 3 && web.len() == 3).then_some(())
        });
        assert!(complete.is_some(), "{}\n{}", ipvsadm::ipvsadm(&director, "-Ln"), daemon.log());
        for _ in 0..3 {
            for to in ["10.70.0.10:80", "10.70.0.21:8080"] {
                fetch(&client, socket(to)).unwrap_or_else(|why| panic!("{to}: {why}; {}", daemon.log()));
            }
        }
        assert_as_recorded(&FWMARK_QUORUM, &Manager::on(&director, "127.0.0.1"), &daemon.log());
    });
}

/// Once the counters have caught up.
#[track_caller]
fn assert_as_recorded(recording: &Recording, manager: &Manager, log: &str) {
    let mut last = Vec::new();
    let reached = wait::within(Duration::from_secs(60), || {
        let walked: Vec<String> = MODULES.iter().flat_map(|root| manager.walk(root)).collect();
        last = recording::mismatches(recording, &walked);
        last.is_empty().then_some(())
    });
    assert!(reached.is_some(), "{}\nthe daemon said:\n{log}", recording::report(&last));
}
