//! `keepwatch explain`: why something is in the state that it is in.

use std::process::ExitCode;

use clap::Args;

use super::client::Connection;
use super::outcome::{Failure, finish, print, print_json, status};
use super::text::{Page, Tone};
use crate::control::{Kind, Request, Response};
use crate::report::Explanation;
use crate::sys::log::local_time_at;

#[derive(Debug, Args)]
pub struct Explain {
    /// An instance or one of its addresses, a BFD session, a virtual server, or a real server: ADDRESS[:PORT], group name,
    /// fwmark:N, snmp_name (directives of the configuration: `keepwatch directive`)
    what: String,
    /// Virtual server that the real server is of
    #[arg(long, value_name = "VS")]
    service: Option<String>,
    /// If the name means more than one thing
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    #[command(flatten)]
    connection: Connection,
}

impl Explain {
    pub fn run(self) -> ExitCode {
        finish(self.explain(), self.connection.json, Some(&self.what))
    }

    fn explain(&self) -> Result<u8, Failure> {
        let request = Request::Explain { what: self.what.clone(), service: self.service.clone(), kind: self.kind };
        let Response::Explanation { explanation } = self.connection.open()?.ask(&request)?.good()? else {
            return Err(Failure::nonsense());
        };
        if self.connection.json {
            print_json(&explanation);
        } else {
            print(&shown(&explanation, &Page::stdout(), &|at| local_time_at("%Y-%m-%d %H:%M:%S", at as i64)));
        }
        Ok(status::GOOD)
    }
}

/// `clock` writes a moment.
fn shown(explanation: &Explanation, page: &Page, clock: &dyn Fn(f64) -> String) -> String {
    let tone = match &*explanation.state {
        "up" => Tone::Good,
        "down" | "admin-down" => Tone::Bad,
        state => Tone::of_state(state),
    };
    let mut out = format!(
        "{} is {} for {}\n{}\n",
        page.paint(&explanation.subject, Tone::Strong),
        page.paint(&explanation.state.to_uppercase(), tone),
        page.age(explanation.since),
        page.paint(&explanation.because, Tone::Plain)
    );
    let mut list = |name: &str, lines: &mut dyn Iterator<Item = String>| {
        for (place, line) in lines.enumerate() {
            if place == 0 {
                out += &format!("\n{name}\n");
            }
            out += &format!("  {}\n", page.paint(&line, Tone::Plain));
        }
    };
    list("Because", &mut explanation.evidence.iter().cloned());
    list("What would change it", &mut explanation.hints.iter().cloned());
    let event = |event: &crate::report::Event| format!("{}  {}", clock(event.at), event.text);
    list("What happened", &mut explanation.events.iter().map(event));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Event, Severity};

    #[test]
    fn the_answer_comes_first_and_then_what_it_follows_from() {
        let explanation = Explanation {
            subject: "vrrp VI_1".to_owned(),
            state: "fault".to_owned(),
            since: 900.0,
            because: "eth0 has no carrier".to_owned(),
            evidence: vec!["track_interface eth0: down since 100 s".to_owned()],
            hints: vec!["it leaves fault when eth0 is up".to_owned()],
            events: vec![Event {
                number: 1,
                at: 900.0,
                kind: "transition".to_owned(),
                severity: Severity::Critical,
                subject: "vrrp VI_1".to_owned(),
                text: "master to fault".to_owned(),
            }],
        };
        let expected = "\
vrrp VI_1 is FAULT for 100 s
eth0 has no carrier

Because
  track_interface eth0: down since 100 s

What would change it
  it leaves fault when eth0 is up

What happened
  900  master to fault
";
        assert_eq!(shown(&explanation, &Page::plain(1000.0), &|at| at.to_string()), expected);
        let bare = Explanation { evidence: vec![], hints: vec![], events: vec![], ..explanation };
        assert_eq!(
            shown(&bare, &Page::plain(1000.0), &|_| String::new()),
            "vrrp VI_1 is FAULT for 100 s\neth0 has no carrier\n"
        );
    }
}
