//! All there is, in short; and whether processes live.

use super::words::{self, unix};
use super::{DaemonStatus, ProcessStatus, Status, events, ipvs, troubles, vrrp};
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
        "rrd" => connected(look.rrd.as_ref().is_some_and(|rrd| rrd.connected)),
        // The bridge is who says this, and the supervisor told it of the process.
        _ => None,
    }
}
