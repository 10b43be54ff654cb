//! VRRP as it is: addresses and routes of the host, instances, sync groups, trackers, interfaces.

use std::collections::BTreeMap;

use super::page::{Page, enabled, yes};
use super::{Facts, Interface, lines};
use crate::bus::rows::{Finding, InstanceRow, State, SyncGroupRow, TrackerConfig, TrackerRow};
use crate::conf::model::{Auth, Notify, OldUnicastChecksum, Preempt, Track, Transport, Version};
use crate::store::{RowSet, VrrpRows};

pub(super) fn topology(page: &mut Page, facts: &Facts<'_>) {
    let rows = &facts.snapshot.vrrp;
    statics(page, rows);
    if !rows.instances.is_empty() {
        page.section("VRRP Topology");
        rows.instances.iter().for_each(|(_, row)| instance(page, facts, row));
    }
    if !rows.sync_groups.is_empty() {
        page.section("VRRP Sync groups");
        rows.sync_groups.iter().for_each(|(_, row)| sync_group(page, rows, row));
    }
    scripts(page, rows);
    files(page, rows);
    processes(page, rows);
    trackers_of_bfd(page, rows);
    interfaces(page, facts);
}

/// What the BFD file is about.
pub(super) fn sessions(page: &mut Page, facts: &Facts<'_>) {
    let rows = &facts.snapshot.vrrp;
    if rows.bfds.is_empty() {
        return;
    }
    page.section("BFD Topology");
    for (_, row) in rows.bfds.iter() {
        page.pair(0, "BFD Instance", row.config.name());
        page.pair(2, "State", bfd_state(row.finding));
        page.pair(2, "Went up", row.runs.went_up);
        page.pair(2, "Went down", row.runs.went_down);
        tracked_by(page, rows, row);
    }
}

fn bfd_state(of: Finding) -> &'static str {
    match of {
        Finding::Good => "Up",
        Finding::Unknown => "Init",
        Finding::Bad | Finding::Count { .. } => "Down",
    }
}

fn statics(page: &mut Page, rows: &VrrpRows) {
    let addresses: Vec<_> = rows.addresses.iter().filter(|(_, row)| row.owner_index == 0).collect();
    if !addresses.is_empty() {
        page.section("Static Addresses");
        for (_, row) in addresses {
            page.line(4, format_args!("{}", lines::address(&row.config, row.installed)));
        }
    }
    let routes: Vec<_> = rows.routes.iter().filter(|(_, row)| row.owner_index == 0).collect();
    if !routes.is_empty() {
        page.section("Static Routes");
        for (_, row) in routes {
            page.line(4, format_args!("{}{}", lines::route(&row.config), installed(row.installed)));
        }
    }
    let rules: Vec<_> = rows.rules.iter().filter(|(_, row)| row.owner_index == 0).collect();
    if !rules.is_empty() {
        page.section("Static Rules");
        for (_, row) in rules {
            page.line(4, format_args!("{}{}", lines::rule(&row.config), installed(row.installed)));
        }
    }
}

fn installed(is: bool) -> &'static str {
    if is { " [installed]" } else { "" }
}

fn instance(page: &mut Page, facts: &Facts<'_>, row: &InstanceRow) {
    let config = &row.config;
    page.pair(0, "VRRP Instance", &config.name);
    page.pair(2, "VRRP Version", version(config.version));
    page.maybe(2, "Sync group", config.sync_group.as_ref());
    if config.family == crate::conf::model::Family::V6 {
        page.line(2, format_args!("Using Native IPv6"));
    }
    page.pair(2, "State", row.state.name());
    if let Some((address, priority)) = row.master.filter(|_| row.state == State::Backup) {
        page.pair(2, "Master router", address);
        page.pair(2, "Master priority", priority);
        page.pair(2, "Master advert interval", seconds(row.master_interval_ns));
    }
    flags(page, row);
    page.pair(2, "Wantstate", row.wanted.name());
    page.pair(2, "Number of faults", row.faults.len());
    page.list(2, "Faults", row.faults.iter().cloned());
    page.line(2, format_args!("Last transition = {}", moment(facts, row.since)));
    if let Some(at) = row.last_advert {
        page.line(2, format_args!("Last advert received = {}", moment(facts, at)));
    }
    page.line(2, format_args!("Master down timer = {} usecs", row.master_down_ns / 1000));
    page.maybe(2, "Interface", config.interface.as_ref());
    if !config.track_primary {
        page.line(2, format_args!("VRRP interface tracking disabled"));
    }
    if config.skip_check_adv_addr {
        page.line(2, format_args!("Skip checking advert IP addresses"));
    }
    if config.strict {
        page.line(2, format_args!("Enforcing strict VRRP compliance"));
    }
    if let Some(source) = config.source.or(row.primary) {
        let from = if config.source.is_some() { " (from configuration)" } else { "" };
        page.line(2, format_args!("Using src_ip = {source}{from}"));
    }
    if let Transport::Multicast { group } = config.transport {
        page.line(2, format_args!("Multicast address {group}"));
    }
    announcements(page, row);
    page.pair(2, "Down timer adverts", config.down_timer_adverts);
    page.pair(2, "Send advert after receive lower priority advert", !config.lower_prio_no_advert);
    page.pair(2, "Send advert after receive higher priority advert", config.higher_prio_send_advert);
    page.pair(2, "Virtual Router ID", config.vrid);
    page.pair(2, "Priority", row.base_priority);
    page.pair(2, "Effective priority", row.effective_priority);
    let interval = match config.version {
        Version::V2 => format!("{} sec", config.advert_interval.as_secs()),
        Version::V3 => format!("{} milli-sec", config.advert_interval.as_millis()),
    };
    page.pair(2, "Advert interval", interval);
    page.pair(2, "Accept", enabled(config.accept));
    page.pair(2, "Preempt", enabled(row.preempt));
    if let Preempt::After(delay) = config.preempt
        && !delay.is_zero()
    {
        page.line(2, format_args!("Preempt delay = {} secs", delay.as_secs_f64()));
    }
    page.pair(2, "Promote_secondaries", enabled(config.promote_secondaries));
    if config.version == Version::V2 {
        // The pass phrase itself never reaches the process that writes this.
        let name = match config.auth {
            None => "none",
            Some(Auth::Pass(_)) => "SIMPLE_PASSWORD",
            Some(Auth::Ah(_)) => "IPSEC_AH",
        };
        page.pair(2, "Authentication type", name);
    }
    moved(page, facts, row);
    if let Transport::Unicast { peers, ttl, check_source, .. } = &config.transport {
        page.pair(2, "Unicast TTL", ttl.unwrap_or(255));
        page.line(2, format_args!("Check unicast src : {}", yes(*check_source)));
        page.list(
            2,
            "Unicast Peer ",
            peers.iter().map(|peer| {
                let (least, most) = (peer.min_ttl.unwrap_or(0), peer.max_ttl.unwrap_or(255));
                format!("{} min_ttl {least} max_ttl {most}", peer.address)
            }),
        );
        let compatibility = match config.old_unicast_checksum {
            OldUnicastChecksum::Never => "no",
            OldUnicastChecksum::Always => "yes",
            OldUnicastChecksum::Detect => "auto",
        };
        page.pair(2, "Unicast checksum compatibility", compatibility);
    }
    tracks(page, facts, row);
    page.pair(2, "Using smtp notification", yes(config.smtp_alert));
    page.pair(2, "Notify deleted", if config.notify.deleted { "Deleted" } else { "Fault" });
    page.pair(2, "Notify priority changes", config.notify.priority_changes);
    notify(page, &config.notify);
}

fn flags(page: &mut Page, row: &InstanceRow) {
    let unicast = matches!(row.config.transport, Transport::Unicast { .. });
    let flags = [
        (unicast, "Using unicast"),
        (row.stood_down.is_some(), "Stood down by an operator"),
        (row.priority_overridden, "Priority set by an operator"),
        (row.config.owner_ignore_adverts, "Owner ignoring adverts"),
        (row.config.v3_checksum_as_v2, "Checksum compatibility with VRRPv2"),
    ];
    if flags.iter().all(|(on, _)| !on) {
        page.line(2, format_args!("Flags: none"));
        return;
    }
    page.list(2, "Flags", flags.iter().filter(|(on, _)| *on).map(|(_, name)| (*name).to_owned()));
}

fn announcements(page: &mut Page, row: &InstanceRow) {
    let garp = &row.config.garp;
    page.pair(2, "Gratuitous ARP delay", garp.delay.as_secs_f64());
    page.pair(2, "Gratuitous ARP repeat", garp.repeat);
    page.pair(2, "Gratuitous ARP refresh", garp.refresh.as_secs());
    page.pair(2, "Gratuitous ARP refresh repeat", garp.refresh_repeat);
    page.pair(2, "Gratuitous ARP lower priority delay", garp.lower_prio_delay.as_secs_f64());
    page.pair(2, "Gratuitous ARP lower priority repeat", garp.lower_prio_repeat);
}

/// Addresses, routes and rules that come and go with the instance.
fn moved(page: &mut Page, facts: &Facts<'_>, row: &InstanceRow) {
    let rows = &facts.snapshot.vrrp;
    let address = |advertised: bool| {
        let of = rows.addresses.from(&[row.index], false);
        let of = of.take_while(|(_, address)| address.owner_index == row.index);
        let of = of.filter(move |(_, address)| address.advertised == advertised);
        of.map(|(_, address)| lines::address(&address.config, address.installed)).collect::<Vec<_>>()
    };
    let (virtual_ones, excluded) = (address(true), address(false));
    page.list(2, &format!("Virtual IP ({})", virtual_ones.len()), virtual_ones);
    page.list(2, "Virtual IP Excluded ", excluded);
    let routes = rows.routes.from(&[row.index], false).take_while(|(_, route)| route.owner_index == row.index);
    let route = |route: &crate::bus::rows::RouteRow| lines::route(&route.config) + installed(route.installed);
    page.list(2, "Virtual Routes ", routes.map(|(_, of)| route(of)));
    let rules = rows.rules.from(&[row.index], false).take_while(|(_, rule)| rule.owner_index == row.index);
    let rule = |rule: &crate::bus::rows::RuleRow| lines::rule(&rule.config) + installed(rule.installed);
    page.list(2, "Virtual Rules ", rules.map(|(_, of)| rule(of)));
}

fn tracks(page: &mut Page, facts: &Facts<'_>, row: &InstanceRow) {
    let rows = &facts.snapshot.vrrp;
    page.list(
        2,
        "Tracked interfaces ",
        row.config
            .tracked_interfaces
            .iter()
            .map(|track| weighted(&track.interface, track.weight.into(), track.reverse)),
    );
    let kinds = [
        ("Tracked scripts ", &rows.tracks.scripts),
        ("Tracked files ", &rows.tracks.files),
        ("Tracked processes ", &rows.tracks.processes),
    ];
    for (title, of) in kinds {
        page.list(2, title, of_owner(of, row.index).map(|track| weighted(&track.name, track.weight, track.reverse)));
    }
    let sessions = of_owner(&rows.tracks.bfds, row.index)
        .map(|track| format!("{}: weight {}{}", track.name, track.weight, if track.reverse { " reverse" } else { "" }));
    page.list(2, "Tracked BFDs ", sessions);
}

/// What the owner of this row tracks.
pub(super) fn of_owner(tracks: &RowSet<Track>, owner: u32) -> impl Iterator<Item = &Track> {
    let of = tracks.from(&[owner], false).take_while(move |(index, _)| index.first() == Some(&owner));
    of.map(|(_, track)| track)
}

fn weighted(name: &str, weight: i32, reverse: bool) -> String {
    format!("{name}, weight {weight}{}", if reverse { " reverse" } else { "" })
}

fn notify(page: &mut Page, notify: &Notify) {
    for (name, script) in [
        ("Backup", &notify.backup),
        ("Master", &notify.master),
        ("Fault", &notify.fault),
        ("Stop", &notify.stop),
        ("Deleted", &notify.deleted_script),
        ("Generic", &notify.any),
        ("Master rx lower pri", &notify.master_rx_lower_pri),
    ] {
        page.maybe(2, &format!("{name} state transition script"), script.as_ref().map(|script| &script.text));
    }
}

fn sync_group(page: &mut Page, rows: &VrrpRows, row: &SyncGroupRow) {
    let group = &row.config;
    page.line(0, format_args!("VRRP Sync Group = {}, {}", group.name, row.state.name()));
    page.list(2, "VRRP member instances ", group.members.iter().map(|member| member.0.clone()));
    if group.tracking_weight {
        page.line(2, format_args!("sync group tracking weight set"));
    }
    page.list(
        2,
        "Tracked interfaces ",
        group.tracked_interfaces.iter().map(|track| weighted(&track.interface, track.weight.into(), track.reverse)),
    );
    let kinds = [
        ("Tracked scripts ", &rows.sync_tracks.scripts),
        ("Tracked files ", &rows.sync_tracks.files),
        ("Tracked process ", &rows.sync_tracks.processes),
        ("Tracked BFDs ", &rows.sync_tracks.bfds),
    ];
    for (title, of) in kinds {
        page.list(2, title, of_owner(of, row.index).map(|track| weighted(&track.name, track.weight, track.reverse)));
    }
    page.pair(2, "Using smtp notification", yes(group.smtp_alert));
    notify(page, &group.notify);
}

fn scripts(page: &mut Page, rows: &VrrpRows) {
    if rows.scripts.is_empty() {
        return;
    }
    page.section("VRRP Scripts");
    for (_, row) in rows.scripts.iter() {
        let TrackerConfig::Script(script) = &row.config else { continue };
        page.pair(0, "VRRP Script", &script.name);
        page.pair(2, "Command", script.command.text());
        page.line(2, format_args!("Interval = {} sec", super::page::seconds(script.interval_us)));
        page.line(2, format_args!("Timeout = {} sec", super::page::seconds(script.timeout_us)));
        page.line(2, format_args!("Weight = {}{}", script.weight, if script.reverse { " reverse" } else { "" }));
        page.pair(2, "Rise", script.rise);
        page.pair(2, "Fall", script.fall);
        let status = match (row.finding, script.init_fail) {
            (Finding::Unknown, false) => "INIT",
            (Finding::Unknown, true) => "INIT/FAILED",
            (Finding::Good | Finding::Count { good: true, .. }, _) => "GOOD",
            (Finding::Bad | Finding::Count { good: false, .. }, _) => "BAD",
        };
        page.pair(2, "Status", status);
        page.pair(2, "State", if row.runs.running { "running" } else { "idle" });
        page.pair(2, "Succeeded", row.runs.success);
        page.pair(2, "Failed", row.runs.failure);
        page.pair(2, "Timed out", row.runs.timeout);
        tracked_by(page, rows, row);
    }
}

fn files(page: &mut Page, rows: &VrrpRows) {
    if rows.files.is_empty() {
        return;
    }
    page.section("VRRP Track files");
    for (_, row) in rows.files.iter() {
        let TrackerConfig::File(file) = &row.config else { continue };
        page.pair(0, "Track file", &file.name);
        page.pair(2, "File", &file.path);
        match row.finding {
            Finding::Count { count, .. } => page.pair(2, "Status", count),
            Finding::Unknown | Finding::Good | Finding::Bad => page.pair(2, "Status", "unknown"),
        }
        page.line(2, format_args!("Weight = {}{}", file.weight, if file.reverse { " reverse" } else { "" }));
        tracked_by(page, rows, row);
    }
}

fn processes(page: &mut Page, rows: &VrrpRows) {
    if rows.processes.is_empty() {
        return;
    }
    page.section("VRRP Track processes");
    for (_, row) in rows.processes.iter() {
        let TrackerConfig::Process(process) = &row.config else { continue };
        page.pair(0, "VRRP Track process", &process.name);
        page.pair(2, "Process", &process.path);
        if !process.parameters.is_empty() {
            page.pair(2, "Parameters", process.parameters.join(" "));
            page.pair(2, "Param match", super::json::parameter_match(process.parameter_match));
        }
        page.pair(2, "Min processes", process.quorum);
        page.maybe(2, "Max processes", process.quorum_max);
        let (count, good) = counted(row.finding);
        page.pair(2, "Current processes", count);
        page.pair(2, "Have quorum", good);
        page.line(2, format_args!("Weight = {}{}", process.weight, if process.reverse { " reverse" } else { "" }));
        page.line(2, format_args!("Terminate delay = {:.6}s", process.terminate_delay_us as f64 / 1e6));
        page.line(2, format_args!("Fork delay = {:.6}s", process.fork_delay_us as f64 / 1e6));
        page.pair(2, "Full command", process.full_command);
        tracked_by(page, rows, row);
    }
}

/// How many processes run, and whether that is what is wanted.
pub(super) fn counted(finding: Finding) -> (i64, bool) {
    match finding {
        Finding::Count { count, good } => (count, good),
        Finding::Good => (0, true),
        Finding::Unknown | Finding::Bad => (0, false),
    }
}

fn trackers_of_bfd(page: &mut Page, rows: &VrrpRows) {
    if rows.bfds.is_empty() {
        return;
    }
    page.section("VRRP Track BFDs");
    for (_, row) in rows.bfds.iter() {
        let TrackerConfig::Bfd(session) = &row.config else { continue };
        page.pair(0, "VRRP Track BFD", &session.name);
        page.line(2, format_args!("Weight = {}{}", session.weight, if session.reverse { " reverse" } else { "" }));
        page.line(2, format_args!("Bfd is {}", if row.finding == Finding::Good { "up" } else { "down" }));
        tracked_by(page, rows, row);
    }
}

/// The instances and sync groups that track this.
fn tracked_by(page: &mut Page, rows: &VrrpRows, tracker: &TrackerRow) {
    let (of, of_groups) = match tracker.config {
        TrackerConfig::Script(_) => (&rows.tracks.scripts, &rows.sync_tracks.scripts),
        TrackerConfig::File(_) => (&rows.tracks.files, &rows.sync_tracks.files),
        TrackerConfig::Process(_) => (&rows.tracks.processes, &rows.sync_tracks.processes),
        TrackerConfig::Bfd(_) => (&rows.tracks.bfds, &rows.sync_tracks.bfds),
    };
    let name = tracker.config.name();
    let lines = |tracks: &RowSet<Track>, owner: &dyn Fn(u32) -> Option<String>| -> Vec<String> {
        let of = tracks.iter().filter(|(_, track)| track.name == name);
        of.filter_map(|(index, track)| Some(weighted(&owner(*index.first()?)?, track.weight, track.reverse))).collect()
    };
    let mut instances = lines(of, &|index| Some(rows.instances.get(&[index])?.config.name.0.clone()));
    // What a group tracks, its members track.
    for (index, track) in of_groups.iter().filter(|(_, track)| track.name == name) {
        let Some(group) = index.first().and_then(|index| rows.sync_groups.get(&[*index])) else { continue };
        let members = group.config.members.iter();
        instances.extend(members.map(|member| weighted(&member.0, track.weight, track.reverse)));
    }
    page.list(2, "Tracking instances ", instances);
    page.list(
        2,
        "Tracking sync groups ",
        lines(of_groups, &|index| Some(rows.sync_groups.get(&[index])?.config.name.clone())),
    );
}

fn interfaces(page: &mut Page, facts: &Facts<'_>) {
    if facts.interfaces.is_empty() {
        return;
    }
    page.section("Interfaces");
    let mut users: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (_, row) in facts.snapshot.vrrp.instances.iter() {
        if let Some(index) = row.interface_index {
            users.entry(index).or_default().push(row.config.name.0.clone());
        }
    }
    for interface in facts.interfaces {
        one_interface(page, interface, users.remove(&interface.index).unwrap_or_default());
    }
}

fn one_interface(page: &mut Page, interface: &Interface, users: Vec<String>) {
    page.pair(0, "Name", &interface.name);
    page.pair(2, "index", interface.index);
    let first = |v4: bool| {
        let found = interface.addresses.iter().find(|address| address.is_ipv4() == v4);
        found.map_or_else(|| "(none)".to_owned(), ToString::to_string)
    };
    page.pair(2, "IPv4 address", first(true));
    page.pair(2, "IPv6 address", first(false));
    if let Some([a, b, c, d, e, f]) = interface.mac {
        page.line(2, format_args!("MAC = {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
    }
    let words = [
        (true, if interface.up { "UP" } else { "DOWN" }),
        (true, if interface.running { "RUNNING" } else { "NOT RUNNING" }),
        (!interface.broadcast, "no broadcast"),
        (interface.loopback, "loopback"),
        (!interface.multicast, "no multicast"),
    ];
    let words: Vec<&str> = words.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
    page.pair(2, "State", words.join(", "));
    page.list(2, "Tracking VRRP instances ", users);
}

fn version(of: Version) -> u8 {
    match of {
        Version::V2 => 2,
        Version::V3 => 3,
    }
}

/// Seconds since 1970 for programs, the date for people.
fn moment(facts: &Facts<'_>, at: crate::clock::WallTime) -> String {
    format!("{} ({})", epoch(at), (facts.when)(at))
}

/// Seconds since 1970 with six places.
pub(super) fn epoch(at: crate::clock::WallTime) -> String {
    format!("{}.{:06}", at.0 / 1_000_000_000, at.0 % 1_000_000_000 / 1000)
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
