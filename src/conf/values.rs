//! One word against one type: [`read`] gives the value, or says what is wrong with the word.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smol_str::SmolStr;

use super::diag::{Class, Diagnostic};
use super::keywords::{Kind, docs};
use super::lex::Word;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(SmolStr),
    Int(i64),
    /// Millionths.
    Micros(u64),
    Bool(bool),
    Ip(IpAddr),
    /// `None` without `/len`.
    Prefix(IpAddr, Option<u8>),
    Scope(u8),
    /// `None` is forever.
    Lifetime(Option<u32>),
    Broadcast(Broadcast),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broadcast {
    Address(Ipv4Addr),
    /// `+`: all host bits set.
    Ones,
    /// `-`: all host bits clear.
    Zeros,
}

/// The value of a word for `what`. Complaints go to `out`; `None` when there is no value to go on with.
pub fn read(kind: Kind, word: &Word, what: &str, out: &mut Vec<Diagnostic>) -> Option<Value> {
    if word.is_undefined() {
        return None;
    }
    match value(kind, word, out) {
        Ok(value) => Some(value),
        Err(problem) => {
            out.push(explain(kind, word, what, problem));
            None
        }
    }
}

/// Why a word has not the type that it should have.
enum Problem {
    /// Nothing to add to what was expected.
    Other,
    Hint(String),
    /// Says all itself.
    Whole(Diagnostic),
}

fn explain(kind: Kind, word: &Word, what: &str, problem: Problem) -> Diagnostic {
    let (code, class) = match kind {
        // Keepalived does not count mistakes beside a `regex`.
        Kind::U64 if what.starts_with("regex") => ("number", Class::Silent),
        Kind::Word(_) if what == "regex_options" => ("value", Class::Silent),
        Kind::Int(..) | Kind::Dec(..) | Kind::AnyBase(_) | Kind::U64 => ("number", Class::InvalidNumber),
        _ => ("value", Class::General),
    };
    let text = &word.text;
    let diagnostic = match problem {
        Problem::Whole(diagnostic) => return diagnostic,
        Problem::Other | Problem::Hint(_) => {
            Diagnostic::error(code, word.span, format!("expected {} for `{what}`, found `{text}`", docs::kind(kind)))
                .class(class)
        }
    };
    if what == "persistence_timeout" && text == "0" {
        let message = "0 does not turn persistence off: the line is ignored";
        return Diagnostic::warning(code, word.span, message).class(class).hint("delete the line to have none");
    }
    if let Some(name) = text.strip_prefix('$').filter(|_| !matches!(kind, Kind::Script | Kind::Regex)) {
        let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if !name.is_empty() {
            let rest = text.strip_prefix(&format!("${name}")).unwrap_or_default();
            return if rest.is_empty() {
                Diagnostic::error("undefined-parameter", word.span, format!("`{name}` is not defined before this line"))
                    .hint(format!("define it before its first use: `${name}=VALUE`"))
            } else {
                let message = format!("`{text}` is not expanded: a parameter followed by text needs braces");
                Diagnostic::error("parameter-braces", word.span, message).hint(format!("write `${{{name}}}{rest}`"))
            };
        }
    }
    match problem {
        Problem::Hint(hint) => diagnostic.hint(hint),
        _ => match kind {
            Kind::Word(words) | Kind::AnyCase(words) => near(diagnostic, text, words),
            Kind::Int(..) | Kind::Dec(..) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
                if digits.len() < text.len() && text.chars().skip(digits.len()).all(char::is_alphabetic) {
                    diagnostic.hint(format!("values have no unit here: write `{digits}`"))
                } else {
                    diagnostic.hint("the line is ignored; the value before it, or the default, stays")
                }
            }
            _ => diagnostic.hint("the line is ignored; the value before it, or the default, stays"),
        },
    }
}

fn near(diagnostic: Diagnostic, text: &str, words: &[&'static str]) -> Diagnostic {
    let same = words.iter().find(|word| word.eq_ignore_ascii_case(text)).copied();
    let called = || super::keywords::called(text, words.iter().copied());
    match same.or_else(called).or_else(|| super::keywords::closest(text, words.iter().copied())) {
        Some(word) => diagnostic.suggest(word),
        None => diagnostic.hint("the line is ignored; the value before it, or the default, stays"),
    }
}

fn value(kind: Kind, word: &Word, out: &mut Vec<Diagnostic>) -> Result<Value, Problem> {
    let text = word.text.as_str();
    let length = || text.chars().count();
    match kind {
        Kind::Str | Kind::Script | Kind::User | Kind::Group | Kind::Email | Kind::Host | Kind::Regex => {
            Ok(Value::Text(text.into()))
        }
        Kind::Path if !text.is_empty() => Ok(Value::Text(text.into())),
        Kind::AbsPath if text.starts_with('/') => Ok(Value::Text(text.into())),
        Kind::Path | Kind::AbsPath => Err(Problem::Other),
        Kind::Name(max) if !(1..=max).contains(&length()) => {
            Err(Problem::Hint(format!("it has {} characters", length())))
        }
        Kind::IfName if !(1..=15).contains(&length()) => Err(Problem::Hint(format!("it has {} characters", length()))),
        Kind::Name(_) | Kind::IfName => Ok(Value::Text(text.into())),
        Kind::Bool => boolean(text),
        Kind::Int(min, max) => match number(text) {
            Some(number) if (min..=max).contains(&number) => Ok(Value::Int(number)),
            _ => Err(Problem::Other),
        },
        Kind::U64 => text.parse::<u64>().map(|_| Value::Text(text.into())).map_err(|_| Problem::Other),
        Kind::Dec(digits, min, max) => decimal(word, digits, min, max, out),
        Kind::Ip => address(text).map(Value::Ip).map_err(|hint| not_an_address(word, hint)),
        Kind::Multicast | Kind::Multicast4 | Kind::Multicast6 => {
            let address = address(text).map_err(|hint| not_an_address(word, hint))?;
            let family = match kind {
                Kind::Multicast4 => address.is_ipv4(),
                Kind::Multicast6 => address.is_ipv6(),
                _ => true,
            };
            if address.is_multicast() && family { Ok(Value::Ip(address)) } else { Err(Problem::Other) }
        }
        Kind::Prefix => prefix(word, out),
        Kind::Word(words) if words.contains(&text) => Ok(Value::Text(text.into())),
        Kind::AnyCase(words) => {
            let found = words.iter().find(|word| word.eq_ignore_ascii_case(text));
            found.map(|word| Value::Text(SmolStr::new_static(word))).ok_or(Problem::Other)
        }
        Kind::Word(_) => Err(Problem::Other),
        Kind::NumberOrWord(words) => match (words.iter().find(|word| word.eq_ignore_ascii_case(text)), number(text)) {
            (Some(word), _) => Ok(Value::Text(SmolStr::new_static(word))),
            (None, Some(number)) if (0..=i64::from(u32::MAX)).contains(&number) => Ok(Value::Int(number)),
            _ => Err(Problem::Other),
        },
        Kind::NumberOrName(max) => match any_base(text).map(i64::try_from) {
            Some(Ok(number)) if number <= max => Ok(Value::Int(number)),
            Some(_) => Err(Problem::Other),
            None if number(text).is_some() => Err(Problem::Other),
            None => Ok(Value::Text(text.into())),
        },
        Kind::Scope => Ok(Value::Scope(match text {
            "global" => 0,
            "site" => 200,
            "link" => 253,
            "host" => 254,
            "nowhere" => 255,
            _ => number(text).and_then(|number| u8::try_from(number).ok()).ok_or(Problem::Other)?,
        })),
        Kind::Lifetime => match (text, number(text)) {
            ("forever", _) => Ok(Value::Lifetime(None)),
            (_, Some(4_294_967_295)) => Ok(Value::Lifetime(None)),
            (_, Some(seconds)) => u32::try_from(seconds).map(|s| Value::Lifetime(Some(s))).map_err(|_| Problem::Other),
            _ => Err(Problem::Other),
        },
        Kind::Broadcast => Ok(Value::Broadcast(match text {
            "+" => Broadcast::Ones,
            "-" => Broadcast::Zeros,
            _ => Broadcast::Address(text.parse().map_err(|_| Problem::Other)?),
        })),
        Kind::AnyBase(max) => match any_base(text) {
            Some(number) if number <= max => i64::try_from(number).map(Value::Int).map_err(|_| Problem::Other),
            _ => Err(Problem::Other),
        },
        Kind::Mark => {
            let fits = text.split('/').all(|part| any_base(part).is_some_and(|mark| mark <= u64::from(u32::MAX)));
            if fits && text.split('/').count() <= 2 { Ok(Value::Text(text.into())) } else { Err(Problem::Other) }
        }
        Kind::PortRange => {
            let port = |text: &str| text.parse::<u16>().ok();
            let fits = match text.split_once('-') {
                Some((first, last)) => port(first).zip(port(last)).is_some_and(|(first, last)| first <= last),
                None => port(text).is_some(),
            };
            if !fits {
                return Err(Problem::Other);
            }
            if !text.contains('-') {
                out.push(
                    Diagnostic::error(
                        "port-range",
                        word.span,
                        format!("Keepalived takes only a range here, not `{text}`"),
                    )
                    .hint(format!("write `{text}-{text}`, which means the same")),
                );
            }
            Ok(Value::Text(text.into()))
        }
        Kind::Hex32 if length() == 32 && text.chars().all(|c| c.is_ascii_hexdigit()) => Ok(Value::Text(text.into())),
        Kind::Hex32 => Err(Problem::Hint(format!("an MD5 digest has 32 hex digits, this has {} characters", length()))),
        Kind::HexString if text.chars().all(|c| c.is_ascii_hexdigit() || c == ' ') => Ok(Value::Text(text.into())),
        Kind::HexWild if text.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ' ' | 'x' | 'X')) => {
            Ok(Value::Text(text.into()))
        }
        Kind::HexString | Kind::HexWild => Err(Problem::Other),
        Kind::StatusCodes => {
            let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..=599).contains(code));
            let fits = match text.split_once('-') {
                Some((first, last)) => code(first).zip(code(last)).is_some_and(|(first, last)| first <= last),
                None => code(text).is_some(),
            };
            if fits {
                return Ok(Value::Text(text.into()));
            }
            match text.chars().next().filter(|c| text.eq_ignore_ascii_case(&format!("{c}xx"))) {
                Some(class) => Err(Problem::Hint(format!("write {class}00-{class}99"))),
                None => Err(Problem::Other),
            }
        }
        Kind::Granularity => {
            let mask = text.parse::<Ipv4Addr>().is_ok();
            let prefix = number(text).is_some_and(|number| (1..=128).contains(&number));
            if mask || prefix { Ok(Value::Text(text.into())) } else { Err(Problem::Other) }
        }
        Kind::IncludeCheck => match text.trim_start_matches(['+', '-']) {
            "read" | "readable" | "match" | "wildcard_match" | "brace_match" => Ok(Value::Text(text.into())),
            _ => Err(Problem::Other),
        },
    }
}

fn boolean(text: &str) -> Result<Value, Problem> {
    match text {
        "on" | "true" | "yes" => Ok(Value::Bool(true)),
        "off" | "false" | "no" => Ok(Value::Bool(false)),
        _ => {
            let lower = text.to_lowercase();
            Err(match lower.as_str() {
                "on" | "true" | "yes" | "off" | "false" | "no" => {
                    Problem::Hint(format!("did you mean `{lower}`? Values are lower case"))
                }
                _ => Problem::Other,
            })
        }
    }
}

/// Decimal digits with an optional sign; blanks may stand before them in quotes.
pub fn number(text: &str) -> Option<i64> {
    let digits = text.trim_start();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    let all_digits = !unsigned.is_empty() && unsigned.chars().all(|c| c.is_ascii_digit());
    // `+-5` is no number.
    (all_digits && !(text.contains('+') && text.contains('-'))).then(|| digits.parse().ok()).flatten()
}

/// Decimal, 0octal or 0xhex.
pub fn any_base(text: &str) -> Option<u64> {
    let digits = |text: &str| !text.starts_with(['+', '-']);
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(hex, 16).ok().filter(|_| digits(hex));
    }
    match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u64::from_str_radix(octal, 8).ok().filter(|_| digits(octal)),
        _ => text.parse().ok().filter(|_| digits(text)),
    }
}

/// `[digits][.digits]`; digits beyond what is kept are rounded half up, with a report.
fn decimal(word: &Word, digits: u8, min: u64, max: u64, out: &mut Vec<Diagnostic>) -> Result<Value, Problem> {
    let text = word.text.trim_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(Problem::Other);
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| Problem::Other)? };
    let kept = usize::from(digits);
    let mut micros: u64 = 0;
    let mut scale: u64 = 100_000;
    for digit in fraction.chars().take(kept).filter_map(|c| c.to_digit(10)) {
        micros += u64::from(digit) * scale;
        scale /= 10;
    }
    if let Some(next) = fraction.chars().nth(kept).and_then(|c| c.to_digit(10)) {
        if next >= 5 {
            micros += 10_u64.pow(6 - u32::from(digits.min(6)));
        }
        out.push(
            Diagnostic::warning(
                "rounded",
                word.span,
                format!("only {digits} digits after the point count: `{}` is rounded", word.text),
            )
            .class(Class::InvalidNumber),
        );
    }
    let value = whole.checked_mul(1_000_000).and_then(|value| value.checked_add(micros)).ok_or(Problem::Other)?;
    if (min..=max).contains(&value) { Ok(Value::Micros(value)) } else { Err(Problem::Other) }
}

/// A strict address: no zone, no brackets, no leading zeros. The error is a hint.
pub fn address(text: &str) -> Result<IpAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
        return Err(format!("addresses stand without brackets: write `{inner}`"));
    }
    if let Some((address, zone)) = text.split_once('%') {
        let (zone, length) = zone.split_once('/').map_or((zone, String::new()), |(z, l)| (z, format!("/{l}")));
        return Err(format!("no %zone here: write `{address}{length} dev {zone}`"));
    }
    let octets: Vec<&str> = text.split('.').collect();
    if octets.len() > 1 && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        if let Some(octet) = octets.iter().find(|octet| octet.parse::<u32>().is_ok_and(|octet| octet > 255)) {
            return Err(format!("octet {octet} is above 255"));
        }
        if octets.iter().any(|octet| octet.len() > 1 && octet.starts_with('0')) {
            return Err("octets have no leading zeros".to_owned());
        }
        return Err(format!(
            "an IPv4 address has four numbers, this has {}",
            octets.iter().filter(|o| !o.is_empty()).count()
        ));
    }
    if let Some((address, port)) = text.rsplit_once(':')
        && address.parse::<Ipv4Addr>().is_ok()
    {
        return Err(format!("the port is a word of its own: write `{address} {port}`"));
    }
    if text.contains(':') && text.parse::<Ipv6Addr>().is_err() {
        return Err("an IPv6 address has up to eight groups of four hex digits, with `::` at most once".to_owned());
    }
    Err("names are not resolved here: write the address".to_owned())
}

fn not_an_address(word: &Word, hint: String) -> Problem {
    if word.text.starts_with('$') {
        return Problem::Other;
    }
    let message = format!("expected an IP address, found `{}`", word.text);
    Problem::Whole(Diagnostic::error("address", word.span, message).hint(hint))
}

fn prefix(word: &Word, out: &mut Vec<Diagnostic>) -> Result<Value, Problem> {
    let text = word.text.as_str();
    let Some((host, length)) = text.split_once('/') else {
        return address(text).map(|address| Value::Prefix(address, None)).map_err(|hint| not_an_address(word, hint));
    };
    // The zone hint wants the whole word.
    let address = address(host).map_err(|hint| {
        let hint = if host.contains('%') { address(text).err().unwrap_or(hint) } else { hint };
        not_an_address(word, hint)
    })?;
    let host_length = host.chars().count();
    let full = if address.is_ipv4() { 32 } else { 128 };
    if length.is_empty() {
        out.push(
            Diagnostic::error("prefix", word.part(host_length, 1), "the prefix after `/` is missing: it is read as /0")
                .silent()
                .hint(format!("write `{host}/{}`, or the length of your network", if full == 32 { 24 } else { 64 })),
        );
        return Ok(Value::Prefix(address, Some(0)));
    }
    match number(length) {
        Some(length) if (0..=i64::from(full)).contains(&length) => {
            Ok(Value::Prefix(address, u8::try_from(length).ok()))
        }
        _ => {
            let family = if full == 32 { "IPv4" } else { "IPv6" };
            let message = format!("expected an {family} prefix length from 0 to {full}, found `{length}`");
            out.push(
                Diagnostic::error("prefix", word.part(host_length + 1, length.chars().count()), message)
                    .class(Class::InvalidNumber)
                    .hint(format!("/{full} is used")),
            );
            Ok(Value::Prefix(address, Some(full)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::diag::Span;

    fn read_text(kind: Kind, text: &str) -> Option<Value> {
        let word = Word { text: text.into(), span: Span::default(), quoted: false };
        read(kind, &word, "x", &mut Vec::new())
    }

    #[test]
    fn numbers_are_decimal_and_in_range() {
        for (text, value) in [("7", Some(7)), ("+7", Some(7)), (" 7", Some(7)), ("007", Some(7)), ("-7", None)] {
            assert_eq!(read_text(Kind::Int(0, 10), text), value.map(Value::Int), "{text:?}");
        }
        for text in ["", "7x", "0x7", "1.5", "11", "99999999999999999999", "+-5", "-"] {
            assert_eq!(read_text(Kind::Int(0, 10), text), None, "{text:?}");
        }
    }

    #[test]
    fn decimals_keep_six_digits_and_round_the_seventh_half_up() {
        let seconds = Kind::Dec(6, 0, 255_000_000);
        for (text, micros) in
            [("1", 1_000_000), (".5", 500_000), ("5.", 5_000_000), ("+5", 5_000_000), ("1.2345678", 1_234_568)]
        {
            assert_eq!(read_text(seconds, text), Some(Value::Micros(micros)), "{text}");
        }
        for text in ["1s", "1e1", "0x1", "-1", ".", "256", "99999999999999999999999"] {
            assert_eq!(read_text(seconds, text), None, "{text}");
        }
        assert_eq!(read_text(Kind::Dec(3, 0, 255_000_000), "0.9996"), Some(Value::Micros(1_000_000)));
    }

    #[test]
    fn a_wrong_address_is_explained() {
        let hint = |text: &str| address(text).unwrap_err();
        assert!(hint("192.0.2.1000").contains("1000"));
        assert!(hint("192.0.2.1:80").contains("`192.0.2.1 80`"));
        assert!(hint("[2001:db8::1]").contains("`2001:db8::1`"));
        assert!(hint("fe80::1%eth0/64").contains("`fe80::1/64 dev eth0`"));
        assert!(hint("192.0.2.01").contains("leading"));
        assert!(hint("www.example.com").contains("names"));
    }

    #[test]
    fn a_bad_prefix_falls_back_to_the_host_and_an_empty_one_to_zero() {
        let v4 = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(read_text(Kind::Prefix, "192.0.2.1/33"), Some(Value::Prefix(v4, Some(32))));
        assert_eq!(read_text(Kind::Prefix, "192.0.2.1/"), Some(Value::Prefix(v4, Some(0))));
        assert_eq!(read_text(Kind::Prefix, "192.0.2.1"), Some(Value::Prefix(v4, None)));
    }
}
