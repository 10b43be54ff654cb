//! The kernel's IPVS table as values: what is wanted, what is there, and the operations between the two.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::conf::model::{Family, Forwarding, Protocol};

/// What the kernel knows a service by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ServiceId {
    Address { protocol: Protocol, address: IpAddr, port: u16 },
    Mark { family: Family, mark: u32 },
}

impl ServiceId {
    pub fn family(self) -> Family {
        match self {
            ServiceId::Address { address, .. } => Family::of(address),
            ServiceId::Mark { family, .. } => family,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub id: ServiceId,
    pub scheduler: String,
    /// `IP_VS_SVC_F_*` without the kernel's own HASHED (2): see [`flags`].
    pub flags: u32,
    /// Persistence in seconds; 0 without.
    pub timeout_s: u32,
    /// IPv4: mask in host order, all ones by default. IPv6: prefix length, 128 by default.
    pub netmask: u32,
    /// Persistence engine.
    pub engine: Option<String>,
}

/// Flags of a service (`IP_VS_SVC_F_*`).
pub mod flags {
    pub const PERSISTENT: u32 = 1;
    pub const HASHED: u32 = 2;
    pub const ONE_PACKET: u32 = 4;
    pub const SCHEDULER_1: u32 = 8;
    pub const SCHEDULER_2: u32 = 0x10;
    pub const SCHEDULER_3: u32 = 0x20;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId {
    pub address: IpAddr,
    pub port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    pub id: DestinationId,
    pub forwarding: Forwarding,
    pub weight: u32,
    pub upper_threshold: u32,
    pub lower_threshold: u32,
    /// Found only: the address is this host's own, so the kernel delivers instead of forwarding by any method.
    pub local: bool,
}

/// A table, wanted or found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    pub services: BTreeMap<ServiceId, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub service: Service,
    pub destinations: BTreeMap<DestinationId, Destination>,
}

/// One change of the kernel's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    AddService(Service),
    EditService(Service),
    /// With its destinations.
    DeleteService(ServiceId),
    AddDestination(ServiceId, Destination),
    EditDestination(ServiceId, Destination),
    DeleteDestination(ServiceId, DestinationId),
    /// Every service, whoever made it.
    Flush,
    /// Seconds; `None` and 0 leave the kernel's value.
    Timeouts {
        tcp: Option<u32>,
        tcp_fin: Option<u32>,
        udp: Option<u32>,
    },
    StartDaemon(Daemon),
    StopDaemon {
        role: SyncRole,
        id: u8,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SyncRole {
    Master,
    Backup,
}

/// A connection synchronisation thread of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    pub role: SyncRole,
    pub interface: String,
    pub id: u8,
    pub max_length: Option<u16>,
    pub port: Option<u16>,
    pub ttl: Option<u8>,
    pub group: Option<IpAddr>,
}

/// Counters of a service or a destination. Rates are the kernel's estimates, per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    pub connections: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub connection_rate: u64,
    pub packet_rate_in: u64,
    pub packet_rate_out: u64,
    pub byte_rate_in: u64,
    pub byte_rate_out: u64,
}

/// What a destination carries now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Load {
    pub stats: Stats,
    pub active: u32,
    pub inactive: u32,
    pub persistent: u32,
}

/// A dump of one service, or of all of them: the input of statistics and of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub service: Service,
    pub stats: Stats,
    pub destinations: Vec<(Destination, Load)>,
}

impl std::ops::AddAssign for Stats {
    /// A group's services are shown as one.
    fn add_assign(&mut self, other: Stats) {
        self.connections = self.connections.saturating_add(other.connections);
        self.packets_in = self.packets_in.saturating_add(other.packets_in);
        self.packets_out = self.packets_out.saturating_add(other.packets_out);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.connection_rate = self.connection_rate.saturating_add(other.connection_rate);
        self.packet_rate_in = self.packet_rate_in.saturating_add(other.packet_rate_in);
        self.packet_rate_out = self.packet_rate_out.saturating_add(other.packet_rate_out);
        self.byte_rate_in = self.byte_rate_in.saturating_add(other.byte_rate_in);
        self.byte_rate_out = self.byte_rate_out.saturating_add(other.byte_rate_out);
    }
}

impl std::ops::AddAssign for Load {
    fn add_assign(&mut self, other: Load) {
        self.stats += other.stats;
        self.active = self.active.saturating_add(other.active);
        self.inactive = self.inactive.saturating_add(other.inactive);
        self.persistent = self.persistent.saturating_add(other.persistent);
    }
}

impl std::fmt::Display for ServiceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ServiceId::Address { protocol, address: IpAddr::V4(address), port } => {
                write!(f, "{address}:{port}/{}", protocol.name())
            }
            ServiceId::Address { protocol, address: IpAddr::V6(address), port } => {
                write!(f, "[{address}]:{port}/{}", protocol.name())
            }
            ServiceId::Mark { family: Family::V4, mark } => write!(f, "fwmark:{mark}"),
            ServiceId::Mark { family: Family::V6, mark } => write!(f, "fwmark:{mark}/inet6"),
        }
    }
}

impl std::fmt::Display for DestinationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::net::SocketAddr::new(self.address, self.port).fmt(f)
    }
}
