//! What engines ask of the runner, and what it answers. It takes numbers of scripts, never command lines: a process that
//! a hostile real server has taken over cannot make it run anything that is not in the configuration.

use serde::{Deserialize, Serialize};

use super::msg::ConfigGeneration;
use super::rows::{Finding, TrackerRuns};
use crate::conf::model::{ScriptId, TrackerKind};

/// Engine to runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRunner {
    /// A MISC_CHECK: answered by [`FromRunner::Ran`]. The process group is killed when `timeout_us` is over.
    Check {
        request: u64,
        config: ConfigGeneration,
        script: ScriptId,
        timeout_us: u64,
    },
    /// The answer is not wanted any more: kill it.
    Cancel {
        request: u64,
    },
    /// A notify script; not answered. Those of one `lane` run in their order, one after the other.
    Notify {
        config: ConfigGeneration,
        script: ScriptId,
        lane: u64,
        arguments: Vec<String>,
    },
    Mail {
        subject: String,
        body: String,
    },
    /// From vrrp to a runner that has just come: what a script had come to when its predecessor died. `rise` and `fall` count
    /// from there.
    Known {
        config: ConfigGeneration,
        name: String,
        good: bool,
    },
    /// A line for a FIFO, without its end.
    Line {
        config: ConfigGeneration,
        fifo: Fifo,
        text: String,
    },
}

/// The FIFOs of `global_defs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fifo {
    /// `notify_fifo`: of vrrp and of checks.
    Both,
    /// `vrrp_notify_fifo`.
    Vrrp,
    /// `lvs_notify_fifo`.
    Checks,
}

/// Runner to engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromRunner {
    Ran {
        request: u64,
        ended: Ended,
        took_us: u64,
    },
    /// To vrrp alone: what looking at a tracker of this configuration has come to. Said for each one when vrrp connects, and
    /// whenever `finding` changes; of runs alone at most once a second.
    Found {
        config: ConfigGeneration,
        kind: TrackerKind,
        name: String,
        finding: Finding,
        runs: TrackerRuns,
    },
}

/// How a script ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// With this exit status.
    Exited(i32),
    /// By this signal, which was not ours.
    Signalled(i32),
    /// It was killed, with all of its process group.
    TimedOut,
    /// Why it could not be started.
    NotStarted(String),
}
