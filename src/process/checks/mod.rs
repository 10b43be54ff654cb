//! The checks process: health checks, and the kernel's IPVS table.
//!
//! One tokio runtime on one thread runs the probes and tells the engine how they ended; [`kernel`] is the thread that
//! speaks netlink. MISC_CHECKs and notify scripts go to the runner. The bridge hears what changed through the
//! [`Outbox`]; nothing here waits for it.

mod kernel;
mod peer;
mod probes;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use self::kernel::{Answer, Ask, Kernel};
use self::peer::{Peer, Woken as PeerWoken};
use self::probes::Probes;
use super::lifecycle::{Channel, Heard, ToChild, ToSupervisor, UserSignal, WHY_MAX};
use super::link::sleep_until;
use super::options::Options;
use super::pulse::Heart;
use super::role::{Role, exit};
use super::scheduling::{self, Auto};
use super::{logging, naming};
use crate::bus::frame;
use crate::bus::msg::{ConfigGeneration, DriftReport, ToBridge, ToChecks, ToEngine};
use crate::bus::outbox::{self, Outbox};
use crate::bus::rows::{Row, RowKey};
use crate::bus::run::{FromRunner, ToRunner};
use crate::check::engine::{Engine, EngineOptions};
use crate::check::io::{Input, Level, Log, Output};
use crate::check::probe::file::Watcher;
use crate::clock::{self, Instant};
use crate::conf::model::{Check, Config, Lvs};
use crate::netlink::route::{Monitor, NetEvent, Status};
use crate::sys::aio::{self, Owned};
use crate::sys::poll::Signals;
use crate::sys::privileges::{self, Capability};
use crate::sys::seqpacket::Sent;

/// How long the last words (the table emptied, edges to the bridge, scripts to the runner) may take.
const STOP_PATIENCE: Duration = Duration::from_secs(4);

/// Everything is told again at most this often.
const RESYNC_EVERY: Duration = Duration::from_secs(1);

/// Answers and results taken in one go; then sockets have their turn.
const PER_TURN: usize = 256;

/// Answers that the bridge may leave waiting.
const REPLIES_MAX: usize = 1024;

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
    naming::apply(Some(Role::Checks), &options.program, &config.global.process.names);
    logging::start(&options.log(config.global.instance.as_deref()), "_checks");
    if !privileges::has(Capability::NetAdmin) {
        error!("IPVS needs CAP_NET_ADMIN: run keepwatchd as root, or give it that capability");
        return exit::PERMISSION;
    }
    if let Err(error) = privileges::raise_descriptor_limit() {
        warn!("cannot raise the limit of open files: {error}");
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("health checks cannot start: {error}");
            return exit::SOFTWARE;
        }
    };
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        match Driver::start(channel, *options, config, generation, restarted) {
            Ok(mut driver) => {
                logging::write_file();
                driver.run().await
            }
            Err(error) => {
                error!("health checks cannot start: {error}");
                exit::SOFTWARE
            }
        }
    })
}

/// How long a new configuration waits for the kernel's table, to tell what somebody has changed there.
const SURVEY_PATIENCE: Duration = Duration::from_millis(500);

/// How long the kernel may take for what a new configuration asks of it before that counts as in force.
const TAKE_PATIENCE: Duration = Duration::from_secs(2);

struct Driver {
    options: Options,
    channel: Channel,
    channel_ready: AsyncFd<Owned>,
    signals: Signals,
    signals_ready: AsyncFd<Owned>,
    bridge: Peer,
    runner: Peer,
    vrrp: Peer,
    kernel: Kernel,
    answers: mpsc::Receiver<Answer>,
    results: mpsc::UnboundedReceiver<Input>,
    probes: Probes,
    /// What FILE_CHECKs look at.
    files: Option<Watcher>,
    /// Addresses of this host, while a virtual server asks for them (`ha_suspend`).
    monitor: Option<(Monitor, AsyncFd<Owned>)>,
    outbox: Outbox,
    engine: Engine,
    outputs: Vec<Output>,
    heart: Heart,
    auto: Auto,
    config: ConfigGeneration,
    /// As it was when this process started.
    lvs: Lvs,
    /// Alerts have somewhere to go.
    mails: bool,
    /// The kernel has said what is there; before that nothing is decided.
    started: bool,
    resync_at: Option<Instant>,
    resynced_at: Instant,
    /// Somebody wants to know how the kernel's table is, when that many batches had been asked of it.
    looking: Option<(u64, u64)>,
    /// A configuration that waits for the kernel's table, and for how long.
    surveying: Option<(Box<Config>, ConfigGeneration, Instant)>,
    /// A configuration that was applied, and until when the kernel is waited for before it counts as in force.
    taking: Option<(ConfigGeneration, Instant)>,
    /// Set once the engine was told to shut down: when to go at the latest.
    leaving: Option<Instant>,
}

/// The rows as the outbox asks for them: the engine's, and this process's own.
struct Rows<'a>(&'a Engine, &'a Heart);

impl outbox::Rows for Rows<'_> {
    fn row(&self, key: &RowKey) -> Option<Row> {
        match key {
            RowKey::Pulse => Some(Row::Pulse(Box::new(self.1.pulse.clone()))),
            key => self.0.row(key),
        }
    }
    fn keys(&self) -> Vec<RowKey> {
        let mut keys = self.0.keys();
        keys.push(RowKey::Pulse);
        keys
    }
}

enum Woken {
    Channel,
    Signals,
    Bridge(PeerWoken),
    Runner(PeerWoken),
    Vrrp(PeerWoken),
    Kernel(Option<Answer>),
    Probe(Option<Input>),
    File((String, Option<i64>)),
    Monitor,
    Time,
}

impl Driver {
    fn start(
        channel: Channel,
        options: Options,
        config: Config,
        generation: ConfigGeneration,
        restarted: bool,
    ) -> std::io::Result<Driver> {
        // The terminal's signals reach the whole group, and only the supervisor acts on them. TERM sent to this process
        // alone means: stop in good order.
        let signals = Signals::new(&[
            libc::SIGTERM,
            libc::SIGINT,
            libc::SIGHUP,
            libc::SIGUSR1,
            libc::SIGUSR2,
            libc::SIGPIPE,
            libc::SIGXCPU,
        ])?;
        // The thread inherits the blocked signals, and needs more rights than this one keeps.
        let (kernel, answers) = Kernel::start(&config.global.lvs)?;
        // Raw sockets are for PING_CHECK, where the host does not allow unprivileged ones; `bind_port` may be a low one.
        let kept = [Capability::NetAdmin, Capability::NetRaw, Capability::NetBindService];
        let auto =
            scheduling::settle("checker", &config.global.lvs.realtime, config.global.process.auto_priority, &kept);
        let channel_ready = aio::register(channel.as_fd().try_clone_to_owned()?)?;
        let signals_ready = aio::register(signals.fd().try_clone_to_owned()?)?;
        let (tell, results) = mpsc::unbounded_channel();
        let now = clock::now();
        let seed = now.nanos() ^ u64::from(std::process::id());
        let engine = Engine::new(&config, EngineOptions { seed, restarted }, now, clock::wall());
        let mut driver = Driver {
            options,
            channel,
            channel_ready,
            signals,
            signals_ready,
            bridge: Peer::new("bridge"),
            runner: Peer::new("runner"),
            vrrp: Peer::new("vrrp"),
            kernel,
            answers,
            results,
            probes: Probes::new(tell),
            files: None,
            monitor: None,
            outbox: Outbox::new(generation),
            engine,
            outputs: Vec::new(),
            heart: Heart::new(now),
            auto,
            config: generation,
            lvs: config.global.lvs.clone(),
            mails: false,
            started: false,
            resync_at: None,
            resynced_at: Instant::ZERO,
            looking: None,
            surveying: None,
            taking: None,
            leaving: None,
        };
        driver.kernel.ask(Ask::Table);
        driver.configure(&config, generation);
        if generation > 1 && !restarted {
            // Started for a new configuration, of which everything is new.
            driver.engine.on_trial();
            driver.taking = Some((generation, now + TAKE_PATIENCE));
        } else {
            driver.ready(generation);
        }
        Ok(driver)
    }

    async fn run(&mut self) -> i32 {
        // Nothing was due while everything was made ready.
        self.heart = Heart::new(clock::now());
        loop {
            let deadline = self.deadline();
            self.auto.sleeps(clock::now);
            let woken = self.wait(deadline).await;
            self.heart.woken(deadline, clock::now());
            self.auto.woken(deadline, clock::now());
            self.engine.set_wall(clock::now(), clock::wall());
            self.serve(woken);
            self.act_on_time(clock::now());
            self.perform();
            self.judge(clock::now());
            if let Some(latest) = self.leaving {
                let said = self.outbox.is_empty() && self.runner.is_idle();
                let done = self.engine.is_finished() && said;
                if done || clock::now() >= latest {
                    if !done {
                        warn!("not everything could be put in order in time");
                    }
                    info!("Health checks have stopped");
                    return exit::OK;
                }
            }
            // What is ready stays ready, so nothing above need ever wait: let probes have their turn.
            tokio::task::yield_now().await;
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let engine = self.engine.deadline().filter(|_| self.started);
        let probes = self.probes.deadline(clock::now());
        let taking = self.taking.map(|(_, until)| until).or(self.surveying.as_ref().map(|(.., until)| *until));
        let own = [self.leaving, self.resync_at, engine, self.outbox.deadline(), probes, taking];
        own.into_iter().flatten().chain([self.heart.deadline()]).min()
    }

    async fn wait(&mut self, deadline: Option<Instant>) -> Woken {
        let (monitor, files) = (self.monitor.as_ref(), self.files.as_mut());
        tokio::select! {
            biased;
            () = aio::readable(&self.channel_ready) => Woken::Channel,
            () = aio::readable(&self.signals_ready) => Woken::Signals,
            answer = self.answers.recv() => Woken::Kernel(answer),
            woken = self.bridge.woken(self.outbox.wants_write()) => Woken::Bridge(woken),
            woken = self.vrrp.woken(false) => Woken::Vrrp(woken),
            woken = self.runner.woken(false) => Woken::Runner(woken),
            () = async { match monitor { Some((_, ready)) => aio::readable(ready).await, None => std::future::pending().await } } => Woken::Monitor,
            file = async { match files { Some(files) => files.next().await, None => std::future::pending().await } } => Woken::File(file),
            result = self.results.recv() => Woken::Probe(result),
            () = sleep_until(deadline) => Woken::Time,
        }
    }

    fn serve(&mut self, woken: Woken) {
        match woken {
            Woken::Channel => self.read_channel(),
            Woken::Signals => self.read_signals(),
            Woken::Kernel(Some(answer)) => {
                self.answered(answer);
                for _ in 0..PER_TURN {
                    let Ok(answer) = self.answers.try_recv() else { break };
                    self.answered(answer);
                }
            }
            Woken::Kernel(None) => {
                error!("the thread that speaks to the kernel is gone");
                self.leaving = Some(clock::now());
            }
            Woken::Bridge(PeerWoken::Readable) => self.read_bridge(),
            Woken::Bridge(PeerWoken::Writable) => {} // the feed follows below
            Woken::Runner(PeerWoken::Readable) => {
                for message in self.runner.hear::<FromRunner>() {
                    if let Some(input) = self.probes.heard(message, clock::now()) {
                        self.tell(input);
                    }
                }
            }
            Woken::Runner(PeerWoken::Writable) => self.runner.flush(),
            Woken::Vrrp(PeerWoken::Readable) => {
                for message in self.vrrp.hear() {
                    self.tell(match message {
                        ToChecks::State { instance, state } => Input::Vrrp { instance, state },
                        ToChecks::Bfd { session, up } => Input::Bfd { session, up },
                    });
                }
            }
            Woken::Vrrp(PeerWoken::Writable) => self.vrrp.flush(),
            Woken::Monitor => self.read_monitor(),
            Woken::File((name, value)) => self.tell(Input::File { name, value }),
            Woken::Probe(result) => {
                let more = std::iter::from_fn(|| self.results.try_recv().ok()).take(PER_TURN);
                let results: Vec<Input> = result.into_iter().chain(more).collect();
                for result in results {
                    if let Input::Probed { checker, attempt, .. } = &result {
                        self.probes.ended(checker, *attempt);
                    }
                    self.tell(result);
                }
            }
            Woken::Time => {}
        }
    }

    fn act_on_time(&mut self, now: Instant) {
        for late in self.probes.overdue(now, &mut self.runner) {
            self.tell(late);
        }
        if self.started && self.engine.deadline().is_some_and(|at| at <= now) {
            self.tell(Input::Wake);
        }
        if let Some((new, config, _)) = self.surveying.take_if(|(.., until)| *until <= now) {
            warn!("the IPVS table takes long to be read: what somebody has changed there is told later");
            self.take(&new, config, false);
        }
        if self.resync_at.is_some_and(|at| at <= now) {
            self.resync_at = None;
            self.resynced_at = now;
            self.outbox.connected();
        }
        if self.heart.beats(now, clock::wall(), logging::counts) {
            self.outbox.changed(RowKey::Pulse);
        }
    }

    fn tell(&mut self, input: Input) {
        self.engine.handle(input, clock::now(), &mut self.outputs);
    }

    /// What a configuration means here, besides the engine.
    fn configure(&mut self, config: &Config, generation: ConfigGeneration) {
        self.config = generation;
        self.mails = config.global.mail.server.is_some() && !config.global.mail.to.is_empty();
        let checks = || {
            let servers = config.services.iter().flat_map(|service| &service.servers);
            servers.flat_map(|server| &server.checkers).map(|checker| &checker.check)
        };
        for complaint in self.probes.configure(checks(), generation) {
            error!("{complaint}");
        }
        let files: BTreeMap<String, PathBuf> = checks()
            .filter_map(|check| match check {
                Check::File(file) => Some((file.name.clone(), file.path.clone().into())),
                _ => None,
            })
            .collect();
        match Watcher::start(files) {
            Ok(watcher) => self.files = Some(watcher),
            Err(error) => error!("cannot watch the files of FILE_CHECKs: {error}"),
        }
        self.watch_addresses_for(config);
        self.count(config);
    }

    fn watch_addresses_for(&mut self, config: &Config) {
        let suspends = config.services.iter().any(|service| service.ha_suspend);
        if suspends && self.monitor.is_none() {
            self.watch_addresses(config.global.lvs.monitor_buffer);
        }
    }

    /// Some settings belong to a process or a socket from its start.
    fn tell_what_waits_for_a_restart(&mut self, new: &Config) {
        let (old, new) = (&self.lvs, &new.global.lvs);
        for (changed, directive) in [
            (old.realtime != new.realtime, "scheduling of the checker (checker_priority and the like)"),
            (old.namespace != new.namespace, "net_namespace_ipvs"),
            (old.command_buffer != new.command_buffer, "lvs_netlink_cmd_rcv_bufs"),
            (old.monitor_buffer != new.monitor_buffer, "lvs_netlink_monitor_rcv_bufs"),
        ] {
            if changed {
                warn!("a change of {directive} waits for a restart");
            }
        }
    }

    fn count(&mut self, config: &Config) {
        let lvs = &config.global.lvs;
        let every = Duration::from_micros(lvs.service_statistics_us.min(lvs.server_statistics_us).max(1_000));
        self.kernel.ask(Ask::Count { services: self.engine.kernel_services().collect(), every });
    }

    // --- the supervisor

    fn ready(&mut self, config: ConfigGeneration) {
        // A supervisor that cannot be told is gone, and the next read says so.
        let _ = self.channel.send(&ToSupervisor::Ready { config }, None);
    }

    fn cannot_take(&mut self, config: ConfigGeneration, mut why: String) {
        let end = (0..=WHY_MAX.min(why.len())).rev().find(|at| why.is_char_boundary(*at));
        why.truncate(end.unwrap_or(0));
        let _ = self.channel.send(&ToSupervisor::CannotTake { config, why }, None);
    }

    /// Says whether the last configuration is in force, when the kernel has done its part.
    fn judge(&mut self, now: Instant) {
        let Some((config, until)) = self.taking.filter(|(_, until)| self.started || *until <= now) else { return };
        // An engine that does not decide any more has no opinion.
        if self.leaving.is_some() {
            self.taking = None;
            return;
        }
        let refused = self.engine.verdict(now >= until);
        let refused = match refused {
            None if now < until => return,
            None => Vec::new(),
            Some(refused) => refused,
        };
        self.taking = None;
        if refused.is_empty() { self.ready(config) } else { self.cannot_take(config, refused.join("; ")) }
    }

    fn read_channel(&mut self) {
        let (messages, heard) = self.channel.hear();
        messages.into_iter().for_each(|(message, fd)| self.told(message, fd));
        match heard {
            Heard::Everything => {}
            Heard::Last(Some(ref error)) => error!("the supervisor cannot be understood: {error}"),
            Heard::Last(None) if self.leaving.is_none() => error!("the supervisor is gone; stopping"),
            Heard::Last(None) => {}
        }
        if matches!(heard, Heard::Last(_)) {
            self.leave();
        }
        // Its end stays readable, and says nothing more.
        aio::drained(&self.channel_ready);
    }

    fn read_signals(&mut self) {
        loop {
            match self.signals.take() {
                Ok(Some(libc::SIGTERM)) => self.leave(),
                Ok(Some(libc::SIGXCPU)) => {
                    warn!("this process ran for longer than checker_rlimit_rttime without sleeping");
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return aio::drained(&self.signals_ready),
            }
        }
    }

    fn told(&mut self, message: ToChild, fd: Option<OwnedFd>) {
        match (message, fd) {
            (ToChild::Stop, _) => self.leave(),
            (ToChild::Reload { config, back }, Some(file)) => match super::vrrp::decode(&file) {
                // What is gone back to is waited for, and its table was compared a moment ago.
                Ok(new) if !back && self.engine.survey(clock::now(), &mut self.outputs) => {
                    self.taking = None;
                    self.surveying = Some((Box::new(new), config, clock::now() + SURVEY_PATIENCE));
                }
                // What it is to be taken back from may not have been applied at all.
                Ok(new) => self.take(&new, config, back && self.surveying.is_none()),
                Err(_) => self.cannot_take(config, "it cannot be read".to_owned()),
            },
            (ToChild::Reload { config, .. }, None) => self.cannot_take(config, "it did not arrive".to_owned()),
            (ToChild::Peer(Role::Bridge), Some(fd)) => {
                if self.bridge.meet(fd) {
                    self.outbox.connected();
                }
            }
            (ToChild::Peer(Role::Runner), Some(fd)) => {
                if self.runner.meet(fd) {
                    self.probes.meet_runner(&mut self.runner, &self.engine);
                }
            }
            (ToChild::Peer(Role::Vrrp), Some(fd)) => {
                self.vrrp.meet(fd);
            }
            (ToChild::Signal(UserSignal::StatsClear), _) => self.tell(Input::ClearCounters),
            (ToChild::Signal(_), _) => {}
            (message, _) => debug!("the supervisor said {message:?}, which is for others"),
        }
    }

    fn take(&mut self, new: &Config, config: ConfigGeneration, back: bool) {
        self.surveying = None;
        naming::apply(Some(Role::Checks), &self.options.program, &new.global.process.names);
        // Scripts of the configuration that was in force go by its numbers.
        self.perform();
        self.tell_what_waits_for_a_restart(new);
        // Where addresses are, before somebody asks for the first time.
        self.watch_addresses_for(new);
        match back {
            false => self.engine.apply(new, clock::now(), &mut self.outputs),
            true => self.engine.go_back(new, clock::now(), &mut self.outputs),
        }
        self.configure(new, config);
        self.outbox.configuration(config);
        self.taking = Some((config, clock::now() + TAKE_PATIENCE));
    }

    /// What somebody else has changed in the table is part of the answer to who has a new configuration put in force.
    fn tell_drift(&mut self, config: ConfigGeneration, lines: Vec<String>) {
        let drift = DriftReport::of(lines);
        if !drift.is_empty() {
            let _ = self.channel.send(&ToSupervisor::Drift { config, drift }, None);
        }
    }

    fn leave(&mut self) {
        self.surveying = None;
        if self.leaving.is_none() {
            self.leaving = Some(clock::now() + STOP_PATIENCE);
            self.tell(Input::Shutdown { keep_table: self.options.dont_release_ipvs });
        }
    }

    // --- the bridge

    fn read_bridge(&mut self) {
        for message in self.bridge.hear::<ToEngine>() {
            match message {
                ToEngine::Command { request, command } => self.tell(Input::Command { request, command }),
                ToEngine::Seen(generation) => self.outbox.seen(generation),
                ToEngine::Resync => self.resync_at = Some(self.resynced_at + RESYNC_EVERY),
                ToEngine::Survey { request } => match self.engine.batches() {
                    Some(batches) => {
                        self.looking = Some((request, batches));
                        self.kernel.ask(Ask::Look(request));
                    }
                    None => self.surveyed(request, DriftReport::default()),
                },
            }
        }
        if self.outbox.replies_waiting() > REPLIES_MAX {
            error!("the bridge commands and does not listen; parting with it");
            self.bridge.part();
        }
        if !self.bridge.is_there() {
            // What it asked for went with it: an outbox that believes in a reader has work for ever.
            self.resync_at = None;
            self.outbox.disconnected();
        }
    }

    /// One who has no room for this, or does not listen, goes on without it.
    fn surveyed(&mut self, request: u64, drift: DriftReport) {
        match frame::encode(&ToBridge::Surveyed { request, drift }) {
            Ok(bytes) => drop(self.bridge.send(&bytes)),
            Err(error) => error!("cannot tell what somebody has changed in the IPVS table: {error}"),
        }
    }

    fn feed(&mut self, now: Instant) {
        if self.bridge.is_there() {
            let bridge = &self.bridge;
            self.outbox.pump(&Rows(&self.engine, &self.heart), now, |bytes| match bridge.send(bytes) {
                Sent::Yes => outbox::Sent::Yes,
                Sent::Full => outbox::Sent::Full,
                Sent::Gone => outbox::Sent::Gone,
            });
        }
        while let Some(key) = self.outbox.next_too_large() {
            error!("{key} is too large to be shown by SNMP and dumps");
        }
    }

    // --- the kernel

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Ops { batch, errors } => {
                for (index, error) in errors.into_iter().enumerate() {
                    self.tell(Input::Kernel { batch, index, error });
                }
            }
            Answer::Table(table) => {
                if let Some((new, config, _)) = self.surveying.take() {
                    let lines = self.engine.compare(table, clock::now(), &mut self.outputs);
                    self.tell_drift(config, lines);
                    self.take(&new, config, false);
                } else {
                    self.tell(Input::Table(table));
                }
                self.begin();
            }
            Answer::Look(request, table) => {
                if let Some((_, batches)) = self.looking.take_if(|(asked, _)| *asked == request) {
                    let lines = self.engine.look(table, batches);
                    self.surveyed(request, DriftReport::of(lines));
                }
            }
            Answer::Nothing { error } => {
                self.tell(Input::NoIpvs { error });
                self.begin();
                if let Some((new, config, _)) = self.surveying.take() {
                    self.take(&new, config, false);
                }
            }
            Answer::Statistics(found) => self.tell(Input::Statistics(found)),
            Answer::Counted { began, took_us, totals } => self.tell(Input::Counted { began, took_us, totals }),
            Answer::NotCounted => self.tell(Input::NotCounted),
        }
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.started, true) {
            self.tell(Input::Wake);
        }
    }

    fn watch_addresses(&mut self, buffer: Option<u32>) {
        let opened = Monitor::open(buffer).and_then(|mut monitor| {
            let mut news = Vec::new();
            monitor.dump(&mut news)?;
            let ready = aio::register(monitor.as_fd().try_clone_to_owned()?)?;
            Ok((monitor, ready, news))
        });
        match opened {
            Ok((monitor, ready, news)) => {
                self.monitor = Some((monitor, ready));
                self.tell_addresses(news);
            }
            Err(error) => error!("cannot watch this host's addresses, which ha_suspend needs: {error}"),
        }
    }

    fn read_monitor(&mut self) {
        let Some((monitor, ready)) = &mut self.monitor else { return };
        let mut news = Vec::new();
        match monitor.read(&mut news) {
            Ok(Status::Drained) => aio::drained(ready),
            Ok(Status::More) => {}
            Ok(Status::Overrun) => {
                warn!("the kernel's news of addresses came faster than they were read; reading everything again");
                if let Err(error) = monitor.dump(&mut news) {
                    error!("cannot list the addresses: {error}");
                }
            }
            Err(error) => {
                warn!("cannot read the kernel's news of addresses: {error}");
                aio::drained(ready);
            }
        }
        self.tell_addresses(news);
    }

    fn tell_addresses(&mut self, news: Vec<NetEvent>) {
        for event in news {
            match event {
                NetEvent::Address(address) => self.tell(Input::HostAddress(address.address)),
                // The same address may be on another interface too.
                NetEvent::AddressGone(gone) => {
                    let elsewhere = self.monitor.as_ref().is_some_and(|(monitor, _)| monitor.holds(gone.address));
                    if !elsewhere {
                        self.tell(Input::HostAddressGone(gone.address));
                    }
                }
                NetEvent::Link(_) | NetEvent::LinkGone(_) => {}
            }
        }
    }

    // --- what the engine wants

    fn perform(&mut self) {
        let now = clock::now();
        for output in std::mem::take(&mut self.outputs) {
            match output {
                Output::Probe { checker, attempt, url } => {
                    if let Some(what) = self.engine.checker(&checker) {
                        self.probes.start(checker, attempt, &what.check, url, &mut self.runner);
                    }
                }
                Output::Abandon { checker } => self.probes.abandon(&checker, &mut self.runner),
                Output::Kernel { batch, ops } => self.kernel.ask(Ask::Ops { batch, ops }),
                Output::Audit => self.kernel.ask(Ask::Table),
                Output::Notify { script, lane } => {
                    self.errand(&ToRunner::Notify { config: self.config, script, lane, arguments: Vec::new() });
                }
                Output::Line { fifo, text } => self.errand(&ToRunner::Line { config: self.config, fifo, text }),
                Output::Mail(_) if !self.mails => {}
                Output::Mail(mail) => self.errand(&ToRunner::Mail { subject: mail.subject, body: mail.body }),
                Output::Changed(key) => self.outbox.changed(key),
                Output::Counted(key) => self.outbox.counted(key, now),
                Output::Edge(edge) => self.outbox.edge(edge),
                Output::Reply { request, reply } => self.outbox.reply(request, reply),
                Output::Log(line) => log(&line),
            }
        }
        self.feed(now);
    }

    /// For the runner, or the next one.
    fn errand(&mut self, message: &ToRunner) {
        if !self.runner.tell(message) {
            error!("the runner process does not keep up: a notification is lost");
        }
    }
}

fn log(line: &Log) {
    match line.level {
        Level::Debug => debug!("{}", line.text),
        Level::Info => info!("{}", line.text),
        Level::Warn => warn!("{}", line.text),
        Level::Error => error!("{}", line.text),
    }
}
