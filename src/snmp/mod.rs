//! SNMP engines of our own, for hosts without snmpd: a responder over the MIB, and who notifies and is notified.
//!
//! Start at [`responder`]: datagrams in, answers and commands out. [`usm`] and [`keys`] are the user-based security model, on
//! the side that is authoritative; [`client`] is the other side, for informs, which the [`sender`] uses. [`engine`] is what we keep on disk. [`own`] is what every agent shows of itself.
//! Sockets, clocks and the disk are the bridge's business.

pub mod client;
pub mod engine;
pub mod keys;
pub mod own;
pub mod responder;
pub mod sender;
pub mod stats;
pub mod usm;
