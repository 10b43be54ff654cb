//! Waiting for conditions, with deadlines.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// Wall clock in nanoseconds since 1970, comparable with a [`crate::capture::Witness`]'s time stamps.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Nanoseconds as seconds.
pub fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
