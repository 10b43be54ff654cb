//! What an operator sees of the session.

use super::{Item, Session, State, Stats, Status};
use crate::clock::Instant;
use crate::wire::agentx::Body;
use crate::wire::oid::Oid;

/// The session as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStatus {
    pub phase: Phase,
    /// Up since, or not up since; `None`: never wanted.
    pub since: Option<Instant>,
    /// The master's number for it.
    pub session: Option<u32>,
    /// Subtrees that are to be registered, and those that are.
    pub wanted: usize,
    pub granted: usize,
    /// Subtrees that the master refused the last time it was asked, and its reason.
    pub refused: Vec<(Oid, &'static str)>,
    /// Notifications that wait, and those that the master has not acknowledged.
    pub queued: usize,
    pub unacknowledged: usize,
    /// The last PDU from the master and to it.
    pub last_in: Option<(Instant, &'static str)>,
    pub last_out: Option<(Instant, &'static str)>,
    /// Why the last session or attempt ended.
    pub last_error: Option<String>,
    pub stats: Stats,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is to be registered.
    Off,
    /// Until the next attempt.
    Waiting,
    Connecting,
    Opening,
    /// Open; registrations are under way.
    Registering,
    Up,
}

/// What is kept for [`SessionStatus`] and decides nothing.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) since: Option<Instant>,
    pub(super) last_in: Option<(Instant, &'static str)>,
    pub(super) last_out: Option<(Instant, &'static str)>,
    pub(super) last_error: Option<String>,
}

impl Session {
    /// As of `now`: what has waited too long is thrown away first.
    pub fn status(&mut self, now: Instant) -> SessionStatus {
        self.traps.expire(now);
        let registrations = || {
            self.items.iter().filter_map(|(item, status)| match item {
                Item::Registration(oid) => Some((oid, status)),
                Item::Capability(..) => None,
            })
        };
        let refused = registrations().filter_map(|(oid, status)| match status {
            Status::Refused { error, .. } => Some((oid.clone(), error.name())),
            Status::Wanted | Status::Asked | Status::Granted => None,
        });
        let (phase, session) = match &self.state {
            State::Idle => (Phase::Off, None),
            State::Waiting { .. } => (Phase::Waiting, None),
            State::Connecting { .. } => (Phase::Connecting, None),
            State::Opening { .. } => (Phase::Opening, None),
            State::Open(live) => (if live.up { Phase::Up } else { Phase::Registering }, Some(live.session)),
        };
        let unacknowledged = match &self.state {
            State::Open(live) => live
                .outstanding
                .values()
                .filter(|outstanding| matches!(outstanding.about, super::About::Notify))
                .count(),
            _ => 0,
        };
        SessionStatus {
            phase,
            since: self.seen.since,
            session,
            wanted: registrations().count(),
            granted: registrations().filter(|(_, status)| **status == Status::Granted).count(),
            refused: refused.collect(),
            queued: self.traps.len(),
            unacknowledged,
            last_in: self.seen.last_in,
            last_out: self.seen.last_out,
            last_error: self.seen.last_error.clone(),
            stats: self.stats(),
        }
    }
}

/// The PDU's name (RFC 2741 section 6.2).
pub(super) fn name(body: &Body) -> &'static str {
    match body {
        Body::Open { .. } => "Open",
        Body::Close(_) => "Close",
        Body::Register { .. } => "Register",
        Body::Unregister { .. } => "Unregister",
        Body::Get(_) => "Get",
        Body::GetNext(_) => "GetNext",
        Body::GetBulk { .. } => "GetBulk",
        Body::TestSet(_) => "TestSet",
        Body::CommitSet => "CommitSet",
        Body::UndoSet => "UndoSet",
        Body::CleanupSet => "CleanupSet",
        Body::Notify(_) => "Notify",
        Body::Ping => "Ping",
        Body::IndexAllocate { .. } => "IndexAllocate",
        Body::IndexDeallocate { .. } => "IndexDeallocate",
        Body::AddAgentCaps { .. } => "AddAgentCaps",
        Body::RemoveAgentCaps { .. } => "RemoveAgentCaps",
        Body::Response { .. } => "Response",
    }
}
