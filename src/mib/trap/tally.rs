//! What became of notifications, by their names.

use std::collections::BTreeMap;

use crate::mib::tree::PARTS;
use crate::wire::oid::Oid;

/// What became of one kind of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub sent: u64,
    /// Those that waited too long.
    pub expired: u64,
    /// Those for which there was no room, and those that were refused.
    pub dropped: u64,
}

/// By snmpTrapOID. There are as many as the modules have notifications.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tallies(BTreeMap<Oid, Tally>);

impl Tallies {
    pub fn of(&mut self, trap: &Oid) -> &mut Tally {
        self.0.entry(trap.clone()).or_default()
    }

    /// Adds what another queue has counted.
    pub fn add(&mut self, other: &Tallies) {
        for (trap, tally) in &other.0 {
            let mine = self.of(trap);
            mine.sent += tally.sent;
            mine.expired += tally.expired;
            mine.dropped += tally.dropped;
        }
    }

    /// Every notification that there is, by name, in the order of the modules.
    pub fn named(&self) -> Vec<(&'static str, Tally)> {
        let named = PARTS.iter().flat_map(|part| {
            let root = Oid::new(part.module.root);
            part.notifications.iter().map(move |notification| (notification.name, root.with(notification.id)))
        });
        named.map(|(name, oid)| (name, self.0.get(&oid).copied().unwrap_or_default())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::rows::{Reason, State};
    use crate::mib::fixture;
    use crate::mib::trap::for_edge;

    #[test]
    fn every_notification_is_listed_once_and_what_an_edge_makes_is_found_there() {
        let tallies = Tallies::default();
        let names: Vec<&str> = tallies.named().into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"vrrpInstanceStateChange") && names.contains(&"realServerStateChange"), "{names:?}");
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len(), "{names:?}");
        assert!(tallies.named().iter().all(|(_, tally)| *tally == Tally::default()));
    }

    #[test]
    fn what_two_queues_count_adds_up() {
        let snapshot = fixture::seed_with(|global| global.snmp.traps = true);
        let edge = crate::bus::msg::Edge::Transition {
            instance: "VI_1".into(),
            index: 1,
            from: State::Backup,
            to: State::Master,
            initial: State::Backup,
            reason: Reason::MasterNoResponse,
            new_master: None,
            at: crate::clock::WallTime(0),
        };
        let traps = for_edge(&edge, &snapshot);
        let (mut one, mut other) = (Tallies::default(), Tallies::default());
        for trap in &traps {
            one.of(&trap.oid).sent += 2;
            other.of(&trap.oid).dropped += 1;
        }
        one.add(&other);
        let counted: Vec<_> = one.named().into_iter().filter(|(_, tally)| tally.sent > 0).collect();
        assert_eq!(counted, [("vrrpInstanceStateChange", Tally { sent: 2, expired: 0, dropped: 1 })]);
    }
}
