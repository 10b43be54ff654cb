//! What an SNMP engine counts (RFC 3418 snmp group, RFC 3412 snmpMPDStats, RFC 3413 contexts, RFC 3414 usmStats).

use crate::wire::oid::Oid;
use crate::wire::snmp::{DecodeError, PduKind};

/// Every one wraps around, as a Counter32 does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// By the numbers of [`SnmpStat`].
    snmp: [u32; 32],
    /// By the numbers of [`UsmStat`].
    usm: [u32; 7],
    /// By the numbers of [`MpdStat`].
    mpd: [u32; 4],
    /// By the numbers of [`ContextStat`].
    contexts: [u32; 6],
}

/// The objects below snmp (1.3.6.1.2.1.11) that we count. Those that RFC 3418 calls obsolete are what dashboards ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnmpStat {
    InPkts = 1,
    OutPkts = 2,
    InBadVersions = 3,
    InBadCommunityNames = 4,
    InBadCommunityUses = 5,
    InAsnParseErrs = 6,
    InTotalReqVars = 13,
    InTotalSetVars = 14,
    InGetRequests = 15,
    InGetNexts = 16,
    InSetRequests = 17,
    InGetResponses = 18,
    InTraps = 19,
    OutTooBigs = 20,
    OutNoSuchNames = 21,
    OutBadValues = 22,
    OutGenErrs = 24,
    OutGetResponses = 28,
    SilentDrops = 31,
}

/// Below snmpMPDStats (1.3.6.1.6.3.11.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MpdStat {
    UnknownSecurityModels = 1,
    InvalidMsgs = 2,
    UnknownPduHandlers = 3,
}

/// Below snmpTargetObjects (1.3.6.1.6.3.12.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextStat {
    UnavailableContexts = 4,
    UnknownContexts = 5,
}

/// Below usmStats (1.3.6.1.6.3.15.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsmStat {
    UnsupportedSecLevels = 1,
    NotInTimeWindows = 2,
    UnknownUserNames = 3,
    UnknownEngineIds = 4,
    WrongDigests = 5,
    DecryptionErrors = 6,
}

pub const USM_STATS: &[u32] = &[1, 3, 6, 1, 6, 3, 15, 1, 1];
const MPD_STATS: &[u32] = &[1, 3, 6, 1, 6, 3, 11, 2, 1];
const TARGET_OBJECTS: &[u32] = &[1, 3, 6, 1, 6, 3, 12, 1];

impl UsmStat {
    pub fn oid(self) -> Oid {
        Oid::new(USM_STATS).with(&[self as u32, 0])
    }

    /// As logs call it.
    pub fn name(number: u32) -> &'static str {
        const NAMES: [&str; 6] = [
            "unsupported security level",
            "not in time window",
            "unknown user name",
            "unknown engine id",
            "wrong digest",
            "decryption error",
        ];
        let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        at.and_then(|at| NAMES.get(at)).copied().unwrap_or("unknown report")
    }
}

impl MpdStat {
    pub fn oid(self) -> Oid {
        Oid::new(MPD_STATS).with(&[self as u32, 0])
    }
}

impl ContextStat {
    pub fn oid(self) -> Oid {
        Oid::new(TARGET_OBJECTS).with(&[self as u32, 0])
    }
}

impl Stats {
    pub fn count(&mut self, stat: SnmpStat) {
        self.add(stat, 1);
    }

    pub fn add(&mut self, stat: SnmpStat, count: usize) {
        if let Some(counter) = self.snmp.get_mut(stat as usize) {
            *counter = counter.wrapping_add(count as u32);
        }
    }

    pub fn count_usm(&mut self, stat: UsmStat) -> u32 {
        one_more(self.usm.get_mut(stat as usize))
    }

    pub fn count_mpd(&mut self, stat: MpdStat) -> u32 {
        one_more(self.mpd.get_mut(stat as usize))
    }

    pub fn count_context(&mut self, stat: ContextStat) -> u32 {
        one_more(self.contexts.get_mut(stat as usize))
    }

    /// A datagram that is no message.
    pub fn count_undecodable(&mut self, error: DecodeError) {
        match error {
            DecodeError::Malformed { .. } => self.count(SnmpStat::InAsnParseErrs),
            DecodeError::Version(_) => self.count(SnmpStat::InBadVersions),
            DecodeError::SecurityModel(_) => {
                self.count_mpd(MpdStat::UnknownSecurityModels);
            }
            DecodeError::Flags(_) => {
                self.count_mpd(MpdStat::InvalidMsgs);
            }
        }
    }

    pub fn count_request(&mut self, kind: PduKind) {
        match kind {
            PduKind::Get => self.count(SnmpStat::InGetRequests),
            // There is no counter for GETBULK; net-snmp counts it here, too.
            PduKind::GetNext | PduKind::GetBulk => self.count(SnmpStat::InGetNexts),
            PduKind::Set => self.count(SnmpStat::InSetRequests),
            PduKind::Response => self.count(SnmpStat::InGetResponses),
            PduKind::TrapV2 | PduKind::Inform => self.count(SnmpStat::InTraps),
            PduKind::Report => {}
        }
    }

    /// The number below snmp; those that we never count are zero.
    pub fn snmp(&self, number: usize) -> u32 {
        self.snmp.get(number).copied().unwrap_or(0)
    }

    pub fn usm(&self, number: usize) -> u32 {
        self.usm.get(number).copied().unwrap_or(0)
    }

    pub fn mpd(&self, number: usize) -> u32 {
        self.mpd.get(number).copied().unwrap_or(0)
    }

    pub fn contexts(&self, number: usize) -> u32 {
        self.contexts.get(number).copied().unwrap_or(0)
    }
}

fn one_more(counter: Option<&mut u32>) -> u32 {
    let Some(counter) = counter else { return 0 };
    *counter = counter.wrapping_add(1);
    *counter
}
