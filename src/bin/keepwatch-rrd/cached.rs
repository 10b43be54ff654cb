//! A client of rrdcached. Each question has its answer within a few seconds, or the connection ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use keepwatch::clock::{self, Instant};
use keepwatch::export::rrd::cached::{self, Address};
use keepwatch::export::rrd::layout::{Archive, Ds, Existing};
use keepwatch::sys::connect;

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Longest line of an answer, octets, and most lines.
const LINE_MAX: u64 = 8 * 1024;
const LINES_MAX: i64 = 10_000;

pub struct Client {
    stream: BufReader<Stream>,
    patience: Duration,
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// rrdcached answered that it will not.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The connection is of no use any more.
    #[error("rrdcached: {0}")]
    Gone(#[from] io::Error),
    #[error("rrdcached: {0}")]
    Refused(String),
}

impl Client {
    pub fn connect(address: &Address, patience: Duration) -> io::Result<Client> {
        let stream = match address {
            Address::Unix(path) => {
                let stream = UnixStream::from(connect::unix_stream(Path::new(path))?);
                stream.set_nonblocking(false)?;
                Stream::Unix(stream)
            }
            Address::Tcp(host) => {
                let mut last = io::Error::from(io::ErrorKind::NotFound);
                let found = host.to_socket_addrs()?.find_map(|address| {
                    TcpStream::connect_timeout(&address, patience).map_err(|error| last = error).ok()
                });
                Stream::Tcp(found.ok_or(last)?)
            }
        };
        Ok(Client { stream: BufReader::new(stream), patience })
    }

    /// What a file is; `None`: there is none.
    pub fn info(&mut self, path: &str) -> Result<Option<Existing>, Trouble> {
        let question = format!("INFO {}\n", word(path)?);
        match self.ask(question.as_bytes()) {
            Ok(lines) => Ok(Some(cached::existing(lines.iter().map(String::as_str)))),
            Err(Trouble::Refused(text)) if cached::is_missing(&text) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    pub fn create(
        &mut self,
        path: &str,
        (step, heartbeat): (u32, u32),
        begin: u64,
        sources: &[Ds],
        archives: &[Archive],
    ) -> Result<(), Trouble> {
        let question = cached::create(path, step, heartbeat, begin, sources, archives).ok_or_else(unspeakable)?;
        self.ask(question.as_bytes()).map(drop)
    }

    /// Has what waits for a file written to it, until then.
    pub fn flush(&mut self, path: &str, deadline: Instant) -> Result<(), Trouble> {
        let question = format!("FLUSH {}\n", word(path)?);
        self.say(question.as_bytes(), deadline)?;
        self.answer(deadline).map(drop)
    }

    /// `UPDATE` of each of these, `time:value:value`; complaints by the place of the update, from 0.
    pub fn update(&mut self, updates: &[(String, String)]) -> Result<Vec<(usize, String)>, Trouble> {
        let mut text = String::from("BATCH\n");
        for (path, values) in updates {
            text.push_str(&format!("UPDATE {} {values}\n", word(path)?));
        }
        text.push_str(".\n");
        let deadline = clock::now() + self.patience;
        self.say(text.as_bytes(), deadline)?;
        self.answer(deadline)?;
        let complaints = self.answer(deadline)?;
        let complaints = complaints.iter().filter_map(|line| cached::complaint(line));
        Ok(complaints.filter_map(|(number, text)| Some((number.checked_sub(1)?, text.to_owned()))).collect())
    }

    fn ask(&mut self, question: &[u8]) -> Result<Vec<String>, Trouble> {
        let deadline = clock::now() + self.patience;
        self.say(question, deadline)?;
        self.answer(deadline)
    }

    fn say(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.stream.get_ref().set_patience(deadline.since(clock::now()))?;
            match self.stream.get_mut().write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
        Ok(())
    }

    /// The lines behind a status, which is not negative.
    fn answer(&mut self, deadline: Instant) -> Result<Vec<String>, Trouble> {
        let line = self.line(deadline)?;
        let nonsense = || io::Error::new(io::ErrorKind::InvalidData, "it does not speak its protocol");
        let (status, text) = cached::status(&line).ok_or_else(nonsense)?;
        if status < 0 {
            return Err(Trouble::Refused(text.to_owned()));
        }
        if status > LINES_MAX {
            return Err(nonsense().into());
        }
        (0..status).map(|_| Ok(self.line(deadline)?)).collect()
    }

    fn line(&mut self, deadline: Instant) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            self.stream.get_ref().set_patience(deadline.since(clock::now()))?;
            let room = LINE_MAX.saturating_sub(line.len() as u64);
            match (&mut self.stream).take(room).read_until(b'\n', &mut line) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if line.ends_with(b"\n") => return Ok(String::from_utf8_lossy(&line).into_owned()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
    }
}

fn word(path: &str) -> Result<String, Trouble> {
    cached::word(path).ok_or_else(unspeakable)
}

fn unspeakable() -> Trouble {
    Trouble::Refused("a path with a line feed cannot be told to it".to_owned())
}

/// The kernel calls it "try again".
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, "it does not answer")
        }
        _ => error,
    }
}

impl Stream {
    fn set_patience(&self, left: Duration) -> io::Result<()> {
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
        }
        match self {
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.set_write_timeout(Some(left))
            }
            Stream::Tcp(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.set_write_timeout(Some(left))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
