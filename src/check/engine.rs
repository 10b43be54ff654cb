//! All virtual servers of this host: one door in, one list of things to do out, one deadline.
//!
//! Start at [`Engine::handle`]. A probe's result goes to its checker ([`super::machine`]), from there to the real server
//! and the quorum of its virtual server ([`super::service`]); what that wants of the kernel is compared with what the
//! kernel is known to hold ([`super::kernel`], [`super::plan`]). The engine reads no clock and does no I/O; the same
//! inputs at the same times give the same outputs.

mod answers;
mod command;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use super::io::{Input, Level, Log, Output};
use super::kernel::{Kernel, Planned, Slot};
use super::plan::errno;
use super::service::{CheckerId, Probe, Server, Service, service_name};
use super::sync::Daemons;
use super::table::{DestinationId, Op, ServiceId};
use super::times::Times;
use crate::bus::msg::{Command, Refusal, Reply};
use crate::bus::rows::{IpvsRow, RowKey, State};
use crate::clock::{Instant, WallTime};
use crate::conf::model::{
    Check, Checker, CheckerKey, Config, FlushOnStop, Global, InstanceName, RealServer, ServerGroup, ServerKey,
    ServiceKey, VirtualServer,
};

/// How often the kernel's whole table is compared with what it should hold.
const AUDIT_EVERY: Duration = Duration::from_secs(30);

/// The same, when an answer of the kernel was a surprise, and while there is no IPVS.
const AUDIT_SOON: Duration = Duration::from_secs(1);
const AVAILABLE_EVERY: Duration = Duration::from_secs(5);

/// Lines about one audit's drift; more are counted.
const DRIFT_LINES: usize = 10;

/// How an engine starts.
#[derive(Debug, Clone, Copy, Default)]
pub struct EngineOptions {
    /// Seed of the random delays of first checks.
    pub seed: u64,
    /// The process replaces one that died: the kernel's table is a predecessor's and is not flushed.
    pub restarted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Hearing of the table and of addresses; the first `Wake` starts the checkers.
    Waiting,
    Running,
    Stopping,
    Stopped,
}

/// A weight that an operator set and the kernel has not confirmed everywhere.
#[derive(Debug)]
struct Pending {
    request: u64,
    slot: Slot,
    server: ServerKey,
    undo: Command,
    set: Option<u32>,
    previous: Option<u32>,
    /// Kernel services that must confirm.
    waiting: BTreeMap<ServiceId, Waiting>,
}

/// What one kernel service is to confirm.
#[derive(Debug)]
struct Waiting {
    destination: DestinationId,
    /// In which it was asked.
    batch: Option<u64>,
}

#[derive(Debug)]
pub struct Engine {
    pub(super) global: Global,
    pub(super) groups: Vec<ServerGroup>,
    pub(super) slots: Vec<Option<Box<Service>>>,
    pub(super) names: HashMap<ServiceKey, Slot>,
    /// Where each checker is: virtual server, real server, place.
    pub(super) places: HashMap<CheckerId, (Slot, usize, usize)>,
    /// Checkers by the track_file they watch.
    file_users: HashMap<String, Vec<CheckerId>>,
    /// `ha_suspend`: virtual servers by address.
    address_users: HashMap<IpAddr, Vec<Slot>>,
    files: HashMap<String, Option<i64>>,
    /// Whether a BFD session is up.
    pub(super) sessions: HashMap<String, bool>,
    pub(super) addresses: HashSet<IpAddr>,
    instances: HashMap<InstanceName, State>,
    timers: BTreeSet<(Instant, CheckerId)>,
    pub(super) armed: HashMap<CheckerId, Instant>,
    pub(super) kernel: Kernel,
    pub(super) daemons: Daemons,
    pub(super) ipvs: IpvsRow,
    pub(super) times: Times,
    pending: Vec<Pending>,
    audit_at: Option<Instant>,
    /// What the kernel has refused of the last configuration that was applied.
    pub(super) verdict: super::reload::Verdict,
    pub(super) weights_before: Option<super::reload::Weights>,
    /// `lvs_flush` was carried out, or is not to be.
    flushed: bool,
    pub(super) phase: Phase,
    options: EngineOptions,
    checkers_made: CheckerId,
    attempts: u64,
    random: u64,
    /// Wall clock minus monotonic clock, nanoseconds.
    epoch: u64,
}

impl Engine {
    /// An engine that waits for what [`Input`] says is sent before the first `Wake`.
    pub fn new(config: &Config, options: EngineOptions, now: Instant, wall: WallTime) -> Engine {
        let mut engine = Engine {
            global: config.global.clone(),
            groups: config.groups.clone(),
            slots: Vec::new(),
            names: HashMap::new(),
            places: HashMap::new(),
            file_users: HashMap::new(),
            address_users: HashMap::new(),
            files: HashMap::new(),
            sessions: HashMap::new(),
            addresses: HashSet::new(),
            instances: HashMap::new(),
            timers: BTreeSet::new(),
            armed: HashMap::new(),
            kernel: Kernel::default(),
            daemons: Daemons::default(),
            ipvs: IpvsRow::default(),
            times: Times::default(),
            pending: Vec::new(),
            audit_at: None,
            verdict: Default::default(),
            weights_before: None,
            flushed: options.restarted || !config.global.lvs_flush,
            phase: Phase::Waiting,
            options,
            checkers_made: 0,
            attempts: 0,
            random: options.seed,
            epoch: 0,
        };
        engine.set_wall(now, wall);
        for (index, service) in (1..).zip(&config.services) {
            engine.adopt(service, index, now);
        }
        engine.reindex();
        engine
    }

    /// Tells what the wall clock shows; call it again when the clock was set. Only rows and edges carry wall time.
    pub fn set_wall(&mut self, now: Instant, wall: WallTime) {
        self.epoch = wall.0.wrapping_sub(now.nanos());
    }

    /// Takes one input in and appends what must be done, in order. Several inputs may be handed over before the outputs
    /// are carried out.
    pub fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        match input {
            Input::Kernel { batch, index, error } => self.kernel_answered(batch, index, error, now, out),
            _ if matches!(self.phase, Phase::Stopping | Phase::Stopped) => {
                if let Input::Command { request, .. } = input {
                    out.push(Output::Reply { request, reply: Reply::Refused(Refusal::Kernel(errno::ESHUTDOWN)) });
                }
            }
            Input::Probed { checker, attempt, outcome, began, took_us } => {
                self.probed(&checker, attempt, outcome, (began, took_us), now, out);
            }
            Input::Table(found) => drop(self.table(found, now, out)),
            Input::Statistics(found) => self.statistics(found, out),
            Input::Counted { began, took_us, totals } => {
                self.ipvs.counted_at = began;
                self.ipvs.counted_wall = self.wall(began);
                self.ipvs.poll_us = took_us;
                self.ipvs.totals = totals;
                out.push(Output::Counted(RowKey::Ipvs));
            }
            Input::NotCounted => {
                self.ipvs.poll_errors = self.ipvs.poll_errors.saturating_add(1);
                out.push(Output::Counted(RowKey::Ipvs));
            }
            Input::NoIpvs { error } => self.no_ipvs(error, now, out),
            Input::HostAddress(address) => {
                self.addresses.insert(address);
                self.address_changed(address, now, out);
            }
            Input::HostAddressGone(address) => {
                self.addresses.remove(&address);
                self.address_changed(address, now, out);
            }
            Input::Vrrp { instance, state } => {
                self.daemons.follow(&instance, state);
                self.instances.insert(instance, state);
            }
            Input::File { name, value } => self.file_changed(name, value, now, out),
            Input::Bfd { session, up } => self.session_changed(session, up, now, out),
            Input::Command { request, command } => self.command(request, command, now, out),
            Input::ClearCounters => self.clear_counters(out),
            Input::Wake if self.phase == Phase::Waiting => self.begin(now, out),
            Input::Wake => self.wake(now, out),
            Input::Shutdown { keep_table } => self.shutdown(keep_table, now, out),
        }
        self.settle(now, out);
        if self.times.take_moved() {
            out.push(Output::Counted(RowKey::CheckTimes));
        }
    }

    /// When to say `Wake` if nothing else happens before. O(1).
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting => Some(Instant::ZERO),
            Phase::Running => {
                let timer = self.timers.first().map(|(at, _)| *at);
                let others = [self.kernel.deadline(), self.daemons.deadline(), self.audit_at];
                timer.into_iter().chain(others.into_iter().flatten()).min()
            }
            Phase::Stopping | Phase::Stopped => None,
        }
    }

    /// The settings of a checker: what the driver probes.
    pub fn checker(&self, key: &CheckerKey) -> Option<&Checker> {
        let service = self.service_named(&key.server.service)?;
        let server = service.servers.get(service.position(key.server.address, key.server.port)?)?;
        let probe = server.checkers.get(usize::try_from(key.number).ok()?)?;
        (!key.server.sorry).then_some(&probe.config)
    }

    /// The virtual server that a kernel service belongs to; `None` for strangers.
    pub fn service_of(&self, id: &ServiceId) -> Option<&ServiceKey> {
        Some(self.service(self.kernel.owner(id)?)?.key())
    }

    /// Our services: what the statistics poller looks for in the kernel, in a fixed order.
    pub fn kernel_services(&self) -> impl Iterator<Item = ServiceId> {
        self.kernel.polled().copied()
    }

    /// After [`Input::Shutdown`]: the kernel has answered everything.
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Stopped
    }

    pub(super) fn wall(&self, now: Instant) -> WallTime {
        WallTime(self.epoch.wrapping_add(now.nanos()))
    }

    pub(super) fn service(&self, slot: Slot) -> Option<&Service> {
        self.slots.get(slot as usize)?.as_deref()
    }

    pub(super) fn service_mut(&mut self, slot: Slot) -> Option<&mut Service> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    pub(super) fn service_named(&self, key: &ServiceKey) -> Option<&Service> {
        self.service(*self.names.get(key)?)
    }

    /// In the order of the file.
    pub(super) fn each_slot(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> = (0..self.slots.len() as Slot).filter(|slot| self.service(*slot).is_some()).collect();
        slots.sort_by_key(|slot| self.service(*slot).map(|service| service.index));
        slots
    }

    /// Gives a virtual server a slot; its servers start as `alpha` says. [`Self::reindex`] must follow.
    pub(super) fn adopt(&mut self, config: &VirtualServer, index: u32, now: Instant) -> Slot {
        let since = self.wall(now);
        let mut service = Service::new(config, &self.groups, index, since);
        for server in &config.servers {
            let server = self.new_server(server, since);
            service.servers.push(server);
        }
        // Told in `start_service`; what is wanted must be known before the kernel's table is.
        service.weigh(since);
        let at = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.names.insert(config.key.clone(), at as Slot);
        self.slots[at] = Some(Box::new(service));
        self.want(at as Slot);
        at as Slot
    }

    pub(super) fn new_server(&mut self, config: &RealServer, since: WallTime) -> Server {
        let checkers = config.checkers.iter().map(|checker| self.new_probe(checker, !checker.alpha, since)).collect();
        let mut server = Server {
            config: RealServer { checkers: Vec::new(), ..config.clone() },
            checkers,
            alive: false,
            since,
            operator: None,
            loads: BTreeMap::new(),
            went_up: 0,
            went_down: 0,
        };
        server.alive = server.all_up();
        server
    }

    pub(super) fn new_probe(&mut self, config: &Checker, up: bool, since: WallTime) -> Probe {
        self.checkers_made += 1;
        self.times.know(&config.check);
        // Files that have not spoken are good.
        let up = up || matches!(config.check, Check::File(_));
        Probe::new(self.checkers_made, config, up, since)
    }

    /// Makes the indexes again, after the configuration changed.
    pub(super) fn reindex(&mut self) {
        let (mut places, mut files) = (HashMap::new(), HashMap::<String, Vec<CheckerId>>::new());
        let mut addresses: HashMap<IpAddr, Vec<Slot>> = HashMap::new();
        for slot in self.each_slot() {
            let Some(service) = self.service(slot) else { continue };
            for (at, server) in service.servers.iter().enumerate() {
                for (number, probe) in server.checkers.iter().enumerate() {
                    places.insert(probe.id, (slot, at, number));
                    if let Check::File(file) = &probe.config.check {
                        files.entry(file.name.clone()).or_default().push(probe.id);
                    }
                }
            }
            if service.config.ha_suspend {
                for address in service.addresses() {
                    addresses.entry(address).or_default().push(slot);
                }
            }
        }
        self.timers.retain(|(_, id)| places.contains_key(id));
        self.armed.retain(|id, _| places.contains_key(id));
        (self.places, self.file_users, self.address_users) = (places, files, addresses);
    }

    /// The first `Wake`: what is known of the host now is all of it.
    fn begin(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.phase = Phase::Running;
        self.reconfigure_daemons();
        if self.kernel.available.is_none() {
            self.audit(now, out);
        } else {
            self.take_kernel(out);
        }
        for slot in self.each_slot() {
            self.start_service(slot, now, out);
        }
    }

    /// A virtual server starts: its first quorum is told, its checkers get their first deadlines.
    pub(super) fn start_service(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        self.watch_others(slot);
        self.notify_of_first_servers(slot, out);
        self.first_quorum(slot, now, out);
        self.suspend_or_resume(slot, now, out);
        self.start_probes(slot, now);
        self.want(slot);
    }

    /// Starts the checkers that are at rest and should not be, at random moments within their warm-up.
    pub(super) fn start_probes(&mut self, slot: Slot, now: Instant) {
        let Some(service) = self.service(slot) else { return };
        if service.suspended || self.phase != Phase::Running {
            return;
        }
        let probes = service.servers.iter().flat_map(|server| &server.checkers);
        let resting = probes.filter(|probe| probe.active() && probe.machine.resting());
        let resting: Vec<(CheckerId, u64)> = resting.map(|probe| (probe.id, probe.config.warmup_us)).collect();
        for (id, warmup_us) in resting {
            let delay = Duration::from_micros(self.random_below(warmup_us));
            if let Some(probe) = self.probe_mut(id) {
                probe.machine.start(now + delay);
            }
            self.arm(id);
        }
    }

    /// From 0 to `bound`, both included (splitmix64).
    fn random_below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let wide = u128::from(mixed) * (u128::from(bound) + 1);
        (wide >> 64) as u64
    }

    pub(super) fn probe(&self, id: CheckerId) -> Option<&Probe> {
        let (slot, server, number) = *self.places.get(&id)?;
        self.service(slot)?.servers.get(server)?.checkers.get(number)
    }

    pub(super) fn probe_mut(&mut self, id: CheckerId) -> Option<&mut Probe> {
        let (slot, server, number) = *self.places.get(&id)?;
        self.service_mut(slot)?.servers.get_mut(server)?.checkers.get_mut(number)
    }

    pub(super) fn checker_key(&self, id: CheckerId) -> Option<CheckerKey> {
        let (slot, server, number) = *self.places.get(&id)?;
        let service = self.service(slot)?;
        let server = service.server_key(service.servers.get(server)?);
        Some(CheckerKey { server, number: u32::try_from(number).ok()? })
    }

    /// Keeps the checker's entry among the timers true.
    pub(super) fn arm(&mut self, id: CheckerId) {
        let deadline = self.probe(id).and_then(|probe| probe.machine.deadline());
        if let Some(old) = self.armed.remove(&id) {
            self.timers.remove(&(old, id));
        }
        if let Some(new) = deadline {
            self.armed.insert(id, new);
            self.timers.insert((new, id));
        }
    }

    fn wake(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            self.armed.remove(&id);
            self.attempts += 1;
            let attempt = self.attempts;
            let Some(checker) = self.checker_key(id) else { continue };
            let Some(probe) = self.probe_mut(id) else { continue };
            probe.machine.probe(attempt, at);
            let url = probe.machine.url();
            out.push(Output::Probe { checker, attempt, url });
            self.times.moved();
        }
        self.kernel.wake(now);
        self.daemons.wake(now);
        if self.audit_at.is_some_and(|at| at <= now) {
            self.audit(now, out);
        }
    }

    /// Looks at the kernel's table soon: an operator who changes the configuration may have changed the table as well.
    pub(super) fn audit_soon(&mut self, now: Instant) {
        if self.kernel.available == Some(true) {
            self.audit_at = Some(self.audit_at.map_or(now + AUDIT_SOON, |at| at.min(now + AUDIT_SOON)));
        }
    }

    pub(super) fn audit(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.audit_at = Some(now + AUDIT_EVERY);
        self.kernel.auditing = true;
        out.push(Output::Audit);
    }

    pub(super) fn timeouts(&self) -> Option<Op> {
        let (tcp, tcp_fin, udp) = self.global.lvs.timeouts;
        let any = tcp.or(tcp_fin).or(udp).is_some();
        any.then_some(Op::Timeouts { tcp, tcp_fin, udp })
    }

    /// Takes the configured daemons over, and which state they follow.
    pub(super) fn reconfigure_daemons(&mut self) {
        self.daemons.configure(self.global.lvs.sync_daemon.as_ref());
        for (instance, state) in &self.instances {
            self.daemons.follow(instance, *state);
        }
    }

    fn address_changed(&mut self, address: IpAddr, now: Instant, out: &mut Vec<Output>) {
        if self.phase != Phase::Running {
            return;
        }
        for slot in self.address_users.get(&address).cloned().unwrap_or_default() {
            self.suspend_or_resume(slot, now, out);
        }
    }

    /// `ha_suspend`: checkers rest while none of the addresses is here. The pool stays as it was found.
    pub(super) fn suspend_or_resume(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let Some(service) = self.service(slot) else { return };
        let suspended = service.config.ha_suspend && !service.addresses().any(|it| self.addresses.contains(&it));
        if suspended == service.suspended {
            return;
        }
        let name = service_name(service.key());
        let ids: Vec<CheckerId> =
            service.servers.iter().flat_map(|it| &it.checkers).filter(|it| it.active()).map(|it| it.id).collect();
        let key = service.key().clone();
        if let Some(service) = self.service_mut(slot) {
            service.suspended = suspended;
        }
        if suspended {
            out.push(log(Level::Info, format!("Suspending healthcheckers of VS {name}: its address is not here")));
            for id in ids {
                let abandoned = self.probe_mut(id).is_some_and(|probe| probe.machine.rest());
                self.arm(id);
                if let Some(checker) = self.checker_key(id).filter(|_| abandoned) {
                    self.times.moved();
                    out.push(Output::Abandon { checker });
                }
            }
        } else {
            out.push(log(Level::Info, format!("Activating healthcheckers of VS {name}: its address is here")));
            self.start_probes(slot, now);
        }
        out.push(Output::Changed(RowKey::Service(key)));
    }

    fn file_changed(&mut self, name: String, value: Option<i64>, now: Instant, out: &mut Vec<Output>) {
        let users = self.file_users.get(&name).cloned().unwrap_or_default();
        self.files.insert(name, value);
        for id in users {
            self.file_spoke(id, value, now, out);
        }
    }

    /// Takes what is known of files and BFD sessions into a virtual server that starts.
    fn watch_others(&mut self, slot: Slot) {
        let Some(service) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        for server in &mut service.servers {
            for probe in &mut server.checkers {
                if let Check::Bfd(name) = &probe.config.check
                    && let Some(up) = self.sessions.get(name)
                {
                    probe.machine.told(*up);
                }
                let Check::File(file) = &probe.config.check else { continue };
                if let Some(value) = self.files.get(&file.name) {
                    let (up, delta) = super::carry::file_says(file, *value);
                    probe.delta = delta;
                    probe.machine.told(up);
                }
            }
            server.alive = server.all_up();
        }
    }

    pub(super) fn known_file(&self, name: &str) -> Option<Option<i64>> {
        self.files.get(name).copied()
    }

    fn clear_counters(&mut self, out: &mut Vec<Output>) {
        self.ipvs.operations_failed = 0;
        out.push(Output::Counted(RowKey::Ipvs));
        for slot in self.each_slot() {
            let Some(service) = self.service_mut(slot) else { continue };
            for server in &mut service.servers {
                (server.went_up, server.went_down) = (0, 0);
                for probe in &mut server.checkers {
                    (probe.passed, probe.failed) = (0, 0);
                }
            }
            let keys = service.servers.iter().map(|server| service.config.server_key(&server.config));
            out.extend(keys.map(|key| Output::Counted(RowKey::Server(key))));
        }
    }

    /// Tells the kernel's keeper what a virtual server wants now.
    pub(super) fn want(&mut self, slot: Slot) {
        let Some(service) = self.slots.get(slot as usize).and_then(Option::as_deref) else { return };
        for id in &service.ids {
            // A service that two blocks claim belongs to the first.
            if self.kernel.owner(id).is_none_or(|owner| owner == slot) {
                self.kernel.want(*id, Some(slot), Some(service.wanted(id)));
            }
        }
    }

    /// Plans what changed, and answers commands that need the kernel no more.
    pub(super) fn settle(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.phase != Phase::Running {
            return;
        }
        let _ = now;
        let Planned { sent, settled } = self.kernel.plan(out);
        if !self.pending.is_empty() {
            for (id, batch) in sent {
                for pending in &mut self.pending {
                    if let Some(waiting) = pending.waiting.get_mut(&id) {
                        waiting.batch.get_or_insert(batch);
                    }
                }
            }
            for id in settled {
                for pending in &mut self.pending {
                    pending.waiting.remove(&id);
                }
            }
            self.reply_confirmed(out);
        }
        if self.kernel.available == Some(true) {
            let ops = self.daemons.plan();
            if !ops.is_empty() {
                self.kernel.send_plain(ops, out);
            }
        }
    }

    /// Leaves in good order: servers and quorums are told to be down, the table is emptied of what is ours.
    fn shutdown(&mut self, keep_table: bool, now: Instant, out: &mut Vec<Output>) {
        if self.phase == Phase::Running {
            for slot in self.each_slot() {
                self.last_words(slot, now, out);
            }
        }
        for id in self.places.keys().copied().collect::<BTreeSet<_>>() {
            if self.probe_mut(id).is_some_and(|probe| probe.machine.rest())
                && let Some(checker) = self.checker_key(id)
            {
                out.push(Output::Abandon { checker });
            }
        }
        self.timers.clear();
        for pending in std::mem::take(&mut self.pending) {
            let reply = Reply::Refused(Refusal::Kernel(errno::ESHUTDOWN));
            out.push(Output::Reply { request: pending.request, reply });
        }
        let mut ops = Vec::new();
        if self.kernel.available == Some(true) {
            let deletions = self.kernel.deletions();
            match self.global.lvs_flush_on_stop {
                _ if keep_table => {}
                FlushOnStop::Everything => ops.push(Op::Flush),
                FlushOnStop::No | FlushOnStop::VirtualServers => ops.extend(deletions),
            }
            ops.extend(self.daemons.stop());
        }
        if !ops.is_empty() {
            self.kernel.send_plain(ops, out);
        }
        self.phase = if self.kernel.idle() { Phase::Stopped } else { Phase::Stopping };
    }
}

pub(super) fn log(level: Level, text: String) -> Output {
    Output::Log(Log { level, text })
}
