//! FIFOs that a runner has made. One that dies leaves them, and the next finds them there and takes them for somebody
//! else's: they go with the daemon.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use tracing::warn;

/// A configuration has three.
const PATHS_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct LeftBehind {
    paths: BTreeSet<PathBuf>,
}

impl LeftBehind {
    /// Made, or taken away again.
    pub(super) fn note(&mut self, path: PathBuf, made: bool) {
        if !made {
            self.paths.remove(&path);
        } else if self.paths.len() < PATHS_MAX {
            self.paths.insert(path);
        }
    }
}

impl Drop for LeftBehind {
    fn drop(&mut self) {
        for path in &self.paths {
            let is_fifo = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_fifo());
            if is_fifo && let Err(error) = fs::remove_file(path) {
                warn!("cannot remove the FIFO {}: {error}", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn a_fifo_that_nobody_has_taken_away_goes_and_nothing_else_does() {
        let directory = tempfile::tempdir().unwrap();
        let [left, dismissed, file] = ["left", "dismissed", "file"].map(|name| directory.path().join(name));
        for path in [&left, &dismissed] {
            mkfifo(path, Mode::S_IRWXU).unwrap();
        }
        fs::write(&file, "").unwrap();
        let mut behind = LeftBehind::default();
        for path in [&left, &dismissed, &file] {
            behind.note(path.clone(), true);
        }
        behind.note(dismissed.clone(), false);
        drop(behind);
        assert!(!left.exists() && dismissed.exists() && file.exists());
    }
}
