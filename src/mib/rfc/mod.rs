//! The modules of the RFCs: virtual routers as any VRRP daemon shows them.
//!
//! [`v2`] is VRRP-MIB (RFC 2787), [`v3`] VRRPV3-MIB (RFC 6527). Nothing in them can be set, whatever MAX-ACCESS says. Which
//! routers they know, and how these are numbered, is decided in the store (`derived.rs`).

pub mod v2;
pub mod v3;

use std::net::IpAddr;

use super::table::Syntax;
use super::value::one_or_two;
use crate::bus::rows::{InstanceRow, State};
use crate::conf::model::VmacKind;
use crate::store::Snapshot;
use crate::wire::value::Value;

pub(super) const STATE: Syntax = Syntax::integer("INTEGER{initialize(1),backup(2),master(3)}");

/// RFCs know no fault: such a router has not begun.
pub(super) fn state(row: &InstanceRow) -> Value {
    Value::Integer(match row.state {
        State::Backup => 2,
        State::Master => 3,
        State::Init | State::Fault | State::Shutdown | State::Deleted => 1,
    })
}

/// What RFC 3768 and RFC 9568 section 7.3 call the virtual router MAC address, or what `use_vmac` has in its place.
/// Keepalived shows the card's own without `use_vmac`.
pub(super) fn virtual_mac(row: &InstanceRow) -> Value {
    let mac = match row.config.vmacs.own.as_ref().map(|own| own.kind) {
        Some(VmacKind::Macvlan { mac }) => mac,
        Some(VmacKind::Ipvlan { .. }) | None => crate::conf::model::virtual_mac(row.config.family, row.config.vrid),
    };
    Value::OctetString(mac.to_vec())
}

/// Where the master's adverts come from: itself, or whom it heard last.
pub(super) fn master(row: &InstanceRow) -> Option<IpAddr> {
    match row.state {
        State::Master => row.primary,
        _ => row.master.map(|(address, _)| address),
    }
}

/// At most 255: an advert holds no more.
pub(super) fn address_count(row: &InstanceRow) -> Value {
    Value::Integer(i32::try_from(row.advertised.len()).unwrap_or(i32::MAX))
}

pub(super) fn preempt(row: &InstanceRow) -> Value {
    one_or_two(row.preempt)
}

/// RowStatus: rows come and go with the configuration.
pub(super) fn active<R>(_: &R) -> Option<Value> {
    Some(Value::Integer(1))
}

/// Scalars of a vrrp process that was never heard have no instance.
pub(super) fn heard(snapshot: &Snapshot) -> Option<&Snapshot> {
    snapshot.vrrp.settings.global.is_some().then_some(snapshot)
}

#[cfg(test)]
mod tests;
