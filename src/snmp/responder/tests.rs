//! Requests to a responder, as managers send them.

use std::time::Duration;

use super::*;
use crate::bus::msg::{Refusal, Reply, Source};
use crate::conf::model::{Access, AuthProtocol, PrivacyProtocol, Secret};
use crate::mib::fixture;
use crate::mib::table::{Look, Moment};
use crate::mib::tree::Tree;
use crate::mib::view::Pinned;
use crate::store::Snapshot;
use crate::wire::oid::Oid;
use crate::wire::snmp::decode;

const PRIORITY: &str = "1.3.6.1.4.1.9586.100.5.2.3.1.7.1";
const NAME: &str = "1.3.6.1.4.1.9586.100.5.2.3.1.2.1";
const START: Instant = Instant::from_nanos(1_000_000_000);

fn at(millis: u64) -> Instant {
    START + Duration::from_millis(millis)
}

fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

fn community(name: &str, write: bool, networks: &[(&str, u8)]) -> Community {
    let networks = networks.iter().map(|(network, length)| (network.parse().unwrap(), *length)).collect();
    Community { name: Secret(name.to_owned()), write, networks }
}

fn users() -> Vec<UsmUser> {
    let phrase = || Secret("maplesyrup".to_owned());
    vec![
        UsmUser {
            name: "boss".to_owned(),
            auth: Some((AuthProtocol::Sha1, phrase())),
            privacy: Some((PrivacyProtocol::Aes128, phrase())),
        },
        UsmUser { name: "trapper".to_owned(), auth: None, privacy: None },
    ]
}

/// A responder over the seed's configuration.
struct Agent {
    responder: Responder,
    tree: Tree,
    snapshot: Snapshot,
    origin: Origin,
    now: Instant,
}

impl Agent {
    fn new() -> Self {
        let settings = model::Responder {
            listen: vec![],
            communities: vec![
                community("public", false, &[]),
                community("private", true, &[("192.0.2.0", 24), ("2001:db8::", 32)]),
            ],
            users: vec![Access { user: "boss".to_owned(), write: true }],
        };
        let engine = LocalEngine { id: vec![128, 0, 0, 1, 5, 1], boots: 2, started: START };
        Agent {
            responder: Responder::new(&settings, &users(), engine),
            tree: Tree::new(&fixture::snmp(), &Source::ALL),
            snapshot: (*fixture::seed()).clone(),
            origin: Origin { socket: 0, from: "192.0.2.7:4000".parse().unwrap() },
            now: at(0),
        }
    }

    fn from(mut self, from: &str) -> Self {
        self.origin.from = from.parse().unwrap();
        self
    }

    fn handle(&mut self, datagram: &[u8]) -> Vec<Action> {
        let look = Look { snapshot: &self.snapshot, moment: Moment::default() };
        let view = Pinned { tree: &self.tree, look };
        self.responder.handle(datagram, self.origin, &view, self.now)
    }

    /// The one answer.
    fn sent(&self, actions: Vec<Action>) -> Pdu {
        let [Action::Send { to, datagram }] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(*to, self.origin);
        match decode(datagram) {
            Ok(Message::V1 { body: V1Body::Pdu(pdu), .. } | Message::V2c { pdu, .. }) => pdu,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, version: u8, community: &str, pdu: Pdu) -> Pdu {
        let actions = self.handle(&message(version, community, pdu));
        self.sent(actions)
    }

    fn get(&mut self, names: &[&str]) -> Pdu {
        self.ask(2, "public", request(PduKind::Get, names))
    }

    /// SET of the priority until its command goes out.
    fn begin_set(&mut self, value: i32) -> (Token, Command) {
        let actions = self.handle(&message(2, "private", set(PRIORITY, Value::Integer(value))));
        let [Action::Command { token, command }] = &actions[..] else { panic!("{actions:?}") };
        (*token, command.clone())
    }
}

fn message(version: u8, community: &str, pdu: Pdu) -> Vec<u8> {
    let community = community.as_bytes().to_vec();
    match version {
        1 => Message::V1 { community, body: V1Body::Pdu(pdu) }.encode(),
        _ => Message::V2c { community, pdu }.encode(),
    }
}

fn request(kind: PduKind, names: &[&str]) -> Pdu {
    Pdu::new(kind, 4711, names.iter().map(|name| VarBind::new(oid(name), Value::Null)).collect())
}

fn bulk(non_repeaters: i32, max_repetitions: i32, names: &[&str]) -> Pdu {
    let mut pdu = request(PduKind::GetBulk, names);
    (pdu.error_status, pdu.error_index) = (non_repeaters, max_repetitions);
    pdu
}

fn set(name: &str, value: Value) -> Pdu {
    Pdu::new(PduKind::Set, 4711, vec![VarBind::new(oid(name), value)])
}

fn error(pdu: &Pdu) -> (&'static str, i32) {
    (ErrorStatus(pdu.error_status as u16).name(), pdu.error_index)
}

#[test]
fn get_answers_values_and_exceptions_in_the_order_asked() {
    let mut agent = Agent::new();
    let answer = agent.get(&[NAME, "1.3.6.1.2.1.1.5.1", "1.3.6.1.9", "1.3.6.1.2.1.11.1.0"]);
    assert_eq!((answer.kind, answer.request_id, error(&answer)), (PduKind::Response, 4711, ("noError", 0)));
    let values: Vec<&Value> = answer.varbinds.iter().map(|varbind| &varbind.value).collect();
    let [name, NO_INSTANCE, NO_OBJECT, Value::Counter32(1)] = values[..] else { panic!("{values:?}") };
    assert_eq!(*name, Value::text("VI_1"));
}
const NO_INSTANCE: &Value = &Value::NoSuchInstance;
const NO_OBJECT: &Value = &Value::NoSuchObject;

#[test]
fn in_version_1_one_missing_variable_spoils_the_answer() {
    let mut agent = Agent::new();
    let answer = agent.ask(1, "public", request(PduKind::Get, &[NAME, "1.3.6.1.9.9"]));
    assert_eq!((error(&answer), answer.varbinds.len()), (("noSuchName", 2), 2));
    assert_eq!(answer.varbinds[0].value, Value::Null, "the variables are those of the request");
    let answer = agent.ask(1, "public", request(PduKind::GetNext, &["2"]));
    assert_eq!(error(&answer), ("noSuchName", 1));
    assert_eq!(agent.responder.stats.snmp(SnmpStat::OutNoSuchNames as usize), 2);
}

fn walk(agent: &mut Agent, version: u8) -> Vec<VarBind> {
    let mut found: Vec<VarBind> = vec![];
    let mut name = "0.0".to_owned();
    loop {
        let answer = agent.ask(version, "public", request(PduKind::GetNext, &[&name]));
        let [varbind] = &answer.varbinds[..] else { panic!("{answer:?}") };
        if answer.error_status != 0 || varbind.value == Value::EndOfMibView {
            return found;
        }
        name = varbind.name.to_string();
        found.push(varbind.clone());
    }
}

#[test]
fn version_1_walks_over_counter64_and_does_not_get_it() {
    let mut agent = Agent::new();
    agent.snapshot = (*fixture::check::seed()).clone();
    let (first, second) = (walk(&mut agent, 1), walk(&mut agent, 2));
    let long: Vec<&VarBind> = second.iter().filter(|varbind| matches!(varbind.value, Value::Counter64(_))).collect();
    assert!(!long.is_empty());
    assert_eq!(first.len() + long.len(), second.len());
    let name = long[0].name.to_string();
    let answer = agent.ask(1, "public", request(PduKind::Get, &[&name]));
    assert_eq!(error(&answer), ("noSuchName", 1));
}

/// Counter64s without end, of which it says what column they are in or does not.
struct Long(bool);

impl View for Long {
    fn get(&self, _: &Oid) -> Value {
        Value::NoSuchObject
    }
    fn next(&self, name: &Oid, include: bool, _: &Oid) -> Option<VarBind> {
        let rest = match name.below(&[1, 3, 9, 1]) {
            Some(rest) => rest.first().copied().unwrap_or(0),
            None if *name < Oid::new(&[1, 3, 9, 1]) => 0,
            None => {
                assert!(include);
                return (*name == Oid::new(&[1, 3, 9, 2])).then(|| VarBind::new(name.clone(), Value::Integer(7)));
            }
        };
        Some(VarBind::new(Oid::new(&[1, 3, 9, 1, rest + 1]), Value::Counter64(1)))
    }
    fn object(&self, name: &Oid) -> Option<Oid> {
        name.below(&[1, 3, 9, 1]).filter(|_| self.0).map(|_| Oid::new(&[1, 3, 9, 1]))
    }
    fn test_set(&self, _: &VarBind) -> Result<Command, crate::mib::table::SetError> {
        Err(crate::mib::table::SetError::NoAccess)
    }
}

#[test]
fn version_1_steps_over_a_column_at_once_and_not_over_variables_without_end() {
    let mut agent = Agent::new();
    let mut ask = |knows| {
        let message = message(1, "public", request(PduKind::GetNext, &["1.3.6.1.2.1.1.4", "1.3.8"]));
        let actions = agent.responder.handle(&message, agent.origin, &Long(knows), agent.now);
        agent.sent(actions)
    };
    let answer = ask(true);
    assert_eq!((answer.error_status, &answer.varbinds[1].value), (0, &Value::Integer(7)));
    assert_eq!(error(&ask(false)), ("genErr", 2));
}

#[test]
fn getbulk_interleaves_columns_and_stops_behind_the_end() {
    let mut agent = Agent::new();
    let everything = walk(&mut agent, 2);
    let answer = agent.ask(2, "public", bulk(0, i32::MAX, &["0.0"]));
    assert_eq!(answer.varbinds.len(), everything.len() + 1);
    assert_eq!(answer.varbinds.last().unwrap().value, Value::EndOfMibView);
    let names = |varbinds: &[VarBind]| varbinds.iter().map(|varbind| varbind.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&answer.varbinds[..everything.len()]), names(&everything));

    let answer = agent.ask(2, "public", bulk(1, 2, &["1.3.6.1.2.1.1.1", "1.3.6.1.2.1.1.4", "2.9.9"]));
    let shown: Vec<String> = answer.varbinds.iter().map(|varbind| varbind.name.to_string()).collect();
    assert_eq!(shown, [".1.3.6.1.2.1.1.1.0", ".1.3.6.1.2.1.1.4.0", ".2.9.9", ".1.3.6.1.2.1.1.5.0", ".2.9.9"]);
    for (non_repeaters, max_repetitions, count) in [(-1, -1, 0), (9, 9, 3), (0, 0, 0), (2, 0, 2)] {
        let names = ["1.3.6.1.2.1.1.1", "1.3.6.1.2.1.1.4", "1.3.6.1.2.1.1.5"];
        let answer = agent.ask(2, "public", bulk(non_repeaters, max_repetitions, &names));
        assert_eq!((answer.varbinds.len(), answer.error_status), (count, 0), "{non_repeaters} {max_repetitions}");
    }
}

/// As many variables as one likes.
struct Endless;

impl View for Endless {
    fn get(&self, _: &Oid) -> Value {
        Value::OctetString(vec![b'x'; 70_000])
    }
    fn next(&self, name: &Oid, _: bool, _: &Oid) -> Option<VarBind> {
        let number = name.below(&[1, 3, 9]).and_then(|rest| rest.first()).copied().unwrap_or(0);
        Some(VarBind::new(Oid::new(&[1, 3, 9, number.checked_add(1)?]), Value::OctetString(vec![b'x'; 50])))
    }
    fn test_set(&self, _: &VarBind) -> Result<Command, crate::mib::table::SetError> {
        Err(crate::mib::table::SetError::NoAccess)
    }
}

#[test]
fn getbulk_fills_the_datagram_and_not_one_octet_more() {
    let mut agent = Agent::new();
    let actions =
        agent.responder.handle(&message(2, "public", bulk(0, i32::MAX, &["1.3.8"])), agent.origin, &Endless, agent.now);
    let [Action::Send { datagram, .. }] = &actions[..] else { panic!("{actions:?}") };
    assert!((DATAGRAM_MAX - 90..=DATAGRAM_MAX).contains(&datagram.len()), "{}", datagram.len());
}

#[test]
fn an_answer_that_cannot_arrive_is_too_big() {
    let mut agent = Agent::new();
    let actions = agent.responder.handle(
        &message(2, "public", request(PduKind::Get, &["1.3.9.1"])),
        agent.origin,
        &Endless,
        agent.now,
    );
    let answer = agent.sent(actions);
    assert_eq!((error(&answer), answer.varbinds.len()), (("tooBig", 0), 0));
}

#[test]
fn an_unknown_community_or_one_from_elsewhere_meets_silence_and_is_counted() {
    let get = request(PduKind::Get, &[NAME]);
    for (community, from, answered) in [
        ("public", "198.51.100.1:1", true),
        ("publi", "192.0.2.7:1", false),
        ("", "192.0.2.7:1", false),
        ("private", "192.0.2.7:1", true),
        ("private", "192.0.3.7:1", false),
        ("private", "[2001:db8:9::1]:1", true),
        ("private", "[2001:db9::1]:1", false),
        ("private", "[::ffff:192.0.2.9]:1", true),
    ] {
        let mut agent = Agent::new().from(from);
        let actions = agent.handle(&message(2, community, get.clone()));
        assert_eq!(actions.len(), usize::from(answered), "{community} from {from}");
        let counted = agent.responder.stats.snmp(SnmpStat::InBadCommunityNames as usize);
        assert_eq!(counted, u32::from(!answered), "{community} from {from}");
    }
}

#[test]
fn networks_contain_what_their_prefix_says() {
    let contains =
        |network: &str, length, address: &str| contains(network.parse().unwrap(), length, address.parse().unwrap());
    assert!(contains("10.1.2.3", 8, "10.9.9.9") && !contains("10.1.2.3", 8, "11.1.2.3"));
    assert!(contains("0.0.0.0", 0, "255.255.255.255") && !contains("0.0.0.0", 0, "::"));
    assert!(contains("::", 0, "ffff::") && contains("fe80::1", 128, "fe80::1") && !contains("fe80::1", 128, "fe80::2"));
    assert!(contains("10.0.0.1", 32, "10.0.0.1") && !contains("10.0.0.1", 32, "10.0.0.0"));
}

#[test]
fn what_is_no_message_is_counted_by_what_is_wrong_with_it() {
    let mut agent = Agent::new();
    let mut version = message(2, "public", request(PduKind::Get, &[NAME]));
    version[4] = 7;
    for datagram in [&version[..], b"\x30\x03\x02\x01\x01", b"", b"GET / HTTP/1.1\r\n"] {
        assert_eq!(agent.handle(datagram), []);
    }
    let stats = agent.responder.stats();
    let count = |stat| stats.snmp(stat as usize);
    assert_eq!((count(SnmpStat::InPkts), count(SnmpStat::InBadVersions), count(SnmpStat::InAsnParseErrs)), (4, 1, 3));
    assert_eq!(count(SnmpStat::OutPkts), 0);
}

#[test]
fn answers_to_nobody_and_traps_meet_silence() {
    let mut agent = Agent::new();
    for kind in [PduKind::Response, PduKind::Inform, PduKind::TrapV2, PduKind::Report] {
        assert_eq!(agent.handle(&message(2, "public", request(kind, &[NAME]))), [], "{kind:?}");
    }
}

#[test]
fn a_set_is_answered_when_its_owner_has_done_it_and_readers_see_it() {
    let mut agent = Agent::new();
    let (token, command) = agent.begin_set(42);
    assert!(token.0 > Responder::TOKENS_FROM);
    let Command::SetPriority { instance, priority } = command else { panic!("{command:?}") };
    assert_eq!((&*instance.0, priority.get()), ("VI_1", 42));
    assert_eq!(agent.get(&[NAME]).varbinds[0].value, Value::text("VI_1"), "others are served meanwhile");

    let undo = Command::SetPriority { instance, priority };
    assert_eq!(agent.responder.reply(token, Reply::Done { undo, visible_at: 9 }, at(1)), []);
    assert_eq!(agent.responder.store_at(Source::Vrrp, 8, at(2)), []);
    let actions = agent.responder.store_at(Source::Vrrp, 9, at(3));
    let answer = agent.sent(actions);
    assert_eq!((error(&answer), &answer.varbinds[0].value), (("noError", 0), &Value::Integer(42)));
    assert_eq!(agent.responder.deadline(), None, "nothing is left of it");
}

#[test]
fn a_set_that_comes_again_while_it_is_under_way_is_not_done_twice() {
    let mut agent = Agent::new();
    agent.begin_set(42);
    assert_eq!(agent.handle(&message(2, "private", set(PRIORITY, Value::Integer(42)))), []);
}

#[test]
fn two_managers_who_set_the_same_have_their_turns() {
    let mut agent = Agent::new();
    let (token, undo) = agent.begin_set(42);
    agent.origin.from.set_port(4001);
    assert_eq!(agent.handle(&message(2, "private", set(PRIORITY, Value::Integer(43)))), []);
    let actions = agent.responder.reply(token, Reply::Done { undo: undo.clone(), visible_at: 0 }, at(1));
    let [Action::Send { to, .. }, Action::Command { token, .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(to.from.port(), 4000);
    let actions = agent.responder.reply(*token, Reply::Done { undo, visible_at: 0 }, at(2));
    assert_eq!(error(&agent.sent(actions)), ("noError", 0));
}

#[test]
fn a_set_that_its_owner_refuses_is_undone_and_commit_failed() {
    let mut agent = Agent::new();
    let mut pdu = set(PRIORITY, Value::Integer(42));
    pdu.varbinds.push(VarBind::new(oid(PRIORITY), Value::Integer(43)));
    let actions = agent.handle(&message(2, "private", pdu));
    let [Action::Command { token, command }] = &actions[..] else { panic!("{actions:?}") };
    let done = Reply::Done { undo: command.clone(), visible_at: 0 };
    let actions = agent.responder.reply(*token, done.clone(), at(1));
    let [Action::Command { token, .. }] = &actions[..] else { panic!("{actions:?}") };
    let actions = agent.responder.reply(*token, Reply::Refused(Refusal::NoSuchInstance), at(2));
    let [Action::Command { token, command: inverse }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(inverse, command);
    let actions = agent.responder.reply(*token, done, at(3));
    assert_eq!(error(&agent.sent(actions)), ("commitFailed", 2));
    assert_eq!(agent.responder.deadline(), None);
}

#[test]
fn an_owner_that_says_nothing_costs_a_second_at_most() {
    let mut agent = Agent::new();
    agent.begin_set(42);
    let deadline = agent.responder.deadline().expect("a deadline");
    assert_eq!(deadline, at(500));
    // Whether it was done is unknown, and so is whether it was undone.
    assert_eq!(agent.responder.wake(deadline), []);
    let last = agent.responder.deadline().expect("one for the undoing");
    assert_eq!(last, at(800));
    let actions = agent.responder.wake(last);
    assert_eq!(error(&agent.sent(actions)), ("undoFailed", 0));
}

#[test]
fn a_set_without_the_right_or_of_the_wrong_value_is_refused_before_anything_is_done() {
    let mut agent = Agent::new();
    let mut refused = |version, community, pdu| error(&agent.ask(version, community, pdu));
    assert_eq!(refused(2, "public", set(PRIORITY, Value::Integer(42))), ("noAccess", 1));
    assert_eq!(refused(1, "public", set(PRIORITY, Value::Integer(42))), ("noSuchName", 1));
    assert_eq!(refused(2, "private", set(PRIORITY, Value::text("42"))), ("wrongType", 1));
    assert_eq!(refused(2, "private", set(PRIORITY, Value::Integer(256))), ("wrongValue", 1));
    assert_eq!(refused(1, "private", set(PRIORITY, Value::Integer(256))), ("badValue", 1));
    assert_eq!(refused(2, "private", set("1.3.6.1.2.1.1.5.0", Value::text("x"))), ("notWritable", 1));
    assert_eq!(agent.responder.stats.snmp(SnmpStat::InBadCommunityUses as usize), 2);
    assert_eq!(agent.responder.deadline(), None);
}

#[test]
fn a_set_of_nothing_succeeds_at_once() {
    let answer = Agent::new().ask(2, "private", Pdu::new(PduKind::Set, 1, vec![]));
    assert_eq!((error(&answer), answer.varbinds.len()), (("noError", 0), 0));
}

/// The responder's user as a manager, whose messages are sealed with the keys of the engine.
fn v3(agent: &Agent, user: &str, level: usm::Level, change: impl FnOnce(&mut ScopedPdu), pdu: Pdu) -> Vec<u8> {
    let mut usm = agent.responder.usm.clone();
    let user = usm.user(user.as_bytes()).unwrap();
    let mut scoped = usm.scoped(pdu);
    change(&mut scoped);
    let header = Header { message_id: 3, max_size: 65507, level, user, reportable: true };
    let mut bytes = usm.seal(&header, scoped, agent.now).unwrap();
    // What is not signed may still be changed: a request is reportable.
    if level == usm::Level::NoAuthNoPriv {
        let at = bytes.windows(4).position(|octets| octets == [4, 1, 0, 2]).unwrap();
        bytes[at + 2] = 4;
    }
    bytes
}

/// The PDU in the answer.
fn opened(agent: &Agent, actions: Vec<Action>) -> Pdu {
    let [Action::Send { datagram, .. }] = &actions[..] else { panic!("{actions:?}") };
    let Ok((Message::V3(message), auth_at)) = decode_located(datagram) else { panic!("not SNMPv3") };
    let opened = agent.responder.usm.open(datagram, message, &auth_at, &mut Stats::default(), agent.now);
    opened.expect("sealed with the user's keys").1.pdu
}

#[test]
fn a_user_is_answered_at_the_level_of_the_keys_and_below_it_refused() {
    use usm::Level::*;
    let mut agent = Agent::new();
    let mut ask = |user, level| {
        let datagram = v3(&agent, user, level, |_| (), request(PduKind::Get, &[NAME]));
        let actions = agent.handle(&datagram);
        let pdu = opened(&agent, actions);
        (error(&pdu).0, pdu.varbinds[0].value.clone())
    };
    assert_eq!(ask("boss", AuthPriv), ("noError", Value::text("VI_1")));
    assert_eq!(ask("boss", AuthNoPriv), ("authorizationError", Value::Null));
    assert_eq!(ask("boss", NoAuthNoPriv), ("authorizationError", Value::Null));
    assert_eq!(ask("trapper", NoAuthNoPriv), ("authorizationError", Value::Null));
}

#[test]
fn another_context_and_another_engine_are_reported() {
    let mut agent = Agent::new();
    let mut reported = |change: fn(&mut ScopedPdu)| {
        // Not signed: a user that may do nothing is told so only when it asks for something that is there.
        let datagram = v3(&agent, "trapper", usm::Level::NoAuthNoPriv, change, request(PduKind::Get, &[NAME]));
        let actions = agent.handle(&datagram);
        let pdu = opened(&agent, actions);
        assert_eq!(pdu.kind, PduKind::Report);
        pdu.varbinds[0].name.to_string()
    };
    assert_eq!(reported(|scoped| scoped.context_name = b"other".to_vec()), ".1.3.6.1.6.3.12.1.5.0");
    assert_eq!(reported(|scoped| scoped.context_engine_id.push(1)), ".1.3.6.1.6.3.11.2.1.3.0");
}

#[test]
fn a_user_with_the_right_may_set() {
    let mut agent = Agent::new();
    let datagram = v3(&agent, "boss", usm::Level::AuthPriv, |_| (), set(PRIORITY, Value::Integer(7)));
    let actions = agent.handle(&datagram);
    let [Action::Command { token, command }] = &actions[..] else { panic!("{actions:?}") };
    let actions = agent.responder.reply(*token, Reply::Done { undo: command.clone(), visible_at: 0 }, at(1));
    assert_eq!(error(&opened(&agent, actions)), ("noError", 0));
}

#[test]
fn getbulk_in_version_3_keeps_to_what_the_manager_takes() {
    for level in [usm::Level::NoAuthNoPriv, usm::Level::AuthPriv] {
        for max_size in [484, 1400, 9000] {
            let mut agent = Agent::new();
            agent.responder.access[1] = Some(Right::Read);
            let user = usize::from(level == usm::Level::NoAuthNoPriv);
            let security = Security::V3 { header: Header { message_id: 3, max_size, level, user, reportable: true } };
            let request = Request {
                security,
                right: Right::Read,
                pdu: bulk(0, i32::MAX, &["1.3.8"]),
                origin: agent.origin,
                view: &Endless,
                now: agent.now,
            };
            let actions = agent.responder.serve(request);
            let [Action::Send { datagram, .. }] = &actions[..] else { panic!("{actions:?}") };
            let range = max_size as usize - 90..=max_size as usize;
            assert!(range.contains(&datagram.len()), "{} of {max_size}", datagram.len());
            assert!(!opened(&agent, actions).varbinds.is_empty());
        }
    }
}

#[test]
fn other_settings_keep_counters_tokens_and_users_and_take_back_a_set_that_was_under_way() {
    let mut agent = Agent::new();
    let set = |value| message(2, "private", set(PRIORITY, Value::Integer(value)));
    let [Action::Command { token: first, .. }] = agent.handle(&set(120))[..] else { panic!("a command") };
    let settings =
        model::Responder { listen: vec![], communities: vec![community("private", true, &[])], users: vec![] };
    let engine = agent.responder.usm.engine.clone();
    assert_eq!(agent.responder.configure(&settings, &[], engine, at(1)), []);
    assert_eq!(agent.responder.stats().snmp(1), 1, "snmpInPkts");
    // It was carried out late: the opposite follows, and nobody is told.
    let undo = Command::SetPriority { instance: "VI_1".into(), priority: model::Priority::new(100).unwrap() };
    let done = Reply::Done { undo: undo.clone(), visible_at: 2 };
    let actions = agent.responder.reply(first, done, at(2));
    let [Action::Command { token: second, command }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(command, &undo);
    assert!(first < *second);
}
