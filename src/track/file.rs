//! One `track_file`: what its content means.
//!
//! As in Keepalived a number may be decimal, hexadecimal (`0x`) or octal (`0`), with white space before it and anything
//! after it. Words, nothing at all, no file and what is no file count as 0. A number that does not fit 32 bits is ignored:
//! the one before it stays.

use crate::bus::rows::{Finding, TrackerRuns};
use crate::conf::model::TrackFile;
use crate::level::Level;

/// Octets of a file that are read: a number and the white space before it.
pub const SIZE: usize = 128;

/// A result below it is a fault, whatever the priority.
const FAULT_BELOW: i64 = -253;

/// What reading a file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A number that fits 32 bits.
    Number(i64),
    /// There is content, and it does not begin with a number.
    Words,
    Empty,
    /// A number that no priority could use.
    TooLarge,
    /// There is no such file.
    Missing,
    /// Why it cannot be read; that it is no regular file, too.
    Unreadable(String),
}

impl Reading {
    /// What the first [`SIZE`] octets of a file say.
    pub fn of(content: &[u8]) -> Reading {
        let text = content.trim_ascii_start();
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, text),
        };
        let digit = |byte: &u8, base| char::from(*byte).to_digit(base);
        let (base, digits) = match digits {
            [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(|byte| digit(byte, 16).is_some()) => (16, rest),
            [b'0', ..] => (8, digits),
            _ => (10, digits),
        };
        let mut digits = digits.iter().map_while(|byte| digit(byte, base)).peekable();
        if digits.peek().is_none() {
            return if text.is_empty() { Reading::Empty } else { Reading::Words };
        }
        let number =
            digits.try_fold(0_i64, |number, digit| number.checked_mul(i64::from(base))?.checked_add(i64::from(digit)));
        let number = number.map(|number| if negative { -number } else { number });
        match number.filter(|number| i32::try_from(*number).is_ok()) {
            Some(number) => Reading::Number(number),
            None => Reading::TooLarge,
        }
    }
}

/// One `track_file` in force.
#[derive(Debug, Clone)]
pub struct File {
    config: TrackFile,
    value: Option<i64>,
    last: Option<Reading>,
    runs: TrackerRuns,
}

impl File {
    pub fn new(config: TrackFile) -> File {
        File { config, value: None, last: None, runs: TrackerRuns::default() }
    }

    /// A new configuration: the number stays as long as it is the same file.
    pub fn reconfigure(&mut self, config: TrackFile) {
        if config.path != self.config.path {
            self.last = None;
        }
        self.config = config;
    }

    pub fn config(&self) -> &TrackFile {
        &self.config
    }

    /// The number as it is in the file; `good` is what the tracker's own weight makes of it, before `reverse`.
    pub fn finding(&self) -> Finding {
        match self.value {
            None => Finding::Unknown,
            Some(count) => Finding::Count { count, good: good(&self.config, count) },
        }
    }

    pub fn runs(&self) -> TrackerRuns {
        self.runs
    }

    /// It was read; returns what the log should say.
    pub fn read(&mut self, reading: Reading) -> Option<(Level, String)> {
        let before = self.value.map(|value| good(&self.config, value));
        self.value = match reading {
            Reading::Number(number) => Some(number),
            Reading::TooLarge => self.value.or(Some(0)),
            Reading::Words | Reading::Empty | Reading::Missing | Reading::Unreadable(_) => Some(0),
        };
        let now = self.value.map(|value| good(&self.config, value));
        if before.is_some() && before != now {
            let counter = if now == Some(true) { &mut self.runs.went_up } else { &mut self.runs.went_down };
            *counter += 1;
        }
        if self.last.as_ref() == Some(&reading) {
            return None;
        }
        let TrackFile { name, path, .. } = &self.config;
        let told = match &reading {
            Reading::Number(number) => (Level::Debug, format!("track_file {name}: {number}")),
            Reading::Words => (Level::Warn, format!("track_file {name}: {path} holds no number; it counts as 0")),
            // Programs empty a file before they write it.
            Reading::Empty => (Level::Debug, format!("track_file {name}: {path} is empty; it counts as 0")),
            Reading::TooLarge => {
                let value = self.value.unwrap_or(0);
                (Level::Warn, format!("track_file {name}: the number in {path} is too large; {value} still counts"))
            }
            Reading::Missing => (Level::Info, format!("track_file {name}: there is no {path}; it counts as 0")),
            Reading::Unreadable(why) => {
                (Level::Warn, format!("track_file {name}: {path} cannot be read ({why}); it counts as 0"))
            }
        };
        self.last = Some(reading);
        Some(told)
    }
}

/// With weight 0 any number but 0 is a fault; else one that takes more than a priority has.
fn good(config: &TrackFile, value: i64) -> bool {
    if config.weight == 0 {
        return value == 0;
    }
    let product = value.saturating_mul(i64::from(config.weight));
    (if config.reverse { product.saturating_neg() } else { product }) >= FAULT_BELOW
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conf::model::Location;

    fn file(weight: i32, reverse: bool) -> File {
        File::new(TrackFile {
            location: Location::default(),
            name: "f".to_owned(),
            path: "/run/f".to_owned(),
            weight,
            reverse,
            init: None,
        })
    }

    fn count(count: i64, good: bool) -> Finding {
        Finding::Count { count, good }
    }

    /// Looked up with Keepalived 2.2.7.
    #[test]
    fn a_file_is_read_as_keepalived_reads_it() {
        for (content, reading) in [
            ("5\n", Reading::Number(5)),
            ("-7", Reading::Number(-7)),
            ("  4 \n", Reading::Number(4)),
            ("+6\n", Reading::Number(6)),
            ("12abc\n", Reading::Number(12)),
            ("5 6\n", Reading::Number(5)),
            ("1.5", Reading::Number(1)),
            ("0x10\n", Reading::Number(16)),
            ("010", Reading::Number(8)),
            ("0", Reading::Number(0)),
            ("08", Reading::Number(0)),
            ("0xg", Reading::Number(0)),
            ("words\n", Reading::Words),
            ("+-9", Reading::Words),
            ("", Reading::Empty),
            ("\n\n", Reading::Empty),
            ("2147483647", Reading::Number(2_147_483_647)),
            ("-2147483648", Reading::Number(-2_147_483_648)),
            ("2147483648", Reading::TooLarge),
            ("-2147483649", Reading::TooLarge),
            ("100000000000000000000\n", Reading::TooLarge),
        ] {
            assert_eq!(Reading::of(content.as_bytes()), reading, "{content:?}");
        }
        assert_eq!(Reading::of(&[0; SIZE]), Reading::Words);
        assert_eq!(Reading::of(&[b'9'; SIZE]), Reading::TooLarge);
        assert_eq!(Reading::of("\u{663}".as_bytes()), Reading::Words, "no digits of other scripts");
    }

    #[test]
    fn a_number_that_is_too_large_leaves_the_one_before_and_anything_else_counts_as_0() {
        let mut file = file(1, false);
        assert_eq!(file.finding(), Finding::Unknown);
        file.read(Reading::TooLarge);
        assert_eq!(file.finding(), count(0, true));
        file.read(Reading::Number(9));
        file.read(Reading::TooLarge);
        assert_eq!(file.finding(), count(9, true));
        for reading in [Reading::Words, Reading::Empty, Reading::Missing, Reading::Unreadable("is a directory".into())]
        {
            file.read(Reading::Number(9));
            file.read(reading);
            assert_eq!(file.finding(), count(0, true));
        }
    }

    #[test]
    fn without_a_weight_any_number_but_0_is_a_fault_and_with_one_what_no_priority_can_bear() {
        let found = |weight, reverse, value| {
            let mut file = file(weight, reverse);
            file.read(Reading::Number(value));
            file.finding()
        };
        assert_eq!(found(0, false, 0), count(0, true));
        assert_eq!(found(0, false, -1), count(-1, false));
        assert_eq!(found(1, false, -253), count(-253, true));
        assert_eq!(found(1, false, -254), count(-254, false));
        assert_eq!(found(1, true, 254), count(254, false));
        assert_eq!(found(254, false, i64::from(i32::MIN)), count(i64::from(i32::MIN), false));
        assert_eq!(found(0, true, 3), count(3, false), "reverse is for whoever weighs");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_once() {
        let mut file = file(1, false);
        assert!(file.read(Reading::Words).is_some_and(|(level, _)| level == Level::Warn));
        assert_eq!(file.read(Reading::Words), None);
        assert!(file.read(Reading::Missing).is_some());
        assert!(file.read(Reading::Words).is_some());
    }

    proptest! {
        #[test]
        fn any_octets_are_a_reading_that_fits_32_bits(content in prop::collection::vec(any::<u8>(), 0..=SIZE)) {
            if let Reading::Number(number) = Reading::of(&content) {
                prop_assert!(i32::try_from(number).is_ok());
            }
        }

        #[test]
        fn every_number_of_32_bits_is_read_as_it_is_written(number in any::<i32>()) {
            prop_assert_eq!(Reading::of(format!("{number}\n").as_bytes()), Reading::Number(number.into()));
        }
    }
}
