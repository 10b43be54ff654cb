//! Sync groups (`vrrp_sync_group`): instances that change their state together.
//!
//! The first half decides, as values: [`order`] says what one member's transition asks of the others, [`may_lead`] whether
//! a member whose master is silent may take over, [`common`] in which state a group is. The second half is the engine
//! carrying that out: adverts of all members leave before anything else is done, then the transitions are told (the
//! member that moved first, the others, the group), then addresses come or go in one piece.
//!
//! A group of backups becomes master when the silence of *every* member's master is over; until then those that are
//! ready wait. So two routers of which each is the better one for some member do not take turns: whoever is master
//! stays it until the other one is better for every member, or until it is gone.

use super::engine::{Engine, Slot, info};
use super::io::{Level, Log, Output};
use super::machine::{Action, Actions, Event, Transition};
use super::router::{LOG_PAUSE, Router};
use crate::bus::msg::Edge;
use crate::bus::rows::{Reason, RowKey, State, SyncGroupRow, TrackedInterfaceRow};
use crate::clock::{Instant, WallTime};
use crate::conf::model::{Family, SyncGroup, TrackedInterface};
use std::time::Duration;

/// What one member's transition asks of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Become master, at once.
    Lead,
    /// Become backup, as one of us heard a stronger master.
    Yield,
    /// Resign, as an operator wishes.
    StandDown,
    Fault,
    /// Nobody has a reason to be in fault any more.
    Recover,
}

pub(super) fn order(transition: Transition) -> Option<Order> {
    match (transition.from, transition.to) {
        (_, State::Master) => Some(Order::Lead),
        (_, State::Fault) => Some(Order::Fault),
        (State::Fault, State::Backup) => Some(Order::Recover),
        (State::Master, State::Backup) if transition.reason == Reason::Commanded => Some(Order::StandDown),
        (State::Master, State::Backup) => Some(Order::Yield),
        // Each member starts, stops and leaves the configuration for itself.
        _ => None,
    }
}

/// Whether a member whose silence is over takes its group along, given the state of each of the others and whether its
/// silence is over, too.
pub(super) fn may_lead(mut others: impl Iterator<Item = (State, bool)>) -> bool {
    others.all(|(state, wants)| state == State::Master || wants)
}

/// State of a group that was in `before`, by those of its members. What has not started does not count, and while members
/// have not come together yet (a reload put them into one group) nothing changes.
pub(super) fn common(before: State, mut members: impl Iterator<Item = State> + Clone) -> State {
    let mut started = members.clone().filter(|state| *state != State::Init);
    if members.any(|state| state == State::Fault) {
        return State::Fault;
    }
    let Some(first) = started.next() else { return before };
    match started.all(|state| state == first) {
        true => first,
        false if before == State::Master => State::Master,
        false => State::Backup,
    }
}

/// Which of its members decides when two routers gave way to each other at once: it must be the same on both.
pub(super) fn decisive(members: impl Iterator<Item = (u8, Family)>) -> Option<(u8, Family)> {
    members.min_by_key(|(vrid, family)| (*vrid, *family == Family::V6))
}

/// A group of this configuration.
#[derive(Debug)]
pub(super) struct Group {
    pub config: SyncGroup,
    /// Place in the file, from 1.
    pub index: u32,
    pub state: State,
    pub since: WallTime,
    /// The state that a mail told last.
    pub mailed: Option<State>,
    /// Its members in the order of the block.
    pub slots: Vec<Slot>,
    /// How many of its members have faults of their own, and how many are master; kept with every change, as each member
    /// asks again and again.
    pub faulty: usize,
    pub masters: usize,
}

impl Engine {
    /// Finds out again who belongs together: after the configuration changed. Groups keep their states.
    pub(super) fn regroup(&mut self) {
        for router in self.slots.iter_mut().flatten() {
            router.group = None;
            router.shared.clear();
            router.shared_tracks.clear();
        }
        // Counted here from nothing: instances came and went.
        let mut groups = std::mem::take(&mut self.groups);
        for (at, group) in groups.iter_mut().enumerate() {
            group.slots = group.config.members.iter().filter_map(|name| self.names.get(name)).copied().collect();
            (group.faulty, group.masters) = (0, 0);
            for slot in &group.slots {
                if let Some(router) = self.router_mut(*slot) {
                    group.faulty += usize::from(!router.faults.is_empty());
                    group.masters += usize::from(router.machine.is_master());
                    router.group = Some(at);
                    router.shared = group.config.tracked_interfaces.clone();
                    router.shared_tracks = group.config.tracks.clone();
                }
            }
        }
        self.groups = groups;
    }

    /// Puts the groups of a new configuration in the place of the old ones.
    pub(super) fn change_groups(&mut self, new: &[SyncGroup], since: WallTime) {
        let mut old = std::mem::take(&mut self.groups);
        self.groups = (1..)
            .zip(new)
            .map(|(index, config)| {
                let before = old.iter().position(|group| group.config.name == config.name);
                let (state, since, mailed) = match before.map(|at| old.swap_remove(at)) {
                    Some(group) => (group.state, group.since, group.mailed),
                    None => (State::Init, since, None),
                };
                Group { config: config.clone(), index, state, since, mailed, slots: Vec::new(), faulty: 0, masters: 0 }
            })
            .collect();
    }

    /// A new group of instances that were there before is what they are. That is no event.
    pub(super) fn join_groups(&mut self) {
        for at in 0..self.groups.len() {
            let state = self.common_state(at);
            if let Some(group) = self.groups.get_mut(at).filter(|group| group.state == State::Init) {
                group.state = state;
            }
        }
    }

    fn members(&self, at: usize) -> impl Iterator<Item = (Slot, &Router)> + Clone {
        let slots = self.groups.get(at).map_or(&[][..], |group| &group.slots);
        slots.iter().filter_map(|slot| Some((*slot, self.router(*slot)?)))
    }

    /// What keeps an instance in fault: a reason of its own, or one of a member of its group.
    pub(super) fn fault_of(&self, slot: Slot) -> Option<Reason> {
        let router = self.router(slot)?;
        if let Some(fault) = router.faults.first() {
            return Some(fault.reason());
        }
        let group = self.groups.get(router.group?)?;
        (group.faulty > 0).then_some(Reason::SyncGroup)
    }

    /// A member has faults now, or none any more.
    pub(super) fn count_faulty(&mut self, slot: Slot, was: bool, is: bool) {
        if let Some(group) = self.group_of(slot) {
            group.faulty = (group.faulty + usize::from(is)).saturating_sub(usize::from(was));
        }
    }

    /// A member became master, or is it no more.
    pub(super) fn count_masters(&mut self, slot: Slot, transition: Transition) {
        let master = |state| usize::from(state == State::Master);
        if let Some(group) = self.group_of(slot) {
            group.masters = (group.masters + master(transition.to)).saturating_sub(master(transition.from));
        }
    }

    fn group_of(&mut self, slot: Slot) -> Option<&mut Group> {
        let at = self.router(slot)?.group?;
        self.groups.get_mut(at)
    }

    /// A member's silence is over, and another's is not: it waits. True if so.
    pub(super) fn held_back(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) -> bool {
        let Some(router) = self.router(slot) else { return false };
        let Some(group) = router.group.filter(|_| router.machine.wants(now)) else { return false };
        let others = self.members(group).filter(|(other, _)| *other != slot);
        if may_lead(others.map(|(_, router)| (router.machine.state(), router.machine.wants(now)))) {
            return false;
        }
        let Some(router) = self.router_mut(slot) else { return false };
        router.machine.hold(now);
        out.push(Output::Changed(RowKey::Instance(router.config.name.clone())));
        if now >= router.hold_quiet_until {
            router.hold_quiet_until = now + LOG_PAUSE;
            let name = &router.config.name;
            let text =
                format!("({name}) Receive advertisement timeout, waiting for the other members of its sync group");
            out.push(info(name, text));
        }
        true
    }

    /// A backup heard a master that it accepts: it cannot follow that one and be master in its other members.
    pub(super) fn follow_together(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let Some(router) = self.router(slot).filter(|router| router.machine.follows(now)) else { return };
        let Some(group) = router.group else { return };
        if self.groups.get(group).is_some_and(|group| group.masters > 0) {
            self.carry_out_together(group, slot, Actions::new(), Some(Order::Yield), now, out);
        }
    }

    /// Carries out what one member's machine said, and what that means for the others.
    pub(super) fn together(&mut self, at: usize, first: Slot, actions: Actions, now: Instant, out: &mut Vec<Output>) {
        let transition = actions.iter().find_map(|action| match action {
            Action::Report(transition) => Some(*transition),
            _ => None,
        });
        match transition {
            None => self.carry_out(first, actions, now, out),
            Some(transition) => self.carry_out_together(at, first, actions, order(transition), now, out),
        }
    }

    fn carry_out_together(
        &mut self,
        at: usize,
        first: Slot,
        actions: Actions,
        order: Option<Order>,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let patience = self.patience(at, first);
        let mut all = vec![(first, actions)];
        for slot in self.groups.get(at).map_or_else(Vec::new, |group| group.slots.clone()) {
            let (Some(order), Some(router)) = (order, self.router_mut(slot).filter(|_| slot != first)) else {
                continue;
            };
            let event = match order {
                Order::Lead => Event::Lead,
                Order::Yield => Event::Yield { patience },
                Order::StandDown => Event::StandDown,
                Order::Fault => Event::Fault(Reason::SyncGroup),
                Order::Recover => Event::Recovered(Reason::SyncGroup),
            };
            // One that did not start yet looks at its group when it does.
            if router.machine.started() || order == Order::Fault {
                let actions = router.machine.handle(event, now);
                all.push((slot, actions));
            }
        }
        let others = all.iter().skip(1).any(|(_, actions)| !actions.is_empty());
        for part in [Part::Adverts, Part::Transitions, Part::Addresses, Part::Rest] {
            for (slot, actions) in &all {
                let actions: Actions = actions.iter().copied().filter(|action| Part::of(action) == part).collect();
                self.carry_out(*slot, actions, now, out);
                if part == Part::Transitions && *slot == first && others {
                    self.log_sync(at, order, out);
                }
            }
            if part == Part::Transitions {
                self.settle_group(at, now, out);
            }
        }
        for (slot, _) in all {
            self.arm(slot);
        }
    }

    /// How much longer than usual a group waits that gives way because of `first`. Two groups that gave way to each other
    /// would collide again and again: the one that lost in the decisive member lets the other go first.
    fn patience(&self, at: usize, first: Slot) -> Duration {
        let id = |router: &Router| (router.config.vrid.get(), router.config.family);
        let lost = self.router(first).map(id);
        match lost == decisive(self.members(at).map(|(_, router)| id(router))) {
            true => self.members(at).map(|(_, router)| router.config.advert_interval).max().unwrap_or_default(),
            false => Duration::ZERO,
        }
    }

    fn log_sync(&self, at: usize, order: Option<Order>, out: &mut Vec<Output>) {
        let (Some(group), Some(order)) = (self.groups.get(at), order) else { return };
        let to = match order {
            Order::Lead => State::Master,
            Order::Yield | Order::StandDown | Order::Recover => State::Backup,
            Order::Fault => State::Fault,
        };
        let text = format!("VRRP_Group({}) Syncing instances to {} state", group.config.name, to.name());
        out.push(Output::Log(Log { level: Level::Info, instance: None, text }));
    }

    fn common_state(&self, at: usize) -> State {
        let before = self.groups.get(at).map_or(State::Init, |group| group.state);
        common(before, self.members(at).map(|(_, router)| router.machine.state()))
    }

    /// Tells what the group is now, if that is news.
    pub(super) fn settle_group(&mut self, at: usize, now: Instant, out: &mut Vec<Output>) {
        let state = self.common_state(at);
        self.enter_group(at, state, now, out);
    }

    /// A group that starts as backup says so before its members do.
    pub(super) fn launch_group(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let Some(at) = self.router(slot).and_then(|router| router.group) else { return };
        if self.groups.get(at).is_some_and(|group| group.state == State::Init) {
            self.enter_group(at, State::Backup, now, out);
        }
    }

    /// After all instances have stopped.
    pub(super) fn stop_groups(&mut self, now: Instant, out: &mut Vec<Output>) {
        for at in 0..self.groups.len() {
            self.enter_group(at, State::Shutdown, now, out);
        }
    }

    fn enter_group(&mut self, at: usize, to: State, now: Instant, out: &mut Vec<Output>) {
        let wall = self.wall(now);
        let Some(group) = self.groups.get_mut(at).filter(|group| group.state != to) else { return };
        group.state = to;
        group.since = wall;
        let name = group.config.name.clone();
        out.push(Output::Edge(Edge::SyncGroup { group: name.clone(), index: group.index, to, at: wall }));
        out.push(Output::Changed(RowKey::SyncGroup(name)));
        self.tell_group(at, to, out);
    }

    /// Rows of groups that track this interface.
    pub(super) fn group_rows_of(&self, interface: &str) -> impl Iterator<Item = RowKey> {
        let tracks = move |group: &&Group| group.config.tracked_interfaces.iter().any(|it| it.interface == interface);
        self.groups.iter().filter(tracks).map(move |group| RowKey::SyncTrackedInterface {
            group: group.config.name.clone(),
            interface: interface.to_owned(),
        })
    }

    pub(super) fn group_keys(&self) -> impl Iterator<Item = RowKey> {
        self.groups.iter().flat_map(|group| {
            let name = &group.config.name;
            let tracked = group.config.tracked_interfaces.iter().map(move |tracked| RowKey::SyncTrackedInterface {
                group: name.clone(),
                interface: tracked.interface.clone(),
            });
            std::iter::once(RowKey::SyncGroup(name.clone())).chain(tracked)
        })
    }

    pub(super) fn group_row(&self, name: &str) -> Option<SyncGroupRow> {
        let group = self.groups.iter().find(|group| group.config.name == name)?;
        let state = match group.state {
            State::Shutdown | State::Deleted => State::Init,
            state => state,
        };
        Some(SyncGroupRow { index: group.index, config: group.config.clone(), state, since: group.since })
    }

    pub(super) fn group_tracked_row(&self, name: &str, interface: &str) -> Option<TrackedInterfaceRow> {
        let group = self.groups.iter().find(|group| group.config.name == name)?;
        let tracked = group.config.tracked_interfaces.iter().find(|it| it.interface == interface)?;
        Some(tracked_row(group.index, tracked, &self.host))
    }
}

pub(super) fn tracked_row(
    owner_index: u32,
    tracked: &TrackedInterface,
    host: &super::host::Host,
) -> TrackedInterfaceRow {
    let link = host.named(&tracked.interface);
    TrackedInterfaceRow {
        owner_index,
        interface: tracked.interface.clone(),
        interface_index: link.map(|link| link.index),
        weight: tracked.weight,
        reverse: tracked.reverse,
        up: host.is_up(&tracked.interface),
    }
}

/// What members do together, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Adverts,
    Transitions,
    Addresses,
    Rest,
}

impl Part {
    fn of(action: &Action) -> Part {
        match action {
            Action::Send { .. } => Part::Adverts,
            Action::Report(_) => Part::Transitions,
            Action::Install | Action::Remove => Part::Addresses,
            Action::Announce(_) | Action::HeardWeaker(_) | Action::SecondOwner(_) | Action::PreemptDelayed(_) => {
                Part::Rest
            }
        }
    }
}
