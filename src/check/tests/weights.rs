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
