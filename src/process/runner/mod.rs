//! The runner: scripts as their users, FIFOs, and mail. It takes numbers of scripts from the engines, never command lines.
//!
//! One tokio runtime on one thread, and a few threads that start scripts (`launch`): a file system that does not answer
//! holds up those and nothing else. Who runs, waits or must end is kept in [`script`]. It keeps the capabilities to be
//! somebody else and to kill; what it executes as root has all that root has. What VRRP tracks is looked at from here,
//! too: [`trackers`].

mod fifo;
mod files;
mod launch;
mod mail;
mod occasion;
mod processes;
mod script;
mod tell;
mod trackers;

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use self::fifo::{Fifos, Opened};
use self::mail::Mailer;
use self::occasion::Occasions;
use self::script::{Output, RunId, Runs};
use self::tell::Teller;
use self::trackers::{Errand, Trackers};
use super::lifecycle::{Channel, Heard, Occasion, ToChild, ToSupervisor};
use super::link::sleep_until;
use super::options::Options;
use super::role::{Role, exit};
use super::{logging, naming};
use crate::bus::frame;
use crate::bus::msg::{ConfigGeneration, Source};
use crate::bus::run::{Fifo, FromRunner, ToRunner};
use crate::bus::timing::RunnerPulse;
use crate::clock::{self, Instant};
use crate::conf::model::Config;
use crate::sys::aio::{self, Owned};
use crate::sys::children;
use crate::sys::poll::Signals;
use crate::sys::privileges::{self, Capability};
use crate::sys::seqpacket::{FRAME_MAX, Received, Sent, Seqpacket};

/// How often engines that have gone are read at the end; each time takes some frames.
const LAST_TURNS: usize = 64;

/// How long notify scripts and mails may take when the daemon stops; Keepalived waits as long.
const STOP_PATIENCE: Duration = Duration::from_secs(1);
/// How long the last scripts may take to start after that.
const LAST_START: Duration = Duration::from_millis(500);

/// Frames read from one engine in one go; then others have their turn.
const FRAMES_PER_TURN: usize = 16;
/// An engine that does not read its answers is not listened to either.
const ANSWERS_MAX: usize = 256;
/// Findings that wait in its queue; more of them wait where the latest wins.
const NEWS_MAX: usize = 16;

/// Scripts that may be starting at the same time.
const LAUNCHERS: usize = 32;

/// Reads the first message from standard input and runs until told to stop. Returns the exit status.
pub fn run() -> i32 {
    let Ok(mut channel) = Channel::from_stdin() else { return exit::SOFTWARE };
    let Ok((ToChild::Start { options, config: generation, restarted }, Some(file))) = channel.wait::<ToChild>() else {
        return exit::SOFTWARE;
    };
    let config = match super::vrrp::decode(&file) {
        Ok(config) => config,
        Err(status) => return status,
    };
    naming::apply(Some(Role::Runner), &options.program, &config.global.process.names);
    logging::start(&options.log(config.global.instance.as_deref()), "_runner");
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(options.file_mask()));
    // While it may: this is not for a process that has dropped what it was started with.
    let trackers = Trackers::new(restarted, processes::open_events());
    if let Err(error) = prepare() {
        warn!("scripts may lack something: {error}");
    }
    let result = Signals::new(&[
        // Before there are threads, so that none of them takes these.
        libc::SIGCHLD,
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGUSR2,
    ])
    .and_then(|signals| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        Ok((signals, builder.enable_io().enable_time().max_blocking_threads(LAUNCHERS).build()?))
    });
    let (signals, runtime) = match result {
        Ok(parts) => parts,
        Err(error) => {
            error!("the runner cannot start: {error}");
            return exit::SOFTWARE;
        }
    };
    let status = runtime.block_on(async move {
        match Runner::start(channel, signals, trackers, *options, &config, generation) {
            Ok(mut runner) => {
                logging::write_file();
                runner.run().await
            }
            Err(error) => {
                error!("the runner cannot start: {error}");
                exit::SOFTWARE
            }
        }
    });
    // A thread that waits for a file system is not waited for.
    runtime.shutdown_background();
    status
}

/// What scripts must not inherit, and what this process does not need.
fn prepare() -> std::io::Result<()> {
    children::close_on_exec()?;
    children::become_subreaper()?;
    if !privileges::has(Capability::SetUid) {
        info!("without CAP_SETUID scripts run only as the user that keepwatchd was started as");
    }
    // Root's scripts may lie where only their owner gets, and are looked at and started from here.
    let scripts = [Capability::SetUid, Capability::SetGid, Capability::Kill, Capability::DacOverride];
    // FIFOs may belong to somebody else. The kernel tells of processes to those who may administer its network.
    let wanted = scripts.into_iter().chain([Capability::Chown, Capability::NetAdmin]);
    let kept: Vec<Capability> = wanted.filter(|&capability| privileges::has(capability)).collect();
    privileges::limit(&kept)
}

struct Runner {
    channel: Channel,
    channel_ready: AsyncFd<Owned>,
    signals: Signals,
    signals_ready: AsyncFd<Owned>,
    checks: Option<Peer>,
    vrrp: Option<Peer>,
    bridge: Teller,
    options: Options,
    trackers: Trackers,
    runs: Runs,
    outputs: Vec<Output>,
    mailer: Mailer,
    fifos: Fifos,
    occasions: Occasions,
    launched: mpsc::UnboundedReceiver<Launched>,
    launcher: mpsc::UnboundedSender<Launched>,
    buffer: Vec<u8>,
    leaving: Option<Leaving>,
}

type Launched = (RunId, Result<i32, String>);

/// The socket to one engine.
struct Peer {
    socket: Seqpacket,
    ready: AsyncFd<Owned>,
    answers: std::collections::VecDeque<Vec<u8>>,
}

#[derive(Clone, Copy)]
struct Leaving {
    until: Instant,
    /// What would not end was let go.
    let_go: bool,
}

enum Woken {
    Channel,
    Signal,
    Readable(Role),
    Writable(Role),
    Launched(Launched),
    /// The bridge has said something, or is gone.
    Bridge,
    /// Something was found.
    Tracker,
    MailDone,
    /// A FIFO was opened, or one has room again.
    Fifo(Option<Opened>),
    Time,
}

impl Runner {
    fn start(
        channel: Channel,
        signals: Signals,
        trackers: Trackers,
        options: Options,
        config: &Config,
        generation: ConfigGeneration,
    ) -> std::io::Result<Runner> {
        let channel_ready = aio::register(channel.as_fd().try_clone_to_owned()?)?;
        let signals_ready = aio::register(signals.fd().try_clone_to_owned()?)?;
        let (launcher, launched) = mpsc::unbounded_channel();
        let mut runner = Runner {
            channel,
            channel_ready,
            signals,
            signals_ready,
            checks: None,
            vrrp: None,
            bridge: Teller::default(),
            options,
            trackers,
            runs: Runs::default(),
            outputs: Vec::new(),
            mailer: Mailer::start(),
            fifos: Fifos::new(),
            occasions: Occasions::default(),
            launched,
            launcher,
            buffer: vec![0; FRAME_MAX],
            leaving: None,
        };
        runner.configure(generation, config);
        Ok(runner)
    }

    async fn run(&mut self) -> i32 {
        loop {
            match self.wait().await {
                Woken::Channel => self.read_channel(),
                Woken::Signal => self.take_signals(),
                Woken::Readable(role) => self.read_peer(role),
                Woken::Writable(role) => self.flush(role),
                Woken::Launched((id, result)) => {
                    let now = clock::now();
                    self.runs.launched(id, result, now, &mut self.outputs);
                    self.runs.reap(now, &mut self.outputs);
                }
                Woken::Bridge => self.bridge.part(),
                Woken::Fifo(Some(opened)) => {
                    self.fifos.opened(opened, &mut self.runs, clock::now(), &mut self.outputs);
                }
                Woken::Fifo(None) => self.fifos.pump(),
                Woken::Tracker | Woken::MailDone | Woken::Time => {}
            }
            let now = clock::now();
            if self.trackers.deadline(self.vrrp.is_some()).is_some_and(|at| at <= now) {
                self.trackers.wake(now);
            }
            if self.runs.deadline().is_some_and(|at| at <= now) {
                self.runs.on_time(now, &mut self.outputs);
            }
            if self.occasions.shutdown_is_due(&self.runs, now) {
                self.occasion(Occasion::Shutdown);
            }
            self.perform();
            self.tell_vrrp(now);
            self.tell_of_fifos();
            self.bridge.tell(now, || RunnerPulse {
                at: clock::wall(),
                scripts: self.runs.notified(),
                mails: self.mailer.delivered(),
                fifos: self.fifos.delivered(),
                logged: logging::counts(),
            });
            if self.has_left(now) {
                self.tell_of_fifos();
                return exit::OK;
            }
            // What is ready stays ready, so nothing above need ever wait: let the runtime look at the other sockets.
            tokio::task::yield_now().await;
        }
    }

    async fn wait(&mut self) -> Woken {
        let listened_to = self.vrrp.as_ref().is_some_and(|peer| peer.answers.len() < NEWS_MAX);
        let own = [
            self.runs.deadline(),
            self.leaving.map(|leaving| leaving.until),
            self.bridge.deadline(),
            self.occasions.deadline(),
            self.trackers.deadline(listened_to),
        ];
        let deadline = own.into_iter().flatten().min();
        let leaving = self.leaving.is_some();
        let (checks, vrrp) = (self.checks.as_ref(), self.vrrp.as_ref());
        tokio::select! {
            biased;
            () = aio::readable(&self.channel_ready) => Woken::Channel,
            () = aio::readable(&self.signals_ready) => Woken::Signal,
            Some(launched) = self.launched.recv() => Woken::Launched(launched),
            () = Peer::writable(vrrp) => Woken::Writable(Role::Vrrp),
            () = Peer::writable(checks) => Woken::Writable(Role::Checks),
            () = Peer::readable(vrrp) => Woken::Readable(Role::Vrrp),
            () = Peer::readable(checks) => Woken::Readable(Role::Checks),
            () = self.bridge.spoken_to() => Woken::Bridge,
            fifo = self.fifos.woken() => Woken::Fifo(fifo),
            () = self.trackers.next() => Woken::Tracker,
            () = self.mailer.idle(), if leaving && !self.mailer.is_idle() => Woken::MailDone,
            () = sleep_until(deadline) => Woken::Time,
        }
    }

    fn perform(&mut self) {
        loop {
            self.run_trackers();
            if self.outputs.is_empty() {
                return;
            }
            // Answers may start nothing, but starting may fail at once: not here, on its thread.
            for output in std::mem::take(&mut self.outputs) {
                match output {
                    Output::Launch(id, job) => {
                        let launcher = self.launcher.clone();
                        tokio::task::spawn_blocking(move || {
                            // Nobody listens any more when the process ends.
                            let _ = launcher.send((id, launch::launch(&job)));
                        });
                    }
                    Output::Answer(Role::Runner, FromRunner::Ran { request, ended, .. }) => {
                        match Occasions::ended(request, &ended) {
                            Some(occasion) => {
                                let _ = self.channel.send(&ToSupervisor::OccasionOver(occasion), None);
                            }
                            None => self.trackers.ended(request, &ended),
                        }
                    }
                    Output::Answer(asker, answer) => self.answer(asker, &answer),
                }
            }
        }
    }

    /// Scripts that are tracked are checks that this process asks itself for.
    fn run_trackers(&mut self) {
        for errand in self.trackers.errands() {
            let now = clock::now();
            match errand {
                Errand::Run { request, config, script, timeout } => {
                    self.runs.check((Role::Runner, request), (config, script), timeout, now, &mut self.outputs);
                }
                Errand::Cancel { request } => self.runs.cancel(Role::Runner, request, now),
            }
        }
    }

    // --- the supervisor

    fn configure(&mut self, generation: ConfigGeneration, config: &Config) {
        self.runs.configure(generation, config);
        self.occasions.configure(generation, config);
        self.fifos.configure(generation, config, &mut self.runs, clock::now());
        if self.options.engines(config).contains(&Source::Vrrp) {
            self.trackers.configure(generation, config);
        }
        self.mailer.configure(&config.global);
        let _ = self.channel.send(&ToSupervisor::Ready { config: generation }, None);
    }

    fn read_channel(&mut self) {
        let (messages, heard) = self.channel.hear();
        messages.into_iter().for_each(|(message, fd)| self.told(message, fd));
        let Heard::Last(error) = heard else { return aio::drained(&self.channel_ready) };
        if let Some(error) = error {
            error!("the supervisor cannot be understood: {error}");
        }
        // The end of the socket stays readable and says nothing more: woken by it for ever, we would never hear of scripts
        // that are just being started.
        aio::drained(&self.channel_ready);
        self.leave();
        self.leaving = Some(Leaving { until: clock::now(), let_go: false });
    }

    fn cannot_take(&mut self, config: ConfigGeneration, why: &str) {
        let _ = self.channel.send(&ToSupervisor::CannotTake { config, why: why.to_owned() }, None);
    }

    fn told(&mut self, message: ToChild, fd: Option<OwnedFd>) {
        match (message, fd) {
            (ToChild::Stop, _) => self.leave(),
            (ToChild::Reload { config, .. }, Some(file)) => match super::vrrp::decode(&file) {
                Ok(new) => {
                    naming::apply(Some(Role::Runner), &self.options.program, &new.global.process.names);
                    self.configure(config, &new);
                }
                Err(_) => self.cannot_take(config, "it cannot be read"),
            },
            (ToChild::Reload { config, .. }, None) => self.cannot_take(config, "it did not arrive"),
            (ToChild::Peer(role @ (Role::Checks | Role::Vrrp)), Some(fd)) => self.meet(role, fd),
            (ToChild::Peer(Role::Bridge), Some(fd)) => self.bridge.meet(fd),
            (ToChild::Occasion(Occasion::Startup), _) => self.occasion(Occasion::Startup),
            (ToChild::Occasion(Occasion::Shutdown), _) => {
                self.hear_last_words();
                self.occasions.wait_for_notify_scripts(STOP_PATIENCE, clock::now());
            }
            (ToChild::Signal(_), _) => {}
            (_, _) => error!("the supervisor said something at the wrong time"),
        }
    }

    fn take_signals(&mut self) {
        loop {
            match self.signals.take() {
                Ok(Some(libc::SIGTERM)) => self.leave(),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        aio::drained(&self.signals_ready);
        // Whichever it was: several deaths may be one signal.
        self.runs.reap(clock::now(), &mut self.outputs);
    }

    // --- stopping

    fn leave(&mut self) {
        if self.leaving.is_none() {
            self.hear_last_words();
            let now = clock::now();
            self.leaving = Some(Leaving { until: now + STOP_PATIENCE, let_go: false });
            self.trackers.stop();
            self.runs.stop(now);
            self.mailer.last_call();
        }
    }

    /// The engines have gone by now: what they said last is here or never comes.
    fn hear_last_words(&mut self) {
        for _ in 0..LAST_TURNS {
            self.read_peer(Role::Vrrp);
            self.read_peer(Role::Checks);
        }
    }

    fn occasion(&mut self, occasion: Occasion) {
        if !self.occasions.run(occasion, &mut self.runs, clock::now(), &mut self.outputs) {
            let _ = self.channel.send(&ToSupervisor::OccasionOver(occasion), None);
        }
    }

    /// The supervisor takes away what a runner that died has made.
    fn tell_of_fifos(&mut self) {
        for (path, made) in self.fifos.changes() {
            let _ = self.channel.send(&ToSupervisor::Fifo { path: path.into(), made }, None);
        }
    }

    fn has_left(&mut self, now: Instant) -> bool {
        let Some(leaving) = self.leaving else { return false };
        if self.fifos.is_idle() {
            self.fifos.close();
        }
        if self.runs.is_idle() && self.mailer.is_idle() && self.fifos.is_idle() {
            return true;
        }
        if !leaving.let_go && now >= leaving.until {
            self.leaving = Some(Leaving { until: now + LAST_START, let_go: true });
            self.mailer.give_up();
            self.fifos.close();
            self.runs.let_go(now, &mut self.outputs);
            self.perform();
        }
        self.leaving.is_some_and(|leaving| leaving.let_go && (!self.runs.is_launching() || now >= leaving.until))
    }

    // --- the engines

    fn peer(&mut self, role: Role) -> &mut Option<Peer> {
        if role == Role::Vrrp { &mut self.vrrp } else { &mut self.checks }
    }

    fn meet(&mut self, role: Role, fd: OwnedFd) {
        // The one before is dead, and so is whoever waited for answers on its socket.
        self.lose(role);
        match fd.try_clone().and_then(aio::register) {
            Ok(ready) => {
                let socket = Seqpacket::from_fd(fd);
                *self.peer(role) = Some(Peer { socket, ready, answers: std::collections::VecDeque::new() });
                if role == Role::Vrrp {
                    self.trackers.met();
                }
            }
            Err(error) => error!("cannot watch the {} process's socket: {error}", role.name()),
        }
    }

    fn lose(&mut self, role: Role) {
        if self.peer(role).is_some() {
            self.read_peer(role);
        }
        *self.peer(role) = None;
        self.runs.asker_gone(role, clock::now());
    }

    fn read_peer(&mut self, role: Role) {
        for _ in 0..FRAMES_PER_TURN {
            let mut buffer = std::mem::take(&mut self.buffer);
            let received = self.peer(role).as_ref().map(|peer| (peer.socket.receive(&mut buffer), &peer.ready));
            let messages = match received {
                None => None,
                Some((Ok(Received::Nothing), ready)) => {
                    aio::drained(ready);
                    None
                }
                Some((Ok(Received::Frame(length, _)), _)) => {
                    Some(frame::decode::<ToRunner>(buffer.get(..length).unwrap_or_default()))
                }
                Some((Ok(Received::Gone) | Err(_), _)) => {
                    *self.peer(role) = None;
                    self.runs.asker_gone(role, clock::now());
                    None
                }
            };
            self.buffer = buffer;
            match messages {
                None => return,
                Some(Ok(messages)) => messages.into_iter().for_each(|message| self.heard(role, message)),
                Some(Err(error)) => error!("the {} process cannot be understood: {error}", role.name()),
            }
        }
    }

    fn heard(&mut self, asker: Role, message: ToRunner) {
        let now = clock::now();
        match message {
            ToRunner::Check { request, config, script, timeout_us } => {
                self.catch_up(config);
                let timeout = Duration::from_micros(timeout_us);
                self.runs.check((asker, request), (config, script), timeout, now, &mut self.outputs);
            }
            ToRunner::Cancel { request } => self.runs.cancel(asker, request, now),
            // What faces hostile servers has no words to add to a command.
            ToRunner::Notify { arguments, .. } if asker == Role::Checks && !arguments.is_empty() => {
                error!("the checks process asks for a script with arguments; it is not run");
            }
            ToRunner::Notify { config, script, lane, arguments } => {
                self.catch_up(config);
                self.runs.notify((asker, lane), (config, script), arguments, now, &mut self.outputs);
            }
            ToRunner::Known { .. } if asker != Role::Vrrp => {
                error!("the {} process knows nothing of trackers; it is not believed", asker.name());
            }
            ToRunner::Known { config, name, good } => {
                self.catch_up(config);
                self.trackers.recall(config, &name, good);
            }
            ToRunner::Mail { subject, body } => self.mailer.push(subject, body),
            ToRunner::Line { fifo, text, .. } if !speaks_for_itself(asker, fifo, &text) => {
                error!("the {} process has a line for {fifo:?} that is not its own; it is not written", asker.name());
            }
            ToRunner::Line { config, fifo, text } => {
                self.catch_up(config);
                self.fifos.line(fifo, &text);
            }
        }
    }

    /// An engine may have read of a new configuration before us: it is in our socket, too.
    fn catch_up(&mut self, config: ConfigGeneration) {
        if !self.runs.knows(config) && self.leaving.is_none() {
            self.read_channel();
        }
    }

    /// As much of what was found as its socket takes; the rest is asked for when there is room.
    fn tell_vrrp(&mut self, now: Instant) {
        while self.vrrp.as_ref().is_some_and(|peer| peer.answers.len() < NEWS_MAX)
            && let Some(found) = self.trackers.news(now)
        {
            self.answer(Role::Vrrp, &found);
        }
    }

    fn answer(&mut self, asker: Role, answer: &FromRunner) {
        match frame::encode(answer) {
            Ok(bytes) => {
                // Without the asker nobody waits.
                if let Some(peer) = self.peer(asker) {
                    peer.answers.push_back(bytes);
                }
                self.flush(asker);
            }
            Err(error) => error!("cannot answer the {} process: {error}", asker.name()),
        }
    }

    fn flush(&mut self, role: Role) {
        let Some(peer) = self.peer(role) else { return };
        while let Some(bytes) = peer.answers.front() {
            match peer.socket.send(bytes, &[]) {
                Ok(Sent::Yes) => drop(peer.answers.pop_front()),
                Ok(Sent::Full) => return,
                // The next read finds the same.
                Ok(Sent::Gone) | Err(_) => return peer.answers.clear(),
            }
        }
    }
}

/// Whether a line is one that this process may write: who reads it believes it.
fn speaks_for_itself(asker: Role, fifo: Fifo, text: &str) -> bool {
    let (own, words) = match asker {
        Role::Checks => (Fifo::Checks, ["VS ", "RS "]),
        _ => (Fifo::Vrrp, ["INSTANCE ", "GROUP "]),
    };
    (fifo == own || fifo == Fifo::Both) && words.iter().any(|word| text.starts_with(word))
}

impl Peer {
    async fn readable(peer: Option<&Peer>) {
        match peer {
            Some(peer) if peer.answers.len() < ANSWERS_MAX => aio::readable(&peer.ready).await,
            _ => std::future::pending().await,
        }
    }

    async fn writable(peer: Option<&Peer>) {
        match peer {
            Some(peer) if !peer.answers.is_empty() => {
                if let Ok(mut guard) = peer.ready.writable().await {
                    guard.clear_ready();
                }
            }
            _ => std::future::pending().await,
        }
    }
}
