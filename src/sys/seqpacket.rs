//! Non-blocking `SOCK_SEQPACKET` pairs that carry frames and descriptors between our own processes.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};

/// Largest frame that either side sends.
pub const FRAME_MAX: usize = 32 * 1024;

/// One end of a pair. Neither end ever blocks.
#[derive(Debug)]
pub struct Seqpacket(OwnedFd);

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Yes,
    /// The peer does not read; try again when the socket is writable.
    Full,
    /// The peer is gone.
    Gone,
}

/// What a read brought.
#[derive(Debug)]
pub enum Received {
    /// A frame of this many bytes, and the descriptors that came with it.
    Frame(usize, Vec<OwnedFd>),
    /// Nothing now.
    Nothing,
    /// The peer is gone, and nothing is left.
    Gone,
}

impl Seqpacket {
    pub fn pair() -> io::Result<(Seqpacket, Seqpacket)> {
        let (a, b) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        )?;
        Ok((Seqpacket(a), Seqpacket(b)))
    }

    pub fn from_fd(fd: OwnedFd) -> Seqpacket {
        Seqpacket(fd)
    }

    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    pub fn send(&self, frame: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<Sent> {
        let raw: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let control = [ControlMessage::ScmRights(&raw)];
        let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &control };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(frame)], control, flags, None) {
            Ok(_) => Ok(Sent::Yes),
            // ENOBUFS and ENOMEM pass by themselves, as a full peer does.
            Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::EINTR) => Ok(Sent::Full),
            Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => Ok(Sent::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads one frame into `buffer`, which is at least [`FRAME_MAX`] long.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut space = nix::cmsg_space!([i32; 4]);
        let mut slices = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = match recvmsg::<()>(self.0.as_raw_fd(), &mut slices, Some(&mut space), flags) {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Received::Nothing),
            Err(Errno::ECONNRESET | Errno::ENOTCONN) => return Ok(Received::Gone),
            Err(error) => return Err(error.into()),
        };
        let mut fds = Vec::new();
        // When descriptors did not fit (the process has too many open), the frame still counts.
        for control in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmRights(raw) = control {
                // SAFETY: the kernel has just installed these descriptors for us; nobody else owns them.
                fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        match message.bytes {
            // An empty record cannot be told from the end; neither side sends one.
            0 if fds.is_empty() => Ok(Received::Gone),
            bytes => Ok(Received::Frame(bytes, fds)),
        }
    }
}

impl AsFd for Seqpacket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Seqpacket {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}
