//! One consistent state, shared by whoever reads.

use std::any::Any;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use smallvec::SmallVec;

use crate::bus::bfd::BfdRow;
use crate::bus::msg::{ConfigGeneration, Generation, Source};
use crate::bus::rows::{
    AddressRow, GroupRow, InstanceRow, IpvsRow, RouteRow, RouterCounters, RuleRow, ServerRow, ServiceRow, SyncGroupRow,
    TrackedInterfaceRow, TrackerRow,
};
use crate::bus::timing::{CheckTimes, Pulse, VrrpTimes};
use crate::conf::model::{Global, GroupMember, InstanceName, Track};

/// The numbers of a row: what follows the column in the name of a variable.
pub type MibIndex = SmallVec<[u32; 4]>;

/// Everything known at one moment. Cheap to clone: parts that a batch did not touch are shared with the one before.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub vrrp: Arc<VrrpRows>,
    pub checks: Arc<CheckRows>,
    pub generations: Generations,
}

/// What the vrrp process said.
#[derive(Debug, Clone, Default)]
pub struct VrrpRows {
    pub settings: Settings,
    pub router: RouterCounters,
    pub instances: RowSet<InstanceRow>,
    pub addresses: RowSet<AddressRow>,
    /// Only rows whose interface exists: its number is part of the index.
    pub tracked_interfaces: RowSet<TrackedInterfaceRow>,
    pub sync_groups: RowSet<SyncGroupRow>,
    /// By the row of the group and the place in it, from 1.
    pub sync_members: RowSet<InstanceName>,
    pub sync_tracked_interfaces: RowSet<TrackedInterfaceRow>,
    pub scripts: RowSet<TrackerRow>,
    pub files: RowSet<TrackerRow>,
    pub processes: RowSet<TrackerRow>,
    pub bfds: RowSet<TrackerRow>,
    /// Every BFD session, also those that checkers alone use.
    pub sessions: RowSet<BfdRow>,
    /// What instances track, and what sync groups track.
    pub tracks: Tracks,
    pub sync_tracks: Tracks,
    pub routes: RowSet<RouteRow>,
    /// By the route's two numbers and the place among its next hops, from 1.
    pub next_hops: RowSet<Hop>,
    pub rules: RowSet<RuleRow>,
    /// Instances as the RFC modules number them: those that have an interface and advertise an address.
    pub rfc: RfcRows,
    /// `None` until the process has told of itself.
    pub pulse: Option<Arc<Pulse>>,
    pub times: Arc<VrrpTimes>,
}

/// By the owner's row and the place in its block, from 1.
#[derive(Debug, Clone, Default)]
pub struct Tracks {
    pub scripts: RowSet<Track>,
    pub files: RowSet<Track>,
    pub processes: RowSet<Track>,
    pub bfds: RowSet<Track>,
}

/// One next hop: where it stands, and in which route.
#[derive(Debug, Clone)]
pub struct Hop {
    pub route: Arc<RouteRow>,
    /// From 0.
    pub at: usize,
}

#[derive(Debug, Clone, Default)]
pub struct RfcRows {
    /// VRRPv2 over IPv4, by ifIndex and VRID (RFC 2787).
    pub v2: RowSet<InstanceRow>,
    /// By these and the four octets of the address.
    pub v2_addresses: RowSet<IpAddr>,
    /// Every version, by ifIndex, VRID and InetAddressType (RFC 6527).
    pub v3: RowSet<InstanceRow>,
    /// By these, the number of octets and the octets of the address.
    pub v3_addresses: RowSet<IpAddr>,
}

/// What the checks process said.
#[derive(Debug, Clone, Default)]
pub struct CheckRows {
    pub settings: Settings,
    pub groups: RowSet<GroupRow>,
    /// By the row of the group and the place in it, from 1.
    pub group_members: RowSet<GroupMember>,
    pub services: RowSet<ServiceRow>,
    /// By the row of the virtual server and the place in it.
    pub servers: RowSet<ServerRow>,
    pub ipvs: Arc<IpvsRow>,
    /// `None` until the process has told of itself.
    pub pulse: Option<Arc<Pulse>>,
    pub times: Arc<CheckTimes>,
}

/// Settings of the whole daemon, as one engine has them in force.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `None` until the first batch.
    pub global: Option<Arc<Global>>,
    /// Addressees of mails, numbered from 1.
    pub mail_to: RowSet<String>,
}

/// How old the parts of a snapshot are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Generations {
    pub vrrp: Age,
    pub checks: Age,
}

/// How old what one engine said is. Zero: nothing was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Age {
    pub generation: Generation,
    pub config: ConfigGeneration,
    /// Edges that the sender could not keep.
    pub edges_dropped: u64,
}

impl Generations {
    pub fn of(&self, source: Source) -> Age {
        match source {
            Source::Vrrp => self.vrrp,
            Source::Checks => self.checks,
        }
    }
}

impl Snapshot {
    /// The vrrp process's if there is one, else the checks process's.
    pub fn settings(&self) -> &Settings {
        if self.vrrp.settings.global.is_some() { &self.vrrp.settings } else { &self.checks.settings }
    }

    pub fn global(&self) -> Option<&Global> {
        self.settings().global.as_deref()
    }
}

/// Rows in the order of their index; a clone shares them.
#[derive(Debug)]
pub struct RowSet<R> {
    sorted: Arc<Vec<(MibIndex, Arc<R>)>>,
}

impl<R> Default for RowSet<R> {
    fn default() -> Self {
        RowSet { sorted: Arc::default() }
    }
}

impl<R> Clone for RowSet<R> {
    fn clone(&self) -> Self {
        RowSet { sorted: Arc::clone(&self.sorted) }
    }
}

impl<R> RowSet<R> {
    /// Of rows with the same index the first stays.
    pub fn new(rows: impl IntoIterator<Item = (MibIndex, Arc<R>)>) -> Self {
        let mut sorted: Vec<_> = rows.into_iter().collect();
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        sorted.dedup_by(|(a, _), (b, _)| a == b);
        RowSet { sorted: Arc::new(sorted) }
    }

    /// Puts `row` in the place of `before`; false if that is not what is shown there. Rows that readers of an older
    /// snapshot hold stay as they are.
    pub(super) fn replace(&mut self, index: &[u32], before: &Arc<R>, row: Arc<R>) -> bool {
        let Ok(at) = self.sorted.binary_search_by(|(have, _)| have.as_slice().cmp(index)) else { return false };
        if !self.sorted.get(at).is_some_and(|(_, shown)| Arc::ptr_eq(shown, before)) {
            return false;
        }
        if let Some((_, shown)) = Arc::make_mut(&mut self.sorted).get_mut(at) {
            *shown = row;
        }
        true
    }

    pub fn get(&self, index: &[u32]) -> Option<&Arc<R>> {
        let at = self.sorted.binary_search_by(|(have, _)| have.as_slice().cmp(index)).ok()?;
        self.sorted.get(at).map(|(_, row)| row)
    }

    /// The rows at and behind `index`; without the one at `index` itself unless `include`.
    pub fn from<'a>(&'a self, index: &[u32], include: bool) -> impl Iterator<Item = (&'a [u32], &'a R)> + use<'a, R> {
        let rows = self.sorted.get(self.position(index, include)..).unwrap_or_default();
        rows.iter().map(|(index, row)| (index.as_slice(), &**row))
    }

    /// Where the rows [`from`](Self::from) begin.
    pub fn position(&self, index: &[u32], include: bool) -> usize {
        self.sorted.partition_point(|(have, _)| match have.as_slice().cmp(index) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => !include,
            std::cmp::Ordering::Greater => false,
        })
    }

    /// The row at a place in the order.
    pub fn at(&self, position: usize) -> Option<(&[u32], &R)> {
        self.sorted.get(position).map(|(index, row)| (index.as_slice(), &**row))
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u32], &R)> {
        self.sorted.iter().map(|(index, row)| (index.as_slice(), &**row))
    }

    /// Shared, in the order of their index.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &Arc<R>> {
        self.sorted.iter().map(|(_, row)| row)
    }

    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }
}

impl<R: Send + Sync + 'static> RowSet<R> {
    /// Names these very rows for as long as it is kept, without keeping them.
    pub fn identity(&self) -> Identity {
        let rows: Weak<Vec<(MibIndex, Arc<R>)>> = Arc::downgrade(&self.sorted);
        Identity(Some(rows))
    }

    /// Whether `identity` was taken of these rows: none was replaced since, none came or went.
    pub fn is(&self, identity: &Identity) -> bool {
        let address = Arc::as_ptr(&self.sorted).cast::<()>();
        // The allocation cannot be another's while a weak reference holds it, and a change of rows that nobody else
        // shares (`Arc::make_mut`) leaves it, because of that reference.
        identity.0.as_ref().is_some_and(|rows| std::ptr::eq(rows.as_ptr().cast(), address))
    }
}

/// See [`RowSet::identity`]. By default that of no rows.
#[derive(Debug, Clone, Default)]
pub struct Identity(Option<Weak<dyn Any + Send + Sync>>);

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn rows(indexes: &[&[u32]]) -> RowSet<usize> {
        RowSet::new(indexes.iter().enumerate().map(|(n, index)| (MibIndex::from_slice(index), Arc::new(n))))
    }

    #[test]
    fn rows_are_found_and_followed_in_the_order_of_their_index_whatever_order_they_came_in() {
        let rows = rows(&[&[2, 1], &[1, 10], &[1, 9]]);
        assert_eq!(rows.get(&[1, 10]).map(|row| **row), Some(1));
        assert_eq!(rows.get(&[1]), None);
        let after = |index: &[u32], include| rows.from(index, include).map(|(_, n)| *n).collect::<Vec<_>>();
        assert_eq!(after(&[], false), [2, 1, 0]);
        assert_eq!(after(&[1, 9], false), [1, 0]);
        assert_eq!(after(&[1, 9], true), [2, 1, 0]);
        assert_eq!(after(&[1, 9, 5], true), [1, 0]);
        assert_eq!(after(&[3], true), [0; 0]);
    }

    #[test]
    fn an_identity_is_lost_with_the_first_change_whether_somebody_else_holds_the_rows_or_not() {
        for held in [false, true] {
            let mut rows = rows(&[&[1], &[2]]);
            let before = rows.clone();
            let identity = rows.identity();
            assert!(rows.is(&identity) && before.is(&identity) && !rows.is(&Identity::default()));
            let before = held.then_some(before);
            let row = Arc::clone(rows.get(&[2]).unwrap());
            assert!(rows.replace(&[2], &row, Arc::new(7)));
            assert!(!rows.is(&identity));
            assert!(before.is_none_or(|before| before.is(&identity)));
            assert!(rows.is(&rows.identity()));
        }
    }

    #[test]
    fn two_rows_with_one_index_show_the_first() {
        let rows = RowSet::new([(smallvec![1], Arc::new("first")), (smallvec![1], Arc::new("second"))]);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows.get(&[1]).map(|row| **row), Some("first"));
    }
}
