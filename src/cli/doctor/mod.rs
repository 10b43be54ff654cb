//! `keepwatch doctor`: what commonly goes wrong on a host, looked for and said with what to do about it.
//!
//! [`facts`] looks, [`judge`] decides, here is what people read.

mod facts;
mod judge;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use self::facts::Facts;
use super::client::Connection;
use super::outcome::{finish, print, print_json, status};
use super::progress::Progress;
use super::text::{Page, Tone, count};

#[derive(Debug, Args)]
pub struct Doctor {
    /// Configuration file; the daemon's, or /etc/keepalived/keepalived.conf, when missing
    #[arg(short = 'f', long, value_name = "FILE")]
    file: Option<String>,
    /// Directory of what is kept over restarts
    #[arg(long, value_name = "DIR", default_value = "/var/lib/keepwatch")]
    state_dir: std::path::PathBuf,
    /// Only what is not in order
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    connection: Connection,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub verdict: Verdict,
    /// `daemon`, `configuration`, `capabilities`, `modules`, `sysctl`, `agentx`, `network`, `clock`, `files`, `keepalived`.
    pub area: &'static str,
    pub text: String,
    /// What to do; empty when nothing is to be done.
    pub advice: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Ok,
    /// May be meant so.
    Note,
    Problem,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    problems: usize,
    notes: usize,
    findings: &'a [Finding],
}

impl Doctor {
    pub fn run(self) -> ExitCode {
        let mut progress = Progress::new(self.connection.json);
        let facts = Facts::look(&self.connection, self.file.as_deref(), &self.state_dir, &mut progress);
        progress.end();
        let findings = judge::judge(&facts);
        let problems = number(&findings, Verdict::Problem);
        if self.connection.json {
            print_json(&Told { problems, notes: number(&findings, Verdict::Note), findings: &findings });
        } else {
            print(&shown(&findings, self.quiet, &Page::stdout()));
        }
        finish(Ok(if problems == 0 { status::GOOD } else { status::TROUBLE }), self.connection.json, None)
    }
}

fn number(findings: &[Finding], verdict: Verdict) -> usize {
    findings.iter().filter(|finding| finding.verdict == verdict).count()
}

fn shown(findings: &[Finding], quiet: bool, page: &Page) -> String {
    let mut out = String::new();
    for finding in findings.iter().filter(|finding| !quiet || finding.verdict > Verdict::Ok) {
        let (word, tone) = match finding.verdict {
            Verdict::Ok => ("ok     ", Tone::Good),
            Verdict::Note => ("note   ", Tone::Odd),
            Verdict::Problem => ("PROBLEM", Tone::Bad),
        };
        let text = page.paint(&finding.text, Tone::Plain);
        out += &format!("{}  {:<13} {text}\n", page.paint(word, tone), finding.area);
        if !finding.advice.is_empty() {
            out += &format!("{:22} -> {}\n", "", page.paint(&finding.advice, Tone::Plain));
        }
    }
    let (problems, notes) = (number(findings, Verdict::Problem), number(findings, Verdict::Note));
    let sum = match (problems, notes) {
        (0, 0) => "all in order".to_owned(),
        _ => format!("{}, {}", count(problems, "problem"), count(notes, "note")),
    };
    out + &sum + "\n"
}
