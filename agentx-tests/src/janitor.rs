//! Removal of what a dead process left behind.
//!
//! Destructors do not run on SIGKILL, on Ctrl-C in a test harness, or on a panic that aborts. So the first lab of
//! a process starts a small shell that waits for the end of a pipe only this process holds, and then kills whatever
//! runs in namespaces with this process's prefix, deletes them, and removes the directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Prefix of every namespace and directory of this process.
pub fn prefix() -> &'static str {
    static PREFIX: OnceLock<String> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = format!("kw{}x", std::process::id());
        hire(&prefix);
        prefix
    })
}

/// Scratch directory of this process.
pub fn directory() -> PathBuf {
    Path::new("/tmp").join(format!("{}-lab", prefix()))
}

/// What the janitor does, done now: for programs that end by a signal and want to leave a clean house behind.
pub fn clean_now() {
    let _ = Command::new("sh").arg("-c").arg(script(prefix())).stdin(Stdio::null()).status();
}

fn script(prefix: &str) -> String {
    let keep = if std::env::var_os("KEEPWATCH_KEEP_LOGS").is_some() { "true" } else { "rm -rf" };
    format!(
        "cat >/dev/null
        for ns in $(ip netns list | cut -d' ' -f1 | grep '^{prefix}'); do
            pids=$(ip netns pids $ns); [ -n \"$pids\" ] && kill -KILL $pids
        done 2>/dev/null
        for ns in $(ip netns list | cut -d' ' -f1 | grep '^{prefix}'); do ip netns del $ns; done 2>/dev/null
        {keep} /tmp/{prefix}-lab"
    )
}

/// The pipe closes when this process ends, however it ends; every child of ours gets `/dev/null` or a file instead.
fn hire(prefix: &str) {
    use std::os::unix::process::CommandExt;
    let janitor = Command::new("sh")
        .arg("-c")
        .arg(script(prefix))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0) // Ctrl-C is not for the janitor
        .spawn();
    match janitor {
        Ok(janitor) => std::mem::forget(janitor),
        Err(error) => panic!("no janitor for the lab: {error}"),
    }
}

/// For programs (not tests): cleans up before dying of Ctrl-C, a TERM or a panic. Call before any thread is started.
pub fn clean_on_signals() {
    use nix::sys::signal::{SigSet, Signal};
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        set.add(signal);
    }
    if let Err(error) = set.thread_block() {
        panic!("cannot block signals: {error}");
    }
    prefix();
    std::thread::spawn(move || {
        let signal = set.wait();
        eprintln!("\ncleaning up");
        clean_now();
        std::process::exit(128 + signal.map_or(0, |signal| signal as i32));
    });
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        clean_now();
        std::process::exit(101);
    }));
}
