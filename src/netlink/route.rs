//! Links and addresses of the host: [`Monitor`] tells what they are, [`Addresses`] changes the addresses, and routes and
//! rules in one order with them.
//!
//! Two sockets, so that a flood of news cannot push out the kernel's answers to our own requests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NLMSG_DONE,
    Parseable,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeader, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::link::{LinkFlags, LinkHeader, LinkLayerType, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::routes::Payload;
use super::socket::{self, Arrival, Message, NETLINK_ROUTE, Socket};
use super::{routes, rules};
use crate::conf::model::Address;
use crate::vrrp::io::{AddressChange, AddressKey, HostAddress, IfIndex, KernelLine, LineChange, LineKey, Link};

/// What happened to the host's links and addresses. Only real changes: repetitions are swallowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetEvent {
    /// New, changed or renamed (same index).
    Link(Link),
    LinkGone(IfIndex),
    Address(HostAddress),
    AddressGone(HostAddress),
}

/// How a [`Monitor::read`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing more is waiting.
    Drained,
    /// There may be more; the reader stopped so that a flood of news cannot starve the caller.
    More,
    /// News were lost. Nothing is reported until [`Monitor::dump`] has found out what changed.
    Overrun,
}

/// Knows the host's links and addresses and reports every change.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    state: State,
    overrun: bool,
}

impl Monitor {
    /// Subscribes to the news. Call [`dump`](Self::dump) next: it reports what is there already.
    pub fn open(receive_buffer: Option<u32>) -> io::Result<Monitor> {
        let socket = Socket::open(NETLINK_ROUTE, receive_buffer)?;
        for group in [libc::RTNLGRP_LINK, libc::RTNLGRP_IPV4_IFADDR, libc::RTNLGRP_IPV6_IFADDR] {
            socket.join(group)?;
        }
        Ok(Monitor { socket, state: State::default(), overrun: false })
    }

    /// Asks the kernel for everything and reports the difference from what was known: all of it at first, later what
    /// an overrun hid, gone ones included.
    ///
    /// Blocks for the time of a few system calls; in the worst case two seconds per answer, and then it is an error.
    /// After an error the state is as before: call again.
    pub fn dump(&mut self, out: &mut Vec<NetEvent>) -> io::Result<()> {
        if self.overrun {
            // What is still queued is older than the gap and must not be replayed over what the kernel says now.
            self.discard()?;
        }
        let found = State::ask()?;
        self.overrun = false;
        self.state.adopt(found, out);
        Ok(())
    }

    /// Reports what has changed, without blocking. Call when the socket is readable.
    pub fn read(&mut self, out: &mut Vec<NetEvent>) -> io::Result<Status> {
        for _ in 0..READS_MAX {
            if self.overrun {
                return Ok(Status::Overrun);
            }
            match self.socket.receive()? {
                Arrival::Nothing => return Ok(Status::Drained),
                Arrival::Overrun => self.overrun = true,
                Arrival::Messages(messages) => messages.for_each(|message| self.state.hear(&message, out)),
            }
        }
        Ok(if self.overrun { Status::Overrun } else { Status::More })
    }

    /// The links as last reported.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.state.links.values()
    }

    /// Whether the address on the host carries our mark (IFA_PROTO 18, Linux 5.18 and later): a Keepalived or one of us
    /// put it there.
    pub fn is_marked(&self, interface: IfIndex, address: IpAddr, prefix: u8) -> bool {
        let first = AddressId { interface, address, prefix, peer: None };
        self.state.marked.range(first..).next().is_some_and(|id| AddressId { peer: None, ..*id } == first)
    }

    /// Whether the address is on the host.
    pub fn has(&self, interface: IfIndex, address: IpAddr, prefix: u8) -> bool {
        let first = AddressId { interface, address, prefix, peer: None };
        self.state.addresses.range(first..).next().is_some_and(|(id, _)| AddressId { peer: None, ..*id } == first)
    }

    /// Whether the address is on any interface.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.state.addresses.keys().any(|id| id.address == address)
    }

    fn discard(&mut self) -> io::Result<()> {
        // Under a steady flood the end may never come; then the next read finds another overrun.
        for _ in 0..DISCARDS_MAX {
            if let Arrival::Nothing = self.socket.receive()? {
                break;
            }
        }
        Ok(())
    }
}

/// Datagrams per [`Monitor::read`]; each takes a few microseconds. More than the news that one chunk of our own changes
/// makes, or a takeover of thousands of addresses would overrun us.
const READS_MAX: usize = 4 * CHUNK;
const DISCARDS_MAX: usize = 100_000;

/// The kernel answers a dump inside the system calls that ask for it, but may wait for another holder of its lock.
const DUMP_PATIENCE: Duration = Duration::from_secs(2);

impl AsRawFd for Monitor {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What is on the host, as far as we were told.
#[derive(Debug, Default)]
struct State {
    links: BTreeMap<IfIndex, Link>,
    addresses: BTreeMap<AddressId, HostAddress>,
    /// Those with IFA_PROTO 18.
    marked: BTreeSet<AddressId>,
}

/// The kernel tells addresses apart by more than [`HostAddress`] shows: the same one may exist with several peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AddressId {
    interface: IfIndex,
    address: IpAddr,
    prefix: u8,
    peer: Option<IpAddr>,
}

impl State {
    /// Dumps links, then addresses, on a socket of its own, so that answers and news do not mix.
    fn ask() -> io::Result<State> {
        let mut socket = Socket::open_blocking(NETLINK_ROUTE, DUMP_PATIENCE)?;
        socket.strict();
        for _ in 0..DUMP_ATTEMPTS {
            let mut state = State::default();
            let links = RouteNetlinkMessage::GetLink(LinkMessage::default());
            let addresses = RouteNetlinkMessage::GetAddress(AddressMessage::default());
            if state.collect(&mut socket, links)? && state.collect(&mut socket, addresses)? {
                return Ok(state);
            }
        }
        Err(io::Error::other("links or addresses change faster than they can be listed"))
    }

    /// False if the list changed under the kernel's hands or did not fit: ask again.
    fn collect(&mut self, socket: &mut Socket, request: RouteNetlinkMessage) -> io::Result<bool> {
        let sequence = socket.next_sequence();
        let mut batch = Vec::new();
        socket::append(&mut batch, request, NLM_F_REQUEST | NLM_F_DUMP, sequence);
        socket.send(&batch)?;
        let mut consistent = true;
        loop {
            let messages = match socket.receive()? {
                Arrival::Nothing => return Err(io::ErrorKind::TimedOut.into()),
                Arrival::Overrun => {
                    consistent = false;
                    continue;
                }
                Arrival::Messages(messages) => messages,
            };
            for message in messages.filter(|message| message.sequence == sequence) {
                consistent &= message.flags & NLM_F_DUMP_INTR == 0;
                if let Some(errno) = message.answer().and_then(|answer| answer.errno) {
                    return Err(io::Error::from_raw_os_error(errno));
                }
                if message.kind == NLMSG_DONE {
                    return Ok(consistent);
                }
                self.hear(&message, &mut Vec::new());
            }
        }
    }

    /// Takes in one piece of news.
    fn hear(&mut self, message: &Message<'_>, out: &mut Vec<NetEvent>) {
        match message.kind {
            libc::RTM_NEWLINK => {
                if let Some(link) = parse_link(message.payload) {
                    self.link(link, out);
                }
            }
            libc::RTM_DELLINK => {
                if let Some(header) = link_header(message.payload) {
                    self.link_gone(header.index, out);
                }
            }
            libc::RTM_NEWADDR => {
                if let Some((id, address, marked)) = parse_address(message.payload) {
                    self.mark(id, marked);
                    self.address(id, address, out);
                }
            }
            libc::RTM_DELADDR => {
                if let Some((id, ..)) = parse_address(message.payload) {
                    self.address_gone(&id, out);
                }
            }
            _ => {}
        }
    }

    fn link(&mut self, link: Link, out: &mut Vec<NetEvent>) {
        if self.links.get(&link.index) != Some(&link) {
            self.links.insert(link.index, link.clone());
            out.push(NetEvent::Link(link));
        }
    }

    fn link_gone(&mut self, index: IfIndex, out: &mut Vec<NetEvent>) {
        // The kernel has told of each of its addresses before; a lost datagram must not leave one behind.
        let left: Vec<_> = self.addresses.keys().filter(|id| id.interface == index).copied().collect();
        left.iter().for_each(|id| self.address_gone(id, out));
        if self.links.remove(&index).is_some() {
            out.push(NetEvent::LinkGone(index));
        }
    }

    fn address(&mut self, id: AddressId, address: HostAddress, out: &mut Vec<NetEvent>) {
        if self.addresses.insert(id, address) != Some(address) {
            out.push(NetEvent::Address(address));
        }
    }

    fn mark(&mut self, id: AddressId, marked: bool) {
        if marked {
            self.marked.insert(id);
        } else {
            self.marked.remove(&id);
        }
    }

    fn address_gone(&mut self, id: &AddressId, out: &mut Vec<NetEvent>) {
        self.marked.remove(id);
        let Some(address) = self.addresses.remove(id) else { return };
        let first = AddressId { peer: None, ..*id };
        let twin =
            self.addresses.range(first..).next().is_some_and(|(other, _)| AddressId { peer: None, ..*other } == first);
        if !twin {
            out.push(NetEvent::AddressGone(address));
        }
    }

    /// Turns into `found`, which a dump brought, and reports the difference.
    fn adopt(&mut self, found: State, out: &mut Vec<NetEvent>) {
        let gone: Vec<_> = self.addresses.keys().filter(|id| !found.addresses.contains_key(id)).copied().collect();
        gone.iter().for_each(|id| self.address_gone(id, out));
        let gone: Vec<_> = self.links.keys().filter(|index| !found.links.contains_key(index)).copied().collect();
        gone.iter().for_each(|index| self.link_gone(*index, out));
        self.marked = found.marked;
        found.links.into_values().for_each(|link| self.link(link, out));
        found.addresses.into_iter().for_each(|(id, address)| self.address(id, address, out));
    }
}

/// An interrupted dump is repeated; links and addresses rarely change during two.
const DUMP_ATTEMPTS: usize = 10;

/// The header of news about a link itself: a bridge's news about its ports come by the same types in another family,
/// and a port that leaves its bridge is not gone.
fn link_header(payload: &[u8]) -> Option<LinkHeader> {
    LinkHeader::parse(payload).ok().filter(|header| header.interface_family == AddressFamily::Unspec)
}

/// Reads only the attributes in question: one in a form that this program does not know cannot hide the link.
fn parse_link(payload: &[u8]) -> Option<Link> {
    let header = link_header(payload)?;
    let flags = header.flags;
    let mut link = Link {
        index: header.index,
        name: String::new(),
        admin_up: flags.contains(LinkFlags::Up),
        // IFF_RUNNING follows the operational state (up, or unknown as on loopback), and lags behind the carrier.
        running: flags.contains(LinkFlags::Running | LinkFlags::LowerUp),
        loopback: flags.contains(LinkFlags::Loopback),
        multicast: flags.contains(LinkFlags::Multicast),
        mac: None,
        mtu: 0,
        vrf: None,
    };
    for (kind, value) in socket::attributes(payload.get(LINK_HEADER..)?) {
        match kind {
            libc::IFLA_IFNAME => {
                let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
                link.name = String::from_utf8_lossy(name).into_owned();
            }
            libc::IFLA_MTU => link.mtu = u32::from_ne_bytes(*value.first_chunk()?),
            libc::IFLA_LINKINFO => link.vrf = vrf_table(value),
            libc::IFLA_ADDRESS if header.link_layer_type == LinkLayerType::Ether => link.mac = value.try_into().ok(),
            _ => {}
        }
    }
    (!link.name.is_empty()).then_some(link)
}

/// The table of a VRF, from what IFLA_LINKINFO says.
fn vrf_table(about: &[u8]) -> Option<u32> {
    let of = |kind| socket::attributes(about).find(|(it, _)| *it == kind).map(|(_, value)| value);
    of(libc::IFLA_INFO_KIND).filter(|kind| kind.starts_with(b"vrf"))?;
    let (_, table) = socket::attributes(of(libc::IFLA_INFO_DATA)?).find(|(kind, _)| *kind == IFLA_VRF_TABLE)?;
    Some(u32::from_ne_bytes(*table.first_chunk()?))
}

const IFLA_VRF_TABLE: u16 = 1;

/// Length of `ifinfomsg`.
const LINK_HEADER: usize = 16;

/// The third value says whether the address carries our mark.
fn parse_address(payload: &[u8]) -> Option<(AddressId, HostAddress, bool)> {
    let AddressMessage { header, attributes, .. } = AddressMessage::parse(payload).ok()?;
    let mut flags = AddressFlags::from_bits_retain(header.flags.bits().into());
    let (mut local, mut remote) = (None, None);
    let mut marked = false;
    for attribute in attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(address),
            AddressAttribute::Address(address) => remote = Some(address),
            AddressAttribute::Flags(wide) => flags = wide,
            AddressAttribute::Protocol(protocol) => marked = u8::from(protocol) == PROTOCOL,
            _ => {}
        }
    }
    // Without a peer IPv6 sends only IFA_ADDRESS, and IPv4 the same address twice.
    let address = local.or(remote)?;
    let peer = remote.filter(|remote| *remote != address);
    let (interface, prefix) = (header.index, header.prefix_len);
    let host = HostAddress {
        interface,
        address,
        prefix,
        // The bit means "temporary" for IPv6.
        secondary: address.is_ipv4() && flags.contains(AddressFlags::Secondary),
        tentative: flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed),
    };
    Some((AddressId { interface, address, prefix, peer }, host, marked))
}

/// The kernel's verdict on one [`AddressChange`]: its key, whether it was to be installed, and an errno. What was there
/// already (adding) or not there (removing) counts as success.
pub type AddressAnswer = (AddressKey, bool, Option<i32>);

/// One of the changes that keep their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Address(AddressChange),
    Line(LineChange),
}

/// The kernel's verdict on one [`LineChange`]. Removing what is not there is a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineAnswer {
    pub key: LineKey,
    pub install: bool,
    pub error: Option<i32>,
    /// What the kernel says beyond that.
    pub text: String,
}

/// Puts addresses, routes and rules on the host and takes them off.
///
/// Requests go out in chunks of at most [`CHUNK`], one chunk per call, so that thousands of addresses do not keep the
/// caller from its timers. The kernel's answers to one chunk make the socket readable, and
/// [`read_answers`](Self::read_answers) sends the next: a caller that reads whenever it can gets to the end.
#[derive(Debug)]
pub struct Addresses {
    socket: Socket,
    /// Not sent yet, in order.
    queue: VecDeque<Request>,
    /// Sent and not answered yet, in order.
    sent: VecDeque<(u32, Request)>,
    /// How many answers the receive buffer holds for certain; halved when it overflows nevertheless.
    window: usize,
    text: String,
    line_answers: Vec<LineAnswer>,
}

#[derive(Debug)]
struct Request {
    what: What,
    install: bool,
}

#[derive(Debug)]
enum What {
    Address(AddressKey, AddressMessage),
    Line {
        key: LineKey,
        /// RTM_*
        kind: u16,
        payload: Payload,
        /// NLM_F_* beside those of every request.
        flags: u16,
    },
}

impl Addresses {
    pub fn open(receive_buffer: Option<u32>) -> io::Result<Addresses> {
        let socket = Socket::open(NETLINK_ROUTE, receive_buffer)?;
        let window = (socket.receive_buffer()? / ANSWER).clamp(1, CHUNK);
        Ok(Addresses {
            socket,
            queue: VecDeque::new(),
            sent: VecDeque::new(),
            window,
            text: String::new(),
            line_answers: Vec::new(),
        })
    }

    /// Queues the changes and sends the first chunk. They are carried out in order, behind those of earlier calls.
    pub fn submit(&mut self, changes: &[AddressChange]) -> io::Result<()> {
        self.queue.extend(changes.iter().map(Request::new));
        self.flush()
    }

    /// The same for changes of several kinds.
    pub fn submit_all(&mut self, changes: &[Change]) -> io::Result<()> {
        self.queue.extend(changes.iter().map(|change| match change {
            Change::Address(change) => Request::new(change),
            Change::Line(change) => Request::line(change),
        }));
        self.flush()
    }

    /// Sends the next chunk, if answers to the last have been read. Needed only when [`stalled`](Self::stalled).
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.sent.is_empty() || self.queue.is_empty() {
            return Ok(());
        }
        let mut batch = Vec::new();
        let count = self.window.min(self.queue.len());
        let mut sequences = Vec::with_capacity(count);
        for request in self.queue.iter().take(count) {
            let sequence = self.socket.next_sequence();
            request.append(&mut batch, sequence);
            sequences.push(sequence);
        }
        match self.socket.send(&batch) {
            Ok(()) => {
                self.sent.extend(sequences.into_iter().zip(self.queue.drain(..count)));
                Ok(())
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads the answers that are there, without blocking, and sends the next chunk.
    pub fn read_answers(&mut self, out: &mut Vec<AddressAnswer>) -> io::Result<()> {
        let mut lost = false;
        loop {
            match self.socket.receive()? {
                Arrival::Nothing => break,
                Arrival::Overrun => lost = true,
                Arrival::Messages(messages) => {
                    for message in messages {
                        let Some(answer) = message.answer() else { continue };
                        let Some(at) = self.sent.iter().position(|(sequence, _)| *sequence == message.sequence) else {
                            continue;
                        };
                        let Some((_, request)) = self.sent.remove(at) else { continue };
                        let error = answer.errno.filter(|errno| !request.fulfilled(*errno));
                        let text = answer.text.filter(|_| error.is_some());
                        match request.what {
                            What::Address(key, _) => {
                                self.text = text.unwrap_or(std::mem::take(&mut self.text));
                                out.push((key, request.install, error));
                            }
                            What::Line { key, .. } => {
                                let text = text.unwrap_or_default();
                                self.line_answers.push(LineAnswer { key, install: request.install, error, text });
                            }
                        }
                    }
                }
            }
        }
        if lost {
            self.repeat_unanswered();
        }
        self.flush()
    }

    /// The answers about routes and rules that [`read_answers`](Self::read_answers) has found.
    pub fn take_line_answers(&mut self) -> Vec<LineAnswer> {
        std::mem::take(&mut self.line_answers)
    }

    /// What the kernel said about the last refused address beyond its errno; empty if nothing.
    pub fn last_text(&self) -> &str {
        &self.text
    }

    /// How many changes have no answer yet.
    pub fn waiting(&self) -> usize {
        self.queue.len() + self.sent.len()
    }

    /// Changes wait and nothing will make the socket readable: the kernel was short of memory. Call
    /// [`flush`](Self::flush) at the next occasion.
    pub fn stalled(&self) -> bool {
        self.sent.is_empty() && !self.queue.is_empty()
    }

    /// Every change may be repeated: adding replaces, removing what is gone succeeds, and the order is kept.
    fn repeat_unanswered(&mut self) {
        self.window = (self.window / 2).max(1);
        while let Some((_, request)) = self.sent.pop_back() {
            self.queue.push_front(request);
        }
    }
}

/// Requests per system call: two milliseconds of kernel work on a slow machine.
pub const CHUNK: usize = 128;

/// Receive buffer that one answer takes, generously: the kernel counts its own overhead.
const ANSWER: usize = 1536;

impl AsRawFd for Addresses {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Addresses {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Request {
    fn new(change: &AddressChange) -> Request {
        let AddressChange { key, interface, address, install } = change;
        let mut message = AddressMessage::default();
        message.header = AddressHeader {
            family: if address.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 },
            prefix_len: address.prefix,
            scope: address.scope.into(),
            index: *interface,
            ..AddressHeader::default()
        };
        message.attributes = vec![
            AddressAttribute::Local(address.address),
            AddressAttribute::Address(address.peer.unwrap_or(address.address)),
        ];
        if *install {
            describe(address, &mut message.attributes);
        }
        Request { what: What::Address(key.clone(), message), install: *install }
    }

    fn line(change: &LineChange) -> Request {
        let LineChange { key, line, install, afresh } = change;
        let (kind, payload, flags) = match (line, install) {
            (KernelLine::Route(route), true) => {
                let place = if *afresh { NLM_F_REPLACE } else { routes::placement(&route.config) };
                (libc::RTM_NEWROUTE, routes::install(route), NLM_F_CREATE | place)
            }
            (KernelLine::Route(route), false) => (libc::RTM_DELROUTE, routes::remove(route), 0),
            // Without NLM_F_EXCL the kernel keeps as many equal rules as it is given.
            (KernelLine::Rule(rule), true) => (libc::RTM_NEWRULE, rules::payload(rule), NLM_F_CREATE | NLM_F_EXCL),
            (KernelLine::Rule(rule), false) => (libc::RTM_DELRULE, rules::payload(rule), 0),
        };
        Request { what: What::Line { key: key.clone(), kind, payload, flags }, install: *install }
    }

    fn append(&self, batch: &mut Vec<u8>, sequence: u32) {
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        let message = match &self.what {
            What::Address(_, message) => message.clone(),
            What::Line { kind, payload, flags: own, .. } => {
                return socket::append_bytes(batch, *kind, flags | own, sequence, &payload.0);
            }
        };
        if self.install {
            let message = RouteNetlinkMessage::NewAddress(message);
            socket::append(batch, message, flags | NLM_F_CREATE | NLM_F_REPLACE, sequence);
        } else {
            socket::append(batch, RouteNetlinkMessage::DelAddress(message), flags, sequence);
        }
    }

    /// Whether the error only says that the wanted state was there already.
    fn fulfilled(&self, errno: i32) -> bool {
        if let What::Line { .. } = self.what {
            // What "exists" means for an addition, the engine knows.
            return !self.install && matches!(errno, libc::ESRCH | libc::ENOENT | libc::ENODEV);
        }
        match self.install {
            true => errno == libc::EEXIST,
            // ENXIO: IPv6 is off on the interface, and with it went the address.
            false => matches!(errno, libc::EADDRNOTAVAIL | libc::ENODEV | libc::ENXIO | libc::ESRCH),
        }
    }
}

/// What matters only when adding. Removing goes by address, prefix and peer, not by label: renaming an interface
/// renames the labels on it.
fn describe(address: &Address, attributes: &mut Vec<AddressAttribute>) {
    attributes.extend(address.broadcast.map(AddressAttribute::Broadcast));
    attributes.extend(address.label.clone().map(AddressAttribute::Label));
    let options = address.flags;
    let flags = [
        // Duplicate address detection would delay a takeover by a second; IPv4 has none.
        (!options.dad && address.address.is_ipv6(), AddressFlags::Nodad),
        (options.home, AddressFlags::Homeaddress),
        (options.mngtmpaddr, AddressFlags::Managetempaddr),
        (options.noprefixroute, AddressFlags::Noprefixroute),
        (options.autojoin, AddressFlags::Mcautojoin),
    ];
    let flags =
        flags.into_iter().filter(|(wanted, _)| *wanted).fold(AddressFlags::empty(), |all, (_, flag)| all | flag);
    if !flags.is_empty() {
        attributes.push(AddressAttribute::Flags(flags));
    }
    if let Some(preferred) = address.preferred_lifetime {
        let mut lifetimes = CacheInfo::default();
        lifetimes.ifa_preferred = preferred;
        lifetimes.ifa_valid = u32::MAX;
        attributes.push(AddressAttribute::CacheInfo(lifetimes));
    }
    attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)));
}

/// RTPROT_KEEPALIVED: `ip address` shows by it whose address this is (Linux 5.18).
const PROTOCOL: u8 = 18;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::model::{AddressFlags as Options, Location};

    /// On an interface that cannot exist: refused whoever runs the test, and nothing is changed.
    fn impossible(position: u32) -> AddressChange {
        let address = Address {
            location: Location::default(),
            address: [192, 0, 2, 1].into(),
            prefix: 32,
            interface: String::new(),
            scope: 0,
            broadcast: None,
            label: None,
            peer: None,
            flags: Options::default(),
            preferred_lifetime: None,
            no_track: false,
        };
        let key = AddressKey { owner: None, position, question: 0 };
        AddressChange { key, interface: 0x7fff_fff0, address, install: true }
    }

    #[test]
    fn answers_that_did_not_fit_into_the_buffer_are_asked_for_again() {
        let mut addresses = Addresses::open(Some(1)).unwrap();
        assert_eq!(addresses.window, 1, "a small buffer has a small window");
        addresses.window = CHUNK;
        let changes: Vec<_> = (1..=200).map(impossible).collect();
        addresses.submit(&changes).unwrap();
        let mut answers = Vec::new();
        while addresses.waiting() > 0 {
            addresses.read_answers(&mut answers).unwrap();
        }
        assert!(addresses.window < CHUNK, "nothing was lost: the test tests nothing");
        let mut positions: Vec<_> = answers.iter().map(|(key, ..)| key.position).collect();
        positions.sort_unstable();
        assert_eq!(positions, (1..=200).collect::<Vec<_>>(), "each exactly once");
        assert!(answers.iter().all(|(.., error)| error.is_some()));
    }

    #[test]
    fn addresses_are_marked_as_those_of_a_virtual_router() {
        let request = Request::new(&impossible(1));
        let protocol = AddressAttribute::Protocol(AddressProtocol::Other(18));
        let What::Address(_, message) = request.what else { panic!("{request:?}") };
        assert!(message.attributes.contains(&protocol));
    }
}
