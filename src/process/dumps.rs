//! Files that people ask for by signal.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::bus::rows::{Counters, RouterCounters};
use crate::store::Snapshot;

/// Where dumps go: TMPDIR if it names an absolute directory, else /tmp.
pub fn directory() -> PathBuf {
    env::var_os("TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute()).unwrap_or_else(|| "/tmp".into())
}

/// Counters of every instance, in the layout of Keepalived's `keepalived.stats`, with the router's own at the end.
pub fn stats(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for (_, row) in snapshot.vrrp.instances.iter() {
        instance(&mut text, &row.config.name.0, &row.counters);
    }
    router(&mut text, &snapshot.vrrp.router);
    text
}

fn instance(text: &mut String, name: &str, c: &Counters) {
    let _ = writeln!(text, "VRRP Instance: {name}");
    section(text, "Advertisements", &[("Received", c.adverts_received), ("Sent", c.adverts_sent)]);
    let _ = writeln!(text, "  Became master: {}\n  Released master: {}", c.became_master, c.released_master);
    section(
        text,
        "Packet Errors",
        &[
            ("Length", c.packet_length_errors),
            ("TTL", c.ttl_errors),
            ("Invalid Type", c.invalid_type),
            ("Advertisement Interval", c.advert_interval_errors),
            ("Address List", c.address_list_errors),
            ("Unknown Source", c.unknown_source),
        ],
    );
    section(
        text,
        "Authentication Errors",
        &[("Invalid Type", c.invalid_auth_type), ("Type Mismatch", c.auth_type_mismatch), ("Failure", c.auth_failures)],
    );
    section(text, "Priority Zero", &[("Received", c.priority_zero_received), ("Sent", c.priority_zero_sent)]);
}

fn router(text: &mut String, c: &RouterCounters) {
    let _ = writeln!(text, "VRRP Router:");
    section(
        text,
        "Packet Errors",
        &[
            ("Checksum", c.checksum_errors),
            ("Version", c.version_errors),
            ("Virtual Router ID", c.vrid_errors),
            ("Truncated", c.truncated),
        ],
    );
}

fn section(text: &mut String, title: &str, lines: &[(&str, u64)]) {
    let _ = writeln!(text, "  {title}:");
    for (name, value) in lines {
        let _ = writeln!(text, "    {name}: {value}");
    }
}

/// A file being written by a process that may not create it: made here under another name, and put in its place once
/// it is whole. A link that somebody planted is replaced, never followed.
#[derive(Debug)]
pub struct Pending {
    temporary: PathBuf,
    path: PathBuf,
}

impl Pending {
    /// An empty file, for somebody else to fill.
    /// `mask` takes permissions away, as umask(2) does.
    pub fn create(path: PathBuf, mask: u32) -> io::Result<(Pending, OwnedFd)> {
        let temporary = path.with_extension(format!("new-{}", std::process::id()));
        let _ = fs::remove_file(&temporary);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o666 & !mask).open(&temporary)?;
        Ok((Pending { temporary, path }, file.into()))
    }

    /// One that everybody may read, whatever our mask is.
    pub fn for_everybody(path: PathBuf) -> io::Result<(Pending, OwnedFd)> {
        let (pending, file) = Pending::create(path, 0o022)?;
        let file = fs::File::from(file);
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        Ok((pending, file.into()))
    }

    /// Where it will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Nobody has written anything yet.
    pub fn is_empty(&self) -> bool {
        fs::metadata(&self.temporary).is_ok_and(|there| there.len() == 0)
    }

    /// The file is whole.
    pub fn finish(self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.path)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Gone already when it was finished.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Fills a pending file.
pub fn write(file: OwnedFd, text: &str) -> io::Result<()> {
    fs::File::from(file).write_all(text.as_bytes())
}
