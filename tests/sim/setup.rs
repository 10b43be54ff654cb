//! Configurations: what hosts agree on, what each has for itself, and what an operator edits meanwhile.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use keepwatch::conf::model::{
    Address, AddressFlags, Config, Family, Garp, Global, InitialState, Instance, InstanceName, Location, NextHop,
    Notify, OldUnicastChecksum, Preempt, Prefix, Priority, Route, Rule, RuleAction, SyncGroup, TrackedInterface,
    Transport, Version,
};

use crate::random::Random;
use crate::trackers;

/// What all hosts agree on.
pub fn template(number: u8, random: &mut Random) -> Instance {
    let version = if random.permille(300) { Version::V2 } else { Version::V3 };
    let family = if version == Version::V3 && random.permille(400) { Family::V6 } else { Family::V4 };
    let interval = match version {
        Version::V2 => 1000,
        Version::V3 => random.pick(&[50, 100, 100, 250, 1000]),
    };
    let count = random.range(1, 4) as u8;
    let addresses = (0..count).map(|at| virtual_address(family, number, at, "eth0")).collect();
    let excluded = if random.permille(300) { vec![virtual_address(Family::V4, number, 100, "eth1")] } else { vec![] };
    let group = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
    };
    Instance {
        name: InstanceName(format!("VI_{number}")),
        location: Location::default(),
        family,
        version,
        vrid: Priority::new(number + 1).expect("not zero"),
        interface: Some("eth0".into()),
        vmacs: Default::default(),
        vrf: None,
        initial_state: InitialState::Backup,
        priority: Priority::new(100).expect("not zero"),
        advert_interval: Duration::from_millis(interval),
        down_timer_adverts: random.pick(&[3, 3, 3, 5]),
        addresses,
        excluded,
        preempt: Preempt::After(Duration::ZERO),
        accept: true,
        strict: false,
        auth: None,
        hmac: false,
        source: None,
        transport: Transport::Multicast { group },
        track_primary: true,
        track_source: false,
        tracked_interfaces: vec![],
        tracks: vec![],
        routes: (0..random.range(0, 3) as u8).map(|at| route(number, at, random)).collect(),
        rules: (0..random.range(0, 2)).map(|at| rule(u32::from(number) * 10 + at as u32)).collect(),
        garp: Garp {
            delay: Duration::from_secs(5),
            repeat: 5,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_prio_delay: Duration::from_secs(5),
            lower_prio_repeat: 5,
            interval: Duration::from_millis(random.pick(&[0, 0, 3])),
            gna_interval: Duration::ZERO,
            extra_interval: Duration::ZERO,
            extra_all: false,
        },
        lower_prio_no_advert: false,
        higher_prio_send_advert: false,
        owner_ignore_adverts: false,
        skip_check_adv_addr: random.permille(300),
        v3_checksum_as_v2: family == Family::V4 && random.permille(200),
        old_unicast_checksum: OldUnicastChecksum::Detect,
        timer_expired_backup: None,
        promote_secondaries: false,
        use_linkbeat: false,
        receive_buffer: None,
        notify: Notify::default(),
        sync_group: None,
        lvs_sync_interface: None,
        smtp_alert: false,
    }
}

fn route(number: u8, at: u8, random: &mut Random) -> Route {
    if random.permille(300) {
        let address = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, u16::from(number), u16::from(at), 0, 0, 0, 0));
        let mut route = Route::to(Location::default(), Prefix { address, length: 64 });
        let hop = |interface: &str| NextHop { interface: Some(interface.into()), ..NextHop::default() };
        route.hops = vec![hop("eth0"), hop("eth1")];
        return route;
    }
    let address = IpAddr::V4(Ipv4Addr::new(10, 99, number, at * 16));
    let mut route = Route::to(Location::default(), Prefix { address, length: 28 });
    route.interface = Some(if random.permille(700) { "eth0" } else { "eth1" }.into());
    route.no_track = route.interface.as_deref() == Some("eth0") && random.permille(300);
    route
}

fn rule(preference: u32) -> Rule {
    Rule::new(Location::default(), Family::V4, RuleAction::Table(100), preference + 1)
}

fn virtual_address(family: Family, instance: u8, at: u8, interface: &str) -> Address {
    let (address, prefix) = match family {
        Family::V4 => (IpAddr::V4(Ipv4Addr::new(10, 0, instance + 1, at + 1)), 24),
        Family::V6 => {
            (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 1, 0, u16::from(instance) + 1, u16::from(at) + 1)), 64)
        }
    };
    Address {
        location: Location::default(),
        address,
        prefix,
        interface: interface.into(),
        scope: 0,
        broadcast: None,
        label: None,
        peer: None,
        flags: AddressFlags::default(),
        preferred_lifetime: None,
        no_track: false,
    }
}

/// Sync groups that all hosts agree on: their members.
pub fn groups(templates: &[Instance], random: &mut Random) -> Vec<Vec<InstanceName>> {
    let mut groups = vec![];
    let mut rest: Vec<InstanceName> = templates.iter().map(|it| it.name.clone()).collect();
    while rest.len() >= 2 && random.permille(600) {
        let size = random.range(2, rest.len() as u64 + 1) as usize;
        groups.push((0..size).map(|_| rest.swap_remove(random.below(rest.len()))).collect());
    }
    groups
}

/// Puts the instances that there are into their groups, or none into any.
fn bind(config: &mut Config, groups: &[Vec<InstanceName>], random: &mut Random) {
    let bound = random.permille(900);
    config.sync_groups.clear();
    for instance in &mut config.instances {
        instance.sync_group = None;
    }
    for (number, members) in groups.iter().enumerate().filter(|_| bound) {
        let there = |name: &&InstanceName| config.instances.iter().any(|it| it.name == **name);
        let members: Vec<InstanceName> = members.iter().filter(there).cloned().collect();
        if members.is_empty() {
            continue;
        }
        let tracked = TrackedInterface { interface: "eth1".into(), weight: random.pick(&[-60, 0]), reverse: false };
        let group = SyncGroup {
            location: Location::default(),
            name: format!("G_{number}"),
            tracking_weight: random.permille(300),
            tracks: trackers::tracks(random),
            tracked_interfaces: if random.permille(200) { vec![tracked] } else { vec![] },
            notify: Notify::default(),
            smtp_alert: false,
            members,
        };
        // Members are mostly alike, as they should be.
        let alike = random.permille(700).then(|| (priority(random), preempt(random)));
        for instance in config.instances.iter_mut().filter(|it| group.members.contains(&it.name)) {
            instance.sync_group = Some(group.name.clone());
            if let Some((priority, preempt)) = alike {
                (instance.priority, instance.preempt) = (priority, preempt);
            }
            if !group.tracking_weight {
                instance.tracked_interfaces.iter_mut().for_each(|tracked| tracked.weight = 0);
                instance.tracks.retain(|track| track.weight == 0);
            }
        }
        config.sync_groups.push(group);
    }
}

/// One host's configuration.
pub fn configure(templates: &[Instance], groups: &[Vec<InstanceName>], random: &mut Random) -> Config {
    let mut config = Config { instances: templates.to_vec(), trackers: trackers::trackers(), ..Config::default() };
    config.global = Global { startup_delay_ns: random.pick(&[0, 0, 500_000_000]), ..Global::default() };
    for instance in &mut config.instances {
        personal(instance, random);
    }
    config.static_routes = vec![Route { no_track: false, ..route(200, 0, random) }];
    config.static_rules = vec![rule(5000)];
    bind(&mut config, groups, random);
    config
}

fn priority(random: &mut Random) -> Priority {
    Priority::new(random.pick(&[50, 90, 100, 100, 101, 150, 200, 254])).expect("not zero")
}

fn preempt(random: &mut Random) -> Preempt {
    match random.below(6) {
        0 => Preempt::Never,
        1 => Preempt::After(Duration::from_secs(3)),
        _ => Preempt::After(Duration::ZERO),
    }
}

fn personal(instance: &mut Instance, random: &mut Random) {
    instance.priority = priority(random);
    instance.preempt = preempt(random);
    instance.accept = random.permille(700);
    instance.notify.deleted = random.permille(300);
    instance.lower_prio_no_advert = random.permille(300);
    instance.higher_prio_send_advert = random.permille(200);
    instance.garp.refresh = Duration::from_secs(random.pick(&[0, 0, 2]));
    instance.tracked_interfaces = match random.below(4) {
        0 => vec![TrackedInterface { interface: "eth1".into(), weight: random.pick(&[-60, 0, 40]), reverse: false }],
        _ => vec![],
    };
    instance.tracks = trackers::tracks(random);
}

/// What an operator may edit on one host without breaking the agreement with the others.
pub fn change(config: &mut Config, templates: &[Instance], groups: &[Vec<InstanceName>], random: &mut Random) {
    if !edit(config, templates, random) {
        bind(config, groups, random);
    }
}

/// True if nothing was done: a reload of the same file.
fn edit(config: &mut Config, templates: &[Instance], random: &mut Random) -> bool {
    let missing = templates.iter().find(|it| config.instances.iter().all(|there| there.name != it.name));
    if let Some(template) = missing.filter(|_| random.permille(500)) {
        let mut instance = template.clone();
        personal(&mut instance, random);
        config.instances.insert(0, instance);
        return false;
    }
    if config.instances.is_empty() {
        return true;
    }
    let at = random.below(config.instances.len());
    match random.below(7) {
        0 => return true,
        6 => {
            let (number, at) = (config.instances[at].vrid.get(), at);
            match config.instances[at].routes.pop() {
                Some(_) => config.static_rules.clear(),
                None => config.instances[at].routes.push(route(number, 9, random)),
            }
            config.static_routes = vec![Route { no_track: false, ..route(200, 1, random) }];
        }
        1 => {
            let instance = &mut config.instances[at];
            if instance.excluded.pop().is_none() {
                instance.excluded.push(virtual_address(Family::V4, instance.vrid.get(), 200, "eth1"));
            }
        }
        2 => config.instances.swap(0, at),
        3 => {
            config.instances.remove(at);
        }
        _ => personal(&mut config.instances[at], random),
    }
    false
}
