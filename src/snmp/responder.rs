//! An SNMP agent without sockets: datagrams in, answers and commands out.
//!
//! Start at [`Responder::handle`]. Every answer to one request comes from one view, and only a SET is ever answered later: its
//! commands go to their owners, others are served meanwhile, and [`Responder::reply`] goes on when an owner has answered.

mod answer;
mod set;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::keys::same_secret;
use super::own::{Merged, Own, System};
use super::stats::{ContextStat, MpdStat, SnmpStat, Stats};
use super::usm::{self, Header, Lane, LocalEngine, Usm};
use crate::agentx::set::{SetCounts, Sets, Token};
use crate::bus::msg::Command;
use crate::clock::Instant;
use crate::conf::model::{self, Community, UsmUser};
use crate::mib::view::View;
use crate::wire::snmp::{
    DATAGRAM_MAX, ErrorStatus, Message, Pdu, PduKind, ScopedPdu, V1Body, V3Message, Value, VarBind, decode_located,
};
use set::Pending;

/// Where a request came from, and its answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Which of the sockets; the responder only repeats it.
    pub socket: usize,
    pub from: SocketAddr,
}

/// What to do about a datagram, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Send {
        to: Origin,
        datagram: Vec<u8>,
    },
    /// Ask the owner; the answer comes back by [`Responder::reply`]. Tokens begin at [`Responder::TOKENS_FROM`].
    Command {
        token: Token,
        command: Command,
    },
}

#[derive(Debug, Clone)]
pub struct Responder {
    communities: Vec<Community>,
    /// What each user of `usm` may do; `None`: nothing.
    access: Vec<Option<Right>>,
    usm: Usm,
    system: System,
    stats: Stats,
    sets: Sets,
    /// Requests to SET that are under way, by the number of their transaction.
    pending: BTreeMap<u32, Pending>,
    last_transaction: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Right {
    Read,
    Write,
}

/// How a request was protected, and so its answer will be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Security {
    V1 { community: Vec<u8> },
    V2c { community: Vec<u8> },
    V3 { header: Header },
}

impl Security {
    fn is_v1(&self) -> bool {
        matches!(self, Security::V1 { .. })
    }
}

/// One request that may be answered.
struct Request<'a> {
    security: Security,
    right: Right,
    pdu: Pdu,
    origin: Origin,
    view: &'a dyn View,
    now: Instant,
}

impl Responder {
    /// Other owners of tokens count from one.
    pub const TOKENS_FROM: u64 = 1 << 63;

    /// Hashes the users' pass phrases, which takes milliseconds for each.
    pub fn new(settings: &model::Responder, users: &[UsmUser], engine: LocalEngine) -> Self {
        Responder {
            communities: settings.communities.clone(),
            access: rights(settings, users),
            usm: Usm::new(engine, users, Lane::Responder),
            system: System::default(),
            stats: Stats::default(),
            sets: Sets::with_tokens_from(Self::TOKENS_FROM),
            pending: BTreeMap::new(),
            last_transaction: 0,
        }
    }

    /// What became of SETs.
    pub fn sets(&self) -> &SetCounts {
        self.sets.counts()
    }

    /// Other settings, users or engine. Counters go on, and so do tokens and salts: neither is ever given twice. SETs without
    /// an answer get none any more, and are taken back.
    #[must_use = "a command that is not sent leaves a SET half undone"]
    pub fn configure(
        &mut self,
        settings: &model::Responder,
        users: &[UsmUser],
        engine: LocalEngine,
        now: Instant,
    ) -> Vec<Action> {
        let actions = self.abandon(now);
        self.communities.clone_from(&settings.communities);
        self.access = rights(settings, users);
        if engine == self.usm.engine {
            self.usm.set_users(users);
        } else {
            self.usm = Usm::new(engine, users, Lane::Responder);
        }
        actions
    }

    /// What the system group shows.
    pub fn describe(&mut self, system: System) {
        self.system = system;
    }

    /// When sysUpTime was zero; views that are asked for this responder count from it, too.
    pub fn epoch(&self) -> Instant {
        self.usm.engine.started
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// A datagram came. `view` has no need to show the groups of [`Own`].
    pub fn handle(&mut self, datagram: &[u8], origin: Origin, view: &dyn View, now: Instant) -> Vec<Action> {
        self.stats.count(SnmpStat::InPkts);
        let (security, right, pdu) = match decode_located(datagram) {
            Err(error) => {
                self.stats.count_undecodable(error);
                return vec![];
            }
            Ok((Message::V1 { body: V1Body::Trap(_), .. }, _)) => {
                self.stats.count(SnmpStat::InTraps);
                return vec![];
            }
            Ok((Message::V1 { community, body: V1Body::Pdu(pdu) }, _)) => {
                let Some(right) = self.right(&community, origin.from.ip()) else { return vec![] };
                (Security::V1 { community }, right, pdu)
            }
            Ok((Message::V2c { community, pdu }, _)) => {
                let Some(right) = self.right(&community, origin.from.ip()) else { return vec![] };
                (Security::V2c { community }, right, pdu)
            }
            Ok((Message::V3(message), auth_at)) => match self.open(datagram, message, &auth_at, now) {
                Ok((header, right, pdu)) => (Security::V3 { header }, right, pdu),
                Err(report) => return self.send(report, origin).into_iter().collect(),
            },
        };
        self.stats.count_request(pdu.kind);
        match pdu.kind {
            PduKind::Get | PduKind::GetNext | PduKind::GetBulk | PduKind::Set => {
                self.serve(Request { security, right, pdu, origin, view, now })
            }
            // Nothing that we would answer, or that anybody waits for.
            PduKind::Response | PduKind::Inform | PduKind::TrapV2 | PduKind::Report => {
                if let Security::V3 { .. } = security {
                    self.stats.count_mpd(MpdStat::UnknownPduHandlers);
                }
                vec![]
            }
        }
    }

    /// The most that this community may do from this address; silence is the answer to all others (RFC 3584 section 5.2).
    fn right(&mut self, community: &[u8], from: IpAddr) -> Option<Right> {
        let from = from.to_canonical();
        let admits = |entry: &&Community| {
            let within = |(network, length): &(IpAddr, u8)| contains(*network, *length, from);
            same_secret(entry.name.0.as_bytes(), community)
                && (entry.networks.is_empty() || entry.networks.iter().any(within))
        };
        let rights = self.communities.iter().filter(admits);
        let right = rights.map(|entry| if entry.write { Right::Write } else { Right::Read }).max();
        if right.is_none() {
            self.stats.count(SnmpStat::InBadCommunityNames);
        }
        right
    }

    /// A request of SNMPv3 that may be served; or else the Report that says why it is not.
    fn open(
        &mut self,
        datagram: &[u8],
        message: V3Message,
        auth_at: &std::ops::Range<usize>,
        now: Instant,
    ) -> Result<(Header, Right, Pdu), Option<Vec<u8>>> {
        let (header, scoped) = self.usm.open(datagram, message, auth_at, &mut self.stats, now)?;
        let ScopedPdu { context_engine_id, context_name, pdu } = scoped;
        // Some other engine's variables (RFC 3412 section 7.2.13), or another context (RFC 3413 section 3.2.5).
        let wrong = if context_engine_id != self.usm.engine.id {
            let count = self.stats.count_mpd(MpdStat::UnknownPduHandlers);
            Some((MpdStat::UnknownPduHandlers.oid(), count))
        } else if !context_name.is_empty() {
            let count = self.stats.count_context(ContextStat::UnknownContexts);
            Some((ContextStat::UnknownContexts.oid(), count))
        } else {
            None
        };
        if let Some((name, count)) = wrong {
            let report = usm::report(pdu.request_id, VarBind::new(name, Value::Counter32(count)));
            let scoped = self.usm.scoped(report);
            return Err(self.usm.seal(&header, scoped, now).filter(|_| header.reportable));
        }
        // Who has keys must use them, or anybody could speak in that name (RFC 3415: the level belongs to the access entry).
        let right =
            self.access.get(header.user).copied().flatten().filter(|_| header.level >= self.usm.level(header.user));
        match right {
            Some(right) => Ok((header, right, pdu)),
            None if matches!(pdu.kind, PduKind::Get | PduKind::GetNext | PduKind::GetBulk | PduKind::Set) => {
                let mut answer = pdu.response(pdu.varbinds.clone());
                answer.error_status = i32::from(ErrorStatus::AUTHORIZATION_ERROR.0);
                self.stats.count(SnmpStat::OutGetResponses);
                let scoped = self.usm.scoped(answer);
                Err(self.usm.seal(&header, scoped, now))
            }
            None => Err(None),
        }
    }

    /// With the groups that every agent shows.
    fn serve(&mut self, request: Request<'_>) -> Vec<Action> {
        let max_size = self.max_size(&request.security);
        let room = match request.pdu.kind {
            PduKind::Set => return self.set(request),
            PduKind::GetBulk => self.room(&request, max_size),
            _ => 0,
        };
        let own = Own { system: &self.system, engine: &self.usm.engine, stats: &self.stats, now: request.now };
        let view = Merged { first: &own, second: request.view };
        let answer = answer::answer(&request.pdu, request.security.is_v1(), room, &view);
        if answer.error_status == 0 {
            self.stats.add(SnmpStat::InTotalReqVars, answer.varbinds.len());
        }
        self.respond(&request.security, request.origin, &request.pdu, answer, request.now)
    }

    /// Sends an answer. One that is too long becomes tooBig, and if that is too long, too, there is none (RFC 3416 section
    /// 4.2.1).
    fn respond(
        &mut self,
        security: &Security,
        to: Origin,
        request: &Pdu,
        mut answer: Pdu,
        now: Instant,
    ) -> Vec<Action> {
        let max_size = self.max_size(security);
        let mut datagram = self.encode(security, &mut answer, now);
        if datagram.len() > max_size {
            answer = request.response(if security.is_v1() { request.varbinds.clone() } else { vec![] });
            answer.error_status = i32::from(ErrorStatus::TOO_BIG.0);
            datagram = self.encode(security, &mut answer, now);
        }
        if datagram.is_empty() || datagram.len() > max_size {
            self.stats.count(SnmpStat::SilentDrops);
            return vec![];
        }
        self.stats.count(SnmpStat::OutGetResponses);
        match answer.error_status {
            1 => self.stats.count(SnmpStat::OutTooBigs),
            2 => self.stats.count(SnmpStat::OutNoSuchNames),
            3 => self.stats.count(SnmpStat::OutBadValues),
            5 => self.stats.count(SnmpStat::OutGenErrs),
            _ => {}
        }
        self.send(Some(datagram), to).into_iter().collect()
    }

    fn send(&mut self, datagram: Option<Vec<u8>>, to: Origin) -> Option<Action> {
        let datagram = datagram?;
        self.stats.count(SnmpStat::OutPkts);
        Some(Action::Send { to, datagram })
    }

    /// The answer goes into the message and is moved out of `answer` with it.
    fn encode(&mut self, security: &Security, answer: &mut Pdu, now: Instant) -> Vec<u8> {
        let varbinds = std::mem::take(&mut answer.varbinds);
        let pdu = Pdu { varbinds, ..*answer };
        match security {
            Security::V1 { community } => Message::V1 { community: community.clone(), body: V1Body::Pdu(pdu) }.encode(),
            Security::V2c { community } => Message::V2c { community: community.clone(), pdu }.encode(),
            Security::V3 { header } => {
                let scoped = self.usm.scoped(pdu);
                self.usm.seal(header, scoped, now).unwrap_or_default()
            }
        }
    }

    /// The longest answer that arrives.
    fn max_size(&self, security: &Security) -> usize {
        match security {
            Security::V1 { .. } | Security::V2c { .. } => DATAGRAM_MAX,
            Security::V3 { header } => usize::try_from(header.max_size).unwrap_or(DATAGRAM_MAX).min(DATAGRAM_MAX),
        }
    }

    /// Octets for variables in an answer: what an empty one leaves, and what lengths grow by.
    fn room(&mut self, request: &Request<'_>, max_size: usize) -> usize {
        /// Message, security or encryption, scoped PDU, PDU and list: three octets more each.
        const LENGTHS: usize = 5 * 3;
        let empty = self.encode(&request.security, &mut request.pdu.response(vec![]), request.now);
        max_size.saturating_sub(empty.len() + LENGTHS)
    }
}

/// What each user may do.
fn rights(settings: &model::Responder, users: &[UsmUser]) -> Vec<Option<Right>> {
    let right = |write| if write { Right::Write } else { Right::Read };
    let access = |user: &UsmUser| {
        settings.users.iter().filter(|access| access.user == user.name).map(|access| right(access.write)).max()
    };
    users.iter().map(access).collect()
}

/// Whether an address is in a network; those of the other family are not.
fn contains(network: IpAddr, length: u8, address: IpAddr) -> bool {
    let same = |a: u128, b: u128, bits: u32| {
        let differ = bits.saturating_sub(u32::from(length));
        (a ^ b).checked_shr(differ).unwrap_or(0) == 0
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => same(network.to_bits().into(), address.to_bits().into(), 32),
        (IpAddr::V6(network), IpAddr::V6(address)) => same(network.to_bits(), address.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
