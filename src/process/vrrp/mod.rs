//! The vrrp process: the one that must never be late.
//!
//! A plain loop over epoll. Each turn reads what has arrived, at most one batch per socket, so that a flood cannot
//! starve deadlines; tells the engine; carries its outputs out in one system call per kind; and sleeps until the next
//! packet or the engine's deadline. Packets are read before the engine is woken: a process that overslept must hear the
//! adverts that wait for it before it concludes that the master is dead. It waits for no other process, ever: the
//! bridge's socket takes what fits and the [`Outbox`] keeps the rest.

mod bfd;
mod errands;
mod linkbeat;
mod perform;
mod sibling;
mod sockets;
mod taking;
mod times;
mod vmacs;

use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tracing::{error, info, warn};

use self::bfd::{Bfd, Listeners};
use self::errands::Errands;
use self::linkbeat::Linkbeat;
use self::perform::World;
use self::sibling::Sibling;
use self::taking::Taking;
use self::times::{AllRows, Heart, Times};
use super::lifecycle::{Channel, Heard, Sheet, ToChild, ToSupervisor, UserSignal, WHY_MAX};
use super::options::Options;
use super::role::{Role, exit};
use super::scheduling::{self, Auto};
use super::{logging, naming};
use crate::bus::frame;
use crate::bus::msg::{ConfigGeneration, ToEngine};
use crate::bus::outbox::{self, Outbox};
use crate::clock::{self, Instant};
use crate::conf::model::Config;
use crate::netlink::route::{Monitor, NetEvent, Status};
use crate::sys::poll::{Poller, Ready, Signals, Token};
use crate::sys::privileges::{self, Capability};
use crate::sys::seqpacket::{FRAME_MAX, Received, Sent, Seqpacket};
use crate::vrrp::engine::{Engine, EngineOptions};
use crate::vrrp::io::{Input, Output};

const CHANNEL: Token = 0;
const SIGNALS: Token = 1;
const BUS: Token = 2;
const MONITOR: Token = 3;
const ADDRESSES: Token = 4;
const FIREWALL: Token = 5;
const SIBLING: Token = 6;
const RUNNER: Token = 7;
const LINES: Token = 8;
const FORWARDING: Token = 9;
const LINKBEAT: Token = 10;
/// Receiving sockets count from here.
const SOCKETS: Token = 16;

/// How long the last words (addresses away, edges to the bridge) may take.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Room for the news of thousands of addresses, unless `vrrp_netlink_monitor_rcv_bufs` says otherwise; bytes.
const MONITOR_BUFFER: u32 = 4 * 1024 * 1024;

/// When interfaces could not be listed, they are asked for again after this.
const DUMP_RETRY: Duration = Duration::from_secs(1);

/// What the bridge may say in one turn, and keep unanswered: it must not be able to keep us from our timers.
const MESSAGES_PER_TURN: usize = 32;
const REST: Duration = Duration::from_millis(1);
const REPLIES_MAX: usize = 1024;

/// Everything is told again at most this often.
const RESYNC_EVERY: Duration = Duration::from_secs(1);

/// While addresses come and go, the bridge is told of it this often.
const FEED_PAUSE: Duration = Duration::from_millis(20);

/// A wake-up this late may have missed adverts that wait in a receive buffer.
const LATE: Duration = Duration::from_millis(2);

/// Reads the first message from standard input and runs until told to stop. Returns the exit status.
pub fn run() -> i32 {
    let mut channel = match Channel::from_stdin() {
        Ok(channel) => channel,
        Err(_) => return exit::SOFTWARE,
    };
    let Ok((ToChild::Start { options, config: generation, restarted }, Some(file))) = channel.wait::<ToChild>() else {
        return exit::SOFTWARE;
    };
    let mut config = match decode(&file) {
        Ok(config) => config,
        Err(status) => return status,
    };
    bfd::confine(&options, &mut config);
    naming::apply(Some(Role::Vrrp), &options.program, &config.global.process.names);
    logging::start(&options.log(config.global.instance.as_deref()), "_vrrp");
    for (capability, name) in [(Capability::NetAdmin, "CAP_NET_ADMIN"), (Capability::NetRaw, "CAP_NET_RAW")] {
        if !privileges::has(capability) {
            error!("VRRP needs {name}: run keepwatchd as root, or give it that capability");
            return exit::PERMISSION;
        }
    }
    if let Err(error) = privileges::raise_descriptor_limit() {
        warn!("cannot raise the limit of open files: {error}");
    }
    let global = config.global.clone();
    match Driver::start(channel, *options, config, generation, restarted) {
        Ok(mut driver) => {
            let kept = [Capability::NetAdmin, Capability::NetRaw];
            driver.auto = scheduling::settle("vrrp", &global.realtime, global.process.auto_priority, &kept);
            logging::write_file();
            driver.run()
        }
        Err(error) => {
            error!("VRRP cannot start: {error}");
            if error.kind() == std::io::ErrorKind::PermissionDenied { exit::PERMISSION } else { exit::SOFTWARE }
        }
    }
}

/// Reads a sealed configuration: the supervisor's sheet, then the model.
pub fn decode(file: &OwnedFd) -> Result<Config, i32> {
    let bytes = crate::sys::memfd::read_sealed(file.as_fd()).map_err(|_| exit::SOFTWARE)?;
    let (_, rest) = postcard::take_from_bytes::<Sheet>(&bytes).map_err(|_| exit::SOFTWARE)?;
    postcard::from_bytes(rest).map_err(|_| exit::SOFTWARE)
}

struct Driver {
    options: Options,
    channel: Channel,
    watching_channel: bool,
    signals: Signals,
    poller: Poller,
    monitor: Monitor,
    linkbeat: Linkbeat,
    bus: Option<Seqpacket>,
    watching_bus: bool,
    /// What the bridge has said and was not acted on yet, and until when it is not listened to.
    asked: VecDeque<ToEngine>,
    rest_until: Option<Instant>,
    /// Its socket is not watched meanwhile.
    resting: bool,
    sibling: Sibling,
    bfd: Bfd,
    errands: Errands,
    outbox: Outbox,
    engine: Engine,
    world: World,
    times: Times,
    heart: Heart,
    auto: Auto,
    /// When the bridge was told last.
    fed_at: Instant,
    outputs: Vec<Output>,
    news: Vec<NetEvent>,
    buffer: Vec<u8>,
    /// When to list the interfaces again after that failed.
    dump_at: Option<Instant>,
    /// When to tell the bridge everything again, as it asked, and when that was done last.
    resync_at: Option<Instant>,
    resynced_at: Instant,
    taking: Taking,
    /// Set once the engine was told to shut down: when to go at the latest.
    leaving: Option<Instant>,
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
        let poller = Poller::new()?;
        let buffer = config.global.netlink_monitor_buffer.unwrap_or(MONITOR_BUFFER);
        let mut monitor = Monitor::open(Some(buffer))?;
        let mut news = Vec::new();
        monitor.dump(&mut news)?;
        let mut world = World::open(&config.global, &poller)?;
        world.remove_leftovers(&config, &monitor, &mut news);
        poller.add(&channel, CHANNEL, false)?;
        poller.add(signals.fd(), SIGNALS, false)?;
        poller.add(&monitor, MONITOR, false)?;

        let now = clock::now();
        let mut engine = Engine::new(&config, EngineOptions { restarted }, now, clock::wall());
        let mut outputs = Vec::new();
        for event in news.drain(..) {
            engine.handle(input(event), now, &mut outputs);
        }
        world.configure(&config, &poller);
        world.begin_vmacs(engine.wanted_vmacs(), now);
        loop {
            match monitor.read(&mut news)? {
                Status::More => {}
                Status::Overrun => monitor.dump(&mut news)?,
                Status::Drained => break,
            }
        }
        for event in news.drain(..) {
            world.note(&event);
            engine.handle(input(event), now, &mut outputs);
        }
        let (mut sibling, mut outbox) = (Sibling::default(), Outbox::new(generation));
        let mut bfd = Bfd::new(clock::wall().0 ^ now.nanos() ^ u64::from(std::process::id()) << 32, options.no_bfd);
        bfd.set_wall(now, clock::wall());
        let mut listeners =
            Listeners { vrrp: &mut engine, outputs: &mut outputs, checks: &mut sibling, outbox: &mut outbox };
        bfd.apply(&config, &poller, now, &mut listeners);
        engine.handle(Input::Wake, now, &mut outputs);
        let mut linkbeat = Linkbeat::default();
        // There is nothing yet that drivers would have said otherwise.
        let _ = linkbeat.configure(&config, monitor.links());
        let taking = Taking::of(&config, vmacs(&engine));
        let mut driver = Driver {
            options,
            channel,
            watching_channel: false,
            signals,
            poller,
            monitor,
            linkbeat,
            bus: None,
            watching_bus: false,
            asked: VecDeque::new(),
            rest_until: None,
            resting: false,
            sibling,
            bfd,
            errands: Errands::new(generation),
            outbox,
            engine,
            world,
            times: Times::default(),
            heart: Heart::new(now, clock::wall()),
            auto: Auto::default(),
            fed_at: Instant::ZERO,
            outputs,
            news,
            buffer: vec![0; FRAME_MAX],
            dump_at: None,
            resync_at: None,
            resynced_at: Instant::ZERO,
            taking,
            leaving: None,
        };
        driver.perform(now);
        if generation > 1 && !restarted {
            // Started for a new configuration, of which everything is new.
            let vmacs = vmacs(&driver.engine);
            driver.taking = Taking::default();
            driver.taking.begin(generation, &config, vmacs, 0, now);
        } else {
            driver.ready(generation);
        }
        Ok(driver)
    }

    fn run(&mut self) -> i32 {
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            let due = self.deadline();
            self.auto.sleeps(clock::now);
            if let Err(error) = self.poller.wait(due, &mut ready) {
                error!("cannot wait for events: {error}");
                return exit::SOFTWARE;
            }
            let (now, wall) = (clock::now(), clock::wall());
            self.engine.set_wall(now, wall);
            self.bfd.set_wall(now, wall);
            self.heart.turn(due, now, wall);
            self.auto.woken(due, now);
            for event in &ready {
                self.serve(*event);
            }
            let now = clock::now();
            if self.engine.overdue(now) > LATE {
                // This process was held up. The adverts that came meanwhile decide, not its own silence.
                self.world.drain(&mut self.poller, &mut self.engine, now, &mut self.outputs);
            }
            self.with_bfd(|bfd, poller, to| bfd.turn(poller, now, to));
            if self.engine.deadline().is_some_and(|at| at <= now) {
                self.engine.handle(Input::Wake, now, &mut self.outputs);
            }
            if self.dump_at.is_some_and(|at| at <= now) {
                self.dump_at = None;
                self.list_interfaces();
                self.tell_news();
            }
            if self.world.lines_are_uncertain(now) {
                self.engine.handle(Input::LinesUncertain, now, &mut self.outputs);
            }
            if self.rest_until.is_some_and(|at| at <= now) {
                self.rest_until = None;
                self.hear_bridge();
            }
            if self.resync_at.is_some_and(|at| at <= now) {
                self.resync_at = None;
                self.resynced_at = now;
                self.outbox.connected();
            }
            if self.leaving.is_none() {
                self.heart.beat(&mut self.times, &mut self.outbox, now);
            }
            self.perform(now);
            self.judge(now);
            self.linkbeat.pump(LINKBEAT, &self.poller);
            if let Some(latest) = self.leaving
                && (now >= latest || (self.world.idle() && self.outbox.is_empty() && self.errands.is_empty()))
            {
                self.world.close(self.options.dont_release_vrrp);
                info!("VRRP has stopped");
                return exit::OK;
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let last_or_next = self.leaving.unwrap_or(self.heart.deadline());
        let own = [Some(last_or_next), self.dump_at, self.resync_at, self.rest_until];
        let others = [self.engine.deadline(), self.outbox.deadline(), self.world.deadline(), self.bfd.deadline()];
        let own = own.into_iter().chain([self.taking.deadline()]);
        own.chain(others).flatten().min()
    }

    fn serve(&mut self, event: Ready) {
        match event.token {
            CHANNEL => self.read_channel(),
            SIGNALS => {
                while let Ok(Some(signal)) = self.signals.take() {
                    match signal {
                        libc::SIGTERM => self.leave(),
                        libc::SIGXCPU => warn!("this process ran for longer than vrrp_rlimit_rttime without sleeping"),
                        _ => {}
                    }
                }
            }
            BUS => self.hear_bridge(),
            MONITOR => self.read_monitor(),
            ADDRESSES => self.read_answers(),
            FIREWALL => self.world.read_firewall(),
            FORWARDING => self.world.read_forwarding(&self.poller),
            LINES => {
                let now = clock::now();
                for gone in self.world.read_lines(now) {
                    self.engine.handle(gone, now, &mut self.outputs);
                }
            }
            SIBLING => self.sibling.read(&self.poller, &mut self.buffer),
            LINKBEAT => {
                let now = clock::now();
                for link in self.linkbeat.read() {
                    self.engine.handle(Input::Link(link), now, &mut self.outputs);
                }
            }
            RUNNER => {
                let now = clock::now();
                for found in self.errands.read(&self.poller, &mut self.buffer) {
                    self.engine.handle(found, now, &mut self.outputs);
                }
            }
            token if Bfd::TOKENS.contains(&token) => self.bfd.read(token, clock::now()),
            token => {
                let now = clock::now();
                self.world.receive(token, &mut self.engine, now, &mut self.outputs);
            }
        }
    }

    // --- the supervisor

    fn ready(&mut self, config: ConfigGeneration) {
        // A supervisor that cannot be told is gone, and the next read says so.
        let _ = self.channel.send(&ToSupervisor::Ready { config }, None);
    }

    fn cannot_take(&mut self, config: ConfigGeneration, why: &str) {
        let end = (0..=WHY_MAX.min(why.len())).rev().find(|at| why.is_char_boundary(*at)).unwrap_or(0);
        let why = why.get(..end).unwrap_or_default().to_owned();
        let _ = self.channel.send(&ToSupervisor::CannotTake { config, why }, None);
    }

    /// Says whether the last configuration is in force, when the kernel has done its part.
    fn judge(&mut self, now: Instant) {
        for refusal in self.world.take_refusals() {
            self.taking.refused(refusal);
        }
        match self.taking.over(self.world.tried(now), now) {
            None => {}
            Some((config, refused)) if refused.is_empty() => self.ready(config),
            Some((config, refused)) => self.cannot_take(config, &refused.join("; ")),
        }
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
            let _ = self.poller.remove(&self.channel);
            return self.leave();
        }
        let wants = self.channel.wants_write();
        if wants != self.watching_channel && self.poller.modify(&self.channel, CHANNEL, wants).is_ok() {
            self.watching_channel = wants;
        }
    }

    fn told(&mut self, message: ToChild, fd: Option<OwnedFd>) {
        match (message, fd) {
            (ToChild::Stop, _) => self.leave(),
            (ToChild::Peer(Role::Bridge), Some(fd)) => self.meet_bridge(Seqpacket::from_fd(fd)),
            (ToChild::Peer(Role::Checks), Some(fd)) => {
                self.sibling.meet(Seqpacket::from_fd(fd), SIBLING, &self.poller);
            }
            (ToChild::Peer(Role::Runner), Some(fd)) => {
                self.errands.meet(Seqpacket::from_fd(fd), RUNNER, &self.poller);
                self.errands.remind(self.engine.scripts_found());
            }
            (ToChild::Reload { config, back }, Some(file)) => match decode(&file) {
                Ok(mut new) => {
                    bfd::confine(&self.options, &mut new);
                    let now = clock::now();
                    naming::apply(Some(Role::Vrrp), &self.options.program, &new.global.process.names);
                    self.world.tell_what_waits_for_a_restart(&new.global);
                    let asked = self.engine.questions();
                    // Of what was before.
                    drop(self.world.take_refusals());
                    match back {
                        false => self.engine.apply(&new, now, &mut self.outputs),
                        true => self.engine.go_back(&new, now, &mut self.outputs),
                    }
                    self.with_bfd(|bfd, poller, to| bfd.apply(&new, poller, now, to));
                    self.world.configure(&new, &self.poller);
                    for link in self.linkbeat.configure(&new, self.monitor.links()) {
                        self.engine.handle(Input::Link(link), now, &mut self.outputs);
                    }
                    self.outbox.configuration(config);
                    for found in self.errands.configuration(config) {
                        self.engine.handle(found, now, &mut self.outputs);
                    }
                    self.taking.begin(config, &new, vmacs(&self.engine), asked, now);
                }
                Err(_) => self.cannot_take(config, "it cannot be read"),
            },
            (ToChild::Reload { config, .. }, None) => self.cannot_take(config, "it did not arrive"),
            (ToChild::Signal(UserSignal::StatsClear), _) => {
                let now = clock::now();
                self.engine.handle(Input::ClearCounters, now, &mut self.outputs);
                self.bfd.clear_counters(now);
            }
            (
                ToChild::Signal(_)
                | ToChild::Dump { .. }
                | ToChild::Peer(_)
                | ToChild::AgentX { .. }
                | ToChild::Bus { .. }
                | ToChild::Listening { .. }
                | ToChild::State { .. }
                | ToChild::Control
                | ToChild::Occasion(_)
                | ToChild::ListeningStream { .. }
                | ToChild::StreamReleased { .. }
                | ToChild::File { .. }
                | ToChild::Textfile { .. }
                | ToChild::Previous { .. }
                | ToChild::PlanInto
                | ToChild::Planned { .. }
                | ToChild::Reloaded { .. }
                | ToChild::Daemon(_),
                _,
            ) => {}
            (message @ ToChild::Start { .. }, _) => {
                error!("the supervisor said {message:?} at the wrong time");
            }
        }
    }

    fn leave(&mut self) {
        if self.leaving.is_none() {
            let now = clock::now();
            self.leaving = Some(now + STOP_PATIENCE);
            let keep_addresses = self.options.dont_release_vrrp;
            self.engine.handle(Input::Shutdown { keep_addresses }, now, &mut self.outputs);
            self.with_bfd(|bfd, _, to| bfd.leave(now, to));
        }
    }

    fn with_bfd(&mut self, act: impl FnOnce(&mut Bfd, &Poller, &mut Listeners<'_>)) {
        let mut listeners = Listeners {
            vrrp: &mut self.engine,
            outputs: &mut self.outputs,
            checks: &mut self.sibling,
            outbox: &mut self.outbox,
        };
        act(&mut self.bfd, &self.poller, &mut listeners);
    }

    // --- the bridge

    fn meet_bridge(&mut self, socket: Seqpacket) {
        if let Some(old) = self.bus.take() {
            let _ = self.poller.remove(&old);
        }
        self.watching_bus = false;
        self.resting = false;
        self.asked.clear();
        self.rest_until = None;
        match self.poller.add(&socket, BUS, false) {
            Ok(()) => {
                self.bus = Some(socket);
                self.outbox.connected();
            }
            Err(error) => error!("cannot watch the bridge's socket: {error}"),
        }
    }

    /// Takes what the bridge says, so much in one turn. One that says more is not listened to for a moment: it must not be
    /// able to keep this process from sleeping, which the kernel ends by force under `vrrp_rt_priority`.
    fn hear_bridge(&mut self) {
        for _ in 0..MESSAGES_PER_TURN {
            if self.asked.is_empty() && !self.read_bus() {
                return self.listen_to_bridge();
            }
            if let Some(message) = self.asked.pop_front() {
                self.asked(message);
            }
        }
        if let Some(bus) = self.bus.as_ref().filter(|_| !std::mem::replace(&mut self.resting, true)) {
            let _ = self.poller.remove(bus);
        }
        self.rest_until = Some(clock::now() + REST);
        let answers = self.outputs.iter().filter(|output| matches!(output, Output::Reply { .. })).count();
        if self.outbox.replies_waiting() + answers > REPLIES_MAX {
            error!("the bridge commands and does not listen; parting with it");
            self.part();
        }
    }

    fn listen_to_bridge(&mut self) {
        if let Some(bus) = self.bus.as_ref().filter(|_| std::mem::take(&mut self.resting)) {
            self.watching_bus = false;
            if let Err(error) = self.poller.add(bus, BUS, false) {
                error!("cannot watch the bridge's socket: {error}");
                self.part();
            }
        }
    }

    /// Reads one frame. False: there is none now, or nobody to read from.
    fn read_bus(&mut self) -> bool {
        let Some(bus) = &self.bus else { return false };
        match bus.receive(&mut self.buffer) {
            Ok(Received::Nothing) => false,
            Ok(Received::Frame(length, _)) => {
                match frame::decode::<ToEngine>(&self.buffer[..length]) {
                    Ok(messages) => self.asked.extend(messages),
                    Err(error) => warn!("the bridge cannot be understood: {error}"),
                }
                true
            }
            // A new bridge comes with a new socket; this one only wakes us for nothing.
            Ok(Received::Gone) | Err(_) => {
                self.part();
                false
            }
        }
    }

    fn part(&mut self) {
        if let Some(bus) = self.bus.take() {
            let _ = self.poller.remove(&bus);
        }
        // What it asked for went with it: an outbox that believes in a reader has work for ever.
        self.resync_at = None;
        self.asked.clear();
        self.rest_until = None;
        self.resting = false;
        self.outbox.disconnected();
    }

    fn asked(&mut self, message: ToEngine) {
        match message {
            ToEngine::Command { request, command } => {
                self.engine.handle(Input::Command { request, command }, clock::now(), &mut self.outputs);
            }
            ToEngine::Seen(generation) => self.outbox.seen(generation),
            ToEngine::Resync => self.resync_at = Some(self.resynced_at + RESYNC_EVERY),
            // For checks.
            ToEngine::Survey { .. } => {}
        }
    }

    fn feed(&mut self, now: Instant) {
        self.fed_at = now;
        if let Some(bus) = &self.bus {
            let rows =
                AllRows { engine: &self.engine, bfd: self.bfd.engine(), times: &self.times, heart: &self.heart, now };
            self.outbox.pump(&rows, now, |bytes| match bus.send(bytes, &[]) {
                Ok(Sent::Yes) => outbox::Sent::Yes,
                Ok(Sent::Full) => outbox::Sent::Full,
                Ok(Sent::Gone) | Err(_) => outbox::Sent::Gone,
            });
            let wants = self.outbox.wants_write();
            if wants != self.watching_bus && !self.resting && self.poller.modify(bus, BUS, wants).is_ok() {
                self.watching_bus = wants;
            }
        }
        while let Some(key) = self.outbox.next_too_large() {
            error!("{key} is too large to be shown by SNMP and dumps");
        }
    }

    // --- the kernel

    fn read_monitor(&mut self) {
        let status = match self.monitor.read(&mut self.news) {
            Ok(status) => status,
            Err(error) => {
                warn!("cannot read the kernel's news of interfaces: {error}");
                Status::Drained
            }
        };
        if status == Status::Overrun {
            warn!("the kernel's news of interfaces came faster than they were read; reading everything again");
            // An interface may have gone down and come back meanwhile, and taken routes along.
            self.world.doubt_lines(clock::now());
            self.list_interfaces();
        }
        self.tell_news();
    }

    /// Asks the kernel for everything; an answer takes it a few system calls.
    fn list_interfaces(&mut self) {
        if let Err(error) = self.monitor.dump(&mut self.news) {
            error!("cannot list the interfaces, trying again soon: {error}");
            self.dump_at = Some(clock::now() + DUMP_RETRY);
        }
    }

    fn tell_news(&mut self) {
        let now = clock::now();
        for event in self.news.drain(..) {
            if self.options.address_monitoring {
                match &event {
                    NetEvent::Address(a) => {
                        info!("Netlink: added {}/{} on interface {}", a.address, a.prefix, a.interface)
                    }
                    NetEvent::AddressGone(a) => {
                        info!("Netlink: removed {}/{} from interface {}", a.address, a.prefix, a.interface);
                    }
                    NetEvent::Link(_) | NetEvent::LinkGone(_) => {}
                }
            }
            let event = self.linkbeat.with_driver(event);
            self.world.note(&event);
            self.engine.handle(input(event), now, &mut self.outputs);
        }
    }

    fn read_answers(&mut self) {
        let now = clock::now();
        for answer in self.world.read_answers() {
            self.taking.note(&answer);
            self.engine.handle(answer, now, &mut self.outputs);
        }
    }

    /// Carries out what the engine wants. Outputs may beget inputs (a refused send), so until it wants no more.
    fn perform(&mut self, now: Instant) {
        self.sibling.note(&self.outputs);
        self.errands.note(&self.outputs);
        self.world.perform(&mut self.outputs, &mut self.outbox, &mut self.times, &self.poller, now);
        self.sibling.pump(SIBLING, &self.poller);
        self.errands.pump(RUNNER, &self.poller);
        // Readers see what is so when the kernel has done its part, whose answers bring the next turn.
        if self.world.idle() || now.since(self.fed_at) >= FEED_PAUSE {
            self.feed(now);
        }
    }
}

/// Names of the interfaces that instances are to have made.
fn vmacs(engine: &Engine) -> HashSet<String> {
    engine.wanted_vmacs().into_iter().map(|wanted| wanted.name).collect()
}

fn input(event: NetEvent) -> Input<'static> {
    match event {
        NetEvent::Link(link) => Input::Link(link),
        NetEvent::LinkGone(index) => Input::LinkGone(index),
        NetEvent::Address(address) => Input::HostAddress(address),
        NetEvent::AddressGone(address) => Input::HostAddressGone(address),
    }
}
