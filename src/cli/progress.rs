//! One line on a terminal for what takes longer than a second, written over again and again.

use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use crate::clock::{self, Instant};

/// How long a person waits before being told that something is under way.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Progress {
    begun: Instant,
    quiet: bool,
    shown: bool,
}

impl Progress {
    /// `quiet`: for programs.
    pub fn new(quiet: bool) -> Progress {
        Progress { begun: clock::now(), quiet: quiet || !io::stderr().is_terminal(), shown: false }
    }

    pub fn seconds(&self) -> f64 {
        clock::now().since(self.begun).as_secs_f64()
    }

    pub fn show(&mut self, text: &str) {
        if !self.quiet && clock::now().since(self.begun) >= PATIENCE {
            let mut terminal = io::stderr();
            self.shown = true;
            let _ = write!(terminal, "\r\x1b[K{text}");
            let _ = terminal.flush();
        }
    }

    pub fn end(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
