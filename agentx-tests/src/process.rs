//! Processes in namespaces: started with a log file, never outliving the lab.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::wait;

/// A running program. Dropping it kills its whole process group and all its descendants.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with its output appended to `log`.
    #[track_caller]
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Process {
        let output = File::options().create(true).append(true).open(log);
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let errors = output.try_clone().unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Process { name: name.to_owned(), child, log: log.to_owned(), status: None }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Everything written so far to standard output and standard error.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn log_path(&self) -> &Path {
        &self.log
    }

    #[track_caller]
    pub fn wait_for_log(&self, text: &str, limit: Duration) {
        let found = wait::within(limit, || self.log().contains(text).then_some(()));
        assert!(found.is_some(), "{} did not say `{text}` within {limit:?}; it said:\n{}", self.name, self.log());
    }

    /// To the process itself, not to its children.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = kill(self.pid(), signal) {
            panic!("cannot send {signal} to {}: {error}", self.name);
        }
    }

    /// SIGKILL to the process group and every descendant at once, as when a machine loses power.
    pub fn kill(&mut self) {
        if self.status.is_none() {
            let family = descendants(self.pid());
            let _ = killpg(self.pid(), Signal::SIGKILL);
            for pid in family {
                let _ = kill(pid, Signal::SIGKILL);
            }
            self.status = self.child.wait().ok();
        }
    }

    /// Its exit status once it is over.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub fn wait_for_exit(&mut self, limit: Duration) -> ExitStatus {
        match wait::within(limit, || self.exited()) {
            Some(status) => status,
            None => panic!("{} still runs after {limit:?}; it said:\n{}", self.name, self.log()),
        }
    }

    /// Exit code as a shell shows it: 128 and the signal's number for a death by signal.
    #[track_caller]
    pub fn exit_code(&mut self, limit: Duration) -> i32 {
        let status = self.wait_for_exit(limit);
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a short command to its end.
#[track_caller]
pub fn run(mut command: Command) -> Output {
    match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => panic!("cannot run {command:?}: {error}"),
    }
}

/// Runs a short command that must succeed; gives its standard output.
#[track_caller]
pub fn must(command: Command) -> String {
    let shown = format!("{command:?}");
    let output = run(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown} failed ({}): {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Children, their children, and so on; nearest first.
pub fn descendants(root: Pid) -> Vec<Pid> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if let Some(parent) = stat_fields(Pid::from_raw(pid)).and_then(|fields| fields.get(1)?.parse::<i32>().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut family = vec![root.as_raw()];
    let mut next = 0;
    while next < family.len() {
        let of = family[next];
        family.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
        next += 1;
    }
    family.into_iter().skip(1).map(Pid::from_raw).collect()
}

/// What a process calls itself: its command line, words joined by spaces.
pub fn command_line(pid: Pid) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}

/// Fields of `/proc/PID/stat` from the third (the state) on: the second may contain anything.
pub(crate) fn stat_fields(pid: Pid) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}
