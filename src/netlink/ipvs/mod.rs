//! The kernel's load balancer. Start at [`Ipvs`]; [`codec`] has the messages.
//!
//! For a thread that does nothing but speak to the kernel: everything here blocks until the kernel has answered. It
//! answers within the system call that asks, but a change of the table waits for the packets that are in it, the first
//! use of a scheduler loads a module, and a list of 10,000 services takes tenths of a second.

pub mod codec;
mod number;
pub mod totals;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLMSG_DONE};
use nix::sys::socket::{setsockopt, sockopt};

use self::codec::{Info, Reply, Request, Timeouts};
use super::generic::{self, NETLINK_GENERIC};
use super::socket::{Arrival, Socket};
use crate::check::table::{Daemon, Destination, Load, Op, Service, ServiceId, Stats};
use crate::conf::model::Family;

/// A socket to IPVS in the network namespace of the thread that opened it, wherever it is used later.
///
/// Every request, reads included, needs CAP_NET_ADMIN at the time it is made.
#[derive(Debug)]
pub struct Ipvs {
    socket: Socket,
    family: u16,
    /// Changes per send: their answers fit into the receive buffer.
    window: usize,
}

/// Why a question got no answer, or the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither built in nor to be had as a module. Trying again helps only after an operator did something.
    #[error("this kernel has no IPVS (module ip_vs)")]
    Absent,
    #[error("IPVS may not be used without CAP_NET_ADMIN")]
    NotPermitted,
    #[error("the kernel does not answer questions about IPVS")]
    TimedOut,
    #[error("IPVS: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match (error.raw_os_error(), error.kind()) {
            (Some(libc::EPERM), _) => Error::NotPermitted,
            (None, io::ErrorKind::TimedOut) => Error::TimedOut,
            _ => Error::Io(error),
        }
    }
}

impl Ipvs {
    /// Opens a socket and looks for IPVS, which loads its module.
    ///
    /// `receive_buffer` in bytes; `None` leaves the kernel's default, with which lists of any length work.
    pub fn open(receive_buffer: Option<u32>) -> Result<Ipvs, Error> {
        let mut socket = Socket::open_blocking(NETLINK_GENERIC, PATIENCE)?;
        if let Some(bytes) = receive_buffer {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            if setsockopt(&socket, sockopt::RcvBufForce, &bytes).is_err() {
                setsockopt(&socket, sockopt::RcvBuf, &bytes).map_err(io::Error::from)?;
            }
        }
        let family = generic::resolve(&mut socket, number::FAMILY)?.ok_or(Error::Absent)?;
        let window = (socket.receive_buffer()? / ANSWER).clamp(1, WINDOW_MAX);
        Ok(Ipvs { socket, family, window })
    }

    /// Carries out changes in order, each whether or not those before it succeeded. Gives what the kernel said to each:
    /// `None` is success, else an errno, for `check::refusal`.
    ///
    /// ENOBUFS, EIO and ETIMEDOUT say that the answer got lost, and what became of the change is not known.
    pub fn apply(&mut self, ops: &[Op]) -> Vec<Option<i32>> {
        ops.chunks(self.window).flat_map(|chunk| self.apply_chunk(chunk)).collect()
    }

    fn apply_chunk(&mut self, ops: &[Op]) -> Vec<Option<i32>> {
        let mut batch = Vec::new();
        let sequences: Vec<u32> = ops
            .iter()
            .map(|op| {
                let sequence = self.socket.next_sequence();
                generic::append(&mut batch, self.family, Request::change(op), NLM_F_ACK, sequence);
                sequence
            })
            .collect();
        let mut answers = vec![None; ops.len()];
        let lost = self.socket.send(&batch).and_then(|()| self.collect(&sequences, &mut answers));
        let lost = match lost {
            Ok(()) => libc::EIO,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => libc::ETIMEDOUT,
            Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
        };
        let verdict = |(op, answer): (&Op, Option<Option<i32>>)| match (op, answer) {
            (_, Some(answer)) => answer,
            // A thread that is stopped before it has run even once makes the kernel forget the answer (it has EINTR, which
            // netlink takes for "ask again"). Stopped it is.
            (Op::StopDaemon { .. }, None) if lost == libc::ETIMEDOUT => None,
            (_, None) => Some(lost),
        };
        ops.iter().zip(answers).map(verdict).collect()
    }

    /// Receives the verdicts on the requests with these numbers.
    fn collect(&mut self, sequences: &[u32], answers: &mut [Option<Option<i32>>]) -> io::Result<()> {
        let mut missing = sequences.len();
        while missing > 0 {
            let messages = match self.socket.receive()? {
                Arrival::Nothing => return Err(io::ErrorKind::TimedOut.into()),
                Arrival::Overrun => return Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
                Arrival::Messages(messages) => messages,
            };
            for message in messages {
                let Some(answer) = message.answer() else { continue };
                let place = sequences.iter().position(|sequence| *sequence == message.sequence);
                if let Some(place @ None) = place.and_then(|place| answers.get_mut(place)) {
                    *place = Some(answer.errno);
                    missing -= 1;
                }
            }
        }
        Ok(())
    }

    /// Every service with its counters, each once, by id. Destinations are asked for one service at a time.
    ///
    /// The kernel lists from one hash table for all network namespaces, a buffer (some hundred services) at a time, and goes
    /// on by counting. When a service anywhere on the host comes or goes meanwhile, one may be listed twice or be left out:
    /// ask with [`service`](Self::service) before believing that one is gone.
    pub fn services(&mut self) -> Result<Vec<(Service, Stats)>, Error> {
        let mut found = BTreeMap::new();
        self.ask(Request::services(), NLM_F_DUMP, Family::V4, |reply| {
            if let Reply::Service(service, stats) = reply {
                found.insert(service.id, (service, stats));
            }
        })?;
        Ok(found.into_values().collect())
    }

    /// One service with its counters, if it is there.
    pub fn service(&mut self, id: &ServiceId) -> Result<Option<(Service, Stats)>, Error> {
        let mut found = None;
        let answer = self.ask(Request::service(id), NLM_F_ACK, id.family(), |reply| {
            if let Reply::Service(service, stats) = reply {
                found = Some((service, stats));
            }
        });
        match answer {
            Err(Error::Io(error)) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            answer => answer.map(|()| found),
        }
    }

    /// The destinations of a service, newest first; none if there is no such service.
    pub fn destinations(&mut self, service: &ServiceId) -> Result<Vec<(Destination, Load)>, Error> {
        let mut found = Vec::new();
        self.ask(Request::destinations(service), NLM_F_DUMP, service.family(), |reply| {
            if let Reply::Destination(destination, load) = reply {
                found.push((destination, load));
            }
        })?;
        Ok(found)
    }

    /// The synchronisation threads, with the values that the kernel filled in.
    pub fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        let mut found = Vec::new();
        self.ask(Request::daemons(), NLM_F_DUMP, Family::V4, |reply| {
            if let Reply::Daemon(daemon) = reply {
                found.push(daemon);
            }
        })?;
        Ok(found)
    }

    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let mut found = None;
        self.ask(Request::timeouts(), NLM_F_ACK, Family::V4, |reply| {
            if let Reply::Timeouts(timeouts) = reply {
                found = Some(timeouts);
            }
        })?;
        found.ok_or_else(no_answer)
    }

    pub fn info(&mut self) -> Result<Info, Error> {
        let mut found = None;
        self.ask(Request::info(), NLM_F_ACK, Family::V4, |reply| {
            if let Reply::Info(info) = reply {
                found = Some(info);
            }
        })?;
        found.ok_or_else(no_answer)
    }

    /// Asks one question and hands over what comes, until the kernel says that this was all.
    fn ask(&mut self, request: Request, flags: u16, family: Family, mut hear: impl FnMut(Reply)) -> Result<(), Error> {
        let sequence = self.socket.next_sequence();
        let mut batch = Vec::new();
        generic::append(&mut batch, self.family, request, flags, sequence);
        self.socket.send(&batch)?;
        loop {
            let messages = match self.socket.receive()? {
                Arrival::Nothing => return Err(Error::TimedOut),
                // A list is made one buffer at a time as it is read, so nothing of it is dropped for want of space.
                Arrival::Overrun => return Err(Error::Io(io::Error::from_raw_os_error(libc::ENOBUFS))),
                Arrival::Messages(messages) => messages,
            };
            for message in messages.filter(|message| message.sequence == sequence) {
                if message.kind == NLMSG_DONE {
                    return Ok(());
                }
                match message.answer() {
                    Some(answer) => {
                        return answer.errno.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno).into()));
                    }
                    None if message.kind == self.family => {
                        if let Some(reply) = Reply::decode(message.payload, family) {
                            hear(reply);
                        }
                    }
                    None => {}
                }
            }
        }
    }
}

fn no_answer() -> Error {
    Error::Io(io::ErrorKind::InvalidData.into())
}

/// For one answer. All of them are there when the system call that asks returns, so this is for surprises.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the kernel charges for one waiting acknowledgement, with a margin.
const ANSWER: usize = 2048;

/// More in one send save nothing.
const WINDOW_MAX: usize = 128;
