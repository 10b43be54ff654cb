//! `Global definitions`: what the daemon is told as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use keepwatch::conf::model::{Config, FlushOnStop, Global, NotifyFifo, RealTime, ReceiveBuffers, ReloadFile};

use super::lines::Section;
use super::topology::script;

/// What a process of keepalived writes differs in places: `of_checks` is keepalived_check.data, otherwise keepalived.data.
pub(super) fn lines(config: &Config, of_checks: bool) -> Vec<String> {
    let global = &config.global;
    let mut out = Vec::new();
    let mut line = |line: String| out.push(format!(" {line}"));
    daemon(config, &mut line);
    lvs(global, of_checks, &mut line);
    fifos(config, of_checks, &mut line);
    nftables(global, &mut line);
    processes(global, &mut line);
    snmp(config, &mut line);
    buffers(global, &mut line);
    if global.startup_delay_ns != 0 {
        line(format!("vrrp_startup_delay = {}", global.startup_delay_ns as f64 / 1e9));
    }
    if global.log_unknown_vrids {
        line("log_unknown_vrids".to_owned());
    }
    out
}

fn daemon(config: &Config, line: &mut impl FnMut(String)) {
    let global = &config.global;
    line(format!("Network namespace = {}", global.net_namespace.as_deref().unwrap_or("(default)")));
    let ipvs = match global.lvs.namespace.as_deref() {
        None => "(main namespace)",
        Some("") => "(default)",
        Some(name) => name,
    };
    line(format!("Network namespace ipvs = {ipvs}"));
    if let Some(instance) = &global.instance {
        line(format!("Instance name = {instance}"));
    }
    let names = &global.process.names;
    let usual = |name: &str| names.all.then(|| name.to_owned());
    if let Some(name) = names.vrrp.clone().or_else(|| usual("keepalived_vrrp")) {
        line(format!("VRRP process name = {name}"));
    }
    if let Some(name) = names.checker.clone().or_else(|| usual("keepalived_lvs")) {
        line(format!("LVS process name = {name}"));
    }
    line(format!("Router ID = {}", global.router_id));
    mail(global, line);
    line(format!("Checkers log all failures = {}", global.log_all_failures));
    let reload = &global.process.reload;
    line("No test config before reload".to_owned());
    if let Some(path) = &reload.time_file {
        line(format!("Reload time file = {}{}", path.display(), if reload.repeat { " (repeat)" } else { "" }));
    }
    match &reload.file {
        None => {}
        Some(ReloadFile::Usual) => line("Reload_file = (default)".to_owned()),
        Some(ReloadFile::At(path)) => line(format!("Reload_file = {}", path.display())),
    }
    line(format!("Dynamic interfaces = {}", global.dynamic_interfaces));
    if !global.mail.faults {
        line("Send emails for fault transitions = off".to_owned());
    }
}

fn mail(global: &Global, line: &mut impl FnMut(String)) {
    let mail = &global.mail;
    if let Some(server) = mail.server {
        line(format!("Smtp server = {}", server.ip()));
        line(format!("Smtp server port = {}", server.port()));
    }
    if let Some(name) = &mail.helo {
        line(format!("Smtp HELO name = {name}"));
    } else if mail.server.is_some() {
        // Nothing is the name of the host.
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        line(format!("Smtp HELO name = {}", name.trim()));
    }
    if mail.server.is_some() {
        line(format!("Smtp server connection timeout = {}", mail.connect_timeout_s));
    }
    // Keepalived shows these with a server only.
    if let Some(from) = mail.from.as_ref().filter(|_| mail.server.is_some()) {
        line(format!("Email notification from = {from}"));
        line("Email notification to:".to_owned());
        mail.to.iter().for_each(|to| line(format!("  {to}")));
    }
    let alerts = [("", mail.alert), ("_vrrp", mail.alert_vrrp), ("_checker", mail.alert_checker)];
    for (of, alert) in alerts {
        let value = alert.map_or("unset", |on| if on { "on" } else { "off" });
        line(format!("Default smtp_alert{of} = {value}"));
    }
}

fn lvs(global: &Global, of_checks: bool, line: &mut impl FnMut(String)) {
    let (tcp, tcp_fin, udp) = global.lvs.timeouts;
    // Keepalived 2.2.7 calls the third by the name of the first.
    for (name, timeout) in [("TCP", tcp), ("TCP FIN", tcp_fin), ("TCP", udp)] {
        if let Some(timeout) = timeout {
            line(format!("LVS {name} timeout = {timeout}"));
        }
    }
    line(format!("Disable local IGMP = {}", if global.disable_local_igmp { "yes" } else { "no" }));
    if let Some(sync) = &global.lvs.sync_daemon {
        if let Some(instance) = &sync.instance {
            let of = if of_checks { "name" } else { "instance" };
            line(format!("LVS syncd vrrp {of} = {}", instance.0));
        }
        line(format!("LVS syncd interface = {}", sync.interface));
        line(format!("LVS syncd syncid = {}", sync.id));
        if let Some(length) = sync.max_length {
            line(format!("LVS syncd maxlen = {length}"));
        }
        if let Some(group) = sync.group {
            line(format!("LVS mcast group {group}"));
        }
        if let Some(port) = sync.port {
            line(format!("LVS syncd mcast port = {port}"));
        }
        if let Some(ttl) = sync.ttl {
            line(format!("LVS syncd mcast ttl = {ttl}"));
        }
    }
    line(format!("LVS flush = {}", global.lvs_flush));
    let on_stop = match global.lvs_flush_on_stop {
        FlushOnStop::No => "disabled",
        FlushOnStop::Everything => "full",
        FlushOnStop::VirtualServers => "VS",
    };
    line(format!("LVS flush on stop = {on_stop}"));
}

fn fifos(config: &Config, of_checks: bool, line: &mut impl FnMut(String)) {
    let fifos = &config.global.fifos;
    let mut fifo = |name: &str, fifo: &Option<NotifyFifo>, has_script: bool| {
        let Some(fifo) = fifo else { return };
        // Without any it is whose the daemon is.
        let (uid, gid) = fifo.owner.unwrap_or_default();
        line(format!("{name} notify fifo = {}, uid:gid {uid}:{gid}", fifo.path));
        if let Some(of) = fifo.script.as_ref().filter(|_| has_script) {
            line(format!("{name} notify fifo script = {}", script(config, of)));
        }
    };
    // The process that starts a script is the one that shows it.
    fifo("Global", &fifos.both, of_checks);
    fifo("VRRP", &fifos.vrrp, true);
    fifo("LVS", &fifos.checks, true);
    line(format!("FIFO write vrrp states on reload = {}", fifos.states_on_reload));
}

fn nftables(global: &Global, line: &mut impl FnMut(String)) {
    line(format!("nftables table name = {}", global.nftables_table));
    line(format!("nftables base chain priority = {}", global.nftables_priority));
    line(format!("nftables with{} counters", if global.nftables_counters { "" } else { "out" }));
}

fn processes(global: &Global, line: &mut impl FnMut(String)) {
    line(format!("Max auto priority = {}", global.process.auto_priority.max));
    line(format!("Min auto priority delay = {} usecs", global.process.auto_priority.delay_us));
    for (of, RealTime { nice, rt_priority, rlimit_rttime_us, lock_memory, .. }) in
        [("VRRP", &global.realtime), ("Checker", &global.lvs.realtime)]
    {
        line(format!("{of} process priority = {nice}"));
        line(format!("{of} don't swap = {lock_memory}"));
        line(format!("{of} realtime priority = {}", rt_priority.unwrap_or(0)));
        line(format!("{of} realtime limit = {rlimit_rttime_us}"));
    }
}

fn snmp(config: &Config, line: &mut impl FnMut(String)) {
    let global = &config.global;
    let snmp = &global.snmp;
    let able = |on: bool| if on { "enabled" } else { "disabled" };
    let parts = [
        ("vrrp", snmp.vrrp),
        ("checker", snmp.checker),
        ("RFCv2", snmp.rfcv2),
        ("RFCv3", snmp.rfcv3),
        ("traps", snmp.traps),
    ];
    for (part, on) in parts {
        line(format!("SNMP {part} {}", able(on)));
    }
    line(format!("SNMP socket = {}", snmp.socket.as_deref().unwrap_or("default (unix:/var/agentx/master)")));
    let dbus = global.process.dbus.as_ref();
    line(format!("DBus {}", able(dbus.is_some())));
    line(format!("DBus service name = {}", dbus.map_or("", |dbus| &dbus.name)).trim_end().to_owned());
    line(format!("Script security {}", able(config.script_security)));
}

fn buffers(global: &Global, line: &mut impl FnMut(String)) {
    let lvs = &global.lvs;
    line(format!("vrrp_netlink_cmd_rcv_bufs = {}", global.netlink_command_buffer.unwrap_or(0)));
    line(format!("vrrp_netlink_monitor_rcv_bufs = {}", global.netlink_monitor_buffer.unwrap_or(0)));
    line(format!("process_monitor_rcv_bufs = {}", global.process_monitor_buffer.unwrap_or(0)));
    line(format!("process_monitor_rcv_bufs_force = {}", u8::from(global.process_monitor_buffer_force)));
    line(format!("lvs_netlink_cmd_rcv_bufs = {}", lvs.command_buffer.unwrap_or(0)));
    line(format!("lvs_netlink_monitor_rcv_bufs = {}", lvs.monitor_buffer.unwrap_or(0)));
    line(format!("rs_init_notifies = {}", u8::from(lvs.init_notifies)));
    line(format!("no_checker_emails = {}", u8::from(lvs.no_checker_mails)));
    let multiplier = match global.receive_buffers {
        ReceiveBuffers::System => 3,
        ReceiveBuffers::Bytes(bytes) => {
            line(format!("rx_bufs_size = {bytes}"));
            3
        }
        ReceiveBuffers::Mtu { multiplier } => {
            line("rx_bufs_policy = MTU".to_owned());
            multiplier
        }
        ReceiveBuffers::Advert { multiplier } => {
            line("rx_bufs_policy = ADVERT".to_owned());
            multiplier
        }
    };
    line(format!("rx_bufs_multiples = {multiplier}"));
    line(format!("umask = 0{:02o}", global.process.umask.unwrap_or(0o177)));
}

/// Keepalived's lines without what only says that a process of its looked at them.
pub(super) fn normal(mut lines: Vec<String>, config: &Config, of_checks: bool) -> Vec<String> {
    // The table is named where something of it is used.
    if !lines.iter().any(|line| line.starts_with(" nftables table name")) {
        let at = lines.iter().position(|line| line.starts_with(" nftables with")).unwrap_or(lines.len());
        let unused = [" nftables table name = keepalived", " nftables base chain priority = -1"].map(str::to_owned);
        lines.splice(at..at, unused);
    }
    let fifos = &config.global.fifos;
    let paths = [("Global", &fifos.both), ("VRRP", &fifos.vrrp), ("LVS", &fifos.checks)];
    for line in &mut lines {
        // checks does not know the instance, whose VRID it is then.
        if of_checks && line == " LVS syncd syncid = 4294967295" {
            let id = config.global.lvs.sync_daemon.as_ref().map_or(0, |sync| sync.id);
            *line = format!(" LVS syncd syncid = {id}");
        }
        // The process that starts a script has put the path behind it.
        for (name, fifo) in paths {
            if let Some(fifo) = fifo.as_ref().filter(|_| line.starts_with(&format!(" {name} notify fifo script"))) {
                *line = line.replacen(&format!(" '{}'", fifo.path), "", 1);
            }
        }
    }
    lines
}

/// How far apart announcements are on each interface, if keepalived paces them at all: that is in sections of its own.
pub(super) fn pacing(theirs: &[Section], config: &Config) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut paced: BTreeMap<&str, [String; 2]> = BTreeMap::new();
    for section in theirs.iter().filter(|section| section.title.starts_with("GARP delay group")) {
        let mut group = ["0", "0"].map(str::to_owned);
        for line in section.lines.iter().map(|line| line.trim()) {
            match line.split_once(" = ") {
                Some(("GARP interval", value)) => value.clone_into(&mut group[0]),
                Some(("GNA interval", value)) => value.clone_into(&mut group[1]),
                None if line == "Interfaces" || line.contains("next time") => {}
                None if !line.contains(' ') => {
                    paced.insert(line, group.clone());
                }
                _ => wrong.push(format!("pacing: nobody knows `{line}`")),
            }
        }
    }
    let seconds = |of: Duration| of.as_secs_f64().to_string();
    for instance in &config.instances {
        let Some(interface) = instance.interface.as_deref() else { continue };
        let ours = [seconds(instance.garp.interval), seconds(instance.garp.gna_interval)];
        let theirs = paced.get(interface).cloned().unwrap_or_else(|| ["0", "0"].map(str::to_owned));
        if theirs != ours {
            wrong.push(format!("pacing on {interface}: keepalived {theirs:?}, we {ours:?}"));
        }
    }
    wrong
}
