//! Interfaces that instances have made for themselves: makes, keeps and deletes them, with the kernel settings that they
//! and the interfaces below need.
//!
//! Before the engine's first moment everything is made at once ([`Vmacs::begin`]). Later, some at a turn, because the
//! kernel works while the caller waits; and what is to go is deleted by a thread of its own, because then the kernel
//! waits for packets in flight.

mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use tracing::{debug, error, info, warn};

use self::settings::Settings;
use crate::clock::Instant;
use crate::conf::model::{Family, Global, VmacKind};
use crate::netlink::link::{Found, Links, Refused};
use crate::netlink::nft::Port;
use crate::netlink::route::NetEvent;
use crate::vrrp::io::{IfIndex, WantedVmac};

/// Hears what the packet filter is to know.
pub type Filter<'a> = &'a mut dyn FnMut(BTreeSet<Port>);

/// Interfaces made in one turn of the loop: some milliseconds.
const PER_TURN: usize = 8;

/// More are told together.
const TOLD_EACH: usize = 16;

/// What the kernel refused, and what somebody else deletes again and again, is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Vmacs {
    links: Option<Links>,
    /// By name.
    wanted: BTreeMap<String, WantedVmac>,
    /// Those that are there, as they were wanted when they were made or taken over.
    there: BTreeMap<String, There>,
    /// When each was made last: one that does not stay is not made in every turn.
    made_at: BTreeMap<String, Instant>,
    /// Complaints that were made already.
    told: BTreeSet<String>,
    work_at: Option<Instant>,
    /// An alias by which interfaces of a predecessor are known.
    mark: String,
    settings: Settings,
    /// What was refused since it was asked for last.
    refused: Vec<Refused>,
}

struct There {
    wanted: WantedVmac,
    index: IfIndex,
}

impl Vmacs {
    pub fn new(global: &Global) -> Vmacs {
        let mark = match &global.instance {
            None => "keepwatch".to_owned(),
            Some(instance) => format!("keepwatch {instance}"),
        };
        Vmacs { mark, ..Vmacs::default() }
    }

    pub fn configure(&mut self, global: &Global, now: Instant) {
        let silent = self.settings.is_igmp_silent();
        self.settings.local_igmp(global.disable_local_igmp);
        if silent != self.settings.is_igmp_silent() {
            self.work_at = Some(now);
        }
    }

    /// Makes all of them now, and deletes what a predecessor made and nobody wants any more. `filter` hears what the packet
    /// filter is to know, before anything comes up that would send.
    pub fn begin(&mut self, wanted: BTreeSet<WantedVmac>, filter: Filter<'_>, now: Instant) {
        self.wanted = by_name(wanted);
        if let Err(error) = self.remove_leftovers() {
            warn!("cannot look for virtual interfaces that an earlier run left behind: {error}");
        }
        self.work(usize::MAX, filter, now);
    }

    /// The complete set from now on.
    pub fn want(&mut self, wanted: Vec<WantedVmac>, now: Instant) {
        self.wanted = by_name(wanted);
        let unwanted = |there: &There| match self.wanted.get(&there.wanted.name) {
            None => true,
            Some(wanted) => !same_interface(wanted, &there.wanted),
        };
        let names: Vec<String> =
            self.there.values().filter(|it| unwanted(it)).map(|it| it.wanted.name.clone()).collect();
        let gone: Vec<There> = names.iter().filter_map(|name| self.there.remove(name)).collect();
        let (replaced, gone): (Vec<There>, Vec<There>) =
            gone.into_iter().partition(|it| self.wanted.contains_key(&it.wanted.name));
        // The name must be free before the next one can have it.
        for it in &replaced {
            self.made_at.remove(&it.wanted.name);
        }
        self.delete_now(replaced);
        delete_aside(gone);
        self.work_at = Some(now);
    }

    /// Learns of interfaces that went away or were renamed by somebody else.
    pub fn note(&mut self, event: &NetEvent, now: Instant) {
        let (index, name) = match event {
            NetEvent::LinkGone(index) => (*index, None),
            NetEvent::Link(link) => (link.index, Some(&link.name)),
            NetEvent::Address(_) | NetEvent::AddressGone(_) => return,
        };
        let lost = |it: &&There| it.index == index && name != Some(&it.wanted.name);
        let Some(lost) = self.there.values().find(lost).map(|it| it.wanted.name.clone()) else { return };
        if let Some(there) = self.there.remove(&lost)
            && let Some(name) = name
        {
            warn!("{lost} was renamed {name} by somebody else: it is deleted and made again");
            self.delete_now(vec![there]);
        }
        let before = self.made_at.get(&lost).copied();
        let at = before.map_or(now, |before| (before + AGAIN).max(now));
        self.work_at = Some(self.work_at.map_or(at, |work_at| work_at.min(at)));
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.work_at
    }

    /// Whether each that is wanted was tried to be made.
    pub fn tried(&self, now: Instant) -> bool {
        self.missing(now).next().is_none()
    }

    /// What the kernel has refused since this was asked last.
    pub fn take_refused(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.refused)
    }

    /// Makes what is missing, if it is time.
    pub fn turn(&mut self, filter: Filter<'_>, now: Instant) {
        if self.work_at.is_some_and(|at| at <= now) {
            self.work_at = None;
            self.work(PER_TURN, filter, now);
        }
    }

    /// What the packet filter is to know.
    fn ports(&self) -> BTreeSet<Port> {
        let macvlans = self.there.values().filter(|it| matches!(it.wanted.kind, VmacKind::Macvlan { .. }));
        // Without reports there is nothing to filter.
        let silent = self.settings.is_igmp_silent();
        let ports = macvlans.map(|it| Port { family: it.wanted.family, interface: it.index, base: it.wanted.base });
        ports.filter(|port| !(silent && port.family == Family::V4)).collect()
    }

    /// Deletes all, unless addresses are to stay, and puts the settings of other interfaces back.
    pub fn close(&mut self, keep: bool) {
        if keep {
            return;
        }
        let all = std::mem::take(&mut self.there).into_values().collect();
        self.delete_now(all);
        self.settings.restore();
    }

    fn missing(&self, now: Instant) -> impl Iterator<Item = &WantedVmac> {
        let rests = move |name: &String| self.made_at.get(name).is_some_and(|at| now.since(*at) < AGAIN);
        self.wanted.values().filter(move |it| !self.there.contains_key(&it.name) && !rests(&it.name))
    }

    /// Those whose own address is another than the one they got.
    fn misaddressed(&self) -> Vec<WantedVmac> {
        let other = |it: &&WantedVmac| self.there.get(&it.name).is_some_and(|there| there.wanted.own != it.own);
        self.wanted.values().filter(other).cloned().collect()
    }

    fn work(&mut self, most: usize, filter: Filter<'_>, now: Instant) {
        for wanted in self.misaddressed() {
            self.readdress(&wanted);
        }
        let missing: Vec<WantedVmac> = self.missing(now).take(most).cloned().collect();
        if !missing.is_empty()
            && let Err(error) = self.make(&missing, filter, now)
        {
            error!("cannot make virtual interfaces, trying again soon: {error}");
            self.work_at = Some(now + AGAIN);
        }
        filter(self.ports());
        self.settle_settings();
        if self.missing(now).next().is_some() {
            self.work_at = Some(now);
        } else if self.wanted.keys().any(|name| !self.there.contains_key(name)) {
            self.work_at = Some(self.work_at.map_or(now + AGAIN, |at| at.min(now + AGAIN)));
        }
    }

    fn links(&mut self) -> std::io::Result<&mut Links> {
        if self.links.is_none() {
            self.links = Some(Links::open()?);
        }
        self.links.as_mut().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }

    fn make(&mut self, missing: &[WantedVmac], filter: Filter<'_>, now: Instant) -> std::io::Result<()> {
        for wanted in missing {
            self.made_at.insert(wanted.name.clone(), now);
        }
        let found = self.links()?.list()?;
        let by_name: BTreeMap<&str, &Found> = found.iter().map(|it| (it.name.as_str(), it)).collect();
        let vrfs: BTreeSet<IfIndex> =
            found.iter().filter(|it| it.kind.as_deref() == Some("vrf")).map(|it| it.index).collect();
        let (mut new, mut adopted, mut stale) = (Vec::new(), Vec::new(), Vec::new());
        // A base that is gone is news that the engine has not read yet.
        for wanted in missing.iter().filter(|it| found.iter().any(|there| there.index == it.base)) {
            match by_name.get(wanted.name.as_str()) {
                None => new.push(wanted),
                Some(there) if there.is(wanted) => adopted.push(wanted),
                Some(there) if there.alias.as_deref() == Some(&self.mark) => {
                    stale.push((there.index, there.name.clone()));
                    new.push(wanted);
                }
                Some(_) => {
                    let text = "exists and is not what use_vmac would make there: rename or delete it".to_owned();
                    self.complain(&format!("{} {text}", wanted.name));
                    self.refused.push(Refused { name: wanted.name.clone(), errno: libc::EEXIST, text });
                }
            }
        }
        let mark = self.mark.clone();
        let links = self.links()?;
        let mut refused = links.delete(&stale)?;
        let with_masters: Vec<(&WantedVmac, Option<IfIndex>)> = new
            .iter()
            .map(|wanted| {
                let base = found.iter().find(|it| it.index == wanted.base);
                (*wanted, base.and_then(|base| base.master).filter(|master| vrfs.contains(master)))
            })
            .collect();
        refused.extend(links.make(&with_masters)?);
        let mut standing: Vec<&WantedVmac> = adopted.iter().chain(&new).copied().collect();
        standing.retain(|wanted| refused.iter().all(|it| it.name != wanted.name));
        refused.extend(links.set_up(&standing, &mark)?);
        standing.iter().for_each(|wanted| settings::set_up(wanted));
        standing.retain(|wanted| refused.iter().all(|it| it.name != wanted.name));
        for wanted in &standing {
            if let Ok(index) = if_nametoindex(wanted.name.as_str()) {
                let without = WantedVmac { own: None, ..(*wanted).clone() };
                self.there.insert(wanted.name.clone(), There { wanted: without, index });
            }
        }
        filter(self.ports());
        let not_up = self.links()?.bring_up(&standing)?;
        for refusal in &not_up {
            self.there.remove(&refusal.name);
        }
        for refusal in refused.iter().chain(&not_up) {
            self.tell(refusal);
        }
        standing.retain(|wanted| self.there.contains_key(&wanted.name));
        for wanted in &standing {
            let verb = if adopted.iter().any(|it| it.name == wanted.name) { "taken over" } else { "made" };
            match standing.len() {
                0..=TOLD_EACH => info!("interface {} {verb} for a virtual router", wanted.name),
                _ => debug!("interface {} {verb} for a virtual router", wanted.name),
            }
            self.told.retain(|text| !text.starts_with(&wanted.name));
            self.readdress(wanted);
        }
        if standing.len() > TOLD_EACH {
            info!("{} interfaces made or taken over for virtual routers", standing.len());
        }
        Ok(())
    }

    /// Gives an interface the address of its own that it is to have, and takes the one it had.
    fn readdress(&mut self, wanted: &WantedVmac) {
        let Some(there) = self.there.get_mut(&wanted.name) else { return };
        let (index, before) = (there.index, std::mem::replace(&mut there.wanted.own, wanted.own));
        let changes = before.map(|it| (it, false)).into_iter().chain(wanted.own.map(|it| (it, true)));
        for ((address, prefix), give) in changes {
            match self.links().and_then(|links| links.address(&wanted.name, index, address, prefix, give)) {
                Ok(refused) => refused.iter().for_each(|it| self.tell(it)),
                Err(error) => warn!("cannot give {} the address {address}: {error}", wanted.name),
            }
        }
    }

    /// The interfaces below must not answer for what the ones above them have.
    fn settle_settings(&mut self) {
        let v4 = self.there.values().filter(|it| it.wanted.family == Family::V4);
        let macvlans = v4.filter(|it| matches!(it.wanted.kind, VmacKind::Macvlan { .. }));
        let bases: BTreeSet<IfIndex> = macvlans.map(|it| it.wanted.base).collect();
        let ours = self.there.keys().cloned().collect();
        self.settings.bases(&bases, &ours);
    }

    fn remove_leftovers(&mut self) -> std::io::Result<()> {
        let mark = self.mark.clone();
        let links = self.links()?;
        let ours = links.list()?.into_iter().filter(|it| it.alias.as_deref() == Some(&mark));
        let left: Vec<(IfIndex, String)> =
            ours.filter(|it| !self.wanted.contains_key(&it.name)).map(|it| (it.index, it.name)).collect();
        if !left.is_empty() {
            info!("removing {} virtual interfaces that an earlier run left behind", left.len());
            for refusal in self.links()?.delete(&left)? {
                self.tell(&refusal);
            }
        }
        Ok(())
    }

    fn delete_now(&mut self, those: Vec<There>) {
        if those.is_empty() {
            return;
        }
        match self.links().and_then(|links| links.delete(&places(those))) {
            Ok(refused) => refused.iter().for_each(|it| self.tell(it)),
            Err(error) => warn!("cannot delete virtual interfaces: {error}"),
        }
    }

    fn tell(&mut self, refused: &Refused) {
        let hint = if refused.errno == libc::EOPNOTSUPP { " (is the module macvlan or ipvlan missing?)" } else { "" };
        self.complain(&format!("{}: {}{hint}", refused.name, refused.text));
        self.refused.push(Refused { name: refused.name.clone(), errno: refused.errno, text: refused.text.clone() });
    }

    /// Once, as long as it is so.
    fn complain(&mut self, text: &str) {
        if self.told.insert(text.to_owned()) {
            error!("virtual interface {text}");
        }
    }
}

fn by_name(wanted: impl IntoIterator<Item = WantedVmac>) -> BTreeMap<String, WantedVmac> {
    wanted.into_iter().map(|it| (it.name.clone(), it)).collect()
}

/// But for the address that it has of its own.
fn same_interface(left: &WantedVmac, right: &WantedVmac) -> bool {
    let key = |it: &WantedVmac| (it.base, it.family, it.kind, it.group);
    key(left) == key(right)
}

fn places(those: Vec<There>) -> Vec<(IfIndex, String)> {
    those.into_iter().map(|it| (it.index, it.wanted.name)).collect()
}

fn delete_aside(those: Vec<There>) {
    if those.is_empty() {
        return;
    }
    let those = places(those);
    let work = move || match Links::open().and_then(|mut links| links.delete(&those)) {
        Ok(refused) => {
            for it in refused {
                warn!("cannot delete virtual interface {}: {}", it.name, it.text);
            }
        }
        Err(error) => warn!("cannot delete virtual interfaces: {error}"),
    };
    if let Err(error) = std::thread::Builder::new().name("vmac".to_owned()).spawn(work) {
        warn!("cannot delete virtual interfaces: {error}");
    }
}
