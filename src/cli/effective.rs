//! `keepwatch check --dump` and `--explain`: the configuration that is in force after everything was read.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::conf::dump::{self, HIDDEN};
use crate::conf::model::Config;
use crate::conf::{self, Loaded};
use crate::process::host::{HostWithoutOurs, names};

#[derive(Debug, Args)]
pub struct Effective {
    /// Print the effective configuration: includes, parameters and what is inherited resolved, one block after the other
    ///
    /// It is what this host makes of the file. What is wrong with it goes to standard error. `--dump=json` prints the model itself, as docs/config.schema.json
    /// describes it.
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        num_args = 0..=1,
        default_missing_value = "text",
        require_equals = true,
        conflicts_with_all = ["explain", "format", "here"]
    )]
    dump: Option<Form>,
    /// Print the effective configuration with all defaults, and of each value where it comes from
    ///
    /// As with --dump, it is what this host makes of the file.
    #[arg(long, conflicts_with_all = ["format", "here"])]
    explain: bool,
    /// With --dump: also what holds without being written
    #[arg(long, requires = "dump")]
    defaults: bool,
    /// Print the JSON schema of --dump=json
    #[arg(long, conflicts_with_all = ["dump", "explain", "format", "here"])]
    schema: bool,
    /// With --dump or --explain: passwords in clear; without it a dump is not the whole configuration
    #[arg(long)]
    secrets: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// keepalived.conf that is read as the same configuration
    Text,
    /// The model
    Json,
}

impl Effective {
    /// Prints what was asked for; `None` when nothing was.
    pub fn run(&self, file: &str, options: &conf::Options) -> Option<ExitCode> {
        if self.schema {
            super::outcome::print(&format!("{:#}\n", super::schema::schema()));
            return Some(ExitCode::SUCCESS);
        }
        if self.dump.is_none() && !self.explain {
            return None;
        }
        let host = HostWithoutOurs::look();
        let mut how = dump::Options { defaults: self.defaults, secrets: self.secrets, ..dump::Options::default() };
        let loaded = conf::load(file, options, &conf::Disk, &host);
        (how.users, how.groups) = names(&loaded.config);
        let text = match self.dump {
            None => conf::explain(file, options, &conf::Disk, &host, &how).1.text(),
            Some(Form::Text) => dump::dump(&loaded.config, &how).text(),
            Some(Form::Json) => format!("{:#}\n", document(&loaded.config, self.secrets)).into_bytes(),
        };
        if self.secrets {
            eprint!("{}", loaded.render());
        } else {
            for diagnostic in &loaded.diagnostics {
                eprint!("{}", diagnostic.render_discreetly(&loaded.sources));
            }
        }
        // A reader that went away has what it wanted.
        let _ = std::io::stdout().write_all(&text);
        Some(status(&loaded))
    }
}

fn status(loaded: &Loaded) -> ExitCode {
    ExitCode::from(loaded.status)
}

/// The model as JSON. keepwatch.yaml, which is no part of keepalived.conf, is left out.
fn document(config: &Config, secrets: bool) -> Value {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    if let Some(top) = value.as_object_mut() {
        top.remove("settings");
    }
    if !secrets {
        hide(&mut value);
    }
    value
}

/// Passwords of adverts, and of keys.
fn hide(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                let secret = matches!(key.as_str(), "Pass" | "Ah") || (key == "password" && inner.is_string());
                if secret {
                    *inner = Value::from(HIDDEN);
                } else {
                    hide(inner);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_no_part_of_a_document_unless_they_are_asked_for() {
        let mut value: Value = serde_json::json!({
            "instances": [{ "auth": { "Pass": [115, 51, 0] } }, { "auth": { "Ah": [1] } }, { "auth": null }],
            "client": { "password": "x", "ca": "/etc/ca" },
        });
        hide(&mut value);
        assert_eq!(
            value,
            serde_json::json!({
                "instances": [{ "auth": { "Pass": HIDDEN } }, { "auth": { "Ah": HIDDEN } }, { "auth": null }],
                "client": { "password": HIDDEN, "ca": "/etc/ca" },
            })
        );
        let shown = document(&Config::default(), false);
        assert!(shown.get("settings").is_none() && shown.get("instances").is_some(), "{shown}");
    }
}
