//! Links, addresses and the firewall against the running kernel, seen from outside by `ip` and `nft`.
//!
//! Needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN). Every test works in network namespaces of its own threads, which
//! vanish with them.
#![cfg(feature = "daemon")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use keepwatch::conf::model::{Address, AddressFlags, Family, Location, VmacKind, Vrid, virtual_mac};
use keepwatch::netlink::forwarding::Forwarding;
use keepwatch::netlink::link::Links;
use keepwatch::netlink::nft::{Firewall, Port};
use keepwatch::netlink::route::{AddressAnswer, Addresses, Monitor, NetEvent, Status};
use keepwatch::vrrp::io::{AddressChange, AddressKey, Block, HostAddress, Link, WantedVmac};
use nix::errno::Errno;
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

// ---- addresses

#[test]
fn an_address_carries_every_option_of_its_line() {
    in_namespace(|| {
        let a0 = veth();
        let plain = |address, prefix| Address { prefix, ..vip(address) };
        submit_all(&[
            add(a0, 1, plain("10.1.0.1", 24)),
            add(
                a0,
                2,
                Address {
                    scope: 253,
                    broadcast: Some(Ipv4Addr::new(10, 2, 0, 255)),
                    label: Some("a0:vip".into()),
                    ..plain("10.2.0.1", 24)
                },
            ),
            add(a0, 3, Address { peer: Some(ip_of("10.4.0.1")), ..plain("10.3.0.1", 32) }),
            add(a0, 4, Address { preferred_lifetime: Some(0), ..plain("10.5.0.1", 24) }),
            add(a0, 5, Address { flags: flags(|f| f.noprefixroute = true), ..plain("10.6.0.1", 24) }),
            add(a0, 6, Address { preferred_lifetime: Some(0), ..plain("2001:db8:1::1", 128) }),
            add(a0, 7, Address { flags: flags(|f| f.noprefixroute = true), ..plain("2001:db8:2::1", 64) }),
            add(a0, 8, Address { peer: Some(ip_of("2001:db8:4::1")), ..plain("2001:db8:3::1", 128) }),
            add(
                a0,
                9,
                Address { flags: flags(|f| (f.home, f.mngtmpaddr) = (true, true)), ..plain("2001:db8:5::1", 64) },
            ),
            add(a0, 10, Address { preferred_lifetime: Some(100), ..plain("2001:db8:6::1", 64) }),
        ]);
        for (address, words) in [
            ("10.1.0.1/24", &["scope global", "preferred_lft forever"][..]),
            ("10.2.0.1/24", &["brd 10.2.0.255", "scope link", "a0:vip"]),
            ("10.3.0.1 peer 10.4.0.1/32", &["scope global"]),
            ("10.5.0.1/24", &["deprecated", "valid_lft forever"]),
            ("10.6.0.1/24", &["noprefixroute"]),
            ("2001:db8:1::1/128", &["deprecated", "nodad", "preferred_lft 0sec", "valid_lft forever"]),
            ("2001:db8:2::1/64", &["noprefixroute", "nodad"]),
            ("2001:db8:3::1 peer 2001:db8:4::1/128", &["nodad"]),
            ("2001:db8:5::1/64", &["home", "mngtmpaddr", "nodad"]),
            ("2001:db8:6::1/64", &["valid_lft forever"]),
        ] {
            let line = address_line(address);
            for word in words {
                assert!(line.contains(word), "{address} lacks `{word}`: {line}");
            }
        }
        let limited = address_line("2001:db8:6::1/64");
        assert!(limited.contains("preferred_lft 100sec") || limited.contains("preferred_lft 99sec"), "{limited}");
        assert!(!address_line("10.1.0.1/24").contains("brd"), "a broadcast address that nobody configured");
        assert!(run("ip route show 10.1.0.0/24").contains("a0"));
        assert_eq!(run("ip route show 10.6.0.0/24"), "", "noprefixroute made a route");
    });
}

#[test]
fn duplicate_address_detection_happens_only_when_asked_for() {
    in_namespace(|| {
        let a0 = veth();
        let dad = Address { flags: flags(|f| f.dad = true), prefix: 64, ..vip("2001:db8::1") };
        submit_all(&[add(a0, 1, dad), add(a0, 2, Address { prefix: 64, ..vip("2001:db8::2") })]);
        assert!(!address_line("2001:db8::1/64").contains("nodad"));
        assert!(address_line("2001:db8::2/64").contains("nodad"));
        assert!(!address_line("2001:db8::2/64").contains("tentative"));
    });
}

#[test]
fn removing_takes_exactly_the_address_that_was_added() {
    in_namespace(|| {
        let a0 = veth();
        let twins = [
            Address { prefix: 32, peer: Some(ip_of("10.2.0.1")), ..vip("10.1.0.1") },
            Address { prefix: 32, peer: Some(ip_of("10.3.0.1")), ..vip("10.1.0.1") },
            Address { prefix: 24, label: Some("a0:x".into()), ..vip("10.4.0.1") },
            Address { prefix: 64, ..vip("2001:db8::1") },
        ];
        let changes = |install| -> Vec<_> {
            (1..).zip(&twins).map(|(n, address)| change(a0, n, address.clone(), install)).collect()
        };
        submit_all(&changes(true));
        submit_all(&changes(false)[..1]);
        let left = run("ip -o addr show dev a0");
        assert!(!left.contains("10.2.0.1"), "{left}");
        assert!(left.contains("peer 10.3.0.1/32") && left.contains("10.4.0.1/24") && left.contains("2001:db8::1/64"));
        submit_all(&changes(false)[1..]);
        let left = run("ip -o addr show dev a0");
        assert!(!left.contains("inet ") && !left.contains("2001:db8"), "{left}");
    });
}

#[test]
fn adding_twice_and_removing_twice_succeed() {
    in_namespace(|| {
        let a0 = veth();
        for install in [true, true, false, false] {
            submit_all(&[change(a0, 1, vip("10.1.0.1"), install), change(a0, 2, vip("2001:db8::1"), install)]);
            let shown = run("ip -o addr show dev a0");
            assert_eq!(shown.contains("10.1.0.1/32"), install);
            assert_eq!(shown.contains("2001:db8::1/128"), install);
        }
        run("ip link del a0");
        submit_all(&[change(a0, 1, vip("10.1.0.1"), false), change(a0, 2, vip("2001:db8::1"), false)]);
    });
}

#[test]
fn a_thousand_addresses_in_one_submit_are_all_answered() {
    in_namespace(|| {
        let a0 = veth();
        let all: Vec<_> = (0..1000).map(|n| vip(&format!("10.7.{}.{}", n / 250, n % 250 + 1))).collect();
        let changes = |install| -> Vec<_> {
            (1..).zip(&all).map(|(n, address)| change(a0, n, address.clone(), install)).collect()
        };
        submit_all(&changes(true));
        assert_eq!(run("ip -o addr show dev a0").matches("inet 10.7.").count(), 1000);
        submit_all(&changes(false));
        assert_eq!(run("ip -o addr show dev a0").matches("inet 10.7.").count(), 0);
    });
}

#[test]
fn changes_are_carried_out_in_the_order_given() {
    in_namespace(|| {
        let a0 = veth();
        let flip: Vec<_> = (0..501).map(|n| change(a0, 1, vip("10.1.0.1"), n % 2 == 0)).collect();
        submit_all(&flip);
        assert!(run("ip -o addr show dev a0").contains("10.1.0.1/32"), "the last of 501 changes was to add it");
    });
}

#[test]
fn a_refused_change_gives_its_errno_and_the_others_go_on() {
    in_namespace(|| {
        let a0 = veth();
        let mut addresses = Addresses::open(None).unwrap();
        let bad_label = Address { label: Some("far-too-long-for-a-label".into()), ..vip("10.1.0.3") };
        let changes = [add(9999, 1, vip("10.1.0.1")), add(a0, 2, vip("10.1.0.2")), add(a0, 3, bad_label)];
        let errors: Vec<_> = answers(&mut addresses, &changes).into_iter().map(|(_, _, error)| error).collect();
        assert_eq!(errors, [Some(libc::ENODEV), None, Some(libc::ERANGE)]);
        assert!(run("ip -o addr show dev a0").contains("10.1.0.2/32"));
        assert!(!addresses.last_text().is_empty(), "the kernel explains a refused attribute");
    });
}

// ---- monitor

#[test]
fn the_first_dump_reports_every_link_and_address() {
    in_namespace(|| {
        let a0 = veth();
        run("ip addr add 10.1.0.1/24 dev a0");
        run("ip addr add 10.1.0.2/24 dev a0");
        run("ip addr add 2001:db8::1/64 dev a0 nodad");
        run("ip link set a0 mtu 1400");
        let events = Watch::new(None).dump();
        let links = links(&events);
        let lo = links.iter().find(|link| link.name == "lo").expect("lo");
        assert!(lo.up() && lo.loopback && !lo.multicast && lo.mac.is_none(), "{lo:?}");
        let link = links.iter().find(|link| link.index == a0).expect("a0");
        assert!(link.up() && !link.loopback && link.multicast && link.mtu == 1400, "{link:?}");
        let mac = link.mac.expect("Ethernet").map(|byte| format!("{byte:02x}")).join(":");
        assert!(run("ip -o link show a0").contains(&mac), "{link:?}");
        for (address, prefix, secondary) in
            [("10.1.0.1", 24, false), ("10.1.0.2", 24, true), ("2001:db8::1", 64, false)]
        {
            let host = HostAddress { interface: a0, address: ip_of(address), prefix, secondary, tentative: false };
            assert!(events.contains(&NetEvent::Address(host)), "{host:?} in {events:?}");
        }
    });
}

#[test]
fn a_link_that_goes_down_up_is_renamed_and_deleted_is_followed() {
    in_namespace(|| {
        let a0 = veth();
        let mut watch = Watch::new(None);
        watch.dump();
        let mut until = |what, wanted: &dyn Fn(&Link) -> bool| {
            watch.until(what, |e| matches!(e, NetEvent::Link(link) if link.index == a0 && wanted(link)))
        };

        run("ip link set a0 down");
        until("admin down", &|link| !link.admin_up && !link.up());
        run("ip link set a0 up");
        until("up again", &|link| link.up());
        run("ip link set a1 down");
        until("carrier lost", &|link| link.admin_up && !link.running);
        run("ip link set a1 up");
        until("carrier back", &|link| link.up());
        run("ip link set a0 down");
        run("ip link set a0 name renamed");
        until("renamed", &|link| link.name == "renamed");
        run("ip addr add 10.1.0.1/24 dev renamed");
        run("ip link del renamed");
        let events = watch.until("gone", |e| *e == NetEvent::LinkGone(a0));
        assert!(
            events.iter().any(|e| matches!(e, NetEvent::AddressGone(gone) if gone.address == ip_of("10.1.0.1"))),
            "its address went with it: {events:?}"
        );
    });
}

#[test]
fn who_forwards_ipv6_is_known_and_what_changes_is_heard() {
    in_namespace(|| {
        let a0 = veth();
        let set = |what: &str, value: u32| run(&format!("sysctl -w net.ipv6.conf.{what}.forwarding={value}"));
        set("a0", 1);
        let mut forwarding = Forwarding::open().unwrap();
        assert!(forwarding.is_on(a0));
        let mut after = |what: &str, value: u32| {
            set(what, value);
            forwarding.read().unwrap();
            (forwarding.is_on(a0), forwarding.is_on(index("lo")))
        };
        assert_eq!(after("a0", 0), (false, false));
        assert_eq!(after("all", 1), (true, true));
        assert_eq!(after("all", 0), (false, false));
        assert_eq!(after("lo", 1), (false, true));
        run("ip link add a2 type veth peer name a3");
        run("sysctl -w net.ipv6.conf.a2.forwarding=1");
        let gone = index("a2");
        run("ip link del a2");
        forwarding.read().unwrap();
        assert!(!forwarding.is_on(gone));
    });
}

#[test]
fn leaving_a_bridge_is_not_disappearing() {
    in_namespace(|| {
        let a0 = veth();
        run("ip link add br0 type bridge");
        run("ip link set a0 master br0");
        let mut watch = Watch::new(None);
        watch.dump();
        run("ip link set a0 nomaster");
        run("ip link set a0 mtu 1300");
        let events =
            watch.until("later change", |e| matches!(e, NetEvent::Link(link) if link.index == a0 && link.mtu == 1300));
        assert!(!events.contains(&NetEvent::LinkGone(a0)), "{events:?}");
    });
}

#[test]
fn addresses_of_others_are_seen_coming_and_going() {
    in_namespace(|| {
        let a0 = veth();
        let mut watch = Watch::new(None);
        watch.dump();
        let host = |address, prefix| HostAddress {
            interface: a0,
            address: ip_of(address),
            prefix,
            secondary: false,
            tentative: false,
        };
        run("ip addr add 10.1.0.1/24 dev a0");
        watch.until("added", |e| *e == NetEvent::Address(host("10.1.0.1", 24)));
        run("ip addr add 10.1.0.2/24 dev a0");
        let secondary = HostAddress { secondary: true, ..host("10.1.0.2", 24) };
        watch.until("secondary", |e| *e == NetEvent::Address(secondary));
        run("ip addr del 10.1.0.1/24 dev a0");
        watch.until("removed", |e| *e == NetEvent::AddressGone(host("10.1.0.1", 24)));

        run("ip addr add 2001:db8::1/64 dev a0");
        let tentative = HostAddress { tentative: true, ..host("2001:db8::1", 64) };
        watch.until("tentative", |e| *e == NetEvent::Address(tentative));
        watch.until("usable", |e| *e == NetEvent::Address(host("2001:db8::1", 64)));
    });
}

#[test]
fn one_address_with_two_peers_is_gone_only_when_both_are() {
    in_namespace(|| {
        veth();
        run("ip addr add 10.1.0.1 peer 10.2.0.1/32 dev a0");
        run("ip addr add 10.1.0.1 peer 10.3.0.1/32 dev a0");
        let mut watch = Watch::new(None);
        watch.dump();
        run("ip addr del 10.1.0.1 peer 10.2.0.1/32 dev a0");
        run("ip link set a0 mtu 1300");
        let events = watch.until("later change", |e| matches!(e, NetEvent::Link(link) if link.mtu == 1300));
        assert!(!events.iter().any(|e| matches!(e, NetEvent::AddressGone(_))), "{events:?}");
        run("ip addr del 10.1.0.1 peer 10.3.0.1/32 dev a0");
        watch.until("gone", |e| matches!(e, NetEvent::AddressGone(gone) if gone.address == ip_of("10.1.0.1")));
    });
}

#[test]
fn what_an_overrun_hid_comes_with_the_next_dump() {
    in_namespace(|| {
        let a0 = veth();
        run("ip link add b0 type veth peer name b1");
        let b0 = index("b0");
        let vips: Vec<_> = (1..=200).map(|n| vip(&format!("10.7.0.{n}"))).collect();
        let changes = |install, range: std::ops::Range<usize>| -> Vec<_> {
            (1..).zip(&vips[range]).map(|(n, vip)| change(a0, n, vip.clone(), install)).collect()
        };
        submit_all(&changes(true, 0..100));
        let mut watch = Watch::new(Some(1));
        let mut known = BTreeSet::new();
        let mut follow = |events: &[NetEvent]| {
            for event in events {
                match event {
                    NetEvent::Address(host) if host.interface == a0 => known.insert(host.address),
                    NetEvent::AddressGone(host) if host.interface == a0 => known.remove(&host.address),
                    _ => false,
                };
            }
            known.clone()
        };
        let all_of = |range: std::ops::Range<usize>| vips[range].iter().map(|vip| vip.address).collect::<BTreeSet<_>>();
        assert_eq!(follow(&watch.dump()), all_of(0..100));

        submit_all(&changes(false, 0..100));
        submit_all(&changes(true, 50..200));
        run("ip link del b0");
        run("ip link set a0 down");
        run("ip link set a0 name c0");
        let mut events = Vec::new();
        assert_eq!(watch.monitor.read(&mut events).unwrap(), Status::Overrun);
        assert_eq!(watch.monitor.read(&mut events).unwrap(), Status::Overrun, "until the next dump");
        events.extend(watch.dump());

        assert_eq!(follow(&events), all_of(50..200));
        assert!(events.contains(&NetEvent::LinkGone(b0)), "{events:?}");
        assert!(links(&events).iter().any(|link| link.index == a0 && link.name == "c0" && !link.up()));

        run("ip link set c0 mtu 1300");
        watch.until("news after the dump", |e| matches!(e, NetEvent::Link(link) if link.mtu == 1300));
    });
}

// ---- firewall

#[test]
fn blocked_addresses_are_dropped_until_unblocked_and_others_are_not() {
    in_namespace(|| {
        veth();
        for address in ["10.1.0.1/24", "10.1.0.2/24", "2001:db8::1/64", "2001:db8::2/64"] {
            give("a0", address);
        }
        let mut firewall = Firewall::open("keepalived", -1, true).unwrap();
        for (source, vip, other) in [("127.0.0.1", "10.1.0.1", "10.1.0.2"), ("::1", "2001:db8::1", "2001:db8::2")] {
            assert_eq!(heard(source, vip, other), [vip, other]);
            set(&mut firewall, &[anywhere(vip)]);
            assert_eq!(heard(source, vip, other), [other]);
            let error = UdpSocket::bind((vip, 0)).unwrap().send_to(b"x", (other, 9)).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "from {vip}");
            set(&mut firewall, &[]);
            assert_eq!(heard(source, vip, other), [vip, other]);
        }
    });
}

#[test]
fn the_tables_look_as_operators_know_them_from_keepalived() {
    in_namespace(|| {
        let a0 = veth();
        let mut firewall = Firewall::open("keepalived", -1, true).unwrap();
        let local = Block { address: ip_of("fe80::10"), interface: Some(a0) };
        set(&mut firewall, &[anywhere("10.1.0.1"), anywhere("2001:db8::1"), local]);
        let v4 = run("nft list table ip keepalived");
        for part in [
            "type ipv4_addr",
            "elements = { 10.1.0.1 }",
            "type filter hook input priority filter - 1; policy accept;",
            "type filter hook output priority filter - 1; policy accept;",
            "ip daddr @vips counter packets 0 bytes 0 drop",
            "ip saddr @vips counter packets 0 bytes 0 drop",
        ] {
            assert!(v4.contains(part), "no `{part}` in {v4}");
        }
        let v6 = run("nft list table ip6 keepalived");
        for part in [
            "type ipv6_addr",
            "elements = { 2001:db8::1 }",
            "type ipv6_addr . iface_index",
            "elements = { fe80::10 . \"a0\" }",
            "ip6 daddr . iif @vips_link_local counter packets 0 bytes 0 drop",
            "ip6 saddr . oif @vips_link_local counter packets 0 bytes 0 drop",
            "ip6 daddr @vips counter packets 0 bytes 0 drop",
            "icmpv6 type",
        ] {
            assert!(v6.contains(part), "no `{part}` in {v6}");
        }
        set(&mut firewall, &[anywhere("10.1.0.1")]);
        assert_eq!(run("nft list tables"), "table ip keepalived\n", "an empty table is deleted");

        let mut other = Firewall::open("mine", 5, false).unwrap();
        set(&mut other, &[anywhere("10.1.0.1")]);
        let mine = run("nft list table ip mine");
        assert!(mine.contains("priority filter + 5") && !mine.contains("counter"), "{mine}");
    });
}

#[test]
fn only_differences_are_sent_so_that_counters_survive() {
    in_namespace(|| {
        veth();
        run("ip addr add 10.1.0.1/24 dev a0");
        run("ip addr add 10.1.0.2/24 dev a0");
        let mut firewall = Firewall::open("keepalived", -1, true).unwrap();
        set(&mut firewall, &[anywhere("10.1.0.1")]);
        assert_eq!(heard("127.0.0.1", "10.1.0.1", "10.1.0.2"), ["10.1.0.2"]);
        set(&mut firewall, &[anywhere("10.1.0.1"), anywhere("10.1.0.9")]);
        set(&mut firewall, &[anywhere("10.1.0.1"), anywhere("10.1.0.8")]);
        let table = run("nft list table ip keepalived");
        assert!(table.contains("elements = { 10.1.0.1, 10.1.0.8 }"), "{table}");
        assert!(table.contains("ip daddr @vips counter packets 1 "), "{table}");
    });
}

#[test]
fn thousands_of_addresses_fit_into_one_transaction() {
    in_namespace(|| {
        let mut firewall = Firewall::open("keepalived", -1, false).unwrap();
        let blocks: Vec<_> = (0..5000u16)
            .map(|n| Block { address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n).into(), interface: None })
            .collect();
        set(&mut firewall, &blocks);
        assert_eq!(run("nft list set ip6 keepalived vips").matches("2001:db8").count(), 5000);
        set(&mut firewall, &blocks[..1]);
        assert_eq!(run("nft list set ip6 keepalived vips").matches("2001:db8").count(), 1);
    });
}

#[test]
fn a_flushed_ruleset_is_built_anew_at_the_next_change() {
    in_namespace(|| {
        let mut firewall = Firewall::open("keepalived", -1, false).unwrap();
        set(&mut firewall, &[anywhere("10.1.0.1")]);
        run("nft flush ruleset");
        set(&mut firewall, &[anywhere("10.1.0.1"), anywhere("10.1.0.2")]);
        assert!(run("nft list table ip keepalived").contains("elements = { 10.1.0.1, 10.1.0.2 }"));
        run("nft flush ruleset");
        set(&mut firewall, &[]);
        assert_eq!(run("nft list ruleset"), "");
    });
}

#[test]
fn the_tables_of_a_crashed_predecessor_stay_until_the_first_change_and_are_built_anew_by_it() {
    in_namespace(|| {
        let open = || Firewall::open("keepalived", -1, false).unwrap();
        let mut crashed = open();
        set(&mut crashed, &[anywhere("10.1.0.1"), anywhere("10.1.0.2")]);
        drop(crashed);
        let mut next = open();
        next.doubt();
        assert!(run("nft list ruleset").contains("10.1.0.2"));
        set(&mut next, &[anywhere("10.1.0.1")]);
        let rules = run("nft list ruleset");
        assert!(rules.contains("elements = { 10.1.0.1 }"), "{rules}");
        drop(next);
        let mut last = open();
        last.doubt();
        last.read_answers(&mut Vec::new()).unwrap();
        assert_eq!(run("nft list ruleset"), "", "nothing was set: nothing stays");
    });
}

#[test]
fn the_tables_of_a_crashed_predecessor_are_removed_and_nothing_else_is() {
    in_namespace(|| {
        run("nft add table ip bystander");
        run("nft add table ip6 keepalived");
        run("nft add chain ip6 keepalived leftover");
        let mut firewall = Firewall::open("keepalived", -1, false).unwrap();
        firewall.remove().unwrap();
        assert_settled(&mut firewall);
        assert_eq!(run("nft list tables"), "table ip bystander\n");
        firewall.remove().unwrap();
        assert_settled(&mut firewall);

        set(&mut firewall, &[anywhere("10.1.0.1"), anywhere("2001:db8::1")]);
        drop(firewall);
        let mut successor = Firewall::open("keepalived", -1, false).unwrap();
        set(&mut successor, &[anywhere("10.1.0.2")]);
        let table = run("nft list table ip keepalived");
        assert!(table.contains("elements = { 10.1.0.2 }") && table.matches("@vips drop").count() == 2, "{table}");
        successor.remove().unwrap();
        assert_settled(&mut successor);
        assert_eq!(run("nft list tables"), "table ip bystander\n");
    });
}

#[test]
fn what_the_kernel_refuses_is_told_once_and_tried_again_at_the_next_change() {
    in_namespace(|| {
        let mut firewall = Firewall::open(&"too long".repeat(100), -1, false).unwrap();
        let mut errors = Vec::new();
        for told in 1..=2 {
            firewall.set(&[anywhere("10.1.0.1")]).unwrap();
            for _ in 0..3 {
                firewall.read_answers(&mut errors).unwrap();
                assert_eq!(errors.len(), told, "{errors:?}");
                assert!(!firewall.settled());
            }
        }
        assert!(errors[0].starts_with("nftables table too long"), "{errors:?}");
    });
}

#[test]
fn neighbours_still_find_a_blocked_address() {
    let (to_neighbour, from_router) = mpsc::channel::<()>();
    let (to_router, from_neighbour) = mpsc::channel::<i32>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            in_namespace(move || {
                to_router.send(nix::unistd::gettid().as_raw()).unwrap();
                from_router.recv().unwrap();
                run("ip link set a1 addrgenmode none up");
                give("a1", "2001:db8::f/64");
                give("a1", "fe80::f/64");
                let socket = UdpSocket::bind("[2001:db8::f]:0").unwrap();
                let local = SocketAddrV6::new("fe80::10".parse().unwrap(), PORT, 0, index("a1"));
                let local_socket =
                    UdpSocket::bind(SocketAddrV6::new("fe80::f".parse().unwrap(), 0, 0, index("a1"))).unwrap();
                for _ in 0..2 {
                    // Packets wait for discovery, so the later of two may arrive first unless it is done.
                    for address in ["2001:db8::1", "2001:db8::9"] {
                        socket.send_to(address.as_bytes(), (address, PORT)).unwrap();
                        found(address);
                    }
                    local_socket.send_to(b"fe80::10", local).unwrap();
                    found("fe80::10");
                }
                socket.send_to(b"end", ("2001:db8::9", PORT)).unwrap();
                to_router.send(0).unwrap();
                let _ = from_router.recv();
            });
        });
        in_namespace(move || {
            let a0 = veth();
            for address in ["2001:db8::1/64", "2001:db8::9/64", "fe80::10/64"] {
                give("a0", address);
            }
            run(&format!("ip link set a1 netns {}", from_neighbour.recv().unwrap()));
            let mut firewall = Firewall::open("keepalived", -1, false).unwrap();
            set(&mut firewall, &[anywhere("2001:db8::1"), Block { address: ip_of("fe80::10"), interface: Some(a0) }]);
            let socket = UdpSocket::bind(("::", PORT)).unwrap();
            to_neighbour.send(()).unwrap();
            from_neighbour.recv().expect("the neighbour did not find a blocked address");
            assert_eq!(until_end(&socket), ["2001:db8::9", "2001:db8::9"]);
        });
    });
}

/// For discarding; free in a new namespace.
const PORT: u16 = 9;

/// Waits until the neighbour at `address` is known by its Ethernet address.
fn found(address: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !run(&format!("ip neigh show {address} dev a1")).contains("lladdr") {
        assert!(Instant::now() < deadline, "neighbour discovery for {address} fails");
    }
}

// ---- helpers

/// Runs `body` on a thread with a network namespace of its own, `lo` up.
fn in_namespace<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .expect("these tests make network namespaces: run them as root (CAP_SYS_ADMIN)");
            stay_on_one_cpu();
            run("ip link set lo up");
            body()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Packets between interfaces of one host queue per processor: a thread that moves may see them overtake each other.
fn stay_on_one_cpu() {
    let this_thread = nix::unistd::Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread).unwrap();
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap()).unwrap();
    let mut one = CpuSet::new();
    one.set(first).unwrap();
    sched_setaffinity(this_thread, &one).unwrap();
}

/// Runs a command in this thread's namespace and returns its output.
fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A pair of connected interfaces, a0 and a1, both up; gives the index of a0. (Unlike dummy, every kernel has veth.)
fn veth() -> u32 {
    run("ip link add a0 type veth peer name a1");
    // Kernel-made IPv6 addresses would be news of their own.
    run("ip link set a0 addrgenmode none up");
    run("ip link set a1 addrgenmode none up");
    // The kernel tells of the carrier some time after it is there.
    let deadline = Instant::now() + PATIENCE;
    while !run("ip -o link show a0").contains(" state UP ") {
        assert!(Instant::now() < deadline, "a0 never comes up");
    }
    index("a0")
}

/// Adds an address and waits until the kernel delivers packets to it: IPv6 begins some time after the answer.
fn give(interface: &str, address: &str) {
    run(&format!("ip addr add {address} dev {interface} nodad"));
    let local = address.split('/').next().unwrap();
    let family = if local.contains(':') { "-6" } else { "-4" };
    let deadline = Instant::now() + PATIENCE;
    while run(&format!("ip {family} route show table local type local {local}")).is_empty() {
        assert!(Instant::now() < deadline, "{address} never becomes local");
    }
}

fn index(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).unwrap()
}

fn address_line(address: &str) -> String {
    let all = run("ip -d -o addr show dev a0");
    let line = all.lines().find(|line| line.contains(&format!(" {address} ")));
    line.unwrap_or_else(|| panic!("no {address} in:\n{all}")).to_owned()
}

fn ip_of(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn vip(address: &str) -> Address {
    let address = ip_of(address);
    Address {
        location: Location::default(),
        address,
        prefix: if address.is_ipv4() { 32 } else { 128 },
        interface: "a0".into(),
        scope: 0,
        broadcast: None,
        label: None,
        peer: None,
        flags: AddressFlags::default(),
        preferred_lifetime: None,
        no_track: false,
    }
}

fn flags(set: impl FnOnce(&mut AddressFlags)) -> AddressFlags {
    let mut flags = AddressFlags::default();
    set(&mut flags);
    flags
}

fn change(interface: u32, position: u32, address: Address, install: bool) -> AddressChange {
    let key = AddressKey { owner: Some("V".into()), position, question: 0 };
    AddressChange { key, interface, address, install }
}

fn add(interface: u32, position: u32, address: Address) -> AddressChange {
    change(interface, position, address, true)
}

/// Submits the changes and asserts that the kernel accepted every one.
fn submit_all(changes: &[AddressChange]) {
    let mut addresses = Addresses::open(None).unwrap();
    let expected: Vec<_> = changes.iter().map(|change| (change.key.clone(), change.install, None)).collect();
    assert_eq!(answers(&mut addresses, changes), expected, "{}", addresses.last_text());
}

/// Submits the changes and gives the answers, in order, as an epoll loop would read them.
fn answers(addresses: &mut Addresses, changes: &[AddressChange]) -> Vec<AddressAnswer> {
    let mut got = Vec::new();
    addresses.submit(changes).unwrap();
    while addresses.waiting() > 0 {
        assert!(readable(&*addresses, Instant::now() + PATIENCE), "{} answers are missing", addresses.waiting());
        addresses.read_answers(&mut got).unwrap();
    }
    got
}

/// Far more than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

fn readable(socket: impl AsFd, deadline: Instant) -> bool {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, 0)).unwrap();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::try_from(left).unwrap()) {
            Err(Errno::EINTR) => {}
            ready => return ready.unwrap() == 1,
        }
    }
}

struct Watch {
    monitor: Monitor,
}

impl Watch {
    fn new(receive_buffer: Option<u32>) -> Watch {
        Watch { monitor: Monitor::open(receive_buffer).unwrap() }
    }

    fn dump(&mut self) -> Vec<NetEvent> {
        let mut events = Vec::new();
        self.monitor.dump(&mut events).unwrap();
        events
    }

    /// Reads until an event is as wanted; gives all up to then.
    fn until(&mut self, what: &str, wanted: impl Fn(&NetEvent) -> bool) -> Vec<NetEvent> {
        let deadline = Instant::now() + PATIENCE;
        let mut events = Vec::new();
        while !events.iter().any(&wanted) {
            assert!(readable(&self.monitor, deadline), "never seen: {what}; only {events:?}");
            if self.monitor.read(&mut events).unwrap() == Status::Overrun {
                events.extend(self.dump());
            }
        }
        events
    }
}

fn links(events: &[NetEvent]) -> Vec<&Link> {
    events.iter().filter_map(|event| if let NetEvent::Link(link) = event { Some(link) } else { None }).collect()
}

// ---- interfaces of our own

#[test]
fn a_virtual_mac_gets_its_interface_in_private_mode_and_its_settings_before_it_is_up() {
    in_namespace(|| {
        let a0 = veth();
        let mut links = Links::open().unwrap();
        let [four, six] = [Family::V4, Family::V6].map(|family| macvlan(a0, 51, family));
        assert_eq!(links.make(&[(&four, None), (&six, None)]).unwrap(), []);
        assert_eq!(links.set_up(&[&four, &six], "mark").unwrap(), []);
        assert_eq!(links.bring_up(&[&four, &six]).unwrap(), []);
        for (wanted, mac) in [(&four, "00:00:5e:00:01:33"), (&six, "00:00:5e:00:02:33")] {
            let shown = run(&format!("ip -d link show {}", wanted.name));
            for part in [mac, "macvlan mode private", "addrgenmode none", "alias mark", "UP"] {
                assert!(shown.contains(part), "no `{part}` in {shown}");
            }
            let found = links.list().unwrap();
            assert!(found.iter().any(|it| it.is(wanted) && it.alias.as_deref() == Some("mark")), "{found:?}");
        }
        let setting = |name: &str| run(&format!("cat /proc/sys/net/ipv4/conf/{}/{name}", four.name)).trim().to_owned();
        let settings = ["arp_ignore", "rp_filter", "accept_local", "promote_secondaries"].map(setting);
        assert_eq!(settings, ["1", "0", "1", "1"]);
    });
}

#[test]
fn making_a_thing_twice_and_on_nothing_is_refused_for_that_one_only() {
    in_namespace(|| {
        let a0 = veth();
        let mut links = Links::open().unwrap();
        let (here, nowhere, other) =
            (macvlan(a0, 1, Family::V4), macvlan(9999, 2, Family::V4), macvlan(a0, 3, Family::V4));
        assert_eq!(links.make(&[(&here, None)]).unwrap(), []);
        let refused = links.make(&[(&here, None), (&nowhere, None), (&other, None)]).unwrap();
        let told: Vec<_> = refused.iter().map(|it| (it.name.as_str(), it.errno)).collect();
        assert_eq!(told, [(here.name.as_str(), Errno::EEXIST as i32), (nowhere.name.as_str(), Errno::ENODEV as i32)]);
        assert!(run("ip -o link").contains(&other.name));
    });
}

#[test]
fn hundreds_are_made_and_deleted_in_one_go_and_nothing_else() {
    in_namespace(|| {
        let a0 = veth();
        let mut links = Links::open().unwrap();
        let all: Vec<WantedVmac> =
            (1..=255).flat_map(|vrid| [Family::V4, Family::V6].map(|family| macvlan(a0, vrid, family))).collect();
        let pairs: Vec<_> = all.iter().map(|it| (it, None)).collect();
        let those: Vec<_> = all.iter().collect();
        assert_eq!(links.make(&pairs).unwrap(), []);
        assert_eq!(links.set_up(&those, "mark").unwrap(), []);
        assert_eq!(links.bring_up(&those).unwrap(), []);
        let found = links.list().unwrap();
        let mut ours: Vec<_> =
            found.iter().filter(|it| it.alias.is_some()).map(|it| (it.index, it.name.clone())).collect();
        assert_eq!(ours.len(), 510);
        let kept = ours.pop().unwrap();
        // One that is gone already keeps nobody from going.
        ours.push((99_999, "gone".to_owned()));
        assert_eq!(links.delete(&ours).unwrap(), []);
        let left: Vec<_> =
            links.list().unwrap().into_iter().filter(|it| it.kind.as_deref() == Some("macvlan")).collect();
        assert_eq!(left.iter().map(|it| it.index).collect::<Vec<_>>(), [kept.0]);
        assert_eq!(links.delete(&[kept]).unwrap(), []);
    });
}

#[test]
fn what_a_virtual_mac_must_not_send_is_filtered_as_by_keepalived() {
    in_namespace(|| {
        let a0 = veth();
        run("ip link add m0 link a0 type macvlan mode private");
        run("ip link add m1 link a0 type macvlan mode private");
        let index =
            |name: &str| run(&format!("ip -o link show {name}")).split(':').next().unwrap().trim().parse().unwrap();
        let port = |family, name| Port { family, interface: index(name), base: a0 };
        let mut firewall = Firewall::open("keepalived", -1, false).unwrap();
        let ports = BTreeSet::from([port(Family::V4, "m0"), port(Family::V6, "m1")]);
        firewall.set_ports(&ports).unwrap();
        assert_settled(&mut firewall);
        let v4 = run("nft list table ip keepalived");
        for part in [
            "map vmac_map",
            "type iface_index : iface_index",
            "elements = { \"m0\" : \"a0\" }",
            "dup to ip daddr device oif map @vmac_map drop",
        ] {
            assert!(v4.contains(part), "no `{part}` in {v4}");
        }
        let v6 = run("nft list table ip6 keepalived");
        for part in [
            "icmpv6 type mld2-listener-report dup to ip6 daddr device oif map @vmac_map drop",
            "icmpv6 type nd-router-solicit oif @vmac_set drop",
            "elements = { \"m1\" }",
        ] {
            assert!(v6.contains(part), "no `{part}` in {v6}");
        }
        set(&mut firewall, &[anywhere("10.1.0.1")]);
        let ports = BTreeSet::from([port(Family::V4, "m0"), port(Family::V4, "m1")]);
        firewall.set_ports(&ports).unwrap();
        assert_settled(&mut firewall);
        let v4 = run("nft list table ip keepalived");
        assert!(v4.contains("10.1.0.1") && v4.contains("\"m1\" : \"a0\""), "{v4}");
        firewall.set_ports(&BTreeSet::new()).unwrap();
        assert_settled(&mut firewall);
        let left = run("nft list ruleset");
        assert!(left.contains("10.1.0.1") && !left.contains("vmac"), "{left}");
    });
}

fn macvlan(base: u32, vrid: u8, family: Family) -> WantedVmac {
    let six = if family == Family::V6 { "6" } else { "" };
    let vrid = Vrid::new(vrid).unwrap();
    let kind = VmacKind::Macvlan { mac: virtual_mac(family, vrid) };
    WantedVmac { name: format!("vrrp{six}.{vrid}"), base, family, kind, group: 0, own: None }
}

fn anywhere(address: &str) -> Block {
    Block { address: ip_of(address), interface: None }
}

fn set(firewall: &mut Firewall, blocks: &[Block]) {
    firewall.set(blocks).unwrap();
    assert_settled(firewall);
}

fn assert_settled(firewall: &mut Firewall) {
    let mut errors = Vec::new();
    firewall.read_answers(&mut errors).unwrap();
    assert!(firewall.settled(), "{errors:?}");
    assert_eq!(errors, [""; 0]);
}

/// Sends from `source` to `first`, then to `second`, and gives those that arrived.
fn heard(source: &str, first: &str, second: &str) -> Vec<String> {
    let source = ip_of(source);
    let receiver = UdpSocket::bind((if source.is_ipv4() { "0.0.0.0" } else { "::" }, 0)).unwrap();
    let port = receiver.local_addr().unwrap().port();
    let sender = UdpSocket::bind(SocketAddr::new(source, 0)).unwrap();
    for address in [first, second] {
        sender.send_to(address.as_bytes(), (address, port)).unwrap();
    }
    sender.send_to(b"end", (source, port)).unwrap();
    until_end(&receiver)
}

/// What arrives before the datagram "end"; nothing overtakes.
fn until_end(socket: &UdpSocket) -> Vec<String> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let datagrams = std::iter::from_fn(|| {
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).expect("even the last datagram is missing");
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    });
    datagrams.take_while(|text| text != "end").collect()
}
