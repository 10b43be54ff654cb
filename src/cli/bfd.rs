//! `keepwatch bfd`: sessions as a table, or one of them with all that is known of it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::client::Connection;
use super::outcome::{finish, print, print_json, status};
use super::text::{Cell, Page, Table, Tone, count, span};
use super::watch::Watch;
use crate::report::{BfdReport, BfdSessionReport};

#[derive(Debug, Args)]
pub struct Show {
    /// bfd_instance; shows all that is known of it
    session: Option<String>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    watch: Watch,
}

impl Show {
    pub fn run(self) -> ExitCode {
        let result = self.watch.repeat(|| {
            let bfd = self.connection.bfd(self.session.as_deref())?;
            if self.connection.json {
                print_json(&bfd);
            } else {
                print(&shown(&bfd, self.session.is_some(), &Page::stdout()));
            }
            let well = bfd.silent.is_none() && bfd.sessions.iter().all(|session| session.state == "up");
            Ok(if well { status::GOOD } else { status::TROUBLE })
        });
        finish(result, self.connection.json, self.session.as_deref())
    }
}

fn shown(bfd: &BfdReport, in_full: bool, page: &Page) -> String {
    let out = page.warned(bfd.silent.as_deref());
    match (in_full, bfd.sessions.is_empty()) {
        (true, _) => out + &bfd.sessions.iter().map(|session| full(session, page)).collect::<Vec<_>>().join("\n"),
        (false, true) => out + "no BFD sessions\n",
        (false, false) => out + &table(&bfd.sessions, page, ""),
    }
}

fn tone(session: &BfdSessionReport) -> Tone {
    match session.state.as_str() {
        "up" => Tone::Good,
        "init" => Tone::Odd,
        _ => Tone::Bad,
    }
}

/// A state that is as it should be in small letters.
fn state(session: &BfdSessionReport) -> String {
    match session.state.as_str() {
        "up" | "init" => session.state.clone(),
        other => other.to_uppercase(),
    }
}

pub(super) fn table(sessions: &[BfdSessionReport], page: &Page, indent: &'static str) -> String {
    let names =
        ["session", "state", ">for", "neighbour", ">every", ">lost after", ">sent", ">received", ">refused", "why"];
    let mut table = Table::new(page, indent, &names);
    for session in sessions {
        // What took it down once is of no interest when it is up again.
        let why = if session.state == "up" { "" } else { &*session.diagnostic };
        let counters = &session.counters;
        table.row([
            (&*session.name).into(),
            Cell::new(state(session), tone(session)),
            page.age(session.since).into(),
            (&*session.neighbour).into(),
            span(session.interval).into(),
            session.detection_time.map_or_else(|| "-".to_owned(), span).into(),
            counters.sent.into(),
            counters.received.into(),
            counters.dropped.into(),
            why.into(),
        ]);
    }
    table.text()
}

/// All of one session.
fn full(session: &BfdSessionReport, page: &Page) -> String {
    let head = page.paint(&state(session).to_uppercase(), tone(session));
    let mut out = format!("{}  {head} for {}\n", session.name, page.age(session.since));
    let mut line = |name: &str, text: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {name:<12} {}", page.paint(text, Tone::Plain));
    };
    let hops = if session.multihop { "over several hops" } else { "over one hop" };
    let passive = if session.passive { ", passive" } else { "" };
    let source = session.source.as_ref().map_or_else(String::new, |source| format!(" from {source}"));
    line("neighbour", &format!("{}{source}, {hops}{passive}", session.neighbour));
    let said = |state: &str, diagnostic: &str| match diagnostic {
        "" => state.to_owned(),
        why => format!("{state} ({why})"),
    };
    line("says", &said(&session.remote_state, &session.remote_diagnostic));
    if !session.diagnostic.is_empty() {
        line(if session.state == "up" { "was lost" } else { "why" }, &session.diagnostic);
    }
    let lost = match session.detection_time {
        Some(time) => format!("lost after {} of silence", span(time)),
        None => "not heard yet".to_owned(),
    };
    line("timers", &format!("sends every {}, {lost}", span(session.interval)));
    let counters = &session.counters;
    line("packets", &format!("{} sent, {} received, {} refused", counters.sent, counters.received, counters.dropped));
    line(
        "changes",
        &format!(
            "up {}, down {}, {} of them in silence",
            count(counters.went_up as usize, "time"),
            count(counters.went_down as usize, "time"),
            counters.timeouts
        ),
    );
    line("numbers", &format!("{} here, {} there", session.discriminator, session.remote_discriminator));
    let checks = if session.for_checks { ["BFD_CHECK".to_owned()].to_vec() } else { vec![] };
    let those: Vec<String> = session.tracked_by.iter().cloned().chain(checks).collect();
    let those = if those.is_empty() { "nobody".to_owned() } else { those.join(", ") };
    line("tracked by", &those);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;

    #[test]
    fn sessions_are_a_table_and_one_is_told_in_full() {
        let page = Page::plain(fixture::NOW);
        fixture::golden("bfd", &shown(&fixture::bfd(), false, &page));
        fixture::golden("bfd-sessions", &shown(&fixture::bfd(), true, &page));
        let none = BfdReport { sessions: vec![], ..fixture::bfd() };
        assert_eq!(shown(&none, false, &page), "no BFD sessions\n");
        let silent = BfdReport { silent: Some("vrrp does not answer".to_owned()), ..none };
        let expected = "vrrp does not answer: what follows is what it said last\n\nno BFD sessions\n";
        assert_eq!(shown(&silent, false, &page), expected);
    }
}
