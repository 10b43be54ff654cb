//! virtualServerTable.

use std::net::IpAddr;

use crate::bus::msg::QuorumStatus;
use crate::bus::rows::ServiceRow;
use crate::conf::model::{Family, Protocol, ServiceKey, ServiceKind};
use crate::mib::table::{Column, Syntax, Table};
use crate::mib::value::{
    counter32, forwarding, high, inet, low, mask, micros, one_or_two, optional_text, script, script_path,
    seconds_of_us, tunnel_checksum, tunnel_port, tunnel_type, weight,
};
use crate::wire::value::Value;

/// Entry of virtualServerTable: traps name its columns.
pub const SERVICE_ENTRY: &[u32] = &[3, 3, 1];

pub(super) static SERVICE: Table<ServiceRow> = Table {
    name: "virtualServerTable",
    entry: SERVICE_ENTRY,
    index: &["virtualServerIndex"],
    help: "One row per `virtual_server` that has a real server, numbered from 1 in the order of the file, both families together.",
    rows: |snapshot| &snapshot.checks.services,
    columns: &[
        Column::shown(
            2,
            "virtualServerType",
            Syntax::integer("INTEGER{fwmark(1),ip(2),group(3)}"),
            "How the virtual server is named; the next columns follow from it.",
            |row| Some(Value::Integer(service_type(row.key()))),
        ),
        Column::shown(
            3,
            "virtualServerNameOfGroup",
            Syntax::DISPLAY_STRING,
            "Name of the group; group(3) only.",
            name_of_group,
        ),
        Column::shown(4, "virtualServerFwMark", Syntax::UNSIGNED32, "The mark; fwmark(1) only.", mark),
        Column::shown(
            5,
            "virtualServerAddrType",
            Syntax::INET_ADDRESS_TYPE,
            "Family, also of what a mark or a group stands for.",
            |row| Some(family(row.config.family)),
        ),
        Column::shown(6, "virtualServerAddress", Syntax::INET_ADDRESS, "Address; ip(2) only.", |row| {
            address(row).map(|(address, _)| inet(address))
        }),
        Column::shown(7, "virtualServerPort", Syntax::INET_PORT, "Port; ip(2) only.", |row| {
            address(row).map(|(_, port)| Value::Gauge32(port.into()))
        }),
        Column::shown(
            8,
            "virtualServerProtocol",
            Syntax::integer("INTEGER{tcp(1),udp(2),sctp(3),none(4)}"),
            "Protocol; no instance for fwmark(1).",
            |row| (!is_mark(row)).then(|| protocol(row.key())),
        ),
        Column::shown(
            9,
            "virtualServerLoadBalancingAlgo",
            Syntax::integer(
                "INTEGER{rr(1),wrr(2),lc(3),wlc(4),lblc(5),lblcr(6),dh(7),sh(8),sed(9),nq(10),fo(11),ovf(12),mh(13),twos(14),unknown(99)}",
            ),
            "`lb_algo`; unknown(99) for schedulers that the module does not list.",
            |row| Some(scheduler(&row.config.scheduler)),
        ),
        Column::shown(
            10,
            "virtualServerLoadBalancingKind",
            Syntax::integer("INTEGER{nat(1),dr(2),tun(3)}"),
            "`lb_kind`; no instance without one.",
            |row| row.config.forwarding.map(forwarding),
        ),
        Column::shown(
            11,
            "virtualServerStatus",
            Syntax::integer("INTEGER{alive(1),dead(2)}"),
            "alive(1) when the service is in the kernel's table, with or without quorum.",
            |row| Some(one_or_two(row.installed)),
        ),
        Column::shown(
            12,
            "virtualServerVirtualHost",
            Syntax::DISPLAY_STRING,
            "`virtualhost`; no instance when unset.",
            |row| optional_text(row.config.virtual_host.as_ref()),
        ),
        Column::shown(13, "virtualServerPersist", Syntax::ENABLED, "enabled(1) with `persistence_timeout`.", |row| {
            Some(one_or_two(row.config.persistence.is_some()))
        }),
        Column::shown(
            14,
            "virtualServerPersistTimeout",
            Syntax::UNSIGNED32,
            "`persistence_timeout` in seconds; no instance when unset.",
            |row| row.config.persistence.map(|persistence| Value::Gauge32(persistence.timeout_s)),
        ),
        Column::shown(
            15,
            "virtualServerPersistGranularity",
            Syntax::INET_ADDRESS,
            "`persistence_granularity` of IPv4: a mask, all ones when unset (Keepalived has this column for IPv6 groups and marks too).",
            |row| granularity(row, Family::V4).map(mask),
        ),
        Column::shown(16, "virtualServerDelayLoop", Syntax::UNSIGNED32, "`delay_loop` in whole seconds.", |row| {
            Some(seconds_of_us(row.config.delay_loop_us))
        }),
        Column::shown(17, "virtualServerHaSuspend", Syntax::TRUTH_VALUE, "true(1) with `ha_suspend`.", |row| {
            Some(one_or_two(row.config.ha_suspend))
        }),
        Column::shown(18, "virtualServerAlpha", Syntax::ENABLED, "enabled(1) with `alpha`.", |row| {
            Some(one_or_two(row.config.alpha))
        }),
        Column::shown(19, "virtualServerOmega", Syntax::ENABLED, "enabled(1) with `omega`.", |row| {
            Some(one_or_two(row.config.omega))
        }),
        Column::shown(
            20,
            "virtualServerRealServersTotal",
            Syntax::UNSIGNED32,
            "Real servers, without the sorry server.",
            |row| Some(Value::Gauge32(row.servers_total)),
        ),
        Column::shown(
            21,
            "virtualServerRealServersUp",
            Syntax::UNSIGNED32,
            "Real servers alive, those of weight 0 too.",
            |row| Some(Value::Gauge32(row.servers_up)),
        ),
        Column::shown(
            22,
            "virtualServerQuorum",
            Syntax::UNSIGNED32,
            "`quorum`, lowered at load to the configured weights together.",
            |row| Some(Value::Gauge32(row.config.quorum)),
        ),
        Column::shown(
            23,
            "virtualServerQuorumStatus",
            Syntax::integer("INTEGER{met(1),notMet(2),shutdown(3)}"),
            "met(1) or notMet(2); shutdown(3) appears in notifications only.",
            |row| Some(quorum_status(if row.quorum_met { QuorumStatus::Met } else { QuorumStatus::NotMet })),
        ),
        Column::shown(
            24,
            "virtualServerQuorumUp",
            Syntax::DISPLAY_STRING,
            "`quorum_up`, every word in single quotes; no instance when unset.",
            |row| script(row.config.quorum_up.as_ref()),
        ),
        Column::shown(25, "virtualServerQuorumDown", Syntax::DISPLAY_STRING, "`quorum_down`, likewise.", |row| {
            script(row.config.quorum_down.as_ref())
        }),
        Column::shown(
            26,
            "virtualServerHysteresis",
            Syntax::UNSIGNED32,
            "`hysteresis`, lowered at load so that quorum and hysteresis together can be reached (Keepalived may leave it too high).",
            |row| Some(Value::Gauge32(row.config.hysteresis)),
        ),
        Column::shown(
            27,
            "virtualServerStatsConns",
            Syntax::GAUGE32,
            "Connections, low 32 bits; this and the following counters are the kernel's, added up over the services of a group, polled every `snmp_vs_stats_update_interval`.",
            |row| Some(low(row.stats.connections)),
        ),
        Column::shown(28, "virtualServerStatsInPkts", Syntax::COUNTER32, "Incoming packets, low 32 bits.", |row| {
            Some(counter32(row.stats.packets_in))
        }),
        Column::shown(29, "virtualServerStatsOutPkts", Syntax::COUNTER32, "Outgoing packets, low 32 bits.", |row| {
            Some(counter32(row.stats.packets_out))
        }),
        Column::shown(30, "virtualServerStatsInBytes", Syntax::COUNTER64, "Incoming octets.", |row| {
            Some(Value::Counter64(row.stats.bytes_in))
        }),
        Column::shown(31, "virtualServerStatsOutBytes", Syntax::COUNTER64, "Outgoing octets.", |row| {
            Some(Value::Counter64(row.stats.bytes_out))
        }),
        Column::shown(
            32,
            "virtualServerRateCps",
            Syntax::GAUGE32,
            "New connections a second as the kernel estimates them, low 32 bits.",
            |row| Some(low(row.stats.connection_rate)),
        ),
        Column::shown(33, "virtualServerRateInPPS", Syntax::GAUGE32, "Incoming packets a second, likewise.", |row| {
            Some(low(row.stats.packet_rate_in))
        }),
        Column::shown(34, "virtualServerRateOutPPS", Syntax::GAUGE32, "Outgoing packets a second, likewise.", |row| {
            Some(low(row.stats.packet_rate_out))
        }),
        Column::shown(35, "virtualServerRateInBPS", Syntax::GAUGE32, "Incoming octets a second, likewise.", |row| {
            Some(low(row.stats.byte_rate_in))
        }),
        Column::shown(36, "virtualServerRateOutBPS", Syntax::GAUGE32, "Outgoing octets a second, likewise.", |row| {
            Some(low(row.stats.byte_rate_out))
        }),
        Column::shown(
            37,
            "virtualServerOPS",
            Syntax::TRUTH_VALUE,
            "true(1) with `ops`: one-packet scheduling.",
            |row| Some(one_or_two(row.config.one_packet)),
        ),
        Column::shown(38, "virtualServerStatsConns64", Syntax::COUNTER64, "Connections.", |row| {
            Some(Value::Counter64(row.stats.connections))
        }),
        Column::shown(39, "virtualServerStatsInPkts64", Syntax::COUNTER64, "Incoming packets.", |row| {
            Some(Value::Counter64(row.stats.packets_in))
        }),
        Column::shown(40, "virtualServerStatsOutPkts64", Syntax::COUNTER64, "Outgoing packets.", |row| {
            Some(Value::Counter64(row.stats.packets_out))
        }),
        Column::shown(
            41,
            "virtualServerRateCpsLow",
            Syntax::UNSIGNED32,
            "New connections a second, low half.",
            |row| Some(low(row.stats.connection_rate)),
        ),
        Column::shown(
            42,
            "virtualServerRateCpsHigh",
            Syntax::UNSIGNED32,
            "New connections a second, high half.",
            |row| Some(high(row.stats.connection_rate)),
        ),
        Column::shown(
            43,
            "virtualServerRateInPPSLow",
            Syntax::UNSIGNED32,
            "Incoming packets a second, low half.",
            |row| Some(low(row.stats.packet_rate_in)),
        ),
        Column::shown(
            44,
            "virtualServerRateInPPSHigh",
            Syntax::UNSIGNED32,
            "Incoming packets a second, high half.",
            |row| Some(high(row.stats.packet_rate_in)),
        ),
        Column::shown(
            45,
            "virtualServerRateOutPPSLow",
            Syntax::UNSIGNED32,
            "Outgoing packets a second, low half.",
            |row| Some(low(row.stats.packet_rate_out)),
        ),
        Column::shown(
            46,
            "virtualServerRateOutPPSHigh",
            Syntax::UNSIGNED32,
            "Outgoing packets a second, high half.",
            |row| Some(high(row.stats.packet_rate_out)),
        ),
        Column::shown(
            47,
            "virtualServerRateInBPSLow",
            Syntax::UNSIGNED32,
            "Incoming octets a second, low half.",
            |row| Some(low(row.stats.byte_rate_in)),
        ),
        Column::shown(
            48,
            "virtualServerRateInBPSHigh",
            Syntax::UNSIGNED32,
            "Incoming octets a second, high half.",
            |row| Some(high(row.stats.byte_rate_in)),
        ),
        Column::shown(
            49,
            "virtualServerRateOutBPSLow",
            Syntax::UNSIGNED32,
            "Outgoing octets a second, low half.",
            |row| Some(low(row.stats.byte_rate_out)),
        ),
        Column::shown(
            50,
            "virtualServerRateOutBPSHigh",
            Syntax::UNSIGNED32,
            "Outgoing octets a second, high half.",
            |row| Some(high(row.stats.byte_rate_out)),
        ),
        Column::shown(
            51,
            "virtualServerPersistGranularity6",
            Syntax::UNSIGNED32,
            "`persistence_granularity` of IPv6: a prefix length, 128 when unset (Keepalived has this column for IPv4 groups and marks too, with the mask as a number).",
            |row| granularity(row, Family::V6).map(Value::Gauge32),
        ),
        Column::shown(
            52,
            "virtualServerHashed",
            Syntax::TRUTH_VALUE,
            "Always false(2): no directive sets the flag, the kernel does.",
            |_| Some(one_or_two(false)),
        ),
        Column::shown(
            53,
            "virtualServerSHFallback",
            Syntax::TRUTH_VALUE,
            "The first flag of the scheduler: `sh-fallback`, `mh-fallback` or `flag-1`.",
            |row| Some(scheduler_flag(row, 0)),
        ),
        Column::shown(
            54,
            "virtualServerSHPort",
            Syntax::TRUTH_VALUE,
            "The second flag of the scheduler: `sh-port`, `mh-port` or `flag-2`.",
            |row| Some(scheduler_flag(row, 1)),
        ),
        Column::shown(
            55,
            "virtualServerSched3",
            Syntax::TRUTH_VALUE,
            "The third flag of the scheduler: `flag-3`.",
            |row| Some(scheduler_flag(row, 2)),
        ),
        Column::shown(
            56,
            "virtualServerActionWhenDown",
            Syntax::integer("INTEGER{remove(1),inhibit(2)}"),
            "inhibit(2) with `inhibit_on_failure`.",
            |row| Some(one_or_two(!row.config.inhibit_on_failure)),
        ),
        Column::shown(57, "virtualServerRetry", Syntax::UNSIGNED32, "`retry`; 0 when unset.", |row| {
            Some(Value::Gauge32(row.config.retry.unwrap_or(0)))
        }),
        Column::shown(
            58,
            "virtualServerDelayBeforeRetry",
            Syntax::UNSIGNED32,
            "`delay_before_retry` in whole seconds; 0 when unset.",
            |row| Some(seconds_of_us(row.config.delay_before_retry_us.unwrap_or(0))),
        ),
        Column::shown(
            59,
            "virtualServerWarmup",
            Syntax::UNSIGNED32,
            "`warmup` in whole seconds; 0 when unset.",
            |row| Some(seconds_of_us(row.config.warmup_us.unwrap_or(0))),
        ),
        Column::shown(
            60,
            "virtualServerWeight",
            Syntax::INTEGER32,
            "`weight`: what real servers without one of their own have.",
            |row| Some(weight(row.config.weight)),
        ),
        Column::shown(
            61,
            "virtualServerSmtpAlert",
            Syntax::ENABLED,
            "`smtp_alert` after the global settings.",
            |row| Some(one_or_two(row.config.smtp_alert)),
        ),
        Column::shown(
            62,
            "virtualServerMHFallback",
            Syntax::TRUTH_VALUE,
            "The same flag as virtualServerSHFallback.",
            |row| Some(scheduler_flag(row, 0)),
        ),
        Column::shown(63, "virtualServerMHPort", Syntax::TRUTH_VALUE, "The same flag as virtualServerSHPort.", |row| {
            Some(scheduler_flag(row, 1))
        }),
        Column::shown(64, "virtualServerDelayLoopUsec", Syntax::UNSIGNED32, "`delay_loop` in microseconds.", |row| {
            Some(micros(row.config.delay_loop_us))
        }),
        Column::shown(
            65,
            "virtualServerDelayBeforeRetrUsec",
            Syntax::UNSIGNED32,
            "`delay_before_retry` in microseconds; 0 when unset.",
            |row| Some(micros(row.config.delay_before_retry_us.unwrap_or(0))),
        ),
        Column::shown(
            66,
            "virtualServerWarmupUsec",
            Syntax::UNSIGNED32,
            "`warmup` in microseconds; 0 when unset.",
            |row| Some(micros(row.config.warmup_us.unwrap_or(0))),
        ),
        Column::shown(
            67,
            "virtualServerConnTimeoutUsec",
            Syntax::UNSIGNED32,
            "`connect_timeout` in microseconds.",
            |row| Some(micros(row.config.connect_timeout_us)),
        ),
        Column::shown(
            68,
            "virtualServerTunnelType",
            Syntax::integer("INTEGER{ipip(1),gue(2),gre(3)}"),
            "Type of the tunnel; no instance without `lb_kind TUN`.",
            |row| tunnel_type(row.config.forwarding?),
        ),
        Column::shown(
            69,
            "virtualServerTunnelPort",
            Syntax::INET_PORT,
            "Port of a gue(2) tunnel; otherwise no instance.",
            |row| tunnel_port(row.config.forwarding?),
        ),
        Column::shown(
            70,
            "virtualServerTunnelCsum",
            Syntax::integer("INTEGER{nocsum(1),csum(2),remcsum(3)}"),
            "Checksum of a gue(2) or gre(3) tunnel; otherwise no instance.",
            |row| tunnel_checksum(row.config.forwarding?),
        ),
        Column::shown(71, "virtualServerName", Syntax::DISPLAY_STRING, "`snmp_name`; no instance when unset.", |row| {
            optional_text(row.config.snmp_name.as_ref())
        }),
        Column::shown(
            72,
            "virtualServerQuorumUpPath",
            Syntax::DISPLAY_STRING,
            "The file that `quorum_up` executes; no instance when unset.",
            |row| script_path(row.config.quorum_up.as_ref()),
        ),
        Column::shown(
            73,
            "virtualServerQuorumDownPath",
            Syntax::DISPLAY_STRING,
            "The file that `quorum_down` executes, likewise.",
            |row| script_path(row.config.quorum_down.as_ref()),
        ),
        Column::shown(
            74,
            "virtualServerRateCps64",
            Syntax::COUNTER64,
            "New connections a second; a rate, for all that its type is.",
            |row| Some(Value::Counter64(row.stats.connection_rate)),
        ),
        Column::shown(
            75,
            "virtualServerRateInPPS64",
            Syntax::COUNTER64,
            "Incoming packets a second; a rate, for all that its type is.",
            |row| Some(Value::Counter64(row.stats.packet_rate_in)),
        ),
        Column::shown(
            76,
            "virtualServerRateOutPPS64",
            Syntax::COUNTER64,
            "Outgoing packets a second; a rate, for all that its type is.",
            |row| Some(Value::Counter64(row.stats.packet_rate_out)),
        ),
        Column::shown(
            77,
            "virtualServerRateInBPS64",
            Syntax::COUNTER64,
            "Incoming octets a second; a rate, for all that its type is.",
            |row| Some(Value::Counter64(row.stats.byte_rate_in)),
        ),
        Column::shown(
            78,
            "virtualServerRateOutBPS64",
            Syntax::COUNTER64,
            "Outgoing octets a second; a rate, for all that its type is.",
            |row| Some(Value::Counter64(row.stats.byte_rate_out)),
        ),
    ],
};

/// fwmark(1), ip(2), group(3).
pub fn service_type(key: &ServiceKey) -> i32 {
    match key.kind {
        ServiceKind::Mark { .. } => 1,
        ServiceKind::Address { .. } => 2,
        ServiceKind::Group(_) => 3,
    }
}

pub fn protocol(key: &ServiceKey) -> Value {
    Value::Integer(match key.protocol {
        Some(Protocol::Tcp) => 1,
        Some(Protocol::Udp) => 2,
        Some(Protocol::Sctp) => 3,
        None => 4,
    })
}

pub fn quorum_status(status: QuorumStatus) -> Value {
    Value::Integer(status as i32)
}

fn name_of_group(row: &ServiceRow) -> Option<Value> {
    match &row.key().kind {
        ServiceKind::Group(name) => Some(Value::text(name)),
        ServiceKind::Address { .. } | ServiceKind::Mark { .. } => None,
    }
}

fn mark(row: &ServiceRow) -> Option<Value> {
    match row.key().kind {
        ServiceKind::Mark { mark, .. } => Some(Value::Gauge32(mark)),
        ServiceKind::Address { .. } | ServiceKind::Group(_) => None,
    }
}

fn is_mark(row: &ServiceRow) -> bool {
    matches!(row.key().kind, ServiceKind::Mark { .. })
}

fn address(row: &ServiceRow) -> Option<(IpAddr, u16)> {
    match row.key().kind {
        ServiceKind::Address { address, port } => Some((address, port)),
        ServiceKind::Mark { .. } | ServiceKind::Group(_) => None,
    }
}

/// InetAddressType.
fn family(family: Family) -> Value {
    Value::Integer(match family {
        Family::V4 => 1,
        Family::V6 => 2,
    })
}

/// A mask for IPv4, a prefix length for IPv6; everything counts when nothing is said.
fn granularity(row: &ServiceRow, of: Family) -> Option<u32> {
    let whole = match of {
        Family::V4 => u32::MAX,
        Family::V6 => of.host_prefix(),
    };
    let said = row.config.persistence.map(|persistence| persistence.granularity);
    (row.config.family == of).then(|| said.unwrap_or(whole))
}

fn scheduler_flag(row: &ServiceRow, number: usize) -> Value {
    one_or_two(row.config.scheduler_flags.get(number).copied().unwrap_or_default())
}

fn scheduler(name: &str) -> Value {
    Value::Integer(match name {
        "rr" => 1,
        "wrr" => 2,
        "lc" => 3,
        "wlc" => 4,
        "lblc" => 5,
        "lblcr" => 6,
        "dh" => 7,
        "sh" => 8,
        "sed" => 9,
        "nq" => 10,
        "fo" => 11,
        "ovf" => 12,
        "mh" => 13,
        "twos" => 14,
        _ => 99,
    })
}
