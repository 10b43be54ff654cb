//! From directives to the model: defaults, corrections, and the checks that need more than one line.
//!
//! `global_defs` are applied first wherever they stand, so the order of a file does not matter. Checks of the host are
//! in [`held`]; what VRRP tracks besides interfaces is in [`tracking`].

mod address;
mod bfd;
mod check;
mod global;
mod group;
mod held;
mod instance;
mod lvs;
mod notify;
mod process;
mod routing;
mod scripts;
mod sense;
mod track_group;
mod trackers;
mod tracking;

use super::Options;
use super::diag::{Class, Diagnostic, Sources, Span};
use super::files::Files;
use super::host::{Host, Interface};
use super::keywords::{self, Suggestions};
use super::model::{Config, Location, NotBuilt};
use super::parse::{self, Node};

pub use check::group_member;

pub struct Built {
    pub config: Config,
    pub diagnostics: Vec<Diagnostic>,
    /// Something was left out without which Keepalived does not start.
    pub refused: bool,
}

/// Builds the model from the directives of the top level.
pub fn build(nodes: &[Node], sources: &Sources, options: &Options, files: &dyn Files, host: &dyn Host) -> Built {
    let mut builder = Builder {
        sources,
        files,
        host,
        interfaces: host.interfaces(),
        dynamic_interfaces: !host.is_known(),
        diagnostics: Vec::new(),
        refused: false,
        interface_missing: false,
        suggestions: Suggestions::default(),
    };
    let (global, defaults) = global::build(&mut builder, nodes, options);
    builder.dynamic_interfaces |= global.dynamic_interfaces;
    let mut config = Config { global, ..Config::default() };
    config.static_addresses = address::statics(&mut builder, nodes, &defaults);
    let groups = group::read(&mut builder, nodes, &defaults);
    config.instances = instance::build(&mut builder, nodes, &defaults, &groups);
    config.sync_groups = groups.build(&mut builder, &config.instances);
    config.global.lvs.sync_daemon = lvs::sync_daemon(&mut builder, nodes, &config.instances);
    let global_defs = nodes.iter().filter(|node| node.name() == "global_defs");
    config.script_security =
        global_defs.flat_map(|node| &node.children).any(|node| node.name() == "enable_script_security");
    config.has_virtual_servers = nodes.iter().any(|node| node.name() == "virtual_server");
    let not_built = parse::not_built(nodes).into_iter();
    config.not_built =
        not_built.map(|(directive, span)| NotBuilt { directive, location: builder.location(span) }).collect();
    held::interfaces(&mut builder, nodes);
    routing::build(&mut builder, nodes, &mut config);
    track_group::build(&mut builder, nodes, &mut config);
    let mut scripts = scripts::check(&mut builder, nodes);
    tracking::build(&mut builder, nodes, &mut scripts, &mut config);
    notify::build(&mut builder, nodes, &mut scripts, &mut config);
    check::build(&mut builder, nodes, scripts, &mut config);
    tracking::references(&mut builder, nodes);
    sense::check(&mut builder, nodes, &config);
    Built { config, diagnostics: builder.diagnostics, refused: builder.refused }
}

struct Builder<'a> {
    sources: &'a Sources,
    files: &'a dyn Files,
    host: &'a dyn Host,
    interfaces: Vec<Interface>,
    /// Interfaces may come later, or nothing is known of the host.
    dynamic_interfaces: bool,
    diagnostics: Vec<Diagnostic>,
    refused: bool,
    /// An interface is missing: Keepalived ends its checks of VRRP there.
    interface_missing: bool,
    suggestions: Suggestions,
}

impl Builder<'_> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.refused |= diagnostic.refuses_start;
        self.diagnostics.push(diagnostic);
    }

    fn location(&self, span: Span) -> Location {
        Location { file: self.sources.name(span.file).to_owned(), line: span.line }
    }

    fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// Whether an interface exists, or may come later. If neither, that is reported at `span` and the start is refused.
    fn interface_known(&mut self, name: &str, span: Span) -> bool {
        if self.interface(name).is_some() {
            return true;
        }
        if self.dynamic_interfaces {
            return true;
        }
        let diagnostic = self.no_interface(name, span).refuses_start();
        self.report(diagnostic);
        self.interface_missing = true;
        false
    }

    fn no_interface(&self, name: &str, span: Span) -> Diagnostic {
        let names = keywords::some_of(self.interfaces.iter().map(|interface| interface.name.as_str()));
        Diagnostic::error("no-interface", span, format!("no interface {name} on this host")).hint(format!(
            "this host has {}; dynamic_interfaces in global_defs accepts interfaces that come later",
            if names.is_empty() { "none" } else { &names }
        ))
    }

    /// A directive that keeps its first value.
    fn already_set(&mut self, node: &Node) {
        self.report(
            Diagnostic::warning("already-set", node.keyword.span, format!("`{}` is set already", node.name()))
                .hint("the first one counts; delete this line"),
        );
    }

    fn deprecated(&mut self, node: &Node, hint: &str) {
        self.report(
            Diagnostic::warning("deprecated", node.keyword.span, format!("`{}` is deprecated", node.keyword.text))
                .class(Class::Deprecated)
                .hint(hint),
        );
    }
}

fn set_some<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
}
