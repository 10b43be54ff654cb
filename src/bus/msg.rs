//! Messages between processes. Keys are names from the configuration; rows are the latest value, edges keep their order.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::rows::{AuthError, Finding, MasterReason, ProtocolError, Reason, Row, RowKey, State};
use crate::clock::WallTime;
use crate::conf::model::{Family, InstanceName, Priority, ServerKey, ServiceKey, TrackerKind, Version};

/// The engine process that owns a thing, tells of it and takes commands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Source {
    Vrrp,
    Checks,
}

impl Source {
    pub const ALL: [Source; 2] = [Source::Vrrp, Source::Checks];

    /// As logs call the process.
    pub fn name(self) -> &'static str {
        match self {
            Source::Vrrp => "vrrp",
            Source::Checks => "checks",
        }
    }
}

/// Counts batches of one engine process, from 1; a new process starts again with a full batch.
pub type Generation = u64;

/// Counts configurations that the supervisor handed out, from 1.
pub type ConfigGeneration = u64;

/// Engine to bridge. What stands between `Begin` and `Commit` is one consistent state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Feed {
    /// `full`: forget everything known from this engine first.
    Begin {
        generation: Generation,
        config: ConfigGeneration,
        full: bool,
    },
    Row(RowKey, Row),
    Gone(RowKey),
    Edge(Edge),
    /// `edges_dropped`: edges that did not fit the sender's ring since it started.
    Commit {
        edges_dropped: u64,
    },
}

/// Something that happened once; traps and the event log are made of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edge {
    /// An instance entered a state. `Shutdown` and `Deleted` appear here only.
    Transition {
        instance: InstanceName,
        /// Row number at that time.
        index: u32,
        from: State,
        to: State,
        /// The configured `state`.
        initial: State,
        reason: Reason,
        /// To master only: what the RFC modules tell of it.
        new_master: Option<NewMaster>,
        at: WallTime,
    },
    /// A sync group entered a state.
    SyncGroup {
        group: String,
        /// Row number at that time.
        index: u32,
        to: State,
        at: WallTime,
    },
    /// Looking at a tracker came to something else than before. Numbers in a file that change all the time are told now and
    /// then only.
    Tracker { kind: TrackerKind, name: String, finding: Finding, at: WallTime },
    /// A packet for an instance broke the protocol. Rate limited: see `unreported`.
    BadPacket {
        instance: InstanceName,
        router: RouterId,
        source: IpAddr,
        fault: PacketFault,
        /// Packets with the same fault since the last such edge that have none of their own.
        unreported: u64,
        at: WallTime,
    },
    /// A real server joined or left the pool.
    Server {
        server: ServerKey,
        /// Row numbers at that time: of the virtual server and of the real server.
        index: (u32, u32),
        up: bool,
        /// Alive and configured servers of the virtual server, after this.
        servers_up: u32,
        servers_total: u32,
        /// In words: what failed, or that the daemon stops.
        reason: String,
        at: WallTime,
    },
    /// A virtual server gained or lost its quorum, or stops; also told once at start.
    Quorum {
        service: ServiceKey,
        index: u32,
        status: QuorumStatus,
        quorum: u32,
        servers_up: u32,
        servers_total: u32,
        at: WallTime,
    },
}

/// A virtual router as the RFC modules number it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouterId {
    /// Of the base interface; `None`: the RFC modules do not know this instance.
    pub interface_index: Option<u32>,
    pub vrid: u8,
    pub family: Family,
    pub version: Version,
    /// Has an advertised address, without which the RFC modules do not know it.
    pub advertises: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMaster {
    pub router: RouterId,
    /// Own primary address.
    pub primary: IpAddr,
    pub reason: MasterReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PacketFault {
    Auth(AuthError),
    Protocol(ProtocolError),
}

/// As the MIB numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum QuorumStatus {
    Met = 1,
    NotMet = 2,
    /// Traps only: the daemon is going down.
    Shutdown = 3,
}

/// Bridge to the owner of a thing. Sent only after types and ranges were checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    SetPriority {
        instance: InstanceName,
        priority: Priority,
    },
    SetPreempt {
        instance: InstanceName,
        preempt: bool,
    },
    /// `down`: let other routers go first. A master resigns; until `down` is taken back the instance takes over only when
    /// nobody else does. Refused for an owner of the addresses.
    StandDown {
        instance: InstanceName,
        down: bool,
    },
    /// Tells the neighbours once more where the addresses are; of a router that has none, nothing.
    Announce {
        instance: InstanceName,
    },
    /// 0 to 2,147,483,647. Stays in force until [`Command::ResetWeight`] or a reload that touches the server.
    SetWeight {
        server: ServerKey,
        weight: u32,
    },
    /// Back to the configured weight.
    ResetWeight {
        server: ServerKey,
    },
}

/// The owner's answer to a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Carried out; `undo` is the command that takes it back. Readers see it from generation `visible_at` on.
    Done {
        undo: Command,
        visible_at: Generation,
    },
    Refused(Refusal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The thing is not in the configuration (any more).
    NoSuchInstance,
    NoSuchServer,
    /// The instance owns its addresses: it cannot let others go first.
    Owner,
    /// The kernel did not take it: its errno.
    Kernel(i32),
}

/// What somebody else has changed in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DriftReport {
    /// In words; at most [`DriftReport::LINES_MAX`].
    pub lines: Vec<String>,
    /// Differences that are not told.
    pub more: u32,
}

impl DriftReport {
    pub const LINES_MAX: usize = 10;

    /// The first of these lines; the others are counted.
    pub fn of(mut lines: Vec<String>) -> DriftReport {
        let more = lines.len().saturating_sub(Self::LINES_MAX);
        lines.truncate(Self::LINES_MAX);
        DriftReport { lines, more: u32::try_from(more).unwrap_or(u32::MAX) }
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.more == 0
    }

    pub fn add(&mut self, other: DriftReport) {
        let more = self.more.saturating_add(other.more);
        let mut lines = std::mem::take(&mut self.lines);
        lines.extend(other.lines);
        *self = DriftReport::of(lines);
        self.more = self.more.saturating_add(more);
    }
}

/// What an engine process writes to its bridge socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToBridge {
    Feed(Feed),
    Reply {
        request: u64,
        reply: Reply,
    },
    /// The answer to the [`ToEngine::Survey`] of this number.
    Surveyed {
        request: u64,
        drift: DriftReport,
    },
}

/// What the bridge writes to an engine process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToEngine {
    /// `request` comes back in the reply.
    Command { request: u64, command: Command },
    /// Edges up to and with this batch were acted on; they need not be kept any more.
    Seen(Generation),
    /// The bridge lost track: send everything again.
    Resync,
    /// To checks: what does the kernel hold otherwise than is known? Nothing is done about it.
    Survey { request: u64 },
}

impl Command {
    /// Whether one undoes or overrides what the other does.
    pub fn same_thing(&self, other: &Command) -> bool {
        use Command::{Announce, ResetWeight, SetPreempt, SetPriority, SetWeight, StandDown};
        match (self, other) {
            (SetPriority { instance: a, .. }, SetPriority { instance: b, .. })
            | (SetPreempt { instance: a, .. }, SetPreempt { instance: b, .. })
            | (StandDown { instance: a, .. }, StandDown { instance: b, .. })
            | (Announce { instance: a }, Announce { instance: b }) => a == b,
            (
                SetWeight { server: a, .. } | ResetWeight { server: a },
                SetWeight { server: b, .. } | ResetWeight { server: b },
            ) => a == b,
            (
                SetPriority { .. }
                | SetPreempt { .. }
                | StandDown { .. }
                | Announce { .. }
                | SetWeight { .. }
                | ResetWeight { .. },
                _,
            ) => false,
        }
    }

    /// Who carries it out.
    pub fn owner(&self) -> Source {
        match self {
            Command::SetPriority { .. }
            | Command::SetPreempt { .. }
            | Command::StandDown { .. }
            | Command::Announce { .. } => Source::Vrrp,
            Command::SetWeight { .. } | Command::ResetWeight { .. } => Source::Checks,
        }
    }
}

/// What the vrrp process tells the checks process: connection synchronisation follows an instance, BFD_CHECK a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToChecks {
    State {
        instance: InstanceName,
        state: super::rows::State,
    },
    /// A BFD session.
    Bfd {
        session: String,
        up: bool,
    },
}
