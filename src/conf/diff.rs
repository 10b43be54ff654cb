//! What changed between two configurations, as far as a running daemon can act on it, keyed by name.

use super::model::{Address, Config, Instance, InstanceName};

/// One difference. What is not named did not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Settings of the whole daemon differ.
    Global,
    InstanceAdded(Box<Instance>),
    InstanceRemoved(Box<Instance>),
    InstanceChanged(Box<InstanceChange>),
    StaticAdded(Address),
    StaticRemoved(Address),
    /// The same instances in another order: the rows of the MIB are numbered anew.
    Order(Vec<InstanceName>),
}

/// An instance that both configurations have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceChange {
    pub name: InstanceName,
    pub old: Instance,
    pub new: Instance,
    /// Never empty.
    pub aspects: Vec<Aspect>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aspect {
    /// Interface, VRID, family, version or transport: the machine starts anew.
    Identity,
    Priority,
    /// Announced or excluded addresses.
    Addresses {
        added: Vec<Address>,
        removed: Vec<Address>,
    },
    /// An address is announced now and was excluded before, or the other way round, or the order differs.
    Announced,
    Timers,
    Preempt,
    Accept,
    Authentication,
    Tracking,
    Garp,
    Notify,
    /// Anything else that takes effect without a restart of the machine.
    Other,
}

impl InstanceChange {
    /// The machine cannot go on with its state.
    pub fn needs_restart(&self) -> bool {
        self.aspects.contains(&Aspect::Identity)
    }
}

/// What has to be done to get from `old` to `new`. Removals come first.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.global != new.global {
        changes.push(Change::Global);
    }
    let find = |config: &Config, name: &InstanceName| config.instances.iter().find(|each| each.name == *name).cloned();
    for instance in &old.instances {
        if find(new, &instance.name).is_none() {
            changes.push(Change::InstanceRemoved(Box::new(instance.clone())));
        }
    }
    let (added, removed) = addresses(&old.static_addresses, &new.static_addresses);
    changes.extend(removed.into_iter().map(Change::StaticRemoved));
    changes.extend(added.into_iter().map(Change::StaticAdded));
    for instance in &new.instances {
        match find(old, &instance.name) {
            None => changes.push(Change::InstanceAdded(Box::new(instance.clone()))),
            Some(before) => {
                let aspects = aspects(&before, instance);
                if !aspects.is_empty() {
                    changes.push(Change::InstanceChanged(Box::new(InstanceChange {
                        name: instance.name.clone(),
                        old: before,
                        new: instance.clone(),
                        aspects,
                    })));
                }
            }
        }
    }
    let names = |config: &Config, other: &Config| -> Vec<InstanceName> {
        let names = config.instances.iter().map(|instance| instance.name.clone());
        names.filter(|name| find(other, name).is_some()).collect()
    };
    if names(old, new) != names(new, old) {
        changes.push(Change::Order(new.instances.iter().map(|instance| instance.name.clone()).collect()));
    }
    changes
}

fn aspects(old: &Instance, new: &Instance) -> Vec<Aspect> {
    let mut aspects = Vec::new();
    let mut when = |differs: bool, aspect: Aspect| {
        if differs {
            aspects.push(aspect);
        }
    };
    when(
        (&old.interface, old.vrid, old.family, old.version) != (&new.interface, new.vrid, new.family, new.version)
            || (&old.transport, old.source) != (&new.transport, new.source),
        Aspect::Identity,
    );
    when((old.priority, old.initial_state) != (new.priority, new.initial_state), Aspect::Priority);
    let held = |instance: &Instance| -> Vec<Address> {
        instance.addresses.iter().chain(&instance.excluded).map(placeless).collect()
    };
    let (added, removed) = addresses(&held(old), &held(new));
    when(!added.is_empty() || !removed.is_empty(), Aspect::Addresses { added, removed });
    let announced = |instance: &Instance| instance.addresses.iter().map(|each| each.address).collect::<Vec<_>>();
    when(announced(old) != announced(new), Aspect::Announced);
    when(
        (old.advert_interval, old.down_timer_adverts) != (new.advert_interval, new.down_timer_adverts),
        Aspect::Timers,
    );
    when((old.preempt, old.timer_expired_backup) != (new.preempt, new.timer_expired_backup), Aspect::Preempt);
    when((old.accept, old.strict) != (new.accept, new.strict), Aspect::Accept);
    when(old.auth != new.auth, Aspect::Authentication);
    when(
        (&old.tracked_interfaces, old.track_primary, old.track_source)
            != (&new.tracked_interfaces, new.track_primary, new.track_source),
        Aspect::Tracking,
    );
    when(old.garp != new.garp, Aspect::Garp);
    when(old.notify != new.notify, Aspect::Notify);
    // What is left: everything above made equal, do they still differ?
    let mut rest = old.clone();
    rest.location = new.location.clone();
    rest.interface = new.interface.clone();
    (rest.vrid, rest.family, rest.version) = (new.vrid, new.family, new.version);
    (rest.transport, rest.source) = (new.transport.clone(), new.source);
    (rest.priority, rest.initial_state) = (new.priority, new.initial_state);
    (rest.addresses, rest.excluded) = (new.addresses.clone(), new.excluded.clone());
    (rest.advert_interval, rest.down_timer_adverts) = (new.advert_interval, new.down_timer_adverts);
    (rest.preempt, rest.timer_expired_backup) = (new.preempt, new.timer_expired_backup);
    (rest.accept, rest.strict) = (new.accept, new.strict);
    rest.auth = new.auth.clone();
    rest.tracked_interfaces = new.tracked_interfaces.clone();
    (rest.track_primary, rest.track_source) = (new.track_primary, new.track_source);
    (rest.garp, rest.notify) = (new.garp.clone(), new.notify.clone());
    when(rest != *new, Aspect::Other);
    aspects
}

/// What only the new list has, and what only the old one has.
fn addresses(old: &[Address], new: &[Address]) -> (Vec<Address>, Vec<Address>) {
    let missing_in =
        |list: &[Address], address: &Address| list.iter().all(|each| placeless(each) != placeless(address));
    let added = new.iter().filter(|address| missing_in(old, address)).cloned().collect();
    let removed = old.iter().filter(|address| missing_in(new, address)).cloned().collect();
    (added, removed)
}

/// An address whose line moved in the file is the same address.
fn placeless(address: &Address) -> Address {
    Address { location: super::model::Location::default(), ..address.clone() }
}
