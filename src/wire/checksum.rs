//! The Internet checksum (RFC 1071), and the pseudo headers that VRRPv3 and ICMPv6 put in front of it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A running ones' complement sum. Parts may be of odd length only at the end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes as big-endian 16-bit words, an odd last byte padded with zero.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Sum {
        let (pairs, odd) = bytes.as_chunks::<2>();
        let words: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
        let last = odd.first().map_or(0, |byte| u64::from(*byte) << 8);
        Sum(self.0 + words + last)
    }

    /// IPv4 pseudo header as VRRPv3 uses it (RFC 9568 section 5.2.8).
    #[must_use]
    pub fn pseudo_v4(self, source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: usize) -> Sum {
        let Sum(sum) = self.bytes(&source.octets()).bytes(&destination.octets());
        Sum(sum + u64::from(protocol) + (length & 0xffff) as u64)
    }

    /// IPv6 pseudo header (RFC 8200 section 8.1).
    #[must_use]
    pub fn pseudo_v6(self, source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, length: usize) -> Sum {
        let Sum(sum) = self.bytes(&source.octets()).bytes(&destination.octets());
        let length = length as u64;
        Sum(sum + (length >> 16 & 0xffff) + (length & 0xffff) + u64::from(next_header))
    }

    /// The checksum field's value, when the summed bytes hold zero there; zero itself when they hold the right one.
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_1071_sums_as_printed() {
        let sum = Sum::default().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
    }

    proptest! {
        #[test]
        fn bytes_with_their_checksum_sum_to_zero(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if bytes.len() % 2 == 1 {
                bytes.push(0);
            }
            let checksum = Sum::default().bytes(&bytes).finish();
            prop_assert_eq!(Sum::default().bytes(&bytes).bytes(&checksum.to_be_bytes()).finish(), 0);
        }
    }
}
