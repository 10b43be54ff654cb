//! What becomes of an advert that was not admitted: it is counted, and told in the log and as an edge, but not each time.

use super::admit::Rejected;
use super::engine::{Engine, Slot};
use super::io::{Datagram, Level, Log, Output};
use crate::bus::msg::{Edge, PacketFault};
use crate::bus::rows::RowKey;
use crate::clock::Instant;

impl Engine {
    /// The first packet with a fault is told at once; those of the next ten seconds are only counted, so that a stream of
    /// bad packets is not a stream of traps.
    pub(super) fn refuse(
        &mut self,
        slot: Slot,
        why: Rejected,
        datagram: &Datagram<'_>,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let at = self.wall(now);
        let Some(router) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else { return };
        let of_router = why.count(&mut self.counters, &mut router.counters);
        let fault = why.fault();
        if let Some(PacketFault::Protocol(error)) = fault {
            router.protocol_error = error;
        }
        if let Some(unreported) = router.told.get_mut(why.kind()).and_then(|told| told.another(now)) {
            let name = &router.config.name;
            out.push(Output::Log(Log {
                level: Level::Warn,
                instance: Some(name.clone()),
                text: format!("({name}) dropped an advert from {}: {}", datagram.source, why.describe(&router.config)),
            }));
            out.extend(fault.map(|fault| {
                Output::Edge(Edge::BadPacket {
                    instance: name.clone(),
                    router: router.id(),
                    source: datagram.source,
                    fault,
                    unreported,
                    at,
                })
            }));
        }
        if of_router {
            self.count_router(out);
        }
        self.count(slot, out);
    }

    pub(super) fn count_router(&self, out: &mut Vec<Output>) {
        if !self.counted.replace(true) {
            out.push(Output::Counted(RowKey::Router));
        }
    }

    pub(super) fn count(&self, slot: Slot, out: &mut Vec<Output>) {
        if let Some(router) = self.router(slot)
            && !router.counted.replace(true)
        {
            out.push(Output::Counted(RowKey::Instance(router.config.name.clone())));
        }
    }
}
