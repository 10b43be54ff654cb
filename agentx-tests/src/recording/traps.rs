//! Notifications, event by event, against `traps.txt`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{At, NEEDED_NO_MORE, NotYet};
use crate::snmp::Trap;

/// What was sent from one scripted event to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    pub event: String,
    pub traps: Vec<Trap>,
}

/// Takes a recording apart. `start` and `stop (SIGTERM)` are events, too.
pub fn chapters(text: &str) -> Vec<Chapter> {
    let mut all: Vec<Chapter> = Vec::new();
    for part in text.split("### ").skip(1) {
        let (event, rest) = part.split_once('\n').unwrap_or((part, ""));
        let traps = rest.split("TRAP\n").skip(1).filter_map(|trap| {
            let mut lines = trap.lines().map(|line| line.trim_end().to_owned());
            let _uptime = lines.next()?;
            let oid = lines.next()?.rsplit(' ').next()?.to_owned();
            Some(Trap { oid, varbinds: lines.collect() })
        });
        all.push(Chapter { event: event.trim_end().to_owned(), traps: traps.collect() });
    }
    all
}

/// What is right where a recording is not: the columns of KEEPALIVED-MIB with the number of the row (B2), which `rows` has by
/// the value of the first variable: `"VI_1"`, with its quotes.
pub fn with_rows(trap: &Trap, rows: &BTreeMap<String, u32>) -> Trap {
    let value = |varbind: &String| varbind.split_once("STRING: ").map(|(_, value)| value.to_owned());
    let Some(row) = trap.varbinds.first().and_then(value).and_then(|name| rows.get(&name)) else { return trap.clone() };
    let varbinds = trap.varbinds.iter().map(|varbind| match varbind.split_once(" = ") {
        Some((oid, value)) if !oid.ends_with(".0") => format!("{oid}.{row} = {value}"),
        _ => varbind.clone(),
    });
    Trap { oid: trap.oid.clone(), varbinds: varbinds.collect() }
}

/// Recorded traps that are not sent, and rightly so.
#[derive(Debug, Clone, Copy)]
pub struct Fewer {
    pub event: &'static str,
    /// Those whose first variable contains this...
    pub of: &'static str,
    /// ... but for the first so many.
    pub kept: usize,
    pub why: &'static str,
}

/// Leaves them out. Complaints are about entries that do not fit the recording.
pub fn without(mut recorded: Vec<Chapter>, fewer: &[Fewer]) -> (Vec<Chapter>, Vec<String>) {
    let mut complaints = Vec::new();
    for entry in fewer {
        let mut seen = 0;
        let mut dropped = 0;
        for chapter in recorded.iter_mut().filter(|chapter| chapter.event == entry.event) {
            chapter.traps.retain(|trap| {
                let fits = trap.varbinds.first().is_some_and(|first| first.contains(entry.of));
                seen += usize::from(fits);
                let drop = fits && seen > entry.kept;
                dropped += usize::from(drop);
                !drop
            });
        }
        if dropped == 0 {
            complaints.push(format!("{entry:?} does not fit the recording"));
        }
    }
    (recorded, complaints)
}

/// Traps that concern one thing are in order; things that have nothing to do with each other race. Each pair is a text that a
/// trap's first variable contains, and what it belongs to.
pub type Streams = [(&'static str, &'static str)];

/// What differs, in words.
pub fn differing(want: &[Chapter], have: &[Chapter], streams: &Streams, not_yet: &[NotYet]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut waited = vec![false; not_yet.len()];
    for (number, chapter) in want.iter().enumerate() {
        let have = have.get(number).filter(|it| it.event == chapter.event);
        let have = have.map(|it| it.traps.as_slice()).unwrap_or_default();
        let (by_want, by_have) = (by_stream(&chapter.traps, streams), by_stream(have, streams));
        let either: BTreeSet<&String> = by_want.keys().chain(by_have.keys()).collect();
        let differs = |stream: &&String| by_want.get(*stream) != by_have.get(*stream);
        let mut differing = false;
        for stream in either.into_iter().filter(differs) {
            let waits = |it: &NotYet| match it.at {
                At::Event(event) => event == chapter.event,
                At::Stream(event, of) => event == chapter.event && of == stream,
                At::Object(_) | At::Request(_) => false,
            };
            match not_yet.iter().position(waits) {
                Some(at) => waited[at] = true,
                None => differing = true,
            }
        }
        if !differing {
            continue;
        }
        wrong.push(format!("{}\n  want{}\n  have{}", chapter.event, shown(&chapter.traps), shown(have)));
    }
    let of_traps = |at: At| matches!(at, At::Event(_) | At::Stream(..));
    let events = not_yet.iter().zip(waited).filter(|(it, waited)| of_traps(it.at) && !waited);
    wrong.extend(events.map(|(it, _)| format!("{:?}: {NEEDED_NO_MORE}", it.at)));
    wrong
}

fn by_stream(traps: &[Trap], streams: &Streams) -> BTreeMap<String, Vec<Trap>> {
    let mut all: BTreeMap<String, Vec<Trap>> = BTreeMap::new();
    for trap in traps {
        let first = trap.varbinds.first().map_or("", String::as_str);
        let stream = streams.iter().find(|(text, _)| first.contains(text)).map_or(first, |(_, stream)| *stream);
        // Octets end in a space, in one tool's output or the other's.
        let varbinds = trap.varbinds.iter().map(|varbind| varbind.trim_end().to_owned()).collect();
        all.entry(stream.to_owned()).or_default().push(Trap { oid: trap.oid.clone(), varbinds });
    }
    all
}

fn shown(traps: &[Trap]) -> String {
    traps.iter().fold(String::new(), |mut all, trap| {
        let values: Vec<&str> = trap.varbinds.iter().map(String::as_str).collect();
        let _ = write!(all, "\n      {}: {}", trap.oid, values.join(", "));
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = "### start\nTRAP\n.1.3.6.1.2.1.1.3.0 = <uptime>\n.1.3.6.1.6.3.1.1.4.1.0 = OID: .1.9\n\
                            .1.2 = STRING: \"A\"\n.1.4 = INTEGER: 1\n.1.2.0 = STRING: \"lab\"\n\
                            TRAP\n.1.3.6.1.2.1.1.3.0 = <uptime>\n.1.3.6.1.6.3.1.1.4.1.0 = OID: .1.9\n\
                            .1.2 = STRING: \"B\"\n.1.4 = INTEGER: 1\n.1.2.0 = STRING: \"lab\"\n### end\n";

    #[test]
    fn columns_get_the_number_of_their_row_and_scalars_do_not() {
        let recorded = chapters(RECORDED);
        assert_eq!(
            recorded.iter().map(|it| (it.event.as_str(), it.traps.len())).collect::<Vec<_>>(),
            [("start", 2), ("end", 0)]
        );
        let rows = BTreeMap::from([("\"A\"".to_owned(), 7)]);
        let right = with_rows(&recorded[0].traps[0], &rows);
        assert_eq!(right.varbinds, [".1.2.7 = STRING: \"A\"", ".1.4.7 = INTEGER: 1", ".1.2.0 = STRING: \"lab\""]);
    }

    #[test]
    fn the_order_counts_within_a_stream_only() {
        let recorded = chapters(RECORDED);
        let mut other = recorded.clone();
        other[0].traps.reverse();
        assert_eq!(differing(&recorded, &other, &[], &[]), Vec::<String>::new());
        assert_eq!(differing(&recorded, &other, &[("\"A\"", "group"), ("\"B\"", "group")], &[]).len(), 1);
        other[0].traps.pop();
        assert_eq!(differing(&recorded, &other, &[], &[]).len(), 1);
        let (fewer, complaints) = without(recorded.clone(), &[Fewer { event: "start", of: "\"B\"", kept: 0, why: "" }]);
        assert_eq!((fewer[0].traps.len(), complaints.len()), (1, 0));
        let (_, complaints) = without(recorded.clone(), &[Fewer { event: "start", of: "\"B\"", kept: 1, why: "" }]);
        assert_eq!(complaints.len(), 1);
        let not_yet = [NotYet { at: At::Event("start"), why: "" }];
        assert_eq!(differing(&recorded, &other, &[], &not_yet), Vec::<String>::new());
        assert_eq!(differing(&recorded, &recorded, &[], &not_yet).len(), 1);
        let streams: &Streams = &[("\"A\"", "A"), ("\"B\"", "B")];
        for (stream, count) in [("B", 0), ("A", 2)] {
            let lost = [NotYet { at: At::Stream("start", stream), why: "" }];
            let mut without_b = recorded.clone();
            without_b[0].traps.pop();
            assert_eq!(differing(&recorded, &without_b, streams, &lost).len(), count, "{stream}");
        }
    }
}
