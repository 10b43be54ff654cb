//! Whole Ethernet frames out of an interface: gratuitous ARP and unsolicited neighbour advertisements.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Frames per system call.
const BATCH: usize = 64;

/// A packet socket that only sends.
#[derive(Debug)]
pub struct Frames(OwnedFd);

impl Frames {
    pub fn open() -> io::Result<Frames> {
        // Protocol 0: the kernel hands such a socket nothing.
        // SAFETY: no pointers; a negative result is checked.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor.
        Ok(Frames(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends frames, each out of its interface, and returns how many the kernel took. What it refuses (an interface
    /// that went away, a full queue) is passed over: announcements are repeated anyway.
    pub fn send(&self, frames: &[(u32, Vec<u8>)]) -> usize {
        let mut taken = 0;
        let mut done = 0;
        while done < frames.len() {
            let chunk = &frames[done..frames.len().min(done + BATCH)];
            match self.send_some(chunk) {
                Ok(sent) => {
                    taken += sent;
                    done += sent.max(1);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => done += 1,
            }
        }
        taken
    }

    fn send_some(&self, chunk: &[(u32, Vec<u8>)]) -> io::Result<usize> {
        // SAFETY: plain old data; all zeroes is a valid value.
        let (mut headers, mut slices, mut names): (
            [libc::mmsghdr; BATCH],
            [libc::iovec; BATCH],
            [libc::sockaddr_ll; BATCH],
        ) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        for (index, (interface, frame)) in chunk.iter().enumerate().take(BATCH) {
            slices[index] = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
            names[index].sll_family = libc::AF_PACKET as u16;
            names[index].sll_ifindex = i32::try_from(*interface).unwrap_or(0);
            names[index].sll_halen = 6;
            let header = &mut headers[index].msg_hdr;
            header.msg_iov = &mut slices[index];
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut names[index]).cast();
            header.msg_namelen = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        }
        let count = chunk.len().min(BATCH) as u32;
        // SAFETY: every header points at memory of `chunk` or of this frame, with true sizes.
        let sent = unsafe { libc::sendmmsg(self.0.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(usize::try_from(sent).unwrap_or(0)) }
    }
}
