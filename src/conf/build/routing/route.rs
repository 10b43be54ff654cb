//! One route from the words of its line.

use super::{Agreed, Context, Network, encap, int, last, names, text, u8_of, u32_of};
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::keywords::Kind;
use crate::conf::lex::Word;
use crate::conf::model::{Family, Lockable, NextHop, PROTOCOL, Placement, Prefix, Realms, Route};
use crate::conf::parse::{Line, Named};
use crate::conf::values::{self, Value};

/// The shortest and the longest time that is given to the kernel, milliseconds.
const TIME_MIN_MS: u32 = 200;
const TIME_MAX_MS: u32 = 120_000;

/// The route of a line; `None` when the line is dropped, with a report.
pub fn build(context: &mut Context<'_, '_, '_>, line: &Line) -> Option<Route> {
    let destination = line.first()?;
    let mut agreed = Agreed::default();
    let network = agreed.network(context, destination)?;
    let mut draft = Draft {
        route: Route::to(context.builder.location(line.span), Prefix::any(Family::V4)),
        or: None,
        protocol: None,
        v4_only: None,
        v6_only: None,
        dropped: false,
    };
    for option in &line.options {
        if draft.option(context, &mut agreed, option).is_none() {
            draft.dropped = true;
        }
    }
    for words in &line.hops {
        if let Some(hop) = next_hop(context, &mut agreed, words) {
            draft.route.hops.push(hop);
        }
    }
    draft.finish(context, &agreed, network, line)
}

struct Draft {
    route: Route,
    /// The second gateway, and its word.
    or: Option<(std::net::IpAddr, Span)>,
    protocol: Option<(u8, Span)>,
    /// A word that has a meaning for one family only.
    v4_only: Option<(&'static str, Span)>,
    v6_only: Option<(&'static str, Span)>,
    dropped: bool,
}

impl Draft {
    /// `None` when the line is to be dropped; that was reported.
    fn option(&mut self, context: &mut Context<'_, '_, '_>, agreed: &mut Agreed, option: &Named) -> Option<()> {
        let route = &mut self.route;
        let metrics = &mut route.metrics;
        let span = option.values.first().map_or(option.word.span, |value| value.word.span);
        match option.name {
            "type" => {
                route.kind = kind(&option.word.text);
                // Keepalived adds such a route, where it puts others before what is there; a word behind may say otherwise.
                route.placement = Placement::Add;
            }
            "family" => {
                let family = if option.word.text == "inet6" { Family::V6 } else { Family::V4 };
                agreed.take(context, family, option.word.span);
            }
            "src" => route.source = Some(agreed.address(context, last(option)?)?),
            "from" => {
                let Network::Prefix(prefix) = agreed.network(context, last(option)?)? else { return None };
                route.from = Some(prefix);
                self.v6_only = Some(("from", span));
            }
            "as" => context.report(
                Diagnostic::error("no-effect", option.word.span, "`as` has no effect")
                    .hint("delete it and its address"),
            ),
            "via" => {
                if option.word.text == "gw" {
                    deprecated(context, option, "write `via`");
                }
                route.gateway = gateway(context, agreed, option);
                route.gateway?;
            }
            "or" => {
                deprecated(context, option, "write `nexthop via ADDRESS` for each gateway");
                if let Some((_, first)) = self.or {
                    context.report(
                        Diagnostic::error("second-or", option.word.span, "a route has one `or`: this one is ignored")
                            .related(first, "the first is here")
                            .hint("write `nexthop via ADDRESS` for each gateway"),
                    );
                } else {
                    self.or = Some((agreed.address(context, last(option)?)?, option.word.span));
                }
            }
            "tos" => route.tos = Some(context.byte(last(option)?, names::Kind::Dsfield)?),
            "table" => route.table = Some(context.number(last(option)?, names::Kind::Table)?),
            "protocol" => self.protocol = Some((context.byte(last(option)?, names::Kind::Protocol)?, option.word.span)),
            "scope" => route.scope = Some(context.byte(last(option)?, names::Kind::Scope)?),
            "metric" => route.metric = Some(u32_of(option)?),
            "dev" => route.interface = Some(context.interface(last(option)?)?),
            "onlink" => route.onlink = true,
            "encap" => route.encap = Some(encap::build(context, option)?),
            "expires" => {
                route.expires = Some(u32_of(option)?);
                self.v6_only = Some(("expires", option.word.span));
            }
            "mtu" => metrics.mtu = Some(lockable(option)?),
            "hoplimit" => metrics.hop_limit = Some(u8_of(option)?),
            "advmss" => metrics.advmss = Some(lockable(option)?),
            "rtt" => metrics.rtt = Some(time(context, option, 8)?),
            "rttvar" => metrics.rttvar = Some(time(context, option, 4)?),
            "rto_min" => metrics.rto_min = Some(time(context, option, 1)?),
            "reordering" => metrics.reordering = Some(lockable(option)?),
            "window" => metrics.window = Some(u32_of(option)?),
            "cwnd" => metrics.cwnd = Some(lockable(option)?),
            "ssthresh" => metrics.ssthresh = Some(lockable(option)?),
            "initcwnd" => metrics.initcwnd = Some(u32_of(option)?),
            "initrwnd" => metrics.initrwnd = Some(u32_of(option)?),
            "features" => metrics.ecn |= text(option) == Some("ecn"),
            "quickack" => metrics.quickack = Some(text(option)? == "1"),
            "fastopen_no_cookie" => metrics.fastopen_no_cookie = Some(text(option)? == "1"),
            "congctl" => metrics.congestion = Some((text(option)?.to_owned(), locked(option))),
            "realms" => {
                route.realms = Some(context.realms(last(option)?)?);
                self.v4_only = Some(("realms", option.word.span));
            }
            "pref" => {
                route.preference = Some(preference(context, option)?);
                self.v6_only = Some(("pref", option.word.span));
            }
            "ttl-propagate" => {
                if let Some(value) = text(option) {
                    route.ttl_propagate = Some(value == "enabled");
                }
            }
            "add" => route.placement = Placement::Add,
            "prepend" => route.placement = Placement::Prepend,
            "append" => route.placement = Placement::Append,
            "vrf" => {
                route.vrf = Some(vrf(context, option)?);
                route.table = None;
            }
            "no_track" => route.no_track = true,
            "track_group" => context.track_group(option),
            _ => {}
        }
        Some(())
    }

    fn finish(
        mut self,
        context: &mut Context<'_, '_, '_>,
        agreed: &Agreed,
        destination: Network,
        line: &Line,
    ) -> Option<Route> {
        let family = agreed.family();
        let wrong = match family {
            Family::V4 => self.v6_only.map(|word| (word, "IPv6")),
            Family::V6 => self.v4_only.map(|word| (word, "IPv4")),
        };
        if let Some(((word, span), of)) = wrong.filter(|_| !agreed.broken && !self.dropped) {
            context.report(
                Diagnostic::error("wrong-family", span, format!("`{word}` has a meaning for {of} routes only"))
                    .hint("the line is ignored"),
            );
            return None;
        }
        if agreed.broken || self.dropped {
            return None;
        }
        let route = &mut self.route;
        route.family = family;
        route.destination = destination.of(family);
        if let Some((second, span)) = self.or {
            if !line.hops.is_empty() {
                context.report(
                    Diagnostic::error("or-nexthop", span, "`or` and `nexthop` do not go together")
                        .hint("the line is ignored; write `nexthop via ADDRESS` for each gateway"),
                );
                return None;
            }
            let gateways = route.gateway.take().into_iter().chain([second]);
            route.hops = gateways.map(|gateway| NextHop { gateway: Some(gateway), ..NextHop::default() }).collect();
        }
        route.protocol = match self.protocol {
            Some((protocol, span)) if protocol != PROTOCOL && !route.no_track => {
                context.report(
                    Diagnostic::warning(
                        "protocol-tracked",
                        span,
                        format!("a route that is watched has protocol {PROTOCOL} (keepalived), whatever is written"),
                    )
                    .hint("add `no_track`, or delete `protocol`"),
                );
                Some(PROTOCOL)
            }
            Some((protocol, _)) => Some(protocol),
            None if route.no_track => None,
            None => Some(PROTOCOL),
        };
        if route.interface.is_none() && !route.no_track {
            let span = line.first().map_or(line.span, |value| value.word.span);
            context.report(
                Diagnostic::warning("untracked-route", span, "without `dev` the route cannot be watched")
                    .hint("add `dev INTERFACE`, or `no_track`"),
            );
            route.no_track = true;
        }
        Some(self.route)
    }
}

/// One `nexthop`; `None` when it is left out, with a report.
fn next_hop(context: &mut Context<'_, '_, '_>, agreed: &mut Agreed, words: &[Named]) -> Option<NextHop> {
    let mut hop = NextHop::default();
    // What is wrong with a leg is not wrong with the others.
    let mut own = Agreed { family: agreed.family, broken: false };
    let mut good = true;
    for option in words {
        match option.name {
            "via" => {
                hop.gateway = gateway(context, &mut own, option);
                good &= hop.gateway.is_some();
            }
            "dev" => {
                hop.interface = last(option).and_then(|value| context.interface(value));
                good &= hop.interface.is_some();
            }
            "weight" => hop.weight = int(option).and_then(|weight| u16::try_from(weight).ok()),
            "onlink" => hop.onlink = true,
            "realms" => {
                hop.realms = realms(context, &own, option);
                good &= hop.realms.is_some();
            }
            "encap" => {
                hop.encap = encap::build(context, option);
                good &= hop.encap.is_some();
            }
            _ => {}
        }
    }
    if own.broken || !good {
        return None;
    }
    agreed.family = agreed.family.or(own.family);
    Some(hop)
}

fn realms(context: &mut Context<'_, '_, '_>, agreed: &Agreed, option: &Named) -> Option<Realms> {
    if agreed.family() == Family::V6 {
        context.report(
            Diagnostic::error("wrong-family", option.word.span, "`realms` has a meaning for IPv4 routes only")
                .hint("the next hop is left out"),
        );
        return None;
    }
    context.realms(last(option)?)
}

/// `via [inet|inet6] ADDRESS`.
fn gateway(context: &mut Context<'_, '_, '_>, agreed: &mut Agreed, option: &Named) -> Option<std::net::IpAddr> {
    if let Some(family) = option.named("family") {
        let six = family.word.text == "inet6";
        agreed.take(context, if six { Family::V6 } else { Family::V4 }, family.word.span);
    }
    agreed.address(context, option.named("addr")?)
}

fn deprecated(context: &mut Context<'_, '_, '_>, option: &Named, hint: &str) {
    let message = format!("`{}` is an old word", option.word.text);
    context.report(Diagnostic::warning("deprecated", option.word.span, message).hint(hint));
}

/// RTN_* of a name or a number.
fn kind(text: &str) -> u8 {
    match text {
        "unicast" => 1,
        "local" => 2,
        "broadcast" | "brd" => 3,
        "anycast" => 4,
        "multicast" => 5,
        "blackhole" => 6,
        "unreachable" => 7,
        "prohibit" => 8,
        "throw" => 9,
        "nat" => 10,
        "xresolve" => 11,
        number => number.parse().unwrap_or(1),
    }
}

fn locked(option: &Named) -> bool {
    option.named("lock").is_some()
}

fn lockable(option: &Named) -> Option<Lockable> {
    Some(Lockable { value: u32_of(option)?, locked: locked(option) })
}

/// A time in `1/scale` ms, or with a unit.
fn time(context: &mut Context<'_, '_, '_>, option: &Named, scale: u32) -> Option<Lockable> {
    let value = last(option)?;
    let word = &value.word;
    let lower = word.text.to_ascii_lowercase();
    let suffix = ["msecs", "msec", "ms", "secs", "sec", "s"].into_iter().find(|suffix| lower.ends_with(suffix));
    let digits = lower.strip_suffix(suffix.unwrap_or_default()).unwrap_or(&lower);
    let part = Word { text: digits.into(), span: word.part(0, digits.chars().count()), quoted: word.quoted };
    // One limit, whatever is counted.
    let most = u64::from(scale) * u64::from(TIME_MAX_MS);
    let in_seconds = suffix.is_some_and(|suffix| !suffix.starts_with('m'));
    let kind = if in_seconds { Kind::Dec(3, 0, most * 1000) } else { Kind::Dec(0, 0, most * 1_000_000) };
    let before = context.builder.diagnostics.len();
    let read = values::read(kind, &part, &option.word.text, &mut context.builder.diagnostics);
    let Some(Value::Micros(millionths)) = read else {
        if let Some(diagnostic) = context.builder.diagnostics.get_mut(before) {
            diagnostic.hint = Some(format!("write 1/{scale} ms, or a number with ms or s: the line is ignored"));
        }
        return None;
    };
    let kernel = match (suffix, in_seconds) {
        (None, _) => millionths / 1_000_000,
        (_, true) => millionths * u64::from(scale) / 1000,
        (_, false) => millionths * u64::from(scale) / 1_000_000,
    };
    let (least, most) = (TIME_MIN_MS * scale, TIME_MAX_MS * scale);
    let used = u32::try_from(kernel).unwrap_or(u32::MAX).clamp(least, most);
    if u64::from(used) != kernel {
        let message = format!("`{}` is read as {} ms", word.text, used / scale);
        let hint = format!("from {TIME_MIN_MS} ms to {TIME_MAX_MS} ms; without a unit it counts 1/{scale} ms");
        context.report(Diagnostic::warning("clamped", word.span, message).silent().hint(hint));
    }
    Some(Lockable { value: used, locked: locked(option) })
}

/// Router preference (RFC 4191) as the kernel keeps it.
fn preference(context: &mut Context<'_, '_, '_>, option: &Named) -> Option<u8> {
    let value = last(option)?;
    match value.word.text.as_str() {
        "low" => Some(3),
        "medium" => Some(0),
        "high" => Some(1),
        text => {
            let number = values::number(text).and_then(|number| u8::try_from(number).ok());
            if number.is_none() {
                let message = format!("expected low, medium or high, found `{text}`");
                context.report(Diagnostic::error("value", value.word.span, message).hint("the line is ignored"));
            }
            number
        }
    }
}

/// An interface that is a VRF, as far as the host tells.
fn vrf(context: &mut Context<'_, '_, '_>, option: &Named) -> Option<String> {
    let value = last(option)?;
    let name = context.interface(value)?;
    if !context.builder.host.is_known() {
        return Some(name);
    }
    let about = context.builder.files.read(&format!("/sys/class/net/{name}/uevent"));
    if about.is_ok_and(|about| !String::from_utf8_lossy(&about).lines().any(|line| line == "DEVTYPE=vrf")) {
        let message = format!("{name} is no VRF");
        let hint = "name the VRF device; `table` takes the number of its table";
        context.report(Diagnostic::error("no-vrf", value.word.span, message).hint(hint));
        return None;
    }
    Some(name)
}
