//! `track_group`: instances that depend on static addresses, routes and rules.

use std::collections::HashSet;

use super::Builder;
use crate::conf::diag::Diagnostic;
use crate::conf::keywords;
use crate::conf::model::{Config, InstanceName, Location, TrackGroup};
use crate::conf::parse::Node;

/// Fills in the groups of the configuration, whose static lines and instances are there already.
pub fn build(builder: &mut Builder<'_>, nodes: &[Node], config: &mut Config) {
    let mut groups: Vec<TrackGroup> = Vec::new();
    let instances: HashSet<&str> = config.instances.iter().map(|instance| instance.name.0.as_str()).collect();
    let mut names: HashSet<&str> = HashSet::new();
    for node in nodes.iter().filter(|node| node.name() == "track_group") {
        let Some(name) = node.text() else { continue };
        if !names.insert(name) {
            builder.report(
                Diagnostic::error("duplicate-group", node.span(), format!("track_group {name} is already defined"))
                    .hint("the second block is skipped; names are unique"),
            );
            continue;
        }
        let members = members(builder, node, config, &instances);
        groups.push(TrackGroup { name: name.to_owned(), members, ..TrackGroup::default() });
    }
    for group in &mut groups {
        let named = |block: &str| -> Vec<Location> {
            let lines = nodes.iter().filter(|node| node.name() == block).flat_map(|node| &node.entries);
            let named = lines.filter(|line| {
                let option = line.option("track_group").and_then(|option| option.values.first());
                option.is_some_and(|value| value.word.text == group.name)
            });
            named.map(|line| builder.location(line.span)).collect()
        };
        let addresses = named("static_ipaddress");
        group.addresses = positions(config.static_addresses.iter().map(|it| &it.location), &addresses);
        let routes = named("static_routes");
        group.routes = positions(config.static_routes.iter().map(|it| &it.location), &routes);
        let rules = named("static_rules");
        group.rules = positions(config.static_rules.iter().map(|it| &it.location), &rules);
    }
    for line in nodes.iter().filter(|node| node.name() == "static_ipaddress").flat_map(|node| &node.entries) {
        let word = line.option("track_group").and_then(|option| option.values.first()).map(|value| &value.word);
        if let Some(word) = word.filter(|word| !word.is_undefined())
            && !names.contains(word.text.as_str())
        {
            builder.report(
                Diagnostic::error("unknown-group", word.span, format!("no track_group {}", word.text))
                    .hint("define it at the top level; the word is ignored"),
            );
        }
    }
    groups.retain(|group| !group.members.is_empty());
    config.track_groups = groups;
}

fn members(builder: &mut Builder<'_>, node: &Node, config: &Config, instances: &HashSet<&str>) -> Vec<InstanceName> {
    let mut members: Vec<InstanceName> = Vec::new();
    let mut seen: HashSet<&str> = HashSet::new();
    for word in node.children("group").flat_map(|group| &group.entries).filter_map(|line| Some(&line.first()?.word)) {
        if word.is_undefined() || !seen.insert(&word.text) {
            continue;
        }
        if !instances.contains(word.text.as_str()) {
            let known = keywords::some_of(config.instances.iter().map(|instance| instance.name.0.as_str()));
            builder.report(
                Diagnostic::error("unknown-instance", word.span, format!("no vrrp_instance {}", word.text))
                    .hint(format!("known: {known}")),
            );
            continue;
        }
        members.push(InstanceName(word.text.to_string()));
    }
    members
}

/// Places from 1 of the lines that stand there.
fn positions<'a>(lines: impl Iterator<Item = &'a Location>, named: &[Location]) -> Vec<u32> {
    (1..).zip(lines).filter(|(_, location)| named.contains(location)).map(|(position, _)| position).collect()
}
