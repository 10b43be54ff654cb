//! A subagent's session with its master (RFC 2741 section 7), without I/O.
//!
//! Start at [`Session::handle`]. The edge opens a transport when told to [`Action::Connect`], reports what happens to
//! it, and carries actions out in order. A session that fails in any way is closed and opened anew after a pause, so
//! there is never more than one.

mod answer;
mod queue;
mod status;

use std::collections::BTreeMap;
use std::time::Duration;

use super::set::{Asked, SetCounts, Sets, Step, Token};
use crate::bus::msg::{Command, Generation, Reply, Source};
use crate::bus::timing::Histogram;
use crate::clock::Instant;
use crate::conf::model::QueueSettings;
use crate::mib::trap::Trap;
use crate::mib::trap::tally::Tallies;
use crate::mib::view::View;
use crate::wire::agentx::{Body, ByteOrder, CloseReason, DecodeError, ErrorStatus, Pdu, Subtree, decode};
use crate::wire::oid::Oid;
use queue::TrapQueue;
pub use status::{Phase, SessionStatus};

/// What happened. `Connected`, `Bytes`, `Closed` and `WriteStalled` are about the transport of the last
/// [`Action::Connect`]; after [`Action::Disconnect`] nothing more may come from it.
#[derive(Debug)]
pub enum Event<'a> {
    Connected,
    /// With the reason, for the log.
    ConnectFailed(&'a str),
    Bytes(&'a [u8]),
    /// The master closed the transport, or it failed; with the reason, for the log.
    Closed(&'a str),
    /// What was sent has not been read for too long.
    WriteStalled,
    /// Time passed: the deadline was reached (or not; then nothing happens).
    Wake,
    CommandReply {
        token: Token,
        reply: Reply,
    },
    /// The view now shows this generation of what that engine says. Tell at every commit of the store, before later events.
    StoreAt(Source, Generation),
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a transport to the master.
    Connect,
    Send(Vec<u8>),
    /// Close the transport. What was sent before may still be written as far as that needs no waiting.
    Disconnect,
    /// Ask the owner; the answer comes back as [`Event::CommandReply`].
    Command {
        token: Token,
        command: Command,
    },
    Log(Log),
}

/// For the log, written once, by the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub level: LogLevel,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
}

/// What the session is to have registered. Nothing: no session at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    pub registrations: Vec<Oid>,
    /// Lines for sysORTable.
    pub capabilities: Vec<(Oid, String)>,
}

#[derive(Debug, Clone)]
pub struct Settings {
    /// Names the subagent in Open, for people.
    pub description: String,
    /// Silence after which the master is asked whether it still lives; Keepalived's 15 s.
    pub ping_interval: Duration,
    /// How long any answer may take in an open session.
    pub response_timeout: Duration,
    /// How long connecting, and then the answer to Open, may take. Longer than the other: a stopped snmpd answers as
    /// soon as it goes on, and each attempt given up leaves a dead connection in its backlog.
    pub open_timeout: Duration,
    /// First and longest pause before a new attempt. Attempts cost us nothing, so the longest is short.
    pub backoff: (Duration, Duration),
    /// First and longest pause before refused registrations are asked for again; it doubles in between. The first is
    /// short, because a master that has not yet noticed the end of our last session takes us for a second one.
    pub refused_retry: (Duration, Duration),
    /// Makes the pauses of several hosts differ.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            description: concat!("keepwatch ", env!("CARGO_PKG_VERSION")).to_owned(),
            ping_interval: Duration::from_secs(15),
            response_timeout: Duration::from_secs(5),
            open_timeout: Duration::from_secs(30),
            backoff: (Duration::from_millis(500), Duration::from_secs(3)),
            refused_retry: (Duration::from_secs(1), Duration::from_secs(30)),
            seed: 0,
        }
    }
}

/// Counters, for metrics and the CLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    pub up: bool,
    /// Sessions that the master opened.
    pub opened: u64,
    /// Sessions and attempts that ended otherwise than by [`Session::want`] or [`Session::stop`].
    pub failed: u64,
    pub requests: u64,
    pub traps_sent: u64,
    /// Those that it refused.
    pub traps_refused: u64,
    /// Traps for which the queue had no room.
    pub traps_dropped: u64,
    /// Traps that waited too long.
    pub traps_expired: u64,
    /// Traps that were sent, and the session ended before their answer: the master may have them or not.
    pub traps_unanswered: u64,
    /// Responses that nobody asked for.
    pub stray_responses: u64,
    /// Pings that were not answered in time.
    pub ping_failures: u64,
    pub by_type: Requests,
    /// From a request to its response.
    pub request_times: Histogram,
}

/// Requests of the master, by what they ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requests {
    pub get: u64,
    pub getnext: u64,
    pub getbulk: u64,
    pub testset: u64,
    pub commitset: u64,
    pub undoset: u64,
    pub cleanupset: u64,
}

/// One subagent.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    items: BTreeMap<Item, Status>,
    state: State,
    /// Bytes of a PDU that is not complete yet.
    buffer: Vec<u8>,
    traps: TrapQueue,
    sets: Sets,
    /// Attempts since a session was last up for a while.
    attempts: u32,
    random: u64,
    stats: Stats,
    seen: status::Seen,
    /// Bytes of answers that the event at hand has caused.
    answered: usize,
    /// Requests that were answered at once, and whose times are not known yet.
    untimed: u32,
    /// Those that wait for an owner, since when.
    deferred: BTreeMap<(u32, u32), Instant>,
}

#[derive(Debug)]
enum State {
    /// Nothing is wanted.
    Idle,
    /// Between two attempts.
    Waiting {
        until: Instant,
    },
    Connecting {
        deadline: Instant,
    },
    /// Open is sent.
    Opening {
        deadline: Instant,
    },
    Open(Live),
}

/// What exists only in an open session.
#[derive(Debug)]
struct Live {
    session: u32,
    opened_at: Instant,
    /// The master's sysUpTime then, in hundredths of a second.
    uptime: u32,
    last_packet: u32,
    /// Requests without an answer, oldest first.
    outstanding: BTreeMap<u32, Outstanding>,
    last_heard: Instant,
    /// Everything wanted has been answered once, be it by a refusal.
    up: bool,
    /// Refusals of this round that were not logged yet: how many, and the first.
    refused: (usize, Option<(Oid, ErrorStatus)>),
    /// Rounds of requests that met with refusals.
    refused_rounds: u32,
}

#[derive(Debug)]
struct Outstanding {
    about: About,
    deadline: Instant,
}

#[derive(Debug)]
enum About {
    Item(Item),
    Notify,
    Ping,
    /// An Unregister or RemoveAgentCaps: whatever the answer is, there is nothing to do.
    Removal,
}

/// Registrations come before capabilities, each in OID order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Registration(Oid),
    Capability(Oid, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Wanted,
    Asked,
    Granted,
    Refused { retry_at: Instant, error: ErrorStatus },
}

type Actions = Vec<Action>;

/// Requests for registration under way at once. Net-snmp answers each in microseconds; this bounds what a master that
/// does not read makes us keep.
const WINDOW: usize = 64;

/// Notifications under way at once; the rest wait in our queue, which has a bound and a counter.
const NOTIFY_WINDOW: usize = 32;

/// Most bytes of answers to what came in one read. A short GETBULK may ask for 64 KiB, and many fit one read; a master
/// that wants this much before it reads any of it is not a master.
const ANSWERS_MAX: usize = 4 * 1024 * 1024;

/// A session that was up this long did not fail at once: the next pause is a short one again.
const STABLE: Duration = Duration::from_secs(10);

/// The number of the first packet of each session, Open; requests in it count on from there.
const OPEN_PACKET: u32 = 1;

/// Priority of registrations (RFC 2741 section 6.2.3): the default.
const PRIORITY: u8 = 127;

impl Session {
    /// An idle session; [`want`](Self::want) starts it.
    pub fn new(settings: Settings) -> Self {
        let random = settings.seed;
        Session {
            settings,
            items: BTreeMap::new(),
            state: State::Idle,
            buffer: vec![],
            traps: TrapQueue::default(),
            sets: Sets::default(),
            attempts: 0,
            random,
            stats: Stats::default(),
            seen: status::Seen::default(),
            answered: 0,
            untimed: 0,
            deferred: BTreeMap::new(),
        }
    }

    /// When the master's sysUpTime was zero, as far as we can know; `None` without an open session.
    pub fn epoch(&self) -> Option<Instant> {
        let State::Open(live) = &self.state else { return None };
        let uptime = Duration::from_millis(u64::from(live.uptime) * 10);
        Some(live.opened_at - uptime)
    }

    /// Advances the session; `view` answers what a master asks in `event`, all of it from one moment.
    ///
    /// A [`Event::Wake`] before [`deadline`](Self::deadline) changes nothing. The same events at the same times give
    /// the same actions.
    #[must_use = "an action that is not carried out leaves the master out of step with the session"]
    pub fn handle(&mut self, event: Event<'_>, view: &dyn View, now: Instant) -> Actions {
        let mut actions = vec![];
        (self.answered, self.untimed) = (0, 0);
        match event {
            Event::Connected => self.open(now, &mut actions),
            Event::ConnectFailed(reason) => {
                if matches!(self.state, State::Connecting { .. }) {
                    self.fail(
                        &format!("cannot connect to the AgentX master: {reason}"),
                        Transport::Gone,
                        now,
                        &mut actions,
                    );
                }
            }
            Event::Bytes(bytes) => self.receive(bytes, view, now, &mut actions),
            Event::Closed(reason) => {
                if self.has_transport() {
                    let why = format!("the AgentX master closed the connection: {reason}");
                    self.fail(&why, Transport::Gone, now, &mut actions);
                }
            }
            Event::WriteStalled => {
                if self.has_transport() {
                    self.fail("the AgentX master does not read", Transport::Drop, now, &mut actions);
                }
            }
            Event::Wake => {}
            Event::CommandReply { token, reply } => {
                let steps = self.sets.reply(token, reply, now);
                self.carry_out(steps, now, &mut actions);
            }
            Event::StoreAt(source, generation) => {
                let steps = self.sets.store_at(source, generation, now);
                self.carry_out(steps, now, &mut actions);
            }
        }
        self.wake(now, &mut actions);
        self.pump(now, &mut actions);
        actions
    }

    /// Changes what is to be registered, and opens or closes the session with it.
    #[must_use = "an action that is not carried out leaves the master out of step with the session"]
    pub fn want(&mut self, wanted: Wanted, now: Instant) -> Actions {
        let Wanted { registrations, capabilities } = wanted;
        let registrations = registrations.into_iter().map(Item::Registration);
        let capabilities = capabilities.into_iter().map(|(id, text)| Item::Capability(id, text));
        let wanted: Vec<Item> = registrations.chain(capabilities).collect();
        if wanted.is_empty() {
            return self.stop(now);
        }
        let mut actions = vec![];
        let mut old = std::mem::take(&mut self.items);
        self.items = wanted
            .into_iter()
            .map(|item| {
                let status = old.remove(&item).unwrap_or(Status::Wanted);
                (item, status)
            })
            .collect();
        for (item, status) in old {
            // Asked for but not answered counts: the master works in order.
            if matches!(status, Status::Granted | Status::Asked) {
                self.request(item.removal(), About::Removal, now, &mut actions);
            }
        }
        if matches!(self.state, State::Idle) {
            self.seen.since = Some(now);
            self.attempts = 0;
            self.connect(now, &mut actions);
        }
        self.pump(now, &mut actions);
        actions
    }

    /// Leaves in good order, as Keepalived does: what waits is sent, capabilities are taken back, and the session is
    /// closed with reason shutdown. Nothing is waited for.
    #[must_use = "an action that is not carried out leaves the master out of step with the session"]
    pub fn stop(&mut self, now: Instant) -> Actions {
        let mut actions = vec![];
        if matches!(self.state, State::Open(_)) {
            self.send_traps(usize::MAX, now, &mut actions);
            let capabilities = self.items.iter().filter(|(item, status)| {
                matches!((item, status), (Item::Capability(..), Status::Granted | Status::Asked))
            });
            let removals: Vec<Body> = capabilities.map(|(item, _)| item.clone().removal()).collect();
            for removal in removals {
                self.request(removal, About::Removal, now, &mut actions);
            }
            self.request(Body::Close(CloseReason::SHUTDOWN), About::Removal, now, &mut actions);
        }
        if self.has_transport() || matches!(self.state, State::Connecting { .. }) {
            actions.push(Action::Disconnect);
        }
        self.forget(State::Idle, now, &mut actions);
        self.seen.since = Some(now);
        self.items.clear();
        actions
    }

    /// Sends a notification about something that happened `now`. Without a session it waits in a bounded queue; the
    /// oldest goes first when that is full, and is counted.
    #[must_use = "an action that is not carried out leaves the master out of step with the session"]
    pub fn notify(&mut self, trap: Trap, now: Instant) -> Actions {
        self.traps.push(trap, now);
        let mut actions = vec![];
        self.pump(now, &mut actions);
        actions
    }

    /// Bounds of the queue of notifications; what is too much now, is dropped.
    pub fn limit(&mut self, queue: QueueSettings) {
        self.traps.limit(queue);
    }

    /// When to call [`handle`](Self::handle) with [`Event::Wake`] if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let own = match &self.state {
            State::Idle => None,
            State::Waiting { until } => Some(*until),
            State::Connecting { deadline } | State::Opening { deadline } => Some(*deadline),
            State::Open(live) => Some(match live.outstanding.first_key_value() {
                // Whatever waits for room goes on with the answer.
                Some((_, oldest)) => oldest.deadline,
                None => {
                    let retry = self.items.values().filter_map(|status| match status {
                        Status::Refused { retry_at, .. } => Some(*retry_at),
                        Status::Wanted | Status::Asked | Status::Granted => None,
                    });
                    retry.fold(live.last_heard + self.settings.ping_interval, Instant::min)
                }
            }),
        };
        own.into_iter().chain(self.sets.deadline()).min()
    }

    pub fn stats(&self) -> Stats {
        let up = matches!(&self.state, State::Open(live) if live.up);
        Stats { up, traps_dropped: self.traps.dropped(), traps_expired: self.traps.expired(), ..self.stats }
    }

    /// What became of notifications, each kind for itself.
    pub fn traps(&mut self, now: Instant) -> &Tallies {
        self.traps.expire(now);
        self.traps.tallies()
    }

    /// What became of SETs.
    pub fn sets(&self) -> &SetCounts {
        self.sets.counts()
    }

    /// The answers to the requests in the last event have been written, this long after it came.
    pub fn observe(&mut self, took: Duration) {
        (0..std::mem::take(&mut self.untimed)).for_each(|_| self.stats.request_times.observe(took));
    }

    fn has_transport(&self) -> bool {
        matches!(self.state, State::Opening { .. } | State::Open(_))
    }

    fn connect(&mut self, now: Instant, actions: &mut Actions) {
        self.state = State::Connecting { deadline: now + self.settings.open_timeout };
        actions.push(Action::Connect);
    }

    fn open(&mut self, now: Instant, actions: &mut Actions) {
        if !matches!(self.state, State::Connecting { .. }) {
            return;
        }
        self.state = State::Opening { deadline: now + self.settings.open_timeout };
        // The root of the module stands for the subagent: we have no number of our own.
        let id = Oid::new(crate::mib::ROOT);
        let body = Body::Open { timeout: 0, id, description: self.settings.description.clone().into_bytes() };
        self.seen.last_out = Some((now, status::name(&body)));
        let (order, packet) = (ByteOrder::Network, OPEN_PACKET);
        let pdu = Pdu { order, session: 0, transaction: 0, packet, context: None, body };
        actions.push(Action::Send(pdu.encode()));
    }

    /// Does what time asks for.
    fn wake(&mut self, now: Instant, actions: &mut Actions) {
        match &mut self.state {
            State::Idle => {}
            State::Waiting { until } => {
                if *until <= now {
                    self.connect(now, actions);
                }
            }
            State::Connecting { deadline } => {
                if *deadline <= now {
                    self.fail("connecting to the AgentX master took too long", Transport::Drop, now, actions);
                }
            }
            State::Opening { deadline } => {
                if *deadline <= now {
                    self.fail("the AgentX master does not open a session", Transport::Drop, now, actions);
                }
            }
            State::Open(live) => {
                let oldest = live.outstanding.first_key_value().map(|(_, outstanding)| outstanding.deadline);
                if oldest.is_some_and(|deadline| deadline <= now) {
                    let pings =
                        live.outstanding.values().filter(|outstanding| matches!(outstanding.about, About::Ping));
                    self.stats.ping_failures += pings.count() as u64;
                    let why = "the AgentX master does not answer";
                    self.fail(why, Transport::Close(CloseReason::TIMEOUTS), now, actions);
                } else if oldest.is_none() && live.last_heard + self.settings.ping_interval <= now {
                    self.request(Body::Ping, About::Ping, now, actions);
                }
            }
        }
        let steps = self.sets.wake(now);
        self.carry_out(steps, now, actions);
    }

    /// Asks for what is wanted and not asked for, as far as the window allows; then sends what waits.
    fn pump(&mut self, now: Instant, actions: &mut Actions) {
        let State::Open(live) = &mut self.state else { return };
        let room = WINDOW.saturating_sub(live.outstanding.len());
        let due = |status: &Status| match status {
            Status::Wanted => true,
            Status::Refused { retry_at, .. } => *retry_at <= now,
            Status::Asked | Status::Granted => false,
        };
        let ask: Vec<Item> = self
            .items
            .iter_mut()
            .filter(|(_, status)| due(status))
            .take(room)
            .map(|(item, status)| {
                *status = Status::Asked;
                item.clone()
            })
            .collect();
        for item in ask {
            self.request(item.clone().request(), About::Item(item), now, actions);
        }
        self.settle(now, actions);
        let State::Open(live) = &self.state else { return };
        if live.up {
            let notifies = live.outstanding.values().filter(|outstanding| matches!(outstanding.about, About::Notify));
            let room = NOTIFY_WINDOW.saturating_sub(notifies.count());
            self.send_traps(room, now, actions);
        }
    }

    /// Notices that everything wanted has been answered, and says so once.
    fn settle(&mut self, now: Instant, actions: &mut Actions) {
        let State::Open(live) = &mut self.state else { return };
        if self.items.values().any(|status| matches!(status, Status::Wanted | Status::Asked)) {
            return;
        }
        if let (count, Some((oid, error))) = std::mem::take(&mut live.refused) {
            let level = if live.refused_rounds == 0 { LogLevel::Warn } else { LogLevel::Debug };
            live.refused_rounds += 1;
            let (total, error) = (self.items.len(), error.name());
            let text = format!("the AgentX master refused {count} of {total} registrations, {oid} first ({error})");
            log(actions, level, text);
        } else if live.refused_rounds > 0 && self.items.values().all(|status| *status == Status::Granted) {
            live.refused_rounds = 0;
            log(actions, LogLevel::Info, "the AgentX master has granted every registration now".to_owned());
        }
        if !live.up {
            live.up = true;
            self.seen.since = Some(now);
            let granted = self.items.values().filter(|status| **status == Status::Granted).count();
            let took = now.since(live.opened_at).as_millis();
            log(
                actions,
                LogLevel::Info,
                format!("AgentX session {} is up, {granted} registrations in {took} ms", live.session),
            );
        }
    }

    fn send_traps(&mut self, room: usize, now: Instant, actions: &mut Actions) {
        for _ in 0..room {
            let State::Open(live) = &self.state else { return };
            let Some((trap, at)) = self.traps.pop(now) else { return };
            self.traps.tallies().of(&trap.oid).sent += 1;
            let varbinds = queue::varbinds(trap, live.uptime_at(at));
            self.stats.traps_sent += 1;
            self.request(Body::Notify(varbinds), About::Notify, now, actions);
        }
    }

    /// Sends a request of ours in the open session and remembers that it wants an answer.
    fn request(&mut self, body: Body, about: About, now: Instant, actions: &mut Actions) {
        let State::Open(live) = &mut self.state else { return };
        live.last_packet = live.last_packet.wrapping_add(1);
        let packet = live.last_packet;
        let deadline = now + self.settings.response_timeout;
        live.outstanding.insert(packet, Outstanding { about, deadline });
        let order = ByteOrder::Network;
        self.seen.last_out = Some((now, status::name(&body)));
        let pdu = Pdu { order, session: live.session, transaction: 0, packet, context: None, body };
        actions.push(Action::Send(pdu.encode()));
    }

    fn receive(&mut self, bytes: &[u8], view: &dyn View, now: Instant, actions: &mut Actions) {
        if !self.has_transport() {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut read = 0;
        while self.has_transport() {
            match decode(buffer.get(read..).unwrap_or_default()) {
                Ok((pdu, length)) => {
                    read += length;
                    self.take(pdu, view, now, actions);
                    if self.answered > ANSWERS_MAX {
                        let why = "the AgentX master asks for more at once than it can read";
                        self.fail(why, Transport::Drop, now, actions);
                    }
                }
                Err(DecodeError::Incomplete { .. }) => {
                    buffer.drain(..read);
                    self.buffer = buffer;
                    return;
                }
                Err(error @ DecodeError::Malformed { .. }) => {
                    let why = format!("the AgentX master sent a malformed PDU: {error}");
                    self.fail(&why, Transport::Close(CloseReason::PARSE_ERROR), now, actions);
                }
            }
        }
    }

    /// One PDU of the master's.
    fn take(&mut self, pdu: Pdu, view: &dyn View, now: Instant, actions: &mut Actions) {
        self.seen.last_in = Some((now, status::name(&pdu.body)));
        if let State::Opening { .. } = self.state {
            return self.take_first(pdu, now, actions);
        }
        let State::Open(live) = &mut self.state else { return };
        live.last_heard = now;
        let ours = pdu.session == live.session;
        if let Body::Response { error, .. } = pdu.body {
            // One for another session answers nothing of ours (RFC 2741 section 7.2.2).
            return if ours {
                self.take_response(pdu.packet, error, now, actions)
            } else {
                self.stray(pdu.packet, actions)
            };
        }
        self.stats.requests += 1;
        if !ours {
            return self.refuse(pdu, ErrorStatus::NOT_OPEN, actions);
        }
        if let Body::Close(reason) = pdu.body {
            let why = format!("the AgentX master closed the session: {}", reason.name());
            return self.fail(&why, Transport::Drop, now, actions);
        }
        if pdu.context.as_ref().is_some_and(|context| !context.is_empty()) {
            return self.refuse(pdu, ErrorStatus::UNSUPPORTED_CONTEXT, actions);
        }
        self.stats.by_type.count(&pdu.body);
        if matches!(pdu.body, Body::Get(_) | Body::GetNext(_) | Body::GetBulk { .. } | Body::TestSet(_)) {
            self.untimed += 1;
        }
        let asked = Asked { order: pdu.order, transaction: pdu.transaction, packet: pdu.packet, context: pdu.context };
        match pdu.body {
            Body::Get(ranges) => self.respond(asked, answer::get(view, ranges), actions),
            Body::GetNext(ranges) => self.respond(asked, answer::get_next(view, ranges), actions),
            Body::GetBulk { non_repeaters, max_repetitions, ranges } => {
                self.respond(asked, answer::get_bulk(view, non_repeaters, max_repetitions, ranges), actions);
            }
            Body::TestSet(varbinds) => {
                let (error, index) =
                    self.sets.test(asked.transaction, &varbinds, view, now).err().unwrap_or((ErrorStatus::NO_ERROR, 0));
                // The variables come back with an error, as net-snmp's own subagents do it.
                let varbinds = if error == ErrorStatus::NO_ERROR { vec![] } else { varbinds };
                self.respond(asked, answer::Answer { error, index, varbinds }, actions);
            }
            Body::CommitSet => {
                self.deferred.insert((asked.transaction, asked.packet), now);
                let steps = self.sets.commit(asked, now);
                self.carry_out(steps, now, actions);
            }
            Body::UndoSet => {
                self.deferred.insert((asked.transaction, asked.packet), now);
                let steps = self.sets.undo(asked, now);
                self.carry_out(steps, now, actions);
            }
            Body::CleanupSet => self.sets.clean_up(asked.transaction),
            Body::Ping => self.respond(asked, answer::Answer::default(), actions),
            Body::Open { .. }
            | Body::Register { .. }
            | Body::Unregister { .. }
            | Body::Notify(_)
            | Body::IndexAllocate { .. }
            | Body::IndexDeallocate { .. }
            | Body::AddAgentCaps { .. }
            | Body::RemoveAgentCaps { .. } => {
                let why = "the AgentX master sent what only a subagent may send";
                self.fail(why, Transport::Close(CloseReason::PROTOCOL_ERROR), now, actions);
            }
            Body::Response { .. } | Body::Close(_) => unreachable!("both were handled above"),
        }
    }

    /// Before the session is open only the answer to Open counts.
    fn take_first(&mut self, pdu: Pdu, now: Instant, actions: &mut Actions) {
        match pdu.body {
            Body::Response { .. } if pdu.packet != OPEN_PACKET => self.stray(pdu.packet, actions),
            Body::Response { uptime, error: ErrorStatus::NO_ERROR, .. } => {
                self.stats.opened += 1;
                self.items.values_mut().for_each(|status| *status = Status::Wanted);
                self.state = State::Open(Live {
                    session: pdu.session,
                    opened_at: now,
                    uptime,
                    last_packet: OPEN_PACKET,
                    outstanding: BTreeMap::new(),
                    last_heard: now,
                    up: false,
                    refused: (0, None),
                    refused_rounds: 0,
                });
            }
            Body::Response { error, .. } => {
                let why = format!("the AgentX master refused to open a session: {}", error.name());
                self.fail(&why, Transport::Drop, now, actions);
            }
            Body::Close(reason) => {
                let why = format!("the AgentX master closed the session: {}", reason.name());
                self.fail(&why, Transport::Drop, now, actions);
            }
            _ => {
                let why = "the AgentX master asked before it opened a session";
                self.fail(why, Transport::Drop, now, actions);
            }
        }
    }

    fn take_response(&mut self, packet: u32, error: ErrorStatus, now: Instant, actions: &mut Actions) {
        let State::Open(live) = &mut self.state else { return };
        let Some(Outstanding { about, .. }) = live.outstanding.remove(&packet) else {
            return self.stray(packet, actions);
        };
        if error == ErrorStatus::NOT_OPEN {
            let why = "the AgentX master does not know the session any more";
            return self.fail(why, Transport::Drop, now, actions);
        }
        match about {
            About::Item(item) => {
                // It may be wanted no more; then its removal is under way.
                let Some(status) = self.items.get_mut(&item) else { return };
                *status = if error == ErrorStatus::NO_ERROR {
                    Status::Granted
                } else {
                    live.refused.0 += 1;
                    live.refused.1.get_or_insert((item.oid().clone(), error));
                    let (first, longest) = self.settings.refused_retry;
                    Status::Refused { retry_at: now + doubled(first, live.refused_rounds, longest), error }
                };
            }
            About::Notify if error != ErrorStatus::NO_ERROR => {
                self.stats.traps_refused += 1;
                log(actions, LogLevel::Warn, format!("the AgentX master refused a notification: {}", error.name()));
            }
            About::Notify | About::Ping | About::Removal => {}
        }
    }

    fn stray(&mut self, packet: u32, actions: &mut Actions) {
        self.stats.stray_responses += 1;
        log(actions, LogLevel::Debug, format!("the AgentX master answered packet {packet}, which asked nothing"));
    }

    /// Refuses a whole request; session and context come back as they were.
    fn refuse(&mut self, pdu: Pdu, error: ErrorStatus, actions: &mut Actions) {
        // No answer belongs to a CleanupSet.
        if matches!(pdu.body, Body::CleanupSet) {
            return;
        }
        let body = Body::Response { uptime: 0, error, index: 0, varbinds: vec![] };
        let bytes = Pdu { body, ..pdu }.encode();
        self.answered += bytes.len();
        self.seen.last_out = self.seen.last_in.map(|(at, _)| (at, "Response"));
        actions.push(Action::Send(bytes));
    }

    fn respond(&mut self, asked: Asked, answer: answer::Answer, actions: &mut Actions) {
        let State::Open(live) = &self.state else { return };
        // What is answered later than it came is as old as that by at most a deadline.
        self.seen.last_out = self.seen.last_in.map(|(at, _)| (at, "Response"));
        let bytes = answer.into_pdu(live.session, asked).encode();
        self.answered += bytes.len();
        actions.push(Action::Send(bytes));
    }

    fn carry_out(&mut self, steps: Vec<Step>, now: Instant, actions: &mut Actions) {
        for step in steps {
            match step {
                Step::Command { token, command } => actions.push(Action::Command { token, command }),
                Step::Answer { to, error, index } => {
                    if let Some(since) = self.deferred.remove(&(to.transaction, to.packet)) {
                        self.stats.request_times.observe(now.since(since));
                    }
                    self.respond(to, answer::Answer { error, index, varbinds: vec![] }, actions);
                }
            }
        }
    }

    /// The session, or the attempt at one, is over; another follows after a pause.
    fn fail(&mut self, why: &str, transport: Transport, now: Instant, actions: &mut Actions) {
        if let (Transport::Close(reason), State::Open(live)) = (&transport, &self.state) {
            let packet = live.last_packet.wrapping_add(1);
            let (session, body) = (live.session, Body::Close(*reason));
            let order = ByteOrder::Network;
            actions.push(Action::Send(Pdu { order, session, transaction: 0, packet, context: None, body }.encode()));
        }
        if transport != Transport::Gone {
            actions.push(Action::Disconnect);
        }
        let was_up = matches!(&self.state, State::Open(live) if live.up);
        if matches!(&self.state, State::Open(live) if live.up && now.since(live.opened_at) >= STABLE) {
            self.attempts = 0;
        }
        self.stats.failed += 1;
        self.seen.last_error = Some(why.to_owned());
        if was_up || matches!(self.state, State::Open(_)) {
            self.seen.since = Some(now);
        }
        let pause = self.pause();
        // A master that is not there is worth one line, not one every three seconds.
        let level = if was_up || self.attempts == 0 { LogLevel::Warn } else { LogLevel::Debug };
        log(actions, level, format!("{why}; the next attempt is in {} ms", pause.as_millis()));
        self.attempts = self.attempts.saturating_add(1);
        self.forget(State::Waiting { until: now + pause }, now, actions);
    }

    /// Doubles from attempt to attempt up to the longest; of that, half to all.
    fn pause(&mut self) -> Duration {
        let (first, longest) = self.settings.backoff;
        let pause = doubled(first, self.attempts, longest);
        // Splitmix64 (Steele, Lea, Flood 2014).
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let half = pause / 2;
        half + half.mul_f64((z >> 11) as f64 / (1_u64 << 53) as f64)
    }

    fn forget(&mut self, state: State, now: Instant, actions: &mut Actions) {
        if let State::Open(live) = &self.state {
            let lost = live.outstanding.values().filter(|outstanding| matches!(outstanding.about, About::Notify));
            self.stats.traps_unanswered += lost.count() as u64;
        }
        self.state = state;
        self.buffer = vec![];
        let steps = self.sets.clear(now);
        self.carry_out(steps, now, actions);
        self.deferred.clear();
        self.items.values_mut().for_each(|status| *status = Status::Wanted);
    }
}

impl Requests {
    fn count(&mut self, body: &Body) {
        let counter = match body {
            Body::Get(_) => &mut self.get,
            Body::GetNext(_) => &mut self.getnext,
            Body::GetBulk { .. } => &mut self.getbulk,
            Body::TestSet(_) => &mut self.testset,
            Body::CommitSet => &mut self.commitset,
            Body::UndoSet => &mut self.undoset,
            Body::CleanupSet => &mut self.cleanupset,
            _ => return,
        };
        *counter += 1;
    }

    /// By the names of the PDUs.
    pub fn named(&self) -> [(&'static str, u64); 7] {
        let Requests { get, getnext, getbulk, testset, commitset, undoset, cleanupset } = *self;
        [
            ("get", get),
            ("getnext", getnext),
            ("getbulk", getbulk),
            ("testset", testset),
            ("commitset", commitset),
            ("undoset", undoset),
            ("cleanupset", cleanupset),
        ]
    }
}

/// What becomes of the transport when a session fails.
#[derive(Debug, PartialEq, Eq)]
enum Transport {
    /// It is gone already.
    Gone,
    Drop,
    /// Told goodbye, then dropped.
    Close(CloseReason),
}

impl Live {
    /// The master's sysUpTime at `at`, as far as we can know.
    fn uptime_at(&self, at: Instant) -> u32 {
        let hundredths = |duration: Duration| u32::try_from(duration.as_millis() / 10).unwrap_or(u32::MAX);
        if at >= self.opened_at {
            self.uptime.wrapping_add(hundredths(at.since(self.opened_at)))
        } else {
            // It may have happened before the master started.
            self.uptime.saturating_sub(hundredths(self.opened_at.since(at)))
        }
    }
}

impl Item {
    fn oid(&self) -> &Oid {
        match self {
            Item::Registration(oid) | Item::Capability(oid, _) => oid,
        }
    }

    fn request(self) -> Body {
        match self {
            Item::Registration(root) => {
                let subtree = Subtree { root, range: None };
                Body::Register { timeout: 0, priority: PRIORITY, instance: false, subtree }
            }
            Item::Capability(id, text) => Body::AddAgentCaps { id, description: text.into_bytes() },
        }
    }

    fn removal(self) -> Body {
        match self {
            Item::Registration(root) => Body::Unregister { priority: PRIORITY, subtree: Subtree { root, range: None } },
            Item::Capability(id, _) => Body::RemoveAgentCaps { id },
        }
    }
}

/// `first`, doubled so many times, and no longer than `longest`.
fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(longest)
}

fn log(actions: &mut Actions, level: LogLevel, text: String) {
    actions.push(Action::Log(Log { level, text }));
}

#[cfg(test)]
mod tests;
