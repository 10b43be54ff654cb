//! Numbers, times and states in words.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Severity;
use crate::bus::bfd::BfdState;
use crate::bus::msg::PacketFault;
use crate::bus::rows::{AuthError, Finding, ProtocolError, State};
use crate::clock::WallTime;
use crate::conf::model::{Family, TrackerKind};

/// Seconds since 1970, with fractions.
pub fn unix(at: WallTime) -> f64 {
    at.0 as f64 / 1e9
}

/// `None` for a moment that never was.
pub fn unix_some(at: WallTime) -> Option<f64> {
    (at.0 > 0).then(|| unix(at))
}

/// Time passed from `from` to `to`; zero if the clock was set back.
pub fn between(from: WallTime, to: WallTime) -> Duration {
    Duration::from_nanos(to.0.saturating_sub(from.0))
}

/// As `/api/v1` and the tools name a state.
pub fn state(state: State) -> &'static str {
    match state {
        State::Init => "init",
        State::Backup => "backup",
        State::Master => "master",
        State::Fault => "fault",
        State::Shutdown => "stop",
        State::Deleted => "deleted",
    }
}

pub fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

pub fn tracker_kind(kind: TrackerKind) -> &'static str {
    match kind {
        TrackerKind::Script => "script",
        TrackerKind::File => "file",
        TrackerKind::Process => "process",
        TrackerKind::Bfd => "bfd",
    }
}

pub fn session_state(state: BfdState) -> &'static str {
    match state {
        BfdState::AdminDown => "admin-down",
        BfdState::Down => "down",
        BfdState::Init => "init",
        BfdState::Up => "up",
    }
}

/// What was found of a tracker, as an event.
pub fn finding(kind: TrackerKind, finding: Finding) -> (Severity, String) {
    match (kind, finding) {
        (_, Finding::Unknown) => (Severity::Info, "is not known".to_owned()),
        (TrackerKind::File, Finding::Count { count, .. }) => (Severity::Info, format!("says {count} now")),
        (TrackerKind::Process, Finding::Count { count, good: true }) => {
            (Severity::Info, format!("has its quorum, {count} running"))
        }
        (TrackerKind::Process, Finding::Count { count, good: false }) => {
            (Severity::Warning, format!("misses its quorum, {count} running"))
        }
        (TrackerKind::Script, Finding::Good) => (Severity::Info, "succeeds now".to_owned()),
        (TrackerKind::Script, Finding::Bad) => (Severity::Warning, "fails now".to_owned()),
        (_, Finding::Good | Finding::Count { good: true, .. }) => (Severity::Info, "is up now".to_owned()),
        (_, Finding::Bad | Finding::Count { good: false, .. }) => (Severity::Warning, "is down now".to_owned()),
    }
}

/// `3.609 s`, `250 ms`, `2 min 5 s`, `3 h 20 min`, `12 d 4 h`: at most two units, as exact as people want it.
pub fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0 if length.is_zero() => "0 s".to_owned(),
        0 if length < Duration::from_millis(1) => format!("{} µs", length.as_micros()),
        0 => format!("{} ms", length.as_millis()),
        1..60 => {
            let thousandths = format!("{seconds}.{:03}", length.subsec_millis());
            format!("{} s", thousandths.trim_end_matches('0').trim_end_matches('.'))
        }
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86400, "d", seconds % 86400 / 3600, "h"),
    }
}

/// The same, to the whole second: for ages, whose fractions nobody reads.
pub fn age(length: Duration) -> String {
    match length.as_secs() {
        0 => "less than a second".to_owned(),
        seconds => duration(Duration::from_secs(seconds)),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    }
}

/// `2026-11-21 13:24:17 UTC`.
pub fn utc(at: f64) -> String {
    let (date, time) = date_and_time(at);
    format!("{date} {time} UTC")
}

/// `2026-11-21T13:24:17Z`, as HTML and programs want it.
pub fn rfc3339(at: f64) -> String {
    let (date, time) = date_and_time(at);
    format!("{date}T{time}Z")
}

fn date_and_time(at: f64) -> (String, String) {
    // Saturates: neither a time before 1970 nor one in a far future is worth more than not to fail.
    let seconds = (at.max(0.0) as u64).min(253_402_300_799);
    let (days, rest) = (seconds / 86400, seconds % 86400);
    // Gregorian calendar in years that begin in March, so that the day that may be missing is the last.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (format!("{year:04}-{month:02}-{day:02}"), format!("{:02}:{:02}:{:02}", rest / 3600, rest % 3600 / 60, rest % 60))
}

/// `1 real server`, `4 real servers`.
pub fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn and<S: AsRef<str>>(those: &[S]) -> String {
    let mut text = String::new();
    for (at, one) in those.iter().enumerate() {
        let glue = match those.len() - at {
            _ if at == 0 => "",
            1 => " and ",
            _ => ", ",
        };
        let _ = write!(text, "{glue}{}", one.as_ref());
    }
    text
}

/// With its sign, as `+20` or `-40`.
pub fn signed(number: i32) -> String {
    format!("{number:+}")
}

/// `10.0.0.1:80`, `[fd00::1]:80`; port 0 gives the bare address.
pub fn endpoint(address: IpAddr, port: u16) -> String {
    match port {
        0 => address.to_string(),
        _ => SocketAddr::new(address, port).to_string(),
    }
}

/// What was wrong with a packet.
pub fn packet_fault(fault: PacketFault) -> &'static str {
    match fault {
        PacketFault::Auth(AuthError::InvalidType) => "its authentication type does not exist",
        PacketFault::Auth(AuthError::TypeMismatch) => "its authentication type is not the configured one",
        PacketFault::Auth(AuthError::Failure) => "its password is not the configured one",
        PacketFault::Protocol(ProtocolError::Ttl) => {
            "its TTL is wrong: it was forwarded, or a peer is configured otherwise"
        }
        PacketFault::Protocol(ProtocolError::Version) => "its VRRP version is not the configured one",
        PacketFault::Protocol(ProtocolError::Checksum) => "its checksum is wrong",
        PacketFault::Protocol(ProtocolError::VrId) => "its virtual router id is not configured here",
        PacketFault::Protocol(ProtocolError::None) => "it breaks the protocol",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_two_largest_units_that_matter() {
        let words = |ms| duration(Duration::from_millis(ms));
        assert_eq!(words(0), "0 s");
        assert_eq!(duration(Duration::from_micros(30)), "30 µs");
        assert_eq!(words(250), "250 ms");
        assert_eq!(words(3609), "3.609 s");
        assert_eq!(words(3600), "3.6 s");
        assert_eq!(words(10_000), "10 s");
        assert_eq!(words(125_900), "2 min 5 s");
        assert_eq!(words(3_600_000), "1 h");
        assert_eq!(words(12_000_000), "3 h 20 min");
        assert_eq!(words(1_051_200_000), "12 d 4 h");
        assert_eq!(age(Duration::from_millis(3609)), "3 s");
    }

    #[test]
    fn dates_are_those_of_the_gregorian_calendar() {
        assert_eq!(utc(0.0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_400.0), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_795_267_457.9), "2026-11-21 13:24:17 UTC");
        assert_eq!(rfc3339(4_107_542_399.0), "2100-02-28T23:59:59Z");
        assert_eq!(rfc3339(4_107_542_400.0), "2100-03-01T00:00:00Z");
        assert_eq!(utc(f64::NAN), utc(0.0));
        assert_eq!(utc(f64::INFINITY), "9999-12-31 23:59:59 UTC");
    }

    #[test]
    fn lists_end_with_and() {
        assert_eq!(and::<&str>(&[]), "");
        assert_eq!(and(&["a"]), "a");
        assert_eq!(and(&["a", "b"]), "a and b");
        assert_eq!(and(&["a", "b", "c"]), "a, b and c");
    }
}
