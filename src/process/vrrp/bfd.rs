//! BFD's sockets, and what sessions have found carried to those who track them.
//!
//! One socket for each family and kind of session receives; each session sends from a port of its own. A turn of the loop
//! reads at most one batch of each socket, but reads on before a deadline is believed that may be missed only because
//! this process was held up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::sibling::Sibling;
use crate::bfd::engine::Engine;
use crate::bfd::io::{Datagram, Input, Output, Path, SessionId};
use crate::bus::outbox::Outbox;
use crate::bus::rows::{Finding, TrackerRuns};
use crate::clock::{Instant, WallTime};
use crate::conf::model::{Config, Family, TrackerKind};
use crate::level::Level;
use crate::process::options::Options;
use crate::sys::poll::{Poller, Token};
use crate::sys::udp_ttl::{Receiver, Sender};
use crate::vrrp::engine::Engine as Vrrp;
use crate::vrrp::io::{Input as ToVrrp, Output as FromVrrp};
use crate::wire::bfd::{LENGTH, PORT, PORT_MULTIHOP};

/// Datagrams of one socket and turn.
const BATCH: usize = 64;

/// Batches that are read before silence is believed.
const DRAIN_BATCHES: usize = 16;

/// Of the sockets that receive: some 1,500 packets.
const BUFFER: usize = 1024 * 1024;

/// RFC 5881 section 4.
const SOURCE_PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;

/// Sockets that could not be opened are tried again after this.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

/// The same complaint is made once in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// A wake-up this late may have missed packets that wait in a receive buffer.
const LATE: Duration = Duration::from_millis(2);

/// What a socket receives.
type Kind = (Family, Multihop);
type Multihop = bool;

pub struct Bfd {
    engine: Engine,
    /// `--no_bfd`: nobody speaks, and what is tracked stays down.
    off: bool,
    receivers: BTreeMap<Kind, Receiver>,
    senders: HashMap<SessionId, Sending>,
    /// When to open sockets again that could not be opened.
    open_at: Option<Instant>,
    complained: HashMap<Option<SessionId>, Instant>,
    outputs: Vec<Output>,
    buffer: [u8; LENGTH + 64],
}

struct Sending {
    path: Path,
    socket: Option<Sender>,
}

/// Who hears of sessions.
pub struct Listeners<'a> {
    pub vrrp: &'a mut Vrrp,
    pub outputs: &'a mut Vec<FromVrrp>,
    pub checks: &'a mut Sibling,
    pub outbox: &'a mut Outbox,
}

impl Bfd {
    pub fn new(seed: u64, off: bool) -> Bfd {
        Bfd {
            engine: Engine::new(seed),
            off,
            receivers: BTreeMap::new(),
            senders: HashMap::new(),
            open_at: None,
            complained: HashMap::new(),
            outputs: Vec::new(),
            buffer: [0; LENGTH + 64],
        }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Tokens that [`read`](Self::read) knows.
    pub const TOKENS: std::ops::RangeInclusive<Token> = 12..=15;

    /// Takes a configuration, the first or another; VRRP has taken it before.
    pub fn apply(&mut self, config: &Config, poller: &Poller, now: Instant, to: &mut Listeners<'_>) {
        let sessions = if self.off { &[] } else { config.bfd.as_slice() };
        self.engine.apply(sessions, now, &mut self.outputs);
        self.perform(now, to);
        self.listen(poller, now);
        // What is tracked and is no session is down for good.
        for tracked in config.trackers.bfds.iter().filter(|it| !sessions.iter().any(|session| session.name == it.name))
        {
            let (name, runs) = (tracked.name.clone(), TrackerRuns::default());
            to.vrrp.handle(found(name, Finding::Bad, runs), now, to.outputs);
        }
    }

    pub fn set_wall(&mut self, now: Instant, wall: WallTime) {
        self.engine.set_wall(now, wall);
    }

    pub fn deadline(&self) -> Option<Instant> {
        [self.engine.deadline(), self.open_at].into_iter().flatten().min()
    }

    /// Reads one batch of the socket of this token.
    pub fn read(&mut self, token: Token, now: Instant) {
        let kinds: Vec<Kind> = self.receivers.keys().copied().filter(|kind| token_of(*kind) == token).collect();
        for kind in kinds {
            self.receive(kind, now);
        }
    }

    /// One turn of the loop: what is due, and what came of everything since the last turn.
    pub fn turn(&mut self, poller: &Poller, now: Instant, to: &mut Listeners<'_>) {
        if let Some(at) = self.engine.deadline().filter(|at| *at <= now) {
            self.drain(if now.since(at) > LATE { DRAIN_BATCHES } else { 1 }, now);
            self.engine.handle(Input::Wake, now, &mut self.outputs);
        }
        if self.open_at.is_some_and(|at| at <= now) {
            self.open_at = None;
            self.listen(poller, now);
            let closed: Vec<SessionId> =
                self.senders.iter().filter(|(_, sending)| sending.socket.is_none()).map(|(id, _)| *id).collect();
            for id in closed {
                self.open(id, now);
            }
        }
        self.perform(now, to);
    }

    pub fn clear_counters(&mut self, now: Instant) {
        self.engine.handle(Input::ClearCounters, now, &mut self.outputs);
    }

    /// Tells neighbours that this end goes down.
    pub fn leave(&mut self, now: Instant, to: &mut Listeners<'_>) {
        self.engine.handle(Input::Shutdown, now, &mut self.outputs);
        self.perform(now, to);
    }

    /// Opens the sockets that sessions need to be heard, and closes the others.
    fn listen(&mut self, poller: &Poller, now: Instant) {
        let kind = |sending: &Sending| (Family::of(sending.path.neighbour), sending.path.multihop);
        let wanted: BTreeSet<Kind> = self.senders.values().map(kind).collect();
        self.receivers.retain(|kind, receiver| {
            let keep = wanted.contains(kind);
            if !keep {
                let _ = poller.remove(&*receiver);
            }
            keep
        });
        for kind in wanted {
            if self.receivers.contains_key(&kind) {
                continue;
            }
            let (family, multihop) = kind;
            let port = if multihop { PORT_MULTIHOP } else { PORT };
            let opened = Receiver::open(family == Family::V6, port, BUFFER)
                .and_then(|receiver| poller.add(&receiver, token_of(kind), false).map(|()| receiver));
            match opened {
                Ok(receiver) => drop(self.receivers.insert(kind, receiver)),
                Err(error) => {
                    self.open_at = Some(now + OPEN_AGAIN);
                    if self.may_complain(None, now) {
                        error!("BFD cannot listen on UDP port {port}, trying again: {error}");
                    }
                }
            }
        }
    }

    fn receive(&mut self, kind: Kind, now: Instant) -> usize {
        let Some(receiver) = self.receivers.get(&kind) else { return 0 };
        for count in 0..BATCH {
            match receiver.receive(&mut self.buffer) {
                Ok(Some(received)) => {
                    let datagram = Datagram {
                        source: received.source,
                        destination: received.destination,
                        multihop: kind.1,
                        ttl: received.ttl,
                        // One that was cut is longer than any packet that we understand, and says so itself.
                        payload: self.buffer.get(..received.length).unwrap_or(&self.buffer),
                    };
                    self.engine.handle(Input::Datagram(datagram), now, &mut self.outputs);
                }
                Ok(None) => return count,
                Err(error) => {
                    debug!("cannot read BFD packets: {error}");
                    return count;
                }
            }
        }
        BATCH
    }

    fn drain(&mut self, batches: usize, now: Instant) {
        let kinds: Vec<Kind> = self.receivers.keys().copied().collect();
        for kind in kinds {
            for _ in 0..batches {
                if self.receive(kind, now) < BATCH {
                    break;
                }
            }
        }
    }

    fn perform(&mut self, now: Instant, to: &mut Listeners<'_>) {
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Open(id, path) => {
                    self.senders.insert(id, Sending { path, socket: None });
                    self.open(id, now);
                }
                Output::Close(id) => {
                    self.senders.remove(&id);
                    self.complained.remove(&Some(id));
                }
                Output::Send(id, packet) => self.send(id, &packet, now),
                Output::Found { name, finding, runs, for_vrrp, for_checks } => {
                    if for_checks {
                        to.checks.session(&name, finding == Finding::Good);
                    }
                    if for_vrrp {
                        to.vrrp.handle(found(name, finding, runs), now, to.outputs);
                    }
                }
                Output::Gone(name) => to.checks.session_gone(&name),
                Output::Changed(key) => to.outbox.changed(key),
                Output::Counted(key) => to.outbox.counted(key, now),
                Output::Log(level, text) => match level {
                    Level::Debug => debug!("{text}"),
                    Level::Info => info!("{text}"),
                    Level::Warn => warn!("{text}"),
                    Level::Error => error!("{text}"),
                },
            }
        }
        self.outputs = outputs;
    }

    fn open(&mut self, id: SessionId, now: Instant) {
        let Some(sending) = self.senders.get_mut(&id) else { return };
        let Path { source, neighbour, multihop, ttl } = sending.path;
        let to = SocketAddr::new(neighbour, if multihop { PORT_MULTIHOP } else { PORT });
        match Sender::open(source, to, ttl, SOURCE_PORTS, id) {
            Ok(socket) => sending.socket = Some(socket),
            Err(error) => {
                self.open_at = Some(now + OPEN_AGAIN);
                self.complain(id, "cannot open a socket, trying again", &error, now);
            }
        }
    }

    fn send(&mut self, id: SessionId, packet: &[u8], now: Instant) {
        let socket = self.senders.get(&id).and_then(|sending| sending.socket.as_ref());
        if let Some(Err(error)) = socket.map(|socket| socket.send(packet)) {
            self.complain(id, "cannot send", &error, now);
        }
    }

    fn complain(&mut self, id: SessionId, what: &str, error: &io::Error, now: Instant) {
        if self.may_complain(Some(id), now)
            && let Some(sending) = self.senders.get(&id)
        {
            warn!("BFD towards {}: {what}: {error}", sending.path.neighbour);
        }
    }

    fn may_complain(&mut self, about: Option<SessionId>, now: Instant) -> bool {
        let fresh = self.complained.get(&about).is_none_or(|at| now.since(*at) >= COMPLAIN_EVERY);
        if fresh {
            self.complained.insert(about, now);
        }
        fresh
    }
}

/// `--check` leaves this process its sessions, and nothing of VRRP.
pub fn confine(options: &Options, config: &mut Config) {
    if options.check && !options.vrrp {
        let bfd = std::mem::take(&mut config.bfd);
        *config = Config { bfd, global: config.global.clone(), ..Config::default() };
    }
}

fn token_of((family, multihop): Kind) -> Token {
    Bfd::TOKENS.start() + Token::from(family == Family::V6) + 2 * Token::from(multihop)
}

fn found(name: String, finding: Finding, runs: TrackerRuns) -> ToVrrp<'static> {
    ToVrrp::Found { kind: TrackerKind::Bfd, name, finding, runs }
}
