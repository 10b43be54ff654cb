//! Notifications straight to their receivers, without a master agent and without I/O.
//!
//! Start at [`Sender`]. Traps go out once, at once. Informs go one at a time to each receiver, so that they arrive in order,
//! and are sent until they are acknowledged: while a receiver does not answer, its notifications wait in a bounded queue and
//! the first of them is tried again now and then.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::client::{Client, Heard};
use super::usm::{Lane as SaltLane, LocalEngine, Salts, Usm};
use crate::clock::Instant;
use crate::conf::model::{QueueSettings, Receiver, Retries, Security, SnmpSettings, UsmUser};
use crate::mib::trap::tally::Tallies;
use crate::mib::trap::{self, Trap};
use crate::wire::oid::Oid;
use crate::wire::snmp::{Message, Pdu, PduKind, TrapV1, V1Body, decode};

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send to that receiver; say [`Sender::failed`] if the system refuses, or [`Sender::busy`] if it has no room now.
    Send {
        receiver: usize,
        to: SocketAddr,
        bytes: Vec<u8>,
        /// When it was to be sent first.
        since: Instant,
        /// Which notification a trap is; `None` for what is sent until it is answered.
        trap: Option<Oid>,
    },
    Log(String),
}

/// Counters of one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Traps, and first attempts of informs.
    pub sent: u64,
    pub acknowledged: u64,
    /// Attempts of informs after the first.
    pub retried: u64,
    /// The queue had no room, the version has no words for it, or the system refused to send it.
    pub dropped: u64,
    /// Waited too long.
    pub expired: u64,
}

/// A receiver as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverStatus {
    pub receiver: Receiver,
    pub queued: usize,
    /// Informs sent and not acknowledged yet.
    pub outstanding: usize,
    /// It has not answered an inform in all of its attempts; since when.
    pub away_since: Option<Instant>,
    pub counters: Counters,
    pub last_error: Option<(Instant, String)>,
}

/// All receivers.
#[derive(Debug)]
pub struct Sender {
    /// sysUpTime of what is sent counts from here.
    started: Instant,
    /// Who we are to those who get traps of SNMPv3; there is nobody before that is known.
    usm: Option<Usm>,
    users: Vec<UsmUser>,
    queue: QueueSettings,
    lanes: Vec<Lane>,
    /// Of clients that there are no more. Salts are never begun again: others may meet the same keys.
    spare_salts: Vec<Salts>,
    /// How many clients have had salts of their own.
    salts_given: usize,
    random: u64,
    /// What became of notifications to receivers that there are no more.
    tallies: Tallies,
}

/// One receiver, and what is on its way there.
#[derive(Debug)]
struct Lane {
    receiver: Receiver,
    /// Of SNMPv3.
    user: Option<UsmUser>,
    /// Finds out who the receiver of SNMPv3's informs is.
    client: Option<Client>,
    /// Oldest first. Behind the one that is under way, if there is one.
    waiting: VecDeque<Waiting>,
    flight: Option<Flight>,
    away: Option<Away>,
    /// Traps that the system had no room for, with the times of their first attempts; oldest first, ahead of `waiting`.
    unsent: VecDeque<(Instant, Vec<u8>, Option<Oid>)>,
    /// When `unsent` is tried again.
    unsent_next: Option<Instant>,
    /// agent-addr of SNMPv1.
    local: Ipv4Addr,
    counters: Counters,
    tallies: Tallies,
    last_error: Option<(Instant, String)>,
}

#[derive(Debug, Clone)]
struct Waiting {
    trap: Arc<Trap>,
    at: Instant,
    /// It was sent before, and counted.
    counted: bool,
}

/// An inform that wants its acknowledgement.
#[derive(Debug)]
struct Flight {
    what: Waiting,
    request: i32,
    /// Attempts that are left.
    left: u32,
    deadline: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Away {
    since: Instant,
    next: Instant,
    pause: Duration,
}

/// First and longest pause before a receiver that was away is tried again.
const AWAY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// Pause before what the system had no room for is sent again.
const BUSY: Duration = Duration::from_millis(10);

type Actions = Vec<Action>;

impl Sender {
    /// `seed` makes request ids that nobody can guess.
    pub fn new(started: Instant, seed: u64) -> Sender {
        let queue = QueueSettings::default();
        Sender {
            started,
            usm: None,
            users: vec![],
            queue,
            lanes: vec![],
            spare_salts: vec![],
            salts_given: 0,
            random: seed,
            tallies: Tallies::default(),
        }
    }

    /// Other settings. Receivers that are the same keep what waits for them, their counters and what they are asked.
    #[must_use = "an action that is not carried out is a notification that is lost"]
    pub fn configure(&mut self, settings: &SnmpSettings, now: Instant) -> Actions {
        self.queue = settings.queue;
        if self.users != settings.users {
            self.users = settings.users.clone();
            if let Some(usm) = &mut self.usm {
                usm.set_users(&self.users);
            }
        }
        let mut old = std::mem::take(&mut self.lanes);
        for receiver in &settings.receivers {
            let user = match &receiver.security {
                Security::V3 { user } => settings.users.iter().find(|it| it.name == *user),
                Security::V1 { .. } | Security::V2c { .. } => None,
            };
            let same = |lane: &Lane| lane.receiver == *receiver && lane.user.as_ref() == user;
            let lane = match old.iter().position(same) {
                Some(at) => old.swap_remove(at),
                None => Lane::new(receiver.clone(), user.cloned()),
            };
            self.lanes.push(lane);
        }
        old.iter().for_each(|lane| self.tallies.add(&lane.tallies));
        self.spare_salts.extend(old.into_iter().filter_map(|lane| lane.client).map(Client::into_salts));
        let length = self.queue.length;
        self.lanes.iter_mut().for_each(|lane| lane.make_room(length));
        self.pump(now)
    }

    /// Who we are, as soon as that is known: what SNMPv3 sends waits for it.
    #[must_use = "an action that is not carried out is a notification that is lost"]
    pub fn set_engine(&mut self, engine: LocalEngine, now: Instant) -> Actions {
        self.usm = Some(Usm::new(engine, &self.users, SaltLane::Notifications));
        self.lanes.iter_mut().filter_map(|lane| lane.client.as_mut()).for_each(Client::forget_peer);
        self.pump(now)
    }

    /// Whether there is a receiver to whom nothing can be sent without [`Self::set_engine`].
    pub fn needs_engine(&self) -> bool {
        self.usm.is_none() && self.lanes.iter().any(|lane| lane.user.is_some())
    }

    /// Our address on the way to that receiver, for SNMPv1's agent-addr.
    pub fn set_local(&mut self, receiver: usize, address: IpAddr) {
        if let (Some(lane), IpAddr::V4(address)) = (self.lanes.get_mut(receiver), address) {
            lane.local = address;
        }
    }

    /// Receivers whose messages carry [`Self::set_local`].
    pub fn wants_local(&self) -> Vec<(usize, SocketAddr)> {
        let v1 = |lane: &Lane| matches!(lane.receiver.security, Security::V1 { .. });
        let lanes = self.lanes.iter().enumerate().filter(|(_, lane)| v1(lane));
        lanes.map(|(at, lane)| (at, lane.receiver.address)).collect()
    }

    /// Tells every receiver of something that happened at `at`, which is now.
    #[must_use = "an action that is not carried out is a notification that is lost"]
    pub fn notify(&mut self, trap: &Trap, at: Instant) -> Actions {
        let trap = Arc::new(trap.clone());
        for lane in &mut self.lanes {
            lane.expire(self.queue.expires, at);
            lane.make_room(self.queue.length.saturating_sub(1));
            lane.waiting.push_back(Waiting { trap: Arc::clone(&trap), at, counted: false });
        }
        self.pump(at)
    }

    /// A datagram on one of our sockets: the answer of a receiver, or a stranger's.
    #[must_use = "an action that is not carried out is a notification that is lost"]
    pub fn handle(&mut self, datagram: &[u8], from: SocketAddr, now: Instant) -> Actions {
        let mut actions = vec![];
        for (at, lane) in self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.receiver.address == from) {
            if lane.hear(at, datagram, now, &mut actions) {
                break;
            }
        }
        actions.extend(self.pump(now));
        actions
    }

    /// Does what time asks for.
    #[must_use = "an action that is not carried out is a notification that is lost"]
    pub fn wake(&mut self, now: Instant) -> Actions {
        let mut actions = vec![];
        for lane in &mut self.lanes {
            lane.expire(self.queue.expires, now);
        }
        for at in 0..self.lanes.len() {
            let due = |lane: &Lane| lane.flight.as_ref().is_some_and(|flight| flight.deadline <= now);
            if self.lanes.get(at).is_some_and(due) {
                self.again(at, now, &mut actions);
            }
        }
        actions.extend(self.pump(now));
        actions
    }

    /// When to call [`wake`](Self::wake) if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let due = |lane: &Lane| match (&lane.flight, lane.away, lane.waiting.front()) {
            _ if lane.unsent_next.is_some() => lane.unsent_next,
            (Some(flight), ..) => Some(flight.deadline),
            (None, Some(away), Some(_)) => Some(away.next),
            (None, _, Some(first)) => Some(first.at + self.queue.expires + Duration::from_millis(1)),
            (None, _, None) => None,
        };
        self.lanes.iter().filter_map(due).min()
    }

    /// The system has no room now for what was to be sent to that receiver: a trap is tried again in a moment.
    pub fn busy(
        &mut self,
        receiver: usize,
        bytes: Vec<u8>,
        (since, trap): (Instant, Option<Oid>),
        reason: &str,
        now: Instant,
    ) {
        match self.lanes.get_mut(receiver) {
            Some(lane) if lane.receiver.inform.is_none() && lane.unsent.len() < self.queue.length => {
                lane.unsend(trap.as_ref());
                lane.unsent.push_back((since, bytes, trap));
                lane.unsent_next = Some(now + BUSY);
                lane.last_error = Some((now, reason.to_owned()));
            }
            _ => self.failed(receiver, trap.as_ref(), reason, now),
        }
    }

    /// What was to be sent to that receiver was refused by the system.
    pub fn failed(&mut self, receiver: usize, trap: Option<&Oid>, reason: &str, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(receiver) {
            // An inform is tried again; a trap is lost.
            if lane.receiver.inform.is_none() {
                lane.unsend(trap);
                lane.counters.dropped += 1;
                if let Some(trap) = trap {
                    lane.tallies.of(trap).dropped += 1;
                }
            }
            lane.last_error = Some((now, reason.to_owned()));
        }
    }

    /// Whether nothing waits for an answer.
    pub fn is_idle(&self) -> bool {
        self.lanes.iter().all(|lane| {
            lane.unsent.is_empty() && lane.flight.is_none() && (lane.waiting.is_empty() || lane.away.is_some())
        })
    }

    /// What became of notifications, each kind for itself, of all receivers together.
    pub fn tallies(&mut self, now: Instant) -> Tallies {
        let mut all = self.tallies.clone();
        for lane in &mut self.lanes {
            lane.expire(self.queue.expires, now);
            all.add(&lane.tallies);
        }
        all
    }

    pub fn status(&mut self, now: Instant) -> Vec<ReceiverStatus> {
        for lane in &mut self.lanes {
            lane.expire(self.queue.expires, now);
        }
        let status = |lane: &Lane| ReceiverStatus {
            receiver: lane.receiver.clone(),
            queued: lane.unsent.len() + lane.waiting.len(),
            outstanding: usize::from(lane.flight.is_some()),
            away_since: lane.away.map(|away| away.since),
            counters: lane.counters,
            last_error: lane.last_error.clone(),
        };
        self.lanes.iter().map(status).collect()
    }

    /// Sends what can be sent now.
    fn pump(&mut self, now: Instant) -> Actions {
        let mut actions = vec![];
        for at in 0..self.lanes.len() {
            if let Some(lane) = self.lanes.get_mut(at) {
                lane.send_again(at, now, &mut actions);
            }
            while let Some(lane) = self.lanes.get_mut(at) {
                if lane.unsent_next.is_some() {
                    break;
                }
                if lane.flight.is_some() || lane.away.is_some_and(|away| now < away.next) {
                    break;
                }
                if lane.user.is_some() && self.usm.is_none() {
                    break;
                }
                let Some(what) = lane.waiting.pop_front() else { break };
                match lane.receiver.inform {
                    None => self.trap(at, &what, now, &mut actions),
                    Some(retries) => self.inform(at, what, retries, now, &mut actions),
                }
            }
        }
        actions
    }

    fn trap(&mut self, at: usize, what: &Waiting, now: Instant, actions: &mut Actions) {
        let (request, message) = (self.number(), self.number());
        let uptime = uptime(self.started, what.at);
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let Trap { oid, varbinds } = &*what.trap;
        let pdu = || Pdu::notification(PduKind::TrapV2, request, uptime, oid, varbinds);
        let bytes = match &lane.receiver.security {
            Security::V1 { community } => {
                let community = community.0.clone().into_bytes();
                TrapV1::from_v2(oid, varbinds, uptime, lane.local)
                    .map(|trap| Message::V1 { community, body: V1Body::Trap(trap) }.encode())
                    .ok_or("SNMPv1 has no words for a Counter64")
            }
            Security::V2c { community } => {
                Ok(Message::V2c { community: community.0.clone().into_bytes(), pdu: pdu() }.encode())
            }
            Security::V3 { user } => {
                self.usm.as_mut().and_then(|usm| usm.trap(user, message, pdu(), now)).ok_or("there is no such user")
            }
        };
        match bytes {
            Ok(bytes) => {
                lane.counters.sent += 1;
                lane.tallies.of(oid).sent += 1;
                let (to, trap) = (lane.receiver.address, Some(oid.clone()));
                actions.push(Action::Send { receiver: at, to, bytes, since: now, trap });
            }
            Err(why) => {
                lane.counters.dropped += 1;
                lane.tallies.of(oid).dropped += 1;
                lane.last_error = Some((now, why.to_owned()));
            }
        }
    }

    fn inform(&mut self, at: usize, mut what: Waiting, retries: Retries, now: Instant, actions: &mut Actions) {
        let request = self.number();
        let Some(lane) = self.lanes.get_mut(at) else { return };
        if std::mem::replace(&mut what.counted, true) {
            lane.counters.retried += 1;
        } else {
            lane.counters.sent += 1;
            lane.tallies.of(&what.trap.oid).sent += 1;
        }
        // One that was away is asked once each time.
        let left = if lane.away.is_some() { 0 } else { retries.retries };
        lane.flight = Some(Flight { what, request, left, deadline: now + retries.timeout });
        self.attempt(at, now, actions);
    }

    /// Sends what is under way; or, in SNMPv3, the question who the receiver is.
    fn attempt(&mut self, at: usize, now: Instant, actions: &mut Actions) {
        let (started, seed) = (self.started, self.number());
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let Some(flight) = lane.flight.as_ref() else { return };
        let Trap { oid, varbinds } = &*flight.what.trap;
        let uptime = uptime(started, flight.what.at);
        let pdu = Pdu::notification(PduKind::Inform, flight.request, uptime, oid, varbinds);
        let bytes = match (&lane.receiver.security, &lane.user, &self.usm) {
            (Security::V2c { community }, ..) => {
                Message::V2c { community: community.0.clone().into_bytes(), pdu }.encode()
            }
            (Security::V3 { .. }, Some(user), Some(usm)) => {
                let client = lane.client.get_or_insert_with(|| {
                    let salts = self.spare_salts.pop().unwrap_or_else(|| {
                        self.salts_given += 1;
                        Salts::of_client(usm.engine.boots, self.salts_given)
                    });
                    Client::new(user, salts, seed.unsigned_abs())
                });
                client.message(pdu, now)
            }
            // The settings have no informs of SNMPv1, and no user that is missing.
            (Security::V1 { .. } | Security::V3 { .. }, ..) => return,
        };
        actions.push(Action::Send { receiver: at, to: lane.receiver.address, bytes, since: now, trap: None });
    }

    /// No answer came in time.
    fn again(&mut self, at: usize, now: Instant, actions: &mut Actions) {
        let Some(lane) = self.lanes.get_mut(at) else { return };
        let timeout = lane.receiver.inform.map_or(Duration::from_secs(1), |retries| retries.timeout);
        if let Some(flight) = lane.flight.as_mut().filter(|flight| flight.left > 0) {
            flight.left -= 1;
            flight.deadline = now + timeout;
            lane.counters.retried += 1;
            return self.attempt(at, now, actions);
        }
        let Some(flight) = lane.flight.take() else { return };
        let what = format!("does not answer within {} ms", timeout.as_millis());
        // A reason that it has just given says more.
        if lane.last_error.as_ref().is_none_or(|(at, _)| now.since(*at) > timeout) {
            lane.last_error = Some((now, what));
        }
        // It goes first when the receiver is there again, and that may be another one by then.
        lane.waiting.push_front(flight.what);
        lane.client.iter_mut().for_each(Client::forget_peer);
        let pause = lane.away.map_or(AWAY.0, |away| (away.pause * 2).min(AWAY.1));
        if lane.away.is_none() {
            let text = format!("{} does not acknowledge informs; they wait", lane.receiver.address);
            actions.push(Action::Log(text));
        }
        let since = lane.away.map_or(now, |away| away.since);
        lane.away = Some(Away { since, next: now + pause, pause });
    }

    /// A number that strangers cannot guess, from 1 to 2,147,483,647. Splitmix64 (Steele, Lea, Flood 2014).
    fn number(&mut self) -> i32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((z >> 33) as i32).max(1)
    }
}

impl Lane {
    fn new(receiver: Receiver, user: Option<UsmUser>) -> Lane {
        Lane {
            receiver,
            user,
            client: None,
            waiting: VecDeque::new(),
            flight: None,
            away: None,
            unsent: VecDeque::new(),
            unsent_next: None,
            local: Ipv4Addr::UNSPECIFIED,
            counters: Counters::default(),
            tallies: Tallies::default(),
            last_error: None,
        }
    }

    fn make_room(&mut self, most: usize) {
        while self.waiting.len() > most {
            let needed_least = trap::least_needed(self.waiting.iter().map(|each| &*each.trap));
            if let Some(what) = self.waiting.remove(needed_least.unwrap_or(0)) {
                self.tallies.of(&what.trap.oid).dropped += 1;
            }
            self.counters.dropped += 1;
        }
    }

    fn expire(&mut self, expires: Duration, now: Instant) {
        while self.waiting.front().is_some_and(|first| now.since(first.at) > expires) {
            if let Some(what) = self.waiting.pop_front() {
                self.tallies.of(&what.trap.oid).expired += 1;
            }
            self.counters.expired += 1;
        }
        while self.unsent.front().is_some_and(|(since, ..)| now.since(*since) > expires) {
            if let Some((_, _, Some(trap))) = self.unsent.pop_front() {
                self.tallies.of(&trap).expired += 1;
            }
            self.counters.expired += 1;
        }
    }

    /// A trap that was counted as sent was not.
    fn unsend(&mut self, trap: Option<&Oid>) {
        self.counters.sent = self.counters.sent.saturating_sub(1);
        if let Some(trap) = trap {
            let tally = self.tallies.of(trap);
            tally.sent = tally.sent.saturating_sub(1);
        }
    }

    /// What the system had no room for, when it may have some again.
    fn send_again(&mut self, at: usize, now: Instant, actions: &mut Actions) {
        if self.unsent_next.take_if(|next| *next <= now).is_some() {
            let to = self.receiver.address;
            self.counters.sent += self.unsent.len() as u64;
            for (since, bytes, trap) in self.unsent.drain(..) {
                if let Some(trap) = &trap {
                    self.tallies.of(trap).sent += 1;
                }
                actions.push(Action::Send { receiver: at, to, bytes, since, trap });
            }
        }
    }

    /// A datagram from this receiver's address. False when it is not about what is under way here.
    fn hear(&mut self, at: usize, datagram: &[u8], now: Instant, actions: &mut Actions) -> bool {
        let Some(flight) = &self.flight else { return false };
        let pdu = match (&self.receiver.security, &mut self.client) {
            (Security::V2c { community }, _) => match decode(datagram) {
                Ok(Message::V2c { community: said, pdu }) if said == community.0.as_bytes() => pdu,
                _ => return false,
            },
            (Security::V3 { .. }, Some(client)) => match client.handle(datagram, now) {
                Heard::Answer(pdu) => pdu,
                Heard::Again(bytes) => {
                    let to = self.receiver.address;
                    actions.push(Action::Send { receiver: at, to, bytes, since: now, trap: None });
                    return true;
                }
                Heard::Refused(why) => {
                    self.last_error = Some((now, format!("refuses: {why}")));
                    return true;
                }
                Heard::Ignored => return false,
            },
            (Security::V1 { .. } | Security::V3 { .. }, _) => return false,
        };
        if pdu.kind != PduKind::Response || pdu.request_id != flight.request {
            return false;
        }
        if pdu.error_status == 0 {
            self.counters.acknowledged += 1;
        } else {
            // It has it, and cannot do anything with it: sending it again would not help.
            self.counters.dropped += 1;
            self.tallies.of(&flight.what.trap.oid).dropped += 1;
            self.last_error = Some((now, format!("answers an inform with error {}", pdu.error_status)));
        }
        self.flight = None;
        if self.away.take().is_some() {
            actions.push(Action::Log(format!("{} acknowledges informs again", self.receiver.address)));
        }
        true
    }
}

/// sysUpTime at `at`, hundredths of a second; it wraps around after 497 days.
fn uptime(started: Instant, at: Instant) -> u32 {
    let hundredths = at.since(started).as_millis() / 10;
    (hundredths % (1 << 32)) as u32
}

#[cfg(test)]
mod tests;
