//! The tool's end of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::control::{Request, Response};
use crate::process::control::DEFAULT_PATH;

/// The daemon answers from memory, or within its own deadline of two seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What every subcommand takes that asks the daemon.
#[derive(Debug, Args)]
pub struct Connection {
    /// Control socket of the daemon; beside its pid file when that has a name of its own
    #[arg(long, value_name = "PATH", env = "KEEPWATCH_SOCKET", default_value = DEFAULT_PATH)]
    socket: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A conversation with the daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

/// Nobody is there, or does not answer: words for a person.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(String);

impl Connection {
    pub fn open(&self) -> Result<Client, Unreachable> {
        Client::connect(&self.socket)
    }
}

impl Client {
    pub fn connect(path: &Path) -> Result<Client, Unreachable> {
        let stream = UnixStream::connect(path).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        let stream = stream.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "; is keepwatchd running?",
                io::ErrorKind::PermissionDenied => "; it is root's",
                _ => "",
            };
            Unreachable(format!("cannot connect to {}: {error}{hint}", path.display()))
        })?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    pub fn ask(&mut self, request: &Request) -> Result<Response, Unreachable> {
        self.try_ask(request).map_err(|error| {
            Unreachable(match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    format!("keepwatchd does not answer within {} s", PATIENCE.as_secs())
                }
                io::ErrorKind::UnexpectedEof => "keepwatchd has closed the connection".to_owned(),
                _ => format!("keepwatchd cannot be understood: {error}"),
            })
        })
    }

    fn try_ask(&mut self, request: &Request) -> io::Result<Response> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        // One that is refused for being too many gets its answer without having been read.
        let sent = self.stream.get_mut().write_all(&line);
        let mut answer = String::new();
        if self.stream.read_line(&mut answer)? == 0 {
            sent?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&answer)?)
    }
}
