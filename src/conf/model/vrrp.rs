//! `vrrp_instance` and the addresses it moves.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Family, Location, Script};

/// Name of a `vrrp_instance`: the key under which every process speaks of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceName(pub String);

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for InstanceName {
    fn from(name: &str) -> Self {
        InstanceName(name.to_owned())
    }
}

/// Virtual router id, 1 to 255 (RFC 9568 section 5.2.3).
pub type Vrid = NonZeroU8;

/// Priority in the election, 1 to 255; 255 is the address owner (RFC 9568 section 5.2.4). Zero exists only on the wire.
pub type Priority = NonZeroU8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Version {
    V2,
    V3,
}

/// `state`: what Keepalived calls the initial state. Only priority 255 really starts as master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitialState {
    Backup,
    Master,
}

/// One virtual router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub name: InstanceName,
    /// Where the block begins.
    pub location: Location,
    /// Family of the adverts: that of the first virtual address (or `native_ipv6`).
    pub family: Family,
    pub version: Version,
    pub vrid: Vrid,
    /// `None` only for unicast instances with a source address.
    pub interface: Option<String>,
    /// `use_vmac`, `use_ipvlan` and what goes with them.
    pub vmacs: super::Vmacs,
    /// `vrf`: of a unicast instance that has no interface.
    pub vrf: Option<String>,
    pub initial_state: InitialState,
    pub priority: Priority,
    /// `advert_int`: whole seconds for version 2, hundredths of a second for version 3.
    pub advert_interval: Duration,
    /// `down_timer_adverts`: missed adverts before the master is down; 3 unless set.
    pub down_timer_adverts: u32,
    /// `virtual_ipaddress`: announced in adverts, all of [`Self::family`].
    pub addresses: Vec<Address>,
    /// `virtual_ipaddress_excluded`, and addresses of the other family: moved but not announced.
    pub excluded: Vec<Address>,
    pub preempt: Preempt,
    /// False with `no_accept`: packets to the addresses are dropped unless the priority is 255.
    pub accept: bool,
    pub strict: bool,
    /// VRRPv2 only.
    pub auth: Option<Auth>,
    /// `auth_hmac` with a key to sign with: recognised, not built.
    pub hmac: bool,
    /// `mcast_src_ip` or `unicast_src_ip`.
    pub source: Option<IpAddr>,
    pub transport: Transport,
    /// False with `dont_track_primary`.
    pub track_primary: bool,
    /// `track_src_ip`: in fault while [`Self::source`] is missing from the host.
    pub track_source: bool,
    pub tracked_interfaces: Vec<TrackedInterface>,
    /// Scripts, files, processes and BFD sessions, each kind in the order of its block.
    pub tracks: Vec<super::Track>,
    /// `virtual_routes` and `virtual_rules`.
    pub routes: Vec<super::Route>,
    pub rules: Vec<super::Rule>,
    pub garp: Garp,
    /// Do not answer a weaker master's advert at once.
    pub lower_prio_no_advert: bool,
    /// Send one more advert before giving way to a stronger master.
    pub higher_prio_send_advert: bool,
    /// An address owner drops what it hears.
    pub owner_ignore_adverts: bool,
    /// Compare the address list only of the first advert of a new master.
    pub skip_check_adv_addr: bool,
    /// `v3_checksum_as_v2`: IPv4 checksum of VRRPv3 without the pseudo header.
    pub v3_checksum_as_v2: bool,
    pub old_unicast_checksum: OldUnicastChecksum,
    /// `timer_expired_backup`: with nopreempt, fall back to backup at this priority after a late wake-up.
    pub timer_expired_backup: Option<Priority>,
    pub promote_secondaries: bool,
    /// `linkbeat_use_polling` (deprecated).
    pub use_linkbeat: bool,
    /// `kernel_rx_buf_size`, bytes.
    pub receive_buffer: Option<u32>,
    pub notify: Notify,
    /// Name of the sync group that lists this instance.
    pub sync_group: Option<String>,
    /// Interface of `lvs_sync_daemon` when it names this instance.
    pub lvs_sync_interface: Option<String>,
    pub smtp_alert: bool,
}

impl Instance {
    /// The interface that Keepalived names in its MIB and dumps: the instance's own, where it has made one.
    pub fn shown_interface(&self) -> Option<&str> {
        self.vmacs.own.as_ref().map(|own| own.name.as_str()).or(self.interface.as_deref())
    }
}

/// What a better router does when it hears a weaker master.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preempt {
    /// `nopreempt`.
    Never,
    /// `preempt`, with `preempt_delay` (zero unless set).
    After(Duration),
}

/// RFC 2338 authentication; only VRRPv2 has a place for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auth {
    /// `auth_type PASS`: eight bytes, zero-padded, in clear.
    Pass([u8; 8]),
    /// `auth_type AH`: key of the Authentication Header around each advert, likewise.
    Ah([u8; 8]),
}

impl fmt::Debug for Auth {
    /// Passwords stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::Pass(_) => "Pass(..)",
            Auth::Ah(_) => "Ah(..)",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    Multicast {
        /// 224.0.0.18 or ff02::12 unless `mcast_dst_ip` or `vrrp_mcast_group*` say otherwise.
        group: IpAddr,
    },
    Unicast {
        peers: Vec<Peer>,
        /// `unicast_ttl`; 255 for IPv4 unless set.
        ttl: Option<u8>,
        /// `check_unicast_src`: drop adverts that do not come from a peer.
        check_source: bool,
        /// `unicast_fault_no_peer` with no peer: stay in fault.
        fault_without_peers: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub address: IpAddr,
    /// `min_ttl`/`max_ttl`: bounds on a received advert's TTL; without them any TTL is taken from a peer.
    pub min_ttl: Option<u8>,
    pub max_ttl: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedInterface {
    pub interface: String,
    /// Zero: fault while the interface is down. Otherwise added to the priority while up (positive) or down (negative);
    /// `reverse` swaps up and down. -253 to 253.
    pub weight: i16,
    pub reverse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OldUnicastChecksum {
    Detect,
    Always,
    Never,
}

/// Gratuitous ARP and unsolicited neighbour advertisement settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garp {
    /// `garp_master_delay`: second burst this long after becoming master; zero: none.
    pub delay: Duration,
    /// `garp_master_repeat`: messages per burst.
    pub repeat: u32,
    /// `garp_master_refresh`: period while master; zero: none.
    pub refresh: Duration,
    pub refresh_repeat: u32,
    /// After a weaker advert.
    pub lower_prio_delay: Duration,
    pub lower_prio_repeat: u32,
    /// Gap between messages of one interface; zero: none.
    pub interval: Duration,
    pub gna_interval: Duration,
    /// `garp_extra_if`: period for addresses on other interfaces than the instance's; zero: none.
    pub extra_interval: Duration,
    /// `garp_extra_if all`: not only VMACs.
    pub extra_all: bool,
}

/// Who is told of an instance's or a sync group's states, besides the log and SNMP.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notify {
    pub master: Option<Script>,
    pub backup: Option<Script>,
    pub fault: Option<Script>,
    pub stop: Option<Script>,
    /// `notify`: of every state, with four arguments.
    pub any: Option<Script>,
    /// Instances only, like all below.
    pub master_rx_lower_pri: Option<Script>,
    pub deleted_script: Option<Script>,
    /// `notify_deleted` is present, with or without a script: a removed instance reports deleted, not fault.
    pub deleted: bool,
    /// `notify_priority_changes`, or what the group or `vrrp_notify_priority_changes` say: FIFOs hear of them, too.
    pub priority_changes: bool,
}

/// One address line of `virtual_ipaddress`, `virtual_ipaddress_excluded` or `static_ipaddress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    pub location: Location,
    pub address: IpAddr,
    pub prefix: u8,
    /// `dev`, else the instance's interface, else `default_interface`.
    pub interface: String,
    /// Kernel scope number, IPv4 only: 0 global, 200 site, 253 link, 254 host, 255 nowhere.
    pub scope: u8,
    pub broadcast: Option<Ipv4Addr>,
    pub label: Option<String>,
    pub peer: Option<IpAddr>,
    pub flags: AddressFlags,
    /// `preferred_lft` in seconds; `None` is forever. IPv6 /128 defaults to zero (deprecated).
    pub preferred_lifetime: Option<u32>,
    /// `no_track`: its removal by others is not acted on.
    pub no_track: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AddressFlags {
    pub home: bool,
    /// `-nodad`: do duplicate address detection; skipped otherwise.
    pub dad: bool,
    pub mngtmpaddr: bool,
    pub noprefixroute: bool,
    pub autojoin: bool,
}

impl Address {
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }
}
