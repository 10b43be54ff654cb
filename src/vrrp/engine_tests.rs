//! Sentences about the engine: what goes in at an exact time, what comes out and in which order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::engine::{Engine, EngineOptions};
use super::io::{AddressKey, Block, Datagram, HostAddress, Input, Level, Link, Listen, Output};
use crate::bus::msg::{Command, Edge, Refusal, Reply};
use crate::bus::rows::{InstanceRow, Reason, RouterCounters, Row, RowKey, State};
use crate::clock::{Instant, WallTime};
use crate::conf::model::{
    Address, AddressFlags, Auth, Config, Family, Garp, InitialState, Instance, InstanceName, Location, Notify,
    OldUnicastChecksum, Peer, Preempt, Priority, TrackedInterface, Transport, Version,
};
use crate::wire::vrrp::{Claim, Cover, Outgoing};

mod directives;
mod protect;
mod rfc;
mod stand_down;
mod times;
mod vmac;

pub(super) const ETH0: u32 = 2;
pub(super) const ETH1: u32 = 3;
pub(super) const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));
pub(super) const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
pub(super) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
pub(super) const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100));
pub(super) const WALL: WallTime = WallTime(1_000_000_000_000);

pub(super) fn at_ms(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

pub(super) fn priority(value: u8) -> Priority {
    Priority::new(value).expect("not zero")
}

pub(super) fn address(address: IpAddr, interface: &str) -> Address {
    Address {
        location: Location::default(),
        address,
        prefix: 24,
        interface: interface.into(),
        scope: 0,
        broadcast: None,
        label: None,
        peer: None,
        flags: AddressFlags::default(),
        preferred_lifetime: None,
        no_track: false,
    }
}

/// Version 2, priority 100, one second, on eth0.
pub(super) fn instance(name: &str, vrid: u8, vip: IpAddr) -> Instance {
    Instance {
        name: name.into(),
        location: Location::default(),
        family: Family::V4,
        version: Version::V2,
        vrid: priority(vrid),
        interface: Some("eth0".into()),
        vmacs: Default::default(),
        vrf: None,
        initial_state: InitialState::Backup,
        priority: priority(100),
        advert_interval: Duration::from_secs(1),
        down_timer_adverts: 3,
        addresses: vec![address(vip, "eth0")],
        excluded: vec![],
        preempt: Preempt::After(Duration::ZERO),
        accept: true,
        strict: false,
        auth: None,
        hmac: false,
        source: None,
        transport: Transport::Multicast { group: GROUP },
        track_primary: true,
        track_source: false,
        tracked_interfaces: vec![],
        tracks: vec![],
        routes: vec![],
        rules: vec![],
        garp: Garp {
            delay: Duration::from_secs(5),
            repeat: 2,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_prio_delay: Duration::from_secs(5),
            lower_prio_repeat: 1,
            interval: Duration::ZERO,
            gna_interval: Duration::ZERO,
            extra_interval: Duration::ZERO,
            extra_all: false,
        },
        lower_prio_no_advert: false,
        higher_prio_send_advert: false,
        owner_ignore_adverts: false,
        skip_check_adv_addr: false,
        v3_checksum_as_v2: false,
        old_unicast_checksum: OldUnicastChecksum::Detect,
        timer_expired_backup: None,
        promote_secondaries: false,
        use_linkbeat: false,
        receive_buffer: None,
        notify: Notify::default(),
        sync_group: None,
        lvs_sync_interface: None,
        smtp_alert: false,
    }
}

pub(super) fn config(instances: Vec<Instance>) -> Config {
    Config { instances, ..Config::default() }
}

pub(super) fn link(index: u32, up: bool) -> Link {
    Link {
        index,
        name: format!("eth{}", index - ETH0),
        admin_up: up,
        running: up,
        loopback: false,
        multicast: true,
        mac: Some([2, 0, 0, 0, 0, index as u8]),
        mtu: 1500,
        vrf: None,
    }
}

pub(super) fn on_host(interface: u32, address: IpAddr) -> HostAddress {
    HostAddress { interface, address, prefix: 24, secondary: false, tentative: false }
}

/// An engine with its kernel: every address change succeeds and is answered at once.
pub(super) struct Bench {
    pub(super) engine: Engine,
    /// When false, the test answers itself.
    pub(super) answers: bool,
}

impl Bench {
    /// Started at time zero, with eth0 (10.0.0.1) and eth1 up. Returns what it said, too.
    pub(super) fn started(config: &Config) -> (Bench, Vec<Output>) {
        let engine = Engine::new(config, EngineOptions::default(), at_ms(0), WALL);
        let mut bench = Bench { engine, answers: true };
        let mut out = vec![];
        for input in [
            Input::Link(link(ETH0, true)),
            Input::Link(link(ETH1, true)),
            Input::HostAddress(on_host(ETH0, OURS)),
            Input::HostAddress(on_host(ETH0, IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)))),
            Input::Wake,
        ] {
            out.extend(bench.say(input, 0));
        }
        (bench, out)
    }

    pub(super) fn say(&mut self, input: Input<'_>, ms: u64) -> Vec<Output> {
        self.say_at(input, at_ms(ms))
    }

    pub(super) fn say_at(&mut self, input: Input<'_>, now: Instant) -> Vec<Output> {
        let mut out = vec![];
        self.engine.handle(input, now, &mut out);
        self.answer(&mut out, now);
        out
    }

    pub(super) fn apply(&mut self, new: &Config, ms: u64) -> Vec<Output> {
        let mut out = vec![];
        self.engine.apply(new, at_ms(ms), &mut out);
        self.answer(&mut out, at_ms(ms));
        out
    }

    fn answer(&mut self, out: &mut Vec<Output>, now: Instant) {
        if !self.answers {
            return;
        }
        for (key, install) in addresses_of(out) {
            self.engine.handle(Input::AddressAnswer { key, install, error: None }, now, out);
        }
    }

    /// Lets time pass until the instance is master, and returns what was said then.
    pub(super) fn until_master(&mut self) -> (Vec<Output>, Instant) {
        loop {
            let at = self.engine.deadline().expect("something is due");
            let out = self.say_at(Input::Wake, at);
            if logs(&out).iter().any(|text| text.ends_with("Entering MASTER STATE")) {
                return (out, at);
            }
        }
    }

    pub(super) fn row(&self, name: &str) -> InstanceRow {
        match self.engine.row(&RowKey::Instance(name.into())) {
            Some(Row::Instance(row)) => *row,
            other => panic!("no row of {name}: {other:?}"),
        }
    }

    pub(super) fn router(&self) -> RouterCounters {
        match self.engine.row(&RowKey::Router) {
            Some(Row::Router(counters)) => counters,
            other => panic!("no router row: {other:?}"),
        }
    }
}

pub(super) fn addresses_of(out: &[Output]) -> Vec<(AddressKey, bool)> {
    let change = |output: &Output| match output {
        Output::Address(change) => Some((change.key.clone(), change.install)),
        _ => None,
    };
    out.iter().filter_map(change).collect()
}

pub(super) fn interfaces_of(out: &[Output]) -> Vec<u32> {
    let change = |output: &Output| match output {
        Output::Address(change) => Some(change.interface),
        _ => None,
    };
    out.iter().filter_map(change).collect()
}

pub(super) fn moves(out: &[Output]) -> Vec<(IpAddr, bool)> {
    let change = |output: &Output| match output {
        Output::Address(change) => Some((change.address.address, change.install)),
        _ => None,
    };
    out.iter().filter_map(change).collect()
}

pub(super) fn logs<'a>(out: &'a [Output]) -> Vec<&'a str> {
    let text = |output: &'a Output| match output {
        Output::Log(log) => Some(log.text.as_str()),
        _ => None,
    };
    out.iter().filter_map(text).collect()
}

pub(super) fn edges(out: &[Output]) -> Vec<(State, State, Reason)> {
    let edge = |output: &Output| match output {
        Output::Edge(Edge::Transition { from, to, reason, .. }) => Some((*from, *to, *reason)),
        _ => None,
    };
    out.iter().filter_map(edge).collect()
}

pub(super) fn sent(out: &[Output]) -> Vec<u8> {
    let priority = |output: &Output| match output {
        Output::Send(send) => Some(send.payload[2]),
        _ => None,
    };
    out.iter().filter_map(priority).collect()
}

pub(super) fn announced(out: &[Output]) -> usize {
    out.iter().filter(|output| matches!(output, Output::Announce(_))).count()
}

/// What matters to the order of things.
pub(super) fn order(out: &[Output]) -> Vec<&'static str> {
    let mut order: Vec<&str> = out
        .iter()
        .filter_map(|output| match output {
            Output::Send(_) => Some("advert"),
            Output::Address(change) if change.install => Some("install"),
            Output::Address(_) => Some("remove"),
            Output::Announce(_) => Some("announce"),
            Output::Block(_) => Some("block"),
            Output::Listen(_) => Some("listen"),
            Output::Vmacs(_) => Some("vmacs"),
            _ => None,
        })
        .collect();
    order.dedup();
    order
}

pub(super) fn advert(vrid: u8, priority: u8) -> Vec<u8> {
    advert_of(Version::V2, vrid, priority, &[VIP], None, Cover::Message)
}

pub(super) fn advert_of(
    version: Version,
    vrid: u8,
    priority: u8,
    addresses: &[IpAddr],
    password: Option<[u8; 8]>,
    cover: Cover,
) -> Vec<u8> {
    let claim = password.map_or(Claim::Nothing, Claim::Password);
    Outgoing { version, vrid, priority, interval: Duration::from_secs(1), claim, addresses }.encode(cover)
}

pub(super) fn from_peer(payload: &[u8]) -> Input<'_> {
    Input::Datagram(Datagram { interface: ETH0, source: PEER, destination: GROUP, ttl: 255, payload })
}

#[test]
fn nothing_starts_before_the_host_is_known() {
    let engine = Engine::new(&config(vec![instance("VI_1", 51, VIP)]), EngineOptions::default(), at_ms(0), WALL);
    let mut bench = Bench { engine, answers: true };
    assert!(bench.say(Input::Link(link(ETH0, true)), 0).iter().all(|output| !matches!(output, Output::Edge(_))));
    assert!(bench.say(Input::HostAddress(on_host(ETH0, OURS)), 0).is_empty());
    assert_eq!(bench.row("VI_1").state, State::Init);
    let out = bench.say(Input::Wake, 5);
    assert_eq!(edges(&out), [(State::Init, State::Backup, Reason::Startup)]);
    assert_eq!(bench.engine.deadline(), Some(at_ms(5) + Duration::from_micros(3_609_375)));
    let sockets = Output::Listen(vec![Listen::Multicast { interface: ETH0, group: GROUP }]);
    assert_eq!(out.iter().filter(|output| **output == sockets).count(), 1);
}

#[test]
fn a_new_master_advertises_then_installs_then_announces() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    let (out, at) = bench.until_master();
    assert_eq!(at, Instant::ZERO + Duration::from_micros(3_609_375));
    assert_eq!(order(&out), ["advert", "install", "announce"]);
    assert_eq!(announced(&out), 2, "garp_master_repeat");
    assert!(logs(&out).contains(&"(VI_1) Entering MASTER STATE"));
    let row = bench.row("VI_1");
    assert_eq!((row.state, row.addresses_set, row.reason), (State::Master, true, Reason::MasterNoResponse));
    assert_eq!(row.since, WallTime(WALL.0 + 3_609_375_000));
    assert_eq!((row.counters.became_master, row.counters.adverts_sent), (1, 1));
}

#[test]
fn the_second_burst_follows_after_its_delay_and_a_master_that_yields_announces_nothing_more() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    let (_, at) = bench.until_master();
    let mut late = 0;
    let burst = at + Duration::from_secs(5);
    while bench.engine.deadline().is_some_and(|at| at <= burst) {
        let now = bench.engine.deadline().expect("checked");
        let here = announced(&bench.say_at(Input::Wake, now));
        assert!(here == 0 || now == burst);
        late += here;
    }
    assert_eq!(late, 2);
    let out = bench.say_at(from_peer(&advert(51, 200)), burst);
    assert_eq!(edges(&out), [(State::Master, State::Backup, Reason::HigherPriorityHeard)]);
    assert_eq!(moves(&out), [(VIP, false)]);
    let row = bench.row("VI_1");
    assert_eq!((row.master, row.addresses_set, row.counters.released_master), (Some((PEER, 200)), false, 1));
}

#[test]
fn a_row_tells_the_kind_of_authentication_and_not_the_pass_phrase() {
    let with = |auth| Instance { auth: Some(auth), ..instance("VI_1", 51, VIP) };
    for (auth, told) in [(Auth::Pass(*b"secret\0\0"), Auth::Pass([0; 8])), (Auth::Ah(*b"secret\0\0"), Auth::Ah([0; 8]))]
    {
        let (bench, _) = Bench::started(&config(vec![with(auth)]));
        // `Auth` prints no octets, so it is compared without being printed.
        assert!(bench.row("VI_1").config.auth == Some(told));
    }
}

#[test]
fn adverts_are_found_unfit_and_counted_by_reason() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    let deadline = bench.engine.deadline();
    let good = advert(51, 200);
    let mut with_ttl = from_peer(&good);
    if let Input::Datagram(datagram) = &mut with_ttl {
        datagram.ttl = 254;
    }
    bench.say(with_ttl, 10);
    bench.say(from_peer(&good[..7]), 10);
    bench.say(from_peer(&advert(52, 200)), 10);
    let mut bytes = good.clone();
    bytes[7] ^= 1;
    bench.say(from_peer(&bytes), 10);
    let v3 = Cover::Pseudo { source: PEER, destination: GROUP };
    bench.say(from_peer(&advert_of(Version::V3, 51, 200, &[VIP], None, v3)), 10);
    bench.say(from_peer(&advert_of(Version::V2, 51, 200, &[PEER], None, Cover::Message)), 10);
    bench.say(from_peer(&advert_of(Version::V2, 51, 200, &[VIP], Some([1; 8]), Cover::Message)), 10);
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes[6..8].copy_from_slice(&[0, 0]);
        let checksum = crate::wire::checksum::Sum::default().bytes(&bytes).finish();
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
        bytes
    };
    bench.say(from_peer(&changed(0, 0x22)), 10);
    bench.say(from_peer(&changed(3, 2)), 10);
    bench.say(from_peer(&changed(4, 9)), 10);
    bench.say(from_peer(&changed(5, 2)), 10);

    let router = bench.router();
    assert_eq!(router, RouterCounters { checksum_errors: 1, version_errors: 1, vrid_errors: 1, truncated: 1 });
    let counters = bench.row("VI_1").counters;
    assert_eq!((counters.checksum_errors, counters.version_errors), (1, 1), "of the instance and of the router");
    assert_eq!(counters.ttl_errors, 1);
    assert_eq!(counters.address_list_errors, 1);
    assert_eq!(counters.auth_type_mismatch, 1);
    assert_eq!(counters.invalid_type, 1);
    assert_eq!(counters.packet_length_errors, 1);
    assert_eq!(counters.invalid_auth_type, 1);
    assert_eq!(counters.advert_interval_errors, 1);
    assert_eq!(counters.adverts_received, 0);
    assert_eq!(bench.engine.deadline(), deadline, "none of them was heard");
}

#[test]
fn a_wrong_password_is_counted_and_the_right_one_heard() {
    let secret = *b"secret\0\0";
    let mut guarded = instance("VI_1", 51, VIP);
    guarded.auth = Some(Auth::Pass(secret));
    let (mut bench, _) = Bench::started(&config(vec![guarded]));
    bench.say(from_peer(&advert_of(Version::V2, 51, 200, &[VIP], Some([9; 8]), Cover::Message)), 10);
    bench.say(from_peer(&advert_of(Version::V2, 51, 200, &[VIP], Some(secret), Cover::Message)), 10);
    let counters = bench.row("VI_1").counters;
    assert_eq!((counters.auth_failures, counters.adverts_received), (1, 1));
    let (mut bench, _) = Bench::started(&config(vec![{
        let mut it = instance("VI_1", 51, VIP);
        it.auth = Some(Auth::Pass(secret));
        it
    }]));
    let (out, _) = bench.until_master();
    let Some(Output::Send(send)) = out.iter().find(|output| matches!(output, Output::Send(_))) else {
        panic!("a master advertises")
    };
    assert_eq!(send.payload[send.payload.len() - 8..], secret);
}

/// Keepalived 2.2 announces an address as often as its file lists it.
#[test]
fn a_master_that_lists_an_address_twice_is_heard() {
    let listing = |addresses: &[IpAddr]| {
        let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
        bench.say(from_peer(&advert_of(Version::V2, 51, 200, addresses, None, Cover::Message)), 10);
        let counters = bench.row("VI_1").counters;
        (counters.adverts_received, counters.address_list_errors)
    };
    assert_eq!(listing(&[VIP]), (1, 0));
    assert_eq!(listing(&[VIP, VIP]), (1, 0));
    assert_eq!(listing(&[VIP, PEER]), (0, 1));
    assert_eq!(listing(&[VIP, VIP, PEER]), (0, 1));
    assert_eq!(listing(&[PEER, PEER]), (0, 1));
    assert_eq!(listing(&[]), (0, 1));
}

#[test]
fn packet_errors_of_one_kind_are_logged_once_in_ten_seconds() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    let wrong = advert_of(Version::V2, 51, 200, &[PEER], None, Cover::Message);
    let warnings = |out: Vec<Output>| {
        out.iter().filter(|output| matches!(output, Output::Log(log) if log.level == Level::Warn)).count()
    };
    assert_eq!(warnings(bench.say(from_peer(&wrong), 20_000)), 1);
    assert_eq!(warnings(bench.say(from_peer(&wrong), 29_999)), 0);
    assert_eq!(warnings(bench.say(from_peer(&wrong), 30_000)), 1);
    assert_eq!(bench.row("VI_1").counters.address_list_errors, 3);
}

#[test]
fn a_weaker_master_that_goes_on_is_answered_each_time_and_logged_once_in_ten_seconds() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.until_master();
    let weaker = advert(51, 50);
    let first = bench.say(from_peer(&weaker), 4000);
    assert_eq!(logs(&first), ["(VI_1) Received advert from 10.0.0.2 with lower priority 50, ours 100"]);
    let second = bench.say(from_peer(&weaker), 4100);
    assert_eq!((sent(&second), logs(&second)), (vec![100], vec![]));
}

#[test]
fn the_start_of_a_preempt_delay_is_logged_once_in_ten_seconds() {
    let mut patient = instance("VI_1", 51, VIP);
    patient.preempt = Preempt::After(Duration::from_secs(60));
    let (mut bench, _) = Bench::started(&config(vec![patient]));
    let (weaker, stronger) = (advert(51, 50), advert(51, 200));
    let mut told = vec![];
    for ms in (20_000..=30_000).step_by(1000) {
        let out = bench.say(from_peer(&weaker), ms);
        told.extend(logs(&out).iter().filter(|text| text.contains("preempt delay")).map(|_| ms));
        bench.say(from_peer(&stronger), ms + 500);
    }
    assert_eq!(told, [20_000, 30_000]);
}

#[test]
fn an_address_whose_instance_left_is_taken_away_however_often_that_is_refused() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.until_master();
    bench.answers = false;
    let out = bench.apply(&config(vec![]), 4000);
    let (key, install) = addresses_of(&out).remove(0);
    assert!(!install);
    bench.say(Input::AddressAnswer { key: key.clone(), install, error: Some(16) }, 4000);
    assert_eq!(bench.engine.deadline(), Some(at_ms(5000)));
    assert_eq!(moves(&bench.say(Input::Wake, 5000)), [(VIP, false)]);
    bench.say(Input::AddressAnswer { key, install, error: None }, 5000);
    assert_eq!(bench.engine.deadline(), None);
}

#[test]
fn an_interface_that_goes_down_is_a_fault_and_coming_up_starts_as_backup() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.until_master();
    let out = bench.say(Input::Link(Link { running: false, ..link(ETH0, true) }), 4000);
    assert_eq!(edges(&out), [(State::Master, State::Fault, Reason::InterfaceDown)]);
    assert_eq!(sent(&out), [0]);
    assert_eq!(moves(&out), [(VIP, false)]);
    assert_eq!(bench.row("VI_1").faults, ["interface eth0 is down"]);
    let out = bench.say(Input::Link(link(ETH0, true)), 9000);
    assert_eq!(edges(&out), [(State::Fault, State::Backup, Reason::InterfaceUp)]);
    assert_eq!(bench.engine.deadline(), Some(at_ms(9000) + Duration::from_micros(3_609_375)));
}

#[test]
fn with_dont_track_primary_a_down_interface_is_no_fault() {
    let mut untracked = instance("VI_1", 51, VIP);
    untracked.track_primary = false;
    let (mut bench, _) = Bench::started(&config(vec![untracked]));
    let out = bench.say(Input::Link(link(ETH0, false)), 10);
    assert_eq!(edges(&out), []);
    bench.until_master();
}

#[test]
fn a_missing_source_address_is_a_fault_until_it_appears() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    let out = bench.say(Input::HostAddressGone(on_host(ETH0, OURS)), 10);
    assert_eq!(edges(&out), [(State::Backup, State::Fault, Reason::SourceMissing)]);
    // One of our own addresses is nobody's primary address.
    assert_eq!(edges(&bench.say(Input::HostAddress(on_host(ETH0, VIP)), 20)), []);
    let out = bench.say(Input::HostAddress(on_host(ETH0, OURS)), 30);
    assert_eq!(edges(&out).len(), 1);
    assert_eq!(bench.row("VI_1").primary, Some(OURS));
}

#[test]
fn an_instance_beside_an_owner_sends_from_the_owners_address() {
    // RFC 3768 section 4.2: each router owns one address, which is its interface's only one, and backs up the other's.
    let mut owner = instance("VI_1", 51, OURS);
    owner.priority = priority(255);
    let beside = instance("VI_2", 52, PEER);
    let (mut bench, out) = Bench::started(&config(vec![beside.clone(), owner.clone()]));
    assert_eq!(bench.row("VI_2").faults, [""; 0]);
    assert_eq!(bench.row("VI_2").primary, Some(OURS));
    assert_eq!(edges(&out).len(), 2);
    bench.say(Input::HostAddressGone(on_host(ETH0, OURS)), 10);
    assert_eq!(bench.row("VI_2").state, State::Fault);
    bench.say(Input::HostAddress(on_host(ETH0, OURS)), 20);
    assert_eq!((bench.row("VI_2").state, bench.row("VI_2").primary), (State::Backup, Some(OURS)));
    let yielding = Command::SetPriority { instance: "VI_1".into(), priority: priority(100) };
    bench.say(Input::Command { request: 1, command: yielding }, 30);
    assert_eq!(bench.row("VI_2").state, State::Fault, "the address may leave now");
    owner.priority = priority(100);
    bench.apply(&config(vec![beside, owner]), 40);
    assert_eq!(bench.row("VI_2").state, State::Fault);
}

#[test]
fn a_static_address_is_a_primary_address() {
    let mut config = config(vec![instance("VI_1", 51, VIP)]);
    config.static_addresses = vec![address(OURS, "eth0")];
    let (mut bench, _) = Bench::started(&config);
    assert_eq!(bench.row("VI_1").primary, Some(OURS));
    bench.say(Input::HostAddressGone(on_host(ETH0, OURS)), 10);
    assert_eq!(bench.row("VI_1").state, State::Fault);
    bench.say(Input::HostAddress(on_host(ETH0, OURS)), 20);
    assert_eq!(bench.row("VI_1").state, State::Backup);
}

#[test]
fn tracked_interfaces_weigh_on_the_priority_or_are_a_fault() {
    let mut weighted = instance("VI_1", 51, VIP);
    weighted.tracked_interfaces = vec![TrackedInterface { interface: "eth1".into(), weight: -30, reverse: false }];
    let mut strict = instance("VI_2", 52, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 101)));
    strict.tracked_interfaces = vec![TrackedInterface { interface: "eth1".into(), weight: 0, reverse: false }];
    let (mut bench, _) = Bench::started(&config(vec![weighted, strict]));
    let out = bench.say(Input::Link(link(ETH1, false)), 10);
    assert!(logs(&out).contains(&"(VI_1) Changing effective priority from 100 to 70"));
    let row = bench.row("VI_1");
    assert_eq!((row.base_priority.get(), row.effective_priority.get(), row.state), (100, 70, State::Backup));
    assert_eq!(bench.row("VI_2").state, State::Fault);
    bench.say(Input::Link(link(ETH1, true)), 20);
    assert_eq!(bench.row("VI_1").effective_priority.get(), 100);
    assert_eq!(bench.row("VI_2").state, State::Backup);
}

#[test]
fn an_address_that_somebody_else_configured_stays_while_backup() {
    // What an earlier run left behind is the driver's to remove, by its mark.
    let config = config(vec![instance("VI_1", 51, VIP)]);
    let engine = Engine::new(&config, EngineOptions::default(), at_ms(0), WALL);
    let mut bench = Bench { engine, answers: true };
    bench.say(Input::Link(link(ETH0, true)), 0);
    bench.say(Input::HostAddress(on_host(ETH0, OURS)), 0);
    bench.say(Input::HostAddress(on_host(ETH0, VIP)), 0);
    assert_eq!(moves(&bench.say(Input::Wake, 0)), []);
    assert_eq!(moves(&bench.apply(&config, 10)), []);
    let mut other = config.clone();
    other.instances.push(Instance { vrid: priority(52), ..instance("VI_2", 52, VIP) });
    assert_eq!(moves(&bench.apply(&other, 20)), []);
}

#[test]
fn an_owner_neither_installs_nor_removes_the_hosts_own_address() {
    let mut owner = instance("VI_1", 51, OURS);
    owner.priority = priority(255);
    let (mut bench, out) = Bench::started(&config(vec![owner.clone()]));
    assert_eq!(moves(&out), []);
    let row = bench.row("VI_1");
    assert_eq!((row.state, row.addresses_set), (State::Master, true));
    assert!(announced(&out) > 0);
    assert_eq!(moves(&bench.say(Input::Link(link(ETH0, false)), 10)), []);
    assert!(!bench.row("VI_1").addresses_set);
    assert_eq!(moves(&bench.say(Input::Link(link(ETH0, true)), 20)), []);
    assert!(bench.row("VI_1").addresses_set);
    let mut yielding = owner.clone();
    yielding.priority = priority(100);
    assert_eq!(moves(&bench.apply(&config(vec![yielding]), 30)), []);
    assert_eq!(moves(&bench.apply(&config(vec![owner]), 40)), []);
    assert_eq!(moves(&bench.say(Input::Shutdown { keep_addresses: false }, 50)), []);
}

#[test]
fn the_same_address_with_another_prefix_is_another_one() {
    let mut owner = instance("VI_1", 51, OURS);
    owner.priority = priority(255);
    owner.addresses[0].prefix = 32;
    let (mut bench, out) = Bench::started(&config(vec![owner]));
    assert_eq!(moves(&out), [(OURS, true)]);
    let ours = HostAddress { prefix: 32, ..on_host(ETH0, OURS) };
    bench.say(Input::HostAddress(ours), 10);
    assert_eq!(moves(&bench.say(Input::Link(link(ETH0, false)), 20)), [(OURS, false)]);
    bench.say(Input::HostAddressGone(ours), 20);
    bench.say(Input::Link(link(ETH0, true)), 30);
    let row = bench.row("VI_1");
    assert_eq!((row.primary, row.state), (Some(OURS), State::Master), "the host's own is still there");
    bench.say(Input::HostAddress(ours), 30);
    assert_eq!(moves(&bench.say(Input::HostAddressGone(on_host(ETH0, OURS)), 40)), []);
}

#[test]
fn a_removal_that_we_asked_for_is_not_laid_upon_somebody_else() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.until_master();
    bench.say(Input::HostAddress(on_host(ETH0, VIP)), 4000);
    bench.say(from_peer(&advert(51, 200)), 4100);
    bench.say(from_peer(&advert(51, 0)), 4100);
    let out = bench.say(Input::Wake, 4800);
    assert_eq!(moves(&out), [(VIP, true)], "master again, before the kernel told of the removal");
    let out = bench.say(Input::HostAddressGone(on_host(ETH0, VIP)), 4801);
    assert_eq!(logs(&out), [""; 0]);
    bench.say(Input::HostAddress(on_host(ETH0, VIP)), 4801);
    let out = bench.say(Input::HostAddressGone(on_host(ETH0, VIP)), 4900);
    assert_eq!(logs(&out), ["(VI_1) 10.0.0.100/24 on eth0 was removed by somebody else, putting it back"]);
}

#[test]
fn an_interface_on_its_way_out_is_not_somebody_else() {
    let mut elsewhere = instance("VI_1", 51, VIP);
    let vip = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1));
    elsewhere.excluded = vec![address(vip, "eth1")];
    let (mut bench, _) = Bench::started(&config(vec![elsewhere]));
    bench.until_master();
    bench.say(Input::HostAddress(on_host(ETH1, vip)), 4000);
    bench.say(Input::Link(link(ETH1, false)), 4000);
    assert_eq!(logs(&bench.say(Input::HostAddressGone(on_host(ETH1, vip)), 4000)), [""; 0]);
}

#[test]
fn an_address_that_comes_late_is_announced_like_the_others() {
    let mut elsewhere = instance("VI_1", 51, VIP);
    let vip = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1));
    elsewhere.excluded = vec![address(vip, "eth1")];
    // Otherwise the interface would be tracked.
    elsewhere.excluded[0].no_track = true;
    let (mut bench, _) = Bench::started(&config(vec![elsewhere]));
    // Missing at takeover.
    bench.say(Input::LinkGone(ETH1), 10);
    let (_, at) = bench.until_master();
    let mut out = bench.say_at(Input::Link(Link { index: 9, name: "eth1".into(), ..link(ETH1, true) }), at);
    out.extend(bench.say_at(Input::Wake, at));
    assert_eq!((moves(&out), announced(&out)), (vec![(vip, true)], 2));
    // Made again in between.
    bench.say(Input::LinkGone(9), 3700);
    let mut out = bench.say(Input::Link(Link { index: 10, name: "eth1".into(), ..link(ETH1, true) }), 3701);
    out.extend(bench.say(Input::Wake, 3702));
    assert_eq!((moves(&out), announced(&out)), (vec![(vip, true)], 2));
}

#[test]
fn an_interface_that_comes_up_hears_of_the_addresses_on_it() {
    // Found by the simulation.
    let mut elsewhere = instance("VI_1", 51, VIP);
    elsewhere.excluded = vec![address(IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1)), "eth1")];
    // Otherwise the interface would be tracked.
    elsewhere.excluded[0].no_track = true;
    let (mut bench, _) = Bench::started(&config(vec![elsewhere]));
    bench.say(Input::Link(link(ETH1, false)), 10);
    let (out, at) = bench.until_master();
    assert_eq!(announced(&out), 2, "those on eth0");
    let mut out = bench.say_at(Input::Link(link(ETH1, true)), at);
    out.extend(bench.say_at(Input::Wake, at));
    assert_eq!(announced(&out), 2);
}

#[test]
fn an_address_that_the_kernel_takes_at_the_second_attempt_is_announced_then() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.answers = false;
    let (out, at) = bench.until_master();
    let (key, install) = addresses_of(&out).remove(0);
    bench.say_at(Input::AddressAnswer { key, install, error: Some(12) }, at);
    let out = bench.say_at(Input::Wake, at + Duration::from_secs(1));
    assert_eq!((moves(&out), announced(&out)), (vec![(VIP, true)], 2));
}

#[test]
fn an_address_that_somebody_removed_comes_back_but_not_more_often_than_each_second() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.until_master();
    assert_eq!(moves(&bench.say(Input::HostAddressGone(on_host(ETH0, VIP)), 4000)), [(VIP, true)]);
    assert_eq!(moves(&bench.say(Input::HostAddressGone(on_host(ETH0, VIP)), 4100)), []);
    assert_eq!(moves(&bench.say(Input::Wake, 5100)), [(VIP, true)]);
}

#[test]
fn an_answer_of_before_the_interface_was_made_again_says_nothing() {
    let mut elsewhere = instance("VI_1", 51, VIP);
    elsewhere.excluded = vec![address(IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1)), "eth1")];
    // Otherwise the interface would be tracked.
    elsewhere.excluded[0].no_track = true;
    let (mut bench, _) = Bench::started(&config(vec![elsewhere]));
    bench.answers = false;
    let (out, at) = bench.until_master();
    let (old, _) = addresses_of(&out).remove(1);
    bench.say_at(Input::LinkGone(ETH1), at);
    let again = Link { index: 9, name: "eth1".into(), ..link(ETH1, true) };
    let out = bench.say_at(Input::Link(again), at);
    let (new, _) = addresses_of(&out).remove(0);
    let out = bench.say_at(Input::AddressAnswer { key: old, install: true, error: Some(19) }, at);
    assert_eq!(logs(&out), [""; 0]);
    bench.say_at(Input::AddressAnswer { key: new, install: true, error: None }, at);
    // Had the old answer counted, the address would not be taken away where it is.
    let out = bench.say(from_peer(&advert(51, 200)), 4000);
    let gone: Vec<u32> = interfaces_of(&out);
    assert_eq!(gone, [ETH0, 9]);
}

#[test]
fn an_answer_of_before_a_reload_says_nothing_about_who_has_the_position_now() {
    let (first, second) = (VIP, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 101)));
    let with = |vips: &[IpAddr]| {
        let mut it = instance("VI_1", 51, VIP);
        it.addresses = vips.iter().map(|vip| address(*vip, "eth0")).collect();
        config(vec![it])
    };
    let (mut bench, _) = Bench::started(&with(&[first, second]));
    bench.answers = false;
    let (out, _) = bench.until_master();
    let old = addresses_of(&out);
    let out = bench.apply(&with(&[second]), 4000);
    let (new, install) = addresses_of(&out).into_iter().rfind(|(_, install)| *install).expect("asked for again");
    for (key, install) in old {
        bench.say(Input::AddressAnswer { key, install, error: None }, 4000);
    }
    assert!(!bench.row("VI_1").addresses_set, "those were other questions");
    bench.say(Input::AddressAnswer { key: new, install, error: None }, 4000);
    assert!(bench.row("VI_1").addresses_set);
}

#[test]
fn a_refused_address_is_asked_for_again() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.answers = false;
    let (out, at) = bench.until_master();
    let (key, install) = addresses_of(&out).remove(0);
    let out = bench.say_at(Input::AddressAnswer { key, install, error: Some(12) }, at);
    assert!(logs(&out)[0].starts_with("(VI_1) cannot add 10.0.0.100/24 on eth0: "));
    assert!(!bench.row("VI_1").addresses_set);
    let again = at + Duration::from_secs(1);
    assert_eq!(moves(&bench.say_at(Input::Wake, again)), [(VIP, true)]);
}

#[test]
fn an_address_that_would_neither_go_nor_come_is_taken_away_in_the_end() {
    // Found by the simulation.
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.until_master();
    bench.answers = false;
    let refuse = |bench: &mut Bench, out: &[Output], ms: u64| {
        for (key, install) in addresses_of(out) {
            bench.say(Input::AddressAnswer { key, install, error: Some(12) }, ms);
        }
    };
    let out = bench.say(from_peer(&advert(51, 200)), 4000);
    refuse(&mut bench, &out, 4000);
    bench.say(from_peer(&advert(51, 0)), 4000);
    let out = bench.say(Input::Wake, 4700);
    assert_eq!(moves(&out), [(VIP, true)]);
    refuse(&mut bench, &out, 4700);
    assert_eq!(moves(&bench.say(from_peer(&advert(51, 200)), 4800)), [(VIP, false)]);
}

#[test]
fn shutdown_resigns_everywhere_before_any_address_goes() {
    let other = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 101));
    let mut config = config(vec![instance("VI_1", 51, VIP), instance("VI_2", 52, other)]);
    config.static_addresses = vec![address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)), "eth1")];
    let (mut bench, out) = Bench::started(&config);
    assert_eq!(moves(&out), [(config.static_addresses[0].address, true)]);
    bench.until_master();
    let out = bench.say(Input::Shutdown { keep_addresses: false }, 4000);
    assert_eq!(order(&out), ["advert", "remove"]);
    assert_eq!(sent(&out), [0, 0]);
    assert_eq!(moves(&out).len(), 3);
    assert_eq!(edges(&out), [(State::Master, State::Shutdown, Reason::Shutdown); 2]);
    assert_eq!(bench.engine.deadline(), None);

    let (mut bench, _) = Bench::started(&config);
    bench.until_master();
    let out = bench.say(Input::Shutdown { keep_addresses: true }, 4000);
    assert_eq!((sent(&out), moves(&out)), (vec![0, 0], vec![]));
}

#[test]
fn no_accept_blocks_before_installing_and_unblocks_after_removing() {
    let mut shy = instance("VI_1", 51, VIP);
    shy.accept = false;
    let (mut bench, _) = Bench::started(&config(vec![shy]));
    let (out, _) = bench.until_master();
    assert_eq!(order(&out), ["advert", "block", "install", "announce"]);
    assert!(out.contains(&Output::Block(vec![Block { address: VIP, interface: None }])));
    let out = bench.say(from_peer(&advert(51, 200)), 4000);
    assert_eq!(order(&out), ["remove", "block"]);
    assert!(out.contains(&Output::Block(vec![])));
}

#[test]
fn a_set_changes_priority_and_preempt_until_the_next_reload() {
    let config = config(vec![instance("VI_1", 51, VIP)]);
    let (mut bench, _) = Bench::started(&config);
    let name = InstanceName::from("VI_1");
    let set = Command::SetPriority { instance: name.clone(), priority: priority(200) };
    let out = bench.say(Input::Command { request: 7, command: set }, 1000);
    let undo = Command::SetPriority { instance: name.clone(), priority: priority(100) };
    assert!(out.contains(&Output::Reply { request: 7, reply: Reply::Done { undo, visible_at: 0 } }));
    assert_eq!(bench.row("VI_1").effective_priority.get(), 200);
    assert_eq!(bench.engine.deadline(), Some(Instant::ZERO + Duration::from_micros(3_218_750)));
    let set = Command::SetPreempt { instance: name.clone(), preempt: false };
    bench.say(Input::Command { request: 8, command: set }, 1000);
    assert!(!bench.row("VI_1").preempt);
    let out = bench.say(
        Input::Command { request: 9, command: Command::SetPreempt { instance: "VI_9".into(), preempt: true } },
        1000,
    );
    assert!(out.contains(&Output::Reply { request: 9, reply: Reply::Refused(Refusal::NoSuchInstance) }));
    bench.apply(&config, 1500);
    let row = bench.row("VI_1");
    assert_eq!((row.base_priority.get(), row.effective_priority.get(), row.preempt), (100, 100, true));
    assert_eq!(bench.engine.deadline(), Some(Instant::ZERO + Duration::from_micros(3_609_375)));
}

#[test]
fn a_reload_of_the_same_file_says_and_moves_nothing() {
    let config = config(vec![instance("VI_1", 51, VIP)]);
    let (mut bench, _) = Bench::started(&config);
    bench.until_master();
    let deadline = bench.engine.deadline();
    let before = bench.row("VI_1");
    let out = bench.apply(&config, 4000);
    assert!(out.iter().all(|output| matches!(output, Output::Changed(_) | Output::NewScripts)), "{out:?}");
    assert_eq!(bench.engine.deadline(), deadline);
    assert_eq!(bench.row("VI_1"), before);
}

#[test]
fn a_reload_moves_just_the_addresses_that_changed() {
    let kept = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 101));
    let new = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 102));
    let with = |vips: &[IpAddr]| {
        let mut it = instance("VI_1", 51, VIP);
        it.addresses = vips.iter().map(|vip| address(*vip, "eth0")).collect();
        config(vec![it])
    };
    let (mut bench, _) = Bench::started(&with(&[VIP, kept]));
    bench.until_master();
    let out = bench.apply(&with(&[kept, new]), 4000);
    assert_eq!(moves(&out), [(VIP, false), (new, true)]);
    assert_eq!(edges(&out), []);
    let announced: Vec<IpAddr> = out
        .iter()
        .filter_map(|output| match output {
            Output::Announce(announce) => Some(announce.address),
            _ => None,
        })
        .collect();
    assert_eq!(announced, [new, new]);
    let out = bench.say_at(Input::Wake, bench.engine.deadline().expect("a master advertises"));
    let Some(Output::Send(send)) = out.first() else { panic!("an advert: {out:?}") };
    assert_eq!(send.payload[8..16], [10, 0, 0, 101, 10, 0, 0, 102]);
}

#[test]
fn an_address_may_move_between_instances_in_one_reload() {
    let moving = address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 77)), "eth0");
    let pair = |first: bool| {
        let mut a = instance("VI_1", 51, VIP);
        let mut b = instance("VI_2", 52, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 101)));
        if first {
            a.excluded.push(moving.clone())
        } else {
            b.excluded.push(moving.clone())
        }
        config(vec![a, b])
    };
    for to_first in [true, false] {
        let (mut bench, _) = Bench::started(&pair(!to_first));
        bench.until_master();
        let out = bench.apply(&pair(to_first), 4000);
        assert_eq!(moves(&out), [(moving.address, false), (moving.address, true)]);
    }
}

#[test]
fn an_instance_that_leaves_the_file_reports_fault_or_deleted() {
    for (deleted, to) in [(false, State::Fault), (true, State::Deleted)] {
        let mut leaving = instance("VI_1", 51, VIP);
        leaving.notify.deleted = deleted;
        let (mut bench, _) = Bench::started(&config(vec![leaving]));
        bench.until_master();
        let out = bench.apply(&config(vec![]), 4000);
        assert_eq!(order(&out), ["advert", "remove", "listen"]);
        assert_eq!(sent(&out), [0]);
        assert_eq!(edges(&out), [(State::Master, to, Reason::Reload)]);
        assert!(out.contains(&Output::Changed(RowKey::Instance("VI_1".into()))));
        assert_eq!(bench.engine.row(&RowKey::Instance("VI_1".into())), None);
        assert_eq!(bench.engine.deadline(), None);
    }
}

#[test]
fn a_new_vrid_stops_one_machine_and_starts_another() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.until_master();
    let out = bench.apply(&config(vec![instance("VI_1", 60, VIP)]), 4000);
    assert_eq!(sent(&out), [0]);
    assert_eq!(edges(&out), [(State::Init, State::Backup, Reason::Startup)]);
    assert_eq!(bench.row("VI_1").counters.became_master, 0);
    assert_eq!(bench.engine.deadline(), Some(at_ms(4000) + Duration::from_micros(3_609_375)));
}

fn unicast(peers: Vec<Peer>, check_source: bool) -> Instance {
    Instance {
        version: Version::V3,
        transport: Transport::Unicast { peers, ttl: None, check_source, fault_without_peers: true },
        ..instance("VI_1", 51, VIP)
    }
}

#[test]
fn unicast_goes_to_each_peer_and_checks_source_and_ttl_as_configured() {
    let third = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));
    let peers = vec![
        Peer { address: PEER, min_ttl: Some(64), max_ttl: Some(255) },
        Peer { address: third, min_ttl: None, max_ttl: None },
    ];
    let (mut bench, out) = Bench::started(&config(vec![unicast(peers, true)]));
    assert!(out.contains(&Output::Listen(vec![Listen::Unicast { interface: Some(ETH0), family: Family::V4 }])));
    let hear = |bench: &mut Bench, source: IpAddr, ttl: u8| {
        let cover = Cover::Pseudo { source, destination: OURS };
        let payload = advert_of(Version::V3, 51, 50, &[VIP], None, cover);
        bench.say(Input::Datagram(Datagram { interface: ETH0, source, destination: OURS, ttl, payload: &payload }), 10);
    };
    hear(&mut bench, PEER, 63);
    hear(&mut bench, PEER, 64);
    hear(&mut bench, third, 1);
    hear(&mut bench, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 4)), 255);
    let counters = bench.row("VI_1").counters;
    assert_eq!((counters.ttl_errors, counters.adverts_received, counters.unknown_source), (1, 2, 1));
    let (out, _) = bench.until_master();
    let to: Vec<IpAddr> = out
        .iter()
        .filter_map(|output| match output {
            Output::Send(send) => Some(send.destination),
            _ => None,
        })
        .collect();
    assert_eq!(to, [PEER, third]);
    assert_eq!(bench.row("VI_1").counters.adverts_sent, 1);
}

#[test]
fn unicast_without_peers_stays_in_fault() {
    let (bench, out) = Bench::started(&config(vec![unicast(vec![], false)]));
    assert_eq!(edges(&out), [(State::Init, State::Fault, Reason::NoPeers)]);
    assert_eq!(bench.engine.deadline(), None);
}

#[test]
fn the_unicast_checksum_of_old_keepalived_is_understood_unless_refused() {
    // Keepalived 2.2.7 with old_unicast_checksum, 10.0.0.2 to 10.0.0.1: the group stands in the pseudo header.
    let old = Cover::Pseudo { source: PEER, destination: GROUP };
    let payload = advert_of(Version::V3, 51, 50, &[VIP], None, old);
    for (choice, heard) in [(OldUnicastChecksum::Detect, 1), (OldUnicastChecksum::Never, 0)] {
        let mut config = config(vec![unicast(vec![Peer { address: PEER, min_ttl: None, max_ttl: None }], false)]);
        config.instances[0].old_unicast_checksum = choice;
        let (mut bench, _) = Bench::started(&config);
        let datagram = Datagram { interface: ETH0, source: PEER, destination: OURS, ttl: 64, payload: &payload };
        bench.say(Input::Datagram(datagram), 10);
        assert_eq!(bench.row("VI_1").counters.adverts_received, heard);
        assert_eq!(bench.router().checksum_errors, 1 - heard);
    }
}

#[test]
fn a_startup_delay_holds_every_instance_in_init_but_not_after_a_restart() {
    let mut config = config(vec![instance("VI_1", 51, VIP)]);
    config.global.startup_delay_ns = 2_000_000_000;
    let (mut bench, out) = Bench::started(&config);
    assert_eq!(edges(&out), []);
    assert_eq!(bench.engine.deadline(), Some(at_ms(2000)));
    let out = bench.say(Input::Wake, 2000);
    assert_eq!(edges(&out), [(State::Init, State::Backup, Reason::Startup)]);

    let engine = Engine::new(&config, EngineOptions { restarted: true }, at_ms(0), WALL);
    let mut bench = Bench { engine, answers: true };
    bench.say(Input::Link(link(ETH0, true)), 0);
    bench.say(Input::HostAddress(on_host(ETH0, OURS)), 0);
    assert_eq!(edges(&bench.say(Input::Wake, 0)).len(), 1);
}

#[test]
fn thousands_of_instances_wake_one_by_one() {
    let many = (0..2000u32)
        .map(|number| {
            let vip = IpAddr::V4(Ipv4Addr::new(10, 1, (number / 250) as u8, (number % 250) as u8));
            let mut it = instance(&format!("VI_{number}"), (number % 255 + 1) as u8, vip);
            it.interface = Some(format!("eth{}", number / 255));
            it
        })
        .collect();
    let engine = Engine::new(&config(many), EngineOptions::default(), at_ms(0), WALL);
    let mut bench = Bench { engine, answers: true };
    for index in ETH0..ETH0 + 8 {
        bench.say(Input::Link(link(index, true)), 0);
        let own = IpAddr::V4(Ipv4Addr::new(10, 0, index as u8, 1));
        bench.say(Input::HostAddress(on_host(index, own)), 0);
    }
    bench.say(Input::Wake, 0);
    let due = bench.engine.deadline().expect("backups wait");
    let out = bench.say_at(Input::Wake, due);
    assert_eq!(edges(&out).len(), 2000);
    let counted: Vec<&Output> = out.iter().filter(|output| matches!(output, Output::Counted(_))).collect();
    assert_eq!(counted.len(), 2000, "each row is said to have counted once until it is read");
}
