//! Names of scripts, files, processes and sessions that VRRP tracks, against those that exist.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::scripts::Scripts;
use super::{Builder, trackers};
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::lex::Word;
use crate::conf::model::{Config, InstanceName, Priority, SyncGroup, Track, TrackerKind, Trackers};
use crate::conf::parse::Node;
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
    let (mut trackers, sessions) = trackers::build(builder, nodes, scripts);
    config.bfd = sessions;
    let mut used: HashSet<(TrackerKind, String)> = HashSet::new();
    let weights = weights(&trackers);
    let owners: HashSet<InstanceName> =
        config.instances.iter().filter(|it| it.priority == Priority::MAX).map(|it| it.name.clone()).collect();
    for group in &mut config.sync_groups {
        let owner = group.members.iter().find(|member| owners.contains(member));
        let Some(node) = block(nodes, "vrrp_sync_group", &group.name) else { continue };
        let lines = found(node, &weights).into_iter();
        group.tracks = lines.map(|line| line.beside(builder, owner)).collect();
        used.extend(group.tracks.iter().map(|track| (track.kind, track.name.clone())));
    }
    let mut groups: HashMap<&InstanceName, &SyncGroup> = HashMap::new();
    for group in &config.sync_groups {
        for member in &group.members {
            groups.entry(member).or_insert(group);
        }
    }
    let mut blocks: HashMap<&str, &Node> = HashMap::new();
    for node in nodes.iter().filter(|node| node.name() == "vrrp_instance") {
        blocks.entry(node.text().unwrap_or_default()).or_insert(node);
    }
    for instance in &mut config.instances {
        let Some(node) = blocks.get(instance.name.0.as_str()) else { continue };
        let group = groups.get(&instance.name);
        let why = match group {
            _ if instance.priority == Priority::MAX => Some(Unweighted::Owner),
            Some(group) if !group.tracking_weight => Some(Unweighted::Group(&group.name)),
            _ => None,
        };
        let lines = found(node, &weights).into_iter();
        instance.tracks = lines.filter_map(|line| line.allowed(builder, &instance.name, why)).collect();
        used.extend(instance.tracks.iter().map(|track| (track.kind, track.name.clone())));
    }
    let used = |kind: TrackerKind, name: &str| used.contains(&(kind, name.to_owned()));
    trackers.scripts.retain(|script| used(TrackerKind::Script, &script.name));
    // FILE_CHECK may read those, and whoever writes them expects them to be there.
    let (tracked, others) =
        std::mem::take(&mut trackers.files).into_iter().partition(|file| used(TrackerKind::File, &file.name));
    trackers.files = tracked;
    trackers.other_files = others;
    trackers.other_files.retain(|file| file.init.is_some());
    config.trackers = trackers;
}

/// The first block of a name, which is the one that counts.
pub fn block<'a>(nodes: &'a [Node], keyword: &str, name: &str) -> Option<&'a Node> {
    nodes.iter().find(|node| node.name() == keyword && node.text() == Some(name))
}

/// The weight of each tracker's own, and whether it is reversed.
type Weights<'a> = HashMap<(TrackerKind, &'a str), (i32, bool)>;

fn weights<'a>(trackers: &'a Trackers) -> Weights<'a> {
    let mut weights = HashMap::new();
    let mut add = |kind, name: &'a str, weight, reverse| {
        weights.entry((kind, name)).or_insert((weight, reverse));
    };
    trackers.scripts.iter().for_each(|it| add(TrackerKind::Script, &it.name, it.weight, it.reverse));
    trackers.files.iter().for_each(|it| add(TrackerKind::File, &it.name, it.weight, it.reverse));
    trackers.processes.iter().for_each(|it| add(TrackerKind::Process, &it.name, it.weight, it.reverse));
    trackers.bfds.iter().for_each(|it| add(TrackerKind::Bfd, &it.name, it.weight, it.reverse));
    weights
}

/// A line whose tracker exists.
struct Found<'a> {
    track: Track,
    /// The line has a weight of its own.
    own: bool,
    word: &'a Word,
}

/// What an instance or a sync group tracks: the first line of each tracker, each kind in the order of its lines. Names
/// that are not there are told by [`references`]; so has been what is wrong with a tracker that was dropped.
fn found<'a>(block: &'a Node, weights: &Weights<'_>) -> Vec<Found<'a>> {
    let mut found: Vec<Found<'a>> = Vec::new();
    let mut names: HashSet<(TrackerKind, &str)> = HashSet::new();
    for (list, kind) in LISTS {
        for line in block.children(list).flat_map(|list| &list.entries) {
            let Some(word) = line.first().map(|value| &value.word) else { continue };
            let Some((weight, reverse)) = weights.get(&(kind, word.text.as_str())).copied() else { continue };
            if !names.insert((kind, &word.text)) {
                continue;
            }
            let own = match line.option("weight").and_then(|option| option.value()) {
                Some(Value::Int(own)) => i32::try_from(*own).ok(),
                _ => None,
            };
            let said = |word| line.option(word).is_some();
            let reverse = said("reverse") || (reverse && !said("noreverse"));
            let track = Track { kind, name: word.text.to_string(), weight: own.unwrap_or(weight), reverse };
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
    /// The track of a group, without a weight if one of its members is an owner.
    fn beside(self, builder: &mut Builder<'_>, owner: Option<&InstanceName>) -> Track {
        let mut track = self.track;
        if let Some(owner) = owner.filter(|_| track.weight != 0) {
            let message = format!("the weight of {} cannot change the priority 255 of {owner}", track.name);
            builder.report(
                Diagnostic::warning("owner-weight", self.word.span, message)
                    .hint("it is read as 0; use weight 0, or priorities below 255"),
            );
            track.weight = 0;
        }
        track
    }

    /// The track, unless its weight cannot count; a file then counts without its own. Keepalived lets processes pass.
    fn allowed(self, builder: &mut Builder<'_>, instance: &InstanceName, why: Option<Unweighted<'_>>) -> Option<Track> {
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

/// Names in every `track_script`.
pub fn tracked_scripts(nodes: &[Node]) -> HashSet<&str> {
    let blocks = nodes.iter().filter(|node| matches!(node.name(), "vrrp_instance" | "vrrp_sync_group"));
    let lines = blocks.flat_map(|block| block.children("track_script")).flat_map(|list| &list.entries);
    lines.filter_map(|line| Some(line.first()?.word.text.as_str())).collect()
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
        // In one order, for one suggestion.
        let names: BTreeSet<&str> = known.keys().copied().collect();
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
                    let near = builder.suggestions.closest(&word.text, names.iter().copied());
                    let diagnostic =
                        Diagnostic::error("unknown-name", word.span, format!("no {} {}", definitions[0], word.text));
                    builder.report(match near {
                        Some(near) => diagnostic.suggest(near),
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
    let tracked = tracked_scripts(nodes);
    for node in nodes.iter().filter(|node| node.name() == "vrrp_script") {
        if let Some(name) = node.text().filter(|name| !tracked.contains(name) && node.child("script").is_some()) {
            builder.report(
                Diagnostic::warning("unused-script", node.span(), format!("vrrp_script {name} is in no track_script"))
                    .silent()
                    .hint("it is not run; name it in a track_script, or delete it"),
            );
        }
    }
}
