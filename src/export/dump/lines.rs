//! Addresses, routes and rules as lines, in the manner of iproute2 and in the order in which Keepalived writes their parts.

use std::fmt::{Display, Write};
use std::net::IpAddr;

use crate::conf::model::{
    Address, Encap, Family, FwMark, Lockable, NextHop, Placement, Prefix, Realms, Route, Rule, RuleAction, TABLE_MAIN,
    TunnelTo,
};

/// `10.0.0.1/24 brd 10.0.0.255 dev eth0 scope global label eth0:1 set`.
pub(super) fn address(of: &Address, installed: bool) -> String {
    let mut line = Line(prefix(of.address, of.prefix));
    line.maybe("brd", of.broadcast);
    line.word("dev", &of.interface);
    line.word("scope", scope(of.scope));
    line.maybe("label", of.label.as_ref());
    line.maybe("peer", of.peer.map(|peer| format!("{peer}/{}", host(peer))));
    line.flag("home", of.flags.home);
    line.flag("-nodad", of.flags.dad);
    line.flag("mngtmpaddr", of.flags.mngtmpaddr);
    line.flag("noprefixroute", of.flags.noprefixroute);
    line.flag("autojoin", of.flags.autojoin);
    line.flag("no_track", of.no_track);
    match (of.preferred_lifetime, of.family()) {
        (Some(0), _) => line.flag("deprecated", true),
        (Some(seconds), _) => line.word("preferred_lft", seconds),
        (None, Family::V6) => line.word("preferred_lft", "forever"),
        (None, Family::V4) => {}
    }
    line.flag("set", installed);
    line.0
}

pub(super) fn route(of: &Route) -> String {
    let mut line = Line(
        match of.placement {
            Placement::Add => "add",
            Placement::Prepend => "prepend",
            Placement::Append => "append",
        }
        .to_owned(),
    );
    if let Some(kind) = of.kind_name() {
        line.flag(kind, true);
    }
    line.flag(&whole(of.destination), true);
    line.maybe("from", of.from.map(whole));
    line.maybe("src", of.source);
    line.maybe("tos", of.tos);
    line.maybe("encap", of.encap.as_ref().map(encap));
    line.maybe("via", of.gateway.map(via));
    line.maybe("dev", of.interface.as_ref());
    line.maybe("table", of.table.filter(|table| *table != TABLE_MAIN));
    line.maybe("vrf", of.vrf.as_ref());
    line.maybe("proto", of.protocol);
    line.maybe("scope", of.scope);
    line.maybe("metric", of.metric);
    line.flag("onlink", of.onlink);
    match of.realms {
        Some(Realms { source: 0, destination }) => line.word("realm", destination),
        both => line.maybe("realms", both.map(realms)),
    }
    line.maybe("expires", of.expires.map(|seconds| format!("{seconds}sec")));
    line.maybe("ttl-propagate", of.ttl_propagate.map(on_off));
    metrics(&mut line, of);
    line.maybe("pref", of.preference.map(preference));
    of.hops.iter().for_each(|hop| next_hop(&mut line, hop));
    line.flag("no_track", of.no_track);
    line.0
}

fn metrics(line: &mut Line, of: &Route) {
    let metrics = &of.metrics;
    // The kernel counts eighths and quarters of a millisecond.
    let times = |of: Option<Lockable>, parts: u32| {
        of.map(|of| format!("{}{}ms", if of.locked { "lock " } else { "" }, of.value / parts))
    };
    let number = |of: Option<Lockable>| of.map(|of| format!("{}{}", if of.locked { "lock " } else { "" }, of.value));
    let congestion = metrics.congestion.as_ref();
    line.maybe("congctl", congestion.map(|(name, locked)| format!("{}{name}", if *locked { "lock " } else { "" })));
    line.maybe("rtt", times(metrics.rtt, 8));
    line.maybe("rttvar", times(metrics.rttvar, 4));
    line.maybe("rto_min", times(metrics.rto_min, 1));
    line.flag("features ecn", metrics.ecn);
    line.maybe("mtu", number(metrics.mtu));
    line.maybe("window", metrics.window);
    line.maybe("ssthresh", number(metrics.ssthresh));
    line.maybe("cwnd", number(metrics.cwnd));
    line.maybe("advmss", number(metrics.advmss));
    line.maybe("reordering", number(metrics.reordering));
    line.maybe("hoplimit", metrics.hop_limit);
    line.maybe("initcwnd", metrics.initcwnd);
    line.maybe("initrwnd", metrics.initrwnd);
    line.maybe("quickack", metrics.quickack.map(u8::from));
    line.maybe("fastopen_no_cookie", metrics.fastopen_no_cookie.map(u8::from));
}

fn next_hop(line: &mut Line, hop: &NextHop) {
    line.flag("nexthop", true);
    line.maybe("encap", hop.encap.as_ref().map(encap));
    line.maybe("via", hop.gateway.map(via));
    line.maybe("dev", hop.interface.as_ref());
    line.maybe("weight", hop.weight);
    line.flag("onlink", hop.onlink);
    line.maybe("realms", hop.realms.map(realms));
}

pub(super) fn rule(of: &Rule) -> String {
    let mut line = Line(if of.invert { "not from" } else { "from" }.to_owned());
    line.flag(&of.from.map_or_else(|| "all".to_owned(), whole), true);
    line.maybe("to", of.to.map(whole));
    line.word("priority", of.preference);
    line.word("tos", format_args!("{:#x}", of.tos.unwrap_or(0)));
    line.maybe("fwmark", of.mark.map(mark));
    line.maybe("iif", of.input.as_ref());
    line.maybe("oif", of.output.as_ref());
    line.maybe("suppress_prefixlen", of.suppress_prefix_length);
    line.maybe("suppress_ifgroup", of.suppress_group.as_ref().map(|(group, _)| group));
    line.maybe("tunnel-id", of.tunnel_id);
    line.maybe("uidrange", of.uids.map(|(first, last)| format!("{first}-{last}")));
    line.maybe("protocol", of.protocol);
    line.maybe("ipproto", of.ip_protocol);
    line.maybe("sport", of.source_ports.map(ports));
    line.maybe("dport", of.destination_ports.map(ports));
    line.maybe("realms", of.realms.map(realms));
    match of.action {
        RuleAction::Table(table) => line.word("lookup", table),
        RuleAction::Goto(rule) => line.word("goto", rule),
        RuleAction::Nop => line.flag("nop", true),
        RuleAction::Blackhole => line.word("type", "blackhole"),
        RuleAction::Unreachable => line.word("type", "unreachable"),
        RuleAction::Prohibit => line.word("type", "prohibit"),
        RuleAction::L3mdev => line.flag("l3mdev", true),
    }
    line.flag("no_track", of.no_track);
    line.0
}

/// Words with a blank between them.
struct Line(String);

impl Line {
    fn word(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.0, " {name} {value}");
    }

    fn maybe(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.word(name, value);
        }
    }

    fn flag(&mut self, name: &str, on: bool) {
        if on {
            let _ = write!(self.0, " {name}");
        }
    }
}

/// A whole address has no length.
fn prefix(address: IpAddr, length: u8) -> String {
    if length == host(address) { address.to_string() } else { format!("{address}/{length}") }
}

fn whole(of: Prefix) -> String {
    format!("{}/{}", of.address, of.length)
}

fn host(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn via(gateway: IpAddr) -> String {
    format!("{} {gateway}", if gateway.is_ipv4() { "inet" } else { "inet6" })
}

/// rtnetlink(7), as iproute2 names them.
fn scope(scope: u8) -> String {
    match scope {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        255 => "nowhere".to_owned(),
        other => other.to_string(),
    }
}

fn preference(of: u8) -> &'static str {
    match of {
        1 => "high",
        3 => "low",
        _ => "medium",
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

fn realms(of: Realms) -> String {
    if of.source == 0 { of.destination.to_string() } else { format!("{}/{}", of.source, of.destination) }
}

fn mark(of: FwMark) -> String {
    of.mask.map_or_else(|| format!("{:#x}", of.mark), |mask| format!("{:#x}/{mask:#x}", of.mark))
}

fn ports((first, last): (u16, u16)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn encap(of: &Encap) -> String {
    match of {
        Encap::Mpls(labels) => {
            format!("mpls {}", labels.iter().map(u32::to_string).collect::<Vec<_>>().join("/"))
        }
        Encap::Ip(to) => tunnel("ip", to, ["tos", "ttl"]),
        Encap::Ip6(to) => tunnel("ip6", to, ["tc", "hoplimit"]),
        Encap::Ila(locator) => {
            let groups = [48, 32, 16, 0].map(|shift| format!("{:x}", (locator >> shift) & 0xffff));
            format!("ila {}", groups.join(":"))
        }
    }
}

fn tunnel<A: Display>(name: &str, to: &TunnelTo<A>, [tos, ttl]: [&str; 2]) -> String {
    let mut line = Line(name.to_owned());
    line.maybe("id", to.id);
    line.maybe("dst", to.destination.as_ref());
    line.maybe("src", to.source.as_ref());
    line.maybe(tos, to.tos);
    line.maybe(ttl, to.ttl);
    line.maybe("flags", to.flags.map(|flags| format!("{flags:#x}")));
    line.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::model::{AddressFlags, Location};

    fn held(address: &str, length: u8) -> Address {
        Address {
            location: Location::default(),
            address: address.parse().unwrap(),
            prefix: length,
            interface: "eth0".to_owned(),
            scope: 0,
            broadcast: None,
            label: None,
            peer: None,
            flags: AddressFlags::default(),
            preferred_lifetime: None,
            no_track: false,
        }
    }

    /// The right-hand sides are those of Keepalived 2.2.7.
    #[test]
    fn addresses_read_as_keepalived_writes_them() {
        let mut one = held("10.0.9.1", 24);
        one.broadcast = Some([10, 0, 9, 255].into());
        (one.scope, one.flags.home, one.flags.noprefixroute) = (200, true, true);
        assert_eq!(address(&one, true), "10.0.9.1/24 brd 10.0.9.255 dev eth0 scope site home noprefixroute set");
        let mut two = held("10.0.9.2", 32);
        two.peer = Some("10.0.9.3".parse().unwrap());
        assert_eq!(address(&two, true), "10.0.9.2 dev eth0 scope global peer 10.0.9.3/32 set");
        let mut three = held("fd00:9::2", 64);
        three.flags = AddressFlags { home: true, dad: true, autojoin: true, ..AddressFlags::default() };
        three.no_track = true;
        assert_eq!(
            address(&three, false),
            "fd00:9::2/64 dev eth0 scope global home -nodad autojoin no_track preferred_lft forever"
        );
        let mut four = held("fe80::100", 128);
        four.preferred_lifetime = Some(0);
        assert_eq!(address(&four, true), "fe80::100 dev eth0 scope global deprecated set");
        let mut five = held("10.0.0.100", 24);
        five.label = Some("eth0:1".to_owned());
        assert_eq!(address(&five, false), "10.0.0.100/24 dev eth0 scope global label eth0:1");
    }

    fn to(destination: &str, length: u8) -> Route {
        Route::to(Location::default(), Prefix { address: destination.parse().unwrap(), length })
    }

    #[test]
    fn routes_read_as_keepalived_writes_them() {
        let gateway = || Some("10.0.0.9".parse().unwrap());
        let eth0 = || Some("eth0".to_owned());
        let plain = Route { gateway: gateway(), interface: eth0(), ..to("10.77.0.0", 24) };
        assert_eq!(route(&plain), "prepend 10.77.0.0/24 via inet 10.0.0.9 dev eth0 proto 18");
        let default =
            Route { gateway: gateway(), interface: eth0(), table: Some(100), metric: Some(5), ..to("0.0.0.0", 0) };
        assert_eq!(route(&default), "prepend 0.0.0.0/0 via inet 10.0.0.9 dev eth0 table 100 proto 18 metric 5");
        let source = Some("10.0.0.1".parse().unwrap());
        let link = Route { source, interface: eth0(), scope: Some(253), ..to("10.78.0.0", 24) };
        assert_eq!(route(&link), "prepend 10.78.0.0/24 src 10.0.0.1 dev eth0 proto 18 scope 253");
        let hop =
            |interface, weight| NextHop { gateway: gateway(), interface, weight: Some(weight), ..NextHop::default() };
        let hops = Route { hops: vec![hop(eth0(), 2), hop(None, 1)], no_track: true, ..to("10.79.0.0", 24) };
        assert_eq!(
            route(&hops),
            "prepend 10.79.0.0/24 proto 18 nexthop via inet 10.0.0.9 dev eth0 weight 2 nexthop via inet 10.0.0.9 weight 1 no_track"
        );
        let hole = Route { kind: 6, placement: Placement::Add, no_track: true, ..to("10.80.0.0", 24) };
        assert_eq!(route(&hole), "add blackhole 10.80.0.0/24 proto 18 no_track");
        let mut much =
            Route { tos: Some(4), gateway: gateway(), table: Some(5), no_track: true, ..to("10.81.0.0", 24) };
        much.realms = Some(Realms { source: 3, destination: 4 });
        much.metrics.rtt = Some(Lockable { value: 1600, locked: false });
        much.metrics.mtu = Some(Lockable { value: 1400, locked: true });
        much.metrics.advmss = Some(Lockable { value: 1300, locked: false });
        assert_eq!(
            route(&much),
            "prepend 10.81.0.0/24 tos 4 via inet 10.0.0.9 table 5 proto 18 realms 3/4 rtt 200ms mtu lock 1400 advmss 1300 no_track"
        );
    }

    #[test]
    fn rules_read_as_keepalived_writes_them() {
        let net = |text: &str, length| Some(Prefix { address: text.parse().unwrap(), length });
        let new = |action, preference| Rule::new(Location::default(), Family::V4, action, preference);
        let from = Rule { from: net("10.1.0.0", 16), ..new(RuleAction::Table(100), 500) };
        assert_eq!(rule(&from), "from 10.1.0.0/16 priority 500 tos 0x0 protocol 18 lookup 100");
        let mut much = Rule { to: net("10.2.0.0", 16), tos: Some(4), ..new(RuleAction::Table(100), 501) };
        much.mark = Some(FwMark { mark: 5, mask: Some(7) });
        much.input = Some("eth0".to_owned());
        assert_eq!(
            rule(&much),
            "from all to 10.2.0.0/16 priority 501 tos 0x4 fwmark 0x5/0x7 iif eth0 protocol 18 lookup 100"
        );
        let hole = Rule { from: net("10.3.0.0", 16), ..new(RuleAction::Blackhole, 502) };
        assert_eq!(rule(&hole), "from 10.3.0.0/16 priority 502 tos 0x0 protocol 18 type blackhole");
        let mut ports = new(RuleAction::Table(9), 504);
        (ports.protocol, ports.ip_protocol, ports.no_track) = (None, Some(6), true);
        (ports.source_ports, ports.destination_ports) = (Some((20, 30)), Some((5, 6)));
        ports.output = Some("eth0".to_owned());
        (ports.suppress_prefix_length, ports.uids) = (Some(3), Some((1, 4)));
        assert_eq!(
            rule(&ports),
            "from all priority 504 tos 0x0 oif eth0 suppress_prefixlen 3 uidrange 1-4 ipproto 6 sport 20-30 dport 5-6 lookup 9 no_track"
        );
    }
}
