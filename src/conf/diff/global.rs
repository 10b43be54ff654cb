//! `global_defs` by name, and the sections of `keepwatch.yaml`.

use super::facts::{Facts, seconds_ns, seconds_us};
use super::objects::Scripts;
use crate::conf::model::{
    AutoPriority, Dbus, DumpSettings, Fifos, FlushOnStop, GarpGroup, Global, HttpSettings, InterfaceDelays,
    JsonVersion, LinkbeatInterface, LinkbeatMethod, Lvs, Mail, MetricsSettings, NotifyFifo, ProcessNames,
    ProcessSettings, RealTime, ReceiveBuffers, ReloadFile, ReloadSettings, Settings, Snmp, SyncDaemon, TimedScript,
    UnixListener,
};

pub(super) fn global(of: &Global, script_security: bool, scripts: Scripts<'_>) -> Facts {
    let Global {
        router_id,
        mail: their_mail,
        snmp: their_snmp,
        net_namespace,
        instance,
        use_pid_dir,
        linkbeat_polling,
        lvs_flush,
        lvs_flush_on_stop,
        lvs: their_lvs,
        process: their_process,
        log_all_failures,
        dynamic_interfaces,
        v3_checksum_as_v2,
        startup_delay_ns,
        delay_after_boot_ns,
        log_unknown_vrids,
        realtime: their_realtime,
        garp_groups,
        linkbeat,
        interface_delays,
        nftables_table,
        nftables_priority,
        nftables_counters,
        disable_local_igmp,
        netlink_command_buffer,
        netlink_monitor_buffer,
        process_monitor_buffer,
        process_monitor_buffer_force,
        receive_buffers,
        fifos: their_fifos,
        startup,
        shutdown,
    } = of;
    let mut facts = Facts::default();
    facts.one("router_id", router_id);
    mail(&mut facts, their_mail);
    snmp(&mut facts, their_snmp);
    facts.maybe("net_namespace", net_namespace.as_ref());
    facts.maybe("instance", instance.as_ref());
    facts.flag("use_pid_dir", *use_pid_dir);
    facts.flag("linkbeat_use_polling", *linkbeat_polling);
    facts.flag("lvs_flush", *lvs_flush);
    let flush = match lvs_flush_on_stop {
        FlushOnStop::No => None,
        FlushOnStop::Everything => Some(""),
        FlushOnStop::VirtualServers => Some("VS"),
    };
    facts.maybe("lvs_flush_on_stop", flush);
    lvs(&mut facts, their_lvs);
    process(&mut facts, their_process);
    facts.flag("checker_log_all_failures", *log_all_failures);
    facts.flag("dynamic_interfaces", *dynamic_interfaces);
    facts.flag("v3_checksum_as_v2", *v3_checksum_as_v2);
    facts.one("vrrp_startup_delay", seconds_ns(*startup_delay_ns));
    facts.one("vrrp_delay_after_boot", seconds_ns(*delay_after_boot_ns));
    facts.flag("log_unknown_vrids", *log_unknown_vrids);
    let names = ["vrrp_priority", "vrrp_rt_priority", "vrrp_rlimit_rttime", "vrrp_no_swap", "vrrp_cpu_affinity"];
    realtime(&mut facts, their_realtime, names);
    let group = |GarpGroup { garp_interval_ns, gna_interval_ns, interfaces }: &GarpGroup| {
        let mut text = interfaces.join(" ");
        for (word, interval) in [("garp_interval", garp_interval_ns), ("gna_interval", gna_interval_ns)] {
            if let Some(interval) = interval {
                text += &format!(" {word} {}", seconds_ns(*interval));
            }
        }
        text
    };
    facts.each("garp_group", garp_groups.iter().map(group));
    let polled = |LinkbeatInterface { interface, method }: &LinkbeatInterface| match method {
        None => interface.clone(),
        Some(LinkbeatMethod::Mii) => format!("{interface} MII"),
        Some(LinkbeatMethod::Ethtool) => format!("{interface} ETHTOOL"),
        Some(LinkbeatMethod::Ioctl) => format!("{interface} IOCTL"),
    };
    facts.each("linkbeat_interfaces", linkbeat.iter().map(polled));
    let delayed = |InterfaceDelays { interface, down_ns, up_ns }: &InterfaceDelays| {
        format!("{interface} {} {}", seconds_ns(*down_ns), seconds_ns(*up_ns))
    };
    facts.each("interface_up_down_delays", interface_delays.iter().map(delayed));
    facts.one("nftables", nftables_table);
    facts.one("nftables_priority", nftables_priority);
    facts.flag("nftables_counters", *nftables_counters);
    facts.flag("disable_local_igmp", *disable_local_igmp);
    facts.maybe("vrrp_netlink_cmd_rcv_bufs", *netlink_command_buffer);
    facts.maybe("vrrp_netlink_monitor_rcv_bufs", *netlink_monitor_buffer);
    facts.maybe("process_monitor_rcv_bufs", *process_monitor_buffer);
    facts.flag("process_monitor_rcv_bufs_force", *process_monitor_buffer_force);
    match receive_buffers {
        ReceiveBuffers::System => {}
        ReceiveBuffers::Mtu { multiplier } => facts.one("vrrp_rx_bufs_policy", format_args!("MTU times {multiplier}")),
        ReceiveBuffers::Advert { multiplier } => {
            facts.one("vrrp_rx_bufs_policy", format_args!("ADVERT times {multiplier}"));
        }
        ReceiveBuffers::Bytes(bytes) => facts.one("vrrp_rx_bufs_policy", bytes),
    }
    fifos(&mut facts, their_fifos, scripts);
    for (keyword, script) in [("startup_script", startup), ("shutdown_script", shutdown)] {
        if let Some(TimedScript { script, timeout_s }) = script {
            scripts.tell(&mut facts, keyword, Some(script));
            let limit = if keyword == "startup_script" { "startup_script_timeout" } else { "shutdown_script_timeout" };
            facts.one(limit, timeout_s);
        }
    }
    facts.flag("enable_script_security", script_security);
    facts
}

fn mail(facts: &mut Facts, of: &Mail) {
    let Mail { server, connect_timeout_s, from, helo, to, faults, alert, alert_vrrp, alert_checker } = of;
    let onoff = |value: Option<bool>| value.map(|on| if on { "on" } else { "off" });
    facts.maybe("smtp_server", *server);
    facts.one("smtp_connect_timeout", connect_timeout_s);
    facts.maybe("notification_email_from", from.as_ref());
    facts.maybe("smtp_helo_name", helo.as_ref());
    facts.each("notification_email", to);
    facts.flag("no_email_faults", !faults);
    facts.maybe("smtp_alert", onoff(*alert));
    facts.maybe("smtp_alert_vrrp", onoff(*alert_vrrp));
    facts.maybe("smtp_alert_checker", onoff(*alert_checker));
}

fn snmp(facts: &mut Facts, of: &Snmp) {
    let Snmp { vrrp, checker, rfcv2, rfcv3, traps, socket } = of;
    facts.flag("enable_snmp_vrrp", *vrrp);
    facts.flag("enable_snmp_checker", *checker);
    facts.flag("enable_snmp_rfcv2", *rfcv2);
    facts.flag("enable_snmp_rfcv3", *rfcv3);
    facts.flag("enable_traps", *traps);
    facts.maybe("snmp_socket", socket.as_ref());
}

fn lvs(facts: &mut Facts, of: &Lvs) {
    let Lvs {
        timeouts: (tcp, tcpfin, udp),
        sync_daemon,
        service_statistics_us,
        server_statistics_us,
        namespace,
        command_buffer,
        monitor_buffer,
        no_checker_mails,
        init_notifies,
        realtime: their_realtime,
    } = of;
    for (keyword, timeout) in [("lvs_timeouts tcp", tcp), ("lvs_timeouts tcpfin", tcpfin), ("lvs_timeouts udp", udp)] {
        facts.maybe(keyword, *timeout);
    }
    if let Some(SyncDaemon { interface, instance, id, max_length, port, ttl, group, location: _ }) = sync_daemon {
        let mut text = interface.clone();
        let mut word = |word: &str, value: Option<String>| {
            if let Some(value) = value {
                text += &format!(" {word} {value}");
            }
        };
        word("inst", instance.as_ref().map(ToString::to_string));
        word("id", Some(id.to_string()));
        word("maxlen", max_length.map(|it| it.to_string()));
        word("port", port.map(|it| it.to_string()));
        word("ttl", ttl.map(|it| it.to_string()));
        word("group", group.map(|it| it.to_string()));
        facts.one("lvs_sync_daemon", text);
    }
    facts.one("snmp_vs_stats_update_interval", seconds_us(*service_statistics_us));
    facts.one("snmp_rs_stats_update_interval", seconds_us(*server_statistics_us));
    facts.maybe("net_namespace_ipvs", namespace.as_ref());
    facts.maybe("lvs_netlink_cmd_rcv_bufs", *command_buffer);
    facts.maybe("lvs_netlink_monitor_rcv_bufs", *monitor_buffer);
    facts.flag("no_checker_emails", *no_checker_mails);
    facts.flag("rs_init_notifies", *init_notifies);
    let names =
        ["checker_priority", "checker_rt_priority", "checker_rlimit_rttime", "checker_no_swap", "checker_cpu_affinity"];
    realtime(facts, their_realtime, names);
}

fn realtime(facts: &mut Facts, of: &RealTime, [priority, rt, limit, lock, affinity]: [&'static str; 5]) {
    let RealTime { nice, rt_priority, rlimit_rttime_us, lock_memory, cpus } = of;
    facts.one(priority, nice);
    facts.maybe(rt, *rt_priority);
    facts.maybe(limit, (*rlimit_rttime_us != 0).then_some(*rlimit_rttime_us));
    facts.flag(lock, *lock_memory);
    let cpus: Vec<String> = cpus.iter().map(ToString::to_string).collect();
    facts.maybe(affinity, (!cpus.is_empty()).then(|| cpus.join(" ")));
}

fn process(facts: &mut Facts, of: &ProcessSettings) {
    let ProcessSettings {
        names: ProcessNames { all, parent, vrrp, checker },
        child_wait_s,
        auto_priority: AutoPriority { max, delay_us },
        umask,
        dumps: DumpSettings { state, stats, json, use_instance, json_version },
        reload: ReloadSettings { check_log, file, time_file, repeat, save_dir },
        dbus,
    } = of;
    facts.flag("process_names", *all);
    facts.maybe("process_name", parent.as_ref());
    facts.maybe("vrrp_process_name", vrrp.as_ref());
    facts.maybe("checker_process_name", checker.as_ref());
    facts.maybe("child_wait_time", *child_wait_s);
    facts.one("max_auto_priority", max);
    facts.one("min_auto_priority_delay", delay_us);
    facts.maybe("umask", umask.map(|umask| format!("{umask:#05o}")));
    facts.maybe("state_dump_file", state.as_ref());
    facts.maybe("stats_dump_file", stats.as_ref());
    facts.maybe("json_dump_file", json.as_ref());
    facts.flag("data_use_instance", *use_instance);
    facts.one("json_version", if *json_version == JsonVersion::V1 { 1 } else { 2 });
    facts.maybe("reload_check_config", check_log.as_ref().map(|path| path.display()));
    match file {
        None => {}
        Some(ReloadFile::Usual) => facts.flag("reload_file", true),
        Some(ReloadFile::At(path)) => facts.one("reload_file", path.display()),
    }
    facts.maybe("reload_time_file", time_file.as_ref().map(|path| path.display()));
    facts.flag("reload_repeat", *repeat);
    facts.maybe("config_save_dir", save_dir.as_ref().map(|path| path.display()));
    if let Some(Dbus { name, no_interface }) = dbus {
        facts.flag("enable_dbus", true);
        facts.one("dbus_service_name", name);
        facts.one("dbus_no_interface_name", no_interface);
    }
}

fn fifos(facts: &mut Facts, of: &Fifos, scripts: Scripts<'_>) {
    let Fifos { both, vrrp, checks, states_on_reload } = of;
    for (keyword, reader, fifo) in [
        ("notify_fifo", "notify_fifo_script", both),
        ("vrrp_notify_fifo", "vrrp_notify_fifo_script", vrrp),
        ("lvs_notify_fifo", "lvs_notify_fifo_script", checks),
    ] {
        if let Some(NotifyFifo { path, owner, script }) = fifo {
            facts.with(keyword, path.clone(), format!("{owner:?}"));
            scripts.tell(facts, reader, script.as_ref());
        }
    }
    facts.flag("fifo_write_vrrp_states_on_reload", *states_on_reload);
}

/// Sections only: most of what is in them is for nobody to read.
pub(super) fn settings(of: &Settings) -> Facts {
    let Settings { snmp, http, metrics, rrd } = of;
    let HttpSettings { unix, listen, web, connections, scrapes } = http;
    let UnixListener { enabled, path, mode, group } = unix;
    let MetricsSettings { max_series, real_servers, detail, textfile } = metrics;
    let mut facts = Facts::default();
    // The words of secrets count here, and are in no text.
    facts.with("snmp", String::new(), format!("{:?}", postcard::to_stdvec(snmp)));
    facts.hidden("http.unix", Some(&(enabled, path, mode, group)));
    facts.each("http.listen", listen);
    facts.hidden("http.web", web.as_ref());
    facts.one("http.connections", connections);
    facts.one("http.scrapes", scrapes);
    facts.one("metrics.max_series", max_series);
    facts.hidden("metrics.real_servers", Some(real_servers));
    facts.one("metrics.detail", detail);
    facts.hidden("metrics.textfile", textfile.as_ref());
    facts.hidden("rrd", rrd.as_ref());
    facts
}
