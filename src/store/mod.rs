//! What the bridge knows: frames in, one immutable snapshot out.
//!
//! [`Store::apply`] takes frames as engines send them; at a Commit there is a new [`Snapshot`]. The [`Journal`] keeps
//! the last edges, and [`Bases`] what was counted before the rows that are shown. Who reads them, and what SNMP makes of a row number, is not known here.

mod apply;
mod derived;
mod journal;
mod ledger;
mod snapshot;

pub use apply::{Applied, Resync, Store};
pub use derived::{rfc_v2_index, rfc_v3_index};
pub use journal::{Entry, Journal, Numbered};
pub use ledger::{Bases, IpvsCounters, Process, ServerTotals};
pub use snapshot::{Age, CheckRows, Generations, Hop, Identity, MibIndex, RowSet, Settings, Snapshot, VrrpRows};
