//! The bridge: keeps a copy of what the engines say and shows it. It has no privileges, and nobody waits for it.
//!
//! One tokio runtime on one thread. Frames from the engines go into the [`Store`] (`engines`); the AgentX [`Session`]
//! answers from its snapshots over a [`Link`] (`agent`); SETs go back as commands to the owner. A master agent that is
//! stopped, slow or hostile meets a deadline or a bound here, and costs nothing elsewhere.

mod agent;
mod bus;
mod direct;
mod dump;
mod engines;
mod plan;
mod reload;
mod report;
mod respond;
mod rrd;
mod runner;
mod web;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tracing::{debug, error};

use self::bus::Bus;
use self::direct::{Counted, Direct, Heard as Datagram};
use self::dump::Dumps;
use self::engines::Engines;
use self::plan::Plans;
use self::reload::Reloads;
use self::respond::Agent;
use self::rrd::History;
use self::runner::Runner;
use self::web::Http;
use super::control::{Ask, Control};
use super::lifecycle::{Channel, Heard, ToChild, ToSupervisor};
use super::link::{Link, sleep_until};
use super::options::Options;
use super::pulse::Heart;
use super::role::{Role, exit};
use super::{logging, naming};
use crate::agentx::{Event, Session, Settings, Wanted};
use crate::bus::msg::{ConfigGeneration, Source};
use crate::clock::{self, Instant};
use crate::conf::model::{Config, Snmp};
use crate::export::Look;
use crate::export::look::{Daemon, LastHeard};
use crate::mib::tree::Tree;
use crate::store::Store;
use crate::sys::aio::{self, Owned};
use crate::sys::{poll, privileges};

/// How often engines that have gone are read at the end; each time takes many frames.
const LAST_TURNS: usize = 32;

/// How long the last words to the master agent may take.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// Reads the first message from standard input and runs until told to stop. Returns the exit status.
pub fn run() -> i32 {
    let Ok(mut channel) = Channel::from_stdin() else { return exit::SOFTWARE };
    let Ok((ToChild::Start { options, config: generation, .. }, Some(file))) = channel.wait::<ToChild>() else {
        return exit::SOFTWARE;
    };
    let config = match super::vrrp::decode(&file) {
        Ok(config) => config,
        Err(status) => return status,
    };
    naming::apply(Some(Role::Bridge), &options.program, &config.global.process.names);
    logging::start(&options.log(config.global.instance.as_deref()), "_bridge");
    // The terminal's signals reach the whole group, and only the supervisor acts on them.
    let _signals = poll::Signals::new(&[libc::SIGINT, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2]);
    let user = nix::unistd::geteuid().as_raw();
    if let Err(error) = privileges::become_nobody() {
        // Without root there is nothing to give up.
        debug!("the bridge keeps the user it was started as: {error}");
    }
    logging::write_file();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("the bridge cannot start: {error}");
            return exit::SOFTWARE;
        }
    };
    runtime.block_on(async move {
        match Bridge::start(channel, *options, config, generation, user) {
            Ok(mut bridge) => bridge.run().await,
            Err(error) => {
                error!("the bridge cannot start: {error}");
                exit::SOFTWARE
            }
        }
    })
}

struct Bridge {
    options: Options,
    channel: Channel,
    channel_ready: AsyncFd<Owned>,
    engines: Engines,
    runner: Runner,
    store: Store,
    tree: Tree,
    snmp: Snmp,
    /// Engines that the configuration in force asks for.
    wanted: Vec<Source>,
    session: Session,
    link: Option<Link>,
    connecting: Option<JoinHandle<std::io::Result<OwnedFd>>>,
    /// The number of the connection that the supervisor is to open, while one is wanted.
    awaited: Option<u64>,
    attempts: u64,
    control: Control,
    direct: Direct,
    agent: Agent,
    http: Http,
    /// The SNMP engine is being read from disk.
    counting: Option<JoinHandle<Counted>>,
    started: Instant,
    leaving: Option<Instant>,
    /// What the supervisor told last.
    daemon: Arc<Daemon>,
    reloads: Reloads,
    plans: Plans,
    /// Our own.
    heart: Heart,
    history: History,
    dumps: Dumps,
    bus: Bus,
    /// As whom the daemon was started.
    user: u32,
}

enum Woken {
    Channel,
    Engine(Source),
    Runner,
    LinkReadable,
    LinkWritable,
    Connected(std::io::Result<OwnedFd>),
    Asked(Ask),
    Datagrams(Vec<Datagram>),
    Rrd,
    BusReadable,
    BusWritable,
    Counted(Result<Counted, tokio::task::JoinError>),
    Time,
}

impl Bridge {
    fn start(
        channel: Channel,
        options: Options,
        config: Config,
        generation: ConfigGeneration,
        user: u32,
    ) -> std::io::Result<Bridge> {
        let channel_ready = aio::register(channel.as_fd().try_clone_to_owned()?)?;
        let started = clock::now();
        let seed = started.nanos() ^ u64::from(std::process::id());
        let mut bridge = Bridge {
            options,
            channel,
            channel_ready,
            engines: Engines::default(),
            runner: Runner::default(),
            store: Store::new(),
            tree: Tree::default(),
            snmp: Snmp::default(),
            wanted: vec![],
            session: Session::new(Settings { seed, ..Settings::default() }),
            link: None,
            connecting: None,
            awaited: None,
            attempts: 0,
            control: Control::new(user),
            direct: Direct::new(started, seed),
            agent: Agent::default(),
            http: Http::default(),
            counting: None,
            started,
            leaving: None,
            daemon: Arc::default(),
            reloads: Reloads::default(),
            plans: Plans::default(),
            history: History::default(),
            dumps: Dumps::default(),
            bus: Bus::default(),
            user,
            heart: Heart::new(started),
        };
        bridge.configure(&config);
        bridge.ready(generation);
        Ok(bridge)
    }

    async fn run(&mut self) -> i32 {
        loop {
            let deadline = self.deadline();
            let woken = self.wait(deadline).await;
            self.heart.woken(deadline, clock::now());
            match woken {
                Woken::Channel => self.read_channel(),
                Woken::Engine(source) => self.read_engine(source),
                Woken::Runner => self.runner.read(),
                Woken::LinkReadable => self.read_link(),
                Woken::LinkWritable => {
                    if let Some(link) = &mut self.link {
                        link.flush(clock::now());
                    }
                }
                Woken::Connected(result) => {
                    self.connecting = None;
                    self.connected(result);
                }
                Woken::Asked(ask) => self.asked(ask),
                Woken::Datagrams(heard) => heard.into_iter().for_each(|socket| self.read_datagrams(socket)),
                Woken::Rrd => self.serve_rrd(),
                Woken::BusReadable => self.read_bus(),
                Woken::BusWritable => self.flush_bus(),
                Woken::Counted(counted) => {
                    self.counting = None;
                    self.engine_counted(counted);
                }
                Woken::Time => {}
            }
            let now = clock::now();
            if self.link.as_ref().is_some_and(|link| link.stalled(now)) {
                self.tell_session(Event::WriteStalled);
            }
            if self.session.deadline().is_some_and(|at| at <= now) {
                self.tell_session(Event::Wake);
            }
            self.wake_direct(now);
            self.wake_agent(now);
            self.wake_rrd(now);
            self.wake_dumps(now);
            self.wake_bus(now);
            self.heart.beats(now, clock::wall(), logging::counts);
            self.wake_http(now);
            self.wake_plans(now);
            self.refuse_lost();
            // What is ready stays ready, so nothing above need ever wait: let the runtime look at the other sockets.
            tokio::task::yield_now().await;
            if let Some(latest) = self.leaving
                && (now >= latest || self.link.as_ref().is_none_or(Link::is_empty) && self.direct.sender.is_idle())
            {
                return exit::OK;
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let stall = self.link.as_ref().and_then(Link::stall_deadline);
        let snmp = [self.session.deadline(), self.direct.deadline(), self.agent.deadline()];
        let ours = [stall, self.leaving, self.history.deadline(), self.http.deadline(), Some(self.heart.deadline())];
        let ours = ours.into_iter().chain([self.dumps.deadline(), self.bus.deadline(), self.plans.deadline()]);
        snmp.into_iter().chain(ours).flatten().min()
    }

    async fn wait(&mut self, deadline: Option<Instant>) -> Woken {
        let (link, engines, runner) = (self.link.as_ref(), &self.engines, &self.runner);
        let (connecting, counting) = (self.connecting.as_mut(), self.counting.as_mut());
        // Those who may have more to say than we can read take turns by lot: none of them keeps another from being heard.
        let (control, direct, history, bus) = (&mut self.control, &self.direct, &self.history, &self.bus);
        let talkers = async {
            tokio::select! {
                // Who stands behind one that is rarely ready has its turns as well.
                () = async { match link { Some(link) => link.writable().await, None => std::future::pending().await } } => Woken::LinkWritable,
                source = engines.readable() => Woken::Engine(source),
                () = runner.readable() => Woken::Runner,
                () = async { match link { Some(link) => link.readable().await, None => std::future::pending().await } } => Woken::LinkReadable,
                ask = control.asked() => Woken::Asked(ask),
                sockets = direct.readable() => Woken::Datagrams(sockets),
                () = history.ready() => Woken::Rrd,
                () = bus.readable() => Woken::BusReadable,
                () = bus.writable() => Woken::BusWritable,
            }
        };
        tokio::select! {
            biased;
            // Our own supervisor, and what happens once.
            () = aio::readable(&self.channel_ready) => Woken::Channel,
            result = async { match connecting { Some(task) => task.await, None => std::future::pending().await } } => {
                Woken::Connected(result.unwrap_or_else(|error| Err(std::io::Error::other(error))))
            }
            counted = async { match counting { Some(task) => task.await, None => std::future::pending().await } } => Woken::Counted(counted),
            woken = talkers => woken,
            // What is due is looked at whoever has woken us.
            () = sleep_until(deadline) => Woken::Time,
        }
    }

    /// What a configuration means here: which engines there are, and which parts of the MIB are shown.
    fn configure(&mut self, config: &Config) {
        self.configure_objects(config);
        self.configure_direct(&config.settings.snmp);
        self.configure_http(&config.settings);
        self.configure_agent();
        self.configure_bus(&config.global);
        self.history.configure(config.settings.rrd.as_ref(), clock::wall(), clock::now());
    }

    fn configure_objects(&mut self, config: &Config) {
        let wanted = self.options.engines(config);
        if wanted != self.wanted {
            self.wanted = wanted;
            self.forget_unwanted();
        } else if config.global.snmp == self.snmp {
            return;
        }
        let snmp = &config.global.snmp;
        if snmp.socket != self.snmp.socket {
            // Another master: leave this one in good order.
            let actions = self.session.stop(clock::now());
            self.carry_out(actions);
        }
        self.snmp = snmp.clone();
        self.tree = Tree::new(snmp, &self.wanted);
        let wanted = Wanted { registrations: self.tree.registrations(), capabilities: self.tree.capabilities() };
        let actions = self.session.want(wanted, clock::now());
        self.carry_out(actions);
    }

    // --- the supervisor

    fn ready(&mut self, config: ConfigGeneration) {
        let _ = self.channel.send(&ToSupervisor::Ready { config }, None);
    }

    fn read_channel(&mut self) {
        let (messages, heard) = self.channel.hear();
        messages.into_iter().for_each(|(message, fd)| self.told(message, fd));
        let Heard::Last(error) = heard else { return aio::drained(&self.channel_ready) };
        if let Some(error) = error {
            error!("the supervisor cannot be understood: {error}");
        }
        self.leave();
        // The end of the socket stays readable; there is nothing to wait for any more.
        self.leaving = Some(clock::now());
    }

    fn cannot_take(&mut self, config: ConfigGeneration, why: &str) {
        let _ = self.channel.send(&ToSupervisor::CannotTake { config, why: why.to_owned() }, None);
    }

    fn told(&mut self, message: ToChild, fd: Option<OwnedFd>) {
        match (message, fd) {
            (ToChild::Stop, _) => self.leave(),
            (ToChild::Reload { config, .. }, Some(file)) => match super::vrrp::decode(&file) {
                Ok(new) => {
                    naming::apply(Some(Role::Bridge), &self.options.program, &new.global.process.names);
                    self.configure(&new);
                    self.tell_bus_that("VrrpReloaded");
                    self.ready(config);
                }
                Err(_) => self.cannot_take(config, "it cannot be read"),
            },
            (ToChild::Reload { config, .. }, None) => self.cannot_take(config, "it did not arrive"),
            (ToChild::Peer(Role::Vrrp), Some(fd)) => self.meet_engine(Source::Vrrp, fd),
            (ToChild::Peer(Role::Checks), Some(fd)) => self.meet_engine(Source::Checks, fd),
            (ToChild::Peer(Role::Runner), Some(fd)) => self.runner.meet(fd),
            (ToChild::Peer(Role::Rrd), Some(fd)) => self.meet_rrd(fd),
            (ToChild::Control, Some(fd)) => {
                if let Err(error) = self.control.listen(fd) {
                    error!("the control socket cannot be used: {error}");
                }
            }
            (ToChild::Listening { address, error: None }, Some(fd)) => self.listening(address, Ok(fd)),
            (ToChild::Listening { address, error }, _) => {
                self.listening(address, Err(std::io::Error::from_raw_os_error(error.unwrap_or(libc::EIO))));
            }
            (ToChild::State { error: None }, Some(fd)) => self.state_opened(Ok(fd)),
            (ToChild::State { error }, _) => {
                self.state_opened(Err(std::io::Error::from_raw_os_error(error.unwrap_or(libc::EIO))));
            }
            (ToChild::AgentX { attempt, error }, fd) => {
                // One that was given up meanwhile would be a second connection: it closes with its descriptor.
                if self.awaited.take_if(|awaited| *awaited == attempt).is_some() {
                    let error = || std::io::Error::from_raw_os_error(error.unwrap_or(libc::EIO));
                    self.connected(fd.ok_or_else(error));
                }
            }
            (ToChild::Dump { number, kind, config }, Some(file)) => self.want_dump(number, kind, config, file),
            (ToChild::Dump { .. } | ToChild::Signal(_), _) => {}
            (ToChild::Daemon(daemon), _) => {
                self.daemon = (*daemon).into();
            }
            (ToChild::Reloaded { requests, reload }, _) => self.reloads.told(&requests, &reload),
            (ToChild::Planned { number, warnings, error }, fd) => self.planned(number, warnings, error, fd),
            (ToChild::Bus { attempt, error }, fd) => self.bus_opened(attempt, opened(error, fd)),
            (ToChild::ListeningStream { endpoint, error }, fd) => self.listening_stream(endpoint, opened(error, fd)),
            (ToChild::File { path, error }, fd) => self.file_opened(&path, opened(error, fd)),
            (ToChild::StreamReleased { endpoint }, _) => self.stream_released(&endpoint),
            (ToChild::Textfile { number, error }, fd) => self.textfile_opened(number, opened(error, fd)),
            (
                ToChild::Start { .. }
                | ToChild::Peer(_)
                | ToChild::Control
                | ToChild::Previous { .. }
                | ToChild::PlanInto
                | ToChild::Occasion(_),
                _,
            ) => {
                error!("the supervisor said something at the wrong time");
            }
        }
    }

    fn leave(&mut self) {
        if self.leaving.is_none() {
            // The engines have gone by now: what they said last is here or never comes.
            for _ in 0..LAST_TURNS {
                Source::ALL.into_iter().for_each(|source| self.read_engine(source));
            }
            self.tell_bus_that("VrrpStopped");
            let now = clock::now();
            self.leaving = Some(now + STOP_PATIENCE);
            let actions = self.session.stop(now);
            self.carry_out(actions);
        }
    }

    fn asked(&mut self, ask: Ask) {
        match ask {
            // One that has gone meanwhile needs no answer.
            Ask::Look(tell) => drop(tell.send(Arc::new(self.look()))),
            Ask::Carry(command, reply) => self.command_of_tool(command, reply),
            Ask::Snmp(tell) => drop(tell.send(Box::new(self.snmp_report()))),
            Ask::Reload(tell) => self.reload(tell),
            Ask::Plan { safe, tell } => self.want_plan(safe, tell),
            Ask::Draw(graph, tell) => self.draw(graph, tell),
            Ask::OpenFile(path, tell) => self.open_file(path, tell),
            Ask::Textfile(tell) => self.want_textfile(tell),
            Ask::TextfileDone => self.textfile_is_whole(),
        }
    }

    /// What everybody is shown now.
    fn look(&mut self) -> Look {
        Look {
            at: clock::wall(),
            now: clock::now(),
            snapshot: self.store.snapshot(),
            vrrp_connected: self.engines.is_there(Source::Vrrp),
            checks_connected: self.engines.is_there(Source::Checks),
            daemon: Arc::clone(&self.daemon),
            snmp: Arc::new(self.snmp_report()),
            runner: self.runner.shown(),
            heard: LastHeard {
                vrrp: self.engines.pulse(Source::Vrrp),
                checks: self.engines.pulse(Source::Checks),
                runner: self.runner.heard(),
            },
            scrapes: self.http.scrapes(),
            rrd: self.history.report(clock::now()).map(Arc::new),
            bridge: self.heart.pulse.clone(),
            events: self.store.events(),
            traps: Arc::new(self.trap_counts(clock::now())),
            bases: self.store.bases(),
        }
    }
}

/// A descriptor that the supervisor has opened, or why it has not.
fn opened(error: Option<i32>, fd: Option<OwnedFd>) -> std::io::Result<OwnedFd> {
    fd.ok_or_else(|| std::io::Error::from_raw_os_error(error.unwrap_or(libc::EIO)))
}

#[cfg(test)]
mod tests;
