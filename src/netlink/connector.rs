//! The kernel's process connector: forks, execs, names and ends of every process on the host.
//!
//! The kernel speaks of it in the first network namespace and to the first process namespace only (elsewhere a request
//! is refused, or not answered at all), so [`ProcessEvents::open`] may have to look for another network namespace first.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::{setsockopt, sockopt};

use super::socket::{Arrival, Message, Messages, Socket};

const NETLINK_CONNECTOR: isize = 11;
/// The connector's number for process events (CN_IDX_PROC, CN_VAL_PROC), which is their multicast group, too.
const CHANNEL: u32 = 1;

/// Something that happened to a process. Threads other than the first are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessEvent {
    /// The kernel's answer to a request; 0, or an errno.
    Answer(u32),
    Fork {
        parent: i32,
        child: i32,
    },
    Exec {
        pid: i32,
    },
    /// It has another name now; up to the first NUL.
    Name {
        pid: i32,
        name: [u8; 16],
    },
    Exit {
        pid: i32,
    },
}

/// A socket that hears process events once [`Self::listen`] was answered.
#[derive(Debug)]
pub struct ProcessEvents {
    socket: Socket,
}

/// What one [`ProcessEvents::receive`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Nothing,
    /// The kernel dropped events: only looking at everybody helps.
    Overrun,
    Events(Vec<ProcessEvent>),
}

impl ProcessEvents {
    /// Opens the socket in this network namespace. Needs CAP_NET_ADMIN.
    pub fn open() -> io::Result<ProcessEvents> {
        let socket = Socket::open(NETLINK_CONNECTOR, None)?;
        socket.join(CHANNEL)?;
        Ok(ProcessEvents { socket })
    }

    /// `process_monitor_rcv_bufs`, in bytes. Beyond `net.core.rmem_max` only by `force`, which needs CAP_NET_ADMIN.
    pub fn set_receive_buffer(&self, bytes: u32, force: bool) -> io::Result<()> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if force && setsockopt(&self.socket, sockopt::RcvBufForce, &bytes).is_ok() {
            return Ok(());
        }
        Ok(setsockopt(&self.socket, sockopt::RcvBuf, &bytes)?)
    }

    /// Asks for events; the kernel answers with [`ProcessEvent::Answer`]. Refused (ECONNREFUSED) outside of the first
    /// network namespace; outside of the first process namespace there is no answer. Needs CAP_NET_ADMIN.
    pub fn listen(&self) -> io::Result<()> {
        self.socket.send(&request(Request::Listen))
    }

    /// The kernel may stop to make events for us.
    pub fn ignore(&self) -> io::Result<()> {
        self.socket.send(&request(Request::Ignore))
    }

    /// Reads one datagram; does not wait.
    pub fn receive(&mut self) -> io::Result<Heard> {
        Ok(match self.socket.receive()? {
            Arrival::Nothing => Heard::Nothing,
            Arrival::Overrun => Heard::Overrun,
            Arrival::Messages(messages) => Heard::Events(events(messages)),
        })
    }
}

impl AsFd for ProcessEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[derive(Clone, Copy)]
enum Request {
    Listen = 1,
    Ignore = 2,
}

/// A netlink header, a connector's, and one word.
fn request(request: Request) -> Vec<u8> {
    const NLMSG_DONE: u16 = 3;
    const LENGTH: u32 = 16 + 20 + 4;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&LENGTH.to_ne_bytes());
    bytes.extend_from_slice(&NLMSG_DONE.to_ne_bytes());
    bytes.extend_from_slice(&[0; 2]); // flags
    bytes.extend_from_slice(&[0; 8]); // sequence, port
    bytes.extend_from_slice(&CHANNEL.to_ne_bytes()); // index
    bytes.extend_from_slice(&CHANNEL.to_ne_bytes()); // value
    bytes.extend_from_slice(&[0; 8]); // sequence, acknowledgement
    bytes.extend_from_slice(&4_u16.to_ne_bytes()); // length of what follows
    bytes.extend_from_slice(&[0; 2]); // flags
    bytes.extend_from_slice(&(request as u32).to_ne_bytes());
    bytes
}

fn events(messages: Messages<'_>) -> Vec<ProcessEvent> {
    messages.filter_map(|message| event(&message)).collect()
}

fn event(message: &Message<'_>) -> Option<ProcessEvent> {
    let word = |at: usize| Some(u32::from_ne_bytes(*message.payload.get(at..)?.first_chunk()?));
    let pid = |at: usize| word(at).and_then(|word| i32::try_from(word).ok());
    if word(0)? != CHANNEL || word(4)? != CHANNEL {
        return None;
    }
    // Behind the connector's header (20): what, processor, time (8), and then as each kind has it.
    const BODY: usize = 36;
    // A process and its group of threads: the first thread's numbers are the same.
    let first = |at: usize| Some(pid(at)?).filter(|&process| pid(at + 4) == Some(process));
    match word(20)? {
        0 => Some(ProcessEvent::Answer(word(BODY)?)),
        0x1 => Some(ProcessEvent::Fork { parent: pid(BODY + 4)?, child: first(BODY + 8)? }),
        0x2 => Some(ProcessEvent::Exec { pid: first(BODY)? }),
        0x200 => {
            let name = *message.payload.get(BODY + 8..)?.first_chunk()?;
            Some(ProcessEvent::Name { pid: first(BODY)?, name })
        }
        0x8000_0000 => Some(ProcessEvent::Exit { pid: first(BODY)? }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(what: u32, body: &[u32]) -> Vec<u8> {
        let mut bytes = request(Request::Listen);
        bytes.truncate(36);
        bytes.extend_from_slice(&what.to_ne_bytes());
        bytes.extend_from_slice(&[0; 12]);
        body.iter().for_each(|word| bytes.extend_from_slice(&word.to_ne_bytes()));
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<ProcessEvent> {
        events(Messages::new(bytes))
    }

    #[test]
    fn each_kind_of_event_is_read_and_threads_are_left_out() {
        assert_eq!(read(&told(0, &[0])), [ProcessEvent::Answer(0)]);
        // By a thread (11) of process 10.
        assert_eq!(read(&told(1, &[11, 10, 20, 20])), [ProcessEvent::Fork { parent: 10, child: 20 }]);
        assert_eq!(read(&told(1, &[10, 10, 21, 10])), [], "a thread");
        assert_eq!(read(&told(2, &[20, 20])), [ProcessEvent::Exec { pid: 20 }]);
        let name = *b"httpd\0\0\0\0\0\0\0\0\0\0\0";
        let words: Vec<u32> = name.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect();
        let named = told(0x200, &[&[20, 20], words.as_slice()].concat());
        assert_eq!(read(&named), [ProcessEvent::Name { pid: 20, name }]);
        assert_eq!(read(&told(0x8000_0000, &[20, 20, 0, 17])), [ProcessEvent::Exit { pid: 20 }]);
        assert_eq!(read(&told(0x4, &[20, 20, 0, 0])), [], "a change of user");
    }

    proptest! {
        #[test]
        fn no_octets_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), what in any::<u32>()) {
            let honest = told(what, &[]);
            if bytes.len() >= honest.len() {
                bytes[..honest.len()].copy_from_slice(&honest);
                let length = u32::try_from(bytes.len()).unwrap();
                bytes[..4].copy_from_slice(&length.to_ne_bytes());
            }
            read(&bytes);
        }
    }

    /// Needs root, and the first namespaces; elsewhere it needs a refusal.
    #[test]
    fn the_kernel_answers_or_refuses() {
        let events = ProcessEvents::open().unwrap();
        match events.listen() {
            Ok(()) => events.ignore().unwrap(),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED)),
        }
    }
}
