//! `interface_up_down_delays`: what trackers see of an interface changes only when it has been so for a while.
//!
//! The first half knows what is seen of each interface and when that changes; the second is the engine that wakes up then.

use std::collections::HashMap;
use std::time::Duration;

use super::engine::{Engine, LINKS, Phase};
use super::io::{IfIndex, Output};
use crate::clock::Instant;
use crate::conf::model::{Global, Instance};

/// How long an interface must be down, or up, before that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delays {
    pub down: Duration,
    pub up: Duration,
}

/// Interfaces with delays, and how they are seen.
#[derive(Debug, Default)]
pub struct Debounce {
    delays: HashMap<String, Delays>,
    seen: HashMap<IfIndex, Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    up: bool,
    /// It has been otherwise, and will be believed then.
    changes_at: Option<Instant>,
}

impl Debounce {
    /// What counts for an interface that is `up` or not.
    pub fn seen(&self, index: IfIndex, up: bool) -> bool {
        self.seen.get(&index).map_or(up, |seen| seen.up)
    }

    /// The kernel told of an interface. With `at_once`, or if it is a new one, that is believed.
    pub fn look(&mut self, index: IfIndex, name: &str, up: bool, at_once: bool, now: Instant) {
        let Some(delays) = self.delays.get(name) else {
            self.seen.remove(&index);
            return;
        };
        let seen = self.seen.entry(index).or_insert(Seen { up, changes_at: None });
        let delay = if up { delays.up } else { delays.down };
        if seen.up == up || at_once || delay.is_zero() {
            *seen = Seen { up, changes_at: None };
        } else if seen.changes_at.is_none() {
            seen.changes_at = Some(now + delay);
        }
    }

    pub fn forget(&mut self, index: IfIndex) {
        self.seen.remove(&index);
    }

    /// Interfaces that count as something else from now on.
    pub fn settle(&mut self, now: Instant) -> Vec<IfIndex> {
        let due = self.seen.iter_mut().filter(|(_, seen)| seen.changes_at.is_some_and(|at| at <= now));
        let mut settled: Vec<IfIndex> = due
            .map(|(index, seen)| {
                *seen = Seen { up: !seen.up, changes_at: None };
                *index
            })
            .collect();
        settled.sort_unstable();
        settled
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.seen.values().filter_map(|seen| seen.changes_at).min()
    }
}

/// Delays as they are in use. As in Keepalived, an instance must notice that its own interface is down before two of its
/// adverts are due: longer delays of that one are cut to just below that.
pub fn delays(global: &Global, instances: &[Instance]) -> HashMap<String, Delays> {
    let of = |name: &str| {
        let own = instances.iter().filter(|it| it.interface.as_deref() == Some(name));
        own.map(|it| it.advert_interval * 2 - it.advert_interval / 256).min()
    };
    let lines = global.interface_delays.iter().map(|line| {
        let most = of(&line.interface).unwrap_or(Duration::MAX);
        let cut = |ns| Duration::from_nanos(ns).min(most);
        (line.interface.clone(), Delays { down: cut(line.down_ns), up: cut(line.up_ns) })
    });
    lines.collect()
}

impl Engine {
    /// The configuration is this one now. What an interface was seen as before stays until it changes.
    pub(super) fn set_delays(&mut self, global: &Global, instances: &[Instance], now: Instant) {
        self.host.debounce.delays = delays(global, instances);
        let links: Vec<(IfIndex, String, bool)> =
            self.host.links().map(|link| (link.index, link.name.clone(), link.up())).collect();
        for (index, name, up) in links {
            self.host.debounce.look(index, &name, up, false, now);
        }
        self.arm_links();
    }

    /// The kernel told of this interface.
    pub(super) fn look_at_link(&mut self, index: IfIndex, now: Instant) {
        let Some(link) = self.host.link(index).cloned() else { return };
        let at_once = self.phase != Phase::Running;
        self.host.debounce.look(index, &link.name, link.up(), at_once, now);
        self.arm_links();
    }

    /// Interfaces that have been otherwise for long enough.
    pub(super) fn settle_links(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.links_at = None;
        for index in self.host.debounce.settle(now) {
            if let Some(name) = self.host.link(index).map(|link| link.name.clone()) {
                self.link_changed(&name, now, out);
            }
        }
        self.arm_links();
    }

    fn arm_links(&mut self) {
        let deadline = self.host.debounce.deadline();
        if deadline == self.links_at {
            return;
        }
        if let Some(old) = self.links_at {
            self.timers.remove(&(old, LINKS));
        }
        if let Some(new) = deadline {
            self.timers.insert((new, LINKS));
        }
        self.links_at = deadline;
    }
}
