//! What a reload would do, with what the running daemon knows of it: who is MASTER now, how many connections are open.

use serde::{Deserialize, Serialize};

use super::words::{and, count, state};
use crate::bus::msg::DriftReport;
use crate::bus::rows::{InstanceRow, ServerRow, ServiceRow, State};
use crate::conf::diff::{How, Object, What};
use crate::conf::model::{InstanceName, ServerKey, ServiceKey};
use crate::conf::plan::{Consequence, Plan, Pooled};
use crate::control::key_of;
use crate::export::Look;

/// The answer to `reload` with `plan`, and to one with `safe` that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanReport {
    /// What would change, in the order of the file. Empty: the file says what is in force.
    pub changes: Vec<PlannedChange>,
    /// What somebody may notice who does not look at the configuration, in the order of the file.
    pub consequences: Vec<PlannedConsequence>,
    /// None of them keeps `reload --safe` from going on.
    pub safe: bool,
    /// Warnings about the new file; the daemon reads it all the same.
    pub warnings: u32,
    /// What is wrong with it, as `keepwatch check` prints it but without lines of the files: it would be refused. Empty for a
    /// good one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub errors: String,
    /// What somebody has changed in the kernel's IPVS table since it was looked at last, if that was found out within half a second.
    /// It is mended with a reload, and without.
    #[serde(default, skip_serializing_if = "DriftReport::is_empty")]
    pub drift: DriftReport,
}

/// One object that comes, goes or changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// `instance`, `real-server`, ...
    pub kind: String,
    /// Empty where there is only one.
    pub name: String,
    /// The virtual server that a server is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    pub action: Action,
    /// One for each directive that changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<PlannedValue>,
    /// All of it for people: `VI_1: priority 150 → 120, no address changes`.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Added,
    Removed,
    Changed,
    Reordered,
}

/// `old` and `new` are missing where there is none, or where it is not told, as with passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedValue {
    pub directive: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedConsequence {
    /// `mastership`, `address`, `virtual-server`, `real-server` or `restart`.
    pub kind: String,
    /// Of the instance or server.
    pub name: String,
    /// `reload --safe` is refused because of it.
    pub refuses: bool,
    pub text: String,
}

/// `look` is how things are now; `None` when nobody knows, and then the worst is assumed.
pub fn plan(plan: &Plan, look: Option<&Look>, warnings: u32) -> PlanReport {
    let live = Live(look);
    let changes = plan.changes.iter().map(|change| {
        let (action, values) = match &change.what {
            What::Added { .. } => (Action::Added, Vec::new()),
            What::Removed { .. } => (Action::Removed, Vec::new()),
            What::Reordered => (Action::Reordered, Vec::new()),
            What::Changed(edits) => {
                let values = edits.iter().map(|edit| value(&edit.keyword, &edit.how)).collect();
                (Action::Changed, values)
            }
        };
        let (kind, service) = match &change.object {
            Object::Server(key) if key.sorry => ("sorry-server", Some(key.service.to_string())),
            Object::Server(key) => (change.object.kind(), Some(key.service.to_string())),
            other => (other.kind(), None),
        };
        let name = change.object.name();
        PlannedChange { kind: kind.to_owned(), name, service, action, values, text: change.words() }
    });
    let consequences: Vec<_> = plan.consequences.iter().filter_map(|it| live.judge(it)).collect();
    PlanReport {
        changes: changes.collect(),
        safe: !consequences.iter().any(|it| it.refuses),
        consequences,
        warnings,
        errors: String::new(),
        drift: DriftReport::default(),
    }
}

/// Of a file that would be refused.
pub fn refused(errors: String) -> PlanReport {
    PlanReport { errors, ..PlanReport::default() }
}

fn value(directive: &str, how: &How) -> PlannedValue {
    let (old, new) = match how {
        How::Changed { old, new } => (Some(old.clone()), Some(new.clone())),
        How::Set(new) | How::Added(new) => (None, Some(new.clone())),
        How::Unset(old) | How::Removed(old) => (Some(old.clone()), None),
        How::Otherwise(text) if !text.is_empty() => (Some(text.clone()), Some(text.clone())),
        How::Otherwise(_) | How::Reordered => (None, None),
    };
    PlannedValue { directive: directive.to_owned(), old, new }
}

struct Live<'a>(Option<&'a Look>);

impl Live<'_> {
    fn judge(&self, consequence: &Consequence) -> Option<PlannedConsequence> {
        let of = |kind: &str, name: String, refuses: bool, text: String| {
            Some(PlannedConsequence { kind: kind.to_owned(), name, refuses, text })
        };
        match consequence {
            Consequence::InstanceRemoved { instance, addresses } => {
                let their = count(u64::from(*addresses), "address").replace("addresss", "addresses");
                let (refuses, text) = match self.state(instance) {
                    Some(State::Master) => (true, format!("is MASTER and resigns: {their} leave this host")),
                    Some(other) => (false, format!("goes; it is {}, and no address leaves this host", named(other))),
                    None => (true, format!("goes: if it is MASTER it resigns, and {their} leave this host")),
                };
                of("mastership", instance.to_string(), refuses, format!("{instance} {text}"))
            }
            Consequence::InstanceRestarts { instance, because } => {
                let why = format!("{} changed", and(because));
                let (refuses, text) = match self.state(instance) {
                    Some(State::Master) => (true, "is MASTER, resigns, and starts anew as BACKUP".to_owned()),
                    Some(other) => (false, format!("starts anew; it is {} now", named(other))),
                    None => (true, "starts anew: if it is MASTER it resigns".to_owned()),
                };
                of("mastership", instance.to_string(), refuses, format!("{instance} {text}: {why}"))
            }
            Consequence::PriorityLowered { instance, old, new } => {
                let (refuses, text) = match self.state(instance) {
                    Some(State::Master) => {
                        (true, "a peer with a higher one takes over, as this router is MASTER now".to_owned())
                    }
                    Some(other) => (false, format!("it is {} now", named(other))),
                    None => (true, "if it is MASTER, a peer with a higher one takes over".to_owned()),
                };
                of("mastership", instance.to_string(), refuses, format!("{instance}: priority {old} → {new}, {text}"))
            }
            Consequence::AddressRemoved { instance: None, address } => {
                of("address", address.clone(), true, format!("static address {address} leaves this host"))
            }
            Consequence::AddressRemoved { instance: Some(instance), address } => {
                let (refuses, text) = match self.state(instance) {
                    Some(State::Master) => (true, "leaves this host".to_owned()),
                    Some(other) => (false, format!("is not here now, as {instance} is {}", named(other))),
                    None => (true, format!("leaves this host if {instance} is MASTER")),
                };
                of("address", address.clone(), refuses, format!("address {address} of {instance} {text}"))
            }
            Consequence::AddressMoves { from, to, address } => {
                let text = match (self.state(from), self.state(to)) {
                    (None, _) => format!("leaves this host if {from} is MASTER and {to} is not"),
                    (Some(State::Master), Some(State::Master)) => return None,
                    (Some(State::Master), Some(other)) => format!("leaves this host, as {to} is {}", named(other)),
                    (Some(State::Master), None) => format!("leaves this host unless {to} becomes MASTER"),
                    (Some(_), _) => return None,
                };
                of("address", address.clone(), true, format!("address {address} goes from {from} to {to}: it {text}"))
            }
            Consequence::ServiceRemoved { service } => {
                let open = self.service(service).map(|row| {
                    let open: u64 = self.servers(row).map(|row| u64::from(row.load.active)).sum();
                    format!(", with {}", count(open, "active connection"))
                });
                let text = format!("{} is taken out of service{}", words(service), open.unwrap_or_default());
                of("virtual-server", service.to_string(), true, text)
            }
            Consequence::ServiceEmptied { service, sorry } => {
                let then = if *sorry { "the sorry server answers instead" } else { "clients are refused" };
                let text = format!("{} has no real server left that takes connections: {then}", words(service));
                of("virtual-server", service.to_string(), true, text)
            }
            Consequence::PoolShrinks { service, quorum, pool } => {
                let Some(row) = self.service(service) else {
                    let text =
                        format!("{} may lose its quorum of {quorum}: nobody knows how it is now", words(service));
                    return of("virtual-server", service.to_string(), true, text);
                };
                let (weight, text) = self.left(row, pool);
                let lost = (row.quorum_met && weight < u64::from(*quorum)) || weight == 0;
                if !lost {
                    return None;
                }
                let text = format!("{} loses its quorum of {quorum}: {text}", words(service));
                of("virtual-server", service.to_string(), true, text)
            }
            Consequence::ServerRemoved { server } => {
                let open = self.server(server).map(|row| u64::from(row.load.active));
                let text = match open {
                    Some(0) => return None,
                    Some(open) => format!("{} are cut", count(open, "active connection")),
                    None => "its connections are cut".to_owned(),
                };
                of("real-server", server.to_string(), false, format!("{server} of {}: {text}", words(&server.service)))
            }
            Consequence::ServerDrained { server } => {
                let open = self
                    .server(server)
                    .map(|row| format!("; {} go on", count(u64::from(row.load.active), "active connection")));
                let text = format!("takes no new connections{}", open.unwrap_or_default());
                of("real-server", server.to_string(), false, format!("{server} of {} {text}", words(&server.service)))
            }
            Consequence::WaitsForRestart { keyword } => of(
                "restart",
                keyword.clone(),
                false,
                format!("{keyword} takes effect when the daemon is started again"),
            ),
        }
    }

    fn state(&self, name: &InstanceName) -> Option<State> {
        let rows = &self.0?.snapshot.vrrp.instances;
        rows.from(&[], true)
            .map(|(_, row)| row)
            .find(|row: &&InstanceRow| row.config.name == *name)
            .map(|row| row.state)
    }

    fn service(&self, key: &ServiceKey) -> Option<&ServiceRow> {
        let rows = &self.0?.snapshot.checks.services;
        rows.from(&[], true).map(|(_, row)| row).find(|row| row.config.key == *key)
    }

    fn servers<'a>(&'a self, service: &ServiceRow) -> impl Iterator<Item = &'a ServerRow> + use<'a> {
        let index = service.index;
        let rows = self.0.map(|look| &look.snapshot.checks.servers);
        rows.into_iter()
            .flat_map(move |rows| rows.from(&[index], true))
            .map(|(_, row)| row)
            .take_while(move |row| row.service_index == index)
    }

    fn server(&self, key: &ServerKey) -> Option<&ServerRow> {
        let service = self.service(&key.service)?;
        self.servers(service).find(|row| key_of(service, row) == *key)
    }

    /// Weight of what will be up, as far as it is known now, in words as well.
    fn left(&self, service: &ServiceRow, pool: &[Pooled]) -> (u64, String) {
        let mut up = 0_u64;
        let mut weight = 0_u64;
        for it in pool {
            let row = self.servers(service).find(|row| key_of(service, row) == it.server);
            if row.map_or(it.starts_up, |row| row.alive) {
                up += u64::from(it.weight > 0);
                weight += u64::from(it.weight);
            }
        }
        (weight, format!("with {up} of {} real servers up the weight is {weight}", pool.len()))
    }
}

fn named(of: State) -> String {
    state(of).to_uppercase()
}

fn words(service: &ServiceKey) -> String {
    Object::Service(service.clone()).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{backup, instance_rows, look, master, pool};
    use super::*;
    use crate::conf::plan::plan as plan_of;

    fn judged(look: Option<&Look>, consequence: Consequence) -> Option<(bool, String)> {
        let plan = Plan { changes: Vec::new(), consequences: vec![consequence] };
        super::plan(&plan, look, 0).consequences.pop().map(|it| (it.refuses, it.text))
    }

    fn lowered() -> Consequence {
        Consequence::PriorityLowered { instance: "VI_1".into(), old: 150, new: 120 }
    }

    #[test]
    fn only_a_master_has_a_mastership_to_drop_and_who_does_not_know_assumes_the_worst() {
        let here = look(instance_rows(master("VI_1"), &[("192.0.2.100", true)]), vec![]);
        let elsewhere = look(instance_rows(backup("VI_1"), &[("192.0.2.100", false)]), vec![]);
        let removed = || Consequence::InstanceRemoved { instance: "VI_1".into(), addresses: 2 };
        let restarts =
            || Consequence::InstanceRestarts { instance: "VI_1".into(), because: vec!["virtual_router_id".to_owned()] };
        let address = || Consequence::AddressRemoved {
            instance: Some("VI_1".into()),
            address: "192.0.2.100/24 dev eth0".to_owned(),
        };
        for consequence in [lowered, removed as fn() -> _, restarts, address] {
            assert!(judged(Some(&here), consequence()).unwrap().0);
            assert!(!judged(Some(&elsewhere), consequence()).unwrap().0);
            assert!(judged(None, consequence()).unwrap().0);
        }
        let text = "VI_1 is MASTER and resigns: 2 addresses leave this host";
        assert_eq!(judged(Some(&here), removed()), Some((true, text.to_owned())));
        let text = "VI_1 goes; it is BACKUP, and no address leaves this host";
        assert_eq!(judged(Some(&elsewhere), removed()), Some((false, text.to_owned())));
        let text = "VI_1 is MASTER, resigns, and starts anew as BACKUP: virtual_router_id changed";
        assert_eq!(judged(Some(&here), restarts()), Some((true, text.to_owned())));
    }

    #[test]
    fn connections_are_counted_and_a_quorum_is_of_servers_that_are_up() {
        let made = pool(1).fails(1, "down");
        let service = made.service.config.clone();
        let keys: Vec<ServerKey> = made.servers.iter().map(|row| key_of(&made.service, row)).collect();
        let look = look(vec![], made.rows());
        let removed = |at: usize| judged(Some(&look), Consequence::ServerRemoved { server: keys[at].clone() });
        let text = "10.0.0.14:80 of virtual server 192.0.2.10:80 TCP: 12 active connections are cut";
        assert_eq!(removed(3), Some((false, text.to_owned())));

        let shrinks = |left: &[usize], starts_up| {
            let pooled = |at: &usize| Pooled { server: keys[*at].clone(), weight: 1, starts_up };
            let pool = left.iter().map(pooled).collect();
            judged(Some(&look), Consequence::PoolShrinks { service: service.key.clone(), quorum: 1, pool })
        };
        assert_eq!(shrinks(&[0, 1], false), None, "one is up");
        let text =
            "virtual server 192.0.2.10:80 TCP loses its quorum of 1: with 0 of 1 real servers up the weight is 0";
        assert_eq!(shrinks(&[0], true), Some((true, text.to_owned())));
        let gone = judged(Some(&look), Consequence::ServiceRemoved { service: service.key.clone() }).unwrap();
        assert_eq!(
            gone,
            (true, "virtual server 192.0.2.10:80 TCP is taken out of service, with 30 active connections".to_owned())
        );
    }

    #[test]
    fn a_plan_without_changes_is_safe_and_its_document_is_short() {
        let nothing = plan_of(&Default::default(), &Default::default());
        let report = super::plan(&nothing, None, 0);
        assert_eq!(report, PlanReport { safe: true, ..PlanReport::default() });
        assert!(!refused("error: a\n".to_owned()).safe);
    }
}
