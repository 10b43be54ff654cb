//! The load balancer under many virtual servers, keepwatchd beside keepalived. Needs a kernel with IPVS.

use std::fmt::{Display, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Node};
use agentx_tests::snmp::{KEEPALIVED, Snmpd};
use agentx_tests::wait::{observe, within};
use agentx_tests::{usage, vm};

use super::{PROGRAMS, ratio};

/// Real servers of each virtual server.
const SERVERS: usize = 4;
/// delay_loop of all virtual servers.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long anything may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(300);
/// A walk longer than this is given up, and the objects per second are those until then.
const WALK_MAX: Duration = Duration::from_secs(180);

/// False when keepwatchd did not do what was to be measured. What keepalived does not do is a result.
pub fn bench(services: usize, window: Duration) -> bool {
    println!(
        "\n{services} virtual servers with {SERVERS} real servers each, TCP_CHECK every {} s against one loopback server",
        INTERVAL.as_secs()
    );
    if vm::in_guest() {
        println!("The processor is emulated: times are long, only the ratios mean something.");
    }
    println!(
        "{:<11} {:>8} {:>8} {:>9} {:>8} {:>8} {:>9} {:>8} {:>8} {:>12}",
        "", "table s", "reload s", "PSS KiB", "walk s", "objects", "objects/s", "checks/s", "CPU s/s", "checks/CPU s"
    );
    let all = PROGRAMS.map(|program| {
        let one = of(program, services, window);
        println!(
            "{:<11} {:>8} {:>8} {:>9} {:>8} {:>8} {:>9} {:>8} {:>8} {:>12}",
            program.name(),
            cell(one.table, 2),
            cell(one.reload, 2),
            one.memory,
            if one.walked_all { format!("{:.1}", one.walk) } else { format!(">{:.0}", one.walk) },
            one.objects,
            cell(one.objects_per_second(), 0),
            cell(one.checks, 0),
            cell(one.cpu, 2),
            cell(one.checks_per_cpu_second(), 0),
        );
        for note in &one.notes {
            println!("{:>11} {note}", "");
        }
        one
    });
    let [ours, theirs] = &all;
    let compare = |name: &str, of: &dyn Fn(&Measured) -> Option<f64>| {
        if let (Some(ours), Some(theirs)) = (of(ours), of(theirs)) {
            ratio(name, &[ours, theirs]);
        }
    };
    compare("start until the table is complete", &|one| one.table);
    compare("reload", &|one| one.reload);
    compare("memory", &|one| Some(one.memory as f64));
    compare("objects walked per second", &Measured::objects_per_second);
    compare("checks per CPU second", &Measured::checks_per_cpu_second);
    ours.table.is_some() && ours.reload.is_some() && ours.walked_all && ours.checks.is_some()
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// Times in seconds; `None` for what did not happen.
#[derive(Default)]
struct Measured {
    table: Option<f64>,
    reload: Option<f64>,
    /// Shared pages divided among those who share them.
    memory: u64,
    walk: f64,
    walked_all: bool,
    objects: usize,
    /// Checks per second.
    checks: Option<f64>,
    /// CPU seconds per second, all processes.
    cpu: Option<f64>,
    notes: Vec<String>,
}

impl Measured {
    fn objects_per_second(&self) -> Option<f64> {
        (self.objects > 0).then(|| self.objects as f64 / self.walk)
    }

    fn checks_per_cpu_second(&self) -> Option<f64> {
        Some(self.checks? / self.cpu.filter(|cpu| *cpu > 0.0)?)
    }

    fn note(&mut self, note: impl Display) {
        self.notes.push(note.to_string());
    }
}

fn of(program: Program, services: usize, window: Duration) -> Measured {
    let lab = Lab::new();
    let node = lab.node("LB");
    listen(&node);
    let snmpd = Snmpd::start(&node, None);
    let agentx = snmpd.agentx();
    let mut one = Measured::default();

    let began = Instant::now();
    let options = Options { agentx: Some(&agentx), ..Options::default() };
    let mut daemon = Daemon::start(&node, program, &configuration(services, 1), options);
    let complete = || (weights(&node).len() == services * SERVERS).then(|| began.elapsed().as_secs_f64());
    one.table = within(PATIENCE, complete);
    if one.table.is_none() {
        one.note(format_args!("the table has {} of {} real servers", weights(&node).len(), services * SERVERS));
        finish(&mut one, &mut daemon);
        return one;
    }
    // Every server was checked before anything else is measured.
    observe(2 * INTERVAL);
    let (opened, used, began) = (connections(&node), usage::cpu(daemon.process.pid()), Instant::now());
    observe(window);
    let seconds = began.elapsed().as_secs_f64();
    let checks = connections(&node).saturating_sub(opened) as f64 / seconds;
    one.checks = (checks > 0.0).then_some(checks);
    one.cpu = Some(usage::cpu(daemon.process.pid()).saturating_sub(used).as_secs_f64() / seconds);
    one.memory = usage::memory(daemon.process.pid()).iter().map(|process| process.pss).sum();

    let began = Instant::now();
    daemon.reload(&configuration(services, 7));
    one.reload = within(PATIENCE, || weights(&node).contains(&7).then(|| began.elapsed().as_secs_f64()));
    if one.reload.is_none() {
        one.note(format_args!("the reload has no effect within {} s", PATIENCE.as_secs()));
    }

    let began = Instant::now();
    let limit = WALK_MAX.as_secs().to_string();
    let words = ["-v2c", "-c", "public", "-r0", "-t30", "-Cr50", "-m", "", "-On", "127.0.0.1", KEEPALIVED];
    let mut command = node.command(&[&["timeout", &limit, "snmpbulkwalk"], &words[..]].concat());
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("snmpbulkwalk: {error}"));
    one.walk = began.elapsed().as_secs_f64();
    one.objects = String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with('.')).count();
    // `timeout` has a code of its own; net-snmp's tools say what they miss and end with 1.
    one.walked_all = output.status.success() && one.objects > services * SERVERS;
    if !one.walked_all {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        one.note(format_args!("the walk ended with {}: {said}", output.status));
    }
    finish(&mut one, &mut daemon);
    one
}

/// What the log says that went wrong: children that died, above all.
fn finish(one: &mut Measured, daemon: &mut Daemon) {
    if let Some(status) = daemon.process.exited() {
        one.note(format_args!("it ended by itself: {status}"));
    }
    let log = daemon.log();
    let died = |line: &&str| ["exited due to", "exited with", "SIGSEGV", "panicked"].iter().any(|it| line.contains(it));
    for line in log.lines().filter(died).take(3) {
        one.note(line);
    }
    if one.table.is_none() || one.reload.is_none() {
        let lines: Vec<&str> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(10)..] {
            one.note(line);
        }
    }
}

/// Accepts whatever comes on port 8080 of loopback.
fn listen(node: &Node) {
    let listener = node.enter(|| TcpListener::bind("127.0.0.1:8080"));
    let listener = listener.unwrap_or_else(|error| panic!("port 8080: {error}"));
    std::thread::spawn(move || listener.incoming().for_each(drop));
}

/// Of all real servers in the kernel's table.
fn weights(node: &Node) -> Vec<u32> {
    let text = node.enter(|| std::fs::read_to_string("/proc/thread-self/net/ip_vs").unwrap_or_default());
    let weight = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("->")).then(|| words.nth(2)?.parse().ok()).flatten()
    };
    text.lines().filter_map(weight).collect()
}

/// Connections that were accepted in this namespace so far.
fn connections(node: &Node) -> u64 {
    let text = node.enter(|| std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default());
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let place = names.split_whitespace().position(|name| name == "PassiveOpens");
    place.and_then(|place| values.split_whitespace().nth(place)?.parse().ok()).unwrap_or(0)
}

/// `weight` is that of the first real server.
fn configuration(services: usize, weight: u32) -> String {
    let mut text = "global_defs {\n router_id bench\n enable_traps\n}\n".to_owned();
    for service in 0..services {
        let (high, low) = (service / 250, service % 250 + 1);
        let _ = write!(
            text,
            "virtual_server 10.90.{high}.{low} 80 {{\n delay_loop {}\n lb_algo wrr\n lb_kind NAT\n protocol TCP\n",
            INTERVAL.as_secs()
        );
        for server in 1..=SERVERS {
            let weight = if service == 0 && server == 1 { weight } else { 1 };
            let _ = write!(
                text,
                " real_server 10.{}.{high}.{low} 80 {{\n  weight {weight}\n  TCP_CHECK {{\n   connect_ip 127.0.0.1\n   \
                 connect_port 8080\n   connect_timeout 3\n  }}\n }}\n",
                90 + server
            );
        }
        text.push_str("}\n");
    }
    text
}
