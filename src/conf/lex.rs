//! Characters that know where they come from, comments, and the three ways of splitting a line into words.
//!
//! A [`Text`] is (a piece of) one line. Parameters are replaced as text, and a character of a replacement knows both where
//! it is written and the `${NAME}` that brought it here ([`Span::made`]). Which splitter a line gets depends on its
//! directive: [`Line::plain`] knows only `"`, [`Line::script`] also `'`, and [`command`] turns one script word into
//! arguments.

use smallvec::SmallVec;
use smol_str::SmolStr;

use super::diag::{Sources, Span};

/// Marks of characters that lost their meaning: `\#` and `\!`, and a parameter that is not defined.
const LITERAL_HASH: char = '\u{10FE23}';
const LITERAL_BANG: char = '\u{10FE21}';
pub const UNDEFINED: char = '\u{10FFFD}';
/// Bytes that are not UTF-8 travel as one private character each.
const RAW_BYTE: u32 = 0x10_FF00;

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    chars: Vec<char>,
    origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    /// Consecutive characters of a file, from here on.
    From(Span),
    /// All of it stands for this.
    Use(Span),
    Each(Vec<Span>),
}

impl Text {
    pub fn of_line(file: u32, line: u32, text: &str) -> Self {
        Text { chars: text.chars().collect(), origin: Origin::From(Span { file, line, column: 1, length: 1, made: 0 }) }
    }

    /// What a parameter used at `span` expands to.
    pub fn of_use(span: Span, text: &str) -> Self {
        Text { chars: text.chars().collect(), origin: Origin::Use(span) }
    }

    pub fn chars(&self) -> &[char] {
        &self.chars
    }

    pub fn is_empty(&self) -> bool {
        self.chars.is_empty()
    }

    pub fn len(&self) -> usize {
        self.chars.len()
    }

    pub fn get(&self, at: usize) -> Option<char> {
        self.chars.get(at).copied()
    }

    /// Where a character comes from; past the end, where the next one would be.
    pub fn at(&self, index: usize) -> Span {
        match &self.origin {
            Origin::From(span) => {
                let offset = u32::try_from(index).unwrap_or(u32::MAX);
                Span { column: span.column.saturating_add(offset), length: 1, ..*span }
            }
            Origin::Use(span) => *span,
            Origin::Each(spans) => spans.get(index).or(spans.last()).copied().unwrap_or_default(),
        }
    }

    pub fn span(&self, from: usize, to: usize) -> Span {
        self.at(from).to(self.at(to.saturating_sub(1).max(from)))
    }

    /// The same characters, brought here by an expansion.
    pub fn made(&self, made: u32) -> Text {
        let origin = match &self.origin {
            Origin::From(span) => Origin::From(Span { made, ..*span }),
            Origin::Use(span) => Origin::Use(Span { made, ..*span }),
            Origin::Each(spans) => Origin::Each(spans.iter().map(|span| Span { made, ..*span }).collect()),
        };
        Text { chars: self.chars.clone(), origin }
    }

    /// Makes every word whose characters come from several places stand where they come together: a word that is
    /// written in one piece keeps its place, another gets that of the parameters it is made of.
    pub fn settle(&mut self, sources: &Sources) {
        let Origin::Each(spans) = &mut self.origin else { return };
        let mut from = 0;
        while from < self.chars.len() {
            let rest = self.chars.get(from..).unwrap_or_default();
            let blank = rest.iter().take_while(|c| is_blank(**c)).count();
            from += blank;
            let mut quote = None;
            let word = rest.get(blank..).unwrap_or_default().iter().take_while(|c| {
                match (quote, **c) {
                    (None, '"') => quote = Some('"'),
                    (Some(open), c) if c == open => quote = None,
                    _ => {}
                }
                quote.is_some() || !is_blank(**c)
            });
            let to = from + word.count();
            let Some(word) = spans.get_mut(from..to) else { return };
            // An expansion is younger than the one that brought its use: they meet no later than at the oldest of them.
            while let Some(oldest) = word.iter().map(|span| span.made).min()
                && word.iter().any(|span| span.made > oldest)
            {
                for span in word.iter_mut().filter(|span| span.made > oldest) {
                    *span = sources.expansion(*span).map_or(Span { made: oldest, ..*span }, |expansion| expansion.at);
                }
            }
            from = to;
        }
    }

    pub fn slice(&self, from: usize, to: usize) -> Text {
        let to = to.min(self.chars.len());
        let from = from.min(to);
        let chars = self.chars.get(from..to).unwrap_or_default().to_vec();
        let origin = match &self.origin {
            Origin::From(_) => Origin::From(self.at(from)),
            Origin::Use(span) => Origin::Use(*span),
            Origin::Each(spans) => Origin::Each(spans.get(from..to).unwrap_or_default().to_vec()),
        };
        Text { chars, origin }
    }

    pub fn push(&mut self, c: char, span: Span) {
        let each = match &mut self.origin {
            Origin::Each(spans) => spans,
            _ => {
                let spans = (0..self.chars.len()).map(|index| self.at(index)).collect();
                self.origin = Origin::Each(spans);
                match &mut self.origin {
                    Origin::Each(spans) => spans,
                    _ => return,
                }
            }
        };
        each.push(span);
        self.chars.push(c);
    }

    pub fn append(&mut self, other: &Text) {
        for (index, c) in other.chars.iter().enumerate() {
            self.push(*c, other.at(index));
        }
    }

    pub fn trim(&self) -> Text {
        let blank = |c: &&char| is_blank(**c);
        let from = self.chars.iter().take_while(blank).count();
        let to = self.chars.len() - self.chars.iter().rev().take_while(blank).count();
        if from == 0 && to == self.chars.len() { self.clone() } else { self.slice(from, to.max(from)) }
    }

    /// Drops the blanks at the end, without a copy.
    pub fn trim_end(&mut self) {
        let blanks = self.chars.iter().rev().take_while(|c| is_blank(**c)).count();
        self.truncate(self.chars.len() - blanks);
    }

    /// Keeps the first characters only.
    pub fn truncate(&mut self, length: usize) {
        self.chars.truncate(length);
        if let Origin::Each(spans) = &mut self.origin {
            spans.truncate(length);
        }
    }

    pub fn starts_with(&self, prefix: &str) -> bool {
        let mut chars = self.chars.iter();
        prefix.chars().all(|c| chars.next() == Some(&c))
    }

    /// The first blank-separated run.
    pub fn first_word(&self) -> Text {
        let end = self.chars.iter().position(|c| is_blank(*c)).unwrap_or(self.chars.len());
        self.slice(0, end)
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.chars.iter().try_for_each(|c| write!(f, "{}", plain_char(*c)))
    }
}

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

/// Text as the bytes of the file that it came from; the inverse of [`decode`].
pub fn encode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c).checked_sub(RAW_BYTE).and_then(|byte| u8::try_from(byte).ok()) {
            Some(byte) if c != UNDEFINED => bytes.push(byte),
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Bytes as text. Those that are not UTF-8 become private characters.
pub fn decode(bytes: Vec<u8>) -> String {
    // Nearly every file; only characters from U+C0000 on have such a first octet.
    let highest = |octets: &[u8]| octets.iter().fold(0, |highest, octet| highest.max(*octet));
    let bytes = if bytes.chunks(4096).any(|octets| highest(octets) >= 0xF3) {
        bytes
    } else {
        match String::from_utf8(bytes) {
            Ok(text) => return text,
            Err(error) => error.into_bytes(),
        }
    };
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        // Private characters of ours that a file contains itself would be taken for marks.
        out.extend(chunk.valid().chars().map(|c| if c >= '\u{10FE00}' { '\u{FFFD}' } else { c }));
        out.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(RAW_BYTE + u32::from(*byte))));
    }
    out
}

pub fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{B}' | '\u{C}')
}

/// A line without its comment.
pub struct Uncommented {
    pub text: Text,
    /// Where the comment starts, when it cuts a word.
    pub cuts: Option<Span>,
    /// A double quote is left open.
    pub quoted: bool,
}

/// Drops the comment: from `#` or `!` outside double quotes on. A backslash protects the next character, and is
/// dropped before `#` and `!`, which then stay literal for good.
pub fn uncomment(text: &Text) -> Uncommented {
    uncomment_more(text, false)
}

/// The same for a line that goes on with one which may have left a double quote open.
pub fn uncomment_more(text: &Text, mut quoted: bool) -> Uncommented {
    if !text.chars().iter().any(|c| matches!(c, '#' | '!' | '"')) {
        return Uncommented { text: text.clone(), cuts: None, quoted };
    }
    let mut at = 0;
    let mut rewritten: Option<Text> = None;
    while let Some(c) = text.get(at) {
        let next = text.get(at + 1);
        match c {
            '\\' if !quoted && matches!(next, Some('#' | '!')) => {
                let out = rewritten.get_or_insert_with(|| text.slice(0, at));
                out.push(if next == Some('#') { LITERAL_HASH } else { LITERAL_BANG }, text.at(at + 1));
                at += 2;
                continue;
            }
            '\\' if next.is_some() => {
                if let Some(out) = &mut rewritten {
                    out.push(c, text.at(at));
                    out.push(next.unwrap_or_default(), text.at(at + 1));
                }
                at += 2;
                continue;
            }
            '"' => quoted = !quoted,
            '#' | '!' if !quoted => {
                let touches = at.checked_sub(1).and_then(|before| text.get(before));
                let cuts = touches.is_some_and(|c| !is_blank(c) && !matches!(c, '{' | '}' | '#' | '!'));
                let kept = rewritten.unwrap_or_else(|| text.slice(0, at));
                return Uncommented { text: kept, cuts: cuts.then(|| text.at(at)), quoted };
            }
            _ => {}
        }
        if let Some(out) = &mut rewritten {
            out.push(c, text.at(at));
        }
        at += 1;
    }
    Uncommented { text: rewritten.unwrap_or_else(|| text.clone()), cuts: None, quoted }
}

/// The first brace outside double quotes.
pub fn find_brace(text: &Text) -> Option<usize> {
    let mut quoted = false;
    text.chars().iter().position(|c| {
        if *c == '"' {
            quoted = !quoted;
        }
        !quoted && matches!(c, '{' | '}')
    })
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

fn plain_char(c: char) -> char {
    match c {
        LITERAL_HASH => '#',
        LITERAL_BANG => '!',
        c => c,
    }
}

#[cfg(test)]
mod tests {
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
    fn a_comment_starts_anywhere_but_in_double_quotes_and_after_a_backslash() {
        let kept = |line: &str| uncomment(&text(line)).text.to_string();
        assert_eq!(kept("auth_pass \"a#b\""), "auth_pass \"a#b\"");
        assert_eq!(kept("auth_pass a#b"), "auth_pass a");
        assert_eq!(kept("auth_pass a\\#b\\!c # d"), "auth_pass a#b!c ");
        assert_eq!(kept("script '/bin/x #y'"), "script '/bin/x ");
        assert_eq!(kept("x \"a\\\"#b\" !c"), "x \"a\\\"#b\" ");
        let once = uncomment(&text("router_id a\\#b")).text;
        assert_eq!(uncomment(&once).text.to_string(), "router_id a#b", "literal for good");
    }

    #[test]
    fn a_comment_that_cuts_a_word_is_told() {
        assert_eq!(uncomment(&text("auth_pass s3c!ret")).cuts.map(|span| span.column), Some(14));
        assert_eq!(uncomment(&text("priority 5 # five")).cuts, None);
        assert_eq!(uncomment(&text("}# end")).cuts, None);
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
}
