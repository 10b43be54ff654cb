//! Sentences about routes and rules: when they are asked for, in which order, and what becomes of them.

use std::net::IpAddr;

use super::engine_tests::*;
use super::io::{Input, KernelLine, LineChange, LineKind, Output};
use crate::bus::rows::{Row, RowKey, State};
use crate::conf::model::{
    Config, Family, Instance, InstanceName, Location, NextHop, Placement, Prefix, Route, Rule, RuleAction, TrackGroup,
};

const EEXIST: i32 = 17;
const ENETUNREACH: i32 = 101;

fn route(third: u8, interface: &str) -> Route {
    let destination = Prefix { address: IpAddr::from([10, 9, third, 0]), length: 24 };
    Route { interface: Some(interface.into()), ..Route::to(Location::default(), destination) }
}

fn rule(preference: u32) -> Rule {
    Rule::new(Location::default(), Family::V4, RuleAction::Table(100), preference)
}

fn with_lines(routes: Vec<Route>, rules: Vec<Rule>) -> Config {
    config(vec![Instance { routes, rules, ..instance("VI_1", 51, VIP) }])
}

fn changes(out: &[Output]) -> Vec<&LineChange> {
    out.iter().filter_map(|output| if let Output::Line(change) = output { Some(change) } else { None }).collect()
}

/// `+route 1`, `-rule 2` and so on, with addresses as `+address`.
fn story(out: &[Output]) -> Vec<String> {
    let sign = |install: bool| if install { '+' } else { '-' };
    let change = |output: &Output| match output {
        Output::Line(LineChange { key, install, .. }) => {
            let kind = if key.kind == LineKind::Route { "route" } else { "rule" };
            Some(format!("{}{kind} {}", sign(*install), key.position))
        }
        Output::Address(change) => Some(format!("{}address", sign(change.install))),
        _ => None,
    };
    out.iter().filter_map(change).collect()
}

impl Bench {
    /// The kernel takes every change of a route or a rule that was asked for.
    fn take(&mut self, out: &[Output], ms: u64) -> Vec<Output> {
        self.judge(out, None, ms)
    }

    fn judge(&mut self, out: &[Output], error: Option<i32>, ms: u64) -> Vec<Output> {
        let mut more = vec![];
        for LineChange { key, install, .. } in changes(out).into_iter().cloned() {
            more.extend(self.say(Input::LineAnswer { key, install, error, text: "no reason".into() }, ms));
        }
        more
    }

    fn installed(&self, owner: Option<&str>, kind: LineKind, position: u32) -> bool {
        let owner: Option<InstanceName> = owner.map(Into::into);
        match (kind, super::routes::row_key(kind, owner, position)) {
            (LineKind::Route, key) => matches!(self.engine.row(&key), Some(Row::Route(row)) if row.installed),
            (LineKind::Rule, key) => matches!(self.engine.row(&key), Some(Row::Rule(row)) if row.installed),
        }
    }
}

/// A master whose lines the kernel has taken, the time in ms, and what was said.
fn master(config: &Config) -> (Bench, u64, Vec<Output>) {
    let (mut bench, started) = Bench::started(config);
    bench.take(&started, 0);
    let (out, at) = bench.until_master();
    let ms = at.nanos() / 1_000_000;
    bench.take(&out, ms);
    (bench, ms, out)
}

fn gone(out: &[Output]) -> Vec<Input<'static>> {
    changes(out).into_iter().map(|change| Input::LineGone(change.line.news())).collect()
}

#[test]
fn routes_come_behind_the_addresses_and_rules_last_and_they_leave_the_other_way_round() {
    let config = with_lines(vec![route(1, "eth0"), route(2, "eth1")], vec![rule(5)]);
    let (mut bench, ms, out) = master(&config);
    assert_eq!(story(&out), ["+address", "+route 1", "+route 2", "+rule 1"]);
    assert!(bench.installed(Some("VI_1"), LineKind::Route, 2) && bench.installed(Some("VI_1"), LineKind::Rule, 1));
    let out = bench.say(Input::Shutdown { keep_addresses: false }, ms + 10);
    assert_eq!(story(&out), ["-rule 1", "-route 1", "-route 2", "-address"]);
}

#[test]
fn static_lines_are_asked_for_at_the_start_and_stay_until_the_end() {
    let config = Config {
        static_routes: vec![route(1, "eth1")],
        static_rules: vec![rule(5)],
        ..config(vec![instance("VI_1", 51, VIP)])
    };
    let (mut bench, out) = Bench::started(&config);
    assert_eq!(story(&out), ["+route 1", "+rule 1"]);
    bench.take(&out, 0);
    assert!(bench.installed(None, LineKind::Route, 1));
    let out = bench.say(Input::Shutdown { keep_addresses: false }, 10);
    assert_eq!(story(&out), ["-rule 1", "-route 1"]);
}

#[test]
fn a_refused_route_is_told_once_and_asked_for_again_later_and_the_router_stays_master() {
    let config = with_lines(vec![route(1, "eth0")], vec![]);
    let (mut bench, started) = Bench::started(&config);
    assert_eq!(story(&started), [] as [&str; 0]);
    let (out, at) = bench.until_master();
    let ms = at.nanos() / 1_000_000;
    let told = bench.judge(&out, Some(ENETUNREACH), ms);
    assert_eq!(
        logs(&told),
        ["(VI_1) cannot add route 10.9.1.0/24 dev eth0: Network is unreachable (os error 101): no reason"]
    );
    let again = bench.say(Input::Wake, ms + 1000);
    assert_eq!(story(&again), ["+route 1"]);
    let told = bench.judge(&again, Some(ENETUNREACH), ms + 1000);
    assert_eq!(logs(&told), [] as [&str; 0], "nothing new");
    let again = bench.say(Input::Wake, ms + 3000);
    bench.take(&again, ms + 3000);
    assert!(bench.installed(Some("VI_1"), LineKind::Route, 1));
    assert_eq!(bench.row("VI_1").state, State::Master);
}

#[test]
fn a_refused_route_is_tried_again_soon_when_an_address_comes() {
    let config = with_lines(vec![route(1, "eth0")], vec![]);
    let (mut bench, _) = Bench::started(&config);
    let (out, at) = bench.until_master();
    let ms = at.nanos() / 1_000_000;
    bench.judge(&out, Some(ENETUNREACH), ms);
    bench.say(Input::HostAddress(on_host(ETH1, PEER)), ms + 10);
    assert_eq!(story(&bench.say(Input::Wake, ms + 109)), [] as [&str; 0]);
    assert_eq!(story(&bench.say(Input::Wake, ms + 110)), ["+route 1"]);
}

#[test]
fn what_somebody_removes_is_asked_for_at_once_and_told_when_it_was_really_gone() {
    let config = with_lines(vec![route(1, "eth0")], vec![rule(5)]);
    let (mut bench, ms, out) = master(&config);
    for (news, name) in gone(&out).into_iter().zip(["route 10.9.1.0/24 dev eth0", "rule 5"]) {
        let again = bench.say(news.clone(), ms + 10);
        assert_eq!(changes(&again).len(), 1);
        let told = bench.take(&again, ms + 11);
        assert_eq!(logs(&told), [format!("(VI_1) {name} was removed by somebody else and is back")]);
        // A second time within the second it waits; and late news of what is there is not believed for long.
        assert_eq!(story(&bench.say(news, ms + 20)), [] as [&str; 0]);
        let again = bench.say(Input::Wake, ms + 1020);
        assert_eq!(changes(&again).len(), 1);
        let told = bench.judge(&again, Some(EEXIST), ms + 1021);
        assert_eq!(logs(&told), [] as [&str; 0], "it was there");
    }
    assert!(bench.installed(Some("VI_1"), LineKind::Route, 1) && bench.installed(Some("VI_1"), LineKind::Rule, 1));
}

#[test]
fn what_is_not_tracked_or_expires_is_not_put_back_before_the_next_takeover() {
    let untracked = Route { no_track: true, ..route(1, "eth0") };
    let mut expires = route(2, "eth0");
    (expires.destination, expires.family) = (Prefix { address: "2001:db8::".parse().unwrap(), length: 64 }, Family::V6);
    expires.expires = Some(600);
    let config = with_lines(vec![untracked, expires], vec![Rule { no_track: true, ..rule(5) }]);
    let (mut bench, ms, out) = master(&config);
    for news in gone(&out) {
        assert_eq!(story(&bench.say(news, ms + 10)), [] as [&str; 0]);
    }
    assert!(!bench.installed(Some("VI_1"), LineKind::Route, 1), "and rows know it");
    let out = bench.say(Input::Shutdown { keep_addresses: false }, ms + 20);
    assert_eq!(story(&out), ["-rule 1", "-route 1", "-route 2", "-address"]);
}

#[test]
fn a_route_waits_for_its_interface_and_so_does_its_router() {
    let (mut bench, ms, _) = master(&with_lines(vec![route(1, "eth1")], vec![]));
    let down = bench.say(Input::Link(link(ETH1, false)), ms + 10);
    assert_eq!(bench.row("VI_1").state, State::Fault);
    assert_eq!(bench.row("VI_1").faults, ["interface eth1, which it has addresses, routes or rules on, is down"]);
    // The kernel has removed it with the interface.
    assert_eq!(story(&down), ["-address"]);
    bench.say(Input::Link(link(ETH1, true)), ms + 20);
    let (out, _) = bench.until_master();
    assert_eq!(story(&out), ["+address", "+route 1"]);
}

#[test]
fn a_route_without_its_interface_is_asked_for_when_that_comes_with_its_new_number() {
    let mut multipath = route(1, "eth0");
    multipath.interface = None;
    let hop = |name: &str| NextHop { interface: Some(name.into()), ..NextHop::default() };
    multipath.hops = vec![hop("eth0"), hop("eth1")];
    multipath.no_track = true;
    let config = Config { static_routes: vec![multipath], ..config(vec![instance("VI_1", 51, VIP)]) };
    let (mut bench, out) = Bench::started(&config);
    assert_eq!(story(&out), ["+route 1"]);
    let config = Config { static_routes: vec![route(2, "eth1")], ..config };
    let out = bench.apply(&config, 5);
    assert_eq!(story(&out), ["-route 2147483648", "+route 1"]);
    bench.take(&out, 5);
    bench.say(Input::LinkGone(ETH1), 10);
    assert!(!bench.installed(None, LineKind::Route, 1));
    let back = super::io::Link { index: 9, name: "eth1".into(), ..link(ETH1, true) };
    let out = bench.say(Input::Link(back), 20);
    assert!(
        matches!(&changes(&out)[..], [LineChange { line: KernelLine::Route(route), .. }] if route.interface == Some(9))
    );
}

#[test]
fn a_route_that_the_kernel_drops_with_its_source_is_asked_for_again() {
    let from_vip = Route { source: Some(VIP), ..route(1, "eth0") };
    let (mut bench, ms, _) = master(&with_lines(vec![from_vip], vec![]));
    bench.say(Input::HostAddress(on_host(ETH0, VIP)), ms + 1);
    let out = bench.say(Input::HostAddressGone(on_host(ETH0, VIP)), ms + 10);
    assert_eq!(story(&out), ["+address", "+route 1"]);
}

#[test]
fn when_news_were_lost_all_that_is_tracked_is_asked_for_again() {
    let untracked = Route { no_track: true, ..route(3, "eth0") };
    let (mut bench, ms, _) = master(&with_lines(vec![route(1, "eth0"), untracked, route(2, "eth1")], vec![rule(5)]));
    let out = bench.say(Input::LinesUncertain, ms + 10);
    assert_eq!(story(&out), ["+route 1", "+route 3", "+rule 1"]);
    let asked: Vec<_> = changes(&out).into_iter().cloned().collect();
    for (at, LineChange { key, install, .. }) in asked.into_iter().enumerate() {
        let error = (at != 1).then_some(EEXIST);
        let told = bench.say(Input::LineAnswer { key, install, error, text: String::new() }, ms + 11);
        assert_eq!(logs(&told).len(), usize::from(at == 1), "only the second one was missing");
    }
}

#[test]
fn a_reload_touches_only_what_changed() {
    let old = with_lines(vec![route(1, "eth0"), route(2, "eth0")], vec![rule(5)]);
    let (mut bench, ms, _) = master(&old);
    let new = with_lines(vec![route(2, "eth0"), route(3, "eth0")], vec![rule(5), rule(6)]);
    let out = bench.apply(&new, ms + 10);
    assert_eq!(story(&out), ["-route 2147483648", "+route 2", "+rule 2"]);
    bench.take(&out, ms + 10);
    assert_eq!(story(&bench.apply(&new, ms + 20)), [] as [&str; 0], "the same file once more");
    let out = bench.apply(&config(vec![]), ms + 30);
    assert_eq!(story(&out)[..2], ["-rule 2147483649", "-rule 2147483650"]);
    assert_eq!(story(&out).len(), 5, "two rules, two routes, one address: {:?}", story(&out));
}

#[test]
fn what_would_not_go_is_asked_to_go_again() {
    let (mut bench, ms, _) = master(&with_lines(vec![route(1, "eth0")], vec![]));
    let out = bench.apply(&config(vec![]), ms + 10);
    assert!(story(&out).contains(&"-route 2147483648".to_owned()));
    bench.judge(&out, Some(12), ms + 10);
    let again = bench.say(Input::Wake, ms + 1010);
    assert_eq!(story(&again), ["-route 2147483648"]);
    bench.take(&again, ms + 1010);
    assert_eq!(bench.engine.deadline(), None, "nothing is left to do");
}

#[test]
fn a_route_that_wants_to_be_alone_is_refused_beside_another_and_not_when_it_is_the_one() {
    let alone = Route { placement: Placement::Add, ..route(1, "eth0") };
    let (mut bench, _) = Bench::started(&with_lines(vec![alone], vec![]));
    let (out, at) = bench.until_master();
    let ms = at.nanos() / 1_000_000;
    let told = bench.judge(&out, Some(EEXIST), ms);
    assert_eq!(logs(&told), ["(VI_1) cannot add route 10.9.1.0/24 dev eth0: File exists (os error 17): no reason"]);
    let again = bench.say(Input::Wake, ms + 1000);
    bench.take(&again, ms + 1000);
    let out = bench.say(Input::LinesUncertain, ms + 1100);
    assert_eq!(logs(&bench.judge(&out, Some(EEXIST), ms + 1100)), [] as [&str; 0]);
    assert!(bench.installed(Some("VI_1"), LineKind::Route, 1));
}

#[test]
fn two_owners_of_one_rule_keep_it_while_one_is_master() {
    let mut other = instance("VI_2", 52, PEER);
    other.rules = vec![rule(5)];
    let mut both = with_lines(vec![], vec![rule(5)]);
    both.instances.push(other);
    let (mut bench, ms, _) = master(&both);
    let mut ms = ms;
    while bench.row("VI_2").state != State::Master || bench.row("VI_1").state != State::Master {
        ms += 100;
        let out = bench.say(Input::Wake, ms);
        bench.take(&out, ms);
    }
    both.instances.remove(0);
    let out = bench.apply(&both, ms + 10);
    let news = gone(&out);
    let [Input::LineGone(_)] = &news[..] else { panic!("{news:?}") };
    for gone in news {
        let again = bench.say(gone, ms + 11);
        assert_eq!(story(&again), ["+rule 1"], "the other one still wants it");
    }
}

#[test]
fn members_of_a_track_group_fail_with_a_static_route_that_was_there_and_cannot_come_back() {
    let group = TrackGroup { name: "G".into(), members: vec!["VI_1".into()], routes: vec![1], ..TrackGroup::default() };
    let with_group = Config {
        static_routes: vec![route(1, "eth0")],
        track_groups: vec![group],
        ..config(vec![instance("VI_1", 51, VIP), instance("VI_2", 52, PEER)])
    };
    let (mut bench, out) = Bench::started(&with_group);
    bench.judge(&out, Some(ENETUNREACH), 0);
    assert_ne!(bench.row("VI_1").state, State::Fault, "it was not there yet");
    let out = bench.say(Input::Wake, 1000);
    bench.take(&out, 1000);
    let [gone] = &gone(&out)[..] else { panic!("one route") };
    let again = bench.say(gone.clone(), 3000);
    bench.judge(&again, Some(ENETUNREACH), 3001);
    assert_eq!(bench.row("VI_1").faults, ["static route 10.9.1.0/24 dev eth0 was removed and cannot be put back"]);
    assert_eq!(bench.row("VI_1").state, State::Fault);
    assert_ne!(bench.row("VI_2").state, State::Fault);
    let again = bench.say(Input::Wake, 4001);
    bench.take(&again, 4001);
    assert_ne!(bench.row("VI_1").state, State::Fault);
}

#[test]
fn rows_of_static_lines_have_no_owner() {
    let config = Config { static_rules: vec![rule(5)], ..config(vec![]) };
    let (bench, _) = Bench::started(&config);
    assert!(
        matches!(bench.engine.row(&RowKey::Rule { owner: None, position: 1 }), Some(Row::Rule(row)) if row.owner_index == 0)
    );
}
