//! VRRP adverts: version 2 (RFC 3768 section 5, with the authentication fields of RFC 2338) and version 3
//! (RFC 9568 section 5).
//!
//! [`peek`] finds out whose advert it is, [`verify`] checks the checksum, [`Advert::decode`] reads the rest;
//! three steps because their errors are counted in different places.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::checksum::Sum;
use crate::conf::model::{Family, Version};

/// IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;

/// The only packet type there is.
pub const ADVERTISEMENT: u8 = 1;

/// Bytes in front of the addresses, in both versions.
const HEADER: usize = 8;
/// Authentication data at the end of version 2.
const AUTH_DATA: usize = 8;
/// Largest interval that version 3 can carry: 12 bits of centiseconds.
pub const MAX_CENTISECONDS: u16 = 0x0fff;

/// The first word of the header, before anything is known to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peek {
    pub version: u8,
    pub kind: u8,
    pub vrid: u8,
}

/// Too short for a VRRP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated;

/// Whose advert it claims to be.
pub fn peek(bytes: &[u8]) -> Result<Peek, Truncated> {
    let header: &[u8; HEADER] = bytes.first_chunk().ok_or(Truncated)?;
    Ok(Peek { version: header[0] >> 4, kind: header[0] & 0x0f, vrid: header[1] })
}

/// What a checksum covers besides the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// The message alone: version 2, and version 3 over IPv4 with `v3_checksum_as_v2`.
    Message,
    /// The pseudo header as well: version 3.
    Pseudo { source: IpAddr, destination: IpAddr },
}

/// Whether the checksum is right. A mixture of families in the pseudo header is not.
pub fn verify(bytes: &[u8], cover: Cover) -> bool {
    start(cover, bytes.len()).is_some_and(|sum| sum.bytes(bytes).finish() == 0)
}

fn start(cover: Cover, length: usize) -> Option<Sum> {
    match cover {
        Cover::Message => Some(Sum::default()),
        Cover::Pseudo { source: IpAddr::V4(source), destination: IpAddr::V4(destination) } => {
            Some(Sum::default().pseudo_v4(source, destination, PROTOCOL, length))
        }
        Cover::Pseudo { source: IpAddr::V6(source), destination: IpAddr::V6(destination) } => {
            Some(Sum::default().pseudo_v6(source, destination, PROTOCOL, length))
        }
        Cover::Pseudo { .. } => None,
    }
}

/// An advert as it was received; the addresses stay in the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advert<'a> {
    pub vrid: u8,
    /// Zero: the master resigns.
    pub priority: u8,
    pub addresses: Addresses<'a>,
    pub rest: Rest,
}

/// What the versions do not share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    V2 {
        /// Seconds.
        interval: u8,
        /// 0 none, 1 simple password, 2 IPsec AH.
        auth_type: u8,
        auth_data: [u8; AUTH_DATA],
    },
    V3 {
        /// Hundredths of a second, 0 to 4095.
        interval: u16,
    },
}

impl Rest {
    /// The interval that the sender says it advertises at.
    pub fn interval(&self) -> Duration {
        match self {
            Rest::V2 { interval, .. } => Duration::from_secs(u64::from(*interval)),
            Rest::V3 { interval } => Duration::from_millis(u64::from(*interval) * 10),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// Too short for a header.
    Truncated,
    /// Neither version 2 nor 3.
    Version(u8),
    /// Not an advertisement.
    Type(u8),
    /// Shorter than its address count says. Longer is fine: extensions go behind, and the checksum covers them.
    Length { needed: usize, found: usize },
}

impl<'a> Advert<'a> {
    /// Reads an advert whose addresses are of `family`.
    pub fn decode(bytes: &'a [u8], family: Family) -> Result<Advert<'a>, DecodeError> {
        let (header, body) = bytes.split_first_chunk::<HEADER>().ok_or(DecodeError::Truncated)?;
        let [first, vrid, priority, count, high, low, _, _] = *header;
        let v2 = match first >> 4 {
            2 => true,
            3 => false,
            other => return Err(DecodeError::Version(other)),
        };
        if first & 0x0f != ADVERTISEMENT {
            return Err(DecodeError::Type(first & 0x0f));
        }
        let size = match family {
            Family::V4 => 4,
            Family::V6 => 16,
        };
        let listed = usize::from(count) * size;
        let needed = HEADER + listed + if v2 { AUTH_DATA } else { 0 };
        let short = DecodeError::Length { needed, found: bytes.len() };
        let (addresses, behind) = body.split_at_checked(listed).ok_or(short)?;
        let rest = if v2 {
            let auth_data = *behind.first_chunk().ok_or(short)?;
            Rest::V2 { interval: low, auth_type: high, auth_data }
        } else {
            Rest::V3 { interval: u16::from_be_bytes([high, low]) & MAX_CENTISECONDS }
        };
        Ok(Advert { vrid, priority, addresses: Addresses { bytes: addresses, family }, rest })
    }
}

/// The address list of an advert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses<'a> {
    bytes: &'a [u8],
    family: Family,
}

impl<'a> Addresses<'a> {
    pub fn len(&self) -> usize {
        match self.family {
            Family::V4 => self.bytes.len() / 4,
            Family::V6 => self.bytes.len() / 16,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + 'a {
        let (v4, v6) = match self.family {
            Family::V4 => (self.bytes, &[][..]),
            Family::V6 => (&[][..], self.bytes),
        };
        let v4 = v4.as_chunks::<4>().0.iter().map(|octets| IpAddr::V4(Ipv4Addr::from(*octets)));
        let v6 = v6.as_chunks::<16>().0.iter().map(|octets| IpAddr::V6(Ipv6Addr::from(*octets)));
        v4.chain(v6)
    }
}

/// What version 2 says of its authentication (RFC 2338 section 5.3.6); version 3 says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Nothing,
    Password([u8; AUTH_DATA]),
    /// It is in an Authentication Header around the advert ([`super::ah`]).
    Header,
}

impl Claim {
    fn kind(self) -> u8 {
        match self {
            Claim::Nothing => 0,
            Claim::Password(_) => 1,
            Claim::Header => 2,
        }
    }

    fn data(self) -> [u8; AUTH_DATA] {
        match self {
            Claim::Password(password) => password,
            Claim::Nothing | Claim::Header => [0; AUTH_DATA],
        }
    }
}

/// What to send. At most 255 addresses are sent; the configuration moved others to the excluded ones.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub version: Version,
    pub vrid: u8,
    pub priority: u8,
    /// Rounded down to whole seconds (version 2) or centiseconds (version 3).
    pub interval: Duration,
    pub claim: Claim,
    pub addresses: &'a [IpAddr],
}

impl Outgoing<'_> {
    pub fn encode(&self, cover: Cover) -> Vec<u8> {
        let addresses = self.addresses.get(..255).unwrap_or(self.addresses);
        let count = u8::try_from(addresses.len()).unwrap_or(u8::MAX);
        let (first, word) = match self.version {
            Version::V2 => {
                let seconds = u8::try_from(self.interval.as_secs()).unwrap_or(u8::MAX);
                (0x21, [self.claim.kind(), seconds])
            }
            Version::V3 => {
                let centiseconds = u16::try_from(self.interval.as_millis() / 10).unwrap_or(u16::MAX);
                (0x31, centiseconds.min(MAX_CENTISECONDS).to_be_bytes())
            }
        };
        let mut bytes = Vec::with_capacity(HEADER + addresses.len() * 16 + AUTH_DATA);
        bytes.extend_from_slice(&[first, self.vrid, self.priority, count, word[0], word[1], 0, 0]);
        for address in addresses {
            match address {
                IpAddr::V4(address) => bytes.extend_from_slice(&address.octets()),
                IpAddr::V6(address) => bytes.extend_from_slice(&address.octets()),
            }
        }
        // RFC 2338 section 5.3.6.3: the checksum covers the authentication data too.
        if self.version == Version::V2 {
            bytes.extend_from_slice(&self.claim.data());
        }
        let checksum = start(cover, bytes.len()).unwrap_or_default().bytes(&bytes).finish();
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_version_2_advert_captured_from_keepalived_reads_and_is_written_the_same() {
        let address = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 100));
        let bytes = Outgoing {
            version: Version::V2,
            vrid: 51,
            priority: 100,
            interval: Duration::from_secs(1),
            claim: Claim::Nothing,
            addresses: &[address],
        }
        .encode(Cover::Message);
        assert_eq!(bytes[..6], [0x21, 51, 100, 1, 0, 1]);
        assert_eq!(bytes.len(), 20);
        assert!(verify(&bytes, Cover::Message));
        let advert = Advert::decode(&bytes, Family::V4).expect("our own");
        assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), [address]);
        assert_eq!(advert.rest, Rest::V2 { interval: 1, auth_type: 0, auth_data: [0; 8] });
    }

    fn claim() -> impl Strategy<Value = Claim> {
        prop_oneof![Just(Claim::Nothing), Just(Claim::Header), any::<[u8; 8]>().prop_map(Claim::Password)]
    }

    fn arbitrary() -> impl Strategy<Value = (Version, u8, u8, u16, Claim, Vec<IpAddr>, Family)> {
        (any::<bool>(), any::<bool>(), any::<u8>(), any::<u8>(), any::<u16>(), claim()).prop_flat_map(
            |(v2, v6, vrid, priority, interval, claim)| {
                let family = if v6 { Family::V6 } else { Family::V4 };
                let address = any::<[u8; 16]>().prop_map(move |octets| match family {
                    Family::V6 => IpAddr::from(octets),
                    Family::V4 => IpAddr::from([octets[0], octets[1], octets[2], octets[3]]),
                });
                let version = if v2 { Version::V2 } else { Version::V3 };
                let claim = if v2 { claim } else { Claim::Nothing };
                let interval = if v2 { interval & 0xff } else { interval & MAX_CENTISECONDS };
                proptest::collection::vec(address, 0..255)
                    .prop_map(move |addresses| (version, vrid, priority, interval, claim, addresses, family))
            },
        )
    }

    proptest! {
        #[test]
        fn decoding_inverts_encoding((version, vrid, priority, interval, claim, addresses, family) in arbitrary()) {
            let duration = match version {
                Version::V2 => Duration::from_secs(interval.into()),
                Version::V3 => Duration::from_millis(u64::from(interval) * 10),
            };
            let out = Outgoing { version, vrid, priority, interval: duration, claim, addresses: &addresses };
            let cover = match family {
                Family::V4 => Cover::Message,
                Family::V6 => Cover::Pseudo {
                    source: IpAddr::V6(Ipv6Addr::LOCALHOST),
                    destination: IpAddr::V6(Ipv6Addr::from([0xff; 16])),
                },
            };
            let bytes = out.encode(cover);
            prop_assert!(verify(&bytes, cover));
            let advert = Advert::decode(&bytes, family).expect("our own");
            prop_assert_eq!((advert.vrid, advert.priority), (vrid, priority));
            prop_assert_eq!(advert.rest.interval(), duration);
            prop_assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), addresses.clone());
            if let Rest::V2 { auth_type, auth_data, .. } = advert.rest {
                prop_assert_eq!(auth_type, claim.kind());
                prop_assert_eq!(auth_data, claim.data());
            }
            prop_assert_eq!(peek(&bytes).map(|peek| peek.vrid), Ok(vrid));
            for cut in 0..bytes.len() {
                let expected = if cut < HEADER {
                    DecodeError::Truncated
                } else {
                    DecodeError::Length { needed: bytes.len(), found: cut }
                };
                prop_assert_eq!(Advert::decode(&bytes[..cut], family), Err(expected));
            }
        }

        #[test]
        fn one_flipped_bit_fails_the_checksum(
            (version, vrid, priority, interval, claim, addresses, _) in arbitrary(),
            at in any::<proptest::sample::Index>(),
            bit in 0u8..8,
        ) {
            let interval = Duration::from_secs(u64::from(interval) / 100);
            let out = Outgoing { version, vrid, priority, interval, claim, addresses: &addresses };
            let mut bytes = out.encode(Cover::Message);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(!verify(&bytes, Cover::Message));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), v6: bool) {
            let family = if v6 { Family::V6 } else { Family::V4 };
            if let Ok(advert) = Advert::decode(&bytes, family) {
                prop_assert_eq!(advert.addresses.iter().count(), advert.addresses.len());
            }
            let _ = verify(&bytes, Cover::Message);
        }
    }
}
