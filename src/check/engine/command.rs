//! What operators ask for: weights, until the kernel has them or has refused them.

use std::collections::BTreeMap;

use super::{Engine, Pending, Phase, Waiting};
use crate::bus::msg::{Command, Refusal, Reply};
use crate::check::io::Output;
use crate::check::kernel::Slot;
use crate::check::plan::{self, errno};
use crate::check::service::WEIGHT_MAX;
use crate::check::table::{Op, ServiceId};
use crate::clock::Instant;
use crate::conf::model::ServerKey;

impl Engine {
    pub(super) fn command(&mut self, request: u64, command: Command, now: Instant, out: &mut Vec<Output>) {
        let (server, set) = match command {
            Command::SetWeight { server, weight } => (server, Some(weight.min(WEIGHT_MAX))),
            Command::ResetWeight { server } => (server, None),
            Command::SetPriority { .. }
            | Command::SetPreempt { .. }
            | Command::StandDown { .. }
            | Command::Announce { .. } => {
                return out.push(Output::Reply { request, reply: Reply::Refused(Refusal::NoSuchInstance) });
            }
        };
        let slot = self.names.get(&server.service).copied().filter(|_| !server.sorry);
        let place = slot.and_then(|slot| Some((slot, self.service(slot)?.position(server.address, server.port)?)));
        let Some((slot, at)) = place else {
            return out.push(Output::Reply { request, reply: Reply::Refused(Refusal::NoSuchServer) });
        };
        let absent = self.phase == Phase::Running && self.kernel.available != Some(true);
        let Some(real) = self.service_mut(slot).and_then(|service| service.servers.get_mut(at)) else { return };
        if absent && real.alive {
            // It should be in a table that is not there. Of a server that is down the kernel would not hear anyway.
            return out.push(Output::Reply { request, reply: Reply::Refused(Refusal::Kernel(errno::ENOPROTOOPT)) });
        }
        let previous = std::mem::replace(&mut real.operator, set);
        let undo = match previous {
            Some(weight) => Command::SetWeight { server: server.clone(), weight },
            None => Command::ResetWeight { server: server.clone() },
        };
        let changed = previous != set;
        if let Some(before) = &mut self.weights_before {
            before.set(&server, set);
        }
        if changed {
            self.weight_changed(slot, at, "an operator", now, out);
        }
        let Some(service) = self.service(slot) else { return };
        let open = service.ids.iter().filter(|id| self.kernel.owner(id) == Some(slot)).filter_map(|id| {
            // Also if it is not to be there any more: who drains the pool below its quorum brings the sorry server in.
            let real = service.servers.get(at)?;
            let destination = service.server_destination(id, &real.config)?;
            (!self.kernel.settled(id, &destination)).then_some((*id, Waiting { destination, batch: None }))
        });
        let mut waiting: BTreeMap<ServiceId, Waiting> = open.collect();
        // A kernel service that does not take this server at all keeps the weight from no other. If none takes it, they are
        // asked again.
        let takes = |id: &ServiceId| {
            let destination = service.servers.get(at).and_then(|real| service.server_destination(id, &real.config));
            self.kernel.owner(id) == Some(slot) && destination.is_some_and(|it| !self.kernel.refuses(id, &it))
        };
        if service.ids.iter().any(takes) {
            waiting.retain(|id, _| takes(id));
        }
        if waiting.is_empty() || absent || self.phase == Phase::Waiting {
            return out.push(Output::Reply { request, reply: Reply::Done { undo, visible_at: 0 } });
        }
        for id in waiting.keys() {
            self.kernel.hurry(*id);
        }
        self.pending.push(Pending { request, slot, server, undo, set, previous, waiting });
    }

    /// A kernel service has answered a whole batch: weights that it was to confirm are confirmed.
    pub(super) fn weight_confirmed(&mut self, id: ServiceId, batch: u64, out: &mut Vec<Output>) {
        for pending in &mut self.pending {
            if pending.waiting.get(&id).is_some_and(|it| it.batch == Some(batch)) {
                pending.waiting.remove(&id);
            }
        }
        self.reply_confirmed(out);
    }

    /// The table was not as expected, and the next batch has what this one did not bring.
    pub(super) fn weight_again(&mut self, op: &Op) {
        let (Some(id), about) = (plan::subject(op), plan::destination(op)) else { return };
        for pending in &mut self.pending {
            if let Some(waiting) = pending.waiting.get_mut(&id)
                && about.is_none_or(|about| about == waiting.destination)
            {
                waiting.batch = None;
            }
        }
    }

    pub(super) fn reply_confirmed(&mut self, out: &mut Vec<Output>) {
        self.pending.retain_mut(|pending| {
            if !pending.waiting.is_empty() {
                return true;
            }
            let undo = pending.undo.clone();
            out.push(Output::Reply { request: pending.request, reply: Reply::Done { undo, visible_at: 0 } });
            false
        });
    }

    /// The kernel did not take an operation: weights that hang on it are taken back.
    pub(super) fn weight_refused(&mut self, op: &Op, errno: i32, now: Instant, out: &mut Vec<Output>) {
        let Some(id) = plan::subject(op) else { return };
        let about = plan::destination(op);
        let hit = |it: &Pending| {
            let waiting = it.waiting.get(&id).filter(|it| it.batch.is_some());
            waiting.is_some_and(|it| about.is_none_or(|about| about == it.destination))
        };
        for at in (0..self.pending.len()).rev() {
            if !self.pending.get(at).is_some_and(hit) {
                continue;
            }
            let pending = self.pending.remove(at);
            let later = self.pending.get_mut(at..).unwrap_or_default();
            match later.iter_mut().find(|it| it.server == pending.server) {
                // What came after it goes back, if it must, to what was before both.
                Some(next) => (next.previous, next.undo) = (pending.previous, pending.undo),
                None => self.take_back(pending.slot, &pending.server, pending.set, pending.previous, now, out),
            }
            let reply = Reply::Refused(Refusal::Kernel(errno));
            out.push(Output::Reply { request: pending.request, reply });
        }
    }

    /// Commands whose server or kernel services left with a reload are answered.
    pub(in crate::check) fn reconsider_pending(&mut self, out: &mut Vec<Output>) {
        for mut pending in std::mem::take(&mut self.pending) {
            let slot = self.names.get(&pending.server.service).copied();
            let service = slot.and_then(|slot| self.service(slot));
            let there = service.filter(|it| it.position(pending.server.address, pending.server.port).is_some());
            let Some(service) = there else {
                let reply = Reply::Refused(Refusal::NoSuchServer);
                out.push(Output::Reply { request: pending.request, reply });
                continue;
            };
            pending.waiting.retain(|id, _| service.ids.contains(id));
            self.pending.push(pending);
        }
        self.reply_confirmed(out);
    }

    pub(super) fn take_back(
        &mut self,
        slot: Slot,
        server: &ServerKey,
        set: Option<u32>,
        previous: Option<u32>,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let at = self.service(slot).and_then(|service| service.position(server.address, server.port));
        let Some(at) = at else { return };
        let real = self.service_mut(slot).and_then(|service| service.servers.get_mut(at));
        if let Some(real) = real
            && real.operator == set
            && set != previous
        {
            real.operator = previous;
            if let Some(before) = &mut self.weights_before {
                before.set(server, previous);
            }
            self.weight_changed(slot, at, "the kernel's refusal", now, out);
        }
    }
}
