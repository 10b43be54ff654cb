//! All sessions of this host: one door in, one list of things to do out, one deadline.
//!
//! Start at [`Engine::handle`]. A packet goes to the session that its *your discriminator* names; one that names none goes
//! by its source (RFC 5880 section 6.8.6, RFC 5881 section 3). What is wrong with a packet is counted for the session
//! whose neighbour sent it, and told not too often.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::io::{Datagram, Input, Output, Path, SessionId};
use super::random::Random;
use super::session::{Action, Session};
use crate::bus::bfd::BfdCounters;
use crate::bus::rows::{Finding, RowKey, TrackerRuns};
use crate::clock::{Instant, WallTime};
use crate::conf::model::BfdSession;
use crate::level::Level;
use crate::wire::bfd::{DecodeError, Packet, State};

/// Packets with the same fault are told once in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Engine {
    sessions: HashMap<SessionId, Kept>,
    names: HashMap<String, SessionId>,
    /// In the order of the file.
    order: Vec<SessionId>,
    neighbours: HashMap<IpAddr, Vec<SessionId>>,
    /// One entry for each session that has a deadline.
    timers: BTreeSet<(Instant, SessionId)>,
    random: Random,
    complaints: BTreeMap<Fault, Complaint>,
    /// What time it is: a point of both clocks.
    wall: (Instant, WallTime),
    stopped: bool,
    actions: Vec<Action>,
}

#[derive(Debug)]
pub(super) struct Kept {
    pub session: Session,
    /// Place in the file, from 1.
    pub index: u32,
    pub since: WallTime,
    /// Its row was said to have counted, and was not read since.
    pub counted: Cell<bool>,
    /// Its entry among the timers.
    armed: Option<Instant>,
}

/// Why a packet is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Malformed(DecodeError),
    /// It came from too far away.
    Ttl,
    /// It names a session that is not here, or none, and nobody has such a neighbour.
    Unknown,
    /// It came to the port of the other kind of session.
    Port,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Malformed(error) => write!(f, "{error}"),
            Fault::Ttl => f.write_str("too many hops"),
            Fault::Unknown => f.write_str("no such session"),
            Fault::Port => f.write_str("the port of the other kind of session"),
        }
    }
}

#[derive(Debug)]
struct Complaint {
    told_at: Instant,
    /// Since then.
    untold: u64,
}

impl Engine {
    /// `seed`: anything that differs from start to start; discriminators and jitter follow from it.
    pub fn new(seed: u64) -> Engine {
        Engine {
            sessions: HashMap::new(),
            names: HashMap::new(),
            order: Vec::new(),
            neighbours: HashMap::new(),
            timers: BTreeSet::new(),
            random: Random::new(seed),
            complaints: BTreeMap::new(),
            wall: (Instant::ZERO, WallTime(0)),
            stopped: false,
            actions: Vec::new(),
        }
    }

    /// Tells what time it is for people.
    pub fn set_wall(&mut self, now: Instant, wall: WallTime) {
        self.wall = (now, wall);
    }

    /// Takes a configuration, the first or another. A session whose ends stay the same goes on, with other timers if need
    /// be; one that is gone tells its neighbour.
    pub fn apply(&mut self, sessions: &[BfdSession], now: Instant, out: &mut Vec<Output>) {
        let kept: HashSet<SessionId> = sessions.iter().filter_map(|new| self.same(new)).collect();
        let gone: Vec<SessionId> = self.order.iter().copied().filter(|id| !kept.contains(id)).collect();
        for id in gone {
            self.remove(id, sessions, now, out);
        }
        self.order.clear();
        for (index, config) in (1..).zip(sessions) {
            let id = match self.same(config) {
                Some(id) => self.keep(id, config, index, now, out),
                None => self.begin(config, index, now, out),
            };
            self.order.push(id);
        }
        self.neighbours.clear();
        for id in &self.order {
            if let Some(kept) = self.sessions.get(id) {
                self.neighbours.entry(kept.session.config().neighbour).or_default().push(*id);
            }
        }
    }

    /// Advances the sessions and says what the driver must do, in order.
    pub fn handle(&mut self, input: Input<'_>, now: Instant, out: &mut Vec<Output>) {
        match input {
            Input::Datagram(datagram) if !self.stopped => self.datagram(&datagram, now, out),
            Input::Wake if !self.stopped => self.wake(now, out),
            Input::Datagram(_) | Input::Wake => {}
            Input::ClearCounters => {
                for kept in self.sessions.values_mut() {
                    kept.session.counters = BfdCounters::default();
                }
                out.extend(self.keys().into_iter().map(Output::Changed));
            }
            Input::Shutdown => {
                self.stopped = true;
                self.timers.clear();
                for id in self.order.clone() {
                    self.with(id, now, out, |session, actions| session.stop(now, actions));
                }
            }
        }
    }

    /// When to say [`Input::Wake`] if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        self.timers.first().map(|(at, _)| *at)
    }

    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn named(&self, name: &str) -> Option<&Kept> {
        self.sessions.get(self.names.get(name)?)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.order.iter().filter_map(|id| Some(self.sessions.get(id)?.session.config().name.as_str()))
    }

    /// The session that goes on under this configuration.
    fn same(&self, new: &BfdSession) -> Option<SessionId> {
        let id = *self.names.get(&new.name)?;
        self.sessions.get(&id).filter(|kept| kept.session.config().same_session(new)).map(|_| id)
    }

    fn remove(&mut self, id: SessionId, new: &[BfdSession], now: Instant, out: &mut Vec<Output>) {
        self.with(id, now, out, |session, actions| session.stop(now, actions));
        let Some(kept) = self.sessions.remove(&id) else { return };
        if let Some(at) = kept.armed {
            self.timers.remove(&(at, id));
        }
        let name = &kept.session.config().name;
        self.names.remove(name);
        out.push(Output::Close(id));
        // One of the same name begins at once, and says what it has found.
        if !new.iter().any(|config| config.name == *name) {
            out.push(Output::Gone(name.clone()));
            out.push(Output::Changed(RowKey::Bfd(name.clone())));
        }
    }

    fn keep(
        &mut self,
        id: SessionId,
        config: &BfdSession,
        index: u32,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> SessionId {
        let Some(kept) = self.sessions.get_mut(&id) else { return id };
        let before = kept.session.config().clone();
        if before == *config && kept.index == index {
            return id;
        }
        kept.index = index;
        kept.session.configure(config, now);
        if before.sent_ttl() != config.sent_ttl() {
            out.push(Output::Open(id, path(config)));
        }
        let told = |it: &BfdSession| (it.for_vrrp, it.for_checks);
        if told(&before) != told(config) {
            out.push(Output::Gone(config.name.clone()));
            out.push(found(&kept.session));
        }
        out.push(Output::Changed(RowKey::Bfd(config.name.clone())));
        self.arm(id);
        id
    }

    fn begin(&mut self, config: &BfdSession, index: u32, now: Instant, out: &mut Vec<Output>) -> SessionId {
        let id = self.discriminator();
        let random = Random::new(self.random.next());
        let session = Session::new(config, id, random, now);
        out.push(Output::Open(id, path(config)));
        out.push(found(&session));
        out.push(Output::Changed(RowKey::Bfd(config.name.clone())));
        let since = self.wall(now);
        self.sessions.insert(id, Kept { session, index, since, counted: Cell::new(false), armed: None });
        self.names.insert(config.name.clone(), id);
        self.arm(id);
        id
    }

    fn discriminator(&mut self) -> SessionId {
        loop {
            let id = self.random.next() as SessionId;
            if id != 0 && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }

    fn datagram(&mut self, datagram: &Datagram<'_>, now: Instant, out: &mut Vec<Output>) {
        let packet = match Packet::decode(datagram.payload) {
            Ok(packet) => packet,
            Err(error) => {
                let id = self.of_neighbour(datagram);
                return self.refuse(id, Fault::Malformed(error), datagram, now, out);
            }
        };
        let id = match packet.yours {
            0 => self.of_neighbour(datagram),
            yours => Some(yours).filter(|id| self.sessions.contains_key(id)),
        };
        let Some((id, kept)) = id.and_then(|id| Some((id, self.sessions.get(&id)?))) else {
            let id = self.of_neighbour(datagram);
            return self.refuse(id, Fault::Unknown, datagram, now, out);
        };
        let config = kept.session.config();
        if config.multihop != datagram.multihop {
            return self.refuse(Some(id), Fault::Port, datagram, now, out);
        }
        if datagram.ttl < config.least_ttl() {
            return self.refuse(Some(id), Fault::Ttl, datagram, now, out);
        }
        self.with(id, now, out, |session, actions| session.hear(&packet, now, actions));
    }

    /// Whose neighbour sent this.
    fn of_neighbour(&self, datagram: &Datagram<'_>) -> Option<SessionId> {
        let ids = self.neighbours.get(&datagram.source)?;
        let is_for = |id: &&SessionId| {
            let source = self.sessions.get(*id).and_then(|kept| kept.session.config().source);
            source.is_none_or(|source| source == datagram.destination)
        };
        ids.iter().find(is_for).copied()
    }

    fn refuse(
        &mut self,
        id: Option<SessionId>,
        fault: Fault,
        datagram: &Datagram<'_>,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        if let Some(kept) = id.and_then(|id| self.sessions.get_mut(&id)) {
            kept.session.counters.dropped += 1;
            count(kept, out);
        }
        let complaint = self.complaints.get_mut(&fault);
        if let Some(complaint) = complaint.filter(|it| now.since(it.told_at) < COMPLAIN_EVERY) {
            complaint.untold += 1;
            return;
        }
        let untold = self.complaints.insert(fault, Complaint { told_at: now, untold: 0 }).map_or(0, |it| it.untold);
        let more = if untold > 0 { format!(" ({untold} more since this was said last)") } else { String::new() };
        let text = format!("BFD: discarding a packet from {}: {fault}{more}", datagram.source);
        out.push(Output::Log(Level::Warn, text));
    }

    fn wake(&mut self, now: Instant, out: &mut Vec<Output>) {
        // Each session has one turn: one whose next deadline is in the past already does not keep the others waiting.
        let due: Vec<SessionId> = self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        for id in due {
            self.with(id, now, out, |session, actions| session.wake(now, actions));
        }
    }

    /// Lets a session do something, carries on what it wants and keeps its entry among the timers true.
    fn with(
        &mut self,
        id: SessionId,
        now: Instant,
        out: &mut Vec<Output>,
        act: impl FnOnce(&mut Session, &mut Vec<Action>),
    ) {
        let wall = self.wall(now);
        let Some(kept) = self.sessions.get_mut(&id) else { return };
        let mut actions = std::mem::take(&mut self.actions);
        let pace = |session: &Session| (session.interval_us(), session.detection_us());
        let before = pace(&kept.session);
        act(&mut kept.session, &mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Send(packet) => out.push(Output::Send(id, packet.encode())),
                Action::Expired { detection, late } => {
                    let (detection, late) = (detection.as_millis(), late.as_micros());
                    let name = &kept.session.config().name;
                    let text = format!("({name}) Expired after {detection} ms ({late} usec overdue)");
                    out.push(Output::Log(Level::Warn, text));
                }
                Action::Entered { from, to } => {
                    kept.since = wall;
                    out.push(log_state(&kept.session, to));
                    // Who leaves tells its neighbours, and lets its own trackers be.
                    if (from == State::Up) != (to == State::Up) && !self.stopped {
                        out.push(found(&kept.session));
                    }
                    out.push(Output::Changed(RowKey::Bfd(kept.session.config().name.clone())));
                }
            }
        }
        self.actions = actions;
        if pace(&kept.session) != before {
            out.push(log_pace(&kept.session));
        }
        count(kept, out);
        self.arm(id);
    }

    fn arm(&mut self, id: SessionId) {
        let Some(kept) = self.sessions.get_mut(&id) else { return };
        let deadline = if self.stopped { None } else { kept.session.deadline() };
        if deadline == kept.armed {
            return;
        }
        if let Some(old) = kept.armed {
            self.timers.remove(&(old, id));
        }
        kept.armed = deadline;
        self.timers.extend(deadline.map(|at| (at, id)));
    }

    fn wall(&self, now: Instant) -> WallTime {
        let (then, wall) = self.wall;
        let passed = u64::try_from(now.since(then).as_nanos()).unwrap_or(u64::MAX);
        WallTime(wall.0.saturating_add(passed))
    }
}

fn path(config: &BfdSession) -> Path {
    Path { source: config.source, neighbour: config.neighbour, multihop: config.multihop, ttl: config.sent_ttl() }
}

fn found(session: &Session) -> Output {
    let config = session.config();
    let BfdCounters { went_up, went_down, .. } = session.counters;
    Output::Found {
        name: config.name.clone(),
        finding: if session.is_up() { Finding::Good } else { Finding::Bad },
        runs: TrackerRuns { went_up, went_down, ..TrackerRuns::default() },
        for_vrrp: config.for_vrrp,
        for_checks: config.for_checks,
    }
}

fn count(kept: &Kept, out: &mut Vec<Output>) {
    if !kept.counted.replace(true) {
        out.push(Output::Counted(RowKey::Bfd(kept.session.config().name.clone())));
    }
}

fn log_state(session: &Session, to: State) -> Output {
    let name = &session.config().name;
    match to {
        State::Up => Output::Log(Level::Info, format!("({name}) Entering Up state")),
        State::Down => {
            let (local, remote) = (session.diagnostic(), session.remote().diagnostic);
            let text =
                format!("({name}) Entering Down state (Local diagnostic - {local}, Remote diagnostic - {remote})");
            Output::Log(Level::Warn, text)
        }
        State::Init | State::AdminDown => Output::Log(Level::Debug, format!("({name}) Entering {to} state")),
    }
}

fn log_pace(session: &Session) -> Output {
    let name = &session.config().name;
    let (interval, detection) = (session.interval_us(), session.detection_us());
    Output::Log(Level::Debug, format!("({name}) sends every {interval} us, detection time is {detection} us"))
}
