//! BFD sessions: what a `bfd_instance` says.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Family, Location};

/// `bfd_instance`. Intervals are microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdSession {
    pub location: Location,
    pub name: String,
    pub neighbour: IpAddr,
    /// Of the neighbour's family; without one the kernel chooses.
    pub source: Option<IpAddr>,
    /// Packets may come as often as this; 1,000 to 4,294,967,000, default 10,000.
    pub min_rx_us: u32,
    /// Packets go as often as this if the neighbour can take it, while the session is up; likewise.
    pub min_tx_us: u32,
    /// The same while it is not; 1,000,000 to 4,294,967,000, default 1,000,000 (RFC 5880 section 6.8.3).
    pub idle_tx_us: u32,
    /// Packets that may be lost in a row; 1 to 255, default 5.
    pub multiplier: u8,
    /// Says nothing until the neighbour does.
    pub passive: bool,
    /// `ttl` or `hoplimit`, from 1.
    pub ttl: Option<u8>,
    /// How many hops a packet may have behind it; `None`: as many as it likes.
    pub max_hops: Option<u8>,
    /// RFC 5883 with its own port, instead of RFC 5881.
    pub multihop: bool,
    /// Which engines are told: without `vrrp` and `checker` both.
    pub for_vrrp: bool,
    pub for_checks: bool,
}

/// The hop limit that Keepalived sends IPv6 packets with unless it is told another.
pub const BFD_HOPLIMIT: u8 = 64;

impl BfdSession {
    /// TTL or hop limit of what is sent: 255 if nothing else is configured. Keepalived sends 64 over IPv6, which a neighbour
    /// that heeds RFC 5881 section 5 drops.
    pub fn sent_ttl(&self) -> u8 {
        self.ttl.unwrap_or(u8::MAX)
    }

    /// The least that is accepted: `max_hops` below what Keepalived would send itself.
    pub fn least_ttl(&self) -> u8 {
        let default = if Family::of(self.neighbour) == Family::V6 { BFD_HOPLIMIT } else { u8::MAX };
        self.max_hops.map_or(0, |hops| self.ttl.unwrap_or(default).saturating_sub(hops))
    }

    /// Whether both would claim the same packets of a neighbour that has not learned a discriminator.
    pub fn same_path(&self, other: &BfdSession) -> bool {
        let sources = (self.source, other.source);
        self.neighbour == other.neighbour && !matches!(sources, (Some(one), Some(another)) if one != another)
    }

    /// Whether the difference is no reason to give up the session.
    pub fn same_session(&self, other: &BfdSession) -> bool {
        let of = |it: &BfdSession| (it.neighbour, it.source, it.multihop);
        of(self) == of(other)
    }
}
