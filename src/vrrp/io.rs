//! Inputs and outputs of the VRRP engine: all there is between it and the world.
//!
//! The driver turns kernel and socket events into [`Input`]s and carries out [`Output`]s in order. The simulator is
//! another driver. Nothing here knows sockets, netlink or a clock.

use std::net::IpAddr;
use std::sync::Arc;

use crate::bus::msg::{Command, Edge, Reply};
use crate::bus::rows::{Finding, RowKey, TrackerRuns};
use crate::bus::run::Fifo;
use crate::clock::Instant;
use crate::conf::model::{Address, Family, InstanceName, ScriptId, TrackerKind, VmacKind};

pub use super::line::{KernelLine, KernelRoute, LineChange, LineKey, LineKind, LineNews, RouteNews, RuleNews};

/// Kernel interface index.
pub type IfIndex = u32;

/// An interface as the kernel describes it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: IfIndex,
    pub name: String,
    /// Administratively up (IFF_UP).
    pub admin_up: bool,
    /// Carrier present (IFF_RUNNING / lower up).
    pub running: bool,
    pub loopback: bool,
    pub multicast: bool,
    /// Ethernet address; other media cannot send gratuitous ARP.
    pub mac: Option<[u8; 6]>,
    pub mtu: u32,
    /// Of a VRF: its routing table.
    pub vrf: Option<u32>,
}

impl Link {
    /// VRRP and trackers count an interface as up when it is both.
    pub fn up(&self) -> bool {
        self.admin_up && self.running
    }
}

/// An address that the kernel has (ours or not).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostAddress {
    pub interface: IfIndex,
    pub address: IpAddr,
    pub prefix: u8,
    /// IFA_F_SECONDARY (IPv4): not fit as a primary source.
    pub secondary: bool,
    /// IFA_F_TENTATIVE or IFA_F_DADFAILED (IPv6): cannot be sent from yet.
    pub tentative: bool,
}

/// A VRRP datagram as it arrived: what the IP header said, and the bytes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Interface it came in by.
    pub interface: IfIndex,
    pub source: IpAddr,
    pub destination: IpAddr,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
    pub payload: &'a [u8],
}

/// Identifies one address that the engine wants on or off the host, in kernel answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey {
    /// `None` for static addresses.
    pub owner: Option<InstanceName>,
    /// Position from 1: virtual addresses, then excluded ones.
    pub position: u32,
    /// Which question this is, from 1: positions change hands, and an answer may come late. 0 is for questions that the
    /// engine did not ask.
    pub question: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    Datagram(Datagram<'a>),
    /// A whole IPv4 packet of protocol 51, from a [`Listen::Protected`] socket.
    Protected {
        interface: IfIndex,
        packet: &'a [u8],
    },
    /// An interface appeared or changed; also sent for each one at start, before the first `Wake`.
    Link(Link),
    LinkGone(IfIndex),
    /// An address is on the host; also sent for each one at start.
    HostAddress(HostAddress),
    HostAddressGone(HostAddress),
    /// The kernel's answer to one [`Output::Address`]; `error` is an errno (EEXIST on adding and EADDRNOTAVAIL or
    /// ENODEV on removing are already turned into success by the driver).
    AddressAnswer {
        key: AddressKey,
        install: bool,
        error: Option<i32>,
    },
    /// The kernel's answer to one [`Output::Line`]; `error` is an errno as it came, but that of removing what is not there
    /// is a success already. `text` is what the kernel says about it beyond that.
    LineAnswer {
        key: LineKey,
        install: bool,
        error: Option<i32>,
        text: String,
    },
    /// A route or a rule was removed, by whomever. Said of those that may be ours.
    LineGone(LineNews),
    /// News of routes and rules were lost.
    LinesUncertain,
    /// What looking at a tracker has come to: said by whoever looks, the runner or the BFD engine, first after the start
    /// and again whenever it changes. One that is not in the configuration (any more) is nobody's.
    Found {
        kind: TrackerKind,
        name: String,
        finding: Finding,
        runs: TrackerRuns,
    },
    /// `request` comes back in [`Output::Reply`].
    Command {
        request: u64,
        command: Command,
    },
    /// Every counter back to zero (SIGRTMAX-1).
    ClearCounters,
    /// Time passed: the engine's deadline was reached (or not; then nothing happens).
    Wake,
    /// Leave in good order: priority 0 adverts, addresses away (unless `keep_addresses`, `--dont-release-vrrp`).
    Shutdown {
        keep_addresses: bool,
    },
}

/// A VRRP datagram to send. The IP header is the driver's business: protocol 112, TOS 0xC0, these addresses, this TTL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    pub interface: Option<IfIndex>,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ttl: u8,
    /// Shared with the engine, which encodes an advert once for as long as nothing in it changes.
    pub payload: Arc<[u8]>,
    /// The payload is a whole IPv4 packet with an authentication header, which covers the IPv4 header, too.
    pub whole: bool,
    /// When the advert was due. Of those that go to several destinations only the last has it.
    pub due: Option<Instant>,
}

/// One change of one address. Consecutive ones are sent to the kernel as one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressChange {
    pub key: AddressKey,
    pub interface: IfIndex,
    pub address: Address,
    pub install: bool,
}

/// One gratuitous ARP request or unsolicited neighbour advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announce {
    pub interface: IfIndex,
    pub mac: [u8; 6],
    pub address: IpAddr,
    /// Neighbour advertisements carry the router flag when the interface forwards; the driver knows, the engine does not.
    pub router: bool,
}

/// Where the driver must listen. The engine gives the whole wanted set whenever it changes; the driver opens and closes
/// the difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listen {
    /// Join `group` on `interface` and receive protocol 112 there.
    Multicast { interface: IfIndex, group: IpAddr },
    /// Receive protocol 112 sent to this host itself; `interface` `None` is any.
    Unicast { interface: Option<IfIndex>, family: Family },
    /// Receive protocol 51 over IPv4: sent to `group`, which is joined on `interface`, or to this host itself.
    Protected { interface: Option<IfIndex>, group: Option<IpAddr> },
}

/// An interface that an instance has made for itself (`use_vmac`, `use_ipvlan`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WantedVmac {
    pub name: String,
    /// The interface below.
    pub base: IfIndex,
    pub family: Family,
    pub kind: VmacKind,
    /// The kernel's interface group.
    pub group: u32,
    /// An address that it has as long as it is there: what IPv6 solicits neighbours from, or an ipvlan's own.
    pub own: Option<(IpAddr, u8)>,
}

/// Traffic to an address that this router holds without accepting it (`no_accept`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    pub address: IpAddr,
    /// Link-local addresses are blocked on their interface only.
    pub interface: Option<IfIndex>,
}

/// What others are told of a state by means of the runner, which does it in this order and in its own time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// Scripts of one lane run one after the other.
    Script {
        script: ScriptId,
        lane: u64,
        arguments: Vec<String>,
    },
    Line {
        fifo: Fifo,
        text: String,
    },
    Mail {
        subject: String,
        body: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Send(Send),
    Address(AddressChange),
    /// Of routes, rules and addresses the order counts.
    Line(LineChange),
    Announce(Announce),
    /// The complete set to listen on from now on.
    Listen(Vec<Listen>),
    /// The complete set of interfaces to make and keep from now on. They come back when somebody else takes them away.
    Vmacs(Vec<WantedVmac>),
    /// The complete set of addresses whose traffic is dropped from now on.
    Block(Vec<Block>),
    /// A row changed and readers should learn of it at once; ask [`Engine::row`](super) for its value when sending.
    Changed(RowKey),
    /// Only a counter in this row changed: it may wait for the next second.
    Counted(RowKey),
    /// An instance that became master, which was `due` then, has all its addresses, and its first announcement is sent when
    /// what was said before this is.
    TakenOver {
        due: Instant,
    },
    Edge(Edge),
    Errand(Errand),
    /// A configuration was applied: numbers of scripts in errands are its own from here on, and were its predecessor's
    /// before.
    NewScripts,
    Reply {
        request: u64,
        reply: Reply,
    },
    /// For the log, written once, by the driver.
    Log(Log),
}

pub use crate::level::Level;

/// An event with the instance it is about. Repeated packet errors are rate limited by the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub level: Level,
    pub instance: Option<InstanceName>,
    pub text: String,
}
