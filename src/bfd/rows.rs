//! Rows of the bus from sessions.

use super::engine::Engine;
use super::session::Session;
use crate::bus::bfd::{BfdRow, BfdState};
use crate::bus::rows::{Row, RowKey};
use crate::clock::WallTime;
use crate::wire::bfd::State;

impl Engine {
    /// The value of a row now; `None` if it is not one of a session, or the session is gone.
    pub fn row(&self, key: &RowKey) -> Option<Row> {
        let RowKey::Bfd(name) = key else { return None };
        let kept = self.named(name)?;
        kept.counted.set(false);
        Some(Row::Bfd(Box::new(row(&kept.session, kept.index, kept.since))))
    }

    /// Every row there is.
    pub fn keys(&self) -> Vec<RowKey> {
        self.names().map(|name| RowKey::Bfd(name.to_owned())).collect()
    }
}

fn row(session: &Session, index: u32, since: WallTime) -> BfdRow {
    let remote = session.remote();
    BfdRow {
        index,
        config: session.config().clone(),
        state: state(session.state()),
        since,
        diagnostic: session.diagnostic().code(),
        discriminator: session.discriminator(),
        remote_state: state(remote.state),
        remote_diagnostic: remote.diagnostic.code(),
        remote_discriminator: remote.discriminator,
        interval_us: session.interval_us(),
        detection_us: session.detection_us(),
        counters: session.counters,
    }
}

fn state(of: State) -> BfdState {
    match of {
        State::AdminDown => BfdState::AdminDown,
        State::Down => BfdState::Down,
        State::Init => BfdState::Init,
        State::Up => BfdState::Up,
    }
}
