//! VRRP (RFC 3768, RFC 9568): machines and the engine decide without I/O; the driver in `process::vrrp` does.
//!
//! Read [`io`] first: it is everything that goes in and comes out. [`machine`] is one election, [`admit`] says which
//! adverts it may hear and `protect.rs` what `auth_type AH` makes of that, [`track`] what scripts, files and interfaces do to
//! it, [`priority`] what it advertises and [`announce`] when neighbours are told. [`engine`] has them
//! all, `group.rs` lets those of a sync group move together, `carry.rs` turns decisions into outputs, `refuse.rs` tells
//! of bad packets, `notify.rs` says who else is told, `routes.rs` keeps routes and rules on the host, `command.rs` does what
//! operators command and `reload.rs` goes from one configuration to the next.

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
pub mod line;
pub mod machine;
mod notify;
#[cfg(test)]
mod notify_tests;
pub mod priority;
mod protect;
mod refuse;
mod reload;
mod router;
mod routes;
#[cfg(test)]
mod routes_tests;
mod rows;
pub mod track;
#[cfg(test)]
mod track_tests;
mod vmac;
