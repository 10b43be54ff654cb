//! The control socket: one line of JSON in, one line out, as [`crate::control`] defines them.
//!
//! The supervisor binds it and keeps it, so that tools wait while a bridge is started again; the bridge accepts. Each
//! connection is a task: it asks the bridge for a snapshot or to pass a command on, and nobody waits for it. Whoever may
//! open the socket may read; root and the daemon's user may write.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::stat::{Mode, umask};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::bus::msg::{Command, Generation, Reply, Source};
use crate::control::{Code, Request, Response, Step, error, handle, settled};
use crate::store::Snapshot;

/// Tools at once.
const CONNECTIONS_MAX: usize = 32;
/// Longest line that is read, octets.
const LINE_MAX: usize = 4096;
/// A tool that says nothing, or does not read its answer, for this long is left.
const IDLE: Duration = Duration::from_secs(60);
const WRITE: Duration = Duration::from_secs(5);
/// How long a command may take to be in force and visible.
const COMMAND: Duration = Duration::from_secs(2);

/// Where the socket is: in a place of its own for the daemon with Keepalived's usual pid file, beside the pid file for any
/// other.
pub fn path(pid_file: &Path) -> PathBuf {
    if pid_file == Path::new("/run/keepalived.pid") {
        PathBuf::from(DEFAULT_PATH)
    } else {
        pid_file.with_extension("sock")
    }
}

pub const DEFAULT_PATH: &str = "/run/keepwatch/control.sock";

/// The listening socket, as the supervisor holds it. Its name goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    fd: OwnedFd,
    path: PathBuf,
}

impl ControlSocket {
    /// Replaces a socket that a dead daemon left: the pid file is ours, so no other lives here.
    pub fn bind(path: &Path) -> io::Result<ControlSocket> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        // The mask, because changing the mode afterwards might be done to what somebody put in its place. The supervisor has
        // one thread.
        let before = umask(Mode::from_bits_truncate(0o177));
        let bound = bind(fd.as_raw_fd(), &UnixAddr::new(path)?);
        umask(before);
        bound?;
        listen(&fd, Backlog::new(64)?)?;
        Ok(ControlSocket { fd, path: path.to_owned() })
    }

    /// For a bridge.
    pub fn share(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }
}

impl AsFd for ControlSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What a connection asks of the bridge.
#[derive(Debug)]
pub enum Ask {
    Look(oneshot::Sender<Arc<Snapshot>>),
    Carry(Command, oneshot::Sender<Reply>),
}

/// The bridge's end of all connections.
#[derive(Debug)]
pub struct Control {
    /// Who may write, besides root.
    user: u32,
    asks: mpsc::Receiver<Ask>,
    ask: mpsc::Sender<Ask>,
    accepting: Option<JoinHandle<()>>,
    /// Commands under way, by request number.
    sent: BTreeMap<u64, (Source, oneshot::Sender<Reply>)>,
    /// Commands carried out, that readers do not see yet.
    unseen: Vec<(Source, Generation, Reply, oneshot::Sender<Reply>)>,
}

impl Control {
    /// `user`: the one that the daemon was started as.
    pub fn new(user: u32) -> Control {
        let (ask, asks) = mpsc::channel(CONNECTIONS_MAX);
        Control { user, asks, ask, accepting: None, sent: BTreeMap::new(), unseen: Vec::new() }
    }

    /// Accepts on this socket from now on.
    pub fn listen(&mut self, socket: OwnedFd) -> io::Result<()> {
        let listener = std::os::unix::net::UnixListener::from(socket);
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        if let Some(before) = self.accepting.take() {
            before.abort();
        }
        self.accepting = Some(tokio::spawn(accept(listener, self.user, self.ask.clone())));
        Ok(())
    }

    /// The next question.
    pub async fn asked(&mut self) -> Ask {
        match self.asks.recv().await {
            Some(ask) => ask,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    /// A command went to its owner under this number.
    pub fn sent(&mut self, request: u64, owner: Source, reply: oneshot::Sender<Reply>) {
        // Those whose connection has given up need not be kept.
        self.sent.retain(|_, (_, reply)| !reply.is_closed());
        self.sent.insert(request, (owner, reply));
    }

    /// The owner's answer; `shown` is what readers see of it now. False if it was nobody's here.
    pub fn replied(&mut self, from: Source, request: u64, reply: &Reply, shown: Generation) -> bool {
        if self.sent.get(&request).is_none_or(|(owner, _)| *owner != from) {
            return false;
        }
        if let Some((_, waiting)) = self.sent.remove(&request) {
            match *reply {
                Reply::Done { visible_at, .. } if visible_at > shown => {
                    self.unseen.push((from, visible_at, reply.clone(), waiting));
                }
                // A tool that has gone needs no answer.
                _ => drop(waiting.send(reply.clone())),
            }
        }
        true
    }

    /// Readers see this generation now.
    pub fn shown(&mut self, from: Source, generation: Generation) {
        let (seen, unseen) = std::mem::take(&mut self.unseen)
            .into_iter()
            .partition(|(source, visible_at, ..)| *source == from && *visible_at <= generation);
        self.unseen = unseen;
        for (_, _, reply, waiting) in seen {
            let _ = waiting.send(reply);
        }
    }

    /// This engine is another process now: what the old one was asked, nobody answers.
    pub fn restarted(&mut self, source: Source) {
        self.sent.retain(|_, (owner, _)| *owner != source);
        self.unseen.retain(|(owner, ..)| *owner != source);
    }
}

async fn accept(listener: UnixListener, user: u32, ask: mpsc::Sender<Ask>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!("cannot accept on the control socket: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Who it was when it connected, by the kernel's word.
        let peer = match stream.peer_cred() {
            Ok(peer) => peer.uid(),
            Err(error) => {
                warn!("the control socket's peer is unknown: {error}");
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            let busy = line(&error(Code::Busy, format!("{CONNECTIONS_MAX} tools are connected already")));
            // It fits an empty buffer, or is lost.
            let _ = stream.try_write(&busy);
            continue;
        };
        let ask = ask.clone();
        tokio::spawn(async move {
            converse(stream, peer == 0 || peer == user, ask).await;
            drop(permit);
        });
    }
}

/// Serves one connection until it ends, stalls or talks nonsense.
async fn converse(stream: UnixStream, may_write: bool, ask: mpsc::Sender<Ask>) {
    let mut stream = BufReader::new(stream);
    let mut text = Vec::new();
    loop {
        text.clear();
        let mut bounded = (&mut stream).take(LINE_MAX as u64 + 1);
        match timeout(IDLE, bounded.read_until(b'\n', &mut text)).await {
            Ok(Ok(0)) | Ok(Err(_)) | Err(_) => return,
            Ok(Ok(_)) => {}
        }
        let too_long = text.len() > LINE_MAX;
        let response = if too_long {
            error(Code::BadRequest, format!("a request is at most {LINE_MAX} octets"))
        } else {
            match serde_json::from_slice::<Request>(&text) {
                Ok(request) => answer(&request, may_write, &ask).await,
                Err(problem) => error(Code::BadRequest, problem.to_string()),
            }
        };
        if !matches!(timeout(WRITE, stream.write_all(&line(&response))).await, Ok(Ok(()))) || too_long {
            return;
        }
    }
}

async fn answer(request: &Request, may_write: bool, ask: &mpsc::Sender<Ask>) -> Response {
    let stopping = || error(Code::Unavailable, "the daemon stops");
    let Some(snapshot) = look(ask).await else { return stopping() };
    let command = match handle(request, &snapshot, may_write) {
        Step::Answer(response) => return response,
        Step::NeedsCommand(command) => command,
    };
    drop(snapshot);
    let (tell, told) = oneshot::channel();
    if ask.send(Ask::Carry(command.clone(), tell)).await.is_err() {
        return stopping();
    }
    let reply = match timeout(COMMAND, told).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => return error(Code::NoAnswer, "the checks process is not there; it is started again"),
        Err(_) => {
            let text = format!("no answer within {COMMAND:?}; it may still be carried out");
            return error(Code::NoAnswer, text);
        }
    };
    match look(ask).await {
        Some(snapshot) => {
            let response = settled(&command, &reply, &snapshot);
            if let (Command::SetWeight { server, weight }, Response::Servers { .. }) = (&command, &response) {
                info!("weight of {server} in {} set to {weight} over the control socket", server.service);
            }
            if let (Command::ResetWeight { server }, Response::Servers { .. }) = (&command, &response) {
                info!("weight of {server} in {} is as configured again", server.service);
            }
            response
        }
        None => stopping(),
    }
}

async fn look(ask: &mpsc::Sender<Ask>) -> Option<Arc<Snapshot>> {
    let (tell, told) = oneshot::channel();
    ask.send(Ask::Look(tell)).await.ok()?;
    told.await.ok()
}

fn line(response: &Response) -> Vec<u8> {
    let mut line = serde_json::to_vec(response).unwrap_or_else(|problem| {
        error!("an answer cannot be written as JSON: {problem}");
        Vec::new()
    });
    line.push(b'\n');
    line
}
