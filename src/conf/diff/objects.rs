//! What there is in a configuration: objects in the order of the file, each with what it says.

use std::collections::HashMap;

use super::facts::Facts;
use super::{Object, check, global, track, vrrp};
use crate::conf::model::{Config, Script, ScriptEntry, TrackerKind};

/// One object.
pub(super) struct Described {
    pub(super) object: Object,
    pub(super) facts: Facts,
}

/// Says what scripts are: numbers mean nothing without the configuration that they are of.
#[derive(Clone, Copy)]
pub(super) struct Scripts<'a>(&'a [ScriptEntry]);

impl Scripts<'_> {
    pub(super) fn tell(self, facts: &mut Facts, keyword: &'static str, script: Option<&Script>) {
        let Some(Script { id, text, path }) = script else { return };
        let entry = usize::try_from(id.0).ok().and_then(|at| self.0.get(at));
        let print = entry.map(|ScriptEntry { words, uid, gid, all_groups, location: _ }| {
            format!("{path} {words:?} {uid} {gid} {all_groups}")
        });
        facts.with(keyword, text.clone(), print.unwrap_or_default());
    }
}

pub(super) fn describe(config: &Config) -> Vec<Described> {
    let Config {
        global,
        static_addresses,
        instances,
        sync_groups,
        trackers,
        bfd,
        static_routes,
        static_rules,
        track_groups,
        groups,
        services,
        scripts,
        script_security,
        has_virtual_servers: _,
        settings,
        not_built: _,
    } = config;
    let scripts = Scripts(scripts);
    let mut all = Vec::new();
    let mut add = |object, facts| all.push(Described { object, facts });
    add(Object::Global, global::global(global, *script_security, scripts));
    add(Object::Settings, global::settings(settings));
    add(Object::Statics, vrrp::statics(static_addresses, static_routes, static_rules));
    for group in track_groups {
        add(Object::TrackGroup(group.name.clone()), vrrp::track_group(group));
    }
    // A session is one object, also where it is tracked.
    let weights: HashMap<&str, (i32, bool)> =
        trackers.bfds.iter().map(|it| (it.name.as_str(), (it.weight, it.reverse))).collect();
    for session in bfd {
        let weight = weights.get(session.name.as_str()).copied();
        add(Object::Bfd(session.name.clone()), track::bfd(session, weight));
    }
    for script in &trackers.scripts {
        add(Object::Tracker(TrackerKind::Script, script.name.clone()), track::script(script, scripts));
    }
    for file in trackers.files.iter().chain(&trackers.other_files) {
        add(Object::Tracker(TrackerKind::File, file.name.clone()), track::file(file));
    }
    for process in &trackers.processes {
        add(Object::Tracker(TrackerKind::Process, process.name.clone()), track::process(process));
    }
    for instance in instances {
        add(Object::Instance(instance.name.clone()), vrrp::instance(instance, scripts));
    }
    for group in sync_groups {
        add(Object::SyncGroup(group.name.clone()), vrrp::sync_group(group, scripts));
    }
    for group in groups {
        add(Object::ServerGroup(group.name.clone()), check::group(group));
    }
    for service in services {
        add(Object::Service(service.key.clone()), check::service(service, scripts));
        if let (Some(key), Some(sorry)) = (service.sorry_key(), &service.sorry) {
            add(Object::Server(key), check::sorry(sorry));
        }
        for server in &service.servers {
            add(Object::Server(service.server_key(server)), check::server(server, scripts));
        }
    }
    all
}
