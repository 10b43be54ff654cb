//! A new configuration, applied as the difference to the old one.
//!
//! What did not change keeps its state, counters and deadlines, also when it moved to another line: a weight is one
//! operation of the kernel, a service's setting is one. An operator's weight stays with a server that is as it was.
//! New servers of a running virtual server start up, or down with `alpha`, as at start.
//!
//! Whoever applies one may ask for the kernel's table first ([`Engine::survey`], [`Engine::compare`]): then it is known what somebody
//! else has changed there, and one plan mends that and brings what is new.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::engine::{Engine, Phase, log};
use super::io::{Level, Output};
use super::kernel::{Kernel, Slot};
use super::service::{CheckerId, Probe, Server, Service, ids, server_name, service_name};
use crate::bus::rows::RowKey;
use crate::check::plan::{Wanted, destination, errno, subject};
use crate::check::table::{DestinationId, Found, Op, ServiceId};
use crate::clock::Instant;
use crate::conf::model::{
    Check, Checker, CheckerKey, Config, Location, RealServer, Script, ScriptId, ServerKey, ServiceKey, VirtualServer,
};

/// What the kernel thinks of a configuration that was applied, until it has answered everything.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    open: bool,
    after: u64,
    /// What was to be mended when the configuration came, and as what: if that is refused it is no matter of the new one.
    mended: BTreeMap<ServiceId, Option<Wanted>>,
    /// In words, with what each is about; not more than anybody reads.
    refusals: Vec<(Option<ServiceId>, Option<DestinationId>, String)>,
}

/// What operators had set before a configuration that may be taken back.
#[derive(Debug, Default)]
pub(super) struct Weights(HashMap<ServerKey, u32>);

impl Weights {
    /// An operator says something else meanwhile.
    pub(super) fn set(&mut self, server: &ServerKey, weight: Option<u32>) {
        match weight {
            Some(weight) => self.0.insert(server.clone(), weight),
            None => self.0.remove(server),
        };
    }
}

impl Verdict {
    const REFUSALS_MAX: usize = 8;

    /// What is asked of the kernel after this batch is its matter; and what was asked for the configuration before it, as long as
    /// nobody has heard the verdict on that.
    fn begin(&mut self, kernel: &Kernel) {
        if !self.open {
            *self = Verdict { after: kernel.batches(), mended: kernel.unplanned(), ..Verdict::default() };
        }
        self.open = true;
    }

    /// The kernel has refused something that it has not refused before. Where it had no room, or its answer got lost, it will be
    /// asked again.
    pub(super) fn refused(&mut self, batch: u64, op: &Op, errno: i32, kernel: &Kernel, line: &str) {
        let passes = matches!(errno, errno::ENOBUFS | errno::ENOMEM | errno::EIO | errno::ETIMEDOUT);
        if !self.open || batch <= self.after || passes || self.refusals.len() >= Self::REFUSALS_MAX {
            return;
        }
        let id = subject(op);
        let mends = id.and_then(|id| Some((id, self.mended.get(&id)?)));
        if mends.is_none_or(|(id, before)| kernel.wanted(&id) != before.as_ref()) {
            self.refusals.push((id, destination(op), line.to_owned()));
        }
    }
}

impl Engine {
    /// Whether the kernel has answered everything that the last [`Self::apply`] has led to. Then, and only once, what it has
    /// refused of it; `patience_is_over` takes what was said so far for everything.
    pub fn verdict(&mut self, patience_is_over: bool) -> Option<Vec<String>> {
        if !self.verdict.open || !(self.kernel.at_rest() || patience_is_over) {
            return None;
        }
        self.verdict.open = false;
        // Some may be of a configuration that was replaced before it was heard of.
        let stands = |id: &Option<ServiceId>, about| id.is_none_or(|id| self.kernel.lacks(&id, about));
        let refusals = std::mem::take(&mut self.verdict.refusals).into_iter();
        Some(refusals.filter(|(id, about, _)| stands(id, *about)).map(|(.., line)| line).collect())
    }

    /// There is to be a verdict on the first configuration.
    pub fn on_trial(&mut self) {
        self.verdict = Verdict { open: true, after: self.kernel.batches(), ..Verdict::default() };
    }

    /// Asks for the kernel's table before a configuration is applied. False: there is none to ask for.
    pub fn survey(&mut self, now: Instant, out: &mut Vec<Output>) -> bool {
        let there = self.phase == Phase::Running && self.kernel.available == Some(true);
        if there {
            self.audit(now, out);
        }
        there
    }

    /// Takes the table in, and tells what somebody else has changed there. It is mended with what [`Self::apply`] brings, which is
    /// to follow.
    pub fn compare(&mut self, found: Vec<Found>, now: Instant, out: &mut Vec<Output>) -> Vec<String> {
        match self.phase {
            Phase::Running => self.table(found, now, out),
            Phase::Waiting | Phase::Stopping | Phase::Stopped => Vec::new(),
        }
    }

    /// How much was asked of the kernel so far, if it has answered it all: for [`Self::look`].
    pub fn batches(&self) -> Option<u64> {
        (self.phase == Phase::Running && self.kernel.available == Some(true) && self.kernel.idle())
            .then(|| self.kernel.batches())
    }

    /// Tells what somebody else has changed in the table that was listed after so many batches, and does nothing about it. Nobody
    /// can tell if there were more meanwhile.
    pub fn look(&self, found: Vec<Found>, batches: u64) -> Vec<String> {
        if self.batches() != Some(batches) {
            return Vec::new();
        }
        self.kernel.inspect(found, |slot, id, destination| {
            self.service(slot).is_some_and(|service| service.names(id, destination))
        })
    }

    /// Goes back to `before`, which was in force until a moment ago: operators' weights are what they were.
    pub fn go_back(&mut self, before: &Config, now: Instant, out: &mut Vec<Output>) {
        self.change_over(before, true, now, out);
    }

    /// Goes over to `new`. Numbers of scripts are the new configuration's from here on.
    ///
    /// Every row is reported as changed; those that [`Engine::row`] no longer knows are gone.
    pub fn apply(&mut self, new: &Config, now: Instant, out: &mut Vec<Output>) {
        self.change_over(new, false, now, out);
    }

    fn change_over(&mut self, new: &Config, back: bool, now: Instant, out: &mut Vec<Output>) {
        if matches!(self.phase, Phase::Stopping | Phase::Stopped) {
            return;
        }
        if !back && !self.verdict.open {
            self.weights_before = Some(self.operators_weights());
        }
        self.verdict.begin(&self.kernel);
        self.audit_soon(now);
        let mut keys: BTreeSet<RowKey> = self.keys().into_iter().collect();
        let timeouts = self.timeouts();
        self.global = new.global.clone();
        self.groups = new.groups.clone();
        let wanted: HashMap<&ServiceKey, (u32, &VirtualServer)> =
            (1..).zip(&new.services).map(|(index, service)| (&service.key, (index, service))).collect();

        let (mut kept, mut abandoned) = (Vec::new(), Vec::new());
        for slot in self.each_slot() {
            let Some(key) = self.service(slot).map(|service| service.key().clone()) else { continue };
            match wanted.get(&key) {
                None => self.retire(slot, &mut abandoned, out),
                Some((index, service)) => {
                    self.change(slot, *index, service, now, &mut abandoned, out);
                    kept.push(slot);
                }
            }
        }
        let mut added = Vec::new();
        for (index, service) in (1..).zip(&new.services) {
            if !self.names.contains_key(&service.key) {
                added.push(self.adopt(service, index, now));
            }
        }
        if back {
            self.restore_weights(out);
        }
        self.reindex();
        out.extend(abandoned.into_iter().map(|checker| Output::Abandon { checker }));
        if self.phase == Phase::Running {
            if self.timeouts() != timeouts
                && self.kernel.available == Some(true)
                && let Some(op) = self.timeouts()
            {
                self.kernel.send_plain(vec![op], out);
            }
            self.reconfigure_daemons();
            for slot in kept {
                self.follow_up(slot, now, out);
            }
            for slot in added {
                self.start_service(slot, now, out);
            }
            self.reconsider_pending(out);
        }
        self.settle(now, out);
        // All rows are told.
        self.times.take_moved();
        keys.extend(self.keys());
        out.extend(keys.into_iter().map(Output::Changed));
    }

    fn operators_weights(&self) -> Weights {
        let services = self.slots.iter().flatten();
        let servers = services.flat_map(|service| service.servers.iter().map(move |server| (service, server)));
        Weights(servers.filter_map(|(service, server)| Some((service.server_key(server), server.operator?))).collect())
    }

    fn restore_weights(&mut self, out: &mut Vec<Output>) {
        // One that was started meanwhile has taken over what it found.
        let Some(Weights(before)) = self.weights_before.take() else { return };
        for Service { config, servers, .. } in self.slots.iter_mut().flatten().map(|it| &mut **it) {
            for server in servers {
                let key = config.server_key(&server.config);
                let weight = before.get(&key).copied();
                if std::mem::replace(&mut server.operator, weight) == weight {
                    continue;
                }
                if let Some(weight) = weight {
                    let (server, vs) = (server_name(&key), service_name(&config.key));
                    let text =
                        format!("service {server} of VS {vs} has weight {weight} again, as an operator had set it");
                    out.push(log(Level::Info, text));
                }
            }
        }
    }

    /// A virtual server left the configuration.
    fn retire(&mut self, slot: Slot, abandoned: &mut Vec<CheckerKey>, out: &mut Vec<Output>) {
        let Some(service) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        self.names.remove(service.key());
        out.push(log(Level::Info, format!("VS {} no longer exists", service_name(service.key()))));
        for server in &service.servers {
            let key = service.server_key(server);
            abandoned.extend(
                (0..)
                    .zip(&server.checkers)
                    .filter(|(_, probe)| probe.machine.attempt().is_some())
                    .map(|(number, _)| CheckerKey { server: key.clone(), number }),
            );
        }
        for id in &service.ids {
            if self.kernel.owner(id) == Some(slot) {
                self.kernel.want(*id, None, None);
            }
        }
    }

    /// A virtual server stays, perhaps with other settings and servers.
    fn change(
        &mut self,
        slot: Slot,
        index: u32,
        new: &VirtualServer,
        now: Instant,
        abandoned: &mut Vec<CheckerKey>,
        out: &mut Vec<Output>,
    ) {
        let since = self.wall(now);
        let new_ids = ids(new, &self.groups);
        let Some(service) = self.service_mut(slot) else { return };
        let gone: BTreeSet<_> = service.ids.iter().copied().collect();
        let gone: Vec<_> = gone.difference(&new_ids.iter().copied().collect()).copied().collect();
        for id in &gone {
            service.stats.remove(id);
            service.sorry_load.remove(id);
            for server in &mut service.servers {
                server.loads.remove(id);
            }
        }
        if service.config.sorry_key() != new.sorry_key() {
            service.sorry_load.clear();
        }
        service.ids = new_ids;
        service.index = index;
        service.config = VirtualServer { servers: Vec::new(), ..new.clone() };
        let vs = service_name(service.key());
        let mut old: BTreeMap<_, Server> = std::mem::take(&mut service.servers)
            .into_iter()
            .map(|server| ((server.config.address, server.config.port), server))
            .collect();
        let mut servers = Vec::with_capacity(new.servers.len());
        for config in &new.servers {
            let key = new.server_key(config);
            match old.remove(&(config.address, config.port)) {
                Some(server) => servers.push(self.change_server(server, config, now, |number| {
                    abandoned.push(CheckerKey { server: key.clone(), number });
                })),
                None => {
                    out.push(log(Level::Info, format!("service {} is new in VS {vs}", server_name(&key))));
                    servers.push(self.new_server(config, since));
                }
            }
        }
        for server in old.into_values() {
            let key = new.server_key(&server.config);
            out.push(log(Level::Info, format!("service {} no longer exists in VS {vs}", server_name(&key))));
            let probing = (0..).zip(&server.checkers).filter(|(_, probe)| probe.machine.attempt().is_some());
            abandoned.extend(probing.map(|(number, _)| CheckerKey { server: key.clone(), number }));
        }
        if let Some(service) = self.service_mut(slot) {
            service.servers = servers;
        }
        for id in gone {
            if self.kernel.owner(&id) == Some(slot) {
                self.kernel.want(id, None, None);
            }
        }
    }

    fn change_server(&mut self, old: Server, new: &RealServer, now: Instant, mut abandon: impl FnMut(u32)) -> Server {
        let since = self.wall(now);
        let same_checks = old.checkers.len() == new.checkers.len()
            && old.checkers.iter().zip(&new.checkers).all(|(old, new)| same_checker(&old.config, new));
        let touched = !same_checks || plain_server(&old.config) != plain_server(new);
        let shift = i64::from(old.config.weight) - i64::from(new.weight);
        let alive = old.alive;
        let mut left: Vec<Option<Probe>> = old.checkers.into_iter().map(Some).collect();
        // Which old checker goes on as which new one: the one at the same place first.
        let mut taken: Vec<Option<(usize, Probe)>> = Vec::with_capacity(new.checkers.len());
        for (number, checker) in new.checkers.iter().enumerate() {
            let fits = |probe: &Option<Probe>| probe.as_ref().is_some_and(|it| same_checker(&it.config, checker));
            let at = left.get(number).filter(|it| fits(it)).map(|_| number).or_else(|| {
                let moved = |at: &usize| {
                    new.checkers.get(*at).is_none_or(|it| {
                        !left.get(*at).is_some_and(|old| old.as_ref().is_some_and(|old| same_checker(&old.config, it)))
                    })
                };
                (0..left.len()).filter(|at| left.get(*at).is_some_and(fits)).find(moved)
            });
            taken.push(at.and_then(|at| Some((at, left.get_mut(at)?.take()?))));
        }
        let mut checkers = Vec::with_capacity(new.checkers.len());
        for (number, (checker, reused)) in new.checkers.iter().zip(taken).enumerate() {
            if let Some((at, mut probe)) = reused {
                if at != number && probe.machine.attempt().is_some() {
                    abandon(at as u32);
                    probe.machine.start(now);
                }
                if probe.delta != 0 && matches!(checker.check, Check::Misc(_)) {
                    probe.delta = probe.delta.saturating_add(shift);
                }
                probe.config = checker.clone();
                checkers.push(probe);
                continue;
            }
            // A server that is up is not taken down by a checker that has found nothing yet, and what replaces a
            // checker that had failed must pass first.
            let replaced = left.get(number).and_then(Option::as_ref).map(|probe| probe.machine.up());
            let up = alive || replaced.unwrap_or(!checker.alpha);
            let mut probe = self.new_probe(checker, up, since);
            if let Check::File(file) = &checker.check
                && let Some(value) = self.known_file(&file.name)
            {
                let (up, delta) = super::carry::file_says(file, value);
                probe.delta = delta;
                probe.machine.told(up);
            }
            if let Check::Bfd(name) = &checker.check
                && let Some(up) = self.known_session(name)
            {
                probe.machine.told(up);
            }
            checkers.push(probe);
        }
        for (at, probe) in left.iter().enumerate() {
            if probe.as_ref().is_some_and(|probe| probe.machine.attempt().is_some()) {
                abandon(at as u32);
            }
        }
        Server {
            config: RealServer { checkers: Vec::new(), ..new.clone() },
            checkers,
            alive,
            since: old.since,
            operator: old.operator.filter(|_| !touched),
            loads: old.loads,
            went_up: old.went_up,
            went_down: old.went_down,
        }
    }

    /// What a changed configuration means for a virtual server that goes on.
    fn follow_up(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        self.suspend_or_resume(slot, now, out);
        self.start_probes(slot, now);
        let Some(service) = self.service(slot) else { return };
        let probes: Vec<CheckerId> =
            service.servers.iter().flat_map(|server| &server.checkers).map(|probe| probe.id).collect();
        let changed: Vec<usize> = (0..service.servers.len())
            .filter(|at| service.servers.get(*at).is_some_and(|server| server.alive != server.all_up()))
            .collect();
        for id in probes {
            self.arm(id);
        }
        for at in changed {
            self.server_changed(slot, at, "the configuration changed", now, out);
        }
        self.weigh(slot, now, out);
    }
}

/// Whether two checkers do the same; where they stand in the file does not matter.
fn same_checker(old: &Checker, new: &Checker) -> bool {
    let plain = |checker: &Checker| {
        let mut plain = checker.clone();
        plain.location = Location::default();
        if let Check::Misc(misc) = &mut plain.check {
            misc.script.id = ScriptId(0);
        }
        plain
    };
    plain(old) == plain(new)
}

/// A server without what changes with every edit of the file, and without its checkers.
fn plain_server(server: &RealServer) -> RealServer {
    let plain = |script: &Option<Script>| script.clone().map(|script| Script { id: ScriptId(0), ..script });
    RealServer {
        location: Location::default(),
        notify_up: plain(&server.notify_up),
        notify_down: plain(&server.notify_down),
        checkers: Vec::new(),
        ..server.clone()
    }
}
