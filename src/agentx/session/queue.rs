//! Notifications that wait for a session.

use std::collections::VecDeque;

use crate::clock::Instant;
use crate::conf::model::QueueSettings;
use crate::mib::trap::tally::Tallies;
use crate::mib::trap::{self, Trap};
use crate::wire::agentx::{Value, VarBind};
use crate::wire::oid::Oid;

/// A bounded queue. When it is full the oldest goes, those of bad packets first: what happened last matters most. What has waited too long goes, too:
/// nobody is helped by the news of last week.
#[derive(Debug, Default)]
pub(super) struct TrapQueue {
    waiting: VecDeque<(Trap, Instant)>,
    limits: QueueSettings,
    dropped: u64,
    expired: u64,
    tallies: Tallies,
}

impl TrapQueue {
    /// Other limits; what is too much now, goes.
    pub(super) fn limit(&mut self, limits: QueueSettings) {
        self.limits = limits;
        self.make_room(limits.length);
    }

    pub(super) fn push(&mut self, trap: Trap, at: Instant) {
        self.expire(at);
        self.make_room(self.limits.length.saturating_sub(1));
        self.waiting.push_back((trap, at));
    }

    pub(super) fn pop(&mut self, now: Instant) -> Option<(Trap, Instant)> {
        self.expire(now);
        self.waiting.pop_front()
    }

    /// Throws away what has waited too long.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.waiting.front().is_some_and(|(_, at)| now.since(*at) > self.limits.expires) {
            if let Some((trap, _)) = self.waiting.pop_front() {
                self.tallies.of(&trap.oid).expired += 1;
            }
            self.expired += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn expired(&self) -> u64 {
        self.expired
    }

    pub(super) fn tallies(&mut self) -> &mut Tallies {
        &mut self.tallies
    }

    fn make_room(&mut self, most: usize) {
        while self.waiting.len() > most {
            let needed_least = trap::least_needed(self.waiting.iter().map(|(trap, _)| trap));
            if let Some((trap, _)) = self.waiting.remove(needed_least.unwrap_or(0)) {
                self.tallies.of(&trap.oid).dropped += 1;
            }
            self.dropped += 1;
        }
    }
}

/// The variables of a notification, with the two that begin every one (RFC 3416 section 4.2.6).
pub(super) fn varbinds(trap: Trap, uptime: u32) -> Vec<VarBind> {
    const SYS_UP_TIME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];
    const SNMP_TRAP_OID: [u32; 11] = [1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];
    let first = [
        VarBind::new(Oid::new(&SYS_UP_TIME), Value::TimeTicks(uptime)),
        VarBind::new(Oid::new(&SNMP_TRAP_OID), Value::ObjectIdentifier(trap.oid)),
    ];
    first.into_iter().chain(trap.varbinds).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn trap(number: u32) -> Trap {
        Trap { oid: Oid::new(&[1, 3, number]), varbinds: vec![] }
    }

    fn at(s: u64) -> Instant {
        Instant::from_nanos(s * 1_000_000_000)
    }

    fn queue(length: usize, s: u64) -> TrapQueue {
        let mut queue = TrapQueue::default();
        queue.limit(QueueSettings { length, expires: Duration::from_secs(s) });
        queue
    }

    #[test]
    fn what_waited_too_long_is_counted_and_not_sent() {
        let mut queue = queue(3, 60);
        queue.push(trap(1), at(0));
        queue.push(trap(2), at(10));
        assert_eq!(queue.pop(at(65)), Some((trap(2), at(10))));
        assert_eq!((queue.len(), queue.expired(), queue.dropped()), (0, 1, 0));
    }

    #[test]
    fn a_shorter_queue_keeps_the_latest() {
        let mut queue = queue(3, 60);
        (1..=4).for_each(|number| queue.push(trap(number), at(u64::from(number))));
        assert_eq!((queue.len(), queue.dropped()), (3, 1));
        queue.limit(QueueSettings { length: 1, expires: Duration::from_secs(60) });
        assert_eq!(queue.dropped(), 3);
        assert_eq!(queue.pop(at(5)), Some((trap(4), at(4))));
    }

    #[test]
    fn bad_packets_push_no_change_of_a_state_out() {
        let bad = |number| Trap { oid: Oid::new(&[1, 3, 6, 1, 2, 1, 68, 0, 2]), ..trap(number) };
        let mut queue = queue(3, 3600);
        queue.push(trap(1), at(0));
        (1..=10).for_each(|s| queue.push(bad(0), at(s)));
        queue.push(trap(2), at(11));
        let sent: Vec<Trap> = std::iter::from_fn(|| Some(queue.pop(at(12))?.0)).collect();
        assert_eq!(sent, [trap(1), bad(0), trap(2)]);
        assert_eq!(queue.dropped(), 9);
    }

    proptest! {
        #[test]
        fn each_notification_is_sent_dropped_expired_or_waiting_and_order_is_kept(
            steps in prop::collection::vec((0..20_u64, any::<bool>()), 0..100),
            length in 1..8_usize,
        ) {
            let mut queue = queue(length, 30);
            let (mut now, mut pushed, mut sent) = (0, 0_u32, vec![]);
            for (pause, push) in steps {
                now += pause;
                if push {
                    queue.push(trap(pushed), at(now));
                    pushed += 1;
                } else if let Some((trap, _)) = queue.pop(at(now)) {
                    sent.push(trap.oid[2]);
                }
                prop_assert!(queue.len() <= length);
            }
            prop_assert!(sent.is_sorted());
            let told = sent.len() as u64 + queue.dropped() + queue.expired() + queue.len() as u64;
            prop_assert_eq!(told, u64::from(pushed));
            let mut by_kind = (0, 0);
            for number in 0..pushed {
                let tally = *queue.tallies().of(&Oid::new(&[1, 3, number]));
                by_kind = (by_kind.0 + tally.dropped, by_kind.1 + tally.expired);
            }
            prop_assert_eq!(by_kind, (queue.dropped(), queue.expired()));
        }
    }
}
