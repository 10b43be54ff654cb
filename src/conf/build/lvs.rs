//! `global_defs` of the checks process, and `lvs_sync_daemon`.

use super::{Builder, set_some};
use crate::conf::diag::Diagnostic;
use crate::conf::model::{Instance, InstanceName, Lvs, SyncDaemon};
use crate::conf::parse::{Named, Node};
use crate::conf::values::Value;

/// Age at which statistics are read again, microseconds.
const STATISTICS_US: u64 = 5_000_000;

pub fn build(builder: &mut Builder<'_>, nodes: &[Node]) -> Lvs {
    let mut lvs = Lvs::default();
    lvs.realtime.rlimit_rttime_us = 10_000;
    let (mut service, mut server) = (None, None);
    for node in nodes.iter().filter(|node| node.name() == "net_namespace_ipvs") {
        match &lvs.namespace {
            Some(_) => builder.already_set(node),
            None => lvs.namespace = Some(node.text().unwrap_or_default().to_owned()),
        }
    }
    for node in globals(nodes) {
        let number = || node.int().and_then(|number| u32::try_from(number).ok());
        match node.name() {
            "lvs_timeouts" => timeouts(builder, node, &mut lvs),
            "snmp_vs_stats_update_interval" => set_some(&mut service, node.micros()),
            "snmp_rs_stats_update_interval" => set_some(&mut server, node.micros()),
            "lvs_netlink_cmd_rcv_bufs" => set_some(&mut lvs.command_buffer, number()),
            "lvs_netlink_monitor_rcv_bufs" => set_some(&mut lvs.monitor_buffer, number()),
            "rs_init_notifies" => lvs.init_notifies = node.switch().unwrap_or(lvs.init_notifies),
            "no_checker_emails" => lvs.no_checker_mails = node.switch().unwrap_or(lvs.no_checker_mails),
            name => {
                if let Some(what) = name.strip_prefix("checker_") {
                    super::global::realtime(node, what, &mut lvs.realtime);
                }
            }
        }
    }
    lvs.service_statistics_us = service.unwrap_or(STATISTICS_US);
    lvs.server_statistics_us = server.unwrap_or(lvs.service_statistics_us);
    lvs
}

/// The synchronisation daemon; its instance is the one that decides whether it sends or receives.
pub fn sync_daemon(builder: &mut Builder<'_>, nodes: &[Node], instances: &[Instance]) -> Option<SyncDaemon> {
    let mut lines = globals(nodes).filter(|node| node.name() == "lvs_sync_daemon" && node.text().is_some());
    let Some(line) = lines.next() else { return of_instance(builder, nodes, instances) };
    for again in lines {
        builder.already_set(again);
    }
    let option = |name: &str| line.options.iter().rev().find(|option| option.name == name).and_then(Named::value);
    let number = |name: &str| match option(name) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    let instance = match option("inst") {
        Some(Value::Text(name)) => Some(name.as_str()),
        _ => None,
    };
    // That there is no such instance has been reported.
    let instance = match instance {
        Some(name) => Some(instances.iter().find(|instance| instance.name.0 == name)?),
        None => None,
    };
    Some(SyncDaemon {
        interface: line.text()?.to_owned(),
        instance: instance.map(|instance| instance.name.clone()),
        id: number("id")
            .and_then(|id| u8::try_from(id).ok())
            .or(instance.map(|instance| instance.vrid.get()))
            .unwrap_or(0),
        max_length: number("maxlen").and_then(|length| u16::try_from(length).ok()),
        port: number("port").and_then(|port| u16::try_from(port).ok()),
        ttl: number("ttl").and_then(|ttl| u8::try_from(ttl).ok()),
        group: match option("group") {
            Some(Value::Ip(group)) => Some(*group),
            _ => None,
        },
        location: builder.location(line.keyword.span),
    })
}

/// The old form, inside a `vrrp_instance`.
fn of_instance(builder: &Builder<'_>, nodes: &[Node], instances: &[Instance]) -> Option<SyncDaemon> {
    let blocks = nodes.iter().filter(|node| node.name() == "vrrp_instance");
    blocks.filter_map(|block| Some((block.text()?, block.child("lvs_sync_daemon_interface")?))).find_map(
        |(name, line)| {
            let instance = instances.iter().find(|instance| instance.name == InstanceName::from(name))?;
            Some(SyncDaemon {
                interface: line.text()?.to_owned(),
                instance: Some(instance.name.clone()),
                id: instance.vrid.get(),
                max_length: None,
                port: None,
                ttl: None,
                group: None,
                location: builder.location(line.keyword.span),
            })
        },
    )
}

fn globals(nodes: &[Node]) -> impl Iterator<Item = &Node> {
    nodes.iter().filter(|node| node.name() == "global_defs").flat_map(|node| &node.children)
}

fn timeouts(builder: &mut Builder<'_>, node: &Node, lvs: &mut Lvs) {
    if node.options.is_empty() {
        builder.report(
            Diagnostic::error("missing-value", node.keyword.span, "`lvs_timeouts` needs times")
                .hint("write `tcp SECONDS`, `tcpfin SECONDS` or `udp SECONDS`"),
        );
    }
    for option in &node.options {
        let seconds = match option.value() {
            Some(Value::Int(seconds)) => u32::try_from(*seconds).ok(),
            _ => None,
        };
        match option.name {
            "tcp" => set_some(&mut lvs.timeouts.0, seconds),
            "tcpfin" => set_some(&mut lvs.timeouts.1, seconds),
            _ => set_some(&mut lvs.timeouts.2, seconds),
        }
    }
}
