//! Scrapes of 42,000 series ten times a second, and what they do to adverts; beside Debian's keepalived with its JSON dump.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use agentx_tests::capture::{Content, Witness};
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::exposition::Page;
use agentx_tests::http::get_unix;
use agentx_tests::net::{Lab, Nic};
use agentx_tests::wait::{Stalls, now_ns, observe, within};

use super::usage;

const INSTANCES: u32 = 100;
const SERVICES: u32 = 100;
/// With those, 42,000 series and a little more.
const SERVERS: u32 = 25;
/// Of adverts.
const INTERVAL: Duration = Duration::from_millis(100);
/// `keepalived --signum=JSON`: SIGRTMIN+2, which nix has no name for.
const JSON_SIGNAL: u8 = 36;
/// Of scrapes.
const EVERY: Duration = Duration::from_millis(100);

pub fn bench(window: Duration) {
    println!(
        "\nScrapes ten times a second for {} s: {INSTANCES} instances at {} ms, {SERVICES} virtual servers x {SERVERS}",
        window.as_secs(),
        INTERVAL.as_millis()
    );
    println!(
        "{:<11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>11} {:>11} {:>9}",
        "", "answers", "KB", "p50 ms", "p99 ms", "max ms", "quiet late", "busy late", "CPU %"
    );
    for program in super::PROGRAMS {
        one(program, window);
    }
    println!(
        "late: the longest time between two adverts of an instance over the interval, ms, less what this machine itself stood still"
    );
}

fn one(program: Program, window: Duration) {
    let lab = Lab::new();
    let (node, switch) = (lab.node("R1"), lab.switch());
    let nic = Nic { name: "eth0", addresses: &["10.0.0.1/8"], ..Nic::default() };
    let port = lab.connect(&node, &switch, nic);
    let witness = Witness::start(&lab);
    // Without IPVS in this kernel Debian's keepalived would not run its checkers; it has VRRP alone to tell of.
    let configuration = configuration(program == Program::Keepwatch);
    let settings = "metrics:\n  detail: off\n";
    let options = Options { settings: Some(settings), ..Options::default() };
    let daemon = Daemon::start(&node, program, &configuration, options);
    let stalls = Stalls::watch();
    let adverts = |from: u64| {
        let frames = witness.frames();
        frames
            .iter()
            .filter(|frame| frame.port == port && frame.at > from && matches!(frame.content, Content::Advert(_)))
            .count()
    };
    let started = within(Duration::from_secs(60), || {
        let from = now_ns() - 1_000_000_000;
        (adverts(from) >= INSTANCES as usize * 9).then_some(())
    });
    if started.is_none() {
        println!("{:<11} does not advertise with all instances; it said:\n{}", program.name(), end_of_log(&daemon));
        return;
    }
    let series = match program {
        Program::Keepwatch => within(Duration::from_secs(60), || {
            let page =
                Page::parse(&get_unix(&daemon.directory().join("main.metrics.sock"), "/metrics", &[]).ok()?.text())
                    .ok()?;
            (page.samples.len() > 42_000).then_some(page.samples.len())
        }),
        Program::Keepalived => Some(0),
    };
    let Some(series) = series else {
        println!("{:<11} does not show 42,000 series; it said:\n{}", program.name(), end_of_log(&daemon));
        return;
    };
    let quiet = (now_ns(), observe(window), now_ns());
    let (cpu, began) = (usage::cpu(daemon.process.pid()), Instant::now());
    let from = now_ns();
    let (mut took, mut bytes, mut failed) = (Vec::new(), 0, 0);
    let mut due = Instant::now();
    while began.elapsed() < window {
        let asked = Instant::now();
        match scrape(program, &daemon) {
            Some(length) => {
                bytes = length;
                took.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            None => failed += 1,
        }
        due += EVERY;
        observe(due.saturating_duration_since(Instant::now()));
    }
    let to = now_ns();
    let cpu = usage::cpu(daemon.process.pid()).saturating_sub(cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took.get(((took.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(f64::NAN);
    let late = |from: u64, to: u64| lateness(&witness, port, &stalls, from, to);
    println!(
        "{:<11} {:>9} {:>9.0} {:>9.1} {:>9.1} {:>9.1} {:>11.2} {:>11.2} {:>9.1}",
        program.name(),
        took.len(),
        bytes as f64 / 1e3,
        at(0.5),
        at(0.99),
        at(1.0),
        late(quiet.0, quiet.2),
        late(from, to),
        cpu * 100.0
    );
    if series > 0 {
        println!("{:<11} {series} series", "");
        let page = get_unix(&daemon.directory().join("main.metrics.sock"), "/metrics", &[]);
        let page = page.and_then(|answer| Page::parse(&answer.text())).unwrap_or_default();
        let bucket =
            |le: &str| page.value("keepwatch_vrrp_advert_send_delay_seconds_bucket", &[("le", le)]).unwrap_or(f64::NAN);
        let count = page.value("keepwatch_vrrp_advert_send_delay_seconds_count", &[]).unwrap_or(f64::NAN);
        println!(
            "{:<11} by its own count {count} adverts, {} of them more than 1 ms late, {} more than 5 ms",
            "",
            count - bucket("0.001"),
            count - bucket("0.005")
        );
    }
    if failed > 0 {
        println!("{:<11} {failed} got no answer within 1 s", "");
    }
}

fn end_of_log(daemon: &Daemon) -> String {
    let log = daemon.log();
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n")
}

/// Octets of an answer.
fn scrape(program: Program, daemon: &Daemon) -> Option<usize> {
    match program {
        Program::Keepwatch => {
            let answer = get_unix(&daemon.directory().join("main.metrics.sock"), "/metrics", &[]).ok()?;
            (answer.status == 200).then_some(answer.body.len())
        }
        // As the exporters do it: a signal, and the file that comes of it.
        Program::Keepalived => {
            let file = daemon.directory().join("keepalived.json");
            let _ = std::fs::remove_file(&file);
            let sent = std::process::Command::new("kill")
                .arg(format!("-{JSON_SIGNAL}"))
                .arg(daemon.process.pid().to_string())
                .status();
            sent.ok().filter(std::process::ExitStatus::success)?;
            within(Duration::from_secs(1), || whole(&file))
        }
    }
}

/// Its length once it is written to its end.
fn whole(file: &Path) -> Option<usize> {
    let text = std::fs::read(file).ok()?;
    serde_json::from_slice::<serde_json::Value>(&text).ok()?;
    Some(text.len())
}

/// Milliseconds.
fn lateness(witness: &Witness, port: agentx_tests::net::Port, stalls: &Stalls, from: u64, to: u64) -> f64 {
    let mut last: std::collections::BTreeMap<u8, u64> = std::collections::BTreeMap::new();
    let mut worst = 0_u64;
    for frame in witness.frames().iter().filter(|frame| frame.port == port && (from..to).contains(&frame.at)) {
        let Content::Advert(advert) = &frame.content else { continue };
        if let Some(before) = last.insert(advert.vrid, frame.at) {
            let late = (frame.at - before).saturating_sub(INTERVAL.as_nanos() as u64);
            worst = worst.max(late.saturating_sub(stalls.within(before, frame.at)));
        }
    }
    worst as f64 / 1e6
}

fn configuration(with_services: bool) -> String {
    let mut text = "global_defs {\n router_id bench\n}\n".to_owned();
    for instance in 1..=INSTANCES {
        let _ = write!(
            text,
            "vrrp_instance VI_{instance} {{\n state MASTER\n interface eth0\n virtual_router_id {instance}\n priority 150\n version 3\n \
             advert_int {}\n virtual_ipaddress {{\n  10.1.0.{instance}/32\n }}\n}}\n",
            INTERVAL.as_secs_f64()
        );
    }
    for service in (1..=SERVICES).filter(|_| with_services) {
        let _ = write!(text, "virtual_server 10.1.0.{service} 80 {{\n lvs_sched wrr\n lvs_method NAT\n protocol TCP\n");
        for server in 1..=SERVERS {
            let _ = write!(text, " real_server 10.2.{service}.{server} 80 {{\n  weight 1\n }}\n");
        }
        text.push_str("}\n");
    }
    text
}
