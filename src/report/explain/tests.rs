//! Every situation is prepared, and its cause is named.

use std::time::Duration;

use super::situations::{Kind, SITUATIONS};
use super::*;
use crate::bus::rows::{
    Finding, InstanceRow, OtherMaster, Reason, Row, RowKey, State, TrackerConfig, TrackerRow, TrackerRuns,
};
use crate::conf::model::{
    Location, ParameterMatch, Peer, Preempt, Track, TrackBfd, TrackCommand, TrackFile, TrackProcess, TrackScript,
    TrackerKind, Transport,
};
use crate::report::fixture::{
    Rows, ago, backup, global, group, instance_rows, ip, ipvs, look, master, pool, route_row, rule_row, track,
    with_priority,
};

fn one(row: InstanceRow) -> Rows {
    instance_rows(row, &[("192.0.2.10", true)])
}

fn fault(reason: Reason, text: &str) -> InstanceRow {
    InstanceRow {
        state: State::Fault,
        wanted: State::Fault,
        reason,
        faults: vec![text.to_owned()],
        master: None,
        ..backup("VI_1")
    }
}

fn unicast(peers: Vec<Peer>) -> Transport {
    Transport::Unicast { peers, ttl: None, check_source: false, fault_without_peers: true }
}

/// Two members of one group; this one first.
fn grouped(mut first: InstanceRow, mut second: InstanceRow, state: State) -> Rows {
    first.config.sync_group = Some("G1".to_owned());
    second.config.sync_group = Some("G1".to_owned());
    second.index = 2;
    let mut rows = vec![group("G1", &["VI_1", "VI_2"], state)];
    rows.extend(one(first));
    rows.extend(one(second));
    rows
}

/// An instance that tracks one thing, called `it`, of which that was found.
fn tracking(mut row: InstanceRow, kind: TrackerKind, weight: i32, finding: Finding) -> Rows {
    row.config.tracks = vec![Track { kind, name: "it".to_owned(), weight, reverse: false }];
    let mut rows = one(row);
    let (location, name) = (Location::default(), "it".to_owned());
    let config = match kind {
        TrackerKind::Script => TrackerConfig::Script(TrackScript {
            location,
            name,
            command: TrackCommand::Opens("/it".to_owned()),
            interval_us: 1_000_000,
            timeout_us: 0,
            weight: 0,
            reverse: false,
            rise: 1,
            fall: 1,
            init_fail: false,
        }),
        TrackerKind::File => TrackerConfig::File(TrackFile {
            location,
            name,
            path: "/it".to_owned(),
            weight: 1,
            reverse: false,
            init: None,
        }),
        TrackerKind::Process => TrackerConfig::Process(TrackProcess {
            location,
            name,
            path: "itd".to_owned(),
            parameters: vec![],
            parameter_match: ParameterMatch::None,
            full_command: false,
            weight: 0,
            reverse: false,
            quorum: 2,
            quorum_max: None,
            fork_delay_us: 0,
            terminate_delay_us: 0,
        }),
        TrackerKind::Bfd => TrackerConfig::Bfd(TrackBfd { location, name, weight: 0, reverse: false }),
    };
    let row = TrackerRow { index: 1, config, finding, runs: TrackerRuns::default() };
    rows.push((RowKey::Tracker(kind, "it".to_owned()), Row::Tracker(Box::new(row))));
    rows
}

/// What is prepared, and what it must say in full.
fn prepared(name: &str) -> (Look, &'static str) {
    let vrrp = |rows: Rows| look(rows, vec![]);
    let checks = |rows: Rows| look(vec![], [ipvs()].into_iter().chain(rows).collect());
    match name {
        "better-master-heard" => (
            vrrp(one(backup("VI_1"))),
            "It is backup because a better master is heard: 10.0.0.2 has priority 150, this router has 100.",
        ),
        "equal-master-heard" => (
            vrrp(one(with_priority(backup("VI_1"), 150, 150))),
            "It is backup because 10.0.0.2 is master with the same priority 150, and among equals the master stays.",
        ),
        "nopreempt" => {
            let mut row = with_priority(backup("VI_1"), 200, 200);
            (row.config.preempt, row.preempt) = (Preempt::Never, false);
            (
                vrrp(one(row)),
                "It is backup because nopreempt is configured: 10.0.0.2 is master with priority 150, less than the 200 of \
                 this router, and keeps its place.",
            )
        }
        "preempt-delay" => {
            let mut row = with_priority(backup("VI_1"), 200, 200);
            row.config.preempt = Preempt::After(Duration::from_secs(300));
            (
                vrrp(one(row)),
                "It is backup because it waits for preempt_delay, 5 min: 10.0.0.2 is master with priority 150, less than \
                 the 200 of this router, and is preempted after that.",
            )
        }
        "priority-lowered" => {
            let mut row = with_priority(backup("VI_1"), 200, 140);
            row.config.tracked_interfaces = vec![track("eth1down", -60), track("eth2", 0)];
            (
                vrrp(one(row)),
                "It is backup because its priority is lowered from 200 to 140: interface eth1down is down and takes 60; \
                 10.0.0.2 is master with priority 150.",
            )
        }
        "not-yet-heard" => (
            vrrp(one(InstanceRow {
                master: None,
                last_advert: None,
                since: ago(2.0),
                reason: Reason::Startup,
                ..backup("VI_1")
            })),
            "It is backup because it was started 2 s ago and no master was heard yet.",
        ),
        "stood-down" => (
            vrrp(one(InstanceRow { stood_down: Some(ago(50.0)), reason: Reason::Commanded, ..backup("VI_1") })),
            "It is backup because an operator stood it down 50 s ago; 10.0.0.2 is master with priority 150.",
        ),
        "sync-group-waits" => {
            let held = InstanceRow { wanted: State::Master, master: None, ..backup("VI_1") };
            (
                vrrp(grouped(held, backup("VI_2"), State::Backup)),
                "It is backup because its sync group G1 waits: its own master is silent, but VI_2 hears 10.0.0.2 with \
                 priority 150.",
            )
        }
        "interface-down" => (
            vrrp(one(fault(Reason::InterfaceDown, "interface eth0 is down"))),
            "It is in fault because interface eth0 is down.",
        ),
        "tracked-interface-down" => {
            let mut row = fault(Reason::InterfaceDown, "tracked interface eth1down is not as required");
            row.config.tracked_interfaces = vec![track("eth1down", 0)];
            (vrrp(one(row)), "It is in fault because interface eth1down, which it tracks with weight 0, is down.")
        }
        "script-lowers" => {
            let row = with_priority(backup("VI_1"), 200, 140);
            (
                vrrp(tracking(row, TrackerKind::Script, -60, Finding::Bad)),
                "It is backup because its priority is lowered from 200 to 140: script it fails and takes 60; \
                 10.0.0.2 is master with priority 150.",
            )
        }
        "script-fails" => (
            vrrp(tracking(fault(Reason::Tracker, "script it fails"), TrackerKind::Script, 0, Finding::Bad)),
            "It is in fault because script it fails (tracked with weight 0).",
        ),
        "file-forbids" => {
            let row = fault(Reason::Tracker, "the number in file it is 3, not 0");
            (
                vrrp(tracking(row, TrackerKind::File, 0, Finding::Count { count: 3, good: false })),
                "It is in fault because the number in file it is 3, not 0 (tracked with weight 0).",
            )
        }
        "process-missing" => {
            let row = fault(Reason::Tracker, "process it misses its quorum, 1 running");
            (
                vrrp(tracking(row, TrackerKind::Process, 0, Finding::Count { count: 1, good: false })),
                "It is in fault because process it misses its quorum, 1 running (tracked with weight 0).",
            )
        }
        "session-down" => (
            vrrp(tracking(fault(Reason::Tracker, "BFD session it is down"), TrackerKind::Bfd, 0, Finding::Bad)),
            "It is in fault because BFD session it is down (tracked with weight 0).",
        ),
        "carried-interface-down" => {
            let text = "interface eth1, which it has addresses, routes or rules on, is down";
            let row = InstanceRow { carried: vec![("eth1".to_owned(), false)], ..fault(Reason::InterfaceDown, text) };
            (
                vrrp(one(row)),
                "It is in fault because interface eth1, which it has addresses, routes or rules on, is down.",
            )
        }
        "group-interface-down" => (
            vrrp(one(fault(Reason::InterfaceDown, "interface eth1, which its track group needs, is down"))),
            "It is in fault because interface eth1, which its track group needs, is down.",
        ),
        "static-route-lost" => (
            vrrp(one(fault(Reason::InterfaceDown, "static route 10.9.0.0/24 was removed and cannot be put back"))),
            "It is in fault because static route 10.9.0.0/24 was removed and cannot be put back.",
        ),
        "static-rule-lost" => (
            vrrp(one(fault(Reason::InterfaceDown, "static rule 500 was removed and cannot be put back"))),
            "It is in fault because static rule 500 was removed and cannot be put back.",
        ),
        "route-missing" => (
            vrrp(one(master("VI_1")).into_iter().chain([route_row(1, 1, true), route_row(1, 2, false)]).collect()),
            "It is master because nothing was heard of the master for 3.6 s, but route 10.2.0.0/16 via 10.0.0.9 is missing.",
        ),
        "rule-missing" => (
            vrrp(one(master("VI_1")).into_iter().chain([rule_row(1, 1, false)]).collect()),
            "It is master because nothing was heard of the master for 3.6 s, but rule 501: from 10.1.0.0/16 lookup 100 is \
             missing.",
        ),
        "script-awaited" => {
            let row = InstanceRow { state: State::Init, reason: Reason::Startup, master: None, ..backup("VI_1") };
            (
                vrrp(tracking(row, TrackerKind::Script, 0, Finding::Unknown)),
                "It takes no part yet because it waits for the first word of script it.",
            )
        }
        "no-source-address" => (
            vrrp(one(fault(Reason::SourceMissing, "no source address for adverts"))),
            "It is in fault because there is no source address for adverts.",
        ),
        "no-peers" => {
            let mut row = fault(Reason::NoPeers, "no unicast peers");
            row.config.transport = unicast(vec![]);
            (vrrp(one(row)), "It is in fault because there are no unicast peers, and unicast_fault_no_peer is set.")
        }
        "sync-group-fault" => {
            let first = InstanceRow { faults: vec![], ..fault(Reason::SyncGroup, "") };
            let mut second = fault(Reason::InterfaceDown, "interface eth1 is down");
            second.config.name = "VI_2".into();
            (
                vrrp(grouped(first, second, State::Fault)),
                "It is in fault because another member of its sync group G1 is: VI_2 is in fault, interface eth1 is down.",
            )
        }
        "master-fell-silent" => {
            (vrrp(one(master("VI_1"))), "It is master because nothing was heard of the master for 3.6 s.")
        }
        "master-resigned" => (
            vrrp(one(InstanceRow { reason: Reason::MasterResigned, ..master("VI_1") })),
            "It is master because the master resigned: it advertised priority 0.",
        ),
        "weaker-preempted" => (
            vrrp(one(InstanceRow { reason: Reason::Preempted, ..master("VI_1") })),
            "It is master because a master of a lower priority was heard, and this router has 100.",
        ),
        "owner" => (
            vrrp(one(with_priority(InstanceRow { reason: Reason::Preempted, ..master("VI_1") }, 255, 255))),
            "It is master because it owns the addresses: its priority is 255.",
        ),
        "two-masters" => {
            let other_master = Some(OtherMaster { address: ip("10.0.0.3"), priority: 50, at: ago(1.2) });
            (
                vrrp(one(InstanceRow { other_master, ..master("VI_1") })),
                "Two routers are master: 10.0.0.3 advertised priority 50 1 s ago, while this one is master with 100 because \
                 nothing was heard of the master for 3.6 s.",
            )
        }
        "address-missing" => (
            vrrp(instance_rows(master("VI_1"), &[("192.0.2.10", true), ("192.0.2.11", false)])),
            "It is master because nothing was heard of the master for 3.6 s, but 192.0.2.11/24 on eth0 is missing.",
        ),
        "startup-delay" => {
            let row = InstanceRow { state: State::Init, reason: Reason::Startup, master: None, ..backup("VI_1") };
            let mut rows = vec![global(|global| global.startup_delay_ns = 30_000_000_000)];
            rows.extend(one(row));
            (vrrp(rows), "It takes no part yet because it waits for vrrp_startup_delay, 30 s.")
        }
        "http-status" => (
            checks(pool(1).fails(1, "HTTP status 503").rows()),
            "It is down because a check does not pass: HTTP_GET of 10.0.0.11:80: HTTP status 503 instead of 200, asked for /health of \
             www.example.com.",
        ),
        "connection-refused" => (
            checks(pool(1).fails(1, "connection refused").rows()),
            "It is down because a check does not pass: HTTP_GET of 10.0.0.11:80: connection refused, asked for /health of www.example.com.",
        ),
        "not-yet-checked" => {
            let mut pool = pool(1).fails(1, "");
            pool.servers[0].checkers[0].has_run = false;
            (
                checks(pool.rows()),
                "It is down because a check does not pass: HTTP_GET of 10.0.0.11:80 has not run yet and counts as failed.",
            )
        }
        "drained" => {
            let mut pool = pool(1);
            (pool.servers[0].overridden, pool.servers[0].weight) = (true, 0);
            (
                checks(pool.rows()),
                "It is drained by an operator: its weight is 0 instead of the configured 1, so that it gets no new \
                 connections; 3 active are left.",
            )
        }
        "sorry-server-instead" => (
            checks(pool(1).fails(2, "connection refused").quorum_lost(4).rows()),
            "It is up, and gets no connections: the quorum is lost, and the sorry server serves.",
        ),
        "quorum-lost" => (
            checks(pool(1).fails(2, "connection refused").quorum_lost(4).rows()),
            "Its quorum is lost because real servers of weight 3 are up and 4 is needed (HTTP_GET of \
             10.0.0.12:80: connection refused, asked for /health of www.example.com); sorry server 10.0.9.9:80 serves.",
        ),
        other => panic!("{other} is not prepared"),
    }
}

fn asked(look: &Look, kind: Kind) -> Explanation {
    match kind {
        Kind::Instance => instance(look, "VI_1").unwrap(),
        Kind::RealServer => real_server(look, "10.0.0.11:80", None).unwrap(),
        Kind::VirtualServer => virtual_server(look, "192.0.2.10:80").unwrap(),
    }
}

#[test]
fn every_situation_names_its_cause() {
    let mut wrong = Vec::new();
    for situation in SITUATIONS {
        let (look, expected) = prepared(situation.name);
        let explanation = asked(&look, situation.of);
        if explanation.because != expected {
            wrong.push(format!("{}: {}\n  expected {expected}", situation.name, explanation.because));
        }
        if explanation.state != situation.state {
            wrong.push(format!("{}: {}", situation.name, explanation.state));
        }
        for word in situation.says.iter().filter(|word| !explanation.because.contains(**word)) {
            wrong.push(format!("{}: does not say `{word}`: {}", situation.name, explanation.because));
        }
        assert!(!explanation.hints.is_empty(), "{} has no hint", situation.name);
        assert!(explanation.evidence.len() >= 3, "{} has no evidence", situation.name);
        assert!(explanation.since > 1_795_000_000.0, "{} has no time", situation.name);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_moment_is_promised_that_only_the_engine_knows() {
    let (look, _) = prepared("preempt-delay");
    let hints = instance(&look, "VI_1").unwrap().hints;
    assert_eq!(hints[0], "it takes over when the delay has passed since the first advert of a weaker master");
    assert!(hints.iter().all(|hint| !hint.contains("UTC")), "{hints:?}");
}

#[test]
fn situations_have_names_of_their_own() {
    let names: std::collections::BTreeSet<_> = SITUATIONS.iter().map(|situation| situation.name).collect();
    assert_eq!(names.len(), SITUATIONS.len());
    assert!(names.len() >= 10);
}

#[test]
fn evidence_has_the_figures_that_the_answer_follows_from() {
    let mut row = with_priority(backup("VI_1"), 200, 140);
    row.config.tracked_interfaces = vec![track("eth1down", -60), track("eth2", 0)];
    row.counters.auth_failures = 12;
    let explanation = instance(&look(one(row), vec![]), "VI_1").unwrap();
    let expected = [
        "backup since 2026-11-21 13:23:17 UTC (1 min): 10.0.0.2 was heard with priority 150, and this router has 140",
        "priority 140: base 200, interface eth1down -60",
        "tracks interface eth1down: down, weight -60: -60 to the priority",
        "tracks interface eth2: up, weight 0: nothing",
        "last advert heard less than a second ago, from 10.0.0.2 with priority 150",
        "master down interval 3.609 s: 3 missed adverts of 1 s and a skew of 453 ms (VRRPv2)",
        "1 of 1 address on the interface",
        "adverts refused since the instance exists: 12 for password",
    ];
    assert_eq!(explanation.evidence, expected);
    assert_eq!(explanation.hints[0], "with nothing taken from it, its priority 200 would be more than 150");
}

#[test]
fn a_word_is_an_instance_or_a_virtual_server_or_a_real_server() {
    let checks = [ipvs()].into_iter().chain(pool(1).rows()).chain(pool(2).rows()).collect();
    let look = look(one(backup("VI_1")), checks);
    let subject = |name, service| any(&look, name, service).map(|explanation| explanation.subject);
    assert_eq!(subject("VI_1", None), Ok("vrrp VI_1".to_owned()));
    assert_eq!(subject("192.0.2.10:80", None), Ok("virtual server 192.0.2.10:80/tcp".to_owned()));
    let of = Some("192.0.2.11:80/tcp");
    assert_eq!(subject("10.0.0.11", of), Ok("real server 10.0.0.11:80 of 192.0.2.11:80/tcp".to_owned()));
    let Err(ExplainError::Ambiguous { candidates, .. }) = subject("10.0.0.11", None) else { panic!("it is of two") };
    assert_eq!(candidates.len(), 2);
    let nobody =
        Err(ExplainError::NotFound("no VRRP instance, virtual server or real server is called VI_9".to_owned()));
    assert_eq!(subject("VI_9", None), nobody);
    let nothing = crate::export::Look::default();
    assert!(matches!(instance(&nothing, "VI_1"), Err(ExplainError::Unavailable(_))));
    assert!(matches!(real_server(&nothing, "10.0.0.1", None), Err(ExplainError::Unavailable(_))));
}
