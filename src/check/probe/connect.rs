//! Sockets of probes, made in one place: source address and port, interface, mark, and errors in words.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{self, setsockopt, sockopt};
use nix::sys::socket::{AddressFamily, SetSockOpt, SockFlag, SockProtocol, SockType, SockaddrStorage};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::Stage;
use super::ping::Kind;
use crate::check::io::{Cause, Failure};
use crate::conf::model::Target;

/// Connects. The stream closes with a FIN when dropped, or with a RST when the server's octets were not all read.
///
/// From a fixed port it always closes with a RST: else the pair of addresses and ports would stay in TIME_WAIT for a
/// minute, and the next probe could not connect.
pub async fn tcp(target: &Target, stage: &Stage) -> Result<TcpStream, Failure> {
    stage.set("connecting");
    let remote = remote(target)?;
    let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| local("socket", &error))?;
    configure(&socket, target)?;
    if target.bind.is_some() || target.bind_port != 0 {
        if target.bind_port != 0 {
            socket.set_reuseaddr(true).map_err(|error| local("reuse of the port", &error))?;
            socket.set_zero_linger().map_err(|error| local("reset at the end", &error))?;
        }
        let bind = bind(target)?;
        socket.bind(bind).map_err(|error| local(&format!("bind to {bind}"), &error))?;
    }
    socket.connect(remote).await.map_err(|error| refused(&error))
}

/// A UDP socket that hears the target only, and of everything that ICMP says about it.
pub fn udp(target: &Target) -> Result<UdpSocket, Failure> {
    datagram(target, SockType::Datagram, None).map_err(|error| local("socket", &error.into()))?
}

/// A socket for ICMP echo, and of which kind it is.
pub fn icmp_echo(target: &Target) -> Result<(UdpSocket, Kind), Failure> {
    let protocol = if target.address.is_ipv4() { SockProtocol::Icmp } else { SockProtocol::IcmpV6 };
    // The port of a ping socket is the identifier, which the kernel is to choose.
    let target = Target { port: 0, bind_port: 0, ..target.clone() };
    match datagram(&target, SockType::Datagram, Some(protocol)) {
        Ok(socket) => Ok((socket?, Kind::Ping)),
        Err(_) => match datagram(&target, SockType::Raw, Some(protocol)) {
            Ok(socket) => Ok((socket?, Kind::Raw)),
            Err(error) => Err(local("ICMP socket", &error.into())),
        },
    }
}

/// The outer error: there is no such socket for us.
fn datagram(
    target: &Target,
    kind: SockType,
    protocol: Option<SockProtocol>,
) -> Result<Result<UdpSocket, Failure>, Errno> {
    let v4 = target.address.is_ipv4();
    let family = if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket::socket(family, kind, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, protocol)?;
    Ok(connected(target, fd))
}

fn connected(target: &Target, fd: OwnedFd) -> Result<UdpSocket, Failure> {
    configure(&fd, target)?;
    // All that routers say, and not only what the kernel takes for the last word.
    if target.address.is_ipv4() {
        set(&fd, sockopt::Ipv4RecvErr, &true).map_err(|error| local("ICMP errors", &error))?;
    } else {
        set(&fd, sockopt::Ipv6RecvErr, &true).map_err(|error| local("ICMP errors", &error))?;
    }
    if target.bind.is_some() || target.bind_port != 0 {
        let bind = bind(target)?;
        set(&fd, sockopt::ReuseAddr, &true).map_err(|error| local("reuse of the port", &error))?;
        socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(bind))
            .map_err(|error| local(&format!("bind to {bind}"), &error.into()))?;
    }
    socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(remote(target)?)).map_err(|error| icmp(&error.into()))?;
    UdpSocket::from_std(fd.into()).map_err(|error| local("socket", &error))
}

/// Interface, mark, and the choice of a free port when connecting, where ports of other destinations may be shared.
pub fn configure(socket: &impl AsFd, target: &Target) -> Result<(), Failure> {
    if let Some(interface) = &target.interface {
        set(socket, sockopt::BindToDevice, &interface.into())
            .map_err(|error| local(&format!("interface {interface}"), &error))?;
    }
    if target.mark != 0 {
        set(socket, sockopt::Mark, &target.mark).map_err(|error| local("mark", &error))?;
    }
    if target.bind.is_some() && target.bind_port == 0 {
        // Kernels without it choose a port when binding; nothing is wrong then.
        let _ = set(socket, sockopt::IpBindAddressNoPort, &true);
    }
    Ok(())
}

fn set<O: SetSockOpt>(socket: &impl AsFd, option: O, value: &O::Val) -> io::Result<()> {
    setsockopt(&socket.as_fd(), option, value).map_err(io::Error::from)
}

/// Where the probe goes, with the interface of a link-local address.
pub fn remote(target: &Target) -> Result<SocketAddr, Failure> {
    scoped(target, target.address, target.port)
}

/// Where the probe comes from.
pub fn bind(target: &Target) -> Result<SocketAddr, Failure> {
    let any = match target.address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    scoped(target, target.bind.unwrap_or(any), target.bind_port)
}

fn scoped(target: &Target, address: IpAddr, port: u16) -> Result<SocketAddr, Failure> {
    match (address, &target.interface) {
        (IpAddr::V6(address), Some(interface)) if address.is_unicast_link_local() => {
            let index = nix::net::if_::if_nametoindex(interface.as_str())
                .map_err(|error| local(&format!("interface {interface}"), &error.into()))?;
            Ok(SocketAddr::V6(SocketAddrV6::new(address, port, 0, index)))
        }
        _ => Ok(SocketAddr::new(address, port)),
    }
}

/// Something that this side could not do.
pub fn local(what: &str, error: &io::Error) -> Failure {
    Failure::new(Cause::Local, format!("{what}: {}", words(error)))
}

/// An error of connecting.
pub fn refused(error: &io::Error) -> Failure {
    match errno(error) {
        // A RST to a SYN, or just after.
        Errno::ECONNREFUSED | Errno::ECONNRESET => Failure::new(Cause::Refused, "connection refused"),
        Errno::ETIMEDOUT => Failure::new(Cause::Timeout, "connection timed out"),
        _ => unreachable(error).unwrap_or_else(|| local("connect", error)),
    }
}

/// An error of an established connection.
pub fn broken(error: &io::Error, stage: &Stage) -> Failure {
    match errno(error) {
        Errno::ECONNRESET | Errno::EPIPE => Failure::new(Cause::Protocol, format!("connection reset {stage}")),
        Errno::ETIMEDOUT => Failure::new(Cause::Timeout, format!("connection timed out {stage}")),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => {
            Failure::new(Cause::Protocol, format!("connection closed {stage}"))
        }
        // Not the kernel's: what was read is not what the protocol allows there.
        _ if error.raw_os_error().is_none() => Failure::new(Cause::Protocol, format!("{error} {stage}")),
        _ => unreachable(error).unwrap_or_else(|| Failure::new(Cause::Other, format!("{} {stage}", words(error)))),
    }
}

/// An error of a datagram socket: what an ICMP message said, or this side.
pub fn icmp(error: &io::Error) -> Failure {
    match errno(error) {
        Errno::ECONNREFUSED => Failure::new(Cause::Refused, "port unreachable"),
        _ => unreachable(error).unwrap_or_else(|| local("socket", error)),
    }
}

/// What routers and neighbours say, and the routing table.
fn unreachable(error: &io::Error) -> Option<Failure> {
    let text = match errno(error) {
        Errno::ENETUNREACH => "network unreachable",
        Errno::EHOSTUNREACH => "host unreachable",
        Errno::ENETDOWN => "network down",
        Errno::EHOSTDOWN => "host down",
        Errno::ENONET => "host isolated",
        Errno::ENOPROTOOPT => "protocol unreachable",
        Errno::EPROTO => "malformed packet, says an ICMP message",
        Errno::EACCES => "administratively prohibited",
        _ => return None,
    };
    Some(Failure::new(Cause::Unreachable, text))
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

/// The error in words, without Rust's `(os error 98)`.
fn words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_lowercase(),
        None => error.to_string(),
    }
}
