//! Kernel settings (sysctl) around virtual MACs: what is set, and put back when nobody needs it any more.
//!
//! Settings of the interfaces that we make go by netlink where it knows them ([`Links::set_up`]); the rest is here.
//!
//! [`Links::set_up`]: crate::netlink::link::Links::set_up

use std::collections::{BTreeMap, BTreeSet};

use nix::net::if_::if_indextoname;
use tracing::{info, warn};

use crate::conf::model::{Family, VmacKind};
use crate::vrrp::io::{IfIndex, WantedVmac};

const V4: &str = "/proc/sys/net/ipv4";
const V6: &str = "/proc/sys/net/ipv6";

/// The interface below answers ARP only for what it has itself, and only where answers would leave by it; and it does not
/// ask with a virtual address in its mouth, or neighbours would learn the card's MAC for it (RFC 9568 section 8.1.2).
/// Keepalived sets the first two.
const BELOW: [(&str, &str); 3] = [("arp_ignore", "1"), ("arp_filter", "1"), ("arp_announce", "2")];

#[derive(Default)]
pub struct Settings {
    /// By path: what was there before, and what we put in its place.
    changed: BTreeMap<String, (String, &'static str)>,
    below: BTreeSet<IfIndex>,
    names: BTreeMap<IfIndex, String>,
    /// Reverse path filtering is no longer that of all interfaces.
    each_for_itself: bool,
    local_igmp_off: bool,
}

impl Settings {
    /// Exactly these interfaces have virtual MACs for IPv4 above them; `ours` are the ones above.
    pub fn bases(&mut self, bases: &BTreeSet<IfIndex>, ours: &BTreeSet<String>) {
        for index in self.below.difference(bases).copied().collect::<Vec<_>>() {
            self.below.remove(&index);
            let Some(name) = self.names.remove(&index) else { continue };
            for (setting, _) in BELOW {
                self.put_back(&format!("{V4}/conf/{name}/{setting}"));
            }
        }
        for index in bases.difference(&self.below).copied().collect::<Vec<_>>() {
            let Some(name) = name_of(index) else { continue };
            for (setting, value) in BELOW {
                self.set(format!("{V4}/conf/{name}/{setting}"), value, |before| before < value);
            }
            self.names.insert(index, name);
            self.below.insert(index);
        }
        match (bases.is_empty(), self.each_for_itself) {
            (false, false) => self.filter_each(ours),
            (true, true) => self.filter_all(),
            _ => {}
        }
    }

    /// `disable_local_igmp`.
    pub fn local_igmp(&mut self, off: bool) {
        let path = format!("{V4}/igmp_link_local_mcast_reports");
        if off && !self.local_igmp_off {
            self.set(path, "0", |before| before != "0");
        } else if !off && self.local_igmp_off {
            self.put_back(&path);
        }
        self.local_igmp_off = off;
    }

    pub fn is_igmp_silent(&self) -> bool {
        self.local_igmp_off
    }

    pub fn restore(&mut self) {
        let paths: Vec<String> = self.changed.keys().cloned().collect();
        paths.iter().for_each(|path| self.put_back(path));
        self.below.clear();
        self.each_for_itself = false;
    }

    /// The kernel takes the stricter of `all` and an interface's own, and packets to a virtual MAC come in where no answer
    /// leaves. So what `all` says becomes what each of the others says.
    fn filter_each(&mut self, ours: &BTreeSet<String>) {
        self.each_for_itself = true;
        let all = format!("{V4}/conf/all/rp_filter");
        let strict = match read(&all).as_deref() {
            Some("1") => "1",
            Some("2") => "2",
            _ => return,
        };
        let interfaces = std::fs::read_dir(format!("{V4}/conf")).into_iter().flatten().flatten();
        for name in interfaces.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
            if name != "all" && !ours.contains(&name) {
                self.set(format!("{V4}/conf/{name}/rp_filter"), strict, |before| before == "0");
            }
        }
        info!("net.ipv4.conf.all.rp_filter {strict} now holds for each interface but those of virtual MACs");
        self.set(all, "0", |_| true);
    }

    fn filter_all(&mut self) {
        self.each_for_itself = false;
        let is_filter = |path: &&String| path.ends_with("/rp_filter");
        let paths: Vec<String> = self.changed.keys().filter(is_filter).cloned().collect();
        paths.iter().for_each(|path| self.put_back(path));
    }

    fn set(&mut self, path: String, value: &'static str, wanted: impl Fn(&str) -> bool) {
        let Some(before) = read(&path).filter(|before| wanted(before)) else { return };
        match std::fs::write(&path, value) {
            // The first one counts: an interface that comes back has its old settings no more.
            Ok(()) => drop(self.changed.entry(path).or_insert((before, value))),
            Err(error) => warn!("cannot set {path} to {value}: {error}"),
        }
    }

    /// Unless somebody else has changed it since.
    fn put_back(&mut self, path: &str) {
        let Some((before, ours)) = self.changed.remove(path) else { return };
        if read(path).as_deref() == Some(ours)
            && let Err(error) = std::fs::write(path, &before)
        {
            warn!("cannot set {path} back to {before}: {error}");
        }
    }
}

/// What an interface of ours needs before it comes up and netlink cannot say.
pub fn set_up(wanted: &WantedVmac) {
    let name = &wanted.name;
    match (wanted.family, wanted.kind) {
        (Family::V4, _) => write(&format!("{V6}/conf/{name}/disable_ipv6"), "1"),
        (Family::V6, VmacKind::Macvlan { .. }) => {
            // A router's virtual interface takes no address and no route from another router.
            write(&format!("{V6}/conf/{name}/accept_ra"), "0");
            write(&format!("{V6}/conf/{name}/autoconf"), "0");
        }
        (Family::V6, VmacKind::Ipvlan { .. }) => {}
    }
}

/// There is no such file where there is no IPv6.
fn write(path: &str, value: &str) {
    let _ = std::fs::write(path, value);
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn name_of(index: IfIndex) -> Option<String> {
    if_indextoname(index).ok()?.into_string().ok()
}
