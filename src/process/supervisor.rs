//! The process that stays: starts the others, wires them together, restarts what dies, passes signals on, stops in order.
//!
//! It parses nothing: a configuration is a sealed file that it hands around, with a [`Sheet`] of the few facts that
//! decide which processes to start. It waits for signals and sockets only, never for a child to answer.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tracing::{error, info, warn};

use super::control::{self, ControlSocket};
use super::daemonize;
use super::dumps::{self, Pending};
use super::lifecycle::{Channel, ChannelError, Sheet, ToChild, ToSupervisor, UserSignal};
use super::options::Options;
use super::pidfile::{self, PidFile};
use super::role::{Role, exit};
use super::statefile;
use crate::bus::msg::ConfigGeneration;
use crate::clock::{self, Instant};
use crate::sys::poll::{Poller, Ready, Signals, Token};
use crate::sys::seqpacket::Seqpacket;
use crate::sys::{connect, memfd, udp};

/// A child that lived this long is started again at once; others wait, twice as long each time.
const STABLE_AFTER: Duration = Duration::from_secs(5);
const RESPAWN_FIRST: Duration = Duration::from_millis(50);
const RESPAWN_MAX: Duration = Duration::from_secs(8);

/// How long children may take to stop in good order (Keepalived's `child_wait_time` default).
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Reading a configuration may wait for a name server or a remote file, but not for ever.
const LOAD_PATIENCE: Duration = Duration::from_secs(60);

/// The bridge only says good-bye to the master agent; a master that does not listen does not hold us up.
const BRIDGE_PATIENCE: Duration = Duration::from_secs(2);

/// Messages of one child taken in one go.
const MESSAGES_PER_TURN: usize = 16;

const SIGNALS: Token = 0;

/// Runs the daemon until it stops, and returns the exit status.
pub fn run(options: Options) -> i32 {
    let mut supervisor = match Supervisor::new(options) {
        Ok(supervisor) => supervisor,
        Err(error) => {
            error!("cannot start: {error}");
            return exit::FATAL;
        }
    };
    supervisor.run()
}

struct Supervisor {
    options: Options,
    poller: Poller,
    signals: Signals,
    children: BTreeMap<Role, Running>,
    /// Roles that died, and when to start them again.
    respawn: BTreeMap<Role, (Instant, Duration)>,
    config: Option<InForce>,
    generation: ConfigGeneration,
    loading: Option<Loading>,
    reload_again: bool,
    stopping: Option<Stopping>,
    pid_file: Option<PidFile>,
    control: Option<ControlSocket>,
    entered_namespace: bool,
    /// The generation that every process last had in force.
    announced: ConfigGeneration,
    next_token: Token,
    /// A file that the bridge is filling.
    dump: Option<Pending>,
}

struct InForce {
    sheet: Sheet,
    file: OwnedFd,
}

struct Running {
    process: Child,
    channel: Channel,
    token: Token,
    started: Instant,
    backoff: Duration,
    ready: ConfigGeneration,
    watching_write: bool,
    _pid_file: Option<PidFile>,
}

struct Loading {
    file: OwnedFd,
    /// The channel stays open while the load process runs; it says nothing on it.
    _channel: Channel,
    process: Child,
    started: Instant,
}

struct Stopping {
    status: i32,
    deadline: Instant,
    bridge_told: bool,
}

impl Supervisor {
    fn new(options: Options) -> io::Result<Supervisor> {
        let signals = Signals::new(&[
            libc::SIGTERM,
            libc::SIGINT,
            libc::SIGHUP,
            libc::SIGUSR1,
            libc::SIGUSR2,
            libc::SIGCHLD,
            libc::SIGPIPE,
            libc::SIGRTMIN() + 2,
            libc::SIGRTMAX() - 1,
        ])?;
        let poller = Poller::new()?;
        poller.add(signals.fd(), SIGNALS, false)?;
        Ok(Supervisor {
            options,
            poller,
            signals,
            children: BTreeMap::new(),
            respawn: BTreeMap::new(),
            config: None,
            generation: 0,
            loading: None,
            reload_again: false,
            stopping: None,
            pid_file: None,
            control: None,
            entered_namespace: false,
            announced: 0,
            next_token: 1,
            dump: None,
        })
    }

    fn run(&mut self) -> i32 {
        if let Some(name) = self.options.namespace.clone()
            && let Err(status) = self.enter_namespace(&name)
        {
            return status;
        }
        if let Err(error) = self.load() {
            error!("cannot start the load process: {error}");
            return exit::FATAL;
        }
        let mut ready: Vec<Ready> = Vec::new();
        let mut finished = None;
        while finished.is_none() {
            if let Err(error) = self.poller.wait(self.deadline(), &mut ready) {
                error!("cannot wait for events: {error}");
                return exit::SOFTWARE;
            }
            for event in &ready {
                if event.token == SIGNALS {
                    finished = finished.or_else(|| self.take_signals());
                } else {
                    self.serve_child(event.token);
                }
            }
            finished = finished.or_else(|| self.act_on_time(clock::now()));
            self.watch_writers();
        }
        finished.unwrap_or(exit::OK)
    }

    fn deadline(&self) -> Option<Instant> {
        let respawn = self.respawn.values().map(|(at, _)| *at).min();
        let stop = self.stopping.as_ref().map(|stopping| stopping.deadline);
        let load = self.loading.as_ref().map(|loading| loading.started + LOAD_PATIENCE);
        respawn.into_iter().chain(stop).chain(load).min()
    }

    // --- configurations

    /// Starts the load process; its end decides what happens next.
    fn load(&mut self) -> io::Result<()> {
        let file = memfd::create("keepwatch-config")?;
        let (mut channel, process) = self.spawn(Role::Load)?;
        let start =
            ToChild::Start { options: Box::new(self.options.clone()), config: self.generation + 1, restarted: false };
        channel.send(&start, Some(file.try_clone()?)).map_err(io::Error::other)?;
        self.loading = Some(Loading { file, _channel: channel, process, started: clock::now() });
        Ok(())
    }

    fn loaded(&mut self, loading: Loading, status: i32) -> Option<i32> {
        let first = self.config.is_none();
        if status != exit::OK {
            if first {
                error!("the configuration cannot be used; not starting");
                return Some(status);
            }
            error!("reload refused: the configuration that is in force stays in force");
            return self.loading_done();
        }
        let sheet = match read_sheet(&loading.file) {
            Ok(sheet) => sheet,
            Err(error) if first => {
                error!("the load process left nothing usable: {error}");
                return Some(exit::SOFTWARE);
            }
            Err(error) => {
                error!("reload refused: the load process left nothing usable: {error}");
                return self.loading_done();
            }
        };
        if first {
            if let Some(name) = sheet.net_namespace.clone()
                && self.options.namespace.is_none()
                && !self.entered_namespace
            {
                // Interfaces must be looked up where the daemon will run: read the file once more, over there.
                return match self.enter_namespace(&name) {
                    Ok(()) => self.load().err().map(|_| exit::FATAL),
                    Err(status) => Some(status),
                };
            }
            if let Err(status) = self.claim(&sheet) {
                return Some(status);
            }
        }
        self.generation += 1;
        self.config = Some(InForce { sheet, file: loading.file });
        self.apply();
        if first {
            daemonize::report_started();
        }
        self.loading_done()
    }

    fn loading_done(&mut self) -> Option<i32> {
        if std::mem::take(&mut self.reload_again) {
            self.reload();
        }
        None
    }

    fn reload(&mut self) {
        if self.loading.is_some() {
            self.reload_again = true;
            return;
        }
        info!("Reloading");
        if let Err(error) = self.load() {
            error!("reload refused: cannot start the load process: {error}");
        }
    }

    /// Hands the configuration in force to every process that should run; starts and stops what differs.
    fn apply(&mut self) {
        let Some(config) = &self.config else { return };
        let wanted = roles(&config.sheet);
        // The runner first, as engines name its scripts; owners before the bridge, as rows follow from them.
        for role in [Role::Runner, Role::Checks, Role::Vrrp, Role::Bridge] {
            match (wanted.contains(&role), self.children.contains_key(&role)) {
                (true, true) => {
                    let message = ToChild::Reload { config: self.generation };
                    let file = self.config.as_ref().and_then(|config| config.file.try_clone().ok());
                    self.tell(role, &message, file);
                }
                (true, false) => self.start(role, RESPAWN_FIRST),
                (false, true) => {
                    // Told first that nothing is left for it, it leaves alone what `lvs_flush_on_stop` and the like are about.
                    let file = self.config.as_ref().and_then(|config| config.file.try_clone().ok());
                    self.tell(role, &ToChild::Reload { config: self.generation }, file);
                    self.tell(role, &ToChild::Stop, None);
                }
                (false, false) => {
                    self.respawn.remove(&role);
                }
            }
        }
    }

    // --- children

    fn spawn(&self, role: Role) -> io::Result<(Channel, Child)> {
        let (ours, theirs) = Seqpacket::pair()?;
        #[allow(clippy::disallowed_methods)]
        let mut command = Command::new("/proc/self/exe");
        command.arg0(role.title()).stdin(Stdio::from(theirs.into_fd())).stdout(Stdio::null());
        if !self.options.log_console {
            command.stderr(Stdio::null());
        }
        Ok((Channel::new(ours), command.spawn()?))
    }

    fn start(&mut self, role: Role, backoff: Duration) {
        let restarted = self.respawn.remove(&role).is_some();
        if let Err(error) = self.try_start(role, backoff, restarted) {
            error!("cannot start the {} process: {error}", role.name());
            self.respawn.insert(role, (clock::now() + backoff, (backoff * 2).min(RESPAWN_MAX)));
        }
    }

    fn try_start(&mut self, role: Role, backoff: Duration, restarted: bool) -> io::Result<()> {
        let Some(config) = &self.config else { return Ok(()) };
        let file = config.file.try_clone()?;
        let pid_path = match role {
            Role::Vrrp => Some(self.pid_path("vrrp", self.options.vrrp_pid.clone())),
            Role::Checks => Some(self.pid_path("checkers", self.options.checkers_pid.clone())),
            Role::Load | Role::Runner | Role::Bridge | Role::Rrd => None,
        };
        let (mut channel, mut process) = self.spawn(role)?;
        let start = ToChild::Start { options: Box::new(self.options.clone()), config: self.generation, restarted };
        let token = self.next_token;
        self.next_token += 1;
        let told = channel.send(&start, Some(file)).map_err(io::Error::other);
        if let Err(error) = told.and_then(|()| self.poller.add(&channel, token, false)) {
            let _ = process.kill();
            let _ = process.wait();
            return Err(error);
        }
        info!("Starting {} process, pid={}", role.name(), process.id());
        let pid_file = pid_path.and_then(|path| {
            PidFile::create(&path, process.id())
                .inspect_err(|error| warn!("cannot write the pid file {}: {error}", path.display()))
                .ok()
        });
        let running = Running {
            process,
            channel,
            token,
            started: clock::now(),
            backoff,
            ready: 0,
            watching_write: false,
            _pid_file: pid_file,
        };
        self.children.insert(role, running);
        if role == Role::Bridge
            && let Some(Ok(socket)) = self.control.as_ref().map(ControlSocket::share)
        {
            self.tell(role, &ToChild::Control, Some(socket));
        }
        if let Err(error) = self.wire(role) {
            // It runs, and its peers do not hear of it: start it again.
            error!("cannot connect the {} process to the others: {error}", role.name());
            if let Some(child) = self.children.get_mut(&role) {
                let _ = child.process.kill();
            }
        }
        Ok(())
    }

    /// Gives `role` and each process that it speaks with a new socket.
    fn wire(&mut self, role: Role) -> io::Result<()> {
        let peers: Vec<Role> = self.children.keys().copied().filter(|&peer| speak(role, peer)).collect();
        for peer in peers {
            let (one, other) = Seqpacket::pair()?;
            self.tell(role, &ToChild::Peer(peer), Some(one.into_fd()));
            self.tell(peer, &ToChild::Peer(role), Some(other.into_fd()));
        }
        Ok(())
    }

    fn tell(&mut self, role: Role, message: &ToChild, fd: Option<OwnedFd>) {
        let Some(child) = self.children.get_mut(&role) else { return };
        match child.channel.send(message, fd) {
            Ok(()) | Err(ChannelError::Gone) => {} // a child that is gone is reaped in a moment
            Err(error) => {
                error!("the {} process does not listen ({error}); killing it", role.name());
                let _ = child.process.kill();
            }
        }
    }

    fn serve_child(&mut self, token: Token) {
        let Some((&role, child)) = self.children.iter_mut().find(|(_, child)| child.token == token) else { return };
        let mut connect_agentx = None;
        let mut dumped = false;
        let mut asked = vec![];
        let _ = child.channel.flush();
        // One that never stops talking has its turn again when the others had theirs.
        for _ in 0..MESSAGES_PER_TURN {
            match child.channel.receive::<ToSupervisor>() {
                Ok(Some((ToSupervisor::Ready { config }, _))) => child.ready = config,
                Ok(Some((ToSupervisor::ConnectAgentX { attempt }, _))) => connect_agentx = Some(attempt),
                Ok(Some((ToSupervisor::Dumped, _))) => dumped = true,
                Ok(Some((message, _))) => asked.push(message),
                Ok(None) => break,
                Err(error) => {
                    if !matches!(error, ChannelError::Gone) {
                        error!("the {} process speaks nonsense ({error}); killing it", role.name());
                        let _ = child.process.kill();
                    }
                    // SIGCHLD tells the rest; until then this end would stay readable.
                    let _ = self.poller.remove(&child.channel);
                    child.token = Token::MAX - 1;
                    break;
                }
            }
        }
        if let Some(attempt) = connect_agentx {
            self.connect_agentx(role, attempt);
        }
        if dumped {
            self.dumped();
        }
        for message in asked {
            match message {
                ToSupervisor::Listen { address } => self.listen(role, address),
                ToSupervisor::OpenState => self.open_state(role),
                ToSupervisor::Reload if role == Role::Bridge && self.stopping.is_none() => self.reload(),
                // Not asked for yet.
                ToSupervisor::ListenStream { .. }
                | ToSupervisor::OpenFile { .. }
                | ToSupervisor::Textfile
                | ToSupervisor::TextfileDone => {}
                ToSupervisor::Reload
                | ToSupervisor::Ready { .. }
                | ToSupervisor::Dumped
                | ToSupervisor::ConnectAgentX { .. } => {}
            }
        }
        self.announce();
    }

    fn announce(&mut self) {
        if self.announced != self.generation
            && self.stopping.is_none()
            && !self.children.is_empty()
            && self.children.values().all(|child| child.ready == self.generation)
        {
            info!("{}", if self.announced == 0 { "Startup complete" } else { "Reload complete" });
            self.announced = self.generation;
        }
    }

    fn watch_writers(&mut self) {
        for child in self.children.values_mut() {
            let wants = child.channel.wants_write();
            if wants != child.watching_write && self.poller.modify(&child.channel, child.token, wants).is_ok() {
                child.watching_write = wants;
            }
        }
    }

    /// Opens the master agent's socket on behalf of the bridge, which has no right to. Never waits: a listener that
    /// does not accept gives an error at once.
    fn connect_agentx(&mut self, role: Role, attempt: u64) {
        let sheet = self.config.as_ref().and_then(|config| config.sheet.snmp_socket.as_deref());
        let address = self.options.snmp_agent_socket.as_deref().or(sheet).unwrap_or(DEFAULT_AGENTX);
        let path = PathBuf::from(address.strip_prefix("unix:").unwrap_or(address));
        match connect::unix_stream(&path) {
            Ok(socket) => self.tell(role, &ToChild::AgentX { attempt, error: None }, Some(socket)),
            Err(error) => {
                let error = Some(error.raw_os_error().unwrap_or(libc::EIO));
                self.tell(role, &ToChild::AgentX { attempt, error }, None);
            }
        }
    }

    /// Binds a port of the SNMP responder, where the daemon's network is. Only those that the configuration names.
    fn listen(&mut self, role: Role, address: SocketAddr) {
        let named = self.config.as_ref().is_some_and(|config| config.sheet.listen.contains(&address));
        let socket = if named { udp::bound(address) } else { Err(io::Error::from_raw_os_error(libc::EPERM)) };
        self.answer(role, socket, |error| ToChild::Listening { address, error });
    }

    /// Opens the file in which the bridge keeps its SNMP engine.
    fn open_state(&mut self, role: Role) {
        let instance = self.config.as_ref().and_then(|config| config.sheet.instance.clone());
        let namespace = self.options.namespace.clone().or_else(|| {
            let sheet = self.config.as_ref().map(|config| &config.sheet);
            sheet.and_then(|sheet| sheet.net_namespace.clone())
        });
        let path = statefile::path(&self.options.state_dir, instance.as_deref(), namespace.as_deref());
        let file = statefile::open(&path).inspect_err(|error| {
            warn!("cannot keep the SNMP engine in {}: {error}", path.display());
        });
        self.answer(role, file, |error| ToChild::State { error });
    }

    fn answer(&mut self, role: Role, fd: io::Result<OwnedFd>, message: impl FnOnce(Option<i32>) -> ToChild) {
        match fd {
            Ok(fd) => self.tell(role, &message(None), Some(fd)),
            Err(error) => self.tell(role, &message(Some(error.raw_os_error().unwrap_or(libc::EIO))), None),
        }
    }

    // --- signals

    fn take_signals(&mut self) -> Option<i32> {
        let mut finished = None;
        while let Ok(Some(signal)) = self.signals.take() {
            match signal {
                libc::SIGCHLD => finished = finished.or_else(|| self.reap()),
                libc::SIGINT if self.options.ignore_sigint => {}
                libc::SIGTERM | libc::SIGINT => self.stop(exit::OK),
                libc::SIGHUP if self.stopping.is_none() => self.reload(),
                libc::SIGUSR1 => warn!("the state dump is not built yet"),
                libc::SIGUSR2 => self.pass_on(UserSignal::Stats),
                signal if signal == libc::SIGRTMAX() - 1 => self.pass_on(UserSignal::StatsClear),
                signal if signal == libc::SIGRTMIN() + 2 => warn!("the JSON dump is not built yet"),
                _ => {}
            }
        }
        finished
    }

    fn pass_on(&mut self, signal: UserSignal) {
        if matches!(signal, UserSignal::Stats | UserSignal::StatsClear) {
            let path = dumps::directory().join("keepalived.stats");
            // The name of an unfinished one would be the same.
            self.dump = None;
            match Pending::create(path.clone(), self.options.file_mask()) {
                Ok((pending, file)) => {
                    self.dump = Some(pending);
                    self.tell(Role::Bridge, &ToChild::Signal(signal), Some(file));
                }
                Err(error) => error!("cannot write {}: {error}", path.display()),
            }
        }
        for role in [Role::Vrrp, Role::Checks] {
            self.tell(role, &ToChild::Signal(signal), None);
        }
    }

    fn dumped(&mut self) {
        if let Some(Err(error)) = self.dump.take().map(Pending::finish) {
            error!("cannot put the counters in their place: {error}");
        }
    }

    fn reap(&mut self) -> Option<i32> {
        if let Some(mut loading) = self.loading.take() {
            match loading.process.try_wait() {
                Ok(None) => self.loading = Some(loading),
                Ok(Some(status)) => {
                    let status = status.code().unwrap_or(exit::SOFTWARE);
                    if self.stopping.is_none()
                        && let Some(status) = self.loaded(loading, status)
                    {
                        return Some(status);
                    }
                }
                Err(error) => error!("cannot wait for the load process: {error}"),
            }
        }
        let mut dead = VecDeque::new();
        for (&role, child) in &mut self.children {
            if let Ok(Some(status)) = child.process.try_wait() {
                dead.push_back((role, status));
            }
        }
        for (role, status) in dead {
            self.died(role, status);
        }
        None
    }

    fn died(&mut self, role: Role, status: std::process::ExitStatus) {
        let Some(child) = self.children.remove(&role) else { return };
        let _ = self.poller.remove(&child.channel);
        if self.stopping.is_some() {
            return;
        }
        let wanted = self.config.as_ref().map(|config| roles(&config.sheet)).unwrap_or_default();
        if !wanted.contains(&role) {
            info!("The {} process has stopped: nothing is configured for it", role.name());
            return;
        }
        // Nothing that happens to another process may end VRRP.
        let expendable = !role.is_engine() || (role == Role::Checks && wanted.contains(&Role::Vrrp));
        if expendable && (self.options.dont_respawn || status.code().is_some_and(exit::is_permanent)) {
            error!("The {} process died ({status}) and stays dead; VRRP goes on without it", role.name());
            return;
        }
        if let Some(code) = status.code().filter(|&code| exit::is_permanent(code)) {
            error!(
                "The {} process (pid {}) exited with permanent error {code}. Terminating",
                role.name(),
                child.process.id()
            );
            self.stop(code);
            return;
        }
        if self.options.dont_respawn {
            error!("The {} process died ({status}), and --dont-respawn is given. Terminating", role.name());
            self.stop(exit::SOFTWARE);
            return;
        }
        let now = clock::now();
        let stable = now.since(child.started) >= STABLE_AFTER;
        let (delay, next) = if stable {
            (Duration::ZERO, RESPAWN_FIRST)
        } else {
            (child.backoff, (child.backoff * 2).min(RESPAWN_MAX))
        };
        error!("The {} process (pid {}) died: {status}. Starting it again", role.name(), child.process.id());
        self.respawn.insert(role, (now + delay, next));
    }

    // --- stopping

    fn stop(&mut self, status: i32) {
        if let Some(stopping) = &mut self.stopping {
            stopping.status = stopping.status.max(status);
            return;
        }
        info!("Stopping");
        if let Some(loading) = &mut self.loading {
            let _ = loading.process.kill();
        }
        // An engine that waits to be started again has left addresses or a table behind, which only it can take away.
        let waiting: Vec<Role> = self.respawn.keys().copied().filter(|role| role.is_engine()).collect();
        for role in waiting {
            self.start(role, RESPAWN_FIRST);
        }
        self.respawn.clear();
        let engines: Vec<Role> = self.children.keys().copied().filter(|role| role.is_engine()).collect();
        for role in engines {
            self.tell(role, &ToChild::Stop, None);
        }
        self.stopping = Some(Stopping { status, deadline: clock::now() + STOP_PATIENCE, bridge_told: false });
    }

    fn act_on_time(&mut self, now: Instant) -> Option<i32> {
        if let Some(loading) = &mut self.loading
            && now >= loading.started + LOAD_PATIENCE
        {
            error!("the configuration could not be read within {} s", LOAD_PATIENCE.as_secs());
            let _ = loading.process.kill();
            loading.started = now;
        }
        if self.stopping.is_none() {
            let due: Vec<(Role, Duration)> =
                self.respawn.iter().filter(|(_, (at, _))| *at <= now).map(|(&role, &(_, next))| (role, next)).collect();
            for (role, backoff) in due {
                self.start(role, backoff);
            }
            return None;
        }
        // Engines first; the bridge hears their last words, the runner starts their last scripts, and then they go.
        let engines_gone = !self.children.keys().any(|role| role.is_engine());
        let stopping = self.stopping.as_mut()?;
        if engines_gone && !stopping.bridge_told {
            stopping.bridge_told = true;
            stopping.deadline = now + BRIDGE_PATIENCE;
            for role in [Role::Runner, Role::Bridge] {
                self.tell(role, &ToChild::Stop, None);
            }
        }
        let stopping = self.stopping.as_mut()?;
        if now >= stopping.deadline {
            for (role, child) in &mut self.children {
                if role.is_engine() || stopping.bridge_told {
                    if role.is_engine() {
                        error!("The {} process does not stop; killing it", role.name());
                    }
                    let _ = child.process.kill();
                    let _ = child.process.wait();
                }
            }
            let bridge_told = stopping.bridge_told;
            self.children.retain(|role, _| !role.is_engine() && !bridge_told);
            if !self.children.is_empty() {
                return self.act_on_time(now);
            }
        }
        if self.children.is_empty() {
            info!("Stopped");
            return self.stopping.as_ref().map(|stopping| stopping.status);
        }
        None
    }

    // --- places

    fn enter_namespace(&mut self, name: &str) -> Result<(), i32> {
        let path = format!("/run/netns/{name}");
        let result = std::fs::File::open(&path)
            .and_then(|file| Ok(nix::sched::setns(file.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET)?));
        match result {
            Ok(()) => {
                self.entered_namespace = true;
                Ok(())
            }
            Err(error) => {
                error!("cannot enter the network namespace {name}: {error}");
                // Keepalived's status here.
                Err(if error.kind() == io::ErrorKind::NotFound { exit::OK } else { exit::PERMISSION })
            }
        }
    }

    /// Makes sure that no other daemon runs here, and says that we do.
    fn claim(&mut self, sheet: &Sheet) -> Result<(), i32> {
        let path = self.options.pid.clone().unwrap_or_else(|| {
            pidfile::default_path("keepalived", sheet.instance.as_deref(), sheet.use_pid_dir || self.entered_namespace)
        });
        if let Some(pid) = pidfile::running(&path) {
            error!("daemon is already running (pid {pid}, according to {})", path.display());
            return Err(exit::OK);
        }
        match PidFile::create(&path, std::process::id()) {
            Ok(file) => self.pid_file = Some(file),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                error!("cannot write the pid file {}: {error}; keepwatchd must run as root", path.display());
                return Err(exit::PERMISSION);
            }
            Err(error) => {
                error!("cannot write the pid file {}: {error}", path.display());
                return Err(exit::FATAL);
            }
        }
        let socket = control::path(&path);
        match ControlSocket::bind(&socket) {
            Ok(control) => self.control = Some(control),
            Err(error) => warn!("there is no control socket at {}: {error}", socket.display()),
        }
        Ok(())
    }

    fn pid_path(&self, name: &str, given: Option<PathBuf>) -> PathBuf {
        let sheet = self.config.as_ref().map(|config| &config.sheet);
        given.unwrap_or_else(|| {
            pidfile::default_path(
                name,
                sheet.and_then(|sheet| sheet.instance.as_deref()),
                self.entered_namespace || sheet.is_some_and(|sheet| sheet.use_pid_dir),
            )
        })
    }
}

/// net-snmp's default for both sides.
pub const DEFAULT_AGENTX: &str = "/var/agentx/master";

/// Whether two processes have something to say to each other.
fn speak(one: Role, other: Role) -> bool {
    let pair = (one.min(other), one.max(other));
    // Engines tell the bridge, and have scripts run; checks hears who is master. The runner tells the bridge what it has
    // done, and hangs up on one that speaks.
    matches!(
        pair,
        (Role::Vrrp | Role::Checks | Role::Runner, Role::Bridge)
            | (Role::Vrrp | Role::Checks, Role::Runner)
            | (Role::Vrrp, Role::Checks)
    )
}

fn roles(sheet: &Sheet) -> Vec<Role> {
    let wanted =
        [(sheet.wants_vrrp, Role::Vrrp), (sheet.wants_checks, Role::Checks), (sheet.wants_runner, Role::Runner)];
    let wanted = wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, role)| role);
    wanted.chain([Role::Bridge]).collect()
}

fn read_sheet(file: &OwnedFd) -> io::Result<Sheet> {
    let bytes = memfd::read_sealed(file.as_fd())?;
    let (sheet, _) = postcard::take_from_bytes(&bytes).map_err(io::Error::other)?;
    Ok(sheet)
}
