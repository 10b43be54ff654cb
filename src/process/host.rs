//! The host as the configuration's checks should see it: without the addresses that this daemon itself put there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};

use crate::conf::host::{Identity, Interface};
use crate::conf::model::Config;
use crate::conf::{Host, LocalHost};
use crate::netlink::route::Monitor;

/// This host, less the addresses that carry our mark: a virtual address that we hold now is no address of the host.
pub struct HostWithoutOurs {
    interfaces: Vec<Interface>,
    modules: Option<Modules>,
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
        HostWithoutOurs { interfaces, modules: None }
    }

    /// Also asks which kernel modules there are: for people who want to know, not for the start of a daemon.
    pub fn with_modules(self) -> HostWithoutOurs {
        HostWithoutOurs { modules: Some(Modules::look()), ..self }
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
    fn reaches(&self, address: IpAddr) -> bool {
        LocalHost.reaches(address)
    }
    fn has_module(&self, name: &str) -> Option<bool> {
        self.modules.as_ref()?.has(name)
    }
}

/// Kernel modules.
pub struct Modules {
    /// Loaded or built in.
    pub loaded: BTreeSet<String>,
    /// Those that could be; `None`: nothing is known of this kernel's.
    pub loadable: Option<BTreeSet<String>>,
}

impl Modules {
    pub fn look() -> Modules {
        let modules = std::fs::read_to_string("/proc/modules").unwrap_or_default();
        let names = modules.lines().filter_map(|line| line.split_whitespace().next());
        let mut loaded: BTreeSet<String> = names.map(str::to_owned).collect();
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let directory = Path::new("/lib/modules").join(release.trim());
        let list = |name: &str| std::fs::read_to_string(directory.join(name)).ok();
        let built_in = list("modules.builtin").unwrap_or_default();
        loaded.extend(built_in.lines().map(module));
        Modules { loaded, loadable: list("modules.dep").map(|dep| dep.lines().map(module).collect()) }
    }

    /// Whether a module is there, or can be loaded; `None` when that cannot be known.
    fn has(&self, name: &str) -> Option<bool> {
        let there = self.loaded.contains(name) || (name == "ip_vs" && Path::new("/proc/net/ip_vs").exists());
        if there { Some(true) } else { self.loadable.as_ref().map(|loadable| loadable.contains(name)) }
    }
}

/// `kernel/net/netfilter/ipvs/ip_vs_wlc.ko.xz: ...` is `ip_vs_wlc`.
fn module(line: &str) -> String {
    let path = line.split(':').next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    file.split(".ko").next().unwrap_or_default().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_known_by_their_files() {
        assert_eq!(
            module("kernel/net/netfilter/ipvs/ip_vs_wlc.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko.xz"),
            "ip_vs_wlc"
        );
        assert_eq!(module("kernel/drivers/net/dummy-x.ko"), "dummy_x");
        assert_eq!(module(""), "");
    }

    #[test]
    fn a_module_is_there_or_can_be_loaded_or_nobody_knows() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let modules = Modules { loaded: names(&["macvlan"]), loadable: Some(names(&["ipvlan"])) };
        let found = ["macvlan", "ipvlan", "no_such_module"].map(|name| modules.has(name));
        assert_eq!(found, [Some(true), Some(true), Some(false)]);
        assert_eq!(Modules { loadable: None, ..modules }.has("ipvlan"), None);
    }
}
