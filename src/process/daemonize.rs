//! Going to the background without fork: a fresh copy of the program in a session of its own.
//!
//! A forked copy of a Rust program may only do very little; a new process may do everything. The foreground waits until
//! the copy has read its configuration and has claimed its pid file, so that its exit status says whether it runs.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::role::exit;

/// Tells the copy that it is the copy; a variable rather than an argument, so that `ps` shows what was typed.
const MARK: &str = "KEEPWATCHD_DETACHED";

/// Whether this process is the background copy. It then leads a session of its own.
pub fn is_detached() -> bool {
    let detached = std::env::var_os(MARK).is_some();
    if detached {
        // Fails only for a process that leads a group already, which is as good.
        let _ = nix::unistd::setsid();
    }
    detached
}

/// Starts the background copy with the same arguments, and returns the exit status of the foreground: 0 once it runs, else
/// what it ended with.
pub fn detach(console: bool) -> i32 {
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_else(|| "keepwatchd".into());
    let started = std::io::pipe().and_then(|(reader, writer)| {
        #[allow(clippy::disallowed_methods)]
        let mut command = Command::new("/proc/self/exe");
        command.arg0(name).args(words).env(MARK, "1").stdin(Stdio::null()).stdout(writer);
        if !console {
            // Whoever waits for the end of our output must not wait for the daemon's.
            command.stderr(Stdio::null());
        }
        let child = command.spawn()?;
        Ok((reader, child))
    });
    match started {
        Ok((mut reader, mut child)) => {
            let mut word = [0];
            match reader.read(&mut word) {
                Ok(1) => exit::OK,
                _ => child.wait().ok().and_then(|status| status.code()).unwrap_or(exit::SOFTWARE),
            }
        }
        Err(error) => {
            eprintln!("keepwatchd: cannot go to the background: {error}");
            exit::FATAL
        }
    }
}

/// Tells the foreground, if there is one, that the daemon runs; its pipe is our standard output.
pub fn report_started() {
    if std::env::var_os(MARK).is_none() {
        return;
    }
    let _ = nix::unistd::write(std::io::stdout(), b"1");
    if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdout(null);
    }
}
