//! What stands beside instances: routes and rules, theirs and static ones, what can be tracked, BFD sessions.

use super::NAME;
use super::html::{Html, Tone};
use super::vrrp::{more, place};
use crate::report::{BfdSessionReport, InstanceReport, RouteReport, RuleReport, Status, TrackerReport, words};

/// Rows of one table.
const ROWS: usize = 64;

const NARROW: &str = "<table role=table>";
const WIDE: &str = "<table role=table class=wide>";

/// Everything that is no instance's.
pub fn all(h: &mut Html, status: &Status) {
    sessions(h, status);
    trackers(h, status);
    lines(h, WIDE, "Static routes and rules", &status.statics.routes, &status.statics.rules);
}

/// Those of an instance.
pub fn of_instance(h: &mut Html, instance: &InstanceReport) {
    lines(h, NARROW, "Routes and rules", &instance.routes, &instance.rules);
}

/// One table for both.
fn lines(h: &mut Html, open: &'static str, caption: &'static str, routes: &[RouteReport], rules: &[RuleReport]) {
    if routes.is_empty() && rules.is_empty() {
        return;
    }
    let routes = routes.iter().map(|it| ("route", &it.route, it.wanted, it.present, it.no_track));
    let rules = rules.iter().map(|it| ("rule", &it.rule, it.wanted, it.present, it.no_track));
    let both: Vec<_> = routes.chain(rules).collect();
    head(h, open, caption, &["What", "State"]);
    // Those that are not as they should be are never left out for want of room before others.
    let (wrong, right): (Vec<_>, Vec<_>) =
        both.iter().partition(|(_, _, wanted, present, no_track)| wanted != present && !no_track);
    for (kind, text, wanted, present, no_track) in wrong.into_iter().chain(right).take(ROWS) {
        h.raw("<tr role=row><td role=cell data-label=What>").raw(kind).raw(" ").clip(text, NAME);
        h.raw("<td role=cell data-label=State>");
        let (tone, word) = place(wanted, present);
        // Whoever removed it was allowed to.
        let tone = if no_track && tone == Tone::Bad { Tone::Note } else { tone };
        h.badge(tone, word);
    }
    h.raw("</tbody></table>");
    more(h, both.len(), ROWS);
}

fn head(h: &mut Html, open: &'static str, caption: &'static str, columns: &[&'static str]) {
    h.raw(open).raw("<caption>").raw(caption).raw("</caption><thead role=rowgroup><tr role=row>");
    for column in columns {
        h.raw("<th role=columnheader scope=col>").raw(column);
    }
    h.raw("</thead><tbody role=rowgroup>");
}

fn sessions(h: &mut Html, status: &Status) {
    if status.bfd.is_empty() {
        return;
    }
    head(h, WIDE, "BFD sessions", &["Session", "Neighbour", "State", "Since", "Lost after", "Packets", "Tracked by"]);
    let (wrong, right): (Vec<_>, Vec<_>) = status.bfd.iter().partition(|session| session.state != "up");
    for session in wrong.into_iter().chain(right).take(ROWS) {
        h.raw("<tr role=row><td role=cell data-label=Session>").clip(&session.name, NAME);
        h.raw("<td role=cell data-label=Neighbour>").clip(&session.neighbour, NAME);
        h.raw("<td role=cell data-label=State>").badge(session_tone(session), &session.state);
        if session.state != "up" && !session.diagnostic.is_empty() {
            h.raw(" <span class=quiet>").clip(&session.diagnostic, NAME).raw("</span>");
        }
        h.raw("<td role=cell data-label=Since>").time(session.since, status.at);
        h.raw("<td role=cell data-label=\"Lost after\">");
        match session.detection_time {
            Some(time) => h.text(&words::duration(std::time::Duration::try_from_secs_f64(time).unwrap_or_default())),
            None => h.raw("<span class=quiet>not heard</span>"),
        };
        let counters = &session.counters;
        h.raw("<td role=cell data-label=Packets>").number(counters.sent).raw(" sent, ");
        h.number(counters.received).raw(" received, ").number(counters.dropped).raw(" refused");
        h.raw("<td role=cell data-label=\"Tracked by\">");
        followers(h, &session.tracked_by, session.for_checks);
    }
    h.raw("</tbody></table>");
    if status.bfd.len() > ROWS {
        h.raw("<p class=quiet>").number((status.bfd.len() - ROWS) as u64);
        h.raw(" more are in <a href=\"/api/v1/bfd\">/api/v1/bfd</a>.</p>");
    }
}

fn session_tone(session: &BfdSessionReport) -> Tone {
    match session.state.as_str() {
        "up" => Tone::Good,
        "init" => Tone::Note,
        _ => Tone::Bad,
    }
}

fn followers(h: &mut Html, those: &[String], for_checks: bool) {
    match (those.is_empty(), for_checks) {
        (true, true) => h.raw("<span class=quiet>BFD_CHECK</span>"),
        (true, false) => h.raw("<span class=quiet>nobody</span>"),
        (false, _) => h.clip(&those.join(", "), 400),
    };
}

fn trackers(h: &mut Html, status: &Status) {
    // Sessions have a table of their own.
    let those: Vec<&TrackerReport> = status.trackers.iter().filter(|it| it.kind != "bfd").collect();
    if those.is_empty() {
        return;
    }
    head(h, WIDE, "Trackers", &["What", "State", "Weight", "Runs", "Tracked by"]);
    let (wrong, right): (Vec<&TrackerReport>, Vec<_>) = those.iter().partition(|it| it.up == Some(false));
    for it in wrong.into_iter().chain(right).take(ROWS) {
        h.raw("<tr role=row><td role=cell data-label=What>").text(&it.kind).raw(" ").clip(&it.name, NAME);
        h.raw("<td role=cell data-label=State>");
        match (it.up, it.value) {
            (Some(true), _) => h.badge(Tone::Good, "up"),
            (Some(false), _) => h.badge(Tone::Warn, "down"),
            (None, Some(_)) => h.badge(Tone::Calm, "read"),
            (None, None) => h.badge(Tone::Note, "not known"),
        };
        if let Some(value) = it.value {
            h.raw(" <span class=quiet>").show(value).raw("</span>");
        }
        h.raw("<td role=cell data-label=Weight>").show(it.weight).raw(if it.reverse { " reverse" } else { "" });
        h.raw("<td role=cell data-label=Runs>");
        match &it.runs {
            Some(runs) => {
                h.number(runs.success).raw(" good, ").number(runs.failure).raw(" bad, ").number(runs.timeout);
                h.raw(" timed out");
            }
            None => {
                h.raw("<span class=quiet>none</span>");
            }
        }
        h.raw("<td role=cell data-label=\"Tracked by\">");
        followers(h, &it.tracked_by, false);
    }
    h.raw("</tbody></table>");
    more(h, those.len(), ROWS);
}
