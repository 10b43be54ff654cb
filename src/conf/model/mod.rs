//! What a configuration means: values that are already checked, keyed by the names the operator gave.
//!
//! The model travels from the load process to the others (serde), and two of them are compared at reload
//! ([`super::diff`]). It knows nothing of words, lines or files, but for [`Location`]s that logs point at.

mod bfd;
mod check;
mod global;
pub mod lines;
mod process;
mod route;
mod settings;
mod track;
mod vmac;
mod vrrp;

use serde::{Deserialize, Serialize};

pub use bfd::*;
pub use check::*;
pub use global::*;
pub use process::*;
pub use route::*;
pub use settings::*;
pub use track::*;
pub use vmac::*;
pub use vrrp::*;

/// Everything that a `keepalived.conf` says, as far as keepwatch gives it an effect.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Config {
    pub global: Global,
    /// `static_ipaddress`: held for the daemon's lifetime.
    pub static_addresses: Vec<Address>,
    /// In the order of the file; this order numbers the rows of the MIB.
    pub instances: Vec<Instance>,
    /// In the order of the file; this order numbers the rows of the MIB.
    pub sync_groups: Vec<SyncGroup>,
    pub trackers: Trackers,
    /// In the order of the file.
    pub bfd: Vec<BfdSession>,
    pub static_routes: Vec<Route>,
    pub static_rules: Vec<Rule>,
    /// In the order of the file.
    pub track_groups: Vec<TrackGroup>,
    /// In the order of the file; this order numbers the rows of the MIB.
    pub groups: Vec<ServerGroup>,
    /// Those with a real server, in the order of the file; this order numbers the rows of the MIB.
    pub services: Vec<VirtualServer>,
    /// Everything that the runner may execute; [`ScriptId`]s are places in this list.
    pub scripts: Vec<ScriptEntry>,
    /// `enable_script_security`: what others than root could have written does not run as root.
    pub script_security: bool,
    /// Whether the file asks for a checks process.
    pub has_virtual_servers: bool,
    /// `keepwatch.yaml`.
    pub settings: Settings,
    /// Directives that were understood but whose effect does not exist yet, each once, in file order.
    pub not_built: Vec<NotBuilt>,
}

/// A directive that is recognised and checked, and does nothing yet. Reported once at start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotBuilt {
    /// Path and keyword, as `vrrp_instance/track_script`.
    pub directive: String,
    pub location: Location,
}

/// A place in a file: what logs and diagnostics point at. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Location {
    pub file: String,
    pub line: u32,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
