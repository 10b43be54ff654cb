//! `global_defs`, and what they give to every instance.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::{Builder, set_some};
use crate::conf::Options;
use crate::conf::diag::Diagnostic;
use crate::conf::model::{
    FlushOnStop, GarpGroup, Global, InterfaceDelays, LinkbeatInterface, LinkbeatMethod, RealTime, ReceiveBuffers,
    Version,
};
use crate::conf::parse::Node;
use crate::conf::values::{self, Value};

/// What an instance takes when it says nothing itself.
#[derive(Debug, Clone)]
pub struct Defaults {
    pub version: Option<Version>,
    pub strict: Option<bool>,
    /// Where strict mode was asked for.
    pub strict_at: Option<crate::conf::diag::Span>,
    pub group4: IpAddr,
    pub group6: IpAddr,
    pub interface: String,
    pub garp: GarpDefaults,
    pub down_timer_adverts: u32,
    pub lower_prio_no_advert: bool,
    pub higher_prio_send_advert: bool,
    pub owner_ignore_adverts: bool,
    pub skip_check_adv_addr: bool,
    pub v3_checksum_as_v2: bool,
    pub check_unicast_src: bool,
    pub smtp_alert: bool,
    /// Interface and instance of `lvs_sync_daemon`.
    pub sync_daemon: Option<(String, String)>,
    /// `vmac_prefix` and `vmac_addr_prefix`: how made up names of interfaces begin.
    pub vmac_prefix: Option<String>,
    pub vmac_addr_prefix: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct GarpDefaults {
    pub delay: Option<u32>,
    pub repeat: Option<u32>,
    pub refresh: Option<u32>,
    pub refresh_repeat: Option<u32>,
    pub lower_prio_delay: Option<u32>,
    pub lower_prio_repeat: Option<u32>,
    pub interval_us: u64,
    pub gna_interval_us: u64,
    pub extra: u32,
    pub extra_all: bool,
    /// `vrrp_min_garp`: one message and no second burst, where nothing else is set.
    pub minimal: bool,
}

pub fn build(builder: &mut Builder<'_>, nodes: &[Node], options: &Options) -> (Global, Defaults) {
    let mut global = Global {
        router_id: builder.host.host_name(),
        nftables_table: "keepalived".to_owned(),
        nftables_priority: -1,
        ..Global::default()
    };
    global.mail.faults = true;
    global.realtime.rlimit_rttime_us = 10_000;
    let mut defaults = Defaults {
        version: None,
        strict: None,
        strict_at: None,
        group4: IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
        group6: IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
        interface: "eth0".to_owned(),
        garp: GarpDefaults::default(),
        down_timer_adverts: 3,
        lower_prio_no_advert: false,
        higher_prio_send_advert: false,
        owner_ignore_adverts: false,
        skip_check_adv_addr: false,
        v3_checksum_as_v2: false,
        check_unicast_src: false,
        smtp_alert: false,
        sync_daemon: None,
        vmac_prefix: None,
        vmac_addr_prefix: None,
    };
    top_level(builder, nodes, &mut global);
    global.lvs = super::lvs::build(builder, nodes);
    global.process = super::process::build(builder, nodes);
    global.snmp.socket = options.agent_socket.clone();
    let mut state = State { timeout: None, nftables: false, policy: None, multiplier: 3 };
    for node in nodes.iter().filter(|node| node.name() == "global_defs").flat_map(|node| &node.children) {
        directive(builder, node, &mut global, &mut defaults, &mut state);
    }
    if options.snmp_all {
        global.snmp.vrrp = true;
        global.snmp.checker = true;
        global.snmp.rfcv2 = true;
        global.snmp.rfcv3 = true;
    }
    if let Some(namespace) = &options.namespace {
        global.net_namespace = Some(namespace.clone());
    }
    if global.net_namespace.is_some() {
        global.use_pid_dir = true;
    }
    // Without a relay Keepalived leaves these unset, and the MIB shows it.
    global.mail.connect_timeout_s = state.timeout.unwrap_or(if global.mail.server.is_some() { 30 } else { 0 });
    if global.mail.server.is_some() && global.mail.from.is_none() {
        // Keepalived takes the user that it runs as.
        global.mail.from = Some(format!("root@{}", builder.host.host_name()));
    }
    global.receive_buffers = match state.policy {
        None => ReceiveBuffers::System,
        Some(Policy::Bytes(bytes)) => ReceiveBuffers::Bytes(bytes),
        Some(Policy::Mtu) => ReceiveBuffers::Mtu { multiplier: state.multiplier },
        Some(Policy::Advert) => ReceiveBuffers::Advert { multiplier: state.multiplier },
    };
    defaults.smtp_alert = global.mail.alert_vrrp.or(global.mail.alert).unwrap_or(false);
    (global, defaults)
}

struct State {
    timeout: Option<u32>,
    nftables: bool,
    policy: Option<Policy>,
    multiplier: u32,
}

enum Policy {
    Mtu,
    Advert,
    Bytes(u32),
}

fn top_level(builder: &mut Builder<'_>, nodes: &[Node], global: &mut Global) {
    for node in nodes {
        match node.name() {
            "net_namespace" => match (&global.net_namespace, node.text()) {
                (None, Some(name)) => global.net_namespace = Some(name.to_owned()),
                (Some(_), _) => builder.already_set(node),
                _ => {}
            },
            "instance" => match (&global.instance, node.text()) {
                (None, Some(name)) => global.instance = Some(name.to_owned()),
                (Some(_), _) => builder.already_set(node),
                _ => {}
            },
            "use_pid_dir" => global.use_pid_dir = true,
            "linkbeat_use_polling" => global.linkbeat_polling = true,
            "garp_group" => garp_group(builder, node, global),
            "linkbeat_interfaces" => linkbeat(builder, node, global),
            "interface_up_down_delays" => interface_delays(builder, node, global),
            _ => {}
        }
    }
}

fn linkbeat(builder: &Builder<'_>, node: &Node, global: &mut Global) {
    for line in &node.entries {
        let Some(word) = line.first().map(|value| &value.word) else { continue };
        // What does not exist has been told, `held.rs`.
        if builder.interface(&word.text).is_none() {
            continue;
        }
        let method = match line.value("method") {
            Some(Value::Text(method)) => match method.as_str() {
                "MII" => Some(LinkbeatMethod::Mii),
                "ETHTOOL" => Some(LinkbeatMethod::Ethtool),
                "IOCTL" => Some(LinkbeatMethod::Ioctl),
                _ => None,
            },
            _ => None,
        };
        let interface = word.text.to_string();
        global.linkbeat.retain(|known| known.interface != interface);
        global.linkbeat.push(LinkbeatInterface { interface, method });
    }
}

fn interface_delays(builder: &Builder<'_>, node: &Node, global: &mut Global) {
    for line in &node.entries {
        let Some(word) = line.first().map(|value| &value.word) else { continue };
        // What does not exist has been told, `held.rs`.
        if builder.interface(&word.text).is_none() {
            continue;
        }
        let delays: Vec<u64> = line
            .values
            .iter()
            .filter_map(|value| match value.value {
                Some(Value::Micros(micros)) => Some(micros * 1000),
                _ => None,
            })
            .collect();
        let Some(down_ns) = delays.first().copied() else { continue };
        let up_ns = delays.get(1).copied().unwrap_or(0);
        let interface = word.text.to_string();
        // As in Keepalived, a later line for the same interface counts.
        global.interface_delays.retain(|known| known.interface != interface);
        global.interface_delays.push(InterfaceDelays { interface, down_ns, up_ns });
    }
}

fn garp_group(builder: &mut Builder<'_>, node: &Node, global: &mut Global) {
    let mut group = GarpGroup::default();
    for child in &node.children {
        let interval = child.micros().map(|micros| micros * 1000);
        match child.name() {
            "garp_interval" => group.garp_interval_ns = interval,
            "gna_interval" => group.gna_interval_ns = interval,
            "interface" | "interfaces" => {
                let entries = child.entries.iter().filter_map(|line| line.first());
                for value in child.values.iter().chain(entries) {
                    let name = value.word.text.to_string();
                    let taken = group.interfaces.contains(&name)
                        || global.garp_groups.iter().any(|group| group.interfaces.contains(&name));
                    if taken {
                        builder.report(
                            Diagnostic::warning(
                                "garp-group",
                                value.word.span,
                                format!("{name} is in a garp_group already"),
                            )
                            .hint("an interface belongs to one group"),
                        );
                    } else if value.value.is_some() && builder.interface_known(&name, value.word.span) {
                        group.interfaces.push(name);
                    }
                }
            }
            _ => {}
        }
    }
    if group.garp_interval_ns.is_none() && group.gna_interval_ns.is_none() {
        builder.report(
            Diagnostic::warning("garp-group", node.keyword.span, "a garp_group without an interval has no effect")
                .hint("add garp_interval or gna_interval"),
        );
        return;
    }
    global.garp_groups.push(group);
}

/// One directive of `global_defs`; those without an effect are passed over.
fn directive(builder: &mut Builder<'_>, node: &Node, global: &mut Global, defaults: &mut Defaults, state: &mut State) {
    let number = || node.int().and_then(|number| u32::try_from(number).ok());
    match node.name() {
        "router_id" => set(&mut global.router_id, node.text().map(str::to_owned)),
        "notification_email_from" => set_some(&mut global.mail.from, node.text().map(str::to_owned)),
        "notification_email" => {
            if node.entries.is_empty() && node.refused == 0 {
                builder.report(
                    Diagnostic::warning("no-recipient", node.keyword.span, "notification_email is empty")
                        .hint("write one address per line, or delete the block"),
                );
            }
            let entries = node.entries.iter().filter_map(|line| line.first());
            global.mail.to.extend(entries.map(|value| value.word.text.to_string()));
        }
        "smtp_helo_name" => set_some(&mut global.mail.helo, node.text().map(str::to_owned)),
        "checker_log_all_failures" => set(&mut global.log_all_failures, node.switch()),
        "smtp_server" => smtp_server(builder, node, global),
        "smtp_connect_timeout" => {
            if number() == Some(0) {
                builder.report(
                    Diagnostic::warning("smtp-timeout", node.span(), "a timeout of 0 is read as 1 second")
                        .hint("write the seconds to wait for the relay"),
                );
            }
            set_some(&mut state.timeout, number().map(|seconds| seconds.max(1)));
        }
        "smtp_alert" => set_some(&mut global.mail.alert, node.switch()),
        "smtp_alert_vrrp" => set_some(&mut global.mail.alert_vrrp, node.switch()),
        "smtp_alert_checker" => set_some(&mut global.mail.alert_checker, node.switch()),
        "no_email_faults" => global.mail.faults = false,
        "dynamic_interfaces" => global.dynamic_interfaces = true,
        "default_interface" => set(&mut defaults.interface, node.text().map(str::to_owned)),
        "lvs_flush" => global.lvs_flush = true,
        "lvs_flush_on_stop" => {
            global.lvs_flush_on_stop = match node.text() {
                Some(_) => FlushOnStop::VirtualServers,
                None if node.values.is_empty() => FlushOnStop::Everything,
                None => global.lvs_flush_on_stop,
            };
        }
        "lvs_sync_daemon" => sync_daemon(node, defaults),
        "v3_checksum_as_v2" => {
            // Documented as a switch; Keepalived turns it on whatever the value.
            if let Some(on) = node.switch() {
                global.v3_checksum_as_v2 = on;
                defaults.v3_checksum_as_v2 = on;
            }
        }
        "vrrp_mcast_group4" => set(&mut defaults.group4, node.ip()),
        "vrrp_mcast_group6" => {
            if let Some(group) = node.ip().filter(|group| !link_local(*group)) {
                builder.report(
                    Diagnostic::warning(
                        "group-scope",
                        node.span(),
                        format!("{group} is not link-local: adverts may travel"),
                    )
                    .hint("use a group of ff02::/16"),
                );
            }
            set(&mut defaults.group6, node.ip());
        }
        "vrrp_garp_master_delay" => set_some(&mut defaults.garp.delay, number()),
        "vrrp_garp_master_repeat" => set_some(&mut defaults.garp.repeat, node.burst()),
        "vrrp_garp_master_refresh" => set_some(&mut defaults.garp.refresh, number()),
        "vrrp_garp_master_refresh_repeat" => set_some(&mut defaults.garp.refresh_repeat, node.burst()),
        "vrrp_garp_lower_prio_delay" => set_some(&mut defaults.garp.lower_prio_delay, number()),
        "vrrp_garp_lower_prio_repeat" => set_some(&mut defaults.garp.lower_prio_repeat, number()),
        "vrrp_down_timer_adverts" => set(&mut defaults.down_timer_adverts, number()),
        "vrrp_garp_interval" => set(&mut defaults.garp.interval_us, node.micros()),
        "vrrp_gna_interval" => set(&mut defaults.garp.gna_interval_us, node.micros()),
        "vrrp_min_garp" => set(&mut defaults.garp.minimal, node.switch()),
        "vrrp_garp_extra_if" => {
            if let Some(seconds) = number() {
                defaults.garp.extra = seconds;
                defaults.garp.extra_all = node.value("all").is_some();
            }
        }
        "vrrp_lower_prio_no_advert" => set(&mut defaults.lower_prio_no_advert, node.switch()),
        "vrrp_higher_prio_send_advert" => set(&mut defaults.higher_prio_send_advert, node.switch()),
        "vrrp_owner_ignore_adverts" => set(&mut defaults.owner_ignore_adverts, node.switch()),
        "vrrp_skip_check_adv_addr" => set(&mut defaults.skip_check_adv_addr, node.switch()),
        "vrrp_check_unicast_src" => defaults.check_unicast_src = true,
        "vrrp_version" => set_some(&mut defaults.version, version(node)),
        "vrrp_strict" => {
            set_some(&mut defaults.strict, node.switch());
            defaults.strict_at = Some(node.keyword.span);
        }
        "nftables" => {
            if state.nftables {
                builder.already_set(node);
            } else {
                state.nftables = true;
                set(&mut global.nftables_table, node.text().map(str::to_owned));
            }
        }
        "vrrp_iptables" => builder.report(
            // Debian's Keepalived says the same, and does it.
            Diagnostic::note(
                "iptables",
                node.keyword.span,
                "no rule is written into chains of iptables: no_accept and use_vmac filter by nftables, in a table of their own",
            )
            .hint("write `nftables` instead"),
        ),
        "nftables_priority" => {
            let priority = node.int().and_then(|number| i32::try_from(number).ok());
            set(&mut global.nftables_priority, priority);
        }
        "nftables_counters" => global.nftables_counters = true,
        "disable_local_igmp" => global.disable_local_igmp = true,
        "vmac_prefix" => once(builder, node, &mut defaults.vmac_prefix),
        "vmac_addr_prefix" => once(builder, node, &mut defaults.vmac_addr_prefix),
        "vrrp_priority" | "vrrp_no_swap" | "vrrp_rt_priority" | "vrrp_rlimit_rttime" | "vrrp_cpu_affinity" => {
            realtime(node, node.name().trim_start_matches("vrrp_"), &mut global.realtime);
        }
        "vrrp_startup_delay" => set(&mut global.startup_delay_ns, node.micros().map(|micros| micros * 1000)),
        "vrrp_delay_after_boot" => set(&mut global.delay_after_boot_ns, node.micros().map(|micros| micros * 1000)),
        "log_unknown_vrids" => global.log_unknown_vrids = true,
        "vrrp_netlink_cmd_rcv_bufs" => set_some(&mut global.netlink_command_buffer, number()),
        "process_monitor_rcv_bufs" => set_some(&mut global.process_monitor_buffer, number()),
        "process_monitor_rcv_bufs_force" => set(&mut global.process_monitor_buffer_force, node.switch()),
        "vrrp_netlink_monitor_rcv_bufs" => set_some(&mut global.netlink_monitor_buffer, number()),
        "vrrp_rx_bufs_multiplier" => set(&mut state.multiplier, number()),
        "vrrp_rx_bufs_policy" => match node.values.first().and_then(|value| value.value.as_ref()) {
            Some(Value::Int(bytes)) => state.policy = u32::try_from(*bytes).ok().map(Policy::Bytes),
            Some(Value::Text(word)) if word == "MTU" => state.policy = Some(Policy::Mtu),
            Some(Value::Text(_)) => state.policy = Some(Policy::Advert),
            _ => {}
        },
        "snmp_socket" => match (&global.snmp.socket, node.text()) {
            (None, Some(socket)) => global.snmp.socket = Some(socket.to_owned()),
            (Some(_), _) => builder.already_set(node),
            _ => {}
        },
        "enable_snmp_vrrp" => global.snmp.vrrp = true,
        "enable_snmp_checker" => global.snmp.checker = true,
        "enable_snmp_rfc" => (global.snmp.rfcv2, global.snmp.rfcv3) = (true, true),
        "enable_snmp_rfcv2" => global.snmp.rfcv2 = true,
        "enable_snmp_rfcv3" => global.snmp.rfcv3 = true,
        "enable_traps" => global.snmp.traps = true,
        _ => {}
    }
}

/// How a process is scheduled: the directives that each process has, without its prefix.
pub fn realtime(node: &Node, what: &str, realtime: &mut RealTime) {
    match what {
        "priority" => realtime.nice = node.int().and_then(|number| i32::try_from(number).ok()).unwrap_or(0),
        "no_swap" => realtime.lock_memory = true,
        "rt_priority" => {
            // Beyond the range the nearest limit counts, after the report.
            let written = node.values.first().and_then(|value| values::number(&value.word.text));
            let priority = written.and_then(|number| u8::try_from(number.clamp(1, 99)).ok());
            set_some(&mut realtime.rt_priority, priority);
        }
        "rlimit_rttime" => {
            // A bad value means no limit at all, and 1 is too low for the kernel.
            let micros = node.int().and_then(|number| u32::try_from(number).ok());
            realtime.rlimit_rttime_us = micros.map_or(0, |micros| micros.max(2));
        }
        "cpu_affinity" => {
            let cpu = |value: &crate::conf::parse::Val| match value.value {
                Some(Value::Int(cpu)) => u32::try_from(cpu).ok(),
                _ => None,
            };
            // One bad id drops the whole set.
            if let Some(cpus) = node.values.iter().map(cpu).collect::<Option<Vec<_>>>() {
                realtime.cpus = cpus;
            }
        }
        _ => {}
    }
}

/// Whether a multicast group stays on its link; IPv4 groups are not told apart.
pub fn link_local(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(_) => true,
        IpAddr::V6(group) => group.segments()[0] & 0x000f == 2,
    }
}

pub fn version(node: &Node) -> Option<Version> {
    match node.text()? {
        "2" => Some(Version::V2),
        "3" => Some(Version::V3),
        _ => None,
    }
}

pub fn micros(value: u64) -> Duration {
    Duration::from_micros(value)
}

/// The first one counts.
fn once(builder: &mut Builder<'_>, node: &Node, place: &mut Option<String>) {
    match place {
        None => *place = node.text().map(str::to_owned),
        Some(_) => builder.already_set(node),
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn smtp_server(builder: &mut Builder<'_>, node: &Node, global: &mut Global) {
    let (Some(host), port) = (node.word("host"), node.value("port")) else { return };
    let port = match port {
        Some(Value::Int(port)) => u16::try_from(*port).unwrap_or(25),
        _ => 25,
    };
    let address = host.text.parse().ok().or_else(|| builder.host.resolve(&host.text));
    match address {
        Some(address) => global.mail.server = Some(SocketAddr::new(address, port)),
        None => builder.report(
            Diagnostic::warning(
                "smtp-server",
                host.span,
                format!("cannot resolve `{}`: no mail will be sent", host.text),
            )
            .hint("write the address of the relay, or a name that resolves at start"),
        ),
    }
}

fn sync_daemon(node: &Node, defaults: &mut Defaults) {
    let instance = node.options.iter().find(|option| option.name == "inst").and_then(|option| option.value());
    if let (Some(interface), Some(Value::Text(instance))) = (node.text(), instance)
        && defaults.sync_daemon.is_none()
    {
        defaults.sync_daemon = Some((interface.to_owned(), instance.to_string()));
    }
}
