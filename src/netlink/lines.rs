//! News of routes and rules that were removed: [`LineMonitor`].
//!
//! A socket of its own, and none at all where nothing is configured: a router of the Internet changes routes by the
//! thousand in a second, and that must not push out the news of links and addresses. What is not of a protocol of ours is
//! dropped by its header.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use super::route::Status;
use super::socket::{Arrival, Message, NETLINK_ROUTE, Socket};
use super::{routes, rules};
use crate::conf::model::{Config, Family, PROTOCOL};
use crate::vrrp::io::LineNews;

/// Datagrams per [`LineMonitor::read`].
const READS_MAX: usize = 256;

/// What a configuration needs to hear.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interest {
    /// RTNLGRP_*
    groups: BTreeSet<u32>,
    /// RTPROT_* of our routes.
    protocols: BTreeSet<u8>,
}

impl Interest {
    pub fn of(config: &Config) -> Interest {
        let instances = || config.instances.iter();
        let mut interest = Interest::default();
        for route in instances().flat_map(|it| &it.routes).chain(&config.static_routes) {
            interest.protocols.insert(route.protocol.unwrap_or(PROTOCOL));
            interest.groups.insert(match route.family {
                Family::V4 => libc::RTNLGRP_IPV4_ROUTE,
                Family::V6 => libc::RTNLGRP_IPV6_ROUTE,
            });
        }
        for rule in instances().flat_map(|it| &it.rules).chain(&config.static_rules) {
            interest.groups.insert(match rule.family {
                Family::V4 => libc::RTNLGRP_IPV4_RULE,
                Family::V6 => RTNLGRP_IPV6_RULE,
            });
        }
        interest
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

/// `linux/rtnetlink.h`; not in the libc crate.
const RTNLGRP_IPV6_RULE: u32 = 19;

#[derive(Debug)]
pub struct LineMonitor {
    socket: Socket,
    interest: Interest,
}

impl LineMonitor {
    /// `receive_buffer` in bytes, as far as the system lets us.
    pub fn open(interest: Interest, receive_buffer: Option<u32>) -> io::Result<LineMonitor> {
        let socket = Socket::open(NETLINK_ROUTE, receive_buffer)?;
        interest.groups.iter().try_for_each(|group| socket.join(*group))?;
        Ok(LineMonitor { socket, interest })
    }

    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// Reports what was removed, without blocking. Call when the socket is readable. After [`Status::Overrun`] nobody
    /// knows what was.
    pub fn read(&mut self, out: &mut Vec<LineNews>) -> io::Result<Status> {
        for _ in 0..READS_MAX {
            match self.socket.receive()? {
                Arrival::Nothing => return Ok(Status::Drained),
                Arrival::Overrun => return Ok(Status::Overrun),
                Arrival::Messages(messages) => {
                    let protocols = &self.interest.protocols;
                    out.extend(messages.filter_map(|message| removed(&message, protocols)));
                }
            }
        }
        Ok(Status::More)
    }
}

fn removed(message: &Message<'_>, protocols: &BTreeSet<u8>) -> Option<LineNews> {
    match message.kind {
        libc::RTM_DELROUTE if protocols.contains(&routes::protocol(message.payload)?) => {
            routes::parse(message.payload).map(LineNews::Route)
        }
        libc::RTM_DELRULE => rules::parse(message.payload).map(LineNews::Rule),
        _ => None,
    }
}

impl AsRawFd for LineMonitor {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for LineMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
