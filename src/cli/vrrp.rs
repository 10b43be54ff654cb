//! `keepwatch vrrp`: instances as a table, or one of them with all that is known of it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::client::Connection;
use super::outcome::{finish, print, print_json, status};
use super::text::{Cell, Page, Table, Tone, count, span};
use super::watch::Watch;
use crate::report::{
    InstanceReport, RouteReport, RuleReport, RunsReport, SyncGroupReport, TrackedReport, TrackerReport, VrrpReport,
};

#[derive(Debug, Args)]
pub struct Show {
    /// Instance; shows all that is known of it
    instance: Option<String>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    watch: Watch,
}

impl Show {
    pub fn run(self) -> ExitCode {
        let result = self.watch.repeat(|| {
            let vrrp = self.connection.vrrp(self.instance.as_deref())?;
            if self.connection.json {
                print_json(&vrrp);
            } else {
                print(&shown(&vrrp, self.instance.is_some(), &Page::stdout()));
            }
            Ok(if vrrp.silent.is_none() && vrrp.instances.iter().all(is_well) { status::GOOD } else { status::TROUBLE })
        });
        finish(result, self.connection.json, self.instance.as_deref())
    }
}

/// In a state that it may be in, alone, with its addresses where they belong.
fn is_well(instance: &InstanceReport) -> bool {
    instance.state != "fault"
        && instance.other_master.is_none()
        && instance.addresses.iter().all(|address| address.wanted == address.present)
        && instance.routes.iter().all(|route| route.wanted == route.present || route.no_track)
        && instance.rules.iter().all(|rule| rule.wanted == rule.present || rule.no_track)
}

fn shown(vrrp: &VrrpReport, in_full: bool, page: &Page) -> String {
    let mut out = page.warned(vrrp.silent.as_deref());
    if in_full {
        return out + &vrrp.instances.iter().map(|instance| full(instance, page)).collect::<Vec<_>>().join("\n");
    }
    if vrrp.instances.is_empty() {
        return out + "no instances\n";
    }
    out += &table(&vrrp.instances, page, "");
    if !vrrp.sync_groups.is_empty() {
        out += "\n";
        out += &groups(&vrrp.sync_groups, page, "");
    }
    if !vrrp.trackers.is_empty() {
        out += "\n";
        out += &trackers(&vrrp.trackers, page);
    }
    let statics = &vrrp.statics;
    let addresses = statics.addresses.iter().map(|it| {
        (format!("{} on {}", it.address, it.interface), "address", whereabouts(it.wanted, it.present, false))
    });
    let all: Vec<_> = addresses.chain(lines(&statics.routes, &statics.rules)).collect();
    if !all.is_empty() {
        out += "\n";
        let mut table = Table::new(page, "", &["static", "what", "state"]);
        for (text, kind, (word, tone)) in all {
            table.row([kind.into(), text.into(), Cell::new(word, tone)]);
        }
        out += &table.text();
    }
    out
}

/// Where an address, a route or a rule is, and whether that is as it should be.
fn whereabouts(wanted: bool, present: bool, no_track: bool) -> (&'static str, Tone) {
    match (wanted, present) {
        (true, true) => ("present", Tone::Good),
        (true, false) if no_track => ("removed by somebody, which no_track allows", Tone::Odd),
        (true, false) => ("MISSING", Tone::Bad),
        (false, true) => ("PRESENT, and not ours now", Tone::Bad),
        (false, false) => ("not here", Tone::Plain),
    }
}

type Whereabouts = (String, &'static str, (&'static str, Tone));

fn lines<'a>(routes: &'a [RouteReport], rules: &'a [RuleReport]) -> impl Iterator<Item = Whereabouts> + 'a {
    let routes = routes.iter().map(|it| (it.route.clone(), "route", whereabouts(it.wanted, it.present, it.no_track)));
    let rules = rules.iter().map(|it| (it.rule.clone(), "rule", whereabouts(it.wanted, it.present, it.no_track)));
    routes.chain(rules)
}

/// What can be tracked, with its state and its own weight.
fn trackers(trackers: &[TrackerReport], page: &Page) -> String {
    let mut table = Table::new(
        page,
        "",
        &["tracker", "name", "state", ">weight", ">good", ">bad", ">timed out", ">took", "tracked by"],
    );
    for it in trackers {
        let (word, tone) = match it.up {
            Some(true) => ("up".to_owned(), Tone::Good),
            Some(false) => ("DOWN".to_owned(), Tone::Bad),
            None if it.value.is_some() => ("read".to_owned(), Tone::Calm),
            None => ("not known yet".to_owned(), Tone::Odd),
        };
        let state = it.value.map_or(word.clone(), |value| format!("{word} ({value})"));
        let run = |of: fn(&RunsReport) -> u64| it.runs.as_ref().map_or_else(|| "-".to_owned(), |it| of(it).to_string());
        let took = it.runs.as_ref().filter(|runs| runs.success + runs.failure + runs.timeout > 0);
        table.row([
            (&*it.kind).into(),
            (&*it.name).into(),
            Cell::new(state, tone),
            format!("{}{}", it.weight, if it.reverse { " reverse" } else { "" }).into(),
            run(|runs| runs.success).into(),
            run(|runs| runs.failure).into(),
            run(|runs| runs.timeout).into(),
            took.map_or_else(|| "-".to_owned(), |runs| span(runs.took)).into(),
            if it.tracked_by.is_empty() { "nobody".to_owned() } else { it.tracked_by.join(", ") }.into(),
        ]);
    }
    table.text()
}

pub(super) fn table(instances: &[InstanceReport], page: &Page, indent: &'static str) -> String {
    let mut table =
        Table::new(page, indent, &["instance", "state", ">for", ">prio", "link", ">vrid", "master", "addresses"]);
    for instance in instances {
        let missing = instance.addresses.iter().filter(|address| address.wanted && !address.present).count();
        let extra = instance.addresses.iter().filter(|address| !address.wanted && address.present).count();
        let mut addresses = match &instance.addresses[..] {
            [] => "-".to_owned(),
            [one] => one.address.clone(),
            [first, more @ ..] => format!("{} +{}", first.address, more.len()),
        };
        if missing > 0 {
            addresses += &format!(" ({missing} MISSING)");
        }
        if extra > 0 {
            addresses += &format!(" ({extra} NOT OURS NOW)");
        }
        let tone = if missing + extra > 0 { Tone::Bad } else { Tone::Plain };
        let mut state = instance.state.clone();
        if instance.wanted != instance.state {
            state += &format!(" (to {})", instance.wanted);
        }
        if instance.stood_down.is_some() {
            state += ", stood down";
        }
        let (master, master_tone) = match (&instance.other_master, &instance.master) {
            (Some(other), _) => (format!("ALSO {}", other.address), Tone::Bad),
            (None, _) if instance.state == "master" => ("self".to_owned(), Tone::Plain),
            (None, Some(master)) => (format!("{} ({})", master.address, master.priority), Tone::Plain),
            (None, None) => ("-".to_owned(), Tone::Plain),
        };
        table.row([
            (&*instance.name).into(),
            Cell::new(state, Tone::of_state(&instance.state)),
            page.age(instance.since).into(),
            u64::from(instance.priority.effective).into(),
            (&*instance.interface).into(),
            u64::from(instance.vrid).into(),
            Cell::new(master, master_tone),
            Cell::new(addresses, tone),
        ]);
    }
    table.text()
}

pub(super) fn groups(groups: &[SyncGroupReport], page: &Page, indent: &'static str) -> String {
    let mut table = Table::new(page, indent, &["sync group", "state", ">for", "members"]);
    for group in groups {
        let state = Cell::new(&group.state, Tone::of_state(&group.state));
        table.row([(&*group.name).into(), state, page.age(group.since).into(), group.members.join(", ").into()]);
    }
    table.text()
}

/// All of one instance.
pub(super) fn full(instance: &InstanceReport, page: &Page) -> String {
    let state = page.paint(&instance.state.to_uppercase(), Tone::of_state(&instance.state));
    let mut out = format!("{}  {state} for {}", instance.name, page.age(instance.since));
    if !instance.reason.is_empty() {
        out += &page.paint(&format!(": {}", instance.reason), Tone::Plain);
    }
    out += "\n";
    let mut line = |name: &str, text: &str, tone: Tone| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {name:<10} {}", page.paint(text, tone));
    };
    for fault in &instance.faults {
        line("fault", fault, Tone::Bad);
    }
    if let Some(since) = instance.stood_down {
        let text =
            format!("{} ago by an operator: lets others go first (`keepwatch failover --back`)", page.age(since));
        line("stood down", &text, Tone::Odd);
    }
    let heard =
        |at: Option<f64>| at.map(|at| format!(", heard {} ago", span((page.now - at).max(0.001)))).unwrap_or_default();
    if let Some(other) = &instance.other_master {
        let text = format!("{}, priority {}{}: two masters", other.address, other.priority, heard(other.at));
        line("OTHER", &text, Tone::Bad);
    }
    if let Some(master) = instance.master.as_ref().filter(|_| instance.state != "master") {
        line("master", &format!("{}, priority {}{}", master.address, master.priority, heard(master.at)), Tone::Plain);
    }
    line(
        "router",
        &format!(
            "VRRPv{} id {}, {}, {} on {}{}",
            instance.version,
            instance.vrid,
            instance.family,
            if instance.unicast { "unicast" } else { "multicast" },
            instance.interface,
            instance.primary_address.as_ref().map(|own| format!(" from {own}")).unwrap_or_default(),
        ),
        Tone::Plain,
    );
    line(
        "timers",
        &format!(
            "adverts every {}, takes over after {} of silence",
            span(instance.advert_interval),
            span(instance.master_down_interval)
        ),
        Tone::Plain,
    );
    line("priority", &priority(instance), Tone::Plain);
    for tracked in &instance.tracked {
        let (text, tone) = tracks(tracked);
        line("", &text, tone);
    }
    line("preempt", if instance.preempt { "yes" } else { "no" }, Tone::Plain);
    if let Some(group) = &instance.sync_group {
        line("sync group", group, Tone::Plain);
    }
    for (place, address) in instance.addresses.iter().enumerate() {
        let (word, tone) = whereabouts(address.wanted, address.present, false);
        let name = if place == 0 { "addresses" } else { "" };
        line(name, &format!("{} on {}: {word}", address.address, address.interface), tone);
    }
    let mut last = "";
    for (text, kind, (word, tone)) in lines(&instance.routes, &instance.rules) {
        let name = match kind {
            kind if kind == last => "",
            "route" => "routes",
            _ => "rules",
        };
        last = kind;
        line(name, &format!("{text}: {word}"), tone);
    }
    let counters = &instance.counters;
    line(
        "adverts",
        &format!(
            "{} sent, {} received, {} refused; priority 0: {} sent, {} received",
            counters.adverts_sent,
            counters.adverts_received,
            counters.adverts_dropped,
            counters.priority_zero_sent,
            counters.priority_zero_received
        ),
        Tone::Plain,
    );
    line(
        "master",
        &format!(
            "became {}, released {}",
            count(counters.became_master as usize, "time"),
            count(counters.released_master as usize, "time")
        ),
        Tone::Plain,
    );
    out
}

/// `100 = 150 - 50`.
fn priority(instance: &InstanceReport) -> String {
    let priority = &instance.priority;
    let mut text = priority.effective.to_string();
    let trackers: Vec<i32> = instance.tracked.iter().map(|tracked| tracked.adds).filter(|adds| *adds != 0).collect();
    if !trackers.is_empty() {
        text += &format!(" = {}", priority.base);
        for adds in trackers {
            text += &format!(" {} {}", if adds < 0 { '-' } else { '+' }, adds.unsigned_abs());
        }
    }
    if priority.overridden {
        text += &format!(" (base {} set by hand, {} configured)", priority.base, priority.configured);
    }
    text
}

fn tracks(tracked: &TrackedReport) -> (String, Tone) {
    let (state, tone) = match tracked.up {
        Some(true) => ("up", Tone::Good),
        Some(false) => ("DOWN", Tone::Bad),
        None => ("nothing known yet", Tone::Odd),
    };
    let effect = match (tracked.faults, tracked.adds) {
        (true, _) => ", needed".to_owned(),
        (false, adds) => format!(", {adds:+}"),
    };
    let reverse = if tracked.reverse { " reverse" } else { "" };
    let group = if tracked.from_group { ", of its sync group" } else { "" };
    let text =
        format!("{} {}: {state}{effect} (weight {}{reverse}{group})", tracked.kind, tracked.name, tracked.weight);
    (text, tone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;

    #[test]
    fn instances_are_a_table_and_one_is_told_in_full() {
        let page = Page::plain(fixture::NOW);
        fixture::golden("vrrp", &shown(&fixture::vrrp(), false, &page));
        let narrow = shown(&fixture::vrrp(), false, &Page { width: Some(80), ..page });
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        fixture::golden("vrrp-instances", &shown(&fixture::vrrp(), true, &page));
    }

    #[test]
    fn a_table_of_a_process_that_does_not_answer_says_so_on_top() {
        let page = Page::plain(fixture::NOW);
        let silent = VrrpReport { silent: Some("vrrp does not answer".to_owned()), ..fixture::vrrp() };
        for in_full in [false, true] {
            let plain = shown(&fixture::vrrp(), in_full, &page);
            let expected = format!("vrrp does not answer: what follows is what it said last\n\n{plain}");
            assert_eq!(shown(&silent, in_full, &page), expected);
        }
    }

    #[test]
    fn a_fault_a_second_master_and_a_lost_address_are_not_well() {
        let well: Vec<bool> = fixture::vrrp().instances.iter().map(is_well).collect();
        assert_eq!(well, [true, false, false, true]);
    }
}
