//! BFD sessions: what each is, and who relies on it.

use super::words::{self, unix};
use super::{BfdCountersReport, BfdReport, BfdSessionReport, status, trackers};
use crate::bus::bfd::{BfdCounters, BfdRow};
use crate::bus::msg::Source;
use crate::conf::model::TrackerKind;
use crate::export::Look;
use crate::wire::bfd::Diagnostic;

/// `/api/v1/bfd`.
pub fn bfd(look: &Look) -> BfdReport {
    BfdReport { at: unix(look.at), silent: status::silent(look, Source::Vrrp), sessions: sessions(look) }
}

/// All of them, in the order of the file.
pub(super) fn sessions(look: &Look) -> Vec<BfdSessionReport> {
    look.snapshot.vrrp.sessions.iter().map(|(_, row)| session(look, row)).collect()
}

fn session(look: &Look, row: &BfdRow) -> BfdSessionReport {
    let config = &row.config;
    BfdSessionReport {
        name: config.name.clone(),
        neighbour: config.neighbour.to_string(),
        source: config.source.map(|source| source.to_string()),
        state: words::session_state(row.state).to_owned(),
        since: unix(row.since),
        diagnostic: diagnostic(row.diagnostic),
        remote_state: words::session_state(row.remote_state).to_owned(),
        remote_diagnostic: diagnostic(row.remote_diagnostic),
        discriminator: row.discriminator,
        remote_discriminator: row.remote_discriminator,
        multihop: config.multihop,
        passive: config.passive,
        interval: row.interval_us as f64 / 1e6,
        detection_time: (row.detection_us > 0).then(|| row.detection_us as f64 / 1e6),
        tracked_by: trackers::tracked_by(look, TrackerKind::Bfd, &config.name),
        for_checks: config.for_checks,
        counters: counters(&look.bfd_counters(row)),
    }
}

/// Empty where nothing has gone wrong.
fn diagnostic(code: u8) -> String {
    match code {
        0 => String::new(),
        code => Diagnostic::from(code).to_string(),
    }
}

fn counters(counters: &BfdCounters) -> BfdCountersReport {
    BfdCountersReport {
        sent: counters.sent,
        received: counters.received,
        dropped: counters.dropped,
        timeouts: counters.expired,
        went_up: counters.went_up,
        went_down: counters.went_down,
    }
}
