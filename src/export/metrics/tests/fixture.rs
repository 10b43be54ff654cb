//! A moment in which everything is there: routers, trackers, virtual servers, checkers, sessions, files.

use std::sync::Arc;
use std::time::Duration;

use crate::bus::bfd::{BfdCounters, BfdRow, BfdState};
use crate::bus::msg::Source;
use crate::bus::rows::{
    AddressRow, CheckerRow, Counters, Finding, InstanceRow, IpvsRow, OtherMaster, RouteRow, Row, RowKey, RuleRow,
    State, SyncGroupRow, TrackedInterfaceRow, TrackerConfig, TrackerRow, TrackerRuns,
};
use crate::bus::timing::{CheckTimes, Deliveries, Histogram, KindTimes, Logged, Pulse, RunnerPulse, VrrpTimes};
use crate::check::table::{Daemon as SyncThread, Load, Stats, SyncRole};
use crate::clock::{Instant, WallTime};
use crate::conf::model::{
    BfdSession, Family, Location, Notify, ParameterMatch, Prefix, Protocol, Route, Rule, RuleAction, SyncGroup,
    TrackBfd, TrackCommand, TrackFile, TrackProcess, TrackScript, TrackedInterface, TrackerKind, Vrid,
};
use crate::control::snmp::{AgentX, LastPdu, SessionState, SnmpReport};
use crate::export::look::{Daemon, LastHeard, Look, ProcessReport, ReloadReport, RrdReport, TrapCount};
use crate::mib::fixture::check::{address_key, group_key, server, service, service_rows};
use crate::mib::fixture::{address_row, commit_from, global, instance, instance_row};
use crate::store::Store;

pub(super) const NOW: WallTime = WallTime(1_763_731_234_500_000_000);

/// When all told of themselves, a second ago.
pub(super) const HEARD: Instant = Instant::from_nanos(77_000_000_000);

fn ago(seconds: u64) -> WallTime {
    WallTime(NOW.0 - seconds * 1_000_000_000)
}

/// Names as somebody might choose them.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) instance: String,
    pub(super) other_instance: String,
    pub(super) interface: String,
    pub(super) group: String,
    pub(super) script: String,
    pub(super) target: String,
    pub(super) trap: String,
    pub(super) kind: String,
}

impl Default for Words {
    fn default() -> Words {
        Words {
            instance: "VI_1".to_owned(),
            other_instance: "VI_2".to_owned(),
            interface: "eth0".to_owned(),
            group: "G_WEB".to_owned(),
            script: "chk_haproxy".to_owned(),
            target: "10.0.0.1:80".to_owned(),
            trap: "vrrpInstanceStateChange".to_owned(),
            kind: "tcp".to_owned(),
        }
    }
}

/// 2 instances, 2 virtual servers, 4 real servers and one tracker of each kind.
pub(super) fn look() -> Look {
    look_with(&Words::default(), 7)
}

/// The same with other names, and counters about that high.
pub(super) fn look_with(words: &Words, seed: u64) -> Look {
    let mut store = Store::new();
    commit_from(&mut store, Source::Vrrp, 1, true, vrrp_rows(words, seed));
    commit_from(&mut store, Source::Checks, 1, true, check_rows(words, seed));
    around(&store, words, seed)
}

/// So many of each, for the bound and the time it takes.
pub(super) fn look_of(instances: u32, services: u32, servers_each: u32) -> Look {
    let mut store = Store::new();
    let words = Words::default();
    let mut rows = vec![(RowKey::Global, Row::Global(Box::new(global())))];
    for index in 1..=instances {
        rows.extend(instance_rows(index, &format!("VI_{index}"), &words, 7));
    }
    rows.extend(tracker_rows(&words, 7));
    commit_from(&mut store, Source::Vrrp, 1, true, rows);
    let mut rows = vec![];
    for index in 1..=services {
        let address = format!("10.{}.{}.1", 100 + index / 250, index % 250);
        let config = service(address_key(&address, 443, Protocol::Tcp), Family::V4);
        let servers = (1..=servers_each).map(|at| {
            let address = format!("10.{}.{}.{at}", index / 250, index % 250);
            (server(&config, &address, 8443, 1), load(u64::from(at)))
        });
        rows.extend(service_rows(index, config.clone(), stats(7), servers.collect()));
    }
    for (_, row) in &mut rows {
        if let Row::Server(row) = row {
            row.checkers = vec![checker("TCP_CHECK", "10.0.0.1:8443", 7)];
        }
    }
    rows.extend(table_rows(&words, 7));
    commit_from(&mut store, Source::Checks, 1, true, rows);
    around(&store, &words, 7)
}

fn histogram(seed: u64) -> Histogram {
    let mut seen = Histogram::default();
    for (at, bucket) in (1..).zip(&mut seen.buckets) {
        *bucket = seed.rotate_left(at) % 1000;
    }
    seen.sum_ns = seed.saturating_mul(1_000);
    seen
}

fn logged(seed: u64) -> Logged {
    let few = seed % 1_000;
    Logged { error: few, warning: few + 1, info: few + 2, debug: few + 3, lost: few + 4 }
}

fn pulse(seed: u64) -> Box<Pulse> {
    Box::new(Pulse { at: ago(1), lag: histogram(seed), lag_max_ns: 3, logged: logged(seed) })
}

fn instance_rows(index: u32, name: &str, words: &Words, seed: u64) -> Vec<(RowKey, Row)> {
    let mut config = instance(name);
    config.vrid = Vrid::new(u8::try_from(index % 250 + 1).unwrap()).unwrap();
    config.interface = Some(words.interface.clone());
    config.tracked_interfaces = ["lost0", &words.interface]
        .map(|interface| TrackedInterface { interface: interface.to_owned(), weight: 0, reverse: false })
        .to_vec();
    config.sync_group = Some(words.group.clone());
    let addresses = [1, 2].map(|position| {
        let address = format!("192.0.{}.{position}", index % 250).parse().unwrap();
        // As the engine sends them, with addresses in rows of their own only.
        AddressRow { advertised: position == 1, ..address_row(index, position, address, 24, (&words.interface, 2)) }
    });
    let counters = Counters {
        adverts_received: seed,
        adverts_sent: seed / 2,
        became_master: 3,
        released_master: 2,
        entered_backup: 4,
        ttl_errors: 5,
        unknown_source: 6,
        other_master_adverts: 1,
        ..Counters::default()
    };
    let row = InstanceRow {
        state: if index % 2 == 1 { State::Master } else { State::Backup },
        since: ago(60),
        last_advert: Some(ago(2)),
        other_master: Some(OtherMaster { address: "192.0.2.9".parse().unwrap(), priority: 90, at: ago(3) }),
        counters,
        ..instance_row(index, config)
    };
    let mut rows = vec![(RowKey::Instance(name.into()), Row::Instance(Box::new(row)))];
    let tracked = TrackedInterfaceRow {
        owner_index: index,
        interface: words.interface.clone(),
        interface_index: Some(2),
        weight: 0,
        reverse: false,
        up: true,
    };
    let key = RowKey::TrackedInterface { instance: name.into(), interface: words.interface.clone() };
    rows.push((key, Row::TrackedInterface(tracked)));
    for mut address in addresses {
        address.installed = index % 2 == 1 && address.position == 1;
        let key = RowKey::Address { owner: Some(name.into()), position: address.position };
        rows.push((key, Row::Address(Box::new(address))));
    }
    rows
}

fn vrrp_rows(words: &Words, seed: u64) -> Vec<(RowKey, Row)> {
    let mut rows = vec![(RowKey::Global, Row::Global(Box::new(global())))];
    rows.extend(instance_rows(1, &words.instance, words, seed));
    rows.extend(instance_rows(2, &words.other_instance, words, seed));
    rows.extend(tracker_rows(words, seed));
    rows.extend(line_rows(words));
    rows
}

/// Two routes, of which one is there, and a rule of the first instance; one of each that is static, and an address.
fn line_rows(words: &Words) -> Vec<(RowKey, Row)> {
    let route = |owner_index: u32, position, installed| {
        let destination = Prefix { address: "10.9.0.0".parse().unwrap(), length: 16 };
        let config = Route::to(Location::default(), destination);
        let row = RouteRow { owner_index, position, config, interface_index: None, hop_interfaces: vec![], installed };
        let owner = (owner_index > 0).then(|| words.instance.as_str().into());
        (RowKey::Route { owner, position }, Row::Route(Box::new(row)))
    };
    let rule = |owner_index: u32| {
        let config = Rule::new(Location::default(), Family::V4, RuleAction::Table(100), 500);
        let row = RuleRow { owner_index, position: 1, config, installed: true };
        let owner = (owner_index > 0).then(|| words.instance.as_str().into());
        (RowKey::Rule { owner, position: 1 }, Row::Rule(Box::new(row)))
    };
    let address = address_row(0, 1, "10.8.0.1".parse().unwrap(), 24, (&words.interface, 2));
    let address = (RowKey::Address { owner: None, position: 1 }, Row::Address(Box::new(address)));
    vec![route(1, 1, true), route(1, 2, false), rule(1), route(0, 1, false), rule(0), address]
}

fn tracker_rows(words: &Words, seed: u64) -> Vec<(RowKey, Row)> {
    let (location, name) = (Location::default(), words.script.clone());
    let runs =
        TrackerRuns { success: seed, failure: 2, timeout: 1, skipped: 1, took_us: 12_345, ..TrackerRuns::default() };
    let script = TrackScript {
        location: location.clone(),
        name: name.clone(),
        command: TrackCommand::Opens("/run/flag".to_owned()),
        interval_us: 1_000_000,
        timeout_us: 0,
        weight: -20,
        reverse: false,
        rise: 1,
        fall: 1,
        init_fail: false,
    };
    let file = TrackFile {
        location: location.clone(),
        name: name.clone(),
        path: "/run/f".into(),
        weight: 1,
        reverse: false,
        init: None,
    };
    let process = TrackProcess {
        location: location.clone(),
        name: name.clone(),
        path: "haproxy".to_owned(),
        parameters: Vec::new(),
        parameter_match: ParameterMatch::None,
        full_command: false,
        weight: 0,
        reverse: false,
        quorum: 1,
        quorum_max: None,
        fork_delay_us: 0,
        terminate_delay_us: 0,
    };
    let bfd = TrackBfd { location: location.clone(), name: name.clone(), weight: 0, reverse: false };
    let session = BfdSession {
        location: location.clone(),
        name: name.clone(),
        neighbour: "192.0.2.77".parse().unwrap(),
        source: None,
        min_rx_us: 10_000,
        min_tx_us: 10_000,
        idle_tx_us: 1_000_000,
        multiplier: 5,
        passive: false,
        ttl: None,
        max_hops: Some(0),
        multihop: false,
        for_vrrp: true,
        for_checks: true,
    };
    let session = BfdRow {
        index: 1,
        config: session,
        state: BfdState::Up,
        since: ago(5),
        diagnostic: 0,
        discriminator: 1,
        remote_state: BfdState::Up,
        remote_diagnostic: 0,
        remote_discriminator: 2,
        interval_us: 10_000,
        detection_us: 50_000,
        counters: BfdCounters {
            sent: seed,
            received: seed,
            dropped: seed,
            expired: seed,
            went_up: seed,
            went_down: seed,
        },
    };
    let tracker = |kind, config, finding| {
        let row = TrackerRow { index: 1, config, finding, runs };
        (RowKey::Tracker(kind, name.clone()), Row::Tracker(Box::new(row)))
    };
    let group = SyncGroup {
        location,
        name: words.group.clone(),
        members: vec![],
        tracking_weight: false,
        tracks: vec![],
        tracked_interfaces: vec![],
        notify: Notify::default(),
        smtp_alert: false,
    };
    let group = SyncGroupRow { index: 1, config: group, state: State::Master, since: ago(60) };
    vec![
        tracker(TrackerKind::Script, TrackerConfig::Script(script), Finding::Bad),
        tracker(TrackerKind::File, TrackerConfig::File(file), Finding::Count { count: -5, good: true }),
        tracker(TrackerKind::Process, TrackerConfig::Process(process), Finding::Count { count: 3, good: true }),
        tracker(TrackerKind::Bfd, TrackerConfig::Bfd(bfd), Finding::Good),
        (RowKey::Bfd(name.clone()), Row::Bfd(Box::new(session))),
        (RowKey::SyncGroup(words.group.clone()), Row::SyncGroup(Box::new(group))),
        (RowKey::Pulse, Row::Pulse(pulse(seed))),
        (
            RowKey::VrrpTimes,
            Row::VrrpTimes(Box::new(VrrpTimes {
                advert_delay: histogram(seed),
                advert_delay_max_ns: 9,
                takeover: histogram(seed / 3),
            })),
        ),
    ]
}

fn stats(seed: u64) -> Stats {
    Stats {
        connections: seed,
        packets_in: seed.saturating_mul(2),
        packets_out: seed.saturating_mul(3),
        bytes_in: seed.saturating_mul(4),
        bytes_out: seed.saturating_mul(5),
        ..Stats::default()
    }
}

fn load(seed: u64) -> Load {
    Load { stats: stats(seed), active: 11, inactive: 12, persistent: 13 }
}

fn checker(kind: &str, target: &str, seed: u64) -> CheckerRow {
    CheckerRow {
        kind: kind.to_owned(),
        target: target.to_owned(),
        asks: String::new(),
        wants: String::new(),
        up: true,
        has_run: true,
        since: ago(30),
        error: String::new(),
        passed: seed / 4,
        failed: 3,
        took_us: 1_500,
    }
}

fn check_rows(words: &Words, seed: u64) -> Vec<(RowKey, Row)> {
    let family = Family::V4;
    let first = service(address_key("192.0.2.10", 443, Protocol::Tcp), family);
    let second = service(group_key(&words.group, Protocol::Udp), family);
    let servers =
        |of, port| ["10.0.0.1", "10.0.0.2"].map(|address| (server(of, address, port, 3), load(seed))).to_vec();
    let mut rows = service_rows(1, first.clone(), stats(seed), servers(&first, 8443));
    rows.extend(service_rows(2, second.clone(), stats(seed), servers(&second, 0)));
    for (_, row) in &mut rows {
        match row {
            Row::Server(row) => {
                // The same check twice, as a file may have it.
                row.checkers = [(); 2].map(|()| checker("TCP_CHECK", &words.target, seed)).to_vec();
                row.since = ago(20);
                if row.service_index == 2 && row.index == 2 {
                    (row.weight, row.overridden, row.went_down) = (0, true, 1);
                }
            }
            Row::Service(row) => row.config.virtual_host = Some(words.target.clone()),
            _ => {}
        }
    }
    rows.extend(table_rows(words, seed));
    rows
}

fn table_rows(words: &Words, seed: u64) -> Vec<(RowKey, Row)> {
    let thread = SyncThread {
        role: SyncRole::Master,
        interface: words.interface.clone(),
        id: 51,
        max_length: None,
        port: None,
        ttl: None,
        group: None,
    };
    let table = IpvsRow {
        daemons: vec![thread],
        drift_missing: 1,
        counted_wall: ago(2),
        poll_us: 400,
        totals: Some(stats(seed)),
        ..IpvsRow::default()
    };
    let kind = KindTimes {
        kind: words.kind.clone(),
        took: histogram(seed),
        failures: vec![("timeout".to_owned(), 2), ("local".to_owned(), 1), ("other".to_owned(), 4)],
    };
    let times = CheckTimes { start_delay: histogram(seed), in_flight: 2, kinds: vec![kind] };
    vec![
        (RowKey::Ipvs, Row::Ipvs(Box::new(table))),
        (RowKey::Pulse, Row::Pulse(pulse(seed))),
        (RowKey::CheckTimes, Row::CheckTimes(Box::new(times))),
    ]
}

/// What the bridge and the supervisor know, around what the store has.
fn around(store: &Store, words: &Words, seed: u64) -> Look {
    let names = ["supervisor", "vrrp", "checks", "runner", "bridge", "rrd"];
    let process = |name: &str| ProcessReport {
        name: name.to_owned(),
        pid: 100,
        started: ago(3600),
        restarts: 1,
        cpu_ns: 2_500_000_000,
        resident_bytes: 10 << 20,
        open_fds: 12,
        max_fds: 1024,
    };
    let daemon = Daemon {
        processes: names.map(process).to_vec(),
        reloads: ReloadReport {
            successful: true,
            accepted_at: ago(600),
            tried_at: ago(600),
            accepted: 2,
            rejected: 1,
            answered: 0,
            took_us: 40_000,
            hash: (1 << 48) - 1,
            warnings: 3,
            errors: String::new(),
            drift: Default::default(),
        },
        logged: logged(seed),
        pid: 1,
        started: ago(7200),
        config_file: "/etc/keepalived/keepalived.conf".to_owned(),
        wanted: names.map(str::to_owned).to_vec(),
        all_ready: true,
    };
    let agentx = AgentX {
        state: SessionState::Up,
        last_in: Some(LastPdu { name: "response".to_owned(), at: NOW.0 / 1_000_000_000 - 1 }),
        sessions_opened: 2,
        requests_by_type: vec![("get".to_owned(), seed)],
        request_times: histogram(seed),
        sets: vec![("realServerWeight".to_owned(), "committed".to_owned(), 2)],
        ..AgentX::default()
    };
    let mails = Deliveries { sent: 4, waiting: 2, ..Deliveries::default() };
    Look {
        at: NOW,
        now: HEARD + Duration::from_secs(1),
        heard: LastHeard { vrrp: Some(HEARD), checks: Some(HEARD), runner: Some(HEARD) },
        snapshot: store.snapshot(),
        vrrp_connected: true,
        checks_connected: true,
        daemon: Arc::new(daemon),
        snmp: Arc::new(SnmpReport { agentx, traps_enabled: true, ..SnmpReport::default() }),
        runner: Some(RunnerPulse { at: ago(1), mails, logged: logged(seed), ..RunnerPulse::default() }),
        rrd: Some(Arc::new(RrdReport {
            connected: true,
            files: 9,
            success: 8,
            flush_us: 7_000,
            busy_us: 21_000,
            ..RrdReport::default()
        })),
        bridge: *pulse(seed),
        traps: Arc::new(vec![TrapCount { trap: words.trap.clone(), sent: 5, expired: 1, dropped: 2 }]),
        ..Look::default()
    }
}
