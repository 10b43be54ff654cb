//! The result of a check as SARIF 2.1.0 (OASIS): a rule for each code that occurs, a result for each diagnostic.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::conf::{Diagnostic, Loaded, Severity, Sources, Span};

pub fn document(loaded: &Loaded) -> Value {
    let mut rules: BTreeMap<&str, Severity> = BTreeMap::new();
    for diagnostic in &loaded.diagnostics {
        let worst = rules.entry(diagnostic.code).or_insert(diagnostic.severity);
        *worst = diagnostic.severity.max(*worst);
    }
    let index: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(index, code)| (*code, index)).collect();
    let results = loaded.diagnostics.iter().map(|it| result(it, index.get(it.code).copied(), &loaded.sources));
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "keepwatch",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|(code, severity)| json!({
                    "id": code,
                    "defaultConfiguration": { "level": level(*severity) },
                })).collect::<Vec<_>>(),
            } },
            "invocations": [{ "executionSuccessful": true, "exitCode": loaded.status }],
            // Columns of diagnostics count characters.
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn result(diagnostic: &Diagnostic, rule: Option<usize>, sources: &Sources) -> Value {
    // Code hosts show this to people who need not see the files.
    let told = |text: &str| diagnostic.discreet(text, sources);
    let mut text = told(&diagnostic.message);
    if let Some(line) = diagnostic.reads().filter(|_| !diagnostic.is_about_a_secret(sources)) {
        text.push_str(&format!("\nThe line reads `{line}`."));
    }
    if let Some(hint) = &diagnostic.hint {
        text.push_str(&format!("\nHint: {}", told(hint)));
    }
    let related = diagnostic.related.iter().enumerate().map(|(id, (span, what))| {
        let mut location = location(*span, sources);
        location["id"] = json!(id + 1);
        location["message"] = json!({ "text": told(what) });
        location
    });
    let mut result = json!({
        "ruleId": diagnostic.code,
        "level": level(diagnostic.severity),
        "message": { "text": text },
        "locations": [location(diagnostic.span, sources)],
        "relatedLocations": related.collect::<Vec<_>>(),
    });
    if let Some(rule) = rule {
        result["ruleIndex"] = json!(rule);
    }
    if let (Some(word), Some(_)) = (diagnostic.fix(), sources.line(diagnostic.span)) {
        result["fixes"] = json!([{
            "description": { "text": format!("write `{word}`") },
            "artifactChanges": [{
                "artifactLocation": { "uri": uri(sources.name(diagnostic.span.file)) },
                "replacements": [{
                    "deletedRegion": region(diagnostic.span),
                    "insertedContent": { "text": word },
                }],
            }],
        }]);
    }
    result
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "note",
    }
}

fn location(span: Span, sources: &Sources) -> Value {
    let mut place = json!({ "artifactLocation": { "uri": uri(sources.name(span.file)) } });
    if sources.line(span).is_some() {
        let mut region = region(span);
        if let Some(line) = sources.open_line(span) {
            region["snippet"] = json!({ "text": line });
        }
        place["region"] = region;
    }
    json!({ "physicalLocation": place })
}

fn region(span: Span) -> Value {
    let column = span.column.max(1);
    json!({
        "startLine": span.line,
        "startColumn": column,
        "endColumn": column.saturating_add(span.length.max(1)),
    })
}

/// A path as a reference of RFC 3986; one that starts with `/` needs no scheme to be absolute on this host.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    if path.starts_with('/') { format!("file://{uri}") } else { uri }
}
