//! Instances and sync groups: what each is, and how its priority comes about.

use std::time::Duration;

use super::words::{self, unix, unix_some};
use super::{
    AddressReport, CountersReport, InstanceReport, MasterReport, PriorityReport, RouteReport, RuleReport, StaticReport,
    SyncGroupReport, TrackedReport, VrrpReport, reason, status, trackers,
};
use crate::bus::msg::Source;
use crate::bus::rows::{
    AddressRow, Counters, Finding, InstanceRow, OtherMaster, RouteRow, RuleRow, State, SyncGroupRow, TrackerRow,
};
use crate::conf::model::{Preempt, Track, TrackedInterface, TrackerKind, Transport, Version, lines};
use crate::export::Look;
use crate::store::RowSet;
use crate::vrrp::machine::Settings;
use crate::vrrp::track::{self, Effect};

/// `/api/v1/vrrp`.
pub fn vrrp(look: &Look) -> VrrpReport {
    let rows = &look.snapshot.vrrp;
    VrrpReport {
        at: unix(look.at),
        silent: status::silent(look, Source::Vrrp),
        instances: rows.instances.iter().map(|(_, row)| instance(look, row)).collect(),
        sync_groups: rows.sync_groups.iter().map(|(_, row)| sync_group(row)).collect(),
        trackers: trackers::all(look),
        statics: statics(look),
    }
}

pub(super) fn instance(look: &Look, row: &InstanceRow) -> InstanceReport {
    let config = &row.config;
    let last_advert = row.last_advert.and_then(unix_some);
    InstanceReport {
        name: config.name.to_string(),
        vrid: config.vrid.get(),
        family: words::family(config.family).to_owned(),
        version: match config.version {
            Version::V2 => 2,
            Version::V3 => 3,
        },
        interface: config.interface.clone().unwrap_or_default(),
        state: words::state(row.state).to_owned(),
        wanted: words::state(row.wanted).to_owned(),
        since: unix(row.since),
        reason: reason::of(look, row),
        priority: PriorityReport {
            effective: row.effective_priority.get(),
            base: row.base_priority.get(),
            configured: config.priority.get(),
            overridden: row.priority_overridden,
        },
        preempt: row.preempt,
        preempt_delay: match config.preempt {
            Preempt::Never => 0.0,
            Preempt::After(delay) => delay.as_secs_f64(),
        },
        advert_interval: config.advert_interval.as_secs_f64(),
        master_down_interval: master_down(row).as_secs_f64(),
        primary_address: row.primary.map(|address| address.to_string()),
        master: row.master.map(|(address, priority)| MasterReport {
            address: address.to_string(),
            priority,
            at: last_advert,
        }),
        other_master: other_master(look, row).map(|other| MasterReport {
            address: other.address.to_string(),
            priority: other.priority,
            at: Some(unix(other.at)),
        }),
        last_advert,
        addresses: addresses(look, row).map(|address| address_report(row, address)).collect(),
        routes: routes(look, row.index, row.state == State::Master),
        rules: rules(look, row.index, row.state == State::Master),
        tracked: tracked(look, row),
        faults: row.faults.clone(),
        sync_group: config.sync_group.clone(),
        unicast: matches!(config.transport, Transport::Unicast { .. }),
        stood_down: row.stood_down.map(unix),
        counters: counters(&look.instance_counters(row)),
    }
}

fn sync_group(row: &SyncGroupRow) -> SyncGroupReport {
    SyncGroupReport {
        name: row.config.name.clone(),
        state: words::state(row.state).to_owned(),
        since: unix(row.since),
        members: row.config.members.iter().map(ToString::to_string).collect(),
    }
}

/// Silence after which a backup takes over. The engine tells; otherwise it follows from the configuration.
pub(super) fn master_down(row: &InstanceRow) -> Duration {
    match row.master_down_ns {
        0 => {
            let interval = match row.master_interval_ns {
                0 => row.config.advert_interval,
                ns => Duration::from_nanos(ns),
            };
            Settings::from(&row.config).master_down_interval(row.effective_priority.get(), interval)
        }
        ns => Duration::from_nanos(ns),
    }
}

/// A router that claims the same addresses now: heard within the master down interval, while this one is master.
pub(super) fn other_master(look: &Look, row: &InstanceRow) -> Option<OtherMaster> {
    let recent = |other: &OtherMaster| words::between(other.at, look.at) <= master_down(row);
    row.other_master.filter(|other| row.state == State::Master && other.at >= row.since && recent(other))
}

/// Virtual addresses, then excluded ones, in the order of the file.
pub(super) fn addresses<'a>(look: &'a Look, row: &InstanceRow) -> impl Iterator<Item = &'a AddressRow> + use<'a> {
    let index = row.index;
    let rows = look.snapshot.vrrp.addresses.from(&[index], true);
    rows.take_while(move |(at, _)| at.first() == Some(&index)).map(|(_, row)| row)
}

/// Routes of one owner, in the order of the file; 0 owns the static ones. `wanted`: they belong into the kernel now.
pub(super) fn routes(look: &Look, owner: u32, wanted: bool) -> Vec<RouteReport> {
    let rows = look.snapshot.vrrp.routes.from(&[owner], true);
    let own = rows.take_while(|(at, _)| at.first() == Some(&owner)).map(|(_, row)| row);
    let report = |row: &RouteRow| RouteReport {
        route: lines::route(&row.config),
        wanted,
        present: row.installed,
        no_track: row.config.no_track,
    };
    own.map(report).collect()
}

/// The same for rules.
pub(super) fn rules(look: &Look, owner: u32, wanted: bool) -> Vec<RuleReport> {
    let rows = look.snapshot.vrrp.rules.from(&[owner], true);
    let own = rows.take_while(|(at, _)| at.first() == Some(&owner)).map(|(_, row)| row);
    let report = |row: &RuleRow| RuleReport {
        rule: lines::rule(&row.config),
        wanted,
        present: row.installed,
        no_track: row.config.no_track,
    };
    own.map(report).collect()
}

/// What belongs to no instance.
fn statics(look: &Look) -> StaticReport {
    let addresses = look.snapshot.vrrp.addresses.from(&[0], true).take_while(|(at, _)| at.first() == Some(&0));
    StaticReport {
        addresses: addresses.map(|(_, address)| placed(address, true)).collect(),
        routes: routes(look, 0, true),
        rules: rules(look, 0, true),
    }
}

/// Addresses that belong on an interface now and are not there.
pub(super) fn missing(look: &Look, row: &InstanceRow) -> Vec<AddressReport> {
    let addresses = addresses(look, row).map(|address| address_report(row, address));
    addresses.filter(|address| address.wanted && !address.present).collect()
}

/// Routes and rules that belong into the kernel now and are not there, `route 10.9.0.0/24 via 10.0.0.9`; but for those that
/// anybody may remove.
pub(super) fn missing_lines(routes: &[RouteReport], rules: &[RuleReport]) -> Vec<String> {
    let routes = routes.iter().filter(|it| it.wanted && !it.present && !it.no_track);
    let rules = rules.iter().filter(|it| it.wanted && !it.present && !it.no_track);
    routes.map(|it| format!("route {}", it.route)).chain(rules.map(|it| format!("rule {}", it.rule))).collect()
}

fn address_report(row: &InstanceRow, address: &AddressRow) -> AddressReport {
    placed(address, row.state == State::Master)
}

fn placed(address: &AddressRow, wanted: bool) -> AddressReport {
    AddressReport {
        address: format!("{}/{}", address.config.address, address.config.prefix),
        interface: address.config.interface.clone(),
        wanted,
        present: address.installed,
    }
}

/// Everything that the instance and its sync group track. What each adds is what the engine adds: both ask [`track`].
pub fn tracked(look: &Look, row: &InstanceRow) -> Vec<TrackedReport> {
    let rows = &look.snapshot.vrrp;
    let group = row.config.sync_group.as_deref().and_then(|name| group_named(look, name));
    let shared = group.map_or(&[][..], |group| &group.config.tracked_interfaces);
    let own = own_lines(row);
    let interfaces = track::counting(&own, shared).map(|tracked| {
        let own = own.iter().any(|it| std::ptr::eq(it, tracked));
        let (owner, set) = match (own, group) {
            (false, Some(group)) => (group.index, &rows.sync_tracked_interfaces),
            _ => (row.index, &rows.tracked_interfaces),
        };
        // Interfaces that do not exist have no row.
        let seen = set.from(&[owner], true).take_while(|(at, _)| at.first() == Some(&owner));
        let carried = row.carried.iter().find(|(name, _)| own && *name == tracked.interface);
        let up = match carried {
            Some((_, up)) => *up,
            None => seen.into_iter().any(|(_, seen)| seen.interface == tracked.interface && seen.up),
        };
        interface(tracked, up, !own)
    });
    let group_tracks = group.map_or(&[][..], |group| &group.config.tracks);
    let tracks = track::counting(&row.config.tracks, group_tracks).map(|line| {
        let own = row.config.tracks.iter().any(|it| std::ptr::eq(it, line));
        tracker_report(look, line, !own)
    });
    interfaces.chain(tracks).collect()
}

/// As the engine sees them: the interfaces of addresses, routes and rules, then lines about others.
fn own_lines(row: &InstanceRow) -> Vec<TrackedInterface> {
    let carried = row.carried.iter();
    let carried = carried.map(|(name, _)| TrackedInterface { interface: name.clone(), weight: 0, reverse: false });
    let others = row.config.tracked_interfaces.iter();
    let others = others.filter(|it| row.carried.iter().all(|(name, _)| *name != it.interface));
    carried.chain(others.cloned()).collect()
}

/// What an instance that has not started waits for, `script chk`: nobody has looked at it yet, and its weight is 0. It waits
/// for the other members of its sync group, too.
pub(super) fn awaited(look: &Look, row: &InstanceRow) -> Vec<String> {
    let of = |row: &InstanceRow| -> Vec<String> {
        let tracked = tracked(look, row).into_iter().filter(|it| it.up.is_none() && it.weight == 0);
        tracked.map(|it| format!("{} {}", it.kind, it.name)).collect()
    };
    let own = of(row);
    if !own.is_empty() || row.config.sync_group.is_none() {
        return own;
    }
    let rows = look.snapshot.vrrp.instances.iter().map(|(_, row)| row);
    let mates = rows.filter(|mate| mate.config.sync_group == row.config.sync_group);
    let of_mates = mates.flat_map(|mate| {
        let name = mate.config.name.clone();
        of(mate).into_iter().map(move |it| format!("{it} of {name}"))
    });
    of_mates.collect()
}

pub(super) fn group_named<'a>(look: &'a Look, name: &str) -> Option<&'a SyncGroupRow> {
    look.snapshot.vrrp.sync_groups.iter().map(|(_, group)| group).find(|group| group.config.name == name)
}

fn interface(tracked: &TrackedInterface, up: bool, from_group: bool) -> TrackedReport {
    let (adds, faults) = effect(track::of_interface(tracked, up));
    TrackedReport {
        kind: "interface".to_owned(),
        name: tracked.interface.clone(),
        up: Some(up),
        weight: tracked.weight.into(),
        reverse: tracked.reverse,
        adds,
        faults,
        from_group,
    }
}

/// What is added, and whether it is a fault.
fn effect(effect: Effect) -> (i32, bool) {
    match effect {
        Effect::Nothing | Effect::Wait => (0, false),
        Effect::Fault => (0, true),
        Effect::Add(weight) => (weight, false),
    }
}

/// A script, a file, a process or a BFD session. As long as nobody looks at it, it neither adds nor takes anything.
fn tracker_report(look: &Look, line: &Track, from_group: bool) -> TrackedReport {
    let finding = tracker(look, line.kind, &line.name).map_or(Finding::Unknown, |row| row.finding);
    let (adds, faults) = effect(track::of_finding(line, finding));
    let up = match finding {
        Finding::Unknown => None,
        // A number is good or bad by what is made of it.
        Finding::Count { .. } if line.kind == TrackerKind::File => Some(!faults),
        Finding::Good | Finding::Count { good: true, .. } => Some(true),
        Finding::Bad | Finding::Count { good: false, .. } => Some(false),
    };
    TrackedReport {
        kind: words::tracker_kind(line.kind).to_owned(),
        name: line.name.clone(),
        up,
        weight: line.weight,
        reverse: line.reverse,
        adds,
        faults,
        from_group,
    }
}

pub(super) fn tracker<'a>(look: &'a Look, kind: TrackerKind, name: &str) -> Option<&'a TrackerRow> {
    use crate::bus::rows::TrackerConfig;
    let rows = &look.snapshot.vrrp;
    let set: &RowSet<TrackerRow> = match kind {
        TrackerKind::Script => &rows.scripts,
        TrackerKind::File => &rows.files,
        TrackerKind::Process => &rows.processes,
        TrackerKind::Bfd => &rows.bfds,
    };
    set.iter().map(|(_, row)| row).find(|row| {
        let own = match &row.config {
            TrackerConfig::Script(it) => &it.name,
            TrackerConfig::File(it) => &it.name,
            TrackerConfig::Process(it) => &it.name,
            TrackerConfig::Bfd(it) => &it.name,
        };
        own == name
    })
}

fn counters(counters: &Counters) -> CountersReport {
    let dropped = [
        counters.packet_length_errors,
        counters.checksum_errors,
        counters.version_errors,
        counters.advert_interval_errors,
        counters.ttl_errors,
        counters.invalid_type,
        counters.address_list_errors,
        counters.invalid_auth_type,
        counters.auth_type_mismatch,
        counters.auth_failures,
        counters.unknown_source,
    ];
    CountersReport {
        adverts_sent: counters.adverts_sent,
        adverts_received: counters.adverts_received,
        adverts_dropped: dropped.iter().sum(),
        became_master: counters.became_master,
        released_master: counters.released_master,
        priority_zero_sent: counters.priority_zero_sent,
        priority_zero_received: counters.priority_zero_received,
    }
}
