//! Row sets that follow from others: members, tracks and next hops by their places, instances as the RFC modules see them.

use std::net::IpAddr;
use std::sync::Arc;

use smallvec::smallvec;

use super::snapshot::{Hop, MibIndex, RfcRows, RowSet, Tracks};
use crate::bus::msg::RouterId;
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

/// The instances that have a number there.
pub(super) fn rfc_rows(rfc: &mut RfcRows, instances: &RowSet<InstanceRow>) {
    let of = |index: fn(&RouterId) -> Option<MibIndex>| {
        let numbered = instances.rows().filter_map(|row| Some((index(&router_id(row))?, Arc::clone(row))));
        RowSet::new(numbered)
    };
    rfc.v2 = of(rfc_v2_index);
    rfc.v3 = of(rfc_v3_index);
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

fn router_id(row: &InstanceRow) -> RouterId {
    RouterId {
        interface_index: row.interface_index,
        vrid: row.config.vrid.get(),
        family: row.config.family,
        version: row.config.version,
        advertises: !row.advertised.is_empty(),
    }
}

/// How VRRP-MIB numbers a router: ifIndex and VRID. It knows those of version 2 over IPv4.
pub fn rfc_v2_index(router: &RouterId) -> Option<MibIndex> {
    let known = router.advertises && router.version == Version::V2 && router.family == Family::V4;
    Some(smallvec![router.interface_index.filter(|_| known)?, router.vrid.into()])
}

/// How VRRPV3-MIB numbers a router: ifIndex, VRID and InetAddressType. Those of version 2 are shown there, too, as in
/// Keepalived.
pub fn rfc_v3_index(router: &RouterId) -> Option<MibIndex> {
    let kind = match router.family {
        Family::V4 => 1,
        Family::V6 => 2,
    };
    Some(smallvec![router.interface_index.filter(|_| router.advertises)?, router.vrid.into(), kind])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::bus::rows::{Row, RowKey};
    use crate::mib::fixture;
    use crate::store::{Snapshot, Store};

    type Change = fn(&mut InstanceRow);

    fn instance(index: u32, name: &str, change: Change) -> (RowKey, Row) {
        let mut row = fixture::instance_row(index, fixture::instance(name));
        row.advertised = vec!["10.0.0.100".parse().unwrap()];
        change(&mut row);
        (RowKey::Instance(name.into()), Row::Instance(Box::new(row)))
    }

    fn of_v2(snapshot: &Snapshot) -> Vec<(Vec<u32>, String)> {
        snapshot.vrrp.rfc.v2.iter().map(|(index, row)| (index.to_vec(), row.config.name.0.clone())).collect()
    }

    fn of_v3(snapshot: &Snapshot) -> Vec<(Vec<u32>, String)> {
        snapshot.vrrp.rfc.v3.iter().map(|(index, row)| (index.to_vec(), row.config.name.0.clone())).collect()
    }

    fn indexes<R>(rows: &RowSet<R>) -> Vec<Vec<u32>> {
        rows.iter().map(|(index, _)| index.to_vec()).collect()
    }

    fn six() -> Vec<IpAddr> {
        ["2001:db8::b", "fe80::51"].map(|address| address.parse().unwrap()).to_vec()
    }

    fn mixed() -> Store {
        fixture::committed([
            instance(1, "late", |row| row.config.vrid = crate::conf::model::Vrid::new(61).unwrap()),
            instance(2, "early", |row| row.config.vrid = crate::conf::model::Vrid::new(60).unwrap()),
            instance(3, "other_card", |row| row.interface_index = Some(9)),
            instance(4, "v3", |row| (row.interface_index, row.config.version) = (Some(14), Version::V3)),
            instance(5, "six", |row| {
                (row.config.family, row.config.version) = (Family::V6, Version::V3);
                (row.interface_index, row.advertised) = (Some(14), six());
            }),
            instance(6, "no_address", |row| row.advertised.clear()),
            instance(7, "no_card", |row| row.interface_index = None),
        ])
    }

    fn named(rows: &[(&[u32], &str)]) -> Vec<(Vec<u32>, String)> {
        rows.iter().map(|(index, name)| (index.to_vec(), (*name).to_owned())).collect()
    }

    #[test]
    fn the_rfc_modules_number_by_interface_and_vrid_whatever_the_order_of_the_file() {
        let snapshot = mixed().snapshot();
        assert_eq!(of_v2(&snapshot), named(&[(&[9, 1], "other_card"), (&[12, 60], "early"), (&[12, 61], "late")]));
        let v3 = [
            (&[9, 1, 1][..], "other_card"),
            (&[12, 60, 1], "early"),
            (&[12, 61, 1], "late"),
            (&[14, 1, 1], "v3"),
            (&[14, 1, 2], "six"),
        ];
        assert_eq!(of_v3(&snapshot), named(&v3));
    }

    /// B8: Keepalived leaves the number of octets out.
    #[test]
    fn addresses_follow_their_router_with_the_number_of_octets_where_that_may_differ() {
        let snapshot = mixed().snapshot();
        let rfc = &snapshot.vrrp.rfc;
        assert_eq!(
            indexes(&rfc.v2_addresses),
            [[9, 1, 10, 0, 0, 100], [12, 60, 10, 0, 0, 100], [12, 61, 10, 0, 0, 100]]
        );
        let v3 = indexes(&rfc.v3_addresses);
        assert_eq!(v3.len(), 6);
        assert_eq!(v3[0], [9, 1, 1, 4, 10, 0, 0, 100]);
        assert_eq!(v3[4], [14, 1, 2, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb]);
        assert_eq!(v3[5], [14, 1, 2, 16, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x51]);
    }

    #[test]
    fn a_router_that_changes_moves_and_one_that_leaves_goes_with_its_addresses() {
        let mut store = mixed();
        let before = store.snapshot();
        fixture::commit(&mut store, 2, false, [instance(1, "late", |row| row.state = crate::bus::rows::State::Backup)]);
        let counted = store.snapshot();
        assert!(counted.vrrp.rfc.v2.get(&[12, 1]).is_some_and(|row| row.config.name.0 == "late"));
        assert_eq!(indexes(&counted.vrrp.rfc.v2_addresses)[1], [12, 1, 10, 0, 0, 100]);
        assert_eq!(of_v2(&before)[2].0, [12, 61], "what readers hold stays as it is");
        fixture::commit(&mut store, 3, true, [instance(1, "early", |row| row.interface_index = None)]);
        let snapshot = store.snapshot();
        assert_eq!((of_v2(&snapshot), of_v3(&snapshot)), (vec![], vec![]));
        assert!(snapshot.vrrp.rfc.v2_addresses.is_empty() && snapshot.vrrp.rfc.v3_addresses.is_empty());
    }

    #[test]
    fn a_value_that_changes_is_seen_by_both_modules_and_leaves_the_addresses_alone() {
        let mut store = fixture::committed([instance(1, "a", |_| {})]);
        let before = Arc::as_ptr(store.snapshot().vrrp.rfc.v3_addresses.get(&[12, 1, 1, 4, 10, 0, 0, 100]).unwrap());
        fixture::commit(&mut store, 2, false, [instance(1, "a", |row| row.counters.became_master = 7)]);
        let snapshot = store.snapshot();
        let rfc = &snapshot.vrrp.rfc;
        assert_eq!(rfc.v2.get(&[12, 1]).unwrap().counters.became_master, 7);
        assert_eq!(rfc.v3.get(&[12, 1, 1]).unwrap().counters.became_master, 7);
        assert_eq!(Arc::as_ptr(rfc.v3_addresses.get(&[12, 1, 1, 4, 10, 0, 0, 100]).unwrap()), before);
    }
}
