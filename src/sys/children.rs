//! Processes below this one: who has ended, and who is left.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A child that has ended and is still a zombie: its number, and that of its process group, mean nobody else until
/// [`reap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dead {
    pub pid: i32,
    pub end: End,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Exited(i32),
    Signalled(i32),
}

/// Orphans below this process become its children instead of init's, so that it can reap them.
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: no pointers.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether this child has ended, or with `None` any child; leaves it a zombie and never waits.
///
/// Not through nix, which has no word for death by a real-time signal: one such zombie would be an error for ever.
pub fn dead(pid: Option<i32>) -> io::Result<Option<Dead>> {
    let (which, id) = match pid {
        Some(pid) => (libc::P_PID, libc::id_t::try_from(pid).unwrap_or(0)),
        None => (libc::P_ALL, 0),
    };
    // SAFETY: siginfo_t is plain old data; waitid fills it.
    let (result, info) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        (libc::waitid(which, id, &raw mut info, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT), info)
    };
    if result != 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ECHILD) { Ok(None) } else { Err(error) };
    }
    // SAFETY: after waitid these fields are set; for "nobody has ended" they are the zeros from above.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let end = if info.si_code == libc::CLD_EXITED { End::Exited(status) } else { End::Signalled(status) };
    Ok(Some(Dead { pid, end }))
}

/// Takes a zombie away; from now on its number may be somebody else's.
pub fn reap(pid: i32) {
    // SAFETY: a null status pointer is allowed.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
}

/// Sends a signal to a whole process group. One that is empty is no error.
pub fn signal_group(group: i32, signal: i32) {
    if group > 1 {
        // SAFETY: no pointers.
        unsafe { libc::kill(-group, signal) };
    }
}

/// Sends a signal to one process, unless its number is another's by now.
pub fn signal_process(process: Process, signal: i32) {
    // SAFETY: no pointers; the result is a new descriptor that nobody else owns.
    let pidfd = unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, process.pid, 0);
        let Ok(fd) = i32::try_from(fd) else { return };
        if fd < 0 {
            return;
        }
        OwnedFd::from_raw_fd(fd)
    };
    // Looked at while the descriptor holds the process: what is true now stays true.
    if Table::read_one(process.pid).is_some_and(|(_, now)| now.started == process.started) {
        // SAFETY: a null siginfo is allowed.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<u8>(), 0) };
    }
}

/// Every descriptor but the standard ones is closed in what this process executes, whoever opened it.
pub fn close_on_exec() -> io::Result<()> {
    // SAFETY: no pointers.
    if unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// What this command starts has no signal blocked: the mask is inherited through `exec`, and ours blocks what we read from
/// a descriptor.
pub fn unblock_signals(command: &mut Command) {
    // SAFETY: between fork and exec this calls sigemptyset and sigprocmask only, which are async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            if libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

/// What this command starts is this user, with these supplementary groups. In place of the standard library's `uid` and
/// `gid`, which leave no groups.
pub fn become_user(command: &mut Command, uid: u32, gid: u32, groups: Vec<u32>) {
    let done = |result: i32| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: between fork and exec this calls setgroups, setgid and setuid only, with memory made before the fork.
    unsafe {
        command.pre_exec(move || {
            done(libc::setgroups(groups.len(), groups.as_ptr()))?;
            done(libc::setgid(gid))?;
            done(libc::setuid(uid))
        });
    }
}

/// A process, told from a later one with its number by when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub group: i32,
    /// Clock ticks since boot.
    pub started: u64,
}

/// Who is whose child, at one moment.
#[derive(Debug, Default)]
pub struct Table {
    children: BTreeMap<i32, Vec<Process>>,
}

impl Table {
    /// Reads all of /proc; what comes and goes meanwhile may be missing.
    pub fn read() -> Table {
        let mut table = Table::default();
        let Ok(entries) = std::fs::read_dir("/proc") else { return table };
        for entry in entries.flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some((parent, process)) = pid.and_then(Table::read_one) {
                table.children.entry(parent).or_default().push(process);
            }
        }
        table
    }

    fn read_one(pid: i32) -> Option<(i32, Process)> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name is in parentheses, and may hold some itself.
        let mut words = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let parent = words.nth(1)?.parse().ok()?;
        let group = words.next()?.parse().ok()?;
        // proc(5): field 22, where the word after the name is field 3.
        let started = words.nth(16)?.parse().ok()?;
        Some((parent, Process { pid, group, started }))
    }

    /// Everything below this process, itself not included.
    pub fn below(&self, pid: i32) -> Vec<Process> {
        let mut found: Vec<Process> = self.children.get(&pid).cloned().unwrap_or_default();
        let mut next = 0;
        while let Some(process) = found.get(next).copied() {
            next += 1;
            let children = self.children.get(&process.pid).into_iter().flatten();
            // A number that was reused while /proc was read could close a circle.
            let new: Vec<Process> = children.filter(|child| !found.contains(child)).copied().collect();
            found.extend(new);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_processes_knows_this_one_below_its_parent() {
        let me = i32::try_from(std::process::id()).unwrap();
        let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap();
        let table = Table::read();
        assert!(table.below(parent).iter().any(|process| process.pid == me));
        assert!(!table.below(me).iter().any(|process| process.pid == parent));
    }

    #[test]
    fn somebody_elses_process_has_not_ended_as_our_child() {
        assert_eq!(dead(Some(1)).unwrap(), None);
    }
}
