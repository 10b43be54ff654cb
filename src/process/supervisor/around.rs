//! The scripts around the daemon's life: `startup_script` before any engine starts, `shutdown_script` after all have gone.
//! The runner runs them; nobody waits for it any longer than they may take.

use std::time::Duration;

use tracing::{error, info};

use super::Supervisor;
use crate::clock::Instant;
use crate::process::lifecycle::{Occasion, ToChild};
use crate::process::role::Role;

/// What ending a script, and starting it, may take beyond its own time.
const PATIENCE: Duration = Duration::from_secs(5);

impl Supervisor {
    /// The first configuration is there: everything starts, after the startup script if there is one.
    pub(super) fn begin(&mut self, now: Instant) {
        let startup_s = self.config.as_ref().and_then(|config| config.sheet.startup_s);
        self.starting = startup_s.map(|seconds| now + Duration::from_secs(seconds.into()) + PATIENCE);
        self.apply(false);
        if self.starting.is_some() {
            self.tell(Role::Runner, &ToChild::Occasion(Occasion::Startup), None);
            if !self.children.contains_key(&Role::Runner) {
                self.started();
            }
        }
    }

    /// Whether this process has to wait for the startup script.
    pub(super) fn waits(&self, role: Role) -> bool {
        self.starting.is_some() && role != Role::Runner
    }

    /// The startup script has ended, whatever it came to, or there is nobody who could run it.
    pub(super) fn started(&mut self) {
        if self.starting.take().is_some() && self.stopping.is_none() {
            self.apply(false);
        }
    }

    pub(super) fn started_by(&mut self, now: Instant) {
        if self.starting.is_some_and(|latest| latest <= now) {
            error!("the startup script does not end; starting without it");
            self.started();
        }
    }

    /// The engines have gone: asks for the shutdown script, and says until when it is waited for. `None`: there is none.
    pub(super) fn last_script(&mut self, now: Instant) -> Option<Instant> {
        let seconds = self.config.as_ref().and_then(|config| config.sheet.shutdown_s)?;
        if !self.children.contains_key(&Role::Runner) {
            error!("the shutdown script does not run: the runner process is gone");
            return None;
        }
        info!("Waiting for the shutdown script");
        self.tell(Role::Runner, &ToChild::Occasion(Occasion::Shutdown), None);
        Some(now + Duration::from_secs(seconds.into()) + PATIENCE)
    }
}
