//! Programs that are installed with this one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The binary of [`Role::Rrd`](super::role::Role::Rrd), which also draws graphs for `keepwatch graph`.
pub const RRD: &str = "keepwatch-rrd";

/// A program in the directory of our own.
pub fn us(name: &str) -> io::Result<PathBuf> {
    let this = std::env::current_exe()?;
    Ok(this.parent().unwrap_or(Path::new("/")).join(name))
}

/// Runs [`RRD`] to its end. A tool may be in `bin` while the daemon's programs are in `sbin`.
pub fn run_rrd(words: &[&str], input: &[u8]) -> io::Result<Output> {
    let beside = us(RRD)?;
    let in_sbin = beside.parent().and_then(Path::parent).map(|above| above.join("sbin").join(RRD));
    let program = [Some(beside.clone()), in_sbin].into_iter().flatten().find(|path| path.is_file()).unwrap_or(beside);
    #[allow(clippy::disallowed_methods)]
    let mut command = Command::new(&program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot run {}: {error}", program.display()));
    let mut child = command.spawn().map_err(named)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that has ended says why on standard error.
        let _ = stdin.write_all(input);
    }
    child.wait_with_output()
}
