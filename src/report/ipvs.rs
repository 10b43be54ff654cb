//! Virtual servers, real servers and their checkers.

use super::words::unix;
use super::{CheckerReport, CheckersReport, IpvsReport, ServiceReport, status};
use crate::bus::msg::Source;
use crate::bus::rows::{CheckerRow, ServerRow, ServiceRow};
use crate::control;
use crate::export::Look;

/// `/api/v1/ipvs`.
pub fn ipvs(look: &Look) -> IpvsReport {
    let checks = &look.snapshot.checks;
    IpvsReport {
        at: unix(look.at),
        silent: status::silent(look, Source::Checks),
        unavailable: checks.ipvs.unavailable.clone(),
        counted_at: unix(checks.ipvs.counted_wall),
        counted_every: control::statistics_us(&look.snapshot) as f64 / 1e6,
        services: checks.services.iter().map(|(_, row)| service(look, row)).collect(),
    }
}

fn service(look: &Look, row: &ServiceRow) -> ServiceReport {
    let servers = servers_of(look, row).map(|server| {
        let totals = look.server_totals(row, server);
        control::Server { connections: totals.stats.connections, ..control::server_view(row, server) }
    });
    ServiceReport {
        service: control::Service { connections: look.service_stats(row).connections, ..control::service_view(row) },
        quorum_since: unix(row.quorum_since),
        servers: servers.collect(),
    }
}

/// `/api/v1/checkers`.
pub fn checkers(look: &Look) -> CheckersReport {
    let services = look.snapshot.checks.services.iter().map(|(_, row)| row);
    let checkers = services.flat_map(|service| {
        servers_of(look, service).flat_map(move |server| {
            let key = control::key_of(service, server);
            server.checkers.iter().map(move |checker| CheckerReport {
                service: key.service.to_string(),
                server: key.to_string(),
                kind: checker.kind.clone(),
                target: checker.target.clone(),
                asks: checker.asks.clone(),
                wants: checker.wants.clone(),
                up: checker.up,
                has_run: checker.has_run,
                since: unix(checker.since),
                error: checker.error.clone(),
                passed: checker.passed,
                failed: checker.failed,
                took: checker.took_us as f64 / 1e6,
            })
        })
    });
    CheckersReport { at: unix(look.at), checkers: checkers.collect() }
}

/// Sorry server and real servers of a virtual server, in the order of the file.
pub(super) fn servers_of<'a>(look: &'a Look, service: &ServiceRow) -> impl Iterator<Item = &'a ServerRow> + use<'a> {
    let index = service.index;
    let rows = look.snapshot.checks.servers.from(&[index], true);
    rows.take_while(move |(at, _)| at.first() == Some(&index)).map(|(_, row)| row)
}

/// What a checker found last, with its name: `HTTP_GET of 10.0.0.1:80: HTTP status 503 instead of 200, asked for /health`.
pub(super) fn finding(checker: &CheckerRow) -> String {
    let name = format!("{} of {}", checker.kind, checker.target);
    match (checker.error.is_empty(), checker.up, checker.has_run) {
        (false, ..) => {
            let instead = match (checker.error.starts_with("HTTP status "), checker.wants.strip_prefix("status ")) {
                (true, Some(wanted)) => format!(" instead of {wanted}"),
                _ => String::new(),
            };
            let asked = match checker.asks.as_str() {
                "" => String::new(),
                asks => format!(", asked for {asks}"),
            };
            format!("{name}: {}{instead}{asked}", checker.error)
        }
        (true, true, true) => format!("{name} passes"),
        (true, true, false) => format!("{name} has not run yet and counts as passed"),
        (true, false, false) => format!("{name} has not run yet and counts as failed"),
        (true, false, true) => format!("{name} passes again, and must pass once more"),
    }
}
