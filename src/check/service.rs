//! One virtual server: its pool, its quorum, and what it wants of the kernel.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use super::machine::Machine;
use super::plan::Wanted;
use super::table::{self, Destination, DestinationId, Load, ServiceId, Stats};
use crate::clock::WallTime;
use crate::conf::model::{
    Check, Checker, Family, Forwarding, GroupMember, Protocol, RealServer, ServerGroup, ServerKey, ServiceKey,
    ServiceKind, VirtualServer,
};

/// The kernel's weights are signed.
pub const WEIGHT_MAX: u32 = i32::MAX as u32;

/// Number of a checker within one engine; never used again.
pub type CheckerId = u32;

#[derive(Debug)]
pub struct Service {
    /// Without its servers.
    pub config: VirtualServer,
    /// Row number, from 1.
    pub index: u32,
    /// Kernel services, in the order of the file.
    pub ids: Vec<ServiceId>,
    pub servers: Vec<Server>,
    pub sorry_load: BTreeMap<ServiceId, Load>,
    pub stats: BTreeMap<ServiceId, Stats>,
    pub quorum_met: bool,
    pub quorum_since: WallTime,
    /// The sorry server serves.
    pub sorry_active: bool,
    pub suspended: bool,
    /// Its first quorum was told.
    pub begun: bool,
}

#[derive(Debug)]
pub struct Server {
    /// Without its checkers.
    pub config: RealServer,
    pub checkers: Vec<Probe>,
    pub alive: bool,
    pub since: WallTime,
    /// An operator's weight instead of the configured one.
    pub operator: Option<u32>,
    pub loads: BTreeMap<ServiceId, Load>,
    pub went_up: u64,
    pub went_down: u64,
}

/// A checker and what it has found.
#[derive(Debug)]
pub struct Probe {
    pub id: CheckerId,
    pub config: Checker,
    pub machine: Machine,
    /// What `misc_dynamic` or FILE_CHECK adds to the weight.
    pub delta: i64,
    pub since: WallTime,
    /// Of the last check that failed; empty after one that passed.
    pub error: String,
    pub passed: u64,
    pub failed: u64,
    pub took_us: u64,
}

/// What became of a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    Same,
    Gained,
    Lost,
}

impl Service {
    pub fn new(config: &VirtualServer, groups: &[ServerGroup], index: u32, since: WallTime) -> Service {
        Service {
            ids: ids(config, groups),
            config: VirtualServer { servers: Vec::new(), ..config.clone() },
            index,
            servers: Vec::new(),
            sorry_load: BTreeMap::new(),
            stats: BTreeMap::new(),
            quorum_met: false,
            quorum_since: since,
            sorry_active: false,
            suspended: false,
            begun: false,
        }
    }

    pub fn key(&self) -> &ServiceKey {
        &self.config.key
    }

    pub fn server_key(&self, server: &Server) -> ServerKey {
        self.config.server_key(&server.config)
    }

    /// Place of a real server.
    pub fn position(&self, address: IpAddr, port: u16) -> Option<usize> {
        self.servers.iter().position(|server| server.config.address == address && server.config.port == port)
    }

    /// What a server at this address and port is called in one of the kernel's services. In a group, what is routed or
    /// tunnelled keeps the port of the packet, which is the member's. `None`: a server of the other family can be
    /// reached by a tunnel only, and is not in that service.
    fn destination(&self, id: &ServiceId, address: IpAddr, port: u16, forwarding: Forwarding) -> Option<DestinationId> {
        if Family::of(address) != id.family() && !matches!(forwarding, Forwarding::Tunnel(_)) {
            return None;
        }
        let port = match (&self.config.key.kind, id, forwarding) {
            (ServiceKind::Group(_), ServiceId::Address { port, .. }, Forwarding::Direct | Forwarding::Tunnel(_)) => {
                *port
            }
            _ => port,
        };
        Some(DestinationId { address, port })
    }

    /// The destination of a server in this service of the kernel, if it can be one there.
    pub fn server_destination(&self, id: &ServiceId, server: &RealServer) -> Option<DestinationId> {
        self.destination(id, server.address, server.port, server.forwarding)
    }

    /// The same of the sorry server.
    pub fn sorry_destination(&self, id: &ServiceId) -> Option<DestinationId> {
        let sorry = self.config.sorry.as_ref()?;
        self.destination(id, sorry.address, sorry.port, sorry.forwarding)
    }

    /// Place of the real server that is this destination of one of the kernel's services.
    pub fn position_of(&self, id: &ServiceId, destination: &DestinationId) -> Option<usize> {
        let is = |server: &Server| self.server_destination(id, &server.config) == Some(*destination);
        // All that is not in a group has one name only.
        let plain = self.position(destination.address, destination.port);
        let found = plain.filter(|at| self.servers.get(*at).is_some_and(is));
        match self.config.key.kind {
            ServiceKind::Group(_) => found.or_else(|| self.servers.iter().position(is)),
            ServiceKind::Address { .. } | ServiceKind::Mark { .. } => found,
        }
    }

    /// Row number of the server at this place: a sorry server is row 1.
    pub fn row_index(&self, position: usize) -> u32 {
        let shift = 1 + u32::from(self.config.sorry.is_some());
        u32::try_from(position).unwrap_or(u32::MAX).saturating_add(shift)
    }

    pub fn servers_up(&self) -> u32 {
        self.servers.iter().filter(|server| server.alive).count() as u32
    }

    pub fn servers_total(&self) -> u32 {
        self.servers.len() as u32
    }

    /// Weights of the servers that are alive, together.
    pub fn weight_up(&self) -> u64 {
        self.servers.iter().filter(|server| server.alive).map(|server| u64::from(server.weight())).sum()
    }

    /// Weighs the pool anew. A quorum is gained at quorum plus hysteresis and lost below quorum minus hysteresis; the
    /// sorry server serves from the loss (or from a start below that mark) until the quorum is there (again).
    pub fn weigh(&mut self, since: WallTime) -> Quorum {
        let weight = self.weight_up();
        let (quorum, hysteresis) = (u64::from(self.config.quorum), u64::from(self.config.hysteresis));
        let low = weight < quorum.saturating_sub(hysteresis).max(1);
        let was = self.quorum_met;
        self.quorum_met = if was { !low } else { weight >= quorum + hysteresis };
        self.sorry_active = self.config.sorry.is_some() && !self.quorum_met && (self.sorry_active || low);
        if was == self.quorum_met {
            return Quorum::Same;
        }
        self.quorum_since = since;
        if was { Quorum::Lost } else { Quorum::Gained }
    }

    /// What the kernel shall hold for one of its services.
    pub fn wanted(&self, id: &ServiceId) -> Wanted {
        let mut destinations: Vec<Destination> = Vec::with_capacity(self.servers.len() + 1);
        let sorry = self.config.sorry.as_ref().filter(|sorry| self.sorry_active || sorry.inhibit);
        let sorry = sorry.zip(self.sorry_destination(id));
        // Servers of a group that differ in their port only may be one destination: the first that serves is.
        let mut seen = HashSet::with_capacity(self.servers.len());
        for server in &self.servers {
            let weight = if server.alive && !self.sorry_active { server.weight() } else { 0 };
            let absent = (!server.alive || self.sorry_active) && !server.config.inhibit_on_failure;
            let Some(id) = self.server_destination(id, &server.config).filter(|_| !absent) else { continue };
            if (self.sorry_active && sorry.is_some_and(|(_, sorry)| sorry == id)) || !seen.insert(id) {
                continue;
            }
            destinations.push(Destination {
                id,
                forwarding: server.config.forwarding,
                weight,
                upper_threshold: server.config.upper_threshold,
                lower_threshold: server.config.lower_threshold,
                local: false,
            });
        }
        if let Some((sorry, id)) = sorry
            && !seen.contains(&id)
        {
            destinations.push(Destination {
                id,
                forwarding: sorry.forwarding,
                weight: u32::from(self.sorry_active),
                upper_threshold: 0,
                lower_threshold: 0,
                local: false,
            });
        }
        Wanted { service: self.kernel_service(id), destinations }
    }

    fn kernel_service(&self, id: &ServiceId) -> table::Service {
        let config = &self.config;
        let mut flags = 0;
        let bits = [table::flags::SCHEDULER_1, table::flags::SCHEDULER_2, table::flags::SCHEDULER_3];
        for (on, bit) in config.scheduler_flags.iter().zip(bits) {
            flags |= if *on { bit } else { 0 };
        }
        flags |= if config.one_packet { table::flags::ONE_PACKET } else { 0 };
        flags |= if config.persistence.is_some() { table::flags::PERSISTENT } else { 0 };
        let host = match id.family() {
            Family::V4 => u32::MAX,
            Family::V6 => 128,
        };
        table::Service {
            id: *id,
            scheduler: config.scheduler.clone(),
            flags,
            timeout_s: config.persistence.map_or(0, |it| it.timeout_s),
            netmask: config.persistence.map_or(host, |it| it.granularity),
            engine: config.persistence_engine.clone(),
        }
    }

    /// Whether this destination is named in the configuration.
    pub fn names(&self, id: &ServiceId, destination: &DestinationId) -> bool {
        self.position_of(id, destination).is_some() || self.sorry_destination(id).as_ref() == Some(destination)
    }

    /// Whether the kernel's service is on this host, for `ha_suspend`; `None` without an address to tell by.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.ids.iter().filter_map(|id| match id {
            ServiceId::Address { address, .. } => Some(*address),
            ServiceId::Mark { .. } => None,
        })
    }

    /// Counters of the virtual server: a group's services are one.
    pub fn total_stats(&self) -> Stats {
        self.stats.values().fold(Stats::default(), |mut sum, stats| {
            sum += *stats;
            sum
        })
    }
}

impl Server {
    /// The weight in force: what the operator or the file says, and what checkers add to it. An operator's 0 stays 0,
    /// whatever checkers say: who drains a server means it.
    pub fn weight(&self) -> u32 {
        if self.operator == Some(0) {
            return 0;
        }
        let base = i64::from(self.operator.unwrap_or(self.config.weight));
        let delta = self.checkers.iter().fold(0i64, |sum, probe| sum.saturating_add(probe.delta));
        u32::try_from(base.saturating_add(delta).clamp(0, i64::from(WEIGHT_MAX))).unwrap_or(0)
    }

    /// Whether nothing but an operator can make the configured weight a 0 in the kernel: neither the file nor a check
    /// that has a say in it, nor a failure of a server that stays in the table.
    pub fn keeps_weight(&self) -> bool {
        let has_a_say = |probe: &Probe| match &probe.config.check {
            Check::Misc(misc) => misc.dynamic,
            Check::File(file) => file.weight != 0,
            _ => false,
        };
        self.config.weight != 0 && !self.config.inhibit_on_failure && !self.checkers.iter().any(has_a_say)
    }

    /// Whether all checkers are up; a server without checkers is.
    pub fn all_up(&self) -> bool {
        self.checkers.iter().all(|probe| probe.machine.up())
    }

    pub fn total_load(&self) -> Load {
        total(&self.loads)
    }
}

impl Probe {
    pub fn new(id: CheckerId, config: &Checker, up: bool, since: WallTime) -> Probe {
        Probe {
            id,
            config: config.clone(),
            machine: Machine::new(up),
            delta: 0,
            since,
            error: String::new(),
            passed: 0,
            failed: 0,
            took_us: 0,
        }
    }

    /// Probes are started for it; files and BFD sessions speak by themselves.
    pub fn active(&self) -> bool {
        !matches!(self.config.check, Check::File(_) | Check::Bfd(_))
    }
}

pub fn total(loads: &BTreeMap<ServiceId, Load>) -> Load {
    loads.values().fold(Load::default(), |mut sum, load| {
        sum += *load;
        sum
    })
}

/// The kernel services of a virtual server, each once. A group's come in the order of its members.
pub fn ids(config: &VirtualServer, groups: &[ServerGroup]) -> Vec<ServiceId> {
    let protocol = config.key.protocol.unwrap_or(Protocol::Tcp);
    match &config.key.kind {
        ServiceKind::Address { address, port } => {
            vec![ServiceId::Address { protocol, address: *address, port: *port }]
        }
        ServiceKind::Mark { mark, family } => vec![ServiceId::Mark { family: *family, mark: *mark }],
        ServiceKind::Group(name) => {
            let Some(group) = groups.iter().find(|group| group.name == *name) else { return Vec::new() };
            let mut ids = Vec::new();
            let mut seen = HashSet::new();
            let members = group.members.iter().flat_map(|member| expand(member, protocol, config.family));
            ids.extend(members.filter(|id| seen.insert(*id)));
            ids
        }
    }
}

fn expand(member: &GroupMember, protocol: Protocol, family: Family) -> Vec<ServiceId> {
    let address = |address, port| ServiceId::Address { protocol, address, port };
    match *member {
        GroupMember::Mark { mark, family: own } => vec![ServiceId::Mark { family: own.unwrap_or(family), mark }],
        GroupMember::Addresses { first: IpAddr::V4(first), last: IpAddr::V4(last), port } => {
            let range = u32::from(first)..=u32::from(last);
            range.take(RANGE_MAX).map(|bits| address(IpAddr::V4(bits.into()), port)).collect()
        }
        GroupMember::Addresses { first: IpAddr::V6(first), last: IpAddr::V6(last), port } => {
            let range = u128::from(first)..=u128::from(last);
            range.take(RANGE_MAX).map(|bits| address(IpAddr::V6(bits.into()), port)).collect()
        }
        GroupMember::Addresses { .. } => Vec::new(),
    }
}

/// Addresses of one range: a prefix of 16 bits. What is above is a mistake that must not eat the memory.
const RANGE_MAX: usize = 65_536;

/// `[10.1.0.1]:tcp:80`, as operators know it from Keepalived's log.
pub fn server_name(key: &ServerKey) -> String {
    format!("[{}]:{}:{}", key.address, key.service.protocol_name(), key.port)
}

/// `[10.0.0.1]:tcp:80`, `FWM 3`, `[GROUP]:tcp`, likewise.
pub fn service_name(key: &ServiceKey) -> String {
    match &key.kind {
        ServiceKind::Address { address, port } => format!("[{address}]:{}:{port}", key.protocol_name()),
        ServiceKind::Mark { mark, .. } => format!("FWM {mark}"),
        ServiceKind::Group(name) if key.protocol.is_some() => format!("[{name}]:{}", key.protocol_name()),
        ServiceKind::Group(name) => format!("[{name}]"),
    }
}
