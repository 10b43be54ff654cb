//! What `keepwatch status --json`, `/api/v1/...` and the status page say: the same documents, made from one [`Look`].
//!
//! [`Look`]: crate::export::Look
//!
//! Field names are part of the interface: they are added to, never renamed. Times are seconds since 1970, fractions
//! included; durations are seconds; states are `init`, `backup`, `master`, `fault`.

mod bfd;
mod events;
pub mod explain;
#[cfg(test)]
mod fixture;
mod ipvs;
pub mod page;
pub mod plan;
mod reason;
mod status;
#[cfg(test)]
mod tests;
mod trackers;
mod troubles;
mod vrrp;
pub mod words;

use serde::{Deserialize, Serialize};

pub use self::bfd::bfd;
pub use self::events::events;
pub use self::ipvs::{checkers, ipvs};
pub use self::plan::PlanReport;
pub use self::status::status;
pub use self::vrrp::{tracked, vrrp};

use crate::control::snmp::SnmpReport;
use crate::control::{Server, Service};
use crate::export::look::{ProcessReport, ReloadReport, RrdReport};

/// `/api/v1/status`: all there is, in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub at: f64,
    pub host: String,
    pub daemon: DaemonStatus,
    pub vrrp: Vec<InstanceReport>,
    pub sync_groups: Vec<SyncGroupReport>,
    /// What is tracked, whoever tracks it.
    #[serde(default)]
    pub trackers: Vec<TrackerReport>,
    #[serde(default)]
    pub bfd: Vec<BfdSessionReport>,
    /// What stays as long as the daemon runs, whoever is master.
    #[serde(default, rename = "static")]
    pub statics: StaticReport,
    pub ipvs: IpvsReport,
    pub snmp: SnmpReport,
    pub rrd: Option<RrdReport>,
    /// What an operator ought to look at, the worst first.
    pub troubles: Vec<Trouble>,
    /// The last 50, the oldest first.
    pub events: Vec<Event>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DaemonStatus {
    pub pid: u32,
    pub started: f64,
    pub config_file: String,
    pub reload: ReloadReport,
    /// Every process has the configuration in force.
    pub ready: bool,
    pub processes: Vec<ProcessStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessStatus {
    #[serde(flatten)]
    pub report: ProcessReport,
    /// It runs and has answered within its time.
    pub up: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    pub severity: Severity,
    /// `vrrp VI_1`, `real server 10.0.0.1:80 of 192.0.2.10:80/tcp`.
    pub subject: String,
    pub text: String,
    pub since: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

/// `/api/v1/vrrp`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VrrpReport {
    pub at: f64,
    /// Why nothing of this is of now, in words: the process behind it does not answer. Missing while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
    pub instances: Vec<InstanceReport>,
    pub sync_groups: Vec<SyncGroupReport>,
    /// What is tracked, whoever tracks it.
    #[serde(default)]
    pub trackers: Vec<TrackerReport>,
    /// What stays as long as the daemon runs, whoever is master.
    #[serde(default, rename = "static")]
    pub statics: StaticReport,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceReport {
    pub name: String,
    pub vrid: u8,
    /// `ipv4` or `ipv6`.
    pub family: String,
    pub version: u8,
    pub interface: String,
    pub state: String,
    pub wanted: String,
    pub since: f64,
    /// In words: `nothing was heard of the master for 3.6 s`.
    pub reason: String,
    pub priority: PriorityReport,
    pub preempt: bool,
    pub preempt_delay: f64,
    pub advert_interval: f64,
    pub master_down_interval: f64,
    pub primary_address: Option<String>,
    /// The master that was heard last.
    pub master: Option<MasterReport>,
    /// Another router that claims the same addresses now: split brain, seen from here.
    pub other_master: Option<MasterReport>,
    /// When an advert was accepted last.
    pub last_advert: Option<f64>,
    pub addresses: Vec<AddressReport>,
    #[serde(default)]
    pub routes: Vec<RouteReport>,
    #[serde(default)]
    pub rules: Vec<RuleReport>,
    pub tracked: Vec<TrackedReport>,
    pub faults: Vec<String>,
    pub sync_group: Option<String>,
    pub unicast: bool,
    /// An operator lets others go first, since then.
    pub stood_down: Option<f64>,
    pub counters: CountersReport,
}

/// How the priority comes about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PriorityReport {
    pub effective: u8,
    pub base: u8,
    pub configured: u8,
    /// A SET or an operator changed the base.
    pub overridden: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MasterReport {
    pub address: String,
    pub priority: u8,
    pub at: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddressReport {
    /// `10.0.0.1/24`.
    pub address: String,
    pub interface: String,
    /// It belongs on the interface now.
    pub wanted: bool,
    pub present: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteReport {
    /// `10.9.0.0/24 via 10.0.0.9 dev eth0`, in the manner of iproute2.
    pub route: String,
    /// It belongs into the kernel now.
    pub wanted: bool,
    pub present: bool,
    /// `no_track`: who removes it has removed it.
    pub no_track: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// `500: from 10.1.0.0/16 lookup 100`, in the manner of iproute2.
    pub rule: String,
    pub wanted: bool,
    pub present: bool,
    pub no_track: bool,
}

/// `static_ipaddress`, `static_routes`, `static_rules`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StaticReport {
    pub addresses: Vec<AddressReport>,
    pub routes: Vec<RouteReport>,
    pub rules: Vec<RuleReport>,
}

/// A script, a file, a process or a BFD session that can be tracked, with what was found of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackerReport {
    /// `script`, `file`, `process`, `bfd`.
    pub kind: String,
    pub name: String,
    /// `None`: nothing is known yet; always that of a file, which is neither good nor bad by itself.
    pub up: Option<bool>,
    /// The number in a file, or how many processes run.
    pub value: Option<i64>,
    /// Its own weight; who tracks it may have said another.
    pub weight: i32,
    pub reverse: bool,
    /// Instances and sync groups, by name.
    pub tracked_by: Vec<String>,
    /// Of scripts.
    pub runs: Option<RunsReport>,
}

/// How a script's runs ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunsReport {
    pub success: u64,
    pub failure: u64,
    pub timeout: u64,
    /// The run before was not over.
    pub skipped: u64,
    pub running: bool,
    /// Of the last one that is over.
    pub took: f64,
}

/// `/api/v1/bfd`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BfdReport {
    pub at: f64,
    /// Why nothing of this is of now, in words: the process behind it does not answer. Missing while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
    pub sessions: Vec<BfdSessionReport>,
}

/// A `bfd_instance` (RFC 5880).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BfdSessionReport {
    pub name: String,
    pub neighbour: String,
    /// Source of its packets, where the configuration names one.
    pub source: Option<String>,
    /// `admin-down`, `down`, `init`, `up`.
    pub state: String,
    pub since: f64,
    /// Why it left `up` last, in words; empty if it never did.
    pub diagnostic: String,
    /// What the neighbour says of its own state; `down` before it was heard.
    pub remote_state: String,
    pub remote_diagnostic: String,
    pub discriminator: u32,
    /// 0: not known.
    pub remote_discriminator: u32,
    pub multihop: bool,
    pub passive: bool,
    /// Between packets to the neighbour, jitter aside.
    pub interval: f64,
    /// Silence after which the neighbour is taken for lost; `None` before it was heard.
    pub detection_time: Option<f64>,
    /// Instances and sync groups that track it, by name.
    pub tracked_by: Vec<String>,
    /// BFD_CHECK of real servers may use it.
    pub for_checks: bool,
    pub counters: BfdCountersReport,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdCountersReport {
    pub sent: u64,
    pub received: u64,
    /// Packets that were refused: malformed, over too many hops, of another session.
    pub dropped: u64,
    /// Detection times that went by in silence.
    pub timeouts: u64,
    pub went_up: u64,
    pub went_down: u64,
}

/// Something that is tracked, and what it does to the priority.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackedReport {
    /// `interface`, `script`, `file`, `process`, `bfd`.
    pub kind: String,
    pub name: String,
    /// `None`: nothing is known yet.
    pub up: Option<bool>,
    pub weight: i32,
    /// The weight has the other sign; weight 0 is a fault while up.
    pub reverse: bool,
    /// What it adds to or takes from the priority now.
    pub adds: i32,
    /// It holds the instance in fault now: its weight is 0 and it is down, or the number in a file is too low.
    pub faults: bool,
    /// The line is the sync group's.
    pub from_group: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersReport {
    pub adverts_sent: u64,
    pub adverts_received: u64,
    pub adverts_dropped: u64,
    pub became_master: u64,
    pub released_master: u64,
    pub priority_zero_sent: u64,
    pub priority_zero_received: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncGroupReport {
    pub name: String,
    pub state: String,
    pub since: f64,
    pub members: Vec<String>,
}

/// `/api/v1/ipvs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IpvsReport {
    pub at: f64,
    /// Why nothing of this is of now, in words: the process behind it does not answer. Missing while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
    /// Why there is no table; empty otherwise.
    pub unavailable: String,
    /// When the counters were read from the kernel, or before.
    pub counted_at: f64,
    /// How often they are.
    #[serde(default)]
    pub counted_every: f64,
    pub services: Vec<ServiceReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceReport {
    #[serde(flatten)]
    pub service: Service,
    pub quorum_since: f64,
    pub servers: Vec<Server>,
}

/// `/api/v1/checkers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckersReport {
    pub at: f64,
    pub checkers: Vec<CheckerReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckerReport {
    pub service: String,
    pub server: String,
    /// `HTTP_GET`.
    pub kind: String,
    pub target: String,
    /// What the check that failed, or else the next one, asks: `/health of www.example.com`.
    pub asks: String,
    /// What the answer must be: `status 200 to 299`.
    pub wants: String,
    pub up: bool,
    pub has_run: bool,
    pub since: f64,
    /// Of the last check that failed; empty after one that passed.
    pub error: String,
    pub passed: u64,
    pub failed: u64,
    /// Of the last check.
    pub took: f64,
}

/// `/api/v1/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventsReport {
    pub events: Vec<Event>,
    /// Ask for events from this number on.
    pub next: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub number: u64,
    pub at: f64,
    /// `transition`, `sync-group`, `tracker`, `bad-packet`, `real-server`, `quorum`.
    pub kind: String,
    pub severity: Severity,
    pub subject: String,
    /// In one line, without the subject.
    pub text: String,
}

/// `keepwatch explain`: why something is in the state that it is in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    pub subject: String,
    pub state: String,
    pub since: f64,
    /// The answer in a sentence.
    pub because: String,
    /// What it follows from, one line each.
    pub evidence: Vec<String>,
    /// What would change it, as far as that is known.
    pub hints: Vec<String>,
    pub events: Vec<Event>,
}
