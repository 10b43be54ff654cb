//! What SNMP shows, as data: tables over rows, in OID order.
//!
//! Start at [`table`]: what an object is. [`global`], [`vrrp`] and [`check`] list the objects of
//! KEEPALIVED-MIB, [`rfc`] those of VRRP-MIB and VRRPV3-MIB; [`tree`] answers GET, GETNEXT and
//! the test of a SET over one snapshot ([`view`]), [`trap`] turns edges into notifications. How rows arrive, and that there is
//! AgentX, is not known here.

pub mod check;
pub mod doc;
pub mod global;
pub mod rfc;
pub mod sparse;
mod sync_group;
pub mod table;
pub mod trap;
pub mod tree;
pub mod value;
pub mod view;
pub mod vrrp;

#[cfg(test)]
pub(crate) mod fixture;

use table::Module;

pub static KEEPALIVED_MIB: Module = Module { name: "KEEPALIVED-MIB", root: ROOT };

/// keepalived(5) of debian(9586).project(100): the root of KEEPALIVED-MIB.
pub const ROOT: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5];
