//! `keepwatch`, the operators' tool, run on a node against the daemon there.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::daemon::{Daemon, Program};
use crate::process::{Process, run};
use crate::wait;

/// What it said and how it exited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub status: i32,
    /// Standard output, then standard error.
    pub text: String,
}

impl Daemon {
    /// `keepwatch WORDS --socket SOCKET` where the daemon runs.
    #[track_caller]
    pub fn tool(&self, words: &[&str]) -> Said {
        let output = run(self.tool_command(words));
        let text = [output.stdout, output.stderr].concat();
        Said { status: output.status.code().unwrap_or(-1), text: String::from_utf8_lossy(&text).into_owned() }
    }

    /// The same with `--json`.
    #[track_caller]
    pub fn tool_json(&self, words: &[&str]) -> Value {
        let said = self.tool(&[words, &["--json"]].concat());
        serde_json::from_str(&said.text).unwrap_or_else(|error| panic!("{words:?}: {error}: {}", said.text))
    }

    /// Runs on, with a log of its own.
    #[track_caller]
    pub fn tool_in_background(&self, name: &str, words: &[&str]) -> Process {
        self.node().spawn(name, self.tool_command(words))
    }

    fn tool_command(&self, words: &[&str]) -> Command {
        let tool = Program::Keepwatch.path().with_file_name("keepwatch");
        let (tool, socket) = (tool.to_string_lossy().into_owned(), self.directory().join("main.sock"));
        let socket = socket.to_string_lossy().into_owned();
        let mut all = vec![tool.as_str()];
        all.extend(words);
        all.extend(["--socket", socket.as_str()]);
        self.node().command(&all)
    }

    /// Asks again until it says (and exits with) what `wanted` wants.
    #[track_caller]
    pub fn wait_for_tool(&self, words: &[&str], limit: Duration, mut wanted: impl FnMut(&Said) -> bool) -> Said {
        let mut last = None;
        let found = wait::within(limit, || {
            let said = self.tool(words);
            let good = wanted(&said);
            last = Some(said.clone());
            good.then_some(said)
        });
        found.unwrap_or_else(|| panic!("keepwatch {words:?} last said {last:#?}; the daemon said:\n{}", self.log()))
    }
}
