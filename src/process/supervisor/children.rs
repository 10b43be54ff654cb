//! The processes themselves: started by re-exec, wired to each other, heard, reaped and started again.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tracing::{error, info, warn};

use super::systemd::VARIABLES;
use super::{MESSAGES_PER_TURN, RESPAWN_FIRST, RESPAWN_MAX, STABLE_AFTER, Supervisor};
use crate::bus::msg::ConfigGeneration;
use crate::clock::{self, Instant, WallTime};
use crate::process::beside;
use crate::process::control::ControlSocket;
use crate::process::lifecycle::{Channel, ChannelError, Occasion, Sheet, ToChild, ToSupervisor};
use crate::process::pidfile::PidFile;
use crate::process::role::{Role, exit};
use crate::process::usage;
use crate::sys::poll::Token;
use crate::sys::seqpacket::Seqpacket;

pub(super) struct Running {
    pub(super) process: Child,
    pub(super) channel: Channel,
    pub(super) token: Token,
    started: Instant,
    pub(super) started_at: WallTime,
    pub(super) backoff: Duration,
    pub(super) ready: ConfigGeneration,
    /// It was told to stop, as nothing is left for it.
    pub(super) dismissed: bool,
    pub(super) watching_write: bool,
    _pid_files: Vec<PidFile>,
}

#[cfg(test)]
impl Running {
    /// A child whose part a test plays.
    pub(super) fn played(process: Child, channel: Channel, token: Token) -> Running {
        let (started, started_at) = (clock::now(), clock::wall());
        let backoff = RESPAWN_FIRST;
        Running {
            process,
            channel,
            token,
            started,
            started_at,
            backoff,
            ready: 0,
            dismissed: false,
            watching_write: false,
            _pid_files: vec![],
        }
    }
}

impl Supervisor {
    pub(super) fn spawn(&self, role: Role) -> io::Result<(Channel, Child)> {
        let (ours, theirs) = Seqpacket::pair()?;
        let program = match role {
            // librrd is not to be mapped by any other: its process has a binary of its own.
            Role::Rrd => beside::us(beside::RRD)?,
            _ => PathBuf::from("/proc/self/exe"),
        };
        #[allow(clippy::disallowed_methods)]
        let mut command = Command::new(program);
        for name in VARIABLES {
            command.env_remove(name);
        }
        command.arg0(role.title()).stdin(Stdio::from(theirs.into_fd())).stdout(Stdio::null());
        if !self.options.log_console {
            command.stderr(Stdio::null());
        }
        Ok((Channel::new(ours), command.spawn()?))
    }

    pub(super) fn start(&mut self, role: Role, backoff: Duration) {
        let restarted = self.respawn.remove(&role).is_some();
        if let Err(error) = self.try_start(role, backoff, restarted) {
            if role == Role::Rrd && error.kind() == io::ErrorKind::NotFound {
                error!(
                    "there is no {} beside keepwatchd: no RRD files are written until it is installed and the configuration reloaded",
                    beside::RRD
                );
                return;
            }
            error!("cannot start the {} process: {error}", role.name());
            self.respawn.insert(role, (clock::now() + backoff, (backoff * 2).min(RESPAWN_MAX)));
        }
    }

    pub(super) fn try_start(&mut self, role: Role, backoff: Duration, restarted: bool) -> io::Result<()> {
        let Some(config) = &self.config else { return Ok(()) };
        let file = config.file.try_clone()?;
        let mut pid_paths = vec![];
        match role {
            Role::Vrrp => {
                pid_paths.push(self.pid_path("vrrp", self.options.vrrp_pid.clone()));
                if config.sheet.has_bfd {
                    pid_paths.push(self.pid_path("bfd", self.options.bfd_pid.clone()));
                }
            }
            Role::Checks => pid_paths.push(self.pid_path("checkers", self.options.checkers_pid.clone())),
            Role::Load | Role::Runner | Role::Bridge | Role::Rrd => {}
        }
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
        let pid_file = |path: PathBuf| {
            PidFile::create(&path, process.id())
                .inspect_err(|error| warn!("cannot write the pid file {}: {error}", path.display()))
                .ok()
        };
        let pid_files = pid_paths.into_iter().filter_map(pid_file).collect();
        let running = Running {
            process,
            channel,
            token,
            started: clock::now(),
            started_at: clock::wall(),
            backoff,
            ready: 0,
            dismissed: false,
            watching_write: false,
            _pid_files: pid_files,
        };
        self.children.insert(role, running);
        if restarted {
            self.records.restarted(role);
        }
        if role == Role::Bridge {
            self.records.bridge_started();
            self.dumps.bridge_started();
            self.forget_plans();
            self.requests.bridge_started();
        }
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
    pub(super) fn wire(&mut self, role: Role) -> io::Result<()> {
        let peers: Vec<Role> = self.children.keys().copied().filter(|&peer| speak(role, peer)).collect();
        for peer in peers {
            let (one, other) = Seqpacket::pair()?;
            self.tell(role, &ToChild::Peer(peer), Some(one.into_fd()));
            self.tell(peer, &ToChild::Peer(role), Some(other.into_fd()));
        }
        Ok(())
    }

    pub(super) fn tell(&mut self, role: Role, message: &ToChild, fd: Option<OwnedFd>) {
        let Some(child) = self.children.get_mut(&role) else { return };
        match child.channel.send(message, fd) {
            Ok(()) | Err(ChannelError::Gone) => {} // a child that is gone is reaped in a moment
            Err(error) => {
                error!("the {} process does not listen ({error}); killing it", role.name());
                let _ = child.process.kill();
            }
        }
    }

    pub(super) fn serve_child(&mut self, token: Token) {
        let Some((&role, child)) = self.children.iter_mut().find(|(_, child)| child.token == token) else { return };
        let mut connect_agentx = None;
        let mut dumped = vec![];
        let mut asked = vec![];
        let _ = child.channel.flush();
        // One that never stops talking has its turn again when the others had theirs.
        for _ in 0..MESSAGES_PER_TURN {
            match child.channel.receive::<ToSupervisor>() {
                Ok(Some((ToSupervisor::Ready { config }, _))) => child.ready = config,
                Ok(Some((ToSupervisor::ConnectAgentX { attempt }, _))) => connect_agentx = Some(attempt),
                Ok(Some((ToSupervisor::Dumped { number }, _))) => dumped.push(number),
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
        dumped.into_iter().for_each(|number| self.dumped(number));
        for message in asked {
            match message {
                ToSupervisor::Listen { address } => self.listen(role, address),
                ToSupervisor::OpenState => self.open_state(role),
                ToSupervisor::Reload { request } if role == Role::Bridge && self.stopping.is_none() => {
                    self.reload(clock::now(), Some(request));
                }
                ToSupervisor::Plan { number, keep } if role == Role::Bridge && self.stopping.is_none() => {
                    self.plan(number, keep);
                }
                ToSupervisor::Settle { number, request } if role == Role::Bridge && self.stopping.is_none() => {
                    self.settle_plan(number, request);
                }
                ToSupervisor::Drift { config, drift } if config == self.generation => self.records.drifted(drift),
                ToSupervisor::CannotTake { config, why } => self.cannot_take(role, config, &why),
                ToSupervisor::ConnectBus { attempt } => self.connect_bus(role, attempt),
                ToSupervisor::Signal(signal) if role == Role::Bridge => self.act_on(signal),
                ToSupervisor::ListenStream { endpoint } => self.listen_stream(role, endpoint),
                ToSupervisor::OpenFile { path } => self.open_file(role, path),
                ToSupervisor::Textfile { number } => self.textfile(role, number),
                ToSupervisor::TextfileDone { number } => self.textfile_done(number),
                ToSupervisor::Fifo { path, made } if role == Role::Runner => self.left_behind.note(path, made),
                ToSupervisor::OccasionOver(Occasion::Startup) => self.started(),
                ToSupervisor::OccasionOver(Occasion::Shutdown) => self.last_script_over(),
                ToSupervisor::Fifo { .. }
                | ToSupervisor::Reload { .. }
                | ToSupervisor::Drift { .. }
                | ToSupervisor::Plan { .. }
                | ToSupervisor::Settle { .. }
                | ToSupervisor::Signal(_)
                | ToSupervisor::Ready { .. }
                | ToSupervisor::Dumped { .. }
                | ToSupervisor::ConnectAgentX { .. } => {}
            }
        }
        self.announce();
    }

    pub(super) fn reap(&mut self) -> Option<i32> {
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
        let mut dead = Vec::new();
        for (&role, child) in &mut self.children {
            // After the wait nobody knows any more.
            let cpu_ns = usage::cpu_ns(child.process.id());
            if let Ok(Some(status)) = child.process.try_wait() {
                dead.push((role, status, cpu_ns));
            }
        }
        for (role, status, cpu_ns) in dead {
            self.records.ended(role, cpu_ns);
            self.died(role, status);
        }
        None
    }

    pub(super) fn died(&mut self, role: Role, status: ExitStatus) {
        let Some(child) = self.children.remove(&role) else { return };
        let _ = self.poller.remove(&child.channel);
        if self.stopping.is_some() {
            if role == Role::Runner {
                self.last_script_over();
            }
            return;
        }
        if role == Role::Runner && self.starting.is_some() {
            error!("The runner process died ({status}) with the startup script; starting without it");
            // With a new runner.
            return self.started();
        }
        let wanted = self.config.as_ref().map(|config| roles(&config.sheet)).unwrap_or_default();
        if !wanted.contains(&role) {
            info!("The {} process has stopped: nothing is configured for it", role.name());
            return;
        }
        if self.died_of_trial(role, child.ready, status) {
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
        if role == Role::Rrd && status.code() == Some(exit::OK) {
            info!("The rrd process starts again for its new directory");
            self.respawn.insert(role, (now + delay, next));
            return;
        }
        error!("The {} process (pid {}) died: {status}. Starting it again", role.name(), child.process.id());
        self.respawn.insert(role, (now + delay, next));
    }
}

/// Whether two processes have something to say to each other.
fn speak(one: Role, other: Role) -> bool {
    let pair = (one.min(other), one.max(other));
    // Engines tell the bridge, and have scripts run; checks hears who is master. The runner tells the bridge what it has
    // done, and hangs up on one that speaks. rrd knows the bridge only.
    matches!(
        pair,
        (Role::Vrrp | Role::Checks | Role::Runner, Role::Bridge)
            | (Role::Vrrp | Role::Checks, Role::Runner)
            | (Role::Vrrp, Role::Checks)
            | (Role::Bridge, Role::Rrd)
    )
}

pub(super) fn roles(sheet: &Sheet) -> Vec<Role> {
    let wanted = [
        (sheet.wants_vrrp, Role::Vrrp),
        (sheet.wants_checks, Role::Checks),
        (sheet.wants_runner, Role::Runner),
        (sheet.rrd.is_some(), Role::Rrd),
    ];
    let wanted = wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, role)| role);
    wanted.chain([Role::Bridge]).collect()
}
