//! `virtual_server` and what belongs to it. Everything inherited is filled in here: the model is read without looking up.
//!
//! A server or checker that Keepalived would drop is dropped with a report; the rest of its block stays.

mod checkers;
mod groups;
mod hex;
mod http;
mod method;
mod server;
mod service;
mod timing;

use std::collections::HashMap;

pub use groups::member as group_member;

use super::Builder;
use super::scripts::Scripts;
use crate::conf::diag::{Diagnostic, Span};
use crate::conf::model::{Config, Global, ServerGroup, ServiceKey, TlsClient};
use crate::conf::parse::Node;
use crate::conf::values::Value;

/// Builds groups and services of `config`, whose globals are there already.
pub fn build(builder: &mut Builder<'_>, nodes: &[Node], scripts: Scripts, config: &mut Config) {
    let groups = groups::build(builder, nodes);
    let tls = tls_client(builder, nodes);
    let mut names: HashMap<(&str, &str), &Node> = HashMap::new();
    for node in nodes {
        names.entry((node.name(), node.text().unwrap_or_default())).or_insert(node);
    }
    let known = groups.iter().map(|group| (group.name.as_str(), group)).collect();
    let mut context = Context { builder, nodes, names, global: &config.global, groups: known, tls, scripts };
    let mut seen: HashMap<ServiceKey, Span> = HashMap::new();
    let mut services = Vec::new();
    for node in nodes.iter().filter(|node| node.name() == "virtual_server") {
        let Some(service) = service::build(&mut context, node) else { continue };
        match seen.get(&service.key) {
            Some(first) => context.builder.report(
                Diagnostic::error(
                    "duplicate-service",
                    node.keyword.span,
                    format!("{} is already defined", service.key),
                )
                .silent()
                .related(*first, "first defined here")
                .hint("this block is dropped; put all real servers of a service in one block"),
            ),
            None => {
                seen.insert(service.key.clone(), node.keyword.span);
                services.push(service);
            }
        }
    }
    config.scripts = context.scripts.into_entries();
    config.services = services;
    config.groups = groups;
}

struct Context<'c, 'b> {
    builder: &'c mut Builder<'b>,
    nodes: &'c [Node],
    /// The first block of each keyword and name.
    names: HashMap<(&'c str, &'c str), &'c Node>,
    global: &'c Global,
    groups: HashMap<&'c str, &'c ServerGroup>,
    tls: Option<TlsClient>,
    scripts: Scripts,
}

impl Context<'_, '_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.builder.report(diagnostic);
    }
}

/// The last value of a directive that could be read: a bad line leaves the one before it in force.
fn last<'n, T>(node: &'n Node, name: &str, read: impl FnMut(&'n Node) -> Option<T>) -> Option<T> {
    node.children(name).rev().find_map(read)
}

fn number(node: &Node, name: &str) -> Option<u32> {
    last(node, name, |child| u32::try_from(child.int()?).ok())
}

fn port(node: &Node, name: &str) -> Option<u16> {
    match node.value(name) {
        Some(Value::Int(port)) => u16::try_from(*port).ok().filter(|port| *port != 0),
        _ => None,
    }
}

fn text(node: &Node, name: &str) -> Option<String> {
    last(node, name, |child| child.text().map(str::to_owned))
}

/// As [`text`], and a second line is reported, which replaces the first.
fn text_once(builder: &mut Builder<'_>, node: &Node, name: &str) -> Option<String> {
    for again in node.children(name).filter(|child| child.text().is_some()).skip(1) {
        builder.report(replaced(again).silent());
    }
    text(node, name)
}

fn replaced(again: &Node) -> Diagnostic {
    let message = format!("this `{}` replaces the one before it", again.name());
    Diagnostic::warning("replaced", again.keyword.span, message).hint("keep one of the lines")
}

/// `snmp_name` counts its words: a line with more than one is ignored.
fn snmp_name(builder: &mut Builder<'_>, node: &Node) -> Option<String> {
    let _ = text_once(builder, node, "snmp_name");
    last(node, "snmp_name", |child| child.text().filter(|_| child.extra.is_empty()).map(str::to_owned))
}

/// The first line that names a value counts; others are reported.
fn first_of<'n>(builder: &mut Builder<'_>, node: &'n Node, name: &str) -> Option<&'n Node> {
    let mut lines = node.children(name).filter(|child| !child.values.is_empty());
    let first = lines.next();
    for again in lines {
        builder.already_set(again);
    }
    first
}

fn tls_client(builder: &mut Builder<'_>, nodes: &[Node]) -> Option<TlsClient> {
    let blocks: Vec<&Node> = nodes.iter().filter(|node| node.name() == "SSL").collect();
    for again in blocks.iter().skip(1) {
        builder.report(
            Diagnostic::warning("replaced", again.keyword.span, "this SSL block replaces the one before it")
                .hint("keep one of the blocks"),
        );
    }
    for name in ["password", "ca", "certificate", "key"] {
        for block in &blocks {
            for again in block.children(name).filter(|line| line.text().is_some()).skip(1) {
                builder.report(replaced(again));
            }
        }
    }
    let block = blocks.last()?;
    Some(TlsClient {
        password: text(block, "password"),
        ca: text(block, "ca"),
        certificate: text(block, "certificate"),
        key: text(block, "key"),
    })
}
