//! What the daemon writes into files when somebody sends a signal: state for people, counters, JSON for exporters.
//!
//! Files and keys are named as Keepalived names them, because scripts look for them; values come from one snapshot. What
//! Keepalived keeps and we do not (descriptors, places of memory, pass phrases) is not there. [`json`] is read by
//! programs, the rest by people and by grep.

mod check;
mod global;
pub mod json;
mod lines;
mod page;
mod stats;
mod vrrp;

use std::net::IpAddr;

use self::page::Page;
pub use self::stats::stats;
use crate::clock::WallTime;
use crate::store::Snapshot;

/// Which file; the supervisor knows where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// `keepalived_parent.data`: the settings of the daemon.
    Parent,
    /// `keepalived.data`: settings and VRRP.
    Vrrp,
    /// `keepalived_check.data`: settings, virtual servers and their checkers.
    Check,
    /// `keepalived_bfd.data`: settings and BFD sessions.
    Bfd,
    /// `keepalived.stats`: counters of VRRP.
    Stats,
    /// `keepalived.json`.
    Json,
}

/// A moment, and what a snapshot does not know of it.
pub struct Facts<'a> {
    pub snapshot: &'a Snapshot,
    /// Local time for people.
    pub when: &'a dyn Fn(WallTime) -> String,
    /// In the order of the kernel.
    pub interfaces: &'a [Interface],
}

/// A network interface of this host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    pub name: String,
    pub index: u32,
    pub addresses: Vec<IpAddr>,
    pub mac: Option<[u8; 6]>,
    pub up: bool,
    pub running: bool,
    pub broadcast: bool,
    pub loopback: bool,
    pub multicast: bool,
}

/// The whole text of a file; empty if there is nothing to write.
pub fn render(kind: Kind, facts: &Facts<'_>) -> String {
    let mut page = Page::default();
    match kind {
        Kind::Parent => global::settings(&mut page, facts),
        Kind::Vrrp => {
            global::settings(&mut page, facts);
            vrrp::topology(&mut page, facts);
        }
        Kind::Check => {
            global::settings(&mut page, facts);
            check::topology(&mut page, facts);
        }
        Kind::Bfd => {
            global::settings(&mut page, facts);
            vrrp::sessions(&mut page, facts);
        }
        Kind::Stats => return stats(facts.snapshot),
        Kind::Json => return json::document(facts.snapshot),
    }
    page.text
}

#[cfg(test)]
mod tests;
