//! `keepalived.stats`: counters of every instance in the layout that scripts know, with the router's own at the end.

use std::fmt::Write as _;

use crate::bus::rows::{Counters, RouterCounters};
use crate::store::Snapshot;

/// Counters of every instance, in the layout of Keepalived's `keepalived.stats`, with the router's own at the end.
pub fn stats(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for (_, row) in snapshot.vrrp.instances.iter() {
        instance(&mut text, &row.config.name.0, &row.counters);
    }
    router(&mut text, &snapshot.vrrp.router);
    text
}

fn instance(text: &mut String, name: &str, c: &Counters) {
    let _ = writeln!(text, "VRRP Instance: {name}");
    section(text, "Advertisements", &[("Received", c.adverts_received), ("Sent", c.adverts_sent)]);
    let _ = writeln!(text, "  Became master: {}\n  Released master: {}", c.became_master, c.released_master);
    section(
        text,
        "Packet Errors",
        &[
            ("Length", c.packet_length_errors),
            ("TTL", c.ttl_errors),
            ("Invalid Type", c.invalid_type),
            ("Advertisement Interval", c.advert_interval_errors),
            ("Address List", c.address_list_errors),
            ("Unknown Source", c.unknown_source),
        ],
    );
    section(
        text,
        "Authentication Errors",
        &[("Invalid Type", c.invalid_auth_type), ("Type Mismatch", c.auth_type_mismatch), ("Failure", c.auth_failures)],
    );
    section(text, "Priority Zero", &[("Received", c.priority_zero_received), ("Sent", c.priority_zero_sent)]);
}

fn router(text: &mut String, c: &RouterCounters) {
    let _ = writeln!(text, "VRRP Router:");
    section(
        text,
        "Packet Errors",
        &[
            ("Checksum", c.checksum_errors),
            ("Version", c.version_errors),
            ("Virtual Router ID", c.vrid_errors),
            ("Truncated", c.truncated),
        ],
    );
}

fn section(text: &mut String, title: &str, lines: &[(&str, u64)]) {
    let _ = writeln!(text, "  {title}:");
    for (name, value) in lines {
        let _ = writeln!(text, "    {name}: {value}");
    }
}
