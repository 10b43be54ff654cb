//! VRRP adverts as nobody honest would send them: every field by hand, sent through a raw socket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use crate::net::Node;

/// One advertisement. Begin with [`Forged::v2`] or [`Forged::v3`], spoil a field, send it.
#[derive(Debug, Clone)]
pub struct Forged {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ttl: u8,
    pub version: u8,
    pub kind: u8,
    pub vrid: u8,
    pub priority: u8,
    /// The address count of the header; `None`: as many as there are.
    pub count: Option<u8>,
    /// Version 2: seconds, one octet. Version 3: hundredths, twelve bits.
    pub interval: u16,
    pub auth_type: u8,
    /// Version 2 only; its length says whether there is any.
    pub auth: Vec<u8>,
    pub addresses: Vec<IpAddr>,
    /// Added to the right checksum.
    pub checksum_off_by: u16,
    /// Octets cut off the end, after the checksum was computed.
    pub cut: usize,
    /// Octets added to the end, after the checksum was computed.
    pub extra: Vec<u8>,
}

impl Forged {
    pub fn v2(source: &str, vrid: u8, priority: u8, interval: u16, addresses: &[&str]) -> Forged {
        let mut forged = Forged::v3(source, vrid, priority, interval, addresses);
        forged.version = 2;
        forged.auth = vec![0; 8];
        forged
    }

    /// `PASS` authentication: eight octets, cut or filled with zeros.
    pub fn password(mut self, password: &str) -> Forged {
        self.auth_type = 1;
        self.auth = password.bytes().chain(std::iter::repeat(0)).take(8).collect();
        self
    }

    #[track_caller]
    pub fn v3(source: &str, vrid: u8, priority: u8, interval: u16, addresses: &[&str]) -> Forged {
        let source = address(source);
        Forged {
            source,
            destination: address(if source.is_ipv4() { "224.0.0.18" } else { "ff02::12" }),
            ttl: 255,
            version: 3,
            kind: 1,
            vrid,
            priority,
            count: None,
            interval,
            auth_type: 0,
            auth: Vec::new(),
            addresses: addresses.iter().map(|text| address(text)).collect(),
            checksum_off_by: 0,
            cut: 0,
            extra: Vec::new(),
        }
    }

    /// The VRRP message, from the version on.
    pub fn bytes(&self) -> Vec<u8> {
        let count = self.count.unwrap_or(self.addresses.len() as u8);
        let mut message = vec![self.version << 4 | self.kind, self.vrid, self.priority, count];
        if self.version == 2 {
            message.extend([self.auth_type, self.interval as u8]);
        } else {
            message.extend((self.interval & 0x0fff).to_be_bytes());
        }
        message.extend([0, 0]);
        for address in &self.addresses {
            octets(*address, &mut message);
        }
        if self.version == 2 {
            message.extend(&self.auth);
        }
        let mut covered = Vec::new();
        if self.version == 3 {
            octets(self.source, &mut covered);
            octets(self.destination, &mut covered);
            let length = message.len() as u32;
            if self.source.is_ipv4() {
                covered.extend([0, 112]);
                covered.extend((length as u16).to_be_bytes());
            } else {
                covered.extend(length.to_be_bytes());
                covered.extend([0, 0, 0, 112]);
            }
        }
        covered.extend(&message);
        let checksum = internet_checksum(&covered).wrapping_add(self.checksum_off_by);
        message[6..8].copy_from_slice(&checksum.to_be_bytes());
        message.truncate(message.len().saturating_sub(self.cut));
        message.extend(&self.extra);
        message
    }

    /// Sends it from `interface` of `node`. The source need not be an address of the node in IPv4.
    #[track_caller]
    pub fn send(&self, node: &Node, interface: &str) {
        let (forged, interface) = (self.clone(), interface.to_owned());
        let sent = node.enter(move || match (forged.source, forged.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => forged.send_v4(source, destination, &interface),
            _ => forged.send_v6(&interface),
        });
        if let Err(error) = sent {
            panic!("cannot send {self:?}: {error}");
        }
    }

    fn send_v4(&self, source: Ipv4Addr, destination: Ipv4Addr, interface: &str) -> std::io::Result<()> {
        let message = self.bytes();
        let total = (20 + message.len()) as u16;
        // Version and length, service class, total length, identification, no fragment; the kernel fills in the checksum.
        let mut packet = vec![0x45, 0xc0];
        packet.extend(total.to_be_bytes());
        packet.extend([0, 0, 0, 0, self.ttl, 112, 0, 0]);
        packet.extend(source.octets());
        packet.extend(destination.octets());
        packet.extend(&message);
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)))?;
        socket.set_header_included_v4(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.send_to(&packet, &SocketAddr::from((destination, 0)).into()).map(drop)
    }

    fn send_v6(&self, interface: &str) -> std::io::Result<()> {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(112)))?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_multicast_hops_v6(self.ttl.into())?;
        socket.set_unicast_hops_v6(self.ttl.into())?;
        socket.bind(&scoped(self.source, interface).into())?;
        socket.send_to(&self.bytes(), &scoped(self.destination, interface).into()).map(drop)
    }
}

fn scoped(address: IpAddr, interface: &str) -> SocketAddr {
    match address {
        IpAddr::V6(v6) => {
            let index = nix::net::if_::if_nametoindex(interface).unwrap_or(0);
            std::net::SocketAddrV6::new(v6, 0, 0, index).into()
        }
        v4 => SocketAddr::new(v4, 0),
    }
}

fn octets(address: IpAddr, into: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => into.extend(v4.octets()),
        IpAddr::V6(v6) => into.extend(v6.octets()),
    }
}

#[track_caller]
fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is not an address"))
}

fn internet_checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_advert_is_right_unless_it_is_spoiled() {
        // Recorded from keepalived: priority 150, router 1, interval 2, PASS "blibli".
        let advert = Forged::v2("10.99.0.1", 1, 150, 2, &["1.1.1.15", "192.168.1.1"]).password("blibli");
        let bytes = advert.bytes();
        assert_eq!(internet_checksum(&bytes), 0);
        assert_eq!(&bytes[..6], &[0x21, 1, 150, 2, 1, 2]);
        assert_eq!(&bytes[8..], [&[1, 1, 1, 15, 192, 168, 1, 1][..], b"blibli\0\0"].concat());
        let spoiled = Forged { checksum_off_by: 1, ..advert };
        assert_ne!(internet_checksum(&spoiled.bytes()), 0);
    }
}
