//! Batches good and bad.

use super::*;
use crate::bus::rows::{Reason, State};
use crate::clock::WallTime;
use crate::mib::fixture;

fn begin(generation: Generation, full: bool) -> Feed {
    Feed::Begin { generation, config: 1, full }
}

fn commit() -> Feed {
    Feed::Commit { edges_dropped: 0 }
}

fn instance(name: &str, index: u32) -> (RowKey, Row) {
    let row = fixture::instance_row(index, fixture::instance(name));
    (RowKey::Instance(name.into()), Row::Instance(Box::new(row)))
}

fn names(store: &Store) -> Vec<String> {
    store.snapshot().vrrp.instances.iter().map(|(_, row)| row.config.name.0.clone()).collect()
}

fn transition(index: u32) -> Edge {
    Edge::Transition {
        instance: "VI_1".into(),
        index,
        from: State::Backup,
        to: State::Master,
        initial: State::Backup,
        reason: Reason::MasterNoResponse,
        at: WallTime(0),
    }
}

#[test]
fn readers_see_nothing_of_a_batch_before_its_commit() {
    let mut store = fixture::committed([instance("a", 1)]);
    let before = store.snapshot();
    let (key, row) = instance("b", 2);
    store.apply(Source::Vrrp, begin(2, false)).unwrap();
    store.apply(Source::Vrrp, Feed::Row(key, row)).unwrap();
    assert_eq!(names(&store), ["a"]);
    assert!(matches!(store.apply(Source::Vrrp, commit()), Ok(Applied::Committed { generation: 2, .. })));
    assert_eq!(names(&store), ["a", "b"]);
    assert_eq!(before.vrrp.instances.len(), 1, "a snapshot never changes");
    assert_eq!(store.snapshot().generations.vrrp, Age { generation: 2, config: 1, edges_dropped: 0 });
}

#[test]
fn a_full_batch_forgets_what_it_does_not_say_and_a_delta_keeps_it() {
    let mut store = fixture::committed([instance("a", 1), instance("b", 2)]);
    store.apply(Source::Vrrp, begin(2, false)).unwrap();
    store.apply(Source::Vrrp, Feed::Gone(RowKey::Instance("a".into()))).unwrap();
    store.apply(Source::Vrrp, commit()).unwrap();
    assert_eq!(names(&store), ["b"]);
    fixture::commit(&mut store, 1, true, [instance("c", 1)]);
    assert_eq!(names(&store), ["c"]);
    assert_eq!(store.snapshot().generations.vrrp.generation, 1, "a new process counts from 1");
}

#[test]
fn rows_that_swap_their_numbers_in_one_batch_swap_places() {
    let mut store = fixture::committed([instance("a", 1), instance("b", 2)]);
    fixture::commit(&mut store, 2, false, [instance("a", 2), instance("b", 1)]);
    assert_eq!(names(&store), ["b", "a"]);
}

#[test]
fn kinds_of_rows_that_a_batch_does_not_touch_are_shared_with_the_snapshot_before() {
    let mut store = fixture::committed(fixture::rows(fixture::global()));
    let before = store.snapshot();
    fixture::commit(&mut store, 2, false, [instance("VI_1", 1)]);
    let after = store.snapshot();
    let address = |snapshot: &Snapshot| Arc::as_ptr(snapshot.vrrp.addresses.get(&[1, 1]).unwrap());
    assert_eq!(address(&before), address(&after));
    assert_eq!(after.vrrp.tracked_interfaces.len(), 2);
}

#[test]
fn an_interface_that_does_not_exist_has_no_row_in_the_table() {
    let mut rows = fixture::rows(fixture::global());
    for (_, row) in &mut rows {
        if let Row::TrackedInterface(row) = row {
            row.interface_index = row.interface_index.filter(|index| *index != 10);
        }
    }
    let snapshot = fixture::committed(rows).snapshot();
    let indexes: Vec<_> = snapshot.vrrp.tracked_interfaces.iter().map(|(index, _)| index.to_vec()).collect();
    assert_eq!(indexes, [[1, 11]]);
}

#[test]
fn edges_come_with_the_commit_in_their_order_and_stay_in_the_journal() {
    let mut store = Store::new();
    store.apply(Source::Vrrp, begin(1, true)).unwrap();
    store.apply(Source::Vrrp, Feed::Edge(transition(1))).unwrap();
    store.apply(Source::Vrrp, Feed::Edge(transition(2))).unwrap();
    assert_eq!(store.journal().next_number(), 0);
    let Ok(Applied::Committed { edges, .. }) = store.apply(Source::Vrrp, commit()) else { panic!("no commit") };
    assert_eq!(edges, [transition(1), transition(2)]);
    assert_eq!(store.journal().since(0).count(), 2);
}

#[test]
fn frames_that_do_not_follow_ask_for_a_resync_once_and_what_is_known_stays() {
    let row = || {
        let (key, row) = instance("x", 9);
        Feed::Row(key, row)
    };
    let wrong = || Feed::Row(RowKey::Global, Row::Router(RouterCounters::default()));
    for (frames, error) in [
        (vec![row()], Resync::NoBatch),
        (vec![commit()], Resync::NoBatch),
        (vec![Feed::Edge(transition(1))], Resync::NoBatch),
        (vec![Feed::Gone(RowKey::Global)], Resync::NoBatch),
        (vec![begin(2, false), begin(3, false)], Resync::BeginInBatch),
        (vec![begin(3, false)], Resync::Gap { have: 1, got: 3 }),
        (vec![begin(1, false)], Resync::Gap { have: 1, got: 1 }),
        (vec![begin(2, false), row(), wrong()], Resync::WrongRow),
    ] {
        let mut store = fixture::committed([instance("a", 1)]);
        let last = frames.len() - 1;
        for (n, frame) in frames.into_iter().enumerate() {
            let result = store.apply(Source::Vrrp, frame);
            if n == last {
                assert_eq!(result.unwrap_err(), error);
            } else {
                result.unwrap();
            }
        }
        // The rest of what was under way is thrown away without another complaint.
        for frame in [row(), commit(), begin(2, false), row(), commit()] {
            assert!(matches!(store.apply(Source::Vrrp, frame), Ok(Applied::Ignored)), "{error}");
        }
        assert_eq!(names(&store), ["a"]);
        fixture::commit(&mut store, 7, true, [instance("b", 1)]);
        assert_eq!(names(&store), ["b"]);
        fixture::commit(&mut store, 8, false, [instance("c", 2)]);
        assert_eq!(names(&store), ["b", "c"]);
    }
}

#[test]
fn a_full_batch_may_begin_in_the_middle_of_another_one() {
    let mut store = fixture::committed([instance("a", 1)]);
    store.apply(Source::Vrrp, begin(2, false)).unwrap();
    fixture::commit(&mut store, 1, true, [instance("b", 1)]);
    assert_eq!(names(&store), ["b"]);
}

#[test]
fn the_first_batch_must_be_a_full_one() {
    let mut store = Store::new();
    // Generation 1 would follow from nothing, but a delta to nothing is half a picture.
    assert!(store.apply(Source::Vrrp, begin(1, false)).is_err());
}

#[test]
fn edges_beyond_an_engines_ring_are_dropped_and_counted() {
    let mut store = Store::new();
    store.apply(Source::Vrrp, begin(1, true)).unwrap();
    for n in 0..=Store::EDGES_MAX {
        store.apply(Source::Vrrp, Feed::Edge(transition(u32::try_from(n).unwrap()))).unwrap();
    }
    let Ok(Applied::Committed { edges, .. }) = store.apply(Source::Vrrp, commit()) else { panic!("no commit") };
    assert_eq!((edges.len(), &edges[0], store.edges_lost()), (Store::EDGES_MAX, &transition(1), 1));
}
