//! A line as words. Which splitter it gets depends on its directive: [`Line::plain`] knows only `"`, [`Line::script`] also
//! `'`, and [`command`] turns one script word into arguments.

use smallvec::SmallVec;
use smol_str::SmolStr;

use super::{Origin, Text, UNDEFINED, encode, is_blank, plain_char};
use crate::conf::diag::Span;

/// A word and where it stands. Quotes are not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: SmolStr,
    pub span: Span,
    pub quoted: bool,
}

impl Word {
    /// Some characters of the word, when they can be told apart in the file.
    pub fn part(&self, offset: usize, length: usize) -> Span {
        let all = self.text.chars().count();
        if usize::try_from(self.span.length).is_ok_and(|length| length == all) {
            let clamp = |value: usize| u32::try_from(value).unwrap_or(0);
            Span { column: self.span.column + clamp(offset.min(all)), length: clamp(length.max(1)), ..self.span }
        } else {
            self.span
        }
    }

    /// Holds a parameter that is not defined: reported already, so nobody complains about the word again.
    pub fn is_undefined(&self) -> bool {
        !self.text.is_ascii() && self.text.contains(UNDEFINED)
    }

    /// The word as the bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        encode(&self.text)
    }
}

/// What is split into words.
#[derive(Debug, Clone, Copy)]
pub enum Line<'a> {
    /// As it is written at the place: ASCII without a comment, a parameter or a backslash.
    Written(&'a str, Span),
    Made(&'a Text),
}

impl Line<'_> {
    pub fn span(&self) -> Span {
        match self {
            Line::Written(_, span) => *span,
            Line::Made(text) => text.span(0, text.len()),
        }
    }

    /// The first blank-separated run, quotes and all.
    pub fn first_word(&self) -> Text {
        match self {
            Line::Written(line, span) => Text {
                chars: line.split([' ', '\t', '\r']).next().unwrap_or_default().chars().collect(),
                origin: Origin::From(Span { length: 1, ..*span }),
            },
            Line::Made(text) => text.first_word(),
        }
    }

    /// Plain words: a `"` starts a word of its own that runs to the next `"`; nothing escapes.
    pub fn plain(&self) -> Split {
        match self {
            Line::Written(line, span) => plain_words(&Written(line, *span)),
            Line::Made(text) => plain_words(*text),
        }
    }

    /// Script words: both quotes group, touching pieces join; backslash sequences and the other kind of quote inside
    /// stay for [`command`].
    pub fn script(&self) -> Split {
        match self {
            Line::Written(line, span) => script_words(&Written(line, *span)),
            Line::Made(text) => script_words(*text),
        }
    }
}

/// Characters that stand somewhere.
trait Characters {
    fn get(&self, at: usize) -> Option<char>;
    fn span(&self, from: usize, to: usize) -> Span;
    fn content(&self, from: usize, to: usize) -> SmolStr;
    /// Where something else than a blank stands next.
    fn after_blanks(&self, from: usize) -> usize;
    /// Where a word ends that begins there: before a blank or a `"`.
    fn after_word(&self, from: usize) -> usize;
    /// Where the next `"` stands.
    fn next_quote(&self, from: usize) -> Option<usize>;
}

/// What an octet is for the splitters: a table is several times faster than to compare.
const BLANK: u8 = 1;
const QUOTE: u8 = 2;
const OCTETS: [u8; 256] = {
    let mut octets = [0; 256];
    octets[b' ' as usize] = BLANK;
    octets[b'\t' as usize] = BLANK;
    octets[b'\r' as usize] = BLANK;
    octets[b'\n' as usize] = BLANK;
    octets[0xB] = BLANK;
    octets[0xC] = BLANK;
    octets[b'"' as usize] = QUOTE;
    octets
};

struct Written<'a>(&'a str, Span);

impl Characters for Written<'_> {
    fn get(&self, at: usize) -> Option<char> {
        self.0.as_bytes().get(at).copied().map(char::from)
    }

    fn span(&self, from: usize, to: usize) -> Span {
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let length = number(to.saturating_sub(from).max(1));
        Span { column: self.1.column.saturating_add(number(from)), length, ..self.1 }
    }

    fn content(&self, from: usize, to: usize) -> SmolStr {
        SmolStr::new(self.0.get(from..to).unwrap_or_default())
    }

    fn after_blanks(&self, from: usize) -> usize {
        let rest = self.0.as_bytes().get(from..).unwrap_or_default();
        from + rest.iter().position(|octet| OCTETS[usize::from(*octet)] != BLANK).unwrap_or(rest.len())
    }

    fn after_word(&self, from: usize) -> usize {
        let rest = self.0.as_bytes().get(from..).unwrap_or_default();
        from + rest.iter().position(|octet| OCTETS[usize::from(*octet)] != 0).unwrap_or(rest.len())
    }

    fn next_quote(&self, from: usize) -> Option<usize> {
        memchr::memchr(b'"', self.0.as_bytes().get(from..)?).map(|at| from + at)
    }
}

impl Characters for Text {
    fn get(&self, at: usize) -> Option<char> {
        self.get(at)
    }

    fn span(&self, from: usize, to: usize) -> Span {
        self.span(from, to)
    }

    fn content(&self, from: usize, to: usize) -> SmolStr {
        self.chars().get(from..to).unwrap_or_default().iter().map(|c| plain_char(*c)).collect()
    }

    fn after_blanks(&self, from: usize) -> usize {
        let rest = self.chars().get(from..).unwrap_or_default();
        from + rest.iter().position(|c| !is_blank(*c)).unwrap_or(rest.len())
    }

    fn after_word(&self, from: usize) -> usize {
        let rest = self.chars().get(from..).unwrap_or_default();
        from + rest.iter().position(|c| is_blank(*c) || *c == '"').unwrap_or(rest.len())
    }

    fn next_quote(&self, from: usize) -> Option<usize> {
        self.chars().get(from..)?.iter().position(|c| *c == '"').map(|at| from + at)
    }
}

pub type Words = SmallVec<[Word; 4]>;

/// Words, and the quote that is not closed.
#[derive(Debug, PartialEq, Eq)]
pub struct Split {
    pub words: Words,
    pub open: Option<(char, Span)>,
}

/// See [`Line::plain`].
pub fn plain(text: &Text) -> Split {
    plain_words(text)
}

fn plain_words(text: &impl Characters) -> Split {
    let mut words = Words::new();
    let mut at = text.after_blanks(0);
    while let Some(first) = text.get(at) {
        let end = if first == '"' {
            let Some(end) = text.next_quote(at + 1) else {
                return Split { words, open: Some(('"', text.span(at, at + 1))) };
            };
            words.push(word(text, at + 1, end, true));
            end + 1
        } else {
            let end = text.after_word(at);
            words.push(word(text, at, end, false));
            end
        };
        at = text.after_blanks(end);
    }
    Split { words, open: None }
}

fn script_words(text: &impl Characters) -> Split {
    let mut words = Words::new();
    let mut at = 0;
    while let Some(c) = text.get(at) {
        if is_blank(c) {
            at += 1;
            continue;
        }
        let from = at;
        let mut content = String::new();
        let mut quoted = false;
        let mut first = at;
        while let Some(c) = text.get(at).filter(|c| !is_blank(*c)) {
            match c {
                '\\' if text.get(at + 1).is_some() => {
                    content.push('\\');
                    content.push(plain_char(text.get(at + 1).unwrap_or_default()));
                    at += 2;
                }
                '"' | '\'' => {
                    quoted = true;
                    if from == at {
                        first = at + 1;
                    }
                    let open = at;
                    at += 1;
                    loop {
                        match text.get(at) {
                            None => return Split { words, open: Some((c, text.span(open, open + 1))) },
                            Some(end) if end == c => break,
                            Some('\\') if text.get(at + 1).is_some() => {
                                content.push('\\');
                                content.push(plain_char(text.get(at + 1).unwrap_or_default()));
                                at += 2;
                            }
                            Some(inner) => {
                                content.push(plain_char(inner));
                                at += 1;
                            }
                        }
                    }
                    at += 1;
                }
                c => {
                    content.push(plain_char(c));
                    at += 1;
                }
            }
        }
        let end = if quoted { at.saturating_sub(1).max(first) } else { at };
        words.push(Word { text: content.into(), span: text.span(first, end), quoted });
    }
    Split { words, open: None }
}

/// Arguments of a command line, as Keepalived 2.4 splits it; `Err` is the quote left open.
pub fn command(line: &str) -> Result<Vec<String>, char> {
    let chars: Vec<char> = line.chars().collect();
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut at = 0;
    while let Some(c) = chars.get(at).copied() {
        at += 1;
        match (quote, c) {
            (_, '\\') if at < chars.len() => {
                let (value, used) = escape(chars.get(at..).unwrap_or_default());
                current.get_or_insert_default().push(value);
                at += used;
            }
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                current.get_or_insert_default();
            }
            (None, c) if is_blank(c) => arguments.extend(current.take()),
            (_, c) => current.get_or_insert_default().push(c),
        }
    }
    arguments.extend(current);
    quote.map_or(Ok(arguments), Err)
}

/// A word of [`Line::script`] with its backslash sequences resolved; quotes that are left in it are characters.
pub fn unescape(word: &str) -> String {
    let chars: Vec<char> = word.chars().collect();
    let mut out = String::with_capacity(word.len());
    let mut at = 0;
    while let Some(c) = chars.get(at).copied() {
        at += 1;
        if c == '\\' && at < chars.len() {
            let (value, used) = escape(chars.get(at..).unwrap_or_default());
            out.push(value);
            at += used;
        } else {
            out.push(c);
        }
    }
    out
}

/// The character after a backslash, and how many characters it took.
fn escape(rest: &[char]) -> (char, usize) {
    let number = |from: usize, radix: u32, most: usize| {
        let digits: Vec<u32> = rest.iter().skip(from).take(most).map_while(|digit| digit.to_digit(radix)).collect();
        let value = digits.iter().fold(0, |value, digit| value * radix + digit);
        (char::from_u32(value & 0xFF).unwrap_or_default(), digits.len())
    };
    match rest.first() {
        Some('a') => ('\u{7}', 1),
        Some('b') => ('\u{8}', 1),
        Some('E') => ('\u{1B}', 1),
        Some('f') => ('\u{C}', 1),
        Some('n') => ('\n', 1),
        Some('r') => ('\r', 1),
        Some('t') => ('\t', 1),
        Some('v') => ('\u{B}', 1),
        Some('0'..='7') => number(0, 8, 3),
        Some('x') => match number(1, 16, 2) {
            (_, 0) => ('x', 1),
            (value, used) => (value, used + 1),
        },
        Some('c') => match rest.get(1) {
            Some(c) => (char::from_u32(u32::from(*c) & 0x1F).unwrap_or_default(), 2),
            None => ('c', 1),
        },
        Some(c) => (*c, 1),
        None => ('\\', 0),
    }
}

fn word(text: &impl Characters, from: usize, to: usize, quoted: bool) -> Word {
    Word { text: text.content(from, to), span: text.span(from, to), quoted }
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;

    fn text(line: &str) -> Text {
        Text::of_line(0, 1, line)
    }

    fn script(text: Text) -> Split {
        Line::Made(&text).script()
    }

    fn texts(split: Split) -> Vec<String> {
        split.words.into_iter().map(|word| word.text.to_string()).collect()
    }

    #[test]
    fn a_double_quote_in_a_run_starts_a_word_of_its_own() {
        assert_eq!(texts(plain(&text("FOO\"BAR BAZ\"QUX"))), ["FOO", "BAR BAZ", "QUX"]);
        assert_eq!(texts(plain(&text("a '\\ \"\""))), ["a", "'\\", ""]);
        assert_eq!(plain(&text("x \"y")).open, Some(('"', Span { file: 0, line: 1, column: 3, length: 1, made: 0 })));
    }

    #[test]
    fn pieces_of_a_script_word_join() {
        assert_eq!(texts(script(text("script \"/bin/x 'a b'\" root"))), ["script", "/bin/x 'a b'", "root"]);
        assert_eq!(texts(script(text("a'b c'd"))), ["ab cd"]);
        assert_eq!(script(text("a 'b")).open.map(|open| open.0), Some('\''));
    }

    #[test]
    fn a_command_line_becomes_arguments_with_its_escapes_resolved() {
        assert_eq!(
            command(r#"/usr/bin/check 'a b' c\x41 \"d"#),
            Ok(vec!["/usr/bin/check".into(), "a b".into(), "cA".into(), "\"d".into()])
        );
        assert_eq!(command(r"\101\n \cA ''"), Ok(vec!["A\n".into(), "\u{1}".into(), String::new()]));
        assert_eq!(command("a 'b"), Err('\''));
    }

    #[test]
    fn bytes_survive() {
        let split = plain(&text(&decode(b"auth_pass \xE9\xFFa".to_vec())));
        assert_eq!(split.words[1].bytes(), b"\xE9\xFFa");
        assert_eq!(split.words[1].span.length, 3);
    }

    #[test]
    fn columns_count_characters() {
        let split = plain(&text("naïve 名前 x"));
        assert_eq!(split.words[2].span, Span { file: 0, line: 1, column: 10, length: 1, made: 0 });
    }

    #[test]
    fn a_line_is_split_alike_whether_it_was_worked_on_or_not() {
        for line in [
            "a b",
            "  a\t\"b c\"d ",
            "script '/bin/x \"y\" z' root",
            "a \"b",
            "a 'b",
            "\"a b\" c",
            "a\"b\"c\"\"",
            "\"\"",
            "",
        ] {
            let text = text(line);
            let span = Span { file: 0, line: 1, column: 1, length: u32::try_from(line.len()).unwrap(), made: 0 };
            let (written, made) = (Line::Written(line, span), Line::Made(&text));
            assert_eq!(written.plain(), made.plain(), "{line}");
            assert_eq!(written.script(), made.script(), "{line}");
            assert_eq!(written.first_word(), made.first_word(), "{line}");
        }
    }
}
