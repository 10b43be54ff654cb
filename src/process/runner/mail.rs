//! Alerts by mail: one letter at a time over one connection, in their order, through the relay of `smtp_server`.
//!
//! A relay may stall, refuse, or never stop talking: each step has `smtp_connect_timeout`, a conversation reads a bounded
//! number of octets, and nobody else waits. What fails for a while is tried again a few times, then dropped.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::bus::timing::Deliveries;
use crate::clock::{self, WallTime};
use crate::conf::model::Global;

/// Letters that wait for the relay. When full, the oldest goes and is counted.
const QUEUE_MAX: usize = 256;

/// Pauses between attempts; after the last one the letter is dropped.
const BACKOFF: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(20), Duration::from_secs(60)];

/// What a relay may say in one conversation, octets.
const TALK_MAX: usize = 64 * 1024;

/// The sender of alerts. Letters are sent by a task of the runtime that it was started on.
pub struct Mailer {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// A letter came, or the settings changed.
    news: Notify,
    /// Something was finished.
    done: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Letter>,
    /// One has been taken from the queue and is on its way.
    busy: bool,
    settings: Arc<Settings>,
    /// What became of letters; how many wait is seen from the queue.
    done: Deliveries,
    /// No second attempts any more.
    last_call: bool,
    /// It was said that there is no relay or nobody to write to.
    complained: bool,
}

#[derive(Debug, Clone)]
struct Letter {
    subject: String,
    body: String,
    at: WallTime,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Settings {
    server: Option<SocketAddr>,
    /// For each step.
    patience: Duration,
    from: String,
    to: Vec<String>,
    helo: String,
    backoff: Vec<Duration>,
}

/// Why a letter did not go out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    /// Trying again will not help.
    permanent: bool,
    /// The relay said nothing in time.
    silent: bool,
    text: String,
}

impl Mailer {
    pub fn start() -> Mailer {
        let shared = Arc::new(Shared::default());
        tokio::spawn(send_all(Arc::clone(&shared)));
        Mailer { shared }
    }

    /// In force for every attempt from now on.
    pub fn configure(&self, global: &Global) {
        let host = host_name();
        let mail = &global.mail;
        self.set(Settings {
            server: mail.server,
            patience: Duration::from_secs(u64::from(mail.connect_timeout_s).max(1)),
            from: mail.from.clone().unwrap_or_else(|| format!("root@{host}")),
            to: mail.to.clone(),
            helo: mail.helo.clone().unwrap_or(host),
            backoff: BACKOFF.to_vec(),
        });
    }

    fn set(&self, settings: Settings) {
        let mut state = self.shared.lock();
        state.settings = Arc::new(settings);
        state.complained = false;
        drop(state);
        self.shared.news.notify_one();
    }

    pub fn push(&self, subject: String, body: String) {
        let mut state = self.shared.lock();
        if state.settings.server.is_none() || state.settings.to.is_empty() {
            state.done.dropped += 1;
            if !std::mem::replace(&mut state.complained, true) {
                warn!("alerts are not sent: there is no smtp_server, or no notification_email");
            }
            return;
        }
        if state.queue.len() >= QUEUE_MAX {
            state.done.dropped += 1;
            let dropped = state.done.dropped;
            if let Some(letter) = state.queue.pop_front() {
                warn!("mail dropped, {QUEUE_MAX} wait already ({dropped} dropped so far): {}", letter.subject);
            }
        }
        state.queue.push_back(Letter { subject, body, at: clock::wall() });
        drop(state);
        self.shared.news.notify_one();
    }

    /// The daemon stops: what waits is tried once.
    pub fn last_call(&self) {
        self.shared.lock().last_call = true;
        self.shared.news.notify_one();
    }

    /// Says what could not be sent in time.
    pub fn give_up(&self) {
        let state = self.shared.lock();
        let left = state.queue.len() + usize::from(state.busy);
        if left > 0 {
            warn!("{left} mails were not sent before the end");
        }
    }

    pub fn is_idle(&self) -> bool {
        let state = self.shared.lock();
        state.queue.is_empty() && !state.busy
    }

    /// Waits until a letter is sent or dropped.
    pub async fn idle(&self) {
        self.shared.done.notified().await;
    }

    /// What became of mails.
    pub fn delivered(&self) -> Deliveries {
        let state = self.shared.lock();
        let waiting = state.queue.len() + usize::from(state.busy);
        Deliveries { waiting: waiting as u64, ..state.done }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Letter> {
        let mut state = self.lock();
        let letter = state.queue.pop_front();
        state.busy = letter.is_some();
        letter
    }
}

async fn send_all(shared: Arc<Shared>) {
    loop {
        let Some(letter) = shared.take() else {
            shared.news.notified().await;
            continue;
        };
        let result = send(&shared, &letter).await;
        let mut state = shared.lock();
        state.busy = false;
        match result {
            Ok(()) => state.done.sent += 1,
            Err(failure) if failure.silent => state.done.timeout += 1,
            Err(_) => state.done.failed += 1,
        }
        drop(state);
        shared.done.notify_one();
    }
}

/// Tries until it is sent or nothing is left to try; then the last failure is what it failed of.
async fn send(shared: &Shared, letter: &Letter) -> Result<(), Failure> {
    let mut attempt = 0;
    loop {
        let settings = Arc::clone(&shared.lock().settings);
        let failure = match deliver(&settings, letter).await {
            Ok(()) => {
                info!("mail sent: {}", letter.subject);
                return Ok(());
            }
            Err(failure) => failure,
        };
        let pause = settings.backoff.get(attempt).copied().filter(|_| !failure.permanent && !shared.lock().last_call);
        let Some(pause) = pause else {
            error!("mail not sent ({}): {}", failure.text, letter.subject);
            return Err(failure);
        };
        attempt += 1;
        warn!("mail not sent yet ({}); again in {pause:?}: {}", failure.text, letter.subject);
        let over = sleep(pause);
        tokio::pin!(over);
        // New letters wake us too, and change nothing; the last call does.
        while !shared.lock().last_call {
            tokio::select! {
                () = &mut over => break,
                () = shared.news.notified() => {}
            }
        }
    }
}

async fn deliver(settings: &Settings, letter: &Letter) -> Result<(), Failure> {
    let Some(server) = settings.server else { return Err(Failure::permanent("there is no smtp_server any more")) };
    let from = mailbox(&settings.from, &settings.helo)?;
    let to: Vec<Mailbox> = settings.to.iter().map(|to| mailbox(to, &settings.helo)).collect::<Result<_, _>>()?;
    let text = compose(&from, &to, letter)?;
    let patience = settings.patience;

    let stream = match timeout(patience, TcpStream::connect(server)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(Failure::passing(format!("cannot connect to {server}: {error}"))),
        Err(_) => return Err(Failure::silence(format!("no connection to {server} within {patience:?}"))),
    };
    // The end of a message is a write of its own, which would wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let stream = Box::new(Bounded { stream, left: TALK_MAX });
    let helo = ClientId::Domain(settings.helo.clone());
    let greeting = AsyncSmtpConnection::connect_with_transport(stream, &helo);
    let mut relay = step("greeting", patience, greeting).await?;
    step("MAIL FROM", patience, relay.command(Mail::new(Some(from.email), vec![]))).await?;
    let mut refusals: Vec<Failure> = Vec::new();
    for to in &to {
        // One that is refused does not keep the others from their mail.
        match step("RCPT TO", patience, relay.command(Rcpt::new(to.email.clone(), vec![]))).await {
            Ok(_) => {}
            Err(failure) if failure.silent => return Err(failure),
            Err(failure) => refusals.push(Failure { text: format!("{}: {}", to.email, failure.text), ..failure }),
        }
    }
    if refusals.len() == to.len() {
        let permanent = refusals.iter().all(|refusal| refusal.permanent);
        let texts: Vec<String> = refusals.into_iter().map(|refusal| refusal.text).collect();
        return Err(Failure { permanent, silent: false, text: texts.join("; ") });
    }
    step("DATA", patience, relay.command(Data)).await?;
    step("message", patience, relay.message(&text)).await?;
    for refusal in refusals {
        warn!("an addressee did not get the mail: {}", refusal.text);
    }
    // It is sent whatever the answer to this is.
    let _ = step("QUIT", patience.min(Duration::from_secs(2)), relay.quit()).await;
    Ok(())
}

async fn step<T>(
    what: &str,
    patience: Duration,
    answer: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, Failure> {
    match timeout(patience, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            Err(Failure { permanent: error.is_permanent(), silent: false, text: format!("{what}: {error}") })
        }
        Err(_) => Err(Failure::silence(format!("{what}: no answer within {patience:?}"))),
    }
}

impl Failure {
    fn permanent(text: impl Into<String>) -> Failure {
        Failure { permanent: true, silent: false, text: text.into() }
    }

    fn passing(text: impl Into<String>) -> Failure {
        Failure { permanent: false, silent: false, text: text.into() }
    }

    fn silence(text: impl Into<String>) -> Failure {
        Failure { permanent: false, silent: true, text: text.into() }
    }
}

/// `user@host`, `Name <user@host>`; a name alone is of this host.
fn mailbox(text: &str, host: &str) -> Result<Mailbox, Failure> {
    let parsed = text.parse().or_else(|error| {
        let local = Address::new(text, host).map(|address| Mailbox::new(None, address));
        if text.contains('@') { Err(error) } else { local }
    });
    parsed.map_err(|error| Failure::permanent(format!("`{text}` is no mail address: {error}")))
}

fn compose(from: &Mailbox, to: &[Mailbox], letter: &Letter) -> Result<Vec<u8>, Failure> {
    // What a real server said may be in it, and must not become a header.
    let subject: String = letter.subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut message = Message::builder()
        .date(UNIX_EPOCH + Duration::from_nanos(letter.at.0))
        .from(from.clone())
        .subject(subject)
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("X-Mailer"), "keepwatch".to_owned()));
    for to in to {
        message = message.to(to.clone());
    }
    let message = message.body(letter.body.clone());
    message.map(|message| message.formatted()).map_err(|error| Failure::permanent(error.to_string()))
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// A stream that ends with an error when too much was read from it: the library collects a line until it ends.
struct Bounded {
    stream: TcpStream,
    left: usize,
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}

impl AsyncTokioStream for Bounded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::Error::other("it does not stop talking"))),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    /// How a relay treats one connection.
    #[derive(Debug, Clone, Copy)]
    enum Manner {
        Accepts,
        /// Says nothing after accepting the connection.
        Silent,
        /// Answers this command with this line.
        Answers(&'static str, &'static str),
        /// Hangs up at this command.
        HangsUp(&'static str),
        /// Its greeting never ends.
        Endless,
        /// Says nothing when it was told this.
        FallsSilent(&'static str),
    }

    /// A relay that treats its connections in these ways, the last one for ever. What it got is told: the addressees, then
    /// the text.
    async fn relay(
        manners: &'static [Manner],
    ) -> (SocketAddr, mpsc::UnboundedReceiver<(Vec<String>, String)>, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (got, mails) = mpsc::unbounded_channel();
        let count = Arc::new(AtomicUsize::new(0));
        let connections = Arc::clone(&count);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let manner = *manners.get(number).or(manners.last()).unwrap();
                tokio::spawn(serve(stream, manner, got.clone()));
            }
        });
        (address, mails, count)
    }

    async fn serve(stream: TcpStream, manner: Manner, got: mpsc::UnboundedSender<(Vec<String>, String)>) {
        let mut stream = BufReader::new(stream);
        match manner {
            Manner::Silent => {
                let _ = stream.read_to_end(&mut Vec::new()).await;
                return;
            }
            Manner::Endless => {
                while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
                return;
            }
            _ => stream.write_all(b"220 relay\r\n").await.unwrap(),
        }
        let (mut to, mut line) = (Vec::new(), String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end();
            match manner {
                Manner::HangsUp(at) if line.starts_with(at) => return,
                Manner::FallsSilent(at) if line.starts_with(at) => {
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                    return;
                }
                Manner::Answers(at, answer) if line.starts_with(at) => {
                    stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
                    continue;
                }
                _ => {}
            }
            if let Some(address) = line.strip_prefix("RCPT TO:") {
                to.push(address.to_owned());
            }
            if line == "DATA" {
                stream.write_all(b"354 go on\r\n").await.unwrap();
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    assert!(stream.read_line(&mut text).await.unwrap() > 0);
                }
                let _ = got.send((std::mem::take(&mut to), text));
            }
            stream.write_all(b"250 ok\r\n").await.unwrap();
        }
    }

    fn settings(server: SocketAddr) -> Settings {
        Settings {
            server: Some(server),
            patience: Duration::from_millis(300),
            from: "alerts@lb.example".into(),
            to: vec!["ops@example.com".into(), "root".into()],
            helo: "lb.example".into(),
            backoff: vec![Duration::from_millis(10); 3],
        }
    }

    fn mailer(server: SocketAddr) -> Mailer {
        let mailer = Mailer::start();
        mailer.set(settings(server));
        mailer
    }

    async fn finished(mailer: &Mailer) {
        let all = async {
            while !mailer.is_idle() {
                mailer.idle().await;
            }
        };
        timeout(Duration::from_secs(20), all).await.expect("the queue becomes empty");
    }

    fn letter() -> (String, String) {
        ("[lb] Realserver [192.168.1.10]:80 - DOWN".to_owned(), "=> CHECK failed <=".to_owned())
    }

    fn failed(server: SocketAddr) -> impl Future<Output = Failure> {
        let (subject, body) = letter();
        async move { deliver(&settings(server), &Letter { subject, body, at: WallTime(0) }).await.unwrap_err() }
    }

    #[tokio::test]
    async fn a_letter_arrives_with_the_headers_that_operators_filter_by() {
        let (server, mut mails, _) = relay(&[Manner::Accepts]).await;
        let mailer = mailer(server);
        let (subject, body) = letter();
        mailer.push(subject, body);
        let (to, text) = mails.recv().await.unwrap();
        assert_eq!(to, ["<ops@example.com>", "<root@lb.example>"]);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        for line in [
            "From: alerts@lb.example",
            "To: ops@example.com, root@lb.example",
            "Subject: [lb] Realserver [192.168.1.10]:80 - DOWN",
            "X-Mailer: keepwatch",
        ] {
            assert!(head.lines().any(|have| have == line), "{line} in {head}");
        }
        assert!(head.contains("Date: "));
        assert_eq!(body, "=> CHECK failed <=\r\n.\r\n");
        finished(&mailer).await;
    }

    #[tokio::test]
    async fn what_a_server_said_makes_no_header() {
        let (server, mut mails, _) = relay(&[Manner::Accepts]).await;
        let mailer = mailer(server);
        mailer.push("down\r\nBcc: everybody@example.com\r\n\r\nhello".into(), "..\n.\nMAIL FROM:<x@y>\n".into());
        let (to, text) = mails.recv().await.unwrap();
        assert_eq!(to.len(), 2);
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
        assert!(text.ends_with("\r\n\r\n...\r\n..\r\nMAIL FROM:<x@y>\r\n\r\n.\r\n"), "{text:?}");
        finished(&mailer).await;
    }

    #[tokio::test]
    async fn a_relay_that_fails_for_a_while_gets_the_letter_later() {
        let manners = &[Manner::Silent, Manner::HangsUp("EHLO"), Manner::Answers("MAIL", "451 busy"), Manner::Accepts];
        let (server, mut mails, count) = relay(manners).await;
        let mailer = mailer(server);
        let (subject, body) = letter();
        mailer.push(subject, body);
        assert!(mails.recv().await.is_some());
        assert_eq!(count.load(Ordering::SeqCst), 4);
        finished(&mailer).await;
    }

    #[tokio::test]
    async fn a_refused_letter_is_not_tried_again_and_the_next_goes_out() {
        let (server, mut mails, count) = relay(&[Manner::Answers("MAIL", "550 not from you"), Manner::Accepts]).await;
        let mailer = mailer(server);
        mailer.push("first".into(), String::new());
        mailer.push("second".into(), String::new());
        assert!(mails.recv().await.unwrap().1.contains("Subject: second"));
        finished(&mailer).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
        assert_eq!(mailer.delivered(), Deliveries { sent: 1, failed: 1, ..Deliveries::default() });
    }

    #[tokio::test]
    async fn a_letter_counts_once_as_what_its_last_attempt_came_to() {
        let server = relay(&[Manner::HangsUp("EHLO"), Manner::Silent]).await.0;
        let mailer = mailer(server);
        mailer.push("never".into(), String::new());
        assert_eq!(mailer.delivered(), Deliveries { waiting: 1, ..Deliveries::default() });
        finished(&mailer).await;
        assert_eq!(mailer.delivered(), Deliveries { timeout: 1, ..Deliveries::default() });
        mailer.set(Settings { server: None, ..settings(server) });
        mailer.push("nowhere to go".into(), String::new());
        assert_eq!(mailer.delivered(), Deliveries { timeout: 1, dropped: 1, ..Deliveries::default() });
    }

    #[tokio::test]
    async fn an_addressee_who_is_refused_does_not_keep_the_others_from_their_mail() {
        let manner = &[Manner::Answers("RCPT TO:<ops@example.com>", "550 nobody here")];
        let (server, mut mails, _) = relay(manner).await;
        let mailer = mailer(server);
        let (subject, body) = letter();
        mailer.push(subject, body);
        assert_eq!(mails.recv().await.unwrap().0, ["<root@lb.example>"]);
        finished(&mailer).await;
    }

    #[tokio::test]
    async fn every_way_to_stall_ends_at_its_deadline_with_its_reason() {
        for (manner, reason) in [
            (&[Manner::Silent], "greeting: no answer within 300ms"),
            (&[Manner::FallsSilent("EHLO")], "greeting: no answer within 300ms"),
            (&[Manner::FallsSilent("MAIL")], "MAIL FROM: no answer within 300ms"),
            (&[Manner::FallsSilent("RCPT")], "RCPT TO: no answer within 300ms"),
            (&[Manner::FallsSilent("DATA")], "DATA: no answer within 300ms"),
        ] {
            let (server, _mails, _) = relay(manner).await;
            let failure = timeout(Duration::from_secs(10), failed(server)).await.expect("it has a deadline");
            assert_eq!(failure, Failure::silence(reason), "{manner:?}");
        }
    }

    #[tokio::test]
    async fn a_relay_that_never_stops_talking_is_cut_off() {
        let (server, _mails, _) = relay(&[Manner::Endless]).await;
        let failure = failed(server).await;
        assert!(!failure.permanent && failure.text.contains("it does not stop talking"), "{failure:?}");
    }

    #[tokio::test]
    async fn a_relay_that_is_not_there_is_tried_again_and_then_given_up() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let failure = failed(server).await;
        assert!(!failure.permanent && failure.text.contains("cannot connect"), "{failure:?}");
        let mailer = mailer(server);
        mailer.push("lost".into(), String::new());
        finished(&mailer).await;
    }

    #[tokio::test]
    async fn of_too_many_letters_the_oldest_are_dropped_and_counted() {
        let (server, mut mails, _) = relay(&[Manner::Accepts]).await;
        let mailer = mailer(server);
        // Nothing is sent before this function waits.
        for number in 0..QUEUE_MAX + 10 {
            mailer.push(format!("letter {number}."), String::new());
        }
        assert_eq!(mailer.delivered(), Deliveries { dropped: 10, waiting: QUEUE_MAX as u64, ..Deliveries::default() });
        assert!(mails.recv().await.unwrap().1.contains("Subject: letter 10."));
        finished(&mailer).await;
    }

    #[tokio::test]
    async fn the_last_call_ends_a_pause_and_is_the_last_attempt() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mailer = Mailer::start();
        mailer.set(Settings { backoff: vec![Duration::from_secs(3600); 3], ..settings(server) });
        mailer.push("late".into(), String::new());
        while !mailer.shared.lock().busy {
            tokio::task::yield_now().await;
        }
        mailer.last_call();
        finished(&mailer).await;
    }
}
