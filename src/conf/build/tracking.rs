//! Names of scripts, files, processes and sessions that VRRP tracks, against those that exist.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::scripts::Scripts;
use super::{Builder, trackers};
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::keywords;
use crate::conf::lex::Word;
use crate::conf::model::{Config, Priority, Track, TrackerKind, Trackers};
use crate::conf::parse::{Line, Node};
use crate::conf::values::Value;

/// The lists of an instance or a sync group, in the order in which their tracks are kept.
const LISTS: [(&str, TrackerKind); 4] = [
    ("track_script", TrackerKind::Script),
    ("track_file", TrackerKind::File),
    ("track_process", TrackerKind::Process),
    ("track_bfd", TrackerKind::Bfd),
];

/// Builds trackers, and what instances and sync groups track of them.
pub fn build(builder: &mut Builder<'_>, nodes: &[Node], scripts: &mut Scripts, config: &mut Config) {
    let mut trackers = trackers::build(builder, nodes, scripts);
    let groups = unweighted_groups(nodes);
    let mut used: HashSet<(TrackerKind, String)> = HashSet::new();
    let mut seen = HashSet::new();
    for node in nodes.iter().filter(|node| matches!(node.name(), "vrrp_instance" | "vrrp_sync_group") && !node.skipped)
    {
        let Some(name) = node.text().filter(|name| seen.insert((node.name(), *name))) else { continue };
        if node.name() == "vrrp_sync_group" {
            let tracks = tracks(node, &trackers);
            used.extend(tracks.iter().map(|track| (track.kind, track.name.clone())));
            if let Some(group) = config.sync_groups.iter_mut().find(|group| group.name == name) {
                group.tracks = tracks;
            }
        } else if let Some(instance) = config.instances.iter_mut().find(|instance| instance.name.0 == name) {
            let why = if instance.priority == Priority::MAX {
                Some(Unweighted::Owner)
            } else {
                groups.get(name).map(|group| Unweighted::Group(group))
            };
            instance.tracks =
                found(node, &trackers).into_iter().filter_map(|line| line.allowed(builder, name, why)).collect();
            used.extend(instance.tracks.iter().map(|track| (track.kind, track.name.clone())));
        }
    }
    let used = |kind: TrackerKind, name: &str| used.contains(&(kind, name.to_owned()));
    trackers.scripts.retain(|script| used(TrackerKind::Script, &script.name));
    trackers.files.retain(|file| used(TrackerKind::File, &file.name));
    config.trackers = trackers;
}

/// What an instance or a sync group tracks, of `trackers`, each kind in the order of its lines. Names that are not there
/// have been told by [`references`]; so has what is wrong with a tracker that was dropped.
fn tracks(block: &Node, trackers: &Trackers) -> Vec<Track> {
    found(block, trackers).into_iter().map(|line| line.track).collect()
}

/// A line whose tracker exists.
struct Found<'a> {
    track: Track,
    /// The line has a weight of its own.
    own: bool,
    word: &'a Word,
}

/// The first line of each tracker.
fn found<'a>(block: &'a Node, trackers: &Trackers) -> Vec<Found<'a>> {
    let mut found: Vec<Found<'a>> = Vec::new();
    for (list, kind) in LISTS {
        for line in block.children(list).flat_map(|list| &list.entries) {
            let Some(word) = line.first().map(|value| &value.word) else { continue };
            let Some((weight, reverse)) = trackers.weight(kind, &word.text) else { continue };
            if found.iter().any(|known| known.track.kind == kind && known.track.name == word.text) {
                continue;
            }
            let own = match line.option("weight").and_then(|option| option.value()) {
                Some(Value::Int(own)) => i32::try_from(*own).ok(),
                _ => None,
            };
            let said = |word| line.option(word).is_some();
            let reverse = said("reverse") || (reverse && !said("noreverse"));
            let track = Track { kind, name: word.text.clone(), weight: own.unwrap_or(weight), reverse };
            found.push(Found { track, own: own.is_some(), word });
        }
    }
    found
}

/// Why weights do not count.
#[derive(Clone, Copy)]
enum Unweighted<'a> {
    Owner,
    Group(&'a str),
}

impl Found<'_> {
    /// The track, unless its weight cannot count; a file then counts without its own. Keepalived lets processes pass.
    fn allowed(self, builder: &mut Builder<'_>, instance: &str, why: Option<Unweighted<'_>>) -> Option<Track> {
        let mut track = self.track;
        let Some(why) = why.filter(|_| track.weight != 0 && track.kind != TrackerKind::Process) else {
            return Some(track);
        };
        let unweighted_file = track.kind == TrackerKind::File && !self.own;
        let (code, because, hint) = match why {
            Unweighted::Owner => (
                "owner-weight",
                format!("a weight cannot change the priority 255 of {instance}"),
                "use weight 0, or a priority below 255",
            ),
            Unweighted::Group(group) => (
                "group-weight",
                format!("{instance} is in sync group {group}"),
                "use weight 0, or add sync_group_tracking_weight to the group",
            ),
        };
        let name = &track.name;
        let message = match track.kind {
            _ if unweighted_file => format!("{because}: the weight of {name} is read as 0"),
            TrackerKind::Script => format!("{because}: a script with a weight is ignored"),
            _ => format!("{because}: {name}, which has a weight, is ignored"),
        };
        builder.report(Diagnostic::warning(code, self.word.span, message).hint(hint));
        if !unweighted_file {
            return None;
        }
        track.weight = 0;
        Some(track)
    }
}

/// The sync group of each instance whose group does not let weights count.
fn unweighted_groups(nodes: &[Node]) -> HashMap<&str, &str> {
    let mut groups = HashMap::new();
    for node in nodes.iter().filter(|node| node.name() == "vrrp_sync_group" && !node.skipped) {
        let weighted = ["sync_group_tracking_weight", "global_tracking"].iter().any(|word| node.child(word).is_some());
        let members = node.children("group").flat_map(|list| &list.entries).filter_map(|line| line.first());
        for member in members {
            groups.entry(member.word.text.as_str()).or_insert((node.text().unwrap_or_default(), weighted));
        }
    }
    groups.into_iter().filter(|(_, (_, weighted))| !weighted).map(|(member, (group, _))| (member, group)).collect()
}

pub fn is_tracked(nodes: &[Node], name: &str) -> bool {
    script_lines(nodes).any(|(_, line)| line.first().is_some_and(|value| value.word.text == name))
}

/// Lines of every `track_script`, with the block around it.
fn script_lines(nodes: &[Node]) -> impl Iterator<Item = (&Node, &Line)> {
    let blocks = nodes.iter().filter(|node| matches!(node.name(), "vrrp_instance" | "vrrp_sync_group"));
    blocks.flat_map(|block| {
        block.children("track_script").flat_map(move |list| list.entries.iter().map(move |line| (block, line)))
    })
}

pub fn references(builder: &mut Builder<'_>, nodes: &[Node]) {
    let kinds = [
        ("track_script", &["vrrp_script"][..]),
        ("track_file", &["track_file", "vrrp_track_file"][..]),
        ("track_process", &["vrrp_track_process"][..]),
        ("track_bfd", &["bfd_instance"][..]),
    ];
    for (list, definitions) in kinds {
        let known: HashMap<&str, Span> = nodes
            .iter()
            .filter(|node| definitions.contains(&node.name()) && trackers::is_for_vrrp(node))
            .filter_map(|node| Some((node.text()?, node.span())))
            .collect();
        let blocks = nodes.iter().filter(|node| matches!(node.name(), "vrrp_instance" | "vrrp_sync_group"));
        let mut first: BTreeMap<(Span, &str), Span> = BTreeMap::new();
        for (block, word) in blocks
            .flat_map(|block| block.children(list).map(move |list| (block, list)))
            .flat_map(|(block, list)| list.entries.iter().map(move |line| (block, line)))
            .filter_map(|(block, line)| Some((block, &line.first()?.word)))
            .filter(|(_, word)| !word.is_undefined())
        {
            let place = (block.keyword.span, word.text.as_str());
            if let Some(first) = first.get(&place) {
                builder.report(
                    Diagnostic::warning("duplicate-track", word.span, format!("{} is tracked already", word.text))
                        .related(*first, "tracked here")
                        .hint("the first line counts; delete this one"),
                );
                continue;
            }
            first.insert(place, word.span);
            match known.get(word.text.as_str()) {
                None => {
                    let names: Vec<&str> = known.keys().copied().collect();
                    let diagnostic =
                        Diagnostic::error("unknown-name", word.span, format!("no {} {}", definitions[0], word.text));
                    builder.report(match keywords::closest(&word.text, names) {
                        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
                        None => diagnostic.hint(format!("define `{} {} {{ ... }}`", definitions[0], word.text)),
                    });
                }
                Some(defined) if (defined.file, defined.line) > (word.span.file, word.span.line) => builder.report(
                    Diagnostic::warning("order", word.span, format!("{} is defined after this line", word.text))
                        .related(*defined, "defined here")
                        .hint("Keepalived needs the definition first; either order works here"),
                ),
                Some(_) => {}
            }
        }
    }
    for node in nodes.iter().filter(|node| node.name() == "vrrp_script") {
        if let Some(name) = node.text().filter(|name| !is_tracked(nodes, name) && node.child("script").is_some()) {
            builder.report(
                Diagnostic::warning("unused-script", node.span(), format!("vrrp_script {name} is in no track_script"))
                    .silent()
                    .hint("it is not run; name it in a track_script, or delete it"),
            );
        }
    }
}
