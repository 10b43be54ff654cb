//! What the engine knows of its host: interfaces and the addresses on them, as the kernel told.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::debounce::Debounce;
use super::io::{HostAddress, IfIndex, Link};
use crate::conf::model::Family;

#[derive(Debug, Default)]
pub struct Host {
    links: HashMap<IfIndex, Link>,
    names: HashMap<String, IfIndex>,
    /// By interface in order of arrival, which is the kernel's order: the first fit one is the primary address.
    addresses: BTreeMap<(IfIndex, u64), HostAddress>,
    /// One address may be there with several prefixes.
    places: BTreeMap<(IfIndex, IpAddr, u8), u64>,
    arrivals: u64,
    pub debounce: Debounce,
}

impl Host {
    /// Returns the link that this one replaces: same index, or same name under another index.
    pub fn put_link(&mut self, link: Link) -> Option<Link> {
        let renamed = self.names.insert(link.name.clone(), link.index).filter(|old| *old != link.index);
        let replaced = renamed.and_then(|old| {
            self.debounce.forget(old);
            self.links.remove(&old)
        });
        let before = self.links.insert(link.index, link.clone());
        if before.as_ref().is_some_and(|before| before.name != link.name) {
            self.debounce.forget(link.index);
        }
        if let Some(before) = &before
            && before.name != link.name
            && self.names.get(&before.name) == Some(&before.index)
        {
            self.names.remove(&before.name);
        }
        before.or(replaced)
    }

    pub fn remove_link(&mut self, index: IfIndex) -> Option<Link> {
        let link = self.links.remove(&index)?;
        self.debounce.forget(index);
        if self.names.get(&link.name) == Some(&index) {
            self.names.remove(&link.name);
        }
        let gone: Vec<u64> = self.addresses.range((index, 0)..=(index, u64::MAX)).map(|((_, at), _)| *at).collect();
        for at in gone {
            if let Some(address) = self.addresses.remove(&(index, at)) {
                self.places.remove(&(index, address.address, address.prefix));
            }
        }
        Some(link)
    }

    pub fn link(&self, index: IfIndex) -> Option<&Link> {
        self.links.get(&index)
    }

    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    pub fn named(&self, name: &str) -> Option<&Link> {
        self.links.get(self.names.get(name)?)
    }

    /// Whether there is such an interface and it counts as up: what trackers go by.
    pub fn is_up(&self, name: &str) -> bool {
        self.named(name).is_some_and(|link| self.debounce.seen(link.index, link.up()))
    }

    pub fn put_address(&mut self, address: HostAddress) {
        let key = (address.interface, address.address, address.prefix);
        let at = *self.places.entry(key).or_insert_with(|| {
            self.arrivals += 1;
            self.arrivals
        });
        self.addresses.insert((address.interface, at), address);
    }

    pub fn remove_address(&mut self, address: &HostAddress) {
        if let Some(at) = self.places.remove(&(address.interface, address.address, address.prefix)) {
            self.addresses.remove(&(address.interface, at));
        }
    }

    pub fn has(&self, interface: IfIndex, address: IpAddr, prefix: u8) -> bool {
        self.places.contains_key(&(interface, address, prefix))
    }

    /// Whether the interface has any address of a family.
    pub fn has_family(&self, interface: IfIndex, family: Family) -> bool {
        let mut here = self.addresses.range((interface, 0)..=(interface, u64::MAX));
        here.any(|(_, it)| Family::of(it.address) == family)
    }

    /// Whether a source address is usable, on one interface or on any.
    pub fn has_source(&self, interface: Option<IfIndex>, address: IpAddr) -> bool {
        match interface {
            Some(index) => self
                .places
                .range((index, address, 0)..=(index, address, u8::MAX))
                .filter_map(|(_, at)| self.addresses.get(&(index, *at)))
                .any(|found| !found.tentative),
            None => self.addresses.values().any(|found| found.address == address && !found.tentative),
        }
    }

    /// The address that adverts are sent from: for IPv4 the first that is neither secondary nor refused by `ours`,
    /// for IPv6 the first link-local one (RFC 9568 section 5.1.2.1).
    pub fn primary(&self, interface: IfIndex, family: Family, ours: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let mut here = self.addresses.range((interface, 0)..=(interface, u64::MAX)).map(|(_, address)| address);
        here.find(|candidate| {
            let fit = match candidate.address {
                IpAddr::V4(_) => family == Family::V4 && !candidate.secondary,
                IpAddr::V6(address) => family == Family::V6 && address.is_unicast_link_local(),
            };
            fit && !candidate.tentative && !ours(candidate.address)
        })
        .map(|candidate| candidate.address)
    }
}
