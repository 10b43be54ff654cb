//! The kernel's connection synchronisation follows a virtual router.

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::ipvsadm::ipvsadm;
use agentx_tests::net::Lab;
use agentx_tests::vm::scenario;
use agentx_tests::wait;

use crate::balancer::{PATIENCE, nic};

fn configuration(state: &str, priority: u8) -> String {
    format!(
        "global_defs {{\n lvs_sync_daemon eth0 VI_1 id 7\n}}\nvrrp_instance VI_1 {{\n state {state}\n interface eth0\n \
         virtual_router_id 51\n priority {priority}\n advert_int 1\n virtual_ipaddress {{\n 10.70.0.10/24\n }}\n}}\n\
         virtual_server 10.70.0.10 80 {{\n lvs_method NAT\n protocol TCP\n real_server 10.71.0.11 80 {{\n }}\n}}\n"
    )
}

#[test]
fn the_sync_daemon_of_a_master_sends_and_that_of_a_backup_listens() {
    scenario(|| {
        let lab = Lab::new();
        let link = lab.switch();
        let nodes = ["N1", "N2"].map(|name| lab.node(name));
        for (node, address) in nodes.iter().zip(["10.70.0.1/24", "10.70.0.2/24"]) {
            lab.connect(node, &link, nic("eth0", 10, &[address]));
        }
        let start = |at: usize, state, priority| {
            Daemon::start(&nodes[at], Program::Keepwatch, &configuration(state, priority), Options::default())
        };
        let mut one = start(0, "MASTER", 150);
        one.wait_for_address("10.70.0.10", true, PATIENCE);
        let two = start(1, "BACKUP", 100);
        let shows = |at: usize, wanted: &[&str], daemon: &Daemon| {
            let mut said = String::new();
            let reached = wait::within(PATIENCE, || {
                said = ipvsadm(&nodes[at], "-L --daemon");
                let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
                (lines == wanted).then_some(())
            });
            assert!(reached.is_some(), "not {wanted:?} but {said}; the daemon said:\n{}", daemon.log());
        };
        let master = "master sync daemon (mcast=eth0, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)";
        let backup = "backup sync daemon (mcast=eth0, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)";
        shows(0, &[master], &one);
        shows(1, &[backup], &two);
        assert_eq!(one.stop(), 0);
        shows(0, &[], &one);
        shows(1, &[master], &two);
        let one = start(0, "MASTER", 150);
        shows(0, &[master], &one);
        shows(1, &[backup], &two);
    });
}
