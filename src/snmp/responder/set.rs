//! SET: all variables tested, then one command after another; undone if one fails (RFC 3416 section 4.2.5).
//!
//! The transactions are those of AgentX ([`Sets`](crate::agentx::set::Sets)): here the responder is its own master agent, and says Undo and CleanupSet.

use super::{Action, Origin, Request, Responder, Right, Security, answer};
use crate::agentx::set::{Asked, Step, Token};
use crate::bus::msg::{Generation, Reply, Source};
use crate::clock::Instant;
use crate::mib::view::View;
use crate::snmp::own::{Merged, Own};
use crate::snmp::stats::SnmpStat;
use crate::wire::agentx::ByteOrder;
use crate::wire::snmp::{ErrorStatus, Pdu};

/// A SET whose commands are under way.
#[derive(Debug, Clone)]
pub struct Pending {
    security: Security,
    to: Origin,
    request: Pdu,
    /// The commit failed: what to answer when all is undone.
    failed: Option<(ErrorStatus, u16)>,
}

impl Responder {
    /// The owner answered a command. Tokens that are not ours do nothing.
    pub fn reply(&mut self, token: Token, reply: Reply, now: Instant) -> Vec<Action> {
        let steps = self.sets.reply(token, reply, now);
        self.carry(steps, now)
    }

    /// Views now show this generation of what that engine says.
    pub fn store_at(&mut self, source: Source, generation: Generation, now: Instant) -> Vec<Action> {
        let steps = self.sets.store_at(source, generation, now);
        self.carry(steps, now)
    }

    /// Nobody waits for answers any more: SETs under way are taken back.
    #[must_use = "a command that is not sent leaves a SET half undone"]
    pub fn abandon(&mut self, now: Instant) -> Vec<Action> {
        self.pending.clear();
        let steps = self.sets.clear(now);
        self.carry(steps, now)
    }

    /// Time passed: what has come to its deadline is answered.
    pub fn wake(&mut self, now: Instant) -> Vec<Action> {
        let steps = self.sets.wake(now);
        self.carry(steps, now)
    }

    /// When to call [`wake`](Self::wake) if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.sets.deadline()
    }

    pub(super) fn set(&mut self, request: Request<'_>) -> Vec<Action> {
        let Request { security, right, pdu, origin, view, now } = request;
        let same = |pending: &Pending| pending.to == origin && pending.request == pdu && pending.security == security;
        if self.pending.values().any(same) {
            // Asked again, because we are slow; the answer will be for both.
            return vec![];
        }
        if let Err((status, index)) = self.test(right, &security, &pdu, view, now) {
            let answer = answer::error(&pdu, security.is_v1(), status, index);
            return self.respond(&security, origin, &pdu, answer, now);
        }
        let id = self.last_transaction;
        let asked = Asked { order: ByteOrder::Network, transaction: id, packet: 0, context: None };
        self.pending.insert(id, Pending { security, to: origin, request: pdu, failed: None });
        let steps = self.sets.commit(asked, now);
        self.carry(steps, now)
    }

    /// Opens a transaction if every variable can be set.
    fn test(
        &mut self,
        right: Right,
        security: &Security,
        pdu: &Pdu,
        view: &dyn View,
        now: Instant,
    ) -> Result<(), (ErrorStatus, i32)> {
        if right < Right::Write {
            if !matches!(security, Security::V3 { .. }) {
                self.stats.count(SnmpStat::InBadCommunityUses);
            }
            return Err((ErrorStatus::NO_ACCESS, i32::from(!pdu.varbinds.is_empty())));
        }
        self.last_transaction = self.last_transaction.wrapping_add(1);
        let own = Own { system: &self.system, engine: &self.usm.engine, stats: &self.stats, now };
        let view = Merged { first: &own, second: view };
        let tested = self.sets.test(self.last_transaction, &pdu.varbinds, &view, now);
        tested.map_err(|(status, index)| (status, index.into()))
    }

    fn carry(&mut self, steps: Vec<Step>, now: Instant) -> Vec<Action> {
        let mut actions = vec![];
        let mut steps = std::collections::VecDeque::from(steps);
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Command { token, command } => actions.push(Action::Command { token, command }),
                Step::Answer { to, error, index } => {
                    let id = to.transaction;
                    let Some(mut pending) = self.pending.remove(&id) else { continue };
                    if error == ErrorStatus::COMMIT_FAILED && pending.failed.is_none() {
                        pending.failed = Some((error, index));
                        self.pending.insert(id, pending);
                        steps.extend(self.sets.undo(to, now));
                        continue;
                    }
                    self.sets.clean_up(id);
                    actions.extend(self.finish(pending, error, index, now));
                }
            }
        }
        actions
    }

    fn finish(&mut self, pending: Pending, error: ErrorStatus, index: u16, now: Instant) -> Vec<Action> {
        let Pending { security, to, request, failed } = pending;
        let (status, index) = match (error, failed) {
            (ErrorStatus::NO_ERROR, Some(failed)) => failed,
            (ErrorStatus::UNDO_FAILED, _) => (ErrorStatus::UNDO_FAILED, 0),
            (ErrorStatus::NO_ERROR | ErrorStatus::COMMIT_FAILED, _) => (error, index),
            _ => (ErrorStatus::GEN_ERR, 0),
        };
        let answer = if status == ErrorStatus::NO_ERROR {
            self.stats.add(SnmpStat::InTotalSetVars, request.varbinds.len());
            request.response(request.varbinds.clone())
        } else {
            answer::error(&request, security.is_v1(), status, index.into())
        };
        self.respond(&security, to, &request, answer, now)
    }
}
