//! Configurations made in a line, and a world for one engine: a clock, and a kernel that is a map.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::bus::msg::{Command, Edge, QuorumStatus, Reply};
use crate::bus::rows::{IpvsRow, Row, RowKey, ServerRow, ServiceRow};
use crate::bus::timing::CheckTimes;
use crate::check::engine::{Engine, EngineOptions};
use crate::check::io::{Cause, Failure, Input, Mail, Outcome, Output};
use crate::check::plan::errno;
use crate::check::table::{Destination, DestinationId, Found, Load, Op, Service, ServiceId, Stats};
use crate::clock::{Instant, WallTime};
use crate::conf::model::*;

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn location(line: u32) -> Location {
    Location { file: "/etc/keepalived/keepalived.conf".into(), line }
}

pub fn script(id: u32) -> Option<Script> {
    let path = format!("/usr/bin/notify{id}");
    Some(Script { id: ScriptId(id), text: path.clone(), path })
}

/// A TCP service `10.0.0.N:80` that checks every 10 s, retries once after 1 s and starts at once.
pub fn service(last: u8, servers: Vec<RealServer>) -> VirtualServer {
    VirtualServer {
        location: location(u32::from(last) * 100),
        scheduler: "rr".into(),
        forwarding: Some(Forwarding::Nat),
        delay_loop_us: 10_000_000,
        servers,
        ..VirtualServer::new(service_key(last), Family::V4)
    }
}

fn service_key(last: u8) -> ServiceKey {
    let kind = ServiceKind::Address { address: IpAddr::from([10, 0, 0, last]), port: 80 };
    ServiceKey { kind, protocol: Some(Protocol::Tcp) }
}

pub fn sorry(last: u8, inhibit: bool) -> Option<SorryServer> {
    Some(SorryServer {
        address: IpAddr::from([10, 1, 0, last]),
        port: 80,
        location: location(90),
        forwarding: Forwarding::Nat,
        inhibit,
    })
}

/// `10.1.0.N:80` with these checkers.
pub fn server(last: u8, weight: u32, checkers: Vec<Checker>) -> RealServer {
    RealServer {
        location: location(1000 + u32::from(last)),
        weight,
        smtp_alert: false,
        checkers,
        ..RealServer::new(&service(0, vec![]), IpAddr::from([10, 1, 0, last]), 80)
    }
}

pub fn target(last: u8) -> Target {
    Target {
        address: IpAddr::from([10, 1, 0, last]),
        port: 80,
        bind: None,
        bind_port: 0,
        interface: None,
        mark: 0,
        timeout_us: 5_000_000,
    }
}

pub fn checker(check: Check) -> Checker {
    Checker {
        check,
        location: location(2000),
        delay_loop_us: 10_000_000,
        retry: 1,
        delay_before_retry_us: 1_000_000,
        warmup_us: 0,
        alpha: false,
        log_all_failures: false,
    }
}

pub fn tcp(last: u8) -> Checker {
    checker(Check::Tcp(target(last)))
}

pub fn alpha(checker: Checker) -> Checker {
    Checker { alpha: true, ..checker }
}

pub fn misc(id: u32, dynamic: bool) -> Checker {
    let script = script(id).expect("a script");
    Checker { retry: 0, ..checker(Check::Misc(MiscCheck { script, timeout_us: 10_000_000, dynamic })) }
}

pub fn file(name: &str, weight: i32) -> Checker {
    checker(Check::File(FileCheck { path: format!("/run/{name}"), name: name.into(), weight, reverse: false }))
}

pub fn bfd(name: &str) -> Checker {
    checker(Check::Bfd(name.into()))
}

pub fn http(last: u8, urls: usize, fast_recovery: bool) -> Checker {
    let url = |number| Url {
        path: format!("/{number}"),
        virtual_host: None,
        digest: None,
        status: vec![(200, 299)],
        regex: None,
        tls_compliant: false,
    };
    let urls = (0..urls).map(url).collect();
    let http = HttpCheck { target: target(last), tls: None, version: HttpVersion::V1_0, urls, fast_recovery };
    checker(Check::Http(Box::new(http)))
}

/// N servers `10.1.0.1`.. of weight 1, each with a TCP_CHECK.
pub fn pool(count: u8) -> Vec<RealServer> {
    (1..=count).map(|last| server(last, 1, vec![tcp(last)])).collect()
}

pub fn config(services: Vec<VirtualServer>) -> Config {
    let global = Global { router_id: "L1".into(), ..Global::default() };
    Config { global, services, has_virtual_servers: true, ..Config::default() }
}

pub fn id(last: u8) -> ServiceId {
    ServiceId::Address { protocol: Protocol::Tcp, address: IpAddr::from([10, 0, 0, last]), port: 80 }
}

pub fn dest(last: u8) -> DestinationId {
    DestinationId { address: IpAddr::from([10, 1, 0, last]), port: 80 }
}

/// The kernel's table: what a model of ip_vs would do with operations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kernel {
    pub services: BTreeMap<ServiceId, (Service, BTreeMap<DestinationId, Destination>)>,
    /// Schedulers that this kernel has not.
    pub unknown_scheduler: Option<String>,
    pub refuse_weight: Option<u32>,
    /// A service that takes no destinations and no changes of any.
    pub refuse_service: Option<ServiceId>,
}

impl Kernel {
    pub fn carry_out(&mut self, op: &Op) -> Option<i32> {
        let refused = |destination: &Destination, weight: Option<u32>| Some(destination.weight) == weight;
        match op {
            Op::AddDestination(id, destination) | Op::EditDestination(id, destination)
                if Family::of(destination.id.address) != id.family()
                    && !matches!(destination.forwarding, Forwarding::Tunnel(_)) =>
            {
                return Some(errno::EINVAL);
            }
            Op::AddDestination(id, _) | Op::EditDestination(id, _) if Some(*id) == self.refuse_service => {
                return Some(errno::ENOMEM);
            }
            Op::AddService(service) | Op::EditService(service)
                if Some(&service.scheduler) == self.unknown_scheduler.as_ref() =>
            {
                return Some(errno::ENOENT);
            }
            Op::AddService(service) => {
                if self.services.contains_key(&service.id) {
                    return Some(errno::EEXIST);
                }
                self.services.insert(service.id, (service.clone(), BTreeMap::new()));
            }
            Op::EditService(service) => match self.services.get_mut(&service.id) {
                None => return Some(errno::ESRCH),
                Some(entry) => entry.0 = service.clone(),
            },
            Op::DeleteService(id) => {
                if self.services.remove(id).is_none() {
                    return Some(errno::ESRCH);
                }
            }
            Op::AddDestination(id, destination) => match self.services.get_mut(id) {
                None => return Some(errno::ESRCH),
                Some(entry) if entry.1.contains_key(&destination.id) => return Some(errno::EEXIST),
                Some(_) if refused(destination, self.refuse_weight) => return Some(errno::ENOMEM),
                Some(entry) => drop(entry.1.insert(destination.id, *destination)),
            },
            Op::EditDestination(id, destination) => match self.services.get_mut(id) {
                None => return Some(errno::ESRCH),
                Some(entry) if !entry.1.contains_key(&destination.id) => return Some(errno::ENOENT),
                Some(_) if refused(destination, self.refuse_weight) => return Some(errno::ENOMEM),
                Some(entry) => drop(entry.1.insert(destination.id, *destination)),
            },
            Op::DeleteDestination(id, destination) => match self.services.get_mut(id) {
                None => return Some(errno::ESRCH),
                Some(entry) => {
                    if entry.1.remove(destination).is_none() {
                        return Some(errno::ENOENT);
                    }
                }
            },
            Op::Flush => self.services.clear(),
            Op::Timeouts { .. } | Op::StartDaemon(_) | Op::StopDaemon { .. } => {}
        }
        None
    }

    pub fn found(&self) -> Vec<Found> {
        let load = |it: &Destination| (*it, Load::default());
        let entry = |(service, destinations): &(Service, BTreeMap<_, Destination>)| Found {
            service: service.clone(),
            stats: Stats::default(),
            destinations: destinations.values().map(load).collect(),
        };
        self.services.values().map(entry).collect()
    }

    /// Weights of a service by the last octet of the server.
    pub fn weights(&self, last: u8) -> Vec<(u8, u32)> {
        let Some((_, destinations)) = self.services.get(&id(last)) else { return vec![(255, 255)] };
        destinations
            .values()
            .map(|it| match it.id.address {
                IpAddr::V4(address) => (address.octets()[3], it.weight),
                IpAddr::V6(_) => (0, it.weight),
            })
            .collect()
    }
}

pub struct World {
    pub engine: Engine,
    pub now: Instant,
    pub kernel: Kernel,
    /// Answer operations and audits at once.
    pub prompt: bool,
    /// Batches that wait for [`World::answer`].
    pub asked: VecDeque<(u64, Vec<Op>)>,
    /// Every operation so far.
    pub ops: Vec<Op>,
    /// Everything else, in order.
    pub out: Vec<Output>,
    /// Probes under way.
    pub probes: Vec<(CheckerKey, u64, usize)>,
    pub audits: u32,
}

pub const START: Instant = Instant::from_nanos(1_000_000_000_000);

impl World {
    /// An engine that has started on an empty table.
    pub fn new(config: &Config) -> World {
        let mut world = World::waiting(config, EngineOptions::default());
        world.begin();
        world
    }

    /// One that has heard of nothing yet.
    pub fn waiting(config: &Config, options: EngineOptions) -> World {
        World {
            engine: Engine::new(config, options, START, WallTime(1_700_000_000_000_000_000)),
            now: START,
            kernel: Kernel::default(),
            prompt: true,
            asked: VecDeque::new(),
            ops: Vec::new(),
            out: Vec::new(),
            probes: Vec::new(),
            audits: 0,
        }
    }

    pub fn begin(&mut self) {
        self.say(Input::Table(self.kernel.found()));
        self.say(Input::Wake);
        self.pass(secs(0));
    }

    pub fn say(&mut self, input: Input) {
        let mut out = Vec::new();
        self.engine.handle(input, self.now, &mut out);
        self.perform(out);
    }

    pub fn reload(&mut self, config: &Config) {
        let mut out = Vec::new();
        self.engine.apply(config, self.now, &mut out);
        self.perform(out);
    }

    pub fn perform(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Kernel { batch, ops } => {
                    self.ops.extend(ops.iter().cloned());
                    self.asked.push_back((batch, ops));
                }
                Output::Audit => {
                    self.audits += 1;
                    if self.prompt {
                        self.say(Input::Table(self.kernel.found()));
                    }
                }
                Output::Probe { checker, attempt, url } => self.probes.push((checker, attempt, url)),
                Output::Abandon { checker } => self.probes.retain(|(it, ..)| *it != checker),
                other => self.out.push(other),
            }
        }
        if self.prompt {
            while self.answer() {}
        }
    }

    /// The kernel carries out and answers the oldest batch.
    pub fn answer(&mut self) -> bool {
        let Some((batch, ops)) = self.asked.pop_front() else { return false };
        for (index, op) in ops.iter().enumerate() {
            let error = self.kernel.carry_out(op);
            self.say(Input::Kernel { batch, index, error });
        }
        true
    }

    /// Lets time pass, stopping at every deadline. Probes stay open.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.engine.deadline().filter(|at| *at <= end) {
            self.now = deadline.max(self.now);
            self.say(Input::Wake);
        }
        self.now = end;
    }

    /// Lets time pass; each probe passes at once, but for those of the named servers (last octets).
    pub fn pass_with_failures(&mut self, time: Duration, failing: &[u8]) {
        let end = self.now + time;
        loop {
            for (checker, attempt, _) in std::mem::take(&mut self.probes) {
                let bad = failing.iter().any(|last| checker.server.address == IpAddr::from([10, 1, 0, *last]));
                let outcome = if bad { failed() } else { Outcome::Passed };
                self.say(Input::Probed { checker, attempt, outcome, began: self.now, took_us: 100 });
            }
            let Some(deadline) = self.engine.deadline().filter(|at| *at <= end) else { break };
            self.now = deadline.max(self.now);
            self.say(Input::Wake);
        }
        self.now = end;
    }

    /// Ends the probe of this checker.
    pub fn end(&mut self, last: u8, number: u32, outcome: Outcome) {
        let address = IpAddr::from([10, 1, 0, last]);
        let at = self.probes.iter().position(|(it, ..)| it.server.address == address && it.number == number);
        let (checker, attempt, _) = self.probes.remove(at.expect("a probe is under way"));
        self.say(Input::Probed { checker, attempt, outcome, began: self.now, took_us: 100 });
    }

    pub fn set(&mut self, request: u64, last: u8, weight: Option<u32>) {
        let server = key(1, last);
        let command = match weight {
            Some(weight) => Command::SetWeight { server, weight },
            None => Command::ResetWeight { server },
        };
        self.say(Input::Command { request, command });
    }

    pub fn replies(&mut self) -> Vec<(u64, Reply)> {
        let mut replies = Vec::new();
        self.out.retain(|output| match output {
            Output::Reply { request, reply } => {
                replies.push((*request, reply.clone()));
                false
            }
            _ => true,
        });
        replies
    }

    /// Edges so far, told shortly: `1.2 down 3/4`, `1 met 4/4`.
    pub fn edges(&self) -> Vec<String> {
        let edges = self.out.iter().filter_map(|output| match output {
            Output::Edge(Edge::Server { index, up, servers_up, servers_total, .. }) => Some(format!(
                "{}.{} {} {servers_up}/{servers_total}",
                index.0,
                index.1,
                if *up { "up" } else { "down" }
            )),
            Output::Edge(Edge::Quorum { index, status, servers_up, servers_total, .. }) => {
                let status = match status {
                    QuorumStatus::Met => "met",
                    QuorumStatus::NotMet => "lost",
                    QuorumStatus::Shutdown => "stopped",
                };
                Some(format!("{index} {status} {servers_up}/{servers_total}"))
            }
            _ => None,
        });
        edges.collect()
    }

    pub fn scripts(&self) -> Vec<u32> {
        let scripts = self.out.iter().filter_map(|output| match output {
            Output::Notify { script, .. } => Some(script.0),
            _ => None,
        });
        scripts.collect()
    }

    pub fn mails(&self) -> Vec<Mail> {
        let mails = self.out.iter().filter_map(|output| match output {
            Output::Mail(mail) => Some(mail.clone()),
            _ => None,
        });
        mails.collect()
    }

    /// Log lines that contain this.
    pub fn logged(&self, part: &str) -> Vec<String> {
        let lines = self.out.iter().filter_map(|output| match output {
            Output::Log(log) if log.text.contains(part) => Some(log.text.clone()),
            _ => None,
        });
        lines.collect()
    }

    pub fn forget(&mut self) {
        self.out.clear();
        self.ops.clear();
    }

    pub fn server(&self, last: u8) -> ServerRow {
        match self.engine.row(&RowKey::Server(key(1, last))) {
            Some(Row::Server(row)) => *row,
            other => panic!("no such server: {other:?}"),
        }
    }

    pub fn service(&self, last: u8) -> ServiceRow {
        match self.engine.row(&RowKey::Service(service(last, vec![]).key)) {
            Some(Row::Service(row)) => *row,
            other => panic!("no such service: {other:?}"),
        }
    }

    pub fn times(&self) -> CheckTimes {
        match self.engine.row(&RowKey::CheckTimes) {
            Some(Row::CheckTimes(row)) => *row,
            other => panic!("no such row: {other:?}"),
        }
    }

    pub fn ipvs(&self) -> IpvsRow {
        match self.engine.row(&RowKey::Ipvs) {
            Some(Row::Ipvs(row)) => *row,
            other => panic!("no such row: {other:?}"),
        }
    }
}

pub fn key(vs: u8, last: u8) -> ServerKey {
    ServerKey { service: service(vs, vec![]).key, address: IpAddr::from([10, 1, 0, last]), port: 80, sorry: false }
}

pub fn failed() -> Outcome {
    Outcome::Failed(Failure::new(Cause::Refused, "connection refused"))
}
