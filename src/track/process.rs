//! `vrrp_track_process`: which processes count, how many there are, and whether that is enough.
//!
//! A [`Pattern`] says which ones, the [`Census`] keeps count for all patterns from what the kernel tells of forks, execs,
//! names and ends, and [`Process`] is one tracker, which waits for its delays before it believes a count.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::bus::rows::{Finding, TrackerRuns};
use crate::clock::Instant;
use crate::conf::model::{ParameterMatch, TrackProcess};
use crate::level::Level;

/// What the kernel keeps of a process's name, octets.
pub const NAME_MAX: usize = 15;

/// Which processes a tracker counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    program: Vec<u8>,
    parameters: Vec<Vec<u8>>,
    matching: ParameterMatch,
    /// The command line is compared, not the name.
    full: bool,
}

impl Pattern {
    pub fn new(config: &TrackProcess) -> Pattern {
        Pattern {
            program: config.path.clone().into_bytes(),
            parameters: config.parameters.iter().map(|word| word.clone().into_bytes()).collect(),
            matching: config.parameter_match,
            full: config.full_command,
        }
    }

    /// Whether command lines need be read for it.
    pub fn is_full(&self) -> bool {
        self.full
    }

    fn names(&self, name: &[u8]) -> bool {
        // The kernel cuts names.
        let program = self.program.get(..NAME_MAX).unwrap_or(&self.program);
        !self.full && name == program
    }

    /// `command` as /proc has it: every word ends with a NUL.
    fn runs(&self, command: &[u8]) -> bool {
        if !self.full || command.is_empty() {
            return false;
        }
        let words = command.strip_suffix(b"\0").unwrap_or(command);
        let mut words = words.split(|&byte| byte == 0);
        if words.next() != Some(self.program.as_slice()) {
            return false;
        }
        let actual: Vec<&[u8]> = words.collect();
        let wanted = self.parameters.iter().map(Vec::as_slice);
        match self.matching {
            ParameterMatch::None => true,
            ParameterMatch::Exact => wanted.eq(actual),
            ParameterMatch::Partial => {
                actual.len() >= self.parameters.len() && wanted.eq(actual.into_iter().take(self.parameters.len()))
            }
            // The last one may be longer than the one that is written.
            ParameterMatch::Initial => match self.parameters.split_last() {
                None => actual.is_empty(),
                Some((last, before)) => {
                    actual.len() == self.parameters.len()
                        && before.iter().zip(&actual).all(|(wanted, actual)| wanted.as_slice() == *actual)
                        && actual.last().is_some_and(|actual| actual.starts_with(last))
                }
            },
        }
    }
}

/// How many processes match each pattern. Only those that match one are kept.
#[derive(Debug, Clone, Default)]
pub struct Census {
    patterns: BTreeMap<String, Pattern>,
    alive: BTreeMap<i32, Vec<String>>,
}

impl Census {
    /// Counts for these trackers from now on, and knows of nobody yet.
    pub fn new(patterns: BTreeMap<String, Pattern>) -> Census {
        Census { patterns, alive: BTreeMap::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub fn needs_commands(&self) -> bool {
        self.patterns.values().any(Pattern::is_full)
    }

    /// A process as it is now; `command` is not looked at unless [`Self::needs_commands`].
    pub fn seen(&mut self, pid: i32, name: &[u8], command: &[u8]) {
        let matching = self.patterns.iter().filter(|(_, pattern)| pattern.names(name) || pattern.runs(command));
        self.put(pid, matching.map(|(tracker, _)| tracker.clone()).collect());
    }

    /// A child begins as a copy of its parent.
    pub fn forked(&mut self, parent: i32, child: i32) {
        if let Some(matching) = self.alive.get(&parent).cloned() {
            self.put(child, matching);
        } else {
            // Whoever had the number before.
            self.ended(child);
        }
    }

    /// A process calls itself otherwise; its command line is what it was.
    pub fn renamed(&mut self, pid: i32, name: &[u8]) {
        let mut matching = self.alive.remove(&pid).unwrap_or_default();
        matching.retain(|tracker| self.patterns.get(tracker).is_some_and(Pattern::is_full));
        matching.extend(
            self.patterns.iter().filter(|(_, pattern)| pattern.names(name)).map(|(tracker, _)| tracker.clone()),
        );
        self.put(pid, matching);
    }

    pub fn ended(&mut self, pid: i32) {
        self.alive.remove(&pid);
    }

    /// Nothing is known any more: everybody is seen again after this.
    pub fn forget(&mut self) {
        self.alive.clear();
    }

    /// How many match, for each tracker.
    pub fn counts(&self) -> BTreeMap<String, u32> {
        let mut counts: BTreeMap<String, u32> = self.patterns.keys().map(|tracker| (tracker.clone(), 0)).collect();
        for tracker in self.alive.values().flatten() {
            if let Some(count) = counts.get_mut(tracker) {
                *count += 1;
            }
        }
        counts
    }

    fn put(&mut self, pid: i32, matching: Vec<String>) {
        if matching.is_empty() {
            self.alive.remove(&pid);
        } else {
            self.alive.insert(pid, matching);
        }
    }
}

/// One `vrrp_track_process` in force.
#[derive(Debug, Clone)]
pub struct Process {
    config: TrackProcess,
    /// How many ran when they were counted last.
    count: Option<u32>,
    good: bool,
    /// The next count is believed at once.
    fresh: bool,
    /// When `good` changes, unless the count changes back.
    turning: Option<Instant>,
    runs: TrackerRuns,
}

impl Process {
    pub fn new(config: TrackProcess) -> Process {
        Process { config, count: None, good: false, fresh: true, turning: None, runs: TrackerRuns::default() }
    }

    /// A new configuration. A quorum is judged at once; when it is about other processes, what was found stays until those
    /// have been counted.
    pub fn reconfigure(&mut self, config: TrackProcess) -> Option<(Level, String)> {
        let same = Pattern::new(&config) == Pattern::new(&self.config);
        self.config = config;
        if !same {
            self.fresh = true;
            self.turning = None;
            return None;
        }
        let met = self.config.met(self.count?);
        self.turning = None;
        if met == self.good { None } else { Some(self.turn(met)) }
    }

    pub fn config(&self) -> &TrackProcess {
        &self.config
    }

    /// How many run now, and whether that has been enough for as long as the delays want.
    pub fn finding(&self) -> Finding {
        match self.count {
            None => Finding::Unknown,
            Some(count) => Finding::Count { count: count.into(), good: self.good },
        }
    }

    pub fn runs(&self) -> TrackerRuns {
        self.runs
    }

    /// When [`Self::wake`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.turning
    }

    /// So many run. The first count is believed at once.
    pub fn counted(&mut self, count: u32, now: Instant) -> Option<(Level, String)> {
        let met = self.config.met(count);
        let before = self.count.replace(count).unwrap_or(count);
        if std::mem::take(&mut self.fresh) {
            self.good = met;
            self.turning = None;
            let verdict = if met { "has its quorum" } else { "is without its quorum" };
            return Some((Level::Info, format!("track_process {} {verdict} ({count} running)", self.config.name)));
        }
        if met == self.good {
            self.turning = None;
            return None;
        }
        if self.turning.is_some() {
            return None;
        }
        let delay = if count > before { self.config.fork_delay_us } else { self.config.terminate_delay_us };
        if delay == 0 {
            return Some(self.turn(met));
        }
        self.turning = Some(now + Duration::from_micros(delay));
        None
    }

    /// Time has passed.
    pub fn wake(&mut self, now: Instant) -> Option<(Level, String)> {
        if self.turning.is_none_or(|at| at > now) {
            return None;
        }
        self.turning = None;
        let met = self.config.met(self.count?);
        if met == self.good { None } else { Some(self.turn(met)) }
    }

    fn turn(&mut self, met: bool) -> (Level, String) {
        self.good = met;
        let counter = if met { &mut self.runs.went_up } else { &mut self.runs.went_down };
        *counter += 1;
        let count = self.count.unwrap_or(0);
        let TrackProcess { name, quorum, quorum_max, .. } = &self.config;
        if met {
            return (Level::Info, format!("track_process {name} gained its quorum ({count} running)"));
        }
        let wanted = match quorum_max {
            Some(max) => format!("{quorum} to {max}"),
            None => format!("{quorum}"),
        };
        (Level::Warn, format!("track_process {name} lost its quorum ({count} running, {wanted} wanted)"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conf::model::Location;

    fn config(path: &str, parameters: &[&str], matching: ParameterMatch) -> TrackProcess {
        TrackProcess {
            location: Location::default(),
            name: "p".to_owned(),
            path: path.to_owned(),
            parameters: parameters.iter().map(|&word| word.to_owned()).collect(),
            parameter_match: matching,
            full_command: matching != ParameterMatch::None,
            weight: 0,
            reverse: false,
            quorum: 1,
            quorum_max: None,
            fork_delay_us: 0,
            terminate_delay_us: 0,
        }
    }

    fn census(config: &TrackProcess) -> Census {
        Census::new(BTreeMap::from([("p".to_owned(), Pattern::new(config))]))
    }

    fn count(census: &Census) -> u32 {
        census.counts()["p"]
    }

    fn matches(config: &TrackProcess, name: &str, command: &str) -> bool {
        let mut census = census(config);
        census.seen(7, name.as_bytes(), command.as_bytes());
        count(&census) == 1
    }

    #[test]
    fn a_name_is_compared_as_a_whole_as_far_as_the_kernel_keeps_it() {
        let ssh = config("ssh", &[], ParameterMatch::None);
        assert!(matches(&ssh, "ssh", "/usr/bin/ssh\0host\0"));
        assert!(!matches(&ssh, "sshd", "ssh\0"));
        assert!(!matches(&config("/usr/bin/ssh", &[], ParameterMatch::None), "ssh", "/usr/bin/ssh\0"));
        assert!(matches(&config("a-very-long-daemon-name", &[], ParameterMatch::None), "a-very-long-dae", ""));
    }

    #[test]
    fn parameters_are_compared_exactly_from_the_first_on_or_up_to_a_longer_last_one() {
        use ParameterMatch::{Exact, Initial, None, Partial};
        let case = |parameters: &[&str], matching| {
            let mut config = config("/bin/d", parameters, matching);
            config.full_command = true;
            [
                "/bin/d\0",
                "/bin/d\0-a\0",
                "/bin/d\0-a\0-b\0",
                "/bin/d\0-a\0-bc\0",
                "/bin/d\0-a -b\0",
                "/bin/dd\0-a\0-b\0",
            ]
            .map(|command| matches(&config, "d", command))
        };
        assert_eq!(case(&[], None), [true, true, true, true, true, false]);
        assert_eq!(case(&[], Exact), [true, false, false, false, false, false]);
        assert_eq!(case(&["-a", "-b"], Exact), [false, false, true, false, false, false]);
        assert_eq!(case(&["-a"], Partial), [false, true, true, true, false, false]);
        assert_eq!(case(&["-a", "-b"], Initial), [false, false, true, true, false, false]);
        assert_eq!(case(&["-a"], Initial), [false, true, false, false, true, false]);
    }

    #[test]
    fn a_kernel_thread_has_a_name_and_no_command_line() {
        assert!(matches(&config("kworker/0:1", &[], ParameterMatch::None), "kworker/0:1", ""));
        let mut any = config("", &[], ParameterMatch::None);
        any.full_command = true;
        assert!(!matches(&any, "kworker/0:1", ""));
    }

    #[test]
    fn forks_execs_names_and_ends_are_counted() {
        let mut census = census(&config("httpd", &[], ParameterMatch::None));
        census.seen(10, b"httpd", b"");
        census.forked(10, 11);
        assert_eq!(count(&census), 2);
        census.seen(11, b"sh", b"");
        assert_eq!(count(&census), 1, "the child executed something else");
        census.forked(11, 12);
        census.renamed(12, b"httpd");
        assert_eq!(count(&census), 2);
        census.ended(10);
        census.ended(10);
        assert_eq!(count(&census), 1);
        census.forked(99, 12);
        assert_eq!(count(&census), 0, "the number is another's now");
    }

    #[test]
    fn another_name_does_not_change_a_command_line() {
        let mut config = config("/bin/d", &[], ParameterMatch::None);
        config.full_command = true;
        let mut census = census(&config);
        census.seen(10, b"d", b"/bin/d\0-x\0");
        census.renamed(10, b"worker");
        assert_eq!(count(&census), 1);
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn good(process: &Process) -> bool {
        matches!(process.finding(), Finding::Count { good: true, .. })
    }

    #[test]
    fn a_quorum_is_lost_after_terminate_delay_unless_the_process_is_back() {
        let config = TrackProcess { terminate_delay_us: 500_000, ..config("d", &[], ParameterMatch::None) };
        let mut process = Process::new(config);
        process.counted(1, at(0));
        assert!(good(&process), "the first count is believed at once");
        process.counted(0, at(100));
        assert_eq!(process.finding(), Finding::Count { count: 0, good: true });
        assert_eq!(process.deadline(), Some(at(600)));
        process.counted(1, at(300));
        assert_eq!(process.deadline(), None);
        process.counted(0, at(1_000));
        assert_eq!(process.wake(at(1_499)), None);
        assert!(process.wake(at(1_500)).is_some());
        assert!(!good(&process));
        process.counted(1, at(2_000));
        assert!(good(&process), "fork_delay is 0");
        assert_eq!((process.runs().went_up, process.runs().went_down), (1, 1));
    }

    #[test]
    fn more_than_quorum_max_count_after_fork_delay() {
        let config =
            TrackProcess { quorum_max: Some(1), fork_delay_us: 200_000, ..config("d", &[], ParameterMatch::None) };
        let mut process = Process::new(config);
        process.counted(1, at(0));
        process.counted(2, at(100));
        process.counted(3, at(200));
        assert!(good(&process));
        assert_eq!(process.deadline(), Some(at(300)), "from when it was first too many");
        process.wake(at(300));
        assert!(!good(&process));
        process.counted(1, at(400));
        assert!(good(&process));
    }

    #[test]
    fn with_quorum_max_0_a_process_must_not_run() {
        let config = TrackProcess { quorum: 0, quorum_max: Some(0), ..config("d", &[], ParameterMatch::None) };
        let mut process = Process::new(config);
        process.counted(0, at(0));
        assert!(good(&process));
        process.counted(1, at(1));
        assert!(!good(&process));
    }

    proptest! {
        /// Whatever happened in between, seeing everybody again gives what there is.
        #[test]
        fn a_census_that_sees_everybody_again_counts_what_there_is(
            events in prop::collection::vec((0..4_u8, 1..6_i32, 1..6_i32, any::<bool>()), 0..60),
            alive in prop::collection::btree_map(1..6_i32, any::<bool>(), 0..6),
        ) {
            let name = |is| if is { b"httpd".as_slice() } else { b"sh" };
            let mut census = census(&config("httpd", &[], ParameterMatch::None));
            for (kind, pid, other, is) in events {
                match kind {
                    0 => census.seen(pid, name(is), b""),
                    1 => census.forked(pid, other),
                    2 => census.renamed(pid, name(is)),
                    _ => census.ended(pid),
                }
                prop_assert!(count(&census) <= 5);
            }
            census.forget();
            for (&pid, &is) in &alive {
                census.seen(pid, name(is), b"");
            }
            prop_assert_eq!(count(&census) as usize, alive.values().filter(|is| **is).count());
        }
    }
}
