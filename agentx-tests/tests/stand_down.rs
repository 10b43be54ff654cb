//! `keepwatch failover` and back, as the control socket hears it: the addresses move to the other router at once and come
//! back, whether that one is a keepwatchd or Debian's keepalived; and a router that is alone goes on serving.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use agentx_tests::daemon::Program::{Keepalived, Keepwatch};
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::{Flavour, Link, SLACK, Turn, announced};
use agentx_tests::wait;
use serde_json::Value;

/// What moving addresses may take beyond the timers of VRRP.
const MOVE: Duration = Duration::from_millis(400);

#[test]
fn addresses_move_to_another_keepwatchd_and_back_v2() {
    there_and_back(Keepwatch, Flavour::V2);
}

#[test]
fn addresses_move_to_another_keepwatchd_and_back_v3_ten_times_a_second() {
    there_and_back(Keepwatch, Flavour::V3);
}

#[test]
fn addresses_move_to_another_keepwatchd_and_back_over_ipv6() {
    there_and_back(Keepwatch, Flavour::IPV6);
}

#[test]
fn addresses_move_to_keepalived_and_back_v2_with_a_password() {
    there_and_back(Keepalived, Flavour::V2);
}

#[test]
fn addresses_move_to_keepalived_and_back_v3_ten_times_a_second() {
    there_and_back(Keepalived, Flavour::V3);
}

#[test]
fn addresses_move_to_keepalived_and_back_by_unicast() {
    there_and_back(Keepalived, Flavour::UNICAST);
}

/// R1 (150) is master and stands down; R2 (100) serves; R1 stands up and takes the addresses back.
#[track_caller]
fn there_and_back(peer: Program, flavour: Flavour) {
    let pair = Pair::start(peer, flavour);
    let asked = wait::now_ns();
    pair.first.failover(false);
    // The resignation leaves at once, and R2 follows it after its skew.
    let due = flavour.skew(100);
    let moved = wait::within(due + MOVE, || {
        (pair.link.has_all(1, flavour) && pair.link.has_none(0, flavour)).then(wait::now_ns)
    });
    let Some(moved) = moved else { pair.explain("the addresses did not move to R2") };
    assert!(moved - asked < 1_200_000_000, "about a second, not {} s", wait::seconds(moved - asked));
    let turns = pair.turns(2);
    assert_eq!(turns[0].priority, 0, "R1 resigns: {turns:#?}");
    let silence = Duration::from_nanos(turns[1].first.saturating_sub(turns[0].last));
    assert!(
        silence + Duration::from_millis(2) >= due && silence <= due + SLACK,
        "followed after {silence:?}, not {due:?}"
    );
    announced(&pair.link, flavour, 1, turns[1].first);

    // It does not want them back, and would not take them if it did.
    wait::observe(flavour.master_down_interval(1) + flavour.interval);
    let turns = pair.turns(2);
    assert_eq!((turns.len(), turns[1].priority), (2, 100), "{}", pair.said());
    assert!(pair.link.has_all(1, flavour) && pair.link.has_none(0, flavour), "{}", pair.said());

    pair.first.failover(true);
    let due = flavour.master_down_interval(150);
    let back =
        wait::within(due + MOVE, || (pair.link.has_all(0, flavour) && pair.link.has_none(1, flavour)).then_some(()));
    if back.is_none() {
        pair.explain("the addresses did not come back to R1");
    }
    let turns = pair.turns(3);
    assert_eq!((turns.len(), turns[2].port, turns[2].priority), (3, pair.link.ports[0], 150), "{}", pair.said());
    announced(&pair.link, flavour, 0, turns[2].first);
}

#[test]
fn a_router_that_stands_down_alone_serves_until_a_better_one_comes_and_again_when_that_one_is_gone() {
    let flavour = Flavour::V3;
    let link = Link::new();
    let file = flavour.configuration(1, "MASTER", 150);
    let first = Daemon::start(&link.nodes[0], Keepwatch, &file, Options::default());
    let serves = |router: usize, what: &str| {
        let there = wait::within(Duration::from_secs(5), || {
            (link.has_all(router, flavour) && link.has_none(1 - router, flavour)).then_some(())
        });
        assert!(there.is_some(), "{what}; R1 said:\n{}", first.log());
    };
    let priority = || link.witness.adverts_from(link.ports[0]).last().map_or(0, |(_, advert)| advert.priority);
    let advertises = |wanted: u8| {
        let heard = wait::within(Duration::from_secs(2), || (priority() == wanted).then_some(()));
        assert!(heard.is_some(), "R1 advertises {}, not {wanted}; it said:\n{}", priority(), first.log());
    };
    serves(0, "R1 did not become master");
    advertises(150);

    let gone = wait::now_ns();
    first.failover(false);
    advertises(1);
    serves(0, "nobody else is there, and R1 does not serve");
    for address in flavour.addresses() {
        let spans = link.monitors[0].spans(address);
        let ended: Vec<u64> = spans.iter().filter_map(|(_, end)| *end).filter(|end| *end > gone).collect();
        let begun: Vec<u64> = spans.iter().map(|(begin, _)| *begin).filter(|begin| *begin > gone).collect();
        let ([ended], [begun]) = (&ended[..], &begun[..]) else { panic!("{address} went and came once: {spans:?}") };
        let missing = Duration::from_nanos(begun - ended);
        let due = flavour.master_down_interval(1);
        assert!(missing <= due + SLACK, "{address} was nowhere for {missing:?}, which is more than {due:?}");
    }

    // A reload is no reason to stand up.
    first.reload(&file.replace("router_id R1", "router_id R1a"));
    first.process.wait_for_log("Reload complete", Duration::from_secs(5));
    wait::observe(5 * flavour.interval);
    assert_eq!(priority(), 1);

    let file = flavour.configuration(2, "BACKUP", 2);
    let mut second = Daemon::start(&link.nodes[1], Keepwatch, &file, Options::default());
    serves(1, "R2 is better, even with priority 2");
    second.kill();
    advertises(1);
    let there = wait::within(Duration::from_secs(2), || link.has_all(0, flavour).then_some(()));
    assert!(there.is_some(), "R2 is dead, and R1 does not serve; it said:\n{}", first.log());
    first.failover(true);
    advertises(150);
}

#[test]
fn an_owner_is_told_that_it_cannot_stand_down_and_an_unknown_name_is_told_too() {
    let flavour = Flavour { authentication: None, ..Flavour::V2 };
    let link = Link::new();
    let first = Daemon::start(&link.nodes[0], Keepwatch, &flavour.configuration(1, "MASTER", 255), Options::default());
    first.wait_until_it_listens();
    let there = wait::within(Duration::from_secs(10), || link.has_all(0, flavour).then_some(()));
    assert!(there.is_some(), "R1 did not become master; it said:\n{}", first.log());
    let answer = first.ask(r#"{"command":"failover","instance":"VI_1","back":false}"#);
    assert_eq!((&answer["answer"], &answer["code"]), (&"error".into(), &"refused".into()), "{answer}");
    let answer = first.ask(r#"{"command":"failover","instance":"VI_9","back":false}"#);
    assert_eq!(answer["answer"], "error", "{answer}");
    assert!(link.has_all(0, flavour));
}

/// R1, a keepwatchd of priority 150, is master; R2 of priority 100 follows it.
struct Pair {
    link: Link,
    first: Daemon,
    second: Daemon,
}

impl Pair {
    #[track_caller]
    fn start(peer: Program, flavour: Flavour) -> Pair {
        let link = Link::new();
        let first =
            Daemon::start(&link.nodes[0], Keepwatch, &flavour.configuration(1, "MASTER", 150), Options::default());
        let alone = wait::within(Duration::from_secs(10), || link.has_all(0, flavour).then_some(()));
        assert!(alone.is_some(), "R1 did not become master; it said:\n{}", first.log());
        let second = Daemon::start(&link.nodes[1], peer, &flavour.configuration(2, "BACKUP", 100), Options::default());
        second.wait_until_it_listens();
        let pair = Pair { link, first, second };
        // One advert that R2 hears: it follows.
        let listening = wait::now_ns();
        let some = 2 * flavour.interval.as_nanos() as u64;
        let heard = wait::within(Duration::from_secs(10), || {
            pair.link.turns().last().filter(|turn| turn.last > listening + some).copied()
        });
        if heard.is_none_or(|turn| turn.port != pair.link.ports[0]) {
            pair.explain("R1 is not the only master");
        }
        pair
    }

    /// As soon as there are as many; see [`Link::turns`].
    #[track_caller]
    fn turns(&self, count: usize) -> Vec<Turn> {
        let enough = wait::within(Duration::from_secs(5), || {
            Some(self.link.turns()).filter(|turns| turns.get(count - 1).is_some_and(|turn| turn.count >= 2))
        });
        enough.unwrap_or_else(|| self.explain(&format!("there are no {count} turns")))
    }

    fn said(&self) -> String {
        let turns = self.link.turns();
        format!("turns: {turns:#?}\n--- R1 said:\n{}\n--- R2 said:\n{}", self.first.log(), self.second.log())
    }

    #[track_caller]
    fn explain(&self, what: &str) -> ! {
        panic!("{what}\n{}", self.said())
    }
}

trait Control {
    /// One line to the control socket, and the answer.
    fn ask(&self, line: &str) -> Value;
    fn failover(&self, back: bool);
}

impl Control for Daemon {
    #[track_caller]
    fn ask(&self, line: &str) -> Value {
        let path = self.directory().join("main.sock");
        let stream = wait::until("the control socket", Duration::from_secs(5), || UnixStream::connect(&path).ok());
        let mut answer = String::new();
        let asked = (&stream).write_all(format!("{line}\n").as_bytes());
        asked.and_then(|()| BufReader::new(&stream).read_line(&mut answer)).unwrap_or_else(|error| panic!("{error}"));
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error} in {answer:?}"))
    }

    #[track_caller]
    fn failover(&self, back: bool) {
        let answer = self.ask(&format!(r#"{{"command":"failover","instance":"VI_1","back":{back}}}"#));
        assert_ne!(answer["answer"], "error", "{answer}; it said:\n{}", self.log());
    }
}
