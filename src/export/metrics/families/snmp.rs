//! The session with the SNMP master agent, and what managers change.

use super::super::family::{Family, Samples, Since, counter, gauge, histogram};
use super::super::view::View;
use super::track::traps_waiting;
use crate::control::snmp::{AgentX, SessionState};
use crate::export::look::TrapCount;
use crate::mib::tree::PARTS;

/// With a session or without one, but only where there is to be one.
fn session<'a>(view: &View<'a>, put: impl FnOnce(&'a AgentX)) {
    if view.agentx() {
        put(&view.look.snmp.agentx);
    }
}

/// These counters are the bridge's own.
const SINCE: Since = Since::Process("bridge");

const REQUESTS: [&str; 7] = ["get", "getnext", "getbulk", "testset", "commitset", "undoset", "cleanupset"];
const OBJECTS: [&str; 2] = ["realServerWeight", "vrrpInstanceBasePriority"];
const SET_RESULTS: [&str; 3] = ["committed", "refused", "undone"];

pub static FAMILIES: &[Family] = &[
    gauge("keepwatch_agentx_session_up", "1 while the session with the master agent is open and answered.")
        .from(|view, out| session(view, |agentx| out.flag(&[], agentx.state == SessionState::Up))),
    counter("keepwatch_agentx_connects_total", "Attempts to open the session: success, failure.")
        .labels(&["result"])
        .since(SINCE)
        .from(|view, out| {
            session(view, |agentx| {
                out.count(&["success"], agentx.sessions_opened);
                out.count(&["failure"], agentx.sessions_failed);
            });
        }),
    counter("keepwatch_agentx_ping_failures_total", "Pings that the master agent did not answer in time.")
        .since(SINCE)
        .from(|view, out| session(view, |agentx| out.count(&[], agentx.ping_failures))),
    gauge(
        "keepwatch_agentx_last_response_timestamp_seconds",
        "When the master agent sent anything last; 0 when never.",
    )
    .seconds()
    .from(|view, out| {
        session(view, |agentx| out.put(&[], agentx.last_in.as_ref().map_or(0.0, |pdu| pdu.at as f64)));
    }),
    counter(
        "keepwatch_agentx_requests_total",
        "Requests answered, by PDU: get, getnext, getbulk, testset, commitset, undoset, cleanupset.",
    )
    .labels(&["type"])
    .since(SINCE)
    .from(|view, out| {
        session(view, |agentx| {
            for pdu in REQUESTS {
                let counts = agentx.requests_by_type.iter().filter(|(name, _)| name == pdu);
                out.count(&[pdu], counts.map(|(_, count)| count).sum());
            }
        });
    }),
    histogram("keepwatch_agentx_request_duration_seconds", "From a request read until its response was written.")
        .since(SINCE)
        .from(|view, out| session(view, |agentx| out.histogram(&[], &agentx.request_times))),
    counter(
        "keepwatch_agentx_traps_total",
        "Notifications, over the session and to receivers: sent, expired, dropped.",
    )
    .labels(&["trap", "result"])
    .since(SINCE)
    .from(traps),
    gauge("keepwatch_agentx_trap_queue_length", "Notifications that wait for the master agent or a receiver.").from(
        |view, out| {
            if view.look.snmp.traps_enabled {
                out.count(&[], traps_waiting(view));
            }
        },
    ),
    counter("keepwatch_snmp_sets_total", "SETs: committed, refused, undone.")
        .labels(&["object", "result"])
        .since(SINCE)
        .from(|view, out| {
            if !view.agentx() && view.look.snmp.responder.is_none() {
                return;
            }
            let sets = &view.look.snmp.agentx.sets;
            for object in OBJECTS {
                for result in SET_RESULTS {
                    let counts = sets.iter().filter(|(of, became, _)| of == object && became == result);
                    out.count(&[object, result], counts.map(|(_, _, count)| count).sum());
                }
            }
        }),
];

/// Those that were sent, and every one that could be: so that the first is seen as an increase.
fn traps(view: &View<'_>, out: &mut Samples) {
    let known = PARTS.iter().flat_map(|part| part.notifications).map(|notification| notification.name);
    let known = known.filter(|_| view.look.snmp.traps_enabled);
    let none = known.map(|trap| TrapCount { trap: trap.to_owned(), sent: 0, expired: 0, dropped: 0 });
    for count in view.look.traps.iter().cloned().chain(none) {
        out.put_first(&[&count.trap, "sent"], count.sent as f64);
        out.put_first(&[&count.trap, "expired"], count.expired as f64);
        out.put_first(&[&count.trap, "dropped"], count.dropped as f64);
    }
}
