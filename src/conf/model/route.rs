//! `virtual_routes`, `virtual_rules`, `static_routes` and `static_rules`, and who follows static ones.
//!
//! Numbers are the kernel's (rtnetlink(7), `linux/rtnetlink.h`, `linux/fib_rules.h`): names were resolved when the file was read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::{Family, InstanceName, Location};

/// RTPROT_KEEPALIVED: what marks routes and rules as ours in the kernel.
pub const PROTOCOL: u8 = 18;

/// RT_TABLE_MAIN.
pub const TABLE_MAIN: u32 = 254;

/// A destination or a source: `address[/length]`, host bits as they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Prefix {
    pub address: IpAddr,
    pub length: u8,
}

/// One line of `virtual_routes` or `static_routes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub location: Location,
    pub family: Family,
    /// RTN_*: 1 unicast, 6 blackhole, 7 unreachable, 8 prohibit, 9 throw, ...
    pub kind: u8,
    /// `default` is the prefix of length zero.
    pub destination: Prefix,
    /// `from`, IPv6 only.
    pub from: Option<Prefix>,
    /// `src`: the preferred source address.
    pub source: Option<IpAddr>,
    /// `via`; with `or` both gateways are next hops instead.
    pub gateway: Option<IpAddr>,
    /// `dev`.
    pub interface: Option<String>,
    pub onlink: bool,
    pub encap: Option<Encap>,
    /// `None` with `vrf`: the kernel knows which.
    pub table: Option<u32>,
    pub vrf: Option<String>,
    pub tos: Option<u8>,
    /// RTPROT_*; `None` for `no_track` without a `protocol` of its own.
    pub protocol: Option<u8>,
    /// RT_SCOPE_*.
    pub scope: Option<u8>,
    /// `metric`, `priority` or `preference`.
    pub metric: Option<u32>,
    pub metrics: Metrics,
    /// IPv4 only.
    pub realms: Option<Realms>,
    /// Lifetime in seconds, IPv6 only.
    pub expires: Option<u32>,
    /// `pref`, IPv6 only (RFC 4191): 0 medium, 1 high, 3 low.
    pub preference: Option<u8>,
    pub ttl_propagate: Option<bool>,
    pub placement: Placement,
    /// Its removal by others is not acted on.
    pub no_track: bool,
    /// `nexthop`, or the gateways of `or`.
    pub hops: Vec<NextHop>,
}

/// Where a route stands among equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Placement {
    /// NLM_F_EXCL: there must be no equal one.
    Add,
    #[default]
    Prepend,
    Append,
}

/// One `nexthop` of a route.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NextHop {
    pub gateway: Option<IpAddr>,
    pub interface: Option<String>,
    /// 1 to 256; the kernel keeps one less.
    pub weight: Option<u16>,
    pub onlink: bool,
    pub realms: Option<Realms>,
    pub encap: Option<Encap>,
}

/// RTAX_*: what TCP and path MTU discovery assume of a route. Times are in the kernel's own fractions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metrics {
    pub mtu: Option<Lockable>,
    pub hop_limit: Option<u8>,
    pub advmss: Option<Lockable>,
    /// Eighths of a millisecond.
    pub rtt: Option<Lockable>,
    /// Quarters of a millisecond.
    pub rttvar: Option<Lockable>,
    pub reordering: Option<Lockable>,
    pub window: Option<u32>,
    pub cwnd: Option<Lockable>,
    pub ssthresh: Option<Lockable>,
    /// Milliseconds.
    pub rto_min: Option<Lockable>,
    pub initcwnd: Option<u32>,
    pub initrwnd: Option<u32>,
    /// `features ecn`.
    pub ecn: bool,
    pub quickack: Option<bool>,
    /// `congctl`, and whether it is locked.
    pub congestion: Option<(String, bool)>,
    pub fastopen_no_cookie: Option<bool>,
}

/// A metric that the kernel may be kept from changing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lockable {
    pub value: u32,
    pub locked: bool,
}

/// `realms [source/]destination`; zero is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Realms {
    pub source: u8,
    pub destination: u8,
}

/// `encap`: a lightweight tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encap {
    /// Labels from the top of the stack, 20 bits each.
    Mpls(Vec<u32>),
    Ip(TunnelTo<Ipv4Addr>),
    Ip6(TunnelTo<Ipv6Addr>),
    /// The locator, its first group in the highest bits.
    Ila(u64),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunnelTo<A> {
    pub id: Option<u64>,
    pub destination: Option<A>,
    pub source: Option<A>,
    /// `tos` or `tc`.
    pub tos: Option<u8>,
    /// `ttl` or `hoplimit`.
    pub ttl: Option<u8>,
    pub flags: Option<u16>,
}

impl<A> Default for TunnelTo<A> {
    /// A tunnel of which nothing is said.
    fn default() -> Self {
        TunnelTo { id: None, destination: None, source: None, tos: None, ttl: None, flags: None }
    }
}

/// One line of `virtual_rules` or `static_rules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub location: Location,
    pub family: Family,
    pub action: RuleAction,
    /// `preference`, or the one that was assigned.
    pub preference: u32,
    /// `not`.
    pub invert: bool,
    pub from: Option<Prefix>,
    pub to: Option<Prefix>,
    pub tos: Option<u8>,
    pub mark: Option<FwMark>,
    pub realms: Option<Realms>,
    pub suppress_prefix_length: Option<u32>,
    /// The number of the interface group, and its name when it has one.
    pub suppress_group: Option<(u32, Option<String>)>,
    /// `iif`.
    pub input: Option<String>,
    /// `oif`.
    pub output: Option<String>,
    /// Never zero.
    pub tunnel_id: Option<u64>,
    /// First and last user id.
    pub uids: Option<(u32, u32)>,
    /// RTPROT_*; `None` for `no_track` without a `protocol` of its own.
    pub protocol: Option<u8>,
    /// IPPROTO_*.
    pub ip_protocol: Option<u8>,
    pub source_ports: Option<(u16, u16)>,
    pub destination_ports: Option<(u16, u16)>,
    /// Its removal by others is not acted on.
    pub no_track: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleAction {
    /// `table`, or `lookup`.
    Table(u32),
    /// To the first rule of at least this preference.
    Goto(u32),
    Nop,
    Blackhole,
    Unreachable,
    Prohibit,
    /// The table of the interface's VRF.
    L3mdev,
}

/// `fwmark mark[/mask]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FwMark {
    pub mark: u32,
    pub mask: Option<u32>,
}

impl Prefix {
    /// All addresses of a family.
    pub fn any(family: Family) -> Prefix {
        let address = match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        Prefix { address, length: 0 }
    }

    /// Without host bits.
    pub fn masked(self) -> Prefix {
        let address = match self.address {
            IpAddr::V4(v4) => {
                let hosts = u32::MAX.checked_shr(self.length.into()).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & !hosts))
            }
            IpAddr::V6(v6) => {
                let hosts = u128::MAX.checked_shr(self.length.into()).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !hosts))
            }
        };
        Prefix { address, ..self }
    }
}

impl RuleAction {
    /// FR_ACT_*.
    pub fn number(self) -> u8 {
        match self {
            RuleAction::Table(_) | RuleAction::L3mdev => 1,
            RuleAction::Goto(_) => 2,
            RuleAction::Nop => 3,
            RuleAction::Blackhole => 6,
            RuleAction::Unreachable => 7,
            RuleAction::Prohibit => 8,
        }
    }
}

/// `track_group`: instances that depend on static addresses, routes and rules.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrackGroup {
    pub name: String,
    pub members: Vec<InstanceName>,
    /// Places from 1 of what names the group: in `static_ipaddress`, `static_routes`, `static_rules`.
    pub addresses: Vec<u32>,
    pub routes: Vec<u32>,
    pub rules: Vec<u32>,
}

impl Route {
    /// The word for its type in ip-route(8). None: unicast, which goes without saying.
    pub fn kind_name(&self) -> Option<&'static str> {
        Some(match self.kind {
            1 => return None,
            2 => "local",
            3 => "broadcast",
            4 => "anycast",
            5 => "multicast",
            6 => "blackhole",
            7 => "unreachable",
            8 => "prohibit",
            9 => "throw",
            10 => "nat",
            11 => "xresolve",
            _ => "unspec",
        })
    }

    /// A unicast route in the main table that says where to and nothing else.
    pub fn to(location: Location, destination: Prefix) -> Route {
        Route {
            location,
            family: Family::of(destination.address),
            kind: 1,
            destination,
            from: None,
            source: None,
            gateway: None,
            interface: None,
            onlink: false,
            encap: None,
            table: Some(TABLE_MAIN),
            vrf: None,
            tos: None,
            protocol: Some(PROTOCOL),
            scope: None,
            metric: None,
            metrics: Metrics::default(),
            realms: None,
            expires: None,
            preference: None,
            ttl_propagate: None,
            placement: Placement::default(),
            no_track: false,
            hops: Vec::new(),
        }
    }
}

impl Rule {
    /// A rule for every packet of a family.
    pub fn new(location: Location, family: Family, action: RuleAction, preference: u32) -> Rule {
        Rule {
            location,
            family,
            action,
            preference,
            invert: false,
            from: None,
            to: None,
            tos: None,
            mark: None,
            realms: None,
            suppress_prefix_length: None,
            suppress_group: None,
            input: None,
            output: None,
            tunnel_id: None,
            uids: None,
            protocol: Some(PROTOCOL),
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            no_track: false,
        }
    }
}
