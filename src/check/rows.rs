//! State to rows: what readers see.

use super::engine::Engine;
use super::io::Output;
use super::kernel::Slot;
use super::plan;
use super::service::{Probe, Server, Service, total};
use super::table::{DestinationId, Op, ServiceId};
use crate::bus::rows::{CheckerRow, GroupRow, Row, RowKey, ServerConfig, ServerRow, ServiceRow};
use crate::conf::model::{Check, ServerKey, Url};

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
            | RowKey::Bfd(_)
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
        asks: asks(&probe.config.check, probe.machine.url()),
        wants: wants(&probe.config.check, probe.machine.url()),
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

/// `url`: which one of several is probed; a checker that is down repeats the one that failed.
fn asks(check: &Check, url: usize) -> String {
    match check {
        Check::Http(http) => http.urls.get(url).map_or_else(String::new, |url| match &url.virtual_host {
            Some(host) => format!("{} of {host}", url.path),
            None => url.path.clone(),
        }),
        Check::Smtp(smtp) => format!("HELO {}", smtp.helo),
        Check::Dns(dns) if dns.name.is_empty() => "the root".to_owned(),
        Check::Dns(dns) => dns.name.clone(),
        Check::File(file) => file.name.clone(),
        // The target of a script is all there is to it, and rows must fit a frame.
        Check::Misc(_) | Check::Tcp(_) | Check::Udp(_) | Check::Ping(_) | Check::Bfd(_) => String::new(),
    }
}

fn wants(check: &Check, url: usize) -> String {
    match check {
        Check::Http(http) => http.urls.get(url).map_or_else(String::new, answer),
        Check::Misc(misc) if misc.dynamic => "exit status 0 or at least 2".to_owned(),
        Check::Misc(_) => "exit status 0".to_owned(),
        Check::File(file) if file.weight == 0 && file.reverse => "a value other than 0".to_owned(),
        Check::File(file) if file.weight == 0 => "value 0".to_owned(),
        Check::Udp(udp) if udp.reply.is_some() => "the configured reply".to_owned(),
        Check::File(_)
        | Check::Smtp(_)
        | Check::Dns(_)
        | Check::Tcp(_)
        | Check::Udp(_)
        | Check::Ping(_)
        | Check::Bfd(_) => String::new(),
    }
}

/// What an HTTP server must answer.
fn answer(url: &Url) -> String {
    let ranges = url.status.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    });
    let mut text = format!("status {}", ranges.collect::<Vec<_>>().join(", "));
    if url.digest.is_some() {
        text.push_str(", a body of the configured MD5");
    }
    text.push_str(match &url.regex {
        Some(regex) if regex.no_match => ", a body that does not match the regular expression",
        Some(_) => ", a body that matches the regular expression",
        None => "",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::model::{HttpCheck, HttpVersion, Target};

    fn url(path: &str, host: Option<&str>, status: &[(u16, u16)]) -> Url {
        Url {
            path: path.to_owned(),
            virtual_host: host.map(str::to_owned),
            digest: None,
            status: status.to_vec(),
            regex: None,
            tls_compliant: false,
        }
    }

    #[test]
    fn a_row_says_what_the_url_under_test_asks_and_wants() {
        let target = Target {
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            port: 80,
            bind: None,
            bind_port: 0,
            interface: None,
            mark: 0,
            timeout_us: 1,
        };
        let urls = vec![
            url("/health", Some("www.example.com"), &[(200, 200), (301, 302)]),
            Url { digest: Some([0; 16]), ..url("/", None, &[(200, 299)]) },
        ];
        let http = HttpCheck { target, tls: None, version: HttpVersion::V1_0, urls, fast_recovery: false };
        let check = Check::Http(Box::new(http));
        assert_eq!(asks(&check, 0), "/health of www.example.com");
        assert_eq!(wants(&check, 0), "status 200, 301 to 302");
        assert_eq!(asks(&check, 1), "/");
        assert_eq!(wants(&check, 1), "status 200 to 299, a body of the configured MD5");
        assert_eq!(asks(&check, 2), "");
    }
}
