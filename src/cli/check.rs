//! `keepwatch check`: the diagnostics of `keepwatchd -t`, for people and editors.

use std::process::ExitCode;

use clap::Args;

use super::effective::Effective;
use crate::conf;
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
    #[command(flatten)]
    effective: Effective,
}

impl Check {
    pub fn run(self) -> ExitCode {
        let options = conf::Options { config_id: self.config_id, settings: self.settings, ..conf::Options::default() };
        if let Some(status) = self.effective.run(&self.file, &options) {
            return status;
        }
        let loaded = conf::load(&self.file, &options, &conf::Disk, &HostWithoutOurs::look());
        print!("{}", loaded.render());
        for directive in &loaded.config.not_built {
            println!("note: {}: {} is understood, and has no effect yet", directive.location, directive.directive);
        }
        ExitCode::from(loaded.status)
    }
}
