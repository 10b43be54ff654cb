//! The AgentX transport: a stream to the master agent, Unix or TCP, with a bounded queue of what it has not read.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, sendmsg};
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::clock::{self, Instant};
use crate::sys::aio::{self, Owned};

/// How much may wait for a master that does not read; a walk's answers are far smaller.
pub(super) const QUEUE_MAX: usize = 1024 * 1024;

/// A master that takes nothing for this long has stalled.
const STALL: Duration = Duration::from_secs(5);

/// How long a TCP connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// A connected transport.
pub struct Link {
    fd: AsyncFd<Owned>,
    queue: VecDeque<u8>,
    /// Since when the queue has not become shorter.
    stuck_since: Option<Instant>,
}

/// What a read brought.
pub enum Read {
    Bytes(usize),
    Nothing,
    Closed,
}

impl Link {
    pub fn new(fd: OwnedFd) -> io::Result<Link> {
        crate::sys::poll::set_nonblocking(&fd)?;
        Ok(Link { fd: aio::register(fd)?, queue: VecDeque::new(), stuck_since: None })
    }

    pub async fn readable(&self) {
        aio::readable(&self.fd).await;
    }

    /// Waits until a full queue may go on; never ends while there is none.
    pub async fn writable(&self) {
        if self.queue.is_empty() {
            std::future::pending::<()>().await;
        }
        if let Ok(mut guard) = self.fd.writable().await {
            guard.clear_ready();
        }
    }

    pub fn read(&self, buffer: &mut [u8]) -> Read {
        match nix::unistd::read(self.fd.get_ref(), buffer) {
            Ok(0) => Read::Closed,
            Ok(count) => Read::Bytes(count),
            Err(Errno::EAGAIN) => {
                aio::drained(&self.fd);
                Read::Nothing
            }
            Err(Errno::EINTR) => Read::Nothing,
            Err(_) => Read::Closed,
        }
    }

    /// Queues bytes and writes what fits.
    pub fn send(&mut self, bytes: &[u8], now: Instant) {
        self.queue.extend(bytes);
        self.flush(now);
    }

    pub fn flush(&mut self, now: Instant) {
        while !self.queue.is_empty() {
            let (front, back) = self.queue.as_slices();
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let slices = [IoSlice::new(front), IoSlice::new(back)];
            match sendmsg::<()>(self.fd.as_raw_fd(), &slices, &[], flags, None) {
                Ok(count) => {
                    self.queue.drain(..count);
                    self.stuck_since = None;
                }
                Err(Errno::EINTR) => {}
                // A broken connection shows itself to the reader.
                Err(_) => {
                    self.stuck_since.get_or_insert(now);
                    return;
                }
            }
        }
    }

    /// Whether the master has stopped reading.
    pub fn stalled(&self, now: Instant) -> bool {
        self.is_full() || self.stuck_since.is_some_and(|since| now.since(since) >= STALL)
    }

    /// Whether more waits than any honest master lets wait.
    pub fn is_full(&self) -> bool {
        self.queue.len() > QUEUE_MAX
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// When [`Self::stalled`] may become true.
    pub fn stall_deadline(&self) -> Option<Instant> {
        self.stuck_since.map(|since| since + STALL)
    }

    /// Whether everything was written.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// Where the master agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Opened by the supervisor: the bridge has no right to.
    Unix,
    /// `host:port`.
    Tcp(String),
    /// A transport that AgentX has no mapping for (RFC 2741 section 8).
    Unsupported(String),
}

/// Port of an AgentX master (RFC 2741 section 8.1.1).
const PORT: u16 = 705;

impl Address {
    /// Reads `unix:PATH`, `PATH`, `tcp:HOST:PORT`, `tcp6:[HOST]:PORT`, `HOST:PORT`, `PORT`.
    pub fn parse(text: &str) -> Address {
        let with_port = |host: &str| {
            let bracketed = host.ends_with(']');
            let has_port = !bracketed
                && host.rsplit_once(':').is_some_and(|(before, port)| {
                    port.parse::<u16>().is_ok() && (!before.contains(':') || before.ends_with(']'))
                });
            if has_port { host.to_owned() } else { format!("{host}:{PORT}") }
        };
        match text.split_once(':') {
            _ if text.starts_with('/') => Address::Unix,
            Some(("unix", _)) => Address::Unix,
            Some(("tcp" | "tcp6" | "tcpipv6", host)) => match host.parse::<u16>() {
                Ok(port) => Address::Tcp(format!("localhost:{port}")),
                Err(_) => Address::Tcp(with_port(host)),
            },
            Some((other @ ("udp" | "udp6" | "udpipv6" | "dtlsudp" | "tlstcp" | "ssh"), _)) => {
                Address::Unsupported(other.to_owned())
            }
            _ => match text.parse::<u16>() {
                Ok(port) => Address::Tcp(format!("localhost:{port}")),
                Err(_) => Address::Tcp(with_port(text)),
            },
        }
    }
}

/// Starts to connect over TCP, with a bound on the time it takes.
pub fn connect_tcp(host: String) -> JoinHandle<io::Result<OwnedFd>> {
    tokio::spawn(async move {
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect(host))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let _ = stream.set_nodelay(true);
        Ok(stream.into_std()?.into())
    })
}

/// Sleeps until a point on our clock; for ever when there is none.
pub async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep(at.since(clock::now())).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_net_snmp_reads_them() {
        assert_eq!(Address::parse("/var/agentx/master"), Address::Unix);
        assert_eq!(Address::parse("unix:/run/x"), Address::Unix);
        assert_eq!(Address::parse("tcp:127.0.0.1:7050"), Address::Tcp("127.0.0.1:7050".into()));
        assert_eq!(Address::parse("tcp:snmp.example"), Address::Tcp("snmp.example:705".into()));
        assert_eq!(Address::parse("tcp:[::1]"), Address::Tcp("[::1]:705".into()));
        assert_eq!(Address::parse("tcp6:[::1]:9"), Address::Tcp("[::1]:9".into()));
        assert_eq!(Address::parse("localhost:705"), Address::Tcp("localhost:705".into()));
        assert_eq!(Address::parse("705"), Address::Tcp("localhost:705".into()));
        assert_eq!(Address::parse("udp:127.0.0.1:705"), Address::Unsupported("udp".into()));
    }
}
