//! From files to lines: comments, conditions, definitions and parameters, repetition, includes, braces.
//!
//! The result is a flat list of [`Item`]s in the order in which they take effect. Start at [`Expander::run`]. What the
//! words mean is not known here, but for `include_check` and `random_seed`, which change how the rest is read.

use std::collections::{HashMap, HashSet};

use super::Options;
use super::diag::{Class, Diagnostic, Source, Sources, Span};
use super::files::{FileKind, Files};
use super::host::Host;
use super::lex::{self, Text, is_blank};

/// What is left of the text when reading is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Line(Text),
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
    definitions: HashMap<String, Vec<String>>,
    /// Canonical names of the files being read, outermost first.
    open_files: Vec<String>,
    /// Directory of the file being read, empty for the working directory.
    directory: String,
    checks: Checks,
    all_checks: bool,
    random: u64,
    conditions: Conditions,
    /// Lines and characters made so far by repetition and replacement.
    made: usize,
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
    ids: Vec<String>,
    first: Option<Span>,
    kept: bool,
}

/// A definition that goes on with the next line.
struct OpenDefinition {
    name: String,
    lines: Vec<String>,
    keep: bool,
}

/// More than any real configuration makes of itself: 16 MiB of text, a million lines, 64 files inside each other.
const MADE_MAX: usize = 16 << 20;
/// What one round of a repetition costs besides its text.
const ROUND_COST: usize = 64;
const LINES_MAX: usize = 1_000_000;
const DEPTH_MAX: usize = 64;
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
        }
    }

    /// Reads the file, or the files that a pattern names.
    pub fn run(mut self, path: &str) -> Expanded {
        let names = if self.files.stat(path).is_none() && is_pattern(path) {
            alternatives(path).iter().flat_map(|pattern| self.files.glob(pattern)).collect()
        } else {
            vec![path.to_owned()]
        };
        let mut opened = false;
        if names.is_empty() {
            self.missing_top(path, "no file matches this pattern");
        }
        if names.len() > 1 {
            let file = self.sources.add(Source { name: path.to_owned(), lines: Vec::new() });
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
        let file = self.sources.add(Source { name: path.to_owned(), lines: Vec::new() });
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
            Some(FileKind::Regular | FileKind::Other) => {}
            None => {
                self.missing_top(path, "no such file");
                return false;
            }
        }
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.missing_top(path, &error.to_string());
                return false;
            }
        };
        let file = self.sources.add(Source { name: path.to_owned(), lines: lex::lines(&bytes) });
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

    fn lines(&mut self, file: u32) {
        let count = self.sources.get(file).map_or(0, |source| source.lines.len());
        let mut definition: Option<OpenDefinition> = None;
        let mut joined: Option<Text> = None;
        for index in 0..count {
            let Some(line) = self.sources.get(file).and_then(|source| source.lines.get(index)).cloned() else { break };
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            let mut text = Text::of_line(file, number, &line).trim();
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
                let mut piece = lex::uncomment(&text).text.trim();
                if continues && piece.get(piece.len().wrapping_sub(1)) == Some('\\') {
                    piece = piece.slice(0, piece.len() - 1).trim();
                }
                if !(continues && piece.is_empty()) {
                    open.lines.push(as_stored(&piece));
                }
                if !continues && let Some(open) = definition.take() {
                    self.define(open);
                }
                continue;
            }
            if let Some(mut start) = joined.take() {
                start.append(&text);
                text = start;
            }
            let uncommented = lex::uncomment(&text);
            if let Some(span) = uncommented.cuts {
                let sign = text_at(&self.sources, span);
                self.diagnostics.push(
                    Diagnostic::warning(
                        "comment-cuts-word",
                        span,
                        format!("`{sign}` starts a comment: the value read is `{}`", last_word(&uncommented.text)),
                    )
                    .silent()
                    .hint(format!(
                        "put the value in double quotes, write `\\{sign}`, or put a space before the comment"
                    )),
                );
            }
            let text = uncommented.text.trim();
            if let Some((condition, name, value)) = definition_start(&text) {
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
                        open.lines.push(as_stored(&value));
                    }
                    definition = Some(open);
                } else {
                    open.lines.push(as_stored(&value));
                    self.define(open);
                }
                continue;
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
                let mut start = text.slice(0, last);
                start.push(lex::UNDEFINED, text.at(last));
                start.push(' ', text.at(last));
                joined = Some(start);
                continue;
            }
            self.expand(text);
        }
        if let Some(text) = joined {
            self.expand(text.trim());
        }
        if let Some(open) = definition {
            self.define(open);
        }
    }

    fn define(&mut self, definition: OpenDefinition) {
        let OpenDefinition { name, lines, keep } = definition;
        if keep {
            self.definitions.insert(name, lines);
        }
    }

    /// Takes one line through conditions, repetition, parameters, includes and braces.
    fn expand(&mut self, line: Text) {
        // Most recent first: what a line expands to comes before what follows it.
        let mut pending = vec![(line, true)];
        while let Some((text, at_start)) = pending.pop() {
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            if self.items.len() > LINES_MAX || self.made > MADE_MAX {
                if !self.diagnostics.iter().any(|diagnostic| diagnostic.code == "too-much") {
                    self.diagnostics.push(Diagnostic::error(
                        "too-much",
                        text.at(0),
                        "parameters and repetitions make more than a million lines or 16 MiB of this file",
                    ));
                }
                return;
            }
            if text.get(0) == Some('@') {
                if let Some(rest) = self.conditional(&text, at_start) {
                    pending.push((rest, at_start));
                }
                continue;
            }
            if let Some((_, name, value)) = definition_start(&text) {
                let lines = vec![as_stored(&text.slice(value, text.len()).trim())];
                self.define(OpenDefinition { name, lines, keep: true });
                continue;
            }
            if text.starts_with("~SEQ") || text.starts_with("~LST") {
                let repeats = self.repeat(&text);
                pending.extend(repeats.into_iter().rev().map(|text| (text, at_start)));
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
                let lines = vec![as_stored(&value)];
                self.define(OpenDefinition { name, lines, keep: true });
                continue;
            }
            if let Some(replaced) = self.replace(&text) {
                self.made += replaced.iter().map(Text::len).sum::<usize>() + 1;
                let mut lines = replaced.into_iter().map(|line| (lex::uncomment(&line).text, at_start));
                let first = lines.next();
                let rest: Vec<_> = lines.collect();
                pending.extend(rest.into_iter().rev());
                pending.extend(first);
                continue;
            }
            if self.include(&text) {
                continue;
            }
            let Some(at) = lex::find_brace(&text) else {
                self.line(text);
                continue;
            };
            let before = text.slice(0, at).trim();
            if !before.is_empty() {
                self.line(before);
            }
            let span = text.at(at);
            self.items.push(if text.get(at) == Some('{') { Item::Open(span) } else { Item::Close(span) });
            pending.push((text.slice(at + 1, text.len()), false));
        }
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
        self.items.push(Item::Line(text));
    }

    // Conditions.

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
        if !self.conditions.ids.iter().any(|known| known == id) {
            self.conditions.ids.push(id.to_owned());
        }
        keep
    }

    fn unmatched_conditions(&mut self) {
        if let Some(span) = self.conditions.first.filter(|_| !self.conditions.kept) {
            let message = format!(
                "no `@id` line applies to config id `{}`; ids in this file: {}",
                self.config_id,
                self.conditions.ids.join(", ")
            );
            self.diagnostics.push(
                Diagnostic::warning("config-id", span, message)
                    .silent()
                    .hint("-i ID sets the config id; without it, it is the host name up to the first dot"),
            );
        }
    }

    // Parameters.

    /// The lines that a line becomes when its parameters are replaced; `None` when it has none.
    fn replace(&mut self, text: &Text) -> Option<Vec<Text>> {
        if !text.chars().contains(&'$') {
            return None;
        }
        let mut out = Text::of_use(text.at(0), "");
        let mut following = Vec::new();
        let changed = self.replace_into(text, &mut out, &mut following, 0);
        if !changed {
            return None;
        }
        let mut lines = vec![out];
        lines.extend(following);
        Some(lines)
    }

    fn replace_into(&mut self, text: &Text, out: &mut Text, following: &mut Vec<Text>, depth: usize) -> bool {
        let mut changed = false;
        let mut quoted = false;
        let mut at = 0;
        while let Some(c) = text.get(at) {
            quoted ^= c == '"';
            let reference = if c == '$' { reference(text, at) } else { None };
            let Some(reference) = reference else {
                out.push(c, text.at(at));
                at += 1;
                continue;
            };
            let span = text.span(at, reference.end);
            let last = reference.end >= text.len();
            match self.value(&reference, span) {
                Value::Lines(lines) => {
                    if lines.len() > 1 && !last {
                        self.diagnostics.push(
                            Diagnostic::error(
                                "multi-line-inside",
                                span,
                                format!(
                                    "`{}` has several lines and can stand only at the end of a line",
                                    reference.name
                                ),
                            )
                            .hint("put the rest of the line on a line of its own"),
                        );
                        out.push(lex::UNDEFINED, span);
                    } else if depth >= NESTING_MAX || self.made > MADE_MAX {
                        self.diagnostics.push(
                            Diagnostic::error(
                                "parameter-loop",
                                span,
                                format!("`{}` is defined by itself", reference.name),
                            )
                            .hint("a value is replaced when it is used, not when it is defined"),
                        );
                        // The loop is broken for good, so that it is told once.
                        self.definitions.insert(reference.name.clone(), vec![lex::UNDEFINED.to_string()]);
                        out.push(lex::UNDEFINED, span);
                    } else {
                        let mut lines = lines.into_iter();
                        let first = lines.next().unwrap_or_default();
                        self.made += first.len() + 1;
                        self.replace_into(&Text::of_use(span, &first), out, following, depth + 1);
                        following.extend(lines.map(|line| Text::of_use(span, &line)));
                    }
                    changed = true;
                }
                Value::Broken => {
                    out.push(lex::UNDEFINED, span);
                    changed = true;
                }
                Value::Undefined if reference.braces && !quoted => {
                    self.undefined(&reference.name, span);
                    out.push(lex::UNDEFINED, span);
                    changed = true;
                }
                // As typed; scripts may mean something by it.
                Value::Undefined => {
                    (at..reference.end).for_each(|index| out.push(text.get(index).unwrap_or_default(), text.at(index)));
                }
            }
            at = reference.end;
        }
        changed
    }

    fn undefined(&mut self, name: &str, span: Span) {
        let known = lex_closest(name, self.definitions.keys().map(String::as_str));
        let hint = match known {
            Some(known) => format!("did you mean `${{{known}}}`?"),
            None => format!(
                "define it before its first use: `${name}=VALUE`; without a definition, the braces would split the line"
            ),
        };
        self.diagnostics.push(
            Diagnostic::error("undefined-parameter", span, format!("`{name}` is not defined before this line"))
                .hint(hint),
        );
    }

    fn value(&mut self, reference: &Reference, span: Span) -> Value {
        if let Some(lines) = self.definitions.get(&reference.name).filter(|_| reference.arguments.is_empty()) {
            return Value::Lines(lines.clone());
        }
        let text = match reference.name.as_str() {
            "_PWD" => {
                let directory = if self.directory.is_empty() { "." } else { self.directory.as_str() };
                let canonical = self.files.canonicalize(directory);
                canonical.unwrap_or_else(|_| directory.trim_end_matches('/').to_owned())
            }
            "_INSTANCE" => self.config_id.clone(),
            "_HASH" => "#".to_owned(),
            "_BANG" => "!".to_owned(),
            "_RANDOM" => match self.random(reference) {
                Ok(number) => number.to_string(),
                Err(message) => {
                    self.diagnostics.push(
                        Diagnostic::error("random", span, message).hint("write ${_RANDOM}, or ${_RANDOM MIN MAX}"),
                    );
                    return Value::Broken;
                }
            },
            "_ENV" => match reference.arguments.first() {
                Some(name) => self.host.environment(name).unwrap_or_default(),
                None => {
                    self.diagnostics.push(
                        Diagnostic::error("env", span, "_ENV needs the name of an environment variable")
                            .hint("write ${_ENV NAME}"),
                    );
                    return Value::Broken;
                }
            },
            _ => return Value::Undefined,
        };
        // A line end in a variable must not make a second directive.
        Value::Lines(vec![text.replace(['\n', '\r', '\0'], " ")])
    }

    fn random(&mut self, reference: &Reference) -> Result<u32, String> {
        let bound = |index: usize, default: u32| match reference.arguments.get(index) {
            None => Ok(default),
            Some(word) => word.parse::<u32>().map_err(|_| format!("`{word}` is not a number")),
        };
        if reference.arguments.len() > 2 {
            return Err("_RANDOM takes at most a minimum and a maximum".to_owned());
        }
        let (min, max) = (bound(0, 0)?, bound(1, 32767)?);
        if min > max {
            return Err(format!("the minimum {min} is above the maximum {max}"));
        }
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let range = u64::from(max - min) + 1;
        Ok(min + u32::try_from(mixed % range).unwrap_or(0))
    }

    // Repetition.

    /// The lines of a `~SEQ` or `~LST`. The variable is a parameter, so each line is preceded by its definition.
    fn repeat(&mut self, text: &Text) -> Vec<Text> {
        let at = text.chars().iter().position(|c| *c == '(');
        let end = text.chars().iter().position(|c| *c == ')');
        let (Some(at), Some(end)) = (at, end.filter(|end| at.is_some_and(|at| at < *end))) else {
            self.bad_repeat(text.span(0, text.len()), "expected `(VAR, values)` after it");
            return Vec::new();
        };
        let keyword = text.slice(0, at).trim().to_string();
        let arguments = text.slice(at + 1, end);
        let body = text.slice(end + 1, text.len()).trim();
        // Numbers may be parameters.
        let replaced = self.replace(&arguments).and_then(|lines| lines.into_iter().next()).unwrap_or(arguments);
        let result = match keyword.as_str() {
            "~SEQ" => sequence(&replaced, false),
            "~SEQx" => sequence(&replaced, true),
            "~LST" => list(&replaced),
            _ => Err((text.span(0, at), format!("unknown repetition `{keyword}`: expected ~SEQ, ~SEQx or ~LST"))),
        };
        match result {
            Ok(rounds) => {
                let mut lines = Vec::new();
                for round in rounds {
                    for (name, value) in round {
                        let mut definition = Text::of_use(text.at(0), &format!("${name}="));
                        definition.append(&Text::of_use(text.at(0), &value));
                        lines.push(definition);
                    }
                    self.made += body.len() + ROUND_COST;
                    if self.made > MADE_MAX {
                        break;
                    }
                    lines.push(body.clone());
                }
                lines
            }
            Err((span, message)) => {
                self.bad_repeat(span, &message);
                Vec::new()
            }
        }
    }

    fn bad_repeat(&mut self, span: Span, message: &str) {
        self.diagnostics.push(
            Diagnostic::error("repetition", span, message.to_owned())
                .hint("write `~SEQ(VAR, START, STEP, END) text ${VAR}` or `~LST(VAR, a, b) text ${VAR}`"),
        );
    }

    // Includes.

    /// Whether the line was an include; if so, it has been carried out.
    fn include(&mut self, text: &Text) -> bool {
        let keyword = text.first_word();
        let mut checks = self.checks;
        match keyword.to_string().as_str() {
            "include" => {}
            "includer" => checks.read = true,
            "includem" => (checks.read, checks.named) = (true, true),
            "includew" => (checks.read, checks.named, checks.wildcard) = (true, true, true),
            "includeb" => (checks.read, checks.brace) = (true, true),
            "includea" => checks = ALL_CHECKS,
            _ => return false,
        }
        let name = text.slice(keyword.len(), text.len()).trim();
        if name.is_empty() {
            return false;
        }
        let span = name.span(0, name.len());
        let mut pattern = name.to_string();
        let unquoted = pattern.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(str::to_owned);
        let quoted = unquoted.is_some();
        pattern = unquoted.unwrap_or(pattern);
        if pattern.contains(lex::UNDEFINED) {
            return true;
        }
        let mut names = Vec::new();
        let mut missing = Vec::new();
        let patterns = alternatives(&pattern);
        for alternative in &patterns {
            let path = self.relative(alternative);
            if self.files.stat(&path).is_some() {
                names.push(path);
            } else if alternative.contains(['*', '?', '[']) {
                let found = self.files.glob(&path);
                if found.is_empty() && checks.wildcard {
                    self.include_failed(span, format!("no file matches {path}"));
                }
                names.extend(found);
            } else {
                missing.push(path);
            }
        }
        let several = patterns.len() > 1;
        let strict = if several { checks.brace || (checks.named && names.is_empty()) } else { checks.named };
        if !missing.is_empty() && strict {
            self.include_failed(span, format!("no such file: {}", missing.join(", ")));
            return true;
        }
        for path in missing {
            let hint =
                "Keepalived starts without it; use includea to make that an error, a wildcard to make it optional";
            self.diagnostics.push(
                Diagnostic::error("include-missing", span, format!("no such file: {path}"))
                    .class(Class::MissingFile)
                    .hint(hint),
            );
        }
        names.sort();
        if quoted && !names.is_empty() {
            self.diagnostics.push(
                Diagnostic::note("include-quotes", span, "Keepalived takes the quotes for a part of the file name")
                    .hint(format!("write `{keyword} {pattern}`")),
            );
        }
        for path in names {
            self.include_file(span, &path, checks);
        }
        true
    }

    fn include_failed(&mut self, span: Span, message: String) {
        self.diagnostics.push(
            Diagnostic::error("include-failed", span, message)
                .class(Class::IncludeCheck)
                .hint("plain `include` reads on without the file")
                .refuses_start(),
        );
    }

    fn include_file(&mut self, span: Span, path: &str, checks: Checks) {
        let canonical = self.files.canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if self.open_files.contains(&canonical) || self.open_files.len() >= DEPTH_MAX {
            let chain: Vec<_> = self.open_files.iter().map(String::as_str).chain([canonical.as_str()]).collect();
            self.diagnostics.push(
                Diagnostic::error("include-cycle", span, format!("{path} includes itself"))
                    .hint(format!("the chain of files: {}", chain.join(" -> "))),
            );
            return;
        }
        let stat = self.files.stat(path);
        let bytes = match stat.map(|stat| (stat.kind, stat.mode)) {
            Some((FileKind::Regular, mode)) if mode & 0o111 == 0 => {
                self.files.read(path).map_err(|error| format!("cannot read {path}: {error}"))
            }
            Some((FileKind::Regular, mode)) => Err(format!("{path} is executable (mode {mode:04o}); it is skipped")),
            Some((FileKind::Directory, _)) => Err(format!("{path} is a directory; it is skipped")),
            Some((FileKind::Other, _)) | None => Err(format!("{path} is not a regular file; it is skipped")),
        };
        match bytes {
            Ok(bytes) => {
                let file = self.sources.add(Source { name: path.to_owned(), lines: lex::lines(&bytes) });
                self.file(file, path);
            }
            Err(message) if checks.read => self.include_failed(span, message),
            Err(message) => self.diagnostics.push(
                Diagnostic::warning("include-skipped", span, message)
                    .silent()
                    .hint("included files are regular files without an execute bit"),
            ),
        }
    }

    fn relative(&self, name: &str) -> String {
        if name.starts_with('/') { name.to_owned() } else { format!("{}{name}", self.directory) }
    }

    fn include_check(&mut self, text: &Text) {
        let words = lex::plain(text).words;
        if self.all_checks {
            return;
        }
        if words.len() == 1 {
            self.checks = ALL_CHECKS;
        }
        for (index, word) in words.iter().skip(1).enumerate() {
            let (on, name) = match (word.text.strip_prefix('+'), word.text.strip_prefix('-')) {
                (Some(name), _) => (true, name),
                (_, Some(name)) => (false, name),
                _ => {
                    if index == 0 {
                        self.checks = Checks::default();
                    }
                    (true, word.text.as_str())
                }
            };
            match name {
                "read" | "readable" => self.checks.read = on,
                "match" => self.checks.named = on,
                "wildcard_match" => self.checks.wildcard = on,
                "brace_match" => self.checks.brace = on,
                _ => {}
            }
        }
    }
}

/// A use of a parameter.
struct Reference {
    name: String,
    arguments: Vec<String>,
    /// Index after its last character.
    end: usize,
    braces: bool,
}

enum Value {
    Lines(Vec<String>),
    Undefined,
    /// Reported already.
    Broken,
}

fn reference(text: &Text, dollar: usize) -> Option<Reference> {
    let braces = text.get(dollar + 1) == Some('{');
    let start = dollar + 1 + usize::from(braces);
    let name = name_at(text, start)?;
    let mut end = start + name.chars().count();
    if !braces {
        let follows = text.get(end);
        let ends = follows.is_none_or(|c| is_blank(c) || matches!(c, ',' | ')'));
        return ends.then_some(Reference { name, arguments: Vec::new(), end, braces });
    }
    let mut arguments: Vec<String> = Vec::new();
    let mut blank = false;
    loop {
        match text.get(end)? {
            '}' if !blank => return Some(Reference { name, arguments, end: end + 1, braces }),
            c if is_blank(c) => blank = true,
            c if c.is_ascii_alphanumeric() || c == '_' => {
                if blank {
                    arguments.push(String::new());
                }
                arguments.last_mut()?.push(c);
                blank = false;
            }
            _ => return None,
        }
        end += 1;
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

/// `$NAME = value`, which Keepalived takes for a keyword.
fn spaced_definition(text: &Text) -> Option<String> {
    let name = (text.get(0) == Some('$')).then(|| name_at(text, 1)).flatten()?;
    let after = text.slice(1 + name.chars().count(), text.len());
    (after.get(0).is_some_and(is_blank) && after.trim().get(0) == Some('=')).then_some(name)
}

/// A value as it is kept: with the marks of literal characters.
fn as_stored(text: &Text) -> String {
    text.chars().iter().collect()
}

fn last_word(text: &Text) -> String {
    lex::plain(text).words.pop().map(|word| word.text).unwrap_or_default()
}

fn text_at(sources: &Sources, span: Span) -> char {
    let column = usize::try_from(span.column.saturating_sub(1)).unwrap_or_default();
    sources.line(span).and_then(|line| line.chars().nth(column)).unwrap_or('#')
}

fn lex_closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    super::keywords::closest(name, known)
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[', '{'])
}

/// `{a,b}` multiplied out, in order. Nested braces work; an unbalanced brace is literal.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut seen = HashSet::new();
    let mut pending = vec![pattern.to_owned()];
    while let Some(pattern) = pending.pop() {
        // Enough for any list of files, and an end for {a,b}{a,b}{a,b}...
        if done.len() + pending.len() > 1024 {
            break;
        }
        match first_brace(&pattern) {
            Some((head, parts, tail)) => {
                pending.extend(parts.iter().rev().map(|part| format!("{head}{part}{tail}")));
            }
            None => {
                if seen.insert(pattern.clone()) {
                    done.push(pattern);
                }
            }
        }
    }
    done
}

fn first_brace(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let open = pattern.find('{')?;
    let mut depth = 0_usize;
    let mut parts = Vec::new();
    let mut from = open + 1;
    for (at, c) in pattern.char_indices().filter(|(at, _)| *at >= open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                parts.push(pattern.get(from..at)?);
                from = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            parts.push(pattern.get(from..at)?);
            return Some((pattern.get(..open)?, parts, pattern.get(at + 1..)?));
        }
    }
    None
}

type Rounds = Vec<Vec<(String, String)>>;

/// Values of `VAR, [START,] [STEP,] END`.
fn sequence(arguments: &Text, hex: bool) -> Result<Rounds, (Span, String)> {
    let parts = split_commas(arguments);
    let all = arguments.span(0, arguments.len());
    let (name, numbers) = parts.split_first().ok_or((all, "a variable is missing".to_owned()))?;
    let variable = variable(name)?;
    let mut values = Vec::new();
    for part in numbers {
        let text = part.to_string();
        let number = integer(&text).ok_or_else(|| (part.span(0, part.len()), format!("`{text}` is not a number")))?;
        values.push((number, part.span(0, part.len())));
    }
    let (start, step, end) = match *values.as_slice() {
        [(end, _)] => {
            let start = if end < 0 { -1 } else { 1 };
            (start, if end < start { -1 } else { 1 }, end)
        }
        [(start, _), (end, _)] => (start, if end < start { -1 } else { 1 }, end),
        [(start, _), (step, at), (end, _)] => {
            if step == 0 || (end > start && step < 0) || (end < start && step > 0) {
                return Err((at, format!("step {step} cannot go from {start} to {end}")));
            }
            (start, step, end)
        }
        [] => return Err((all, "the last value is missing".to_owned())),
        _ => return Err((all, "at most three numbers: start, step and end".to_owned())),
    };
    if hex && (start < 0 || end < 0) {
        return Err((all, "~SEQx takes no negative numbers".to_owned()));
    }
    if (end - start) / step >= 100_000 {
        return Err((all, "more than 100,000 values".to_owned()));
    }
    let mut rounds = Vec::new();
    let mut value = start;
    while (step > 0 && value <= end) || (step < 0 && value >= end) {
        let text = if hex { format!("{value:x}") } else { value.to_string() };
        rounds.push(vec![(variable.clone(), text)]);
        value += step;
    }
    Ok(rounds)
}

/// Values of `VAR, a, b` or `{A,B}, {a1,b1}, {a2,b2}`.
fn list(arguments: &Text) -> Result<Rounds, (Span, String)> {
    let parts = split_commas(arguments);
    let all = arguments.span(0, arguments.len());
    let (names, values) = parts.split_first().ok_or((all, "a variable is missing".to_owned()))?;
    let names: Vec<String> = members(names).iter().map(variable).collect::<Result<_, _>>()?;
    let mut rounds = Vec::new();
    for value in values {
        let members = members(value);
        if members.len() > names.len() {
            let message = format!("{} values for {} variables", members.len(), names.len());
            return Err((value.span(0, value.len()), message));
        }
        let texts = members.iter().map(as_stored).chain(std::iter::repeat(String::new()));
        rounds.push(names.iter().cloned().zip(texts).collect());
    }
    if rounds.is_empty() {
        return Err((all, "values are missing".to_owned()));
    }
    Ok(rounds)
}

fn variable(text: &Text) -> Result<String, (Span, String)> {
    let name = name_at(text, 0).filter(|name| name.chars().count() == text.len());
    name.ok_or_else(|| (text.span(0, text.len()), format!("`{text}` cannot name a variable")))
}

fn members(text: &Text) -> Vec<Text> {
    if text.get(0) == Some('{') && text.get(text.len().wrapping_sub(1)) == Some('}') {
        split_commas(&text.slice(1, text.len() - 1))
    } else {
        vec![text.clone()]
    }
}

fn split_commas(text: &Text) -> Vec<Text> {
    let mut parts = Vec::new();
    let mut from = 0;
    let mut depth = 0_usize;
    for (at, c) in text.chars().iter().enumerate() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.slice(from, at).trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.slice(from, text.len()).trim());
    parts
}

/// Decimal, 0x hex or 0 octal, with a sign; nothing counts as 0. Within 32 bits, so that steps cannot overflow.
fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = match (digits.strip_prefix("0x"), digits.strip_prefix('0')) {
        _ if digits.is_empty() && text.is_empty() => 0,
        (Some(hex), _) => i64::from_str_radix(hex, 16).ok()?,
        (_, Some(octal)) if !octal.is_empty() => i64::from_str_radix(octal, 8).ok()?,
        _ => digits.parse().ok()?,
    };
    (value <= i64::from(u32::MAX)).then_some(sign * value)
}
