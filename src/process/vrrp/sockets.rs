//! The sockets that adverts come in by: one for each interface, family and protocol that is listened on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tracing::warn;

use super::SOCKETS;
use crate::clock::Instant;
use crate::conf::model::Family;
use crate::sys::poll::{Poller, Token};
use crate::sys::raw::{Buffers, Receiver};
use crate::vrrp::engine::Engine;
use crate::vrrp::io::{Datagram, IfIndex, Input, Listen, Output};
use crate::wire::ip;

/// `None` receives on every interface: for unicast instances that name none.
type Place = (Option<IfIndex>, Kind);

/// What is received in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Bare(Family),
    /// Inside an authentication header, over IPv4.
    Protected,
}

impl Kind {
    fn family(self) -> Family {
        match self {
            Kind::Bare(family) => family,
            Kind::Protected => Family::V4,
        }
    }
}

/// More than a receive buffer of the default size holds.
const DRAIN_BATCHES: usize = 64;

#[derive(Default)]
pub struct Sockets {
    open: BTreeMap<Place, Open>,
    tokens: BTreeMap<Token, Place>,
    next: Token,
    buffers: Buffers,
}

struct Open {
    receiver: Receiver,
    token: Token,
    groups: BTreeSet<IpAddr>,
}

impl Sockets {
    /// Opens and closes the difference to what is open now. False if something could not be opened.
    pub fn listen(
        &mut self,
        wanted: &[Listen],
        poller: &Poller,
        buffer: impl Fn(Family) -> Option<u32>,
        name: impl Fn(IfIndex) -> Option<String>,
    ) -> bool {
        let mut places: BTreeMap<Place, BTreeSet<IpAddr>> = BTreeMap::new();
        for listen in wanted {
            match listen {
                Listen::Multicast { interface, group } => {
                    places.entry((Some(*interface), Kind::Bare(Family::of(*group)))).or_default().insert(*group);
                }
                Listen::Unicast { interface, family } => {
                    places.entry((*interface, Kind::Bare(*family))).or_default();
                }
                Listen::Protected { interface, group } => {
                    places.entry((*interface, Kind::Protected)).or_default().extend(group);
                }
            }
        }
        let closing: Vec<Place> = self.open.keys().filter(|place| !places.contains_key(place)).copied().collect();
        for place in closing {
            if let Some(open) = self.open.remove(&place) {
                let _ = poller.remove(&open.receiver);
                self.tokens.remove(&open.token);
            }
        }
        let mut complete = true;
        for (place, groups) in places {
            if let Err(error) = self.adjust(place, &groups, poller, &buffer, &name) {
                // The engine hears that an interface is gone from the kernel; a refusal here is something else.
                warn!("cannot listen for adverts on {}: {error}", describe(place, &name));
                complete = false;
            }
        }
        complete
    }

    fn adjust(
        &mut self,
        place: Place,
        groups: &BTreeSet<IpAddr>,
        poller: &Poller,
        buffer: &impl Fn(Family) -> Option<u32>,
        name: &impl Fn(IfIndex) -> Option<String>,
    ) -> std::io::Result<()> {
        let (interface, kind) = place;
        if !self.open.contains_key(&place) {
            let bound = interface.and_then(name);
            if interface.is_some() && bound.is_none() {
                return Ok(()); // it went away in the meantime
            }
            let buffer = buffer(kind.family());
            let receiver = match kind {
                Kind::Bare(family) => Receiver::open(family == Family::V6, bound.as_deref(), buffer)?,
                Kind::Protected => Receiver::open_protected(bound.as_deref(), buffer)?,
            };
            let token = SOCKETS + self.next;
            self.next += 1;
            poller.add(&receiver, token, false)?;
            self.tokens.insert(token, place);
            self.open.insert(place, Open { receiver, token, groups: BTreeSet::new() });
        }
        let Some(open) = self.open.get_mut(&place) else { return Ok(()) };
        let index = interface.unwrap_or(0);
        for group in groups.difference(&open.groups) {
            open.receiver.join(*group, index)?;
        }
        for group in open.groups.difference(groups) {
            // The interface may be gone, and with it the membership.
            let _ = open.receiver.leave(*group, index);
        }
        open.groups.clone_from(groups);
        Ok(())
    }

    /// Reads everything that waits on any socket, for a process that overslept. A flood ends it after a while.
    pub fn drain(&mut self, poller: &mut Poller, engine: &mut Engine, now: Instant, outputs: &mut Vec<Output>) {
        // Which ones, the kernel tells at once: in a takeover of hundreds, each with a socket, most have nothing.
        let mut ready = Vec::new();
        let mut batches = DRAIN_BATCHES * self.open.len().max(1);
        while batches > 0 && poller.look(&mut ready).is_ok() {
            let waiting: Vec<Token> =
                ready.iter().map(|it| it.token).filter(|token| self.tokens.contains_key(token)).collect();
            batches = batches.saturating_sub(waiting.len());
            let received: usize = waiting.into_iter().map(|token| self.receive(token, engine, now, outputs)).sum();
            if received == 0 {
                break;
            }
        }
    }

    /// Reads one batch from a socket and tells the engine. Returns how many datagrams that was.
    pub fn receive(&mut self, token: Token, engine: &mut Engine, now: Instant, outputs: &mut Vec<Output>) -> usize {
        let Some(place) = self.tokens.get(&token) else { return 0 };
        let Some(open) = self.open.get(place) else { return 0 };
        let everywhere = place.0.is_none();
        let kind = place.1;
        let result = open.receiver.receive(&mut self.buffers, |packet| {
            // What an interface's own socket hears must not be heard twice.
            if everywhere && self.open.contains_key(&(Some(packet.interface), kind)) {
                return;
            }
            let interface = packet.interface;
            if kind == Kind::Protected {
                return engine.handle(Input::Protected { interface, packet: packet.bytes }, now, outputs);
            }
            let datagram = match packet.v6 {
                Some(header) => Datagram {
                    interface,
                    source: header.source.into(),
                    destination: header.destination.into(),
                    ttl: header.hop_limit,
                    payload: packet.bytes,
                },
                None => match ip::decode_v4(packet.bytes) {
                    Ok(header) => Datagram {
                        interface,
                        source: header.source.into(),
                        destination: header.destination.into(),
                        ttl: header.ttl,
                        payload: header.payload,
                    },
                    // The kernel has checked the header; only a datagram longer than our buffer ends here.
                    Err(_) => return,
                },
            };
            engine.handle(Input::Datagram(datagram), now, outputs);
        });
        result.unwrap_or_else(|error| {
            // ENETDOWN when the interface goes down; the news of that come by netlink.
            tracing::debug!("cannot read adverts: {error}");
            0
        })
    }
}

fn describe((interface, kind): Place, name: &impl Fn(IfIndex) -> Option<String>) -> String {
    let family = match kind {
        Kind::Bare(Family::V4) => "IPv4",
        Kind::Bare(Family::V6) => "IPv6",
        Kind::Protected => "IPv4, AH",
    };
    match interface {
        Some(index) => format!("{} ({family})", name(index).unwrap_or_else(|| format!("interface {index}"))),
        None => format!("any interface ({family})"),
    }
}
