//! How configuration files are reached: a small trait, so that tests need no disk.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

/// What can be asked of a file system.
pub trait Files {
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// The first `most` octets.
    fn read_some(&self, path: &str, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = self.read(path)?;
        bytes.truncate(most);
        Ok(bytes)
    }
    /// Names that match a pattern without `{a,b}`, sorted.
    fn glob(&self, pattern: &str) -> Vec<String>;
    fn canonicalize(&self, path: &str) -> io::Result<String>;
    /// Follows symbolic links; `None` when there is nothing.
    fn stat(&self, path: &str) -> Option<Stat>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    pub owner: u32,
    pub group: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    Regular,
    Directory,
    Other,
}

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_some(&self, path: &str, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        // `**` walks whole trees for the crate, and is a plain `*` for glob(3).
        let mut pattern = pattern.to_owned();
        while pattern.contains("**") {
            pattern = pattern.replace("**", "*");
        }
        let Ok(paths) = glob::glob_with(&pattern, MATCH_OPTIONS) else { return Vec::new() };
        let mut names: Vec<_> = paths.flatten().map(|path| path.to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    fn canonicalize(&self, path: &str) -> io::Result<String> {
        Ok(fs::canonicalize(path)?.to_string_lossy().into_owned())
    }

    fn stat(&self, path: &str) -> Option<Stat> {
        let meta = fs::metadata(path).ok()?;
        let kind = if meta.is_file() {
            FileKind::Regular
        } else if meta.is_dir() {
            FileKind::Directory
        } else {
            FileKind::Other
        };
        Some(Stat { kind, mode: meta.mode() & 0o7777, owner: meta.uid(), group: meta.gid() })
    }
}

/// As glob(3): `*` stops at `/` and does not match a leading dot.
pub const MATCH_OPTIONS: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
