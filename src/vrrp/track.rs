//! What an instance tracks: interfaces, scripts, files, processes and BFD sessions, and what each does to it.
//!
//! The first half is values: [`of_interface`] and [`of_finding`] say what one tracker does at this moment, [`counting`]
//! which lines of an instance and its sync group count, [`carried`] which interfaces are tracked without a line. The second
//! half is the engine that hears what was found ([`Engine::found`](super::engine::Engine)) and lets instances wait for it.
//!
//! A weight other than 0 changes the priority: a positive one counts while the tracker is good, a negative one while it is
//! bad, and `reverse` turns the sign around. Weight 0 means fault while it is bad (`reverse`: while it is good). A file has
//! no good and bad: its number times the weight is what it adds, and a fault below [`LEAST`].

use std::collections::HashMap;
use std::fmt;

use super::engine::{Engine, Phase, Slot};
use super::io::Output;
use super::machine::Event;
use super::router::{LOG_PAUSE, Router};
use crate::bus::msg::Edge;
use crate::bus::rows::{Finding, Reason, RowKey, TrackerRuns};
use crate::clock::Instant;
use crate::conf::model::{Instance, Track, TrackScript, TrackedInterface, TrackerKind};

/// What one tracker does to its instance at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    /// It keeps the instance in fault.
    Fault,
    /// -253 to 253.
    Add(i32),
    /// Weight 0, and nothing was found yet: an instance that is not up does not come up.
    Wait,
}

/// A file that would take more than this from the priority is a fault instead.
pub const LEAST: i32 = -253;

/// An interface that is up is good; one that does not exist is not up.
pub fn of_interface(tracked: &TrackedInterface, up: bool) -> Effect {
    of(i32::from(tracked.weight), tracked.reverse, up)
}

/// What was found of a script, a file, a process or a BFD session.
pub fn of_finding(track: &Track, finding: Finding) -> Effect {
    match (finding, track.kind) {
        (Finding::Unknown, _) if track.weight == 0 => Effect::Wait,
        (Finding::Unknown, _) => Effect::Nothing,
        (Finding::Count { count, .. }, TrackerKind::File) => of_number(track, count),
        (Finding::Good | Finding::Count { good: true, .. }, _) => of(track.weight, track.reverse, true),
        (Finding::Bad | Finding::Count { good: false, .. }, _) => of(track.weight, track.reverse, false),
    }
}

fn of(weight: i32, reverse: bool, good: bool) -> Effect {
    match weight {
        0 if good != reverse => Effect::Nothing,
        0 => Effect::Fault,
        weight if (weight > 0) == good => Effect::Add(if reverse { -weight } else { weight }),
        _ => Effect::Nothing,
    }
}

fn of_number(track: &Track, number: i64) -> Effect {
    if track.weight == 0 {
        return if (number == 0) != track.reverse { Effect::Nothing } else { Effect::Fault };
    }
    let product = number.saturating_mul(i64::from(track.weight));
    let product = if track.reverse { product.saturating_neg() } else { product };
    match i32::try_from(product.clamp(i64::from(LEAST) - 1, -i64::from(LEAST))) {
        Ok(0) => Effect::Nothing,
        Ok(product) if product >= LEAST => Effect::Add(product),
        _ => Effect::Fault,
    }
}

/// A line that tracks something.
pub trait Line {
    fn tracks_the_same_as(&self, other: &Self) -> bool;
    fn is_unweighted(&self) -> bool;
}

impl Line for TrackedInterface {
    fn tracks_the_same_as(&self, other: &TrackedInterface) -> bool {
        self.interface == other.interface
    }

    fn is_unweighted(&self) -> bool {
        self.weight == 0
    }
}

impl Line for Track {
    fn tracks_the_same_as(&self, other: &Track) -> bool {
        (self.kind, &self.name) == (other.kind, &other.name)
    }

    fn is_unweighted(&self) -> bool {
        self.weight == 0
    }
}

/// The lines that count of an instance's own and its sync group's. Of two for one thing the group's does, but weight 0 of
/// the instance goes before any other, as Keepalived has it.
pub fn counting<'a, T: Line>(own: &'a [T], shared: &'a [T]) -> impl Iterator<Item = &'a T> {
    let counts = |line: &T| line.is_unweighted() || !shared.iter().any(|it| it.tracks_the_same_as(line));
    let covered = |it: &T| own.iter().any(|line| line.is_unweighted() && line.tracks_the_same_as(it));
    own.iter().filter(move |line| counts(line)).chain(shared.iter().filter(move |it| !covered(it)))
}

/// Interfaces that an instance tracks because its addresses, routes or rules are there, as if each had a line with weight 0;
/// `no_track` exempts. Its own interface is not among them: `dont_track_primary` is about that one.
pub fn carried(config: &Instance) -> Vec<&str> {
    let addresses = config.addresses.iter().chain(&config.excluded).filter(|address| !address.no_track);
    let routes = config.routes.iter().filter(|route| !route.no_track).flat_map(|route| {
        // As Keepalived: next hops of their own are not looked at.
        route.interface.as_deref()
    });
    let rules = config.rules.iter().filter(|rule| !rule.no_track).flat_map(|rule| [&rule.input, &rule.output]);
    let rules = rules.filter_map(Option::as_deref);
    let all = addresses.map(|address| address.interface.as_str()).chain(routes).chain(rules);
    // Interfaces of its own are up when those below are.
    let below = |name| config.vmacs.all().find(|vmac| vmac.name == name).map_or(name, |vmac| vmac.base.as_str());
    let mut carried: Vec<&str> = all.map(below).filter(|name| config.interface.as_deref() != Some(*name)).collect();
    carried.sort_unstable();
    carried.dedup();
    carried
}

/// Every interface that counts for an instance by itself: the carried ones, then the lines about others.
pub fn lines(config: &Instance) -> Vec<TrackedInterface> {
    let carried = carried(config);
    let unweighted = |name: &&str| TrackedInterface { interface: (*name).to_owned(), weight: 0, reverse: false };
    let mut lines: Vec<TrackedInterface> = carried.iter().map(unweighted).collect();
    let others = config.tracked_interfaces.iter().filter(|it| !carried.contains(&it.interface.as_str()));
    lines.extend(others.cloned());
    lines
}

/// A tracker that keeps its instance in fault, and what was found of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    pub track: Track,
    pub finding: Finding,
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Track { kind, name, weight, reverse } = &self.track;
        let count = match self.finding {
            Finding::Count { count, .. } => count,
            Finding::Unknown | Finding::Good | Finding::Bad => 0,
        };
        match (kind, reverse) {
            (TrackerKind::Script, false) => write!(f, "script {name} fails"),
            (TrackerKind::Script, true) => write!(f, "script {name} succeeds, which it must not"),
            (TrackerKind::File, true) if *weight == 0 => {
                write!(f, "the number in file {name} is 0, which it must not be")
            }
            (TrackerKind::File, false) if *weight == 0 => write!(f, "the number in file {name} is {count}, not 0"),
            (TrackerKind::File, _) => {
                let sign = if *reverse { "-" } else { "" };
                write!(f, "the number in file {name}, {count}, times its weight {sign}{weight} is below {LEAST}")
            }
            (TrackerKind::Process, false) => write!(f, "process {name} misses its quorum, {count} running"),
            (TrackerKind::Process, true) => {
                write!(f, "process {name} has its quorum, which it must not, {count} running")
            }
            (TrackerKind::Bfd, false) => write!(f, "BFD session {name} is down"),
            (TrackerKind::Bfd, true) => write!(f, "BFD session {name} is up, which it must not be"),
        }
    }
}

/// What was found of each tracker. It outlives reloads, as long as there is a tracker of that name: as in Keepalived, a
/// script that has been changed counts as before until it is run.
#[derive(Debug, Default)]
pub struct Findings {
    of: HashMap<TrackerKind, HashMap<String, Found>>,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    finding: Finding,
    runs: TrackerRuns,
    /// Numbers of a file may change all the time: they are told as edges this seldom.
    quiet_until: Instant,
}

impl Findings {
    pub fn get(&self, kind: TrackerKind, name: &str) -> (Finding, TrackerRuns) {
        let found = self.of.get(&kind).and_then(|those| those.get(name));
        found.map_or((Finding::Unknown, TrackerRuns::default()), |found| (found.finding, found.runs))
    }

    pub fn finding(&self, track: &Track) -> Finding {
        self.get(track.kind, &track.name).0
    }

    /// Takes it in and says what became of it. A runner that has been started again knows nothing at first: what its
    /// predecessor found stays.
    fn put(&mut self, kind: TrackerKind, name: &str, finding: Finding, runs: TrackerRuns, now: Instant) -> News {
        let those = self.of.entry(kind).or_default();
        let Some(known) = those.get_mut(name) else {
            let quiet_until = now + LOG_PAUSE;
            those.insert(name.to_owned(), Found { finding, runs, quiet_until });
            return if finding == Finding::Unknown { News::None } else { News::Changed { tell: true } };
        };
        known.runs = runs;
        if finding == Finding::Unknown || finding == known.finding {
            return News::None;
        }
        let number = kind == TrackerKind::File && known.finding != Finding::Unknown;
        known.finding = finding;
        let tell = !number || now >= known.quiet_until;
        if tell {
            known.quiet_until = now + LOG_PAUSE;
        }
        News::Changed { tell }
    }

    fn retain(&mut self, mut wanted: impl FnMut(TrackerKind, &str) -> bool) {
        for (kind, those) in &mut self.of {
            those.retain(|name, _| wanted(*kind, name));
        }
    }
}

/// What a finding is compared to the one before.
enum News {
    None,
    Changed {
        /// It is worth an edge.
        tell: bool,
    },
}

impl Engine {
    /// Somebody looked at a tracker.
    pub(super) fn found(
        &mut self,
        kind: TrackerKind,
        name: &str,
        finding: Finding,
        runs: TrackerRuns,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        if self.trackers.weight(kind, name).is_none() {
            return;
        }
        // As Keepalived: `init_fail` is nothing that an instance acts on before the first run.
        let assumed = finding == Finding::Bad && runs.success + runs.failure + runs.timeout == 0;
        let fails_first = |it: &TrackScript| it.name == name && it.init_fail;
        let assumed = assumed && kind == TrackerKind::Script && self.trackers.scripts.iter().any(fails_first);
        let finding = if assumed { Finding::Unknown } else { finding };
        let key = RowKey::Tracker(kind, name.to_owned());
        let News::Changed { tell } = self.found.put(kind, name, finding, runs, now) else {
            out.push(Output::Counted(key));
            return;
        };
        out.push(Output::Changed(key));
        if tell {
            let at = self.wall(now);
            out.push(Output::Edge(Edge::Tracker { kind, name: name.to_owned(), finding, at }));
        }
        if self.phase != Phase::Running {
            return;
        }
        for slot in self.each_slot() {
            if self.router(slot).is_some_and(|router| router.looks_at(kind, name)) {
                self.refresh(slot, now, out);
            }
        }
    }

    /// How many times the kernel was asked about an address or a line so far.
    pub fn questions(&self) -> u64 {
        self.asked.questions
    }

    /// What scripts have come to, for a runner that does not know it.
    pub fn scripts_found(&self) -> impl Iterator<Item = (&str, bool)> {
        self.found.of.get(&TrackerKind::Script).into_iter().flatten().filter_map(|(name, found)| match found.finding {
            Finding::Good => Some((name.as_str(), true)),
            Finding::Bad => Some((name.as_str(), false)),
            _ => None,
        })
    }

    /// After a reload: findings of what is not tracked any more are of no use.
    pub(super) fn forget_findings(&mut self) {
        let trackers = &self.trackers;
        self.found.retain(|kind, name| trackers.weight(kind, name).is_some());
    }

    /// Whether an instance, or a member of its sync group, waits for a first finding.
    pub(super) fn awaits(&self, slot: Slot) -> bool {
        let Some(router) = self.router(slot) else { return false };
        match router.group.and_then(|at| self.groups.get(at)) {
            None => router.waits,
            Some(group) => group.slots.iter().filter_map(|slot| self.router(*slot)).any(|router| router.waits),
        }
    }

    /// One that was to start before and had to wait looks whether it may now.
    pub(super) fn start_after_waiting(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        if self.phase != Phase::Running || !self.router(slot).is_some_and(Router::held_up) {
            return;
        }
        if self.fault_of(slot).is_some() {
            self.launch(slot, now, out);
            return;
        }
        if self.awaits(slot) {
            return;
        }
        let Some(at) = self.router(slot).and_then(|router| router.group) else {
            self.launch(slot, now, out);
            return;
        };
        // The one that was waited for is first, and the group is told when all of its members have started.
        let slots = self.groups.get(at).map_or_else(Vec::new, |group| group.slots.clone());
        let mates = slots.into_iter().filter(|mate| *mate != slot);
        for slot in [slot].into_iter().chain(mates) {
            let Some(router) = self.router_mut(slot).filter(|router| router.held_up()) else { continue };
            let actions = router.machine.handle(Event::Start { at: now }, now);
            self.carry_out(slot, actions, now, out);
            self.arm(slot);
        }
        self.settle_group(at, now, out);
    }

    /// Why an instance leaves fault: the reverse of what brought it there.
    pub(super) fn recovery(&self, slot: Slot) -> Reason {
        match self.router(slot).map(|router| router.reason) {
            Some(Reason::Tracker) => Reason::Tracker,
            _ => Reason::InterfaceUp,
        }
    }
}

impl Router {
    /// Whether a script, a file, a process or a session is tracked, by the instance or by its group.
    pub(super) fn looks_at(&self, kind: TrackerKind, name: &str) -> bool {
        self.config.tracks.iter().chain(&self.shared_tracks).any(|track| track.kind == kind && track.name == name)
    }

    /// It was to start, and has been waiting for a first finding since.
    fn held_up(&self) -> bool {
        self.launched && !self.machine.started() && self.machine.deadline().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracked(weight: i16, reverse: bool) -> TrackedInterface {
        TrackedInterface { interface: "eth1".into(), weight, reverse }
    }

    fn track(kind: TrackerKind, weight: i32, reverse: bool) -> Track {
        Track { kind, name: "it".to_owned(), weight, reverse }
    }

    fn file(weight: i32, reverse: bool, count: i64) -> Effect {
        of_finding(&track(TrackerKind::File, weight, reverse), Finding::Count { count, good: true })
    }

    #[test]
    fn a_weight_counts_while_up_if_positive_and_while_down_if_negative() {
        assert_eq!(of_interface(&tracked(20, false), true), Effect::Add(20));
        assert_eq!(of_interface(&tracked(20, false), false), Effect::Nothing);
        assert_eq!(of_interface(&tracked(-20, false), true), Effect::Nothing);
        assert_eq!(of_interface(&tracked(-20, false), false), Effect::Add(-20));
    }

    #[test]
    fn reverse_turns_the_sign_of_a_weight_around_and_not_the_moment() {
        assert_eq!(of_interface(&tracked(20, true), true), Effect::Add(-20));
        assert_eq!(of_interface(&tracked(20, true), false), Effect::Nothing);
        assert_eq!(of_interface(&tracked(-20, true), true), Effect::Nothing);
        assert_eq!(of_interface(&tracked(-20, true), false), Effect::Add(20));
    }

    #[test]
    fn weight_zero_is_a_fault_while_down_and_reversed_while_up() {
        assert_eq!(of_interface(&tracked(0, false), true), Effect::Nothing);
        assert_eq!(of_interface(&tracked(0, false), false), Effect::Fault);
        assert_eq!(of_interface(&tracked(0, true), true), Effect::Fault);
        assert_eq!(of_interface(&tracked(0, true), false), Effect::Nothing);
    }

    #[test]
    fn scripts_processes_and_sessions_do_as_interfaces_do() {
        for (kind, good, bad) in [
            (TrackerKind::Script, Finding::Good, Finding::Bad),
            (TrackerKind::Process, Finding::Count { count: 2, good: true }, Finding::Count { count: 9, good: false }),
            (TrackerKind::Bfd, Finding::Good, Finding::Bad),
        ] {
            for weight in [-20, 0, 20] {
                for reverse in [false, true] {
                    let of = |finding| of_finding(&track(kind, weight.into(), reverse), finding);
                    assert_eq!(of(good), of_interface(&tracked(weight, reverse), true), "{kind:?} {weight} {reverse}");
                    assert_eq!(of(bad), of_interface(&tracked(weight, reverse), false), "{kind:?} {weight} {reverse}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_known_yet_has_no_weight_and_is_waited_for_without_one() {
        for kind in [TrackerKind::Script, TrackerKind::File, TrackerKind::Process, TrackerKind::Bfd] {
            for reverse in [false, true] {
                assert_eq!(of_finding(&track(kind, 0, reverse), Finding::Unknown), Effect::Wait);
                assert_eq!(of_finding(&track(kind, -7, reverse), Finding::Unknown), Effect::Nothing);
                assert_eq!(of_finding(&track(kind, 7, reverse), Finding::Unknown), Effect::Nothing);
            }
        }
    }

    #[test]
    fn a_file_adds_its_number_times_the_weight_and_is_a_fault_below_minus_253() {
        assert_eq!(file(1, false, 5), Effect::Add(5));
        assert_eq!(file(2, false, 5), Effect::Add(10));
        assert_eq!(file(2, true, 5), Effect::Add(-10));
        assert_eq!(file(-1, false, 5), Effect::Add(-5));
        assert_eq!(file(1, false, 0), Effect::Nothing);
        assert_eq!(file(1, false, 300), Effect::Add(253));
        assert_eq!(file(1, false, -253), Effect::Add(-253));
        assert_eq!(file(1, false, -254), Effect::Fault);
        assert_eq!(file(-1, false, 254), Effect::Fault);
        assert_eq!(file(2, true, 127), Effect::Fault);
        assert_eq!(file(254, false, -1), Effect::Fault);
        assert_eq!(file(254, false, 1), Effect::Add(253));
        assert_eq!(file(i32::MAX, false, i64::MIN), Effect::Fault);
        assert_eq!(file(i32::MIN, true, i64::MIN), Effect::Fault);
        assert_eq!(file(i32::MIN, false, i64::MIN), Effect::Add(253));
    }

    #[test]
    fn a_file_without_a_weight_is_a_fault_unless_its_number_is_0_and_reversed_if_it_is() {
        for number in [1, -1, i64::MIN, i64::MAX] {
            assert_eq!(file(0, false, number), Effect::Fault);
            assert_eq!(file(0, true, number), Effect::Nothing);
        }
        assert_eq!(file(0, false, 0), Effect::Nothing);
        assert_eq!(file(0, true, 0), Effect::Fault);
    }

    #[test]
    fn of_two_lines_for_one_tracker_the_groups_counts_but_weight_zero_goes_first() {
        let line = |weight| track(TrackerKind::Script, weight, false);
        let weights = |own: &[Track], shared: &[Track]| counting(own, shared).map(|it| it.weight).collect::<Vec<_>>();
        assert_eq!(weights(&[line(7)], &[line(10)]), [10]);
        assert_eq!(weights(&[line(0)], &[line(10)]), [0]);
        assert_eq!(weights(&[line(10)], &[line(0)]), [0]);
        assert_eq!(weights(&[], &[line(10)]), [10]);
        let other = track(TrackerKind::File, 3, false);
        assert_eq!(weights(&[other], &[line(10)]), [3, 10], "a file and a script may have one name");
    }

    #[test]
    fn a_runner_that_knows_nothing_takes_nothing_back() {
        let mut findings = Findings::default();
        let mut put = |finding, s: u64| {
            let at = Instant::from_nanos(s * 1_000_000_000);
            let news = findings.put(TrackerKind::Script, "chk", finding, TrackerRuns::default(), at);
            (matches!(news, News::Changed { .. }), findings.get(TrackerKind::Script, "chk").0)
        };
        assert_eq!(put(Finding::Unknown, 1), (false, Finding::Unknown));
        assert_eq!(put(Finding::Bad, 2), (true, Finding::Bad));
        assert_eq!(put(Finding::Unknown, 3), (false, Finding::Bad));
        assert_eq!(put(Finding::Bad, 4), (false, Finding::Bad));
        assert_eq!(put(Finding::Good, 5), (true, Finding::Good));
    }

    #[test]
    fn numbers_of_a_file_that_change_all_the_time_are_told_now_and_then() {
        let mut findings = Findings::default();
        let mut told = 0;
        for second in 0..60_u32 {
            let at = Instant::from_nanos(u64::from(second) * 1_000_000_000);
            let finding = Finding::Count { count: second.into(), good: true };
            let news = findings.put(TrackerKind::File, "load", finding, TrackerRuns::default(), at);
            told += u32::from(matches!(news, News::Changed { tell: true }));
        }
        assert_eq!(told, 6);
    }
}
