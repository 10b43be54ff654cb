//! `keepwatch events`: what happened, as far as the daemon remembers, and what happens.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::client::Connection;
use super::outcome::{Failure, finish, print, print_json, status};
use super::text::{Page, Tone, now};
use crate::report::{Event, Severity};
use crate::sys::log::local_time_at;

/// How often new ones are asked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub struct Show {
    /// Go on and print what happens, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Only what happened since then: 90s, 10m, 2h, 1d, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Only the last N
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Since {
    /// Seconds.
    Ago(f64),
    /// Seconds since 1970.
    At(f64),
}

/// What was printed last, so that a daemon that was restarted is noticed.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    next: u64,
}

impl Show {
    pub fn run(self) -> ExitCode {
        finish(self.show(), self.connection.json, None)
    }

    fn show(&self) -> Result<u8, Failure> {
        let report = self.connection.events(0)?;
        let from = match self.since {
            None => 0.0,
            Some(Since::Ago(seconds)) => now() - seconds,
            Some(Since::At(at)) => at,
        };
        let events: Vec<&Event> = report.events.iter().filter(|event| event.at >= from).collect();
        let skip = self.last.map_or(0, |last| events.len().saturating_sub(last));
        let mut page = Page::stdout();
        events.iter().skip(skip).for_each(|event| self.tell(event, &page));
        if !self.follow {
            return Ok(status::GOOD);
        }
        let mut cursor = Cursor { next: report.next };
        let mut away = false;
        loop {
            std::thread::sleep(LOOK_EVERY);
            let report = match self.connection.events(cursor.next) {
                Ok(report) => report,
                Err(failure) if !failure.may_pass() => return Err(failure),
                Err(failure) => {
                    if !std::mem::replace(&mut away, true) {
                        eprintln!("keepwatch: {}; waiting for it", failure.message());
                    }
                    continue;
                }
            };
            away = false;
            page.now = now();
            if report.next < cursor.next {
                // Another bridge counts from the beginning.
                cursor = Cursor::default();
                continue;
            }
            report.events.iter().for_each(|event| self.tell(event, &page));
            cursor.next = report.next;
        }
    }

    fn tell(&self, event: &Event, page: &Page) {
        if self.connection.json {
            print_json(event);
        } else {
            let at = local_time_at("%Y-%m-%d %H:%M:%S", event.at as i64);
            print(&line(event, &at, page));
        }
    }
}

/// `at`: when, in words.
fn line(event: &Event, at: &str, page: &Page) -> String {
    let tone = match event.severity {
        Severity::Critical => Tone::Bad,
        Severity::Warning => Tone::Odd,
        Severity::Info => Tone::Plain,
    };
    let thousandths = (event.at.fract() * 1000.0) as u32;
    format!("{at}.{thousandths:03}  {}: {}\n", page.paint(&event.subject, Tone::Strong), page.paint(&event.text, tone))
}

fn since(text: &str) -> Result<Since, String> {
    let problem = || format!("expected a time as 90s, 10m, 2h, 1d or seconds since 1970, found `{text}`");
    let (number, unit) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => text.split_at(at),
        _ => (text, ""),
    };
    let number: f64 = number.parse().map_err(|_| problem())?;
    if !number.is_finite() || number < 0.0 {
        return Err(problem());
    }
    match unit {
        "" => Ok(Since::At(number)),
        "s" => Ok(Since::Ago(number)),
        "m" => Ok(Since::Ago(number * 60.0)),
        "h" => Ok(Since::Ago(number * 3600.0)),
        "d" => Ok(Since::Ago(number * 86_400.0)),
        _ => Err(problem()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let event = Event {
            number: 7,
            at: 1000.25,
            kind: "transition".to_owned(),
            severity: Severity::Warning,
            subject: "vrrp VI_1".to_owned(),
            text: "backup to master: nothing was heard of the master".to_owned(),
        };
        let page = Page::plain(1001.0);
        assert_eq!(
            line(&event, "2026-11-21 13:24:19", &page),
            "2026-11-21 13:24:19.250  vrrp VI_1: backup to master: nothing was heard of the master\n"
        );
        assert!(line(&event, "", &Page { colour: true, ..page }).contains("\x1b[33mbackup"));
    }

    #[test]
    fn a_time_is_an_age_or_a_moment() {
        assert_eq!(since("90s"), Ok(Since::Ago(90.0)));
        assert_eq!(since("1.5h"), Ok(Since::Ago(5400.0)));
        assert_eq!(since("1795000000"), Ok(Since::At(1_795_000_000.0)));
        for text in ["", "h", "-3s", "3y", "yesterday", "nan", "é"] {
            assert!(since(text).is_err(), "{text}");
        }
    }
}
