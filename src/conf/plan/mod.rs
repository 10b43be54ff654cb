//! What a reload would do: the changes, in words, and apart from them what they cost.
//!
//! [`plan`] is the way in. It knows two configurations and nothing of a running daemon: whether an instance is MASTER now, or
//! how many connections a server has, is for those who read a [`Consequence`].

mod consequences;
mod words;

use serde::{Deserialize, Serialize};

use super::diff::{Change, diff};
use super::model::{Config, InstanceName, ServerKey, ServiceKey};

/// The way from one configuration to another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// In the order of the file.
    pub changes: Vec<Change>,
    /// In the order of the file.
    pub consequences: Vec<Consequence>,
}

/// What somebody may notice who does not look at the configuration. How much it matters, the running daemon knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Consequence {
    /// The instance goes. If it is MASTER, it resigns, and so many addresses go with it.
    InstanceRemoved { instance: InstanceName, addresses: u32 },
    /// It is another virtual router from now on: the old one resigns, the new one starts as BACKUP. `because` names the
    /// directives.
    InstanceRestarts { instance: InstanceName, because: Vec<String> },
    /// A MASTER may have to give way to a peer that was weaker.
    PriorityLowered { instance: InstanceName, old: u8, new: u8 },
    /// An address that no longer is on the host. `instance` is `None` for a static one.
    AddressRemoved { instance: Option<InstanceName>, address: String },
    /// An address that another instance holds from now on, here if that one is MASTER here.
    AddressMoves { from: InstanceName, to: InstanceName, address: String },
    /// Clients are refused from now on.
    ServiceRemoved { service: ServiceKey },
    /// No server that stays has a weight above zero. `sorry`: there is a sorry server.
    ServiceEmptied { service: ServiceKey, sorry: bool },
    /// The servers that stay or come, with their weights: together they are compared with what is alive.
    PoolShrinks { service: ServiceKey, quorum: u32, pool: Vec<Pooled> },
    /// Its open connections are cut.
    ServerRemoved { server: ServerKey },
    /// It gets no new connections from now on.
    ServerDrained { server: ServerKey },
    /// In force at the next start only.
    WaitsForRestart { keyword: String },
}

/// A real server of the new configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pooled {
    pub server: ServerKey,
    pub weight: u32,
    /// It is not in the configuration in force, and starts up.
    pub starts_up: bool,
}

impl Plan {
    /// There is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Each change in a line, in the order of the file.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.changes.iter().map(words::line)
    }
}

impl Change {
    /// This change in a line: `VI_1: priority 150 → 120, no address changes`.
    pub fn words(&self) -> String {
        words::line(self)
    }
}

/// What has to be done to get from `old` to `new`.
pub fn plan(old: &Config, new: &Config) -> Plan {
    let changes = diff(old, new);
    let consequences = if changes.is_empty() { Vec::new() } else { consequences::of(old, new, &changes) };
    Plan { changes, consequences }
}
