//! One moment, prepared for families: names as labels show them, counters as they were added up, each thing once.

use crate::bus::bfd::BfdRow;
use crate::bus::msg::Source;
use crate::bus::rows::{
    AddressRow, Counters, InstanceRow, RouteRow, RuleRow, ServerConfig, ServerRow, ServiceRow, State, SyncGroupRow,
    TrackedInterfaceRow, TrackerRow,
};
use crate::bus::timing::{Logged, Pulse};
use crate::check::table::Stats;
use crate::clock::WallTime;
use crate::conf::model::{Family, InstanceName, RealServer, TrackedInterface};
use crate::control::snmp::SessionState;
use crate::export::look::{Look, ServerTotals};

use super::Build;
use super::family::Since;

/// What families read.
#[derive(Debug)]
pub struct View<'a> {
    pub look: &'a Look,
    pub build: &'a Build,
    pub instances: Vec<Router<'a>>,
    pub services: Vec<Service<'a>>,
}

/// A virtual router.
#[derive(Debug)]
pub struct Router<'a> {
    pub row: &'a InstanceRow,
    pub counters: Counters,
    vrid: String,
}

/// A virtual server with its real servers.
#[derive(Debug)]
pub struct Service<'a> {
    pub row: &'a ServiceRow,
    pub stats: Stats,
    pub servers: Vec<Server<'a>>,
    name: String,
}

#[derive(Debug)]
pub struct Server<'a> {
    pub row: &'a ServerRow,
    pub config: &'a RealServer,
    pub totals: ServerTotals,
    name: String,
}

impl<'a> View<'a> {
    pub fn new(look: &'a Look, build: &'a Build) -> View<'a> {
        let instances = look.snapshot.vrrp.instances.iter().map(|(_, row)| Router {
            row,
            counters: look.instance_counters(row),
            vrid: row.config.vrid.to_string(),
        });
        let services = look.snapshot.checks.services.iter().map(|(_, row)| Service {
            row,
            stats: look.service_stats(row),
            servers: servers(look, row),
            name: row.config.key.kind.to_string(),
        });
        View { look, build, instances: instances.collect(), services: services.collect() }
    }

    /// Every real server with its virtual server.
    pub fn servers(&self) -> impl Iterator<Item = (&Service<'a>, &Server<'a>)> {
        self.services.iter().flat_map(|service| service.servers.iter().map(move |server| (service, server)))
    }

    /// Addresses that an instance moves.
    pub fn addresses(&self, of: &Router<'a>) -> impl Iterator<Item = &'a AddressRow> + use<'a> {
        let owner = of.row.index;
        let rows = self.look.snapshot.vrrp.addresses.from(&[owner], false);
        rows.map(|(_, row)| row).take_while(move |row| row.owner_index == owner)
    }

    /// Addresses of nobody in particular.
    pub fn static_addresses(&self) -> impl Iterator<Item = &'a AddressRow> + use<'a> {
        let rows = self.look.snapshot.vrrp.addresses.from(&[0], false);
        rows.map(|(_, row)| row).take_while(|row| row.owner_index == 0)
    }

    /// Routes of the instance with this row number; 0 for the static ones.
    pub fn routes(&self, owner: u32) -> impl Iterator<Item = &'a RouteRow> + use<'a> {
        let rows = self.look.snapshot.vrrp.routes.from(&[owner], false);
        rows.map(|(_, row)| row).take_while(move |row| row.owner_index == owner)
    }

    /// The same for rules.
    pub fn rules(&self, owner: u32) -> impl Iterator<Item = &'a RuleRow> + use<'a> {
        let rows = self.look.snapshot.vrrp.rules.from(&[owner], false);
        rows.map(|(_, row)| row).take_while(move |row| row.owner_index == owner)
    }

    pub fn sync_groups(&self) -> impl Iterator<Item = &'a SyncGroupRow> + use<'a> {
        self.look.snapshot.vrrp.sync_groups.iter().map(|(_, row)| row)
    }

    pub fn scripts(&self) -> impl Iterator<Item = &'a TrackerRow> + use<'a> {
        self.look.snapshot.vrrp.scripts.iter().map(|(_, row)| row)
    }

    pub fn files(&self) -> impl Iterator<Item = &'a TrackerRow> + use<'a> {
        self.look.snapshot.vrrp.files.iter().map(|(_, row)| row)
    }

    pub fn processes(&self) -> impl Iterator<Item = &'a TrackerRow> + use<'a> {
        self.look.snapshot.vrrp.processes.iter().map(|(_, row)| row)
    }

    pub fn sessions(&self) -> impl Iterator<Item = &'a BfdRow> + use<'a> {
        self.look.snapshot.vrrp.sessions.iter().map(|(_, row)| row)
    }

    /// Interfaces that are tracked and whether they are up; one that does not exist is down.
    pub fn tracked_interfaces(&self) -> impl Iterator<Item = (&'a str, bool)> {
        let vrrp = &self.look.snapshot.vrrp;
        let existing = |row: &'a TrackedInterfaceRow| (row.interface.as_str(), row.up);
        let existing = (vrrp.tracked_interfaces.iter().map(|(_, row)| row))
            .chain(vrrp.sync_tracked_interfaces.iter().map(|(_, row)| row))
            .map(existing);
        let missing = |tracked: &'a TrackedInterface| (tracked.interface.as_str(), false);
        let of_instances = vrrp.instances.iter().flat_map(|(_, row)| &row.config.tracked_interfaces);
        let of_groups = vrrp.sync_groups.iter().flat_map(|(_, row)| &row.config.tracked_interfaces);
        existing.chain(of_instances.chain(of_groups).map(missing))
    }

    /// Whether the configuration in force asks for that process.
    pub fn wanted(&self, process: &str) -> bool {
        wanted(self.look, process)
    }

    /// Lines given to the log by all processes.
    pub fn logged(&self) -> Logged {
        let look = self.look;
        let engines = Source::ALL.into_iter().map(|source| look.logged(source));
        let all = engines
            .chain([look.bridge.logged])
            .chain(look.runner.map(|pulse| pulse.logged))
            .chain([look.daemon.logged]);
        all.fold(Logged::default(), |sum, one| Logged {
            error: sum.error + one.error,
            warning: sum.warning + one.warning,
            info: sum.info + one.info,
            debug: sum.debug + one.debug,
            lost: sum.lost + one.lost,
        })
    }

    /// There is to be a session with a master agent.
    pub fn agentx(&self) -> bool {
        self.look.snmp.agentx.state != SessionState::Off
    }

    /// When counters of that kind began, as far as anybody knows.
    pub fn created(&self, since: Since) -> Option<WallTime> {
        let daemon = &self.look.daemon;
        let at = match since {
            Since::Unknown => return None,
            Since::Daemon => daemon.started,
            Since::Process(name) => daemon.processes.iter().find(|process| process.name == name)?.started,
        };
        (at != WallTime::default()).then_some(at)
    }
}

fn servers<'a>(look: &'a Look, service: &'a ServiceRow) -> Vec<Server<'a>> {
    let rows = look.snapshot.checks.servers.from(&[service.index], false).map(|(_, row)| row);
    let rows = rows.take_while(|row| row.service_index == service.index);
    let real = rows.filter_map(|row| match &row.config {
        ServerConfig::Real(config) => {
            Some(Server { row, config, totals: look.server_totals(service, row), name: server_name(config) })
        }
        ServerConfig::Sorry(_) => None,
    });
    real.collect()
}

/// A server without a port gets the one that was asked for.
fn server_name(config: &RealServer) -> String {
    match config.port {
        0 => config.address.to_string(),
        port => std::net::SocketAddr::new(config.address, port).to_string(),
    }
}

impl<'a> Router<'a> {
    /// Values of [`super::families::vrrp::ROUTER`].
    pub fn labels(&self) -> [&str; 3] {
        let InstanceName(name) = &self.row.config.name;
        [name, &self.vrid, family_name(self.row.config.family)]
    }

    /// These and one more.
    pub fn and<'b>(&'b self, more: &'b str) -> [&'b str; 4] {
        let [name, vrid, family] = self.labels();
        [name, vrid, family, more]
    }
}

impl Service<'_> {
    pub fn labels(&self) -> [&str; 2] {
        [&self.name, self.row.config.key.protocol_name()]
    }

    pub fn and<'b>(&'b self, more: &'b str) -> [&'b str; 3] {
        let [name, protocol] = self.labels();
        [name, protocol, more]
    }
}

impl Server<'_> {
    pub fn labels<'b>(&'b self, service: &'b Service<'_>) -> [&'b str; 3] {
        service.and(&self.name)
    }

    pub fn and<'b>(&'b self, service: &'b Service<'_>, more: &'b str) -> [&'b str; 4] {
        let [service, protocol, name] = self.labels(service);
        [service, protocol, name, more]
    }

    /// What the kernel has, nothing where the server is not in its table.
    pub fn kernel_weight(&self) -> u32 {
        if self.row.installed && self.row.alive { self.row.weight } else { 0 }
    }

    pub fn draining(&self) -> bool {
        self.row.overridden && self.row.weight == 0
    }
}

/// Whether the configuration in force asks for that process. One that is there was asked for.
pub(super) fn wanted(look: &Look, process: &str) -> bool {
    let there = match process {
        "vrrp" => look.vrrp_connected,
        "checks" => look.checks_connected,
        "runner" => look.runner.is_some(),
        "rrd" => look.rrd.is_some(),
        _ => false,
    };
    there || look.daemon.wanted.iter().any(|wanted| wanted == process)
}

/// Whether that process runs and has told so lately.
pub(super) fn running(look: &Look, process: &str) -> bool {
    let fresh = || look.silence(process).is_some_and(|silence| silence <= Pulse::PATIENCE);
    match process {
        "vrrp" => look.vrrp_connected && fresh(),
        "checks" => look.checks_connected && fresh(),
        "runner" => fresh(),
        "rrd" => look.rrd.as_ref().is_some_and(|rrd| rrd.connected && rrd.stuck_since.is_none()),
        // That it has a process is what is known.
        _ => look.daemon.processes.iter().any(|report| report.name == process && report.pid != 0),
    }
}

/// How labels call a state. An instance is never in the other two.
pub const STATES: [(State, &str); 4] =
    [(State::Init, "init"), (State::Backup, "backup"), (State::Master, "master"), (State::Fault, "fault")];

pub fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// Seconds since 1970; microseconds are what a double has room for.
pub fn seconds(at: WallTime) -> f64 {
    (at.0 / 1_000) as f64 / 1e6
}
