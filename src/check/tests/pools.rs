//! Pools, quorum, sorry servers, weights, and what is told of them.

use super::world::*;
use crate::bus::msg::{Command, Refusal, Reply};
use crate::bus::rows::{IpvsRow, RowKey, State};
use crate::bus::run::Fifo;
use crate::check::engine::EngineOptions;
use crate::check::io::{Input, Outcome, Output};
use crate::check::plan::errno;
use crate::check::table::{Daemon, Op, ServiceId, Stats, SyncRole};
use crate::clock::WallTime;
use crate::conf::model::*;

#[test]
fn the_seeds_virtual_server_starts_with_its_whole_pool_and_says_so_once() {
    let mut world = World::new(&config(vec![service(1, pool(4)), service(2, pool(4))]));
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1), (3, 1), (4, 1)]);
    assert_eq!(world.edges(), ["1 met 4/4", "2 met 4/4"]);
    world.pass_with_failures(secs(100), &[]);
    assert_eq!(world.edges().len(), 2);
    assert_eq!(world.ops.len(), 10);
    assert_eq!(world.server(1).checks_not_run, 0);
    assert!(world.service(1).installed && world.server(1).installed);
}

#[test]
fn a_server_that_stops_answering_leaves_the_rotation_and_comes_back() {
    let mut world = World::new(&config(vec![service(1, pool(4))]));
    world.pass_with_failures(secs(5), &[]);
    world.forget();
    // Due at 10 s, again at 11 s: then it is down.
    world.pass_with_failures(std::time::Duration::from_millis(5_999), &[1]);
    assert!(world.ops.is_empty());
    world.pass_with_failures(secs(1), &[1]);
    assert_eq!(world.ops, [Op::DeleteDestination(id(1), dest(1))]);
    assert_eq!(world.edges(), ["1.1 down 3/4"]);
    assert_eq!(world.server(1).checkers[0].error, "connection refused");
    world.forget();
    world.pass_with_failures(secs(20), &[]);
    assert_eq!(world.edges(), ["1.1 up 4/4"]);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1), (3, 1), (4, 1)]);
    let row = world.server(1);
    assert_eq!((row.went_up, row.went_down, row.failed_checks), (1, 1, 0));
    assert_eq!(row.checkers[0].error, "");
}

#[test]
fn quorum_is_lost_below_quorum_minus_hysteresis_and_gained_at_quorum_plus_hysteresis() {
    let servers = vec![server(1, 2, vec![tcp(1)]), server(2, 1, vec![tcp(2)]), server(3, 2, vec![tcp(3)])];
    let vs =
        VirtualServer { quorum: 3, hysteresis: 1, quorum_up: script(1), quorum_down: script(2), ..service(1, servers) };
    let mut world = World::new(&config(vec![vs]));
    assert_eq!(world.scripts(), [1]);
    world.forget();
    // 5 - 2 = 3, then 3 - 1 = 2: at the mark, not below it.
    world.pass_with_failures(secs(12), &[1, 2]);
    assert_eq!(world.edges(), ["1.1 down 2/3", "1.2 down 1/3"]);
    assert!(world.service(1).quorum_met);
    world.pass_with_failures(secs(12), &[1, 2, 3]);
    assert_eq!(world.edges()[2..], ["1.3 down 0/3", "1 lost 0/3"]);
    assert_eq!(world.logged("Lost quorum"), ["Lost quorum 3-1=2 > 0 for VS [10.0.0.1]:tcp:80"]);
    assert_eq!(world.scripts(), [2]);
    // 2 + 1 = 3 is not enough, 5 is.
    world.forget();
    world.pass_with_failures(secs(12), &[3]);
    assert_eq!(world.edges(), ["1.1 up 1/3", "1.2 up 2/3"]);
    world.pass_with_failures(secs(12), &[]);
    assert_eq!(world.edges()[2..], ["1.3 up 3/3", "1 met 3/3"]);
    assert_eq!(world.logged("Gained quorum"), ["Gained quorum 3+1=4 <= 5 for VS [10.0.0.1]:tcp:80"]);
    assert_eq!(world.scripts(), [1]);
}

#[test]
fn without_a_sorry_server_the_servers_that_are_left_serve_on() {
    let vs = VirtualServer { quorum: 3, ..service(1, pool(3)) };
    let mut world = World::new(&config(vec![vs]));
    world.pass_with_failures(secs(12), &[1, 2]);
    assert!(!world.service(1).quorum_met);
    assert_eq!(world.kernel.weights(1), [(3, 1)]);
}

#[test]
fn the_sorry_server_replaces_the_pool_while_the_quorum_is_lost() {
    let vs = VirtualServer { quorum: 2, sorry: sorry(99, false), ..service(1, pool(3)) };
    let mut world = World::new(&config(vec![vs]));
    world.pass_with_failures(secs(5), &[]);
    world.forget();
    world.pass_with_failures(secs(7), &[1, 2]);
    assert_eq!(world.kernel.weights(1), [(99, 1)]);
    // The new one before the old ones: the pool is never empty.
    assert!(matches!(world.ops[1], Op::AddDestination(..)), "{:?}", world.ops);
    assert_eq!(world.edges(), ["1.2 down 2/3", "1.3 down 1/3", "1 lost 1/3"], "row 1 is the sorry server's");
    let row = world.service(1);
    assert!(row.sorry_active && !row.quorum_met && row.installed);
    world.pass_with_failures(secs(25), &[1]);
    assert_eq!(world.kernel.weights(1), [(2, 1), (3, 1)]);
    assert!(!world.service(1).sorry_active);
}

#[test]
fn inhibited_servers_stay_with_weight_0_also_while_the_sorry_server_serves() {
    let vs = VirtualServer { quorum: 2, sorry: sorry(99, true), ..service(1, pool(3)) };
    let servers = vs.servers.iter().map(|it| RealServer { inhibit_on_failure: true, ..it.clone() }).collect();
    let mut world = World::new(&config(vec![VirtualServer { servers, ..vs }]));
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1), (3, 1), (99, 0)]);
    world.pass_with_failures(secs(12), &[1]);
    assert_eq!(world.kernel.weights(1), [(1, 0), (2, 1), (3, 1), (99, 0)]);
    world.pass_with_failures(secs(12), &[1, 2]);
    assert_eq!(world.kernel.weights(1), [(1, 0), (2, 0), (3, 0), (99, 1)]);
    assert_eq!(world.logged("Disabling service").len(), 2);
}

#[test]
fn with_alpha_servers_start_down_and_come_up_with_their_first_good_check() {
    let servers = vec![server(1, 3, vec![alpha(misc(1, false))]), server(2, 1, vec![])];
    let servers: Vec<RealServer> =
        servers.into_iter().map(|it| RealServer { notify_up: script(10), notify_down: script(11), ..it }).collect();
    let vs = VirtualServer { quorum: 2, sorry: sorry(99, false), quorum_down: script(3), ..service(1, servers) };
    let mut world = World::new(&config(vec![vs]));
    assert_eq!(world.edges(), ["1 lost 1/2"]);
    assert_eq!(world.kernel.weights(1), [(99, 1)]);
    assert_eq!(world.scripts(), [3]);
    // A first failure is told to the notifier, although nothing changes; a second is not.
    world.end(1, 0, failed());
    world.pass(secs(10));
    world.end(1, 0, failed());
    assert_eq!(world.scripts(), [3, 11]);
    assert_eq!(world.edges(), ["1 lost 1/2"]);
    world.pass(secs(10));
    world.end(1, 0, Outcome::Passed);
    assert_eq!(world.edges()[1..], ["1.2 up 2/2", "1 met 2/2"]);
    assert_eq!(world.kernel.weights(1), [(1, 3), (2, 1)]);
    assert_eq!(world.scripts(), [3, 11, 10]);
}

#[test]
fn at_start_between_the_marks_the_quorum_is_not_met_and_the_sorry_server_does_not_serve() {
    let servers = vec![server(1, 3, vec![]), server(2, 2, vec![alpha(tcp(2))])];
    let vs = VirtualServer {
        quorum: 3,
        hysteresis: 2,
        sorry: sorry(99, false),
        quorum_up: script(1),
        quorum_down: script(2),
        ..service(1, servers)
    };
    let mut world = World::new(&config(vec![vs]));
    assert_eq!(world.edges(), ["1 lost 1/2"]);
    assert_eq!(world.kernel.weights(1), [(1, 3)]);
    assert!(world.scripts().is_empty());
    world.pass_with_failures(secs(1), &[]);
    assert_eq!(world.edges()[1..], ["1.3 up 2/2", "1 met 2/2"]);
}

#[test]
fn a_server_is_up_when_all_its_checkers_are() {
    let mut world = World::new(&config(vec![service(1, vec![server(1, 1, vec![misc(1, false), misc(2, false)])])]));
    world.end(1, 0, Outcome::Passed);
    world.end(1, 1, failed());
    assert_eq!(world.kernel.weights(1), []);
    world.pass(secs(10));
    world.end(1, 0, failed());
    world.end(1, 1, Outcome::Passed);
    assert_eq!(world.kernel.weights(1), []);
    assert_eq!(world.server(1).failed_checks, 1);
    world.pass(secs(10));
    world.end(1, 0, Outcome::Passed);
    assert_eq!(world.kernel.weights(1), [(1, 1)]);
    assert_eq!(world.edges(), ["1 met 1/1", "1.1 down 0/1", "1 lost 0/1", "1.1 up 1/1", "1 met 1/1"]);
}

#[test]
fn dynamic_weights_add_up_and_end_with_exit_status_0() {
    let mut world = World::new(&config(vec![service(1, vec![server(1, 5, vec![misc(1, true), misc(2, true)])])]));
    // Exit statuses 12 and 22.
    world.end(1, 0, Outcome::PassedWithWeight(10));
    assert_eq!(world.kernel.weights(1), [(1, 10)]);
    world.end(1, 1, Outcome::PassedWithWeight(20));
    assert_eq!(world.kernel.weights(1), [(1, 25)]);
    world.pass(secs(10));
    world.end(1, 0, Outcome::Passed);
    assert_eq!(world.kernel.weights(1), [(1, 20)]);
    // A failure keeps what was said last for the time after it.
    world.end(1, 1, failed());
    world.pass(secs(10));
    assert_eq!(world.server(1).weight, 20);
}

#[test]
fn weights_beyond_every_bound_end_at_the_bounds() {
    let mut world = World::new(&config(vec![service(1, vec![server(1, 5, vec![misc(1, true), file("f", -2)])])]));
    world.end(1, 0, Outcome::PassedWithWeight(i64::MAX));
    assert_eq!(world.kernel.weights(1), [(1, i32::MAX as u32)]);
    world.say(Input::File { name: "f".into(), value: Some(1_000_000_000) });
    assert_eq!(world.kernel.weights(1), [(1, 147_483_647)]);
    world.say(Input::File { name: "f".into(), value: Some(i64::MAX) });
    assert_eq!(world.kernel.weights(1), [], "a value this low is a failure");
    world.say(Input::File { name: "f".into(), value: Some(i64::MIN) });
    assert_eq!(world.kernel.weights(1), [(1, i32::MAX as u32)]);
}

#[test]
fn a_file_adds_to_the_weight_and_without_a_weight_it_is_good_or_bad() {
    let servers = vec![server(1, 5, vec![file("adds", 2)]), server(2, 5, vec![file("tells", 0)])];
    let mut world = World::waiting(&config(vec![service(1, servers)]), EngineOptions::default());
    world.say(Input::File { name: "adds".into(), value: Some(1) });
    world.begin();
    assert_eq!(world.kernel.weights(1), [(1, 7), (2, 5)]);
    world.say(Input::File { name: "adds".into(), value: Some(-6) });
    assert_eq!(world.kernel.weights(1), [(1, 0), (2, 5)]);
    world.say(Input::File { name: "adds".into(), value: None });
    world.say(Input::File { name: "tells".into(), value: Some(1) });
    assert_eq!(world.kernel.weights(1), [(1, 5)]);
    world.say(Input::File { name: "tells".into(), value: Some(0) });
    assert_eq!(world.kernel.weights(1), [(1, 5), (2, 5)]);
}

#[test]
fn an_operators_weight_is_one_edit_and_is_answered_when_the_kernel_has_it() {
    let mut world = World::new(&config(vec![service(1, pool(2))]));
    world.forget();
    world.prompt = false;
    world.set(7, 1, Some(0));
    assert_eq!(world.replies(), []);
    assert!(matches!(&world.ops[..], [Op::EditDestination(_, it)] if it.weight == 0 && it.id == dest(1)));
    assert!(world.answer());
    let undo = Command::ResetWeight { server: key(1, 1) };
    assert_eq!(world.replies(), [(7, Reply::Done { undo, visible_at: 0 })]);
    assert_eq!(world.kernel.weights(1), [(1, 0), (2, 1)]);
    let row = world.server(1);
    assert!(row.alive && row.overridden && row.weight == 0 && row.installed);
    // Back: the undo of an undo is the weight.
    world.set(8, 1, None);
    world.answer();
    let undo = Command::SetWeight { server: key(1, 1), weight: 0 };
    assert_eq!(world.replies(), [(8, Reply::Done { undo, visible_at: 0 })]);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1)]);
}

#[test]
fn a_weight_that_the_kernel_refuses_is_taken_back() {
    let mut world = World::new(&config(vec![service(1, pool(2))]));
    world.kernel.refuse_weight = Some(9);
    world.set(1, 1, Some(9));
    assert_eq!(world.replies(), [(1, Reply::Refused(Refusal::Kernel(errno::ENOMEM)))]);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1)]);
    let row = world.server(1);
    assert!(!row.overridden && row.weight == 1);
    world.pass_with_failures(secs(60), &[]);
    assert_eq!(world.service(1).trouble, Vec::<String>::new());
}

#[test]
fn a_weight_for_a_server_that_somebody_removed_is_answered_when_the_server_is_back_with_it() {
    let mut world = World::new(&config(vec![service(1, pool(2))]));
    world.kernel.services.get_mut(&id(1)).expect("a service").1.remove(&dest(1));
    world.set(1, 1, Some(0));
    assert_eq!(world.kernel.weights(1), [(1, 0), (2, 1)]);
    assert!(matches!(world.replies()[..], [(1, Reply::Done { .. })]));
    assert_eq!(world.logged("not as expected").len(), 1);
}

#[test]
fn a_second_weight_waits_for_the_answer_to_the_first() {
    let mut world = World::new(&config(vec![service(1, pool(1))]));
    world.forget();
    world.prompt = false;
    world.set(1, 1, Some(3));
    world.set(2, 1, Some(4));
    assert_eq!(world.ops.len(), 1);
    world.answer();
    assert_eq!(world.replies().len(), 1);
    world.answer();
    assert_eq!(world.replies().len(), 1);
    assert_eq!(world.kernel.weights(1), [(1, 4)]);
}

#[test]
fn all_weights_0_lose_the_quorum_and_a_server_that_is_down_takes_its_weight_when_it_comes_up() {
    let mut world = World::new(&config(vec![service(1, pool(2))]));
    world.pass_with_failures(secs(12), &[2]);
    world.forget();
    world.set(1, 2, Some(7));
    assert_eq!(world.replies().len(), 1, "answered at once: the kernel has nothing to say to it");
    assert!(world.ops.is_empty());
    world.set(2, 1, Some(0));
    assert_eq!(world.edges(), ["1 lost 1/2"]);
    world.pass_with_failures(secs(12), &[]);
    assert_eq!(world.kernel.weights(1), [(1, 0), (2, 7)]);
    assert_eq!(world.edges()[1..], ["1.2 up 2/2", "1 met 2/2"]);
}

#[test]
fn an_operators_weight_survives_checks_and_0_is_not_raised_by_a_dynamic_one() {
    let mut world = World::new(&config(vec![service(1, vec![server(1, 5, vec![misc(1, true)])])]));
    world.end(1, 0, Outcome::PassedWithWeight(8));
    world.set(1, 1, Some(20));
    assert_eq!(world.kernel.weights(1), [(1, 23)], "what a check adds is added to it");
    world.pass_with_failures(secs(100), &[]);
    assert_eq!(world.kernel.weights(1), [(1, 20)]);
    world.set(2, 1, Some(0));
    world.pass(secs(10));
    world.end(1, 0, Outcome::PassedWithWeight(8));
    assert_eq!(world.kernel.weights(1), [(1, 0)]);
}

#[test]
fn what_is_not_in_the_configuration_has_no_weight() {
    let vs = VirtualServer { sorry: sorry(99, false), ..service(1, pool(1)) };
    let mut world = World::new(&config(vec![vs]));
    world.set(1, 9, Some(1));
    world.set(2, 99, Some(1));
    let server = ServerKey { sorry: true, ..key(1, 99) };
    world.say(Input::Command { request: 3, command: Command::SetWeight { server, weight: 1 } });
    let refused = |request| (request, Reply::Refused(Refusal::NoSuchServer));
    assert_eq!(world.replies(), [refused(1), refused(2), refused(3)]);
}

fn group(services: &str) -> (ServerGroup, VirtualServer) {
    let addresses = |first: &str, last: &str| GroupMember::Addresses { first: ip(first), last: ip(last), port: 80 };
    let group = ServerGroup {
        name: services.into(),
        location: location(1),
        members: vec![GroupMember::Mark { mark: 5, family: None }, addresses("10.0.0.20", "10.0.0.22")],
    };
    let kind = ServiceKind::Group(services.into());
    let vs = service(1, pool(2));
    (group, VirtualServer { key: ServiceKey { kind, protocol: Some(Protocol::Tcp) }, ..vs })
}

#[test]
fn a_group_is_one_virtual_server_and_several_services_of_the_kernel() {
    let (group, vs) = group("G");
    let key = vs.key.clone();
    let mut world = World::new(&Config { groups: vec![group], ..config(vec![vs]) });
    let ids: Vec<String> = world.kernel.services.keys().map(ServiceId::to_string).collect();
    assert_eq!(ids, ["10.0.0.20:80/tcp", "10.0.0.21:80/tcp", "10.0.0.22:80/tcp", "fwmark:5"]);
    world.forget();
    let server = ServerKey { service: key.clone(), address: ip("10.1.0.1"), port: 80, sorry: false };
    world.say(Input::Command { request: 1, command: Command::SetWeight { server: server.clone(), weight: 4 } });
    assert_eq!(world.ops.len(), 4);
    assert_eq!(world.replies().len(), 1);
    let mut found = world.kernel.found();
    for (number, found) in (1..).zip(&mut found) {
        found.stats.connections = number;
        found.destinations[0].1.active = 1;
    }
    for found in found {
        assert_eq!(world.engine.service_of(&found.service.id), Some(&key));
        world.say(Input::Statistics(found));
    }
    let Some(crate::bus::rows::Row::Service(row)) = world.engine.row(&RowKey::Service(key)) else { panic!() };
    assert_eq!(row.stats.connections, 10);
    let Some(crate::bus::rows::Row::Server(row)) = world.engine.row(&RowKey::Server(server)) else { panic!() };
    assert_eq!((row.load.active, row.weight), (4, 4));

    // Whoever waits for counters that are younger than something learns when these were read.
    let began = world.now;
    let totals = Some(Stats { connections: 11, ..Stats::default() });
    world.say(Input::Counted { began, took_us: 70, totals });
    let wall = WallTime(1_700_000_000_000_000_000);
    let row = world.ipvs();
    assert_eq!((row.counted_at, row.counted_wall, row.poll_us, row.totals), (began, wall, 70, totals));
    world.say(Input::NotCounted);
    let told = IpvsRow { poll_errors: 1, ..row };
    assert_eq!(world.ipvs(), told, "what was read before stays, with its age");
}

#[test]
fn a_refusal_in_one_service_of_a_group_takes_the_weight_back_in_all() {
    let (group, vs) = group("G");
    let key = vs.key.clone();
    let mut world = World::new(&Config { groups: vec![group], ..config(vec![vs]) });
    world.prompt = false;
    let server = ServerKey { service: key, address: ip("10.1.0.1"), port: 80, sorry: false };
    world.say(Input::Command { request: 1, command: Command::SetWeight { server, weight: 4 } });
    let (batch, ops) = world.asked.pop_front().expect("a batch");
    for (index, op) in ops.iter().enumerate() {
        let error = if index == 2 { Some(errno::ENOMEM) } else { world.kernel.carry_out(op) };
        world.say(Input::Kernel { batch, index, error });
    }
    while world.answer() {}
    assert_eq!(world.replies(), [(1, Reply::Refused(Refusal::Kernel(errno::ENOMEM)))]);
    let weights: Vec<u32> = world.kernel.services.values().map(|it| it.1[&dest(1)].weight).collect();
    assert_eq!(weights, [1, 1, 1, 1]);
}

#[test]
fn with_ha_suspend_checkers_rest_while_the_address_is_elsewhere_and_the_pool_stays() {
    let vs = VirtualServer { ha_suspend: true, ..service(1, pool(2)) };
    let mut world = World::new(&config(vec![vs]));
    assert_eq!(world.probes, []);
    assert!(world.service(1).suspended);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1)]);
    world.say(Input::HostAddress(ip("10.0.0.1")));
    world.pass(secs(0));
    assert_eq!(world.probes.len(), 2);
    world.say(Input::HostAddressGone(ip("10.0.0.1")));
    assert_eq!(world.probes, [], "what was under way is given up");
    world.pass_with_failures(secs(100), &[1, 2]);
    assert_eq!(world.kernel.weights(1), [(1, 1), (2, 1)]);
    world.say(Input::HostAddress(ip("10.0.0.1")));
    world.pass_with_failures(secs(2), &[1]);
    assert_eq!(world.kernel.weights(1), [(2, 1)]);
}

#[test]
fn mail_tells_of_checkers_servers_and_quorum_as_configured() {
    let servers = vec![RealServer { smtp_alert: true, ..server(1, 1, vec![misc(1, false), misc(2, false)]) }];
    let vs = VirtualServer { smtp_alert: true, ..service(1, servers) };
    let subjects = |no_checker_mails| {
        let mut config = config(vec![vs.clone()]);
        config.global.lvs.no_checker_mails = no_checker_mails;
        let mut world = World::new(&config);
        world.end(1, 0, Outcome::Passed);
        world.end(1, 1, failed());
        world.mails().into_iter().map(|mail| mail.subject).collect::<Vec<String>>()
    };
    let quorum = |state: &str| format!("[L1] Virtualserver [10.0.0.1]:tcp:80 - {state}");
    let real = |state: &str| format!("[L1] Realserver [10.1.0.1]:tcp:80 of virtual server [10.0.0.1]:tcp:80 - {state}");
    assert_eq!(subjects(false), [quorum("UP"), real("UP"), real("DOWN"), quorum("DOWN")]);
    assert_eq!(subjects(true), [quorum("UP"), real("DOWN"), quorum("DOWN")]);
}

#[test]
fn servers_that_are_up_from_the_start_are_told_with_rs_init_notifies() {
    let notified = |it: RealServer| RealServer { notify_up: script(it.weight), ..it };
    let servers = vec![notified(server(1, 1, vec![])), notified(server(2, 2, vec![alpha(misc(1, false))]))];
    let vs = VirtualServer { quorum_up: script(3), ..service(1, servers) };
    for (init_notifies, first) in [(true, vec![1, 3]), (false, vec![3])] {
        let mut config = config(vec![vs.clone()]);
        config.global.lvs.init_notifies = init_notifies;
        let mut world = World::new(&config);
        assert_eq!(world.scripts(), first);
        world.forget();
        world.end(2, 0, Outcome::Passed);
        assert_eq!(world.scripts(), [2]);
    }
}

#[test]
fn at_stop_each_server_is_told_down_and_each_quorum_shut_down_and_omega_runs_the_notifiers() {
    let notified = |it: RealServer| RealServer { notify_down: script(it.weight), ..it };
    let servers = vec![notified(server(1, 1, vec![])), notified(server(2, 2, vec![]))];
    let vs = VirtualServer { omega: true, quorum_down: script(3), ..service(1, servers.clone()) };
    let mut world = World::new(&config(vec![vs, service(2, servers)]));
    world.forget();
    world.say(Input::Shutdown { keep_table: false });
    assert_eq!(
        world.edges(),
        ["1.1 down 1/2", "1.2 down 0/2", "1 stopped 0/2", "2.1 down 1/2", "2.2 down 0/2", "2 stopped 0/2"]
    );
    assert_eq!(world.scripts(), [1, 2, 3]);
    assert_eq!(world.ops, [Op::DeleteService(id(1)), Op::DeleteService(id(2))]);
    assert!(world.kernel.services.is_empty() && world.engine.is_finished());
}

/// Seen with Debian's Keepalived in the same situations.
#[test]
fn fifos_hear_of_servers_and_quorums_in_keepalived_s_words() {
    let fifo = || Some(NotifyFifo { path: "/run/fifo".into(), owner: None, script: None });
    let mark = |omega| {
        let key = ServiceKey { kind: ServiceKind::Mark { mark: 5, family: Family::V4 }, protocol: None };
        let only = RealServer { port: 0, ..server(3, 1, vec![tcp(3)]) };
        VirtualServer { key, omega, ..service(2, vec![only]) }
    };
    let group = {
        let key = ServiceKey { kind: ServiceKind::Group("GRP".into()), protocol: Some(Protocol::Udp) };
        let only = server(4, 1, vec![alpha(tcp(4))]);
        VirtualServer { key, ..service(3, vec![only]) }
    };
    let mut config = config(vec![service(1, pool(1)), mark(true), group]);
    config.global.fifos = Fifos { both: fifo(), checks: fifo(), ..Fifos::default() };
    let mut world = World::new(&config);
    let told = |world: &mut World, fifo: Fifo| {
        let text = |output: &Output| match output {
            Output::Line { fifo: of, text } if *of == fifo => Some(text.clone()),
            _ => None,
        };
        world.out.iter().filter_map(text).collect::<Vec<String>>()
    };
    world.pass(secs(1));
    world.end(4, 0, Outcome::Passed);
    let up = ["VS [10.0.0.1]:tcp:80 UP", "VS FWM 5 UP", "RS [10.1.0.4]:udp:80 [GRP]:0 UP", "VS [GRP]:0 UP"];
    assert_eq!(told(&mut world, Fifo::Both), up);
    assert_eq!(told(&mut world, Fifo::Checks), up);
    world.forget();
    world.say(Input::Shutdown { keep_table: false });
    assert_eq!(told(&mut world, Fifo::Both), ["RS [10.1.0.3]:none:0 FWM 5 DOWN", "VS FWM 5 DOWN"], "omega");
}

fn daemons(instance: Option<&str>) -> Option<SyncDaemon> {
    Some(SyncDaemon {
        interface: "eth1".into(),
        instance: instance.map(InstanceName::from),
        id: 7,
        max_length: None,
        port: None,
        ttl: None,
        group: None,
        location: location(3),
    })
}

#[test]
fn sync_daemons_follow_their_instance_or_run_both() {
    let mut config = config(vec![service(1, pool(1))]);
    config.global.lvs.sync_daemon = daemons(Some("VI_1"));
    let mut world = World::new(&config);
    let roles = |world: &World| -> Vec<SyncRole> { world.ipvs().daemons.iter().map(|it: &Daemon| it.role).collect() };
    assert_eq!(roles(&world), [SyncRole::Backup]);
    let stops = world.ops.iter().filter(|op| matches!(op, Op::StopDaemon { .. })).count();
    assert_eq!(stops, 2, "what a predecessor may have left is stopped first");
    world.forget();
    world.say(Input::Vrrp { instance: InstanceName::from("VI_1"), state: State::Master });
    assert_eq!(roles(&world), [SyncRole::Master]);
    assert!(matches!(world.ops[..], [Op::StopDaemon { role: SyncRole::Backup, id: 7 }, Op::StartDaemon(_)]));
    world.say(Input::Vrrp { instance: InstanceName::from("VI_1"), state: State::Fault });
    assert_eq!(roles(&world), [SyncRole::Backup]);
    config.global.lvs.sync_daemon = daemons(None);
    world.reload(&config);
    assert_eq!(roles(&world), [SyncRole::Master, SyncRole::Backup]);
    world.forget();
    world.say(Input::Shutdown { keep_table: true });
    assert!(world.ops.iter().all(|op| matches!(op, Op::StopDaemon { .. })));
    assert_eq!(world.ops.len(), 2);
    assert_eq!(world.kernel.weights(1), [(1, 1)]);
}
