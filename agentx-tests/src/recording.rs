//! Recorded walks against walked ones: equal line by line, but for volatile values and for differences that are listed.
//!
//! [`mismatches`] compares; [`SEED`], [`SEED_IPVS`] and [`FWMARK_QUORUM`] are the recordings of v2.4.3 with what is right
//! where they are not. The numbers of differences are those of `oracle/bugs.tsv`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::snmp::KEEPALIVED;

/// A recorded walk and where it is known not to be repeated. Lines of other modules than KEEPALIVED-MIB are left out.
#[derive(Debug, Clone, Copy)]
pub struct Recording {
    /// As `snmpwalk -One` without MIBs prints it.
    pub walk: &'static str,
    pub differences: &'static [&'static [Difference]],
}

/// What is right where a recording is not. Objects stand below [`KEEPALIVED`]: `.3.3.1.51.1`.
#[derive(Debug, Clone, Copy)]
pub struct Difference {
    pub object: &'static str,
    pub right: Right,
    pub why: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// This value, recorded differently or not at all: `INTEGER: 2`.
    Is(&'static str),
    /// No such variable, although it is recorded.
    Absent,
}

/// One variable that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    pub object: String,
    /// `None`: there should be none.
    pub want: Option<String>,
    pub have: Option<String>,
    /// Of the difference that asks for `want`; or what is wrong with a difference.
    pub why: &'static str,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        write!(f, "{KEEPALIVED}{}\n  want {}\n  have {}", self.object, show(&self.want), show(&self.have))?;
        if self.why.is_empty() { Ok(()) } else { write!(f, "\n  ({})", self.why) }
    }
}

/// Where `walked` differs from the recording with its differences applied, in OID order; empty when it is as it should
/// be. Of volatile variables only the presence counts. A difference that the recording does not need is one too.
pub fn mismatches(recording: &Recording, walked: &[String]) -> Vec<Mismatch> {
    let recorded = by_object(recording.walk.lines());
    let have = by_object(walked.iter().map(String::as_str));
    let (mut want, mut reasons, mut wrong) = (recorded.clone(), BTreeMap::new(), vec![]);
    for difference in recording.differences.iter().copied().flatten() {
        let object = arcs(difference.object).unwrap_or_else(|| panic!("{} is no object", difference.object));
        let before = match difference.right {
            Right::Is(value) => want.insert(object.clone(), value.to_owned()),
            Right::Absent => want.remove(&object),
        };
        let needed = match difference.right {
            Right::Is(value) => before.as_deref() != Some(value),
            Right::Absent => before.is_some(),
        };
        if !needed || reasons.insert(object.clone(), difference.why).is_some() {
            let why = "this difference is listed, and does not fit the recording";
            wrong.push((object.clone(), Mismatch { object: shown(&object), want: before, have: None, why }));
        }
    }
    for object in want.keys().chain(have.keys()).collect::<BTreeSet<_>>() {
        let (want, have) = (want.get(object), have.get(object));
        let same = match (want, have) {
            (Some(_), Some(_)) if is_volatile(object) => true,
            (None, Some(value)) if Some(value.as_str()) == optional(object) => true,
            _ => want == have,
        };
        if !same {
            let why = reasons.get(object).copied().unwrap_or_default();
            let (want, have) = (want.cloned(), have.cloned());
            wrong.push((object.clone(), Mismatch { object: shown(object), want, have, why }));
        }
    }
    wrong.sort_by(|(a, _), (b, _)| a.cmp(b));
    wrong.into_iter().map(|(_, mismatch)| mismatch).collect()
}

/// For an assertion: every mismatch in words, or nothing.
pub fn report(mismatches: &[Mismatch]) -> String {
    let lines: Vec<String> = mismatches.iter().map(Mismatch::to_string).collect();
    format!("{} variables are not as recorded:\n{}", lines.len(), lines.join("\n"))
}

/// Arcs below KEEPALIVED-MIB.
type Object = Vec<u32>;

fn by_object<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<Object, String> {
    let line = |line: &str| {
        let (oid, value) = line.split_once(" = ")?;
        Some((arcs(oid.strip_prefix(KEEPALIVED)?)?, value.trim().to_owned()))
    };
    lines.filter_map(line).collect()
}

fn arcs(text: &str) -> Option<Object> {
    text.strip_prefix('.')?.split('.').map(|arc| arc.parse().ok()).collect()
}

fn shown(object: &Object) -> String {
    object.iter().map(|arc| format!(".{arc}")).collect()
}

/// `oracle/volatile.txt`, as far as it is about these recordings: version and build, and what the kernel's IPVS counts
/// by the byte, by the second, or behind a scheduler that hashes a client's port.
fn is_volatile(object: &Object) -> bool {
    match object.as_slice() {
        [1, 1 | 7 | 9, 0] => true,
        [3, 3, 1, column, ..] => matches!(column, 28..=36 | 39..=50 | 74..=78),
        [3, 4, 1, column, ..] => matches!(column, 14..=39 | 58..=62),
        _ => false,
    }
}

/// dynamic: the recorded daemon was built without D-Bus, Debian's shows that it is off.
fn optional(object: &Object) -> Option<&'static str> {
    (object.as_slice() == [1, 9, 0]).then_some("INTEGER: 2")
}

const fn is(object: &'static str, value: &'static str, why: &'static str) -> Difference {
    Difference { object, right: Right::Is(value), why }
}

const fn absent(object: &'static str, why: &'static str) -> Difference {
    Difference { object, right: Right::Absent, why }
}

/// 01-seed-vrrp: `eth0` is 10 and `eth1` is 11.
pub const SEED: Recording = Recording {
    walk: include_str!("../oracle/01-seed-vrrp/walk-numeric.txt"),
    differences: &[GLOBAL_DIFFERENCES, VI_1_DIFFERENCES],
};

/// 02-seed-ipvs: the seed's virtual servers beside its virtual router, after six connections to each.
pub const SEED_IPVS: Recording = Recording {
    walk: include_str!("../oracle/02-seed-ipvs/walk-numeric.txt"),
    differences: &[GLOBAL_DIFFERENCES, VI_1_DIFFERENCES, SEED_IPVS_DIFFERENCES],
};

/// 06-fwmark-quorum: without `-x`, so that nothing of its virtual router is served.
pub const FWMARK_QUORUM: Recording = Recording {
    walk: include_str!("../oracle/06-fwmark-quorum/walk-numeric.txt"),
    differences: &[GLOBAL_DIFFERENCES, FWMARK_QUORUM_DIFFERENCES],
};

const GLOBAL_DIFFERENCES: &[Difference] = &[
    is(".1.3.1.0", "INTEGER: 0", "B1: no smtp_server is no address"),
    is(".1.3.2.0", "\"\"", "B1: no smtp_server is no address"),
];

const B4: &str = "B4: the second index is the ifIndex";
const SIXES: &str = "the seed's IPv6 addresses, which v2.4.3 drops, move with the instance and are not advertised";

const VI_1_DIFFERENCES: &[Difference] = &[
    is(".2.3.1.11.1", "INTEGER: 2", "B17: dont_track_primary is in the file"),
    is(".2.3.1.27.1", "INTEGER: 1", "B18: a TruthValue; this instance accepts packets to its addresses"),
    absent(".2.4.1.1.1.1", B4),
    absent(".2.4.1.1.1.2", B4),
    absent(".2.4.1.2.1.1", B4),
    absent(".2.4.1.2.1.2", B4),
    absent(".2.4.1.3.1.1", B4),
    absent(".2.4.1.3.1.2", B4),
    is(".2.4.1.1.1.10", "STRING: \"eth0\"", B4),
    is(".2.4.1.1.1.11", "STRING: \"eth1\"", B4),
    is(".2.4.1.2.1.10", "INTEGER: 0", B4),
    is(".2.4.1.2.1.11", "INTEGER: 0", B4),
    is(".2.4.1.3.1.10", "INTEGER: 2", B4),
    is(".2.4.1.3.1.11", "INTEGER: 2", B4),
    is(".2.6.1.2.1.3", "INTEGER: 2", SIXES),
    is(".2.6.1.2.1.4", "INTEGER: 2", SIXES),
    is(".2.6.1.3.1.3", "Hex-STRING: 20 01 0D B8 00 00 00 00 00 00 00 00 00 00 00 15", SIXES),
    is(".2.6.1.3.1.4", "Hex-STRING: FD 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01", SIXES),
    is(".2.6.1.5.1.3", "Gauge32: 64", SIXES),
    is(".2.6.1.5.1.4", "Gauge32: 64", SIXES),
    is(".2.6.1.6.1.3", "INTEGER: 14", SIXES),
    is(".2.6.1.6.1.4", "INTEGER: 14", SIXES),
    is(".2.6.1.7.1.3", "INTEGER: 10", SIXES),
    is(".2.6.1.7.1.4", "INTEGER: 11", SIXES),
    is(".2.6.1.8.1.3", "STRING: \"eth0\"", SIXES),
    is(".2.6.1.8.1.4", "STRING: \"eth1\"", SIXES),
    is(".2.6.1.10.1.3", "INTEGER: 1", SIXES),
    is(".2.6.1.10.1.4", "INTEGER: 1", SIXES),
    is(".2.6.1.11.1.3", "INTEGER: 2", SIXES),
    is(".2.6.1.11.1.4", "INTEGER: 2", SIXES),
];

const B14: &str = "B14: one granularity, by family";

const SEED_IPVS_DIFFERENCES: &[Difference] =
    &[absent(".3.3.1.51.1", B14), absent(".3.3.1.15.2", B14), is(".3.3.1.51.2", "Gauge32: 128", B14)];

const B7: &str = "B7: v2.4.3 dies of this column where there is a sorry server, and its recording has none of it";

const FWMARK_QUORUM_DIFFERENCES: &[Difference] = &[
    absent(".3.3.1.51.1", B14),
    absent(".3.3.1.51.3", B14),
    absent(".3.3.1.15.4", B14),
    is(".3.3.1.51.4", "Gauge32: 128", B14),
    is(".3.4.1.63.1.1", "Gauge32: 0", B7),
    is(".3.4.1.63.1.2", "Gauge32: 0", B7),
    is(".3.4.1.63.2.1", "Gauge32: 0", B7),
    is(".3.4.1.63.2.2", "Gauge32: 0", B7),
    is(".3.4.1.63.2.3", "Gauge32: 0", B7),
    is(".3.4.1.63.2.4", "Gauge32: 0", B7),
    is(".3.4.1.63.3.1", "Gauge32: 0", B7),
    is(".3.4.1.63.3.2", "Gauge32: 0", B7),
    is(".3.4.1.63.3.3", "Gauge32: 0", B7),
    is(".3.4.1.63.4.1", "Gauge32: 0", B7),
    is(".3.4.1.63.4.2", "Gauge32: 0", B7),
    is(".3.4.1.63.5.1", "Gauge32: 0", B7),
    is(".3.4.1.63.5.2", "Gauge32: 0", B7),
];

#[cfg(test)]
mod tests {
    use super::*;

    const DIFFERENCES: &[Difference] = &[
        is(".1.3.1.0", "INTEGER: 0", "wrong"),
        absent(".2.4.1.1.1.1", "moved"),
        is(".2.4.1.1.1.10", "STRING: \"eth0\"", "moved"),
    ];

    const RECORDED: Recording = Recording {
        walk: ".1.3.6.1.4.1.9586.100.5.1.1.0 = STRING: \"Keepalived\"\n\
               .1.3.6.1.4.1.9586.100.5.1.3.1.0 = INTEGER: 2\n\
               .1.3.6.1.4.1.9586.100.5.2.4.1.1.1.1 = STRING: \"eth0\"\n\
               .1.3.6.1.4.1.9586.100.5.3.3.1.32.1 = Gauge32: 17\n\
               .1.3.6.1.4.1.9586.100.5.3.4.1.4.1.1 = Hex-STRING: C0 A8 01 0A \n\
               .1.3.6.1.2.1.68.1.1.0 = INTEGER: 2\n",
        differences: &[DIFFERENCES],
    };

    /// What a right agent shows for it.
    const RIGHT: [&str; 5] = [
        ".1.1.0 = STRING: \"keepwatch\"",
        ".1.3.1.0 = INTEGER: 0",
        ".2.4.1.1.1.10 = STRING: \"eth0\"",
        ".3.3.1.32.1 = Gauge32: 0",
        ".3.4.1.4.1.1 = Hex-STRING: C0 A8 01 0A",
    ];

    fn walked(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| format!("{KEEPALIVED}{line}")).collect()
    }

    fn found(lines: &[&str]) -> Vec<(String, Option<String>, Option<String>)> {
        let wrong = mismatches(&RECORDED, &walked(lines));
        wrong.into_iter().map(|mismatch| (mismatch.object, mismatch.want, mismatch.have)).collect()
    }

    #[test]
    fn what_is_recorded_or_listed_is_no_mismatch_and_volatile_values_may_be_any() {
        assert_eq!(mismatches(&RECORDED, &walked(&RIGHT)), []);
        let with_dbus: Vec<&str> = RIGHT.into_iter().chain([".1.9.0 = INTEGER: 2"]).collect();
        assert_eq!(mismatches(&RECORDED, &walked(&with_dbus)), []);
    }

    #[test]
    fn every_variable_that_is_missing_too_many_or_wrong_is_told_volatile_ones_too() {
        for (at, line) in RIGHT.iter().enumerate() {
            let mut lines = RIGHT.to_vec();
            lines.remove(at);
            let (object, value) = line.split_once(" = ").unwrap();
            assert_eq!(
                found(&lines),
                [(object.to_owned(), Some(value.to_owned()), None)].map(|(object, want, have)| {
                    let recorded = match object.as_str() {
                        ".1.1.0" => Some("STRING: \"Keepalived\"".to_owned()),
                        ".3.3.1.32.1" => Some("Gauge32: 17".to_owned()),
                        _ => want,
                    };
                    (object, recorded, have)
                })
            );
        }
        let too_many: Vec<&str> = RIGHT.into_iter().chain([".3.4.1.4.1.2 = INTEGER: 1"]).collect();
        assert_eq!(found(&too_many), [(".3.4.1.4.1.2".to_owned(), None, Some("INTEGER: 1".to_owned()))]);
        let mut wrong = RIGHT;
        wrong[1] = ".1.3.1.0 = INTEGER: 2";
        let told = mismatches(&RECORDED, &walked(&wrong));
        assert_eq!(told.len(), 1);
        let text = ".1.3.1.0\n  want INTEGER: 0\n  have INTEGER: 2\n  (wrong)";
        assert_eq!(told[0].to_string(), format!("{KEEPALIVED}{text}"));
    }

    #[test]
    fn a_difference_that_the_recording_does_not_need_is_told() {
        const USELESS: &[Difference] = &[is(".1.3.1.0", "INTEGER: 2", ""), absent(".1.2.0", "")];
        let recording = Recording { differences: &[USELESS], ..RECORDED };
        let walked: Vec<String> = RECORDED.walk.lines().map(str::to_owned).collect();
        let told: Vec<String> = mismatches(&recording, &walked).into_iter().map(|mismatch| mismatch.object).collect();
        assert_eq!(told, [".1.2.0", ".1.3.1.0"]);
    }

    #[test]
    fn the_differences_of_each_recording_fit_it() {
        for recording in [SEED, SEED_IPVS, FWMARK_QUORUM] {
            let unfit =
                mismatches(&recording, &[]).into_iter().filter(|mismatch| mismatch.why.contains("does not fit"));
            assert_eq!(unfit.collect::<Vec<_>>(), []);
        }
    }
}
