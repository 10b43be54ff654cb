//! Frames to snapshots.
//!
//! A batch is only collected until its Commit. Then rows that keep their index are put in the place of the old ones,
//! which costs what changed and not what is there; only a kind whose indexes changed is sorted again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use smallvec::smallvec;

use super::derived;
use super::journal::{Journal, Numbered};
use super::ledger::{Bases, Ledger};
use super::snapshot::{Age, CheckRows, Generations, MibIndex, RowSet, Settings, Snapshot, VrrpRows};
use crate::bus::bfd::BfdRow;
use crate::bus::msg::{ConfigGeneration, Edge, Feed, Generation, Source};
use crate::bus::rows::{
    AddressRow, GroupRow, InstanceRow, IpvsRow, RouteRow, RouterCounters, Row, RowKey, RuleRow, ServerRow, ServiceRow,
    SyncGroupRow, TrackedInterfaceRow, TrackerRow,
};
use crate::conf::model::{Global, TrackerKind};

/// What one frame changed.
#[derive(Debug)]
pub enum Applied {
    /// The batch goes on.
    Staged,
    /// Thrown away: the store waits for a full batch.
    Ignored,
    /// A new snapshot is there, and these things happened on the way to it, in order.
    Committed { generation: Generation, edges: Vec<Arc<Edge>> },
}

/// Frames do not follow from each other: ask the sender for a full batch. Until it begins, what was last committed
/// stays in force and frames are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Resync {
    #[error("a batch began inside another one")]
    BeginInBatch,
    #[error("a row or a commit came outside of a batch")]
    NoBatch,
    #[error("generation {got} cannot follow generation {have}")]
    Gap { have: Generation, got: Generation },
    #[error("the row does not belong to its key")]
    WrongRow,
}

/// What the bridge knows: a part from each engine process.
#[derive(Debug, Default)]
pub struct Store {
    vrrp: Part<Vrrp>,
    checks: Part<Checks>,
    snapshot: Arc<Snapshot>,
    journal: Journal,
    ledger: Ledger,
    edges_lost: u64,
}

/// What came from one engine, and how far its frames are.
#[derive(Debug, Default)]
struct Part<K> {
    kinds: K,
    batch: Option<Batch>,
    /// Set by an error: only a full batch is taken.
    lost: bool,
}

#[derive(Debug)]
struct Batch {
    generation: Generation,
    config: ConfigGeneration,
    full: bool,
    /// In the order they came; `None`: gone.
    rows: Vec<(RowKey, Option<Row>)>,
    edges: VecDeque<Edge>,
}

/// The kinds of rows that one engine sends.
trait Kinds: Default {
    /// Its part of a snapshot.
    type Shown: Default + Clone;

    fn owns(key: &RowKey) -> bool;
    fn put(&mut self, shown: &mut Self::Shown, key: RowKey, row: Row);
    fn remove(&mut self, shown: &mut Self::Shown, key: &RowKey);
    /// Sorts what must be sorted again.
    fn finish(&mut self, shown: &mut Self::Shown);

    fn apply(&mut self, shown: &mut Arc<Self::Shown>, full: bool, rows: Vec<(RowKey, Option<Row>)>) {
        if full {
            *self = Self::default();
            *shown = Arc::default();
        }
        let shown = Arc::make_mut(shown);
        for (key, row) in rows {
            match row {
                Some(row) => self.put(shown, key, row),
                None => self.remove(shown, &key),
            }
        }
        self.finish(shown);
    }
}

#[derive(Debug, Default)]
struct Vrrp {
    instances: Kind<InstanceRow>,
    addresses: Kind<AddressRow>,
    tracked_interfaces: Kind<TrackedInterfaceRow>,
    sync_groups: Kind<SyncGroupRow>,
    sync_tracked_interfaces: Kind<TrackedInterfaceRow>,
    scripts: Kind<TrackerRow>,
    files: Kind<TrackerRow>,
    processes: Kind<TrackerRow>,
    bfds: Kind<TrackerRow>,
    sessions: Kind<BfdRow>,
    routes: Kind<RouteRow>,
    rules: Kind<RuleRow>,
    /// An instance's row came: what the RFC modules show of it must follow.
    instances_touched: bool,
    /// So did one whose addresses, numbers or tracks changed.
    instances_reshaped: bool,
}

impl Vrrp {
    fn trackers(&mut self, kind: TrackerKind) -> &mut Kind<TrackerRow> {
        match kind {
            TrackerKind::Script => &mut self.scripts,
            TrackerKind::File => &mut self.files,
            TrackerKind::Process => &mut self.processes,
            TrackerKind::Bfd => &mut self.bfds,
        }
    }
}

#[derive(Debug, Default)]
struct Checks {
    groups: Kind<GroupRow>,
    services: Kind<ServiceRow>,
    servers: Kind<ServerRow>,
}

impl Store {
    /// As many as an engine's ring holds; more cannot come honestly in one batch.
    const EDGES_MAX: usize = 3600;

    pub fn new() -> Self {
        Store::default()
    }

    /// What was last committed. Before the first batch it is empty.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The last edges, for whoever wants to keep them a while.
    pub fn events(&mut self) -> Arc<Numbered> {
        self.journal.all()
    }

    /// What was counted before the rows of this snapshot.
    pub fn bases(&self) -> Arc<Bases> {
        self.ledger.bases()
    }

    /// Edges that did not fit a batch.
    pub fn edges_lost(&self) -> u64 {
        self.edges_lost
    }

    /// The sender is a new process: the next batch must be a full one, and what it counts begins at zero. What is known stays
    /// readable until then.
    pub fn expect_process(&mut self, source: Source) {
        self.expect_resync(source);
        self.ledger.expect_process(source);
    }

    /// The sender was asked to begin anew: the next batch must be a full one. What is known stays readable until then.
    pub fn expect_resync(&mut self, source: Source) {
        match source {
            Source::Vrrp => self.vrrp.expect_resync(),
            Source::Checks => self.checks.expect_resync(),
        }
    }

    /// There is no such process any more, and none is expected: what it said is gone.
    pub fn forget(&mut self, source: Source) {
        self.ledger.forget(source);
        let snapshot = Arc::make_mut(&mut self.snapshot);
        match source {
            Source::Vrrp => {
                self.vrrp = Part::default();
                snapshot.vrrp = Arc::default();
                snapshot.generations.vrrp = Age::default();
            }
            Source::Checks => {
                self.checks = Part::default();
                snapshot.checks = Arc::default();
                snapshot.generations.checks = Age::default();
            }
        }
    }

    /// Takes the next frame. An error says that the sender must be asked for a full batch; it is returned once.
    pub fn apply(&mut self, source: Source, frame: Feed) -> Result<Applied, Resync> {
        let Generations { vrrp, checks } = self.snapshot.generations;
        let taken = match source {
            Source::Vrrp => self.vrrp.take(frame, vrrp.generation, &mut self.edges_lost)?,
            Source::Checks => self.checks.take(frame, checks.generation, &mut self.edges_lost)?,
        };
        let (batch, edges_dropped) = match taken {
            Taken::Staged => return Ok(Applied::Staged),
            Taken::Ignored => return Ok(Applied::Ignored),
            Taken::Commit(batch, edges_dropped) => (batch, edges_dropped),
        };
        let Batch { generation, config, full, rows, edges } = batch;
        let age = Age { generation, config, edges_dropped };
        self.ledger.hear(source, config, full, &rows);
        // Whoever holds the last snapshot keeps it as it is; if nobody does, nothing is copied.
        let snapshot = Arc::make_mut(&mut self.snapshot);
        match source {
            Source::Vrrp => {
                self.vrrp.kinds.apply(&mut snapshot.vrrp, full, rows);
                snapshot.generations.vrrp = age;
            }
            Source::Checks => {
                self.checks.kinds.apply(&mut snapshot.checks, full, rows);
                snapshot.generations.checks = age;
            }
        }
        let edges: Vec<Arc<Edge>> = edges.into_iter().map(Arc::new).collect();
        edges.iter().for_each(|edge| self.journal.push(Arc::clone(edge)));
        Ok(Applied::Committed { generation, edges })
    }
}

enum Taken {
    Staged,
    Ignored,
    Commit(Batch, u64),
}

impl<K: Kinds> Part<K> {
    fn expect_resync(&mut self) {
        self.batch = None;
        self.lost = true;
    }

    fn take(&mut self, frame: Feed, have: Generation, edges_lost: &mut u64) -> Result<Taken, Resync> {
        let full_begin = matches!(frame, Feed::Begin { full: true, .. });
        if self.lost && !full_begin {
            return Ok(Taken::Ignored);
        }
        let result = self.stage(frame, have, edges_lost);
        if result.is_err() {
            self.expect_resync();
        }
        result
    }

    fn stage(&mut self, frame: Feed, have: Generation, edges_lost: &mut u64) -> Result<Taken, Resync> {
        if let Feed::Begin { generation, config, full } = frame {
            return self.begin(generation, config, full, have);
        }
        if let Feed::Commit { edges_dropped } = frame {
            return Ok(Taken::Commit(self.batch.take().ok_or(Resync::NoBatch)?, edges_dropped));
        }
        let batch = self.batch.as_mut().ok_or(Resync::NoBatch)?;
        match frame {
            Feed::Row(key, row) if K::owns(&key) && fits(&key, &row) => batch.rows.push((key, Some(row))),
            Feed::Gone(key) if K::owns(&key) => batch.rows.push((key, None)),
            Feed::Edge(edge) => {
                if batch.edges.len() == Store::EDGES_MAX {
                    batch.edges.pop_front();
                    *edges_lost += 1;
                }
                batch.edges.push_back(edge);
            }
            Feed::Row(..) | Feed::Gone(_) | Feed::Begin { .. } | Feed::Commit { .. } => return Err(Resync::WrongRow),
        }
        Ok(Taken::Staged)
    }

    fn begin(
        &mut self,
        generation: Generation,
        config: ConfigGeneration,
        full: bool,
        have: Generation,
    ) -> Result<Taken, Resync> {
        // A full batch begins anew wherever the sender was: that is what it is for.
        if self.batch.is_some() && !full {
            return Err(Resync::BeginInBatch);
        }
        if !full && (have == 0 || Some(generation) != have.checked_add(1)) {
            return Err(Resync::Gap { have, got: generation });
        }
        self.lost = false;
        self.batch = Some(Batch { generation, config, full, rows: vec![], edges: VecDeque::new() });
        Ok(Taken::Staged)
    }
}

/// Whether the row is of the key's kind.
fn fits(key: &RowKey, row: &Row) -> bool {
    match key {
        RowKey::Global => matches!(row, Row::Global(_)),
        RowKey::Router => matches!(row, Row::Router(_)),
        RowKey::Instance(_) => matches!(row, Row::Instance(_)),
        RowKey::Address { .. } => matches!(row, Row::Address(_)),
        RowKey::TrackedInterface { .. } => matches!(row, Row::TrackedInterface(_)),
        RowKey::SyncGroup(_) => matches!(row, Row::SyncGroup(_)),
        RowKey::SyncTrackedInterface { .. } => matches!(row, Row::SyncTrackedInterface(_)),
        RowKey::Tracker(kind, _) => matches!(row, Row::Tracker(row) if row.config.kind() == *kind),
        RowKey::Bfd(_) => matches!(row, Row::Bfd(_)),
        RowKey::Route { .. } => matches!(row, Row::Route(_)),
        RowKey::Rule { .. } => matches!(row, Row::Rule(_)),
        RowKey::Group(_) => matches!(row, Row::Group(_)),
        RowKey::Service(_) => matches!(row, Row::Service(_)),
        RowKey::Server(_) => matches!(row, Row::Server(_)),
        RowKey::Ipvs => matches!(row, Row::Ipvs(_)),
        RowKey::Pulse => matches!(row, Row::Pulse(_)),
        RowKey::VrrpTimes => matches!(row, Row::VrrpTimes(_)),
        RowKey::CheckTimes => matches!(row, Row::CheckTimes(_)),
    }
}

impl Kinds for Vrrp {
    type Shown = VrrpRows;

    fn owns(key: &RowKey) -> bool {
        !matches!(key, RowKey::Group(_) | RowKey::Service(_) | RowKey::Server(_) | RowKey::Ipvs | RowKey::CheckTimes)
    }

    fn put(&mut self, shown: &mut VrrpRows, key: RowKey, row: Row) {
        match row {
            Row::Global(global) => shown.settings = Settings::new(*global),
            Row::Router(router) => shown.router = router,
            Row::Instance(row) => {
                let row: Arc<InstanceRow> = Arc::from(row);
                self.instances_touched = true;
                self.instances_reshaped |=
                    self.instances.by_key.get(&key).is_none_or(|before| !derived::same_shape(before, &row));
                self.instances.put(&mut shown.instances, key, row);
            }
            Row::Address(row) => self.addresses.put(&mut shown.addresses, key, Arc::from(row)),
            Row::TrackedInterface(row) => {
                self.tracked_interfaces.put(&mut shown.tracked_interfaces, key, Arc::new(row));
            }
            Row::SyncGroup(row) => {
                self.sync_groups.put(&mut shown.sync_groups, key, Arc::from(row));
                // What is derived from them follows; there are few.
                self.sync_groups.stale = true;
            }
            Row::SyncTrackedInterface(row) => {
                self.sync_tracked_interfaces.put(&mut shown.sync_tracked_interfaces, key, Arc::new(row));
            }
            Row::Tracker(row) => {
                let kind = row.config.kind();
                let set = match kind {
                    TrackerKind::Script => &mut shown.scripts,
                    TrackerKind::File => &mut shown.files,
                    TrackerKind::Process => &mut shown.processes,
                    TrackerKind::Bfd => &mut shown.bfds,
                };
                self.trackers(kind).put(set, key, Arc::from(row));
            }
            Row::Bfd(row) => self.sessions.put(&mut shown.sessions, key, Arc::from(row)),
            Row::Route(row) => {
                self.routes.put(&mut shown.routes, key, Arc::from(row));
                // Routes change seldom, and their next hops with them.
                self.routes.stale = true;
            }
            Row::Rule(row) => self.rules.put(&mut shown.rules, key, Arc::from(row)),
            Row::Pulse(pulse) => shown.pulse = Some(Arc::from(pulse)),
            Row::VrrpTimes(times) => shown.times = Arc::from(times),
            Row::Group(_) | Row::Service(_) | Row::Server(_) | Row::Ipvs(_) | Row::CheckTimes(_) => {}
        }
    }

    fn remove(&mut self, shown: &mut VrrpRows, key: &RowKey) {
        match key {
            RowKey::Global => shown.settings = Settings::default(),
            RowKey::Router => shown.router = RouterCounters::default(),
            RowKey::Instance(_) => {
                (self.instances_touched, self.instances_reshaped) = (true, true);
                self.instances.remove(key);
            }
            RowKey::Address { .. } => self.addresses.remove(key),
            RowKey::TrackedInterface { .. } => self.tracked_interfaces.remove(key),
            RowKey::SyncGroup(_) => self.sync_groups.remove(key),
            RowKey::SyncTrackedInterface { .. } => self.sync_tracked_interfaces.remove(key),
            RowKey::Tracker(kind, _) => self.trackers(*kind).remove(key),
            RowKey::Bfd(_) => self.sessions.remove(key),
            RowKey::Route { .. } => self.routes.remove(key),
            RowKey::Rule { .. } => self.rules.remove(key),
            RowKey::Pulse => shown.pulse = None,
            RowKey::VrrpTimes => shown.times = Arc::default(),
            RowKey::Group(_) | RowKey::Service(_) | RowKey::Server(_) | RowKey::Ipvs | RowKey::CheckTimes => {}
        }
    }

    fn finish(&mut self, shown: &mut VrrpRows) {
        self.instances.finish(&mut shown.instances);
        self.addresses.finish(&mut shown.addresses);
        self.tracked_interfaces.finish(&mut shown.tracked_interfaces);
        if self.sync_groups.finish(&mut shown.sync_groups) {
            (shown.sync_members, shown.sync_tracks) = derived::of_groups(&shown.sync_groups);
        }
        self.sync_tracked_interfaces.finish(&mut shown.sync_tracked_interfaces);
        self.scripts.finish(&mut shown.scripts);
        self.files.finish(&mut shown.files);
        self.processes.finish(&mut shown.processes);
        self.bfds.finish(&mut shown.bfds);
        self.sessions.finish(&mut shown.sessions);
        if self.routes.finish(&mut shown.routes) {
            shown.next_hops = derived::next_hops(&shown.routes);
        }
        self.rules.finish(&mut shown.rules);
        if std::mem::take(&mut self.instances_touched) {
            derived::rfc_rows(&mut shown.rfc, &shown.instances);
        }
        if std::mem::take(&mut self.instances_reshaped) {
            derived::rfc_addresses(&mut shown.rfc);
            shown.tracks = derived::tracks(shown.instances.iter().map(|(_, row)| (row.index, &*row.config.tracks)));
        }
    }
}

impl Kinds for Checks {
    type Shown = CheckRows;

    fn owns(key: &RowKey) -> bool {
        matches!(
            key,
            RowKey::Global
                | RowKey::Group(_)
                | RowKey::Service(_)
                | RowKey::Server(_)
                | RowKey::Ipvs
                | RowKey::Pulse
                | RowKey::CheckTimes
        )
    }

    fn put(&mut self, shown: &mut CheckRows, key: RowKey, row: Row) {
        match row {
            Row::Global(global) => shown.settings = Settings::new(*global),
            Row::Group(row) => {
                self.groups.put(&mut shown.groups, key, Arc::from(row));
                // Groups change with the configuration only; their members go with them.
                self.groups.stale = true;
            }
            Row::Service(row) => self.services.put(&mut shown.services, key, Arc::from(row)),
            Row::Server(row) => self.servers.put(&mut shown.servers, key, Arc::from(row)),
            Row::Ipvs(row) => shown.ipvs = Arc::from(row),
            Row::Pulse(pulse) => shown.pulse = Some(Arc::from(pulse)),
            Row::CheckTimes(times) => shown.times = Arc::from(times),
            Row::VrrpTimes(_)
            | Row::Router(_)
            | Row::Instance(_)
            | Row::Address(_)
            | Row::TrackedInterface(_)
            | Row::SyncGroup(_)
            | Row::SyncTrackedInterface(_)
            | Row::Tracker(_)
            | Row::Bfd(_)
            | Row::Route(_)
            | Row::Rule(_) => {}
        }
    }

    fn remove(&mut self, shown: &mut CheckRows, key: &RowKey) {
        match key {
            RowKey::Global => shown.settings = Settings::default(),
            RowKey::Group(_) => self.groups.remove(key),
            RowKey::Service(_) => self.services.remove(key),
            RowKey::Server(_) => self.servers.remove(key),
            RowKey::Ipvs => shown.ipvs = Arc::new(IpvsRow::default()),
            RowKey::Pulse => shown.pulse = None,
            RowKey::CheckTimes => shown.times = Arc::default(),
            RowKey::VrrpTimes
            | RowKey::Router
            | RowKey::Instance(_)
            | RowKey::Address { .. }
            | RowKey::TrackedInterface { .. }
            | RowKey::SyncGroup(_)
            | RowKey::SyncTrackedInterface { .. }
            | RowKey::Tracker(..)
            | RowKey::Bfd(_)
            | RowKey::Route { .. }
            | RowKey::Rule { .. } => {}
        }
    }

    fn finish(&mut self, shown: &mut CheckRows) {
        if self.groups.finish(&mut shown.groups) {
            shown.group_members = RowSet::new(shown.groups.iter().flat_map(|(_, group)| {
                let members = (1..).zip(&group.config.members);
                members.map(|(place, member)| (smallvec![group.index, place], Arc::new(member.clone())))
            }));
        }
        self.services.finish(&mut shown.services);
        self.servers.finish(&mut shown.servers);
    }
}

impl Settings {
    fn new(global: Global) -> Settings {
        let to = (1..).zip(&global.mail.to);
        let mail_to = RowSet::new(to.map(|(n, to)| (smallvec![n], Arc::new(to.clone()))));
        Settings { global: Some(Arc::new(global)), mail_to }
    }
}

/// Where readers find a row; `None` if they do not.
trait Indexed {
    fn index(&self) -> Option<MibIndex>;
}

/// Rows of one kind by their keys; shared with the [`RowSet`] that readers see.
#[derive(Debug)]
struct Kind<R> {
    by_key: HashMap<RowKey, Arc<R>>,
    /// Rows came, went or moved: the set must be made anew.
    stale: bool,
}

impl<R> Default for Kind<R> {
    fn default() -> Self {
        Kind { by_key: HashMap::new(), stale: false }
    }
}

impl<R: Indexed> Kind<R> {
    fn put(&mut self, shown: &mut RowSet<R>, key: RowKey, row: Arc<R>) {
        let before = self.by_key.insert(key, Arc::clone(&row));
        if self.stale {
            return;
        }
        let was = before.as_ref().and_then(|before| before.index());
        self.stale = match (row.index(), before) {
            (Some(index), Some(before)) if was.as_ref() == Some(&index) => !shown.replace(&index, &before, row),
            (index, _) => index != was,
        };
    }

    fn remove(&mut self, key: &RowKey) {
        self.stale |= self.by_key.remove(key).is_some_and(|row| row.index().is_some());
    }

    /// Whether the set was made anew.
    fn finish(&mut self, shown: &mut RowSet<R>) -> bool {
        let stale = std::mem::take(&mut self.stale);
        if stale {
            let mut rows: Vec<_> = self.by_key.iter().filter_map(|(key, row)| Some((row.index()?, key, row))).collect();
            // Of two rows that claim one index, the same is shown each time.
            rows.sort_unstable_by(|(a, a_key, _), (b, b_key, _)| a.cmp(b).then_with(|| a_key.cmp(b_key)));
            *shown = RowSet::new(rows.into_iter().map(|(index, _, row)| (index, Arc::clone(row))));
        }
        stale
    }
}

impl Indexed for InstanceRow {
    fn index(&self) -> Option<MibIndex> {
        Some(smallvec![self.index])
    }
}

impl Indexed for AddressRow {
    fn index(&self) -> Option<MibIndex> {
        Some(smallvec![self.owner_index, self.position])
    }
}

impl Indexed for TrackedInterfaceRow {
    fn index(&self) -> Option<MibIndex> {
        Some(smallvec![self.owner_index, self.interface_index?])
    }
}

impl Indexed for SyncGroupRow {
    fn index(&self) -> Option<MibIndex> {
        Some(smallvec![self.index])
    }
}

impl Indexed for TrackerRow {
    fn index(&self) -> Option<MibIndex> {
        Some(smallvec![self.index])
    }
}

impl Indexed for BfdRow {
    fn index(&self) -> Option<MibIndex> {
        Some(smallvec![self.index])
    }
}

impl Indexed for RouteRow {
    fn index(&self) -> Option<MibIndex> {
        Some(smallvec![self.owner_index, self.position])
    }
}

impl Indexed for RuleRow {
    fn index(&self) -> Option<MibIndex> {
        Some(smallvec![self.owner_index, self.position])
    }
}

impl Indexed for GroupRow {
    fn index(&self) -> Option<MibIndex> {
        Some(smallvec![self.index])
    }
}

impl Indexed for ServiceRow {
    fn index(&self) -> Option<MibIndex> {
        Some(smallvec![self.index])
    }
}

impl Indexed for ServerRow {
    fn index(&self) -> Option<MibIndex> {
        Some(smallvec![self.service_index, self.index])
    }
}

#[cfg(test)]
mod tests;
