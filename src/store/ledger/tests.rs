//! What is shown never goes down, and is what was counted.

use proptest::prelude::*;

use super::*;
use crate::bus::msg::Feed;
use crate::check::table::Load;
use crate::conf::model::{Family, Protocol};
use crate::mib::fixture::{self, check};
use crate::store::Store;

/// Two engines and what they have counted, beside what a bridge shows of it.
struct World {
    store: Store,
    generations: [u64; 2],
    config: u64,
    /// By the kernel, since the server was put into its table; and altogether.
    kernel: u64,
    kernel_ever: u64,
    /// The checks process has read the kernel.
    read: bool,
    /// By the processes, since they were started or told to begin again; and altogether.
    passed: u64,
    passed_ever: u64,
    adverts: u64,
    adverts_ever: u64,
}

#[derive(Debug, Clone)]
enum Op {
    Connections(u64),
    Checks(u64),
    Adverts(u64),
    /// The server leaves the kernel's table and comes back.
    ServerFlaps,
    Clear,
    ChecksRestarts,
    VrrpRestarts,
    /// Frames were lost.
    Resync(bool),
    Reload,
}

impl World {
    fn new() -> World {
        let mut world = World {
            store: Store::new(),
            generations: [0, 0],
            config: 1,
            kernel: 0,
            kernel_ever: 0,
            read: true,
            passed: 0,
            passed_ever: 0,
            adverts: 0,
            adverts_ever: 0,
        };
        world.expect(Source::Vrrp, true);
        world.expect(Source::Checks, true);
        world
    }

    fn stats(&self) -> Stats {
        let connections = if self.read { self.kernel } else { 0 };
        Stats { connections, packets_in: 3 * connections, connection_rate: 7, ..Stats::default() }
    }

    fn check_rows(&self) -> Vec<(RowKey, Row)> {
        let config = check::service(check::address_key("192.0.2.10", 80, Protocol::Tcp), Family::V4);
        let server = check::server(&config, "192.168.1.10", 80, 1);
        let load = Load { stats: self.stats(), ..Load::default() };
        let mut rows = check::service_rows(1, config, self.stats(), vec![(server, load)]);
        for (_, row) in &mut rows {
            if let Row::Server(row) = row {
                row.checkers = vec![checker("10.0.0.1:80", self.passed)];
                row.went_up = self.passed;
            }
        }
        let mut times = CheckTimes::default();
        let mut took = Histogram::default();
        (0..self.passed.min(100)).for_each(|_| took.observe(std::time::Duration::from_millis(2)));
        times.kinds.push(KindTimes {
            kind: "tcp".to_owned(),
            took,
            failures: vec![("refused".to_owned(), self.passed)],
        });
        rows.push((RowKey::CheckTimes, Row::CheckTimes(Box::new(times))));
        rows
    }

    fn vrrp_rows(&self) -> Vec<(RowKey, Row)> {
        let mut row = fixture::instance_row(1, fixture::instance("VI_1"));
        row.counters = Counters { adverts_sent: self.adverts, ..Counters::default() };
        let router = RouterCounters { vrid_errors: self.adverts, ..RouterCounters::default() };
        vec![(RowKey::Instance("VI_1".into()), Row::Instance(Box::new(row))), (RowKey::Router, Row::Router(router))]
    }

    fn expect(&mut self, source: Source, process: bool) {
        if process {
            self.store.expect_process(source)
        } else {
            self.store.expect_resync(source)
        }
        self.commit(source, true);
    }

    fn commit(&mut self, source: Source, full: bool) {
        let rows = match source {
            Source::Vrrp => self.vrrp_rows(),
            Source::Checks => self.check_rows(),
        };
        let generation = &mut self.generations[usize::from(source == Source::Checks)];
        *generation += 1;
        commit(&mut self.store, source, *generation, self.config, full, rows);
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Connections(count) => {
                self.kernel += count;
                self.kernel_ever += count;
                self.read = true;
            }
            Op::Checks(count) => {
                self.passed += count;
                self.passed_ever += count;
            }
            Op::Adverts(count) => {
                self.adverts += count;
                self.adverts_ever += count;
            }
            Op::ServerFlaps => {
                // Before it was read after a start, nobody can tell one from the other.
                if self.read {
                    self.kernel = 0;
                }
            }
            Op::Clear => (self.passed, self.adverts) = (0, 0),
            Op::ChecksRestarts => {
                (self.passed, self.read) = (0, false);
                return self.expect(Source::Checks, true);
            }
            Op::VrrpRestarts => {
                self.adverts = 0;
                return self.expect(Source::Vrrp, true);
            }
            Op::Resync(checks) => return self.expect(if checks { Source::Checks } else { Source::Vrrp }, false),
            Op::Reload => self.config += 1,
        }
        self.commit(Source::Checks, false);
        self.commit(Source::Vrrp, false);
    }

    fn shown(&self) -> [u64; 9] {
        let look = self.look();
        let snapshot = &look.snapshot;
        let (_, service) = snapshot.checks.services.iter().next().unwrap();
        let (_, server) = snapshot.checks.servers.iter().next().unwrap();
        let (_, instance) = snapshot.vrrp.instances.iter().next().unwrap();
        let totals = look.server_totals(service, server);
        let times = look.check_times();
        [
            look.service_stats(service).connections,
            totals.stats.connections,
            totals.stats.packets_in / 3,
            totals.passed,
            totals.went_up,
            times.kinds[0].failures[0].1,
            look.instance_counters(instance).adverts_sent,
            look.router_counters().vrid_errors,
            times.kinds[0].took.count(),
        ]
    }

    fn look(&self) -> crate::export::Look {
        crate::export::Look {
            snapshot: self.store.snapshot(),
            bases: self.store.bases(),
            ..crate::export::Look::default()
        }
    }
}

fn checker(target: &str, passed: u64) -> CheckerRow {
    CheckerRow {
        kind: "TCP_CHECK".to_owned(),
        target: target.to_owned(),
        asks: String::new(),
        wants: String::new(),
        up: true,
        has_run: true,
        since: crate::clock::WallTime(0),
        error: String::new(),
        passed,
        failed: 0,
        took_us: 0,
    }
}

fn commit(store: &mut Store, source: Source, generation: u64, config: u64, full: bool, rows: Vec<(RowKey, Row)>) {
    store.apply(source, Feed::Begin { generation, config, full }).unwrap();
    for (key, row) in rows {
        store.apply(source, Feed::Row(key, row)).unwrap();
    }
    store.apply(source, Feed::Commit { edges_dropped: 0 }).unwrap();
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1_u64..100).prop_map(Op::Connections),
        4 => (1_u64..5).prop_map(Op::Checks),
        4 => (1_u64..100).prop_map(Op::Adverts),
        2 => Just(Op::ServerFlaps),
        1 => Just(Op::Clear),
        2 => Just(Op::ChecksRestarts),
        2 => Just(Op::VrrpRestarts),
        2 => any::<bool>().prop_map(Op::Resync),
        1 => Just(Op::Reload),
    ]
}

proptest! {
    #[test]
    fn over_restarts_flaps_reloads_and_lost_frames_everything_is_counted_once(ops in prop::collection::vec(op(), 1..60)) {
        let mut world = World::new();
        let mut before = world.shown();
        for op in ops {
            world.step(op);
            let shown = world.shown();
            prop_assert!(shown.iter().zip(before).all(|(now, before)| *now >= before), "{before:?} to {shown:?}");
            prop_assert_eq!(&shown[3..8], &[world.passed_ever, world.passed_ever, world.passed_ever, world.adverts_ever, world.adverts_ever]);
            prop_assert_eq!(&shown[..3], &[world.kernel_ever; 3]);
            before = shown;
        }
    }
}

#[test]
fn rates_are_those_of_the_moment() {
    let mut world = World::new();
    world.step(Op::Connections(5));
    world.step(Op::ServerFlaps);
    let look = world.look();
    let (_, service) = look.snapshot.checks.services.iter().next().unwrap();
    assert_eq!(
        look.service_stats(service),
        Stats { connections: 5, packets_in: 15, connection_rate: 7, ..Stats::default() }
    );
}

#[test]
fn what_leaves_the_configuration_is_forgotten_and_begins_at_zero_when_it_comes_back() {
    let mut world = World::new();
    world.step(Op::Adverts(5));
    world.step(Op::Clear);
    world.step(Op::Adverts(2));
    assert_eq!(world.shown()[6], 7);
    // A delta takes it away, and so does a full batch that does not say it.
    for full in [false, true] {
        world.generations[0] += 1;
        let key = RowKey::Instance("VI_1".into());
        let begin = Feed::Begin { generation: world.generations[0], config: 1, full };
        world.store.apply(Source::Vrrp, begin).unwrap();
        if !full {
            world.store.apply(Source::Vrrp, Feed::Gone(key)).unwrap();
        }
        world.store.apply(Source::Vrrp, Feed::Commit { edges_dropped: 0 }).unwrap();
        world.adverts = 1;
        world.commit(Source::Vrrp, false);
        assert_eq!(world.shown()[6], 1);
        world.step(Op::Clear);
    }
}

#[test]
fn an_engine_that_is_not_wanted_any_more_leaves_nothing_behind() {
    let mut world = World::new();
    world.step(Op::Checks(3));
    world.step(Op::Connections(3));
    world.step(Op::ChecksRestarts);
    assert_ne!(*world.store.bases(), Bases::default());
    world.store.forget(Source::Checks);
    assert_eq!(*world.store.bases(), Bases::default());
}

#[test]
fn lines_of_an_engine_that_is_not_wanted_any_more_stay_counted() {
    let mut store = Store::new();
    let pulse = |error| Pulse {
        logged: Logged { error, ..Logged::default() },
        lag: Histogram { sum_ns: 5, ..Histogram::default() },
        ..Pulse::default()
    };
    let say = |store: &mut Store, generation, error| {
        let row = (RowKey::Pulse, Row::Pulse(Box::new(pulse(error))));
        commit(store, Source::Checks, generation, 1, true, vec![row]);
    };
    say(&mut store, 1, 3);
    store.expect_process(Source::Checks);
    say(&mut store, 1, 4);
    for _ in 0..2 {
        store.forget(Source::Checks);
        let left = store.bases().process(Source::Checks, Process::default());
        assert_eq!((left.logged.error, left.lag), (7, Histogram::default()));
    }
    // It comes back, and counts from zero.
    store.expect_process(Source::Checks);
    say(&mut store, 1, 1);
    assert_eq!(store.bases().process(Source::Checks, Process::of(&pulse(1))).logged.error, 8);
}

#[test]
fn a_member_that_leaves_its_group_takes_nothing_away_and_adds_nothing() {
    let key = check::group_key("G", Protocol::Tcp);
    let rows = |connections| {
        let stats = Stats { connections, ..Stats::default() };
        check::service_rows(1, check::service(check::group_key("G", Protocol::Tcp), Family::V4), stats, vec![])
    };
    let mut store = Store::new();
    commit(&mut store, Source::Checks, 1, 1, true, rows(150));
    let shown =
        |store: &Store, connections| store.bases().service(&key, Stats { connections, ..Stats::default() }).connections;
    // Two had 100 and 50; by a reload the second one goes.
    commit(&mut store, Source::Checks, 2, 2, false, rows(100));
    assert_eq!(shown(&store, 100), 150);
    // Without one, something has begun again.
    commit(&mut store, Source::Checks, 3, 2, false, rows(10));
    assert_eq!(shown(&store, 10), 160);
}

#[test]
fn a_checker_that_goes_has_counted_what_it_has_counted() {
    let config = check::service(check::address_key("192.0.2.10", 80, Protocol::Tcp), Family::V4);
    let rows = |checkers: Vec<CheckerRow>| {
        let server = check::server(&config, "192.168.1.10", 80, 1);
        let mut rows = check::service_rows(1, config.clone(), Stats::default(), vec![(server, Load::default())]);
        for (_, row) in &mut rows {
            if let Row::Server(row) = row {
                row.checkers = checkers.clone();
            }
        }
        rows
    };
    let mut store = Store::new();
    commit(&mut store, Source::Checks, 1, 1, true, rows(vec![checker("a", 60), checker("b", 40)]));
    commit(&mut store, Source::Checks, 2, 2, false, rows(vec![checker("b", 41), checker("c", 1)]));
    let server = ServerTotals { passed: 42, ..ServerTotals::default() };
    let key = || ServerKey { service: config.key.clone(), address: check::ip("192.168.1.10"), port: 80, sorry: false };
    assert_eq!(store.bases().server(key, server).passed, 102);
}
