//! Log lines that never make anybody wait: non-blocking datagrams to syslog, non-blocking writes to the console.
//!
//! A line that does not fit is lost and counted; the count is told with the next line that fits.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{self, Instant};

/// Syslog severities that we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error = 3,
    Warning = 4,
    Info = 6,
    Debug = 7,
}

impl Severity {
    fn place(self) -> usize {
        match self {
            Severity::Error => 0,
            Severity::Warning => 1,
            Severity::Info => 2,
            Severity::Debug => 3,
        }
    }
}

/// Where lines go.
#[derive(Debug)]
pub struct Sink {
    syslog: Option<Syslog>,
    console: Option<Console>,
    /// Not told yet.
    lost: AtomicU64,
    lost_ever: AtomicU64,
    /// Lines given to [`Sink::line`], by [`Severity::place`].
    given: [AtomicU64; 4],
}

#[derive(Debug)]
struct Syslog {
    socket: Mutex<Option<UnixDatagram>>,
    /// When there was none the last time, on the monotonic clock. Zero: there was one.
    missed_at: AtomicU64,
    /// Facility shifted into place.
    facility: u8,
    ident: String,
}

#[derive(Debug)]
enum Console {
    /// A description of our own, so that `O_NONBLOCK` is nobody else's business.
    Own(Mutex<std::fs::File>),
    /// Could not be reopened: a socket, or somebody else's file.
    Shared,
}

/// A log daemon that is not there is looked for again after this: three system calls for each line are a lot in a takeover of
/// hundreds of addresses.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Longest line sent; longer ones are cut.
const LINE_MAX: usize = 2048;

impl Sink {
    /// `facility`: syslog facility number (daemon is 3, local0 is 16), `None` for no syslog.
    pub fn open(ident: &str, facility: Option<u8>, console: bool) -> Sink {
        let syslog = facility.map(|facility| Syslog {
            socket: Mutex::new(connect()),
            missed_at: AtomicU64::new(0),
            facility: facility << 3,
            ident: format!("{ident}[{}]", std::process::id()),
        });
        let console = console.then(|| {
            OpenOptions::new()
                .append(true)
                .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
                .open("/proc/self/fd/2")
                .map_or(Console::Shared, |file| Console::Own(Mutex::new(file)))
        });
        Sink { syslog, console, lost: AtomicU64::new(0), lost_ever: AtomicU64::new(0), given: Default::default() }
    }

    /// How many lines of this severity were to be written, lost ones included.
    pub fn given(&self, severity: Severity) -> u64 {
        self.given[severity.place()].load(Ordering::Relaxed)
    }

    /// How many of them did not fit.
    pub fn lost(&self) -> u64 {
        self.lost_ever.load(Ordering::Relaxed)
    }

    /// Writes one line, without a newline in it.
    pub fn line(&self, severity: Severity, text: &str) {
        self.given[severity.place()].fetch_add(1, Ordering::Relaxed);
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 && !self.put(Severity::Warning, &format!("{lost} log lines were lost: the log did not keep up")) {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        if !self.put(severity, text) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.lost_ever.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn put(&self, severity: Severity, text: &str) -> bool {
        let text = cut(text);
        let mut fits = true;
        if let Some(syslog) = &self.syslog {
            fits &= syslog.put(severity, text);
        }
        if let Some(console) = &self.console {
            fits &= console.put(text);
        }
        fits
    }
}

impl Syslog {
    fn put(&self, severity: Severity, text: &str) -> bool {
        let line =
            format!("<{}>{} {}: {text}", self.facility | severity as u8, local_time("%b %e %H:%M:%S"), self.ident);
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if socket.is_none() {
            let (now, missed_at) = (clock::now(), self.missed_at.load(Ordering::Relaxed));
            if missed_at > 0 && now.since(Instant::from_nanos(missed_at)) < LOOK_AGAIN {
                return true;
            }
            *socket = connect();
            self.missed_at.store(if socket.is_some() { 0 } else { now.nanos() }, Ordering::Relaxed);
        }
        match socket.as_ref().map(|socket| socket.send(line.as_bytes())) {
            Some(Ok(_)) => true,
            Some(Err(error)) if error.kind() == std::io::ErrorKind::WouldBlock => false,
            Some(Err(_)) => {
                // The log daemon was restarted: its socket is another one now.
                *socket = connect();
                socket.as_ref().is_some_and(|socket| socket.send(line.as_bytes()).is_ok())
            }
            // No log daemon on this host: nothing is lost that anybody could have read.
            None => true,
        }
    }
}

impl Console {
    fn put(&self, text: &str) -> bool {
        let line = format!("{}: {text}\n", local_time("%a %b %e %H:%M:%S %Y"));
        match self {
            Console::Own(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                // One write per line, shorter than PIPE_BUF: it goes whole or not at all.
                matches!(file.write(line.as_bytes()), Ok(written) if written == line.len())
            }
            Console::Shared => put_shared(line.as_bytes()),
        }
    }
}

/// Writes to standard error as it was given to us: a socket takes a flag against waiting, for anything else poll says
/// whether there is room. Two processes may both be told so; their lines are short enough for that to be no matter.
fn put_shared(line: &[u8]) -> bool {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and length describe `line`; a closed descriptor is an error return.
    if unsafe { libc::send(2, line.as_ptr().cast(), line.len(), flags) } >= 0 {
        return true;
    }
    if std::io::Error::last_os_error().raw_os_error() != Some(libc::ENOTSOCK) {
        return false;
    }
    let mut poll = libc::pollfd { fd: 2, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one live pollfd, and its count; no waiting. The write is as above.
    unsafe {
        libc::poll(&raw mut poll, 1, 0) == 1
            && poll.revents & libc::POLLOUT != 0
            && libc::write(2, line.as_ptr().cast(), line.len()) >= 0
    }
}

fn connect() -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    socket.connect("/dev/log").ok()?;
    Some(socket)
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(LINE_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The local time in the given strftime format.
pub fn local_time(format: &str) -> String {
    local_time_at(format, i64::try_from(crate::clock::wall().0 / 1_000_000_000).unwrap_or(0))
}

/// A moment, seconds since 1970, likewise.
pub fn local_time_at(format: &str, seconds: i64) -> String {
    let Ok(format) = std::ffi::CString::new(format) else { return String::new() };
    let mut out = [0_u8; 64];
    // SAFETY: tm is plain old data; localtime_r fills it, strftime writes at most `out.len()` bytes and returns how many.
    let length = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        libc::localtime_r(&raw const seconds, &raw mut parts);
        libc::strftime(out.as_mut_ptr().cast(), out.len(), format.as_ptr(), &raw const parts)
    };
    String::from_utf8_lossy(&out[..length]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_severity_and_those_that_did_not_fit_once_more() {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("every Linux has it");
        let nowhere = Sink { console: Some(Console::Own(Mutex::new(full))), ..Sink::open("test", None, false) };
        nowhere.line(Severity::Warning, "one");
        nowhere.line(Severity::Info, "two");
        nowhere.line(Severity::Info, "three");
        let given = [Severity::Error, Severity::Warning, Severity::Info, Severity::Debug].map(|it| nowhere.given(it));
        assert_eq!((given, nowhere.lost()), ([0, 1, 2, 0], 3));
        let null = OpenOptions::new().write(true).open("/dev/null").expect("every Linux has it");
        let well = Sink { console: Some(Console::Own(Mutex::new(null))), ..Sink::open("test", None, false) };
        well.line(Severity::Error, "one");
        assert_eq!((well.given(Severity::Error), well.lost()), (1, 0));
    }
}
