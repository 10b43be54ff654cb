//! What a line of `reload_time_file` means: a time of day, or a moment. Knows neither files nor clocks nor time zones.

use crate::sys::calendar::{Date, Moment, Time};

/// A line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// `None`: each day.
    pub date: Option<Date>,
    pub time: Time,
    /// Otherwise it is local time.
    pub utc: bool,
}

impl When {
    /// `HH:MM:SS`, with `YY-MM-DD` or `YYYY-MM-DD` and one blank before it, and `Z` behind it for UTC. Exactly so.
    pub fn parse(line: &str) -> Option<When> {
        let (line, utc) = line.strip_suffix('Z').map_or((line, false), |line| (line, true));
        let (date, time) = line.split_once(' ').map_or((None, line), |(date, time)| (Some(date), time));
        let date = match date {
            Some(date) => Some(Date::parse(date)?),
            None => None,
        };
        Some(When { date, time: Time::parse(time)?, utc })
    }

    /// The moments that it may mean, seen from this day: the day itself and the next ones.
    pub fn candidates(&self, today: Date) -> Vec<Moment> {
        match self.date {
            Some(date) => vec![(date, self.time)],
            None => {
                // A clock that is put forward skips the time of one day at most.
                let days = std::iter::successors(Some(today), |day| Some(day.next())).take(3);
                days.map(|day| (day, self.time)).collect()
            }
        }
    }
}

impl Date {
    fn parse(text: &str) -> Option<Date> {
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next()?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
        if parts.next().is_some() {
            return None;
        }
        let year = match year.len() {
            2 => 2000 + digits(year, 2)?,
            _ => digits(year, 4)?,
        };
        let date = Date { year, month: u8::try_from(month).ok()?, day: u8::try_from(day).ok()? };
        ((1..=12).contains(&date.month) && (1..=date.length_of_month()).contains(&date.day)).then_some(date)
    }

    fn length_of_month(self) -> u8 {
        let every = |years| self.year.is_multiple_of(years);
        let leap = every(4) && (!every(100) || every(400));
        match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 31,
        }
    }

    fn next(self) -> Date {
        if self.day < self.length_of_month() {
            Date { day: self.day + 1, ..self }
        } else if self.month < 12 {
            Date { month: self.month + 1, day: 1, ..self }
        } else {
            Date { year: self.year.saturating_add(1), month: 1, day: 1 }
        }
    }
}

impl Time {
    fn parse(text: &str) -> Option<Time> {
        let mut parts = text.split(':').map(|part| digits(part, 2).and_then(|number| u8::try_from(number).ok()));
        let time = Time { hour: parts.next()??, minute: parts.next()??, second: parts.next()?? };
        let fits = time.hour < 24 && time.minute < 60 && time.second < 60 && parts.next().is_none();
        fits.then_some(time)
    }
}

/// Exactly so many digits.
fn digits(text: &str, count: usize) -> Option<u16> {
    let all = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: u16, month: u8, day: u8) -> Date {
        Date { year, month, day }
    }

    #[test]
    fn a_line_is_a_time_with_a_date_or_without_and_nothing_else() {
        let time = Time { hour: 7, minute: 8, second: 9 };
        assert_eq!(When::parse("07:08:09"), Some(When { date: None, time, utc: false }));
        assert_eq!(When::parse("07:08:09Z"), Some(When { date: None, time, utc: true }));
        let of = |date| Some(When { date: Some(date), time, utc: false });
        assert_eq!(When::parse("28-02-29 07:08:09"), of(date(2028, 2, 29)));
        assert_eq!(When::parse("2026-12-31 07:08:09"), of(date(2026, 12, 31)));
        for line in [
            "",
            "7:08:09",
            "07:08",
            "07:08:09 ",
            " 07:08:09",
            "24:00:00",
            "07:60:00",
            "07:08:60",
            "07:08:09:10",
            "2026-13-01 07:08:09",
            "2026-02-29 07:08:09",
            "2026-00-01 07:08:09",
            "026-01-01 07:08:09",
            "2026-01-01  07:08:09",
            "2026-01-01T07:08:09",
            "+7:08:09",
            "2026-01-01 07:08:09z",
            "2026-01-01-01 07:08:09",
        ] {
            assert_eq!(When::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_time_of_day_comes_today_and_tomorrow_over_the_ends_of_months_and_years() {
        let when = When::parse("00:00:01").unwrap();
        let days = |today| when.candidates(today).into_iter().map(|(date, _)| date).collect::<Vec<_>>();
        assert_eq!(days(date(2026, 12, 30)), [date(2026, 12, 30), date(2026, 12, 31), date(2027, 1, 1)]);
        assert_eq!(days(date(2028, 2, 28)), [date(2028, 2, 28), date(2028, 2, 29), date(2028, 3, 1)]);
        assert_eq!(When::parse("2026-01-01 00:00:00").unwrap().candidates(date(2026, 6, 6)).len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_a_fault(line in "[0-9:Z -]{0,24}|\\PC*") {
            if let Some(when) = When::parse(&line) {
                when.candidates(date(2026, 1, 1));
            }
        }
    }
}
