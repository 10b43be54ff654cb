//! The C library's calendar: the one that knows the host's time zone.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

/// Of some time zone.
pub type Moment = (Date, Time);

/// Seconds since 1970, now.
pub fn seconds_now() -> i64 {
    i64::try_from(crate::clock::wall().0 / 1_000_000_000).unwrap_or(i64::MAX)
}

/// The day that a moment is on, in UTC or local time.
pub fn date_of(seconds: i64, utc: bool) -> Date {
    // SAFETY: tm is plain old data; both functions fill it.
    let parts = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        if utc {
            libc::gmtime_r(&raw const seconds, &raw mut parts);
        } else {
            libc::localtime_r(&raw const seconds, &raw mut parts);
        }
        parts
    };
    Date {
        year: u16::try_from(parts.tm_year + 1900).unwrap_or(u16::MAX),
        month: u8::try_from(parts.tm_mon + 1).unwrap_or(1),
        day: u8::try_from(parts.tm_mday).unwrap_or(1),
    }
}

/// Seconds since 1970 of a moment in UTC or local time; `None` for one that the calendar does not have.
pub fn seconds_of((date, time): Moment, utc: bool) -> Option<i64> {
    // SAFETY: tm is plain old data; the functions read it and write into it.
    let seconds = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        parts.tm_year = i32::from(date.year) - 1900;
        parts.tm_mon = i32::from(date.month) - 1;
        parts.tm_mday = i32::from(date.day);
        parts.tm_hour = i32::from(time.hour);
        parts.tm_min = i32::from(time.minute);
        parts.tm_sec = i32::from(time.second);
        // Whether summer time holds then is for the library to find out.
        parts.tm_isdst = -1;
        if utc { libc::timegm(&raw mut parts) } else { libc::mktime(&raw mut parts) }
    };
    (seconds != -1).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_found_again() {
        let moment = (Date { year: 2026, month: 11, day: 21 }, Time { hour: 16, minute: 20, second: 3 });
        assert_eq!(seconds_of(moment, true), Some(1_795_278_003));
        for utc in [true, false] {
            let seconds = seconds_of(moment, utc).unwrap();
            assert_eq!(date_of(seconds, utc), moment.0);
        }
    }
}
