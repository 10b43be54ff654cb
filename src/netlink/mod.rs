//! The only netlink in the program.
//!
//! [`socket`] frames and counts messages, [`route`] watches links and addresses and changes addresses, routes and rules
//! ([`routes`] and [`rules`] write these), [`lines`] hears which of those were removed, [`nft`] drops traffic of addresses
//! that a router holds without accepting it. [`link`] makes and deletes interfaces. None of these blocks but for
//! [`route::Monitor::dump`], at the start and after an overrun. [`ipvs`], over [`generic`], is the load balancer's table: it
//! blocks, on a thread of its own. [`connector`] tells of processes, [`forwarding`] of interfaces that route IPv6.

pub mod connector;
pub mod forwarding;
pub mod generic;
pub mod ipvs;
pub mod lines;
pub mod link;
pub mod nft;
pub mod route;
pub mod routes;
pub mod rules;
pub mod socket;
