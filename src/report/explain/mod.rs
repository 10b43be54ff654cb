//! `keepwatch explain`: why something is in the state that it is in, since when, and what would change that.
//!
//! [`any`] takes an operator's word; [`instance`], [`real_server`], [`virtual_server`] and [`bfd_session`] are what it may mean. The causes
//! that must be named are listed in [`situations`].

mod bfd;
mod instance;
mod server;
mod service;
pub mod situations;
#[cfg(test)]
mod tests;

use super::{Event, Explanation, events};
use crate::bus::msg::Edge;
use crate::control::select::Selector;
use crate::export::Look;

pub use self::bfd::bfd_session;
pub use self::instance::instance;
pub use self::server::real_server;
pub use self::service::virtual_server;

/// Events in an explanation.
const EVENTS: usize = 8;

/// Why there is no explanation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// Nothing has this name.
    #[error("{0}")]
    NotFound(String),
    /// Several do: what they are, as they can be asked for.
    #[error("{message}")]
    Ambiguous { message: String, candidates: Vec<String> },
    /// The process that would know has not spoken yet.
    #[error("{0}")]
    Unavailable(String),
}

/// An instance of this name, else a virtual server, else a BFD session, else a real server. `service` says which virtual server's, and then
/// only a real server is meant.
pub fn any(look: &Look, name: &str, service: Option<&str>) -> Result<Explanation, ExplainError> {
    if service.is_some() {
        return real_server(look, name, service);
    }
    if look.snapshot.vrrp.instances.iter().any(|(_, row)| row.config.name.0 == name) {
        return instance(look, name);
    }
    if Selector::new(Some(name), None).services(&look.snapshot).next().is_some() {
        return virtual_server(look, name);
    }
    if look.snapshot.vrrp.sessions.iter().any(|(_, row)| row.config.name == name) {
        return bfd_session(look, name);
    }
    match real_server(look, name, None) {
        Err(ExplainError::NotFound(_) | ExplainError::Unavailable(_)) => {
            Err(ExplainError::NotFound(format!("no VRRP instance, virtual server or real server is called {name}")))
        }
        found => found,
    }
}

fn recent(look: &Look, wanted: impl Fn(&Edge) -> bool) -> Vec<Event> {
    let mut events = events::matching(look, EVENTS, wanted);
    // What is explained is the subject of all others.
    for event in events.iter_mut().filter(|event| event.kind == "tracker") {
        event.text = format!("{} {}", event.subject, event.text);
    }
    events
}
