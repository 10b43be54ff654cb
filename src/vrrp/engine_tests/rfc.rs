//! What the RFC modules ask of the engine: ages, reasons, errors, and the edges that their notifications are made of.

use super::*;
use crate::bus::msg::{NewMaster, PacketFault, RouterId};
use crate::bus::rows::{AuthError, MasterReason, ProtocolError};

const V3_COVER: Cover = Cover::Pseudo { source: PEER, destination: GROUP };

fn id(vrid: u8, version: Version) -> RouterId {
    RouterId { interface_index: Some(ETH0), vrid, family: Family::V4, version, advertises: true }
}

/// Who became master, as the RFC modules tell it.
fn new_masters(out: &[Output]) -> Vec<Option<NewMaster>> {
    let edge = |output: &Output| match output {
        Output::Edge(Edge::Transition { new_master, .. }) => Some(*new_master),
        _ => None,
    };
    out.iter().filter_map(edge).collect()
}

fn bad_packets(out: &[Output]) -> Vec<(PacketFault, u64)> {
    let edge = |output: &Output| match output {
        Output::Edge(Edge::BadPacket { router, source, fault, unreported, .. }) => {
            assert_eq!((router.vrid, *source), (51, PEER));
            Some((*fault, *unreported))
        }
        _ => None,
    };
    out.iter().filter_map(edge).collect()
}

fn with_ttl(payload: &[u8], ttl: u8) -> Input<'_> {
    Input::Datagram(Datagram { interface: ETH0, source: PEER, destination: GROUP, ttl, payload })
}

#[test]
fn an_instance_is_up_since_it_left_init_or_fault_and_not_while_there() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    assert_eq!(bench.row("VI_1").started, Some(at_ms(0)));
    bench.until_master();
    assert_eq!(bench.row("VI_1").started, Some(at_ms(0)), "becoming master is no restart");
    bench.say(Input::Link(link(ETH0, false)), 5000);
    assert_eq!(bench.row("VI_1").started, None);
    bench.say(Input::Link(link(ETH0, true)), 6000);
    assert_eq!(bench.row("VI_1").started, Some(at_ms(6000)));
}

#[test]
fn a_reload_that_keeps_an_instance_keeps_its_age_and_the_reason_of_its_mastership() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.until_master();
    bench.apply(&config(vec![instance("VI_0", 50, PEER), instance("VI_1", 51, VIP)]), 9000);
    let row = bench.row("VI_1");
    assert_eq!((row.index, row.started), (2, Some(at_ms(0))));
    assert_eq!(row.master_reason, MasterReason::MasterNoResponse);
    assert_eq!(bench.row("VI_0").started, Some(at_ms(9000)));
    assert_eq!(bench.row("VI_0").master_reason, MasterReason::NotMaster);
}

#[test]
fn a_new_master_says_who_it_is_and_whether_it_heard_silence_a_resignation_or_a_weaker_router() {
    let told = |reason| Some(NewMaster { router: id(51, Version::V2), primary: OURS, reason });
    let (mut bench, out) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    assert_eq!(new_masters(&out), [None], "a backup is no master");
    let (out, at) = bench.until_master();
    assert_eq!(new_masters(&out), [told(MasterReason::MasterNoResponse)]);

    let out = bench.say_at(from_peer(&advert(51, 200)), at);
    assert_eq!(new_masters(&out), [None]);
    assert_eq!(bench.row("VI_1").master_reason, MasterReason::MasterNoResponse, "of the last time");
    bench.say_at(from_peer(&advert(51, 0)), at);
    let (out, at) = bench.until_master();
    assert_eq!(new_masters(&out), [told(MasterReason::Priority)]);
    assert_eq!(bench.row("VI_1").master_reason, MasterReason::Priority);

    bench.say_at(from_peer(&advert(51, 200)), at);
    bench.say_at(from_peer(&advert(51, 50)), at + Duration::from_millis(500));
    let (out, _) = bench.until_master();
    assert_eq!(new_masters(&out), [told(MasterReason::Preempted)]);
}

#[test]
fn an_owner_that_starts_preempts() {
    let owner = Instance { priority: Priority::MAX, ..instance("VI_1", 51, OURS) };
    let (bench, out) = Bench::started(&config(vec![owner]));
    let masters = new_masters(&out);
    assert_eq!(masters.iter().flatten().map(|it| it.reason).collect::<Vec<_>>(), [MasterReason::Preempted]);
    assert_eq!(bench.row("VI_1").master_reason, MasterReason::Preempted);
}

#[test]
fn an_instance_that_advertises_no_address_is_told_as_one_that_the_rfc_modules_do_not_know() {
    let mut bare = instance("VI_1", 51, VIP);
    bare.excluded = std::mem::take(&mut bare.addresses);
    let (mut bench, _) = Bench::started(&config(vec![bare]));
    let (out, _) = bench.until_master();
    let router = new_masters(&out).into_iter().flatten().map(|it| it.router).next();
    assert_eq!(router, Some(RouterId { advertises: false, ..id(51, Version::V2) }));
}

#[test]
fn each_kind_of_protocol_error_is_told_and_the_last_one_kept() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    assert_eq!(bench.row("VI_1").protocol_error, ProtocolError::None);
    let good = advert(51, 200);
    let mut damaged = good.clone();
    damaged[7] ^= 1;
    let other_version = advert_of(Version::V3, 51, 200, &[VIP], None, V3_COVER);
    for (input, error) in [
        (with_ttl(&good, 254), ProtocolError::Ttl),
        (from_peer(&other_version), ProtocolError::Version),
        (from_peer(&damaged), ProtocolError::Checksum),
    ] {
        let out = bench.say(input, 10);
        assert_eq!(bad_packets(&out), [(PacketFault::Protocol(error), 0)]);
        assert!(out.contains(&Output::Counted(RowKey::Instance("VI_1".into()))), "{error:?}");
        assert_eq!(bench.row("VI_1").protocol_error, error);
        let _ = bench.router();
    }
    bench.say(from_peer(&advert_of(Version::V2, 51, 200, &[PEER], None, Cover::Message)), 20);
    assert_eq!(bench.row("VI_1").protocol_error, ProtocolError::Checksum, "another list of addresses is none");
}

#[test]
fn each_kind_of_authentication_error_is_told() {
    let guarded = Instance { auth: Some(Auth::Pass(*b"secret\0\0")), ..instance("VI_1", 51, VIP) };
    let (mut bench, _) = Bench::started(&config(vec![guarded]));
    let wrong = advert_of(Version::V2, 51, 200, &[VIP], Some([9; 8]), Cover::Message);
    let mut unknown = wrong.clone();
    // 9 instead of 1, and the checksum that goes with it.
    unknown[4] = 9;
    let sum = u16::from_be_bytes([unknown[6], unknown[7]]).wrapping_sub(8 << 8);
    unknown[6..8].copy_from_slice(&sum.to_be_bytes());
    for (packet, error) in
        [(advert(51, 200), AuthError::TypeMismatch), (wrong, AuthError::Failure), (unknown, AuthError::InvalidType)]
    {
        assert_eq!(bad_packets(&bench.say(from_peer(&packet), 10)), [(PacketFault::Auth(error), 0)]);
    }
    assert_eq!(bench.row("VI_1").protocol_error, ProtocolError::None);
}

/// B10: Keepalived sends a trap for each one.
#[test]
fn a_stream_of_bad_packets_is_told_at_once_and_then_every_ten_seconds_with_how_many_there_were() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    let ttl = PacketFault::Protocol(ProtocolError::Ttl);
    let good = advert(51, 200);
    assert_eq!(bad_packets(&bench.say(with_ttl(&good, 254), 1000)), [(ttl, 0)]);
    for ms in (1100..11_000).step_by(100) {
        assert_eq!(bad_packets(&bench.say(with_ttl(&good, 254), ms)), []);
    }
    assert_eq!(bad_packets(&bench.say(with_ttl(&good, 254), 11_000)), [(ttl, 99)]);
    assert_eq!(bad_packets(&bench.say(with_ttl(&good, 254), 99_000)), [(ttl, 0)]);
    assert_eq!(bench.row("VI_1").counters.ttl_errors, 102, "all of them are counted");
}

#[test]
fn one_fault_or_one_instance_does_not_silence_another() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP), instance("VI_2", 52, VIP)]));
    let told = |out: Vec<Output>| out.iter().filter(|it| matches!(it, Output::Edge(Edge::BadPacket { .. }))).count();
    let other_version = |vrid| advert_of(Version::V3, vrid, 200, &[VIP], None, V3_COVER);
    assert_eq!(told(bench.say(with_ttl(&advert(51, 200), 1), 10)), 1);
    assert_eq!(told(bench.say(from_peer(&other_version(51)), 10)), 1);
    assert_eq!(told(bench.say(with_ttl(&advert(52, 200), 1), 10)), 1);
    assert_eq!(told(bench.say(from_peer(&other_version(52)), 10)), 1);
    assert_eq!(told(bench.say(from_peer(&other_version(52)), 20)), 0);
}

/// B25: Keepalived does not count these.
#[test]
fn a_packet_for_a_virtual_router_that_nobody_has_is_counted_and_told_of_no_instance() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    let out = bench.say(from_peer(&advert(99, 200)), 10);
    assert_eq!(bad_packets(&out), []);
    assert_eq!(out, [Output::Counted(RowKey::Router)]);
    assert_eq!(bench.router().vrid_errors, 1);
    assert_eq!(bench.row("VI_1").protocol_error, ProtocolError::None);
}

/// B25: Keepalived does not count these.
#[test]
fn another_interval_than_ours_is_counted_and_heard_in_version_3() {
    let version_3 = Instance { version: Version::V3, ..instance("VI_1", 51, VIP) };
    let (mut bench, _) = Bench::started(&config(vec![version_3]));
    let of = |interval_ms| {
        let interval = Duration::from_millis(interval_ms);
        let addresses = &[VIP];
        Outgoing { version: Version::V3, vrid: 51, priority: 200, interval, claim: Claim::Nothing, addresses }
            .encode(V3_COVER)
    };
    bench.say(from_peer(&of(1000)), 10);
    assert_eq!(bench.row("VI_1").counters.advert_interval_errors, 0);
    bench.say(from_peer(&of(3000)), 20);
    let row = bench.row("VI_1");
    assert_eq!((row.counters.advert_interval_errors, row.counters.adverts_received), (1, 2));
    assert_eq!(row.master_interval_ns, 3_000_000_000);
}
