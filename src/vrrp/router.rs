//! What the engine keeps for one instance around its [`Machine`]: addresses, encoded adverts, faults, counters.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::admit::{self, Rejected};
use super::host::Host;
use super::io::IfIndex;
use super::machine::{DEMOTED, Machine, OWNER, Settings};
use super::priority;
use super::protect::Sequence;
use super::routes::Lines;
use super::track::{self, Culprit, Effect, Findings};
use crate::bus::msg::RouterId;
use crate::bus::rows::{Counters, MasterReason, OtherMaster, ProtocolError, Reason, State};
use crate::clock::{Instant, WallTime};
use crate::conf::model::{Address, Auth, Instance, Priority, Track, TrackedInterface, Transport};
use crate::wire::vrrp::{Claim, Outgoing};

/// Repeated packet errors of one kind are told this far apart, in the log and as edges; all of them are counted.
pub const LOG_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Router {
    pub config: Instance,
    /// Place in the file, from 1.
    pub index: u32,
    pub machine: Machine,
    /// Of `auth_type AH`.
    pub sequence: Sequence,
    /// Configured priority, or what a SET put in its place.
    pub base: Priority,
    pub link: Option<IfIndex>,
    /// Where adverts leave and are heard: [`Self::link`], or the instance's own interface on it.
    pub port: Option<IfIndex>,
    /// With `vmac_xmit_base`, the interface that hears what others send from the virtual MAC: the kernel gives it that alone.
    pub twin: Option<IfIndex>,
    /// Whom the base heard last, and when: the twin hears the same once more.
    pub heard_below: Option<(IpAddr, Instant)>,
    /// Advertised addresses, sorted.
    pub listed: Vec<IpAddr>,
    /// Virtual addresses, then excluded ones: position is index plus one.
    pub held: Vec<Held>,
    /// How many of `held` are installed.
    pub installed: u32,
    /// Routes and rules.
    pub routing: Lines,
    /// Interfaces that static addresses, routes and rules of its track groups need.
    pub group_interfaces: Vec<String>,
    /// Static ones of its track groups that were removed and that the kernel does not take back.
    pub lost: Vec<String>,
    pub faults: Faults,
    pub counters: Counters,
    /// When the last advert was accepted.
    pub last_advert: Option<WallTime>,
    /// The last one of another router while this one was master; forgotten when it becomes master again.
    pub other_master: Option<OtherMaster>,
    /// An operator lets other routers go first, since then.
    pub stood_down: Option<WallTime>,
    /// An owner that heard another one: see [`DEMOTED`].
    pub demoted: bool,
    /// A takeover that is not complete.
    pub takeover: Option<Takeover>,
    /// Priority or intervals changed then, and the machine's deadline with them: nothing was due before that moment.
    pub changed_at: Instant,
    pub since: WallTime,
    pub reason: Reason,
    /// When it left init or fault; `None` while there.
    pub started: Option<Instant>,
    /// Why it became master last.
    pub master_reason: MasterReason,
    /// Of the last packet that broke the protocol.
    pub protocol_error: ProtocolError,
    /// The second burst after becoming master or hearing a weaker one, and its number of messages.
    pub second_burst: Option<(Instant, u32)>,
    pub refresh_at: Option<Instant>,
    pub extra_at: Option<Instant>,
    /// When to ask the kernel again for what it refused.
    pub retry_at: Option<Instant>,
    pub refusals: u32,
    /// The deadline that stands in the engine's timers.
    pub armed: Option<Instant>,
    /// A changed counter was reported and not read since.
    pub counted: Cell<bool>,
    /// Packets that were dropped, by [`Rejected::kind`].
    pub told: [Told; Rejected::KINDS],
    /// Weaker masters heard while master are not logged before.
    pub weaker_quiet_until: Instant,
    /// Scripts and FIFOs do not hear of the next one before.
    pub weaker_told_until: Instant,
    /// The state that a mail told last.
    pub mailed: Option<State>,
    /// The same for preempt delays that start.
    pub delay_quiet_until: Instant,
    /// The same for a silence that its sync group does not act on.
    pub hold_quiet_until: Instant,
    /// Place of its sync group among the engine's.
    pub group: Option<usize>,
    /// Interfaces that it tracks by itself, [`track::lines`].
    pub interfaces: Vec<TrackedInterface>,
    /// What its group tracks, for every member.
    pub shared: Vec<TrackedInterface>,
    pub shared_tracks: Vec<Track>,
    /// Something without a weight was not looked at yet: an instance that is not up does not come up.
    pub waits: bool,
    /// It was told to start, which is not to say that it could.
    pub launched: bool,
    frames: SmallVec<[(IpAddr, Arc<[u8]>); 1]>,
}

/// An address that is, or is not, to be on the host.
#[derive(Debug, Clone)]
pub struct Held {
    pub address: Address,
    pub wanted: bool,
    /// The kernel said that it is there, or it was seen there, since it was wanted.
    pub installed: bool,
    /// Where it was asked for while wanted.
    pub at: Option<IfIndex>,
    /// Where the kernel was told to take it away from, until it says that it did.
    pub leaving: Option<IfIndex>,
    /// The host had exactly this before us, as an owner's does: it is not ours to install nor to take away.
    pub native: bool,
    /// The last question to the kernel; an answer to another is of yesterday. 0 if nothing is asked.
    pub question: u64,
    /// When it was last put back after somebody else had removed it.
    pub restored_at: Option<Instant>,
}

impl Held {
    pub fn new(address: Address) -> Held {
        Held {
            address,
            wanted: false,
            installed: false,
            at: None,
            leaving: None,
            native: false,
            question: 0,
            restored_at: None,
        }
    }
}

/// What a master waits for, that has just become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takeover {
    /// When the silence was over.
    pub due: Instant,
    /// Addresses that cannot come: their interfaces do not exist.
    pub missing: u32,
    /// Something was announced, or there is nothing to announce.
    pub announced: bool,
}

/// How far errors of one kind were told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    quiet_until: Instant,
    /// Since the last one that was told.
    untold: u64,
}

impl Told {
    /// One more. To be told at once, with the number of those before it that were not; or not at all, so soon after
    /// another.
    pub fn another(&mut self, now: Instant) -> Option<u64> {
        if now < self.quiet_until {
            self.untold += 1;
            return None;
        }
        self.quiet_until = now + LOG_PAUSE;
        Some(std::mem::take(&mut self.untold))
    }
}

/// Whether two address lines put the same thing on the host: where they stand and whether they are watched aside.
pub fn same_address(a: &Address, b: &Address) -> bool {
    let key = |it: &Address| (it.address, it.prefix, it.scope, it.broadcast, it.peer, it.flags, it.preferred_lifetime);
    key(a) == key(b) && a.interface == b.interface && a.label == b.label
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    InterfaceMissing(String),
    InterfaceDown(String),
    NoMulticast(String),
    SourceMissing,
    NoPeers,
    /// `auth_hmac`: its peers do not hear what is not signed. Unheard, it would be a second master.
    HmacNotBuilt,
    Tracked(String),
    /// What has the name of the instance's own interface is not that.
    Foreign(String),
    /// An interface that an address, a route or a rule of its own is on.
    CarriedInterface(String),
    Tracker(Culprit),
    /// An interface that a static address, route or rule of its track groups needs.
    GroupInterface(String),
    /// A static route or rule that it follows.
    Lost(String),
}

pub type Faults = SmallVec<[Fault; 1]>;

impl Fault {
    pub fn reason(&self) -> Reason {
        match self {
            Fault::InterfaceMissing(_)
            | Fault::InterfaceDown(_)
            | Fault::NoMulticast(_)
            | Fault::Tracked(_)
            | Fault::Foreign(_)
            | Fault::CarriedInterface(_)
            | Fault::GroupInterface(_)
            | Fault::Lost(_) => Reason::InterfaceDown,
            Fault::Tracker(_) => Reason::Tracker,
            Fault::SourceMissing => Reason::SourceMissing,
            Fault::NoPeers => Reason::NoPeers,
            Fault::HmacNotBuilt => Reason::Startup,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::InterfaceMissing(name) => write!(f, "interface {name} does not exist"),
            Fault::InterfaceDown(name) => write!(f, "interface {name} is down"),
            Fault::NoMulticast(name) => write!(f, "interface {name} cannot multicast"),
            Fault::SourceMissing => f.write_str("no source address for adverts"),
            Fault::NoPeers => f.write_str("no unicast peers"),
            Fault::Foreign(name) => {
                write!(f, "interface {name} is not the one that use_vmac needs: remove or rename it")
            }
            Fault::HmacNotBuilt => f.write_str("auth_hmac is not built"),
            Fault::Tracked(name) => write!(f, "tracked interface {name} is not as required"),
            Fault::CarriedInterface(name) => {
                write!(f, "interface {name}, which it has addresses, routes or rules on, is down")
            }
            Fault::Tracker(culprit) => write!(f, "{culprit}"),
            Fault::GroupInterface(name) => write!(f, "interface {name}, which its track group needs, is down"),
            Fault::Lost(line) => write!(f, "static {line} was removed and cannot be put back"),
        }
    }
}

/// What the host means for an instance at this moment.
#[derive(Debug)]
pub struct View {
    pub link: Option<IfIndex>,
    pub port: Option<IfIndex>,
    pub twin: Option<IfIndex>,
    pub primary: Option<IpAddr>,
    pub priority: Priority,
    pub faults: Faults,
    pub waits: bool,
}

impl Router {
    pub fn new(config: &Instance, index: u32, since: WallTime) -> Router {
        let held = config.addresses.iter().chain(&config.excluded).cloned().map(Held::new).collect();
        Router {
            machine: Machine::new(Settings::from(config), config.priority),
            sequence: Sequence::default(),
            base: config.priority,
            link: None,
            port: None,
            twin: None,
            heard_below: None,
            listed: listed(config),
            held,
            installed: 0,
            routing: Lines::new(&config.routes, &config.rules),
            group_interfaces: Vec::new(),
            lost: Vec::new(),
            faults: Faults::new(),
            counters: Counters::default(),
            last_advert: None,
            other_master: None,
            stood_down: None,
            demoted: false,
            takeover: None,
            changed_at: Instant::ZERO,
            since,
            reason: Reason::Startup,
            started: None,
            master_reason: MasterReason::NotMaster,
            protocol_error: ProtocolError::None,
            second_burst: None,
            refresh_at: None,
            extra_at: None,
            retry_at: None,
            refusals: 0,
            armed: None,
            counted: Cell::new(false),
            told: Default::default(),
            weaker_quiet_until: Instant::ZERO,
            weaker_told_until: Instant::ZERO,
            mailed: None,
            delay_quiet_until: Instant::ZERO,
            hold_quiet_until: Instant::ZERO,
            group: None,
            interfaces: track::lines(config),
            shared: Vec::new(),
            shared_tracks: Vec::new(),
            waits: false,
            launched: false,
            frames: SmallVec::new(),
            config: config.clone(),
            index,
        }
    }

    /// When something is due here.
    pub fn deadline(&self) -> Option<Instant> {
        let burst = self.second_burst.map(|(at, _)| at);
        let waits = [self.refresh_at, self.extra_at, self.retry_at, self.routing.retry_at];
        [self.machine.deadline(), burst].into_iter().chain(waits).flatten().min()
    }

    /// What holds, given the host and what was found of trackers. `ours` tells virtual addresses, which are nobody's
    /// primary address.
    pub fn examine(&self, host: &Host, found: &Findings, ours: impl Fn(IpAddr) -> bool) -> View {
        let config = &self.config;
        let mut faults = Faults::new();
        let link = config.interface.as_deref().and_then(|name| host.named(name));
        if let Some(name) = &config.interface {
            let multicast = matches!(config.transport, Transport::Multicast { .. });
            match link {
                None => faults.push(Fault::InterfaceMissing(name.clone())),
                Some(_) if !host.is_up(name) && config.track_primary => {
                    faults.push(Fault::InterfaceDown(name.clone()));
                }
                Some(link) if multicast && !link.multicast => faults.push(Fault::NoMulticast(name.clone())),
                Some(_) => {}
            }
        }
        let index = link.map(|link| link.index);
        let port = self.examine_vmac(host, index, &mut faults);
        let home = self.source_interface(index, port);
        let primary = self.find_primary(host, home, ours);
        let source_missing = match config.source {
            Some(source) => config.track_source && !host.has_source(home, source),
            None => primary.is_none() && home.is_some(),
        };
        if source_missing {
            faults.push(Fault::SourceMissing);
        }
        if let Transport::Unicast { peers, fault_without_peers: true, .. } = &config.transport
            && peers.is_empty()
        {
            faults.push(Fault::NoPeers);
        }
        if config.hmac {
            faults.push(Fault::HmacNotBuilt);
        }
        let down = |name: &&String| !host.is_up(name);
        faults.extend(self.group_interfaces.iter().filter(down).cloned().map(Fault::GroupInterface));
        faults.extend(self.lost.iter().cloned().map(Fault::Lost));
        let mut weights = 0;
        for tracked in track::counting(&self.interfaces, &self.shared) {
            match track::of_interface(tracked, host.is_up(&tracked.interface)) {
                Effect::Nothing | Effect::Wait => {}
                Effect::Fault if track::carried(config).contains(&tracked.interface.as_str()) => {
                    faults.push(Fault::CarriedInterface(tracked.interface.clone()));
                }
                Effect::Fault => faults.push(Fault::Tracked(tracked.interface.clone())),
                Effect::Add(weight) => weights += weight,
            }
        }
        let mut waits = false;
        for track in track::counting(&config.tracks, &self.shared_tracks) {
            let finding = found.finding(track);
            match track::of_finding(track, finding) {
                Effect::Nothing => {}
                Effect::Wait => waits = true,
                Effect::Fault => faults.push(Fault::Tracker(Culprit { track: track.clone(), finding })),
                Effect::Add(weight) => weights = weight.saturating_add(weights),
            }
        }
        let priority = match self.stood_down {
            Some(_) => Priority::MIN,
            None if self.demoted && self.base.get() == OWNER => DEMOTED,
            None => priority::effective(self.base, weights),
        };
        View { link: index, port, twin: self.find_twin(host, index), primary, priority, faults, waits }
    }

    fn find_primary(&self, host: &Host, link: Option<IfIndex>, ours: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        if self.config.source.is_some() {
            return self.config.source;
        }
        let index = link?;
        let family = self.config.family;
        host.primary(index, family, ours)
            // An owner's address is the interface's own, and virtual at once.
            .or_else(|| (self.base.get() == OWNER).then(|| host.primary(index, family, |_| false)).flatten())
            // Untracked, the interface may lose its link-local address by going down; nothing better is known.
            .or_else(|| if self.config.track_primary { None } else { self.machine.primary() })
    }

    /// Adverts as they go out, one for each destination, encoded once for as long as nothing in them changes.
    pub fn frames(&mut self) -> &[(IpAddr, Arc<[u8]>)] {
        if self.frames.is_empty() {
            self.frames = self.encode(self.machine.priority());
        }
        &self.frames
    }

    /// Encodes an advert of `priority`; nothing, without a source address.
    pub fn encode(&self, priority: u8) -> SmallVec<[(IpAddr, Arc<[u8]>); 1]> {
        let Some(source) = self.machine.primary() else { return SmallVec::new() };
        let addresses: Vec<IpAddr> = self.config.addresses.iter().map(|address| address.address).collect();
        let claim = match &self.config.auth {
            Some(Auth::Pass(password)) => Claim::Password(*password),
            Some(Auth::Ah(_)) => Claim::Header,
            None => Claim::Nothing,
        };
        let out = Outgoing {
            version: self.config.version,
            vrid: self.config.vrid.get(),
            priority,
            interval: self.config.advert_interval,
            claim,
            addresses: &addresses,
        };
        let frame = |to: IpAddr| (to, Arc::from(out.encode(admit::cover(&self.config, source, to))));
        match &self.config.transport {
            Transport::Multicast { group } => SmallVec::from_elem(frame(*group), 1),
            Transport::Unicast { peers, .. } => peers.iter().map(|peer| frame(peer.address)).collect(),
        }
    }

    /// When the takeover that is complete now was due; the answer is given once.
    pub fn taken_over(&mut self) -> Option<Instant> {
        let done = |it: &mut Takeover| it.announced && (self.installed + it.missing) as usize >= self.held.len();
        self.takeover.take_if(done).map(|it| it.due)
    }

    /// As the RFC modules number it.
    pub fn id(&self) -> RouterId {
        RouterId {
            interface_index: self.link,
            vrid: self.config.vrid.get(),
            family: self.config.family,
            version: self.config.version,
            advertises: !self.config.addresses.is_empty(),
        }
    }

    /// Something in the adverts changed.
    pub fn stale(&mut self) {
        self.frames.clear();
    }

    /// TTL or hop limit of what is sent.
    pub fn ttl(&self) -> u8 {
        match &self.config.transport {
            Transport::Multicast { .. } => 255,
            Transport::Unicast { ttl, .. } => ttl.unwrap_or(match self.config.family {
                crate::conf::model::Family::V4 => 255,
                // The kernel's default hop limit, which Keepalived leaves in place.
                crate::conf::model::Family::V6 => 64,
            }),
        }
    }

    /// Whether packets to the addresses must be dropped while master.
    pub fn blocks(&self) -> bool {
        !self.config.accept && self.machine.priority() != OWNER
    }
}

pub fn listed(config: &Instance) -> Vec<IpAddr> {
    let mut listed: Vec<IpAddr> = config.addresses.iter().map(|address| address.address).collect();
    listed.sort_unstable();
    listed
}
