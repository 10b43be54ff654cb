//! `keepwatch reload`: the configuration is read again, and what is wrong with it is told here.

use std::process::ExitCode;

use clap::Args;

use super::client::{Connection, PATIENCE_OF_RELOAD};
use super::outcome::{Failure, finish, print_json, status};
use super::progress::Progress;
use super::text::{count, span};
use crate::control::{Request, Response};
use crate::export::look::ReloadReport;

#[derive(Debug, Args)]
pub struct Reload {
    #[command(flatten)]
    connection: Connection,
}

impl Reload {
    pub fn run(self) -> ExitCode {
        finish(self.reload(), self.connection.json, None)
    }

    fn reload(&self) -> Result<u8, Failure> {
        let mut client = self.connection.open()?;
        let answer = std::thread::scope(|scope| {
            let asked = scope.spawn(|| client.ask_within(&Request::Reload, PATIENCE_OF_RELOAD));
            let mut progress = Progress::new(self.connection.json);
            while !asked.is_finished() {
                progress.show(&format!("the configuration is being read, {:.0} s", progress.seconds()));
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            asked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let Response::Reload { reload } = answer?.good()? else { return Err(Failure::nonsense()) };
        if self.connection.json {
            print_json(&reload);
        } else {
            let text = shown(&reload);
            if reload.successful { super::outcome::print(&text) } else { eprint!("{text}") }
        }
        Ok(if reload.successful { status::GOOD } else { status::TROUBLE })
    }
}

fn shown(reload: &ReloadReport) -> String {
    let mut out: String = reload.errors.trim_end().lines().map(|line| super::text::clean(line) + "\n").collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_with_what_is_wrong() {
        let refused = ReloadReport { errors: "error: a\n  --> k.conf:1:1\n\n".to_owned(), ..ReloadReport::default() };
        let expected = "error: a\n  --> k.conf:1:1\nrefused: the configuration in force stays in force\n";
        assert_eq!(shown(&refused), expected);
        let good = ReloadReport { successful: true, took_us: 25_300, warnings: 1, ..ReloadReport::default() };
        assert_eq!(shown(&good), "in force after 25 ms, with 1 warning (`keepwatch check`)\n");
    }
}
