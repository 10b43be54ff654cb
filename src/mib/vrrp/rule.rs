//! `static_rules` and `virtual_rules`.

use super::route::{PROTOCOL, STATUS, byte, length, protocol};
use crate::bus::rows::RuleRow;
use crate::conf::model::{Prefix, RuleAction};
use crate::mib::table::{Column, Syntax, Table};
use crate::mib::value::{high, inet, inet_type, low, one_or_two, optional_text};
use crate::mib::vrrp::encap;
use crate::wire::value::Value;

const ACTION: Syntax =
    Syntax::integer("RuleAction=INTEGER{table(1),goto(2),nop(3),blackhole(6),unreachable(7),prohibit(8)}");

pub(super) static RULE: Table<RuleRow> = Table {
    name: "vrrpRuleTable",
    entry: &[2, 8, 1],
    index: &["vrrpInstanceIndex", "vrrpRuleIndex"],
    help: "Static rules as instance 0, then each instance's `virtual_rules`, by their places.",
    rows: |snapshot| &snapshot.vrrp.rules,
    columns: &[
        Column::shown(
            2,
            "vrrpRuleDirection",
            Syntax::DISPLAY_STRING,
            "Obsolete: `from`, `to`, `both`, or nothing.",
            |row| Some(Value::text(direction(row))),
        ),
        Column::shown(
            3,
            "vrrpRuleAddressType",
            Syntax::INET_ADDRESS_TYPE,
            "Obsolete: family of `to`, else of `from`; no instance without either.",
            |row| either(row).map(|prefix| inet_type(prefix.address)),
        ),
        Column::shown(
            4,
            "vrrpRuleAddress",
            Syntax::INET_ADDRESS,
            "Obsolete: address of `to`, else of `from`; no instance without either.",
            |row| either(row).map(|prefix| inet(prefix.address)),
        ),
        Column::shown(5, "vrrpRuleAddressMask", Syntax::PREFIX_LENGTH, "Obsolete: length of its prefix.", |row| {
            either(row).map(length)
        }),
        Column::shown(
            6,
            "vrrpRuleRoutingTable",
            Syntax::UNSIGNED32,
            "Table that is looked up, 0 with `l3mdev`; no instance for other actions.",
            |row| table(row).map(Value::Gauge32),
        ),
        Column::shown(
            7,
            "vrrpRuleStatus",
            STATUS,
            "Whether the daemon has installed the rule, and nobody has removed it since.",
            |row| Some(one_or_two(row.installed)),
        ),
        Column::shown(8, "vrrpRuleInvert", Syntax::TRUTH_VALUE, "true(1) with `not`.", |row| {
            Some(one_or_two(row.config.invert))
        }),
        Column::shown(
            9,
            "vrrpRuleDestinationAddressType",
            Syntax::INET_ADDRESS_TYPE,
            "Family of `to`; no instance when unset.",
            |row| row.config.to.map(|to| inet_type(to.address)),
        ),
        Column::shown(10, "vrrpRuleDestinationAddress", Syntax::INET_ADDRESS, "`to`; no instance when unset.", |row| {
            row.config.to.map(|to| inet(to.address))
        }),
        Column::shown(11, "vrrpRuleDestinationAddressMask", Syntax::PREFIX_LENGTH, "Length of its prefix.", |row| {
            row.config.to.map(length)
        }),
        Column::shown(
            12,
            "vrrpRuleSourceAddressType",
            Syntax::INET_ADDRESS_TYPE,
            "Family of `from`; no instance when unset.",
            |row| row.config.from.map(|from| inet_type(from.address)),
        ),
        Column::shown(13, "vrrpRuleSourceAddress", Syntax::INET_ADDRESS, "`from`; no instance when unset.", |row| {
            row.config.from.map(|from| inet(from.address))
        }),
        Column::shown(14, "vrrpRuleSourceAddressMask", Syntax::PREFIX_LENGTH, "Length of its prefix.", |row| {
            row.config.from.map(length)
        }),
        Column::shown(15, "vrrpRuleTos", encap::unsigned("Unsigned32(0..255)"), "`tos`; 0 when unset.", |row| {
            Some(byte(row.config.tos.unwrap_or(0)))
        }),
        Column::shown(
            16,
            "vrrpRuleFwmark",
            encap::unsigned("Unsigned32(0..4294967295)"),
            "`fwmark`; no instance when unset.",
            |row| row.config.mark.map(|mark| Value::Gauge32(mark.mark)),
        ),
        Column::shown(
            17,
            "vrrpRuleFwmask",
            encap::unsigned("Unsigned32(0..4294967295)"),
            "Mask of `fwmark`; no instance when unset.",
            |row| row.config.mark?.mask.map(Value::Gauge32),
        ),
        Column::shown(
            18,
            "vrrpRuleRealmDst",
            encap::REALM,
            "Destination of `realms`; no instance when unset or 0.",
            |row| encap::realm_destination(row.config.realms),
        ),
        Column::shown(
            19,
            "vrrpRuleRealmSrc",
            encap::REALM,
            "Source of `realms`; no instance when unset or 0.",
            |row| encap::realm_source(row.config.realms),
        ),
        Column::shown(20, "vrrpRuleInInterface", Syntax::DISPLAY_STRING, "`iif`; no instance when unset.", |row| {
            optional_text(row.config.input.as_ref())
        }),
        Column::shown(21, "vrrpRuleOutInterface", Syntax::DISPLAY_STRING, "`oif`; no instance when unset.", |row| {
            optional_text(row.config.output.as_ref())
        }),
        Column::shown(
            22,
            "vrrpRuleTarget",
            encap::unsigned("Unsigned32(0..4294967295)"),
            "Preference that `goto` leads to; no instance for other actions.",
            target,
        ),
        Column::shown(
            23,
            "vrrpRuleAction",
            ACTION,
            "What is done: a lookup in the table of a VRF (`l3mdev`) is table(1), too.",
            |row| Some(action(row)),
        ),
        Column::shown(24, "vrrpRuleTableNo", Syntax::UNSIGNED32, "As vrrpRuleRoutingTable.", |row| {
            table(row).map(Value::Gauge32)
        }),
        Column::shown(
            25,
            "vrrpRulePreference",
            Syntax::UNSIGNED32,
            "`preference`, or the one that was assigned, from 16384 down in each family.",
            |row| Some(Value::Gauge32(row.config.preference)),
        ),
        Column::shown(
            26,
            "vrrpRuleSuppressPrefixLen",
            encap::unsigned("Unsigned32(0..128)"),
            "`suppress_prefixlength`; no instance when unset.",
            |row| row.config.suppress_prefix_length.map(Value::Gauge32),
        ),
        Column::shown(
            27,
            "vrrpRuleSuppressGroup",
            Syntax::DISPLAY_STRING,
            "`suppress_ifgroup`, by name when the group has one; no instance when unset.",
            group,
        ),
        Column::shown(
            28,
            "vrrpRuleTunnelIdHigh",
            Syntax::UNSIGNED32,
            "Upper 32 bits of `tunnel-id`; no instance when unset or 0.",
            |row| row.config.tunnel_id.map(high),
        ),
        Column::shown(
            29,
            "vrrpRuleTunnelIdLow",
            Syntax::UNSIGNED32,
            "Lower 32 bits of `tunnel-id`; no instance when unset or 0.",
            |row| row.config.tunnel_id.map(low),
        ),
        Column::shown(
            30,
            "vrrpRuleUidRangeStart",
            Syntax::UNSIGNED32,
            "First of `uidrange`; no instance when unset.",
            |row| row.config.uids.map(|(first, _)| Value::Gauge32(first)),
        ),
        Column::shown(
            31,
            "vrrpRuleUidRangeEnd",
            Syntax::UNSIGNED32,
            "Last of `uidrange`; no instance when unset.",
            |row| row.config.uids.map(|(_, last)| Value::Gauge32(last)),
        ),
        Column::shown(
            32,
            "vrrpRuleL3mdev",
            Syntax::TRUTH_VALUE,
            "true(1) with `l3mdev`; no instance otherwise.",
            |row| (row.config.action == RuleAction::L3mdev).then(|| one_or_two(true)),
        ),
        Column::shown(
            33,
            "vrrpRuleProtocol",
            PROTOCOL,
            "Who made the rule, numbered as vrrpRouteProtocol; no instance for protocols that have no name here, and for `no_track` without one. (Keepalived serves neither this nor the columns that follow.)",
            |row| protocol(row.config.protocol?),
        ),
        Column::shown(34, "vrrpRuleIPProto", Syntax::UNSIGNED32, "`ipproto`; no instance when unset.", |row| {
            row.config.ip_protocol.map(byte)
        }),
        Column::shown(
            35,
            "vrrpRuleSrcPortStart",
            Syntax::UNSIGNED32,
            "First of `sport`; no instance when unset.",
            |row| row.config.source_ports.map(|(first, _)| Value::Gauge32(first.into())),
        ),
        Column::shown(
            36,
            "vrrpRuleSrcPortEnd",
            Syntax::UNSIGNED32,
            "Last of `sport`; no instance when unset.",
            |row| row.config.source_ports.map(|(_, last)| Value::Gauge32(last.into())),
        ),
        Column::shown(
            37,
            "vrrpRuleDstPortStart",
            Syntax::UNSIGNED32,
            "First of `dport`; no instance when unset.",
            |row| row.config.destination_ports.map(|(first, _)| Value::Gauge32(first.into())),
        ),
        Column::shown(
            38,
            "vrrpRuleDstPortEnd",
            Syntax::UNSIGNED32,
            "Last of `dport`; no instance when unset.",
            |row| row.config.destination_ports.map(|(_, last)| Value::Gauge32(last.into())),
        ),
    ],
};

fn direction(row: &RuleRow) -> &'static str {
    match (row.config.from, row.config.to) {
        (Some(_), Some(_)) => "both",
        (Some(_), None) => "from",
        (None, Some(_)) => "to",
        (None, None) => "",
    }
}

fn either(row: &RuleRow) -> Option<Prefix> {
    row.config.to.or(row.config.from)
}

fn table(row: &RuleRow) -> Option<u32> {
    match row.config.action {
        RuleAction::Table(table) => Some(table),
        RuleAction::L3mdev => Some(0),
        _ => None,
    }
}

fn target(row: &RuleRow) -> Option<Value> {
    match row.config.action {
        RuleAction::Goto(preference) => Some(Value::Gauge32(preference)),
        _ => None,
    }
}

/// FR_ACT_*.
fn action(row: &RuleRow) -> Value {
    Value::Integer(match row.config.action {
        RuleAction::Table(_) | RuleAction::L3mdev => 1,
        RuleAction::Goto(_) => 2,
        RuleAction::Nop => 3,
        RuleAction::Blackhole => 6,
        RuleAction::Unreachable => 7,
        RuleAction::Prohibit => 8,
    })
}

fn group(row: &RuleRow) -> Option<Value> {
    let (number, name) = row.config.suppress_group.as_ref()?;
    Some(Value::text(name.as_ref().unwrap_or(&number.to_string())))
}
