//! Going to the background without fork: a fresh copy of the program in a session of its own.
//!
//! A forked copy of a Rust program may only do very little; a new process may do everything.

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
        let _ = nix::unistd::chdir("/");
    }
    detached
}

/// Starts the background copy with the same arguments, and returns the exit status of the foreground.
pub fn detach() -> i32 {
    #[allow(clippy::disallowed_methods)]
    let child = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    match child {
        Ok(_) => exit::OK,
        Err(error) => {
            eprintln!("keepwatchd: cannot go to the background: {error}");
            exit::FATAL
        }
    }
}
