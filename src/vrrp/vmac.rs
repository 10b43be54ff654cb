//! Interfaces that instances have made for themselves: which ones are wanted now, and whether what is there is what was
//! wanted.
//!
//! The engine names the complete set whenever it changes; whoever carries that out makes the difference, and the kernel's
//! news of what came of it are inputs like those of any interface.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::engine::Engine;
use super::host::Host;
use super::io::{IfIndex, Link, Output, WantedVmac};
use super::router::{Fault, Faults, Router};
use crate::clock::Instant;
use crate::conf::model::{Family, Transport, Vmac, VmacKind};

impl Engine {
    /// Everything that is to be there, given the interfaces that are. Ask before the first `Wake`, and carry it out: an
    /// instance whose interface is missing when it starts begins in fault.
    pub fn wanted_vmacs(&self) -> BTreeSet<WantedVmac> {
        let routers = self.routers().map(|router| &router.config.vmacs);
        let ours = |address| self.is_virtual(address);
        routers.flat_map(|vmacs| vmacs.all()).filter_map(|vmac| wanted(vmac, &self.host, ours)).collect()
    }

    /// Says the set, if it is another than it was said last.
    pub(super) fn settle_vmacs(&mut self, out: &mut Vec<Output>) {
        if !std::mem::take(&mut self.vmacs_stale) {
            return;
        }
        let wanted = self.wanted_vmacs();
        if wanted != self.vmacs {
            out.push(Output::Vmacs(wanted.iter().cloned().collect()));
            self.vmacs = wanted;
        }
    }
}

/// Nothing, while there is nothing to make it on.
fn wanted(vmac: &Vmac, host: &Host, ours: impl Fn(IpAddr) -> bool) -> Option<WantedVmac> {
    let base = host.named(&vmac.base)?;
    let own = match vmac.kind {
        // Neighbours are solicited from a link-local address: that of the base, which adverts come from, too. The kernel
        // would make one of the virtual MAC, and every router on the link the same.
        VmacKind::Macvlan { .. } if vmac.family == Family::V6 => {
            host.primary(base.index, Family::V6, ours).map(|address| (address, 64))
        }
        VmacKind::Macvlan { .. } => None,
        VmacKind::Ipvlan { address, .. } => address,
    };
    Some(WantedVmac {
        name: vmac.name.clone(),
        base: base.index,
        family: vmac.family,
        kind: vmac.kind,
        group: vmac.group,
        own,
    })
}

impl Router {
    /// Where adverts leave and are heard, with what is wrong with the instance's interfaces. `link` is the interface that
    /// the configuration names, if it exists.
    pub(super) fn examine_vmac(&self, host: &Host, link: Option<IfIndex>, faults: &mut Faults) -> Option<IfIndex> {
        if let Some(vrf) = &self.config.vrf {
            let there = host.named(vrf);
            match there {
                None => faults.push(Fault::InterfaceMissing(vrf.clone())),
                Some(there) if !there.admin_up => faults.push(Fault::InterfaceDown(vrf.clone())),
                Some(_) => {}
            }
            return there.map(|there| there.index);
        }
        let vmacs = &self.config.vmacs;
        let Some(own) = vmacs.own.as_ref().filter(|_| link.is_some()) else { return link };
        let there = host.named(&own.name);
        match there {
            None => faults.push(Fault::InterfaceMissing(own.name.clone())),
            Some(there) if !fits(own, there) => faults.push(Fault::Foreign(own.name.clone())),
            // That it runs follows from the base, whose news come first.
            Some(there) if !there.admin_up => faults.push(Fault::InterfaceDown(own.name.clone())),
            Some(_) => {}
        }
        if matches!(own.kind, VmacKind::Ipvlan { address: None, .. }) && own.family == Family::V4 {
            faults.push(Fault::SourceMissing);
        }
        match vmacs.port() {
            None => link,
            Some(port) => there.filter(|there| fits(port, there)).map(|there| there.index),
        }
    }

    /// See [`Router::twin`].
    pub(super) fn find_twin(&self, host: &Host, link: Option<IfIndex>) -> Option<IfIndex> {
        let vmacs = &self.config.vmacs;
        let multicast = matches!(self.config.transport, Transport::Multicast { .. });
        let own = vmacs.own.as_ref().filter(|_| vmacs.transmit_on_base && multicast && link.is_some())?;
        let is_macvlan = matches!(own.kind, VmacKind::Macvlan { .. });
        host.named(&own.name).filter(|there| is_macvlan && fits(own, there)).map(|there| there.index)
    }

    /// Whether an advert was heard by the base already.
    pub(super) fn heard_twice(&mut self, interface: IfIndex, source: IpAddr, now: Instant) -> bool {
        match self.twin {
            Some(twin) if twin == interface => {
                let lately = 3 * self.machine.master_interval();
                self.heard_below.is_some_and(|(from, at)| from == source && now.since(at) < lately)
            }
            Some(_) => {
                self.heard_below = Some((source, now));
                false
            }
            None => false,
        }
    }

    /// An ipvlan has an address of its own; a macvlan speaks with that of its base.
    pub(super) fn source_interface(&self, link: Option<IfIndex>, port: Option<IfIndex>) -> Option<IfIndex> {
        match self.config.vmacs.port().map(|port| port.kind) {
            Some(VmacKind::Ipvlan { .. }) => port,
            Some(VmacKind::Macvlan { .. }) | None => link,
        }
    }

    /// Whether an address is announced again every `garp_extra_if`: where no advert of this router tells switches where
    /// it is. Without `all` that is for virtual MACs only.
    pub(super) fn announced_extra(&self, interface: &str) -> bool {
        let vmacs = &self.config.vmacs;
        let own = vmacs.port().map(|port| &port.name).or(self.config.interface.as_ref());
        own.is_none_or(|own| own != interface)
            && (self.config.garp.extra_all || vmacs.all().any(|vmac| vmac.name == interface))
    }

    /// How often; `None` when there is nothing to announce so.
    pub(super) fn extra_interval(&self) -> Option<std::time::Duration> {
        let garp = &self.config.garp;
        let any = garp.extra_all || self.config.vmacs.all().next().is_some();
        Some(garp.extra_interval).filter(|interval| any && !interval.is_zero())
    }
}

/// Whether an interface of that name is the one that was wanted, as far as its MAC tells. A takeover with another would be
/// believed by no switch.
fn fits(wanted: &Vmac, there: &Link) -> bool {
    match wanted.kind {
        VmacKind::Macvlan { mac } => there.mac == Some(mac),
        VmacKind::Ipvlan { .. } => !there.loopback,
    }
}
