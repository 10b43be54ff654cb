//! Keepalived's D-Bus interface: `org.keepalived.Vrrp1`, without any I/O.
//!
//! [`wire`] turns messages into bytes and back (the D-Bus Specification, version 0.43); [`Service`] is one connection to a
//! bus: it says who it is, takes its name, answers calls from a snapshot and tells of changes. Who may call is for the
//! bus's policy to say; what a call asks for beyond reading comes out as an [`Ask`] and is carried out elsewhere.

mod service;
pub mod wire;

pub use service::{Ask, Service, Settings};
