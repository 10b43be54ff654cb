//! Next hops of multipath routes.

use super::route::family;
use crate::conf::model::{Family, NextHop};
use crate::mib::table::{Column, Syntax, Table};
use crate::mib::value::{inet, interface_index, one_or_two, optional_text};
use crate::mib::vrrp::encap;
use crate::store::Hop;
use crate::wire::value::Value;

pub(super) static NEXT_HOP: Table<Hop> = Table {
    name: "vrrpRouteNextHopTable",
    entry: &[2, 11, 1],
    index: &["vrrpInstanceIndex", "vrrpRouteIndex", "vrrpRouteNextHopIndex"],
    help: "Each `nexthop` of a route, or the gateways of `via` and `or`, by their places. vrrpRouteNextHopEncapType(10) is \
           not-accessible in the module: which of the columns behind it there are tells the type.",
    rows: |snapshot| &snapshot.vrrp.next_hops,
    columns: &[
        Column::shown(
            2,
            "vrrpRouteNextHopAddressType",
            Syntax::INET_ADDRESS_TYPE,
            "Family of the gateway; no instance without one.",
            |row| Some(family(Family::of(hop(row)?.gateway?))),
        ),
        Column::shown(3, "vrrpRouteNextHopAddress", Syntax::INET_ADDRESS, "`via`; no instance when unset.", |row| {
            hop(row)?.gateway.map(inet)
        }),
        Column::shown(
            4,
            "vrrpRouteNextHopIfIndex",
            Syntax::INTERFACE_INDEX,
            "Kernel number of `dev`; no instance while there is no such interface.",
            |row| interface_index((*row.route.hop_interfaces.get(row.at)?)?),
        ),
        Column::shown(5, "vrrpRouteNextHopIfName", Syntax::DISPLAY_STRING, "`dev`; no instance when unset.", |row| {
            optional_text(hop(row)?.interface.as_ref())
        }),
        Column::shown(
            6,
            "vrrpRouteNextHopWeight",
            encap::unsigned("Unsigned32(1..256)"),
            "`weight`; no instance when unset.",
            |row| hop(row)?.weight.map(|weight| Value::Gauge32(weight.into())),
        ),
        Column::shown(7, "vrrpRouteNextHopOnlink", Syntax::TRUTH_VALUE, "true(1) with `onlink`.", |row| {
            Some(one_or_two(hop(row)?.onlink))
        }),
        Column::shown(
            8,
            "vrrpRouteNextHopRealmDst",
            encap::REALM,
            "Destination of `realms`; no instance when unset or 0.",
            |row| encap::realm_destination(hop(row)?.realms),
        ),
        Column::shown(
            9,
            "vrrpRouteNextHopRealmSrc",
            encap::REALM,
            "Source of `realms`; no instance when unset or 0.",
            |row| encap::realm_source(hop(row)?.realms),
        ),
        Column::shown(
            11,
            "vrrpRouteNextHopEncapMplsLabels",
            Syntax::DISPLAY_STRING,
            "Labels of `encap mpls` from the top of the stack, joined by `/`.",
            |row| encap::labels(hop(row)?.encap.as_ref()),
        ),
        Column::shown(
            12,
            "vrrpRouteNextHopEncapId",
            Syntax::COUNTER64,
            "`id` of an ip or ip6 tunnel; no instance when unset.",
            |row| encap::id(hop(row)?.encap.as_ref()),
        ),
        Column::shown(
            13,
            "vrrpRouteNextHopEncapDstAddress",
            Syntax::INET_ADDRESS,
            "`dst` of an ip or ip6 tunnel; no instance when unset.",
            |row| encap::destination(hop(row)?.encap.as_ref()),
        ),
        Column::shown(
            14,
            "vrrpRouteNextHopEncapSrcAddress",
            Syntax::INET_ADDRESS,
            "`src` of an ip or ip6 tunnel; no instance when unset.",
            |row| encap::source(hop(row)?.encap.as_ref()),
        ),
        Column::shown(
            15,
            "vrrpRouteNextHopEncapTOS",
            encap::unsigned("Unsigned32(0..255)"),
            "`tos` of an ip, `tc` of an ip6 tunnel; no instance when unset.",
            |row| encap::tos(hop(row)?.encap.as_ref()),
        ),
        Column::shown(
            16,
            "vrrpRouteNextHopEncapTTL",
            encap::unsigned("Unsigned32(1..255)"),
            "`ttl` of an ip, `hoplimit` of an ip6 tunnel; no instance when unset or 0, which inherits it.",
            |row| encap::ttl(hop(row)?.encap.as_ref()),
        ),
        Column::shown(
            17,
            "vrrpRouteNextHopEncapFlags",
            Syntax::UNSIGNED32,
            "`flags` of an ip or ip6 tunnel; no instance when unset.",
            |row| encap::flags(hop(row)?.encap.as_ref()),
        ),
        Column::shown(
            18,
            "vrrpRouteNextHopEncapIlaLocator",
            Syntax::COUNTER64,
            "Locator of `encap ila`, its first group in the highest bits.",
            |row| encap::locator(hop(row)?.encap.as_ref()),
        ),
    ],
};

fn hop(row: &Hop) -> Option<&NextHop> {
    row.route.config.hops.get(row.at)
}
