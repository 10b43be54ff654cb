//! AgentX PDUs (RFC 2741 section 6): [`decode`] and [`Pdu::encode`].
//!
//! Start at [`Body`]. This module knows bytes only: sessions, views and what an error means are
//! [`crate::agentx`]'s business.

mod decode;
mod encode;

use super::oid::Oid;
pub use super::value::{Value, VarBind};
pub use decode::{DecodeError, decode};

/// Length of the fixed header.
pub const HEADER_LEN: usize = 20;

/// Longest payload we read. An SNMP message has at most 64 KiB over UDP, and AgentX writes four bytes where BER may
/// write one.
pub const PAYLOAD_MAX: usize = 256 * 1024;

/// The order of numbers in one PDU; each PDU names its own (flag NETWORK_BYTE_ORDER).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    Network,
    Little,
}

/// Flags of the header (RFC 2741 section 6.1).
pub mod flag {
    pub const INSTANCE_REGISTRATION: u8 = 0x01;
    pub const NEW_INDEX: u8 = 0x02;
    pub const ANY_INDEX: u8 = 0x04;
    pub const NON_DEFAULT_CONTEXT: u8 = 0x08;
    pub const NETWORK_BYTE_ORDER: u8 = 0x10;
}

/// One AgentX message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdu {
    pub order: ByteOrder,
    pub session: u32,
    pub transaction: u32,
    pub packet: u32,
    /// `None`: the default context. net-snmp also sends `Some` of nothing, and wants to see it again.
    pub context: Option<Vec<u8>>,
    pub body: Body,
}

/// What a PDU is about (RFC 2741 section 6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `timeout` in seconds, 0 for the master's default.
    Open {
        timeout: u8,
        id: Oid,
        description: Vec<u8>,
    },
    Close(CloseReason),
    Register {
        timeout: u8,
        priority: u8,
        instance: bool,
        subtree: Subtree,
    },
    Unregister {
        priority: u8,
        subtree: Subtree,
    },
    Get(Vec<SearchRange>),
    GetNext(Vec<SearchRange>),
    GetBulk {
        non_repeaters: u16,
        max_repetitions: u16,
        ranges: Vec<SearchRange>,
    },
    TestSet(Vec<VarBind>),
    CommitSet,
    UndoSet,
    CleanupSet,
    Notify(Vec<VarBind>),
    Ping,
    IndexAllocate {
        new_index: bool,
        any_index: bool,
        varbinds: Vec<VarBind>,
    },
    IndexDeallocate {
        new_index: bool,
        any_index: bool,
        varbinds: Vec<VarBind>,
    },
    AddAgentCaps {
        id: Oid,
        description: Vec<u8>,
    },
    RemoveAgentCaps {
        id: Oid,
    },
    /// `uptime`: the master's sysUpTime in hundredths of a second; subagents send 0. `index` counts from 1.
    Response {
        uptime: u32,
        error: ErrorStatus,
        index: u16,
        varbinds: Vec<VarBind>,
    },
}

/// What Register and Unregister name: one subtree, or a row of siblings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtree {
    pub root: Oid,
    /// The sub-identifier at this position (from 1) runs up to the bound. RFC 2741 section 6.2.3, r.range_subid.
    pub range: Option<(u8, u32)>,
}

/// RFC 2741 section 5.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRange {
    pub start: Oid,
    /// Whether `start` itself is an answer; matters to GETNEXT and GETBULK only.
    pub include: bool,
    /// The first name that is no answer any more; empty for no bound.
    pub end: Oid,
}

/// RFC 2741 section 6.2.2, c.reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseReason(pub u8);

impl CloseReason {
    pub const OTHER: Self = CloseReason(1);
    pub const PARSE_ERROR: Self = CloseReason(2);
    pub const PROTOCOL_ERROR: Self = CloseReason(3);
    pub const TIMEOUTS: Self = CloseReason(4);
    pub const SHUTDOWN: Self = CloseReason(5);
    pub const BY_MANAGER: Self = CloseReason(6);

    pub fn name(self) -> &'static str {
        match self.0 {
            1 => "other",
            2 => "parseError",
            3 => "protocolError",
            4 => "timeouts",
            5 => "shutdown",
            6 => "byManager",
            _ => "unknown reason",
        }
    }
}

/// SNMP error-status (RFC 3416 section 3) and AgentX's own from 256 (RFC 2741 section 6.2.16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorStatus(pub u16);

impl ErrorStatus {
    pub const NO_ERROR: Self = ErrorStatus(0);
    pub const TOO_BIG: Self = ErrorStatus(1);
    pub const NO_SUCH_NAME: Self = ErrorStatus(2);
    pub const BAD_VALUE: Self = ErrorStatus(3);
    pub const GEN_ERR: Self = ErrorStatus(5);
    pub const NO_ACCESS: Self = ErrorStatus(6);
    pub const WRONG_TYPE: Self = ErrorStatus(7);
    pub const WRONG_VALUE: Self = ErrorStatus(10);
    pub const RESOURCE_UNAVAILABLE: Self = ErrorStatus(13);
    pub const COMMIT_FAILED: Self = ErrorStatus(14);
    pub const UNDO_FAILED: Self = ErrorStatus(15);
    pub const AUTHORIZATION_ERROR: Self = ErrorStatus(16);
    pub const NOT_WRITABLE: Self = ErrorStatus(17);
    pub const OPEN_FAILED: Self = ErrorStatus(256);
    pub const NOT_OPEN: Self = ErrorStatus(257);
    pub const UNSUPPORTED_CONTEXT: Self = ErrorStatus(262);
    pub const DUPLICATE_REGISTRATION: Self = ErrorStatus(263);
    pub const UNKNOWN_REGISTRATION: Self = ErrorStatus(264);
    pub const UNKNOWN_AGENT_CAPS: Self = ErrorStatus(265);
    pub const PARSE_ERROR: Self = ErrorStatus(266);
    pub const REQUEST_DENIED: Self = ErrorStatus(267);
    pub const PROCESSING_ERROR: Self = ErrorStatus(268);

    pub fn name(self) -> &'static str {
        const SNMP: [&str; 19] = [
            "noError",
            "tooBig",
            "noSuchName",
            "badValue",
            "readOnly",
            "genErr",
            "noAccess",
            "wrongType",
            "wrongLength",
            "wrongEncoding",
            "wrongValue",
            "noCreation",
            "inconsistentValue",
            "resourceUnavailable",
            "commitFailed",
            "undoFailed",
            "authorizationError",
            "notWritable",
            "inconsistentName",
        ];
        const AGENTX: [&str; 13] = [
            "openFailed",
            "notOpen",
            "indexWrongType",
            "indexAlreadyAllocated",
            "indexNoneAvailable",
            "indexNotAllocated",
            "unsupportedContext",
            "duplicateRegistration",
            "unknownRegistration",
            "unknownAgentCaps",
            "parseError",
            "requestDenied",
            "processingError",
        ];
        let number = usize::from(self.0);
        let name = if number < 256 { SNMP.get(number) } else { AGENTX.get(number - 256) };
        name.copied().unwrap_or("unknown error")
    }
}

#[cfg(test)]
mod tests;
