//! `make demo`: SNMP without snmpd, two routers that fail over, a load balancer that serves, with SNMP to watch all by, and
//! Prometheus, RRD and the status page. With `KEEP=1` in the environment the last part stays to be looked at.
//!
//! `demo [walk] [failover] [balancer] [monitoring]`; without words all. The load balancer needs IPVS, and runs in a virtual machine where
//! this kernel has none. Exits with status 1 when something that should have happened did not. `--without-ipv6` leaves out
//! what Debian's keepalived cannot do (`KEEPWATCHD=/usr/sbin/keepalived`): it drops the seed's IPv6 addresses.

mod balancer;
mod failover;
mod monitoring;
mod walk;

use std::process::ExitCode;
use std::time::Duration;

use agentx_tests::{janitor, vm};

/// The second part in a virtual machine. About two minutes when nothing else runs.
const BALANCER_MAX: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    let (mut parts, mut with_ipv6) = (Vec::new(), true);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "walk" | "failover" | "balancer" | "monitoring" => parts.push(argument),
            "--without-ipv6" => with_ipv6 = false,
            other => {
                eprintln!(
                    "demo: `{other}` means nothing here\ndemo [walk] [failover] [balancer] [monitoring] [--without-ipv6]"
                );
                return ExitCode::from(2);
            }
        }
    }
    janitor::clean_on_signals();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|one| one == part);
    let mut story = Story::default();
    if wanted("walk") {
        walk::tell(&mut story);
    }
    if wanted("failover") {
        failover::tell(&mut story, with_ipv6);
    }
    if wanted("balancer") {
        match vm::here_or_there(&["balancer"], BALANCER_MAX) {
            Ok(None) => balancer::tell(&mut story),
            Ok(Some(0)) => {}
            Ok(Some(_)) => story.failures.push("in the second part: see above".to_owned()),
            Err(why) => story.check(false, &format!("the virtual machine: {why}")),
        }
    }
    if wanted("monitoring") && !vm::in_guest() {
        let keep = std::env::var("KEEP").is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
        monitoring::tell(&mut story, keep);
    }
    if story.failures.is_empty() && vm::in_guest() {
        // Whoever started it says so.
        return ExitCode::SUCCESS;
    }
    println!();
    if story.failures.is_empty() {
        println!("Everything happened as it should.");
        return ExitCode::SUCCESS;
    }
    println!("{} thing(s) did not happen as they should:", story.failures.len());
    for failure in &story.failures {
        println!("  - {failure}");
    }
    ExitCode::FAILURE
}

/// What is printed, and what went wrong.
#[derive(Default)]
struct Story {
    failures: Vec<String>,
}

impl Story {
    fn chapter(&self, title: &str) {
        println!("\n== {title}");
    }

    fn check(&mut self, good: bool, what: &str) {
        println!("  {} {what}", if good { "ok  " } else { "FAIL" });
        if !good {
            self.failures.push(what.to_owned());
        }
    }
}
