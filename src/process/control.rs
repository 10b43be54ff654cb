//! The control socket: one line of JSON in, one line out, as [`crate::control`] defines them.
//!
//! The supervisor binds it and keeps it, so that tools wait while a bridge is started again; the bridge accepts. Each
//! connection is a task: it asks the bridge for a snapshot or to pass a command on, and nobody waits for it. Whoever may
//! open the socket may read; root and the daemon's user may write.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::bus::msg::{Command, Generation, Reply, Source};
use crate::control::snmp::SnmpReport;
use crate::control::{Code, Request, Response, Step, error, handle, settled};
use crate::export::Look;
use crate::export::graph::{GraphError, GraphRequest};
use crate::export::look::ReloadReport;
use crate::report::PlanReport;
use crate::sys::listen;

/// Tools at once.
const CONNECTIONS_MAX: usize = 32;
/// Longest line that is read, octets.
const LINE_MAX: usize = 4096;

/// An answer is written in pieces of this size; each has [`Limits::write`].
const PIECE: usize = 64 << 10;

/// How long what may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// A tool that says nothing is left after this.
    idle: Duration,
    /// And one that does not read its answer, or a piece of a long one.
    write: Duration,
    /// The whole of a long answer.
    write_all: Duration,
    /// A command, until it is in force and visible.
    command: Duration,
    /// A configuration, until it is read and in force, or refused.
    reload: Duration,
}

const LIMITS: Limits = Limits {
    idle: Duration::from_secs(60),
    write: Duration::from_secs(5),
    write_all: Duration::from_secs(30),
    command: Duration::from_secs(2),
    reload: Duration::from_secs(60),
};

/// Where the socket is: in a place of its own for the daemon with Keepalived's usual pid file, beside the pid file for any
/// other.
pub fn path(pid_file: &Path) -> PathBuf {
    if is_usual(pid_file) { PathBuf::from(DEFAULT_PATH) } else { pid_file.with_extension("sock") }
}

/// Where the socket for HTTP is unless the configuration says so.
pub fn metrics_path(pid_file: &Path) -> PathBuf {
    if is_usual(pid_file) { PathBuf::from(DEFAULT_METRICS_PATH) } else { pid_file.with_extension("metrics.sock") }
}

fn is_usual(pid_file: &Path) -> bool {
    pid_file == Path::new("/run/keepalived.pid")
}

pub const DEFAULT_PATH: &str = "/run/keepwatch/control.sock";
pub const DEFAULT_METRICS_PATH: &str = "/run/keepwatch/metrics.sock";

/// The listening socket, as the supervisor holds it. Its name goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    fd: OwnedFd,
    path: PathBuf,
}

impl ControlSocket {
    /// Replaces a socket that a dead daemon left: the pid file is ours, so no other lives here.
    pub fn bind(path: &Path) -> io::Result<ControlSocket> {
        Ok(ControlSocket { fd: listen::unix(path, 0o600, None)?, path: path.to_owned() })
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
    Look(oneshot::Sender<Arc<Look>>),
    Carry(Command, oneshot::Sender<Reply>),
    Snmp(oneshot::Sender<Box<SnmpReport>>),
    /// Reads the configuration again, and answers when it is in force everywhere or refused. Whoever may not write must not
    /// ask this.
    Reload(oneshot::Sender<ReloadReport>),
    /// Reads the configuration, and answers what it would change. `safe`: it comes into force if that does no harm. Whoever may
    /// not write must not ask this.
    Plan {
        safe: bool,
        tell: oneshot::Sender<Planned>,
    },
    /// A picture of what was recorded.
    Draw(GraphRequest, oneshot::Sender<Result<Vec<u8>, GraphError>>),
    /// A file that the configuration names and only the supervisor may open.
    OpenFile(PathBuf, oneshot::Sender<io::Result<OwnedFd>>),
    /// An empty textfile; and it is whole.
    Textfile(oneshot::Sender<io::Result<OwnedFd>>),
    TextfileDone,
}

/// The answer to [`Ask::Plan`].
#[derive(Debug)]
pub enum Planned {
    /// Nothing was done.
    Would(Box<PlanReport>),
    /// It does no harm, and is done: this says when.
    Does(oneshot::Receiver<ReloadReport>),
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

    /// For others who ask as a connection does.
    pub fn asker(&self) -> mpsc::Sender<Ask> {
        self.ask.clone()
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
            converse(stream, peer == 0 || peer == user, ask, LIMITS).await;
            drop(permit);
        });
    }
}

/// Serves one connection until it ends, stalls or talks nonsense.
async fn converse(stream: UnixStream, may_write: bool, ask: mpsc::Sender<Ask>, limits: Limits) {
    let mut stream = BufReader::new(stream);
    let mut text = Vec::new();
    loop {
        text.clear();
        let mut bounded = (&mut stream).take(LINE_MAX as u64 + 1);
        match timeout(limits.idle, bounded.read_until(b'\n', &mut text)).await {
            Ok(Ok(0)) | Ok(Err(_)) | Err(_) => return,
            Ok(Ok(_)) => {}
        }
        let too_long = text.len() > LINE_MAX;
        let answer = if too_long {
            line(&error(Code::BadRequest, format!("a request is at most {LINE_MAX} octets")))
        } else {
            match serde_json::from_slice::<Request>(&text) {
                Ok(request) => answer(request, may_write, &ask, &limits).await,
                Err(problem) => line(&error(Code::BadRequest, problem.to_string())),
            }
        };
        if !matches!(timeout(limits.write_all, write(&mut stream, &answer, limits.write)).await, Ok(Ok(()))) || too_long
        {
            return;
        }
    }
}

/// Who reads slowly gets a long answer as well; who does not read at all is left.
async fn write(stream: &mut BufReader<UnixStream>, answer: &[u8], patience: Duration) -> io::Result<()> {
    for piece in answer.chunks(PIECE) {
        timeout(patience, stream.write_all(piece)).await??;
    }
    Ok(())
}

/// What is left to do for a line.
enum Rest {
    Written(Vec<u8>),
    Step(Step),
}

/// The answer as a line.
async fn answer(request: Request, may_write: bool, ask: &mpsc::Sender<Ask>, limits: &Limits) -> Vec<u8> {
    let Some(shown) = look(ask).await else { return line(&stopping()) };
    // Ten thousand servers are megabytes of JSON: nobody waits for that.
    let built = tokio::task::spawn_blocking(move || {
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match handle(&request, &shown, &host, may_write) {
            Step::Answer(response) => Rest::Written(line(&response)),
            step => Rest::Step(step),
        }
    });
    match built.await {
        Ok(Rest::Written(line)) => line,
        Ok(Rest::Step(step)) => line(&carry(step, ask, limits).await),
        Err(problem) => {
            error!("an answer over the control socket failed: {problem}");
            line(&stopping())
        }
    }
}

fn stopping() -> Response {
    error(Code::Unavailable, "the daemon stops")
}

async fn carry(step: Step, ask: &mpsc::Sender<Ask>, limits: &Limits) -> Response {
    let patience = limits.command;
    let command = match step {
        Step::Answer(response) => return response,
        Step::NeedsCommand(command) => command,
        Step::NeedsReload => return reload(ask, limits.reload).await,
        Step::NeedsPlan { safe } => return plan(safe, ask, limits.reload).await,
        Step::NeedsSnmp => {
            let (tell, told) = oneshot::channel();
            let asked = ask.send(Ask::Snmp(tell)).await.is_ok();
            return match told.await {
                Ok(snmp) if asked => Response::Snmp { snmp },
                Ok(_) | Err(_) => stopping(),
            };
        }
    };
    let owner = command.owner().name();
    let (tell, told) = oneshot::channel();
    if ask.send(Ask::Carry(command.clone(), tell)).await.is_err() {
        return stopping();
    }
    let reply = match timeout(patience, told).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => return error(Code::NoAnswer, format!("the {owner} process is not there; it is started again")),
        Err(_) => {
            let text = format!("no answer within {patience:?}; it may still be carried out");
            return error(Code::NoAnswer, text);
        }
    };
    match look(ask).await {
        Some(shown) => {
            let response = settled(&command, &reply, &shown);
            if let (Command::SetWeight { server, weight }, Response::Servers { .. }) = (&command, &response) {
                info!("weight of {server} in {} set to {weight} over the control socket", server.service);
            }
            if let (Command::ResetWeight { server }, Response::Servers { .. }) = (&command, &response) {
                info!("weight of {server} in {} is as configured again", server.service);
            }
            if let (Command::StandDown { instance, down }, Response::Instance { .. }) = (&command, &response) {
                let what = if *down { "lets others go first" } else { "takes part in the election again" };
                info!("({instance}) {what}, by an operator over the control socket");
            }
            response
        }
        None => stopping(),
    }
}

async fn reload(ask: &mpsc::Sender<Ask>, patience: Duration) -> Response {
    let (tell, told) = oneshot::channel();
    if ask.send(Ask::Reload(tell)).await.is_err() {
        return stopping();
    }
    settled_reload(told, patience).await
}

async fn settled_reload(told: oneshot::Receiver<ReloadReport>, patience: Duration) -> Response {
    match timeout(patience, told).await {
        Ok(Ok(reload)) => Response::Reload { reload },
        Ok(Err(_)) => error(Code::NoAnswer, "the supervisor cannot be told now"),
        Err(_) => error(Code::NoAnswer, format!("no end of it within {patience:?}; it goes on")),
    }
}

async fn plan(safe: bool, ask: &mpsc::Sender<Ask>, patience: Duration) -> Response {
    let (tell, told) = oneshot::channel();
    if ask.send(Ask::Plan { safe, tell }).await.is_err() {
        return stopping();
    }
    match timeout(patience, told).await {
        Ok(Ok(Planned::Would(plan))) => Response::Plan { plan },
        Ok(Ok(Planned::Does(told))) => settled_reload(told, patience).await,
        Ok(Err(_)) => error(Code::NoAnswer, "the supervisor cannot be told now"),
        Err(_) => error(Code::NoAnswer, format!("no plan within {patience:?}")),
    }
}

async fn look(ask: &mpsc::Sender<Ask>) -> Option<Arc<Look>> {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::bus::msg::Refusal;
    use crate::conf::model::{Family, Protocol};
    use crate::mib::fixture::check::{address_key, committed, server, service, service_rows};

    fn snapshot() -> Arc<Look> {
        let config = service(address_key("192.0.2.10", 80, Protocol::Tcp), Family::V4);
        let servers = vec![(server(&config, "192.168.1.10", 80, 3), Default::default())];
        let snapshot = committed(service_rows(1, config, Default::default(), servers)).snapshot();
        Arc::new(Look { snapshot, ..Look::default() })
    }

    const IMPATIENT: Limits = Limits {
        idle: Duration::from_secs(2),
        write: Duration::from_millis(400),
        write_all: Duration::from_secs(20),
        command: Duration::from_millis(200),
        reload: Duration::from_millis(200),
    };

    /// One connection, and a bridge whose engine answers so; `None`: it does not.
    fn connected(may_write: bool, reply: Option<Reply>) -> BufReader<UnixStream> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (ask, mut asks) = mpsc::channel(4);
        tokio::spawn(converse(theirs, may_write, ask, IMPATIENT));
        tokio::spawn(async move {
            let (mut unanswered, mut reloads) = (Vec::new(), Vec::new());
            while let Some(ask) = asks.recv().await {
                match (ask, reply.clone()) {
                    (Ask::Look(tell), _) => drop(tell.send(snapshot())),
                    (Ask::Snmp(tell), _) => drop(tell),
                    (Ask::Reload(tell), Some(_)) => {
                        drop(tell.send(ReloadReport { successful: true, accepted: 3, ..ReloadReport::default() }));
                    }
                    (Ask::Reload(tell), None) => reloads.push(tell),
                    (Ask::Plan { safe: true, tell }, Some(_)) => {
                        let (done, when) = oneshot::channel();
                        drop(tell.send(Planned::Does(when)));
                        drop(done.send(ReloadReport { successful: true, accepted: 4, ..ReloadReport::default() }));
                    }
                    (Ask::Plan { tell, .. }, _) => {
                        drop(
                            tell.send(Planned::Would(Box::new(crate::report::plan::refused("error: a\n".to_owned())))),
                        );
                    }
                    (Ask::Draw(_, tell), _) => drop(tell),
                    (Ask::OpenFile(_, tell) | Ask::Textfile(tell), _) => drop(tell),
                    (Ask::TextfileDone, _) => {}
                    (Ask::Carry(_, tell), Some(reply)) => drop(tell.send(reply)),
                    (Ask::Carry(_, tell), None) => unanswered.push(tell),
                }
            }
        });
        BufReader::new(ours)
    }

    async fn ask(stream: &mut BufReader<UnixStream>, line: &[u8]) -> Value {
        stream.write_all(line).await.unwrap();
        hear(stream).await
    }

    async fn hear(stream: &mut BufReader<UnixStream>) -> Value {
        let mut answer = String::new();
        timeout(Duration::from_secs(20), stream.read_line(&mut answer)).await.expect("an answer").unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn done() -> Reply {
        let key = address_key("192.0.2.10", 80, Protocol::Tcp);
        let address = "192.168.1.10".parse().unwrap();
        let server = crate::conf::model::ServerKey { service: key, address, port: 80, sorry: false };
        Reply::Done { undo: Command::ResetWeight { server }, visible_at: 1 }
    }

    const RELOAD: &[u8] = b"{\"command\":\"reload\"}\n";
    const SET: &[u8] = b"{\"command\":\"set-weight\",\"server\":\"192.168.1.10:80\",\"weight\":0}\n";

    #[tokio::test]
    async fn each_line_gets_its_answer_in_turn() {
        let mut stream = connected(true, Some(done()));
        let answer = ask(&mut stream, b"{\"command\":\"services\"}\n").await;
        assert_eq!(answer["services"][0]["service"], "192.0.2.10:80/tcp");
        let answer = ask(&mut stream, SET).await;
        assert_eq!(answer["answer"], "servers");
        assert_eq!(answer["servers"][0]["server"], "192.168.1.10:80");
        let two = b"{\"command\":\"servers\"}\n{\"command\":\"servers\",\"server\":\"x\"}\n";
        assert_eq!(ask(&mut stream, two).await["answer"], "servers");
        assert_eq!(hear(&mut stream).await["code"], "no-such-server");
    }

    #[tokio::test]
    async fn nonsense_is_answered_and_the_connection_goes_on() {
        let mut stream = connected(true, Some(done()));
        for line in [
            &b"\n"[..],
            b"hello\n",
            b"{}\n",
            b"[1,2]\n",
            b"{\"command\":\"reboot\"}\n",
            b"{\"command\":\"set-weight\",\"server\":\"x\"}\n",
            b"{\"command\":\"set-weight\",\"server\":\"x\",\"weight\":-1}\n",
            b"{\"command\":\"services\",\"more\":1}\n",
            b"\xff\xfe\n",
            b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
        ] {
            assert_eq!(ask(&mut stream, line).await["code"], "bad-request", "{}", line.escape_ascii());
        }
        assert_eq!(ask(&mut stream, b"{\"command\":\"services\"}\n").await["answer"], "services");
    }

    #[tokio::test]
    async fn a_line_without_end_is_not_collected() {
        let mut stream = connected(true, Some(done()));
        let answer = ask(&mut stream, &vec![b' '; LINE_MAX + 1]).await;
        assert_eq!(answer["code"], "bad-request");
        assert_eq!(stream.read_line(&mut String::new()).await.unwrap(), 0, "the connection is closed");
    }

    #[tokio::test]
    async fn who_may_not_write_is_told_so() {
        let mut stream = connected(false, Some(done()));
        for line in [SET, RELOAD, b"{\"command\":\"failover\",\"instance\":\"VI_1\"}\n"] {
            assert_eq!(ask(&mut stream, line).await["code"], "permission-denied");
        }
        assert_eq!(ask(&mut stream, b"{\"command\":\"servers\"}\n").await["answer"], "servers");
    }

    #[tokio::test]
    async fn a_command_that_is_refused_or_not_answered_ends_as_an_error() {
        let mut stream = connected(true, Some(Reply::Refused(Refusal::Kernel(12))));
        let answer = ask(&mut stream, SET).await;
        assert_eq!(
            answer,
            json!({"answer": "error", "code": "refused", "message": "the kernel refuses it (error 12)"})
        );
        let mut stream = connected(true, None);
        assert_eq!(ask(&mut stream, SET).await["code"], "no-answer");
    }

    #[tokio::test]
    async fn a_plan_is_an_answer_of_its_own_and_a_safe_reload_is_one_if_it_was_done() {
        for (line, does, answer, path) in [
            ("{\"command\":\"reload\",\"plan\":true}\n", Some(done()), "plan", "/plan/errors"),
            ("{\"command\":\"reload\",\"safe\":true}\n", None, "plan", "/plan/errors"),
            ("{\"command\":\"reload\",\"safe\":true}\n", Some(done()), "reload", "/reload/accepted"),
        ] {
            let heard = ask(&mut connected(true, does.clone()), line.as_bytes()).await;
            assert_eq!(heard["answer"], answer, "{line}");
            assert!(heard.pointer(path).is_some(), "{heard}");
            let heard = ask(&mut connected(false, does), line.as_bytes()).await;
            assert_eq!(heard["code"], "permission-denied", "{line}");
        }
    }

    #[tokio::test]
    async fn a_reload_is_answered_with_what_became_of_it_or_by_the_clock() {
        let mut stream = connected(true, Some(done()));
        let answer = ask(&mut stream, RELOAD).await;
        assert_eq!((&answer["answer"], &answer["reload"]["accepted"]), (&json!("reload"), &json!(3)));
        let mut stream = connected(true, None);
        assert_eq!(ask(&mut stream, RELOAD).await["code"], "no-answer");
    }

    #[tokio::test]
    async fn a_long_answer_gets_to_who_reads_slowly_and_who_does_not_read_is_left() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (tell, mut asks) = mpsc::channel(4);
        tokio::spawn(converse(theirs, true, tell, IMPATIENT));
        let config = service(address_key("192.0.2.10", 80, Protocol::Tcp), Family::V4);
        let address = |n: u32| format!("10.0.{}.{}", n / 250, n % 250 + 1);
        let servers = (0..5_000).map(|n| (server(&config, &address(n), 80, 3), Default::default())).collect();
        let snapshot = committed(service_rows(1, config, Default::default(), servers)).snapshot();
        let shown = Arc::new(Look { snapshot, ..Look::default() });
        tokio::spawn(async move {
            while let Some(Ask::Look(tell)) = asks.recv().await {
                drop(tell.send(Arc::clone(&shown)));
            }
        });
        let mut stream = BufReader::with_capacity(PIECE, ours);
        stream.write_all(b"{\"command\":\"ipvs\"}\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\n") {
            // Longer than one piece may take, all in all.
            sleep(Duration::from_millis(15)).await;
            let piece = timeout(Duration::from_secs(20), stream.fill_buf()).await.expect("a piece").unwrap().to_vec();
            assert!(!piece.is_empty(), "it ended after {} octets", answer.len());
            stream.consume(piece.len());
            answer.extend(piece);
        }
        assert!(answer.len() > 1 << 20);
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["ipvs"]["services"][0]["servers"].as_array().unwrap().len(), 5_000);

        stream.write_all(b"{\"command\":\"ipvs\"}\n").await.unwrap();
        sleep(3 * IMPATIENT.write).await;
        let mut rest = Vec::new();
        timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("the end").unwrap();
        assert!(!rest.ends_with(b"\n"), "the rest was thrown away");
    }

    #[tokio::test]
    async fn one_that_says_nothing_is_left() {
        let mut stream = connected(true, None);
        assert_eq!(stream.read_line(&mut String::new()).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_socket_is_for_its_owner_alone_and_bounded_in_connections() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep").join("control.sock");
        let socket = ControlSocket::bind(&path).unwrap();
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o7777, 0o600);
        let mut control = Control::new(nix::unistd::geteuid().as_raw());
        control.listen(socket.share().unwrap()).unwrap();
        tokio::spawn(async move {
            while let Ask::Look(tell) = control.asked().await {
                let _ = tell.send(snapshot());
            }
        });
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            let mut stream = BufReader::new(UnixStream::connect(&path).await.unwrap());
            assert_eq!(ask(&mut stream, b"{\"command\":\"services\"}\n").await["answer"], "services");
            streams.push(stream);
        }
        let mut refused = BufReader::new(UnixStream::connect(&path).await.unwrap());
        assert_eq!(hear(&mut refused).await["code"], "busy");
        drop(streams);
        drop(socket);
        assert!(!path.exists(), "the name goes with the socket");
        drop(ControlSocket::bind(&path).unwrap());
    }

    #[test]
    fn an_answer_waits_until_readers_see_it_and_comes_from_the_owner_only() {
        let mut control = Control::new(0);
        let done = |visible_at| match done() {
            Reply::Done { undo, .. } => Reply::Done { undo, visible_at },
            other => other,
        };
        let (tell, mut told) = oneshot::channel();
        control.sent(1, Source::Checks, tell);
        assert!(!control.replied(Source::Vrrp, 1, &done(9), 8));
        assert!(!control.replied(Source::Checks, 2, &done(9), 8));
        assert!(control.replied(Source::Checks, 1, &done(9), 7));
        control.shown(Source::Checks, 8);
        control.shown(Source::Vrrp, 9);
        assert!(told.try_recv().is_err());
        control.shown(Source::Checks, 9);
        assert_eq!(told.try_recv().unwrap(), done(9));

        let (tell, mut told) = oneshot::channel();
        control.sent(3, Source::Checks, tell);
        assert!(control.replied(Source::Checks, 3, &done(9), 9));
        assert_eq!(told.try_recv().unwrap(), done(9), "what is visible already is answered at once");

        let (tell, mut told) = oneshot::channel();
        control.sent(4, Source::Checks, tell);
        control.restarted(Source::Checks);
        assert_eq!(told.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }

    #[test]
    fn a_daemon_with_a_pid_file_of_its_own_has_a_socket_of_its_own() {
        assert_eq!(path(Path::new("/run/keepalived.pid")), Path::new(DEFAULT_PATH));
        let other = Path::new("/run/keepalived/keepalived_a.pid");
        assert_eq!(path(other), Path::new("/run/keepalived/keepalived_a.sock"));
        assert_eq!(metrics_path(Path::new("/run/keepalived.pid")), Path::new(DEFAULT_METRICS_PATH));
        assert_eq!(metrics_path(other), Path::new("/run/keepalived/keepalived_a.metrics.sock"));
    }
}
