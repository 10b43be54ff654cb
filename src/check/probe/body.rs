//! What a response's body is judged by, while it streams past: its MD5 and a regular expression.

use std::fmt::Write;
use std::sync::Arc;

use md5::{Digest, Md5};

use crate::check::io::{Cause, Failure};
use crate::conf::model::{BodyRegex, Url};
use crate::sys::pcre2::{self, Found, Matcher, Regex};

/// Octets in which one match is searched. A body may be of any length; a match longer than half of this may be missed.
pub const WINDOW: usize = 256 * 1024;

/// Compiles the pattern with its options. The error is for people.
pub fn compile(wanted: &BodyRegex) -> Result<Regex, String> {
    // A name that PCRE2 does not know was told at load.
    let mut options = wanted.options.iter().filter_map(|name| pcre2::option(name)).fold(0, |all, one| all | one);
    if wanted.max_offset.is_some() {
        options |= pcre2::option("use_offset_limit").unwrap_or_default();
    }
    Regex::compile(&wanted.pattern, options)
        .map_err(|error| format!("regular expression `{}`: {error}", wanted.pattern))
}

/// Takes a body piece by piece.
#[derive(Debug)]
pub struct Judge {
    digest: Option<(Md5, [u8; 16])>,
    /// Of a body that has ended.
    found: Option<[u8; 16]>,
    search: Option<Search>,
    no_match: bool,
}

impl Judge {
    /// `regex` is the URL's, compiled.
    pub fn new(url: &Url, regex: Option<Arc<Regex>>) -> Result<Judge, Failure> {
        let search = match (&url.regex, regex) {
            (Some(wanted), Some(regex)) => {
                let matcher = Matcher::new(regex)
                    .ok_or_else(|| Failure::new(Cause::Local, "no memory for the regular expression"))?;
                Some(Search::new(matcher, wanted.min_offset, wanted.max_offset))
            }
            _ => None,
        };
        let no_match = url.regex.as_ref().is_some_and(|regex| regex.no_match);
        Ok(Judge { digest: url.digest.map(|wanted| (Md5::new(), wanted)), found: None, search, no_match })
    }

    /// Whether what follows in the body can change the verdict.
    pub fn wants_more(&self) -> bool {
        self.digest.is_some() || self.search.as_ref().is_some_and(|search| search.verdict.is_none())
    }

    /// Fails as soon as the body cannot be good any more.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Failure> {
        if let Some((digest, _)) = &mut self.digest {
            digest.update(piece);
        }
        if let Some(search) = &mut self.search {
            search.feed(piece).map_err(regex_failed)?;
            self.judge_search()?;
        }
        Ok(())
    }

    /// The body is complete, or [`Judge::wants_more`] no more.
    pub fn finish(&mut self) -> Result<(), Failure> {
        if let Some(search) = &mut self.search {
            search.finish().map_err(regex_failed)?;
        }
        self.judge_search()?;
        if let Some((digest, wanted)) = self.digest.take() {
            let found: [u8; 16] = digest.finalize().into();
            self.found = Some(found);
            if found != wanted {
                return Err(Failure::new(Cause::Digest, format!("MD5 of the body is {}", hexadecimal(&found))));
            }
        }
        Ok(())
    }

    /// The MD5 of the body, if one was wanted and the body has ended.
    pub fn found(&self) -> Option<[u8; 16]> {
        self.found
    }

    fn judge_search(&self) -> Result<(), Failure> {
        match (self.search.as_ref().and_then(|search| search.verdict), self.no_match) {
            (Some(true), true) => Err(Failure::new(Cause::Regex, "the body matches the regular expression")),
            (Some(false), false) => Err(Failure::new(Cause::Regex, "the body does not match the regular expression")),
            _ => Ok(()),
        }
    }
}

/// A digest as `digest` has it in a file.
pub fn hexadecimal(digest: &[u8; 16]) -> String {
    digest.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn regex_failed(error: String) -> Failure {
    Failure::new(Cause::Regex, format!("regular expression: {error}"))
}

/// A search through a stream. Holds what may become a match and what that may look back at.
#[derive(Debug)]
struct Search {
    matcher: Matcher,
    /// Where in the body a match may start; for UTF, in its text.
    min: u64,
    max: Option<u64>,
    window: Vec<u8>,
    /// UTF only: the beginning of a character whose end has not come yet.
    begun: Vec<u8>,
    /// Place of the window's first octet in the body.
    base: u64,
    /// Place in the window from which on nothing is decided yet.
    from: usize,
    /// Octets that have come since the last search.
    fresh: usize,
    verdict: Option<bool>,
}

impl Search {
    fn new(matcher: Matcher, min: u64, max: Option<u64>) -> Search {
        Search { matcher, min, max, window: Vec::new(), begun: Vec::new(), base: 0, from: 0, fresh: 0, verdict: None }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        // Text may grow to three times its length: see `text`.
        for piece in bytes.chunks(WINDOW / 16) {
            if self.verdict.is_some() {
                break;
            }
            let before = self.window.len();
            if self.matcher.regex().utf() {
                self.text(piece);
            } else {
                self.window.extend_from_slice(piece);
            }
            self.fresh += self.window.len() - before;
            // Searching again for every octet of a long partial match would cost the square of its length.
            if self.fresh * 4 >= self.window.len() - self.from.min(self.window.len()) {
                self.search(true)?;
            }
        }
        Ok(())
    }

    /// Adds text to the window: what is no UTF-8 becomes U+FFFD, and the beginning of a character waits for its end.
    fn text(&mut self, piece: &[u8]) {
        self.begun.extend_from_slice(piece);
        let mut rest = &self.begun[..];
        while let Err(error) = std::str::from_utf8(rest) {
            let (valid, after) = rest.split_at(error.valid_up_to());
            self.window.extend_from_slice(valid);
            let Some(length) = error.error_len() else {
                self.begun = after.to_vec();
                return;
            };
            self.window.extend("\u{fffd}".bytes());
            rest = &after[length..];
        }
        self.window.extend_from_slice(rest);
        self.begun.clear();
    }

    fn finish(&mut self) -> Result<(), String> {
        if self.verdict.is_none() {
            if !std::mem::take(&mut self.begun).is_empty() {
                self.window.extend("\u{fffd}".bytes());
            }
            self.search(false)?;
            self.verdict.get_or_insert(false);
        }
        Ok(())
    }

    fn search(&mut self, more: bool) -> Result<(), String> {
        self.fresh = 0;
        let end = self.window.len();
        let min = usize::try_from(self.min.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let mut start = self.from.max(min);
        if start > end {
            self.forget_before(end);
            return Ok(());
        }
        if self.matcher.regex().utf() {
            // No match starts within a character.
            start += self.window[start..end].iter().take_while(|octet| is_continuation(**octet)).count();
        }
        let last = match self.max.map(|max| max.checked_sub(self.base)) {
            None => None,
            Some(last) => match last.and_then(|last| usize::try_from(last).ok()) {
                Some(last) if last >= start => Some(last),
                _ => {
                    self.verdict = Some(false);
                    return Ok(());
                }
            },
        };
        match self.matcher.find(&self.window[..end], start, last, more)? {
            Found::Match { .. } => self.verdict = Some(true),
            Found::Nothing => {
                if self.line_ends(start, end) || !more {
                    self.verdict = Some(false);
                }
                self.forget_before(end);
            }
            Found::Partial { start: partial } if self.line_ends(start, partial.max(start)) => {
                self.verdict = Some(false)
            }
            Found::Partial { start: partial } => {
                self.forget_before(partial.max(start));
                if self.window.len() > WINDOW {
                    self.overflow(last.map(|_| ()))?;
                }
            }
        }
        Ok(())
    }

    /// A match would have had to start by the end of the line that ends between these places.
    fn line_ends(&self, start: usize, end: usize) -> bool {
        self.matcher.regex().first_line_only() && self.window[start..end].contains(&b'\n')
    }

    /// What may become a match is longer than the window. A complete match within it counts; else its first half goes.
    fn overflow(&mut self, limited: Option<()>) -> Result<(), String> {
        let last = limited.and(self.max).and_then(|max| usize::try_from(max.saturating_sub(self.base)).ok());
        // One that ends where the window does might be owed to this end not being the body's.
        match self.matcher.find(&self.window, self.from, last, false)? {
            Found::Match { end, .. } if end < self.window.len() => self.verdict = Some(true),
            _ => {
                let mut half = self.window.len() - WINDOW / 2;
                if self.matcher.regex().utf() {
                    half += self.window[half..].iter().take_while(|octet| is_continuation(**octet)).count();
                }
                self.forget_before(half);
            }
        }
        Ok(())
    }

    /// Nothing starts before this place in the window any more.
    fn forget_before(&mut self, place: usize) {
        let regex = self.matcher.regex();
        // One character more than it looks at, so that the window's start is not mistaken for the body's.
        let behind = (regex.lookbehind() + 1) * if regex.utf() { 4 } else { 1 };
        let mut cut = place.saturating_sub(behind);
        while regex.utf() && self.window.get(cut).is_some_and(|octet| is_continuation(*octet)) {
            cut -= 1;
        }
        self.window.drain(..cut);
        self.base += cut as u64;
        self.from = place - cut;
    }
}

fn is_continuation(octet: u8) -> bool {
    octet & 0xC0 == 0x80
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn regex(pattern: &str, options: &[&str]) -> BodyRegex {
        BodyRegex {
            pattern: pattern.to_owned(),
            options: options.iter().map(|name| (*name).to_owned()).collect(),
            no_match: false,
            min_offset: 0,
            max_offset: None,
            stack: None,
        }
    }

    fn matches(wanted: &BodyRegex, pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> bool {
        let url = Url {
            path: "/".to_owned(),
            virtual_host: None,
            digest: None,
            status: vec![],
            regex: Some(wanted.clone()),
            tls_compliant: false,
        };
        let mut judge = Judge::new(&url, Some(Arc::new(compile(wanted).unwrap()))).unwrap();
        for piece in pieces {
            if judge.feed(piece.as_ref()).is_err() {
                return false;
            }
            let search = judge.search.as_ref().unwrap();
            assert!(search.window.len() <= WINDOW * 3 / 2, "the window is bounded");
            if !judge.wants_more() {
                break;
            }
        }
        judge.finish().is_ok()
    }

    fn singly(body: &str) -> Vec<[u8; 1]> {
        body.bytes().map(|octet| [octet]).collect()
    }

    #[test]
    fn a_match_across_pieces_is_found() {
        assert!(matches(&regex("hello world", &[]), ["well, hel", "lo wor", "ld!"]));
        assert!(matches(&regex("(?<=ab)cd$", &[]), singly("xxabcd")));
        assert!(matches(&regex(r"^second\b", &["multiline"]), singly("first\nsecond line")));
        assert!(matches(&regex("é+x", &["utf"]), singly("aéééx")));
    }

    #[test]
    fn anchors_mean_the_body_and_not_a_piece_of_it() {
        assert!(!matches(&regex("^b", &[]), ["a", "b"]));
        assert!(!matches(&regex(r"\Ab", &[]), ["aaaaaaaaaaaaaa", "b"]));
        assert!(!matches(&regex("a$", &[]), ["a", "b"]));
        assert!(matches(&regex("^$", &[]), [""; 0]));
    }

    #[test]
    fn offsets_limit_where_a_match_starts_and_not_what_it_sees() {
        let body = "abcdefcd";
        let cd = |min_offset, max_offset| BodyRegex { min_offset, max_offset, ..regex("cd", &[]) };
        assert!(matches(&cd(2, Some(2)), singly(body)));
        assert!(!matches(&cd(0, Some(1)), singly(body)));
        assert!(matches(&cd(3, None), singly(body)));
        assert!(!matches(&cd(7, None), singly(body)));
        assert!(!matches(&cd(100, None), singly(body)));
        assert!(matches(&BodyRegex { min_offset: 2, ..regex("(?<=b)cd", &[]) }, singly(body)));
        assert!(!matches(&BodyRegex { min_offset: 2, ..regex("^cd", &[]) }, singly(body)));
    }

    #[test]
    fn first_line_ends_the_search_at_the_first_newline() {
        assert!(matches(&regex("b", &["firstline"]), singly("ab\nc")));
        assert!(!matches(&regex("c", &["firstline"]), singly("ab\nc")));
        assert!(!matches(&regex("c", &["firstline", "utf"]), [b"\n\xff c"]));
    }

    #[test]
    fn octets_that_are_no_utf8_do_not_hinder_a_search() {
        let body = [&[0xaa][..], &[0x9f; 28], b"ab", &[0x9f; 28]].concat();
        let wanted = BodyRegex { min_offset: 2, ..regex(r"\bab\b", &["utf", "ucp"]) };
        for size in 1..body.len() {
            assert!(matches(&wanted, body.chunks(size)), "{size}");
        }
    }

    #[test]
    fn regex_no_match_turns_it_round() {
        assert!(matches(&BodyRegex { no_match: true, ..regex("xyz", &[]) }, ["abc"]));
        assert!(!matches(&BodyRegex { no_match: true, ..regex("abc", &[]) }, ["ab", "c"]));
    }

    #[test]
    fn a_body_of_any_length_is_searched_in_bounded_memory() {
        let piece = vec![b'x'; 60_000];
        let long = std::iter::repeat_n(piece.clone(), 40);
        assert!(matches(&regex("needle", &[]), long.clone().chain([b"a needle".to_vec()])));
        assert!(!matches(&regex("needle", &[]), long.clone()));
        // Greedy to the end of whatever it sees.
        assert!(matches(&regex("foo.*bar", &["dotall"]), [b"foo bar".to_vec()].into_iter().chain(long.clone())));
        assert!(!matches(&regex("x+$(?!x)y", &["dotall"]), long));
    }

    #[test]
    fn the_digest_is_of_the_whole_body() {
        let wanted = [0xb1, 0x94, 0x6a, 0xc9, 0x24, 0x92, 0xd2, 0x34, 0x7c, 0x62, 0x35, 0xb4, 0xd2, 0x61, 0x11, 0x84];
        let url = Url {
            path: "/".to_owned(),
            virtual_host: None,
            digest: Some(wanted),
            status: vec![],
            regex: None,
            tls_compliant: false,
        };
        let judge = |pieces: &[&str]| {
            let mut judge = Judge::new(&url, None).unwrap();
            pieces.iter().for_each(|piece| judge.feed(piece.as_bytes()).unwrap());
            judge.finish()
        };
        assert_eq!(judge(&["hel", "lo\n"]), Ok(()));
        assert_eq!(judge(&["hello"]).unwrap_err().text, "MD5 of the body is 5d41402abc4b2a76b9719d911017c592");
    }

    proptest! {
        /// However a body is cut, the verdict is that of the whole.
        #[test]
        fn cuts_do_not_matter(
            body in "[ab\né]{0,40}",
            cuts in proptest::collection::vec(0_usize..80, 0..8),
            pattern in prop_oneof![
                Just("a+b"), Just("^a"), Just("b$"), Just(r"\bb"), Just("(?<=a)b(?=a)"), Just("é.a"), Just("a(?!b)"),
                Just(r"a\z"), Just("(a|ab)(b|$)"), Just("^b"), Just("(?<!a)b"),
            ],
            options in proptest::sample::subsequence(vec!["multiline", "dotall", "utf", "ucp", "ungreedy", "firstline"], 0..4),
            min in 0_u64..10,
            max in proptest::option::of(10_u64..30),
        ) {
            let wanted = BodyRegex { min_offset: min, max_offset: max, ..regex(pattern, &options) };
            let body = body.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).chain([0, body.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
            prop_assert_eq!(matches(&wanted, pieces), matches(&wanted, [body]));
        }
    }
}
