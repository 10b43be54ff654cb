//! UDP where the TTL matters: sockets that say with which one a datagram came, and sockets that send with a given one.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, recvmsg, sendmsg,
    setsockopt, socket, sockopt,
};

/// Precedence "internetwork control": what routers mark their own traffic with.
const TOS: i32 = 0xC0;

/// A datagram whose bytes are in the buffer that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// As it was sent; the buffer has no more than its own length of it.
    pub length: usize,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ttl: u8,
}

/// Receives what is sent to a port, whatever the address. One of IPv6 leaves IPv4 to others.
#[derive(Debug)]
pub struct Receiver(OwnedFd);

impl Receiver {
    /// `buffer`: receive buffer in bytes.
    pub fn open(v6: bool, port: u16, buffer: usize) -> io::Result<Receiver> {
        let fd = udp(v6)?;
        if v6 {
            setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?;
            setsockopt(&fd, sockopt::Ipv6RecvHopLimit, &true)?;
        } else {
            setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
            setsockopt(&fd, sockopt::Ipv4RecvTtl, &true)?;
        }
        if setsockopt(&fd, sockopt::RcvBufForce, &buffer).is_err() {
            setsockopt(&fd, sockopt::RcvBuf, &buffer)?;
        }
        bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(any(v6), port)))?;
        Ok(Receiver(fd))
    }

    /// The next datagram, or `None` when there is none now. What is longer than the buffer is cut.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut control = cmsg_space!(libc::in6_pktinfo, libc::c_int, libc::c_int);
        let mut slices = [IoSliceMut::new(buffer)];
        loop {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
            let received = recvmsg::<SockaddrStorage>(self.0.as_raw_fd(), &mut slices, Some(&mut control), flags);
            let message = match received {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(source) = message.address.as_ref().and_then(address) else { continue };
            let (mut destination, mut ttl) = (any(source.is_ipv6()), 0);
            for control in message.cmsgs().into_iter().flatten() {
                match control {
                    ControlMessageOwned::Ipv4PacketInfo(info) => {
                        destination = IpAddr::V4(u32::from_be(info.ipi_addr.s_addr).into());
                    }
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        destination = IpAddr::V6(info.ipi6_addr.s6_addr.into());
                    }
                    ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) => {
                        ttl = u8::try_from(hops).unwrap_or(0);
                    }
                    _ => {}
                }
            }
            return Ok(Some(Received { length: message.bytes, source, destination, ttl }));
        }
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sends to one place, from one port. It receives nothing.
#[derive(Debug)]
pub struct Sender {
    fd: OwnedFd,
    to: SockaddrStorage,
}

impl Sender {
    /// From the first free port of `ports`, beginning at the `start`th of them and going round.
    pub fn open(
        source: Option<IpAddr>,
        to: SocketAddr,
        ttl: u8,
        ports: std::ops::RangeInclusive<u16>,
        start: u32,
    ) -> io::Result<Sender> {
        let v6 = to.is_ipv6();
        let fd = udp(v6)?;
        super::raw::hear_nothing(&fd)?;
        if v6 {
            setsockopt(&fd, sockopt::Ipv6Ttl, &i32::from(ttl))?;
            setsockopt(&fd, sockopt::Ipv6TClass, &TOS)?;
        } else {
            setsockopt(&fd, sockopt::Ipv4Ttl, &i32::from(ttl))?;
            setsockopt(&fd, sockopt::Ipv4Tos, &TOS)?;
        }
        let from = source.unwrap_or(any(v6));
        let count = u32::from(ports.end() - ports.start()) + 1;
        for number in 0..count {
            let port = u32::from(*ports.start()) + start.wrapping_add(number) % count;
            let Ok(port) = u16::try_from(port) else { continue };
            match bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(from, port))) {
                Ok(()) => return Ok(Sender { fd, to: SockaddrStorage::from(to) }),
                Err(Errno::EADDRINUSE) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Sends without waiting; what the kernel has no room for is an error.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        sendmsg(self.fd.as_raw_fd(), &[IoSlice::new(bytes)], &[], flags, Some(&self.to))?;
        Ok(())
    }
}

fn udp(v6: bool) -> io::Result<OwnedFd> {
    let family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Datagram, flags, None)?;
    if v6 {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    Ok(fd)
}

fn any(v6: bool) -> IpAddr {
    if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) }
}

fn address(name: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = name.as_sockaddr_in().map(|name| IpAddr::V4(*SocketAddrV4::from(*name).ip()));
    v4.or_else(|| name.as_sockaddr_in6().map(|name| IpAddr::V6(*SocketAddrV6::from(*name).ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: std::ops::RangeInclusive<u16> = 49152..=65535;

    /// A receiver at some free port, which is found by trying.
    fn receiver(v6: bool) -> (Receiver, u16) {
        let free = (20_000..30_000).find_map(|port| Some((Receiver::open(v6, port, 65_536).ok()?, port)));
        free.expect("one of ten thousand ports is free")
    }

    #[test]
    fn a_datagram_comes_with_its_ttl_and_both_addresses() {
        for (v6, own, other) in [(false, "127.0.0.1", "127.0.0.2"), (true, "::1", "::1")] {
            let (own, other): (IpAddr, IpAddr) = (own.parse().unwrap(), other.parse().unwrap());
            let (receiver, port) = receiver(v6);
            let sender = Sender::open(Some(own), SocketAddr::new(other, port), 77, PORTS, 5).unwrap();
            sender.send(b"hello").unwrap();
            sender.send(&[7; 100]).unwrap();
            let mut buffer = [0; 8];
            let heard = receiver.receive(&mut buffer).unwrap().unwrap();
            assert_eq!(heard, Received { length: 5, source: own, destination: other, ttl: 77 });
            assert_eq!(&buffer[..5], b"hello");
            assert_eq!(receiver.receive(&mut buffer).unwrap().unwrap().length, 100);
            assert_eq!(buffer, [7; 8]);
            assert_eq!(receiver.receive(&mut buffer).unwrap(), None);
        }
    }

    #[test]
    fn senders_that_start_at_the_same_port_find_different_ones() {
        let to = "127.0.0.1:9".parse().unwrap();
        let senders: Vec<Sender> = (0..3).map(|_| Sender::open(None, to, 255, PORTS, 7).unwrap()).collect();
        let port = |sender: &Sender| {
            let name: SockaddrStorage = nix::sys::socket::getsockname(sender.fd.as_raw_fd()).unwrap();
            name.as_sockaddr_in().unwrap().port()
        };
        let mut ports: Vec<u16> = senders.iter().map(port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|port| *port >= 49_152), "{ports:?}");
    }
}
