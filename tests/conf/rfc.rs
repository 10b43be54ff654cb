//! The recordings of the RFC modules: their configurations, run by the engine among the peers that they had, and shown by
//! the tables.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use keepwatch::bus::msg::{Feed, Source};
use keepwatch::clock::{Instant, WallTime};
use keepwatch::conf::Options;
use keepwatch::conf::model::{Snmp, Version};
use keepwatch::mib::table::{Look, Moment};
use keepwatch::mib::tree::Tree;
use keepwatch::store::{Snapshot, Store};
use keepwatch::vrrp::engine::{Engine, EngineOptions};
use keepwatch::vrrp::io::{Datagram, HostAddress, Input, Link, Output};
use keepwatch::wire::oid::Oid;
use keepwatch::wire::value::{Value, VarBind};
use keepwatch::wire::vrrp::{Claim, Cover, Outgoing};

use super::{AnyHost, Memory, conf};

const ETH0: u32 = 10;
const ETH1: u32 = 11;

/// When the daemon began, and the agent's sysUpTime, 40 s before.
const BEGAN: Instant = Instant::from_nanos(1_000_000_000_000);
const EPOCH: Instant = Instant::from_nanos(960_000_000_000);

/// A peer on eth1 that one instance hears, one second after it began.
struct Peer {
    vrid: u8,
    version: Version,
    vip: &'static str,
    own: &'static str,
    every: Duration,
    times: u32,
}

struct Lab {
    name: &'static str,
    /// Of both interfaces; the first one is what the hardware addresses end with, too.
    addresses: &'static [(u32, &'static str)],
    peer: Peer,
}

const LAB_07: Lab = Lab {
    name: "07-v3-rfc6527.conf",
    addresses: &[
        (ETH0, "10.51.0.1"),
        (ETH0, "2001:db8:51::1"),
        (ETH0, "fe80::ff:fe00:910"),
        (ETH1, "10.52.0.1"),
        (ETH1, "fe80::ff:fe00:911"),
    ],
    peer: Peer {
        vrid: 7,
        version: Version::V3,
        vip: "10.52.0.100",
        own: "10.52.0.2",
        every: Duration::from_millis(400),
        times: 37,
    },
};

const LAB_08: Lab = Lab {
    name: "08-v2-rfc2787.conf",
    addresses: &[(ETH0, "10.61.0.1"), (ETH0, "fe80::ff:fe00:b10"), (ETH1, "10.62.0.1"), (ETH1, "fe80::ff:fe00:b11")],
    peer: Peer {
        vrid: 63,
        version: Version::V2,
        vip: "10.62.0.110",
        own: "10.62.0.2",
        every: Duration::from_secs(1),
        times: 13,
    },
};

/// A walk of a module, 15.99 s after the daemon began.
fn walked(lab: &Lab) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/seeds").join(lab.name);
    let memory = Memory::default().with("k.conf", std::fs::read(path).unwrap());
    let config = conf::load("k.conf", &Options::default(), &memory, &AnyHost).config;
    let mut engine = Engine::new(&config, EngineOptions::default(), BEGAN, WallTime(0));
    for (index, name) in [(ETH0, "eth0"), (ETH1, "eth1")] {
        let mac = Some([2, 0, 0, 0, 9, index as u8]);
        let link = Link {
            index,
            name: name.to_owned(),
            admin_up: true,
            running: true,
            loopback: false,
            multicast: true,
            mac,
            mtu: 1500,
            vrf: None,
        };
        handle(&mut engine, Input::Link(link), BEGAN);
    }
    for (interface, address) in lab.addresses {
        let address = address.parse().unwrap();
        let here = HostAddress { interface: *interface, address, prefix: 24, secondary: false, tentative: false };
        handle(&mut engine, Input::HostAddress(here), BEGAN);
    }
    handle(&mut engine, Input::Wake, BEGAN);

    let Peer { vrid, version, vip, own, every, times } = lab.peer;
    let (source, destination): (IpAddr, IpAddr) = (own.parse().unwrap(), "224.0.0.18".parse().unwrap());
    let cover = match version {
        Version::V2 => Cover::Message,
        Version::V3 => Cover::Pseudo { source, destination },
    };
    let addresses = [vip.parse().unwrap()];
    let advert =
        Outgoing { version, vrid, priority: 200, interval: every, claim: Claim::Nothing, addresses: &addresses };
    let payload = advert.encode(cover);
    let mut heard = (0..times).map(|n| BEGAN + Duration::from_secs(1) + every * n).peekable();
    let end = BEGAN + Duration::from_millis(15_990);
    loop {
        let due = engine.deadline().filter(|at| *at <= end);
        match (heard.peek().copied(), due) {
            (Some(at), due) if due.is_none_or(|due| at < due) => {
                heard.next();
                let datagram = Datagram { interface: ETH1, source, destination, ttl: 255, payload: &payload };
                handle(&mut engine, Input::Datagram(datagram), at);
            }
            (_, Some(at)) => handle(&mut engine, Input::Wake, at),
            (_, None) => break,
        }
    }

    let snapshot = stored(&engine);
    let tree = Tree::new(&config.global.snmp, &[Source::Vrrp]);
    let look = Look { snapshot: &snapshot, moment: Moment { now: end, epoch: EPOCH } };
    let (mut lines, mut at) = (vec![], Oid::default());
    while let Some(next) = tree.next(look, &at, false, &Oid::default()) {
        lines.push(line(&next));
        at = next.name;
    }
    lines
}

/// A kernel that takes every address.
fn handle(engine: &mut Engine, input: Input<'_>, now: Instant) {
    let mut out = vec![];
    engine.handle(input, now, &mut out);
    for output in std::mem::take(&mut out) {
        if let Output::Address(change) = output {
            engine.handle(
                Input::AddressAnswer { key: change.key, install: change.install, error: None },
                now,
                &mut out,
            );
        }
    }
}

fn stored(engine: &Engine) -> std::sync::Arc<Snapshot> {
    let mut store = Store::new();
    store.apply(Source::Vrrp, Feed::Begin { generation: 1, config: 1, full: true }).unwrap();
    for key in engine.keys() {
        let row = engine.row(&key).unwrap();
        store.apply(Source::Vrrp, Feed::Row(key, row)).unwrap();
    }
    store.apply(Source::Vrrp, Feed::Commit { edges_dropped: 0 }).unwrap();
    store.snapshot()
}

/// The line of `snmpwalk -One` without MIBs.
fn line(varbind: &VarBind) -> String {
    let value = match &varbind.value {
        Value::Integer(value) => format!("INTEGER: {value}"),
        Value::Gauge32(value) => format!("Gauge32: {value}"),
        Value::Counter32(value) => format!("Counter32: {value}"),
        Value::Counter64(value) => format!("Counter64: {value}"),
        Value::TimeTicks(ticks) => format!("Timeticks: ({ticks}) 0:00:{:02}.{:02}", ticks / 100, ticks % 100),
        Value::IpAddress(octets) => {
            format!("IpAddress: {}", octets.iter().map(u8::to_string).collect::<Vec<_>>().join("."))
        }
        Value::OctetString(octets) => {
            format!("Hex-STRING: {}", octets.iter().map(|octet| format!("{octet:02X} ")).collect::<String>())
        }
        other => format!("{other:?}"),
    };
    format!("{} = {value}", varbind.name)
}

/// Puts a recording right. `right` gets the part of a line below `root` and says what must be there instead.
fn recorded(walk: &str, root: &str, right: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut corrected = 0;
    let lines = walk
        .lines()
        .map(|line| {
            let below = line.strip_prefix(root).unwrap_or_else(|| panic!("{line} is not below {root}"));
            let right = right(below);
            corrected += usize::from(right.as_ref().is_some_and(|right| right != below));
            format!("{root}{}", right.unwrap_or_else(|| below.to_owned()))
        })
        .collect();
    assert!(corrected > 0);
    lines
}

/// The octets of the standard's virtual MAC address: B28.
fn mac(family: u8, vrid: u8) -> String {
    format!("Hex-STRING: 00 00 5E 00 {family:02X} {vrid:02X} ")
}

#[test]
fn the_walk_of_the_rfc_6527_recording_is_keepalived_s_but_for_its_bugs() {
    let root = ".1.3.6.1.2.1.207.";
    let right = |below: &str| {
        let (oid, _) = below.split_once(" = ").unwrap();
        // B8: the number of octets stands before the octets.
        if let Some(index) = oid.strip_prefix("1.1.2.1.2.") {
            let router = index.split('.').take(3).collect::<Vec<_>>().join(".");
            let address = index.strip_prefix(&format!("{router}.")).unwrap();
            let octets = address.split('.').count();
            return Some(format!("1.1.2.1.2.{router}.{octets}.{address} = INTEGER: 1"));
        }
        // B28.
        if let Some(index) = oid.strip_prefix("1.1.1.1.5.") {
            let numbers: Vec<u8> = index.split('.').map(|number| number.parse().unwrap()).collect();
            return Some(format!("{oid} = {}", mac(numbers[2], numbers[1])));
        }
        // Some began a hundredth of a second later.
        let up_time = oid.starts_with("1.1.1.1.12.");
        up_time.then(|| format!("{oid} = Timeticks: (1599) 0:00:15.99"))
    };
    assert_eq!(
        walked(&LAB_07),
        recorded(include_str!("../../agentx-tests/oracle/07-v3-rfc6527/walk-numeric.txt"), root, right)
    );
}

#[test]
fn the_walk_of_the_rfc_2787_recording_is_keepalived_s_but_for_its_bugs() {
    let root = ".1.3.6.1.2.1.68.";
    let right = |below: &str| {
        let (oid, _) = below.split_once(" = ").unwrap();
        let ours = |value: String| Some(format!("{oid} = {value}"));
        if let Some(index) = oid.strip_prefix("1.3.1.2.") {
            // B28.
            return ours(mac(1, index.rsplit('.').next().unwrap().parse().unwrap()));
        }
        match oid {
            // B27: a master's address is its own.
            "1.3.1.7.10.60" | "1.3.1.7.10.61" => ours("IpAddress: 10.61.0.1".to_owned()),
            "1.3.1.7.11.62" => ours("IpAddress: 10.62.0.1".to_owned()),
            // B26: sysUpTime when they began.
            _ if oid.starts_with("1.3.1.13.") => ours("Timeticks: (4000) 0:00:40.00".to_owned()),
            _ => None,
        }
    };
    let walked = walked(&LAB_08);
    assert_eq!(walked, recorded(include_str!("../../agentx-tests/oracle/08-v2-rfc2787/walk-numeric.txt"), root, right));
    // B29: Keepalived 2.2.7 shows one row.
    assert_eq!(walked.iter().filter(|line| line.starts_with(&format!("{root}1.3.1.3."))).count(), 4);
}

/// B31: Keepalived gives a value of eight octets.
#[test]
fn without_a_virtual_router_the_scalars_of_both_modules_are_there() {
    let engine = Engine::new(&Default::default(), EngineOptions::default(), BEGAN, WallTime(0));
    let tree = Tree::new(&Snmp { rfcv2: true, rfcv3: true, ..Snmp::default() }, &[Source::Vrrp]);
    let (snapshot, mut at, mut lines) = (stored(&engine), Oid::default(), vec![]);
    let look = Look { snapshot: &snapshot, moment: Moment { now: BEGAN, epoch: EPOCH } };
    while let Some(next) = tree.next(look, &at, false, &Oid::default()) {
        lines.push(line(&next));
        at = next.name;
    }
    assert_eq!(
        lines,
        [
            ".1.3.6.1.2.1.68.1.1.0 = INTEGER: 2",
            ".1.3.6.1.2.1.68.1.2.0 = INTEGER: 2",
            ".1.3.6.1.2.1.68.2.1.0 = Counter32: 0",
            ".1.3.6.1.2.1.68.2.2.0 = Counter32: 0",
            ".1.3.6.1.2.1.68.2.3.0 = Counter32: 0",
            ".1.3.6.1.2.1.207.1.2.1.0 = Counter64: 0",
            ".1.3.6.1.2.1.207.1.2.2.0 = Counter64: 0",
            ".1.3.6.1.2.1.207.1.2.3.0 = Counter64: 0",
            ".1.3.6.1.2.1.207.1.2.4.0 = Timeticks: (0) 0:00:00.00",
        ]
    );
}
