//! Why a real server, or a sorry server, is in the pool or not.

use super::super::{Explanation, events, ipvs, words};
use super::{ExplainError, recent};
use crate::bus::msg::Edge;
use crate::bus::rows::{CheckerRow, ServerConfig, ServerRow, ServiceRow};
use crate::clock::WallTime;
use crate::control;
use crate::control::select::Selector;
use crate::export::Look;

/// Why a server is up or down. `server`: `10.0.0.1:80`, with or without the port, or its `snmp_name`; `service`: which
/// virtual server's, where several have it.
pub fn real_server(look: &Look, server: &str, service: Option<&str>) -> Result<Explanation, ExplainError> {
    let found: Vec<_> = Selector::new(service, Some(server)).servers(&look.snapshot).collect();
    match found[..] {
        [] if look.snapshot.generations.checks.generation == 0 => Err(ExplainError::Unavailable(
            "there is no word from the checks process: no virtual servers, or not yet".into(),
        )),
        [] => Err(ExplainError::NotFound(match service {
            Some(service) => format!("no real server {server} of {service}"),
            None => format!("no real server {server}"),
        })),
        [(service, row)] => Ok(explain(look, service, row)),
        _ => Err(ExplainError::Ambiguous {
            message: format!("{} servers match: say which virtual server is meant", found.len()),
            candidates: found
                .iter()
                .map(|(service, row)| events::real_server(&control::key_of(service, row)))
                .collect(),
        }),
    }
}

fn explain(look: &Look, service: &ServiceRow, row: &ServerRow) -> Explanation {
    let key = control::key_of(service, row);
    let (state, because, hints) = match &row.config {
        ServerConfig::Sorry(_) => sorry(service, row),
        ServerConfig::Real(config) => real(service, row, config.weight),
    };
    Explanation {
        subject: events::real_server(&key),
        state: state.to_owned(),
        since: words::unix(row.since),
        because,
        evidence: evidence(look, service, row),
        hints,
        events: recent(look, |edge| match edge {
            Edge::Server { server, .. } => *server == key,
            Edge::Quorum { service, .. } => *service == key.service,
            Edge::Transition { .. } | Edge::SyncGroup { .. } | Edge::Tracker { .. } | Edge::BadPacket { .. } => false,
        }),
    }
}

type Answer = (&'static str, String, Vec<String>);

fn real(service: &ServiceRow, row: &ServerRow, configured: u32) -> Answer {
    if service.suspended {
        let because =
            "Its checkers rest: ha_suspend is set, and the address of its virtual server is not on this host.";
        let hints = vec!["checks begin when the address comes here".to_owned()];
        return ("suspended", because.to_owned(), hints);
    }
    if !row.alive {
        return down(row);
    }
    if row.overridden && row.weight == 0 {
        let because = format!(
            "It is drained by an operator: its weight is 0 instead of the configured {configured}, so that it gets no new \
             connections; {} active are left.",
            row.load.active
        );
        let hints = vec!["`keepwatch ready` gives it its configured weight back".to_owned()];
        return ("drained", because, hints);
    }
    if service.sorry_active {
        let because = "It is up, and gets no connections: the quorum is lost, and the sorry server serves.";
        let needed = u64::from(service.config.quorum) + u64::from(service.config.hysteresis);
        let hints =
            vec![format!("it serves again when servers of weight {needed} together are up; now {}", service.weight_up)];
        return ("up", because.to_owned(), hints);
    }
    let checks = match row.checkers.len() {
        0 => "it has no checker, and counts as up".to_owned(),
        _ if row.checks_not_run > 0 => {
            format!("{} did not run yet, and nothing failed", words::count(row.checks_not_run.into(), "check"))
        }
        1 => "its check passes".to_owned(),
        many => format!("all {many} checks pass"),
    };
    if !row.installed {
        let because = format!("It is up because {checks}, but the kernel's table does not have it.");
        return ("up", because, service.trouble.clone());
    }
    let weight = match (row.weight, row.overridden) {
        (0, _) if configured == 0 => "; its configured weight is 0, so that it gets no new connections".to_owned(),
        (0, _) => "; its check gave it weight 0, so that it gets no new connections".to_owned(),
        (weight, true) => format!("; an operator gave it weight {weight} instead of {configured}"),
        (weight, false) if weight != configured => {
            format!("; its check gave it weight {weight} instead of the configured {configured}")
        }
        _ => String::new(),
    };
    let hints = match row.overridden {
        true => vec!["`keepwatch ready` gives it its configured weight back".to_owned()],
        false => Vec::new(),
    };
    ("up", format!("It is up because {checks}{weight}."), hints)
}

fn down(row: &ServerRow) -> Answer {
    let failed: Vec<&CheckerRow> = row.checkers.iter().filter(|checker| !checker.up).collect();
    let lines: Vec<String> = failed.iter().map(|checker| ipvs::finding(checker)).collect();
    let because = match lines.is_empty() {
        true => "It is down, and all of its checks pass: it is about to come back.".to_owned(),
        false if lines.len() == 1 => format!("It is down because a check does not pass: {}.", words::and(&lines)),
        false => format!("It is down because {} checks do not pass: {}.", lines.len(), lines.join("; ")),
    };
    let mut hints: Vec<String> = failed.iter().filter_map(|checker| hint(checker)).collect();
    hints.dedup();
    hints.push("it comes back by itself when all of its checks pass".to_owned());
    ("down", because, hints)
}

/// Where to look, by what the checker says.
fn hint(checker: &CheckerRow) -> Option<String> {
    let (error, target) = (checker.error.as_str(), &checker.target);
    let hint = if error.starts_with("HTTP status ") {
        format!("the server at {target} answers, and says itself that it is not well: look at its log")
    } else if error.contains("refused") || error.contains("port unreachable") {
        format!("nothing listens at {target}, or a firewall rejects it: look whether the service runs")
    } else if error.contains("timed out") {
        format!("{target} does not answer in time: look at its load, at firewalls, and at connect_timeout")
    } else if error.contains("unreachable") || error.contains("host down") {
        format!("there is no way to {target}: look at routes, and whether the host is up")
    } else if error.contains("TLS") {
        format!("`openssl s_client -connect {target}` shows the handshake")
    } else if error.contains("MD5") || error.contains("regular expression") {
        format!("{target} answers with another body than before: `keepwatch explain` shows the status that it had")
    } else {
        return None;
    };
    Some(hint)
}

fn sorry(service: &ServiceRow, row: &ServerRow) -> Answer {
    let quorum = format!("weight {} of {} needed is up", service.weight_up, service.config.quorum);
    match row.alive {
        true => {
            let because = format!("It serves because the quorum is lost: {quorum}.");
            let needed = u64::from(service.config.quorum) + u64::from(service.config.hysteresis);
            ("serving", because, vec![format!("it steps back when real servers of weight {needed} together are up")])
        }
        false => ("standby", format!("It stands by because the quorum is met: {quorum}."), Vec::new()),
    }
}

fn evidence(look: &Look, service: &ServiceRow, row: &ServerRow) -> Vec<String> {
    let ago = |at: WallTime| words::age(words::between(at, look.at));
    let mut lines = Vec::new();
    for checker in &row.checkers {
        let wants = if checker.wants.is_empty() { String::new() } else { format!(", wants {}", checker.wants) };
        lines.push(format!(
            "{}{wants}; {} for {}; {} passed, {} failed, the last took {}",
            ipvs::finding(checker),
            if checker.up { "up" } else { "down" },
            ago(checker.since),
            checker.passed,
            checker.failed,
            words::duration(std::time::Duration::from_micros(checker.took_us))
        ));
    }
    if let ServerConfig::Real(config) = &row.config {
        let by = if row.overridden { " by an operator" } else { "" };
        lines.push(format!("weight {}{by}, configured {}", row.weight, config.weight));
    }
    let totals = look.server_totals(service, row);
    lines.push(format!(
        "{} active and {} inactive connections, {} altogether",
        row.load.active, row.load.inactive, totals.stats.connections
    ));
    lines.push(match row.installed {
        true => "the kernel's table has it".to_owned(),
        false => "the kernel's table does not have it".to_owned(),
    });
    lines.push(format!(
        "{} of {} real servers of {} are up; weight {} of {} needed",
        service.servers_up,
        service.servers_total,
        service.key(),
        service.weight_up,
        service.config.quorum
    ));
    lines
}
