//! The scripts around the daemon's life, run when the supervisor says so.

use std::time::Duration;

use tracing::{error, info, warn};

use super::script::{Output, Runs};
use crate::bus::msg::ConfigGeneration;
use crate::bus::run::Ended;
use crate::clock::Instant;
use crate::conf::model::{Config, TimedScript};
use crate::process::lifecycle::Occasion;
use crate::process::role::Role;

/// What the configuration in force has, and what waits to be run.
#[derive(Debug, Default)]
pub struct Occasions {
    config: ConfigGeneration,
    startup: Option<TimedScript>,
    shutdown: Option<TimedScript>,
    /// The shutdown script comes after the notify scripts, and until then at the latest.
    shutdown_at: Option<Instant>,
}

impl Occasions {
    pub fn configure(&mut self, generation: ConfigGeneration, config: &Config) {
        self.config = generation;
        self.startup.clone_from(&config.global.startup);
        self.shutdown.clone_from(&config.global.shutdown);
    }

    /// The engines have gone: their last notify scripts have so long before the shutdown script runs.
    pub fn wait_for_notify_scripts(&mut self, patience: Duration, now: Instant) {
        self.shutdown_at = Some(now + patience);
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.shutdown_at
    }

    /// Whether it is time for the shutdown script; said once.
    pub fn shutdown_is_due(&mut self, runs: &Runs, now: Instant) -> bool {
        self.shutdown_at.take_if(|at| *at <= now || runs.has_notified()).is_some()
    }

    /// Runs a script. False: there is none, or none that can run.
    pub fn run(&self, occasion: Occasion, runs: &mut Runs, now: Instant, out: &mut Vec<Output>) -> bool {
        let script = match occasion {
            Occasion::Startup => &self.startup,
            Occasion::Shutdown => &self.shutdown,
        };
        let Some(TimedScript { script, timeout_s }) = script else { return false };
        info!("Running {} script {}", name(occasion), script.path);
        let timeout = Duration::from_secs(u64::from(*timeout_s));
        runs.check((Role::Runner, request(occasion)), (self.config, script.id), timeout, now, out);
        true
    }

    /// One has ended: which.
    pub fn ended(request: u64, ended: &Ended) -> Option<Occasion> {
        let occasion = [Occasion::Startup, Occasion::Shutdown].into_iter().find(|it| self::request(*it) == request)?;
        let name = name(occasion);
        match ended {
            Ended::Exited(0) => info!("{name} script succeeded"),
            Ended::Exited(status) => warn!("{name} script failed, status {status}"),
            Ended::Signalled(signal) => warn!("{name} script died of signal {signal}"),
            Ended::TimedOut => warn!("{name} script timed out"),
            Ended::NotStarted(words) => error!("{name} script did not start: {words}"),
        }
        Some(occasion)
    }
}

/// Far from the numbers of tracked scripts, which the runner asks itself for, too.
fn request(occasion: Occasion) -> u64 {
    match occasion {
        Occasion::Startup => u64::MAX - 1,
        Occasion::Shutdown => u64::MAX,
    }
}

fn name(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Startup => "startup",
        Occasion::Shutdown => "shutdown",
    }
}
