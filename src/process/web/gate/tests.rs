use std::convert::Infallible;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;
use crate::process::web::answer::{TEXT, answer, raw};

const SHORT: Patience = Patience {
    head: Duration::from_millis(300),
    idle: Duration::from_millis(600),
    stall: Duration::from_millis(300),
    answer: Duration::from_millis(900),
};

/// A client's end of a connection whose requests are all answered with a body of so many octets.
fn connected(patience: Patience, length: usize) -> DuplexStream {
    let (ours, theirs) = duplex(64 * 1024);
    tokio::spawn(async move {
        let exchange = Arc::new(Exchange::default());
        let gate = Gate::new(theirs, patience, Arc::clone(&exchange));
        let service = service_fn(move |_| {
            let exchange = Arc::clone(&exchange);
            exchange.begin();
            let mut answer = answer(StatusCode::OK, TEXT, Bytes::from(vec![b'x'; length]));
            answer.body_mut().belongs_to(exchange);
            Box::pin(async move { Ok::<_, Infallible>(answer) })
        });
        let mut connection = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(gate), service);
        let _ = std::future::poll_fn(|context| connection.poll_without_shutdown(context)).await;
        let gate = connection.into_parts().io.into_inner();
        let refusal = gate.refusal();
        let mut stream = gate.into_inner();
        if let Some(refusal) = refusal {
            let _ = stream.write_all(&raw(refusal)).await;
        }
        let _ = stream.shutdown().await;
    });
    ours
}

/// Everything that comes until the end of the stream.
async fn all(stream: &mut DuplexStream) -> String {
    let mut text = Vec::new();
    let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut text));
    read.await.expect("the connection ends").unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// The statuses that such octets are answered with.
async fn statuses(octets: &[u8]) -> Vec<u16> {
    let mut stream = connected(SHORT, 3);
    // One that is refused may not have been read to its end.
    let _ = stream.write_all(octets).await;
    let text = all(&mut stream).await;
    let marks = text.match_indices("HTTP/1.");
    marks.filter_map(|(at, mark)| text.get(at + mark.len() + 2..)?.get(..3)?.parse().ok()).collect()
}

#[tokio::test]
async fn each_head_of_a_row_gets_its_answer_in_turn() {
    let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(statuses(get.as_bytes()).await, [200]);
    assert_eq!(statuses(get.repeat(3).as_bytes()).await, [200, 200, 200]);
    assert_eq!(
        statuses(format!("\r\n\r\n{get}\n{get}").as_bytes()).await,
        [200, 200],
        "empty lines between mean nothing"
    );
    assert_eq!(statuses(b"GET / HTTP/1.1\nHost: x\n\n").await, [200]);
    assert_eq!(statuses(b"GET / HTTP/1.0\r\n\r\n").await, [200]);
    assert_eq!(statuses(b"").await, [0; 0], "who says nothing is told nothing");
}

#[tokio::test]
async fn a_head_may_come_in_pieces() {
    let mut stream = connected(Patience { head: Duration::from_secs(20), ..SHORT }, 3);
    for octet in b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" {
        stream.write_all(&[*octet]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(all(&mut stream).await.ends_with("\r\n\r\nxxx"));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_the_status_that_says_why() {
    let long = |n: usize| "a".repeat(n);
    let fields = |n: usize| (0..n).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    for (request, status) in [
        (format!("GET /{} HTTP/1.1\r\n\r\n", long(LINE_MAX)), 414),
        (format!("GET /{}", long(100_000)), 414),
        (format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", long(HEAD_MAX)), 431),
        (format!("GET / HTTP/1.1\r\nx: {}", long(1_000_000)), 431),
        (format!("GET / HTTP/1.1\r\n{}\r\n", fields(FIELDS_MAX + 1)), 431),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        ("GET / HTTP/3\r\n\r\n".to_owned(), 505),
        ("GET /\r\n\r\n".to_owned(), 400),
        ("GET  / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /a\0b HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /\u{e9} HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\na : b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\na: b\r\n folded\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\na: \u{1}\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}\0\u{5}".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n\u{7f}garbage".to_owned(), 400),
    ] {
        let got = statuses(request.as_bytes()).await;
        assert_eq!(got.last(), Some(&status), "{:.60}: {got:?}", request.escape_debug());
    }
    assert_eq!(statuses(format!("GET / HTTP/1.1\r\n{}\r\n", fields(FIELDS_MAX)).as_bytes()).await, [200]);
}

#[tokio::test]
async fn every_refusal_has_the_headers_of_every_answer() {
    let mut stream = connected(SHORT, 3);
    stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let text = all(&mut stream).await.to_lowercase();
    assert!(text.starts_with("http/1.1 400 bad request\r\n"), "{text}");
    for header in [
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'",
        "connection: close",
    ] {
        assert!(text.contains(header), "{text}");
    }
}

#[tokio::test]
async fn one_that_does_not_come_to_its_end_is_told_so_and_one_that_says_nothing_is_left() {
    let mut slow = connected(SHORT, 3);
    slow.write_all(b"GET / HT").await.unwrap();
    assert!(all(&mut slow).await.starts_with("HTTP/1.1 408 "));
    // Always a little more is not enough.
    let mut endless = connected(SHORT, 3);
    let (mut read, mut write) = tokio::io::split(&mut endless);
    let talk = async {
        let _ = write.write_all(b"GET / HTTP/1.1\r\nx: ").await;
        while write.write_all(b"y").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let listen = async {
        let mut text = Vec::new();
        read.read_to_end(&mut text).await.unwrap();
        text
    };
    let ((), heard) = timeout(Duration::from_secs(20), async { tokio::join!(talk, listen) }).await.unwrap();
    assert!(heard.starts_with(b"HTTP/1.1 408 "));
    let mut idle = connected(SHORT, 3);
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let text = all(&mut idle).await;
    assert!(text.starts_with("HTTP/1.1 200 ") && !text.contains("408"), "{text}");
}

#[tokio::test]
async fn one_that_does_not_read_is_left_at_the_deadline() {
    let mut stream = connected(SHORT, 10_000_000);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(SHORT.stall * 3).await;
    let text = all(&mut stream).await;
    assert!(text.len() < 1_000_000, "only what had its place in buffers has come: {}", text.len());
    // A little now and then is not enough either.
    let mut stream = connected(SHORT, 10_000_000);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let (mut sum, mut buffer) = (0, vec![0; 1000]);
    loop {
        match timeout(Duration::from_secs(20), stream.read(&mut buffer)).await.unwrap() {
            Ok(0) | Err(_) => break,
            Ok(count) => sum += count,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(sum < 10_000_000, "{sum}");
}

#[tokio::test]
async fn a_body_that_nobody_reads_ends_the_connection_after_the_answer() {
    // The service of this test answers everything; the real one says 405 and closes.
    let mut stream = connected(SHORT, 3);
    let _ = stream
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")
        .await;
    let text = all(&mut stream).await;
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
}

proptest! {
    #[test]
    fn no_head_panics_and_one_that_passes_is_small(head in proptest::collection::vec(any::<u8>(), 0..300)) {
        if examine(&head).is_ok() {
            prop_assert!(head.len() <= HEAD_MAX);
        }
        if let Some(length) = end_of_head(&head) {
            prop_assert!(length <= head.len());
        }
    }
}
