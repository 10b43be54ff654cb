//! Whatever the AgentX master does, and even while the bridge is killed: adverts every 0.1 s go on without a gap above
//! 110 ms, and the backup never takes over.
//!
//! Takes two minutes, once: all ways to misbehave run side by side. `KEEPWATCH_STOPPED_SECONDS` changes the time.

use std::time::Duration;

use agentx_tests::capture::longest_gap;
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::hostile::{Manners, Master};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::snmp::{Manager, Snmpd};
use agentx_tests::wait;
use nix::sys::signal::{Signal, kill};

const FLAVOUR: Flavour = Flavour::V3;

/// vrrpInstanceState.1
const STATE: &str = ".1.3.6.1.4.1.9586.100.5.2.3.1.4.1";

/// How long the master agent misbehaves.
fn window() -> Duration {
    let seconds = std::env::var("KEEPWATCH_STOPPED_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(120))
}

/// A pair at 0.1 s; R1 is master and talks to the AgentX master at `agentx`.
fn pair(agentx: &str, link: &Link) -> [Daemon; 2] {
    let options = Options { agentx: Some(agentx), ..Options::default() };
    let first = Daemon::start(&link.nodes[0], Program::Keepwatch, &FLAVOUR.configuration(1, "MASTER", 150), options);
    let master = wait::within(Duration::from_secs(10), || link.has_all(0, FLAVOUR).then_some(()));
    assert!(master.is_some(), "R1 did not become master; it said:\n{}", first.log());
    let second =
        Daemon::start(&link.nodes[1], Program::Keepwatch, &FLAVOUR.configuration(2, "BACKUP", 100), Options::default());
    second.wait_until_it_listens();
    [first, second]
}

/// Between `from` and now R1 was the only master and never late.
fn never_late(link: &Link, from: u64, what: &str) {
    let until = wait::now_ns();
    let mut adverts = link.witness.adverts_from(link.ports[0]);
    adverts.retain(|(at, _)| *at >= from && *at <= until);
    let due = (until - from) / FLAVOUR.interval.as_nanos() as u64;
    assert!(adverts.len() as u64 * 100 >= due * 95, "{what}: only {} of {due} adverts", adverts.len());
    let (gap, at) = longest_gap(&adverts).unwrap_or((u64::MAX, 0));
    let into = wait::seconds(at.saturating_sub(from));
    println!("{what}: {} adverts, longest gap {:.1} ms, {into:.1} s after the start", adverts.len(), gap as f64 / 1e6);
    assert!(gap <= 110_000_000, "{what}: a gap of {:.1} ms, {into:.1} s after the start", gap as f64 / 1e6);
    let other = link.witness.adverts_from(link.ports[1]);
    assert!(other.is_empty(), "{what}: the backup took over: {other:?}");
}

fn answers_again(manager: &Manager, what: &str) {
    let state = wait::within(Duration::from_secs(5), || manager.number(STATE));
    assert_eq!(state, Some(2), "{what}: snmpget within 5 s");
}

fn a_stopped_snmpd() {
    let link = Link::new();
    let snmpd = Snmpd::start(&link.nodes[0], None);
    let _pair = pair(&snmpd.agentx(), &link);
    let manager = Manager::on(&link.nodes[0], "127.0.0.1");
    wait::until("SNMP to say that R1 is master", Duration::from_secs(20), || {
        (manager.number(STATE) == Some(2)).then_some(())
    });
    let from = wait::now_ns();
    snmpd.process.signal(Signal::SIGSTOP);
    wait::observe(window());
    snmpd.process.signal(Signal::SIGCONT);
    answers_again(&manager, "after SIGCONT");
    never_late(&link, from, "snmpd stopped");
}

fn a_master_agent_that(manners: Manners) {
    let link = Link::new();
    let socket = link.lab.directory().join("hostile");
    let what = format!("{manners:?}");
    let master = Master::start(&socket, manners);
    let pair = pair(&master.agentx(), &link);
    let met = wait::within(Duration::from_secs(20), || (master.connections() > 0).then_some(()));
    assert!(met.is_some(), "{what}: no connection in 20 s; the daemon said:\n{}", pair[0].log());
    let from = wait::now_ns();
    wait::observe(window());
    never_late(&link, from, &what);
}

fn a_bridge_killed_ten_times() {
    let link = Link::new();
    let snmpd = Snmpd::start(&link.nodes[0], None);
    let pair = pair(&snmpd.agentx(), &link);
    let manager = Manager::on(&link.nodes[0], "127.0.0.1");
    let from = wait::now_ns();
    let mut last = None;
    for round in 1..=10 {
        let bridge = wait::within(Duration::from_secs(20), || pair[0].child("bridge").filter(|pid| Some(*pid) != last));
        let Some(bridge) = bridge else {
            panic!("no new bridge in round {round}; the daemon said:\n{}", pair[0].log())
        };
        let state = wait::within(Duration::from_secs(20), || manager.number(STATE));
        assert_eq!(state, Some(2), "SNMP in round {round}; the daemon said:\n{}", pair[0].log());
        kill(bridge, Signal::SIGKILL).unwrap();
        last = Some(bridge);
    }
    let state = wait::within(Duration::from_secs(20), || manager.number(STATE));
    assert_eq!(state, Some(2), "SNMP after ten kills; the daemon said:\n{}", pair[0].log());
    never_late(&link, from, "bridge killed ten times");
}

#[test]
fn no_master_agent_delays_an_advert_for_two_minutes() {
    let experiments: Vec<(&str, fn())> = vec![
        ("stopped snmpd", a_stopped_snmpd),
        ("never answers", || a_master_agent_that(Manners::NeverAnswers)),
        ("one byte a second", || a_master_agent_that(Manners::OneByteASecond)),
        ("never reads", || a_master_agent_that(Manners::NeverReads)),
        ("silent after open", || a_master_agent_that(Manners::SilentAfterOpen)),
        ("bridge killed", a_bridge_killed_ten_times),
    ];
    let running: Vec<_> = experiments.into_iter().map(|(what, run)| (what, std::thread::spawn(run))).collect();
    let results = running.into_iter().map(|(what, thread)| (what, thread.join().is_ok())).collect::<Vec<_>>();
    let failed: Vec<_> = results.into_iter().filter(|(_, good)| !good).map(|(what, _)| what).collect();
    assert!(failed.is_empty(), "failed, see above: {failed:?}");
}
