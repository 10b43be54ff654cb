//! Scripts and their users: what can be told wrong before anything runs them, and what the runner is to execute.

use std::collections::HashMap;

use super::Builder;
use super::tracking::tracked_scripts;
use crate::conf::diag::{Class, Diagnostic, Span};
use crate::conf::files::{FileKind, Stat};
use crate::conf::host::Identity;
use crate::conf::keywords::{self, Arg, Kind, Shape};
use crate::conf::lex::{self, Word};
use crate::conf::model::{Script, ScriptEntry, ScriptId, TrackCommand};
use crate::conf::parse::Node;

/// Who runs scripts, if there is such a user and the file names no other.
pub const DEFAULT_USER: &str = "keepalived_script";

/// The scripts of a file that can run, by the directive that names them.
pub struct Scripts {
    runs: HashMap<*const Node, Runs>,
    /// Those that something uses, in the order of their use.
    entries: Vec<ScriptEntry>,
    /// `set_supplementary_groups`.
    all_groups: bool,
}

struct Runnable {
    /// The program with its directory resolved, and its arguments.
    words: Vec<String>,
    identity: Identity,
}

impl Scripts {
    /// The script that a directive names, unless it is dropped, with a report.
    pub fn take(&mut self, builder: &Builder<'_>, node: &Node) -> Option<Script> {
        let Runs::Command(Runnable { words, identity }) = self.runs.get(&std::ptr::from_ref(node))? else {
            return None;
        };
        let id = ScriptId(u32::try_from(self.entries.len()).ok()?);
        self.entries.push(ScriptEntry {
            words: words.clone(),
            uid: identity.uid,
            gid: identity.gid,
            all_groups: self.all_groups,
            location: builder.location(node.keyword.span),
        });
        let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
        Some(Script { id, text: quoted.join(" "), path: words.first()?.clone() })
    }

    /// Likewise, where a file to open will do.
    pub fn take_tracked(&mut self, builder: &Builder<'_>, node: &Node) -> Option<TrackCommand> {
        match self.runs.get(&std::ptr::from_ref(node))? {
            Runs::Command(_) => self.take(builder, node).map(TrackCommand::Run),
            Runs::Opens(path) => Some(TrackCommand::Opens(path.clone())),
        }
    }

    pub fn into_entries(self) -> Vec<ScriptEntry> {
        self.entries
    }
}

/// Judges every script of the file.
pub fn check(builder: &mut Builder<'_>, nodes: &[Node]) -> Scripts {
    let mut all = Vec::new();
    for node in nodes {
        collect(node, node.name() == "virtual_server", &mut all);
    }
    let global = || nodes.iter().filter(|node| node.name() == "global_defs").flat_map(|node| &node.children);
    let security = global().find(|node| node.name() == "enable_script_security");
    let user = global().rfind(|node| node.name() == "script_user" && !node.values.is_empty());
    let default = default_identity(builder, user, security, &all);
    let switch = |name: &str| global().filter(|node| node.name() == name).filter_map(Node::switch).next_back();
    let as_written = switch("use_symlink_paths").unwrap_or(false);
    let rules = Rules { security: security.is_some(), as_written };
    let all_groups = switch("set_supplementary_groups").unwrap_or(false);
    let mut first = None;
    let mut running = HashMap::new();
    let tracked = tracked_scripts(nodes);
    for script in &all {
        let runs = script.check(builder, default, rules);
        // Keepalived does not come to the scripts of VRRP when an interface is missing.
        let reached = script.checker || !builder.interface_missing;
        if runs.is_some() && reached && script.tracked.is_none_or(|name| tracked.contains(name)) {
            first = first.or(Some(script));
        }
        if let Some(runs) = runs {
            running.insert(std::ptr::from_ref(script.node), runs);
        }
    }
    if let Some(first) = first.filter(|_| security.is_none()) {
        let at = first.user.as_ref().map_or(first.node.keyword.span, |user| user.at);
        builder.report(
            Diagnostic::warning("script-security", at, "scripts are run without enable_script_security")
                .class(Class::Security)
                .hint("add enable_script_security to global_defs: it refuses scripts that others could have written"),
        );
    }
    Scripts { runs: running, entries: Vec::new(), all_groups }
}

/// What holds for all scripts.
#[derive(Clone, Copy)]
struct Rules {
    /// `enable_script_security`.
    security: bool,
    /// `use_symlink_paths`: a program is executed by the path that is written.
    as_written: bool,
}

/// One place where a command is configured.
struct Configured<'a> {
    node: &'a Node,
    user: Option<User<'a>>,
    /// Name of the `vrrp_script`.
    tracked: Option<&'a str>,
    /// Inside a virtual server.
    checker: bool,
}

/// Who runs a script, and where that is said.
struct User<'a> {
    name: &'a Word,
    group: Option<&'a Word>,
    at: Span,
}

enum Runs {
    Command(Runnable),
    /// `</path` tests that a file can be opened, and runs nothing.
    Opens(String),
}

fn collect<'a>(node: &'a Node, checker: bool, all: &mut Vec<Configured<'a>>) {
    for child in &node.children {
        let command = matches!(child.row.shape, Shape::Words([Arg { kind: Kind::Script, .. }, ..]));
        if command && !child.values.is_empty() {
            let own = |from: &'a Node, at: Option<Span>| {
                let name = from.word("user")?;
                Some(User { name, group: from.word("group"), at: at.unwrap_or(name.span) })
            };
            let beside = || node.child("user").and_then(|user| own(user, Some(user.keyword.span)));
            let tracked = if node.name() == "vrrp_script" { node.text() } else { None };
            all.push(Configured { node: child, user: own(child, None).or_else(beside), tracked, checker });
        }
        collect(child, checker, all);
    }
}

/// Who runs scripts without a user of their own; `None` when nobody can, with a report.
fn default_identity(
    builder: &mut Builder<'_>,
    user: Option<&Node>,
    security: Option<&Node>,
    all: &[Configured<'_>],
) -> Option<Identity> {
    if let Some((node, word)) = user.and_then(|user| Some((user, user.word("user")?))) {
        let diagnostic = match identity(builder, word, node.word("group")) {
            Ok(identity) => return Some(identity),
            Err(diagnostic) => diagnostic,
        };
        builder.report(match keywords::closest(&word.text, ["root", DEFAULT_USER]) {
            Some(near) if diagnostic.span == word.span && near != word.text => {
                diagnostic.hint(format!("did you mean {near}? Scripts without a user of their own are dropped"))
            }
            _ => diagnostic.hint("scripts without a user of their own are dropped"),
        });
        return None;
    }
    if let Some(identity) = builder.host.user(DEFAULT_USER) {
        return Some(identity);
    }
    let Some(security) = security else { return Some(builder.host.own_identity()) };
    if all.iter().any(|script| script.user.is_none()) {
        builder.report(
            Diagnostic::error(
                "no-user",
                security.keyword.span,
                format!("user {DEFAULT_USER} does not exist on this host"),
            )
            .hint("create it, or set script_user"),
        );
    }
    None
}

pub fn identity(builder: &Builder<'_>, user: &Word, group: Option<&Word>) -> Result<Identity, Diagnostic> {
    let unknown = |what: &str, word: &Word| {
        Diagnostic::error("no-user", word.span, format!("no {what} {} on this host", word.text))
    };
    let identity = builder.host.user(&user.text).ok_or_else(|| unknown("user", user))?;
    let Some(group) = group else { return Ok(identity) };
    let gid = builder.host.group(&group.text).ok_or_else(|| unknown("group", group))?;
    Ok(Identity { gid, ..identity })
}

impl Configured<'_> {
    /// Reports what is wrong with the script; what would be run.
    fn check(&self, builder: &mut Builder<'_>, default: Option<Identity>, rules: Rules) -> Option<Runs> {
        let word = &self.node.values.first()?.word;
        let user = self.user.as_ref();
        if word.is_undefined() || user.is_some_and(|user| user.name.is_undefined()) {
            return None;
        }
        let own = match user.map(|user| identity(builder, user.name, user.group)).transpose() {
            Ok(own) => own,
            Err(diagnostic) => {
                // Keepalived counts users with a line of their own, and only logs those behind a command.
                let beside = user.is_some_and(|user| user.at != user.name.span);
                let counts = self.tracked.is_some() || beside;
                let diagnostic = if counts { diagnostic } else { diagnostic.silent() };
                builder.report(if word.quoted || counts {
                    diagnostic.hint("the script is dropped")
                } else {
                    diagnostic.hint("the second word is a user: put a command with arguments in double quotes")
                });
                return None;
            }
        };
        // Why a script without a user is dropped has been told, and typographic quotes too.
        let typographic = word.text.starts_with(['\u{2018}', '\u{2019}', '\u{201C}', '\u{201D}']);
        let identity = own.or(default).filter(|_| !typographic)?;
        if let Some(path) = word.text.strip_prefix('<') {
            return Some(Runs::Opens(path.to_owned()));
        }
        shell_syntax(builder, word);
        let mut words = lex::command(&word.text).unwrap_or_default();
        let Some(written) = words.first() else {
            if let Some(name) = self.tracked.filter(|_| word.text.trim().is_empty()) {
                builder.report(
                    Diagnostic::error("no-script", word.span, format!("vrrp_script {name} has an empty command"))
                        .hint("the script is dropped; name a program"),
                );
            }
            return None;
        };
        match self.program(builder, word, written, identity, rules) {
            Ok(path) => {
                *words.first_mut()? = path;
                Some(Runs::Command(Runnable { words, identity }))
            }
            Err(problem) => {
                builder.report(problem);
                None
            }
        }
    }

    /// The program's file with its directory resolved, or what is wrong with it.
    fn program(
        &self,
        builder: &Builder<'_>,
        word: &Word,
        written: &str,
        identity: Identity,
        rules: Rules,
    ) -> Result<String, Diagnostic> {
        // Keepalived counts a missing or insecure vrrp_script, and only logs the rest.
        let class = if self.tracked.is_some() { Class::General } else { Class::Silent };
        if !builder.host.is_known() {
            return Ok(written.to_owned());
        }
        let at = word.part(0, written.chars().count());
        let found = if written.contains('/') { Some(written.to_owned()) } else { search(builder, written) };
        let Some((stat, path)) = found.and_then(|path| Some((builder.files.stat(&path)?, path))) else {
            let diagnostic = Diagnostic::error("no-script", at, format!("file not found: {written}"));
            return Err(diagnostic.class(class).hint("the script is dropped"));
        };
        let mode = stat.mode;
        if stat.kind != FileKind::Regular {
            let diagnostic = Diagnostic::error("no-script", at, format!("{path} is not a regular file"));
            return Err(diagnostic.class(class).hint("the script is dropped"));
        }
        if mode & 0o111 == 0 {
            let message = format!("{path} is not executable (mode {mode:04o})");
            let diagnostic = Diagnostic::error("not-executable", at, message).silent();
            return Err(diagnostic.hint(format!("chmod +x {path}; the script is dropped until then")));
        }
        if !executable_by(stat, identity) {
            let message = format!("user {} may not execute {path} (mode {mode:04o})", identity.uid);
            let diagnostic = Diagnostic::error("not-executable", at, message).silent();
            return Err(diagnostic.hint("the script is dropped; let its user or group execute it"));
        }
        let resolved = resolve_directory(builder, &path);
        let as_root = identity.uid == 0 || (mode & 0o4000 != 0 && stat.owner == 0);
        if rules.security && as_root {
            let target = builder.files.canonicalize(&resolved).unwrap_or_else(|_| resolved.clone());
            if let Some(diagnostic) = insecure(builder, at, &target).or_else(|| insecure(builder, at, &resolved)) {
                return Err(diagnostic.class(class));
            }
        }
        Ok(if rules.as_written { path } else { resolved })
    }
}

/// The path that is executed: its directory without symbolic links. The file keeps its name, which some programs
/// look at.
fn resolve_directory(builder: &Builder<'_>, path: &str) -> String {
    let (directory, name) = path.rsplit_once('/').unwrap_or((".", path));
    let directory = if directory.is_empty() { "/" } else { directory };
    match builder.files.canonicalize(directory) {
        Ok(directory) => format!("{}/{name}", directory.trim_end_matches('/')),
        Err(_) => path.to_owned(),
    }
}

fn executable_by(stat: Stat, identity: Identity) -> bool {
    let bits = if identity.uid == 0 {
        0o111
    } else if identity.uid == stat.owner {
        0o100
    } else if identity.gid == stat.group {
        0o010
    } else {
        0o001
    };
    stat.mode & bits != 0
}

/// The first part of a path that others than root could have written.
fn insecure(builder: &Builder<'_>, at: Span, path: &str) -> Option<Diagnostic> {
    let ends = path.match_indices('/').map(|(end, _)| end.max(1)).chain([path.len()]);
    let (part, stat) = ends.filter_map(|end| path.get(..end)).find_map(|part| {
        let stat = builder.files.stat(part)?;
        writable_by_others(stat).then_some((part, stat))
    })?;
    let message = format!("mode {:04o}: others than root can write {part}", stat.mode);
    let hint = if stat.owner == 0 { "chmod go-w" } else { "chown root" };
    let diagnostic = Diagnostic::error("insecure-script", at, message);
    Some(diagnostic.hint(format!("{hint}; enable_script_security drops such scripts")))
}

/// In a directory with the sticky bit others cannot replace a file of root's.
fn writable_by_others(stat: Stat) -> bool {
    let shared = stat.mode & 0o002 != 0 || (stat.mode & 0o020 != 0 && stat.group != 0);
    let sticky = stat.kind == FileKind::Directory && stat.mode & 0o1000 != 0;
    stat.owner != 0 || (shared && !sticky)
}

fn search(builder: &Builder<'_>, name: &str) -> Option<String> {
    let path = builder.host.environment("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    path.split(':').map(|directory| format!("{directory}/{name}")).find(|path| builder.files.stat(path).is_some())
}

fn shell_syntax(builder: &mut Builder<'_>, word: &Word) {
    let is_operator = |part: &str| matches!(part, "|" | "||" | "&&" | ";" | "&" | ">" | ">>" | "<");
    // Inside of quotes a shell that is called may read it.
    if !lex::command(&word.text).is_ok_and(|arguments| arguments.iter().any(|argument| is_operator(argument))) {
        return;
    }
    let mut from = 0;
    for part in word.text.split(lex::is_blank) {
        let length = part.chars().count();
        if is_operator(part) {
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
