//! Bidirectional Forwarding Detection: asynchronous mode over one hop (RFC 5880, RFC 5881) and over several (RFC 5883).
//!
//! Read [`io`] first. [`session`] is one session and knows nothing of others, [`engine`] is all of them: it finds the
//! session of a packet, keeps the timers and tells who wants to know. Neither reads a clock nor does I/O, and chance comes
//! in as a seed. There is no echo function and no authentication; demand mode is respected and never asked for.

pub mod engine;
pub mod io;
mod random;
mod rows;
pub mod session;
#[cfg(test)]
mod tests;

pub use engine::Engine;
