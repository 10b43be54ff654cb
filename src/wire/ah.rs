//! The Authentication Header around a VRRPv2 advert over IPv4: `auth_type AH` (RFC 2338 section 5.3.6.3, RFC 2402), with
//! HMAC-MD5-96 (RFC 2403).
//!
//! The header covers fields of the IPv4 header in front of it, so that both directions handle whole packets: [`decode`]
//! reads one, [`Protected::proves`] checks its value, [`Outgoing::encode`] writes one. Which sequence numbers are heard is
//! not decided here.

use std::net::Ipv4Addr;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use super::checksum::Sum;
use super::ip;
use super::vrrp;

/// IP protocol number of the Authentication Header.
pub const PROTOCOL: u8 = 51;

/// Bytes of the IPv4 header, which must have no options.
const IP: usize = 20;
/// Bytes of the Authentication Header, its value included.
const AH: usize = 24;
/// Bytes of the value: the first 96 bits of HMAC-MD5.
const VALUE: usize = 12;
/// Where the value begins.
const VALUE_AT: usize = IP + AH - VALUE;
/// Length of the Authentication Header in words of 32 bits, less two (RFC 2402 section 2.2).
const LENGTH: u8 = 4;
/// Precedence "internetwork control".
const TOS: u8 = 0xC0;

/// The key: a password of up to eight bytes, padded with zeros.
pub type Key = [u8; 8];

/// Whether the TTL counts as one that routers on the way change.
///
/// RFC 2402 section 3.3.3.1.1.1 takes it as zero. Keepalived does so by unicast; by multicast, where nothing but 255 is
/// heard anyway, its value is that of the TTL as it stands. So must ours be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    Covered,
    Zeroed,
}

/// A packet as it came in. Nothing is proven yet.
#[derive(Debug, Clone, Copy)]
pub struct Protected<'a> {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub ttl: u8,
    /// Security parameters index; VRRP's is the sender's address.
    pub index: u32,
    pub sequence: u32,
    /// The advert.
    pub payload: &'a [u8],
    packet: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// Shorter than its headers.
    Truncated,
    /// No IPv4 packet, one with options, or with another protocol behind it.
    Header,
    /// Something else than VRRP inside.
    Inside(u8),
}

/// Reads an IPv4 packet of protocol 51.
///
/// The length field of the Authentication Header is not looked at, as there is one kind of value: Keepalived does not, either.
pub fn decode(packet: &[u8]) -> Result<Protected<'_>, DecodeError> {
    let outer = ip::decode_v4(packet).map_err(|error| match error {
        ip::Ipv4Error::Truncated => DecodeError::Truncated,
        ip::Ipv4Error::Version | ip::Ipv4Error::Length => DecodeError::Header,
    })?;
    if outer.protocol != PROTOCOL || outer.header_length != IP {
        return Err(DecodeError::Header);
    }
    let (header, payload) = outer.payload.split_first_chunk::<AH>().ok_or(DecodeError::Truncated)?;
    let [next, _, _, _, i0, i1, i2, i3, s0, s1, s2, s3, ..] = *header;
    if next != vrrp::PROTOCOL {
        return Err(DecodeError::Inside(next));
    }
    Ok(Protected {
        source: outer.source,
        destination: outer.destination,
        ttl: outer.ttl,
        index: u32::from_be_bytes([i0, i1, i2, i3]),
        sequence: u32::from_be_bytes([s0, s1, s2, s3]),
        payload,
        packet: packet.get(..IP + AH + payload.len()).ok_or(DecodeError::Truncated)?,
    })
}

impl Protected<'_> {
    /// Whether it was made with this key, in constant time.
    pub fn proves(&self, key: &Key, ttl: Ttl) -> bool {
        let mut covered = self.packet.to_vec();
        let Some(value) = covered.get(VALUE_AT..VALUE_AT + VALUE).map(<[u8]>::to_vec) else { return false };
        blank(&mut covered, ttl);
        mac(key, &covered).verify_truncated_left(&value).is_ok()
    }
}

/// A packet to send.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub ttl: u8,
    /// Of the IPv4 header, which is covered: the kernel would put its own in place of zero.
    pub identification: u16,
    pub sequence: u32,
    /// The advert, up to 1,500 bytes.
    pub payload: &'a [u8],
}

impl Outgoing<'_> {
    /// The whole IPv4 packet.
    pub fn encode(&self, key: &Key, ttl: Ttl) -> Vec<u8> {
        let length = u16::try_from(IP + AH + self.payload.len()).unwrap_or(u16::MAX);
        let mut packet = Vec::with_capacity(usize::from(length));
        packet.extend_from_slice(&[0x45, TOS]);
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(&self.identification.to_be_bytes());
        packet.extend_from_slice(&[0, 0, self.ttl, PROTOCOL, 0, 0]);
        packet.extend_from_slice(&self.source.octets());
        packet.extend_from_slice(&self.destination.octets());
        packet.extend_from_slice(&[vrrp::PROTOCOL, LENGTH, 0, 0]);
        packet.extend_from_slice(&self.source.octets());
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&[0; VALUE]);
        packet.extend_from_slice(self.payload);
        let mut covered = packet.clone();
        blank(&mut covered, ttl);
        let value = mac(key, &covered).finalize().into_bytes();
        for (place, byte) in packet.iter_mut().skip(VALUE_AT).zip(value.iter().take(VALUE)) {
            *place = *byte;
        }
        let checksum = Sum::default().bytes(packet.get(..IP).unwrap_or_default()).finish();
        if let Some(place) = packet.get_mut(10..12) {
            place.copy_from_slice(&checksum.to_be_bytes());
        }
        packet
    }
}

/// Zeroes what changes on the way, and the value itself (RFC 2402 section 3.3.3).
fn blank(packet: &mut [u8], ttl: Ttl) {
    let ttl = if ttl == Ttl::Zeroed { 8..9 } else { 0..0 };
    // TOS; flags and fragment offset; header checksum.
    for range in [1..2, 6..8, ttl, 10..12, VALUE_AT..VALUE_AT + VALUE] {
        if let Some(bytes) = packet.get_mut(range) {
            bytes.fill(0);
        }
    }
}

fn mac(key: &Key, covered: &[u8]) -> Hmac<Md5> {
    let mut mac = Hmac::<Md5>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(covered);
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: Key = *b"secret12";

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// What Debian's Keepalived 2.2.7 sent, by multicast and with a TTL of 64 by unicast.
    fn captured() -> [(Vec<u8>, Ttl); 2] {
        let multicast = unhex(
            "45c00044 00020000 ff33d0a8 0a090001 e0000012 70040000 0a090001 00000002 e46d8f7f 24cb17ce 237ce8e9 21339602 \
             020131ee 0a090064 0a090065 00000000 00000000",
        );
        let unicast = unhex(
            "45c00044 00020000 403365b1 0a090001 0a090002 70040000 0a090001 00000002 3977e0fd 750a560b bdceaa56 21339602 \
             020131ee 0a090064 0a090065 00000000 00000000",
        );
        [(multicast, Ttl::Covered), (unicast, Ttl::Zeroed)]
    }

    #[test]
    fn packets_captured_from_keepalived_are_proven_and_written_the_same() {
        for (packet, ttl) in captured() {
            let read = decode(&packet).expect("Keepalived's own");
            assert_eq!((read.index, read.sequence), (u32::from(read.source), 2));
            assert!(read.proves(&KEY, ttl));
            assert!(!read.proves(b"secret13", ttl));
            let out = Outgoing {
                source: read.source,
                destination: read.destination,
                ttl: read.ttl,
                identification: 2,
                sequence: 2,
                payload: read.payload,
            };
            assert_eq!(out.encode(&KEY, ttl), packet);
        }
    }

    #[test]
    fn what_routers_change_is_not_covered_and_all_else_is() {
        let (packet, _) = captured().into_iter().nth(1).expect("two");
        let loose = [1, 6, 7, 8, 10, 11];
        for at in (0..packet.len()).filter(|at| ![0, 2, 3, 9, 20].contains(at)) {
            let mut changed = packet.clone();
            changed[at] ^= 4;
            let read = decode(&changed).expect("still a packet");
            assert_eq!(read.proves(&KEY, Ttl::Zeroed), loose.contains(&at), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn decoding_inverts_encoding(
            source: u32,
            destination: u32,
            ttl: u8,
            identification: u16,
            sequence: u32,
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            key: [u8; 8],
            zeroed: bool,
        ) {
            let (source, destination) = (Ipv4Addr::from(source), Ipv4Addr::from(destination));
            let how = if zeroed { Ttl::Zeroed } else { Ttl::Covered };
            let out = Outgoing { source, destination, ttl, identification, sequence, payload: &payload };
            let packet = out.encode(&key, how);
            let read = decode(&packet).expect("our own");
            prop_assert_eq!((read.source, read.destination, read.ttl), (source, destination, ttl));
            prop_assert_eq!((read.index, read.sequence, read.payload), (u32::from(source), sequence, &payload[..]));
            prop_assert!(read.proves(&key, how));
            for cut in 0..packet.len() {
                prop_assert_eq!(decode(&packet[..cut]).err(), Some(DecodeError::Truncated));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(read) = decode(&bytes) {
                let _ = read.proves(&KEY, Ttl::Zeroed);
            }
        }
    }
}
