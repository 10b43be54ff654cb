//! `--watch`: the same question again and again.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;

use super::outcome::{Failure, print};

#[derive(Debug, Clone, Copy, Args)]
pub struct Watch {
    /// Ask again every S seconds (2) until interrupted
    #[arg(short = 'w', long, value_name = "S", num_args = 0..=1, default_missing_value = "2", value_parser = seconds)]
    watch: Option<Duration>,
}

impl Watch {
    /// Does it once, or for ever: then a daemon that is away for a while ends nothing.
    pub fn repeat(&self, mut show: impl FnMut() -> Result<u8, Failure>) -> Result<u8, Failure> {
        let Some(pause) = self.watch else { return show() };
        let clear = std::io::stdout().is_terminal();
        loop {
            if clear {
                print("\x1b[H\x1b[2J");
            }
            match show() {
                Ok(_) => {}
                Err(failure) if failure.may_pass() => print(&format!("{}\n", failure.message())),
                Err(failure) => return Err(failure),
            }
            std::thread::sleep(pause);
        }
    }
}

/// A tenth of a second to a day.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("expected seconds, found `{text}`"))?;
    if !(0.1..=86_400.0).contains(&seconds) {
        return Err("expected 0.1 to 86400 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}
