//! The check group over the configurations of two recordings, and SETs of weights.

use std::sync::Arc;

use super::*;
use crate::bus::msg::{Command, Source};
use crate::conf::model::{Protocol, Snmp};
use crate::mib::ROOT;
use crate::mib::fixture::{self, check as rows, line};
use crate::mib::table::{Base, SetError};
use crate::mib::tree::Tree;
use crate::wire::oid::Oid;
use crate::wire::value::VarBind;

const SEED: &str = include_str!("../../../agentx-tests/oracle/02-seed-ipvs/walk-numeric.txt");
const FWMARK_QUORUM: &str = include_str!("../../../agentx-tests/oracle/06-fwmark-quorum/walk-numeric.txt");
const CHECK_GROUP: &str = ".1.3.6.1.4.1.9586.100.5.3.";

fn tree() -> Tree {
    Tree::new(&Snmp { checker: true, ..Snmp::default() }, &[Source::Checks])
}

fn oid(below_root: &str) -> Oid {
    format!("1.3.6.1.4.1.9586.100.5.{below_root}").parse().unwrap()
}

/// Every variable of the check group, in order.
fn walk(snapshot: &Snapshot) -> Vec<VarBind> {
    let tree = tree();
    let (mut found, mut name): (Vec<VarBind>, _) = (vec![], Oid::new(ROOT).with(&[3]));
    while let Some(next) = tree.next(fixture::look(snapshot), &name, false, &Oid::default()) {
        assert!(next.name > name, "{} after {name}", next.name);
        name = next.name.clone();
        found.push(next);
    }
    found
}

fn lines(snapshot: &Snapshot) -> Vec<String> {
    walk(snapshot).iter().map(line).collect()
}

/// What a right agent shows where v2.4.3 is known to be wrong: `right` maps a line below the check group to what stands
/// in its place, `missing` are lines that v2.4.3 does not have.
fn corrected(recorded: &str, right: &[(&str, Option<&str>)], missing: &[String]) -> Vec<String> {
    let mut used = 0;
    let mut lines: Vec<String> = vec![];
    for line in recorded.lines().filter(|line| line.starts_with(CHECK_GROUP)) {
        match right.iter().find(|(from, _)| line == format!("{CHECK_GROUP}{from}")) {
            Some((_, Some(to))) => lines.push(format!("{CHECK_GROUP}{to}")),
            Some((_, None)) => {}
            None => lines.push(line.to_owned()),
        }
        used += usize::from(right.iter().any(|(from, _)| line == format!("{CHECK_GROUP}{from}")));
    }
    assert_eq!(used, right.len(), "a correction does not fit the recording");
    lines.extend(missing.iter().map(|line| format!("{CHECK_GROUP}{line}")));
    let arcs = |line: &str| line.split_once(" = ").unwrap().0.trim_start_matches('.').parse::<Oid>().unwrap();
    lines.sort_by_key(|line| arcs(line));
    lines
}

fn assert_same(shown: &[String], wanted: &[String]) {
    for (shown, wanted) in shown.iter().zip(wanted) {
        assert_eq!(shown, wanted);
    }
    assert_eq!(shown.len(), wanted.len());
}

#[test]
fn a_walk_of_the_seeds_virtual_servers_shows_what_keepalived_shows_but_for_its_bugs() {
    // B14: one granularity, by family.
    let right = [
        ("3.1.51.1 = Gauge32: 4294967295", None),
        ("3.1.15.2 = Hex-STRING: FF FF FF FF ", None),
        ("3.1.51.2 = Gauge32: 4294967295", Some("3.1.51.2 = Gauge32: 128")),
    ];
    assert_same(&lines(&rows::seed()), &corrected(SEED, &right, &[]));
}

#[test]
fn a_walk_of_marks_groups_quorums_and_sorry_servers_shows_what_keepalived_shows_but_for_its_bugs() {
    let right = [
        // B14.
        ("3.1.51.1 = Gauge32: 16777215", None),
        ("3.1.51.3 = Gauge32: 4294967295", None),
        ("3.1.15.4 = Hex-STRING: FF FF FF FF ", None),
        ("3.1.51.4 = Gauge32: 4294967295", Some("3.1.51.4 = Gauge32: 128")),
    ];
    // B7: v2.4.3 dies of this column where there is a sorry server; its recording has none of it.
    let places = [(1, 2), (2, 4), (3, 3), (4, 2), (5, 2)];
    let column = places.iter().flat_map(|(service, servers)| (1..=*servers).map(move |n| (service, n)));
    let missing: Vec<String> = column.map(|(service, n)| format!("4.1.63.{service}.{n} = Gauge32: 0")).collect();
    assert_same(&lines(&rows::fwmark_quorum()), &corrected(FWMARK_QUORUM, &right, &missing));
}

#[test]
fn what_a_walk_finds_a_get_finds_and_it_has_the_type_of_its_column() {
    let (tree, snapshot) = (tree(), rows::fwmark_quorum());
    let columns: Vec<(Oid, Syntax)> = CHECK
        .tables
        .iter()
        .flat_map(|table| table.columns().into_iter().map(|column| (table.entry(), column)))
        .map(|(entry, column)| (Oid::new(ROOT).with(entry).with(&[column.id]), column.syntax))
        .chain(CHECK.scalars.iter().map(|scalar| (Oid::new(ROOT).with(scalar.id), scalar.syntax)))
        .collect();
    for varbind in walk(&snapshot) {
        assert_eq!(tree.get(fixture::look(&snapshot), &varbind.name), varbind.value, "{}", varbind.name);
        let (_, syntax) = columns.iter().find(|(oid, _)| varbind.name.below(oid).is_some()).unwrap();
        match (syntax.base, &varbind.value) {
            (Base::Integer, Value::Integer(value)) => {
                let names = syntax.names();
                assert!(names.is_empty() || names.iter().any(|(number, _)| number == value), "{}", varbind.name);
            }
            (Base::OctetString, Value::OctetString(_)) | (Base::Unsigned, Value::Gauge32(_)) => {}
            (Base::Counter32, Value::Counter32(_)) | (Base::Counter64, Value::Counter64(_)) => {}
            (base, value) => panic!("{}: {base:?} and {value:?}", varbind.name),
        }
    }
}

#[test]
fn counters_and_rates_beyond_32_bits_show_both_halves_and_all_64() {
    let mut all = rows::fwmark_quorum_rows();
    let stats = crate::check::table::Stats {
        connections: (3 << 32) + 7,
        packets_in: (5 << 32) + 8,
        byte_rate_out: (9 << 32) + 10,
        ..Default::default()
    };
    for (_, row) in &mut all {
        match row {
            crate::bus::rows::Row::Service(row) if row.index == 1 => row.stats = stats,
            crate::bus::rows::Row::Server(row) if row.service_index == 1 => row.load.stats = stats,
            _ => {}
        }
    }
    let snapshot = rows::committed(all).snapshot();
    let get = |name: &str| tree().get(fixture::look(&snapshot), &oid(name));
    for (low, wide, row) in [("3.3.1.27", "3.3.1.38", "1"), ("3.4.1.14", "3.4.1.27", "1.2")] {
        assert_eq!(get(&format!("{low}.{row}")), Value::Gauge32(7));
        assert_eq!(get(&format!("{wide}.{row}")), Value::Counter64((3 << 32) + 7));
    }
    assert_eq!(get("3.3.1.28.1"), Value::Counter32(8));
    for (whole, low, high, wide) in [
        ("3.3.1.36.1", "3.3.1.49.1", "3.3.1.50.1", "3.3.1.78.1"),
        ("3.4.1.26.1.1", "3.4.1.38.1.1", "3.4.1.39.1.1", "3.4.1.62.1.1"),
    ] {
        assert_eq!([whole, low, high].map(get), [10, 10, 9].map(Value::Gauge32));
        assert_eq!(get(wide), Value::Counter64((9 << 32) + 10));
    }
}

#[test]
fn tunnels_show_their_type_port_and_checksum_where_they_have_them() {
    use crate::conf::model::{Forwarding, Tunnel, TunnelChecksum};
    let shown = |forwarding| {
        let service = rows::service(rows::address_key("10.0.0.1", 80, Protocol::Tcp), crate::conf::model::Family::V4);
        let service = crate::conf::model::VirtualServer { forwarding: Some(forwarding), ..service };
        let servers = vec![(rows::server(&service, "10.0.0.2", 80, 1), Default::default())];
        let snapshot = rows::committed(rows::service_rows(1, service, Default::default(), servers)).snapshot();
        let get = |name: &str| match tree().get(fixture::look(&snapshot), &oid(name)) {
            Value::Integer(value) => Some(value),
            Value::Gauge32(value) => i32::try_from(value).ok(),
            other => (other != Value::NoSuchInstance).then_some(-1),
        };
        let of_service = ["3.3.1.10.1", "3.3.1.68.1", "3.3.1.69.1", "3.3.1.70.1"].map(get);
        let of_server = ["3.4.1.40.1.1", "3.4.1.52.1.1", "3.4.1.53.1.1", "3.4.1.54.1.1"].map(get);
        assert_eq!(of_service, of_server);
        of_server
    };
    assert_eq!(shown(Forwarding::Direct), [Some(2), None, None, None]);
    assert_eq!(shown(Forwarding::Tunnel(Tunnel::Ipip)), [Some(3), Some(1), None, None]);
    let gue = Tunnel::Gue { port: 6080, checksum: TunnelChecksum::Remote };
    assert_eq!(shown(Forwarding::Tunnel(gue)), [Some(3), Some(2), Some(6080), Some(3)]);
    let gre = Tunnel::Gre { checksum: TunnelChecksum::Checksum };
    assert_eq!(shown(Forwarding::Tunnel(gre)), [Some(3), Some(3), None, Some(2)]);
}

#[test]
fn rows_that_are_not_there_get_the_exception_and_not_the_next_row() {
    // B6.
    let (tree, snapshot) = (tree(), rows::fwmark_quorum());
    for name in ["3.4.1.7.1.3", "3.4.1.7.9.1", "3.4.1.7.2", "3.2.1.2.1.5", "3.4.1.6.2.1", "3.3.1.3.1", "3.2.1.3.1.3"] {
        assert_eq!(tree.get(fixture::look(&snapshot), &oid(name)), Value::NoSuchInstance, "{name}");
    }
    for name in ["3.4.1.1.1.1", "3.3.1.79.1", "3.5.0.1", "3.8.1.0"] {
        assert_eq!(tree.get(fixture::look(&snapshot), &oid(name)), Value::NoSuchObject, "{name}");
    }
}

fn set(snapshot: &Arc<Snapshot>, below_root: &str, value: Value) -> Result<Command, SetError> {
    tree().test_set(snapshot, &VarBind::new(oid(below_root), value))
}

#[test]
fn a_set_of_a_weight_asks_for_it_by_the_servers_name() {
    let snapshot = rows::seed();
    for weight in [0, 1, 256, 1000, 65_536, i32::MAX] {
        assert_eq!(
            set(&snapshot, "3.4.1.7.1.1", Value::Integer(weight)),
            Ok(Command::SetWeight {
                server: rows::server_key("VS_GROUP_IPv4", "192.168.1.10", 80),
                weight: u32::try_from(weight).unwrap()
            })
        );
    }
    let second = set(&snapshot, "3.4.1.7.2.4", Value::Integer(3));
    let server = rows::server_key("VS_GROUP_IPv6", "fd00::13", 80);
    assert_eq!(second, Ok(Command::SetWeight { server, weight: 3 }));
    // A sorry server moves the others down by one.
    let moved = set(&rows::fwmark_quorum(), "3.4.1.7.3.2", Value::Integer(3));
    assert_eq!(moved, Ok(Command::SetWeight { server: rows::server_key("G_MIX", "10.71.0.10", 80), weight: 3 }));
}

#[test]
fn a_weight_of_the_wrong_type_or_value_or_of_a_row_that_has_none_is_refused() {
    let snapshot = rows::fwmark_quorum();
    let refused = |name, value| set(&snapshot, name, value).unwrap_err();
    for value in [-1, -256, i32::MIN] {
        assert_eq!(refused("3.4.1.7.1.1", Value::Integer(value)), SetError::WrongValue);
    }
    for value in [Value::Gauge32(1), Value::text("1"), Value::Counter32(1), Value::TimeTicks(1), Value::Null] {
        assert_eq!(refused("3.4.1.7.1.1", value), SetError::WrongType);
    }
    // A sorry server; rows that are not there; an index column, a column that is read-only, a scalar.
    for name in [
        "3.4.1.7.2.1",
        "3.4.1.7.1.3",
        "3.4.1.7.1.0",
        "3.4.1.7.8.1",
        "3.4.1.7.1",
        "3.4.1.1.1.1",
        "3.4.1.6.1.1",
        "3.3.1.60.1",
        "3.6.1.0",
    ] {
        assert_eq!(refused(name, Value::Integer(1)), SetError::NotWritable, "{name}");
        assert_eq!(refused(name, Value::text("x")), SetError::NotWritable, "{name}: writability comes before the type");
    }
}

#[test]
fn without_virtual_routers_the_global_scalars_are_served_from_what_the_checks_process_says() {
    let snapshot = rows::fwmark_quorum();
    assert_eq!(tree().get(fixture::look(&snapshot), &oid("1.2.0")), Value::text("fw-lab"));
    let mut store = rows::committed(rows::fwmark_quorum_rows());
    fixture::commit(&mut store, 1, true, fixture::rows(fixture::global()));
    assert_eq!(
        tree().get(fixture::look(&store.snapshot()), &oid("1.2.0")),
        Value::text("L1"),
        "the vrrp process's come first"
    );
    store.forget(Source::Vrrp);
    assert_eq!(tree().get(fixture::look(&store.snapshot()), &oid("1.2.0")), Value::text("fw-lab"));
}

/// One request of a recording: the words of its command line, and the first line of what came back.
fn exchanges(recording: &str) -> Vec<(Vec<&str>, &str)> {
    let mut lines = recording.lines().take_while(|line| !line.starts_with("## reload")).peekable();
    let mut all = vec![];
    while let Some(line) = lines.next() {
        if let Some(request) = line.strip_prefix("$ ") {
            let answer = lines.next().unwrap();
            let answer = if answer == "Error in packet." { lines.next().unwrap() } else { answer };
            all.push((request.split(' ').collect(), answer));
        }
    }
    all
}

fn asked_value(kind: &str, text: &str) -> Value {
    match kind {
        "i" => Value::Integer(text.parse().unwrap()),
        "u" => Value::Gauge32(text.parse().unwrap()),
        "s" => Value::text(text),
        "x" => Value::OctetString(vec![u8::from_str_radix(text, 16).unwrap()]),
        "t" => Value::TimeTicks(text.parse().unwrap()),
        "n" => Value::Null,
        "a" => Value::IpAddress(text.split('.').map(|octet| octet.parse().unwrap()).collect()),
        other => panic!("net-snmp's type {other}"),
    }
}

/// What the tool would print first.
fn answer(snapshot: &Arc<Snapshot>, request: &[&str]) -> String {
    let below = |text: &str| text.trim_start_matches('.').parse::<Oid>().unwrap();
    let (tool, name) = (request[0], below(request[1]));
    match tool {
        "snmpget" => {
            let shown = VarBind::new(name.clone(), tree().get(fixture::look(snapshot), &name));
            if shown.value == Value::NoSuchInstance {
                format!("{name} = No Such Instance currently exists at this OID")
            } else {
                line(&shown)
            }
        }
        "snmpgetnext" => line(&tree().next(fixture::look(snapshot), &name, false, &Oid::default()).unwrap()),
        "snmpset" => {
            let varbinds =
                request[1..].chunks(3).map(|part| VarBind::new(below(part[0]), asked_value(part[1], part[2])));
            let refusal = varbinds.clone().find_map(|varbind| tree().test_set(snapshot, &varbind).err());
            match refusal {
                None => line(&varbinds.into_iter().next().unwrap()),
                Some(error) => format!("Reason: {error:?}"),
            }
        }
        other => panic!("a tool that this test does not know: {other}"),
    }
}

#[test]
fn every_set_and_read_of_the_recordings_is_answered_as_keepalived_does_or_as_the_rfcs_want() {
    let reason = |answer: &str| match answer.strip_prefix("Reason: ").and_then(|text| text.split_whitespace().next()) {
        Some(word) => format!("Reason: {}{}", word[..1].to_uppercase(), &word[1..]),
        None => answer.to_owned(),
    };
    // Each is what is right where the recorded answer is Keepalived's mistake.
    let differences = [
        // B5: a weight is not negative.
        ("7.1.1 i -1", "Reason: WrongValue"),
        ("7.1.3 i -2147483648", "Reason: WrongValue"),
        // B6: rows that are not there.
        ("7.1.5 i 1", "Reason: NotWritable"),
        ("7.1.0 i 1", "Reason: NotWritable"),
        ("7.0.1 i 1", "Reason: NotWritable"),
        ("7.1 i 1", "Reason: NotWritable"),
        ("7.1.1.1 i 1", "Reason: NotWritable"),
        ("7.1.9 i 1", "Reason: NotWritable"),
        ("2.1.5", "No Such Instance"),
        ("2.1.9", "No Such Instance"),
        ("2.1.0", "No Such Instance"),
        ("2.0.1", "No Such Instance"),
        ("2.1", "No Such Instance"),
        ("5.1.2", "No Such Instance"),
    ];
    let recordings = [
        (include_str!("../../../agentx-tests/oracle/02-seed-ipvs/sets.txt"), rows::seed()),
        (include_str!("../../../agentx-tests/oracle/06-fwmark-quorum/sets.txt"), rows::fwmark_quorum()),
    ];
    let (mut asked, mut differ) = (0, 0);
    for (recording, snapshot) in recordings {
        for (request, recorded) in exchanges(recording) {
            let have = answer(&snapshot, &request);
            asked += 1;
            if have == reason(recorded) {
                continue;
            }
            let known = differences
                .iter()
                .find(|(of, right)| request.join(" ").ends_with(&format!(".1.{of}")) && have.contains(right));
            assert!(known.is_some(), "{request:?}\n  want {recorded}\n  have {have}");
            differ += 1;
        }
    }
    assert_eq!((asked, differ), (79, 15), "requests, and those answered differently");
}
