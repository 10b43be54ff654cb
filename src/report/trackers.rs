//! What can be tracked: its state and weight, and who tracks it.

use super::words;
use super::{RunsReport, TrackerReport};
use crate::bus::rows::{Finding, TrackerConfig, TrackerRow};
use crate::conf::model::{Track, TrackerKind};
use crate::export::Look;

/// All of them: scripts, files, processes, BFD sessions, each kind in the order of the file.
pub(super) fn all(look: &Look) -> Vec<TrackerReport> {
    let rows = &look.snapshot.vrrp;
    let sets = [&rows.scripts, &rows.files, &rows.processes, &rows.bfds];
    sets.into_iter().flat_map(|set| set.iter()).map(|(_, row)| report(look, row)).collect()
}

/// Instances, then sync groups, that have a line about it.
pub(super) fn tracked_by(look: &Look, kind: TrackerKind, name: &str) -> Vec<String> {
    let has = |lines: &[Track]| lines.iter().any(|line| line.kind == kind && line.name == name);
    let rows = &look.snapshot.vrrp;
    let instances = rows.instances.iter().filter(|(_, row)| has(&row.config.tracks));
    let groups = rows.sync_groups.iter().filter(|(_, row)| has(&row.config.tracks));
    let instances = instances.map(|(_, row)| row.config.name.to_string());
    instances.chain(groups.map(|(_, row)| row.config.name.clone())).collect()
}

fn report(look: &Look, row: &TrackerRow) -> TrackerReport {
    let (kind, name) = (row.config.kind(), row.config.name());
    let (weight, reverse) = match &row.config {
        TrackerConfig::Script(it) => (it.weight, it.reverse),
        TrackerConfig::File(it) => (it.weight, it.reverse),
        TrackerConfig::Process(it) => (it.weight, it.reverse),
        TrackerConfig::Bfd(it) => (it.weight, it.reverse),
    };
    let (up, value) = match row.finding {
        Finding::Unknown => (None, None),
        Finding::Good => (Some(true), None),
        Finding::Bad => (Some(false), None),
        Finding::Count { count, .. } if kind == TrackerKind::File => (None, Some(count)),
        Finding::Count { count, good } => (Some(good), Some(count)),
    };
    TrackerReport {
        kind: words::tracker_kind(kind).to_owned(),
        name: name.to_owned(),
        up,
        value,
        weight,
        reverse,
        tracked_by: tracked_by(look, kind, name),
        runs: (kind == TrackerKind::Script).then(|| runs(look, row)),
    }
}

fn runs(look: &Look, row: &TrackerRow) -> RunsReport {
    let counted = look.tracker_runs(row);
    RunsReport {
        success: counted.success,
        failure: counted.failure,
        timeout: counted.timeout,
        skipped: counted.skipped,
        running: row.runs.running,
        took: row.runs.took_us as f64 / 1e6,
    }
}
