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

const SIZES: [u32; 3] = [1, 100, 250];
/// The best of so many counts: what disturbs a walk only makes it longer.
const TIMES: usize = 12;
/// Of a walk that takes no longer than the tool to start.
const TIMES_OF_SHORT: usize = 50;
/// Rows that snmpbulkwalk asks for at once.
const REPETITIONS: &str = "-Cr50";

/// Who is walked.
const NAMES: [&str; 3] = ["keepwatchd", "limit", "keepalived"];

pub fn bench() {
    println!(
        "\nWalks of KEEPALIVED-MIB through snmpd, in turns, the best of many; `limit` is a subagent that answers from a sorted list"
    );
    println!(
        "{:>9} {:<11} {:>7} {:>10} {:>10} {:>14} {:>10} {:>12}",
        "instances", "", "rows", "snmpwalk s", "rows/s", "snmpbulkwalk s", "rows/s", "row / first"
    );
    // Seconds per row of each in the smallest table that is large enough to tell.
    let mut first = [None; 3];
    for instances in SIZES {
        let ours = Host::of_program(Program::Keepwatch, instances);
        let hosts = [&ours, &Host::of_list(ours.rows.clone()), &Host::of_program(Program::Keepalived, instances)];
        let tools = [&["snmpwalk"][..], &["snmpbulkwalk", REPETITIONS][..]];
        // In turns: whatever else this machine does hits all of them alike.
        let best = tools.map(|tool| {
            let mut best = [f64::INFINITY; 3];
            for _ in 0..if instances == 1 { TIMES_OF_SHORT } else { TIMES } {
                for (best, host) in best.iter_mut().zip(hosts) {
                    *best = best.min(host.time(tool));
                }
            }
            best
        });
        let rate = |tool: usize, at: usize| hosts[at].rows.len() as f64 / best[tool][at];
        for (at, name) in NAMES.iter().enumerate() {
            let flat = match (instances, first[at]) {
                (1, _) => None,
                (_, None) => {
                    first[at] = Some(rate(1, at));
                    Some(1.0)
                }
                (_, Some(first)) => Some(first / rate(1, at)),
            };
            println!(
                "{instances:>9} {name:<11} {:>7} {:>10.3} {:>10.0} {:>14.3} {:>10.0} {:>12}",
                hosts[at].rows.len(),
                best[0][at],
                rate(0, at),
                best[1][at],
                rate(1, at),
                flat.map_or("-".to_owned(), |flat| format!("{flat:.2}")),
            );
        }
        let ratio = |tool: usize, other: usize| rate(tool, 0) / rate(tool, other);
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

/// A router with its own snmpd, and who is served through it.
struct Host {
    /// What a walk shows.
    rows: Vec<VarBind>,
    _daemon: Option<Daemon>,
    _list: Option<Subagent>,
    _snmpd: Snmpd,
    node: Node,
    _lab: Lab,
}

impl Host {
    fn of_program(program: Program, instances: u32) -> Host {
        let (lab, node) = host();
        let snmpd = Snmpd::start(&node, None);
        let agentx = snmpd.agentx();
        let options = Options { agentx: Some(&agentx), ..Options::default() };
        let daemon = Daemon::start(&node, program, &configuration(instances), options);
        let masters = || node.addresses().iter().filter(|address| address.ends_with("/32")).count();
        let settled = within(Duration::from_secs(60), || (masters() == instances as usize).then_some(()));
        assert!(settled.is_some(), "{} is master of {} only; it said:\n{}", program.name(), masters(), daemon.log());
        // Gratuitous ARP is repeated after 5 s; that is not what is measured.
        observe(Duration::from_secs(7));
        let rows: Vec<VarBind> = walk(&node, &["snmpbulkwalk", REPETITIONS]).lines().filter_map(row).collect();
        assert!(rows.len() > 20 * instances as usize, "{}: a walk shows {} rows only", program.name(), rows.len());
        Host { rows, _daemon: Some(daemon), _list: None, _snmpd: snmpd, node, _lab: lab }
    }

    fn of_list(rows: Vec<VarBind>) -> Host {
        let (lab, node) = host();
        let snmpd = Snmpd::start(&node, None);
        let agentx = snmpd.agentx();
        let socket = agentx.strip_prefix("unix:").unwrap_or(&agentx);
        let subtrees =
            Tree::new(&Snmp { vrrp: true, checker: true, ..Snmp::default() }, &[Source::Vrrp]).registrations();
        let list = Subagent::start(Path::new(socket), &subtrees, rows.clone());
        let list = list.unwrap_or_else(|error| panic!("the list: {error}"));
        Host { rows, _daemon: None, _list: Some(list), _snmpd: snmpd, node, _lab: lab }
    }

    /// Seconds of one walk.
    fn time(&self, tool: &[&str]) -> f64 {
        let began = Instant::now();
        let found = lines_of_walk(&self.node, tool);
        assert_eq!(found, self.rows.len(), "{tool:?}");
        began.elapsed().as_secs_f64()
    }
}

pub fn host() -> (Lab, Node) {
    let lab = Lab::new();
    let (switch, node) = (lab.switch(), lab.node("R1"));
    lab.connect(&node, &switch, Nic { name: "eth0", addresses: &["10.0.255.1/16"], ..Nic::default() });
    (lab, node)
}

/// How many variables a walk of everything shows.
pub fn lines_of_walk(node: &Node, tool: &[&str]) -> usize {
    walk(node, tool).lines().filter(|line| line.starts_with('.')).count()
}

fn walk(node: &Node, tool: &[&str]) -> String {
    let options = ["-v2c", "-c", "public", "-r0", "-t30", "-m", "", "-One", "127.0.0.1", KEEPALIVED];
    let mut command = node.command(&[tool, &options[..]].concat());
    command.env("MIBS", "");
    must(command)
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

pub fn configuration(instances: u32) -> String {
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
