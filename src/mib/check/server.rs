//! realServerTable.

use std::net::IpAddr;

use crate::bus::msg::Command;
use crate::bus::rows::{ServerConfig, ServerRow};
use crate::conf::model::{Forwarding, RealServer, ServerKey};
use crate::mib::table::{Access, Column, SetError, Syntax, Table};
use crate::mib::value::{
    counter32, forwarding, high, inet, inet_type, low, micros, one_or_two, optional_text, script, script_path,
    seconds_of_us, tunnel_checksum, tunnel_port, tunnel_type, weight,
};
use crate::store::Snapshot;
use crate::wire::value::Value;

/// Entry of realServerTable: traps name its columns.
pub const SERVER_ENTRY: &[u32] = &[3, 4, 1];

pub(super) static SERVER: Table<ServerRow> = Table {
    name: "realServerTable",
    entry: SERVER_ENTRY,
    index: &["virtualServerIndex", "realServerIndex"],
    help: "Servers of each virtual server in the order of the file; a sorry server comes first and moves the others down by one.",
    rows: |snapshot| &snapshot.checks.servers,
    columns: &[
        Column::shown(
            2,
            "realServerType",
            Syntax::integer("INTEGER{regular(1),sorry(2)}"),
            "sorry(2) for the `sorry_server`.",
            |row| Some(one_or_two(real(row).is_some())),
        ),
        Column::shown(3, "realServerAddrType", Syntax::INET_ADDRESS_TYPE, "Family.", |row| {
            Some(inet_type(address(row).0))
        }),
        Column::shown(4, "realServerAddress", Syntax::INET_ADDRESS, "Address.", |row| Some(inet(address(row).0))),
        Column::shown(5, "realServerPort", Syntax::INET_PORT, "Port; 0 when the block gives none.", |row| {
            Some(Value::Gauge32(address(row).1.into()))
        }),
        Column::shown(
            6,
            "realServerStatus",
            Syntax::integer("INTEGER{alive(1),dead(2)}"),
            "Whether its checkers are content; no instance for a sorry server.",
            |row| real(row).map(|_| one_or_two(row.alive)),
        ),
        Column {
            id: 7,
            name: "realServerWeight",
            syntax: Syntax::INTEGER32,
            access: Access::ReadWrite,
            help: "Weight in force: `weight`, what a checker made of it, or what a SET put in its place, 0 to 2147483647. 0 drains: no new connections. No instance for a sorry server. Negative values are wrongValue (Keepalived keeps their low octet, and that of values above 255).",
            get: |row| real(row).map(|_| weight(row.weight)),
            set: Some(set_weight),
        },
        Column::shown(
            8,
            "realServerUpperConnectionLimit",
            Syntax::UNSIGNED32,
            "`uthreshold`; no instance when unset or for a sorry server.",
            |row| limit(real(row)?.upper_threshold),
        ),
        Column::shown(9, "realServerLowerConnectionLimit", Syntax::UNSIGNED32, "`lthreshold`, likewise.", |row| {
            limit(real(row)?.lower_threshold)
        }),
        Column::shown(
            10,
            "realServerActionWhenDown",
            Syntax::integer("INTEGER{remove(1),inhibit(2)}"),
            "inhibit(2) with `inhibit_on_failure`; no instance for a sorry server.",
            |row| Some(one_or_two(!real(row)?.inhibit_on_failure)),
        ),
        Column::shown(
            11,
            "realServerNotifyUp",
            Syntax::DISPLAY_STRING,
            "`notify_up`, every word in single quotes; no instance when unset or for a sorry server.",
            |row| script(real(row)?.notify_up.as_ref()),
        ),
        Column::shown(12, "realServerNotifyDown", Syntax::DISPLAY_STRING, "`notify_down`, likewise.", |row| {
            script(real(row)?.notify_down.as_ref())
        }),
        Column::shown(
            13,
            "realServerFailedChecks",
            Syntax::UNSIGNED32,
            "Checkers that fail now; no instance for a sorry server.",
            |row| real(row).map(|_| Value::Gauge32(row.failed_checks)),
        ),
        Column::shown(
            14,
            "realServerStatsConns",
            Syntax::GAUGE32,
            "Connections, low 32 bits; this and the following counters are the kernel's, added up over the services of a group, polled every `snmp_rs_stats_update_interval`.",
            |row| Some(low(row.load.stats.connections)),
        ),
        Column::shown(15, "realServerStatsActiveConns", Syntax::GAUGE32, "Active connections now.", |row| {
            Some(Value::Gauge32(row.load.active))
        }),
        Column::shown(16, "realServerStatsInactiveConns", Syntax::GAUGE32, "Inactive connections now.", |row| {
            Some(Value::Gauge32(row.load.inactive))
        }),
        Column::shown(17, "realServerStatsPersistentConns", Syntax::GAUGE32, "Persistent connections now.", |row| {
            Some(Value::Gauge32(row.load.persistent))
        }),
        Column::shown(18, "realServerStatsInPkts", Syntax::COUNTER32, "Incoming packets, low 32 bits.", |row| {
            Some(counter32(row.load.stats.packets_in))
        }),
        Column::shown(19, "realServerStatsOutPkts", Syntax::COUNTER32, "Outgoing packets, low 32 bits.", |row| {
            Some(counter32(row.load.stats.packets_out))
        }),
        Column::shown(20, "realServerStatsInBytes", Syntax::COUNTER64, "Incoming octets.", |row| {
            Some(Value::Counter64(row.load.stats.bytes_in))
        }),
        Column::shown(21, "realServerStatsOutBytes", Syntax::COUNTER64, "Outgoing octets.", |row| {
            Some(Value::Counter64(row.load.stats.bytes_out))
        }),
        Column::shown(
            22,
            "realServerRateCps",
            Syntax::GAUGE32,
            "New connections a second as the kernel estimates them, low 32 bits.",
            |row| Some(low(row.load.stats.connection_rate)),
        ),
        Column::shown(23, "realServerRateInPPS", Syntax::GAUGE32, "Incoming packets a second, likewise.", |row| {
            Some(low(row.load.stats.packet_rate_in))
        }),
        Column::shown(24, "realServerRateOutPPS", Syntax::GAUGE32, "Outgoing packets a second, likewise.", |row| {
            Some(low(row.load.stats.packet_rate_out))
        }),
        Column::shown(25, "realServerRateInBPS", Syntax::GAUGE32, "Incoming octets a second, likewise.", |row| {
            Some(low(row.load.stats.byte_rate_in))
        }),
        Column::shown(26, "realServerRateOutBPS", Syntax::GAUGE32, "Outgoing octets a second, likewise.", |row| {
            Some(low(row.load.stats.byte_rate_out))
        }),
        Column::shown(27, "realServerStatsConns64", Syntax::COUNTER64, "Connections.", |row| {
            Some(Value::Counter64(row.load.stats.connections))
        }),
        Column::shown(28, "realServerStatsInPkts64", Syntax::COUNTER64, "Incoming packets.", |row| {
            Some(Value::Counter64(row.load.stats.packets_in))
        }),
        Column::shown(29, "realServerStatsOutPkts64", Syntax::COUNTER64, "Outgoing packets.", |row| {
            Some(Value::Counter64(row.load.stats.packets_out))
        }),
        Column::shown(30, "realServerRateCpsLow", Syntax::UNSIGNED32, "New connections a second, low half.", |row| {
            Some(low(row.load.stats.connection_rate))
        }),
        Column::shown(31, "realServerRateCpsHigh", Syntax::UNSIGNED32, "New connections a second, high half.", |row| {
            Some(high(row.load.stats.connection_rate))
        }),
        Column::shown(
            32,
            "realServerRateInPPSLow",
            Syntax::UNSIGNED32,
            "Incoming packets a second, low half.",
            |row| Some(low(row.load.stats.packet_rate_in)),
        ),
        Column::shown(
            33,
            "realServerRateInPPSHigh",
            Syntax::UNSIGNED32,
            "Incoming packets a second, high half.",
            |row| Some(high(row.load.stats.packet_rate_in)),
        ),
        Column::shown(
            34,
            "realServerRateOutPPSLow",
            Syntax::UNSIGNED32,
            "Outgoing packets a second, low half.",
            |row| Some(low(row.load.stats.packet_rate_out)),
        ),
        Column::shown(
            35,
            "realServerRateOutPPSHigh",
            Syntax::UNSIGNED32,
            "Outgoing packets a second, high half.",
            |row| Some(high(row.load.stats.packet_rate_out)),
        ),
        Column::shown(36, "realServerRateInBPSLow", Syntax::UNSIGNED32, "Incoming octets a second, low half.", |row| {
            Some(low(row.load.stats.byte_rate_in))
        }),
        Column::shown(
            37,
            "realServerRateInBPSHigh",
            Syntax::UNSIGNED32,
            "Incoming octets a second, high half.",
            |row| Some(high(row.load.stats.byte_rate_in)),
        ),
        Column::shown(
            38,
            "realServerRateOutBPSLow",
            Syntax::UNSIGNED32,
            "Outgoing octets a second, low half.",
            |row| Some(low(row.load.stats.byte_rate_out)),
        ),
        Column::shown(
            39,
            "realServerRateOutBPSHigh",
            Syntax::UNSIGNED32,
            "Outgoing octets a second, high half.",
            |row| Some(high(row.load.stats.byte_rate_out)),
        ),
        Column::shown(
            40,
            "realServerForwardingMethod",
            Syntax::integer("INTEGER{nat(1),dr(2),tun(3)}"),
            "`lvs_method`, or the virtual server's.",
            |row| Some(forwarding(method(row))),
        ),
        Column::shown(
            41,
            "realServerVirtualHost",
            Syntax::DISPLAY_STRING,
            "`virtualhost` of its own; no instance when unset.",
            |row| optional_text(real(row)?.virtual_host.as_ref()),
        ),
        Column::shown(
            42,
            "realServerAlpha",
            Syntax::ENABLED,
            "enabled(1) with `alpha`, inherited; disabled(2) for a sorry server.",
            |row| Some(one_or_two(real(row).is_some_and(|server| server.alpha))),
        ),
        Column::shown(
            43,
            "realServerRetry",
            Syntax::UNSIGNED32,
            "`retry`, inherited; 0 when unset and for a sorry server.",
            |row| Some(Value::Gauge32(real(row).and_then(|server| server.retry).unwrap_or(0))),
        ),
        Column::shown(
            44,
            "realServerDelayBeforeRetry",
            Syntax::UNSIGNED32,
            "`delay_before_retry` in whole seconds, likewise.",
            |row| Some(seconds_of_us(delay_before_retry_us(row))),
        ),
        Column::shown(45, "realServerWarmup", Syntax::UNSIGNED32, "`warmup` in whole seconds, likewise.", |row| {
            Some(seconds_of_us(warmup_us(row)))
        }),
        Column::shown(
            46,
            "realServerDelayLoop",
            Syntax::UNSIGNED32,
            "`delay_loop` in whole seconds, inherited; 0 for a sorry server.",
            |row| Some(seconds_of_us(delay_loop_us(row))),
        ),
        Column::shown(
            47,
            "realServerSmtpAlert",
            Syntax::ENABLED,
            "`smtp_alert` after the global settings; disabled(2) for a sorry server.",
            |row| Some(one_or_two(real(row).is_some_and(|server| server.smtp_alert))),
        ),
        Column::shown(
            48,
            "realServerDelayBeforeRetryUsec",
            Syntax::UNSIGNED32,
            "`delay_before_retry` in microseconds.",
            |row| Some(micros(delay_before_retry_us(row))),
        ),
        Column::shown(49, "realServerWarmupUsec", Syntax::UNSIGNED32, "`warmup` in microseconds.", |row| {
            Some(micros(warmup_us(row)))
        }),
        Column::shown(50, "realServerDelayLoopUsec", Syntax::UNSIGNED32, "`delay_loop` in microseconds.", |row| {
            Some(micros(delay_loop_us(row)))
        }),
        Column::shown(
            51,
            "realServerConnTimeoutUsec",
            Syntax::UNSIGNED32,
            "`connect_timeout` in microseconds, inherited; 0 for a sorry server.",
            |row| Some(micros(real(row).map_or(0, |server| server.connect_timeout_us))),
        ),
        Column::shown(
            52,
            "realServerTunnelType",
            Syntax::integer("INTEGER{ipip(1),gue(2),gre(3)}"),
            "Type of the tunnel; no instance for other methods.",
            |row| tunnel_type(method(row)),
        ),
        Column::shown(
            53,
            "realServerTunnelPort",
            Syntax::INET_PORT,
            "Port of a gue(2) tunnel; otherwise no instance.",
            |row| tunnel_port(method(row)),
        ),
        Column::shown(
            54,
            "realServerTunnelCsum",
            Syntax::integer("INTEGER{nocsum(1),csum(2),remcsum(3)}"),
            "Checksum of a gue(2) or gre(3) tunnel; otherwise no instance.",
            |row| tunnel_checksum(method(row)),
        ),
        Column::shown(55, "realServerName", Syntax::DISPLAY_STRING, "`snmp_name`; no instance when unset.", |row| {
            optional_text(real(row)?.snmp_name.as_ref())
        }),
        Column::shown(
            56,
            "realServerNotifyUpPath",
            Syntax::DISPLAY_STRING,
            "The file that `notify_up` executes; no instance when unset or for a sorry server.",
            |row| script_path(real(row)?.notify_up.as_ref()),
        ),
        Column::shown(
            57,
            "realServerNotifyDownPath",
            Syntax::DISPLAY_STRING,
            "The file that `notify_down` executes, likewise.",
            |row| script_path(real(row)?.notify_down.as_ref()),
        ),
        Column::shown(
            58,
            "realServerRateCps64",
            Syntax::COUNTER64,
            "New connections a second; a rate, for all that its type is.",
            |row| Some(Value::Counter64(row.load.stats.connection_rate)),
        ),
        Column::shown(
            59,
            "realServerRateInPPS64",
            Syntax::COUNTER64,
            "Incoming packets a second; a rate, for all that its type is.",
            |row| Some(Value::Counter64(row.load.stats.packet_rate_in)),
        ),
        Column::shown(
            60,
            "realServerRateOutPPS64",
            Syntax::COUNTER64,
            "Outgoing packets a second; a rate, for all that its type is.",
            |row| Some(Value::Counter64(row.load.stats.packet_rate_out)),
        ),
        Column::shown(
            61,
            "realServerRateInBPS64",
            Syntax::COUNTER64,
            "Incoming octets a second; a rate, for all that its type is.",
            |row| Some(Value::Counter64(row.load.stats.byte_rate_in)),
        ),
        Column::shown(
            62,
            "realServerRateOutBPS64",
            Syntax::COUNTER64,
            "Outgoing octets a second; a rate, for all that its type is.",
            |row| Some(Value::Counter64(row.load.stats.byte_rate_out)),
        ),
        Column::shown(
            63,
            "realServerNotRunCheckers",
            Syntax::UNSIGNED32,
            "Checkers that have not run yet; 0 without checkers and for a sorry server (Keepalived 2.4.3 dies of that one).",
            |row| Some(Value::Gauge32(row.checks_not_run)),
        ),
    ],
};

fn set_weight(snapshot: &Snapshot, row: &ServerRow, value: &Value) -> Result<Command, SetError> {
    let server = real(row).ok_or(SetError::NotWritable)?;
    let service = snapshot.checks.services.get(&[row.service_index]).ok_or(SetError::NotWritable)?;
    let Value::Integer(value) = value else { return Err(SetError::WrongType) };
    let weight = u32::try_from(*value).map_err(|_| SetError::WrongValue)?;
    let server = ServerKey { service: service.key().clone(), address: server.address, port: server.port, sorry: false };
    Ok(Command::SetWeight { server, weight })
}

/// `None` for a sorry server.
fn real(row: &ServerRow) -> Option<&RealServer> {
    match &row.config {
        ServerConfig::Real(server) => Some(server),
        ServerConfig::Sorry(_) => None,
    }
}

fn address(row: &ServerRow) -> (IpAddr, u16) {
    match &row.config {
        ServerConfig::Real(server) => (server.address, server.port),
        ServerConfig::Sorry(server) => (server.address, server.port),
    }
}

fn method(row: &ServerRow) -> Forwarding {
    match &row.config {
        ServerConfig::Real(server) => server.forwarding,
        ServerConfig::Sorry(server) => server.forwarding,
    }
}

fn limit(threshold: u32) -> Option<Value> {
    (threshold != 0).then_some(Value::Gauge32(threshold))
}

fn delay_before_retry_us(row: &ServerRow) -> u64 {
    real(row).and_then(|server| server.delay_before_retry_us).unwrap_or(0)
}

fn warmup_us(row: &ServerRow) -> u64 {
    real(row).and_then(|server| server.warmup_us).unwrap_or(0)
}

fn delay_loop_us(row: &ServerRow) -> u64 {
    real(row).map_or(0, |server| server.delay_loop_us)
}
