//! Counters that never go down while their object lives.
//!
//! What an engine counts begins again when its process does, and what the kernel counts begins again when a service or a
//! server is put into its table again. The [`Ledger`] hears each row as it is committed and keeps what was counted before
//! beside it: a counter that is shown is the row's plus its [`Bases`]. An object that leaves the configuration is
//! forgotten with its base; of an engine that does, only the number of lines in the log stays.
//!
//! Two kinds of counters differ in what a new process means. Those that the process itself keeps have begun again. Those of
//! the kernel go on, as the table is adopted; only the first rows show nothing yet. Within one process a counter that is
//! lower than it was has begun again, whoever has cleared it (SIGRTMAX-1 does): what was shown stays, and what is counted
//! from then on is added. Keepalived shows zeroes after its signal; for SNMP and the statistics file that holds here, too.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::bus::bfd::BfdCounters;
use crate::bus::msg::{ConfigGeneration, Source};
use crate::bus::rows::{CheckerRow, Counters, RouterCounters, Row, RowKey, ServerRow, ServiceRow, TrackerRuns};
use crate::bus::timing::{CheckTimes, Histogram, KindTimes, Logged, Pulse, VrrpTimes};
use crate::check::table::Stats;
use crate::conf::model::{InstanceName, ServerKey, ServiceKey, ServiceKind, TrackerKind};

/// What was counted before the rows that are shown began to count. Most are zero, and those are not kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bases {
    instances: HashMap<InstanceName, Counters>,
    trackers: HashMap<(TrackerKind, String), TrackerRuns>,
    bfd: HashMap<String, BfdCounters>,
    services: HashMap<ServiceKey, Stats>,
    servers: HashMap<ServerKey, ServerTotals>,
    router: RouterCounters,
    vrrp_times: VrrpTimes,
    check_times: CheckTimes,
    ipvs: IpvsCounters,
    vrrp_pulse: Process,
    checks_pulse: Process,
}

/// What is counted of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerTotals {
    pub stats: Stats,
    /// Checks, of all its checkers.
    pub passed: u64,
    pub failed: u64,
    pub went_up: u64,
    pub went_down: u64,
}

/// What is counted of the kernel's table as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IpvsCounters {
    pub operations_failed: u64,
    pub poll_errors: u64,
}

/// What is counted of an engine's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Process {
    pub lag: Histogram,
    pub logged: Logged,
}

impl Bases {
    pub fn instance(&self, name: &InstanceName, shown: Counters) -> Counters {
        plus(shown, self.instances.get(name))
    }

    pub fn tracker(&self, kind: TrackerKind, name: &str, shown: TrackerRuns) -> TrackerRuns {
        // Looking a borrowed pair up takes a key of our own.
        if self.trackers.is_empty() { shown } else { plus(shown, self.trackers.get(&(kind, name.to_owned()))) }
    }

    pub fn bfd(&self, name: &str, shown: BfdCounters) -> BfdCounters {
        plus(shown, self.bfd.get(name))
    }

    pub fn service(&self, key: &ServiceKey, shown: Stats) -> Stats {
        plus(shown, self.services.get(key))
    }

    /// The row's key is made only if there is something to look up.
    pub fn server(&self, key: impl FnOnce() -> ServerKey, shown: ServerTotals) -> ServerTotals {
        if self.servers.is_empty() { shown } else { plus(shown, self.servers.get(&key())) }
    }

    pub fn router(&self, shown: RouterCounters) -> RouterCounters {
        plus(shown, Some(&self.router))
    }

    pub fn vrrp_times(&self, shown: &VrrpTimes) -> VrrpTimes {
        plus(shown.clone(), Some(&self.vrrp_times))
    }

    pub fn check_times(&self, shown: &CheckTimes) -> CheckTimes {
        plus(shown.clone(), Some(&self.check_times))
    }

    pub fn ipvs(&self, shown: IpvsCounters) -> IpvsCounters {
        plus(shown, Some(&self.ipvs))
    }

    pub fn process(&self, source: Source, shown: Process) -> Process {
        let base = match source {
            Source::Vrrp => &self.vrrp_pulse,
            Source::Checks => &self.checks_pulse,
        };
        plus(shown, Some(base))
    }

    fn side(&mut self, source: Source) -> &mut Process {
        match source {
            Source::Vrrp => &mut self.vrrp_pulse,
            Source::Checks => &mut self.checks_pulse,
        }
    }
}

impl ServerTotals {
    /// As the row itself has them.
    pub fn of(row: &ServerRow) -> ServerTotals {
        ServerTotals {
            stats: row.load.stats,
            passed: row.checkers.iter().map(|checker| checker.passed).sum(),
            failed: row.checkers.iter().map(|checker| checker.failed).sum(),
            went_up: row.went_up,
            went_down: row.went_down,
        }
    }
}

/// Hears rows; each costs the same, however many there are.
#[derive(Debug, Default)]
pub struct Ledger {
    bases: Arc<Bases>,
    instances: Known<InstanceName, Counters>,
    trackers: Known<(TrackerKind, String), TrackerRuns>,
    bfd: Known<String, BfdCounters>,
    services: Known<ServiceKey, Kernel>,
    servers: Known<ServerKey, Server>,
    router: RouterCounters,
    vrrp_times: VrrpTimes,
    check_times: CheckTimes,
    ipvs: IpvsCounters,
    vrrp: Side,
    checks: Side,
}

/// One engine.
#[derive(Debug, Default)]
struct Side {
    /// The next full batch is of another process.
    new_process: bool,
    config: ConfigGeneration,
    pulse: Process,
}

/// The last rows, and in which full batch they were.
#[derive(Debug)]
struct Known<K, V> {
    rows: HashMap<K, (V, u64)>,
    batch: u64,
}

/// What the kernel counts.
#[derive(Debug, Clone, Copy, Default)]
struct Kernel {
    last: Stats,
    /// Of the process before, and part of the base now, until the first row that shows anything tells whether the kernel
    /// goes on from there.
    carried: Option<Stats>,
}

#[derive(Debug, Clone, Default)]
struct Server {
    kernel: Kernel,
    went_up: u64,
    went_down: u64,
    checkers: Vec<Checker>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Checker {
    kind: String,
    target: String,
    passed: u64,
    failed: u64,
}

impl Ledger {
    /// To be added to what is shown now.
    pub fn bases(&self) -> Arc<Bases> {
        Arc::clone(&self.bases)
    }

    /// The next full batch of this engine comes from another process.
    pub fn expect_process(&mut self, source: Source) {
        self.side(source).new_process = true;
    }

    /// There is no such engine any more. The lines that it gave to the log stay given: they are counted with those of the
    /// other processes.
    pub fn forget(&mut self, source: Source) {
        let side = std::mem::take(self.side(source));
        let bases = Arc::make_mut(&mut self.bases);
        let process = bases.side(source);
        process.add(&side.pulse);
        process.lag = Histogram::default();
        match source {
            Source::Vrrp => {
                (self.instances, self.trackers, self.bfd) = Default::default();
                (self.router, self.vrrp_times) = Default::default();
                (bases.instances, bases.trackers, bases.bfd) = Default::default();
                (bases.router, bases.vrrp_times) = Default::default();
            }
            Source::Checks => {
                (self.services, self.servers) = Default::default();
                (self.check_times, self.ipvs) = Default::default();
                (bases.services, bases.servers) = Default::default();
                (bases.check_times, bases.ipvs) = Default::default();
            }
        }
    }

    /// A batch is being committed.
    pub fn hear(&mut self, source: Source, config: ConfigGeneration, full: bool, rows: &[(RowKey, Option<Row>)]) {
        let side = self.side(source);
        let reloaded = std::mem::replace(&mut side.config, config) != config;
        if full && std::mem::take(&mut side.new_process) {
            self.begin_again(source);
        }
        if full {
            match source {
                Source::Vrrp => {
                    (self.instances.batch, self.trackers.batch) = (self.instances.batch + 1, self.trackers.batch + 1);
                    self.bfd.batch += 1;
                }
                Source::Checks => {
                    (self.services.batch, self.servers.batch) = (self.services.batch + 1, self.servers.batch + 1)
                }
            }
        }
        for (key, row) in rows {
            match row {
                Some(row) => self.row(source, key, row, reloaded),
                None => self.gone(key),
            }
        }
        if full {
            self.forget_unsaid(source);
        }
    }

    fn side(&mut self, source: Source) -> &mut Side {
        match source {
            Source::Vrrp => &mut self.vrrp,
            Source::Checks => &mut self.checks,
        }
    }

    /// What the old process has counted is behind us; what the kernel counts may go on.
    fn begin_again(&mut self, source: Source) {
        let bases = Arc::make_mut(&mut self.bases);
        let side = match source {
            Source::Vrrp => &mut self.vrrp,
            Source::Checks => &mut self.checks,
        };
        bases.side(source).add(&std::mem::take(&mut side.pulse));
        match source {
            Source::Vrrp => {
                for (name, (last, _)) in &mut self.instances.rows {
                    bases.instances.entry(name.clone()).or_default().add(&std::mem::take(last));
                }
                for (name, (last, _)) in &mut self.bfd.rows {
                    bases.bfd.entry(name.clone()).or_default().add(&std::mem::take(last));
                }
                for (key, (last, _)) in &mut self.trackers.rows {
                    bases.trackers.entry(key.clone()).or_default().add(&std::mem::take(last));
                }
                bases.router.add(&std::mem::take(&mut self.router));
                bases.vrrp_times.add(&std::mem::take(&mut self.vrrp_times));
            }
            Source::Checks => {
                for (key, (kernel, _)) in &mut self.services.rows {
                    kernel.begin_again(|carried| bases.services.entry(key.clone()).or_default().add(&carried));
                }
                for (key, (server, _)) in &mut self.servers.rows {
                    let Server { kernel, went_up, went_down, checkers } = std::mem::take(server);
                    let base = bases.servers.entry(key.clone()).or_default();
                    (base.went_up, base.went_down) = (base.went_up + went_up, base.went_down + went_down);
                    checkers.iter().for_each(|checker| checker.add_to(base));
                    server.kernel = kernel;
                    server.kernel.begin_again(|carried| base.stats.add(&carried));
                }
                bases.check_times.add(&std::mem::take(&mut self.check_times));
                bases.ipvs.add(&std::mem::take(&mut self.ipvs));
            }
        }
    }

    fn row(&mut self, source: Source, key: &RowKey, row: &Row, reloaded: bool) {
        let bases = &mut self.bases;
        match (key, row) {
            (RowKey::Instance(name), Row::Instance(row)) => {
                let last = self.instances.entry(name);
                follow(last, row.counters, |gone| {
                    Arc::make_mut(bases).instances.entry(name.clone()).or_default().add(gone);
                });
            }
            (RowKey::Tracker(kind, name), Row::Tracker(row)) => {
                let key = (*kind, name.clone());
                let last = self.trackers.entry(&key);
                follow(last, row.runs, |gone| Arc::make_mut(bases).trackers.entry(key).or_default().add(gone));
            }
            (RowKey::Bfd(name), Row::Bfd(row)) => {
                let last = self.bfd.entry(name);
                follow(last, row.counters, |gone| Arc::make_mut(bases).bfd.entry(name.clone()).or_default().add(gone));
            }
            (RowKey::Service(key), Row::Service(row)) => {
                let ServiceRow { stats, .. } = &**row;
                let change = self.services.entry(key).follow(*stats, reloaded && is_group(key));
                if let Some(change) = change {
                    change.make(Arc::make_mut(bases).services.entry(key.clone()).or_default());
                }
            }
            (RowKey::Server(key), Row::Server(row)) => {
                let server = self.servers.entry(key);
                let change = server.kernel.follow(row.load.stats, reloaded && is_group(&key.service));
                let mut gone = ServerTotals::default();
                if row.went_up < server.went_up || row.went_down < server.went_down {
                    (gone.went_up, gone.went_down) = (server.went_up, server.went_down);
                }
                (server.went_up, server.went_down) = (row.went_up, row.went_down);
                server.follow_checkers(&row.checkers, &mut gone);
                if change.is_some() || gone != ServerTotals::default() {
                    let base = Arc::make_mut(bases).servers.entry(key.clone()).or_default();
                    base.add(&gone);
                    if let Some(change) = change {
                        change.make(&mut base.stats);
                    }
                }
            }
            (RowKey::Router, Row::Router(raw)) => {
                follow(&mut self.router, *raw, |gone| Arc::make_mut(bases).router.add(gone));
            }
            (RowKey::VrrpTimes, Row::VrrpTimes(raw)) => {
                follow(&mut self.vrrp_times, (**raw).clone(), |gone| Arc::make_mut(bases).vrrp_times.add(gone));
            }
            (RowKey::CheckTimes, Row::CheckTimes(raw)) => {
                follow(&mut self.check_times, (**raw).clone(), |gone| Arc::make_mut(bases).check_times.add(gone));
            }
            (RowKey::Ipvs, Row::Ipvs(row)) => {
                let raw = IpvsCounters { operations_failed: row.operations_failed, poll_errors: row.poll_errors };
                follow(&mut self.ipvs, raw, |gone| Arc::make_mut(bases).ipvs.add(gone));
            }
            (RowKey::Pulse, Row::Pulse(pulse)) => {
                let side = match source {
                    Source::Vrrp => &mut self.vrrp,
                    Source::Checks => &mut self.checks,
                };
                follow(&mut side.pulse, Process::of(pulse), |gone| Arc::make_mut(bases).side(source).add(gone));
            }
            _ => {}
        }
    }

    fn gone(&mut self, key: &RowKey) {
        let bases = &mut self.bases;
        match key {
            RowKey::Instance(name) => {
                self.instances.rows.remove(name);
                forget(bases, name, |bases| &bases.instances, |bases| &mut bases.instances);
            }
            RowKey::Tracker(kind, name) => {
                let key = (*kind, name.clone());
                self.trackers.rows.remove(&key);
                forget(bases, &key, |bases| &bases.trackers, |bases| &mut bases.trackers);
            }
            RowKey::Bfd(name) => {
                self.bfd.rows.remove(name);
                forget(bases, name, |bases| &bases.bfd, |bases| &mut bases.bfd);
            }
            RowKey::Service(key) => {
                self.services.rows.remove(key);
                forget(bases, key, |bases| &bases.services, |bases| &mut bases.services);
            }
            RowKey::Server(key) => {
                self.servers.rows.remove(key);
                forget(bases, key, |bases| &bases.servers, |bases| &mut bases.servers);
            }
            _ => {}
        }
    }

    /// A full batch says all there is.
    fn forget_unsaid(&mut self, source: Source) {
        let gone: Vec<RowKey> = match source {
            Source::Vrrp => {
                let trackers = self.trackers.unsaid().map(|(kind, name)| RowKey::Tracker(*kind, name.clone()));
                let sessions = self.bfd.unsaid().cloned().map(RowKey::Bfd);
                self.instances.unsaid().cloned().map(RowKey::Instance).chain(trackers).chain(sessions).collect()
            }
            Source::Checks => {
                let servers = self.servers.unsaid().cloned().map(RowKey::Server);
                self.services.unsaid().cloned().map(RowKey::Service).chain(servers).collect()
            }
        };
        gone.iter().for_each(|key| self.gone(key));
    }
}

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        Known { rows: HashMap::new(), batch: 0 }
    }
}

impl<K: Hash + Eq + Clone, V: Default> Known<K, V> {
    fn entry(&mut self, key: &K) -> &mut V {
        let entry = self.rows.entry(key.clone()).or_default();
        entry.1 = self.batch;
        &mut entry.0
    }

    fn unsaid(&self) -> impl Iterator<Item = &K> {
        self.rows.iter().filter(|(_, (_, batch))| *batch != self.batch).map(|(key, _)| key)
    }
}

fn forget<K: Hash + Eq, V>(
    bases: &mut Arc<Bases>,
    key: &K,
    of: impl Fn(&Bases) -> &HashMap<K, V>,
    of_mut: impl Fn(&mut Bases) -> &mut HashMap<K, V>,
) {
    // Whoever holds the bases has them copied by every change.
    if of(bases).contains_key(key) {
        of_mut(Arc::make_mut(bases)).remove(key);
    }
}

/// What is shown of it is a sum.
fn is_group(key: &ServiceKey) -> bool {
    matches!(key.kind, ServiceKind::Group(_))
}

/// What happens to a base.
enum Change {
    Add(Stats),
    Take(Stats),
}

impl Change {
    fn make(self, base: &mut Stats) {
        match self {
            Change::Add(stats) => base.add(&stats),
            Change::Take(stats) => base.take(&stats),
        }
    }
}

impl Kernel {
    /// Nothing is known of the kernel until the new process has read it.
    fn begin_again(&mut self, carry: impl FnOnce(Stats)) {
        let last = std::mem::take(&mut self.last);
        // It may die again before it has read anything.
        if !last.is_nothing() {
            carry(last);
            self.carried = Some(last);
        }
    }

    /// `member_left`: the sum may be lower because it has fewer parts, and not because one of them began again.
    fn follow(&mut self, raw: Stats, member_left: bool) -> Option<Change> {
        if raw.is_nothing() && self.last.is_nothing() {
            return None;
        }
        let last = std::mem::replace(&mut self.last, raw);
        if let Some(carried) = self.carried.take() {
            // The table was adopted, and what was carried is in the row again.
            return (!raw.is_below(&carried)).then_some(Change::Take(carried));
        }
        if !raw.is_below(&last) {
            return None;
        }
        let mut gone = last;
        if member_left {
            gone.take(&raw);
        }
        Some(Change::Add(gone))
    }
}

impl Server {
    /// Checkers that are gone, or began again, have counted what they have counted.
    fn follow_checkers(&mut self, rows: &[CheckerRow], gone: &mut ServerTotals) {
        let same = self.checkers.len() == rows.len()
            && self.checkers.iter().zip(rows).all(|(last, row)| last.kind == row.kind && last.target == row.target);
        if same {
            for (last, row) in self.checkers.iter_mut().zip(rows) {
                if row.passed < last.passed || row.failed < last.failed {
                    last.add_to(gone);
                }
                (last.passed, last.failed) = (row.passed, row.failed);
            }
            return;
        }
        let mut before = std::mem::take(&mut self.checkers);
        for row in rows {
            let found = before.iter().position(|last| last.kind == row.kind && last.target == row.target);
            if let Some(last) = found.map(|at| before.remove(at))
                && (row.passed < last.passed || row.failed < last.failed)
            {
                last.add_to(gone);
            }
            let CheckerRow { kind, target, passed, failed, .. } = row;
            let (kind, target) = (kind.clone(), target.clone());
            self.checkers.push(Checker { kind, target, passed: *passed, failed: *failed });
        }
        before.iter().for_each(|last| last.add_to(gone));
    }
}

impl Checker {
    fn add_to(&self, totals: &mut ServerTotals) {
        totals.passed = totals.passed.saturating_add(self.passed);
        totals.failed = totals.failed.saturating_add(self.failed);
    }
}

impl Process {
    pub fn of(pulse: &Pulse) -> Process {
        Process { lag: pulse.lag, logged: pulse.logged }
    }
}

/// A set of counters that begin again together.
trait Tally: Default {
    fn add(&mut self, other: &Self);
    /// Whether one of them is lower than it was.
    fn is_below(&self, last: &Self) -> bool;
}

fn plus<T: Tally>(mut shown: T, base: Option<&T>) -> T {
    if let Some(base) = base {
        shown.add(base);
    }
    shown
}

/// Takes the next value of `last`, and hands on what it has lost.
fn follow<T: Tally>(last: &mut T, raw: T, gone: impl FnOnce(&T)) {
    if raw.is_below(last) {
        gone(last);
    }
    *last = raw;
}

macro_rules! tally {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl Tally for $type {
            fn add(&mut self, other: &Self) {
                $(self.$field = self.$field.saturating_add(other.$field);)*
            }

            fn is_below(&self, last: &Self) -> bool {
                false $(|| self.$field < last.$field)*
            }
        }
    };
}

tally!(Counters {
    adverts_received,
    adverts_sent,
    became_master,
    released_master,
    priority_zero_received,
    priority_zero_sent,
    packet_length_errors,
    checksum_errors,
    version_errors,
    advert_interval_errors,
    ttl_errors,
    invalid_type,
    address_list_errors,
    invalid_auth_type,
    auth_type_mismatch,
    auth_failures,
    unknown_source,
    announcements_sent,
    entered_init,
    entered_backup,
    entered_fault,
    other_master_adverts,
});
tally!(RouterCounters { checksum_errors, version_errors, vrid_errors, truncated });
tally!(BfdCounters { sent, received, dropped, expired, went_up, went_down });
tally!(TrackerRuns { success, failure, timeout, skipped, went_up, went_down });
// Rates are of the moment.
tally!(Stats { connections, packets_in, packets_out, bytes_in, bytes_out });
tally!(IpvsCounters { operations_failed, poll_errors });
tally!(Logged { error, warning, info, debug, lost });

impl Stats {
    fn is_nothing(&self) -> bool {
        let Stats { connections, packets_in, packets_out, bytes_in, bytes_out, .. } = self;
        [connections, packets_in, packets_out, bytes_in, bytes_out].into_iter().all(|counter| *counter == 0)
    }

    fn take(&mut self, other: &Stats) {
        self.connections = self.connections.saturating_sub(other.connections);
        self.packets_in = self.packets_in.saturating_sub(other.packets_in);
        self.packets_out = self.packets_out.saturating_sub(other.packets_out);
        self.bytes_in = self.bytes_in.saturating_sub(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_sub(other.bytes_out);
    }
}

impl Tally for ServerTotals {
    fn add(&mut self, other: &Self) {
        self.stats.add(&other.stats);
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
        self.went_up = self.went_up.saturating_add(other.went_up);
        self.went_down = self.went_down.saturating_add(other.went_down);
    }

    fn is_below(&self, last: &Self) -> bool {
        self.stats.is_below(&last.stats)
            || self.passed < last.passed
            || self.failed < last.failed
            || self.went_up < last.went_up
            || self.went_down < last.went_down
    }
}

impl Tally for Histogram {
    fn add(&mut self, other: &Self) {
        *self = self.plus(other);
    }

    fn is_below(&self, last: &Self) -> bool {
        self.sum_ns < last.sum_ns || self.buckets.iter().zip(&last.buckets).any(|(now, before)| now < before)
    }
}

impl Tally for Process {
    fn add(&mut self, other: &Self) {
        self.lag.add(&other.lag);
        self.logged.add(&other.logged);
    }

    fn is_below(&self, last: &Self) -> bool {
        self.lag.is_below(&last.lag) || self.logged.is_below(&last.logged)
    }
}

/// The worst delay is of the moment.
impl Tally for VrrpTimes {
    fn add(&mut self, other: &Self) {
        self.advert_delay.add(&other.advert_delay);
        self.takeover.add(&other.takeover);
    }

    fn is_below(&self, last: &Self) -> bool {
        self.advert_delay.is_below(&last.advert_delay) || self.takeover.is_below(&last.takeover)
    }
}

impl Tally for CheckTimes {
    fn add(&mut self, other: &Self) {
        self.start_delay.add(&other.start_delay);
        for kind in &other.kinds {
            match self.kinds.iter_mut().find(|mine| mine.kind == kind.kind) {
                Some(mine) => mine.add(kind),
                None => self.kinds.push(kind.clone()),
            }
        }
    }

    /// A kind that is not there any more counts as well.
    fn is_below(&self, last: &Self) -> bool {
        let below = |last: &KindTimes| {
            let now = self.kinds.iter().find(|kind| kind.kind == last.kind);
            now.is_none_or(|now| now.is_below(last))
        };
        self.start_delay.is_below(&last.start_delay) || last.kinds.iter().any(below)
    }
}

impl Tally for KindTimes {
    fn add(&mut self, other: &Self) {
        self.took.add(&other.took);
        for (cause, count) in &other.failures {
            match self.failures.iter_mut().find(|(mine, _)| mine == cause) {
                Some((_, mine)) => *mine = mine.saturating_add(*count),
                None => self.failures.push((cause.clone(), *count)),
            }
        }
    }

    fn is_below(&self, last: &Self) -> bool {
        let below = |(cause, count): &(String, u64)| {
            self.failures.iter().find(|(now, _)| now == cause).is_none_or(|(_, now)| now < count)
        };
        self.took.is_below(&last.took) || last.failures.iter().any(below)
    }
}

#[cfg(test)]
mod tests;
