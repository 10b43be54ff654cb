//! What an enemy on the link or behind the AgentX socket can send: no change of state, and every drop is counted under
//! its reason.

use std::time::Duration;

use agentx_tests::capture::longest_gap;
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::hostile::{Manners, Master, malformed_pdus};
use agentx_tests::packet::Forged;
use agentx_tests::pair::Link;
use agentx_tests::wait;

/// Three virtual routers, priority 100, master of their addresses at one advert a second.
const CONFIGURATION: &str = "
global_defs {
    router_id R1
}
vrrp_instance VI_2 {
    interface eth0
    virtual_router_id 52
    priority 100
    version 2
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass s3cret
    }
    virtual_ipaddress {
        10.0.0.52/24
        10.0.0.152/24
    }
}
vrrp_instance VI_3 {
    interface eth0
    virtual_router_id 53
    priority 100
    version 3
    advert_int 1
    virtual_ipaddress {
        10.0.0.53/24
    }
}
vrrp_instance VI_6 {
    interface eth0
    virtual_router_id 56
    priority 100
    version 3
    advert_int 1
    virtual_ipaddress {
        fe80::56/64
    }
}
";

const LENGTH: &str = "Packet Errors / Length";
const TTL: &str = "Packet Errors / TTL";
const KIND: &str = "Packet Errors / Invalid Type";
const INTERVAL: &str = "Packet Errors / Advertisement Interval";
const ADDRESSES: &str = "Packet Errors / Address List";
const AUTH_KIND: &str = "Authentication Errors / Invalid Type";
const AUTH_MISMATCH: &str = "Authentication Errors / Type Mismatch";
const AUTH_FAILURE: &str = "Authentication Errors / Failure";
/// Errors that belong to no instance.
const ROUTER: &str = "VRRP Router";
const CHECKSUM: &str = "Packet Errors / Checksum";
const VERSION: &str = "Packet Errors / Version";
const VRID: &str = "Packet Errors / Virtual Router ID";
const TRUNCATED: &str = "Packet Errors / Truncated";

/// A master of all three, and an enemy at 10.0.0.2.
fn master() -> (Link, Daemon) {
    let link = Link::new();
    let daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, CONFIGURATION, Options::default());
    let addresses = || link.nodes[0].ip(&["-o", "address", "show", "dev", "eth0"]);
    let all = ["10.0.0.52/", "10.0.0.152/", "10.0.0.53/", "fe80::56/"];
    let there = wait::within(Duration::from_secs(10), || all.iter().all(|one| addresses().contains(one)).then_some(()));
    assert!(there.is_some(), "not master of everything; it said:\n{}", daemon.log());
    (link, daemon)
}

/// The enemy's link-local address.
fn link_local(link: &Link) -> String {
    let shown = link.nodes[1].ip(&["-o", "-6", "address", "show", "dev", "eth0", "scope", "link"]);
    let address = shown.split_whitespace().skip_while(|word| *word != "inet6").nth(1);
    address.and_then(|address| address.split('/').next()).expect("an IPv6 host has a link-local address").to_owned()
}

/// Good adverts of priority 200: each would end our mastership.
fn good(link: &Link) -> [Forged; 3] {
    [
        Forged::v2("10.0.0.2", 52, 200, 1, &["10.0.0.52", "10.0.0.152"]).password("s3cret"),
        Forged::v3("10.0.0.2", 53, 200, 100, &["10.0.0.53"]),
        Forged::v3(&link_local(link), 56, 200, 100, &["fe80::56"]),
    ]
}

/// What is wrong, the advert, and where it must be counted.
type Case = (&'static str, Forged, (&'static str, &'static str));

fn spoiled(link: &Link) -> Vec<Case> {
    let [v2, v3, v6] = good(link);
    let other = vec!["10.0.0.200".parse().unwrap()];
    let sixth = vec!["fe80::200".parse().unwrap()];
    vec![
        ("v2 TTL 254", Forged { ttl: 254, ..v2.clone() }, ("VI_2", TTL)),
        ("v2 type 2", Forged { kind: 2, ..v2.clone() }, ("VI_2", KIND)),
        ("v2 interval 5", Forged { interval: 5, ..v2.clone() }, ("VI_2", INTERVAL)),
        ("v2 other addresses", Forged { addresses: other.clone(), ..v2.clone() }, ("VI_2", ADDRESSES)),
        ("v2 one address missing", Forged { addresses: v2.addresses[..1].to_vec(), ..v2.clone() }, ("VI_2", ADDRESSES)),
        ("v2 cut in its authentication", Forged { cut: 6, ..v2.clone() }, ("VI_2", LENGTH)),
        ("v2 a count of 20 with two addresses", Forged { count: Some(20), ..v2.clone() }, ("VI_2", LENGTH)),
        ("v2 wrong password", v2.clone().password("guessed"), ("VI_2", AUTH_FAILURE)),
        ("v2 no authentication", Forged { auth_type: 0, auth: vec![0; 8], ..v2.clone() }, ("VI_2", AUTH_MISMATCH)),
        ("v2 authentication type 2 (AH)", Forged { auth_type: 2, ..v2.clone() }, ("VI_2", AUTH_MISMATCH)),
        ("v2 authentication type 9", Forged { auth_type: 9, ..v2.clone() }, ("VI_2", AUTH_KIND)),
        ("v2 checksum", Forged { checksum_off_by: 1, ..v2.clone() }, (ROUTER, CHECKSUM)),
        ("version 4", Forged { version: 4, ..v2.clone() }, (ROUTER, VERSION)),
        ("version 3 to a router of version 2", Forged { version: 3, ..v2.clone() }, (ROUTER, VERSION)),
        ("unknown router", Forged { vrid: 99, ..v2.clone() }, (ROUTER, VRID)),
        ("four octets", Forged { cut: 20, ..v2 }, (ROUTER, TRUNCATED)),
        ("v3 TTL 1", Forged { ttl: 1, ..v3.clone() }, ("VI_3", TTL)),
        ("v3 type 7", Forged { kind: 7, ..v3.clone() }, ("VI_3", KIND)),
        ("v3 other addresses", Forged { addresses: other, ..v3.clone() }, ("VI_3", ADDRESSES)),
        ("v3 a count of 9 with one address", Forged { count: Some(9), ..v3.clone() }, ("VI_3", LENGTH)),
        ("v3 interval 0", Forged { interval: 0, ..v3.clone() }, ("VI_3", INTERVAL)),
        ("v3 checksum", Forged { checksum_off_by: 1, ..v3 }, (ROUTER, CHECKSUM)),
        ("IPv6 hop limit 254", Forged { ttl: 254, ..v6.clone() }, ("VI_6", TTL)),
        ("IPv6 other addresses", Forged { addresses: sixth, ..v6.clone() }, ("VI_6", ADDRESSES)),
        ("IPv6 checksum", Forged { checksum_off_by: 1, ..v6 }, (ROUTER, CHECKSUM)),
    ]
}

/// The three routers kept advertising once a second from `from` until now.
fn undisturbed(link: &Link, from: u64) {
    for vrid in [52, 53, 56] {
        let mut adverts = link.witness.adverts_from(link.ports[0]);
        adverts.retain(|(at, advert)| advert.vrid == vrid && *at >= from);
        let (gap, _) = longest_gap(&adverts).unwrap_or((u64::MAX, 0));
        assert!(gap < 1_200_000_000, "router {vrid} fell silent for {} s", wait::seconds(gap));
    }
}

#[test]
fn spoiled_adverts_change_nothing_and_are_counted_by_reason() {
    let (link, daemon) = master();
    let from = wait::now_ns();
    let mut wrong = Vec::new();
    let mut before = daemon.statistics();
    for (what, advert, (owner, counter)) in spoiled(&link) {
        for _ in 0..3 {
            advert.send(&link.nodes[1], "eth0");
        }
        let mut after = before.clone();
        wait::within(Duration::from_secs(2), || {
            after = daemon.statistics();
            let count = |of: &std::collections::BTreeMap<_, std::collections::BTreeMap<_, u64>>| {
                of.get(owner).and_then(|counters| counters.get(counter)).copied()
            };
            (count(&after)? >= count(&before)? + 3).then_some(())
        });
        // Exactly this counter, by exactly three; what counts good adverts moves by itself.
        let mut changed = Vec::new();
        for (of, counters) in &after {
            for (name, value) in counters.iter().filter(|(name, _)| name.contains("Errors")) {
                let grown = value - before.get(of).and_then(|counters| counters.get(name)).copied().unwrap_or(0);
                if grown != 0 {
                    changed.push((of.clone(), name.clone(), grown));
                }
            }
        }
        if changed != [(owner.to_owned(), counter.to_owned(), 3)] {
            wrong.push(format!("{what}: want {owner} {counter} + 3, have {changed:?}"));
        }
        before = after;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    undisturbed(&link, from);

    // The same enemy with nothing wrong: a stronger router, so that the test above could have failed.
    for advert in good(&link) {
        advert.send(&link.nodes[1], "eth0");
    }
    for address in ["10.0.0.52", "10.0.0.53"] {
        daemon.wait_for_address(address, false, Duration::from_secs(1));
    }
}

#[test]
fn hundreds_of_random_packets_change_nothing_and_are_all_counted() {
    let (link, daemon) = master();
    let from = wait::now_ns();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let [template, ..] = good(&link);
    for _ in 0..200 {
        let forged = Forged {
            version: (next() % 16) as u8,
            kind: (next() % 16) as u8,
            vrid: [52, 53, 56, next() as u8][(next() % 4) as usize],
            priority: next() as u8,
            count: Some(next() as u8),
            interval: next() as u16,
            auth_type: next() as u8,
            auth: (0..next() % 64).map(|_| next() as u8).collect(),
            ttl: if next() % 2 == 0 { 255 } else { next() as u8 },
            cut: (next() % 24) as usize,
            // A wrong checksum, always: a right one would be an honest advert once in a while.
            checksum_off_by: 1 + (next() % 0xfffe) as u16,
            ..template.clone()
        };
        forged.send(&link.nodes[1], "eth0");
    }
    wait::observe(Duration::from_secs(3));
    undisturbed(&link, from);
    let dropped: u64 = daemon
        .statistics()
        .values()
        .flatten()
        .filter(|(name, _)| name.contains("Errors"))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(dropped, 200, "every one is counted once");
}

#[test]
fn a_malformed_agentx_pdu_ends_the_session_with_a_parse_error_and_a_new_one_begins() {
    let link = Link::new();
    let socket = link.lab.directory().join("malformed");
    let pdus = malformed_pdus();
    let count = pdus.len() as u32;
    let master = Master::start(&socket, Manners::Sends(pdus.into_iter().map(|(_, bytes)| bytes).collect()));
    let agentx = master.agentx();
    let options = Options { agentx: Some(&agentx), ..Options::default() };
    let daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, CONFIGURATION, options);
    daemon.wait_for_address("10.0.0.52", true, Duration::from_secs(10));
    let bridge = daemon.wait_for_child("bridge", Duration::from_secs(5));
    let from = wait::now_ns();
    let all = wait::within(Duration::from_secs(150), || (master.opened() > count).then_some(()));
    let (opened, reasons) = (master.opened(), master.close_reasons());
    assert!(
        all.is_some(),
        "{opened} sessions for {count} bad PDUs, closed for {reasons:?}; it said:\n{}",
        daemon.log()
    );
    // What cannot even be framed may be answered by hanging up.
    assert!(reasons.iter().all(|reason| *reason == 2) && !reasons.is_empty(), "closed for {reasons:?}");
    assert_eq!(daemon.child("bridge"), Some(bridge), "the bridge survived");
    undisturbed(&link, from);
}
