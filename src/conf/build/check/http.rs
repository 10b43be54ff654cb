//! HTTP_GET and SSL_GET.

use super::checkers::{Server, target};
use super::timing::Timing;
use super::{Context, last, text_once};
use crate::conf::diag::Diagnostic;
use crate::conf::lex;
use crate::conf::model::{BodyRegex, Check, HttpCheck, HttpVersion, TlsSettings, Url};
use crate::conf::parse::Node;
use crate::conf::values::Value;

/// The checker of a block; `None` when nothing is left of it, with a report.
pub fn build(context: &mut Context<'_, '_>, node: &Node, server: &Server<'_>, timing: Timing) -> Option<Check> {
    if let Some(line) = node.child("nb_get_retry") {
        context.builder.report(
            Diagnostic::warning("deprecated", line.keyword.span, "`nb_get_retry` is an old name").hint("write `retry`"),
        );
    }
    let switch = |name| last(node, name, Node::switch).unwrap_or(false);
    let version = last(node, "http_protocol", |line| match line.text()? {
        "1.0" => Some(HttpVersion::V1_0),
        "1.0C" => Some(HttpVersion::V1_0Close),
        "1.0c" => Some(HttpVersion::V1_0CloseLower),
        "1.1" => Some(HttpVersion::V1_1),
        _ => None,
    });
    let own_host = text_once(context.builder, node, "virtualhost");
    let virtual_host = own_host.as_deref().or(server.virtual_host);
    let compliant = node.name() == "SSL_GET" && switch("tls_compliant");
    let mut urls = Vec::new();
    for child in node.children("url") {
        urls.extend(url(context, child, virtual_host, compliant));
    }
    let target = target(context, node, server, timing)?;
    // That there is no url, or none with a path, has been reported.
    if urls.is_empty() {
        return None;
    }
    let tls = (node.name() == "SSL_GET").then(|| TlsSettings {
        // `sni_name` without a name asks for the virtual host.
        sni: switch("enable_sni") || node.child("sni_name").is_some(),
        sni_name: text_once(context.builder, node, "sni_name"),
        compliant,
        client: context.tls.clone(),
    });
    Some(Check::Http(Box::new(HttpCheck {
        target,
        tls,
        version: version.unwrap_or_default(),
        urls,
        fast_recovery: switch("fast_recovery"),
    })))
}

fn url(context: &mut Context<'_, '_>, node: &Node, virtual_host: Option<&str>, compliant: bool) -> Option<Url> {
    let path = text_once(context.builder, node, "path");
    let own_host = text_once(context.builder, node, "virtualhost");
    let digest = digest(context, node);
    let regex = regex(context, node);
    Some(Url {
        path: path?,
        virtual_host: own_host.or_else(|| virtual_host.map(str::to_owned)),
        digest,
        status: status(node),
        regex,
        tls_compliant: last(node, "tls_compliant", Node::switch).unwrap_or(compliant),
    })
}

fn digest(context: &mut Context<'_, '_>, node: &Node) -> Option<[u8; 16]> {
    let mut lines = node.children("digest").filter_map(|line| Some((line, md5(line.text()?)?)));
    let first = lines.next();
    for (again, _) in lines {
        context.builder.already_set(again);
    }
    first.map(|(_, digest)| digest)
}

fn md5(text: &str) -> Option<[u8; 16]> {
    let bits = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(bits.to_be_bytes())
}

fn status(node: &Node) -> Vec<(u16, u16)> {
    let words = node.children("status_code").flat_map(|line| &line.values);
    let ranges: Vec<(u16, u16)> = words
        .filter_map(|value| match &value.value {
            Some(Value::Text(text)) => {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                Some((first.parse().ok()?, last.parse().ok()?))
            }
            _ => None,
        })
        .collect();
    if ranges.is_empty() { vec![(200, 299)] } else { ranges }
}

fn regex(context: &mut Context<'_, '_>, node: &Node) -> Option<BodyRegex> {
    let _ = text_once(context.builder, node, "regex");
    let pattern = last(node, "regex", |line| line.text().filter(|text| !text.is_empty() && line.extra.is_empty()));
    let no_match = node.child("regex_no_match");
    let Some(pattern) = pattern else {
        if let Some(line) = no_match.filter(|_| !node.wrote("regex")) {
            context.report(
                Diagnostic::warning("no-regex", line.keyword.span, "regex_no_match without a regex has no effect")
                    .silent()
                    .hint("add `regex PATTERN`, or delete the line"),
            );
        }
        return None;
    };
    let numbers = |line: &Node| -> Option<Vec<u64>> {
        let number = |value: &crate::conf::parse::Val| value.value.as_ref().and(value.word.text.parse().ok());
        line.values.iter().map(number).collect()
    };
    let offset = |name| last(node, name, |line| numbers(line)?.first().copied());
    let (mut min_offset, mut max_offset) = (offset("regex_min_offset").unwrap_or(0), offset("regex_max_offset"));
    if let (Some(max), Some(line)) = (max_offset, node.child("regex_max_offset"))
        && min_offset > max
    {
        let message = format!("regex_min_offset {min_offset} is above {max}: the whole body is searched");
        let diagnostic = Diagnostic::warning("regex-offset", line.span(), message).silent();
        context.report(diagnostic.hint("write the smaller offset as regex_min_offset"));
        (min_offset, max_offset) = (0, None);
    }
    let mut stack = None;
    for line in node.children("regex_stack") {
        match numbers(line).as_deref() {
            Some([start, max]) if start <= max => stack = Some((*start, *max)),
            Some([start, max]) => {
                let message = format!("a stack that starts with {start} octets cannot end with {max}");
                let diagnostic = Diagnostic::warning("regex-stack", line.span(), message).silent();
                context.report(diagnostic.hint("the line is ignored; write START and MAX"));
            }
            _ => {}
        }
    }
    let options = node.children("regex_options").flat_map(|line| &line.values);
    let mut options: Vec<String> =
        options.filter(|value| value.value.is_some()).map(|value| value.word.text.to_string()).collect();
    options.dedup();
    let pattern = lex::unescape(pattern);
    let line = node.children("regex").rfind(|line| line.extra.is_empty());
    if let (Some(line), Some(error)) = (line, context.builder.host.pattern_error(&pattern, &options)) {
        let diagnostic = Diagnostic::error("regex", line.span(), format!("no regular expression: {error}")).silent();
        context.report(diagnostic.hint("the check fails until this is corrected; a backslash is written as two"));
    }
    Some(BodyRegex { pattern, options, no_match: no_match.is_some(), min_offset, max_offset, stack })
}
