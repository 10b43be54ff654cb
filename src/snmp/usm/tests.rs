//! Messages to an engine, as RFC 3414 section 3.2 wants them checked.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::conf::model::{AuthProtocol, PrivacyProtocol, Secret};
use crate::wire::snmp::decode_located;

const BOOTED: Instant = Instant::from_nanos(5_000_000_000);

fn at(seconds: u64) -> Instant {
    BOOTED + Duration::from_secs(seconds)
}

pub(crate) fn engine() -> LocalEngine {
    LocalEngine { id: LocalEngine::make_id([1, 2, 3, 4, 5, 6, 7, 8]), boots: 3, started: BOOTED }
}

pub(crate) fn user(name: &str, auth: Option<AuthProtocol>, privacy: bool) -> UsmUser {
    let phrase = |what: &str| Secret(format!("{what} of {name}"));
    UsmUser {
        name: name.to_owned(),
        auth: auth.map(|protocol| (protocol, phrase("authentication"))),
        privacy: privacy.then(|| (PrivacyProtocol::Aes128, phrase("privacy"))),
    }
}

pub(crate) fn users() -> [UsmUser; 3] {
    [
        user("nobody", None, false),
        user("reader", Some(AuthProtocol::Sha1), false),
        user("boss", Some(AuthProtocol::Sha512), true),
    ]
}

fn get() -> Pdu {
    Pdu::new(PduKind::Get, 77, vec![VarBind::new(Oid::new(&[1, 3, 6, 1]), Value::Null)])
}

/// Pass phrases take their time; they are hashed once.
fn usm() -> Usm {
    static USM: std::sync::OnceLock<Usm> = std::sync::OnceLock::new();
    USM.get_or_init(|| Usm::new(engine(), &users(), Lane::Responder)).clone()
}

/// A manager that knows the engine's clock well.
struct Manager {
    usm: Usm,
    stats: Stats,
    now: Instant,
}

impl Manager {
    fn new() -> Self {
        Manager { usm: usm(), stats: Stats::default(), now: at(1000) }
    }

    fn message(&self, name: &str, level: Level, clock: (u32, u32)) -> Vec<u8> {
        let stranger = || User::new(&user(name, None, false)).at(&engine().id);
        let keys = self.usm.user(name.as_bytes()).map_or_else(stranger, |user| self.usm.users[user].clone());
        let engine_id = engine().id;
        let envelope =
            Envelope { message_id: 5, reportable: true, engine_id: &engine_id, boots: clock.0, time: clock.1, level };
        keys.seal(envelope, self.usm.scoped(get()), &mut Salts::new(9, Lane::Notifications))
    }

    fn open(&mut self, datagram: &[u8]) -> Result<(Header, ScopedPdu), Option<Vec<u8>>> {
        let Ok((Message::V3(message), auth_at)) = decode_located(datagram) else { panic!("not SNMPv3") };
        self.usm.open(datagram, message, &auth_at, &mut self.stats, self.now)
    }

    /// Name of the counter, its value, and the level of the Report that refuses this.
    fn refused(&mut self, datagram: &[u8]) -> (&'static str, u32, u8) {
        let report = self.open(datagram).expect_err("it was opened").expect("no Report");
        let Ok(Message::V3(report)) = crate::wire::snmp::decode(&report) else { panic!("not SNMPv3") };
        assert_eq!((report.message_id, &report.security.engine_id), (5, &engine().id));
        assert_eq!((report.security.boots, report.security.time), (3, 1000));
        let ScopedData::Plain(scoped) = report.data else { panic!("an encrypted Report") };
        let name = reported(&scoped.pdu).expect("a Report");
        let Some([number, 0]) = name.below(crate::snmp::stats::USM_STATS) else { panic!("{name}") };
        let [VarBind { value: Value::Counter32(count), .. }] = scoped.pdu.varbinds[..] else { panic!("{scoped:?}") };
        (UsmStat::name(*number), count, report.flags)
    }
}

const LEVELS: [(&str, Level); 5] = [
    ("nobody", Level::NoAuthNoPriv),
    ("reader", Level::NoAuthNoPriv),
    ("reader", Level::AuthNoPriv),
    ("boss", Level::AuthNoPriv),
    ("boss", Level::AuthPriv),
];

#[test]
fn a_message_of_a_user_is_opened_and_answered_at_its_level() {
    for (name, level) in LEVELS {
        let mut manager = Manager::new();
        let (header, scoped) = manager.open(&manager.message(name, level, (3, 1000))).unwrap();
        assert_eq!((header.level, header.message_id, &scoped), (level, 5, &manager.usm.scoped(get())));
        let answer = manager.usm.seal(&header, scoped.clone(), at(1001)).unwrap();
        let Ok((Message::V3(message), auth_at)) = decode_located(&answer) else { panic!() };
        assert_eq!((Level::of(message.flags), message.security.time), (level, 1001));
        assert_eq!(matches!(message.data, ScopedData::Encrypted(_)), level == Level::AuthPriv);
        let (_, opened) = manager.usm.open(&answer, message, &auth_at, &mut manager.stats, at(1001)).unwrap();
        assert_eq!(opened, scoped);
    }
}

#[test]
fn who_asks_an_engine_without_a_name_is_told_it() {
    let mut manager = Manager::new();
    let discovery = Message::V3(V3Message {
        message_id: 5,
        max_size: 65507,
        flags: flag::REPORTABLE,
        security: UsmParameters::default(),
        data: ScopedData::Plain(ScopedPdu { context_engine_id: vec![], context_name: vec![], pdu: get() }),
    });
    assert_eq!(manager.refused(&discovery.encode()), ("unknown engine id", 1, 0));
    assert_eq!(manager.refused(&discovery.encode()), ("unknown engine id", 2, 0));
}

#[test]
fn a_user_that_is_not_there_and_a_level_without_keys_are_told_apart() {
    let mut manager = Manager::new();
    let stranger = manager.message("stranger", Level::NoAuthNoPriv, (3, 1000));
    assert_eq!(manager.refused(&stranger), ("unknown user name", 1, 0));

    let mut forged = manager.message("nobody", Level::NoAuthNoPriv, (3, 1000));
    let at = forged.windows(3).position(|octets| octets == [4, 1, flag::REPORTABLE]).unwrap();
    forged[at + 2] |= flag::AUTH;
    assert_eq!(manager.refused(&forged), ("unsupported security level", 1, 0));
}

#[test]
fn a_clock_that_is_150_s_off_is_tolerated_and_one_of_151_s_is_told_the_time_signed() {
    for (boots, time, fine) in
        [(3, 850, true), (3, 1150, true), (3, 849, false), (3, 1151, false), (2, 1000, false), (4, 1000, false)]
    {
        let mut manager = Manager::new();
        let message = manager.message("boss", Level::AuthPriv, (boots, time));
        if fine {
            assert!(manager.open(&message).is_ok(), "{boots} {time}");
        } else {
            assert_eq!(manager.refused(&message), ("not in time window", 1, flag::AUTH), "{boots} {time}");
        }
    }
}

#[test]
fn an_engine_that_has_no_boots_left_believes_nobody() {
    let mut manager = Manager::new();
    manager.usm.engine.boots = ENGINE_MAX;
    let message = manager.message("reader", Level::AuthNoPriv, (ENGINE_MAX, 1000));
    assert!(manager.open(&message).is_err());
    assert_eq!(manager.stats.usm(2), 1);
}

#[test]
fn what_was_encrypted_with_another_key_is_a_decryption_error() {
    let mut manager = Manager::new();
    let mut other = users()[2].clone();
    other.privacy.as_mut().unwrap().1 = Secret("something else".to_owned());
    let engine_id = engine().id;
    let envelope = Envelope {
        message_id: 5,
        reportable: true,
        engine_id: &engine_id,
        boots: 3,
        time: 1000,
        level: Level::AuthPriv,
    };
    let sealed =
        User::new(&other).at(&engine_id).seal(envelope, manager.usm.scoped(get()), &mut Salts::new(1, Lane::Responder));
    assert_eq!(manager.refused(&sealed), ("decryption error", 1, 0));
}

#[test]
fn nobody_is_told_anything_who_does_not_want_a_report() {
    let mut manager = Manager::new();
    let mut message = manager.message("stranger", Level::NoAuthNoPriv, (3, 1000));
    let at = message.windows(3).position(|octets| octets == [4, 1, flag::REPORTABLE]).unwrap();
    message[at + 2] = 0;
    assert_eq!(manager.open(&message), Err(None));
    assert_eq!(manager.stats.usm(3), 1);
}

#[test]
fn salts_differ_between_messages_lanes_and_boots() {
    let mut seen = std::collections::BTreeSet::new();
    for boots in [1, 2, ENGINE_MAX] {
        for lane in [Lane::Responder, Lane::Notifications] {
            let mut salts = Salts::new(boots, lane);
            assert!((0..100).all(|_| seen.insert(salts.draw())));
        }
    }
    let mut last = Salts(u64::from(u32::MAX));
    last.draw();
    assert_eq!(last.draw(), [0; 8], "the next lane was entered");
}

#[test]
fn a_trap_is_sealed_with_our_own_clock_and_asks_for_no_report() {
    let mut usm = usm();
    let pdu = Pdu::notification(PduKind::TrapV2, 1, 5, &Oid::new(&[1, 3, 6]), &[]);
    let trap = usm.trap("boss", 8, pdu.clone(), at(60)).unwrap();
    let Ok((Message::V3(message), auth_at)) = decode_located(&trap) else { panic!() };
    assert_eq!((message.flags, message.security.boots, message.security.time), (flag::AUTH | flag::PRIVACY, 3, 60));
    let (_, scoped) = usm.open(&trap, message, &auth_at, &mut Stats::default(), at(60)).unwrap();
    assert_eq!(scoped.pdu, pdu);
    assert_eq!(usm.trap("stranger", 8, pdu, at(60)), None);
}

proptest! {
    /// Whatever is changed in a signed message, it is not believed.
    #[test]
    fn a_changed_octet_is_noticed(place in any::<prop::sample::Index>(), change in 1_u8.., private in any::<bool>()) {
        let mut manager = Manager::new();
        let (name, level) = if private { ("boss", Level::AuthPriv) } else { ("reader", Level::AuthNoPriv) };
        let mut message = manager.message(name, level, (3, 1000));
        let place = place.index(message.len());
        message[place] ^= change;
        let Ok((Message::V3(decoded), auth_at)) = decode_located(&message) else { return Ok(()) };
        let level = Level::of(decoded.flags);
        let opened = manager.usm.open(&message, decoded, &auth_at, &mut manager.stats, manager.now);
        // Without the flag nothing is signed; what such a message may do is the responder's business.
        prop_assert!(opened.is_err() || level == Level::NoAuthNoPriv);
    }
}
