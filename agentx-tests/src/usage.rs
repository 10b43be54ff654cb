//! What a daemon costs, from `/proc`.

use std::time::Duration;

use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::process::{command_line, descendants, stat_fields};

/// Memory of one process, in KiB.
#[derive(Debug, Clone)]
pub struct Memory {
    pub pid: Pid,
    pub command: String,
    /// Resident, shared pages counted in full.
    pub rss: u64,
    /// Resident, shared pages divided among those who share them.
    pub pss: u64,
}

/// A process and all its descendants.
pub fn family(root: Pid) -> Vec<Pid> {
    let mut all = vec![root];
    all.extend(descendants(root));
    all
}

/// Memory of a process and all its descendants.
pub fn memory(root: Pid) -> Vec<Memory> {
    let of = |pid: Pid| {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let field = |name: &str| -> Option<u64> {
            rollup.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
        };
        Some(Memory { pid, command: command_line(pid), rss: field("Rss:")?, pss: field("Pss:")? })
    };
    family(root).into_iter().filter_map(of).collect()
}

/// User and system time spent so far by a process and its living descendants, and by those it has waited for.
pub fn cpu(root: Pid) -> Duration {
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64;
    let of = |pid: Pid| -> u64 {
        let fields = stat_fields(pid).unwrap_or_default();
        (11..15).filter_map(|field| fields.get(field)?.parse::<u64>().ok()).sum()
    };
    Duration::from_secs_f64(family(root).into_iter().map(of).sum::<u64>() as f64 / ticks_per_second)
}
