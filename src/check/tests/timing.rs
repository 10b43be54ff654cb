//! When probes are due.

use super::world::*;
use crate::check::engine::EngineOptions;
use crate::check::io::{Input, Outcome};
use crate::check::machine::{Change, Machine};
use crate::clock::Instant;

/// Runs one checker: `results` in turn, each probe taking no time. Tells when each probe ran (ms), its URL, and what
/// its result changed.
fn run(up: bool, config: &crate::conf::model::Checker, results: &str) -> Vec<(u64, usize, Change)> {
    let mut machine = Machine::new(up);
    machine.start(Instant::ZERO);
    let mut told = Vec::new();
    for (attempt, result) in (1..).zip(results.chars()) {
        let at = machine.deadline().expect("a checker that runs has a deadline");
        let url = machine.url();
        machine.probe(attempt, at);
        assert_eq!(machine.deadline(), None);
        told.push((at.nanos() / 1_000_000, url, machine.ended(result == '+', config, at)));
    }
    told
}

#[test]
fn a_checker_that_is_up_is_tried_again_after_delay_before_retry_and_down_after_the_last_retry() {
    let config = crate::conf::model::Checker { retry: 2, ..tcp(1) };
    use Change::{CameUp, None, Retrying, WentDown};
    assert_eq!(
        run(true, &config, "+---+"),
        [(0, 0, None), (10_000, 0, Retrying), (11_000, 0, Retrying), (12_000, 0, WentDown), (22_000, 0, CameUp)]
    );
}

#[test]
fn a_checker_that_is_down_is_not_retried_sooner_than_its_interval() {
    assert_eq!(
        run(false, &tcp(1), "--+"),
        [(0, 0, Change::None), (10_000, 0, Change::None), (20_000, 0, Change::CameUp)]
    );
}

#[test]
fn a_failure_between_passes_starts_the_count_of_retries_again() {
    use Change::{None, Retrying};
    let told: Vec<Change> = run(true, &tcp(1), "-+-+").into_iter().map(|it| it.2).collect();
    assert_eq!(told, [Retrying, None, Retrying, None]);
}

#[test]
fn urls_are_checked_one_per_interval_in_turn() {
    let urls: Vec<(u64, usize)> = run(true, &http(1, 3, false), "++++").into_iter().map(|it| (it.0, it.1)).collect();
    assert_eq!(urls, [(0, 0), (10_000, 1), (20_000, 2), (30_000, 0)]);
}

#[test]
fn the_url_that_failed_is_repeated_and_then_all_urls_must_pass_from_the_first() {
    use Change::{CameUp, None, Retrying, WentDown};
    assert_eq!(
        run(true, &http(1, 3, false), "+---++++"),
        [
            (0, 0, None),
            (10_000, 1, Retrying),
            (11_000, 1, WentDown),
            (21_000, 1, None),
            (31_000, 1, None),
            (41_000, 0, None),
            (51_000, 1, None),
            (61_000, 2, CameUp),
        ]
    );
}

#[test]
fn with_fast_recovery_nothing_is_waited_for_between_urls_while_down() {
    use Change::{CameUp, None, Retrying, WentDown};
    assert_eq!(
        run(true, &http(1, 3, true), "+--++++"),
        [
            (0, 0, None),
            (10_000, 1, Retrying),
            (11_000, 1, WentDown),
            (21_000, 1, None),
            (21_000, 0, None),
            (21_000, 1, None),
            (21_000, 2, CameUp),
        ]
    );
    let times: Vec<u64> = run(false, &http(1, 3, true), "+++").into_iter().map(|it| it.0).collect();
    assert_eq!(times, [0, 0, 0]);
}

#[test]
fn a_single_url_takes_two_passes_to_recover_and_one_to_start() {
    assert_eq!(run(true, &http(1, 1, false), "--++").last().map(|it| (it.0, it.2)), Some((21_000, Change::CameUp)));
    assert_eq!(run(false, &http(1, 1, false), "+"), [(0, 0, Change::CameUp)]);
}

#[test]
fn first_checks_are_spread_over_the_warm_up_and_differently_for_another_seed() {
    let warm = |last| crate::conf::model::Checker { warmup_us: 10_000_000, ..tcp(last) };
    let services = (1..=200).map(|last| service(last, vec![server(1, 1, vec![warm(1)])])).collect();
    let config = config(services);
    let starts = |seed| {
        let mut world = World::waiting(&config, EngineOptions { seed, restarted: false });
        world.begin();
        let mut starts = Vec::new();
        while let Some(at) = world.engine.deadline().filter(|at| *at <= START + secs(10)) {
            world.now = at;
            world.say(Input::Wake);
            let probes = std::mem::take(&mut world.probes);
            starts.extend(probes.into_iter().map(|_| at.since(START).as_millis()));
        }
        starts
    };
    let first = starts(1);
    assert_eq!(first.len(), 200);
    for second in 0..10 {
        let within = first.iter().filter(|at| (**at / 1000) == second).count();
        assert!((5..=40).contains(&within), "{within} of 200 checks start in second {second}");
    }
    assert_ne!(first, starts(2));
    assert_eq!(first, starts(1));
}

#[test]
fn a_late_answer_of_a_probe_that_was_given_up_changes_nothing() {
    let mut world = World::new(&config(vec![service(1, pool(1))]));
    let (checker, attempt, _) = world.probes.first().cloned().expect("a probe");
    world.say(Input::Probed {
        checker: checker.clone(),
        attempt: attempt + 7,
        outcome: failed(),
        began: world.now,
        took_us: 1,
    });
    assert_eq!(world.server(1).checks_not_run, 1);
    world.say(Input::Probed {
        checker: checker.clone(),
        attempt,
        outcome: Outcome::Passed,
        began: world.now,
        took_us: 1,
    });
    world.say(Input::Probed { checker, attempt, outcome: failed(), began: world.now, took_us: 1 });
    let row = world.server(1);
    assert_eq!((row.checks_not_run, row.checkers[0].passed, row.checkers[0].failed), (0, 1, 0));
}
