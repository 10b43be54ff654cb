//! `virtual_server_group`.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::conf::build::Builder;
use crate::conf::diag::Diagnostic;
use crate::conf::model::{Family, GroupMember, ServerGroup};
use crate::conf::parse::{Line, Node};
use crate::conf::values::Value;

pub fn build(builder: &mut Builder<'_>, nodes: &[Node]) -> Vec<ServerGroup> {
    let blocks = nodes.iter().filter(|node| node.name() == "virtual_server_group");
    let mut groups: Vec<ServerGroup> = Vec::new();
    let mut names = HashSet::new();
    for (group, node) in blocks.filter_map(|node| Some((group(builder, node)?, node))).collect::<Vec<_>>() {
        if names.insert(group.name.clone()) {
            groups.push(group);
            continue;
        }
        builder.report(
            Diagnostic::error("duplicate-group", node.span(), format!("group {} is already defined", group.name))
                .silent()
                .hint("this block is dropped; give it a name of its own"),
        );
    }
    groups
}

fn group(builder: &mut Builder<'_>, node: &Node) -> Option<ServerGroup> {
    let name = node.text()?;
    let members = || node.entries.iter().filter_map(member);
    let marks = members().filter(|member| matches!(member, GroupMember::Mark { .. }));
    let addresses = members().filter(|member| matches!(member, GroupMember::Addresses { .. }));
    let members: Vec<_> = marks.chain(addresses).collect();
    if members.is_empty() {
        // Lines that were refused have been reported.
        if node.refused == 0 {
            builder.report(
                Diagnostic::error("empty-group", node.span(), format!("group {name} has no entries: it is dropped"))
                    .hint("write an address and a port, or `fwmark N`, one per line"),
            );
        }
        return None;
    }
    let untyped = members.iter().any(|member| matches!(member, GroupMember::Mark { family: None, .. }));
    if untyped && has(&members, Family::V4) && has(&members, Family::V6) {
        let message = format!("group {name} has IPv4, IPv6 and a mark that may be either: it is dropped");
        builder.report(
            Diagnostic::error("group-family", node.span(), message).hint("write `fwmark N inet` or `fwmark N inet6`"),
        );
        return None;
    }
    Some(ServerGroup { name: name.to_owned(), location: builder.location(node.keyword.span), members })
}

/// Whether a group has members of a family.
pub fn has(members: &[GroupMember], family: Family) -> bool {
    members.iter().any(|member| match member {
        GroupMember::Mark { family: of, .. } => *of == Some(family),
        GroupMember::Addresses { first, .. } => Family::of(*first) == family,
    })
}

/// What a line of the block stands for.
pub fn member(line: &Line) -> Option<GroupMember> {
    if let Some(Value::Int(mark)) = line.value("fwmark") {
        let family = match line.value("family") {
            Some(Value::Text(word)) if word == "inet6" => Some(Family::V6),
            Some(_) => Some(Family::V4),
            None => None,
        };
        return Some(GroupMember::Mark { mark: u32::try_from(*mark).ok()?, family });
    }
    let address = |name| match line.value(name) {
        Some(Value::Ip(address)) => Some::<IpAddr>(*address),
        _ => None,
    };
    let port = match line.value("port") {
        Some(Value::Int(port)) => u16::try_from(*port).ok()?,
        _ => 0,
    };
    Some(GroupMember::Addresses { first: address("addr")?, last: address("last")?, port })
}
