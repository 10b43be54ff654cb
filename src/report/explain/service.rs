//! Why a virtual server serves, or does not.

use super::super::{Explanation, events, ipvs, words};
use super::{ExplainError, recent};
use crate::bus::msg::Edge;
use crate::bus::rows::{ServerConfig, ServerRow, ServiceRow};
use crate::control;
use crate::control::select::Selector;
use crate::export::Look;

/// Servers that are named one by one.
const NAMED: usize = 5;

/// Why a virtual server is in its state. `name`: its key with or without the protocol, its group or its `snmp_name`.
pub fn virtual_server(look: &Look, name: &str) -> Result<Explanation, ExplainError> {
    let found: Vec<_> = Selector::new(Some(name), None).services(&look.snapshot).collect();
    match found[..] {
        [] if look.snapshot.generations.checks.generation == 0 => Err(ExplainError::Unavailable(
            "there is no word from the checks process: no virtual servers, or not yet".into(),
        )),
        [] => Err(ExplainError::NotFound(format!("no virtual server {name}"))),
        [row] => Ok(explain(look, row)),
        _ => Err(ExplainError::Ambiguous {
            message: format!("{} virtual servers match", found.len()),
            candidates: found.iter().map(|row| row.key().to_string()).collect(),
        }),
    }
}

fn explain(look: &Look, row: &ServiceRow) -> Explanation {
    let servers: Vec<&ServerRow> = ipvs::servers_of(look, row).collect();
    let (state, because, hints) = answer(look, row, &servers);
    let key = row.key().clone();
    Explanation {
        subject: format!("virtual server {key}"),
        state: state.to_owned(),
        since: words::unix(row.quorum_since),
        because,
        evidence: evidence(look, row, &servers),
        hints,
        events: recent(look, |edge| match edge {
            Edge::Server { server, .. } => server.service == key,
            Edge::Quorum { service, .. } => *service == key,
            Edge::Transition { .. } | Edge::SyncGroup { .. } | Edge::Tracker { .. } | Edge::BadPacket { .. } => false,
        }),
    }
}

type Answer = (&'static str, String, Vec<String>);

fn answer(look: &Look, row: &ServiceRow, servers: &[&ServerRow]) -> Answer {
    let (quorum, up) = (row.config.quorum, row.weight_up);
    let unavailable = &look.snapshot.checks.ipvs.unavailable;
    if !unavailable.is_empty() {
        let because = format!("It does not serve because there is no IPVS table: {unavailable}.");
        return (
            "unavailable",
            because,
            vec!["`modprobe ip_vs`, and look at the capabilities of the daemon".to_owned()],
        );
    }
    if row.suspended {
        let because =
            "It is suspended because ha_suspend is set and its address is not on this host: its checkers rest.";
        return ("suspended", because.to_owned(), vec!["checks begin when the address comes here".to_owned()]);
    }
    if !row.quorum_met {
        let down = down(row, servers);
        let why = match down.is_empty() {
            true => String::new(),
            false => format!(" ({})", down.join("; ")),
        };
        let serves = match (&row.config.sorry, row.sorry_active) {
            (Some(sorry), true) => {
                format!("sorry server {} serves", words::endpoint(sorry.address, sorry.port))
            }
            (Some(_), false) => "the sorry server does not serve yet".to_owned(),
            (None, _) => "there is no sorry server".to_owned(),
        };
        let because = format!(
            "Its quorum is lost because real servers of weight {up} are up and {quorum} is needed{why}; {serves}."
        );
        let needed = u64::from(quorum) + u64::from(row.config.hysteresis);
        let mut hints = vec![format!("it is met again when servers of weight {needed} together are up")];
        if row.config.sorry.is_none() {
            hints.push("a sorry_server would answer meanwhile".to_owned());
        }
        return ("quorum-lost", because, hints);
    }
    if !row.installed {
        let why = match row.trouble.is_empty() {
            true => "the kernel's table does not have it yet".to_owned(),
            false => row.trouble.join("; "),
        };
        return ("missing", format!("It does not serve because {why}."), Vec::new());
    }
    let pool = format!("{} of {} real servers are up", row.servers_up, row.servers_total);
    let mut because = format!("It serves because its quorum is met: {pool}, weight {up} of {quorum} needed.");
    let down = down(row, servers);
    if !down.is_empty() {
        because.push_str(&format!(" Down: {}.", down.join("; ")));
    }
    ("up", because, Vec::new())
}

/// Those that are down, with what their checks say.
fn down(row: &ServiceRow, servers: &[&ServerRow]) -> Vec<String> {
    let down = servers.iter().filter(|server| matches!(server.config, ServerConfig::Real(_)) && !server.alive);
    let mut lines: Vec<String> = down
        .map(|server| {
            let name = control::key_of(row, server).to_string();
            let failed: Vec<_> = server.checkers.iter().filter(|checker| !checker.up).map(ipvs::finding).collect();
            let failed = failed.join(" and ");
            match (failed.is_empty(), failed.contains(&name)) {
                (true, _) => name,
                (false, true) => failed,
                (false, false) => format!("{name} by {failed}"),
            }
        })
        .collect();
    let more = lines.len().saturating_sub(NAMED);
    if more > 0 {
        lines.truncate(NAMED);
        lines.push(format!("and {more} more"));
    }
    lines
}

fn evidence(look: &Look, row: &ServiceRow, servers: &[&ServerRow]) -> Vec<String> {
    let hysteresis = match row.config.hysteresis {
        0 => String::new(),
        hysteresis => format!(", hysteresis {hysteresis}"),
    };
    let mut lines = vec![
        format!(
            "quorum {}{hysteresis}: {} since {} ({})",
            row.config.quorum,
            if row.quorum_met { "met" } else { "not met" },
            words::utc(words::unix(row.quorum_since)),
            words::age(words::between(row.quorum_since, look.at))
        ),
        format!("{} of {} real servers up, with weight {} together", row.servers_up, row.servers_total, row.weight_up),
    ];
    let drained: Vec<_> = servers
        .iter()
        .filter(|server| server.alive && server.overridden && server.weight == 0)
        .map(|server| events::real_server(&control::key_of(row, server)))
        .collect();
    if !drained.is_empty() {
        lines.push(format!("drained by an operator: {}", words::and(&drained)));
    }
    lines.push(format!("{} connections altogether", look.service_stats(row).connections));
    lines.extend(row.trouble.iter().map(|line| format!("the kernel's table differs: {line}")));
    lines
}
