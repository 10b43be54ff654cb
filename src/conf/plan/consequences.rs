//! What changes cost: masterships, addresses, servers.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::{Consequence, Pooled};
use crate::conf::diff::{Change, Edit, How, Object, What};
use crate::conf::model::{Address, Config, Instance, InstanceName, ServiceKey, VirtualServer};

/// Directives that make another virtual router of an instance.
const IDENTITY: [&str; 10] = [
    "interface",
    "virtual_router_id",
    "family",
    "version",
    "vrf",
    "use_vmac",
    "use_ipvlan",
    "vmac_xmit_base",
    "use_vmac_addr",
    "mcast_dst_ip",
];

/// Settings that a process reads when it starts.
const AT_START: [&str; 20] = [
    "net_namespace",
    "instance",
    "use_pid_dir",
    "net_namespace_ipvs",
    "lvs_netlink_cmd_rcv_bufs",
    "lvs_netlink_monitor_rcv_bufs",
    "vrrp_netlink_cmd_rcv_bufs",
    "vrrp_netlink_monitor_rcv_bufs",
    "nftables",
    "nftables_priority",
    "nftables_counters",
    "vrrp_priority",
    "vrrp_rt_priority",
    "vrrp_rlimit_rttime",
    "vrrp_no_swap",
    "vrrp_cpu_affinity",
    "checker_priority",
    "checker_rt_priority",
    "checker_no_swap",
    "checker_cpu_affinity",
];

pub(super) fn of(old: &Config, new: &Config, changes: &[Change]) -> Vec<Consequence> {
    let known = Known::new(old, new);
    let mut out = Vec::new();
    // A pool is looked at once, however many of its servers change.
    let mut pools: HashSet<&ServiceKey> = HashSet::new();
    for change in changes {
        match (&change.object, &change.what) {
            (Object::Global, What::Changed(edits)) => {
                let waits = edits.iter().filter(|edit| AT_START.contains(&&*edit.keyword));
                out.extend(waits.map(|edit| Consequence::WaitsForRestart { keyword: edit.keyword.to_string() }));
            }
            (Object::Statics, What::Changed(_)) => {
                let gone = old.static_addresses.iter().filter(|it| !known.stays(it));
                out.extend(gone.map(|it| Consequence::AddressRemoved { instance: None, address: shown(it) }));
            }
            (Object::Instance(name), What::Removed { .. }) => {
                if let Some(instance) = known.old_instances.get(name) {
                    let addresses = held(instance).count().try_into().unwrap_or(u32::MAX);
                    out.push(Consequence::InstanceRemoved { instance: name.clone(), addresses });
                }
            }
            (Object::Instance(name), What::Changed(edits)) => known.instance(name, edits, &mut out),
            (Object::Service(key), What::Removed { .. }) => {
                out.push(Consequence::ServiceRemoved { service: key.clone() });
            }
            (Object::Service(key), What::Changed(edits)) if edits.iter().any(about_quorum) && pools.insert(key) => {
                known.pool(key, &mut out);
            }
            (Object::Server(key), what) => {
                let lowered = match what {
                    What::Removed { .. } => {
                        out.push(Consequence::ServerRemoved { server: key.clone() });
                        true
                    }
                    What::Changed(edits) => weight_lowered(edits).is_some_and(|new| {
                        if new == 0 {
                            out.push(Consequence::ServerDrained { server: key.clone() });
                        }
                        true
                    }),
                    What::Added { .. } | What::Reordered => false,
                };
                if lowered && !key.sorry && pools.insert(&key.service) {
                    known.pool(&key.service, &mut out);
                }
            }
            _ => {}
        }
    }
    out
}

struct Known<'a> {
    old_instances: HashMap<&'a InstanceName, &'a Instance>,
    new_instances: HashMap<&'a InstanceName, &'a Instance>,
    old_services: HashMap<&'a ServiceKey, &'a VirtualServer>,
    new_services: HashMap<&'a ServiceKey, &'a VirtualServer>,
    /// Addresses that the new configuration has, and who holds them; `None`: they are static.
    new_addresses: HashMap<(IpAddr, &'a str), Option<&'a InstanceName>>,
}

impl<'a> Known<'a> {
    fn new(old: &'a Config, new: &'a Config) -> Known<'a> {
        let instances = |of: &'a Config| of.instances.iter().map(|it| (&it.name, it)).collect();
        let services = |of: &'a Config| of.services.iter().map(|it| (&it.key, it)).collect();
        let moving = new.instances.iter().flat_map(|it| held(it).map(move |address| (place(address), Some(&it.name))));
        let all = moving.chain(new.static_addresses.iter().map(|address| (place(address), None)));
        Known {
            old_instances: instances(old),
            new_instances: instances(new),
            old_services: services(old),
            new_services: services(new),
            new_addresses: all.collect(),
        }
    }

    /// Whether a static address is on the host afterwards as well, if whoever holds it then is MASTER.
    fn stays(&self, address: &Address) -> bool {
        self.new_addresses.contains_key(&place(address))
    }

    /// What becomes of an instance's address.
    fn address(&self, instance: &InstanceName, address: &Address) -> Option<Consequence> {
        let from = instance.clone();
        match self.new_addresses.get(&place(address)) {
            None => Some(Consequence::AddressRemoved { instance: Some(from), address: shown(address) }),
            Some(Some(to)) if *to != instance => {
                Some(Consequence::AddressMoves { from, to: (*to).clone(), address: shown(address) })
            }
            Some(_) => None,
        }
    }

    fn instance(&self, name: &InstanceName, edits: &[Edit], out: &mut Vec<Consequence>) {
        let (Some(old), Some(new)) = (self.old_instances.get(name), self.new_instances.get(name)) else { return };
        let instance = || name.clone();
        let mut because: Vec<String> = Vec::new();
        for edit in edits.iter().filter(|edit| IDENTITY.contains(&&*edit.keyword)) {
            let keyword = edit.keyword.to_string();
            // From multicast to unicast, or back, is told by what there is now.
            let keyword = match (&*keyword, &edit.how) {
                ("mcast_dst_ip", How::Unset(_)) => "unicast_peer".to_owned(),
                _ => keyword,
            };
            if !because.contains(&keyword) {
                because.push(keyword);
            }
        }
        if !because.is_empty() {
            out.push(Consequence::InstanceRestarts { instance: instance(), because });
        }
        if new.priority < old.priority {
            let (old, new) = (old.priority.get(), new.priority.get());
            out.push(Consequence::PriorityLowered { instance: instance(), old, new });
        }
        out.extend(held(old).filter_map(|it| self.address(name, it)));
    }

    fn pool(&self, key: &ServiceKey, out: &mut Vec<Consequence>) {
        let (Some(old), Some(new)) = (self.old_services.get(key), self.new_services.get(key)) else { return };
        let weights = |of: &VirtualServer| of.servers.iter().map(|it| u64::from(it.weight)).sum::<u64>();
        if weights(new) == 0 {
            if weights(old) > 0 {
                let sorry = new.sorry.is_some();
                out.push(Consequence::ServiceEmptied { service: key.clone(), sorry });
            }
            return;
        }
        let before: HashSet<(IpAddr, u16)> = old.servers.iter().map(|it| (it.address, it.port)).collect();
        let pooled = |it: &crate::conf::model::RealServer| Pooled {
            server: new.server_key(it),
            weight: it.weight,
            starts_up: !before.contains(&(it.address, it.port))
                && !it.alpha
                && !it.checkers.iter().any(|checker| checker.alpha),
        };
        let pool = new.servers.iter().map(pooled).collect();
        out.push(Consequence::PoolShrinks { service: key.clone(), quorum: new.quorum, pool });
    }
}

fn held(instance: &Instance) -> impl Iterator<Item = &Address> {
    instance.addresses.iter().chain(&instance.excluded)
}

fn place(address: &Address) -> (IpAddr, &str) {
    (address.address, &address.interface)
}

fn shown(address: &Address) -> String {
    format!("{}/{} dev {}", address.address, address.prefix, address.interface)
}

fn about_quorum(edit: &Edit) -> bool {
    matches!(&*edit.keyword, "quorum" | "hysteresis")
}

/// The new weight, if it is a smaller one.
fn weight_lowered(edits: &[Edit]) -> Option<u32> {
    let edit = edits.iter().find(|edit| edit.keyword == "weight")?;
    let How::Changed { old, new } = &edit.how else { return None };
    let (old, new): (u32, u32) = (old.parse().ok()?, new.parse().ok()?);
    (new < old).then_some(new)
}
