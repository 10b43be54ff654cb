//! The AgentX (RFC 2741) subagent.
//!
//! [`Session`] is a protocol as a value: events and a time in, actions out. It asks a [`View`](crate::mib::view::View) for variables and
//! knows no sockets, no tables and no VRRP. [`set`] keeps the transactions of SETs.

pub mod session;
pub mod set;

pub use session::{Action, Event, Log, LogLevel, Phase, Session, SessionStatus, Settings, Stats, Wanted};
pub use set::Token;

#[cfg(test)]
mod tests {
    mod agreement;
}
