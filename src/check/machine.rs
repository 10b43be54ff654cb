//! One checker: when its next probe is due, and whether it counts as up.
//!
//! What a probe does is the driver's; this knows only that it passed or failed. HTTP_GET and SSL_GET with several URLs
//! probe one URL per interval, in turn. Measured on Keepalived 2.2.7: a checker that is down repeats the URL that failed;
//! when that one passes, all URLs must pass once more, from the first, before it is up again, so that recovery with a
//! single URL takes two passes.

use std::time::Duration;

use crate::clock::Instant;
use crate::conf::model::{Check, Checker};

/// What a checker does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing: not started, suspended, or told from outside (FILE_CHECK, BFD_CHECK).
    Resting,
    Waiting {
        at: Instant,
    },
    /// A probe with this number is under way, which was due at that time.
    Probing {
        attempt: u64,
        due: Instant,
    },
}

/// What a result changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Up or down as before.
    None,
    /// A failure of a checker that is up, with attempts left.
    Retrying,
    CameUp,
    WentDown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    phase: Phase,
    up: bool,
    has_run: bool,
    /// The URL that is probed next; 0 for other checkers.
    url: usize,
    /// Failures in a row of a checker that is up.
    failures: u32,
    /// The URL failed while the checker was going or being down: the round starts again once it passes.
    failed: bool,
}

impl Machine {
    /// A checker at rest; `up` until proven otherwise, or down until proven good.
    pub fn new(up: bool) -> Machine {
        Machine { phase: Phase::Resting, up, has_run: false, url: 0, failures: 0, failed: false }
    }

    pub fn up(&self) -> bool {
        self.up
    }

    pub fn has_run(&self) -> bool {
        self.has_run
    }

    /// The URL that the probe under way, or the next one, is for.
    pub fn url(&self) -> usize {
        self.url
    }

    /// Attempts that failed since the last that passed, while up.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When the next probe is due; `None` while one is under way or at rest.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { at } => Some(at),
            Phase::Resting | Phase::Probing { .. } => None,
        }
    }

    /// The number of the probe under way.
    pub fn attempt(&self) -> Option<u64> {
        match self.phase {
            Phase::Probing { attempt, .. } => Some(attempt),
            Phase::Resting | Phase::Waiting { .. } => None,
        }
    }

    /// When the probe under way was due.
    pub fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Probing { due, .. } => Some(due),
            Phase::Resting | Phase::Waiting { .. } => None,
        }
    }

    pub fn resting(&self) -> bool {
        self.phase == Phase::Resting
    }

    /// Begins, or goes on after a rest, with a probe at `at`.
    pub fn start(&mut self, at: Instant) {
        self.phase = Phase::Waiting { at };
    }

    /// Rests: what was found stays. True when a probe was under way.
    pub fn rest(&mut self) -> bool {
        let probing = self.attempt().is_some();
        self.phase = Phase::Resting;
        self.failures = 0;
        probing
    }

    /// The probe that was due at `due` starts, under the number `attempt`.
    pub fn probe(&mut self, attempt: u64, due: Instant) {
        self.phase = Phase::Probing { attempt, due };
    }

    /// The probe under way ended. The next is due `delay_loop` after this, `delay_before_retry` for a further attempt,
    /// at once for the next URL of a recovery with `fast_recovery`.
    pub fn ended(&mut self, passed: bool, config: &Checker, now: Instant) -> Change {
        let (change, delay_us) = if passed { self.passed(config) } else { self.failed(config) };
        self.phase = Phase::Waiting { at: now + Duration::from_micros(delay_us) };
        change
    }

    /// The same without a timer: a file or a BFD session has spoken.
    pub fn told(&mut self, up: bool) -> Change {
        self.has_run = true;
        match (std::mem::replace(&mut self.up, up), up) {
            (false, true) => Change::CameUp,
            (true, false) => Change::WentDown,
            _ => Change::None,
        }
    }

    fn passed(&mut self, config: &Checker) -> (Change, u64) {
        self.has_run = true;
        self.failures = 0;
        let Check::Http(http) = &config.check else {
            let change = if self.up { Change::None } else { Change::CameUp };
            self.up = true;
            return (change, config.delay_loop_us);
        };
        let last = self.url + 1 >= http.urls.len();
        let next = if last { 0 } else { self.url + 1 };
        if self.up {
            self.url = next;
            return (Change::None, config.delay_loop_us);
        }
        let between = if http.fast_recovery { 0 } else { config.delay_loop_us };
        if std::mem::take(&mut self.failed) {
            self.url = 0;
            return (Change::None, between);
        }
        self.url = next;
        if last {
            self.up = true;
            return (Change::CameUp, config.delay_loop_us);
        }
        (Change::None, between)
    }

    fn failed(&mut self, config: &Checker) -> (Change, u64) {
        self.has_run = true;
        if self.up && self.failures < config.retry {
            self.failures += 1;
            return (Change::Retrying, config.delay_before_retry_us);
        }
        self.failures = 0;
        self.failed = true;
        let change = if self.up { Change::WentDown } else { Change::None };
        self.up = false;
        (change, config.delay_loop_us)
    }
}
