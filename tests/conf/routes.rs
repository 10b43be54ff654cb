//! Routes and rules: what their lines become, what is said about wrong ones, and how both are shown.

use super::*;
use keepwatch::bus::msg::{Feed, Source};
use keepwatch::bus::rows::{Row, RowKey};
use keepwatch::clock::{Instant, WallTime};
use keepwatch::conf::model::*;
use keepwatch::store::{Snapshot, Store};
use keepwatch::vrrp::engine::{Engine, EngineOptions};
use keepwatch::vrrp::io::{Input, Link};
use proptest::prelude::*;
use std::sync::Arc;

/// The configuration that a line of `routes.tsv` was recorded with, on a host with eth0 and eth1.
fn recorded(place: &str, lines: &str) -> String {
    let lines = lines.replace(" ; ", "\n");
    let of = |wanted: &str| if place == wanted { lines.as_str() } else { "" };
    format!(
        "static_routes {{\n{}\n}}\nstatic_rules {{\n{}\n}}\n\
         vrrp_instance VI_1 {{\ninterface eth0\nvirtual_router_id 51\npriority 100\n\
         virtual_ipaddress {{\n192.0.2.100/24\n}}\n\
         virtual_routes {{\n{}\n}}\nvirtual_rules {{\n{}\n}}\n}}\n",
        of("static_routes"),
        of("static_rules"),
        of("virtual_routes"),
        of("virtual_rules"),
    )
}

fn read(place: &str, lines: &str) -> Loaded {
    let device = |kind: &str| format!("{kind}INTERFACE=x\nIFINDEX=2\n");
    let memory = Memory::default()
        .with("k.conf", recorded(place, lines))
        .with("/sys/class/net/eth0/uevent", device(""))
        .with("/sys/class/net/eth1/uevent", device("DEVTYPE=vrf\n"))
        .with("/etc/iproute2/rt_tables", "100 lab # of the laboratory\n0x65\tdmz\n")
        .with("/etc/iproute2/rt_tables.d/site.conf", "300 site\n")
        .with("/etc/protocols", "vrrp 112 VRRP\n");
    conf::load("k.conf", &Options::default(), &memory, &TwoInterfaces)
}

/// The routes of a block without a mistake.
fn routes(lines: &str) -> Vec<Route> {
    let loaded = read("static_routes", lines);
    assert_eq!(codes(&loaded), [] as [&str; 0], "{}", loaded.render());
    loaded.config.static_routes
}

fn route(line: &str) -> Route {
    let mut routes = routes(line);
    assert_eq!(routes.len(), 1);
    routes.remove(0)
}

/// A rule of preference 5.
fn rule(line: &str) -> Rule {
    let mut loaded = read("static_rules", &format!("preference 5 {line}"));
    assert_eq!(codes(&loaded), [] as [&str; 0], "{}", loaded.render());
    assert_eq!(loaded.config.static_rules.len(), 1);
    loaded.config.static_rules.remove(0)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix { address: ip(address), length: length.parse().unwrap() }
}

fn free(value: u32) -> Option<Lockable> {
    Some(Lockable { value, locked: false })
}

fn locked(value: u32) -> Option<Lockable> {
    Some(Lockable { value, locked: true })
}

/// Lines whose exit status is not Keepalived's, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("inet default dev eth0", "inet does not swallow the next word"),
    ("inet6 default dev eth0", "inet6 does not swallow the next word"),
    ("10.9.0.0/24 dev eth0 inet frob", "inet does not swallow the next word"),
    ("preference 5 inet table 100", "inet does not swallow the next word"),
    ("preference 5 inet6 table 100", "inet6 does not swallow the next word"),
    ("from 2001:db8::/64 to default dev eth0", "default is of the family of the other addresses"),
    ("10.9.0.0/24 dev eth0 10.8.0.0/24", "a route has one destination"),
    ("10.9.0.0/24 10.8.0.0/24 dev eth0", "a route has one destination"),
    ("10.9.0.0/24 dev eth0 table 4294967296", "numbers do not wrap around"),
    ("10.9.0.0/24 dev eth0 table 4294967297", "numbers do not wrap around"),
    ("10.9.0.0/24 dev eth0 table -1", "numbers do not wrap around"),
    ("preference 5 suppress_ifgroup 4294967296 table 100", "numbers do not wrap around"),
    ("preference 5 uidrange 1-4294967296 table 100", "numbers do not wrap around"),
    ("preference 5 sport 0-65536 table 100", "numbers do not wrap around"),
    ("preference 5 fwmark 5/ table 100", "a mask of no digits matches every packet"),
    ("preference 5 fwmark /5 table 100", "a mark of no digits"),
    ("preference 5 uidrange 2-1 table 100", "a range that is empty"),
    ("preference 5 uidrange 1-2-3 table 100", "more than a range"),
    ("preference 5 sport 20-10 table 100", "a range that is empty"),
    ("preference 5 ip_proto udp table 100", "the word of the manual page"),
    ("preference 5 ipproto 0x11 table 5", "numbers of any base, as everywhere on the line"),
];

#[test]
fn the_exit_status_of_a_test_run_is_the_one_that_keepalived_gave() {
    let mut wrong = Vec::new();
    let list = include_str!("routes.tsv");
    for line in list.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        // `lab` and eth1 were no table and no VRF where this was recorded.
        let memory = Memory::default()
            .with("k.conf", recorded(cells[1], cells[2]))
            .with("/sys/class/net/eth0/uevent", "INTERFACE=eth0\n");
        let loaded = conf::load("k.conf", &Options::default(), &memory, &TwoInterfaces);
        let excused = DIFFERENT.iter().any(|(lines, _)| *lines == cells[2]);
        if (loaded.status.to_string() == cells[0]) == excused {
            wrong.push(format!("{line}: {}\n{}", loaded.status, loaded.render()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(list.lines().count() > 800);
}

#[test]
fn a_route_is_what_its_line_says() {
    let route = route(
        "src 192.0.2.11 to 10.9.0.0/24 via inet 192.0.2.1 dev eth0 onlink tos AF11 table dmz scope link metric 7 \
         mtu lock 1400 hoplimit 64 advmss 1360 reordering lock 9 window 5 cwnd 6 ssthresh lock 107 initcwnd 10 \
         initrwnd 11 features ecn quickack 0 congctl lock cubic fastopen_no_cookie 1 realms 0x14/cosmos append \
         ttl-propagate disabled",
    );
    let wanted = Route {
        source: Some(ip("192.0.2.11")),
        gateway: Some(ip("192.0.2.1")),
        interface: Some("eth0".to_owned()),
        onlink: true,
        tos: Some(0x28),
        table: Some(0x65),
        scope: Some(253),
        metric: Some(7),
        metrics: Metrics {
            mtu: locked(1400),
            hop_limit: Some(64),
            advmss: free(1360),
            reordering: locked(9),
            window: Some(5),
            cwnd: free(6),
            ssthresh: locked(107),
            initcwnd: Some(10),
            initrwnd: Some(11),
            ecn: true,
            quickack: Some(false),
            congestion: Some(("cubic".to_owned(), true)),
            fastopen_no_cookie: Some(true),
            ..Metrics::default()
        },
        realms: Some(Realms { source: 0x14, destination: 0 }),
        placement: Placement::Append,
        ttl_propagate: Some(false),
        ..Route::to(route.location.clone(), prefix("10.9.0.0/24"))
    };
    assert_eq!(route, wanted);
    assert_eq!(route.location.line, 2);
}

#[test]
fn the_family_follows_from_whatever_address_there_is() {
    for (line, destination) in [
        ("default dev eth0", "0.0.0.0/0"),
        ("inet6 default dev eth0", "::/0"),
        ("default6 dev eth0", "::/0"),
        ("default via 2001:db8::1 dev eth0", "::/0"),
        ("default dev eth0 nexthop via 2001:db8::1 dev eth0", "::/0"),
        ("from 2001:db8:5::/64 to default dev eth0", "::/0"),
        ("10.9.0.1 dev eth0", "10.9.0.1/32"),
        ("2001:db8::1 dev eth0", "2001:db8::1/128"),
    ] {
        let route = route(line);
        assert_eq!(route.destination, prefix(destination), "{line}");
        assert_eq!(route.family, Family::of(route.destination.address), "{line}");
    }
    assert_eq!(rule("from any to 2001:db8::/64 table 5").from, Some(prefix("::/0")));
    assert_eq!(rule("table 5 inet6").family, Family::V6);
    assert_eq!(codes(&read("static_routes", "10.9.0.0/24 via 2001:db8::1 dev eth0")), ["mixed-families"]);
    assert_eq!(codes(&read("static_rules", "preference 5 from 10.0.0.0/8 to ::/0 table 5")), ["mixed-families"]);
    assert_eq!(codes(&read("static_routes", "10.9.0.0/24 dev eth0 pref low")), ["wrong-family"]);
    assert_eq!(codes(&read("static_routes", "2001:db8::/64 dev eth0 realms 5")), ["wrong-family"]);
}

#[test]
fn a_route_with_a_type_is_added_unless_a_word_behind_says_otherwise() {
    for (line, placement) in [
        ("10.9.0.0/24 dev eth0", Placement::Prepend),
        ("10.9.0.0/24 dev eth0 add", Placement::Add),
        ("blackhole 10.9.0.0/24 no_track", Placement::Add),
        ("unicast 10.9.0.0/24 dev eth0", Placement::Add),
        ("throw 10.9.0.0/24 prepend no_track", Placement::Prepend),
        ("prohibit 10.9.0.0/24 append no_track", Placement::Append),
    ] {
        assert_eq!(route(line).placement, placement, "{line}");
    }
}

#[test]
fn types_stand_before_the_destination_by_name_or_number() {
    for (line, kind) in [
        ("blackhole 10.9.0.0/24 no_track", 6),
        ("unreachable default no_track", 7),
        ("metric 5 prohibit 10.9.0.0/24 no_track", 8),
        ("throw 10.9.0.0/24 no_track", 9),
        ("brd 10.9.0.0/24 dev eth0", 3),
        ("11 10.9.0.0/24 dev eth0", 11),
        ("10.9.0.0/24 dev eth0", 1),
    ] {
        assert_eq!(route(line).kind, kind, "{line}");
    }
}

#[test]
fn times_of_a_route_are_kept_in_fractions_of_the_kernel_between_a_fifth_of_a_second_and_two_minutes() {
    let rtt = |text: &str| {
        let loaded =
            read("static_routes", &format!("10.9.0.0/24 dev eth0 rtt {text} rttvar lock {text} rto_min {text}"));
        let metrics = &loaded.config.static_routes[0].metrics;
        assert!(metrics.rttvar.unwrap().locked);
        [metrics.rtt, metrics.rttvar, metrics.rto_min].map(|metric| metric.unwrap().value)
    };
    assert_eq!(rtt("1601"), [1601, 1601, 1601]);
    assert_eq!(rtt("102"), [1600, 800, 200]);
    assert_eq!(rtt("300ms"), [2400, 1200, 300]);
    assert_eq!(rtt("1.5S"), [12000, 6000, 1500]);
    assert_eq!(rtt("120secs"), [960_000, 480_000, 120_000]);
    assert_eq!(codes(&read("static_routes", "10.9.0.0/24 dev eth0 rtt 121s")), ["clamped"]);
    assert_eq!(codes(&read("static_routes", "10.9.0.0/24 dev eth0 rto_min 121s")), ["number"]);
}

#[test]
fn a_route_that_is_watched_is_ours_and_one_that_is_not_is_whose_it_says() {
    let protocol = |line: &str| {
        let loaded = read("static_routes", line);
        let route = &loaded.config.static_routes[0];
        (route.protocol, route.no_track, codes(&loaded).join(" "))
    };
    assert_eq!(protocol("10.9.0.0/24 dev eth0"), (Some(18), false, String::new()));
    assert_eq!(protocol("10.9.0.0/24 dev eth0 no_track"), (None, true, String::new()));
    assert_eq!(protocol("10.9.0.0/24 dev eth0 no_track protocol bird"), (Some(12), true, String::new()));
    assert_eq!(protocol("10.9.0.0/24 dev eth0 protocol bird"), (Some(18), false, "protocol-tracked".to_owned()));
    assert_eq!(protocol("blackhole 10.9.0.0/24"), (Some(18), true, "untracked-route".to_owned()));
}

#[test]
fn next_hops_have_their_own_words_and_one_with_a_mistake_is_left_out() {
    let line = "10.9.0.0/24 no_track nexthop via 192.0.2.1 dev eth0 weight 3 realms 3/4 \
                nexthop via 198.51.100.5 onlink encap mpls 16/0x11";
    let hops = route(line).hops;
    let first = NextHop {
        gateway: Some(ip("192.0.2.1")),
        interface: Some("eth0".to_owned()),
        weight: Some(3),
        realms: Some(Realms { source: 3, destination: 4 }),
        ..NextHop::default()
    };
    let second = NextHop {
        gateway: Some(ip("198.51.100.5")),
        onlink: true,
        encap: Some(Encap::Mpls(vec![16, 17])),
        ..NextHop::default()
    };
    assert_eq!(hops, [first, second]);
    let loaded = read("static_routes", "10.9.0.0/24 no_track nexthop via x dev eth0 nexthop via 192.0.2.1 dev eth0");
    assert_eq!(codes(&loaded), ["address"]);
    assert_eq!(loaded.config.static_routes[0].hops.len(), 1);
    let many = "nexthop via 192.0.2.1 dev eth0 ".repeat(130);
    let loaded = read("static_routes", &format!("10.9.0.0/24 no_track {many}"));
    assert_eq!((codes(&loaded), loaded.config.static_routes[0].hops.len()), (vec!["next-hops"], 128));
}

#[test]
fn a_second_gateway_makes_two_next_hops() {
    let loaded = read("static_routes", "10.9.0.0/24 via 192.0.2.1 or 192.0.2.2 dev eth0");
    let route = &loaded.config.static_routes[0];
    let gateways: Vec<_> = route.hops.iter().map(|hop| hop.gateway.unwrap().to_string()).collect();
    assert_eq!(
        (codes(&loaded), route.gateway, gateways.join(" ").as_str()),
        (vec!["deprecated"], None, "192.0.2.1 192.0.2.2")
    );
    let loaded = read("static_routes", "10.9.0.0/24 via 192.0.2.1 or 192.0.2.2 or 192.0.2.3 dev eth0");
    assert_eq!(loaded.config.static_routes[0].hops.len(), 2);
}

#[test]
fn tunnels_are_read_with_their_ends() {
    let tunnel = |words: &str| route(&format!("10.9.0.0/24 encap {words} via 192.0.2.1 dev eth0")).encap;
    let ip4 = TunnelTo {
        id: Some(4_294_967_301),
        destination: Some([10, 1, 1, 1].into()),
        source: Some([10, 1, 1, 2].into()),
        tos: Some(16),
        ttl: Some(64),
        flags: Some(1),
    };
    assert_eq!(tunnel("ip id 4294967301 dst 10.1.1.1 src 10.1.1.2 tos 16 ttl 64 flags 1"), Some(Encap::Ip(ip4)));
    let ip6 = TunnelTo { destination: "2001:db8::9".parse().ok(), tos: Some(8), ttl: Some(63), ..TunnelTo::default() };
    assert_eq!(tunnel("ip6 dst 2001:db8::9 tc 8 hoplimit 63"), Some(Encap::Ip6(ip6)));
    assert_eq!(tunnel("ila 1:2:3:FFFF"), Some(Encap::Ila(0x0001_0002_0003_ffff)));
    // What is no word of the tunnel is one of the route.
    let route = route("10.9.0.0/24 encap ip id 5 hoplimit 7 dev eth0");
    assert_eq!(route.metrics.hop_limit, Some(7));
    for wrong in ["ip id x", "ip dst 2001:db8::1", "mpls 1048576", "mpls 1/2/3", "ila 1:2:3", "frob", "ip ttl 5"] {
        let loaded = read("static_routes", &format!("10.9.0.0/24 encap {wrong} dev eth0"));
        assert_eq!((codes(&loaded).len(), loaded.config.static_routes.len()), (1, 0), "{wrong}: {}", loaded.render());
    }
}

#[test]
fn a_rule_is_what_its_line_says() {
    let rule_of = rule(
        "not from 10.1.0.0/16 to 10.2.0.1 tos 0x10 fwmark 24/0xc realms 30/20 suppress_prefixlength 24 \
         suppress_ifgroup default iif eth0 oif eth1 tunnel-id 4294967303 uidrange 1-2 protocol 12 ipproto vrrp \
         sport 10-20 dport 80-80 no_track lookup site",
    );
    let wanted = Rule {
        invert: true,
        from: Some(prefix("10.1.0.0/16")),
        to: Some(prefix("10.2.0.1/32")),
        tos: Some(16),
        mark: Some(FwMark { mark: 24, mask: Some(12) }),
        realms: Some(Realms { source: 30, destination: 20 }),
        suppress_prefix_length: Some(24),
        suppress_group: Some((0, Some("default".to_owned()))),
        input: Some("eth0".to_owned()),
        output: Some("eth1".to_owned()),
        tunnel_id: Some(4_294_967_303),
        uids: Some((1, 2)),
        protocol: Some(12),
        ip_protocol: Some(112),
        source_ports: Some((10, 20)),
        destination_ports: Some((80, 80)),
        no_track: true,
        ..Rule::new(rule_of.location.clone(), Family::V4, RuleAction::Table(300), 5)
    };
    assert_eq!(rule_of, wanted);
    let actions = [
        ("blackhole", RuleAction::Blackhole),
        ("type unreachable", RuleAction::Unreachable),
        ("prohibit", RuleAction::Prohibit),
        ("nop", RuleAction::Nop),
        ("l3mdev", RuleAction::L3mdev),
        ("goto 6", RuleAction::Goto(6)),
    ];
    for (line, action) in actions {
        assert_eq!(rule(line).action, action);
    }
}

#[test]
fn rules_without_a_preference_are_numbered_down_in_each_family_through_the_whole_file() {
    let text = "static_rules {\ntable 5\ngoto 9\ntable 5 inet6\ntable 5 order 7\n}\n".to_owned()
        + &instance("virtual_rules {\ntable 5\nfrom ::/0 table 5\n}\npriority 9")
        + "static_rules {\ntable 5\n}\n";
    let config = load(&text).config;
    let preferences = |rules: &[Rule]| rules.iter().map(|rule| rule.preference).collect::<Vec<_>>();
    assert_eq!(preferences(&config.static_rules), [16384, 16384, 7, 16382]);
    assert_eq!(preferences(&config.instances[0].rules), [16383, 16383]);
}

#[test]
fn names_are_looked_up_where_the_file_says() {
    let text = "global_defs {\niproute_etc_dir /opt/etc\niproute_usr_dir /opt/usr\n}\n\
                static_routes {\n10.9.0.0/24 dev eth0 table ours\n10.8.0.0/24 dev eth0 table theirs\n}\n";
    let memory = Memory::default().with("k.conf", text).with("/opt/etc/rt_tables", "7 ours\n");
    let memory = memory.with("/opt/usr/rt_tables", "8 ours\n9 theirs\n").with("/etc/iproute2/rt_tables", "10 ours\n");
    let loaded = conf::load("k.conf", &Options::default(), &memory, &TwoInterfaces);
    let tables: Vec<_> = loaded.config.static_routes.iter().map(|route| route.table).collect();
    assert_eq!(tables, [Some(7), Some(9)], "{}", loaded.render());
}

#[test]
fn a_mistake_in_a_line_is_told_once() {
    for (line, code) in [
        ("blackhol 10.9.0.0/24 dev eth0", "unknown-option"),
        ("10.9.0.x/24 dev eth0 10.8.0.0/24", "address"),
        ("10.9.0.0/24 encap ip id x ttl 5 dev eth0", "number"),
        ("10.9.0.0/24 dev eth0 mtu x metric y", "number"),
        ("10.9.0.0/24 dev eth0 via", "missing-value"),
    ] {
        let loaded = read("static_routes", line);
        assert_eq!((codes(&loaded), loaded.config.static_routes.len()), (vec![code], 0), "{line}");
    }
    assert!(read("static_routes", "blackhol 10.9.0.0/24 dev eth0").render().contains("did you mean `blackhole`?"));
}

#[test]
fn a_vrf_is_one_that_the_host_does_not_deny() {
    assert_eq!(route("10.9.0.0/24 dev eth0 vrf eth1").table, None);
    assert_eq!(codes(&read("static_routes", "10.9.0.0/24 dev eth0 vrf eth0")), ["no-vrf"]);
    // Without sysfs nothing is known.
    assert_eq!(codes(&load("static_routes {\n10.9.0.0/24 dev eth0 vrf eth0\n}")), [] as [&str; 0]);
}

#[test]
fn track_groups_are_for_the_lines_of_the_host() {
    let group = "track_group G {\ngroup {\nVI_1\n}\n}\n";
    let line = "10.9.0.0/24 dev eth0 track_group G";
    assert_eq!(codes(&load(&format!("{GOOD}{group}static_routes {{\n{line}\n}}\n"))), [] as [&str; 0]);
    assert_eq!(codes(&read("static_routes", line)), ["unknown-group"]);
    assert_eq!(codes(&read("virtual_routes", line)), ["unknown-option"]);
    assert_eq!(read("virtual_routes", line).config.instances[0].routes.len(), 1);
}

fn link(name: &str, index: u32) -> Link {
    Link {
        index,
        name: name.to_owned(),
        admin_up: true,
        running: true,
        loopback: false,
        multicast: true,
        mac: Some([2, 0, 0, 0, 5, index as u8]),
        mtu: 1500,
        vrf: None,
    }
}

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

/// An engine on a host whose interfaces have the numbers of the recording.
fn engine(config: &Config, links: &[Link]) -> Engine {
    let mut engine = Engine::new(config, EngineOptions::default(), NOW, WallTime(0));
    let mut out = Vec::new();
    for link in links {
        engine.handle(Input::Link(link.clone()), NOW, &mut out);
    }
    engine.handle(Input::Wake, NOW, &mut out);
    engine
}

fn shown(engine: &Engine) -> Arc<Snapshot> {
    let mut store = Store::new();
    store.apply(Source::Vrrp, Feed::Begin { generation: 1, config: 1, full: true }).unwrap();
    for key in engine.keys() {
        store.apply(Source::Vrrp, Feed::Row(key.clone(), engine.row(&key).unwrap())).unwrap();
    }
    store.apply(Source::Vrrp, Feed::Commit { edges_dropped: 0 }).unwrap();
    store.snapshot()
}

const VRRP: &str = ".1.3.6.1.4.1.9586.100.5.2.";

/// Lines of a walk through the tables of addresses, routes, rules and next hops, without [`VRRP`].
fn walked(config: &Config) -> Vec<String> {
    let snapshot = shown(&engine(config, &[link("eth0", 10), link("eth1", 11)]));
    let snmp = Snmp { vrrp: true, ..Snmp::default() };
    let tree = keepwatch::mib::tree::Tree::new(&snmp, &[Source::Vrrp]);
    let look = keepwatch::mib::table::Look { snapshot: &snapshot, moment: Default::default() };
    let end = keepwatch::wire::oid::Oid::default();
    let (mut lines, mut at) = (vec![], keepwatch::wire::oid::Oid::new(keepwatch::mib::ROOT).with(&[2]));
    while let Some(next) = tree.next(look, &at, false, &end) {
        lines.extend(walk::line(&next).strip_prefix(VRRP).filter(|line| is_compared(line)).map(str::to_owned));
        at = next.name;
    }
    lines
}

/// The four tables but for what is installed: the machines did not move here, and no kernel answered.
fn is_compared(line: &str) -> bool {
    let of = |those: &[&str]| those.iter().any(|start| line.starts_with(start));
    of(&["6.1.", "7.1.", "8.1.", "11.1."]) && !of(&["6.1.10.", "7.1.14.", "8.1.7."])
}

/// What Keepalived shows wrong, and what is right; `None`: no line at all.
fn right(line: &str) -> Option<String> {
    let (name, value) = line.split_once(" = ").unwrap();
    let column: Vec<&str> = name.split('.').take(3).collect();
    let value = match (column.join(".").as_str(), value) {
        // B15: virtual addresses of every instance are advertised.
        ("6.1.11", _) if ["6.1.11.2.1", "6.1.11.2.2", "6.1.11.3.1"].contains(&name) => "INTEGER: 1".to_owned(),
        // B20: keepalived(112).
        ("7.1.18", "INTEGER: 19") => "INTEGER: 112".to_owned(),
        // B21: advmss without hoplimit, not hoplimit without advmss.
        ("7.1.25", "Gauge32: 0") => return None,
        // B22: types from 1, labels as numbers, the locator from its first group.
        ("7.1.46", value) => format!("INTEGER: {}", value.strip_prefix("INTEGER: ")?.parse::<u32>().ok()? - 1),
        ("7.1.47", _) => "STRING: \"100\"".to_owned(),
        ("7.1.54", _) => format!("Counter64: {}", 0x0001_0002_0003_0004_u64),
        (_, value) => value.to_owned(),
    };
    Some(format!("{name} = {value}"))
}

/// What Keepalived does not show at all.
const MISSING: &[&str] = &[
    // B21
    "7.1.25.0.5 = Gauge32: 1360",
    // B11
    "11.1.11.3.5.1 = STRING: \"16\"",
    "11.1.12.3.5.2 = Counter64: 9",
    "11.1.13.3.5.2 = Hex-STRING: 0A 01 01 03 ",
    // B12
    "8.1.34.0.12 = Gauge32: 17",
    "8.1.35.0.12 = Gauge32: 10",
    "8.1.36.0.12 = Gauge32: 20",
    "8.1.37.0.12 = Gauge32: 20",
    "8.1.38.0.12 = Gauge32: 30",
];

#[test]
fn addresses_routes_and_rules_of_the_recording_are_shown_as_keepalived_shows_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/seeds/04-routes-rules.conf");
    let memory = Memory::default().with("k.conf", std::fs::read(path).unwrap());
    let config = conf::load("k.conf", &Options::default(), &memory, &AnyHost).config;

    let walk = include_str!("../../agentx-tests/oracle/04-routes-rules/walk-numeric.txt");
    let recorded = walk.lines().filter_map(|line| line.strip_prefix(VRRP)).filter(|line| is_compared(line));
    let mut wanted: Vec<String> = recorded.filter_map(right).collect();
    wanted.extend(MISSING.iter().map(|line| (*line).to_owned()));
    // B12: every rule that is watched is ours.
    let watched = [(0, 1..=13), (1, 1..=1), (2, 1..=1)];
    let rules = watched.into_iter().flat_map(|(owner, places)| places.map(move |place| (owner, place)));
    wanted.extend(rules.map(|(owner, place)| format!("8.1.33.{owner}.{place} = INTEGER: 112")));
    wanted.sort();

    let mut found = walked(&config);
    found.sort();
    let lacking: Vec<_> = wanted.iter().filter(|line| !found.contains(line)).collect();
    let surplus: Vec<_> = found.iter().filter(|line| !wanted.contains(line)).collect();
    assert!(lacking.is_empty() && surplus.is_empty(), "lacking {lacking:#?}\nsurplus {surplus:#?}");
    assert_eq!(wanted, found);
    assert!(found.len() > 700);
}

/// Values of some columns of vrrpRouteTable or vrrpRuleTable for the one line of a static block.
fn columns(place: &str, line: &str, entry: &str, columns: &[u32]) -> Vec<String> {
    let lines = walked(&read(place, line).config);
    let value = |column: &u32| {
        let start = format!("{entry}.{column}.0.1 = ");
        lines.iter().find_map(|line| line.strip_prefix(&start)).unwrap_or("-").to_owned()
    };
    columns.iter().map(value).collect()
}

#[test]
fn quickack_0_is_not_shown_as_quickack() {
    let quickack = |line: &str| columns("static_routes", line, "7.1", &[20]).remove(0);
    assert_eq!(quickack("10.9.0.0/24 dev eth0 quickack 0"), "INTEGER: 2");
    assert_eq!(quickack("10.9.0.0/24 dev eth0 quickack 1"), "INTEGER: 1");
    assert_eq!(quickack("10.9.0.0/24 dev eth0"), "INTEGER: 2");
}

#[test]
fn what_the_recording_does_not_show_follows_the_module() {
    let source = columns("static_routes", "2001:db8::/64 from 2001:db8:5::/48 dev eth0", "7.1", &[15, 16]);
    assert_eq!(source, ["Hex-STRING: 20 01 0D B8 00 05 00 00 00 00 00 00 00 00 00 00 ", "Gauge32: 48"]);
    let flags = columns("static_routes", "10.9.0.0/24 dev eth0 encap ip id 5 flags 7", "7.1", &[53]);
    assert_eq!(flags, ["Gauge32: 7"]);
    let only = columns("static_routes", "10.9.0.0/24 no_track nexthop via 192.0.2.1 dev eth0", "7.1", &[5, 6, 10]);
    assert_eq!(only, ["-", "Hex-STRING: C0 00 02 01 ", "INTEGER: 2"]);
    let vrf = columns("static_rules", "preference 5 l3mdev", "8.1", &[2, 3, 6, 23, 32]);
    assert_eq!(vrf, ["\"\"", "-", "Gauge32: 0", "INTEGER: 1", "INTEGER: 1"]);
    let group = columns("static_rules", "preference 0 suppress_ifgroup 0 table main", "8.1", &[6, 25, 27]);
    assert_eq!(group, ["Gauge32: 254", "Gauge32: 0", "STRING: \"default\""]);
    // Protocols that the enumeration has, and one that it has not.
    let protocol = |line: &str| columns("static_routes", line, "7.1", &[18]).remove(0);
    assert_eq!(protocol("10.9.0.0/24 no_track protocol bird"), "INTEGER: 13");
    assert_eq!(protocol("10.9.0.0/24 no_track protocol ospf"), "-");
    let preference = |line: &str| columns("static_routes", line, "7.1", &[43]).remove(0);
    assert_eq!(preference("2001:db8::/64 dev eth0 pref medium"), "INTEGER: 2");
    // Out of the ranges of the module.
    let zeros = columns("static_routes", "10.9.0.0/24 dev eth0 hoplimit 0 realms 0/0", "7.1", &[24, 44, 45]);
    assert_eq!(zeros, ["-", "-", "-"]);
}

#[test]
fn a_route_shows_the_number_of_an_interface_from_the_moment_that_there_is_one() {
    let lines = "10.9.0.0/24 dev eth0\n10.8.0.0/24 no_track nexthop via 198.51.100.1 dev eth1";
    let config = read("static_routes", lines).config;
    let mut engine = engine(&config, &[link("eth0", 10)]);
    let key = |position| RowKey::Route { owner: None, position };
    let numbers = |engine: &Engine| {
        [1, 2].map(|position| match engine.row(&key(position)) {
            Some(Row::Route(row)) => (row.interface_index, row.hop_interfaces.clone()),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(numbers(&engine), [(Some(10), vec![]), (None, vec![None])]);
    let mut out = Vec::new();
    engine.handle(Input::Link(link("eth1", 11)), NOW, &mut out);
    assert_eq!(numbers(&engine), [(Some(10), vec![]), (None, vec![Some(11)])]);
    let changed = |position| out.contains(&keepwatch::vrrp::io::Output::Changed(key(position)));
    assert_eq!([changed(1), changed(2)], [false, true]);
    let mut out = Vec::new();
    engine.handle(Input::LinkGone(11), NOW, &mut out);
    assert_eq!(numbers(&engine)[1], (None, vec![None]));
    assert!(out.contains(&keepwatch::vrrp::io::Output::Changed(key(2))));
}

#[test]
fn a_reload_brings_changes_and_takes_away_rows_of_routes_and_rules() {
    let config = |routes: &str, rules: &str| {
        let text = format!("virtual_routes {{\n{routes}\n}}\nvirtual_rules {{\n{rules}\n}}\npriority 100");
        load(&format!("static_routes {{\n{routes}\n}}\nstatic_rules {{\n{rules}\n}}\n{}", instance(&text))).config
    };
    let old = config("10.9.0.0/24 dev eth0\n10.8.0.0/24 dev eth0", "preference 5 nop\npreference 6 nop");
    let new = config("10.9.0.0/24 dev eth1", "preference 5 blackhole");
    let mut engine = engine(&old, &[link("eth0", 10), link("eth1", 11)]);
    let mut out = Vec::new();
    engine.apply(&new, NOW, &mut out);
    for owner in [None, Some(InstanceName::from("VI_1"))] {
        let route = |position| RowKey::Route { owner: owner.clone(), position };
        let rule = |position| RowKey::Rule { owner: owner.clone(), position };
        for key in [route(1), route(2), rule(1), rule(2)] {
            assert!(out.contains(&keepwatch::vrrp::io::Output::Changed(key.clone())), "{key:?}");
        }
        assert!(matches!(engine.row(&route(1)), Some(Row::Route(row)) if row.interface_index == Some(11)));
        assert!(matches!(engine.row(&rule(1)), Some(Row::Rule(row)) if row.config.action == RuleAction::Blackhole));
        assert_eq!((engine.row(&route(2)), engine.row(&rule(2))), (None, None));
    }
    assert!(matches!(engine.row(&RowKey::Instance("VI_1".into())),
        Some(Row::Instance(row)) if row.config.routes.is_empty() && row.config.rules.is_empty()));
}

#[test]
fn the_widest_route_fits_a_frame() {
    let hop = "nexthop via inet6 2001:db8::1111:2222:3333:4444 dev abcdefghijklmno weight 256 onlink \
               encap ip6 id 18446744073709551615 dst 2001:db8:1111:2222:3333:4444:5555:6666 \
               src 2001:db8:1111:2222:3333:4444:5555:7777 tc 255 hoplimit 255 flags 65535 ";
    let text = format!(
        "global_defs {{\ndynamic_interfaces\n}}\nstatic_routes {{\n2001:db8:9::/64 no_track {}\n}}\n",
        hop.repeat(128)
    );
    let config = load(&text).config;
    let engine = engine(&config, &[link("abcdefghijklmno", u32::MAX)]);
    let key = RowKey::Route { owner: None, position: 1 };
    let row = engine.row(&key).unwrap();
    assert!(matches!(&row, Row::Route(row) if row.config.hops.len() == 128));
    keepwatch::bus::frame::encode(&Feed::Row(key, row)).unwrap();
}

/// Words of lines, and values that fit some of them.
const WORDS: &[&str] = &[
    "10.9.0.0/24",
    "2001:db8::/64",
    "default",
    "default6",
    "blackhole",
    "to",
    "inet",
    "inet6",
    "src",
    "from",
    "via",
    "gw",
    "or",
    "as",
    "tos",
    "table",
    "protocol",
    "scope",
    "metric",
    "dev",
    "onlink",
    "encap",
    "expires",
    "mtu",
    "lock",
    "hoplimit",
    "rtt",
    "realms",
    "features",
    "ecn",
    "quickack",
    "congctl",
    "pref",
    "low",
    "vrf",
    "no_track",
    "track_group",
    "nexthop",
    "weight",
    "ip",
    "ip6",
    "mpls",
    "ila",
    "id",
    "dst",
    "ttl",
    "100/200",
    "1:2:3:4",
    "192.0.2.1",
    "2001:db8::1",
    "eth0",
    "5",
    "1s",
    "main",
    "link",
    "bird",
    "x",
    "preference",
    "not",
    "fwmark",
    "5/6",
    "suppress_ifgroup",
    "iif",
    "tunnel-id",
    "uidrange",
    "1-2",
    "l3mdev",
    "ipproto",
    "udp",
    "sport",
    "goto",
    "nop",
    "unreachable",
    "type",
    "4294967296",
    "-1",
    "\u{1F600}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_line_of_any_words_becomes_a_row_or_is_complained_of(
        words in prop::collection::vec(prop::sample::select(WORDS), 1..14),
        place in prop::sample::select(vec!["static_routes", "static_rules", "virtual_routes", "virtual_rules"]),
    ) {
        let loaded = read(place, &words.join(" "));
        let config = &loaded.config;
        let instance = config.instances.first();
        let routes: Vec<_> = config.static_routes.iter().chain(instance.into_iter().flat_map(|it| &it.routes)).collect();
        let rules: Vec<_> = config.static_rules.iter().chain(instance.into_iter().flat_map(|it| &it.rules)).collect();
        prop_assert!(routes.len() + rules.len() == 1 || !loaded.diagnostics.is_empty());
        for route in routes {
            let gateways = route.hops.iter().filter_map(|hop| hop.gateway);
            let addresses = gateways.chain(route.gateway).chain(route.source).chain(route.from.map(|from| from.address));
            for address in addresses.chain([route.destination.address]) {
                prop_assert_eq!(Family::of(address), route.family);
            }
        }
        for rule in rules {
            for prefix in rule.from.into_iter().chain(rule.to) {
                prop_assert_eq!(Family::of(prefix.address), rule.family);
            }
        }
    }
}
