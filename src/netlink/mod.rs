//! The only netlink in the program.
//!
//! [`socket`] frames and counts messages, [`route`] watches links and addresses and changes addresses, [`nft`] drops
//! traffic of addresses that a router holds without accepting it. Neither blocks but for [`route::Monitor::dump`], at the
//! start and after an overrun. [`ipvs`], over [`generic`], is the load balancer's table: it blocks, on a thread of its own. [`connector`] tells of
//! processes.

pub mod connector;
pub mod generic;
pub mod ipvs;
pub mod nft;
pub mod route;
pub mod socket;
