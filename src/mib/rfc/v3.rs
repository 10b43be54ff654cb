//! VRRPV3-MIB (RFC 6527): virtual routers over IPv4 and IPv6, those of version 2 included.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{STATE, active, address_count, heard, master, preempt, state, virtual_mac};
use crate::bus::rows::InstanceRow;
use crate::conf::model::Family;
use crate::mib::table::{Access, Base, Clocked, Column, Module, Notification, Part, Scalar, Syntax, Table};
use crate::mib::value::{counter32, inet, one_or_two};
use crate::wire::value::Value;

pub static MODULE: Module = Module { name: "VRRPV3-MIB", root: &[1, 3, 6, 1, 2, 1, 207] };

pub static VRRP_V3: Part = Part {
    module: &MODULE,
    root: &[],
    name: "vrrpv3MIB",
    capability: "The MIB module for VRRPV3",
    scalars: SCALARS,
    tables: &[&OPERATIONS, &ADDRESSES, &STATISTICS],
    notifications: &[NEW_MASTER, PROTO_ERROR],
};

/// Notifications name columns of these entries.
pub const OPERATIONS_ENTRY: &[u32] = &[1, 1, 1, 1];
pub const MASTER_IP_ADDR: u32 = 3;
pub const STATISTICS_ENTRY: &[u32] = &[1, 2, 5, 1];
pub const NEW_MASTER_REASON: u32 = 2;
pub const PROTO_ERR_REASON: u32 = 6;

pub const NEW_MASTER: Notification = Notification {
    id: &[0, 1],
    name: "vrrpv3NewMaster",
    objects: &["vrrpv3OperationsMasterIpAddr", "vrrpv3StatisticsNewMasterReason"],
    help: "A virtual router became master here: its own address, and why. Also needs `enable_snmp_rfcv3`.",
};

pub const PROTO_ERROR: Notification = Notification {
    id: &[0, 2],
    name: "vrrpv3ProtoError",
    objects: &["vrrpv3StatisticsProtoErrReason"],
    help: "A packet was dropped because of its TTL, version or checksum. At most one in ten seconds for each virtual \
           router and error (Keepalived sends one for each packet). Also needs `enable_snmp_rfcv3`.",
};

static SCALARS: &[Scalar] = &[
    Scalar {
        id: &[1, 2, 1],
        name: "vrrpv3RouterChecksumErrors",
        syntax: Syntax::COUNTER64,
        help: "Packets with a wrong checksum, of all virtual routers.",
        get: |snapshot| Some(Value::Counter64(heard(snapshot)?.vrrp.router.checksum_errors)),
    },
    Scalar {
        id: &[1, 2, 2],
        name: "vrrpv3RouterVersionErrors",
        syntax: Syntax::COUNTER64,
        help: "Packets of another version than their virtual router's, likewise.",
        get: |snapshot| Some(Value::Counter64(heard(snapshot)?.vrrp.router.version_errors)),
    },
    Scalar {
        id: &[1, 2, 3],
        name: "vrrpv3RouterVrIdErrors",
        syntax: Syntax::COUNTER64,
        help: "Packets for a virtual router that is not configured there (Keepalived does not count).",
        get: |snapshot| Some(Value::Counter64(heard(snapshot)?.vrrp.router.vrid_errors)),
    },
    Scalar {
        id: &[1, 2, 4],
        name: "vrrpv3GlobalStatisticsDiscontinuityTime",
        syntax: Syntax::TIME_STAMP,
        help: "Always 0, as in Keepalived, which makes eight octets of it when there is no instance.",
        get: |snapshot| heard(snapshot).map(|_| Value::TimeTicks(0)),
    },
];

static OPERATIONS: Clocked<InstanceRow> = Clocked {
    table: Table {
        name: "vrrpv3OperationsTable",
        entry: OPERATIONS_ENTRY,
        index: INDEX,
        help: "Virtual routers of any version that advertise an address. No column can be set.",
        rows: |snapshot| &snapshot.vrrp.rfc.v3,
        columns: &[
            Column::shown(
                MASTER_IP_ADDR,
                "vrrpv3OperationsMasterIpAddr",
                Syntax::INET_ADDRESS,
                "Own primary address while master, else the source of the last advert heard; zeros before any.",
                |row| Some(address(master(row), row)),
            ),
            Column::created(
                4,
                "vrrpv3OperationsPrimaryIpAddr",
                Syntax::INET_ADDRESS,
                "Source address of own adverts, link-local for IPv6; zeros when there is none.",
                |row| Some(address(row.primary, row)),
            ),
            Column::shown(
                5,
                "vrrpv3OperationsVirtualMacAddr",
                Syntax::MAC_ADDRESS,
                "00-00-5E-00-01 (IPv4) or 00-00-5E-00-02 (IPv6) and the VRID (Keepalived shows the card's own address \
                 without use_vmac).",
                |row| Some(virtual_mac(row)),
            ),
            Column::shown(
                6,
                "vrrpv3OperationsStatus",
                STATE,
                "State now; a router in fault shows initialize(1).",
                |row| Some(state(row)),
            ),
            Column::created(
                7,
                "vrrpv3OperationsPriority",
                Syntax { text: "Unsigned32(0..255)", base: Base::Unsigned },
                "Base priority: `priority`, or what a SET of vrrpInstanceBasePriority put in its place.",
                |row| Some(Value::Gauge32(row.base_priority.get().into())),
            ),
            Column::shown(
                8,
                "vrrpv3OperationsAddrCount",
                Syntax::integer("Integer32(0..255)"),
                "Number of advertised addresses.",
                |row| Some(address_count(row)),
            ),
            Column::created(
                9,
                "vrrpv3OperationsAdvInterval",
                Syntax::integer("TimeInterval(1..4095)"),
                "`advert_int` in hundredths of a second, also of version 2.",
                |row| Some(Value::Integer(i32::try_from(interval_ms(row) / 10).unwrap_or(i32::MAX))),
            ),
            Column::created(
                10,
                "vrrpv3OperationsPreemptMode",
                Syntax::TRUTH_VALUE,
                "false(2) with `nopreempt`, or what a SET of vrrpInstancePreempt put in its place.",
                |row| Some(preempt(row)),
            ),
            Column::created(
                11,
                "vrrpv3OperationsAcceptMode",
                Syntax::TRUTH_VALUE,
                "Whether packets to the addresses are accepted; false(2) with `no_accept`.",
                |row| Some(one_or_two(row.config.accept)),
            ),
            Column::shown(
                UP_TIME,
                "vrrpv3OperationsUpTime",
                Syntax::TIME_TICKS,
                "Time since the router left init or fault last; 0 while there.",
                |_| None,
            ),
            Column::created(13, "vrrpv3OperationsRowStatus", Syntax::ROW_STATUS, "Always active(1).", active),
        ],
    },
    clocks: &[(UP_TIME, |row, moment| Some(row.started.map_or(Value::TimeTicks(0), |started| moment.since(started))))],
};

const INDEX: &[&str] = &["ifIndex", "vrrpv3OperationsVrId", "vrrpv3OperationsInetAddrType"];
const UP_TIME: u32 = 12;

static ADDRESSES: Table<IpAddr> = Table {
    name: "vrrpv3AssociatedIpAddrTable",
    entry: &[1, 1, 2, 1],
    index: &["ifIndex", "vrrpv3OperationsVrId", "vrrpv3OperationsInetAddrType", "vrrpv3AssociatedIpAddrAddress"],
    help: "Advertised addresses of these virtual routers. In an index, the octets of an address follow their number, 4 or 16 \
           (Keepalived leaves the number out).",
    rows: |snapshot| &snapshot.vrrp.rfc.v3_addresses,
    columns: &[Column {
        access: Access::ReadCreate,
        ..Column::shown(2, "vrrpv3AssociatedIpAddrRowStatus", Syntax::ROW_STATUS, "Always active(1).", active)
    }],
};

static STATISTICS: Table<InstanceRow> = Table {
    name: "vrrpv3StatisticsTable",
    entry: STATISTICS_ENTRY,
    index: INDEX,
    help: "What these virtual routers have counted.",
    rows: |snapshot| &snapshot.vrrp.rfc.v3,
    columns: &[
        Column::shown(1, "vrrpv3StatisticsMasterTransitions", Syntax::COUNTER32, "Transitions to master.", |row| {
            Some(counter32(row.counters.became_master))
        }),
        Column::shown(
            NEW_MASTER_REASON,
            "vrrpv3StatisticsNewMasterReason",
            Syntax::integer("INTEGER{notMaster(0),priority(1),preempted(2),masterNoResponse(3)}"),
            "Why it became master last: a master resigned, a weaker one was preempted (an owner's start, too), silence.",
            |row| Some(Value::Integer(row.master_reason as i32)),
        ),
        counter(3, "vrrpv3StatisticsRcvdAdvertisements", "Adverts heard, those of priority 0 included.", |row| {
            Some(Value::Counter64(row.counters.adverts_received))
        }),
        counter(
            4,
            "vrrpv3StatisticsAdvIntervalErrors",
            "Adverts of another interval than ours (Keepalived does not count). Version 2 drops them, version 3 follows them.",
            |row| Some(Value::Counter64(row.counters.advert_interval_errors)),
        ),
        counter(
            5,
            "vrrpv3StatisticsIpTtlErrors",
            "Multicast adverts dropped for a TTL or hop limit other than 255, unicast ones outside the peer's bounds.",
            |row| Some(Value::Counter64(row.counters.ttl_errors)),
        ),
        Column::shown(
            PROTO_ERR_REASON,
            "vrrpv3StatisticsProtoErrReason",
            Syntax::integer("INTEGER{noError(0),ipTtlError(1),versionError(2),checksumError(3),vrIdError(4)}"),
            "What was wrong with the last packet that was dropped for its TTL, version or checksum; never vrIdError(4).",
            |row| Some(Value::Integer(row.protocol_error as i32)),
        ),
        counter(7, "vrrpv3StatisticsRcvdPriZeroPackets", "Adverts of priority 0 heard.", |row| {
            Some(Value::Counter64(row.counters.priority_zero_received))
        }),
        counter(8, "vrrpv3StatisticsSentPriZeroPackets", "Adverts of priority 0 sent.", |row| {
            Some(Value::Counter64(row.counters.priority_zero_sent))
        }),
        counter(9, "vrrpv3StatisticsRcvdInvalidTypePackets", "Packets dropped that are no adverts.", |row| {
            Some(Value::Counter64(row.counters.invalid_type))
        }),
        counter(10, "vrrpv3StatisticsAddressListErrors", "Adverts dropped for another list of addresses.", |row| {
            Some(Value::Counter64(row.counters.address_list_errors))
        }),
        counter(11, "vrrpv3StatisticsPacketLengthErrors", "Packets dropped for a wrong length.", |row| {
            Some(Value::Counter64(row.counters.packet_length_errors))
        }),
        Column::shown(
            12,
            "vrrpv3StatisticsRowDiscontinuityTime",
            Syntax::TIME_STAMP,
            "Always 0, as in Keepalived.",
            |_| Some(Value::TimeTicks(0)),
        ),
        Column::shown(13, "vrrpv3StatisticsRefreshRate", Syntax::UNSIGNED32, "`advert_int` in milliseconds.", |row| {
            Some(Value::Gauge32(u32::try_from(interval_ms(row)).unwrap_or(u32::MAX)))
        }),
    ],
};

const fn counter(
    id: u32,
    name: &'static str,
    help: &'static str,
    get: fn(&InstanceRow) -> Option<Value>,
) -> Column<InstanceRow> {
    Column::shown(id, name, Syntax::COUNTER64, help, get)
}

fn interval_ms(row: &InstanceRow) -> u128 {
    row.config.advert_interval.as_millis()
}

/// An InetAddress of the row's own family: that is in its index. Zeros for none.
fn address(address: Option<IpAddr>, row: &InstanceRow) -> Value {
    inet(address.unwrap_or(match row.config.family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }))
}
