//! A token bucket, as `rate_limit` of the exporter toolkit describes one.

use std::time::Duration;

use crate::clock::Instant;

/// A request each `interval`, and up to `burst` at once.
#[derive(Debug, Clone)]
pub struct Bucket {
    interval: Duration,
    /// Full at this moment, or before: what is counted is time, `burst` intervals of it at most.
    empty_until: Instant,
    burst: u32,
}

impl Bucket {
    pub fn new(interval: Duration, burst: u32) -> Bucket {
        Bucket { interval, empty_until: Instant::ZERO, burst }
    }

    /// Takes a token if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        // When the bucket would be full again after this request: at most `burst` intervals ahead.
        let full_at = self.empty_until.max(now) + self.interval;
        if full_at.since(now) > self.interval * self.burst {
            return false;
        }
        self.empty_until = full_at;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_one_each_interval() {
        let mut bucket = Bucket::new(Duration::from_millis(100), 3);
        let at = |ms: u64| Instant::from_nanos((1000 + ms) * 1_000_000);
        let taken = |bucket: &mut Bucket, ms| bucket.take(at(ms));
        assert_eq!([0, 0, 0, 0].map(|ms| taken(&mut bucket, ms)), [true, true, true, false]);
        assert_eq!([99, 100, 100, 199, 200].map(|ms| taken(&mut bucket, ms)), [false, true, false, false, true]);
        assert_eq!(
            [5000, 5000, 5000, 5000].map(|ms| taken(&mut bucket, ms)),
            [true, true, true, false],
            "it fills up, and no more"
        );
    }
}
