//! `keepwatch checks`: what each checker has found.

use std::process::ExitCode;

use clap::Args;

use super::client::Connection;
use super::outcome::{finish, print, print_json, status};
use super::text::{Cell, Page, Table, Tone, count, span};
use super::watch::Watch;
use crate::report::{CheckerReport, CheckersReport};

#[derive(Debug, Args)]
pub struct Show {
    /// Only those that fail
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    watch: Watch,
}

impl Show {
    pub fn run(self) -> ExitCode {
        let result = self.watch.repeat(|| {
            let mut checkers = self.connection.checkers()?;
            let well = !checkers.checkers.iter().any(fails);
            let all = checkers.checkers.len();
            if self.failed {
                checkers.checkers.retain(fails);
            }
            if self.connection.json {
                print_json(&checkers);
            } else {
                print(&shown(&checkers, all, &Page::stdout()));
            }
            Ok(if well { status::GOOD } else { status::TROUBLE })
        });
        finish(result, self.connection.json, None)
    }
}

/// One that has not run yet has not failed.
fn fails(checker: &CheckerReport) -> bool {
    checker.has_run && !checker.up
}

/// `all`: how many there are.
fn shown(report: &CheckersReport, all: usize, page: &Page) -> String {
    if report.checkers.is_empty() {
        return match all {
            0 => "no checkers\n".to_owned(),
            all => format!("none of {} fails\n", count(all, "checker")),
        };
    }
    let names =
        ["virtual server", "real server", "check", "state", ">for", ">took", ">passed", ">failed", "last error"];
    let mut table = Table::new(page, "", &names);
    for checker in &report.checkers {
        let (state, tone) = match (checker.has_run, checker.up) {
            (true, true) => ("up", Tone::Good),
            (true, false) => ("DOWN", Tone::Bad),
            (false, true) => ("up, not run yet", Tone::Odd),
            (false, false) => ("not run yet", Tone::Odd),
        };
        // The target is nearly always the server itself.
        let check = match checker.target == checker.server || checker.target.is_empty() {
            true => checker.kind.clone(),
            false => format!("{} {}", checker.kind, checker.target),
        };
        table.row([
            (&*checker.service).into(),
            (&*checker.server).into(),
            check.into(),
            Cell::new(state, tone),
            page.age(checker.since).into(),
            span(checker.took).into(),
            checker.passed.into(),
            checker.failed.into(),
            (&*checker.error).into(),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;

    #[test]
    fn checkers_are_a_table() {
        let page = Page::plain(fixture::NOW);
        let mut checkers = fixture::checkers();
        fixture::golden("checks", &shown(&checkers, 3, &page));
        checkers.checkers.retain(fails);
        assert_eq!(checkers.checkers.len(), 1);
        checkers.checkers.clear();
        assert_eq!(shown(&checkers, 3, &page), "none of 3 checkers fails\n");
        assert_eq!(shown(&checkers, 0, &page), "no checkers\n");
    }
}
