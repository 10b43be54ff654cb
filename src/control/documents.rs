//! The documents of [`crate::report`], narrowed down to what was asked for.

use super::select::Selector;
use super::{Code, Kind, Meaning, Response, error, key_of, no_service};
use crate::bus::bfd::BfdRow;
use crate::bus::rows::{InstanceRow, ServerRow, ServiceRow};
use crate::conf::model::InstanceName;
use crate::export::Look;
use crate::report;
use crate::report::explain::{self, ExplainError};
use crate::store::Snapshot;

/// What `explain` can be about.
#[derive(Clone, Copy)]
enum Thing<'a> {
    Instance(&'a InstanceRow),
    Service(&'a ServiceRow),
    Server(&'a ServiceRow, &'a ServerRow),
    Session(&'a BfdRow),
}

pub(super) fn vrrp(instance: Option<&str>, look: &Look) -> Result<Response, Response> {
    let mut vrrp = report::vrrp(look);
    if let Some(name) = instance {
        known_instance(name, &look.snapshot)?;
        vrrp.instances.retain(|instance| instance.name == name);
        vrrp.sync_groups.retain(|group| group.members.iter().any(|member| member == name));
        let groups = &vrrp.sync_groups;
        let tracks = |by: &String| by == name || groups.iter().any(|group| group.name == *by);
        vrrp.trackers.retain(|tracker| tracker.tracked_by.iter().any(tracks));
        vrrp.statics = report::StaticReport::default();
    }
    Ok(Response::Vrrp { vrrp: Box::new(vrrp) })
}

pub(super) fn bfd(session: Option<&str>, look: &Look) -> Result<Response, Response> {
    let mut bfd = report::bfd(look);
    if let Some(name) = session {
        bfd.sessions.retain(|session| session.name == name);
        if bfd.sessions.is_empty() {
            return Err(no_session(name, &look.snapshot));
        }
    }
    Ok(Response::Bfd { bfd })
}

fn no_session(name: &str, snapshot: &Snapshot) -> Response {
    match snapshot.generations.vrrp.generation {
        0 => error(Code::Unavailable, "there is no word from the vrrp process: no BFD sessions, or not yet"),
        _ => error(Code::NothingSuch, format!("no BFD session {name}")),
    }
}

pub(super) fn ipvs(service: Option<&str>, look: &Look) -> Result<Response, Response> {
    let mut ipvs = report::ipvs(look);
    if let Some(name) = service {
        let selector = Selector::new(Some(name), None);
        let keys: Vec<String> = selector.services(&look.snapshot).map(|row| row.key().to_string()).collect();
        if keys.is_empty() {
            super::heard_of_checks(&look.snapshot)?;
            return Err(no_service(name));
        }
        ipvs.services.retain(|report| keys.contains(&report.service.service));
    }
    Ok(Response::Ipvs { ipvs })
}

pub(super) fn known_instance(name: &str, snapshot: &Snapshot) -> Result<InstanceName, Response> {
    let rows = &snapshot.vrrp.instances;
    if let Some((_, row)) = rows.iter().find(|(_, row)| row.config.name.0 == name) {
        return Ok(row.config.name.clone());
    }
    if snapshot.generations.vrrp.generation == 0 {
        return Err(error(Code::Unavailable, "there is no word from the vrrp process: no instances, or not yet"));
    }
    let known: Vec<String> = rows.iter().map(|(_, row)| row.config.name.to_string()).collect();
    let hint = match known.len() {
        0 => "; there are none".to_owned(),
        1..=8 => format!("; there are {}", known.join(", ")),
        count => format!("; there are {count} others"),
    };
    Err(error(Code::NoSuchInstance, format!("no instance {name}{hint}")))
}

/// After a command was carried out.
pub(super) fn instance(name: &InstanceName, look: &Look) -> Response {
    match report::vrrp(look).instances.into_iter().find(|instance| name.0 == instance.name) {
        Some(instance) => Response::Instance { instance: Box::new(instance) },
        None => error(Code::NoSuchInstance, "it has just left the configuration"),
    }
}

pub(super) fn explain(
    what: &str,
    service: Option<&str>,
    kind: Option<Kind>,
    look: &Look,
) -> Result<Response, Response> {
    let found = meant(what, service, kind, &look.snapshot);
    let explanation = match found[..] {
        [] => return Err(nothing(what, service, kind, &look.snapshot)),
        // By its key, which means nothing else.
        [Thing::Instance(row)] => explain::instance(look, &row.config.name.0),
        [Thing::Session(row)] => explain::bfd_session(look, &row.config.name),
        [Thing::Service(row)] => explain::virtual_server(look, &row.key().to_string()),
        [Thing::Server(service, row)] => {
            explain::real_server(look, &key_of(service, row).to_string(), Some(&service.key().to_string()))
        }
        _ => {
            return Err(Response::Error {
                code: Code::Ambiguous,
                message: format!("{what} may mean {} things: say which", found.len()),
                candidates: Vec::new(),
                meanings: found.into_iter().map(meaning).collect(),
            });
        }
    };
    match explanation {
        Ok(explanation) => Ok(Response::Explanation { explanation: Box::new(explanation) }),
        Err(ExplainError::NotFound(message)) => Err(error(Code::NothingSuch, message)),
        Err(ExplainError::Ambiguous { message, .. }) => Err(error(Code::Ambiguous, message)),
        Err(ExplainError::Unavailable(message)) => Err(error(Code::Unavailable, message)),
    }
}

fn meant<'a>(what: &str, service: Option<&str>, kind: Option<Kind>, snapshot: &'a Snapshot) -> Vec<Thing<'a>> {
    let wanted = |this: Kind| kind.is_none_or(|kind| kind == this);
    let mut found = Vec::new();
    let instances = || snapshot.vrrp.instances.iter().map(|(_, row)| row);
    // Who names a virtual server means one of its real servers.
    if service.is_none() {
        if wanted(Kind::Instance) {
            found.extend(instances().filter(|row| row.config.name.0 == what).map(Thing::Instance));
        }
        if wanted(Kind::VirtualServer) {
            found.extend(Selector::new(Some(what), None).services(snapshot).map(Thing::Service));
        }
        if wanted(Kind::BfdSession) {
            let sessions = snapshot.vrrp.sessions.iter().map(|(_, row)| row);
            found.extend(sessions.filter(|row| row.config.name == what).map(Thing::Session));
        }
    }
    if wanted(Kind::RealServer) {
        let servers = Selector::new(service, Some(what)).servers(snapshot);
        found.extend(servers.map(|(service, row)| Thing::Server(service, row)));
    }
    // People know an instance by its addresses, too; as a virtual server's, an address means that one.
    if found.is_empty() && service.is_none() && wanted(Kind::Instance) {
        let bare = what.split('/').next().unwrap_or_default();
        if let Ok(address) = bare.parse::<std::net::IpAddr>() {
            let holds = |row: &&InstanceRow| {
                let mut addresses = snapshot.vrrp.addresses.iter().map(|(_, address)| address);
                addresses.any(|have| have.owner_index == row.index && have.config.address == address)
            };
            found.extend(instances().filter(holds).map(Thing::Instance));
        }
    }
    found
}

fn nothing(what: &str, service: Option<&str>, kind: Option<Kind>, snapshot: &Snapshot) -> Response {
    match (kind, service) {
        (_, Some(name)) if Selector::new(Some(name), None).services(snapshot).next().is_none() => no_service(name),
        (Some(Kind::Instance), _) => match known_instance(what, snapshot) {
            Err(response) => response,
            // It has a name like that, and a virtual server cannot have it.
            Ok(_) => error(Code::NothingSuch, "an instance is of no virtual server"),
        },
        (Some(Kind::VirtualServer), _) => no_service(what),
        (Some(Kind::BfdSession), _) => no_session(what, snapshot),
        (Some(Kind::RealServer), _) | (None, Some(_)) => error(Code::NoSuchServer, format!("no real server {what}")),
        (None, None) => error(
            Code::NothingSuch,
            format!(
                "no instance, virtual server, real server or BFD session {what} (`keepwatch directive` explains directives)"
            ),
        ),
    }
}

fn meaning(thing: Thing<'_>) -> Meaning {
    match thing {
        Thing::Instance(row) => Meaning { kind: Kind::Instance, what: row.config.name.to_string(), service: None },
        Thing::Session(row) => Meaning { kind: Kind::BfdSession, what: row.config.name.clone(), service: None },
        Thing::Service(row) => Meaning { kind: Kind::VirtualServer, what: row.key().to_string(), service: None },
        Thing::Server(service, row) => Meaning {
            kind: Kind::RealServer,
            what: key_of(service, row).to_string(),
            service: Some(service.key().to_string()),
        },
    }
}
