//! ICMP echo, version 4 (RFC 792) and 6 (RFC 4443 section 4).

use super::checksum::Sum;
use crate::conf::model::Family;

/// Octets in front of the data.
const HEADER: usize = 8;

/// An echo, without the identifier's meaning: a ping socket of Linux writes its own there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo<'a> {
    pub id: u16,
    pub sequence: u16,
    pub data: &'a [u8],
}

impl<'a> Echo<'a> {
    /// An echo request. The checksum of version 6 covers addresses, and the kernel fills it in.
    pub fn request(&self, family: Family) -> Vec<u8> {
        let kind = match family {
            Family::V4 => 8,
            Family::V6 => 128,
        };
        let mut message = Vec::with_capacity(HEADER + self.data.len());
        message.extend([kind, 0, 0, 0]);
        message.extend(self.id.to_be_bytes());
        message.extend(self.sequence.to_be_bytes());
        message.extend(self.data);
        if family == Family::V4 {
            let sum = Sum::default().bytes(&message).finish();
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        message
    }

    /// Reads an echo reply; `None` for every other message. The kernel has checked checksums.
    pub fn reply(family: Family, message: &'a [u8]) -> Option<Echo<'a>> {
        let ([kind, code, _, _, id_high, id_low, high, low], data) = message.split_first_chunk::<HEADER>()?;
        let expected = match family {
            Family::V4 => 0,
            Family::V6 => 129,
        };
        (*kind == expected && *code == 0).then(|| Echo {
            id: u16::from_be_bytes([*id_high, *id_low]),
            sequence: u16::from_be_bytes([*high, *low]),
            data,
        })
    }
}

/// What follows the header of an IPv4 packet; raw sockets give both.
pub fn behind_ipv4(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let length = usize::from(first & 0x0f) * 4;
    if first >> 4 == 4 && length >= 20 { packet.get(length..) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_the_rfc_s() {
        let echo = Echo { id: 1, sequence: 2, data: b"ab" };
        assert_eq!(echo.request(Family::V4), [8, 0, 0x96, 0x9a, 0, 1, 0, 2, b'a', b'b']);
        assert_eq!(echo.request(Family::V6), [128, 0, 0, 0, 0, 1, 0, 2, b'a', b'b']);
    }

    #[test]
    fn only_echo_replies_are_read() {
        assert_eq!(
            Echo::reply(Family::V4, &[0, 0, 9, 9, 0, 1, 0, 2, b'a']),
            Some(Echo { id: 1, sequence: 2, data: b"a" })
        );
        assert_eq!(Echo::reply(Family::V4, &[8, 0, 9, 9, 0, 1, 0, 2]), None);
        assert_eq!(Echo::reply(Family::V6, &[0, 0, 9, 9, 0, 1, 0, 2]), None);
        assert_eq!(Echo::reply(Family::V6, &[129, 0, 9, 9, 0, 1, 0]), None);
    }

    proptest! {
        #[test]
        fn no_packet_panics(bytes: Vec<u8>) {
            if let Some(message) = behind_ipv4(&bytes) {
                let _ = Echo::reply(Family::V4, message);
            }
            let _ = Echo::reply(Family::V6, &bytes);
        }
    }
}
