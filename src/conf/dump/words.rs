//! Values as words of `keepalived.conf`: quotes, escapes, numbers and their units.

use std::net::IpAddr;

use crate::conf::keywords::docs::millionths;
use crate::conf::lex;
use crate::conf::model::{Prefix, Realms};

/// A word of a line, in double quotes where it would not survive without them.
pub fn plain(text: &str) -> String {
    let special = |c: char| lex::is_blank(c) || matches!(c, '"' | '#' | '!' | '{' | '}' | '\\' | '$' | '~');
    let plain = !text.is_empty() && !text.contains(special) && !text.starts_with(['@', '=']);
    if plain { text.to_owned() } else { format!("\"{text}\"") }
}

/// A command line as one word: each of its words can be told from the next, and no character means anything else.
pub fn command(words: &[String]) -> String {
    let mut out = String::from("\"");
    for (number, word) in words.iter().enumerate() {
        if number > 0 {
            out.push(' ');
        }
        let quoted = word.is_empty() || word.contains(lex::is_blank);
        if quoted {
            out.push('\'');
        }
        escape(word, &mut out);
        if quoted {
            out.push('\'');
        }
    }
    out.push('"');
    out
}

/// A pattern, whose backslashes are resolved when it is read.
pub fn pattern(text: &str) -> String {
    let mut out = String::from("\"");
    escape(text, &mut out);
    out.push('"');
    out
}

/// What a backslash sequence is for: quotes, line ends, and what the expansion of parameters would take for itself.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' | '"' | '\'' => out.extend(['\\', c]),
            '$' => out.push_str("\\x24"),
            '~' => out.push_str("\\x7e"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

/// Seconds with as many decimals as they need.
pub fn seconds(micros: u64) -> String {
    millionths(micros)
}

pub fn nanoseconds(nanoseconds: u64) -> String {
    millionths(nanoseconds / 1000)
}

pub fn duration(duration: std::time::Duration) -> String {
    millionths(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

pub fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

pub fn prefix(prefix: &Prefix) -> String {
    format!("{}/{}", prefix.address, prefix.length)
}

pub fn realms(realms: &Realms) -> String {
    match realms.source {
        0 => realms.destination.to_string(),
        source => format!("{source}/{}", realms.destination),
    }
}

pub fn hex(octets: impl IntoIterator<Item = u8>) -> String {
    octets.into_iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A single address, or the first and the last of a range.
pub fn range(first: IpAddr, last: IpAddr) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::lex::Text;

    #[test]
    fn a_command_is_the_same_words_when_it_is_read_again() {
        for words in [
            vec!["/bin/sh", "-c", "echo \"a b\" 'c' $HOME ~SEQ(x,1,2) # ! {", ""],
            vec!["/usr/bin/x", "back\\slash", "tab\tline\n", "na\u{ef}ve"],
        ] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            let line = command(&words);
            let text = lex::uncomment(&Text::of_line(0, 1, &line)).text;
            let split = lex::Line::Made(&text).script();
            assert_eq!(split.words.len(), 1, "{line}");
            assert_eq!(lex::command(&split.words[0].text), Ok(words), "{line}");
        }
    }

    #[test]
    fn a_pattern_is_the_same_when_it_is_read_again() {
        for wanted in [r"^a\d+\.b$", r#"x"y'z \\ ~SEQ"#, "tab\there"] {
            let split = lex::Line::Made(&Text::of_line(0, 1, &pattern(wanted))).script();
            assert_eq!(lex::unescape(&split.words[0].text), wanted);
        }
    }

    #[test]
    fn words_that_need_no_quotes_have_none() {
        assert_eq!(plain("eth0.12"), "eth0.12");
        assert_eq!(plain("a b"), "\"a b\"");
        assert_eq!(plain("s3c#ret!"), "\"s3c#ret!\"");
        assert_eq!(plain(""), "\"\"");
    }
}
