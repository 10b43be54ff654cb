//! Mistakes in what parameters and repetitions brought: told once, where they are written, with the line they became part
//! of and the way it took.

use std::collections::HashMap;

use super::diag::{Diagnostic, Made, Sources, Span};
use super::expand::Item;

/// Places of one way; a longer one is told by its first.
const WAY_MAX: usize = 32;

/// Mistakes of one kind at one place; what is beyond is a template that was repeated more often than is kept apart.
const SAME_MAX: usize = 100;

/// Completes diagnostics, which are sorted by place. A mistake of a template that many rounds repeat is told for the first.
pub fn tell(diagnostics: Vec<Diagnostic>, items: &[Item], sources: &Sources) -> Vec<Diagnostic> {
    let mut told: Vec<Diagnostic> = Vec::with_capacity(diagnostics.len());
    // By place and code: which of those that are told is the first, and how many more there are.
    let mut rounds: HashMap<_, (usize, usize)> = HashMap::new();
    let mut counts = HashMap::new();
    for diagnostic in diagnostics {
        let same = |known: &&mut Diagnostic| {
            known.span.place() == diagnostic.span.place() && known.message == diagnostic.message
        };
        let key = (diagnostic.span.place(), diagnostic.code);
        if let Some(known) =
            told.iter_mut().rev().take_while(|it| it.span.place() == diagnostic.span.place()).find(same)
        {
            counts_as_well(known, &diagnostic);
            if let Some((_, more)) = rounds.get_mut(&key).filter(|_| known.span.made != diagnostic.span.made) {
                *more += 1;
            }
            continue;
        }
        if diagnostic.span.made != 0 {
            if let Some((first, more)) = rounds.get_mut(&key) {
                *more += 1;
                if let Some(known) = told.get_mut(*first) {
                    counts_as_well(known, &diagnostic);
                }
                continue;
            }
            rounds.insert(key, (told.len(), 0));
        } else {
            let count = counts.entry(key).or_insert(0_usize);
            *count += 1;
            if *count > SAME_MAX {
                continue;
            }
        }
        told.push(diagnostic);
    }
    for (first, more) in rounds.values() {
        let Some(diagnostic) = told.get_mut(*first) else { continue };
        if *more > 0 {
            let lines = if *more == 1 { "line" } else { "lines" };
            diagnostic.message.push_str(&format!("; and so in {more} more {lines} made of this one"));
        }
    }
    let mut wanted: HashMap<(u32, u32, u32, u32), Option<String>> = HashMap::new();
    for diagnostic in told.iter_mut().filter(|diagnostic| diagnostic.span.made != 0) {
        wanted.insert(key(diagnostic.span), None);
        way(diagnostic, sources);
    }
    if wanted.is_empty() {
        return told;
    }
    for item in items {
        let Item::Line(text) = item else { continue };
        for index in 0..text.len() {
            let at = text.at(index);
            if at.made != 0
                && let Some(place) = wanted.get_mut(&key(at)).filter(|place| place.is_none())
            {
                *place = Some(text.to_string());
            }
        }
    }
    for diagnostic in told.iter_mut().filter(|diagnostic| diagnostic.span.made != 0) {
        let line = wanted.get(&key(diagnostic.span)).cloned().flatten();
        let written = sources.line(diagnostic.span).map(|line| line.trim_end_matches('\\').trim());
        if let Some(line) = line.filter(|line| Some(line.as_str()) != written) {
            diagnostic.reading(line);
        }
    }
    told
}

/// What is not told again has its effect on the exit status all the same.
fn counts_as_well(known: &mut Diagnostic, other: &Diagnostic) {
    known.class = known.class.max(other.class);
    known.severity = known.severity.max(other.severity);
    known.refuses_start |= other.refuses_start;
}

fn key(span: Span) -> (u32, u32, u32, u32) {
    (span.file, span.line, span.column, span.made)
}

/// Adds the places through which the characters came.
fn way(diagnostic: &mut Diagnostic, sources: &Sources) {
    let mut span = diagnostic.span;
    for _ in 0..WAY_MAX {
        let Some(expansion) = sources.expansion(span) else { return };
        let what = match expansion.how {
            Made::Used => "used here",
            Made::Repeated => "repeated here",
            // The same line.
            Made::Replaced => {
                span = expansion.at;
                continue;
            }
        };
        // What stands on the same line has been shown.
        if (expansion.at.file, expansion.at.line) != (diagnostic.span.file, diagnostic.span.line) {
            diagnostic.related.push((expansion.at, what.to_owned()));
        }
        span = expansion.at;
    }
}
