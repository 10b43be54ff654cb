//! Lines of routes and rules, with the kernel's numbers.

use std::fmt::Display;

use super::{Directive, data, words};
use crate::conf::model::{Encap, Family, Lockable, NextHop, Placement, Route, Rule, RuleAction, TABLE_MAIN, TunnelTo};

/// A line under construction.
#[derive(Default)]
struct Line {
    words: Vec<String>,
}

impl Line {
    fn word(&mut self, word: impl Display) {
        self.words.push(word.to_string());
    }

    fn flag(&mut self, word: &str, on: bool) {
        if on {
            self.word(word);
        }
    }

    fn option(&mut self, word: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.word(word);
            self.word(value);
        }
    }

    fn lockable(&mut self, word: &str, value: Option<Lockable>) {
        if let Some(value) = value {
            self.word(word);
            self.flag("lock", value.locked);
            self.word(value.value);
        }
    }
}

/// A route; `group` stands before what has to come last.
pub fn route(route: &Route, group: Vec<String>) -> Directive {
    let mut line = Line::default();
    match (route.kind, route.kind_name()) {
        (1, _) => {}
        (_, Some(name)) if name != "unspec" => line.word(name),
        (number, _) => line.word(number),
    }
    line.word(words::prefix(&route.destination));
    line.option("from", route.from.as_ref().map(words::prefix));
    line.option("src", route.source);
    line.option("via", route.gateway);
    line.option("dev", route.interface.as_deref().map(words::plain));
    line.flag("onlink", route.onlink);
    line.option("vrf", route.vrf.as_deref().map(words::plain));
    line.option("table", route.table.filter(|table| *table != TABLE_MAIN || route.vrf.is_some()));
    line.option("tos", route.tos);
    line.option("scope", route.scope);
    line.option("metric", route.metric);
    line.option("realms", route.realms.as_ref().map(words::realms));
    line.option("expires", route.expires);
    line.option("pref", route.preference.map(preference));
    line.option("ttl-propagate", route.ttl_propagate.map(|on| if on { "enabled" } else { "disabled" }));
    metrics(&mut line, route);
    match route.placement {
        Placement::Add if route.kind_name().is_none() => line.word("add"),
        Placement::Prepend if route.kind_name().is_some() => line.word("prepend"),
        Placement::Add | Placement::Prepend => {}
        Placement::Append => line.word("append"),
    }
    if route.no_track {
        line.option("protocol", route.protocol);
        line.word("no_track");
    }
    line.words.extend(group);
    encap(&mut line, route.encap.as_ref());
    for hop in &route.hops {
        next_hop(&mut line, hop);
    }
    data(line.words).at(&route.location)
}

fn preference(number: u8) -> String {
    match number {
        0 => "medium".to_owned(),
        1 => "high".to_owned(),
        3 => "low".to_owned(),
        number => number.to_string(),
    }
}

fn metrics(line: &mut Line, route: &Route) {
    let metrics = &route.metrics;
    let bit = |on: bool| u8::from(on);
    line.lockable("mtu", metrics.mtu);
    line.option("hoplimit", metrics.hop_limit);
    line.lockable("advmss", metrics.advmss);
    line.lockable("rtt", metrics.rtt);
    line.lockable("rttvar", metrics.rttvar);
    line.lockable("reordering", metrics.reordering);
    line.option("window", metrics.window);
    line.lockable("cwnd", metrics.cwnd);
    line.lockable("ssthresh", metrics.ssthresh);
    line.lockable("rto_min", metrics.rto_min);
    line.option("initcwnd", metrics.initcwnd);
    line.option("initrwnd", metrics.initrwnd);
    line.option("features", metrics.ecn.then_some("ecn"));
    line.option("quickack", metrics.quickack.map(bit));
    if let Some((algorithm, locked)) = &metrics.congestion {
        line.word("congctl");
        line.flag("lock", *locked);
        line.word(words::plain(algorithm));
    }
    line.option("fastopen_no_cookie", metrics.fastopen_no_cookie.map(bit));
}

fn next_hop(line: &mut Line, hop: &NextHop) {
    line.word("nexthop");
    line.option("via", hop.gateway);
    line.option("dev", hop.interface.as_deref().map(words::plain));
    line.option("weight", hop.weight);
    line.flag("onlink", hop.onlink);
    line.option("realms", hop.realms.as_ref().map(words::realms));
    encap(line, hop.encap.as_ref());
}

/// Takes every word up to one that it does not know, so it comes last.
fn encap(line: &mut Line, encap: Option<&Encap>) {
    let Some(encap) = encap else { return };
    line.word("encap");
    match encap {
        Encap::Mpls(labels) => {
            line.word("mpls");
            line.word(labels.iter().map(u32::to_string).collect::<Vec<_>>().join("/"));
        }
        Encap::Ila(locator) => {
            line.word("ila");
            let group = |shift: u32| format!("{:x}", (locator >> shift) & 0xffff);
            line.word([48, 32, 16, 0].map(group).join(":"));
        }
        Encap::Ip(tunnel) => {
            line.word("ip");
            tunnel_to(line, tunnel, "tos", "ttl");
        }
        Encap::Ip6(tunnel) => {
            line.word("ip6");
            tunnel_to(line, tunnel, "tc", "hoplimit");
        }
    }
}

fn tunnel_to<A: Display + Copy>(line: &mut Line, tunnel: &TunnelTo<A>, tos: &str, ttl: &str) {
    line.option("id", tunnel.id);
    line.option("dst", tunnel.destination);
    line.option("src", tunnel.source);
    line.option(tos, tunnel.tos);
    line.option(ttl, tunnel.ttl);
    line.option("flags", tunnel.flags);
}

pub fn rule(rule: &Rule) -> Directive {
    let mut line = Line::default();
    line.flag("inet6", rule.family == Family::V6);
    line.flag("not", rule.invert);
    line.option("from", rule.from.as_ref().map(words::prefix));
    line.option("to", rule.to.as_ref().map(words::prefix));
    line.option("tos", rule.tos);
    line.option(
        "fwmark",
        rule.mark.map(|mark| match mark.mask {
            Some(mask) => format!("{:#x}/{mask:#x}", mark.mark),
            None => mark.mark.to_string(),
        }),
    );
    line.option("iif", rule.input.as_deref().map(words::plain));
    line.option("oif", rule.output.as_deref().map(words::plain));
    line.option("tunnel-id", rule.tunnel_id);
    line.option("uidrange", rule.uids.map(span));
    line.option("ipproto", rule.ip_protocol);
    line.option("sport", rule.source_ports.map(span));
    line.option("dport", rule.destination_ports.map(span));
    line.option("realms", rule.realms.as_ref().map(words::realms));
    line.option("suppress_prefixlength", rule.suppress_prefix_length);
    line.option("suppress_ifgroup", rule.suppress_group.as_ref().map(|(number, _)| number));
    line.option("preference", Some(rule.preference));
    match rule.action {
        RuleAction::Table(table) => line.option("table", Some(table)),
        RuleAction::Goto(target) => line.option("goto", Some(target)),
        RuleAction::Nop => line.word("nop"),
        RuleAction::Blackhole => line.word("blackhole"),
        RuleAction::Unreachable => line.word("unreachable"),
        RuleAction::Prohibit => line.word("prohibit"),
        RuleAction::L3mdev => line.word("l3mdev"),
    }
    if rule.no_track {
        line.option("protocol", rule.protocol);
        line.word("no_track");
    }
    data(line.words).at(&rule.location)
}

fn span<T: Display>((first, last): (T, T)) -> String {
    format!("{first}-{last}")
}
