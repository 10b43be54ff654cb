//! Engines on a simulated link and kernel, from a seed: loss, duplication, delay, partitions one way and both, clock
//! drift, interface flaps, trackers that flap, refusals of the kernel, stalls, crashes, reloads, SETs and operators who let a
//! router stand down.
//!
//! Laws are checked at every step, and after healing each virtual router must have one master, the right one; and
//! again when every router that stood down stands up.
//! `KEEPWATCH_SEED=n` runs one seed again; a failing run prints its own.

mod host;
mod random;
mod setup;
mod trackers;
mod world;

use std::time::Duration;

use world::World;

/// At least this many events in each run of the suite.
const EVENTS: u64 = 1_000_000;
/// Runs with the same seeds every time; more follow until there were events enough.
const FIXED_SEEDS: u64 = 32;
const TROUBLE: Duration = Duration::from_secs(90);

/// Prints the seed if the run panics.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the failing run is KEEPWATCH_SEED={}", self.0);
        }
    }
}

fn run(seed: u64) -> World {
    let _replay = Replay(seed);
    let mut world = World::new(seed);
    world.trouble(TROUBLE);
    world.heal();
    world
}

/// A seed that no run had before.
#[allow(clippy::disallowed_methods)]
fn fresh() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64) | 1 << 63
}

#[test]
fn no_two_masters_stay_while_they_hear_each_other_and_one_remains_after_healing() {
    if let Ok(seed) = std::env::var("KEEPWATCH_SEED") {
        let world = run(seed.parse().expect("KEEPWATCH_SEED is a number"));
        println!("{} events", world.events);
        return;
    }
    let fresh = fresh();
    println!("fresh seed: KEEPWATCH_SEED={fresh}");
    let first = run(fresh);
    let (mut events, mut judged, mut runs) = (first.events, first.judged, 1);
    for seed in 1.. {
        if seed > FIXED_SEEDS && events >= EVENTS {
            break;
        }
        let world = run(seed);
        events += world.events;
        judged += world.judged;
        runs += 1;
    }
    println!("{events} events in {runs} runs, {judged} elections judged");
    assert!(judged > runs, "a simulation that judges nothing shows nothing");
}

#[test]
fn the_same_seed_gives_the_same_outputs() {
    let digest = |seed| {
        let _replay = Replay(seed);
        let mut world = World::new(seed);
        world.trace();
        world.trouble(Duration::from_secs(20));
        world.hosts.iter().map(|host| (host.outputs, host.digest)).collect::<Vec<_>>()
    };
    for seed in [1, 2, 3] {
        assert_eq!(digest(seed), digest(seed));
    }
}
