//! The only netlink in the program.
//!
//! [`socket`] frames and counts messages, [`route`] watches links and addresses and changes addresses, [`nft`] drops
//! traffic of addresses that a router holds without accepting it. Nothing here blocks but [`route::Monitor::dump`], at
//! the start and after an overrun.

pub mod nft;
pub mod route;
pub mod socket;
