//! What every agent shows of itself: the system, snmp, snmpEngine, snmpMPDStats and usmStats groups (RFC 3418, RFC 3411,
//! RFC 3412, RFC 3413, RFC 3414); and two views as one.

use super::stats::Stats;
use super::usm::LocalEngine;
use crate::bus::msg::Command;
use crate::clock::Instant;
use crate::mib::table::{Moment, SetError};
use crate::mib::view::View;
use crate::wire::oid::Oid;
use crate::wire::snmp::DATAGRAM_MAX;
use crate::wire::value::{Value, VarBind};

/// What the host says of itself in the system group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct System {
    pub description: String,
    pub contact: String,
    /// The host's name.
    pub name: String,
    pub location: String,
    /// What is served besides these groups: lines of sysORTable.
    pub capabilities: Vec<(Oid, String)>,
}

/// These groups at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    pub system: &'a System,
    pub engine: &'a LocalEngine,
    pub stats: &'a Stats,
    pub now: Instant,
}

/// keepalived(5) below Debian's number, as the modules stand there.
const OBJECT_ID: &[u32] = crate::mib::ROOT;

/// "This host offers services of the application layer": the only thing that we know of it.
const SERVICES: i32 = 1 << 6;

#[derive(Clone, Copy)]
enum Object {
    Scalar(fn(&Own<'_>) -> Value),
    /// A column of sysORTable.
    Capability(fn(&Own<'_>, usize) -> Option<Value>),
}

impl Own<'_> {
    fn moment(&self) -> Moment {
        Moment { now: self.now, epoch: self.engine.started }
    }

    fn find<'n>(&self, name: &'n Oid) -> Option<(Object, &'n [u32])> {
        let at = OBJECTS.partition_point(|(id, _)| *id <= &name[..]).checked_sub(1)?;
        let (id, object) = OBJECTS.get(at)?;
        Some((*object, name.below(id)?))
    }
}

impl Object {
    fn get(self, own: &Own<'_>, instance: &[u32]) -> Option<Value> {
        match (self, instance) {
            (Object::Scalar(get), [0]) => Some(get(own)),
            (Object::Capability(get), [row]) => get(own, usize::try_from(*row).ok()?.checked_sub(1)?),
            _ => None,
        }
    }

    /// The number of the first instance behind this one, or at it.
    fn next(self, instance: &[u32], include: bool) -> Option<u32> {
        let first = match self {
            Object::Scalar(_) => 0,
            Object::Capability(_) => 1,
        };
        let candidate = match instance {
            [] => 0,
            [number] if include => *number,
            [number, ..] => number.checked_add(1)?,
        };
        match self {
            Object::Scalar(_) if candidate > first => None,
            _ => Some(candidate.max(first)),
        }
    }
}

impl View for Own<'_> {
    fn get(&self, name: &Oid) -> Value {
        match self.find(name) {
            None => Value::NoSuchObject,
            Some((object, instance)) => object.get(self, instance).unwrap_or(Value::NoSuchInstance),
        }
    }

    fn next(&self, name: &Oid, include: bool, end: &Oid) -> Option<VarBind> {
        // The object that `name` may lie in, then those behind it.
        let behind = OBJECTS.partition_point(|(id, _)| *id <= &name[..]);
        for (id, object) in OBJECTS.get(behind.saturating_sub(1)..)? {
            let instance = match name.below(id) {
                Some(instance) => instance,
                None if *id > &name[..] => &[],
                None => continue,
            };
            let Some(number) = object.next(instance, include) else { continue };
            let Some(value) = object.get(self, &[number]) else { continue };
            let found = VarBind::new(Oid::new(id).with(&[number]), value);
            return (end.is_empty() || found.name < *end).then_some(found);
        }
        None
    }

    fn test_set(&self, _: &VarBind) -> Result<Command, SetError> {
        Err(SetError::NotWritable)
    }
}

/// Two views in the order of their OIDs. What both have, the first shows.
#[derive(Clone, Copy)]
pub struct Merged<'a> {
    pub first: &'a dyn View,
    pub second: &'a dyn View,
}

impl View for Merged<'_> {
    fn get(&self, name: &Oid) -> Value {
        match self.first.get(name) {
            Value::NoSuchObject => self.second.get(name),
            value => value,
        }
    }

    fn next(&self, name: &Oid, include: bool, end: &Oid) -> Option<VarBind> {
        match (self.first.next(name, include, end), self.second.next(name, include, end)) {
            (Some(first), Some(second)) => Some(if second.name < first.name { second } else { first }),
            (first, second) => first.or(second),
        }
    }

    fn object(&self, name: &Oid) -> Option<Oid> {
        self.first.object(name).or_else(|| self.second.object(name))
    }

    fn test_set(&self, varbind: &VarBind) -> Result<Command, SetError> {
        match self.first.get(&varbind.name) {
            Value::NoSuchObject => self.second.test_set(varbind),
            _ => self.first.test_set(varbind),
        }
    }
}

const fn scalar(id: &'static [u32], get: fn(&Own<'_>) -> Value) -> (&'static [u32], Object) {
    (id, Object::Scalar(get))
}

const fn capability(id: &'static [u32], get: fn(&Own<'_>, usize) -> Option<Value>) -> (&'static [u32], Object) {
    (id, Object::Capability(get))
}

/// A counter of the snmp group.
const fn snmp<const N: u32>() -> (&'static [u32], Object) {
    (const { &[1, 3, 6, 1, 2, 1, 11, N] }, Object::Scalar(|own| Value::Counter32(own.stats.snmp(N as usize))))
}

const fn mpd<const N: u32>() -> (&'static [u32], Object) {
    (const { &[1, 3, 6, 1, 6, 3, 11, 2, 1, N] }, Object::Scalar(|own| Value::Counter32(own.stats.mpd(N as usize))))
}

const fn context<const N: u32>() -> (&'static [u32], Object) {
    (const { &[1, 3, 6, 1, 6, 3, 12, 1, N] }, Object::Scalar(|own| Value::Counter32(own.stats.contexts(N as usize))))
}

const fn usm<const N: u32>() -> (&'static [u32], Object) {
    (const { &[1, 3, 6, 1, 6, 3, 15, 1, 1, N] }, Object::Scalar(|own| Value::Counter32(own.stats.usm(N as usize))))
}

/// Ascending; no object stands below another.
#[rustfmt::skip]
static OBJECTS: &[(&[u32], Object)] = &[
    scalar(&[1, 3, 6, 1, 2, 1, 1, 1], |own| Value::text(&own.system.description)),
    scalar(&[1, 3, 6, 1, 2, 1, 1, 2], |_| Value::ObjectIdentifier(Oid::new(OBJECT_ID))),
    scalar(&[1, 3, 6, 1, 2, 1, 1, 3], |own| own.moment().since(own.engine.started)),
    scalar(&[1, 3, 6, 1, 2, 1, 1, 4], |own| Value::text(&own.system.contact)),
    scalar(&[1, 3, 6, 1, 2, 1, 1, 5], |own| Value::text(&own.system.name)),
    scalar(&[1, 3, 6, 1, 2, 1, 1, 6], |own| Value::text(&own.system.location)),
    scalar(&[1, 3, 6, 1, 2, 1, 1, 7], |_| Value::Integer(SERVICES)),
    // Nothing was added since the start.
    scalar(&[1, 3, 6, 1, 2, 1, 1, 8], |_| Value::TimeTicks(0)),
    capability(&[1, 3, 6, 1, 2, 1, 1, 9, 1, 2], |own, row| {
        own.system.capabilities.get(row).map(|(oid, _)| Value::ObjectIdentifier(oid.clone()))
    }),
    capability(&[1, 3, 6, 1, 2, 1, 1, 9, 1, 3], |own, row| {
        own.system.capabilities.get(row).map(|(_, text)| Value::text(text))
    }),
    capability(&[1, 3, 6, 1, 2, 1, 1, 9, 1, 4], |own, row| {
        own.system.capabilities.get(row).map(|_| Value::TimeTicks(0))
    }),
    // 7 and 23 were never assigned.
    snmp::<1>(), snmp::<2>(), snmp::<3>(), snmp::<4>(), snmp::<5>(), snmp::<6>(), snmp::<8>(), snmp::<9>(),
    snmp::<10>(), snmp::<11>(), snmp::<12>(), snmp::<13>(), snmp::<14>(), snmp::<15>(), snmp::<16>(), snmp::<17>(),
    snmp::<18>(), snmp::<19>(), snmp::<20>(), snmp::<21>(), snmp::<22>(), snmp::<24>(), snmp::<25>(), snmp::<26>(),
    snmp::<27>(), snmp::<28>(), snmp::<29>(),
    // snmpEnableAuthenTraps is disabled(2): authenticationFailure is never sent.
    scalar(&[1, 3, 6, 1, 2, 1, 11, 30], |_| Value::Integer(2)),
    snmp::<31>(), snmp::<32>(),
    scalar(&[1, 3, 6, 1, 6, 3, 10, 2, 1, 1], |own| Value::OctetString(own.engine.id.clone())),
    scalar(&[1, 3, 6, 1, 6, 3, 10, 2, 1, 2], |own| Value::Integer(own.engine.boots as i32)),
    scalar(&[1, 3, 6, 1, 6, 3, 10, 2, 1, 3], |own| Value::Integer(own.engine.time(own.now) as i32)),
    scalar(&[1, 3, 6, 1, 6, 3, 10, 2, 1, 4], |_| Value::Integer(DATAGRAM_MAX as i32)),
    mpd::<1>(), mpd::<2>(), mpd::<3>(),
    context::<4>(), context::<5>(),
    usm::<1>(), usm::<2>(), usm::<3>(), usm::<4>(), usm::<5>(), usm::<6>(),
];

#[cfg(test)]
mod tests;
