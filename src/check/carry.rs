//! What a probe's result, a weight or a quorum means for everything around: log, notify scripts, mail, edges and rows.
//!
//! The order is Keepalived's: the server first, then its quorum; of one thing the log, the script, the mail, the edge.

use std::time::Duration;

use super::engine::{Engine, log};
use super::io::{Cause, Level, Mail, Outcome, Output};
use super::kernel::Slot;
use super::machine::Change;
use super::service::{CheckerId, Quorum, WEIGHT_MAX, server_name, service_name};
use crate::bus::msg::{Edge, QuorumStatus};
use crate::bus::rows::RowKey;
use crate::bus::run::Fifo;
use crate::clock::Instant;
use crate::conf::model::{Check, CheckerKey, FileCheck, ServiceKey, ServiceKind};

impl Engine {
    /// A probe ended.
    pub(super) fn probed(
        &mut self,
        key: &CheckerKey,
        attempt: u64,
        outcome: Outcome,
        (began, took_us): (Instant, u64),
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let place = self.names.get(&key.server.service).copied().filter(|_| !key.server.sorry);
        let Some(slot) = place else { return };
        let position = self.service(slot).and_then(|it| it.position(key.server.address, key.server.port));
        let (Some(at), Ok(number)) = (position, usize::try_from(key.number)) else { return };
        let since = self.wall(now);
        let service = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut);
        let Some(server) = service.and_then(|service| service.servers.get_mut(at)) else { return };
        let weight = i64::from(server.config.weight);
        let Some(probe) = server.checkers.get_mut(number) else { return };
        if probe.machine.attempt() != Some(attempt) {
            return;
        }
        let cause = match &outcome {
            Outcome::Passed | Outcome::PassedWithWeight(_) => None,
            Outcome::Failed(failure) => Some(failure.cause),
        };
        let delay = probe.machine.due().map_or(Duration::ZERO, |due| began.since(due));
        self.times.ended(&probe.config.check, delay, Duration::from_micros(took_us), cause);
        let first = !probe.machine.has_run();
        let good = cause.is_none();
        let change = probe.machine.ended(good, &probe.config, now);
        probe.took_us = took_us;
        if matches!(change, Change::CameUp | Change::WentDown) {
            probe.since = since;
        }
        let mut delta = probe.delta;
        let text = match outcome {
            Outcome::Passed => {
                delta = 0;
                String::new()
            }
            Outcome::PassedWithWeight(wanted) => {
                delta = wanted.clamp(0, i64::from(WEIGHT_MAX)) - weight;
                String::new()
            }
            Outcome::Failed(failure) => failure.text,
        };
        match good {
            true => {
                probe.passed = probe.passed.saturating_add(1);
                probe.error.clear();
            }
            false => {
                probe.failed = probe.failed.saturating_add(1);
                probe.error.clone_from(&text);
            }
        }
        let id = probe.id;
        let heavier = std::mem::replace(&mut probe.delta, delta) != delta;
        out.push(Output::Counted(RowKey::Server(key.server.clone())));
        self.arm(id);
        self.log_result(id, change, first, good, &text, out);
        if heavier {
            self.weight_changed(slot, at, "its check", now, out);
        }
        self.checker_told(id, change, first, &text, now, out);
    }

    /// A track_file has another value.
    pub(super) fn file_spoke(&mut self, id: CheckerId, value: Option<i64>, now: Instant, out: &mut Vec<Output>) {
        let Some(&(slot, at, number)) = self.places.get(&id) else { return };
        let since = self.wall(now);
        let service = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut);
        let probe = service.and_then(|it| it.servers.get_mut(at)).and_then(|it| it.checkers.get_mut(number));
        let Some(probe) = probe else { return };
        let Check::File(file) = &probe.config.check else { return };
        let (up, delta) = file_says(file, value);
        self.times.found(&probe.config.check, (!up).then_some(Cause::Other));
        let text = if up { String::new() } else { format!("{} says {}", file.path, value.unwrap_or(0)) };
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
        let heavier = std::mem::replace(&mut probe.delta, delta) != delta;
        if let Some(checker) = self.checker_key(id) {
            out.push(Output::Counted(RowKey::Server(checker.server)));
        }
        self.log_result(id, change, first, up, &text, out);
        if heavier {
            self.weight_changed(slot, at, "its file", now, out);
        }
        self.checker_told(id, change, first, &text, now, out);
    }

    pub(super) fn log_result(
        &self,
        id: CheckerId,
        change: Change,
        first: bool,
        good: bool,
        text: &str,
        out: &mut Vec<Output>,
    ) {
        let (Some(checker), Some(probe)) = (self.checker_key(id), self.probe(id)) else { return };
        let (server, service) = (server_name(&checker.server), service_name(&checker.server.service));
        let what = format!("{} of {server} for VS {service}", probe.config.check.name());
        let line = match change {
            Change::CameUp => (Level::Info, format!("{what} succeeded")),
            Change::WentDown if probe.config.retry > 0 && probe.active() => {
                (Level::Warn, format!("{what} failed after {} retries: {text}", probe.config.retry))
            }
            Change::WentDown => (Level::Warn, format!("{what} failed: {text}")),
            Change::Retrying if probe.config.log_all_failures => {
                (Level::Info, format!("{what} failed, and is tried again: {text}"))
            }
            Change::None if first && good => (Level::Debug, format!("{what} succeeded")),
            Change::None if !good && (first || probe.config.log_all_failures) => {
                (Level::Info, format!("{what} failed: {text}"))
            }
            Change::None | Change::Retrying => return,
        };
        out.push(log(line.0, line.1));
    }

    /// A checker went up or down, or has run for the first time: what becomes of its server.
    pub(super) fn checker_told(
        &mut self,
        id: CheckerId,
        change: Change,
        first: bool,
        text: &str,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(&(slot, at, _)) = self.places.get(&id) else { return };
        let Some(probe) = self.probe(id) else { return };
        let (kind, up) = (probe.config.check.name(), probe.machine.up());
        let Some(server) = self.service(slot).and_then(|service| service.servers.get(at)) else { return };
        let (was, alive) = (server.alive, server.all_up());
        let told = matches!(change, Change::CameUp | Change::WentDown) || (first && change == Change::None);
        // One that starts down and fails is as down as it was, but its operator has not heard of it yet.
        let stays_down = first && !up && change == Change::None;
        let script = server.config.notify_down.as_ref().filter(|_| stays_down && !was).map(|script| script.id);
        let reason = if text.is_empty() { format!("{kind} succeeded") } else { format!("{kind}: {text}") };
        let mails = server.config.smtp_alert && (was != alive || (told && !self.global.lvs.no_checker_mails));
        if was != alive {
            self.server_changed(slot, at, &reason, now, out);
        } else if stays_down && !was {
            out.extend(script.map(|script| Output::Notify { script, lane: lane(slot, Some(at)) }));
            self.line_of_server(slot, at, false, out);
        }
        if mails {
            self.mail_server(slot, at, alive, kind, up, text, out);
        }
        if was != alive {
            self.weigh(slot, now, out);
        }
        if told && let Some(checker) = self.checker_key(id) {
            out.push(Output::Changed(RowKey::Server(checker.server)));
        }
    }

    /// `rs_init_notifies`: servers that are up from the start are told like those that come up.
    pub(super) fn notify_of_first_servers(&self, slot: Slot, out: &mut Vec<Output>) {
        let Some(service) = self.service(slot).filter(|_| self.global.lvs.init_notifies) else { return };
        for (at, server) in service.servers.iter().enumerate().filter(|(_, server)| server.alive) {
            let script = server.config.notify_up.as_ref().map(|script| script.id);
            out.extend(script.map(|script| Output::Notify { script, lane: lane(slot, Some(at)) }));
        }
    }

    /// A server joins or leaves the pool. Its quorum must be weighed after.
    pub(super) fn server_changed(&mut self, slot: Slot, at: usize, reason: &str, now: Instant, out: &mut Vec<Output>) {
        let wall = self.wall(now);
        let Some(service) = self.service_mut(slot) else { return };
        let Some(server) = service.servers.get_mut(at) else { return };
        let alive = server.all_up();
        server.alive = alive;
        server.since = wall;
        let (inhibits, script) = (
            server.config.inhibit_on_failure,
            match alive {
                true => &server.config.notify_up,
                false => &server.config.notify_down,
            },
        );
        let script = script.as_ref().map(|script| script.id);
        match alive {
            true => server.went_up = server.went_up.saturating_add(1),
            false => server.went_down = server.went_down.saturating_add(1),
        }
        let key = service.config.server_key(&server.config);
        let (name, vs) = (server_name(&key), service_name(service.key()));
        let text = match (alive, inhibits) {
            (true, false) => format!("Adding service {name} to VS {vs}"),
            (true, true) => format!("Enabling service {name} of VS {vs}"),
            (false, false) => format!("Removing service {name} from VS {vs}: {reason}"),
            (false, true) => format!("Disabling service {name} of VS {vs}: {reason}"),
        };
        let edge = Edge::Server {
            index: (service.index, service.row_index(at)),
            server: key.clone(),
            up: alive,
            servers_up: service.servers_up(),
            servers_total: service.servers_total(),
            reason: reason.to_owned(),
            at: wall,
        };
        out.push(log(if alive { Level::Info } else { Level::Warn }, text));
        out.extend(script.map(|script| Output::Notify { script, lane: lane(slot, Some(at)) }));
        self.line_of_server(slot, at, alive, out);
        out.push(Output::Changed(RowKey::Server(key)));
        out.push(Output::Edge(edge));
    }

    /// A server's weight is another one.
    pub(super) fn weight_changed(&mut self, slot: Slot, at: usize, by: &str, now: Instant, out: &mut Vec<Output>) {
        let Some(service) = self.service(slot) else { return };
        let Some(server) = service.servers.get(at) else { return };
        let key = service.server_key(server);
        let active = if server.alive { "active" } else { "inactive" };
        let text = format!(
            "Changing weight to {} for {active} service {} of VS {}: {by}",
            server.weight(),
            server_name(&key),
            service_name(service.key())
        );
        out.push(log(Level::Info, text));
        out.push(Output::Changed(RowKey::Server(key)));
        self.weigh(slot, now, out);
    }

    /// Weighs the pool of a virtual server anew, tells what that changed, and what the kernel shall hold.
    pub(super) fn weigh(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let since = self.wall(now);
        let Some(service) = self.service_mut(slot) else { return };
        let sorry = service.sorry_active;
        let key = service.key().clone();
        let verdict = service.weigh(since);
        let sorry_changed = sorry != service.sorry_active;
        out.push(Output::Changed(RowKey::Service(key)));
        if self.phase == super::engine::Phase::Waiting {
            return;
        }
        match verdict {
            Quorum::Same => {}
            Quorum::Gained => self.quorum_changed(slot, true, "Gained quorum", "Gained quorum", now, out),
            Quorum::Lost => self.quorum_changed(slot, false, "Lost quorum", "Lost quorum", now, out),
        }
        if sorry_changed {
            self.sorry_changed(slot, out);
        }
        self.want(slot);
    }

    /// The first quorum of a virtual server is always told. Scripts and mail go out when it is met, or when the sorry
    /// server has to serve from the start.
    pub(super) fn first_quorum(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let since = self.wall(now);
        let Some(service) = self.service_mut(slot) else { return };
        service.begun = true;
        service.quorum_met = false;
        service.weigh(since);
        service.quorum_since = since;
        let (met, sorry) = (service.quorum_met, service.sorry_active);
        if met {
            self.quorum_changed(slot, true, "Gained quorum", "Starting with quorum up", now, out);
        } else if sorry {
            self.quorum_changed(slot, false, "Starting with quorum down", "Starting with quorum down", now, out);
            self.sorry_changed(slot, out);
        } else {
            let edge = self.quorum_edge(slot, QuorumStatus::NotMet, now);
            out.extend(edge);
        }
    }

    fn quorum_changed(
        &mut self,
        slot: Slot,
        met: bool,
        line: &str,
        subject: &str,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(service) = self.service(slot) else { return };
        let (config, weight, name) = (&service.config, service.weight_up(), service_name(service.key()));
        let (sum, sign, mark) = match met {
            true => (config.quorum.saturating_add(config.hysteresis), '+', "<="),
            false => (config.quorum.saturating_sub(config.hysteresis), '-', ">"),
        };
        let sum = format!("{}{sign}{}={sum} {mark} {weight}", config.quorum, config.hysteresis);
        let level = if met { Level::Info } else { Level::Warn };
        out.push(log(level, format!("{line} {sum} for VS {name}")));
        let script = if met { &config.quorum_up } else { &config.quorum_down };
        out.extend(script.as_ref().map(|script| Output::Notify { script: script.id, lane: lane(slot, None) }));
        self.line_of_service(slot, met, out);
        if config.smtp_alert {
            let state = if met { "UP" } else { "DOWN" };
            out.push(Output::Mail(Mail {
                subject: format!("[{}] Virtualserver {name} - {state}", self.global.router_id),
                body: format!("=> {subject} {sum} <="),
            }));
        }
        let status = if met { QuorumStatus::Met } else { QuorumStatus::NotMet };
        out.extend(self.quorum_edge(slot, status, now));
        out.push(Output::Changed(RowKey::Service(service.key().clone())));
    }

    /// To the FIFOs, as Keepalived words it: `RS [10.1.0.1]:tcp:80 [10.0.0.1]:tcp:80 DOWN`.
    fn line_of_server(&self, slot: Slot, at: usize, up: bool, out: &mut Vec<Output>) {
        let Some(service) = self.service(slot) else { return };
        let Some(server) = service.servers.get(at) else { return };
        let server = server_name(&service.server_key(server));
        self.line(format!("RS {server} {} {}", name_in_fifo(service.key()), up_or_down(up)), out);
    }

    fn line_of_service(&self, slot: Slot, met: bool, out: &mut Vec<Output>) {
        let Some(service) = self.service(slot) else { return };
        self.line(format!("VS {} {}", name_in_fifo(service.key()), up_or_down(met)), out);
    }

    fn line(&self, text: String, out: &mut Vec<Output>) {
        let fifos = &self.global.fifos;
        for (fifo, _) in
            [(Fifo::Both, &fifos.both), (Fifo::Checks, &fifos.checks)].iter().filter(|(_, it)| it.is_some())
        {
            out.push(Output::Line { fifo: *fifo, text: text.clone() });
        }
    }

    fn quorum_edge(&self, slot: Slot, status: QuorumStatus, now: Instant) -> Option<Output> {
        let service = self.service(slot)?;
        Some(Output::Edge(Edge::Quorum {
            service: service.key().clone(),
            index: service.index,
            status,
            quorum: service.config.quorum,
            servers_up: service.servers_up(),
            servers_total: service.servers_total(),
            at: self.wall(now),
        }))
    }

    fn sorry_changed(&self, slot: Slot, out: &mut Vec<Output>) {
        let Some(service) = self.service(slot) else { return };
        let (Some(key), Some(sorry)) = (service.config.sorry_key(), &service.config.sorry) else { return };
        let (name, vs) = (server_name(&key), service_name(service.key()));
        let verb = match (service.sorry_active, sorry.inhibit) {
            (true, false) => format!("Adding sorry server {name} to VS {vs}"),
            (true, true) => format!("Enabling sorry server {name} of VS {vs}"),
            (false, false) => format!("Removing sorry server {name} from VS {vs}"),
            (false, true) => format!("Disabling sorry server {name} of VS {vs}"),
        };
        out.push(log(Level::Info, verb));
        let pool = match service.sorry_active {
            true => format!("Removing alive servers from the pool for VS {vs}"),
            false => format!("Adding alive servers to the pool for VS {vs}"),
        };
        out.push(log(Level::Info, pool));
        out.push(Output::Changed(RowKey::Server(key)));
    }

    #[allow(clippy::too_many_arguments, reason = "the facts of one mail")]
    fn mail_server(&self, slot: Slot, at: usize, alive: bool, kind: &str, up: bool, text: &str, out: &mut Vec<Output>) {
        let Some(service) = self.service(slot) else { return };
        let Some(server) = service.servers.get(at) else { return };
        let (server, vs) = (server_name(&service.server_key(server)), service_name(service.key()));
        let state = if alive { "UP" } else { "DOWN" };
        let result = match (up, text) {
            (true, _) => format!("{kind} succeeded on service"),
            (false, "") => format!("{kind} failed on service"),
            (false, text) => format!("{kind} failed on service: {text}"),
        };
        out.push(Output::Mail(Mail {
            subject: format!("[{}] Realserver {server} of virtual server {vs} - {state}", self.global.router_id),
            body: format!("=> {result} <="),
        }));
    }

    /// The daemon stops: each server alive is told to be down, then the quorum to be shut down. `omega` runs the
    /// notifiers too.
    pub(super) fn last_words(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let wall = self.wall(now);
        let Some(service) = self.service_mut(slot) else { return };
        let (omega, met) = (service.config.omega, service.quorum_met);
        let vs = service_name(service.key());
        let total = service.servers_total();
        let mut left = service.servers_up();
        let mut told = Vec::new();
        for at in 0..service.servers.len() {
            let index = (service.index, service.row_index(at));
            let Some(server) = service.servers.get_mut(at) else { continue };
            let key = service.config.server_key(&server.config);
            if !std::mem::replace(&mut server.alive, false) {
                continue;
            }
            left = left.saturating_sub(1);
            out.push(log(Level::Info, format!("Shutting down service {} from VS {vs}", server_name(&key))));
            let script = server.config.notify_down.as_ref().filter(|_| omega);
            out.extend(script.map(|script| Output::Notify { script: script.id, lane: lane(slot, Some(at)) }));
            told.extend(omega.then(|| format!("RS {} {} DOWN", server_name(&key), name_in_fifo(service.key()))));
            out.push(Output::Edge(Edge::Server {
                server: key,
                index,
                up: false,
                servers_up: left,
                servers_total: total,
                reason: "the daemon stops".into(),
                at: wall,
            }));
        }
        let script = service.config.quorum_down.as_ref().filter(|_| omega && met);
        out.extend(script.map(|script| Output::Notify { script: script.id, lane: lane(slot, None) }));
        told.into_iter().for_each(|text| self.line(text, out));
        if omega && met {
            self.line_of_service(slot, false, out);
        }
        out.extend(self.quorum_edge(slot, QuorumStatus::Shutdown, now));
    }
}

/// A virtual server as lines of FIFOs name it: as the log does, but for groups.
fn name_in_fifo(key: &ServiceKey) -> String {
    match &key.kind {
        ServiceKind::Group(name) => format!("[{name}]:0"),
        _ => service_name(key),
    }
}

fn up_or_down(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

/// Scripts about one server run one after the other, and those about one quorum; others do not wait for them.
fn lane(slot: Slot, server: Option<usize>) -> u64 {
    let place = server.and_then(|at| u64::try_from(at).ok()).map_or(0, |at| at + 1);
    (u64::from(slot) << 32) | (place & 0xffff_ffff)
}

/// What a value means for a FILE_CHECK: whether it is good, and what it adds to the weight. A file that is missing or
/// holds no number counts as 0.
pub(super) fn file_says(file: &FileCheck, value: Option<i64>) -> (bool, i64) {
    let value = value.unwrap_or(0);
    if file.weight == 0 {
        return ((value == 0) != file.reverse, 0);
    }
    let product = value.saturating_mul(i64::from(file.weight));
    let product = if file.reverse { product.saturating_neg() } else { product };
    let limit = i64::from(WEIGHT_MAX);
    (product > -limit - 1, product.clamp(-limit, limit))
}
