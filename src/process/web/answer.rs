//! Answers: a status, headers that every answer has, and a body that knows when it is done.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::gate::{Exchange, Refusal};

/// What is handed to a connection at a time.
const CHUNK: usize = 64 * 1024;

pub type Answer = Response<Content>;

/// Types of what is answered.
pub const TEXT: &str = "text/plain; charset=utf-8";
pub const HTML: &str = "text/html; charset=utf-8";
pub const JSON: &str = "application/json";
pub const EVENTS: &str = "text/event-stream";

/// Nothing is loaded and nothing is sent; a page may have its style in it.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Of pictures: they may stand in other pages, and run nothing.
const POLICY_OF_PICTURES: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// A body: octets, and then what a stream still brings.
#[derive(Debug, Default)]
pub struct Content {
    bytes: Bytes,
    stream: Option<mpsc::Receiver<Bytes>>,
    /// Told when the body is done with.
    exchange: Option<Arc<Exchange>>,
    /// A place among those who are answered at once; given back with the body.
    place: Option<OwnedSemaphorePermit>,
}

impl Content {
    pub fn stream(first: Bytes, stream: mpsc::Receiver<Bytes>) -> Content {
        let mut content = Content::from(first);
        content.stream = Some(stream);
        content
    }

    pub fn holds(&mut self, place: OwnedSemaphorePermit) {
        self.place = Some(place);
    }

    pub fn belongs_to(&mut self, exchange: Arc<Exchange>) {
        if self.stream.is_some() {
            exchange.stream();
        }
        self.exchange = Some(exchange);
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Content {
        let mut content = Content::default();
        content.bytes = bytes;
        content
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if let Some(exchange) = &self.exchange {
            exchange.end();
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.bytes.is_empty() {
            let take = self.bytes.len().min(CHUNK);
            return Poll::Ready(Some(Ok(Frame::data(self.bytes.split_to(take)))));
        }
        match &mut self.stream {
            Some(stream) => stream.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk)))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.stream.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.stream {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)),
        }
    }
}

/// An answer of this type.
pub fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    with_content(status, kind, Content::from(body.into()))
}

pub fn with_content(status: StatusCode, kind: &'static str, content: Content) -> Answer {
    let mut answer = Response::new(content);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    let policy = if kind.starts_with("image/") { POLICY_OF_PICTURES } else { POLICY };
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    answer
}

/// Another policy, for a page that knows better what it needs.
pub fn with_policy(mut answer: Answer, policy: &'static str) -> Answer {
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    answer
}

/// An answer that says in a line what is the matter.
pub fn plain(status: StatusCode, text: &str) -> Answer {
    answer(status, TEXT, format!("{text}\n"))
}

/// It will be otherwise in a moment.
pub fn busy(status: StatusCode, text: &str) -> Answer {
    let mut answer = plain(status, text);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

pub fn method_not_allowed() -> Answer {
    let mut answer =
        plain(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD are all there is: nothing can be changed here");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer
}

pub fn unauthorized() -> Answer {
    let mut answer = plain(StatusCode::UNAUTHORIZED, "a name and a password are needed");
    let challenge = "Basic realm=\"keepwatch\", charset=\"UTF-8\"";
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    answer
}

/// No further request is read on this connection.
pub fn closing(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Headers that an operator wants in every answer.
pub fn set(headers: &mut HeaderMap, wanted: &[(String, String)]) {
    for (name, value) in wanted {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
            headers.insert(name, value);
        }
    }
}

/// A whole answer as octets, for a client that hyper does not see any more.
pub fn raw(refusal: Refusal) -> Vec<u8> {
    let answer = closing(plain(refusal.status, refusal.reason));
    let (parts, content) = answer.into_parts();
    let reason = parts.status.canonical_reason().unwrap_or("Refused");
    let mut octets = format!("HTTP/1.1 {} {reason}\r\n", parts.status.as_u16()).into_bytes();
    for (name, value) in &parts.headers {
        octets.extend_from_slice(name.as_str().as_bytes());
        octets.extend_from_slice(b": ");
        octets.extend_from_slice(value.as_bytes());
        octets.extend_from_slice(b"\r\n");
    }
    octets.extend_from_slice(format!("content-length: {}\r\n\r\n", content.bytes.len()).as_bytes());
    octets.extend_from_slice(&content.bytes);
    octets
}
