//! What v2.4.3 answered, told and sent in each scenario of `oracle/`, against what is answered, told and sent here: equal
//! line by line, but for volatile values and for differences that are listed.
//!
//! Start at [`mismatches`] for walks, [`sets`] for requests one by one, [`traps`] for notifications; [`stage`] plays a whole
//! scenario. The lists of differences are in [`known`], with the numbers of `oracle/bugs.tsv`, and what waits for a
//! feature that is not built stands apart in them.

pub mod known;
pub mod sets;
pub mod stage;
pub mod traps;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use known::{FWMARK_QUORUM, SEED, SEED_IPVS};

use crate::snmp::KEEPALIVED;

/// A recorded walk and where it is known not to be repeated.
#[derive(Debug, Clone, Copy)]
pub struct Recording {
    /// As `snmpwalk -One` without MIBs prints it.
    pub walk: &'static str,
    pub differences: &'static [&'static [Difference]],
    pub not_yet: &'static [NotYet],
}

/// What is right where a recording is not. Objects stand below [`KEEPALIVED`], `.3.3.1.51.1`, or are whole, `.1.3.6.1.2.1.68`
/// and on.
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
    /// Each variable at or below the object that is recorded with the first value has the second.
    Instead(&'static str, &'static str),
}

/// What a feature that is not built yet would change: whatever comes there is passed over, and it is told when nothing
/// differs any more.
#[derive(Debug, Clone, Copy)]
pub struct NotYet {
    pub at: At,
    pub why: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Variables at or below this object, written as in a [`Difference`].
    Object(&'static str),
    /// Notifications of this event.
    Event(&'static str),
    /// Those of one stream of it.
    Stream(&'static str, &'static str),
    /// The answer to this request.
    Request(&'static str),
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
        write!(f, "{}\n  want {}\n  have {}", self.object, show(&self.want), show(&self.have))?;
        if self.why.is_empty() { Ok(()) } else { write!(f, "\n  ({})", self.why) }
    }
}

/// Where `walked` differs from the recording with its differences applied, in OID order; empty when it is as it should
/// be. Of volatile variables only the presence counts. A difference that the recording does not need is one too.
pub fn mismatches(recording: &Recording, walked: &[String]) -> Vec<Mismatch> {
    mismatches_of(recording.walk, recording.differences, recording.not_yet, walked)
}

pub(crate) fn mismatches_of(
    walk: &str,
    differences: &[&[Difference]],
    not_yet: &[NotYet],
    walked: &[String],
) -> Vec<Mismatch> {
    let recorded = by_object(walk.lines());
    let have = by_object(walked.iter().map(String::as_str));
    let (mut want, mut reasons, mut wrong) = (recorded.clone(), BTreeMap::new(), vec![]);
    for difference in differences.iter().copied().flatten() {
        let object = arcs(difference.object);
        let (before, needed) = match difference.right {
            Right::Is(value) => {
                let before = want.insert(object.clone(), value.to_owned());
                let needed = before.as_deref() != Some(value);
                (before, needed && reasons.insert(object.clone(), difference.why).is_none())
            }
            Right::Absent => {
                let before = want.remove(&object);
                let needed = before.is_some();
                (before, needed && reasons.insert(object.clone(), difference.why).is_none())
            }
            Right::Instead(of, is) => {
                let below = want.iter_mut().filter(|(it, value)| it.starts_with(&object) && *value == of);
                let changed: Vec<Object> = below.map(|(it, value)| (*value = is.to_owned(), it.clone()).1).collect();
                let needed = !changed.is_empty();
                let fresh = changed.into_iter().all(|it| reasons.insert(it, difference.why).is_none());
                (None, needed && fresh)
            }
        };
        if !needed {
            let why = "this difference is listed, and does not fit the recording";
            wrong.push((object.clone(), Mismatch { object: shown(&object), want: before, have: None, why }));
        }
    }
    let not_yet: Vec<(Object, &str)> = not_yet
        .iter()
        .filter_map(|it| if let At::Object(object) = it.at { Some((arcs(object), it.why)) } else { None })
        .collect();
    let mut waiting: BTreeSet<usize> = BTreeSet::new();
    for object in want.keys().chain(have.keys()).collect::<BTreeSet<_>>() {
        let (want, have) = (want.get(object), have.get(object));
        let same = match (want, have) {
            (Some(value), Some(_)) if is_volatile(object, value) => true,
            (None, Some(value)) if Some(value.as_str()) == optional(object) => true,
            _ => want == have,
        };
        if same {
            continue;
        }
        if let Some(number) = not_yet.iter().position(|(prefix, _)| object.starts_with(prefix)) {
            waiting.insert(number);
            continue;
        }
        let why = reasons.get(object).copied().unwrap_or_default();
        let (want, have) = (want.cloned(), have.cloned());
        wrong.push((object.clone(), Mismatch { object: shown(object), want, have, why }));
    }
    for (number, (object, _)) in not_yet.iter().enumerate().filter(|(number, _)| !waiting.contains(number)) {
        let why = NEEDED_NO_MORE;
        let _ = number;
        wrong.push((object.clone(), Mismatch { object: shown(object), want: None, have: None, why }));
    }
    wrong.sort_by(|(a, _), (b, _)| a.cmp(b));
    wrong.into_iter().map(|(_, mismatch)| mismatch).collect()
}

/// Of an entry that says "not yet" of something that is as it should be by now.
pub(crate) const NEEDED_NO_MORE: &str = "this is listed as not built yet, and is right: take it off the list";

/// For an assertion: every mismatch in words, or nothing.
pub fn report(mismatches: &[Mismatch]) -> String {
    let lines: Vec<String> = mismatches.iter().map(Mismatch::to_string).collect();
    format!("{} variables are not as recorded:\n{}", lines.len(), lines.join("\n"))
}

/// Every module that a scenario serves.
pub const MODULES: [&str; 3] = [KEEPALIVED, RFC2787, RFC6527];
/// VRRP-MIB
pub const RFC2787: &str = ".1.3.6.1.2.1.68";
/// VRRPV3-MIB
pub const RFC6527: &str = ".1.3.6.1.2.1.207";

/// All arcs.
type Object = Vec<u32>;

fn by_object<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<Object, String> {
    lines.filter_map(variable).collect()
}

/// `OID = TYPE: value` of one of the modules.
fn variable(line: &str) -> Option<(Object, String)> {
    let (oid, value) = line.split_once(" = ")?;
    let below = |root: &&str| oid.strip_prefix(*root).is_some_and(|rest| rest.starts_with('.'));
    MODULES.iter().any(|root| below(&root)).then_some(())?;
    Some((numbers(oid)?, value.trim().to_owned()))
}

fn numbers(text: &str) -> Option<Object> {
    text.strip_prefix('.')?.split('.').map(|arc| arc.parse().ok()).collect()
}

/// Of an object in a list.
fn arcs(text: &str) -> Object {
    let whole = if text.starts_with(".1.3.6.1.") { text.to_owned() } else { format!("{KEEPALIVED}{text}") };
    numbers(&whole).unwrap_or_else(|| panic!("{text} is no object"))
}

fn shown(object: &Object) -> String {
    object.iter().map(|arc| format!(".{arc}")).collect()
}

/// `oracle/volatile.txt`: version and build, up times, what a peer has sent by now, what the kernel's IPVS counts by the
/// byte, by the second, or behind a scheduler that hashes a client's port, processes that look like one that is
/// tracked, routes that a kernel may lack a feature for, and numbers of interfaces that the kernel makes.
fn is_volatile(object: &Object, recorded: &str) -> bool {
    match object.as_slice() {
        [1, 3, 6, 1, 4, 1, 9586, 100, 5, rest @ ..] => match rest {
            [1, 1 | 7 | 9, 0] => true,
            [3, 3, 1, column, ..] => matches!(column, 28..=36 | 39..=50 | 74..=78),
            [3, 4, 1, column, ..] => matches!(column, 14..=39 | 58..=62),
            [2, 21, 1, 13 | 14, ..] | [2, 7, 1, 14, ..] => true,
            [2, 6, 1, 7, ..] => matches!(recorded, "INTEGER: 2" | "INTEGER: 3"),
            _ => false,
        },
        [1, 3, 6, 1, 2, 1, 68, 1, 3, 1, 13, ..] | [1, 3, 6, 1, 2, 1, 68, 2, 4, 1, 2, ..] => true,
        [1, 3, 6, 1, 2, 1, 207, 1, 1, 1, 1, 12, ..] | [1, 3, 6, 1, 2, 1, 207, 1, 2, 5, 1, 3, ..] => true,
        _ => false,
    }
}

/// dynamic: the recorded daemon was built without D-Bus, Debian's shows that it is off.
fn optional(object: &Object) -> Option<&'static str> {
    (shown(object) == format!("{KEEPALIVED}.1.9.0")).then_some("INTEGER: 2")
}

#[cfg(test)]
mod tests {
    use super::known::{ROUTES_RULES, SYNC_TRACKING, V2_RFC2787, V3_RFC6527, VMAC_UNICAST, absent, instead, is};
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
               .1.3.6.1.2.1.1.1.0 = INTEGER: 2\n",
        differences: &[DIFFERENCES],
        not_yet: &[],
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
        let short = |object: String| object.strip_prefix(KEEPALIVED).unwrap_or(&object).to_owned();
        wrong.into_iter().map(|mismatch| (short(mismatch.object), mismatch.want, mismatch.have)).collect()
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
        assert_eq!(told, [".1.2.0", ".1.3.1.0"].map(|object| format!("{KEEPALIVED}{object}")));
    }

    #[test]
    fn one_difference_may_be_of_all_that_has_a_value_below_an_object() {
        const DIFFERENCES: &[Difference] = &[instead(".1.3", "INTEGER: 2", "INTEGER: 0", "")];
        let recording = Recording { differences: &[DIFFERENCES], ..RECORDED };
        let walked: Vec<String> = RECORDED.walk.lines().map(|line| line.replace("INTEGER: 2", "INTEGER: 0")).collect();
        assert_eq!(mismatches(&recording, &walked), []);
        const USELESS: &[Difference] = &[instead(".1.3", "INTEGER: 7", "INTEGER: 0", "")];
        let recording = Recording { differences: &[DIFFERENCES, USELESS], ..RECORDED };
        assert_eq!(mismatches(&recording, &walked).len(), 1);
    }

    #[test]
    fn what_is_not_built_yet_is_passed_over_until_it_is_right() {
        const NOT_YET: &[NotYet] = &[NotYet { at: At::Object(".3.3"), why: "" }];
        let recording = Recording { not_yet: NOT_YET, ..RECORDED };
        let without: Vec<&str> = RIGHT.into_iter().filter(|line| !line.starts_with(".3.3")).collect();
        assert_eq!(mismatches(&recording, &walked(&without)), []);
        let told = mismatches(&recording, &walked(&RIGHT));
        assert_eq!(told.iter().map(|mismatch| mismatch.why).collect::<Vec<_>>(), [NEEDED_NO_MORE]);
    }

    #[test]
    fn the_differences_of_each_recording_fit_it() {
        for recording in [SEED, SEED_IPVS, FWMARK_QUORUM] {
            let unfit =
                mismatches(&recording, &[]).into_iter().filter(|mismatch| mismatch.why.contains("does not fit"));
            assert_eq!(unfit.collect::<Vec<_>>(), []);
        }
        for scenario in [&SYNC_TRACKING, &ROUTES_RULES, &VMAC_UNICAST, &V3_RFC6527, &V2_RFC2787] {
            let wrong = mismatches_of(scenario.walk, scenario.differences, &[], &[]);
            let unfit = wrong.into_iter().filter(|mismatch| mismatch.why.contains("does not fit"));
            assert_eq!(unfit.collect::<Vec<_>>(), []);
        }
    }
}
