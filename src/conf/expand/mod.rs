//! From files to lines: comments, conditions, definitions and parameters, repetition, includes, braces.
//!
//! The result is a flat list of [`Item`]s in the order in which they take effect. Start at [`Expander::run`]. What the
//! words mean is not known here, but for `include_check` and `random_seed`, which change how the rest is read.

mod include;
mod parameter;
mod repeat;
mod written;

use std::collections::{HashMap, HashSet};

use super::Options;
use super::diag::{Class, Diagnostic, Expansion, Made, Severity, Source, Sources, Span};
use super::files::{FileKind, Files};
use super::host::Host;
use super::keywords::Suggestions;
use super::lex::{self, Text, is_blank};

/// What is left of the text when reading is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Words of a line that had to be worked on.
    Line(Box<Text>),
    /// Words as they are written there.
    Words(Span),
    Open(Span),
    Close(Span),
}

pub struct Expanded {
    pub items: Vec<Item>,
    pub sources: Sources,
    pub diagnostics: Vec<Diagnostic>,
    /// The file named on the command line could be read.
    pub opened: bool,
}

pub struct Expander<'a> {
    files: &'a dyn Files,
    host: &'a dyn Host,
    config_id: String,
    items: Vec<Item>,
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
    definitions: HashMap<String, Definition>,
    /// Canonical names of the files being read, outermost first.
    open_files: Vec<String>,
    /// Directory of the file being read, empty for the working directory.
    directory: String,
    checks: Checks,
    all_checks: bool,
    random: u64,
    conditions: Conditions,
    /// Characters made so far by repetition and replacement, and what their lines cost besides.
    made: usize,
    /// Octets read so far.
    read: usize,
    /// Reading ended early: too many mistakes, files or octets.
    ended: bool,
    patience: Patience,
    suggestions: Suggestions,
}

/// `include_check`: which include problems are errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Checks {
    read: bool,
    named: bool,
    wildcard: bool,
    brace: bool,
}

const ALL_CHECKS: Checks = Checks { read: true, named: true, wildcard: true, brace: true };

#[derive(Default)]
struct Conditions {
    ids: HashSet<String>,
    /// The first of them, in the order of the file.
    named: Vec<String>,
    first: Option<Span>,
    kept: bool,
}

/// What a parameter stands for.
#[derive(Clone)]
enum Definition {
    /// Lines as they are written.
    Lines(Vec<Text>),
    /// A value that stands nowhere.
    Made(String),
}

/// What is still to be done with a line.
enum Step {
    /// Whether it is the start of a line of a file, or what follows a brace.
    Line(Text, bool),
    /// The variable of a repetition takes its next value.
    Define(String, Definition),
}

/// A definition that goes on with the next line.
struct OpenDefinition {
    name: String,
    lines: Vec<Text>,
    keep: bool,
}

/// More than any real configuration makes of itself: 16 MiB of text, a quarter of a million lines, 64 files inside each other.
const MADE_MAX: usize = 16 << 20;
/// What one round of a repetition, or one more line of a replacement, costs besides its text.
const ROUND_COST: usize = 64;
const DEPTH_MAX: usize = 64;
/// More than anybody writes: octets of one line, made or read, octets of all files, and files. Two files that include the next
/// pair each would otherwise read a file for every grain of sand.
const LINE_MAX: usize = 1 << 18;
const READ_MAX: usize = 512 << 20;
/// Config ids that a message names.
const IDS_NAMED: usize = 10;
const FILES_MAX: usize = 10_000;
/// Errors after which nobody reads on.
pub const MISTAKES_MAX: usize = 10_000;

/// Counts errors now and then.
pub struct Patience {
    ask_again: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { ask_again: MISTAKES_MAX }
    }
}

impl Patience {
    /// Whether there are so many errors that nobody needs the rest.
    pub fn is_over(&mut self, diagnostics: &[Diagnostic]) -> bool {
        if diagnostics.len() < self.ask_again {
            return false;
        }
        let errors = diagnostics.iter().filter(|each| each.severity == Severity::Error).count();
        self.ask_again = diagnostics.len() + MISTAKES_MAX.saturating_sub(errors);
        errors >= MISTAKES_MAX
    }
}
/// Parameters inside parameters.
const NESTING_MAX: usize = 32;

impl<'a> Expander<'a> {
    pub fn new(files: &'a dyn Files, host: &'a dyn Host, options: &Options) -> Self {
        let config_id = options.config_id.clone().unwrap_or_else(|| {
            let name = host.host_name();
            name.split('.').next().unwrap_or_default().to_owned()
        });
        Expander {
            files,
            host,
            config_id,
            items: Vec::new(),
            sources: Sources::default(),
            diagnostics: Vec::new(),
            definitions: HashMap::new(),
            open_files: Vec::new(),
            directory: String::new(),
            checks: if options.all_config_checks { ALL_CHECKS } else { Checks::default() },
            all_checks: options.all_config_checks,
            random: options.random_seed,
            conditions: Conditions::default(),
            made: 0,
            read: 0,
            ended: false,
            patience: Patience::default(),
            suggestions: Suggestions::default(),
        }
    }

    /// Reads the file, or the files that a pattern names.
    pub fn run(mut self, path: &str) -> Expanded {
        let names = if self.files.stat(path).is_none() && is_pattern(path) {
            include::alternatives(path).iter().flat_map(|pattern| self.files.glob(pattern)).collect()
        } else {
            vec![path.to_owned()]
        };
        let mut opened = false;
        if names.is_empty() {
            self.missing_top(path, "no file matches this pattern");
        }
        if names.len() > 1 {
            let file = self.sources.add(Source::unread(path));
            let message = format!("the pattern matches {} files; all of them are read", names.len());
            self.diagnostics.push(
                Diagnostic::warning("multiple-files", Span { file, ..Span::default() }, message)
                    .class(Class::MultipleFiles),
            );
        }
        for name in names {
            opened |= self.top_file(&name);
        }
        self.unmatched_conditions();
        Expanded { items: self.items, sources: self.sources, diagnostics: self.diagnostics, opened }
    }

    fn missing_top(&mut self, path: &str, what: &str) {
        let file = self.sources.add(Source::unread(path));
        self.diagnostics.push(
            Diagnostic::error("file-missing", Span { file, ..Span::default() }, format!("cannot read {path}: {what}"))
                .class(Class::MissingFile)
                .hint("-f FILE names the configuration file")
                .refuses_start(),
        );
    }

    fn top_file(&mut self, path: &str) -> bool {
        match self.files.stat(path).map(|stat| stat.kind) {
            Some(FileKind::Directory) => {
                self.missing_top(path, "it is a directory");
                return false;
            }
            Some(FileKind::Other) => {
                self.missing_top(path, "it is not a regular file");
                return false;
            }
            Some(FileKind::Regular) => {}
            None => {
                self.missing_top(path, "no such file");
                return false;
            }
        }
        let bytes = match self.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.missing_top(path, &error);
                return false;
            }
        };
        let file = self.sources.add(Source::of_bytes(path, bytes));
        if let Some(mode) = self.files.stat(path).map(|stat| stat.mode).filter(|mode| mode & 0o111 != 0) {
            let message = format!("mode {mode:04o}: Keepalived refuses executable configuration files");
            let span = Span { file, ..Span::default() };
            self.diagnostics
                .push(Diagnostic::warning("executable", span, message).silent().hint(format!("chmod 644 {path}")));
        }
        self.file(file, path);
        true
    }

    fn file(&mut self, file: u32, path: &str) {
        let canonical = self.files.canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let directory = path.rsplit_once('/').map_or(String::new(), |(directory, _)| format!("{directory}/"));
        let outer = (std::mem::replace(&mut self.directory, directory), self.checks);
        self.open_files.push(canonical);
        self.lines(file);
        self.open_files.pop();
        (self.directory, self.checks) = outer;
    }

    /// A file, if there is room for it.
    fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let left = READ_MAX.saturating_sub(self.read);
        let bytes = self.files.read_some(path, left + 1).map_err(|error| error.to_string())?;
        if bytes.len() > left {
            return Err(format!("with it, the files have more than {} MiB", READ_MAX >> 20));
        }
        self.read += bytes.len();
        Ok(bytes)
    }

    /// Nothing is read any more; why is told once.
    fn end(&mut self, span: Span, message: String) {
        if !std::mem::replace(&mut self.ended, true) {
            let hint = "the rest is not read; mend this first";
            self.diagnostics.push(Diagnostic::error("too-much", span, message).hint(hint).refuses_start());
        }
    }

    fn lines(&mut self, file: u32) {
        let count = self.sources.get(file).map_or(0, Source::len);
        let mut definition: Option<OpenDefinition> = None;
        // A line that wrongly goes on, without comments, and whether a double quote is open at its end.
        let mut joined: Option<(Text, bool)> = None;
        for index in 0..count {
            if self.ended {
                return;
            }
            let Some(line) = self.sources.get(file).and_then(|source| source.line(index)) else { break };
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            if line.len() > LINE_MAX {
                let span = Span { file, line: number, column: 1, length: 1, made: 0 };
                let message = format!("this line has {} octets, more than {LINE_MAX}; it is ignored", line.len());
                let hint = "the file is perhaps not a configuration";
                self.diagnostics.push(Diagnostic::error("long-line", span, message).hint(hint));
                continue;
            }
            if definition.is_none() && joined.is_none() && written::pieces(file, number, line, &mut self.items) {
                continue;
            }
            if self.patience.is_over(&self.diagnostics) {
                let span = Span { file, line: number, column: 1, length: 1, made: 0 };
                self.end(span, format!("more than {MISTAKES_MAX} mistakes"));
                return;
            }
            let text = Text::of_line(file, number, line).trim();
            if let Some(at) = text.chars().iter().position(|c| *c == '\0') {
                self.diagnostics.push(
                    Diagnostic::error("nul", text.at(at), "a NUL byte stands in this line; the line is ignored")
                        .hint("the file was perhaps saved as UTF-16, or is damaged"),
                );
                continue;
            }
            let continues = text.get(text.len().wrapping_sub(1)) == Some('\\');
            if let Some(open) = &mut definition {
                // A comment may hide the backslash; the definition goes on all the same.
                let uncommented = lex::uncomment(&text);
                let mut piece = uncommented.text.trim();
                if continues && piece.get(piece.len().wrapping_sub(1)) == Some('\\') {
                    piece = piece.slice(0, piece.len() - 1).trim();
                }
                if let Some(span) = uncommented.cuts {
                    self.comment_cuts(span, &piece);
                }
                if !(continues && piece.is_empty()) {
                    open.lines.push(piece);
                }
                if !continues && let Some(open) = definition.take() {
                    self.define(open);
                }
                continue;
            }
            let goes_on = joined.is_some();
            let (start, quoted) = joined.take().unzip();
            let uncommented = lex::uncomment_more(&text, quoted.unwrap_or_default());
            let mut text = uncommented.text;
            if let Some(mut start) = start {
                start.append(&text);
                text = start;
            }
            if let Some(span) = uncommented.cuts {
                let value = definition_start(&text).filter(|_| !goes_on).map_or(0, |(.., value)| value);
                self.comment_cuts(span, &text.slice(value, text.len()));
            }
            text.trim_end();
            if !goes_on && let Some((condition, name, value)) = definition_start(&text) {
                let keep = condition.is_none_or(|(id, span)| self.condition(&id, span));
                let value = text.slice(value, text.len()).trim();
                let mut open = OpenDefinition { name, lines: Vec::new(), keep };
                let more = continues;
                let value = match value.get(value.len().wrapping_sub(1)) {
                    Some('\\') if more => value.slice(0, value.len() - 1).trim(),
                    _ => value,
                };
                if more {
                    if !value.is_empty() {
                        open.lines.push(value);
                    }
                    definition = Some(open);
                } else {
                    open.lines.push(value);
                    self.define(open);
                }
                continue;
            }
            let too_long = goes_on && text.len() > LINE_MAX;
            if too_long {
                let span = Span { file, line: number, column: 1, length: 1, made: 0 };
                let message = format!(
                    "this line and those that go on with it have more than {LINE_MAX} characters; they are ignored"
                );
                let hint = "the file is perhaps not a configuration";
                self.diagnostics.push(Diagnostic::error("long-line", span, message).hint(hint));
            }
            let last = text.len().wrapping_sub(1);
            if text.get(last) == Some('\\') && (last == 0 || text.get(last - 1).is_some_and(is_blank)) {
                self.diagnostics.push(
                    Diagnostic::error(
                        "continuation",
                        text.at(last),
                        "a backslash continues a line only inside a `$NAME=` definition",
                    )
                    .hint("write the directive on one line"),
                );
                // Kept as one line, so that nothing is reported twice; the mark keeps it from taking effect.
                let at = text.at(last);
                text.truncate(if too_long { 0 } else { last });
                text.push(lex::UNDEFINED, at);
                text.push(' ', at);
                joined = Some((text, uncommented.quoted));
                continue;
            }
            if !too_long {
                self.expand(text);
            }
        }
        if let Some((text, _)) = joined {
            self.expand(text.trim());
        }
        if let Some(open) = definition {
            self.define(open);
        }
    }

    /// A comment that touches the word before it, of which `kept` is the end.
    fn comment_cuts(&mut self, span: Span, kept: &Text) {
        let sign = text_at(&self.sources, span);
        let value = last_word(kept);
        // Who may not see the value shall see what is wrong with it: what is hidden begins with the first quote.
        let message = if self.sources.is_secret(span) {
            format!("a comment begins inside this secret: the value read is `{value}`")
        } else {
            format!("`{sign}` starts a comment: the value read is `{value}`")
        };
        self.diagnostics.push(
            Diagnostic::warning("comment-cuts-word", span, message)
                .silent()
                .hint(format!("put the value in double quotes, write `\\{sign}`, or put a space before the comment")),
        );
    }

    /// The number of an expansion, for the characters that it brings.
    fn brought(&mut self, how: Made, at: Span) -> Option<u32> {
        self.sources.expand(Expansion { how, at })
    }

    fn define(&mut self, definition: OpenDefinition) {
        let OpenDefinition { name, lines, keep } = definition;
        if keep {
            self.definitions.insert(name, Definition::Lines(lines));
        }
    }

    /// Takes one line through conditions, repetition, parameters, includes and braces.
    fn expand(&mut self, line: Text) {
        // Most recent first: what a line expands to comes before what follows it.
        let mut pending = vec![Step::Line(line, true)];
        while let Some(step) = pending.pop() {
            let (text, at_start) = match step {
                Step::Line(text, at_start) => (text.trim(), at_start),
                Step::Define(name, definition) => {
                    self.definitions.insert(name, definition);
                    continue;
                }
            };
            if text.is_empty() {
                continue;
            }
            if self.patience.is_over(&self.diagnostics) {
                self.end(text.at(0), format!("more than {MISTAKES_MAX} mistakes"));
                return;
            }
            if self.made > MADE_MAX || self.ended {
                let what = if text.starts_with("~") { "the repetition in this line makes" } else { "this line makes" };
                self.end(text.at(0), format!("{what} the text longer than 16 MiB or a quarter of a million lines"));
                return;
            }
            if text.get(0) == Some('@') {
                if let Some(rest) = self.conditional(&text, at_start) {
                    pending.push(Step::Line(rest, at_start));
                }
                continue;
            }
            if let Some((_, name, value)) = definition_start(&text) {
                let lines = vec![text.slice(value, text.len()).trim()];
                self.define(OpenDefinition { name, lines, keep: true });
                continue;
            }
            if text.starts_with("~SEQ") || text.starts_with("~LST") {
                let steps = self.repeat(&text, at_start);
                pending.extend(steps.into_iter().rev());
                continue;
            }
            if let Some(name) = spaced_definition(&text) {
                let equals = text.chars().iter().position(|c| *c == '=').unwrap_or_default();
                let value = text.slice(equals + 1, text.len()).trim();
                self.diagnostics.push(
                    Diagnostic::error(
                        "definition-space",
                        text.first_word().span(0, name.chars().count() + 1),
                        format!("no space may stand before `=` in the definition of `{name}`"),
                    )
                    .class(Class::UnknownKeyword)
                    .hint(format!("write `${name}={value}`")),
                );
                // What was meant is clear, so its uses are not reported again.
                let lines = vec![value];
                self.define(OpenDefinition { name, lines, keep: true });
                continue;
            }
            if let Some(replaced) = self.replace(&text) {
                // The lines behind the first are counted where they are copied.
                self.made += replaced.first().map_or(0, Text::len) + 1;
                let mut lines = replaced.into_iter().map(|line| Step::Line(lex::uncomment(&line).text, at_start));
                let first = lines.next();
                let rest: Vec<_> = lines.collect();
                pending.extend(rest.into_iter().rev());
                pending.extend(first);
                continue;
            }
            if self.include(&text) {
                continue;
            }
            if let Some(rest) = self.pieces(text) {
                // Every copy counts: a line may have as many of these as braces.
                self.made += rest.len();
                pending.push(Step::Line(rest, false));
            }
        }
    }

    /// Cuts a line at its braces. Its parameters are replaced; what is more than words behind a brace is returned.
    fn pieces(&mut self, text: Text) -> Option<Text> {
        let mut from = 0;
        let mut quoted = false;
        for at in 0..text.len() {
            let c = text.get(at)?;
            quoted ^= c == '"';
            if quoted || !matches!(c, '{' | '}') {
                continue;
            }
            let before = text.slice(from, at).trim();
            if !before.is_empty() {
                self.line(before);
            }
            self.items.push(if c == '{' { Item::Open(text.at(at)) } else { Item::Close(text.at(at)) });
            from = at + 1;
            if begins_anew(&text, from) {
                return Some(text.slice(from, text.len()));
            }
        }
        let rest = if from == 0 { text } else { text.slice(from, text.len()).trim() };
        if !rest.is_empty() {
            self.line(rest);
        }
        None
    }

    fn line(&mut self, text: Text) {
        let first = text.first_word().to_string();
        if first == "include_check" {
            self.include_check(&text);
        } else if first == "random_seed"
            && let Some(seed) = lex::plain(&text).words.get(1).and_then(|word| word.text.parse::<u32>().ok())
        {
            self.random = u64::from(seed);
        }
        let mut quoted = false;
        for (at, c) in text.chars().iter().enumerate() {
            quoted ^= *c == '"';
            let starts = at == 0 || text.get(at - 1).is_some_and(is_blank);
            if !quoted && starts && matches!(c, '\u{2018}'..='\u{201F}' | '\u{AB}') {
                let message = format!("typographic quote U+{:04X} is not a quote", u32::from(*c));
                self.diagnostics.push(
                    Diagnostic::error("typographic-quote", text.at(at), message)
                        .silent()
                        .hint("use the plain double quote \""),
                );
                break;
            }
        }
        self.items.push(Item::Line(Box::new(text)));
    }

    /// What is left of an `@id` line, if it is kept.
    fn conditional(&mut self, text: &Text, at_start: bool) -> Option<Text> {
        let prefix = text.first_word();
        let rest = text.slice(prefix.len(), text.len()).trim();
        if rest.get(0) == Some('@') {
            self.diagnostics.push(
                Diagnostic::error("two-conditions", rest.first_word().span(0, 1), "one line takes one `@id` only")
                    .class(Class::UnknownKeyword),
            );
            return None;
        }
        let id = prefix.slice(1, prefix.len()).to_string();
        let keep = self.condition(&id, prefix.span(0, prefix.len()));
        if !keep && !at_start && lex::find_brace(&rest).is_some() {
            self.diagnostics.push(
                Diagnostic::error(
                    "condition-swallows-brace",
                    prefix.span(0, prefix.len()),
                    "this condition drops the rest of the line, brace included",
                )
                .class(Class::MissingClose)
                .hint("put the braces on lines of their own"),
            );
            // The brace was not meant to be conditional: blocks stay whole.
            let brace = lex::find_brace(&rest).unwrap_or_default();
            return Some(rest.slice(brace, rest.len()));
        }
        (keep && !rest.is_empty()).then_some(rest)
    }

    fn condition(&mut self, id: &str, span: Span) -> bool {
        let (wanted, id) = match id.strip_prefix('^') {
            Some(id) => (false, id),
            None => (true, id),
        };
        let keep = (!id.is_empty() && id == self.config_id) == wanted;
        self.conditions.kept |= keep;
        self.conditions.first.get_or_insert(span);
        if !self.conditions.ids.contains(id) {
            self.conditions.ids.insert(id.to_owned());
            if self.conditions.named.len() < IDS_NAMED {
                self.conditions.named.push(id.to_owned());
            }
        }
        keep
    }

    fn unmatched_conditions(&mut self) {
        if let Some(span) = self.conditions.first.filter(|_| !self.conditions.kept) {
            let more = match self.conditions.ids.len() - self.conditions.named.len() {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let message = format!(
                "no `@id` line applies to config id `{}`; ids in this file: {}{more}",
                self.config_id,
                self.conditions.named.join(", ")
            );
            self.diagnostics.push(
                Diagnostic::warning("config-id", span, message)
                    .silent()
                    .hint("-i ID sets the config id; without it, it is the host name up to the first dot"),
            );
        }
    }
}

fn name_at(text: &Text, start: usize) -> Option<String> {
    let name: String =
        text.chars().get(start..)?.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').collect();
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then_some(name)
}

type Condition = Option<(String, Span)>;

/// `[@id] $NAME=`: the condition, the name, and where the value starts.
fn definition_start(text: &Text) -> Option<(Condition, String, usize)> {
    let mut at = 0;
    let mut condition = None;
    if text.get(0) == Some('@') {
        let prefix = text.first_word();
        condition = Some((prefix.slice(1, prefix.len()).to_string(), prefix.span(0, prefix.len())));
        at = prefix.len();
        while text.get(at).is_some_and(is_blank) {
            at += 1;
        }
    }
    if text.get(at) != Some('$') {
        return None;
    }
    let name = name_at(text, at + 1)?;
    let equals = at + 1 + name.chars().count();
    (text.get(equals) == Some('=')).then_some((condition, name, equals + 1))
}

/// Whether what follows a brace may be a condition, a definition, a repetition or an include.
fn begins_anew(text: &Text, from: usize) -> bool {
    let rest = text.chars().get(from..).unwrap_or_default();
    let mut rest = rest.iter().skip_while(|c| is_blank(**c));
    match rest.next() {
        Some('@' | '~' | '$') => true,
        Some('i') => "nclude".chars().all(|c| rest.next() == Some(&c)),
        _ => false,
    }
}

/// `$NAME = value`, which Keepalived takes for a keyword.
fn spaced_definition(text: &Text) -> Option<String> {
    let name = (text.get(0) == Some('$')).then(|| name_at(text, 1)).flatten()?;
    let after = text.slice(1 + name.chars().count(), text.len());
    (after.get(0).is_some_and(is_blank) && after.trim().get(0) == Some('=')).then_some(name)
}

fn last_word(text: &Text) -> String {
    lex::plain(text).words.pop().map(|word| word.text.to_string()).unwrap_or_default()
}

fn text_at(sources: &Sources, span: Span) -> char {
    let column = usize::try_from(span.column.saturating_sub(1)).unwrap_or_default();
    sources.line(span).and_then(|line| line.chars().nth(column)).unwrap_or('#')
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[', '{'])
}
