//! The user-based security model (RFC 3414): messages opened and sealed by the engine that is authoritative.
//!
//! That is us for what the responder is asked and for traps. For informs it is the receiver, whose clock and name we
//! have to find out first: [`super::client`].

use std::ops::Range;

use super::keys::{AuthKey, MasterKey, PrivacyKey};
use super::stats::{Stats, UsmStat};
use crate::clock::Instant;
use crate::conf::model::UsmUser;
use crate::wire::oid::Oid;
use crate::wire::snmp::{
    DATAGRAM_MAX, Message, Pdu, PduKind, ScopedData, ScopedPdu, UsmParameters, V3Message, Value, VarBind,
    decode_scoped, flag,
};

/// How far the clock of a message may be from the authoritative engine's, in seconds (RFC 3414 section 2.2.3).
pub const TIME_WINDOW_S: u32 = 150;

/// What both boots and time end at.
pub const ENGINE_MAX: u32 = 2_147_483_647;

/// We as an SNMP engine (RFC 3411 section 5, RFC 3414 section 2.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalEngine {
    /// snmpEngineID: 5 to 32 octets, the same at every start.
    pub id: Vec<u8>,
    /// Starts with this id, this one included: 1 to 2,147,483,647. Kept on disk.
    pub boots: u32,
    pub started: Instant,
}

impl LocalEngine {
    /// An id for who has none yet, from random octets (RFC 3411 section 5, format 5: octets).
    pub fn make_id(random: [u8; 8]) -> Vec<u8> {
        // KEEPALIVED-MIB stands below Debian's number; there is none of our own.
        const ENTERPRISE: u32 = 9586;
        let mut id = (ENTERPRISE | 1 << 31).to_be_bytes().to_vec();
        id.push(5);
        id.extend(random);
        id
    }

    /// snmpEngineTime: seconds since the start. It ends after 68 years; what the RFC wants then is one more boot.
    pub fn time(&self, now: Instant) -> u32 {
        u32::try_from(now.since(self.started).as_secs()).unwrap_or(ENGINE_MAX).min(ENGINE_MAX)
    }
}

/// securityLevel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    NoAuthNoPriv,
    AuthNoPriv,
    AuthPriv,
}

impl Level {
    fn of(flags: u8) -> Level {
        match (flags & flag::AUTH != 0, flags & flag::PRIVACY != 0) {
            (_, true) => Level::AuthPriv,
            (true, false) => Level::AuthNoPriv,
            (false, false) => Level::NoAuthNoPriv,
        }
    }

    fn flags(self) -> u8 {
        match self {
            Level::NoAuthNoPriv => 0,
            Level::AuthNoPriv => flag::AUTH,
            Level::AuthPriv => flag::AUTH | flag::PRIVACY,
        }
    }
}

/// A user with keys for any engine. Making one takes milliseconds for each pass phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: Vec<u8>,
    auth: Option<MasterKey>,
    privacy: Option<MasterKey>,
}

impl User {
    /// Privacy without authentication does not exist; such a user has neither.
    pub fn new(user: &UsmUser) -> User {
        let auth = user.auth.as_ref().map(|(protocol, phrase)| MasterKey::new(*protocol, phrase));
        let privacy = match (&user.auth, &user.privacy) {
            (Some((protocol, _)), Some((_, phrase))) => Some(MasterKey::new(*protocol, phrase)),
            _ => None,
        };
        User { name: user.name.as_bytes().to_vec(), auth, privacy }
    }

    pub fn at(&self, engine_id: &[u8]) -> Keys {
        Keys {
            name: self.name.clone(),
            auth: self.auth.as_ref().map(|key| key.auth_key(engine_id)),
            privacy: self.privacy.as_ref().map(|key| key.privacy_key(engine_id)),
        }
    }
}

/// A user at one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    pub name: Vec<u8>,
    auth: Option<AuthKey>,
    privacy: Option<PrivacyKey>,
}

/// What goes around a scoped PDU.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    pub message_id: i32,
    /// Whether a Report is wanted when something is wrong.
    pub reportable: bool,
    /// The authoritative engine.
    pub engine_id: &'a [u8],
    pub boots: u32,
    pub time: u32,
    /// At most the user's.
    pub level: Level,
}

impl Keys {
    /// All that the user can do.
    pub fn level(&self) -> Level {
        match (&self.auth, &self.privacy) {
            (None, _) => Level::NoAuthNoPriv,
            (Some(_), None) => Level::AuthNoPriv,
            (Some(_), Some(_)) => Level::AuthPriv,
        }
    }

    /// Encrypts and signs, as far as the level says (RFC 3414 section 3.1).
    pub fn seal(&self, envelope: Envelope<'_>, scoped: ScopedPdu, salts: &mut Salts) -> Vec<u8> {
        let level = envelope.level.min(self.level());
        let mut security = UsmParameters {
            engine_id: envelope.engine_id.to_vec(),
            boots: envelope.boots,
            time: envelope.time,
            user: self.name.clone(),
            auth: vec![],
            privacy: vec![],
        };
        let mut data = ScopedData::Plain(scoped);
        if let (Level::AuthPriv, Some(key), ScopedData::Plain(scoped)) = (level, &self.privacy, &data) {
            let salt = salts.draw();
            let mut bytes = scoped.encode();
            key.encrypt(envelope.boots, envelope.time, salt, &mut bytes);
            security.privacy = salt.to_vec();
            data = ScopedData::Encrypted(bytes);
        }
        let auth = self.auth.as_ref().filter(|_| level >= Level::AuthNoPriv);
        // What is signed has zeros where the digest will be.
        security.auth = vec![0; auth.map_or(0, AuthKey::digest_len)];
        let flags = level.flags() | (u8::from(envelope.reportable) * flag::REPORTABLE);
        let max_size = DATAGRAM_MAX as u32;
        let message = V3Message { message_id: envelope.message_id, max_size, flags, security, data };
        let (mut bytes, auth_at) = Message::V3(message).encode_located();
        if let Some(key) = auth {
            let digest = key.sign([&bytes, b"", b""]);
            if let Some(place) = bytes.get_mut(auth_at) {
                place.copy_from_slice(&digest);
            }
        }
        bytes
    }

    /// Whether the digest in `datagram` is right (RFC 3414 section 6.3.2).
    pub fn verify(&self, datagram: &[u8], auth_at: &Range<usize>) -> bool {
        const ZEROS: [u8; 64] = [0; 64];
        let (Some(key), Some(digest)) = (&self.auth, datagram.get(auth_at.clone())) else { return false };
        let parts = (datagram.get(..auth_at.start), ZEROS.get(..digest.len()), datagram.get(auth_at.end..));
        let (Some(before), Some(zeros), Some(behind)) = parts else { return false };
        key.verify([before, zeros, behind], digest)
    }

    /// `None`: what comes out is no scoped PDU, or nothing could be decrypted (RFC 3826 section 3.1.4).
    pub fn open(&self, security: &UsmParameters, data: ScopedData) -> Option<ScopedPdu> {
        let mut bytes = match data {
            ScopedData::Plain(scoped) => return Some(scoped),
            ScopedData::Encrypted(bytes) => bytes,
        };
        let salt = <[u8; 8]>::try_from(&security.privacy[..]).ok()?;
        self.privacy.as_ref()?.decrypt(security.boots, security.time, salt, &mut bytes);
        decode_scoped(&bytes).ok()
    }
}

/// Numbers that no two messages under one key may share (RFC 3826 section 3.1.2.1).
#[derive(Debug, Clone)]
pub struct Salts(u64);

impl Salts {
    /// After every start they differ by the boots, and those who share an engine take different lanes.
    pub fn new(boots: u32, lane: Lane) -> Self {
        Salts(u64::from(boots) << 33 | (lane as u64) << 32)
    }

    /// For the informs of one of several clients, which may meet the same user at the same engine.
    pub fn of_client(boots: u32, number: usize) -> Self {
        let Salts(first) = Salts::new(boots, Lane::Notifications);
        Salts(first | (number as u64 & 0x3f) << 26)
    }

    /// As many as a lane has are enough for four billion messages; boots and time are in the vector of initialisation, too.
    fn draw(&mut self) -> [u8; 8] {
        let salt = self.0.to_be_bytes();
        self.0 = self.0 & !u64::from(u32::MAX) | u64::from((self.0 as u32).wrapping_add(1));
        salt
    }
}

/// Who seals messages with the keys of one engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Responder = 0,
    Notifications = 1,
}

/// We as the authoritative engine.
#[derive(Debug, Clone)]
pub struct Usm {
    pub engine: LocalEngine,
    users: Vec<Keys>,
    salts: Salts,
}

/// Of a message that was opened: all that its answer must repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub message_id: i32,
    /// The longest answer.
    pub max_size: u32,
    pub level: Level,
    /// Position in the list of users.
    pub user: usize,
    pub reportable: bool,
}

impl Usm {
    pub fn new(engine: LocalEngine, users: &[UsmUser], lane: Lane) -> Self {
        let users = users.iter().map(|user| User::new(user).at(&engine.id)).collect();
        let salts = Salts::new(engine.boots, lane);
        Usm { engine, users, salts }
    }

    /// Other users of the same engine; salts go on, as some of the keys may be the same.
    pub fn set_users(&mut self, users: &[UsmUser]) {
        self.users = users.iter().map(|user| User::new(user).at(&self.engine.id)).collect();
    }

    /// The user's position in the list.
    pub fn user(&self, name: &[u8]) -> Option<usize> {
        self.users.iter().position(|keys| keys.name == name)
    }

    /// All that the user can do.
    pub fn level(&self, user: usize) -> Level {
        self.users.get(user).map_or(Level::NoAuthNoPriv, Keys::level)
    }

    /// Checks and decrypts a message (RFC 3414 section 3.2). An error is counted, and answered by the Report in it if one
    /// was wanted.
    pub fn open(
        &self,
        datagram: &[u8],
        message: V3Message,
        auth_at: &Range<usize>,
        stats: &mut Stats,
        now: Instant,
    ) -> Result<(Header, ScopedPdu), Option<Vec<u8>>> {
        let V3Message { message_id, max_size, flags, security, data } = message;
        let level = Level::of(flags);
        let reportable = flags & flag::REPORTABLE != 0;
        // Known only when nothing had to be decrypted (RFC 3412 section 7.1.3 c).
        let request_id = match &data {
            ScopedData::Plain(scoped) => scoped.pdu.request_id,
            ScopedData::Encrypted(_) => 0,
        };
        let mut refuse = |stat: UsmStat, keys: Option<&Keys>| {
            let count = stats.count_usm(stat);
            let nobody = Keys { name: security.user.clone(), auth: None, privacy: None };
            let (keys, level) = keys.map_or((&nobody, Level::NoAuthNoPriv), |keys| (keys, Level::AuthNoPriv));
            let varbind = VarBind::new(stat.oid(), Value::Counter32(count));
            let envelope = self.envelope(message_id, level, now);
            // Nothing of it is encrypted.
            let report = || keys.seal(envelope, self.scoped(report(request_id, varbind)), &mut Salts(0));
            Err(reportable.then(report))
        };
        if security.engine_id != self.engine.id {
            return refuse(UsmStat::UnknownEngineIds, None);
        }
        let Some(user) = self.user(&security.user) else { return refuse(UsmStat::UnknownUserNames, None) };
        let Some(keys) = self.users.get(user) else { return refuse(UsmStat::UnknownUserNames, None) };
        if level > keys.level() {
            return refuse(UsmStat::UnsupportedSecLevels, None);
        }
        if level >= Level::AuthNoPriv {
            if !keys.verify(datagram, auth_at) {
                return refuse(UsmStat::WrongDigests, None);
            }
            let apart = security.time.abs_diff(self.engine.time(now));
            if self.engine.boots >= ENGINE_MAX || security.boots != self.engine.boots || apart > TIME_WINDOW_S {
                // Signed, so that the other side may believe our clock.
                return refuse(UsmStat::NotInTimeWindows, Some(keys));
            }
        }
        let Some(scoped) = keys.open(&security, data) else { return refuse(UsmStat::DecryptionErrors, None) };
        Ok((Header { message_id, max_size, level, user, reportable }, scoped))
    }

    /// The answer to the message with this header, at its level.
    pub fn seal(&mut self, header: &Header, scoped: ScopedPdu, now: Instant) -> Option<Vec<u8>> {
        let keys = self.users.get(header.user)?;
        let (boots, time) = (self.engine.boots, self.engine.time(now));
        let (message_id, level) = (header.message_id, header.level);
        let envelope = Envelope { message_id, reportable: false, engine_id: &self.engine.id, boots, time, level };
        Some(keys.seal(envelope, scoped, &mut self.salts))
    }

    /// A trap in the name of a user, at the user's level: who sends it is authoritative (RFC 3414 section 1.5.1), and
    /// nobody answers. `None`: there is no such user.
    pub fn trap(&mut self, user: &str, message_id: i32, pdu: Pdu, now: Instant) -> Option<Vec<u8>> {
        let user = self.user(user.as_bytes())?;
        let level = self.level(user);
        let header = Header { message_id, max_size: ENGINE_MAX, level, user, reportable: false };
        let scoped = self.scoped(pdu);
        self.seal(&header, scoped, now)
    }

    /// In our own, default context.
    pub fn scoped(&self, pdu: Pdu) -> ScopedPdu {
        ScopedPdu { context_engine_id: self.engine.id.clone(), context_name: vec![], pdu }
    }

    fn envelope(&self, message_id: i32, level: Level, now: Instant) -> Envelope<'_> {
        let (boots, time) = (self.engine.boots, self.engine.time(now));
        Envelope { message_id, reportable: false, engine_id: &self.engine.id, boots, time, level }
    }
}

/// Tells which counter has moved.
pub fn report(request_id: i32, varbind: VarBind) -> Pdu {
    Pdu::new(PduKind::Report, request_id, vec![varbind])
}

/// The counter that a Report tells of.
pub fn reported(pdu: &Pdu) -> Option<&Oid> {
    (pdu.kind == PduKind::Report).then(|| pdu.varbinds.first().map(|varbind| &varbind.name)).flatten()
}

#[cfg(test)]
mod tests;
