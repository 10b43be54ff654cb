//! A new configuration, until the kernel has said what it thinks of what is new in it: addresses, routes and rules, interfaces of
//! virtual MACs, and the filter of `no_accept`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use super::perform::Refusal;
use crate::bus::msg::ConfigGeneration;
use crate::clock::Instant;
use crate::conf::model::{Address, Config, Instance, InstanceName, Location, Placement, Route, Rule};
use crate::vrrp::io::{Input, LineKind};
use crate::vrrp::line;

/// How long it may take the kernel.
const PATIENCE: Duration = Duration::from_secs(1);

/// A route or a rule that is refused may lack an address that is on its way: it is asked for again when that has come.
const SECOND_TRY: Duration = Duration::from_millis(300);

/// Refusals that are told; nobody reads more.
const REFUSALS_MAX: usize = 8;

/// An address and its interface.
type Place = (IpAddr, String);

/// A route or a rule by its owner and its position there.
type LinePlace = (Option<InstanceName>, LineKind, u32);

/// What was in the configuration before is no news to the kernel.
#[derive(Debug, Default)]
struct Held {
    addresses: HashSet<Place>,
    /// Routes and rules without their places in the file, encoded.
    lines: HashSet<Vec<u8>>,
    /// Instances that do not accept.
    closed: HashSet<InstanceName>,
    /// Interfaces of our own.
    vmacs: HashSet<String>,
}

#[derive(Debug, Default)]
pub(super) struct Taking {
    /// Of the last configuration on which a verdict was heard.
    held: Held,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    config: ConfigGeneration,
    began: Instant,
    /// [`SECOND_TRY`] is over.
    tried: bool,
    /// Questions up to this one are of the configuration before: positions change hands.
    asked: u64,
    /// Those that were not in the configuration before, by their owner and their position there.
    addresses: HashMap<(Option<InstanceName>, u32), String>,
    /// With whether it wants to be alone there.
    lines: HashMap<LinePlace, (String, bool)>,
    vmacs: HashSet<String>,
    closes: bool,
    refusals: Vec<String>,
    refused_lines: BTreeMap<LinePlace, String>,
    /// What this configuration holds.
    holds: Held,
}

impl Open {
    fn until(&self) -> Instant {
        self.began + PATIENCE
    }

    fn refuse(&mut self, text: String) {
        if self.refusals.len() < REFUSALS_MAX && !self.refusals.contains(&text) {
            self.refusals.push(text);
        }
    }

    fn is_new_to_nobody(&self) -> bool {
        self.addresses.is_empty() && self.lines.is_empty() && self.vmacs.is_empty() && !self.closes
    }

    fn verdict(self) -> (ConfigGeneration, Vec<String>, Held) {
        let lines = self.refused_lines.into_values();
        (self.config, self.refusals.into_iter().chain(lines).take(REFUSALS_MAX).collect(), self.holds)
    }
}

impl Taking {
    pub(super) fn of(config: &Config, vmacs: HashSet<String>) -> Taking {
        Taking { held: Held::of(config, vmacs), open: None }
    }

    /// This configuration was applied, when the kernel had been asked so many questions. `vmacs`: the interfaces that it wants made.
    pub(super) fn begin(
        &mut self,
        config: ConfigGeneration,
        new: &Config,
        vmacs: HashSet<String>,
        asked: u64,
        now: Instant,
    ) {
        let held = &self.held;
        let added = addresses(new).filter(|(_, address)| !held.addresses.contains(&place(address)));
        let words = |it: &Address| format!("address {}/{} dev {}", it.address, it.prefix, it.interface);
        let addresses = added.map(|(at, address)| (at, words(address))).collect();
        let lines = lines(new).filter(|(_, line)| !held.lines.contains(&line.key()));
        let lines = lines.map(|(at, line)| (at, (line.words(), line.is_alone()))).collect();
        let holds = Held::of(new, vmacs);
        self.open = Some(Open {
            config,
            began: now,
            tried: false,
            asked,
            addresses,
            lines,
            vmacs: holds.vmacs.difference(&held.vmacs).cloned().collect(),
            closes: !holds.closed.is_subset(&held.closed),
            refusals: Vec::new(),
            refused_lines: BTreeMap::new(),
            holds,
        });
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let open = self.open.as_ref()?;
        let waits = !open.refused_lines.is_empty() && !open.tried;
        Some(if waits { open.began + SECOND_TRY } else { open.until() })
    }

    /// Looks at what the kernel says. An interface that is not there, or not up, refuses nothing: its turn comes.
    pub(super) fn note(&mut self, answer: &Input<'_>) {
        let Some(open) = &mut self.open else { return };
        match answer {
            Input::AddressAnswer { key, install: true, error: Some(errno) } if key.question > open.asked => {
                if let Some(address) =
                    open.addresses.get(&(key.owner.clone(), key.position)).filter(|_| !passes(*errno))
                {
                    let why = std::io::Error::from_raw_os_error(*errno);
                    open.refuse(format!("the kernel refuses {address}: {why}"));
                }
            }
            Input::LineAnswer { key, install: true, error, text } if key.question > open.asked => {
                let at = (key.owner.clone(), key.kind, key.position);
                let Some((line, alone)) = open.lines.get(&at) else { return };
                // What is there already is as good, but for one that wants to be alone.
                match error.filter(|errno| *alone || *errno != libc::EEXIST) {
                    None => drop(open.refused_lines.remove(&at)),
                    Some(errno) if passes(errno) || open.refused_lines.len() >= REFUSALS_MAX => {}
                    Some(errno) => {
                        let why = std::io::Error::from_raw_os_error(errno);
                        let detail = if text.is_empty() { String::new() } else { format!(": {text}") };
                        open.refused_lines.insert(at, format!("the kernel refuses {line}: {why}{detail}"));
                    }
                }
            }
            _ => {}
        }
    }

    /// What the kernel has refused besides.
    pub(super) fn refused(&mut self, refusal: Refusal) {
        let Some(open) = &mut self.open else { return };
        match refusal {
            Refusal::Interface { name, errno, text } => {
                if open.vmacs.contains(&name) && !passes(errno) {
                    open.refuse(format!("the kernel refuses the interface {name}: {text}"));
                }
            }
            Refusal::Filter(text) => {
                if open.closes {
                    open.refuse(format!("the kernel refuses the filter of no_accept: {text}"));
                }
            }
        }
    }

    /// Told once, when the kernel has answered everything or had its time: the configuration, and what was refused of it.
    pub(super) fn over(&mut self, idle: bool, now: Instant) -> Option<(ConfigGeneration, Vec<String>)> {
        let done = |open: &mut Open| {
            open.tried |= open.began + SECOND_TRY <= now;
            let tried = open.refused_lines.is_empty() || open.tried;
            (tried && (idle || open.is_new_to_nobody())) || open.until() <= now
        };
        let (config, refusals, holds) = self.open.take_if(done)?.verdict();
        self.held = holds;
        Some((config, refusals))
    }
}

/// Its turn comes, or a kernel that has no room now has some later.
fn passes(errno: i32) -> bool {
    matches!(errno, libc::ENODEV | libc::ENETDOWN | libc::ENOMEM | libc::ENOBUFS)
}

impl Held {
    fn of(config: &Config, vmacs: HashSet<String>) -> Held {
        let closed = config.instances.iter().filter(|instance| !instance.accept);
        Held {
            addresses: addresses(config).map(|(_, address)| place(address)).collect(),
            lines: lines(config).map(|(_, line)| line.key()).collect(),
            closed: closed.map(|instance| instance.name.clone()).collect(),
            vmacs,
        }
    }
}

fn addresses(config: &Config) -> impl Iterator<Item = ((Option<InstanceName>, u32), &Address)> {
    let statics = (1..).zip(&config.static_addresses).map(|(at, address)| ((None, at), address));
    let of = |instance: &Instance| Some(instance.name.clone());
    let theirs = config.instances.iter().flat_map(move |instance| {
        let all = instance.addresses.iter().chain(&instance.excluded);
        (1..).zip(all).map(move |(at, address)| ((of(instance), at), address))
    });
    statics.chain(theirs)
}

fn place(address: &Address) -> Place {
    (address.address, address.interface.clone())
}

#[derive(Debug, Clone, Copy)]
enum Line<'a> {
    Route(&'a Route),
    Rule(&'a Rule),
}

impl Line<'_> {
    /// Equal for those that put the same on the host.
    fn key(self) -> Vec<u8> {
        let encoded = match self {
            Line::Route(route) => {
                postcard::to_stdvec(&Route { location: Location::default(), no_track: false, ..route.clone() })
            }
            Line::Rule(rule) => {
                postcard::to_stdvec(&Rule { location: Location::default(), no_track: false, ..rule.clone() })
            }
        };
        encoded.unwrap_or_default()
    }

    fn words(self) -> String {
        match self {
            Line::Route(route) => line::describe_route(route),
            Line::Rule(rule) => line::describe_rule(rule),
        }
    }

    /// What somebody else has put there is not it.
    fn is_alone(self) -> bool {
        matches!(self, Line::Route(route) if route.placement == Placement::Add)
    }
}

fn lines(config: &Config) -> impl Iterator<Item = (LinePlace, Line<'_>)> {
    let statics = (None, &config.static_routes, &config.static_rules);
    let theirs = config.instances.iter().map(|it| (Some(it.name.clone()), &it.routes, &it.rules));
    [statics].into_iter().chain(theirs).flat_map(|(owner, routes, rules)| {
        let of = owner.clone();
        let routes = (1..).zip(routes).map(move |(at, it)| ((of.clone(), LineKind::Route, at), Line::Route(it)));
        let rules = (1..).zip(rules).map(move |(at, it)| ((owner.clone(), LineKind::Rule, at), Line::Rule(it)));
        routes.chain(rules)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Instant;
    use crate::conf::model::{AddressFlags, Location, Prefix};
    use crate::vrrp::io::{AddressKey, LineKey};

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
        let mut taking = Taking::of(&with(&["192.0.2.1"]), HashSet::new());
        taking.begin(2, &with(&["192.0.2.1", "192.0.2.2"]), HashSet::new(), 0, now);
        taking.note(&refused(1));
        assert_eq!(taking.over(false, now), None, "the kernel has not answered yet");
        taking.begin(2, &with(&["192.0.2.1", "192.0.2.3"]), HashSet::new(), 1, now);
        taking.note(&refused(2));
        assert_eq!(taking.over(true, now), Some((2, vec![])), "that was the answer about another address");
        let mut taking = Taking::of(&with(&["192.0.2.1"]), HashSet::new());
        taking.begin(2, &with(&["192.0.2.1", "192.0.2.2"]), HashSet::new(), 0, now);
        taking.note(&refused(2));
        let (config, refusals) = taking.over(true, now).unwrap();
        assert_eq!((config, refusals.len()), (2, 1));
        assert!(refusals[0].contains("192.0.2.2/24 dev eth0"), "{refusals:?}");
        assert_eq!(taking.over(true, now), None, "it is told once");
    }

    #[test]
    fn without_new_addresses_and_after_its_time_nothing_is_waited_for() {
        let now = Instant::ZERO;
        let mut taking = Taking::of(&with(&["192.0.2.1"]), HashSet::new());
        taking.begin(2, &with(&["192.0.2.1"]), HashSet::new(), 0, now);
        assert_eq!(taking.over(false, now), Some((2, vec![])));
        taking.begin(3, &with(&["192.0.2.9"]), HashSet::new(), 0, now);
        assert_eq!(taking.deadline(), Some(now + PATIENCE));
        assert_eq!(taking.over(false, now + PATIENCE), Some((3, vec![])));
    }

    fn route(text: &str, placement: Placement) -> Route {
        let destination = Prefix { address: text.parse().unwrap(), length: 24 };
        Route { placement, ..Route::to(Location::default(), destination) }
    }

    fn routed(routes: Vec<Route>) -> Config {
        Config { static_routes: routes, ..Config::default() }
    }

    fn answered(position: u32, question: u64, error: Option<i32>) -> Input<'static> {
        let key = LineKey { owner: None, kind: LineKind::Route, position, question };
        Input::LineAnswer { key, install: true, error, text: "Nexthop has invalid gateway".to_owned() }
    }

    #[test]
    fn a_refused_route_counts_if_it_is_new_and_is_refused_at_the_second_try_as_well() {
        let now = Instant::ZERO;
        let (old, new) = (route("192.0.2.0", Placement::Add), route("198.51.100.0", Placement::Prepend));
        let both = routed(vec![old.clone(), new]);
        let begun = || {
            let mut taking = Taking::of(&routed(vec![old.clone()]), HashSet::new());
            taking.begin(2, &both, HashSet::new(), 1, now);
            taking
        };
        let mut taking = begun();
        taking.note(&answered(2, 1, Some(libc::ENETUNREACH)));
        taking.note(&answered(1, 2, Some(libc::ENETUNREACH)));
        taking.note(&answered(2, 3, Some(libc::EEXIST)));
        taking.note(&answered(2, 3, Some(libc::ENODEV)));
        assert_eq!(
            taking.over(true, now),
            Some((2, vec![])),
            "of before, not new, there already, without an interface"
        );

        let mut taking = begun();
        taking.note(&answered(2, 2, Some(libc::ENETUNREACH)));
        assert_eq!((taking.over(true, now), taking.deadline()), (None, Some(now + SECOND_TRY)));
        taking.note(&answered(2, 3, None));
        assert_eq!(taking.over(true, now), Some((2, vec![])));

        let mut taking = begun();
        taking.note(&answered(2, 2, Some(libc::ENETUNREACH)));
        assert_eq!(taking.over(false, now + SECOND_TRY), None, "the kernel has not answered everything");
        assert_eq!(taking.deadline(), Some(now + PATIENCE), "nobody is woken for nothing meanwhile");
        let (_, refusals) = taking.over(true, now + SECOND_TRY).unwrap();
        assert!(refusals[0].contains("198.51.100.0/24") && refusals[0].contains("invalid gateway"), "{refusals:?}");

        // One that wants to be alone is not where another one is.
        let mut taking = Taking::of(&Config::default(), HashSet::new());
        taking.begin(2, &routed(vec![old]), HashSet::new(), 1, now);
        taking.note(&answered(1, 2, Some(libc::EEXIST)));
        assert_eq!(taking.over(true, now + SECOND_TRY).unwrap().1.len(), 1);
    }

    #[test]
    fn until_there_is_a_verdict_what_came_with_the_configuration_before_is_new() {
        let now = Instant::ZERO;
        let mut taking = Taking::of(&with(&["192.0.2.1"]), HashSet::new());
        taking.begin(2, &with(&["192.0.2.1", "192.0.2.2"]), HashSet::new(), 0, now);
        taking.begin(3, &with(&["192.0.2.1", "192.0.2.2"]), HashSet::new(), 0, now);
        taking.note(&refused(2));
        assert_eq!(taking.over(true, now).unwrap().1.len(), 1);
    }

    #[test]
    fn interfaces_and_filters_count_if_they_are_new() {
        let now = Instant::ZERO;
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
        let interface =
            |name: &str, errno| Refusal::Interface { name: name.to_owned(), errno, text: "not supported".to_owned() };
        let mut taking = Taking::of(&Config::default(), names(&["vrrp.51"]));
        taking.begin(2, &Config::default(), names(&["vrrp.51", "vrrp.52"]), 0, now);
        taking.refused(interface("vrrp.51", libc::EOPNOTSUPP));
        taking.refused(interface("vrrp.52", libc::ENETDOWN));
        taking.refused(Refusal::Filter("no nftables".to_owned()));
        assert_eq!(taking.over(true, now), Some((2, vec![])));
        taking.begin(3, &Config::default(), names(&["vrrp.53"]), 0, now);
        taking.refused(interface("vrrp.53", libc::EOPNOTSUPP));
        assert_eq!(
            taking.over(true, now),
            Some((3, vec!["the kernel refuses the interface vrrp.53: not supported".to_owned()]))
        );
    }
}
