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

fn diagnostic(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let related =
        diagnostic.related.iter().map(|(span, what)| json!({ "message": what, "place": place(*span, sources) }));
    json!({
        "severity": diagnostic.severity.name(),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "place": place(diagnostic.span, sources),
        "reads": diagnostic.reads(),
        "related": related.collect::<Vec<_>>(),
        "hint": diagnostic.hint,
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
        "text": sources.line(span),
    })
}
