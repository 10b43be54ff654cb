//! The groups of every agent, walked.

use std::time::Duration;

use super::*;
use crate::bus::msg::Source;
use crate::mib::fixture;
use crate::mib::table::Look;
use crate::mib::tree::Tree;
use crate::mib::view::Pinned;

fn system() -> System {
    System {
        description: "keepwatch".to_owned(),
        contact: "ops".to_owned(),
        name: "lb1".to_owned(),
        location: "rack 4".to_owned(),
        capabilities: vec![
            (Oid::new(&[1, 3, 6, 1, 4, 1, 1]), "one".to_owned()),
            (Oid::new(&[1, 3, 6, 1, 4, 1, 2]), "two".to_owned()),
        ],
    }
}

fn walk(view: &dyn View) -> Vec<VarBind> {
    let mut found: Vec<VarBind> = vec![];
    let mut name = Oid::default();
    while let Some(next) = view.next(&name, false, &Oid::default()) {
        assert!(next.name > name, "{} after {name}", next.name);
        assert_eq!(view.get(&next.name), next.value, "{}", next.name);
        assert_eq!(view.next(&next.name, true, &Oid::default()), Some(next.clone()));
        name = next.name.clone();
        found.push(next);
    }
    found
}

fn with_own<T>(test: impl FnOnce(&Own<'_>) -> T) -> T {
    let mut stats = Stats::default();
    stats.count_usm(crate::snmp::stats::UsmStat::WrongDigests);
    let engine = LocalEngine { id: vec![1, 2, 3, 4, 5], boots: 7, started: Instant::ZERO };
    let now = Instant::ZERO + Duration::from_millis(12_340);
    test(&Own { system: &system(), engine: &engine, stats: &stats, now })
}

#[test]
fn objects_stand_in_order_and_none_below_another() {
    for pair in OBJECTS.windows(2) {
        assert!(pair[0].0 < pair[1].0 && !pair[1].0.starts_with(pair[0].0), "{:?}", pair[1].0);
    }
}

#[test]
fn a_walk_meets_every_object_once_and_get_agrees_with_it() {
    let walked = with_own(|own| walk(own));
    // Three columns have two rows each.
    assert_eq!(walked.len(), OBJECTS.len() + 3);
    assert!(walked.contains(&VarBind::new("1.3.6.1.2.1.1.3.0".parse().unwrap(), Value::TimeTicks(1234))));
    let shown: Vec<String> = walked.iter().map(fixture::line).collect();
    for line in [
        ".1.3.6.1.2.1.1.1.0 = STRING: \"keepwatch\"",
        ".1.3.6.1.2.1.1.5.0 = STRING: \"lb1\"",
        ".1.3.6.1.2.1.1.9.1.3.2 = STRING: \"two\"",
        ".1.3.6.1.6.3.10.2.1.2.0 = INTEGER: 7",
        ".1.3.6.1.6.3.10.2.1.3.0 = INTEGER: 12",
        ".1.3.6.1.6.3.15.1.1.5.0 = Counter32: 1",
    ] {
        assert!(shown.iter().any(|shown| shown == line), "{line} is not in {shown:#?}");
    }
}

#[test]
fn what_is_not_there_is_told_apart() {
    with_own(|own| {
        let get = |text: &str| own.get(&text.parse().unwrap());
        assert_eq!(get("1.3.6.1.2.1.1.1"), Value::NoSuchInstance);
        assert_eq!(get("1.3.6.1.2.1.1.1.1"), Value::NoSuchInstance);
        assert_eq!(get("1.3.6.1.2.1.1.9.1.2.3"), Value::NoSuchInstance);
        assert_eq!(get("1.3.6.1.2.1.1.9.1.2.0"), Value::NoSuchInstance);
        assert_eq!(get("1.3.6.1.2.1.2.1.0"), Value::NoSuchObject);
        assert_eq!(get("1.3"), Value::NoSuchObject);
        assert_eq!(own.next(&"1.3.6.1.2.1.1.1.0".parse().unwrap(), false, &Oid::new(OBJECTS[1].0)), None);
    });
}

#[test]
fn merged_views_walk_in_the_order_of_their_oids() {
    let snapshot = fixture::seed();
    let tree = Tree::new(&fixture::snmp(), &Source::ALL);
    let pinned = Pinned { tree: &tree, look: Look { snapshot: &snapshot, moment: Moment::default() } };
    with_own(|own| {
        let (ours, theirs) = (walk(own).len(), walk(&pinned).len());
        assert!(theirs > 20, "{theirs}");
        assert_eq!(walk(&Merged { first: own, second: &pinned }).len(), ours + theirs);
        assert_eq!(walk(&Merged { first: &pinned, second: own }).len(), ours + theirs);
        let merged = Merged { first: own, second: &pinned };
        let name = VarBind::new("1.3.6.1.2.1.1.5.0".parse().unwrap(), Value::text("lb2"));
        assert_eq!(merged.test_set(&name), Err(SetError::NotWritable));
    });
}
