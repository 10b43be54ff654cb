//! What is wrong with a configuration, where, and what to do about it; and how that is printed.
//!
//! A [`Diagnostic`] points at characters of a file in [`Sources`]. Its [`Class`] says how Keepalived counts the same
//! mistake, because the exit status of `-t` follows from classes ([`status`]) and not from severities.

use std::fmt::Write;

pub use super::source::Source;

/// Some characters of one line. Lines and columns count from 1, columns and length in characters; line 0 is the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Span {
    /// Index into [`Sources`].
    pub file: u32,
    pub line: u32,
    pub column: u32,
    pub length: u32,
    /// The [`Expansion`] that brought these characters where they take effect, counting from 1; 0: they stand there.
    pub made: u32,
}

impl Span {
    /// From the start of `self` to the end of `other`, when both are on one line.
    pub fn to(self, other: Span) -> Span {
        if (self.file, self.line, self.made) != (other.file, other.line, other.made) || other.column < self.column {
            return self;
        }
        let end = (other.column + other.length).max(self.column + self.length);
        Span { length: end - self.column, ..self }
    }

    /// Where it is in the files, whatever brought it elsewhere.
    pub fn place(self) -> (u32, u32, u32) {
        (self.file, self.line, self.column)
    }
}

/// How characters came from where they are written to where they take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expansion {
    pub how: Made,
    /// The use of the parameter, or the repetition; it may itself have been brought there.
    pub at: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// `${NAME}`: they are written in its definition.
    Used,
    /// One round of `~SEQ` or `~LST`.
    Repeated,
    /// They stand on a line with parameters, beside what these brought.
    Replaced,
}

/// The files that were read, in the order of their first line.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Source>,
    expansions: Vec<Expansion>,
}

/// More are not kept: what they bring is told where it is used.
const EXPANSIONS_MAX: usize = 1 << 20;

impl Sources {
    pub fn add(&mut self, source: Source) -> u32 {
        self.files.push(source);
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    /// The number to put into [`Span::made`]; `None` when there are too many.
    pub fn expand(&mut self, expansion: Expansion) -> Option<u32> {
        if self.expansions.len() >= EXPANSIONS_MAX {
            return None;
        }
        self.expansions.push(expansion);
        u32::try_from(self.expansions.len()).ok()
    }

    /// How characters came to where they take effect.
    pub fn expansion(&self, span: Span) -> Option<Expansion> {
        self.expansions.get(usize::try_from(span.made).ok()?.checked_sub(1)?).copied()
    }

    pub fn get(&self, file: u32) -> Option<&Source> {
        self.files.get(usize::try_from(file).ok()?)
    }

    pub fn name(&self, file: u32) -> &str {
        self.get(file).map_or("", |source| &source.name)
    }

    /// A line of a file, counting from 1.
    pub fn line(&self, span: Span) -> Option<&str> {
        let line = usize::try_from(span.line).ok()?.checked_sub(1)?;
        self.get(span.file)?.line(line)
    }

    /// The characters at a place in a line of ASCII.
    pub fn text(&self, span: Span) -> &str {
        let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let from = number(span.column.saturating_sub(1));
        self.line(span).and_then(|line| line.get(from..from.saturating_add(number(span.length)))).unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.files.iter()
    }

    /// A line for those who may not read the file: one that may hold a secret is not for them, nor is one that is too long to look at.
    pub fn open_line(&self, span: Span) -> Option<String> {
        let line = self.line(span).filter(|line| line.len() <= LINE_SHOWN)?;
        (!self.is_secret(span)).then(|| printable(line))
    }

    /// Whether a line may hold a secret: it has the keyword of one, or stands below such a keyword, indented or not.
    pub fn is_secret(&self, span: Span) -> bool {
        let Some(line) = self.line(span) else { return false };
        if names_a_secret(line) {
            return true;
        }
        let above = usize::try_from(span.line).ok().and_then(|line| line.checked_sub(1));
        let Some((source, above)) = self.get(span.file).zip(above) else { return false };
        let above = source.lines(0..above).rev().filter(|line| !line.trim().is_empty());
        // In YAML an entry of a list stands below a key that begins in the same column.
        let indent = |line: &str| {
            let blanks = line.chars().take_while(|c| c.is_whitespace()).count();
            blanks * 2 + usize::from(line.trim_start().starts_with('-'))
        };
        let mut inside = indent(line);
        for (distance, line) in above.enumerate() {
            let alone = distance == 0 && line.split_whitespace().count() == 1;
            if (alone || indent(line) < inside) && names_a_secret(line) {
                return true;
            }
            inside = inside.min(indent(line));
            if inside == 0 {
                break;
            }
        }
        false
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Hint,
    Warning,
    Error,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "hint",
        }
    }
}

/// How Keepalived counts a mistake for the exit status of `-t`. The last class in this order decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Keepalived says nothing, or only logs it.
    Silent,
    FileNotFound,
    BadInterface,
    Fatal,
    MultipleFiles,
    UnknownKeyword,
    UnexpectedOpen,
    MissingOpen,
    UnexpectedClose,
    MissingClose,
    UnmatchedQuote,
    MissingParameter,
    InvalidNumber,
    General,
    Warning,
    Deprecated,
    Security,
    /// A check of `includer` and its relatives, or `-e`.
    IncludeCheck,
    /// A named file that does not exist; Keepalived exits with 0, we never do.
    MissingFile,
    /// Ends Keepalived at once with status 2.
    MissingArgument,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub class: Class,
    /// Stable name of the kind of mistake, for machines.
    pub code: &'static str,
    pub message: String,
    pub span: Span,
    pub related: Vec<(Span, String)>,
    pub hint: Option<String>,
    /// The daemon does not start with this mistake.
    pub refuses_start: bool,
    beside: Option<Box<Beside>>,
}

/// What few diagnostics have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Beside {
    fix: Option<String>,
    reads: Option<String>,
}

impl Diagnostic {
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Class::General, code, span, message.into())
    }

    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, Class::General, code, span, message.into())
    }

    /// Something that is no mistake, but may not be what was meant; never counts.
    pub fn note(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Hint, Class::Silent, code, span, message.into())
    }

    fn new(severity: Severity, class: Class, code: &'static str, span: Span, message: String) -> Self {
        Diagnostic {
            severity,
            class,
            code,
            message,
            span,
            related: Vec::new(),
            hint: None,
            refuses_start: false,
            beside: None,
        }
    }

    pub fn class(self, class: Class) -> Self {
        Diagnostic { class, ..self }
    }

    /// Keepalived says nothing about it, so `-t` does not count it.
    pub fn silent(self) -> Self {
        self.class(Class::Silent)
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Diagnostic { hint: Some(hint.into()), ..self }
    }

    /// The word that was most likely meant.
    pub fn suggest(mut self, word: &str) -> Self {
        self.beside.get_or_insert_default().fix = Some(word.to_owned());
        self.hint(format!("did you mean `{word}`?"))
    }

    /// What to write in the place of the characters at `span`, when that is clear.
    pub fn fix(&self) -> Option<&str> {
        self.beside.as_ref()?.fix.as_deref()
    }

    /// Says how the line reads after parameters and repetitions.
    pub fn reading(&mut self, line: String) {
        self.beside.get_or_insert_default().reads = Some(line);
    }

    /// The line as it reads after parameters and repetitions, when that is not what is written.
    pub fn reads(&self) -> Option<&str> {
        self.beside.as_ref()?.reads.as_deref()
    }

    pub fn related(mut self, span: Span, what: impl Into<String>) -> Self {
        self.related.push((span, what.into()));
        self
    }

    pub fn refuses_start(self) -> Self {
        Diagnostic { refuses_start: true, ..self }
    }

    /// The diagnostic as people read it: message, place, the line with a caret, hint. Ends with a line end.
    pub fn render(&self, sources: &Sources) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{}: {}", self.severity.name(), printable(&self.message));
        place(&mut out, sources, self.span);
        if let Some(line) = self.reads() {
            let _ = writeln!(out, "note: the line reads `{}`", printable(line));
        }
        for (span, what) in &self.related {
            let _ = writeln!(out, "note: {}", printable(what));
            place(&mut out, sources, *span);
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "hint: {}", printable(hint));
        }
        out
    }

    /// The same for those who may not read the files: no line of them, and not a word of one that may hold a secret.
    pub fn render_discreetly(&self, sources: &Sources) -> String {
        let mut out = String::new();
        let told = |text: &str| self.discreet(text, sources);
        let _ = writeln!(out, "{}: {}", self.severity.name(), told(&self.message));
        place_only(&mut out, sources, self.span);
        for (span, what) in &self.related {
            let _ = writeln!(out, "note: {}", told(what));
            place_only(&mut out, sources, *span);
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "hint: {}", told(hint));
        }
        out
    }

    /// The same as a line of a log, which is no place for secrets either and has no room for carets.
    pub fn in_a_line(&self, sources: &Sources) -> String {
        let hidden = self.is_about_a_secret(sources);
        let told = |text: &str| if hidden { masked(text) } else { text.to_owned() };
        let hint = self.hint.as_ref().map(|hint| format!(" ({})", told(hint))).unwrap_or_default();
        let Span { file, line, column, .. } = self.span;
        format!("{}:{line}:{column}: {}{hint}", sources.name(file), told(&self.message))
    }

    /// What this says, for those who may not read the files.
    pub fn discreet(&self, text: &str, sources: &Sources) -> String {
        printable(&if self.is_about_a_secret(sources) { masked(text) } else { text.to_owned() })
    }

    pub fn is_about_a_secret(&self, sources: &Sources) -> bool {
        // A parser may stop some lines after what it quotes.
        self.message.starts_with("this is not YAML")
            || [self.span].iter().chain(self.related.iter().map(|(span, _)| span)).any(|span| sources.is_secret(*span))
    }
}

/// Keywords of both languages after which, or below which, a secret stands.
const SECRETS: [&str; 15] = [
    "auth",
    "auth_hmac",
    "auth_pass",
    "basic_auth_users",
    "cert",
    "client_ca",
    "communities",
    "community",
    "key",
    "pass",
    "passphrase",
    "password",
    "privacy",
    "pw",
    "secret",
];

fn names_a_secret(line: &str) -> bool {
    let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    // What operators call their parameters, and how they misspell a keyword.
    let hints = |word: &str| {
        let word = word.to_ascii_lowercase();
        ["auth_pas", "passw", "secret"].iter().any(|part| word.contains(part))
            || (line.contains('$') && ["pass", "key", "pw"].iter().any(|part| word.contains(part)))
    };
    words.any(|word| SECRETS.iter().any(|secret| word.eq_ignore_ascii_case(secret)) || hints(word))
}

/// Without what stands in quotes of any kind; from the first to the last, as a secret may have quotes in it.
fn masked(text: &str) -> String {
    const QUOTES: [char; 3] = ['`', '"', '\''];
    let (Some(first), Some(last)) = (text.find(QUOTES), text.rfind(QUOTES)) else { return text.to_owned() };
    let (before, after) = (text.get(..first).unwrap_or_default(), text.get(last + 1..).unwrap_or_default());
    // The end of a single quote is unknown.
    let after = if first == last { "" } else { after };
    format!("{before}(not shown){after}")
}

/// Exit status of `-t` for what was found: Keepalived's, but that a missing file is never 0.
pub fn status(diagnostics: &[Diagnostic]) -> u8 {
    match diagnostics.iter().map(|diagnostic| diagnostic.class).max() {
        None | Some(Class::Silent) => 0,
        Some(Class::MissingArgument) => 2,
        Some(Class::Security | Class::IncludeCheck | Class::MissingFile) => 6,
        Some(Class::FileNotFound | Class::BadInterface | Class::Fatal) => 4,
        Some(_) => 5,
    }
}

fn place_only(out: &mut String, sources: &Sources, span: Span) {
    let name = sources.name(span.file);
    if span.line > 0 {
        let _ = writeln!(out, "  --> {name}:{}:{}", span.line, span.column);
    } else if !name.is_empty() {
        let _ = writeln!(out, "  --> {name}");
    }
}

fn place(out: &mut String, sources: &Sources, span: Span) {
    place_only(out, sources, span);
    let Some(line) = sources.line(span) else { return };
    let number = span.line.to_string();
    let before = usize::try_from(span.column.saturating_sub(1)).unwrap_or(usize::MAX);
    let (line, before) = &window(line, before);
    let (line, before) = (line.as_ref(), *before);
    let length = usize::try_from(span.length.max(1)).unwrap_or(usize::MAX);
    // Whatever stands before the word is repeated as blanks of the same width, so that tabs and wide characters agree.
    let mut marks = String::new();
    for c in line.chars().take(before) {
        match c {
            '\t' => marks.push('\t'),
            c => marks.extend(std::iter::repeat_n(' ', width(c))),
        }
    }
    let carets: usize = line.chars().skip(before).take(length).map(|c| if c == '\t' { 1 } else { width(c) }).sum();
    marks.extend(std::iter::repeat_n('^', carets.max(1)));
    let _ = writeln!(out, "{number} | {}", printable(line));
    let _ = writeln!(out, "{:indent$} | {marks}", "", indent = number.len());
}

/// Longer lines, in octets, are shown in part.
const LINE_SHOWN: usize = 400;

/// A line as it is shown, and how many characters stand before the word: of a long one what is around it.
fn window(line: &str, before: usize) -> (std::borrow::Cow<'_, str>, usize) {
    const AROUND: usize = 100;
    if line.len() <= LINE_SHOWN {
        return (line.into(), before);
    }
    let from = before.saturating_sub(AROUND);
    let mut rest = line.chars().skip(from);
    let mut shown: String = if from > 0 { "…".to_owned() } else { String::new() };
    shown.extend(rest.by_ref().take(2 * AROUND));
    if rest.next().is_some() {
        shown.push('…');
    }
    (shown.into(), before - from + usize::from(from > 0))
}

/// Text without anything that would move the cursor.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => c,
            c if c.is_control() || ('\u{10FE00}'..='\u{10FFFF}').contains(&c) => '\u{FFFD}',
            c => c,
        })
        .collect()
}

/// Columns a terminal gives to a character: the East Asian wide ranges and emoji two, combining marks none.
fn width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36F | 0x200B..=0x200F | 0x20D0..=0x20FF | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F => 0,
        0x1100..=0x115F
        | 0x2E80..=0x303E
        | 0x3041..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1F64F
        | 0x1F900..=0x1F9FF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(line: &str, column: u32, length: u32) -> String {
        let mut sources = Sources::default();
        let file = sources.add(Source::of_text("k.conf", format!("\n{line}")));
        let span = Span { file, line: 2, column, length, made: 0 };
        Diagnostic::error("test", span, "expected a router id from 1 to 255, found `300`")
            .hint("every router uses the same id")
            .render(&sources)
    }

    #[test]
    fn a_diagnostic_shows_the_line_with_a_caret_under_the_word_and_a_hint() {
        assert_eq!(
            rendered("    virtual_router_id 300", 23, 3),
            "error: expected a router id from 1 to 255, found `300`\n  --> k.conf:2:23\n\
             2 |     virtual_router_id 300\n  |                       ^^^\nhint: every router uses the same id\n"
        );
    }

    #[test]
    fn of_lines_with_secrets_no_word_is_told_to_those_who_may_not_read_the_file() {
        let mut sources = Sources::default();
        let conf = "authentication {\n auth_pass can\"ary\n auth_pass\n canary\n}\nstate canary";
        let yaml = "users:\n- name: n\n  auth:\n    protocol: SHA\n    passphrase:\n      canary\nenabled: maybe\n\
                    communities:\n- name: x\n  canary: 1\nhttp: canary";
        let conf = sources.add(Source::of_text("k.conf", conf.to_owned()));
        let yaml = sources.add(Source::of_text("k.yaml", yaml.to_owned()));
        for (file, line, quoted, hidden) in [
            (conf, 2, "can\"ary", true),
            (conf, 4, "canary", true),
            (conf, 6, "canary", false),
            (yaml, 6, "canary", true),
            (yaml, 7, "maybe", false),
            (yaml, 10, "canary", true),
            (yaml, 11, "canary", false),
        ] {
            let span = Span { file, line, column: 2, length: 1, made: 0 };
            let diagnostic = Diagnostic::error("t", span, format!("the word `{quoted}` after `x` is extra"))
                .related(span, format!("\"{quoted}\""))
                .hint(format!("not `{quoted}`"));
            for text in [diagnostic.render_discreetly(&sources), diagnostic.in_a_line(&sources)] {
                assert_eq!(!text.contains(quoted), hidden, "{text}");
                assert!(text.contains(&format!("{}:{line}:2", sources.name(file))), "{text}");
                assert!(!text.contains(" | "), "no line of the file: {text}");
            }
        }
        let broken =
            Diagnostic::error("t", Span { file: yaml, line: 7, ..Span::default() }, "this is not YAML: \"canary");
        assert_eq!(broken.in_a_line(&sources), "k.yaml:7:0: this is not YAML: (not shown)");
    }

    #[test]
    fn tabs_and_wide_characters_keep_the_caret_under_the_word() {
        assert!(rendered("\tid\t300", 5, 3).contains("\n  | \t  \t^^^\n"));
        assert!(rendered("名前 300", 4, 3).contains("\n  |      ^^^\n"));
        assert!(rendered("id 名前", 4, 2).contains("\n  |    ^^^^\n"));
    }

    #[test]
    fn a_span_outside_its_line_still_renders() {
        assert!(rendered("x", 4_000_000, u32::MAX).contains('^'));
    }

    #[test]
    fn the_exit_status_of_a_test_is_decided_by_the_highest_class() {
        let of = |classes: &[Class]| {
            let list: Vec<_> =
                classes.iter().map(|class| Diagnostic::error("t", Span::default(), "").class(*class)).collect();
            status(&list)
        };
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[Class::Silent]), 0);
        assert_eq!(of(&[Class::BadInterface]), 4);
        assert_eq!(of(&[Class::BadInterface, Class::UnknownKeyword]), 5);
        assert_eq!(of(&[Class::Security, Class::Deprecated]), 6);
        assert_eq!(of(&[Class::MissingFile]), 6);
        assert_eq!(of(&[Class::MissingArgument, Class::Security]), 2);
    }
}
