//! VRRP (RFC 3768, RFC 9568): machines and the engine decide without I/O; the driver in `process::vrrp` does.
//!
//! Read [`io`] first: it is everything that goes in and comes out. [`machine`] is one election, [`admit`] says which
//! adverts it may hear, [`track`] what scripts, files and interfaces do to it, [`priority`] what it advertises and [`announce`]
//! when neighbours are told. [`engine`] has them
//! all, `group.rs` lets those of a sync group move together, `carry.rs` turns decisions into outputs, `refuse.rs` tells
//! of bad packets, `command.rs` does what operators command and `reload.rs` goes from one configuration to the next.

pub mod admit;
pub mod announce;
mod carry;
mod command;
mod debounce;
pub mod engine;
#[cfg(test)]
mod engine_tests;
mod group;
#[cfg(test)]
mod group_tests;
mod host;
pub mod io;
pub mod machine;
pub mod priority;
mod refuse;
mod reload;
mod router;
mod rows;
pub mod track;
#[cfg(test)]
mod track_tests;
