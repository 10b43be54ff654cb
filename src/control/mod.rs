//! What operators' tools ask of the daemon over its control socket, and what it answers. Start with [`Request`].
//!
//! Values only: how they become lines of JSON is `process::control`'s and the tool's matter. Reads are answered from one
//! snapshot; a write is a [`Command`] to the owner, and answered when readers can see it.

mod documents;
pub(crate) mod select;
pub mod snmp;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use self::select::Selector;
use self::snmp::SnmpReport;
use crate::bus::msg::{Command, Refusal, Reply};
use crate::bus::rows::{ServerConfig, ServerRow, ServiceRow};
use crate::conf::model::ServerKey;
use crate::export::Look;
use crate::export::look::ReloadReport;
use crate::report::{
    self, BfdReport, CheckersReport, EventsReport, Explanation, InstanceReport, IpvsReport, PlanReport, Status,
    VrrpReport,
};
use crate::store::Snapshot;

/// Largest weight that IPVS takes, and SNMP.
pub const WEIGHT_MAX: u32 = i32::MAX as u32;

/// One line from a tool.
///
/// `server` is an address with or without a port (`192.168.1.10:80`, `[fd00::10]:80`) or an `snmp_name`; `service` the key
/// of a virtual server (`192.0.2.10:443/tcp`, `fwmark:47`, `group:web/tcp`) with or without its protocol, the name of its
/// group, or its `snmp_name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Virtual servers; all of them without `service`.
    Services {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
    },
    /// Real servers and sorry servers; all of them without `service` and `server`.
    Servers {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<String>,
    },
    /// 0 to 2,147,483,647; 0 drains. Exactly one server must match.
    SetWeight {
        server: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        weight: u32,
    },
    /// The session with the master agent, the receivers of notifications, the responder.
    Snmp,
    /// Back to the configured weight.
    ResetWeight {
        server: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
    },
    /// All there is, in short.
    Status,
    /// Instances and sync groups; all of them without `instance`.
    Vrrp {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<String>,
    },
    /// BFD sessions; all of them without `session`.
    Bfd {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
    /// Virtual servers with their real servers; all of them without `service`.
    Ipvs {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
    },
    Checkers,
    /// What happened, from this number on, as far as it is remembered.
    Events {
        #[serde(default)]
        since: u64,
    },
    /// Why something is as it is. `what`: an instance, one of its virtual addresses, a virtual server, a real server or a
    /// BFD session.
    Explain {
        what: String,
        /// The virtual server that the real server is of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        /// Nothing but things of this kind are meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<Kind>,
    },
    /// The instance lets other routers go first; with `back` it takes part in the election as before.
    Failover {
        instance: String,
        #[serde(default)]
        back: bool,
    },
    /// Read the configuration again, as SIGHUP does; answered when it is in force or refused.
    Reload {
        /// Only say what that would change.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        plan: bool,
        /// Only if no mastership is dropped and no virtual server goes or is left without a server; answered with the plan if
        /// not.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        safe: bool,
    },
}

/// Things that have a state to be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "daemon", derive(clap::ValueEnum))]
pub enum Kind {
    Instance,
    VirtualServer,
    RealServer,
    BfdSession,
}

/// One line to a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Response {
    Services {
        services: Vec<Service>,
    },
    /// To `servers`, and after a write: the server as it is now.
    Servers {
        servers: Vec<Server>,
        /// Counters and connections may be this old, milliseconds.
        statistics_interval_ms: u64,
        /// When they were read, or before: the host's monotonic clock, nanoseconds.
        statistics_at_ns: u64,
    },
    Snmp {
        snmp: Box<SnmpReport>,
    },
    Status {
        status: Box<Status>,
    },
    Vrrp {
        vrrp: Box<VrrpReport>,
    },
    Bfd {
        bfd: BfdReport,
    },
    Ipvs {
        ipvs: IpvsReport,
    },
    Checkers {
        checkers: CheckersReport,
    },
    Events {
        events: EventsReport,
    },
    Explanation {
        explanation: Box<Explanation>,
    },
    /// To `failover`: the instance as it is now.
    Instance {
        instance: Box<InstanceReport>,
    },
    /// To `reload`: what became of it.
    Reload {
        reload: ReloadReport,
    },
    /// To `reload` with `plan`; and with `safe`, if it was not done.
    Plan {
        plan: Box<PlanReport>,
    },
    Error {
        code: Code,
        message: String,
        /// Real servers that an ambiguous name could mean.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        candidates: Vec<Server>,
        /// All that it could mean, when they are not only real servers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        meanings: Vec<Meaning>,
    },
}

/// Classes of errors, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    BadRequest,
    /// Only root and the daemon's user may write.
    PermissionDenied,
    NoSuchService,
    NoSuchServer,
    NoSuchInstance,
    /// Nothing of any kind has this name.
    NothingSuch,
    Ambiguous,
    /// There is no such engine process, or it has not spoken yet.
    Unavailable,
    /// The owner or the kernel did not take it.
    Refused,
    /// The owner did not answer in time; it may still carry it out.
    NoAnswer,
    /// Too many tools at once.
    Busy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its key.
    pub service: String,
    pub name: Option<String>,
    pub scheduler: String,
    pub installed: bool,
    pub quorum: u32,
    pub quorum_met: bool,
    pub sorry_active: bool,
    pub suspended: bool,
    pub servers_total: u32,
    pub servers_up: u32,
    pub weight_up: u64,
    pub connections: u64,
    /// Differences to the kernel's table, in words.
    pub trouble: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Key of its virtual server.
    pub service: String,
    pub service_name: Option<String>,
    pub server: String,
    pub name: Option<String>,
    pub sorry: bool,
    pub alive: bool,
    /// In the kernel's table.
    pub installed: bool,
    pub weight: u32,
    /// `null` for a sorry server.
    pub configured_weight: Option<u32>,
    /// An operator's weight is in force.
    pub overridden: bool,
    pub active_connections: u32,
    pub inactive_connections: u32,
    /// Clients that persistence ties to it.
    pub persistent_connections: u32,
    pub connections: u64,
    /// Of the state, seconds since 1970.
    pub since: u64,
    pub failed_checks: u32,
    pub checkers: Vec<Checker>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checker {
    pub kind: String,
    pub target: String,
    pub up: bool,
    /// Of the last check that failed; empty after one that passed.
    pub error: String,
}

/// One of the things that a name could mean: its kind, and the words that mean nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    pub kind: Kind,
    pub what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Answer(Response),
    /// To be carried out by its owner; then [`settled`] has the answer.
    NeedsCommand(Command),
    /// The bridge itself knows.
    NeedsSnmp,
    /// The supervisor reads the configuration.
    NeedsReload,
    /// The supervisor reads it to say what it would change; `safe`: and it comes into force if that does no harm.
    NeedsPlan {
        safe: bool,
    },
}

impl Request {
    /// Whether it changes anything.
    pub fn writes(&self) -> bool {
        match self {
            // A plan changes nothing, and makes the supervisor start a process all the same.
            Request::SetWeight { .. }
            | Request::ResetWeight { .. }
            | Request::Failover { .. }
            | Request::Reload { .. } => true,
            Request::Services { .. }
            | Request::Servers { .. }
            | Request::Snmp
            | Request::Status
            | Request::Vrrp { .. }
            | Request::Bfd { .. }
            | Request::Ipvs { .. }
            | Request::Checkers
            | Request::Events { .. }
            | Request::Explain { .. } => false,
        }
    }
}

/// Decides over a request. `host` is the name of this one; `may_write`: whether the peer may change anything.
pub fn handle(request: &Request, look: &Look, host: &str, may_write: bool) -> Step {
    decide(request, look, host, may_write).unwrap_or_else(Step::Answer)
}

fn decide(request: &Request, look: &Look, host: &str, may_write: bool) -> Result<Step, Response> {
    if request.writes() && !may_write {
        return Err(error(Code::PermissionDenied, "only root and the daemon's user may change anything"));
    }
    let snapshot = &*look.snapshot;
    let answer = match request {
        Request::Snmp => return Ok(Step::NeedsSnmp),
        Request::Reload { plan: false, safe: false } => return Ok(Step::NeedsReload),
        Request::Reload { plan, safe } => return Ok(Step::NeedsPlan { safe: *safe && !plan }),
        Request::Failover { instance, back } => {
            let instance = documents::known_instance(instance, snapshot)?;
            return Ok(Step::NeedsCommand(Command::StandDown { instance, down: !back }));
        }
        Request::SetWeight { server, service, weight } => {
            heard_of_checks(snapshot)?;
            if *weight > WEIGHT_MAX {
                return Err(error(Code::BadRequest, format!("a weight is 0 to {WEIGHT_MAX}")));
            }
            let server = only(&Selector::new(service.as_deref(), Some(server)), snapshot)?;
            return Ok(Step::NeedsCommand(Command::SetWeight { server, weight: *weight }));
        }
        Request::ResetWeight { server, service } => {
            heard_of_checks(snapshot)?;
            let server = only(&Selector::new(service.as_deref(), Some(server)), snapshot)?;
            return Ok(Step::NeedsCommand(Command::ResetWeight { server }));
        }
        Request::Services { service } => {
            heard_of_checks(snapshot)?;
            let selector = Selector::new(service.as_deref(), None);
            let found: Vec<Service> = selector.services(snapshot).map(service_view).collect();
            match service {
                Some(name) if found.is_empty() => return Err(no_service(name)),
                _ => Response::Services { services: found },
            }
        }
        Request::Servers { service, server } => {
            heard_of_checks(snapshot)?;
            let selector = Selector::new(service.as_deref(), server.as_deref());
            let found: Vec<_> = selector.servers(snapshot).collect();
            match server {
                None if service.as_ref().is_none_or(|_| selector.services(snapshot).next().is_some()) => {}
                _ if !found.is_empty() => {}
                _ => return Err(nothing_found(&selector, snapshot)),
            }
            servers(&found, snapshot)
        }
        Request::Status => Response::Status { status: Box::new(report::status(look, host)) },
        Request::Vrrp { instance } => documents::vrrp(instance.as_deref(), look)?,
        Request::Bfd { session } => documents::bfd(session.as_deref(), look)?,
        Request::Ipvs { service } => documents::ipvs(service.as_deref(), look)?,
        Request::Checkers => Response::Checkers { checkers: report::checkers(look) },
        Request::Events { since } => Response::Events { events: report::events(look, *since) },
        Request::Explain { what, service, kind } => documents::explain(what, service.as_deref(), *kind, look)?,
    };
    Ok(Step::Answer(answer))
}

fn heard_of_checks(snapshot: &Snapshot) -> Result<(), Response> {
    match snapshot.generations.checks.generation {
        0 => Err(error(Code::Unavailable, "there is no word from the checks process: no virtual servers, or not yet")),
        _ => Ok(()),
    }
}

/// The answer to a write, after the owner's; `snapshot` shows it.
pub fn settled(command: &Command, reply: &Reply, look: &Look) -> Response {
    let snapshot = &*look.snapshot;
    match reply {
        Reply::Done { .. } => {
            let server = match command {
                Command::SetWeight { server, .. } | Command::ResetWeight { server } => server,
                Command::StandDown { instance, .. } => return documents::instance(instance, look),
                Command::SetPriority { .. } | Command::SetPreempt { .. } | Command::Announce { .. } => {
                    return error(Code::BadRequest, "this command is not of the control socket");
                }
            };
            let found: Vec<_> = Selector::default()
                .servers(snapshot)
                .filter(|(service, row)| key_of(service, row) == *server)
                .collect();
            servers(&found, snapshot)
        }
        Reply::Refused(Refusal::NoSuchServer) => error(Code::NoSuchServer, "it has just left the configuration"),
        Reply::Refused(Refusal::NoSuchInstance) => error(Code::NoSuchInstance, "it has just left the configuration"),
        Reply::Refused(Refusal::Owner) => error(Code::Refused, "it owns its addresses: it cannot let others go first"),
        Reply::Refused(Refusal::Kernel(errno)) => {
            error(Code::Refused, format!("the kernel refuses it (error {errno})"))
        }
    }
}

/// An answer that is nothing but an error.
pub fn error(code: Code, message: impl Into<String>) -> Response {
    Response::Error { code, message: message.into(), candidates: Vec::new(), meanings: Vec::new() }
}

/// The one real server that is meant.
fn only(selector: &Selector<'_>, snapshot: &Snapshot) -> Result<ServerKey, Response> {
    let mut found: Vec<_> = selector.servers(snapshot).collect();
    if found.is_empty() {
        return Err(nothing_found(selector, snapshot));
    }
    found.retain(|(_, row)| matches!(row.config, ServerConfig::Real(_)));
    match found[..] {
        [] => Err(error(Code::BadRequest, "a sorry server has no weight of its own")),
        [(service, row)] => Ok(key_of(service, row)),
        _ => Err(Response::Error {
            code: Code::Ambiguous,
            message: format!("{} real servers match: say which virtual server is meant", found.len()),
            candidates: found.iter().map(|(service, row)| server_view(service, row)).collect(),
            meanings: Vec::new(),
        }),
    }
}

fn nothing_found(selector: &Selector<'_>, snapshot: &Snapshot) -> Response {
    if let Some(name) = selector.service
        && selector.services(snapshot).next().is_none()
    {
        return no_service(name);
    }
    let name = selector.server.unwrap_or_default();
    error(Code::NoSuchServer, format!("no real server {name}"))
}

fn no_service(name: &str) -> Response {
    error(Code::NoSuchService, format!("no virtual server {name}"))
}

fn servers(found: &[(&ServiceRow, &ServerRow)], snapshot: &Snapshot) -> Response {
    Response::Servers {
        servers: found.iter().map(|(service, row)| server_view(service, row)).collect(),
        statistics_interval_ms: statistics_us(snapshot).div_ceil(1000),
        statistics_at_ns: snapshot.checks.ipvs.counted_at.nanos(),
    }
}

/// How often the kernel's counters are read, microseconds.
pub(crate) fn statistics_us(snapshot: &Snapshot) -> u64 {
    /// When the configuration says nothing.
    const DEFAULT_US: u64 = 5_000_000;
    match snapshot.global().map_or(0, |global| global.lvs.server_statistics_us) {
        0 => DEFAULT_US,
        us => us,
    }
}

pub(crate) fn key_of(service: &ServiceRow, row: &ServerRow) -> ServerKey {
    let (address, port, sorry) = match &row.config {
        ServerConfig::Real(server) => (server.address, server.port, false),
        ServerConfig::Sorry(server) => (server.address, server.port, true),
    };
    ServerKey { service: service.key().clone(), address, port, sorry }
}

pub(crate) fn service_view(row: &ServiceRow) -> Service {
    Service {
        service: row.key().to_string(),
        name: row.config.snmp_name.clone(),
        scheduler: row.config.scheduler.clone(),
        installed: row.installed,
        quorum: row.config.quorum,
        quorum_met: row.quorum_met,
        sorry_active: row.sorry_active,
        suspended: row.suspended,
        servers_total: row.servers_total,
        servers_up: row.servers_up,
        weight_up: row.weight_up,
        connections: row.stats.connections,
        trouble: row.trouble.clone(),
    }
}

pub(crate) fn server_view(service: &ServiceRow, row: &ServerRow) -> Server {
    let (name, configured_weight) = match &row.config {
        ServerConfig::Real(server) => (server.snmp_name.clone(), Some(server.weight)),
        ServerConfig::Sorry(_) => (None, None),
    };
    let checkers = row.checkers.iter().map(|checker| Checker {
        kind: checker.kind.clone(),
        target: checker.target.clone(),
        up: checker.up,
        error: checker.error.clone(),
    });
    Server {
        service: service.key().to_string(),
        service_name: service.config.snmp_name.clone(),
        server: key_of(service, row).to_string(),
        name,
        sorry: configured_weight.is_none(),
        alive: row.alive,
        installed: row.installed,
        weight: row.weight,
        configured_weight,
        overridden: row.overridden,
        active_connections: row.load.active,
        inactive_connections: row.load.inactive,
        persistent_connections: row.load.persistent,
        connections: row.load.stats.connections,
        since: row.since.0 / 1_000_000_000,
        failed_checks: row.failed_checks,
        checkers: checkers.collect(),
    }
}
