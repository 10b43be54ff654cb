//! `keepalived.json`: what exporters of others read. Names, order and types of the fields are Keepalived's; those of a pass
//! phrase are stars, as in its 2.4.
//!
//! Written by hand rather than through a JSON library: the order of the fields and the form of its numbers are part of it.

use std::fmt::{Display, Write};

use super::lines;
use super::vrrp::{counted, epoch, of_owner};
use crate::bus::rows::{Counters, InstanceRow, State, TrackerConfig, TrackerRow};
use crate::conf::model::{Auth, JsonVersion, ParameterMatch, Preempt, Version};
use crate::store::{Snapshot, VrrpRows};

/// The whole file; empty without an instance, of which there is nothing to tell.
pub fn document(snapshot: &Snapshot) -> String {
    let rows = &snapshot.vrrp;
    if rows.instances.is_empty() {
        return String::new();
    }
    let instances = rows.instances.iter().map(|(_, row)| instance(rows, row));
    let version = snapshot.global().map(|global| global.process.dumps.json_version).unwrap_or_default();
    match version {
        JsonVersion::V1 => array(instances),
        JsonVersion::V2 => {
            let mut all = Object::default();
            all.raw("vrrp", array(instances));
            if !rows.processes.is_empty() {
                all.raw("track_process", array(rows.processes.iter().filter_map(|(_, row)| process(row))));
            }
            all.end()
        }
    }
}

fn instance(rows: &VrrpRows, row: &InstanceRow) -> String {
    let mut all = Object::default();
    all.raw("data", data(rows, row));
    all.raw("stats", stats(&row.counters));
    all.end()
}

fn data(rows: &VrrpRows, row: &InstanceRow) -> String {
    let config = &row.config;
    let mut o = Object::default();
    o.text("iname", &config.name.0);
    o.number("dont_track_primary", u8::from(!config.track_primary));
    o.number("skip_check_adv_addr", u8::from(config.skip_check_adv_addr));
    o.number("strict_mode", u8::from(config.strict));
    o.text("vmac_ifname", "");
    if let Some(interface) = &config.interface {
        o.text("ifp_ifname", interface);
    }
    o.number("master_priority", row.master.map_or(0, |(_, priority)| priority));
    o.raw("last_transition", epoch(row.since));
    o.number("garp_delay", config.garp.delay.as_secs_f64());
    o.number("garp_refresh", config.garp.refresh.as_secs());
    o.number("garp_rep", config.garp.repeat);
    o.number("garp_refresh_rep", config.garp.refresh_repeat);
    o.number("garp_lower_prio_delay", config.garp.lower_prio_delay.as_secs_f64());
    o.number("garp_lower_prio_rep", config.garp.lower_prio_repeat);
    o.number("lower_prio_no_advert", u8::from(config.lower_prio_no_advert));
    o.number("higher_prio_send_advert", u8::from(config.higher_prio_send_advert));
    o.number("vrid", config.vrid);
    o.number("base_priority", row.base_priority);
    o.number("effective_priority", row.effective_priority);
    o.number("vipset", row.addresses_set);
    o.number("promote_secondaries", config.promote_secondaries);
    o.number("adver_int", config.advert_interval.as_secs_f64());
    o.number("master_adver_int", row.master_interval_ns as f64 / 1e9);
    o.number("accept", u8::from(config.accept));
    o.number("nopreempt", !row.preempt);
    let delay = match config.preempt {
        Preempt::Never => 0.0,
        Preempt::After(delay) => delay.as_secs_f64(),
    };
    o.number("preempt_delay", delay);
    o.number("state", number(row.state));
    o.number("wantstate", number(row.wanted));
    o.number(
        "version",
        match config.version {
            Version::V2 => 2,
            Version::V3 => 3,
        },
    );
    o.number("smtp_alert", config.smtp_alert);
    o.number("notify_deleted", config.notify.deleted);
    let notify = &config.notify;
    for (name, script) in [
        ("script_backup", &notify.backup),
        ("script_master", &notify.master),
        ("script_fault", &notify.fault),
        ("script_stop", &notify.stop),
        ("script_deleted", &notify.deleted_script),
        ("script", &notify.any),
        ("script_master_rx_lower_pri", &notify.master_rx_lower_pri),
    ] {
        if let Some(script) = script {
            o.text(name, &script.text);
        }
    }
    lists(&mut o, rows, row);
    let auth = config.auth.as_ref().filter(|_| config.version == Version::V2);
    o.number(
        "auth_type",
        match auth {
            None => 0,
            Some(Auth::Pass(_)) => 1,
            Some(Auth::Ah(_)) => 2,
        },
    );
    if auth.is_some() {
        o.text("auth_data", "********");
    }
    o.end()
}

fn lists(o: &mut Object, rows: &VrrpRows, row: &InstanceRow) {
    let owner = row.index;
    let addresses = |advertised: bool| {
        let of = rows.addresses.from(&[owner], false).take_while(move |(_, address)| address.owner_index == owner);
        let of = of.filter(move |(_, address)| address.advertised == advertised);
        of.map(|(_, address)| lines::address(&address.config, address.installed)).collect::<Vec<_>>()
    };
    o.list("vips", addresses(true));
    o.list("evips", addresses(false));
    let routes = rows.routes.from(&[owner], false).take_while(|(_, route)| route.owner_index == owner);
    o.list("vroutes", routes.map(|(_, route)| lines::route(&route.config)));
    let rules = rows.rules.from(&[owner], false).take_while(|(_, rule)| rule.owner_index == owner);
    o.list("vrules", rules.map(|(_, rule)| lines::rule(&rule.config)));
    o.list("track_ifp", row.config.tracked_interfaces.iter().map(|track| track.interface.clone()));
    let command = |name: &str| {
        rows.scripts.iter().find_map(|(_, row)| match &row.config {
            TrackerConfig::Script(script) if script.name == name => Some(script.command.text()),
            _ => None,
        })
    };
    o.list("track_script", of_owner(&rows.tracks.scripts, owner).filter_map(|track| command(&track.name)));
    o.list("track_process", of_owner(&rows.tracks.processes, owner).map(|track| track.name.clone()));
}

fn stats(c: &Counters) -> String {
    let mut o = Object::default();
    for (name, value) in [
        ("advert_rcvd", c.adverts_received),
        ("advert_sent", c.adverts_sent),
        ("become_master", c.became_master),
        ("release_master", c.released_master),
        ("packet_len_err", c.packet_length_errors),
        ("advert_interval_err", c.advert_interval_errors),
        ("ip_ttl_err", c.ttl_errors),
        ("invalid_type_rcvd", c.invalid_type),
        ("addr_list_err", c.address_list_errors),
        ("invalid_authtype", c.invalid_auth_type),
        ("authtype_mismatch", c.auth_type_mismatch),
        ("auth_failure", c.auth_failures),
        ("pri_zero_rcvd", c.priority_zero_received),
        ("pri_zero_sent", c.priority_zero_sent),
    ] {
        o.number(name, value);
    }
    o.end()
}

/// One that is tracked, in the second layout.
fn process(row: &TrackerRow) -> Option<String> {
    let TrackerConfig::Process(process) = &row.config else { return None };
    let mut o = Object::default();
    o.text("process", &process.path);
    if !process.parameters.is_empty() {
        o.text("parameters", &process.parameters.join(" "));
    }
    o.text("param_match", parameter_match(process.parameter_match));
    o.number("min_processes", process.quorum);
    if let Some(most) = process.quorum_max {
        o.number("max_processes", most);
    }
    let (count, good) = counted(row.finding);
    o.number("current_processes", count);
    o.number("have_quorum", good);
    o.number("weight", process.weight);
    o.number("terminate_delay", process.terminate_delay_us as f64 / 1e6);
    o.number("fork_delay", process.fork_delay_us as f64 / 1e6);
    // Who counts them tells of a change when its delay is over.
    o.number("fork_delay_timer_running", false);
    o.number("terminate_delay_timer_running", false);
    o.number("full_command", process.full_command);
    Some(o.end())
}

pub(super) fn parameter_match(of: ParameterMatch) -> &'static str {
    match of {
        ParameterMatch::None => "none",
        ParameterMatch::Exact => "exact",
        ParameterMatch::Partial => "partial",
        ParameterMatch::Initial => "initial",
    }
}

fn number(state: State) -> u8 {
    match state {
        State::Init => 0,
        State::Backup => 1,
        State::Master => 2,
        State::Fault => 3,
        State::Deleted => 97,
        State::Shutdown => 98,
    }
}

#[derive(Default)]
struct Object(String);

impl Object {
    fn raw(&mut self, name: &str, value: impl Display) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        // Writing to a String cannot fail. Names are ours, and need no escapes.
        let _ = write!(self.0, "\"{name}\":{value}");
    }

    /// A number, true or false: what Display writes of them is JSON.
    fn number(&mut self, name: &str, value: impl Display) {
        self.raw(name, value);
    }

    fn text(&mut self, name: &str, value: &str) {
        self.raw(name, quoted(value));
    }

    /// Only if there is something in it.
    fn list(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_some() {
            self.raw(name, array(values.map(|value| quoted(&value))));
        }
    }

    fn end(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0
    }
}

fn array(items: impl Iterator<Item = String>) -> String {
    let mut text = "[".to_owned();
    for (at, item) in items.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&item);
    }
    text.push(']');
    text
}

/// RFC 8259 section 7.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if u32::from(c) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
