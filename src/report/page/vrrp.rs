//! Instances and sync groups.

use super::html::{Html, Tone};
use super::{NAME, beside, graph};
use crate::export::graph::GraphKind;
use crate::report::{InstanceReport, Status, TrackedReport, words};

/// Instances that are shown in full before those that are well are folded.
const UNFOLDED: usize = 12;
/// Instances that are shown in full, folded or not.
const FULL: usize = 64;
/// Addresses of one instance.
const ADDRESSES: usize = 40;
const TRACKED: usize = 40;

pub fn section(h: &mut Html, status: &Status) {
    h.raw("<section id=vrrp aria-labelledby=vrrp-h><h2 id=vrrp-h>VRRP</h2>");
    if status.vrrp.is_empty() {
        h.raw("<p class=quiet>No instance is configured, or the vrrp process has not spoken yet.</p>");
        beside::all(h, status);
        h.raw("</section>");
        return;
    }
    let mut numbered: Vec<(usize, &InstanceReport)> = (1..).zip(&status.vrrp).collect();
    // What needs a look comes first; the sort is stable.
    numbered.sort_by_key(|(_, instance)| !needs_look(instance));
    let loud = numbered.iter().filter(|(_, instance)| needs_look(instance)).count();
    let unfolded = if numbered.len() <= UNFOLDED { numbered.len() } else { loud.min(FULL) };
    let (shown, folded) = numbered.split_at(unfolded);
    cards(h, shown, status);
    if !folded.is_empty() {
        h.raw("<details id=vrrp-well class=fold><summary>").number(folded.len() as u64);
        h.raw(if unfolded > 0 { " more instances" } else { " instances" }).raw("</summary>");
        let (full, rest) = folded.split_at(folded.len().min(FULL - unfolded.min(FULL)));
        cards(h, full, status);
        if !rest.is_empty() {
            h.raw("<p class=quiet>").number(rest.len() as u64);
            h.raw(" more are in <a href=\"/api/v1/vrrp\">/api/v1/vrrp</a>.</p>");
        }
        h.raw("</details>");
    }
    groups(h, status);
    beside::all(h, status);
    h.raw("</section>");
}

fn cards(h: &mut Html, instances: &[(usize, &InstanceReport)], status: &Status) {
    h.raw("<div class=cards>");
    for (number, instance) in instances {
        card(h, *number, instance, status);
    }
    h.raw("</div>");
}

fn needs_look(instance: &InstanceReport) -> bool {
    instance.state == "fault"
        || instance.other_master.is_some()
        || instance.stood_down.is_some()
        || instance.addresses.iter().any(|it| it.wanted != it.present)
        || instance.routes.iter().any(|it| it.wanted != it.present && !it.no_track)
        || instance.rules.iter().any(|it| it.wanted != it.present && !it.no_track)
}

pub fn tone(state: &str) -> Tone {
    match state {
        "master" => Tone::Good,
        "backup" => Tone::Calm,
        "fault" => Tone::Bad,
        _ => Tone::Note,
    }
}

fn card(h: &mut Html, number: usize, instance: &InstanceReport, status: &Status) {
    let now = status.at;
    h.raw("<article class=card id=vi-").show(number).raw("><header><h3>").clip(&instance.name, NAME).raw("</h3>");
    h.badge(tone(&instance.state), &instance.state);
    if instance.other_master.is_some() {
        h.raw(" ").badge(Tone::Bad, "two masters");
    }
    if instance.stood_down.is_some() {
        h.raw(" ").badge(Tone::Note, "stood down");
    }
    h.raw("</header><p class=quiet>");
    if !instance.interface.is_empty() {
        h.clip(&instance.interface, NAME).raw(", ");
    }
    h.raw("router id ").show(instance.vrid).raw(if instance.family == "ipv6" { ", IPv6" } else { ", IPv4" });
    h.raw(", VRRPv").show(instance.version).raw(if instance.unicast { ", unicast" } else { "" });
    h.raw(if instance.preempt { "" } else { ", nopreempt" });
    if let Some(group) = &instance.sync_group {
        h.raw(", sync group ").clip(group, NAME);
    }
    h.raw("</p><dl><dt>Since</dt><dd>").time(instance.since, now);
    h.raw("</dd><dt>Because</dt><dd>").clip(&instance.reason, 400).raw("</dd><dt>Priority</dt><dd>");
    priority(h, instance);
    h.raw("</dd><dt>Master</dt><dd>");
    master(h, instance, now);
    h.raw("</dd><dt>Last advert heard</dt><dd>");
    match instance.last_advert {
        Some(at) => h.time(at, now),
        None => h.raw("<span class=quiet>none</span>"),
    };
    h.raw("</dd><dt>Adverts</dt><dd>").number(instance.counters.adverts_sent).raw(" sent, ");
    h.number(instance.counters.adverts_received).raw(" received, ").number(instance.counters.adverts_dropped);
    h.raw(" refused <span class=quiet>every ").text(&seconds(instance.advert_interval));
    h.raw("; down after ").text(&seconds(instance.master_down_interval)).raw("</span></dd></dl>");
    addresses(h, instance);
    beside::of_instance(h, instance);
    tracked(h, instance);
    if status.rrd.is_some() {
        graph(h, "g-vi-", number, GraphKind::Vrrp, &instance.name, "State and priority");
    }
    h.raw("</article>");
}

fn seconds(length: f64) -> String {
    words::duration(std::time::Duration::try_from_secs_f64(length).unwrap_or_default())
}

/// `120` and how it comes about.
fn priority(h: &mut Html, instance: &InstanceReport) {
    let priority = &instance.priority;
    h.raw("<strong>").show(priority.effective).raw("</strong> ");
    if priority.effective == 255 {
        h.raw("<span class=quiet>owner of the addresses</span>");
        return;
    }
    h.raw("<span class=quiet>= base</span> ").show(priority.base);
    if priority.overridden {
        h.raw(" <span class=quiet>(set by an operator; configured ").show(priority.configured).raw(")</span>");
    }
    let mut sum = i32::from(priority.base);
    for it in instance.tracked.iter().filter(|it| it.adds != 0) {
        sum = sum.saturating_add(it.adds);
        h.raw(if it.adds < 0 { " <span class=minus>− " } else { " <span class=plus>+ " });
        h.show(it.adds.unsigned_abs()).raw("</span> <span class=quiet>").text(&it.kind).raw(" ").clip(&it.name, NAME);
        h.raw("</span>");
    }
    if sum != i32::from(priority.effective) {
        h.raw(if !(1..=254).contains(&sum) { " <span class=quiet>(kept within 1 to 254)</span>" } else { "" });
    }
}

fn master(h: &mut Html, instance: &InstanceReport, now: f64) {
    if let Some(other) = &instance.other_master {
        h.raw("<span class=alarm>this router, and ").text(&other.address).raw(" with priority ").show(other.priority);
        h.raw("</span>");
        if let Some(at) = other.at {
            h.raw(" <span class=quiet>heard ").text(&super::html::age(at, now)).raw(" ago</span>");
        }
        return;
    }
    match (&instance.master, instance.state.as_str()) {
        (_, "master") => {
            h.raw("this router");
            if let Some(address) = &instance.primary_address {
                h.raw(" <span class=quiet>").text(address).raw("</span>");
            }
        }
        (Some(master), _) => {
            h.text(&master.address).raw(" <span class=quiet>with priority</span> ").show(master.priority);
        }
        (None, _) => {
            h.raw("<span class=quiet>none was heard</span>");
        }
    }
}

fn addresses(h: &mut Html, instance: &InstanceReport) {
    if instance.addresses.is_empty() {
        return;
    }
    h.raw("<table role=table><caption>Addresses</caption><thead role=rowgroup><tr role=row>");
    h.raw("<th role=columnheader scope=col>Address<th role=columnheader scope=col>Interface");
    h.raw("<th role=columnheader scope=col>State</thead><tbody role=rowgroup>");
    // Those that are not as they should be are never left out for want of room before others.
    let (wrong, right): (Vec<_>, Vec<_>) = instance.addresses.iter().partition(|it| it.wanted != it.present);
    for address in wrong.iter().chain(&right).take(ADDRESSES) {
        h.raw("<tr role=row><td role=cell data-label=Address>").clip(&address.address, NAME);
        h.raw("<td role=cell data-label=Interface>")
            .clip(&address.interface, NAME)
            .raw("<td role=cell data-label=State>");
        let (tone, word) = place(address.wanted, address.present);
        h.badge(tone, word);
    }
    h.raw("</tbody></table>");
    more(h, instance.addresses.len(), ADDRESSES);
}

/// Of an address, a route or a rule.
pub fn place(wanted: bool, present: bool) -> (Tone, &'static str) {
    match (wanted, present) {
        (true, true) => (Tone::Good, "wanted, present"),
        (true, false) => (Tone::Bad, "wanted, missing"),
        (false, false) => (Tone::Calm, "not wanted, absent"),
        (false, true) => (Tone::Warn, "not wanted, present"),
    }
}

fn tracked(h: &mut Html, instance: &InstanceReport) {
    if instance.tracked.is_empty() {
        return;
    }
    h.raw("<table role=table><caption>Tracked</caption><thead role=rowgroup><tr role=row>");
    h.raw("<th role=columnheader scope=col>What<th role=columnheader scope=col>State");
    h.raw("<th role=columnheader scope=col>Weight<th role=columnheader scope=col>Effect</thead><tbody role=rowgroup>");
    for it in instance.tracked.iter().take(TRACKED) {
        h.raw("<tr role=row><td role=cell data-label=What>").text(&it.kind).raw(" ").clip(&it.name, NAME);
        h.raw(if it.from_group { " <span class=quiet>of its sync group</span>" } else { "" });
        h.raw("<td role=cell data-label=State>");
        match (it.up, it.faults) {
            (Some(true), false) => h.badge(Tone::Good, "up"),
            (Some(true), true) => h.badge(Tone::Bad, "up"),
            (Some(false), true) => h.badge(Tone::Bad, "down"),
            (Some(false), false) if it.reverse => h.badge(Tone::Calm, "down"),
            (Some(false), false) => h.badge(Tone::Warn, "down"),
            (None, _) => h.badge(Tone::Note, "not known"),
        };
        h.raw("<td role=cell data-label=Weight>").show(it.weight).raw(if it.reverse { " reverse" } else { "" });
        h.raw("<td role=cell data-label=Effect>");
        effect(h, it);
    }
    h.raw("</tbody></table>");
    more(h, instance.tracked.len(), TRACKED);
}

fn effect(h: &mut Html, it: &TrackedReport) {
    match (it.faults, it.adds) {
        (true, _) => h.raw("<span class=minus>fault</span>"),
        (false, 0) => h.raw("<span class=quiet>none</span>"),
        (false, adds) if adds < 0 => h.raw("<span class=minus>− ").show(adds.unsigned_abs()).raw("</span>"),
        (false, adds) => h.raw("<span class=plus>+ ").show(adds).raw("</span>"),
    };
}

pub fn more(h: &mut Html, all: usize, shown: usize) {
    if all > shown {
        h.raw("<p class=quiet>").number((all - shown) as u64);
        h.raw(" more are in <a href=\"/api/v1/vrrp\">/api/v1/vrrp</a>.</p>");
    }
}

fn groups(h: &mut Html, status: &Status) {
    if status.sync_groups.is_empty() {
        return;
    }
    h.raw("<table role=table class=wide><caption>Sync groups</caption><thead role=rowgroup><tr role=row>");
    h.raw("<th role=columnheader scope=col>Group<th role=columnheader scope=col>State");
    h.raw("<th role=columnheader scope=col>Since<th role=columnheader scope=col>Members</thead><tbody role=rowgroup>");
    for group in status.sync_groups.iter().take(FULL) {
        h.raw("<tr role=row><td role=cell data-label=Group>").clip(&group.name, NAME);
        h.raw("<td role=cell data-label=State>").badge(tone(&group.state), &group.state);
        h.raw("<td role=cell data-label=Since>").time(group.since, status.at);
        h.raw("<td role=cell data-label=Members>").clip(&group.members.join(", "), 400);
    }
    h.raw("</tbody></table>");
    more(h, status.sync_groups.len(), FULL);
}
