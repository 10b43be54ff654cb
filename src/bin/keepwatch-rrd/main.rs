//! Writes RRD files and draws graphs, in a process that nobody waits for: librrd is mapped here and nowhere else.
//!
//! As `keepwatchd: rrd` it is a child of the supervisor and hears from the bridge what to write ([`role`]); `draw` and
//! `prune` are for `keepwatch graph` and `keepwatch rrd prune`, with or without a daemon.

mod cached;
mod draw;
mod librrd;
mod prune;
mod role;
mod worker;
mod writer;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use keepwatch::export::graph::{GraphError, GraphRequest};
use keepwatch::process::logging;
use keepwatch::process::role::Role;
use keepwatch::sys::{environment, privileges};

/// Longest request that is read, octets.
const REQUEST_MAX: u64 = 64 * 1024;

/// Exit statuses of `draw` and `prune`.
mod status {
    pub const FAILED: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const NOT_FOUND: u8 = 3;
}

fn main() -> ExitCode {
    // librrd's graphs would ask the daemon that this names, and fail where it keeps other files than ours.
    environment::forget("RRDCACHED_ADDRESS");
    let mut words = std::env::args();
    if words.next().as_deref() == Some(Role::Rrd.title().as_str()) {
        privileges::set_name("keepwatch-rrd");
        let status = role::run();
        logging::finish();
        return ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX));
    }
    let words: Vec<String> = words.collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["draw", directory] => draw_one(Path::new(directory)),
        ["prune", directory, seconds, ref more @ ..] if matches!(more, [] | ["--dry-run"]) => match seconds.parse() {
            Ok(seconds) => prune::run(&PathBuf::from(directory), Duration::from_secs(seconds), !more.is_empty()),
            Err(_) => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "keepwatch-rrd is started by keepwatchd, `keepwatch graph` and `keepwatch rrd prune`:\n\
         keepwatch-rrd draw DIRECTORY < REQUEST > PICTURE\n\
         keepwatch-rrd prune DIRECTORY SECONDS [--dry-run]"
    );
    ExitCode::from(status::USAGE)
}

/// Reads a request as JSON, writes a picture.
fn draw_one(directory: &Path) -> ExitCode {
    let mut text = String::new();
    let request = std::io::stdin()
        .take(REQUEST_MAX)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_str::<GraphRequest>(&text).map_err(|error| error.to_string()));
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            eprintln!("the request cannot be read: {error}");
            return ExitCode::from(status::USAGE);
        }
    };
    match draw::picture(directory, &request) {
        Ok(picture) => match std::io::stdout().write_all(&picture).and_then(|()| std::io::stdout().flush()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("the picture cannot be written: {error}");
                ExitCode::from(status::FAILED)
            }
        },
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(match error {
                GraphError::NotFound(_) => status::NOT_FOUND,
                GraphError::BadRequest(_) => status::USAGE,
                GraphError::Unavailable(_) | GraphError::Failed(_) => status::FAILED,
            })
        }
    }
}
