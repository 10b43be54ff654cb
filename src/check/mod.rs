//! IPVS and health checks: which real servers are up, and what the kernel's table shall hold.
//!
//! Start at [`io`], which names everything that goes in and comes out. Nothing here but `probe` touches the operating
//! system.

pub mod io;
#[cfg(feature = "daemon")]
pub mod probe;
pub mod table;
