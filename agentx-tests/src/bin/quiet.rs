//! Waits until this machine has run without stalls for a while, for two minutes at most: what continuous integration does
//! before a test that failed beside others gets another chance. Says how it went; its exit status is 0 when it is quiet.

use std::process::ExitCode;
use std::time::Duration;

use agentx_tests::wait::{self, Stalls};

fn main() -> ExitCode {
    let stalls = Stalls::watch();
    let began = wait::now_ns();
    let quiet = stalls.until_quiet(Duration::from_secs(120));
    let now = wait::now_ns();
    println!(
        "quiet: {}; in {:.1} s it stalled for {:.3} s, at most {:.3} s at once",
        if quiet { "yes" } else { "no" },
        wait::seconds(now - began),
        wait::seconds(stalls.within(began, now)),
        wait::seconds(stalls.longest(began, now)),
    );
    if quiet { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
