//! Batches good and bad.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::bus::rows::{Reason, State};
use crate::clock::WallTime;
use crate::conf::model::{Family, Protocol};
use crate::mib::fixture::{self, check, commit_from};

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
        new_master: None,
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
    assert_eq!(edges, [transition(1), transition(2)].map(Arc::new));
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
    assert_eq!((edges.len(), &edges[0], store.edges_lost()), (Store::EDGES_MAX, &Arc::new(transition(1)), 1));
}

fn service(name: &str, index: u32, up: u32) -> (RowKey, Row) {
    let config = check::service(check::group_key(name, Protocol::Tcp), Family::V4);
    let rows = check::service_rows(index, config, Default::default(), vec![]);
    let (key, row) = rows.into_iter().next().unwrap();
    let Row::Service(mut row) = row else { panic!("not a service") };
    row.servers_up = up;
    (key, Row::Service(row))
}

#[test]
fn each_engine_has_its_own_generations_batches_and_faults() {
    let mut store = fixture::committed([instance("a", 1)]);
    commit_from(&mut store, Source::Checks, 9, true, [service("s", 1, 0)]);
    store.apply(Source::Vrrp, begin(2, false)).unwrap();
    // A batch of the other one begins and ends inside.
    commit_from(&mut store, Source::Checks, 10, false, [service("s", 1, 1)]);
    let (key, row) = instance("b", 2);
    store.apply(Source::Vrrp, Feed::Row(key, row)).unwrap();
    assert!(store.apply(Source::Checks, commit()).is_err());
    assert!(matches!(store.apply(Source::Checks, begin(11, false)), Ok(Applied::Ignored)));
    assert!(matches!(store.apply(Source::Vrrp, commit()), Ok(Applied::Committed { generation: 2, .. })));
    assert_eq!(names(&store), ["a", "b"]);
    let Generations { vrrp, checks } = store.snapshot().generations;
    assert_eq!((vrrp.generation, checks.generation), (2, 10));
    assert_eq!(store.snapshot().checks.services.len(), 1, "what is known of the faulty one stays");
    store.expect_resync(Source::Vrrp);
    commit_from(&mut store, Source::Checks, 1, true, [service("t", 1, 0), service("u", 2, 0)]);
    assert_eq!((names(&store).len(), store.snapshot().checks.services.len()), (2, 2));
}

#[test]
fn an_engine_cannot_speak_of_the_others_things() {
    let mut store = fixture::committed([instance("a", 1)]);
    commit_from(&mut store, Source::Checks, 1, true, [service("s", 1, 0)]);
    let (instance_key, instance_row) = instance("a", 7);
    let (service_key, service_row) = service("s", 7, 0);
    for (source, frame) in [
        (Source::Checks, Feed::Row(instance_key.clone(), instance_row)),
        (Source::Checks, Feed::Gone(instance_key)),
        (Source::Vrrp, Feed::Row(service_key.clone(), service_row)),
        (Source::Vrrp, Feed::Gone(service_key)),
    ] {
        let generation = store.snapshot().generations.vrrp.generation.max(1) + 1;
        store.apply(source, begin(generation, true)).unwrap();
        assert_eq!(store.apply(source, frame).unwrap_err(), Resync::WrongRow);
        assert!(matches!(store.apply(source, commit()), Ok(Applied::Ignored)));
    }
    let snapshot = store.snapshot();
    assert!(snapshot.vrrp.instances.get(&[1]).is_some() && snapshot.checks.services.get(&[1]).is_some());
}

#[test]
fn an_engine_that_is_not_wanted_any_more_leaves_nothing() {
    let mut store = check::committed(check::fwmark_quorum_rows());
    fixture::commit(&mut store, 1, true, fixture::rows(fixture::global()));
    store.forget(Source::Checks);
    let snapshot = store.snapshot();
    let checks = &snapshot.checks;
    assert!(checks.groups.is_empty() && checks.group_members.is_empty());
    assert!(checks.services.is_empty() && checks.servers.is_empty());
    assert_eq!(snapshot.generations.checks, Age::default());
    assert_eq!(snapshot.vrrp.instances.len(), 1);
    assert!(store.apply(Source::Checks, begin(1, false)).is_err(), "the next one begins anew");
    commit_from(&mut store, Source::Checks, 1, true, check::seed_rows());
    assert_eq!(store.snapshot().checks.servers.len(), 8);
}

#[test]
fn members_follow_their_group() {
    let mut store = check::committed(check::fwmark_quorum_rows());
    let indexes = |store: &Store| -> Vec<Vec<u32>> {
        store.snapshot().checks.group_members.iter().map(|(index, _)| index.to_vec()).collect()
    };
    assert_eq!(indexes(&store), [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2]]);
    let find = |name: &str| {
        let mut rows = check::fwmark_quorum_rows().into_iter();
        rows.find_map(|(key, row)| (key == RowKey::Group(name.to_owned())).then_some(row)).unwrap()
    };
    let Row::Group(mut group) = find("G_SIX") else { panic!("not a group") };
    group.config.members.truncate(1);
    store.apply(Source::Checks, begin(2, false)).unwrap();
    store.apply(Source::Checks, Feed::Row(RowKey::Group("G_SIX".to_owned()), Row::Group(group))).unwrap();
    store.apply(Source::Checks, Feed::Gone(RowKey::Group("G_MIX".to_owned()))).unwrap();
    store.apply(Source::Checks, commit()).unwrap();
    assert_eq!(indexes(&store), [[2, 1]]);
}

#[test]
fn counters_that_come_again_cost_nothing_but_themselves() {
    let services: Vec<_> = (1..=100).map(|n| service(&format!("s{n:03}"), n, 0)).collect();
    let mut store = check::committed(services);
    let place = |store: &Store| std::ptr::from_ref(store.snapshot().checks.services.iter().next().unwrap().0);
    let row = |snapshot: &Snapshot, n: u32| Arc::as_ptr(snapshot.checks.services.get(&[n]).unwrap());
    let (before, seventh) = (place(&store), row(&store.snapshot(), 7));
    commit_from(&mut store, Source::Checks, 2, false, [service("s050", 50, 3)]);
    assert_eq!(place(&store), before, "nobody was reading: the set is changed where it stands");
    // A reader keeps what it has.
    let held = store.snapshot();
    commit_from(&mut store, Source::Checks, 3, false, [service("s050", 50, 4), service("s051", 51, 4)]);
    let up = |snapshot: &Snapshot, n: u32| snapshot.checks.services.get(&[n]).unwrap().servers_up;
    assert_eq!((up(&held, 50), up(&held, 51)), (3, 0));
    assert_eq!((up(&store.snapshot(), 50), up(&store.snapshot(), 51)), (4, 4));
    assert_eq!(row(&store.snapshot(), 7), seventh, "rows that did not change are shared");
}

/// What a sender may do, and what must come of it.
#[derive(Debug, Clone)]
enum Step {
    /// A row of this name, in this place, with a value that tells it from others.
    Put(Source, u8, u32, u32),
    Gone(Source, u8),
    Commit(Source),
    /// The rest of the batch is a full one.
    Full(Source),
    Nonsense(Source),
    Forget(Source),
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    let source = || prop_oneof![Just(Source::Vrrp), Just(Source::Checks)];
    prop_oneof![
        12 => (source(), 0..5u8, 1..5u32, any::<u16>()).prop_map(|(s, name, at, value)| Step::Put(s, name, at, value.into())),
        4 => (source(), 0..5u8).prop_map(|(s, name)| Step::Gone(s, name)),
        6 => source().prop_map(Step::Commit),
        1 => source().prop_map(Step::Full),
        1 => source().prop_map(Step::Nonsense),
        1 => source().prop_map(Step::Forget),
        2 => Just(Step::Read),
    ]
}

/// Place and value of each row, by name.
type Known = BTreeMap<u8, (u32, u32)>;

/// What a sender keeps of itself.
#[derive(Debug, Default)]
struct Sender {
    generation: Generation,
    committed: Known,
    staged: Known,
    open: bool,
    /// The receiver wants everything.
    lost: bool,
}

fn frame_row(source: Source, name: u8, at: u32, value: u32) -> (RowKey, Row) {
    match source {
        Source::Vrrp => {
            let (key, row) = instance(&name.to_string(), at);
            let Row::Instance(mut row) = row else { panic!("not an instance") };
            row.counters.adverts_sent = value.into();
            (key, Row::Instance(row))
        }
        Source::Checks => service(&name.to_string(), at, value),
    }
}

/// Place and value of each row that readers see.
type Shown = Vec<(u32, u64)>;

fn shown(snapshot: &Snapshot, source: Source) -> Shown {
    match source {
        Source::Vrrp => {
            snapshot.vrrp.instances.iter().map(|(index, row)| (index[0], row.counters.adverts_sent)).collect()
        }
        Source::Checks => {
            snapshot.checks.services.iter().map(|(index, row)| (index[0], row.servers_up.into())).collect()
        }
    }
}

/// One row in each place: of two with one place the one with the lesser name.
fn wanted(known: &Known) -> Shown {
    let mut places = BTreeMap::new();
    for (at, value) in known.values().rev() {
        places.insert(*at, u64::from(*value));
    }
    places.into_iter().collect()
}

impl Sender {
    fn open(&mut self, source: Source, full: bool, store: &mut Store) {
        if self.open && !full {
            return;
        }
        let full = full || self.lost || self.generation == 0;
        self.generation += 1;
        self.staged = if full { Known::new() } else { self.committed.clone() };
        (self.open, self.lost) = (true, false);
        store.apply(source, begin(self.generation, full)).unwrap();
    }
}

proptest! {
    #[test]
    fn whatever_two_engines_send_readers_see_the_last_commit_of_each(steps in prop::collection::vec(step(), 1..60)) {
        let mut store = Store::new();
        let mut senders = BTreeMap::from(Source::ALL.map(|source| (source, Sender::default())));
        let mut held: Vec<(Arc<Snapshot>, [Shown; 2])> = vec![];
        for step in steps {
            match step {
                Step::Put(source, name, at, value) => {
                    let sender = senders.get_mut(&source).unwrap();
                    sender.open(source, false, &mut store);
                    sender.staged.insert(name, (at, value));
                    let (key, row) = frame_row(source, name, at, value);
                    store.apply(source, Feed::Row(key, row)).unwrap();
                }
                Step::Gone(source, name) => {
                    let sender = senders.get_mut(&source).unwrap();
                    sender.open(source, false, &mut store);
                    sender.staged.remove(&name);
                    let (key, _) = frame_row(source, name, 1, 0);
                    store.apply(source, Feed::Gone(key)).unwrap();
                }
                Step::Commit(source) => {
                    let sender = senders.get_mut(&source).unwrap();
                    sender.open(source, false, &mut store);
                    sender.open = false;
                    sender.committed = std::mem::take(&mut sender.staged);
                    let applied = store.apply(source, commit()).unwrap();
                    let committed = matches!(applied, Applied::Committed { generation, .. } if generation == sender.generation);
                    prop_assert!(committed);
                }
                Step::Full(source) => senders.get_mut(&source).unwrap().open(source, true, &mut store),
                Step::Nonsense(source) => {
                    let sender = senders.get_mut(&source).unwrap();
                    sender.open(source, false, &mut store);
                    (sender.open, sender.lost) = (false, true);
                    let wrong = Feed::Row(RowKey::Global, Row::Ipvs(Box::default()));
                    prop_assert!(store.apply(source, wrong).is_err());
                }
                Step::Forget(source) => {
                    *senders.get_mut(&source).unwrap() = Sender::default();
                    store.forget(source);
                }
                Step::Read => held.push((store.snapshot(), Source::ALL.map(|source| wanted(&senders[&source].committed)))),
            }
            for (source, sender) in &senders {
                prop_assert_eq!(shown(&store.snapshot(), *source), wanted(&sender.committed));
            }
        }
        for (snapshot, wanted) in held {
            prop_assert_eq!(Source::ALL.map(|source| shown(&snapshot, source)), wanted, "a snapshot never changes");
        }
    }
}
