//! Rows: the state that engines owe the bridge, latest value only, keyed by names from the configuration.
//!
//! SNMP, metrics and the CLI are three column lists over these types; no field is kept for one of them alone
//! that could be derived from another.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::bfd::BfdRow;
use super::timing::{CheckTimes, Pulse, VrrpTimes};
use crate::check::table::{Daemon, Load, Stats};
use crate::clock::{Instant, WallTime};
use crate::conf::model::{
    Address, Global, Instance, InstanceName, Priority, RealServer, Route, Rule, ServerGroup, ServerKey, ServiceKey,
    SorryServer, SyncGroup, TrackBfd, TrackFile, TrackProcess, TrackScript, TrackerKind, VirtualServer,
};

/// Whose row it is. Sorts by owner; the numbers of MIB rows are inside the rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RowKey {
    /// The daemon's settings.
    Global,
    /// Counters of adverts that belong to no instance.
    Router,
    Instance(InstanceName),
    /// `owner` is `None` for static addresses. `position` counts from 1: virtual addresses, then excluded ones.
    Address {
        owner: Option<InstanceName>,
        position: u32,
    },
    TrackedInterface {
        instance: InstanceName,
        interface: String,
    },
    SyncGroup(String),
    SyncTrackedInterface {
        group: String,
        interface: String,
    },
    Tracker(TrackerKind, String),
    /// A `bfd_instance`, also one that nobody tracks.
    Bfd(String),
    /// `owner` is `None` for static routes. `position` counts from 1.
    Route {
        owner: Option<InstanceName>,
        position: u32,
    },
    Rule {
        owner: Option<InstanceName>,
        position: u32,
    },
    Group(String),
    Service(ServiceKey),
    Server(ServerKey),
    Ipvs,
    /// The process itself; each engine has one.
    Pulse,
    VrrpTimes,
    CheckTimes,
}

/// For the log.
impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut of = |what: &str, position: &u32, owner: &Option<InstanceName>| match owner {
            Some(owner) => write!(f, "{what} {position} of vrrp_instance {owner}"),
            None => write!(f, "static {what} {position}"),
        };
        match self {
            RowKey::Global => f.write_str("the row of global_defs"),
            RowKey::Router => f.write_str("the row of VRRP counters"),
            RowKey::Instance(name) => write!(f, "vrrp_instance {name}"),
            RowKey::Address { owner, position } => of("address", position, owner),
            RowKey::TrackedInterface { instance, interface } => {
                write!(f, "track_interface {interface} of vrrp_instance {instance}")
            }
            RowKey::SyncGroup(name) => write!(f, "vrrp_sync_group {name}"),
            RowKey::SyncTrackedInterface { group, interface } => {
                write!(f, "track_interface {interface} of vrrp_sync_group {group}")
            }
            RowKey::Tracker(kind, name) => write!(
                f,
                "{} {name}",
                match kind {
                    TrackerKind::Script => "vrrp_script",
                    TrackerKind::File => "track_file",
                    TrackerKind::Process => "track_process",
                    TrackerKind::Bfd => "bfd_instance",
                }
            ),
            RowKey::Bfd(name) => write!(f, "bfd_instance {name}"),
            RowKey::Route { owner, position } => of("route", position, owner),
            RowKey::Rule { owner, position } => of("rule", position, owner),
            RowKey::Group(name) => write!(f, "virtual_server_group {name}"),
            RowKey::Service(key) => write!(f, "virtual_server {key}"),
            RowKey::Server(key) => write!(f, "real_server {key} of virtual_server {}", key.service),
            RowKey::Ipvs => f.write_str("the row of IPVS"),
            RowKey::Pulse => f.write_str("the row of the process"),
            RowKey::VrrpTimes | RowKey::CheckTimes => f.write_str("the row of delays"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Row {
    Global(Box<Global>),
    Router(RouterCounters),
    Instance(Box<InstanceRow>),
    Address(Box<AddressRow>),
    TrackedInterface(TrackedInterfaceRow),
    SyncGroup(Box<SyncGroupRow>),
    SyncTrackedInterface(TrackedInterfaceRow),
    Tracker(Box<TrackerRow>),
    Bfd(Box<BfdRow>),
    Route(Box<RouteRow>),
    Rule(Box<RuleRow>),
    Group(Box<GroupRow>),
    Service(Box<ServiceRow>),
    Server(Box<ServerRow>),
    Ipvs(Box<IpvsRow>),
    Pulse(Box<Pulse>),
    VrrpTimes(Box<VrrpTimes>),
    CheckTimes(Box<CheckTimes>),
}

/// VRRP states as MIB and traps number them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    Init = 0,
    Backup = 1,
    Master = 2,
    Fault = 3,
    /// Traps only: the daemon is going down.
    Shutdown = 5,
    /// Traps only: the instance left the configuration.
    Deleted = 6,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Init => "INIT",
            State::Backup => "BACKUP",
            State::Master => "MASTER",
            State::Fault => "FAULT",
            State::Shutdown => "STOP",
            State::Deleted => "DELETED",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRow {
    /// Row number of vrrpInstanceTable: place in the file, from 1.
    pub index: u32,
    /// The configuration, as it is in force.
    pub config: Instance,
    pub state: State,
    /// The state being moved to; equals `state` when settled.
    pub wanted: State,
    /// Configured priority, or what a SET put in its place.
    pub base_priority: Priority,
    /// Base plus trackers' weights, 1 to 254; 255 for an owner.
    pub effective_priority: Priority,
    /// False with nopreempt, by configuration or SET.
    pub preempt: bool,
    /// Whether the addresses are installed.
    pub addresses_set: bool,
    /// Own primary address: the source of adverts.
    pub primary: Option<IpAddr>,
    /// Source and priority of the last master heard; `None` before the first advert and while master.
    pub master: Option<(IpAddr, u8)>,
    /// Interval that the current master advertises, nanoseconds.
    pub master_interval_ns: u64,
    /// Silence after which a backup takes over, as it is in use, nanoseconds.
    pub master_down_ns: u64,
    /// When the last advert was accepted.
    pub last_advert: Option<WallTime>,
    /// The last advert heard of another router while this one was master.
    pub other_master: Option<OtherMaster>,
    /// An operator lets other routers go first, since then.
    pub stood_down: Option<WallTime>,
    /// A SET or an operator put another base priority in the place of the configured one.
    pub priority_overridden: bool,
    pub interface_index: Option<u32>,
    pub interface_mac: Option<[u8; 6]>,
    /// The advertised addresses: they number rows of the RFC modules.
    pub advertised: Vec<IpAddr>,
    /// When the instance left init (or fault) last; `None` while there.
    pub started: Option<Instant>,
    /// Why it became master last.
    pub master_reason: MasterReason,
    /// What was wrong with the last packet that broke the protocol.
    pub protocol_error: ProtocolError,
    /// When `state` was entered.
    pub since: WallTime,
    /// Why `state` was entered.
    pub reason: Reason,
    /// What holds the instance in fault, in words; empty otherwise.
    pub faults: Vec<String>,
    /// Interfaces other than its own that its addresses, routes and rules are on, and whether they are up: tracked as if each
    /// had a line with weight 0.
    pub carried: Vec<(String, bool)>,
    pub counters: Counters,
}

/// A router that claims the same addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherMaster {
    pub address: IpAddr,
    pub priority: u8,
    pub at: WallTime,
}

/// Why an instance changed its state (RFC 6527 vrrpv3StatisticsNewMasterReason, and ours).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    Startup,
    /// Nothing heard for the master down interval.
    MasterNoResponse,
    /// A priority 0 advert was heard.
    MasterResigned,
    /// A weaker master was preempted, or this router owns the addresses.
    Preempted,
    /// A stronger master was heard.
    HigherPriorityHeard,
    InterfaceDown,
    InterfaceUp,
    SourceMissing,
    NoPeers,
    /// An operator's command or a SET.
    Commanded,
    Reload,
    Shutdown,
    /// The process woke up too late (`timer_expired_backup`).
    LateTimer,
    /// Another member of its sync group changed its state.
    SyncGroup,
    /// A script, a file, a process or a BFD session is not as required, or is so again.
    Tracker,
}

/// vrrpv3StatisticsNewMasterReason, as RFC 6527 numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum MasterReason {
    /// Never was.
    #[default]
    NotMaster = 0,
    /// A priority 0 advert was heard.
    Priority = 1,
    /// A weaker master was preempted, or this router owns the addresses.
    Preempted = 2,
    MasterNoResponse = 3,
}

/// vrrpv3StatisticsProtoErrReason, as RFC 6527 numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum ProtocolError {
    #[default]
    None = 0,
    Ttl = 1,
    Version = 2,
    Checksum = 3,
    VrId = 4,
}

/// vrrpTrapAuthErrorType, as RFC 2787 numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AuthError {
    InvalidType = 1,
    TypeMismatch = 2,
    Failure = 3,
}

/// What an instance has counted since it exists; a reload that keeps the instance keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    pub adverts_received: u64,
    pub adverts_sent: u64,
    pub became_master: u64,
    pub released_master: u64,
    pub priority_zero_received: u64,
    pub priority_zero_sent: u64,
    pub packet_length_errors: u64,
    /// These two are counted for the router, too.
    pub checksum_errors: u64,
    pub version_errors: u64,
    pub advert_interval_errors: u64,
    pub ttl_errors: u64,
    pub invalid_type: u64,
    pub address_list_errors: u64,
    pub invalid_auth_type: u64,
    pub auth_type_mismatch: u64,
    pub auth_failures: u64,
    /// Unicast adverts from addresses that are not peers (`check_unicast_src`).
    pub unknown_source: u64,
    /// Messages sent to make neighbours learn where the addresses are.
    pub announcements_sent: u64,
    /// Entries into the other states; into master there are `became_master`.
    pub entered_init: u64,
    pub entered_backup: u64,
    pub entered_fault: u64,
    /// Adverts of another router heard while master.
    pub other_master_adverts: u64,
}

/// Errors that belong to no instance (RFC 2787 and RFC 6527 router statistics).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RouterCounters {
    pub checksum_errors: u64,
    pub version_errors: u64,
    pub vrid_errors: u64,
    /// Too short to hold even a VRRP header.
    pub truncated: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressRow {
    /// First index: 0 for static addresses, else the instance's row number.
    pub owner_index: u32,
    /// Second index.
    pub position: u32,
    pub config: Address,
    pub interface_index: Option<u32>,
    pub installed: bool,
    /// Listed in adverts.
    pub advertised: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedInterfaceRow {
    /// Row number of the instance or the sync group.
    pub owner_index: u32,
    pub interface: String,
    /// `None` while no such interface exists; such a row has no place in the MIB.
    pub interface_index: Option<u32>,
    pub weight: i16,
    pub reverse: bool,
    pub up: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGroupRow {
    /// Row number of vrrpSyncGroupTable: place in the file, from 1.
    pub index: u32,
    pub config: SyncGroup,
    pub state: State,
    pub since: WallTime,
}

/// Something that can be tracked, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerRow {
    /// Row number: place in the file among its kind, from 1.
    pub index: u32,
    pub config: TrackerConfig,
    pub finding: Finding,
    pub runs: TrackerRuns,
}

/// What looking at a tracker has come to; of scripts, and `went_up` and `went_down` of BFD sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrackerRuns {
    pub success: u64,
    pub failure: u64,
    pub timeout: u64,
    /// The run before was not over.
    pub skipped: u64,
    pub running: bool,
    /// Of the last finished run, microseconds.
    pub took_us: u64,
    pub went_up: u64,
    pub went_down: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrackerConfig {
    Script(TrackScript),
    File(TrackFile),
    Process(TrackProcess),
    Bfd(TrackBfd),
}

/// What a tracker has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// Nothing yet.
    Unknown,
    Good,
    Bad,
    /// Of a file: its number. Of processes: how many run.
    Count {
        count: i64,
        good: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteRow {
    /// First index: 0 for static routes, else the instance's row number.
    pub owner_index: u32,
    /// Second index.
    pub position: u32,
    pub config: Route,
    /// Of the interface that the route names.
    pub interface_index: Option<u32>,
    /// Of the interfaces that its next hops name, in their order.
    pub hop_interfaces: Vec<Option<u32>>,
    pub installed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRow {
    /// First index: 0 for static rules, else the instance's row number.
    pub owner_index: u32,
    /// Second index.
    pub position: u32,
    pub config: Rule,
    pub installed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Row number: place in the file, from 1.
    pub index: u32,
    pub config: ServerGroup,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRow {
    /// Row number of virtualServerTable: place in the file, from 1.
    pub index: u32,
    /// The configuration, without its servers: they have rows of their own.
    pub config: VirtualServer,
    /// Installed in the kernel.
    pub installed: bool,
    pub quorum_met: bool,
    pub quorum_since: WallTime,
    /// The sorry server serves.
    pub sorry_active: bool,
    /// `ha_suspend`: the address is elsewhere, checkers rest.
    pub suspended: bool,
    pub servers_total: u32,
    /// Alive, whatever their weight.
    pub servers_up: u32,
    /// Weights of those together.
    pub weight_up: u64,
    /// Summed over the kernel services of a group.
    pub stats: Stats,
    /// Differences to the kernel's table that were found and could not be mended yet, in words; empty when there are none.
    pub trouble: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRow {
    /// First index: the virtual server's row number.
    pub service_index: u32,
    /// Second index: place from 1; a sorry server is 1 and shifts the others.
    pub index: u32,
    pub config: ServerConfig,
    /// Of the sorry server: whether it serves.
    pub alive: bool,
    /// Weight that readers see and the kernel has when the server is alive.
    pub weight: u32,
    /// An operator's weight is in force instead of the configured one.
    pub overridden: bool,
    /// In the kernel's table now, with any weight.
    pub installed: bool,
    pub failed_checks: u32,
    pub checks_not_run: u32,
    pub since: WallTime,
    pub load: Load,
    pub checkers: Vec<CheckerRow>,
    pub went_up: u64,
    pub went_down: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
// Rows are boxed, and nearly all servers are real ones.
#[allow(clippy::large_enum_variant)]
pub enum ServerConfig {
    /// Without its checkers.
    Real(RealServer),
    Sorry(SorryServer),
}

/// What one checker has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckerRow {
    /// Its directive, `HTTP_GET`.
    pub kind: String,
    /// What it probes, `192.168.1.10:80`, or the script's path.
    pub target: String,
    /// What the check that failed, or else the next one, asks: `/health of www.example.com`. Empty where there is nothing
    /// to ask but an answer.
    pub asks: String,
    /// What the answer must be: `status 200 to 299`. Empty where any is good.
    pub wants: String,
    pub up: bool,
    pub has_run: bool,
    /// Since `up` is as it is.
    pub since: WallTime,
    /// Of the last check that failed; empty after one that passed.
    pub error: String,
    pub passed: u64,
    pub failed: u64,
    /// Duration of the last check, microseconds.
    pub took_us: u64,
}

/// The kernel's table as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IpvsRow {
    /// Why there is none; empty otherwise.
    pub unavailable: String,
    pub daemons: Vec<Daemon>,
    /// At the last audit: ours that were missing, strangers that stay, wrong weights or settings.
    pub drift_missing: u32,
    pub drift_unexpected: u32,
    pub drift_different: u32,
    pub operations_failed: u64,
    /// Every counter that is shown was read from the kernel after this moment.
    pub counted_at: Instant,
    /// The same moment for people.
    pub counted_wall: WallTime,
    /// How long the last reading of all counters took, microseconds.
    pub poll_us: u64,
    pub poll_errors: u64,
    /// Since the kernel's module was loaded, all services together; `None` where the kernel does not tell.
    pub totals: Option<Stats>,
}

impl TrackerConfig {
    pub fn kind(&self) -> TrackerKind {
        match self {
            TrackerConfig::Script(_) => TrackerKind::Script,
            TrackerConfig::File(_) => TrackerKind::File,
            TrackerConfig::Process(_) => TrackerKind::Process,
            TrackerConfig::Bfd(_) => TrackerKind::Bfd,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            TrackerConfig::Script(script) => &script.name,
            TrackerConfig::File(file) => &file.name,
            TrackerConfig::Process(process) => &process.name,
            TrackerConfig::Bfd(session) => &session.name,
        }
    }
}

impl ServiceRow {
    pub fn key(&self) -> &ServiceKey {
        &self.config.key
    }
}
