//! Inputs and outputs of the check engine: all there is between it and the world.
//!
//! The driver (`process::checks`) runs probes, speaks netlink and passes scripts to the runner; tests are another driver.

use std::net::IpAddr;

use super::table::{Found, Op, Stats};
use crate::bus::msg::{Command, Edge, Reply};
use crate::bus::rows::{RowKey, State};
use crate::bus::run::Fifo;
use crate::clock::Instant;
use crate::conf::model::{CheckerKey, InstanceName, ScriptId};

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// `misc_dynamic` and FILE_CHECK: good, and the weight shall be this.
    PassedWithWeight(i64),
    Failed(Failure),
}

/// Why a probe failed: a class for metrics, and words for people, without the address (`HTTP status 503`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub cause: Cause,
    pub text: String,
}

/// Classes of failures (`reason` of keepwatch_checker_failures_total).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    Timeout,
    Refused,
    Unreachable,
    Protocol,
    Status,
    Digest,
    Regex,
    Tls,
    Script,
    /// On this side: no socket, no such interface.
    Local,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// How the probe of [`Output::Probe`] ended; `attempt` tells late answers of a probe that was given up.
    Probed {
        checker: CheckerKey,
        attempt: u64,
        outcome: Outcome,
        /// When it really started: it may have waited for its turn.
        began: Instant,
        took_us: u64,
    },
    /// The kernel's answer to one operation of [`Output::Kernel`], in their order; `error` is an errno, or `None`.
    Kernel {
        batch: u64,
        index: usize,
        error: Option<i32>,
    },
    /// Every service in the kernel, at start (before the first `Wake`), at audits and after a failure.
    Table(Vec<Found>),
    /// Counters of one service of the kernel, as polled.
    Statistics(Found),
    /// All services have been counted since `began`; what moved was told before this.
    Counted {
        began: Instant,
        took_us: u64,
        /// Of all services together, ours or not.
        totals: Option<Stats>,
    },
    /// They could not be counted.
    NotCounted,
    /// There is no IPVS in this kernel, or none that answers; said again only after `Table`.
    NoIpvs {
        error: String,
    },
    /// An address is on this host; also sent for each one at start.
    HostAddress(IpAddr),
    HostAddressGone(IpAddr),
    /// A VRRP instance is in this state now; also sent for each one when the vrrp process is (again) there.
    Vrrp {
        instance: InstanceName,
        state: State,
    },
    /// What a track_file says; `None`: it is missing or holds no number.
    File {
        name: String,
        value: Option<i64>,
    },
    /// A BFD session is up, or is not (any more); said for each one when the vrrp process is (again) there.
    Bfd {
        session: String,
        up: bool,
    },
    /// `request` comes back in [`Output::Reply`].
    Command {
        request: u64,
        command: Command,
    },
    /// Every counter of ours back to zero (SIGRTMAX-1). The kernel's stay.
    ClearCounters,
    /// Time passed.
    Wake,
    /// Leave in good order; `keep_table`: `--dont-release-ipvs`.
    Shutdown {
        keep_table: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Start this probe. `url` is the place of the URL for HTTP_GET and SSL_GET, else 0. MISC_CHECKs are probes too.
    Probe {
        checker: CheckerKey,
        attempt: u64,
        url: usize,
    },
    /// The probe's result is not wanted any more.
    Abandon {
        checker: CheckerKey,
    },
    /// To be carried out in this order; each is answered. `batch` counts from 1.
    Kernel {
        batch: u64,
        ops: Vec<Op>,
    },
    /// Ask for [`Input::Table`].
    Audit,
    /// Run a notify script; nobody waits for it.
    /// Scripts of one `lane` run in their order, one after the other.
    Notify {
        script: ScriptId,
        lane: u64,
    },
    /// A line for a FIFO, without its end.
    Line {
        fifo: Fifo,
        text: String,
    },
    Mail(Mail),
    Changed(RowKey),
    Counted(RowKey),
    Edge(Edge),
    Reply {
        request: u64,
        reply: Reply,
    },
    Log(Log),
}

/// An alert; the runner knows addressees and relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub subject: String,
    pub body: String,
}

pub use crate::level::Level;

/// For the log, written once, by the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub level: Level,
    pub text: String,
}

impl Failure {
    pub fn new(cause: Cause, text: impl Into<String>) -> Failure {
        Failure { cause, text: text.into() }
    }
}

impl Cause {
    /// What [`Self::name`] says.
    pub const REASONS: [&'static str; 10] =
        ["timeout", "refused", "unreachable", "protocol", "status", "digest", "regex", "tls", "script", "other"];

    pub fn name(self) -> &'static str {
        match self {
            Cause::Timeout => "timeout",
            Cause::Refused => "refused",
            Cause::Unreachable => "unreachable",
            Cause::Protocol => "protocol",
            Cause::Status => "status",
            Cause::Digest => "digest",
            Cause::Regex => "regex",
            Cause::Tls => "tls",
            Cause::Script => "script",
            // Nobody who watches servers asks for a class of this host's faults.
            Cause::Local | Cause::Other => "other",
        }
    }
}
