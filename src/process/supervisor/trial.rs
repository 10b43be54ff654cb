//! A new configuration is on trial until every process has it in force. If one cannot take it, or dies of it, all of them get
//! back the one before.

use std::process::ExitStatus;

use tracing::error;

use super::children::roles;
use super::report::Told;
use super::{InForce, REFUSED, RESPAWN_FIRST, Supervisor};
use crate::bus::msg::ConfigGeneration;
use crate::clock::{self, Instant};
use crate::process::lifecycle::ToChild;
use crate::process::role::Role;

/// What is gone back to.
pub(super) struct Trial {
    pub(super) before: InForce,
    pub(super) told: Told,
    pub(super) since: Instant,
}

impl Supervisor {
    /// A process says that it cannot have this configuration in force, as the kernel refuses part of it, say.
    pub(super) fn cannot_take(&mut self, role: Role, config: ConfigGeneration, why: &str) {
        // Who leaves has nothing to go back to.
        if config != self.generation || self.stopping.is_some() {
            return;
        }
        if watches(role) {
            error!("the {} process cannot do all that the configuration says: {why}", role.name());
            return self.takes(role, config);
        }
        if self.trial.is_some() {
            return self.take_back(&format!("the {} process cannot take it: {why}", role.name()));
        }
        // There is nothing to go back to: as much of it as is possible is in force.
        error!("the {} process cannot do all that the configuration says: {why}", role.name());
        self.takes(role, config);
    }

    fn takes(&mut self, role: Role, config: ConfigGeneration) {
        if let Some(child) = self.children.get_mut(&role) {
            child.ready = config;
        }
    }

    /// Every process that does something has it in force: there is no way back any more.
    pub(super) fn end_trial(&mut self) {
        let all = || self.children.iter().map(|(role, child)| (watches(*role), child.ready == self.generation));
        let engines = all().any(|(watches, _)| !watches);
        let mut in_question = all().filter(|(watches, _)| !engines || !watches);
        if self.starting.is_none() && !self.children.is_empty() && in_question.all(|(_, ready)| ready) {
            self.trial = None;
            self.dismiss();
        }
    }

    /// Whether this process has died of what is on trial, before it had it in force; then that is not on trial any more, and
    /// whoever is missing was started again.
    pub(super) fn died_of_trial(&mut self, role: Role, ready: ConfigGeneration, status: ExitStatus) -> bool {
        let Some(trial) = &self.trial else { return false };
        // One that was not well before has not died of this, and one that ends well was told to by the configuration before.
        let ailing = ready == 0 && roles(&trial.before.sheet).contains(&role);
        if ready == self.generation || watches(role) || ailing || status.success() || self.options.dont_respawn {
            return false;
        }
        // Whoever comes in its place goes on where it was.
        self.respawn.insert(role, (clock::now(), RESPAWN_FIRST));
        self.take_back(&format!("the {} process died of it ({status})", role.name()));
        true
    }

    fn take_back(&mut self, why: &str) {
        let Some(Trial { before, told, .. }) = self.trial.take() else { return };
        error!("reload taken back, the configuration before is put in force again: {why}");
        self.generation += 1;
        let released = self.release(&before.sheet);
        self.settle(&before.sheet);
        self.config = Some(before);
        self.taken_back = true;
        self.records.taken_back(told, format!("error: {why}\n"));
        self.not_in_force();
        self.apply(true);
        for endpoint in released {
            self.tell(Role::Bridge, &ToChild::StreamReleased { endpoint }, None);
        }
        self.systemd.ready(REFUSED);
    }
}

/// What happens to monitoring, by whomever, is no reason to refuse VRRP its configuration.
pub(super) fn watches(role: Role) -> bool {
    matches!(role, Role::Bridge | Role::Rrd)
}
