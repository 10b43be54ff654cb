//! Looks for tests: rows written by hand into a real store.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::bus::bfd::{BfdCounters, BfdRow, BfdState};
use crate::bus::msg::{Edge, QuorumStatus, Source};
use crate::bus::rows::{
    CheckerRow, Finding, InstanceRow, IpvsRow, OtherMaster, Reason, RouteRow, Row, RowKey, RuleRow, ServerConfig,
    ServerRow, ServiceRow, State, SyncGroupRow, TrackedInterfaceRow, TrackerConfig, TrackerRow, TrackerRuns,
};
use crate::bus::timing::{Pulse, RunnerPulse};
use crate::check::table::{Load, Stats};
use crate::clock::{Instant, WallTime};
use crate::conf::model::{
    BfdSession, Family, Forwarding, Global, Instance, Location, Notify, Preempt, Prefix, Protocol, Route, Rule,
    RuleAction, SorryServer, SyncGroup, Track, TrackCommand, TrackScript, TrackedInterface, TrackerKind, VirtualServer,
};
use crate::control::snmp::{AgentX, QueueReport, ReceiverReport, SessionState, SnmpReport};
use crate::export::Look;
use crate::export::look::{Daemon, LastHeard, ProcessReport, ReloadReport, RrdReport};
use crate::mib::fixture as mib;
use crate::mib::fixture::check;
use crate::store::Store;

pub const SECOND: u64 = 1_000_000_000;
/// 2026-11-21 13:24:17 UTC.
pub const NOW: WallTime = WallTime(1_795_267_457 * SECOND);

/// When all processes told of themselves, a second ago.
pub const HEARD: Instant = Instant::from_nanos(77 * SECOND);

pub fn ago(seconds: f64) -> WallTime {
    WallTime(NOW.0 - (seconds * 1e9) as u64)
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub type Rows = Vec<(RowKey, Row)>;

/// What both engines said, a minute after everything has come to rest.
pub fn look(vrrp: Rows, checks: Rows) -> Look {
    let mut store = Store::new();
    let pulse = || (RowKey::Pulse, Row::Pulse(Box::new(Pulse { at: ago(1.0), ..Pulse::default() })));
    mib::commit_from(&mut store, Source::Vrrp, 1, true, vrrp.into_iter().chain([pulse()]));
    mib::commit_from(&mut store, Source::Checks, 1, true, checks.into_iter().chain([pulse()]));
    let process = |name: &str, pid| ProcessReport {
        name: name.to_owned(),
        pid,
        started: ago(7_260.0),
        cpu_ns: 12_340_000_000,
        resident_bytes: 9_437_184,
        open_fds: 23,
        max_fds: 1024,
        ..ProcessReport::default()
    };
    let names = ["supervisor", "vrrp", "checks", "runner", "bridge", "rrd"];
    let reloads = ReloadReport {
        successful: true,
        accepted_at: ago(7_259.0),
        tried_at: ago(7_259.0),
        accepted: 1,
        ..ReloadReport::default()
    };
    let daemon = Daemon {
        processes: names.iter().zip(100..).map(|(name, pid)| process(name, pid)).collect(),
        reloads,
        pid: 100,
        started: ago(7_260.0),
        config_file: "/etc/keepalived/keepalived.conf".to_owned(),
        wanted: names.iter().map(ToString::to_string).collect(),
        all_ready: true,
        ..Daemon::default()
    };
    let rrd = RrdReport {
        directory: "/var/lib/keepwatch/rrd".into(),
        connected: true,
        files: 11,
        success: 7920,
        ..RrdReport::default()
    };
    Look {
        at: NOW,
        now: HEARD + Duration::from_secs(1),
        heard: LastHeard { vrrp: Some(HEARD), checks: Some(HEARD), runner: Some(HEARD) },
        snapshot: store.snapshot(),
        vrrp_connected: true,
        checks_connected: true,
        daemon: Arc::new(daemon),
        snmp: Arc::new(snmp()),
        runner: Some(RunnerPulse { at: ago(1.0), ..RunnerPulse::default() }),
        rrd: Some(Arc::new(rrd)),
        ..Look::default()
    }
}

fn snmp() -> SnmpReport {
    SnmpReport {
        agentx: AgentX {
            state: SessionState::Up,
            since: Some(ago(7_258.0).0 / SECOND),
            address: "unix:/var/agentx/master".to_owned(),
            registrations_wanted: 14,
            registrations_granted: 14,
            queue: QueueReport { limit: 256, ..QueueReport::default() },
            requests: 48_213,
            notifications_sent: 12,
            ..AgentX::default()
        },
        traps_enabled: true,
        receivers: vec![ReceiverReport {
            address: "192.0.2.50:162".to_owned(),
            version: "v3".to_owned(),
            inform: true,
            user: Some("operator".to_owned()),
            queue: QueueReport { limit: 256, ..QueueReport::default() },
            outstanding: 0,
            away_since: None,
            sent: 12,
            acknowledged: 12,
            retried: 0,
            last_error: None,
            last_error_at: None,
        }],
        ..SnmpReport::default()
    }
}

/// Version 2, one second, on eth0, priority 100: backup of 10.0.0.2, which has 150, since a minute.
pub fn backup(name: &str) -> InstanceRow {
    let config = Instance {
        interface: Some("eth0".to_owned()),
        priority: priority(100),
        advert_interval: Duration::from_secs(1),
        auth: None,
        hmac: false,
        ..mib::instance(name)
    };
    InstanceRow {
        state: State::Backup,
        wanted: State::Backup,
        addresses_set: false,
        primary: Some(ip("10.0.0.1")),
        master: Some((ip("10.0.0.2"), 150)),
        master_interval_ns: SECOND,
        master_down_ns: 3_609_375_000,
        last_advert: Some(ago(0.4)),
        since: ago(60.0),
        reason: Reason::HigherPriorityHeard,
        ..mib::instance_row(1, config)
    }
}

/// The same as master since a minute, because the other one fell silent.
pub fn master(name: &str) -> InstanceRow {
    InstanceRow {
        state: State::Master,
        wanted: State::Master,
        addresses_set: true,
        master: None,
        last_advert: Some(ago(63.6)),
        reason: Reason::MasterNoResponse,
        ..backup(name)
    }
}

pub fn priority(value: u8) -> crate::conf::model::Priority {
    crate::conf::model::Priority::new(value).unwrap()
}

/// The same with a base priority and what is left of it.
pub fn with_priority(mut row: InstanceRow, base: u8, effective: u8) -> InstanceRow {
    row.config.priority = priority(base);
    row.base_priority = priority(base);
    row.effective_priority = priority(effective);
    row
}

/// An instance and its addresses, which are there or not.
pub fn instance_rows(row: InstanceRow, addresses: &[(&str, bool)]) -> Rows {
    let name = row.config.name.clone();
    let mut rows: Rows = (1..)
        .zip(addresses)
        .map(|(position, (address, installed))| {
            let address = mib::address_row(row.index, position, ip(address), 24, ("eth0", 2));
            let row = crate::bus::rows::AddressRow { installed: *installed, ..address };
            (RowKey::Address { owner: Some(name.clone()), position }, Row::Address(Box::new(row)))
        })
        .collect();
    for tracked in &row.config.tracked_interfaces {
        let key = RowKey::TrackedInterface { instance: name.clone(), interface: tracked.interface.clone() };
        rows.push((key, Row::TrackedInterface(tracked_row(row.index, tracked))));
    }
    rows.push((RowKey::Instance(name), Row::Instance(Box::new(row))));
    rows
}

/// Interfaces whose name ends in `down` are down; those that end in `gone` do not exist.
pub fn tracked_row(owner_index: u32, tracked: &TrackedInterface) -> TrackedInterfaceRow {
    TrackedInterfaceRow {
        owner_index,
        interface: tracked.interface.clone(),
        interface_index: (!tracked.interface.ends_with("gone"))
            .then_some(owner_index * 100 + tracked.interface.len() as u32),
        weight: tracked.weight,
        reverse: tracked.reverse,
        up: !tracked.interface.ends_with("down") && !tracked.interface.ends_with("gone"),
    }
}

pub fn track(interface: &str, weight: i16) -> TrackedInterface {
    TrackedInterface { interface: interface.to_owned(), weight, reverse: false }
}

pub fn group(name: &str, members: &[&str], state: State) -> (RowKey, Row) {
    let config = SyncGroup {
        location: Location::default(),
        name: name.to_owned(),
        members: members.iter().map(|member| (*member).into()).collect(),
        tracking_weight: false,
        tracks: vec![],
        tracked_interfaces: vec![],
        notify: Notify::default(),
        smtp_alert: false,
    };
    let row = SyncGroupRow { index: 1, config, state, since: ago(60.0) };
    (RowKey::SyncGroup(name.to_owned()), Row::SyncGroup(Box::new(row)))
}

/// `192.0.2.10:80/tcp` with a sorry server and four real servers of weight 1, whose HTTP_GET passes; quorum 1.
pub struct Pool {
    pub service: ServiceRow,
    pub sorry: ServerRow,
    pub servers: Vec<ServerRow>,
}

pub fn pool(index: u32) -> Pool {
    let key = check::address_key(&format!("192.0.2.{}", 9 + index), 80, Protocol::Tcp);
    pool_of(index, check::service(key, Family::V4))
}

pub fn pool_of(index: u32, service: VirtualServer) -> Pool {
    let sorry = SorryServer {
        address: ip("10.0.9.9"),
        port: 80,
        location: Location::default(),
        forwarding: Forwarding::Nat,
        inhibit: false,
    };
    let service = VirtualServer { scheduler: "wlc".to_owned(), sorry: Some(sorry.clone()), ..service };
    let servers = (1..=4u32).map(|n| {
        let address = format!("10.0.0.{}", 10 + n);
        let stats = Stats { connections: u64::from(n) * 1234, ..Stats::default() };
        let load = Load { stats, active: n * 3, inactive: n, persistent: 0 };
        let config = ServerConfig::Real(check::server(&service, &address, 80, 1));
        ServerRow {
            checkers: vec![passing(&address)],
            since: ago(7_000.0),
            ..check::server_row(index, n + 1, config, load)
        }
    });
    let servers = servers.collect();
    let sorry = ServerRow {
        alive: false,
        installed: false,
        since: ago(7_000.0),
        ..check::server_row(index, 1, ServerConfig::Sorry(sorry), Load::default())
    };
    let service = ServiceRow {
        index,
        config: service,
        installed: true,
        quorum_met: true,
        quorum_since: ago(7_000.0),
        sorry_active: false,
        suspended: false,
        servers_total: 4,
        servers_up: 4,
        weight_up: 4,
        stats: Stats { connections: 12_340, ..Stats::default() },
        trouble: vec![],
    };
    Pool { service, sorry, servers }
}

fn passing(address: &str) -> CheckerRow {
    CheckerRow {
        kind: "HTTP_GET".to_owned(),
        target: format!("{address}:80"),
        asks: "/health of www.example.com".to_owned(),
        wants: "status 200".to_owned(),
        up: true,
        has_run: true,
        since: ago(7_000.0),
        error: String::new(),
        passed: 1166,
        failed: 0,
        took_us: 3_210,
    }
}

impl Pool {
    /// The n-th server, from 1, is down for 90 s because its check says so.
    pub fn fails(mut self, n: usize, error: &str) -> Pool {
        let server = &mut self.servers[n - 1];
        (server.alive, server.installed, server.failed_checks, server.since) = (false, false, 1, ago(90.0));
        let checker = &mut server.checkers[0];
        (checker.up, checker.failed, checker.since) = (false, 9, ago(90.0));
        checker.error = error.to_owned();
        self.service.servers_up -= 1;
        self.service.weight_up -= 1;
        self
    }

    pub fn quorum_lost(mut self, quorum: u32) -> Pool {
        self.service.config.quorum = quorum;
        (self.service.quorum_met, self.service.sorry_active, self.service.quorum_since) = (false, true, ago(90.0));
        (self.sorry.alive, self.sorry.installed, self.sorry.since) = (true, true, ago(90.0));
        self
    }

    pub fn rows(self) -> Rows {
        let config = self.service.config.clone();
        let mut rows: Rows = vec![(RowKey::Server(config.sorry_key().unwrap()), Row::Server(Box::new(self.sorry)))];
        for server in self.servers {
            let ServerConfig::Real(real) = &server.config else { unreachable!("the sorry server is apart") };
            rows.push((RowKey::Server(config.server_key(real)), Row::Server(Box::new(server))));
        }
        rows.push((RowKey::Service(config.key.clone()), Row::Service(Box::new(self.service))));
        rows
    }
}

/// The table of IPVS, counted three seconds ago.
pub fn ipvs() -> (RowKey, Row) {
    (RowKey::Ipvs, Row::Ipvs(Box::new(IpvsRow { counted_wall: ago(3.0), ..IpvsRow::default() })))
}

pub fn global(change: impl FnOnce(&mut Global)) -> (RowKey, Row) {
    let mut global = mib::global();
    change(&mut global);
    (RowKey::Global, Row::Global(Box::new(global)))
}

/// A host where something of everything is wrong.
pub fn busy() -> Look {
    let mut troubled = with_priority(backup("VI_INSIDE"), 150, 90);
    troubled.index = 2;
    troubled.config.tracked_interfaces = vec![track("eth1down", -60), track("eth2", 0)];
    troubled.config.sync_group = Some("G1".to_owned());
    troubled.master = Some((ip("10.0.0.2"), 100));
    let mut split = master("VI_OUTSIDE");
    split.other_master = Some(OtherMaster { address: ip("10.0.0.3"), priority: 50, at: ago(0.3) });
    split.config.tracked_interfaces = vec![track("eth0", 20)];
    split = with_priority(split, 100, 120);
    let mut fault = backup("VI_STORAGE");
    (fault.index, fault.state, fault.wanted, fault.reason) = (3, State::Fault, State::Fault, Reason::InterfaceDown);
    (fault.master, fault.faults) = (None, vec!["interface eth3 is down".to_owned()]);
    fault.config.interface = Some("eth3".to_owned());
    fault.config.preempt = Preempt::Never;
    fault.preempt = false;
    let mut vrrp = vec![global(|_| {}), group("G1", &["VI_INSIDE"], State::Backup)];
    vrrp.extend(instance_rows(split, &[("192.0.2.10", true), ("192.0.2.11", false), ("192.0.2.12", true)]));
    vrrp.extend(instance_rows(troubled, &[("10.0.0.100", false)]));
    vrrp.extend(instance_rows(fault, &[("10.3.0.100", false)]));
    let follows = |name: &str| Track { kind: TrackerKind::Script, name: name.to_owned(), weight: -40, reverse: false };
    if let Some((_, Row::Instance(row))) =
        vrrp.iter_mut().find(|(key, _)| *key == RowKey::Instance("VI_OUTSIDE".into()))
    {
        row.config.tracks = vec![follows("chk_spare")];
    }
    vrrp.extend([route_row(1, 1, true), route_row(1, 2, true), rule_row(1, 1, true), route_row(0, 1, false)]);
    vrrp.extend([script_row(1, "chk_spare", Finding::Unknown), session_row(1, "B_CORE", BfdState::Down, 1)]);
    vrrp.push(session_row(2, "B_EDGE", BfdState::Up, 0));
    let mut checks = vec![global(|_| {}), ipvs()];
    checks.extend(pool(1).fails(2, "HTTP status 503").rows());
    checks
        .extend(pool(2).fails(1, "connection refused").fails(2, "timed out after 5s connecting").quorum_lost(3).rows());
    let mut drained = pool(3);
    (drained.servers[3].overridden, drained.servers[3].weight) = (true, 0);
    checks.extend(drained.rows());
    checks.extend(pool(4).rows());
    checks.extend(pool(5).rows());
    let mut look = look(vrrp, checks);
    let mut daemon = (*look.daemon).clone();
    daemon.reloads.successful = false;
    daemon.reloads.tried_at = ago(300.0);
    daemon.reloads.rejected = 1;
    daemon.reloads.errors = "error: expected a router id from 1 to 255, found `300`\n  --> /etc/keepalived/keepalived.conf:12:23\n12 |     virtual_router_id 300\n   |                       ^^^\nhint: every router that backs up these addresses uses the same id; others on the link do not\n".to_owned();
    look.daemon = Arc::new(daemon);
    let mut snmp = (*look.snmp).clone();
    snmp.agentx.state = SessionState::Waiting;
    snmp.agentx.last_error = Some("connection refused".to_owned());
    look.snmp = Arc::new(snmp);
    look.events = Arc::new(events());
    look
}

/// A host where all is well.
pub fn calm() -> Look {
    let mut other = backup("VI_INSIDE");
    other.index = 2;
    let mut vrrp = vec![global(|_| {})];
    vrrp.extend(instance_rows(master("VI_OUTSIDE"), &[("192.0.2.10", true), ("192.0.2.11", true)]));
    vrrp.extend(instance_rows(other, &[("10.0.0.100", false)]));
    let mut checks = vec![global(|_| {}), ipvs()];
    checks.extend(pool(1).rows());
    checks.extend(pool(2).rows());
    let mut look = look(vrrp, checks);
    look.events = Arc::new(events().into_iter().take(2).collect());
    look
}

/// `10.POSITION.0.0/16 via 10.0.0.9`; 0 owns the static ones.
pub fn route_row(owner_index: u32, position: u32, installed: bool) -> (RowKey, Row) {
    let second = u8::try_from(position).unwrap();
    let mut config = Route::to(Location::default(), Prefix { address: IpAddr::from([10, second, 0, 0]), length: 16 });
    config.gateway = Some(ip("10.0.0.9"));
    let owner = (owner_index > 0).then(|| "VI_1".into());
    let row = RouteRow { owner_index, position, config, interface_index: None, hop_interfaces: vec![], installed };
    (RowKey::Route { owner, position }, Row::Route(Box::new(row)))
}

/// `50POSITION: from 10.POSITION.0.0/16 lookup 100`.
pub fn rule_row(owner_index: u32, position: u32, installed: bool) -> (RowKey, Row) {
    let second = u8::try_from(position).unwrap();
    let mut config = Rule::new(Location::default(), Family::V4, RuleAction::Table(100), 500 + position);
    config.from = Some(Prefix { address: IpAddr::from([10, second, 0, 0]), length: 16 });
    let owner = (owner_index > 0).then(|| "VI_1".into());
    let row = RuleRow { owner_index, position, config, installed };
    (RowKey::Rule { owner, position }, Row::Rule(Box::new(row)))
}

/// A script that fails with a weight of its own, and who runs it does not.
pub fn script_row(index: u32, name: &str, finding: Finding) -> (RowKey, Row) {
    let config = TrackScript {
        location: Location::default(),
        name: name.to_owned(),
        command: TrackCommand::Opens("/run/nologin".to_owned()),
        interval_us: 1_000_000,
        timeout_us: 0,
        weight: -40,
        reverse: false,
        rise: 1,
        fall: 1,
        init_fail: false,
    };
    let runs = TrackerRuns { success: 7, failure: 2, timeout: 1, took_us: 12_500, ..TrackerRuns::default() };
    let row = TrackerRow { index, config: TrackerConfig::Script(config), finding, runs };
    (RowKey::Tracker(TrackerKind::Script, name.to_owned()), Row::Tracker(Box::new(row)))
}

/// A session to 10.0.0.2 that has been so for seven seconds.
pub fn session_row(index: u32, name: &str, state: BfdState, diagnostic: u8) -> (RowKey, Row) {
    let config = BfdSession {
        location: Location::default(),
        name: name.to_owned(),
        neighbour: ip("10.0.0.2"),
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
        for_checks: false,
    };
    let row = BfdRow {
        index,
        config,
        state,
        since: ago(7.0),
        diagnostic,
        discriminator: 7,
        remote_state: state,
        remote_diagnostic: 0,
        remote_discriminator: 9,
        interval_us: 12_500,
        detection_us: 60_000,
        counters: BfdCounters { sent: 10, received: 9, dropped: 1, expired: 2, went_up: 3, went_down: 2 },
    };
    (RowKey::Bfd(name.to_owned()), Row::Bfd(Box::new(row)))
}

pub fn transition(instance: &str, from: State, to: State, reason: Reason, at: WallTime) -> Edge {
    Edge::Transition {
        instance: instance.into(),
        index: 1,
        from,
        to,
        initial: State::Backup,
        reason,
        new_master: None,
        at,
    }
}

fn events() -> Vec<(u64, Arc<Edge>)> {
    let pool = pool(2).service;
    let server = pool.config.server_key(&check::server(&pool.config, "10.0.0.11", 80, 1));
    let edges = [
        transition("VI_OUTSIDE", State::Init, State::Backup, Reason::Startup, ago(7_258.0)),
        transition("VI_OUTSIDE", State::Backup, State::Master, Reason::MasterNoResponse, ago(60.0)),
        transition("VI_STORAGE", State::Backup, State::Fault, Reason::InterfaceDown, ago(60.0)),
        Edge::Server {
            server,
            index: (2, 2),
            up: false,
            servers_up: 3,
            servers_total: 4,
            reason: "HTTP_GET: connection refused".to_owned(),
            at: ago(90.0),
        },
        Edge::Quorum {
            service: pool.config.key.clone(),
            index: 2,
            status: QuorumStatus::NotMet,
            quorum: 3,
            servers_up: 2,
            servers_total: 4,
            at: ago(90.0),
        },
        Edge::BadPacket {
            instance: "VI_INSIDE".into(),
            router: crate::bus::msg::RouterId {
                interface_index: Some(2),
                vrid: 1,
                family: Family::V4,
                version: crate::conf::model::Version::V2,
                advertises: true,
            },
            source: ip("10.0.0.66"),
            fault: crate::bus::msg::PacketFault::Auth(crate::bus::rows::AuthError::Failure),
            unreported: 4,
            at: ago(20.0),
        },
    ];
    (7..).zip(edges.map(Arc::new)).collect()
}
