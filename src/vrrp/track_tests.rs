//! Sentences about what trackers do to instances and sync groups, and when.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::engine::{Engine, EngineOptions};
use super::engine_tests::{
    Bench, ETH0, ETH1, OURS, VIP, WALL, address, at_ms, config, edges, instance, link, logs, moves, on_host, sent,
};
use super::io::{Input, Output};
use crate::bus::msg::Edge;
use crate::bus::rows::{Finding, Reason, Row, RowKey, State, TrackerRuns};
use crate::conf::model::{
    Config, Instance, InterfaceDelays, Location, Notify, SyncGroup, Track, TrackBfd, TrackCommand, TrackFile,
    TrackProcess, TrackScript, TrackedInterface, TrackerKind, Trackers,
};

const VIP2: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 100));
const OURS2: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1));

fn script(name: &str) -> TrackScript {
    TrackScript {
        location: Location::default(),
        name: name.to_owned(),
        command: TrackCommand::Opens("/dev/null".to_owned()),
        interval_us: 1_000_000,
        timeout_us: 0,
        weight: 0,
        reverse: false,
        rise: 1,
        fall: 1,
        init_fail: false,
    }
}

fn trackers() -> Trackers {
    let (location, name) = (Location::default(), "it".to_owned());
    Trackers {
        scripts: vec![script("it"), script("other")],
        files: vec![file(&location, &name)],
        other_files: Vec::new(),
        processes: vec![TrackProcess {
            location: location.clone(),
            name: name.clone(),
            path: "it".to_owned(),
            parameters: vec![],
            parameter_match: crate::conf::model::ParameterMatch::None,
            full_command: false,
            weight: 0,
            reverse: false,
            quorum: 1,
            quorum_max: None,
            fork_delay_us: 0,
            terminate_delay_us: 0,
        }],
        bfds: vec![TrackBfd { location, name, weight: 0, reverse: false }],
    }
}

fn file(location: &Location, name: &str) -> TrackFile {
    TrackFile {
        location: location.clone(),
        name: name.to_owned(),
        path: "/it".to_owned(),
        weight: 1,
        reverse: false,
        init: None,
    }
}

fn track(kind: TrackerKind, weight: i32) -> Track {
    Track { kind, name: "it".to_owned(), weight, reverse: false }
}

fn tracking(tracks: Vec<Track>) -> Config {
    Config { trackers: trackers(), ..config(vec![Instance { tracks, ..instance("VI_1", 51, VIP) }]) }
}

fn found(kind: TrackerKind, finding: Finding) -> Input<'static> {
    Input::Found { kind, name: "it".to_owned(), finding, runs: TrackerRuns::default() }
}

fn script_is(finding: Finding) -> Input<'static> {
    found(TrackerKind::Script, finding)
}

fn number(count: i64) -> Input<'static> {
    found(TrackerKind::File, Finding::Count { count, good: true })
}

fn effective(bench: &Bench, name: &str) -> u8 {
    bench.row(name).effective_priority.get()
}

/// Started, and told of the tracker then.
fn started(config: &Config, first: Input<'static>) -> Bench {
    let (mut bench, _) = Bench::started(config);
    bench.say(first, 1);
    bench
}

#[test]
fn an_instance_waits_in_init_for_the_first_result_of_a_script_without_a_weight() {
    let (mut bench, out) = Bench::started(&tracking(vec![track(TrackerKind::Script, 0)]));
    assert_eq!(edges(&out), vec![]);
    assert_eq!(bench.row("VI_1").state, State::Init);
    assert_eq!(bench.engine.deadline(), None, "nothing is due while it waits");
    assert_eq!(edges(&bench.say(script_is(Finding::Unknown), 500)), vec![]);
    let out = bench.say(script_is(Finding::Good), 2000);
    assert_eq!(edges(&out), [(State::Init, State::Backup, Reason::Startup)]);
    let (_, at) = bench.until_master();
    assert_eq!(at.nanos(), 2_000_000_000 + 3_609_375_000, "the silence is measured from when it began to listen");
}

#[test]
fn an_instance_whose_script_fails_at_first_goes_from_init_to_fault() {
    let (mut bench, _) = Bench::started(&tracking(vec![track(TrackerKind::Script, 0)]));
    let out = bench.say(script_is(Finding::Bad), 2000);
    assert_eq!(edges(&out), [(State::Init, State::Fault, Reason::Tracker)]);
    assert!(logs(&out).contains(&"(VI_1) script it fails"), "{:?}", logs(&out));
    assert_eq!(bench.row("VI_1").faults, ["script it fails"]);
    let out = bench.say(script_is(Finding::Good), 3000);
    assert_eq!(edges(&out), [(State::Fault, State::Backup, Reason::Tracker)]);
}

#[test]
fn a_script_with_init_fail_is_awaited_as_any_other_and_its_weight_counts_after_its_first_run() {
    let with = |weight| {
        let mut config = tracking(vec![track(TrackerKind::Script, weight)]);
        config.trackers.scripts[0].init_fail = true;
        config
    };
    let (mut bench, _) = Bench::started(&with(0));
    assert_eq!(edges(&bench.say(script_is(Finding::Bad), 100)), vec![], "it is only assumed to fail");
    assert_eq!(edges(&bench.say(script_is(Finding::Good), 200)), [(State::Init, State::Backup, Reason::Startup)]);
    let (mut bench, _) = Bench::started(&with(-10));
    bench.say(script_is(Finding::Bad), 100);
    assert_eq!(effective(&bench, "VI_1"), 100);
    let runs = TrackerRuns { failure: 1, ..TrackerRuns::default() };
    bench.say(Input::Found { kind: TrackerKind::Script, name: "it".to_owned(), finding: Finding::Bad, runs }, 200);
    assert_eq!(effective(&bench, "VI_1"), 90);
}

#[test]
fn an_instance_waits_for_all_of_its_scripts_and_a_weight_is_not_waited_for() {
    let other = Track { name: "other".to_owned(), ..track(TrackerKind::Script, 0) };
    let (mut bench, _) = Bench::started(&tracking(vec![track(TrackerKind::Script, 0), other]));
    assert_eq!(edges(&bench.say(script_is(Finding::Good), 100)), vec![]);
    let last = Input::Found {
        kind: TrackerKind::Script,
        name: "other".to_owned(),
        finding: Finding::Good,
        runs: TrackerRuns::default(),
    };
    assert_eq!(edges(&bench.say(last, 200)), [(State::Init, State::Backup, Reason::Startup)]);
    for weight in [-10, 10] {
        let (bench, out) = Bench::started(&tracking(vec![track(TrackerKind::Script, weight)]));
        assert_eq!(edges(&out), [(State::Init, State::Backup, Reason::Startup)]);
        assert_eq!(effective(&bench, "VI_1"), 100, "it does nothing before its first result");
    }
}

#[test]
fn an_interface_that_goes_down_while_a_script_is_awaited_is_a_fault_and_the_wait_goes_on_after_it() {
    let (mut bench, _) = Bench::started(&tracking(vec![track(TrackerKind::Script, 0)]));
    let out = bench.say(Input::Link(link(ETH0, false)), 100);
    assert_eq!(edges(&out), [(State::Init, State::Fault, Reason::InterfaceDown)]);
    assert_eq!(edges(&bench.say(Input::Link(link(ETH0, true)), 200)), vec![]);
    let out = bench.say(script_is(Finding::Good), 300);
    assert_eq!(edges(&out), [(State::Fault, State::Backup, Reason::InterfaceUp)]);
}

#[test]
fn a_wait_outlasts_the_startup_delay_and_the_startup_delay_a_wait() {
    let mut config = tracking(vec![track(TrackerKind::Script, 0)]);
    config.global.startup_delay_ns = 5_000_000_000;
    let mut bench = started(&config, script_is(Finding::Good));
    assert_eq!(bench.engine.deadline(), Some(at_ms(5000)));
    assert_eq!(edges(&bench.say(Input::Wake, 5000)), [(State::Init, State::Backup, Reason::Startup)]);
    let (mut bench, _) = Bench::started(&config);
    assert_eq!(edges(&bench.say(Input::Wake, 5000)), vec![]);
    assert_eq!(bench.engine.deadline(), None);
    assert_eq!(edges(&bench.say(script_is(Finding::Good), 6000)), [(State::Init, State::Backup, Reason::Startup)]);
}

#[test]
fn a_stop_and_a_reload_without_the_script_end_the_wait() {
    let (mut bench, _) = Bench::started(&tracking(vec![track(TrackerKind::Script, 0)]));
    let out = bench.apply(&tracking(vec![]), 1000);
    assert_eq!(edges(&out), [(State::Init, State::Backup, Reason::Startup)]);
    let (mut bench, _) = Bench::started(&tracking(vec![track(TrackerKind::Script, 0)]));
    let out = bench.say(Input::Shutdown { keep_addresses: false }, 1000);
    assert_eq!(edges(&out), [(State::Init, State::Shutdown, Reason::Shutdown)]);
}

#[test]
fn a_master_whose_script_fails_resigns_at_once_and_comes_back_as_backup() {
    let mut bench = started(&tracking(vec![track(TrackerKind::Script, 0)]), script_is(Finding::Good));
    let (_, at) = bench.until_master();
    let out = bench.say_at(script_is(Finding::Bad), at + Duration::from_millis(300));
    assert_eq!(edges(&out), [(State::Master, State::Fault, Reason::Tracker)]);
    assert_eq!(sent(&out), [0]);
    assert_eq!(moves(&out), [(VIP, false)]);
    let out = bench.say_at(script_is(Finding::Good), at + Duration::from_millis(900));
    assert_eq!(edges(&out), [(State::Fault, State::Backup, Reason::Tracker)]);
    assert!(sent(&out).is_empty());
}

#[test]
fn a_process_that_runs_adds_its_weight_and_the_next_advert_says_so() {
    let mut config = tracking(vec![track(TrackerKind::Process, 10)]);
    config.instances[0].priority = super::engine_tests::priority(244);
    let mut bench = started(&config, found(TrackerKind::Process, Finding::Count { count: 3, good: true }));
    let (out, at) = bench.until_master();
    assert_eq!(sent(&out), [254]);
    let gone = found(TrackerKind::Process, Finding::Count { count: 0, good: false });
    let out = bench.say_at(gone, at + Duration::from_millis(10));
    assert!(sent(&out).is_empty() && edges(&out).is_empty());
    assert_eq!(logs(&out), ["(VI_1) Changing effective priority from 254 to 244"]);
    assert_eq!(sent(&bench.say_at(Input::Wake, at + Duration::from_secs(1))), [244]);
}

#[test]
fn a_files_number_is_added_up_to_the_limits_of_a_priority_and_below_minus_253_is_a_fault() {
    let mut bench = started(&tracking(vec![track(TrackerKind::File, 1)]), number(0));
    for (at, (count, priority)) in (100..).zip([(5, 105), (-5, 95), (300, 254), (-100, 1), (-253, 1), (0, 100)]) {
        assert_eq!(edges(&bench.say(number(count), at)), vec![]);
        assert_eq!(effective(&bench, "VI_1"), priority, "{count}");
    }
    let out = bench.say(number(-254), 200);
    assert_eq!(edges(&out), [(State::Backup, State::Fault, Reason::Tracker)]);
    assert_eq!(bench.row("VI_1").faults, ["the number in file it, -254, times its weight 1 is below -253"]);
    let out = bench.say(number(5), 300);
    assert_eq!(edges(&out), [(State::Fault, State::Backup, Reason::Tracker)]);
    assert_eq!(effective(&bench, "VI_1"), 105);
}

#[test]
fn a_session_that_is_down_is_a_fault_or_a_weight() {
    let mut bench = started(&tracking(vec![track(TrackerKind::Bfd, 0)]), found(TrackerKind::Bfd, Finding::Bad));
    assert_eq!(bench.row("VI_1").state, State::Fault);
    let out = bench.say(found(TrackerKind::Bfd, Finding::Good), 100);
    assert_eq!(edges(&out), [(State::Fault, State::Backup, Reason::Tracker)]);
    let mut bench = started(&tracking(vec![track(TrackerKind::Bfd, -10)]), found(TrackerKind::Bfd, Finding::Bad));
    assert_eq!(effective(&bench, "VI_1"), 90);
    bench.say(found(TrackerKind::Bfd, Finding::Good), 100);
    assert_eq!(effective(&bench, "VI_1"), 100);
}

#[test]
fn what_is_found_is_told_once_and_rows_keep_the_last() {
    let mut bench = started(&tracking(vec![track(TrackerKind::Script, -10)]), script_is(Finding::Good));
    let key = RowKey::Tracker(TrackerKind::Script, "it".to_owned());
    let tells = |out: &[Output]| -> Vec<Finding> {
        let edge = |output: &Output| match output {
            Output::Edge(Edge::Tracker { kind: TrackerKind::Script, finding, .. }) => Some(*finding),
            _ => None,
        };
        out.iter().filter_map(edge).collect()
    };
    let out = bench.say(script_is(Finding::Bad), 100);
    assert_eq!(tells(&out), [Finding::Bad]);
    assert!(out.contains(&Output::Changed(key.clone())));
    assert!(out.contains(&Output::Changed(RowKey::Instance("VI_1".into()))));
    let out = bench.say(script_is(Finding::Bad), 200);
    assert_eq!(out, [Output::Counted(key.clone())]);
    // A runner that was started again.
    bench.say(script_is(Finding::Unknown), 300);
    let Some(Row::Tracker(row)) = bench.engine.row(&key) else { panic!("it has a row") };
    assert_eq!(row.finding, Finding::Bad);
    assert_eq!(effective(&bench, "VI_1"), 90);
    assert_eq!(bench.say(found(TrackerKind::Process, Finding::Unknown), 400).len(), 1);
    let stranger = Input::Found {
        kind: TrackerKind::Script,
        name: "nobody".to_owned(),
        finding: Finding::Bad,
        runs: TrackerRuns::default(),
    };
    assert_eq!(bench.say(stranger, 500), vec![]);
}

#[test]
fn a_reload_keeps_what_was_found_also_of_a_script_that_is_another_one_now() {
    let before = tracking(vec![track(TrackerKind::Script, -10)]);
    let mut bench = started(&before, script_is(Finding::Bad));
    let (_, at) = bench.until_master();
    let ms = at.nanos() / 1_000_000;
    let out = bench.apply(&before, ms + 100);
    assert_eq!((edges(&out), logs(&out)), (vec![], vec![]), "nothing changes in between");
    let mut changed = tracking(vec![track(TrackerKind::Script, -20)]);
    changed.trackers.scripts[0].command = TrackCommand::Opens("/elsewhere".to_owned());
    bench.apply(&changed, ms + 200);
    assert_eq!(effective(&bench, "VI_1"), 80);
    bench.apply(&tracking(vec![]), ms + 300);
    assert_eq!(effective(&bench, "VI_1"), 100);
    let mut without = before.clone();
    (without.trackers, without.instances[0].tracks) = (Trackers::default(), vec![]);
    bench.apply(&without, ms + 400);
    bench.apply(&before, ms + 500);
    assert_eq!(effective(&bench, "VI_1"), 100, "one that was not there meanwhile is a new one");
}

#[test]
fn a_reload_that_adds_a_script_leaves_a_master_alone_until_it_is_known_to_fail() {
    let (mut bench, _) = Bench::started(&tracking(vec![]));
    let (_, at) = bench.until_master();
    let ms = at.nanos() / 1_000_000;
    assert_eq!(edges(&bench.apply(&tracking(vec![track(TrackerKind::Script, 0)]), ms + 100)), vec![]);
    assert_eq!(edges(&bench.say(script_is(Finding::Good), ms + 200)), vec![]);
    let out = bench.say(script_is(Finding::Bad), ms + 300);
    assert_eq!(edges(&out), [(State::Master, State::Fault, Reason::Tracker)]);
    // And one that is in fault stays there.
    let out = bench.apply(&tracking(vec![]), ms + 400);
    assert_eq!(edges(&out).first(), Some(&(State::Fault, State::Backup, Reason::Tracker)));
}

/// VI_1 on eth0 and VI_2 on eth1, in one group.
fn grouped(of_group: Vec<Track>, of_first: Vec<Track>) -> Config {
    let mut second = instance("VI_2", 52, VIP2);
    second.interface = Some("eth1".into());
    second.addresses = vec![address(VIP2, "eth1")];
    let mut instances = vec![Instance { tracks: of_first, ..instance("VI_1", 51, VIP) }, second];
    instances.iter_mut().for_each(|it| it.sync_group = Some("G".to_owned()));
    let group = SyncGroup {
        location: Location::default(),
        name: "G".to_owned(),
        members: vec!["VI_1".into(), "VI_2".into()],
        tracking_weight: true,
        tracks: of_group,
        tracked_interfaces: vec![],
        notify: Notify::default(),
        smtp_alert: false,
    };
    Config { trackers: trackers(), sync_groups: vec![group], ..config(instances) }
}

fn started_group(config: &Config) -> (Bench, Vec<Output>) {
    let engine = Engine::new(config, EngineOptions::default(), at_ms(0), WALL);
    let mut bench = Bench { engine, answers: true };
    let mut out = vec![];
    for input in [
        Input::Link(link(ETH0, true)),
        Input::Link(link(ETH1, true)),
        Input::HostAddress(on_host(ETH0, OURS)),
        Input::HostAddress(on_host(ETH1, OURS2)),
        Input::Wake,
    ] {
        out.extend(bench.say(input, 0));
    }
    (bench, out)
}

fn told(out: &[Output]) -> Vec<(String, State)> {
    let edge = |output: &Output| match output {
        Output::Edge(Edge::Transition { instance, to, .. }) => Some((instance.0.clone(), *to)),
        Output::Edge(Edge::SyncGroup { group, to, .. }) => Some((group.clone(), *to)),
        _ => None,
    };
    out.iter().filter_map(edge).collect()
}

fn names(expected: &[(&str, State)]) -> Vec<(String, State)> {
    expected.iter().map(|(name, state)| ((*name).to_owned(), *state)).collect()
}

#[test]
fn a_group_waits_for_what_it_tracks_and_is_told_after_its_members() {
    let (mut bench, out) = started_group(&grouped(vec![track(TrackerKind::Script, 0)], vec![]));
    assert_eq!(told(&out), vec![]);
    let out = bench.say(script_is(Finding::Good), 1000);
    let backup = State::Backup;
    assert_eq!(told(&out), names(&[("VI_2", backup), ("VI_1", backup), ("G", backup)]));
}

#[test]
fn a_group_waits_for_what_one_member_tracks_and_that_member_is_first() {
    let (mut bench, out) = started_group(&grouped(vec![], vec![track(TrackerKind::Script, 0)]));
    assert_eq!(told(&out), vec![]);
    let out = bench.say(script_is(Finding::Good), 1000);
    let backup = State::Backup;
    assert_eq!(told(&out), names(&[("VI_1", backup), ("VI_2", backup), ("G", backup)]));
    let (mut bench, _) = started_group(&grouped(vec![], vec![track(TrackerKind::Script, 0)]));
    let out = bench.say(script_is(Finding::Bad), 1000);
    let fault = State::Fault;
    assert_eq!(told(&out), names(&[("VI_1", fault), ("VI_2", fault), ("G", fault)]));
}

#[test]
fn weights_of_a_groups_tracker_count_for_every_member_and_a_fault_takes_all_along() {
    let (mut bench, _) = started_group(&grouped(vec![track(TrackerKind::File, 1)], vec![]));
    bench.say(number(7), 100);
    assert_eq!(["VI_1", "VI_2"].map(|name| effective(&bench, name)), [107, 107]);
    let out = bench.say(number(-254), 200);
    let fault = State::Fault;
    assert_eq!(told(&out), names(&[("VI_1", fault), ("VI_2", fault), ("G", fault)]));
    let backup = State::Backup;
    let out = bench.say(number(-1), 300);
    assert_eq!(told(&out), names(&[("VI_2", backup), ("VI_1", backup), ("G", backup)]));
    assert_eq!(["VI_1", "VI_2"].map(|name| effective(&bench, name)), [99, 99]);
}

#[test]
fn of_two_lines_for_one_script_the_groups_counts_unless_the_members_own_has_weight_0() {
    let script = |weight| vec![track(TrackerKind::Script, weight)];
    let (mut bench, _) = started_group(&grouped(script(10), script(7)));
    bench.say(script_is(Finding::Good), 100);
    assert_eq!(["VI_1", "VI_2"].map(|name| effective(&bench, name)), [110, 110]);
    let (mut bench, _) = started_group(&grouped(script(10), script(0)));
    bench.say(script_is(Finding::Good), 100);
    assert_eq!(["VI_1", "VI_2"].map(|name| effective(&bench, name)), [100, 110]);
    bench.say(script_is(Finding::Bad), 200);
    assert_eq!(["VI_1", "VI_2"].map(|name| bench.row(name).state), [State::Fault; 2]);
    assert_eq!(["VI_1", "VI_2"].map(|name| bench.row(name).faults.len()), [1, 0]);
}

#[test]
fn the_interface_of_an_address_is_tracked_unless_the_line_says_no_track() {
    let mut elsewhere = instance("VI_1", 51, VIP);
    elsewhere.excluded = vec![address(VIP2, "eth1")];
    let (mut bench, _) = Bench::started(&config(vec![elsewhere.clone()]));
    let (_, at) = bench.until_master();
    let later = |ms| at + Duration::from_millis(ms);
    assert_eq!(bench.row("VI_1").carried, [("eth1".to_owned(), true)]);
    let out = bench.say_at(Input::Link(link(ETH1, false)), later(10));
    assert_eq!(edges(&out), [(State::Master, State::Fault, Reason::InterfaceDown)]);
    assert_eq!(bench.row("VI_1").faults, ["interface eth1, which it has addresses, routes or rules on, is down"]);
    let out = bench.say_at(Input::Link(link(ETH1, true)), later(20));
    assert_eq!(edges(&out), [(State::Fault, State::Backup, Reason::InterfaceUp)]);
    let out = bench.say_at(Input::LinkGone(ETH1), later(30));
    assert_eq!(edges(&out), [(State::Backup, State::Fault, Reason::InterfaceDown)]);

    elsewhere.excluded[0].no_track = true;
    let (mut bench, _) = Bench::started(&config(vec![elsewhere]));
    let (_, at) = bench.until_master();
    assert_eq!(edges(&bench.say_at(Input::Link(link(ETH1, false)), at + Duration::from_millis(10))), vec![]);
    assert!(bench.row("VI_1").carried.is_empty());
}

#[test]
fn the_interface_of_an_address_is_a_fault_whatever_weight_a_line_gives_it() {
    let mut elsewhere = instance("VI_1", 51, VIP);
    elsewhere.addresses.push(address(VIP2, "eth1"));
    elsewhere.tracked_interfaces = vec![TrackedInterface { interface: "eth1".into(), weight: 10, reverse: false }];
    let (mut bench, _) = Bench::started(&config(vec![elsewhere]));
    assert_eq!(effective(&bench, "VI_1"), 100);
    bench.say(Input::Link(link(ETH1, false)), 100);
    assert_eq!(bench.row("VI_1").state, State::Fault);
}

fn delayed(interface: &str, down_ms: u64, up_ms: u64) -> Config {
    let mut weighted = instance("VI_1", 51, VIP);
    weighted.tracked_interfaces = vec![TrackedInterface { interface: "eth1".into(), weight: -30, reverse: false }];
    let mut config = config(vec![weighted]);
    let (down_ns, up_ns) = (down_ms * 1_000_000, up_ms * 1_000_000);
    config.global.interface_delays = vec![InterfaceDelays { interface: interface.to_owned(), down_ns, up_ns }];
    config
}

#[test]
fn an_interface_counts_as_down_or_up_only_after_its_delay() {
    let (mut bench, _) = Bench::started(&delayed("eth1", 3000, 500));
    let mut then = |input, ms| {
        bench.say(input, ms);
        effective(&bench, "VI_1")
    };
    assert_eq!(then(Input::Link(link(ETH1, false)), 100), 100);
    assert_eq!(then(Input::Link(link(ETH1, true)), 2000), 100);
    assert_eq!(then(Input::Wake, 3100), 100, "it was down for less than that");
    assert_eq!(then(Input::Link(link(ETH1, false)), 4000), 100);
    assert_eq!(then(Input::Wake, 6999), 100);
    assert_eq!(then(Input::Wake, 7000), 70);
    assert_eq!(then(Input::Link(link(ETH1, true)), 8000), 70);
    assert_eq!(then(Input::Wake, 8499), 70);
    assert_eq!(then(Input::Wake, 8500), 100);
    assert_eq!(then(Input::LinkGone(ETH1), 9000), 70, "nobody waits for an interface that is gone");
    assert_eq!(then(Input::Link(link(9, true)), 9100), 70, "eth7");
    assert_eq!(then(Input::Link(link(ETH1, true)), 9200), 100, "nor for one that is new");
}

#[test]
fn the_engine_wakes_up_for_a_delay_and_a_reload_without_one_ends_it() {
    let config = delayed("eth1", 1000, 0);
    let (mut bench, _) = Bench::started(&config);
    bench.say(Input::Link(link(ETH1, false)), 100);
    assert_eq!(bench.engine.deadline(), Some(at_ms(1100)));
    let mut without = config.clone();
    without.global.interface_delays.clear();
    bench.apply(&without, 500);
    assert_eq!(effective(&bench, "VI_1"), 70);
    bench.apply(&config, 600);
    assert_eq!(effective(&bench, "VI_1"), 70, "what it is when the delay comes is not a change");
}

#[test]
fn a_router_notices_that_its_own_interface_is_down_before_two_of_its_adverts_are_due() {
    let (mut bench, _) = Bench::started(&delayed("eth0", 60_000, 60_000));
    bench.say(Input::Link(link(ETH0, false)), 100);
    bench.say(Input::Wake, 2096);
    assert_eq!(bench.row("VI_1").state, State::Backup);
    let out = bench.say(Input::Wake, 2097);
    assert_eq!(edges(&out), [(State::Backup, State::Fault, Reason::InterfaceDown)]);
}

proptest! {
    /// Whatever is found in whatever order, states and priorities are those of the last findings.
    #[test]
    fn an_instance_is_what_the_last_findings_say(
        steps in proptest::collection::vec((0..4_usize, -300..300_i64, any::<bool>()), 1..60),
        weights in proptest::array::uniform4(-50..50_i32),
    ) {
        let kinds = [TrackerKind::Script, TrackerKind::File, TrackerKind::Process, TrackerKind::Bfd];
        let tracks: Vec<Track> = kinds.iter().zip(weights).map(|(kind, weight)| track(*kind, weight)).collect();
        let (mut bench, _) = Bench::started(&tracking(tracks.clone()));
        let mut last = [Finding::Unknown; 4];
        for (ms, (which, count, good)) in (1..).zip(steps) {
            last[which] = match kinds[which] {
                TrackerKind::File | TrackerKind::Process => Finding::Count { count, good },
                TrackerKind::Script | TrackerKind::Bfd => if good { Finding::Good } else { Finding::Bad },
            };
            bench.say(found(kinds[which], last[which]), ms);
            let effects = tracks.iter().zip(last).map(|(track, finding)| super::track::of_finding(track, finding));
            let effects: Vec<_> = effects.collect();
            use super::track::Effect;
            let weights: i32 = effects.iter().map(|it| if let Effect::Add(weight) = it { *weight } else { 0 }).sum();
            let row = bench.row("VI_1");
            prop_assert_eq!(i32::from(row.effective_priority.get()), (100 + weights).clamp(1, 254));
            let faults = effects.iter().filter(|it| **it == Effect::Fault).count();
            prop_assert_eq!(row.faults.len(), faults);
            let up = matches!(row.state, State::Backup | State::Master);
            prop_assert_eq!(up, faults == 0 && !effects.contains(&Effect::Wait));
        }
    }
}
