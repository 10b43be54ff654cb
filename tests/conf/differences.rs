//! What a reload would change.

use super::*;
use keepwatch::conf::diff::{Aspect, Change, diff};

fn changes(old: &str, new: &str) -> Vec<Change> {
    diff(&load(old).config, &load(new).config)
}

fn aspects(old: &str, new: &str) -> Vec<Aspect> {
    match changes(old, new).pop() {
        Some(Change::InstanceChanged(change)) => change.aspects,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_only_moved_its_lines_changes_nothing() {
    assert_eq!(changes(GOOD, &format!("# note\n\n{}", GOOD.replace("    priority", "\n    priority"))), []);
}

#[test]
fn a_priority_changes_in_place() {
    assert_eq!(aspects(GOOD, &instance("    priority 50")), [Aspect::Priority]);
}

#[test]
fn a_new_id_or_interface_needs_a_new_machine() {
    for (from, to) in [("51", "52"), ("eth0", "eth1")] {
        let changes = changes(GOOD, &GOOD.replace(from, to));
        let [Change::InstanceChanged(change)] = &changes[..] else { panic!("{changes:?}") };
        assert!(change.needs_restart());
    }
    assert_eq!(aspects(GOOD, &instance("    priority 100\n    unicast_peer {\n192.0.2.12\n}")), [Aspect::Identity]);
}

#[test]
fn addresses_come_and_go_one_by_one() {
    let [Aspect::Addresses { added, removed }, Aspect::Announced] =
        &aspects(GOOD, &GOOD.replace("192.0.2.100/24", "192.0.2.101/24"))[..]
    else {
        panic!()
    };
    assert_eq!((added.len(), removed.len()), (1, 1));
    assert_eq!(added[0].address, IpAddr::from([192, 0, 2, 101]));
}

#[test]
fn each_setting_has_its_aspect() {
    for (line, aspect) in [
        ("advert_int 3", Aspect::Timers),
        ("nopreempt", Aspect::Preempt),
        ("no_accept", Aspect::Accept),
        ("dont_track_primary", Aspect::Tracking),
        ("garp_master_repeat 9", Aspect::Garp),
        ("notify_deleted", Aspect::Notify),
        ("promote_secondaries", Aspect::Other),
    ] {
        assert_eq!(aspects(GOOD, &instance(&format!("    priority 100\n    {line}"))), [aspect], "{line}");
    }
}

#[test]
fn instances_and_static_addresses_are_added_removed_and_reordered() {
    let second = GOOD.replace("VI_1", "VI_2").replace("51", "52");
    let statics = "static_ipaddress {\n192.0.2.7/24\n}\n";
    let both = format!("{GOOD}{second}");
    assert!(matches!(changes(GOOD, &both)[..], [Change::InstanceAdded(_)]));
    assert!(matches!(changes(&both, GOOD)[..], [Change::InstanceRemoved(_)]));
    assert!(matches!(changes(&both, &format!("{second}{GOOD}"))[..], [Change::Order(_)]));
    assert!(matches!(changes(GOOD, &format!("{statics}{GOOD}"))[..], [Change::StaticAdded(_)]));
    assert!(matches!(changes(&format!("{statics}{GOOD}"), GOOD)[..], [Change::StaticRemoved(_)]));
    assert!(matches!(changes(GOOD, &format!("use_pid_dir\n{GOOD}"))[..], [Change::Global]));
}
