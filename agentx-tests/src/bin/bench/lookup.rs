//! What one row of a walk costs in the MIB alone: no network, no master agent, one snapshot.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use keepwatch::bus::msg::{Feed, Source};
use keepwatch::bus::rows::{AddressRow, Row, RowKey};
use keepwatch::conf::model::{Address, AddressFlags, InstanceName, Location, Snmp};
use keepwatch::mib::table::{Look, Moment};
use keepwatch::mib::tree::Tree;
use keepwatch::store::{Snapshot, Store};
use keepwatch::wire::oid::Oid;

/// The entry of vrrpAddressTable.
const TABLE: [u32; 12] = [1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 6, 1];
/// A column that each row has, its value; and one that no row has, its label.
const VALUED: u32 = 3;
const EMPTY: u32 = 9;

/// Each measurement lasts at least this long, and the best of several counts.
const LONG: Duration = Duration::from_millis(300);
const TIMES: usize = 5;

pub fn bench() {
    println!("\nNanoseconds per row in the MIB alone, one snapshot of virtual addresses");
    println!("{:>9} {:>10} {:>12} {:>16} {:>18}", "rows", "walk", "GET", "random GETNEXT", "GETNEXT, no value");
    let costs = [100, 1_000, 10_000, 100_000].map(|rows| {
        let costs = of(rows);
        let [walk, get, next, empty] = costs;
        println!("{rows:>9} {walk:>10.0} {get:>12.0} {next:>16.0} {empty:>18.0}");
        costs
    });
    let ratio = |at: usize| costs[3][at] / costs[0][at];
    println!(
        "{:>9} {:>10.2} {:>12.2} {:>16.2} {:>18.2}   100,000 rows / 100 rows",
        "",
        ratio(0),
        ratio(1),
        ratio(2),
        ratio(3)
    );
}

fn of(rows: u32) -> [f64; 4] {
    let (tree, store) = (Tree::new(&Snmp { vrrp: true, ..Snmp::default() }, &[Source::Vrrp]), store(rows));
    let snapshot = store.snapshot();
    let look = Look { snapshot: &snapshot, moment: Moment::default() };
    let (start, end) = (Oid::new(&TABLE), Oid::new(&[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 7]));
    let walk = || {
        let (mut name, mut count) = (start.clone(), 0);
        while let Some(found) = tree.next(look, &name, false, &end) {
            name = found.name;
            black_box(&found.value);
            count += 1;
        }
        count
    };
    assert!(walk() >= 8 * rows as usize, "every row was walked");
    // Names of rows in an order that no cache foresees.
    let names = |column: u32| -> Vec<Oid> {
        let scattered = (0..1000_u64).map(move |n| (n * 2_654_435_761 % u64::from(rows)) as u32 + 1);
        scattered.map(|row| Oid::new(&TABLE).with(&[column, 1, row])).collect()
    };
    let (valued, empty) = (names(VALUED), names(EMPTY));
    let all = |names: &[Oid], ask: &dyn Fn(&Oid)| {
        names.iter().for_each(ask);
        names.len()
    };
    let next = |name: &Oid| drop(black_box(tree.next(look, name, false, &Oid::default())));
    [
        cost(walk),
        cost(|| all(&valued, &|name| drop(black_box(tree.get(look, name))))),
        cost(|| all(&valued, &next)),
        cost(|| all(&empty, &next)),
    ]
}

/// Nanoseconds for each of what `run` says that it has done.
fn cost(run: impl Fn() -> usize) -> f64 {
    let once = || {
        let (began, mut done) = (Instant::now(), 0);
        while began.elapsed() < LONG {
            done += run();
        }
        began.elapsed().as_nanos() as f64 / done as f64
    };
    (0..TIMES).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// One instance with so many addresses.
fn store(rows: u32) -> Store {
    let mut store = Store::new();
    let instance = InstanceName("VI_1".to_owned());
    let row = |position: u32| {
        let row = AddressRow {
            owner_index: 1,
            position,
            config: Address {
                location: Location::default(),
                address: IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + position)),
                prefix: 32,
                interface: "eth0".to_owned(),
                scope: 0,
                broadcast: None,
                label: None,
                peer: None,
                flags: AddressFlags::default(),
                preferred_lifetime: None,
                no_track: false,
            },
            interface_index: Some(2),
            installed: true,
            advertised: true,
        };
        Feed::Row(RowKey::Address { owner: Some(instance.clone()), position }, Row::Address(Box::new(row)))
    };
    let begin = Feed::Begin { generation: 1, config: 1, full: true };
    for frame in std::iter::once(begin).chain((1..=rows).map(row)).chain([Feed::Commit { edges_dropped: 0 }]) {
        store.apply(Source::Vrrp, frame).expect("these frames follow from each other");
    }
    let shown = |snapshot: &Snapshot| snapshot.vrrp.addresses.len();
    assert_eq!(shown(&store.snapshot()), rows as usize);
    store
}
