//! What a reload would change, and what that costs.

use super::*;
use keepwatch::conf::diff::{Change, How, Object, What, diff};
use keepwatch::conf::plan::{Consequence, Plan, plan};

const SERVICE: &str = "virtual_server 192.168.1.100 80 {\n    delay_loop 6\n    lvs_sched rr\n    protocol TCP\n    \
                       real_server 192.168.1.11 80 {\n        weight 1\n        TCP_CHECK {\n        }\n    }\n    \
                       real_server 192.168.1.12 80 {\n        weight 1\n        TCP_CHECK {\n        }\n    }\n}\n";

fn changes(old: &str, new: &str) -> Vec<Change> {
    diff(&load(old).config, &load(new).config)
}

fn planned(old: &str, new: &str) -> Plan {
    plan(&load(old).config, &load(new).config)
}

fn lines(old: &str, new: &str) -> Vec<String> {
    planned(old, new).lines().collect()
}

fn instance_named(name: &str) -> Object {
    Object::Instance(name.into())
}

#[test]
fn a_file_that_only_moved_its_lines_changes_nothing() {
    let script = "vrrp_script chk {\n    script \"/bin/true\"\n}\n";
    let text = format!("{script}{GOOD}{SERVICE}");
    let moved = format!("# note\n\n{script}\n{}\n{SERVICE}", GOOD.replace("    priority", "\n    priority"));
    assert_eq!(changes(&text, &moved), []);
    assert!(planned(&text, &moved).is_empty());
}

#[test]
fn a_priority_reads_as_one_value_that_changes() {
    let [Change { object, what: What::Changed(edits) }] = &changes(GOOD, &instance("    priority 50"))[..] else {
        panic!()
    };
    assert_eq!(*object, instance_named("VI_1"));
    assert_eq!(edits.len(), 1);
    assert_eq!(edits[0].keyword, "priority");
    assert_eq!(edits[0].how, How::Changed { old: "100".to_owned(), new: "50".to_owned() });
}

#[test]
fn the_words_are_those_of_the_file() {
    let raised = instance("    priority 120");
    assert_eq!(lines(GOOD, &raised), ["VI_1: priority 100 → 120, no address changes"]);
    let more = SERVICE.replace("}\n}\n", "}\n    real_server 192.168.1.13 80 {\n        weight 1\n    }\n}\n");
    assert_eq!(lines(SERVICE, &more), ["real server 192.168.1.13:80 of 192.168.1.100:80 TCP added"]);
    assert_eq!(lines("", SERVICE), ["virtual server 192.168.1.100:80 TCP added, with 2 real servers"]);
    let other = GOOD.replace("192.0.2.100/24", "192.0.2.101/24");
    assert_eq!(
        lines(GOOD, &other),
        ["VI_1: virtual_ipaddress 192.0.2.100/24 dev eth0 removed, virtual_ipaddress 192.0.2.101/24 dev eth0 added"]
    );
    for (line, words) in [
        ("advert_int 3", "VI_1: advert_int 1 → 3, no address changes"),
        ("nopreempt", "VI_1: nopreempt added, no address changes"),
        ("no_accept", "VI_1: no_accept added, no address changes"),
        ("dont_track_primary", "VI_1: dont_track_primary added, no address changes"),
        ("garp_master_repeat 9", "VI_1: garp_master_repeat 5 → 9, no address changes"),
        ("notify_deleted", "VI_1: notify_deleted added, no address changes"),
        ("promote_secondaries", "VI_1: promote_secondaries added, no address changes"),
        (
            "virtual_routes {\n10.9.0.0/24 via 192.0.2.9 dev eth0\n}",
            "VI_1: virtual_routes 10.9.0.0/24 via 192.0.2.9 dev eth0 added, no address changes",
        ),
    ] {
        let new = instance(&format!("    priority 100\n    {line}"));
        assert_eq!(lines(GOOD, &new), [words], "{line}");
    }
}

#[test]
fn what_a_server_inherits_is_told_once_and_a_password_never() {
    let slower = SERVICE.replace("delay_loop 6", "delay_loop 10");
    assert_eq!(lines(SERVICE, &slower), ["virtual server 192.168.1.100:80 TCP: delay_loop 6 → 10"]);
    let auth = |word: &str| {
        instance(&format!("    priority 100\n    authentication {{\nauth_type PASS\nauth_pass {word}\n}}"))
    };
    let told = lines(&auth("canary1"), &auth("canary2"));
    assert_eq!(told, ["VI_1: auth_pass changed, no address changes"]);
}

#[test]
fn objects_come_and_go_in_the_order_of_the_file() {
    let named =
        |name: &str, vrid: &str| GOOD.replace("VI_1", name).replace("51", vrid).replace("2.100", &format!("2.1{vrid}"));
    let (a, b, c) = (named("A", "11"), named("B", "12"), named("C", "13"));
    let all = format!("{a}{b}{c}");
    let of = |changes: Vec<Change>| changes.into_iter().map(|it| (it.object.name(), it.what)).collect::<Vec<_>>();
    let (added, removed) = (What::Added { parts: 0 }, What::Removed { parts: 0 });
    assert_eq!(of(changes(&a, &all)), [("B".to_owned(), added.clone()), ("C".to_owned(), added.clone())]);
    assert_eq!(of(changes(&all, &b)), [("A".to_owned(), removed.clone()), ("C".to_owned(), removed.clone())]);
    assert_eq!(
        of(changes(&format!("{a}{b}"), &format!("{a}{c}"))),
        [("B".to_owned(), removed), ("C".to_owned(), added)]
    );
    assert_eq!(of(changes(&all, &format!("{c}{b}{a}"))), [("C".to_owned(), What::Reordered)]);
    assert_eq!(lines(&all, &format!("{c}{b}{a}")), ["instances: another order"]);
    let statics = "static_ipaddress {\n192.0.2.7/24 dev eth0\n}\n";
    let told = lines(GOOD, &format!("{statics}{GOOD}"));
    assert_eq!(told, ["static addresses, routes and rules: static_ipaddress 192.0.2.7/24 dev eth0 added"]);
    let global = "global_defs {\n    router_id R\n    smtp_connect_timeout 7\n}\n";
    let other = global.replace("R\n", "S\n").replace('7', "9");
    assert_eq!(lines(global, &other), ["global_defs: router_id R → S, smtp_connect_timeout 7 → 9"]);
}

#[test]
fn a_new_id_or_interface_starts_the_instance_anew() {
    for (from, to, directive) in [("51", "52", "virtual_router_id"), ("eth0", "eth1", "interface")] {
        let plan = planned(GOOD, &GOOD.replace(from, to));
        let because = vec![directive.to_owned()];
        let expected = Consequence::InstanceRestarts { instance: "VI_1".into(), because };
        assert_eq!(plan.consequences[0], expected);
    }
    let unicast = instance("    priority 100\n    unicast_peer {\n192.0.2.12\n}");
    for (old, new, directive) in [(GOOD, &*unicast, "unicast_peer"), (&unicast, GOOD, "mcast_dst_ip")] {
        let because = vec![directive.to_owned()];
        let expected = Consequence::InstanceRestarts { instance: "VI_1".into(), because };
        assert_eq!(planned(old, new).consequences, [expected]);
    }
}

#[test]
fn a_lower_priority_costs_and_a_higher_one_does_not() {
    let lower = planned(GOOD, &instance("    priority 50"));
    let expected = Consequence::PriorityLowered { instance: "VI_1".into(), old: 100, new: 50 };
    assert_eq!(lower.consequences, [expected]);
    assert_eq!(planned(GOOD, &instance("    priority 150")).consequences, []);
}

#[test]
fn an_address_that_another_instance_takes_over_does_not_leave() {
    let more = |name: &str, lines: &str| {
        let vrid = if name == "A" { 11 } else { 12 };
        format!(
            "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {vrid}\nvirtual_ipaddress {{\n{lines}}}\n}}\n"
        )
    };
    let old = more("A", "192.0.2.1/24\n192.0.2.2/24\n192.0.2.3/24\n") + &more("B", "192.0.2.9/24\n");
    let new = more("A", "192.0.2.1/24\n") + &more("B", "192.0.2.9/24\n192.0.2.2/24\n");
    let address = |last: u8| format!("192.0.2.{last}/24 dev eth0");
    assert_eq!(
        planned(&old, &new).consequences,
        [
            Consequence::AddressMoves { from: "A".into(), to: "B".into(), address: address(2) },
            Consequence::AddressRemoved { instance: Some("A".into()), address: address(3) }
        ]
    );
}

#[test]
fn a_virtual_server_that_goes_or_is_emptied_is_told() {
    let plan = planned(&format!("{GOOD}{SERVICE}"), GOOD);
    assert!(matches!(plan.consequences[..], [Consequence::ServiceRemoved { .. }]), "{plan:?}");
    assert_eq!(plan.changes[0].what, What::Removed { parts: 2 });

    let drained = planned(SERVICE, &SERVICE.replace("weight 1", "weight 0"));
    let emptied = |it: &&Consequence| matches!(it, Consequence::ServiceEmptied { sorry: false, .. });
    assert_eq!(drained.consequences.iter().filter(emptied).count(), 1, "{drained:?}");

    let one = SERVICE.replace("192.168.1.12", "192.168.1.13");
    let plan = planned(SERVICE, &one);
    let [Consequence::ServerRemoved { server }, Consequence::PoolShrinks { pool, quorum: 1, .. }] =
        &plan.consequences[..]
    else {
        panic!("{plan:?}")
    };
    assert_eq!(server.to_string(), "192.168.1.12:80");
    let starts: Vec<bool> = pool.iter().map(|it| it.starts_up).collect();
    assert_eq!(starts, [false, true]);
}

#[test]
fn a_plan_of_a_large_file_is_made_quickly_enough_to_wait_for() {
    let text = |weight: u32| -> String {
        (0..1_000)
            .map(|number| {
                let (high, low) = (number / 250, number % 250);
                let servers: String = (1..=4)
                    .map(|server| {
                        format!("real_server 10.1.{high}.{server} {number} {{\nweight {weight}\nTCP_CHECK {{\n}}\n}}\n")
                    })
                    .collect();
                format!("virtual_server 10.0.{high}.{low} 80 {{\nprotocol TCP\n{servers}}}\n")
            })
            .collect()
    };
    let (old, new) = (load(&text(1)).config, load(&text(2)).config);
    let plan = plan(&old, &new);
    assert_eq!(plan.changes.len(), 4_000);
    assert!(plan.consequences.is_empty());
}
