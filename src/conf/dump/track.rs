//! What can be tracked: `vrrp_script`, `track_file`, `vrrp_track_process`, `bfd_instance`.

use std::collections::BTreeSet;

use super::{Block, Directive, Writer, words};
use crate::conf::model::{
    BfdSession, Check, ParameterMatch, TrackBfd, TrackCommand, TrackFile, TrackProcess, TrackScript,
};

pub fn trackers(writer: &Writer<'_>, top: &mut Block) {
    let trackers = &writer.config.trackers;
    for tracker in &trackers.scripts {
        top.named("vrrp_script", words::plain(&tracker.name), &tracker.location, script(writer, tracker));
    }
    for tracker in trackers.files.iter().chain(&trackers.other_files) {
        top.named("track_file", words::plain(&tracker.name), &tracker.location, file(writer, tracker));
    }
    checked_files(writer, top);
    for tracker in &trackers.processes {
        top.named("vrrp_track_process", words::plain(&tracker.name), &tracker.location, process(writer, tracker));
    }
    sessions(writer, top);
}

fn weight(block: &mut Block, (weight, reverse): (i32, bool), default: i32) {
    let mut line = vec![weight.to_string()];
    if reverse {
        line.push("reverse".to_owned());
    }
    block.value("weight", line, weight == default && !reverse);
}

fn script(writer: &Writer<'_>, tracker: &TrackScript) -> Block {
    let mut block = writer.block();
    match &tracker.command {
        TrackCommand::Run(script) => {
            block.line("script", writer.command(script));
            let user = writer.user(script);
            if !user.is_empty() {
                block.line("user", user);
            }
        }
        TrackCommand::Opens(path) => block.line("script", format!("\"<{path}\"")),
    }
    block.value("interval", words::seconds(tracker.interval_us), tracker.interval_us == 1_000_000);
    if tracker.timeout_us != 0 {
        block.line("timeout", words::seconds(tracker.timeout_us));
    }
    weight(&mut block, (tracker.weight, tracker.reverse), 0);
    block.value("rise", tracker.rise.to_string(), tracker.rise == 1);
    block.value("fall", tracker.fall.to_string(), tracker.fall == 1);
    block.flag("init_fail", tracker.init_fail);
    block
}

fn file(writer: &Writer<'_>, tracker: &TrackFile) -> Block {
    let mut block = writer.block();
    block.line("file", words::plain(&tracker.path));
    weight(&mut block, (tracker.weight, tracker.reverse), 1);
    if let Some(init) = tracker.init {
        let mut line = vec![init.value.to_string()];
        if init.overwrite {
            line.push("overwrite".to_owned());
        }
        block.line("init_file", line);
    }
    block
}

/// Files that only a FILE_CHECK reads.
fn checked_files(writer: &Writer<'_>, top: &mut Block) {
    let trackers = &writer.config.trackers;
    let mut known: BTreeSet<&str> =
        trackers.files.iter().chain(&trackers.other_files).map(|file| file.name.as_str()).collect();
    let servers = writer.config.services.iter().flat_map(|service| &service.servers);
    for checker in servers.flat_map(|server| &server.checkers) {
        let Check::File(check) = &checker.check else { continue };
        if known.insert(&check.name) {
            let mut block = writer.block();
            block.line("file", words::plain(&check.path));
            top.push(Directive {
                block: Some(block.lines),
                ..Directive::new("track_file", vec![words::plain(&check.name)])
            });
        }
    }
}

fn process(writer: &Writer<'_>, tracker: &TrackProcess) -> Block {
    let mut block = writer.block();
    let words = std::iter::once(&tracker.path).chain(&tracker.parameters);
    block.line("process", words.map(|word| words::plain(word)).collect::<Vec<_>>());
    let implied = !tracker.parameters.is_empty();
    match tracker.parameter_match {
        ParameterMatch::None => {}
        ParameterMatch::Exact => block.value("param_match", (), implied),
        ParameterMatch::Partial => block.line("param_match", "partial"),
        ParameterMatch::Initial => block.line("param_match", "initial"),
    }
    if tracker.full_command {
        block.value("full_command", (), tracker.parameter_match != ParameterMatch::None);
    }
    weight(&mut block, (tracker.weight, tracker.reverse), 0);
    // None at all follows from the maximum.
    if tracker.quorum != 0 {
        block.value("quorum", tracker.quorum.to_string(), tracker.quorum == 1);
    }
    block.some("quorum_max", tracker.quorum_max);
    for (keyword, delay) in [("fork_delay", tracker.fork_delay_us), ("terminate_delay", tracker.terminate_delay_us)] {
        if delay != 0 {
            block.line(keyword, words::seconds(delay));
        }
    }
    block
}

/// Sessions and what VRRP makes of them, in the order of both lists. One of which VRRP knows only the name cannot work.
fn sessions(writer: &Writer<'_>, top: &mut Block) {
    let config = writer.config;
    let mut trackers = config.trackers.bfds.iter().peekable();
    for session in &config.bfd {
        let own = config.trackers.bfds.iter().find(|tracker| tracker.name == session.name);
        if let Some(own) = own {
            while let Some(other) = trackers.next_if(|other| other.name != own.name) {
                without_session(writer, other, top);
            }
            trackers.next();
        }
        let block = session_lines(writer, session, own);
        top.named("bfd_instance", words::plain(&session.name), &session.location, block);
    }
    for other in trackers {
        without_session(writer, other, top);
    }
    let servers = config.services.iter().flat_map(|service| &service.servers);
    let mut known: BTreeSet<&str> = config.bfd.iter().map(|session| session.name.as_str()).collect();
    known.extend(config.trackers.bfds.iter().map(|tracker| tracker.name.as_str()));
    for checker in servers.flat_map(|server| &server.checkers) {
        let Check::Bfd(name) = &checker.check else { continue };
        if known.insert(name) {
            let mut block = writer.block();
            block.line("checker", ());
            top.push(Directive {
                block: Some(block.lines),
                ..Directive::new("bfd_instance", vec![words::plain(name)])
            });
        }
    }
}

fn without_session(writer: &Writer<'_>, tracker: &TrackBfd, top: &mut Block) {
    let mut block = writer.block();
    weight(&mut block, (tracker.weight, tracker.reverse), 0);
    top.named("bfd_instance", words::plain(&tracker.name), &tracker.location, block);
}

fn session_lines(writer: &Writer<'_>, session: &BfdSession, tracker: Option<&TrackBfd>) -> Block {
    let mut block = writer.block();
    block.line("neighbor_ip", session.neighbour.to_string());
    block.some("source_ip", session.source);
    // Lines count milliseconds.
    let milliseconds = |us: u32| words::seconds(u64::from(us) * 1000);
    block.value("min_rx", milliseconds(session.min_rx_us), session.min_rx_us == 10_000);
    block.value("min_tx", milliseconds(session.min_tx_us), session.min_tx_us == 10_000);
    block.value("idle_tx", milliseconds(session.idle_tx_us), session.idle_tx_us == 1_000_000);
    block.value("multiplier", session.multiplier.to_string(), session.multiplier == 5);
    block.flag("passive", session.passive);
    block.some("ttl", session.ttl);
    let hops = session.max_hops.map_or("-1".to_owned(), |hops| hops.to_string());
    block.value("max_hops", hops, session.max_hops == Some(0));
    block.switch("multihop", session.multihop, false);
    if let Some(tracker) = tracker {
        weight(&mut block, (tracker.weight, tracker.reverse), 0);
    }
    block.flag("vrrp", session.for_vrrp && !session.for_checks);
    block.flag("checker", session.for_checks && !session.for_vrrp);
    block
}
