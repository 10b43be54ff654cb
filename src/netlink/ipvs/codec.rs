//! IPVS messages: [`Request`]s become bytes, the kernel's bytes become a [`Reply`]. Pure, and total over bytes.
//!
//! Attributes that we do not know are skipped, and values that have no place in our types are read as the nearest one,
//! so that a newer kernel and other people's entries cannot hide the rest of a table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::Emitable;
use netlink_packet_generic::GenlFamily;

use super::number::{FAMILY, VERSION, command, daemon, dest, forwarding, info, service, stats, top, tunnel as tunnels};
use crate::check::table::{Daemon, Destination, DestinationId, Load, Op, Service, ServiceId, Stats, SyncRole, flags};
use crate::conf::model::{Family, Forwarding, Protocol, Tunnel, TunnelChecksum};
use crate::netlink::generic::{self, Attributes};
use crate::netlink::socket::attributes;

/// One message to the kernel, without the netlink header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    command: u8,
    attributes: Attributes,
}

impl Request {
    /// The change that `op` describes.
    pub fn change(op: &Op) -> Request {
        let mut all = Attributes::default();
        let command = match op {
            Op::AddService(service) => {
                all.put_nest(top::SERVICE, &whole_service(service));
                command::NEW_SERVICE
            }
            Op::EditService(service) => {
                all.put_nest(top::SERVICE, &whole_service(service));
                command::SET_SERVICE
            }
            Op::DeleteService(id) => {
                all.put_nest(top::SERVICE, &service_key(id));
                command::DEL_SERVICE
            }
            Op::AddDestination(id, destination) => {
                all.put_nest(top::SERVICE, &service_key(id)).put_nest(top::DEST, &whole_destination(destination));
                command::NEW_DEST
            }
            Op::EditDestination(id, destination) => {
                all.put_nest(top::SERVICE, &service_key(id)).put_nest(top::DEST, &whole_destination(destination));
                command::SET_DEST
            }
            Op::DeleteDestination(id, destination) => {
                all.put_nest(top::SERVICE, &service_key(id)).put_nest(top::DEST, &destination_key(destination));
                command::DEL_DEST
            }
            Op::Flush => command::FLUSH,
            Op::Timeouts { tcp, tcp_fin, udp } => {
                for (kind, seconds) in
                    [(top::TIMEOUT_TCP, tcp), (top::TIMEOUT_TCP_FIN, tcp_fin), (top::TIMEOUT_UDP, udp)]
                {
                    // The kernel takes 0 for "leave it", and wants all three.
                    all.put_u32(kind, seconds.unwrap_or(0));
                }
                command::SET_CONFIG
            }
            Op::StartDaemon(daemon) => {
                all.put_nest(top::DAEMON, &whole_daemon(daemon));
                command::NEW_DAEMON
            }
            Op::StopDaemon { role, id } => {
                let mut inner = Attributes::default();
                inner.put_u32(daemon::STATE, state(*role)).put_u32(daemon::ID, (*id).into());
                all.put_nest(top::DAEMON, &inner);
                command::DEL_DAEMON
            }
        };
        Request { command, attributes: all }
    }

    /// A dump of all services.
    pub fn services() -> Request {
        Request::bare(command::GET_SERVICE)
    }

    /// A dump of one service's destinations. For a service that does not exist it is empty, without an error.
    pub fn destinations(id: &ServiceId) -> Request {
        let mut request = Request::bare(command::GET_DEST);
        request.attributes.put_nest(top::SERVICE, &service_key(id));
        request
    }

    /// A dump.
    pub fn daemons() -> Request {
        Request::bare(command::GET_DAEMON)
    }

    pub fn timeouts() -> Request {
        Request::bare(command::GET_CONFIG)
    }

    pub fn info() -> Request {
        Request::bare(command::GET_INFO)
    }

    fn bare(command: u8) -> Request {
        Request { command, attributes: Attributes::default() }
    }
}

impl GenlFamily for Request {
    fn family_name() -> &'static str {
        FAMILY
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        VERSION
    }
}

impl Emitable for Request {
    fn buffer_len(&self) -> usize {
        self.attributes.bytes().len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        let bytes = self.attributes.bytes();
        if let Some(place) = buffer.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

fn service_key(id: &ServiceId) -> Attributes {
    let mut key = Attributes::default();
    key.put_u16(service::FAMILY, address_family(id.family()));
    match *id {
        ServiceId::Address { protocol, address, port } => key
            .put_u16(service::PROTOCOL, protocol_number(protocol))
            .put(service::ADDRESS, &wide(address))
            .put(service::PORT, &port.to_be_bytes()),
        ServiceId::Mark { mark, .. } => key.put_u32(service::MARK, mark),
    };
    key
}

fn whole_service(wanted: &Service) -> Attributes {
    let mut all = service_key(&wanted.id);
    let meant = wanted.flags & !flags::HASHED;
    let netmask = match wanted.id.family() {
        Family::V4 => wanted.netmask.to_be_bytes(),
        Family::V6 => wanted.netmask.to_ne_bytes(),
    };
    all.put_text(service::SCHEDULER, &wanted.scheduler)
        .put(service::FLAGS, &[meant.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat())
        .put_u32(service::TIMEOUT, wanted.timeout_s)
        .put(service::NETMASK, &netmask);
    if let Some(engine) = &wanted.engine {
        all.put_text(service::ENGINE, engine);
    }
    all
}

fn destination_key(id: &DestinationId) -> Attributes {
    let mut key = Attributes::default();
    key.put_u16(dest::FAMILY, address_family(Family::of(id.address)))
        .put(dest::ADDRESS, &wide(id.address))
        .put(dest::PORT, &id.port.to_be_bytes());
    key
}

fn whole_destination(wanted: &Destination) -> Attributes {
    let mut all = destination_key(&wanted.id);
    let method = match wanted.forwarding {
        Forwarding::Nat => forwarding::NAT,
        Forwarding::Direct => forwarding::DIRECT,
        Forwarding::Tunnel(_) => forwarding::TUNNEL,
    };
    all.put_u32(dest::FORWARDING, method)
        .put_u32(dest::WEIGHT, wanted.weight)
        .put_u32(dest::UPPER_THRESHOLD, wanted.upper_threshold)
        .put_u32(dest::LOWER_THRESHOLD, wanted.lower_threshold);
    let (kind, port, checksum) = match wanted.forwarding {
        Forwarding::Nat | Forwarding::Direct => return all,
        // As kernels before 5.3 have it: they know no other and not these attributes.
        Forwarding::Tunnel(Tunnel::Ipip) => return all,
        Forwarding::Tunnel(Tunnel::Gue { port, checksum }) => (tunnels::GUE, port, checksum),
        Forwarding::Tunnel(Tunnel::Gre { checksum }) => (tunnels::GRE, 0, checksum),
    };
    let checksum = match checksum {
        TunnelChecksum::None => 0,
        TunnelChecksum::Checksum => tunnels::CHECKSUM,
        TunnelChecksum::Remote => tunnels::REMOTE_CHECKSUM,
    };
    all.put_u8(dest::TUNNEL_TYPE, kind)
        .put(dest::TUNNEL_PORT, &port.to_be_bytes())
        .put_u16(dest::TUNNEL_FLAGS, checksum);
    all
}

fn whole_daemon(wanted: &Daemon) -> Attributes {
    let mut all = Attributes::default();
    all.put_u32(daemon::STATE, state(wanted.role))
        .put_text(daemon::INTERFACE, &wanted.interface)
        .put_u32(daemon::ID, wanted.id.into());
    if let Some(length) = wanted.max_length {
        all.put_u16(daemon::MAX_LENGTH, length);
    }
    match wanted.group {
        Some(IpAddr::V4(group)) => all.put(daemon::GROUP_V4, &group.octets()),
        Some(IpAddr::V6(group)) => all.put(daemon::GROUP_V6, &group.octets()),
        None => &mut all,
    };
    if let Some(port) = wanted.port {
        all.put_u16(daemon::PORT, port);
    }
    if let Some(ttl) = wanted.ttl {
        all.put_u8(daemon::TTL, ttl);
    }
    all
}

fn address_family(family: Family) -> u16 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

const AF_INET: u16 = libc::AF_INET as u16;
const AF_INET6: u16 = libc::AF_INET6 as u16;

fn protocol_number(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => IPPROTO_TCP,
        Protocol::Udp => IPPROTO_UDP,
        Protocol::Sctp => IPPROTO_SCTP,
    }
}

const IPPROTO_TCP: u16 = libc::IPPROTO_TCP as u16;
const IPPROTO_UDP: u16 = libc::IPPROTO_UDP as u16;
const IPPROTO_SCTP: u16 = libc::IPPROTO_SCTP as u16;

/// As the kernel's `nf_inet_addr`: 16 bytes, IPv4 in the first four.
fn wide(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn state(role: SyncRole) -> u32 {
    match role {
        SyncRole::Master => daemon::MASTER,
        SyncRole::Backup => daemon::BACKUP,
    }
}

/// What one message of the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Service(Service, Stats),
    Destination(Destination, Load),
    Daemon(Daemon),
    Timeouts(Timeouts),
    Info(Info),
}

/// Seconds until an idle connection is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timeouts {
    pub tcp: u32,
    pub tcp_fin: u32,
    pub udp: u32,
}

/// The kernel's IPVS as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Info {
    /// Major, minor, patch.
    pub version: (u8, u8, u8),
    /// Buckets of the connection table.
    pub connection_table: u32,
}

impl Reply {
    /// Reads a message behind its netlink header. `family` is the service's: destinations of old kernels say none.
    ///
    /// `None` for what is no answer to one of our questions, and for entries that only other tools can make (protocols AH
    /// and ESP).
    pub fn decode(payload: &[u8], family: Family) -> Option<Reply> {
        let (command, all) = generic::split(payload)?;
        let nest = |wanted| attributes(all).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        match command {
            command::NEW_SERVICE => decode_service(nest(top::SERVICE)?),
            command::NEW_DEST => decode_destination(nest(top::DEST)?, family),
            command::NEW_DAEMON => decode_daemon(nest(top::DAEMON)?),
            command::SET_CONFIG => Some(decode_timeouts(all)),
            command::SET_INFO => Some(decode_info(all)),
            _ => None,
        }
    }
}

fn decode_service(nest: &[u8]) -> Option<Reply> {
    let (mut family, mut protocol, mut address, mut port, mut mark) = (None, None, None, None, None);
    let (mut netmask, mut narrow, mut wide) = (None, None, None);
    let mut found = Service {
        id: ServiceId::Mark { family: Family::V4, mark: 0 },
        scheduler: String::new(),
        flags: 0,
        timeout_s: 0,
        netmask: 0,
        engine: None,
    };
    for (kind, value) in attributes(nest) {
        match kind {
            service::FAMILY => family = family_of(u16_of(value)?),
            service::PROTOCOL => protocol = u16_of(value),
            service::ADDRESS => address = Some(value),
            service::PORT => port = value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)),
            service::MARK => mark = u32_of(value),
            service::SCHEDULER => found.scheduler = text_of(value),
            service::FLAGS => found.flags = u32_of(value)? & !flags::HASHED,
            service::TIMEOUT => found.timeout_s = u32_of(value)?,
            service::NETMASK => netmask = value.first_chunk(),
            service::ENGINE => found.engine = Some(text_of(value)).filter(|name| !name.is_empty()),
            service::STATS => narrow = Some(decode_stats(value)),
            service::STATS64 => wide = Some(decode_stats(value)),
            _ => {}
        }
    }
    let family = family?;
    found.netmask = match family {
        Family::V4 => u32::from_be_bytes(*netmask?),
        Family::V6 => u32::from_ne_bytes(*netmask?),
    };
    found.id = match mark {
        Some(mark) => ServiceId::Mark { family, mark },
        None => ServiceId::Address {
            protocol: match protocol? {
                IPPROTO_TCP => Protocol::Tcp,
                IPPROTO_UDP => Protocol::Udp,
                IPPROTO_SCTP => Protocol::Sctp,
                _ => return None,
            },
            address: address_of(address?, family)?,
            port: port?,
        },
    };
    Some(Reply::Service(found, wide.or(narrow).unwrap_or_default()))
}

fn decode_destination(nest: &[u8], service_family: Family) -> Option<Reply> {
    let (mut family, mut address, mut port) = (service_family, None, None);
    let (mut method, mut kind, mut tunnel_port, mut checksum) = (forwarding::NAT, tunnels::IPIP, 0, 0);
    let (mut weight, mut upper_threshold, mut lower_threshold) = (0, 0, 0);
    let (mut narrow, mut wide) = (None, None);
    let mut load = Load::default();
    for (attribute, value) in attributes(nest) {
        match attribute {
            dest::FAMILY => family = family_of(u16_of(value)?)?,
            dest::ADDRESS => address = Some(value),
            dest::PORT => port = value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)),
            dest::FORWARDING => method = u32_of(value)? & forwarding::MASK,
            dest::WEIGHT => weight = u32_of(value)?,
            dest::UPPER_THRESHOLD => upper_threshold = u32_of(value)?,
            dest::LOWER_THRESHOLD => lower_threshold = u32_of(value)?,
            dest::ACTIVE => load.active = u32_of(value)?,
            dest::INACTIVE => load.inactive = u32_of(value)?,
            dest::PERSISTENT => load.persistent = u32_of(value)?,
            dest::STATS => narrow = Some(decode_stats(value)),
            dest::STATS64 => wide = Some(decode_stats(value)),
            dest::TUNNEL_TYPE => kind = *value.first()?,
            dest::TUNNEL_PORT => tunnel_port = u16::from_be_bytes(*value.first_chunk()?),
            dest::TUNNEL_FLAGS => checksum = u16_of(value)?,
            _ => {}
        }
    }
    load.stats = wide.or(narrow).unwrap_or_default();
    let checksum = if checksum & tunnels::REMOTE_CHECKSUM != 0 {
        TunnelChecksum::Remote
    } else if checksum & tunnels::CHECKSUM != 0 {
        TunnelChecksum::Checksum
    } else {
        TunnelChecksum::None
    };
    let forwarding = match (method, kind) {
        (forwarding::NAT, _) => Forwarding::Nat,
        (forwarding::TUNNEL, tunnels::GUE) => Forwarding::Tunnel(Tunnel::Gue { port: tunnel_port, checksum }),
        (forwarding::TUNNEL, tunnels::GRE) => Forwarding::Tunnel(Tunnel::Gre { checksum }),
        (forwarding::TUNNEL, _) => Forwarding::Tunnel(Tunnel::Ipip),
        // Direct, and what no configuration can ask for: "local" and "bypass", which change packets as little.
        _ => Forwarding::Direct,
    };
    let id = DestinationId { address: address_of(address?, family)?, port: port? };
    let local = method == forwarding::LOCAL;
    Some(Reply::Destination(Destination { id, forwarding, weight, upper_threshold, lower_threshold, local }, load))
}

fn decode_daemon(nest: &[u8]) -> Option<Reply> {
    let (mut role, mut interface, mut id) = (None, None, None);
    let (mut max_length, mut port, mut ttl, mut group) = (None, None, None, None);
    for (kind, value) in attributes(nest) {
        match kind {
            daemon::STATE => {
                role = match u32_of(value)? {
                    daemon::MASTER => Some(SyncRole::Master),
                    daemon::BACKUP => Some(SyncRole::Backup),
                    _ => None,
                }
            }
            daemon::INTERFACE => interface = Some(text_of(value)),
            daemon::ID => id = u8::try_from(u32_of(value)?).ok(),
            daemon::MAX_LENGTH => max_length = u16_of(value),
            daemon::GROUP_V4 => group = address_of(value, Family::V4),
            daemon::GROUP_V6 => group = address_of(value, Family::V6),
            daemon::PORT => port = u16_of(value),
            daemon::TTL => ttl = value.first().copied(),
            _ => {}
        }
    }
    Some(Reply::Daemon(Daemon { role: role?, interface: interface?, id: id?, max_length, port, ttl, group }))
}

fn decode_timeouts(all: &[u8]) -> Reply {
    let mut found = Timeouts::default();
    for (kind, value) in attributes(all) {
        let value = u32_of(value).unwrap_or(0);
        match kind {
            top::TIMEOUT_TCP => found.tcp = value,
            top::TIMEOUT_TCP_FIN => found.tcp_fin = value,
            top::TIMEOUT_UDP => found.udp = value,
            _ => {}
        }
    }
    Reply::Timeouts(found)
}

fn decode_info(all: &[u8]) -> Reply {
    let mut found = Info::default();
    for (kind, value) in attributes(all) {
        let value = u32_of(value).unwrap_or(0);
        match kind {
            info::VERSION => {
                let [_, major, minor, patch] = value.to_be_bytes();
                found.version = (major, minor, patch);
            }
            info::CONNECTION_TABLE => found.connection_table = value,
            _ => {}
        }
    }
    Reply::Info(found)
}

/// Both forms: each value says by its length how wide it is.
fn decode_stats(nest: &[u8]) -> Stats {
    let mut found = Stats::default();
    for (kind, value) in attributes(nest) {
        let place = match kind {
            stats::CONNECTIONS => &mut found.connections,
            stats::PACKETS_IN => &mut found.packets_in,
            stats::PACKETS_OUT => &mut found.packets_out,
            stats::BYTES_IN => &mut found.bytes_in,
            stats::BYTES_OUT => &mut found.bytes_out,
            stats::CONNECTION_RATE => &mut found.connection_rate,
            stats::PACKET_RATE_IN => &mut found.packet_rate_in,
            stats::PACKET_RATE_OUT => &mut found.packet_rate_out,
            stats::BYTE_RATE_IN => &mut found.byte_rate_in,
            stats::BYTE_RATE_OUT => &mut found.byte_rate_out,
            _ => continue,
        };
        *place = match value.first_chunk() {
            Some(bytes) => u64::from_ne_bytes(*bytes),
            None => u32_of(value).unwrap_or(0).into(),
        };
    }
    found
}

fn u16_of(value: &[u8]) -> Option<u16> {
    value.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

fn u32_of(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn text_of(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

fn family_of(number: u16) -> Option<Family> {
    match number {
        AF_INET => Some(Family::V4),
        AF_INET6 => Some(Family::V6),
        _ => None,
    }
}

fn address_of(value: &[u8], family: Family) -> Option<IpAddr> {
    Some(match family {
        Family::V4 => Ipv4Addr::from(*value.first_chunk::<4>()?).into(),
        Family::V6 => Ipv6Addr::from(*value.first_chunk::<16>()?).into(),
    })
}

#[cfg(test)]
mod tests;
