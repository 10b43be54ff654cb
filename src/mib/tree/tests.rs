//! Walks, exceptions and refusals over the seed's snapshot.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::bus::msg::Source;
use crate::bus::rows::{Row, RowKey};
use crate::conf::model::{Script, ScriptId, Transport, Version};
use crate::mib::ROOT;
use crate::mib::fixture::{self, expected_walk, line, seed};
use crate::mib::table::Base;

fn oid(below_root: &str) -> Oid {
    format!("1.3.6.1.4.1.9586.100.5.{below_root}").parse().unwrap()
}

/// Of KEEPALIVED-MIB.
fn walk(tree: &Tree, snapshot: &Snapshot) -> Vec<VarBind> {
    walk_from(Oid::new(ROOT), tree, snapshot)
}

/// Of all modules.
fn walk_all(tree: &Tree, snapshot: &Snapshot) -> Vec<VarBind> {
    walk_from(Oid::default(), tree, snapshot)
}

fn walk_from(start: Oid, tree: &Tree, snapshot: &Snapshot) -> Vec<VarBind> {
    let mut found: Vec<VarBind> = vec![];
    let mut name = start;
    while let Some(next) = tree.next(fixture::look(snapshot), &name, false, &Oid::default()) {
        assert!(next.name > name, "{} after {name}", next.name);
        name = next.name.clone();
        found.push(next);
    }
    found
}

fn set(below_root: &str, value: Value) -> Result<Command, SetError> {
    Tree::new(&fixture::snmp(), &[Source::Vrrp]).test_set(&seed(), &VarBind::new(oid(below_root), value))
}

#[test]
fn a_walk_of_the_seed_shows_what_keepalived_shows_but_for_its_bugs() {
    let tree = Tree::new(&fixture::snmp(), &[Source::Vrrp]);
    let shown: Vec<String> = walk(&tree, &seed()).iter().map(line).collect();
    assert_eq!(shown, expected_walk());
}

#[test]
fn what_a_walk_finds_a_get_finds() {
    let (tree, snapshot) = (Tree::new(&fixture::snmp_all(), &[Source::Vrrp]), seed());
    for varbind in walk_all(&tree, &snapshot) {
        assert_eq!(tree.get(fixture::look(&snapshot), &varbind.name), varbind.value, "{}", varbind.name);
        let at = tree.next(fixture::look(&snapshot), &varbind.name, true, &Oid::default());
        assert_eq!(at, Some(varbind));
    }
}

#[test]
fn columns_ascend_and_every_value_has_the_type_of_its_column() {
    let (tree, snapshot) = (Tree::new(&fixture::snmp_all(), &[Source::Vrrp]), seed());
    assert!(tree.objects.is_sorted_by(|(a, _), (b, _)| a < b));
    for (at, (oid, object)) in tree.objects.iter().enumerate() {
        let syntax = match object {
            Object::Scalar(scalar) => scalar.syntax,
            Object::Column(table, column) => table.columns()[*column].syntax,
        };
        let Some(VarBind { value, .. }) = tree.next_of(at, fixture::look(&snapshot), &[], true) else { continue };
        match (syntax.base, &value) {
            (Base::Integer, Value::Integer(number)) => {
                let names = syntax.names();
                assert!(names.is_empty() || names.iter().any(|(known, _)| known == number), "{oid} is {number}");
            }
            (Base::OctetString, Value::OctetString(_))
            | (Base::Unsigned, Value::Gauge32(_))
            | (Base::Counter32, Value::Counter32(_))
            | (Base::Counter64, Value::Counter64(_))
            | (Base::TimeTicks, Value::TimeTicks(_))
            | (Base::IpAddress, Value::IpAddress(_)) => {}
            (base, value) => panic!("{oid} is {base:?} and has {value:?}"),
        }
    }
}

#[test]
fn what_is_not_there_gets_the_exception_that_says_why() {
    let (tree, snapshot) = (Tree::new(&fixture::snmp(), &[Source::Vrrp]), seed());
    for (name, exception) in [
        ("2.3.1.2.0", Value::NoSuchInstance),
        ("2.3.1.2.2", Value::NoSuchInstance),
        ("2.3.1.2", Value::NoSuchInstance),
        ("2.3.1.2.1.1", Value::NoSuchInstance),
        // The seed's instance is in no sync group.
        ("2.3.1.18.1", Value::NoSuchInstance),
        ("1.2", Value::NoSuchInstance),
        ("1.2.1", Value::NoSuchInstance),
        // Index columns are not accessible, and 37 does not exist.
        ("2.3.1.1.1", Value::NoSuchObject),
        ("2.3.1.37.1", Value::NoSuchObject),
        ("3.1.1.2.1", Value::NoSuchObject),
        ("4", Value::NoSuchObject),
    ] {
        assert_eq!(tree.get(fixture::look(&snapshot), &oid(name)), exception, "{name}");
    }
    assert_eq!(tree.get(fixture::look(&snapshot), &Oid::default()), Value::NoSuchObject);
    assert_eq!(tree.get(fixture::look(&snapshot), &Oid::new(&[2])), Value::NoSuchObject);
}

#[test]
fn getnext_steps_over_columns_without_values_and_stops_before_the_end_of_its_range() {
    let (tree, snapshot) = (Tree::new(&fixture::snmp(), &[Source::Vrrp]), seed());
    let next = |from: &str, include, end: &str| {
        let end = if end.is_empty() { Oid::default() } else { oid(end) };
        tree.next(fixture::look(&snapshot), &oid(from), include, &end).map(|found| found.name)
    };
    assert_eq!(next("2.3.1", false, ""), Some(oid("2.3.1.2.1")));
    assert_eq!(next("2.3.1.2.1", false, ""), Some(oid("2.3.1.3.1")));
    assert_eq!(next("2.3.1.18", false, ""), Some(oid("2.3.1.19.1")));
    assert_eq!(next("2.3.1.18", true, "2.3.1.19"), None);
    assert_eq!(next("2.3.1.35.1", false, "2.3.1.36"), None);
    assert_eq!(next("2.3.1.36", true, "2.3.1.37"), Some(oid("2.3.1.36.1")));
    assert_eq!(next("2.3.1.36.1", true, "2.3.1.36.1"), None);
    assert_eq!(next("2.3.1.36.1", true, "2.3.1.36.1.0"), Some(oid("2.3.1.36.1")));
    // A range that runs backwards has nothing in it.
    assert_eq!(next("2.3.1.36", true, "2.3.1.2"), None);
    assert_eq!(next("1.1", false, ""), Some(oid("1.1.0")));
    assert_eq!(next("1.1.0", false, ""), Some(oid("1.2.0")));
    assert_eq!(next("1.1.0", true, ""), Some(oid("1.1.0")));
    assert_eq!(next("1.1.0.0", true, ""), Some(oid("1.2.0")));
    assert_eq!(next("2.6.1.12.1.2", false, ""), None);
    let first = tree.next(fixture::look(&snapshot), &Oid::new(&[1, 3, 6, 1, 4]), false, &Oid::default());
    assert_eq!(first.map(|found| found.name), Some(oid("1.1.0")));
}

#[test]
fn only_what_is_switched_on_and_has_a_process_is_served() {
    let told = |snmp, engines: &[Source]| {
        let tree = Tree::new(&snmp, engines);
        tree.capabilities().into_iter().map(|(oid, text)| format!("{oid} {text}")).collect::<Vec<_>>()
    };
    let parts = |vrrp, checker, engines: &[Source]| told(Snmp { vrrp, checker, ..Snmp::default() }, engines);
    let global = ".1.3.6.1.4.1.9586.100.5.1 The MIB module for Keepalived";
    let vrrp = ".1.3.6.1.4.1.9586.100.5.2 The MIB module for KEEPALIVED-VRRP";
    let check = ".1.3.6.1.4.1.9586.100.5.3 The MIB module for Healthchecker";
    assert_eq!(parts(true, true, &Source::ALL), [global, vrrp, check]);
    assert_eq!(parts(true, false, &Source::ALL), [global, vrrp]);
    assert_eq!(parts(false, true, &Source::ALL), [global, check]);
    assert_eq!(parts(false, false, &Source::ALL), [""; 0]);
    assert_eq!(parts(true, true, &[Source::Vrrp]), [global, vrrp]);
    assert_eq!(parts(true, true, &[Source::Checks]), [global, check]);
    assert_eq!(parts(true, false, &[Source::Checks]), [""; 0]);

    // With RFC modules only, KEEPALIVED-MIB is absent.
    let v2 = ".1.3.6.1.2.1.68 The MIB module for VRRP";
    let v3 = ".1.3.6.1.2.1.207 The MIB module for VRRPV3";
    let rfc = |rfcv2, rfcv3, engines: &[Source]| told(Snmp { rfcv2, rfcv3, ..Snmp::default() }, engines);
    assert_eq!(rfc(true, true, &Source::ALL), [v2, v3]);
    assert_eq!(rfc(true, false, &[Source::Vrrp]), [v2]);
    assert_eq!(rfc(false, true, &[Source::Vrrp]), [v3]);
    assert_eq!(rfc(true, true, &[Source::Checks]), [""; 0]);
    assert_eq!(told(fixture::snmp_all(), &[Source::Vrrp]), [global, vrrp, v2, v3]);
    let registered = Tree::new(&Snmp { rfcv3: true, ..Snmp::default() }, &Source::ALL).registrations();
    assert!(!registered.is_empty() && registered.iter().all(|oid| oid.to_string().starts_with(".1.3.6.1.2.1.207.")));
}

#[test]
fn before_the_first_batch_there_are_objects_without_instances() {
    let (tree, snapshot) = (Tree::new(&fixture::snmp_all(), &[Source::Vrrp]), Snapshot::default());
    assert_eq!(walk_all(&tree, &snapshot), []);
    assert_eq!(tree.get(fixture::look(&snapshot), &oid("1.1.0")), Value::NoSuchInstance);
}

#[test]
fn priority_and_preempt_take_what_their_range_allows() {
    let instance = || "VI_1".into();
    for good in [1, 100, 254, 255] {
        let priority = crate::conf::model::Priority::new(u8::try_from(good).unwrap()).unwrap();
        let command = Command::SetPriority { instance: instance(), priority };
        assert_eq!(set("2.3.1.7.1", Value::Integer(good)), Ok(command));
    }
    for (value, preempt) in [(1, true), (2, false)] {
        let command = Command::SetPreempt { instance: instance(), preempt };
        assert_eq!(set("2.3.1.13.1", Value::Integer(value)), Ok(command));
    }
    // Keepalived takes most of these by their low octet.
    for bad in [0, -1, 256, 257, 300, 511, i32::MAX, -256, i32::MIN] {
        assert_eq!(set("2.3.1.7.1", Value::Integer(bad)), Err(SetError::WrongValue), "{bad}");
    }
    for bad in [0, 3, 257, 258, -1] {
        assert_eq!(set("2.3.1.13.1", Value::Integer(bad)), Err(SetError::WrongValue), "{bad}");
    }
    for wrong in [Value::Gauge32(100), Value::text("100"), Value::TimeTicks(100), Value::Null, Value::Counter32(1)] {
        assert_eq!(set("2.3.1.7.1", wrong.clone()), Err(SetError::WrongType), "{wrong:?}");
        assert_eq!(set("2.3.1.13.1", wrong), Err(SetError::WrongType));
    }
}

#[test]
fn everything_else_is_refused_as_keepalived_refuses_it() {
    for name in [
        "2.3.1.7.0",
        "2.3.1.7.2",
        "2.3.1.7.99",
        "2.3.1.7",
        "2.3.1.7.1.1",
        "2.3.1.13.2", // no such row
        "2.3.1.1.1",
        "2.3.1.37.1",
        "4.1",
        "1.4.0",
        "1.99.0", // no such column, read-only scalars
        "2.3.1.2.1",
        "2.3.1.4.1",
        "2.3.1.8.1",
        "2.6.1.5.1.1", // read-only columns
        "2.3.1.27.1",
        "2.3.1.28.1",
        "2.3.1.29.1",
        "2.3.1.33.1", // read-write in the module only
    ] {
        assert_eq!(set(name, Value::Integer(1)), Err(SetError::NotWritable), "{name}");
        assert_eq!(set(name, Value::text("x")), Err(SetError::NotWritable), "{name}");
    }
}

#[test]
fn accept_of_a_version_3_row_is_no_access() {
    let mut config = fixture::instance("VI_3");
    config.version = Version::V3;
    let row = Row::Instance(Box::new(fixture::instance_row(1, config)));
    let snapshot = fixture::committed([(RowKey::Instance("VI_3".into()), row)]).snapshot();
    let varbind = VarBind::new(oid("2.3.1.27.1"), Value::text("any type"));
    assert_eq!(Tree::new(&fixture::snmp(), &[Source::Vrrp]).test_set(&snapshot, &varbind), Err(SetError::NoAccess));
}

#[test]
fn optional_columns_appear_with_what_they_show() {
    let mut config = fixture::instance("VI_1");
    config.version = Version::V3;
    config.advert_interval = std::time::Duration::from_millis(1250);
    config.sync_group = Some("G".to_owned());
    config.interface = None;
    let (id, path) = (ScriptId(0), "/bin/x".to_owned());
    config.notify.deleted_script = Some(Script { id, text: "'/bin/x'".to_owned(), path });
    config.transport = Transport::Unicast { peers: vec![], ttl: None, check_source: false, fault_without_peers: false };
    let row = Row::Instance(Box::new(fixture::instance_row(1, config)));
    let mut address = fixture::address_row(0, 1, "fe80::1".parse().unwrap(), 64, ("eth0", 10));
    address.config.scope = 253;
    address.config.label = Some("eth0:x".to_owned());
    address.interface_index = None;
    let key = RowKey::Address { owner: None, position: 1 };
    let rows = [(RowKey::Instance("VI_1".into()), row), (key, Row::Address(Box::new(address)))];
    let mut store = fixture::committed(rows);
    let (tree, snapshot) = (Tree::new(&fixture::snmp(), &[Source::Vrrp]), store.snapshot());
    let get = |name: &str| tree.get(fixture::look(&snapshot), &oid(name));
    assert_eq!(get("2.3.1.12.1"), Value::Gauge32(125));
    assert_eq!(get("2.3.1.15.1"), Value::Integer(0));
    assert_eq!(get("2.3.1.18.1"), Value::text("G"));
    assert_eq!(get("2.3.1.10.1"), Value::NoSuchInstance);
    assert_eq!(get("2.3.1.21.1"), Value::Integer(1));
    assert_eq!(get("2.3.1.32.1"), Value::text("'/bin/x'"));
    assert_eq!(get("2.3.1.34.1"), Value::NoSuchInstance);
    assert_eq!(get("2.6.1.2.0.1"), Value::Integer(2));
    assert_eq!(get("2.6.1.4.0.1"), Value::NoSuchInstance);
    assert_eq!(get("2.6.1.6.0.1"), Value::Integer(2));
    assert_eq!(get("2.6.1.7.0.1"), Value::NoSuchInstance);
    assert_eq!(get("2.6.1.9.0.1"), Value::text("eth0:x"));

    // B23: Keepalived never shows the addressees.
    let mut global = fixture::global();
    global.mail.to = vec!["a@example.com".to_owned(), "b@example.com".to_owned()];
    global.mail.server = Some("192.0.2.25:2525".parse().unwrap());
    fixture::commit(&mut store, 2, false, [(RowKey::Global, Row::Global(Box::new(global)))]);
    let snapshot: Arc<Snapshot> = store.snapshot();
    let get = |name: &str| tree.get(fixture::look(&snapshot), &oid(name));
    assert_eq!(get("1.3.5.1.2.2"), Value::text("b@example.com"));
    assert_eq!(get("1.3.1.0"), Value::Integer(1));
    assert_eq!(get("1.3.2.0"), Value::OctetString(vec![192, 0, 2, 25]));
    assert_eq!(get("1.3.3.0"), Value::Gauge32(30));
    assert_eq!(get("1.3.6.0"), Value::Gauge32(2525));
}

/// Names in and around what is served.
fn name() -> impl Strategy<Value = Oid> {
    prop_oneof![name_of_keepalived(), name_of_rfc()]
}

fn name_of_rfc() -> impl Strategy<Value = Oid> {
    let part = prop_oneof![
        Just(vec![68]),
        Just(vec![68, 1, 3, 1]),
        Just(vec![68, 1, 4, 1, 2]),
        Just(vec![207, 1, 1, 1, 1]),
        Just(vec![207, 1, 1, 2, 1, 2, 12]),
        Just(vec![207, 1, 2])
    ];
    (part, proptest::collection::vec(prop_oneof![0_u32..14, Just(u32::MAX)], 0..4))
        .prop_map(|(part, rest)| Oid::new(&[1, 3, 6, 1, 2, 1]).with(&part).with(&rest))
}

fn name_of_keepalived() -> impl Strategy<Value = Oid> {
    let part =
        prop_oneof![Just(vec![]), Just(vec![1, 3]), Just(vec![2, 3, 1]), Just(vec![2, 4, 1]), Just(vec![2, 6, 1])];
    (part, proptest::collection::vec(prop_oneof![0_u32..13, 18_u32..40, Just(u32::MAX)], 0..4))
        .prop_map(|(part, rest)| Oid::new(ROOT).with(&part).with(&rest))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Few rows have a sync group, and most rows lie between: what a tree remembers of such columns must not outlive a change.
    #[test]
    fn one_tree_over_a_changing_store_finds_what_a_new_one_finds(
        changes in proptest::collection::vec((1..150_u32, any::<bool>()), 1..8),
        asked in proptest::collection::vec((0..152_u32, any::<bool>()), 1..8),
    ) {
        let row = |index: u32, grouped: bool| {
            let mut config = fixture::instance(&format!("VI_{index}"));
            config.sync_group = grouped.then(|| format!("G{index}"));
            (RowKey::Instance(config.name.clone()), Row::Instance(Box::new(fixture::instance_row(index, config))))
        };
        let mut store = fixture::committed((1..=150).map(|index| row(index, index == 140)));
        let tree = Tree::new(&fixture::snmp(), &[Source::Vrrp]);
        let mut held = vec![store.snapshot()];
        for (generation, (index, grouped)) in (2..).zip(changes) {
            fixture::commit(&mut store, generation, false, [row(index, grouped)]);
            // Half of the snapshots are held by somebody, so that the rows are changed in place or copied.
            if grouped {
                held.push(store.snapshot());
            }
            for snapshot in held.iter().chain([&store.snapshot()]) {
                for (at, include) in &asked {
                    let name = oid(&format!("2.3.1.18.{at}"));
                    let ask = |tree: &Tree| tree.next(fixture::look(snapshot), &name, *include, &Oid::default());
                    let rows = snapshot.vrrp.instances.from(&[*at], *include);
                    let mut groups = rows.filter_map(|(index, row)| Some((index[0], row.config.sync_group.clone()?)));
                    let expected = groups.next().map(|(index, name)| {
                        VarBind::new(oid(&format!("2.3.1.18.{index}")), Value::text(&name))
                    });
                    let found = ask(&tree);
                    prop_assert_eq!(&found, &ask(&Tree::new(&fixture::snmp(), &[Source::Vrrp])));
                    match expected {
                        Some(expected) => prop_assert_eq!(found, Some(expected)),
                        None => prop_assert!(found.is_some_and(|found| found.name > oid("2.3.1.19"))),
                    }
                }
            }
        }
    }

    #[test]
    fn getnext_finds_what_a_search_through_the_whole_walk_finds(
        start in name(), include in any::<bool>(), end in proptest::option::of(name()),
    ) {
        let (tree, snapshot) = (Tree::new(&fixture::snmp_all(), &[Source::Vrrp]), seed());
        let end = end.unwrap_or_default();
        let fits = |found: &VarBind| {
            (found.name > start || include && found.name == start) && (end.is_empty() || found.name < end)
        };
        let expected = walk_all(&tree, &snapshot).into_iter().find(fits);
        prop_assert_eq!(tree.next(fixture::look(&snapshot), &start, include, &end), expected);
    }
}
