//! Trackers: scripts, files, processes and BFD sessions, and which instance or sync group tracks them.

use crate::bus::rows::{Finding, TrackerConfig, TrackerRow};
use crate::conf::model::{ParameterMatch, Track, TrackBfd, TrackFile, TrackProcess, TrackScript};
use crate::mib::table::{Column, Syntax, Table};
use crate::mib::value::{micros, one_or_two, seconds_of_us};
use crate::wire::value::Value;

const WEIGHT: Syntax = Syntax::integer("Integer32(-254..254)");

/// A table of the lines that name trackers of one kind. They differ in their names and numbers only.
macro_rules! tracked {
    (
        $table:ident, $name:literal, $entry:expr, [$owner:literal, $place:literal], $help:literal, $rows:expr,
        $track:literal, $weight:literal: $syntax:expr, $reverse:literal
    ) => {
        pub static $table: Table<Track> = Table {
            name: $name,
            entry: $entry,
            index: &[$owner, $place],
            help: $help,
            rows: $rows,
            columns: &[
                Column::shown(2, $track, Syntax::DISPLAY_STRING, "What the line names.", |row| {
                    Some(Value::text(&row.name))
                }),
                Column::shown(
                    3,
                    $weight,
                    $syntax,
                    "Weight of the line, or else of what it names (Keepalived shows the latter for all but scripts).",
                    |row| Some(Value::Integer(row.weight)),
                ),
                Column::shown(
                    4,
                    $reverse,
                    Syntax::TRUE_FALSE,
                    "Whether that weight is reversed: by the line, or by what it names unless the line says `noreverse`.",
                    |row| Some(one_or_two(row.reverse)),
                ),
            ],
        };
    };
}

tracked! {
    TRACKED_SCRIPT, "vrrpTrackedScriptTable", &[2, 5, 1], ["vrrpInstanceIndex", "vrrpTrackedScriptIndex"],
    "Lines of `track_script` in a `vrrp_instance`, by their place from 1.",
    |snapshot| &snapshot.vrrp.tracks.scripts,
    "vrrpTrackedScriptName", "vrrpTrackedScriptWeight": Syntax::INTEGER32, "vrrpTrackedScriptWgtRev"
}

tracked! {
    TRACKED_FILE, "vrrpTrackedFileTable", &[2, 12, 1], ["vrrpInstanceIndex", "vrrpTrackedFileIndex"],
    "Lines of `track_file` in a `vrrp_instance`, by their place from 1.",
    |snapshot| &snapshot.vrrp.tracks.files,
    "vrrpTrackedFileName", "vrrpTrackedFileWeight": WEIGHT, "vrrpTrackedFileWgtRev"
}

tracked! {
    SYNC_TRACKED_SCRIPT, "vrrpSyncTrackedScriptTable", &[2, 15, 1],
    ["vrrpSyncGroupIndex", "vrrpSyncTrackedScriptIndex"],
    "Lines of `track_script` in a `vrrp_sync_group`, by their place from 1.",
    |snapshot| &snapshot.vrrp.sync_tracks.scripts,
    "vrrpSyncTrackedScriptName", "vrrpSyncTrackedScriptWeight": Syntax::INTEGER32, "vrrpSyncTrackedScriptWgtRev"
}

tracked! {
    SYNC_TRACKED_FILE, "vrrpSyncTrackedFileTable", &[2, 16, 1], ["vrrpSyncGroupIndex", "vrrpSyncTrackedFileIndex"],
    "Lines of `track_file` in a `vrrp_sync_group`, by their place from 1.",
    |snapshot| &snapshot.vrrp.sync_tracks.files,
    "vrrpSyncTrackedFileName", "vrrpSyncTrackedFileWeight": WEIGHT, "vrrpSyncTrackedFileWgtRev"
}

tracked! {
    TRACKED_BFD, "vrrpTrackedBfdTable", &[2, 17, 1], ["vrrpInstanceIndex", "vrrpTrackedBfdIndex"],
    "Lines of `track_bfd` in a `vrrp_instance`, by their place from 1.",
    |snapshot| &snapshot.vrrp.tracks.bfds,
    "vrrpTrackedBfdName", "vrrpTrackedBfdWeight": WEIGHT, "vrrpTrackedBfdWgtRev"
}

tracked! {
    SYNC_TRACKED_BFD, "vrrpSyncTrackedBfdTable", &[2, 19, 1], ["vrrpSyncGroupIndex", "vrrpSyncTrackedBfdIndex"],
    "Lines of `track_bfd` in a `vrrp_sync_group`, by their place from 1.",
    |snapshot| &snapshot.vrrp.sync_tracks.bfds,
    "vrrpSyncTrackedBfdName", "vrrpSyncTrackedBfdWeight": WEIGHT, "vrrpSyncTrackedBfdWgtRev"
}

tracked! {
    TRACKED_PROCESS, "vrrpTrackedProcessTable", &[2, 20, 1], ["vrrpInstanceIndex", "vrrpTrackedProcessIndex"],
    "Lines of `track_process` in a `vrrp_instance`, by their place from 1.",
    |snapshot| &snapshot.vrrp.tracks.processes,
    "vrrpTrackedProcessName", "vrrpTrackedProcessWeight": WEIGHT, "vrrpTrackedProcessWgtRev"
}

tracked! {
    SYNC_TRACKED_PROCESS, "vrrpSyncTrackedProcessTable", &[2, 22, 1],
    ["vrrpSyncGroupIndex", "vrrpSyncTrackedProcessIndex"],
    "Lines of `track_process` in a `vrrp_sync_group`, by their place from 1.",
    |snapshot| &snapshot.vrrp.sync_tracks.processes,
    "vrrpSyncTrackedProcessName", "vrrpSyncTrackedProcessWeight": WEIGHT, "vrrpSyncTrackedProcessWgtRev"
}

pub static SCRIPT: Table<TrackerRow> = Table {
    name: "vrrpScriptTable",
    entry: &[2, 9, 1],
    index: &["vrrpScriptIndex"],
    help: "Each `vrrp_script` that somebody tracks, numbered from 1 in the order of the file.",
    rows: |snapshot| &snapshot.vrrp.scripts,
    columns: &[
        Column::shown(2, "vrrpScriptName", Syntax::DISPLAY_STRING, "Name of the `vrrp_script`.", |row| {
            Some(Value::text(&script(row)?.name))
        }),
        Column::shown(
            3,
            "vrrpScriptCommand",
            Syntax::DISPLAY_STRING,
            "`script`: every word in single quotes, the program's directory resolved. `</path` as it is written.",
            |row| Some(Value::text(&script(row)?.command.text())),
        ),
        Column::shown(
            4,
            "vrrpScriptInterval",
            Syntax::INTEGER32,
            "`interval` in whole seconds, rounded down.",
            |row| match seconds_of_us(script(row)?.interval_us) {
                Value::Gauge32(seconds) => Some(Value::Integer(i32::try_from(seconds).unwrap_or(i32::MAX))),
                other => Some(other),
            },
        ),
        Column::shown(5, "vrrpScriptWeight", Syntax::INTEGER32, "`weight`.", |row| {
            Some(Value::Integer(script(row)?.weight))
        }),
        Column::shown(
            6,
            "vrrpScriptResult",
            Syntax::integer("INTEGER{init(1),bad(2),good(3),initfailed(5)}"),
            "What it has found; before that init(1), or initfailed(5) with `init_fail` (Keepalived shows init(1)).",
            script_result,
        ),
        Column::shown(7, "vrrpScriptRise", Syntax::UNSIGNED32, "`rise`.", |row| {
            Some(Value::Gauge32(script(row)?.rise))
        }),
        Column::shown(8, "vrrpScriptFall", Syntax::UNSIGNED32, "`fall`.", |row| {
            Some(Value::Gauge32(script(row)?.fall))
        }),
        Column::shown(9, "vrrpScriptWgtRev", Syntax::TRUE_FALSE, "`weight` with `reverse`.", |row| {
            Some(one_or_two(script(row)?.reverse))
        }),
        Column::shown(
            10,
            "vrrpScriptPath",
            Syntax::DISPLAY_STRING,
            "The file that is executed; of `</path`, the file that is opened.",
            |row| Some(Value::text(script(row)?.command.path())),
        ),
        Column::shown(11, "vrrpScriptIntervalUsec", Syntax::UNSIGNED32, "`interval` in microseconds.", |row| {
            Some(micros(script(row)?.interval_us))
        }),
        Column::shown(
            12,
            "vrrpScriptTimeoutUsec",
            Syntax::UNSIGNED32,
            "`timeout` in microseconds; 0 when not configured.",
            |row| Some(micros(script(row)?.timeout_us)),
        ),
    ],
};

pub static FILE: Table<TrackerRow> = Table {
    name: "vrrpFileTable",
    entry: &[2, 13, 1],
    index: &["vrrpFileIndex"],
    help: "Each `track_file` that an instance or a sync group tracks, numbered from 1 in the order of the file.",
    rows: |snapshot| &snapshot.vrrp.files,
    columns: &[
        Column::shown(2, "vrrpFileName", Syntax::DISPLAY_STRING, "Name of the `track_file`.", |row| {
            Some(Value::text(&file(row)?.name))
        }),
        Column::shown(3, "vrrpFilePath", Syntax::DISPLAY_STRING, "`file`.", |row| Some(Value::text(&file(row)?.path))),
        Column::shown(
            4,
            "vrrpFileResult",
            Syntax::INTEGER32,
            "The number in the file, before it is weighted; 0 before it was read.",
            |row| Some(Value::Integer(count(row.finding))),
        ),
        Column::shown(5, "vrrpFileWeight", WEIGHT, "`weight`; 1 when not configured.", |row| {
            Some(Value::Integer(file(row)?.weight))
        }),
        Column::shown(6, "vrrpFileWgtRev", Syntax::TRUE_FALSE, "`weight` with `reverse`.", |row| {
            Some(one_or_two(file(row)?.reverse))
        }),
    ],
};

pub static BFD: Table<TrackerRow> = Table {
    name: "vrrpBfdTable",
    entry: &[2, 18, 1],
    index: &["vrrpBfdIndex"],
    help: "Each `bfd_instance` that is not for checkers only, tracked or not, numbered from 1 in the order of the file.",
    rows: |snapshot| &snapshot.vrrp.bfds,
    columns: &[
        Column::shown(2, "vrrpBfdName", Syntax::DISPLAY_STRING, "Name of the `bfd_instance`.", |row| {
            Some(Value::text(&bfd(row)?.name))
        }),
        Column::shown(3, "vrrpBfdResult", Syntax::INTEGER32, "1 while the session is up, otherwise 0.", |row| {
            Some(Value::Integer((row.finding == Finding::Good).into()))
        }),
        Column::shown(4, "vrrpBfdWeight", WEIGHT, "`weight`.", |row| Some(Value::Integer(bfd(row)?.weight))),
        Column::shown(5, "vrrpBfdWgtRev", Syntax::TRUE_FALSE, "`weight` with `reverse`.", |row| {
            Some(one_or_two(bfd(row)?.reverse))
        }),
    ],
};

pub static PROCESS: Table<TrackerRow> = Table {
    name: "vrrpProcessTable",
    entry: &[2, 21, 1],
    index: &["vrrpProcessIndex"],
    help: "Each `vrrp_track_process`, tracked or not, numbered from 1 in the order of the file.",
    rows: |snapshot| &snapshot.vrrp.processes,
    columns: &[
        Column::shown(2, "vrrpProcessName", Syntax::DISPLAY_STRING, "Name of the `vrrp_track_process`.", |row| {
            Some(Value::text(&process(row)?.name))
        }),
        Column::shown(3, "vrrpProcessPath", Syntax::DISPLAY_STRING, "First word of `process`.", |row| {
            Some(Value::text(&process(row)?.path))
        }),
        Column::shown(
            4,
            "vrrpProcessParams",
            Syntax::DISPLAY_STRING,
            "Its other words, joined by blanks; empty without any.",
            |row| Some(Value::text(&process(row)?.parameters.join(" "))),
        ),
        Column::shown(
            5,
            "vrrpProcessParamMatch",
            Syntax::integer("INTEGER{none(0),exact(1),partial(2),initial(3)}"),
            "`param_match`; exact(1) for parameters without it (Keepalived swaps the last two).",
            |row| Some(parameter_match(process(row)?)),
        ),
        Column::shown(6, "vrrpProcessWeight", WEIGHT, "`weight`.", |row| Some(Value::Integer(process(row)?.weight))),
        Column::shown(7, "vrrpProcessWgtRev", Syntax::TRUE_FALSE, "`weight` with `reverse`.", |row| {
            Some(one_or_two(process(row)?.reverse))
        }),
        Column::shown(
            8,
            "vrrpProcessQuorum",
            Syntax::UNSIGNED32,
            "`quorum`: the fewest that must run; 0 with `quorum_max 0`.",
            |row| Some(Value::Gauge32(process(row)?.quorum)),
        ),
        Column::shown(
            9,
            "vrrpProcessQuorumMax",
            Syntax::INTEGER32,
            "`quorum_max`: the most that may run; -1 when not configured.",
            |row| {
                let most = process(row)?.quorum_max.map(|max| i32::try_from(max).unwrap_or(i32::MAX));
                Some(Value::Integer(most.unwrap_or(-1)))
            },
        ),
        Column::shown(10, "vrrpProcessForkDelay", Syntax::UNSIGNED32, "`fork_delay` in microseconds.", |row| {
            Some(micros(process(row)?.fork_delay_us))
        }),
        Column::shown(
            11,
            "vrrpProcessTerminateDelay",
            Syntax::UNSIGNED32,
            "`terminate_delay` in microseconds.",
            |row| Some(micros(process(row)?.terminate_delay_us)),
        ),
        Column::shown(
            12,
            "vrrpProcessFullCommand",
            Syntax::TRUE_FALSE,
            "Whether the whole command line counts: `full_command`, or implied by parameters or `param_match`.",
            |row| Some(one_or_two(process(row)?.full_command)),
        ),
        Column::shown(
            13,
            "vrrpProcessCurProc",
            Syntax::INTEGER32,
            "How many run; 0 before they were counted.",
            |row| Some(Value::Integer(count(row.finding))),
        ),
        Column::shown(
            14,
            "vrrpProcessResult",
            Syntax::TRUE_FALSE,
            "Whether that is neither less than the quorum nor more than `quorum_max`.",
            |row| {
                let found = u32::try_from(count(row.finding)).unwrap_or_default();
                Some(one_or_two(process(row)?.met(found)))
            },
        ),
    ],
};

// The store keeps each kind in a set of its own; rows of another kind would have nothing to show.

fn script(row: &TrackerRow) -> Option<&TrackScript> {
    if let TrackerConfig::Script(script) = &row.config { Some(script) } else { None }
}

fn file(row: &TrackerRow) -> Option<&TrackFile> {
    if let TrackerConfig::File(file) = &row.config { Some(file) } else { None }
}

fn process(row: &TrackerRow) -> Option<&TrackProcess> {
    if let TrackerConfig::Process(process) = &row.config { Some(process) } else { None }
}

fn bfd(row: &TrackerRow) -> Option<&TrackBfd> {
    if let TrackerConfig::Bfd(bfd) = &row.config { Some(bfd) } else { None }
}

fn script_result(row: &TrackerRow) -> Option<Value> {
    let script = script(row)?;
    Some(Value::Integer(match row.finding {
        Finding::Unknown if script.init_fail => 5,
        Finding::Unknown => 1,
        Finding::Bad | Finding::Count { good: false, .. } => 2,
        Finding::Good | Finding::Count { good: true, .. } => 3,
    }))
}

/// The number of a file or of processes; zero without one.
fn count(finding: Finding) -> i32 {
    match finding {
        Finding::Count { count, .. } => i32::try_from(count).unwrap_or(if count < 0 { i32::MIN } else { i32::MAX }),
        Finding::Unknown | Finding::Good | Finding::Bad => 0,
    }
}

fn parameter_match(process: &TrackProcess) -> Value {
    Value::Integer(match process.parameter_match {
        ParameterMatch::None => 0,
        ParameterMatch::Exact => 1,
        ParameterMatch::Partial => 2,
        ParameterMatch::Initial => 3,
    })
}

#[cfg(test)]
mod tests;
