//! Virtual servers and their real servers. Those that need a look come first and unfolded; those that are well are folded,
//! and the many that are well are one line each.

use super::html::{Html, Tone, age};
use super::{NAME, graph};
use crate::control::Server;
use crate::export::graph::GraphKind;
use crate::report::{ServiceReport, Status};

/// Virtual servers with a table of their real servers.
const FULL: usize = 100;
/// Virtual servers with a line.
const LINES: usize = 1000;
/// Real servers in one table.
const SERVERS: usize = 50;
/// Octets that all tables together may have.
const ROOM: usize = 512 * 1024;

pub fn section(h: &mut Html, status: &Status) {
    let ipvs = &status.ipvs;
    h.raw("<section id=virtual-servers aria-labelledby=vs-h><h2 id=vs-h>Virtual servers</h2>");
    if !ipvs.unavailable.is_empty() {
        h.raw("<p class=alarm>There is no IPVS table: ").clip(&ipvs.unavailable, 500).raw("</p>");
    }
    if ipvs.services.is_empty() {
        h.raw(
            "<p class=quiet>No virtual server is configured, or the checks process has not spoken yet.</p></section>",
        );
        return;
    }
    // Without a table, or before it was read, nothing was.
    if ipvs.counted_at > 0.0 {
        h.raw("<p class=quiet>Connections were counted ").text(&age(ipvs.counted_at, status.at)).raw(" ago.</p>");
    }
    let mut numbered: Vec<(usize, &ServiceReport)> = (1..).zip(&ipvs.services).collect();
    numbered.sort_by_key(|(_, service)| !needs_look(service));
    let loud = numbered.iter().filter(|(_, service)| needs_look(service)).count();
    let start = h.len();
    let mut full = 0;
    for (number, service) in &numbered {
        if full == FULL || h.len() - start > ROOM {
            break;
        }
        block(h, *number, service, full < loud, status);
        full += 1;
    }
    let rest = numbered.get(full..).unwrap_or_default();
    if !rest.is_empty() {
        short(h, rest, loud > full);
    }
    h.raw("</section>");
}

pub fn needs_look(service: &ServiceReport) -> bool {
    let it = &service.service;
    !it.suspended
        && (!it.quorum_met
            || !it.trouble.is_empty()
            || service.servers.iter().any(|server| !server.sorry && (!server.alive || server.overridden)))
}

fn state(service: &ServiceReport) -> (Tone, &'static str) {
    let it = &service.service;
    if it.suspended {
        (Tone::Calm, "suspended")
    } else if !it.quorum_met && it.sorry_active {
        (Tone::Bad, "sorry server serves")
    } else if !it.quorum_met {
        (Tone::Bad, "quorum lost")
    } else if !it.installed {
        (Tone::Bad, "not in the kernel")
    } else if it.servers_up < it.servers_total {
        (Tone::Warn, "up in part")
    } else {
        (Tone::Good, "up")
    }
}

fn title(h: &mut Html, service: &ServiceReport) {
    let it = &service.service;
    h.clip(&it.service, NAME);
    if let Some(name) = &it.name {
        h.raw(" <span class=quiet>").clip(name, NAME).raw("</span>");
    }
}

fn block(h: &mut Html, number: usize, service: &ServiceReport, open: bool, status: &Status) {
    let it = &service.service;
    h.raw("<details class=\"card fold\" id=vs-").show(number).raw(if open { " open" } else { "" });
    h.raw("><summary><strong>");
    title(h, service);
    let (tone, word) = state(service);
    h.raw("</strong> ").badge(tone, word).raw(" <span class=quiet>");
    h.show(it.servers_up).raw(" of ").show(it.servers_total).raw(" up; weight ").number(it.weight_up).raw(" of ");
    h.show(it.quorum).raw(" needed; ").clip(&it.scheduler, NAME).raw("; ").number(it.connections);
    h.raw(" connections</span></summary><p class=quiet>Quorum ").raw(if it.quorum_met { "met" } else { "lost" });
    h.raw(" since ").time(service.quorum_since, status.at).raw("</p>");
    for trouble in it.trouble.iter().take(16) {
        h.raw("<p class=alarm>The kernel's table differs: ").clip(trouble, 300).raw("</p>");
    }
    servers(h, service, status.at);
    if status.rrd.is_some() {
        graph(h, "g-vs-", number, GraphKind::Vs, &it.service, "Connections per second");
    }
    h.raw("</details>");
}

fn servers(h: &mut Html, service: &ServiceReport, now: f64) {
    h.raw("<table role=table class=wide><caption class=unseen>Servers of ").clip(&service.service.service, NAME);
    h.raw("</caption><thead role=rowgroup><tr role=row><th role=columnheader scope=col>Server");
    h.raw("<th role=columnheader scope=col>State<th role=columnheader scope=col>Weight");
    h.raw("<th role=columnheader scope=col class=n>Active<th role=columnheader scope=col class=n>Inactive");
    h.raw("<th role=columnheader scope=col class=n>Connections<th role=columnheader scope=col>Since");
    h.raw("<th role=columnheader scope=col>Last failure</thead><tbody role=rowgroup>");
    // Those that are down are never left out for want of room before others.
    let (down, up): (Vec<_>, Vec<_>) = service.servers.iter().partition(|server| !server.sorry && !server.alive);
    for server in down.iter().chain(&up).take(SERVERS) {
        row(h, server, now);
    }
    h.raw("</tbody></table>");
    if service.servers.len() > SERVERS {
        h.raw("<p class=quiet>").number((service.servers.len() - SERVERS) as u64);
        h.raw(" more are in <a href=\"/api/v1/ipvs\">/api/v1/ipvs</a>.</p>");
    }
}

fn row(h: &mut Html, server: &Server, now: f64) {
    h.raw("<tr role=row><td role=cell data-label=Server>").clip(&server.server, NAME);
    if let Some(name) = &server.name {
        h.raw(" <span class=quiet>").clip(name, NAME).raw("</span>");
    }
    h.raw("<td role=cell data-label=State>");
    match (server.sorry, server.alive) {
        (true, true) => h.badge(Tone::Warn, "sorry, serves"),
        (true, false) => h.badge(Tone::Calm, "sorry, stands by"),
        (false, false) => h.badge(Tone::Bad, "down"),
        (false, true) if server.overridden && server.weight == 0 => h.badge(Tone::Note, "drained"),
        (false, true) => h.badge(Tone::Good, "up"),
    };
    h.raw("<td role=cell data-label=Weight>").number(server.weight.into());
    match server.configured_weight {
        Some(configured) if server.overridden => {
            h.raw(" <span class=\"quiet age\">by an operator,</span> <span class=\"quiet age\">configured ")
                .number(configured.into())
                .raw("</span>");
        }
        Some(configured) if configured != server.weight => {
            h.raw(" <span class=\"quiet age\">configured ").number(configured.into()).raw("</span>");
        }
        _ => {}
    }
    h.raw("<td role=cell class=n data-label=Active>").number(server.active_connections.into());
    h.raw("<td role=cell class=n data-label=Inactive>").number(server.inactive_connections.into());
    h.raw("<td role=cell class=n data-label=Connections>").number(server.connections);
    h.raw("<td role=cell data-label=Since>").time(server.since as f64, now);
    h.raw("<td role=cell data-label=\"Last failure\">");
    let failed: Vec<_> = server.checkers.iter().filter(|checker| !checker.error.is_empty() || !checker.up).collect();
    if failed.is_empty() {
        h.raw("<span class=quiet>").raw(if server.checkers.is_empty() { "no checker" } else { "none" }).raw("</span>");
    }
    for (at, checker) in failed.iter().take(4).enumerate() {
        h.raw(if at > 0 { "; " } else { "" }).text(&checker.kind).raw(" ").clip(&checker.target, NAME).raw(": ");
        match checker.error.is_empty() {
            true => h.raw("<span class=quiet>not passed yet</span>"),
            false => h.clip(&checker.error, 200),
        };
    }
}

/// One line each.
fn short(h: &mut Html, services: &[(usize, &ServiceReport)], open: bool) {
    h.raw("<details class=\"card fold\" id=vs-more").raw(if open { " open" } else { "" }).raw("><summary>");
    h.number(services.len() as u64).raw(" more virtual servers</summary><table role=table class=wide>");
    h.raw("<caption class=unseen>More virtual servers</caption><thead role=rowgroup><tr role=row>");
    h.raw("<th role=columnheader scope=col>Virtual server<th role=columnheader scope=col>State");
    h.raw("<th role=columnheader scope=col>Real servers<th role=columnheader scope=col class=n>Connections");
    h.raw("</thead><tbody role=rowgroup>");
    for (_, service) in services.iter().take(LINES) {
        let it = &service.service;
        h.raw("<tr role=row><td role=cell data-label=\"Virtual server\">");
        title(h, service);
        let (tone, word) = state(service);
        h.raw("<td role=cell data-label=State>").badge(tone, word);
        h.raw("<td role=cell data-label=\"Real servers\">").show(it.servers_up).raw(" of ").show(it.servers_total);
        h.raw(" up<td role=cell class=n data-label=Connections>").number(it.connections);
    }
    h.raw("</tbody></table><p class=quiet>Their real servers are in <a href=\"/api/v1/ipvs\">/api/v1/ipvs</a>");
    if services.len() > LINES {
        h.raw(", and so are ").number((services.len() - LINES) as u64).raw(" more virtual servers");
    }
    h.raw(".</p></details>");
}
