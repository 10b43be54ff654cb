//! Routes and rules: of the host, and of each instance.
//!
//! [`build`] walks all blocks in the order of the file, because rules without a preference are numbered in this order.

mod encap;
pub(in crate::conf::build) mod names;
mod route;
mod rule;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use self::names::Names;
use self::rule::Preferences;
use super::Builder;
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::model::{Config, Family, Instance, Prefix, Realms};
use crate::conf::parse::{Named, Node, Val};
use crate::conf::values::Value;

/// Fills in the routes and rules of the configuration, whose instances are there already.
pub fn build(builder: &mut Builder<'_>, nodes: &[Node], config: &mut Config) {
    let mut names = Names::new(nodes);
    let mut preferences = Preferences::default();
    let mut instances: HashMap<String, &mut Instance> =
        config.instances.iter_mut().map(|instance| (instance.name.0.clone(), instance)).collect();
    let groups: HashSet<&str> =
        nodes.iter().filter(|node| node.name() == "track_group").filter_map(Node::text).collect();
    for node in nodes {
        match node.name() {
            "static_routes" => {
                let mut context = Context { builder, names: &mut names, groups: Some(&groups) };
                config.static_routes.extend(node.entries.iter().filter_map(|line| route::build(&mut context, line)));
            }
            "static_rules" => {
                let mut context = Context { builder, names: &mut names, groups: Some(&groups) };
                let rules = node.entries.iter().filter_map(|line| rule::build(&mut context, line, &mut preferences));
                config.static_rules.extend(rules);
            }
            "vrrp_instance" => {
                let (mut routes, mut rules) = (Vec::new(), Vec::new());
                let mut context = Context { builder, names: &mut names, groups: None };
                for line in node.children("virtual_routes").flat_map(|block| &block.entries) {
                    routes.extend(route::build(&mut context, line));
                }
                for line in node.children("virtual_rules").flat_map(|block| &block.entries) {
                    rules.extend(rule::build(&mut context, line, &mut preferences));
                }
                let location = builder.location(node.keyword.span);
                let instance = node.text().and_then(|name| instances.get_mut(name));
                // Of two blocks with one name the second is none.
                if let Some(instance) = instance.filter(|instance| instance.location == location) {
                    (instance.routes, instance.rules) = (routes, rules);
                }
            }
            _ => {}
        }
    }
}

/// What the lines of a block are held against.
struct Context<'c, 'b, 'a> {
    builder: &'c mut Builder<'a>,
    names: &'b mut Names,
    /// Names of track groups; `None` in an instance, whose lines belong to none.
    groups: Option<&'b HashSet<&'b str>>,
}

impl Context<'_, '_, '_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.builder.report(diagnostic);
    }

    /// The number that a value is or names.
    fn number(&mut self, value: &Val, kind: names::Kind) -> Option<u32> {
        match value.value.as_ref()? {
            Value::Int(number) => u32::try_from(*number).ok(),
            Value::Text(name) => {
                let number = self.names.number(self.builder.files, kind, name);
                if !self.builder.host.is_known() {
                    return number.or(Some(0));
                }
                if number.is_none() {
                    self.report(names::unknown(kind, name, value.word.span));
                }
                number
            }
            _ => None,
        }
    }

    fn byte(&mut self, value: &Val, kind: names::Kind) -> Option<u8> {
        let number = self.number(value, kind)?;
        let byte = u8::try_from(number).ok();
        if byte.is_none() {
            let message = format!("{} is {number}, and more than 255 does not fit here", value.word.text);
            self.report(Diagnostic::error("number", value.word.span, message).hint("the line is ignored"));
        }
        byte
    }

    /// `[source/]destination`.
    fn realms(&mut self, value: &Val) -> Option<Realms> {
        let Some(Value::Text(text)) = &value.value else { return None };
        let (source, destination) = match text.split_once('/') {
            Some((source, destination)) => (Some(source), destination),
            None => (None, text.as_str()),
        };
        let files = self.builder.files;
        let any = (!self.builder.host.is_known()).then_some(0);
        let mut realm = |text: &str| match crate::conf::values::any_base(text) {
            Some(number) => u8::try_from(number).ok(),
            None => {
                let number = self.names.number(files, names::Kind::Realm, text).or(any);
                number.and_then(|number| u8::try_from(number).ok())
            }
        };
        let realms = realm(destination).zip(source.map_or(Some(0), &mut realm));
        if realms.is_none() {
            self.report(
                Diagnostic::error("realms", value.word.span, format!("expected realms, found `{text}`"))
                    .hint("write one realm or source/destination, by numbers up to 255 or names of rt_realms"),
            );
        }
        realms.map(|(destination, source)| Realms { source, destination })
    }

    /// An interface that exists, or may come later.
    fn interface(&mut self, value: &Val) -> Option<String> {
        let Some(Value::Text(name)) = &value.value else { return None };
        self.builder.interface_known(name, value.word.span).then(|| name.to_string())
    }

    /// Whether there is such a group, and it has a meaning here; [`super::track_group`] acts on it.
    fn track_group(&mut self, option: &Named) {
        let Some(Val { word, .. }) = option.values.first() else { return };
        match self.groups {
            None => self.report(
                Diagnostic::error("unknown-option", option.word.span, "`track_group` has no meaning here")
                    .hint("it belongs in static_routes and static_rules"),
            ),
            Some(groups) if !groups.contains(word.text.as_str()) && !word.is_undefined() => self.report(
                Diagnostic::error("unknown-group", word.span, format!("no track_group {}", word.text))
                    .hint("define it at the top level; the word is ignored"),
            ),
            Some(_) => {}
        }
    }
}

/// The family that the words of a line agree on.
#[derive(Default)]
struct Agreed {
    family: Option<(Family, Span)>,
    /// Two words do not agree; that was told.
    broken: bool,
}

impl Agreed {
    fn take(&mut self, context: &mut Context<'_, '_, '_>, family: Family, span: Span) {
        match self.family {
            None => self.family = Some((family, span)),
            Some((first, _)) if first == family || self.broken => {}
            Some((first, at)) => {
                self.broken = true;
                let name = |family| if family == Family::V4 { "IPv4" } else { "IPv6" };
                let message = format!("{} beside {} on one line", name(family), name(first));
                context.report(
                    Diagnostic::error("mixed-families", span, message)
                        .related(at, "the first one is here")
                        .hint("the line is ignored; one line speaks of one family"),
                );
            }
        }
    }

    fn address(&mut self, context: &mut Context<'_, '_, '_>, value: &Val) -> Option<IpAddr> {
        let Some(Value::Ip(address)) = value.value else { return None };
        self.take(context, Family::of(address), value.word.span);
        Some(address)
    }

    /// A prefix as it is written; a word for all addresses does not say of which family.
    fn network(&mut self, context: &mut Context<'_, '_, '_>, value: &Val) -> Option<Network> {
        match value.value.as_ref()? {
            Value::Prefix(address, length) => {
                self.take(context, Family::of(*address), value.word.span);
                let length = length.unwrap_or(if address.is_ipv4() { 32 } else { 128 });
                Some(Network::Prefix(Prefix { address: *address, length }))
            }
            Value::Text(word) => {
                if word == "default6" {
                    self.take(context, Family::V6, value.word.span);
                }
                Some(Network::All)
            }
            _ => None,
        }
    }

    /// IPv4, if nothing says otherwise.
    fn family(&self) -> Family {
        self.family.map_or(Family::V4, |(family, _)| family)
    }
}

#[derive(Clone, Copy)]
enum Network {
    Prefix(Prefix),
    All,
}

impl Network {
    fn of(self, family: Family) -> Prefix {
        match self {
            Network::Prefix(prefix) => prefix,
            Network::All => Prefix::any(family),
        }
    }
}

/// The last value of an option: what stands before it are words like `lock`.
fn last(option: &Named) -> Option<&Val> {
    option.values.last()
}

fn int(option: &Named) -> Option<i64> {
    match last(option)?.value {
        Some(Value::Int(number)) => Some(number),
        _ => None,
    }
}

fn u32_of(option: &Named) -> Option<u32> {
    int(option).and_then(|number| u32::try_from(number).ok())
}

fn u8_of(option: &Named) -> Option<u8> {
    int(option).and_then(|number| u8::try_from(number).ok())
}

fn text(option: &Named) -> Option<&str> {
    match last(option)?.value.as_ref()? {
        Value::Text(text) => Some(text),
        _ => None,
    }
}
