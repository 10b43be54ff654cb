//! From the text of a recording's configuration to its walk: loaded, run by the check engine on a kernel that takes
//! everything, against real servers that are well, and shown by the tables.

use keepwatch::bus::msg::{Feed, Source};
use keepwatch::check::engine::{Engine, EngineOptions};
use keepwatch::check::io::{Input, Outcome, Output};
use keepwatch::clock::{Instant, WallTime};
use keepwatch::mib::ROOT;
use keepwatch::mib::tree::Tree;
use keepwatch::store::{Snapshot, Store};
use keepwatch::wire::oid::Oid;
use keepwatch::wire::value::{Value, VarBind};

use std::sync::Arc;
use std::time::Duration;

use super::*;
use keepwatch::conf::model::Snmp;

const CHECK_GROUP: &str = ".1.3.6.1.4.1.9586.100.5.3.";

/// The rows of an engine whose checks have all passed.
fn settled(name: &str) -> Arc<Snapshot> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/seeds").join(name);
    let mut memory = Memory::default().with("k.conf", std::fs::read(path).unwrap());
    for program in ["/usr/bin/true", "/usr/bin/test"] {
        memory = memory.with(program, "").mode(program, 0o755);
    }
    let config = conf::load("k.conf", &Options::default(), &memory, &AnyHost).config;
    let mut now = Instant::from_nanos(1_000_000_000_000);
    let mut engine = Engine::new(&config, EngineOptions::default(), now, WallTime(0));
    let mut inputs = std::collections::VecDeque::from([Input::Table(vec![]), Input::Wake]);
    // Long enough for every first check and its warm-up.
    let end = now + Duration::from_secs(30);
    loop {
        while let Some(input) = inputs.pop_front() {
            let mut out = vec![];
            engine.handle(input, now, &mut out);
            for output in out {
                match output {
                    Output::Kernel { batch, ops } => {
                        inputs.extend((0..ops.len()).map(|index| Input::Kernel { batch, index, error: None }));
                    }
                    Output::Probe { checker, attempt, .. } => {
                        inputs.push_back(Input::Probed {
                            checker,
                            attempt,
                            outcome: Outcome::Passed,
                            began: now,
                            took_us: 100,
                        });
                    }
                    _ => {}
                }
            }
        }
        match engine.deadline().filter(|at| *at <= end) {
            Some(at) => now = at.max(now),
            None => break,
        }
        inputs.push_back(Input::Wake);
    }
    let mut store = Store::new();
    store.apply(Source::Checks, Feed::Begin { generation: 1, config: 1, full: true }).unwrap();
    for key in engine.keys() {
        let row = engine.row(&key).unwrap();
        store.apply(Source::Checks, Feed::Row(key, row)).unwrap();
    }
    store.apply(Source::Checks, Feed::Commit { edges_dropped: 0 }).unwrap();
    store.snapshot()
}

/// The line of `snmpwalk -One` without MIBs.
pub(super) fn line(varbind: &VarBind) -> String {
    let value = match &varbind.value {
        Value::OctetString(octets) if octets.is_empty() => "\"\"".to_owned(),
        Value::Integer(value) => format!("INTEGER: {value}"),
        Value::Gauge32(value) => format!("Gauge32: {value}"),
        Value::Counter32(value) => format!("Counter32: {value}"),
        Value::Counter64(value) => format!("Counter64: {value}"),
        Value::OctetString(octets) if octets.iter().all(|octet| (b' '..=b'~').contains(octet)) => {
            format!("STRING: \"{}\"", String::from_utf8_lossy(octets))
        }
        Value::OctetString(octets) => {
            format!("Hex-STRING: {}", octets.iter().map(|octet| format!("{octet:02X} ")).collect::<String>())
        }
        other => format!("{other:?}"),
    };
    format!("{} = {value}", varbind.name)
}

/// Without what the kernel counts: there was no traffic here.
fn is_counted(line: &str) -> bool {
    let column = |entry: &str| {
        let below = line.strip_prefix(CHECK_GROUP)?.strip_prefix(entry)?;
        below.split('.').next()?.parse::<u32>().ok()
    };
    matches!(column("3.1."), Some(27..=36 | 38..=50 | 74..=78)) || matches!(column("4.1."), Some(14..=39 | 58..=62))
}

fn walked(name: &str) -> Vec<String> {
    let snmp = Snmp { checker: true, ..Snmp::default() };
    let (tree, snapshot) = (Tree::new(&snmp, &[Source::Checks]), settled(name));
    let (mut lines, mut at) = (vec![], Oid::new(ROOT).with(&[3]));
    let look = keepwatch::mib::table::Look { snapshot: &snapshot, moment: Default::default() };
    while let Some(next) = tree.next(look, &at, false, &Oid::default()) {
        lines.push(line(&next));
        at = next.name;
    }
    lines.retain(|line| !is_counted(line));
    lines
}

fn recorded(walk: &str, wrong: &[(&str, Option<&str>)]) -> Vec<String> {
    let lines = walk.lines().filter(|line| line.starts_with(CHECK_GROUP) && !is_counted(line));
    let right = |line: &str| match wrong.iter().find(|(from, _)| line == format!("{CHECK_GROUP}{from}")) {
        Some((_, to)) => to.map(|to| format!("{CHECK_GROUP}{to}")),
        None => Some(line.to_owned()),
    };
    lines.filter_map(right).collect()
}

#[test]
fn the_load_balancer_of_the_seed_is_shown_as_keepalived_shows_it() {
    // B14: one granularity, by family.
    let wrong = [
        ("3.1.51.1 = Gauge32: 4294967295", None),
        ("3.1.15.2 = Hex-STRING: FF FF FF FF ", None),
        ("3.1.51.2 = Gauge32: 4294967295", Some("3.1.51.2 = Gauge32: 128")),
    ];
    let walk = include_str!("../../agentx-tests/oracle/02-seed-ipvs/walk-numeric.txt");
    assert_eq!(walked("02-seed-ipvs.conf"), recorded(walk, &wrong));
}

#[test]
fn marks_groups_quorums_and_sorry_servers_are_shown_as_keepalived_shows_them() {
    let wrong = [
        ("3.1.51.1 = Gauge32: 16777215", None),
        ("3.1.51.3 = Gauge32: 4294967295", None),
        ("3.1.15.4 = Hex-STRING: FF FF FF FF ", None),
        ("3.1.51.4 = Gauge32: 4294967295", Some("3.1.51.4 = Gauge32: 128")),
    ];
    let walk = include_str!("../../agentx-tests/oracle/06-fwmark-quorum/walk-numeric.txt");
    let mut shown = walked("06-fwmark-quorum.conf");
    // B7: v2.4.3 dies of this column where there is a sorry server.
    shown.retain(|line| !line.starts_with(&format!("{CHECK_GROUP}4.1.63.")));
    assert_eq!(shown, recorded(walk, &wrong));
}
