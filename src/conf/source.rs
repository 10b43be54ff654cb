//! The text of one file, and where its lines are.

use std::ops::Range;

use super::lex;

/// A file that was read: its text in one piece, without a byte order mark.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// As the operator wrote it, or relative to the file that includes it.
    pub name: String,
    text: String,
    /// Where each line ends, before its line feed. A file that is read has less than 4 GiB.
    ends: Vec<u32>,
}

impl Source {
    /// What there is nothing to show of.
    pub fn unread(name: impl Into<String>) -> Self {
        Source { name: name.into(), ..Source::default() }
    }

    pub fn of_text(name: impl Into<String>, text: String) -> Self {
        let position = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let mut ends: Vec<u32> = memchr::memchr_iter(b'\n', text.as_bytes()).map(position).collect();
        if !text.is_empty() && !text.ends_with('\n') {
            ends.push(position(text.len()));
        }
        Source { name: name.into(), text, ends }
    }

    /// Octets that are no text become private characters.
    pub fn of_bytes(name: impl Into<String>, mut bytes: Vec<u8>) -> Self {
        if bytes.starts_with(b"\xEF\xBB\xBF") {
            bytes.drain(..3);
        }
        Self::of_text(name, lex::decode(bytes))
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A line without its end, counting from 0.
    pub fn line(&self, index: usize) -> Option<&str> {
        let number = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        let end = number(*self.ends.get(index)?);
        let start = match index.checked_sub(1) {
            Some(before) => number(*self.ends.get(before)?) + 1,
            None => 0,
        };
        let line = self.text.get(start..end)?;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    pub fn lines(&self, which: Range<usize>) -> impl DoubleEndedIterator<Item = &str> {
        which.filter_map(|index| self.line(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<String> {
        let source = Source::of_bytes("k.conf", bytes.to_vec());
        source.lines(0..source.len()).map(str::to_owned).collect()
    }

    #[test]
    fn lines_have_no_ends() {
        assert_eq!(lines(b"\xEF\xBB\xBFa\r\nb\n"), ["a", "b"]);
        assert_eq!(lines(b"a\n\nb"), ["a", "", "b"]);
        assert_eq!(lines(b"\n"), [""]);
        assert!(lines(b"").is_empty() && Source::unread("k.conf").is_empty());
    }

    #[test]
    fn there_is_nothing_behind_the_last_line() {
        let source = Source::of_text("k.conf", "a\nb".to_owned());
        assert_eq!((source.len(), source.line(1), source.line(2)), (2, Some("b"), None));
    }
}
