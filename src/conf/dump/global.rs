//! `global_defs`, the lines of the top level, and the blocks that speak of interfaces.

use super::{Block, Directive, HIDDEN, Writer, check, data, words};
use crate::conf::model::{
    Dbus, Family, FlushOnStop, Global, JsonVersion, LinkbeatMethod, Lvs, NotifyFifo, ProcessSettings, RealTime,
    ReceiveBuffers, ReloadFile, TimedScript, Transport,
};

const DAEMON_TABLE: &str = "keepalived";

pub fn top_level(writer: &Writer<'_>, top: &mut Block) {
    let global = &writer.config.global;
    top.some("net_namespace", global.net_namespace.as_deref());
    match global.lvs.namespace.as_deref() {
        None => {}
        Some("") => top.line("net_namespace_ipvs", ()),
        Some(name) => top.line("net_namespace_ipvs", words::plain(name)),
    }
    top.some("instance", global.instance.as_deref());
    if global.use_pid_dir {
        // A namespace brings it along.
        top.value("use_pid_dir", (), global.net_namespace.is_some());
    }
    top.flag("linkbeat_use_polling", global.linkbeat_polling);
    top.some("child_wait_time", global.process.child_wait_s);
}

pub fn definitions(writer: &Writer<'_>) -> Directive {
    let mut block = writer.block();
    let global = &writer.config.global;
    block.line("router_id", words::plain(&global.router_id));
    process(&global.process, &mut block);
    scripts(writer, &mut block);
    mail(global, &mut block);
    block.switch("checker_log_all_failures", global.log_all_failures, false);
    block.flag("dynamic_interfaces", global.dynamic_interfaces);
    block.flag("disable_local_igmp", global.disable_local_igmp);
    block.switch("v3_checksum_as_v2", global.v3_checksum_as_v2, false);
    vrrp(writer, &mut block);
    lvs(&global.lvs, global, &mut block);
    realtime(Process::Vrrp, &global.realtime, &mut block);
    realtime(Process::Checker, &global.lvs.realtime, &mut block);
    fifos(writer, &mut block);
    snmp(global, &mut block);
    reload(&global.process, &mut block);
    Directive { block: Some(block.lines), ..Directive::new("global_defs", vec![]) }
}

fn process(process: &ProcessSettings, block: &mut Block) {
    block.flag("process_names", process.names.all);
    block.some("process_name", process.names.parent.as_deref());
    block.some("vrrp_process_name", process.names.vrrp.as_deref());
    block.some("checker_process_name", process.names.checker.as_deref());
    block.value("max_auto_priority", process.auto_priority.max.to_string(), process.auto_priority.max == 0);
    let delay = process.auto_priority.delay_us;
    block.value("min_auto_priority_delay", delay.to_string(), delay == 1_000_000);
    if let Some(mask) = process.umask {
        block.line("umask", format!("0{mask:o}"));
    }
    block.some("state_dump_file", process.dumps.state.as_deref());
    block.some("stats_dump_file", process.dumps.stats.as_deref());
    block.some("json_dump_file", process.dumps.json.as_deref());
    block.switch("data_use_instance", process.dumps.use_instance, false);
    let second = process.dumps.json_version == JsonVersion::V2;
    block.value("json_version", if second { "2" } else { "1" }, !second);
    if let Some(Dbus { name, no_interface }) = &process.dbus {
        block.line("enable_dbus", ());
        block.value("dbus_service_name", words::plain(name), name == "org.keepalived.Vrrp1");
        block.value("dbus_no_interface_name", words::plain(no_interface), no_interface == "none");
    }
}

fn scripts(writer: &Writer<'_>, block: &mut Block) {
    let config = writer.config;
    if let Some(user) = writer.script_user {
        block.line("script_user", writer.identity(user));
        // Paths are written as they are executed.
        block.line("use_symlink_paths", words::on_off(true));
    }
    block.flag("enable_script_security", config.script_security);
    block.switch("set_supplementary_groups", writer.all_groups, false);
    timed(writer, config.global.startup.as_ref(), ("startup_script", "startup_script_timeout"), block);
    timed(writer, config.global.shutdown.as_ref(), ("shutdown_script", "shutdown_script_timeout"), block);
}

fn timed(
    writer: &Writer<'_>,
    script: Option<&TimedScript>,
    (name, timeout): (&'static str, &'static str),
    block: &mut Block,
) {
    let Some(timed) = script else { return };
    block.line(name, writer.script(&timed.script));
    block.value(timeout, timed.timeout_s.to_string(), timed.timeout_s == 10);
}

fn mail(global: &Global, block: &mut Block) {
    let mail = &global.mail;
    if let Some(server) = mail.server {
        block.line("smtp_server", vec![server.ip().to_string(), server.port().to_string()]);
    }
    let usual = if mail.server.is_some() { 30 } else { 0 };
    if mail.connect_timeout_s != 0 {
        block.value("smtp_connect_timeout", mail.connect_timeout_s.to_string(), mail.connect_timeout_s == usual);
    }
    block.some("notification_email_from", mail.from.as_deref());
    block.entries("notification_email", mail.to.iter().map(|to| data(words::plain(to))).collect());
    block.some("smtp_helo_name", mail.helo.as_deref());
    block.some("smtp_alert", mail.alert.map(words::on_off));
    block.some("smtp_alert_vrrp", mail.alert_vrrp.map(words::on_off));
    block.some("smtp_alert_checker", mail.alert_checker.map(words::on_off));
    block.flag("no_email_faults", !mail.faults);
}

/// What instances cannot say themselves, and what VRRP has as a whole.
fn vrrp(writer: &Writer<'_>, block: &mut Block) {
    let (config, global) = (writer.config, &writer.config.global);
    if let Some(first) = config.instances.first() {
        let gap = |gap| (words::duration(gap), gap.is_zero());
        // Zero is what holds without the line, and cannot be written.
        for (keyword, (gap, none)) in
            [("vrrp_garp_interval", gap(first.garp.interval)), ("vrrp_gna_interval", gap(first.garp.gna_interval))]
        {
            if !none {
                block.line(keyword, gap);
            }
        }
    }
    block.switch("vrrp_min_garp", minimal_garp(writer), false);
    if let Some(group) = wide_group(writer) {
        block.line("vrrp_mcast_group6", group.to_string());
    }
    if let Some(prefix) = vmac_prefix(writer) {
        block.line("vmac_addr_prefix", words::plain(&prefix));
    }
    block.value("nftables", words::plain(&global.nftables_table), global.nftables_table == DAEMON_TABLE);
    block.value("nftables_priority", global.nftables_priority.to_string(), global.nftables_priority == -1);
    block.flag("nftables_counters", global.nftables_counters);
    for (keyword, delay) in
        [("vrrp_startup_delay", global.startup_delay_ns), ("vrrp_delay_after_boot", global.delay_after_boot_ns)]
    {
        if delay != 0 {
            block.line(keyword, words::nanoseconds(delay));
        }
    }
    block.flag("log_unknown_vrids", global.log_unknown_vrids);
    block.some("vrrp_netlink_cmd_rcv_bufs", global.netlink_command_buffer);
    block.some("vrrp_netlink_monitor_rcv_bufs", global.netlink_monitor_buffer);
    block.some("process_monitor_rcv_bufs", global.process_monitor_buffer);
    block.switch("process_monitor_rcv_bufs_force", global.process_monitor_buffer_force, false);
    match global.receive_buffers {
        ReceiveBuffers::System => {}
        ReceiveBuffers::Bytes(bytes) => block.line("vrrp_rx_bufs_policy", bytes.to_string()),
        ReceiveBuffers::Mtu { multiplier } => buffers(block, "MTU", multiplier),
        ReceiveBuffers::Advert { multiplier } => buffers(block, "ADVERT", multiplier),
    }
}

fn buffers(block: &mut Block, policy: &'static str, multiplier: u32) {
    block.line("vrrp_rx_bufs_policy", policy);
    block.value("vrrp_rx_bufs_multiplier", multiplier.to_string(), multiplier == 3);
}

/// Whether an instance sends no message at a refresh, which `vrrp_min_garp` alone can ask for.
pub fn minimal_garp(writer: &Writer<'_>) -> bool {
    writer.config.instances.iter().any(|instance| instance.garp.refresh_repeat == 0)
}

/// A group of IPv6 that leaves its link: an instance cannot ask for one.
pub fn wide_group(writer: &Writer<'_>) -> Option<std::net::IpAddr> {
    writer.config.instances.iter().find_map(|instance| match instance.transport {
        Transport::Multicast { group: std::net::IpAddr::V6(group) } if group.segments()[0] & 0x000f != 2 => {
            Some(group.into())
        }
        _ => None,
    })
}

/// How names of interfaces begin that are made for single addresses, unless it is as usual.
fn vmac_prefix(writer: &Writer<'_>) -> Option<String> {
    writer.config.instances.iter().find_map(|instance| {
        let vmac = instance.vmacs.others.first()?;
        let stem = vmac.name.strip_suffix(&format!(".{}", instance.vrid))?;
        let stem = stem.strip_suffix('6').filter(|_| vmac.family == Family::V6).unwrap_or(stem);
        let made_up = stem.trim_end_matches(|c: char| c.is_ascii_digit()) == "vrrp";
        (!made_up).then(|| stem.to_owned())
    })
}

fn lvs(lvs: &Lvs, global: &Global, block: &mut Block) {
    block.flag("lvs_flush", global.lvs_flush);
    match global.lvs_flush_on_stop {
        FlushOnStop::No => {}
        FlushOnStop::Everything => block.line("lvs_flush_on_stop", ()),
        FlushOnStop::VirtualServers => block.line("lvs_flush_on_stop", "VS"),
    }
    let (tcp, fin, udp) = lvs.timeouts;
    let timeouts = [("tcp", tcp), ("tcpfin", fin), ("udp", udp)];
    let timeouts = timeouts.into_iter().filter_map(|(word, value)| Some([word.to_owned(), value?.to_string()]));
    let timeouts: Vec<String> = timeouts.flatten().collect();
    if !timeouts.is_empty() {
        block.line("lvs_timeouts", timeouts);
    }
    if let Some(sync) = &lvs.sync_daemon {
        let mut line = vec![words::plain(&sync.interface)];
        let mut option = |word: &str, value: Option<String>| {
            line.extend(value.map(|value| [word.to_owned(), value]).into_iter().flatten());
        };
        option("inst", sync.instance.as_ref().map(|instance| words::plain(&instance.0)));
        option("id", Some(sync.id.to_string()));
        option("maxlen", sync.max_length.map(|length| length.to_string()));
        option("port", sync.port.map(|port| port.to_string()));
        option("ttl", sync.ttl.map(|ttl| ttl.to_string()));
        option("group", sync.group.map(|group| group.to_string()));
        block.line("lvs_sync_daemon", line);
    }
    let (service, server) = (lvs.service_statistics_us, lvs.server_statistics_us);
    block.value("snmp_vs_stats_update_interval", words::seconds(service), service == 5_000_000);
    block.value("snmp_rs_stats_update_interval", words::seconds(server), server == service);
    block.some("lvs_netlink_cmd_rcv_bufs", lvs.command_buffer);
    block.some("lvs_netlink_monitor_rcv_bufs", lvs.monitor_buffer);
    block.switch("rs_init_notifies", lvs.init_notifies, false);
    block.switch("no_checker_emails", lvs.no_checker_mails, false);
}

#[derive(Clone, Copy)]
enum Process {
    Vrrp,
    Checker,
}

impl Process {
    fn word(self, vrrp: &'static str, checker: &'static str) -> &'static str {
        match self {
            Process::Vrrp => vrrp,
            Process::Checker => checker,
        }
    }
}

fn realtime(of: Process, realtime: &RealTime, block: &mut Block) {
    block.value(of.word("vrrp_priority", "checker_priority"), realtime.nice.to_string(), realtime.nice == 0);
    block.some(of.word("vrrp_rt_priority", "checker_rt_priority"), realtime.rt_priority);
    let limit = realtime.rlimit_rttime_us;
    block.value(of.word("vrrp_rlimit_rttime", "checker_rlimit_rttime"), limit.to_string(), limit == 10_000);
    block.flag(of.word("vrrp_no_swap", "checker_no_swap"), realtime.lock_memory);
    if !realtime.cpus.is_empty() {
        let cpus: Vec<String> = realtime.cpus.iter().map(u32::to_string).collect();
        block.line(of.word("vrrp_cpu_affinity", "checker_cpu_affinity"), cpus);
    }
}

fn fifos(writer: &Writer<'_>, block: &mut Block) {
    let fifos = &writer.config.global.fifos;
    let mut fifo = |fifo: Option<&NotifyFifo>, name: &'static str, script: &'static str| {
        let Some(fifo) = fifo else { return };
        let mut line = vec![words::plain(&fifo.path)];
        line.extend(fifo.owner.map(|owner| writer.identity(owner)).unwrap_or_default());
        block.line(name, line);
        if let Some(reader) = &fifo.script {
            block.line(script, writer.script(reader));
        }
    };
    fifo(fifos.both.as_ref(), "notify_fifo", "notify_fifo_script");
    fifo(fifos.vrrp.as_ref(), "vrrp_notify_fifo", "vrrp_notify_fifo_script");
    fifo(fifos.checks.as_ref(), "lvs_notify_fifo", "lvs_notify_fifo_script");
    block.flag("fifo_write_vrrp_states_on_reload", fifos.states_on_reload);
}

fn snmp(global: &Global, block: &mut Block) {
    block.some("snmp_socket", global.snmp.socket.as_deref());
    block.flag("enable_snmp_vrrp", global.snmp.vrrp);
    block.flag("enable_snmp_checker", global.snmp.checker);
    block.flag("enable_snmp_rfcv2", global.snmp.rfcv2);
    block.flag("enable_snmp_rfcv3", global.snmp.rfcv3);
    block.flag("enable_traps", global.snmp.traps);
}

fn reload(process: &ProcessSettings, block: &mut Block) {
    let reload = &process.reload;
    let path = |path: &std::path::PathBuf| words::plain(&path.to_string_lossy());
    if let Some(log) = &reload.check_log {
        block.line("reload_check_config", path(log));
    }
    if let Some(file) = &reload.time_file {
        block.line("reload_time_file", path(file));
    }
    block.flag("reload_repeat", reload.repeat);
    match &reload.file {
        None => {}
        Some(ReloadFile::Usual) => block.line("reload_file", ()),
        Some(ReloadFile::At(file)) => block.line("reload_file", path(file)),
    }
    if let Some(directory) = &reload.save_dir {
        block.line("config_save_dir", path(directory));
    }
}

/// Blocks of the top level that speak of interfaces, and `SSL`.
pub fn blocks(writer: &Writer<'_>, top: &mut Block) {
    let global = &writer.config.global;
    for group in &global.garp_groups {
        let mut block = writer.block();
        block.some("garp_interval", group.garp_interval_ns.map(words::nanoseconds));
        block.some("gna_interval", group.gna_interval_ns.map(words::nanoseconds));
        block.entries("interfaces", group.interfaces.iter().map(|name| data(words::plain(name))).collect());
        top.push(Directive { block: Some(block.lines), ..Directive::new("garp_group", vec![]) });
    }
    let linkbeat = global.linkbeat.iter().map(|it| {
        let method = it.method.map(|method| match method {
            LinkbeatMethod::Mii => "MII",
            LinkbeatMethod::Ethtool => "ETHTOOL",
            LinkbeatMethod::Ioctl => "IOCTL",
        });
        data([words::plain(&it.interface)].into_iter().chain(method.map(str::to_owned)).collect::<Vec<_>>())
    });
    top.entries("linkbeat_interfaces", linkbeat.collect());
    let delays = global.interface_delays.iter().map(|it| {
        data(vec![words::plain(&it.interface), words::nanoseconds(it.down_ns), words::nanoseconds(it.up_ns)])
    });
    top.entries("interface_up_down_delays", delays.collect());
    if let Some(client) = check::tls_client(writer.config) {
        let mut block = writer.block();
        if let Some(password) = &client.password {
            block.line("password", if writer.options.secrets { words::plain(password) } else { HIDDEN.to_owned() });
        }
        block.some("ca", client.ca.as_deref());
        block.some("certificate", client.certificate.as_deref());
        block.some("key", client.key.as_deref());
        top.push(Directive { block: Some(block.lines), ..Directive::new("SSL", vec![]) });
    }
}
