//! The session against a master that we play: well-behaved, and then not.

mod robust;

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::conf::model::{Priority, Snmp};
use crate::mib::fixture;
use crate::mib::tree::Tree;
use crate::mib::view::Pinned;
use crate::store::Snapshot;
use crate::wire::agentx::{SearchRange, Value};

const T0: Instant = Instant::from_nanos(1_000_000_000_000);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A subagent, the MIB it shows, and the master's end of the wire.
struct Lab {
    session: Session,
    tree: Tree,
    snapshot: Arc<Snapshot>,
    now: Instant,
    order: ByteOrder,
}

/// The modules of the RFCs would only make the numbers below larger.
fn keepalived_only() -> Snmp {
    Snmp { rfcv2: false, rfcv3: false, ..fixture::snmp() }
}

fn lab() -> Lab {
    lab_with(Settings::default())
}

fn lab_with(settings: Settings) -> Lab {
    let tree = Tree::new(&keepalived_only(), &[Source::Vrrp]);
    Lab { session: Session::new(settings), tree, snapshot: fixture::seed(), now: T0, order: ByteOrder::Little }
}

/// The PDUs among the actions.
fn pdus(actions: &[Action]) -> Vec<Pdu> {
    let mut found = vec![];
    for action in actions {
        let Action::Send(bytes) = action else { continue };
        let (pdu, length) = decode(bytes).unwrap();
        assert_eq!(length, bytes.len());
        found.push(pdu);
    }
    found
}

/// What is left without PDUs and log lines.
fn others(actions: &[Action]) -> Vec<Action> {
    actions.iter().filter(|action| !matches!(action, Action::Send(_) | Action::Log(_))).cloned().collect()
}

fn logs(actions: &[Action]) -> Vec<&str> {
    actions.iter().filter_map(|action| if let Action::Log(log) = action { Some(&*log.text) } else { None }).collect()
}

fn oid(below_root: &str) -> Oid {
    format!("1.3.6.1.4.1.9586.100.5.{below_root}").parse().unwrap()
}

fn range(start: &str, include: bool, end: &str) -> SearchRange {
    SearchRange { start: oid(start), include, end: if end.is_empty() { Oid::default() } else { oid(end) } }
}

fn trap(n: i32) -> Trap {
    Trap { oid: oid("2.10.0.2"), varbinds: vec![VarBind::new(oid("2.3.1.4.1"), Value::Integer(n))] }
}

use crate::wire::agentx::VarBind;

impl Lab {
    fn wanted(&self) -> Wanted {
        Wanted { registrations: self.tree.registrations(), capabilities: self.tree.capabilities() }
    }

    fn event(&mut self, event: Event<'_>) -> Actions {
        let view = Pinned { tree: &self.tree, look: fixture::look(&self.snapshot) };
        self.session.handle(event, &view, self.now)
    }

    fn wake_at(&mut self, now: Instant) -> Actions {
        self.now = now;
        self.event(Event::Wake)
    }

    /// A PDU of the master's, as bytes.
    fn pdu(&self, packet: u32, body: Body) -> Vec<u8> {
        Pdu { order: self.order, session: 6, transaction: 70, packet, context: Some(vec![]), body }.encode()
    }

    fn says(&mut self, body: Body) -> Actions {
        let bytes = self.pdu(500, body);
        self.event(Event::Bytes(&bytes))
    }

    /// The one PDU that answers a request.
    #[track_caller]
    fn asks(&mut self, body: Body) -> Pdu {
        let actions = self.says(body);
        let [pdu] = <[Pdu; 1]>::try_from(pdus(&actions)).unwrap();
        assert_eq!((pdu.session, pdu.transaction, pdu.packet), (6, 70, 500));
        assert_eq!((pdu.order, pdu.context.as_deref()), (self.order, Some(&[][..])));
        pdu
    }

    #[track_caller]
    fn varbinds(&mut self, body: Body) -> Vec<VarBind> {
        match self.asks(body).body {
            Body::Response { uptime: 0, error: ErrorStatus::NO_ERROR, index: 0, varbinds } => varbinds,
            other => panic!("{other:?}"),
        }
    }

    fn response(&self, packet: u32, error: ErrorStatus) -> Vec<u8> {
        self.pdu(packet, Body::Response { uptime: 4321, error, index: 0, varbinds: vec![] })
    }

    /// Answers requests until there are none, and returns all that were made.
    fn answer_all(&mut self, actions: Actions, error: impl Fn(&Body) -> ErrorStatus) -> (Vec<Body>, Actions) {
        let (mut bodies, mut seen) = (vec![], vec![]);
        let mut actions = actions;
        while !actions.is_empty() {
            let mut more = vec![];
            for pdu in pdus(&actions) {
                if !matches!(pdu.body, Body::Response { .. }) {
                    let bytes = self.response(pdu.packet, error(&pdu.body));
                    more.extend(self.event(Event::Bytes(&bytes)));
                    bodies.push(pdu.body);
                }
            }
            seen.append(&mut actions);
            actions = more;
        }
        (bodies, seen)
    }

    fn start(&mut self) -> Actions {
        let wanted = self.wanted();
        assert_eq!(self.session.want(wanted, self.now), [Action::Connect]);
        let actions = self.event(Event::Connected);
        assert!(matches!(&pdus(&actions)[..], [Pdu { session: 0, body: Body::Open { .. }, .. }]));
        let bytes = self.response(1, ErrorStatus::NO_ERROR);
        self.event(Event::Bytes(&bytes))
    }

    fn up(mut self) -> Self {
        let actions = self.start();
        self.answer_all(actions, |_| ErrorStatus::NO_ERROR);
        assert!(self.session.stats().up);
        self
    }
}

#[test]
fn it_opens_registers_every_object_once_adds_its_capabilities_and_is_up() {
    let mut lab = lab();
    let actions = lab.start();
    assert!(!lab.session.stats().up);
    let (bodies, actions) = lab.answer_all(actions, |_| ErrorStatus::NO_ERROR);
    let registered: Vec<Oid> = bodies
        .iter()
        .filter_map(|body| match body {
            Body::Register { timeout: 0, priority: 127, instance: false, subtree } => Some(subtree.root.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(registered, lab.tree.registrations());
    let capabilities = bodies.iter().filter_map(|body| match body {
        Body::AddAgentCaps { id, description } => Some((id.clone(), String::from_utf8(description.clone()).unwrap())),
        _ => None,
    });
    assert_eq!(capabilities.collect::<Vec<_>>(), lab.tree.capabilities());
    assert_eq!(bodies.len(), registered.len() + 2);
    assert!(lab.session.stats().up);
    assert_eq!(logs(&actions), [format!("AgentX session 6 is up, {} registrations in 0 ms", bodies.len())]);
    assert_eq!(others(&actions), []);
}

#[test]
fn a_walk_as_net_snmp_does_it_shows_what_keepalived_shows_but_for_its_bugs() {
    for order in [ByteOrder::Little, ByteOrder::Network] {
        let mut lab = lab().up();
        lab.order = order;
        let mut lines = vec![];
        for registration in lab.tree.registrations() {
            // The range of one registration: from it, to its next sibling.
            let (last, parent) = registration.split_last().unwrap();
            let end = Oid::new(parent).with(&[last + 1]);
            let mut ask = SearchRange { start: registration, include: true, end };
            loop {
                let [found] = <[VarBind; 1]>::try_from(lab.varbinds(Body::GetNext(vec![ask.clone()]))).unwrap();
                if found.value == Value::EndOfMibView {
                    assert_eq!(found.name, ask.start);
                    break;
                }
                lines.push(fixture::line(&found));
                ask = SearchRange { start: found.name, include: false, end: ask.end };
            }
        }
        assert_eq!(lines, fixture::expected_walk());
    }
}

#[test]
fn get_answers_each_name_with_its_value_or_exception() {
    let mut lab = lab().up();
    let names = ["2.3.1.2.1", "2.3.1.2.9", "2.3.1.1.1", "1.2.0"];
    let ranges = names.iter().map(|name| range(name, false, "")).collect();
    let varbinds = lab.varbinds(Body::Get(ranges));
    let values: Vec<Value> = varbinds.iter().map(|varbind| varbind.value.clone()).collect();
    assert_eq!(values, [Value::text("VI_1"), Value::NoSuchInstance, Value::NoSuchObject, Value::text("L1")]);
    assert!(varbinds.iter().zip(names).all(|(varbind, name)| varbind.name == oid(name)));
}

#[test]
fn getbulk_repeats_until_its_count_its_range_or_the_end() {
    let mut lab = lab().up();
    let bulk = |non_repeaters, max_repetitions| Body::GetBulk {
        non_repeaters,
        max_repetitions,
        ranges: vec![range("1.1", false, ""), range("2.3.1.2", false, "2.3.1.4"), range("2.6.1.11.1.1", false, "")],
    };
    let shown = |varbinds: Vec<VarBind>| {
        let short = |varbind: VarBind| {
            let name = varbind.name.below(crate::mib::ROOT).unwrap().iter().map(u32::to_string);
            let end = if varbind.value == Value::EndOfMibView { " end" } else { "" };
            format!("{}{end}", name.collect::<Vec<_>>().join("."))
        };
        varbinds.into_iter().map(short).collect::<Vec<_>>()
    };
    let expected =
        ["1.1.0", "2.3.1.2.1", "2.6.1.11.1.2", "2.3.1.3.1", "2.6.1.11.1.2 end", "2.3.1.3.1 end", "2.6.1.11.1.2 end"];
    // It stops after the round in which nothing was found.
    assert_eq!(shown(lab.varbinds(bulk(1, 10))), expected);
    assert_eq!(shown(lab.varbinds(bulk(1, 1))), expected[..3]);
    assert_eq!(shown(lab.varbinds(bulk(1, 0))), expected[..1]);
    assert_eq!(shown(lab.varbinds(bulk(9, 5))), expected[..3]);
    let all = Body::GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges: vec![range("1", true, "")] };
    let mut lines: Vec<String> = lab.varbinds(all).iter().map(fixture::line).collect();
    lines.pop();
    assert_eq!(lines, fixture::expected_walk());
}

#[test]
fn a_bulk_answer_has_a_limit_whatever_is_asked() {
    let mut lab = lab().up();
    let ranges = vec![range("1", true, ""); 2000];
    let pdu = lab.asks(Body::GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges });
    let length = pdu.encode().len();
    assert!((60_000..=answer::BULK_MAX + 32).contains(&length), "{length}");
    // And a GET of more than fits is too big.
    let pdu = lab.asks(Body::GetNext(vec![range("1.1", false, ""); 5000]));
    assert!(matches!(pdu.body, Body::Response { error: ErrorStatus::TOO_BIG, .. }));
}

#[test]
fn a_master_that_asks_for_megabytes_in_one_breath_is_left() {
    let mut lab = lab().up();
    let bulk = Body::GetBulk { non_repeaters: 0, max_repetitions: 5000, ranges: vec![range("1", true, ""); 40] };
    let bytes = lab.pdu(1, bulk).repeat(100);
    let actions = lab.event(Event::Bytes(&bytes));
    assert_eq!(others(&actions), [Action::Disconnect]);
    let sent: usize = actions.iter().map(|action| if let Action::Send(bytes) = action { bytes.len() } else { 0 }).sum();
    assert!(sent < ANSWERS_MAX + 2 * answer::BULK_MAX, "{sent}");
}

#[test]
fn bytes_may_come_one_by_one_and_fifty_requests_at_once() {
    let mut lab = lab().up();
    let get = lab.pdu(9, Body::Get(vec![range("1.2.0", false, "")]));
    let mut answers = vec![];
    for byte in &get {
        answers.extend(pdus(&lab.event(Event::Bytes(&[*byte]))));
    }
    assert_eq!(answers.len(), 1);
    let actions = lab.event(Event::Bytes(&get.repeat(50)));
    assert_eq!(pdus(&actions), vec![answers.remove(0); 50]);
    // Half a PDU stays until its other half.
    let (first, second) = get.split_at(30);
    assert_eq!(lab.event(Event::Bytes(first)), []);
    assert_eq!(pdus(&lab.event(Event::Bytes(second))).len(), 1);
}

#[test]
fn a_request_for_another_context_or_session_is_refused() {
    let mut lab = lab().up();
    let body = || Body::Get(vec![range("1.2.0", false, "")]);
    for (session, context, error) in [
        (6, Some(b"other".to_vec()), ErrorStatus::UNSUPPORTED_CONTEXT),
        (7, None, ErrorStatus::NOT_OPEN),
        (6, None, ErrorStatus::NO_ERROR),
    ] {
        let asked = Pdu { order: ByteOrder::Network, session, transaction: 1, packet: 2, context, body: body() };
        let answer = pdus(&lab.event(Event::Bytes(&asked.encode()))).remove(0);
        assert_eq!((answer.session, &answer.context), (session, &asked.context));
        assert!(matches!(answer.body, Body::Response { error: have, .. } if have == error), "{answer:?}");
    }
    assert!(lab.session.stats().up);
}

#[test]
fn a_malformed_pdu_ends_the_session_with_parse_error_and_it_comes_back() {
    let bad_length = [1, 5, 0, 0, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
    let bad_type = [1, 99, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    for bytes in [&bad_length[..], &bad_type[..], b"HTTP/1.1 400"] {
        let mut lab = lab().up();
        let actions = lab.event(Event::Bytes(bytes));
        assert!(matches!(&pdus(&actions)[..], [Pdu { session: 6, body: Body::Close(CloseReason::PARSE_ERROR), .. }]));
        assert_eq!(others(&actions), [Action::Disconnect]);
        assert!(logs(&actions)[0].starts_with("the AgentX master sent a malformed PDU: byte "));
        let due = lab.session.deadline().unwrap();
        assert_eq!(lab.wake_at(due), [Action::Connect]);
        let actions = lab.event(Event::Connected);
        assert_eq!(pdus(&actions).len(), 1);
        let bytes = lab.response(1, ErrorStatus::NO_ERROR);
        let actions = lab.event(Event::Bytes(&bytes));
        let (bodies, _) = lab.answer_all(actions, |_| ErrorStatus::NO_ERROR);
        assert_eq!(bodies.len(), lab.tree.registrations().len() + 2, "everything is registered again");
        assert_eq!((lab.session.stats().opened, lab.session.stats().failed), (2, 1));
    }
}

#[test]
fn what_only_a_subagent_may_send_is_a_protocol_error() {
    let mut lab = lab().up();
    let actions = lab.says(Body::Notify(vec![]));
    assert!(matches!(&pdus(&actions)[..], [Pdu { body: Body::Close(CloseReason::PROTOCOL_ERROR), .. }]));
    assert_eq!(others(&actions), [Action::Disconnect]);
}

#[test]
fn a_quiet_master_is_pinged_and_one_that_does_not_answer_is_left() {
    let mut lab = lab().up();
    let due = lab.session.deadline().unwrap();
    assert_eq!(due, T0 + s(15));
    assert_eq!(lab.wake_at(due - Duration::from_nanos(1)), []);
    let actions = lab.wake_at(due);
    let [ping] = &pdus(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(ping.body, Body::Ping);
    // An answered ping is good for another interval.
    let answer = lab.response(ping.packet, ErrorStatus::NO_ERROR);
    assert_eq!(lab.event(Event::Bytes(&answer)), []);
    assert_eq!(lab.session.deadline(), Some(due + s(15)));
    assert_eq!(pdus(&lab.wake_at(due + s(15))).len(), 1);
    // Requests do not stand for the answer.
    lab.now = due + s(19);
    lab.asks(Body::Get(vec![]));
    let actions = lab.wake_at(due + s(20));
    assert!(matches!(&pdus(&actions)[..], [Pdu { body: Body::Close(CloseReason::TIMEOUTS), .. }]));
    assert_eq!(others(&actions), [Action::Disconnect]);
}

#[test]
fn every_end_of_a_session_leads_to_one_new_attempt() {
    let not_open = |lab: &mut Lab| {
        lab.wake_at(T0 + s(15));
        let State::Open(live) = &lab.session.state else { panic!() };
        let bytes = lab.response(live.last_packet, ErrorStatus::NOT_OPEN);
        lab.event(Event::Bytes(&bytes))
    };
    type End = (fn(&mut Lab) -> Actions, bool);
    let ends: [End; 5] = [
        (|lab| lab.event(Event::Closed("connection reset")), false),
        (|lab| lab.event(Event::WriteStalled), true),
        (|lab| lab.says(Body::Close(CloseReason::SHUTDOWN)), true),
        (|lab| lab.says(Body::Open { timeout: 0, id: Oid::default(), description: vec![] }), true),
        (not_open, true),
    ];
    for (n, (end, drops)) in ends.into_iter().enumerate() {
        let mut lab = lab().up();
        let actions = end(&mut lab);
        assert_eq!(others(&actions), if drops { vec![Action::Disconnect] } else { vec![] }, "{n}");
        // What still comes from the old transport changes nothing.
        let get = lab.pdu(1, Body::Ping);
        assert_eq!(lab.event(Event::Bytes(&get)), []);
        assert_eq!(lab.event(Event::Closed("late")), []);
        assert_eq!(lab.event(Event::Connected), []);
        let due = lab.session.deadline().unwrap();
        assert_eq!(lab.wake_at(due), [Action::Connect]);
        assert_eq!(lab.wake_at(due), []);
    }
}

#[test]
fn attempts_pause_longer_and_longer_up_to_a_bound_and_no_two_hosts_alike() {
    let pauses = |seed| {
        let mut lab = lab_with(Settings { seed, ..Settings::default() });
        let wanted = lab.wanted();
        assert_eq!(lab.session.want(wanted, lab.now), [Action::Connect]);
        let mut pauses = vec![];
        for n in 0..100 {
            let actions = lab.event(Event::ConnectFailed("connection refused"));
            assert_eq!(others(&actions), []);
            let level = if n == 0 { LogLevel::Warn } else { LogLevel::Debug };
            assert!(matches!(&actions[..], [Action::Log(log)] if log.level == level));
            let due = lab.session.deadline().unwrap();
            pauses.push(due.since(lab.now));
            assert_eq!(lab.wake_at(due), [Action::Connect]);
        }
        pauses
    };
    let first = pauses(1);
    let in_bounds =
        |pause: &Duration, most: u64| (Duration::from_millis(most / 2)..=Duration::from_millis(most)).contains(pause);
    assert!(in_bounds(&first[0], 500) && in_bounds(&first[1], 1000) && in_bounds(&first[2], 2000), "{first:?}");
    assert!(first[3..].iter().all(|pause| in_bounds(pause, 3000)), "{first:?}");
    assert_eq!(first, pauses(1));
    assert_ne!(first, pauses(2));
}

#[test]
fn a_master_that_accepts_and_never_opens_is_tried_again() {
    let mut lab = lab();
    let wanted = lab.wanted();
    let _ = lab.session.want(wanted, lab.now);
    lab.event(Event::Connected);
    assert_eq!(lab.session.deadline(), Some(T0 + s(30)));
    assert_eq!(others(&lab.wake_at(T0 + s(30))), [Action::Disconnect]);
    let due = lab.session.deadline().unwrap();
    assert_eq!(lab.wake_at(due), [Action::Connect]);
    // So is one that the edge cannot even connect to.
    assert_eq!(others(&lab.wake_at(due + s(30))), [Action::Disconnect]);
}

#[test]
fn a_master_that_refuses_to_open_is_tried_again() {
    let mut lab = lab();
    let wanted = lab.wanted();
    let _ = lab.session.want(wanted, lab.now);
    lab.event(Event::Connected);
    let bytes = lab.response(1, ErrorStatus::OPEN_FAILED);
    let actions = lab.event(Event::Bytes(&bytes));
    assert_eq!(others(&actions), [Action::Disconnect]);
    assert!(logs(&actions)[0].contains("openFailed"));
    assert!(lab.session.deadline().is_some());
}

#[test]
fn refused_registrations_are_told_once_and_asked_for_again_less_and_less_often() {
    let mut lab = lab();
    let actions = lab.start();
    let refuse = |body: &Body| match body {
        Body::Register { subtree, .. } if subtree.root.starts_with(&oid("2.3.1")) => {
            ErrorStatus::DUPLICATE_REGISTRATION
        }
        _ => ErrorStatus::NO_ERROR,
    };
    let (_, actions) = lab.answer_all(actions, refuse);
    let total = lab.tree.registrations().len() + 2;
    let refused = format!(
        "the AgentX master refused 35 of {total} registrations, {} first (duplicateRegistration)",
        oid("2.3.1.2")
    );
    let up = format!("AgentX session 6 is up, {} registrations in 0 ms", total - 35);
    assert_eq!(logs(&actions), [refused, up]);

    let (mut rounds, mut pings) = (vec![], 0);
    while rounds.len() < 8 {
        let due = lab.session.deadline().unwrap();
        let actions = lab.wake_at(due);
        let (bodies, actions) = lab.answer_all(actions, refuse);
        assert!(actions.iter().all(|action| !matches!(action, Action::Log(log) if log.level != LogLevel::Debug)));
        pings += bodies.iter().filter(|body| matches!(body, Body::Ping)).count();
        match bodies.iter().filter(|body| matches!(body, Body::Register { .. })).count() {
            0 => {}
            35 => rounds.push(due.since(T0).as_secs()),
            other => panic!("{other} of 35"),
        }
    }
    assert_eq!(rounds, [1, 3, 7, 15, 31, 61, 91, 121]);
    assert!(pings > 4, "the master is pinged meanwhile");

    let due = lab.session.deadline().unwrap();
    let actions = lab.wake_at(due.max(T0 + s(151)));
    let (_, actions) = lab.answer_all(actions, |_| ErrorStatus::NO_ERROR);
    assert_eq!(logs(&actions), ["the AgentX master has granted every registration now"]);
}

#[test]
fn traps_carry_the_masters_uptime_and_keep_their_order() {
    let mut lab = lab().up();
    lab.now = T0 + Duration::from_millis(12_345);
    let actions = lab.session.notify(trap(1), lab.now);
    let [pdu] = &pdus(&actions)[..] else { panic!("{actions:?}") };
    let Body::Notify(varbinds) = &pdu.body else { panic!("{pdu:?}") };
    assert_eq!(pdu.context, None);
    assert_eq!(varbinds[0].name.to_string(), ".1.3.6.1.2.1.1.3.0");
    assert_eq!(varbinds[0].value, Value::TimeTicks(4321 + 1234));
    assert_eq!(varbinds[1].name.to_string(), ".1.3.6.1.6.3.1.1.4.1.0");
    assert_eq!(varbinds[1].value, Value::ObjectIdentifier(oid("2.10.0.2")));
    assert_eq!(varbinds[2..], trap(1).varbinds);
}

fn notified(bodies: &[Body]) -> Vec<(u32, i32)> {
    let shown = |body: &Body| match body {
        Body::Notify(varbinds) => match (&varbinds[0].value, &varbinds[2].value) {
            (Value::TimeTicks(at), Value::Integer(n)) => Some((*at, *n)),
            _ => None,
        },
        _ => None,
    };
    bodies.iter().filter_map(shown).collect()
}

#[test]
fn traps_without_a_session_wait_in_a_bounded_queue_and_go_when_it_is_up() {
    let mut lab = lab();
    for n in 0..300 {
        assert_eq!(lab.session.notify(trap(n), lab.now), []);
    }
    assert_eq!(lab.session.stats().traps_dropped, 44);
    lab.now = T0 + s(2);
    let actions = lab.start();
    let (bodies, _) = lab.answer_all(actions, |_| ErrorStatus::NO_ERROR);
    let first = bodies.iter().position(|body| matches!(body, Body::Notify(_))).unwrap();
    assert_eq!(first, lab.tree.registrations().len() + 2, "registration comes first");
    // Two seconds before the master said 4321.
    assert_eq!(notified(&bodies), (44..300).map(|n| (4121, n)).collect::<Vec<_>>());
    assert_eq!(lab.session.stats().traps_sent, 256);
}

#[test]
fn a_master_that_does_not_answer_traps_gets_a_window_of_them() {
    let mut lab = lab().up();
    let mut sent = 0;
    for n in 0..100 {
        sent += pdus(&lab.session.notify(trap(n), lab.now)).len();
    }
    assert_eq!(sent, NOTIFY_WINDOW);
    assert_eq!(others(&lab.wake_at(T0 + s(5))), [Action::Disconnect]);
}

#[test]
fn stopping_sends_what_waits_takes_capabilities_back_and_closes() {
    let mut lab = lab().up();
    for n in 0..40 {
        let _ = lab.session.notify(trap(n), lab.now);
    }
    let actions = lab.session.stop(lab.now);
    let bodies: Vec<Body> = pdus(&actions).into_iter().map(|pdu| pdu.body).collect();
    assert_eq!(notified(&bodies).len(), 40 - NOTIFY_WINDOW);
    assert_eq!(
        bodies[40 - NOTIFY_WINDOW..],
        [
            Body::RemoveAgentCaps { id: oid("1") },
            Body::RemoveAgentCaps { id: oid("2") },
            Body::Close(CloseReason::SHUTDOWN)
        ]
    );
    assert_eq!(actions.last(), Some(&Action::Disconnect));
    assert_eq!(lab.session.deadline(), None);
    assert_eq!(lab.wake_at(T0 + s(1000)), []);
}

#[test]
fn what_is_not_wanted_any_more_is_unregistered_and_wanting_nothing_closes() {
    let mut lab = lab().up();
    let before = lab.wanted();
    lab.tree = Tree::new(&crate::conf::model::Snmp { checker: true, ..Default::default() }, &Source::ALL);
    let wanted = lab.wanted();
    let actions = lab.session.want(wanted, lab.now);
    let (bodies, _) = lab.answer_all(actions, |_| ErrorStatus::NO_ERROR);
    let removals = |bodies: &[Body]| {
        bodies.iter().filter(|body| matches!(body, Body::Unregister { .. } | Body::RemoveAgentCaps { .. })).count()
    };
    let additions = |bodies: &[Body]| {
        bodies.iter().filter(|body| matches!(body, Body::Register { .. } | Body::AddAgentCaps { .. })).count()
    };
    // What both trees have stays registered.
    let only_in = |a: &Wanted, b: &Wanted| {
        let objects = a.registrations.iter().filter(|oid| !b.registrations.contains(oid)).count();
        objects + a.capabilities.iter().filter(|line| !b.capabilities.contains(line)).count()
    };
    let (vrrp, check) = (only_in(&before, &lab.wanted()), only_in(&lab.wanted(), &before));
    assert!(vrrp > 200 && check > 150, "{vrrp} {check}");
    assert_eq!((removals(&bodies), additions(&bodies), bodies.len()), (vrrp, check, vrrp + check));
    lab.tree = Tree::new(&keepalived_only(), &[Source::Vrrp]);
    let wanted = lab.wanted();
    let actions = lab.session.want(wanted, lab.now);
    let (bodies, _) = lab.answer_all(actions, |_| ErrorStatus::NO_ERROR);
    assert_eq!((removals(&bodies), additions(&bodies), bodies.len()), (check, vrrp, vrrp + check));
    let actions = lab.session.want(Wanted::default(), lab.now);
    assert_eq!(others(&actions), [Action::Disconnect]);
    assert_eq!(lab.session.deadline(), None);
}

#[test]
fn a_set_goes_to_the_owner_and_is_answered_when_it_can_be_read_while_others_are_served() {
    let mut lab = lab().up();
    lab.event(Event::StoreAt(Source::Vrrp, 1));
    let varbind = VarBind::new(oid("2.3.1.7.1"), Value::Integer(140));
    assert_eq!(lab.varbinds(Body::TestSet(vec![varbind])), []);
    let actions = lab.says(Body::CommitSet);
    let priority = |value| Command::SetPriority { instance: "VI_1".into(), priority: Priority::new(value).unwrap() };
    let [Action::Command { token, command }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(*command, priority(140));
    assert_eq!(lab.varbinds(Body::Get(vec![range("1.2.0", false, "")])).len(), 1);
    let reply = Reply::Done { undo: priority(150), visible_at: 2 };
    assert_eq!(lab.event(Event::CommandReply { token: *token, reply }), []);
    let answer = pdus(&lab.event(Event::StoreAt(Source::Vrrp, 2))).remove(0);
    assert_eq!((answer.transaction, answer.packet), (70, 500));
    assert!(matches!(answer.body, Body::Response { error: ErrorStatus::NO_ERROR, index: 0, .. }));
    assert_eq!(lab.says(Body::CleanupSet), [], "no answer belongs to a CleanupSet");
}

#[test]
fn a_bad_set_comes_back_with_its_error_its_position_and_its_variables() {
    let mut lab = lab().up();
    for (below, value, error) in [
        ("2.3.1.7.1", Value::Integer(300), ErrorStatus::WRONG_VALUE),
        ("2.3.1.7.1", Value::Gauge32(5), ErrorStatus::WRONG_TYPE),
        ("2.3.1.7.2", Value::Integer(130), ErrorStatus::NOT_WRITABLE),
        ("2.3.1.8.1", Value::Integer(130), ErrorStatus::NOT_WRITABLE),
    ] {
        let good = VarBind::new(oid("2.3.1.13.1"), Value::Integer(2));
        let asked = vec![good, VarBind::new(oid(below), value)];
        let answer = lab.asks(Body::TestSet(asked.clone()));
        let expected = Body::Response { uptime: 0, error, index: 2, varbinds: asked };
        assert_eq!(answer.body, expected);
        assert_eq!(lab.says(Body::CleanupSet), []);
    }
}

#[test]
fn a_set_that_gets_no_answer_fails_after_half_a_second() {
    let mut lab = lab().up();
    let varbind = VarBind::new(oid("2.3.1.7.1"), Value::Integer(140));
    lab.varbinds(Body::TestSet(vec![varbind]));
    lab.says(Body::CommitSet);
    assert_eq!(lab.session.deadline(), Some(T0 + Duration::from_millis(500)));
    let answer = pdus(&lab.wake_at(T0 + Duration::from_millis(500))).remove(0);
    assert!(matches!(answer.body, Body::Response { error: ErrorStatus::COMMIT_FAILED, index: 1, .. }));
}

proptest! {
    #[test]
    fn no_bytes_make_a_session_panic_or_forget_to_go_on(chunks in vec(vec(any::<u8>(), 0..60), 0..6)) {
        let mut lab = lab().up();
        for chunk in &chunks {
            lab.event(Event::Bytes(chunk));
            prop_assert!(lab.session.deadline().is_some());
        }
    }

    #[test]
    fn requests_cut_anywhere_get_the_same_answers(cuts in vec(1_usize..40, 1..30)) {
        let bodies = [
            Body::Get(vec![range("1.2.0", false, "")]),
            Body::GetNext(vec![range("2.3.1.2", true, "2.3.1.3"), range("2.6", false, "")]),
            Body::Ping,
            Body::TestSet(vec![VarBind::new(oid("2.3.1.7.1"), Value::text("x"))]),
        ];
        let bytes: Vec<u8> = {
            let lab = lab();
            bodies.into_iter().flat_map(|body| lab.pdu(3, body)).collect()
        };
        let whole = pdus(&lab().up().event(Event::Bytes(&bytes)));
        let mut lab = lab().up();
        let (mut rest, mut answers) = (&bytes[..], vec![]);
        for cut in cuts {
            let (chunk, behind) = rest.split_at(cut.min(rest.len()));
            answers.extend(pdus(&lab.event(Event::Bytes(chunk))));
            rest = behind;
        }
        answers.extend(pdus(&lab.event(Event::Bytes(rest))));
        prop_assert_eq!(answers, whole);
    }
}

#[test]
fn requests_are_counted_by_what_they_ask_and_timed_when_their_answers_are_written() {
    let mut lab = lab().up();
    lab.varbinds(Body::Get(vec![range("2.3.1.2.1", false, "")]));
    lab.session.observe(Duration::from_millis(2));
    lab.asks(Body::Ping);
    lab.session.observe(Duration::from_millis(2));
    let asked = vec![VarBind::new(oid("2.3.1.7.1"), Value::Integer(120))];
    lab.varbinds(Body::TestSet(asked));
    lab.session.observe(Duration::ZERO);
    // A commit waits for its owner.
    let committed = lab.says(Body::CommitSet);
    let [Action::Command { token, .. }] = others(&committed)[..] else { panic!("{committed:?}") };
    lab.session.observe(Duration::ZERO);
    assert_eq!(lab.session.stats().request_times.count(), 2);
    lab.now += Duration::from_millis(40);
    lab.event(Event::CommandReply { token, reply: Reply::Refused(crate::bus::msg::Refusal::NoSuchInstance) });
    let stats = lab.session.stats();
    let named: Vec<_> = stats.by_type.named().into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(named, [("get", 1), ("testset", 1), ("commitset", 1)]);
    assert_eq!((stats.request_times.count(), stats.request_times.sum_ns), (3, 42_000_000));
}

#[test]
fn a_ping_without_an_answer_is_counted() {
    let mut lab = lab().up();
    lab.wake_at(T0 + s(15));
    assert_eq!(lab.session.stats().ping_failures, 0);
    lab.wake_at(T0 + s(20));
    assert_eq!((lab.session.stats().ping_failures, lab.session.stats().up), (1, false));
}

#[test]
fn what_became_of_a_notification_is_known_by_its_name() {
    let mut lab = lab();
    lab.session.limit(QueueSettings { length: 2, expires: s(60) });
    for n in 0..3 {
        let _ = lab.session.notify(trap(n), lab.now);
    }
    let named = |lab: &mut Lab| {
        let named = lab.session.traps(lab.now).named();
        named
            .into_iter()
            .find(|(name, _)| *name == "vrrpInstanceStateChange")
            .map(|(_, it)| (it.sent, it.expired, it.dropped))
    };
    assert_eq!(named(&mut lab), Some((0, 0, 1)));
    let mut lab = lab.up();
    assert_eq!(named(&mut lab), Some((2, 0, 1)));
    let _ = lab.session.stop(lab.now);
    let _ = lab.session.notify(trap(4), lab.now);
    lab.now += s(61);
    assert_eq!(named(&mut lab), Some((2, 1, 1)));
}
