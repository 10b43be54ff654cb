//! The end: engines first, then those who hear their last words.

use std::time::Duration;

use tracing::{error, info};

use super::{BRIDGE_PATIENCE, LOAD_PATIENCE, RESPAWN_FIRST, STOP_PATIENCE, STOP_PATIENCE_MIN, Supervisor};
use crate::clock::{self, Instant};
use crate::process::lifecycle::ToChild;
use crate::process::role::Role;

pub(super) struct Stopping {
    status: i32,
    pub(super) deadline: Instant,
    bridge_told: bool,
    last_script: LastScript,
}

/// The shutdown script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastScript {
    NotYet,
    Running,
    Over,
}

impl Supervisor {
    pub(super) fn stop(&mut self, status: i32) {
        if let Some(stopping) = &mut self.stopping {
            stopping.status = stopping.status.max(status);
            return;
        }
        info!("Stopping");
        self.systemd.stopping();
        if let Some(loading) = &mut self.loading {
            let _ = loading.process.kill();
        }
        // An engine that waits to be started again has left addresses or a table behind, which only it can take away.
        let waiting: Vec<Role> = self.respawn.keys().copied().filter(|role| role.is_engine()).collect();
        for role in waiting {
            self.start(role, RESPAWN_FIRST);
        }
        self.respawn.clear();
        let engines: Vec<Role> = self.children.keys().copied().filter(|role| role.is_engine()).collect();
        for role in engines {
            self.tell(role, &ToChild::Stop, None);
        }
        let configured = self.config.as_ref().and_then(|config| config.sheet.process.child_wait_s);
        let patience = configured.map_or(STOP_PATIENCE, |seconds| Duration::from_secs(seconds.into()));
        let deadline = clock::now() + patience.max(STOP_PATIENCE_MIN);
        self.stopping = Some(Stopping { status, deadline, bridge_told: false, last_script: LastScript::NotYet });
    }

    /// The shutdown script has ended, or will not run.
    pub(super) fn last_script_over(&mut self) {
        if let Some(stopping) = &mut self.stopping {
            stopping.last_script = LastScript::Over;
        }
    }

    /// The engines have gone. Whether the others may go, too.
    fn last_script_has_run(&mut self, now: Instant) -> bool {
        let Some(stopping) = &mut self.stopping else { return true };
        match stopping.last_script {
            LastScript::NotYet => {
                stopping.last_script = LastScript::Running;
                let until = self.last_script(now);
                match (until, &mut self.stopping) {
                    (Some(until), Some(stopping)) => stopping.deadline = until,
                    _ => self.last_script_over(),
                }
                until.is_none()
            }
            LastScript::Running if now >= stopping.deadline => {
                error!("the shutdown script does not end; stopping without it");
                stopping.last_script = LastScript::Over;
                true
            }
            LastScript::Running => false,
            LastScript::Over => true,
        }
    }

    pub(super) fn act_on_time(&mut self, now: Instant) -> Option<i32> {
        if let Some(loading) = &mut self.loading
            && now >= loading.started + LOAD_PATIENCE
        {
            error!("the configuration could not be read within {} s", LOAD_PATIENCE.as_secs());
            let _ = loading.process.kill();
            loading.started = now;
        }
        if self.stopping.is_none() {
            self.started_by(now);
            let due: Vec<(Role, Duration)> =
                self.respawn.iter().filter(|(_, (at, _))| *at <= now).map(|(&role, &(_, next))| (role, next)).collect();
            for (role, backoff) in due {
                self.start(role, backoff);
            }
            return None;
        }
        // Engines first; the bridge hears their last words, the runner starts their last scripts, and then they go.
        let engines_gone = !self.children.keys().any(|role| role.is_engine());
        if engines_gone && !self.last_script_has_run(now) {
            return None;
        }
        let stopping = self.stopping.as_mut()?;
        if engines_gone && !stopping.bridge_told {
            stopping.bridge_told = true;
            stopping.deadline = now + BRIDGE_PATIENCE;
            for role in [Role::Runner, Role::Rrd, Role::Bridge] {
                self.tell(role, &ToChild::Stop, None);
            }
        }
        let stopping = self.stopping.as_mut()?;
        if now >= stopping.deadline {
            for (role, child) in &mut self.children {
                if role.is_engine() || stopping.bridge_told {
                    if role.is_engine() {
                        error!("The {} process does not stop; killing it", role.name());
                    }
                    let _ = child.process.kill();
                    let _ = child.process.wait();
                }
            }
            let bridge_told = stopping.bridge_told;
            self.children.retain(|role, _| !role.is_engine() && !bridge_told);
            if !self.children.is_empty() {
                return self.act_on_time(now);
            }
        }
        if self.children.is_empty() {
            info!("Stopped");
            return self.stopping.as_ref().map(|stopping| stopping.status);
        }
        None
    }
}
