//! Answers to GET, GETNEXT and GETBULK (RFC 2741 section 7.2.3).

use crate::agentx::set::Asked;
use crate::mib::view::View;
use crate::wire::agentx::{Body, ErrorStatus, PAYLOAD_MAX, Pdu, SearchRange, Value, VarBind};

/// What a Response says.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) error: ErrorStatus,
    pub(super) index: u16,
    pub(super) varbinds: Vec<VarBind>,
}

impl Default for Answer {
    fn default() -> Self {
        Answer { error: ErrorStatus::NO_ERROR, index: 0, varbinds: vec![] }
    }
}

/// The payload of a GETBULK's answer ends here at the latest: no SNMP message has room for more.
pub(super) const BULK_MAX: usize = 64 * 1024;

impl Answer {
    /// The header of the request comes back: its byte order, its numbers, and its context, which net-snmp wants to see
    /// even when empty. sysUpTime is the master's to fill in.
    pub(super) fn into_pdu(self, session: u32, asked: Asked) -> Pdu {
        let Asked { order, transaction, packet, context } = asked;
        let Answer { error, index, varbinds } = self;
        let body = Body::Response { uptime: 0, error, index, varbinds };
        Pdu { order, session, transaction, packet, context, body }
    }
}

pub(super) fn get(view: &dyn View, ranges: Vec<SearchRange>) -> Answer {
    all(ranges, |range| {
        let value = view.get(&range.start);
        VarBind::new(range.start, value)
    })
}

pub(super) fn get_next(view: &dyn View, ranges: Vec<SearchRange>) -> Answer {
    all(ranges, |range| {
        let next = view.next(&range.start, range.include, &range.end);
        next.unwrap_or_else(|| VarBind::new(range.start, Value::EndOfMibView))
    })
}

/// One variable per range, or tooBig: a request of many short ranges must not make us build a huge answer.
fn all(ranges: Vec<SearchRange>, mut answer: impl FnMut(SearchRange) -> VarBind) -> Answer {
    let mut varbinds = vec![];
    let mut room = PAYLOAD_MAX;
    for range in ranges {
        let varbind = answer(range);
        match room.checked_sub(varbind.encoded_len()) {
            Some(rest) => room = rest,
            None => return Answer { error: ErrorStatus::TOO_BIG, ..Answer::default() },
        }
        varbinds.push(varbind);
    }
    Answer { varbinds, ..Answer::default() }
}

/// The first ranges once, the others again and again, until the answer is full or nothing follows in any of them.
pub(super) fn get_bulk(view: &dyn View, non_repeaters: u16, repetitions: u16, ranges: Vec<SearchRange>) -> Answer {
    let mut once = ranges;
    let mut repeated = once.split_off(usize::from(non_repeaters).min(once.len()));
    let mut answer = get_next(view, once);
    if answer.error != ErrorStatus::NO_ERROR {
        return answer;
    }
    let mut room = BULK_MAX;
    for varbind in &answer.varbinds {
        room = room.saturating_sub(varbind.encoded_len());
    }
    for _ in 0..repetitions {
        let mut any = false;
        for range in &mut repeated {
            let next = view.next(&range.start, range.include, &range.end);
            any |= next.is_some();
            let varbind = next.unwrap_or_else(|| VarBind::new(range.start.clone(), Value::EndOfMibView));
            match room.checked_sub(varbind.encoded_len()) {
                Some(rest) => room = rest,
                // Fewer repetitions than asked for are allowed (RFC 3416 section 4.2.3).
                None => return answer,
            }
            range.start = varbind.name.clone();
            range.include = false;
            answer.varbinds.push(varbind);
        }
        if !any {
            break;
        }
    }
    answer
}
