//! State to rows: what readers see.

use super::engine::Engine;
use super::io::Output;
use super::kernel::Slot;
use super::plan;
use super::service::{Probe, Server, Service, total};
use super::table::{DestinationId, Op, ServiceId};
use crate::bus::rows::{CheckerRow, GroupRow, Row, RowKey, ServerConfig, ServerRow, ServiceRow};
use crate::conf::model::{Check, ServerKey};

impl Engine {
    /// The value of a row now; `None` once it is gone.
    pub fn row(&self, key: &RowKey) -> Option<Row> {
        match key {
            RowKey::Global => Some(Row::Global(Box::new(self.global.clone()))),
            RowKey::Ipvs => Some(Row::Ipvs(Box::new(self.ipvs.clone()))),
            RowKey::CheckTimes => Some(Row::CheckTimes(Box::new(self.times.row(self.in_flight())))),
            RowKey::Group(name) => {
                let at = self.groups.iter().position(|group| group.name == *name)?;
                let config = self.groups.get(at)?.clone();
                Some(Row::Group(Box::new(GroupRow { index: u32::try_from(at).ok()?.checked_add(1)?, config })))
            }
            RowKey::Service(key) => {
                let slot = *self.names.get(key)?;
                Some(Row::Service(Box::new(self.service_row(slot, self.service(slot)?))))
            }
            RowKey::Server(key) => self.server_row(key).map(|row| Row::Server(Box::new(row))),
            RowKey::SyncGroup(_)
            | RowKey::SyncTrackedInterface { .. }
            | RowKey::Tracker(..)
            | RowKey::Route { .. }
            | RowKey::Rule { .. }
            | RowKey::Router
            | RowKey::Instance(_)
            | RowKey::Address { .. }
            | RowKey::TrackedInterface { .. }
            | RowKey::Pulse
            | RowKey::VrrpTimes => None,
        }
    }

    /// Every row there is, for a full resync.
    pub fn keys(&self) -> Vec<RowKey> {
        let mut keys = vec![RowKey::Global, RowKey::Ipvs, RowKey::CheckTimes];
        keys.extend(self.groups.iter().map(|group| RowKey::Group(group.name.clone())));
        for service in self.each_slot().into_iter().filter_map(|slot| self.service(slot)) {
            keys.push(RowKey::Service(service.key().clone()));
            keys.extend(service.config.sorry_key().map(RowKey::Server));
            keys.extend(service.servers.iter().map(|server| RowKey::Server(service.server_key(server))));
        }
        keys
    }

    /// Probes under way, those included that wait for a socket.
    fn in_flight(&self) -> u32 {
        let servers = self.slots.iter().flatten().flat_map(|service| &service.servers);
        let probes = servers.flat_map(|server| &server.checkers);
        probes.filter(|probe| probe.machine.attempt().is_some()).count() as u32
    }

    /// Reports the rows that an operation of the kernel may have changed.
    pub(super) fn tell_kernel(&self, slot: Slot, op: &Op, out: &mut Vec<Output>) {
        let Some(service) = self.service(slot) else { return };
        let (Some(id), Some(destination)) = (plan::subject(op), plan::destination(op)) else {
            return out.push(Output::Changed(RowKey::Service(service.key().clone())));
        };
        let server = service.position_of(&id, &destination).and_then(|at| service.servers.get(at));
        out.extend(server.map(|server| Output::Changed(RowKey::Server(service.server_key(server)))));
        if service.sorry_destination(&id) == Some(destination) {
            out.extend(service.config.sorry_key().map(|key| Output::Changed(RowKey::Server(key))));
        }
        out.push(Output::Counted(RowKey::Service(service.key().clone())));
    }

    /// Reports all rows of a virtual server.
    pub(super) fn tell_all(&self, slot: Slot, out: &mut Vec<Output>) {
        let Some(service) = self.service(slot) else { return };
        out.push(Output::Changed(RowKey::Service(service.key().clone())));
        out.extend(service.config.sorry_key().map(|key| Output::Changed(RowKey::Server(key))));
        let servers = service.servers.iter().map(|server| service.server_key(server));
        out.extend(servers.map(|key| Output::Changed(RowKey::Server(key))));
    }

    fn service_row(&self, slot: Slot, service: &Service) -> ServiceRow {
        let mut trouble = Vec::new();
        for id in &service.ids {
            match self.kernel.owner(id) {
                Some(owner) if owner == slot => trouble.extend(self.kernel.troubles(id)),
                Some(_) => trouble.push(format!("{id} belongs to another virtual_server block")),
                None => {}
            }
        }
        let more = trouble.len().saturating_sub(TROUBLES_MAX);
        if more > 0 {
            trouble.truncate(TROUBLES_MAX);
            trouble.push(format!("and {more} more"));
        }
        ServiceRow {
            index: service.index,
            config: service.config.clone(),
            installed: service.ids.iter().any(|id| self.kernel.installed(id)),
            quorum_met: service.quorum_met,
            quorum_since: service.quorum_since,
            sorry_active: service.sorry_active,
            suspended: service.suspended,
            servers_total: service.servers_total(),
            servers_up: service.servers_up(),
            weight_up: service.weight_up(),
            stats: service.total_stats(),
            trouble,
        }
    }

    fn server_row(&self, key: &ServerKey) -> Option<ServerRow> {
        let service = self.service_named(&key.service)?;
        let installed = |destination: &dyn Fn(&ServiceId) -> Option<DestinationId>| {
            service.ids.iter().any(|id| destination(id).is_some_and(|it| self.kernel.holds(id, &it)))
        };
        if key.sorry {
            let sorry = service.config.sorry.as_ref();
            let sorry = sorry.filter(|sorry| (sorry.address, sorry.port) == (key.address, key.port))?;
            return Some(ServerRow {
                service_index: service.index,
                index: 1,
                config: ServerConfig::Sorry(sorry.clone()),
                alive: service.sorry_active,
                weight: u32::from(service.sorry_active),
                overridden: false,
                installed: installed(&|id| service.sorry_destination(id)),
                failed_checks: 0,
                checks_not_run: 0,
                since: service.quorum_since,
                load: total(&service.sorry_load),
                checkers: Vec::new(),
                went_up: 0,
                went_down: 0,
            });
        }
        let at = service.position(key.address, key.port)?;
        let server = service.servers.get(at)?;
        Some(real_row(service, at, server, installed(&|id| service.server_destination(id, &server.config))))
    }
}

/// Lines of trouble in one row, which must fit a frame.
const TROUBLES_MAX: usize = 16;

fn real_row(service: &Service, at: usize, server: &Server, installed: bool) -> ServerRow {
    let count = |wanted: fn(&Probe) -> bool| server.checkers.iter().filter(|probe| wanted(probe)).count() as u32;
    ServerRow {
        service_index: service.index,
        index: service.row_index(at),
        config: ServerConfig::Real(server.config.clone()),
        alive: server.alive,
        weight: server.weight(),
        overridden: server.operator.is_some(),
        installed,
        failed_checks: count(|probe| !probe.machine.up()),
        checks_not_run: count(|probe| !probe.machine.has_run()),
        since: server.since,
        load: server.total_load(),
        checkers: server.checkers.iter().map(checker_row).collect(),
        went_up: server.went_up,
        went_down: server.went_down,
    }
}

fn checker_row(probe: &Probe) -> CheckerRow {
    CheckerRow {
        kind: probe.config.check.name().to_owned(),
        target: target(&probe.config.check),
        up: probe.machine.up(),
        has_run: probe.machine.has_run(),
        since: probe.since,
        error: probe.error.clone(),
        passed: probe.passed,
        failed: probe.failed,
        took_us: probe.took_us,
    }
}

/// What a check probes, as people write it.
fn target(check: &Check) -> String {
    let target = match check {
        Check::Tcp(target) => target,
        Check::Http(http) => &http.target,
        Check::Smtp(smtp) => &smtp.target,
        Check::Dns(dns) => &dns.target,
        Check::Udp(udp) => &udp.target,
        Check::Ping(target) => return target.address.to_string(),
        Check::Misc(misc) => return misc.script.path.clone(),
        Check::File(file) => return file.path.clone(),
        Check::Bfd(name) => return name.clone(),
    };
    std::net::SocketAddr::new(target.address, target.port).to_string()
}
