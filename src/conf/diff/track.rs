//! What is tracked: scripts, files, processes, BFD sessions.

use super::facts::{Facts, milliseconds_us, seconds_us};
use super::objects::Scripts;
use crate::conf::model::{
    BfdSession, FileInit, ParameterMatch, TrackCommand, TrackFile, TrackProcess, TrackScript, TrackerKind,
};
use crate::conf::model::{Track, TrackedInterface};

pub(super) fn script(of: &TrackScript, scripts: Scripts<'_>) -> Facts {
    let TrackScript { location: _, name: _, command, interval_us, timeout_us, weight, reverse, rise, fall, init_fail } =
        of;
    let mut facts = Facts::default();
    match command {
        TrackCommand::Run(script) => scripts.tell(&mut facts, "script", Some(script)),
        TrackCommand::Opens(path) => facts.one("script", format_args!("<{path}")),
    }
    facts.one("interval", seconds_us(*interval_us));
    facts.maybe("timeout", (*timeout_us != 0).then(|| seconds_us(*timeout_us)));
    facts.one("weight", weighed(*weight, *reverse));
    facts.one("rise", rise);
    facts.one("fall", fall);
    facts.flag("init_fail", *init_fail);
    facts
}

pub(super) fn file(of: &TrackFile) -> Facts {
    let TrackFile { location: _, name: _, path, weight, reverse, init } = of;
    let mut facts = Facts::default();
    facts.one("file", path);
    facts.one("weight", weighed(*weight, *reverse));
    facts.maybe(
        "init_file",
        init.map(|FileInit { value, overwrite }| format!("{value}{}", if overwrite { " overwrite" } else { "" })),
    );
    facts
}

pub(super) fn process(of: &TrackProcess) -> Facts {
    let TrackProcess {
        location: _,
        name: _,
        path,
        parameters,
        parameter_match,
        full_command,
        weight,
        reverse,
        quorum,
        quorum_max,
        fork_delay_us,
        terminate_delay_us,
    } = of;
    let mut facts = Facts::default();
    let words: Vec<&str> = std::iter::once(path.as_str()).chain(parameters.iter().map(String::as_str)).collect();
    facts.one("process", words.join(" "));
    let matched = match parameter_match {
        ParameterMatch::None => None,
        ParameterMatch::Exact => Some("exact"),
        ParameterMatch::Partial => Some("partial"),
        ParameterMatch::Initial => Some("initial"),
    };
    facts.maybe("param_match", matched);
    facts.flag("full_command", *full_command);
    facts.one("weight", weighed(*weight, *reverse));
    facts.one("quorum", quorum);
    facts.maybe("quorum_max", *quorum_max);
    facts.one("fork_delay", seconds_us(*fork_delay_us));
    facts.one("terminate_delay", seconds_us(*terminate_delay_us));
    facts
}

pub(super) fn bfd(of: &BfdSession, weight: Option<(i32, bool)>) -> Facts {
    let BfdSession {
        location: _,
        name: _,
        neighbour,
        source,
        min_rx_us,
        min_tx_us,
        idle_tx_us,
        multiplier,
        passive,
        ttl,
        max_hops,
        multihop,
        for_vrrp,
        for_checks,
    } = of;
    let mut facts = Facts::default();
    facts.one("neighbor_ip", neighbour);
    facts.maybe("source_ip", *source);
    facts.one("min_rx", milliseconds_us(*min_rx_us));
    facts.one("min_tx", milliseconds_us(*min_tx_us));
    facts.one("idle_tx", milliseconds_us(*idle_tx_us));
    facts.one("multiplier", multiplier);
    facts.flag("passive", *passive);
    facts.maybe("ttl", *ttl);
    facts.maybe("max_hops", *max_hops);
    facts.flag("multihop", *multihop);
    facts.flag("vrrp", *for_vrrp && !*for_checks);
    facts.flag("checker", *for_checks && !*for_vrrp);
    facts.maybe("weight", weight.map(|(weight, reverse)| weighed(weight, reverse)));
    facts
}

/// The block and the line for each thing that an instance or a group looks at.
pub(super) fn lines(facts: &mut Facts, interfaces: &[TrackedInterface], tracks: &[Track]) {
    let line = |TrackedInterface { interface, weight, reverse }: &TrackedInterface| match (weight, reverse) {
        (0, false) => interface.clone(),
        _ => format!("{interface} weight {}", weighed(i32::from(*weight), *reverse)),
    };
    facts.each("track_interface", interfaces.iter().map(line));
    for (kind, keyword) in [
        (TrackerKind::Script, "track_script"),
        (TrackerKind::File, "track_file"),
        (TrackerKind::Process, "track_process"),
        (TrackerKind::Bfd, "track_bfd"),
    ] {
        let those = tracks.iter().filter(|it| it.kind == kind);
        let line = |Track { kind: _, name, weight, reverse }: &Track| match (weight, reverse) {
            (0, false) => name.clone(),
            _ => format!("{name} weight {}", weighed(*weight, *reverse)),
        };
        facts.each(keyword, those.map(line));
    }
}

fn weighed(weight: i32, reverse: bool) -> String {
    format!("{weight}{}", if reverse { " reverse" } else { "" })
}
