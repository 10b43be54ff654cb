//! One change in a large configuration. Of 1,000 virtual servers, in the check engine alone: what it costs to read, to compare and
//! to apply, and how many commands the kernel gets. Of 255 virtual routers, on the wire and beside keepalived: how late adverts are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use agentx_tests::capture::{Content, Witness};
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Nic};
use agentx_tests::wait::{Stalls, now_ns, observe, within};
use keepwatch::check::engine::{Engine, EngineOptions};
use keepwatch::check::io::{Input, Output};
use keepwatch::clock::{self, WallTime};
use keepwatch::conf::model::Config;
use keepwatch::conf::{self, Disk, LocalHost};

use super::{PROGRAMS, ratio};

const SERVICES: usize = 1_000;
const ROUTERS: u8 = 255;
const INTERVAL: Duration = Duration::from_secs(1);

pub fn bench() {
    in_the_engine();
    println!("\nSIGHUP with one priority of {ROUTERS} changed, adverts every {} s", INTERVAL.as_secs());
    println!("{:<11} {:>14} {:>12} {:>12} {:>14}", "", "latest by ms", "stalled ms", "priority 0", "ARP of others");
    let all = PROGRAMS.map(on_the_wire);
    if let [Some(ours), Some(theirs)] = all {
        ratio("largest delay of an advert", &[ours, theirs]);
    }
}

/// The check engine by itself, with a kernel that says yes.
fn in_the_engine() {
    let lab = Lab::new();
    let file = lab.directory().join("k.conf").to_string_lossy().into_owned();
    let load = |weight: u32| -> Config {
        let _ = std::fs::write(&file, services(weight));
        conf::load(&file, &conf::Options::default(), &Disk, &LocalHost).config
    };
    let first = load(1);
    let now = clock::now();
    let mut engine = Engine::new(&first, EngineOptions::default(), now, WallTime(1_700_000_000_000_000_000));
    let mut out = Vec::new();
    engine.handle(Input::Table(Vec::new()), now, &mut out);
    engine.handle(Input::Wake, now, &mut out);
    let made = acknowledged(&mut engine, out);
    let begun = Instant::now();
    let second = load(2);
    let read = begun.elapsed();
    let begun = Instant::now();
    let mut out = Vec::new();
    engine.apply(&second, now, &mut out);
    engine.handle(Input::Wake, now, &mut out);
    let changed = acknowledged(&mut engine, out);
    let applied = begun.elapsed();
    println!(
        "\nReload of {SERVICES} virtual servers x 4 with one weight changed, without a kernel: read {:.1} ms, compared and applied \
         {:.1} ms, {changed} commands (at the start {made})",
        read.as_secs_f64() * 1e3,
        applied.as_secs_f64() * 1e3
    );
}

/// Says yes to everything; how much that was.
fn acknowledged(engine: &mut Engine, mut out: Vec<Output>) -> usize {
    let mut commands = 0;
    let now = clock::now();
    while !out.is_empty() {
        let mut next = Vec::new();
        for output in out {
            if let Output::Kernel { batch, ops } = output {
                commands += ops.len();
                for index in 0..ops.len() {
                    engine.handle(Input::Kernel { batch, index, error: None }, now, &mut next);
                }
            }
        }
        out = next;
    }
    commands
}

fn services(weight: u32) -> String {
    let mut text = String::new();
    for number in 0..SERVICES {
        let (high, low) = (number / 250, number % 250 + 1);
        let _ = write!(text, "virtual_server 10.90.{high}.{low} 80 {{\n lb_algo wrr\n lb_kind NAT\n protocol TCP\n");
        for server in 1..=4 {
            let weight = if number == SERVICES / 2 && server == 1 { weight } else { 1 };
            let _ = write!(text, " real_server 10.{}.{high}.{low} 80 {{\n  weight {weight}\n }}\n", 90 + server);
        }
        text.push_str("}\n");
    }
    text
}

/// How late the latest advert was, milliseconds; `None` when the routers did not become masters.
fn on_the_wire(program: Program) -> Option<f64> {
    let lab = Lab::new();
    let switch = lab.switch();
    let node = lab.node("R1");
    let port = lab.connect(&node, &switch, Nic { name: "eth0", addresses: &["10.0.0.1/24"], ..Nic::default() });
    let witness = Witness::start(&lab);
    let stalls = Stalls::watch();
    let daemon = Daemon::start(&node, program, &routers(150), Options::default());
    let addresses = || node.ip(&["-o", "address", "show"]).lines().filter(|line| line.contains(" 10.1.")).count();
    if within(Duration::from_secs(60), || (addresses() == usize::from(ROUTERS)).then_some(())).is_none() {
        println!("{:<11} has {} addresses of {ROUTERS} after a minute", program.name(), addresses());
        return None;
    }
    // What is announced twice has been by then.
    observe(Duration::from_secs(8));
    let from = now_ns();
    daemon.reload(&routers(140));
    observe(6 * INTERVAL);
    let until = now_ns();
    let (mut last, mut latest, mut resigned, mut announced) = (BTreeMap::new(), (0, 0, 0), 0, 0);
    for frame in witness.frames().iter().filter(|frame| frame.port == port && frame.at < until) {
        match &frame.content {
            Content::Advert(advert) => {
                if let Some(before) = last.insert(advert.vrid, frame.at)
                    && frame.at > from
                {
                    let late = (frame.at - before).saturating_sub(INTERVAL.as_nanos() as u64);
                    latest = latest.max((late, before, frame.at));
                }
                resigned += usize::from(advert.priority == 0 && frame.at > from);
            }
            Content::Arp { sender, target, .. } if sender == target && frame.at > from => {
                let changed = IpAddr::V4(*sender) == IpAddr::from([10, 1, 128, 1]);
                announced += usize::from(!changed && sender.octets()[1] == 1);
            }
            _ => {}
        }
    }
    let (late, before, at) = latest;
    println!(
        "{:<11} {:>14.3} {:>12.1} {resigned:>12} {announced:>14}",
        program.name(),
        late as f64 / 1e6,
        stalls.within(before, at) as f64 / 1e6
    );
    Some(late as f64 / 1e6)
}

/// `priority` is that of router 128.
fn routers(priority: u32) -> String {
    let mut text = String::from("global_defs {\n vrrp_garp_master_repeat 1\n vrrp_garp_master_delay 0\n}\n");
    for vrid in 1..=ROUTERS {
        let priority = if vrid == 128 { priority } else { 150 };
        let _ = write!(
            text,
            "vrrp_instance V_{vrid} {{\n interface eth0\n version 3\n state MASTER\n virtual_router_id {vrid}\n priority \
             {priority}\n advert_int {}\n virtual_ipaddress {{\n 10.1.{vrid}.1/32\n }}\n}}\n",
            INTERVAL.as_secs_f64()
        );
    }
    text
}
