//! The only netlink in the program.
//!
//! [`socket`] frames and counts messages, [`route`] watches and changes links and addresses, [`nft`] drops what a router
//! holds without accepting it. Nothing here blocks but the dumps at start and after an overrun, which are bounded.

pub mod nft;
pub mod route;
pub mod socket;
