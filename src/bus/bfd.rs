//! The row of a BFD session.

use serde::{Deserialize, Serialize};

use crate::clock::WallTime;
use crate::conf::model::BfdSession;

/// A `bfd_instance`, whoever tracks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdRow {
    /// Place in the file among sessions, from 1.
    pub index: u32,
    pub config: BfdSession,
    pub state: BfdState,
    /// When `state` was entered.
    pub since: WallTime,
    /// Code of RFC 5880 section 4.1: why it left Up last.
    pub diagnostic: u8,
    pub discriminator: u32,
    pub remote_state: BfdState,
    pub remote_diagnostic: u8,
    /// 0: not known.
    pub remote_discriminator: u32,
    /// How often packets are sent, jitter aside, microseconds.
    pub interval_us: u64,
    /// Silence after which the neighbour is taken for lost, microseconds; 0: it was not heard.
    pub detection_us: u64,
    pub counters: BfdCounters,
}

/// As RFC 5880 numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BfdState {
    AdminDown = 0,
    Down = 1,
    Init = 2,
    Up = 3,
}

impl BfdState {
    pub fn name(self) -> &'static str {
        match self {
            BfdState::AdminDown => "AdminDown",
            BfdState::Down => "Down",
            BfdState::Init => "Init",
            BfdState::Up => "Up",
        }
    }
}

/// What has been counted since the session exists; a reload that keeps the session keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BfdCounters {
    pub sent: u64,
    pub received: u64,
    /// Packets of the neighbour that were thrown away: malformed, too many hops, of another session.
    pub dropped: u64,
    /// Detection times that went by in silence, of a session that was Init or Up.
    pub expired: u64,
    pub went_up: u64,
    pub went_down: u64,
}
