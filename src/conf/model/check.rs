//! Virtual servers, their pools and their checkers.
//!
//! Values inherited from outer blocks or `global_defs` are already filled in: a [`Checker`] says all that a probe needs.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Family, Location};

/// What a virtual server is known by: in messages between processes, logs, metrics and the CLI.
///
/// Displayed as `192.0.2.10:443/tcp`, `[2001:db8::1]:443/udp`, `fwmark:47`, `fwmark:47/inet6`, `group:NAME/tcp`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceKey {
    pub kind: ServiceKind,
    /// `None` for firewall marks, and for groups that hold nothing else.
    pub protocol: Option<Protocol>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ServiceKind {
    Address { address: IpAddr, port: u16 },
    Mark { mark: u32, family: Family },
    Group(String),
}

/// A real server or sorry server of one virtual server. Displayed as `192.168.1.10:80`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerKey {
    pub service: ServiceKey,
    pub address: IpAddr,
    pub port: u16,
    pub sorry: bool,
}

/// One checker of a real server, numbered from 0 in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CheckerKey {
    pub server: ServerKey,
    pub number: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// `virtual_server_group`: a row of the MIB even when no virtual server uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerGroup {
    pub name: String,
    pub location: Location,
    /// Firewall marks first, then addresses and ranges, each in the order of the file: the MIB numbers them so.
    pub members: Vec<GroupMember>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupMember {
    Mark {
        mark: u32,
        /// `inet` or `inet6` behind the mark.
        family: Option<Family>,
    },
    /// `first` equals `last` for a single address. Both are of one family, in order.
    Addresses { first: IpAddr, last: IpAddr, port: u16 },
}

/// One `virtual_server` block that has a real server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServer {
    pub key: ServiceKey,
    pub location: Location,
    /// Of its addresses, or what a mark stands for. In a group of both families it is that of the pool: members of the
    /// other family can be served by tunnels only.
    pub family: Family,
    /// Kernel module name without `ip_vs_`: `wlc` when none is given.
    pub scheduler: String,
    /// `ops`.
    pub one_packet: bool,
    /// `flag-1` to `flag-3`, `sh-fallback`/`mh-fallback` (the first), `sh-port`/`mh-port` (the second).
    pub scheduler_flags: [bool; 3],
    /// The service's own method; `None` when the block gives none, and real servers use NAT.
    pub forwarding: Option<Forwarding>,
    pub persistence: Option<Persistence>,
    /// At most 15 octets.
    pub persistence_engine: Option<String>,
    pub delay_loop_us: u64,
    /// Defaults for checkers as written; zero or `None` when not. The MIB shows them.
    pub retry: Option<u32>,
    pub delay_before_retry_us: Option<u64>,
    pub warmup_us: Option<u64>,
    pub connect_timeout_us: u64,
    /// Default weight of real servers.
    pub weight: u32,
    pub inhibit_on_failure: bool,
    pub ha_suspend: bool,
    pub alpha: bool,
    pub omega: bool,
    /// Never more than the configured weights together (lowered at load), at least 1.
    pub quorum: u32,
    /// Below `quorum`, and such that quorum plus hysteresis can be reached.
    pub hysteresis: u32,
    pub quorum_up: Option<Script>,
    pub quorum_down: Option<Script>,
    pub virtual_host: Option<String>,
    pub snmp_name: Option<String>,
    /// After `smtp_alert_checker` and `smtp_alert`; off when nothing is said.
    pub smtp_alert: bool,
    pub sorry: Option<SorryServer>,
    pub servers: Vec<RealServer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persistence {
    /// 1 to 2,678,400 s.
    pub timeout_s: u32,
    /// IPv4: the mask's bits, host order. IPv6: prefix length.
    pub granularity: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Forwarding {
    Nat,
    Direct,
    Tunnel(Tunnel),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tunnel {
    Ipip,
    Gue { port: u16, checksum: TunnelChecksum },
    Gre { checksum: TunnelChecksum },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TunnelChecksum {
    None,
    Checksum,
    /// Remote checksum offload, GUE only.
    Remote,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SorryServer {
    pub address: IpAddr,
    pub port: u16,
    pub location: Location,
    pub forwarding: Forwarding,
    /// `sorry_server_inhibit`: weight 0 rather than absent while the quorum holds.
    pub inhibit: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    pub address: IpAddr,
    /// As the MIB shows it. 0 for a mark without a port, and for a group whose addresses have several; DR and TUN servers
    /// of a group get the port of each member, whatever stands here.
    pub port: u16,
    pub location: Location,
    /// 0 to 2,147,483,647.
    pub weight: u32,
    pub forwarding: Forwarding,
    pub upper_threshold: u32,
    pub lower_threshold: u32,
    pub inhibit_on_failure: bool,
    pub notify_up: Option<Script>,
    pub notify_down: Option<Script>,
    pub alpha: bool,
    /// Inherited values, for the MIB; checkers have their own.
    pub retry: Option<u32>,
    pub delay_before_retry_us: Option<u64>,
    pub warmup_us: Option<u64>,
    pub connect_timeout_us: u64,
    pub delay_loop_us: u64,
    /// After the global switches; on when nothing is said.
    pub smtp_alert: bool,
    /// Own value only; inheritance is for checkers.
    pub virtual_host: Option<String>,
    pub snmp_name: Option<String>,
    pub checkers: Vec<Checker>,
}

/// A command with the identity it runs as. Notify scripts and MISC_CHECK alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Place in [`super::Config::scripts`], which the runner looks up.
    pub id: ScriptId,
    /// As the MIB and the log show it: words quoted where they need it.
    pub text: String,
    /// The file that is executed: `...Path` columns.
    pub path: String,
}

/// Number of a script in one configuration. It means nothing without the configuration's generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScriptId(pub u32);

/// What the runner executes; only it reads this list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptEntry {
    /// Program and arguments.
    pub words: Vec<String>,
    pub uid: u32,
    pub gid: u32,
    /// `set_supplementary_groups`: it runs with every group of its user.
    pub all_groups: bool,
    pub location: Location,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checker {
    pub check: Check,
    pub location: Location,
    /// Time from the end of one check to the start of the next.
    pub delay_loop_us: u64,
    /// Further attempts before a server that was up counts as down.
    pub retry: u32,
    pub delay_before_retry_us: u64,
    /// The first check starts at a random moment within this.
    pub warmup_us: u64,
    /// Counts as failed until it has passed once.
    pub alpha: bool,
    pub log_all_failures: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Check {
    Tcp(Target),
    Http(Box<HttpCheck>),
    Smtp(SmtpCheck),
    Dns(DnsCheck),
    Misc(MiscCheck),
    Udp(UdpCheck),
    Ping(Target),
    File(FileCheck),
    /// Name of a `bfd_instance`, which the vrrp process tells of.
    Bfd(String),
}

impl Check {
    /// As logs and the CLI call it.
    pub fn name(&self) -> &'static str {
        match self {
            Check::Tcp(_) => "TCP_CHECK",
            Check::Http(check) if check.tls.is_some() => "SSL_GET",
            Check::Http(_) => "HTTP_GET",
            Check::Smtp(_) => "SMTP_CHECK",
            Check::Dns(_) => "DNS_CHECK",
            Check::Misc(_) => "MISC_CHECK",
            Check::Udp(_) => "UDP_CHECK",
            Check::Ping(_) => "PING_CHECK",
            Check::File(_) => "FILE_CHECK",
            Check::Bfd(_) => "BFD_CHECK",
        }
    }

    /// As metrics call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Check::Tcp(_) => "tcp",
            Check::Http(check) if check.tls.is_some() => "ssl",
            Check::Http(_) => "http",
            Check::Smtp(_) => "smtp",
            Check::Dns(_) => "dns",
            Check::Misc(_) => "misc",
            Check::Udp(_) => "udp",
            Check::Ping(_) => "ping",
            Check::File(_) => "file",
            Check::Bfd(_) => "bfd",
        }
    }
}

/// Where a probe goes, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub address: IpAddr,
    pub port: u16,
    pub bind: Option<IpAddr>,
    /// 0: any.
    pub bind_port: u16,
    pub interface: Option<String>,
    /// SO_MARK; 0 is none.
    pub mark: u32,
    /// The whole probe must end within this.
    pub timeout_us: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCheck {
    pub target: Target,
    pub tls: Option<TlsSettings>,
    pub version: HttpVersion,
    /// At least one.
    pub urls: Vec<Url>,
    /// The next URL follows at once at start and on recovery.
    pub fast_recovery: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TlsSettings {
    /// `enable_sni`: the virtual host goes into the handshake.
    pub sni: bool,
    /// `sni_name`, instead of the virtual host.
    pub sni_name: Option<String>,
    /// `tls_compliant` of the checker: close with close_notify.
    pub compliant: bool,
    /// The top-level `SSL` block; `None` when there is none.
    pub client: Option<TlsClient>,
}

/// `SSL` block: the client side of SSL_GET.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TlsClient {
    pub password: Option<String>,
    pub ca: Option<String>,
    pub certificate: Option<String>,
    pub key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HttpVersion {
    #[default]
    V1_0,
    /// `1.0C`: with `Connection: close`, spelled with this case of the word.
    V1_0Close,
    /// `1.0c`: the header value in lower case.
    V1_0CloseLower,
    V1_1,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Url {
    pub path: String,
    /// The URL's, else the checker's, the real server's or the virtual server's.
    pub virtual_host: Option<String>,
    /// MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// Inclusive ranges; 200 to 299 when the file gives none.
    pub status: Vec<(u16, u16)>,
    pub regex: Option<BodyRegex>,
    /// `tls_compliant` of the URL or of the checker.
    pub tls_compliant: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyRegex {
    pub pattern: String,
    /// `regex_options` as written: names of PCRE2 compile options in lower case without the prefix.
    pub options: Vec<String>,
    /// A match is a failure.
    pub no_match: bool,
    /// Where in the body a match may start.
    pub min_offset: u64,
    pub max_offset: Option<u64>,
    /// JIT stack, start and maximum, octets. There is no JIT: nothing looks at it.
    pub stack: Option<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpCheck {
    pub target: Target,
    pub helo: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsCheck {
    pub target: Target,
    /// QTYPE.
    pub record: u16,
    /// Without the final dot; empty is the root.
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MiscCheck {
    pub script: Script,
    pub timeout_us: u64,
    /// `misc_dynamic`: exit status 2 to 255 sets the weight to status minus 2.
    pub dynamic: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdpCheck {
    pub target: Target,
    /// `None`: 32 octets of text.
    pub payload: Option<Vec<u8>>,
    /// `None`: anything but an ICMP error is good, silence too.
    pub reply: Option<UdpReply>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdpReply {
    /// Value and mask of the first octets; empty demands only a reply.
    pub prefix: Vec<(u8, u8)>,
    pub min_length: u16,
    pub max_length: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCheck {
    /// Path of the `track_file`.
    pub path: String,
    /// Name of the `track_file`.
    pub name: String,
    /// Its value is multiplied with this; zero: a value other than zero is a failure.
    pub weight: i32,
    pub reverse: bool,
}

/// `lvs_sync_daemon`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDaemon {
    pub interface: String,
    /// Master while this instance is master, else backup; `None` runs both.
    pub instance: Option<super::InstanceName>,
    /// 0 to 255; the instance's VRID when the file gives none.
    pub id: u8,
    pub max_length: Option<u16>,
    pub port: Option<u16>,
    pub ttl: Option<u8>,
    pub group: Option<IpAddr>,
    pub location: Location,
}

/// Settings of the checks process and of IPVS as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lvs {
    /// `lvs_timeouts` in seconds: TCP, TCP after FIN, UDP; `None` leaves the kernel's.
    pub timeouts: (Option<u32>, Option<u32>, Option<u32>),
    pub sync_daemon: Option<SyncDaemon>,
    /// `snmp_vs_stats_update_interval` and `snmp_rs_stats_update_interval`; 5 s when not set.
    pub service_statistics_us: u64,
    pub server_statistics_us: u64,
    /// `net_namespace_ipvs`; `Some("")` is the namespace that the daemon was started in.
    pub namespace: Option<String>,
    /// `lvs_netlink_cmd_rcv_bufs`, octets.
    pub command_buffer: Option<u32>,
    pub monitor_buffer: Option<u32>,
    /// `no_checker_emails`: mail only when a real server joins or leaves.
    pub no_checker_mails: bool,
    /// `rs_init_notifies`: `notify_up` runs for servers that are up from the start, too.
    pub init_notifies: bool,
    /// Scheduling of the checks process.
    pub realtime: super::RealTime,
}

impl Family {
    pub fn host_prefix(self) -> u32 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }
}

impl ServiceKey {
    /// As logs and FIFOs call the protocol.
    pub fn protocol_name(&self) -> &'static str {
        self.protocol.map_or("none", Protocol::name)
    }
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

impl VirtualServer {
    /// What a block means that says nothing, with Keepalived's defaults. It has no servers yet.
    pub fn new(key: ServiceKey, family: Family) -> VirtualServer {
        VirtualServer {
            key,
            location: Location::default(),
            family,
            scheduler: "wlc".to_owned(),
            one_packet: false,
            scheduler_flags: [false; 3],
            forwarding: None,
            persistence: None,
            persistence_engine: None,
            delay_loop_us: 60_000_000,
            retry: None,
            delay_before_retry_us: None,
            warmup_us: None,
            connect_timeout_us: 5_000_000,
            weight: 1,
            inhibit_on_failure: false,
            ha_suspend: false,
            alpha: false,
            omega: false,
            quorum: 1,
            hysteresis: 0,
            quorum_up: None,
            quorum_down: None,
            virtual_host: None,
            snmp_name: None,
            smtp_alert: false,
            sorry: None,
            servers: Vec::new(),
        }
    }

    pub fn server_key(&self, server: &RealServer) -> ServerKey {
        ServerKey { service: self.key.clone(), address: server.address, port: server.port, sorry: false }
    }

    pub fn sorry_key(&self) -> Option<ServerKey> {
        let sorry = self.sorry.as_ref()?;
        Some(ServerKey { service: self.key.clone(), address: sorry.address, port: sorry.port, sorry: true })
    }
}

impl RealServer {
    /// What a block of this service means that says nothing: everything is inherited.
    pub fn new(service: &VirtualServer, address: IpAddr, port: u16) -> RealServer {
        RealServer {
            address,
            port,
            location: Location::default(),
            weight: service.weight,
            forwarding: service.forwarding.unwrap_or(Forwarding::Nat),
            upper_threshold: 0,
            lower_threshold: 0,
            inhibit_on_failure: service.inhibit_on_failure,
            notify_up: None,
            notify_down: None,
            alpha: service.alpha,
            retry: service.retry,
            delay_before_retry_us: service.delay_before_retry_us,
            warmup_us: service.warmup_us,
            connect_timeout_us: service.connect_timeout_us,
            delay_loop_us: service.delay_loop_us,
            smtp_alert: true,
            virtual_host: None,
            snmp_name: None,
            checkers: Vec::new(),
        }
    }
}

impl fmt::Display for ServiceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKind::Address { address: IpAddr::V4(address), port } => write!(f, "{address}:{port}"),
            ServiceKind::Address { address: IpAddr::V6(address), port } => write!(f, "[{address}]:{port}"),
            ServiceKind::Mark { mark, family: Family::V4 } => write!(f, "fwmark:{mark}"),
            ServiceKind::Mark { mark, family: Family::V6 } => write!(f, "fwmark:{mark}/inet6"),
            ServiceKind::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        match self.protocol {
            Some(protocol) => write!(f, "/{}", protocol.name()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.port),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}
