//! The daemon, its configuration and its processes.

use super::super::family::{Family, Samples, Since, counter, gauge, histogram, info};
use super::super::view::{View, running, seconds};
use crate::bus::msg::Source;
use crate::bus::timing::Pulse;
use crate::export::look::{ProcessReport, ReloadReport};

/// Names of processes as the daemon knows them and as labels show them. A label says what the process does, as `component` does.
fn label(process: &str) -> &str {
    match process {
        "checks" => "checker",
        other => other,
    }
}

const PROCESS: &[&str] = &["process"];

fn processes(view: &View<'_>, out: &mut Samples, value: fn(&ProcessReport) -> f64) {
    for report in view.look.daemon.processes.iter().filter(|report| report.pid != 0) {
        out.put_first(&[label(&report.name)], value(report));
    }
}

fn reloads<'a>(view: &View<'a>) -> &'a ReloadReport {
    &view.look.daemon.reloads
}

pub static FAMILIES: &[Family] = &[
    info("keepwatch_build_info", "Always 1; which build this is.")
        .labels(&["version", "revision", "rustc", "features"])
        .from(|view, out| {
            let build = view.build;
            out.put(&[&build.version, &build.revision, &build.rustc, &build.features], 1.0);
        }),
    gauge("keepwatch_component_up", "1 while that part runs and answers its watchdog; only parts that are configured.")
        .labels(&["component"])
        .from(|view, out| {
            let parts =
                [("vrrp", "vrrp"), ("checks", "checker"), ("bfd", "bfd"), ("rrd", "rrd"), ("runner", "scripts")];
            for (process, component) in parts.into_iter().filter(|(process, _)| view.wanted(process)) {
                out.flag(&[component], running(view.look, process));
            }
            // Parts of the process that made this very page.
            if view.agentx() {
                out.flag(&["agentx"], true);
            }
            out.flag(&["exporter"], true);
        }),
    gauge("keepwatch_process_start_time_seconds", "Unix time at which the process started.")
        .labels(PROCESS)
        .seconds()
        .from(|view, out| processes(view, out, |report| seconds(report.started))),
    counter("keepwatch_process_restarts_total", "Times the supervisor started the process again.")
        .labels(PROCESS)
        .since(Since::Daemon)
        .from(|view, out| processes(view, out, |report| report.restarts as f64)),
    counter("keepwatch_process_cpu_seconds_total", "User and system CPU time, of earlier processes of that name too.")
        .labels(PROCESS)
        .seconds()
        .since(Since::Daemon)
        .from(|view, out| processes(view, out, |report| report.cpu_ns as f64 / 1e9)),
    gauge("keepwatch_process_resident_memory_bytes", "Resident memory.")
        .labels(PROCESS)
        .bytes()
        .from(|view, out| processes(view, out, |report| report.resident_bytes as f64)),
    gauge("keepwatch_process_open_fds", "Open file descriptors.")
        .labels(PROCESS)
        .from(|view, out| processes(view, out, |report| report.open_fds as f64)),
    histogram("keepwatch_event_loop_lag_seconds", "How late the process was for what was due.").labels(PROCESS).from(
        |view, out| {
            for source in Source::ALL {
                match view.look.pulse(source) {
                    Some(pulse) => out.histogram(&[label(source.name())], &pulse.lag),
                    None if view.wanted(source.name()) => {
                        out.histogram(&[label(source.name())], &Pulse::default().lag);
                    }
                    None => {}
                }
            }
        },
    ),
    gauge(
        "keepwatch_config_last_reload_successful",
        "1 when the last load or reload was accepted; 0 when what runs is older than the file.",
    )
    .from(|view, out| out.flag(&[], reloads(view).successful)),
    gauge("keepwatch_config_last_reload_success_timestamp_seconds", "When the running configuration was accepted.")
        .seconds()
        .from(|view, out| out.put(&[], seconds(reloads(view).accepted_at))),
    counter("keepwatch_config_reloads_total", "Attempts to reload: success or rejected.")
        .labels(&["result"])
        .since(Since::Daemon)
        .from(|view, out| {
            out.count(&["success"], reloads(view).accepted);
            out.count(&["rejected"], reloads(view).rejected);
        }),
    gauge(
        "keepwatch_config_last_reload_duration_seconds",
        "From the request to reload until every process had the new configuration in force.",
    )
    .seconds()
    .from(|view, out| out.put(&[], reloads(view).took_us as f64 / 1e6)),
    gauge(
        "keepwatch_config_hash",
        "First 48 bits of the SHA-256 of the effective configuration: equal on two nodes only when that is.",
    )
    .from(|view, out| out.put(&[], reloads(view).hash as f64)),
    gauge("keepwatch_config_warnings", "Warnings about the running configuration.")
        .from(|view, out| out.put(&[], reloads(view).warnings.into())),
    counter("keepwatch_log_messages_total", "Log lines, all processes together: error, warning, info, debug.")
        .labels(&["level"])
        .from(|view, out| {
            let logged = view.logged();
            let levels = [logged.error, logged.warning, logged.info, logged.debug];
            for (level, count) in ["error", "warning", "info", "debug"].into_iter().zip(levels) {
                out.count(&[level], count);
            }
        }),
    counter(
        "keepwatch_log_messages_suppressed_total",
        "Log lines that were thrown away, because the log did not take them.",
    )
    .from(|view, out| out.count(&[], view.logged().lost)),
];

/// What client libraries export of their own process, by the names that they all use.
pub static OWN_PROCESS: &[Family] = &[
    counter("process_cpu_seconds_total", "User and system CPU time of the process that serves this page.")
        .seconds()
        .since(Since::Daemon)
        .from(|view, out| own(view, out, |report| report.cpu_ns as f64 / 1e9)),
    gauge("process_resident_memory_bytes", "Its resident memory.")
        .bytes()
        .from(|view, out| own(view, out, |report| report.resident_bytes as f64)),
    gauge("process_start_time_seconds", "Unix time at which it started.")
        .seconds()
        .from(|view, out| own(view, out, |report| seconds(report.started))),
    gauge("process_open_fds", "Its open file descriptors.")
        .from(|view, out| own(view, out, |report| report.open_fds as f64)),
    gauge("process_max_fds", "How many it may have open.")
        .from(|view, out| own(view, out, |report| report.max_fds as f64)),
];

fn own(view: &View<'_>, out: &mut Samples, value: fn(&ProcessReport) -> f64) {
    if let Some(report) = view.look.daemon.processes.iter().find(|report| report.name == "bridge") {
        out.put(&[], value(report));
    }
}
