//! `vrrp_sync_group`: who belongs together, and what the group adds to its members.
//!
//! [`read`] comes before the instances, whose weights depend on their group; [`Groups::build`] after them.

use std::collections::{HashMap, HashSet};

use super::global::Defaults;
use super::instance::tracked_already;
use super::{Builder, notify};
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::keywords;
use crate::conf::model::{Instance, InstanceName, Priority, SyncGroup, TrackedInterface};
use crate::conf::parse::Node;
use crate::conf::values::Value;

/// What a sync group says about a member.
#[derive(Debug, Clone)]
pub struct Membership {
    /// Of the group.
    pub name: String,
    pub weighted: bool,
    /// Interfaces that the group tracks for all its members.
    pub interfaces: Vec<String>,
    /// Where the group lists the member.
    pub at: Span,
}

pub struct Groups<'a> {
    memberships: HashMap<String, Membership>,
    drafts: Vec<(&'a Node, SyncGroup)>,
}

/// Groups with a member at least, in the order of the file.
pub fn read<'a>(builder: &mut Builder<'_>, nodes: &'a [Node], defaults: &Defaults) -> Groups<'a> {
    let mut groups = Groups { memberships: HashMap::new(), drafts: Vec::new() };
    let instances: Vec<&str> =
        nodes.iter().filter(|node| node.name() == "vrrp_instance").filter_map(|node| node.text()).collect();
    let known: HashSet<&str> = instances.iter().copied().collect();
    let mut names: HashMap<&str, Span> = HashMap::new();
    for node in nodes.iter().filter(|node| node.name() == "vrrp_sync_group") {
        let Some(name) = node.text() else { continue };
        if let Some(first) = names.get(name) {
            let message = format!("vrrp_sync_group {name} is already defined");
            builder.report(
                Diagnostic::error("duplicate-group", node.span(), message)
                    .related(*first, "first defined here")
                    .hint("the second block is skipped; names are unique"),
            );
            continue;
        }
        names.insert(name, node.span());
        let tracking_weight =
            ["sync_group_tracking_weight", "global_tracking"].iter().any(|word| node.child(word).is_some());
        if let Some(child) = node.child("global_tracking") {
            builder.deprecated(child, "write track_interface and its kin into the group itself");
        }
        let tracked = tracked(builder, node);
        let interfaces = tracked.iter().map(|tracked| tracked.interface.clone()).collect();
        let membership = Membership { name: name.to_owned(), weighted: tracking_weight, interfaces, at: node.span() };
        let members = members(builder, node, (&instances, &known), &membership, &mut groups.memberships);
        let group = SyncGroup {
            location: builder.location(node.keyword.span),
            name: name.to_owned(),
            members,
            tracking_weight,
            // Filled in by [`super::tracking`], which knows the trackers.
            tracks: vec![],
            tracked_interfaces: tracked,
            notify: notify::read(builder, node),
            smtp_alert: node.child("smtp_alert").and_then(Node::switch).unwrap_or(defaults.smtp_alert),
        };
        if !group.members.is_empty() {
            groups.drafts.push((node, group));
        }
    }
    groups
}

/// Those that exist and belong to no other group.
fn members(
    builder: &mut Builder<'_>,
    node: &Node,
    (instances, known): (&[&str], &HashSet<&str>),
    membership: &Membership,
    memberships: &mut HashMap<String, Membership>,
) -> Vec<InstanceName> {
    let mut blocks = node.children("group");
    let first = blocks.next();
    for other in blocks {
        builder.already_set(other);
    }
    let mut members = Vec::new();
    let mut refused = first.map_or(0, |group| group.refused);
    for word in first.into_iter().flat_map(|group| &group.entries).filter_map(|line| Some(&line.first()?.word)) {
        if !known.contains(word.text.as_str()) {
            let diagnostic =
                Diagnostic::error("unknown-instance", word.span, format!("no vrrp_instance {}", word.text));
            let near = builder.suggestions.closest(&word.text, instances.iter().copied());
            builder.report(match near {
                Some(near) => diagnostic.suggest(near),
                None => diagnostic.hint(format!("known: {}", keywords::some_of(instances.iter().copied()))),
            });
            refused += 1;
        } else if let Some(group) = memberships.get(word.text.as_str()) {
            let message = format!("{} already belongs to {}", word.text, group.name);
            builder.report(
                Diagnostic::error("two-groups", word.span, message)
                    .related(group.at, format!("{} lists it here", group.name))
                    .hint("an instance belongs to one sync group"),
            );
            refused += 1;
        } else {
            members.push(InstanceName(word.text.to_string()));
            memberships.insert(word.text.to_string(), Membership { at: word.span, ..membership.clone() });
        }
    }
    let name = &membership.name;
    // What shrank a group has been told already.
    if refused == 0 && members.len() == 1 {
        builder.report(
            Diagnostic::warning("one-member", node.span(), format!("sync group {name} has one member"))
                .hint("a group binds two or more instances"),
        );
    }
    if refused == 0 && members.is_empty() && node.wrote("group") {
        builder.report(
            Diagnostic::warning("no-member", node.span(), format!("sync group {name} has no member"))
                .hint("the block is dropped; name two or more instances in `group`"),
        );
    }
    members
}

fn tracked(builder: &mut Builder<'_>, node: &Node) -> Vec<TrackedInterface> {
    let mut tracked: Vec<TrackedInterface> = Vec::new();
    for line in node.children("track_interface").flat_map(|block| &block.entries) {
        let Some(word) = line.first().map(|value| &value.word) else { continue };
        let name = word.text.as_str();
        if word.is_undefined() || !builder.interface_known(name, word.span) {
            continue;
        }
        if tracked_already(builder, &tracked, word) {
            continue;
        }
        let weight = match line.option("weight").and_then(|option| option.value()) {
            Some(Value::Int(weight)) => i16::try_from(*weight).unwrap_or(0),
            _ => 0,
        };
        let reverse = line.option("reverse").is_some();
        tracked.push(TrackedInterface { interface: name.to_owned(), weight, reverse });
    }
    tracked
}

impl Groups<'_> {
    pub fn of(&self, instance: &str) -> Option<&Membership> {
        self.memberships.get(instance)
    }

    /// The groups, once their members are known.
    pub fn build(self, builder: &mut Builder<'_>, instances: &[Instance]) -> Vec<SyncGroup> {
        let known: HashMap<&InstanceName, &Instance> =
            instances.iter().map(|instance| (&instance.name, instance)).collect();
        let mut groups = Vec::new();
        for (node, mut group) in self.drafts {
            group.members.retain(|member| known.contains_key(member));
            let owner = group.members.iter().find(|member| known[member].priority == Priority::MAX);
            if let Some(owner) = owner {
                for tracked in group.tracked_interfaces.iter_mut().filter(|tracked| tracked.weight != 0) {
                    let interface = &tracked.interface;
                    let message = format!("the weight of {interface} cannot change priority 255 of {owner}");
                    builder.report(
                        Diagnostic::warning("owner-weight", node.span(), message)
                            .hint("it is read as 0: the group is in fault while the interface is down"),
                    );
                    tracked.weight = 0;
                }
            }
            if !group.members.is_empty() {
                groups.push(group);
            }
        }
        groups
    }
}
