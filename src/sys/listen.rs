//! Listening sockets of streams: bound without waiting, and never blocking.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, listen, setsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, getegid, setegid};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// Listens at `address`. One of IPv6 leaves IPv4 to others.
pub fn tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    // Connections of a daemon that has just ended linger; they must not keep the next one from starting.
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(fd)
}

/// Listens at `path`, which has these permissions, and this group if there is one, from its first moment on. The directory
/// is made if it is missing; a socket that is there already is replaced, and anything else is not.
///
/// Only for a process of one thread: mask and group are the whole process's for a moment.
pub fn unix(path: &Path, mode: u32, group: Option<u32>) -> io::Result<OwnedFd> {
    if let Some(directory) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    }
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => return Err(io::Error::from_raw_os_error(libc::EEXIST)),
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    let name = UnixAddr::new(path)?;
    // Changing either afterwards might be done to what somebody put in its place.
    let group_before = getegid();
    let group = group.map(Gid::from_raw).filter(|group| *group != group_before);
    if let Some(group) = group {
        setegid(group)?;
    }
    let mask_before = umask(Mode::from_bits_truncate(!mode & 0o777));
    let bound = bind(fd.as_raw_fd(), &name);
    umask(mask_before);
    if group.is_some() {
        setegid(group_before)?;
    }
    bound?;
    listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_port_of_ended_connections_is_listened_on_again_and_one_that_is_taken_is_an_error() {
        let first = std::net::TcpListener::from(tcp("127.0.0.1:0".parse().unwrap()).unwrap());
        let address = first.local_addr().unwrap();
        assert_eq!(tcp(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(first.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "it never blocks");
        let client = TcpStream::connect(address).unwrap();
        first.set_nonblocking(false).unwrap();
        drop(first.accept().unwrap());
        drop((first, client));
        tcp(address).unwrap();
        tcp(SocketAddr::new("::1".parse().unwrap(), address.port())).unwrap();
    }

    #[test]
    fn a_socket_has_its_permissions_and_replaces_a_dead_one_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/metrics.sock");
        for mode in [0o660, 0o600, 0o666] {
            let _listening = unix(&path, mode, None).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, mode);
            UnixStream::connect(&path).unwrap();
        }
        let file = directory.path().join("precious");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(unix(&file, 0o600, None).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
    }
}
