//! Files that people ask for by signal: where they belong, and how they get there. What is in them is [`crate::export::dump`]'s.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::conf::model::DumpSettings;
use crate::export::dump::Kind;

/// Where dumps go: TMPDIR if it names an absolute directory, else /tmp.
pub fn directory() -> PathBuf {
    env::var_os("TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute()).unwrap_or_else(|| "/tmp".into())
}

/// Where a file goes: `state_dump_file` and its like may name a directory, a whole path, or one below TMPDIR. Names of state
/// files tell which process's state it is, and with `data_use_instance` which daemon's.
pub fn path(kind: Kind, settings: &DumpSettings, instance: Option<&str>, namespace: Option<&str>) -> PathBuf {
    let (given, usual, part) = match kind {
        Kind::Parent => (&settings.state, "keepalived.data", "_parent"),
        Kind::Vrrp => (&settings.state, "keepalived.data", ""),
        Kind::Check => (&settings.state, "keepalived.data", "_check"),
        Kind::Bfd => (&settings.state, "keepalived.data", "_bfd"),
        Kind::Stats => (&settings.stats, "keepalived.stats", ""),
        Kind::Json => (&settings.json, "keepalived.json", ""),
    };
    let template = match given.as_deref() {
        None => directory().join(usual),
        Some(given) if given.ends_with('/') => directory().join(given).join(usual),
        Some(given) => directory().join(given),
    };
    let is_state = !matches!(kind, Kind::Stats | Kind::Json);
    let whose = match (namespace, instance) {
        _ if !settings.use_instance || !is_state => String::new(),
        (Some(namespace), Some(instance)) => format!(".{namespace}_{instance}"),
        (Some(name), None) | (None, Some(name)) => format!(".{name}"),
        (None, None) => String::new(),
    };
    insert(&template, &format!("{part}{whose}"))
}

/// Before the last dot of the file's name, or at its end.
fn insert(path: &Path, text: &str) -> PathBuf {
    if text.is_empty() {
        return path.to_owned();
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A dot at the very front hides a file, and ends no stem.
    let at = name.rfind('.').filter(|at| *at > 0).unwrap_or(name.len());
    let (stem, extension) = name.split_at(at);
    path.with_file_name(format!("{stem}{text}{extension}"))
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
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let temporary = path.with_file_name(name);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(kind: Kind, state: Option<&str>, use_instance: bool) -> String {
        let settings = DumpSettings { state: state.map(str::to_owned), use_instance, ..DumpSettings::default() };
        let path = path(kind, &settings, Some("i1"), Some("ns"));
        path.strip_prefix(directory()).unwrap_or(&path).to_string_lossy().into_owned()
    }

    #[test]
    fn state_files_are_named_for_their_process_and_if_wanted_for_their_daemon() {
        assert_eq!(at(Kind::Vrrp, None, false), "keepalived.data");
        assert_eq!(at(Kind::Parent, None, false), "keepalived_parent.data");
        assert_eq!(at(Kind::Check, None, true), "keepalived_check.ns_i1.data");
        assert_eq!(at(Kind::Vrrp, None, true), "keepalived.ns_i1.data");
        assert_eq!(at(Kind::Json, None, true), "keepalived.json");
        assert_eq!(at(Kind::Bfd, Some("/var/x/state.txt"), false), "/var/x/state_bfd.txt");
        assert_eq!(at(Kind::Bfd, Some("/var/x/"), false), "/var/x/keepalived_bfd.data");
        assert_eq!(at(Kind::Vrrp, Some("sub/state"), true), "sub/state.ns_i1");
        assert_eq!(at(Kind::Parent, Some("/var/x.d/.state"), false), "/var/x.d/.state_parent");
    }

    #[test]
    fn a_file_appears_whole_with_the_permissions_that_the_mask_leaves_and_a_planted_link_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (path, victim) = (directory.path().join("keepalived.data"), directory.path().join("victim"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let (pending, file) = Pending::create(path.clone(), 0o177).unwrap();
        let (other, _) = Pending::create(directory.path().join("keepalived.json"), 0o177).unwrap();
        write(file, "state").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious", "nothing before it is whole");
        pending.finish().unwrap();
        drop(other);
        assert_eq!(fs::read_to_string(&path).unwrap(), "state");
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left of one that was given up");
    }
}
