//! What the bridge and the rrd process say to each other, in frames of the bus.

use serde::{Deserialize, Serialize};

use super::layout::Object;
use crate::bus::frame;
use crate::clock::Instant;
use crate::export::graph::{GraphError, GraphRequest};

/// One value of a data source.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Value {
    Unknown,
    /// A counter, whole.
    Count(u64),
    Gauge(f64),
}

impl Value {
    pub fn flag(set: bool) -> Value {
        Value::Count(u64::from(set))
    }
}

/// As `rrdtool update` takes it.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Count(count) => count.fmt(f),
            Value::Gauge(value) if value.is_finite() => value.fmt(f),
            Value::Unknown | Value::Gauge(_) => f.write_str("U"),
        }
    }
}

/// The values of one object, in the order of [`sources`](super::layout::sources).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    pub object: Object,
    pub values: Vec<Value>,
}

/// Bridge to rrd.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToRrd {
    /// Answered by [`FromRrd::Written`] or [`FromRrd::Refused`] of this number. `at`: seconds since 1970.
    Updates { number: u64, at: u64, updates: Vec<Update> },
    /// Answered by [`FromRrd::Picture`] or [`FromRrd::NoPicture`] of this number; nobody waits for it after `until`.
    Draw { request: u64, until: Instant, graph: Box<GraphRequest> },
}

/// Rrd to bridge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromRrd {
    Written {
        number: u64,
        tally: Tally,
    },
    /// Nobody took them: to be sent again later.
    Refused {
        number: u64,
        why: String,
    },
    /// A part of a picture, in order.
    Picture {
        request: u64,
        bytes: Vec<u8>,
        last: bool,
    },
    NoPicture {
        request: u64,
        error: GraphError,
    },
}

/// What became of updates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    pub success: u64,
    pub failure: u64,
    /// Microseconds.
    pub took_us: u64,
    /// Files that this process keeps.
    pub files: u64,
    /// The first failure, in words.
    pub error: Option<String>,
}

/// Octets of a picture in one frame.
pub const PART_MAX: usize = 24 * 1024;

/// Most updates of one message, and how long it gets.
const UPDATES_MAX: usize = 500;
const BYTES_MAX: usize = 28 * 1024;

/// A message that is ready to be sent, and how many updates it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub number: u64,
    pub frame: Vec<u8>,
    pub updates: u64,
}

/// The updates of one step, in messages of at most 500. `next` numbers them. Those that fit no message are counted.
pub fn batches(at: u64, updates: Vec<Update>, next: &mut u64) -> (Vec<Batch>, u64) {
    let mut batches = Vec::new();
    let mut lost = 0;
    let mut waiting: Vec<Update> = Vec::new();
    let mut length = 0;
    let mut close = |waiting: &mut Vec<Update>, lost: &mut u64| {
        let updates = std::mem::take(waiting);
        let count = updates.len() as u64;
        if count == 0 {
            return;
        }
        *next += 1;
        match frame::encode(&ToRrd::Updates { number: *next, at, updates }) {
            Ok(frame) => batches.push(Batch { number: *next, frame, updates: count }),
            Err(_) => *lost += count,
        }
    };
    for update in updates {
        let size = postcard::to_stdvec(&update).map_or(BYTES_MAX, |bytes| bytes.len());
        if waiting.len() >= UPDATES_MAX || length + size > BYTES_MAX {
            close(&mut waiting, &mut lost);
            length = 0;
        }
        length += size;
        waiting.push(update);
    }
    close(&mut waiting, &mut lost);
    (batches, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::graph::GraphKind;

    #[test]
    fn a_step_is_cut_into_messages_that_fit() {
        let update = |n: usize, long: usize| Update {
            object: Object::new(GraphKind::Vrrp, format!("{n}{}", "x".repeat(long))),
            values: vec![Value::Count(u64::MAX); 9],
        };
        let many: Vec<Update> = (0..2000).map(|n| update(n, n % 100)).collect();
        let mut next = 7;
        let (all, lost) = batches(100, many.clone(), &mut next);
        assert_eq!((lost, next), (0, 7 + all.len() as u64));
        let mut read = Vec::new();
        for batch in &all {
            assert!(batch.updates <= 500 && batch.frame.len() <= frame::FRAME_MAX);
            let messages: Vec<ToRrd> = frame::decode(&batch.frame).unwrap();
            let [ToRrd::Updates { number, at: 100, updates }] = &messages[..] else { panic!("{messages:?}") };
            assert_eq!((*number, updates.len() as u64), (batch.number, batch.updates));
            read.extend(updates.clone());
        }
        assert_eq!(read, many);

        let (all, lost) = batches(100, vec![update(0, 1), update(1, 40_000), update(2, 1)], &mut next);
        assert_eq!((all.iter().map(|batch| batch.updates).sum::<u64>(), lost), (2, 1), "the others are written");
    }

    #[test]
    fn a_value_that_is_none_is_unknown() {
        let shown = [Value::Unknown, Value::Count(u64::MAX), Value::Gauge(1.5), Value::Gauge(f64::NAN)];
        assert_eq!(shown.map(|value| value.to_string()), ["U", "18446744073709551615", "1.5", "U"]);
    }
}
