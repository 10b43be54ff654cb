//! Weights that operators set: what they wait for, what takes them back, what they survive.

use super::world::*;
use crate::bus::msg::{Command, Refusal, Reply};
use crate::check::engine::EngineOptions;
use crate::check::io::{Input, Output};
use crate::check::plan::errno;
use crate::check::table::{Found, Load, Op, Stats};
use crate::conf::model::*;

/// What the kernel counts for service 1, with this many active connections of each of its destinations.
fn counted(world: &World, active: u32) -> Input {
    let found = world.kernel.found().into_iter().find(|it| it.service.id == id(1)).expect("service 1");
    let load = Load {
        active,
        inactive: active,
        stats: Stats { connections: 9, connection_rate: 2, ..Stats::default() },
        ..Load::default()
    };
    let destinations = found.destinations.into_iter().map(|(it, _)| (it, load)).collect();
    Input::Statistics(Found { destinations, ..found })
}

#[test]
fn a_destination_that_the_kernel_no_longer_has_carries_nothing() {
    let vs = VirtualServer { quorum: 2, sorry: sorry(99, false), ..service(1, pool(2)) };
    let sorry = vs.sorry_key().expect("a sorry server");
    let mut world = World::new(&config(vec![vs]));
    world.say(counted(&world, 3));
    assert_eq!((world.server(1).load.active, world.server(2).load.active), (3, 3));
    world.pass_with_failures(secs(12), &[1]);
    assert_eq!(world.kernel.weights(1), [(99, 1)]);
    world.forget();
    world.say(counted(&world, 5));
    for last in [1, 2] {
        assert_eq!(world.server(last).load, Load::default());
        let told = Output::Counted(crate::bus::rows::RowKey::Server(key(1, last)));
        assert_eq!(world.out.iter().filter(|it| **it == told).count(), 1);
    }
    let load = |world: &World| match world.engine.row(&crate::bus::rows::RowKey::Server(sorry.clone())) {
        Some(crate::bus::rows::Row::Server(row)) => row.load,
        other => panic!("no sorry server: {other:?}"),
    };
    assert_eq!(load(&world).active, 5);
    world.pass_with_failures(secs(12), &[]);
    world.say(counted(&world, 1));
    assert_eq!((load(&world).active, world.server(2).load.active), (0, 1));
    world.forget();
    world.say(counted(&world, 1));
    assert_eq!(world.out, [], "the same again is not told again");
    world.say(Input::NoIpvs { error: "gone".into() });
    assert_eq!(world.server(2).load, Load::default());
}

#[test]
fn a_drain_that_brings_the_sorry_server_in_is_answered_when_the_kernel_has_it() {
    let vs = VirtualServer { quorum: 2, sorry: sorry(99, false), ..service(1, pool(2)) };
    let mut world = World::new(&config(vec![vs]));
    world.prompt = false;
    world.set(1, 1, Some(0));
    assert_eq!(world.replies(), []);
    while world.answer() {}
    assert!(matches!(world.replies()[..], [(1, Reply::Done { .. })]));
    assert_eq!(world.kernel.weights(1), [(99, 1)]);
    // The pool is out of the table: there is nothing that the kernel could say to this one.
    world.set(2, 2, Some(0));
    assert!(matches!(world.replies()[..], [(2, Reply::Done { .. })]));
    world.set(3, 2, None);
    world.replies();
    world.set(4, 1, None);
    assert_eq!(world.replies(), []);
    while world.answer() {}
    assert!(matches!(world.replies()[..], [(4, Reply::Done { .. })]));
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1)]);
}

#[test]
fn a_drain_that_the_kernel_does_not_carry_out_brings_no_sorry_server() {
    let vs = VirtualServer { quorum: 2, sorry: sorry(99, false), ..service(1, pool(2)) };
    let mut world = World::new(&config(vec![vs]));
    world.prompt = false;
    world.set(1, 1, Some(0));
    let (batch, ops) = world.asked.pop_front().expect("a batch");
    for (index, op) in ops.iter().enumerate() {
        let refused = matches!(op, Op::DeleteDestination(_, it) if *it == dest(1));
        let error = if refused { Some(errno::ENOMEM) } else { world.kernel.carry_out(op) };
        world.say(Input::Kernel { batch, index, error });
    }
    assert_eq!(world.replies(), [(1, Reply::Refused(Refusal::Kernel(errno::ENOMEM)))]);
    world.prompt = true;
    while world.answer() {}
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1)]);
    assert!(!world.server(1).overridden && !world.service(1).sorry_active);
}

#[test]
fn without_ipvs_a_weight_is_refused_unless_the_server_is_down_anyway() {
    let vs = VirtualServer { quorum: 2, sorry: sorry(99, false), ..service(1, pool(3)) };
    let mut world = World::new(&config(vec![vs]));
    world.pass_with_failures(secs(12), &[3]);
    world.say(Input::NoIpvs { error: "no such module".into() });
    world.forget();
    world.set(1, 1, Some(0));
    assert_eq!(world.replies(), [(1, Reply::Refused(Refusal::Kernel(errno::ENOPROTOOPT)))]);
    assert_eq!(world.edges(), Vec::<String>::new());
    assert!(!world.server(1).overridden && world.service(1).quorum_met);
    world.set(2, 3, Some(0));
    assert!(matches!(world.replies()[..], [(2, Reply::Done { .. })]));
    assert!(world.server(3).overridden);
}

#[test]
fn a_weight_that_is_refused_because_ipvs_went_away_is_taken_back() {
    let mut world = World::new(&config(vec![service(1, pool(2))]));
    world.prompt = false;
    world.set(1, 1, Some(0));
    world.set(2, 1, Some(7));
    world.say(Input::NoIpvs { error: "no such module".into() });
    let refused = |request| (request, Reply::Refused(Refusal::Kernel(errno::ENOPROTOOPT)));
    let mut replies = world.replies();
    replies.sort_by_key(|(request, _)| *request);
    assert_eq!(replies, [refused(1), refused(2)]);
    let row = world.server(1);
    assert!(!row.overridden && row.weight == 1);
    // Also when IPVS is back: what is installed is the configured weight.
    world.kernel.services.clear();
    world.prompt = true;
    while world.answer() {}
    world.pass_with_failures(secs(10), &[]);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1)]);
}

#[test]
fn a_weight_that_follows_a_refused_one_goes_back_to_what_was_before_both() {
    for refused in [false, true] {
        let mut world = World::new(&config(vec![service(1, pool(1))]));
        world.prompt = false;
        world.kernel.refuse_weight = Some(9);
        world.set(1, 1, Some(9));
        world.set(2, 1, Some(5));
        world.set(3, 1, Some(5));
        assert!(world.answer());
        assert_eq!(world.replies(), [(1, Reply::Refused(Refusal::Kernel(errno::ENOMEM)))]);
        assert_eq!(world.server(1).weight, 5);
        world.kernel.refuse_weight = refused.then_some(5);
        while world.answer() {}
        let mut replies = world.replies();
        replies.sort_by_key(|(request, _)| *request);
        if refused {
            let refused = |request| (request, Reply::Refused(Refusal::Kernel(errno::ENOMEM)));
            assert_eq!(replies, [refused(2), refused(3)]);
            let row = world.server(1);
            assert!(!row.overridden && row.weight == 1);
        } else {
            let undo = |command| Reply::Done { undo: command, visible_at: 0 };
            let first = undo(Command::ResetWeight { server: key(1, 1) });
            let second = undo(Command::SetWeight { server: key(1, 1), weight: 5 });
            assert_eq!(replies, [(2, first), (3, second)]);
        }
        assert_eq!(world.kernel.weights(1), [(1, if refused { 1 } else { 5 })]);
    }
}

/// What an engine makes of a table in which servers 1 and 2 of its service have weight 0.
fn crashed(servers: Vec<RealServer>, restarted: bool) -> World {
    let config = config(vec![service(1, servers)]);
    let mut world = World::waiting(&config, EngineOptions { seed: 0, restarted });
    world.kernel = World::new(&config).kernel;
    let entry = world.kernel.services.get_mut(&id(1)).expect("a service");
    for last in [1, 2] {
        entry.1.get_mut(&dest(last)).expect("a server").weight = 0;
    }
    world.begin();
    world
}

#[test]
fn a_drained_server_stays_drained_when_the_checks_come_back_from_a_crash() {
    let mut world = crashed(pool(3), true);
    assert_eq!(world.ops, []);
    assert_eq!(world.kernel.weights(1), [(1, 0), (2, 0), (3, 1)]);
    assert!(world.server(1).overridden && world.server(1).weight == 0 && !world.server(3).overridden);
    assert_eq!(world.service(1).weight_up, 1);
    assert_eq!(world.edges(), ["1 met 3/3"]);
    assert_eq!(world.logged("was drained").len(), 2);
    world.pass_with_failures(secs(60), &[]);
    assert_eq!(world.kernel.weights(1), [(1, 0), (2, 0), (3, 1)]);
    world.set(1, 1, None);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 0), (3, 1)]);
}

#[test]
fn a_weight_of_0_is_an_operators_only_after_a_crash_and_only_if_nothing_else_explains_it() {
    assert_eq!(crashed(pool(2), false).kernel.weights(1), [(1, 1), (2, 1)], "a start that somebody asked for");
    let inhibited = |it: RealServer| RealServer { inhibit_on_failure: true, ..it };
    let world = crashed(pool(2).into_iter().map(inhibited).collect(), true);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1)], "it may have failed its checks");
    let world = crashed(vec![server(1, 1, vec![misc(1, true)]), server(2, 0, vec![])], true);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 0)], "a check may have said so, the file does");
    assert!(!world.server(1).overridden && !world.server(2).overridden);
}
