//! Walks through the same snmpd: keepwatchd, keepalived, and a subagent that answers at once from a list.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Nic, Node};
use agentx_tests::process::must;
use agentx_tests::snmp::{KEEPALIVED, Snmpd};
use agentx_tests::subagent::Subagent;
use agentx_tests::wait::{observe, within};
use keepwatch::bus::msg::Source;
use keepwatch::conf::model::Snmp;
use keepwatch::mib::tree::Tree;
use keepwatch::wire::oid::Oid;
use keepwatch::wire::value::{Value, VarBind};

use super::PROGRAMS;

const SIZES: [u32; 3] = [1, 100, 250];
/// The best of so many counts: what disturbs a walk only makes it longer.
const TIMES: usize = 5;
/// Rows that snmpbulkwalk asks for at once.
const REPETITIONS: &str = "-Cr50";

/// One tool's walk of everything below KEEPALIVED-MIB.
#[derive(Debug, Clone, Copy)]
struct Walk {
    rows: usize,
    seconds: f64,
}

impl Walk {
    fn per_second(self) -> f64 {
        self.rows as f64 / self.seconds
    }
}

pub fn bench() {
    println!(
        "\nWalks of KEEPALIVED-MIB through snmpd, best of {TIMES}; `limit` is a subagent that answers from a sorted list"
    );
    println!(
        "{:>9} {:<11} {:>7} {:>10} {:>10} {:>13} {:>10} {:>10}",
        "instances", "", "rows", "snmpwalk s", "rows/s", "snmpbulkwalk s", "rows/s", "per row"
    );
    let mut first = [None; 3];
    for instances in SIZES {
        let [ours, theirs] = PROGRAMS.map(|program| of_program(program, instances));
        let rows = ours.1;
        let all = [("keepwatchd", ours.0), ("limit", of_list(rows)), ("keepalived", theirs.0)];
        for (at, (name, [walk, bulk])) in all.into_iter().enumerate() {
            // How much longer a row of many takes than a row of the smallest table that is large enough to tell.
            let flat = match (instances, first[at]) {
                (1, _) => None,
                (_, None) => {
                    first[at] = Some(bulk.per_second());
                    Some(1.0)
                }
                (_, Some(first)) => Some(first / bulk.per_second()),
            };
            println!(
                "{instances:>9} {name:<11} {:>7} {:>10.3} {:>10.0} {:>13.3} {:>10.0} {:>10}",
                walk.rows,
                walk.seconds,
                walk.per_second(),
                bulk.seconds,
                bulk.per_second(),
                flat.map_or("-".to_owned(), |flat| format!("{flat:.2}")),
            );
        }
        let ratio = |tool: usize, other: usize| all[0].1[tool].per_second() / all[other].1[tool].per_second();
        println!(
            "{:>9} rows/s of keepwatchd / limit = {:.2} (snmpwalk), {:.2} (snmpbulkwalk); / keepalived = {:.2}, {:.2}",
            "",
            ratio(0, 1),
            ratio(1, 1),
            ratio(0, 2),
            ratio(1, 2)
        );
    }
}

/// Both walks, and the rows that were walked.
fn of_program(program: Program, instances: u32) -> ([Walk; 2], Vec<VarBind>) {
    let (_lab, node) = host();
    let snmpd = Snmpd::start(&node, None);
    let agentx = snmpd.agentx();
    let options = Options { agentx: Some(&agentx), ..Options::default() };
    let daemon = Daemon::start(&node, program, &configuration(instances), options);
    let masters = || node.addresses().iter().filter(|address| address.ends_with("/32")).count();
    let settled = within(Duration::from_secs(60), || (masters() == instances as usize).then_some(()));
    assert!(settled.is_some(), "{} is master of {} only; it said:\n{}", program.name(), masters(), daemon.log());
    // Gratuitous ARP is repeated after 5 s; that is not what is measured.
    observe(Duration::from_secs(7));
    let rows = walked(&node);
    assert!(rows.len() > 20 * instances as usize, "{}: a walk shows {} rows only", program.name(), rows.len());
    (both(&node, rows.len()), rows)
}

fn of_list(rows: Vec<VarBind>) -> [Walk; 2] {
    let (_lab, node) = host();
    let snmpd = Snmpd::start(&node, None);
    let agentx = snmpd.agentx();
    let socket = agentx.strip_prefix("unix:").unwrap_or(&agentx);
    let subtrees = Tree::new(&Snmp { vrrp: true, checker: true, ..Snmp::default() }, &[Source::Vrrp]).registrations();
    let count = rows.len();
    let _list = Subagent::start(Path::new(socket), &subtrees, rows).unwrap_or_else(|error| panic!("the list: {error}"));
    both(&node, count)
}

fn host() -> (Lab, Node) {
    let lab = Lab::new();
    let (switch, node) = (lab.switch(), lab.node("R1"));
    lab.connect(&node, &switch, Nic { name: "eth0", addresses: &["10.0.255.1/16"], ..Nic::default() });
    (lab, node)
}

fn both(node: &Node, rows: usize) -> [Walk; 2] {
    [&["snmpwalk"][..], &["snmpbulkwalk", REPETITIONS][..]].map(|tool| {
        let once = || {
            let began = Instant::now();
            let found = walk(node, tool).lines().filter(|line| line.starts_with('.')).count();
            assert!(found * 100 >= rows * 99, "{tool:?} found {found} of {rows} rows");
            Walk { rows: found, seconds: began.elapsed().as_secs_f64() }
        };
        let shortest = (0..TIMES).map(|_| once()).min_by(|a, b| a.seconds.total_cmp(&b.seconds));
        shortest.unwrap_or(Walk { rows: 0, seconds: f64::NAN })
    })
}

fn walk(node: &Node, tool: &[&str]) -> String {
    let options = ["-v2c", "-c", "public", "-r0", "-t30", "-m", "", "-One", "127.0.0.1", KEEPALIVED];
    let mut command = node.command(&[tool, &options[..]].concat());
    command.env("MIBS", "");
    must(command)
}

fn walked(node: &Node) -> Vec<VarBind> {
    walk(node, &["snmpbulkwalk", REPETITIONS]).lines().filter_map(row).collect()
}

/// `.1.3.6 = TYPE: value` as the tools print it. Texts of several lines are not looked for: none of these has one.
fn row(line: &str) -> Option<VarBind> {
    let (name, value) = line.split_once(" = ")?;
    let name: Oid = name.parse().ok()?;
    let (kind, text) = value.split_once(": ").unwrap_or(("STRING", value));
    let value = match kind {
        "INTEGER" => Value::Integer(text.parse().ok()?),
        "Gauge32" => Value::Gauge32(text.parse().ok()?),
        "Counter32" => Value::Counter32(text.parse().ok()?),
        "Counter64" => Value::Counter64(text.parse().ok()?),
        "Timeticks" => Value::TimeTicks(text.strip_prefix('(')?.split_once(')')?.0.parse().ok()?),
        "IpAddress" => Value::IpAddress(text.split('.').map(str::parse).collect::<Result<_, _>>().ok()?),
        "Hex-STRING" => {
            let octets = text.split_whitespace().map(|octet| u8::from_str_radix(octet, 16));
            Value::OctetString(octets.collect::<Result<_, _>>().ok()?)
        }
        _ => Value::text(text.trim_matches('"')),
    };
    Some(VarBind::new(name, value))
}

fn configuration(instances: u32) -> String {
    let mut text = "global_defs {\n router_id bench\n}\n".to_owned();
    for vrid in 1..=instances {
        let _ = write!(
            text,
            "vrrp_instance VI_{vrid} {{\n interface eth0\n virtual_router_id {vrid}\n priority 100\n version 3\n advert_int 1\n \
             virtual_ipaddress {{\n 10.0.{vrid}.1/32\n }}\n}}\n"
        );
    }
    text
}
