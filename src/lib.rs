//! keepwatch: VRRP failover and IPVS load balancing from `keepalived.conf`, with monitoring that cannot hurt it.
//!
//! Start reading at [`vrrp::machine`] (one virtual router), [`vrrp::engine`] (all of this host) and
//! `process::supervisor` (who runs where). `docs/architecture.md` has the map; the invariants in short:
//!
//! 1. The vrrp process waits for its sockets and its next deadline, never for a peer process, a disk or a lock.
//! 2. Engines get time as an argument; the same inputs at the same times give the same outputs.
//! 3. A thing has one owner: addresses belong to vrrp. The bridge changes the kernel nowhere.
//! 4. Seams carry values keyed by names from the configuration, never by index or pointer.
//! 5. Every queue has a bound, a policy when full, and a counter. Any child may die at any time.

pub mod agentx;
pub mod bfd;
pub mod bus;
pub mod check;
pub mod clock;
pub mod conf;
pub mod control;
pub mod dbus;
pub mod export;
pub mod level;
pub mod mib;
pub mod report;
pub mod snmp;
pub mod store;
pub mod track;
pub mod vrrp;
pub mod wire;

#[cfg(feature = "daemon")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod netlink;
#[cfg(feature = "daemon")]
pub mod process;
#[cfg(feature = "daemon")]
pub mod sys;
