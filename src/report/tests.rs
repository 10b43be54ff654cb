//! The documents say what the rows say.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::fixture::{self, ago, backup, instance_rows, ip, look, master, pool, route_row, rule_row, track};
use super::*;
use crate::bus::msg::Source;
use crate::bus::rows::{Finding, OtherMaster, Reason, Row, State};
use crate::clock::{Instant, WallTime};
use crate::conf::model::{Config, Location, Notify, SyncGroup, TrackedInterface};
use crate::export::Look;
use crate::mib::fixture as mib;
use crate::store::Store;
use crate::vrrp::engine::{Engine, EngineOptions};
use crate::vrrp::io::{HostAddress, Input, Link};

fn only(row: crate::bus::rows::InstanceRow, addresses: &[(&str, bool)]) -> InstanceReport {
    vrrp(&look(instance_rows(row, addresses), vec![])).instances.remove(0)
}

fn tracked_line() -> impl Strategy<Value = TrackedInterface> {
    (0..4usize, prop_oneof![Just(0i16), -253i16..=253], any::<bool>())
        .prop_map(|(at, weight, reverse)| TrackedInterface { interface: format!("eth{at}"), weight, reverse })
}

/// What the engine itself says of an instance that tracks these, on a host with these interfaces.
fn as_the_engine_sees_it(
    base: u8,
    own: Vec<TrackedInterface>,
    shared: Vec<TrackedInterface>,
    links: [Option<bool>; 4],
) -> Look {
    let mut instance = backup("VI_1").config;
    instance.priority = fixture::priority(base);
    instance.track_primary = false;
    instance.tracked_interfaces = own;
    let group = SyncGroup {
        location: Location::default(),
        name: "G".to_owned(),
        members: vec!["VI_1".into()],
        tracking_weight: false,
        tracks: vec![],
        tracked_interfaces: shared,
        notify: Notify::default(),
        smtp_alert: false,
    };
    instance.sync_group = Some("G".to_owned());
    let config = Config { instances: vec![instance], sync_groups: vec![group], ..Config::default() };
    let now = Instant::from_nanos(1_000_000_000);
    let mut engine = Engine::new(&config, EngineOptions::default(), now, WallTime(fixture::NOW.0));
    let mut out = Vec::new();
    for (at, up) in (0u32..).zip(links) {
        let Some(up) = up else { continue };
        let link = Link {
            index: at + 2,
            name: format!("eth{at}"),
            admin_up: up,
            running: up,
            loopback: false,
            multicast: true,
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            vrf: None,
        };
        engine.handle(Input::Link(link), now, &mut out);
    }
    let address = HostAddress { interface: 2, address: ip("10.0.0.1"), prefix: 24, secondary: false, tentative: false };
    engine.handle(Input::HostAddress(address), now, &mut out);
    engine.handle(Input::Wake, now, &mut out);
    let rows: Vec<_> = engine.keys().into_iter().filter_map(|key| Some((key.clone(), engine.row(&key)?))).collect();
    let mut store = Store::new();
    mib::commit_from(&mut store, Source::Vrrp, 1, true, rows);
    Look { at: fixture::NOW, snapshot: store.snapshot(), ..Look::default() }
}

proptest! {
    #[test]
    fn what_trackers_add_and_take_gives_the_priority_that_the_engine_advertises(
        base in 1u8..=255,
        own in proptest::collection::vec(tracked_line(), 0..4),
        shared in proptest::collection::vec(tracked_line(), 0..3),
        links in proptest::array::uniform4(proptest::option::of(any::<bool>())),
    ) {
        // One line for each interface, as the configuration has it.
        let single = |mut lines: Vec<TrackedInterface>| {
            let mut seen = std::collections::BTreeSet::new();
            lines.retain(|line| seen.insert(line.interface.clone()));
            lines
        };
        let look = as_the_engine_sees_it(base, single(own), single(shared), links);
        let report = vrrp(&look).instances.remove(0);
        let adds: i32 = report.tracked.iter().map(|it| it.adds).sum();
        let expected = if base == 255 { 255 } else { (i32::from(base) + adds).clamp(1, 254) };
        prop_assert_eq!(i32::from(report.priority.effective), expected);
        let faults = report.tracked.iter().filter(|it| it.faults).count();
        prop_assert_eq!(faults, report.faults.iter().filter(|fault| fault.starts_with("tracked ")).count());
    }
}

#[test]
fn a_silence_is_told_as_long_as_it_was() {
    assert_eq!(only(master("VI_1"), &[]).reason, "nothing was heard of the master for 3.6 s");
    let alone = crate::bus::rows::InstanceRow { last_advert: None, ..master("VI_1") };
    assert_eq!(only(alone, &[]).reason, "no other master was heard for 3.609 s");
    // The last advert was of another age: the instance listened only for the master down interval.
    let later = crate::bus::rows::InstanceRow { last_advert: Some(ago(4_000.0)), ..master("VI_1") };
    assert_eq!(only(later, &[]).reason, "no other master was heard for 3.609 s");
}

#[test]
fn a_better_master_is_told_with_both_priorities() {
    let report = only(backup("VI_1"), &[]);
    assert_eq!(report.reason, "10.0.0.2 was heard with priority 150, and this router has 100");
    assert_eq!(
        report.master,
        Some(MasterReport { address: "10.0.0.2".into(), priority: 150, at: Some(1_795_267_456.6) })
    );
}

#[test]
fn another_master_counts_while_it_is_recent_and_this_router_is_master() {
    let heard = |state, seconds| {
        let other_master = Some(OtherMaster { address: ip("10.0.0.3"), priority: 50, at: ago(seconds) });
        only(crate::bus::rows::InstanceRow { state, other_master, ..master("VI_1") }, &[]).other_master.is_some()
    };
    assert!(heard(State::Master, 0.5));
    assert!(heard(State::Master, 3.6));
    assert!(!heard(State::Master, 3.7));
    assert!(!heard(State::Backup, 0.5));
    // Before this router became master, a minute ago, the other one was the master, and rightly.
    assert!(!heard(State::Master, 61.0));
}

#[test]
fn addresses_are_wanted_on_a_master_only() {
    let of = |row| only(row, &[("192.0.2.10", true), ("192.0.2.11", false)]).addresses;
    let flags = |addresses: Vec<AddressReport>| addresses.iter().map(|it| (it.wanted, it.present)).collect::<Vec<_>>();
    assert_eq!(of(master("VI_1"))[0].address, "192.0.2.10/24");
    assert_eq!(flags(of(master("VI_1"))), [(true, true), (true, false)]);
    assert_eq!(flags(of(backup("VI_1"))), [(false, true), (false, false)]);
}

#[test]
fn routes_and_rules_are_wanted_of_a_master_and_static_ones_always() {
    let of = |row: crate::bus::rows::InstanceRow| {
        let mut rows = instance_rows(row, &[]);
        rows.extend([route_row(1, 1, true), route_row(1, 2, false), rule_row(1, 1, true), route_row(0, 1, false)]);
        look(rows, vec![])
    };
    let flags = |look: &Look| {
        let instance = vrrp(look).instances.remove(0);
        let routes = instance.routes.iter().map(|it| (it.wanted, it.present)).collect::<Vec<_>>();
        (routes, instance.rules.iter().map(|it| (it.rule.clone(), it.wanted, it.present)).collect::<Vec<_>>())
    };
    let rule = |wanted| vec![("501: from 10.1.0.0/16 lookup 100".to_owned(), wanted, true)];
    assert_eq!(flags(&of(master("VI_1"))), (vec![(true, true), (true, false)], rule(true)));
    assert_eq!(flags(&of(backup("VI_1"))), (vec![(false, true), (false, false)], rule(false)));
    let statics = vrrp(&of(backup("VI_1"))).statics;
    let [route] = &statics.routes[..] else { panic!("one static route: {statics:?}") };
    assert_eq!((route.route.as_str(), route.wanted, route.present), ("10.1.0.0/16 via 10.0.0.9", true, false));
    let lines = |look: &Look| {
        let troubles = status(look, "lb1").troubles;
        troubles.into_iter().map(|it| format!("{}: {}", it.subject, it.text)).collect::<Vec<_>>()
    };
    let expected = [
        "vrrp VI_1: it is master without route 10.2.0.0/16 via 10.0.0.9",
        "static routes and rules: not in the kernel: route 10.1.0.0/16 via 10.0.0.9",
    ];
    assert_eq!(lines(&of(master("VI_1"))), expected);
    assert_eq!(lines(&of(backup("VI_1"))), expected[1..]);
}

#[test]
fn a_route_that_anybody_may_remove_is_no_trouble() {
    let (key, Row::Route(mut route)) = route_row(1, 1, false) else { panic!("a route") };
    route.config.no_track = true;
    let rows = instance_rows(master("VI_1"), &[]).into_iter().chain([(key, Row::Route(route))]).collect();
    let look = look(rows, vec![]);
    assert!(vrrp(&look).instances[0].routes[0].no_track);
    assert_eq!(status(&look, "lb1").troubles, []);
}

#[test]
fn each_tracker_is_told_with_its_state_its_weight_and_who_tracks_it() {
    let trackers = vrrp(&fixture::busy()).trackers;
    let [script] = &trackers[..] else { panic!("one tracker: {trackers:?}") };
    assert_eq!((script.kind.as_str(), script.name.as_str(), script.up), ("script", "chk_spare", None));
    assert_eq!((script.weight, script.reverse, script.tracked_by.join(",").as_str()), (-40, false, "VI_OUTSIDE"));
    let runs = script.runs.as_ref().unwrap();
    assert_eq!((runs.success, runs.failure, runs.timeout, runs.took), (7, 2, 1, 0.0125));
    let value = |finding| {
        let rows = vec![fixture::script_row(1, "s", finding)];
        let tracker = vrrp(&look(rows, vec![])).trackers.remove(0);
        (tracker.up, tracker.value)
    };
    assert_eq!(value(Finding::Good), (Some(true), None));
    assert_eq!(value(Finding::Bad), (Some(false), None));
    assert_eq!(value(Finding::Count { count: 3, good: false }), (Some(false), Some(3)));
}

#[test]
fn sessions_are_told_with_times_in_seconds_and_what_took_them_down() {
    let look = fixture::busy();
    let sessions = bfd(&look).sessions;
    assert_eq!(sessions, status(&look, "lb1").bfd);
    let [core, edge] = &sessions[..] else { panic!("two sessions: {sessions:?}") };
    assert_eq!((core.state.as_str(), core.diagnostic.as_str()), ("down", "control detection time expired"));
    assert_eq!((edge.state.as_str(), edge.diagnostic.as_str()), ("up", ""));
    assert_eq!((edge.interval, edge.detection_time, edge.since), (0.0125, Some(0.06), 1_795_267_450.0));
    assert_eq!((edge.counters.sent, edge.counters.timeouts, edge.counters.went_down), (10, 2, 2));
    assert_eq!((edge.neighbour.as_str(), edge.tracked_by.len()), ("10.0.0.2", 0));
}

#[test]
fn a_tracked_interface_that_does_not_exist_is_down() {
    let mut row = backup("VI_1");
    row.config.tracked_interfaces = vec![track("eth9gone", -30), track("eth1", 10), track("eth2down", 0)];
    let tracked = only(row, &[]).tracked;
    let figures: Vec<_> = tracked.iter().map(|it| (it.up, it.adds, it.faults)).collect();
    assert_eq!(figures, [(Some(false), -30, false), (Some(true), 10, false), (Some(false), 0, true)]);
}

#[test]
fn nothing_is_to_look_at_where_all_is_well() {
    let status = status(&fixture::calm(), "lb1");
    assert_eq!(status.troubles, []);
    assert!(status.daemon.processes.iter().all(|process| process.up), "{:?}", status.daemon.processes);
    assert_eq!(page::headline(&status), "2 instances, 1 master; 8 of 8 real servers up; nothing to look at");
}

#[test]
fn troubles_are_told_the_worst_first() {
    let troubles = status(&fixture::busy(), "lb1").troubles;
    let lines: Vec<String> =
        troubles.iter().map(|it| format!("{:?} {}: {}", it.severity, it.subject, it.text)).collect();
    let expected = [
        "Critical vrrp VI_OUTSIDE: two masters: 10.0.0.3 advertises priority 50 while this router is master with 120",
        "Critical vrrp VI_OUTSIDE: it is master without 192.0.2.11/24 on the interface",
        "Critical virtual server 192.0.2.11:80/tcp: quorum lost: weight 2 of 3 needed, 2 of 4 real servers up; sorry server \
         10.0.9.9:80 serves",
        "Warning bfd B_CORE: down to 10.0.0.2: control detection time expired",
        "Warning vrrp VI_INSIDE: adverts of 10.0.0.66 are refused: its password is not the configured one",
        "Warning vrrp VI_STORAGE: in fault: interface eth3 is down",
        "Warning real server 10.0.0.12:80 of 192.0.2.10:80/tcp: down: HTTP_GET of 10.0.0.12:80: HTTP status 503 instead of \
         200, asked for /health of www.example.com",
        "Warning real server 10.0.0.11:80 of 192.0.2.11:80/tcp: down: HTTP_GET of 10.0.0.11:80: connection refused, asked \
         for /health of www.example.com",
        "Warning real server 10.0.0.12:80 of 192.0.2.11:80/tcp: down: HTTP_GET of 10.0.0.12:80: timed out after 5s \
         connecting, asked for /health of www.example.com",
        "Warning configuration: the configuration file was refused, the one before is in force: error: expected a router \
         id from 1 to 255, found `300`",
        "Warning static routes and rules: not in the kernel: route 10.1.0.0/16 via 10.0.0.9",
        "Info agentx: no session with the master agent at unix:/var/agentx/master: connection refused",
        "Info real server 10.0.0.14:80 of 192.0.2.12:80/tcp: drained by an operator",
    ];
    assert_eq!(lines, expected);
    assert!(
        troubles
            .iter()
            .all(|it| it.since.is_some() || it.subject.starts_with("real server") || it.subject.starts_with("static "))
    );
}

#[test]
fn a_process_that_is_silent_or_gone_is_a_trouble() {
    let mut look = fixture::calm();
    let mut daemon = (*look.daemon).clone();
    daemon.processes.retain(|process| process.name != "runner");
    daemon.processes[1].pid = 0;
    look.daemon = Arc::new(daemon);
    look.checks_connected = false;
    look.rrd = None;
    let status = status(&look, "lb1");
    let up: Vec<_> = status.daemon.processes.iter().map(|it| (it.report.name.as_str(), it.up)).collect();
    let expected =
        [("supervisor", true), ("vrrp", false), ("checks", false), ("bridge", true), ("rrd", false), ("runner", false)];
    assert_eq!(up, expected);
    let texts: Vec<_> = status.troubles.iter().map(|it| (it.subject.as_str(), it.text.as_str())).collect();
    let expected = [
        ("process vrrp", "it does not run"),
        ("process checks", "it is not connected to the bridge"),
        ("process runner", "it does not run"),
        ("process rrd", "it is not connected to the bridge"),
    ];
    assert_eq!(texts, expected);
}

#[test]
fn a_process_that_does_not_write_its_history_is_stuck() {
    let mut look = fixture::calm();
    let up = |look: &Look| status(look, "lb1").daemon.processes.iter().find(|it| it.report.name == "rrd").unwrap().up;
    assert!(up(&look));
    Arc::make_mut(look.rrd.as_mut().unwrap()).stuck_since = Some(ago(90.0));
    assert!(!up(&look));
    let troubles = status(&look, "lb1").troubles;
    assert_eq!(troubles[0].text, "it has not written in 1 min 30 s what it was given");
}

#[test]
fn a_process_whose_pulse_stops_is_stuck_after_its_patience_and_a_new_one_is_waited_for() {
    let stepped = |seconds: f64, started: f64, step: i64| {
        let mut look = fixture::calm();
        look.now = fixture::HEARD + std::time::Duration::from_secs_f64(seconds);
        look.at = WallTime(look.at.0.saturating_add_signed(step));
        let mut daemon = (*look.daemon).clone();
        daemon.processes[3].started = ago(started);
        look.daemon = Arc::new(daemon);
        status(&look, "lb1").daemon.processes[3].up
    };
    let up = |seconds, started| stepped(seconds, started, 0);
    const HOUR: i64 = 3_600_000_000_000;
    assert!(stepped(4.9, 100.0, HOUR), "the wall clock was put forth");
    assert!(!stepped(5.1, 100.0, -HOUR), "the wall clock was put back");
    assert!(up(4.9, 100.0));
    assert!(!up(5.1, 100.0));
    assert!(up(5.1, 4.0));
}

#[test]
fn events_are_asked_for_by_their_numbers_and_numbers_that_began_anew_are_noticed() {
    let look = fixture::busy();
    let numbers = |since| events(&look, since).events.iter().map(|it| it.number).collect::<Vec<_>>();
    assert_eq!(numbers(0), [7, 8, 9, 10, 11, 12]);
    assert_eq!(numbers(11), [11, 12]);
    assert_eq!(numbers(13), [0; 0]);
    assert_eq!(events(&look, 0).next, 13);
    assert_eq!(numbers(4000), [7, 8, 9, 10, 11, 12]);
    let texts: Vec<_> =
        events(&look, 8).events.iter().map(|it| format!("{} {}: {}", it.kind, it.subject, it.text)).collect();
    let expected = [
        "transition vrrp VI_OUTSIDE: backup to master: nothing was heard of a master",
        "transition vrrp VI_STORAGE: backup to fault: an interface is not as required",
        "real-server real server 10.0.0.11:80 of 192.0.2.11:80/tcp: down: HTTP_GET: connection refused; 3 of 4 up",
        "quorum virtual server 192.0.2.11:80/tcp: lost its quorum of 3; 2 of 4 servers up",
        "bad-packet vrrp VI_INSIDE: refused an advert from 10.0.0.66: its password is not the configured one; 4 more before it",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn checkers_are_listed_with_what_they_ask() {
    let checks = [fixture::ipvs()].into_iter().chain(pool(1).fails(1, "HTTP status 503").rows()).collect();
    let report = checkers(&look(vec![], checks));
    assert_eq!(report.checkers.len(), 4);
    let first = &report.checkers[0];
    assert_eq!((first.service.as_str(), first.server.as_str()), ("192.0.2.10:80/tcp", "10.0.0.11:80"));
    assert_eq!((first.asks.as_str(), first.wants.as_str()), ("/health of www.example.com", "status 200"));
    assert_eq!((first.up, first.error.as_str(), first.took), (false, "HTTP status 503", 0.00321));
}

#[test]
fn reasons_are_in_words_for_every_state_that_an_instance_can_be_in() {
    let reasons = [
        Reason::Startup,
        Reason::MasterNoResponse,
        Reason::MasterResigned,
        Reason::Preempted,
        Reason::HigherPriorityHeard,
        Reason::InterfaceDown,
        Reason::InterfaceUp,
        Reason::SourceMissing,
        Reason::NoPeers,
        Reason::Commanded,
        Reason::Reload,
        Reason::Shutdown,
        Reason::LateTimer,
        Reason::SyncGroup,
        Reason::Tracker,
    ];
    for reason in reasons {
        for state in [State::Init, State::Backup, State::Master, State::Fault] {
            let report = only(crate::bus::rows::InstanceRow { state, reason, ..backup("VI_1") }, &[]);
            assert!(report.reason.len() > 10 && !report.reason.ends_with('.'), "{}", report.reason);
        }
    }
}

/// Where a document says what its schema does not, or the other way round. Only as much of JSON Schema as the file uses.
#[cfg(feature = "daemon")]
fn differs(
    schema: &serde_json::Value,
    root: &serde_json::Value,
    value: &serde_json::Value,
    at: &str,
    found: &mut Vec<String>,
) {
    if let Some(name) = schema["$ref"].as_str() {
        let definition = root.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is not defined"));
        return differs(definition, root, value, at, found);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let branch = any.iter().find(|it| (it["type"] == "null") == value.is_null()).expect("null, or not");
        return differs(branch, root, value, at, found);
    }
    let is = match schema["type"].as_str().unwrap_or_default() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "null" => value.is_null(),
        _ => false,
    };
    if !is || schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
        found.push(format!("{at} is {value}"));
    }
    if let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object()) {
        found.extend(
            object
                .keys()
                .filter(|name| !properties.contains_key(*name))
                .map(|name| format!("{at}.{name} is not in the schema")),
        );
        let required = schema["required"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
        found.extend(
            required
                .filter(|name| !object.contains_key(*name))
                .map(|name| format!("{at}.{name} is not in the document")),
        );
        for (name, value) in object {
            differs(
                properties.get(name).unwrap_or(&serde_json::Value::Null),
                root,
                value,
                &format!("{at}.{name}"),
                found,
            );
        }
    }
    for (number, value) in value.as_array().into_iter().flatten().enumerate() {
        let schema = schema["prefixItems"].get(number).unwrap_or(&schema["items"]);
        differs(schema, root, value, &format!("{at}[{number}]"), found);
    }
}

#[test]
fn rows_of_a_process_that_does_not_answer_are_shown_as_what_they_are() {
    let speaking = fixture::busy();
    let silences = |look: &Look| (vrrp(look).silent, ipvs(look).silent);
    assert_eq!(silences(&speaking), (None, None));
    // Stopped: connected still, and its heart does not beat.
    let (at, now) = (WallTime(speaking.at.0 + 60 * fixture::SECOND), speaking.now + Duration::from_secs(60));
    let later = Look { at, now, ..speaking.clone() };
    let (of_vrrp, of_checks) = silences(&later);
    assert_eq!(of_vrrp.unwrap(), "vrrp does not answer, heard last 2026-11-21 13:24:16 UTC (1 min 1 s ago)");
    assert!(of_checks.unwrap().starts_with("checks does not answer, heard last "));
    // Killed: from that moment on, and while the next one starts.
    let ended = Look { checks_connected: false, ..speaking.clone() };
    assert!(silences(&ended).1.unwrap().starts_with("checks is not connected, heard last "));
    let mut young = ended.clone();
    for process in &mut Arc::make_mut(&mut young.daemon).processes {
        (process.pid, process.started) = if process.name == "checks" { (0, young.at) } else { (1, young.at) };
    }
    assert!(silences(&young).1.unwrap().starts_with("checks does not run, heard last "));
    // Nobody wants one, and there is none.
    assert_eq!(silences(&Look::default()), (None, None));
    let mut starting = Look::default();
    Arc::make_mut(&mut starting.daemon).wanted = vec!["checks".to_owned()];
    assert_eq!(silences(&starting), (None, Some("checks does not run".to_owned())));
}

#[cfg(feature = "daemon")]
#[test]
fn documents_are_as_their_schema_says() {
    let root: serde_json::Value = serde_json::from_str(include_str!("../../docs/api.schema.json")).unwrap();
    let mut found = Vec::new();
    for look in [fixture::busy(), fixture::calm(), Look::default()] {
        let documents = [
            ("Status", serde_json::to_value(status(&look, "lb1"))),
            ("VrrpReport", serde_json::to_value(vrrp(&look))),
            ("BfdReport", serde_json::to_value(bfd(&look))),
            ("IpvsReport", serde_json::to_value(ipvs(&look))),
            ("CheckersReport", serde_json::to_value(checkers(&look))),
            ("EventsReport", serde_json::to_value(events(&look, 0))),
        ];
        let explained = explain::instance(&look, "VI_INSIDE").ok();
        let explained = explained.map(|explanation| ("Explanation", serde_json::to_value(explanation)));
        for (name, document) in documents.into_iter().chain(explained) {
            differs(&root["$defs"][name], &root, &document.unwrap(), name, &mut found);
        }
    }
    for plan in [PlanReport::default(), full_plan()] {
        differs(&root["$defs"]["PlanReport"], &root, &serde_json::to_value(plan).unwrap(), "PlanReport", &mut found);
    }
    found.dedup();
    assert_eq!(found, [""; 0], "docs/api.schema.json is to be mended");
    // Whoever reads one of them finds it.
    for name in ["PlanReport", "Status"] {
        let reference = serde_json::json!({ "$ref": format!("#/$defs/{name}") });
        assert!(root["anyOf"].as_array().unwrap().contains(&reference), "{name}");
    }
}

/// A plan that leaves nothing out.
#[cfg(feature = "daemon")]
fn full_plan() -> PlanReport {
    use crate::bus::msg::DriftReport;
    use plan::{Action, PlannedChange, PlannedConsequence, PlannedValue};
    let text = || "text".to_owned();
    let values = [(Some(text()), None), (None, Some(text()))];
    let values = values.map(|(old, new)| PlannedValue { directive: text(), old, new });
    let change = |action| PlannedChange {
        kind: text(),
        name: text(),
        service: Some(text()),
        action,
        values: values.to_vec(),
        text: text(),
    };
    let kinds = ["mastership", "address", "virtual-server", "real-server", "restart"];
    let consequence =
        |kind: &str| PlannedConsequence { kind: kind.to_owned(), name: text(), refuses: true, text: text() };
    PlanReport {
        changes: [Action::Added, Action::Removed, Action::Changed, Action::Reordered].map(change).to_vec(),
        consequences: kinds.map(consequence).to_vec(),
        safe: true,
        warnings: 1,
        errors: text(),
        drift: DriftReport { lines: vec![text()], more: 1 },
    }
}
