//! Checks that need two instances.

use std::collections::HashMap;
use std::net::IpAddr;

use super::name;
use crate::conf::build::Builder;
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::model::{Address, Family, Instance, Transport};
use crate::conf::parse::Node;
use crate::conf::values::Value;

/// Checks that need two instances.
pub(super) fn between(builder: &mut Builder<'_>, built: &[(Instance, &Node)]) {
    type Key = (Option<String>, Family, u8);
    let mut routers: HashMap<Key, Vec<usize>> = HashMap::new();
    let mut addresses: HashMap<(IpAddr, Option<&str>), usize> = HashMap::new();
    for (index, (instance, node)) in built.iter().enumerate() {
        let key = (instance.interface.clone(), instance.family, instance.vrid.get());
        let same = routers.entry(key).or_default();
        if let Some((other, other_node)) =
            same.iter().filter_map(|at| built.get(*at)).find(|(other, _)| meet(&other.transport, &instance.transport))
        {
            let at = |node: &Node| node.child("virtual_router_id").unwrap_or(node).span();
            let message = format!(
                "virtual_router_id {} is already used by {} on {} for {}",
                instance.vrid,
                other.name,
                instance.interface.as_deref().unwrap_or("every interface"),
                name(instance.family)
            );
            builder.report(
                Diagnostic::error("duplicate-vrid", at(node), message)
                    .related(at(other_node), format!("used by {} here", other.name))
                    .hint("each virtual router of a network has an id of its own")
                    .refuses_start(),
            );
        }
        same.push(index);
        for address in instance.addresses.iter().chain(&instance.excluded) {
            // Of link-local addresses each interface has its own.
            let link = is_link_local(address.address).then_some(address.interface.as_str());
            let key = (address.address, link);
            match addresses.get(&key) {
                Some(first) if *first != index => {
                    let Some((other, other_node)) = built.get(*first) else { continue };
                    let message =
                        format!("{}/{} is also an address of {}", address.address, address.prefix, other.name);
                    let mut diagnostic = Diagnostic::warning("shared-address", line_of(node, address), message);
                    diagnostic = diagnostic.silent().related(line_of(other_node, address), "first listed here");
                    builder.report(diagnostic.hint("two instances may become master on different routers"));
                }
                Some(_) => {}
                None => {
                    addresses.insert(key, index);
                }
            }
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Whether two routers with one id hear each other's adverts.
fn meet(left: &Transport, right: &Transport) -> bool {
    match (left, right) {
        (Transport::Multicast { group: left }, Transport::Multicast { group: right }) => left == right,
        (Transport::Unicast { peers: left, .. }, Transport::Unicast { peers: right, .. }) => {
            left.iter().any(|peer| right.iter().any(|other| other.address == peer.address))
        }
        _ => false,
    }
}

fn line_of(node: &Node, address: &Address) -> Span {
    let lines = node.children.iter().flat_map(|block| &block.entries);
    let mut words = lines.filter_map(|line| line.first());
    let found = words.find(|value| matches!(value.value, Some(Value::Prefix(ip, _)) if ip == address.address));
    found.map_or(node.keyword.span, |value| value.word.span)
}
