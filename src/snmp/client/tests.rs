//! A client against an engine of ours in the receiver's place.

use std::time::Duration;

use super::*;
use crate::snmp::stats::Stats;
use crate::snmp::usm::{Lane, LocalEngine, Usm};
use crate::wire::oid::Oid;

use crate::conf::model::{AuthProtocol, PrivacyProtocol, Secret};

const START: Instant = Instant::from_nanos(1_000_000_000_000_000);

fn user(private: bool) -> UsmUser {
    UsmUser {
        name: "watcher".to_owned(),
        auth: Some((AuthProtocol::Sha256, Secret("authentication".to_owned()))),
        privacy: private.then(|| (PrivacyProtocol::Aes128, Secret("confidential".to_owned()))),
    }
}

/// Answers informs.
struct Receiver {
    usm: Usm,
    stats: Stats,
}

impl Receiver {
    fn new(user: &UsmUser, boots: u32, age: Duration) -> Self {
        let engine = LocalEngine { id: LocalEngine::make_id([7; 8]), boots, started: START - age };
        Receiver { usm: Usm::new(engine, std::slice::from_ref(user), Lane::Responder), stats: Stats::default() }
    }

    /// The answer, and whether the inform has arrived.
    fn hear(&mut self, datagram: &[u8], now: Instant) -> (Vec<u8>, bool) {
        let Ok((Message::V3(message), auth_at)) = decode_located(datagram) else { panic!("not SNMPv3") };
        match self.usm.open(datagram, message, &auth_at, &mut self.stats, now) {
            Err(report) => (report.expect("a Report"), false),
            Ok((header, mut scoped)) => {
                assert_eq!(scoped.pdu.kind, PduKind::Inform);
                scoped.pdu.kind = PduKind::Response;
                (self.usm.seal(&header, scoped, now).unwrap(), true)
            }
        }
    }
}

fn inform(request_id: i32) -> Pdu {
    Pdu::notification(PduKind::Inform, request_id, 5, &Oid::new(&[1, 3, 6, 1, 4]), &[])
}

fn client(user: &UsmUser) -> Client {
    Client::new(user, Salts::new(1, Lane::Notifications), 99)
}

#[test]
fn the_first_inform_asks_for_the_name_of_the_engine_and_follows_at_once() {
    for private in [false, true] {
        let user = user(private);
        let (mut client, mut receiver) = (client(&user), Receiver::new(&user, 4, Duration::from_secs(9000)));
        let question = client.message(inform(11), START);
        let (report, arrived) = receiver.hear(&question, START);
        assert!(!arrived);
        let Heard::Again(message) = client.handle(&report, START) else { panic!("no second attempt") };
        let (answer, arrived) = receiver.hear(&message, START);
        assert!(arrived);
        let Heard::Answer(pdu) = client.handle(&answer, START) else { panic!("no answer") };
        assert_eq!((pdu.request_id, pdu.error_status), (11, 0));
        assert_eq!(client.handle(&answer, START), Heard::Ignored, "the same answer twice");

        let next = client.message(inform(12), START + Duration::from_secs(1));
        assert!(receiver.hear(&next, START + Duration::from_secs(1)).1, "now it is known");
    }
}

#[test]
fn a_receiver_that_was_started_again_tells_its_new_clock_and_gets_the_inform_again() {
    let user = user(true);
    let (mut client, mut receiver) = (client(&user), Receiver::new(&user, 4, Duration::from_secs(9000)));
    let question = client.message(inform(1), START);
    let Heard::Again(message) = client.handle(&receiver.hear(&question, START).0, START) else { panic!() };
    assert!(matches!(client.handle(&receiver.hear(&message, START).0, START), Heard::Answer(_)));

    let mut receiver = Receiver::new(&user, 5, Duration::ZERO);
    let message = client.message(inform(2), START);
    let (report, arrived) = receiver.hear(&message, START);
    assert!(!arrived);
    let Heard::Again(message) = client.handle(&report, START) else { panic!() };
    let (answer, arrived) = receiver.hear(&message, START);
    assert!(arrived);
    assert!(matches!(client.handle(&answer, START), Heard::Answer(_)));
}

#[test]
fn a_liar_about_the_clock_costs_one_more_attempt() {
    let user = user(true);
    let (mut client, mut receiver) = (client(&user), Receiver::new(&user, 4, Duration::from_secs(9000)));
    let mut liar = Receiver::new(&user, 1_000_000, Duration::from_secs(5));
    liar.usm.engine.id = receiver.usm.engine.id.clone();
    let question = client.message(inform(1), START);
    let Heard::Again(message) = client.handle(&liar.hear(&question, START).0, START) else { panic!() };
    let (report, arrived) = receiver.hear(&message, START);
    assert!(!arrived);
    let Heard::Again(message) = client.handle(&report, START) else { panic!("the right clock was not believed") };
    assert!(receiver.hear(&message, START).1);
}

#[test]
fn an_engine_whose_clock_is_never_right_is_given_up() {
    let user = user(false);
    let (mut client, mut receiver) = (client(&user), Receiver::new(&user, 4, Duration::ZERO));
    let mut message = client.message(inform(1), START);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let report = receiver.hear(&message, START).0;
        receiver.usm.engine.boots += 1;
        match client.handle(&report, START) {
            Heard::Again(again) => message = again,
            Heard::Refused(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(attempts, 4);
}

#[test]
fn an_answer_that_is_not_signed_or_answers_nothing_is_ignored() {
    let user = user(false);
    let (mut client, mut receiver) = (client(&user), Receiver::new(&user, 4, Duration::ZERO));
    let question = client.message(inform(1), START);
    let Heard::Again(message) = client.handle(&receiver.hear(&question, START).0, START) else { panic!() };
    let (answer, _) = receiver.hear(&message, START);
    let Ok(Message::V3(mut forged)) = crate::wire::snmp::decode(&answer) else { panic!() };
    forged.flags &= !flag::AUTH;
    forged.security.auth.clear();
    assert_eq!(client.handle(&Message::V3(forged.clone()).encode(), START), Heard::Ignored);
    forged.message_id += 1000;
    assert_eq!(client.handle(&Message::V3(forged).encode(), START), Heard::Ignored);
    assert_eq!(client.handle(b"0", START), Heard::Ignored);
    assert!(matches!(client.handle(&answer, START), Heard::Answer(_)), "the right one still counts");
}

#[test]
fn a_receiver_that_does_not_know_the_user_says_so() {
    let ours = user(false);
    let theirs = UsmUser { name: "somebody".to_owned(), ..user(false) };
    let (mut client, mut receiver) = (client(&ours), Receiver::new(&theirs, 4, Duration::ZERO));
    let question = client.message(inform(1), START);
    let Heard::Again(message) = client.handle(&receiver.hear(&question, START).0, START) else { panic!() };
    assert_eq!(client.handle(&receiver.hear(&message, START).0, START), Heard::Refused("unknown user name"));
}
