//! `static_routes` and `virtual_routes`.

use super::scope;
use crate::bus::rows::RouteRow;
use crate::conf::model::{Family, Lockable, PROTOCOL as OURS, Prefix};
use crate::mib::table::{Column, Syntax, Table};
use crate::mib::value::{inet, interface_index, one_or_two, optional_text};
use crate::mib::vrrp::encap;
use crate::wire::value::Value;

pub(super) const STATUS: Syntax = Syntax::integer("INTEGER{set(1),unset(2)}");

pub(super) const PROTOCOL: Syntax = Syntax::integer(
    "INTEGER{unspec(1),redirect(2),kernel(3),boot(4),static(5),gated(9),ra(10),mrt(11),zebra(12),bird(13),dnrouted(14),xorp(15),ntk(16),dhcp(17),keepalived(112)}",
);

const TYPE: Syntax = Syntax::integer(
    "RouteType=INTEGER{unicast(1),ecmp(2),blackhole(3),anycast(4),multicast(5),broadcast(6),unreachable(7),prohibit(8),throw(9),nat(10),xresolve(11)}",
);

const PREFERENCE: Syntax = Syntax::integer("PrefType=INTEGER{low(1),medium(2),high(3)}");

pub(super) static ROUTE: Table<RouteRow> = Table {
    name: "vrrpRouteTable",
    entry: &[2, 7, 1],
    index: &["vrrpInstanceIndex", "vrrpRouteIndex"],
    help: "Static routes as instance 0, then each instance's `virtual_routes`, by their places.",
    rows: |snapshot| &snapshot.vrrp.routes,
    columns: &[
        Column::shown(2, "vrrpRouteAddressType", Syntax::INET_ADDRESS_TYPE, "Family of the route.", |row| {
            Some(family(row.config.family))
        }),
        Column::shown(
            3,
            "vrrpRouteDestination",
            Syntax::INET_ADDRESS,
            "Destination, 4 or 16 octets; zeros for `default`.",
            |row| Some(inet(row.config.destination.address)),
        ),
        Column::shown(
            4,
            "vrrpRouteDestinationMask",
            Syntax::PREFIX_LENGTH,
            "Length of the destination's prefix.",
            |row| Some(length(row.config.destination)),
        ),
        Column::shown(
            5,
            "vrrpRouteGateway",
            Syntax::INET_ADDRESS,
            "`via` of the route itself; no instance when unset, nor with `or`, which makes next hops.",
            |row| row.config.gateway.map(inet),
        ),
        Column::shown(
            6,
            "vrrpRouteSecondaryGateway",
            Syntax::INET_ADDRESS,
            "Gateway of the next hop of a route that has one only: `or` makes two, which are rows of vrrpRouteNextHopTable.",
            secondary,
        ),
        Column::shown(
            7,
            "vrrpRouteSource",
            Syntax::INET_ADDRESS,
            "`src`, the preferred source address; no instance when unset.",
            |row| row.config.source.map(inet),
        ),
        Column::shown(
            8,
            "vrrpRouteMetric",
            Syntax::UNSIGNED32,
            "`metric`, `priority` or `preference`; 0 when unset.",
            |row| Some(Value::Gauge32(row.config.metric.unwrap_or(0))),
        ),
        Column::shown(
            9,
            "vrrpRouteScope",
            Syntax::INET_SCOPE_TYPE,
            "`scope`: global 14, site 5, link 2, host 1; 0 for nowhere and unknown ones.",
            |row| Some(scope(row.config.scope.unwrap_or(0))),
        ),
        Column::shown(
            10,
            "vrrpRouteType",
            TYPE,
            "Type before the destination; ecmp(2) with next hops, unicast(1) for types that have no name here.",
            |row| Some(kind(row)),
        ),
        Column::shown(
            11,
            "vrrpRouteIfIndex",
            Syntax::INTERFACE_INDEX,
            "Kernel number of `dev`; no instance while there is no such interface.",
            |row| interface_index(row.interface_index?),
        ),
        Column::shown(12, "vrrpRouteIfName", Syntax::DISPLAY_STRING, "`dev`; no instance when unset.", |row| {
            optional_text(row.config.interface.as_ref())
        }),
        Column::shown(
            13,
            "vrrpRouteRoutingTable",
            Syntax::UNSIGNED32,
            "Number of the table, 254 (main) when unset; no instance with `vrf`, whose table the kernel knows.",
            |row| row.config.table.map(Value::Gauge32),
        ),
        Column::shown(
            14,
            "vrrpRouteStatus",
            STATUS,
            "Whether the daemon has installed the route, and nobody has removed it since.",
            |row| Some(one_or_two(row.installed)),
        ),
        Column::shown(
            15,
            "vrrpRouteFromAddress",
            Syntax::INET_ADDRESS,
            "`from`, which matches source addresses, IPv6 only; no instance when unset.",
            |row| row.config.from.map(|from| inet(from.address)),
        ),
        Column::shown(
            16,
            "vrrpRouteFromAddressMask",
            Syntax::PREFIX_LENGTH,
            "Length of the prefix of `from`.",
            |row| row.config.from.map(length),
        ),
        Column::shown(
            17,
            "vrrpRouteTos",
            encap::unsigned("Unsigned32(0..255)"),
            "`tos`; no instance when unset.",
            |row| row.config.tos.map(byte),
        ),
        Column::shown(
            18,
            "vrrpRouteProtocol",
            PROTOCOL,
            "Who made the route: keepalived(112) (Keepalived shows 19), or one more than the kernel's number; no instance for protocols that have no name here, and for `no_track` without one.",
            |row| protocol(row.config.protocol?),
        ),
        Column::shown(19, "vrrpRouteECN", Syntax::TRUTH_VALUE, "true(1) with `features ecn`.", |row| {
            Some(one_or_two(row.config.metrics.ecn))
        }),
        Column::shown(
            20,
            "vrrpRouteQuickAck",
            Syntax::TRUTH_VALUE,
            "true(1) with `quickack 1` (Keepalived shows true for 0, too).",
            |row| Some(one_or_two(row.config.metrics.quickack == Some(true))),
        ),
        Column::shown(
            21,
            "vrrpRouteExpires",
            Syntax::integer("Integer32(1..2147483647)"),
            "`expires`, seconds; no instance when unset or 0.",
            |row| expires(row.config.expires?),
        ),
        Column::shown(22, "vrrpRouteMTU", Syntax::UNSIGNED32, "`mtu`; no instance when unset.", |row| {
            value(row.config.metrics.mtu)
        }),
        Column::shown(
            23,
            "vrrpRouteMTULock",
            Syntax::TRUTH_VALUE,
            "Whether the kernel must not change it; no instance without `mtu`.",
            |row| lock(row.config.metrics.mtu),
        ),
        Column::shown(
            24,
            "vrrpRouteHopLimit",
            encap::unsigned("Unsigned32(1..256)"),
            "`hoplimit`; no instance when unset or 0.",
            |row| row.config.metrics.hop_limit.filter(|limit| *limit != 0).map(byte),
        ),
        Column::shown(
            25,
            "vrrpRouteAdvmss",
            Syntax::UNSIGNED32,
            "`advmss`; no instance when unset (Keepalived shows it with `hoplimit`).",
            |row| value(row.config.metrics.advmss),
        ),
        Column::shown(
            26,
            "vrrpRouteAdvmssLock",
            Syntax::TRUTH_VALUE,
            "Whether the kernel must not change it; no instance without `advmss`.",
            |row| lock(row.config.metrics.advmss),
        ),
        Column::shown(
            27,
            "vrrpRouteRTT",
            encap::unsigned("Unsigned32(1..536870)"),
            "`rtt`, milliseconds; no instance when unset.",
            |row| Some(Value::Gauge32(row.config.metrics.rtt?.value / 8)),
        ),
        Column::shown(
            28,
            "vrrpRouteRTTLock",
            Syntax::TRUTH_VALUE,
            "Whether the kernel must not change it; no instance without `rtt`.",
            |row| lock(row.config.metrics.rtt),
        ),
        Column::shown(
            29,
            "vrrpRouteRTTvar",
            encap::unsigned("Unsigned32(1..1073741)"),
            "`rttvar`, milliseconds; no instance when unset.",
            |row| Some(Value::Gauge32(row.config.metrics.rttvar?.value / 4)),
        ),
        Column::shown(
            30,
            "vrrpRouteRTTvarLock",
            Syntax::TRUTH_VALUE,
            "Whether the kernel must not change it; no instance without `rttvar`.",
            |row| lock(row.config.metrics.rttvar),
        ),
        Column::shown(31, "vrrpRouteReordering", Syntax::UNSIGNED32, "`reordering`; no instance when unset.", |row| {
            value(row.config.metrics.reordering)
        }),
        Column::shown(
            32,
            "vrrpRouteReorderingLock",
            Syntax::TRUTH_VALUE,
            "Whether the kernel must not change it; no instance without `reordering`.",
            |row| lock(row.config.metrics.reordering),
        ),
        Column::shown(33, "vrrpRouteWindow", Syntax::UNSIGNED32, "`window`; no instance when unset.", |row| {
            row.config.metrics.window.map(Value::Gauge32)
        }),
        Column::shown(34, "vrrpRouteCwnd", Syntax::UNSIGNED32, "`cwnd`; no instance when unset.", |row| {
            value(row.config.metrics.cwnd)
        }),
        Column::shown(
            35,
            "vrrpRouteCwndLock",
            Syntax::TRUTH_VALUE,
            "Whether the kernel must not change it; no instance without `cwnd`.",
            |row| lock(row.config.metrics.cwnd),
        ),
        Column::shown(36, "vrrpRouteSSthresh", Syntax::UNSIGNED32, "`ssthresh`; no instance when unset.", |row| {
            value(row.config.metrics.ssthresh)
        }),
        Column::shown(
            37,
            "vrrpRouteSSthreshLock",
            Syntax::TRUTH_VALUE,
            "Whether the kernel must not change it; no instance without `ssthresh`.",
            |row| lock(row.config.metrics.ssthresh),
        ),
        Column::shown(
            38,
            "vrrpRouteRTOMin",
            Syntax::UNSIGNED32,
            "`rto_min`, milliseconds; no instance when unset.",
            |row| value(row.config.metrics.rto_min),
        ),
        Column::shown(
            39,
            "vrrpRouteRTOMinLock",
            Syntax::TRUTH_VALUE,
            "Whether the kernel must not change it; no instance without `rto_min`.",
            |row| lock(row.config.metrics.rto_min),
        ),
        Column::shown(40, "vrrpRouteInitCwnd", Syntax::UNSIGNED32, "`initcwnd`; no instance when unset.", |row| {
            row.config.metrics.initcwnd.map(Value::Gauge32)
        }),
        Column::shown(41, "vrrpRouteInitRwnd", Syntax::UNSIGNED32, "`initrwnd`; no instance when unset.", |row| {
            row.config.metrics.initrwnd.map(Value::Gauge32)
        }),
        Column::shown(42, "vrrpRouteCongCtl", Syntax::DISPLAY_STRING, "`congctl`; no instance when unset.", |row| {
            row.config.metrics.congestion.as_ref().map(|(name, _)| Value::text(name))
        }),
        Column::shown(
            43,
            "vrrpRoutePref",
            PREFERENCE,
            "`pref`, IPv6 only (RFC 4191): low(1), medium(2), high(3); no instance when unset.",
            |row| preference(row.config.preference?),
        ),
        Column::shown(
            44,
            "vrrpRouteRealmDst",
            encap::REALM,
            "Destination of `realms`; no instance when unset or 0.",
            |row| encap::realm_destination(row.config.realms),
        ),
        Column::shown(
            45,
            "vrrpRouteRealmSrc",
            encap::REALM,
            "Source of `realms`; no instance when unset or 0.",
            |row| encap::realm_source(row.config.realms),
        ),
        Column::shown(
            46,
            "vrrpRouteEncapType",
            encap::TYPE,
            "`encap`: mpls(1), ip(2), ila(3) or ip6(4); no instance without one, nor of the columns that follow. (Keepalived shows one more.)",
            |row| encap::kind(row.config.encap.as_ref()),
        ),
        Column::shown(
            47,
            "vrrpRouteEncapMplsLabels",
            Syntax::DISPLAY_STRING,
            "Labels of `encap mpls` from the top of the stack, joined by `/`. (Keepalived shows words of the wire.)",
            |row| encap::labels(row.config.encap.as_ref()),
        ),
        Column::shown(
            48,
            "vrrpRouteEncapId",
            Syntax::COUNTER64,
            "`id` of an ip or ip6 tunnel; no instance when unset.",
            |row| encap::id(row.config.encap.as_ref()),
        ),
        Column::shown(
            49,
            "vrrpRouteEncapDstAddress",
            Syntax::INET_ADDRESS,
            "`dst` of an ip or ip6 tunnel; no instance when unset.",
            |row| encap::destination(row.config.encap.as_ref()),
        ),
        Column::shown(
            50,
            "vrrpRouteEncapSrcAddress",
            Syntax::INET_ADDRESS,
            "`src` of an ip or ip6 tunnel; no instance when unset.",
            |row| encap::source(row.config.encap.as_ref()),
        ),
        Column::shown(
            51,
            "vrrpRouteEncapTOS",
            encap::unsigned("Unsigned32(0..255)"),
            "`tos` of an ip, `tc` of an ip6 tunnel; no instance when unset.",
            |row| encap::tos(row.config.encap.as_ref()),
        ),
        Column::shown(
            52,
            "vrrpRouteEncapTTL",
            encap::unsigned("Unsigned32(1..255)"),
            "`ttl` of an ip, `hoplimit` of an ip6 tunnel; no instance when unset or 0, which inherits it.",
            |row| encap::ttl(row.config.encap.as_ref()),
        ),
        Column::shown(
            53,
            "vrrpRouteEncapFlags",
            Syntax::UNSIGNED32,
            "`flags` of an ip or ip6 tunnel; no instance when unset.",
            |row| encap::flags(row.config.encap.as_ref()),
        ),
        Column::shown(
            54,
            "vrrpRouteEncapIlaLocator",
            Syntax::COUNTER64,
            "Locator of `encap ila`, its first group in the highest bits. (Keepalived shows it in network order.)",
            |row| encap::locator(row.config.encap.as_ref()),
        ),
        Column::shown(
            55,
            "vrrpRouteFastOpenNoCookie",
            Syntax::TRUTH_VALUE,
            "`fastopen_no_cookie`; no instance when unset.",
            |row| row.config.metrics.fastopen_no_cookie.map(one_or_two),
        ),
    ],
};

pub(super) fn family(family: Family) -> Value {
    Value::Integer(match family {
        Family::V4 => 1,
        Family::V6 => 2,
    })
}

pub(super) fn length(prefix: Prefix) -> Value {
    byte(prefix.length)
}

pub(super) fn byte(value: u8) -> Value {
    Value::Gauge32(value.into())
}

/// The names begin one above the kernel's numbers; those between and beyond them have none.
pub(super) fn protocol(protocol: u8) -> Option<Value> {
    let shown = match protocol {
        OURS => 112,
        0..=4 | 8..=16 => i32::from(protocol) + 1,
        _ => return None,
    };
    Some(Value::Integer(shown))
}

fn secondary(row: &RouteRow) -> Option<Value> {
    match &row.config.hops[..] {
        [only] => only.gateway.map(inet),
        _ => None,
    }
}

fn kind(row: &RouteRow) -> Value {
    Value::Integer(match row.config.kind {
        _ if !row.config.hops.is_empty() => 2,
        3 => 6,
        4 => 4,
        5 => 5,
        6 => 3,
        7 => 7,
        8 => 8,
        9 => 9,
        10 => 10,
        11 => 11,
        _ => 1,
    })
}

fn expires(seconds: u32) -> Option<Value> {
    (seconds != 0).then(|| Value::Integer(i32::try_from(seconds).unwrap_or(i32::MAX)))
}

/// The kernel's numbers are those of the wire (RFC 4191 section 2.1); the fourth is reserved.
fn preference(preference: u8) -> Option<Value> {
    Some(Value::Integer(match preference {
        3 => 1,
        0 => 2,
        1 => 3,
        _ => return None,
    }))
}

fn value(metric: Option<Lockable>) -> Option<Value> {
    metric.map(|metric| Value::Gauge32(metric.value))
}

fn lock(metric: Option<Lockable>) -> Option<Value> {
    metric.map(|metric| one_or_two(metric.locked))
}
