//! A new configuration is on trial until every process has it in force. If one cannot take it, or dies of it, all of them get
//! back the one before.

use tracing::error;

use super::report::Told;
use super::{InForce, REFUSED, Supervisor};
use crate::bus::msg::ConfigGeneration;
use crate::process::lifecycle::ToChild;
use crate::process::role::Role;

/// What is gone back to.
pub(super) struct Trial {
    pub(super) before: InForce,
    pub(super) told: Told,
}

impl Supervisor {
    /// A process says that it cannot have this configuration in force, as the kernel refuses part of it, say.
    pub(super) fn cannot_take(&mut self, role: Role, config: ConfigGeneration, why: &str) {
        if config != self.generation {
            return;
        }
        if self.trial.is_some() {
            return self.take_back(&format!("the {} process cannot take it: {why}", role.name()));
        }
        // There is nothing to go back to: as much of it as is possible is in force.
        error!("the {} process cannot do all that the configuration says: {why}", role.name());
        if let Some(child) = self.children.get_mut(&role) {
            child.ready = config;
        }
    }

    /// Whether this process has died before it had in force what is on trial; then that is not on trial any more, and whoever is
    /// missing was started again.
    pub(super) fn died_of_trial(&mut self, role: Role, ready: ConfigGeneration, how: &dyn std::fmt::Display) -> bool {
        // What happens to monitoring, by whomever, is no reason to refuse VRRP its configuration.
        let watches = matches!(role, Role::Bridge | Role::Rrd);
        if self.trial.is_none() || ready == self.generation || watches || self.options.dont_respawn {
            return false;
        }
        self.take_back(&format!("the {} process died of it ({how})", role.name()));
        true
    }

    fn take_back(&mut self, why: &str) {
        let Some(Trial { before, told }) = self.trial.take() else { return };
        error!("reload taken back, the configuration before is put in force again: {why}");
        self.generation += 1;
        let released = self.release(&before.sheet);
        self.settle(&before.sheet);
        self.config = Some(before);
        self.records.taken_back(told, format!("error: {why}\n"));
        self.apply();
        for endpoint in released {
            self.tell(Role::Bridge, &ToChild::StreamReleased { endpoint }, None);
        }
        self.systemd.ready(REFUSED);
    }
}
