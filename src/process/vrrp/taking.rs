//! A new configuration, until the kernel has said what it thinks of the addresses that are new in it.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::bus::msg::ConfigGeneration;
use crate::clock::Instant;
use crate::conf::model::{Address, Config, InstanceName};
use crate::vrrp::io::Input;

/// How long it may take the kernel.
const PATIENCE: Duration = Duration::from_secs(1);

/// Refusals that are told; nobody reads more.
const REFUSALS_MAX: usize = 8;

/// An address and its interface.
type Place = (IpAddr, String);

#[derive(Debug, Default)]
pub(super) struct Taking {
    /// Of the configuration that was applied last.
    held: HashSet<Place>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    config: ConfigGeneration,
    until: Instant,
    /// Questions up to this one are of the configuration before: positions change hands.
    asked: u64,
    /// Those that were not in the configuration before, by their owner and their position there.
    new: HashMap<(Option<InstanceName>, u32), String>,
    refusals: Vec<String>,
}

impl Taking {
    pub(super) fn of(config: &Config) -> Taking {
        Taking { held: addresses(config).map(|(_, address)| place(address)).collect(), open: None }
    }

    /// This configuration was applied, when the kernel had been asked so many questions.
    pub(super) fn begin(&mut self, config: ConfigGeneration, new: &Config, asked: u64, now: Instant) {
        let added = addresses(new).filter(|(_, address)| !self.held.contains(&place(address)));
        let added = added
            .map(|(at, address)| (at, format!("{}/{} dev {}", address.address, address.prefix, address.interface)));
        self.open = Some(Open { config, until: now + PATIENCE, asked, new: added.collect(), refusals: Vec::new() });
        self.held = Taking::of(new).held;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.until)
    }

    /// Looks at what the kernel says. An interface that is not there, or not up, refuses nothing: its turn comes.
    pub(super) fn note(&mut self, answer: &Input<'_>) {
        let Some(open) = &mut self.open else { return };
        let Input::AddressAnswer { key, install: true, error: Some(errno) } = answer else { return };
        // Nor does a kernel that has no room just now.
        let passes = matches!(*errno, libc::ENODEV | libc::ENETDOWN | libc::ENOMEM | libc::ENOBUFS);
        if passes || key.question <= open.asked || open.refusals.len() >= REFUSALS_MAX {
            return;
        }
        if let Some(address) = open.new.get(&(key.owner.clone(), key.position)) {
            let why = std::io::Error::from_raw_os_error(*errno);
            open.refusals.push(format!("the kernel refuses address {address}: {why}"));
        }
    }

    /// Told once, when the kernel has answered everything or had its time: the configuration, and what was refused of it.
    pub(super) fn over(&mut self, idle: bool, now: Instant) -> Option<(ConfigGeneration, Vec<String>)> {
        let open = self.open.take_if(|open| idle || open.new.is_empty() || open.until <= now)?;
        Some((open.config, open.refusals))
    }
}

fn addresses(config: &Config) -> impl Iterator<Item = ((Option<InstanceName>, u32), &Address)> {
    let statics = (1..).zip(&config.static_addresses).map(|(at, address)| ((None, at), address));
    let of = |instance: &crate::conf::model::Instance| Some(instance.name.clone());
    let theirs = config.instances.iter().flat_map(move |instance| {
        let all = instance.addresses.iter().chain(&instance.excluded);
        (1..).zip(all).map(move |(at, address)| ((of(instance), at), address))
    });
    statics.chain(theirs)
}

fn place(address: &Address) -> Place {
    (address.address, address.interface.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Instant;
    use crate::conf::model::{AddressFlags, Location};
    use crate::vrrp::io::AddressKey;

    fn with(addresses: &[&str]) -> Config {
        let address = |text: &&str| Address {
            location: Location::default(),
            address: text.parse().unwrap(),
            prefix: 24,
            interface: "eth0".to_owned(),
            scope: 0,
            broadcast: None,
            label: None,
            peer: None,
            flags: AddressFlags::default(),
            preferred_lifetime: None,
            no_track: false,
        };
        Config { static_addresses: addresses.iter().map(address).collect(), ..Config::default() }
    }

    fn refused(position: u32) -> Input<'static> {
        let key = AddressKey { owner: None, position, question: 1 };
        Input::AddressAnswer { key, install: true, error: Some(libc::EINVAL) }
    }

    #[test]
    fn a_refused_address_counts_if_it_is_new() {
        let now = Instant::ZERO;
        let mut taking = Taking::of(&with(&["192.0.2.1"]));
        taking.begin(2, &with(&["192.0.2.1", "192.0.2.2"]), 0, now);
        taking.note(&refused(1));
        assert_eq!(taking.over(false, now), None, "the kernel has not answered yet");
        taking.begin(2, &with(&["192.0.2.1", "192.0.2.3"]), 1, now);
        taking.note(&refused(2));
        assert_eq!(taking.over(true, now), Some((2, vec![])), "that was the answer about another address");
        let mut taking = Taking::of(&with(&["192.0.2.1"]));
        taking.begin(2, &with(&["192.0.2.1", "192.0.2.2"]), 0, now);
        taking.note(&refused(2));
        let (config, refusals) = taking.over(true, now).unwrap();
        assert_eq!((config, refusals.len()), (2, 1));
        assert!(refusals[0].contains("192.0.2.2/24 dev eth0"), "{refusals:?}");
        assert_eq!(taking.over(true, now), None, "it is told once");
    }

    #[test]
    fn without_new_addresses_and_after_its_time_nothing_is_waited_for() {
        let now = Instant::ZERO;
        let mut taking = Taking::of(&with(&["192.0.2.1"]));
        taking.begin(2, &with(&["192.0.2.1"]), 0, now);
        assert_eq!(taking.over(false, now), Some((2, vec![])));
        taking.begin(3, &with(&["192.0.2.9"]), 0, now);
        assert_eq!(taking.deadline(), Some(now + PATIENCE));
        assert_eq!(taking.over(false, now + PATIENCE), Some((3, vec![])));
    }
}
