//! A new configuration, applied as the difference to the old one.
//!
//! What did not change keeps its state, counters and deadlines. Values that a SET had changed return to the file's.

use std::collections::{BTreeSet, HashMap};

use super::engine::{Engine, Phase, STATIC_LINES, Slot, info};
use super::io::Output;
use super::machine::{Action, Actions, Event, Settings, Transition};
use super::router::{Held, Router, listed, same_address};
use super::track;
use crate::bus::rows::{Reason, RowKey, State};
use crate::clock::{Instant, WallTime};
use crate::conf::model::{Address, Config, Instance, InstanceName, Preempt, Priority};

/// What operators and managers have commanded of an instance, or what the file says.
#[derive(Debug, Clone)]
pub(super) struct Commanded {
    base: Priority,
    demoted: bool,
    preempt: Preempt,
    stood_down: Option<WallTime>,
}

impl Commanded {
    pub(super) fn of(router: &Router) -> Commanded {
        let preempt = router.machine.settings.preempt;
        Commanded { base: router.base, demoted: router.demoted, preempt, stood_down: router.stood_down }
    }
}

impl Engine {
    /// Goes over to `new`. Addresses that leave go before others come, so that one may move between instances.
    ///
    /// Every row is reported as changed; those that [`Engine::row`] no longer knows are gone.
    pub fn apply(&mut self, new: &Config, now: Instant, out: &mut Vec<Output>) {
        self.commanded = self.routers().map(|router| (router.config.name.clone(), Commanded::of(router))).collect();
        self.change_over(new, false, now, out);
    }

    /// Goes back to `before`, which was in force until a moment ago: what operators had commanded holds again.
    pub fn go_back(&mut self, before: &Config, now: Instant, out: &mut Vec<Output>) {
        self.change_over(before, true, now, out);
    }

    fn change_over(&mut self, new: &Config, back: bool, now: Instant, out: &mut Vec<Output>) {
        if self.phase == Phase::Stopped {
            return;
        }
        let mut keys = self.keys();
        let wanted: HashMap<&InstanceName, (u32, &Instance)> =
            (1..).zip(&new.instances).map(|(index, instance)| (&instance.name, (index, instance))).collect();
        self.due = now;
        self.global = new.global.clone();
        self.trackers = new.trackers.clone();
        self.forget_findings();
        self.set_delays(&new.global, &new.instances, now);

        let mut kept: Vec<Slot> = Vec::new();
        for slot in self.each_slot() {
            let Some(router) = self.router(slot) else { continue };
            match wanted.get(&router.config.name) {
                None => self.retire(slot, true, now, out),
                Some((_, instance)) if !same_router(&router.config, instance) => self.retire(slot, false, now, out),
                Some((index, instance)) => {
                    self.change(slot, *index, instance, now, out);
                    kept.push(slot);
                }
            }
        }
        self.delete_groups(&new.sync_groups, out);
        out.push(Output::NewScripts);
        self.change_lines(STATIC_LINES, &new.static_routes, &new.static_rules, out);
        self.change_statics(&new.static_addresses, out);
        self.track_groups.clone_from(&new.track_groups);

        let since = self.wall(now);
        let mut added = Vec::new();
        for (position, instance) in new.instances.iter().enumerate() {
            if !self.names.contains_key(&instance.name) {
                added.push(self.adopt(Router::new(instance, position as u32 + 1, since)));
            }
        }
        self.change_groups(&new.sync_groups, since);
        self.reindex();
        if back {
            self.restore_commanded(out);
        }
        self.stand_together(out);
        if self.phase == Phase::Running {
            self.join_groups();
            self.install_statics(out);
            self.follow_up_lines(STATIC_LINES, out);
            self.lost_anew();
            // Those that stay look at the faults of their groups, which have new members.
            for slot in &added {
                self.refresh(*slot, now, out);
            }
            for slot in &kept {
                self.follow_up(*slot, now, out);
            }
        }
        self.settle(out);
        if self.phase == Phase::Running {
            for slot in added {
                self.launch(slot, now, out);
            }
            // One that lost or won a member may be something else now, although no member moved.
            for at in 0..self.groups.len() {
                self.settle_group(at, now, out);
            }
            self.announce(now, out);
            self.tell_states_again(&kept, out);
        }
        self.settle(out);
        keys.extend(self.keys());
        let keys: BTreeSet<RowKey> = keys.into_iter().collect();
        out.extend(keys.into_iter().map(Output::Changed));
    }

    fn restore_commanded(&mut self, out: &mut Vec<Output>) {
        for slot in self.each_slot() {
            let name = self.router(slot).map(|router| &router.config.name);
            let Some(before) = name.and_then(|name| self.commanded.get(name)).cloned() else { continue };
            let Some(router) = self.router_mut(slot) else { continue };
            (router.base, router.demoted) = (before.base, before.demoted);
            router.machine.settings.preempt = before.preempt;
            self.note_standing(slot, before.stood_down, out);
        }
    }

    /// Takes an instance out: for good, or to start it anew with another identity.
    fn retire(&mut self, slot: Slot, gone: bool, now: Instant, out: &mut Vec<Output>) {
        let Some(router) = self.router_mut(slot) else { return };
        let name = router.config.name.clone();
        let deleted = router.config.notify.deleted;
        // It is the same instance to those who look at rows, but not to a script that manages what the state stands for.
        let restarts = Some(router.machine.state()).filter(|state| !gone && *state != State::Init);
        let actions = router.machine.handle(Event::Shutdown, now).into_iter().filter_map(|action| match action {
            Action::Report(_) if !gone => None,
            Action::Report(Transition { from, .. }) => {
                let to = if deleted { State::Deleted } else { State::Fault };
                Some(Action::Report(Transition { from, to, reason: Reason::Reload }))
            }
            // The addresses of a master and those that would not go before: all become orphans.
            Action::Remove => None,
            other => Some(other),
        });
        let actions: Actions = actions.collect();
        self.carry_out(slot, actions, now, out);
        if let Some(from) = restarts {
            let to = if deleted { State::Deleted } else { State::Fault };
            self.tell_instance(slot, Transition { from, to, reason: Reason::Reload }, out);
        }
        self.block(slot, false, out);
        let Some(router) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        if let Some(at) = router.armed {
            self.timers.remove(&(at, slot));
        }
        self.lines_waiting.remove(&slot);
        self.orphan_lines_of(router.routing, out);
        for (at, held) in router.held.into_iter().enumerate() {
            self.announcer.cancel((slot, at as u32 + 1));
            self.orphan(held, out);
        }
        self.names.remove(&name);
        let text = if gone { "left the configuration" } else { "changed its identity, starting it anew" };
        out.push(info(&name, format!("({name}) {text}")));
    }

    /// The first pass over an instance that stays: settings change, addresses go.
    fn change(&mut self, slot: Slot, index: u32, new: &Instance, now: Instant, out: &mut Vec<Output>) {
        let Some(router) = self.router(slot) else { return };
        let blocked = router.machine.is_master() && router.blocks();
        if blocked {
            self.block(slot, false, out);
        }
        let Some(router) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        router.index = index;
        router.base = new.priority;
        router.demoted = false;
        router.machine.configure(Settings::from(new));
        router.machine.release();
        router.changed_at = now;
        router.takeover = None;
        router.config = new.clone();
        router.listed = listed(new);
        router.interfaces = track::lines(new);
        router.stale();

        self.change_lines(slot, &new.routes, &new.rules, out);
        let Some(router) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        let lines = new.addresses.iter().chain(&new.excluded);
        let leaving = replace(&mut router.held, lines);
        // Answers that are still on their way name places that may be others' now: ask again.
        for held in router.held.iter_mut().filter(|held| !held.installed) {
            held.question = 0;
            held.leaving = held.at.take().or(held.leaving);
        }
        router.installed = router.held.iter().map(|held| u32::from(held.installed)).sum();
        let master = router.machine.is_master();
        for held in &mut router.held {
            held.wanted = master;
        }
        if !master || router.config.garp.refresh.is_zero() {
            router.refresh_at = None;
        }
        if !master || router.extra_interval().is_none() {
            router.extra_at = None;
        }
        for (at, held) in leaving {
            self.announcer.cancel((slot, at as u32 + 1));
            self.orphan(held, out);
        }
    }

    /// The second pass: addresses come, faults and priority are looked at again.
    fn follow_up(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let Some(router) = self.router_mut(slot) else { return };
        let master = router.machine.is_master();
        if master {
            let garp = &router.config.garp;
            if router.refresh_at.is_none() && !garp.refresh.is_zero() {
                router.refresh_at = Some(now + garp.refresh);
            }
            if router.extra_at.is_none() {
                router.extra_at = router.extra_interval().map(|interval| now + interval);
            }
            if router.blocks() {
                self.block(slot, true, out);
            }
            self.complete(slot, now, out);
        } else {
            self.remove_remaining(slot, out);
        }
        self.follow_up_lines(slot, out);
        self.refresh(slot, now, out);
        self.arm(slot);
    }

    fn change_statics(&mut self, new: &[Address], out: &mut Vec<Output>) {
        for (_, held) in replace(&mut self.statics, new.iter()) {
            self.orphan(held, out);
        }
    }
}

/// Puts `lines` in place of what is held, keeping what is known of those that stay. Returns the others with their
/// old places.
fn replace<'a>(held: &mut Vec<Held>, lines: impl Iterator<Item = &'a Address>) -> Vec<(usize, Held)> {
    let mut old: HashMap<_, Vec<(usize, Held)>> = HashMap::new();
    for (at, it) in std::mem::take(held).into_iter().enumerate() {
        old.entry(it.address.address).or_default().push((at, it));
    }
    for line in lines {
        let same = old.get_mut(&line.address).and_then(|those| {
            let found = those.iter().position(|(_, it)| same_address(&it.address, line))?;
            Some(those.swap_remove(found).1)
        });
        let mut it = same.unwrap_or_else(|| Held::new(line.clone()));
        it.address = line.clone();
        held.push(it);
    }
    let mut leaving: Vec<(usize, Held)> = old.into_values().flatten().collect();
    leaving.sort_unstable_by_key(|(at, _)| *at);
    leaving
}

/// Whether the virtual router is still the same one on the wire.
fn same_router(old: &Instance, new: &Instance) -> bool {
    use crate::conf::model::Transport::{Multicast, Unicast};
    let transport = match (&old.transport, &new.transport) {
        (Multicast { group: a }, Multicast { group: b }) => a == b,
        (Unicast { .. }, Unicast { .. }) => true,
        _ => false,
    };
    let key = |it: &Instance| (it.vrid, it.family, it.version, it.interface.clone(), it.vmacs.clone(), it.vrf.clone());
    transport && key(old) == key(new)
}
