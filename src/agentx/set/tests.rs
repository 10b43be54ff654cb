//! Transactions against an owner that we play.

use super::*;
use crate::bus::msg::Refusal;
use crate::conf::model::Priority;
use crate::mib::fixture;
use crate::mib::tree::Tree;
use crate::mib::view::Pinned;
use crate::wire::agentx::Value;

const T0: Instant = Instant::from_nanos(1_000_000_000);

struct Lab {
    sets: Sets,
    packet: u32,
}

fn lab() -> Lab {
    let mut sets = Sets::default();
    assert_eq!(sets.store_at(Source::Vrrp, 1, T0), []);
    Lab { sets, packet: 0 }
}

fn priority(value: i32) -> VarBind {
    VarBind::new("1.3.6.1.4.1.9586.100.5.2.3.1.7.1".parse().unwrap(), Value::Integer(value))
}

fn preempt(value: i32) -> VarBind {
    VarBind::new("1.3.6.1.4.1.9586.100.5.2.3.1.13.1".parse().unwrap(), Value::Integer(value))
}

fn set_priority(value: u8) -> Command {
    Command::SetPriority { instance: "VI_1".into(), priority: Priority::new(value).unwrap() }
}

fn set_preempt(preempt: bool) -> Command {
    Command::SetPreempt { instance: "VI_1".into(), preempt }
}

fn done(undo: Command, visible_at: Generation) -> Reply {
    Reply::Done { undo, visible_at }
}

fn refused() -> Reply {
    Reply::Refused(Refusal::NoSuchInstance)
}

impl Lab {
    fn test(&mut self, id: u32, varbinds: &[VarBind]) -> Result<(), (ErrorStatus, u16)> {
        let (tree, snapshot) = (Tree::new(&fixture::snmp(), &[Source::Vrrp]), fixture::seed());
        self.sets.test(id, varbinds, &Pinned { tree: &tree, look: fixture::look(&snapshot) }, T0)
    }

    fn asked(&mut self, id: u32) -> Asked {
        self.packet += 1;
        Asked { order: ByteOrder::Little, transaction: id, packet: self.packet, context: None }
    }

    fn commit(&mut self, id: u32, now: Instant) -> Vec<Step> {
        let asked = self.asked(id);
        self.sets.commit(asked, now)
    }

    fn undo(&mut self, id: u32, now: Instant) -> Vec<Step> {
        let asked = self.asked(id);
        self.sets.undo(asked, now)
    }

    /// The one command among the steps.
    #[track_caller]
    fn command(steps: &[Step]) -> (Token, Command) {
        match steps {
            [Step::Command { token, command }] => (*token, command.clone()),
            other => panic!("not one command: {other:?}"),
        }
    }

    /// The one answer among the steps.
    #[track_caller]
    fn answer(steps: &[Step]) -> (u32, ErrorStatus, u16) {
        match steps {
            [Step::Answer { to, error, index }] => (to.transaction, *error, *index),
            other => panic!("not one answer: {other:?}"),
        }
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_commit_is_answered_when_everything_is_done_and_readers_can_see_it() {
    let mut lab = lab();
    lab.test(7, &[priority(120), preempt(2)]).unwrap();
    let (first, command) = Lab::command(&lab.commit(7, T0));
    assert_eq!(command, set_priority(120));
    let (second, command) = Lab::command(&lab.sets.reply(first, done(set_priority(150), 2), T0));
    assert_eq!(command, set_preempt(false));
    assert_eq!(lab.sets.reply(second, done(set_preempt(true), 3), T0), [], "generation 3 is not there yet");
    assert_eq!(lab.sets.store_at(Source::Vrrp, 2, T0), []);
    assert_eq!(Lab::answer(&lab.sets.store_at(Source::Vrrp, 3, T0)), (7, ErrorStatus::NO_ERROR, 0));
    lab.sets.clean_up(7);
    assert_eq!(lab.sets.deadline(), None);
}

#[test]
fn the_store_may_be_there_before_the_owners_answer() {
    let mut lab = lab();
    lab.test(7, &[priority(120)]).unwrap();
    let (token, _) = Lab::command(&lab.commit(7, T0));
    assert_eq!(lab.sets.store_at(Source::Vrrp, 2, T0), []);
    assert_eq!(Lab::answer(&lab.sets.reply(token, done(set_priority(150), 2), T0)), (7, ErrorStatus::NO_ERROR, 0));
}

#[test]
fn one_bad_variable_refuses_all_with_its_position() {
    let mut lab = lab();
    assert_eq!(lab.test(1, &[priority(130), preempt(9)]), Err((ErrorStatus::WRONG_VALUE, 2)));
    let text = VarBind { value: Value::text("x"), ..priority(0) };
    assert_eq!(lab.test(1, &[text, preempt(9)]), Err((ErrorStatus::WRONG_TYPE, 1)));
    let no_row = VarBind::new(priority(0).name.with(&[1]), Value::text("x"));
    assert_eq!(lab.test(1, &[priority(1), preempt(1), no_row]), Err((ErrorStatus::NOT_WRITABLE, 3)));
    lab.sets.clean_up(1);
    assert_eq!(Lab::answer(&lab.commit(1, T0)), (1, ErrorStatus::PROCESSING_ERROR, 0));
}

#[test]
fn the_same_object_twice_is_set_twice_in_order() {
    let mut lab = lab();
    lab.test(1, &[priority(141), priority(142)]).unwrap();
    let (first, command) = Lab::command(&lab.commit(1, T0));
    assert_eq!(command, set_priority(141));
    let (second, command) = Lab::command(&lab.sets.reply(first, done(set_priority(150), 1), T0));
    assert_eq!(command, set_priority(142));
    assert_eq!(Lab::answer(&lab.sets.reply(second, done(set_priority(141), 1), T0)), (1, ErrorStatus::NO_ERROR, 0));
    // Taken back in the reverse order.
    let (first, command) = Lab::command(&lab.undo(1, T0));
    assert_eq!(command, set_priority(141));
    let (second, command) = Lab::command(&lab.sets.reply(first, done(set_priority(142), 1), T0));
    assert_eq!(command, set_priority(150));
    assert_eq!(Lab::answer(&lab.sets.reply(second, done(set_priority(141), 1), T0)), (1, ErrorStatus::NO_ERROR, 0));
}

#[test]
fn a_refusal_in_the_middle_fails_the_commit_and_takes_back_what_was_done() {
    let mut lab = lab();
    lab.test(1, &[priority(120), preempt(2)]).unwrap();
    let (first, _) = Lab::command(&lab.commit(1, T0));
    let (second, _) = Lab::command(&lab.sets.reply(first, done(set_priority(150), 1), T0));
    let steps = lab.sets.reply(second, refused(), T0);
    assert_eq!(Lab::answer(&steps[..1]), (1, ErrorStatus::COMMIT_FAILED, 2));
    let (inverse, command) = Lab::command(&steps[1..]);
    assert_eq!(command, set_priority(150));
    // The master's UndoSet waits for what is under way already.
    assert_eq!(lab.undo(1, T0), []);
    assert_eq!(Lab::answer(&lab.sets.reply(inverse, done(set_priority(120), 1), T0)), (1, ErrorStatus::NO_ERROR, 0));
}

#[test]
fn an_owner_that_is_late_fails_the_commit_and_is_undone_when_it_answers() {
    let mut lab = lab();
    lab.test(1, &[priority(120)]).unwrap();
    let (token, _) = Lab::command(&lab.commit(1, T0));
    let due = lab.sets.deadline().unwrap();
    assert_eq!(due, T0 + ms(500));
    assert_eq!(lab.sets.wake(due - Duration::from_nanos(1)), []);
    assert_eq!(Lab::answer(&lab.sets.wake(due)), (1, ErrorStatus::COMMIT_FAILED, 1));
    lab.sets.clean_up(1);
    let (inverse, command) = Lab::command(&lab.sets.reply(token, done(set_priority(150), 1), due));
    assert_eq!(command, set_priority(150));
    assert_eq!(lab.sets.reply(inverse, done(set_priority(120), 1), due), []);
    assert_eq!(lab.sets.deadline(), None, "then it is forgotten");
}

#[test]
fn what_was_done_is_taken_back_without_waiting_for_an_owner_that_is_late() {
    let mut lab = lab();
    lab.test(1, &[priority(141), priority(142)]).unwrap();
    let (first, _) = Lab::command(&lab.commit(1, T0));
    let (late, _) = Lab::command(&lab.sets.reply(first, done(set_priority(150), 1), T0));
    let steps = lab.sets.wake(T0 + ms(500));
    assert_eq!(Lab::answer(&steps[..1]), (1, ErrorStatus::COMMIT_FAILED, 2));
    let (inverse, command) = Lab::command(&steps[1..]);
    assert_eq!(command, set_priority(150));
    assert_eq!(lab.undo(1, T0 + ms(500)), []);
    // The owner wakes up. It works in order: it did 142, and then 150, so that nothing is left of both.
    assert_eq!(lab.sets.reply(late, done(set_priority(141), 1), T0 + ms(510)), []);
    let steps = lab.sets.reply(inverse, done(set_priority(142), 1), T0 + ms(520));
    assert_eq!(Lab::answer(&steps), (1, ErrorStatus::NO_ERROR, 0));
}

#[test]
fn a_later_set_waits_until_an_earlier_one_of_the_same_thing_is_taken_back() {
    let mut lab = lab();
    lab.test(1, &[priority(141), preempt(2)]).unwrap();
    let (first, _) = Lab::command(&lab.commit(1, T0));
    let (late, _) = Lab::command(&lab.sets.reply(first, done(set_priority(150), 1), T0));
    let steps = lab.sets.wake(T0 + ms(500));
    assert_eq!(Lab::answer(&steps[..1]), (1, ErrorStatus::COMMIT_FAILED, 2));
    let (inverse, _) = Lab::command(&steps[1..]);
    lab.sets.clean_up(1);
    // The manager asks again.
    lab.test(2, &[priority(99)]).unwrap();
    assert_eq!(lab.commit(2, T0 + ms(600)), []);
    lab.test(3, &[preempt(2)]).unwrap();
    assert_eq!(lab.commit(3, T0 + ms(600)), []);
    let steps = lab.sets.reply(late, done(set_preempt(true), 1), T0 + ms(610));
    assert_eq!(steps, []);
    let steps = lab.sets.reply(inverse, done(set_priority(141), 1), T0 + ms(620));
    let (inverse, command) = Lab::command(&steps[..1]);
    assert_eq!(command, set_preempt(true));
    let (second, command) = Lab::command(&steps[1..]);
    assert_eq!(command, set_priority(99), "only its own thing is waited for");
    assert_eq!(Lab::answer(&lab.sets.reply(second, done(set_priority(150), 1), T0)), (2, ErrorStatus::NO_ERROR, 0));
    let (third, command) = Lab::command(&lab.sets.reply(inverse, done(set_preempt(false), 1), T0 + ms(630)));
    assert_eq!(command, set_preempt(false));
    assert_eq!(Lab::answer(&lab.sets.reply(third, done(set_preempt(true), 1), T0)), (3, ErrorStatus::NO_ERROR, 0));
}

#[test]
fn an_undo_does_not_say_that_all_is_well_while_a_command_may_still_be_carried_out() {
    let mut lab = lab();
    lab.test(1, &[priority(141)]).unwrap();
    let (late, _) = Lab::command(&lab.commit(1, T0));
    Lab::answer(&lab.sets.wake(T0 + ms(500)));
    assert_eq!(lab.undo(1, T0 + ms(500)), []);
    assert_eq!(lab.sets.deadline(), Some(T0 + ms(800)));
    assert_eq!(Lab::answer(&lab.sets.wake(T0 + ms(800))), (1, ErrorStatus::UNDO_FAILED, 1));
    lab.sets.clean_up(1);
    assert_eq!(lab.sets.reply(late, refused(), T0 + ms(1000)), []);
    assert_eq!(lab.sets.deadline(), None);
}

#[test]
fn a_store_that_never_gets_there_fails_the_commit_too() {
    let mut lab = lab();
    lab.test(1, &[priority(120)]).unwrap();
    let (token, _) = Lab::command(&lab.commit(1, T0));
    assert_eq!(lab.sets.reply(token, done(set_priority(150), 9), T0), []);
    let steps = lab.sets.wake(T0 + ms(500));
    assert_eq!(Lab::answer(&steps[..1]), (1, ErrorStatus::COMMIT_FAILED, 1));
    assert_eq!(Lab::command(&steps[1..]).1, set_priority(150));
}

#[test]
fn an_undo_that_cannot_be_done_says_so() {
    let mut lab = lab();
    lab.test(1, &[priority(120)]).unwrap();
    let (token, _) = Lab::command(&lab.commit(1, T0));
    Lab::answer(&lab.sets.reply(token, done(set_priority(150), 1), T0));
    let (inverse, _) = Lab::command(&lab.undo(1, T0));
    assert_eq!(Lab::answer(&lab.sets.reply(inverse, refused(), T0)), (1, ErrorStatus::UNDO_FAILED, 1));

    // And one that is not answered in time.
    lab.test(2, &[priority(120)]).unwrap();
    let (token, _) = Lab::command(&lab.commit(2, T0));
    Lab::answer(&lab.sets.reply(token, done(set_priority(150), 1), T0));
    Lab::command(&lab.undo(2, T0));
    assert_eq!(Lab::answer(&lab.sets.wake(T0 + ms(300))), (2, ErrorStatus::UNDO_FAILED, 1));
}

#[test]
fn a_master_that_does_not_wait_for_the_commit_gets_everything_undone() {
    let mut lab = lab();
    lab.test(1, &[priority(120), preempt(2)]).unwrap();
    let (first, _) = Lab::command(&lab.commit(1, T0));
    // The commit has its answer, too: the master counts what it asked.
    assert_eq!(Lab::answer(&lab.undo(1, T0)), (1, ErrorStatus::COMMIT_FAILED, 1));
    let (inverse, command) = Lab::command(&lab.sets.reply(first, done(set_priority(150), 1), T0));
    assert_eq!(command, set_priority(150));
    assert_eq!(Lab::answer(&lab.sets.reply(inverse, done(set_priority(120), 1), T0)), (1, ErrorStatus::NO_ERROR, 0));
}

#[test]
fn an_undo_of_what_was_only_tested_has_nothing_to_do() {
    let mut lab = lab();
    lab.test(1, &[priority(120)]).unwrap();
    assert_eq!(Lab::answer(&lab.undo(1, T0)), (1, ErrorStatus::NO_ERROR, 0));
    assert_eq!(Lab::answer(&lab.commit(1, T0)), (1, ErrorStatus::PROCESSING_ERROR, 0));
}

#[test]
fn transactions_do_not_wait_for_each_other() {
    let mut lab = lab();
    lab.test(1, &[priority(120)]).unwrap();
    lab.test(2, &[preempt(2)]).unwrap();
    let (one, _) = Lab::command(&lab.commit(1, T0));
    let (two, _) = Lab::command(&lab.commit(2, T0));
    assert_ne!(one, two);
    assert_eq!(Lab::answer(&lab.sets.reply(two, done(set_preempt(true), 1), T0)), (2, ErrorStatus::NO_ERROR, 0));
    assert_eq!(Lab::answer(&lab.sets.reply(one, done(set_priority(150), 1), T0)), (1, ErrorStatus::NO_ERROR, 0));
}

#[test]
fn a_master_that_never_cleans_up_is_bounded_and_forgotten() {
    let mut lab = lab();
    for id in 0..u32::try_from(Sets::MAX).unwrap() {
        lab.test(id, &[priority(120)]).unwrap();
    }
    assert_eq!(lab.test(1000, &[priority(120)]), Err((ErrorStatus::RESOURCE_UNAVAILABLE, 0)));
    assert_eq!(lab.sets.wake(T0 + Sets::IDLE), []);
    assert_eq!(lab.test(1000, &[priority(120)]), Ok(()));
}

#[test]
fn replies_to_nothing_change_nothing() {
    let mut lab = lab();
    assert_eq!(lab.sets.reply(Token(1), done(set_priority(1), 1), T0), []);
    lab.test(1, &[priority(120)]).unwrap();
    let (token, _) = Lab::command(&lab.commit(1, T0));
    assert_eq!(lab.sets.clear(T0), []);
    let (inverse, command) = Lab::command(&lab.sets.reply(token, done(set_priority(150), 1), T0));
    assert_eq!(command, set_priority(150), "nobody was told that it is done");
    assert_eq!(lab.sets.reply(token, done(set_priority(150), 1), T0), []);
    assert_eq!(lab.sets.reply(inverse, done(set_priority(120), 1), T0), []);
    assert_eq!(lab.sets.deadline(), None);
}

fn weight(row: &[u32], value: i32) -> VarBind {
    let column: crate::wire::oid::Oid = "1.3.6.1.4.1.9586.100.5.3.4.1.7".parse().unwrap();
    VarBind::new(column.with(row), Value::Integer(value))
}

fn set_weight(address: &str, weight: u32) -> Command {
    Command::SetWeight { server: fixture::check::server_key("VS_GROUP_IPv4", address, 80), weight }
}

/// A transaction over what both engines own.
fn test_both(lab: &mut Lab, varbinds: &[VarBind]) -> Result<(), (ErrorStatus, u16)> {
    let mut store = fixture::committed(fixture::rows(fixture::global()));
    fixture::commit_from(&mut store, Source::Checks, 1, true, fixture::check::seed_rows());
    let (tree, snapshot) = (Tree::new(&fixture::snmp(), &Source::ALL), store.snapshot());
    lab.sets.test(7, varbinds, &Pinned { tree: &tree, look: fixture::look(&snapshot) }, T0)
}

#[test]
fn things_of_two_owners_are_set_in_one_request_and_answered_when_both_can_be_read() {
    let mut lab = lab();
    test_both(&mut lab, &[priority(120), weight(&[1, 1], 0)]).unwrap();
    let (first, command) = Lab::command(&lab.commit(7, T0));
    assert_eq!((command.owner(), &command), (Source::Vrrp, &set_priority(120)));
    let (second, command) = Lab::command(&lab.sets.reply(first, done(set_priority(150), 900), T0));
    assert_eq!((command.owner(), &command), (Source::Checks, &set_weight("192.168.1.10", 0)));
    // The generation of one owner says nothing about the other's.
    assert_eq!(lab.sets.store_at(Source::Vrrp, 900, T0), []);
    assert_eq!(lab.sets.reply(second, done(set_weight("192.168.1.10", 1), 5), T0), []);
    assert_eq!(lab.sets.store_at(Source::Checks, 4, T0), []);
    assert_eq!(lab.sets.store_at(Source::Vrrp, 901, T0), []);
    assert_eq!(Lab::answer(&lab.sets.store_at(Source::Checks, 5, T0)), (7, ErrorStatus::NO_ERROR, 0));
}

#[test]
fn a_weight_that_the_kernel_refuses_takes_the_others_back() {
    let mut lab = lab();
    test_both(&mut lab, &[weight(&[1, 1], 7), weight(&[1, 2], 8), priority(120)]).unwrap();
    let (first, _) = Lab::command(&lab.commit(7, T0));
    let (second, command) = Lab::command(&lab.sets.reply(first, done(set_weight("192.168.1.10", 1), 2), T0));
    assert_eq!(command, set_weight("192.168.1.11", 8));
    let steps = lab.sets.reply(second, Reply::Refused(Refusal::Kernel(12)), T0);
    assert_eq!(Lab::answer(&steps[..1]), (7, ErrorStatus::COMMIT_FAILED, 2));
    let (undo, command) = Lab::command(&steps[1..]);
    assert_eq!(command, set_weight("192.168.1.10", 1));
    assert_eq!(lab.sets.reply(undo, done(set_weight("192.168.1.10", 7), 3), T0), []);
    let asked = lab.asked(7);
    assert_eq!(lab.sets.undo(asked, T0), [], "readers do not see it yet");
    assert_eq!(Lab::answer(&lab.sets.store_at(Source::Checks, 3, T0)), (7, ErrorStatus::NO_ERROR, 0));
}

#[test]
fn what_was_refused_in_part_is_not_committed_in_part() {
    let mut lab = lab();
    // Net-snmp asks once for each registration; all of them are one transaction.
    lab.test(1, &[priority(120)]).unwrap();
    assert_eq!(lab.test(1, &[preempt(9)]), Err((ErrorStatus::WRONG_VALUE, 1)));
    assert_eq!(Lab::answer(&lab.commit(1, T0)), (1, ErrorStatus::PROCESSING_ERROR, 0));
    // Nor are more variables taken than anybody can set.
    let many = vec![priority(120); Sets::VARIABLES_MAX / 2 + 1];
    lab.test(2, &many).unwrap();
    assert_eq!(lab.test(2, &many), Err((ErrorStatus::RESOURCE_UNAVAILABLE, 0)));
    assert_eq!(lab.sets.deadline(), None);
}

#[test]
fn what_comes_out_of_order_is_refused_and_everything_but_a_cleanup_has_one_answer() {
    let mut lab = lab();
    let processing_error = |id| (id, ErrorStatus::PROCESSING_ERROR, 0);
    // Nothing was tested.
    assert_eq!(Lab::answer(&lab.commit(1, T0)), processing_error(1));
    assert_eq!(Lab::answer(&lab.undo(1, T0)), processing_error(1));
    lab.sets.clean_up(1);
    // A second commit, and a test, while the first is under way.
    lab.test(1, &[priority(120)]).unwrap();
    let (token, _) = Lab::command(&lab.commit(1, T0));
    assert_eq!(Lab::answer(&lab.commit(1, T0)), processing_error(1));
    assert_eq!(lab.test(1, &[preempt(2)]), Err((ErrorStatus::PROCESSING_ERROR, 0)));
    // A cleanup that comes too early takes nobody's answer away.
    lab.sets.clean_up(1);
    assert_eq!(Lab::answer(&lab.sets.reply(token, done(set_priority(150), 1), T0)), (1, ErrorStatus::NO_ERROR, 0));
    assert_eq!(lab.sets.deadline(), None);
    assert_eq!(Lab::answer(&lab.undo(1, T0)), processing_error(1));
    // Two undos at once, and one more when all is done.
    lab.test(2, &[priority(120)]).unwrap();
    let (token, _) = Lab::command(&lab.commit(2, T0));
    Lab::answer(&lab.sets.reply(token, done(set_priority(150), 1), T0));
    let (token, _) = Lab::command(&lab.undo(2, T0));
    assert_eq!(Lab::answer(&lab.undo(2, T0)), processing_error(2));
    assert_eq!(Lab::answer(&lab.sets.reply(token, done(set_priority(120), 1), T0)), (2, ErrorStatus::NO_ERROR, 0));
    assert_eq!(Lab::answer(&lab.undo(2, T0)), (2, ErrorStatus::NO_ERROR, 0));
    assert_eq!(Lab::answer(&lab.commit(2, T0)), processing_error(2));
    lab.sets.clean_up(2);
    lab.sets.clean_up(2);
    assert_eq!(lab.sets.deadline(), None);
}

mod orders;

#[test]
fn every_set_is_counted_by_its_object_and_by_what_became_of_it() {
    let mut lab = lab();
    let count = |committed, refused, undone| SetCount { committed, refused, undone };
    // Refused by the test: nothing of it is committed.
    lab.test(1, &[priority(130), preempt(9)]).unwrap_err();
    // Carried out, then taken back.
    lab.test(2, &[priority(120)]).unwrap();
    let (token, _) = Lab::command(&lab.commit(2, T0));
    Lab::answer(&lab.sets.reply(token, done(set_priority(150), 1), T0));
    let (token, _) = Lab::command(&lab.undo(2, T0));
    Lab::answer(&lab.sets.reply(token, done(set_priority(120), 1), T0));
    // Refused by the owner.
    lab.test(3, &[preempt(2)]).unwrap();
    let (token, _) = Lab::command(&lab.commit(3, T0));
    lab.sets.reply(token, refused(), T0);
    let counts: Vec<_> = lab.sets.counts().iter().map(|(object, count)| (*object, *count)).collect();
    assert_eq!(counts, [("vrrpInstanceBasePriority", count(1, 0, 1)), ("vrrpInstancePreempt", count(0, 2, 0))]);
}
