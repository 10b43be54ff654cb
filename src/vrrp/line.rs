//! A route or a rule on its way to the kernel, and what the kernel says of one: names of interfaces have become numbers.

use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use super::host::Host;
use super::io::{IfIndex, Link};
use crate::conf::model::{Family, InstanceName, PROTOCOL, Prefix, Route, Rule, RuleAction, TABLE_MAIN};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LineKind {
    Route,
    Rule,
}

/// Identifies one route or rule that the engine wants on or off the host, in kernel answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineKey {
    /// `None` for static ones.
    pub owner: Option<InstanceName>,
    pub kind: LineKind,
    /// Place in its block, from 1.
    pub position: u32,
    /// Which question this is, from 1. 0 is for questions that the engine did not ask.
    pub question: u64,
}

/// One change of one route or rule. Consecutive ones are sent to the kernel as one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineChange {
    pub key: LineKey,
    pub line: KernelLine,
    pub install: bool,
    /// It takes the place of what may be left of it (NLM_F_REPLACE): of a multipath route of IPv6 the kernel may have kept
    /// some hops, each of which is a route to it.
    pub afresh: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelLine {
    Route(KernelRoute),
    Rule(Arc<Rule>),
}

/// A route with the numbers of its interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRoute {
    pub config: Arc<Route>,
    pub table: u32,
    pub interface: Option<IfIndex>,
    /// One for each next hop.
    pub hops: SmallVec<[Option<IfIndex>; 2]>,
}

impl KernelRoute {
    /// `None` while an interface that it names does not exist.
    pub fn resolve<'a>(config: &Arc<Route>, named: impl Fn(&str) -> Option<&'a Link>) -> Option<KernelRoute> {
        // An interface that nobody names is none; one that is named must be there.
        let index = |name: &Option<String>| match name {
            None => Some(None),
            Some(name) => named(name).map(|link| Some(link.index)),
        };
        let table = match &config.vrf {
            None => config.table.unwrap_or(TABLE_MAIN),
            Some(vrf) => named(vrf)?.vrf?,
        };
        let hops: Option<SmallVec<_>> = config.hops.iter().map(|hop| index(&hop.interface)).collect();
        Some(KernelRoute { table, interface: index(&config.interface)?, hops: hops?, config: config.clone() })
    }

    /// Whether it leads through this interface.
    pub fn uses(&self, interface: IfIndex) -> bool {
        self.interface == Some(interface) || self.hops.contains(&Some(interface))
    }

    /// RTPROT_*.
    pub fn protocol(&self) -> u8 {
        self.config.protocol.unwrap_or(PROTOCOL)
    }

    /// What the kernel would say of it.
    pub fn news(&self) -> RouteNews {
        let config = &self.config;
        let single = (config.gateway.is_some() || self.interface.is_some()).then_some((config.gateway, self.interface));
        let hops = config.hops.iter().zip(&self.hops).map(|(hop, interface)| (hop.gateway, *interface));
        RouteNews {
            family: config.family,
            table: self.table,
            kind: config.kind,
            protocol: self.protocol(),
            destination: config.destination.masked(),
            from: config.from.unwrap_or(Prefix::any(config.family)).masked(),
            tos: config.tos.unwrap_or(0),
            metric: config.metric.filter(|metric| *metric > 0).unwrap_or(default_metric(config.family)),
            hops: single.into_iter().filter(|_| config.hops.is_empty()).chain(hops).collect(),
        }
    }
}

/// IP6_RT_PRIO_USER: what 0 means to IPv6.
fn default_metric(family: Family) -> u32 {
    match family {
        Family::V4 => 0,
        Family::V6 => 1024,
    }
}

impl KernelLine {
    pub fn kind(&self) -> LineKind {
        match self {
            KernelLine::Route(_) => LineKind::Route,
            KernelLine::Rule(_) => LineKind::Rule,
        }
    }

    /// What the kernel would say of it.
    pub fn news(&self) -> LineNews {
        match self {
            KernelLine::Route(route) => LineNews::Route(route.news()),
            KernelLine::Rule(rule) => LineNews::Rule(RuleNews::of(rule)),
        }
    }
}

/// What the kernel says of a route or a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LineNews {
    Route(RouteNews),
    Rule(RuleNews),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteNews {
    pub family: Family,
    pub table: u32,
    /// RTN_*.
    pub kind: u8,
    /// RTPROT_*.
    pub protocol: u8,
    /// Without host bits.
    pub destination: Prefix,
    /// IPv6 only; all addresses otherwise.
    pub from: Prefix,
    pub tos: u8,
    pub metric: u32,
    /// Gateways and interfaces.
    pub hops: SmallVec<[(Option<IpAddr>, Option<IfIndex>); 2]>,
}

impl RouteNews {
    /// Whether news of `other` may be news of this route. A multipath route of IPv6 is told of by hops, and an interface
    /// that was not asked for is the kernel's choice. That it may say yes too often costs a question to the kernel.
    pub fn may_be(&self, other: &RouteNews) -> bool {
        let key =
            |it: &RouteNews| (it.family, it.table, it.kind, it.protocol, it.destination, it.from, it.tos, it.metric);
        type Hop = (Option<IpAddr>, Option<IfIndex>);
        let same_hop = |(a, b): (&Hop, &Hop)| a.0 == b.0 && (a.1 == b.1 || a.1.is_none() || b.1.is_none());
        let hops = self.hops.is_empty()
            || other.hops.is_empty()
            || self.hops.iter().any(|mine| other.hops.iter().any(|theirs| same_hop((mine, theirs))));
        key(self) == key(other) && hops
    }
}

/// As far as it takes to tell rules apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleNews {
    pub family: Family,
    pub preference: u32,
    /// FR_ACT_*.
    pub action: u8,
    pub table: u32,
    /// Without host bits.
    pub from: Prefix,
    pub to: Prefix,
    pub input: Option<String>,
    pub output: Option<String>,
    pub mark: u32,
}

impl RuleNews {
    pub fn of(rule: &Rule) -> RuleNews {
        let any = Prefix::any(rule.family);
        RuleNews {
            family: rule.family,
            preference: rule.preference,
            action: rule.action.number(),
            table: match rule.action {
                RuleAction::Table(table) => table,
                _ => 0,
            },
            from: rule.from.unwrap_or(any).masked(),
            to: rule.to.unwrap_or(any).masked(),
            input: rule.input.clone(),
            output: rule.output.clone(),
            mark: rule.mark.map_or(0, |mark| mark.mark),
        }
    }
}

/// As logs name it.
pub fn describe_route(route: &Route) -> String {
    let Prefix { address, length } = route.destination;
    let mut text = format!("route {address}/{length}");
    if let Some(gateway) = route.gateway {
        text += &format!(" via {gateway}");
    }
    if let Some(interface) = &route.interface {
        text += &format!(" dev {interface}");
    }
    match (&route.vrf, route.table) {
        (Some(vrf), _) => text += &format!(" vrf {vrf}"),
        (None, Some(table)) if table != TABLE_MAIN => text += &format!(" table {table}"),
        _ => {}
    }
    text
}

/// As logs name it.
pub fn describe_rule(rule: &Rule) -> String {
    let mut text = format!("rule {}", rule.preference);
    for (word, prefix) in [("from", rule.from), ("to", rule.to)] {
        if let Some(Prefix { address, length }) = prefix {
            text += &format!(" {word} {address}/{length}");
        }
    }
    text
}

/// Whether every interface of a line is there and up.
pub fn ready(route: &KernelRoute, host: &Host) -> bool {
    let mut all = route.interface.iter().chain(route.hops.iter().flatten());
    all.all(|index| host.link(*index).is_some_and(|link| link.admin_up))
}
