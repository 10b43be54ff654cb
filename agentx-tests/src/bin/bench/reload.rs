//! One change in a large configuration. Of 1,000 virtual servers, without a kernel: what it costs to read, to plan, to look at the
//! kernel's table, and to apply, and how many commands the kernel gets. Of 255 virtual routers, on the wire and beside keepalived: how
//! late adverts are.

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
use keepwatch::check::table::{Found, Op};
use keepwatch::clock::{self, WallTime};
use keepwatch::conf::model::Config;
use keepwatch::conf::{self, Disk, LocalHost};

use super::{PROGRAMS, ratio};

/// What one change may cost outside the kernel.
const WORK_MAX: Duration = Duration::from_millis(100);
/// How late an advert may be.
const LATE_MAX: Duration = Duration::from_millis(5);
const INTERVAL: Duration = Duration::from_secs(1);

/// `services`: of the first part; and of virtual routers there are no more, either.
pub fn bench(services: usize) {
    in_the_engine(services);
    let routers = u8::try_from(services).unwrap_or(u8::MAX);
    println!("\nSIGHUP with one priority of {routers} changed, adverts every {} s", INTERVAL.as_secs());
    println!(
        "Wanted: at most {} ms late, no priority 0, no ARP of others; who was silent to the end is counted as late",
        LATE_MAX.as_millis()
    );
    println!("{:<11} {:>14} {:>12} {:>12} {:>14}", "", "latest by ms", "stalled ms", "priority 0", "ARP of others");
    let all = PROGRAMS.map(|program| on_the_wire(program, routers));
    if let [Some(ours), Some(theirs)] = all {
        ratio("largest delay of an advert", &[ours, theirs]);
    }
}

/// The check engine by itself, with a kernel that says yes.
fn in_the_engine(count: usize) {
    let lab = Lab::new();
    let file = lab.directory().join("k.conf").to_string_lossy().into_owned();
    let write = |weight: u32| {
        std::fs::write(&file, services(count, weight)).unwrap_or_else(|error| panic!("{file}: {error}"));
    };
    let load = || -> Config { conf::load(&file, &conf::Options::default(), &Disk, &LocalHost).config };
    write(1);
    let first = load();
    let now = clock::now();
    let mut engine = Engine::new(&first, EngineOptions::default(), now, WallTime(1_700_000_000_000_000_000));
    let mut out = Vec::new();
    engine.handle(Input::Table(Vec::new()), now, &mut out);
    engine.handle(Input::Wake, now, &mut out);
    let mut table = Vec::new();
    let made = acknowledged(&mut engine, out, &mut table);
    write(2);
    let (read, second) = timed(load);
    let (planned, plan) = timed(|| conf::plan::plan(&first, &second));
    let (compared, drift) = timed(|| engine.compare(table, now, &mut Vec::new()));
    let (applied, changed) = timed(|| {
        let mut out = Vec::new();
        engine.apply(&second, now, &mut out);
        engine.handle(Input::Wake, now, &mut out);
        acknowledged(&mut engine, out, &mut Vec::new())
    });
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let whole = read + planned + compared + applied;
    println!(
        "\nReload of {count} virtual servers x 4 with one weight changed, without a kernel: read {:.1} ms, planned {:.1} ms ({} changes), \
         table compared {:.1} ms ({} differences), applied {:.1} ms; {changed} commands (at the start {made})",
        ms(read),
        ms(planned),
        plan.changes.len(),
        ms(compared),
        drift.len(),
        ms(applied)
    );
    let good = if whole < WORK_MAX && changed == 1 { "as wanted" } else { "NOT as wanted" };
    println!("Wanted: less than {} ms, 1 command. It is {:.1} ms, {changed}: {good}", WORK_MAX.as_millis(), ms(whole));
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let done = work();
    (begun.elapsed(), done)
}

/// Says yes to everything; how much that was. `table` has what was added.
fn acknowledged(engine: &mut Engine, mut out: Vec<Output>, table: &mut Vec<Found>) -> usize {
    let mut commands = 0;
    let now = clock::now();
    while !out.is_empty() {
        let mut next = Vec::new();
        for output in out {
            if let Output::Kernel { batch, ops } = output {
                commands += ops.len();
                for op in &ops {
                    match (op, table.last_mut()) {
                        (Op::AddService(service), _) => table.push(Found {
                            service: service.clone(),
                            stats: Default::default(),
                            destinations: Vec::new(),
                        }),
                        (Op::AddDestination(id, it), Some(found)) if found.service.id == *id => {
                            found.destinations.push((*it, Default::default()));
                        }
                        _ => {}
                    }
                }
                for index in 0..ops.len() {
                    engine.handle(Input::Kernel { batch, index, error: None }, now, &mut next);
                }
            }
        }
        out = next;
    }
    commands
}

fn services(count: usize, weight: u32) -> String {
    let mut text = String::new();
    for number in 0..count {
        let (high, low) = (number / 250, number % 250 + 1);
        let _ = write!(text, "virtual_server 10.90.{high}.{low} 80 {{\n lb_algo wrr\n lb_kind NAT\n protocol TCP\n");
        for server in 1..=4 {
            let weight = if number == count / 2 && server == 1 { weight } else { 1 };
            let _ = write!(text, " real_server 10.{}.{high}.{low} 80 {{\n  weight {weight}\n }}\n", 90 + server);
        }
        text.push_str("}\n");
    }
    text
}

/// How late the latest advert was, milliseconds; `None` when the routers did not become masters, or were not reloaded.
fn on_the_wire(program: Program, count: u8) -> Option<f64> {
    let lab = Lab::new();
    let switch = lab.switch();
    let node = lab.node("R1");
    let port = lab.connect(&node, &switch, Nic { name: "eth0", addresses: &["10.0.0.1/24"], ..Nic::default() });
    let witness = Witness::start(&lab);
    let stalls = Stalls::watch();
    let daemon = Daemon::start(&node, program, &routers(count, 150), Options::default());
    let addresses = || node.ip(&["-o", "address", "show"]).lines().filter(|line| line.contains(" 10.1.")).count();
    if within(Duration::from_secs(60), || (addresses() == usize::from(count)).then_some(())).is_none() {
        println!("{:<11} has {} addresses of {count} after a minute", program.name(), addresses());
        return None;
    }
    // What is announced twice has been by then.
    observe(Duration::from_secs(8));
    let from = now_ns();
    daemon.reload(&routers(count, 140));
    observe(6 * INTERVAL);
    let until = now_ns();
    let (mut last, mut latest, mut resigned, mut announced, mut reloaded) = (BTreeMap::new(), (0, 0, 0), 0, 0, false);
    let interval = INTERVAL.as_nanos() as u64;
    for frame in witness.frames().iter().filter(|frame| frame.port == port && frame.at < until) {
        match &frame.content {
            Content::Advert(advert) => {
                if let Some(before) = last.insert(advert.vrid, frame.at)
                    && frame.at > from
                {
                    let late = (frame.at - before).saturating_sub(interval);
                    latest = latest.max((late, before, frame.at));
                }
                resigned += usize::from(advert.priority == 0 && frame.at > from);
                reloaded |= advert.vrid == changed(count) && advert.priority == 140;
            }
            Content::Arp { sender, target, .. } if sender == target && frame.at > from => {
                let of_it = IpAddr::V4(*sender) == IpAddr::from([10, 1, changed(count), 1]);
                announced += usize::from(!of_it && sender.octets()[1] == 1);
            }
            _ => {}
        }
    }
    for before in last.into_values() {
        latest = latest.max(((until - before).saturating_sub(interval), before, until));
    }
    if !reloaded {
        println!("{:<11} does not advertise the new priority: it was not reloaded", program.name());
        return None;
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

/// The router whose priority is changed.
fn changed(count: u8) -> u8 {
    count / 2 + 1
}

/// `priority` is that of the one that is changed.
fn routers(count: u8, priority: u32) -> String {
    let mut text = String::from("global_defs {\n vrrp_garp_master_repeat 1\n vrrp_garp_master_delay 0\n}\n");
    for vrid in 1..=count {
        let priority = if vrid == changed(count) { priority } else { 150 };
        let _ = write!(
            text,
            "vrrp_instance V_{vrid} {{\n interface eth0\n version 3\n state MASTER\n virtual_router_id {vrid}\n priority \
             {priority}\n advert_int {}\n virtual_ipaddress {{\n 10.1.{vrid}.1/32\n }}\n}}\n",
            INTERVAL.as_secs_f64()
        );
    }
    text
}
