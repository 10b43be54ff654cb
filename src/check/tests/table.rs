//! The kernel's table: adoption, refusals, drift, reload, stop.

use std::time::Duration;

use super::world::*;
use crate::bus::rows::{Row, RowKey};
use crate::check::engine::EngineOptions;
use crate::check::io::{Input, Output};
use crate::check::plan::errno;
use crate::check::table::Op;
use crate::conf::model::*;

/// The table that an engine with this configuration makes.
fn table_of(config: &Config) -> Kernel {
    World::new(config).kernel
}

#[test]
fn a_table_that_is_as_configured_is_kept_untouched() {
    let config = config(vec![service(1, pool(2)), service(2, pool(2))]);
    let mut world = World::waiting(&config, EngineOptions::default());
    world.kernel = table_of(&config);
    world.begin();
    assert_eq!(world.ops, []);
    assert!(world.service(1).installed && world.server(2).installed);
}

#[test]
fn at_start_differences_are_mended_one_by_one_and_strangers_stay() {
    let config = config(vec![service(1, pool(2)), service(2, pool(2))]);
    let mut world = World::waiting(&config, EngineOptions::default());
    world.kernel = table_of(&config);
    let stranger = table_of(&super::world::config(vec![service(9, pool(7))]));
    world.kernel.services.extend(stranger.services);
    let entry = world.kernel.services.get_mut(&id(1)).expect("a service");
    entry.0.scheduler = "wlc".into();
    entry.1.get_mut(&dest(1)).expect("a server").weight = 3;
    entry.1.remove(&dest(2));
    let mut alien = entry.1[&dest(1)];
    alien.id = dest(77);
    entry.1.insert(dest(77), alien);
    world.begin();
    assert!(matches!(world.ops[..], [Op::EditService(_), Op::AddDestination(..), Op::EditDestination(..)]));
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1), (77, 3)]);
    assert_eq!(world.kernel.services.len(), 3);
    assert_eq!(world.ipvs().drift_unexpected, 2);
    assert_eq!(world.service(1).trouble.len(), 1);
}

#[test]
fn a_predecessors_table_loses_what_the_configuration_no_longer_names() {
    let config = config(vec![service(1, pool(2))]);
    let mut world = World::waiting(&config, EngineOptions { seed: 0, restarted: true });
    world.kernel = table_of(&super::world::config(vec![service(1, pool(3))]));
    world.begin();
    assert_eq!(world.ops, [Op::DeleteDestination(id(1), dest(3))]);
}

#[test]
fn lvs_flush_empties_the_table_first_but_not_after_a_crash() {
    let mut config = config(vec![service(1, pool(1))]);
    config.global.lvs_flush = true;
    config.global.lvs.timeouts = (Some(300), None, Some(30));
    for (restarted, operations) in [(false, 4), (true, 1)] {
        let mut world = World::waiting(&config, EngineOptions { seed: 0, restarted });
        world.kernel = table_of(&config);
        world.begin();
        assert_eq!(world.ops.len(), operations);
        assert_eq!(world.ops.contains(&Op::Flush), !restarted);
        assert_eq!(world.kernel.weights(1), [(1, 1)]);
    }
}

#[test]
fn stop_leaves_the_table_as_lvs_flush_on_stop_and_dont_release_ipvs_say() {
    let cases = [
        (FlushOnStop::No, false, vec![Op::DeleteService(id(1))]),
        (FlushOnStop::VirtualServers, false, vec![Op::DeleteService(id(1))]),
        (FlushOnStop::Everything, false, vec![Op::Flush]),
        (FlushOnStop::Everything, true, vec![]),
    ];
    for (flush, keep_table, ops) in cases {
        let mut config = config(vec![service(1, pool(1))]);
        config.global.lvs_flush_on_stop = flush;
        let mut world = World::new(&config);
        world.forget();
        world.prompt = false;
        world.say(Input::Shutdown { keep_table });
        assert_eq!(world.ops, ops);
        assert_eq!(world.engine.is_finished(), ops.is_empty());
        world.answer();
        assert!(world.engine.is_finished());
        assert_eq!(world.engine.deadline(), None);
    }
}

#[test]
fn a_reload_with_one_other_weight_is_one_edit() {
    let old = config(vec![service(1, pool(3)), service(2, pool(3))]);
    let mut new = old.clone();
    new.services[0].servers[1].weight = 9;
    for (line, service) in (5000..).zip(&mut new.services) {
        service.location.line = line;
        service.servers[0].location.line = line;
    }
    let mut world = World::new(&old);
    world.pass_with_failures(secs(5), &[]);
    let due = world.engine.deadline();
    world.forget();
    world.reload(&new);
    assert!(matches!(world.ops[..], [Op::EditDestination(_, it)] if it.weight == 9 && it.id == dest(2)));
    assert!(world.engine.deadline() < due, "the table is compared soon");
    world.pass_with_failures(secs(1), &[]);
    assert_eq!(world.engine.deadline(), due, "checks go on as they were");
    assert_eq!(world.server(1).checkers[0].passed, 1, "and so do their counters");
    assert_eq!(world.edges(), Vec::<String>::new());
}

#[test]
fn the_verdict_on_a_reload_has_what_the_kernel_refuses_of_it_and_not_what_it_has_refused_before() {
    let mut old = config(vec![service(1, pool(2)), service(2, pool(2))]);
    old.services[0].scheduler = "nosuch".into();
    let mut world = World::waiting(&old, EngineOptions::default());
    world.kernel.unknown_scheduler = Some("nosuch".into());
    world.begin();
    while world.answer() {}
    assert_eq!(world.engine.verdict(true), None, "nothing was reloaded");
    let mut new = old.clone();
    new.services[1].servers[0].weight = 9;
    world.reload(&new);
    while world.answer() {}
    assert_eq!(world.engine.verdict(false), Some(vec![]));
    assert_eq!(world.engine.verdict(true), None, "it is told once");

    new.services[1].scheduler = "nosuch".into();
    world.reload(&new);
    while world.answer() {}
    let verdict = world.engine.verdict(false).unwrap();
    assert!(matches!(&verdict[..], [line] if line.contains("10.0.0.2:80/tcp")), "{verdict:?}");
}

#[test]
fn a_reload_of_the_same_file_does_nothing_and_one_setting_is_one_edit() {
    let old = config(vec![service(1, pool(3)), service(2, pool(3))]);
    let mut world = World::new(&old);
    world.forget();
    world.reload(&old);
    assert_eq!(world.ops, []);
    let mut new = old.clone();
    new.services[1].scheduler = "wrr".into();
    world.reload(&new);
    assert!(matches!(&world.ops[..], [Op::EditService(it)] if it.id == id(2) && it.scheduler == "wrr"));
}

#[test]
fn servers_and_services_come_and_go_singly() {
    let old = config(vec![service(1, pool(2)), service(2, pool(1))]);
    let mut new = config(vec![service(3, pool(1)), service(1, pool(3))]);
    new.services[1].servers.remove(0);
    let mut world = World::new(&old);
    world.forget();
    world.reload(&new);
    let mut ops = world.ops.clone();
    ops.sort_by_key(|op| format!("{op:?}"));
    assert!(
        matches!(
            &ops[..],
            [
                Op::AddDestination(first, server),
                Op::AddDestination(..),
                Op::AddService(_),
                Op::DeleteDestination(..),
                Op::DeleteService(_)
            ] if *first == id(1) && server.id == dest(3)
        ),
        "{ops:?}"
    );
    assert_eq!(world.kernel.weights(1), [(2, 1), (3, 1)]);
    assert_eq!(world.kernel.services.len(), 2);
    assert_eq!((world.service(3).index, world.service(1).index), (1, 2));
    assert_eq!(world.engine.row(&RowKey::Service(old.services[1].key.clone())), None);
    assert_eq!(world.edges(), ["1 met 1/1"], "only the new virtual server tells its quorum");
    let probing: Vec<_> = world.probes.iter().map(|(it, ..)| it.server.clone()).collect();
    assert!(!probing.contains(&key(1, 1)) && !probing.contains(&key(2, 1)));
}

#[test]
fn a_server_that_is_new_under_alpha_starts_down_beside_its_running_neighbours() {
    let old = config(vec![service(1, pool(1))]);
    let mut new = config(vec![service(1, pool(2))]);
    new.services[0].servers[1].checkers = vec![alpha(tcp(2))];
    let mut world = World::new(&old);
    world.reload(&new);
    assert_eq!(world.kernel.weights(1), [(1, 1)]);
    world.pass_with_failures(secs(1), &[]);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1)]);
}

#[test]
fn an_operators_weight_stays_with_a_server_that_the_reload_does_not_touch() {
    let old = config(vec![service(1, pool(2))]);
    let mut world = World::new(&old);
    world.set(1, 1, Some(5));
    world.set(2, 2, Some(6));
    let mut new = old.clone();
    new.services[0].servers[1].upper_threshold = 10;
    world.forget();
    world.reload(&new);
    assert_eq!(world.kernel.weights(1), [(1, 5), (2, 1)]);
    assert_eq!(world.ops.len(), 1);
    assert!(world.server(1).overridden && !world.server(2).overridden);
}

#[test]
fn a_changed_checker_does_not_take_a_server_down_that_is_up_nor_up_that_is_down() {
    let old = config(vec![service(1, vec![server(1, 1, vec![tcp(1)]), server(2, 1, vec![tcp(2)])])]);
    let mut world = World::new(&old);
    world.pass_with_failures(secs(12), &[2]);
    world.forget();
    let mut new = old.clone();
    for server in &mut new.services[0].servers {
        server.checkers[0] = alpha(misc(4, false));
    }
    world.reload(&new);
    assert_eq!(world.ops, []);
    assert_eq!(world.kernel.weights(1), [(1, 1)]);
    // Without the checker that failed, nothing holds the server down.
    new.services[0].servers[1].checkers.clear();
    world.reload(&new);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1)]);
    assert_eq!(world.edges(), ["1.2 up 2/2"]);
}

#[test]
fn a_checker_that_moves_to_another_place_goes_on() {
    let old = config(vec![service(1, vec![server(1, 1, vec![misc(1, false), tcp(1)])])]);
    let mut world = World::new(&old);
    world.end(1, 1, crate::check::io::Outcome::Passed);
    let mut new = old.clone();
    new.services[0].servers[0].checkers.remove(0);
    world.reload(&new);
    let row = world.server(1);
    assert_eq!((row.checkers.len(), row.checkers[0].passed), (1, 1));
    assert_eq!(world.probes, []);
}

#[test]
fn a_scheduler_that_the_kernel_has_not_is_one_line_with_its_place_and_is_tried_again() {
    let mut config = config(vec![service(1, pool(2)), service(2, pool(2))]);
    config.services[0].scheduler = "nosuch".into();
    let mut world = World::waiting(&config, EngineOptions::default());
    world.kernel.unknown_scheduler = Some("nosuch".into());
    world.begin();
    let lines = world.logged("IPVS refused");
    assert_eq!(
        lines,
        [
            "/etc/keepalived/keepalived.conf:100: IPVS refused to add the virtual server 10.0.0.1:80/tcp: scheduler nosuch \
          is not known to the kernel (module ip_vs_nosuch)"
        ]
    );
    assert_eq!(world.kernel.weights(2), [(1, 1), (2, 1)], "the rest goes on");
    assert_eq!(world.service(1).trouble, ["scheduler nosuch is not known to the kernel (module ip_vs_nosuch)"]);
    assert!(!world.service(1).installed);
    assert_eq!(world.ipvs().operations_failed, 1);
    let tries =
        |world: &World| world.ops.iter().filter(|op| matches!(op, Op::AddService(it) if it.id == id(1))).count();
    world.pass_with_failures(Duration::from_millis(7_000), &[]);
    assert_eq!(tries(&world), 4, "at once, after 1, 2 and 4 s");
    assert_eq!(world.logged("IPVS refused").len(), 1);
    world.pass_with_failures(secs(600), &[]);
    assert!((14..=18).contains(&tries(&world)), "then every minute: {}", tries(&world));
    world.kernel.unknown_scheduler = None;
    world.pass_with_failures(secs(60), &[]);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1)]);
    assert_eq!(world.service(1).trouble, Vec::<String>::new());
}

#[test]
fn a_refused_server_is_named_with_its_own_line_and_its_neighbours_serve() {
    let mut config = config(vec![service(1, pool(3))]);
    config.services[0].servers[1].weight = 77;
    let mut world = World::waiting(&config, EngineOptions::default());
    world.kernel.refuse_weight = Some(77);
    world.begin();
    let lines = world.logged("IPVS refused");
    assert!(lines.len() == 1 && lines[0].starts_with("/etc/keepalived/keepalived.conf:1002: "), "{lines:?}");
    assert_eq!(world.kernel.weights(1), [(1, 1), (3, 1)]);
    assert!(world.server(2).alive && !world.server(2).installed);
}

#[test]
fn an_audit_finds_drift_says_it_once_and_mends_it() {
    let mut world = World::new(&config(vec![service(1, pool(3)), service(2, pool(1))]));
    world.pass_with_failures(secs(25), &[]);
    world.forget();
    let entry = world.kernel.services.get_mut(&id(1)).expect("a service");
    entry.1.remove(&dest(1));
    entry.1.get_mut(&dest(2)).expect("a server").weight = 50;
    world.kernel.services.remove(&id(2));
    world.pass_with_failures(secs(10), &[]);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1), (3, 1)]);
    assert_eq!(world.kernel.weights(2), [(1, 1)]);
    let row = world.ipvs();
    assert_eq!((row.drift_missing, row.drift_different, row.drift_unexpected), (2, 1, 0));
    assert_eq!(world.logged("somebody changed").len(), 3);
    world.pass_with_failures(secs(30), &[]);
    assert_eq!(world.logged("somebody changed").len(), 3);
    let row = world.ipvs();
    assert_eq!((row.drift_missing, row.drift_different, row.drift_unexpected), (0, 0, 0));
}

#[test]
fn what_is_under_way_while_the_table_is_read_is_no_drift() {
    let mut world = World::new(&config(vec![service(1, pool(2))]));
    world.pass_with_failures(secs(25), &[]);
    world.forget();
    world.prompt = false;
    world.pass(secs(10));
    let old = world.kernel.found();
    world.set(1, 1, Some(5));
    assert!(world.answer());
    world.say(Input::Table(old));
    assert_eq!(world.logged("somebody changed"), Vec::<String>::new());
    while world.answer() {}
    assert_eq!(world.kernel.weights(1), [(1, 5), (2, 1)]);
    world.prompt = true;
    world.say(Input::Table(world.kernel.found()));
    assert_eq!(world.ipvs().drift_different, 0);
}

#[test]
fn without_ipvs_it_is_said_once_checks_go_on_and_the_table_is_made_when_it_comes() {
    let config = config(vec![service(1, pool(2))]);
    let mut world = World::waiting(&config, EngineOptions::default());
    world.prompt = false;
    world.say(Input::NoIpvs { error: "no such module".into() });
    world.say(Input::Wake);
    for _ in 0..5 {
        world.pass_with_failures(secs(5), &[2]);
        world.say(Input::NoIpvs { error: "no such module".into() });
    }
    assert_eq!(world.audits, 5);
    assert_eq!(world.logged("IPVS is not there").len(), 1);
    assert_eq!(world.ops, []);
    assert!(!world.server(2).alive && world.server(1).alive && !world.server(1).installed);
    assert_eq!(world.ipvs().unavailable, "no such module");
    world.set(1, 1, Some(3));
    assert_eq!(
        world.replies(),
        [(1, crate::bus::msg::Reply::Refused(crate::bus::msg::Refusal::Kernel(errno::ENOPROTOOPT)))]
    );
    world.prompt = true;
    world.pass_with_failures(secs(5), &[2]);
    assert_eq!(world.kernel.weights(1), [(1, 1)]);
    assert_eq!(world.ipvs().unavailable, "");
}

#[test]
fn a_service_that_came_from_elsewhere_is_taken_over_without_being_removed() {
    let old = config(vec![service(1, pool(1))]);
    let mut world = World::new(&old);
    let mut foreign = table_of(&config(vec![service(2, pool(3))]));
    foreign.services.get_mut(&id(2)).expect("a service").0.scheduler = "wlc".into();
    world.kernel.services.extend(foreign.services);
    world.forget();
    world.reload(&config(vec![service(1, pool(1)), service(2, pool(2))]));
    assert!(!world.ops.iter().any(|op| matches!(op, Op::DeleteService(_) | Op::DeleteDestination(..))));
    assert_eq!(world.kernel.services[&id(2)].0.scheduler, "rr");
    world.pass_with_failures(secs(60), &[]);
    assert_eq!(world.kernel.weights(2), [(1, 1), (2, 1), (3, 1)]);
    assert_eq!(world.logged("stays").len(), 1);
}

#[test]
fn two_blocks_for_one_address_do_not_fight() {
    let mut config = config(vec![service(1, pool(1)), service(2, pool(2))]);
    let kind = ServiceKind::Group("G".into());
    config.groups = vec![ServerGroup {
        name: "G".into(),
        location: location(1),
        members: vec![GroupMember::Addresses { first: ip("10.0.0.1"), last: ip("10.0.0.1"), port: 80 }],
    }];
    config.services[1].key = ServiceKey { kind, protocol: Some(Protocol::Tcp) };
    let mut world = World::new(&config);
    assert_eq!(world.kernel.weights(1), [(1, 1)]);
    let Some(Row::Service(row)) = world.engine.row(&RowKey::Service(config.services[1].key.clone())) else { panic!() };
    assert_eq!(row.trouble, ["10.0.0.1:80/tcp belongs to another virtual_server block"]);
    // The other one takes it over when the first is gone.
    config.services.remove(0);
    world.reload(&config);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1)]);
    assert!(!world.ops.iter().any(|op| matches!(op, Op::DeleteService(_))));
}

#[test]
fn ten_thousand_services_start_and_one_result_touches_one() {
    let services: Vec<VirtualServer> = (0..10_000u32)
        .map(|number| {
            let mut vs = service(1, pool(4));
            let address = std::net::Ipv4Addr::from(0x0a02_0000 + number).into();
            vs.key.kind = ServiceKind::Address { address, port: 80 };
            vs
        })
        .collect();
    let mut world = World::new(&config(services));
    assert_eq!(world.kernel.services.len(), 10_000);
    assert_eq!(world.probes.len(), 40_000);
    world.forget();
    let (checker, attempt, _) = world.probes.swap_remove(20_000);
    let keys = world.engine.keys().len();
    assert_eq!(keys, 3 + 50_000);
    world.say(Input::Probed { checker, attempt, outcome: failed(), began: world.now, took_us: 5 });
    assert!(world.out.len() < 10 && world.ops.is_empty(), "{:?}", world.out);
    assert!(world.out.iter().all(|it| matches!(it, Output::Counted(_) | Output::Changed(_) | Output::Log(_))));
}
