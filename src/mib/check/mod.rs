//! Virtual server groups, virtual servers, real servers, and what IPVS as a whole is configured to do.

mod group;
mod server;
mod service;

pub use server::SERVER_ENTRY;
pub use service::{SERVICE_ENTRY, protocol, quorum_status, service_type};

use super::table::{Notification, Part, Scalar, Syntax};
use super::value::{inet, inet_type, one_or_two};
use crate::conf::model::{Lvs, SyncDaemon};
use crate::store::Snapshot;
use crate::wire::value::Value;

pub static CHECK: Part = Part {
    module: &crate::mib::KEEPALIVED_MIB,
    root: &[3],
    name: "check",
    capability: "The MIB module for Healthchecker",
    scalars: SCALARS,
    tables: &[&group::GROUP, &group::MEMBER, &service::SERVICE, &server::SERVER],
    notifications: &[SERVER_STATE_CHANGE, QUORUM_STATE_CHANGE],
};

pub const SERVER_STATE_CHANGE: Notification = Notification {
    id: &[3, 5, 0, 1],
    name: "realServerStateChange",
    objects: &[
        "realServerAddrType",
        "realServerAddress",
        "realServerPort",
        "realServerStatus",
        "virtualServerType",
        "virtualServerProtocol",
        "virtualServerRealServersUp",
        "virtualServerRealServersTotal",
        "routerId",
    ],
    help: "A real server joined or left its pool; at the daemon's stop each one alive leaves. Behind virtualServerType \
           come virtualServerNameOfGroup, virtualServerFwMark, or virtualServerAddrType, virtualServerAddress and \
           virtualServerPort. Its objects carry the row's numbers (Keepalived leaves them out).",
};

pub const QUORUM_STATE_CHANGE: Notification = Notification {
    id: &[3, 5, 0, 2],
    name: "virtualServerQuorumStateChange",
    objects: &[
        "virtualServerType",
        "virtualServerProtocol",
        "virtualServerQuorumStatus",
        "virtualServerQuorum",
        "virtualServerRealServersUp",
        "virtualServerRealServersTotal",
        "routerId",
    ],
    help: "A virtual server gained or lost its quorum; told once at start, and with shutdown(3) at the daemon's stop. \
           Behind virtualServerType comes what names the virtual server, as in realServerStateChange.",
};

fn lvs(snapshot: &Snapshot) -> Option<&Lvs> {
    Some(&snapshot.global()?.lvs)
}

fn daemon(snapshot: &Snapshot) -> Option<&SyncDaemon> {
    lvs(snapshot)?.sync_daemon.as_ref()
}

/// Seconds of `lvs_timeouts`, at most 31 days.
fn timeout(seconds: Option<u32>) -> Option<Value> {
    seconds.and_then(|seconds| i32::try_from(seconds).ok()).map(Value::Integer)
}

static SCALARS: &[Scalar] = &[
    Scalar {
        id: &[3, 6, 1],
        name: "lvsSyncDaemonEnabled",
        syntax: Syntax::ENABLED,
        help: "enabled(1) with `lvs_sync_daemon`.",
        get: |snapshot| Some(one_or_two(lvs(snapshot)?.sync_daemon.is_some())),
    },
    Scalar {
        id: &[3, 6, 2],
        name: "lvsSyncDaemonInterface",
        syntax: Syntax::DISPLAY_STRING,
        help: "Its interface; this and the following have no instance without `lvs_sync_daemon`.",
        get: |snapshot| Some(Value::text(&daemon(snapshot)?.interface)),
    },
    Scalar {
        id: &[3, 6, 3],
        name: "lvsSyncDaemonVrrpInstance",
        syntax: Syntax::DISPLAY_STRING,
        help: "The `vrrp_instance` that it follows; no instance when it follows none.",
        get: |snapshot| Some(Value::text(&daemon(snapshot)?.instance.as_ref()?.0)),
    },
    Scalar {
        id: &[3, 6, 4],
        name: "lvsSyncDaemonSyncId",
        syntax: Syntax::integer("Integer32(0..255)"),
        help: "The id in use: the instance's `virtual_router_id` when none is given (Keepalived shows -1 then).",
        get: |snapshot| Some(Value::Integer(daemon(snapshot)?.id.into())),
    },
    Scalar {
        id: &[3, 6, 5],
        name: "lvsSyncDaemonMaxLen",
        syntax: Syntax::integer("Integer32(0..65517)"),
        help: "`maxlen`; 0 when not given.",
        get: |snapshot| Some(Value::Integer(daemon(snapshot)?.max_length.unwrap_or(0).into())),
    },
    Scalar {
        id: &[3, 6, 6],
        name: "lvsSyncDaemonPort",
        syntax: Syntax::integer("Integer32(0..65535)"),
        help: "`port`; 0 when not given.",
        get: |snapshot| Some(Value::Integer(daemon(snapshot)?.port.unwrap_or(0).into())),
    },
    Scalar {
        id: &[3, 6, 7],
        name: "lvsSyncDaemonTTL",
        syntax: Syntax::integer("Integer32(0..255)"),
        help: "`ttl`; 0 when not given.",
        get: |snapshot| Some(Value::Integer(daemon(snapshot)?.ttl.unwrap_or(0).into())),
    },
    Scalar {
        id: &[3, 6, 8],
        name: "lvsSyncDaemonMcastGroupAddrType",
        syntax: Syntax::INET_ADDRESS_TYPE,
        help: "Family of `group`; no instance when not given.",
        get: |snapshot| daemon(snapshot)?.group.map(inet_type),
    },
    Scalar {
        id: &[3, 6, 9],
        name: "lvsSyncDaemonMcastGroupAddrValue",
        syntax: Syntax::INET_ADDRESS,
        help: "`group`; no instance when not given.",
        get: |snapshot| daemon(snapshot)?.group.map(inet),
    },
    Scalar {
        id: &[3, 7, 1],
        name: "lvsTimeoutTcp",
        syntax: Syntax::integer("Integer32(1..2678400)"),
        help: "`lvs_timeouts tcp` in seconds; no instance when not given, whatever the kernel uses.",
        get: |snapshot| timeout(lvs(snapshot)?.timeouts.0),
    },
    Scalar {
        id: &[3, 7, 2],
        name: "lvsTimeoutTcpFin",
        syntax: Syntax::integer("Integer32(1..2678400)"),
        help: "`lvs_timeouts tcpfin`, likewise.",
        get: |snapshot| timeout(lvs(snapshot)?.timeouts.1),
    },
    Scalar {
        id: &[3, 7, 3],
        name: "lvsTimeoutUdp",
        syntax: Syntax::integer("Integer32(1..2678400)"),
        help: "`lvs_timeouts udp`, likewise.",
        get: |snapshot| timeout(lvs(snapshot)?.timeouts.2),
    },
];

#[cfg(test)]
mod tests;
