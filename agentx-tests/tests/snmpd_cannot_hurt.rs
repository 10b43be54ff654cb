//! Whatever the AgentX master does, and even while the bridge is killed: adverts every 0.1 s go on without a gap above
//! 105 ms, and the backup never takes over.
//!
//! Takes two minutes, once: all ways to misbehave run side by side, and one pair meets all of them in random order.
//! What this machine was busy with meanwhile is measured beside it and excused; where that was too much to tell, the
//! experiment is made again, five times at most. `KEEPWATCH_STOPPED_SECONDS` changes the time; `bench promise --minutes 10` takes as long as it is told.

use std::time::Duration;

use agentx_tests::dice::Dice;
use agentx_tests::hostile::{Manners, Master};
use agentx_tests::pair::Link;
use agentx_tests::promise::{self, Kept, Verdict, judge, pair, until_clear};
use agentx_tests::snmp::{Manager, Snmpd};
use agentx_tests::wait::{self, Stalls};
use nix::sys::signal::{Signal, kill};

/// vrrpInstanceState.1
const STATE: &str = ".1.3.6.1.4.1.9586.100.5.2.3.1.4.1";

/// How long the master agent misbehaves.
fn window() -> Duration {
    let seconds = std::env::var("KEEPWATCH_STOPPED_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(120))
}

fn answers_again(manager: &Manager, what: &str) {
    assert!(promise::answers(manager, Duration::from_secs(5)), "{what}: snmpget within 5 s");
}

/// All of it in random order, and at random times; a minute and a half of it. `bench promise --minutes 10` is longer.
fn everything_in_turns(stalls: &Stalls) -> Verdict {
    let seed = Dice::seed();
    println!("KEEPWATCH_SEED={seed}");
    let kept = promise::torment(window() * 3 / 4, seed, stalls, |misery| println!("{misery}"));
    let kept = kept.unwrap_or_else(|why| panic!("KEEPWATCH_SEED={seed}: {why}"));
    judge(&format!("in turns, KEEPWATCH_SEED={seed}"), kept)
}

fn a_stopped_snmpd(stalls: &Stalls) -> Verdict {
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
    judge("snmpd stopped", Kept::since(from, &link, stalls))
}

fn a_master_agent_that(manners: Manners, stalls: &Stalls) -> Verdict {
    let link = Link::new();
    let socket = link.lab.directory().join("hostile");
    let what = format!("{manners:?}");
    let master = Master::start(&socket, manners);
    let pair = pair(&master.agentx(), &link);
    let met = wait::within(Duration::from_secs(20), || (master.connections() > 0).then_some(()));
    assert!(met.is_some(), "{what}: no connection in 20 s; the daemon said:\n{}", pair[0].log());
    let from = wait::now_ns();
    wait::observe(window());
    judge(&what, Kept::since(from, &link, stalls))
}

fn a_bridge_killed_ten_times(stalls: &Stalls) -> Verdict {
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
    judge("bridge killed ten times", Kept::since(from, &link, stalls))
}

#[test]
fn no_master_agent_delays_an_advert_for_two_minutes() {
    type Experiment = fn(&Stalls) -> Verdict;
    let experiments: [(&str, Experiment); 9] = [
        ("stopped snmpd", a_stopped_snmpd),
        ("never answers", |stalls| a_master_agent_that(Manners::NeverAnswers, stalls)),
        ("one byte a second", |stalls| a_master_agent_that(Manners::OneByteASecond, stalls)),
        ("never reads", |stalls| a_master_agent_that(Manners::NeverReads, stalls)),
        ("silent after open", |stalls| a_master_agent_that(Manners::SilentAfterOpen, stalls)),
        ("truncated", |stalls| a_master_agent_that(Manners::Truncated, stalls)),
        ("endless", |stalls| a_master_agent_that(Manners::Endless, stalls)),
        ("bridge killed", a_bridge_killed_ten_times),
        ("in turns", everything_in_turns),
    ];
    let stalls = Stalls::watch();
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let running = experiments.map(|(what, run)| {
            (
                what,
                scope.spawn({
                    let stalls = &stalls;
                    move || until_clear(what, stalls, || run(stalls))
                }),
            )
        });
        running.into_iter().filter_map(|(what, thread)| thread.join().is_err().then_some(what)).collect()
    });
    assert!(failed.is_empty(), "failed, see above: {failed:?}");
}
