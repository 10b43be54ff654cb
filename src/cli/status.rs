//! `keepwatch status`: the daemon at a glance, and what ought to be looked at.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::client::Connection;
use super::outcome::{finish, print, print_json, status};
use super::text::{Cell, Page, Table, Tone, count};
use super::watch::Watch;
use super::{bfd, ipvs, vrrp};
use crate::control::snmp::SessionState;
use crate::report::{ProcessStatus, Severity, Status};

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    watch: Watch,
}

impl Show {
    pub fn run(self) -> ExitCode {
        let result = self.watch.repeat(|| {
            let status = self.connection.status()?;
            if self.connection.json {
                print_json(&status);
            } else {
                print(&shown(&status, &Page::stdout()));
            }
            Ok(if is_well(&status) { status::GOOD } else { status::TROUBLE })
        });
        finish(result, self.connection.json, None)
    }
}

fn is_well(status: &Status) -> bool {
    status.troubles.iter().all(|trouble| trouble.severity == Severity::Info)
}

fn shown(status: &Status, page: &Page) -> String {
    let mut out = String::new();
    let daemon = &status.daemon;
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "keepwatch {} on {}, pid {}, for {}",
        status.version,
        status.host,
        daemon.pid,
        page.age(daemon.started)
    );
    let mut line = |name: &str, text: &str, tone: Tone| {
        let _ = writeln!(out, "  {name:<14} {}", page.paint(text, tone));
    };
    let (text, tone) = configuration(status, page);
    line("configuration", &text, tone);
    let (text, tone) = processes(&daemon.processes);
    line("processes", &text, tone);
    line("SNMP", snmp(status), Tone::Plain);
    if let Some(rrd) = &status.rrd {
        let dropped = if rrd.dropped > 0 { format!(", {} updates dropped", rrd.dropped) } else { String::new() };
        line(
            "RRD",
            &format!("{} in {}{dropped}", count(rrd.files as usize, "file"), rrd.directory.display()),
            Tone::Plain,
        );
    }
    if !status.troubles.is_empty() {
        out += "\nTroubles\n";
        let mut table = Table::new(page, "  ", &["", "what", "", ">since"]);
        for trouble in &status.troubles {
            let (word, tone) = match trouble.severity {
                Severity::Critical => ("critical", Tone::Bad),
                Severity::Warning => ("warning", Tone::Odd),
                Severity::Info => ("note", Tone::Plain),
            };
            let since = trouble.since.map(|since| page.age(since)).unwrap_or_default();
            table.row([Cell::new(word, tone), (&*trouble.subject).into(), (&*trouble.text).into(), since.into()]);
        }
        out += &table.text();
    }
    if !status.vrrp.is_empty() {
        out += "\nVRRP\n";
        out += &vrrp::table(&status.vrrp, page, "  ");
    }
    if !status.sync_groups.is_empty() {
        out += &vrrp::groups(&status.sync_groups, page, "  ");
    }
    if !status.bfd.is_empty() {
        out += "\nBFD\n";
        out += &bfd::table(&status.bfd, page, "  ");
    }
    if !status.ipvs.unavailable.is_empty() {
        let _ = writeln!(out, "\nIPVS\n  {}", page.paint(&status.ipvs.unavailable, Tone::Bad));
    } else if !status.ipvs.services.is_empty() {
        out += "\nIPVS\n";
        out += &ipvs::summary(&status.ipvs.services, page, "  ");
    }
    out
}

fn configuration(status: &Status, page: &Page) -> (String, Tone) {
    let reload = &status.daemon.reload;
    let at = |wall: crate::clock::WallTime| page.age(wall.0 as f64 / 1e9);
    let warnings = match reload.warnings {
        0 => String::new(),
        number => format!(", {}", count(number as usize, "warning")),
    };
    let file = &status.daemon.config_file;
    if reload.successful || reload.tried_at.0 == 0 {
        return (format!("{file}, in force for {}{warnings}", at(reload.accepted_at)), Tone::Plain);
    }
    let text = format!(
        "{file} was refused {} ago: the one of {} ago is in force (`keepwatch reload` says why)",
        at(reload.tried_at),
        at(reload.accepted_at)
    );
    (text, Tone::Bad)
}

/// Those that are wanted and do not run are in the list, and not up.
fn processes(processes: &[ProcessStatus]) -> (String, Tone) {
    let mut tone = Tone::Plain;
    let each = processes.iter().map(|process| {
        let name = &process.report.name;
        let restarts = match process.report.restarts {
            0 => String::new(),
            1 => " (restarted once)".to_owned(),
            times => format!(" (restarted {times} times)"),
        };
        if process.up {
            return format!("{name}{restarts}");
        }
        tone = Tone::Bad;
        format!("{name} DOES NOT ANSWER{restarts}")
    });
    (each.collect::<Vec<_>>().join(", "), tone)
}

fn snmp(status: &Status) -> &'static str {
    match (status.snmp.agentx.state, status.snmp.responder.is_some()) {
        (SessionState::Up, _) => "AgentX session is up",
        (SessionState::Off, false) => "off",
        (SessionState::Off, true) => "answered by keepwatchd itself",
        (_, false) => "no AgentX session (`keepwatch snmp` says why)",
        (_, true) => "answered by keepwatchd itself; no AgentX session (`keepwatch snmp` says why)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;

    #[test]
    fn the_status_is_a_page_that_begins_with_what_is_wrong() {
        fixture::golden("status", &shown(&fixture::status(), &Page::plain(fixture::NOW)));
        fixture::golden(
            "status-80",
            &shown(&fixture::status(), &Page { width: Some(80), ..Page::plain(fixture::NOW) }),
        );
    }

    #[test]
    fn the_exit_status_is_that_of_the_worst_trouble() {
        let mut status = fixture::status();
        assert!(!is_well(&status));
        status.troubles.retain(|trouble| trouble.severity == Severity::Info);
        assert!(is_well(&status));
    }
}
