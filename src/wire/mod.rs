//! Wire codecs: total functions over bytes, without meaning, I/O or time.
//!
//! No input panics, and nothing is allocated by a length that the bytes claim.

pub mod agentx;
pub mod ah;
pub mod arp;
pub mod bfd;
pub mod checksum;
pub mod dns;
pub mod icmp;
pub mod ip;
pub mod ndisc;
pub mod oid;
pub mod snmp;
pub mod value;
pub mod vrrp;
