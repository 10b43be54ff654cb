//! What an operator ought to look at, the worst first.

use std::time::Duration;

use super::words::{self, unix_some};
use super::{Severity, Trouble, events, ipvs, reason, status, vrrp};
use crate::bus::bfd::BfdState;
use crate::bus::msg::Edge;
use crate::bus::rows::{InstanceRow, ServerConfig, ServerRow, ServiceRow, State};
use crate::clock::WallTime;
use crate::control;
use crate::control::snmp::SessionState;
use crate::export::Look;
use crate::export::look::ProcessReport;
use crate::wire::bfd::Diagnostic;

/// Refused packets are a trouble for this long.
const PACKETS: Duration = Duration::from_secs(300);

/// Lines about real servers of one virtual server; a pool of hundreds that is gone altogether is one trouble.
const SERVERS_MAX: usize = 16;

pub(super) fn of(look: &Look) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for (_, row) in look.snapshot.vrrp.instances.iter() {
        instance(look, row, &mut troubles);
    }
    packets(look, &mut troubles);
    statics(look, &mut troubles);
    sessions(look, &mut troubles);
    let unavailable = &look.snapshot.checks.ipvs.unavailable;
    if !unavailable.is_empty() {
        troubles.push(trouble(Severity::Critical, "ipvs", format!("there is no IPVS table: {unavailable}"), None));
    }
    for (_, row) in look.snapshot.checks.services.iter() {
        service(look, row, &mut troubles);
    }
    daemon(look, &mut troubles);
    snmp(look, &mut troubles);
    rrd(look, &mut troubles);
    // Of equal ones the latest first; those without a time stay last. The order is otherwise that of the file.
    troubles.sort_by(|a, b| {
        let since = |trouble: &Trouble| trouble.since.unwrap_or(0.0);
        b.severity.cmp(&a.severity).then(since(b).total_cmp(&since(a)))
    });
    troubles
}

fn trouble(
    severity: Severity,
    subject: impl Into<String>,
    text: impl Into<String>,
    since: Option<WallTime>,
) -> Trouble {
    Trouble { severity, subject: subject.into(), text: text.into(), since: since.and_then(unix_some) }
}

fn instance(look: &Look, row: &InstanceRow, troubles: &mut Vec<Trouble>) {
    let subject = || format!("vrrp {}", row.config.name);
    let mut add = |severity, text, since| troubles.push(trouble(severity, subject(), text, Some(since)));
    if let Some(other) = vrrp::other_master(look, row) {
        let (address, priority) = (other.address, other.priority);
        let text = format!(
            "two masters: {address} advertises priority {priority} while this router is master with {}",
            row.effective_priority
        );
        add(Severity::Critical, text, other.at);
    }
    let missing: Vec<_> = vrrp::missing(look, row).into_iter().map(|it| it.address).collect();
    // While it takes over, addresses are on their way.
    if !missing.is_empty() && words::between(row.since, look.at) > Duration::from_secs(1) {
        let text = format!("it is master without {} on the interface", some(&missing));
        add(Severity::Critical, text, row.since);
    }
    let is_master = row.state == State::Master;
    let lines =
        vrrp::missing_lines(&vrrp::routes(look, row.index, is_master), &vrrp::rules(look, row.index, is_master));
    if !lines.is_empty() && words::between(row.since, look.at) > Duration::from_secs(1) {
        add(Severity::Critical, format!("it is master without {}", some(&lines)), row.since);
    }
    if row.state == State::Fault {
        add(Severity::Warning, format!("in fault: {}", reason::of(look, row)), row.since);
    }
    if let Some(since) = row.stood_down {
        let text = match row.state {
            State::Master => "stood down by an operator, and master all the same: no other router took over",
            _ => "stood down by an operator: other routers go first",
        };
        add(Severity::Info, text.to_owned(), since);
    }
}

/// The first of them, and how many more there are.
fn some(those: &[String]) -> String {
    let (first, more) = those.split_at(those.len().min(4));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{more}", first.join(", "))
}

/// Static routes and rules that the kernel does not have. Addresses come back by themselves with their interface.
fn statics(look: &Look, troubles: &mut Vec<Trouble>) {
    let lines = vrrp::missing_lines(&vrrp::routes(look, 0, true), &vrrp::rules(look, 0, true));
    if !lines.is_empty() {
        let text = format!("not in the kernel: {}", some(&lines));
        troubles.push(trouble(Severity::Warning, "static routes and rules", text, None));
    }
}

/// Sessions that are not up and that somebody relies on.
fn sessions(look: &Look, troubles: &mut Vec<Trouble>) {
    for (_, row) in look.snapshot.vrrp.sessions.iter() {
        // At first each is down: the neighbour is asked once a second.
        let young = words::between(row.since, look.at) < Duration::from_secs(3);
        if row.state == BfdState::Up || young {
            continue;
        }
        let why = match row.diagnostic {
            0 => String::new(),
            code => format!(": {}", Diagnostic::from(code)),
        };
        let text = format!("{} to {}{why}", words::session_state(row.state), row.config.neighbour);
        troubles.push(trouble(Severity::Warning, format!("bfd {}", row.config.name), text, Some(row.since)));
    }
}

/// Adverts that were refused lately, one line for each instance.
fn packets(look: &Look, troubles: &mut Vec<Trouble>) {
    let recent = look.events.iter().rev().map(|(_, edge)| &**edge);
    let recent = recent.take_while(|edge| words::between(events::at(edge), look.at) <= PACKETS);
    let mut told = Vec::new();
    for edge in recent {
        let Edge::BadPacket { instance, source, fault, at, .. } = edge else { continue };
        if told.contains(&instance) {
            continue;
        }
        told.push(instance);
        let text = format!("adverts of {source} are refused: {}", words::packet_fault(*fault));
        troubles.push(trouble(Severity::Warning, format!("vrrp {instance}"), text, Some(*at)));
    }
}

fn service(look: &Look, row: &ServiceRow, troubles: &mut Vec<Trouble>) {
    let subject = format!("virtual server {}", row.key());
    if !row.quorum_met && !row.suspended {
        let serves = match (&row.config.sorry, row.sorry_active) {
            (Some(sorry), true) => {
                format!("sorry server {} serves", words::endpoint(sorry.address, sorry.port))
            }
            _ => "nothing serves instead".to_owned(),
        };
        let text = format!(
            "quorum lost: weight {} of {} needed, {} of {} real servers up; {serves}",
            row.weight_up, row.config.quorum, row.servers_up, row.servers_total
        );
        troubles.push(trouble(Severity::Critical, &subject, text, Some(row.quorum_since)));
    }
    for line in &row.trouble {
        troubles.push(trouble(Severity::Warning, &subject, format!("the kernel's table differs: {line}"), None));
    }
    let mut down = 0;
    for server in ipvs::servers_of(look, row) {
        let ServerConfig::Real(_) = server.config else { continue };
        if !server.alive && !row.suspended {
            down += 1;
            if down <= SERVERS_MAX {
                let name = events::real_server(&control::key_of(row, server));
                troubles.push(trouble(Severity::Warning, name, down_because(server), Some(server.since)));
            }
        }
        if server.alive && server.overridden {
            let name = events::real_server(&control::key_of(row, server));
            let text = match server.weight {
                0 => "drained by an operator".to_owned(),
                weight => format!("weight {weight} by an operator instead of the configured one"),
            };
            troubles.push(trouble(Severity::Info, name, text, None));
        }
    }
    if down > SERVERS_MAX {
        let text = format!("{} more real servers are down", down - SERVERS_MAX);
        troubles.push(trouble(Severity::Warning, &subject, text, None));
    }
}

/// `down: HTTP_GET of 10.0.0.1:80: HTTP status 503 instead of 200, asked for /health`.
fn down_because(server: &ServerRow) -> String {
    let failed: Vec<_> = server.checkers.iter().filter(|checker| !checker.up).map(ipvs::finding).collect();
    match failed.is_empty() {
        true => "down".to_owned(),
        false => format!("down: {}", failed.join("; ")),
    }
}

fn daemon(look: &Look, troubles: &mut Vec<Trouble>) {
    let daemon = &look.daemon;
    let missing = daemon.wanted.iter().filter(|name| !daemon.processes.iter().any(|it| it.name == **name));
    let missing = missing.map(|name| ProcessReport { name: name.clone(), ..ProcessReport::default() });
    for process in daemon.processes.iter().cloned().chain(missing) {
        if let Some(why) = status::stuck(look, &process) {
            let severity = match process.name.as_str() {
                "rrd" => Severity::Warning,
                _ => Severity::Critical,
            };
            troubles.push(trouble(severity, format!("process {}", process.name), why, None));
        }
    }
    let reload = &daemon.reloads;
    if !reload.successful && reload.tried_at.0 > 0 {
        let first = reload.errors.lines().next().unwrap_or("no reason was given");
        let text = format!("the configuration file was refused, the one before is in force: {first}");
        troubles.push(trouble(Severity::Warning, "configuration", text, Some(reload.tried_at)));
    }
}

fn snmp(look: &Look, troubles: &mut Vec<Trouble>) {
    let agentx = &look.snmp.agentx;
    let since = agentx.since.map(|since| WallTime(since.saturating_mul(1_000_000_000)));
    match agentx.state {
        SessionState::Off | SessionState::Up => {}
        SessionState::Waiting | SessionState::Connecting | SessionState::Opening | SessionState::Registering => {
            let why = agentx.last_error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            let text = format!("no session with the master agent at {}{why}", agentx.address);
            troubles.push(trouble(Severity::Info, "agentx", text, since));
        }
    }
    for refused in &agentx.refused {
        let text = format!("the master agent refuses {}: {}", refused.oid, refused.reason);
        troubles.push(trouble(Severity::Warning, "agentx", text, since));
    }
    for receiver in &look.snmp.receivers {
        if let Some(away) = receiver.away_since {
            let text = format!("it acknowledges no informs; {} wait", receiver.queue.length);
            let since = Some(WallTime(away.saturating_mul(1_000_000_000)));
            troubles.push(trouble(Severity::Warning, format!("receiver {}", receiver.address), text, since));
        }
    }
    for socket in look.snmp.responder.iter().flat_map(|responder| &responder.sockets).filter(|socket| !socket.open) {
        let why = socket.error.as_deref().unwrap_or("it is not open");
        let text = format!("SNMP is not answered on {}: {why}", socket.address);
        troubles.push(trouble(Severity::Warning, "snmp responder", text, None));
    }
}

fn rrd(look: &Look, troubles: &mut Vec<Trouble>) {
    let Some(rrd) = &look.rrd else { return };
    if let (true, Some(error)) = (rrd.connected, &rrd.last_error) {
        troubles.push(trouble(Severity::Warning, "rrd", error.clone(), None));
    }
}
