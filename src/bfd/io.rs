//! Inputs and outputs of the BFD engine: all there is between it and the world.

use std::net::IpAddr;

use crate::bus::rows::{Finding, RowKey, TrackerRuns};
use crate::level::Level;
use crate::wire::bfd::LENGTH;

/// A session's own discriminator: never 0, and no other session's.
pub type SessionId = u32;

/// A UDP datagram as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// It came to the port of multihop sessions.
    pub multihop: bool,
    /// TTL or hop limit.
    pub ttl: u8,
    pub payload: &'a [u8],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    Datagram(Datagram<'a>),
    /// The engine's deadline was reached (or not; then nothing happens). Datagrams that wait are told before: a process that
    /// overslept must not take its own silence for the neighbour's.
    Wake,
    /// Counters back to zero (SIGRTMAX-1).
    ClearCounters,
    /// Neighbours are told that this end goes down; nothing is said after that.
    Shutdown,
}

/// Where a session's packets come from and go to. Its source port stays the same as long as it is open (RFC 5881 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    pub source: Option<IpAddr>,
    pub neighbour: IpAddr,
    pub multihop: bool,
    pub ttl: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Before the first packet of a session, and again when its path changes.
    Open(SessionId, Path),
    /// Nothing is sent for it any more.
    Close(SessionId),
    Send(SessionId, [u8; LENGTH]),
    /// What a session has come to: first when it is new, then whenever that changes.
    Found {
        name: String,
        finding: Finding,
        runs: TrackerRuns,
        for_vrrp: bool,
        for_checks: bool,
    },
    /// Neither VRRP nor checks hear of it any more.
    Gone(String),
    Changed(RowKey),
    /// Only counters in this row changed.
    Counted(RowKey),
    Log(Level, String),
}
