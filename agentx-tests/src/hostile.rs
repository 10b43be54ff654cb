//! AgentX masters that no subagent should meet: they accept, and then behave badly in one chosen way.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How a master misbehaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manners {
    /// Reads everything, says nothing.
    NeverAnswers,
    /// Reads everything and sends a good answer to Open, one byte a second.
    OneByteASecond,
    /// Does not even read.
    NeverReads,
    /// Answers Open and every registration, and then nothing more.
    SilentAfterOpen,
    /// Answers Open and every registration; a second after the last of them sends the first of these to the first
    /// session, the second to the second, and so on; polite when there are no more.
    Sends(Vec<Vec<u8>>),
    /// Answers Open with the first octets of a response, as many as fit before its end, and holds the connection.
    Truncated,
    /// Answers Open, and then writes without end and without reading: in turns one PDU that claims almost 4 GiB, and requests
    /// as fast as they go.
    Endless,
    /// Answers everything: what a subagent would like to meet.
    Polite,
}

/// A listening master. Dropping it closes the socket and all sessions.
#[derive(Debug)]
pub struct Master {
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    sessions: Arc<AtomicU32>,
    opened: Arc<AtomicU32>,
    closed: Arc<Mutex<Vec<u8>>>,
    listener: Option<JoinHandle<()>>,
}

impl Master {
    #[track_caller]
    pub fn start(socket: &Path, manners: Manners) -> Master {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        listener.set_nonblocking(true).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        let (stop, sessions, opened) = <(Arc<AtomicBool>, Arc<AtomicU32>, Arc<AtomicU32>)>::default();
        let closed = Arc::<Mutex<Vec<u8>>>::default();
        let thread = {
            let (stop, sessions, opened) = (Arc::clone(&stop), Arc::clone(&sessions), Arc::clone(&opened));
            let closed = Arc::clone(&closed);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((stream, _)) = listener.accept() {
                        let number = sessions.fetch_add(1, Ordering::Relaxed) as usize;
                        let (manners, stop, opened) = (manners.clone(), Arc::clone(&stop), Arc::clone(&opened));
                        let closed = Arc::clone(&closed);
                        std::thread::spawn(move || Session { stream, number, stop, opened, closed }.serve(&manners));
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            })
        };
        Master { socket: socket.to_owned(), stop, sessions, opened, closed, listener: Some(thread) }
    }

    /// For `-A`.
    pub fn agentx(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u32 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Open PDUs answered so far.
    pub fn opened(&self) -> u32 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Reasons of the Close PDUs received so far (RFC 2741 section 6.2.2: 2 is a parse error, 4 a timeout).
    pub fn close_reasons(&self) -> Vec<u8> {
        self.closed.lock().map(|closed| closed.clone()).unwrap_or_default()
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

struct Session {
    stream: UnixStream,
    /// From 0, in the order of connecting.
    number: usize,
    stop: Arc<AtomicBool>,
    opened: Arc<AtomicU32>,
    closed: Arc<Mutex<Vec<u8>>>,
}

/// AgentX PDU types (RFC 2741 section 6.1).
const OPEN: u8 = 1;
const CLOSE: u8 = 2;
const PING: u8 = 13;
const RESPONSE: u8 = 18;

impl Session {
    fn serve(mut self, manners: &Manners) {
        let _ = self.stream.set_read_timeout(Some(Duration::from_secs(1)));
        let mut asked = false;
        let mut answered_any = false;
        while !self.stop.load(Ordering::Relaxed) {
            if *manners == Manners::NeverReads {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
            let pdu = match self.read_pdu() {
                Ok(Some(pdu)) => pdu,
                Ok(None) => {
                    if let Manners::Sends(all) = manners
                        && let Some(bytes) = all.get(self.number)
                        && answered_any
                        && !asked
                    {
                        asked = true;
                        let _ = self.stream.write_all(bytes);
                    }
                    continue;
                }
                Err(_) => return,
            };
            let kind = pdu[1];
            if kind == CLOSE
                && let (Some(reason), Ok(mut closed)) = (pdu.get(20), self.closed.lock())
            {
                closed.push(*reason);
            }
            let answer = match manners {
                Manners::NeverAnswers | Manners::NeverReads => continue,
                Manners::SilentAfterOpen if kind == PING => continue,
                _ => response_to(&pdu),
            };
            if kind == OPEN {
                self.opened.fetch_add(1, Ordering::Relaxed);
            }
            answered_any = true;
            if *manners == Manners::Truncated {
                // The header alone, the header and a half, or less than either.
                let cut = [20, 24, 7][self.number % 3];
                let _ = self.stream.write_all(&answer[..cut]);
            } else if *manners == Manners::Endless {
                let _ = self.stream.write_all(&answer);
                return self.write_without_end();
            } else if *manners == Manners::OneByteASecond {
                for byte in answer {
                    if self.stop.load(Ordering::Relaxed) || self.stream.write_all(&[byte]).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_secs(1));
                }
            } else if self.stream.write_all(&answer).is_err() {
                return;
            }
        }
    }

    fn write_without_end(&mut self) {
        let _ = self.stream.set_write_timeout(Some(Duration::from_millis(200)));
        // GetNext of everything: type 6, network byte order, session 1, an empty range.
        let mut next = vec![1, 6, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 16];
        next.extend([2, 4, 0, 0, 0, 0, 0, 1, 0, 0, 37, 114, 0, 0, 0, 0]);
        let chunk = if self.number % 2 == 0 {
            let mut long = vec![1, 6, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfc];
            long.resize(36_000, 0);
            long
        } else {
            next.repeat(1000)
        };
        // Parts of what does not fit are as good as the whole.
        while !self.stop.load(Ordering::Relaxed) {
            match self.stream.write(&chunk) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                }
                Err(_) => return,
            }
        }
    }

    /// A whole PDU; `None` after a second without a byte.
    fn read_pdu(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut pdu = vec![0; 20];
        if let Err(error) = self.stream.read_exact(&mut pdu[..1]) {
            let quiet = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
            return if quiet { Ok(None) } else { Err(error) };
        }
        self.stream.read_exact(&mut pdu[1..])?;
        let length = word(&pdu, 16);
        if length > 1 << 20 {
            return Err(std::io::Error::other("a PDU longer than a megabyte"));
        }
        pdu.resize(20 + length as usize, 0);
        self.stream.read_exact(&mut pdu[20..])?;
        Ok(Some(pdu))
    }
}

/// In the byte order of the PDU itself (RFC 2741 section 6.1: flag 0x10 is network byte order).
fn word(pdu: &[u8], at: usize) -> u32 {
    let bytes = [pdu[at], pdu[at + 1], pdu[at + 2], pdu[at + 3]];
    if pdu[2] & 0x10 != 0 { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

/// Response without error: session 1, the request's transaction and packet ids, sysUpTime 1, error 0, index 0.
fn response_to(request: &[u8]) -> Vec<u8> {
    let network = request[2] & 0x10 != 0;
    let bytes = |value: u32| if network { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut response = vec![1, RESPONSE, request[2] & 0x10, 0];
    response.extend(bytes(if request[1] == OPEN { 1 } else { word(request, 4) }));
    response.extend(&request[8..16]);
    response.extend(bytes(8));
    response.extend(bytes(1));
    response.extend([0; 4]);
    response
}

/// PDUs that end a session (RFC 2741 section 7.1.1 and the codec's own limits), each with what is wrong.
pub fn malformed_pdus() -> Vec<(&'static str, Vec<u8>)> {
    let header = |version: u8, kind: u8, length: u32| {
        let mut pdu = vec![version, kind, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
        pdu.extend(length.to_be_bytes());
        pdu
    };
    let with = |mut pdu: Vec<u8>, body: &[u8]| {
        pdu.extend(body);
        pdu
    };
    vec![
        ("version 9", with(header(9, 5, 0), &[])),
        ("type 77", with(header(1, 77, 0), &[])),
        ("a length that is not a multiple of four", with(header(1, 5, 7), &[0; 7])),
        ("a length of almost 4 GiB", with(header(1, 5, 0xffff_fffc), &[0; 64])),
        (
            "an object identifier with more sub-identifiers than bytes",
            with(header(1, 5, 8), &[200, 0, 0, 0, 0, 0, 0, 0]),
        ),
        ("a search range cut in half", with(header(1, 6, 4), &[0, 0, 0, 0])),
        ("a string longer than the PDU", with(header(1, 8, 12), &[0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255])),
    ]
}
