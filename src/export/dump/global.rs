//! The settings of the daemon: the first section of every state file.

use super::Facts;
use super::page::{Page, seconds};
use crate::conf::model::{FlushOnStop, Global, Lvs, RealTime, ReceiveBuffers};

pub(super) fn settings(page: &mut Page, facts: &Facts<'_>) {
    page.section("Global definitions");
    let Some(global) = facts.snapshot.global() else { return };
    daemon(page, global);
    mail(page, global);
    lvs(page, global);
    vrrp(page, global);
    processes(page, global);
    snmp(page, global);
}

fn daemon(page: &mut Page, global: &Global) {
    page.pair(0, "Network namespace", global.net_namespace.as_deref().unwrap_or("(default)"));
    let ipvs = global.lvs.namespace.as_deref().map(|name| if name.is_empty() { "(default)" } else { name });
    page.pair(0, "Network namespace ipvs", ipvs.unwrap_or("(main namespace)"));
    page.maybe(0, "Instance", global.instance.as_ref());
    page.pair(0, "Router ID", &global.router_id);
    let reload = &global.process.reload;
    match &reload.check_log {
        Some(path) => page.pair(0, "Test config before reload, log to", path.display()),
        None => page.pair(0, "Test config before reload", true),
    }
    page.maybe(0, "Reload time file", reload.time_file.as_ref().map(|path| path.display()));
    page.pair(0, "Reload repeat", reload.repeat);
    page.maybe(0, "Config save dir", reload.save_dir.as_ref().map(|path| path.display()));
    let dumps = &global.process.dumps;
    page.pair(0, "Use instance name in data dumps", dumps.use_instance);
    page.maybe(0, "State dump file", dumps.state.as_ref());
    page.maybe(0, "Stats dump file", dumps.stats.as_ref());
    page.maybe(0, "JSON dump file", dumps.json.as_ref());
    page.pair(0, "Dynamic interfaces", global.dynamic_interfaces);
    if let Some(umask) = global.process.umask {
        page.line(0, format_args!("umask = {umask:03o}"));
    }
}

fn mail(page: &mut Page, global: &Global) {
    let mail = &global.mail;
    if let Some(server) = mail.server {
        page.pair(0, "Smtp server", server.ip());
        page.pair(0, "Smtp server port", server.port());
    }
    page.maybe(0, "Smtp HELO name", mail.helo.as_ref());
    page.pair(0, "Smtp server connection timeout", mail.connect_timeout_s);
    page.maybe(0, "Email notification from", mail.from.as_ref());
    page.list(0, "Email notification to", mail.to.iter().cloned());
    let unset = |of: Option<bool>| of.map_or("unset", |on| if on { "on" } else { "off" });
    page.pair(0, "Default smtp_alert", unset(mail.alert));
    page.pair(0, "Default smtp_alert_vrrp", unset(mail.alert_vrrp));
    page.pair(0, "Default smtp_alert_checker", unset(mail.alert_checker));
    page.pair(0, "Email faults", mail.faults);
    page.pair(0, "Checkers log all failures", global.log_all_failures);
}

fn lvs(page: &mut Page, global: &Global) {
    let Lvs { timeouts: (tcp, tcpfin, udp), sync_daemon, .. } = &global.lvs;
    for (name, timeout) in [("TCP", tcp), ("TCP FIN", tcpfin), ("UDP", udp)] {
        page.maybe(0, &format!("LVS {name} timeout"), *timeout);
    }
    page.pair(0, "LVS flush", global.lvs_flush);
    let on_stop = match global.lvs_flush_on_stop {
        FlushOnStop::No => "disabled",
        FlushOnStop::Everything => "full",
        FlushOnStop::VirtualServers => "VS",
    };
    page.pair(0, "LVS flush on stop", on_stop);
    if let Some(daemon) = sync_daemon {
        page.line(
            0,
            format_args!("LVS syncd vrrp instance = {}", daemon.instance.as_ref().map_or("(none)", |of| &of.0)),
        );
        page.pair(2, "interface", &daemon.interface);
        page.pair(2, "syncid", daemon.id);
        page.maybe(2, "maxlen", daemon.max_length);
        page.maybe(2, "mcast group", daemon.group);
        page.maybe(2, "mcast port", daemon.port);
        page.maybe(2, "mcast ttl", daemon.ttl);
    }
    page.pair(0, "no_checker_emails", u8::from(global.lvs.no_checker_mails));
}

fn vrrp(page: &mut Page, global: &Global) {
    page.pair(0, "VRRP startup delay", seconds(global.startup_delay_ns / 1000));
    page.pair(0, "VRRP delay after boot", seconds(global.delay_after_boot_ns / 1000));
    page.pair(0, "Log unknown VRIDs", global.log_unknown_vrids);
    page.pair(0, "nftables table name", &global.nftables_table);
    page.pair(0, "nftables base chain priority", global.nftables_priority);
    page.line(0, format_args!("nftables with{} counters", if global.nftables_counters { "" } else { "out" }));
    page.list(
        0,
        "GARP groups",
        global.garp_groups.iter().map(|group| {
            let interval = |of: Option<u64>| of.map_or_else(|| "default".to_owned(), |ns| seconds(ns / 1000));
            let (garp, gna) = (interval(group.garp_interval_ns), interval(group.gna_interval_ns));
            format!("GARP interval {garp}, GNA interval {gna}, interfaces {}", group.interfaces.join(" "))
        }),
    );
    page.pair(0, "vrrp_netlink_cmd_rcv_bufs", global.netlink_command_buffer.unwrap_or(0));
    page.pair(0, "vrrp_netlink_monitor_rcv_bufs", global.netlink_monitor_buffer.unwrap_or(0));
    page.pair(0, "lvs_netlink_cmd_rcv_bufs", global.lvs.command_buffer.unwrap_or(0));
    page.pair(0, "lvs_netlink_monitor_rcv_bufs", global.lvs.monitor_buffer.unwrap_or(0));
    match global.receive_buffers {
        ReceiveBuffers::System => {}
        ReceiveBuffers::Bytes(bytes) => page.pair(0, "rx_bufs_size", bytes),
        ReceiveBuffers::Mtu { multiplier } => {
            page.pair(0, "rx_bufs_policy", "MTU");
            page.pair(0, "rx_bufs_multiples", multiplier);
        }
        ReceiveBuffers::Advert { multiplier } => {
            page.pair(0, "rx_bufs_policy", "ADVERT");
            page.pair(0, "rx_bufs_multiples", multiplier);
        }
    }
}

fn processes(page: &mut Page, global: &Global) {
    let process = &global.process;
    let names = &process.names;
    page.maybe(0, "Parent process name", names.parent.as_ref());
    page.maybe(0, "VRRP process name", names.vrrp.as_ref());
    page.maybe(0, "Healthcheck process name", names.checker.as_ref());
    page.pair(0, "Child wait time", process.child_wait_s.unwrap_or(5));
    page.pair(0, "Max auto priority", process.auto_priority.max);
    page.line(0, format_args!("Min auto priority delay = {} usecs", process.auto_priority.delay_us));
    scheduling(page, "VRRP", &global.realtime);
    scheduling(page, "Checker", &global.lvs.realtime);
}

fn scheduling(page: &mut Page, of: &str, realtime: &RealTime) {
    page.pair(0, &format!("{of} process priority"), realtime.nice);
    page.pair(0, &format!("{of} don't swap"), realtime.lock_memory);
    page.pair(0, &format!("{of} realtime priority"), realtime.rt_priority.unwrap_or(0));
    page.pair(0, &format!("{of} realtime limit"), realtime.rlimit_rttime_us);
    if !realtime.cpus.is_empty() {
        let cpus: Vec<_> = realtime.cpus.iter().map(u32::to_string).collect();
        page.pair(0, &format!("{of} CPU affinity"), cpus.join(" "));
    }
}

fn snmp(page: &mut Page, global: &Global) {
    let snmp = &global.snmp;
    for (part, on) in [
        ("vrrp", snmp.vrrp),
        ("checker", snmp.checker),
        ("RFCv2", snmp.rfcv2),
        ("RFCv3", snmp.rfcv3),
        ("traps", snmp.traps),
    ] {
        page.line(0, format_args!("SNMP {part} {}", super::page::enabled(on)));
    }
    page.pair(0, "SNMP socket", snmp.socket.as_deref().unwrap_or("default (unix:/var/agentx/master)"));
}
