//! `${NAME}` and `$NAME`: what they stand for, and putting it in their place.

use super::{Definition, Expander, LINE_MAX, MADE_MAX, NESTING_MAX, ROUND_COST, name_at};
use crate::conf::diag::{Diagnostic, Expansion, Made, Span};
use crate::conf::lex::{self, Text, is_blank};

impl Expander<'_> {
    /// The lines that a line becomes when its parameters are replaced; `None` when it has none.
    pub(super) fn replace(&mut self, text: &Text) -> Option<Vec<Text>> {
        if !text.chars().contains(&'$') {
            return None;
        }
        if !(0..text.len()).any(|at| text.get(at) == Some('$') && reference(text, at).is_some()) {
            return None;
        }
        let beside = self.brought(Made::Replaced, text.at(0)).map(|made| text.made(made));
        let text = beside.as_ref().unwrap_or(text);
        let mut out = Text::of_use(text.at(0), "");
        let mut following = Vec::new();
        let changed = self.replace_into(text, &mut out, &mut following, Place { depth: 0, last: true });
        if !changed {
            return None;
        }
        let mut lines = vec![out];
        lines.extend(following);
        lines.iter_mut().for_each(|line| line.settle(&self.sources));
        Some(lines)
    }

    fn replace_into(&mut self, text: &Text, out: &mut Text, following: &mut Vec<Text>, place: Place) -> bool {
        let mut changed = false;
        let mut quoted = false;
        let mut at = 0;
        while let Some(c) = text.get(at) {
            quoted ^= c == '"';
            let reference = if c == '$' { reference(text, at) } else { None };
            let Some(reference) = reference else {
                // What is blank at the start of a line is nothing.
                if !(out.is_empty() && is_blank(c)) {
                    out.push(c, text.at(at));
                }
                at += 1;
                continue;
            };
            if (changed || place.depth > 0) && is_for_a_line(out) {
                // The rest is for each of the lines that this makes, which come back here.
                self.made += ROUND_COST;
                out.append(&text.slice(at, text.len()));
                return true;
            }
            let span = text.span(at, reference.end);
            let last = place.last && reference.end >= text.len();
            if !last && self.has_several_lines(&reference) {
                let message = format!("`{}` has several lines and can stand only at the end of a line", reference.name);
                self.diagnostics.push(
                    Diagnostic::error("multi-line-inside", span, message)
                        .hint("put the rest of the line on a line of its own"),
                );
                out.push(lex::UNDEFINED, span);
                changed = true;
                at = reference.end;
                continue;
            }
            match self.value(&reference, span) {
                Value::Lines(lines) => {
                    if place.depth >= NESTING_MAX || self.made > MADE_MAX || out.len() > LINE_MAX {
                        let name = &reference.name;
                        let (code, message, hint) = if place.depth >= NESTING_MAX {
                            let hint = "a value is replaced when it is used, not when it is defined";
                            ("parameter-loop", format!("`{name}` is defined by itself"), hint)
                        } else {
                            let hint = "each use of a parameter copies its value; look for one that uses another twice";
                            (
                                "parameter-growth",
                                format!("`{name}` makes this line longer than {LINE_MAX} characters"),
                                hint,
                            )
                        };
                        self.diagnostics.push(Diagnostic::error(code, span, message).hint(hint));
                        // The loop is broken for good, so that it is told once.
                        self.definitions.insert(reference.name.clone(), Definition::Made(lex::UNDEFINED.to_string()));
                        out.push(lex::UNDEFINED, span);
                    } else {
                        let mut lines = lines.into_iter();
                        let first = lines.next();
                        // Before the first line is looked into, which may be made of this value again.
                        self.made += lines.as_slice().iter().map(|line| line.len() + ROUND_COST).sum::<usize>();
                        if let Some(first) = first {
                            self.made += first.len() + 1;
                            self.replace_into(&first, out, following, Place { depth: place.depth + 1, last });
                        }
                        following.extend(lines);
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

    fn has_several_lines(&self, reference: &Reference) -> bool {
        reference.arguments.is_empty()
            && matches!(self.definitions.get(&reference.name), Some(Definition::Lines(lines)) if lines.len() > 1)
    }

    fn undefined(&mut self, name: &str, span: Span) {
        let known = self.suggestions.closest(name, self.definitions.keys().map(String::as_str));
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
        let defined = self.definitions.get(&reference.name).filter(|_| reference.arguments.is_empty());
        match defined {
            Some(Definition::Lines(lines)) => {
                let brought = self.sources.expand(Expansion { how: Made::Used, at: span });
                let here = |line: &Text| match brought {
                    Some(made) => line.made(made),
                    None => Text::of_use(span, &line.chars().iter().collect::<String>()),
                };
                return Value::Lines(lines.iter().map(here).collect());
            }
            Some(Definition::Made(text)) => return Value::Lines(vec![Text::of_use(span, text)]),
            None => {}
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
        Value::Lines(vec![Text::of_use(span, &text.replace(['\n', '\r', '\0'], " "))])
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
}

/// Where a text stands that is put into a line.
#[derive(Clone, Copy)]
struct Place {
    /// Parameters that it is inside of.
    depth: usize,
    /// Nothing follows it on the line.
    last: bool,
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
    Lines(Vec<Text>),
    Undefined,
    /// Reported already.
    Broken,
}

/// Whether a line begins with a repetition or a condition.
fn is_for_a_line(text: &Text) -> bool {
    text.get(0) == Some('@') || text.starts_with("~SEQ") || text.starts_with("~LST")
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
