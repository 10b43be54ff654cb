//! Rows of the bus from the engine's state. A value is made when it is sent, never kept.

use std::time::Duration;

use super::engine::Engine;
use super::group::tracked_row;
use super::host::Host;
use super::line::LineKind;
use super::router::{Held, Router};
use super::routes::{Line, Lines};
use super::track;
use crate::bus::rows::{
    AddressRow, Finding, InstanceRow, RouteRow, Row, RowKey, RuleRow, State, TrackerConfig, TrackerRow, TrackerRuns,
};
use crate::conf::model::{Auth, InitialState, Instance, InstanceName, Preempt, Route, TrackerKind, Trackers};

impl Engine {
    /// The value of a row now; `None` once it is gone. Reading a row allows its next [`Output::Counted`].
    ///
    /// [`Output::Counted`]: super::io::Output::Counted
    pub fn row(&self, key: &RowKey) -> Option<Row> {
        match key {
            RowKey::Global => Some(Row::Global(Box::new(self.global.clone()))),
            RowKey::Router => {
                self.counted.set(false);
                Some(Row::Router(self.counters))
            }
            RowKey::Instance(name) => {
                let router = self.router_named(name)?;
                router.counted.set(false);
                Some(Row::Instance(Box::new(instance(router, &self.host))))
            }
            RowKey::Address { owner: None, position } => {
                let held = at(&self.statics, *position)?;
                Some(Row::Address(Box::new(address(held, 0, *position, false, &self.host))))
            }
            RowKey::Address { owner: Some(name), position } => {
                let router = self.router_named(name)?;
                let held = at(&router.held, *position)?;
                let advertised = usize::try_from(*position).is_ok_and(|at| at <= router.config.addresses.len());
                Some(Row::Address(Box::new(address(held, router.index, *position, advertised, &self.host))))
            }
            RowKey::Tracker(kind, name) => {
                let found = self.found.get(*kind, name);
                Some(Row::Tracker(Box::new(tracker(&self.trackers, *kind, name, found)?)))
            }
            RowKey::SyncGroup(name) => Some(Row::SyncGroup(Box::new(self.group_row(name)?))),
            RowKey::SyncTrackedInterface { group, interface } => {
                Some(Row::SyncTrackedInterface(self.group_tracked_row(group, interface)?))
            }
            RowKey::Route { owner, position } => {
                let (owner_index, lines) = self.lines_named(owner.as_ref())?;
                let line = lines.at(LineKind::Route, *position)?;
                Some(Row::Route(Box::new(route(line.route()?, owner_index, *position, line.installed, &self.host))))
            }
            RowKey::Rule { owner, position } => {
                let (owner_index, lines) = self.lines_named(owner.as_ref())?;
                let line = lines.at(LineKind::Rule, *position)?;
                let (config, installed) = (line.rule()?.clone(), line.installed);
                Some(Row::Rule(Box::new(RuleRow { owner_index, position: *position, config, installed })))
            }
            RowKey::Bfd(_)
            | RowKey::Group(_)
            | RowKey::Service(_)
            | RowKey::Server(_)
            | RowKey::Ipvs
            | RowKey::Pulse
            | RowKey::VrrpTimes
            | RowKey::CheckTimes => None,
            RowKey::TrackedInterface { instance, interface } => {
                let router = self.router_named(instance)?;
                let tracked = router.config.tracked_interfaces.iter().find(|it| it.interface == *interface)?;
                Some(Row::TrackedInterface(tracked_row(router.index, tracked, &self.host)))
            }
        }
    }

    fn lines_named(&self, owner: Option<&InstanceName>) -> Option<(u32, &Lines)> {
        match owner {
            None => Some((0, &self.static_lines)),
            Some(name) => self.router_named(name).map(|router| (router.index, &router.routing)),
        }
    }

    /// Every row there is, for a full resync.
    pub fn keys(&self) -> Vec<RowKey> {
        let mut keys = vec![RowKey::Global, RowKey::Router];
        keys.extend((1..=self.statics.len() as u32).map(|position| RowKey::Address { owner: None, position }));
        keys.extend(line_keys(None, &self.static_lines));
        for router in self.routers() {
            keys.extend(router_keys(router));
        }
        keys.extend(self.trackers.names().map(|(kind, name)| RowKey::Tracker(kind, name.to_owned())));
        keys.extend(self.group_keys());
        keys
    }

    /// Routes that name an interface: its number is in their rows.
    pub(super) fn routes_on(&self, interface: &str) -> Vec<RowKey> {
        let routers = self.routers().map(|router| (Some(&router.config.name), &router.routing));
        let all = std::iter::once((None, &self.static_lines)).chain(routers);
        let keys = all.flat_map(|(owner, lines)| {
            let routes = lines.routes.iter().filter_map(Line::route);
            let named = (1..).zip(routes).filter(|(_, route)| {
                let hops = route.hops.iter().filter_map(|hop| hop.interface.as_deref());
                route.interface.as_deref().into_iter().chain(hops).any(|name| name == interface)
            });
            named.map(move |(position, _)| RowKey::Route { owner: owner.cloned(), position })
        });
        keys.collect()
    }
}

/// The rows that exist because of one instance.
pub(super) fn router_keys(router: &Router) -> Vec<RowKey> {
    let name = &router.config.name;
    let mut keys = vec![RowKey::Instance(name.clone())];
    keys.extend((1..=router.held.len() as u32).map(|position| RowKey::Address { owner: Some(name.clone()), position }));
    keys.extend(
        router
            .config
            .tracked_interfaces
            .iter()
            .map(|tracked| RowKey::TrackedInterface { instance: name.clone(), interface: tracked.interface.clone() }),
    );
    keys.extend(line_keys(Some(name), &router.routing));
    keys
}

/// Numbers are places among trackers of the kind.
fn tracker(
    trackers: &Trackers,
    kind: TrackerKind,
    name: &str,
    (finding, runs): (Finding, TrackerRuns),
) -> Option<TrackerRow> {
    fn named<T: Clone>(all: &[T], is: impl Fn(&T) -> bool) -> Option<(u32, T)> {
        (1..).zip(all).find(|(_, it)| is(it)).map(|(index, it)| (index, it.clone()))
    }
    let (index, config) = match kind {
        TrackerKind::Script => {
            let (index, it) = named(&trackers.scripts, |it| it.name == name)?;
            (index, TrackerConfig::Script(it))
        }
        TrackerKind::File => {
            let (index, it) = named(&trackers.files, |it| it.name == name)?;
            (index, TrackerConfig::File(it))
        }
        TrackerKind::Process => {
            let (index, it) = named(&trackers.processes, |it| it.name == name)?;
            (index, TrackerConfig::Process(it))
        }
        TrackerKind::Bfd => {
            let (index, it) = named(&trackers.bfds, |it| it.name == name)?;
            (index, TrackerConfig::Bfd(it))
        }
    };
    Some(TrackerRow { index, config, finding, runs })
}

fn line_keys<'a>(owner: Option<&'a InstanceName>, lines: &Lines) -> impl Iterator<Item = RowKey> + use<'a> {
    let (routes, rules) = (lines.routes.len() as u32, lines.rules.len() as u32);
    let routes = (1..=routes).map(move |position| RowKey::Route { owner: owner.cloned(), position });
    let rules = (1..=rules).map(move |position| RowKey::Rule { owner: owner.cloned(), position });
    routes.chain(rules)
}

/// Positions count from 1.
fn at<T>(those: &[T], position: u32) -> Option<&T> {
    those.get(usize::try_from(position).ok()?.checked_sub(1)?)
}

fn instance(router: &Router, host: &Host) -> InstanceRow {
    let machine = &router.machine;
    let state = match machine.state() {
        State::Shutdown | State::Deleted => State::Init,
        state => state,
    };
    let wanted = match (state, router.config.initial_state) {
        (State::Init, InitialState::Master) => State::Master,
        (State::Init, InitialState::Backup) => State::Backup,
        // Ready, and its sync group is not.
        (State::Backup, _) if machine.held() => State::Master,
        (state, _) => state,
    };
    let link = router.link.and_then(|index| host.link(index));
    InstanceRow {
        index: router.index,
        // Addresses, routes and rules have rows of their own, and a row must fit a frame however many there are.
        config: Instance {
            addresses: Vec::new(),
            excluded: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            auth: router.config.auth.as_ref().map(without_secret),
            ..router.config.clone()
        },
        state,
        wanted,
        base_priority: router.base,
        effective_priority: machine.effective(),
        preempt: machine.settings.preempt != Preempt::Never,
        addresses_set: machine.is_master() && router.installed > 0,
        primary: machine.primary(),
        master: machine.master().map(|master| (master.address, master.priority)),
        master_interval_ns: nanoseconds(machine.master_interval()),
        master_down_ns: nanoseconds(machine.master_down_interval()),
        last_advert: router.last_advert,
        other_master: router.other_master,
        stood_down: router.stood_down,
        priority_overridden: router.base != router.config.priority,
        interface_index: router.link,
        interface_mac: link.and_then(|link| link.mac),
        advertised: router.config.addresses.iter().map(|address| address.address).collect(),
        started: router.started,
        master_reason: router.master_reason,
        protocol_error: router.protocol_error,
        since: router.since,
        reason: router.reason,
        faults: router.faults.iter().map(ToString::to_string).collect(),
        carried: track::carried(&router.config).into_iter().map(|name| (name.to_owned(), host.is_up(name))).collect(),
        counters: router.counters,
    }
}

fn nanoseconds(of: Duration) -> u64 {
    u64::try_from(of.as_nanos()).unwrap_or(u64::MAX)
}

/// Rows go to a process that any reader of SNMP talks to: it learns the kind of authentication, not the pass phrase.
fn without_secret(auth: &Auth) -> Auth {
    match auth {
        Auth::Pass(_) => Auth::Pass([0; 8]),
        Auth::Ah(_) => Auth::Ah([0; 8]),
    }
}

fn address(held: &Held, owner_index: u32, position: u32, advertised: bool, host: &Host) -> AddressRow {
    AddressRow {
        owner_index,
        position,
        config: held.address.clone(),
        interface_index: host.named(&held.address.interface).map(|link| link.index),
        installed: held.installed,
        advertised,
    }
}

fn route(config: &Route, owner_index: u32, position: u32, installed: bool, host: &Host) -> RouteRow {
    let index = |interface: &Option<String>| host.named(interface.as_deref()?).map(|link| link.index);
    RouteRow {
        owner_index,
        position,
        config: config.clone(),
        interface_index: index(&config.interface),
        hop_interfaces: config.hops.iter().map(|hop| index(&hop.interface)).collect(),
        installed,
    }
}
