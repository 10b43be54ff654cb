//! UDP sockets for SNMP: bound without waiting, and never blocking.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, connect,
    getsockname, recvmsg, sendmsg, setsockopt, socket, sockopt,
};

/// A datagram whose bytes are in the buffer that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    pub length: usize,
    pub from: SocketAddr,
    /// Where it was sent to: its answer comes from there.
    pub at: Local,
}

/// An address of this host, with the interface where that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Local {
    pub address: Option<IpAddr>,
    interface: u32,
}

/// A socket that receives what is sent to `address`. One of IPv6 leaves IPv4 to others.
pub fn bound(address: SocketAddr) -> io::Result<OwnedFd> {
    let fd = open(address.is_ipv6())?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(fd)
}

/// A socket to send from, at a port that the kernel picks.
pub fn unbound(v6: bool) -> io::Result<OwnedFd> {
    let any = if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    bound(SocketAddr::new(any, 0))
}

/// The address that the kernel would send from; asks its routing table, and nobody else.
pub fn local_address(to: SocketAddr) -> io::Result<IpAddr> {
    let fd = open(to.is_ipv6())?;
    connect(fd.as_raw_fd(), &SockaddrStorage::from(to))?;
    let name: SockaddrStorage = getsockname(fd.as_raw_fd())?;
    let v4 = name.as_sockaddr_in().map(|name| IpAddr::V4(name.ip()));
    let v6 = name.as_sockaddr_in6().map(|name| IpAddr::V6(name.ip()));
    v4.or(v6).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// The next datagram, or `None` when there is none now. One that is longer than the buffer is thrown away.
pub fn receive(fd: &impl AsFd, buffer: &mut [u8]) -> io::Result<Option<Received>> {
    let raw = fd.as_fd().as_raw_fd();
    let mut control = cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    loop {
        let message = match recvmsg::<SockaddrStorage>(raw, &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT) {
            Ok(message) => message,
            Err(Errno::EAGAIN) => return Ok(None),
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if message.flags.contains(MsgFlags::MSG_TRUNC) {
            continue;
        }
        let Some(from) = message.address.as_ref().and_then(socket_address) else { continue };
        let mut at = Local::default();
        for control in message.cmsgs().into_iter().flatten() {
            match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    at.address = Some(IpAddr::V4(u32::from_be(info.ipi_spec_dst.s_addr).into()));
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    at.address = Some(IpAddr::V6(info.ipi6_addr.s6_addr.into()));
                    at.interface = info.ipi6_ifindex;
                }
                _ => {}
            }
        }
        return Ok(Some(Received { length: message.bytes, from, at }));
    }
}

/// Sends without waiting; what the kernel has no room for is an error.
pub fn send(fd: &impl AsFd, bytes: &[u8], to: SocketAddr, from: Local) -> io::Result<()> {
    let raw = fd.as_fd().as_raw_fd();
    let slices = [IoSlice::new(bytes)];
    let name = SockaddrStorage::from(to);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let sent = match from.address {
        Some(IpAddr::V4(address)) if to.is_ipv4() => {
            let ours = libc::in_addr { s_addr: u32::from(address).to_be() };
            let any = libc::in_addr { s_addr: 0 };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: ours, ipi_addr: any };
            sendmsg(raw, &slices, &[ControlMessage::Ipv4PacketInfo(&info)], flags, Some(&name))
        }
        Some(IpAddr::V6(address)) if to.is_ipv6() => {
            // An address of a link means nothing without it; any other may be answered over another interface.
            let interface = if address.is_unicast_link_local() { from.interface } else { 0 };
            let info =
                libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: address.octets() }, ipi6_ifindex: interface };
            sendmsg(raw, &slices, &[ControlMessage::Ipv6PacketInfo(&info)], flags, Some(&name))
        }
        _ => sendmsg(raw, &slices, &[], flags, Some(&name)),
    };
    sent?;
    Ok(())
}

/// Whether [`send`] found no room, which there may be in a moment.
pub fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

fn socket_address(name: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = name.as_sockaddr_in().map(|name| SocketAddr::V4(SocketAddrV4::from(*name)));
    v4.or_else(|| name.as_sockaddr_in6().map(|name| SocketAddr::V6(SocketAddrV6::from(*name))))
}

fn open(v6: bool) -> io::Result<OwnedFd> {
    let family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Datagram, flags, None)?;
    if v6 {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
        setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
    }
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_taken_is_an_error_and_families_do_not_take_it_from_each_other() {
        let first = bound("127.0.0.1:0".parse().unwrap()).unwrap();
        let name: SockaddrStorage = getsockname(first.as_raw_fd()).unwrap();
        let port = name.as_sockaddr_in().unwrap().port();
        let again = bound(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        bound(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)).unwrap();
    }

    #[test]
    fn an_answer_comes_from_the_address_that_was_asked() {
        let asked = bound("0.0.0.0:0".parse().unwrap()).unwrap();
        let name: SockaddrStorage = getsockname(asked.as_raw_fd()).unwrap();
        let port = name.as_sockaddr_in().unwrap().port();
        let asking = unbound(false).unwrap();
        let second = SocketAddr::new("127.0.0.2".parse().unwrap(), port);
        send(&asking, b"question", second, Local::default()).unwrap();
        let mut buffer = [0; 64];
        let heard = receive(&asked, &mut buffer).unwrap().unwrap();
        assert_eq!((&buffer[..heard.length], heard.at.address), (&b"question"[..], Some(second.ip())));
        send(&asked, b"answer", heard.from, heard.at).unwrap();
        assert_eq!(receive(&asking, &mut buffer).unwrap().unwrap().from, second);
        assert_eq!(receive(&asking, &mut buffer).unwrap(), None);
        send(&asking, &[7; 65], second, Local::default()).unwrap();
        assert_eq!(receive(&asked, &mut buffer).unwrap(), None, "what is too long is no datagram");
    }

    #[test]
    fn the_address_towards_ourselves_is_our_own() {
        assert_eq!(local_address("127.0.0.1:162".parse().unwrap()).unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
