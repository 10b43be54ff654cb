//! The roles that one binary plays, told apart by `argv[0]`.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Text to a sealed configuration, then exit.
    Load,
    /// VRRP, addresses, gratuitous ARP.
    Vrrp,
    /// Virtual servers, their checks, the kernel's IPVS table.
    Checks,
    /// Scripts and mail.
    Runner,
    /// The store, and everything that is shown of it.
    Bridge,
    /// RRD files and graphs: a binary of its own, `keepwatch-rrd`.
    Rrd,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Load => "load",
            Role::Vrrp => "vrrp",
            Role::Checks => "checks",
            Role::Runner => "runner",
            Role::Bridge => "bridge",
            Role::Rrd => "rrd",
        }
    }

    /// Whether the role owns an engine whose rows the bridge wants.
    pub fn is_engine(self) -> bool {
        matches!(self, Role::Vrrp | Role::Checks)
    }

    /// `argv[0]` of the process, as `ps` shows it.
    pub fn title(self) -> String {
        format!("keepwatchd: {}", self.name())
    }

    /// The inverse of [`Self::title`].
    pub fn from_title(argv0: &str) -> Option<Role> {
        [Role::Load, Role::Vrrp, Role::Checks, Role::Runner, Role::Bridge]
            .into_iter()
            .find(|role| role.title() == argv0)
    }
}

/// Exit statuses, as Keepalived's parent gives and understands them (`cli.md` section 8 of our specification).
pub mod exit {
    /// Normal stop; also "already running" and an unknown network namespace.
    pub const OK: i32 = 0;
    /// Command line, or a fault that starting again will not mend.
    pub const FATAL: i32 = 1;
    /// A configuration that cannot run.
    pub const CONFIG: i32 = 2;
    /// A privilege is missing.
    pub const PERMISSION: i32 = 4;
    /// The configuration file or a checked include is missing.
    pub const MISSING_FILE: i32 = 6;
    /// A fault in this program.
    pub const SOFTWARE: i32 = 70;

    /// Whether a child that ends with this status is not worth starting again.
    pub fn is_permanent(status: i32) -> bool {
        matches!(status, FATAL | CONFIG | PERMISSION)
    }
}
