//! What a process keeps of root, and how it is scheduled.

use std::io;

/// Capabilities by their kernel numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Capability {
    Chown = 0,
    DacOverride = 1,
    Kill = 5,
    SetGid = 6,
    SetUid = 7,
    NetBindService = 10,
    NetAdmin = 12,
    NetRaw = 13,
    SysAdmin = 21,
    SysNice = 23,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_3: u32 = 0x2008_0522;

/// Whether this process has `capability` now.
pub fn has(capability: Capability) -> bool {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: capget fills two Data for version 3; both pointers are to live values of that layout.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    result == 0 && data[0].effective & (1 << capability as u32) != 0
}

/// Drops every capability but these, for good: what this process executes has no more either.
pub fn keep(capabilities: &[Capability]) -> io::Result<()> {
    limit(capabilities)?;
    no_new_privileges()
}

/// Drops every capability but these for this process. A script that it executes as root, or through sudo, has what root
/// has.
pub fn limit(capabilities: &[Capability]) -> io::Result<()> {
    let mask = capabilities.iter().fold(0, |mask, &capability| mask | 1 << capability as u32);
    let mut header = Header { version: VERSION_3, pid: 0 };
    let data = [Data { effective: mask, permitted: mask, inheritable: 0 }, Data::default()];
    // SAFETY: capset reads two Data for version 3; both pointers are to live values of that layout.
    if unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Becomes `nobody` with no capability at all.
pub fn become_nobody() -> io::Result<()> {
    const NOBODY: u32 = 65534;
    let group = nix::unistd::Gid::from_raw(NOBODY);
    let user = nix::unistd::Uid::from_raw(NOBODY);
    let changed = nix::unistd::setgroups(&[])
        .and_then(|()| nix::unistd::setresgid(group, group, group))
        .and_then(|()| nix::unistd::setresuid(user, user, user));
    // Whoever it was started as: capabilities (ambient ones, say) are nothing it needs.
    keep(&[])?;
    Ok(changed?)
}

fn no_new_privileges() -> io::Result<()> {
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

/// Names the process as `ps` and `pgrep` show it (15 bytes).
pub fn set_name(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// Locks all memory, present and future. With a limit on it, an allocation would fail some day, and that ends the
/// process: then nothing is locked.
pub fn lock_memory() -> io::Result<()> {
    use nix::sys::mman::{MlockAllFlags, mlockall};
    use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
    setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)?;
    Ok(mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)?)
}

/// As many descriptors as the process may have: one is used for each interface and family.
pub fn raise_descriptor_limit() -> io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// Real-time round-robin scheduling at `priority` (1 to 99). A process that runs `rttime_us` without sleeping gets SIGXCPU;
/// one that goes on for [`RUNAWAY_US`] more is killed by the kernel.
pub fn real_time(priority: u8, rttime_us: u32) -> io::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};
    if rttime_us > 0 {
        setrlimit(Resource::RLIMIT_RTTIME, u64::from(rttime_us), u64::from(rttime_us) + RUNAWAY_US)?;
    }
    let parameters = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: the pointer is to a live sched_param.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &raw const parameters) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A takeover of thousands of addresses takes tens of milliseconds; a loop that never ends takes for ever.
const RUNAWAY_US: u64 = 1_000_000;

/// Nice value, -20 to 19.
pub fn nice(value: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Runs on these processors only.
pub fn affinity(cpus: &[u32]) -> io::Result<()> {
    let mut set = nix::sched::CpuSet::new();
    for &cpu in cpus {
        set.set(usize::try_from(cpu).unwrap_or(usize::MAX))?;
    }
    Ok(nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)?)
}
