//! What VRRP tracks besides interfaces and BFD: scripts, files, processes. Decides when to look and what was found.
//!
//! [`engine`] has all of them and is what the runner drives: events and a clock in, things to do out, and findings for
//! vrrp, which are asked for when there is room to send them. [`script`] is one `vrrp_script`, [`file`] one `track_file`,
//! [`process`] one `vrrp_track_process` and the census that counts for all of those. What a finding does to a priority is
//! vrrp's business. No I/O here, and no clock.

pub mod engine;
#[cfg(test)]
mod engine_tests;
pub mod file;
pub mod process;
pub mod script;

pub use engine::{Engine, Output};
