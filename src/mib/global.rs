//! The settings of the daemon: scalars and the addressees of its mails.

use super::table::{Access, Column, Part, Scalar, Syntax, Table};
use super::value::{inet, inet_type, one_or_two, optional_text};
use crate::conf::model::{FlushOnStop, Global};
use crate::store::Snapshot;
use crate::wire::value::Value;

pub static GLOBAL: Part = Part {
    module: &crate::mib::KEEPALIVED_MIB,
    root: &[1],
    name: "global",
    capability: "The MIB module for Keepalived",
    scalars: SCALARS,
    tables: &[&EMAIL],
    notifications: &[],
};

/// What `version.0` says: who really answers, and which revision of the module this is.
pub const VERSION: &str = concat!("keepwatch ", env!("CARGO_PKG_VERSION"), " (KEEPALIVED-MIB 2024-10-04)");

/// Scalars show the configuration; before there is one they have no instance.
fn global(snapshot: &Snapshot) -> Option<&Global> {
    snapshot.global()
}

/// `smtp_alert*`: on(1), off(2), unset(3).
fn alert(alert: Option<bool>) -> Value {
    alert.map_or(Value::Integer(3), one_or_two)
}

const ALERT: Syntax = Syntax::integer("INTEGER{on(1),off(2),unset(3)}");

static SCALARS: &[Scalar] = &[
    Scalar {
        id: &[1, 1],
        name: "version",
        syntax: Syntax::DISPLAY_STRING,
        help: "Product, version and, in parentheses, the revision of this module.",
        get: |snapshot| global(snapshot).map(|_| Value::text(VERSION)),
    },
    Scalar {
        id: &[1, 2],
        name: "routerId",
        syntax: Syntax::DISPLAY_STRING,
        help: "`router_id`; the host name unless set.",
        get: |snapshot| Some(Value::text(&global(snapshot)?.router_id)),
    },
    Scalar {
        id: &[1, 3, 1],
        name: "smtpServerAddressType",
        syntax: Syntax::INET_ADDRESS_TYPE,
        help: "Family of `smtp_server`; unknown(0) without one (Keepalived says ipv6).",
        get: |snapshot| Some(global(snapshot)?.mail.server.map_or(Value::Integer(0), |server| inet_type(server.ip()))),
    },
    Scalar {
        id: &[1, 3, 2],
        name: "smtpServerAddress",
        syntax: Syntax::INET_ADDRESS,
        help: "Address of `smtp_server`; empty without one (Keepalived shows four zero octets).",
        get: |snapshot| {
            Some(global(snapshot)?.mail.server.map_or(Value::OctetString(vec![]), |server| inet(server.ip())))
        },
    },
    Scalar {
        id: &[1, 3, 3],
        name: "smtpServerTimeout",
        syntax: Syntax::UNSIGNED32,
        help: "`smtp_connect_timeout` in seconds; 0 without a server.",
        get: |snapshot| {
            let mail = &global(snapshot)?.mail;
            Some(Value::Gauge32(if mail.server.is_some() { mail.connect_timeout_s } else { 0 }))
        },
    },
    Scalar {
        id: &[1, 3, 4],
        name: "emailFrom",
        syntax: Syntax::DISPLAY_STRING,
        help: "`notification_email_from`; no instance when unset.",
        get: |snapshot| optional_text(global(snapshot)?.mail.from.as_ref()),
    },
    Scalar {
        id: &[1, 3, 6],
        name: "smtpServerPort",
        syntax: Syntax::INET_PORT,
        help: "Port of `smtp_server`; 0 without one.",
        get: |snapshot| Some(Value::Gauge32(global(snapshot)?.mail.server.map_or(0, |server| server.port().into()))),
    },
    Scalar {
        id: &[1, 3, 7],
        name: "smtpEmailFaults",
        syntax: Syntax::ENABLED,
        help: "disabled(2) with `no_email_faults`.",
        get: |snapshot| Some(one_or_two(global(snapshot)?.mail.faults)),
    },
    Scalar {
        id: &[1, 3, 8],
        name: "smtpEmailSmtpAlert",
        syntax: ALERT,
        help: "Global `smtp_alert`.",
        get: |snapshot| Some(alert(global(snapshot)?.mail.alert)),
    },
    Scalar {
        id: &[1, 3, 9],
        name: "smtpEmailSmtpAlertVrrp",
        syntax: ALERT,
        help: "Global `smtp_alert_vrrp`.",
        get: |snapshot| Some(alert(global(snapshot)?.mail.alert_vrrp)),
    },
    Scalar {
        id: &[1, 3, 10],
        name: "smtpEmailSmtpAlertChecker",
        syntax: ALERT,
        help: "Global `smtp_alert_checker`.",
        get: |snapshot| Some(alert(global(snapshot)?.mail.alert_checker)),
    },
    Scalar {
        id: &[1, 4],
        name: "trapEnable",
        syntax: Syntax::ENABLED,
        help: "enabled(1) with `enable_traps`.",
        get: |snapshot| Some(one_or_two(global(snapshot)?.snmp.traps)),
    },
    Scalar {
        id: &[1, 5],
        name: "linkBeat",
        syntax: Syntax::integer("INTEGER{netlink(1),polling(2)}"),
        help: "polling(2) with `linkbeat_use_polling`.",
        get: |snapshot| Some(one_or_two(!global(snapshot)?.linkbeat_polling)),
    },
    Scalar {
        id: &[1, 6],
        name: "lvsFlush",
        syntax: Syntax::ENABLED,
        help: "enabled(1) with `lvs_flush`.",
        get: |snapshot| Some(one_or_two(global(snapshot)?.lvs_flush)),
    },
    Scalar {
        id: &[1, 7],
        name: "ipvs64BitStats",
        syntax: Syntax::TRUTH_VALUE,
        help: "Always true(1): IPVS counters are kept in 64 bits.",
        get: |snapshot| global(snapshot).map(|_| one_or_two(true)),
    },
    Scalar {
        id: &[1, 8],
        name: "netNamespace",
        syntax: Syntax::DISPLAY_STRING,
        help: "`net_namespace`; empty when unset.",
        get: |snapshot| Some(Value::text(global(snapshot)?.net_namespace.as_deref().unwrap_or_default())),
    },
    Scalar {
        id: &[1, 9],
        name: "dbus",
        syntax: Syntax::TRUTH_VALUE,
        help: "true(1) with `enable_dbus`.",
        get: |snapshot| Some(one_or_two(global(snapshot)?.process.dbus.is_some())),
    },
    Scalar {
        id: &[1, 10],
        name: "dynamicInterfaces",
        syntax: Syntax::TRUTH_VALUE,
        help: "true(1) with `dynamic_interfaces`.",
        get: |snapshot| Some(one_or_two(global(snapshot)?.dynamic_interfaces)),
    },
    Scalar {
        id: &[1, 11],
        name: "lvsFlushOnStop",
        syntax: Syntax::integer("INTEGER{enabled(1),disabled(2),flushVS(3)}"),
        help: "`lvs_flush_onstop`: enabled(1), or flushVS(3) with `VS`.",
        get: |snapshot| {
            Some(Value::Integer(match global(snapshot)?.lvs_flush_on_stop {
                FlushOnStop::Everything => 1,
                FlushOnStop::No => 2,
                FlushOnStop::VirtualServers => 3,
            }))
        },
    },
    Scalar {
        id: &[1, 12],
        name: "v3ChecksumAsV2",
        syntax: Syntax::TRUTH_VALUE,
        help: "true(1) with the global `v3_checksum_as_v2`.",
        get: |snapshot| Some(one_or_two(global(snapshot)?.v3_checksum_as_v2)),
    },
];

static EMAIL: Table<String> = Table {
    name: "emailTable",
    entry: &[1, 3, 5, 1],
    index: &["emailIndex"],
    help: "Addressees of `notification_email`, in the order of the file.",
    rows: |snapshot| &snapshot.settings().mail_to,
    columns: &[Column {
        id: 2,
        name: "emailAddress",
        syntax: Syntax::DISPLAY_STRING,
        access: Access::ReadOnly,
        help: "The address as configured.",
        get: |to| Some(Value::text(to)),
        set: None,
    }],
};
