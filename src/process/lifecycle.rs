//! What the supervisor and its children say to each other, over one socket per child.
//!
//! A child finds its end as standard input. Neither side ever blocks: the supervisor queues what a stopped child does
//! not read, and a child that falls too far behind is killed. When the supervisor dies, children read the end of
//! their socket and stop in good order.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::options::Options;
use super::role::Role;
use crate::bus::frame;
use crate::bus::msg::ConfigGeneration;
use crate::conf::model::ProcessSettings;
use crate::export::dump::Kind;
use crate::export::look::{Daemon, DriftReport, Endpoint, ReloadReport};
use crate::sys::seqpacket::{self, Received, Seqpacket};

/// Supervisor to child. The comments name the descriptor that travels along.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToChild {
    /// The first message. With the sealed configuration (load: the empty memory file to fill and seal).
    /// `restarted`: this process replaces one that died.
    Start { options: Box<Options>, config: ConfigGeneration, restarted: bool },
    /// With the new sealed configuration. `back`: it was in force before, and what came between could not be.
    Reload { config: ConfigGeneration, back: bool },
    /// To load, behind [`Self::Start`], when there is one in force: with that sealed configuration. `plan_only`: nobody
    /// means to go over to the new one yet.
    Previous { plan_only: bool },
    /// To load, behind [`Self::Previous`]: with an empty memory file for the plan, to fill and seal.
    PlanInto,
    /// To the bridge, an answer to the [`ToSupervisor::Plan`] of this number: with the sealed plan, or with what is wrong.
    Planned { number: u64, warnings: u32, error: Option<String> },
    /// To the bridge: what became of the reloads that it has asked for under these numbers.
    Reloaded { requests: Vec<u64>, reload: Box<ReloadReport> },
    /// With a new socket to that process; an earlier one is dead.
    Peer(Role),
    /// The answer to the [`ToSupervisor::ConnectAgentX`] of this number: with a connected socket, or an errno.
    AgentX { attempt: u64, error: Option<i32> },
    /// The answer to the [`ToSupervisor::ConnectBus`] of this number: with a connected socket, or an errno.
    Bus { attempt: u64, error: Option<i32> },
    /// To the bridge with the listening control socket.
    Control,
    /// An answer to [`ToSupervisor::Listen`]: with a socket, or an errno.
    Listening { address: SocketAddr, error: Option<i32> },
    /// An answer to [`ToSupervisor::OpenState`]: with the file, open for reading and writing, or an errno.
    State { error: Option<i32> },
    /// An answer to [`ToSupervisor::ListenStream`]: with a listening socket, or an errno.
    ListeningStream { endpoint: Endpoint, error: Option<i32> },
    /// That socket was closed as its permissions have changed; the bridge asks for the one in its place.
    StreamReleased { endpoint: Endpoint },
    /// An answer to [`ToSupervisor::OpenFile`]: with the file, open for reading, or an errno.
    File { path: PathBuf, error: Option<i32> },
    /// An answer to the [`ToSupervisor::Textfile`] of this number: with an empty file to fill, or an errno.
    Textfile { number: u64, error: Option<i32> },
    /// To the bridge, every few seconds and when something changed; not sent while an earlier one waits.
    Daemon(Box<Daemon>),
    /// An operator's signal.
    Signal(UserSignal),
    /// To the runner: run the script for this, which the configuration has.
    Occasion(Occasion),
    /// To the bridge, with a file to fill. What it tells must not be older than this configuration.
    Dump { number: u64, kind: Kind, config: ConfigGeneration },
    /// Stop in good order.
    Stop,
}

/// Child to supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// This configuration is in force here.
    Ready { config: ConfigGeneration },
    /// It cannot be: the kernel refuses part of it, say. At most [`WHY_MAX`] octets.
    CannotTake { config: ConfigGeneration, why: String },
    /// The file of the [`ToChild::Dump`] of this number is whole.
    Dumped { number: u64 },
    /// The bridge has no right to open the master agent's Unix socket itself. The number comes back: an answer to a
    /// question that was given up meanwhile is none. Of several questions at once only the last is answered.
    ConnectAgentX { attempt: u64 },
    /// Nor to bind ports below 1024: of the responder's addresses, this one.
    Listen { address: SocketAddr },
    /// Nor to keep anything on disk: the file of the SNMP engine.
    OpenState,
    /// Nor to listen where others do not: of the endpoints for HTTP, this one. Asked again, it is the same socket, until a
    /// reload changes the permissions of a Unix one.
    ListenStream { endpoint: Endpoint },
    /// Nor to read keys: of the files that the sheet names, this one.
    OpenFile { path: PathBuf },
    /// A new textfile is wanted in the place that the sheet names. One that was asked for before is given up.
    Textfile { number: u64 },
    /// The textfile of this number is whole.
    TextfileDone { number: u64 },
    /// The script for this has ended, or cannot run; it was logged how.
    OccasionOver(Occasion),
    /// Nor is it anybody on the system's D-Bus: a connection of the daemon's user, as with [`Self::ConnectAgentX`].
    ConnectBus { attempt: u64 },
    /// The runner has made this FIFO, or has nothing to do with it any more: what is left of them at the end is taken away.
    Fifo { path: PathBuf, made: bool },
    /// An operator wants what this signal stands for.
    Signal(UserSignal),
    /// An operator wants the configuration read again, and is told by [`ToChild::Reloaded`] what became of it. Requests count from
    /// 1 in each bridge.
    Reload { request: u64 },
    /// An operator wants to know what a reload would do. `keep`: what was read may be wanted in force afterwards. One that was
    /// asked for before is given up.
    Plan { number: u64, keep: bool },
    /// What was read for the plan of this number is to be in force, which is a request as [`Self::Reload`] is, or may be forgotten.
    Settle { number: u64, request: Option<u64> },
    /// What somebody else had changed in the kernel, found when this configuration came.
    Drift { config: ConfigGeneration, drift: DriftReport },
}

/// Octets of why a configuration cannot be in force.
pub const WHY_MAX: usize = 4096;

/// When the daemon itself has a script run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Occasion {
    /// `startup_script`, before the engines start.
    Startup,
    /// `shutdown_script`, when they have gone.
    Shutdown,
}

/// Signals of operators. Children act on the last one only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserSignal {
    /// SIGUSR1, for VRRP alone.
    Data,
    /// SIGUSR2.
    Stats,
    /// SIGRTMAX-1.
    StatsClear,
}

/// What the supervisor must know of a configuration; the load process puts it before the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sheet {
    pub wants_vrrp: bool,
    pub wants_checks: bool,
    /// There are scripts to run or mails to send.
    pub wants_runner: bool,
    /// `snmp_socket`, unless the command line has one.
    pub snmp_socket: Option<String>,
    pub net_namespace: Option<String>,
    pub instance: Option<String>,
    pub use_pid_dir: bool,
    /// There are BFD sessions; the vrrp process has them.
    pub has_bfd: bool,
    pub process: ProcessSettings,
    /// Where the SNMP responder listens; the bridge gets no other socket.
    pub listen: Vec<SocketAddr>,
    /// Where HTTP is served, with the permissions and the group of Unix sockets.
    pub http: Vec<Endpoint>,
    pub http_mode: u32,
    /// Its number: only the load process has the time to ask a directory for it.
    pub http_group: Option<u32>,
    /// Files that the bridge may ask for.
    pub files: Vec<PathBuf>,
    pub textfile: Option<PathBuf>,
    /// There are RRD files to keep, in this directory.
    pub rrd: Option<PathBuf>,
    /// The first 48 bits of the SHA-256 of the configuration behind this sheet.
    pub hash: u64,
    pub warnings: u32,
    /// How long `startup_script` and `shutdown_script` may take, seconds, if there are such.
    pub startup_s: Option<u32>,
    pub shutdown_s: Option<u32>,
}

/// How many messages may wait for a child that does not read.
const QUEUE_MAX: usize = 64;

/// One end of a lifecycle socket.
#[derive(Debug)]
pub struct Channel {
    socket: Seqpacket,
    waiting: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    buffer: Vec<u8>,
}

/// The other end is gone, or is stuck.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("the other end is gone")]
    Gone,
    #[error("the other end has not read {QUEUE_MAX} messages")]
    Stuck,
    #[error("{0}")]
    Frame(#[from] frame::FrameError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// How [`Channel::hear`] ended.
#[derive(Debug)]
pub enum Heard {
    /// More may come.
    Everything,
    /// The supervisor is gone, or cannot be understood. The socket stays readable for ever.
    Last(Option<ChannelError>),
}

impl Channel {
    pub fn new(socket: Seqpacket) -> Channel {
        Channel { socket, waiting: VecDeque::new(), buffer: vec![0; seqpacket::FRAME_MAX] }
    }

    /// The child's end: standard input.
    pub fn from_stdin() -> io::Result<Channel> {
        let fd = io::stdin().as_fd().try_clone_to_owned()?;
        crate::sys::poll::set_nonblocking(&fd)?;
        Ok(Channel::new(Seqpacket::from_fd(fd)))
    }

    /// Queues a message and writes what fits.
    pub fn send<T: Serialize>(&mut self, message: &T, fd: Option<OwnedFd>) -> Result<(), ChannelError> {
        if self.waiting.len() >= QUEUE_MAX {
            return Err(ChannelError::Stuck);
        }
        self.waiting.push_back((frame::encode(message)?, fd));
        self.flush()
    }

    pub fn flush(&mut self) -> Result<(), ChannelError> {
        while let Some((bytes, fd)) = self.waiting.front() {
            let fds: Vec<BorrowedFd<'_>> = fd.iter().map(AsFd::as_fd).collect();
            match self.socket.send(bytes, &fds)? {
                seqpacket::Sent::Yes => self.waiting.pop_front(),
                seqpacket::Sent::Full => return Ok(()),
                seqpacket::Sent::Gone => return Err(ChannelError::Gone),
            };
        }
        Ok(())
    }

    pub fn wants_write(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next message, or `None` when there is none now.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Option<OwnedFd>)>, ChannelError> {
        match self.socket.receive(&mut self.buffer)? {
            Received::Nothing => Ok(None),
            Received::Gone => Err(ChannelError::Gone),
            Received::Frame(length, fds) => {
                let message = frame::decode(&self.buffer[..length])?.into_iter().next();
                match message {
                    Some(message) => Ok(Some((message, fds.into_iter().next()))),
                    None => Err(ChannelError::Gone),
                }
            }
        }
    }

    /// Writes what fits, reads what has come, and says whether this is the end, with a complaint if there is one. For
    /// children.
    pub fn hear(&mut self) -> (Vec<(ToChild, Option<OwnedFd>)>, Heard) {
        let _ = self.flush();
        let mut messages = Vec::new();
        loop {
            match self.receive() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return (messages, Heard::Everything),
                Err(ChannelError::Gone) => return (messages, Heard::Last(None)),
                Err(error) => return (messages, Heard::Last(Some(error))),
            }
        }
    }

    /// Waits for the first message; for a child that can do nothing before it.
    pub fn wait<T: DeserializeOwned>(&mut self) -> Result<(T, Option<OwnedFd>), ChannelError> {
        loop {
            if let Some(message) = self.receive()? {
                return Ok(message);
            }
            let mut poll = [nix::poll::PollFd::new(self.socket.as_fd(), nix::poll::PollFlags::POLLIN)];
            match nix::poll::poll(&mut poll, nix::poll::PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
