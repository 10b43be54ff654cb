//! `keepwatch reload`: the configuration is read again, and what is wrong with it is told here; with `--plan` what it would
//! change.

use std::process::ExitCode;

use clap::Args;

use super::client::{Connection, PATIENCE_OF_RELOAD};
use super::outcome::{Failure, finish, print_json, status};
use super::progress::Progress;
use super::text::{clean, count, span};
use crate::control::{Request, Response};
use crate::export::look::{DriftReport, ReloadReport};
use crate::report::PlanReport;

#[derive(Debug, Args)]
pub struct Reload {
    #[command(flatten)]
    connection: Connection,
    /// Say what it would change and what that costs, and change nothing
    #[arg(long)]
    plan: bool,
    /// Do nothing if a mastership would be dropped, an address would leave this host, or a virtual server would go or be left
    /// without a server
    #[arg(long, conflicts_with = "plan")]
    safe: bool,
}

impl Reload {
    pub fn run(self) -> ExitCode {
        finish(self.reload(), self.connection.json, None)
    }

    fn reload(&self) -> Result<u8, Failure> {
        let mut client = self.connection.open()?;
        let request = Request::Reload { plan: self.plan, safe: self.safe };
        let answer = std::thread::scope(|scope| {
            let asked = scope.spawn(|| client.ask_within(&request, PATIENCE_OF_RELOAD));
            let mut progress = Progress::new(self.connection.json);
            while !asked.is_finished() {
                progress.show(&format!("the configuration is being read, {:.0} s", progress.seconds()));
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            asked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        match answer?.good()? {
            Response::Reload { reload } if !self.plan => {
                self.print(&reload, &shown(&reload), reload.successful);
                Ok(if reload.successful { status::GOOD } else { status::TROUBLE })
            }
            Response::Plan { plan } if self.plan || self.safe => {
                let status = self.status(&plan);
                self.print(&*plan, &planned(&plan, self.safe), plan.errors.is_empty() && status != status::REFUSED);
                Ok(status)
            }
            _ => Err(Failure::nonsense()),
        }
    }

    fn status(&self, plan: &PlanReport) -> u8 {
        match plan {
            PlanReport { errors, .. } if !errors.is_empty() => status::TROUBLE,
            PlanReport { safe: true, .. } => status::GOOD,
            _ if self.safe => status::REFUSED,
            _ => status::TROUBLE,
        }
    }

    fn print<T: serde::Serialize>(&self, document: &T, text: &str, good: bool) {
        if self.connection.json {
            print_json(document);
        } else if good {
            super::outcome::print(text);
        } else {
            eprint!("{text}");
        }
    }
}

fn shown(reload: &ReloadReport) -> String {
    let mut out = cleaned(&reload.errors) + &drifted(&reload.drift, "and that is mended");
    if reload.successful {
        let warnings = match reload.warnings {
            0 => String::new(),
            number => format!(", with {} (`keepwatch check`)", count(number as usize, "warning")),
        };
        out += &format!("in force after {}{warnings}\n", span(reload.took_us as f64 / 1e6));
    } else {
        out += "refused: the configuration in force stays in force\n";
    }
    out
}

/// `refused`: a safe reload was asked for, and this is why there is none.
fn planned(plan: &PlanReport, refused: bool) -> String {
    let drift = drifted(&plan.drift, "which is mended within half a minute");
    if !plan.errors.is_empty() {
        let end = if refused { "refused: the configuration in force stays in force" } else { "it would be refused" };
        return cleaned(&plan.errors) + end + "\n" + &drift;
    }
    let mut out: String = plan.changes.iter().map(|change| clean(&change.text) + "\n").collect();
    if plan.changes.is_empty() {
        out += "nothing would change\n";
    }
    for (title, refuses) in [("consequences", true), ("besides", false)] {
        let mut those = plan.consequences.iter().filter(|it| it.refuses == refuses).peekable();
        if those.peek().is_some() {
            out += &format!("\n{title}:\n");
        }
        those.for_each(|it| out += &format!("  {}\n", clean(&it.text)));
    }
    if !drift.is_empty() {
        out += &format!("\n{drift}");
    }
    if plan.warnings > 0 {
        out += &format!("\n{} (`keepwatch check`)\n", count(plan.warnings as usize, "warning"));
    }
    if refused {
        out += "\nrefused, as it has consequences: the configuration in force stays in force\n";
    }
    out
}

/// What somebody has changed in the kernel.
fn drifted(drift: &DriftReport, and: &str) -> String {
    if drift.is_empty() {
        return String::new();
    }
    let mut out = format!("somebody changed the IPVS table, {and}:\n");
    drift.lines.iter().for_each(|line| out += &format!("  {}\n", clean(line)));
    if drift.more > 0 {
        out += &format!("  {} more\n", count(drift.more as usize, "difference"));
    }
    out
}

fn cleaned(lines: &str) -> String {
    lines.trim_end().lines().map(|line| clean(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plan::{Action, PlannedChange, PlannedConsequence};

    #[test]
    fn a_refusal_is_told_with_what_is_wrong() {
        let refused = ReloadReport { errors: "error: a\n  --> k.conf:1:1\n\n".to_owned(), ..ReloadReport::default() };
        let expected = "error: a\n  --> k.conf:1:1\nrefused: the configuration in force stays in force\n";
        assert_eq!(shown(&refused), expected);
        let good = ReloadReport { successful: true, took_us: 25_300, warnings: 1, ..ReloadReport::default() };
        assert_eq!(shown(&good), "in force after 25 ms, with 1 warning (`keepwatch check`)\n");
        let drift = DriftReport { lines: vec!["10.0.0.1:80/tcp was missing".to_owned()], more: 2 };
        let told = "somebody changed the IPVS table, and that is mended:\n  10.0.0.1:80/tcp was missing\n  2 differences more\n";
        assert_eq!(shown(&ReloadReport { drift, warnings: 0, ..good }), format!("{told}in force after 25 ms\n"));
    }

    #[test]
    fn a_plan_tells_changes_and_apart_from_them_what_they_cost() {
        assert_eq!(planned(&PlanReport { safe: true, ..PlanReport::default() }, false), "nothing would change\n");
        let consequence = |refuses, text: &str| PlannedConsequence {
            kind: "mastership".to_owned(),
            name: "VI_1".to_owned(),
            refuses,
            text: text.to_owned(),
        };
        let plan = PlanReport {
            changes: vec![PlannedChange {
                kind: "instance".to_owned(),
                name: "VI_1".to_owned(),
                service: None,
                action: Action::Removed,
                values: Vec::new(),
                text: "VI_1 removed".to_owned(),
            }],
            consequences: vec![consequence(false, "b"), consequence(true, "a")],
            warnings: 2,
            ..PlanReport::default()
        };
        let told = "VI_1 removed\n\nconsequences:\n  a\n\nbesides:\n  b\n\n2 warnings (`keepwatch check`)\n";
        assert_eq!(planned(&plan, false), told);
        let refused = "\nrefused, as it has consequences: the configuration in force stays in force\n";
        assert_eq!(planned(&plan, true), format!("{told}{refused}"));
        let mistakes = crate::report::plan::refused("error: a\n".to_owned());
        assert_eq!(planned(&mistakes, false), "error: a\nit would be refused\n");
    }
}
