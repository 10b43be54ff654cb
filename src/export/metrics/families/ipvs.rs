//! Virtual servers, real servers and the kernel's table as a whole.

use super::super::family::{Family, Samples, counter, gauge, info};
use super::super::view::{Server, Service, View, seconds};
use crate::bus::rows::IpvsRow;
use crate::check::table::{Stats, SyncRole};
use crate::conf::model::{Forwarding, ServiceKind};

const SERVICE: &[&str] = &["virtual_server", "protocol"];
const SERVICE_DIRECTION: &[&str] = &["virtual_server", "protocol", "direction"];
pub const SERVER: &[&str] = &["virtual_server", "protocol", "real_server"];
const SERVER_DIRECTION: &[&str] = &["virtual_server", "protocol", "real_server", "direction"];

fn of_services(view: &View<'_>, out: &mut Samples, value: fn(&Service<'_>) -> f64) {
    for service in &view.services {
        out.put(&service.labels(), value(service));
    }
}

pub(super) fn of_servers(view: &View<'_>, out: &mut Samples, value: fn(&Server<'_>) -> f64) {
    for (service, server) in view.servers() {
        out.put(&server.labels(service), value(server));
    }
}

/// Counters in both directions.
type Both = fn(&Stats) -> (u64, u64);

fn both_of_services(view: &View<'_>, out: &mut Samples, value: Both) {
    for service in &view.services {
        let (received, sent) = value(&service.stats);
        out.count(&service.and("in"), received);
        out.count(&service.and("out"), sent);
    }
}

fn both_of_servers(view: &View<'_>, out: &mut Samples, value: Both) {
    for (service, server) in view.servers() {
        let (received, sent) = value(&server.totals.stats);
        out.count(&server.and(service, "in"), received);
        out.count(&server.and(service, "out"), sent);
    }
}

fn flag(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

pub static SERVICES: &[Family] = &[
    info(
        "keepwatch_ipvs_virtual_server_info",
        "Always 1; what else is configured, to join on. Persistence in seconds.",
    )
    .labels(&["virtual_server", "protocol", "group", "scheduler", "forwarding", "virtualhost", "persistence"])
    .from(|view, out| {
        for service in &view.services {
            let config = &service.row.config;
            let [name, protocol] = service.labels();
            let group = if let ServiceKind::Group(group) = &config.key.kind { group } else { "" };
            let forwarding = match config.forwarding {
                None | Some(Forwarding::Nat) => "nat",
                Some(Forwarding::Direct) => "dr",
                Some(Forwarding::Tunnel(_)) => "tun",
            };
            let virtual_host = config.virtual_host.as_deref().unwrap_or_default();
            let persistence = config.persistence.map(|it| it.timeout_s.to_string()).unwrap_or_default();
            let values = [name, protocol, group, &config.scheduler, forwarding, virtual_host, &persistence];
            out.put(&values, 1.0);
        }
    }),
    gauge("keepwatch_ipvs_virtual_server_quorum_met", "1 while the quorum is met.")
        .labels(SERVICE)
        .from(|view, out| of_services(view, out, |service| flag(service.row.quorum_met))),
    gauge("keepwatch_ipvs_virtual_server_quorum_weight", "Weight that the quorum needs.")
        .labels(SERVICE)
        .from(|view, out| of_services(view, out, |service| service.row.config.quorum.into())),
    gauge("keepwatch_ipvs_virtual_server_alive_weight", "Weights of the real servers that are up, together.")
        .labels(SERVICE)
        .from(|view, out| of_services(view, out, |service| service.row.weight_up as f64)),
    gauge("keepwatch_ipvs_virtual_server_real_servers", "Real servers: configured, up, draining.")
        .labels(&["virtual_server", "protocol", "status"])
        .from(|view, out| {
            for service in &view.services {
                let draining = service.servers.iter().filter(|server| server.draining()).count();
                out.put(&service.and("configured"), service.row.servers_total.into());
                out.put(&service.and("up"), service.row.servers_up.into());
                out.put(&service.and("draining"), draining as f64);
            }
        }),
    gauge("keepwatch_ipvs_virtual_server_sorry_active", "1 while the sorry server serves.")
        .labels(SERVICE)
        .from(|view, out| of_services(view, out, |service| flag(service.row.sorry_active))),
    gauge("keepwatch_ipvs_virtual_server_suspended", "1 while ha_suspend keeps its checkers at rest.")
        .labels(SERVICE)
        .from(|view, out| of_services(view, out, |service| flag(service.row.suspended))),
    counter("keepwatch_ipvs_virtual_server_connections_total", "Connections scheduled.")
        .labels(SERVICE)
        .from(|view, out| of_services(view, out, |service| service.stats.connections as f64)),
    counter("keepwatch_ipvs_virtual_server_packets_total", "Packets from clients (in) and to them (out).")
        .labels(SERVICE_DIRECTION)
        .from(|view, out| both_of_services(view, out, |stats| (stats.packets_in, stats.packets_out))),
    counter("keepwatch_ipvs_virtual_server_bytes_total", "Bytes from clients (in) and to them (out).")
        .labels(SERVICE_DIRECTION)
        .bytes()
        .from(|view, out| both_of_services(view, out, |stats| (stats.bytes_in, stats.bytes_out))),
];

pub static SERVERS: &[Family] = &[
    gauge("keepwatch_ipvs_real_server_up", "1 while every checker that counts is content.")
        .labels(SERVER)
        .from(|view, out| of_servers(view, out, |server| flag(server.row.alive))),
    gauge("keepwatch_ipvs_real_server_weight", "Weight in the kernel now; 0 while it is not in its table.")
        .labels(SERVER)
        .from(|view, out| of_servers(view, out, |server| server.kernel_weight().into())),
    gauge("keepwatch_ipvs_real_server_weight_overridden", "1 while an operator's weight replaces the configured one.")
        .labels(SERVER)
        .from(|view, out| of_servers(view, out, |server| flag(server.row.overridden))),
    gauge("keepwatch_ipvs_real_server_draining", "1 while an operator drains it.")
        .labels(SERVER)
        .from(|view, out| of_servers(view, out, |server| flag(server.draining()))),
    gauge("keepwatch_ipvs_real_server_active_connections", "Active connections.")
        .labels(SERVER)
        .from(|view, out| of_servers(view, out, |server| server.row.load.active.into())),
    gauge("keepwatch_ipvs_real_server_inactive_connections", "Inactive connections.")
        .labels(SERVER)
        .from(|view, out| of_servers(view, out, |server| server.row.load.inactive.into())),
    gauge("keepwatch_ipvs_real_server_persistent_connections", "Clients that persistence sends to it.")
        .labels(SERVER)
        .from(|view, out| of_servers(view, out, |server| server.row.load.persistent.into())),
    counter("keepwatch_ipvs_real_server_connections_total", "Connections scheduled to it.")
        .labels(SERVER)
        .from(|view, out| of_servers(view, out, |server| server.totals.stats.connections as f64)),
    counter("keepwatch_ipvs_real_server_packets_total", "Packets from clients (in) and to them (out).")
        .labels(SERVER_DIRECTION)
        .from(|view, out| both_of_servers(view, out, |stats| (stats.packets_in, stats.packets_out))),
    counter("keepwatch_ipvs_real_server_bytes_total", "Bytes from clients (in) and to them (out).")
        .labels(SERVER_DIRECTION)
        .bytes()
        .from(|view, out| both_of_servers(view, out, |stats| (stats.bytes_in, stats.bytes_out))),
    counter("keepwatch_ipvs_real_server_transitions_total", "Changes of its state: up, down.")
        .labels(&["virtual_server", "protocol", "real_server", "to"])
        .from(|view, out| {
            for (service, server) in view.servers() {
                out.count(&server.and(service, "up"), server.totals.went_up);
                out.count(&server.and(service, "down"), server.totals.went_down);
            }
        }),
    gauge("keepwatch_ipvs_real_server_last_transition_timestamp_seconds", "When it changed last.")
        .labels(SERVER)
        .seconds()
        .from(|view, out| of_servers(view, out, |server| seconds(server.row.since))),
];

/// What the checks process knows of the kernel's table, if there is one.
fn table<'a>(view: &View<'a>) -> Option<&'a IpvsRow> {
    let rows = &view.look.snapshot.checks;
    (view.wanted("checks") || !rows.services.is_empty()).then_some(&*rows.ipvs)
}

fn totals(view: &View<'_>, put: impl FnOnce(Stats)) {
    if let Some(totals) = table(view).and_then(|table| table.totals) {
        put(totals);
    }
}

pub static WHOLE: &[Family] = &[
    counter("keepwatch_ipvs_connections_total", "Connections since the kernel loaded its module, all services together.")
        .from(|view, out| totals(view, |stats| out.count(&[], stats.connections))),
    counter("keepwatch_ipvs_packets_total", "Packets since then, from clients (in) and to them (out).")
        .labels(&["direction"])
        .from(|view, out| {
            totals(view, |stats| {
                out.count(&["in"], stats.packets_in);
                out.count(&["out"], stats.packets_out);
            });
        }),
    counter("keepwatch_ipvs_bytes_total", "Bytes since then, from clients (in) and to them (out).")
        .labels(&["direction"])
        .bytes()
        .from(|view, out| {
            totals(view, |stats| {
                out.count(&["in"], stats.bytes_in);
                out.count(&["out"], stats.bytes_out);
            });
        }),
    gauge("keepwatch_ipvs_sync_daemon_up", "1 while that thread of connection synchronisation runs: master or backup.")
        .labels(&["role", "interface", "syncid"])
        .from(|view, out| {
            let running = table(view).map(|table| &*table.daemons).unwrap_or_default();
            for daemon in running {
                let role = role_name(daemon.role);
                out.put_first(&[role, &daemon.interface, &daemon.id.to_string()], 1.0);
            }
            // What is configured and does not run is shown, too.
            let wanted = view.look.snapshot.global().and_then(|global| global.lvs.sync_daemon.as_ref());
            if let Some(wanted) = wanted.filter(|_| table(view).is_some()) {
                for role in [SyncRole::Master, SyncRole::Backup] {
                    out.put_first(&[role_name(role), &wanted.interface, &wanted.id.to_string()], 0.0);
                }
            }
        }),
    gauge("keepwatch_ipvs_poll_duration_seconds", "How long the last reading of the kernel's counters took.")
        .seconds()
        .from(|view, out| {
            if let Some(table) = table(view) {
                out.put(&[], table.poll_us as f64 / 1e6);
            }
        }),
    counter("keepwatch_ipvs_poll_errors_total", "Readings of the kernel's counters that failed.").from(|view, out| {
        if table(view).is_some() {
            out.count(&[], view.look.ipvs_counters().poll_errors);
        }
    }),
    gauge(
        "keepwatch_ipvs_drift",
        "How the kernel's table differed from the wanted one at the last audit: missing, unexpected, weight (or other settings).",
    )
    .labels(&["kind"])
    .from(|view, out| {
        if let Some(table) = table(view) {
            out.put(&["missing"], table.drift_missing.into());
            out.put(&["unexpected"], table.drift_unexpected.into());
            out.put(&["weight"], table.drift_different.into());
        }
    }),
];

fn role_name(role: SyncRole) -> &'static str {
    match role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    }
}
