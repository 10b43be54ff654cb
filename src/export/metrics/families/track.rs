//! What is tracked, and what is told to people and programs when something changes.

use super::super::family::{Family, counter, gauge};
use super::super::view::{View, seconds};
use crate::bus::bfd::BfdState;
use crate::bus::rows::{Finding, TrackerConfig, TrackerRow, TrackerRuns};
use crate::bus::timing::Deliveries;
use crate::conf::model::{Track, TrackProcess, TrackScript, TrackerKind};
use crate::report::{TrackedReport, tracked};
use crate::vrrp::track::{Effect, of_finding};

fn scripts<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a TrackScript, &'a TrackerRow)> {
    view.scripts().filter_map(|row| match &row.config {
        TrackerConfig::Script(config) => Some((config, row)),
        _ => None,
    })
}

fn processes<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a TrackProcess, &'a TrackerRow)> {
    view.processes().filter_map(|row| match &row.config {
        TrackerConfig::Process(config) => Some((config, row)),
        _ => None,
    })
}

fn good(finding: Finding) -> Option<bool> {
    match finding {
        Finding::Unknown => None,
        Finding::Good | Finding::Count { good: true, .. } => Some(true),
        Finding::Bad | Finding::Count { good: false, .. } => Some(false),
    }
}

/// Until it has run, a script counts as good unless `init_fail` says otherwise.
fn script_up(config: &TrackScript, row: &TrackerRow) -> bool {
    good(row.finding).unwrap_or(!config.init_fail)
}

/// What a line without a weight of its own adds.
fn script_weight(config: &TrackScript, row: &TrackerRow) -> i32 {
    let (weight, reverse) = (config.weight, config.reverse);
    let track = Track { kind: TrackerKind::Script, name: config.name.clone(), weight, reverse };
    match of_finding(&track, row.finding) {
        Effect::Add(weight) => weight,
        Effect::Nothing | Effect::Fault | Effect::Wait => 0,
    }
}

/// The number of a file or of processes; 0 as long as there is none.
fn number(finding: Finding) -> f64 {
    match finding {
        Finding::Count { count, .. } => count as f64,
        Finding::Unknown | Finding::Good | Finding::Bad => 0.0,
    }
}

/// Which router, what it tracks.
const TRACKED: &[&str] = &["vrrp_instance", "vrid", "family", "kind", "name"];

/// Every line of every instance and of its sync group.
fn for_each_tracked(view: &View<'_>, mut tell: impl FnMut(&[&str], &TrackedReport)) {
    for router in &view.instances {
        let [instance, vrid, family] = router.labels();
        for it in tracked(view.look, router.row) {
            tell(&[instance, vrid, family, &it.kind, &it.name], &it);
        }
    }
}

const SESSION_STATES: [(BfdState, &str); 4] =
    [(BfdState::AdminDown, "admin_down"), (BfdState::Down, "down"), (BfdState::Init, "init"), (BfdState::Up, "up")];

type Results = [(&'static str, fn(&TrackerRuns) -> u64); 4];

const RUN_RESULTS: Results = [
    ("success", |runs| runs.success),
    ("failure", |runs| runs.failure),
    ("timeout", |runs| runs.timeout),
    ("skipped", |runs| runs.skipped),
];

pub static FAMILIES: &[Family] = &[
    gauge("keepwatch_track_script_up", "1 while the script counts as good, after rise and fall.")
        .labels(&["script"])
        .from(|view, out| {
            for (config, row) in scripts(view) {
                out.flag(&[&config.name], script_up(config, row));
            }
        }),
    counter(
        "keepwatch_track_script_runs_total",
        "Runs: success, failure, timeout; skipped when the one before was not over.",
    )
    .labels(&["script", "result"])
    .from(|view, out| {
        for (config, row) in scripts(view) {
            let runs = view.look.tracker_runs(row);
            for (result, count) in RUN_RESULTS {
                out.count(&[&config.name, result], count(&runs));
            }
        }
    }),
    gauge("keepwatch_track_script_running", "1 while a run is under way.").labels(&["script"]).from(|view, out| {
        for (config, row) in scripts(view) {
            out.flag(&[&config.name], row.runs.running);
        }
    }),
    gauge("keepwatch_track_script_last_duration_seconds", "How long the last finished run took.")
        .labels(&["script"])
        .seconds()
        .from(|view, out| {
            for (config, row) in scripts(view) {
                out.put(&[&config.name], row.runs.took_us as f64 / 1e6);
            }
        }),
    gauge(
        "keepwatch_track_script_weight",
        "What the script's own weight adds to priorities now; an instance may give it another weight.",
    )
    .labels(&["script"])
    .from(|view, out| {
        for (config, row) in scripts(view) {
            out.put(&[&config.name], script_weight(config, row).into());
        }
    }),
    gauge("keepwatch_track_file_value", "The number in the tracked file; 0 without one.").labels(&["file"]).from(
        |view, out| {
            for row in view.files() {
                if let TrackerConfig::File(config) = &row.config {
                    out.put(&[&config.name], number(row.finding));
                }
            }
        },
    ),
    gauge("keepwatch_track_process_instances", "Processes that match now.").labels(&["process_name"]).from(
        |view, out| {
            for (config, row) in processes(view) {
                out.put(&[&config.name], number(row.finding));
            }
        },
    ),
    gauge("keepwatch_track_process_up", "1 while as many run as the quorum wants.").labels(&["process_name"]).from(
        |view, out| {
            for (config, row) in processes(view) {
                out.flag(&[&config.name], good(row.finding).unwrap_or(false));
            }
        },
    ),
    gauge("keepwatch_track_interface_up", "1 while the tracked interface is up and running.")
        .labels(&["interface"])
        .from(|view, out| {
            for (interface, up) in view.tracked_interfaces() {
                out.put_first(&[interface], f64::from(u8::from(up)));
            }
        }),
    gauge(
        "keepwatch_track_weight",
        "What a tracked interface, script, file, process or bfd session adds to an instance's priority now.",
    )
    .labels(TRACKED)
    .from(|view, out| {
        for_each_tracked(view, |labels, it| out.put_first(labels, it.adds.into()));
    }),
    gauge("keepwatch_track_fault", "1 while that is what keeps the instance in fault.").labels(TRACKED).from(
        |view, out| {
            for_each_tracked(view, |labels, it| out.put_first(labels, f64::from(u8::from(it.faults))));
        },
    ),
    gauge(
        "keepwatch_bfd_session_state",
        "1 for the state of the session, 0 for the others: admin_down, down, init, up.",
    )
    .labels(&["session", "state"])
    .from(|view, out| {
        for row in view.sessions() {
            for (state, name) in SESSION_STATES {
                out.flag(&[&row.config.name, name], row.state == state);
            }
        }
    }),
    gauge("keepwatch_bfd_last_transition_timestamp_seconds", "When the state of the session changed last.")
        .labels(&["session"])
        .seconds()
        .from(|view, out| {
            for row in view.sessions() {
                out.put(&[&row.config.name], seconds(row.since));
            }
        }),
    gauge("keepwatch_bfd_transmit_interval_seconds", "Between packets to the neighbour, jitter aside.")
        .labels(&["session"])
        .seconds()
        .from(|view, out| {
            for row in view.sessions() {
                out.put(&[&row.config.name], row.interval_us as f64 / 1e6);
            }
        }),
    gauge("keepwatch_bfd_session_up", "1 while the session is up.").labels(&["session"]).from(|view, out| {
        for row in view.sessions() {
            out.flag(&[&row.config.name], row.state == BfdState::Up);
        }
    }),
    counter("keepwatch_bfd_transitions_total", "Changes of the session: up, down.").labels(&["session", "to"]).from(
        |view, out| {
            for row in view.sessions() {
                let counters = view.look.bfd_counters(row);
                out.count(&[&row.config.name, "up"], counters.went_up);
                out.count(&[&row.config.name, "down"], counters.went_down);
            }
        },
    ),
    counter(
        "keepwatch_bfd_packets_total",
        "Control packets: sent, received; dropped are those of the neighbour that were no good.",
    )
    .labels(&["session", "result"])
    .from(|view, out| {
        for row in view.sessions() {
            let counters = view.look.bfd_counters(row);
            let results = [("sent", counters.sent), ("received", counters.received), ("dropped", counters.dropped)];
            for (result, count) in results {
                out.count(&[&row.config.name, result], count);
            }
        }
    }),
    counter("keepwatch_bfd_timeouts_total", "Detection times that went by in silence.").labels(&["session"]).from(
        |view, out| {
            for row in view.sessions() {
                out.count(&[&row.config.name], view.look.bfd_counters(row).expired);
            }
        },
    ),
    gauge(
        "keepwatch_bfd_detection_time_seconds",
        "Silence after which the session is lost; 0 before the first packet.",
    )
    .labels(&["session"])
    .seconds()
    .from(|view, out| {
        for row in view.sessions() {
            out.put(&[&row.config.name], row.detection_us as f64 / 1e6);
        }
    }),
    counter(
        "keepwatch_notifications_total",
        "Notifications by channel (script, fifo, smtp, trap): sent, failed, timeout, dropped.",
    )
    .labels(&["channel", "result"])
    .from(|view, out| {
        for (channel, told) in channels(view) {
            let results =
                [("sent", told.sent), ("failed", told.failed), ("timeout", told.timeout), ("dropped", told.dropped)];
            for (result, count) in results {
                out.count(&[channel, result], count);
            }
        }
    }),
    gauge("keepwatch_notification_queue_length", "Notifications that wait.").labels(&["channel"]).from(|view, out| {
        for (channel, told) in channels(view) {
            out.count(&[channel], told.waiting);
        }
    }),
];

/// The ways in which somebody is told, as far as they are configured.
fn channels(view: &View<'_>) -> Vec<(&'static str, Deliveries)> {
    let mut channels = vec![];
    if view.wanted("runner") {
        let runner = view.look.runner.unwrap_or_default();
        channels.extend([("script", runner.scripts), ("fifo", runner.fifos), ("smtp", runner.mails)]);
    }
    if view.look.snmp.traps_enabled {
        let mut told = Deliveries { waiting: traps_waiting(view), ..Deliveries::default() };
        for trap in view.look.traps.iter() {
            told.sent += trap.sent;
            told.timeout += trap.expired;
            told.dropped += trap.dropped;
        }
        told.failed = view.look.snmp.agentx.notifications_refused;
        channels.push(("trap", told));
    }
    channels
}

/// For the master agent and for receivers.
pub(super) fn traps_waiting(view: &View<'_>) -> u64 {
    let snmp = &view.look.snmp;
    let receivers = snmp.receivers.iter().map(|receiver| receiver.queue.length);
    receivers.chain([snmp.agentx.queue.length]).map(|length| length as u64).sum()
}
