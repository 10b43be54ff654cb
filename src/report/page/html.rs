//! HTML as text in which nothing from outside is markup.

use std::fmt;

use crate::report::words;

/// A page under construction. Markup is written in this program: [`raw`](Self::raw) takes nothing that was put together at
/// run time. Everything else goes through [`text`](Self::text), which is fit for elements and for quoted attributes.
#[derive(Debug, Default)]
pub struct Html {
    out: String,
}

impl Html {
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.out.push_str(markup);
        self
    }

    /// Escaped: it cannot leave its element, nor an attribute in double quotes. Line breaks are references, so that a page
    /// without line breaks of its own stays one line; characters that change how others are shown are replaced.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for letter in text.chars() {
            match letter {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\'' => self.out.push_str("&#39;"),
                '\n' => self.out.push_str("&#10;"),
                '\t' => self.out.push(' '),
                letter if letter.is_control() || turns(letter) => self.out.push(char::REPLACEMENT_CHARACTER),
                letter => self.out.push(letter),
            }
        }
        self
    }

    pub fn show(&mut self, value: impl fmt::Display) -> &mut Self {
        self.text(&value.to_string())
    }

    /// At most `most` characters of a text, and whether there were more.
    pub fn clip(&mut self, text: &str, most: usize) -> &mut Self {
        match text.char_indices().nth(most) {
            None => self.text(text),
            Some((end, _)) => self.text(text.get(..end).unwrap_or_default()).text("…"),
        }
    }

    /// A number with commas between thousands.
    pub fn number(&mut self, number: u64) -> &mut Self {
        let digits = number.to_string();
        for (at, digit) in digits.char_indices() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                self.out.push(',');
            }
            self.out.push(digit);
        }
        self
    }

    /// A moment, and how long ago that was at `now`; a dash for one that never was.
    pub fn time(&mut self, at: f64, now: f64) -> &mut Self {
        if at <= 0.0 {
            return self.raw("<span class=quiet>never</span>");
        }
        let utc = words::utc(at);
        self.raw("<time datetime=\"").text(&words::rfc3339(at)).raw("\">");
        self.text(utc.strip_suffix(" UTC").unwrap_or(&utc)).raw("</time> <span class=\"quiet age\">(");
        self.text(&age(at, now)).raw(" ago)</span>")
    }

    /// A state as a coloured word with a sign: it is told by neither alone.
    pub fn badge(&mut self, tone: Tone, word: &str) -> &mut Self {
        let (open, sign) = match tone {
            Tone::Good => ("<span class=\"badge good\">", "●"),
            Tone::Calm => ("<span class=\"badge calm\">", "○"),
            Tone::Note => ("<span class=\"badge note\">", "◇"),
            Tone::Warn => ("<span class=\"badge warn\">", "▲"),
            Tone::Bad => ("<span class=\"badge bad\">", "✕"),
        };
        self.raw(open).raw("<span aria-hidden=true>").raw(sign).raw("</span> ").text(word).raw("</span>")
    }

    pub fn len(&self) -> usize {
        self.out.len()
    }

    pub fn finish(self) -> String {
        self.out
    }
}

/// How a state is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    /// As it should be, and not in use.
    Calm,
    Note,
    Warn,
    Bad,
}

pub fn age(at: f64, now: f64) -> String {
    words::age(std::time::Duration::try_from_secs_f64((now - at).max(0.0)).unwrap_or_default())
}

/// Marks, embeddings and overrides of direction, and separators that end lines unseen.
fn turns(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}
