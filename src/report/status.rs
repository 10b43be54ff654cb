//! All there is, in short; and whether processes live.

use super::words::{self, unix};
use super::{DaemonStatus, ProcessStatus, Status, bfd, events, ipvs, troubles, vrrp};
use crate::bus::msg::Source;
use crate::bus::timing::Pulse;
use crate::export::Look;
use crate::export::look::ProcessReport;

/// Events in a [`Status`].
const EVENTS: usize = 50;

/// `/api/v1/status`. `host`: name of this machine.
pub fn status(look: &Look, host: &str) -> Status {
    let vrrp = vrrp::vrrp(look);
    let daemon = &look.daemon;
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: unix(look.at),
        host: host.to_owned(),
        daemon: DaemonStatus {
            pid: daemon.pid,
            started: unix(daemon.started),
            config_file: daemon.config_file.clone(),
            reload: daemon.reloads.clone(),
            ready: daemon.all_ready,
            processes: processes(look),
        },
        vrrp: vrrp.instances,
        sync_groups: vrrp.sync_groups,
        trackers: vrrp.trackers,
        bfd: bfd::sessions(look),
        statics: vrrp.statics,
        ipvs: ipvs::ipvs(look),
        snmp: (*look.snmp).clone(),
        rrd: look.rrd.as_deref().cloned(),
        troubles: troubles::of(look),
        events: events::last(look, EVENTS),
    }
}

/// Those that the supervisor knows, and those that the configuration asks for and that are not there.
fn processes(look: &Look) -> Vec<ProcessStatus> {
    let daemon = &look.daemon;
    let missing = daemon.wanted.iter().filter(|name| !daemon.processes.iter().any(|report| report.name == **name));
    let missing = missing.map(|name| ProcessReport { name: name.clone(), ..ProcessReport::default() });
    let all = daemon.processes.iter().cloned().chain(missing);
    all.map(|report| ProcessStatus { up: stuck(look, &report).is_none(), report }).collect()
}

/// Why a process does not count as up, in words; `None` when it does.
pub(super) fn stuck(look: &Look, process: &ProcessReport) -> Option<String> {
    if process.pid == 0 {
        return Some("it does not run".to_owned());
    }
    let young = process.started <= look.at && words::between(process.started, look.at) < Pulse::PATIENCE;
    let silent = || match look.silence(&process.name) {
        Some(silence) if silence <= Pulse::PATIENCE => None,
        _ if young => None,
        Some(silence) => Some(format!("it has said nothing for {}", words::age(silence))),
        None => Some("it has said nothing since it was started".to_owned()),
    };
    let connected = |is: bool| (!is && !young).then(|| "it is not connected to the bridge".to_owned());
    match process.name.as_str() {
        "vrrp" => connected(look.vrrp_connected).or_else(silent),
        "checks" => connected(look.checks_connected).or_else(silent),
        "runner" => silent(),
        "rrd" => {
            let rrd = look.rrd.as_ref();
            let stuck = rrd.and_then(|rrd| rrd.stuck_since).map(|since| {
                let age = words::age(words::between(since, look.at));
                format!("it has not written in {age} what it was given")
            });
            connected(rrd.is_some_and(|rrd| rrd.connected)).or(stuck)
        }
        // The bridge is who says this, and the supervisor told it of the process.
        _ => None,
    }
}

/// Why the rows of an engine are not of now, in words; `None` while it speaks, or when nobody wants it. Stricter than
/// [`stuck`]: rows of a process that has ended are old from that moment on, however young the next one is.
pub(super) fn silent(look: &Look, source: Source) -> Option<String> {
    let name = source.name();
    let rows = &look.snapshot;
    let (connected, pulse, has_rows) = match source {
        Source::Vrrp => (look.vrrp_connected, &rows.vrrp.pulse, !rows.vrrp.instances.is_empty()),
        Source::Checks => (look.checks_connected, &rows.checks.pulse, !rows.checks.services.is_empty()),
    };
    let process = look.daemon.processes.iter().find(|report| report.name == name);
    let why = match (connected, process) {
        (true, process) => process.and_then(|process| stuck(look, process)).map(|_| "does not answer"),
        (false, _) if !has_rows && !look.daemon.wanted.iter().any(|wanted| wanted == name) => None,
        (false, Some(process)) if process.pid != 0 => Some("is not connected"),
        (false, _) => Some("does not run"),
    }?;
    let heard = pulse.as_ref().map_or_else(String::new, |pulse| {
        let age = words::age(words::between(pulse.at, look.at));
        format!(", heard last {} ({age} ago)", words::utc(unix(pulse.at)))
    });
    Some(format!("{name} {why}{heard}"))
}
