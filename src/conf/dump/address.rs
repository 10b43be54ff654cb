//! Lines of addresses, and what the host has for the daemon's lifetime.

use super::{Block, Directive, Writer, data, route, words};
use crate::conf::model::{Address, Instance, TrackGroup, Vmac};

/// `static_ipaddress`, `static_routes`, `static_rules`.
pub fn statics(writer: &Writer<'_>, top: &mut Block) {
    let config = writer.config;
    let group = |of: fn(&TrackGroup) -> &Vec<u32>, number: usize| -> Vec<String> {
        let place = u32::try_from(number + 1).unwrap_or(u32::MAX);
        let group = config.track_groups.iter().find(|group| of(group).contains(&place));
        group.map(|group| vec!["track_group".to_owned(), words::plain(&group.name)]).unwrap_or_default()
    };
    let addresses = config.static_addresses.iter().enumerate().map(|(number, address)| {
        let mut line = line(address, &address.interface, None);
        line.words.extend(group(|group| &group.addresses, number));
        line
    });
    top.entries("static_ipaddress", addresses.collect());
    let routes = config.static_routes.iter().enumerate().map(|(number, route)| {
        let mut line = route::route(route, group(|group| &group.routes, number));
        line.location = Some(route.location.clone());
        line
    });
    top.entries("static_routes", routes.collect());
    let rules = config.static_rules.iter().enumerate().map(|(number, rule)| {
        let mut line = route::rule(rule);
        line.words.extend(group(|group| &group.rules, number));
        line
    });
    top.entries("static_rules", rules.collect());
}

/// The addresses of an instance. One on an interface that the instance makes is written with the interface below.
pub fn of_instance(instance: &Instance, addresses: &[Address]) -> Vec<Directive> {
    let own = instance.vmacs.own.as_ref();
    let lines = addresses.iter().map(|address| {
        let vmac = instance.vmacs.all().find(|vmac| vmac.name == address.interface);
        let base = vmac.map_or(address.interface.as_str(), |vmac: &Vmac| vmac.base.as_str());
        let elsewhere = vmac.is_some_and(|vmac| own != Some(vmac));
        let mut line = line(address, base, instance.interface.as_deref());
        if elsewhere {
            line.words.push("use_vmac".to_owned());
        }
        line
    });
    lines.collect()
}

fn line(address: &Address, interface: &str, default: Option<&str>) -> Directive {
    let mut line = vec![format!("{}/{}", address.address, address.prefix)];
    let mut option = |word: &str, value: String| line.extend([word.to_owned(), value]);
    if let Some(broadcast) = address.broadcast {
        option("brd", broadcast.to_string());
    }
    // An instance that lacks its interface has no place for addresses either.
    if default != Some(interface) && !interface.is_empty() {
        option("dev", words::plain(interface));
    }
    if address.scope != 0 {
        option("scope", address.scope.to_string());
    }
    if let Some(label) = &address.label {
        option("label", words::plain(label));
    }
    if let Some(peer) = address.peer {
        option("peer", peer.to_string());
    }
    let usual = (address.address.is_ipv6() && address.prefix == 128).then_some(0);
    if address.preferred_lifetime != usual {
        option("preferred_lft", address.preferred_lifetime.map_or("forever".to_owned(), |seconds| seconds.to_string()));
    }
    let flags = [
        ("home", address.flags.home),
        ("-nodad", address.flags.dad),
        ("mngtmpaddr", address.flags.mngtmpaddr),
        ("noprefixroute", address.flags.noprefixroute),
        ("autojoin", address.flags.autojoin),
        ("no_track", address.no_track),
    ];
    line.extend(flags.into_iter().filter(|(_, on)| *on).map(|(word, _)| word.to_owned()));
    data(line).at(&address.location)
}
