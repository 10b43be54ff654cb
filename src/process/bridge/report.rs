//! What `keepwatch snmp` is told.

use std::collections::BTreeMap;

use super::Bridge;
use crate::agentx::Phase;
use crate::agentx::set::SetCount;
use crate::clock::{self, Instant};
use crate::conf::model::{QueueSettings, Security};
use crate::control::snmp::{
    AgentX, EngineReport, LastPdu, ListenReport, QueueReport, ReceiverReport, RefusedSubtree, ResponderReport,
    SessionState, SnmpReport,
};
use crate::export::look::TrapCount;
use crate::process::supervisor::DEFAULT_AGENTX;
use crate::snmp::engine::hex;
use crate::snmp::sender::ReceiverStatus;

/// A point on our clock, seconds since 1970.
struct Calendar {
    now: Instant,
    wall_ns: u64,
}

impl Calendar {
    fn at(&self, then: Instant) -> u64 {
        let ago = u64::try_from(self.now.since(then).as_nanos()).unwrap_or(u64::MAX);
        self.wall_ns.saturating_sub(ago) / 1_000_000_000
    }
}

impl Bridge {
    pub(super) fn snmp_report(&mut self) -> SnmpReport {
        let calendar = Calendar { now: clock::now(), wall_ns: clock::wall().0 };
        let queue = self.direct.settings().queue;
        let receivers = self.direct.sender.status(calendar.now);
        let listening = self.direct.listening.iter().map(|listening| ListenReport {
            address: listening.address.to_string(),
            open: listening.socket.is_some(),
            error: listening.error.clone(),
        });
        let sockets: Vec<ListenReport> = listening.collect();
        let responder = self
            .direct
            .settings()
            .responder
            .is_some()
            .then(|| ResponderReport { sockets, counters: self.agent.stats().map(counters).unwrap_or_default() });
        let engine = self.direct.engine().map(|engine| EngineReport {
            id: hex(&engine.id),
            boots: engine.boots,
            time: engine.time(calendar.now),
        });
        SnmpReport {
            agentx: self.agentx_report(&calendar, queue),
            traps_enabled: self.snmp.traps,
            receivers: receivers.into_iter().map(|receiver| receiver_report(receiver, queue, &calendar)).collect(),
            responder,
            engine,
        }
    }

    fn agentx_report(&mut self, calendar: &Calendar, limits: QueueSettings) -> AgentX {
        let status = self.session.status(calendar.now);
        let address = self.options.snmp_agent_socket.as_deref().or(self.snmp.socket.as_deref());
        let last = |seen: Option<(Instant, &'static str)>| {
            seen.map(|(at, name)| LastPdu { name: name.to_owned(), at: calendar.at(at) })
        };
        AgentX {
            state: match status.phase {
                Phase::Off => SessionState::Off,
                Phase::Waiting => SessionState::Waiting,
                Phase::Connecting => SessionState::Connecting,
                Phase::Opening => SessionState::Opening,
                Phase::Registering => SessionState::Registering,
                Phase::Up => SessionState::Up,
            },
            since: status.since.map(|since| calendar.at(since)),
            address: address.unwrap_or(DEFAULT_AGENTX).to_owned(),
            session: status.session,
            registrations_wanted: status.wanted,
            registrations_granted: status.granted,
            refused: status
                .refused
                .iter()
                .map(|(oid, reason)| RefusedSubtree { oid: oid.to_string(), reason: (*reason).to_owned() })
                .collect(),
            queue: QueueReport {
                length: status.queued,
                limit: limits.length,
                dropped: status.stats.traps_dropped,
                expired: status.stats.traps_expired,
            },
            unacknowledged: status.unacknowledged,
            last_in: last(status.last_in),
            last_out: last(status.last_out),
            last_error: status.last_error,
            sessions_opened: status.stats.opened,
            sessions_failed: status.stats.failed,
            requests: status.stats.requests,
            notifications_sent: status.stats.traps_sent,
            notifications_refused: status.stats.traps_refused,
            notifications_unanswered: status.stats.traps_unanswered,
            ping_failures: status.stats.ping_failures,
            requests_by_type: status
                .stats
                .by_type
                .named()
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            request_times: status.stats.request_times,
            sets: self.sets(),
        }
    }

    /// SETs over both ways, with the objects that can be set before anybody has.
    fn sets(&self) -> Vec<(String, String, u64)> {
        const OBJECTS: [&str; 3] = ["vrrpInstanceBasePriority", "vrrpInstancePreempt", "realServerWeight"];
        let mut all: BTreeMap<&str, SetCount> =
            OBJECTS.into_iter().map(|object| (object, SetCount::default())).collect();
        for (object, count) in self.session.sets().iter().chain(self.agent.sets().into_iter().flatten()) {
            let sum = all.entry(object).or_default();
            sum.committed += count.committed;
            sum.refused += count.refused;
            sum.undone += count.undone;
        }
        let results = |(object, count): (&str, SetCount)| {
            [("committed", count.committed), ("refused", count.refused), ("undone", count.undone)]
                .map(|(result, count)| (object.to_owned(), result.to_owned(), count))
        };
        all.into_iter().flat_map(results).collect()
    }

    /// Notifications by name, over both ways.
    pub(super) fn trap_counts(&mut self, now: Instant) -> Vec<TrapCount> {
        let mut all = self.direct.sender.tallies(now);
        all.add(self.session.traps(now));
        let counts = all.named().into_iter().map(|(trap, tally)| TrapCount {
            trap: trap.to_owned(),
            sent: tally.sent,
            expired: tally.expired,
            dropped: tally.dropped,
        });
        counts.collect()
    }
}

fn receiver_report(status: ReceiverStatus, limits: QueueSettings, calendar: &Calendar) -> ReceiverReport {
    let (version, user) = match &status.receiver.security {
        Security::V1 { .. } => ("v1", None),
        Security::V2c { .. } => ("v2c", None),
        Security::V3 { user } => ("v3", Some(user.clone())),
    };
    let (last_error_at, last_error) = status.last_error.unzip();
    ReceiverReport {
        address: status.receiver.address.to_string(),
        version: version.to_owned(),
        inform: status.receiver.inform.is_some(),
        user,
        queue: QueueReport {
            length: status.queued,
            limit: limits.length,
            dropped: status.counters.dropped,
            expired: status.counters.expired,
        },
        outstanding: status.outstanding,
        away_since: status.away_since.map(|since| calendar.at(since)),
        sent: status.counters.sent,
        acknowledged: status.counters.acknowledged,
        retried: status.counters.retried,
        last_error,
        last_error_at: last_error_at.map(|at| calendar.at(at)),
    }
}

/// What the responder counted, by the names of the objects.
fn counters(stats: &crate::snmp::stats::Stats) -> Vec<(String, u32)> {
    const SNMP: [(usize, &str); 9] = [
        (1, "snmpInPkts"),
        (2, "snmpOutPkts"),
        (3, "snmpInBadVersions"),
        (4, "snmpInBadCommunityNames"),
        (5, "snmpInBadCommunityUses"),
        (6, "snmpInASNParseErrs"),
        (15, "snmpInGetRequests"),
        (16, "snmpInGetNexts"),
        (17, "snmpInSetRequests"),
    ];
    const USM: [(usize, &str); 6] = [
        (1, "usmStatsUnsupportedSecLevels"),
        (2, "usmStatsNotInTimeWindows"),
        (3, "usmStatsUnknownUserNames"),
        (4, "usmStatsUnknownEngineIDs"),
        (5, "usmStatsWrongDigests"),
        (6, "usmStatsDecryptionErrors"),
    ];
    let snmp = SNMP.into_iter().map(|(number, name)| (name.to_owned(), stats.snmp(number)));
    let usm = USM.into_iter().map(|(number, name)| (name.to_owned(), stats.usm(number)));
    snmp.chain(usm).collect()
}
