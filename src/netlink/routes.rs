//! Routes as the kernel writes them (rtnetlink(7), `linux/rtnetlink.h`): requests for a [`KernelRoute`], and news of
//! routes that were removed. Pure, and total over bytes.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::generic::Attributes;
use super::socket::attributes;
use crate::conf::model::{Encap, Family, Lockable, Metrics, NextHop, Placement, Prefix, Realms, Route, TunnelTo};
use crate::vrrp::io::{KernelRoute, RouteNews};

/// `rtmsg`, and what follows it: a request without its netlink header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(pub Vec<u8>);

impl Payload {
    pub fn new(header: [u8; 12], attributes: &Attributes) -> Payload {
        Payload([&header[..], attributes.bytes()].concat())
    }
}

/// Length of `rtmsg` and of `fib_rule_hdr`.
pub const HEADER: usize = 12;

/// RTA_*
mod rta {
    pub const DST: u16 = 1;
    pub const SRC: u16 = 2;
    pub const OIF: u16 = 4;
    pub const GATEWAY: u16 = 5;
    pub const PRIORITY: u16 = 6;
    pub const PREFSRC: u16 = 7;
    pub const METRICS: u16 = 8;
    pub const MULTIPATH: u16 = 9;
    pub const FLOW: u16 = 11;
    pub const TABLE: u16 = 15;
    pub const VIA: u16 = 18;
    pub const PREF: u16 = 20;
    pub const ENCAP_TYPE: u16 = 21;
    pub const ENCAP: u16 = 22;
    pub const EXPIRES: u16 = 23;
    pub const TTL_PROPAGATE: u16 = 26;
}

/// RTAX_*
mod rtax {
    pub const LOCK: u16 = 1;
    pub const MTU: u16 = 2;
    pub const WINDOW: u16 = 3;
    pub const RTT: u16 = 4;
    pub const RTTVAR: u16 = 5;
    pub const SSTHRESH: u16 = 6;
    pub const CWND: u16 = 7;
    pub const ADVMSS: u16 = 8;
    pub const REORDERING: u16 = 9;
    pub const HOPLIMIT: u16 = 10;
    pub const INITCWND: u16 = 11;
    pub const FEATURES: u16 = 12;
    pub const RTO_MIN: u16 = 13;
    pub const INITRWND: u16 = 14;
    pub const QUICKACK: u16 = 15;
    pub const CC_ALGO: u16 = 16;
    pub const FASTOPEN_NO_COOKIE: u16 = 17;
    /// RTAX_FEATURE_ECN.
    pub const FEATURE_ECN: u32 = 1;
}

/// LWTUNNEL_*
mod lwtunnel {
    pub const MPLS: u16 = 1;
    pub const IP: u16 = 2;
    pub const ILA: u16 = 3;
    pub const IP6: u16 = 4;
    pub const MPLS_DST: u16 = 1;
    pub const ILA_LOCATOR: u16 = 1;
    pub const ID: u16 = 1;
    pub const DST: u16 = 2;
    pub const SRC: u16 = 3;
    pub const TTL: u16 = 4;
    pub const TOS: u16 = 5;
    pub const FLAGS: u16 = 6;
}

/// RTNH_F_ONLINK.
const ONLINK: u32 = 4;

const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;

/// RTN_LOCAL and its kin.
const LOCAL: u8 = 2;
const BROADCAST: u8 = 3;
const ANYCAST: u8 = 4;

/// The request to install a route.
pub fn install(route: &KernelRoute) -> Payload {
    let config = &*route.config;
    let mut all = Attributes::default();
    identity(route, &mut all);
    if let Some(source) = config.source {
        put_ip(&mut all, rta::PREFSRC, source);
    }
    if let Some(encap) = &config.encap {
        put_encap(&mut all, encap);
    }
    let metrics = metrics(&config.metrics);
    if !metrics.bytes().is_empty() {
        all.put_nest(rta::METRICS, &metrics);
    }
    if let Some(realms) = config.realms {
        all.put_u32(rta::FLOW, flow(realms));
    }
    if let Some(seconds) = config.expires {
        all.put_u32(rta::EXPIRES, seconds);
    }
    if let Some(preference) = config.preference {
        all.put_u8(rta::PREF, preference);
    }
    if let Some(propagate) = config.ttl_propagate {
        all.put_u8(rta::TTL_PROPAGATE, propagate.into());
    }
    Payload::new(header(route), &all)
}

/// The request to remove exactly this route.
pub fn remove(route: &KernelRoute) -> Payload {
    let mut all = Attributes::default();
    identity(route, &mut all);
    Payload::new(header(route), &all)
}

/// Netlink flags beside NLM_F_CREATE that say where the new route stands.
pub fn placement(route: &Route) -> u16 {
    match route.placement {
        Placement::Add => netlink_packet_core::NLM_F_EXCL,
        Placement::Prepend => 0,
        Placement::Append => netlink_packet_core::NLM_F_APPEND,
    }
}

fn header(route: &KernelRoute) -> [u8; HEADER] {
    let config = &*route.config;
    let [f0, f1, f2, f3] = if config.onlink { ONLINK } else { 0 }.to_ne_bytes();
    // Larger numbers stand in an attribute.
    let table = u8::try_from(route.table).unwrap_or(0);
    [
        family(config.family),
        config.destination.length,
        config.from.map_or(0, |from| from.length),
        config.tos.unwrap_or(0),
        table,
        route.protocol(),
        config.scope.unwrap_or(scope(config.kind)),
        config.kind,
        f0,
        f1,
        f2,
        f3,
    ]
}

/// The widest scope that the kernel takes for a type of route.
fn scope(kind: u8) -> u8 {
    match kind {
        LOCAL => SCOPE_HOST,
        BROADCAST | ANYCAST => SCOPE_LINK,
        _ => SCOPE_UNIVERSE,
    }
}

/// What tells a route from others.
fn identity(route: &KernelRoute, all: &mut Attributes) {
    let config = &*route.config;
    all.put_u32(rta::TABLE, route.table);
    if config.destination.length > 0 {
        put_ip(all, rta::DST, config.destination.masked().address);
    }
    if let Some(from) = config.from {
        put_ip(all, rta::SRC, from.masked().address);
    }
    if let Some(metric) = config.metric {
        all.put_u32(rta::PRIORITY, metric);
    }
    if let Some(gateway) = config.gateway {
        put_gateway(all, config.family, gateway);
    }
    if let Some(interface) = route.interface {
        all.put_u32(rta::OIF, interface);
    }
    if !config.hops.is_empty() {
        let mut legs = Vec::new();
        for (hop, interface) in config.hops.iter().zip(&route.hops) {
            leg(config.family, hop, *interface, &mut legs);
        }
        all.put(rta::MULTIPATH, &legs);
    }
}

/// `rtnexthop` and its attributes.
fn leg(family: Family, hop: &NextHop, interface: Option<u32>, legs: &mut Vec<u8>) {
    let mut own = Attributes::default();
    if let Some(gateway) = hop.gateway {
        put_gateway(&mut own, family, gateway);
    }
    if let Some(realms) = hop.realms {
        own.put_u32(rta::FLOW, flow(realms));
    }
    if let Some(encap) = &hop.encap {
        put_encap(&mut own, encap);
    }
    let length = u16::try_from(8 + own.bytes().len()).unwrap_or(u16::MAX);
    let flags = if hop.onlink { ONLINK as u8 } else { 0 };
    let weight = hop.weight.unwrap_or(1).clamp(1, 256) - 1;
    legs.extend_from_slice(&length.to_ne_bytes());
    legs.extend_from_slice(&[flags, weight as u8]);
    legs.extend_from_slice(&interface.unwrap_or(0).to_ne_bytes());
    legs.extend_from_slice(own.bytes());
}

fn put_gateway(all: &mut Attributes, family: Family, gateway: IpAddr) {
    if Family::of(gateway) == family {
        put_ip(all, rta::GATEWAY, gateway);
        return;
    }
    let (number, octets) = octets(gateway);
    all.put(rta::VIA, &[&u16::from(number).to_ne_bytes()[..], &octets].concat());
}

fn put_ip(all: &mut Attributes, kind: u16, address: IpAddr) {
    all.put(kind, &octets(address).1);
}

/// AF_* and the octets.
fn octets(address: IpAddr) -> (u8, SmallVec<[u8; 16]>) {
    match address {
        IpAddr::V4(v4) => (AF_INET, SmallVec::from_slice(&v4.octets())),
        IpAddr::V6(v6) => (AF_INET6, SmallVec::from_slice(&v6.octets())),
    }
}

pub const AF_INET: u8 = 2;
pub const AF_INET6: u8 = 10;

pub fn family(family: Family) -> u8 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

/// Source in the upper half, destination in the lower.
pub fn flow(realms: Realms) -> u32 {
    u32::from(realms.source) << 16 | u32::from(realms.destination)
}

fn metrics(metrics: &Metrics) -> Attributes {
    let mut all = Attributes::default();
    let mut lock = 0u32;
    let lockable: [(u16, Option<Lockable>); 8] = [
        (rtax::MTU, metrics.mtu),
        (rtax::ADVMSS, metrics.advmss),
        (rtax::RTT, metrics.rtt),
        (rtax::RTTVAR, metrics.rttvar),
        (rtax::REORDERING, metrics.reordering),
        (rtax::CWND, metrics.cwnd),
        (rtax::SSTHRESH, metrics.ssthresh),
        (rtax::RTO_MIN, metrics.rto_min),
    ];
    for (kind, metric) in lockable {
        if let Some(Lockable { value, locked }) = metric {
            all.put_u32(kind, value);
            lock |= u32::from(locked) << kind;
        }
    }
    let plain = [
        (rtax::HOPLIMIT, metrics.hop_limit.map(u32::from)),
        (rtax::WINDOW, metrics.window),
        (rtax::INITCWND, metrics.initcwnd),
        (rtax::INITRWND, metrics.initrwnd),
        (rtax::FEATURES, metrics.ecn.then_some(rtax::FEATURE_ECN)),
        (rtax::QUICKACK, metrics.quickack.map(u32::from)),
        (rtax::FASTOPEN_NO_COOKIE, metrics.fastopen_no_cookie.map(u32::from)),
    ];
    for (kind, value) in plain {
        if let Some(value) = value {
            all.put_u32(kind, value);
        }
    }
    if let Some((algorithm, locked)) = &metrics.congestion {
        all.put_text(rtax::CC_ALGO, algorithm);
        lock |= u32::from(*locked) << rtax::CC_ALGO;
    }
    if lock != 0 {
        all.put_u32(rtax::LOCK, lock);
    }
    all
}

fn put_encap(all: &mut Attributes, encap: &Encap) {
    let mut inner = Attributes::default();
    let kind = match encap {
        Encap::Mpls(labels) => {
            inner.put(lwtunnel::MPLS_DST, &label_stack(labels));
            lwtunnel::MPLS
        }
        Encap::Ip(tunnel) => {
            put_tunnel(&mut inner, tunnel, |address| address.octets().to_vec());
            lwtunnel::IP
        }
        Encap::Ip6(tunnel) => {
            // Hop limit and traffic class have the numbers of TTL and TOS.
            put_tunnel(&mut inner, tunnel, |address| address.octets().to_vec());
            lwtunnel::IP6
        }
        Encap::Ila(locator) => {
            inner.put(lwtunnel::ILA_LOCATOR, &locator.to_be_bytes());
            lwtunnel::ILA
        }
    };
    all.put_u16(rta::ENCAP_TYPE, kind).put_nest(rta::ENCAP, &inner);
}

fn put_tunnel<A>(all: &mut Attributes, tunnel: &TunnelTo<A>, octets: impl Fn(&A) -> Vec<u8>) {
    if let Some(id) = tunnel.id {
        all.put(lwtunnel::ID, &id.to_be_bytes());
    }
    if let Some(destination) = &tunnel.destination {
        all.put(lwtunnel::DST, &octets(destination));
    }
    if let Some(source) = &tunnel.source {
        all.put(lwtunnel::SRC, &octets(source));
    }
    if let Some(ttl) = tunnel.ttl {
        all.put_u8(lwtunnel::TTL, ttl);
    }
    if let Some(tos) = tunnel.tos {
        all.put_u8(lwtunnel::TOS, tos);
    }
    if let Some(flags) = tunnel.flags {
        all.put(lwtunnel::FLAGS, &flags.to_be_bytes());
    }
}

/// RFC 3032 section 2.1: the label in the upper 20 bits, and a bit at the bottom of the stack.
fn label_stack(labels: &[u32]) -> Vec<u8> {
    let last = labels.len().saturating_sub(1);
    let entry = |(at, label): (usize, &u32)| (label << 12 | u32::from(at == last) << 8).to_be_bytes();
    labels.iter().enumerate().flat_map(entry).collect()
}

/// RTPROT_* of a message about a route, from its header alone.
pub fn protocol(payload: &[u8]) -> Option<u8> {
    payload.get(5).copied()
}

/// News of a route; `None` if it is of another kind of protocol, or cannot be read.
pub fn parse(payload: &[u8]) -> Option<RouteNews> {
    let (header, rest) = payload.split_first_chunk::<HEADER>()?;
    let [number, destination_length, from_length, tos, table, protocol, _, kind, ..] = *header;
    let family = read_family(number)?;
    let mut news = RouteNews {
        family,
        table: table.into(),
        kind,
        protocol,
        destination: Prefix { length: destination_length, ..Prefix::any(family) },
        from: Prefix { length: from_length, ..Prefix::any(family) },
        tos,
        metric: 0,
        hops: SmallVec::new(),
    };
    let (mut gateway, mut interface) = (None, None);
    for (kind, value) in attributes(rest) {
        match kind {
            rta::TABLE => news.table = number_of(value)?,
            rta::DST => news.destination.address = ip(value)?,
            rta::SRC => news.from.address = ip(value)?,
            rta::PRIORITY => news.metric = number_of(value)?,
            rta::GATEWAY => gateway = ip(value),
            rta::VIA => gateway = value.get(2..).and_then(ip),
            rta::OIF => interface = number_of(value),
            rta::MULTIPATH => news.hops = legs(value),
            _ => {}
        }
    }
    if news.hops.is_empty() && (gateway.is_some() || interface.is_some()) {
        news.hops.push((gateway, interface));
    }
    (news.destination, news.from) = (news.destination.masked(), news.from.masked());
    Some(news)
}

fn legs(mut rest: &[u8]) -> SmallVec<[(Option<IpAddr>, Option<u32>); 2]> {
    let mut legs = SmallVec::new();
    while let Some((header, _)) = rest.split_first_chunk::<8>() {
        let [l0, l1, _, _, index @ ..] = *header;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(own) = rest.get(8..length) else { break };
        let mut gateway = None;
        for (kind, value) in attributes(own) {
            match kind {
                rta::GATEWAY => gateway = ip(value),
                rta::VIA => gateway = value.get(2..).and_then(ip),
                _ => {}
            }
        }
        legs.push((gateway, Some(u32::from_ne_bytes(index)).filter(|index| *index != 0)));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    legs
}

pub fn read_family(number: u8) -> Option<Family> {
    match number {
        AF_INET => Some(Family::V4),
        AF_INET6 => Some(Family::V6),
        _ => None,
    }
}

pub fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(*value.first_chunk::<4>()?)),
        16 => Some(IpAddr::from(*value.first_chunk::<16>()?)),
        _ => None,
    }
}

pub fn number_of(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(*value.first_chunk()?))
}

#[cfg(test)]
mod tests;
