//! `auth_type AH`: adverts inside an Authentication Header, and which sequence numbers are heard.
//!
//! All routers of one virtual router share one sequence, as Keepalived has it: what is heard must be above all that was
//! heard or sent before, and a new master counts on from there. RFC 2402 counts for each sender. A process that starts
//! anew knows no number, and learns it from the first advert that it hears.

use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use super::admit::Failure;
use super::engine::{Engine, Slot};
use super::io::{Datagram, IfIndex, Output};
use super::router::Router;
use crate::clock::Instant;
use crate::conf::model::{Auth, Instance, Transport};
use crate::wire::ah::{self, DecodeError, Key, Outgoing, Protected, Ttl};

/// How far one virtual router has counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sequence {
    /// Of the last packet that was heard or sent.
    highest: u32,
    /// Of the IPv4 header of the last packet that was sent.
    identification: u16,
}

impl Sequence {
    /// For the next packet. At the end, after 136 years of adverts, it stays there and nobody listens any more: RFC 2402
    /// section 3.3.2 forbids to begin again with the same key.
    fn next(&mut self) -> (u32, u16) {
        self.highest = self.highest.saturating_add(1);
        // The kernel puts its own in place of zero, which the value would not cover.
        self.identification = self.identification.checked_add(1).unwrap_or(1);
        (self.highest, self.identification)
    }

    /// Takes a packet's number in, if the packet may be heard.
    fn hear(&mut self, packet: &Protected<'_>, key: &Key, ttl: Ttl) -> Result<(), Failure> {
        if packet.index != u32::from(packet.source) {
            return Err(Failure::Index(packet.index));
        }
        let Protected { sequence, .. } = *packet;
        if sequence <= self.highest {
            return Err(Failure::Replayed { sequence, highest: self.highest });
        }
        if !packet.proves(key, ttl) {
            return Err(Failure::Value);
        }
        self.highest = sequence;
        Ok(())
    }
}

impl Engine {
    /// A whole IPv4 packet of protocol 51 came in.
    pub(super) fn receive_protected(&mut self, interface: IfIndex, packet: &[u8], now: Instant, out: &mut Vec<Output>) {
        match ah::decode(packet) {
            Ok(read) => {
                let (source, destination) = (read.source.into(), read.destination.into());
                let datagram = Datagram { interface, source, destination, ttl: read.ttl, payload: read.payload };
                self.receive(&datagram, Some(&read), now, out);
            }
            Err(DecodeError::Truncated) => {
                self.counters.truncated += 1;
                self.count_router(out);
            }
            // Other users of the protocol are none of our business.
            Err(DecodeError::Header | DecodeError::Inside(_)) => {}
        }
    }

    /// Whether a packet for this router may be heard as far as its header goes.
    pub(super) fn prove(&mut self, slot: Slot, packet: &Protected<'_>) -> Result<(), Failure> {
        let Some(Router { config, sequence, .. }) = self.router_mut(slot) else { return Err(Failure::Value) };
        match &config.auth {
            Some(Auth::Ah(key)) => sequence.hear(packet, key, ttl(config)),
            // What is protected does not come here.
            Some(Auth::Pass(_)) | None => Ok(()),
        }
    }
}

impl Router {
    /// Whole packets with an advert of `priority`, one for each destination. Each time they are other ones.
    pub fn protect(&mut self, priority: u8, key: &Key) -> SmallVec<[(IpAddr, Arc<[u8]>); 1]> {
        let Some(IpAddr::V4(source)) = self.machine.primary() else { return SmallVec::new() };
        let (sequence, identification) = self.sequence.next();
        let (limit, covered) = (self.ttl(), ttl(&self.config));
        let adverts = self.encode(priority);
        let packets = adverts.into_iter().filter_map(|(to, payload)| {
            let IpAddr::V4(destination) = to else { return None };
            let out = Outgoing { source, destination, ttl: limit, identification, sequence, payload: &payload };
            Some((to, Arc::from(out.encode(key, covered))))
        });
        packets.collect()
    }
}

fn ttl(config: &Instance) -> Ttl {
    match config.transport {
        Transport::Multicast { .. } => Ttl::Covered,
        Transport::Unicast { .. } => Ttl::Zeroed,
    }
}
