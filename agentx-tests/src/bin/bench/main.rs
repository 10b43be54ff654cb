//! `make bench`: keepwatchd beside Debian's keepalived, in one run.
//!
//! `bench [takeover] [vmac] [memory] [cpu] [lookup] [snmp] [responder] [scrape] [rrd] [parse] [reload] [promise] [ipvs] [--kills N] [--seconds N]
//! [--services N] [--minutes N]`; without words all of them. Takeover: how late the backup's first advert is over the RFC's master down
//! interval, counted from the killed master's last advert, by the kernel's time stamps on the wire. Vmac: the same for 510
//! virtual routers with virtual MACs at once. Memory: all
//! processes under the seed's configuration with snmpd. CPU: 250 instances at 0.1 s, the host where all are master and
//! the one where all are backup. Lookup: what one GETNEXT costs in small and large tables, without a network. SNMP: walks
//! through the same snmpd, and those of a subagent that answers at once, which is what snmpd itself takes. Responder: the embedded agent alone. Scrape: 42,000
//! series ten times a second, and what that does to adverts. RRD: updates of 2,202 files. Parse: `-t` of files of up to 50 MB. Reload: one change in 1,000 virtual servers, and in 255 virtual
//! routers. Promise: the
//! longest gap between adverts at 0.1 s while the AgentX master misbehaves in every way, from `$KEEPWATCH_SEED` or a new
//! seed. IPVS: many virtual servers with checks, in a virtual machine where this kernel has no IPVS.

mod crowd;
mod ipvs;
mod lookup;
mod parse;
mod reload;
mod responder;
mod rrd;
mod scrape;
mod snmp;
mod vmac;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use agentx_tests::capture::{Content, Witness};
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::dice::Dice;
use agentx_tests::net::{Lab, Nic, Node, Port};
use agentx_tests::promise::Verdict;
use agentx_tests::seed::{self, SeedLab};
use agentx_tests::snmp::{KEEPALIVED, Manager, Snmpd};
use agentx_tests::wait::{Stalls, now_ns, observe, until, within};
use agentx_tests::{janitor, promise, usage, vm};

const PROGRAMS: [Program; 2] = [Program::Keepwatch, Program::Keepalived];
const PRIORITY: u32 = 100;
const INSTANCES: u32 = 250;
/// The section on IPVS in a virtual machine.
const IPVS_MAX: Duration = Duration::from_secs(3600);

struct Wish {
    sections: Vec<String>,
    kills: usize,
    seconds: u64,
    services: usize,
    minutes: u64,
}

const USAGE: &str = "bench [takeover] [vmac] [memory] [cpu] [lookup] [snmp] [responder] [scrape] [rrd] [parse] [reload] [promise] [ipvs] [--kills N] \
                     [--seconds N] [--services N] [--minutes N]";

fn main() -> ExitCode {
    let wish = match wish() {
        Ok(wish) => wish,
        Err(complaint) => {
            eprintln!("bench: {complaint}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    janitor::clean_on_signals();
    let wanted = |section: &str| wish.sections.is_empty() || wish.sections.iter().any(|one| one == section);
    for program in PROGRAMS.into_iter().filter(|_| !vm::in_guest()) {
        println!("{:<11} {}", program.name(), program.path().display());
    }
    if wanted("takeover") {
        takeover(wish.kills);
    }
    if wanted("vmac") {
        vmac::bench(wish.kills.min(3));
    }
    if wanted("memory") {
        memory();
    }
    if wanted("cpu") {
        cpu(Duration::from_secs(wish.seconds));
    }
    if wanted("lookup") {
        lookup::bench();
    }
    if wanted("snmp") {
        snmp::bench();
    }
    if wanted("responder") {
        responder::bench();
    }
    if wanted("scrape") {
        scrape::bench(Duration::from_secs(wish.seconds));
    }
    if wanted("rrd") {
        rrd::bench();
    }
    if wanted("parse") {
        parse::bench();
    }
    if wanted("reload") {
        reload::bench(wish.services);
    }
    if wanted("promise") && !promise(Duration::from_secs(60 * wish.minutes)) {
        return ExitCode::FAILURE;
    }
    if wanted("ipvs") {
        let (services, seconds) = (wish.services.to_string(), wish.seconds.to_string());
        match vm::here_or_there(&["ipvs", "--services", &services, "--seconds", &seconds], IPVS_MAX) {
            Ok(None) if ipvs::bench(wish.services, Duration::from_secs(wish.seconds)) => {}
            Ok(None) => return ExitCode::FAILURE,
            Ok(Some(0)) => {}
            Ok(Some(code)) => return ExitCode::from(code),
            Err(why) => {
                eprintln!("bench: the virtual machine: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn wish() -> Result<Wish, String> {
    let mut wish = Wish { sections: Vec::new(), kills: 20, seconds: 30, services: 1000, minutes: 2 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().and_then(|value| value.parse::<u64>().ok()).filter(|value| *value > 0);
            value.ok_or(format!("{argument} needs a number"))
        };
        match argument.as_str() {
            "--kills" => wish.kills = number()? as usize,
            "--seconds" => wish.seconds = number()?,
            "--services" => wish.services = number()? as usize,
            "--minutes" => wish.minutes = number()?,
            "takeover" | "vmac" | "memory" | "cpu" | "lookup" | "snmp" | "responder" | "scrape" | "rrd" | "parse"
            | "reload" | "promise" | "ipvs" => {
                wish.sections.push(argument);
            }
            other => return Err(format!("`{other}` means nothing here")),
        }
    }
    Ok(wish)
}

// Promise -------------------------------------------------------------------------------------------------------------

/// Whether it was kept.
fn promise(time: Duration) -> bool {
    let seed = Dice::seed();
    println!("\nAdverts at 0.1 s while the AgentX master misbehaves, {} s, KEEPWATCH_SEED={seed}", time.as_secs());
    let stalls = Stalls::watch();
    let kept = match promise::torment(time, seed, &stalls, |misery| println!("{misery}")) {
        Ok(kept) => kept,
        Err(why) => {
            println!("{why}");
            return false;
        }
    };
    println!("{kept}");
    let verdict = kept.verdict();
    match &verdict {
        Verdict::Kept => {
            println!("kept: no takeover, no gap above {} ms that is not the machine's", promise::GAP_MAX.as_millis())
        }
        Verdict::Broken(how) => println!("NOT KEPT: {how}"),
        Verdict::Unclear(why) => println!("NOT CLEAR: {why}"),
    }
    verdict == Verdict::Kept
}

// Takeover ------------------------------------------------------------------------------------------------------------

fn takeover(kills: usize) {
    println!("\nLateness of takeover over the RFC's interval, milliseconds, {kills} kills each");
    println!("{:>9} {:<11} {:>9} {:>9} {:>9} {:>8}", "interval", "", "median", "p90", "max", "missed");
    for interval in [1000, 100, 10].map(Duration::from_millis) {
        // Many slow experiments fit side by side; the two programs always run at the same time, under the same load.
        let labs = if interval >= Duration::from_secs(1) { kills.min(5) } else { 1 };
        let counts: Vec<usize> = (0..labs).map(|lab| kills / labs + usize::from(lab < kills % labs)).collect();
        let start = |program: Program| -> Vec<_> {
            let lab = |count: &usize| {
                let count = *count;
                std::thread::spawn(move || kill_in_turn(program, interval, count))
            };
            counts.iter().map(lab).collect()
        };
        let running = PROGRAMS.map(start);
        let all =
            running.map(|labs| labs.into_iter().flat_map(|lab| lab.join().unwrap_or_default()).collect::<Vec<_>>());
        let mut medians = Vec::new();
        for (program, lateness) in PROGRAMS.into_iter().zip(all) {
            let missed = lateness.iter().filter(|one| one.is_none()).count();
            let mut sorted: Vec<f64> = lateness.into_iter().flatten().collect();
            sorted.sort_by(f64::total_cmp);
            let at = |share: f64| {
                sorted.get(((sorted.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(f64::NAN)
            };
            let interval = format!("{} s", interval.as_secs_f64());
            println!(
                "{interval:>9} {:<11} {:>9.3} {:>9.3} {:>9.3} {missed:>8}",
                program.name(),
                at(0.5),
                at(0.9),
                at(1.0)
            );
            medians.push(at(0.5));
        }
        ratio("median", &medians);
    }
}

fn ratio(of: &str, values: &[f64]) {
    if let [ours, theirs] = values {
        println!("{:>9} {of}: keepwatchd / keepalived = {:.2}", "", ours / theirs);
    }
}

/// Kills whoever is master, `count` times; the killed one comes back as a backup that does not preempt.
fn kill_in_turn(program: Program, interval: Duration, count: usize) -> Vec<Option<f64>> {
    let lab = Lab::new();
    let switch = lab.switch();
    let nodes = ["R1", "R2"].map(|name| lab.node(name));
    let ports = [0, 1].map(|at| {
        let address = format!("10.0.0.{}/24", at + 1);
        lab.connect(&nodes[at], &switch, Nic { name: "eth0", addresses: &[&address], ..Nic::default() })
    });
    let witness = Witness::start(&lab);
    let configuration = format!(
        "vrrp_instance VI_1 {{\n interface eth0\n state BACKUP\n nopreempt\n virtual_router_id 1\n priority {PRIORITY}\n version 3\n \
         advert_int {}\n virtual_ipaddress {{\n 10.0.0.100/24\n }}\n}}\n",
        interval.as_secs_f64()
    );
    let start = |node: &Node| Daemon::start(node, program, &configuration, Options::default());
    let down_interval = 3 * interval + interval * (256 - PRIORITY) / 256;
    let last_sender = || adverts(&witness).last().map(|(_, port)| *port);
    let mut daemons = [start(&nodes[0]), start(&nodes[1])];
    until("somebody to become master", Duration::from_secs(20), last_sender);
    let mut lateness = Vec::new();
    for round in 0..count {
        for daemon in &daemons {
            daemon.wait_until_it_listens();
        }
        // Any moment between two adverts is as good a time to die as another.
        let phase = interval * (round as u32 % 7) / 7;
        observe((4 * interval).max(Duration::from_millis(500)).min(Duration::from_millis(1500)) + phase);
        let Some(victim) = last_sender().and_then(|port| ports.iter().position(|one| *one == port)) else { break };
        daemons[victim].kill();
        let killed = now_ns();
        observe(down_interval + Duration::from_millis(400));
        let after = adverts(&witness);
        let other = ports[1 - victim];
        let taken = after.iter().find(|(at, port)| *port == other && *at > killed).map(|(at, _)| *at);
        let last = after.iter().rfind(|(at, port)| *port == ports[victim] && *at <= killed).map(|(at, _)| *at);
        lateness.push(match (taken, last) {
            (Some(taken), Some(last)) => Some(((taken - last) as f64 - down_interval.as_nanos() as f64) / 1e6),
            _ => None,
        });
        daemons[victim].remove_pid_files();
        daemons[victim] = start(&nodes[victim]);
    }
    lateness
}

fn adverts(witness: &Witness) -> Vec<(u64, Port)> {
    let frames = witness.frames().into_iter().filter(|frame| matches!(frame.content, Content::Advert(_)));
    frames.map(|frame| (frame.at, frame.port)).collect()
}

// Memory --------------------------------------------------------------------------------------------------------------

fn memory() {
    println!("\nMemory of all processes under the seed's configuration with snmpd, KiB");
    println!("{:<11} {:>9} {:>9}  process", "", "resident", "share");
    let (mut resident, mut shares) = (Vec::new(), Vec::new());
    for program in PROGRAMS {
        let lab = SeedLab::new();
        let snmpd = Snmpd::start(&lab.first, Some("127.0.0.1:162"));
        let agentx = snmpd.agentx();
        let options = Options { agentx: Some(&agentx), ..Options::default() };
        let daemon = Daemon::start(&lab.first, program, seed::FIRST, options);
        daemon.wait_for_address("1.1.1.15", true, Duration::from_secs(20));
        let manager = Manager::on(&lab.first, "127.0.0.1");
        let walked = || Some(manager.walk(KEEPALIVED)).filter(|walk| walk.len() > 50);
        until("a walk", Duration::from_secs(20), walked);
        let processes = usage::memory(daemon.process.pid());
        for one in &processes {
            let what: String = one.command.chars().take(60).collect();
            println!("{:<11} {:>9} {:>9}  {what}", program.name(), one.rss, one.pss);
        }
        let sum = |of: fn(&usage::Memory) -> u64| processes.iter().map(of).sum::<u64>();
        let (rss, pss) = (sum(|one| one.rss), sum(|one| one.pss));
        println!("{:<11} {rss:>9} {pss:>9}  all {}", program.name(), processes.len());
        resident.push(rss as f64);
        shares.push(pss as f64);
    }
    ratio("resident", &resident);
    // Pages that several processes map are divided among them, also among daemons outside of this run.
    ratio("share", &shares);
}

// CPU -----------------------------------------------------------------------------------------------------------------

fn cpu(window: Duration) {
    println!("\nCPU seconds of {INSTANCES} instances at 0.1 s over {} s, all processes", window.as_secs());
    println!(
        "{:<11} {:>10} {:>12} {:>10} {:>12} {:>10}",
        "", "as master", "adverts/s", "as backup", "adverts/s", "strayed"
    );
    let (mut as_master, mut as_backup) = (Vec::new(), Vec::new());
    for program in PROGRAMS {
        let (master, sent, _) = of_a_host(program, None, window);
        let (backup, heard, strayed) = of_a_host(program, Some(Program::Keepwatch), window);
        println!("{:<11} {master:>10.2} {sent:>12.0} {backup:>10.2} {heard:>12.0} {strayed:>10}", program.name());
        as_master.push(master);
        as_backup.push(backup);
    }
    ratio("as master", &as_master);
    ratio("as backup", &as_backup);
}

/// CPU seconds, adverts per second on the wire, and instances that are master at the end, of a host that has the link
/// for itself, or of the backup of a host that runs `master`.
fn of_a_host(program: Program, master: Option<Program>, window: Duration) -> (f64, f64, usize) {
    let lab = Lab::new();
    let switch = lab.switch();
    let nodes = ["R1", "R2"].map(|name| lab.node(name));
    for (at, node) in nodes.iter().enumerate() {
        let address = format!("10.0.255.{}/16", at + 1);
        lab.connect(node, &switch, Nic { name: "eth0", addresses: &[&address], ..Nic::default() });
    }
    let masters = |node: &Node| node.addresses().iter().filter(|address| address.ends_with("/32")).count();
    let settled = |node: &Node, daemon: &Daemon| {
        let all = || (masters(node) == INSTANCES as usize).then_some(());
        let all = within(Duration::from_secs(60), all);
        assert!(all.is_some(), "master of {} only; it said:\n{}", masters(node), daemon.log());
        // Start-up, announcements and their repetition after 5 s are not what is measured.
        observe(Duration::from_secs(12));
    };
    let other = master.map(|program| {
        let daemon = Daemon::start(&nodes[0], program, &many(150), Options::default());
        settled(&nodes[0], &daemon);
        daemon
    });
    let measured = &nodes[usize::from(other.is_some())];
    let daemon = Daemon::start(measured, program, &many(if other.is_some() { 100 } else { 150 }), Options::default());
    if other.is_none() {
        settled(measured, &daemon);
    } else {
        daemon.wait_until_it_listens();
        observe(Duration::from_secs(12));
    }
    let (used, sent) = (usage::cpu(daemon.process.pid()), sent_by(&nodes[0]));
    observe(window);
    let used = usage::cpu(daemon.process.pid()) - used;
    let rate = (sent_by(&nodes[0]) - sent) as f64 / window.as_secs_f64();
    (used.as_secs_f64(), rate, masters(measured))
}

/// Frames that eth0 has sent.
fn sent_by(node: &Node) -> u64 {
    let text = node.ip(&["-j", "-s", "link", "show", "dev", "eth0"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    json[0]["stats64"]["tx"]["packets"].as_u64().unwrap_or(0)
}

fn many(priority: u32) -> String {
    let mut text = String::new();
    for vrid in 1..=INSTANCES {
        let _ = write!(
            text,
            "vrrp_instance VI_{vrid} {{\n interface eth0\n virtual_router_id {vrid}\n priority {priority}\n version 3\n \
             advert_int 0.1\n virtual_ipaddress {{\n 10.0.{vrid}.1/32\n }}\n}}\n"
        );
    }
    text
}
