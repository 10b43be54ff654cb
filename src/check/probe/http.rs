//! HTTP_GET and SSL_GET: one request for one URL over a connection of its own; status, digest and regex decide.

use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::Judge;
use super::{Context, Stage, connect, tls};
use crate::check::io::{Cause, Failure};
use crate::conf::model::{HttpCheck, HttpVersion, Target, Url};

/// Longest header of a response, and most of a body that is held at a time.
const BUFFER: usize = 64 * 1024;

/// Header fields of a response.
const FIELDS: usize = 256;

const AGENT: HeaderValue = HeaderValue::from_static("keepwatch");

pub async fn run(context: &Context, check: &HttpCheck, url: usize, stage: &Stage) -> Result<(), Failure> {
    let url = check.urls.get(url).ok_or_else(|| Failure::new(Cause::Local, "no such URL"))?;
    visit(context, check, url, &mut judge(context, url)?, stage).await
}

/// The MD5 of the body that a checker's first URL gives, whatever its status. For genhash.
pub async fn digest(context: &Context, check: &HttpCheck, stage: &Stage) -> Result<[u8; 16], Failure> {
    let url = check.urls.first().ok_or_else(|| Failure::new(Cause::Local, "no such URL"))?;
    let any = Url { digest: Some([0; 16]), status: vec![(0, u16::MAX)], regex: None, ..url.clone() };
    let mut judge = judge(context, &any)?;
    let verdict = visit(context, check, &any, &mut judge, stage).await;
    match (judge.found(), verdict) {
        (Some(digest), _) => Ok(digest),
        (None, Err(failure)) => Err(failure),
        (None, Ok(())) => Err(Failure::new(Cause::Protocol, "the body has no end")),
    }
}

async fn visit(
    context: &Context,
    check: &HttpCheck,
    url: &Url,
    judge: &mut Judge,
    stage: &Stage,
) -> Result<(), Failure> {
    let request = request(check, url)?;
    let Some(settings) = &check.tls else {
        let stream = connect::tcp(&check.target, stage).await?;
        return exchange(stream, request, url, judge, stage).await.1;
    };
    let client = context.tls_context(settings.client.as_ref()).map_err(|error| Failure::new(Cause::Local, error))?;
    let name = settings.sni.then(|| settings.sni_name.as_deref().or(url.virtual_host.as_deref())).flatten();
    let stream = connect::tcp(&check.target, stage).await?;
    let stream = tls::handshake(&client, name.map(host_only), stream, stage).await?;
    let (mut stream, verdict) = exchange(stream, request, url, judge, stage).await;
    if settings.compliant || url.tls_compliant {
        // The verdict stands, whatever becomes of the farewell.
        let _ = tls::close(&mut stream).await;
    }
    verdict
}

/// What the body of this URL is judged by.
pub fn judge(context: &Context, url: &Url) -> Result<Judge, Failure> {
    let regex = match &url.regex {
        Some(regex) => Some(context.regex(regex).map_err(|error| Failure::new(Cause::Local, error))?),
        None => None,
    };
    Judge::new(url, regex)
}

/// The request as Keepalived writes it, but for the name of the agent.
pub fn request(check: &HttpCheck, url: &Url) -> Result<Request<Empty<Bytes>>, Failure> {
    let bad = |what: &str| Failure::new(Cause::Local, format!("no request can have this {what}"));
    let host = match &url.virtual_host {
        Some(host) => host.clone(),
        None => host_and_port(&check.target),
    };
    let uri: Uri = target_form(&url.path).parse().or(Err(bad("path")))?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri;
    *request.version_mut() = if check.version == HttpVersion::V1_1 { Version::HTTP_11 } else { Version::HTTP_10 };
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, AGENT);
    if check.version != HttpVersion::V1_0 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(HOST, HeaderValue::from_bytes(host.as_bytes()).or(Err(bad("virtualhost")))?);
    Ok(request)
}

/// Always with the port, as Keepalived does.
fn host_and_port(target: &Target) -> String {
    SocketAddr::new(target.address, target.port).to_string()
}

/// `www.example.com` of `www.example.com:8443`: a server name has no port (RFC 6066 section 3).
fn host_only(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The path with what a request line cannot carry percent-encoded, and with a slash in front.
fn target_form(path: &str) -> String {
    let mut target = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') && !path.starts_with("http://") && !path.starts_with("https://") {
        target.push('/');
    }
    for octet in path.bytes() {
        match octet {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#' | 0..=b' ' | 0x7F.. => {
                target.push_str(&format!("%{octet:02X}"));
            }
            _ => target.push(char::from(octet)),
        }
    }
    target
}

/// Sends the request, judges the response, and gives the stream back. Reads no more than the verdict needs.
pub async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: Request<Empty<Bytes>>,
    url: &Url,
    judge: &mut Judge,
    stage: &Stage,
) -> (S, Result<(), Failure>) {
    let handshake = Builder::new()
        .title_case_headers(true)
        .max_buf_size(BUFFER)
        .max_headers(FIELDS)
        // What a browser would forgive.
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .handshake(TokioIo::new(stream))
        .await;
    // Nothing is sent or read until the connection is polled.
    let (sender, mut connection): (SendRequest<_>, Connection<_, _>) =
        handshake.expect("hyper's handshake of HTTP/1 does no I/O");
    // The request goes out first: hyper takes what a server says unasked for an error.
    let verdict = tokio::select! {
        biased;
        verdict = converse(sender, request, url, judge, stage) => verdict,
        never = drive(&mut connection) => never,
    };
    (connection.into_parts().io.into_inner(), verdict)
}

/// Moves octets for as long as it is polled.
async fn drive<S: AsyncRead + AsyncWrite + Unpin, T>(connection: &mut Connection<TokioIo<S>, Empty<Bytes>>) -> T {
    // Its error also reaches whoever waits for the response. It is not shut down here: see `tls_compliant`.
    let _ = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    pending().await
}

async fn converse(
    mut sender: SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    url: &Url,
    judge: &mut Judge,
    stage: &Stage,
) -> Result<(), Failure> {
    stage.set("waiting for the response");
    let response: Response<Incoming> = sender.send_request(request).await.map_err(|error| broken(&error, stage))?;
    let status = response.status().as_u16();
    if !url.status.iter().any(|(first, last)| (*first..=*last).contains(&status)) {
        return Err(Failure::new(Cause::Status, format!("HTTP status {status}")));
    }
    stage.set("reading the body");
    let mut body = response.into_body();
    while judge.wants_more() {
        let Some(frame) = body.frame().await else { break };
        if let Some(piece) = frame.map_err(|error| broken(&error, stage))?.data_ref() {
            judge.feed(piece)?;
        }
        // A server that always has more is not to keep this thread.
        tokio::task::yield_now().await;
    }
    judge.finish()
}

fn broken(error: &hyper::Error, stage: &Stage) -> Failure {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return match error.get_ref().and_then(|inner| inner.downcast_ref::<openssl::ssl::Error>()) {
                Some(error) => Failure::new(
                    Cause::Tls,
                    error
                        .ssl_error()
                        .map_or_else(|| format!("TLS: {error}"), |stack| format!("TLS: {}", tls::said(stack))),
                ),
                None => connect::broken(error, stage),
            };
        }
        source = cause.source();
    }
    let text = if error.is_parse() && error.to_string().contains("too large") {
        "response header too long".to_owned()
    } else if error.is_parse() {
        format!("not a response of HTTP/1: {error}")
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        format!("connection closed {stage}")
    } else {
        format!("{error} {stage}")
    };
    Failure::new(Cause::Protocol, text)
}
