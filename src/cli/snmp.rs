//! `keepwatch snmp`: the session with snmpd, the receivers of notifications, and the responder.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::client::Connection;
use super::outcome::{Failure, finish, print, print_json, status};
use super::text::age;
use super::watch::Watch;
use crate::clock;
use crate::control::snmp::{AgentX, ReceiverReport, SessionState, SnmpReport};
use crate::control::{Request, Response};

#[derive(Debug, Args)]
pub struct Snmp {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    watch: Watch,
}

impl Snmp {
    pub fn run(self) -> ExitCode {
        let result = self.watch.repeat(|| {
            let Response::Snmp { snmp } = self.connection.open()?.ask(&Request::Snmp)?.good()? else {
                return Err(Failure::nonsense());
            };
            if self.connection.json {
                print_json(&snmp);
            } else {
                print(&shown(&snmp, clock::wall().0 / 1_000_000_000));
            }
            Ok(if is_well(&snmp) { status::GOOD } else { status::TROUBLE })
        });
        finish(result, self.connection.json, None)
    }
}

/// Whether a script that watches has nothing to tell.
fn is_well(snmp: &SnmpReport) -> bool {
    let session = match snmp.agentx.state {
        SessionState::Off => true,
        SessionState::Up => snmp.agentx.refused.is_empty(),
        SessionState::Waiting | SessionState::Connecting | SessionState::Opening | SessionState::Registering => {
            // Without a master agent there is another way, if one is configured.
            snmp.responder.is_some() || !snmp.receivers.is_empty()
        }
    };
    let receivers = snmp.receivers.iter().all(|receiver| receiver.away_since.is_none());
    let sockets = snmp.responder.iter().flat_map(|responder| &responder.sockets).all(|socket| socket.open);
    // Without an engine the responder has no users and answers nobody.
    let engine = snmp.responder.is_none() || snmp.engine.is_some();
    session && receivers && sockets && engine
}

/// For people. `now`: seconds since 1970.
fn shown(snmp: &SnmpReport, now: u64) -> String {
    let mut out = String::new();
    agentx(&mut out, &snmp.agentx, now);
    if !snmp.traps_enabled {
        out += "\nNotifications are off: keepalived.conf has no enable_traps\n";
    }
    if !snmp.receivers.is_empty() {
        out += "\nReceivers\n";
        receivers(&mut out, &snmp.receivers, now);
    }
    if let Some(responder) = &snmp.responder {
        out += "\nResponder\n";
        for socket in &responder.sockets {
            let state = match (&socket.error, socket.open) {
                (_, true) => "open",
                (Some(error), false) => error,
                (None, false) => "not open yet",
            };
            let _ = writeln!(out, "  {}  {state}", socket.address);
        }
        for (name, count) in responder.counters.iter().filter(|(_, count)| *count > 0) {
            let _ = writeln!(out, "  {name} {count}");
        }
    }
    if let Some(engine) = &snmp.engine {
        let _ = writeln!(out, "\nEngine {}, boots {}, time {} s", engine.id, engine.boots, engine.time);
    }
    out
}

fn agentx(out: &mut String, agentx: &AgentX, now: u64) {
    // Writing to a String cannot fail.
    let state = match agentx.state {
        SessionState::Off => "off: no enable_snmp_... in keepalived.conf, and no -x",
        SessionState::Waiting => "down, waits for the next attempt",
        SessionState::Connecting => "down, connecting",
        SessionState::Opening => "down, connected, not answered yet",
        SessionState::Registering => "open, registering",
        SessionState::Up => "up",
    };
    let since = agentx.since.map(|since| format!(" for {}", age(now, since))).unwrap_or_default();
    let _ = writeln!(out, "AgentX  {state}{since}");
    if agentx.state == SessionState::Off {
        return;
    }
    let session = agentx.session.map(|session| format!(", session {session}")).unwrap_or_default();
    let _ = writeln!(out, "  master         {}{session}", agentx.address);
    let _ = writeln!(
        out,
        "  registrations  {} of {}{}",
        agentx.registrations_granted,
        agentx.registrations_wanted,
        if agentx.refused.is_empty() { String::new() } else { format!(", {} refused", agentx.refused.len()) }
    );
    for refused in &agentx.refused {
        let _ = writeln!(out, "    refused      {} ({})", refused.oid, refused.reason);
    }
    let queue = &agentx.queue;
    let _ = writeln!(
        out,
        "  notifications  {} sent, {} unacknowledged, {} never answered, {} refused; {} of {} wait, {} dropped, {} expired",
        agentx.notifications_sent,
        agentx.unacknowledged,
        agentx.notifications_unanswered,
        agentx.notifications_refused,
        queue.length,
        queue.limit,
        queue.dropped,
        queue.expired
    );
    let _ = writeln!(
        out,
        "  requests       {}; {} sessions opened, {} failed",
        agentx.requests, agentx.sessions_opened, agentx.sessions_failed
    );
    for (what, last) in [("last PDU in", &agentx.last_in), ("last PDU out", &agentx.last_out)] {
        if let Some(last) = last {
            let _ = writeln!(out, "  {what:<13}  {} {} ago", last.name, age(now, last.at));
        }
    }
    if let Some(error) = &agentx.last_error {
        let _ = writeln!(out, "  last error     {error}");
    }
}

fn receivers(out: &mut String, receivers: &[ReceiverReport], now: u64) {
    let head = ["address", "as", "state", "sent", "acked", "retried", "wait", "dropped", "expired", "last error"];
    let mut rows = vec![head.map(str::to_owned)];
    for receiver in receivers {
        let kind = format!("{} {}", receiver.version, if receiver.inform { "inform" } else { "trap" });
        let kind = receiver.user.as_ref().map_or(kind.clone(), |user| format!("{kind} ({user})"));
        let state = match receiver.away_since {
            Some(since) => format!("away {}", age(now, since)),
            None => "ok".to_owned(),
        };
        let acknowledged = if receiver.inform { receiver.acknowledged.to_string() } else { "-".to_owned() };
        let error = receiver.last_error.as_ref().map(|error| match receiver.last_error_at {
            Some(at) => format!("{error} ({} ago)", age(now, at)),
            None => error.clone(),
        });
        rows.push([
            receiver.address.clone(),
            kind,
            state,
            receiver.sent.to_string(),
            acknowledged,
            receiver.retried.to_string(),
            format!("{}/{}", receiver.queue.length + receiver.outstanding, receiver.queue.limit),
            receiver.queue.dropped.to_string(),
            receiver.queue.expired.to_string(),
            error.unwrap_or_default(),
        ]);
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "  {}", cells.join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::snmp::{EngineReport, LastPdu, ListenReport, QueueReport, RefusedSubtree, ResponderReport};

    fn queue(length: usize) -> QueueReport {
        QueueReport { length, limit: 256, dropped: 0, expired: 2 }
    }

    fn report() -> SnmpReport {
        let last = |name: &str, at| Some(LastPdu { name: name.to_owned(), at });
        SnmpReport {
            agentx: AgentX {
                state: SessionState::Up,
                since: Some(1000),
                address: "/var/agentx/master".to_owned(),
                session: Some(7),
                registrations_wanted: 44,
                registrations_granted: 43,
                refused: vec![RefusedSubtree {
                    oid: ".1.3.6.1.2.1.68.1.1".to_owned(),
                    reason: "duplicateRegistration".to_owned(),
                }],
                queue: queue(0),
                unacknowledged: 1,
                last_in: last("GetNext", 4590),
                last_out: last("Response", 4590),
                last_error: None,
                sessions_opened: 2,
                sessions_failed: 1,
                requests: 9000,
                notifications_sent: 12,
                notifications_refused: 0,
                notifications_unanswered: 4,
                ..AgentX::default()
            },
            traps_enabled: true,
            receivers: vec![
                ReceiverReport {
                    address: "192.0.2.10:162".to_owned(),
                    version: "v2c".to_owned(),
                    inform: false,
                    user: None,
                    queue: queue(0),
                    outstanding: 0,
                    away_since: None,
                    sent: 12,
                    acknowledged: 0,
                    retried: 0,
                    last_error: None,
                    last_error_at: None,
                },
                ReceiverReport {
                    address: "[2001:db8::10]:162".to_owned(),
                    version: "v3".to_owned(),
                    inform: true,
                    user: Some("ops".to_owned()),
                    queue: queue(3),
                    outstanding: 1,
                    away_since: Some(4000),
                    sent: 9,
                    acknowledged: 8,
                    retried: 6,
                    last_error: Some("does not answer within 1000 ms".to_owned()),
                    last_error_at: Some(4000),
                },
            ],
            responder: Some(ResponderReport {
                sockets: vec![ListenReport {
                    address: "127.0.0.1:161".to_owned(),
                    open: false,
                    error: Some("Address already in use".to_owned()),
                }],
                counters: vec![("snmpInPkts".to_owned(), 3), ("snmpInBadVersions".to_owned(), 0)],
            }),
            engine: Some(EngineReport { id: "80002572".to_owned(), boots: 3, time: 3600 }),
        }
    }

    #[test]
    fn a_person_sees_the_session_a_table_of_receivers_and_the_responder() {
        let expected = "\
AgentX  up for 60 min
  master         /var/agentx/master, session 7
  registrations  43 of 44, 1 refused
    refused      .1.3.6.1.2.1.68.1.1 (duplicateRegistration)
  notifications  12 sent, 1 unacknowledged, 4 never answered, 0 refused; 0 of 256 wait, 0 dropped, 2 expired
  requests       9000; 2 sessions opened, 1 failed
  last PDU in    GetNext 10 s ago
  last PDU out   Response 10 s ago

Receivers
  address             as               state        sent  acked  retried  wait   dropped  expired  last error
  192.0.2.10:162      v2c trap         ok           12    -      0        0/256  0        2
  [2001:db8::10]:162  v3 inform (ops)  away 10 min  9     8      6        4/256  0        2        does not answer within 1000 ms (10 min ago)

Responder
  127.0.0.1:161  Address already in use
  snmpInPkts 3

Engine 80002572, boots 3, time 3600 s
";
        assert_eq!(shown(&report(), 4600), expected);
    }

    #[test]
    fn the_exit_status_tells_whether_all_is_as_configured() {
        let mut snmp = report();
        assert!(!is_well(&snmp));
        snmp.agentx.refused.clear();
        snmp.receivers.pop();
        assert!(!is_well(&snmp), "a port is taken");
        if let Some(responder) = &mut snmp.responder {
            responder.sockets.iter_mut().for_each(|socket| socket.open = true);
        }
        assert!(is_well(&snmp));
        let engine = snmp.engine.take();
        assert!(!is_well(&snmp), "the responder has not begun");
        snmp.engine = engine;
        snmp.responder = None;
        assert!(is_well(&snmp));
        snmp.agentx.state = SessionState::Waiting;
        assert!(is_well(&snmp), "notifications go to a receiver");
        snmp.receivers.clear();
        assert!(!is_well(&snmp));
        snmp.agentx.state = SessionState::Off;
        assert!(is_well(&snmp));
    }
}
