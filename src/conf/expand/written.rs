//! Lines that say what they say: no parameter, condition, repetition, include or backslash, and nothing beyond ASCII. That is
//! nearly every line of a large configuration, and none of them is copied.

use super::Item;
use crate::conf::diag::Span;

/// What an octet means for a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Octet {
    Plain,
    Blank,
    Brace,
    Quote,
    /// `#` and `!`.
    Comment,
    /// `@` and `~`, which mean something at the start only.
    Start,
    /// The line has to be looked at more closely.
    Other,
}

const OCTETS: [Octet; 256] = octets();

const fn octets() -> [Octet; 256] {
    let mut octets = [Octet::Other; 256];
    let mut at = b' ' as usize;
    while at <= b'~' as usize {
        octets[at] = Octet::Plain;
        at += 1;
    }
    octets[b' ' as usize] = Octet::Blank;
    octets[b'\t' as usize] = Octet::Blank;
    octets[b'\r' as usize] = Octet::Blank;
    octets[b'{' as usize] = Octet::Brace;
    octets[b'}' as usize] = Octet::Brace;
    octets[b'"' as usize] = Octet::Quote;
    octets[b'#' as usize] = Octet::Comment;
    octets[b'!' as usize] = Octet::Comment;
    octets[b'@' as usize] = Octet::Start;
    octets[b'~' as usize] = Octet::Start;
    octets[b'$' as usize] = Octet::Other;
    octets[b'\\' as usize] = Octet::Other;
    octets
}

/// Adds a line's words and braces to the items; false, with nothing added, when it is not of this kind.
pub(super) fn pieces(file: u32, number: u32, line: &str, items: &mut Vec<Item>) -> bool {
    let known = items.len();
    let is_of_this_kind = collect(Span { file, line: number, column: 1, length: 1, made: 0 }, line, items).is_some();
    if !is_of_this_kind {
        items.truncate(known);
    }
    is_of_this_kind
}

fn collect(begin: Span, line: &str, items: &mut Vec<Item>) -> Option<()> {
    let octets = line.as_bytes();
    let Some(indented) = octets.iter().position(|octet| !is_blank(*octet)) else { return Some(()) };
    let mut quoted = false;
    // Where the words that are being read begin, or blanks before them.
    let mut from = indented;
    let mut at = indented;
    loop {
        let rest = octets.get(at..).unwrap_or_default();
        let Some(ordinary) = rest.iter().position(|octet| OCTETS[usize::from(*octet)] > Octet::Blank) else { break };
        let Some(octet) = rest.get(ordinary) else { break };
        at += ordinary + 1;
        match OCTETS[usize::from(*octet)] {
            Octet::Plain | Octet::Blank => {}
            Octet::Quote => quoted = !quoted,
            Octet::Brace | Octet::Comment | Octet::Start if quoted => {}
            Octet::Brace => {
                add(begin, line, from, at - 1, items)?;
                let span = span(begin, at - 1, at);
                items.push(if *octet == b'{' { Item::Open(span) } else { Item::Close(span) });
                from = at;
            }
            Octet::Comment => {
                let words = octets.get(from..at - 1)?;
                // One that cuts a word, and what is no text, is told.
                let cuts = words.last().is_some_and(|octet| !is_blank(*octet));
                if cuts || memchr::memchr(b'\0', octets.get(at..)?).is_some() {
                    return None;
                }
                return add(begin, line, from, at - 1, items);
            }
            // At the start of words.
            Octet::Start if octets.get(from..at - 1)?.iter().all(|octet| is_blank(*octet)) => return None,
            Octet::Start => {}
            Octet::Other => return None,
        }
    }
    if quoted {
        return None;
    }
    add(begin, line, from, octets.len(), items)
}

fn is_blank(octet: u8) -> bool {
    OCTETS[usize::from(octet)] == Octet::Blank
}

/// Adds words without the blanks around them, unless they change how the rest is read.
fn add(begin: Span, line: &str, from: usize, to: usize, items: &mut Vec<Item>) -> Option<()> {
    let octets = line.as_bytes().get(from..to)?;
    let Some(first) = octets.iter().position(|octet| !is_blank(*octet)) else { return Some(()) };
    let last = octets.iter().rposition(|octet| !is_blank(*octet))?;
    let (from, to) = (from + first, from + last + 1);
    let words = octets.get(first..=last)?;
    if words.starts_with(b"include") || words.starts_with(b"random_seed") {
        return None;
    }
    items.push(Item::Words(span(begin, from, to)));
    Some(())
}

fn span(begin: Span, from: usize, to: usize) -> Span {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Span { column: number(from + 1), length: number(to - from), ..begin }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words and braces of a line, or `None` when it is not of this kind.
    fn read(line: &str) -> Option<Vec<String>> {
        let mut items = vec![Item::Open(Span::default())];
        if !pieces(0, 1, line, &mut items) {
            assert_eq!(items.len(), 1, "{line}");
            return None;
        }
        let at = |column: u32| usize::try_from(column - 1).unwrap();
        let shown = |item: &Item| match item {
            Item::Words(span) => line[at(span.column)..at(span.column + span.length)].to_owned(),
            Item::Open(span) => format!("{{{}", span.column),
            Item::Close(span) => format!("}}{}", span.column),
            Item::Line(text) => panic!("{text}"),
        };
        Some(items[1..].iter().map(shown).collect())
    }

    #[test]
    fn words_braces_quotes_and_comments_are_taken_as_they_stand() {
        let is = |line: &str, pieces: &[&str]| assert_eq!(read(line).as_deref(), Some(&*own(pieces)), "{line}");
        is("", &[]);
        is("  # $x \\", &[]);
        is("\tpriority 100 # five\r", &["priority 100"]);
        is("a { b c } d", &["a", "{3", "b c", "}9", "d"]);
        is("track { \"a } # b\" c }", &["track", "{7", "\"a } # b\" c", "}21"]);
        is("}# end", &["}1"]);
        is("mail a@example.org ~x", &["mail a@example.org ~x"]);
        is("script '/bin/x' y", &["script '/bin/x' y"]);
    }

    fn own(pieces: &[&str]) -> Vec<String> {
        pieces.iter().map(|piece| (*piece).to_owned()).collect()
    }

    #[test]
    fn whatever_changes_how_it_is_read_is_left_to_others() {
        for line in [
            "a $b",
            "@id a",
            "a { ~SEQ(x, 1, 2) b }",
            "a\\",
            "a\\#b",
            "na\u{EF}ve",
            "a\0",
            "# \0",
            "a \"b",
            "pass s3c!ret",
            "x { include a.conf }",
            "random_seed 5",
            "include_check",
            "\u{7F}",
            "a\u{B}b",
        ] {
            assert_eq!(read(line), None, "{line:?}");
        }
    }
}
