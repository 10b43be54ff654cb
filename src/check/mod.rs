//! IPVS and health checks: which real servers are up, and what the kernel's table shall hold.
//!
//! Start at [`io`], which names everything that goes in and comes out, then [`engine`]. Nothing here but `probe` touches
//! the operating system.

mod bfd;
mod carry;
pub mod engine;
pub mod io;
mod kernel;
pub mod machine;
pub mod plan;
#[cfg(feature = "daemon")]
pub mod probe;
pub mod refusal;
mod reload;
mod rows;
pub mod service;
mod sync;
pub mod table;
#[cfg(test)]
pub(crate) mod tests;
mod times;
