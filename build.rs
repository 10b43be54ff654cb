//! Tells the build which compiler makes it, for `keepwatch_build_info`.

use std::env;
use std::process::Command;

// A build script is no part of the daemon.
#[allow(clippy::disallowed_methods)]
fn main() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version =
        Command::new(rustc).arg("--version").output().ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let version = version.as_deref().and_then(|line| line.split(' ').nth(1)).unwrap_or("unknown");
    println!("cargo::rustc-env=KEEPWATCH_RUSTC={version}");
    println!("cargo::rerun-if-changed=build.rs");
}
