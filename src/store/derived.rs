//! Row sets that follow from others: members, tracks and next hops by their places, instances as the RFC modules see them.

use std::net::IpAddr;
use std::sync::Arc;

use smallvec::smallvec;

use super::snapshot::{Hop, MibIndex, RfcRows, RowSet, Tracks};
use crate::bus::rows::{InstanceRow, RouteRow, SyncGroupRow};
use crate::conf::model::{Family, InstanceName, Track, TrackerKind, Version};

/// Whether everything but the values of columns is the same: nothing that follows from it must be made again.
pub(super) fn same_shape(a: &InstanceRow, b: &InstanceRow) -> bool {
    let shape =
        |row: &InstanceRow| (row.index, row.interface_index, row.config.vrid, row.config.family, row.config.version);
    shape(a) == shape(b) && a.advertised == b.advertised && a.config.tracks == b.config.tracks
}

/// Members and tracks of sync groups.
pub(super) fn of_groups(groups: &RowSet<SyncGroupRow>) -> (RowSet<InstanceName>, Tracks) {
    let members = groups.iter().flat_map(|(_, group)| {
        let members = (1..).zip(&group.config.members);
        members.map(|(place, member)| (smallvec![group.index, place], Arc::new(member.clone())))
    });
    let tracks = tracks(groups.iter().map(|(_, group)| (group.index, &*group.config.tracks)));
    (RowSet::new(members), tracks)
}

/// Each kind is numbered on its own.
pub(super) fn tracks<'a>(owners: impl Iterator<Item = (u32, &'a [Track])>) -> Tracks {
    let owners: Vec<_> = owners.filter(|(_, tracks)| !tracks.is_empty()).collect();
    let of = |kind: TrackerKind| {
        RowSet::new(owners.iter().flat_map(move |&(owner, tracks)| {
            let of_kind = (1..).zip(tracks.iter().filter(move |track| track.kind == kind));
            of_kind.map(move |(place, track)| (smallvec![owner, place], Arc::new(track.clone())))
        }))
    };
    Tracks {
        scripts: of(TrackerKind::Script),
        files: of(TrackerKind::File),
        processes: of(TrackerKind::Process),
        bfds: of(TrackerKind::Bfd),
    }
}

pub(super) fn next_hops(routes: &RowSet<RouteRow>) -> RowSet<Hop> {
    RowSet::new(routes.rows().flat_map(|route| {
        (0..route.config.hops.len()).map(|at| {
            let place = u32::try_from(at + 1).unwrap_or(u32::MAX);
            let index = smallvec![route.owner_index, route.position, place];
            (index, Arc::new(Hop { route: Arc::clone(route), at }))
        })
    }))
}

/// A row that has no interface or advertises nothing has no number there.
pub(super) fn rfc_rows(rfc: &mut RfcRows, instances: &RowSet<InstanceRow>) {
    let shown = || instances.rows().filter(|row| !row.advertised.is_empty());
    rfc.v3 = RowSet::new(shown().filter_map(|row| Some((v3_index(row)?, Arc::clone(row)))));
    let v2 = |row: &&Arc<InstanceRow>| row.config.version == Version::V2 && row.config.family == Family::V4;
    rfc.v2 = RowSet::new(shown().filter(v2).filter_map(|row| Some((v2_index(row)?, Arc::clone(row)))));
}

/// After [`rfc_rows`].
pub(super) fn rfc_addresses(rfc: &mut RfcRows) {
    let below = |index: &[u32], address: &IpAddr, length: bool| {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let mut index = MibIndex::from_slice(index);
        index.extend(length.then_some(octets.len() as u32));
        index.extend(octets.into_iter().map(u32::from));
        (index, Arc::new(*address))
    };
    let of = |rows: &RowSet<InstanceRow>, length: bool| {
        RowSet::new(
            rows.iter()
                .flat_map(|(index, row)| row.advertised.iter().map(move |address| below(index, address, length))),
        )
    };
    rfc.v2_addresses = of(&rfc.v2, false);
    rfc.v3_addresses = of(&rfc.v3, true);
}

fn v2_index(row: &InstanceRow) -> Option<MibIndex> {
    Some(smallvec![row.interface_index?, u32::from(row.config.vrid.get())])
}

fn v3_index(row: &InstanceRow) -> Option<MibIndex> {
    let kind = match row.config.family {
        Family::V4 => 1,
        Family::V6 => 2,
    };
    Some(smallvec![row.interface_index?, u32::from(row.config.vrid.get()), kind])
}
