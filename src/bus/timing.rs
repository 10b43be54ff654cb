//! How long things took, counted where they happen and shown as histograms.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Instant, WallTime};

/// Upper bounds of a histogram's buckets, nanoseconds: 0.5 ms to 2.5 s. One set for all, so that they can be compared.
pub const BOUNDS_NS: [u64; 12] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
];

/// Observations by size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// How many were at most [`BOUNDS_NS`] and above the bound before; the last are above all of them.
    pub buckets: [u64; 13],
    pub sum_ns: u64,
}

impl Histogram {
    pub fn observe(&mut self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let at = BOUNDS_NS.partition_point(|bound| *bound < ns);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
        self.sum_ns = self.sum_ns.saturating_add(ns);
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What both have seen together.
    #[must_use]
    pub fn plus(mut self, other: &Histogram) -> Histogram {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(mine, other)| *mine += other);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self
    }
}

/// The largest of recent observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peak {
    /// When the present window began.
    since: Instant,
    ns: u64,
    /// Of the window before.
    before_ns: u64,
}

impl Peak {
    /// Two of these are remembered: the present one and that before it.
    pub const WINDOW: Duration = Duration::from_secs(10);

    pub fn observe(&mut self, took: Duration, now: Instant) {
        self.turn(now);
        self.ns = self.ns.max(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The largest of the last 10 to 20 s, nanoseconds; 0 if there was none.
    pub fn ns(mut self, now: Instant) -> u64 {
        self.turn(now);
        self.ns.max(self.before_ns)
    }

    fn turn(&mut self, now: Instant) {
        let passed = now.since(self.since);
        if passed < Self::WINDOW {
            return;
        }
        // After two windows without an observation nothing is left.
        let next = passed < Self::WINDOW * 2;
        *self = match next {
            true => Peak { since: self.since + Self::WINDOW, ns: 0, before_ns: self.ns },
            false => Peak { since: now, ns: 0, before_ns: 0 },
        };
    }
}

/// An engine process as a process: sent every [`Pulse::EVERY`], whether or not anything has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pulse {
    pub at: WallTime,
    /// How late its loop was for what was due.
    pub lag: Histogram,
    /// The worst of these within the last 10 to 20 s.
    pub lag_max_ns: u64,
    pub logged: Logged,
}

impl Pulse {
    pub const EVERY: Duration = Duration::from_secs(2);
    /// A process that was silent for longer counts as stuck.
    pub const PATIENCE: Duration = Duration::from_secs(5);
}

/// Lines that a process gave to its log, by level, and those that did not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Logged {
    pub error: u64,
    pub warning: u64,
    pub info: u64,
    pub debug: u64,
    pub lost: u64,
}

/// How punctual VRRP is, all instances together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VrrpTimes {
    /// From an advert's due time to its departure.
    pub advert_delay: Histogram,
    /// The worst of these within the last 10 to 20 s.
    pub advert_delay_max_ns: u64,
    /// From the master down timer's expiry to the last address set and the first announcement sent.
    pub takeover: Histogram,
}

/// What checkers do, all of them together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CheckTimes {
    /// From a check's due time to its start.
    pub start_delay: Histogram,
    /// Under way.
    pub in_flight: u32,
    /// By kind of checker, for those kinds that are configured or have been.
    pub kinds: Vec<KindTimes>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KindTimes {
    /// `tcp`, `http`, `ssl`, `smtp`, `dns`, `udp`, `ping`, `misc`, `file`, `bfd`.
    pub kind: String,
    pub took: Histogram,
    /// By the name of the cause (`timeout`, `refused`, ...).
    pub failures: Vec<(String, u64)>,
}

/// What became of scripts and mails, from the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunnerPulse {
    pub at: WallTime,
    /// Notify scripts.
    pub scripts: Deliveries,
    pub mails: Deliveries,
    /// Lines for FIFOs: sent when the kernel took them.
    pub fifos: Deliveries,
    pub logged: Logged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deliveries {
    pub sent: u64,
    pub failed: u64,
    pub timeout: u64,
    /// There was no room, or no way.
    pub dropped: u64,
    pub waiting: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_at_a_bound_belongs_below_it() {
        let mut times = Histogram::default();
        for us in [0, 500, 501, 2_500_000, 2_500_001, u64::MAX / 1000] {
            times.observe(Duration::from_micros(us));
        }
        assert_eq!(times.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((times.count(), times.plus(&times).count()), (6, 12));
    }

    #[test]
    fn a_peak_is_forgotten_after_ten_to_twenty_seconds() {
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let mut peak = Peak::default();
        peak.observe(Duration::from_nanos(7), at(100_000));
        peak.observe(Duration::from_nanos(5), at(109_999));
        assert_eq!((peak.ns(at(109_999)), peak.ns(at(119_999)), peak.ns(at(120_000))), (7, 7, 0));
        peak.observe(Duration::from_nanos(3), at(115_000));
        assert_eq!(
            (peak.ns(at(119_999)), peak.ns(at(120_000)), peak.ns(at(129_999)), peak.ns(at(130_000))),
            (7, 3, 3, 0)
        );
        peak.observe(Duration::from_nanos(1), at(500_000));
        assert_eq!(peak.ns(at(500_000)), 1);
    }
}
