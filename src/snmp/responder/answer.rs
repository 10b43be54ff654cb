//! GET, GETNEXT and GETBULK over one view (RFC 3416 section 4.2, RFC 3584 section 4.2 for SNMPv1).

use crate::mib::view::View;
use crate::wire::oid::Oid;
use crate::wire::snmp::{ErrorStatus, Pdu, PduKind, Value, VarBind};

/// `room`: octets for the variables of a GETBULK.
pub fn answer(request: &Pdu, v1: bool, room: usize, view: &dyn View) -> Pdu {
    match request.kind {
        PduKind::GetBulk => match bulk(request, room, view) {
            Some(varbinds) => request.response(varbinds),
            None => Pdu { error_status: i32::from(ErrorStatus::TOO_BIG.0), ..request.response(vec![]) },
        },
        kind if v1 => v1_answer(request, kind, view),
        kind => {
            let one = |varbind: &VarBind| match kind {
                PduKind::GetNext => next(view, &varbind.name),
                _ => VarBind::new(varbind.name.clone(), view.get(&varbind.name)),
            };
            request.response(request.varbinds.iter().map(one).collect())
        }
    }
}

/// The answer that the variable at `index` (from 1) is wrong; SNMPv1 has fewer words for it.
pub fn error(request: &Pdu, v1: bool, status: ErrorStatus, index: i32) -> Pdu {
    let mut answer = request.response(request.varbinds.clone());
    answer.error_status = i32::from(if v1 { in_v1(status) } else { status }.0);
    answer.error_index = index;
    answer
}

/// RFC 3584 section 4.4.
fn in_v1(status: ErrorStatus) -> ErrorStatus {
    match status.0 {
        // wrongType, wrongLength, wrongEncoding, wrongValue, inconsistentValue
        7..=10 | 12 => ErrorStatus::BAD_VALUE,
        // noAccess, noCreation, authorizationError, notWritable, inconsistentName
        6 | 11 | 16..=18 => ErrorStatus::NO_SUCH_NAME,
        // resourceUnavailable, commitFailed, undoFailed
        13..=15 => ErrorStatus::GEN_ERR,
        _ => status,
    }
}

/// SNMPv1 has no exceptions: one variable that is not there spoils the answer. It has no Counter64: GET does not see such a
/// variable, and GETNEXT steps over it.
fn v1_answer(request: &Pdu, kind: PduKind, view: &dyn View) -> Pdu {
    let mut steps = V1_STEPS_MAX;
    let mut varbinds = Vec::with_capacity(request.varbinds.len());
    for (index, varbind) in (1..).zip(&request.varbinds) {
        let found = match kind {
            PduKind::GetNext => match next_in_v1(view, &varbind.name, &mut steps) {
                Ok(found) => found,
                Err(TooFar) => return error(request, true, ErrorStatus::GEN_ERR, index),
            },
            _ => Some(VarBind::new(varbind.name.clone(), view.get(&varbind.name))),
        };
        let shown = |found: &VarBind| !found.value.is_exception() && !matches!(found.value, Value::Counter64(_));
        match found.filter(shown) {
            Some(found) => varbinds.push(found),
            None => return error(request, true, ErrorStatus::NO_SUCH_NAME, index),
        }
    }
    request.response(varbinds)
}

/// Counter64s that one request may step over: far more than there are such columns, and done in milliseconds.
const V1_STEPS_MAX: usize = 10_000;

struct TooFar;

/// The first variable behind `name` that SNMPv1 has a word for. Whole columns are stepped over at once.
fn next_in_v1(view: &dyn View, name: &Oid, steps: &mut usize) -> Result<Option<VarBind>, TooFar> {
    let mut found = view.next(name, false, &Oid::default());
    while let Some(VarBind { name, value: Value::Counter64(_) }) = &found {
        *steps = steps.checked_sub(1).ok_or(TooFar)?;
        found = match view.object(name).and_then(|object| behind(&object)) {
            Some(behind) => view.next(&behind, true, &Oid::default()),
            None => view.next(name, false, &Oid::default()),
        };
    }
    Ok(found)
}

/// The first name that is neither this one nor below it.
fn behind(object: &Oid) -> Option<Oid> {
    let (last, parent) = object.split_last()?;
    Some(Oid::new(parent).with(&[last.checked_add(1)?]))
}

fn next(view: &dyn View, name: &Oid) -> VarBind {
    let end = || VarBind::new(name.clone(), Value::EndOfMibView);
    view.next(name, false, &Oid::default()).unwrap_or_else(end)
}

/// RFC 3416 section 4.2.3: as many variables as fit. `None`: not even the first does. An answer without variables would make
/// walkers ask the same for ever.
fn bulk(request: &Pdu, room: usize, view: &dyn View) -> Option<Vec<VarBind>> {
    let natural = |number: i32| usize::try_from(number).unwrap_or(0);
    let names = &request.varbinds;
    let (single, repeated) = names.split_at(natural(request.error_status).min(names.len()));
    let mut found = Found { varbinds: Vec::with_capacity(single.len()), room };
    for varbind in single {
        if !found.push(next(view, &varbind.name)) {
            return found.end();
        }
    }
    let mut at_end = repeated.is_empty();
    for repetition in 0..natural(request.error_index) {
        if at_end {
            break;
        }
        at_end = true;
        for (column, varbind) in repeated.iter().enumerate() {
            // Where this column was one repetition ago.
            let before = match repetition {
                0 => None,
                _ => found.varbinds.get(single.len() + (repetition - 1) * repeated.len() + column),
            };
            let varbind = match before {
                Some(last) if last.value == Value::EndOfMibView => last.clone(),
                Some(last) => next(view, &last.name),
                None => next(view, &varbind.name),
            };
            at_end &= varbind.value == Value::EndOfMibView;
            if !found.push(varbind) {
                return found.end();
            }
        }
    }
    Some(found.varbinds)
}

struct Found {
    varbinds: Vec<VarBind>,
    room: usize,
}

impl Found {
    /// `false`: there is no room for it.
    fn push(&mut self, varbind: VarBind) -> bool {
        match self.room.checked_sub(varbind.ber_len()) {
            Some(left) => {
                self.room = left;
                self.varbinds.push(varbind);
                true
            }
            None => false,
        }
    }

    fn end(self) -> Option<Vec<VarBind>> {
        (!self.varbinds.is_empty()).then_some(self.varbinds)
    }
}
