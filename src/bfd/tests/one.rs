use super::*;
use crate::bfd::random::Random;
use crate::bfd::session::{Action, Session};

fn started(config: &BfdSession) -> Session {
    Session::new(config, OWN, Random::new(7), ms(0))
}

fn sent(actions: &[Action]) -> Vec<Packet> {
    let packets = actions.iter().filter_map(|action| match action {
        Action::Send(packet) => Some(*packet),
        _ => None,
    });
    packets.collect()
}

fn hear(session: &mut Session, packet: Packet, at: Instant) -> Vec<Action> {
    let mut actions = Vec::new();
    session.hear(&packet, at, &mut actions);
    actions
}

fn wake(session: &mut Session, at: Instant) -> Vec<Action> {
    let mut actions = Vec::new();
    session.wake(at, &mut actions);
    actions
}

/// Up since 1,000 ms, with the poll sequence over.
fn up(config: &BfdSession) -> Session {
    let mut session = started(config);
    wake(&mut session, ms(0));
    hear(&mut session, packet(State::Init), ms(1000));
    hear(&mut session, Packet { finish: true, ..packet(State::Up) }, ms(1000));
    assert_eq!(session.state(), State::Up);
    session
}

#[test]
fn an_active_session_speaks_at_once_and_then_each_second_less_up_to_a_quarter() {
    let mut session = started(&config());
    let mut at = ms(0);
    for number in 0..50 {
        assert_eq!(session.deadline(), Some(at));
        if let Some(before) = at.nanos().checked_sub(1) {
            assert_eq!(wake(&mut session, Instant::from_nanos(before)), []);
        }
        let [first] = sent(&wake(&mut session, at))[..] else { panic!("one packet") };
        let wanted = (State::Down, OWN, 0, 1_000_000, 100_000, 3, false, false);
        let Packet { state, mine, yours, desired_min_tx_us, required_min_rx_us, multiplier, poll, finish, .. } = first;
        assert_eq!((state, mine, yours, desired_min_tx_us, required_min_rx_us, multiplier, poll, finish), wanted);
        let next = session.deadline().expect("it goes on");
        let pause = next.since(at);
        assert!((750..=1000).contains(&pause.as_millis()), "pause {number}: {pause:?}");
        at = next;
    }
}

#[test]
fn while_it_is_not_up_a_session_keeps_the_idle_pace_and_says_so() {
    let mut session = started(&BfdSession { idle_tx_us: 4_000_000, ..config() });
    let [first] = sent(&wake(&mut session, ms(0)))[..] else { panic!("one packet") };
    assert_eq!(first.desired_min_tx_us, 4_000_000);
    let pause = session.deadline().expect("it goes on").since(ms(0));
    assert!((3000..=4000).contains(&pause.as_millis()), "{pause:?}");
}

#[test]
fn where_one_packet_counts_the_pause_is_at_most_nine_tenths() {
    let mut session = started(&BfdSession { multiplier: 1, ..config() });
    for _ in 0..50 {
        let at = session.deadline().expect("it goes on");
        wake(&mut session, at);
        let pause = session.deadline().expect("it goes on").since(at);
        assert!((750..=900).contains(&pause.as_millis()), "{pause:?}");
    }
}

#[test]
fn a_passive_session_says_nothing_until_its_neighbour_does_and_after_it_is_lost() {
    let mut session = started(&BfdSession { passive: true, ..config() });
    assert_eq!(session.deadline(), None);
    let actions = hear(&mut session, Packet { yours: 0, ..packet(State::Down) }, ms(500));
    assert_eq!(sent(&actions).len(), 1, "it answers at once: {actions:?}");
    assert_eq!(session.state(), State::Init);
    // 4 x the larger of our 100 ms and the neighbour's 50.
    let actions = wake(&mut session, ms(900));
    assert_eq!(session.state(), State::Down);
    assert_eq!((sent(&actions), session.deadline()), (vec![], None));
}

#[test]
fn two_messages_make_a_session_and_the_third_confirms_the_pace() {
    let mut session = started(&config());
    wake(&mut session, ms(0));
    let actions = hear(&mut session, Packet { yours: 0, ..packet(State::Down) }, ms(100));
    assert!(matches!(actions[..], [Action::Entered { from: State::Down, to: State::Init }, Action::Send(_)]));
    let [init] = sent(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!((init.state, init.yours, init.poll, init.desired_min_tx_us), (State::Init, 0x1234, false, 1_000_000));

    let actions = hear(&mut session, packet(State::Up), ms(200));
    assert!(matches!(actions[..], [Action::Entered { from: State::Init, to: State::Up }, Action::Send(_)]));
    let [now_up] = sent(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!((now_up.state, now_up.poll, now_up.desired_min_tx_us), (State::Up, true, 150_000));
    // The polls go on with every packet until one is answered.
    let at = session.deadline().unwrap();
    assert!(sent(&wake(&mut session, at))[0].poll);
    assert_eq!(hear(&mut session, Packet { finish: true, ..packet(State::Up) }, ms(340)), []);
    let at = session.deadline().unwrap();
    assert!(!sent(&wake(&mut session, at))[0].poll);
    assert_eq!((session.counters.went_up, session.counters.went_down), (1, 0));
}

#[test]
fn an_up_session_is_lost_exactly_when_the_detection_time_is_over() {
    let mut session = up(&config());
    assert_eq!(session.detection_us(), 4 * 100_000);
    hear(&mut session, packet(State::Up), ms(2000));
    while let Some(at) = session.deadline().filter(|at| *at < ms(2400)) {
        let actions = wake(&mut session, at);
        assert!(matches!(actions[..], [Action::Send(_)]), "only packets: {actions:?}");
    }
    assert_eq!(session.deadline(), Some(ms(2400)));
    let actions = wake(&mut session, ms(2400));
    let detection = Duration::from_millis(400);
    assert_eq!(actions[0], Action::Expired { detection, late: Duration::ZERO });
    assert_eq!(actions[1], Action::Entered { from: State::Up, to: State::Down });
    let [down] = sent(&actions)[..] else { panic!("{actions:?}") };
    let told = (down.state, down.diagnostic, down.yours, down.desired_min_tx_us, down.poll);
    assert_eq!(told, (State::Down, Diagnostic::DETECTION_TIME_EXPIRED, 0, 1_000_000, false));
    assert!(session.deadline().unwrap() >= ms(2400 + 750), "slow again");
    assert_eq!((session.counters.expired, session.counters.went_down), (1, 1));
}

#[test]
fn packets_that_were_read_before_the_wake_up_are_heard_however_late_it_is() {
    let mut session = up(&config());
    // The process slept for ten seconds; what came meanwhile is told first.
    hear(&mut session, packet(State::Up), ms(11_000));
    assert!(matches!(wake(&mut session, ms(11_000))[..], [Action::Send(_)]), "one packet, not a hundred");
    assert!(session.is_up());
}

#[test]
fn the_larger_of_both_ends_sets_the_pace() {
    let mut session = up(&config());
    assert_eq!(session.interval_us(), 150_000, "ours: the neighbour could take 50 ms");
    hear(
        &mut session,
        Packet { required_min_rx_us: 300_000, desired_min_tx_us: 700_000, ..packet(State::Up) },
        ms(1100),
    );
    assert_eq!((session.interval_us(), session.detection_us()), (300_000, 4 * 700_000));
}

#[test]
fn a_neighbour_that_wants_no_packets_gets_none_but_an_answer_to_its_poll() {
    let mut session = up(&config());
    hear(&mut session, Packet { required_min_rx_us: 0, ..packet(State::Up) }, ms(1100));
    assert_eq!(session.deadline(), Some(ms(1500)), "only the detection time is waited for");
    let actions = hear(&mut session, Packet { required_min_rx_us: 0, poll: true, ..packet(State::Up) }, ms(1200));
    let [answer] = sent(&actions)[..] else { panic!("{actions:?}") };
    assert!(answer.finish && !answer.poll);
}

#[test]
fn demand_silences_the_periodic_packets_while_both_ends_are_up() {
    let mut session = up(&config());
    hear(&mut session, Packet { demand: true, ..packet(State::Up) }, ms(1100));
    assert_eq!(session.deadline(), Some(ms(1500)), "only the detection time is waited for");
    let actions = hear(&mut session, Packet { demand: true, poll: true, ..packet(State::Up) }, ms(1200));
    assert!(sent(&actions)[0].finish);
    hear(&mut session, packet(State::Up), ms(1300));
    assert!(session.deadline().unwrap() <= ms(1300), "it is overdue: the last one went 300 ms ago");
}

#[test]
fn a_poll_is_answered_at_once_and_the_periodic_packets_keep_their_time() {
    let mut session = up(&config());
    let before = session.deadline();
    let actions = hear(&mut session, Packet { poll: true, ..packet(State::Up) }, ms(1050));
    let [answer] = sent(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!((answer.finish, answer.poll, answer.state), (true, false, State::Up));
    assert_eq!(session.deadline(), before);
}

#[test]
fn a_neighbour_that_says_down_or_administratively_down_takes_the_session_down() {
    for state in [State::Down, State::AdminDown] {
        let mut session = up(&config());
        let actions = hear(&mut session, packet(state), ms(1100));
        assert_eq!(actions[0], Action::Entered { from: State::Up, to: State::Down });
        assert_eq!(session.diagnostic(), Diagnostic::NEIGHBOUR_SIGNALED_DOWN);
        assert_eq!(sent(&actions).len(), 1);
        assert_eq!(hear(&mut session, packet(State::AdminDown), ms(1200)), [], "and that is where it stays");
    }
}

#[test]
fn a_neighbour_that_is_up_all_alone_does_not_bring_a_session_up() {
    let mut session = started(&config());
    assert_eq!(hear(&mut session, packet(State::Up), ms(10)), []);
    assert_eq!(session.state(), State::Down);
    hear(&mut session, packet(State::Down), ms(20));
    hear(&mut session, packet(State::Down), ms(30));
    assert_eq!(session.state(), State::Init);
}

#[test]
fn a_neighbour_that_was_silent_in_down_is_forgotten() {
    let mut session = started(&config());
    wake(&mut session, ms(0));
    hear(&mut session, packet(State::AdminDown), ms(100));
    assert_eq!(session.remote().discriminator, 0x1234);
    assert_eq!(wake(&mut session, ms(500)), [], "4 x 100 ms later");
    assert_eq!(session.remote().discriminator, 0);
    assert_eq!(session.counters.expired, 0, "it was not up");
}

#[test]
fn one_that_is_stopped_says_so_and_nothing_more() {
    let mut session = up(&config());
    let mut actions = Vec::new();
    session.stop(ms(1100), &mut actions);
    let [last] = sent(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(
        (last.state, last.diagnostic, last.yours),
        (State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN, 0x1234)
    );
    assert_eq!(session.deadline(), None);
    assert_eq!(hear(&mut session, Packet { poll: true, ..packet(State::Up) }, ms(1200)), []);
}

#[test]
fn a_slower_pace_waits_for_the_neighbour_to_confirm_it_and_a_faster_one_does_not() {
    let mut session = up(&config());
    session.configure(&BfdSession { min_tx_us: 400_000, min_rx_us: 20_000, ..config() }, ms(1100));
    // Slower sending and less patience wait, but they are announced with a poll.
    assert_eq!((session.interval_us(), session.detection_us()), (150_000, 4 * 100_000));
    let at = session.deadline().unwrap();
    let [poll] = sent(&wake(&mut session, at))[..] else { panic!("one packet") };
    assert_eq!((poll.poll, poll.desired_min_tx_us, poll.required_min_rx_us), (true, 400_000, 20_000));
    hear(&mut session, Packet { finish: true, ..packet(State::Up) }, ms(1260));
    assert_eq!((session.interval_us(), session.detection_us()), (400_000, 4 * 50_000));

    session.configure(&BfdSession { min_tx_us: 60_000, min_rx_us: 500_000, ..config() }, ms(1300));
    assert_eq!((session.interval_us(), session.detection_us()), (60_000, 4 * 500_000));
    assert!(session.is_up());
}

#[test]
fn in_down_another_configuration_counts_at_once() {
    let mut session = started(&config());
    wake(&mut session, ms(0));
    session.configure(&BfdSession { idle_tx_us: 3_000_000, ..config() }, ms(10));
    assert_eq!(session.interval_us(), 3_000_000);
    assert!(session.deadline().unwrap() >= ms(2250));
    assert!(!sent(&wake(&mut session, ms(3000)))[0].poll);
}
