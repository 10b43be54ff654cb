//! The modules in `mibs/` against the lists of every node that they must have, as net-snmp and libsmi read them; and what is
//! served against the same lists.
//!
//! Needs `snmptranslate` (package snmp) and `smilint`, `smidump` (package smitools): `make setup` installs them.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::Command;

use keepwatch::mib::table::{Part, Syntax};
use keepwatch::mib::tree::PARTS;

/// A module and its list.
struct Module {
    name: &'static str,
    /// The name of its MODULE-IDENTITY.
    identity: &'static str,
    list: &'static str,
    nodes: usize,
    /// Groups and compliance statements.
    groups: usize,
}

const MODULES: [Module; 3] = [
    Module {
        name: "KEEPALIVED-MIB",
        identity: "keepalived",
        list: include_str!("mib/keepalived-mib.tsv"),
        nodes: 528,
        groups: 20,
    },
    Module { name: "VRRP-MIB", identity: "vrrpMIB", list: include_str!("mib/vrrp-mib.tsv"), nodes: 56, groups: 5 },
    Module {
        name: "VRRPV3-MIB",
        identity: "vrrpv3MIB",
        list: include_str!("mib/vrrpv3-mib.tsv"),
        nodes: 55,
        groups: 7,
    },
];

/// A line of a list.
#[derive(Debug)]
struct Node {
    oid: String,
    name: String,
    kind: String,
    syntax: String,
    /// Of DEFVAL.
    default: String,
    units: String,
    access: String,
    /// INDEX of entries and columns, or `AUGMENTS` and an entry; `OBJECTS`, `MEMBERS` or `MANDATORY` of what has those.
    index: String,
    status: String,
}

impl Module {
    fn file(&self) -> String {
        format!("mibs/{}.txt", self.name)
    }

    fn nodes(&self) -> Vec<Node> {
        let lines = self.list.lines().skip(1);
        let nodes: Vec<Node> = lines
            .map(|line| {
                let field: Vec<&str> = line.split('\t').collect();
                let field = |n: usize| field[n].to_owned();
                let syntax = field(3);
                let (syntax, default) = syntax.split_once(" DEFVAL ").unwrap_or((&syntax, ""));
                Node {
                    oid: field(0),
                    name: field(1),
                    kind: field(2),
                    syntax: syntax.to_owned(),
                    default: default.to_owned(),
                    units: field(4),
                    access: field(5),
                    index: field(6),
                    status: field(9),
                }
            })
            .collect();
        assert_eq!(nodes.len(), self.nodes, "{}", self.name);
        nodes
    }
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
fn net_snmp(module: &str, names: &[String]) -> BTreeMap<String, Read> {
    let qualified = format!("{module}::");
    let names: Vec<String> = names.iter().map(|name| format!("{qualified}{name}")).collect();
    let mut arguments = vec!["-M", "mibs:mibs/base", "-m", module, "-Td"];
    arguments.extend(names.iter().map(String::as_str));
    let text = run("snmptranslate", &arguments);
    let (mut all, mut read, mut name) = (BTreeMap::new(), Read::default(), String::new());
    for line in text.lines() {
        if line.starts_with(&qualified) {
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

/// `SYNTAX` as the lists write it: `Name=INTEGER{a(1),b(2)}`, `Unsigned32(1..255)`, and `Name(1..4095)` where an object
/// narrows a convention down.
fn syntax(read: &Read) -> String {
    let base = read.fields.get("SYNTAX").cloned().unwrap_or_default().replace("OCTET STRING", "OCTET-STRING");
    let mut base: String = base.split_whitespace().collect();
    if let Some(sizes) = base.strip_prefix("OCTET-STRING(") {
        base = format!("OCTET STRING(SIZE({sizes})");
    }
    let base = base.replace("OCTET-STRING", "OCTET STRING");
    match &*read.convention {
        "" => base,
        "TimeInterval" | "InetAddress" if !base.ends_with("(SIZE(0..255))") => {
            format!("{}{}", read.convention, &base[base.find('(').unwrap()..])
        }
        convention => format!("{convention}={base}"),
    }
}

/// `DEFVAL`; an address is printed as a number.
fn default(read: &Read) -> String {
    let default = read.fields.get("DEFVAL").map(|text| text.trim_matches(['{', '}', ' '])).unwrap_or_default();
    let is_address = read.fields.get("SYNTAX").is_some_and(|syntax| syntax == "IpAddress");
    if is_address && default == "0" { "0x00000000".to_owned() } else { default.to_owned() }
}

fn list(text: &str) -> Vec<&str> {
    text.trim_matches(['{', '}', ' ', '"']).split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

#[test]
fn libsmi_loads_the_modules_without_a_word() {
    for module in &MODULES {
        assert_eq!(run("smilint", &["-l", "3", &module.file()]), "");
    }
}

#[test]
fn every_node_is_in_its_module_with_its_number_syntax_access_index_and_objects() {
    MODULES.iter().for_each(every_node_is_there);
}

fn every_node_is_there(module: &Module) {
    let nodes = module.nodes();
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let read = net_snmp(module.name, &names);
    let notifications: Vec<&str> =
        nodes.iter().filter(|node| node.kind == "notification").map(|node| node.name.as_str()).collect();
    for node in &nodes {
        let have = read.get(&node.name).unwrap_or_else(|| panic!("{} is missing", node.name));
        let field = |name: &str| have.fields.get(name).map(String::as_str).unwrap_or_default();
        let members = || list(node.index.split_once(' ').unwrap().1);
        let kind = match &*node.kind {
            "notification" => "NOTIFICATION-TYPE",
            // Net-snmp 5.9 has no word for NOTIFICATION-GROUP; libsmi checks it.
            "group" if members().iter().any(|member| notifications.contains(member)) => "type_23",
            "group" => "OBJECT-GROUP",
            "compliance" => "MODULE-COMPLIANCE",
            "node" if node.name == module.identity => "MODULE-IDENTITY",
            _ => "OBJECT-TYPE",
        };
        assert_eq!((&have.oid, &*have.kind), (&node.oid, kind), "{}", node.name);
        match &*node.kind {
            "scalar" | "column" => {
                assert_eq!(syntax(have), node.syntax, "{}", node.name);
                assert_eq!(default(have), node.default, "{}", node.name);
                assert_eq!(field("MAX-ACCESS"), node.access, "{}", node.name);
                assert_eq!(field("STATUS"), node.status, "{}", node.name);
                assert_eq!(field("UNITS").trim_matches('"'), node.units, "{}", node.name);
            }
            "entry" => {
                match node.index.strip_prefix("AUGMENTS ") {
                    Some(of) => assert_eq!(list(field("AUGMENTS")), [of], "{}", node.name),
                    None => assert_eq!(list(field("INDEX")), list(&node.index), "{}", node.name),
                }
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
fn the_modules_have_nothing_else() {
    for module in &MODULES {
        let nodes = module.nodes();
        let dump = run("smidump", &["-f", "identifiers", &module.file()]);
        let begins = format!("{} ", module.name);
        let lines: Vec<&str> = dump.lines().filter(|line| line.starts_with(&begins)).collect();
        assert!(lines.len() >= nodes.len(), "{}", module.name);
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            let known = words[2] == "type" || nodes.iter().any(|node| node.name == words[1]);
            assert!(known, "{line}");
        }
    }
}

#[test]
fn groups_and_compliance_statements_have_their_members() {
    MODULES.iter().for_each(groups_have_their_members);
}

fn groups_have_their_members(module: &Module) {
    let dump = run("smidump", &["-f", "xml", &module.file()]);
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
    for node in module.nodes().iter().filter(|node| node.kind == "group" || node.kind == "compliance") {
        let wanted = node.index.split_once(' ').unwrap().1;
        assert_eq!(members[&node.name], list(wanted), "{}", node.name);
        checked += 1;
    }
    assert_eq!(checked, module.groups);
}

#[test]
fn what_is_served_agrees_with_the_modules_in_name_number_syntax_and_access() {
    MODULES.iter().for_each(what_is_served_agrees);
    assert!(PARTS.iter().all(|part| MODULES.iter().any(|module| module.name == part.module.name)));
}

/// Read-write in its module, and as little to be set as everything else there.
const NOT_READ_ONLY: &str = "vrrpNotificationCntl";

fn what_is_served_agrees(module: &Module) {
    let nodes = module.nodes();
    let by_name: BTreeMap<&str, &Node> = nodes.iter().map(|node| (&*node.name, node)).collect();
    let parts: Vec<&Part> = PARTS.into_iter().filter(|part| part.module.name == module.name).collect();
    let root = parts.first().unwrap_or_else(|| panic!("{} is not served", module.name)).module.root;
    let oid = |below: &[u32]| root.iter().chain(below).map(u32::to_string).collect::<Vec<_>>().join(".");
    assert_eq!(by_name[module.identity].oid, oid(&[]));
    let object = |name: &str, id: &[u32], syntax: Syntax, access: &str| {
        let node = by_name[name];
        assert_eq!((&node.oid, &*node.syntax, &*node.access), (&oid(id), syntax.text, access), "{name}");
    };
    // What the row of an entry is numbered by.
    let index = |node: &Node| -> Vec<String> {
        let of = node.index.strip_prefix("AUGMENTS ").map_or(node, |augmented| by_name[augmented]);
        list(&of.index).into_iter().map(str::to_owned).collect()
    };
    for part in &parts {
        assert_eq!(by_name[part.name].oid, oid(part.root));
        for scalar in part.scalars {
            let access = if scalar.name == NOT_READ_ONLY { "read-write" } else { "read-only" };
            object(scalar.name, scalar.id, scalar.syntax, access);
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
                assert_eq!(index(node), table.index(), "{}", node.name);
            }
        }
        for notification in part.notifications {
            let node = by_name[notification.name];
            assert_eq!(node.oid, oid(notification.id));
            assert_eq!(list(node.index.trim_start_matches("OBJECTS ")), notification.objects);
        }
    }
    // All parts but one are whole. What only notifications carry is not served.
    let of_module = |part: &Part, kind: &str| {
        let below = format!("{}.", oid(part.root));
        let served = |node: &&Node| node.kind == kind && node.access != "accessible-for-notify";
        nodes.iter().filter(served).filter(|node| node.oid.starts_with(&below)).count()
    };
    for part in parts.into_iter().filter(|part| part.name != "vrrp") {
        let served = [part.scalars.len(), part.tables.len(), part.notifications.len()];
        assert_eq!(served, ["scalar", "table", "notification"].map(|kind| of_module(part, kind)), "{}", part.name);
    }
}
