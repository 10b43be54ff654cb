//! The process as a child of the supervisor: hears from the bridge what to write and to draw, has the worker do it, and
//! answers. It never waits for a disk itself.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use keepwatch::bus::frame;
use keepwatch::clock::{self, Instant};
use keepwatch::conf::model::{Config, RrdSettings};
use keepwatch::export::graph::GraphError;
use keepwatch::export::rrd::wire::{FromRrd, ToRrd};
use keepwatch::process::lifecycle::{Channel, Heard, ToChild, ToSupervisor};
use keepwatch::process::role::{Role, exit};
use keepwatch::process::{logging, vrrp};
use keepwatch::sys::aio::{self, Owned};
use keepwatch::sys::seqpacket::{FRAME_MAX, Received, Sent, Seqpacket};
use keepwatch::sys::{poll, privileges};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use crate::worker::Worker;
use crate::writer;

/// Frames read in one go; then others have their turn.
const FRAMES_PER_TURN: usize = 16;

/// Answers that the bridge has not read; then it is not listened to either.
const ANSWERS_MAX: usize = 2048;

/// How long the last batch may take.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

const NOBODY: u32 = 65534;

/// Reads the first message from standard input and runs until told to stop. Returns the exit status.
pub fn run() -> i32 {
    let Ok(mut channel) = Channel::from_stdin() else { return exit::FATAL };
    // Of another build than the supervisor: starting again would not mend it.
    let Ok((ToChild::Start { options, config: generation, .. }, Some(file))) = channel.wait::<ToChild>() else {
        eprintln!("keepwatch-rrd does not understand keepwatchd: both must be of one version");
        return exit::FATAL;
    };
    let Ok(config) = vrrp::decode(&file) else { return exit::FATAL };
    logging::start(&options.log(config.global.instance.as_deref()), "_rrd");
    let Some(settings) = settings(&config) else { return exit::OK };
    // The terminal's signals reach the whole group, and only the supervisor acts on them.
    let _signals = poll::Signals::new(&[libc::SIGINT, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2]);
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let root = nix::unistd::geteuid().is_root();
    let owner = root.then_some(NOBODY);
    if let Err(error) = writer::prepare(&settings.directory, owner) {
        warn!("cannot prepare {}: {error}", settings.directory.display());
    }
    if let Err(error) = privileges::become_nobody() {
        // Without root there is nothing to give up.
        debug!("the rrd process keeps the user it was started as: {error}");
    }
    logging::write_file();
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("the rrd process cannot start: {error}");
            return exit::SOFTWARE;
        }
    };
    info!(
        "RRD files are kept in {}, a value each {} s{}",
        settings.directory.display(),
        writer::step(&settings),
        settings.cached.as_ref().map(|cached| format!(", written by rrdcached at {cached}")).unwrap_or_default()
    );
    runtime.block_on(async move {
        let (answer, answers) = mpsc::unbounded_channel();
        let started = Worker::start(settings.clone(), host, answer);
        let registered = channel.as_fd().try_clone_to_owned().and_then(aio::register);
        match (started, registered) {
            (Ok(worker), Ok(channel_ready)) => {
                let mut process = Process {
                    channel,
                    channel_ready,
                    bridge: None,
                    worker,
                    answers,
                    settings,
                    buffer: vec![0; FRAME_MAX],
                    leaving: None,
                    status: exit::OK,
                };
                process.ready(generation);
                process.run().await
            }
            (Err(error), _) | (_, Err(error)) => {
                error!("the rrd process cannot start: {error}");
                exit::SOFTWARE
            }
        }
    })
}

fn settings(config: &Config) -> Option<RrdSettings> {
    config.settings.rrd.clone()
}

struct Process {
    channel: Channel,
    channel_ready: AsyncFd<Owned>,
    bridge: Option<Bridge>,
    worker: Worker,
    answers: mpsc::UnboundedReceiver<FromRrd>,
    settings: RrdSettings,
    buffer: Vec<u8>,
    leaving: Option<Instant>,
    status: i32,
}

/// The socket to the bridge, and what it has not read.
struct Bridge {
    socket: Seqpacket,
    ready: AsyncFd<Owned>,
    waiting: VecDeque<Vec<u8>>,
    /// Batches that the worker has.
    batches: u32,
}

enum Woken {
    Channel,
    Readable,
    Writable,
    Answer(FromRrd),
    Time,
}

impl Process {
    async fn run(&mut self) -> i32 {
        loop {
            match self.wait().await {
                Woken::Channel => self.read_channel(),
                Woken::Readable => self.read_bridge(),
                Woken::Writable => self.flush(),
                Woken::Answer(answer) => self.answer(&answer),
                Woken::Time => {}
            }
            if let Some(latest) = self.leaving {
                let idle = self.bridge.as_ref().is_none_or(|bridge| bridge.batches == 0);
                if idle || clock::now() >= latest {
                    return self.status;
                }
            }
            // What is ready stays ready, so nothing above need ever wait: let the runtime look at the other sockets.
            tokio::task::yield_now().await;
        }
    }

    async fn wait(&mut self) -> Woken {
        let bridge = self.bridge.as_ref();
        let readable = async {
            match bridge {
                Some(bridge) if bridge.waiting.len() < ANSWERS_MAX => aio::readable(&bridge.ready).await,
                _ => std::future::pending().await,
            }
        };
        let writable = async {
            match bridge {
                Some(bridge) if !bridge.waiting.is_empty() => aio::writable(&bridge.ready).await,
                _ => std::future::pending().await,
            }
        };
        let leaving = self.leaving;
        let time = async {
            match leaving {
                Some(at) => tokio::time::sleep(at.since(clock::now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = aio::readable(&self.channel_ready) => Woken::Channel,
            Some(answer) = self.answers.recv() => Woken::Answer(answer),
            () = writable => Woken::Writable,
            () = readable => Woken::Readable,
            () = time => Woken::Time,
        }
    }

    // --- the supervisor

    fn ready(&mut self, config: keepwatch::bus::msg::ConfigGeneration) {
        let _ = self.channel.send(&ToSupervisor::Ready { config }, None);
    }

    fn read_channel(&mut self) {
        let (messages, heard) = self.channel.hear();
        messages.into_iter().for_each(|(message, fd)| self.told(message, fd));
        let Heard::Last(error) = heard else { return aio::drained(&self.channel_ready) };
        if let Some(error) = error {
            error!("the supervisor cannot be understood: {error}");
            // Not to be taken for the end that it asked for.
            self.status = exit::SOFTWARE;
        }
        self.leaving = Some(clock::now());
    }

    fn told(&mut self, message: ToChild, fd: Option<OwnedFd>) {
        match (message, fd) {
            (ToChild::Stop, _) => self.leave(),
            (ToChild::Reload { config, .. }, Some(file)) => match vrrp::decode(&file) {
                Ok(new) => {
                    self.configure(settings(&new));
                    self.ready(config);
                }
                Err(_) => error!("reload refused: the new configuration cannot be read"),
            },
            (ToChild::Peer(Role::Bridge), Some(fd)) => self.meet(fd),
            // What is meant for others does not come here.
            (_, _) => {}
        }
    }

    fn configure(&mut self, new: Option<RrdSettings>) {
        // Without the section the supervisor stops us.
        let Some(new) = new.filter(|new| *new != self.settings) else { return };
        if new.directory != self.settings.directory || new.cached.is_some() != self.settings.cached.is_some() {
            // Root makes the directory: the supervisor starts us again.
            return self.leave();
        }
        self.settings = new.clone();
        self.worker.settle(new);
    }

    fn leave(&mut self) {
        self.leaving.get_or_insert(clock::now() + STOP_PATIENCE);
    }

    // --- the bridge

    fn meet(&mut self, fd: OwnedFd) {
        match fd.try_clone().and_then(aio::register) {
            Ok(ready) => {
                let socket = Seqpacket::from_fd(fd);
                self.bridge = Some(Bridge { socket, ready, waiting: VecDeque::new(), batches: 0 });
            }
            Err(error) => error!("cannot listen to the bridge: {error}"),
        }
    }

    fn read_bridge(&mut self) {
        for _ in 0..FRAMES_PER_TURN {
            let Some(bridge) = &mut self.bridge else { return };
            let messages = match bridge.socket.receive(&mut self.buffer) {
                Ok(Received::Nothing) => return aio::drained(&bridge.ready),
                Ok(Received::Frame(length, _)) => frame::decode::<ToRrd>(self.buffer.get(..length).unwrap_or_default()),
                Ok(Received::Gone) | Err(_) => {
                    self.bridge = None;
                    return;
                }
            };
            match messages {
                Ok(messages) => messages.into_iter().for_each(|message| self.heard(message)),
                Err(error) => error!("the bridge cannot be understood: {error}"),
            }
        }
    }

    fn heard(&mut self, message: ToRrd) {
        let busy = match &message {
            ToRrd::Updates { number, .. } => FromRrd::Refused { number: *number, why: "it is busy".to_owned() },
            ToRrd::Draw { request, .. } => {
                let error = GraphError::Unavailable("too many graphs are being drawn".to_owned());
                FromRrd::NoPicture { request: *request, error }
            }
        };
        let batch = matches!(message, ToRrd::Updates { .. });
        if !self.worker.ask(message) {
            return self.queue(&busy);
        }
        if let Some(bridge) = self.bridge.as_mut().filter(|_| batch) {
            bridge.batches += 1;
        }
    }

    fn answer(&mut self, answer: &FromRrd) {
        if matches!(answer, FromRrd::Written { .. } | FromRrd::Refused { .. })
            && let Some(bridge) = &mut self.bridge
        {
            bridge.batches = bridge.batches.saturating_sub(1);
        }
        self.queue(answer);
    }

    fn queue(&mut self, answer: &FromRrd) {
        match frame::encode(answer) {
            Ok(bytes) => {
                // Without a bridge nobody waits.
                if let Some(bridge) = &mut self.bridge {
                    bridge.waiting.push_back(bytes);
                }
                self.flush();
            }
            Err(error) => error!("cannot answer the bridge: {error}"),
        }
    }

    fn flush(&mut self) {
        let Some(bridge) = &mut self.bridge else { return };
        while let Some(bytes) = bridge.waiting.front() {
            match bridge.socket.send(bytes, &[]) {
                Ok(Sent::Yes) => drop(bridge.waiting.pop_front()),
                Ok(Sent::Full) => return aio::filled(&bridge.ready),
                // The next read finds the same.
                Ok(Sent::Gone) | Err(_) => return bridge.waiting.clear(),
            }
        }
    }
}
