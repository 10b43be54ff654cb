//! Characters that know where they come from, and comments. How a line is split is in [`words`].
//!
//! A [`Text`] is (a piece of) one line. Parameters are replaced as text, and a character of a replacement knows both where
//! it is written and the `${NAME}` that brought it here ([`Span::made`]).

mod words;

pub use words::{Line, Split, Word, command, plain, unescape};

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
}
