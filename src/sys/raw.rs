//! Raw sockets of VRRP (protocol 112) and of adverts inside an authentication header (51), IPv4 and IPv6: batches in, batches out, never blocking.
//!
//! Receiving sockets are bound to an interface (or to none, for unicast instances without one) and join groups there.
//! Sending needs one socket per family: interface, source and TTL go with each message.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, c_void};

/// VRRP's IP protocol number, and that of the authentication header.
const VRRP: c_int = 112;
const AH: c_int = 51;

/// Precedence "internetwork control": what routers mark adverts with.
const TOS: c_int = 0xC0;

/// Messages per system call, in both directions.
pub const BATCH: usize = 32;

/// Longest datagram kept: an IPv4 header with options and 255 IPv6 addresses with room to spare. Longer ones are cut,
/// and then fail their length check.
const SIZE: usize = 4352;

/// A datagram as the kernel gave it.
#[derive(Debug)]
pub struct Packet<'a> {
    pub interface: u32,
    /// IPv6 only; IPv4 datagrams start with their header.
    pub v6: Option<V6Header>,
    pub bytes: &'a [u8],
}

/// What the kernel says about an IPv6 datagram, whose header raw sockets do not deliver.
#[derive(Debug, Clone, Copy)]
pub struct V6Header {
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
    pub hop_limit: u8,
}

/// A receiving socket of one family.
#[derive(Debug)]
pub struct Receiver {
    fd: OwnedFd,
    v6: bool,
}

impl Receiver {
    /// Of VRRP. `interface`: name to bind to; `None` receives on all. `buffer`: receive buffer in bytes.
    pub fn open(v6: bool, interface: Option<&str>, buffer: Option<u32>) -> io::Result<Receiver> {
        Receiver::of(VRRP, v6, interface, buffer)
    }

    /// Of VRRP inside an authentication header, over IPv4.
    pub fn open_protected(interface: Option<&str>, buffer: Option<u32>) -> io::Result<Receiver> {
        Receiver::of(AH, false, interface, buffer)
    }

    fn of(protocol: c_int, v6: bool, interface: Option<&str>, buffer: Option<u32>) -> io::Result<Receiver> {
        let fd = raw_socket(v6, protocol)?;
        if let Some(name) = interface {
            set_bytes(&fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes())?;
        }
        if v6 {
            set_int(&fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
            set_int(&fd, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
            // Only groups joined on this very socket; kernels before 4.20 lack it and the engine drops strays anyway.
            const IPV6_MULTICAST_ALL: c_int = 29;
            let _ = set_int(&fd, libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
        } else {
            set_int(&fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
            set_int(&fd, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, 0)?;
        }
        if let Some(bytes) = buffer {
            let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
            if set_int(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes).is_err() {
                set_int(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes)?;
            }
        }
        Ok(Receiver { fd, v6 })
    }

    pub fn join(&self, group: IpAddr, interface: u32) -> io::Result<()> {
        self.membership(group, interface, libc::IP_ADD_MEMBERSHIP, libc::IPV6_ADD_MEMBERSHIP)
    }

    pub fn leave(&self, group: IpAddr, interface: u32) -> io::Result<()> {
        self.membership(group, interface, libc::IP_DROP_MEMBERSHIP, libc::IPV6_DROP_MEMBERSHIP)
    }

    fn membership(&self, group: IpAddr, interface: u32, v4: c_int, v6: c_int) -> io::Result<()> {
        match group {
            IpAddr::V4(group) => {
                let request = libc::ip_mreqn {
                    imr_multiaddr: in_addr(group),
                    imr_address: in_addr(Ipv4Addr::UNSPECIFIED),
                    imr_ifindex: c_int::try_from(interface).unwrap_or(0),
                };
                set(&self.fd, libc::IPPROTO_IP, v4, &request)
            }
            IpAddr::V6(group) => {
                let request = libc::ipv6_mreq { ipv6mr_multiaddr: in6_addr(group), ipv6mr_interface: interface };
                set(&self.fd, libc::IPPROTO_IPV6, v6, &request)
            }
        }
    }

    /// Reads what is there, at most one batch, and says how many messages that was.
    pub fn receive(&self, buffers: &mut Buffers, mut each: impl FnMut(Packet<'_>)) -> io::Result<usize> {
        let count = buffers.receive(self.fd.as_raw_fd())?;
        for index in 0..count {
            let (bytes, interface, v6) = buffers.message(index, self.v6);
            each(Packet { interface, v6, bytes });
        }
        Ok(count)
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Memory for one batch, shared by all receivers of a loop.
pub struct Buffers {
    data: Vec<[u8; SIZE]>,
    control: Vec<Control>,
    names: Vec<libc::sockaddr_in6>,
    lengths: Vec<usize>,
    control_lengths: Vec<usize>,
}

/// Control message space, aligned as the kernel wants it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 128]);

impl Default for Buffers {
    fn default() -> Self {
        Buffers {
            data: vec![[0; SIZE]; BATCH],
            control: vec![Control([0; 128]); BATCH],
            // SAFETY: sockaddr_in6 is plain old data; all zeroes is a valid value.
            names: vec![unsafe { mem::zeroed() }; BATCH],
            lengths: vec![0; BATCH],
            control_lengths: vec![0; BATCH],
        }
    }
}

impl Buffers {
    fn receive(&mut self, fd: c_int) -> io::Result<usize> {
        // SAFETY: mmsghdr and iovec are plain old data; all zeroes is a valid value.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut slices: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
        for index in 0..BATCH {
            slices[index] = libc::iovec { iov_base: self.data[index].as_mut_ptr().cast(), iov_len: SIZE };
            let header = &mut headers[index].msg_hdr;
            header.msg_iov = &mut slices[index];
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut self.names[index]).cast();
            header.msg_namelen = mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            header.msg_control = self.control[index].0.as_mut_ptr().cast();
            header.msg_controllen = self.control[index].0.len();
        }
        // SAFETY: every header points at buffers of `self` and of this frame, with their true sizes.
        let count =
            unsafe { libc::recvmmsg(fd, headers.as_mut_ptr(), BATCH as u32, libc::MSG_DONTWAIT, std::ptr::null_mut()) };
        if count < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        }
        let count = usize::try_from(count).unwrap_or(0);
        for (index, header) in headers.iter().enumerate().take(count) {
            self.lengths[index] = (header.msg_len as usize).min(SIZE);
            self.control_lengths[index] = header.msg_hdr.msg_controllen;
        }
        Ok(count)
    }

    fn message(&self, index: usize, v6: bool) -> (&[u8], u32, Option<V6Header>) {
        let bytes = &self.data[index][..self.lengths[index]];
        let mut interface = 0;
        let mut destination = Ipv6Addr::UNSPECIFIED;
        let mut hop_limit = 0;
        // SAFETY: msghdr is plain old data; all zeroes is a valid value.
        let mut header: libc::msghdr = unsafe { mem::zeroed() };
        header.msg_control = self.control[index].0.as_ptr().cast_mut().cast();
        header.msg_controllen = self.control_lengths[index];
        // SAFETY: the header describes control data that the kernel wrote, within its buffer; the macros stay inside.
        let mut at = unsafe { libc::CMSG_FIRSTHDR(&header) };
        while !at.is_null() {
            // SAFETY: `at` came from CMSG_FIRSTHDR or CMSG_NXTHDR and points at a complete control header.
            let control = unsafe { &*at };
            // SAFETY: as above; the data follows the header.
            let data = unsafe { libc::CMSG_DATA(at) };
            match (control.cmsg_level, control.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    // SAFETY: the kernel puts an in_pktinfo behind this level and type; it may be unaligned.
                    let info = unsafe { data.cast::<libc::in_pktinfo>().read_unaligned() };
                    interface = u32::try_from(info.ipi_ifindex).unwrap_or(0);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    // SAFETY: likewise an in6_pktinfo.
                    let info = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
                    interface = info.ipi6_ifindex;
                    destination = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    // SAFETY: likewise an int.
                    hop_limit = unsafe { data.cast::<c_int>().read_unaligned() };
                }
                _ => {}
            }
            // SAFETY: `at` is inside the control data that `header` describes.
            at = unsafe { libc::CMSG_NXTHDR(&header, at) };
        }
        let v6 = v6.then(|| V6Header {
            source: Ipv6Addr::from(self.names[index].sin6_addr.s6_addr),
            destination,
            hop_limit: u8::try_from(hop_limit).unwrap_or(0),
        });
        (bytes, interface, v6)
    }
}

/// One datagram to send. Both addresses are of the sender's family.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub interface: Option<u32>,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ttl: u8,
    pub payload: &'a [u8],
}

/// A sending socket: of one family, or for whole IPv4 packets. It receives nothing.
#[derive(Debug)]
pub struct Sender {
    fd: OwnedFd,
}

impl Sender {
    pub fn open(v6: bool) -> io::Result<Sender> {
        Sender::of(VRRP, v6)
    }

    /// For payloads that begin with an IPv4 header. The kernel fills in its checksum and total length, and leaves the rest.
    pub fn open_whole() -> io::Result<Sender> {
        Sender::of(libc::IPPROTO_RAW, false)
    }

    fn of(protocol: c_int, v6: bool) -> io::Result<Sender> {
        let fd = raw_socket(v6, protocol)?;
        // Without this, every advert on the host would also queue here, unread.
        hear_nothing(&fd)?;
        // A configured source need not be on the host (an unnumbered interface); then the kernel must not look for it.
        let _ = if v6 {
            set_int(&fd, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, 1)
        } else {
            set_int(&fd, libc::IPPROTO_IP, libc::IP_TRANSPARENT, 1)
        };
        if v6 {
            set_int(&fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, 0)?;
            set_int(&fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, 255)?;
            set_int(&fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, TOS)?;
        } else {
            set_int(&fd, libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, 0)?;
            set_int(&fd, libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, 255)?;
            set_int(&fd, libc::IPPROTO_IP, libc::IP_TOS, TOS)?;
            // An advert with many addresses may have to be fragmented on a small link.
            set_int(&fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)?;
        }
        Ok(Sender { fd })
    }

    /// Sends all, [`BATCH`] per system call. A message that the kernel refuses is reported by its place, and the rest goes on.
    pub fn send(&self, batch: &[Outgoing<'_>], errors: &mut Vec<(usize, io::Error)>) {
        let mut done = 0;
        while done < batch.len() {
            let chunk = &batch[done..batch.len().min(done + BATCH)];
            match send_some(self.fd.as_raw_fd(), chunk) {
                Ok(sent) => done += sent.max(1),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    errors.push((done, error));
                    done += 1;
                }
            }
        }
    }
}

fn send_some(fd: c_int, chunk: &[Outgoing<'_>]) -> io::Result<usize> {
    // SAFETY: plain old data; all zeroes is a valid value.
    let (mut headers, mut slices, mut names): (
        [libc::mmsghdr; BATCH],
        [libc::iovec; BATCH],
        [libc::sockaddr_in6; BATCH],
    ) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
    let mut controls = [Control([0; 128]); BATCH];
    for (index, message) in chunk.iter().enumerate().take(BATCH) {
        slices[index] =
            libc::iovec { iov_base: message.payload.as_ptr().cast_mut().cast(), iov_len: message.payload.len() };
        let header = &mut headers[index].msg_hdr;
        header.msg_iov = &mut slices[index];
        header.msg_iovlen = 1;
        header.msg_name = (&raw mut names[index]).cast();
        header.msg_control = controls[index].0.as_mut_ptr().cast();
        header.msg_controllen = controls[index].0.len();
        match message.destination {
            IpAddr::V4(to) => {
                let name = libc::sockaddr_in {
                    sin_family: libc::AF_INET as u16,
                    sin_port: 0,
                    sin_addr: in_addr(to),
                    sin_zero: [0; 8],
                };
                // SAFETY: sockaddr_in fits into the larger sockaddr_in6 that `names` holds.
                unsafe { (&raw mut names[index]).cast::<libc::sockaddr_in>().write_unaligned(name) };
                header.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
                let source = if let IpAddr::V4(source) = message.source { source } else { Ipv4Addr::UNSPECIFIED };
                let info = libc::in_pktinfo {
                    ipi_ifindex: message.interface.and_then(|i| c_int::try_from(i).ok()).unwrap_or(0),
                    ipi_spec_dst: in_addr(source),
                    ipi_addr: in_addr(Ipv4Addr::UNSPECIFIED),
                };
                fill_control(header, (libc::IPPROTO_IP, libc::IP_PKTINFO), &info, libc::IP_TTL, message.ttl);
            }
            IpAddr::V6(to) => {
                names[index].sin6_family = libc::AF_INET6 as u16;
                names[index].sin6_addr = in6_addr(to);
                names[index].sin6_scope_id = message.interface.unwrap_or(0);
                header.msg_namelen = mem::size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                let source = if let IpAddr::V6(source) = message.source { source } else { Ipv6Addr::UNSPECIFIED };
                let info =
                    libc::in6_pktinfo { ipi6_addr: in6_addr(source), ipi6_ifindex: message.interface.unwrap_or(0) };
                fill_control(header, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), &info, libc::IPV6_HOPLIMIT, message.ttl);
            }
        }
    }
    let count = chunk.len().min(BATCH) as u32;
    // SAFETY: every header points at memory of `chunk` or of this frame, with true sizes.
    let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(usize::try_from(sent).unwrap_or(0)) }
}

/// Writes two control messages: packet information, and the TTL as an int. Sets the header's control length.
fn fill_control<T>(header: &mut libc::msghdr, (level, kind): (c_int, c_int), info: &T, ttl_kind: c_int, ttl: u8) {
    let size = mem::size_of::<T>() as u32;
    let int = mem::size_of::<c_int>() as u32;
    // SAFETY: the control buffer holds 128 bytes, zeroed; the two messages need at most 72 on any platform, and the
    // macros place them inside it. Data is written unaligned.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(header);
        (*first).cmsg_level = level;
        (*first).cmsg_type = kind;
        (*first).cmsg_len = libc::CMSG_LEN(size) as _;
        std::ptr::copy_nonoverlapping((&raw const *info).cast::<u8>(), libc::CMSG_DATA(first), size as usize);
        let second = libc::CMSG_NXTHDR(header, first);
        (*second).cmsg_level = level;
        (*second).cmsg_type = ttl_kind;
        (*second).cmsg_len = libc::CMSG_LEN(int) as _;
        libc::CMSG_DATA(second).cast::<c_int>().write_unaligned(c_int::from(ttl));
        header.msg_controllen = (libc::CMSG_SPACE(size) + libc::CMSG_SPACE(int)) as _;
    }
}

/// Has the kernel drop what comes to a socket that only sends.
pub(super) fn hear_nothing(fd: &OwnedFd) -> io::Result<()> {
    let nothing = [libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 }];
    let program = libc::sock_fprog { len: 1, filter: nothing.as_ptr().cast_mut() };
    set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

fn raw_socket(v6: bool, protocol: c_int) -> io::Result<OwnedFd> {
    let domain = if v6 { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: no pointers; a negative result is checked.
    let fd = unsafe { libc::socket(domain, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn in_addr(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) }
}

fn in6_addr(address: Ipv6Addr) -> libc::in6_addr {
    libc::in6_addr { s6_addr: address.octets() }
}

fn set_int(fd: &OwnedFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    set(fd, level, name, &value)
}

/// Sets an option whose value is the C structure `T`.
fn set<T>(fd: &OwnedFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const *value).cast::<c_void>(),
            mem::size_of::<T>() as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn set_bytes(fd: &OwnedFd, level: c_int, name: c_int, value: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which outlives the call.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), value.len() as libc::socklen_t) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
