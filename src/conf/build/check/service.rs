//! `virtual_server`.

use std::net::{IpAddr, Ipv4Addr};

use smallvec::{SmallVec, smallvec};

use super::timing::{self, Timing};
use super::{Context, first_of, groups, last, method, number, port, server, snmp_name, text, text_once};
use crate::conf::diag::{Class, Diagnostic};
use crate::conf::keywords;
use crate::conf::model::{
    Family, Forwarding, GroupMember, Persistence, Protocol, ServerGroup, ServiceKey, ServiceKind, VirtualServer,
};
use crate::conf::parse::Node;
use crate::conf::values::{self, Value};

/// Persistence that nobody gave a time, seconds.
const PERSISTENCE_S: u32 = 360;

/// What real servers have to know of their service.
pub struct Outline<'a> {
    pub kind: Kind<'a>,
    /// `None` until something says what a mark stands for.
    pub family: Option<Family>,
    pub forwarding: Option<Forwarding>,
    pub timing: Timing,
    pub weight: u32,
    pub inhibit_on_failure: bool,
    pub virtual_host: Option<String>,
}

#[derive(Clone, Copy)]
pub enum Kind<'a> {
    Address(IpAddr, u16),
    Mark(u32),
    Group(&'a ServerGroup),
}

impl Kind<'_> {
    fn of<'a>(context: &mut Context<'a, '_>, node: &Node) -> Option<Kind<'a>> {
        let first = node.values.first()?;
        match (first.name, first.value.as_ref()?) {
            ("address", Value::Ip(address)) => Some(Kind::Address(*address, port(node, "port").unwrap_or(0))),
            ("group", Value::Text(name)) => {
                let found = context.groups.get(name.as_str()).copied();
                if found.is_none() {
                    unknown_group(context, node, name);
                }
                found.map(Kind::Group)
            }
            (_, Value::Int(mark)) => Some(Kind::Mark(u32::try_from(*mark).ok()?)),
            _ => None,
        }
    }

    fn family(&self) -> Option<Family> {
        match self {
            Kind::Address(address, _) => Some(Family::of(*address)),
            Kind::Mark(_) => None,
            // With both, the pool decides which members are served.
            Kind::Group(group) => {
                match (groups::has(&group.members, Family::V4), groups::has(&group.members, Family::V6)) {
                    (true, false) => Some(Family::V4),
                    (false, true) => Some(Family::V6),
                    _ => None,
                }
            }
        }
    }

    /// Whether packets are selected by address and port: only then is there a protocol.
    pub fn has_addresses(&self) -> bool {
        match self {
            Kind::Address(..) => true,
            Kind::Mark(_) => false,
            Kind::Group(group) => group.members.iter().any(|member| matches!(member, GroupMember::Addresses { .. })),
        }
    }

    pub fn has_marks(&self) -> bool {
        match self {
            Kind::Address(..) => false,
            Kind::Mark(_) => true,
            Kind::Group(group) => group.members.iter().any(|member| matches!(member, GroupMember::Mark { .. })),
        }
    }

    /// Ports of its addresses, without repetition.
    pub fn ports(&self) -> SmallVec<[u16; 4]> {
        let mut ports: SmallVec<[u16; 4]> = match self {
            Kind::Address(_, port) => smallvec![*port],
            Kind::Mark(_) => smallvec![],
            Kind::Group(group) => group
                .members
                .iter()
                .filter_map(|member| match member {
                    GroupMember::Addresses { port, .. } => Some(*port),
                    GroupMember::Mark { .. } => None,
                })
                .collect(),
        };
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// The service of a block; `None` when the block is dropped.
pub fn build(context: &mut Context<'_, '_>, node: &Node) -> Option<VirtualServer> {
    let at = node.keyword.span;
    let kind = Kind::of(context, node);
    if let Some(kind) = &kind {
        mark_protocol(context, kind, node);
    }
    if !node.wrote("real_server") {
        context.report(
            Diagnostic::error("no-servers", at, "the service has no real_server: it is dropped")
                .hint("add a real_server block, or delete the service"),
        );
    }
    let kind = kind?;
    let protocol = protocol(context, &kind, node);
    if !node.wrote("real_server") {
        return None;
    }
    let (scheduler, scheduler_flags) = scheduler(context, node);
    let forwarding = forwarding(context, node);
    let mut outline = Outline {
        kind,
        family: kind.family(),
        forwarding,
        timing: timing::DEFAULT.inside(node),
        weight: number(node, "weight").unwrap_or(1),
        inhibit_on_failure: node.child("inhibit_on_failure").is_some(),
        virtual_host: text_once(context.builder, node, "virtualhost"),
    };
    ip_family(context, node, &mut outline);
    let servers = server::build_all(context, node, &mut outline);
    let family = outline.family.unwrap_or_else(|| tunnelled_family(node));
    outline.family = Some(family);
    let sorry = server::sorry(context, node, &outline);
    let persistence = persistence(context, &kind, node, family);
    if servers.is_empty() {
        return None;
    }
    let weights = servers.iter().map(|server| u64::from(server.weight)).sum::<u64>();
    let (quorum, hysteresis) = quorum(context, node, u32::try_from(weights).unwrap_or(u32::MAX));
    let mut script = |name| {
        let node = first_of(context.builder, node, name)?;
        context.scripts.take(context.builder, node)
    };
    let (quorum_up, quorum_down) = (script("quorum_up"), script("quorum_down"));
    let timing = outline.timing;
    Some(VirtualServer {
        key: ServiceKey {
            kind: match kind {
                Kind::Address(address, port) => ServiceKind::Address { address, port },
                Kind::Mark(mark) => ServiceKind::Mark { mark, family },
                Kind::Group(group) => ServiceKind::Group(group.name.clone()),
            },
            protocol,
        },
        location: context.builder.location(at),
        family,
        scheduler,
        one_packet: one_packet(context, node, protocol),
        scheduler_flags,
        forwarding,
        persistence,
        persistence_engine: persistence_engine(node),
        delay_loop_us: timing.delay_loop_us,
        retry: timing.retry,
        delay_before_retry_us: timing.delay_before_retry_us,
        warmup_us: timing.warmup_us,
        connect_timeout_us: timing.connect_timeout_us,
        weight: outline.weight,
        inhibit_on_failure: outline.inhibit_on_failure,
        ha_suspend: ha_suspend(context, &kind, node),
        alpha: timing.alpha,
        omega: node.child("omega").is_some(),
        quorum,
        hysteresis,
        quorum_up,
        quorum_down,
        virtual_host: outline.virtual_host,
        snmp_name: snmp_name(context.builder, node),
        smtp_alert: smtp_alert(context, node, false),
        sorry,
        servers,
    })
}

/// The block's own word, else what `global_defs` say of checkers, else of everything, else `default`.
pub fn smtp_alert(context: &Context<'_, '_>, node: &Node, default: bool) -> bool {
    let mail = &context.global.mail;
    last(node, "smtp_alert", Node::switch).or(mail.alert_checker).or(mail.alert).unwrap_or(default)
}

fn unknown_group(context: &mut Context<'_, '_>, node: &Node, name: &str) {
    // A group that was dropped has been reported itself.
    if context.names.contains_key(&("virtual_server_group", name)) {
        return;
    }
    let written = context.nodes.iter().filter(|node| node.name() == "virtual_server_group");
    let names = keywords::some_of(written.filter_map(Node::text));
    context.report(
        Diagnostic::error("unknown-group", node.span(), format!("no virtual_server_group {name}")).silent().hint(
            if names.is_empty() {
                format!("define `virtual_server_group {name} {{ ... }}`")
            } else {
                format!("known: {names}")
            },
        ),
    );
}

fn mark_protocol(context: &mut Context<'_, '_>, kind: &Kind<'_>, node: &Node) {
    if let Some(protocol) = node.child("protocol").filter(|_| !kind.has_addresses()) {
        context.report(
            Diagnostic::note("mark-protocol", protocol.keyword.span, "a service by mark has no protocol")
                .class(Class::General)
                .hint("delete the line; the mark selects the packets"),
        );
    }
}

fn protocol(context: &mut Context<'_, '_>, kind: &Kind<'_>, node: &Node) -> Option<Protocol> {
    if !kind.has_addresses() {
        return None;
    }
    match text(node, "protocol").as_deref() {
        Some("TCP") => return Some(Protocol::Tcp),
        Some("UDP") => return Some(Protocol::Udp),
        Some("SCTP") => return Some(Protocol::Sctp),
        _ => {}
    }
    // A word that is no protocol has been reported.
    if !node.wrote("protocol") {
        let tcp = ["TCP_CHECK", "HTTP_GET", "SSL_GET", "SMTP_CHECK"];
        let tcp = node.children("real_server").any(|server| tcp.iter().any(|check| server.wrote(check)));
        context.report(
            Diagnostic::error("no-protocol", node.keyword.span, "protocol is missing: UDP is assumed").hint(if tcp {
                "with these checks, TCP was surely meant"
            } else {
                "add `protocol TCP` or `protocol UDP`"
            }),
        );
    }
    Some(Protocol::Udp)
}

/// The scheduler and its three flags. Flags named after a scheduler count where that scheduler is in force.
fn scheduler(context: &mut Context<'_, '_>, node: &Node) -> (String, [bool; 3]) {
    let mut scheduler = None;
    let mut flags = [false; 3];
    let [first, second, third] = &mut flags;
    for child in &node.children {
        let (flag, of) = match child.name() {
            "lvs_sched" => {
                scheduler = child.text().or(scheduler);
                continue;
            }
            "flag-1" => (&mut *first, None),
            "flag-2" => (&mut *second, None),
            "flag-3" => (&mut *third, None),
            "sh-fallback" => (&mut *first, Some("sh")),
            "mh-fallback" => (&mut *first, Some("mh")),
            "sh-port" => (&mut *second, Some("sh")),
            "mh-port" => (&mut *second, Some("mh")),
            _ => continue,
        };
        let Some(of) = of.filter(|of| scheduler != Some(*of)) else {
            *flag = true;
            continue;
        };
        let hashing = matches!(scheduler, Some("sh" | "mh"));
        let name = child.name();
        let message = format!("{name} works with the scheduler {of} only: it is ignored");
        let diagnostic = Diagnostic::warning("scheduler-flag", child.keyword.span, message);
        let diagnostic = if hashing { diagnostic.silent() } else { diagnostic };
        context.report(match scheduler {
            Some("sh") if name == "mh-port" => diagnostic.hint("did you mean `sh-port`?"),
            Some("sh") if name == "mh-fallback" => diagnostic.hint("did you mean `sh-fallback`?"),
            Some("mh") if name == "sh-port" => diagnostic.hint("did you mean `mh-port`?"),
            Some("mh") if name == "sh-fallback" => diagnostic.hint("did you mean `mh-fallback`?"),
            _ => diagnostic.hint(format!("write it after `lvs_sched {of}`, or delete the line")),
        });
    }
    if let Some(hashed) = node.child("hashed").filter(|_| !matches!(scheduler, Some("sh" | "mh"))) {
        let message = "hashed has no effect, and belongs to the schedulers sh and mh";
        context.report(Diagnostic::warning("scheduler-flag", hashed.keyword.span, message).hint("delete the line"));
    }
    if !node.wrote("lvs_sched") {
        context.report(
            Diagnostic::warning("no-scheduler", node.keyword.span, "lvs_sched is missing: wlc is used")
                .hint("add `lvs_sched wlc`, or the scheduler that you want"),
        );
    }
    (scheduler.unwrap_or("wlc").to_owned(), flags)
}

fn forwarding(context: &mut Context<'_, '_>, node: &Node) -> Option<Forwarding> {
    if !node.wrote("lvs_method") {
        let own = |server: &Node| server.wrote("lvs_method");
        let hint = if node.children("real_server").all(own) {
            "every real server has its own; add `lvs_method NAT` to say that this is meant"
        } else {
            "add `lvs_method NAT`, `DR` or `TUN`"
        };
        context.report(
            Diagnostic::warning("no-method", node.keyword.span, "lvs_method is missing: NAT is used").hint(hint),
        );
    }
    let mut forwarding = None;
    for child in node.children("lvs_method") {
        forwarding = method::read(context, child).or(forwarding);
    }
    forwarding
}

fn ip_family(context: &mut Context<'_, '_>, node: &Node, outline: &mut Outline<'_>) {
    for child in node.children("ip_family") {
        let family = match child.text() {
            Some("inet") => Family::V4,
            Some("inet6") => Family::V6,
            _ => continue,
        };
        match outline.family {
            Some(known) if known != family => {
                let name = if known == Family::V4 { "IPv4" } else { "IPv6" };
                let message = format!("the service is {name}: the line is ignored");
                context.report(
                    Diagnostic::error("ip-family", child.span(), message)
                        .hint("only a service by mark may be of either family"),
                );
            }
            _ => outline.family = Some(family),
        }
    }
    // A mask is IPv4's, a prefix length IPv6's.
    if let Some(granularity) = text(node, "persistence_granularity") {
        outline.family.get_or_insert(if granularity.contains('.') { Family::V4 } else { Family::V6 });
    }
}

/// The family of a service by mark whose servers are all reached by tunnels.
fn tunnelled_family(node: &Node) -> Family {
    let all_v6 = node.children("real_server").filter_map(Node::ip).all(|address| address.is_ipv6());
    if all_v6 { Family::V6 } else { Family::V4 }
}

fn persistence(context: &mut Context<'_, '_>, kind: &Kind<'_>, node: &Node, family: Family) -> Option<Persistence> {
    let timeout = last(node, "persistence_timeout", |child| {
        if child.values.is_empty() { Some(PERSISTENCE_S) } else { u32::try_from(child.int()?).ok() }
    });
    let mut granularity = None;
    for child in node.children("persistence_granularity") {
        let Some(written) = child.text() else { continue };
        match (family, written.parse::<Ipv4Addr>(), values::number(written)) {
            (Family::V4, Ok(mask), _) => granularity = Some(mask.to_bits()),
            (Family::V4, _, Some(number)) => {
                granularity = u32::try_from(number).ok();
                let length = u32::try_from(number).ok().filter(|length| *length <= 32).unwrap_or(32);
                let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                let read = Ipv4Addr::from_bits(granularity.unwrap_or(0));
                let message = format!("`{written}` is read as the mask {read}, not as a prefix length");
                let hint = format!("write {}", Ipv4Addr::from_bits(mask));
                context.report(Diagnostic::error("granularity", child.span(), message).silent().hint(hint));
            }
            (Family::V6, Err(_), Some(length)) => granularity = u32::try_from(length).ok(),
            _ => {
                let message = format!("expected a prefix length from 1 to 128 for IPv6, found `{written}`");
                context.report(
                    Diagnostic::error("granularity", child.span(), message)
                        .class(Class::InvalidNumber)
                        .hint("the line is ignored"),
                );
            }
        }
    }
    let any_port = kind.ports().contains(&0);
    if any_port && timeout.is_none() && granularity.is_none() {
        context.report(
            Diagnostic::warning(
                "any-port",
                node.span(),
                format!("without a port a service has to be persistent: persistence_timeout {PERSISTENCE_S} is used"),
            )
            .hint("add the port, or a persistence_timeout"),
        );
    }
    (timeout.is_some() || granularity.is_some() || any_port).then(|| Persistence {
        timeout_s: timeout.unwrap_or(PERSISTENCE_S),
        granularity: granularity.unwrap_or(match family {
            Family::V4 => u32::MAX,
            Family::V6 => 128,
        }),
    })
}

/// As much of the name as the kernel has room for; that it is too long has been reported.
fn persistence_engine(node: &Node) -> Option<String> {
    let mut name = node.child("persistence_engine")?.word("name")?.text.to_string();
    while name.len() > 15 {
        name.pop();
    }
    Some(name).filter(|name| !name.is_empty())
}

fn one_packet(context: &mut Context<'_, '_>, node: &Node, protocol: Option<Protocol>) -> bool {
    let Some(ops) = node.child("ops") else { return false };
    if matches!(protocol, None | Some(Protocol::Udp)) {
        return true;
    }
    context.report(
        Diagnostic::warning("one-packet", ops.keyword.span, "ops works with UDP only: it is ignored")
            .hint("delete the line, or write `protocol UDP`"),
    );
    false
}

fn ha_suspend(context: &mut Context<'_, '_>, kind: &Kind<'_>, node: &Node) -> bool {
    let Some(suspend) = node.child("ha_suspend") else { return false };
    if !kind.has_marks() {
        return true;
    }
    let message = "ha_suspend needs addresses to look for, and a mark has none: it is ignored";
    context.report(Diagnostic::warning("ha-suspend", suspend.keyword.span, message).hint("delete the line"));
    false
}

/// Quorum and hysteresis such that both can be reached with the weights of the file.
fn quorum(context: &mut Context<'_, '_>, node: &Node, total: u32) -> (u32, u32) {
    let line = node.children("quorum").rev().find(|line| line.int().is_some());
    let wanted = number(node, "quorum").unwrap_or(1);
    let quorum = wanted.min(total).max(1);
    if wanted > total {
        let at = line.map_or(node.keyword.span, Node::span);
        let message = format!("quorum {wanted} is above the total weight {total}");
        let diagnostic = Diagnostic::warning("quorum", at, message);
        context.report(match total {
            0 => diagnostic.hint("there is no quorum until a server gets a weight"),
            _ => diagnostic.hint(format!("{total} is used")),
        });
    }
    let Some(wanted) = number(node, "hysteresis") else { return (quorum, 0) };
    // Keepalived only keeps it below the quorum, and then a pool may never come back.
    let hysteresis = wanted.min(quorum - 1).min(total.saturating_sub(quorum));
    if hysteresis < wanted {
        let at = node.child("hysteresis").map_or(node.keyword.span, Node::span);
        let (message, counts) = if wanted >= quorum {
            (format!("hysteresis {wanted} is not below the quorum {quorum}"), true)
        } else {
            let message =
                format!("quorum {quorum} and hysteresis {wanted} together are above the total weight {total}");
            (message, false)
        };
        let diagnostic = Diagnostic::warning("hysteresis", at, message).hint(format!("{hysteresis} is used"));
        context.report(if counts { diagnostic } else { diagnostic.silent() });
    }
    (quorum, hysteresis)
}
