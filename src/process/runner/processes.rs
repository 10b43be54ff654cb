//! Counting processes, on a thread of its own: it hears every fork and exec of the host, and reads /proc.
//!
//! Where the kernel tells of processes ([`ProcessEvents`]), /proc is read once at the start, after an overrun, and now and
//! then to make sure; of a process that executes something, its name and command line are read. Where it does not (a
//! container's process namespace, no CAP_NET_ADMIN) all of /proc is read every second. What waits for the runner's loop is
//! the latest count of each tracker.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::clock::{self, Instant};
use crate::netlink::connector::{Heard, ProcessEvent, ProcessEvents};
use crate::sys::privileges::{self, Capability};
use crate::track::process::{Census, Pattern};

/// Between two readings of all of /proc without events.
const SCAN: Duration = Duration::from_secs(1);

/// The same with events. They miss what changes its own command line, and processes whose first thread has ended.
const MAKE_SURE: Duration = Duration::from_secs(60);

/// Between two readings because the kernel has dropped events: a storm of forks does not keep us reading.
const AGAIN: Duration = Duration::from_millis(200);

/// How often the log says that it has.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How long the kernel may take to answer; it does so within the request, or never.
const ANSWER: Duration = Duration::from_millis(500);

/// Datagrams read before counts are told.
const TURN: usize = 256;

/// What is read of a command line, octets.
const COMMAND_MAX: u64 = 64 * 1024;

/// Counts processes as long as there is something to count.
pub struct Processes {
    events: Option<ProcessEvents>,
    buffer: Option<(u32, bool)>,
    shared: Arc<Shared>,
    thread: Option<PipeWriter>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    /// What to count from now on, until the thread has taken it.
    patterns: Option<BTreeMap<String, Pattern>>,
    /// Counts that nobody has taken yet.
    counts: BTreeMap<String, u32>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Processes {
    pub fn new(events: Option<ProcessEvents>) -> Processes {
        Processes { events, buffer: None, shared: Arc::default(), thread: None }
    }

    /// `process_monitor_rcv_bufs`; counts for a socket that nobody listens to yet.
    pub fn set_buffer(&mut self, bytes: Option<u32>, force: bool) {
        let buffer = bytes.map(|bytes| (bytes, force));
        if std::mem::replace(&mut self.buffer, buffer) == buffer {
            return;
        }
        match (&self.events, buffer) {
            (Some(events), Some((bytes, force))) => {
                if let Err(error) = events.set_receive_buffer(bytes, force) {
                    warn!("process_monitor_rcv_bufs {bytes}: {error}");
                }
            }
            (None, _) if self.thread.is_some() => info!("process_monitor_rcv_bufs counts after a restart"),
            (_, _) => {}
        }
    }

    /// The complete set to count from now on; each is told anew.
    pub fn count(&mut self, patterns: BTreeMap<String, Pattern>) {
        if patterns.is_empty() && self.thread.is_none() {
            return;
        }
        {
            let mut state = self.shared.state();
            state.counts.clear();
            state.patterns = Some(patterns);
        }
        if self.thread.is_none() {
            self.start();
        }
        if let Some(thread) = &mut self.thread {
            // A full pipe wakes it as well.
            let _ = thread.write_all(&[0]);
        }
    }

    fn start(&mut self) {
        let shared = Arc::clone(&self.shared);
        let events = self.events.take();
        let started = io::pipe().and_then(|(reader, writer)| {
            crate::sys::poll::set_nonblocking(&writer.as_fd().try_clone_to_owned()?)?;
            crate::sys::poll::set_nonblocking(&reader.as_fd().try_clone_to_owned()?)?;
            std::thread::Builder::new().name("processes".to_owned()).spawn(move || {
                Counter {
                    shared,
                    waker: reader,
                    events,
                    census: Census::default(),
                    told: BTreeMap::new(),
                    drops: 0,
                    drops_told_at: None,
                }
                .run()
            })?;
            Ok(writer)
        });
        match started {
            Ok(writer) => self.thread = Some(writer),
            Err(error) => warn!("cannot count processes: {error}"),
        }
    }

    /// Waits for counts, of one tracker at least.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> BTreeMap<String, u32> {
        loop {
            let counts = std::mem::take(&mut self.shared.state().counts);
            if !counts.is_empty() {
                return counts;
            }
            self.shared.news.notified().await;
        }
    }
}

/// Opens the socket for process events, while this process still may; where this network namespace has none, in that of
/// the first process. `None`: there are none here.
pub fn open_events() -> Option<ProcessEvents> {
    if !privileges::has(Capability::NetAdmin) {
        return None;
    }
    match ProcessEvents::open() {
        Ok(events) if events.listen().is_ok() => {
            // Nobody reads yet.
            let _ = events.ignore();
            Some(events)
        }
        _ => open_elsewhere(),
    }
}

/// A thread enters the namespace, opens, and ends; the socket stays where it was opened.
fn open_elsewhere() -> Option<ProcessEvents> {
    if !privileges::has(Capability::SysAdmin) {
        return None;
    }
    let opened = std::thread::spawn(|| {
        let namespace = fs::File::open("/proc/1/ns/net").ok()?;
        nix::sched::setns(namespace.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET).ok()?;
        ProcessEvents::open().ok()
    });
    opened.join().ok().flatten()
}

/// The thread.
struct Counter {
    shared: Arc<Shared>,
    waker: PipeReader,
    events: Option<ProcessEvents>,
    census: Census,
    told: BTreeMap<String, u32>,
    /// How often the kernel dropped events, since that was logged.
    drops: u64,
    drops_told_at: Option<Instant>,
}

impl Counter {
    fn run(mut self) {
        // Without anything to count, it sleeps until there is.
        let mut listening = false;
        let mut scan_at: Option<Instant> = None;
        let mut scanned_at = Instant::ZERO;
        loop {
            let now = clock::now();
            if let Some(patterns) = self.take_patterns() {
                self.census = Census::new(patterns);
                self.told.clear();
                let wanted = !self.census.is_empty();
                if wanted && !listening {
                    listening = self.listen();
                } else if !wanted && listening {
                    listening = false;
                    let _ = self.events.as_ref().map(ProcessEvents::ignore);
                }
                scan_at = wanted.then_some(now);
            }
            if listening && self.hear() {
                self.lost(now);
                scan_at = scan_at.map(|at| at.min(scanned_at + AGAIN));
                listening = self.events.is_some();
            }
            if scan_at.is_some_and(|at| at <= now) {
                self.scan();
                scanned_at = now;
                scan_at = Some(clock::now() + if listening { MAKE_SURE } else { SCAN });
            }
            self.tell();
            if !self.wait(listening, scan_at) {
                return;
            }
        }
    }

    fn take_patterns(&self) -> Option<BTreeMap<String, Pattern>> {
        self.shared.state().patterns.take()
    }

    /// Whether the kernel tells from now on.
    fn listen(&mut self) -> bool {
        let answer = match &mut self.events {
            None => Err("it is not allowed here".to_owned()),
            Some(events) => {
                let asked = events.listen().map_err(|error| error.to_string());
                asked.and_then(|()| answered(events))
            }
        };
        match answer {
            Ok(()) => true,
            Err(reason) => {
                info!("the kernel does not tell of processes ({reason}): /proc is read every second");
                false
            }
        }
    }

    /// Takes note of what the kernel tells; whether some of it was lost.
    fn hear(&mut self) -> bool {
        let Some(events) = &mut self.events else { return false };
        let mut lost = false;
        for _ in 0..TURN {
            match events.receive() {
                Ok(Heard::Events(events)) => events.into_iter().for_each(|event| note(&mut self.census, event)),
                Ok(Heard::Nothing) => break,
                Ok(Heard::Overrun) => lost = true,
                Err(error) => {
                    warn!("cannot hear of processes: {error}");
                    self.events = None;
                    return true;
                }
            }
        }
        lost
    }

    fn lost(&mut self, now: Instant) {
        self.drops += 1;
        if self.drops_told_at.is_none_or(|at| now.since(at) >= TOLD_EVERY) {
            let times = std::mem::take(&mut self.drops);
            warn!("the kernel dropped process events ({times} times), /proc is read; see process_monitor_rcv_bufs");
            self.drops_told_at = Some(now);
        }
    }

    /// Looks at everybody. What happens meanwhile waits in the socket and is noted afterwards.
    fn scan(&mut self) {
        let Ok(entries) = fs::read_dir("/proc") else { return };
        let commands = self.census.needs_commands();
        self.census.forget();
        for entry in entries.flatten() {
            if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                see(&mut self.census, pid, commands);
            }
        }
    }

    fn tell(&mut self) {
        let counts = self.census.counts();
        let news: Vec<(String, u32)> =
            counts.into_iter().filter(|(name, count)| self.told.get(name) != Some(count)).collect();
        if news.is_empty() {
            return;
        }
        let mut state = self.shared.state();
        if state.patterns.is_some() {
            // Of a configuration that is no more.
            return;
        }
        for (name, count) in news {
            self.told.insert(name.clone(), count);
            state.counts.insert(name, count);
        }
        drop(state);
        self.shared.news.notify_one();
    }

    /// Sleeps until something happens; false when the runner has gone.
    fn wait(&mut self, listening: bool, until: Option<Instant>) -> bool {
        let timeout = match until {
            None => PollTimeout::NONE,
            // Rounded up, not to wake too early and again.
            Some(at) => {
                let left = at.since(clock::now()) + Duration::from_millis(1);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        let events = self.events.as_ref().filter(|_| listening);
        let mut fds = vec![PollFd::new(self.waker.as_fd(), PollFlags::POLLIN)];
        fds.extend(events.map(|events| PollFd::new(events.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => {
                warn!("cannot wait for processes: {error}");
                return false;
            }
        }
        drop(fds);
        let mut octets = [0; 64];
        loop {
            match self.waker.read(&mut octets) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }
}

fn note(census: &mut Census, event: ProcessEvent) {
    match event {
        ProcessEvent::Answer(_) => {}
        ProcessEvent::Fork { parent, child } => census.forked(parent, child),
        ProcessEvent::Exec { pid } => {
            let commands = census.needs_commands();
            see(census, pid, commands);
        }
        ProcessEvent::Name { pid, name } => {
            census.renamed(pid, name.split(|&byte| byte == 0).next().unwrap_or_default())
        }
        ProcessEvent::Exit { pid } => census.ended(pid),
    }
}

/// One process as /proc shows it now; one that has ended is gone, and so is a zombie.
fn see(census: &mut Census, pid: i32, commands: bool) {
    let directory = Path::new("/proc").join(pid.to_string());
    let name = fs::read(directory.join("stat")).ok().and_then(|stat| alive(&stat).map(<[u8]>::to_vec));
    let Some(name) = name else { return census.ended(pid) };
    let mut command = Vec::new();
    if commands {
        let file = fs::File::open(directory.join("cmdline"));
        let _ = file.and_then(|file| file.take(COMMAND_MAX).read_to_end(&mut command));
    }
    census.seen(pid, &name, &command);
}

/// The name in /proc/PID/stat, unless it is a zombie's: it stands in parentheses, and may hold some itself.
fn alive(stat: &[u8]) -> Option<&[u8]> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let state = stat.get(close + 2)?;
    if matches!(state, b'Z' | b'X' | b'x') {
        return None;
    }
    stat.get(open + 1..close)
}

/// Waits for the kernel's answer to a request to tell.
fn answered(events: &mut ProcessEvents) -> Result<(), String> {
    let until = clock::now() + ANSWER;
    loop {
        match events.receive().map_err(|error| error.to_string())? {
            Heard::Events(all) => {
                let answer = all
                    .iter()
                    .find_map(|event| if let ProcessEvent::Answer(errno) = event { Some(*errno) } else { None });
                match answer {
                    Some(0) => return Ok(()),
                    Some(errno) => return Err(format!("errno {errno}")),
                    None => {}
                }
            }
            // So many events that the answer may be among those lost: somebody tells.
            Heard::Overrun => return Ok(()),
            Heard::Nothing => {
                let left = until.since(clock::now());
                if left.is_zero() {
                    return Err("no answer, as in another process namespace".to_owned());
                }
                let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
                let ms = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
                let _ = poll(&mut fds, ms);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Stdio};

    use super::*;
    use crate::conf::model::{Location, ParameterMatch, TrackProcess};

    fn pattern(path: &str) -> BTreeMap<String, Pattern> {
        let config = TrackProcess {
            location: Location::default(),
            name: "p".to_owned(),
            path: path.to_owned(),
            parameters: vec![],
            parameter_match: ParameterMatch::None,
            full_command: true,
            weight: 0,
            reverse: false,
            quorum: 1,
            quorum_max: None,
            fork_delay_us: 0,
            terminate_delay_us: 0,
        };
        BTreeMap::from([("p".to_owned(), Pattern::new(&config))])
    }

    #[allow(clippy::disallowed_methods)]
    fn start(program: &Path) -> Child {
        std::process::Command::new(program).arg("600").stdin(Stdio::null()).spawn().unwrap()
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// In a container, or without the right to be told.
    #[tokio::test]
    async fn without_the_kernels_word_processes_are_counted_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("counted");
        fs::copy("/bin/sleep", &program).unwrap();
        let mut processes = Processes::new(None);
        processes.count(pattern(program.to_str().unwrap()));
        assert_eq!(processes.next().await["p"], 0);
        let (one, two) = (start(&program), start(&program));
        while processes.next().await["p"] != 2 {}
        end(one);
        end(two);
        while processes.next().await["p"] != 0 {}
        processes.count(BTreeMap::new());
    }

    #[test]
    fn a_name_may_hold_anything_and_a_zombie_is_nobody() {
        assert_eq!(alive(b"7 (sleep) S 1 7"), Some(b"sleep".as_slice()));
        assert_eq!(alive(b"7 (a) (b) c) R 1 7"), Some(b"a) (b) c".as_slice()));
        assert_eq!(alive(b"7 (sleep) Z 1 7"), None);
        for broken in [b"".as_slice(), b"7", b"7 (", b"7 (x)", b") ("] {
            assert_eq!(alive(broken), None);
        }
    }
}
