//! Routes and rules in one line each, in the manner of `ip route` and `ip rule`: what tells one from another, not every metric.

use std::fmt::Write as _;

use super::{NextHop, Prefix, Route, Rule, RuleAction, TABLE_MAIN};

/// `10.9.0.0/24 via 10.0.0.9 dev eth0 table 100`, `blackhole 10.8.0.0/16`.
pub fn route(route: &Route) -> String {
    let mut text = match route.kind_name() {
        None => prefix(route.destination),
        Some(kind) => format!("{kind} {}", prefix(route.destination)),
    };
    let mut word = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = write!(text, " {name} {value}");
        }
    };
    word("from", route.from.map(prefix));
    word("via", route.gateway.map(|it| it.to_string()));
    word("dev", route.interface.clone());
    word("src", route.source.map(|it| it.to_string()));
    match &route.vrf {
        Some(vrf) => word("vrf", Some(vrf.clone())),
        None => word("table", route.table.filter(|table| *table != TABLE_MAIN).map(|it| it.to_string())),
    }
    word("tos", route.tos.filter(|tos| *tos != 0).map(|it| format!("{it:#04x}")));
    word("metric", route.metric.map(|it| it.to_string()));
    for hop in &route.hops {
        text += &next_hop(hop);
    }
    text
}

fn next_hop(hop: &NextHop) -> String {
    let mut text = " nexthop".to_owned();
    let via = hop.gateway.map(|it| it.to_string());
    let weight = hop.weight.map(|it| it.to_string());
    for (name, value) in [("via", via), ("dev", hop.interface.clone()), ("weight", weight)] {
        if let Some(value) = value {
            let _ = write!(text, " {name} {value}");
        }
    }
    text
}

/// `500: from 10.1.0.0/16 iif eth0 lookup 100`.
pub fn rule(rule: &Rule) -> String {
    let not = if rule.invert { " not" } else { "" };
    let from = rule.from.map_or_else(|| "all".to_owned(), prefix);
    let mut text = format!("{}:{not} from {from}", rule.preference);
    let mut word = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(text, " {name} {value}");
        }
    };
    let range = |(first, last): (u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let ports = |(first, last): (u16, u16)| range((first.into(), last.into()));
    let mark = rule.mark.map(|it| match it.mask {
        None => format!("{:#x}", it.mark),
        Some(mask) => format!("{:#x}/{mask:#x}", it.mark),
    });
    word("to", rule.to.map(prefix));
    word("tos", rule.tos.filter(|tos| *tos != 0).map(|it| format!("{it:#04x}")));
    word("fwmark", mark);
    word("iif", rule.input.clone());
    word("oif", rule.output.clone());
    word("uidrange", rule.uids.map(|(first, last)| format!("{first}-{last}")));
    word("ipproto", rule.ip_protocol.map(|it| it.to_string()));
    word("sport", rule.source_ports.map(ports));
    word("dport", rule.destination_ports.map(ports));
    word("tun_id", rule.tunnel_id.map(|it| it.to_string()));
    text += " ";
    text += &match rule.action {
        RuleAction::Table(table) => format!("lookup {}", table_name(table)),
        RuleAction::Goto(preference) => format!("goto {preference}"),
        RuleAction::Nop => "nop".to_owned(),
        RuleAction::Blackhole => "blackhole".to_owned(),
        RuleAction::Unreachable => "unreachable".to_owned(),
        RuleAction::Prohibit => "prohibit".to_owned(),
        RuleAction::L3mdev => "lookup [l3mdev-table]".to_owned(),
    };
    text
}

fn table_name(table: u32) -> String {
    match table {
        253 => "default".to_owned(),
        TABLE_MAIN => "main".to_owned(),
        255 => "local".to_owned(),
        other => other.to_string(),
    }
}

fn prefix(prefix: Prefix) -> String {
    let Prefix { address, length } = prefix;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    match length {
        0 if address.is_unspecified() => "default".to_owned(),
        length if length == whole => address.to_string(),
        length => format!("{address}/{length}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::model::{Family, FwMark, Location};

    fn to(address: &str, length: u8) -> Prefix {
        Prefix { address: address.parse().unwrap(), length }
    }

    #[test]
    fn routes_read_as_those_of_iproute2() {
        let plain = Route::to(Location::default(), to("10.9.0.0", 24));
        assert_eq!(route(&plain), "10.9.0.0/24");
        let gateway = Some("10.0.0.9".parse().unwrap());
        let much = Route {
            gateway,
            interface: Some("eth0".to_owned()),
            source: Some("10.0.0.1".parse().unwrap()),
            table: Some(100),
            metric: Some(5),
            ..plain.clone()
        };
        assert_eq!(route(&much), "10.9.0.0/24 via 10.0.0.9 dev eth0 src 10.0.0.1 table 100 metric 5");
        assert_eq!(route(&Route { kind: 6, destination: to("::", 0), ..plain.clone() }), "blackhole default");
        let hop = NextHop { gateway, weight: Some(2), ..NextHop::default() };
        let hops = Route { destination: to("10.9.0.1", 32), hops: vec![hop, NextHop::default()], ..plain };
        assert_eq!(route(&hops), "10.9.0.1 nexthop via 10.0.0.9 weight 2 nexthop");
    }

    #[test]
    fn rules_read_as_those_of_iproute2() {
        let plain = Rule::new(Location::default(), Family::V4, RuleAction::Table(100), 500);
        assert_eq!(rule(&plain), "500: from all lookup 100");
        let much = Rule {
            invert: true,
            from: Some(to("10.1.0.0", 16)),
            to: Some(to("10.2.0.1", 32)),
            mark: Some(FwMark { mark: 16, mask: Some(255) }),
            input: Some("eth0".to_owned()),
            destination_ports: Some((80, 80)),
            source_ports: Some((1, 2)),
            action: RuleAction::Prohibit,
            ..plain
        };
        let expected = "500: not from 10.1.0.0/16 to 10.2.0.1 fwmark 0x10/0xff iif eth0 sport 1-2 dport 80 prohibit";
        assert_eq!(rule(&much), expected);
    }
}
