//! Frames to snapshots.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use smallvec::smallvec;

use super::journal::Journal;
use super::snapshot::{Generations, RowSet, Snapshot, VrrpRows};
use crate::bus::msg::{ConfigGeneration, Edge, Feed, Generation};
use crate::bus::rows::{AddressRow, InstanceRow, RouterCounters, Row, RowKey, TrackedInterfaceRow};
use crate::conf::model::Global;

/// What one frame changed.
#[derive(Debug)]
pub enum Applied {
    /// The batch goes on.
    Staged,
    /// Thrown away: the store waits for a full batch.
    Ignored,
    /// A new snapshot is there, and these things happened on the way to it, in order.
    Committed { generation: Generation, edges: Vec<Edge> },
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

/// The vrrp process's part of what the bridge knows.
#[derive(Debug, Default)]
pub struct Store {
    committed: Rows,
    batch: Option<Batch>,
    /// Set by an error: only a full batch is taken.
    lost: bool,
    snapshot: Arc<Snapshot>,
    journal: Journal,
    edges_lost: u64,
}

#[derive(Debug)]
struct Batch {
    generation: Generation,
    config: ConfigGeneration,
    rows: Rows,
    edges: VecDeque<Edge>,
}

/// Rows by key, and which kinds differ from the last snapshot. The rows themselves are shared with it.
#[derive(Debug, Clone, Default)]
struct Rows {
    global: Option<Arc<Global>>,
    router: RouterCounters,
    instances: BTreeMap<RowKey, Arc<InstanceRow>>,
    addresses: BTreeMap<RowKey, Arc<AddressRow>>,
    tracked_interfaces: BTreeMap<RowKey, Arc<TrackedInterfaceRow>>,
    changed: Changed,
}

#[derive(Debug, Clone, Copy, Default)]
struct Changed {
    global: bool,
    instances: bool,
    addresses: bool,
    tracked_interfaces: bool,
}

impl Changed {
    const ALL: Changed = Changed { global: true, instances: true, addresses: true, tracked_interfaces: true };
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

    /// Edges that did not fit a batch.
    pub fn edges_lost(&self) -> u64 {
        self.edges_lost
    }

    /// The sender is a new process or has a new socket: the next batch must be a full one. What is known stays
    /// readable until then.
    pub fn expect_resync(&mut self) {
        self.batch = None;
        self.lost = true;
    }

    /// Takes the next frame. An error says that the sender must be asked for a full batch; it is returned once.
    pub fn apply(&mut self, frame: Feed) -> Result<Applied, Resync> {
        let full_begin = matches!(frame, Feed::Begin { full: true, .. });
        if self.lost && !full_begin {
            return Ok(Applied::Ignored);
        }
        let result = self.take(frame);
        if result.is_err() {
            self.expect_resync();
        }
        result
    }

    fn take(&mut self, frame: Feed) -> Result<Applied, Resync> {
        match frame {
            Feed::Begin { generation, config, full } => self.begin(generation, config, full),
            Feed::Commit { edges_dropped } => self.commit(edges_dropped),
            Feed::Row(key, row) => {
                self.batch.as_mut().ok_or(Resync::NoBatch)?.rows.put(key, row)?;
                Ok(Applied::Staged)
            }
            Feed::Gone(key) => {
                self.batch.as_mut().ok_or(Resync::NoBatch)?.rows.remove(&key);
                Ok(Applied::Staged)
            }
            Feed::Edge(edge) => {
                let edges = &mut self.batch.as_mut().ok_or(Resync::NoBatch)?.edges;
                if edges.len() == Self::EDGES_MAX {
                    edges.pop_front();
                    self.edges_lost += 1;
                }
                edges.push_back(edge);
                Ok(Applied::Staged)
            }
        }
    }

    fn begin(&mut self, generation: Generation, config: ConfigGeneration, full: bool) -> Result<Applied, Resync> {
        // A full batch begins anew wherever the sender was: that is what it is for.
        if self.batch.is_some() && !full {
            return Err(Resync::BeginInBatch);
        }
        let have = self.snapshot.generations.vrrp;
        if !full && (have == 0 || Some(generation) != have.checked_add(1)) {
            return Err(Resync::Gap { have, got: generation });
        }
        let rows =
            if full { Rows { changed: Changed::ALL, ..Rows::default() } } else { std::mem::take(&mut self.committed) };
        self.lost = false;
        self.batch = Some(Batch { generation, config, rows, edges: VecDeque::new() });
        Ok(Applied::Staged)
    }

    fn commit(&mut self, edges_dropped: u64) -> Result<Applied, Resync> {
        let Batch { generation, config, mut rows, edges } = self.batch.take().ok_or(Resync::NoBatch)?;
        let generations = Generations { vrrp: generation, config, edges_dropped };
        self.snapshot = Arc::new(Snapshot { vrrp: Arc::new(rows.publish(&self.snapshot.vrrp)), generations });
        self.committed = rows;
        edges.iter().cloned().for_each(|edge| self.journal.push(edge));
        Ok(Applied::Committed { generation, edges: edges.into() })
    }
}

impl Rows {
    fn put(&mut self, key: RowKey, row: Row) -> Result<(), Resync> {
        match (&key, row) {
            (RowKey::Global, Row::Global(global)) => {
                self.global = Some(Arc::from(global));
                self.changed.global = true;
            }
            (RowKey::Router, Row::Router(router)) => self.router = router,
            (RowKey::Instance(_), Row::Instance(row)) => {
                self.instances.insert(key, Arc::from(row));
                self.changed.instances = true;
            }
            (RowKey::Address { .. }, Row::Address(row)) => {
                self.addresses.insert(key, Arc::from(row));
                self.changed.addresses = true;
            }
            (RowKey::TrackedInterface { .. }, Row::TrackedInterface(row)) => {
                self.tracked_interfaces.insert(key, Arc::new(row));
                self.changed.tracked_interfaces = true;
            }
            _ => return Err(Resync::WrongRow),
        }
        Ok(())
    }

    fn remove(&mut self, key: &RowKey) {
        match key {
            RowKey::Global => {
                self.global = None;
                self.changed.global = true;
            }
            RowKey::Router => self.router = RouterCounters::default(),
            RowKey::Instance(_) => self.changed.instances |= self.instances.remove(key).is_some(),
            RowKey::Address { .. } => self.changed.addresses |= self.addresses.remove(key).is_some(),
            RowKey::TrackedInterface { .. } => {
                self.changed.tracked_interfaces |= self.tracked_interfaces.remove(key).is_some();
            }
            RowKey::Group(_) | RowKey::Service(_) | RowKey::Server(_) | RowKey::Ipvs => {}
        }
    }

    /// The rows as readers want them; kinds that did not change are taken from `last`.
    fn publish(&mut self, last: &VrrpRows) -> VrrpRows {
        let changed = std::mem::take(&mut self.changed);
        let mut rows = last.clone();
        rows.router = self.router;
        if changed.global {
            rows.global.clone_from(&self.global);
            let to = self.global.iter().flat_map(|global| &global.mail.to);
            rows.mail_to = RowSet::new((1..).zip(to).map(|(n, to)| (smallvec![n], Arc::new(to.clone()))));
        }
        if changed.instances {
            rows.instances = RowSet::new(self.instances.values().map(|row| (smallvec![row.index], Arc::clone(row))));
        }
        if changed.addresses {
            let index = |row: &AddressRow| smallvec![row.owner_index, row.position];
            rows.addresses = RowSet::new(self.addresses.values().map(|row| (index(row), Arc::clone(row))));
        }
        if changed.tracked_interfaces {
            rows.tracked_interfaces = RowSet::new(
                self.tracked_interfaces
                    .values()
                    .filter_map(|row| Some((smallvec![row.instance_index, row.interface_index?], Arc::clone(row)))),
            );
        }
        rows
    }
}

#[cfg(test)]
mod tests;
