//! What a reload finds in the kernel, what is said of it, and the way back.

use super::world::*;
use crate::check::engine::EngineOptions;
use crate::check::io::Output;
use crate::check::table::Op;
use crate::conf::model::Config;

fn pools() -> Config {
    config(vec![service(1, pool(3)), service(2, pool(2))])
}

/// Applies a configuration behind a look at the table. What was found there.
fn surveyed(world: &mut World, new: &Config) -> Vec<String> {
    let mut out = Vec::new();
    assert!(world.engine.survey(world.now, &mut out));
    assert!(matches!(out[..], [Output::Audit]), "{out:?}");
    out.clear();
    let lines = world.engine.compare(world.kernel.found(), world.now, &mut out);
    world.engine.apply(new, world.now, &mut out);
    world.perform(out);
    lines
}

fn go_back(world: &mut World, before: &Config) {
    let mut out = Vec::new();
    world.engine.go_back(before, world.now, &mut out);
    world.perform(out);
}

#[test]
fn a_reload_tells_what_somebody_has_changed_and_one_plan_mends_it_and_brings_what_is_new() {
    let old = pools();
    let mut new = old.clone();
    new.services[0].servers[1].weight = 9;
    new.services.remove(1);
    let mut world = World::new(&old);
    world.forget();
    let entry = world.kernel.services.get_mut(&id(1)).expect("a service");
    entry.1.remove(&dest(1));
    entry.1.get_mut(&dest(2)).expect("a server").weight = 50;
    world.kernel.services.remove(&id(2));
    let told = surveyed(&mut world, &new);
    let expected = [
        "10.0.0.1:80/tcp: 10.1.0.1:80 was missing",
        "10.0.0.1:80/tcp: 10.1.0.2:80 had weight 50 instead of 1",
        "10.0.0.2:80/tcp was missing",
    ];
    assert_eq!(told, expected);
    // The second service is not made for a moment.
    assert!(matches!(&world.ops[..], [Op::AddDestination(..), Op::EditDestination(..)]), "{:?}", world.ops);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 9), (3, 1)]);
    assert_eq!(world.engine.verdict(false), Some(vec![]));
    assert_eq!(surveyed(&mut world, &new), [""; 0], "it is told once");
}

#[test]
fn what_cannot_be_mended_is_no_reason_to_refuse_a_configuration_that_does_not_bring_it() {
    let mut old = pools();
    old.services[0].scheduler = "gone".into();
    let mut world = World::new(&old);
    world.kernel.unknown_scheduler = Some("gone".into());
    world.kernel.services.remove(&id(1));
    let mut new = old.clone();
    new.services[1].servers[0].weight = 9;
    assert_eq!(surveyed(&mut world, &new), ["10.0.0.1:80/tcp was missing"]);
    assert_eq!(world.engine.verdict(true), Some(vec![]));
    assert_eq!(world.logged("IPVS refused").len(), 1);
}

#[test]
fn whoever_looks_hears_of_what_somebody_has_changed_and_nothing_is_done() {
    let mut world = World::new(&pools());
    world.kernel.services.remove(&id(2));
    world.forget();
    let batches = world.engine.batches().expect("nothing is under way");
    assert_eq!(world.engine.look(world.kernel.found(), batches), ["10.0.0.2:80/tcp was missing"]);
    assert_eq!(world.ops, []);
    // Nobody can tell from a table that is older than what was done.
    let before = world.kernel.found();
    world.set(1, 1, Some(5));
    assert_eq!(world.engine.look(before, batches), [""; 0]);
    let batches = world.engine.batches().expect("nothing is under way");
    assert_eq!(surveyed(&mut world, &pools()), ["10.0.0.2:80/tcp was missing"], "it was found, and not forgotten");
    assert_ne!(world.engine.batches(), Some(batches));
}

#[test]
fn of_two_reloads_in_quick_succession_the_second_does_not_let_through_what_is_refused() {
    let old = pools();
    let mut first = old.clone();
    first.services[1].scheduler = "nosuch".into();
    let mut second = first.clone();
    second.services[0].servers[0].weight = 9;
    for (second, refused) in [(&second, 1), (&old, 0)] {
        let mut world = World::new(&old);
        world.kernel.unknown_scheduler = Some("nosuch".into());
        world.prompt = false;
        world.reload(&first);
        world.reload(second);
        while world.answer() {}
        let verdict = world.engine.verdict(false).unwrap();
        assert_eq!(verdict.len(), refused, "{verdict:?}");
    }
}

#[test]
fn there_is_a_verdict_on_the_first_configuration_if_somebody_waits_for_it() {
    let mut first = pools();
    first.services[1].scheduler = "nosuch".into();
    for (waits, refused) in [(true, Some(1)), (false, None)] {
        let mut world = World::waiting(&first, EngineOptions::default());
        world.kernel.unknown_scheduler = Some("nosuch".into());
        if waits {
            world.engine.on_trial();
        }
        world.begin();
        assert_eq!(world.engine.verdict(false).map(|lines| lines.len()), refused);
    }
}

#[test]
fn weights_of_operators_are_what_they_were_when_a_configuration_is_taken_back() {
    let old = pools();
    let mut new = old.clone();
    new.services[0].servers[0].weight = 7;
    new.services[0].servers[1].weight = 7;
    new.services.remove(1);
    let mut world = World::new(&old);
    world.set(1, 1, Some(0));
    world.set(2, 2, Some(5));
    world.reload(&new);
    assert_eq!(world.kernel.weights(1), [(1, 7), (2, 7), (3, 1)]);
    // What is commanded meanwhile counts more.
    world.set(3, 3, Some(4));
    world.set(4, 2, None);
    world.forget();
    go_back(&mut world, &old);
    assert_eq!(world.kernel.weights(1), [(1, 0), (2, 1), (3, 4)]);
    assert_eq!(world.kernel.weights(2), [(1, 1), (2, 1)]);
    assert!(world.server(1).overridden && !world.server(2).overridden && world.server(3).overridden);
    let raised = |op: &Op| matches!(op, Op::EditDestination(_, it) if it.id == dest(1) && it.weight > 0);
    assert!(!world.ops.iter().any(raised), "a drained server gets no traffic in between: {:?}", world.ops);

    // Whoever was started in between knows of nothing that was before, and keeps what it has found.
    let mut world = World::new(&old);
    world.set(1, 1, Some(0));
    go_back(&mut world, &old);
    assert_eq!(world.kernel.weights(1), [(1, 0), (2, 1), (3, 1)]);

    // A server that the refused file did not have at all comes back drained.
    let mut world = World::new(&old);
    world.set(1, 1, Some(0));
    let mut new = old.clone();
    new.services[0].servers.remove(0);
    world.reload(&new);
    world.forget();
    go_back(&mut world, &old);
    assert_eq!(world.kernel.weights(1), [(1, 0), (2, 1), (3, 1)]);
}
