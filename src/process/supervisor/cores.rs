//! Cores of processes that crash.

use std::fs;
use std::io::{self, Write};

use tracing::{error, warn};

/// Leaves a core when a process of ours crashes (`--core-dump`), under this name (`--core-dump-pattern`).
#[derive(Debug)]
pub(super) struct Cores {
    /// What the kernel's pattern was before.
    before: Option<String>,
}

const CORE_PATTERN: &str = "/proc/sys/kernel/core_pattern";

impl Cores {
    pub(super) fn allow(pattern: Option<&str>) -> Cores {
        use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
        let unlimited = setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY);
        if unlimited.is_err()
            && let Ok((_, hard)) = getrlimit(Resource::RLIMIT_CORE)
            && let Err(error) = setrlimit(Resource::RLIMIT_CORE, hard, hard)
        {
            warn!("--core-dump has no effect: {error}");
        }
        let before = pattern.and_then(|pattern| {
            let before = fs::read_to_string(CORE_PATTERN);
            let result = before.and_then(|before| set_pattern(pattern).map(|()| before));
            result.inspect_err(|error| warn!("--core-dump-pattern has no effect: {error}")).ok()
        });
        Cores { before }
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        if let Some(before) = &self.before
            && let Err(error) = set_pattern(before.trim_end())
        {
            error!("cannot give {CORE_PATTERN} its old value back: {error}");
        }
    }
}

fn set_pattern(pattern: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(CORE_PATTERN)?.write_all(pattern.as_bytes())
}
