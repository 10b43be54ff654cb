//! The process that stays: starts the others, wires them together, restarts what dies, passes signals on, stops in order.
//!
//! It parses nothing: a configuration is a sealed file that it hands around, with a [`Sheet`] of the few facts that
//! decide which processes to start and what the bridge may have. It waits for signals and sockets only, never for a child to
//! answer.
//!
//! Here are the loop, configurations and signals; [`children`] are the processes, [`requests`] what they ask for.

mod around;
mod children;
mod cores;
mod dumps;
mod left_behind;
mod places;
mod planning;
mod reloading;
mod report;
mod requests;
mod stopping;
mod systemd;
mod trial;
mod turns;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::time::Duration;

use tracing::{error, info};

use self::children::{Running, roles};
use self::cores::Cores;
use self::dumps::Dumps;
use self::left_behind::LeftBehind;
use self::planning::{Planning, Purpose};
use self::reloading::{Reading, TimeFile};
pub use self::report::{COMPLAINTS, ERRORS_MAX};
use self::report::{Records, complaints};
pub use self::requests::DEFAULT_AGENTX;
use self::requests::Kept;
use self::stopping::Stopping;
use self::systemd::Systemd;
use self::trial::Trial;
use self::turns::Requests;
use super::control::ControlSocket;
use super::daemonize;
use super::lifecycle::{Channel, Sheet, ToChild, UserSignal};
use super::options::Options;
use super::pidfile::PidFile;
use super::role::{Role, exit};
use super::{logging, naming};
use crate::bus::msg::ConfigGeneration;
use crate::clock::{self, Instant};
use crate::export::dump::Kind;
use crate::sys::memfd;
use crate::sys::poll::{Poller, Ready, Signals, Token};

/// A child that lived this long is started again at once; others wait, twice as long each time.
const STABLE_AFTER: Duration = Duration::from_secs(5);
const RESPAWN_FIRST: Duration = Duration::from_millis(50);
const RESPAWN_MAX: Duration = Duration::from_secs(8);

/// How long children may take to stop in good order, unless `child_wait_time` says otherwise (Keepalived's default).
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// With less, not even the addresses could be taken away.
const STOP_PATIENCE_MIN: Duration = Duration::from_secs(1);

/// Reading a configuration may wait for a name server or a remote file, but not for ever.
const LOAD_PATIENCE: Duration = Duration::from_secs(60);

/// The bridge only says good-bye to the master agent; a master that does not listen does not hold us up.
const BRIDGE_PATIENCE: Duration = Duration::from_secs(2);

/// Messages of one child taken in one go.
const MESSAGES_PER_TURN: usize = 16;

/// For `systemctl status`.
const REFUSED: &str = "Running; the last reload was refused, the log says why";

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
    logging::write_file();
    for option in supervisor.options.without_effect() {
        info!("{option} has no effect here");
    }
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
    requests: Requests,
    planning: Planning,
    /// The configuration in force is a new one, and not every process has it yet.
    trial: Option<Trial>,
    /// What is in force is what was in force before an attempt that failed.
    taken_back: bool,
    stopping: Option<Stopping>,
    /// Until when the startup script is waited for.
    starting: Option<Instant>,
    pid_file: Option<PidFile>,
    control: Option<ControlSocket>,
    entered_namespace: bool,
    /// The generation that every process last had in force.
    announced: ConfigGeneration,
    next_token: Token,
    /// Files that the bridge is filling.
    dumps: Dumps,
    /// Reloads that were accepted: numbers files of `config_save_dir`.
    reloads: u64,
    /// There while the configuration is read.
    reading: Option<Reading>,
    time_file: TimeFile,
    systemd: Systemd,
    /// Set back at the end.
    _cores: Option<Cores>,
    /// What is kept for a bridge.
    kept: Kept,
    left_behind: LeftBehind,
    records: Records,
}

struct InForce {
    sheet: Sheet,
    file: OwnedFd,
}

struct Loading {
    file: OwnedFd,
    /// The channel stays open while the load process runs; it says nothing on it.
    _channel: Channel,
    process: Child,
    started: Instant,
    /// When somebody asked for it.
    requested: Instant,
    /// Of the bridge: what becomes of this is the answer to them.
    answers: Vec<u64>,
    /// What was in force when it began, with which it compares.
    against: ConfigGeneration,
    purpose: Purpose,
    /// Where it leaves the plan, when there is a configuration to change.
    plan: Option<OwnedFd>,
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
        let cores = (options.core_dump || options.core_dump_pattern.is_some())
            .then(|| Cores::allow(options.core_dump_pattern.as_deref()));
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
            requests: Requests::default(),
            planning: Planning::default(),
            trial: None,
            taken_back: false,
            stopping: None,
            starting: None,
            pid_file: None,
            control: None,
            entered_namespace: false,
            announced: 0,
            next_token: 1,
            dumps: Dumps::default(),
            reloads: 0,
            reading: None,
            time_file: TimeFile::default(),
            systemd: Systemd::from_environment(clock::now()),
            _cores: cores,
            kept: Kept::default(),
            left_behind: LeftBehind::default(),
            records: Records::new(),
        })
    }

    fn run(&mut self) -> i32 {
        if let Some(name) = self.options.namespace.clone()
            && let Err(status) = self.enter_namespace(&name)
        {
            return status;
        }
        if let Err(error) = self.load(clock::now(), Purpose::Apply) {
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
            self.announce();
            self.read_next(clock::now());
            self.look_at_time_file(clock::now());
            self.systemd.wake(clock::now());
            self.report(clock::now());
            self.watch_writers();
        }
        finished.unwrap_or(exit::OK)
    }

    fn deadline(&self) -> Option<Instant> {
        let respawn = self.respawn.values().map(|(at, _)| *at).min();
        let stop = self.stopping.as_ref().map(|stopping| stopping.deadline).or(self.starting);
        let load = self.loading.as_ref().map(|loading| loading.started + LOAD_PATIENCE);
        let others = [self.report_due(), self.time_file_due(), self.systemd.deadline(), self.next_reading_due()];
        [respawn, stop, load].into_iter().chain(others).flatten().min()
    }

    // --- configurations

    /// Starts the load process; its end decides what happens next.
    fn load(&mut self, requested: Instant, purpose: Purpose) -> io::Result<()> {
        let file = memfd::create("keepwatch-config")?;
        let plan = self.config.is_some().then(|| memfd::create("keepwatch-plan")).transpose()?;
        let (mut channel, mut process) = self.spawn(Role::Load)?;
        if let Err(error) = self.brief(&mut channel, &file, plan.as_ref(), purpose) {
            let _ = process.kill();
            let _ = process.wait();
            return Err(error);
        }
        self.loading = Some(Loading {
            file,
            _channel: channel,
            process,
            started: clock::now(),
            requested,
            answers: Vec::new(),
            against: self.generation,
            purpose,
            plan,
        });
        Ok(())
    }

    /// Tells the load process what it needs to know.
    fn brief(&self, channel: &mut Channel, file: &OwnedFd, plan: Option<&OwnedFd>, purpose: Purpose) -> io::Result<()> {
        let start =
            ToChild::Start { options: Box::new(self.options.clone()), config: self.generation + 1, restarted: false };
        channel.send(&start, Some(file.try_clone()?)).map_err(io::Error::other)?;
        if let (Some(config), Some(plan)) = (&self.config, plan) {
            let plan_only = purpose != Purpose::Apply;
            channel.send(&ToChild::Previous { plan_only }, Some(config.file.try_clone()?)).map_err(io::Error::other)?;
            channel.send(&ToChild::PlanInto, Some(plan.try_clone()?)).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn loaded(&mut self, loading: Loading, status: i32) -> Option<i32> {
        let first = self.config.is_none();
        self.reading = None;
        if let Purpose::Plan { number, keep } = loading.purpose {
            self.planned(loading, status, number, keep);
            self.read_next(clock::now());
            return None;
        }
        if status != exit::OK {
            if first {
                error!("the configuration cannot be used; not starting");
                return Some(status);
            }
            error!("reload refused: the configuration that is in force stays in force");
            if let Some(log) = &self.options.reload_log {
                error!("New config failed validation, see {} for details", log.display());
            }
            let told = complaints(&loading.file);
            return self.refused(loading, told, || {
                format!("the load process ended with status {status}; the log may say why")
            });
        }
        let sheet = match read_sheet(&loading.file) {
            Ok(sheet) => sheet,
            Err(error) if first => {
                error!("the load process left nothing usable: {error}");
                return Some(exit::SOFTWARE);
            }
            Err(error) => {
                error!("reload refused: the load process left nothing usable: {error}");
                let why = || format!("the load process left nothing usable: {error}");
                return self.refused(loading, String::new(), why);
            }
        };
        if first {
            if let Some(name) = sheet.net_namespace.clone()
                && self.options.namespace.is_none()
                && !self.entered_namespace
            {
                // Interfaces must be looked up where the daemon will run: read the file once more, over there.
                return match self.enter_namespace(&name) {
                    Ok(()) => self.load(loading.requested, Purpose::Apply).err().map(|_| exit::FATAL),
                    Err(status) => Some(status),
                };
            }
            if let Err(status) = self.claim(&sheet) {
                return Some(status);
            }
        }
        self.accept(loading, sheet, first);
        self.read_next(clock::now());
        None
    }

    /// Goes over to what was read.
    fn accept(&mut self, mut loading: Loading, sheet: Sheet, first: bool) {
        self.superseded();
        if !first {
            self.reloads += 1;
            self.save_state("pre", self.announced);
        }
        self.generation += 1;
        self.taken_back = false;
        let told = self.records.told();
        self.records.accepted(&loading, sheet.hash, sheet.warnings, first);
        self.requests.accepted(self.generation, std::mem::take(&mut loading.answers));
        let released = self.release(&sheet);
        self.settle(&sheet);
        let before = self.config.replace(InForce { sheet, file: loading.file });
        // What is on trial already was never in force everywhere: what it replaced is what is known to work.
        if self.trial.is_none() {
            self.trial = before.map(|before| Trial { before, told, since: clock::now() });
        }
        match first {
            true => self.begin(clock::now()),
            false => self.apply(false),
        }
        for endpoint in released {
            self.tell(Role::Bridge, &ToChild::StreamReleased { endpoint }, None);
        }
        if first {
            daemonize::report_started();
        }
    }

    /// What a configuration says of this process itself, and of those that are started from now on.
    fn settle(&mut self, sheet: &Sheet) {
        self.options.configured_umask = sheet.process.umask;
        self.options.reload_log = sheet.process.reload.check_log.clone();
        naming::apply(None, &self.options.program, &sheet.process.names);
    }

    /// `told` is what the load process itself had to say.
    fn refused(&mut self, loading: Loading, told: String, why: impl FnOnce() -> String) -> Option<i32> {
        let errors = if told.is_empty() { format!("error: {}\n", why()) } else { told };
        self.records.rejected(loading.answers, errors);
        self.systemd.ready(REFUSED);
        self.read_next(clock::now());
        None
    }

    /// Hands the configuration in force to every process that should run; starts and stops what differs. `back`: the processes
    /// had it in force before.
    fn apply(&mut self, back: bool) {
        let Some(config) = &self.config else { return };
        let wanted = roles(&config.sheet);
        // The runner first, as engines name its scripts; owners before the bridge, as rows follow from them.
        let all = [Role::Runner, Role::Rrd, Role::Checks, Role::Vrrp, Role::Bridge];
        for role in all.into_iter().filter(|role| !self.waits(*role)).collect::<Vec<_>>() {
            match (wanted.contains(&role), self.children.contains_key(&role)) {
                (true, true) => {
                    let message = ToChild::Reload { config: self.generation, back };
                    let file = self.config.as_ref().and_then(|config| config.file.try_clone().ok());
                    self.tell(role, &message, file);
                }
                (true, false) => self.start(role, RESPAWN_FIRST),
                (false, true) => {
                    // Told first that nothing is left for it, it leaves alone what `lvs_flush_on_stop` and the like are about.
                    let file = self.config.as_ref().and_then(|config| config.file.try_clone().ok());
                    self.tell(role, &ToChild::Reload { config: self.generation, back }, file);
                }
                (false, false) => {
                    self.respawn.remove(&role);
                }
            }
        }
        self.dismiss();
    }

    /// Stops those for whom nothing is left. One that does something stays for as long as there is a way back: what it knows would
    /// go with it.
    fn dismiss(&mut self) {
        let Some(config) = &self.config else { return };
        let wanted = roles(&config.sheet);
        let stays = |role: Role| wanted.contains(&role) || (self.trial.is_some() && !trial::watches(role));
        let leave: Vec<Role> = self.children.keys().copied().filter(|role| !stays(*role)).collect();
        for role in leave {
            let told = self.children.get_mut(&role).is_none_or(|child| std::mem::replace(&mut child.dismissed, true));
            if !told {
                self.tell(role, &ToChild::Stop, None);
            }
        }
    }

    fn announce(&mut self) {
        self.end_trial();
        if self.announced != self.generation
            && self.stopping.is_none()
            && self.starting.is_none()
            && !self.children.is_empty()
            && self.children.iter().all(|(role, child)| child.ready == self.generation || *role == Role::Rrd)
        {
            let taken_back = self.taken_back;
            info!(
                "{}",
                match (self.announced, taken_back) {
                    (0, _) => "Startup complete",
                    (_, false) => "Reload complete",
                    (_, true) => "The configuration before is in force again",
                }
            );
            if self.announced != 0 {
                self.save_state("post", self.generation);
            }
            self.announced = self.generation;
            self.records.in_force();
            self.systemd.ready(if taken_back { REFUSED } else { "Running" });
        }
        if self.announced == self.generation && self.all_ready() {
            self.in_force();
        }
    }

    /// Every process that should run does, and has this configuration in force. History can wait: rrd does not count.
    fn all_ready(&self) -> bool {
        self.config.as_ref().is_some_and(|config| {
            let ready = |role| self.children.get(role).is_some_and(|child| child.ready == self.generation);
            roles(&config.sheet).iter().filter(|role| **role != Role::Rrd).all(ready)
        })
    }

    fn watch_writers(&mut self) {
        for child in self.children.values_mut() {
            let wants = child.channel.wants_write();
            if wants != child.watching_write && self.poller.modify(&child.channel, child.token, wants).is_ok() {
                child.watching_write = wants;
            }
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
                libc::SIGHUP if self.stopping.is_none() => self.reload(clock::now(), None),
                libc::SIGUSR1 => self.dump_state(),
                libc::SIGUSR2 => self.act_on(UserSignal::Stats),
                signal if signal == libc::SIGRTMAX() - 1 => {
                    self.act_on(UserSignal::StatsClear);
                }
                signal if signal == libc::SIGRTMIN() + 2 => self.dump_vrrp(Kind::Json),
                _ => {}
            }
        }
        finished
    }

    pub(self) fn act_on(&mut self, signal: UserSignal) {
        match signal {
            UserSignal::Data => self.dump_vrrp(Kind::Vrrp),
            UserSignal::Stats => self.dump_vrrp(Kind::Stats),
            UserSignal::StatsClear => {
                self.dump_vrrp(Kind::Stats);
                for role in [Role::Vrrp, Role::Checks] {
                    self.tell(role, &ToChild::Signal(signal), None);
                }
            }
        }
    }
}

fn read_sheet(file: &OwnedFd) -> io::Result<Sheet> {
    let bytes = memfd::read_sealed(file.as_fd())?;
    let (sheet, _) = postcard::take_from_bytes(&bytes).map_err(io::Error::other)?;
    Ok(sheet)
}

#[cfg(test)]
mod tests;
