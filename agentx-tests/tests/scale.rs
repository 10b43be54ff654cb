//! A thousand virtual routers on one host.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use agentx_tests::capture::Witness;
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Nic};
use agentx_tests::{usage, wait};

const INTERFACES: usize = 4;
const PER_INTERFACE: usize = 250;

#[test]
fn a_thousand_instances_all_become_master_and_advertise_in_time() {
    let lab = Lab::new();
    let switch = lab.switch();
    let node = lab.node("R1");
    let mut text = String::from("global_defs {\n    router_id R1\n}\n");
    let mut wanted = BTreeSet::new();
    for interface in 0..INTERFACES {
        let name = format!("eth{interface}");
        let own = format!("10.{interface}.255.1/16");
        let port = lab.connect(&node, &switch, Nic { name: &name, addresses: &[&own], ..Nic::default() });
        for vrid in 1..=PER_INTERFACE {
            let _ = write!(
                text,
                "vrrp_instance VI_{interface}_{vrid} {{\n    interface {name}\n    virtual_router_id {vrid}\n    priority 100\n    \
                 version 3\n    advert_int 1\n    virtual_ipaddress {{\n        10.{interface}.{vrid}.1/32\n    }}\n}}\n"
            );
            wanted.insert((port, vrid as u8));
        }
    }
    let witness = Witness::start(&lab);
    let daemon = Daemon::start(&node, Program::Keepwatch, &text, Options::default());
    let heard = || -> BTreeSet<_> {
        let frames = witness.frames().into_iter().filter_map(|frame| match frame.content {
            agentx_tests::capture::Content::Advert(advert) => Some((frame.port, advert.vrid)),
            _ => None,
        });
        frames.collect()
    };
    let all = wait::within(Duration::from_secs(30), || (heard() == wanted).then_some(()));
    assert!(
        all.is_some(),
        "{} of {} advertise, not {:?}; it said:\n{}",
        heard().len(),
        wanted.len(),
        wanted.difference(&heard()).take(5).collect::<Vec<_>>(),
        daemon.log()
    );
    let masters = || node.addresses().iter().filter(|address| address.ends_with("/32")).count();
    let there = wait::within(Duration::from_secs(10), || (masters() == wanted.len()).then_some(()));
    assert!(there.is_some(), "{} of {} addresses", masters(), wanted.len());

    let cpu = usage::cpu(daemon.process.pid());
    let from = wait::now_ns();
    wait::observe(Duration::from_secs(5));
    let spent = usage::cpu(daemon.process.pid()) - cpu;
    let mut last = std::collections::BTreeMap::new();
    let mut longest = 0;
    for frame in witness.frames() {
        if let agentx_tests::capture::Content::Advert(advert) = frame.content
            && let Some(before) = last.insert((frame.port, advert.vrid), frame.at)
            && frame.at > from
        {
            longest = longest.max(frame.at - before);
        }
    }
    let memory = usage::memory(daemon.process.pid());
    for one in &memory {
        println!("{:>8} KiB resident, {:>8} KiB proportional: {}", one.rss, one.pss, one.command);
    }
    println!("longest gap {:.1} ms, {spent:?} of CPU in 5 s", longest as f64 / 1e6);
    assert!(longest < 1_200_000_000, "a gap of {} s", wait::seconds(longest));
    let total: u64 = memory.iter().map(|one| one.pss).sum();
    assert!(total < 200 << 10, "{total} KiB");
}
