//! Scripts and their users, as far as they can be told wrong before anything runs them.
//!
//! Nothing runs yet; but `-t` answers for a configuration as Keepalived does, and says more about it.

use std::collections::HashMap;

use super::Builder;
use crate::conf::diag::{Class, Diagnostic, Span};
use crate::conf::files::{FileKind, Stat};
use crate::conf::keywords::{self, Arg, Kind, Shape};
use crate::conf::lex::{self, Word};
use crate::conf::parse::{Line, Node};
use crate::conf::values::Value;

const DEFAULT_USER: &str = "keepalived_script";

pub fn check(builder: &mut Builder<'_>, nodes: &[Node]) {
    let mut all = Vec::new();
    for node in nodes {
        collect(node, node.name() == "virtual_server", &mut all);
    }
    let global = || nodes.iter().filter(|node| node.name() == "global_defs").flat_map(|node| &node.children);
    let security = global().find(|node| node.name() == "enable_script_security");
    let user = global().rfind(|node| node.name() == "script_user");
    let default_user = default_user(builder, user, security, &all);
    let mut first = None;
    for script in &all {
        let runs = script.check(builder, default_user, security.is_some());
        // Keepalived does not come to the scripts of VRRP when an interface is missing.
        let reached = script.checker || !builder.interface_missing;
        if runs && reached && script.tracked.is_none_or(|name| is_tracked(nodes, name)) {
            first = first.or(Some(script));
        }
    }
    references(builder, nodes);
    if let Some(first) = first.filter(|_| security.is_none()) {
        let at = first.user.map_or(first.node.keyword.span, |(_, span)| span);
        builder.report(
            Diagnostic::warning("script-security", at, "scripts run as root without enable_script_security")
                .class(Class::Security)
                .hint("add enable_script_security to global_defs: it refuses scripts that others could have written"),
        );
    }
}

/// One place where a command is configured.
struct Script<'a> {
    node: &'a Node,
    /// Who runs it, and where that is said.
    user: Option<(&'a Word, Span)>,
    /// Name of the `vrrp_script`.
    tracked: Option<&'a str>,
    /// Inside a virtual server.
    checker: bool,
}

fn collect<'a>(node: &'a Node, checker: bool, all: &mut Vec<Script<'a>>) {
    for child in &node.children {
        let command = matches!(child.row.shape, Shape::Words([Arg { kind: Kind::Script, .. }, ..]));
        if command && !child.values.is_empty() {
            let own = child.word("user").map(|word| (word, word.span)).or_else(|| {
                let user = node.child("user")?;
                Some((user.word("user")?, user.keyword.span))
            });
            let tracked = if node.name() == "vrrp_script" { node.text() } else { None };
            all.push(Script { node: child, user: own, tracked, checker });
        }
        collect(child, checker, all);
    }
}

/// Whether scripts without a user of their own can run.
fn default_user(builder: &mut Builder<'_>, user: Option<&Node>, security: Option<&Node>, all: &[Script<'_>]) -> bool {
    if let Some(word) = user.and_then(|user| user.word("user")) {
        if builder.host.user_exists(&word.text) {
            return true;
        }
        let diagnostic = Diagnostic::error("no-user", word.span, format!("no user {} on this host", word.text));
        builder.report(match keywords::closest(&word.text, ["root", DEFAULT_USER]) {
            Some(near) => {
                diagnostic.hint(format!("did you mean {near}? Scripts without a user of their own are dropped"))
            }
            None => diagnostic.hint("scripts without a user of their own are dropped"),
        });
        return false;
    }
    let needed = all.iter().any(|script| script.user.is_none());
    let Some(security) = security.filter(|_| needed && !builder.host.user_exists(DEFAULT_USER)) else { return true };
    builder.report(
        Diagnostic::error("no-user", security.keyword.span, format!("user {DEFAULT_USER} does not exist on this host"))
            .hint("create it, or set script_user"),
    );
    false
}

impl Script<'_> {
    /// Reports what is wrong with the script; whether it would be run.
    fn check(&self, builder: &mut Builder<'_>, default_user: bool, security: bool) -> bool {
        let Some(word) = self.node.values.first().map(|value| &value.word) else { return false };
        let user = self.user.map(|(word, _)| word);
        if word.is_undefined() || user.is_some_and(Word::is_undefined) {
            return false;
        }
        if let Some(user) = user.filter(|user| !builder.host.user_exists(&user.text)) {
            let diagnostic = Diagnostic::error("no-user", user.span, format!("no user {} on this host", user.text));
            let diagnostic = if self.tracked.is_some() { diagnostic } else { diagnostic.silent() };
            builder.report(if word.quoted || self.tracked.is_some() {
                diagnostic.hint("the script is dropped")
            } else {
                diagnostic.hint("the second word is a user: put a command with arguments in double quotes")
            });
            return false;
        }
        // Why a script without a user is dropped has been told, and typographic quotes too.
        let typographic = word.text.starts_with(['\u{2018}', '\u{2019}', '\u{201C}', '\u{201D}']);
        if (user.is_none() && !default_user) || typographic {
            return false;
        }
        // `</path` tests that a file can be opened, and runs nothing.
        if word.text.starts_with('<') {
            return true;
        }
        shell_syntax(builder, word);
        let arguments = lex::command(&word.text).unwrap_or_default();
        let Some(path) = arguments.into_iter().next() else { return false };
        match self.file_problem(builder, word, &path, security) {
            Some(problem) => {
                builder.report(problem);
                false
            }
            None => true,
        }
    }

    fn file_problem(&self, builder: &Builder<'_>, word: &Word, path: &str, security: bool) -> Option<Diagnostic> {
        // Keepalived counts a missing or insecure vrrp_script, and only logs the rest.
        let class = if self.tracked.is_some() { Class::General } else { Class::Silent };
        let at = word.part(0, path.chars().count());
        let found = if path.contains('/') { Some(path.to_owned()) } else { search(builder, path) };
        let Some((stat, path)) = found.and_then(|path| Some((builder.files.stat(&path)?, path))) else {
            let diagnostic = Diagnostic::error("no-script", at, format!("file not found: {path}"));
            return Some(diagnostic.class(class).hint("the script is dropped"));
        };
        let mode = stat.mode;
        if stat.kind != FileKind::Regular {
            let diagnostic = Diagnostic::error("no-script", at, format!("{path} is not a regular file"));
            Some(diagnostic.class(class).hint("the script is dropped"))
        } else if mode & 0o111 == 0 {
            let message = format!("{path} is not executable (mode {mode:04o})");
            let diagnostic = Diagnostic::error("not-executable", at, message).silent();
            Some(diagnostic.hint(format!("chmod +x {path}; the script is dropped until then")))
        } else if security && writable_by_others(stat) {
            let message = format!("mode {mode:04o}: others than root can write {path}");
            let diagnostic = Diagnostic::error("insecure-script", at, message).class(class);
            Some(diagnostic.hint("chmod go-w; enable_script_security drops such scripts"))
        } else {
            None
        }
    }
}

fn writable_by_others(stat: Stat) -> bool {
    stat.owner != 0 || stat.mode & 0o002 != 0 || (stat.mode & 0o020 != 0 && stat.group != 0)
}

fn search(builder: &Builder<'_>, name: &str) -> Option<String> {
    let path = builder.host.environment("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    path.split(':').map(|directory| format!("{directory}/{name}")).find(|path| builder.files.stat(path).is_some())
}

fn shell_syntax(builder: &mut Builder<'_>, word: &Word) {
    let mut from = 0;
    for part in word.text.split(lex::is_blank) {
        let length = part.chars().count();
        if matches!(part, "|" | "||" | "&&" | ";" | "&" | ">" | ">>" | "<") {
            builder.report(
                Diagnostic::warning(
                    "shell-syntax",
                    word.part(from, length),
                    format!("no shell is involved: `{part}` is an argument"),
                )
                .silent()
                .hint("use /bin/sh -c '...', or a script file"),
            );
            return;
        }
        from += length + 1;
    }
}

fn is_tracked(nodes: &[Node], name: &str) -> bool {
    tracks(nodes).any(|(_, line)| line.first().is_some_and(|value| value.word.text == name))
}

/// Lines of every `track_script`, with the block around it.
fn tracks(nodes: &[Node]) -> impl Iterator<Item = (&Node, &Line)> {
    let blocks = nodes.iter().filter(|node| matches!(node.name(), "vrrp_instance" | "vrrp_sync_group"));
    blocks.flat_map(|block| {
        block.children("track_script").flat_map(move |list| list.entries.iter().map(move |line| (block, line)))
    })
}

/// Names of scripts, files, processes and sessions that are tracked, against those that exist.
fn references(builder: &mut Builder<'_>, nodes: &[Node]) {
    let kinds = [
        ("track_script", &["vrrp_script"][..]),
        ("track_file", &["track_file", "vrrp_track_file"][..]),
        ("track_process", &["vrrp_track_process"][..]),
        ("track_bfd", &["bfd_instance"][..]),
    ];
    for (list, definitions) in kinds {
        let known: HashMap<&str, Span> = nodes
            .iter()
            .filter(|node| definitions.contains(&node.name()))
            .filter_map(|node| Some((node.text()?, node.span())))
            .collect();
        let blocks = nodes.iter().filter(|node| matches!(node.name(), "vrrp_instance" | "vrrp_sync_group"));
        for word in blocks
            .flat_map(|block| block.children(list))
            .flat_map(|list| &list.entries)
            .filter_map(|line| Some(&line.first()?.word))
            .filter(|word| !word.is_undefined())
        {
            match known.get(word.text.as_str()) {
                None => {
                    let names: Vec<&str> = known.keys().copied().collect();
                    let diagnostic =
                        Diagnostic::error("unknown-name", word.span, format!("no {} {}", definitions[0], word.text));
                    builder.report(match keywords::closest(&word.text, names) {
                        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
                        None => diagnostic.hint(format!("define `{} {} {{ ... }}`", definitions[0], word.text)),
                    });
                }
                Some(defined) if (defined.file, defined.line) > (word.span.file, word.span.line) => builder.report(
                    Diagnostic::warning("order", word.span, format!("{} is defined after this line", word.text))
                        .related(*defined, "defined here")
                        .hint("Keepalived needs the definition first; either order works here"),
                ),
                Some(_) => {}
            }
        }
    }
    for node in nodes.iter().filter(|node| node.name() == "vrrp_script") {
        if let Some(name) = node.text().filter(|name| !is_tracked(nodes, name) && node.child("script").is_some()) {
            builder.report(
                Diagnostic::warning("unused-script", node.span(), format!("vrrp_script {name} is in no track_script"))
                    .silent()
                    .hint("it is not run; name it in a track_script, or delete it"),
            );
        }
    }
    grouped_weights(builder, nodes);
}

/// Weights of scripts do not count in a sync group that does not ask for them.
fn grouped_weights(builder: &mut Builder<'_>, nodes: &[Node]) {
    let weight_of = |name: &str| {
        let script = nodes.iter().find(|node| node.name() == "vrrp_script" && node.text() == Some(name))?;
        script.child("weight")?.int()
    };
    for group in nodes.iter().filter(|node| node.name() == "vrrp_sync_group") {
        if group.child("sync_group_tracking_weight").is_some() || group.child("global_tracking").is_some() {
            continue;
        }
        let members: Vec<&str> = group
            .children("group")
            .flat_map(|list| &list.entries)
            .filter_map(|line| Some(line.first()?.word.text.as_str()))
            .collect();
        for (block, line) in tracks(nodes) {
            let Some(name) = block.text().filter(|name| members.contains(name)) else { continue };
            let Some(word) = line.first().map(|value| &value.word) else { continue };
            let own = match line.option("weight").and_then(|option| option.value()) {
                Some(Value::Int(weight)) => Some(*weight),
                _ => None,
            };
            if own.or_else(|| weight_of(&word.text)).unwrap_or(0) != 0 {
                let group = group.text().unwrap_or_default();
                builder.report(
                    Diagnostic::warning(
                        "group-weight",
                        word.span,
                        format!("{name} is in sync group {group}: a script with a weight is ignored"),
                    )
                    .hint("use weight 0, or add sync_group_tracking_weight to the group"),
                );
            }
        }
    }
}
