//! How late checks start, how long they take, why they fail and how many are under way.

use std::time::Duration;

use super::world::*;
use crate::bus::rows::RowKey;
use crate::bus::timing::KindTimes;
use crate::check::io::{Cause, Failure, Input, Outcome, Output};
use crate::conf::model::{HttpCheck, TlsSettings};

impl World {
    /// The oldest probe, or the next one, ends; it began so late and took so long.
    fn ended(&mut self, late_ms: u64, took_ms: u64, outcome: Outcome) {
        while self.probes.is_empty() {
            self.now = self.engine.deadline().expect("the next check");
            self.say(Input::Wake);
        }
        let (checker, attempt, _) = self.probes.remove(0);
        let began = self.now + Duration::from_millis(late_ms);
        self.now = began + Duration::from_millis(took_ms);
        self.say(Input::Probed { checker, attempt, outcome, began, took_us: took_ms * 1000 });
    }

    fn kind(&self, name: &str) -> KindTimes {
        let kinds = self.times().kinds;
        kinds.into_iter().find(|kind| kind.kind == name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// Reasons that were counted.
    fn failures(&self, kind: &str) -> Vec<(String, u64)> {
        self.kind(kind).failures.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

fn because(cause: Cause) -> Outcome {
    Outcome::Failed(Failure::new(cause, "no"))
}

/// SSL_GET.
fn ssl(last: u8) -> crate::conf::model::Checker {
    let mut checker = http(last, 1, false);
    if let crate::conf::model::Check::Http(http) = &mut checker.check {
        **http = HttpCheck { tls: Some(TlsSettings::default()), ..(**http).clone() };
    }
    checker
}

#[test]
fn a_check_is_late_by_what_lies_between_its_due_time_and_its_start_wherever_it_waited() {
    let mut world = World::new(&config(vec![service(1, pool(1))]));
    world.ended(30, 7, Outcome::Passed);
    let times = world.times();
    assert_eq!((times.start_delay.count(), times.start_delay.sum_ns), (1, 30_000_000));
    assert_eq!((world.kind("tcp").took.count(), world.kind("tcp").took.sum_ns), (1, 7_000_000));

    // The engine itself was woken late, and then there was no free socket for a while.
    world.now = world.engine.deadline().expect("the next check") + Duration::from_millis(4);
    world.say(Input::Wake);
    world.ended(2, 1, Outcome::Passed);
    assert_eq!(world.times().start_delay.sum_ns, 36_000_000);
    // That was not the check's fault.
    assert_eq!(world.kind("tcp").took.sum_ns, 8_000_000);
}

#[test]
fn every_kind_that_is_configured_is_shown_from_the_start_with_every_reason() {
    let servers =
        vec![server(1, 1, vec![tcp(1), http(1, 1, false), ssl(1)]), server(2, 1, vec![misc(1, false), file("f", 0)])];
    let mut world = World::new(&config(vec![service(1, servers)]));
    let kinds: Vec<String> = world.times().kinds.into_iter().map(|kind| kind.kind).collect();
    assert_eq!(kinds, ["file", "http", "misc", "ssl", "tcp"]);
    for kind in &kinds {
        let reasons: Vec<String> = world.kind(kind).failures.into_iter().map(|(reason, _)| reason).collect();
        assert_eq!(reasons, Cause::REASONS, "{kind}");
        assert_eq!((world.failures(kind), world.kind(kind).took.count()), (vec![], 0));
    }
    // What was once there keeps its counts.
    world.ended(0, 1, because(Cause::Refused));
    world.reload(&config(vec![]));
    assert_eq!(world.failures("tcp"), [("refused".to_owned(), 1)]);
}

#[test]
fn failures_are_counted_by_their_cause_and_those_of_this_host_among_the_others() {
    let mut world = World::new(&config(vec![service(1, vec![server(1, 1, vec![ssl(1)])])]));
    for cause in [Cause::Tls, Cause::Digest, Cause::Tls, Cause::Local, Cause::Other] {
        world.ended(0, 1, because(cause));
    }
    let wanted = [("digest", 1), ("tls", 2), ("other", 2)].map(|(reason, count)| (reason.to_owned(), count));
    assert_eq!(world.failures("ssl"), wanted);
    assert_eq!(world.kind("ssl").took.count(), 5, "a check that fails takes its time too");
}

#[test]
fn a_file_that_turns_bad_is_a_failure_that_took_no_time() {
    let mut world = World::new(&config(vec![service(1, vec![server(1, 1, vec![file("f", 0)])])]));
    world.forget();
    world.say(Input::File { name: "f".into(), value: Some(1) });
    assert_eq!(world.failures("file"), [("other".to_owned(), 1)]);
    assert_eq!((world.kind("file").took.count(), world.times().start_delay.count()), (0, 0));
    assert!(world.out.contains(&Output::Counted(RowKey::CheckTimes)));
}

#[test]
fn nothing_is_under_way_once_all_has_ended_or_was_given_up() {
    let mut resting = service(1, pool(3));
    resting.ha_suspend = true;
    let both = config(vec![resting.clone(), service(2, pool(2))]);
    let mut world = World::new(&both);
    assert_eq!(world.times().in_flight, 2, "one virtual server rests");
    world.say(Input::HostAddress(ip("10.0.0.1")));
    world.pass(secs(0));
    assert_eq!(world.times().in_flight, 5);
    world.ended(0, 1, Outcome::Passed);
    assert_eq!(world.times().in_flight, 4);
    world.forget();
    world.say(Input::HostAddressGone(ip("10.0.0.1")));
    assert_eq!(world.times().in_flight, 1);
    assert!(world.out.contains(&Output::Counted(RowKey::CheckTimes)), "readers learn of it");
    world.reload(&config(vec![resting]));
    assert_eq!(world.times().in_flight, 0, "the other one is gone");
    world.reload(&both);
    world.pass(secs(0));
    assert_eq!(world.times().in_flight, 2);
    world.say(Input::Shutdown { keep_table: false });
    assert_eq!((world.times().in_flight, world.probes.len()), (0, 0));
}

#[test]
fn an_answer_that_nobody_waits_for_is_not_counted() {
    let mut world = World::new(&config(vec![service(1, pool(1))]));
    let (checker, attempt, _) = world.probes.first().cloned().expect("a probe");
    let before = world.times();
    let began = world.now;
    world.say(Input::Probed { checker, attempt: attempt + 1, outcome: failed(), began, took_us: 5 });
    assert_eq!(world.times(), before);
}

#[test]
fn readers_hear_once_of_many_checks_that_begin_together_and_not_at_all_of_nothing() {
    let mut world = World::waiting(&config(vec![service(1, pool(50))]), Default::default());
    world.begin();
    let told = |world: &World| world.out.iter().filter(|it| **it == Output::Counted(RowKey::CheckTimes)).count();
    assert_eq!((told(&world), world.times().in_flight), (1, 50));
    world.forget();
    world.say(Input::Wake);
    world.say(Input::Counted { began: world.now, took_us: 1, totals: None });
    assert_eq!(told(&world), 0);
}
