//! Documents for the tests of this module, and the files that hold what people read.

use crate::clock::WallTime;
use crate::control::snmp::{AgentX, SessionState, SnmpReport};
use crate::control::{Checker, Server, Service};
use crate::export::look::{ProcessReport, ReloadReport, RrdReport};
use crate::report::{
    AddressReport, BfdCountersReport, BfdReport, BfdSessionReport, CheckerReport, CheckersReport, CountersReport,
    DaemonStatus, InstanceReport, IpvsReport, MasterReport, PriorityReport, ProcessStatus, RouteReport, RuleReport,
    RunsReport, ServiceReport, Severity, StaticReport, Status, SyncGroupReport, TrackedReport, TrackerReport, Trouble,
    VrrpReport,
};

/// Seconds since 1970, for ages.
pub const NOW: f64 = 1_000_000.0;

/// Compares with `golden/NAME.txt`, or writes it when `KEEPWATCH_RENEW` is set.
#[track_caller]
pub fn golden(name: &str, text: &str) {
    let path = format!("{}/src/cli/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("KEEPWATCH_RENEW").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(text == expected, "{path} has\n{expected}\nand this is\n{text}");
}

fn address(address: &str, wanted: bool, present: bool) -> AddressReport {
    AddressReport { address: address.to_owned(), interface: "eth0".to_owned(), wanted, present }
}

fn master(address: &str, priority: u8, ago: f64) -> Option<MasterReport> {
    Some(MasterReport { address: address.to_owned(), priority, at: Some(NOW - ago) })
}

fn tracked(kind: &str, name: &str, up: Option<bool>, weight: i32, faults: bool) -> TrackedReport {
    TrackedReport {
        kind: kind.to_owned(),
        name: name.to_owned(),
        up,
        weight,
        reverse: false,
        adds: if up == Some(false) && weight < 0 { weight } else { 0 },
        faults,
        from_group: false,
    }
}

/// A master, one in fault, one that is not alone, and one that was stood down.
pub fn vrrp() -> VrrpReport {
    let one = InstanceReport {
        name: "VI_1".to_owned(),
        vrid: 51,
        family: "ipv4".to_owned(),
        version: 3,
        interface: "eth0".to_owned(),
        state: "master".to_owned(),
        wanted: "master".to_owned(),
        since: NOW - 11_000.0,
        reason: "nothing was heard of the master for 3.6 s".to_owned(),
        priority: PriorityReport { effective: 150, base: 150, configured: 150, overridden: false },
        preempt: true,
        preempt_delay: 0.0,
        advert_interval: 1.0,
        master_down_interval: 3.414,
        primary_address: Some("10.0.0.1".to_owned()),
        master: None,
        other_master: None,
        last_advert: None,
        addresses: vec![address("10.0.0.100/24", true, true), address("10.0.0.101/24", true, true)],
        routes: vec![],
        rules: vec![],
        tracked: vec![],
        faults: vec![],
        sync_group: None,
        unicast: false,
        stood_down: None,
        counters: CountersReport { adverts_sent: 11_000, adverts_received: 4, became_master: 1, ..Default::default() },
    };
    let two = InstanceReport {
        name: "VI_2".to_owned(),
        vrid: 52,
        state: "fault".to_owned(),
        wanted: "fault".to_owned(),
        since: NOW - 60.0,
        reason: "eth1 is down".to_owned(),
        priority: PriorityReport { effective: 70, base: 100, configured: 110, overridden: true },
        preempt: false,
        addresses: vec![address("10.0.1.100/24", false, false)],
        routes: vec![
            route("10.9.0.0/24 via 10.0.0.9 dev eth1", false, false, false),
            route("default via 10.0.1.1", false, true, false),
        ],
        rules: vec![RuleReport {
            rule: "500: from 10.1.0.0/16 lookup 100".to_owned(),
            wanted: false,
            present: false,
            no_track: false,
        }],
        tracked: vec![
            tracked("interface", "eth1", Some(false), 0, true),
            tracked("script", "chk_http", Some(false), -30, false),
            tracked("file", "load", None, 2, false),
        ],
        faults: vec!["interface eth1 is down".to_owned()],
        sync_group: Some("VG_1".to_owned()),
        ..one.clone()
    };
    let three = InstanceReport {
        name: "VI_3".to_owned(),
        vrid: 53,
        addresses: vec![address("10.0.2.100/24", true, false)],
        other_master: master("10.0.0.3", 120, 0.4),
        ..one.clone()
    };
    let four = InstanceReport {
        name: "VI_6".to_owned(),
        vrid: 54,
        family: "ipv6".to_owned(),
        state: "backup".to_owned(),
        wanted: "backup".to_owned(),
        since: NOW - 90.0,
        reason: "a stronger master was heard".to_owned(),
        master: master("fe80::2", 100, 0.25),
        addresses: vec![address("fe80::100/64", false, false), address("fd00:1::100/64", false, false)],
        unicast: true,
        stood_down: Some(NOW - 91.0),
        ..one.clone()
    };
    let group = SyncGroupReport {
        name: "VG_1".to_owned(),
        state: "fault".to_owned(),
        since: NOW - 60.0,
        members: vec!["VI_2".to_owned()],
    };
    let script = TrackerReport {
        kind: "script".to_owned(),
        name: "chk_http".to_owned(),
        up: Some(false),
        value: None,
        weight: -30,
        reverse: false,
        tracked_by: vec!["VI_2".to_owned(), "VG_1".to_owned()],
        runs: Some(RunsReport { success: 9_000, failure: 12, timeout: 3, skipped: 0, running: true, took: 0.012 }),
    };
    let file = TrackerReport {
        kind: "file".to_owned(),
        name: "load".to_owned(),
        up: None,
        value: Some(-7),
        weight: 2,
        reverse: true,
        tracked_by: vec![],
        runs: None,
    };
    let process = TrackerReport {
        kind: "process".to_owned(),
        name: "haproxy".to_owned(),
        up: Some(true),
        value: Some(2),
        weight: 0,
        reverse: false,
        ..file.clone()
    };
    let fresh = TrackerReport { name: "fresh".to_owned(), up: None, runs: None, ..script.clone() };
    let statics = StaticReport {
        addresses: vec![address("10.8.0.1/24", true, true)],
        routes: vec![route("10.7.0.0/16 via 10.0.0.9", true, false, false), route("10.6.0.0/16", true, false, true)],
        rules: vec![],
    };
    VrrpReport {
        at: NOW,
        silent: None,
        instances: vec![one, two, three, four],
        sync_groups: vec![group],
        trackers: vec![script, fresh, file, process],
        statics,
    }
}

fn route(route: &str, wanted: bool, present: bool, no_track: bool) -> RouteReport {
    RouteReport { route: route.to_owned(), wanted, present, no_track }
}

/// One that is up, one that was lost, one that never was there.
pub fn bfd() -> BfdReport {
    let up = BfdSessionReport {
        name: "B_CORE".to_owned(),
        neighbour: "10.0.0.2".to_owned(),
        source: Some("10.0.0.1".to_owned()),
        state: "up".to_owned(),
        since: NOW - 7_000.0,
        diagnostic: String::new(),
        remote_state: "up".to_owned(),
        remote_diagnostic: String::new(),
        discriminator: 7,
        remote_discriminator: 9,
        multihop: false,
        passive: false,
        interval: 0.1,
        detection_time: Some(0.3),
        tracked_by: vec!["VI_1".to_owned()],
        for_checks: false,
        counters: BfdCountersReport { sent: 70_000, received: 69_998, went_up: 1, ..BfdCountersReport::default() },
    };
    let lost = BfdSessionReport {
        name: "B_EDGE".to_owned(),
        neighbour: "fd00:1::2".to_owned(),
        state: "down".to_owned(),
        since: NOW - 65.0,
        diagnostic: "control detection time expired".to_owned(),
        remote_state: "down".to_owned(),
        remote_discriminator: 0,
        multihop: true,
        interval: 1.0,
        tracked_by: vec![],
        for_checks: true,
        counters: BfdCountersReport { timeouts: 1, went_down: 1, dropped: 4, ..up.counters.clone() },
        ..up.clone()
    };
    let never = BfdSessionReport {
        name: "B_NEW".to_owned(),
        neighbour: "10.0.0.9".to_owned(),
        source: None,
        state: "down".to_owned(),
        since: NOW - 5.0,
        remote_state: "down".to_owned(),
        passive: true,
        detection_time: None,
        tracked_by: vec![],
        counters: BfdCountersReport::default(),
        ..up.clone()
    };
    BfdReport { at: NOW, silent: None, sessions: vec![up, lost, never] }
}

fn server(service: &Service, address: &str, since: f64) -> Server {
    Server {
        service: service.service.clone(),
        service_name: service.name.clone(),
        server: address.to_owned(),
        name: None,
        sorry: false,
        alive: true,
        installed: true,
        weight: 3,
        configured_weight: Some(3),
        overridden: false,
        active_connections: 12,
        inactive_connections: 40,
        persistent_connections: 0,
        connections: 99_000,
        since: since as u64,
        failed_checks: 0,
        checkers: vec![],
    }
}

/// A pool with a server that is down and one that is drained, and one on its sorry server.
pub fn ipvs() -> IpvsReport {
    let web = Service {
        service: "192.0.2.10:80/tcp".to_owned(),
        name: Some("shop".to_owned()),
        scheduler: "wrr".to_owned(),
        installed: true,
        quorum: 1,
        quorum_met: true,
        sorry_active: false,
        suspended: false,
        servers_total: 3,
        servers_up: 2,
        weight_up: 3,
        connections: 198_000,
        trouble: vec![],
    };
    let dns = Service {
        service: "[2001:db8::1]:53/udp".to_owned(),
        name: None,
        quorum: 2,
        weight_up: 1,
        quorum_met: false,
        sorry_active: true,
        servers_total: 1,
        servers_up: 1,
        connections: 12,
        trouble: vec!["the kernel refuses it: No such file or directory (keepalived.conf:30)".to_owned()],
        ..web.clone()
    };
    let up = server(&web, "10.0.0.1:80", NOW - 86_400.0);
    let failed = Checker {
        kind: "HTTP_GET".to_owned(),
        target: "10.0.0.2:80".to_owned(),
        up: false,
        error: "HTTP status 503".to_owned(),
    };
    let down = Server {
        server: "10.0.0.2:80".to_owned(),
        name: Some("w2".to_owned()),
        alive: false,
        installed: false,
        active_connections: 0,
        inactive_connections: 3,
        since: (NOW - 125.0) as u64,
        failed_checks: 1,
        checkers: vec![failed],
        ..up.clone()
    };
    let drained = Server { server: "10.0.0.3:80".to_owned(), weight: 0, overridden: true, ..up.clone() };
    let alone = server(&dns, "[fd00::10]:53", NOW - 30.0);
    let sorry = Server {
        server: "[fd00::99]:53".to_owned(),
        sorry: true,
        configured_weight: None,
        active_connections: 0,
        ..server(&dns, "", NOW - 30.0)
    };
    IpvsReport {
        at: NOW,
        silent: None,
        unavailable: String::new(),
        counted_at: NOW - 3.0,
        counted_every: 5.0,
        services: vec![
            ServiceReport { service: web, quorum_since: NOW - 86_400.0, servers: vec![up, down, drained] },
            ServiceReport { service: dns, quorum_since: NOW - 30.0, servers: vec![sorry, alone] },
        ],
    }
}

pub fn checkers() -> CheckersReport {
    let up = CheckerReport {
        service: "192.0.2.10:80/tcp".to_owned(),
        server: "10.0.0.1:80".to_owned(),
        kind: "HTTP_GET".to_owned(),
        target: "10.0.0.1:80".to_owned(),
        asks: "/health".to_owned(),
        wants: "200".to_owned(),
        up: true,
        has_run: true,
        since: NOW - 86_400.0,
        error: String::new(),
        passed: 14_400,
        failed: 2,
        took: 0.0043,
    };
    let down = CheckerReport {
        server: "10.0.0.2:80".to_owned(),
        target: "10.0.0.2:8080".to_owned(),
        up: false,
        since: NOW - 125.0,
        error: "timed out after 5s waiting for the response".to_owned(),
        took: 5.0,
        ..up.clone()
    };
    let idle = CheckerReport {
        server: "10.0.0.3:80".to_owned(),
        kind: "MISC_CHECK".to_owned(),
        target: "/usr/local/bin/check".to_owned(),
        has_run: false,
        passed: 0,
        failed: 0,
        took: 0.0,
        ..up.clone()
    };
    CheckersReport { at: NOW, checkers: vec![up, down, idle] }
}

pub fn status() -> Status {
    let wall = |ago: f64| WallTime(((NOW - ago) * 1e9) as u64);
    let process = |name: &str, up, restarts| ProcessStatus {
        report: ProcessReport {
            name: name.to_owned(),
            pid: 1000,
            started: wall(11_000.0),
            restarts,
            resident_bytes: 4 << 20,
            ..ProcessReport::default()
        },
        up,
    };
    let trouble = |severity, subject: &str, text: &str, ago: Option<f64>| Trouble {
        severity,
        subject: subject.to_owned(),
        text: text.to_owned(),
        since: ago.map(|ago| NOW - ago),
    };
    let vrrp = vrrp();
    Status {
        version: "0.1.0".to_owned(),
        at: NOW,
        host: "lb1".to_owned(),
        daemon: DaemonStatus {
            pid: 999,
            started: NOW - 11_000.0,
            config_file: "/etc/keepalived/keepalived.conf".to_owned(),
            reload: ReloadReport {
                successful: false,
                accepted_at: wall(11_000.0),
                tried_at: wall(30.0),
                rejected: 1,
                errors: "error: expected a router id from 1 to 255, found `300`\n".to_owned(),
                ..ReloadReport::default()
            },
            ready: true,
            processes: vec![process("vrrp", true, 0), process("checks", false, 3), process("bridge", true, 1)],
        },
        vrrp: vrrp.instances,
        sync_groups: vrrp.sync_groups,
        trackers: vrrp.trackers,
        bfd: bfd().sessions,
        statics: vrrp.statics,
        ipvs: ipvs(),
        snmp: SnmpReport { agentx: AgentX { state: SessionState::Up, ..AgentX::default() }, ..SnmpReport::default() },
        rrd: Some(RrdReport {
            directory: "/var/lib/keepwatch/rrd".into(),
            files: 9,
            dropped: 2,
            ..RrdReport::default()
        }),
        troubles: vec![
            trouble(Severity::Critical, "vrrp VI_2", "in fault: interface eth1 is down", Some(60.0)),
            trouble(Severity::Warning, "configuration", "the file was refused", Some(30.0)),
            trouble(Severity::Info, "vrrp VI_6", "stood down by an operator", None),
        ],
        events: vec![],
    }
}
