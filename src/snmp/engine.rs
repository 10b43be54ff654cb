//! Our SNMP engine over restarts: its id and how often it has started (RFC 3414 section 2.2), and how both are kept on disk.
//!
//! At [`ENGINE_MAX`](super::usm::ENGINE_MAX) boots stay for ever, and nothing that is authenticated is accepted any more.

use std::fmt::Write as _;

use super::usm::{ENGINE_MAX as BOOTS_MAX, LocalEngine};

/// Longest state file that is read, octets.
pub const STATE_MAX: usize = 4096;

/// What is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub id: Vec<u8>,
    pub boots: u32,
}

/// What is to be in force from this start on, and what the log should hear of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub kept: Kept,
    pub notice: Option<String>,
}

/// Counts a start. `file` is what was on disk (empty at the first start), `configured` the `engine_id` of the settings,
/// `random` makes an id when one is needed, and `clock` is in seconds since 1970.
pub fn start(file: &[u8], configured: Option<&[u8]>, random: [u8; 8], clock: u64) -> Start {
    let kept = match (parse(file), file.is_empty()) {
        (Some(kept), _) => Ok(kept),
        (None, true) => Err(None),
        (None, false) => Err(Some("the kept SNMP engine state cannot be read")),
    };
    match (kept, configured) {
        (Ok(kept), Some(id)) if kept.id == id => {
            let boots = kept.boots.saturating_add(1).min(BOOTS_MAX);
            let notice = (boots == BOOTS_MAX).then(|| {
                "snmpEngineBoots has reached its end: SNMPv3 accepts nothing until `engine_id` is another".to_owned()
            });
            Start { kept: Kept { id: kept.id, boots }, notice }
        }
        (Ok(kept), None) if kept.boots < BOOTS_MAX - 1 => {
            Start { kept: Kept { boots: kept.boots + 1, ..kept }, notice: None }
        }
        (Ok(_), None) => {
            let notice = "snmpEngineBoots has reached its end: the SNMP engine has another id from now on".to_owned();
            Start { kept: Kept { id: LocalEngine::make_id(random), boots: 1 }, notice: Some(notice) }
        }
        // Managers may have met this id before, with boots that nobody remembers: begin behind any number that starts of
        // a daemon reach, and ahead of the last such beginning. Who does not know the time draws a number: the same boots
        // twice would be the same keys and salts twice.
        (kept, Some(id)) => {
            let [.., a, b, c] = random;
            let boots = match clock.checked_sub(EPOCH) {
                Some(since @ 1..) => u32::try_from(since).unwrap_or(BOOTS_MAX).min(BOOTS_MAX - 1),
                Some(0) | None => u32::from_be_bytes([0, a, b, c]) + 1,
            };
            let notice = kept.err().flatten().map(|why| format!("{why}; snmpEngineBoots goes on at {boots}"));
            Start { kept: Kept { id: id.to_vec(), boots }, notice }
        }
        (Err(why), None) => {
            let notice = why.map(|why| format!("{why}; the engine has a new id, which SNMPv3 managers must learn"));
            Start { kept: Kept { id: LocalEngine::make_id(random), boots: 1 }, notice }
        }
    }
}

/// 2026-01-01, when there was no keepwatch yet.
const EPOCH: u64 = 1_767_225_600;

const TITLE: &str = "keepwatch SNMP engine 1";

impl Kept {
    /// The file as it is written.
    pub fn file(&self) -> String {
        format!("{TITLE}\nid {}\nboots {}\n", hex(&self.id), self.boots)
    }
}

/// Reads what [`Kept::file`] has written, and nothing else.
fn parse(file: &[u8]) -> Option<Kept> {
    let mut lines = std::str::from_utf8(file).ok()?.lines();
    if lines.next()? != TITLE {
        return None;
    }
    let id = unhex(lines.next()?.strip_prefix("id ")?)?;
    let boots: u32 = lines.next()?.strip_prefix("boots ")?.parse().ok()?;
    let sane = (5..=32).contains(&id.len()) && boots <= BOOTS_MAX && lines.next().is_none();
    sane.then_some(Kept { id, boots })
}

/// Two digits for each octet.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let octet = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    };
    digits.chunks(2).map(octet).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RANDOM: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
    const NOW: u64 = EPOCH + 1000;

    fn next(before: &Start, configured: Option<&[u8]>) -> Start {
        start(before.kept.file().as_bytes(), configured, [9; 8], NOW)
    }

    #[test]
    fn the_first_start_makes_an_id_and_each_later_one_counts() {
        let first = start(b"", None, RANDOM, NOW);
        assert_eq!(first, Start { kept: Kept { id: first.kept.id.clone(), boots: 1 }, notice: None });
        assert_eq!(hex(&first.kept.id), "80002572050102030405060708");
        let second = next(&first, None);
        assert_eq!(second.kept, Kept { id: first.kept.id, boots: 2 });
        assert_eq!(next(&second, None).kept.boots, 3);
    }

    #[test]
    fn what_cannot_be_read_is_a_new_engine_and_is_told() {
        for file in [&b"x"[..], b"keepwatch SNMP engine 1\nid 8000\nboots 1\n", b"\xff\xfe", &[0; 100]] {
            let start = start(file, None, RANDOM, NOW);
            assert_eq!(start.kept.boots, 1);
            assert!(start.notice.is_some());
        }
    }

    #[test]
    fn at_the_end_of_the_counter_an_engine_of_ours_gets_another_id_and_a_configured_one_stays_there() {
        let last = Start { kept: Kept { id: vec![7; 5], boots: BOOTS_MAX - 1 }, notice: None };
        let after = next(&last, None);
        assert_eq!((after.kept.boots, after.kept.id == last.kept.id, after.notice.is_some()), (1, false, true));
        let after = next(&last, Some(&[7; 5]));
        assert_eq!((&after.kept.id, after.kept.boots), (&last.kept.id, BOOTS_MAX));
        let again = next(&after, Some(&[7; 5]));
        assert_eq!((again.kept.boots, again.notice.is_some()), (BOOTS_MAX, true));
    }

    #[test]
    fn a_configured_id_whose_boots_nobody_remembers_begins_behind_all_that_were() {
        let first = start(b"", Some(&[7; 5]), RANDOM, NOW);
        assert_eq!(first.kept, Kept { id: vec![7; 5], boots: 1000 });
        assert_eq!(next(&first, Some(&[7; 5])).kept.boots, 1001);
        let other = next(&first, Some(&[8; 5]));
        assert_eq!(other.kept.id, [8; 5]);
        assert!(next(&other, None).kept.id == other.kept.id, "it is kept when the setting goes");
    }

    #[test]
    fn a_configured_id_at_a_host_without_a_clock_begins_at_boots_of_its_own_at_each_start() {
        let boots = |random| start(b"", Some(&[7; 5]), random, 0).kept.boots;
        assert_eq!([boots(RANDOM), boots([9; 8]), boots([0; 8]), boots([255; 8])], [0x06_0709, 0x09_090a, 1, 1 << 24]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(id in prop::collection::vec(any::<u8>(), 5..33), boots in 0..=BOOTS_MAX) {
            let kept = Kept { id, boots };
            prop_assert_eq!(parse(kept.file().as_bytes()), Some(kept));
        }

        #[test]
        fn no_file_panics(file in prop::collection::vec(any::<u8>(), 0..100)) {
            let start = start(&file, None, RANDOM, NOW);
            prop_assert!((5..=32).contains(&start.kept.id.len()));
        }
    }
}
