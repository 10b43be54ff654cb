//! Groups: one virtual server, several services of the kernel, each with the destinations that fit it.

use std::net::IpAddr;

use super::world::*;
use crate::bus::msg::{Command, Reply};
use crate::bus::rows::{Row, RowKey, ServerRow};
use crate::check::engine::EngineOptions;
use crate::check::io::Input;
use crate::check::table::ServiceId;
use crate::conf::model::*;

/// A group of TCP addresses, with these servers.
fn grouped(members: &[(&str, u16)], servers: Vec<RealServer>) -> Config {
    let member =
        |(address, port): &(&str, u16)| GroupMember::Addresses { first: ip(address), last: ip(address), port: *port };
    let group = ServerGroup { name: "G".into(), location: location(1), members: members.iter().map(member).collect() };
    let kind = ServiceKind::Group("G".into());
    let vs = VirtualServer { key: ServiceKey { kind, protocol: Some(Protocol::Tcp) }, ..service(1, servers) };
    Config { groups: vec![group], ..config(vec![vs]) }
}

/// The kernel's table: `service: destination*weight ...`.
fn printed(world: &World) -> Vec<String> {
    let line = |(id, entry): (&ServiceId, &(_, std::collections::BTreeMap<_, crate::check::table::Destination>))| {
        let pool: Vec<String> = entry.1.values().map(|it| format!("{}*{}", it.id, it.weight)).collect();
        format!("{id}: {}", pool.join(" "))
    };
    world.kernel.services.iter().map(line).collect()
}

fn set(world: &mut World, config: &Config, server: usize, weight: u32) -> Vec<(u64, Reply)> {
    let server = config.services[0].server_key(&config.services[0].servers[server]);
    world.say(Input::Command { request: 1, command: Command::SetWeight { server, weight } });
    world.replies()
}

fn row(world: &World, key: ServerKey) -> ServerRow {
    match world.engine.row(&RowKey::Server(key)) {
        Some(Row::Server(row)) => *row,
        other => panic!("no such server: {other:?}"),
    }
}

fn trouble(world: &World, config: &Config) -> Vec<String> {
    match world.engine.row(&RowKey::Service(config.services[0].key.clone())) {
        Some(Row::Service(row)) => row.trouble,
        other => panic!("no such service: {other:?}"),
    }
}

#[test]
fn in_a_group_of_both_families_each_service_gets_its_own_familys_servers_and_all_tunnels() {
    let tunnel = RealServer { forwarding: Forwarding::Tunnel(Tunnel::Ipip), ..server(2, 1, vec![]) };
    let six: IpAddr = ip("2001:db8::9");
    let servers = vec![server(1, 1, vec![]), tunnel, RealServer { address: six, ..server(9, 1, vec![]) }];
    let mut config = grouped(&[("10.0.0.20", 80), ("2001:db8::20", 80)], servers);
    config.services[0].sorry = sorry(99, true);
    let mut world = World::new(&config);
    let table = |first: u32, tunnel: u32| {
        [
            format!("10.0.0.20:80/tcp: 10.1.0.1:80*{first} 10.1.0.2:80*{tunnel} 10.1.0.99:80*0"),
            format!("[2001:db8::20]:80/tcp: 10.1.0.2:80*{tunnel} [2001:db8::9]:80*1"),
        ]
    };
    assert_eq!(printed(&world), table(1, 1));
    assert_eq!(world.ipvs().operations_failed, 0);
    world.forget();
    assert!(matches!(set(&mut world, &config, 0, 4)[..], [(1, Reply::Done { .. })]));
    assert_eq!(world.ops.len(), 1);
    assert!(matches!(set(&mut world, &config, 1, 5)[..], [(1, Reply::Done { .. })]));
    assert_eq!(printed(&world), table(4, 5));
    world.say(Input::Table(world.kernel.found()));
    assert_eq!(trouble(&world, &config), Vec::<String>::new());
}

#[test]
fn a_service_of_a_group_that_takes_nothing_does_not_keep_a_weight_from_the_others() {
    let members = [("10.0.0.20", 80), ("10.0.0.21", 80)];
    let broken = ServiceId::Address { protocol: Protocol::Tcp, address: ip("10.0.0.21"), port: 80 };
    let config = grouped(&members, pool(2));
    let mut world = World::waiting(&config, EngineOptions::default());
    world.kernel.refuse_service = Some(broken);
    world.begin();
    assert!(matches!(set(&mut world, &config, 0, 4)[..], [(1, Reply::Done { .. })]));
    assert_eq!(printed(&world), ["10.0.0.20:80/tcp: 10.1.0.1:80*4 10.1.0.2:80*1", "10.0.0.21:80/tcp: "]);
    // What no service takes is refused.
    let config = grouped(&members[1..], pool(2));
    let mut world = World::waiting(&config, EngineOptions::default());
    world.kernel.refuse_service = Some(broken);
    world.begin();
    assert!(matches!(set(&mut world, &config, 0, 4)[..], [(1, Reply::Refused(_))]));
    assert!(!row(&world, config.services[0].server_key(&config.services[0].servers[0])).overridden);
}

#[test]
fn routed_and_tunnelled_servers_of_a_group_have_the_port_of_each_member() {
    let direct = RealServer { port: 0, forwarding: Forwarding::Direct, ..server(1, 1, vec![]) };
    let tunnel = RealServer { forwarding: Forwarding::Tunnel(Tunnel::Ipip), ..server(2, 1, vec![]) };
    let mut config = grouped(&[("10.0.0.20", 80), ("10.0.0.20", 8080)], vec![direct, tunnel, server(3, 1, vec![])]);
    config.services[0].sorry = sorry(99, true).map(|it| SorryServer { forwarding: Forwarding::Direct, ..it });
    let mut world = World::new(&config);
    let table = |first| {
        [
            format!("10.0.0.20:80/tcp: 10.1.0.1:80*{first} 10.1.0.2:80*1 10.1.0.3:80*1 10.1.0.99:80*0"),
            format!("10.0.0.20:8080/tcp: 10.1.0.1:8080*{first} 10.1.0.2:8080*1 10.1.0.3:80*1 10.1.0.99:8080*0"),
        ]
    };
    assert_eq!(printed(&world), table(1));
    world.prompt = false;
    assert_eq!(set(&mut world, &config, 0, 4), []);
    while world.answer() {}
    assert!(matches!(world.replies()[..], [(1, Reply::Done { .. })]));
    assert_eq!(printed(&world), table(4));
    let (key, sorry) = (config.services[0].server_key(&config.services[0].servers[0]), config.services[0].sorry_key());
    for mut found in world.kernel.found() {
        found.destinations.iter_mut().for_each(|(_, load)| load.active = 3);
        world.say(Input::Statistics(found));
    }
    for key in [key.clone(), sorry.expect("a sorry server")] {
        let row = row(&world, key);
        assert!(row.installed);
        assert_eq!(row.load.active, 6);
    }
    world.prompt = true;
    world.say(Input::Table(world.kernel.found()));
    assert_eq!(trouble(&world, &config), Vec::<String>::new());
    assert_eq!(world.ipvs().drift_unexpected, 0);
    world.kernel.refuse_weight = Some(9);
    assert!(matches!(set(&mut world, &config, 0, 9)[..], [(1, Reply::Refused(_))]));
    assert_eq!(row(&world, key).weight, 4);
    assert_eq!(printed(&world), table(4));
}
