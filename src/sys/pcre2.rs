//! PCRE2 with what matching a body of any length takes: partial matches, a start, a last start, and limits.
//!
//! Matching is interpreted. PCRE2 10.42's JIT, with partial matches or a limit of the start, was seen to match behind the
//! limit and to run off the subject; what strangers send is no place for that. Bodies of health checks are short.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use pcre2_sys as ffi;

/// The compile option of this name in lower case without its prefix, as pcre2api(3) lists them.
pub fn option(name: &str) -> Option<u32> {
    Some(match name {
        "allow_empty_class" => ffi::PCRE2_ALLOW_EMPTY_CLASS,
        "alt_bsux" => ffi::PCRE2_ALT_BSUX,
        "alt_circumflex" => ffi::PCRE2_ALT_CIRCUMFLEX,
        "alt_verbnames" => ffi::PCRE2_ALT_VERBNAMES,
        "auto_callout" => ffi::PCRE2_AUTO_CALLOUT,
        "caseless" => ffi::PCRE2_CASELESS,
        "dollar_endonly" => ffi::PCRE2_DOLLAR_ENDONLY,
        "dotall" => ffi::PCRE2_DOTALL,
        "dupnames" => ffi::PCRE2_DUPNAMES,
        "extended" => ffi::PCRE2_EXTENDED,
        "firstline" => ffi::PCRE2_FIRSTLINE,
        "match_unset_backref" => ffi::PCRE2_MATCH_UNSET_BACKREF,
        "multiline" => ffi::PCRE2_MULTILINE,
        "never_backslash_c" => ffi::PCRE2_NEVER_BACKSLASH_C,
        "never_ucp" => ffi::PCRE2_NEVER_UCP,
        "never_utf" => ffi::PCRE2_NEVER_UTF,
        "no_auto_capture" => ffi::PCRE2_NO_AUTO_CAPTURE,
        "no_auto_possess" => ffi::PCRE2_NO_AUTO_POSSESS,
        "no_dotstar_anchor" => ffi::PCRE2_NO_DOTSTAR_ANCHOR,
        "no_start_optimize" => ffi::PCRE2_NO_START_OPTIMIZE,
        "ucp" => ffi::PCRE2_UCP,
        "ungreedy" => ffi::PCRE2_UNGREEDY,
        "use_offset_limit" => ffi::PCRE2_USE_OFFSET_LIMIT,
        "utf" => ffi::PCRE2_UTF,
        _ => return None,
    })
}

/// A compiled pattern. It does not change any more, and many matchers may use it at a time.
#[derive(Debug)]
pub struct Regex {
    code: NonNull<ffi::pcre2_code_8>,
    options: u32,
    lookbehind: usize,
}

// SAFETY: compiled code is only read after `compile` returns; pcre2api(3), "Multithreading".
unsafe impl Send for Regex {}
// SAFETY: as above; every matcher has match data and a context of its own.
unsafe impl Sync for Regex {}

impl Regex {
    /// The error says what is wrong and at which octet of the pattern.
    pub fn compile(pattern: &str, options: u32) -> Result<Regex, String> {
        let mut error = 0;
        let mut offset = 0;
        // SAFETY: pattern and length describe a slice that outlives the call; the out pointers are valid.
        let code = unsafe {
            ffi::pcre2_compile_8(pattern.as_ptr(), pattern.len(), options, &mut error, &mut offset, ptr::null_mut())
        };
        let code = NonNull::new(code).ok_or_else(|| format!("{} at octet {offset}", message(error)))?;
        let mut regex = Regex { code, options: 0, lookbehind: 0 };
        regex.options = regex.info(ffi::PCRE2_INFO_ALLOPTIONS);
        regex.lookbehind = regex.info(ffi::PCRE2_INFO_MAXLOOKBEHIND) as usize;
        Ok(regex)
    }

    /// For the questions that pcre2_pattern_info answers with 32 bits.
    fn info(&self, what: u32) -> u32 {
        let mut value = 0_u32;
        // SAFETY: both questions asked above have an uint32_t as answer.
        unsafe { ffi::pcre2_pattern_info_8(self.code.as_ptr(), what, (&raw mut value).cast::<c_void>()) };
        value
    }

    /// Subjects must be valid UTF-8 then, and searches start between characters; else they fail.
    pub fn utf(&self) -> bool {
        self.options & ffi::PCRE2_UTF != 0
    }

    /// A match starts before or at the first newline after where the search starts.
    pub fn first_line_only(&self) -> bool {
        self.options & ffi::PCRE2_FIRSTLINE != 0
    }

    /// Characters before the start of a match that it may look at.
    pub fn lookbehind(&self) -> usize {
        self.lookbehind
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: the code came from pcre2_compile and nobody else frees it.
        unsafe { ffi::pcre2_code_free_8(self.code.as_ptr()) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Its place in the subject.
    Match {
        start: usize,
        end: usize,
    },
    /// The subject ended within what may become a match that starts here.
    Partial {
        start: usize,
    },
    Nothing,
}

/// What one search at a time needs: memory for captures, limits.
#[derive(Debug)]
pub struct Matcher {
    regex: Arc<Regex>,
    data: NonNull<ffi::pcre2_match_data_8>,
    context: NonNull<ffi::pcre2_match_context_8>,
}

// SAFETY: the pointers belong to this value alone, and every use takes `&mut self`.
unsafe impl Send for Matcher {}

/// Memory of one interpreted search, KiB.
const HEAP_LIMIT: u32 = 16 * 1024;

/// Steps of one search: a fraction of a second, then it is given up. Other probes wait as long.
const MATCH_LIMIT: u32 = 2_000_000;

impl Matcher {
    /// `None`: there is no memory.
    pub fn new(regex: Arc<Regex>) -> Option<Matcher> {
        // SAFETY: the code is valid; a null general context means malloc.
        let data = unsafe { ffi::pcre2_match_data_create_from_pattern_8(regex.code.as_ptr(), ptr::null_mut()) };
        let data = NonNull::new(data)?;
        // SAFETY: as above.
        let Some(context) = NonNull::new(unsafe { ffi::pcre2_match_context_create_8(ptr::null_mut()) }) else {
            // SAFETY: just created and not used elsewhere.
            unsafe { ffi::pcre2_match_data_free_8(data.as_ptr()) };
            return None;
        };
        // SAFETY: the context is valid.
        unsafe {
            ffi::pcre2_set_match_limit_8(context.as_ptr(), MATCH_LIMIT);
            ffi::pcre2_set_heap_limit_8(context.as_ptr(), HEAP_LIMIT);
        }
        Some(Matcher { regex, data, context })
    }

    pub fn regex(&self) -> &Regex {
        &self.regex
    }

    /// Searches from `start` on; a match starts at `last_start` at the latest, which needs the option
    /// `use_offset_limit`. With `more`, a match that the end of the subject could change is [`Found::Partial`].
    pub fn find(
        &mut self,
        subject: &[u8],
        start: usize,
        last_start: Option<usize>,
        more: bool,
    ) -> Result<Found, String> {
        /// `PCRE2_UNSET`: no limit.
        const UNSET: usize = usize::MAX;
        let partial = if more { ffi::PCRE2_PARTIAL_HARD } else { 0 };
        // SAFETY: the context is ours.
        unsafe { ffi::pcre2_set_offset_limit_8(self.context.as_ptr(), last_start.unwrap_or(UNSET)) };
        match self.search(subject, start, partial) {
            ffi::PCRE2_ERROR_NOMATCH => Ok(Found::Nothing),
            ffi::PCRE2_ERROR_PARTIAL => {
                // SAFETY: after a partial match the first pair of the vector is set.
                let start = unsafe { *ffi::pcre2_get_ovector_pointer_8(self.data.as_ptr()) };
                Ok(Found::Partial { start: start.min(subject.len()) })
            }
            code if code >= 0 => {
                // SAFETY: after a match the first pair of the vector is set.
                let [start, end] =
                    unsafe { *ffi::pcre2_get_ovector_pointer_8(self.data.as_ptr()).cast::<[usize; 2]>() };
                // With `\K` in a lookahead, a match may start behind its end.
                Ok(Found::Match { start: start.min(end), end: end.min(subject.len()) })
            }
            code => Err(message(code)),
        }
    }

    fn search(&mut self, subject: &[u8], start: usize, options: u32) -> i32 {
        // SAFETY: subject and length describe a slice that outlives the call, `start` is within it, and code, match
        // data and context are valid and used by nobody else meanwhile.
        unsafe {
            ffi::pcre2_match_8(
                self.regex.code.as_ptr(),
                subject.as_ptr(),
                subject.len(),
                start.min(subject.len()),
                options,
                self.data.as_ptr(),
                self.context.as_ptr(),
            )
        }
    }
}

impl Drop for Matcher {
    fn drop(&mut self) {
        // SAFETY: created by `new`, freed once.
        unsafe {
            ffi::pcre2_match_data_free_8(self.data.as_ptr());
            ffi::pcre2_match_context_free_8(self.context.as_ptr());
        }
    }
}

fn message(code: i32) -> String {
    let mut text = [0_u8; 256];
    // SAFETY: the buffer and its length; PCRE2 ends the text with NUL within it and returns its length.
    let length = unsafe { ffi::pcre2_get_error_message_8(code, text.as_mut_ptr(), text.len()) };
    match usize::try_from(length).ok().and_then(|length| text.get(..length)) {
        Some(text) => String::from_utf8_lossy(text).into_owned(),
        None => format!("PCRE2 error {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &str, options: &[&str], subject: &[u8], more: bool) -> Result<Found, String> {
        let options = options.iter().map(|name| option(name).unwrap()).sum();
        let regex = Arc::new(Regex::compile(pattern, options).unwrap());
        Matcher::new(regex).unwrap().find(subject, 0, None, more)
    }

    #[test]
    fn options_change_what_matches() {
        assert_eq!(find("^B.", &[], b"a\nbc", false), Ok(Found::Nothing));
        assert_eq!(find("^B.", &["caseless", "multiline"], b"a\nbc", false), Ok(Found::Match { start: 2, end: 4 }));
        assert_eq!(find("a.b", &["dotall"], b"a\nb", false), Ok(Found::Match { start: 0, end: 3 }));
        assert_eq!(find(r"^\w$", &["utf", "ucp"], "é".as_bytes(), false), Ok(Found::Match { start: 0, end: 2 }));
    }

    #[test]
    fn every_option_that_the_manual_names_is_known_and_compiles() {
        let names = "allow_empty_class alt_bsux auto_callout caseless dollar_endonly dotall dupnames extended firstline \
            match_unset_backref multiline never_ucp never_utf no_auto_capture no_auto_possess no_dotstar_anchor \
            no_start_optimize ucp ungreedy utf never_backslash_c alt_circumflex alt_verbnames use_offset_limit";
        for name in names.split(' ') {
            assert_eq!(find("a", &[name], b"xa", false), Ok(Found::Match { start: 1, end: 2 }), "{name}");
        }
        assert_eq!(option("jit"), None);
    }

    #[test]
    fn what_the_next_octets_decide_is_a_partial_match() {
        assert_eq!(find("hello", &[], b"well, hel", true), Ok(Found::Partial { start: 6 }));
        assert_eq!(find("hello", &[], b"well, hel", false), Ok(Found::Nothing));
        assert_eq!(find("l$", &[], b"hel", true), Ok(Found::Partial { start: 2 }));
    }

    #[test]
    fn a_pattern_in_utf_refuses_what_is_no_utf8() {
        assert!(find("b", &["utf"], b"\xff\xc3b", false).is_err());
        assert!(find("(*UTF)b", &[], b"\xff\xc3b", false).is_err());
    }

    #[test]
    fn a_pattern_that_would_search_for_ages_is_given_up() {
        let subject = [b'a'; 60];
        assert!(find("^(a+)+$(*COMMIT)", &[], &[&subject[..], b"b"].concat(), false).is_err());
    }

    #[test]
    fn a_wrong_pattern_is_told_with_its_place() {
        assert!(Regex::compile("a(b", 0).unwrap_err().contains("at octet 3"));
    }
}
