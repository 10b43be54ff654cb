//! What changed between two configurations, as far as a running daemon can act on it, keyed by the names of the file.
//!
//! [`diff`] is the way in. `objects` says what there is in a configuration and what each object says, in the file's own words;
//! `facts` compares two of the same name. Lines that only moved are no difference.

mod check;
mod facts;
mod global;
mod objects;
mod track;
mod vrrp;

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::facts::{Edit, How};
use self::objects::{Described, describe};
use super::model::{Config, InstanceName, ServerKey, ServiceKey, TrackerKind};

/// One thing that a configuration has, by the name that the file gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Object {
    /// `global_defs`, and what stands outside of any block.
    Global,
    /// `keepwatch.yaml`.
    Settings,
    /// Lines of `static_ipaddress`, `static_routes` and `static_rules`.
    Statics,
    TrackGroup(String),
    Tracker(TrackerKind, String),
    Bfd(String),
    Instance(InstanceName),
    SyncGroup(String),
    ServerGroup(String),
    Service(ServiceKey),
    /// A real server or the sorry server of a virtual server.
    Server(ServerKey),
}

/// One difference. What is not named did not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub object: Object,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// `parts`: the real servers that come with a virtual server. They are not named again.
    Added {
        parts: u32,
    },
    Removed {
        parts: u32,
    },
    /// Never empty.
    Changed(Vec<Edit>),
    /// The same objects of this kind in another order: the rows of the MIB are numbered anew. Told of the first of them.
    Reordered,
}

/// What has to be done to get from `old` to `new`, in the order of the file: what goes stands where it stood.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let (old, new) = (describe(old), describe(new));
    let places = |those: &[Described]| -> HashMap<Object, usize> {
        those.iter().enumerate().map(|(at, it)| (it.object.clone(), at)).collect()
    };
    let (old_at, new_at) = (places(&old), places(&new));
    let parts = |those: &[Described], of: &Object| {
        let Object::Service(service) = of else { return 0 };
        let is_part =
            |it: &&Described| matches!(&it.object, Object::Server(key) if key.service == *service && !key.sorry);
        u32::try_from(those.iter().filter(is_part).count()).unwrap_or(u32::MAX)
    };
    // A server goes and comes with its virtual server.
    let alone = |object: &Object, there: &HashMap<Object, usize>| match object {
        Object::Server(key) => there.contains_key(&Object::Service(key.service.clone())),
        _ => true,
    };
    let mut changes: Vec<Change> = Vec::new();
    let removals = |from: usize, changes: &mut Vec<Change>| {
        for it in old.iter().skip(from).take_while(|it| !new_at.contains_key(&it.object)) {
            if alone(&it.object, &new_at) {
                let what = What::Removed { parts: parts(&old, &it.object) };
                changes.push(Change { object: it.object.clone(), what });
            }
        }
    };
    removals(0, &mut changes);
    // Of the virtual server that the servers below it are of.
    let mut inherited: Vec<Edit> = Vec::new();
    for it in &new {
        let before = old_at.get(&it.object).and_then(|at| Some((*at, old.get(*at)?)));
        match before {
            None => {
                if matches!(it.object, Object::Service(_)) {
                    inherited.clear();
                }
                if alone(&it.object, &old_at) {
                    let what = What::Added { parts: parts(&new, &it.object) };
                    changes.push(Change { object: it.object.clone(), what });
                }
            }
            Some((at, before)) => {
                let mut edits = before.facts.edits(&it.facts);
                match it.object {
                    Object::Service(_) => inherited.clone_from(&edits),
                    Object::Server(_) => edits.retain(|edit| !inherited.iter().any(|it| it.explains(edit))),
                    _ => {}
                }
                if !edits.is_empty() {
                    changes.push(Change { object: it.object.clone(), what: What::Changed(edits) });
                }
                removals(at + 1, &mut changes);
            }
        }
    }
    changes.extend(reordered(&old, &old_at, &new, &new_at));
    changes
}

/// Kinds whose order means something, with the order of those that both have.
fn reordered(
    old: &[Described],
    old_at: &HashMap<Object, usize>,
    new: &[Described],
    new_at: &HashMap<Object, usize>,
) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let stays = |it: &&Described| old_at.contains_key(&it.object) && new_at.contains_key(&it.object);
    let mut seen: Vec<Object> = Vec::new();
    // Both lists have the same objects now, so a difference of one of them is a difference of order.
    for (before, after) in old.iter().filter(stays).zip(new.iter().filter(stays)) {
        if before.object == after.object {
            continue;
        }
        let kind = std::mem::discriminant(&after.object);
        let same_place = match (&before.object, &after.object) {
            (Object::Server(one), Object::Server(other)) => one.service == other.service,
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        };
        let told = seen.iter().any(|it| std::mem::discriminant(it) == kind);
        if same_place && !told {
            seen.push(after.object.clone());
            changes.push(Change { object: after.object.clone(), what: What::Reordered });
        }
    }
    changes
}

/// As people call it: `VI_1`, `real server 192.168.1.12:80 of 192.168.1.100:80 TCP`.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Global => f.write_str("global_defs"),
            Object::Settings => f.write_str("keepwatch.yaml"),
            Object::Statics => f.write_str("static addresses, routes and rules"),
            Object::TrackGroup(name) => write!(f, "track_group {name}"),
            Object::Tracker(kind, name) => write!(f, "{} {name}", tracker_word(*kind)),
            Object::Bfd(name) => write!(f, "bfd_instance {name}"),
            Object::Instance(name) => name.fmt(f),
            Object::SyncGroup(name) => write!(f, "sync group {name}"),
            Object::ServerGroup(name) => write!(f, "virtual server group {name}"),
            Object::Service(key) => write!(f, "virtual server {}", service_words(key)),
            Object::Server(key) => {
                let kind = if key.sorry { "sorry server" } else { "real server" };
                write!(f, "{kind} {key} of {}", service_words(&key.service))
            }
        }
    }
}

fn tracker_word(kind: TrackerKind) -> &'static str {
    match kind {
        TrackerKind::Script => "vrrp_script",
        TrackerKind::File => "track_file",
        TrackerKind::Process => "vrrp_track_process",
        TrackerKind::Bfd => "bfd_instance",
    }
}

fn service_words(key: &ServiceKey) -> String {
    match key.protocol {
        None => key.kind.to_string(),
        Some(protocol) => format!("{} {}", key.kind, protocol.name().to_uppercase()),
    }
}

impl Object {
    /// For programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Object::Global => "global",
            Object::Settings => "settings",
            Object::Statics => "statics",
            Object::TrackGroup(_) => "track-group",
            Object::Tracker(kind, _) => match kind {
                TrackerKind::Script => "script",
                TrackerKind::File => "file",
                TrackerKind::Process => "process",
                TrackerKind::Bfd => "tracked-bfd",
            },
            Object::Bfd(_) => "bfd-session",
            Object::Instance(_) => "instance",
            Object::SyncGroup(_) => "sync-group",
            Object::ServerGroup(_) => "server-group",
            Object::Service(_) => "virtual-server",
            Object::Server(_) => "real-server",
        }
    }

    /// Its own name, without what it is part of.
    pub fn name(&self) -> String {
        match self {
            Object::Global | Object::Settings | Object::Statics => String::new(),
            Object::TrackGroup(name)
            | Object::Tracker(_, name)
            | Object::Bfd(name)
            | Object::SyncGroup(name)
            | Object::ServerGroup(name) => name.clone(),
            Object::Instance(name) => name.to_string(),
            Object::Service(key) => key.to_string(),
            Object::Server(key) => key.to_string(),
        }
    }
}
