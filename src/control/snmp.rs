//! What `keepwatch snmp` shows: the session with the master agent, the receivers of notifications, the responder.

use serde::{Deserialize, Serialize};

use crate::bus::timing::Histogram;

/// All of it. Times are seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnmpReport {
    pub agentx: AgentX,
    /// `enable_traps`: without it there are no notifications.
    pub traps_enabled: bool,
    pub receivers: Vec<ReceiverReport>,
    pub responder: Option<ResponderReport>,
    /// `None` as long as nothing needs one.
    pub engine: Option<EngineReport>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentX {
    pub state: SessionState,
    /// Up since, or not up since.
    pub since: Option<u64>,
    /// Of the master agent.
    pub address: String,
    /// The master's number for the session.
    pub session: Option<u32>,
    pub registrations_wanted: usize,
    pub registrations_granted: usize,
    pub refused: Vec<RefusedSubtree>,
    pub queue: QueueReport,
    /// Sent, and not acknowledged by the master.
    pub unacknowledged: usize,
    pub last_in: Option<LastPdu>,
    pub last_out: Option<LastPdu>,
    pub last_error: Option<String>,
    pub sessions_opened: u64,
    pub sessions_failed: u64,
    pub requests: u64,
    pub notifications_sent: u64,
    pub notifications_refused: u64,
    /// Sent, and the session ended before the master acknowledged them: it may have them or not.
    pub notifications_unanswered: u64,
    /// Pings without an answer in time.
    pub ping_failures: u64,
    /// By the name of the PDU, `get`, `getnext`, `getbulk`, `testset`, `commitset`, `undoset`, `cleanupset`.
    pub requests_by_type: Vec<(String, u64)>,
    /// From a request read to its response written.
    pub request_times: Histogram,
    /// SETs: object, `committed`, `refused` or `undone`, how many. Over the responder, too.
    pub sets: Vec<(String, String, u64)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// Nothing is to be registered: no `enable_snmp_...`, and no `-x`.
    #[default]
    Off,
    Waiting,
    Connecting,
    Opening,
    Registering,
    Up,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedSubtree {
    pub oid: String,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueReport {
    pub length: usize,
    pub limit: usize,
    pub dropped: u64,
    pub expired: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPdu {
    pub name: String,
    pub at: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverReport {
    pub address: String,
    /// `v1`, `v2c` or `v3`.
    pub version: String,
    pub inform: bool,
    pub user: Option<String>,
    pub queue: QueueReport,
    pub outstanding: usize,
    /// It does not acknowledge informs since then.
    pub away_since: Option<u64>,
    pub sent: u64,
    pub acknowledged: u64,
    pub retried: u64,
    pub last_error: Option<String>,
    pub last_error_at: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponderReport {
    pub sockets: Vec<ListenReport>,
    /// By the names of their objects: snmpInPkts and so on.
    pub counters: Vec<(String, u32)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenReport {
    pub address: String,
    pub open: bool,
    pub error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineReport {
    /// snmpEngineID in hexadecimal.
    pub id: String,
    pub boots: u32,
    /// Seconds.
    pub time: u32,
}
