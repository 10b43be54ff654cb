//! What is wanted of one kernel service, minus what is known to be there: the operations between the two.

use std::collections::BTreeMap;

use super::table::{Destination, DestinationId, Op, Service, ServiceId};

/// One kernel service as the configuration and the checks want it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub service: Service,
    /// In the order of the file: schedulers like `sh` and `mh` hash over the order in which destinations came.
    pub destinations: Vec<Destination>,
}

/// One kernel service as it is known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// `None`: it is there, with settings that are not known.
    pub service: Option<Service>,
    /// `None`: likewise. Destinations that are not ours are not listed.
    pub destinations: BTreeMap<DestinationId, Option<Destination>>,
}

/// The operations that lead from `known` to `wanted`, in order.
///
/// What comes stands before what goes, so that a pool is never empty in between; a difference in one value is one
/// operation. Nothing for two `None`.
pub fn operations(id: &ServiceId, wanted: Option<&Wanted>, known: Option<&Known>) -> Vec<Op> {
    let mut ops = Vec::new();
    let (wanted, known) = match (wanted, known) {
        (None, None) => return ops,
        (None, Some(_)) => return vec![Op::DeleteService(*id)],
        (Some(wanted), None) => {
            ops.push(Op::AddService(wanted.service.clone()));
            ops.extend(wanted.destinations.iter().map(|destination| Op::AddDestination(*id, *destination)));
            return ops;
        }
        (Some(wanted), Some(known)) => (wanted, known),
    };
    if known.service.as_ref() != Some(&wanted.service) {
        ops.push(Op::EditService(wanted.service.clone()));
    }
    let mut gone: BTreeMap<&DestinationId, ()> = known.destinations.keys().map(|id| (id, ())).collect();
    let mut edits = Vec::new();
    for destination in &wanted.destinations {
        gone.remove(&destination.id);
        match known.destinations.get(&destination.id) {
            None => ops.push(Op::AddDestination(*id, *destination)),
            Some(there) if there.as_ref() != Some(destination) => edits.push(Op::EditDestination(*id, *destination)),
            Some(_) => {}
        }
    }
    ops.extend(edits);
    ops.extend(gone.into_keys().map(|destination| Op::DeleteDestination(*id, *destination)));
    ops
}

/// The kernel service that an operation is about.
pub fn subject(op: &Op) -> Option<ServiceId> {
    match op {
        Op::AddService(service) | Op::EditService(service) => Some(service.id),
        Op::DeleteService(id)
        | Op::AddDestination(id, _)
        | Op::EditDestination(id, _)
        | Op::DeleteDestination(id, _) => Some(*id),
        Op::Flush | Op::Timeouts { .. } | Op::StartDaemon(_) | Op::StopDaemon { .. } => None,
    }
}

/// The destination that an operation is about.
pub fn destination(op: &Op) -> Option<DestinationId> {
    match op {
        Op::AddDestination(_, destination) | Op::EditDestination(_, destination) => Some(destination.id),
        Op::DeleteDestination(_, id) => Some(*id),
        _ => None,
    }
}

/// Linux errnos, as far as ip_vs answers with them.
pub mod errno {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const ESRCH: i32 = 3;
    pub const EIO: i32 = 5;
    pub const ENOMEM: i32 = 12;
    pub const EBUSY: i32 = 16;
    pub const EEXIST: i32 = 17;
    pub const ENODEV: i32 = 19;
    pub const EINVAL: i32 = 22;
    pub const ERANGE: i32 = 34;
    pub const ENOPROTOOPT: i32 = 92;
    pub const EPROTONOSUPPORT: i32 = 93;
    pub const EOPNOTSUPP: i32 = 95;
    pub const EAFNOSUPPORT: i32 = 97;
    pub const EADDRNOTAVAIL: i32 = 99;
    pub const ENOBUFS: i32 = 105;
    pub const ESHUTDOWN: i32 = 108;
    pub const ETIMEDOUT: i32 = 110;
}
