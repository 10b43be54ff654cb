//! Processes: who runs where, and how they hear of each other.
//!
//! One binary, several roles by re-exec ([`role`]). The [`supervisor`] starts, wires, restarts and stops the others and
//! parses nothing; [`load`] turns text into a sealed configuration and exits; [`vrrp`] and [`checks`] drive their engines;
//! the [`runner`] executes scripts and sends mail; the [`bridge`] keeps a copy of what the engines say and shows it to SNMP
//! and over the [`control`] socket, and over HTTP ([`web`]). Start reading at [`lifecycle`].

pub mod beside;
pub mod bridge;
pub mod checks;
pub mod control;
pub mod daemonize;
pub mod dumps;
pub mod genhash;
pub mod host;
pub mod lifecycle;
pub mod link;
pub mod load;
pub mod logging;
pub mod naming;
pub mod options;
pub mod pidfile;
mod pulse;
pub mod role;
pub mod runner;
mod schedule;
mod scheduling;
mod statefile;
pub mod supervisor;
mod usage;
pub mod vrrp;
pub mod web;
