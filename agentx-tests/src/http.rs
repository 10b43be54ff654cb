//! A plain HTTP/1.0 client, over TCP in a node's namespace or over a Unix socket. Start at [`get`] and [`get_unix`].

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::net::Node;

/// Most that an answer may have.
const ANSWER_MAX: usize = 256 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// GET from `address` as seen from `node`.
pub fn get(node: &Node, address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
    let request = request("GET", path, headers, b"");
    node.enter(move || {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| error.to_string())?;
        let _ = stream.set_read_timeout(Some(PATIENCE));
        exchange(stream, &request)
    })
}

/// GET over a Unix socket.
pub fn get_unix(socket: &Path, path: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
    let stream = UnixStream::connect(socket).map_err(|error| format!("{}: {error}", socket.display()))?;
    let _ = stream.set_read_timeout(Some(PATIENCE));
    exchange(stream, &request("GET", path, headers, b""))
}

/// Any method, with a body, over an open stream.
pub fn ask(stream: impl Read + Write, method: &str, path: &str, body: &[u8]) -> Result<Answer, String> {
    // There are servers that speak HTTP/1.1 only; then the header says where the answer ends.
    let headers = [("Content-Type", "application/json"), ("Connection", "close")];
    let request = request(method, path, &headers, body);
    let request = String::from_utf8_lossy(&request).replacen("HTTP/1.0", "HTTP/1.1", 1);
    exchange(stream, request.as_bytes())
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text += "\r\n";
    let mut request = text.into_bytes();
    request.extend(body);
    request
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Result<Answer, String> {
    stream.write_all(request).map_err(|error| format!("while asking: {error}"))?;
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    while bytes.len() < ANSWER_MAX && !is_whole(&bytes) {
        match stream.read(&mut chunk).map_err(|error| format!("while reading: {error}"))? {
            0 => break,
            length => bytes.extend(chunk.get(..length).unwrap_or_default()),
        }
    }
    parse(&bytes).ok_or_else(|| format!("no answer of HTTP: {}", String::from_utf8_lossy(&bytes).escape_debug()))
}

/// By its Content-Length.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| bytes.len() >= end + 4 + length)
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    Some(Answer { status, headers: headers.collect(), body: bytes.get(end + 4..)?.to_vec() })
}

/// `text` with everything that a query of a URL cannot hold in percent encoding.
pub fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_headers_and_a_body() {
        let answer = parse(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nX: a:b\r\n\r\nwait").expect("an answer");
        assert_eq!((answer.status, answer.header("retry-after"), answer.header("x")), (503, Some("1"), Some("a:b")));
        assert_eq!(answer.text(), "wait");
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_none());
        assert_eq!(encoded("a{b=\"c d\"}"), "a%7Bb%3D%22c%20d%22%7D");
    }
}
