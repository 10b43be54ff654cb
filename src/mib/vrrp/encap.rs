//! What routes and their next hops show of tunnels and realms.

use std::net::IpAddr;

use crate::conf::model::{Encap, Realms, TunnelTo};
use crate::mib::table::{Base, Syntax};
use crate::mib::value::inet;
use crate::wire::value::Value;

pub(super) const TYPE: Syntax = Syntax::integer("EncapType=INTEGER{mpls(1),ip(2),ila(3),ip6(4)}");
pub(super) const REALM: Syntax = unsigned("Realm=Unsigned32(1..65535)");

pub(super) const fn unsigned(text: &'static str) -> Syntax {
    Syntax { text, base: Base::Unsigned }
}

pub(super) fn realm_destination(realms: Option<Realms>) -> Option<Value> {
    realm(realms?.destination)
}

pub(super) fn realm_source(realms: Option<Realms>) -> Option<Value> {
    realm(realms?.source)
}

fn realm(realm: u8) -> Option<Value> {
    (realm != 0).then(|| Value::Gauge32(realm.into()))
}

pub(super) fn kind(encap: Option<&Encap>) -> Option<Value> {
    Some(Value::Integer(match encap? {
        Encap::Mpls(_) => 1,
        Encap::Ip(_) => 2,
        Encap::Ila(_) => 3,
        Encap::Ip6(_) => 4,
    }))
}

pub(super) fn labels(encap: Option<&Encap>) -> Option<Value> {
    let Encap::Mpls(labels) = encap? else { return None };
    let labels: Vec<String> = labels.iter().map(u32::to_string).collect();
    Some(Value::text(&labels.join("/")))
}

pub(super) fn id(encap: Option<&Encap>) -> Option<Value> {
    tunnel(encap)?.id.map(Value::Counter64)
}

pub(super) fn destination(encap: Option<&Encap>) -> Option<Value> {
    tunnel(encap)?.destination.map(inet)
}

pub(super) fn source(encap: Option<&Encap>) -> Option<Value> {
    tunnel(encap)?.source.map(inet)
}

pub(super) fn tos(encap: Option<&Encap>) -> Option<Value> {
    tunnel(encap)?.tos.map(|tos| Value::Gauge32(tos.into()))
}

pub(super) fn ttl(encap: Option<&Encap>) -> Option<Value> {
    tunnel(encap)?.ttl.filter(|ttl| *ttl != 0).map(|ttl| Value::Gauge32(ttl.into()))
}

pub(super) fn flags(encap: Option<&Encap>) -> Option<Value> {
    tunnel(encap)?.flags.map(|flags| Value::Gauge32(flags.into()))
}

pub(super) fn locator(encap: Option<&Encap>) -> Option<Value> {
    let Encap::Ila(locator) = encap? else { return None };
    Some(Value::Counter64(*locator))
}

/// An ip or ip6 tunnel, whichever it is.
fn tunnel(encap: Option<&Encap>) -> Option<TunnelTo<IpAddr>> {
    fn any<A: Copy + Into<IpAddr>>(tunnel: &TunnelTo<A>) -> TunnelTo<IpAddr> {
        let &TunnelTo { id, destination, source, tos, ttl, flags } = tunnel;
        let (destination, source) = (destination.map(Into::into), source.map(Into::into));
        TunnelTo { id, destination, source, tos, ttl, flags }
    }
    match encap? {
        Encap::Ip(tunnel) => Some(any(tunnel)),
        Encap::Ip6(tunnel) => Some(any(tunnel)),
        Encap::Mpls(_) | Encap::Ila(_) => None,
    }
}
