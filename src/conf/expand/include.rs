//! `include` and its variants: which files, what is refused, and no file inside itself.

use std::collections::HashSet;

use super::{ALL_CHECKS, Checks, DEPTH_MAX, Expander, FILES_MAX};
use crate::conf::diag::{Class, Diagnostic, Source, Span};
use crate::conf::files::FileKind;
use crate::conf::lex::{self, Text};

impl Expander<'_> {
    /// Whether the line was an include; if so, it has been carried out.
    pub(super) fn include(&mut self, text: &Text) -> bool {
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
            if self.ended {
                break;
            }
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
            let message = if self.open_files.contains(&canonical) {
                format!("{path} includes itself")
            } else {
                format!("{path} would be inside of {DEPTH_MAX} files")
            };
            self.diagnostics.push(
                Diagnostic::error("include-cycle", span, message)
                    .hint(format!("the chain of files: {}", chain.join(" -> "))),
            );
            return;
        }
        if self.sources.iter().count() >= FILES_MAX {
            self.end(span, format!("{path} would be file {}, more than {FILES_MAX} in all", FILES_MAX + 1));
            return;
        }
        let stat = self.files.stat(path);
        let bytes = match stat.map(|stat| (stat.kind, stat.mode)) {
            Some((FileKind::Regular, mode)) if mode & 0o111 == 0 => {
                self.read(path).map_err(|error| format!("cannot read {path}: {error}"))
            }
            Some((FileKind::Regular, mode)) => Err(format!("{path} is executable (mode {mode:04o}); it is skipped")),
            Some((FileKind::Directory, _)) => Err(format!("{path} is a directory; it is skipped")),
            Some((FileKind::Other, _)) | None => Err(format!("{path} is not a regular file; it is skipped")),
        };
        match bytes {
            Ok(bytes) => {
                let file = self.sources.add(Source::of_bytes(path, bytes));
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

    pub(super) fn include_check(&mut self, text: &Text) {
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

/// `{a,b}` multiplied out, in order. Nested braces work; an unbalanced brace is literal.
pub(super) fn alternatives(pattern: &str) -> Vec<String> {
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
