//! Names of scripts, files, processes and sessions that VRRP tracks, against those that exist.

use std::collections::HashMap;

use super::Builder;
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::keywords;
use crate::conf::model::{Track, TrackerKind, Trackers};
use crate::conf::parse::{Line, Node};
use crate::conf::values::Value;

/// The lists of an instance or a sync group, in the order in which their tracks are kept.
const LISTS: [(&str, TrackerKind); 4] = [
    ("track_script", TrackerKind::Script),
    ("track_file", TrackerKind::File),
    ("track_process", TrackerKind::Process),
    ("track_bfd", TrackerKind::Bfd),
];

/// What an instance or a sync group tracks, of `trackers`, each kind in the order of its lines. Names that are not there
/// have been told by [`references`]; so has what is wrong with a tracker that was dropped.
pub(super) fn tracks(_builder: &mut Builder<'_>, block: &Node, trackers: &Trackers) -> Vec<Track> {
    let mut tracks: Vec<Track> = Vec::new();
    for (list, kind) in LISTS {
        for line in block.children(list).flat_map(|list| &list.entries) {
            let Some(name) = line.first().map(|value| &value.word.text) else { continue };
            let Some((weight, reverse)) = trackers.weight(kind, name) else { continue };
            let track = match line.option("weight").and_then(|option| option.value()) {
                Some(Value::Int(own)) => Track {
                    kind,
                    name: name.clone(),
                    weight: i32::try_from(*own).unwrap_or_default(),
                    reverse: line.option("reverse").is_some(),
                },
                _ => Track { kind, name: name.clone(), weight, reverse },
            };
            tracks.push(track);
        }
    }
    tracks
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
            .filter(|node| definitions.contains(&node.name()))
            .filter_map(|node| Some((node.text()?, node.span())))
            .collect();
        let blocks = nodes.iter().filter(|node| matches!(node.name(), "vrrp_instance" | "vrrp_sync_group"));
        for word in blocks
            .flat_map(|block| block.children(list))
            .flat_map(|list| &list.entries)
            .filter_map(|line| Some(&line.first()?.word))
            .filter(|word| !word.is_undefined())
        {
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
    grouped_weights(builder, nodes);
}

/// Weights of scripts do not count in a sync group that does not ask for them.
fn grouped_weights(builder: &mut Builder<'_>, nodes: &[Node]) {
    let weight_of = |name: &str| {
        let script = nodes.iter().find(|node| node.name() == "vrrp_script" && node.text() == Some(name))?;
        script.child("weight")?.int()
    };
    for group in nodes.iter().filter(|node| node.name() == "vrrp_sync_group") {
        if group.child("sync_group_tracking_weight").is_some() || group.child("global_tracking").is_some() {
            continue;
        }
        let members: Vec<&str> = group
            .children("group")
            .flat_map(|list| &list.entries)
            .filter_map(|line| Some(line.first()?.word.text.as_str()))
            .collect();
        for (block, line) in script_lines(nodes) {
            let Some(name) = block.text().filter(|name| members.contains(name)) else { continue };
            let Some(word) = line.first().map(|value| &value.word) else { continue };
            let own = match line.option("weight").and_then(|option| option.value()) {
                Some(Value::Int(weight)) => Some(*weight),
                _ => None,
            };
            if own.or_else(|| weight_of(&word.text)).unwrap_or(0) != 0 {
                let group = group.text().unwrap_or_default();
                builder.report(
                    Diagnostic::warning(
                        "group-weight",
                        word.span,
                        format!("{name} is in sync group {group}: a script with a weight is ignored"),
                    )
                    .hint("use weight 0, or add sync_group_tracking_weight to the group"),
                );
            }
        }
    }
}
