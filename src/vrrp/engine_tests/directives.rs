//! Directives that say when addresses are announced, where adverts come from, and what of an advert is compared.

use super::*;
use crate::conf::model::{GarpGroup, Global};

const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 100));

/// Holds an address on each interface.
fn on_both() -> Instance {
    let addresses = vec![address(VIP, "eth0"), address(OTHER, "eth1")];
    Instance { addresses, ..instance("VI_1", 51, VIP) }
}

/// Announcements from becoming master on: milliseconds since then, and the interface.
fn announcements(config: &Config, for_ms: u64) -> Vec<(u64, u32)> {
    let (mut bench, _) = Bench::started(config);
    let (mut out, begun) = bench.until_master();
    let end = begun + Duration::from_millis(for_ms);
    let mut now = begun;
    let mut all = vec![];
    loop {
        let since = u64::try_from(now.since(begun).as_millis()).expect("short");
        all.extend(out.iter().filter_map(|output| match output {
            Output::Announce(announce) => Some((since, announce.interface)),
            _ => None,
        }));
        match bench.engine.deadline().filter(|at| *at <= end) {
            None => return all,
            Some(at) => {
                now = at;
                out = bench.say_at(Input::Wake, at);
            }
        }
    }
}

#[test]
fn a_garp_group_paces_its_interfaces_together() {
    let mut together = config(vec![on_both()]);
    assert_eq!(announcements(&together, 900), [(0, ETH0), (0, ETH0), (0, ETH1), (0, ETH1)]);
    together.global.garp_groups = vec![GarpGroup {
        garp_interval_ns: Some(100_000_000),
        gna_interval_ns: None,
        interfaces: vec!["eth0".into(), "eth1".into()],
    }];
    assert_eq!(announcements(&together, 900), [(0, ETH0), (100, ETH1), (200, ETH0), (300, ETH1)]);
    together.global.garp_groups[0].interfaces.pop();
    assert_eq!(announcements(&together, 900), [(0, ETH1), (0, ETH1), (0, ETH0), (100, ETH0)], "one is by itself");
}

#[test]
fn a_master_announces_its_addresses_again_and_again_when_told_to() {
    let mut once = on_both();
    once.garp.delay = Duration::ZERO;
    once.garp.repeat = 1;
    let told = |instance: &Instance| {
        let later = announcements(&config(vec![instance.clone()]), 21_000).into_iter().filter(|(ms, _)| *ms > 0);
        later.collect::<Vec<_>>()
    };
    assert_eq!(told(&once), []);
    let mut refreshed = once.clone();
    refreshed.garp.refresh = Duration::from_secs(10);
    refreshed.garp.refresh_repeat = 2;
    let burst = |ms| [(ms, ETH0), (ms, ETH0), (ms, ETH1), (ms, ETH1)];
    assert_eq!(told(&refreshed), [burst(10_000), burst(20_000)].concat());
    let mut extra = once.clone();
    extra.garp.extra_interval = Duration::from_secs(8);
    extra.garp.extra_all = true;
    assert_eq!(told(&extra), [(8000, ETH1), (16_000, ETH1)], "those elsewhere than on the instance's interface");
    extra.garp.extra_all = false;
    assert_eq!(told(&extra), [], "without `all` those of virtual MACs alone");
}

#[test]
fn a_weaker_advert_is_answered_with_announcements_at_once_and_after_the_delay() {
    let mut answering = instance("VI_1", 51, VIP);
    answering.garp.delay = Duration::ZERO;
    answering.garp.lower_prio_repeat = 3;
    answering.garp.lower_prio_delay = Duration::from_secs(2);
    let (mut bench, _) = Bench::started(&config(vec![answering]));
    let (_, begun) = bench.until_master();
    let heard = begun + Duration::from_millis(500);
    assert_eq!(announced(&bench.say_at(from_peer(&advert(51, 50)), heard)), 3);
    let mut later = vec![];
    while let Some(at) = bench.engine.deadline().filter(|at| *at <= heard + Duration::from_secs(4)) {
        let count = announced(&bench.say_at(Input::Wake, at));
        if count > 0 {
            later.push((at, count));
        }
    }
    assert_eq!(later, [(heard + Duration::from_secs(2), 3)]);
}

#[test]
fn a_source_that_is_watched_is_a_fault_while_it_is_missing_and_any_other_is_sent_from() {
    let source = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
    let group = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 77));
    let from =
        Instance { source: Some(source), transport: Transport::Multicast { group }, ..instance("VI_1", 51, VIP) };
    let (mut bench, out) = Bench::started(&config(vec![from.clone()]));
    assert!(out.contains(&Output::Listen(vec![Listen::Multicast { interface: ETH0, group }])), "{out:?}");
    let (out, _) = bench.until_master();
    let sent = out.iter().find_map(|output| match output {
        Output::Send(send) => Some((send.source, send.destination)),
        _ => None,
    });
    assert_eq!(sent, Some((source, group)));

    let (mut bench, out) = Bench::started(&config(vec![Instance { track_source: true, ..from }]));
    assert_eq!(edges(&out), [(State::Init, State::Fault, Reason::SourceMissing)]);
    let out = bench.say(Input::HostAddress(on_host(ETH0, source)), 10);
    assert_eq!(
        edges(&out).iter().map(|(from, to, _)| (*from, *to)).collect::<Vec<_>>(),
        [(State::Fault, State::Backup)]
    );
    let out = bench.say(Input::HostAddressGone(on_host(ETH0, source)), 20);
    assert_eq!(edges(&out), [(State::Backup, State::Fault, Reason::SourceMissing)]);
}

#[test]
fn an_address_that_is_not_watched_stays_away_when_somebody_removes_it() {
    for no_track in [false, true] {
        let mut lines = instance("VI_1", 51, VIP);
        lines.addresses[0].no_track = no_track;
        let (mut bench, _) = Bench::started(&config(vec![lines]));
        let (_, at) = bench.until_master();
        bench.say_at(Input::HostAddress(on_host(ETH0, VIP)), at);
        let out = bench.say_at(Input::HostAddressGone(on_host(ETH0, VIP)), at + Duration::from_millis(10));
        let expected: &[(IpAddr, bool)] = if no_track { &[] } else { &[(VIP, true)] };
        assert_eq!(moves(&out), expected);
        assert_eq!((bench.row("VI_1").state, edges(&out)), (State::Master, vec![]));
    }
}

#[test]
fn an_advert_for_a_vrid_that_nobody_has_is_logged_when_told_to() {
    for log_unknown_vrids in [false, true] {
        let global = Global { log_unknown_vrids, ..Global::default() };
        let (mut bench, _) = Bench::started(&Config { global, ..config(vec![instance("VI_1", 51, VIP)]) });
        let mut told = |ms| logs(&bench.say(from_peer(&advert(99, 200)), ms)).len();
        let expected = usize::from(log_unknown_vrids);
        assert_eq!((told(10), told(20), told(20_000)), (expected, 0, expected));
    }
}

#[test]
fn the_addresses_of_a_master_that_is_followed_are_not_compared_again_when_told_so() {
    let wrong = advert_of(Version::V2, 51, 200, &[OTHER], None, Cover::Message);
    for skip_check_adv_addr in [false, true] {
        let trusting = Instance { skip_check_adv_addr, ..instance("VI_1", 51, VIP) };
        let (mut bench, _) = Bench::started(&config(vec![trusting]));
        let counted = |bench: &Bench| {
            let counters = bench.row("VI_1").counters;
            (counters.adverts_received, counters.address_list_errors)
        };
        bench.say(from_peer(&wrong), 10);
        assert_eq!(counted(&bench), (0, 1), "of one that is not followed yet they are");
        bench.say(from_peer(&advert(51, 200)), 20);
        bench.say(from_peer(&wrong), 30);
        assert_eq!(counted(&bench), if skip_check_adv_addr { (2, 1) } else { (1, 2) });
    }
}

#[test]
fn the_checksum_of_version_3_over_ipv4_leaves_the_pseudo_header_out_when_told_to() {
    let pseudo = Cover::Pseudo { source: PEER, destination: GROUP };
    for v3_checksum_as_v2 in [false, true] {
        let it = Instance { version: Version::V3, v3_checksum_as_v2, ..instance("VI_1", 51, VIP) };
        let (mut bench, _) = Bench::started(&config(vec![it]));
        bench.say(from_peer(&advert_of(Version::V3, 51, 50, &[VIP], None, Cover::Message)), 10);
        bench.say(from_peer(&advert_of(Version::V3, 51, 50, &[VIP], None, pseudo)), 20);
        let counters = bench.row("VI_1").counters;
        assert_eq!((counters.adverts_received, counters.checksum_errors), (1, 1));
        let (out, _) = bench.until_master();
        let payload = out.iter().find_map(|output| match output {
            Output::Send(send) => Some(send.payload.clone()),
            _ => None,
        });
        let bare = crate::wire::vrrp::verify(&payload.expect("a master advertises"), Cover::Message);
        assert_eq!(bare, v3_checksum_as_v2);
    }
}

#[test]
fn an_owner_that_hears_another_one_says_so_and_goes_on_with_254_until_the_file_is_read_again() {
    let owner = Instance { priority: priority(255), ..instance("VI_1", 51, VIP) };
    let all = config(vec![owner]);
    let (mut bench, _) = Bench::started(&all);
    assert_eq!(bench.row("VI_1").state, State::Master);
    let out = bench.say(from_peer(&advert(51, 255)), 100);
    assert!(logs(&out)[0].contains("CONFIGURATION ERROR"), "{out:?}");
    let row = bench.row("VI_1");
    assert_eq!((row.state, row.effective_priority, row.base_priority), (State::Backup, priority(254), priority(255)));
    let (out, _) = bench.until_master();
    assert_eq!(sent(&out), [254]);
    let later = bench.engine.deadline().expect("it advertises");
    bench.say_at(Input::Link(link(ETH1, false)), later);
    assert_eq!(bench.row("VI_1").effective_priority, priority(254), "whatever else happens");
    let out = bench.apply(&all, 20_000);
    assert!(edges(&out).is_empty());
    assert_eq!(bench.row("VI_1").effective_priority, priority(255));
}
