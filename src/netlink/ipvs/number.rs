//! Numbers of the kernel's IPVS family (`linux/ip_vs.h`), in one place.

pub const FAMILY: &str = "IPVS";
pub const VERSION: u8 = 1;

/// Commands. Replies to a GET carry the number of the matching NEW or SET.
pub mod command {
    pub const NEW_SERVICE: u8 = 1;
    pub const SET_SERVICE: u8 = 2;
    pub const DEL_SERVICE: u8 = 3;
    pub const GET_SERVICE: u8 = 4;
    pub const NEW_DEST: u8 = 5;
    pub const SET_DEST: u8 = 6;
    pub const DEL_DEST: u8 = 7;
    pub const GET_DEST: u8 = 8;
    pub const NEW_DAEMON: u8 = 9;
    pub const DEL_DAEMON: u8 = 10;
    pub const GET_DAEMON: u8 = 11;
    pub const SET_CONFIG: u8 = 12;
    pub const GET_CONFIG: u8 = 13;
    /// Only ever a reply, and its attributes reuse the numbers of [`super::top`]: see [`super::info`].
    pub const SET_INFO: u8 = 14;
    pub const GET_INFO: u8 = 15;
    pub const FLUSH: u8 = 17;
}

/// Top-level attributes.
pub mod top {
    pub const SERVICE: u16 = 1;
    pub const DEST: u16 = 2;
    pub const DAEMON: u16 = 3;
    pub const TIMEOUT_TCP: u16 = 4;
    pub const TIMEOUT_TCP_FIN: u16 = 5;
    pub const TIMEOUT_UDP: u16 = 6;
}

/// Top-level attributes of SET_INFO.
pub mod info {
    pub const VERSION: u16 = 1;
    pub const CONNECTION_TABLE: u16 = 2;
}

/// Ports and addresses are in network order, all else in the host's.
pub mod service {
    pub const FAMILY: u16 = 1;
    pub const PROTOCOL: u16 = 2;
    pub const ADDRESS: u16 = 3;
    pub const PORT: u16 = 4;
    pub const MARK: u16 = 5;
    pub const SCHEDULER: u16 = 6;
    /// Flags, then the mask of those that are meant.
    pub const FLAGS: u16 = 7;
    pub const TIMEOUT: u16 = 8;
    /// IPv4: the mask's four bytes. IPv6: a prefix length in the host's order.
    pub const NETMASK: u16 = 9;
    pub const STATS: u16 = 10;
    pub const ENGINE: u16 = 11;
    pub const STATS64: u16 = 12;
}

/// Ports and addresses are in network order, all else in the host's.
pub mod dest {
    pub const ADDRESS: u16 = 1;
    pub const PORT: u16 = 2;
    pub const FORWARDING: u16 = 3;
    pub const WEIGHT: u16 = 4;
    pub const UPPER_THRESHOLD: u16 = 5;
    pub const LOWER_THRESHOLD: u16 = 6;
    pub const ACTIVE: u16 = 7;
    pub const INACTIVE: u16 = 8;
    pub const PERSISTENT: u16 = 9;
    pub const STATS: u16 = 10;
    /// Since Linux 3.18; before, a destination has its service's family.
    pub const FAMILY: u16 = 11;
    pub const STATS64: u16 = 12;
    pub const TUNNEL_TYPE: u16 = 13;
    pub const TUNNEL_PORT: u16 = 14;
    pub const TUNNEL_FLAGS: u16 = 15;
}

/// In `STATS` 32 bits wide but for the bytes, in `STATS64` (Linux 4.1) 64 bits.
pub mod stats {
    pub const CONNECTIONS: u16 = 1;
    pub const PACKETS_IN: u16 = 2;
    pub const PACKETS_OUT: u16 = 3;
    pub const BYTES_IN: u16 = 4;
    pub const BYTES_OUT: u16 = 5;
    pub const CONNECTION_RATE: u16 = 6;
    pub const PACKET_RATE_IN: u16 = 7;
    pub const PACKET_RATE_OUT: u16 = 8;
    pub const BYTE_RATE_IN: u16 = 9;
    pub const BYTE_RATE_OUT: u16 = 10;
}

pub mod daemon {
    pub const STATE: u16 = 1;
    pub const INTERFACE: u16 = 2;
    pub const ID: u16 = 3;
    /// This and all that follows: since Linux 4.3.
    pub const MAX_LENGTH: u16 = 4;
    pub const GROUP_V4: u16 = 5;
    pub const GROUP_V6: u16 = 6;
    /// The one port in the host's order.
    pub const PORT: u16 = 7;
    pub const TTL: u16 = 8;

    pub const MASTER: u32 = 1;
    pub const BACKUP: u32 = 2;
}

/// Values of [`dest::FORWARDING`]; the kernel keeps more in the bits above [`forwarding::MASK`].
pub mod forwarding {
    pub const MASK: u32 = 7;
    pub const NAT: u32 = 0;
    pub const LOCAL: u32 = 1;
    pub const TUNNEL: u32 = 2;
    pub const DIRECT: u32 = 3;
}

pub mod tunnel {
    pub const IPIP: u8 = 0;
    pub const GUE: u8 = 1;
    pub const GRE: u8 = 2;

    pub const CHECKSUM: u16 = 1;
    pub const REMOTE_CHECKSUM: u16 = 2;
}
