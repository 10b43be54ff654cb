//! Sentences about sync groups: who moves with whom, when, and who is told in which order.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::engine_tests::{
    Bench, ETH0, ETH1, OURS, PEER, VIP, address, advert_of, at_ms, config, instance, link, logs,
};
use super::engine_tests::{moves, on_host, priority};
use super::group::{Order, common, decisive, may_lead, order};
use super::io::{Datagram, Input, Output};
use super::machine::Transition;
use crate::bus::msg::{Command, Edge, Refusal, Reply};
use crate::bus::rows::{Reason, Row, RowKey, State};
use crate::clock::Instant;
use crate::conf::model::{
    Config, Family, Instance, Location, Notify, Preempt, Priority, SyncGroup, TrackedInterface, Version,
};
use crate::wire::vrrp::Cover;

const VIP2: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 100));
const OURS2: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1));
const PEER2: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 1, 2));

/// VI_1 (VRID 51) on eth0 and VI_2 (VRID 52) on eth1.
fn two() -> Vec<Instance> {
    let mut second = instance("VI_2", 52, VIP2);
    second.interface = Some("eth1".into());
    second.addresses = vec![address(VIP2, "eth1")];
    vec![instance("VI_1", 51, VIP), second]
}

fn group(members: &[&str]) -> SyncGroup {
    SyncGroup {
        location: Location::default(),
        name: "G".to_owned(),
        members: members.iter().map(|name| (*name).into()).collect(),
        tracking_weight: false,
        tracks: vec![],
        tracked_interfaces: vec![],
        notify: Notify::default(),
        smtp_alert: false,
    }
}

/// As the builder would: members know their group.
fn grouped(mut instances: Vec<Instance>, group: SyncGroup) -> Config {
    for instance in &mut instances {
        instance.sync_group = group.members.contains(&instance.name).then(|| group.name.clone());
    }
    Config { sync_groups: vec![group], ..config(instances) }
}

fn pair() -> Config {
    grouped(two(), group(&["VI_1", "VI_2"]))
}

fn with(change: impl FnOnce(&mut Instance, &mut Instance)) -> Config {
    let mut config = pair();
    let [first, second] = &mut config.instances[..] else { unreachable!("two") };
    change(first, second);
    config
}

/// Started at time zero, with a source address on both interfaces before anything starts.
fn started(config: &Config) -> (Bench, Vec<Output>) {
    let engine = super::engine::Engine::new(config, Default::default(), at_ms(0), super::engine_tests::WALL);
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

/// Runs to the moment at which the engine wants to be woken last before or at `end`.
fn run_until(bench: &mut Bench, end: Instant) -> Vec<(Instant, Vec<Output>)> {
    let mut said = vec![];
    while let Some(at) = bench.engine.deadline().filter(|at| *at <= end) {
        said.push((at, bench.say_at(Input::Wake, at)));
    }
    said
}

/// One whose group is master, and since when.
fn master(config: &Config) -> (Bench, Instant) {
    let (mut bench, _) = started(config);
    let (_, at) = bench.until_master();
    (bench, at)
}

/// The peer's advert for one of the two.
fn hear(bench: &mut Bench, vrid: u8, strength: u8, now: Instant) -> Vec<Output> {
    let (interface, source, vip) = if vrid == 51 { (ETH0, PEER, VIP) } else { (ETH1, PEER2, VIP2) };
    let payload = advert_of(Version::V2, vrid, strength, &[vip], None, Cover::Message);
    let destination = super::engine_tests::GROUP;
    bench.say_at(Input::Datagram(Datagram { interface, source, destination, ttl: 255, payload: &payload }), now)
}

/// Who entered which state, in the order in which it was told; groups without a reason.
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

/// VRID and priority of what was sent.
fn sent(out: &[Output]) -> Vec<(u8, u8)> {
    let advert = |output: &Output| match output {
        Output::Send(send) => Some((send.payload[1], send.payload[2])),
        _ => None,
    };
    out.iter().filter_map(advert).collect()
}

fn states(bench: &Bench) -> [State; 2] {
    ["VI_1", "VI_2"].map(|name| bench.row(name).state)
}

fn group_state(bench: &Bench) -> State {
    match bench.engine.row(&RowKey::SyncGroup("G".to_owned())) {
        Some(Row::SyncGroup(row)) => row.state,
        other => panic!("no row of the group: {other:?}"),
    }
}

fn after(at: Instant, ms: u64) -> Instant {
    at + Duration::from_millis(ms)
}

#[test]
fn transitions_become_orders_and_starting_is_each_members_own_business() {
    let of = |from, to| order(Transition { from, to, reason: Reason::Startup });
    assert_eq!(of(State::Backup, State::Master), Some(Order::Lead));
    assert_eq!(of(State::Master, State::Backup), Some(Order::Yield));
    assert_eq!(of(State::Fault, State::Backup), Some(Order::Recover));
    assert_eq!(of(State::Master, State::Fault), Some(Order::Fault));
    assert_eq!(of(State::Init, State::Fault), Some(Order::Fault));
    assert_eq!(of(State::Init, State::Backup), None);
    assert_eq!(of(State::Master, State::Shutdown), None);
}

#[test]
fn a_group_leads_when_nobody_else_is_in_the_way_and_its_state_is_what_its_members_share() {
    assert!(may_lead([].into_iter()));
    assert!(may_lead([(State::Master, false), (State::Backup, true)].into_iter()));
    assert!(!may_lead([(State::Backup, true), (State::Backup, false)].into_iter()));
    assert!(!may_lead([(State::Init, false)].into_iter()));
    use State::{Backup, Fault, Init, Master};
    assert_eq!(common(Init, [Init, Init].into_iter()), Init);
    assert_eq!(common(Init, [Init, Backup].into_iter()), Backup);
    assert_eq!(common(Backup, [Master, Master].into_iter()), Master);
    assert_eq!(common(Backup, [Master, Fault].into_iter()), Fault);
    // A reload put them together.
    assert_eq!(common(Master, [Master, Backup].into_iter()), Master);
    assert_eq!(common(Init, [Master, Backup].into_iter()), Backup);
}

#[test]
fn the_lowest_vrid_decides_and_ipv4_before_ipv6() {
    let members = [(52, Family::V4), (51, Family::V6), (51, Family::V4)];
    assert_eq!(decisive(members.into_iter()), Some((51, Family::V4)));
    assert_eq!(decisive([].into_iter()), None);
}

#[test]
fn a_group_tells_that_it_is_backup_before_its_members_do_and_later_after_them() {
    let (mut bench, out) = started(&pair());
    assert_eq!(told(&out), names(&[("G", State::Backup), ("VI_1", State::Backup), ("VI_2", State::Backup)]));
    let (out, at) = bench.until_master();
    assert_eq!(at, Instant::ZERO + Duration::from_micros(3_609_375));
    assert_eq!(told(&out), names(&[("VI_1", State::Master), ("VI_2", State::Master), ("G", State::Master)]));
    assert!(logs(&out).contains(&"VRRP_Group(G) Syncing instances to MASTER state"));
    assert_eq!(group_state(&bench), State::Master);
}

#[test]
fn adverts_of_all_members_leave_before_any_address_comes_and_addresses_come_together() {
    let (mut bench, _) = started(&pair());
    let (out, at) = bench.until_master();
    assert_eq!(sent(&out), [(51, 100), (52, 100)]);
    assert_eq!(moves(&out), [(VIP, true), (VIP2, true)]);
    assert_eq!(super::engine_tests::order(&out), ["advert", "install", "announce"]);
    // From then on every member keeps the cadence of that moment.
    let next = after(at, 1000);
    assert_eq!(bench.engine.deadline(), Some(next));
    assert_eq!(sent(&bench.say_at(Input::Wake, next)), [(51, 100), (52, 100)]);
}

#[test]
fn a_group_becomes_master_when_the_last_of_its_members_is_ready() {
    // Skews of 106/256 and 206/256 of a second.
    let (mut bench, _) = started(&with(|first, second| {
        first.priority = priority(150);
        second.priority = priority(50);
    }));
    let said = run_until(&mut bench, at_ms(3_804));
    assert_eq!(said.len(), 1, "the first one's timer, once: {said:?}");
    assert_eq!((said[0].0, told(&said[0].1)), (Instant::ZERO + Duration::from_nanos(3_414_062_500), vec![]));
    assert_eq!(states(&bench), [State::Backup; 2]);
    let (out, at) = bench.until_master();
    assert_eq!(at, Instant::ZERO + Duration::from_nanos(3_804_687_500));
    assert_eq!(told(&out), names(&[("VI_2", State::Master), ("VI_1", State::Master), ("G", State::Master)]));
}

#[test]
fn a_member_that_hears_no_master_waits_while_another_hears_one_and_wakes_nobody() {
    let (mut bench, _) = started(&pair());
    for second in 0..60 {
        let now = at_ms(500 + second * 1000);
        run_until(&mut bench, now);
        assert_eq!(sent(&hear(&mut bench, 52, 200, now)), []);
    }
    assert_eq!(states(&bench), [State::Backup; 2]);
    let wanted = ["VI_1", "VI_2"].map(|name| bench.row(name).wanted);
    assert_eq!(wanted, [State::Master, State::Backup], "vrrpInstanceWantedState, as Keepalived shows it");
    // Only VI_2 has a deadline left: three intervals and its skew after the last advert.
    assert_eq!(bench.engine.deadline(), Some(at_ms(59_500) + Duration::from_micros(3_609_375)));
    // Its master resigns: the skew alone, then both.
    let now = at_ms(60_000);
    hear(&mut bench, 52, 0, now);
    let (out, at) = bench.until_master();
    assert_eq!(at, now + Duration::from_micros(609_375));
    assert_eq!(told(&out), names(&[("VI_2", State::Master), ("VI_1", State::Master), ("G", State::Master)]));
    let reasons = ["VI_1", "VI_2"].map(|name| bench.row(name).reason);
    assert_eq!(reasons, [Reason::MasterNoResponse, Reason::MasterResigned]);
}

#[test]
fn readers_learn_when_a_member_begins_and_ceases_to_wait() {
    let (mut bench, _) = started(&pair());
    hear(&mut bench, 52, 200, at_ms(3_000));
    let told = |out: &[Output]| out.contains(&Output::Changed(RowKey::Instance("VI_1".into())));
    let at = Instant::ZERO + Duration::from_micros(3_609_375);
    assert!(told(&bench.say_at(Input::Wake, at)));
    assert_eq!(bench.row("VI_1").wanted, State::Master);
    assert!(told(&hear(&mut bench, 51, 200, after(at, 10))));
    assert_eq!(bench.row("VI_1").wanted, State::Backup);
    assert!(!told(&hear(&mut bench, 51, 200, after(at, 1010))), "nothing new");
}

#[test]
fn a_stronger_master_for_one_member_takes_all_addresses_away_and_only_silence_is_sent() {
    let (mut bench, at) = master(&pair());
    let out = hear(&mut bench, 52, 101, after(at, 100));
    assert_eq!(told(&out), names(&[("VI_2", State::Backup), ("VI_1", State::Backup), ("G", State::Backup)]));
    assert_eq!(moves(&out), [(VIP2, false), (VIP, false)]);
    assert_eq!(sent(&out), []);
    assert_eq!(bench.row("VI_1").reason, Reason::SyncGroup);
    assert_eq!(bench.row("VI_2").reason, Reason::HigherPriorityHeard);
}

#[test]
fn a_weaker_master_for_one_member_is_answered_and_changes_nothing() {
    let (mut bench, at) = master(&pair());
    let out = hear(&mut bench, 52, 99, after(at, 100));
    assert_eq!(sent(&out), [(52, 100)]);
    assert_eq!((told(&out), states(&bench)), (vec![], [State::Master; 2]));
}

#[test]
fn routers_that_are_better_for_different_members_do_not_take_turns() {
    // The peer is master, stronger for VI_1 (150) and weaker for VI_2 (50).
    let (mut bench, _) = started(&pair());
    for second in 0..600 {
        let now = at_ms(500 + second * 1000);
        run_until(&mut bench, now);
        let mut out = hear(&mut bench, 51, 150, now);
        out.extend(hear(&mut bench, 52, 50, now));
        assert_eq!((told(&out), sent(&out)), (vec![], vec![]));
    }
    assert_eq!(states(&bench), [State::Backup; 2]);
}

#[test]
fn of_two_groups_that_give_way_to_each_other_the_one_that_lost_its_lowest_vrid_waits_an_interval_longer() {
    // Both were master, as the link was cut; each is better for one member.
    let (mut ours, at) = master(&pair());
    let now = after(at, 100);
    hear(&mut ours, 52, 150, now);
    // The other one fell silent: all members as usual, from the moment it gave way.
    assert_eq!(ours.until_master().1, now + Duration::from_micros(3_609_375));
    let (mut ours, at) = master(&pair());
    let now = after(at, 100);
    hear(&mut ours, 51, 150, now);
    assert_eq!(ours.until_master().1, now + Duration::from_micros(4_609_375));
    // A master that is heard ends the extra patience.
    let (mut ours, at) = master(&pair());
    let now = after(at, 100);
    hear(&mut ours, 51, 150, now);
    hear(&mut ours, 52, 150, after(now, 5));
    assert_eq!(ours.until_master().1, after(now, 5) + Duration::from_micros(3_609_375));
}

#[test]
fn a_member_in_fault_takes_the_group_along_and_every_master_resigns() {
    let (mut bench, at) = master(&pair());
    let now = after(at, 300);
    let out = bench.say_at(Input::Link(link(ETH1, false)), now);
    // eth1 is down as a whole: only VI_1's resignation can leave.
    assert_eq!(sent(&out), [(51, 0)]);
    assert_eq!(told(&out), names(&[("VI_2", State::Fault), ("VI_1", State::Fault), ("G", State::Fault)]));
    assert_eq!(moves(&out), [(VIP2, false), (VIP, false)]);
    assert!(logs(&out).contains(&"VRRP_Group(G) Syncing instances to FAULT state"));
    let own = |name: &str| (bench.row(name).reason, bench.row(name).faults.len());
    assert_eq!([own("VI_1"), own("VI_2")], [(Reason::SyncGroup, 0), (Reason::InterfaceDown, 1)]);
    assert_eq!(told(&hear(&mut bench, 51, 1, after(now, 100))), vec![]);
}

#[test]
fn members_leave_fault_together_when_none_has_a_reason_any_more() {
    let (mut bench, at) = master(&pair());
    bench.say_at(Input::Link(link(ETH1, false)), after(at, 100));
    assert_eq!(told(&bench.say_at(Input::Link(link(ETH0, false)), after(at, 200))), vec![]);
    assert_eq!(told(&bench.say_at(Input::Link(link(ETH1, true)), after(at, 300))), vec![]);
    assert_eq!((states(&bench), group_state(&bench)), ([State::Fault; 2], State::Fault));
    let now = after(at, 400);
    let out = bench.say_at(Input::Link(link(ETH0, true)), now);
    assert_eq!(told(&out), names(&[("VI_1", State::Backup), ("VI_2", State::Backup), ("G", State::Backup)]));
    assert_eq!(bench.until_master().1, now + Duration::from_micros(3_609_375));
}

#[test]
fn a_group_that_starts_in_fault_is_told_after_its_members() {
    let config = pair();
    let engine = super::engine::Engine::new(&config, Default::default(), at_ms(0), super::engine_tests::WALL);
    let mut bench = Bench { engine, answers: true };
    bench.say(Input::Link(link(ETH0, true)), 0);
    bench.say(Input::HostAddress(on_host(ETH0, OURS)), 0);
    let out = bench.say(Input::Wake, 0);
    assert_eq!(told(&out), names(&[("VI_1", State::Fault), ("VI_2", State::Fault), ("G", State::Fault)]));
}

#[test]
fn preempt_delay_of_one_member_delays_the_group_and_nopreempt_of_one_keeps_it_backup() {
    let delayed = with(|first, _| first.preempt = Preempt::After(Duration::from_secs(5)));
    let patient = with(|first, _| first.preempt = Preempt::Never);
    for (config, expected) in [(delayed, Some(at_ms(4_500) + Duration::from_micros(3_609_375))), (patient, None)] {
        let (mut bench, _) = started(&config);
        let mut became = None;
        for second in 0..30 {
            let now = at_ms(500 + second * 1000);
            let said = run_until(&mut bench, now);
            became = became.or(said.iter().find(|(_, out)| !told(out).is_empty()).map(|(at, _)| *at));
            if became.is_none() {
                hear(&mut bench, 51, 50, now);
                hear(&mut bench, 52, 50, now);
            }
        }
        // Followed at 0.5 to 4.5 s; at 5.5 s the delay is over, and what is heard then no longer counts.
        assert_eq!(became, expected);
    }
}

#[test]
fn owners_of_all_addresses_become_master_at_once_and_a_lone_owner_waits_for_its_group() {
    let owners = with(|first, second| (first.priority, second.priority) = (priority(255), priority(255)));
    let (mut bench, out) = started(&owners);
    assert_eq!(told(&out), names(&[("G", State::Backup), ("VI_1", State::Backup), ("VI_2", State::Backup)]));
    assert_eq!(bench.until_master().1, at_ms(0));
    let (mut bench, _) = started(&with(|first, _| first.priority = priority(255)));
    let (out, at) = bench.until_master();
    assert_eq!(at, Instant::ZERO + Duration::from_micros(3_609_375));
    assert_eq!(sent(&out), [(52, 100), (51, 255)]);
    assert_eq!(bench.row("VI_1").reason, Reason::Preempted);
}

#[test]
fn what_a_group_tracks_counts_for_every_member() {
    let tracking = |weight| {
        let mut config = pair();
        config.instances[1].interface = Some("eth0".into());
        config.instances[1].addresses = vec![address(VIP2, "eth0")];
        config.sync_groups[0].tracked_interfaces =
            vec![TrackedInterface { interface: "eth1".into(), weight, reverse: false }];
        config
    };
    let (mut bench, at) = master(&tracking(-60));
    assert_eq!(told(&bench.say_at(Input::Link(link(ETH1, false)), after(at, 100))), vec![]);
    let effective = ["VI_1", "VI_2"].map(|name| bench.row(name).effective_priority.get());
    assert_eq!((effective, states(&bench)), ([40, 40], [State::Master; 2]));
    assert_eq!(sent(&bench.say_at(Input::Wake, after(at, 1000))), [(51, 40), (52, 40)]);

    let (mut bench, at) = master(&tracking(0));
    let out = bench.say_at(Input::Link(link(ETH1, false)), after(at, 100));
    assert_eq!(told(&out), names(&[("VI_1", State::Fault), ("VI_2", State::Fault), ("G", State::Fault)]));
    assert_eq!(sent(&out), [(51, 0), (52, 0)]);
    let tracked = RowKey::SyncTrackedInterface { group: "G".to_owned(), interface: "eth1".to_owned() };
    assert!(out.contains(&Output::Changed(tracked.clone())));
    assert!(matches!(bench.engine.row(&tracked), Some(Row::SyncTrackedInterface(row)) if !row.up));
    // The last one that is free of it moves first, as Keepalived does.
    let out = bench.say_at(Input::Link(link(ETH1, true)), after(at, 200));
    assert_eq!(told(&out), names(&[("VI_2", State::Backup), ("VI_1", State::Backup), ("G", State::Backup)]));
}

/// Keepalived 2.2.7 keeps one line: the group's, unless the instance's own has weight 0.
#[test]
fn an_interface_that_a_member_and_its_group_track_counts_once_and_the_groups_weight_goes_first() {
    let tracking = |own, groups| {
        let track = |weight| vec![TrackedInterface { interface: "eth1".into(), weight, reverse: false }];
        let mut config = pair();
        config.instances[0].tracked_interfaces = track(own);
        config.instances[1].interface = Some("eth0".into());
        config.instances[1].addresses = vec![address(VIP2, "eth0")];
        config.sync_groups[0].tracked_interfaces = track(groups);
        config
    };
    for (own, groups, down, up) in
        [(-20, -20, [80, 80], [100, 100]), (-30, -20, [80, 80], [100, 100]), (-30, 20, [100, 100], [120, 120])]
    {
        let (mut bench, at) = master(&tracking(own, groups));
        let effective = |bench: &Bench| ["VI_1", "VI_2"].map(|name| bench.row(name).effective_priority.get());
        assert_eq!(effective(&bench), up, "own {own}, the group's {groups}");
        assert_eq!(told(&bench.say_at(Input::Link(link(ETH1, false)), after(at, 100))), vec![]);
        assert_eq!(effective(&bench), down, "own {own}, the group's {groups}");
    }
    for (own, groups, faults) in [(0, -20, [1, 0]), (-20, 0, [1, 1]), (0, 0, [1, 1])] {
        let (mut bench, at) = master(&tracking(own, groups));
        bench.say_at(Input::Link(link(ETH1, false)), after(at, 100));
        assert_eq!(states(&bench), [State::Fault; 2]);
        assert_eq!(["VI_1", "VI_2"].map(|name| bench.row(name).faults.len()), faults);
    }
}

#[test]
fn a_set_of_a_priority_acts_on_that_member_only() {
    let (mut bench, at) = master(&pair());
    let command = Command::SetPriority { instance: "VI_2".into(), priority: priority(10) };
    let out = bench.say_at(Input::Command { request: 1, command }, after(at, 100));
    assert_eq!(told(&out), vec![]);
    let effective = ["VI_1", "VI_2"].map(|name| bench.row(name).effective_priority.get());
    assert_eq!(effective, [100, 10]);
}

#[test]
fn a_stop_tells_the_groups_after_all_instances() {
    let mut instances = two();
    instances.push(instance("VI_3", 53, IpAddr::V4(Ipv4Addr::new(10, 0, 2, 100))));
    let (mut bench, at) = master(&grouped(instances, group(&["VI_1", "VI_2"])));
    let out = bench.say_at(Input::Shutdown { keep_addresses: false }, after(at, 100));
    let stopped = ["VI_1", "VI_2", "VI_3", "G"].map(|name| (name, State::Shutdown));
    assert_eq!(told(&out), names(&stopped));
}

#[test]
fn reloads_that_bind_or_part_masters_are_no_events() {
    let loose = config(two());
    let (mut bench, _) = started(&loose);
    let (_, at) = bench.until_master();
    assert_eq!(states(&bench), [State::Master; 2]);
    let ms = at.nanos() / 1_000_000 + 100;
    assert_eq!(told(&bench.apply(&pair(), ms)), vec![]);
    assert_eq!((states(&bench), group_state(&bench)), ([State::Master; 2], State::Master));
    assert_eq!(told(&bench.apply(&pair(), ms + 10)), vec![]);
    assert_eq!(told(&bench.apply(&loose, ms + 20)), vec![]);
    assert_eq!(bench.engine.row(&RowKey::SyncGroup("G".to_owned())), None);
    // No advert was lost on the way.
    assert_eq!(bench.engine.deadline(), Some(after(at, 1000)));
}

#[test]
fn a_member_that_joins_a_master_group_waits_for_its_own_silence_and_leads_if_there_is_any() {
    let mut alone = grouped(two(), group(&["VI_1"]));
    alone.instances.truncate(1);
    let (mut bench, at) = master(&alone);
    let ms = at.nanos() / 1_000_000 + 100;
    assert_eq!(told(&bench.apply(&pair(), ms)), names(&[("VI_2", State::Backup)]));
    assert_eq!((states(&bench), group_state(&bench)), ([State::Master, State::Backup], State::Master));
    let (out, at) = bench.until_master();
    assert_eq!(at, at_ms(ms) + Duration::from_micros(3_609_375));
    assert_eq!(told(&out), names(&[("VI_2", State::Master)]));
}

#[test]
fn a_member_that_joins_a_master_group_and_follows_another_master_takes_the_group_to_backup() {
    let mut alone = grouped(two(), group(&["VI_1"]));
    alone.instances.truncate(1);
    let (mut bench, at) = master(&alone);
    let ms = at.nanos() / 1_000_000 + 100;
    bench.apply(&pair(), ms);
    assert_eq!(told(&hear(&mut bench, 52, 50, at_ms(ms + 100))), vec![], "a weaker one will be preempted");
    let out = hear(&mut bench, 52, 150, at_ms(ms + 200));
    assert_eq!(told(&out), names(&[("VI_1", State::Backup), ("G", State::Backup)]));
    assert_eq!(moves(&out), [(VIP, false)]);
}

#[test]
fn a_member_that_waited_for_a_group_that_is_gone_waits_no_longer() {
    let (mut bench, _) = started(&pair());
    for second in 0..6 {
        let now = at_ms(500 + second * 1000);
        run_until(&mut bench, now);
        hear(&mut bench, 52, 200, now);
    }
    assert_eq!(states(&bench), [State::Backup; 2]);
    bench.apply(&config(two()), 6_000);
    let out = bench.say(Input::Wake, 6_000);
    assert_eq!(told(&out), names(&[("VI_1", State::Master)]));
}

#[test]
fn a_reload_that_binds_a_healthy_instance_to_one_in_fault_and_parts_them_again() {
    let (mut bench, _) = started(&config(two()));
    bench.say(Input::Link(link(ETH1, false)), 100);
    assert_eq!(states(&bench), [State::Backup, State::Fault]);
    assert_eq!(told(&bench.apply(&pair(), 200)), names(&[("VI_1", State::Fault)]));
    assert_eq!(group_state(&bench), State::Fault);
    assert_eq!(told(&bench.apply(&config(two()), 300)), names(&[("VI_1", State::Backup)]));
    assert_eq!(states(&bench), [State::Backup, State::Fault]);
}

#[test]
fn a_member_in_fault_that_gets_another_identity_keeps_its_mates_in_fault() {
    let (mut bench, at) = master(&pair());
    let ms = at.nanos() / 1_000_000 + 100;
    bench.say(Input::Link(link(ETH1, false)), ms);
    let renumbered = with(|_, second| second.vrid = priority(60));
    let out = bench.apply(&renumbered, ms + 100);
    assert_eq!(told(&out), names(&[("VI_2", State::Fault)]), "it starts, and its mates stay what they are");
    assert_eq!((states(&bench), group_state(&bench)), ([State::Fault; 2], State::Fault));
    // The other way round: what kept the group in fault went with the old identity.
    let moved = with(|_, second| {
        (second.interface, second.addresses) = (Some("eth0".into()), vec![address(VIP2, "eth0")]);
    });
    let out = bench.apply(&moved, ms + 200);
    let backup = ["VI_1", "G", "VI_2"].map(|name| (name, State::Backup));
    assert_eq!(told(&out), names(&backup));
}

#[test]
fn a_group_that_a_reload_leaves_with_its_masters_only_is_master_and_says_so() {
    // VI_1 is master and VI_2 follows one; they are bound, then VI_2 leaves.
    let (mut bench, _) = started(&config(two()));
    for second in 0..6 {
        let now = at_ms(500 + second * 1000);
        run_until(&mut bench, now);
        hear(&mut bench, 52, 200, now);
    }
    assert_eq!(states(&bench), [State::Master, State::Backup]);
    assert_eq!(told(&bench.apply(&pair(), 5_600)), vec![]);
    assert_eq!(group_state(&bench), State::Backup);
    let out = bench.apply(&grouped(two(), group(&["VI_1"])), 5_700);
    assert_eq!(told(&out), names(&[("G", State::Master)]));
    assert_eq!((states(&bench), group_state(&bench)), ([State::Master, State::Backup], State::Master));
    // With the other one instead of it.
    let out = bench.apply(&grouped(two(), group(&["VI_2"])), 5_800);
    assert_eq!(told(&out), names(&[("G", State::Backup)]));
}

#[test]
fn groups_keep_their_numbers_in_the_order_of_the_file() {
    let mut config = grouped(two(), group(&["VI_1"]));
    let mut second = group(&["VI_2"]);
    second.name = "H".to_owned();
    config.sync_groups.push(second);
    let (mut bench, _) = started(&config);
    let index = |bench: &Bench, name: &str| match bench.engine.row(&RowKey::SyncGroup(name.to_owned())) {
        Some(Row::SyncGroup(row)) => row.index,
        other => panic!("{other:?}"),
    };
    assert_eq!([index(&bench, "G"), index(&bench, "H")], [1, 2]);
    config.sync_groups.swap(0, 1);
    let out = bench.apply(&config, 100);
    assert_eq!([index(&bench, "G"), index(&bench, "H")], [2, 1]);
    assert!(out.contains(&Output::Changed(RowKey::SyncGroup("H".to_owned()))));
    assert_eq!(told(&out), vec![]);
}

fn stand_down(bench: &mut Bench, name: &str, down: bool, now: Instant) -> Vec<Output> {
    let command = Command::StandDown { instance: name.into(), down };
    bench.say_at(Input::Command { request: 1, command }, now)
}

fn standing_down(bench: &Bench) -> [bool; 2] {
    ["VI_1", "VI_2"].map(|name| bench.row(name).stood_down.is_some())
}

#[test]
fn a_group_stands_down_together_whichever_member_is_named_and_every_master_resigns_before_an_address_goes() {
    let (mut bench, at) = master(&pair());
    let out = stand_down(&mut bench, "VI_2", true, at);
    assert_eq!(sent(&out), [(51, 0), (52, 0)]);
    assert_eq!(told(&out), names(&[("VI_1", State::Backup), ("VI_2", State::Backup), ("G", State::Backup)]));
    let reasons: Vec<Reason> = super::engine_tests::edges(&out).into_iter().map(|(.., reason)| reason).collect();
    assert_eq!(reasons, [Reason::Commanded; 2]);
    assert_eq!(moves(&out), [(VIP, false), (VIP2, false)]);
    assert_eq!(super::engine_tests::order(&out), ["advert", "remove"]);
    assert_eq!(standing_down(&bench), [true; 2]);
    let again = at + Duration::from_nanos(3_996_093_750);
    assert_eq!(run_until(&mut bench, again - Duration::from_nanos(1)), []);
    let out = bench.say_at(Input::Wake, again);
    assert_eq!(sent(&out), [(51, 1), (52, 1)], "nobody else took over");
    stand_down(&mut bench, "VI_1", false, again);
    assert_eq!(standing_down(&bench), [false; 2]);
    let out = run_until(&mut bench, after(again, 1000));
    let priorities: Vec<(u8, u8)> = out.iter().flat_map(|(_, out)| sent(out)).collect();
    assert_eq!(priorities, [(51, 100), (52, 100)]);
}

#[test]
fn a_group_that_stands_down_follows_the_others_in_every_member() {
    let (mut bench, at) = master(&pair());
    stand_down(&mut bench, "VI_1", true, at);
    for second in 1..20 {
        for vrid in [51, 52] {
            hear(&mut bench, vrid, 50, after(at, second * 1000));
        }
        run_until(&mut bench, after(at, second * 1000 + 999));
    }
    assert_eq!((states(&bench), group_state(&bench)), ([State::Backup; 2], State::Backup));
    stand_down(&mut bench, "VI_1", false, after(at, 20_000));
    for second in 20..24 {
        for vrid in [51, 52] {
            hear(&mut bench, vrid, 50, after(at, second * 1000));
        }
        run_until(&mut bench, after(at, second * 1000 + 999));
    }
    assert_eq!((states(&bench), group_state(&bench)), ([State::Master; 2], State::Master));
}

#[test]
fn a_group_with_an_owner_does_not_stand_down() {
    let (mut bench, at) = master(&with(|first, _| first.priority = Priority::MAX));
    let out = stand_down(&mut bench, "VI_2", true, at);
    assert!(out.contains(&Output::Reply { request: 1, reply: Reply::Refused(Refusal::Owner) }));
    assert_eq!((standing_down(&bench), told(&out)), ([false; 2], vec![]));
}

#[test]
fn a_reload_that_binds_one_that_stands_down_to_others_lets_all_of_them_stand_down() {
    let (mut bench, _) = started(&config(two()));
    stand_down(&mut bench, "VI_1", true, at_ms(10));
    assert_eq!(standing_down(&bench), [true, false]);
    bench.apply(&pair(), 20);
    assert_eq!(standing_down(&bench), [true; 2]);
    assert_eq!(bench.row("VI_2").effective_priority.get(), 1);
    bench.apply(&with(|_, second| second.priority = Priority::MAX), 30);
    assert_eq!(standing_down(&bench), [false; 2]);
    assert_eq!(bench.row("VI_1").effective_priority.get(), 100);
}

#[derive(Debug, Clone)]
enum Step {
    StandDown(usize, bool),
    Link(u32, bool),
    Hear(u8, u8),
    Run(u64),
    Apply(usize),
    Shutdown,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop_oneof![Just(ETH0), Just(ETH1)], any::<bool>()).prop_map(|(index, up)| Step::Link(index, up)),
        6 => (51..=52u8, prop_oneof![Just(0), Just(50), Just(150)]).prop_map(|(vrid, strength)| Step::Hear(vrid, strength)),
        6 => (1..8_000u64).prop_map(Step::Run),
        4 => (0..6usize).prop_map(Step::Apply),
        4 => (0..2usize, any::<bool>()).prop_map(|(which, down)| Step::StandDown(which, down)),
        1 => Just(Step::Shutdown),
    ]
}

proptest! {
    #[test]
    fn what_a_group_counts_is_what_its_members_are(steps in proptest::collection::vec(step(), 1..40)) {
        let renumbered = with(|_, second| second.vrid = priority(60));
        let mut alone = pair();
        alone.instances.truncate(1);
        alone.sync_groups[0].members.truncate(1);
        let parts = [&["VI_1"][..], &["VI_2"]].map(|members| grouped(two(), group(members)));
        let [first, second] = parts;
        let configs = [pair(), config(two()), renumbered, alone, first, second];
        let (mut bench, _) = started(&pair());
        let mut now = at_ms(0);
        for step in steps {
            match step.clone() {
                Step::Link(index, up) => drop(bench.say_at(Input::Link(link(index, up)), now)),
                Step::Hear(vrid, strength) => drop(hear(&mut bench, vrid, strength, now)),
                Step::Run(ms) => {
                    now = after(now, ms);
                    drop(run_until(&mut bench, now));
                }
                Step::Apply(at) => drop(bench.apply(&configs[at], now.nanos() / 1_000_000)),
                Step::StandDown(which, down) => {
                    drop(stand_down(&mut bench, ["VI_1", "VI_2"][which], down, now));
                }
                Step::Shutdown => drop(bench.say_at(Input::Shutdown { keep_addresses: false }, now)),
            }
            for group in &bench.engine.groups {
                let members: Vec<_> = group.slots.iter().filter_map(|slot| bench.engine.router(*slot)).collect();
                let faulty = members.iter().filter(|router| !router.faults.is_empty()).count();
                let masters = members.iter().filter(|router| router.machine.is_master()).count();
                prop_assert_eq!((group.faulty, group.masters), (faulty, masters), "after {:?}", step);
                let down = members.iter().filter(|router| router.stood_down.is_some());
                prop_assert!(down.clone().count() == 0 || down.count() == members.len(), "after {:?}", step);
                for router in members.iter().filter(|router| router.stood_down.is_some()) {
                    prop_assert_eq!(router.machine.priority(), 1, "after {:?}", step);
                }
            }
        }
    }
}
