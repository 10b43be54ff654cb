//! The journal of edges as events that people and programs read.

use super::words::{self, unix};
use super::{Event, EventsReport, Severity};
use crate::bus::msg::{Edge, QuorumStatus};
use crate::bus::rows::{Reason, State};
use crate::clock::WallTime;
use crate::conf::model::ServerKey;
use crate::export::Look;

/// `/api/v1/events`: those from number `since` on that are still there. A number beyond the last one is of a daemon
/// before this: numbers began anew, and everything there is answers it.
pub fn events(look: &Look, since: u64) -> EventsReport {
    let next = next(look);
    let since = if since > next { 0 } else { since };
    let events = look.events.iter().filter(|(number, _)| *number >= since);
    EventsReport { events: events.map(|(number, edge)| event(*number, edge)).collect(), next }
}

/// The last of them, the oldest first.
pub(super) fn last(look: &Look, most: usize) -> Vec<Event> {
    let from = look.events.len().saturating_sub(most);
    look.events.iter().skip(from).map(|(number, edge)| event(*number, edge)).collect()
}

/// Those that a filter wants, the last `most` of them.
pub(super) fn matching(look: &Look, most: usize, wanted: impl Fn(&Edge) -> bool) -> Vec<Event> {
    let newest = look.events.iter().rev().filter(|(_, edge)| wanted(edge)).take(most);
    let mut events: Vec<Event> = newest.map(|(number, edge)| event(*number, edge)).collect();
    events.reverse();
    events
}

fn next(look: &Look) -> u64 {
    look.events.last().map_or(0, |(number, _)| number + 1)
}

pub(super) fn at(edge: &Edge) -> WallTime {
    match edge {
        Edge::Transition { at, .. }
        | Edge::SyncGroup { at, .. }
        | Edge::Tracker { at, .. }
        | Edge::BadPacket { at, .. }
        | Edge::Server { at, .. }
        | Edge::Quorum { at, .. } => *at,
    }
}

pub(super) fn event(number: u64, edge: &Edge) -> Event {
    let (kind, severity, subject, text) = match edge {
        Edge::Transition { instance, from, to, reason, .. } => {
            let text = format!("{} to {}: {}", words::state(*from), words::state(*to), transition_reason(*to, *reason));
            ("transition", severity_of(*to), format!("vrrp {instance}"), text)
        }
        Edge::SyncGroup { group, to, .. } => {
            ("sync-group", severity_of(*to), format!("sync group {group}"), format!("is {} now", words::state(*to)))
        }
        Edge::Tracker { kind, name, finding, .. } => {
            let (severity, text) = words::finding(*kind, *finding);
            ("tracker", severity, format!("{} {name}", words::tracker_kind(*kind)), text)
        }
        Edge::BadPacket { instance, source, fault, unreported, .. } => {
            let more = match unreported {
                0 => String::new(),
                more => format!("; {more} more before it"),
            };
            let text = format!("refused an advert from {source}: {}{more}", words::packet_fault(*fault));
            ("bad-packet", Severity::Warning, format!("vrrp {instance}"), text)
        }
        Edge::Server { server, up, servers_up, servers_total, reason, .. } => {
            let (severity, word) = if *up { (Severity::Info, "up") } else { (Severity::Warning, "down") };
            let text = format!("{word}: {reason}; {servers_up} of {servers_total} up");
            ("real-server", severity, real_server(server), text)
        }
        Edge::Quorum { service, status, quorum, servers_up, servers_total, .. } => {
            let (severity, word) = match status {
                QuorumStatus::Met => (Severity::Info, "has its quorum"),
                QuorumStatus::NotMet => (Severity::Critical, "lost its quorum"),
                QuorumStatus::Shutdown => (Severity::Info, "stops; its quorum was"),
            };
            let text = format!("{word} of {quorum}; {servers_up} of {servers_total} servers up");
            ("quorum", severity, format!("virtual server {service}"), text)
        }
    };
    Event { number, at: unix(at(edge)), kind: kind.to_owned(), severity, subject, text }
}

pub(super) fn real_server(key: &ServerKey) -> String {
    let kind = if key.sorry { "sorry server" } else { "real server" };
    format!("{kind} {key} of {}", key.service)
}

fn severity_of(state: State) -> Severity {
    match state {
        State::Fault => Severity::Warning,
        State::Init | State::Backup | State::Master | State::Shutdown | State::Deleted => Severity::Info,
    }
}

/// Why, as far as the event itself tells.
fn transition_reason(to: State, reason: Reason) -> &'static str {
    let over = to == State::Backup;
    match reason {
        Reason::Startup => "it was started",
        Reason::MasterNoResponse => "nothing was heard of a master",
        Reason::MasterResigned => "the master resigned",
        Reason::Preempted => "it goes before a weaker master, or owns the addresses",
        Reason::HigherPriorityHeard => "a better master was heard",
        Reason::InterfaceDown => "an interface is not as required",
        Reason::InterfaceUp => "its interfaces are as required again",
        Reason::SourceMissing if over => "there is a source address for adverts again",
        Reason::SourceMissing => "there is no source address for adverts",
        Reason::NoPeers if over => "there are unicast peers again",
        Reason::NoPeers => "there are no unicast peers",
        Reason::Commanded => "an operator said so",
        Reason::Reload => "the configuration was reloaded",
        Reason::Shutdown => "the daemon stops",
        Reason::LateTimer => "the process woke up too late (timer_expired_backup)",
        Reason::SyncGroup => "another member of its sync group did",
        Reason::Tracker if over => "what it tracks is as required again",
        Reason::Tracker => "something that it tracks is not as required",
    }
}
