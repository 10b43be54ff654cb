//! `keepalived.conf`: text to a checked [`model::Config`] and diagnostics, without any I/O but reading files.
//!
//! [`load`] is the way in. The steps, each with its module: [`files`] and [`lex`] read lines, `expand` resolves
//! includes, conditions and parameters, `parse` checks lines against the table in [`keywords`], `build` makes the
//! model. Every step goes on after a mistake, so one run shows them all. [`yaml`] reads what Keepalived has no words for.
//! [`diff`] compares two models at reload, and [`plan`] says what the difference costs; [`dump`] writes one as text again.

mod build;
pub mod diag;
pub mod diff;
pub mod dump;
mod expand;
mod expanded;
pub mod explain;
pub mod files;
pub mod host;
pub mod keywords;
mod lex;
pub mod model;
mod parse;
pub mod plan;
mod source;
mod values;
pub mod yaml;

pub use diag::{Class, Diagnostic, Expansion, Made, Severity, Sources, Span};
pub use files::{Disk, Files};
pub use host::Host;
#[cfg(feature = "daemon")]
pub use host::{AnyHost, LocalHost};

use model::Config;

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `-i`; without it the host name up to the first dot.
    pub config_id: Option<String>,
    /// `-e`: every include check is an error.
    pub all_config_checks: bool,
    /// `-x`: all SNMP parts.
    pub snmp_all: bool,
    /// `-A`: address of the AgentX master; `snmp_socket` is then refused.
    pub agent_socket: Option<String>,
    /// `-s`: network namespace; beats `net_namespace`.
    pub namespace: Option<String>,
    /// `--settings`; without it `keepwatch.yaml` beside the configuration file, if it is there.
    pub settings: Option<String>,
    /// Seed of `${_RANDOM}` unless `random_seed` gives one.
    pub random_seed: u64,
}

/// Everything that reading a configuration gives.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// In the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    pub sources: Sources,
    /// Exit status of `-t`.
    pub status: u8,
    /// False when Keepalived would refuse to start, too.
    pub can_start: bool,
    /// Exit status of a daemon that does not start: 2, or 6 when files are missing.
    pub start_status: u8,
}

impl Loaded {
    /// All diagnostics as people read them, a blank line between two.
    pub fn render(&self) -> String {
        let rendered: Vec<_> = self.diagnostics.iter().map(|diagnostic| diagnostic.render(&self.sources)).collect();
        rendered.join("\n")
    }
}

/// Reads a configuration. Never fails: what could not be read is told by the diagnostics.
pub fn load(path: &str, options: &Options, files: &dyn Files, host: &dyn Host) -> Loaded {
    read(path, options, files, host).0
}

/// As [`load`], for a process that ends with it: what was needed for reading is not taken apart.
pub fn load_last(path: &str, options: &Options, files: &dyn Files, host: &dyn Host) -> Loaded {
    let (loaded, nodes) = read(path, options, files, host);
    std::mem::forget(nodes);
    loaded
}

/// As [`load`], with the origin of every value.
pub fn explain(
    path: &str,
    options: &Options,
    files: &dyn Files,
    host: &dyn Host,
    how: &dump::Options,
) -> (Loaded, explain::Explanation) {
    let (loaded, nodes) = read(path, options, files, host);
    let dump = dump::dump(&loaded.config, &dump::Options { defaults: true, ..how.clone() });
    let explanation = explain::explain(&dump, &nodes, &loaded.diagnostics, &loaded.sources, options);
    (loaded, explanation)
}

fn read(path: &str, options: &Options, files: &dyn Files, host: &dyn Host) -> (Loaded, Vec<parse::Node>) {
    let mut expanded = expand::Expander::new(files, host, options).run(path);
    let (nodes, complaints) = parse::parse(&expanded.items, &expanded.sources);
    let mut built = build::build(&nodes, &expanded.sources, options, files, host);
    let ours = yaml::load(options.settings.as_deref(), path, files, &mut expanded.sources);
    built.config.settings = ours.settings;
    let advice = yaml::advice(&built.config, ours.file);
    let mut diagnostics = expanded.diagnostics;
    // That there are too many is told once.
    let is_end = |diagnostic: &Diagnostic| diagnostic.code == "too-much";
    let ended = diagnostics.iter().any(is_end);
    diagnostics.extend(complaints.into_iter().filter(|it| !(ended && is_end(it))));
    diagnostics.extend(built.diagnostics);
    diagnostics.extend(ours.diagnostics);
    diagnostics.extend(advice);
    diagnostics.sort_by_key(|diagnostic| diagnostic.span.place());
    let diagnostics = expanded::tell(diagnostics, &expanded.items, &expanded.sources);
    let refused = |diagnostic: &Diagnostic| diagnostic.refuses_start;
    let missing = |diagnostic: &Diagnostic| matches!(diagnostic.class, Class::IncludeCheck | Class::MissingFile);
    let status = diag::status(&diagnostics);
    let can_start = expanded.opened && !built.refused && !diagnostics.iter().any(refused);
    let start_status = if diagnostics.iter().any(|each| refused(each) && missing(each)) { 6 } else { 2 };
    // Nobody reads more, and each is shown with its line.
    let mut diagnostics = diagnostics;
    if diagnostics.len() > expand::MISTAKES_MAX {
        // That reading ended is the first thing to know.
        diagnostics.sort_by_key(|diagnostic| (std::cmp::Reverse(diagnostic.severity), diagnostic.code != "too-much"));
        diagnostics.truncate(expand::MISTAKES_MAX);
    }
    let loaded =
        Loaded { status, can_start, start_status, config: built.config, diagnostics, sources: expanded.sources };
    (loaded, nodes)
}
