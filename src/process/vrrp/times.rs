//! How punctual this process is: what it tells of itself as rows, beside those of the engine.
//!
//! The engine says when a thing was due, since it alone knows; when it was done is seen here.

use std::cell::Cell;

use crate::bfd::engine::Engine as Sessions;
use crate::bus::outbox::{self, Outbox};
use crate::bus::rows::{Row, RowKey};
use crate::bus::timing::{Histogram, Peak, Pulse, VrrpTimes};
use crate::clock::{Instant, WallTime};
use crate::process::logging;
use crate::vrrp::engine::Engine;

/// Delays of adverts and takeovers, for [`RowKey::VrrpTimes`].
#[derive(Debug, Default)]
pub struct Times {
    advert_delay: Histogram,
    worst: Peak,
    takeover: Histogram,
    /// Something is to be told.
    stale: bool,
    /// The peak as it was told last.
    told_ns: Cell<u64>,
}

impl Times {
    /// An advert left at `now`.
    pub fn advert_left(&mut self, due: Instant, now: Instant) {
        let late = now.since(due);
        self.advert_delay.observe(late);
        self.worst.observe(late, now);
        self.stale = true;
    }

    /// Everything that belongs to a takeover is done at `now`.
    pub fn taken_over(&mut self, due: Instant, now: Instant) {
        self.takeover.observe(now.since(due));
        self.stale = true;
    }

    /// A peak passes without anything happening.
    fn look_again(&mut self, now: Instant) {
        self.stale |= self.worst.ns(now) != self.told_ns.get();
    }

    /// Tells readers what is new, as counters are told: within a second.
    pub fn tell(&mut self, outbox: &mut Outbox, now: Instant) {
        if std::mem::take(&mut self.stale) {
            outbox.counted(RowKey::VrrpTimes, now);
        }
    }

    fn row(&self, now: Instant) -> VrrpTimes {
        let advert_delay_max_ns = self.worst.ns(now);
        self.told_ns.set(advert_delay_max_ns);
        VrrpTimes { advert_delay: self.advert_delay, advert_delay_max_ns, takeover: self.takeover }
    }
}

/// The heartbeat, and how late the loop is.
#[derive(Debug)]
pub struct Heart {
    next_at: Instant,
    lag: Histogram,
    worst: Peak,
    /// Begin of the turn before: what was due by then has been done in it. Nothing is later than since then, whatever
    /// deadline an input made up meanwhile.
    turned_at: Instant,
    wall: WallTime,
}

impl Heart {
    pub fn new(now: Instant, wall: WallTime) -> Heart {
        Heart { next_at: now, lag: Histogram::default(), worst: Peak::default(), turned_at: now, wall }
    }

    pub fn deadline(&self) -> Instant {
        self.next_at
    }

    /// A turn of the loop begins that was to begin at `due` at the latest.
    pub fn turn(&mut self, due: Option<Instant>, now: Instant, wall: WallTime) {
        if let Some(due) = due.filter(|due| *due <= now) {
            let late = now.since(due.max(self.turned_at));
            self.lag.observe(late);
            self.worst.observe(late, now);
        }
        self.turned_at = now;
        self.wall = wall;
    }

    /// Beats if it is time.
    pub fn beat(&mut self, times: &mut Times, outbox: &mut Outbox, now: Instant) {
        if now < self.next_at {
            return;
        }
        self.next_at = now + Pulse::EVERY;
        times.look_again(now);
        outbox.changed(RowKey::Pulse);
    }

    fn row(&self, now: Instant) -> Pulse {
        Pulse { at: self.wall, lag: self.lag, lag_max_ns: self.worst.ns(now), logged: logging::counts() }
    }
}

/// Every row of this process, as the outbox asks for them.
pub struct AllRows<'a> {
    pub engine: &'a Engine,
    pub bfd: &'a Sessions,
    pub times: &'a Times,
    pub heart: &'a Heart,
    pub now: Instant,
}

impl outbox::Rows for AllRows<'_> {
    fn row(&self, key: &RowKey) -> Option<Row> {
        match key {
            RowKey::Pulse => Some(Row::Pulse(Box::new(self.heart.row(self.now)))),
            RowKey::VrrpTimes => Some(Row::VrrpTimes(Box::new(self.times.row(self.now)))),
            RowKey::Bfd(_) => self.bfd.row(key),
            key => self.engine.row(key),
        }
    }

    fn keys(&self) -> Vec<RowKey> {
        let mut keys = self.engine.keys();
        keys.extend(self.bfd.keys());
        keys.extend([RowKey::Pulse, RowKey::VrrpTimes]);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::msg::{Feed, ToBridge};
    use crate::bus::outbox::Sent;
    use crate::conf::model::Config;
    use crate::vrrp::engine::EngineOptions;

    fn at_ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    struct Process {
        engine: Engine,
        times: Times,
        heart: Heart,
        outbox: Outbox,
    }

    impl Process {
        fn new() -> Process {
            let engine = Engine::new(&Config::default(), EngineOptions::default(), at_ms(0), WallTime(0));
            let mut outbox = Outbox::new(1);
            outbox.connected();
            Process { engine, times: Times::default(), heart: Heart::new(at_ms(0), WallTime(0)), outbox }
        }

        /// One turn of the loop: what the bridge hears of delays and of the process.
        fn turn(&mut self, due: Option<Instant>, now: Instant) -> (Option<VrrpTimes>, Option<Pulse>) {
            self.heart.turn(due, now, WallTime(now.nanos()));
            self.heart.beat(&mut self.times, &mut self.outbox, now);
            self.times.tell(&mut self.outbox, now);
            let rows =
                AllRows { engine: &self.engine, bfd: &Sessions::new(0), times: &self.times, heart: &self.heart, now };
            let (mut times, mut pulse) = (None, None);
            self.outbox.pump(&rows, now, |frame| {
                for message in crate::bus::frame::decode(frame).expect("own words") {
                    match message {
                        ToBridge::Feed(Feed::Row(_, Row::VrrpTimes(row))) => {
                            times = Some(*row);
                        }
                        ToBridge::Feed(Feed::Row(_, Row::Pulse(row))) => {
                            pulse = Some(*row);
                        }
                        _ => {}
                    }
                }
                Sent::Yes
            });
            (times, pulse)
        }
    }

    #[test]
    fn a_new_bridge_hears_both_rows_and_then_a_pulse_each_two_seconds_and_delays_when_there_are_new_ones() {
        let mut process = Process::new();
        let (times, pulse) = process.turn(None, at_ms(0));
        assert_eq!(times, Some(VrrpTimes::default()));
        assert_eq!(pulse.map(|pulse| (pulse.at, pulse.lag.count())), Some((WallTime(0), 0)));
        assert_eq!(process.heart.deadline(), at_ms(2000));
        assert_eq!(process.turn(None, at_ms(1999)), (None, None));
        let (times, pulse) = process.turn(Some(at_ms(2000)), at_ms(2003));
        assert_eq!(times, None);
        let pulse = pulse.expect("it is time");
        assert_eq!((pulse.at, pulse.lag.sum_ns, pulse.lag_max_ns), (WallTime(2_003_000_000), 3_000_000, 3_000_000));

        process.times.advert_left(at_ms(2003), at_ms(2004));
        assert_eq!(process.turn(None, at_ms(2004)), (None, None), "as counters, within a second");
        process.times.taken_over(at_ms(2000), at_ms(2500));
        let (times, _) = process.turn(None, at_ms(3004));
        let times = times.expect("a second later");
        assert_eq!((times.advert_delay.count(), times.advert_delay_max_ns), (1, 1_000_000));
        assert_eq!((times.takeover.count(), times.takeover.sum_ns), (1, 500_000_000));
    }

    #[test]
    fn a_peak_that_has_passed_is_told_although_nothing_happens_any_more() {
        let mut process = Process::new();
        process.turn(None, at_ms(0));
        process.times.advert_left(at_ms(20_000), at_ms(20_009));
        let mut told = vec![];
        for second in 20..60 {
            let (times, _) = process.turn(None, at_ms(second * 1000 + 10));
            told.extend(times.map(|times| (second, times.advert_delay_max_ns)));
        }
        let [(first, peak), (second, none)] = told[..] else { panic!("{told:?}") };
        assert_eq!((peak, none), (9_000_000, 0));
        assert!(first <= 22 && (40..=44).contains(&second), "{told:?}");
    }

    #[test]
    fn a_deadline_that_an_input_puts_into_the_past_is_not_lateness() {
        let mut process = Process::new();
        process.heart.turn(None, at_ms(5000), WallTime(0));
        // In the turn of 5000 something was planned for 1000.
        process.heart.turn(Some(at_ms(1000)), at_ms(5001), WallTime(0));
        // And a turn that takes 40 ms lets what is due after 10 wait for 30.
        process.heart.turn(Some(at_ms(5011)), at_ms(5041), WallTime(0));
        process.heart.turn(Some(at_ms(9000)), at_ms(6000), WallTime(0));
        let (_, pulse) = process.turn(None, at_ms(6001));
        let lag = pulse.expect("it is time").lag;
        assert_eq!((lag.count(), lag.sum_ns), (2, 31_000_000));
    }
}
