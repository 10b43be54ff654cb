//! The user-based security model on the side that is not authoritative: informs go to an engine whose name and clock are
//! found out first (RFC 3414 section 4).

use std::collections::VecDeque;

use super::stats::{USM_STATS, UsmStat};
use super::usm::{ENGINE_MAX, Envelope, Keys, Level, Salts, TIME_WINDOW_S, User, reported};
use crate::clock::Instant;
use crate::conf::model::UsmUser;
use crate::wire::snmp::{
    DATAGRAM_MAX, Message, Pdu, PduKind, ScopedData, ScopedPdu, UsmParameters, V3Message, decode_located, flag,
};

/// One receiver, spoken to in the name of one user.
#[derive(Debug)]
pub struct Client {
    user: User,
    salts: Salts,
    peer: Option<Peer>,
    last_message_id: i32,
    /// Messages that may still be answered, oldest first.
    outstanding: VecDeque<Outstanding>,
}

/// The authoritative engine, as far as it is known.
#[derive(Debug)]
struct Peer {
    engine_id: Vec<u8>,
    keys: Keys,
    boots: u32,
    /// Its clock showed this...
    time: u32,
    /// ... when ours showed this.
    at: Instant,
    /// A signed message has told the clock; what an unsigned one told is good for a first attempt only.
    trusted: bool,
}

#[derive(Debug)]
struct Outstanding {
    message_id: i32,
    pdu: Pdu,
    /// Attempts that a Report caused.
    again: u8,
}

/// What a datagram of the receiver means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The engine is known (better) now: this is the same PDU once more, to be sent at once.
    Again(Vec<u8>),
    /// An answer, at our level, in time and signed by the user where there is a key. Whether it answers a request is told by its
    /// request id.
    Answer(Pdu),
    /// The receiver will not have it, and says why. It is not signed: anybody may have said so.
    Refused(&'static str),
    /// Not an answer to us.
    Ignored,
}

impl Client {
    /// Messages whose answers are waited for; the oldest is forgotten.
    const OUTSTANDING_MAX: usize = 64;
    /// Name, clock, and the clock again if the first was a liar's.
    const AGAIN_MAX: u8 = 3;

    /// Hashes the user's pass phrases, which takes milliseconds. `salts`: of the lane for notifications; `seed` makes message
    /// ids hard to guess.
    pub fn new(user: &UsmUser, salts: Salts, seed: u32) -> Self {
        let last_message_id = (seed >> 1) as i32;
        Client { user: User::new(user), salts, peer: None, last_message_id, outstanding: VecDeque::new() }
    }

    /// The PDU as a message; or the question who the receiver is, to whose answer the PDU follows by itself.
    pub fn message(&mut self, pdu: Pdu, now: Instant) -> Vec<u8> {
        self.send(pdu, 0, now)
    }

    /// Something came from the receiver's address.
    pub fn handle(&mut self, datagram: &[u8], now: Instant) -> Heard {
        let Ok((Message::V3(message), auth_at)) = decode_located(datagram) else { return Heard::Ignored };
        let mine = |outstanding: &Outstanding| outstanding.message_id == message.message_id;
        let Some(at) = self.outstanding.iter().position(mine) else { return Heard::Ignored };
        let signed = message.flags & flag::AUTH != 0;
        let V3Message { security, data, flags, .. } = message;
        if security.engine_id.is_empty() {
            return Heard::Ignored;
        }

        let known = self.peer.as_mut().filter(|peer| peer.engine_id == security.engine_id);
        let Some(peer) = known else {
            // Who it is can only be told unsigned. An engine that changes its name is a new one.
            let Some(scoped) = plain(data) else { return Heard::Ignored };
            return match stat(&scoped.pdu) {
                Some(UNKNOWN_ENGINE) => {
                    let keys = self.user.at(&security.engine_id);
                    let (boots, time) = (security.boots, security.time);
                    let engine_id = security.engine_id;
                    self.peer = Some(Peer { engine_id, keys, boots, time, at: now, trusted: false });
                    self.again(at, now)
                }
                _ => Heard::Ignored,
            };
        };

        let level = peer.keys.level();
        if signed {
            if security.user != peer.keys.name || !peer.keys.verify(datagram, &auth_at) {
                return Heard::Ignored;
            }
            if !peer.synchronise(security.boots, security.time, now) {
                return Heard::Ignored;
            }
        }
        let Some(scoped) = peer.keys.open(&security, data) else { return Heard::Ignored };
        let enough = if flags & flag::PRIVACY != 0 {
            Level::AuthPriv
        } else if signed {
            Level::AuthNoPriv
        } else {
            Level::NoAuthNoPriv
        };
        match (scoped.pdu.kind, stat(&scoped.pdu)) {
            (PduKind::Response, _) if enough == level => {
                self.outstanding.remove(at);
                Heard::Answer(scoped.pdu)
            }
            // Signed, so the clock is right by now.
            (PduKind::Report, Some(NOT_IN_TIME)) if signed => self.again(at, now),
            (PduKind::Report, Some(NOT_IN_TIME | UNKNOWN_ENGINE)) => Heard::Ignored,
            (PduKind::Report, stat) => Heard::Refused(UsmStat::name(stat.unwrap_or(0))),
            _ => Heard::Ignored,
        }
    }

    /// Whoever is there next may be another engine.
    pub fn forget_peer(&mut self) {
        self.peer = None;
        self.outstanding.clear();
    }

    /// For another client: where these salts are at, no two messages have the same.
    pub fn into_salts(self) -> Salts {
        self.salts
    }

    /// The engine's id, once it is known.
    pub fn engine_id(&self) -> Option<&[u8]> {
        self.peer.as_ref().map(|peer| &peer.engine_id[..])
    }

    fn again(&mut self, at: usize, now: Instant) -> Heard {
        match self.outstanding.remove(at) {
            Some(outstanding) if outstanding.again < Self::AGAIN_MAX => {
                Heard::Again(self.send(outstanding.pdu, outstanding.again + 1, now))
            }
            _ => Heard::Refused("its engine id or its clock changes with every answer"),
        }
    }

    fn send(&mut self, pdu: Pdu, again: u8, now: Instant) -> Vec<u8> {
        self.last_message_id = self.last_message_id.wrapping_add(1) & i32::MAX;
        let message_id = self.last_message_id;
        let bytes = match &self.peer {
            Some(peer) => {
                let (boots, time) = peer.clock(now);
                let level = peer.keys.level();
                let engine_id = &peer.engine_id[..];
                let envelope = Envelope { message_id, reportable: true, engine_id, boots, time, level };
                // An inform is told in the receiver's context (RFC 3413 section 3.3.4).
                let scoped =
                    ScopedPdu { context_engine_id: engine_id.to_vec(), context_name: vec![], pdu: pdu.clone() };
                peer.keys.seal(envelope, scoped, &mut self.salts)
            }
            None => discovery(message_id, pdu.request_id),
        };
        if self.outstanding.len() >= Self::OUTSTANDING_MAX {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back(Outstanding { message_id, pdu, again });
        bytes
    }
}

const UNKNOWN_ENGINE: u32 = UsmStat::UnknownEngineIds as u32;
const NOT_IN_TIME: u32 = UsmStat::NotInTimeWindows as u32;

/// The number below usmStats that a Report tells of.
fn stat(pdu: &Pdu) -> Option<u32> {
    match reported(pdu)?.below(USM_STATS) {
        Some([number, 0]) => Some(*number),
        _ => None,
    }
}

fn plain(data: ScopedData) -> Option<ScopedPdu> {
    match data {
        ScopedData::Plain(scoped) => Some(scoped),
        ScopedData::Encrypted(_) => None,
    }
}

/// Nobody's message to an engine without a name: the Report that refuses it has the name (RFC 3414 section 4).
fn discovery(message_id: i32, request_id: i32) -> Vec<u8> {
    let pdu = Pdu::new(PduKind::Get, request_id, vec![]);
    Message::V3(V3Message {
        message_id,
        max_size: DATAGRAM_MAX as u32,
        flags: flag::REPORTABLE,
        security: UsmParameters::default(),
        data: ScopedData::Plain(ScopedPdu { context_engine_id: vec![], context_name: vec![], pdu }),
    })
    .encode()
}

impl Peer {
    /// Its clock now, as far as we know.
    fn clock(&self, now: Instant) -> (u32, u32) {
        let passed = u32::try_from(now.since(self.at).as_secs()).unwrap_or(ENGINE_MAX);
        (self.boots, self.time.saturating_add(passed).min(ENGINE_MAX))
    }

    /// A signed message told its clock (RFC 3414 section 3.2, step 7 b). `false`: the message is too old to be believed.
    fn synchronise(&mut self, boots: u32, time: u32, now: Instant) -> bool {
        let (known_boots, known_time) = self.clock(now);
        let newer = boots > self.boots || boots == self.boots && time > known_time;
        if !self.trusted || newer {
            (self.boots, self.time, self.at, self.trusted) = (boots, time, now, true);
            return boots < ENGINE_MAX;
        }
        boots == known_boots && boots < ENGINE_MAX && time.saturating_add(TIME_WINDOW_S) >= known_time
    }
}

#[cfg(test)]
mod tests;
