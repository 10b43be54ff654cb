//! Whether a received advert may be heard: the checks of RFC 3768 and RFC 9568 sections 7.1, in their order.
//!
//! Each refusal has a counter; see [`Rejected`].

use std::net::{IpAddr, Ipv4Addr};

use super::io::Datagram;
use super::machine::{Advert, OWNER};
use crate::bus::msg::PacketFault;
use crate::bus::rows::{AuthError, Counters, ProtocolError, RouterCounters};
use crate::conf::model::{Auth, Family, Instance, OldUnicastChecksum, Transport, Version};
use crate::wire::vrrp::{self, Cover, DecodeError, Rest};

/// Why an advert for a known virtual router is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// Not 255 by multicast, or outside the peer's bounds.
    Ttl(u8),
    UnknownSource,
    Version(u8),
    Checksum,
    Type(u8),
    Truncated,
    Length {
        needed: usize,
        found: usize,
    },
    InvalidAuthType(u8),
    AuthTypeMismatch(u8),
    AuthFailure(Failure),
    /// Version 2 only: seconds received.
    Interval(u8),
    AddressList {
        found: usize,
    },
}

/// Why an advert is not authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    Password,
    /// An SPI that is not the sender's address.
    Index(u32),
    Replayed {
        sequence: u32,
        highest: u32,
    },
    /// Not made with our key.
    Value,
}

impl Rejected {
    /// Number of variants, for tables indexed by [`Self::kind`].
    pub const KINDS: usize = 12;

    pub fn kind(self) -> usize {
        match self {
            Rejected::Ttl(_) => 0,
            Rejected::UnknownSource => 1,
            Rejected::Version(_) => 2,
            Rejected::Checksum => 3,
            Rejected::Type(_) => 4,
            Rejected::Truncated => 5,
            Rejected::Length { .. } => 6,
            Rejected::InvalidAuthType(_) => 7,
            Rejected::AuthTypeMismatch(_) => 8,
            Rejected::AuthFailure(_) => 9,
            Rejected::Interval(_) => 10,
            Rejected::AddressList { .. } => 11,
        }
    }

    /// What notifications tell of it; of the others there are counters only.
    pub fn fault(self) -> Option<PacketFault> {
        Some(match self {
            Rejected::Ttl(_) => PacketFault::Protocol(ProtocolError::Ttl),
            Rejected::Version(_) => PacketFault::Protocol(ProtocolError::Version),
            Rejected::Checksum => PacketFault::Protocol(ProtocolError::Checksum),
            Rejected::InvalidAuthType(_) => PacketFault::Auth(AuthError::InvalidType),
            Rejected::AuthTypeMismatch(_) => PacketFault::Auth(AuthError::TypeMismatch),
            Rejected::AuthFailure(_) => PacketFault::Auth(AuthError::Failure),
            Rejected::UnknownSource
            | Rejected::Type(_)
            | Rejected::Truncated
            | Rejected::Length { .. }
            | Rejected::Interval(_)
            | Rejected::AddressList { .. } => return None,
        })
    }

    /// Counts it, for the instance and what the RFC modules count of the whole router for that, too. Returns whether the
    /// router's counters changed.
    pub fn count(self, router: &mut RouterCounters, counters: &mut Counters) -> bool {
        let of_router = match self {
            Rejected::Version(_) => Some(&mut router.version_errors),
            Rejected::Checksum => Some(&mut router.checksum_errors),
            Rejected::Truncated => Some(&mut router.truncated),
            _ => None,
        };
        let is_of_router = of_router.is_some();
        let of_instance = match self {
            Rejected::Ttl(_) => Some(&mut counters.ttl_errors),
            Rejected::UnknownSource => Some(&mut counters.unknown_source),
            Rejected::Version(_) => Some(&mut counters.version_errors),
            Rejected::Checksum => Some(&mut counters.checksum_errors),
            Rejected::Type(_) => Some(&mut counters.invalid_type),
            // Too short to say whose it is.
            Rejected::Truncated => None,
            Rejected::Length { .. } => Some(&mut counters.packet_length_errors),
            Rejected::InvalidAuthType(_) => Some(&mut counters.invalid_auth_type),
            Rejected::AuthTypeMismatch(_) => Some(&mut counters.auth_type_mismatch),
            Rejected::AuthFailure(_) => Some(&mut counters.auth_failures),
            Rejected::Interval(_) => Some(&mut counters.advert_interval_errors),
            Rejected::AddressList { .. } => Some(&mut counters.address_list_errors),
        };
        for counter in of_router.into_iter().chain(of_instance) {
            *counter += 1;
        }
        is_of_router
    }

    /// For the log, behind the sender's address.
    pub fn describe(self, instance: &Instance) -> String {
        match self {
            Rejected::Ttl(ttl) => format!("TTL {ttl} is not allowed"),
            Rejected::UnknownSource => "not a unicast peer".into(),
            Rejected::Version(found) => {
                let own = if instance.version == Version::V2 { 2 } else { 3 };
                format!("version {found}, ours is {own}")
            }
            Rejected::Checksum => "wrong checksum".into(),
            Rejected::Type(kind) => format!("packet type {kind} is not an advertisement"),
            Rejected::Truncated => "too short for a VRRP header".into(),
            Rejected::Length { needed, found } => format!("{found} bytes where its address count needs {needed}"),
            Rejected::InvalidAuthType(kind) => format!("unknown authentication type {kind}"),
            Rejected::AuthTypeMismatch(kind) => format!("authentication type {kind} is not ours"),
            Rejected::AuthFailure(Failure::Password) => "wrong password".into(),
            Rejected::AuthFailure(Failure::Index(index)) => {
                format!("the SPI {index:#010x} of its authentication header is not its address")
            }
            Rejected::AuthFailure(Failure::Replayed { sequence, highest }) => {
                format!("sequence number {sequence} is not above {highest}")
            }
            Rejected::AuthFailure(Failure::Value) => "its authentication header does not fit the password".into(),
            Rejected::Interval(found) => format!(
                "advertisement interval mismatch mine={} sec rcv'd={found} sec",
                instance.advert_interval.as_secs()
            ),
            Rejected::AddressList { found } => {
                let own = instance.addresses.len();
                format!("its list of {found} addresses differs from our list of {own}")
            }
        }
    }
}

/// Reads and checks one datagram that was sent to `instance`'s virtual router.
///
/// `listed` are the advertised addresses, sorted. `followed` is the master heard last: with `skip_check_adv_addr` its
/// address list is not compared again. `proof` is what the authentication header came to that was around the advert.
pub fn admit(
    instance: &Instance,
    listed: &[IpAddr],
    followed: Option<IpAddr>,
    datagram: &Datagram<'_>,
    proof: Option<Result<(), Failure>>,
) -> Result<Advert, Rejected> {
    check_path(instance, datagram)?;
    let header = vrrp::peek(datagram.payload).map_err(|_| Rejected::Truncated)?;
    let own_version = match instance.version {
        Version::V2 => 2,
        Version::V3 => 3,
    };
    if header.version != own_version {
        return Err(Rejected::Version(header.version));
    }
    if let Some(proof) = proof {
        proof.map_err(Rejected::AuthFailure)?;
    }
    // In the order of RFC 9568 section 7.1: a packet that is not whole has no checksum to speak of.
    let decoded = vrrp::Advert::decode(datagram.payload, instance.family).map_err(|error| match error {
        DecodeError::Truncated => Rejected::Truncated,
        DecodeError::Version(found) => Rejected::Version(found),
        DecodeError::Type(kind) => Rejected::Type(kind),
        DecodeError::Length { needed, found } => Rejected::Length { needed, found },
    });
    if let Err(error @ (Rejected::Truncated | Rejected::Length { .. })) = decoded {
        return Err(error);
    }
    if !checksum_fits(instance, datagram) {
        return Err(Rejected::Checksum);
    }
    let advert = decoded?;
    match advert.rest {
        Rest::V2 { interval, auth_type, auth_data } => {
            check_auth(instance.auth.as_ref(), auth_type, auth_data)?;
            if u64::from(interval) != instance.advert_interval.as_secs() {
                return Err(Rejected::Interval(interval));
            }
        }
        // A master that promises to be heard every 0 s would be down at once.
        Rest::V3 { interval: 0 } => return Err(Rejected::Interval(0)),
        Rest::V3 { .. } => {}
    }
    // An owner is right about its addresses by definition (RFC 3768 section 7.1); version 3 knows no such exception.
    let believed = instance.version == Version::V2 && advert.priority == OWNER
        || instance.skip_check_adv_addr && followed == Some(datagram.source);
    if !believed && !same_addresses(&advert, instance, listed) {
        return Err(Rejected::AddressList { found: advert.addresses.len() });
    }
    Ok(Advert { source: datagram.source, priority: advert.priority, interval: advert.rest.interval() })
}

fn check_path(instance: &Instance, datagram: &Datagram<'_>) -> Result<(), Rejected> {
    match &instance.transport {
        Transport::Multicast { .. } if datagram.ttl != 255 => Err(Rejected::Ttl(datagram.ttl)),
        Transport::Multicast { .. } => Ok(()),
        Transport::Unicast { peers, check_source, .. } => {
            match peers.iter().find(|peer| peer.address == datagram.source) {
                None if *check_source => Err(Rejected::UnknownSource),
                None => Ok(()),
                Some(peer) => {
                    let low = peer.min_ttl.is_some_and(|min| datagram.ttl < min);
                    let high = peer.max_ttl.is_some_and(|max| datagram.ttl > max);
                    if low || high { Err(Rejected::Ttl(datagram.ttl)) } else { Ok(()) }
                }
            }
        }
    }
}

/// What the checksum of an advert between two addresses covers.
pub fn cover(instance: &Instance, source: IpAddr, destination: IpAddr) -> Cover {
    match (instance.version, instance.family) {
        (Version::V2, _) => Cover::Message,
        (Version::V3, Family::V4) if instance.v3_checksum_as_v2 => Cover::Message,
        (Version::V3, Family::V4)
            if instance.old_unicast_checksum == OldUnicastChecksum::Always && !destination.is_multicast() =>
        {
            old_unicast(source)
        }
        (Version::V3, _) => Cover::Pseudo { source, destination },
    }
}

/// Keepalived before 1.3.7 put the multicast group into the pseudo header of unicast adverts.
fn old_unicast(source: IpAddr) -> Cover {
    Cover::Pseudo { source, destination: IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)) }
}

fn checksum_fits(instance: &Instance, datagram: &Datagram<'_>) -> bool {
    let Datagram { source, destination, payload, .. } = *datagram;
    if vrrp::verify(payload, cover(instance, source, destination)) {
        return true;
    }
    let old = instance.version == Version::V3
        && instance.family == Family::V4
        && matches!(instance.transport, Transport::Unicast { .. })
        && !instance.v3_checksum_as_v2
        && instance.old_unicast_checksum != OldUnicastChecksum::Never;
    old && (vrrp::verify(payload, old_unicast(source)) || vrrp::verify(payload, Cover::Pseudo { source, destination }))
}

fn check_auth(own: Option<&Auth>, auth_type: u8, auth_data: [u8; 8]) -> Result<(), Rejected> {
    let expected = match own {
        // AH travels in a header of its own; inside, the advert says type 2.
        Some(Auth::Ah(_)) => 2,
        Some(Auth::Pass(_)) => 1,
        None => 0,
    };
    match (auth_type, own) {
        (3.., _) => Err(Rejected::InvalidAuthType(auth_type)),
        (found, _) if found != expected => Err(Rejected::AuthTypeMismatch(auth_type)),
        (_, Some(Auth::Pass(password))) if *password != auth_data => Err(Rejected::AuthFailure(Failure::Password)),
        _ => Ok(()),
    }
}

/// In any order. An address that a file lists twice is twice in the adverts of Keepalived 2.2, and once in those of 2.4 and in
/// ours: it is the same address.
fn same_addresses(advert: &vrrp::Advert<'_>, instance: &Instance, listed: &[IpAddr]) -> bool {
    if advert.addresses.len() < listed.len() {
        return false;
    }
    let in_our_order = instance.addresses.iter().map(|address| address.address);
    if advert.addresses.iter().eq(in_our_order) {
        return true;
    }
    let mut received: Vec<IpAddr> = advert.addresses.iter().collect();
    received.sort_unstable();
    if received.len() > listed.len() {
        received.dedup();
    }
    received == listed
}
