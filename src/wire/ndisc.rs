//! Unsolicited neighbour advertisements (RFC 4861 section 7.2.6, RFC 9568 section 8.2.2).

use std::net::Ipv6Addr;

use super::checksum::Sum;

/// Length of [`unsolicited`]'s frame: Ethernet, IPv6, advertisement, target link-layer address option.
pub const FRAME: usize = 14 + 40 + 24 + 8;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ICMPV6: u8 = 58;

/// An Ethernet frame that tells all nodes of the link that `target` is at `mac` now.
///
/// The override flag replaces what neighbours have cached; `router` must tell whether the interface forwards, since
/// hosts drop a default route through a neighbour that says it is not a router.
pub fn unsolicited(mac: [u8; 6], target: Ipv6Addr, router: bool) -> [u8; FRAME] {
    let flags = if router { 0xa0 } else { 0x20 };
    let mut message = [0; 32];
    message[0] = 136;
    message[4] = flags;
    message[8..24].copy_from_slice(&target.octets());
    message[24] = 2; // target link-layer address
    message[25] = 1; // in units of 8 bytes
    message[26..32].copy_from_slice(&mac);
    let checksum = Sum::default().pseudo_v6(target, ALL_NODES, ICMPV6, message.len()).bytes(&message).finish();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());

    let mut frame = [0; FRAME];
    frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    frame[6..12].copy_from_slice(&mac);
    frame[12..14].copy_from_slice(&[0x86, 0xdd]);
    frame[14] = 0x60;
    frame[18..20].copy_from_slice(&32u16.to_be_bytes());
    frame[20] = ICMPV6;
    frame[21] = 255;
    frame[22..38].copy_from_slice(&target.octets());
    frame[38..54].copy_from_slice(&ALL_NODES.octets());
    frame[54..].copy_from_slice(&message);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_checksum_verifies_and_the_fields_are_in_place(mac: [u8; 6], target: [u8; 16], router: bool) {
            let target = Ipv6Addr::from(target);
            let frame = unsolicited(mac, target, router);
            let sum = Sum::default().pseudo_v6(target, ALL_NODES, ICMPV6, 32).bytes(&frame[54..]);
            prop_assert_eq!(sum.finish(), 0);
            prop_assert_eq!(frame[21], 255, "hop limit");
            prop_assert_eq!(frame[58] & 0x80 != 0, router);
            prop_assert_eq!(frame[58] & 0x60, 0x20, "override, not solicited");
            prop_assert_eq!(&frame[62..78], &target.octets()[..]);
            prop_assert_eq!(&frame[80..86], &mac[..]);
        }
    }
}
