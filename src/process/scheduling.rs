//! How an engine process is scheduled, and what it may still do.

use std::time::Duration;

use tracing::{info, warn};

use crate::clock::Instant;
use crate::conf::model::{AutoPriority, RealTime};
use crate::sys::privileges::{self, Capability};

/// Scheduling as the configuration asks, whose directives begin with `prefix` (`vrrp`, `checker`); what the host refuses is
/// said and lived without. Then every right goes that is not in `kept`, but for that to raise the priority later on.
pub fn settle(prefix: &str, realtime: &RealTime, auto: AutoPriority, kept: &[Capability]) -> Auto {
    let mut tried = Vec::new();
    if realtime.nice != 0 {
        tried.push(("priority", privileges::nice(realtime.nice)));
    }
    if !realtime.cpus.is_empty() {
        tried.push(("cpu_affinity", privileges::affinity(&realtime.cpus)));
    }
    if let Some(priority) = realtime.rt_priority {
        tried.push(("rt_priority", privileges::real_time(priority, realtime.rlimit_rttime_us)));
    }
    if realtime.lock_memory {
        tried.push(("no_swap", privileges::lock_memory()));
    }
    for (directive, result) in tried {
        if let Err(error) = result {
            warn!("{prefix}_{directive} has no effect: {error}");
        }
    }
    let auto = Auto::new(auto, realtime);
    let raises = auto.may_rise().then_some(Capability::SysNice);
    let kept: Vec<Capability> = kept.iter().copied().chain(raises).collect();
    if let Err(error) = privileges::keep(&kept) {
        warn!("cannot drop capabilities that are not needed: {error}");
    }
    auto
}

/// `max_auto_priority`: each time that this process is woken too late, its real-time priority goes up by one, as far as that
/// goes. It stays up until the process ends.
#[derive(Debug, Default)]
pub struct Auto {
    max: u8,
    too_late: Duration,
    rttime_us: u32,
    /// Zero: the usual scheduler.
    priority: u8,
    slept_at: Instant,
}

impl Auto {
    /// A priority that the configuration gives is not touched.
    fn new(auto: AutoPriority, realtime: &RealTime) -> Auto {
        Auto {
            max: if realtime.rt_priority.is_some() { 0 } else { auto.max },
            too_late: Duration::from_micros(auto.delay_us.into()),
            rttime_us: realtime.rlimit_rttime_us,
            ..Auto::default()
        }
    }

    fn may_rise(&self) -> bool {
        self.priority < self.max
    }

    /// The loop has nothing to do. What fell due before was late because of what it did, not because of the scheduler.
    pub fn sleeps(&mut self, now: impl FnOnce() -> Instant) {
        if self.may_rise() {
            self.slept_at = now();
        }
    }

    /// The loop goes on at `now`, and had asked to be woken at `due`.
    pub fn woken(&mut self, due: Option<Instant>, now: Instant) {
        let Some((priority, late)) = self.next(due, now) else { return };
        match privileges::real_time(priority, self.rttime_us) {
            Ok(()) => {
                info!("woken {} ms too late: the real-time priority is {priority} now", late.as_millis());
                self.priority = priority;
            }
            Err(error) => {
                warn!("max_auto_priority has no effect: {error}");
                self.max = 0;
            }
        }
    }

    /// The priority to take, and why.
    fn next(&self, due: Option<Instant>, now: Instant) -> Option<(u8, Duration)> {
        let late = now.since(due?.max(self.slept_at));
        (self.may_rise() && late >= self.too_late).then(|| (self.priority + 1, late))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn auto(max: u8) -> Auto {
        Auto::new(AutoPriority { max, delay_us: 50_000 }, &RealTime::default())
    }

    fn steps(mut auto: Auto, turns: &[(u64, u64)]) -> Vec<u8> {
        let mut taken = vec![];
        for (due, now) in turns {
            auto.sleeps(|| at(*due - 1));
            if let Some((priority, _)) = auto.next(Some(at(*due)), at(*now)) {
                auto.priority = priority;
                taken.push(priority);
            }
        }
        taken
    }

    #[test]
    fn each_wake_that_is_too_late_raises_the_priority_by_one_up_to_the_limit() {
        let turns = [(100, 149), (200, 250), (300, 301), (400, 500), (600, 900), (1000, 1100)];
        assert_eq!(steps(auto(3), &turns), [1, 2, 3]);
        assert_eq!(steps(auto(99), &turns), [1, 2, 3, 4]);
        assert_eq!(steps(auto(0), &turns), [0; 0]);
    }

    #[test]
    fn what_fell_due_during_a_long_turn_was_not_woken_late() {
        let mut auto = auto(9);
        auto.sleeps(|| at(1000));
        assert_eq!(auto.next(Some(at(10)), at(1001)), None);
        assert_eq!(auto.next(Some(at(10)), at(1050)).map(|(priority, _)| priority), Some(1));
    }

    #[test]
    fn a_priority_of_the_configuration_s_own_stays_and_nothing_is_late_that_was_not_due() {
        assert_eq!(auto(9).next(None, at(5000)), None);
        let configured = RealTime { rt_priority: Some(5), ..RealTime::default() };
        assert!(!Auto::new(AutoPriority { max: 9, delay_us: 1 }, &configured).may_rise());
    }
}
