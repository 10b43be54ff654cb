//! The result of a check as one JSON document. docs/operations.md describes it; members are added, never changed.

use serde_json::{Value, json};

use super::count;
use crate::conf::{Diagnostic, Loaded, Severity, Sources, Span};

/// Of the document; a reader refuses what it does not know.
const VERSION: u32 = 1;

pub fn document(loaded: &Loaded, file: &str, here: bool) -> Value {
    let diagnostics = loaded.diagnostics.iter().map(|it| diagnostic(it, &loaded.sources));
    let not_built = loaded.config.not_built.iter().map(|directive| {
        json!({
            "directive": directive.directive,
            "place": { "file": directive.location.file, "line": directive.location.line },
        })
    });
    json!({
        "version": VERSION,
        "file": file,
        "here": here,
        "exit_status": loaded.status,
        "can_start": loaded.can_start,
        "summary": {
            "errors": count(loaded, Severity::Error),
            "warnings": count(loaded, Severity::Warning),
            "hints": count(loaded, Severity::Hint),
        },
        "diagnostics": diagnostics.collect::<Vec<_>>(),
        "without_effect": not_built.collect::<Vec<_>>(),
    })
}

/// Documents go to where the files do not: what may be a secret is not in them.
fn diagnostic(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let told = |text: &str| diagnostic.discreet(text, sources);
    let related =
        diagnostic.related.iter().map(|(span, what)| json!({ "message": told(what), "place": place(*span, sources) }));
    json!({
        "severity": diagnostic.severity.name(),
        "code": diagnostic.code,
        "message": told(&diagnostic.message),
        "place": place(diagnostic.span, sources),
        "reads": diagnostic.reads().filter(|_| !diagnostic.is_about_a_secret(sources)),
        "related": related.collect::<Vec<_>>(),
        "hint": diagnostic.hint.as_deref().map(told),
        "fix": diagnostic.fix(),
        "refuses_start": diagnostic.refuses_start,
    })
}

fn place(span: Span, sources: &Sources) -> Value {
    let file = sources.name(span.file);
    // Line 0 is the file as a whole.
    if span.line == 0 {
        return json!({ "file": file });
    }
    json!({
        "file": file,
        "line": span.line,
        "column": span.column,
        "length": span.length,
        "text": sources.open_line(span),
    })
}
