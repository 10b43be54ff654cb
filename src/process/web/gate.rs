//! Between a client and hyper: whole heads go in, and time is kept both ways.
//!
//! Nothing is read from a client but the heads of GET and HEAD, so a stream from one is a row of heads. The gate collects one
//! at a time, within a size and a time, and looks at its form; what does not fit is not shown to hyper: it sees the end of
//! the stream, and the [`Refusal`] says what to answer. A client that does not read its answer is left at a deadline, too.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Longest head, octets.
pub const HEAD_MAX: usize = 16 * 1024;
/// Longest request line.
pub const LINE_MAX: usize = 4096;
/// Most header fields. hyper has room for as many.
pub const FIELDS_MAX: usize = 100;

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A head, from its first octet to its last.
    pub head: Duration,
    /// Until the next request on the same connection.
    pub idle: Duration,
    /// A client that takes nothing of what is sent to it.
    pub stall: Duration,
    /// A whole answer. Streams of events have no end.
    pub answer: Duration,
}

pub const PATIENCE: Patience = Patience {
    head: Duration::from_secs(10),
    idle: Duration::from_secs(90),
    stall: Duration::from_secs(10),
    answer: Duration::from_secs(30),
};

/// Why a client is not listened to any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub reason: &'static str,
}

/// What the gate and the service know of each other.
#[derive(Debug, Default)]
pub struct Exchange {
    /// A request is being answered.
    busy: AtomicBool,
    /// The answer is a stream of events.
    streaming: AtomicBool,
    /// The reading side, which rests meanwhile.
    reader: Mutex<Option<Waker>>,
}

impl Exchange {
    pub fn begin(&self) {
        self.streaming.store(false, Ordering::Relaxed);
        self.busy.store(true, Ordering::Relaxed);
    }

    pub fn stream(&self) {
        self.streaming.store(true, Ordering::Relaxed);
    }

    pub fn end(&self) {
        self.busy.store(false, Ordering::Relaxed);
        let reader = self.reader.lock().ok().and_then(|mut reader| reader.take());
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Whether a request is being answered; if so, `context` is woken when it is over.
    fn is_busy(&self, context: &Context<'_>) -> bool {
        if !self.busy.load(Ordering::Relaxed) {
            return false;
        }
        if let Ok(mut reader) = self.reader.lock() {
            *reader = Some(context.waker().clone());
        }
        true
    }
}

/// What the reading side waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// A request, or the end.
    Idle,
    /// The rest of a head.
    Head,
}

#[derive(Debug)]
pub struct Gate<S> {
    inner: S,
    patience: Patience,
    exchange: Arc<Exchange>,
    /// Of a head that is not whole yet.
    held: Vec<u8>,
    /// A whole head, and how much of it hyper has read.
    passed: (Vec<u8>, usize),
    waiting: Option<(Waiting, Pin<Box<Sleep>>)>,
    /// A body follows, which nobody reads.
    last: bool,
    ended: bool,
    refusal: Option<Refusal>,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Since the answer met its first full buffer.
    answering: Option<Pin<Box<Sleep>>>,
}

impl<S> Gate<S> {
    pub fn new(inner: S, patience: Patience, exchange: Arc<Exchange>) -> Gate<S> {
        Gate {
            inner,
            patience,
            exchange,
            held: Vec::new(),
            passed: (Vec::new(), 0),
            waiting: None,
            last: false,
            ended: false,
            refusal: None,
            stalled: None,
            answering: None,
        }
    }

    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    pub fn into_inner(self) -> S {
        self.inner
    }

    fn refuse(&mut self, status: StatusCode, reason: &'static str) {
        self.refusal = Some(Refusal { status, reason });
        self.ended = true;
    }

    /// Passes a head on when it is whole.
    fn sort(&mut self) {
        // Empty lines before a request are passed over (RFC 9112 section 2.2).
        let blank = self.held.iter().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
        self.held.drain(..blank);
        let Some(length) = end_of_head(&self.held) else {
            if let Err(refusal) = unfinished(&self.held) {
                self.refuse(refusal.status, refusal.reason);
            }
            return;
        };
        let rest = self.held.split_off(length);
        let head = std::mem::replace(&mut self.held, rest);
        match examine(&head) {
            Ok(body) => {
                self.last = body;
                self.passed = (head, 0);
                self.answering = None;
                self.waiting = None;
            }
            Err(refusal) => self.refuse(refusal.status, refusal.reason),
        }
    }

    /// Whether the client took too long.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        if self.exchange.is_busy(context) {
            self.waiting = None;
            return false;
        }
        let (wanted, limit) = if self.held.is_empty() {
            (Waiting::Idle, self.patience.idle)
        } else {
            (Waiting::Head, self.patience.head)
        };
        let timer = match &mut self.waiting {
            Some((waiting, timer)) if *waiting == wanted => timer,
            waiting => &mut waiting.insert((wanted, Box::pin(sleep(limit)))).1,
        };
        if timer.as_mut().poll(context).is_pending() {
            return false;
        }
        match wanted {
            Waiting::Head => self.refuse(StatusCode::REQUEST_TIMEOUT, "the request did not come to its end in time"),
            Waiting::Idle => self.ended = true,
        }
        true
    }

    /// What a full buffer means: nothing yet, or the end of patience.
    fn blocked(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        let stall = self.patience.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        if stalled.as_mut().poll(context).is_ready() {
            return Some(io::ErrorKind::TimedOut.into());
        }
        if self.exchange.streaming.load(Ordering::Relaxed) {
            return None;
        }
        let answer = self.patience.answer;
        let answering = self.answering.get_or_insert_with(|| Box::pin(sleep(answer)));
        answering.as_mut().poll(context).is_ready().then(|| io::ErrorKind::TimedOut.into())
    }
}

/// Reads in one go; then others have their turn.
const READS_PER_TURN: usize = 8;

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let gate = &mut *self;
        for _ in 0..READS_PER_TURN {
            let (head, read) = &mut gate.passed;
            if let Some(rest) = head.get(*read..).filter(|rest| !rest.is_empty()) {
                let take = rest.get(..to.remaining()).unwrap_or(rest);
                to.put_slice(take);
                *read += take.len();
                return Poll::Ready(Ok(()));
            }
            if gate.last && !gate.ended {
                // The answer closes the connection.
                return Poll::Pending;
            }
            if gate.ended {
                return Poll::Ready(Ok(()));
            }
            // What came with the request before.
            if !gate.held.is_empty() && !gate.exchange.is_busy(context) && gate.waiting.is_none() {
                gate.sort();
                if gate.ended || gate.passed.1 < gate.passed.0.len() {
                    continue;
                }
            }
            if gate.is_late(context) {
                continue;
            }
            if gate.exchange.is_busy(context) && gate.held.len() > HEAD_MAX {
                // Who asks that much at once is read on when he has his answer.
                return Poll::Pending;
            }
            let mut octets = [0; 4096];
            let mut chunk = ReadBuf::new(&mut octets);
            match Pin::new(&mut gate.inner).poll_read(context, &mut chunk) {
                Poll::Ready(Ok(())) if chunk.filled().is_empty() => gate.ended = true,
                Poll::Ready(Ok(())) => {
                    gate.held.extend_from_slice(chunk.filled());
                    if !gate.exchange.is_busy(context) {
                        gate.sort();
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // The deadline of what has begun just now.
                    if gate.is_late(context) {
                        continue;
                    }
                    return Poll::Pending;
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write(context, from) {
            Poll::Pending => match self.blocked(context) {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
            ready => {
                self.stalled = None;
                ready
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_flush(context) {
            Poll::Pending => match self.blocked(context) {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
            ready => {
                self.stalled = None;
                ready
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_shutdown(context) {
            Poll::Pending => match self.blocked(context) {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
            ready => ready,
        }
    }
}

/// The length of a head with the empty line that ends it.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let line = from + bytes.get(from..)?.iter().position(|octet| *octet == b'\n')?;
        match bytes.get(line + 1..)? {
            [b'\n', ..] => return Some(line + 2),
            [b'\r', b'\n', ..] => return Some(line + 3),
            _ => from = line + 1,
        }
    }
}

const fn refusal(status: StatusCode, reason: &'static str) -> Refusal {
    Refusal { status, reason }
}

const NONSENSE: Refusal = refusal(StatusCode::BAD_REQUEST, "this is not a request of HTTP/1.1");
const TOO_LONG: Refusal = refusal(StatusCode::URI_TOO_LONG, "the request line is too long");
const TOO_LARGE: Refusal = refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the header is too large");

/// What can be said of the beginning of a head.
fn unfinished(bytes: &[u8]) -> Result<(), Refusal> {
    let line = bytes.iter().position(|octet| *octet == b'\n').unwrap_or(bytes.len());
    // What does not begin like a method will not become a request: TLS, say.
    if bytes.first().is_some_and(|octet| !is_token(*octet)) {
        return Err(NONSENSE);
    }
    if line > LINE_MAX {
        return Err(TOO_LONG);
    }
    if bytes.len() > HEAD_MAX { Err(TOO_LARGE) } else { Ok(()) }
}

/// Whether a body follows; or what is wrong with a whole head.
fn examine(head: &[u8]) -> Result<bool, Refusal> {
    unfinished(head)?;
    let mut lines = head.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let request = lines.next().unwrap_or_default();
    // hyper has its own word about what is between method and version, and the routes about the target.
    let mut words = request.split(|octet| *octet == b' ');
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    let version = words.next().unwrap_or_default();
    if method.is_empty() || !method.iter().copied().all(is_token) || target.is_empty() || words.next().is_some() {
        return Err(NONSENSE);
    }
    if !target.iter().all(|octet| octet.is_ascii_graphic()) {
        return Err(refusal(StatusCode::BAD_REQUEST, "the target of a request is ASCII without control characters"));
    }
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => {}
        version if version.starts_with(b"HTTP/") => {
            return Err(refusal(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here"));
        }
        _ => return Err(NONSENSE),
    }
    let mut body = false;
    let mut fields = 0;
    for line in lines.filter(|line| !line.is_empty()) {
        fields += 1;
        if fields > FIELDS_MAX {
            return Err(refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "there are too many header fields"));
        }
        let colon = line.iter().position(|octet| *octet == b':').ok_or(NONSENSE)?;
        let (name, value) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return Err(NONSENSE);
        }
        if value.iter().any(|octet| octet.is_ascii_control() && *octet != b'\t') {
            return Err(NONSENSE);
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        body |= is("transfer-encoding") || is("content-length") && value.trim_ascii() != b"0";
    }
    Ok(body)
}

/// Of a method or a header's name (RFC 9110 section 5.6.2).
fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

#[cfg(test)]
mod tests;
