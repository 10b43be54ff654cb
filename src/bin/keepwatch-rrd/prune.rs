//! Removes files that nothing was written to for long.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use keepwatch::clock;
use keepwatch::export::rrd::names::{NAMES, Names};

use crate::{librrd, status};

/// Directories below the one that is pruned.
const DEPTH_MAX: u32 = 4;

/// Prints each file that goes (or would go), and removes it.
pub fn run(directory: &Path, older_than: Duration, dry_run: bool) -> ExitCode {
    // Only what keepwatch has made: elsewhere nothing is touched.
    let text = match std::fs::read_to_string(directory.join(NAMES)) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("there are no RRD files of keepwatch in {}: {error}", directory.display());
            return ExitCode::from(status::NOT_FOUND);
        }
    };
    let ours: Vec<String> = Names::parse(&text).files.into_iter().map(|(path, _)| path).collect();
    let before = (clock::wall().0 / 1_000_000_000).saturating_sub(older_than.as_secs());
    let mut files = Vec::new();
    collect(directory, DEPTH_MAX, &mut files);
    files.sort();
    let (mut gone, mut failed) = (0_u64, false);
    for file in files {
        let Ok(below) = file.strip_prefix(directory) else { continue };
        let below = below.to_string_lossy();
        if !ours.iter().any(|path| is_of(&below, path)) {
            continue;
        }
        let old =
            librrd::existing(&file).ok().and_then(|existing| existing.last_update).is_some_and(|last| last < before);
        if !old {
            continue;
        }
        println!("{}", file.display());
        gone += 1;
        if !dry_run && let Err(error) = std::fs::remove_file(&file) {
            eprintln!("cannot remove {}: {error}", file.display());
            failed = true;
        }
    }
    let what = if dry_run { "would be removed" } else { "removed" };
    eprintln!("{gone} files {what}");
    if failed { ExitCode::from(status::FAILED) } else { ExitCode::SUCCESS }
}

/// Whether a file is `path` or `path.2`, `path.3`, ...
fn is_of(file: &str, path: &str) -> bool {
    file.strip_prefix(path).is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('.').is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

fn collect(directory: &Path, depth: u32, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            // Links are not followed.
            Ok(kind) if kind.is_dir() && depth > 0 => collect(&entry.path(), depth - 1, files),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            Ok(_) | Err(_) => {}
        }
    }
}
