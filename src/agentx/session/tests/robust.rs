//! Masters that no subagent should meet.

use super::*;

/// A PDU's first twenty bytes, with whatever payload length somebody claims.
fn header(kind: u8, payload: u32) -> Vec<u8> {
    let mut bytes = vec![1, kind, 0x10, 0, 0, 0, 0, 6, 0, 0, 0, 70, 0, 0, 1, 244];
    bytes.extend(payload.to_be_bytes());
    bytes
}

fn errors(actions: &[Action]) -> Vec<ErrorStatus> {
    let of = |pdu: Pdu| if let Body::Response { error, .. } = pdu.body { Some(error) } else { None };
    pdus(actions).into_iter().filter_map(of).collect()
}

fn commands(actions: &[Action]) -> Vec<(Token, Command)> {
    let of = |action: &Action| match action {
        Action::Command { token, command } => Some((*token, command.clone())),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

fn set_priority(value: u8) -> Command {
    Command::SetPriority { instance: "VI_1".into(), priority: Priority::new(value).unwrap() }
}

fn set_preempt(preempt: bool) -> Command {
    Command::SetPreempt { instance: "VI_1".into(), preempt }
}

fn priority_and_preempt() -> Body {
    let priority = VarBind::new(oid("2.3.1.7.1"), Value::Integer(140));
    Body::TestSet(vec![priority, VarBind::new(oid("2.3.1.13.1"), Value::Integer(2))])
}

impl Lab {
    /// The master goes away and comes back as another process: the same numbers begin anew.
    fn restart_master(&mut self) -> Actions {
        let actions = self.event(Event::Closed("end of stream"));
        let due = self.session.deadline().unwrap();
        assert_eq!(self.wake_at(due), [Action::Connect]);
        self.event(Event::Connected);
        let bytes = self.response(1, ErrorStatus::NO_ERROR);
        let started = self.event(Event::Bytes(&bytes));
        self.answer_all(started, |_| ErrorStatus::NO_ERROR);
        assert!(self.session.stats().up);
        actions
    }
}

#[test]
fn each_pdu_is_answered_in_its_own_byte_order_also_when_they_change_within_one_write() {
    let mut lab = lab().up();
    let mut bytes = vec![];
    let orders: Vec<ByteOrder> =
        (0..50).map(|n| if n % 3 == 0 { ByteOrder::Network } else { ByteOrder::Little }).collect();
    for (packet, order) in (1..).zip(&orders) {
        lab.order = *order;
        bytes.extend(lab.pdu(packet, Body::GetNext(vec![range("2.3.1.2", false, "")])));
    }
    let answers = pdus(&lab.event(Event::Bytes(&bytes)));
    let seen: Vec<(u32, ByteOrder)> = answers.iter().map(|pdu| (pdu.packet, pdu.order)).collect();
    assert_eq!(seen, (1..).zip(orders).collect::<Vec<_>>());
    assert!(answers.iter().all(|pdu| pdu.body == answers[0].body && pdu.session == 6 && pdu.transaction == 70));
    // Whatever the master speaks, our own requests stay in the order that Open had.
    lab.order = ByteOrder::Little;
    lab.says(Body::Ping);
    let ping = pdus(&lab.wake_at(T0 + s(15))).remove(0);
    assert_eq!(ping.order, ByteOrder::Network);
    // And a response may come in the other one.
    let bytes = lab.response(ping.packet, ErrorStatus::NO_ERROR);
    assert_eq!(lab.event(Event::Bytes(&bytes)), []);
    assert_eq!(lab.session.stats().stray_responses, 0);
}

#[test]
fn there_is_no_row_zero() {
    let mut lab = lab().up();
    let values = |varbinds: Vec<VarBind>| varbinds.into_iter().map(|it| it.value).collect::<Vec<_>>();
    let ranges = vec![range("2.3.1.7.0", false, ""), range("2.6.1.3.0", false, ""), range("2.6.1.3.0.0", false, "")];
    assert_eq!(values(lab.varbinds(Body::Get(ranges))), vec![Value::NoSuchInstance; 3]);
    for include in [false, true] {
        let next = lab.varbinds(Body::GetNext(vec![range("2.3.1.7.0", include, "")]));
        assert_eq!(next[0].name, oid("2.3.1.7.1"), "behind row zero is row one");
    }
    let asked = vec![VarBind::new(oid("2.3.1.7.0"), Value::Integer(140))];
    let answer = lab.asks(Body::TestSet(asked.clone()));
    let expected = Body::Response { uptime: 0, error: ErrorStatus::NOT_WRITABLE, index: 1, varbinds: asked };
    assert_eq!(answer.body, expected);
}

#[test]
fn a_range_that_ends_before_or_where_it_starts_has_nothing_in_it() {
    let mut lab = lab().up();
    let empty = [
        ("2.3.1.8", false, "2.3.1.2"),
        ("2.3.1.8", true, "2.3.1.2"),
        ("2.3.1.8", false, "2.3.1.8"),
        ("2.3.1.8", true, "2.3.1.8"),
        ("2.3.1.8.1", true, "2.3.1.8.1"),
        ("2.3.1.8.1", true, "2.3.1.8"),
        ("2.3.1.8.1", false, "2.3.1.8.2"),
        ("4", true, "1"),
    ];
    for (start, include, end) in empty {
        let ask = || vec![range(start, include, end)];
        let nothing = vec![VarBind::new(oid(start), Value::EndOfMibView)];
        assert_eq!(lab.varbinds(Body::GetNext(ask())), nothing, "{start} {include} {end}");
        let bulk = Body::GetBulk { non_repeaters: 0, max_repetitions: 1000, ranges: ask() };
        assert_eq!(lab.varbinds(bulk), nothing, "{start} {include} {end}");
    }
    // The start itself counts if it is included, and the end never.
    let at = lab.varbinds(Body::GetNext(vec![range("2.3.1.8.1", true, "2.3.1.8.1.0")]));
    assert_eq!((&at[0].name, at[0].value.is_exception()), (&oid("2.3.1.8.1"), false));
    // GET does not look at include and end.
    let get = lab.varbinds(Body::Get(vec![range("2.3.1.8.1", true, "1")]));
    assert_eq!((&get[0].name, get[0].value.is_exception()), (&oid("2.3.1.8.1"), false));
}

#[test]
fn a_length_that_cannot_be_is_a_parse_error_before_anything_more_is_read() {
    let more_than_any = u32::try_from(crate::wire::agentx::PAYLOAD_MAX).unwrap() + 4;
    for payload in [1, 2, 3, 5, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc, u32::MAX, more_than_any] {
        let mut lab = lab().up();
        let actions = lab.event(Event::Bytes(&header(5, payload)));
        let bodies: Vec<Body> = pdus(&actions).into_iter().map(|pdu| pdu.body).collect();
        assert_eq!(bodies, [Body::Close(CloseReason::PARSE_ERROR)], "{payload:#x}");
        assert_eq!(others(&actions), [Action::Disconnect]);
        assert!(lab.session.buffer.is_empty());
    }
}

#[test]
fn a_pdu_whose_end_never_comes_is_waited_for_as_long_as_for_a_ping() {
    let mut lab = lab().up();
    let longest = crate::wire::agentx::PAYLOAD_MAX;
    assert_eq!(lab.event(Event::Bytes(&header(5, u32::try_from(longest).unwrap()))), []);
    // A byte a second says nothing.
    for second in 1..15 {
        lab.now = T0 + s(second);
        assert_eq!(lab.event(Event::Bytes(&[0])), []);
    }
    assert!(lab.session.buffer.capacity() < 1024, "what is claimed is not paid for");
    let actions = lab.wake_at(T0 + s(15));
    assert!(matches!(&pdus(&actions)[..], [Pdu { body: Body::Ping, .. }]));
    // Nor does all but the last byte.
    assert_eq!(lab.event(Event::Bytes(&vec![0; longest - 15])), []);
    assert_eq!(others(&lab.wake_at(T0 + s(20))), [Action::Disconnect]);
    assert_eq!(lab.session.buffer.capacity(), 0);
}

#[test]
fn a_payload_longer_or_shorter_than_its_contents_is_a_parse_error() {
    for (payload, behind) in
        [(8, vec![0, 0, 0, 0, 0, 0, 0, 0]), (4, vec![0; 4]), (12, vec![200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]
    {
        let mut lab = lab().up();
        // A CommitSet has no payload at all; a range has two names.
        let kind = if payload == 8 { 9 } else { 6 };
        let mut bytes = header(kind, payload);
        bytes.extend(behind);
        let actions = lab.event(Event::Bytes(&bytes));
        assert!(
            matches!(&pdus(&actions)[..], [Pdu { body: Body::Close(CloseReason::PARSE_ERROR), .. }]),
            "{actions:?}"
        );
    }
}

#[test]
fn a_response_to_another_session_or_to_nothing_answers_nothing() {
    let mut lab = lab().up();
    let ping = pdus(&lab.wake_at(T0 + s(15))).remove(0);
    let body = || Body::Response { uptime: 1, error: ErrorStatus::NOT_OPEN, index: 0, varbinds: vec![] };
    let order = ByteOrder::Network;
    for (session, packet) in [(7, ping.packet), (0, ping.packet), (6, ping.packet + 1), (6, 0), (6, u32::MAX)] {
        let stray = Pdu { order, session, transaction: 0, packet, context: None, body: body() };
        let actions = lab.event(Event::Bytes(&stray.encode()));
        assert_eq!((pdus(&actions), others(&actions)), (vec![], vec![]), "{session} {packet}");
    }
    assert_eq!(lab.session.stats().stray_responses, 5);
    let bytes = lab.response(ping.packet, ErrorStatus::NO_ERROR);
    assert_eq!(lab.event(Event::Bytes(&bytes)), []);
    // The same answer twice is one too many.
    lab.event(Event::Bytes(&bytes));
    assert_eq!(lab.session.stats().stray_responses, 6);
    assert_eq!(lab.session.stats().failed, 0);
}

#[test]
fn only_the_answer_to_open_opens_a_session() {
    let mut lab = lab();
    let wanted = lab.wanted();
    let _ = lab.session.want(wanted, lab.now);
    lab.event(Event::Connected);
    let other = lab.response(9, ErrorStatus::NO_ERROR);
    assert_eq!(pdus(&lab.event(Event::Bytes(&other))), []);
    assert_eq!((lab.session.stats().opened, lab.session.stats().stray_responses), (0, 1));
    let bytes = lab.response(1, ErrorStatus::NO_ERROR);
    assert!(!pdus(&lab.event(Event::Bytes(&bytes))).is_empty());
    assert_eq!(lab.session.stats().opened, 1);
    // Nor does a second answer open a second one.
    lab.event(Event::Bytes(&bytes));
    assert_eq!(lab.session.stats().opened, 1);
}

#[test]
fn requests_for_a_session_that_is_not_ours_change_nothing_here() {
    let mut lab = lab().up();
    let order = ByteOrder::Little;
    let ask = |body| Pdu { order, session: 9, transaction: 70, packet: 1, context: None, body }.encode();
    let all = [Body::Ping, Body::Close(CloseReason::SHUTDOWN), priority_and_preempt(), Body::CommitSet, Body::UndoSet];
    for body in all {
        let bytes = ask(body);
        assert_eq!(errors(&lab.event(Event::Bytes(&bytes))), [ErrorStatus::NOT_OPEN]);
    }
    assert_eq!(lab.event(Event::Bytes(&ask(Body::CleanupSet))), []);
    assert_eq!(errors(&lab.says(Body::CommitSet)), [ErrorStatus::PROCESSING_ERROR]);
    assert!(lab.session.stats().up);
}

#[test]
fn a_context_that_is_not_the_default_one_is_refused_for_every_request_and_comes_back() {
    let mut lab = lab().up();
    let ranges = || vec![range("1.2.0", false, "")];
    let bulk = Body::GetBulk { non_repeaters: 0, max_repetitions: 3, ranges: ranges() };
    for body in [Body::Get(ranges()), Body::GetNext(ranges()), bulk, priority_and_preempt(), Body::Ping] {
        let context = Some(b"blue".to_vec());
        let order = ByteOrder::Network;
        let asked = Pdu { order, session: 6, transaction: 1, packet: 2, context: context.clone(), body };
        let [answer] = <[Pdu; 1]>::try_from(pdus(&lab.event(Event::Bytes(&asked.encode())))).unwrap();
        assert_eq!((answer.context, answer.packet, answer.transaction), (context, 2, 1));
        let refused = Body::Response { uptime: 0, error: ErrorStatus::UNSUPPORTED_CONTEXT, index: 0, varbinds: vec![] };
        assert_eq!(answer.body, refused);
    }
    assert_eq!(errors(&lab.says(Body::CommitSet)), [ErrorStatus::PROCESSING_ERROR], "nothing was tested");
}

#[test]
fn whatever_only_a_subagent_may_send_ends_the_session_which_then_registers_everything_again() {
    let subtree = || Subtree { root: oid("2.3.1.7"), range: None };
    let bodies = [
        Body::Open { timeout: 0, id: Oid::default(), description: vec![] },
        Body::Register { timeout: 0, priority: 127, instance: false, subtree: subtree() },
        Body::Unregister { priority: 127, subtree: subtree() },
        Body::Notify(vec![]),
        Body::IndexAllocate { new_index: false, any_index: true, varbinds: vec![] },
        Body::IndexDeallocate { new_index: false, any_index: false, varbinds: vec![] },
        Body::AddAgentCaps { id: oid("2"), description: vec![] },
        Body::RemoveAgentCaps { id: oid("2") },
    ];
    for body in bodies {
        let mut lab = lab().up();
        let actions = lab.says(body.clone());
        assert!(
            matches!(&pdus(&actions)[..], [Pdu { body: Body::Close(CloseReason::PROTOCOL_ERROR), .. }]),
            "{body:?}"
        );
        assert_eq!(others(&actions), [Action::Disconnect]);
        let due = lab.session.deadline().unwrap();
        assert_eq!(lab.wake_at(due), [Action::Connect]);
        lab.event(Event::Connected);
        let bytes = lab.response(1, ErrorStatus::NO_ERROR);
        let actions = lab.event(Event::Bytes(&bytes));
        let (asked, _) = lab.answer_all(actions, |_| ErrorStatus::NO_ERROR);
        let registered = asked.iter().filter(|body| matches!(body, Body::Register { .. })).count();
        assert_eq!(registered, lab.tree.registrations().len());
    }
}

#[test]
fn types_that_do_not_exist_are_a_parse_error() {
    for kind in (0..=u8::MAX).filter(|kind| !(1..=18).contains(kind)) {
        let mut lab = lab().up();
        let actions = lab.event(Event::Bytes(&header(kind, 0)));
        assert!(matches!(&pdus(&actions)[..], [Pdu { body: Body::Close(CloseReason::PARSE_ERROR), .. }]), "{kind}");
        assert!(lab.session.deadline().is_some());
    }
}

#[test]
fn a_master_that_stops_while_traps_are_due_gets_the_latest_of_them_in_order_when_it_is_back() {
    let mut lab = lab().up();
    let mut sent = vec![];
    for n in 0..1000 {
        let actions = lab.session.notify(trap(n), lab.now);
        sent.extend(pdus(&actions).into_iter().map(|pdu| pdu.body));
    }
    let numbers = |bodies: &[Body]| notified(bodies).into_iter().map(|(_, n)| n).collect::<Vec<_>>();
    assert_eq!(numbers(&sent), (0..32).collect::<Vec<_>>(), "a window");
    assert_eq!(lab.session.stats().traps_dropped, 1000 - 32 - 256, "the queue is full and the oldest went");
    // It does not read at all: the edge tells, and nothing more is written.
    assert_eq!(others(&lab.event(Event::WriteStalled)), [Action::Disconnect]);
    assert_eq!(lab.session.stats().traps_unanswered, 32);
    assert_eq!(lab.session.notify(trap(1000), lab.now), []);
    let due = lab.session.deadline().unwrap();
    assert_eq!(lab.wake_at(due), [Action::Connect]);
    lab.event(Event::Connected);
    let bytes = lab.response(1, ErrorStatus::NO_ERROR);
    let actions = lab.event(Event::Bytes(&bytes));
    let (bodies, _) = lab.answer_all(actions, |_| ErrorStatus::NO_ERROR);
    assert_eq!(numbers(&bodies), (745..=1000).collect::<Vec<_>>());
    let stats = lab.session.stats();
    assert_eq!(stats.traps_sent + stats.traps_dropped, 1001, "each is sent once, or counted");
    assert_eq!(stats.traps_unanswered, 32);
}

#[test]
fn a_set_that_was_tested_only_is_forgotten_with_the_master_that_asked_for_it() {
    let mut lab = lab().up();
    lab.event(Event::StoreAt(Source::Vrrp, 1));
    assert_eq!(lab.varbinds(priority_and_preempt()), []);
    assert_eq!(commands(&lab.restart_master()), []);
    // The new master uses the same session and transaction numbers for something else.
    assert_eq!(errors(&lab.says(Body::CommitSet)), [ErrorStatus::PROCESSING_ERROR]);
    lab.varbinds(Body::TestSet(vec![VarBind::new(oid("2.3.1.13.1"), Value::Integer(2))]));
    let actions = lab.says(Body::CommitSet);
    let [(token, command)] = &commands(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(*command, set_preempt(false));
    let reply = Reply::Done { undo: set_preempt(true), visible_at: 1 };
    let actions = lab.event(Event::CommandReply { token: *token, reply });
    assert_eq!(errors(&actions), [ErrorStatus::NO_ERROR]);
}

#[test]
fn a_set_that_loses_its_master_half_way_is_taken_back_and_the_next_one_works_meanwhile() {
    let mut lab = lab().up();
    lab.event(Event::StoreAt(Source::Vrrp, 9));
    lab.varbinds(priority_and_preempt());
    let (first, _) = commands(&lab.says(Body::CommitSet)).remove(0);
    let done = |undo| Reply::Done { undo, visible_at: 2 };
    let actions = lab.event(Event::CommandReply { token: first, reply: done(set_priority(150)) });
    let (second, command) = commands(&actions).remove(0);
    assert_eq!(command, set_preempt(false));
    // One of two is done, the other under way.
    let [(inverse, command)] = <[_; 1]>::try_from(commands(&lab.restart_master())).unwrap();
    assert_eq!(command, set_priority(150));

    // Same numbers, new master. It asks for the same thing: its turn comes when that is as it was.
    lab.varbinds(Body::TestSet(vec![VarBind::new(oid("2.3.1.7.1"), Value::Integer(99))]));
    assert_eq!(commands(&lab.says(Body::CommitSet)), []);
    let actions = lab.event(Event::CommandReply { token: second, reply: done(set_preempt(true)) });
    assert_eq!((commands(&actions), errors(&actions)), (vec![], vec![]));
    let actions = lab.event(Event::CommandReply { token: inverse, reply: done(set_priority(140)) });
    let [(inverse, undo), (third, command)] = <[_; 2]>::try_from(commands(&actions)).unwrap();
    assert_eq!((undo, command), (set_preempt(true), set_priority(99)));
    let actions = lab.event(Event::CommandReply { token: third, reply: done(set_priority(150)) });
    assert_eq!(errors(&actions), [ErrorStatus::NO_ERROR]);
    let actions = lab.event(Event::CommandReply { token: inverse, reply: done(set_preempt(false)) });
    assert_eq!((commands(&actions), errors(&actions)), (vec![], vec![]));
    lab.says(Body::CleanupSet);
    assert_eq!(lab.session.sets.deadline(), None);
}

#[test]
fn a_commit_that_was_answered_stays_when_the_master_goes_before_it_cleans_up() {
    let mut lab = lab().up();
    lab.event(Event::StoreAt(Source::Vrrp, 9));
    lab.varbinds(Body::TestSet(vec![VarBind::new(oid("2.3.1.7.1"), Value::Integer(99))]));
    let (token, _) = commands(&lab.says(Body::CommitSet)).remove(0);
    let reply = Reply::Done { undo: set_priority(150), visible_at: 1 };
    assert_eq!(errors(&lab.event(Event::CommandReply { token, reply })), [ErrorStatus::NO_ERROR]);
    assert_eq!(commands(&lab.restart_master()), []);
    assert_eq!(errors(&lab.says(Body::UndoSet)), [ErrorStatus::PROCESSING_ERROR], "it is another master's");
}

/// What the edge, the master and the operator may do.
#[derive(Debug, Clone)]
enum Step {
    Connected,
    Failed,
    Closed,
    Stalled,
    /// The master answers all that it was asked, this many at most.
    Answers(usize, u16),
    Says(u8),
    Pass(u64),
    Want(u8),
    Trap,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Connected),
        1 => Just(Step::Failed),
        1 => Just(Step::Closed),
        1 => Just(Step::Stalled),
        6 => (1..200_usize, prop_oneof![9 => Just(0_u16), 1 => 256..269_u16]).prop_map(|(n, error)| Step::Answers(n, error)),
        1 => (0..20_u8).prop_map(Step::Says),
        4 => prop_oneof![0..3_000_u64, 0..40_000_u64].prop_map(Step::Pass),
        1 => (0..4_u8).prop_map(Step::Want),
        1 => Just(Step::Trap),
    ]
}

#[derive(Debug, PartialEq)]
enum Wire {
    None,
    Connecting,
    /// Whether Open was sent on it, and the requests without an answer.
    Up(bool, Vec<u32>),
}

impl Wire {
    fn carry_out(&mut self, actions: &[Action]) {
        for action in actions {
            match (action, &mut *self) {
                (Action::Connect, Wire::None) => *self = Wire::Connecting,
                (Action::Disconnect, Wire::Connecting | Wire::Up(..)) => *self = Wire::None,
                (Action::Send(bytes), Wire::Up(opened, asked)) => {
                    let pdu = decode(bytes).unwrap().0;
                    let is_open = matches!(pdu.body, Body::Open { .. });
                    assert_ne!(*opened, is_open, "each transport carries one Open, first");
                    *opened = true;
                    if !matches!(pdu.body, Body::Response { .. } | Body::Close(_)) {
                        asked.push(pdu.packet);
                    }
                }
                (Action::Log(_) | Action::Command { .. }, _) => {}
                (action, wire) => panic!("{action:?} in {wire:?}"),
            }
        }
    }
}

proptest! {
    #[test]
    fn there_is_never_a_second_connection_or_session_and_always_a_next_step(steps in vec(step(), 0..60)) {
        let mut lab = lab();
        let (mut wire, mut wanted) = (Wire::None, false);
        for step in steps {
            let actions = match (step, &mut wire) {
                (Step::Connected, Wire::Connecting) => {
                    wire = Wire::Up(false, vec![]);
                    lab.event(Event::Connected)
                }
                (Step::Failed, Wire::Connecting) => {
                    wire = Wire::None;
                    lab.event(Event::ConnectFailed("refused"))
                }
                (Step::Closed, Wire::Up(..)) => {
                    wire = Wire::None;
                    lab.event(Event::Closed("reset"))
                }
                (Step::Stalled, Wire::Up(..)) => lab.event(Event::WriteStalled),
                (Step::Answers(count, error), Wire::Up(_, asked)) => {
                    let answered: Vec<u32> = asked.drain(..count.min(asked.len())).collect();
                    let answers = answered.into_iter().flat_map(|it| lab.response(it, ErrorStatus(error)));
                    let bytes: Vec<u8> = answers.collect();
                    lab.event(Event::Bytes(&bytes))
                }
                (Step::Says(kind), Wire::Up(true, _)) => lab.event(Event::Bytes(&header(kind, 0))),
                (Step::Pass(ms), _) => {
                    let end = lab.now + Duration::from_millis(ms);
                    while let Some(due) = lab.session.deadline().filter(|due| *due <= end) {
                        let actions = lab.wake_at(due.max(lab.now));
                        wire.carry_out(&actions);
                    }
                    lab.now = end;
                    vec![]
                }
                (Step::Want(parts), _) => {
                    lab.tree = Tree::new(
                        &crate::conf::model::Snmp { vrrp: parts & 1 != 0, checker: parts & 2 != 0, ..Default::default() },
                        &Source::ALL,
                    );
                    wanted = parts != 0;
                    let want = lab.wanted();
                    lab.session.want(want, lab.now)
                }
                (Step::Trap, _) => lab.session.notify(trap(1), lab.now),
                _ => vec![],
            };
            wire.carry_out(&actions);
            prop_assert_eq!(lab.session.deadline().is_some(), wanted);
            if !wanted {
                prop_assert_eq!(&wire, &Wire::None);
            }
        }
    }
}
