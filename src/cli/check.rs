//! `keepwatch check`: the diagnostics of `keepwatchd -t`, for people, scripts and editors ([`json`]), and CI ([`sarif`]).

mod json;
mod sarif;

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::effective::Effective;
use crate::conf::{self, Loaded, Severity};
use crate::process::host::HostWithoutOurs;

#[derive(Debug, Args)]
pub struct Check {
    /// Configuration file
    #[arg(default_value = "/etc/keepalived/keepalived.conf")]
    file: String,
    /// Name of the node for @ID lines
    #[arg(short = 'i', long)]
    config_id: Option<String>,
    /// keepwatch's own settings (YAML); without it keepwatch.yaml beside the configuration file, if it is there
    #[arg(long, value_name = "FILE")]
    settings: Option<String>,
    /// Also look at this host, as `keepwatchd -t` does: interfaces, addresses, routes, scripts, users, names of tables
    ///
    /// Without it only what the files say is judged, whichever host they are for.
    #[arg(long)]
    here: bool,
    /// How to tell what is wrong
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    effective: Effective,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: message, line with a caret, hint
    Text,
    /// One document, described in docs/operations.md
    Json,
    /// Static Analysis Results Interchange Format 2.1.0, which code hosts show beside the lines
    Sarif,
}

impl Check {
    pub fn run(self) -> ExitCode {
        let options = conf::Options { config_id: self.config_id, settings: self.settings, ..conf::Options::default() };
        if let Some(status) = self.effective.run(&self.file, &options) {
            return status;
        }
        let loaded = if self.here {
            conf::load(&self.file, &options, &conf::Disk, &HostWithoutOurs::look().with_modules())
        } else {
            conf::load(&self.file, &options, &conf::Disk, &conf::AnyHost)
        };
        match self.format {
            Format::Text => super::outcome::print(&text(&loaded)),
            Format::Json => super::outcome::print(&format!("{:#}\n", json::document(&loaded, &self.file, self.here))),
            Format::Sarif => super::outcome::print(&format!("{:#}\n", sarif::document(&loaded))),
        }
        ExitCode::from(loaded.status)
    }
}

fn text(loaded: &Loaded) -> String {
    let mut text = loaded.render();
    for directive in &loaded.config.not_built {
        let line =
            format!("note: {}: {} is understood, and has no effect yet\n", directive.location, directive.directive);
        text.push_str(&line);
    }
    if !loaded.diagnostics.is_empty() {
        text.push_str(&format!("\n{}\n", summary(loaded)));
    }
    text
}

fn summary(loaded: &Loaded) -> String {
    let told = |severity, one: &str| match count(loaded, severity) {
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    };
    let all = [told(Severity::Error, "error"), told(Severity::Warning, "warning"), told(Severity::Hint, "hint")];
    let start = if loaded.can_start { "" } else { "; the daemon would not start" };
    format!("{}{start}", all.join(", "))
}

fn count(loaded: &Loaded, severity: Severity) -> usize {
    loaded.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
}

#[cfg(test)]
mod tests;
