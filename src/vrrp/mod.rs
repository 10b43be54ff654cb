//! VRRP (RFC 3768, RFC 9568): machines and the engine decide without I/O; the driver in `process::vrrp` does.
//!
//! Read [`io`] first: it is everything that goes in and comes out.

pub mod admit;
pub mod announce;
mod carry;
pub mod engine;
#[cfg(test)]
mod engine_tests;
mod host;
pub mod io;
pub mod machine;
pub mod priority;
mod reload;
mod router;
mod rows;
