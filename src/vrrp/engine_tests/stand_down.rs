//! Sentences about standing down: who serves meanwhile, and when.

use super::*;

/// 3 intervals of 1 s and 255/256 of a second: what the lowest priority waits in version 2.
const LOWEST_WAITS: Duration = Duration::from_nanos(3_996_093_750);

fn command(bench: &mut Bench, down: bool, now: Instant) -> Vec<Output> {
    let command = Command::StandDown { instance: "VI_1".into(), down };
    bench.say_at(Input::Command { request: 1, command }, now)
}

fn reply(out: &[Output]) -> Reply {
    let reply = |output: &Output| match output {
        Output::Reply { reply, .. } => Some(reply.clone()),
        _ => None,
    };
    out.iter().find_map(reply).expect("every command is answered")
}

fn of(it: Instance) -> (Bench, Instant) {
    let (mut bench, _) = Bench::started(&config(vec![it]));
    let (_, at) = bench.until_master();
    (bench, at)
}

fn master() -> (Bench, Instant) {
    of(Instance { priority: priority(150), ..instance("VI_1", 51, VIP) })
}

/// Hears the peer each second from `first` on; gives the time of the last.
fn follow(bench: &mut Bench, strength: u8, first: Instant, times: u64) -> Instant {
    let last = first + Duration::from_secs(times - 1);
    for second in 0..times {
        let now = first + Duration::from_secs(second);
        while let Some(at) = bench.engine.deadline().filter(|at| *at <= now) {
            bench.say_at(Input::Wake, at);
        }
        bench.say_at(from_peer(&advert(51, strength)), now);
    }
    last
}

#[test]
fn a_master_that_stands_down_resigns_at_once_and_lets_the_others_go_first() {
    let (mut bench, at) = master();
    let now = at + Duration::from_millis(300);
    let out = command(&mut bench, true, now);
    assert_eq!(sent(&out), [0]);
    assert_eq!(edges(&out), [(State::Master, State::Backup, Reason::Commanded)]);
    assert_eq!(order(&out), ["advert", "remove"]);
    let undo = Command::StandDown { instance: "VI_1".into(), down: false };
    assert_eq!(reply(&out), Reply::Done { undo, visible_at: 0 });
    let row = bench.row("VI_1");
    assert_eq!((row.base_priority.get(), row.effective_priority.get()), (150, 1));
    assert_eq!(row.stood_down, Some(WallTime(WALL.0 + now.nanos())));
    assert!(!row.priority_overridden, "the base is as it was");
    assert_eq!(row.master_down_ns, LOWEST_WAITS.as_nanos() as u64);
    assert_eq!(bench.engine.deadline(), Some(now + LOWEST_WAITS));

    let heard = now + Duration::from_millis(700);
    bench.say_at(from_peer(&advert(51, 100)), heard);
    assert_eq!(bench.row("VI_1").master, Some((PEER, 100)));
    assert_eq!(bench.engine.deadline(), Some(heard + LOWEST_WAITS));
}

#[test]
fn version_3_waits_by_its_interval() {
    let interval = Duration::from_millis(100);
    let (mut bench, at) = of(Instance { version: Version::V3, advert_interval: interval, ..instance("VI_1", 51, VIP) });
    let out = command(&mut bench, true, at);
    assert_eq!(sent(&out), [0]);
    assert_eq!(bench.engine.deadline(), Some(at + Duration::from_nanos(300_000_000 + 99_609_375)));
}

#[test]
fn when_nobody_takes_over_the_address_is_served_again_with_the_lowest_priority_and_any_other_router_wins() {
    let (mut bench, at) = master();
    command(&mut bench, true, at);
    let (out, again) = bench.until_master();
    assert_eq!(again, at + LOWEST_WAITS);
    assert_eq!(sent(&out), [1]);
    assert_eq!(edges(&out), [(State::Backup, State::Master, Reason::MasterNoResponse)]);
    assert_eq!(moves(&out), [(VIP, true)]);
    let row = bench.row("VI_1");
    assert_eq!((row.state, row.stood_down), (State::Master, Some(WallTime(WALL.0 + at.nanos()))));
    let out = bench.say_at(from_peer(&advert(51, 2)), again + Duration::from_millis(10));
    assert_eq!(edges(&out), [(State::Master, State::Backup, Reason::HigherPriorityHeard)]);
}

#[test]
fn commanded_once_more_a_lone_master_resigns_once_more_and_stands_down_since_the_first_time() {
    let (mut bench, at) = master();
    command(&mut bench, true, at);
    let (_, again) = bench.until_master();
    let out = command(&mut bench, true, again);
    assert_eq!(sent(&out), [0]);
    assert_eq!(edges(&out), [(State::Master, State::Backup, Reason::Commanded)]);
    let undo = Command::StandDown { instance: "VI_1".into(), down: true };
    assert_eq!(reply(&out), Reply::Done { undo, visible_at: 0 });
    assert_eq!(bench.row("VI_1").stood_down, Some(WallTime(WALL.0 + at.nanos())));
}

#[test]
fn a_backup_that_was_about_to_preempt_does_not() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    let last = follow(&mut bench, 90, at_ms(500), 3);
    // 3.609375 s after the start it would have been master.
    let now = last + Duration::from_millis(900);
    assert_eq!(edges(&command(&mut bench, true, now)), []);
    assert_eq!(bench.engine.deadline(), Some(now + LOWEST_WAITS));
    let last = follow(&mut bench, 90, now + Duration::from_millis(100), 20);
    assert_eq!(bench.row("VI_1").state, State::Backup);
    assert_eq!(bench.engine.deadline(), Some(last + LOWEST_WAITS));
}

#[test]
fn a_backup_whose_master_fell_silent_or_resigned_does_not_wait_any_longer_for_being_commanded() {
    let (mut bench, _) = Bench::started(&config(vec![instance("VI_1", 51, VIP)]));
    bench.say(from_peer(&advert(51, 200)), 100);
    command(&mut bench, true, at_ms(2000));
    assert_eq!(bench.engine.deadline(), Some(at_ms(100) + LOWEST_WAITS));
    bench.say(from_peer(&advert(51, 0)), 3000);
    command(&mut bench, true, at_ms(3500));
    assert_eq!(bench.engine.deadline(), Some(at_ms(3000) + Duration::from_nanos(996_093_750)), "the skew alone");
}

#[test]
fn standing_up_brings_priority_and_preemption_back_as_configured() {
    let (mut bench, at) = master();
    command(&mut bench, true, at);
    let last = follow(&mut bench, 100, at + Duration::from_secs(1), 5);
    let now = last + Duration::from_millis(200);
    let out = command(&mut bench, false, now);
    assert_eq!(edges(&out), []);
    let undo = Command::StandDown { instance: "VI_1".into(), down: true };
    assert_eq!(reply(&out), Reply::Done { undo, visible_at: 0 });
    let row = bench.row("VI_1");
    assert_eq!((row.effective_priority.get(), row.stood_down), (150, None));
    // What was followed last still counts; adverts of the weaker one do not any more.
    bench.say_at(from_peer(&advert(51, 100)), last + Duration::from_secs(1));
    let due = last + Duration::from_nanos(3_000_000_000 + 1_000_000_000 * 106 / 256);
    assert_eq!(bench.engine.deadline(), Some(due));
    let out = bench.say_at(Input::Wake, due);
    assert_eq!(sent(&out), [150]);
    assert_eq!(edges(&out), [(State::Backup, State::Master, Reason::Preempted)]);
}

#[test]
fn a_lone_master_that_stands_up_advertises_its_own_priority_again() {
    let (mut bench, at) = master();
    command(&mut bench, true, at);
    let (_, again) = bench.until_master();
    assert_eq!(edges(&command(&mut bench, false, again)), []);
    assert_eq!(sent(&bench.say_at(Input::Wake, again + Duration::from_secs(1))), [150]);
}

#[test]
fn with_nopreempt_one_that_stands_up_stays_backup() {
    let (mut bench, at) =
        of(Instance { priority: priority(150), preempt: Preempt::Never, ..instance("VI_1", 51, VIP) });
    command(&mut bench, true, at);
    let last = follow(&mut bench, 100, at + Duration::from_secs(1), 2);
    command(&mut bench, false, last);
    let last = follow(&mut bench, 100, last + Duration::from_secs(1), 10);
    assert_eq!(bench.row("VI_1").state, State::Backup);
    assert_eq!(bench.engine.deadline(), Some(last + Duration::from_nanos(3_000_000_000 + 1_000_000_000 * 106 / 256)));
}

#[test]
fn weights_of_trackers_count_again_after_it() {
    let tracked = TrackedInterface { interface: "eth1".into(), weight: -30, reverse: false };
    let (mut bench, at) = of(Instance { tracked_interfaces: vec![tracked], ..instance("VI_1", 51, VIP) });
    command(&mut bench, true, at);
    bench.say_at(Input::Link(link(ETH1, false)), at);
    assert_eq!(bench.row("VI_1").effective_priority.get(), 1);
    command(&mut bench, false, at);
    assert_eq!(bench.row("VI_1").effective_priority.get(), 70);
}

#[test]
fn an_instance_in_init_or_in_fault_begins_with_the_lowest_priority() {
    let mut late = config(vec![instance("VI_1", 51, VIP)]);
    late.global.startup_delay_ns = 2_000_000_000;
    let (mut bench, _) = Bench::started(&late);
    assert_eq!(edges(&command(&mut bench, true, at_ms(10))), []);
    bench.say(Input::Wake, 2000);
    assert_eq!(bench.engine.deadline(), Some(at_ms(2000) + LOWEST_WAITS));
    bench.say(Input::Link(link(ETH0, false)), 3000);
    assert_eq!(edges(&command(&mut bench, true, at_ms(3500))), []);
    let out = bench.say(Input::Link(link(ETH0, true)), 4000);
    assert_eq!(edges(&out), [(State::Fault, State::Backup, Reason::InterfaceUp)]);
    assert_eq!(bench.engine.deadline(), Some(at_ms(4000) + LOWEST_WAITS));
}

#[test]
fn an_owner_is_refused_and_a_set_that_makes_one_ends_it() {
    let (mut bench, _) =
        Bench::started(&config(vec![Instance { priority: Priority::MAX, ..instance("VI_1", 51, VIP) }]));
    let out = command(&mut bench, true, at_ms(10));
    assert_eq!(reply(&out), Reply::Refused(Refusal::Owner));
    assert_eq!((edges(&out), bench.row("VI_1").stood_down), (vec![], None));
    assert!(matches!(reply(&command(&mut bench, false, at_ms(10))), Reply::Done { .. }));

    let (mut bench, at) = master();
    command(&mut bench, true, at);
    let set = Command::SetPriority { instance: "VI_1".into(), priority: Priority::MAX };
    bench.say_at(Input::Command { request: 2, command: set }, at);
    let row = bench.row("VI_1");
    assert_eq!((row.effective_priority, row.stood_down, row.priority_overridden), (Priority::MAX, None, true));
}

#[test]
fn a_set_of_the_priority_counts_when_it_is_over() {
    let (mut bench, at) = master();
    command(&mut bench, true, at);
    let set = Command::SetPriority { instance: "VI_1".into(), priority: priority(70) };
    bench.say_at(Input::Command { request: 2, command: set }, at);
    let row = bench.row("VI_1");
    assert_eq!((row.base_priority.get(), row.effective_priority.get()), (70, 1));
    command(&mut bench, false, at);
    assert_eq!(bench.row("VI_1").effective_priority.get(), 70);
}

#[test]
fn it_survives_reloads_that_keep_the_instance_and_no_owner_stands_down() {
    let file = |value| config(vec![Instance { priority: priority(value), ..instance("VI_1", 51, VIP) }]);
    let (mut bench, _) = Bench::started(&file(150));
    let (_, at) = bench.until_master();
    command(&mut bench, true, at);
    let since = bench.row("VI_1").stood_down;
    let deadline = bench.engine.deadline();
    let said = bench.apply(&file(150), 4000);
    assert!(said.iter().all(|output| matches!(output, Output::Changed(_) | Output::NewScripts)));
    assert_eq!(bench.engine.deadline(), deadline);
    bench.apply(&file(200), 4100);
    let row = bench.row("VI_1");
    assert_eq!((row.stood_down, row.base_priority.get(), row.effective_priority.get()), (since, 200, 1));
    bench.apply(&file(255), 4200);
    let row = bench.row("VI_1");
    assert_eq!((row.stood_down, row.effective_priority), (None, Priority::MAX));
    bench.apply(&file(150), 4300);
    command(&mut bench, true, at_ms(4400));
    let renumbered = config(vec![Instance { vrid: priority(52), ..instance("VI_1", 51, VIP) }]);
    bench.apply(&renumbered, 4500);
    assert_eq!(bench.row("VI_1").stood_down, None, "another virtual router");
}

#[test]
fn of_two_that_stand_down_one_serves() {
    let (mut bench, at) = master();
    command(&mut bench, true, at);
    let (_, again) = bench.until_master();
    // The peer, with the greater address, stands down, too.
    let out = bench.say_at(from_peer(&advert(51, 1)), again);
    assert_eq!(edges(&out), [(State::Master, State::Backup, Reason::HigherPriorityHeard)]);
    assert_eq!(bench.engine.deadline(), Some(again + LOWEST_WAITS));
}

#[test]
fn what_was_commanded_holds_again_when_a_configuration_is_taken_back() {
    let old = Instance { priority: priority(150), ..instance("VI_1", 51, VIP) };
    let new = Instance { priority: priority(140), vrid: 52.try_into().unwrap(), ..old.clone() };
    let (mut bench, at) = of(old.clone());
    let now = at + Duration::from_millis(300);
    let set = Command::SetPriority { instance: "VI_1".into(), priority: priority(120) };
    bench.say_at(Input::Command { request: 1, command: set }, now);
    let keep = Command::SetPreempt { instance: "VI_1".into(), preempt: false };
    bench.say_at(Input::Command { request: 2, command: keep }, now);
    command(&mut bench, true, now);
    let since = bench.row("VI_1").stood_down;
    let mut out = Vec::new();
    bench.engine.apply(&config(vec![new]), now, &mut out);
    let row = bench.row("VI_1");
    assert_eq!((row.base_priority.get(), row.stood_down), (140, None), "it is another router");
    bench.engine.go_back(&config(vec![old.clone()]), now, &mut out);
    let row = bench.row("VI_1");
    assert_eq!((row.base_priority.get(), row.preempt, row.stood_down), (120, false, since));
    // What is commanded before it is taken back counts more.
    bench.engine.apply(&config(vec![Instance { priority: priority(130), ..old.clone() }]), now, &mut out);
    command(&mut bench, false, now);
    bench.engine.go_back(&config(vec![old]), now, &mut out);
    assert_eq!(bench.row("VI_1").stood_down, None);
}
