//! Policy rules as the kernel writes them (`linux/fib_rules.h`): requests for a [`Rule`], and news of rules that were
//! removed. Pure, and total over bytes.

use super::generic::Attributes;
use super::routes::{HEADER, Payload, family, flow, ip, number_of, read_family};
use super::socket::attributes;
use crate::conf::model::{Prefix, Rule, RuleAction};
use crate::vrrp::io::RuleNews;

/// FRA_*
mod fra {
    pub const DST: u16 = 1;
    pub const SRC: u16 = 2;
    pub const IIFNAME: u16 = 3;
    pub const GOTO: u16 = 4;
    pub const PRIORITY: u16 = 6;
    pub const FWMARK: u16 = 10;
    pub const FLOW: u16 = 11;
    pub const TUN_ID: u16 = 12;
    pub const SUPPRESS_IFGROUP: u16 = 13;
    pub const SUPPRESS_PREFIXLEN: u16 = 14;
    pub const TABLE: u16 = 15;
    pub const FWMASK: u16 = 16;
    pub const OIFNAME: u16 = 17;
    pub const L3MDEV: u16 = 19;
    pub const UID_RANGE: u16 = 20;
    pub const PROTOCOL: u16 = 21;
    pub const IP_PROTO: u16 = 22;
    pub const SPORT_RANGE: u16 = 23;
    pub const DPORT_RANGE: u16 = 24;
}

/// FIB_RULE_INVERT.
const INVERT: u32 = 2;

/// The request to install or to remove exactly this rule.
pub fn payload(rule: &Rule) -> Payload {
    let mut all = Attributes::default();
    let prefixes = [(fra::SRC, rule.from), (fra::DST, rule.to)];
    for (kind, prefix) in prefixes.into_iter().filter_map(|(kind, prefix)| Some((kind, prefix?))) {
        if prefix.length > 0 {
            match prefix.address {
                std::net::IpAddr::V4(v4) => all.put(kind, &v4.octets()),
                std::net::IpAddr::V6(v6) => all.put(kind, &v6.octets()),
            };
        }
    }
    all.put_u32(fra::PRIORITY, rule.preference);
    let table = match rule.action {
        RuleAction::Table(table) => {
            all.put_u32(fra::TABLE, table);
            u8::try_from(table).unwrap_or(0)
        }
        RuleAction::Goto(target) => {
            all.put_u32(fra::GOTO, target);
            0
        }
        RuleAction::L3mdev => {
            all.put_u8(fra::L3MDEV, 1);
            0
        }
        RuleAction::Nop | RuleAction::Blackhole | RuleAction::Unreachable | RuleAction::Prohibit => 0,
    };
    if let Some(mark) = rule.mark {
        all.put_u32(fra::FWMARK, mark.mark);
        if let Some(mask) = mark.mask {
            all.put_u32(fra::FWMASK, mask);
        }
    }
    if let Some(realms) = rule.realms {
        all.put_u32(fra::FLOW, flow(realms));
    }
    if let Some(length) = rule.suppress_prefix_length {
        all.put_u32(fra::SUPPRESS_PREFIXLEN, length);
    }
    if let Some((group, _)) = &rule.suppress_group {
        all.put_u32(fra::SUPPRESS_IFGROUP, *group);
    }
    for (kind, name) in [(fra::IIFNAME, &rule.input), (fra::OIFNAME, &rule.output)] {
        if let Some(name) = name {
            all.put_text(kind, name);
        }
    }
    if let Some(id) = rule.tunnel_id {
        all.put(fra::TUN_ID, &id.to_be_bytes());
    }
    if let Some((first, last)) = rule.uids {
        all.put(fra::UID_RANGE, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
    }
    if let Some(protocol) = rule.protocol {
        all.put_u8(fra::PROTOCOL, protocol);
    }
    if let Some(protocol) = rule.ip_protocol {
        all.put_u8(fra::IP_PROTO, protocol);
    }
    for (kind, ports) in [(fra::SPORT_RANGE, rule.source_ports), (fra::DPORT_RANGE, rule.destination_ports)] {
        if let Some((first, last)) = ports {
            all.put(kind, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
        }
    }
    let [f0, f1, f2, f3] = if rule.invert { INVERT } else { 0 }.to_ne_bytes();
    let length = |prefix: Option<Prefix>| prefix.map_or(0, |prefix| prefix.length);
    let header = [
        family(rule.family),
        length(rule.to),
        length(rule.from),
        rule.tos.unwrap_or(0),
        table,
        0,
        0,
        rule.action.number(),
        f0,
        f1,
        f2,
        f3,
    ];
    Payload::new(header, &all)
}

/// News of a rule; `None` if it is of a family that is not ours, or cannot be read.
pub fn parse(payload: &[u8]) -> Option<RuleNews> {
    let (header, rest) = payload.split_first_chunk::<HEADER>()?;
    let [number, to_length, from_length, _, table, _, _, action, ..] = *header;
    let family = read_family(number)?;
    let mut news = RuleNews {
        family,
        preference: 0,
        action,
        table: table.into(),
        from: Prefix { length: from_length, ..Prefix::any(family) },
        to: Prefix { length: to_length, ..Prefix::any(family) },
        input: None,
        output: None,
        mark: 0,
    };
    let text = |value: &[u8]| {
        let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(name).into_owned())
    };
    for (kind, value) in attributes(rest) {
        match kind {
            fra::PRIORITY => news.preference = number_of(value)?,
            fra::TABLE => news.table = number_of(value)?,
            fra::SRC => news.from.address = ip(value)?,
            fra::DST => news.to.address = ip(value)?,
            fra::IIFNAME => news.input = text(value),
            fra::OIFNAME => news.output = text(value),
            fra::FWMARK => news.mark = number_of(value)?,
            _ => {}
        }
    }
    (news.from, news.to) = (news.from.masked(), news.to.masked());
    Some(news)
}
