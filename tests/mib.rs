//! `mibs/KEEPALIVED-MIB.txt` against the list of every node that it must have, as net-snmp and libsmi read it; and what
//! is served against the same list.
//!
//! Needs `snmptranslate` (package snmp) and `smilint`, `smidump` (package smitools): `make setup` installs them.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::Command;

use keepwatch::mib::ROOT;
use keepwatch::mib::table::{Part, Syntax};
use keepwatch::mib::tree::PARTS;

/// A line of `tests/mib/keepalived-mib.tsv`.
#[derive(Debug)]
struct Node {
    oid: String,
    name: String,
    kind: String,
    syntax: String,
    units: String,
    access: String,
    /// INDEX of entries and columns; `OBJECTS`, `MEMBERS` or `MANDATORY` of what has those.
    index: String,
    status: String,
}

fn nodes() -> Vec<Node> {
    let lines = include_str!("mib/keepalived-mib.tsv").lines().skip(1);
    let nodes: Vec<Node> = lines
        .map(|line| {
            let field: Vec<&str> = line.split('\t').collect();
            let field = |n: usize| field[n].to_owned();
            Node {
                oid: field(0),
                name: field(1),
                kind: field(2),
                syntax: field(3),
                units: field(4),
                access: field(5),
                index: field(6),
                status: field(9),
            }
        })
        .collect();
    assert_eq!(nodes.len(), 528);
    nodes
}

#[allow(clippy::disallowed_methods)]
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("SMIPATH", "mibs:mibs/base")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program} ({error}); `make setup` installs it"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.trim().is_empty(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What net-snmp makes of a node.
#[derive(Debug, Default, Clone)]
struct Read {
    kind: String,
    oid: String,
    convention: String,
    fields: BTreeMap<String, String>,
}

/// `snmptranslate -Td` of every node, by name.
fn net_snmp(names: &[String]) -> BTreeMap<String, Read> {
    let names: Vec<String> = names.iter().map(|name| format!("KEEPALIVED-MIB::{name}")).collect();
    let mut arguments = vec!["-M", "mibs:mibs/base", "-m", "KEEPALIVED-MIB", "-Td"];
    arguments.extend(names.iter().map(String::as_str));
    let text = run("snmptranslate", &arguments);
    let (mut all, mut read, mut name) = (BTreeMap::new(), Read::default(), String::new());
    for line in text.lines() {
        if line.starts_with("KEEPALIVED-MIB::") {
            (read, name) = (Read::default(), String::new());
        } else if let Some(path) = line.strip_prefix("::= {") {
            let number = |word: &str| word.rsplit(['(', ' ']).next().unwrap().trim_end_matches(')').to_owned();
            let words = path.trim_end_matches('}').split_whitespace();
            read.oid = words.map(number).collect::<Vec<_>>().join(".");
            all.insert(std::mem::take(&mut name), std::mem::take(&mut read));
        } else if let Some(convention) = line.trim().strip_prefix("-- TEXTUAL CONVENTION ") {
            read.convention = convention.to_owned();
        } else if name.is_empty() {
            let (first, kind) = line.split_once(' ').unwrap_or_default();
            (name, read.kind) = (first.to_owned(), kind.to_owned());
        } else if let Some((field, value)) = line.trim().split_once('\t') {
            read.fields.insert(field.trim().to_owned(), value.trim().to_owned());
        }
    }
    all
}

/// `SYNTAX` as the list writes it: `Name=INTEGER{a(1),b(2)}`, `Unsigned32(1..255)`.
fn syntax(read: &Read) -> String {
    let base = read.fields.get("SYNTAX").cloned().unwrap_or_default().replace("OCTET STRING", "OCTET-STRING");
    let base: String = base.split_whitespace().collect();
    let base =
        base.replace("OCTET-STRING(0..255)", "OCTET-STRING(SIZE(0..255))").replace("OCTET-STRING", "OCTET STRING");
    if read.convention.is_empty() { base } else { format!("{}={base}", read.convention) }
}

fn list(text: &str) -> Vec<&str> {
    text.trim_matches(['{', '}', ' ', '"']).split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

#[test]
fn libsmi_loads_the_module_without_a_word() {
    assert_eq!(run("smilint", &["-l", "3", "mibs/KEEPALIVED-MIB.txt"]), "");
}

#[test]
fn every_node_is_in_the_module_with_its_number_syntax_access_index_and_objects() {
    let nodes = nodes();
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let read = net_snmp(&names);
    for node in &nodes {
        let have = read.get(&node.name).unwrap_or_else(|| panic!("{} is missing", node.name));
        let field = |name: &str| have.fields.get(name).map(String::as_str).unwrap_or_default();
        let kind = match &*node.kind {
            "notification" => "NOTIFICATION-TYPE",
            // Net-snmp 5.9 has no word for NOTIFICATION-GROUP; libsmi checks it.
            "group" if node.index.contains("StateChange") => "type_23",
            "group" => "OBJECT-GROUP",
            "compliance" => "MODULE-COMPLIANCE",
            "node" if node.name == "keepalived" => "MODULE-IDENTITY",
            _ => "OBJECT-TYPE",
        };
        assert_eq!((&have.oid, &*have.kind), (&node.oid, kind), "{}", node.name);
        match &*node.kind {
            "scalar" | "column" => {
                assert_eq!(syntax(have), node.syntax, "{}", node.name);
                assert_eq!(field("MAX-ACCESS"), node.access, "{}", node.name);
                assert_eq!(field("STATUS"), node.status, "{}", node.name);
                assert_eq!(field("UNITS").trim_matches('"'), node.units, "{}", node.name);
            }
            "entry" => {
                assert_eq!(list(field("INDEX")), list(&node.index), "{}", node.name);
                assert_eq!(field("MAX-ACCESS"), "not-accessible", "{}", node.name);
            }
            "notification" => {
                assert_eq!(list(field("OBJECTS")), list(node.index.trim_start_matches("OBJECTS ")), "{}", node.name);
            }
            _ => {}
        }
    }
}

#[test]
fn the_module_has_nothing_else() {
    let nodes = nodes();
    let dump = run("smidump", &["-f", "identifiers", "mibs/KEEPALIVED-MIB.txt"]);
    for line in dump.lines().filter(|line| line.starts_with("KEEPALIVED-MIB ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let known = words[2] == "type" || nodes.iter().any(|node| node.name == words[1]);
        assert!(known, "{line}");
    }
}

#[test]
fn groups_and_compliance_statements_have_their_members() {
    let dump = run("smidump", &["-f", "xml", "mibs/KEEPALIVED-MIB.txt"]);
    let name = |line: &str| line.split_once("name=\"").and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()));
    let (mut members, mut owner) = (BTreeMap::<String, Vec<String>>::new(), String::new());
    for line in dump.lines().map(str::trim) {
        if line.starts_with("<group name=") || line.starts_with("<compliance name=") {
            owner = name(line).unwrap();
        } else if line.starts_with("<member ") || line.starts_with("<mandatory ") {
            members.entry(owner.clone()).or_default().push(name(line).unwrap());
        }
    }
    let mut checked = 0;
    for node in nodes().iter().filter(|node| node.kind == "group" || node.kind == "compliance") {
        let wanted = node.index.split_once(' ').unwrap().1;
        assert_eq!(members[&node.name], list(wanted), "{}", node.name);
        checked += 1;
    }
    assert_eq!(checked, 20);
}

#[test]
fn what_is_served_agrees_with_the_module_in_name_number_syntax_and_access() {
    let nodes = nodes();
    let by_name: BTreeMap<&str, &Node> = nodes.iter().map(|node| (&*node.name, node)).collect();
    let oid = |below: &[u32]| ROOT.iter().chain(below).map(u32::to_string).collect::<Vec<_>>().join(".");
    let object = |name: &str, id: &[u32], syntax: Syntax, access: &str| {
        let node = by_name[name];
        assert_eq!((&node.oid, &*node.syntax, &*node.access), (&oid(id), syntax.text, access), "{name}");
    };
    for part in PARTS {
        assert_eq!(by_name[part.name].oid, oid(part.root));
        for scalar in part.scalars {
            object(scalar.name, scalar.id, scalar.syntax, "read-only");
        }
        for table in part.tables {
            let entry = table.entry();
            let (_, of_table) = entry.split_last().unwrap();
            assert_eq!(by_name[table.name()].oid, oid(of_table));
            let columns = table.columns();
            assert!(columns.is_sorted_by(|a, b| a.id < b.id), "{}", table.name());
            for column in &columns {
                object(column.name, &[entry, &[column.id]].concat(), column.syntax, column.access.text());
            }
            // Every accessible column of a table that is served is served.
            let below = format!("{}.", oid(entry));
            let of_module = nodes.iter().filter(|node| node.oid.starts_with(&below) && node.access != "not-accessible");
            assert_eq!(columns.len(), of_module.clone().count(), "{}", table.name());
            for node in of_module {
                assert_eq!(list(&node.index), table.index(), "{}", node.name);
            }
        }
        for notification in part.notifications {
            let node = by_name[notification.name];
            assert_eq!(node.oid, oid(notification.id));
            assert_eq!(list(node.index.trim_start_matches("OBJECTS ")), notification.objects);
        }
    }
    // The global and the check part are whole.
    let of_module = |part: &Part, kind: &str| {
        let below = format!("{}.", oid(part.root));
        nodes.iter().filter(|node| node.kind == kind && node.oid.starts_with(&below)).count()
    };
    for part in PARTS.into_iter().filter(|part| part.name != "vrrp") {
        let served = [part.scalars.len(), part.tables.len(), part.notifications.len()];
        assert_eq!(served, ["scalar", "table", "notification"].map(|kind| of_module(part, kind)), "{}", part.name);
    }
}
