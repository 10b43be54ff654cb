//! `global_defs` and the other settings of the whole daemon.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::Script;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Global {
    /// `router_id`, or the host name: names this machine in mails, traps and the MIB.
    pub router_id: String,
    pub mail: Mail,
    pub snmp: Snmp,
    /// `net_namespace NAME`; the command line's `-s` wins.
    pub net_namespace: Option<String>,
    /// `instance NAME`: suffix of pid files.
    pub instance: Option<String>,
    pub use_pid_dir: bool,
    /// `linkbeat_use_polling` at top level.
    pub linkbeat_polling: bool,
    pub lvs_flush: bool,
    pub lvs_flush_on_stop: FlushOnStop,
    pub lvs: super::Lvs,
    pub process: super::ProcessSettings,
    /// `checker_log_all_failures`: default of every checker.
    pub log_all_failures: bool,
    pub dynamic_interfaces: bool,
    pub v3_checksum_as_v2: bool,
    /// `vrrp_startup_delay`, and `vrrp_delay_after_boot`: instances wait this long; nanoseconds.
    pub startup_delay_ns: u64,
    pub delay_after_boot_ns: u64,
    pub log_unknown_vrids: bool,
    pub realtime: RealTime,
    pub garp_groups: Vec<GarpGroup>,
    /// `linkbeat_interfaces`.
    pub linkbeat: Vec<LinkbeatInterface>,
    /// `interface_up_down_delays`.
    pub interface_delays: Vec<InterfaceDelays>,
    /// The nftables table that `no_accept` and the filter for VMACs use (`nftables NAME`; default `keepalived`) and its base chain priority.
    pub nftables_table: String,
    pub nftables_priority: i32,
    pub nftables_counters: bool,
    /// No IGMP reports for 224.0.0.0/24, by `net.ipv4.igmp_link_local_mcast_reports`.
    pub disable_local_igmp: bool,
    /// `vrrp_rx_bufs_policy`/`vrrp_netlink_*_rcv_bufs` in bytes; `None` leaves the kernel's default.
    pub netlink_command_buffer: Option<u32>,
    pub netlink_monitor_buffer: Option<u32>,
    /// `process_monitor_rcv_bufs` in bytes; `None` leaves the kernel's default.
    pub process_monitor_buffer: Option<u32>,
    /// `process_monitor_rcv_bufs_force`: beyond `net.core.rmem_max`, too.
    pub process_monitor_buffer_force: bool,
    pub receive_buffers: ReceiveBuffers,
    pub fifos: Fifos,
    pub startup: Option<TimedScript>,
    pub shutdown: Option<TimedScript>,
}

/// Where states are written as lines; all three differ.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fifos {
    /// `notify_fifo`: of VRRP and of checks.
    pub both: Option<NotifyFifo>,
    /// `vrrp_notify_fifo`.
    pub vrrp: Option<NotifyFifo>,
    /// `lvs_notify_fifo`.
    pub checks: Option<NotifyFifo>,
    /// `fifo_write_vrrp_states_on_reload`: the states of instances and groups are written again after a reload.
    pub states_on_reload: bool,
}

/// One FIFO, and the script that reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyFifo {
    pub path: String,
    /// Who owns it, user and group, if it has to be made; `None`: whoever runs the daemon.
    pub owner: Option<(u32, u32)>,
    /// Started with the path as its last argument.
    pub script: Option<Script>,
}

/// `startup_script` or `shutdown_script`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedScript {
    pub script: Script,
    /// It is ended after this; 1 to 1000 s.
    pub timeout_s: u32,
}

/// `vrrp_rx_bufs_policy` and `vrrp_rx_bufs_multiplier`: how VRRP sockets' receive buffers are sized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ReceiveBuffers {
    #[default]
    System,
    /// Interface MTU times the multiplier.
    Mtu {
        multiplier: u32,
    },
    /// Size of the advert times the multiplier.
    Advert {
        multiplier: u32,
    },
    Bytes(u32),
}

/// Scheduling of the vrrp process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RealTime {
    /// `vrrp_priority`: nice value, -20 to 19.
    pub nice: i32,
    /// `vrrp_rt_priority`: SCHED_RR 1 to 99; `None` is the default scheduler.
    pub rt_priority: Option<u8>,
    /// `vrrp_rlimit_rttime`, microseconds.
    pub rlimit_rttime_us: u32,
    /// `vrrp_no_swap`.
    pub lock_memory: bool,
    /// `vrrp_cpu_affinity`; empty is every CPU.
    pub cpus: Vec<u32>,
}

/// Mail settings: used by alerts, shown by the MIB's `mail` group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mail {
    pub server: Option<SocketAddr>,
    /// `smtp_connect_timeout`, seconds; Keepalived's default is 30.
    pub connect_timeout_s: u32,
    pub from: Option<String>,
    /// `smtp_helo_name`; `None` is the host name.
    pub helo: Option<String>,
    pub to: Vec<String>,
    /// False with `no_email_faults`.
    pub faults: bool,
    /// `smtp_alert`, `smtp_alert_vrrp`, `smtp_alert_checker`; `None` is unset.
    pub alert: Option<bool>,
    pub alert_vrrp: Option<bool>,
    pub alert_checker: Option<bool>,
}

/// Which parts of the MIB are served, and where the AgentX master is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Snmp {
    /// `enable_snmp_vrrp`, old name `enable_snmp_keepalived`.
    pub vrrp: bool,
    pub checker: bool,
    pub rfcv2: bool,
    pub rfcv3: bool,
    /// `enable_traps`; `-x` does not set it.
    pub traps: bool,
    /// `snmp_socket` as written: `unix:PATH`, `PATH`, `tcp:HOST:PORT`. `-A` wins. `None` is net-snmp's default.
    pub socket: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum FlushOnStop {
    #[default]
    No,
    Everything,
    VirtualServers,
}

/// `garp_group`: paces gratuitous ARP and neighbour advertisements over a set of interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GarpGroup {
    /// Gap between messages, nanoseconds; `None` takes the global value.
    pub garp_interval_ns: Option<u64>,
    pub gna_interval_ns: Option<u64>,
    pub interfaces: Vec<String>,
}

/// An interface whose driver is asked whether it has a carrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkbeatInterface {
    pub interface: String,
    /// What is tried first; others follow where it is not supported. `None`: MII, ethtool, the flags, in this order.
    pub method: Option<LinkbeatMethod>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkbeatMethod {
    Mii,
    Ethtool,
    Ioctl,
}

/// How long an interface must be down, or up, before instances notice; nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InterfaceDelays {
    pub interface: String,
    pub down_ns: u64,
    pub up_ns: u64,
}

/// The two address families, as far as VRRP tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}
