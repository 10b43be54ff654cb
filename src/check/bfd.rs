//! BFD_CHECK: a session that the vrrp process keeps says whether the server can be reached.

use super::engine::Engine;
use super::io::{Cause, Output};
use super::machine::Change;
use super::service::CheckerId;
use crate::bus::rows::RowKey;
use crate::clock::Instant;
use crate::conf::model::Check;

impl Engine {
    pub(super) fn session_changed(&mut self, session: String, up: bool, now: Instant, out: &mut Vec<Output>) {
        for id in self.users_of(&session) {
            self.session_spoke(id, up, now, out);
        }
        self.sessions.insert(session, up);
    }

    /// Whether a session is up; `None`: nothing was said of it yet.
    pub(super) fn known_session(&self, name: &str) -> Option<bool> {
        self.sessions.get(name).copied()
    }

    /// Sessions change seldom: their checkers are looked for when they do.
    fn users_of(&self, session: &str) -> Vec<CheckerId> {
        let uses = |id: &CheckerId| {
            self.probe(*id).is_some_and(|probe| matches!(&probe.config.check, Check::Bfd(name) if name == session))
        };
        let mut users: Vec<CheckerId> = self.places.keys().copied().filter(uses).collect();
        users.sort_unstable();
        users
    }

    fn session_spoke(&mut self, id: CheckerId, up: bool, now: Instant, out: &mut Vec<Output>) {
        let since = self.wall(now);
        let Some(probe) = self.probe_mut(id) else { return };
        let text = match &probe.config.check {
            Check::Bfd(name) if !up => format!("BFD session {name} is down"),
            _ => String::new(),
        };
        let first = !probe.machine.has_run();
        let change = probe.machine.told(up);
        if change != Change::None {
            probe.since = since;
        }
        probe.error.clone_from(&text);
        match up {
            true => probe.passed = probe.passed.saturating_add(1),
            false => probe.failed = probe.failed.saturating_add(1),
        }
        let check = probe.config.check.clone();
        self.times.found(&check, (!up).then_some(Cause::Unreachable));
        if let Some(checker) = self.checker_key(id) {
            out.push(Output::Counted(RowKey::Server(checker.server)));
        }
        self.log_result(id, change, first, up, &text, out);
        self.checker_told(id, change, first, &text, now, out);
    }
}
