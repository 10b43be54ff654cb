//! FIFOs: lines for whoever reads them, in their order, and the scripts that do.
//!
//! A FIFO is opened for reading, too, as Keepalived does: there may be no reader yet, or none for a while, and the kernel
//! keeps the first 64 KiB for it. What does not fit waits here, so many lines; the oldest go, as a reader wants to know what
//! is true now. Making and opening one runs on a thread: a file system that does not answer holds up nothing else.
//!
//! At a reload a FIFO that has a script is made anew with a new run of it, as under Keepalived; one without, of which
//! nothing changed, stays as it is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, fchown};

use nix::errno::Errno;
use nix::sys::stat::Mode;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::script::{Output, RunId, Runs};
use crate::bus::msg::ConfigGeneration;
use crate::bus::run::Fifo;
use crate::bus::timing::Deliveries;
use crate::clock::Instant;
use crate::conf::model::{Config, NotifyFifo};
use crate::sys::aio::{self, Owned};

/// Lines that wait for room in one FIFO.
const WAITING_MAX: usize = 1024;

/// All of them.
pub struct Fifos {
    writers: BTreeMap<Fifo, Writer>,
    /// Paths that we made, and take away when they are not wanted any more.
    made: BTreeSet<String>,
    /// What of that the supervisor knows.
    told: BTreeSet<String>,
    opened: mpsc::UnboundedReceiver<Opened>,
    opener: mpsc::UnboundedSender<Opened>,
    /// Tells answers of threads that were overtaken by a reload.
    attempts: u64,
    done: Deliveries,
}

struct Writer {
    config: NotifyFifo,
    generation: ConfigGeneration,
    attempt: u64,
    place: Place,
    reader: Option<RunId>,
    /// Lines with their ends, and how much of the first is written.
    waiting: VecDeque<Vec<u8>>,
    written: usize,
    /// Lines that went because of others, since there was room last.
    lost: u64,
}

enum Place {
    Opening,
    Open {
        file: File,
        ready: AsyncFd<Owned>,
    },
    /// It cannot be opened; that was told.
    Nowhere,
}

/// A thread's answer.
pub struct Opened {
    fifo: Fifo,
    attempt: u64,
    path: String,
    result: Result<(File, bool), String>,
}

impl Fifos {
    pub fn new() -> Fifos {
        let (opener, opened) = mpsc::unbounded_channel();
        Fifos {
            writers: BTreeMap::new(),
            made: BTreeSet::new(),
            told: BTreeSet::new(),
            opened,
            opener,
            attempts: 0,
            done: Deliveries::default(),
        }
    }

    /// A configuration is in force.
    pub fn configure(&mut self, generation: ConfigGeneration, config: &Config, runs: &mut Runs, now: Instant) {
        let fifos = &config.global.fifos;
        let (vrrp, checks) = (!config.instances.is_empty(), config.has_virtual_servers);
        for (fifo, configured, used) in [
            (Fifo::Both, &fifos.both, vrrp || checks),
            (Fifo::Vrrp, &fifos.vrrp, vrrp),
            (Fifo::Checks, &fifos.checks, checks),
        ] {
            let wanted = configured.as_ref().filter(|_| used);
            let old = self.writers.get(&fifo);
            if old.is_some_and(|old| old.generation == generation) {
                continue;
            }
            let stays = |old: &Writer| wanted.is_some_and(|new| new.script.is_none() && *new == old.config);
            if let Some(old) =
                self.writers.get_mut(&fifo).filter(|old| stays(old) && !matches!(old.place, Place::Nowhere))
            {
                old.generation = generation;
                continue;
            }
            let mut unlink = None;
            let mut waiting = VecDeque::new();
            if let Some(old) = self.writers.remove(&fifo) {
                unlink = self.made.take(&old.config.path);
                if let Some(reader) = old.reader {
                    runs.dismiss(reader, now);
                }
                waiting = old.waiting;
            }
            match wanted {
                Some(new) => self.open(fifo, new.clone(), generation, waiting, unlink),
                None => {
                    self.done.dropped += waiting.len() as u64;
                    unlink.into_iter().for_each(|path| remove(&path));
                }
            }
        }
    }

    fn open(
        &mut self,
        fifo: Fifo,
        config: NotifyFifo,
        generation: ConfigGeneration,
        waiting: VecDeque<Vec<u8>>,
        unlink: Option<String>,
    ) {
        self.attempts += 1;
        let attempt = self.attempts;
        let (path, owner, opener) = (config.path.clone(), config.owner, self.opener.clone());
        tokio::task::spawn_blocking(move || {
            unlink.into_iter().for_each(|path| remove(&path));
            // Nobody listens any more when the process ends.
            let result = open(&path, owner);
            let _ = opener.send(Opened { fifo, attempt, path, result });
        });
        let place = Place::Opening;
        let writer = Writer { config, generation, attempt, place, reader: None, waiting, written: 0, lost: 0 };
        self.writers.insert(fifo, writer);
    }

    /// Waits until one was opened, or one that has something to write takes it: [`Self::pump`].
    pub async fn woken(&mut self) -> Option<Opened> {
        let Fifos { writers, opened, .. } = self;
        let writers = &*writers;
        let writable = |fifo| Writer::writable(writers.get(&fifo));
        tokio::select! {
            Some(opened) = opened.recv() => Some(opened),
            () = writable(Fifo::Both) => None,
            () = writable(Fifo::Vrrp) => None,
            () = writable(Fifo::Checks) => None,
        }
    }

    /// One is open, or cannot be: its script starts.
    pub fn opened(&mut self, opened: Opened, runs: &mut Runs, now: Instant, out: &mut Vec<Output>) {
        let path = opened.path;
        if matches!(opened.result, Ok((_, true))) {
            self.made.insert(path.clone());
        }
        let writer = self.writers.get_mut(&opened.fifo).filter(|writer| writer.attempt == opened.attempt);
        let Some(writer) = writer else {
            // A reload was faster. What was made is ours, unless it is wanted again.
            if self.writers.values().all(|writer| writer.config.path != path) && self.made.remove(&path) {
                remove(&path);
            }
            return;
        };
        let registered = opened.result.and_then(|(file, _)| {
            let ready = file.as_fd().try_clone_to_owned().and_then(aio::register::<OwnedFd>);
            Ok((file, ready.map_err(|error| format!("cannot watch {path}: {error}"))?))
        });
        match registered {
            Ok((file, ready)) => {
                info!("notifications are written to {path}");
                writer.place = Place::Open { file, ready };
                let script = writer.config.script.as_ref().map(|script| (writer.generation, script.id));
                writer.reader = script.and_then(|script| runs.reader(script, path, now, out));
            }
            Err(error) => {
                error!("{error}: nobody is told through this FIFO");
                writer.place = Place::Nowhere;
                self.done.dropped += writer.waiting.len() as u64;
                writer.waiting.clear();
            }
        }
        self.pump();
    }

    /// A line, without its end.
    pub fn line(&mut self, fifo: Fifo, text: &str) {
        let Some(writer) = self.writers.get_mut(&fifo).filter(|writer| !matches!(writer.place, Place::Nowhere)) else {
            self.done.dropped += 1;
            return;
        };
        if writer.waiting.len() >= WAITING_MAX {
            if writer.lost == 0 {
                warn!("nobody reads {}: its oldest lines are lost", writer.config.path);
            }
            writer.lost += 1;
            self.done.dropped += 1;
            // The one that is being written has to be finished.
            let oldest = usize::from(writer.written > 0);
            writer.waiting.remove(oldest);
        }
        // A name may hold anything, but a line is one line.
        let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        line.push('\n');
        writer.waiting.push_back(line.into_bytes());
        self.pump();
    }

    /// Writes what fits.
    pub fn pump(&mut self) {
        for writer in self.writers.values_mut() {
            writer.pump(&mut self.done);
        }
    }

    /// What became of lines. Sent is what the kernel took: who reads it, and when, is not known here.
    pub fn delivered(&self) -> Deliveries {
        let waiting: usize = self.writers.values().map(|writer| writer.waiting.len()).sum();
        Deliveries { waiting: waiting as u64, ..self.done }
    }

    /// Whether nothing waits for a FIFO that may take it yet.
    pub fn is_idle(&self) -> bool {
        self.writers.values().all(|writer| writer.waiting.is_empty())
    }

    /// What was made (true) or is left alone since this was asked last.
    pub fn changes(&mut self) -> Vec<(String, bool)> {
        if self.made == self.told {
            return vec![];
        }
        let gone = self.told.difference(&self.made).map(|path| (path.clone(), false));
        let new = self.made.difference(&self.told).map(|path| (path.clone(), true));
        let changes = gone.chain(new).collect();
        self.told.clone_from(&self.made);
        changes
    }

    /// The daemon stops: readers see the end, and what was made is taken away.
    pub fn close(&mut self) {
        for (_, writer) in std::mem::take(&mut self.writers) {
            if !writer.waiting.is_empty() {
                warn!("{} lines for {} were not read before the end", writer.waiting.len(), writer.config.path);
                self.done.dropped += writer.waiting.len() as u64;
            }
        }
        std::mem::take(&mut self.made).iter().for_each(|path| remove(path));
    }
}

impl Writer {
    async fn writable(writer: Option<&Writer>) {
        match writer.map(|writer| (&writer.place, writer.waiting.is_empty())) {
            Some((Place::Open { ready, .. }, false)) => aio::writable(ready).await,
            _ => std::future::pending().await,
        }
    }

    fn pump(&mut self, done: &mut Deliveries) {
        let Place::Open { file, ready, .. } = &mut self.place else { return };
        while let Some(line) = self.waiting.front() {
            match file.write(line.get(self.written..).unwrap_or_default()) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return aio::filled(ready),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    error!("cannot write to {}: {error}", self.config.path);
                    done.failed += 1;
                    self.written = usize::MAX;
                }
            }
            if self.written >= line.len() {
                done.sent += u64::from(self.written < usize::MAX);
                self.written = 0;
                self.waiting.pop_front();
            }
        }
        if self.lost > 0 {
            warn!("{} is read again; {} lines were lost", self.config.path, std::mem::take(&mut self.lost));
        }
    }
}

/// Opens a FIFO, and makes it if there is none. True with one that was made.
fn open(path: &str, owner: Option<(u32, u32)>) -> Result<(File, bool), String> {
    let made = match nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(error) => return Err(format!("cannot make the FIFO {path}: {}", error.desc())),
    };
    // Opening a device can do things.
    let is_fifo = |kind: fs::FileType| kind.is_fifo();
    let looked = fs::symlink_metadata(path).map(|found| is_fifo(found.file_type()));
    if !looked.map_err(|error| format!("cannot look at {path}: {error}"))? {
        return Err(format!("{path} is no FIFO"));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
    let file = options.open(path).map_err(|error| format!("cannot open the FIFO {path}: {error}"))?;
    // It may have been changed since.
    if !file.metadata().is_ok_and(|found| is_fifo(found.file_type())) {
        return Err(format!("{path} is no FIFO"));
    }
    if let Some((user, group)) = owner.filter(|_| made)
        && let Err(error) = fchown(&file, Some(user), Some(group))
    {
        warn!("cannot give {path} to user {user} and group {group}: {error}");
    }
    Ok((file, made))
}

fn remove(path: &str) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_fifo() => {}
        // Somebody has put something else there, or has taken it away.
        Ok(_) | Err(_) => return,
    }
    if let Err(error) = fs::remove_file(path) {
        warn!("cannot remove the FIFO {path}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::clock;
    use crate::conf::model::Fifos as Configured;

    fn config(path: &Path) -> Config {
        let mut config = Config { has_virtual_servers: true, ..Config::default() };
        let path = path.to_str().unwrap().to_owned();
        config.global.fifos =
            Configured { checks: Some(NotifyFifo { path, owner: None, script: None }), ..Configured::default() };
        config
    }

    /// Made by these, and open.
    async fn started(path: &Path) -> Fifos {
        let mut fifos = Fifos::new();
        let mut runs = Runs::default();
        fifos.configure(1, &config(path), &mut runs, clock::now());
        settle(&mut fifos).await;
        fifos
    }

    async fn settle(fifos: &mut Fifos) {
        let opened = timeout(Duration::from_secs(20), fifos.woken()).await.expect("a thread answers");
        let opened = opened.expect("it is what a thread says");
        fifos.opened(opened, &mut Runs::default(), clock::now(), &mut vec![]);
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        (directory, path)
    }

    #[tokio::test]
    async fn lines_wait_for_a_reader_and_keep_their_order() {
        let (_directory, path) = place();
        let mut fifos = started(&path).await;
        fifos.line(Fifo::Checks, "VS one UP");
        fifos.line(Fifo::Checks, "VS two\nUP");
        assert_eq!(fifos.delivered(), Deliveries { sent: 2, ..Deliveries::default() });
        let mut reader = File::open(&path).unwrap();
        fifos.close();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "VS one UP\nVS two UP\n", "a line stays one line, and then comes the end");
        assert!(!path.exists(), "what was made is taken away");
        let name = path.to_string_lossy().into_owned();
        assert_eq!(fifos.changes(), [], "and it was never told");
        let mut fifos = started(&path).await;
        assert_eq!(fifos.changes(), [(name.clone(), true)]);
        assert_eq!(fifos.changes(), []);
        fifos.close();
        assert_eq!(fifos.changes(), [(name, false)]);
    }

    #[tokio::test]
    async fn lines_that_come_before_it_is_open_are_not_lost() {
        let (_directory, path) = place();
        let mut fifos = Fifos::new();
        fifos.configure(1, &config(&path), &mut Runs::default(), clock::now());
        fifos.line(Fifo::Checks, "VS one UP");
        assert_eq!(fifos.delivered(), Deliveries { waiting: 1, ..Deliveries::default() });
        settle(&mut fifos).await;
        assert_eq!(fifos.delivered(), Deliveries { sent: 1, ..Deliveries::default() });
    }

    #[tokio::test]
    async fn without_a_reader_the_oldest_lines_go_and_a_late_one_hears_the_latest() {
        let (_directory, path) = place();
        let mut fifos = started(&path).await;
        let total = 20_000;
        for number in 0..total {
            fifos.line(Fifo::Checks, &format!("VS {number} UP"));
        }
        let told = fifos.delivered();
        assert_eq!((told.sent + told.dropped + told.waiting, told.waiting), (total, WAITING_MAX as u64), "{told:?}");
        let mut reader = BufReader::new(File::open(&path).unwrap());
        let mut last = String::new();
        while !last.contains(&format!(" {} ", total - 1)) {
            last.clear();
            if fifos.is_idle() || !reader.buffer().is_empty() {
                reader.read_line(&mut last).unwrap();
                continue;
            }
            reader.read_line(&mut last).unwrap();
            fifos.pump();
        }
        assert!(fifos.is_idle());
        assert_eq!(fifos.delivered().waiting, 0);
    }

    #[tokio::test]
    async fn what_is_no_fifo_is_left_alone() {
        let (directory, path) = place();
        std::fs::write(&path, "precious").unwrap();
        let mut fifos = started(&path).await;
        fifos.line(Fifo::Checks, "VS one UP");
        assert_eq!(fifos.delivered(), Deliveries { dropped: 1, ..Deliveries::default() });
        fifos.close();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        let link = directory.path().join("link");
        nix::unistd::mkfifo(&directory.path().join("other"), Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("other", &link).unwrap();
        assert!(open(link.to_str().unwrap(), None).is_err());
    }

    #[tokio::test]
    async fn one_that_was_there_stays_when_we_go() {
        let (_directory, path) = place();
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let mut fifos = started(&path).await;
        fifos.line(Fifo::Checks, "VS one UP");
        fifos.close();
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_reload_leaves_one_alone_of_which_nothing_changed_and_moves_one_that_did() {
        let (directory, path) = place();
        let mut fifos = started(&path).await;
        let mut reader = BufReader::new(File::open(&path).unwrap());
        fifos.configure(2, &config(&path), &mut Runs::default(), clock::now());
        fifos.line(Fifo::Checks, "VS one UP");
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "VS one UP\n");
        let other = directory.path().join("other");
        fifos.configure(3, &config(&other), &mut Runs::default(), clock::now());
        settle(&mut fifos).await;
        assert_eq!(reader.read_line(&mut line).unwrap(), 0, "its reader sees the end");
        assert!(!path.exists() && other.exists());
        fifos.configure(4, &Config::default(), &mut Runs::default(), clock::now());
        assert!(!other.exists(), "one that is not configured any more goes at once");
        fifos.line(Fifo::Checks, "VS one UP");
        assert_eq!(fifos.delivered().dropped, 1);
    }
}
