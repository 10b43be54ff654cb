//! 255 virtual routers for IPv4 and as many for IPv6 on one interface, each with its virtual MAC, and the death of their master.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use agentx_tests::capture::{Advert, Content, Witness};
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::monitor::AddressMonitor;
use agentx_tests::net::{Lab, Nic, Node, Port};
use agentx_tests::wait::{now_ns, observe, within};

const INTERVAL: Duration = Duration::from_secs(1);
const PRIORITY: u32 = 100;
const ADDRESSES: usize = 510;

pub fn bench(kills: usize) {
    println!(
        "\nFailover of 255 VRIDs x IPv4 and IPv6 with virtual MACs after their master's host is gone, {kills} times each, \
         milliseconds over the RFC's interval"
    );
    println!(
        "{:<11} {:>10} {:>10} | {:>9} {:>9} {:>9} | {:>9} {:>9} | {:>9} {:>9} | {:>8}",
        "", "made in ms", "gone in ms", "advert 50%", "99%", "last", "there 50%", "last", "told 50%", "last", "missed"
    );
    for program in super::PROGRAMS {
        for _ in 0..kills {
            one(program);
        }
    }
}

fn one(program: Program) {
    let lab = Lab::new();
    let switch = lab.switch();
    let nodes = ["R1", "R2"].map(|name| lab.node(name));
    let ports: [Port; 2] = [0, 1].map(|at| {
        let addresses = [format!("10.0.0.{}/24", at + 1), format!("fd00:1::{}/64", at + 1)];
        let addresses = addresses.each_ref().map(String::as_str);
        lab.connect(&nodes[at], &switch, Nic { name: "eth0", addresses: &addresses, ..Nic::default() })
    });
    let witness = Witness::start(&lab);
    let begun = Instant::now();
    let mut first = Daemon::start(&nodes[0], program, &configuration(150), Options::default());
    let interfaces = |node: &Node| node.ip(&["-o", "link", "show", "type", "macvlan"]).lines().count();
    let made = within(Duration::from_secs(60), || (interfaces(&nodes[0]) == ADDRESSES).then(|| begun.elapsed()));
    let all = within(Duration::from_secs(60), || (addresses(&nodes[0]) == ADDRESSES).then_some(()));
    let mut second = Daemon::start(&nodes[1], program, &configuration(PRIORITY), Options::default());
    second.wait_until_it_listens();
    observe(4 * INTERVAL);
    let strayed = addresses(&nodes[1]);
    if made.is_none() || all.is_none() || strayed > 0 {
        println!("{:<11} did not get there: {} addresses, {strayed} strayed", program.name(), addresses(&nodes[0]));
        return;
    }
    let monitor = AddressMonitor::start(&nodes[1]);
    // A host that is gone: it would otherwise spend this machine's processors on hearing what its successor says.
    first.kill();
    let killed = now_ns();
    lab.unplug(ports[0]);
    let due = 3 * INTERVAL + INTERVAL * (256 - PRIORITY) / 256;
    // Not asked meanwhile: to list a thousand addresses takes a processor for a while.
    observe(due + Duration::from_secs(2));
    let there = within(Duration::from_secs(30), || (addresses(&nodes[1]) == ADDRESSES).then_some(()));

    let (mut last, mut taken, mut told, mut installed) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for frame in &witness.frames() {
        match &frame.content {
            Content::Advert(advert) if frame.port == ports[0] && frame.at <= killed => {
                last.insert(router(advert), frame.at);
            }
            Content::Advert(advert) if frame.port == ports[1] && frame.at > killed => {
                taken.entry(router(advert)).or_insert(frame.at);
            }
            Content::Arp { sender, target, .. } if frame.port == ports[1] && sender == target => {
                told.extend(
                    of_address(IpAddr::V4(*sender)).filter(|it| !told.contains_key(it)).map(|it| (it, frame.at)),
                );
            }
            Content::Neighbour { target, .. } if frame.port == ports[1] => {
                told.extend(
                    of_address(IpAddr::V6(*target)).filter(|it| !told.contains_key(it)).map(|it| (it, frame.at)),
                );
            }
            _ => {}
        }
    }
    for change in monitor.changes().iter().filter(|change| change.added && change.at > killed) {
        let router = change.address.parse().ok().and_then(of_address);
        installed.extend(router.filter(|it| !installed.contains_key(it)).map(|it| (it, change.at)));
    }
    let late = |of: &BTreeMap<(bool, u8), u64>| -> Vec<f64> {
        let of_router = |(key, from): (&(bool, u8), &u64)| Some(of.get(key)?.checked_sub(*from)? as f64 / 1e6);
        let mut late: Vec<f64> = last.iter().filter_map(of_router).map(|ms| ms - due.as_secs_f64() * 1e3).collect();
        late.sort_by(f64::total_cmp);
        late
    };
    let (adverts, installed, told) = (late(&taken), late(&installed), late(&told));
    let at = |of: &[f64], share: f64| {
        of.get(((of.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(f64::NAN)
    };
    let missed = ADDRESSES - adverts.len().min(told.len()).min(installed.len());
    let begun = Instant::now();
    second.stop();
    let gone = begun.elapsed();
    println!(
        "{:<11} {:>10} {:>10} | {:>10.3} {:>9.3} {:>9.3} | {:>9.3} {:>9.3} | {:>9.3} {:>9.3} | {missed:>8}{}",
        program.name(),
        made.unwrap_or_default().as_millis(),
        gone.as_millis(),
        at(&adverts, 0.5),
        at(&adverts, 0.99),
        at(&adverts, 1.0),
        at(&installed, 0.5),
        at(&installed, 1.0),
        at(&told, 0.5),
        at(&told, 1.0),
        if there.is_some() { "" } else { " (not all addresses)" }
    );
}

/// The virtual router that has an address.
fn of_address(address: IpAddr) -> Option<(bool, u8)> {
    match address {
        IpAddr::V4(address) => match address.octets() {
            [10, 1, vrid, 1] => Some((false, vrid)),
            _ => None,
        },
        IpAddr::V6(address) => {
            (address.segments()[0] == 0xfd00 && address.segments()[1] == 2).then(|| (true, address.octets()[15]))
        }
    }
}

fn router(advert: &Advert) -> (bool, u8) {
    (advert.source.is_ipv6(), advert.vrid)
}

fn addresses(node: &Node) -> usize {
    let shown = node.ip(&["-o", "address", "show"]);
    shown.lines().filter(|line| line.contains(" 10.1.") || line.contains(" fd00:2::")).count()
}

fn configuration(priority: u32) -> String {
    let mut text = String::from("global_defs {\n vrrp_garp_master_repeat 1\n vrrp_garp_master_delay 0\n}\n");
    for vrid in 1..=255 {
        for (family, addresses) in
            [(4, format!("10.1.{vrid}.1/32")), (6, format!("fe80::1:{vrid:x}/64\n fd00:2::{vrid:x}/128"))]
        {
            let _ = write!(
                text,
                "vrrp_instance V{family}_{vrid} {{\n interface eth0\n use_vmac\n version 3\n virtual_router_id {vrid}\n \
                 priority {priority}\n advert_int {}\n virtual_ipaddress {{\n {addresses}\n }}\n}}\n",
                INTERVAL.as_secs_f64()
            );
        }
    }
    text
}
