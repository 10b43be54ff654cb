//! Two keepwatchds: a killed master is replaced when the RFC says, a returning one preempts, a stopped one resigns;
//! the addresses are exactly where the master is, and the neighbours and the trap receiver hear of it.

use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::{Flavour, Link, survive};
use agentx_tests::snmp::{Snmpd, TrapCollector};
use agentx_tests::wait;

const KEEPWATCH: [Program; 2] = [Program::Keepwatch; 2];

#[test]
fn a_v2_pair_at_one_second_survives() {
    survive(KEEPWATCH, Flavour::V2);
}

#[test]
fn a_v3_pair_at_a_tenth_of_a_second_survives() {
    survive(KEEPWATCH, Flavour::V3);
}

#[test]
fn an_ipv6_pair_survives() {
    survive(KEEPWATCH, Flavour::IPV6);
}

#[test]
fn a_unicast_pair_survives() {
    survive(KEEPWATCH, Flavour::UNICAST);
}

#[test]
fn an_ipv6_unicast_pair_survives() {
    survive(KEEPWATCH, Flavour::UNICAST_IPV6);
}

#[test]
fn every_change_of_state_arrives_as_a_trap() {
    let link = Link::new();
    let traps = TrapCollector::start(&link.nodes[1]);
    let snmpd = Snmpd::start(&link.nodes[1], Some("127.0.0.1:162"));
    let agentx = snmpd.agentx();
    let flavour = Flavour::V3;
    let mut first =
        Daemon::start(&link.nodes[0], Program::Keepwatch, &flavour.configuration(1, "MASTER", 150), Options::default());
    first.wait_until_master(&link, 0, flavour);
    let mut second = Daemon::start(
        &link.nodes[1],
        Program::Keepwatch,
        &flavour.configuration(2, "BACKUP", 100),
        Options { agentx: Some(&agentx), ..Options::default() },
    );
    let wait_for = |wanted: &[u32]| {
        let arrived = wait::within(Duration::from_secs(8), || (traps.states_of("VI_1") == wanted).then_some(()));
        assert!(
            arrived.is_some(),
            "states {wanted:?} expected, {:?} arrived: {:#?}",
            traps.states_of("VI_1"),
            traps.traps()
        );
    };
    second.wait_until_it_listens();
    wait_for(&[1]);
    first.kill();
    wait_for(&[1, 2]);
    let mut first =
        Daemon::start(&link.nodes[0], Program::Keepwatch, &flavour.configuration(1, "MASTER", 150), Options::default());
    wait_for(&[1, 2, 1]);
    assert_eq!(first.stop(), 0);
    wait_for(&[1, 2, 1, 2]);
    assert_eq!(second.stop(), 0);
    wait_for(&[1, 2, 1, 2, 5]);
}

trait Await {
    fn wait_until_master(&self, link: &Link, router: usize, flavour: Flavour);
}

impl Await for Daemon {
    fn wait_until_master(&self, link: &Link, router: usize, flavour: Flavour) {
        let there = wait::within(Duration::from_secs(10), || link.has_all(router, flavour).then_some(()));
        assert!(there.is_some(), "R{} did not become master; it said:\n{}", router + 1, self.log());
    }
}
