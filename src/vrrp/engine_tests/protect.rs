//! `auth_type AH`, and `auth_hmac`, which is not built.

use super::*;
use crate::bus::msg::PacketFault;
use crate::bus::rows::AuthError;
use crate::wire::ah::{self, Protected, Ttl};

const KEY: [u8; 8] = *b"secret\0\0";

fn guarded() -> Instance {
    Instance { auth: Some(Auth::Ah(KEY)), ..instance("VI_1", 51, VIP) }
}

fn v4(address: IpAddr) -> Ipv4Addr {
    let IpAddr::V4(address) = address else { panic!("{address} is of IPv4") };
    address
}

/// A packet of the peer's, with an advert inside that says what its header says.
fn packet(sequence: u32, priority: u8) -> Vec<u8> {
    let claim = Claim::Header;
    let interval = Duration::from_secs(1);
    let advert = Outgoing { version: Version::V2, vrid: 51, priority, interval, claim, addresses: &[VIP] };
    of_peer(sequence, &advert.encode(Cover::Message), &KEY)
}

fn of_peer(sequence: u32, payload: &[u8], key: &ah::Key) -> Vec<u8> {
    let out = ah::Outgoing { source: v4(PEER), destination: v4(GROUP), ttl: 255, identification: 7, sequence, payload };
    out.encode(key, Ttl::Covered)
}

fn heard(packet: &[u8]) -> Input<'_> {
    Input::Protected { interface: ETH0, packet }
}

/// What was sent, each a whole packet made with our key.
fn sent(out: &[Output]) -> Vec<Protected<'_>> {
    let packets = out.iter().filter_map(|output| match output {
        Output::Send(send) => {
            assert!(send.whole);
            let packet = ah::decode(&send.payload).expect("our own");
            assert!(packet.proves(&KEY, if send.destination == GROUP { Ttl::Covered } else { Ttl::Zeroed }));
            assert_eq!((IpAddr::V4(packet.source), IpAddr::V4(packet.destination)), (send.source, send.destination));
            Some(packet)
        }
        _ => None,
    });
    packets.collect()
}

#[test]
fn it_listens_for_authentication_headers_alone() {
    let (_, out) = Bench::started(&config(vec![guarded()]));
    let sockets = Output::Listen(vec![Listen::Protected { interface: Some(ETH0), group: Some(GROUP) }]);
    assert!(out.contains(&sockets), "{out:?}");
    assert_eq!(edges(&out), [(State::Init, State::Backup, Reason::Startup)]);
}

#[test]
fn each_advert_has_the_next_number_and_a_new_master_goes_on_where_the_old_one_ended() {
    let (mut bench, _) = Bench::started(&config(vec![guarded()]));
    bench.say(heard(&packet(41, 200)), 10);
    assert_eq!(bench.row("VI_1").master, Some((PEER, priority(200).get())));
    let (out, at) = bench.until_master();
    let first = sent(&out)[0];
    assert_eq!((first.sequence, first.index, first.ttl), (42, u32::from(v4(OURS)), 255));
    assert_eq!(first.payload[..6], [0x21, 51, 100, 1, 2, 1], "authentication type 2");
    let out = bench.say_at(Input::Wake, at + Duration::from_secs(1));
    assert_eq!(sent(&out)[0].sequence, 43);
    let identification = |packet: &Output| match packet {
        Output::Send(send) => Some([send.payload[4], send.payload[5]]),
        _ => None,
    };
    assert_eq!(out.iter().find_map(identification), Some([0, 2]), "never zero, which the kernel would replace");
}

#[test]
fn a_master_that_hears_a_weaker_one_counts_on_from_its_number_and_resigns_with_another_one() {
    let (mut bench, _) = Bench::started(&config(vec![guarded()]));
    let (out, at) = bench.until_master();
    assert_eq!(sent(&out)[0].sequence, 1);
    let out = bench.say_at(heard(&packet(5000, 50)), at + Duration::from_millis(10));
    assert_eq!(sent(&out)[0].sequence, 5001);
    let out = bench.say_at(Input::Shutdown { keep_addresses: false }, at + Duration::from_millis(20));
    assert_eq!(sent(&out).iter().map(|it| (it.sequence, it.payload[2])).collect::<Vec<_>>(), [(5002, 0)]);
}

#[test]
fn only_a_number_above_all_others_made_with_our_password_by_the_sender_is_heard() {
    let (mut bench, _) = Bench::started(&config(vec![guarded()]));
    bench.say(heard(&packet(1000, 200)), 10);
    let counted = |bench: &Bench| {
        let counters = bench.row("VI_1").counters;
        (counters.adverts_received, counters.auth_failures)
    };
    assert_eq!(counted(&bench), (1, 0));
    let again = bench.say(heard(&packet(1000, 200)), 20);
    assert_eq!(counted(&bench), (1, 1));
    assert!(logs(&again)[0].ends_with("sequence number 1000 is not above 1000"), "{again:?}");
    let fault = |output: &Output| match output {
        Output::Edge(Edge::BadPacket { fault, .. }) => Some(*fault),
        _ => None,
    };
    assert_eq!(again.iter().find_map(fault), Some(PacketFault::Auth(AuthError::Failure)));
    bench.say(heard(&packet(999, 200)), 30);
    let advert = advert_of(Version::V2, 51, 200, &[VIP], None, Cover::Message);
    bench.say(heard(&of_peer(1001, &advert, b"another\0")), 40);
    let mut stranger = packet(1001, 200);
    stranger[27] ^= 1; // of the SPI
    bench.say(heard(&stranger), 50);
    assert_eq!(counted(&bench), (1, 4));
    bench.say(heard(&packet(1001, 200)), 60);
    assert_eq!(counted(&bench), (2, 4), "what was refused did not use its number up");
    bench.say(heard(&packet(u32::MAX, 200)), 70);
    bench.say(heard(&packet(1, 200)), 80);
    assert_eq!(counted(&bench), (3, 5), "numbers do not begin again");
}

#[test]
fn a_bare_advert_is_for_nobody_here_and_one_with_a_header_for_nobody_elsewhere() {
    let (mut bench, _) = Bench::started(&config(vec![guarded()]));
    let deadline = bench.engine.deadline();
    bench.say(from_peer(&advert(51, 200)), 10);
    assert_eq!(bench.router().vrid_errors, 1);
    bench.say(heard(&of_peer(1, &advert(51, 200), &KEY)), 20);
    let counters = bench.row("VI_1").counters;
    assert_eq!((counters.auth_type_mismatch, counters.adverts_received), (1, 0), "it says inside that it has none");
    assert_eq!(bench.engine.deadline(), deadline);

    let (mut open, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    open.say(heard(&packet(1, 200)), 10);
    assert_eq!((open.router().vrid_errors, open.row("VI_1").counters.adverts_received), (1, 0));
}

#[test]
fn what_is_cut_short_is_counted_and_what_is_not_vrrp_is_passed_over() {
    let (mut bench, _) = Bench::started(&config(vec![guarded()]));
    let whole = packet(1, 200);
    bench.say(heard(&whole[..40]), 10);
    assert_eq!(bench.router().truncated, 1);
    let mut other = whole.clone();
    other[20] = 17;
    assert_eq!(bench.say(heard(&other), 20), []);
    let short = of_peer(1, &[0x21, 51, 200], &KEY);
    bench.say(heard(&short), 30);
    assert_eq!(bench.router().truncated, 2);
}

#[test]
fn every_unicast_peer_gets_the_same_number_and_a_value_of_its_own() {
    let third = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));
    let peer = |address| Peer { address, min_ttl: None, max_ttl: None };
    let transport = Transport::Unicast {
        peers: vec![peer(PEER), peer(third)],
        ttl: Some(64),
        check_source: false,
        fault_without_peers: false,
    };
    let (mut bench, _) = Bench::started(&config(vec![Instance { transport, ..guarded() }]));
    let (out, at) = bench.until_master();
    let packets = sent(&out);
    assert_eq!(packets.iter().map(|it| (it.sequence, it.ttl)).collect::<Vec<_>>(), [(1, 64), (1, 64)]);
    // On the way the TTL went down.
    let claim = Claim::Header;
    let interval = Duration::from_secs(1);
    let advert = Outgoing { version: Version::V2, vrid: 51, priority: 200, interval, claim, addresses: &[VIP] };
    let payload = advert.encode(Cover::Message);
    let mut routed = ah::Outgoing {
        source: v4(PEER),
        destination: v4(OURS),
        ttl: 64,
        identification: 1,
        sequence: 2,
        payload: &payload,
    }
    .encode(&KEY, Ttl::Zeroed);
    routed[8] = 61;
    let out = bench.say_at(heard(&routed), at + Duration::from_millis(10));
    assert_eq!(edges(&out), [(State::Master, State::Backup, Reason::HigherPriorityHeard)]);
}

#[test]
fn a_reload_that_changes_the_password_keeps_the_state_and_the_count() {
    let (mut bench, _) = Bench::started(&config(vec![guarded()]));
    let (_, at) = bench.until_master();
    let key = *b"renewed\0";
    let mut out = vec![];
    bench.engine.apply(&config(vec![Instance { auth: Some(Auth::Ah(key)), ..guarded() }]), at, &mut out);
    assert_eq!(edges(&out), []);
    let out = bench.say_at(Input::Wake, at + Duration::from_secs(1));
    let packet = out.iter().find_map(|output| match output {
        Output::Send(send) => ah::decode(&send.payload).ok(),
        _ => None,
    });
    let packet = packet.expect("it advertises");
    assert!(packet.proves(&key, Ttl::Covered) && packet.sequence == 2, "{packet:?}");
}

#[test]
fn an_instance_with_auth_hmac_stays_in_fault_and_says_so_once() {
    let signed = Instance { hmac: true, ..instance("VI_1", 51, VIP) };
    let (mut bench, out) = Bench::started(&config(vec![signed]));
    assert_eq!(edges(&out), [(State::Init, State::Fault, Reason::Startup)]);
    let told = |out: &[Output]| logs(out).iter().filter(|text| text.contains("auth_hmac is not built")).count();
    assert_eq!((bench.row("VI_1").faults.len(), told(&out)), (1, 1));
    let flap = [bench.say(Input::Link(link(ETH0, false)), 10), bench.say(Input::Link(link(ETH0, true)), 20)].concat();
    assert_eq!((edges(&flap), told(&flap)), (vec![], 0));
    assert_eq!(bench.engine.deadline(), None, "nothing makes it master");
    let out = bench.apply(&config(vec![instance("VI_1", 51, VIP)]), 30);
    assert_eq!(edges(&out).len(), 1, "until the file says otherwise");
}
