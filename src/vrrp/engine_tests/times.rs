//! What exporters ask of the engine: when adverts were due, when a takeover is complete, and who else claims to be master.

use super::*;
use crate::bus::rows::{Counters, OtherMaster};

fn dues(out: &[Output]) -> Vec<Option<Instant>> {
    let due = |output: &Output| match output {
        Output::Send(send) => Some(send.due),
        _ => None,
    };
    out.iter().filter_map(due).collect()
}

fn taken_over(out: &[Output]) -> Vec<Instant> {
    let due = |output: &Output| match output {
        Output::TakenOver { due } => Some(*due),
        _ => None,
    };
    out.iter().filter_map(due).collect()
}

#[test]
fn an_advert_that_leaves_late_tells_when_it_was_due_and_one_in_answer_is_due_at_once() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    let due = bench.engine.deadline().expect("a backup waits");
    let out = bench.say_at(Input::Wake, due + Duration::from_millis(7));
    assert_eq!(dues(&out), [Some(due)]);
    let next = due + Duration::from_millis(1007);
    assert_eq!(dues(&bench.say_at(Input::Wake, next + Duration::from_millis(3))), [Some(next)]);
    let now = next + Duration::from_millis(200);
    assert_eq!(dues(&bench.say_at(from_peer(&advert(51, 50)), now)), [Some(now)]);
    assert_eq!(dues(&bench.say_at(Input::Link(link(ETH1, false)), now)), []);
}

#[test]
fn an_advert_to_many_peers_is_due_once() {
    let third = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));
    let peers = [PEER, third].map(|address| Peer { address, min_ttl: None, max_ttl: None }).to_vec();
    let (mut bench, _) = Bench::started(&config(vec![unicast(peers, true)]));
    let (out, at) = bench.until_master();
    assert_eq!(dues(&out), [None, Some(at)]);
}

#[test]
fn an_interval_that_a_reload_makes_shorter_makes_nobody_late() {
    let every =
        |seconds| config(vec![Instance { advert_interval: Duration::from_secs(seconds), ..instance("VI_1", 51, VIP) }]);
    let (mut bench, _) = Bench::started(&every(10));
    let (_, at) = bench.until_master();
    let reloaded = at.nanos() / 1_000_000 + 5000;
    bench.apply(&every(1), reloaded);
    assert_eq!(bench.engine.deadline(), Some(at + Duration::from_secs(1)), "in the past");
    assert_eq!(dues(&bench.say(Input::Wake, reloaded + 1)), [Some(at_ms(reloaded))]);
}

#[test]
fn a_takeover_is_complete_with_the_last_address_and_the_first_announcement() {
    let second = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 101));
    let mut it = instance("VI_1", 51, VIP);
    it.addresses.push(address(second, "eth0"));
    let elsewhere = address(IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1)), "eth9");
    it.excluded.push(Address { no_track: true, ..elsewhere });
    let (mut bench, _) = Bench::started(&config(vec![it]));
    bench.answers = false;
    let (out, at) = bench.until_master();
    assert!(announced(&out) > 0);
    assert_eq!(taken_over(&out), []);
    let mut asked = addresses_of(&out).into_iter();
    assert_eq!(asked.len(), 2, "there is no eth9, and nobody waits for it");
    let mut answer = |bench: &mut Bench, error| {
        let (key, install) = asked.next().expect("two");
        bench.say_at(Input::AddressAnswer { key, install, error }, at)
    };
    assert_eq!(taken_over(&answer(&mut bench, None)), []);
    assert_eq!(taken_over(&answer(&mut bench, Some(12))), [], "the kernel refused");
    let again = bench.say_at(Input::Wake, at + Duration::from_secs(1));
    let (key, install) = addresses_of(&again).remove(0);
    let out = bench.say_at(Input::AddressAnswer { key, install, error: None }, at + Duration::from_millis(1001));
    assert_eq!(taken_over(&out), [at], "it was due then");
    assert_eq!(taken_over(&bench.say_at(Input::Wake, at + Duration::from_secs(5))), [], "once");
}

#[test]
fn a_takeover_after_a_resignation_is_due_after_the_skew() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.say(from_peer(&advert(51, 200)), 1000);
    bench.say(from_peer(&advert(51, 0)), 1500);
    let due = at_ms(1500) + Duration::from_micros(609_375);
    let out = bench.say_at(Input::Wake, due + Duration::from_millis(4));
    assert_eq!(taken_over(&out), [due]);
}

#[test]
fn where_nothing_is_announced_addresses_alone_complete_a_takeover_and_without_any_there_is_none() {
    let mut silent = instance("VI_1", 51, VIP);
    silent.garp.repeat = 0;
    let (mut bench, _) = Bench::started(&config(vec![silent]));
    let (out, at) = bench.until_master();
    assert_eq!((announced(&out), taken_over(&out)), (0, vec![at]));
    let (mut bench, _) = Bench::started(&config(vec![Instance { addresses: vec![], ..instance("VI_1", 51, VIP) }]));
    let (out, _) = bench.until_master();
    assert_eq!(taken_over(&out), []);
}

#[test]
fn a_takeover_that_ends_before_it_is_complete_is_none() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.answers = false;
    let (out, at) = bench.until_master();
    let (key, install) = addresses_of(&out).remove(0);
    bench.say_at(from_peer(&advert(51, 200)), at);
    let out = bench.say_at(Input::AddressAnswer { key, install, error: None }, at);
    assert_eq!(taken_over(&out), []);
}

#[test]
fn another_master_is_known_from_its_first_advert_until_it_resigns_or_this_one_is_master_again() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    let wall = |now: Instant| WallTime(WALL.0 + now.nanos());
    assert_eq!(bench.row("VI_1").last_advert, None);
    bench.say(from_peer(&advert(51, 90)), 100);
    let row = bench.row("VI_1");
    assert_eq!((row.last_advert, row.other_master), (Some(wall(at_ms(100))), None), "a backup has one master");
    let (_, at) = bench.until_master();
    let heard = at + Duration::from_millis(10);
    let out = bench.say_at(from_peer(&advert(51, 90)), heard);
    assert!(out.contains(&Output::Changed(RowKey::Instance("VI_1".into()))));
    let rival = OtherMaster { address: PEER, priority: 90, at: wall(heard) };
    let row = bench.row("VI_1");
    assert_eq!(
        (row.other_master, row.last_advert, row.counters.other_master_adverts),
        (Some(rival), Some(rival.at), 1)
    );
    let again = at + Duration::from_millis(20);
    let out = bench.say_at(from_peer(&advert(51, 90)), again);
    assert!(!out.contains(&Output::Changed(RowKey::Instance("VI_1".into()))), "it may wait for the next second");
    assert_eq!(bench.row("VI_1").other_master.map(|it| it.at), Some(wall(again)));
    bench.say_at(from_peer(&advert(51, 0)), again);
    assert_eq!(bench.row("VI_1").other_master, None);
    let out = bench.say_at(from_peer(&advert(51, 200)), again);
    assert_eq!(edges(&out).len(), 1);
    assert_eq!(bench.row("VI_1").other_master.map(|it| it.priority), Some(200));
    bench.until_master();
    assert_eq!(bench.row("VI_1").other_master, None);
}

#[test]
fn entries_into_states_are_as_many_as_edges_and_counters_are_cleared_together() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    let (_, at) = bench.until_master();
    bench.say_at(from_peer(&advert(51, 50)), at);
    bench.say_at(Input::Link(link(ETH0, false)), at);
    bench.say_at(Input::Link(link(ETH0, true)), at);
    let entered = |bench: &Bench| {
        let it = bench.row("VI_1").counters;
        [it.entered_init, it.entered_backup, it.became_master, it.entered_fault, it.other_master_adverts]
    };
    assert_eq!(entered(&bench), [0, 2, 1, 1, 1]);
    bench.say_at(Input::ClearCounters, at);
    assert_eq!(bench.row("VI_1").counters, Counters::default());
    assert!(bench.row("VI_1").last_advert.is_some(), "that is no counter");
    bench.say_at(Input::Shutdown { keep_addresses: false }, at);
    assert_eq!(entered(&bench), [1, 0, 0, 0, 0]);
}

#[test]
fn the_master_down_interval_is_the_one_in_use() {
    let (mut bench, _) = Bench::started(&config(vec![Instance { version: Version::V3, ..instance("VI_1", 51, VIP) }]));
    assert_eq!(bench.row("VI_1").master_down_ns, 3_609_375_000);
    let quick = Outgoing {
        version: Version::V3,
        vrid: 51,
        priority: 200,
        interval: Duration::from_millis(100),
        claim: crate::wire::vrrp::Claim::Nothing,
        addresses: &[VIP],
    };
    bench.say(from_peer(&quick.encode(Cover::Pseudo { source: PEER, destination: GROUP })), 10);
    assert_eq!(bench.row("VI_1").master_down_ns, 360_937_500);
    bench.until_master();
    assert_eq!(bench.row("VI_1").master_down_ns, 3_609_375_000, "a master has its own");
}

#[test]
fn a_priority_that_a_set_put_in_the_place_of_the_configured_one_is_said_to_be_until_it_is_the_same_again() {
    let file = |value| config(vec![Instance { priority: priority(value), ..instance("VI_1", 51, VIP) }]);
    let (mut bench, _) = Bench::started(&file(100));
    let set = |bench: &mut Bench, value| {
        let command = Command::SetPriority { instance: "VI_1".into(), priority: priority(value) };
        bench.say(Input::Command { request: 1, command }, 10);
        bench.row("VI_1").priority_overridden
    };
    assert!(!bench.row("VI_1").priority_overridden);
    assert!(set(&mut bench, 120));
    assert!(!set(&mut bench, 100));
    assert!(set(&mut bench, 120));
    bench.apply(&file(100), 20);
    assert!(!bench.row("VI_1").priority_overridden, "a reload returns to the file");
    assert!(set(&mut bench, 120));
    bench.apply(&file(120), 20);
    assert!(!bench.row("VI_1").priority_overridden);
}
