//! The heartbeat of a process that shows how late its loop is for what is due.

use std::time::Duration;

use crate::bus::timing::{Histogram, Logged, Pulse};
use crate::clock::{Instant, WallTime};

/// The largest of what was seen within the last one to two periods.
#[derive(Debug, Clone)]
pub struct Recent {
    since: Instant,
    now: u64,
    before: u64,
}

impl Recent {
    const PERIOD: Duration = Duration::from_secs(10);

    pub fn new(now: Instant) -> Recent {
        Recent { since: now, now: 0, before: 0 }
    }

    pub fn see(&mut self, value: u64, now: Instant) {
        self.turn(now);
        self.now = self.now.max(value);
    }

    pub fn max(&mut self, now: Instant) -> u64 {
        self.turn(now);
        self.now.max(self.before)
    }

    fn turn(&mut self, now: Instant) {
        let passed = now.since(self.since);
        if passed >= 2 * Self::PERIOD {
            *self = Recent::new(now);
        } else if passed >= Self::PERIOD {
            (self.before, self.now) = (self.now, 0);
            self.since += Self::PERIOD;
        }
    }
}

/// Beats every [`Pulse::EVERY`].
#[derive(Debug)]
pub struct Heart {
    lag: Histogram,
    worst: Recent,
    due: Instant,
    /// What was said last.
    pub pulse: Pulse,
}

impl Heart {
    /// The first beat is due at once.
    pub fn new(now: Instant) -> Heart {
        Heart { lag: Histogram::default(), worst: Recent::new(now), due: now, pulse: Pulse::default() }
    }

    /// When to ask [`Self::beats`].
    pub fn deadline(&self) -> Instant {
        self.due
    }

    /// The loop goes on at `now`, and had asked to be woken at `deadline`.
    pub fn woken(&mut self, deadline: Option<Instant>, now: Instant) {
        let Some(deadline) = deadline.filter(|at| *at <= now) else { return };
        let lag = now.since(deadline);
        self.lag.observe(lag);
        self.worst.see(u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX), now);
    }

    /// Whether there is a new [`Self::pulse`] to be told.
    pub fn beats(&mut self, now: Instant, wall: WallTime, logged: impl FnOnce() -> Logged) -> bool {
        if now < self.due {
            return false;
        }
        self.due = now + Pulse::EVERY;
        self.pulse = Pulse { at: wall, lag: self.lag, lag_max_ns: self.worst.max(now), logged: logged() };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_heart_beats_at_once_and_then_every_two_seconds() {
        let mut heart = Heart::new(at(500));
        let logged = Logged { error: 3, ..Logged::default() };
        assert!(heart.beats(at(500), WallTime(7), || logged));
        assert_eq!((heart.pulse.at, heart.pulse.logged, heart.deadline()), (WallTime(7), logged, at(2500)));
        assert!(!heart.beats(at(2499), WallTime(8), || panic!("nobody asks")));
        assert!(heart.beats(at(2501), WallTime(9), Logged::default));
    }

    #[test]
    fn a_loop_is_late_by_what_it_overslept_and_what_came_before_its_deadline_does_not_count() {
        let mut heart = Heart::new(at(0));
        heart.woken(Some(at(50)), at(40));
        heart.woken(None, at(40));
        heart.woken(Some(at(50)), at(53));
        heart.woken(Some(at(60)), at(60));
        assert!(heart.beats(at(60), WallTime(0), Logged::default));
        assert_eq!(
            (heart.pulse.lag.count(), heart.pulse.lag.sum_ns, heart.pulse.lag_max_ns),
            (2, 3_000_000, 3_000_000)
        );
    }

    #[test]
    fn the_worst_is_remembered_for_ten_seconds_and_forgotten_after_twenty() {
        for seen in [0, 3_000, 9_999] {
            let mut recent = Recent::new(at(0));
            recent.see(5, at(seen));
            let mut now = seen;
            while now < seen + 10_000 {
                assert_eq!(recent.max(at(now)), 5, "seen at {seen} ms, asked at {now} ms");
                now += 500;
            }
            assert_eq!(recent.max(at(seen + 20_000)), 0, "seen at {seen} ms");
        }
        let mut recent = Recent::new(at(0));
        recent.see(5, at(1));
        assert_eq!(recent.max(at(40_000)), 0, "even if nobody asked in between");
    }
}
