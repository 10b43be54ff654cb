//! Random results, refusals, weights, reloads, restarts and drift; then quiet, and the kernel's table must be what a
//! naive computation says.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::world::*;
use crate::check::engine::EngineOptions;
use crate::check::io::{Input, Outcome};
use crate::conf::model::*;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Happening {
    /// The oldest probe ends.
    Probe {
        passes: bool,
        weight: Option<i64>,
    },
    /// The kernel answers its oldest batch; now and then it refuses.
    Answer {
        refuse: bool,
    },
    Pass(u64),
    Set {
        last: u8,
        weight: Option<u32>,
    },
    Reload(usize),
    File(Option<i64>),
    /// Somebody removes a service, or changes weights.
    Meddle {
        last: u8,
        what: u8,
    },
    Address(bool),
    Crash,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => (any::<bool>(), prop::option::of(0..300i64)).prop_map(|(passes, weight)| Happening::Probe { passes, weight }),
        8 => prop::bool::weighted(0.1).prop_map(|refuse| Happening::Answer { refuse }),
        4 => (0..20_000u64).prop_map(Happening::Pass),
        2 => (1..5u8, prop::option::of(prop_oneof![Just(0u32), 1..10u32, Just(u32::MAX)]))
            .prop_map(|(last, weight)| Happening::Set { last, weight }),
        1 => (0..4usize).prop_map(Happening::Reload),
        1 => prop::option::of(prop_oneof![-10..10i64, any::<i64>()]).prop_map(Happening::File),
        1 => (1..4u8, 0..4u8).prop_map(|(last, what)| Happening::Meddle { last, what }),
        1 => any::<bool>().prop_map(Happening::Address),
        1 => Just(Happening::Crash),
    ]
}

/// Four configurations to go between.
fn configs() -> [Config; 4] {
    let mut first = service(1, pool(3));
    first.quorum = 2;
    first.sorry = sorry(99, false);
    let mut second = service(
        2,
        vec![
            server(1, 5, vec![misc(1, true), file("f", 3)]),
            server(2, 2, vec![alpha(http(2, 2, true))]),
            server(3, 1, vec![]),
        ],
    );
    second.hysteresis = 1;
    second.quorum = 3;
    second.servers[1].inhibit_on_failure = true;
    let mut third = service(3, pool(2));
    third.ha_suspend = true;
    third.sorry = sorry(98, true);
    let base = vec![first, second, third];

    let mut weights = base.clone();
    weights[0].servers[1].weight = 7;
    weights[0].scheduler = "wrr".into();
    weights[1].servers[0].checkers.remove(0);
    let mut fewer = base.clone();
    fewer.remove(2);
    fewer[0].servers.remove(0);
    fewer[0].sorry = None;
    let mut moved = base.clone();
    moved.reverse();
    moved[2].servers = pool(4);
    moved[2].sorry = sorry(99, true);
    moved[0].persistence = Some(Persistence { timeout_s: 60, granularity: u32::MAX });
    [config(base), config(weights), config(fewer), config(moved)]
}

/// Kernel services by name: settings, a number, and destinations with their weights.
type Printed = BTreeMap<String, (String, u32, Vec<(String, u32)>)>;

/// The table as rows and configuration tell it, computed without looking at the engine's own idea of it.
fn naive(world: &World, config: &Config) -> Printed {
    let mut table = BTreeMap::new();
    for vs in &config.services {
        let ServiceKind::Address { address, port } = vs.key.kind else { panic!("only addresses here") };
        let row = |key: &ServerKey| match world.engine.row(&crate::bus::rows::RowKey::Server(key.clone())) {
            Some(crate::bus::rows::Row::Server(row)) => *row,
            _ => panic!("a row"),
        };
        let rows: Vec<_> = vs.servers.iter().map(|it| row(&vs.server_key(it))).collect();
        let Some(crate::bus::rows::Row::Service(service)) =
            world.engine.row(&crate::bus::rows::RowKey::Service(vs.key.clone()))
        else {
            panic!("a row")
        };
        let up: u64 = rows.iter().filter(|row| row.alive).map(|row| u64::from(row.weight)).sum();
        assert_eq!(service.weight_up, up);
        if up >= u64::from(vs.quorum + vs.hysteresis) {
            assert!(service.quorum_met);
        }
        if up < u64::from(vs.quorum - vs.hysteresis) {
            assert!(!service.quorum_met);
            assert_eq!(service.sorry_active, vs.sorry.is_some());
        }
        assert!(!(service.quorum_met && service.sorry_active));
        let mut pool = Vec::new();
        for (server, row) in vs.servers.iter().zip(&rows) {
            let name = format!("{}:{}", server.address, server.port);
            assert_eq!(row.alive, row.checkers.iter().all(|it| it.up));
            match row.alive && !service.sorry_active {
                true => pool.push((name, row.weight)),
                false if server.inhibit_on_failure => pool.push((name, 0)),
                false => {}
            }
        }
        if let Some(sorry) = vs.sorry.as_ref().filter(|it| it.inhibit || service.sorry_active) {
            pool.push((format!("{}:{}", sorry.address, sorry.port), u32::from(service.sorry_active)));
        }
        pool.sort();
        let timeout = vs.persistence.map_or(0, |it| it.timeout_s);
        table.insert(format!("{address}:{port}/tcp"), (vs.scheduler.clone(), timeout, pool));
    }
    table
}

fn actual(world: &World) -> Printed {
    let entry = |(service, pool): &(crate::check::table::Service, BTreeMap<_, crate::check::table::Destination>)| {
        let mut pool: Vec<(String, u32)> = pool.values().map(|it| (it.id.to_string(), it.weight)).collect();
        pool.sort();
        (service.scheduler.clone(), service.timeout_s, pool)
    };
    world.kernel.services.iter().map(|(id, it)| (id.to_string(), entry(it))).collect()
}

fn refuse_first(world: &mut World) {
    let Some((batch, ops)) = world.asked.pop_front() else { return };
    for (index, op) in ops.iter().enumerate() {
        let error = if index == 0 { Some(12) } else { world.kernel.carry_out(op) };
        world.say(Input::Kernel { batch, index, error });
    }
}

fn happen(world: &mut World, configs: &[Config; 4], at: &mut usize, happening: Happening) {
    match happening {
        Happening::Probe { passes, weight } => {
            if world.probes.is_empty() {
                return;
            }
            let (checker, attempt, _) = world.probes.remove(0);
            let outcome = match (passes, weight) {
                (false, _) => failed(),
                (true, Some(weight)) if checker.server.address == ip("10.1.0.1") => Outcome::PassedWithWeight(weight),
                (true, _) => Outcome::Passed,
            };
            world.say(Input::Probed { checker, attempt, outcome, began: world.now, took_us: 1 });
        }
        Happening::Answer { refuse: true } => refuse_first(world),
        Happening::Answer { refuse: false } => drop(world.answer()),
        Happening::Pass(ms) => world.pass(std::time::Duration::from_millis(ms)),
        Happening::Set { last, weight } => world.set(1, last, weight),
        Happening::Reload(to) => {
            *at = to;
            world.reload(&configs[to]);
        }
        Happening::File(value) => world.say(Input::File { name: "f".into(), value }),
        Happening::Meddle { last, what } => {
            let services = &mut world.kernel.services;
            match (what, services.get_mut(&id(last))) {
                (0, _) => drop(services.remove(&id(last))),
                (1, Some(entry)) => entry.0.scheduler = "sed".into(),
                (2, Some(entry)) => drop(entry.1.pop_first()),
                (_, Some(entry)) => entry.1.values_mut().for_each(|it| it.weight ^= 3),
                (_, None) => {}
            }
        }
        Happening::Address(true) => world.say(Input::HostAddress(ip("10.0.0.3"))),
        Happening::Address(false) => world.say(Input::HostAddressGone(ip("10.0.0.3"))),
        Happening::Crash => {
            let mut kernel = std::mem::take(&mut world.kernel);
            // What a reload took away and the kernel had not yet heard of is nobody's after a crash: it would stay.
            let configured: Vec<ServiceKey> = configs[*at].services.iter().map(|it| it.key.clone()).collect();
            kernel.services.retain(|id, _| configured.iter().any(|key| key.to_string() == id.to_string()));
            let now = world.now;
            *world = World::waiting(&configs[*at], EngineOptions { seed: 3, restarted: true });
            (world.kernel, world.now) = (kernel, now);
            world.prompt = false;
            world.say(Input::Table(world.kernel.found()));
            world.say(Input::Wake);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(300)))]

    #[test]
    fn after_any_history_the_kernel_holds_what_is_wanted(
        happenings in prop::collection::vec(happening(), 0..120),
        good in any::<bool>(),
    ) {
        let configs = configs();
        let mut at = 0;
        let mut world = World::waiting(&configs[0], EngineOptions::default());
        world.prompt = false;
        world.say(Input::Table(Vec::new()));
        world.say(Input::Wake);
        for happening in happenings {
            happen(&mut world, &configs, &mut at, happening);
            prop_assert_eq!(world.times().in_flight as usize, world.probes.len());
        }
        // Quiet: the kernel answers, audits run, checks end all the same way.
        world.prompt = true;
        while world.answer() {}
        world.say(Input::Table(world.kernel.found()));
        let failing: &[u8] = if good { &[] } else { &[1, 2, 3, 4] };
        world.pass_with_failures(secs(300), failing);
        world.forget();
        prop_assert_eq!(actual(&world), naive(&world, &configs[at]));
        world.pass_with_failures(secs(100), failing);
        prop_assert_eq!(&world.ops, &vec![], "nothing is left to do");
        let weights = world.replies();
        prop_assert!(weights.is_empty());

        // And a reload that changes one weight is exactly one operation, if the server is in the pool.
        let mut new = configs[at].clone();
        let vs = new.services.iter_mut().find(|it| it.key == service(1, vec![]).key).expect("it is in all of them");
        let last = vs.servers.len() - 1;
        vs.servers[last].weight += 100;
        let address = vs.servers[last].address;
        let sorry_serves = world.service(1).sorry_active;
        world.reload(&new);
        let held = world.kernel.services.get(&id(1)).is_some_and(|it| it.1.keys().any(|it| it.address == address));
        if !sorry_serves {
            prop_assert_eq!(world.ops.len(), usize::from(held));
        }

        world.say(Input::Shutdown { keep_table: false });
        prop_assert!(world.kernel.services.is_empty() && world.engine.is_finished());
        prop_assert_eq!((world.times().in_flight, world.probes.len()), (0, 0));
    }
}
