//! One moment, as the bridge knows it: the snapshot that SNMP reads, and what the bridge and the supervisor know of the
//! daemon itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bus::bfd::{BfdCounters, BfdRow};
pub use crate::bus::msg::DriftReport;
use crate::bus::msg::Source;
use crate::bus::rows::{Counters, InstanceRow, RouterCounters, ServerRow, ServiceRow, TrackerRow, TrackerRuns};
use crate::bus::timing::{CheckTimes, Histogram, Logged, Pulse, RunnerPulse, VrrpTimes};
use crate::check::table::Stats;
use crate::clock::{Instant, WallTime};
use crate::control::snmp::SnmpReport;
pub use crate::store::ServerTotals;
use crate::store::{Bases, IpvsCounters, Numbered, Process, Snapshot};

/// Everything that is shown, at one moment. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Look {
    pub at: WallTime,
    pub now: Instant,
    pub snapshot: Arc<Snapshot>,
    /// Engines whose process is connected to the bridge now.
    pub vrrp_connected: bool,
    pub checks_connected: bool,
    /// From the supervisor.
    pub daemon: Arc<Daemon>,
    pub snmp: Arc<SnmpReport>,
    pub runner: Option<RunnerPulse>,
    pub heard: LastHeard,
    /// Scrapes that were answered since the bridge started; `None` where nothing serves them.
    pub scrapes: Option<u64>,
    /// `None`: no RRD files are kept.
    pub rrd: Option<Arc<RrdReport>>,
    /// The bridge's own.
    pub bridge: Pulse,
    /// The last edges with their numbers, the oldest first.
    pub events: Arc<Numbered>,
    /// Notifications by trap and what became of them, over AgentX and direct.
    pub traps: Arc<Vec<TrapCount>>,
    /// What was counted before the rows of the snapshot; the methods add it.
    pub bases: Arc<Bases>,
}

/// When the bridge was last told by a process that it is well, by a clock that nobody sets: whether it is stuck is no matter
/// of what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastHeard {
    pub vrrp: Option<Instant>,
    pub checks: Option<Instant>,
    pub runner: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrapCount {
    /// As the MIB names it, `vrrpInstanceStateChange`.
    pub trap: String,
    pub sent: u64,
    pub expired: u64,
    pub dropped: u64,
}

/// What the supervisor tells the bridge of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Daemon {
    pub processes: Vec<ProcessReport>,
    pub reloads: ReloadReport,
    /// The supervisor's own log lines.
    pub logged: Logged,
    /// Interfaces to people and programs, as far as they could be opened.
    pub pid: u32,
    pub started: WallTime,
    /// Path of the configuration file.
    pub config_file: String,
    /// Engines, runner and rrd that the configuration in force asks for, by the names of [`ProcessReport::name`].
    pub wanted: Vec<String>,
    /// Every wanted process has this configuration in force: the daemon is ready.
    pub all_ready: bool,
}

/// One process, as the supervisor and the kernel see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProcessReport {
    /// `supervisor`, `vrrp`, `checks`, `runner`, `bridge` or `rrd`.
    pub name: String,
    pub pid: u32,
    pub started: WallTime,
    pub restarts: u64,
    /// User and system time, nanoseconds, of this process and those before it.
    pub cpu_ns: u64,
    pub resident_bytes: u64,
    pub open_fds: u64,
    pub max_fds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The running configuration is that of the file, as far as the last attempt tells.
    pub successful: bool,
    /// When the running configuration was accepted, and when it was tried last.
    pub accepted_at: WallTime,
    pub tried_at: WallTime,
    /// Attempts after the start.
    pub accepted: u64,
    pub rejected: u64,
    /// Requests of this bridge that were answered.
    pub answered: u64,
    /// From the request until every process had it in force, microseconds.
    pub took_us: u64,
    /// The first 48 bits of the SHA-256 of the effective configuration.
    pub hash: u64,
    /// Of the running configuration.
    pub warnings: u32,
    /// What was wrong at the last attempt, as `keepwatch check` prints it but without lines of the files and without what may be
    /// a secret; at most 16 KiB. Empty after one that was accepted.
    pub errors: String,
    /// What the kernel held otherwise than was known, found at the last attempt that got as far; it is mended.
    #[serde(default)]
    pub drift: DriftReport,
}

/// What the rrd process has done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RrdReport {
    pub directory: PathBuf,
    pub cached: Option<String>,
    /// There is a process behind it.
    pub connected: bool,
    /// Since when the process has had updates that it ought to have written by now; missing while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck_since: Option<WallTime>,
    pub files: u64,
    pub success: u64,
    pub failure: u64,
    pub dropped: u64,
    /// Of the last batch, microseconds.
    pub flush_us: u64,
    /// Of all batches together, microseconds.
    pub busy_us: u64,
    pub last_error: Option<String>,
}

/// Counters that never go down while their object lives, whatever was started again in between; other fields are those of the
/// row.
impl Look {
    pub fn instance_counters(&self, row: &InstanceRow) -> Counters {
        self.bases.instance(&row.config.name, row.counters)
    }

    pub fn router_counters(&self) -> RouterCounters {
        self.bases.router(self.snapshot.vrrp.router)
    }

    pub fn tracker_runs(&self, row: &TrackerRow) -> TrackerRuns {
        self.bases.tracker(row.config.kind(), row.config.name(), row.runs)
    }

    pub fn bfd_counters(&self, row: &BfdRow) -> BfdCounters {
        self.bases.bfd(&row.config.name, row.counters)
    }

    pub fn service_stats(&self, row: &ServiceRow) -> Stats {
        self.bases.service(row.key(), row.stats)
    }

    pub fn server_totals(&self, service: &ServiceRow, row: &ServerRow) -> ServerTotals {
        self.bases.server(|| crate::control::key_of(service, row), ServerTotals::of(row))
    }

    pub fn ipvs_counters(&self) -> IpvsCounters {
        let row = &self.snapshot.checks.ipvs;
        let shown = IpvsCounters { operations_failed: row.operations_failed, poll_errors: row.poll_errors };
        self.bases.ipvs(shown)
    }

    pub fn vrrp_times(&self) -> VrrpTimes {
        self.bases.vrrp_times(&self.snapshot.vrrp.times)
    }

    pub fn check_times(&self) -> CheckTimes {
        self.bases.check_times(&self.snapshot.checks.times)
    }

    /// Heartbeat of that engine; `None` before the first.
    pub fn pulse(&self, source: Source) -> Option<Pulse> {
        let pulse = match source {
            Source::Vrrp => self.snapshot.vrrp.pulse.as_deref(),
            Source::Checks => self.snapshot.checks.pulse.as_deref(),
        }?;
        let Process { lag, logged } = self.bases.process(source, Process::of(pulse));
        Some(Pulse { lag, logged, ..pulse.clone() })
    }

    /// How long `vrrp`, `checks` or `runner` has been silent; `None` before it has told of itself.
    pub fn silence(&self, process: &str) -> Option<Duration> {
        let heard = match process {
            "vrrp" => self.snapshot.vrrp.pulse.as_ref().and(self.heard.vrrp),
            "checks" => self.snapshot.checks.pulse.as_ref().and(self.heard.checks),
            "runner" => self.runner.as_ref().and(self.heard.runner),
            _ => None,
        }?;
        Some(self.now.since(heard))
    }

    /// Lines that the processes of that engine gave to the log, of an engine that is not wanted any more as well.
    pub fn logged(&self, source: Source) -> Logged {
        let pulse = match source {
            Source::Vrrp => self.snapshot.vrrp.pulse.as_deref(),
            Source::Checks => self.snapshot.checks.pulse.as_deref(),
        };
        self.bases.process(source, pulse.map(Process::of).unwrap_or_default()).logged
    }

    /// Loop lag of `vrrp` and `checks`, from the heartbeat in the snapshot; of another one it is what it says.
    pub fn lag(&self, pulse: &Pulse) -> Histogram {
        let is = |of: &Option<Arc<Pulse>>| of.as_deref().is_some_and(|of| std::ptr::eq(of, pulse));
        let source = if is(&self.snapshot.vrrp.pulse) {
            Source::Vrrp
        } else if is(&self.snapshot.checks.pulse) {
            Source::Checks
        } else {
            return pulse.lag;
        };
        self.bases.process(source, Process::of(pulse)).lag
    }
}

/// Where something is listened on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Endpoint {
    Tcp(SocketAddr),
    /// `None`: the daemon's usual place.
    Unix(Option<PathBuf>),
}
