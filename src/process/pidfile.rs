//! Pid files: where they are, whether their daemon lives, and that they go away again.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A pid file of ours; removed when dropped, if it still is ours.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    pid: u32,
}

/// The daemon of this pid file, if it is alive: a Keepalived or one of us. A number that the kernel has since given to
/// some other program does not keep us from starting.
pub fn running(path: &Path) -> Option<u32> {
    let pid: u32 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    if pid == std::process::id() {
        return None;
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    // With `process_name` it is called anything, and is the same program still; another user's does not tell.
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let program = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let program = program.strip_suffix(" (deleted)").unwrap_or(program);
    (is_ours(name.trim()) || is_ours(program)).then_some(pid)
}

fn is_ours(name: &str) -> bool {
    matches!(name, "keepalived" | "keepwatchd")
}

impl PidFile {
    /// Writes `pid` and a newline. The directory is made if it is missing.
    pub fn create(path: &Path, pid: u32) -> io::Result<PidFile> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        // A new file each time: whoever holds the old one open, or planted a link there, gets nothing of ours.
        let temporary = path.with_extension(format!("new-{pid}"));
        let _ = fs::remove_file(&temporary);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
        file.write_all(format!("{pid}\n").as_bytes())?;
        fs::rename(&temporary, path)?;
        Ok(PidFile { path: path.to_owned(), pid })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if fs::read_to_string(&self.path).is_ok_and(|text| text.trim() == self.pid.to_string()) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Where the pid files are, as Keepalived places them (`cli.md` section 3 of our specification).
pub fn default_path(name: &str, instance: Option<&str>, directory: bool) -> PathBuf {
    match (instance, directory) {
        (Some(instance), _) => PathBuf::from(format!("/run/keepalived/{name}_{instance}.pid")),
        (None, true) => PathBuf::from(format!("/run/keepalived/{name}.pid")),
        (None, false) => PathBuf::from(format!("/run/{name}.pid")),
    }
}
