//! What the kernel says: its table, its acknowledgements and refusals, its counters.

use std::collections::{HashMap, HashSet};

use super::{AUDIT_EVERY, AUDIT_SOON, AVAILABLE_EVERY, DRIFT_LINES, Engine, Phase, log};
use crate::bus::msg::{Refusal, Reply};
use crate::bus::rows::{IpvsRow, RowKey};
use crate::check::io::{Level, Output};
use crate::check::kernel::{Answer, Slot, Verdict};
use crate::check::plan::{self, errno};
use crate::check::refusal;
use crate::check::service::{Server, server_name, service_name};
use crate::check::table::{DestinationId, Found, Load, Op, ServiceId};
use crate::clock::Instant;

impl Engine {
    /// Takes the kernel's table in. Returns what somebody else has changed there, in words.
    pub(in crate::check) fn table(&mut self, found: Vec<Found>, now: Instant, out: &mut Vec<Output>) -> Vec<String> {
        let adopt = self.kernel.available != Some(true);
        let back = self.kernel.available == Some(false);
        let ours = adopt && self.options.restarted;
        if self.kernel.available.is_none() && self.options.restarted {
            self.adopt_drained(&found, now, out);
        }
        let slots = &self.slots;
        let named = |slot: Slot, id: &ServiceId, destination: &DestinationId| {
            slots.get(slot as usize).and_then(Option::as_deref).is_some_and(|service| service.names(id, destination))
        };
        let total = found.len();
        let drift = self.kernel.absorb(found, adopt, ours, named);
        self.audit_at = Some(now + AUDIT_EVERY);
        if back {
            out.push(log(Level::Info, "IPVS is there: virtual servers are installed".into()));
        }
        if adopt && total > 0 {
            let text = format!(
                "the kernel's IPVS table held {total} services: {} of them are as configured and kept, {} entries are \
                 not in the configuration and stay",
                drift.kept, drift.unexpected
            );
            if self.flushed {
                out.push(log(Level::Info, text));
            }
        }
        for line in drift.lines.iter().take(DRIFT_LINES) {
            out.push(log(Level::Warn, format!("somebody changed the IPVS table: {line}")));
        }
        if let Some(more @ 1..) = drift.lines.len().checked_sub(DRIFT_LINES) {
            out.push(log(Level::Warn, format!("somebody changed the IPVS table: {more} differences more")));
        }
        let row = IpvsRow {
            unavailable: String::new(),
            drift_missing: drift.missing,
            drift_unexpected: drift.unexpected,
            drift_different: drift.different,
            ..self.ipvs.clone()
        };
        if row != self.ipvs {
            self.ipvs = row;
            out.push(Output::Changed(RowKey::Ipvs));
        }
        for slot in drift.owners {
            self.tell_all(slot, out);
        }
        if adopt && self.phase == Phase::Running {
            self.take_kernel(out);
        }
        drift.lines
    }

    /// After a crash: servers that have weight 0 in the kernel, for no reason of the configuration or of a check, were
    /// drained by an operator, and must not get traffic because of a crash that nobody asked for.
    pub(super) fn adopt_drained(&mut self, found: &[Found], now: Instant, out: &mut Vec<Output>) {
        let mut weights: HashMap<(ServiceId, DestinationId), u32> = HashMap::new();
        for found in found {
            weights.extend(found.destinations.iter().map(|(it, _)| ((found.service.id, it.id), it.weight)));
        }
        for slot in self.each_slot() {
            let Some(service) = self.service(slot) else { continue };
            let drained = |server: &Server| {
                let ids = service.ids.iter().filter(|id| self.kernel.owner(id) == Some(slot));
                let names = ids.filter_map(|id| Some((*id, service.server_destination(id, &server.config)?)));
                let mut there = names.filter_map(|(id, destination)| {
                    let sorry = service.sorry_destination(&id) == Some(destination);
                    weights.get(&(id, destination)).map(|weight| *weight == 0 && !sorry)
                });
                // Each that is there has weight 0, and at least one is there.
                server.keeps_weight() && there.next() == Some(true) && there.all(|zero| zero)
            };
            let places: Vec<usize> =
                (0..service.servers.len()).filter(|at| service.servers.get(*at).is_some_and(drained)).collect();
            if places.is_empty() {
                continue;
            }
            for at in places {
                let Some(service) = self.service_mut(slot) else { continue };
                let vs = service_name(service.key());
                let Some(server) = service.servers.get_mut(at) else { continue };
                server.operator = Some(0);
                let name = server_name(&service.config.server_key(&server.config));
                let text = format!("service {name} of VS {vs} was drained before the crash, and stays so");
                out.push(log(Level::Warn, text));
            }
            self.weigh(slot, now, out);
            self.want(slot);
        }
    }

    /// The kernel's table is there, for the first time or again.
    pub(super) fn take_kernel(&mut self, out: &mut Vec<Output>) {
        if self.kernel.available != Some(true) {
            return;
        }
        let mut ops = Vec::new();
        if !std::mem::replace(&mut self.flushed, true) {
            self.kernel.forget();
            ops.push(Op::Flush);
        }
        ops.extend(self.timeouts());
        if !ops.is_empty() {
            self.kernel.send_plain(ops, out);
        }
    }

    pub(super) fn no_ipvs(&mut self, error: String, now: Instant, out: &mut Vec<Output>) {
        if self.kernel.available != Some(false) {
            out.push(log(
                Level::Error,
                format!("IPVS is not there ({error}): servers are checked, but nothing is balanced until it is"),
            ));
        }
        self.kernel.lose();
        self.daemons.lose();
        self.audit_at = Some(now + AVAILABLE_EVERY);
        // The last one first: each goes back to what was before it.
        for pending in std::mem::take(&mut self.pending).into_iter().rev() {
            self.take_back(pending.slot, &pending.server, pending.set, pending.previous, now, out);
            let reply = Reply::Refused(Refusal::Kernel(errno::ENOPROTOOPT));
            out.push(Output::Reply { request: pending.request, reply });
        }
        if self.ipvs.unavailable != error {
            self.ipvs.unavailable = error;
            self.ipvs.daemons.clear();
            out.push(Output::Changed(RowKey::Ipvs));
            for service in self.slots.iter_mut().flatten() {
                service.sorry_load.clear();
                service.servers.iter_mut().for_each(|server| server.loads.clear());
            }
            for slot in self.each_slot() {
                self.tell_all(slot, out);
            }
        }
    }

    pub(super) fn kernel_answered(
        &mut self,
        batch: u64,
        index: usize,
        error: Option<i32>,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(answer) = self.kernel.answer(batch, index, error, now) else { return };
        if matches!(self.phase, Phase::Stopping) {
            if self.kernel.idle() {
                self.phase = Phase::Stopped;
            }
            return;
        }
        match &answer.op {
            Op::StartDaemon(_) | Op::StopDaemon { .. } => {
                if let Some(errno) = self.daemons.answer(&answer.op, error, now) {
                    // Its interface may be one that vrrp makes in this moment; it is tried again.
                    self.plain_refused(&answer.op, errno, out);
                }
                self.ipvs.daemons = self.daemons.running();
                out.push(Output::Changed(RowKey::Ipvs));
            }
            Op::Flush | Op::Timeouts { .. } => {
                if let Some(errno) = error {
                    let text = self.plain_refused(&answer.op, errno, out);
                    self.verdict.refused(batch, &answer.op, errno, &self.kernel, &text);
                }
            }
            _ => {}
        }
        match answer.verdict {
            Verdict::Done => {}
            Verdict::Surprise(errno) => {
                self.weight_again(&answer.op);
                self.audit_at = Some(self.audit_at.map_or(now, |at| at.min(now + AUDIT_SOON)));
                let text = format!("{}: {}", self.describe(&answer.op), refusal::explain(&answer.op, errno));
                out.push(log(Level::Warn, format!("the IPVS table is not as expected: {text}")));
            }
            Verdict::Refused { errno, news } => {
                if plan::subject(&answer.op).is_some() {
                    self.ipvs.operations_failed += 1;
                    out.push(Output::Counted(RowKey::Ipvs));
                    if news {
                        let text = refusal::explain(&answer.op, errno);
                        let (place, what) = (self.locate(&answer), self.describe(&answer.op));
                        let line = format!("{place}IPVS refused to {what}: {text}");
                        self.verdict.refused(batch, &answer.op, errno, &self.kernel, &line);
                        out.push(log(Level::Error, line));
                    }
                }
                self.weight_refused(&answer.op, errno, now, out);
            }
            Verdict::Consequence => self.weight_again(&answer.op),
        }
        if let Some(slot) = answer.owner {
            self.tell_kernel(slot, &answer.op, out);
        }
        if let Some(id) = answer.released {
            self.weight_confirmed(id, batch, out);
        }
    }

    fn plain_refused(&mut self, op: &Op, errno: i32, out: &mut Vec<Output>) -> String {
        self.ipvs.operations_failed += 1;
        let place = match (op, self.daemons.config()) {
            (Op::StartDaemon(_) | Op::StopDaemon { .. }, Some(config)) => format!("{}: ", config.location),
            _ => String::new(),
        };
        let text = format!("{place}IPVS refused to {}: {}", self.describe(op), refusal::explain(op, errno));
        out.push(log(Level::Error, text.clone()));
        out.push(Output::Counted(RowKey::Ipvs));
        text
    }

    /// File and line of the directive that an operation is about.
    pub(super) fn locate(&self, answer: &Answer) -> String {
        let Some(service) = answer.owner.and_then(|slot| self.service(slot)) else { return String::new() };
        let destination = plan::destination(&answer.op);
        let server = plan::subject(&answer.op).zip(destination).and_then(|(id, it)| service.position_of(&id, &it));
        let server = server.and_then(|at| service.servers.get(at)).map(|server| &server.config.location);
        let sorry = destination.and(service.config.sorry.as_ref()).map(|sorry| &sorry.location);
        format!("{}: ", server.or(sorry).unwrap_or(&service.config.location))
    }

    pub(super) fn describe(&self, op: &Op) -> String {
        let name = |id: &ServiceId| self.service_of(id).map_or_else(|| id.to_string(), service_name);
        match op {
            Op::AddService(service) => format!("add the virtual server {}", service.id),
            Op::EditService(service) => format!("change the virtual server {}", service.id),
            Op::DeleteService(id) => format!("remove the virtual server {id}"),
            Op::AddDestination(id, it) => format!("add {} to VS {}", it.id, name(id)),
            Op::EditDestination(id, it) => format!("change {} of VS {}", it.id, name(id)),
            Op::DeleteDestination(id, it) => format!("remove {it} from VS {}", name(id)),
            Op::Flush => "flush the table".into(),
            Op::Timeouts { .. } => "set lvs_timeouts".into(),
            Op::StartDaemon(daemon) => format!("start the {:?} sync daemon on {}", daemon.role, daemon.interface),
            Op::StopDaemon { role, .. } => format!("stop the {role:?} sync daemon"),
        }
    }

    /// Counters of one kernel service.
    pub(super) fn statistics(&mut self, found: Found, out: &mut Vec<Output>) {
        let id = found.service.id;
        let Some(service) = self.kernel.owner(&id).and_then(|slot| self.service_mut(slot)) else { return };
        let mut told = Vec::new();
        // What the kernel no longer has carries nothing: its last load must not stand for ever.
        let there: HashSet<DestinationId> = found.destinations.iter().map(|(it, _)| it.id).collect();
        let absent = |it: Option<DestinationId>| it.is_none_or(|it| !there.contains(&it));
        for at in 0..service.servers.len() {
            let destination = service.servers.get(at).and_then(|it| service.server_destination(&id, &it.config));
            let Some(server) = service.servers.get_mut(at).filter(|_| absent(destination)) else { continue };
            if server.loads.remove(&id).is_some_and(|it| it != Load::default()) {
                told.push(RowKey::Server(service.config.server_key(&server.config)));
            }
        }
        if absent(service.sorry_destination(&id))
            && service.sorry_load.remove(&id).is_some_and(|it| it != Load::default())
        {
            told.extend(service.config.sorry_key().map(RowKey::Server));
        }
        if service.stats.insert(id, found.stats) != Some(found.stats) {
            told.push(RowKey::Service(service.key().clone()));
        }
        for (destination, load) in found.destinations {
            let at = service.position_of(&id, &destination.id);
            if let Some(at) = at
                && let Some(server) = service.servers.get_mut(at)
                && server.loads.insert(id, load) != Some(load)
            {
                let server = service.config.server_key(&server.config);
                told.push(RowKey::Server(server));
            }
            let sorry = service.sorry_destination(&id) == Some(destination.id);
            if sorry && service.sorry_load.insert(id, load) != Some(load) {
                told.extend(service.config.sorry_key().map(RowKey::Server));
            }
        }
        out.extend(told.into_iter().map(Output::Counted));
    }
}
