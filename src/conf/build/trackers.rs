//! `vrrp_script`, `track_file`, `vrrp_track_process` and `bfd_instance`, as far as VRRP tracks them.
//!
//! Of two blocks with one name the first counts, as in Keepalived, which says so only of sessions.

use std::collections::HashMap;

use super::Builder;
use super::scripts::Scripts;
use super::tracking::tracked_scripts;
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::model::{
    BfdSession, FileInit, ParameterMatch, TrackBfd, TrackFile, TrackProcess, TrackScript, Trackers,
};
use crate::conf::parse::Node;
use crate::conf::values::Value;

/// All that are defined and can work, of scripts those that some line tracks.
pub fn build(builder: &mut Builder<'_>, nodes: &[Node], scripts: &mut Scripts) -> (Trackers, Vec<BfdSession>) {
    let mut trackers = Trackers::default();
    // The runner is to know nothing of scripts that it never runs.
    let tracked = tracked_scripts(nodes);
    let scripts_used = blocks(builder, nodes, &["vrrp_script"]).into_iter().filter(|(name, _)| tracked.contains(name));
    for (name, node) in scripts_used {
        trackers.scripts.extend(script(builder, name, node, scripts));
    }
    for (name, node) in blocks(builder, nodes, &["track_file", "vrrp_track_file"]) {
        trackers.files.extend(file(builder, name, node));
    }
    for (name, node) in blocks(builder, nodes, &["vrrp_track_process"]) {
        trackers.processes.extend(process(builder, name, node));
    }
    let sessions = blocks(builder, nodes, &["bfd_instance"]);
    let built = super::bfd::build(builder, &sessions);
    for (name, node) in sessions {
        trackers.bfds.extend(bfd(builder, name, node));
    }
    (trackers, built)
}

/// The first block of each name.
fn blocks<'a>(builder: &mut Builder<'_>, nodes: &'a [Node], keywords: &[&str]) -> Vec<(&'a str, &'a Node)> {
    let mut first: HashMap<&str, Span> = HashMap::new();
    let mut blocks = Vec::new();
    for node in nodes.iter().filter(|node| keywords.contains(&node.name()) && !node.skipped) {
        let Some(name) = node.text() else { continue };
        match first.get(name) {
            None => {
                first.insert(name, node.span());
                blocks.push((name, node));
            }
            Some(known) => {
                let message = format!("{} {name} is already defined", node.name());
                let diagnostic = Diagnostic::warning("duplicate-tracker", node.span(), message)
                    .related(*known, "first defined here")
                    .hint("the second block is not used; names are unique");
                let told = node.name() == "bfd_instance";
                builder.report(if told { diagnostic } else { diagnostic.silent() });
            }
        }
    }
    blocks
}

fn script(builder: &Builder<'_>, name: &str, node: &Node, scripts: &mut Scripts) -> Option<TrackScript> {
    let (weight, reverse) = last_weight(node).unwrap_or((0, false));
    let count = |word: &str| node.children(word).filter_map(Node::int).next_back().and_then(|n| u32::try_from(n).ok());
    Some(TrackScript {
        location: builder.location(node.keyword.span),
        name: name.to_owned(),
        command: scripts.take_tracked(builder, node.child("script")?)?,
        interval_us: seconds(node, "interval").unwrap_or(SECOND_US),
        timeout_us: seconds(node, "timeout").unwrap_or(0),
        weight,
        reverse,
        rise: count("rise").unwrap_or(1),
        fall: count("fall").unwrap_or(1),
        init_fail: node.child("init_fail").is_some(),
    })
}

const SECOND_US: u64 = 1_000_000;

/// Microseconds; 0 is read as a second, after a report.
fn seconds(node: &Node, word: &str) -> Option<u64> {
    let zero = |child: &Node| child.values.first().is_some_and(|value| value.word.text == "0");
    node.children(word).filter_map(|child| if zero(child) { Some(SECOND_US) } else { child.micros() }).next_back()
}

fn file(builder: &mut Builder<'_>, name: &str, node: &Node) -> Option<TrackFile> {
    let (path, line) = watched(node)?;
    ["file", "weight"].iter().for_each(|word| tell_others(builder, node, word));
    if let Some(line) = node.child("init_file")
        && let Some(value) = line.int().filter(|value| value.abs() > 254)
    {
        let message = format!("priorities go to 254 only, and {name} begins with {value}");
        builder.report(Diagnostic::warning("init-file", line.span(), message).hint("use a number from -254 to 254"));
    }
    let (weight, reverse) = line.and_then(weight).unwrap_or((1, false));
    Some(TrackFile {
        location: builder.location(node.keyword.span),
        name: name.to_owned(),
        path: path.to_owned(),
        weight,
        reverse,
        init: node.child("init_file").map(init),
    })
}

/// The value of a line that was refused is 0, as in Keepalived.
fn init(line: &Node) -> FileInit {
    let value = line.int().and_then(|value| i32::try_from(value).ok()).unwrap_or(0);
    FileInit { value, overwrite: line.word("overwrite").is_some() }
}

/// The path of a `track_file`, and the line with its weight.
pub fn watched(node: &Node) -> Option<(&str, Option<&Node>)> {
    Some((first(node, "file")?.text()?, first(node, "weight")))
}

fn process(builder: &mut Builder<'_>, name: &str, node: &Node) -> Option<TrackProcess> {
    let command = first(node, "process");
    ["process", "weight"].iter().for_each(|word| tell_others(builder, node, word));
    let (weight, reverse) = first(node, "weight").and_then(weight).unwrap_or((0, false));
    let (quorum, quorum_max) = quorum(builder, node);
    let mut words = command?.values.iter().filter_map(|value| match value.value.as_ref()? {
        Value::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let path = words.next()?.to_owned();
    let parameters: Vec<String> = words.map(str::to_owned).collect();
    let parameter_match = parameter_match(node, &parameters);
    let (mut fork_delay_us, mut terminate_delay_us) = (0, 0);
    for child in &node.children {
        let Some(delay) = child.micros() else { continue };
        match child.name() {
            "delay" => (fork_delay_us, terminate_delay_us) = (delay, delay),
            "fork_delay" => fork_delay_us = delay,
            "terminate_delay" => terminate_delay_us = delay,
            _ => {}
        }
    }
    Some(TrackProcess {
        location: builder.location(node.keyword.span),
        name: name.to_owned(),
        path,
        full_command: node.child("full_command").is_some() || parameter_match != ParameterMatch::None,
        parameters,
        parameter_match,
        weight,
        reverse,
        quorum,
        quorum_max,
        fork_delay_us,
        terminate_delay_us,
    })
}

fn parameter_match(node: &Node, parameters: &[String]) -> ParameterMatch {
    let lines = node.children("param_match");
    let mut said = lines.filter_map(|child| match (child.values.first(), child.text()) {
        (None, _) => Some(ParameterMatch::Exact),
        (_, Some("initial")) => Some(ParameterMatch::Initial),
        (_, Some("partial")) => Some(ParameterMatch::Partial),
        _ => None,
    });
    let default = if parameters.is_empty() { ParameterMatch::None } else { ParameterMatch::Exact };
    said.next_back().unwrap_or(default)
}

/// `quorum` and `quorum_max`. The later of two lines that exclude each other is ignored, but the quorum that nobody
/// wrote gives way to `quorum_max 0`.
fn quorum(builder: &mut Builder<'_>, node: &Node) -> (u32, Option<u32>) {
    let (mut quorum, mut max) = (1, None);
    for child in &node.children {
        let Some(number) = child.int().and_then(|number| u32::try_from(number).ok()) else { continue };
        let excluded = match child.name() {
            "quorum" if max.is_none_or(|max| number <= max) => {
                quorum = number;
                continue;
            }
            "quorum" => format!("quorum {number} is more than quorum_max"),
            "quorum_max" if number >= quorum || (number == 0 && quorum == 1) => {
                quorum = quorum.min(number);
                max = Some(number);
                continue;
            }
            "quorum_max" => format!("quorum_max {number} is less than the quorum"),
            _ => continue,
        };
        builder.report(Diagnostic::warning("quorum", child.span(), excluded).hint("the line is ignored"));
    }
    (quorum, max)
}

fn bfd(builder: &Builder<'_>, name: &str, node: &Node) -> Option<TrackBfd> {
    let (weight, reverse) = last_weight(node).unwrap_or((0, false));
    is_for_vrrp(node).then(|| TrackBfd {
        location: builder.location(node.keyword.span),
        name: name.to_owned(),
        weight,
        reverse,
    })
}

/// A session with `checker` alone is of no use to VRRP.
pub fn is_for_vrrp(bfd: &Node) -> bool {
    bfd.child("checker").is_none() || bfd.child("vrrp").is_some()
}

/// The last good `weight` line, and whether it says `reverse`.
fn last_weight(node: &Node) -> Option<(i32, bool)> {
    node.children("weight").filter_map(weight).next_back()
}

fn weight(child: &Node) -> Option<(i32, bool)> {
    Some((i32::try_from(child.int()?).ok()?, child.word("reverse").is_some_and(|word| word.text == "reverse")))
}

/// The first line with a good value: it counts where Keepalived takes a directive once.
fn first<'a>(node: &'a Node, word: &str) -> Option<&'a Node> {
    lines(node, word).next()
}

fn tell_others(builder: &mut Builder<'_>, node: &Node, word: &str) {
    lines(node, word).skip(1).for_each(|again| builder.already_set(again));
}

fn lines<'a>(node: &'a Node, word: &str) -> impl Iterator<Item = &'a Node> {
    node.children(word).filter(|child| child.values.first().is_some_and(|value| value.value.is_some()))
}
