//! What processes ask of the system: containers do not give all of it, and not every kernel tells what was given.

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::process::run;
use agentx_tests::vm::scenario;
use agentx_tests::wait;

use crate::balancer::PATIENCE;

#[test]
fn sockets_have_the_receive_buffers_that_the_configuration_asks_for() {
    scenario(|| {
        // The kernel counts its own part in: it says twice as many.
        let policies = [
            ("vrrp_rx_bufs_policy 500000", "", 1_000_000),
            ("vrrp_rx_bufs_policy MTU\n vrrp_rx_bufs_multiplier 400", "", 2 * 400 * 1500),
            ("vrrp_rx_bufs_policy ADVERT\n vrrp_rx_bufs_multiplier 3000", "", 2 * 3000 * 116),
            (
                "vrrp_netlink_cmd_rcv_bufs 3000000\n vrrp_netlink_monitor_rcv_bufs 5000000",
                "kernel_rx_buf_size 700000",
                1_400_000,
            ),
        ];
        for (globals, instance, wanted) in policies {
            let link = Link::new();
            let text = Flavour::V3
                .configuration(1, "MASTER", 150)
                .replacen("global_defs {", &format!("global_defs {{\n {globals}"), 1)
                .replacen("interface eth0", &format!("interface eth0\n {instance}"), 1);
            let mut daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, &text, Options::default());
            daemon.wait_for_address("10.0.0.100", true, PATIENCE);
            let sockets = |kind: &[&str]| {
                let words = [&["ss", "-a", "-n", "-m"], kind].concat();
                String::from_utf8_lossy(&run(link.nodes[0].command(&words)).stdout).into_owned()
            };
            let raw = sockets(&["-w"]);
            assert!(raw.contains(&format!("rb{wanted},")), "{globals} {instance}: no rb{wanted} in\n{raw}");
            if globals.contains("netlink") {
                let netlink = sockets(&["-f", "netlink"]);
                for wanted in ["rb6000000,", "rb10000000,"] {
                    assert!(netlink.contains(wanted), "no {wanted} in\n{netlink}");
                }
            }
            assert_eq!(daemon.stop(), 0);
        }
    });
}

#[test]
fn the_memory_of_a_process_is_locked_where_no_swap_says_so() {
    scenario(|| {
        let link = Link::new();
        let server = "virtual_server 10.0.0.100 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n real_server 10.0.0.9 \
                      80 {\n TCP_CHECK {\n }\n }\n}\n";
        for (globals, wanted) in [("vrrp_no_swap", [true, false]), ("checker_no_swap", [false, true])] {
            let text = Flavour::V3.configuration(1, "MASTER", 150);
            let text = text.replacen("global_defs {", &format!("global_defs {{\n {globals}"), 1) + server;
            let mut daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, &text, Options::default());
            daemon.wait_for_address("10.0.0.100", true, PATIENCE);
            let locked = |role: &str| {
                let pid = daemon.wait_for_child(role, PATIENCE);
                let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap_or_default();
                !line.trim().starts_with("0 ")
            };
            let seen = || ["vrrp", "checks"].map(locked);
            let there = wait::within(PATIENCE, || (seen() == wanted).then_some(()));
            assert!(there.is_some(), "{globals}: {:?}; it said:\n{}", seen(), daemon.log());
            assert_eq!(daemon.stop(), 0);
        }
    });
}
