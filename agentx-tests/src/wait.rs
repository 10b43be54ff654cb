//! Waiting for conditions, with deadlines.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Polls `probe` until it gives a value; panics with `what` when `limit` is over.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, probe: impl FnMut() -> Option<T>) -> T {
    match within(limit, probe) {
        Some(value) => value,
        None => panic!("waited {limit:?} in vain: {what}"),
    }
}

/// Polls `probe` until it gives a value or `limit` is over.
pub fn within<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Lets the lab run for a while that is itself the experiment: what must hold during it is checked afterwards.
pub fn observe(window: Duration) {
    std::thread::sleep(window);
}

/// When this machine itself woke sleeping threads late: what no program under test can be blamed for. A virtual machine
/// that its host suspends, or processors busy with something else, delay a witness and a daemon alike.
#[derive(Debug)]
pub struct Stalls {
    stop: Arc<AtomicBool>,
    /// One for each processor.
    watchers: Vec<JoinHandle<()>>,
    /// For each processor: when a sleep should have ended and when it did, ns since 1970, if that was late.
    late: Arc<Vec<Late>>,
}

type Late = Mutex<Vec<(u64, u64)>>;

impl Stalls {
    /// Sleeps for 2 ms again and again, on each processor.
    pub fn watch() -> Stalls {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let stop = Arc::<AtomicBool>::default();
        let late = Arc::new((0..processors).map(|_| Mutex::default()).collect::<Vec<Late>>());
        let watcher = |processor: usize| {
            let (stop, late) = (Arc::clone(&stop), Arc::clone(&late));
            std::thread::spawn(move || {
                let mut here = CpuSet::new();
                if here.set(processor).is_err() || sched_setaffinity(Pid::from_raw(0), &here).is_err() {
                    return;
                }
                while !stop.load(Ordering::Relaxed) {
                    let due = now_ns() + 2_000_000;
                    std::thread::sleep(Duration::from_millis(2));
                    let woken = now_ns();
                    if woken > due + 1_000_000
                        && let Ok(mut late) = late[processor].lock()
                    {
                        late.push((due, woken));
                    }
                }
            })
        };
        let watchers = (0..processors).map(watcher).collect();
        Stalls { stop, watchers, late }
    }

    /// As if it had watched one processor and seen these.
    #[cfg(test)]
    pub(crate) fn of(late: &[(u64, u64)]) -> Stalls {
        Stalls { stop: Arc::default(), watchers: Vec::new(), late: Arc::new(vec![Mutex::new(late.to_vec())]) }
    }

    /// For how long of the time from `from` to `to` (ns since 1970) a thread that was due did not run, on the processor
    /// where that was longest.
    pub fn within(&self, from: u64, to: u64) -> u64 {
        let on = |late: &Late| -> u64 {
            let late = late.lock().map(|late| late.clone()).unwrap_or_default();
            late.iter().map(|(due, woken)| (*woken).min(to).saturating_sub((*due).max(from))).sum()
        };
        self.late.iter().map(on).max().unwrap_or(0)
    }
}

impl Stalls {
    /// The longest time from `from` to `to` for which a thread that was due did not run, on any processor.
    pub fn longest(&self, from: u64, to: u64) -> u64 {
        let on = |late: &Late| -> u64 {
            let late = late.lock().map(|late| late.clone()).unwrap_or_default();
            late.iter().map(|(due, woken)| (*woken).min(to).saturating_sub((*due).max(from))).max().unwrap_or(0)
        };
        self.late.iter().map(on).max().unwrap_or(0)
    }

    /// Waits until this machine has been quiet for five seconds, `limit` at most; says whether it was.
    pub fn until_quiet(&self, limit: Duration) -> bool {
        let began = now_ns();
        let quiet = || {
            let now = now_ns();
            (now >= began + 5_000_000_000 && self.within(now - 5_000_000_000, now) < 100_000_000).then_some(())
        };
        within(limit, quiet).is_some()
    }
}

/// An experiment whose deadlines are shorter than what a virtual machine may stand still: it is made again, twice at most,
/// if it fails while this one did for [`STOOD_STILL`]. A failure without such a moment is a failure.
#[track_caller]
pub fn unless_stalled(experiment: impl Fn()) {
    unless(&Stalls::watch(), Duration::from_secs(60), experiment);
}

/// See [`unless_stalled`]; `patience` is for the machine to become quiet.
#[track_caller]
fn unless(stalls: &Stalls, patience: Duration, experiment: impl Fn()) {
    for left in (0..3).rev() {
        let began = now_ns();
        let Err(panic) = catch_unwind(AssertUnwindSafe(&experiment)) else { return };
        let longest = stalls.longest(began, now_ns());
        if left == 0 || longest < STOOD_STILL {
            resume_unwind(panic);
        }
        println!(
            "failed, and meanwhile this machine stood still for {} s: once more when it is quiet",
            seconds(longest)
        );
        stalls.until_quiet(patience);
    }
}

/// Half of an advertisement interval of the labs, ns.
const STOOD_STILL: u64 = 50_000_000;

impl Drop for Stalls {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for watcher in self.watchers.drain(..) {
            let _ = watcher.join();
        }
    }
}

/// Wall clock in nanoseconds since 1970, comparable with a [`crate::capture::Witness`]'s time stamps.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Nanoseconds as seconds.
pub fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// How often an experiment is made that fails so many times, and whether it has failed in the end.
    fn made(stalls: &Stalls, failures: u32) -> (u32, bool) {
        let times = Cell::new(0);
        let experiment = || {
            times.set(times.get() + 1);
            assert!(times.get() > failures, "wrong");
        };
        let failed = catch_unwind(AssertUnwindSafe(|| unless(stalls, Duration::ZERO, experiment))).is_err();
        (times.get(), failed)
    }

    #[test]
    fn only_what_fails_while_the_machine_stands_still_is_made_again_and_not_for_ever() {
        let running = Stalls::of(&[]);
        assert_eq!((made(&running, 0), made(&running, 1)), ((1, false), (1, true)));
        let still = Stalls::of(&[(0, u64::MAX)]);
        // As long as the experiment takes is too short to be called a stall.
        assert_eq!(made(&still, 1), (1, true));
        let slow = |failures: u32| {
            let times = Cell::new(0);
            let experiment = || {
                times.set(times.get() + 1);
                observe(Duration::from_nanos(STOOD_STILL));
                assert!(times.get() > failures, "wrong");
            };
            let failed = catch_unwind(AssertUnwindSafe(|| unless(&still, Duration::ZERO, experiment))).is_err();
            (times.get(), failed)
        };
        assert_eq!((slow(1), slow(2), slow(3)), ((2, false), (3, false), (3, true)));
    }
}
