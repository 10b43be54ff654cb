//! VRRP-MIB (RFC 2787): virtual routers of version 2 over IPv4.

use std::net::{IpAddr, Ipv4Addr};

use super::{STATE, active, address_count, heard, master, preempt, state, virtual_mac};
use crate::bus::rows::InstanceRow;
use crate::conf::model::Auth;
use crate::mib::table::{Access, Base, Clocked, Column, Module, Notification, Part, Scalar, Syntax, Table};
use crate::mib::value::{counter32, one_or_two};
use crate::wire::value::Value;

pub static MODULE: Module = Module { name: "VRRP-MIB", root: &[1, 3, 6, 1, 2, 1, 68] };

pub static VRRP_V2: Part = Part {
    module: &MODULE,
    root: &[],
    name: "vrrpMIB",
    capability: "The MIB module for VRRP",
    scalars: SCALARS,
    tables: &[&OPER, &ADDRESSES, &STATISTICS],
    notifications: &[NEW_MASTER, AUTH_FAILURE],
};

/// Notifications name the columns of this entry.
pub const OPER_ENTRY: &[u32] = &[1, 3, 1];
pub const MASTER_IP_ADDR: u32 = 7;
/// Objects that are in a notification only, where the numbers of the router follow them.
pub const TRAP_PACKET_SRC: &[u32] = &[1, 5];
pub const TRAP_AUTH_ERROR_TYPE: &[u32] = &[1, 6];

pub const NEW_MASTER: Notification = Notification {
    id: &[0, 1],
    name: "vrrpTrapNewMaster",
    objects: &["vrrpOperMasterIpAddr"],
    help: "A virtual router became master here; the object is its own address. Also needs `enable_snmp_rfcv2`.",
};

pub const AUTH_FAILURE: Notification = Notification {
    id: &[0, 2],
    name: "vrrpTrapAuthFailure",
    objects: &["vrrpTrapPacketSrc", "vrrpTrapAuthErrorType"],
    help: "An advert was dropped because of its authentication. At most one in ten seconds for each virtual router and \
           error (Keepalived sends one for each packet). Also needs `enable_snmp_rfcv2`.",
};

static SCALARS: &[Scalar] = &[
    Scalar {
        id: &[1, 1],
        name: "vrrpNodeVersion",
        syntax: Syntax::INTEGER32,
        help: "Always 2.",
        get: |snapshot| heard(snapshot).map(|_| Value::Integer(2)),
    },
    Scalar {
        id: &[1, 2],
        name: "vrrpNotificationCntl",
        syntax: Syntax::ENABLED,
        help: "enabled(1) with `enable_traps`. A SET is refused: notWritable.",
        get: |snapshot| Some(one_or_two(snapshot.vrrp.settings.global.as_ref()?.snmp.traps)),
    },
    Scalar {
        id: &[2, 1],
        name: "vrrpRouterChecksumErrors",
        syntax: Syntax::COUNTER32,
        help: "Packets with a wrong checksum, of all virtual routers and versions (Keepalived counts those of this module).",
        get: |snapshot| Some(counter32(heard(snapshot)?.vrrp.router.checksum_errors)),
    },
    Scalar {
        id: &[2, 2],
        name: "vrrpRouterVersionErrors",
        syntax: Syntax::COUNTER32,
        help: "Packets of another version than their virtual router's, likewise.",
        get: |snapshot| Some(counter32(heard(snapshot)?.vrrp.router.version_errors)),
    },
    Scalar {
        id: &[2, 3],
        name: "vrrpRouterVrIdErrors",
        syntax: Syntax::COUNTER32,
        help: "Packets for a virtual router that is not configured there (Keepalived does not count).",
        get: |snapshot| Some(counter32(heard(snapshot)?.vrrp.router.vrid_errors)),
    },
];

static OPER: Clocked<InstanceRow> = Clocked {
    table: Table {
        name: "vrrpOperTable",
        entry: OPER_ENTRY,
        index: &["ifIndex", "vrrpOperVrId"],
        help: "Virtual routers of version 2 over IPv4 that advertise an address. No column can be set.",
        rows: |snapshot| &snapshot.vrrp.rfc.v2,
        columns: &[
            Column::shown(
                2,
                "vrrpOperVirtualMacAddr",
                Syntax::MAC_ADDRESS,
                "00-00-5E-00-01 and the VRID (Keepalived shows the card's own address without use_vmac).",
                |row| Some(virtual_mac(row)),
            ),
            Column::shown(3, "vrrpOperState", STATE, "State now; a router in fault shows initialize(1).", |row| {
                Some(state(row))
            }),
            Column::created(4, "vrrpOperAdminState", ADMIN_STATE, "Always up(1).", active),
            Column::created(
                5,
                "vrrpOperPriority",
                Syntax::integer("Integer32(0..255)"),
                "Base priority: `priority`, or what a SET of vrrpInstanceBasePriority put in its place.",
                |row| Some(Value::Integer(row.base_priority.get().into())),
            ),
            Column::shown(
                6,
                "vrrpOperIpAddrCount",
                Syntax::integer("Integer32(0..255)"),
                "Number of advertised addresses.",
                |row| Some(address_count(row)),
            ),
            Column::shown(
                MASTER_IP_ADDR,
                "vrrpOperMasterIpAddr",
                Syntax::IP_ADDRESS,
                "Own primary address while master (Keepalived shows 0.0.0.0), else the source of the last advert heard; \
                 0.0.0.0 before any.",
                |row| Some(ip_address(master(row))),
            ),
            Column::created(
                8,
                "vrrpOperPrimaryIpAddr",
                Syntax::IP_ADDRESS,
                "Source address of own adverts; 0.0.0.0 when there is none.",
                |row| Some(ip_address(row.primary)),
            ),
            Column::created(9, "vrrpOperAuthType", AUTH_TYPE, "`auth_type`.", |row| {
                Some(Value::Integer(match row.config.auth {
                    None => 1,
                    Some(Auth::Pass(_)) => 2,
                    Some(Auth::Ah(_)) => 3,
                }))
            }),
            Column::created(
                10,
                "vrrpOperAuthKey",
                Syntax { text: "OCTET STRING(SIZE(0..16))", base: Base::OctetString },
                "Never shown: no instance, as in Keepalived.",
                |_| None,
            ),
            Column::created(
                11,
                "vrrpOperAdvertisementInterval",
                Syntax::integer("Integer32(1..255)"),
                "`advert_int` in seconds.",
                |row| Some(Value::Integer(i32::try_from(row.config.advert_interval.as_secs()).unwrap_or(i32::MAX))),
            ),
            Column::created(
                12,
                "vrrpOperPreemptMode",
                Syntax::TRUTH_VALUE,
                "false(2) with `nopreempt`, or what a SET of vrrpInstancePreempt put in its place.",
                |row| Some(preempt(row)),
            ),
            Column::shown(
                UP_TIME,
                "vrrpOperVirtualRouterUpTime",
                Syntax::TIME_STAMP,
                "sysUpTime when the router left init or fault last; 0 while there (Keepalived shows the time from its start \
                 to that moment).",
                |_| None,
            ),
            Column::created(14, "vrrpOperProtocol", PROTOCOL, "Always ip(1).", active),
            Column::created(15, "vrrpOperRowStatus", Syntax::ROW_STATUS, "Always active(1).", active),
        ],
    },
    clocks: &[(UP_TIME, |row, moment| Some(row.started.map_or(Value::TimeTicks(0), |started| moment.stamp(started))))],
};

const UP_TIME: u32 = 13;
const ADMIN_STATE: Syntax = Syntax::integer("INTEGER{up(1),down(2)}");
const AUTH_TYPE: Syntax =
    Syntax::integer("INTEGER{noAuthentication(1),simpleTextPassword(2),ipAuthenticationHeader(3)}");
const PROTOCOL: Syntax = Syntax::integer("INTEGER{ip(1),bridge(2),decnet(3),other(4)}");

static ADDRESSES: Table<IpAddr> = Table {
    name: "vrrpAssoIpAddrTable",
    entry: &[1, 4, 1],
    index: &["ifIndex", "vrrpOperVrId", "vrrpAssoIpAddr"],
    help: "Advertised addresses of these virtual routers.",
    rows: |snapshot| &snapshot.vrrp.rfc.v2_addresses,
    columns: &[Column {
        access: Access::ReadCreate,
        ..Column::shown(2, "vrrpAssoIpAddrRowStatus", Syntax::ROW_STATUS, "Always active(1).", active)
    }],
};

static STATISTICS: Table<InstanceRow> = Table {
    name: "vrrpRouterStatsTable",
    entry: &[2, 4, 1],
    index: &["ifIndex", "vrrpOperVrId"],
    help: "What these virtual routers have counted.",
    rows: |snapshot| &snapshot.vrrp.rfc.v2,
    columns: &[
        counter(1, "vrrpStatsBecomeMaster", "Transitions to master.", |row| {
            Some(counter32(row.counters.became_master))
        }),
        counter(2, "vrrpStatsAdvertiseRcvd", "Adverts heard, those of priority 0 included.", |row| {
            Some(counter32(row.counters.adverts_received))
        }),
        counter(
            3,
            "vrrpStatsAdvertiseIntervalErrors",
            "Adverts dropped for another interval (Keepalived does not count).",
            |row| Some(counter32(row.counters.advert_interval_errors)),
        ),
        counter(4, "vrrpStatsAuthFailures", "Adverts dropped for a wrong password.", |row| {
            Some(counter32(row.counters.auth_failures))
        }),
        counter(
            5,
            "vrrpStatsIpTtlErrors",
            "Multicast adverts dropped for a TTL other than 255, unicast ones outside the peer's bounds.",
            |row| Some(counter32(row.counters.ttl_errors)),
        ),
        counter(6, "vrrpStatsPriorityZeroPktsRcvd", "Adverts of priority 0 heard.", |row| {
            Some(counter32(row.counters.priority_zero_received))
        }),
        counter(7, "vrrpStatsPriorityZeroPktsSent", "Adverts of priority 0 sent.", |row| {
            Some(counter32(row.counters.priority_zero_sent))
        }),
        counter(8, "vrrpStatsInvalidTypePktsRcvd", "Packets dropped that are no adverts.", |row| {
            Some(counter32(row.counters.invalid_type))
        }),
        counter(9, "vrrpStatsAddressListErrors", "Adverts dropped for another list of addresses.", |row| {
            Some(counter32(row.counters.address_list_errors))
        }),
        counter(10, "vrrpStatsInvalidAuthType", "Adverts dropped for an unknown type of authentication.", |row| {
            Some(counter32(row.counters.invalid_auth_type))
        }),
        counter(
            11,
            "vrrpStatsAuthTypeMismatch",
            "Adverts dropped for a type of authentication that is not configured.",
            |row| Some(counter32(row.counters.auth_type_mismatch)),
        ),
        counter(12, "vrrpStatsPacketLengthErrors", "Packets dropped for a wrong length.", |row| {
            Some(counter32(row.counters.packet_length_errors))
        }),
    ],
};

const fn counter(
    id: u32,
    name: &'static str,
    help: &'static str,
    get: fn(&InstanceRow) -> Option<Value>,
) -> Column<InstanceRow> {
    Column::shown(id, name, Syntax::COUNTER32, help, get)
}

/// 0.0.0.0 for none; this module knows no IPv6.
pub fn ip_address(address: Option<IpAddr>) -> Value {
    let address = match address {
        Some(IpAddr::V4(address)) => address,
        Some(IpAddr::V6(_)) | None => Ipv4Addr::UNSPECIFIED,
    };
    Value::IpAddress(address.octets().to_vec())
}
