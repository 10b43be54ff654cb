//! Probes against servers of every kind of malice, in one thread on the loopback interface.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::Instant;

use super::*;
use crate::conf::model::{DnsCheck, HttpCheck, HttpVersion, SmtpCheck, TlsSettings, UdpCheck, UdpReply, Url};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Time-out of probes that are to run into it.
const SHORT: Duration = Duration::from_millis(300);

/// Time-out of those that are not; nobody waits for it.
const LONG: Duration = Duration::from_secs(60);

/// For a machine that has other things to do than these tests.
const SLACK: Duration = Duration::from_secs(1);

fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

/// A server that does this with each connection.
async fn server<F: Future<Output = ()> + 'static>(serve: impl Fn(TcpStream) -> F + 'static) -> u16 {
    let listener = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::task::spawn_local(serve(stream));
        }
    });
    port
}

/// Reads the request, answers with these octets and closes.
async fn answering(response: &'static [u8]) -> u16 {
    server(move |mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(response).await;
    })
    .await
}

async fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.unwrap_or(0) > 0 {}
    request
}

/// Reads the request, sends the beginning, then the rest again and again until nobody takes it any more.
async fn flood(mut stream: TcpStream, beginning: &[u8], again: &[u8]) {
    let _ = stream.read(&mut [0; 1000]).await;
    let _ = stream.write_all(beginning).await;
    while stream.write_all(again).await.is_ok() {}
}

/// Reads the request, sends the beginning, then one octet of the rest every 50 ms, over and over.
async fn drip(mut stream: TcpStream, beginning: &[u8], rest: &[u8]) {
    let _ = stream.read(&mut [0; 1000]).await;
    let _ = stream.write_all(beginning).await;
    for octet in rest.iter().cycle() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if stream.write_all(&[*octet]).await.is_err() {
            return;
        }
    }
}

fn target(port: u16, timeout: Duration) -> Target {
    Target {
        address: LOCALHOST,
        port,
        bind: None,
        bind_port: 0,
        interface: None,
        mark: 0,
        timeout_us: timeout.as_micros() as u64,
    }
}

fn url() -> Url {
    Url {
        path: "/health".to_owned(),
        virtual_host: None,
        digest: None,
        status: vec![(200, 299)],
        regex: None,
        tls_compliant: false,
    }
}

fn http_check(target: Target, url: Url) -> HttpCheck {
    HttpCheck { target, tls: None, version: HttpVersion::V1_0, urls: vec![url], fast_recovery: false }
}

fn http(port: u16, timeout: Duration, url: Url) -> Check {
    Check::Http(Box::new(http_check(target(port, timeout), url)))
}

fn ssl(port: u16, timeout: Duration) -> Check {
    let tls = Some(TlsSettings::default());
    Check::Http(Box::new(HttpCheck { tls, ..http_check(target(port, timeout), url()) }))
}

fn regex(pattern: &str) -> Option<BodyRegex> {
    Some(BodyRegex {
        pattern: pattern.to_owned(),
        options: vec![],
        no_match: false,
        min_offset: 0,
        max_offset: None,
        stack: None,
    })
}

async fn probe(check: &Check) -> Outcome {
    run(&Context::new(), check, 0).await
}

/// The probe fails, within its time-out.
async fn failure(check: &Check) -> (Cause, String) {
    let limit = Duration::from_micros(super::target(check).unwrap().timeout_us);
    let start = Instant::now();
    let outcome = probe(check).await;
    let took = start.elapsed();
    assert!(took < limit + SLACK, "{took:?} of {limit:?}");
    match outcome {
        Outcome::Failed(failure) => (failure.cause, failure.text),
        passed => panic!("{passed:?}"),
    }
}

fn timed_out(doing: &str) -> (Cause, String) {
    (Cause::Timeout, format!("timed out after 300ms {doing}"))
}

fn protocol(text: &str) -> (Cause, String) {
    (Cause::Protocol, text.to_owned())
}

#[test]
fn probes_can_be_moved_between_threads() {
    fn send<T: Send>(_: T) {}
    let context = Context::new();
    let check = Check::Tcp(target(1, SHORT));
    send(run(&context, &check, 0));
}

// ---- TCP_CHECK

#[test]
fn a_connection_is_all_that_tcp_check_wants() {
    block_on(async {
        let port = server(|mut stream| async move {
            assert_eq!(stream.read(&mut [0; 10]).await.unwrap_or(0), 0, "nothing is sent");
        })
        .await;
        assert_eq!(probe(&Check::Tcp(target(port, LONG))).await, Outcome::Passed);
        let fixed = Target { bind: Some(LOCALHOST), bind_port: free_port().await, ..target(port, LONG) };
        assert_eq!(probe(&Check::Tcp(fixed.clone())).await, Outcome::Passed);
        assert_eq!(probe(&Check::Tcp(fixed)).await, Outcome::Passed, "the port can be used again");
    });
}

async fn free_port() -> u16 {
    TcpListener::bind((LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port()
}

#[test]
fn a_closed_port_is_refused_at_once() {
    block_on(async {
        let check = Check::Tcp(target(free_port().await, LONG));
        assert_eq!(failure(&check).await, (Cause::Refused, "connection refused".to_owned()));
    });
}

#[test]
fn a_blackhole_times_out_while_connecting() {
    block_on(async {
        // A listener whose queue is full answers no SYN.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(LOCALHOST, 0)).unwrap();
        let listener = socket.listen(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut held = Vec::new();
        while let Ok(stream) = tokio::time::timeout(SHORT, TcpStream::connect((LOCALHOST, port))).await {
            held.push(stream);
        }
        assert_eq!(failure(&Check::Tcp(target(port, SHORT))).await, timed_out("connecting"));
    });
}

#[test]
fn what_this_host_cannot_do_says_so() {
    block_on(async {
        let elsewhere = Target { bind: Some(Ipv4Addr::new(192, 0, 2, 1).into()), ..target(1, SHORT) };
        let (cause, text) = failure(&Check::Tcp(elsewhere)).await;
        assert_eq!((cause, &*text), (Cause::Local, "bind to 192.0.2.1:0: cannot assign requested address"));
        let nowhere = Target { interface: Some("nosuch0".to_owned()), ..target(1, SHORT) };
        let (cause, text) = failure(&Check::Tcp(nowhere)).await;
        assert_eq!(cause, Cause::Local);
        assert!(text.starts_with("interface nosuch0: "), "{text}");
    });
}

// ---- HTTP_GET

#[test]
fn the_request_is_keepalived_s_but_for_the_agent() {
    let check = http_check(target(80, SHORT), url());
    let cases = [
        (HttpVersion::V1_0, None, "GET /health HTTP/1.0\r\nUser-Agent: keepwatch\r\nHost: 127.0.0.1:80\r\n\r\n"),
        (
            HttpVersion::V1_0Close,
            Some("a.example:81"),
            "GET /health HTTP/1.0\r\nUser-Agent: keepwatch\r\nConnection: close\r\nHost: a.example:81\r\n\r\n",
        ),
        (
            HttpVersion::V1_1,
            None,
            "GET /health HTTP/1.1\r\nUser-Agent: keepwatch\r\nConnection: close\r\nHost: 127.0.0.1:80\r\n\r\n",
        ),
    ];
    for (version, host, expected) in cases {
        let check = HttpCheck { version, ..check.clone() };
        let url = Url { virtual_host: host.map(str::to_owned), ..url() };
        assert_eq!(request_octets(&check, &url), expected);
    }
    let v6 = HttpCheck { target: Target { address: "::1".parse().unwrap(), ..target(80, SHORT) }, ..check.clone() };
    assert!(request_octets(&v6, &url()).contains("\r\nHost: [::1]:80\r\n"));
    let odd = Url { path: "a b/ü?q=[1]&x".to_owned(), ..url() };
    assert!(request_octets(&check, &odd).starts_with("GET /a%20b/%C3%BC?q=[1]&x HTTP/1.0\r\n"));
}

fn request_octets(check: &HttpCheck, url: &Url) -> String {
    block_on(async {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let request = http::request(check, url).unwrap();
        let mut judge = http::judge(&Context::new(), url).unwrap();
        let answer = async {
            let mut read = Vec::new();
            while !read.ends_with(b"\r\n\r\n") {
                theirs.read_buf(&mut read).await.unwrap();
            }
            theirs.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.unwrap();
            String::from_utf8(read).unwrap()
        };
        let stage = Stage::default();
        let (read, (_, verdict)) = tokio::join!(answer, http::exchange(ours, request, url, &mut judge, &stage));
        assert_eq!(verdict, Ok(()));
        read
    })
}

#[test]
fn a_status_in_a_range_passes_and_any_other_fails() {
    block_on(async {
        let good = answering(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(probe(&http(good, LONG, url())).await, Outcome::Passed);
        let bad = answering(b"HTTP/1.1 503 Oh\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(failure(&http(bad, LONG, url())).await, (Cause::Status, "HTTP status 503".to_owned()));
        let wanted = Url { status: vec![(200, 200), (500, 503)], ..url() };
        assert_eq!(probe(&http(bad, LONG, wanted)).await, Outcome::Passed);
        let informed = answering(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(probe(&http(informed, LONG, url())).await, Outcome::Passed);
        let terse = answering(b"HTTP/1.0 200\n\n").await;
        assert_eq!(probe(&http(terse, LONG, url())).await, Outcome::Passed);
    });
}

#[test]
fn digest_and_regex_judge_the_body_however_it_is_framed() {
    block_on(async {
        let digest = [0xb1, 0x94, 0x6a, 0xc9, 0x24, 0x92, 0xd2, 0x34, 0x7c, 0x62, 0x35, 0xb4, 0xd2, 0x61, 0x11, 0x84];
        let wanted = Url { digest: Some(digest), regex: regex("^hel+o$"), ..url() };
        for response in [
            &b"HTTP/1.0 200 OK\r\n\r\nhello\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n4\r\nllo\n\r\n0\r\n\r\n",
        ] {
            let port = answering(response).await;
            assert_eq!(probe(&http(port, LONG, wanted.clone())).await, Outcome::Passed);
        }
        let other = answering(b"HTTP/1.0 200 OK\r\n\r\nhallo\n").await;
        let (cause, text) = failure(&http(other, LONG, Url { regex: None, ..wanted.clone() })).await;
        assert_eq!((cause, &*text), (Cause::Digest, "MD5 of the body is aee97cb3ad288ef0add6c6b5b5fae48a"));
        let (cause, _) = failure(&http(other, LONG, Url { digest: None, ..wanted })).await;
        assert_eq!(cause, Cause::Regex);
    });
}

#[test]
fn a_server_that_keeps_the_connection_open_after_its_answer_passes() {
    block_on(async {
        let port = server(|mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
            let _ = stream.read(&mut [0; 1]).await;
        })
        .await;
        assert_eq!(probe(&http(port, LONG, Url { regex: regex("hello$"), ..url() })).await, Outcome::Passed);
    });
}

#[test]
fn no_more_of_a_body_is_read_than_the_verdict_needs() {
    block_on(async {
        let port = server(|stream| flood(stream, b"HTTP/1.0 200 OK\r\n\r\n", b"endless ")).await;
        assert_eq!(probe(&http(port, LONG, url())).await, Outcome::Passed);
        assert_eq!(probe(&http(port, LONG, Url { regex: regex("less end"), ..url() })).await, Outcome::Passed);
    });
}

#[test]
fn gigabytes_of_body_end_at_the_time_out() {
    block_on(async {
        let port = server(|stream| flood(stream, b"HTTP/1.0 200 OK\r\n\r\n", &[b'x'; 60_000])).await;
        let digest = Url { digest: Some([0; 16]), ..url() };
        assert_eq!(failure(&http(port, SHORT, digest)).await, timed_out("reading the body"));
        let search = Url { regex: regex("y"), ..url() };
        assert_eq!(failure(&http(port, SHORT, search)).await, timed_out("reading the body"));
    });
}

#[test]
fn endless_headers_end_at_their_bound() {
    block_on(async {
        let one = server(|stream| flood(stream, b"HTTP/1.0 200 OK\r\nX: ", &[b'x'; 1000])).await;
        assert_eq!(failure(&http(one, LONG, url())).await, protocol("response header too long"));
        let many = server(|stream| flood(stream, b"HTTP/1.0 200 OK\r\n", b"A: b\r\n")).await;
        assert_eq!(failure(&http(many, LONG, url())).await, protocol("response header too long"));
    });
}

#[test]
fn silence_and_slowness_end_at_the_time_out() {
    block_on(async {
        let silent =
            server(|mut stream| async move { while stream.read(&mut [0; 100]).await.unwrap_or(0) > 0 {} }).await;
        assert_eq!(failure(&http(silent, SHORT, url())).await, timed_out("waiting for the response"));
        assert_eq!(failure(&ssl(silent, SHORT)).await, timed_out("in the TLS handshake"));
        let slow = server(|stream| drip(stream, b"", b"HTTP/1.0 200 OK\r\n\r\n")).await;
        assert_eq!(failure(&http(slow, SHORT, url())).await, timed_out("waiting for the response"));
        let slow_body = server(|stream| drip(stream, b"HTTP/1.0 200 OK\r\n\r\n", b"x")).await;
        let digest = Url { digest: Some([0; 16]), ..url() };
        assert_eq!(failure(&http(slow_body, SHORT, digest)).await, timed_out("reading the body"));
    });
}

#[test]
fn what_is_no_http_fails_at_once() {
    block_on(async {
        for response in [
            &b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..],
            b"HTTP/9.9 200 OK\r\n\r\n",
            b"HTTP/1.0 OK 200\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
            b"\x15\x03\x01\x00\x02\x02\x16\0\0\0\0\0\0\0\0",
            b"<html>hello</html>",
        ] {
            let port = answering(response).await;
            assert_eq!(failure(&http(port, LONG, url())).await.0, Cause::Protocol, "{response:?}");
        }
        let nothing = answering(b"").await;
        let closed = protocol("connection closed waiting for the response");
        assert_eq!(failure(&http(nothing, LONG, url())).await, closed);
        let cut = answering(b"HTTP/1.0 200 OK\r\nX-Cut").await;
        assert_eq!(failure(&http(cut, LONG, url())).await, closed);
    });
}

#[test]
fn a_body_shorter_than_told_or_badly_chunked_fails() {
    block_on(async {
        let digest = Url { digest: Some([0; 16]), ..url() };
        let short = answering(b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nhello").await;
        let closed = protocol("connection closed reading the body");
        assert_eq!(failure(&http(short, LONG, digest.clone())).await, closed);
        let chunked = answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello").await;
        assert_eq!(failure(&http(chunked, LONG, digest.clone())).await.0, Cause::Protocol);
        let huge = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello";
        let huge = answering(huge).await;
        assert_eq!(failure(&http(huge, LONG, digest)).await.0, Cause::Protocol);
    });
}

#[test]
fn a_reset_fails_at_once() {
    block_on(async {
        let port = server(|mut stream| async move {
            read_request(&mut stream).await;
            stream.set_zero_linger().unwrap();
        })
        .await;
        let reset = protocol("connection reset waiting for the response");
        assert_eq!(failure(&http(port, LONG, url())).await, reset);
    });
}

#[test]
fn a_regex_that_does_not_compile_is_told_at_configuration_and_fails() {
    block_on(async {
        let mut context = Context::new();
        let check = http(answering(b"HTTP/1.0 200 OK\r\n\r\n").await, LONG, Url { regex: regex("a("), ..url() });
        let complaints = context.configure([&check]);
        assert_eq!(complaints, ["regular expression `a(`: missing closing parenthesis at octet 2"]);
        assert!(matches!(run(&context, &check, 0).await, Outcome::Failed(Failure { cause: Cause::Local, .. })));
    });
}

// ---- SSL_GET

#[test]
fn what_is_no_tls_fails_at_once() {
    block_on(async {
        let plain = answering(b"").await;
        assert_eq!(failure(&ssl(plain, SHORT)).await.0, Cause::Timeout, "the server waits for the end of a request");
        let http = server(|mut stream| async move {
            let _ = stream.read(&mut [0; 1000]).await;
            let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await;
        })
        .await;
        assert_eq!(failure(&ssl(http, LONG)).await, (Cause::Tls, "TLS: wrong version number".to_owned()));
        let closed = server(|mut stream| async move { drop(stream.read(&mut [0; 1000]).await) }).await;
        let (cause, text) = failure(&ssl(closed, LONG)).await;
        assert!(matches!(cause, Cause::Tls | Cause::Protocol), "{cause:?} {text}");
        let alert = server(|mut stream| async move {
            let _ = stream.read(&mut [0; 1000]).await;
            let _ = stream.write_all(b"\x15\x03\x03\x00\x02\x02\x28").await;
        })
        .await;
        let (cause, text) = failure(&ssl(alert, LONG)).await;
        assert_eq!(cause, Cause::Tls);
        assert!(text.contains("handshake failure"), "{text}");
        let endless = server(|stream| flood(stream, b"", b"\x16\x03\x03\x40\x00")).await;
        assert_eq!(failure(&ssl(endless, LONG)).await.0, Cause::Tls);
    });
}

// ---- together

#[test]
fn thousands_of_hostile_servers_do_not_slow_down_a_good_one() {
    // Each is two descriptors here, the server's and the probe's.
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let each = (usize::try_from(hard).unwrap() / 2 - 100).min(2000) / 4;
    block_on(async move {
        let silent =
            server(|mut stream| async move { while stream.read(&mut [0; 100]).await.unwrap_or(0) > 0 {} }).await;
        let slow = server(|stream| drip(stream, b"HTTP/1.0 200 OK\r\n\r\n", b"x")).await;
        let headers = server(|stream| drip(stream, b"HTTP/1.0 200 OK\r\n", b"x: y\r\n")).await;
        let much = server(|stream| flood(stream, b"HTTP/1.0 200 OK\r\n\r\n", &[b'x'; 20_000])).await;
        let good = answering(b"HTTP/1.0 200 OK\r\n\r\nhello\n").await;
        let context = Rc::new(Context::new());
        let mut hostile = Vec::new();
        let limit = Duration::from_secs(5);
        for port in [silent, slow, headers, much] {
            // Those that send as fast as they can share this thread with their servers: fewer of them.
            for _ in 0..if port == much { 20 } else { each } {
                let check = http(port, limit, Url { digest: Some([0; 16]), ..url() });
                let context = Rc::clone(&context);
                hostile.push(tokio::task::spawn_local(async move { run(&context, &check, 0).await }));
            }
        }
        let end = Instant::now() + limit;
        let check = http(good, limit, Url { regex: regex("hello"), ..url() });
        let mut slowest = Duration::ZERO;
        let mut rounds = 0;
        while Instant::now() + 2 * SLACK < end {
            let start = Instant::now();
            assert_eq!(run(&context, &check, 0).await, Outcome::Passed);
            slowest = slowest.max(start.elapsed());
            rounds += 1;
        }
        // Whoever waited for one of the others would wait for its time-out.
        assert!(slowest < limit / 2, "{slowest:?} in {rounds} rounds");
        for probe in hostile {
            assert!(matches!(probe.await, Ok(Outcome::Failed(Failure { cause: Cause::Timeout, .. }))));
        }
        assert!(end.elapsed() < limit, "they all ended on time, not one after the other");
    });
}

// ---- SMTP_CHECK

fn smtp(port: u16, timeout: Duration) -> Check {
    Check::Smtp(SmtpCheck { target: target(port, timeout), helo: "me.example".to_owned() })
}

/// Says each of these, and waits for a line after each.
async fn smtp_server(replies: &'static [&'static str]) -> u16 {
    server(move |mut stream| async move {
        for reply in replies {
            if stream.write_all(reply.as_bytes()).await.is_err() || stream.read(&mut [0; 600]).await.unwrap_or(0) == 0 {
                return;
            }
        }
    })
    .await
}

#[test]
fn a_mail_server_that_talks_passes() {
    block_on(async {
        let port = smtp_server(&["220-mx\r\n220 mx\r\n", "250 mx\r\n", "221 bye\r\n"]).await;
        assert_eq!(probe(&smtp(port, LONG)).await, Outcome::Passed);
    });
}

#[test]
fn mail_servers_fail_for_what_they_say() {
    block_on(async {
        let refusing = smtp_server(&["554 no\r\n"]).await;
        assert_eq!(failure(&smtp(refusing, LONG)).await, (Cause::Status, "greeting: SMTP reply 554".to_owned()));
        let leaving = smtp_server(&["220 mx\r\n"]).await;
        let closed = protocol("connection closed waiting for the reply to HELO");
        assert_eq!(failure(&smtp(leaving, LONG)).await, closed);
        let web = smtp_server(&["HTTP/1.0 400 Bad Request\r\n"]).await;
        assert_eq!(failure(&smtp(web, LONG)).await, protocol("greeting: not a reply of SMTP"));
        let endless = server(|mut stream| async move { while stream.write_all(b"2").await.is_ok() {} }).await;
        assert_eq!(failure(&smtp(endless, LONG)).await, protocol("greeting: reply too long"));
        let silent = server(|mut stream| async move { drop(stream.read(&mut [0; 1]).await) }).await;
        assert_eq!(failure(&smtp(silent, SHORT)).await, timed_out("waiting for the greeting"));
        let slow = server(|mut stream| async move {
            let _ = stream.write_all(b"220-").await;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(failure(&smtp(slow, SHORT)).await, timed_out("waiting for the greeting"));
    });
}

// ---- DNS_CHECK, UDP_CHECK

/// Answers each datagram with what this makes of it.
async fn udp_server(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + 'static) -> u16 {
    let socket = UdpSocket::bind((LOCALHOST, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        let mut datagram = [0; 2000];
        loop {
            // Its own ICMP errors come back here.
            let Ok((length, from)) = socket.recv_from(&mut datagram).await else { continue };
            for answer in answer(&datagram[..length]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    port
}

fn dns_check(port: u16, timeout: Duration) -> Check {
    Check::Dns(DnsCheck { target: target(port, timeout), record: 1, name: "www.example.com".to_owned() })
}

/// A response with this code to a query.
fn response(query: &[u8], code: u8) -> Vec<u8> {
    let mut response = query.to_vec();
    response[2] |= 0x80;
    response[3] = code;
    response
}

#[test]
fn a_response_without_error_passes_after_whatever_else_came() {
    block_on(async {
        let port = udp_server(|query| {
            let mut other = response(query, 3);
            other[0] ^= 1;
            vec![vec![], vec![0; 5], other, query.to_vec(), vec![0xff; 600], response(query, 0)]
        })
        .await;
        assert_eq!(probe(&dns_check(port, LONG)).await, Outcome::Passed);
    });
}

#[test]
fn name_servers_fail_for_what_they_say_or_do_not_say() {
    block_on(async {
        let unknowing = udp_server(|query| vec![response(query, 3)]).await;
        let nxdomain = (Cause::Status, "DNS response code 3 (NXDOMAIN)".to_owned());
        assert_eq!(failure(&dns_check(unknowing, LONG)).await, nxdomain);
        let silent = udp_server(|_| vec![]).await;
        assert_eq!(failure(&dns_check(silent, SHORT)).await, timed_out("waiting for the response"));
        let garbage = udp_server(|_| vec![vec![0x80; 100]; 3]).await;
        assert_eq!(failure(&dns_check(garbage, SHORT)).await, timed_out("waiting for the response"));
        let nobody = UdpSocket::bind((LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
        assert_eq!(failure(&dns_check(nobody, LONG)).await, (Cause::Refused, "port unreachable".to_owned()));
    });
}

fn udp_check(port: u16, timeout: Duration, reply: Option<UdpReply>) -> Check {
    Check::Udp(UdpCheck { target: target(port, timeout), payload: Some(vec![1, 2, 3]), reply })
}

#[test]
fn silence_passes_unless_a_reply_is_required() {
    block_on(async {
        let silent = udp_server(|_| vec![]).await;
        let start = Instant::now();
        assert_eq!(probe(&udp_check(silent, SHORT, None)).await, Outcome::Passed);
        assert!(start.elapsed() >= SHORT, "an ICMP error might still have come");
        let any = UdpReply { prefix: vec![], min_length: 0, max_length: 255 };
        assert_eq!(failure(&udp_check(silent, SHORT, Some(any.clone()))).await, timed_out("waiting for a reply"));
        let nobody = UdpSocket::bind((LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
        let refused = (Cause::Refused, "port unreachable".to_owned());
        assert_eq!(failure(&udp_check(nobody, LONG, None)).await, refused);
        assert_eq!(failure(&udp_check(nobody, LONG, Some(any))).await, refused);
    });
}

#[test]
fn a_reply_is_judged_by_content_and_length() {
    block_on(async {
        let echo = udp_server(|datagram| vec![datagram.to_vec()]).await;
        let wanted = |prefix: &[(u8, u8)]| UdpReply { prefix: prefix.to_vec(), min_length: 0, max_length: 255 };
        assert_eq!(probe(&udp_check(echo, LONG, Some(wanted(&[(1, 255), (0, 0), (3, 15)])))).await, Outcome::Passed);
        let differs = failure(&udp_check(echo, LONG, Some(wanted(&[(1, 255), (3, 255)])))).await;
        assert_eq!(differs, protocol("reply differs at octet 1"));
        let large = udp_server(|_| vec![vec![0; 1400]]).await;
        let long = failure(&udp_check(large, LONG, Some(wanted(&[])))).await;
        assert_eq!(long, protocol("reply of more than 255 octets is too long"));
    });
}

// ---- PING_CHECK

/// Needs root, for a raw socket where ping sockets are not allowed.
#[test]
fn this_host_echoes() {
    block_on(async {
        for address in [LOCALHOST, "::1".parse().unwrap()] {
            let check = Check::Ping(Target { address, ..target(0, LONG) });
            assert_eq!(probe(&check).await, Outcome::Passed, "{address}");
        }
    });
}

#[test]
fn an_echo_of_another_is_not_ours() {
    let wanted = ping::Wanted {
        family: crate::conf::model::Family::V4,
        kind: ping::Kind::Ping,
        sequence: 7,
        data: ping::data([9; 16]),
    };
    let reply = |sequence, data: &[u8]| {
        let mut message = vec![0, 0, 0, 0, 0, 1, 0, sequence];
        message.extend(data);
        message
    };
    assert!(wanted.is(&reply(7, &ping::data([9; 16]))));
    assert!(!wanted.is(&reply(8, &ping::data([9; 16]))));
    assert!(!wanted.is(&reply(7, &ping::data([8; 16]))));
    assert!(!wanted.is(&reply(7, &ping::data([9; 16])[1..])));
    let raw = ping::Wanted { kind: ping::Kind::Raw, ..wanted };
    let mut packet = vec![0x45; 20];
    packet.extend(reply(7, &ping::data([9; 16])));
    assert!(raw.is(&packet));
    assert!(!raw.is(&packet[1..]));
}
