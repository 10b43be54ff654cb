use std::net::IpAddr;

use super::*;
use crate::bfd::Engine;
use crate::bfd::io::{Datagram, Input, Output, Path, SessionId};
use crate::bus::bfd::{BfdRow, BfdState};
use crate::bus::rows::{Finding, Row, RowKey};

struct Host {
    engine: Engine,
    out: Vec<Output>,
}

impl Host {
    fn new(sessions: &[BfdSession]) -> Host {
        let mut host = Host { engine: Engine::new(1), out: Vec::new() };
        host.apply(sessions, ms(0));
        host
    }

    fn apply(&mut self, sessions: &[BfdSession], at: Instant) -> Vec<Output> {
        self.out.clear();
        self.engine.apply(sessions, at, &mut self.out);
        self.out.clone()
    }

    fn hear(&mut self, from: &str, packet: Packet, at: Instant) -> Vec<Output> {
        self.datagram(Datagram { payload: &packet.encode(), ..datagram(from) }, at)
    }

    fn datagram(&mut self, datagram: Datagram<'_>, at: Instant) -> Vec<Output> {
        self.out.clear();
        self.engine.handle(Input::Datagram(datagram), at, &mut self.out);
        self.out.clone()
    }

    fn wake(&mut self, at: Instant) -> Vec<Output> {
        self.out.clear();
        self.engine.handle(Input::Wake, at, &mut self.out);
        self.out.clone()
    }

    fn row(&self, name: &str) -> BfdRow {
        match self.engine.row(&RowKey::Bfd(name.to_owned())) {
            Some(Row::Bfd(row)) => *row,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// Brings a session up, as a neighbour would that answers at once.
    fn up(&mut self, name: &str, from: &str, at: Instant) -> Vec<Output> {
        let yours = self.row(name).discriminator;
        self.hear(from, Packet { yours, ..packet(State::Init) }, at)
    }
}

fn datagram(from: &str) -> Datagram<'static> {
    Datagram {
        source: from.parse().unwrap(),
        destination: "10.0.0.1".parse().unwrap(),
        multihop: false,
        ttl: 255,
        payload: &[],
    }
}

fn named(name: &str, neighbour: &str) -> BfdSession {
    BfdSession { name: name.to_owned(), neighbour: neighbour.parse().unwrap(), ..config() }
}

fn found(outputs: &[Output]) -> Vec<(&str, Finding)> {
    let found = outputs.iter().filter_map(|output| match output {
        Output::Found { name, finding, .. } => Some((name.as_str(), *finding)),
        _ => None,
    });
    found.collect()
}

fn packets(outputs: &[Output]) -> Vec<(SessionId, Packet)> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send(id, bytes) => Some((*id, Packet::decode(bytes).expect("our own packets are good"))),
        _ => None,
    });
    sent.collect()
}

fn complaints(outputs: &[Output]) -> Vec<&str> {
    let told = outputs.iter().filter_map(|output| match output {
        Output::Log(_, text) if text.contains("discarding") => Some(text.as_str()),
        _ => None,
    });
    told.collect()
}

#[test]
fn every_session_is_down_from_the_start_and_says_so_before_anything_is_sent() {
    let mut host = Host { engine: Engine::new(1), out: vec![] };
    let outputs = host.apply(&[named("A", "10.0.0.2"), named("B", "10.0.0.3")], ms(0));
    assert_eq!(found(&outputs), [("A", Finding::Bad), ("B", Finding::Bad)]);
    assert_eq!(packets(&outputs), []);
    let sent = packets(&host.wake(ms(0)));
    let discriminators: Vec<u32> = sent.iter().map(|(_, packet)| packet.mine).collect();
    assert_eq!(discriminators, sent.iter().map(|(id, _)| *id).collect::<Vec<u32>>());
    assert!(discriminators.len() == 2 && discriminators[0] != discriminators[1], "{discriminators:?}");
}

#[test]
fn a_first_packet_goes_by_its_source_and_the_others_by_their_discriminator() {
    let mut host = Host::new(&[named("A", "10.0.0.2"), named("B", "10.0.0.3")]);
    host.hear("10.0.0.3", Packet { yours: 0, ..packet(State::Down) }, ms(10));
    assert_eq!((host.row("A").state, host.row("B").state), (BfdState::Down, BfdState::Init));
    // A neighbour may send from another of its addresses once it knows whom it speaks to.
    let yours = host.row("B").discriminator;
    let outputs = host.hear("192.0.2.77", Packet { yours, ..packet(State::Init) }, ms(20));
    assert_eq!(found(&outputs), [("B", Finding::Good)]);
    let outputs = host.hear("192.0.2.77", Packet { yours: 0, ..packet(State::Down) }, ms(30));
    assert_eq!(complaints(&outputs), ["BFD: discarding a packet from 192.0.2.77: no such session"]);
}

#[test]
fn two_sessions_with_one_neighbour_are_told_apart_by_their_own_addresses() {
    let of = |name: &str, source: &str| BfdSession { source: source.parse().ok(), ..named(name, "10.0.0.2") };
    let mut host = Host::new(&[of("A", "10.0.0.1"), of("B", "10.0.0.9")]);
    let to = |destination: &str| Datagram { destination: destination.parse().unwrap(), ..datagram("10.0.0.2") };
    let first = Packet { yours: 0, ..packet(State::Down) }.encode();
    host.datagram(Datagram { payload: &first, ..to("10.0.0.9") }, ms(10));
    assert_eq!((host.row("A").state, host.row("B").state), (BfdState::Down, BfdState::Init));
}

#[test]
fn a_packet_from_too_far_away_is_dropped_and_counted() {
    let v6 = |config: BfdSession| BfdSession { neighbour: "2001:db8::2".parse().unwrap(), ..config };
    for (session, least) in [
        (config(), 255),
        (BfdSession { max_hops: Some(3), ..config() }, 252),
        (BfdSession { max_hops: Some(10), ttl: Some(64), ..config() }, 54),
        (BfdSession { max_hops: Some(255), ..config() }, 0),
        (BfdSession { max_hops: None, ..config() }, 0),
        // Keepalived's own default, so that the two understand each other.
        (v6(config()), 64),
        (v6(BfdSession { ttl: Some(255), ..config() }), 255),
    ] {
        let name = session.name.clone();
        let neighbour = session.neighbour.to_string();
        let mut host = Host::new(&[session]);
        let bytes = Packet { yours: 0, ..packet(State::Down) }.encode();
        if let Some(ttl) = u8::checked_sub(least, 1) {
            host.datagram(Datagram { payload: &bytes, ttl, ..datagram(&neighbour) }, ms(10));
            let row = host.row(&name);
            assert_eq!((row.state, row.counters.dropped, row.counters.received), (BfdState::Down, 1, 0), "{least}");
        }
        host.datagram(Datagram { payload: &bytes, ttl: least, ..datagram(&neighbour) }, ms(20));
        assert_eq!(host.row(&name).state, BfdState::Init, "{least}");
    }
}

#[test]
fn packets_go_to_the_neighbour_from_the_source_with_the_ttl_that_are_configured() {
    let path = |session: BfdSession| {
        let mut host = Host { engine: Engine::new(1), out: vec![] };
        let outputs = host.apply(&[session], ms(0));
        let paths = outputs.iter().filter_map(|output| match output {
            Output::Open(_, path) => Some(*path),
            _ => None,
        });
        paths.collect::<Vec<Path>>()
    };
    let neighbour = "10.0.0.2".parse().unwrap();
    assert_eq!(path(config()), [Path { source: None, neighbour, multihop: false, ttl: 255 }]);
    let source = "10.0.0.1".parse().ok();
    let session = BfdSession { source, multihop: true, ttl: Some(64), ..config() };
    assert_eq!(path(session), [Path { source, neighbour, multihop: true, ttl: 64 }]);
}

#[test]
fn vrrp_and_checks_hear_of_the_sessions_that_are_for_them_also_after_a_reload() {
    let heard_by = |outputs: &[Output]| {
        let found = outputs.iter().filter_map(|output| match output {
            Output::Found { finding, for_vrrp, for_checks, .. } => Some((*finding, *for_vrrp, *for_checks)),
            _ => None,
        });
        found.collect::<Vec<_>>()
    };
    let session = |for_vrrp, for_checks| BfdSession { for_vrrp, for_checks, ..config() };
    let mut host = Host::new(&[session(true, false)]);
    assert_eq!(heard_by(&host.up("B1", "10.0.0.2", ms(10))), [(Finding::Good, true, false)]);
    let outputs = host.apply(&[session(false, true)], ms(20));
    assert_eq!(heard_by(&outputs), [(Finding::Good, false, true)]);
    let gone = outputs.iter().position(|output| *output == Output::Gone("B1".to_owned()));
    assert_eq!(gone, Some(0), "who heard of it forgets it first");
}

#[test]
fn the_two_kinds_of_sessions_have_ports_of_their_own() {
    let mut host = Host::new(&[BfdSession { multihop: true, ..config() }]);
    let bytes = Packet { yours: 0, ..packet(State::Down) }.encode();
    let outputs = host.datagram(Datagram { payload: &bytes, ..datagram("10.0.0.2") }, ms(10));
    assert_eq!(complaints(&outputs).len(), 1);
    host.datagram(Datagram { payload: &bytes, multihop: true, ..datagram("10.0.0.2") }, ms(20));
    assert_eq!(host.row("B1").state, BfdState::Init);
}

#[test]
fn rubbish_is_counted_each_time_and_told_once_in_ten_seconds() {
    let mut host = Host::new(&[config()]);
    let rubbish = |host: &mut Host, at| host.datagram(Datagram { payload: b"rubbish", ..datagram("10.0.0.2") }, at);
    assert_eq!(complaints(&rubbish(&mut host, ms(0))), ["BFD: discarding a packet from 10.0.0.2: too short"]);
    for number in 1..=99 {
        assert_eq!(complaints(&rubbish(&mut host, ms(number * 100))), Vec::<&str>::new());
    }
    let again = rubbish(&mut host, ms(10_000));
    assert!(complaints(&again)[0].ends_with("too short (99 more since this was said last)"), "{again:?}");
    assert_eq!(host.row("B1").counters.dropped, 101);
}

#[test]
fn a_reload_leaves_a_session_alone_whose_ends_stay_the_same() {
    let mut host = Host::new(&[named("A", "10.0.0.2"), named("B", "10.0.0.3")]);
    host.up("A", "10.0.0.2", ms(10));
    let before = host.row("A");
    assert_eq!(host.apply(&[named("A", "10.0.0.2"), named("B", "10.0.0.3")], ms(20)), []);
    let outputs = host.apply(&[BfdSession { min_rx_us: 30_000, ..named("A", "10.0.0.2") }], ms(30));
    assert_eq!(found(&outputs), [], "A is up as it was");
    assert_eq!(packets(&outputs).iter().map(|(_, packet)| packet.state).collect::<Vec<_>>(), [State::AdminDown]);
    assert!(outputs.contains(&Output::Gone("B".to_owned())));
    let after = host.row("A");
    assert_eq!((after.state, after.discriminator, after.since), (BfdState::Up, before.discriminator, before.since));
    assert_eq!(host.engine.row(&RowKey::Bfd("B".to_owned())), None);

    // Another neighbour is another session, with a discriminator of its own.
    let outputs = host.apply(&[named("A", "10.0.0.4")], ms(40));
    assert_eq!(found(&outputs).last(), Some(&("A", Finding::Bad)));
    let row = host.row("A");
    assert!(row.discriminator != before.discriminator && row.state == BfdState::Down);
    assert_eq!(row.config.neighbour, "10.0.0.4".parse::<IpAddr>().unwrap());
}

#[test]
fn a_stop_tells_every_neighbour_and_nobody_here() {
    let mut host = Host::new(&[named("A", "10.0.0.2"), named("B", "10.0.0.3")]);
    host.up("A", "10.0.0.2", ms(10));
    host.out.clear();
    host.engine.handle(Input::Shutdown, ms(20), &mut host.out);
    let outputs = host.out.clone();
    let states: Vec<State> = packets(&outputs).iter().map(|(_, packet)| packet.state).collect();
    assert_eq!((states, found(&outputs)), (vec![State::AdminDown; 2], vec![]));
    assert_eq!(host.engine.deadline(), None);
    assert_eq!(host.hear("10.0.0.2", Packet { yours: 0, ..packet(State::Down) }, ms(30)), []);
}

#[test]
fn a_hundred_sessions_share_one_deadline_and_each_is_lost_in_its_own_time() {
    let name = |number: u32| format!("S{number}");
    let address = |number: u32| format!("10.1.0.{number}");
    let sessions: Vec<BfdSession> = (1..=100)
        .map(|number| BfdSession { min_rx_us: 10_000, min_tx_us: 10_000, ..named(&name(number), &address(number)) })
        .collect();
    let mut host = Host::new(&sessions);
    for number in 1..=100 {
        let yours = host.row(&name(number)).discriminator;
        let fast = Packet { yours, desired_min_tx_us: 10_000, required_min_rx_us: 10_000, ..packet(State::Init) };
        let at = Instant::from_nanos(u64::from(number) * 1000);
        assert_eq!(found(&host.hear(&address(number), fast, at)), [(&*name(number), Finding::Good)]);
    }
    // Nobody says anything more: each is lost 40 ms after it was heard, to the microsecond.
    let mut lost = Vec::new();
    while let Some(at) = host.engine.deadline().filter(|at| *at < ms(100)) {
        let outputs = host.wake(at);
        lost.extend(found(&outputs).iter().map(|(name, finding)| ((*name).to_owned(), *finding, at)));
    }
    let wanted: Vec<(String, Finding, Instant)> = (1..=100)
        .map(|number| (name(number), Finding::Bad, Instant::from_nanos(u64::from(number) * 1000 + 40_000_000)))
        .collect();
    assert_eq!(lost, wanted);
}

#[test]
fn counters_are_told_once_until_somebody_reads_them() {
    let mut host = Host::new(&[config()]);
    let counted = |outputs: &[Output]| outputs.iter().filter(|it| matches!(it, Output::Counted(_))).count();
    assert_eq!(counted(&host.wake(ms(0))), 1);
    let at = host.engine.deadline().unwrap();
    assert_eq!(counted(&host.wake(at)), 0);
    assert_eq!(host.row("B1").counters.sent, 2);
    let at = host.engine.deadline().unwrap();
    assert_eq!(counted(&host.wake(at)), 1);
}
