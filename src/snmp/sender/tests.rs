//! The sender against receivers that we play.

use proptest::prelude::*;

use super::*;
use crate::conf::model::{AuthProtocol, PrivacyProtocol, Secret};
use crate::snmp::stats::Stats;
use crate::wire::oid::Oid;
use crate::wire::snmp::{Value, VarBind, decode_located};

const T0: Instant = Instant::from_nanos(5_000_000_000_000);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn trap(number: u32) -> Trap {
    let oid = Oid::new(&[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 10, 0, 2]);
    Trap { oid, varbinds: vec![VarBind::new(Oid::new(&[1, 3, 6, 1, number]), Value::Gauge32(number))] }
}

fn user() -> UsmUser {
    UsmUser {
        name: "ops".to_owned(),
        auth: Some((AuthProtocol::Sha256, Secret("maplesyrup".to_owned()))),
        privacy: Some((PrivacyProtocol::Aes128, Secret("maplesyrup".to_owned()))),
    }
}

fn engine(id: u8, boots: u32) -> LocalEngine {
    LocalEngine { id: vec![id; 8], boots, started: T0 }
}

const INFORM: Option<Retries> = Some(Retries { timeout: Duration::from_secs(1), retries: 2 });

fn v2c(port: u16, inform: Option<Retries>) -> Receiver {
    let security = Security::V2c { community: Secret("public".to_owned()) };
    Receiver { address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), security, inform }
}

fn v3(port: u16, inform: Option<Retries>) -> Receiver {
    Receiver { security: Security::V3 { user: "ops".to_owned() }, ..v2c(port, inform) }
}

fn settings(receivers: Vec<Receiver>) -> SnmpSettings {
    SnmpSettings { users: vec![user()], receivers, ..SnmpSettings::default() }
}

fn sender(receivers: Vec<Receiver>) -> Sender {
    let mut sender = Sender::new(T0, 7);
    assert_eq!(sender.configure(&settings(receivers), T0), []);
    sender
}

/// What was sent to a port.
fn sent(actions: &[Action], port: u16) -> Vec<Vec<u8>> {
    let to_port = |action: &Action| match action {
        Action::Send { to, bytes, .. } if to.port() == port => Some(bytes.clone()),
        Action::Send { .. } | Action::Log(_) => None,
    };
    actions.iter().filter_map(to_port).collect()
}

#[track_caller]
fn one(actions: &[Action], port: u16) -> Vec<u8> {
    let [bytes] = <[Vec<u8>; 1]>::try_from(sent(actions, port)).unwrap();
    bytes
}

#[track_caller]
fn pdu(bytes: &[u8]) -> Pdu {
    match decode(bytes).unwrap() {
        Message::V2c { community, pdu } if community == b"public" => pdu,
        other => panic!("{other:?}"),
    }
}

/// The number of the trap in it.
fn number(pdu: &Pdu) -> u32 {
    match pdu.varbinds[2].value {
        Value::Gauge32(number) => number,
        ref other => panic!("{other:?}"),
    }
}

fn acknowledged(bytes: &[u8]) -> Vec<u8> {
    let asked = pdu(bytes);
    Message::V2c { community: b"public".to_vec(), pdu: asked.response(asked.varbinds.clone()) }.encode()
}

fn from(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

fn counters(sender: &mut Sender, receiver: usize) -> Counters {
    sender.status(T0)[receiver].counters
}

#[test]
fn a_trap_goes_to_each_receiver_once_with_the_uptime_of_the_event_first() {
    let mut sender = sender(vec![v2c(1, None), v2c(2, None)]);
    let actions = sender.notify(&trap(9), T0 + ms(12_340));
    let first = pdu(&one(&actions, 1));
    assert_eq!((first.kind, first.varbinds.len(), number(&first)), (PduKind::TrapV2, 3, 9));
    assert_eq!(first.varbinds[0], VarBind::new("1.3.6.1.2.1.1.3.0".parse().unwrap(), Value::TimeTicks(1234)));
    assert_eq!(first.varbinds[1].value, Value::ObjectIdentifier(trap(9).oid));
    assert_ne!(pdu(&one(&actions, 2)).request_id, first.request_id);
    assert_eq!((sender.deadline(), counters(&mut sender, 0).sent), (None, 1));
    assert!(sender.is_idle());
}

#[test]
fn snmpv1_gets_its_own_words_and_a_counter64_none() {
    let receiver = Receiver { security: Security::V1 { community: Secret("public".to_owned()) }, ..v2c(1, None) };
    let mut sender = sender(vec![receiver]);
    assert_eq!(sender.wants_local(), [(0, from(1))]);
    sender.set_local(0, "192.0.2.7".parse().unwrap());
    let bytes = one(&sender.notify(&trap(9), T0 + ms(10)), 1);
    let Ok(Message::V1 { body: V1Body::Trap(said), .. }) = decode(&bytes) else { panic!("a trap of SNMPv1") };
    assert_eq!(said.enterprise.to_string(), ".1.3.6.1.4.1.9586.100.5.2.10");
    assert_eq!((said.agent.octets(), said.generic, said.specific, said.uptime), ([192, 0, 2, 7], 6, 2, 1));
    let long = Trap { varbinds: vec![VarBind::new(Oid::new(&[1, 3]), Value::Counter64(1))], ..trap(1) };
    assert_eq!(sender.notify(&long, T0), []);
    assert_eq!((counters(&mut sender, 0).sent, counters(&mut sender, 0).dropped), (1, 1));
}

#[test]
fn informs_go_one_after_the_other_each_until_it_is_acknowledged() {
    let mut sender = sender(vec![v2c(1, INFORM)]);
    let first = one(&sender.notify(&trap(1), T0), 1);
    assert_eq!(pdu(&first).kind, PduKind::Inform);
    assert_eq!(sender.notify(&trap(2), T0), [], "the first is not acknowledged yet");
    assert_eq!(sender.deadline(), Some(T0 + ms(1000)));
    assert_eq!(sender.wake(T0 + ms(999)), []);
    let again = one(&sender.wake(T0 + ms(1000)), 1);
    assert_eq!(again, first, "an attempt more, the same inform");
    for (what, bytes, port) in [
        ("another port", acknowledged(&first), 2),
        ("no message", vec![0x30, 0x80], 1),
        ("another community", String::from_utf8_lossy(b"x").as_bytes().to_vec(), 1),
        ("itself", first.clone(), 1),
    ] {
        assert_eq!(sender.handle(&bytes, from(port), T0 + ms(1001)), [], "{what}");
    }
    let second = one(&sender.handle(&acknowledged(&first), from(1), T0 + ms(1002)), 1);
    assert_eq!(number(&pdu(&second)), 2);
    assert_eq!(sender.handle(&acknowledged(&first), from(1), T0 + ms(1003)), [], "a second answer to the first");
    assert_eq!(sender.handle(&acknowledged(&second), from(1), T0 + ms(1004)), []);
    let told = Counters { sent: 2, acknowledged: 2, retried: 1, ..Counters::default() };
    assert_eq!((counters(&mut sender, 0), sender.deadline()), (told, None));
}

#[test]
fn a_receiver_that_is_away_gets_everything_in_order_when_it_is_back() {
    let mut sender = sender(vec![v2c(1, INFORM)]);
    let _ = sender.notify(&trap(1), T0);
    let mut now = T0;
    for _ in 0..3 {
        now = sender.deadline().unwrap();
        let _ = sender.wake(now);
    }
    assert_eq!(now, T0 + ms(3000), "three attempts of a second");
    assert_eq!(sender.status(now)[0].away_since, Some(now));
    assert!(sender.is_idle(), "nobody waits for it");
    assert_eq!(sender.notify(&trap(2), now), []);
    // Asked now and then, less and less often.
    let mut pauses = vec![];
    for _ in 0..6 {
        let due = sender.deadline().unwrap();
        pauses.push(due.since(now).as_secs());
        assert_eq!(number(&pdu(&one(&sender.wake(due), 1))), 1, "the first alone");
        now = sender.deadline().unwrap();
        let _ = sender.wake(now);
    }
    assert_eq!(pauses, [2, 4, 8, 16, 30, 30]);
    let due = sender.deadline().unwrap();
    let mut bytes = one(&sender.wake(due), 1);
    for expected in [1, 2] {
        assert_eq!(number(&pdu(&bytes)), expected);
        let actions = sender.handle(&acknowledged(&bytes), from(1), due);
        bytes = sent(&actions, 1).pop().unwrap_or_default();
    }
    let status = &sender.status(due)[0];
    assert_eq!((status.away_since, status.queued, status.outstanding), (None, 0, 0));
    assert_eq!((status.counters.sent, status.counters.acknowledged), (2, 2));
}

#[test]
fn what_waits_has_a_bound_and_an_age_and_both_are_counted() {
    let mut sender = sender(vec![v2c(1, INFORM)]);
    let limited = SnmpSettings {
        queue: QueueSettings { length: 2, expires: Duration::from_secs(60) },
        ..settings(vec![v2c(1, INFORM)])
    };
    let _ = sender.configure(&limited, T0);
    for number in 1..=5 {
        let _ = sender.notify(&trap(number), T0);
    }
    // One is under way, two wait, two went.
    assert_eq!(counters(&mut sender, 0).dropped, 2);
    let status = sender.status(T0 + ms(61_000))[0].clone();
    assert_eq!((status.counters.expired, status.queued, status.outstanding), (2, 0, 1));
}

#[test]
fn settings_that_change_leave_other_receivers_as_they_are() {
    let mut sender = sender(vec![v2c(1, INFORM), v2c(2, INFORM)]);
    let first = one(&sender.notify(&trap(1), T0), 1);
    let _ = sender.notify(&trap(2), T0);
    assert_eq!(sender.configure(&settings(vec![v2c(3, None), v2c(1, INFORM)]), T0), []);
    let next = one(&sender.handle(&acknowledged(&first), from(1), T0), 1);
    assert_eq!(number(&pdu(&next)), 2);
    assert_eq!(sender.status(T0).iter().map(|it| it.counters.sent).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn a_refusal_of_the_system_is_shown_and_a_trap_counts_as_dropped() {
    let mut sender = sender(vec![v2c(1, None)]);
    let _ = sender.notify(&trap(1), T0);
    sender.failed(0, Some(&trap(1).oid), "Network is unreachable", T0);
    let status = &sender.status(T0)[0];
    assert_eq!((status.counters.sent, status.counters.dropped), (0, 1));
    assert_eq!(status.last_error, Some((T0, "Network is unreachable".to_owned())));
}

#[test]
fn traps_of_snmpv3_wait_until_we_know_who_we_are_and_are_signed_by_us() {
    let mut sender = sender(vec![v3(1, None), v2c(2, None)]);
    let actions = sender.notify(&trap(1), T0);
    assert_eq!((sent(&actions, 1).len(), sent(&actions, 2).len()), (0, 1));
    assert!(sender.needs_engine());
    let bytes = one(&sender.set_engine(engine(1, 3), T0 + ms(5000)), 1);
    // Whoever knows our engine and the user can read it.
    let reader = Usm::new(engine(1, 3), &[user()], SaltLane::Responder);
    let (message, auth_at) = decode_located(&bytes).unwrap();
    let Message::V3(message) = message else { panic!("SNMPv3") };
    assert_eq!((message.security.boots, message.security.time), (3, 5));
    let (header, scoped) = reader.open(&bytes, message, &auth_at, &mut Stats::default(), T0 + ms(5000)).unwrap();
    assert_eq!((header.reportable, scoped.pdu.kind, number(&scoped.pdu)), (false, PduKind::TrapV2, 1));
    assert!(!sender.needs_engine());
}

/// A receiver of SNMPv3: what it says to a datagram, and the inform if it was one that it believes.
fn receives(usm: &mut Usm, bytes: &[u8], now: Instant) -> (Option<Vec<u8>>, Option<Pdu>) {
    let (message, auth_at) = decode_located(bytes).unwrap();
    let Message::V3(message) = message else { panic!("SNMPv3") };
    match usm.open(bytes, message, &auth_at, &mut Stats::default(), now) {
        Ok((header, scoped)) => {
            let answer = scoped.pdu.response(scoped.pdu.varbinds.clone());
            let answer = usm.scoped(answer);
            (usm.seal(&header, answer, now), Some(scoped.pdu))
        }
        Err(report) => (report, None),
    }
}

#[test]
fn an_inform_of_snmpv3_finds_out_who_the_receiver_is_and_again_when_that_is_another() {
    let mut sender = sender(vec![v3(1, INFORM)]);
    assert_eq!(sender.set_engine(engine(1, 3), T0), []);
    let mut receiver = Usm::new(engine(9, 5), &[user()], SaltLane::Responder);
    let mut bytes = one(&sender.notify(&trap(1), T0), 1);
    let mut informs = vec![];
    for _ in 0..5 {
        let (answer, inform) = receives(&mut receiver, &bytes, T0);
        informs.extend(inform);
        match sent(&sender.handle(&answer.unwrap(), from(1), T0), 1).pop() {
            Some(more) => bytes = more,
            None => break,
        }
    }
    assert_eq!(informs.iter().map(number).collect::<Vec<_>>(), [1], "told once");
    assert_eq!(counters(&mut sender, 0).acknowledged, 1);
    // It has started again, and then it is another one altogether.
    for mut receiver in [engine(9, 6), engine(8, 1)].map(|it| Usm::new(it, &[user()], SaltLane::Responder)) {
        let mut bytes = one(&sender.notify(&trap(2), T0), 1);
        let mut informs = 0;
        for _ in 0..6 {
            let (answer, inform) = receives(&mut receiver, &bytes, T0);
            informs += usize::from(inform.is_some());
            let Some(answer) = answer else { break };
            match sent(&sender.handle(&answer, from(1), T0), 1).pop() {
                Some(more) => bytes = more,
                None => break,
            }
        }
        assert_eq!(informs, 1);
        assert!(sender.is_idle());
    }
    assert_eq!(counters(&mut sender, 0), Counters { sent: 3, acknowledged: 3, ..Counters::default() });
}

#[test]
fn a_receiver_that_does_not_know_the_user_is_named_with_its_reason() {
    let mut sender = sender(vec![v3(1, INFORM)]);
    let _ = sender.set_engine(engine(1, 3), T0);
    let stranger = UsmUser { name: "other".to_owned(), ..user() };
    let mut receiver = Usm::new(engine(9, 5), &[stranger], SaltLane::Responder);
    let mut bytes = one(&sender.notify(&trap(1), T0), 1);
    for _ in 0..3 {
        let (answer, _) = receives(&mut receiver, &bytes, T0);
        match sent(&sender.handle(&answer.unwrap(), from(1), T0), 1).pop() {
            Some(more) => bytes = more,
            None => break,
        }
    }
    let status = &sender.status(T0)[0];
    assert_eq!(status.last_error.as_ref().map(|(_, why)| why.as_str()), Some("refuses: unknown user name"));
    assert_eq!(status.outstanding, 1, "its word is not signed: the inform is tried again");
}

proptest! {
    /// Whatever is lost on the way, each notification is told once and in order, or counted as gone.
    #[test]
    fn with_any_loss_informs_arrive_in_order_or_are_counted(
        steps in prop::collection::vec((0..4_u8, 0..1500_u64), 1..120),
    ) {
        let mut sender = sender(vec![v2c(1, INFORM)]);
        let limits = SnmpSettings { queue: QueueSettings { length: 4, expires: Duration::from_secs(20) }, ..settings(vec![v2c(1, INFORM)]) };
        let _ = sender.configure(&limits, T0);
        let (mut now, mut told, mut heard, mut wire): (_, u32, Vec<u32>, Vec<Vec<u8>>) = (T0, 0, vec![], vec![]);
        for (what, pause) in steps {
            now += ms(pause);
            let mut actions = sender.wake(now);
            match what {
                0 => {
                    told += 1;
                    actions.extend(sender.notify(&trap(told), now));
                }
                // The oldest datagram arrives, and so does the answer; or the answer is lost; or the datagram is.
                1 | 2 if !wire.is_empty() => {
                    let bytes = wire.remove(0);
                    let number = number(&pdu(&bytes));
                    if heard.last() != Some(&number) {
                        heard.push(number);
                    }
                    if what == 1 {
                        actions.extend(sender.handle(&acknowledged(&bytes), from(1), now));
                    }
                }
                3 if !wire.is_empty() => {
                    wire.remove(0);
                }
                _ => {}
            }
            let more = sent(&actions, 1);
            prop_assert!(more.len() <= 2, "one inform at a time");
            wire.extend(more);
            // What a slow network still carries when the next attempt is out would come twice.
            wire.drain(..wire.len().saturating_sub(1));
        }
        prop_assert!(heard.is_sorted_by(|a, b| a < b), "{heard:?}");
        let status = &sender.status(now)[0];
        let counted = status.counters;
        prop_assert!(counted.acknowledged <= counted.sent);
        let gone = counted.acknowledged + counted.dropped + counted.expired;
        prop_assert_eq!(gone + (status.queued + status.outstanding) as u64, u64::from(told));
    }

    #[test]
    fn no_datagram_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        // Without keys, which take their time.
        let plain = UsmUser { auth: None, privacy: None, ..user() };
        let receivers = SnmpSettings { users: vec![plain], ..settings(vec![v2c(1, INFORM), v3(1, INFORM)]) };
        let mut sender = Sender::new(T0, 7);
        let _ = sender.configure(&receivers, T0);
        let _ = sender.set_engine(engine(1, 1), T0);
        let _ = sender.notify(&trap(1), T0);
        let _ = sender.handle(&bytes, from(1), T0);
    }
}

#[test]
fn a_trap_that_the_system_has_no_room_for_is_sent_again_in_a_moment_and_before_later_ones() {
    let mut sender = sender(vec![v2c(1, None)]);
    let first = one(&sender.notify(&trap(1), T0), 1);
    sender.busy(0, first.clone(), (T0, Some(trap(1).oid)), "no buffer space", T0);
    assert_eq!((counters(&mut sender, 0).sent, sender.is_idle()), (0, false));
    assert_eq!(sent(&sender.notify(&trap(2), T0 + ms(5)), 1), [[0; 0]; 0]);
    assert_eq!((sender.deadline(), sender.status(T0)[0].queued), (Some(T0 + ms(10)), 2));
    let both = sent(&sender.wake(T0 + ms(10)), 1);
    assert_eq!((&both[0], number(&pdu(&both[1]))), (&first, 2));
    assert_eq!((counters(&mut sender, 0).sent, sender.deadline(), sender.is_idle()), (2, None, true));
}

#[test]
fn a_trap_that_there_is_never_room_for_expires() {
    let mut sender = sender(vec![v2c(1, None)]);
    let mut actions = sender.notify(&trap(1), T0);
    let mut now = T0;
    let mut attempts = 0;
    while let Some(Action::Send { receiver, bytes, since, trap, .. }) = actions.pop() {
        attempts += 1;
        sender.busy(receiver, bytes, (since, trap), "no buffer space", now);
        now = (now + ms(1000)).max(sender.deadline().unwrap());
        actions = sender.wake(now);
    }
    assert!(attempts > 2);
    assert_eq!((counters(&mut sender, 0).expired, counters(&mut sender, 0).sent), (1, 0));
    assert_eq!((sender.deadline(), sender.is_idle()), (None, true));
}

/// Of each message that was sent encrypted.
fn salts(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let salt = |bytes: &Vec<u8>| match decode(bytes).unwrap() {
        Message::V3(message) => message.security.privacy,
        other => panic!("{other:?}"),
    };
    messages.iter().map(salt).filter(|salt| !salt.is_empty()).collect()
}

#[test]
fn no_salt_is_used_twice_though_receivers_go_away_and_settings_change() {
    let mut sender = sender(vec![v3(1, INFORM)]);
    let _ = sender.set_engine(engine(1, 4), T0);
    let peer = Usm::new(engine(9, 2), &[user()], SaltLane::Responder);
    let mut stats = Stats::default();
    let mut all = vec![];
    let mut now = T0;
    let mut actions = sender.notify(&trap(1), now);
    for turn in 0..40 {
        for bytes in sent(&actions, 1) {
            all.extend(salts(std::slice::from_ref(&bytes)));
            let Ok((Message::V3(message), auth_at)) = decode_located(&bytes) else { panic!("a message") };
            // It says who it is, and never acknowledges.
            if let Err(Some(report)) = peer.open(&bytes, message, &auth_at, &mut stats, now) {
                all.extend(salts(&sent(&sender.handle(&report, from(1), now), 1)));
            }
        }
        if turn == 20 {
            let _ = sender.configure(&settings(vec![]), now);
            let _ = sender.configure(&settings(vec![v3(1, INFORM)]), now);
            let _ = sender.notify(&trap(2), now);
        }
        now = sender.deadline().unwrap();
        actions = sender.wake(now);
    }
    assert!(all.len() > 15, "{}", all.len());
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
}

#[test]
fn traps_go_on_with_their_salts_when_users_change() {
    let mut sender = sender(vec![v3(1, None)]);
    let _ = sender.set_engine(engine(1, 4), T0);
    let mut all = salts(&sent(&sender.notify(&trap(1), T0), 1));
    let mut settings = settings(vec![v3(1, None)]);
    settings.users.push(UsmUser { name: "other".to_owned(), auth: None, privacy: None });
    let _ = sender.configure(&settings, T0);
    all.extend(salts(&sent(&sender.notify(&trap(2), T0), 1)));
    assert_eq!(all.len(), 2);
    assert_ne!(all[0], all[1]);
}
