//! Carrying out what the engine wants: adverts, then addresses, then announcements, each kind in as few system calls as
//! it takes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::sockets::Sockets;
use super::times::Times;
use super::vmacs::Vmacs;
use super::{ADDRESSES, FIREWALL, FORWARDING, LINES};
use crate::bus::outbox::Outbox;
use crate::clock::{self, Instant};
use crate::conf::model::{Address, Config, Family, Global, Instance, Placement, ReceiveBuffers};
use crate::netlink::forwarding::Forwarding;
use crate::netlink::lines::{Interest, LineMonitor};
use crate::netlink::nft::{self, Firewall, Port};
use crate::netlink::route::{Addresses, Change, Monitor, NetEvent, Status};
use crate::sys::packet::Frames;
use crate::sys::poll::{Poller, Token};
use crate::sys::raw::{Outgoing, Sender};
use crate::vrrp::engine::Engine;
use crate::vrrp::io::{
    AddressChange, AddressKey, Announce, Block, IfIndex, Input, KernelLine, KernelRoute, Level, LineChange, LineKey,
    LineKind, Link, Listen, Log, Output, Send, WantedVmac,
};
use crate::wire::{arp, ndisc};

/// A full address queue is tried again this soon.
const RETRY: Duration = Duration::from_millis(5);

/// After news of routes were lost, they are asked for this much later.
const DOUBT: Duration = Duration::from_millis(200);

/// Room for the news of some thousand routes, bytes; those of others take most of it.
const LINES_BUFFER: u32 = 4 * 1024 * 1024;

/// Sockets that could not be opened are tried again after this.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Lines of the log written in a turn that has other work, and how many may wait.
const LINES_PER_TURN: usize = 16;
const UNSAID_MAX: usize = 8192;

/// The same complaint about sending is made once in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// Everything outside the engine that it can change, and what is needed to do so.
pub struct World {
    sockets: Sockets,
    senders: BTreeMap<Road, Sender>,
    frames: Option<Frames>,
    addresses: Addresses,
    /// Who is a router; without it (an old kernel) that is read from files.
    forwarding: Option<Forwarding>,
    /// Lines for the log that wait for what is due.
    unsaid: VecDeque<Log>,
    say_at: Option<Instant>,
    /// Opened when routes or rules are configured, and when to try again after that failed.
    lines: Option<LineMonitor>,
    lines_at: Option<Instant>,
    line_interest: Interest,
    /// News of them were lost: when to ask for what ought to be there.
    doubt_lines_at: Option<Instant>,
    /// Opened when an instance has `no_accept`.
    firewall: Option<Firewall>,
    /// What is dropped, what should be, and when to try again after the kernel refused.
    blocked: BTreeSet<Block>,
    block_wanted: BTreeSet<Block>,
    block_at: Option<Instant>,
    vmacs: Vmacs,
    /// Whose reports the filter sends by another interface.
    ports: BTreeSet<Port>,
    links: BTreeMap<IfIndex, Link>,
    wanted: Vec<Listen>,
    buffers: ReceiveBuffers,
    /// Largest `kernel_rx_buf_size` of any instance.
    buffer_of_instances: Option<u32>,
    /// Interfaces that are to have promote_secondaries; those on which we set it, and what it was.
    promote: BTreeSet<String>,
    promoted: BTreeMap<String, String>,
    retry_at: Option<Instant>,
    /// When to open sockets again that could not be opened.
    listen_at: Option<Instant>,
    /// What was in force when this process started, for settings that cannot change.
    started_with: Global,
    complained: BTreeMap<Option<IfIndex>, Instant>,
    /// What nftables has refused since it was asked for last.
    unfiltered: Vec<String>,
}

/// What the kernel has refused besides addresses, routes and rules, whose answers have inputs of their own.
#[derive(Debug)]
pub enum Refusal {
    /// Of a virtual MAC.
    Interface { name: String, errno: i32, text: String },
    /// What `no_accept` drops.
    Filter(String),
}

/// A socket that adverts leave by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Road {
    V4,
    V6,
    /// Whole IPv4 packets.
    Protected,
}

impl Road {
    fn of(send: &Send) -> Road {
        match Family::of(send.destination) {
            Family::V4 if send.whole => Road::Protected,
            Family::V4 => Road::V4,
            Family::V6 => Road::V6,
        }
    }

    fn open(self) -> io::Result<Sender> {
        match self {
            Road::V4 => Sender::open(false),
            Road::V6 => Sender::open(true),
            Road::Protected => Sender::open_whole(),
        }
    }
}

impl World {
    pub fn open(global: &Global, poller: &Poller) -> io::Result<World> {
        let addresses = Addresses::open(global.netlink_command_buffer)?;
        poller.add(&addresses, ADDRESSES, false)?;
        let forwarding = Forwarding::open().and_then(|it| poller.add(&it, FORWARDING, false).map(|()| it));
        let forwarding = forwarding.inspect_err(|error| debug!("the kernel does not tell who forwards: {error}")).ok();
        Ok(World {
            sockets: Sockets::default(),
            senders: BTreeMap::new(),
            frames: None,
            addresses,
            forwarding,
            unsaid: VecDeque::new(),
            say_at: None,
            lines: None,
            lines_at: None,
            line_interest: Interest::default(),
            doubt_lines_at: None,
            firewall: None,
            blocked: BTreeSet::new(),
            block_wanted: BTreeSet::new(),
            block_at: None,
            vmacs: Vmacs::new(global),
            ports: BTreeSet::new(),
            links: BTreeMap::new(),
            wanted: Vec::new(),
            buffers: global.receive_buffers,
            buffer_of_instances: None,
            promote: BTreeSet::new(),
            promoted: BTreeMap::new(),
            retry_at: None,
            listen_at: None,
            started_with: global.clone(),
            complained: BTreeMap::new(),
            unfiltered: Vec::new(),
        })
    }

    /// Settings that are not the engine's business.
    pub fn configure(&mut self, config: &Config, poller: &Poller) {
        let filters = |it: &Instance| !it.accept || it.vmacs.all().next().is_some();
        if self.firewall.is_none() && config.instances.iter().any(filters) {
            match open_firewall(&config.global, poller) {
                Ok(firewall) => self.firewall = Some(firewall),
                Err(error) => {
                    error!("no_accept and use_vmac filter nothing, nftables cannot be reached: {error}");
                    self.unfiltered.push(error.to_string());
                }
            }
        }
        self.line_interest = Interest::of(config);
        self.watch_lines(clock::now(), poller);
        self.vmacs.configure(&config.global, clock::now());
        self.buffers = config.global.receive_buffers;
        self.buffer_of_instances = config.instances.iter().filter_map(|instance| instance.receive_buffer).max();
        let wanted = config.instances.iter().filter(|instance| instance.promote_secondaries);
        self.promote = wanted.filter_map(|instance| instance.interface.clone()).collect();
        let names: Vec<String> = self.links.values().map(|link| link.name.clone()).collect();
        names.iter().for_each(|name| self.promote_on(name));
    }

    /// Sets promote_secondaries where it is configured; an interface that comes later has its turn when it comes.
    fn promote_on(&mut self, name: &str) {
        if !self.promote.contains(name) {
            return;
        }
        let path = promote_path(name);
        let Ok(before) = std::fs::read_to_string(&path) else { return };
        match std::fs::write(&path, "1") {
            Ok(()) => {
                self.promoted.entry(name.to_owned()).or_insert(before);
            }
            Err(error) => warn!("cannot set promote_secondaries on {name}: {error}"),
        }
    }

    /// A predecessor that crashed may have left addresses behind. They go before the engine starts, and it does not hear
    /// of them (they leave `news`), as nobody answers for them. What somebody else configured stays, where the kernel can
    /// tell: our addresses carry a mark since Linux 5.18. Before, what is configured here and present is taken for ours, as
    /// Keepalived does, but for an address owner's.
    pub fn remove_leftovers(&mut self, config: &Config, monitor: &Monitor, news: &mut Vec<NetEvent>) {
        self.links = monitor.links().map(|link| (link.index, link.clone())).collect();
        let guess = !kernel_marks_addresses();
        let mut lines = Vec::new();
        for instance in &config.instances {
            let named = |name: &str| self.links.values().find(|link| link.name == name);
            let rules = instance.rules.iter().map(|rule| KernelLine::Rule(Arc::new(rule.clone())));
            let routes = instance.routes.iter().map(|route| KernelRoute::resolve(&Arc::new(route.clone()), named));
            for line in rules.chain(routes.flatten().map(KernelLine::Route)) {
                // Ours by their protocol; where that is another they are exactly what is configured.
                let key = LineKey { owner: Some(instance.name.clone()), kind: line.kind(), position: 0, question: 0 };
                lines.push(Change::Line(LineChange { key, line, install: false, afresh: false }));
            }
        }
        // Those that want to be alone would not be, beside themselves.
        let alone = config.static_routes.iter().filter(|route| route.placement == Placement::Add);
        let named = |name: &str| self.links.values().find(|link| link.name == name);
        let alone = alone.filter_map(|route| KernelRoute::resolve(&Arc::new(route.clone()), named));
        lines.extend(alone.map(|route| {
            let key = LineKey { owner: None, kind: LineKind::Route, position: 0, question: 0 };
            Change::Line(LineChange { key, line: KernelLine::Route(route), install: false, afresh: false })
        }));
        if let Err(error) = self.addresses.submit_all(&lines) {
            warn!("cannot remove routes and rules that an earlier run may have left: {error}");
        }
        let mut changes = Vec::new();
        for instance in &config.instances {
            let guess = guess && instance.priority.get() < 255;
            for (address, position) in instance.addresses.iter().chain(&instance.excluded).zip(1..) {
                let key = AddressKey { owner: Some(instance.name.clone()), position, question: 0 };
                changes.extend(self.leftover(key, address, monitor, guess));
            }
        }
        for (address, position) in config.static_addresses.iter().zip(1..) {
            let key = AddressKey { owner: None, position, question: 0 };
            changes.extend(self.leftover(key, address, monitor, false));
        }
        if changes.is_empty() {
            return;
        }
        info!("removing {} addresses that an earlier run left behind", changes.len());
        if let Err(error) = self.addresses.submit(&changes) {
            warn!("cannot remove them: {error}");
        }
        let gone: BTreeSet<(IfIndex, IpAddr, u8)> =
            changes.iter().map(|it| (it.interface, it.address.address, it.address.prefix)).collect();
        news.retain(|event| match event {
            NetEvent::Address(there) => !gone.contains(&(there.interface, there.address, there.prefix)),
            NetEvent::Link(_) | NetEvent::LinkGone(_) | NetEvent::AddressGone(_) => true,
        });
    }

    fn leftover(&self, key: AddressKey, address: &Address, monitor: &Monitor, guess: bool) -> Option<AddressChange> {
        let interface = self.links.values().find(|link| link.name == address.interface)?.index;
        let (ip, prefix) = (address.address, address.prefix);
        let ours = monitor.is_marked(interface, ip, prefix) || guess && monitor.has(interface, ip, prefix);
        ours.then(|| AddressChange { key, interface, address: address.clone(), install: false })
    }

    /// Makes the interfaces that instances are to have, before anything is sent or heard.
    pub fn begin_vmacs(&mut self, wanted: BTreeSet<WantedVmac>, now: Instant) {
        let (firewall, known) = (&mut self.firewall, &mut self.ports);
        let mut filter = |ports| {
            filter_ports(firewall, known, ports);
        };
        self.vmacs.begin(wanted, &mut filter, now);
        // What a predecessor filtered held until here: its interfaces leave their groups when they go.
        match self.firewall {
            Some(_) => self.read_firewall(),
            None => remove_tables(&self.started_with),
        }
    }

    /// Keeps what sending needs to know of interfaces.
    pub fn note(&mut self, event: &NetEvent) {
        self.vmacs.note(event, clock::now());
        match event {
            NetEvent::Link(link) => {
                let known = self.links.insert(link.index, link.clone());
                if known.is_none_or(|known| known.name != link.name) {
                    self.promote_on(&link.name);
                }
            }
            NetEvent::LinkGone(index) => {
                self.links.remove(index);
            }
            NetEvent::Address(_) | NetEvent::AddressGone(_) => {}
        }
    }

    pub fn receive(&mut self, token: Token, engine: &mut Engine, now: Instant, outputs: &mut Vec<Output>) {
        self.sockets.receive(token, engine, now, outputs);
    }

    pub fn drain(&mut self, poller: &mut Poller, engine: &mut Engine, now: Instant, outputs: &mut Vec<Output>) {
        self.sockets.drain(poller, engine, now, outputs);
    }

    /// Empties `outputs`. For each instance the order that matters is that of the kinds: an advert before the addresses it
    /// speaks of, addresses before what announces them.
    pub fn perform(
        &mut self,
        outputs: &mut Vec<Output>,
        outbox: &mut Outbox,
        times: &mut Times,
        poller: &Poller,
        now: Instant,
    ) {
        let (mut sends, mut changes, mut announcements) = (Vec::new(), Vec::new(), Vec::new());
        let mut taken_over = Vec::new();
        let mut listen = None;
        let mut block = None;
        let mut vmacs = None;
        for output in outputs.drain(..) {
            match output {
                Output::Send(send) => sends.push(send),
                Output::Address(change) => changes.push(Change::Address(change)),
                Output::Line(change) => changes.push(Change::Line(change)),
                Output::Announce(announce) => announcements.push(announce),
                Output::TakenOver { due } => taken_over.push(due),
                Output::Listen(wanted) => listen = Some(wanted),
                Output::Block(wanted) => block = Some(wanted),
                Output::Vmacs(wanted) => vmacs = Some(wanted),
                Output::Changed(key) => outbox.changed(key),
                Output::Counted(key) => outbox.counted(key, now),
                Output::Edge(edge) => outbox.edge(edge),
                Output::Reply { request, reply } => outbox.reply(request, reply),
                // Taken before: see `Errands`.
                Output::Errand(_) | Output::NewScripts => {}
                Output::Log(line) => self.unsaid.push_back(line),
            }
        }
        if let Some(wanted) = listen {
            self.listen(wanted, poller, now);
        } else if self.listen_at.is_some_and(|at| at <= now) {
            let again = std::mem::take(&mut self.wanted);
            self.listen(again, poller, now);
        }
        if self.lines_at.is_some_and(|at| at <= now) {
            self.watch_lines(now, poller);
        }
        self.send(&sends, times, now);
        if let Some(block) = block {
            self.block_wanted = block.into_iter().collect();
            self.block_at = None;
        }
        // Guarded before an address comes, and until the last has gone.
        if !self.block_wanted.is_subset(&self.blocked) {
            self.block(now);
        }
        self.change(&changes, now);
        if self.block_wanted != self.blocked && self.idle() {
            self.block(now);
        }
        self.announce(&announcements, poller);
        self.say(!(changes.is_empty() && sends.is_empty() && announcements.is_empty() && self.idle()));
        if let Some(wanted) = vmacs {
            self.vmacs.want(wanted, now);
        }
        // After what is due, as the kernel takes its time.
        let (firewall, known) = (&mut self.firewall, &mut self.ports);
        let mut filtered = false;
        self.vmacs.turn(&mut |ports| filtered |= filter_ports(firewall, known, ports), now);
        if filtered {
            self.read_firewall();
        }
        if !taken_over.is_empty() {
            let now = clock::now();
            taken_over.into_iter().for_each(|due| times.taken_over(due, now));
        }
        times.tell(outbox, now);
    }

    fn listen(&mut self, wanted: Vec<Listen>, poller: &Poller, now: Instant) {
        self.wanted = wanted;
        let links = &self.links;
        let (policy, largest) = (self.buffers, self.buffer_of_instances);
        let mtu = links.values().filter(|link| !link.loopback).map(|link| link.mtu).max().unwrap_or(1500);
        let buffer = |family: Family| {
            let policy = match policy {
                ReceiveBuffers::System => None,
                ReceiveBuffers::Mtu { multiplier } => Some(mtu.saturating_mul(multiplier)),
                ReceiveBuffers::Advert { multiplier } => {
                    let advert: u32 = if family == Family::V6 { 8 + 40 * 16 } else { 20 + 16 + 20 * 4 };
                    Some(advert.saturating_mul(multiplier))
                }
                ReceiveBuffers::Bytes(bytes) => Some(bytes),
            };
            policy.max(largest)
        };
        let name = |index| links.get(&index).map(|link| link.name.clone());
        // A router that does not hear becomes master beside another: go on trying.
        let complete = self.sockets.listen(&self.wanted, poller, buffer, name);
        self.listen_at = (!complete).then(|| now + LISTEN_AGAIN);
    }

    fn send(&mut self, sends: &[Send], times: &mut Times, now: Instant) {
        let mut errors = Vec::new();
        for road in [Road::Protected, Road::V4, Road::V6] {
            let of_road = || sends.iter().filter(|send| Road::of(send) == road);
            let batch: Vec<Outgoing<'_>> = of_road()
                .map(|send| Outgoing {
                    interface: send.interface,
                    source: send.source,
                    destination: send.destination,
                    ttl: send.ttl,
                    payload: &send.payload,
                })
                .collect();
            if batch.is_empty() {
                continue;
            }
            let sender = match self.senders.entry(road) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => match road.open() {
                    Ok(sender) => entry.insert(sender),
                    Err(error) => {
                        error!("cannot open a socket to send adverts: {error}");
                        continue;
                    }
                },
            };
            errors.clear();
            sender.send(&batch, &mut errors);
            let left_at = clock::now();
            for (index, send) in of_road().enumerate() {
                // Errors are in the order of the batch.
                if let Some(due) = send.due
                    && errors.binary_search_by_key(&index, |(at, _)| *at).is_err()
                {
                    times.advert_left(due, left_at);
                }
            }
            for (index, error) in &errors {
                let Some(message) = batch.get(*index) else { continue };
                complain(&mut self.complained, message, error, now);
            }
        }
    }

    fn change(&mut self, changes: &[Change], now: Instant) {
        if !changes.is_empty()
            && let Err(error) = self.addresses.submit_all(changes)
        {
            error!("cannot ask the kernel to change addresses and routes: {error}");
        } else if self.retry_at.is_some_and(|at| at <= now)
            && let Err(error) = self.addresses.flush()
        {
            error!("cannot ask the kernel to change addresses: {error}");
        }
        self.note_stall(now);
    }

    /// A loop that turns often must not put the moment off each time.
    fn note_stall(&mut self, now: Instant) {
        self.retry_at = match self.retry_at {
            _ if !self.addresses.stalled() => None,
            Some(at) if at > now => Some(at),
            _ => Some(now + RETRY),
        };
    }

    fn block(&mut self, now: Instant) {
        if self.block_at.is_some_and(|at| at > now) {
            return;
        }
        let list: Vec<Block> = self.block_wanted.iter().copied().collect();
        match self.firewall.as_mut().map(|firewall| firewall.set(&list)) {
            Some(Err(error)) => {
                error!("cannot tell nftables what to drop (no_accept), trying again soon: {error}");
                self.unfiltered.push(error.to_string());
                self.block_at = Some(now + LISTEN_AGAIN);
            }
            Some(Ok(())) | None => {
                self.blocked.clone_from(&self.block_wanted);
                self.block_at = None;
            }
        }
        // Refusals that came with the call are told only now; the socket need not become readable for them.
        self.read_firewall();
    }

    /// Writes what was to be logged; with `busy` only some of it, as each line takes two system calls.
    fn say(&mut self, busy: bool) {
        let most = if busy && self.unsaid.len() < UNSAID_MAX { LINES_PER_TURN } else { usize::MAX };
        let count = most.min(self.unsaid.len());
        self.unsaid.drain(..count).for_each(|line| log(&line));
        self.say_at = (!self.unsaid.is_empty()).then(clock::now);
    }

    pub fn read_forwarding(&mut self, poller: &Poller) {
        let Some(forwarding) = &mut self.forwarding else { return };
        if let Err(error) = forwarding.read() {
            debug!("cannot hear who forwards IPv6: {error}");
            let _ = poller.remove(forwarding);
            self.forwarding = None;
        }
    }

    fn announce(&mut self, announcements: &[Announce], poller: &Poller) {
        if announcements.is_empty() {
            return;
        }
        if announcements.iter().any(|announce| announce.address.is_ipv6()) {
            // The latest news, whether its turn has come or not.
            self.read_forwarding(poller);
        }
        if self.frames.is_none() {
            self.frames = Frames::open().inspect_err(|error| error!("cannot open a packet socket: {error}")).ok();
        }
        let Some(frames) = &self.frames else { return };
        let mut routers: BTreeMap<IfIndex, bool> = BTreeMap::new();
        let batch: Vec<(u32, Vec<u8>)> = announcements
            .iter()
            .map(|announce| {
                let frame = match announce.address {
                    IpAddr::V4(address) => arp::gratuitous(announce.mac, address).to_vec(),
                    IpAddr::V6(address) => {
                        let is_router = || match &self.forwarding {
                            Some(forwarding) => forwarding.is_on(announce.interface),
                            None => self.links.get(&announce.interface).is_some_and(forwards),
                        };
                        let router = *routers.entry(announce.interface).or_insert_with(is_router);
                        ndisc::unsolicited(announce.mac, address, router).to_vec()
                    }
                };
                (announce.interface, frame)
            })
            .collect();
        let sent = frames.send(&batch);
        if sent < batch.len() {
            debug!("{} of {} announcements were not taken by the kernel", batch.len() - sent, batch.len());
        }
    }

    /// The kernel's answers to address changes, as inputs.
    pub fn read_answers(&mut self) -> Vec<Input<'static>> {
        let mut answers = Vec::new();
        if let Err(error) = self.addresses.read_answers(&mut answers) {
            error!("cannot read the kernel's answers: {error}");
        }
        self.note_stall(clock::now());
        let inputs = answers.into_iter().map(|(key, install, error)| Input::AddressAnswer { key, install, error });
        let lines = self.addresses.take_line_answers().into_iter();
        inputs
            .chain(lines.map(|it| Input::LineAnswer {
                key: it.key,
                install: it.install,
                error: it.error,
                text: it.text,
            }))
            .collect()
    }

    /// Hears of routes and rules as far as the configuration has any.
    fn watch_lines(&mut self, now: Instant, poller: &Poller) {
        self.lines_at = None;
        if self.lines.as_ref().map_or(&Interest::default(), LineMonitor::interest) == &self.line_interest {
            return;
        }
        if let Some(old) = self.lines.take() {
            let _ = poller.remove(&old);
        }
        if self.line_interest.is_empty() {
            return;
        }
        let opened = LineMonitor::open(self.line_interest.clone(), Some(LINES_BUFFER));
        let watched = opened.and_then(|lines| poller.add(&lines, LINES, false).map(|()| lines));
        match watched {
            Ok(lines) => self.lines = Some(lines),
            Err(error) => {
                error!("cannot hear who removes routes and rules, trying again soon: {error}");
                self.lines_at = Some(now + LISTEN_AGAIN);
            }
        }
    }

    /// What was removed of routes and rules, as inputs.
    pub fn read_lines(&mut self, now: Instant) -> Vec<Input<'static>> {
        let mut news = Vec::new();
        let status = match &mut self.lines {
            Some(lines) => lines.read(&mut news),
            None => return Vec::new(),
        };
        match status {
            Ok(Status::Drained | Status::More) => {}
            Ok(Status::Overrun) => self.doubt_lines(now),
            Err(error) => warn!("cannot read the kernel's news of routes: {error}"),
        }
        news.into_iter().map(Input::LineGone).collect()
    }

    /// News of routes and rules were lost. A flood lasts: what ought to be there is asked for a moment later, and not once
    /// for each loss.
    pub fn doubt_lines(&mut self, now: Instant) {
        if !self.line_interest.is_empty() {
            self.doubt_lines_at = self.doubt_lines_at.or(Some(now + DOUBT));
        }
    }

    /// Whether that moment has come; said once.
    pub fn lines_are_uncertain(&mut self, now: Instant) -> bool {
        self.doubt_lines_at.take_if(|at| *at <= now).is_some()
    }

    pub fn read_firewall(&mut self) {
        let Some(firewall) = &mut self.firewall else { return };
        let mut texts = Vec::new();
        if let Err(error) = firewall.read_answers(&mut texts) {
            error!("cannot read the answers of nftables: {error}");
        }
        let settled = firewall.settled();
        for text in texts {
            error!("nftables refused what no_accept or use_vmac needs: {text}");
            if !settled {
                self.unfiltered.push(text);
            }
        }
    }

    /// What was refused since this was asked last.
    pub fn take_refusals(&mut self) -> Vec<Refusal> {
        let vmacs = self.vmacs.take_refused().into_iter();
        let vmacs = vmacs.map(|it| Refusal::Interface { name: it.name, errno: it.errno, text: it.text });
        vmacs.chain(std::mem::take(&mut self.unfiltered).into_iter().map(Refusal::Filter)).collect()
    }

    /// Whether the kernel was asked for everything that is wanted, and has answered.
    pub fn tried(&self, now: Instant) -> bool {
        self.idle() && self.vmacs.tried(now)
    }

    pub fn deadline(&self) -> Option<Instant> {
        let own = [self.retry_at, self.listen_at, self.block_at, self.lines_at, self.doubt_lines_at, self.say_at];
        own.into_iter().flatten().chain(self.vmacs.deadline()).min()
    }

    /// Names what a reload changes in the file and not in this process.
    pub fn tell_what_waits_for_a_restart(&self, new: &Global) {
        let old = &self.started_with;
        let waits = [
            (old.realtime != new.realtime, "the scheduling of the vrrp process (vrrp_priority, vrrp_rt_priority, ...)"),
            (
                (old.netlink_command_buffer, old.netlink_monitor_buffer)
                    != (new.netlink_command_buffer, new.netlink_monitor_buffer),
                "vrrp_netlink_cmd_rcv_bufs and vrrp_netlink_monitor_rcv_bufs",
            ),
            (
                (&old.nftables_table, old.nftables_priority, old.nftables_counters)
                    != (&new.nftables_table, new.nftables_priority, new.nftables_counters),
                "nftables and its settings",
            ),
        ];
        for (_, what) in waits.iter().filter(|(changed, _)| *changed) {
            warn!("{what}: the change takes effect at the next start");
        }
    }

    /// Whether every change was answered.
    pub fn idle(&self) -> bool {
        self.addresses.waiting() == 0
    }

    /// Takes back what is not addresses; with `keep` not the interfaces that addresses are on.
    pub fn close(&mut self, keep: bool) {
        self.say(false);
        // Before the filter: they leave their groups.
        self.vmacs.close(keep);
        if let Some(firewall) = &mut self.firewall
            && let Err(error) = firewall.remove()
        {
            warn!("cannot remove our nftables rules: {error}");
        }
        for (name, before) in std::mem::take(&mut self.promoted) {
            let _ = std::fs::write(promote_path(&name), before);
        }
    }
}

/// Opens nftables. What a crashed predecessor left there goes with the first transaction.
fn open_firewall(global: &Global, poller: &Poller) -> io::Result<Firewall> {
    let mut firewall = Firewall::open(&global.nftables_table, global.nftables_priority, global.nftables_counters)?;
    firewall.doubt();
    poller.add(&firewall, FIREWALL, false)?;
    Ok(firewall)
}

/// Deletes what a crashed predecessor left there, for a configuration that needs no nftables itself.
fn remove_tables(global: &Global) {
    if !nft::may_have_tables() {
        return;
    }
    let table = &global.nftables_table;
    let opened = Firewall::open(table, global.nftables_priority, global.nftables_counters);
    // A kernel without nftables has nothing of the kind.
    if let Err(error) = opened.and_then(|mut firewall| firewall.remove()) {
        debug!("cannot look for an nftables table {table} of an earlier run: {error}");
    }
}

/// Whether the kernel was asked: then it may have refused.
fn filter_ports(firewall: &mut Option<Firewall>, known: &mut BTreeSet<Port>, ports: BTreeSet<Port>) -> bool {
    let Some(firewall) = firewall.as_mut().filter(|_| ports != *known) else { return false };
    match firewall.set_ports(&ports) {
        Ok(()) => *known = ports,
        Err(error) => error!("cannot tell nftables what virtual MACs must not send: {error}"),
    }
    true
}

/// IFA_PROTO came with Linux 5.18; before it, addresses do not tell who put them there, and we do as Keepalived does:
/// what is configured here and present at start is taken for ours.
fn kernel_marks_addresses() -> bool {
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    let release = release.unwrap_or_default();
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (5, 18)
}

fn promote_path(interface: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{interface}/promote_secondaries")
}

/// Whether a neighbour advertisement from here is one of a router.
fn forwards(link: &Link) -> bool {
    std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{}/forwarding", link.name))
        .is_ok_and(|text| text.trim() != "0")
}

fn complain(
    complained: &mut BTreeMap<Option<IfIndex>, Instant>,
    message: &Outgoing<'_>,
    error: &io::Error,
    now: Instant,
) {
    let last = complained.entry(message.interface).or_insert(Instant::ZERO);
    if *last == Instant::ZERO || now.since(*last) >= COMPLAIN_EVERY {
        *last = now;
        warn!("cannot send an advert from {} to {}: {error}", message.source, message.destination);
    }
}

/// The engine's texts name their instance, as operators are used to read it.
fn log(line: &Log) {
    match line.level {
        Level::Debug => debug!("{}", line.text),
        Level::Info => info!("{}", line.text),
        Level::Warn => warn!("{}", line.text),
        Level::Error => error!("{}", line.text),
    }
}
