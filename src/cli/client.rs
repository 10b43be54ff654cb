//! The tool's end of the control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::control::{Request, Response};
use crate::process::control::DEFAULT_PATH;

/// The daemon answers from memory, or within its own deadline of two seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Reading a configuration may take longer than that: the daemon gives up before.
pub const PATIENCE_OF_RELOAD: Duration = Duration::from_secs(70);
/// Longest answer that is read, octets: ten times what 10,000 real servers take.
const ANSWER_MAX: u64 = 64 << 20;

/// What every subcommand takes that asks the daemon.
#[derive(Debug, Args)]
pub struct Connection {
    /// Control socket of the daemon; beside its pid file when that has a name of its own
    #[arg(long, value_name = "PATH", global = true, env = "KEEPWATCH_SOCKET", default_value = DEFAULT_PATH)]
    socket: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// For those that have no time to wait.
    #[arg(skip)]
    pub patience: Option<Duration>,
}

/// A conversation with the daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    patience: Duration,
}

/// Nobody is there, or does not answer: words for a person.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(String);

impl Connection {
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn open(&self) -> Result<Client, Unreachable> {
        Client::connect(&self.socket, self.patience.unwrap_or(PATIENCE))
    }
}

impl Client {
    pub fn connect(path: &Path, patience: Duration) -> Result<Client, Unreachable> {
        let stream = UnixStream::connect(path).and_then(|stream| {
            stream.set_write_timeout(Some(patience))?;
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
        Ok(Client { stream: BufReader::new(stream), patience })
    }

    pub fn ask(&mut self, request: &Request) -> Result<Response, Unreachable> {
        self.ask_within(request, self.patience)
    }

    pub fn ask_within(&mut self, request: &Request, patience: Duration) -> Result<Response, Unreachable> {
        self.try_ask(request, patience).map_err(|error| {
            Unreachable(match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    format!("keepwatchd does not answer within {} s", patience.as_secs())
                }
                io::ErrorKind::UnexpectedEof => "keepwatchd has closed the connection".to_owned(),
                _ => format!("keepwatchd cannot be understood: {error}"),
            })
        })
    }

    fn try_ask(&mut self, request: &Request, patience: Duration) -> io::Result<Response> {
        self.stream.get_ref().set_read_timeout(Some(patience))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        // One that is refused for being too many gets its answer without having been read.
        let sent = self.stream.get_mut().write_all(&line);
        let mut answer = Vec::new();
        let length = (&mut self.stream).take(ANSWER_MAX).read_until(b'\n', &mut answer)?;
        if length == 0 {
            sent?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if answer.last() != Some(&b'\n') && length as u64 >= ANSWER_MAX {
            return Err(io::Error::other(format!("an answer of more than {} MiB", ANSWER_MAX >> 20)));
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}
