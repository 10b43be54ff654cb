//! SNMP messages of versions 1, 2c and 3 as values (RFC 1157, 3416, 3412, 3414): [`decode`] and [`Message::encode`].
//!
//! Start at [`Message`]. [`ber`] is the one place where bytes become numbers and back; [`trap`] says a notification in the
//! words of version 1. Whose key signs and what an error means is `snmp`'s business.

mod ber;
mod decode;
mod encode;
pub mod trap;

use std::net::Ipv4Addr;
use std::ops::Range;

pub use super::agentx::ErrorStatus;
use super::oid::Oid;
pub use super::value::{Value, VarBind};
pub use decode::{decode, decode_located, decode_scoped};

/// What UDP over IPv4 carries at most.
pub const DATAGRAM_MAX: usize = 65_507;

/// Everybody takes messages as long as this (RFC 3412 section 6, msgMaxSize).
pub const MAX_SIZE_LEAST: u32 = 484;

/// One datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    V1 { community: Vec<u8>, body: V1Body },
    V2c { community: Vec<u8>, pdu: Pdu },
    V3(V3Message),
}

/// Traps of SNMPv1 have a form of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum V1Body {
    /// Get, GetNext, Response or Set.
    Pdu(Pdu),
    Trap(TrapV1),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdu {
    pub kind: PduKind,
    pub request_id: i32,
    /// GetBulk: non-repeaters.
    pub error_status: i32,
    /// From 1. GetBulk: max-repetitions.
    pub error_index: i32,
    pub varbinds: Vec<VarBind>,
}

/// Their numbers are those of their tags (RFC 3416 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PduKind {
    Get = 0,
    GetNext = 1,
    Response = 2,
    Set = 3,
    GetBulk = 5,
    Inform = 6,
    TrapV2 = 7,
    Report = 8,
}

/// RFC 1157 section 4.1.6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrapV1 {
    pub enterprise: Oid,
    pub agent: Ipv4Addr,
    /// coldStart (0) to egpNeighborLoss (5), enterpriseSpecific (6).
    pub generic: i32,
    pub specific: i32,
    /// Hundredths of a second.
    pub uptime: u32,
    pub varbinds: Vec<VarBind>,
}

/// RFC 3412 section 6; the security model is the user-based one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V3Message {
    /// 0 to 2,147,483,647.
    pub message_id: i32,
    /// The longest message that the sender takes: 484 to 2,147,483,647.
    pub max_size: u32,
    /// See [`flag`].
    pub flags: u8,
    pub security: UsmParameters,
    pub data: ScopedData,
}

/// msgFlags.
pub mod flag {
    pub const AUTH: u8 = 0x01;
    pub const PRIVACY: u8 = 0x02;
    pub const REPORTABLE: u8 = 0x04;
}

/// RFC 3414 section 2.4.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsmParameters {
    /// Of the authoritative engine: empty (who are you?) or 5 to 32 octets.
    pub engine_id: Vec<u8>,
    /// 0 to 2,147,483,647.
    pub boots: u32,
    /// Seconds since that boot, 0 to 2,147,483,647.
    pub time: u32,
    pub user: Vec<u8>,
    pub auth: Vec<u8>,
    pub privacy: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopedData {
    Plain(ScopedPdu),
    Encrypted(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopedPdu {
    pub context_engine_id: Vec<u8>,
    pub context_name: Vec<u8>,
    pub pdu: Pdu,
}

/// Why a datagram is not a message. Each has its own counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// snmpInASNParseErrs: byte `at` cannot be `what`.
    #[error("byte {at} cannot be {what}")]
    Malformed { at: usize, what: &'static str },
    /// snmpInBadVersions.
    #[error("there is no SNMP version with number {0}")]
    Version(i32),
    /// snmpUnknownSecurityModels.
    #[error("security model {0} is not the user-based one")]
    SecurityModel(i32),
    /// snmpInvalidMsgs: privacy without authentication.
    #[error("flags {0:#04x} make no security level")]
    Flags(u8),
}

impl Pdu {
    pub fn new(kind: PduKind, request_id: i32, varbinds: Vec<VarBind>) -> Self {
        Pdu { kind, request_id, error_status: 0, error_index: 0, varbinds }
    }

    /// A trap or an inform of SNMPv2: every one begins with sysUpTime.0 and snmpTrapOID.0 (RFC 3416 section 4.2.6).
    pub fn notification(kind: PduKind, request_id: i32, uptime: u32, oid: &Oid, varbinds: &[VarBind]) -> Self {
        let mut all = Vec::with_capacity(varbinds.len() + 2);
        all.push(VarBind::new(Oid::new(trap::SYS_UP_TIME), Value::TimeTicks(uptime)));
        all.push(VarBind::new(Oid::new(trap::SNMP_TRAP_OID), Value::ObjectIdentifier(oid.clone())));
        all.extend_from_slice(varbinds);
        Pdu::new(kind, request_id, all)
    }

    /// The answer that nothing was wrong, with these variables.
    pub fn response(&self, varbinds: Vec<VarBind>) -> Pdu {
        Pdu::new(PduKind::Response, self.request_id, varbinds)
    }
}

impl Message {
    pub fn encode(&self) -> Vec<u8> {
        self.encode_located().0
    }

    /// With where msgAuthenticationParameters stand, for who signs; empty in versions without.
    pub fn encode_located(&self) -> (Vec<u8>, Range<usize>) {
        encode::message(self)
    }
}

impl ScopedPdu {
    /// What gets encrypted.
    pub fn encode(&self) -> Vec<u8> {
        encode::scoped(self)
    }
}

impl VarBind {
    /// How many octets this takes in a message.
    pub fn ber_len(&self) -> usize {
        encode::varbind_len(self)
    }
}

#[cfg(test)]
mod tests;
