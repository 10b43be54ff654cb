//! The host as the configuration's checks should see it: without the addresses that this daemon itself put there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use nix::unistd::{Gid, Group, Uid, User};

use crate::conf::host::{Identity, Interface};
use crate::conf::model::Config;
use crate::conf::{Host, LocalHost};
use crate::netlink::route::Monitor;

/// This host, less the addresses that carry our mark: a virtual address that we hold now is no address of the host.
pub struct HostWithoutOurs {
    interfaces: Vec<Interface>,
}

impl HostWithoutOurs {
    pub fn look() -> HostWithoutOurs {
        let mut interfaces = LocalHost.interfaces();
        if let Ok(mut monitor) = Monitor::open(None) {
            let mut events = Vec::new();
            // Without an answer nothing is left out, and a check may warn of what is ours.
            let _ = monitor.dump(&mut events);
            let links: Vec<_> = monitor.links().map(|link| (link.name.clone(), link.index)).collect();
            for interface in &mut interfaces {
                let Some((_, index)) = links.iter().find(|(name, _)| *name == interface.name) else { continue };
                interface.addresses.retain(|(address, prefix)| !monitor.is_marked(*index, *address, *prefix));
            }
        }
        HostWithoutOurs { interfaces }
    }
}

/// Names of the users and groups that a configuration runs scripts as, or gives FIFOs to.
pub fn names(config: &Config) -> (BTreeMap<u32, String>, BTreeMap<u32, String>) {
    let fifos = &config.global.fifos;
    let owners = [&fifos.both, &fifos.vrrp, &fifos.checks].into_iter().flatten().filter_map(|fifo| fifo.owner);
    let ids: Vec<(u32, u32)> = config.scripts.iter().map(|script| (script.uid, script.gid)).chain(owners).collect();
    let user = |uid: u32| Some((uid, User::from_uid(Uid::from_raw(uid)).ok()??.name));
    let group = |gid: u32| Some((gid, Group::from_gid(Gid::from_raw(gid)).ok()??.name));
    (ids.iter().filter_map(|(uid, _)| user(*uid)).collect(), ids.iter().filter_map(|(_, gid)| group(*gid)).collect())
}

impl Host for HostWithoutOurs {
    fn interfaces(&self) -> Vec<Interface> {
        self.interfaces.clone()
    }
    fn user(&self, name: &str) -> Option<Identity> {
        LocalHost.user(name)
    }
    fn group(&self, name: &str) -> Option<u32> {
        LocalHost.group(name)
    }
    fn own_identity(&self) -> Identity {
        LocalHost.own_identity()
    }
    fn pattern_error(&self, pattern: &str, options: &[String]) -> Option<String> {
        LocalHost.pattern_error(pattern, options)
    }
    fn host_name(&self) -> String {
        LocalHost.host_name()
    }
    fn environment(&self, name: &str) -> Option<String> {
        LocalHost.environment(name)
    }
    fn resolve(&self, name: &str) -> Option<IpAddr> {
        LocalHost.resolve(name)
    }
}
