//! `keepwatch ipvs`: virtual servers and their real servers.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::client::Connection;
use super::outcome::{finish, print, print_json, status};
use super::text::{Cell, Page, Table, Tone};
use super::watch::Watch;
use crate::control::{Server, Service};
use crate::report::{IpvsReport, ServiceReport};

#[derive(Debug, Args)]
pub struct Show {
    /// Virtual server: ADDRESS:PORT, group name, fwmark:N, or its snmp_name
    service: Option<String>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    watch: Watch,
}

impl Show {
    pub fn run(self) -> ExitCode {
        let result = self.watch.repeat(|| {
            let ipvs = self.connection.ipvs(self.service.as_deref())?;
            if self.connection.json {
                print_json(&ipvs);
            } else {
                print(&shown(&ipvs, &Page::stdout()));
            }
            Ok(if is_well(&ipvs) { status::GOOD } else { status::TROUBLE })
        });
        finish(result, self.connection.json, self.service.as_deref())
    }
}

/// Every quorum is met, every real server is up, and the kernel has what it should.
fn is_well(ipvs: &IpvsReport) -> bool {
    ipvs.silent.is_none()
        && ipvs.unavailable.is_empty()
        && ipvs.services.iter().all(|report| {
            let service = &report.service;
            // One whose address is elsewhere is not checked here.
            service.suspended
                || service.quorum_met
                    && service.trouble.is_empty()
                    && report.servers.iter().all(|server| server.sorry || server.alive)
        })
}

fn shown(ipvs: &IpvsReport, page: &Page) -> String {
    let mut out = page.warned(ipvs.silent.as_deref());
    if !ipvs.unavailable.is_empty() {
        out += &page.paint(&ipvs.unavailable, Tone::Bad);
        out += "\n\n";
    }
    if ipvs.services.is_empty() {
        return out + "no virtual servers\n";
    }
    let blocks: Vec<String> = ipvs.services.iter().map(|report| block(report, page)).collect();
    out + &blocks.join("\n")
}

fn block(report: &ServiceReport, page: &Page) -> String {
    let service = &report.service;
    let (quorum, tone) = quorum(service);
    let mut out = title(service);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "  {}, {}, {} of {} up, {} connections",
        service.scheduler,
        page.paint(&format!("{quorum} for {}", page.age(report.quorum_since)), tone),
        service.servers_up,
        service.servers_total,
        service.connections,
    );
    for trouble in &service.trouble {
        let _ = writeln!(out, "  {}", page.paint(trouble, Tone::Bad));
    }
    let names = ["server", "state", ">for", ">weight", ">active", ">inactive", ">connections", "why"];
    let mut table = Table::new(page, "  ", &names);
    for server in &report.servers {
        let (state, tone) = state(server, service);
        let weight = match server.configured_weight {
            Some(configured) if server.overridden => format!("{} ({configured})", server.weight),
            _ => server.weight.to_string(),
        };
        let why = server.checkers.iter().find(|checker| !checker.up && !checker.error.is_empty());
        let why = why.map(|checker| format!("{}: {}", checker.kind, checker.error)).unwrap_or_default();
        let name = match &server.name {
            Some(name) => format!("{name} ({})", server.server),
            None => server.server.clone(),
        };
        table.row([
            name.into(),
            Cell::new(state, tone),
            page.age(server.since as f64).into(),
            weight.into(),
            u64::from(server.active_connections).into(),
            u64::from(server.inactive_connections).into(),
            server.connections.into(),
            why.into(),
        ]);
    }
    out + &table.text()
}

fn title(service: &Service) -> String {
    match &service.name {
        Some(name) => format!("{} ({name})\n", service.service),
        None => format!("{}\n", service.service),
    }
}

fn quorum(service: &Service) -> (String, Tone) {
    match (service.suspended, service.quorum_met, service.sorry_active) {
        (true, ..) => ("suspended, its address is elsewhere".to_owned(), Tone::Calm),
        (_, true, _) => ("quorum met".to_owned(), Tone::Good),
        (_, false, true) => {
            (format!("QUORUM LOST ({} of {}), sorry server", service.weight_up, service.quorum), Tone::Bad)
        }
        (_, false, false) => (format!("QUORUM LOST ({} of {})", service.weight_up, service.quorum), Tone::Bad),
    }
}

fn state(server: &Server, service: &Service) -> (&'static str, Tone) {
    match server {
        Server { sorry: true, alive: true, .. } => ("sorry, serves", Tone::Odd),
        Server { sorry: true, .. } => ("sorry", Tone::Calm),
        Server { alive: false, .. } => ("DOWN", Tone::Bad),
        Server { weight: 0, active_connections: 0, .. } => ("drained", Tone::Odd),
        Server { weight: 0, .. } => ("draining", Tone::Odd),
        Server { installed: false, .. } if !service.suspended => ("up, not in kernel", Tone::Odd),
        _ => ("up", Tone::Good),
    }
}

/// One line for each virtual server.
pub(super) fn summary(services: &[ServiceReport], page: &Page, indent: &'static str) -> String {
    let mut table = Table::new(page, indent, &["virtual server", "state", ">for", ">up", ">weight", ">connections"]);
    for report in services {
        let service = &report.service;
        let (quorum, tone) = quorum(service);
        let name = match &service.name {
            Some(name) => format!("{name} ({})", service.service),
            None => service.service.clone(),
        };
        table.row([
            name.into(),
            Cell::new(quorum, tone),
            page.age(report.quorum_since).into(),
            format!("{}/{}", service.servers_up, service.servers_total).into(),
            service.weight_up.into(),
            service.connections.into(),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;

    #[test]
    fn each_virtual_server_stands_above_its_real_servers() {
        let page = Page::plain(fixture::NOW);
        fixture::golden("ipvs", &shown(&fixture::ipvs(), &page));
        let none = IpvsReport { unavailable: "this kernel has no ip_vs".to_owned(), ..IpvsReport::default() };
        assert_eq!(shown(&none, &page), "this kernel has no ip_vs\n\nno virtual servers\n");
        let silent = IpvsReport { silent: Some("checks does not run".to_owned()), ..IpvsReport::default() };
        let expected = "checks does not run: what follows is what it said last\n\nno virtual servers\n";
        assert_eq!((shown(&silent, &page).as_str(), is_well(&silent)), (expected, false));
    }

    #[test]
    fn a_server_that_is_down_is_not_well_unless_its_address_is_elsewhere() {
        let mut ipvs = fixture::ipvs();
        assert!(!is_well(&ipvs));
        ipvs.services.iter_mut().for_each(|report| report.service.suspended = true);
        assert!(is_well(&ipvs));
        ipvs.unavailable = "gone".to_owned();
        assert!(!is_well(&ipvs));
    }
}
