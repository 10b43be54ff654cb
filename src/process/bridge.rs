//! The bridge: keeps a copy of what the engines say and shows it. It has no privileges, and nobody waits for it.
//!
//! One tokio runtime on one thread. Frames from the vrrp process go into the [`Store`]; the AgentX [`Session`] answers
//! from its snapshots over a [`Link`]; SETs go back as commands. A master agent that is stopped, slow or hostile meets
//! a deadline or a bound here, and costs nothing elsewhere.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;
use tracing::{debug, error, info, warn};

use super::dumps;
use super::lifecycle::{Channel, ChannelError, ToChild, ToSupervisor, UserSignal};
use super::link::{self, Address, Link, Read, sleep_until};
use super::logging;
use super::options::Options;
use super::role::{Role, exit};
use crate::agentx::{Action, Event, LogLevel, Pinned, Session, Settings, Token, Wanted};
use crate::bus::frame;
use crate::bus::msg::{Command, ConfigGeneration, Edge, Source, ToBridge, ToEngine};
use crate::clock::{self, Instant};
use crate::conf::model::{Config, Snmp};
use crate::mib::trap;
use crate::mib::tree::Tree;
use crate::store::{Applied, Store};
use crate::sys::aio::{self, Owned};
use crate::sys::seqpacket::{FRAME_MAX, Received, Sent, Seqpacket};
use crate::sys::{poll, privileges};

/// How long the last words to the master agent may take.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// Frames read in one go; then others have their turn.
const FRAMES_PER_TURN: usize = 64;

/// Reads from the master agent in one go; one that never stops talking must not keep us from anything else.
const READS_PER_TURN: usize = 16;

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
    logging::start(&options.log(config.global.instance.as_deref()), "_bridge");
    // The terminal's signals reach the whole group, and only the supervisor acts on them.
    let _signals = poll::Signals::new(&[libc::SIGINT, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2]);
    if let Err(error) = privileges::become_nobody() {
        // Without root there is nothing to give up.
        debug!("the bridge keeps the user it was started as: {error}");
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("the bridge cannot start: {error}");
            return exit::SOFTWARE;
        }
    };
    runtime.block_on(async move {
        match Bridge::start(channel, *options, config, generation) {
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
    bus: Option<Bus>,
    store: Store,
    tree: Tree,
    snmp: Snmp,
    session: Session,
    link: Option<Link>,
    connecting: Option<JoinHandle<std::io::Result<OwnedFd>>>,
    /// Commands that were sent to the engine, by request number.
    requests: BTreeMap<u64, Token>,
    next_request: u64,
    buffer: Vec<u8>,
    leaving: Option<Instant>,
}

struct Bus {
    socket: Seqpacket,
    ready: AsyncFd<Owned>,
}

enum Woken {
    Channel,
    Bus,
    LinkReadable,
    LinkWritable,
    Connected(std::io::Result<OwnedFd>),
    Time,
}

impl Bridge {
    fn start(
        channel: Channel,
        options: Options,
        config: Config,
        generation: ConfigGeneration,
    ) -> std::io::Result<Bridge> {
        let channel_ready = aio::register(channel.as_fd().try_clone_to_owned()?)?;
        let seed = clock::now().nanos() ^ u64::from(std::process::id());
        let mut bridge = Bridge {
            options,
            channel,
            channel_ready,
            bus: None,
            store: Store::new(),
            tree: Tree::default(),
            snmp: Snmp::default(),
            session: Session::new(Settings { seed, ..Settings::default() }),
            link: None,
            connecting: None,
            requests: BTreeMap::new(),
            next_request: 0,
            buffer: vec![0; 2 * FRAME_MAX],
            leaving: None,
        };
        bridge.configure(&config);
        bridge.ready(generation);
        Ok(bridge)
    }

    async fn run(&mut self) -> i32 {
        loop {
            match self.wait().await {
                Woken::Channel => self.read_channel(),
                Woken::Bus => self.read_bus(),
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
                Woken::Time => {}
            }
            let now = clock::now();
            if self.link.as_ref().is_some_and(|link| link.stalled(now)) {
                self.tell_session(Event::WriteStalled);
            }
            if self.session.deadline().is_some_and(|at| at <= now) {
                self.tell_session(Event::Wake);
            }
            // What is ready stays ready, so nothing above need ever wait: let the runtime look at the other sockets.
            tokio::task::yield_now().await;
            if let Some(latest) = self.leaving
                && (now >= latest || self.link.as_ref().is_none_or(Link::is_empty))
            {
                return exit::OK;
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let deadline = [self.session.deadline(), self.link.as_ref().and_then(Link::stall_deadline), self.leaving]
            .into_iter()
            .flatten()
            .min();
        let (link, bus) = (self.link.as_ref(), self.bus.as_ref());
        let connecting = self.connecting.as_mut();
        tokio::select! {
            biased;
            () = aio::readable(&self.channel_ready) => Woken::Channel,
            () = async { match bus { Some(bus) => aio::readable(&bus.ready).await, None => std::future::pending().await } } => Woken::Bus,
            () = async { match link { Some(link) => link.readable().await, None => std::future::pending().await } } => Woken::LinkReadable,
            () = async { match link { Some(link) => link.writable().await, None => std::future::pending().await } } => Woken::LinkWritable,
            result = async { match connecting { Some(task) => task.await, None => std::future::pending().await } } => {
                Woken::Connected(result.unwrap_or_else(|error| Err(std::io::Error::other(error))))
            }
            () = sleep_until(deadline) => Woken::Time,
        }
    }

    /// What a configuration means here: which parts of the MIB are shown.
    fn configure(&mut self, config: &Config) {
        let snmp = &config.global.snmp;
        if *snmp == self.snmp {
            return;
        }
        if snmp.socket != self.snmp.socket {
            // Another master: leave this one in good order.
            let actions = self.session.stop(clock::now());
            self.carry_out(actions);
        }
        self.snmp = snmp.clone();
        self.tree = Tree::new(snmp);
        let wanted = Wanted { registrations: self.tree.registrations(), capabilities: self.tree.capabilities() };
        let actions = self.session.want(wanted, clock::now());
        self.carry_out(actions);
    }

    // --- the supervisor

    fn ready(&mut self, config: ConfigGeneration) {
        let _ = self.channel.send(&ToSupervisor::Ready { config }, None);
    }

    fn read_channel(&mut self) {
        let _ = self.channel.flush();
        loop {
            match self.channel.receive::<ToChild>() {
                Ok(Some((message, fd))) => self.told(message, fd),
                Ok(None) => return aio::drained(&self.channel_ready),
                Err(error) => {
                    if !matches!(error, ChannelError::Gone) {
                        error!("the supervisor cannot be understood: {error}");
                    }
                    self.leave();
                    // The end of the socket stays readable; there is nothing to wait for any more.
                    self.leaving = Some(clock::now());
                    return;
                }
            }
        }
    }

    fn told(&mut self, message: ToChild, fd: Option<OwnedFd>) {
        match (message, fd) {
            (ToChild::Stop, _) => self.leave(),
            (ToChild::Reload { config }, Some(file)) => match super::vrrp::decode(&file) {
                Ok(new) => {
                    self.configure(&new);
                    self.ready(config);
                }
                Err(_) => error!("reload refused: the new configuration cannot be read"),
            },
            (ToChild::Peer(Role::Vrrp), Some(fd)) => self.meet_engine(fd),
            (ToChild::AgentX { error: None }, Some(fd)) => self.connected(Ok(fd)),
            (ToChild::AgentX { error }, _) => {
                self.connected(Err(std::io::Error::from_raw_os_error(error.unwrap_or(libc::EIO))));
            }
            (ToChild::Signal(UserSignal::Stats | UserSignal::StatsClear), Some(file)) => self.dump_stats(file),
            (ToChild::Signal(_), _) => {}
            (ToChild::Start { .. } | ToChild::Peer(_) | ToChild::Reload { .. }, _) => {
                error!("the supervisor said something at the wrong time");
            }
        }
    }

    fn leave(&mut self) {
        if self.leaving.is_none() {
            // The engines have gone by now: what they said last is here or never comes.
            self.read_bus();
            let now = clock::now();
            self.leaving = Some(now + STOP_PATIENCE);
            let actions = self.session.stop(now);
            self.carry_out(actions);
        }
    }

    fn dump_stats(&mut self, file: OwnedFd) {
        match dumps::write(file, &dumps::stats(&self.store.snapshot())) {
            Ok(()) => {
                let _ = self.channel.send(&ToSupervisor::Dumped, None);
            }
            Err(error) => error!("cannot write the counters: {error}"),
        }
    }

    // --- the engine

    fn meet_engine(&mut self, fd: OwnedFd) {
        let registered = fd.try_clone().and_then(aio::register);
        match registered {
            Ok(ready) => {
                self.store.expect_resync(Source::Vrrp);
                self.bus = Some(Bus { socket: Seqpacket::from_fd(fd), ready });
                // It may have spoken already.
                self.read_bus();
            }
            Err(error) => error!("cannot watch the vrrp process's socket: {error}"),
        }
    }

    fn read_bus(&mut self) {
        for _ in 0..FRAMES_PER_TURN {
            let Some(bus) = &self.bus else { return };
            match bus.socket.receive(&mut self.buffer) {
                Ok(Received::Nothing) => return aio::drained(&bus.ready),
                Ok(Received::Frame(length, _)) => {
                    match frame::decode::<ToBridge>(self.buffer.get(..length).unwrap_or_default()) {
                        Ok(messages) => messages.into_iter().for_each(|message| self.heard(message)),
                        Err(error) => {
                            error!("the vrrp process cannot be understood: {error}");
                            self.ask_resync();
                        }
                    }
                }
                Ok(Received::Gone) | Err(_) => {
                    self.bus = None;
                    return;
                }
            }
        }
    }

    fn heard(&mut self, message: ToBridge) {
        match message {
            ToBridge::Feed(feed) => match self.store.apply(Source::Vrrp, feed) {
                Ok(Applied::Committed { generation, edges }) => {
                    self.tell_session(Event::StoreAt(generation));
                    edges.iter().for_each(|edge| self.notify(edge));
                    if !edges.is_empty() {
                        self.say(&ToEngine::Seen(generation));
                    }
                }
                Ok(Applied::Staged | Applied::Ignored) => {}
                Err(error) => {
                    error!("the vrrp process's rows do not follow from each other ({error}); asking for all of them");
                    self.ask_resync();
                }
            },
            ToBridge::Reply { request, reply } => {
                if let Some(token) = self.requests.remove(&request) {
                    self.tell_session(Event::CommandReply { token, reply });
                }
            }
        }
    }

    fn ask_resync(&mut self) {
        self.store.expect_resync(Source::Vrrp);
        self.say(&ToEngine::Resync);
    }

    fn notify(&mut self, edge: &Edge) {
        if let Some(trap) = trap::for_edge(edge, &self.store.snapshot()) {
            let actions = self.session.notify(trap, clock::now());
            self.carry_out(actions);
        }
    }

    fn command(&mut self, token: Token, command: Command) {
        /// What a master could make us remember of commands that are never answered.
        const REQUESTS_MAX: usize = 1024;
        self.next_request += 1;
        let request = self.next_request;
        if self.requests.len() >= REQUESTS_MAX {
            self.requests.pop_first();
        }
        self.requests.insert(request, token);
        // Not answered, the transaction meets its deadline.
        self.say(&ToEngine::Command { request, command });
    }

    fn say(&mut self, message: &ToEngine) {
        let Some(bus) = &self.bus else { return };
        match frame::encode(message) {
            Ok(bytes) => {
                // One that is gone says so to the next read, and a new one brings a new socket.
                if matches!(bus.socket.send(&bytes, &[]), Ok(Sent::Full) | Err(_)) {
                    warn!("the vrrp process does not take commands now");
                }
            }
            Err(error) => error!("cannot speak to the vrrp process: {error}"),
        }
    }

    // --- the master agent

    fn tell_session(&mut self, event: Event<'_>) {
        let snapshot = self.store.snapshot();
        let view = Pinned { tree: &self.tree, snapshot: &snapshot };
        let actions = self.session.handle(event, &view, clock::now());
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Connect => self.connect(),
                Action::Send(bytes) => {
                    if let Some(link) = &mut self.link {
                        link.send(&bytes, clock::now());
                    }
                }
                Action::Disconnect => {
                    self.link = None;
                    if let Some(task) = self.connecting.take() {
                        task.abort();
                    }
                }
                Action::Command { token, command } => self.command(token, command),
                Action::Log(line) => match line.level {
                    LogLevel::Debug => debug!("{}", line.text),
                    LogLevel::Info => info!("{}", line.text),
                    LogLevel::Warn => warn!("{}", line.text),
                },
            }
        }
    }

    fn connect(&mut self) {
        let text = self.options.snmp_agent_socket.as_deref().or(self.snmp.socket.as_deref());
        match text.map_or(Address::Unix, Address::parse) {
            Address::Unix => {
                let _ = self.channel.send(&ToSupervisor::ConnectAgentX, None);
            }
            Address::Tcp(host) => self.connecting = Some(link::connect_tcp(host)),
            Address::Unsupported(kind) => {
                let reason = format!("AgentX over {kind} does not exist (RFC 2741 section 8); use unix: or tcp:");
                self.tell_session(Event::ConnectFailed(&reason));
            }
        }
    }

    fn connected(&mut self, result: std::io::Result<OwnedFd>) {
        match result.and_then(Link::new) {
            Ok(link) => {
                self.link = Some(link);
                self.tell_session(Event::Connected);
            }
            Err(error) => self.tell_session(Event::ConnectFailed(&error.to_string())),
        }
    }

    fn read_link(&mut self) {
        let mut buffer = [0; 16 * 1024];
        for _ in 0..READS_PER_TURN {
            let Some(link) = &self.link else { return };
            match link.read(&mut buffer) {
                Read::Nothing => return,
                Read::Bytes(count) => self.tell_session(Event::Bytes(buffer.get(..count).unwrap_or_default())),
                Read::Closed => {
                    self.link = None;
                    self.tell_session(Event::Closed("end of stream"));
                    return;
                }
            }
        }
    }
}
