//! The AgentX session against a real snmpd that comes late, goes away, comes back, or listens on TCP.

use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::snmp::{Manager, Snmpd, TrapCollector};
use agentx_tests::wait;
use nix::sys::signal::Signal;

/// vrrpInstanceState.1
const STATE: &str = ".1.3.6.1.4.1.9586.100.5.2.3.1.4.1";
/// vrrpInstanceBasePriority.1
const PRIORITY: &str = ".1.3.6.1.4.1.9586.100.5.2.3.1.7.1";

fn start(link: &Link, agentx: &str) -> Daemon {
    let options = Options { agentx: Some(agentx), ..Options::default() };
    Daemon::start(&link.nodes[0], Program::Keepwatch, &Flavour::V3.configuration(1, "MASTER", 150), options)
}

#[track_caller]
fn says_master(manager: &Manager) {
    wait::until("SNMP to say that R1 is master", Duration::from_secs(15), || {
        (manager.number(STATE) == Some(2)).then_some(())
    });
}

#[test]
fn a_master_agent_on_tcp_is_served_as_one_on_a_unix_socket() {
    let link = Link::new();
    let agentx = "tcp:127.0.0.1:7050";
    let _snmpd = Snmpd::start_at(&link.nodes[0], None, agentx);
    let _daemon = start(&link, agentx);
    let manager = Manager::on(&link.nodes[0], "127.0.0.1");
    says_master(&manager);
    let (said, status) = manager.raw("snmpset", "private", &[PRIORITY, "i", "140"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(manager.number(PRIORITY), Some(140), "a GET after a SET reads what was set");
}

#[test]
fn an_snmpd_that_comes_late_gets_the_traps_it_missed_and_one_that_returns_is_served_again() {
    let link = Link::new();
    let node = &link.nodes[0];
    let traps = TrapCollector::start(node);
    let socket = format!("unix:{}", node.directory().join("agentx").display());
    let daemon = start(&link, &socket);
    daemon.wait_for_address("10.0.0.100", true, Duration::from_secs(10));

    let mut snmpd = Snmpd::start(node, Some("127.0.0.1:162"));
    let manager = Manager::on(node, "127.0.0.1");
    says_master(&manager);
    wait::until("the traps of the start", Duration::from_secs(10), || {
        traps.states_of("VI_1").starts_with(&[1, 2]).then_some(())
    });

    snmpd.process.signal(Signal::SIGKILL);
    snmpd.process.wait_for_exit(Duration::from_secs(10));
    let _again = Snmpd::start(node, Some("127.0.0.1:162"));
    says_master(&manager);
    assert_eq!(traps.states_of("VI_1"), [1, 2], "nothing is told twice");
}
