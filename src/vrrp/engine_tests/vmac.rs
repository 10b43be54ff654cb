//! Instances with an interface of their own.

use super::*;
use crate::conf::model::{IpvlanMode, Vmac, VmacKind, Vmacs, virtual_mac};
use crate::vrrp::io::WantedVmac;

const VRRP51: u32 = 20;
const LINK_LOCAL: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));

fn vmac(name: &str, base: &str, family: Family) -> Vmac {
    let kind = VmacKind::Macvlan { mac: virtual_mac(family, priority(51)) };
    Vmac { name: name.into(), base: base.into(), family, kind, group: 0 }
}

/// VI_1 with `vrrp.51` on eth0, which has its address.
fn with_vmac() -> Instance {
    let mut it = instance("VI_1", 51, VIP);
    it.vmacs = Vmacs { own: Some(vmac("vrrp.51", "eth0", Family::V4)), ..Vmacs::default() };
    it.addresses = vec![address(VIP, "vrrp.51")];
    it
}

fn made(up: bool) -> Link {
    Link { name: "vrrp.51".into(), mac: Some([0, 0, 0x5e, 0, 1, 51]), ..link(VRRP51, up) }
}

fn wanted(out: &[Output]) -> Vec<Vec<WantedVmac>> {
    let set = |output: &Output| match output {
        Output::Vmacs(set) => Some(set.clone()),
        _ => None,
    };
    out.iter().filter_map(set).collect()
}

fn listens(out: &[Output]) -> Vec<Vec<Listen>> {
    let set = |output: &Output| match output {
        Output::Listen(set) => Some(set.clone()),
        _ => None,
    };
    out.iter().filter_map(set).collect()
}

/// Interface and source of each advert.
fn sent_by(out: &[Output]) -> Vec<(Option<u32>, IpAddr)> {
    let send = |output: &Output| match output {
        Output::Send(send) => Some((send.interface, send.source)),
        _ => None,
    };
    out.iter().filter_map(send).collect()
}

#[test]
fn the_interface_is_wanted_before_the_start_and_the_instance_starts_as_backup_when_it_is_there() {
    let config = config(vec![with_vmac()]);
    let mut engine = Engine::new(&config, EngineOptions::default(), at_ms(0), WALL);
    let mut out = vec![];
    for input in [Input::Link(link(ETH0, true)), Input::HostAddress(on_host(ETH0, OURS))] {
        engine.handle(input, at_ms(0), &mut out);
    }
    let set: Vec<WantedVmac> = engine.wanted_vmacs().into_iter().collect();
    let [one] = &set[..] else { panic!("{set:?}") };
    assert_eq!((one.name.as_str(), one.base, one.own), ("vrrp.51", ETH0, None));
    engine.handle(Input::Link(made(true)), at_ms(0), &mut out);
    engine.handle(Input::Wake, at_ms(0), &mut out);
    assert_eq!(edges(&out).first().map(|edge| edge.1), Some(State::Backup), "{:?}", logs(&out));
    assert_eq!(wanted(&out), [set]);
    assert_eq!(listens(&out), [vec![Listen::Multicast { interface: VRRP51, group: GROUP }]]);
}

#[test]
fn adverts_and_addresses_are_on_the_interface_of_its_own_and_the_source_is_the_bases() {
    let (mut bench, _) = Bench::started(&config(vec![with_vmac()]));
    bench.say(Input::Link(made(true)), 1);
    let (out, _) = bench.until_master();
    assert_eq!(sent_by(&out), [(Some(VRRP51), OURS)]);
    assert_eq!(interfaces_of(&out), [VRRP51]);
    let announce = |output: &Output| match output {
        Output::Announce(announce) => Some((announce.interface, announce.mac)),
        _ => None,
    };
    assert_eq!(out.iter().find_map(announce), Some((VRRP51, [0, 0, 0x5e, 0, 1, 51])));
    let row = bench.row("VI_1");
    assert_eq!((row.interface_index, row.config.shown_interface()), (Some(ETH0), Some("vrrp.51")));
}

#[test]
fn an_ipvlan_has_the_mac_of_its_base_and_sends_from_its_own_address() {
    let own: IpAddr = "10.0.0.7".parse().unwrap();
    let kind = VmacKind::Ipvlan { mode: IpvlanMode::Bridge, address: Some((own, 24)) };
    let mut it = with_vmac();
    it.vmacs.own = Some(Vmac { kind, ..vmac("vrrp.51", "eth0", Family::V4) });
    it.source = Some(own);
    it.addresses = vec![address(VIP, "eth0")];
    let (mut bench, out) = Bench::started(&config(vec![it]));
    let set = wanted(&out).concat();
    assert_eq!(set.iter().map(|it| (it.kind, it.own)).collect::<Vec<_>>(), [(kind, Some((own, 24)))]);
    bench.say(Input::Link(Link { mac: link(ETH0, true).mac, ..made(true) }), 2);
    bench.say(Input::HostAddress(on_host(VRRP51, own)), 3);
    assert_eq!(bench.row("VI_1").faults, [""; 0]);
    let (out, _) = bench.until_master();
    assert_eq!((sent_by(&out), interfaces_of(&out)), (vec![(Some(VRRP51), own)], vec![ETH0]));
}

#[test]
fn with_xmit_base_adverts_stay_on_the_base() {
    let mut it = with_vmac();
    it.vmacs.transmit_on_base = true;
    let (mut bench, out) = Bench::started(&config(vec![it]));
    let base = vec![Listen::Multicast { interface: ETH0, group: GROUP }];
    assert_eq!(listens(&out), [base]);
    bench.say(Input::Link(made(true)), 1);
    let (out, _) = bench.until_master();
    assert_eq!(sent_by(&out), [(Some(ETH0), OURS)]);
    assert_eq!(interfaces_of(&out), [VRRP51]);
}

#[test]
fn with_xmit_base_one_that_sends_from_the_virtual_mac_is_heard_and_nobody_is_heard_twice() {
    let mut it = with_vmac();
    it.vmacs.transmit_on_base = true;
    let (mut bench, _) = Bench::started(&config(vec![it]));
    let out = bench.say(Input::Link(made(true)), 1);
    let both = [ETH0, VRRP51].map(|interface| Listen::Multicast { interface, group: GROUP });
    assert_eq!(listens(&out), [both.to_vec()]);
    let advert = advert(51, 200);
    let heard = |interface| {
        Input::Datagram(Datagram { interface, source: PEER, destination: GROUP, ttl: 255, payload: &advert })
    };
    bench.say(heard(VRRP51), 100);
    assert_eq!(bench.row("VI_1").counters.adverts_received, 1, "only there: it comes from the virtual MAC");
    bench.say(heard(ETH0), 1100);
    bench.say(heard(VRRP51), 1101);
    assert_eq!(bench.row("VI_1").counters.adverts_received, 2);
    bench.say(heard(VRRP51), 4200);
    assert_eq!(bench.row("VI_1").counters.adverts_received, 3, "it went over to the virtual MAC");
}

#[test]
fn an_interface_that_is_missing_down_or_foreign_is_a_fault_and_its_coming_ends_it() {
    let (mut bench, _) = Bench::started(&config(vec![with_vmac()]));
    assert_eq!(bench.row("VI_1").state, State::Fault);
    assert_eq!(bench.row("VI_1").faults, ["interface vrrp.51 does not exist"]);
    bench.say(Input::Link(Link { mac: Some([2; 6]), ..made(true) }), 10);
    assert_eq!(bench.row("VI_1").faults, ["interface vrrp.51 is not the one that use_vmac needs: remove or rename it"]);
    bench.say(Input::Link(made(true)), 20);
    assert_eq!(bench.row("VI_1").state, State::Backup);
    bench.until_master();
    let out = bench.say(Input::LinkGone(VRRP51), 9000);
    assert_eq!(bench.row("VI_1").state, State::Fault);
    assert!(sent_by(&out).is_empty(), "not by another interface");
    bench.say(Input::Link(made(true)), 9100);
    assert_eq!(bench.row("VI_1").state, State::Backup);
    bench.say(Input::Link(Link { admin_up: false, ..made(false) }), 9200);
    assert_eq!(bench.row("VI_1").faults, ["interface vrrp.51 is down"]);
}

#[test]
fn the_carrier_is_that_of_the_base() {
    let (mut bench, _) = Bench::started(&config(vec![with_vmac()]));
    bench.say(Input::Link(Link { running: false, ..made(true) }), 1);
    assert_eq!(bench.row("VI_1").state, State::Backup, "the news of the base decide");
    bench.say(Input::Link(Link { running: false, ..link(ETH0, true) }), 2);
    assert_eq!(bench.row("VI_1").faults, ["interface eth0 is down"]);
}

#[test]
fn nothing_is_wanted_on_a_base_that_is_gone_and_it_is_wanted_anew_when_that_comes_back() {
    let (mut bench, _) = Bench::started(&config(vec![with_vmac()]));
    assert_eq!(wanted(&bench.say(Input::LinkGone(ETH0), 10)), [Vec::<WantedVmac>::new()]);
    let out = bench.say(Input::Link(Link { name: "eth0".into(), ..link(30, true) }), 20);
    assert_eq!(wanted(&out).iter().flatten().map(|it| it.base).collect::<Vec<_>>(), [30]);
}

#[test]
fn an_ipv6_one_has_the_link_local_address_of_its_base_and_follows_it() {
    let mut it = instance("VI_1", 51, IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100)));
    (it.family, it.version) = (Family::V6, Version::V3);
    it.transport = Transport::Multicast { group: IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)) };
    it.vmacs.own = Some(vmac("vrrp.51", "eth0", Family::V6));
    it.addresses.iter_mut().for_each(|address| address.interface = "vrrp.51".into());
    let (mut bench, out) = Bench::started(&config(vec![it]));
    assert_eq!(wanted(&out).concat()[0].own, Some((LINK_LOCAL, 64)));
    let other = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2));
    bench.say(Input::HostAddress(on_host(ETH0, other)), 5);
    let out = bench.say(Input::HostAddressGone(on_host(ETH0, LINK_LOCAL)), 10);
    assert_eq!(wanted(&out).concat()[0].own, Some((other, 64)));
}

#[test]
fn a_reload_with_another_interface_starts_the_instance_anew_and_wants_the_new_one_only() {
    let (mut bench, _) = Bench::started(&config(vec![with_vmac()]));
    bench.say(Input::Link(made(true)), 1);
    bench.until_master();
    let mut other = with_vmac();
    other.vmacs.own = Some(vmac("mine", "eth0", Family::V4));
    other.addresses = vec![address(VIP, "mine")];
    let out = bench.apply(&config(vec![other]), 9000);
    assert_eq!(wanted(&out).concat().iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["mine"]);
    assert_eq!(moves(&out), [(VIP, false)]);
}

#[test]
fn only_what_no_advert_keeps_fresh_in_switches_is_announced_extra() {
    let mut it = with_vmac();
    it.vmacs.others = vec![vmac("vrrp1.51", "eth1", Family::V4)];
    it.excluded = vec![address(PEER, "vrrp1.51"), address("10.9.9.9".parse().unwrap(), "eth1")];
    it.garp.extra_interval = Duration::from_secs(2);
    let (mut bench, _) = Bench::started(&config(vec![it]));
    bench.say(Input::Link(made(true)), 1);
    bench.say(Input::Link(Link { name: "vrrp1.51".into(), ..link(21, true) }), 1);
    let (_, at) = bench.until_master();
    let mut announced = vec![];
    for ms in (100..2500).step_by(100) {
        let out = bench.say_at(Input::Wake, at + Duration::from_millis(ms));
        announced.extend(out.into_iter().filter_map(|output| match output {
            Output::Announce(announce) => Some(announce.address),
            _ => None,
        }));
    }
    assert_eq!(announced, [PEER], "not the plain one on eth1, nor the one that adverts come from");
}

#[test]
fn an_instance_of_a_vrf_speaks_and_listens_there_and_waits_for_it() {
    let mut it = instance("VI_1", 51, VIP);
    (it.interface, it.vrf, it.source) = (None, Some("red".into()), Some(OURS));
    let peers = vec![Peer { address: PEER, min_ttl: None, max_ttl: None }];
    it.transport = Transport::Unicast { peers, ttl: None, check_source: true, fault_without_peers: false };
    let (mut bench, out) = Bench::started(&config(vec![it]));
    assert_eq!(bench.row("VI_1").faults, ["interface red does not exist"]);
    assert_eq!(listens(&out), [] as [Vec<Listen>; 0]);
    let out = bench.say(Input::Link(Link { name: "red".into(), ..link(40, true) }), 10);
    assert_eq!(listens(&out), [vec![Listen::Unicast { interface: Some(40), family: Family::V4 }]]);
    let advert = advert(51, 200);
    let heard = Datagram { interface: ETH1, source: PEER, destination: OURS, ttl: 255, payload: &advert };
    bench.say(Input::Datagram(heard), 20);
    assert_eq!(bench.row("VI_1").counters.adverts_received, 1, "by whatever interface of the VRF");
    let (out, _) = bench.until_master();
    assert_eq!(sent_by(&out), [(Some(40), OURS)]);
}
