//! A new configuration, applied as the difference to the old one.
//!
//! What did not change keeps its state, counters and deadlines, also when it moved to another line: a weight is one
//! operation of the kernel, a service's setting is one. An operator's weight stays with a server that is as it was.
//! New servers of a running virtual server start up, or down with `alpha`, as at start.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::engine::{Engine, Phase, log};
use super::io::{Level, Output};
use super::kernel::Slot;
use super::service::{CheckerId, Probe, Server, ids, server_name, service_name};
use crate::bus::rows::RowKey;
use crate::check::plan::errno;
use crate::clock::Instant;
use crate::conf::model::{
    Check, Checker, CheckerKey, Config, Location, RealServer, Script, ScriptId, ServiceKey, VirtualServer,
};

/// What the kernel thinks of a configuration that was applied, until it has answered everything.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    open: bool,
    after: u64,
    /// In words, not more than anybody reads.
    refusals: Vec<String>,
}

impl Verdict {
    const REFUSALS_MAX: usize = 8;

    /// What is asked of the kernel after this batch is its matter.
    fn begin(&mut self, after: u64) {
        *self = Verdict { open: true, after, refusals: Vec::new() };
    }

    /// The kernel has refused something that it has not refused before. Where it had no room, or its answer got lost, it will be
    /// asked again.
    pub(super) fn refused(&mut self, batch: u64, errno: i32, line: &str) {
        let passes = matches!(errno, errno::ENOBUFS | errno::ENOMEM | errno::EIO | errno::ETIMEDOUT);
        if self.open && batch > self.after && !passes && self.refusals.len() < Self::REFUSALS_MAX {
            self.refusals.push(line.to_owned());
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
        Some(std::mem::take(&mut self.verdict.refusals))
    }

    /// Goes over to `new`. Numbers of scripts are the new configuration's from here on.
    ///
    /// Every row is reported as changed; those that [`Engine::row`] no longer knows are gone.
    pub fn apply(&mut self, new: &Config, now: Instant, out: &mut Vec<Output>) {
        if matches!(self.phase, Phase::Stopping | Phase::Stopped) {
            return;
        }
        self.verdict.begin(self.kernel.batches());
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
