//! How an engine process is scheduled, and what it may still do.

use tracing::warn;

use crate::conf::model::RealTime;
use crate::sys::privileges::{self, Capability};

/// Scheduling as the configuration asks, whose directives begin with `prefix` (`vrrp`, `checker`); what the host refuses is
/// said and lived without. Then every right goes that is not in `kept`.
pub fn settle(prefix: &str, realtime: &RealTime, kept: &[Capability]) {
    let mut tried = Vec::new();
    if realtime.nice != 0 {
        tried.push(("priority", privileges::nice(realtime.nice)));
    }
    if !realtime.cpus.is_empty() {
        tried.push(("cpu_affinity", privileges::affinity(&realtime.cpus)));
    }
    if let Some(priority) = realtime.rt_priority {
        tried.push(("rt_priority", privileges::real_time(priority, realtime.rlimit_rttime_us)));
    }
    if realtime.lock_memory {
        tried.push(("no_swap", privileges::lock_memory()));
    }
    for (directive, result) in tried {
        if let Err(error) = result {
            warn!("{prefix}_{directive} has no effect: {error}");
        }
    }
    if let Err(error) = privileges::keep(kept) {
        warn!("cannot drop capabilities that are not needed: {error}");
    }
}
