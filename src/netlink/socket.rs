//! One netlink socket: framing, sequence numbers, kernel answers. Start at [`Socket::receive`].
//!
//! The kernel works through a request inside the `send` that carries it, so its answers can be read as soon as `send`
//! returns. They wait in the receive buffer, and those that do not fit are lost: callers bound what they ask at once.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use netlink_packet_core::{
    NLA_TYPE_MASK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::SocketAddr;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

pub use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};

/// A bound, close-on-exec socket with extended and capped acknowledgements.
#[derive(Debug)]
pub struct Socket {
    inner: netlink_sys::Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

/// What one [`Socket::receive`] found.
#[derive(Debug)]
pub enum Arrival<'a> {
    /// Nothing is waiting (or, on a blocking socket, nothing came in time).
    Nothing,
    /// The kernel dropped messages, or one was longer than the buffer (which has grown since).
    Overrun,
    Messages(Messages<'a>),
}

impl Socket {
    /// Opens a non-blocking socket.
    ///
    /// `receive_buffer` in bytes goes beyond `net.core.rmem_max` when the process may (CAP_NET_ADMIN), else up to it;
    /// `None` leaves the kernel's default.
    pub fn open(protocol: isize, receive_buffer: Option<u32>) -> io::Result<Socket> {
        let socket = Socket::new(protocol)?;
        socket.inner.set_non_blocking(true)?;
        if let Some(bytes) = receive_buffer {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            if setsockopt(&socket, sockopt::RcvBufForce, &bytes).is_err() {
                setsockopt(&socket, sockopt::RcvBuf, &bytes)?;
            }
        }
        Ok(socket)
    }

    /// Opens a socket whose `receive` waits, at most `timeout` for each datagram. For dumps.
    pub fn open_blocking(protocol: isize, timeout: Duration) -> io::Result<Socket> {
        let socket = Socket::new(protocol)?;
        let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
        let timeout = TimeVal::new(seconds, timeout.subsec_micros().into());
        setsockopt(&socket, sockopt::ReceiveTimeout, &timeout)?;
        Ok(socket)
    }

    fn new(protocol: isize) -> io::Result<Socket> {
        let mut inner = netlink_sys::Socket::new(protocol)?;
        inner.bind_auto()?;
        // Old kernels know neither; answers are read with and without them.
        let _ = inner.set_ext_ack(true);
        let _ = inner.set_cap_ack(true);
        Ok(Socket { inner, buffer: Vec::with_capacity(Self::BUFFER_MIN), sequence: 0 })
    }

    /// Adds a multicast group (RTNLGRP_*).
    pub fn join(&self, group: u32) -> io::Result<()> {
        self.inner.add_membership(group)
    }

    /// Size of the receive buffer as the kernel counts it: twice what was asked for.
    pub fn receive_buffer(&self) -> io::Result<usize> {
        self.inner.get_rx_buf_sz()
    }

    /// Lets one [`send`](Self::send) be this long; the kernel's default is about 200 kB.
    pub fn allow_send(&self, bytes: usize) -> io::Result<()> {
        Ok(setsockopt(self, sockopt::SndBufForce, &bytes)?)
    }

    /// Asks the kernel to refuse dump requests that it would misread, and to filter them.
    pub fn strict(&self) {
        // Since Linux 4.20; without it dumps are only longer.
        let _ = self.inner.set_netlink_get_strict_chk(true);
    }

    /// The next sequence number; never zero, which multicast messages carry.
    pub fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.sequence
    }

    /// Sends complete messages ([`append`]) to the kernel in one system call.
    pub fn send(&self, messages: &[u8]) -> io::Result<()> {
        loop {
            match self.inner.send_to(messages, &SocketAddr::new(0, 0), 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives one datagram from the kernel; others' are skipped.
    pub fn receive(&mut self) -> io::Result<Arrival<'_>> {
        loop {
            self.buffer.clear();
            match self.inner.recv_from(&mut self.buffer, libc::MSG_TRUNC) {
                Ok((length, _)) if length > self.buffer.len() => {
                    // Only a link with hundreds of virtual functions gets here.
                    let wanted = length.min(Self::BUFFER_MAX);
                    self.buffer = Vec::with_capacity(wanted);
                    return Ok(Arrival::Overrun);
                }
                Ok((_, from)) if from.port_number() != 0 => {}
                Ok(_) => break,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN) => return Ok(Arrival::Nothing),
                    Some(libc::ENOBUFS) => return Ok(Arrival::Overrun),
                    _ => return Err(error),
                },
            }
        }
        Ok(Arrival::Messages(Messages { rest: &self.buffer }))
    }

    /// The kernel fills at most 32 KiB per datagram of a dump, however large the buffer.
    const BUFFER_MIN: usize = 32 << 10;
    const BUFFER_MAX: usize = 4 << 20;
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// Appends one message with its header to a batch.
pub fn append<T: NetlinkSerializable>(batch: &mut Vec<u8>, message: T, flags: u16, sequence: u32) {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let start = batch.len();
    let end = start + message.buffer_len();
    batch.resize(end.next_multiple_of(ALIGNMENT), 0);
    if let Some(place) = batch.get_mut(start..end) {
        message.serialize(place);
    }
}

/// The same for a message whose bytes are made already.
pub fn append_bytes(batch: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, payload: &[u8]) {
    let length = u32::try_from(HEADER + payload.len()).unwrap_or(u32::MAX);
    batch.extend_from_slice(&length.to_ne_bytes());
    batch.extend_from_slice(&kind.to_ne_bytes());
    batch.extend_from_slice(&flags.to_ne_bytes());
    batch.extend_from_slice(&sequence.to_ne_bytes());
    batch.extend_from_slice(&[0; 4]);
    batch.extend_from_slice(payload);
    batch.resize(batch.len().next_multiple_of(ALIGNMENT), 0);
}

/// NLMSG_ALIGNTO: messages begin on multiples of it.
const ALIGNMENT: usize = 4;
const HEADER: usize = 16;

/// The messages of one datagram. Ends at the first whose length does not fit.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    pub fn new(datagram: &'a [u8]) -> Self {
        Messages { rest: datagram }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let rest = std::mem::take(&mut self.rest);
        let header = NetlinkBuffer::new_checked(rest).ok()?;
        let length = usize::try_from(header.length()).ok()?;
        let message = Message {
            kind: header.message_type(),
            flags: header.flags(),
            sequence: header.sequence_number(),
            payload: rest.get(HEADER..length)?,
        };
        self.rest = rest.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some(message)
    }
}

/// One message as the kernel sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    /// That of the request it answers; zero for news.
    pub sequence: u32,
    pub payload: &'a [u8],
}

/// The kernel's verdict on one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// A positive errno; `None` is success.
    pub errno: Option<i32>,
    /// What the kernel says about it (extended acknowledgement), if anything.
    pub text: Option<String>,
}

impl Message<'_> {
    /// The verdict in an NLMSG_ERROR message.
    pub fn answer(&self) -> Option<Answer> {
        if self.kind != NLMSG_ERROR {
            return None;
        }
        let (code, rest) = self.payload.split_first_chunk()?;
        let errno = match i32::from_ne_bytes(*code) {
            0 => None,
            code => Some(code.saturating_neg()),
        };
        Some(Answer { errno, text: self.extended(rest) })
    }

    /// `echo` is the request: its header only if capped, else all of it, and the attributes follow.
    fn extended(&self, echo: &[u8]) -> Option<String> {
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return None;
        }
        let skip = if self.flags & NLM_F_CAPPED != 0 {
            HEADER
        } else {
            usize::try_from(u32::from_ne_bytes(*echo.first_chunk()?)).ok()?.next_multiple_of(ALIGNMENT)
        };
        let text = attributes(echo.get(skip..)?).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG)?.1;
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

const NLMSGERR_ATTR_MSG: u16 = 1;

/// The attributes in `rest`, as kind (without flag bits) and value. Ends at the first whose length does not fit.
pub fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [l0, l1, k0, k1] = *rest.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & NLA_TYPE_MASK, value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&u32::try_from(HEADER + payload.len()).unwrap().to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[7, 0, 0, 0, 9, 0, 0, 0]);
        bytes.extend_from_slice(payload);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes
    }

    #[test]
    fn the_text_of_a_refusal_is_found_behind_a_capped_and_a_whole_echo() {
        let text = [&[10, 0, 1, 0][..], b"wrong\0", &[0, 0]].concat();
        let request = framed(20, 0, &[1, 2, 3, 4]);
        let refusal = (-22i32).to_ne_bytes();
        let capped = [&refusal[..], &request[..HEADER], &text].concat();
        let whole = [&refusal[..], &request, &text].concat();
        for (flags, payload) in [(NLM_F_ACK_TLVS | NLM_F_CAPPED, capped), (NLM_F_ACK_TLVS, whole)] {
            let bytes = framed(NLMSG_ERROR, flags, &payload);
            let message = Messages::new(&bytes).next().unwrap();
            let answer = Answer { errno: Some(22), text: Some("wrong".into()) };
            assert_eq!(message.answer(), Some(answer));
        }
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in(
            messages in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..50)), 0..10),
        ) {
            let datagram: Vec<u8> = messages.iter().flat_map(|(kind, payload)| framed(*kind, 0, payload)).collect();
            let read: Vec<_> =
                Messages::new(&datagram).map(|message| (message.kind, message.payload.to_vec())).collect();
            prop_assert_eq!(read, messages);
        }

        #[test]
        fn no_bytes_panic_or_yield_more_than_they_hold(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            length in any::<u8>(),
            kind in prop_oneof![Just(NLMSG_ERROR), any::<u16>()],
        ) {
            // Random lengths seldom fit: give the first message a plausible one.
            if let Some(head) = bytes.first_chunk_mut() {
                let kind = kind.to_ne_bytes();
                *head = [length, 0, 0, 0, kind[0], kind[1]];
            }
            let mut total = 0;
            for message in Messages::new(&bytes) {
                total += HEADER + message.payload.len();
                let held: usize = attributes(message.payload).map(|(_, value)| 4 + value.len()).sum();
                prop_assert!(held <= message.payload.len());
                message.answer();
            }
            prop_assert!(total <= bytes.len());
        }
    }
}
