//! When neighbours are told where the addresses are: gratuitous ARP and unsolicited neighbour advertisements.
//!
//! An address has at most one burst under way, so that the memory here is bounded by the configuration. Messages of
//! one lane (an interface, or a `garp_group`, and a family) keep its gap. All lanes together send a [`VOLLEY`] at a time.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::io::IfIndex;
use crate::clock::Instant;
use crate::conf::model::Family;

/// Messages sent before sockets and other deadlines get their turn.
pub const VOLLEY: u32 = 256;
/// Pause between volleys.
pub const BREATH: Duration = Duration::from_millis(1);

/// Messages that share a pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    Interface(IfIndex, Family),
    /// Position in `garp_groups`.
    Group(usize, Family),
}

/// An address to announce: slot of its instance, and position from 1.
pub type Announced = (u32, u32);

#[derive(Debug, Default)]
pub struct Announcer {
    lanes: HashMap<Lane, Queue>,
    /// Messages left for each address; zero is a cancelled one that still stands in its queue.
    left: HashMap<Announced, u32>,
    due: BTreeSet<(Instant, Lane)>,
    /// What is left of the volley, and when the next one may leave.
    volley: u32,
    next_volley_at: Instant,
}

#[derive(Debug, Default)]
struct Queue {
    gap: Duration,
    waiting: VecDeque<Announced>,
    /// No message before this.
    free_at: Instant,
    due_at: Option<Instant>,
}

impl Announcer {
    /// Wants `repeat` messages for an address, in place of what was still wanted for it.
    pub fn enqueue(&mut self, what: Announced, lane: Lane, gap: Duration, repeat: u32, now: Instant) {
        if repeat == 0 {
            return;
        }
        let queue = self.lanes.entry(lane).or_default();
        queue.gap = gap;
        if self.left.insert(what, repeat).is_none() {
            queue.waiting.push_back(what);
        }
        if queue.due_at.is_none() {
            let at = queue.free_at.max(now);
            queue.due_at = Some(at);
            self.due.insert((at, lane));
        }
    }

    /// The address is no longer ours: nothing more is said about it.
    pub fn cancel(&mut self, what: Announced) {
        if let Some(left) = self.left.get_mut(&what) {
            *left = 0;
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Hands out what may be sent now. Rounds go over all addresses of a lane before one is repeated.
    pub fn take(&mut self, now: Instant, mut send: impl FnMut(Announced)) {
        if now >= self.next_volley_at {
            self.volley = VOLLEY;
            self.next_volley_at = now + BREATH;
        }
        while let Some((at, lane)) = self.due.first().copied() {
            if at > now {
                return;
            }
            if self.volley == 0 {
                return self.breathe(now);
            }
            self.due.remove(&(at, lane));
            let Some(queue) = self.lanes.get_mut(&lane) else { continue };
            queue.due_at = None;
            queue.free_at = queue.free_at.max(now);
            while self.volley > 0
                && let Some(what) = queue.waiting.pop_front()
            {
                let left = self.left.get(&what).copied().unwrap_or(0);
                if left == 0 {
                    self.left.remove(&what);
                    continue;
                }
                send(what);
                self.volley -= 1;
                if left > 1 {
                    self.left.insert(what, left - 1);
                    queue.waiting.push_back(what);
                } else {
                    self.left.remove(&what);
                }
                if !queue.gap.is_zero() {
                    queue.free_at = now + queue.gap;
                    break;
                }
            }
            if queue.waiting.is_empty() {
                continue;
            }
            queue.due_at = Some(queue.free_at);
            self.due.insert((queue.free_at, lane));
        }
    }

    /// Lanes that are due wait for the next volley.
    fn breathe(&mut self, now: Instant) {
        let later = self.next_volley_at;
        let late: Vec<(Instant, Lane)> =
            self.due.range(..=(now, Lane::Group(usize::MAX, Family::V6))).copied().collect();
        for (at, lane) in late {
            self.due.remove(&(at, lane));
            self.due.insert((later, lane));
            if let Some(queue) = self.lanes.get_mut(&lane) {
                queue.due_at = Some(later);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Lane = Lane::Interface(2, Family::V4);

    fn at_ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn taken(announcer: &mut Announcer, now: Instant) -> Vec<Announced> {
        let mut sent = Vec::new();
        announcer.take(now, |what| sent.push(what));
        sent
    }

    #[test]
    fn every_address_is_announced_once_before_one_is_repeated() {
        let mut announcer = Announcer::default();
        for position in 1..=2 {
            announcer.enqueue((0, position), LANE, Duration::ZERO, 2, at_ms(5));
        }
        assert_eq!(announcer.deadline(), Some(at_ms(5)));
        assert_eq!(taken(&mut announcer, at_ms(5)), [(0, 1), (0, 2), (0, 1), (0, 2)]);
        assert_eq!(announcer.deadline(), None);
    }

    #[test]
    fn a_gap_is_kept_also_between_bursts() {
        let mut announcer = Announcer::default();
        announcer.enqueue((0, 1), LANE, Duration::from_millis(10), 2, at_ms(0));
        assert_eq!(taken(&mut announcer, at_ms(0)), [(0, 1)]);
        assert_eq!(announcer.deadline(), Some(at_ms(10)));
        assert_eq!(taken(&mut announcer, at_ms(9)), []);
        assert_eq!(taken(&mut announcer, at_ms(10)), [(0, 1)]);
        assert_eq!(announcer.deadline(), None);
        announcer.enqueue((0, 1), LANE, Duration::from_millis(10), 1, at_ms(12));
        assert_eq!(announcer.deadline(), Some(at_ms(20)));
    }

    #[test]
    fn thousands_of_addresses_leave_in_volleys_and_a_second_burst_replaces_the_first() {
        let mut announcer = Announcer::default();
        for _ in 0..3 {
            for position in 1..=1000 {
                announcer.enqueue((0, position), LANE, Duration::ZERO, 5, at_ms(0));
            }
        }
        assert_eq!(taken(&mut announcer, at_ms(0)).len(), 256);
        assert_eq!(announcer.deadline(), Some(at_ms(1)));
        let mut sent = 256;
        let mut now = at_ms(1);
        while let Some(at) = announcer.deadline() {
            now = at;
            let volley = taken(&mut announcer, now).len();
            assert!(volley <= 256);
            sent += volley;
        }
        assert_eq!(sent, 5000);
        assert_eq!(now, at_ms(5000 / 256));
    }

    #[test]
    fn many_lanes_share_one_volley() {
        let mut announcer = Announcer::default();
        let mut sent = 0;
        for index in 0..1000 {
            let lane = Lane::Interface(index, Family::V4);
            announcer.enqueue((index, 1), lane, Duration::ZERO, 5, at_ms(0));
            sent += taken(&mut announcer, at_ms(0)).len();
        }
        assert_eq!(sent, 256);
        while let Some(at) = announcer.deadline() {
            let volley = taken(&mut announcer, at).len();
            assert!((1..=256).contains(&volley));
            sent += volley;
        }
        assert_eq!(sent, 5000);
    }

    #[test]
    fn nothing_is_said_about_an_address_that_left() {
        let mut announcer = Announcer::default();
        announcer.enqueue((0, 1), LANE, Duration::from_millis(10), 5, at_ms(0));
        announcer.enqueue((0, 2), LANE, Duration::from_millis(10), 1, at_ms(0));
        assert_eq!(taken(&mut announcer, at_ms(0)), [(0, 1)]);
        announcer.cancel((0, 1));
        assert_eq!(taken(&mut announcer, at_ms(10)), [(0, 2)]);
        assert_eq!(taken(&mut announcer, at_ms(20)), []);
        assert_eq!(announcer.deadline(), None);
    }
}
