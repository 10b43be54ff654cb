//! Which interfaces forward IPv6: [`Forwarding`].
//!
//! A neighbour advertisement says whether its sender is a router, and hosts forget a router that says it is none. In a takeover
//! of hundreds of interfaces there is no time to read a file for each, so the kernel tells of changes beforehand.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE};

use super::socket::{self, Arrival, Message, NETLINK_ROUTE, Socket};
use crate::vrrp::io::IfIndex;

/// Room for the news of some thousand interfaces that are made at once, bytes.
const BUFFER: u32 = 1024 * 1024;

/// Datagrams per [`Forwarding::read`].
const READS_MAX: usize = 2048;

/// The kernel answers a dump inside the system calls that ask for it.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Forwarding {
    socket: Socket,
    on: BTreeSet<IfIndex>,
}

impl Forwarding {
    pub fn open() -> io::Result<Forwarding> {
        let socket = Socket::open(NETLINK_ROUTE, Some(BUFFER))?;
        socket.join(libc::RTNLGRP_IPV6_NETCONF)?;
        Ok(Forwarding { socket, on: dump()? })
    }

    /// Takes in what has changed, without blocking but for a list of everything when news were lost.
    pub fn read(&mut self) -> io::Result<()> {
        let mut lost = false;
        for _ in 0..READS_MAX {
            match self.socket.receive()? {
                Arrival::Nothing => break,
                Arrival::Overrun => lost = true,
                Arrival::Messages(messages) => messages.for_each(|message| hear(&message, &mut self.on)),
            }
        }
        if lost {
            self.on = dump()?;
        }
        Ok(())
    }

    pub fn is_on(&self, interface: IfIndex) -> bool {
        self.on.contains(&interface)
    }
}

impl AsRawFd for Forwarding {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Forwarding {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Lists all, on a socket of its own, so that answers and news do not mix.
fn dump() -> io::Result<BTreeSet<IfIndex>> {
    let mut socket = Socket::open_blocking(NETLINK_ROUTE, PATIENCE)?;
    let sequence = socket.next_sequence();
    let mut batch = Vec::new();
    let request = [libc::AF_INET6 as u8, 0, 0, 0];
    socket::append_bytes(&mut batch, libc::RTM_GETNETCONF, NLM_F_REQUEST | NLM_F_DUMP, sequence, &request);
    socket.send(&batch)?;
    let mut on = BTreeSet::new();
    loop {
        let messages = match socket.receive()? {
            Arrival::Nothing => return Err(io::ErrorKind::TimedOut.into()),
            Arrival::Overrun => continue,
            Arrival::Messages(messages) => messages,
        };
        for message in messages.filter(|message| message.sequence == sequence) {
            if let Some(errno) = message.answer().and_then(|answer| answer.errno) {
                return Err(io::Error::from_raw_os_error(errno));
            }
            if message.kind == NLMSG_DONE {
                return Ok(on);
            }
            hear(&message, &mut on);
        }
    }
}

/// News of what concerns something else than forwarding say nothing about it.
fn hear(message: &Message<'_>, on: &mut BTreeSet<IfIndex>) {
    let Some((index, forwards)) = parse(message.payload) else { return };
    match (message.kind, forwards) {
        (libc::RTM_NEWNETCONF, Some(true)) => drop(on.insert(index)),
        (libc::RTM_NEWNETCONF, Some(false)) | (RTM_DELNETCONF, _) => drop(on.remove(&index)),
        _ => {}
    }
}

fn parse(payload: &[u8]) -> Option<(IfIndex, Option<bool>)> {
    let (family, rest) = payload.split_first_chunk::<HEADER>()?;
    if i32::from(*family.first()?) != libc::AF_INET6 {
        return None;
    }
    let number = |wanted| {
        let (_, value) = socket::attributes(rest).find(|(kind, _)| *kind == wanted)?;
        value.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
    };
    // Negative ones stand for all interfaces and for those to come.
    let index = IfIndex::try_from(number(NETCONFA_IFINDEX)?).ok()?;
    Some((index, number(NETCONFA_FORWARDING).map(|value| value != 0)))
}

/// `netconfmsg`, padded.
const HEADER: usize = 4;

// linux/netconf.h, linux/rtnetlink.h
const NETCONFA_IFINDEX: u16 = 1;
const NETCONFA_FORWARDING: u16 = 2;
const RTM_DELNETCONF: u16 = 81;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::generic::Attributes;
    use super::*;

    const NOBODY: [IfIndex; 0] = [];

    fn told(kind: u16, index: i32, forwarding: Option<u32>) -> (u16, Vec<u8>) {
        let mut attributes = Attributes::default();
        attributes.put(NETCONFA_IFINDEX, &index.to_ne_bytes());
        if let Some(forwarding) = forwarding {
            attributes.put_u32(NETCONFA_FORWARDING, forwarding);
        }
        (kind, [&[libc::AF_INET6 as u8, 0, 0, 0], attributes.bytes()].concat())
    }

    fn after(news: &[(u16, Vec<u8>)]) -> Vec<IfIndex> {
        let mut on = BTreeSet::new();
        for (kind, payload) in news {
            hear(&Message { kind: *kind, flags: 0, sequence: 0, payload }, &mut on);
        }
        on.into_iter().collect()
    }

    #[test]
    fn what_is_told_last_of_forwarding_counts_and_other_settings_say_nothing_of_it() {
        let on = told(libc::RTM_NEWNETCONF, 7, Some(1));
        assert_eq!(after(&[on.clone(), told(libc::RTM_NEWNETCONF, 7, None)]), [7]);
        assert_eq!(after(&[on.clone(), told(libc::RTM_NEWNETCONF, 8, Some(2))]), [7, 8]);
        assert_eq!(after(&[on.clone(), told(libc::RTM_NEWNETCONF, 7, Some(0))]), NOBODY);
        assert_eq!(after(&[on, told(RTM_DELNETCONF, 7, None)]), NOBODY);
        assert_eq!(after(&[told(libc::RTM_NEWNETCONF, -1, Some(1))]), NOBODY, "that of all is none of an interface");
    }

    proptest! {
        #[test]
        fn no_news_of_a_setting_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            parse(&bytes);
        }
    }
}
