//! All virtual routers of this host: one door in, one list of things to do out, one deadline.
//!
//! Start at [`Engine::handle`]. The engine finds whom an input concerns ([`Engine::receive`] for datagrams), lets the
//! [`Machine`](super::machine::Machine) decide, and turns its actions into outputs (`carry.rs`). It reads no clock and
//! does no I/O; the same inputs at the same times give the same outputs.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use smallvec::SmallVec;

use super::admit;
use super::announce::Announcer;
use super::group::Group;
use super::host::Host;
use super::io::{Block, Datagram, HostAddress, IfIndex, Input, Level, Link, Listen, Log, Output, WantedVmac};
use super::machine::{Advert, Event, OWNER};
use super::reload::Commanded;
use super::router::{Held, LOG_PAUSE, Router};
use super::routes::{Line, Lines, Place, Which};
use super::track::Findings;
use crate::bus::rows::{OtherMaster, RouterCounters, RowKey, State};
use crate::clock::{Instant, WallTime};
use crate::conf::model::{Auth, Config, Family, Global, InstanceName, TrackGroup, Trackers, Transport, Version};
use crate::wire::ah::Protected;
use crate::wire::vrrp;

/// How an engine starts.
#[derive(Debug, Clone, Copy, Default)]
pub struct EngineOptions {
    /// The process replaces one that died: `vrrp_startup_delay` was waited for already.
    pub restarted: bool,
}

/// Number of an instance within the engine; never leaves it.
pub(super) type Slot = u32;

/// Stands for the static addresses, and for orphans, among the timers.
pub(super) const STATICS: Slot = Slot::MAX;

/// Stands for interfaces with delays, among the timers.
pub(super) const LINKS: Slot = Slot::MAX - 1;

/// The same for static routes and rules.
pub(super) const STATIC_LINES: Slot = Slot::MAX - 2;

/// Positions from here on are those of orphans, in questions to the kernel and its answers.
pub(super) const ORPHANS: u32 = 1 << 31;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Hearing of links and addresses; the first `Wake` starts the machines.
    Waiting,
    Running,
    Stopped,
}

#[derive(Debug)]
pub struct Engine {
    pub(super) global: Global,
    pub(super) trackers: Trackers,
    /// What was found of those.
    pub(super) found: Findings,
    pub(super) host: Host,
    pub(super) slots: Vec<Option<Box<Router>>>,
    pub(super) names: BTreeMap<InstanceName, Slot>,
    pub(super) groups: Vec<Group>,
    pub(super) statics: Vec<Held>,
    pub(super) static_lines: Lines,
    /// The retry of those that stands in the timers.
    pub(super) static_lines_armed: Option<Instant>,
    /// Routes and rules that left the configuration and not yet the host, by position.
    pub(super) orphan_lines: BTreeMap<u32, Line>,
    /// Who waits to try refused ones again.
    pub(super) lines_waiting: BTreeSet<Slot>,
    pub(super) line_index: HashMap<Place, SmallVec<[Which; 1]>>,
    /// Routes by the source address that they prefer.
    pub(super) line_sources: HashMap<IpAddr, SmallVec<[Which; 1]>>,
    /// Owners of routes by the interfaces that these name.
    pub(super) line_users: HashMap<String, Vec<Slot>>,
    pub(super) track_groups: Vec<TrackGroup>,
    pub(super) statics_retry: Option<Instant>,
    pub(super) statics_refusals: u32,
    /// Addresses that left the configuration and not yet the host, by position.
    pub(super) orphans: BTreeMap<u32, Held>,
    pub(super) orphans_made: u32,
    pub(super) asked: Asked,
    pub(super) index: Index,
    /// By interface, family and VRID; the interface is `None` for unicast instances that have none.
    pub(super) dispatch: HashMap<(Option<IfIndex>, Family, u8), SmallVec<[Slot; 1]>>,
    pub(super) timers: BTreeSet<(Instant, Slot)>,
    /// When an interface with a delay counts as something else: it stands in `timers`.
    pub(super) links_at: Option<Instant>,
    pub(super) announcer: Announcer,
    pub(super) counters: RouterCounters,
    pub(super) counted: Cell<bool>,
    pub(super) listening: BTreeSet<Listen>,
    /// Interfaces appeared or went: `dispatch` and `listening` must be made again.
    pub(super) sockets_stale: bool,
    /// The interfaces that were asked for last, and whether others may be wanted by now.
    pub(super) vmacs: BTreeSet<WantedVmac>,
    pub(super) vmacs_stale: bool,
    /// Blocked traffic.
    pub(super) blocks: BTreeSet<Block>,
    /// Where in the outputs the new set belongs, if it changed.
    pub(super) block_at: Option<usize>,
    pub(super) phase: Phase,
    options: EngineOptions,
    /// When that was due which is being carried out.
    pub(super) due: Instant,
    /// When machines may start.
    start_at: Instant,
    /// Wall clock minus monotonic clock, nanoseconds.
    epoch: u64,
    quiet_until: Instant,
    /// As it was before the configuration in force, which may be taken back.
    pub(super) commanded: HashMap<InstanceName, Commanded>,
}

/// What the kernel was asked so far.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) questions: u64,
    /// Addresses to take away, until the kernel tells that they are gone.
    pub(super) removals: BTreeSet<(IfIndex, IpAddr, u8)>,
}

/// Who cares about what; made from the configuration.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Instances by the interfaces they name anywhere.
    users: HashMap<String, Vec<Slot>>,
    /// Instances without an interface.
    floating: Vec<Slot>,
    /// Who may hold an address: slot (or [`STATICS`]) and position from 1.
    pub(super) holders: HashMap<IpAddr, SmallVec<[(Slot, u32); 1]>>,
    /// Instances by their configured source address.
    sources: HashMap<IpAddr, Vec<Slot>>,
    /// Interfaces of static addresses.
    static_users: BTreeSet<String>,
}

impl Engine {
    /// An engine that waits for what [`Input`] says is sent before the first `Wake`.
    pub fn new(config: &Config, options: EngineOptions, now: Instant, wall: WallTime) -> Engine {
        let mut engine = Engine {
            global: config.global.clone(),
            trackers: config.trackers.clone(),
            found: Findings::default(),
            host: Host::default(),
            slots: Vec::new(),
            names: BTreeMap::new(),
            groups: Vec::new(),
            statics: config.static_addresses.iter().cloned().map(Held::new).collect(),
            static_lines: Lines::new(&config.static_routes, &config.static_rules),
            static_lines_armed: None,
            orphan_lines: BTreeMap::new(),
            lines_waiting: BTreeSet::new(),
            line_index: HashMap::new(),
            line_sources: HashMap::new(),
            line_users: HashMap::new(),
            track_groups: config.track_groups.clone(),
            statics_retry: None,
            statics_refusals: 0,
            orphans: BTreeMap::new(),
            orphans_made: 0,
            asked: Asked::default(),
            index: Index::default(),
            dispatch: HashMap::new(),
            timers: BTreeSet::new(),
            links_at: None,
            announcer: Announcer::default(),
            counters: RouterCounters::default(),
            counted: Cell::new(false),
            listening: BTreeSet::new(),
            sockets_stale: true,
            vmacs: BTreeSet::new(),
            vmacs_stale: true,
            blocks: BTreeSet::new(),
            block_at: None,
            phase: Phase::Waiting,
            options,
            due: now,
            start_at: now,
            epoch: 0,
            quiet_until: Instant::ZERO,
            commanded: HashMap::new(),
        };
        engine.set_delays(&config.global, &config.instances, now);
        engine.set_wall(now, wall);
        let since = engine.wall(now);
        for (position, instance) in config.instances.iter().enumerate() {
            engine.adopt(Router::new(instance, position as u32 + 1, since));
        }
        engine.change_groups(&config.sync_groups, since);
        engine.reindex();
        engine
    }

    /// Tells what the wall clock shows; call it again when the clock was set. Only rows and edges carry wall time.
    pub fn set_wall(&mut self, now: Instant, wall: WallTime) {
        self.epoch = wall.0.wrapping_sub(now.nanos());
    }

    /// Takes one input in and appends what must be done, in order.
    ///
    /// A driver that wakes up late reads its sockets first and says `Wake` after: a machine whose deadline has passed
    /// acts on it, although its master's adverts may wait in a receive buffer ([`Engine::overdue`] tells). Several
    /// inputs may be handed over before the outputs are carried out.
    pub fn handle(&mut self, input: Input<'_>, now: Instant, out: &mut Vec<Output>) {
        if self.phase == Phase::Stopped {
            return;
        }
        self.due = now;
        match input {
            Input::Datagram(datagram) => self.receive(&datagram, None, now, out),
            Input::Protected { interface, packet } => self.receive_protected(interface, packet, now, out),
            Input::Link(link) => self.put_link(link, now, out),
            Input::LinkGone(index) => {
                if let Some(link) = self.host.remove_link(index) {
                    self.lost_link(index, now, out);
                    self.link_changed(&link.name, now, out);
                }
            }
            Input::HostAddress(address) => {
                self.host.put_address(address);
                self.lines_gained_address(now);
                self.host_address_changed(&address, now, out);
            }
            Input::HostAddressGone(address) => {
                self.host.remove_address(&address);
                let by_us = self.asked.removals.remove(&(address.interface, address.address, address.prefix));
                self.restore(&address, by_us, now, out);
                self.lines_lost_address(&address, out);
                self.host_address_changed(&address, now, out);
            }
            Input::AddressAnswer { key, install, error } => self.address_answer(&key, install, error, now, out),
            Input::LineAnswer { key, install, error, text } => {
                self.line_answer(&key, install, error, &text, now, out);
            }
            Input::LineGone(news) => self.line_gone(&news, now, out),
            Input::LinesUncertain => self.lines_uncertain(out),
            Input::Command { request, command } => {
                let reply = self.command(command, now, out);
                out.push(Output::Reply { request, reply });
            }
            Input::Found { kind, name, finding, runs } => self.found(kind, &name, finding, runs, now, out),
            Input::ClearCounters => self.clear_counters(out),
            Input::Wake if self.phase == Phase::Waiting => self.begin(now, out),
            Input::Wake => self.wake(now, out),
            Input::Shutdown { keep_addresses } => self.shutdown(keep_addresses, now, out),
        }
        self.settle(out);
    }

    fn clear_counters(&mut self, out: &mut Vec<Output>) {
        self.counters = Default::default();
        out.push(Output::Changed(RowKey::Router));
        for router in self.slots.iter_mut().flatten() {
            router.counters = Default::default();
            out.push(Output::Changed(RowKey::Instance(router.config.name.clone())));
        }
    }

    /// When to say `Wake` if nothing else happens before. O(1).
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting => Some(Instant::ZERO),
            Phase::Running => {
                let timer = self.timers.first().map(|(at, _)| *at);
                timer.into_iter().chain(self.announcer.deadline()).min()
            }
            Phase::Stopped => None,
        }
    }

    /// How far behind its deadline the driver is. When this is more than a few milliseconds, sockets are to be read
    /// until they are empty before `Wake`.
    pub fn overdue(&self, now: Instant) -> std::time::Duration {
        self.deadline().map_or(std::time::Duration::ZERO, |deadline| now.since(deadline))
    }

    pub(super) fn wall(&self, now: Instant) -> WallTime {
        WallTime(self.epoch.wrapping_add(now.nanos()))
    }

    pub(super) fn routers(&self) -> impl Iterator<Item = &Router> {
        self.slots.iter().flatten().map(|router| &**router)
    }

    pub(super) fn router(&self, slot: Slot) -> Option<&Router> {
        self.slots.get(slot as usize)?.as_deref()
    }

    pub(super) fn router_mut(&mut self, slot: Slot) -> Option<&mut Router> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    pub(super) fn router_named(&self, name: &InstanceName) -> Option<&Router> {
        self.router(*self.names.get(name)?)
    }

    pub(super) fn each_slot(&self) -> Vec<Slot> {
        (0..self.slots.len() as Slot).filter(|slot| self.router(*slot).is_some()).collect()
    }

    /// Gives a router a slot. [`Self::reindex`] must follow.
    pub(super) fn adopt(&mut self, router: Router) -> Slot {
        let free = self.slots.iter().position(Option::is_none);
        let at = free.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.names.insert(router.config.name.clone(), at as Slot);
        self.slots[at] = Some(Box::new(router));
        at as Slot
    }

    /// Makes the index again: after the configuration changed.
    pub(super) fn reindex(&mut self) {
        self.regroup();
        self.reindex_lines();
        let mut index = Index::default();
        for slot in self.each_slot() {
            let Some(router) = self.router(slot) else { continue };
            let config = &router.config;
            if config.interface.is_none() {
                index.floating.push(slot);
            }
            if let Some(source) = config.source {
                index.sources.entry(source).or_default().push(slot);
            }
            let tracked = router.interfaces.iter().chain(&config.tracked_interfaces).chain(&router.shared);
            let tracked = tracked.map(|tracked| &tracked.interface);
            let held = router.held.iter().map(|held| &held.address.interface);
            let vmacs = config.vmacs.all().map(|vmac| &vmac.name).chain(&config.vrf);
            let named = config.interface.iter().chain(vmacs).chain(tracked).chain(held).chain(&router.group_interfaces);
            let named: BTreeSet<&String> = named.collect();
            for name in named {
                index.users.entry(name.clone()).or_default().push(slot);
            }
            for (position, held) in router.held.iter().enumerate() {
                index.holders.entry(held.address.address).or_default().push((slot, position as u32 + 1));
            }
        }
        for (position, held) in self.statics.iter().enumerate() {
            index.static_users.insert(held.address.interface.clone());
            index.holders.entry(held.address.address).or_default().push((STATICS, position as u32 + 1));
        }
        self.index = index;
        self.sockets_stale = true;
        self.vmacs_stale = true;
    }

    /// The first `Wake`: what is known of the host now is all of it.
    fn begin(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.phase = Phase::Running;
        let delay = if self.options.restarted { 0 } else { self.global.startup_delay_ns };
        let after_boot = Instant::from_nanos(self.global.delay_after_boot_ns);
        self.start_at = (now + std::time::Duration::from_nanos(delay)).max(after_boot);
        self.install_statics(out);
        self.install_static_lines(out);
        for slot in self.each_slot() {
            self.refresh(slot, now, out);
        }
        // Sockets before machines: what is sent or due at once must find them.
        self.settle(out);
        for slot in self.each_slot() {
            self.launch(slot, now, out);
        }
    }

    /// Starts a machine, or lets it wait for the startup delay or for what it tracks.
    pub(super) fn launch(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let start_at = self.start_at;
        let event = match self.fault_of(slot) {
            Some(reason) if start_at <= now => Event::Fault(reason),
            _ => Event::Start { at: start_at },
        };
        let waits = start_at <= now && matches!(event, Event::Start { .. }) && self.awaits(slot);
        let Some(router) = self.router_mut(slot) else { return };
        router.launched = true;
        if waits {
            router.machine.wait();
            self.arm(slot);
            return;
        }
        if start_at <= now && matches!(event, Event::Start { .. }) {
            self.launch_group(slot, now, out);
        }
        self.drive(slot, event, now, out);
    }

    fn wake(&mut self, now: Instant, out: &mut Vec<Output>) {
        // Collected first: a machine that is due again at once waits for the next `Wake`, so that this ends.
        let mut due: SmallVec<[Slot; 8]> = SmallVec::new();
        while let Some((at, slot)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, slot));
            if let Some(router) = self.router_mut(slot) {
                router.armed = None;
            }
            due.push(slot);
        }
        for slot in due {
            if slot == LINKS {
                self.settle_links(now, out);
                continue;
            }
            if slot == STATICS {
                self.statics_retry = None;
                self.install_statics(out);
                self.remove_orphans(out);
                continue;
            }
            self.retry_lines_due(slot, now, out);
            let Some(router) = self.router(slot) else { continue };
            if let Some(due) = router.machine.deadline().filter(|at| *at <= now) {
                self.due = due.max(router.changed_at);
                let Some(router) = self.router(slot) else { continue };
                if !router.machine.started() {
                    self.launch(slot, now, out);
                // By when it was due: of two that are due in one late turn the one that waits longest leads its group.
                } else if !self.held_back(slot, self.due, out) {
                    self.drive(slot, Event::Wake, now, out);
                }
            }
            self.due = now;
            self.announce_due(slot, now);
            self.retry_due(slot, now, out);
            self.arm(slot);
        }
        self.announce(now, out);
    }

    /// Keeps the router's entry among the timers true.
    pub(super) fn arm(&mut self, slot: Slot) {
        let Some(router) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        let deadline = router.deadline();
        if deadline == router.armed {
            return;
        }
        if let Some(old) = router.armed {
            self.timers.remove(&(old, slot));
        }
        if let Some(new) = deadline {
            self.timers.insert((new, slot));
        }
        router.armed = deadline;
    }

    /// An advert came in, inside an authentication header or bare.
    pub(super) fn receive(
        &mut self,
        datagram: &Datagram<'_>,
        protected: Option<&Protected<'_>>,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Ok(header) = vrrp::peek(datagram.payload) else {
            self.counters.truncated += 1;
            self.count_router(out);
            return;
        };
        let Some(slot) = self.addressee(datagram, header.vrid, protected.is_some()) else {
            self.counters.vrid_errors += 1;
            self.count_router(out);
            if self.global.log_unknown_vrids && now >= self.quiet_until {
                self.quiet_until = now + LOG_PAUSE;
                out.push(Output::Log(Log {
                    level: Level::Info,
                    instance: None,
                    text: format!("received an advert for unknown VRID {} from {}", header.vrid, datagram.source),
                }));
            }
            return;
        };
        if self.router_mut(slot).is_some_and(|it| it.heard_twice(datagram.interface, datagram.source, now)) {
            return;
        }
        let Some(router) = self.router(slot) else { return };
        let machine = &router.machine;
        let own = machine.primary() == Some(datagram.source);
        if own || !router.faults.is_empty() || !machine.started() || machine.state() == State::Fault {
            return;
        }
        let (followed, held) = (machine.master(), machine.held());
        let proof = protected.map(|packet| self.prove(slot, packet));
        let Some(router) = self.router(slot) else { return };
        let verdict = admit::admit(&router.config, &router.listed, followed.map(|it| it.address), datagram, proof);
        let advert = match verdict {
            Ok(advert) => advert,
            Err(rejected) => return self.refuse(slot, rejected, datagram, now, out),
        };
        let at = self.wall(now);
        let Some(router) = self.router_mut(slot) else { return };
        router.counters.adverts_received += 1;
        router.last_advert = Some(at);
        if router.config.version == Version::V3 && advert.interval != router.config.advert_interval {
            // Heard all the same: the interval is the master's to choose (RFC 9568 section 7.1).
            router.counters.advert_interval_errors += 1;
        }
        if advert.priority == 0 {
            router.counters.priority_zero_received += 1;
        }
        let mut rival_is_news = false;
        if router.machine.is_master() {
            router.counters.other_master_adverts += 1;
            // One that resigns claims nothing any more.
            let Advert { source: address, priority, .. } = advert;
            let known = router.other_master.map(|it| it.address);
            let rival = (priority > 0).then_some(OtherMaster { address, priority, at });
            if rival.is_some() || known == Some(address) {
                router.other_master = rival;
                rival_is_news = known != rival.map(|it| it.address);
            }
        }
        self.count(slot, out);
        self.drive(slot, Event::Advert(advert), now, out);
        self.follow_together(slot, now, out);
        let Some(router) = self.router(slot) else { return };
        if rival_is_news || (router.machine.master(), router.machine.held()) != (followed, held) {
            out.push(Output::Changed(RowKey::Instance(router.config.name.clone())));
        }
    }

    /// Which instance a datagram is for. Several may share interface and VRID if group or peers differ. With `auth_type
    /// AH` an instance hears what is `protected`, and nothing else.
    fn addressee(&self, datagram: &Datagram<'_>, vrid: u8, protected: bool) -> Option<Slot> {
        let family = Family::of(datagram.source);
        let candidates = |interface| self.dispatch.get(&(interface, family, vrid)).into_iter().flatten().copied();
        let hears =
            |slot: &Slot| self.router(*slot).is_some_and(|it| matches!(it.config.auth, Some(Auth::Ah(_))) == protected);
        let mut here = candidates(Some(datagram.interface)).chain(candidates(None)).filter(hears);
        if datagram.destination.is_multicast() {
            return here.find(|slot| {
                let transport = self.router(*slot).map(|router| &router.config.transport);
                matches!(transport, Some(Transport::Multicast { group }) if *group == datagram.destination)
            });
        }
        let mut stranger = None;
        for slot in here {
            let Some(Transport::Unicast { peers, .. }) = self.router(slot).map(|router| &router.config.transport)
            else {
                continue;
            };
            if peers.iter().any(|peer| peer.address == datagram.source) {
                return Some(slot);
            }
            stranger = stranger.or(Some(slot));
        }
        stranger
    }

    fn put_link(&mut self, link: Link, now: Instant, out: &mut Vec<Output>) {
        if self.host.link(link.index) == Some(&link) {
            return;
        }
        let name = link.name.clone();
        let index = link.index;
        let came_up = link.up() && self.host.link(index).is_some_and(|before| !before.up());
        let before = self.host.put_link(link);
        self.vmacs_stale |= before.as_ref().is_none_or(|before| before.index != index || before.name != name);
        self.look_at_link(index, now);
        if let Some(before) = before.filter(|before| before.index != index || before.name != name) {
            if before.index != index {
                self.lost_link(before.index, now, out);
            }
            if before.name != name {
                self.link_changed(&before.name, now, out);
            }
        }
        self.link_changed(&name, now, out);
        if came_up && self.phase == Phase::Running {
            for slot in self.index.users.get(&name).cloned().unwrap_or_default() {
                self.announce_on(slot, index, now);
            }
        }
    }

    /// Instances that name this interface look at it again.
    pub(super) fn link_changed(&mut self, name: &str, now: Instant, out: &mut Vec<Output>) {
        if self.phase != Phase::Running {
            return;
        }
        if self.index.static_users.contains(name) {
            self.install_statics(out);
        }
        self.lines_link_changed(name, out);
        out.extend(self.group_rows_of(name).map(Output::Changed));
        for slot in self.index.users.get(name).cloned().unwrap_or_default() {
            self.refresh(slot, now, out);
            self.complete(slot, now, out);
            let Some(router) = self.router(slot) else { continue };
            let keys = super::rows::router_keys(router);
            let lines =
                |key: &RowKey| matches!(key, RowKey::Address { .. } | RowKey::Route { .. } | RowKey::Rule { .. });
            out.extend(keys.into_iter().filter(|key| !lines(key)).map(Output::Changed));
        }
        out.extend(self.routes_on(name).into_iter().map(Output::Changed));
    }

    /// Its addresses went with it.
    fn lost_link(&mut self, index: IfIndex, now: Instant, out: &mut Vec<Output>) {
        self.sockets_stale = true;
        self.lines_lost_link(index, out);
        self.vmacs_stale = true;
        for slot in self.each_slot() {
            let Some(router) = self.router_mut(slot) else { continue };
            for held in router.held.iter_mut().filter(|held| held.at == Some(index)) {
                // It is not complete before the interface comes again, whenever that is.
                router.takeover = None;
                router.installed -= u32::from(std::mem::take(&mut held.installed));
                held.at = None;
                held.question = 0;
                held.native = false;
            }
            for held in router.held.iter_mut().filter(|held| held.leaving == Some(index)) {
                held.leaving = None;
            }
            if [router.link, router.port, router.twin].contains(&Some(index)) {
                self.refresh(slot, now, out);
            }
        }
        self.orphans.retain(|_, held| held.leaving != Some(index));
        self.asked.removals.retain(|(interface, ..)| *interface != index);
        for held in self.statics.iter_mut().filter(|held| held.at == Some(index)) {
            held.installed = false;
            held.at = None;
            held.question = 0;
            held.native = false;
        }
    }

    /// Sources may have come or gone. Virtual addresses are not sources, except an owner's.
    fn host_address_changed(&mut self, address: &HostAddress, now: Instant, out: &mut Vec<Output>) {
        if self.phase != Phase::Running {
            return;
        }
        let mut concerned: Vec<Slot> = Vec::new();
        if self.is_virtual(address.address) {
            // Thousands of these come and go in a takeover: do not look at every instance of the interface.
            let holders = self.index.holders.get(&address.address).into_iter().flatten();
            concerned.extend(holders.map(|(slot, _)| *slot).filter(|slot| self.is_owner(*slot)));
        } else {
            let link = self.host.link(address.interface);
            concerned.extend(link.and_then(|link| self.index.users.get(&link.name)).into_iter().flatten());
            concerned.extend(&self.index.floating);
            self.vmacs_stale |= address.address.is_ipv6();
        }
        concerned.extend(self.index.sources.get(&address.address).into_iter().flatten());
        for slot in concerned {
            self.refresh(slot, now, out);
        }
    }

    /// Whether an address moves between routers, so that it is nobody's primary address. A static one does not, and an
    /// owner's is an interface's real one, which adverts of the instances beside it are sent from (RFC 3768 section 4.2).
    pub(super) fn is_virtual(&self, address: IpAddr) -> bool {
        let mut holders = self.index.holders.get(&address).into_iter().flatten();
        holders.any(|(slot, _)| *slot != STATICS && !self.is_owner(*slot))
    }

    pub(super) fn is_owner(&self, slot: Slot) -> bool {
        self.router(slot).is_some_and(|router| router.base.get() == OWNER)
    }

    /// Looks at the host with one instance's eyes, and tells its machine what changed.
    pub(super) fn refresh(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let Some(router) = self.router(slot) else { return };
        let view = router.examine(&self.host, &self.found, |address| self.is_virtual(address));
        let Some(router) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        let name = router.config.name.clone();
        let mut changed = false;
        if (router.link, router.port, router.twin) != (view.link, view.port, view.twin) {
            (router.link, router.port, router.twin) = (view.link, view.port, view.twin);
            router.stale();
            self.sockets_stale = true;
            changed = true;
        }
        if router.machine.primary() != view.primary {
            let _nothing_to_do = router.machine.handle(Event::Primary(view.primary), now);
            router.stale();
            changed = true;
        }
        let old = router.machine.effective();
        let mut unblock = None;
        if old != view.priority {
            let blocked = router.machine.is_master() && router.blocks();
            let _nothing_to_do = router.machine.handle(Event::Priority(view.priority), now);
            router.changed_at = now;
            router.stale();
            changed = true;
            if router.machine.started() {
                let text = format!("({name}) Changing effective priority from {old} to {}", view.priority);
                out.push(info(&name, text));
            }
            let blocks = router.machine.is_master() && router.blocks();
            unblock = (blocked != blocks).then_some(blocks);
        }
        let priority_changed = old != view.priority;
        let faulty = (!router.faults.is_empty(), !view.faults.is_empty());
        if router.faults != view.faults {
            for fault in view.faults.iter().filter(|fault| !router.faults.contains(fault)) {
                out.push(info(&name, format!("({name}) {fault}")));
            }
            router.faults = view.faults;
            changed = true;
        }
        router.waits = view.waits;
        let (started, in_fault) = (router.machine.started(), router.machine.state() == State::Fault);
        self.count_faulty(slot, faulty.0, faulty.1);
        if priority_changed {
            self.tell_priority(slot, out);
        }
        if changed {
            out.push(Output::Changed(RowKey::Instance(name)));
        }
        if let Some(on) = unblock {
            self.block(slot, on, out);
        }
        let event = match self.fault_of(slot) {
            Some(reason) if !in_fault => Some(Event::Fault(reason)),
            None if in_fault && !self.awaits(slot) => Some(Event::Recovered(self.recovery(slot))),
            _ => None,
        };
        match event {
            Some(event) if started => self.drive(slot, event, now, out),
            _ if !started => self.start_after_waiting(slot, now, out),
            _ => {}
        }
        self.arm(slot);
    }

    /// What is said once per input, however many instances it concerned.
    pub(super) fn settle(&mut self, out: &mut Vec<Output>) {
        if self.phase == Phase::Running {
            self.settle_vmacs(out);
        }
        if self.sockets_stale && self.phase == Phase::Running {
            self.sockets_stale = false;
            self.remake_sockets(out);
        }
        if let Some(at) = self.block_at.take() {
            let set = self.blocks.iter().copied().collect();
            out.insert(at.min(out.len()), Output::Block(set));
        }
    }

    fn remake_sockets(&mut self, out: &mut Vec<Output>) {
        let mut dispatch: HashMap<_, SmallVec<[Slot; 1]>> = HashMap::new();
        let mut listening = BTreeSet::new();
        for slot in self.each_slot() {
            let Some(router) = self.router(slot) else { continue };
            let config = &router.config;
            if (config.interface.is_some() || config.vrf.is_some()) && router.port.is_none() {
                continue;
            }
            // What comes in by a VRF's socket names the interface in that VRF, which may be any.
            let at = router.port.filter(|_| config.vrf.is_none());
            let protected = matches!(config.auth, Some(Auth::Ah(_)));
            if let (Some(interface), Transport::Multicast { group }) = (router.twin, &config.transport) {
                dispatch.entry((Some(interface), config.family, config.vrid.get())).or_default().push(slot);
                listening.insert(match protected {
                    true => Listen::Protected { interface: Some(interface), group: Some(*group) },
                    false => Listen::Multicast { interface, group: *group },
                });
            }
            dispatch.entry((at, config.family, config.vrid.get())).or_default().push(slot);
            if protected {
                let group = match config.transport {
                    Transport::Multicast { group } => Some(group),
                    Transport::Unicast { .. } => None,
                };
                listening.insert(Listen::Protected { interface: router.port, group });
                continue;
            }
            listening.insert(match (&config.transport, router.port) {
                (Transport::Multicast { group }, Some(interface)) => Listen::Multicast { interface, group: *group },
                (Transport::Multicast { .. }, None) => continue,
                (Transport::Unicast { .. }, interface) => Listen::Unicast { interface, family: config.family },
            });
        }
        self.dispatch = dispatch;
        if listening != self.listening {
            self.listening = listening;
            out.push(Output::Listen(self.listening.iter().cloned().collect()));
        }
    }
}

pub(super) fn info(name: &InstanceName, text: String) -> Output {
    Output::Log(Log { level: Level::Info, instance: Some(name.clone()), text })
}
