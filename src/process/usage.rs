//! What a process costs, by the word of /proc. What cannot be read is zero: a process may end at any moment.

use std::fs;

/// Of one process, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// User and system time, nanoseconds.
    pub cpu_ns: u64,
    pub resident_bytes: u64,
    pub open_fds: u64,
    /// Its soft limit.
    pub max_fds: u64,
}

/// Reads a few small files, and waits for nobody.
pub fn of(pid: u32) -> Usage {
    Usage {
        cpu_ns: cpu_ns(pid),
        resident_bytes: read(pid, "statm").and_then(|text| resident_pages(&text)).unwrap_or(0).saturating_mul(page()),
        open_fds: open_fds(pid),
        max_fds: read(pid, "limits").and_then(|text| max_fds(&text)).unwrap_or(0),
    }
}

/// Also of a process that has ended, until it is waited for.
pub fn cpu_ns(pid: u32) -> u64 {
    let ticks = read(pid, "stat").and_then(|text| cpu_ticks(&text)).unwrap_or(0);
    let per_second = sysconf(nix::unistd::SysconfVar::CLK_TCK).unwrap_or(100).max(1);
    ticks.saturating_mul(1_000_000_000 / per_second)
}

fn read(pid: u32, file: &str) -> Option<String> {
    fs::read(format!("/proc/{pid}/{file}")).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Linux 6.2 gives the number as the size of the directory, to anybody; reading it is for those who may trace the process.
fn open_fds(pid: u32) -> u64 {
    let path = format!("/proc/{pid}/fd");
    let size = fs::metadata(&path).map(|it| it.len()).unwrap_or(0);
    if size > 0 { size } else { fs::read_dir(&path).map(|entries| entries.count() as u64).unwrap_or(0) }
}

/// Fields 14 and 15 of proc_pid_stat(5). The second one, the name, may contain anything, blanks and parentheses as well.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(14 - 3);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user.saturating_add(system))
}

/// The second field of proc_pid_statm(5).
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn page() -> u64 {
    sysconf(nix::unistd::SysconfVar::PAGE_SIZE).unwrap_or(4096)
}

fn sysconf(name: nix::unistd::SysconfVar) -> Option<u64> {
    nix::unistd::sysconf(name).ok().flatten().and_then(|value| u64::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_moves_no_field() {
        let stat = "4711 (a) b (c)) S 1 2 3 0 -1 4194560 10 20 30 40 250 17 5 6 20 0 1 0 100 200 300";
        assert_eq!(cpu_ticks(stat), Some(267));
        assert_eq!(cpu_ticks("4711 (x) S 1 2"), None);
    }

    #[test]
    fn the_soft_limit_is_told_and_no_limit_is_the_largest() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max file locks            unlimited            unlimited            locks     \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(max_fds(limits), Some(1024));
        assert_eq!(
            max_fds("Max open files            unlimited            unlimited            files"),
            Some(u64::MAX)
        );
        assert_eq!((resident_pages("100 25 3 4 0 6 0"), resident_pages("100")), (Some(25), None));
    }

    #[test]
    fn this_process_costs_something_and_one_that_is_not_there_nothing() {
        let usage = of(std::process::id());
        assert!(usage.resident_bytes > 100_000 && usage.open_fds >= 3 && usage.max_fds >= usage.open_fds, "{usage:?}");
        assert_eq!(of(u32::MAX), Usage::default());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~\n]{0,200}") {
            let _ = (cpu_ticks(&text), resident_pages(&text), max_fds(&text));
        }
    }
}
