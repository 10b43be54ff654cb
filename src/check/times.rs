//! How late checks start, how long they take and why they fail: all checkers together, by kind.

use std::collections::BTreeMap;
use std::time::Duration;

use super::io::Cause;
use crate::bus::timing::{CheckTimes, Histogram, KindTimes};
use crate::conf::model::Check;

/// Counted since the engine exists; a reload keeps it, and the kinds that it takes out of the configuration.
#[derive(Debug, Default)]
pub(super) struct Times {
    start_delay: Histogram,
    kinds: BTreeMap<&'static str, Kind>,
    moved: bool,
}

#[derive(Debug, Default)]
struct Kind {
    took: Histogram,
    failures: BTreeMap<&'static str, u64>,
}

impl Times {
    /// A kind is shown from the moment that it is configured.
    pub fn know(&mut self, check: &Check) {
        self.kinds.entry(check.kind()).or_default();
    }

    /// A check began, or was given up: what is under way has changed.
    pub fn moved(&mut self) {
        self.moved = true;
    }

    /// A check ended that began `delay` after it was due.
    pub fn ended(&mut self, check: &Check, delay: Duration, took: Duration, failure: Option<Cause>) {
        self.start_delay.observe(delay);
        self.kinds.entry(check.kind()).or_default().took.observe(took);
        self.found(check, failure);
    }

    /// Something was found without a check that takes time: a file says so.
    pub fn found(&mut self, check: &Check, failure: Option<Cause>) {
        self.moved = true;
        if let Some(cause) = failure {
            *self.kinds.entry(check.kind()).or_default().failures.entry(cause.name()).or_default() += 1;
        }
    }

    /// Whether readers have not heard of everything; from here on they have.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    pub fn row(&self, in_flight: u32) -> CheckTimes {
        let kind = |(name, kind): (&&'static str, &Kind)| KindTimes {
            kind: (*name).to_owned(),
            took: kind.took,
            // Those that never happened too, so that a rate sees the first.
            failures: Cause::REASONS
                .iter()
                .map(|&reason| (reason.to_owned(), kind.failures.get(reason).copied().unwrap_or(0)))
                .collect(),
        };
        CheckTimes { start_delay: self.start_delay, in_flight, kinds: self.kinds.iter().map(kind).collect() }
    }
}
