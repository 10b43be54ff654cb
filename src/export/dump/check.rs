//! Virtual servers as they are: groups, services, real servers, checkers.

use super::page::{Page, enabled, seconds, yes};
use super::{Facts, vrrp};
use crate::bus::rows::{CheckerRow, GroupRow, ServerConfig, ServerRow, ServiceRow};
use crate::conf::model::{
    Forwarding, GroupMember, RealServer, ServiceKind, SorryServer, Tunnel, TunnelChecksum, VirtualServer,
};

pub(super) fn topology(page: &mut Page, facts: &Facts<'_>) {
    let rows = &facts.snapshot.checks;
    page.section("LVS Topology");
    if !rows.ipvs.unavailable.is_empty() {
        page.pair(0, "IPVS unavailable", &rows.ipvs.unavailable);
    }
    rows.groups.iter().for_each(|(_, row)| group(page, row));
    for (_, row) in rows.services.iter() {
        service(page, facts, row);
        let servers = rows.servers.from(&[row.index], false);
        for (_, server) in servers.take_while(|(_, server)| server.service_index == row.index) {
            match &server.config {
                ServerConfig::Sorry(sorry) => sorry_server(page, server, sorry),
                ServerConfig::Real(real) => real_server(page, facts, server, real),
            }
        }
    }
    checkers(page, facts);
}

fn group(page: &mut Page, row: &GroupRow) {
    page.pair(0, "Virtual Server Group", &row.config.name);
    for member in &row.config.members {
        match member {
            GroupMember::Mark { mark, family } => {
                let family = family.map_or("", |family| match family {
                    crate::conf::model::Family::V4 => " inet",
                    crate::conf::model::Family::V6 => " inet6",
                });
                page.line(2, format_args!("FWMARK = {mark}{family}"));
            }
            GroupMember::Addresses { first, last, port } if first == last => {
                page.line(2, format_args!("VIP = {first}, VPORT = {port}"));
            }
            GroupMember::Addresses { first, last, port } => {
                page.line(2, format_args!("VIP Range = {first}-{last}, VPORT = {port}"));
            }
        }
    }
}

fn service(page: &mut Page, facts: &Facts<'_>, row: &ServiceRow) {
    let config = &row.config;
    match &config.key.kind {
        ServiceKind::Address { address, port } => page.line(0, format_args!("VS VIP = {address}, VPORT = {port}")),
        ServiceKind::Mark { mark, .. } => page.pair(0, "VS FWMARK", mark),
        ServiceKind::Group(name) => page.pair(0, "VS GROUP", name),
    }
    page.maybe(2, "SNMP name", config.snmp_name.as_ref());
    page.maybe(2, "VirtualHost", config.virtual_host.as_ref());
    page.pair(2, "Address family", if config.family.host_prefix() == 32 { "inet" } else { "inet6" });
    page.pair(2, "connection timeout", seconds(config.connect_timeout_us));
    page.pair(2, "delay_loop", seconds(config.delay_loop_us));
    page.pair(2, "lvs_sched", &config.scheduler);
    for (number, on) in config.scheduler_flags.iter().enumerate() {
        page.line(2, format_args!("flag-{} = {}", number + 1, enabled(*on)));
    }
    page.pair(2, "One packet scheduling", enabled(config.one_packet));
    if let Some(persistence) = config.persistence {
        page.pair(2, "persistence timeout", persistence.timeout_s);
        page.pair(2, "persistence granularity", granularity(config, persistence.granularity));
    }
    page.maybe(2, "persistence engine", config.persistence_engine.as_ref());
    page.pair(2, "protocol", config.key.protocol_name().to_uppercase());
    page.line(2, format_args!("alpha is {}", on(config.alpha)));
    page.line(2, format_args!("omega is {}", on(config.omega)));
    page.line(2, format_args!("inhibit on failure is {}", on(config.inhibit_on_failure)));
    page.line(2, format_args!("quorum = {}, hysteresis = {}", config.quorum, config.hysteresis));
    page.maybe(2, "Quorum up notify script", config.quorum_up.as_ref().map(|script| &script.text));
    page.maybe(2, "Quorum down notify script", config.quorum_down.as_ref().map(|script| &script.text));
    page.pair(2, "Using smtp notification", yes(config.smtp_alert));
    page.maybe(2, "default forwarding method", config.forwarding.map(forwarding));
    page.line(2, format_args!("ha_suspend is {}", on(config.ha_suspend)));
    page.pair(2, "suspended", row.suspended);
    page.pair(2, "alive", u8::from(row.installed));
    page.pair(2, "real servers alive", row.servers_up);
    page.pair(2, "real servers", row.servers_total);
    page.pair(2, "weight alive", row.weight_up);
    page.pair(2, "quorum_state_up", u8::from(row.quorum_met));
    page.line(
        2,
        format_args!("quorum state since = {} ({})", vrrp::epoch(row.quorum_since), (facts.when)(row.quorum_since)),
    );
    page.list(2, "trouble", row.trouble.iter().cloned());
}

/// A mask for IPv4, a length for IPv6.
fn granularity(config: &VirtualServer, of: u32) -> String {
    if config.family.host_prefix() == 32 { std::net::Ipv4Addr::from(of).to_string() } else { of.to_string() }
}

fn sorry_server(page: &mut Page, row: &ServerRow, sorry: &SorryServer) {
    page.line(2, format_args!("sorry server = {}", std::net::SocketAddr::new(sorry.address, sorry.port)));
    page.pair(4, "forwarding method", forwarding(sorry.forwarding));
    page.line(4, format_args!("Inhibit on failure is {}", on(sorry.inhibit)));
    page.pair(4, "set", row.installed);
    page.pair(4, "alive", row.alive);
}

fn real_server(page: &mut Page, facts: &Facts<'_>, row: &ServerRow, real: &RealServer) {
    page.line(
        2,
        format_args!(
            "RIP = {}, RPORT = {}, WEIGHT = {} EFF WEIGHT = {}",
            real.address,
            real.port,
            real.weight,
            if row.alive { row.weight } else { 0 }
        ),
    );
    page.maybe(4, "SNMP name", real.snmp_name.as_ref());
    page.pair(4, "forwarding method", forwarding(real.forwarding));
    page.line(4, format_args!("Alpha is {}", on(real.alpha)));
    page.pair(4, "connection timeout", seconds(real.connect_timeout_us));
    page.line(4, format_args!("connection limits: upper {}, lower {}", real.upper_threshold, real.lower_threshold));
    page.line(4, format_args!("Inhibit on failure is {}", on(real.inhibit_on_failure)));
    page.maybe(4, "RS up notify script", real.notify_up.as_ref().map(|script| &script.text));
    page.maybe(4, "RS down notify script", real.notify_down.as_ref().map(|script| &script.text));
    page.pair(4, "Using smtp notification", yes(real.smtp_alert));
    page.pair(4, "initial weight", real.weight);
    page.line(
        4,
        format_args!("effective weight = {}{}", row.weight, if row.overridden { " (set by an operator)" } else { "" }),
    );
    page.pair(4, "alive", u8::from(row.alive));
    page.pair(4, "num failed checkers", row.failed_checks);
    page.pair(4, "checkers not run", row.checks_not_run);
    page.pair(4, "RS set", u8::from(row.installed));
    page.line(4, format_args!("since = {} ({})", vrrp::epoch(row.since), (facts.when)(row.since)));
    page.pair(4, "went up", row.went_up);
    page.pair(4, "went down", row.went_down);
    page.line(
        4,
        format_args!(
            "connections: active {}, inactive {}, persistent {}",
            row.load.active, row.load.inactive, row.load.persistent
        ),
    );
}

fn checkers(page: &mut Page, facts: &Facts<'_>) {
    let rows = &facts.snapshot.checks;
    if rows.servers.iter().all(|(_, row)| row.checkers.is_empty()) {
        return;
    }
    page.section("Health checkers");
    for (index, row) in rows.servers.iter() {
        let service = index.first().and_then(|service| rows.services.get(&[*service]));
        let (Some(service), ServerConfig::Real(real)) = (service, &row.config) else { continue };
        let server = std::net::SocketAddr::new(real.address, real.port);
        for one in &row.checkers {
            page.line(0, format_args!("{} -> {server}", service.config.key));
            checker(page, facts, one);
        }
    }
}

fn checker(page: &mut Page, facts: &Facts<'_>, row: &CheckerRow) {
    page.pair(2, "Type", &row.kind);
    page.pair(2, "Target", &row.target);
    if !row.asks.is_empty() {
        page.pair(2, "Asks", &row.asks);
    }
    if !row.wants.is_empty() {
        page.pair(2, "Wants", &row.wants);
    }
    page.pair(2, "Is up", row.up);
    page.pair(2, "Has run", row.has_run);
    page.line(2, format_args!("Since = {} ({})", vrrp::epoch(row.since), (facts.when)(row.since)));
    page.pair(2, "Passed", row.passed);
    page.pair(2, "Failed", row.failed);
    page.line(2, format_args!("Last duration = {} usecs", row.took_us));
    if !row.error.is_empty() {
        page.pair(2, "Last error", &row.error);
    }
}

fn on(is: bool) -> &'static str {
    if is { "ON" } else { "OFF" }
}

fn forwarding(of: Forwarding) -> String {
    let checksum = |of: TunnelChecksum| match of {
        TunnelChecksum::None => "",
        TunnelChecksum::Checksum => " csum",
        TunnelChecksum::Remote => " remcsum",
    };
    match of {
        Forwarding::Nat => "NAT".to_owned(),
        Forwarding::Direct => "DR".to_owned(),
        Forwarding::Tunnel(Tunnel::Ipip) => "TUN".to_owned(),
        Forwarding::Tunnel(Tunnel::Gue { port, checksum: of }) => format!("TUN type gue port {port}{}", checksum(of)),
        Forwarding::Tunnel(Tunnel::Gre { checksum: of }) => format!("TUN type gre{}", checksum(of)),
    }
}
