//! BFD with FRR's bfdd and with Debian's keepalived: sessions come up, are lost within the detection time and come back,
//! and addresses follow; a stop is told; a flood keeps no advert waiting.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::frr::Bfdd;
use agentx_tests::net::Nic;
use agentx_tests::pair::{Flavour, Link, SLACK};
use agentx_tests::wait;
use serde_json::Value;

/// Sessions come up with packets that go once a second.
const PATIENCE: Duration = Duration::from_secs(15);

/// A router that advertises, with these lines in its `bfd_instance`.
fn configuration(flavour: Flavour, bfd: &str) -> String {
    format!("bfd_instance B1 {{\n{bfd}\n}}\n{}", flavour.configuration(1, "MASTER", 150))
}

fn fast(neighbour: &str, more: &str) -> String {
    format!("neighbor_ip {neighbour}\nmin_rx 100\nmin_tx 100\nmultiplier 3\n{more}")
}

fn peer(words: &str) -> String {
    format!(
        " profile fast\n  detect-multiplier 3\n  receive-interval 100\n  transmit-interval 100\n !\n peer {words}\n  profile fast\n !"
    )
}

/// How often the log has said this.
fn times(daemon: &Daemon, text: &str) -> usize {
    daemon.log().matches(text).count()
}

#[track_caller]
fn wait_for_times(daemon: &Daemon, text: &str, count: usize, limit: Duration) {
    let said = wait::within(limit, || (times(daemon, text) >= count).then_some(()));
    assert!(said.is_some(), "`{text}` was not said {count} times within {limit:?}:\n{}", daemon.log());
}

/// 3 x 100 ms, as all these sessions agree.
const DETECTION: Duration = Duration::from_millis(300);

/// It took no longer than `due`, but for some slack and what this machine itself stalled meanwhile.
#[track_caller]
fn in_time(since: Instant, due: Duration, stalls: &wait::Stalls, daemon: &Daemon) {
    let (took, now) = (since.elapsed(), wait::now_ns());
    let stalled = Duration::from_nanos(stalls.within(now.saturating_sub(took.as_nanos() as u64), now));
    assert!(took <= due + SLACK + stalled, "after {took:?}, {stalled:?} of them stalled:\n{}", daemon.log());
}

const UP: &str = "(B1) Entering Up state";
const DOWN: &str = "(B1) Entering Down state";

/// Up, hung and lost in time, back, and told of the end.
#[track_caller]
fn lives_with_bfdd(bfd: &str, words: &str) {
    let link = Link::new();
    let bfdd = Bfdd::start(&link.nodes[1], &peer(words));
    let mut daemon =
        Daemon::start(&link.nodes[0], Program::Keepwatch, &configuration(Flavour::V3, bfd), Options::default());
    wait_for_times(&daemon, UP, 1, PATIENCE);
    bfdd.wait_for("up", PATIENCE);
    let intervals = bfdd.peers().map(|peers| peers[0]["remote-transmit-interval"].clone());
    assert_eq!(intervals, Some(Value::from(100)), "{:#?}", bfdd.peers());

    // 3 x 100 ms of silence, of which some has gone by already.
    let stalls = wait::Stalls::watch();
    let hung = Instant::now();
    bfdd.hang();
    wait_for_times(&daemon, DOWN, 1, Duration::from_secs(5));
    in_time(hung, DETECTION, &stalls, &daemon);
    assert!(daemon.log().contains("(B1) Expired after 300 ms"), "{}", daemon.log());
    bfdd.go_on();
    wait_for_times(&daemon, UP, 2, PATIENCE);
    bfdd.wait_for("up", PATIENCE);

    // While the session is down, the neighbour knows why.
    assert_eq!(daemon.stop(), 0);
    bfdd.wait_for("down", Duration::from_secs(2));
    let why = bfdd.peers().map(|peers| peers[0]["remote-diagnostic"].clone());
    assert_eq!(why, Some(Value::from("administratively down")), "{:#?}", bfdd.peers());
}

#[test]
fn a_session_with_bfdd_over_one_hop_comes_up_is_lost_in_time_and_comes_back() {
    lives_with_bfdd(&fast("10.0.0.2", "source_ip 10.0.0.1"), "10.0.0.1 local-address 10.0.0.2 interface eth0");
}

#[test]
fn a_session_with_bfdd_over_ipv6_needs_no_hoplimit() {
    lives_with_bfdd(&fast("fd00:1::2", "source_ip fd00:1::1"), "fd00:1::1 local-address fd00:1::2 interface eth0");
}

#[test]
fn a_multihop_session_with_bfdd_uses_the_other_port() {
    let bfd = fast("10.0.0.2", "source_ip 10.0.0.1\nmultihop\nmax_hops 5");
    lives_with_bfdd(&bfd, "10.0.0.1 multihop local-address 10.0.0.2");
}

#[test]
fn a_router_whose_way_out_is_lost_gives_its_addresses_to_the_other_one_and_takes_them_back() {
    let link = Link::new();
    let flavour = Flavour::V3;
    let gateway = link.lab.node("G");
    link.lab.connect(&gateway, &link.switch, Nic { name: "eth0", addresses: &["10.0.0.3/24"], ..Nic::default() });
    let bfdd = Bfdd::start(&gateway, &peer("10.0.0.1 local-address 10.0.0.3 interface eth0"));
    let tracking = configuration(flavour, &fast("10.0.0.3", "source_ip 10.0.0.1"))
        .replace("virtual_ipaddress", "track_bfd {\n B1\n }\n virtual_ipaddress");
    let first = Daemon::start(&link.nodes[0], Program::Keepwatch, &tracking, Options::default());
    let backup = flavour.configuration(2, "BACKUP", 100);
    let second = Daemon::start(&link.nodes[1], Program::Keepwatch, &backup, Options::default());
    let serves = |router: usize, patience: Duration| {
        let there = wait::within(patience, || {
            (link.has_all(router, flavour) && link.has_none(1 - router, flavour)).then_some(())
        });
        let logs = [first.log(), second.log()];
        assert!(there.is_some(), "R{} does not serve\n--- R1:\n{}\n--- R2:\n{}", router + 1, logs[0], logs[1]);
    };
    serves(0, PATIENCE);

    let stalls = wait::Stalls::watch();
    let hung = Instant::now();
    bfdd.hang();
    serves(1, Duration::from_secs(5));
    in_time(hung, DETECTION + flavour.master_down_interval(100) + SLACK, &stalls, &first);
    let why = first.tool(&["explain", "VI_1"]).text;
    assert!(why.contains("BFD session B1 to 10.0.0.3: Down"), "{why}");

    bfdd.go_on();
    serves(0, PATIENCE);
}

#[test]
fn a_real_server_follows_the_session_that_its_bfd_check_names() {
    let link = Link::new();
    let flavour = Flavour::V3;
    let bfdd = Bfdd::start(&link.nodes[1], &peer("10.0.0.1 local-address 10.0.0.2 interface eth0"));
    let server = "virtual_server 10.0.0.100 80 {\n delay_loop 1\n lb_algo rr\n lb_kind DR\n protocol TCP\n \
                  real_server 10.0.0.2 80 {\n BFD_CHECK {\n name B1\n }\n }\n}\n";
    let own = format!("{}{server}", configuration(flavour, &fast("10.0.0.2", "source_ip 10.0.0.1")));
    let daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, &own, Options::default());
    let wait_for_checker = |up: bool, limit: Duration| {
        let mut last = Value::Null;
        let there = wait::within(limit, || {
            last = serde_json::from_str(&daemon.tool(&["checks", "--json"]).text).unwrap_or_default();
            let checker = &last["checkers"][0];
            (checker["kind"] == "BFD_CHECK" && checker["has_run"] == true && checker["up"] == up).then_some(())
        });
        assert!(there.is_some(), "the server is not {up}: {last:#}\n{}", daemon.log());
        last
    };
    wait_for_checker(true, PATIENCE);
    bfdd.hang();
    let down = wait_for_checker(false, DETECTION + Duration::from_secs(3));
    assert_eq!(down["checkers"][0]["error"], "BFD session B1 is down", "{down:#}");
    let servers = daemon.tool_json(&["ipvs"]);
    assert_eq!(servers["services"][0]["servers"][0]["alive"], false, "{servers:#}");
    // Nobody tracks it, and it is seen all the same.
    let sessions = daemon.tool_json(&["bfd"]);
    let session = &sessions["sessions"][0];
    assert_eq!((&session["name"], &session["state"]), (&Value::from("B1"), &Value::from("down")), "{sessions:#}");
    assert_eq!((&session["for_checks"], &session["tracked_by"]), (&Value::from(true), &Value::from([""; 0].to_vec())));
    let why = daemon.tool(&["explain", "10.0.0.2:80"]).text;
    assert!(why.contains("BFD session B1 is down"), "{why}");
    bfdd.go_on();
    wait_for_checker(true, PATIENCE);
    // The vrrp process keeps the session: what its successor finds counts.
    let vrrp = daemon.wait_for_child("vrrp", PATIENCE);
    nix::sys::signal::kill(vrrp, nix::sys::signal::Signal::SIGKILL).expect("it runs");
    bfdd.wait_for("up", PATIENCE);
    wait_for_checker(true, PATIENCE);
}

#[test]
fn keepalived_is_a_peer_that_comes_up_hears_of_a_stop_and_is_missed_when_it_is_killed() {
    let link = Link::new();
    let flavour = Flavour::V3;
    let own = configuration(flavour, &fast("10.0.0.2", "source_ip 10.0.0.1"));
    let peers = format!(
        "bfd_instance B1 {{\n{}\n}}\n{}",
        fast("10.0.0.1", "source_ip 10.0.0.2"),
        flavour.configuration(2, "BACKUP", 100)
    );
    let mut keepwatch = Daemon::start(&link.nodes[0], Program::Keepwatch, &own, Options::default());
    let mut keepalived = Daemon::start(&link.nodes[1], Program::Keepalived, &peers, Options::default());
    wait_for_times(&keepwatch, UP, 1, PATIENCE);
    wait_for_times(&keepalived, UP, 1, PATIENCE);

    // A reload that changes the pace keeps the session.
    keepwatch.reload(&own.replace("min_tx 100", "min_tx 130"));
    keepalived.process.wait_for_log("remote   130000", PATIENCE);
    assert_eq!((times(&keepwatch, DOWN), times(&keepalived, DOWN)), (0, 0));

    assert_eq!(keepwatch.stop(), 0);
    keepalived.process.wait_for_log("Remote diagnostic - Administratively Down", Duration::from_secs(2));
    let mut keepwatch = Daemon::start(&link.nodes[0], Program::Keepwatch, &own, Options::default());
    wait_for_times(&keepalived, UP, 2, PATIENCE);
    // It has to be up here, too: one that never was is not lost.
    let is_up = || (keepwatch.log().rfind(UP) > keepwatch.log().rfind(DOWN)).then_some(());
    wait::until("the session to be up on both sides", PATIENCE, is_up);
    let before = times(&keepwatch, DOWN);
    let stalls = wait::Stalls::watch();
    let killed = Instant::now();
    keepalived.kill();
    wait_for_times(&keepwatch, DOWN, before + 1, Duration::from_secs(5));
    in_time(killed, DETECTION, &stalls, &keepwatch);
    assert_eq!(keepwatch.stop(), 0);
}

#[test]
fn a_flood_of_bfd_packets_keeps_no_advert_waiting() {
    let link = Link::new();
    let flavour = Flavour::V3;
    let bfd = fast("10.0.0.2", "source_ip 10.0.0.1");
    let daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, &configuration(flavour, &bfd), Options::default());
    daemon.wait_for_address(flavour.addresses()[0], true, PATIENCE);
    let stalls = wait::Stalls::watch();
    let (from, to) = link.nodes[1].enter(|| {
        let socket = UdpSocket::bind("10.0.0.2:50000").expect("a socket");
        let _ = (socket.set_nonblocking(true), socket.set_ttl(255));
        let begun = wait::now_ns();
        let mut number = 0u32;
        while wait::now_ns() < begun + 3_000_000_000 {
            // Rubbish, polls that want an answer, and packets of sessions that are not there.
            let mut packet = [0x20, 0x60, 3, 24, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0];
            packet[4..8].copy_from_slice(&(number | 1).to_be_bytes());
            match number % 3 {
                0 => packet[0] = 0xff,
                1 => packet[8..12].copy_from_slice(&number.to_be_bytes()),
                _ => {}
            }
            let _ = socket.send_to(&packet, "10.0.0.1:3784");
            number = number.wrapping_add(1);
        }
        assert!(number > 10_000, "that was no flood: {number}");
        (begun, wait::now_ns())
    });
    let adverts = link.witness.adverts_from(link.ports[0]);
    let during: Vec<u64> = adverts.iter().map(|(at, _)| *at).filter(|at| (from..to).contains(at)).collect();
    assert!(during.len() >= 20, "{} adverts in 3 s", during.len());
    for pair in during.windows(2) {
        let excused = stalls.within(pair[0], pair[1]);
        let late = (pair[1] - pair[0]).saturating_sub(100_000_000).saturating_sub(excused);
        assert!(late < 20_000_000, "an advert was {late} ns late");
    }
    assert!(times(&daemon, "discarding a packet from 10.0.0.2") < 20, "the log is not flooded:\n{}", daemon.log());
}
