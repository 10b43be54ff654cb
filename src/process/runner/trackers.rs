//! What VRRP tracks, as the runner drives it: scripts by [`Runs`](super::script::Runs), files by inotify and threads,
//! processes by a thread that listens to the kernel. [`Engine`] decides, this carries out.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use super::files::Files;
use super::processes::Processes;
use crate::bus::msg::ConfigGeneration;
use crate::bus::run::{Ended, FromRunner};
use crate::clock::{self, Instant};
use crate::conf::model::{Config, ScriptId};
use crate::level::Level;
use crate::netlink::connector::ProcessEvents;
use crate::track::{Engine, Output};

/// What the runner must do about scripts.
#[derive(Debug)]
pub enum Errand {
    Run { request: u64, config: ConfigGeneration, script: ScriptId, timeout: std::time::Duration },
    Cancel { request: u64 },
}

/// Everything that is tracked.
pub struct Trackers {
    engine: Engine,
    files: Files,
    processes: Processes,
    outputs: Vec<Output>,
    errands: Vec<Errand>,
    opened: mpsc::UnboundedReceiver<(u64, Ended)>,
    opener: mpsc::UnboundedSender<(u64, Ended)>,
}

impl Trackers {
    /// `restarted`: in place of a runner that died. `events`: opened while this process still had every right.
    pub fn new(restarted: bool, events: Option<ProcessEvents>) -> Trackers {
        let (opener, opened) = mpsc::unbounded_channel();
        Trackers {
            engine: Engine::new(restarted),
            files: Files::default(),
            processes: Processes::new(events),
            outputs: Vec::new(),
            errands: Vec::new(),
            opened,
            opener,
        }
    }

    pub fn configure(&mut self, generation: ConfigGeneration, config: &Config) {
        self.processes.set_buffer(config.global.process_monitor_buffer, config.global.process_monitor_buffer_force);
        self.engine.configure(generation, config, clock::now(), &mut self.outputs);
        self.perform();
    }

    /// A new vrrp process, or a new socket to it.
    pub fn met(&mut self) {
        self.engine.tell_all();
    }

    /// What vrrp knows of a script from a runner before this one.
    pub fn recall(&mut self, generation: ConfigGeneration, name: &str, good: bool) {
        self.engine.recall(generation, name, good, clock::now());
    }

    /// How a script ended that an [`Errand::Run`] asked for.
    pub fn ended(&mut self, request: u64, ended: &Ended) {
        self.engine.ended(request, ended, clock::now(), &mut self.outputs);
        self.perform();
    }

    /// What the runner must do, once.
    pub fn errands(&mut self) -> Vec<Errand> {
        std::mem::take(&mut self.errands)
    }

    /// The next thing that vrrp should hear; to be asked as long as there is room for it.
    pub fn news(&mut self, now: Instant) -> Option<FromRunner> {
        self.engine.news(now)
    }

    /// When [`Self::wake`] has something to do, or with `vrrp` there, [`Self::news`].
    pub fn deadline(&self, vrrp: bool) -> Option<Instant> {
        let news = self.engine.news_at().filter(|_| vrrp);
        [self.engine.deadline(), self.files.deadline(), news].into_iter().flatten().min()
    }

    pub fn wake(&mut self, now: Instant) {
        if self.engine.deadline().is_some_and(|at| at <= now) {
            self.engine.wake(now, &mut self.outputs);
        }
        self.files.wake(now);
        self.perform();
    }

    /// Waits until something has happened, and takes note of it.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) {
        tokio::select! {
            Some((request, ended)) = self.opened.recv() => {
                self.engine.ended(request, &ended, clock::now(), &mut self.outputs);
            }
            looks = self.files.next() => {
                for (name, reading) in looks {
                    self.engine.read(&name, reading, clock::now(), &mut self.outputs);
                }
            }
            counts = self.processes.next() => {
                for (name, count) in counts {
                    self.engine.counted(&name, count, clock::now(), &mut self.outputs);
                }
            }
        }
        self.perform();
    }

    /// The daemon stops: nothing is looked at any more.
    pub fn stop(&mut self) {
        self.engine.stop(&mut self.outputs);
        self.files.watch(Vec::new());
        self.processes.count(Default::default());
        self.perform();
    }

    fn perform(&mut self) {
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Run { request, config, script, timeout } => {
                    self.errands.push(Errand::Run { request, config, script, timeout });
                }
                Output::Cancel { request } => self.errands.push(Errand::Cancel { request }),
                Output::Open { request, path } => self.open(request, PathBuf::from(path)),
                Output::Files(files) => self.files.watch(files),
                Output::Processes(patterns) => self.processes.count(patterns),
                Output::Log(Level::Debug, text) => debug!("{text}"),
                Output::Log(Level::Info, text) => info!("{text}"),
                Output::Log(Level::Warn, text) => warn!("{text}"),
                Output::Log(Level::Error, text) => error!("{text}"),
            }
        }
    }

    /// On a thread of its own: a file system may keep it waiting. There is one for each script at most, as the next run
    /// follows the answer.
    fn open(&mut self, request: u64, path: PathBuf) {
        let opener = self.opener.clone();
        let started = std::thread::Builder::new().name("opens".to_owned()).spawn(move || {
            // Nobody listens any more when the process ends.
            let _ = opener.send((request, can_be_opened(&path)));
        });
        if let Err(error) = started {
            let _ = self.opener.send((request, Ended::NotStarted(format!("no thread: {error}"))));
        }
    }
}

/// As a script would say it. Opening a FIFO does not wait for its other end.
fn can_be_opened(path: &std::path::Path) -> Ended {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path) {
        Ok(_) => Ended::Exited(0),
        Err(error) => match error.raw_os_error() {
            // Keepalived shows the errno in place of a status.
            Some(errno) => Ended::Exited(errno),
            None => Ended::NotStarted(error.to_string()),
        },
    }
}
