//! The IPv4 header in front of what a raw socket delivers. IPv6 raw sockets deliver the payload alone.

use std::net::Ipv4Addr;

/// What VRRP needs to know of an IPv4 packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4<'a> {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub protocol: u8,
    pub ttl: u8,
    /// Header length in bytes, options included.
    pub header_length: usize,
    /// What follows the header, cut at the packet's total length: link padding is not payload.
    pub payload: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv4Error {
    /// Fewer bytes than the header or the total length claims.
    Truncated,
    /// Not version 4.
    Version,
    /// Header length below 20 bytes, or above the total length.
    Length,
}

/// Reads one IPv4 packet. The kernel has verified the header checksum and reassembled fragments.
pub fn decode_v4(bytes: &[u8]) -> Result<Ipv4<'_>, Ipv4Error> {
    let header: &[u8; 20] = bytes.first_chunk().ok_or(Ipv4Error::Truncated)?;
    let [first, _, length_high, length_low, .., ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    if first >> 4 != 4 {
        return Err(Ipv4Error::Version);
    }
    let header_length = usize::from(first & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([length_high, length_low]));
    if header_length < 20 || total < header_length {
        return Err(Ipv4Error::Length);
    }
    let payload = bytes.get(header_length..total).ok_or(Ipv4Error::Truncated)?;
    Ok(Ipv4 {
        source: Ipv4Addr::new(s0, s1, s2, s3),
        destination: Ipv4Addr::new(d0, d1, d2, d3),
        protocol,
        ttl,
        header_length,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(options: usize, payload: &[u8]) -> Vec<u8> {
        let header = 20 + options * 4;
        let total = u16::try_from(header + payload.len()).expect("short");
        let mut bytes = vec![0; header];
        bytes[0] = 0x40 | u8::try_from(header / 4).expect("at most 15");
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        bytes[8] = 255;
        bytes[9] = 112;
        bytes[12..16].copy_from_slice(&[10, 0, 0, 1]);
        bytes[16..20].copy_from_slice(&[224, 0, 0, 18]);
        bytes.extend_from_slice(payload);
        bytes
    }

    proptest! {
        #[test]
        fn the_payload_starts_behind_the_options_and_ends_at_the_total_length(
            options in 0usize..=10,
            payload in proptest::collection::vec(any::<u8>(), 0..64),
            padding in 0usize..20,
        ) {
            let mut bytes = packet(options, &payload);
            bytes.extend(std::iter::repeat_n(0xaa, padding));
            let ip = decode_v4(&bytes).expect("well formed");
            prop_assert_eq!(ip.payload, &payload[..]);
            prop_assert_eq!((ip.ttl, ip.protocol), (255, 112));
            prop_assert_eq!(ip.source, Ipv4Addr::new(10, 0, 0, 1));
            prop_assert_eq!(ip.destination, Ipv4Addr::new(224, 0, 0, 18));
        }

        #[test]
        fn every_proper_prefix_is_truncated(options in 0usize..=10, cut in any::<proptest::sample::Index>()) {
            let bytes = packet(options, &[1, 2, 3]);
            prop_assert_eq!(decode_v4(&bytes[..cut.index(bytes.len())]), Err(Ipv4Error::Truncated));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode_v4(&bytes);
        }
    }
}
