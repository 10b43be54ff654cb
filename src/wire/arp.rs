//! Gratuitous ARP (RFC 5227 section 3, RFC 9568 section 8.1.2): how switches and neighbours learn where an address moved.

use std::net::Ipv4Addr;

/// Length of [`gratuitous`]'s frame, without padding: the kernel pads to the medium's minimum.
pub const FRAME: usize = 42;

/// An Ethernet frame with an ARP request by and for `address`, to everyone.
///
/// The target hardware address is all ones, as Keepalived sends it; receivers ignore the field in requests.
pub fn gratuitous(mac: [u8; 6], address: Ipv4Addr) -> [u8; FRAME] {
    const BROADCAST: [u8; 6] = [0xff; 6];
    // Ethertype ARP; hardware Ethernet, protocol IPv4, lengths 6 and 4, operation request.
    const FIXED: [u8; 10] = [0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x01];
    let mut frame = [0; FRAME];
    let mut rest = &mut frame[..];
    for part in [&BROADCAST[..], &mac, &FIXED, &mac, &address.octets(), &BROADCAST, &address.octets()] {
        let (here, after) = rest.split_at_mut(part.len());
        here.copy_from_slice(part);
        rest = after;
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gratuitous_request_names_the_address_as_sender_and_target() {
        let mac = [2, 0, 0, 0, 0, 9];
        let frame = gratuitous(mac, Ipv4Addr::new(10, 9, 0, 100));
        assert_eq!(frame[..6], [0xff; 6]);
        assert_eq!(frame[6..12], mac);
        assert_eq!(frame[12..14], [0x08, 0x06]);
        assert_eq!(frame[20..22], [0, 1], "a request");
        assert_eq!(frame[22..28], mac);
        assert_eq!(frame[28..32], [10, 9, 0, 100]);
        assert_eq!(frame[38..], [10, 9, 0, 100]);
    }
}
