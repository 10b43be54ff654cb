//! What operators and SNMP managers command: one at a time, each with the command that takes it back.
//!
//! Standing down ([`Command::StandDown`]): the instance resigns if it is master, and has the lowest priority from then on,
//! so that any other router wins and it preempts none. Nothing else about it changes. When nobody takes over, its own
//! silence ends like any backup's and it is master again, with the lowest priority: an address is not left alone for
//! longer than that. Members of a sync group stand down together.

use std::time::Duration;

use smallvec::{SmallVec, smallvec};

use super::engine::{Engine, Slot, info};
use super::io::Output;
use super::machine::{Event, OWNER};
use super::reload::Commanded;
use crate::bus::msg::{Command, Refusal, Reply};
use crate::bus::rows::RowKey;
use crate::clock::{Instant, WallTime};
use crate::conf::model::Preempt;

impl Engine {
    pub(super) fn command(&mut self, command: Command, now: Instant, out: &mut Vec<Output>) -> Reply {
        let name = match &command {
            Command::SetPriority { instance, .. }
            | Command::SetPreempt { instance, .. }
            | Command::StandDown { instance, .. }
            | Command::Announce { instance } => instance.clone(),
            Command::SetWeight { .. } | Command::ResetWeight { .. } => return Reply::Refused(Refusal::NoSuchServer),
        };
        let Some(slot) = self.names.get(&name).copied() else { return Reply::Refused(Refusal::NoSuchInstance) };
        let Some(router) = self.router_mut(slot) else { return Reply::Refused(Refusal::NoSuchInstance) };
        let undo = match command {
            Command::SetPriority { instance, priority } => {
                let old = std::mem::replace(&mut router.base, priority);
                router.demoted = false;
                out.push(info(&name, format!("({name}) base priority set from {old} to {priority}")));
                // An owner cannot let others go first.
                if priority.get() == OWNER && self.stands_down(slot) {
                    self.stand_up(slot, now, out);
                }
                self.refresh(slot, now, out);
                if (old.get() == OWNER) != (priority.get() == OWNER) {
                    // Its addresses are, or are no longer, primary addresses for those beside it.
                    for slot in self.each_slot() {
                        self.refresh(slot, now, out);
                    }
                }
                Command::SetPriority { instance, priority: old }
            }
            Command::SetPreempt { instance, preempt } => {
                let settings = &mut router.machine.settings;
                let old = settings.preempt != Preempt::Never;
                settings.preempt = match (preempt, router.config.preempt) {
                    (false, _) => Preempt::Never,
                    (true, Preempt::After(delay)) => Preempt::After(delay),
                    (true, Preempt::Never) => Preempt::After(Duration::ZERO),
                };
                let word = if preempt { "preempt" } else { "nopreempt" };
                out.push(info(&name, format!("({name}) set to {word}")));
                Command::SetPreempt { instance, preempt: old }
            }
            Command::StandDown { instance, down } => {
                let old = self.stands_down(slot);
                match down {
                    true if self.mates(slot).iter().any(|slot| self.is_owner(*slot)) => {
                        return Reply::Refused(Refusal::Owner);
                    }
                    true => self.stand_down(slot, now, out),
                    false => self.stand_up(slot, now, out),
                }
                Command::StandDown { instance, down: old }
            }
            Command::Announce { instance } => {
                let count = u32::try_from(router.held.len()).unwrap_or(u32::MAX);
                for position in 1..=count {
                    self.enqueue(slot, position, 1, now);
                }
                self.announce(now, out);
                Command::Announce { instance }
            }
            Command::SetWeight { .. } | Command::ResetWeight { .. } => return Reply::Refused(Refusal::NoSuchServer),
        };
        out.push(Output::Changed(RowKey::Instance(name)));
        for slot in self.mates(slot) {
            self.note_commanded(slot);
        }
        self.arm(slot);
        // The driver fills in the generation of the batch that carries the row.
        Reply::Done { undo, visible_at: 0 }
    }

    /// So that it outlasts a configuration that is taken back.
    fn note_commanded(&mut self, slot: Slot) {
        let Some(router) = self.slots.get(slot as usize).and_then(Option::as_deref) else { return };
        if let Some(before) = self.commanded.get_mut(&router.config.name) {
            *before = Commanded::of(router);
        }
    }

    fn stands_down(&self, slot: Slot) -> bool {
        self.router(slot).is_some_and(|router| router.stood_down.is_some())
    }

    /// Who stands down with an instance: the members of its sync group, or it alone.
    fn mates(&self, slot: Slot) -> SmallVec<[Slot; 4]> {
        let group = self.router(slot).and_then(|router| self.groups.get(router.group?));
        group.map_or_else(|| smallvec![slot], |group| SmallVec::from_slice(&group.slots))
    }

    /// Commanded once more, one that is master although it stands down resigns once more.
    fn stand_down(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let (all, since) = (self.mates(slot), self.wall(now));
        for slot in &all {
            if !self.stands_down(*slot) {
                self.note_standing(*slot, Some(since), out);
                self.refresh(*slot, now, out);
            }
        }
        let master = |slot: &Slot| self.router(*slot).is_some_and(|router| router.machine.is_master());
        // The one that resigns takes its group along.
        match all.iter().copied().find(master) {
            Some(master) => self.drive(master, Event::StandDown, now, out),
            None => all.into_iter().for_each(|slot| self.drive(slot, Event::StandDown, now, out)),
        }
    }

    fn stand_up(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        for slot in self.mates(slot) {
            if self.stands_down(slot) {
                self.note_standing(slot, None, out);
                self.refresh(slot, now, out);
            }
        }
    }

    pub(super) fn note_standing(&mut self, slot: Slot, since: Option<WallTime>, out: &mut Vec<Output>) {
        let Some(router) = self.router_mut(slot) else { return };
        if router.stood_down.is_some() != since.is_some() {
            let name = &router.config.name;
            let what = if since.is_some() { "standing down, others go first" } else { "no longer standing down" };
            out.push(info(name, format!("({name}) {what}")));
            out.push(Output::Changed(RowKey::Instance(name.clone())));
        }
        router.stood_down = since;
    }

    /// A reload may make an owner of an instance that stands down, or a group of some that do and some that do not: then
    /// all of them do. Whoever calls this refreshes them.
    pub(super) fn stand_together(&mut self, out: &mut Vec<Output>) {
        if self.routers().all(|router| router.stood_down.is_none()) {
            return;
        }
        for slot in self.each_slot() {
            let mates = self.mates(slot);
            let since = mates.iter().filter_map(|slot| self.router(*slot)?.stood_down).min();
            let owner = mates.iter().any(|slot| self.is_owner(*slot));
            self.note_standing(slot, since.filter(|_| !owner), out);
        }
    }
}
