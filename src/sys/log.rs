//! Log lines that never make anybody wait: non-blocking datagrams to syslog, non-blocking writes to the console, and a
//! thread that writes a file, where a disk may take its time.
//!
//! A line that does not fit is lost and counted; the count is told with the next line that fits.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Mutex, OnceLock, PoisonError};
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
    file: OnceLock<LogFile>,
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

/// Lines on their way to a file. They wait until there is a thread that writes them: a process that gives up rights must not
/// have one that keeps them.
#[derive(Debug)]
struct LogFile {
    lines: SyncSender<ToFile>,
    writer: Mutex<Option<Writer>>,
}

#[derive(Debug)]
enum ToFile {
    Line(String),
    /// Say when everything before this is written.
    Finish(SyncSender<()>),
}

#[derive(Debug)]
struct Writer {
    file: File,
    lines: Receiver<ToFile>,
    /// After each line, rather than when no other is waiting.
    flush: bool,
}

/// Lines that wait for the disk.
const LINES_MAX: usize = 1024;

/// How long a process that ends waits for the disk.
const LAST_WRITE: Duration = Duration::from_secs(1);

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
        let (file, lost, lost_ever) = (OnceLock::new(), AtomicU64::new(0), AtomicU64::new(0));
        Sink { syslog, console, file, lost, lost_ever, given: Default::default() }
    }

    /// Lines go to this file as well from here on; they are written after [`Self::write_file`].
    pub fn also_to(&self, path: &Path, flush: bool) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
        let file = options.append(true).create(true).mode(0o640).custom_flags(flags).open(path)?;
        let (sender, lines) = mpsc::sync_channel(LINES_MAX);
        let writer = Mutex::new(Some(Writer { file, lines, flush }));
        // A second one changes nothing.
        let _ = self.file.set(LogFile { lines: sender, writer });
        Ok(())
    }

    /// Starts the thread that writes the file, if there is one. It has what rights this process has now.
    pub fn write_file(&self) -> io::Result<()> {
        let Some(file) = self.file.get() else { return Ok(()) };
        let Some(writer) = file.writer.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        std::thread::Builder::new().name("log".to_owned()).stack_size(128 * 1024).spawn(move || writer.run())?;
        Ok(())
    }

    /// The process ends: waits for a moment until the file has every line.
    pub fn finish(&self) {
        let Some(file) = self.file.get() else { return };
        let _ = self.write_file();
        let (sender, written) = mpsc::sync_channel(1);
        if file.lines.try_send(ToFile::Finish(sender)).is_ok() {
            let _ = written.recv_timeout(LAST_WRITE);
        }
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
        if let Some(file) = self.file.get() {
            fits &= file.lines.try_send(ToFile::Line(dated(text))).is_ok();
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

impl Writer {
    fn run(self) {
        let Writer { file, lines, flush } = self;
        let mut file = BufWriter::new(file);
        while let Ok(mut message) = lines.recv() {
            // What else is waiting goes with it.
            loop {
                match message {
                    // A full disk is told by nobody: syslog has the lines, too.
                    ToFile::Line(line) => drop(file.write_all(line.as_bytes())),
                    ToFile::Finish(written) => {
                        let _ = file.flush();
                        let _ = written.try_send(());
                    }
                }
                if flush {
                    let _ = file.flush();
                }
                match lines.try_recv() {
                    Ok(next) => message = next,
                    Err(_) => break,
                }
            }
            let _ = file.flush();
        }
    }
}

/// A line for people, with its time and its end.
fn dated(text: &str) -> String {
    format!("{}: {text}\n", local_time("%a %b %e %H:%M:%S %Y"))
}

impl Console {
    fn put(&self, text: &str) -> bool {
        let line = dated(text);
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

    #[test]
    fn a_file_gets_every_line_in_its_order_even_those_before_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "of a run before\n").unwrap();
        let sink = Sink::open("test", None, false);
        sink.also_to(&path, false).unwrap();
        sink.line(Severity::Info, "one");
        sink.line(Severity::Info, "two");
        sink.write_file().unwrap();
        sink.line(Severity::Info, "three");
        sink.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| line.rsplit(": ").next().unwrap_or_default()).collect();
        assert_eq!(lines, ["of a run before", "one", "two", "three"]);
        assert_eq!(sink.lost(), 0);
    }

    #[test]
    fn lines_beyond_what_may_wait_for_a_disk_are_lost_and_counted_and_nobody_waits() {
        let directory = tempfile::tempdir().unwrap();
        let sink = Sink::open("test", None, false);
        sink.also_to(&directory.path().join("log"), true).unwrap();
        for _ in 0..LINES_MAX + 5 {
            sink.line(Severity::Info, "more");
        }
        assert_eq!(sink.lost(), 5);
        sink.finish();
    }

    #[test]
    fn a_link_is_not_followed_to_the_file_of_somebody_else() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(Sink::open("test", None, false).also_to(&link, false).is_err());
    }
}
