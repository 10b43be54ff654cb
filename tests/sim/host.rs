//! One simulated host: a kernel with two interfaces, a clock of its own pace, and an engine that may be dead or stalled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use keepwatch::bus::msg::Edge;
use keepwatch::bus::rows::{Finding, Row, RowKey, State, TrackerRuns};
use keepwatch::clock::{Instant, WallTime};
use keepwatch::conf::model::{Config, Family, InstanceName, Route, Rule, TrackerKind};
use keepwatch::vrrp::engine::{Engine, EngineOptions};
use keepwatch::vrrp::io::{
    AddressChange, Datagram, HostAddress, Input, KernelLine, KernelRoute, LineChange, LineNews, Link, Listen, Output,
    Send,
};

use crate::random::Random;
use crate::trackers::{self, Findings};

pub const ETH0: u32 = 2;

/// True time, nanoseconds.
pub type Time = u64;

/// A datagram under way or in a receive buffer.
#[derive(Debug, Clone)]
pub struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ttl: u8,
    pub payload: Arc<[u8]>,
}

pub struct Host {
    pub number: usize,
    pub config: Config,
    pub engine: Option<Engine>,
    /// Parts per million that this clock is fast.
    drift: i64,
    offset: u64,
    /// eth0 and eth1.
    pub up: [bool; 2],
    /// The index of eth1; `None` while there is no such interface.
    pub eth1: Option<u32>,
    interfaces_made: u32,
    pub addresses: BTreeSet<(u32, IpAddr)>,
    /// Routes and rules, without the kernel's own.
    pub lines: BTreeSet<LineNews>,
    /// Those that a process had not got rid of when it died, and that are not in its successor's file; and those whose removal
    /// by somebody else is nobody's business.
    pub lost_lines: BTreeSet<LineNews>,
    pub stolen_lines: BTreeSet<LineNews>,
    pub inbox: VecDeque<Packet>,
    pub stalled_until: Time,
    listening: BTreeSet<Listen>,
    pub blocked: BTreeSet<IpAddr>,
    /// What the edges say: they must tell the whole story.
    pub states: BTreeMap<InstanceName, State>,
    /// The same of sync groups.
    pub group_states: BTreeMap<String, State>,
    /// Groups whose members a reload brought together in different states.
    pub mixed: BTreeSet<String>,
    /// Address changes that the kernel refused, or that somebody else undid: not to be complained of before then.
    pub excused: BTreeMap<IpAddr, Time>,
    /// Addresses that a process had not got rid of when it died: its successor, with a new file, knows nothing of them.
    pub lost: BTreeSet<IpAddr>,
    /// What this process put on the host and announced since.
    announced: BTreeSet<(u32, IpAddr)>,
    pub outputs: u64,
    pub digest: u64,
    /// Address changes that fail, in a thousand.
    pub refusals: u64,
    out: Vec<Output>,
    /// Whether to compute [`Self::digest`].
    pub trace: bool,
    /// What netlink has not delivered yet, in order.
    notes: VecDeque<(Time, Input<'static>)>,
    /// What the engine was told of trackers.
    pub found: Findings,
    /// What it will be told first.
    looks: Vec<(Time, TrackerKind, Finding)>,
}

impl Host {
    pub fn new(number: usize, config: Config, random: &mut Random) -> Host {
        let mut host = Host {
            number,
            config,
            engine: None,
            drift: random.range(0, 1001) as i64 - 500,
            offset: random.range(1, 1 << 50),
            up: [true; 2],
            eth1: Some(ETH0 + 1),
            interfaces_made: ETH0 + 1,
            addresses: BTreeSet::new(),
            lines: BTreeSet::new(),
            lost_lines: BTreeSet::new(),
            stolen_lines: BTreeSet::new(),
            inbox: VecDeque::new(),
            stalled_until: 0,
            listening: BTreeSet::new(),
            blocked: BTreeSet::new(),
            states: BTreeMap::new(),
            group_states: BTreeMap::new(),
            mixed: BTreeSet::new(),
            excused: BTreeMap::new(),
            lost: BTreeSet::new(),
            announced: BTreeSet::new(),
            outputs: 0,
            digest: 0,
            refusals: 0,
            out: Vec::new(),
            trace: false,
            notes: VecDeque::new(),
            found: Findings::new(),
            looks: vec![],
        };
        host.addresses.insert((ETH0, host.own_v4()));
        host.addresses.insert((ETH0, host.own_v6()));
        host
    }

    pub fn own_v4(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, self.number as u8 + 1))
    }

    pub fn own_v6(&self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, self.number as u16 + 1))
    }

    pub fn is_own(&self, address: IpAddr) -> bool {
        address == self.own_v4() || address == self.own_v6()
    }

    /// Virtual addresses that came without anybody being told.
    pub fn unannounced(&self) -> Vec<(u32, IpAddr)> {
        let known = |place: &&(u32, IpAddr)| {
            self.is_own(place.1) || self.lost.contains(&place.1) || self.announced.contains(*place)
        };
        self.addresses.iter().filter(|place| !known(place)).copied().collect()
    }

    /// Every address that instances of this host may hold.
    pub fn configured(&self) -> BTreeSet<IpAddr> {
        let listed = self.config.instances.iter().flat_map(|it| it.addresses.iter().chain(&it.excluded));
        listed.map(|address| address.address).collect()
    }

    pub fn local(&self, time: Time) -> Instant {
        let skew = time as i64 / 1_000_000 * self.drift;
        Instant::from_nanos(self.offset + (time as i64 + skew) as u64)
    }

    /// The first true time at which this clock shows `local` or later.
    pub fn true_time(&self, local: Instant) -> Time {
        let passed = local.nanos().saturating_sub(self.offset) as i64;
        let mut time = (passed - passed / 1_000_000 * self.drift) as u64;
        while self.local(time) < local {
            time += 500;
        }
        time
    }

    /// When the engine wants to be woken, or its process goes on.
    pub fn wakes_at(&self) -> Option<Time> {
        let deadline = self.engine.as_ref()?.deadline().map(|at| self.true_time(at));
        let note = self.notes.front().map(|(at, _)| *at);
        let look = self.looks.iter().map(|(at, ..)| *at).min();
        Some(deadline.into_iter().chain(note).chain(look).min()?.max(self.stalled_until))
    }

    fn link(&self, index: u32) -> Link {
        let number = usize::from(index != ETH0);
        let up = self.up[number];
        Link {
            index,
            name: format!("eth{number}"),
            admin_up: up,
            running: up,
            loopback: false,
            multicast: true,
            mac: Some([2, 0, 0, 0, self.number as u8, index as u8]),
            mtu: 1500,
            vrf: None,
        }
    }

    fn host_address(&self, (interface, address): (u32, IpAddr)) -> HostAddress {
        let prefix = if address.is_ipv4() { 24 } else { 64 };
        let secondary = address.is_ipv4() && !self.is_own(address);
        HostAddress { interface, address, prefix, secondary, tentative: false }
    }

    /// A new process comes up.
    pub fn start(&mut self, time: Time, random: &mut Random, sent: &mut Vec<Packet>) {
        let now = self.local(time);
        self.states = self.config.instances.iter().map(|it| (it.name.clone(), State::Init)).collect();
        self.group_states = self.config.sync_groups.iter().map(|it| (it.name.clone(), State::Init)).collect();
        self.mixed.clear();
        self.listening.clear();
        self.blocked.clear();
        self.inbox.clear();
        self.notes.clear();
        // The driver removes what a predecessor left of what is in the file, before the engine hears of the host.
        let ours = self.configured();
        self.addresses.retain(|(_, address)| !ours.contains(address));
        let virtual_lines: BTreeSet<LineNews> =
            self.config.instances.iter().flat_map(|it| self.resolved(&it.routes, &it.rules)).collect();
        self.lines.retain(|line| !virtual_lines.contains(line));
        let wall = WallTime(1_800_000_000_000_000_000 + time);
        self.engine = Some(Engine::new(&self.config, EngineOptions { restarted: random.permille(500) }, now, wall));
        for index in [Some(ETH0), self.eth1].into_iter().flatten() {
            self.input(Input::Link(self.link(index)), time, random, sent);
        }
        // The dump lists the oldest address first.
        let mut addresses: Vec<(u32, IpAddr)> = self.addresses.iter().copied().collect();
        addresses.sort_by_key(|(_, address)| !self.is_own(*address));
        for address in addresses {
            self.input(Input::HostAddress(self.host_address(address)), time, random, sent);
        }
        self.input(Input::Wake, time, random, sent);
        // The runner comes up in its own time.
        self.found.clear();
        self.looks.clear();
        for kind in trackers::KINDS {
            let at = time + random.range(0, 2_000_000_000);
            self.looks.push((at, kind, trackers::finding(kind, random)));
        }
    }

    /// The runner tells what it has found; a runner that was started again knows nothing.
    pub fn look(
        &mut self,
        kind: TrackerKind,
        finding: Finding,
        time: Time,
        random: &mut Random,
        sent: &mut Vec<Packet>,
    ) {
        if self.engine.is_none() {
            return;
        }
        if finding != Finding::Unknown {
            self.found.insert(kind, finding);
        }
        let name = trackers::NAME.to_owned();
        self.input(Input::Found { kind, name, finding, runs: TrackerRuns::default() }, time, random, sent);
    }

    /// Everything that is tracked is well.
    pub fn all_well(&mut self, time: Time, random: &mut Random, sent: &mut Vec<Packet>) {
        self.looks.clear();
        for kind in trackers::KINDS {
            self.look(kind, trackers::well(kind), time, random, sent);
        }
    }

    /// Priorities are what the base and the weights that hold make of them, and nobody serves who has a fault.
    pub fn check_trackers(&self) {
        let Some(engine) = &self.engine else { return };
        let eth1 = self.eth1.is_some() && self.up[1];
        let number = self.number;
        let row = |name: &InstanceName| match engine.row(&RowKey::Instance(name.clone())) {
            Some(Row::Instance(row)) => row,
            other => panic!("host {number}: no row of {name}: {other:?}"),
        };
        for instance in &self.config.instances {
            let name = &instance.name;
            let group = self.config.sync_groups.iter().find(|group| group.members.contains(name));
            let row = row(name);
            let outcome = trackers::outcome(instance, group, &self.found, eth1);
            let wanted = match row.stood_down {
                Some(_) => 1,
                None => (i64::from(row.base_priority.get()) + outcome.weights).clamp(1, 254),
            };
            assert_eq!(
                i64::from(row.effective_priority.get()),
                wanted,
                "host {number}: priority of {name}: {outcome:?}"
            );
            let own = row.faults.iter().filter(|fault| !fault.contains("eth0") && !fault.contains("source")).count();
            assert_eq!(own, outcome.faults, "host {number}: faults of {name}: {:?}", row.faults);
            let down = matches!(row.state, State::Fault | State::Init);
            assert!(row.faults.is_empty() || down, "host {number}: {name} is {:?}: {:?}", row.state, row.faults);
            let mates = group.into_iter().flat_map(|group| &group.members);
            for mate in mates.filter(|mate| engine.row(&RowKey::Instance((*mate).clone())).is_some()) {
                let mate_has_faults = match engine.row(&RowKey::Instance(mate.clone())) {
                    Some(Row::Instance(mate)) => !mate.faults.is_empty(),
                    _ => false,
                };
                assert!(!mate_has_faults || down, "host {number}: {name} is {:?} beside {mate}", row.state);
            }
        }
    }

    pub fn crash(&mut self) {
        self.engine = None;
        let ours = self.configured();
        let lost = self.addresses.iter().map(|(_, address)| *address).filter(|address| !ours.contains(address));
        self.lost.extend(lost);
        let known = self.configured_lines();
        self.lost_lines.extend(self.lines.iter().filter(|line| !known.contains(line)).cloned());
        for state in self.states.values_mut() {
            *state = State::Init;
        }
    }

    /// Takes eth`number` up or down.
    pub fn set_up(&mut self, number: usize, up: bool, time: Time, random: &mut Random, sent: &mut Vec<Packet>) {
        let same = std::mem::replace(&mut self.up[number], up) == up;
        let Some(index) = [Some(ETH0), self.eth1][number].filter(|_| !same) else { return };
        let v6: Vec<(u32, IpAddr)> =
            self.addresses.iter().filter(|(at, address)| *at == index && address.is_ipv6()).copied().collect();
        if !up {
            self.flush_lines(index, time, random, sent);
        }
        let link_first = random.permille(500);
        if link_first {
            self.input(Input::Link(self.link(index)), time, random, sent);
        }
        if !up {
            // The kernel flushes IPv6 addresses and keeps IPv4 ones.
            for address in v6 {
                if self.addresses.remove(&address) {
                    self.input(Input::HostAddressGone(self.host_address(address)), time, random, sent);
                }
            }
        } else if index == ETH0 && self.addresses.insert((ETH0, self.own_v6())) {
            self.input(Input::HostAddress(self.host_address((ETH0, self.own_v6()))), time, random, sent);
        }
        if !link_first {
            self.input(Input::Link(self.link(index)), time, random, sent);
        }
    }

    /// Removes eth1, or makes it again under a new index.
    pub fn replug(&mut self, time: Time, random: &mut Random, sent: &mut Vec<Packet>) {
        match self.eth1.take() {
            Some(index) => {
                let gone: Vec<(u32, IpAddr)> = self.addresses.iter().filter(|(at, _)| *at == index).copied().collect();
                let told = random.permille(500);
                self.flush_lines(index, time, random, sent);
                for place in gone {
                    self.addresses.remove(&place);
                    if told {
                        self.input(Input::HostAddressGone(self.host_address(place)), time, random, sent);
                    }
                }
                self.input(Input::LinkGone(index), time, random, sent);
            }
            None => {
                self.interfaces_made += 1;
                let index = self.interfaces_made;
                self.eth1 = Some(index);
                self.input(Input::Link(self.link(index)), time, random, sent);
            }
        }
    }

    /// Somebody removes an address behind the engine's back.
    pub fn steal(&mut self, address: (u32, IpAddr), time: Time, random: &mut Random, sent: &mut Vec<Packet>) {
        if self.addresses.remove(&address) {
            self.excused.insert(address.1, time + 32_000_000_000);
            self.flush_without_address(address.0);
            self.input(Input::HostAddressGone(self.host_address(address)), time, random, sent);
        }
    }

    /// What a configuration asks for, as far as its interfaces exist.
    fn resolved(&self, routes: &[Route], rules: &[Rule]) -> Vec<LineNews> {
        let links: Vec<Link> = [Some(ETH0), self.eth1].into_iter().flatten().map(|index| self.link(index)).collect();
        let named = |name: &str| links.iter().find(|link| link.name == name);
        let routes = routes.iter().filter_map(|route| KernelRoute::resolve(&Arc::new(route.clone()), named));
        let routes = routes.map(|route| KernelLine::Route(route).news());
        routes.chain(rules.iter().map(|rule| KernelLine::Rule(Arc::new(rule.clone())).news())).collect()
    }

    fn configured_lines(&self) -> BTreeSet<LineNews> {
        let own = self.config.instances.iter().flat_map(|it| self.resolved(&it.routes, &it.rules));
        own.chain(self.resolved(&self.config.static_routes, &self.config.static_rules)).collect()
    }

    /// Every master's routes and rules are here, and those of the host, and no others.
    pub fn check_lines(&self) {
        if self.engine.is_none() {
            return;
        }
        let masters = self.config.instances.iter().filter(|it| self.states.get(&it.name) == Some(&State::Master));
        let statics = self.resolved(&self.config.static_routes, &self.config.static_rules);
        let mut wanted: BTreeSet<LineNews> = masters.flat_map(|it| self.resolved(&it.routes, &it.rules)).collect();
        wanted.extend(statics);
        for line in &wanted {
            let there = self.lines.contains(line) || self.stolen_lines.contains(line);
            assert!(there, "host {}: {line:?} is missing", self.number);
        }
        for line in &self.lines {
            let known = wanted.contains(line) || self.lost_lines.contains(line);
            assert!(known, "host {}: {line:?} ought to have gone", self.number);
        }
    }

    /// The kernel removes routes through an interface: those of IPv4 without a word.
    fn flush_lines(&mut self, index: u32, time: Time, random: &mut Random, sent: &mut Vec<Packet>) {
        for line in self.lines.clone() {
            let LineNews::Route(route) = &line else { continue };
            if !route.hops.iter().any(|(_, interface)| *interface == Some(index)) {
                continue;
            }
            if route.family == Family::V4 {
                self.lines.remove(&line);
            } else {
                self.lines.remove(&line);
                self.input(Input::LineGone(line), time, random, sent);
            }
        }
    }

    /// An interface without an address of IPv4 has no routes of IPv4.
    fn flush_without_address(&mut self, index: u32) {
        if self.addresses.iter().any(|(at, address)| *at == index && address.is_ipv4()) {
            return;
        }
        self.lines.retain(|line| match line {
            LineNews::Route(route) => {
                route.family == Family::V6 || !route.hops.iter().any(|(_, interface)| *interface == Some(index))
            }
            LineNews::Rule(_) => true,
        });
    }

    /// Somebody removes a route or a rule behind the engine's back.
    pub fn steal_line(&mut self, line: &LineNews, time: Time, random: &mut Random, sent: &mut Vec<Packet>) {
        if self.lines.remove(line) {
            let untracked_routes = || {
                let all = self.config.instances.iter().flat_map(|it| &it.routes).chain(&self.config.static_routes);
                all.filter(|route| route.no_track).cloned().collect::<Vec<_>>()
            };
            if self.resolved(&untracked_routes(), &[]).contains(line) {
                self.stolen_lines.insert(line.clone());
            }
            self.input(Input::LineGone(line.clone()), time, random, sent);
        }
    }

    /// Reads the sockets empty, then wakes the engine: in this order, as a driver that may be late must.
    pub fn wake(&mut self, time: Time, random: &mut Random, sent: &mut Vec<Packet>) {
        while self.notes.front().is_some_and(|(at, _)| *at <= time) {
            if let Some((_, note)) = self.notes.pop_front() {
                self.input(note, time, random, sent);
            }
        }
        while let Some(at) = self.looks.iter().position(|(at, ..)| *at <= time) {
            let (_, kind, finding) = self.looks.swap_remove(at);
            self.look(kind, finding, time, random, sent);
        }
        while let Some(packet) = self.inbox.pop_front() {
            let group = packet.destination;
            if self.up[0] && self.listening.contains(&Listen::Multicast { interface: ETH0, group }) {
                self.input(
                    Input::Datagram(Datagram {
                        interface: ETH0,
                        source: packet.source,
                        destination: packet.destination,
                        ttl: packet.ttl,
                        payload: &packet.payload,
                    }),
                    time,
                    random,
                    sent,
                );
            }
        }
        self.input(Input::Wake, time, random, sent);
    }

    pub fn reload(&mut self, config: Config, time: Time, random: &mut Random, sent: &mut Vec<Packet>) {
        self.config = config;
        let now = self.local(time);
        let Some(engine) = &mut self.engine else { return };
        let mut out = std::mem::take(&mut self.out);
        engine.apply(&self.config, now, &mut out);
        for instance in &self.config.instances {
            self.states.entry(instance.name.clone()).or_insert(State::Init);
        }
        self.perform(out, time, random, sent);
        // One that left said fault or deleted, and begins anew if it comes again.
        self.states.retain(|name, _| self.config.instances.iter().any(|it| it.name == *name));
        // A group that is new is what its members were, without a word.
        self.group_states.retain(|name, _| self.config.sync_groups.iter().any(|it| it.name == *name));
        for name in self.config.sync_groups.iter().map(|it| it.name.clone()).collect::<Vec<_>>() {
            if let Some(state) = self.group_row(&name).filter(|_| !self.group_states.contains_key(&name)) {
                self.group_states.insert(name.clone(), state);
            }
            if self.shared_state(&name).is_none() {
                self.mixed.insert(name);
            }
        }
    }

    fn group_row(&self, name: &str) -> Option<State> {
        match self.engine.as_ref()?.row(&RowKey::SyncGroup(name.to_owned()))? {
            Row::SyncGroup(row) => Some(row.state),
            other => panic!("{other:?} is no row of {name}"),
        }
    }

    /// The state of all members that have started, if it is one; `Some(Init)` if none has.
    fn shared_state(&self, group: &str) -> Option<State> {
        let group = self.config.sync_groups.iter().find(|it| it.name == group)?;
        let states = group.members.iter().filter_map(|name| self.states.get(name).copied());
        let mut states = states.filter(|state| *state != State::Init);
        let first = states.next().unwrap_or(State::Init);
        states.all(|state| state == first).then_some(first)
    }

    /// Members of a sync group are in one state, which is the group's, and whoever listens to edges knows it.
    pub fn check_groups(&mut self) {
        if self.engine.is_none() {
            return;
        }
        for group in &self.config.sync_groups {
            let name = &group.name;
            let told = self.group_states.get(name).copied();
            assert_eq!(told, self.group_row(name), "host {}: edges and row of {name} agree", self.number);
            match self.shared_state(name) {
                None => {
                    let states: Vec<_> = group.members.iter().map(|member| self.states.get(member)).collect();
                    let excused = self.mixed.contains(name);
                    assert!(excused, "host {}: members of {name} are apart: {states:?}", self.number);
                }
                Some(state) => {
                    self.mixed.remove(name);
                    assert_eq!(told, Some(state), "host {}: the state of {name}", self.number);
                }
            }
        }
    }

    pub fn input(&mut self, input: Input<'_>, time: Time, random: &mut Random, sent: &mut Vec<Packet>) {
        let now = self.local(time);
        let Some(engine) = &mut self.engine else { return };
        let mut out = std::mem::take(&mut self.out);
        engine.handle(input, now, &mut out);
        self.perform(out, time, random, sent);
    }

    fn perform(&mut self, mut out: Vec<Output>, time: Time, random: &mut Random, sent: &mut Vec<Packet>) {
        let mut echoes: Vec<Input<'static>> = Vec::new();
        for output in out.drain(..) {
            self.outputs += 1;
            if self.trace {
                self.digest = self.digest.rotate_left(7) ^ fingerprint(&output);
            }
            match output {
                Output::Send(Send { interface, source, destination, ttl, payload, due, whole: _ }) => {
                    assert!(due.is_none_or(|due| due <= self.local(time)), "an advert left before its time");
                    assert_eq!(interface, Some(ETH0));
                    if self.up[0] {
                        sent.push(Packet { source, destination, ttl, payload });
                    }
                }
                Output::Address(change) => self.kernel(change, time, random, &mut echoes),
                Output::Line(change) => self.kernel_line(change, random, &mut echoes),
                Output::Announce(announce) => {
                    let there = self.addresses.contains(&(announce.interface, announce.address));
                    let excused = self.excused.contains_key(&announce.address);
                    assert!(there || excused, "{announce:?} for an address that is not here");
                    if there {
                        self.announced.insert((announce.interface, announce.address));
                    }
                }
                Output::Listen(set) => self.listening = set.into_iter().collect(),
                Output::Changed(key) | Output::Counted(key) => {
                    let row = self.engine.as_ref().and_then(|engine| engine.row(&key));
                    if let (Some(Row::Instance(row)), RowKey::Instance(name)) = (row, key) {
                        assert_eq!(row.config.name, name);
                    }
                }
                Output::Edge(Edge::Transition { instance, from, to, .. }) => {
                    let known = self.states.get(&instance).copied();
                    assert_eq!(known, Some(from), "edges of {instance} do not connect");
                    match to {
                        State::Deleted | State::Shutdown => self.states.insert(instance, State::Init),
                        to => self.states.insert(instance, to),
                    };
                }
                Output::Edge(Edge::SyncGroup { group, to, .. }) => {
                    let before = self.group_states.insert(group.clone(), to);
                    assert_ne!(before, Some(to), "host {}: {group} is told twice", self.number);
                }
                Output::Edge(Edge::BadPacket { .. } | Edge::Tracker { .. }) => {}
                Output::Edge(Edge::Server { .. } | Edge::Quorum { .. }) => unreachable!("no edges of a vrrp engine"),
                Output::Block(set) => self.blocked = set.into_iter().map(|block| block.address).collect(),
                Output::Errand(_) | Output::NewScripts => {}
                Output::Vmacs(_) => unreachable!("nobody asked for a virtual MAC"),
                Output::TakenOver { due } => assert!(due <= self.local(time)),
                Output::Reply { .. } | Output::Log(_) => {}
            }
        }
        self.out = out;
        for echo in echoes {
            let after = self.notes.back().map_or(time, |(at, _)| *at);
            let late = if random.permille(500) { random.range(0, 3_000_000) } else { 0 };
            self.notes.push_back((after.max(time + late), echo));
        }
    }

    fn kernel_line(&mut self, change: LineChange, random: &mut Random, echoes: &mut Vec<Input<'static>>) {
        let LineChange { key, line, install, afresh } = change;
        let news = line.news();
        let answer = |error| Input::LineAnswer { key: key.clone(), install, error, text: String::new() };
        if random.permille(self.refusals) {
            echoes.push(answer(Some(12)));
            return;
        }
        if install && let KernelLine::Route(route) = &line {
            let through: Vec<u32> = route.interface.iter().chain(route.hops.iter().flatten()).copied().collect();
            for index in through {
                let number = usize::from(index != ETH0);
                if index != ETH0 && self.eth1 != Some(index) {
                    echoes.push(answer(Some(19)));
                    return;
                }
                if !self.up[number] {
                    // ENETDOWN.
                    echoes.push(answer(Some(100)));
                    return;
                }
            }
        }
        let mut gone = None;
        if !install && self.lines.remove(&news) {
            gone = Some(Input::LineGone(news.clone()));
        }
        let error = match install {
            true => {
                self.stolen_lines.remove(&news);
                (!self.lines.insert(news) && !afresh).then_some(17)
            }
            false => None,
        };
        // The answer and the notification come by two sockets.
        if random.permille(500) {
            echoes.extend(gone);
            echoes.push(answer(error));
        } else {
            echoes.push(answer(error));
            echoes.extend(gone);
        }
    }

    fn kernel(&mut self, change: AddressChange, time: Time, random: &mut Random, echoes: &mut Vec<Input<'static>>) {
        let AddressChange { key, interface, address, install } = change;
        let place = (interface, address.address);
        assert!(!self.is_own(address.address), "touches an address that is not ours");
        let exists = interface == ETH0 || self.eth1 == Some(interface);
        if random.permille(self.refusals) {
            self.excused.insert(address.address, time + 32_000_000_000);
            echoes.push(Input::AddressAnswer { key, install, error: Some(12) });
            return;
        }
        if !exists {
            // The driver makes a success of ENODEV on removing.
            let error = install.then_some(19);
            echoes.push(Input::AddressAnswer { key, install, error });
            return;
        }
        let echo = if install && self.addresses.insert(place) {
            self.announced.remove(&place);
            Some(Input::HostAddress(self.host_address(place)))
        } else if !install && self.addresses.remove(&place) {
            self.flush_without_address(interface);
            Some(Input::HostAddressGone(self.host_address(place)))
        } else {
            None
        };
        let answer = Input::AddressAnswer { key, install, error: None };
        // The answer and the notification come by two sockets.
        if random.permille(500) {
            echoes.extend(echo);
            echoes.push(answer);
        } else {
            echoes.push(answer);
            echoes.extend(echo);
        }
    }
}

fn fingerprint(output: &Output) -> u64 {
    let text = format!("{output:?}");
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
