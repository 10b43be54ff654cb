//! The same file through our reader and through Debian's `keepalived -t`: who accepts it, and why they disagree.
//!
//! [`judge`] names the reasons of a disagreement, each a row of `docs/compatibility.md`; one that has none is a defect of ours.
//! Both refusing with another status is judged by [`statuses`].

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keepwatch::conf::diag::Class;
use keepwatch::conf::{Diagnostic, Loaded, keywords};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// What Debian's keepalived made of a file.
#[derive(Debug, Clone)]
pub struct Theirs {
    pub end: End,
    pub said: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Status(i32),
    Signal(i32),
    /// Not within twenty seconds.
    Never,
}

/// `keepalived -t` in the network namespace of this thread, in a process group of its own, because it may signal its group.
#[track_caller]
pub fn keepalived(program: &Path, file: &Path) -> Theirs {
    let out = file.with_extension("out");
    let log = File::create(&out).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
    let errors = log.try_clone().unwrap_or_else(|error| panic!("{}: {error}", out.display()));
    let mut command = Command::new(program);
    command.arg("-t").arg("-f").arg(file).stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    command.current_dir(file.parent().unwrap_or(Path::new("/")));
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let deadline = Instant::now() + Duration::from_secs(20);
    let end = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.code().map_or(End::Signal(status.signal().unwrap_or(0)), End::Status),
            Ok(None) if Instant::now() > deadline => {
                let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
                let _ = child.wait();
                break End::Never;
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            Err(error) => panic!("cannot wait for {}: {error}", program.display()),
        }
    };
    let said = String::from_utf8_lossy(&std::fs::read(&out).unwrap_or_default()).into_owned();
    let _ = std::fs::remove_file(&out);
    Theirs { end, said }
}

/// How a file was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    Agreed,
    /// For these reasons, all of which the documentation lists.
    Explained(Vec<&'static str>),
    /// What nobody has explained yet.
    Unexplained(Vec<String>),
}

/// Reasons for which Keepalived refuses what is accepted here: what its line has in it, and the name of the reason.
const THEIRS: &[(&str, &str)] = &[
    ("A unicast keyword has been specified", "unicast-default"),
    ("BFD instance b: max_hops exceeds", "corrected-there"),
    ("Cannot specify address prefix when specifying peer address", "corrected-there"),
    ("Cannot use unicast_ttl without unicast peers", "corrected-there"),
    ("Config files missing", "include"),
    ("Invalid cpu_id:", "processors"),
    ("Invalid shutdown script", "script-user"),
    ("Invalid startup script", "script-user"),
    ("Route must have a destination", "inet6"),
    ("SECURITY VIOLATION", "script-security"),
    ("Truncating auth_pass", "corrected-there"),
    ("Unable to resolve", "script-user"),
    ("Unknown include_check type 'readable'", "manual-page"),
    ("Unterminated quote", "nested-quotes"),
    ("Unmatched quote", "nested-quotes"),
    ("missing terminating", "nested-quotes"),
    ("gue tunnels require port", "tunnel-options"),
    ("ipip tunnels do not support checksum", "tunnel-options"),
    ("is configured on VRRP instance and sync group", "tracked-twice"),
    ("iptables not supported", "iptables"),
    ("line too long", "long-line"),
    ("negative number '-0'", "minus-zero"),
    ("(-0)", "minus-zero"),
    ("use_vmac_addr specified and use_vmac specified", "vmac-twice"),
];

/// Reasons for which what Keepalived accepts is refused here, by the names of our diagnostics.
const OURS: &[(&str, &str)] = &[
    ("checker-family", "told-here-only"),
    ("continuation", "continuation"),
    ("duplicate-address", "told-here-only"),
    ("duplicate-peer", "told-here-only"),
    ("extra-name", "told-here-only"),
    ("bind-family", "told-here-only"),
    ("file-missing", "include"),
    ("include-missing", "include"),
    ("no-script", "told-here-only"),
    ("script-security", "script-security"),
    ("strict-unicast", "told-here-only"),
];

/// The same for diagnostics that are told of many things: one of these parts is in the message.
const OURS_IN_PART: &[(&str, &[&str], &str)] = &[
    // A tracker's second weight; Keepalived takes the first one, too.
    ("already-set", &["`weight` is set already"], "told-here-only"),
    // An empty string; words of switches of which Keepalived looks only for some; a path that it does not use.
    (
        "value",
        &[
            "found ``",
            "for `vrrp_strict`,",
            "for `vrrp_skip_check_adv_addr`,",
            "for `reload_repeat`,",
            "for `reload_time_file`,",
        ],
        "value-dropped",
    ),
];

/// Why something that is told here is not told there.
fn told_here(diagnostic: &Diagnostic, all: &[Diagnostic]) -> Option<&'static str> {
    let code = diagnostic.code;
    // A block with two names is none here, so nothing has its name.
    if code == "unknown-name" && all.iter().any(|other| other.code == "extra-name") {
        return Some("told-here-only");
    }
    let whole = OURS.iter().find(|(known, _)| *known == code).map(|(_, reason)| *reason);
    whole.or_else(|| {
        let says = |parts: &[&str]| parts.iter().any(|part| diagnostic.message.contains(part));
        OURS_IN_PART.iter().find(|(known, parts, _)| *known == code && says(parts)).map(|(.., reason)| *reason)
    })
}

/// Every reason that the documentation has to have.
pub fn reasons() -> Vec<&'static str> {
    let more = ["newer", "byte-order-mark", "long-line", "manual-page", "crash"];
    let in_part = OURS_IN_PART.iter().map(|(.., reason)| *reason);
    let mut all: Vec<_> = THEIRS.iter().chain(OURS).map(|(_, reason)| *reason).chain(in_part).chain(more).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Who accepts the file, and if only one does, why.
pub fn judge(text: &str, ours: &Loaded, theirs: &Theirs) -> Judgement {
    let accepted_here = ours.status == 0;
    match theirs.end {
        End::Status(0) if accepted_here => Judgement::Agreed,
        End::Status(0) => {
            let counted = ours.diagnostics.iter().filter(|each| each.class != Class::Silent);
            explain(counted.map(|each| told_here(each, &ours.diagnostics).ok_or_else(|| each.in_a_line(&ours.sources))))
        }
        _ if !accepted_here => Judgement::Agreed,
        End::Signal(_) | End::Never => Judgement::Explained(vec!["crash"]),
        End::Status(_) if text.starts_with('\u{feff}') => Judgement::Explained(vec!["byte-order-mark"]),
        End::Status(_) if text.lines().any(|line| line.len() > 1023) => Judgement::Explained(vec!["long-line"]),
        End::Status(_) => {
            let lines: Vec<&str> = theirs.said.lines().filter(|line| !line.trim().is_empty()).collect();
            explain(lines.iter().filter(|line| !follows(line, &lines)).map(|line| reason(line, text)))
        }
    }
}

fn explain(found: impl Iterator<Item = Result<&'static str, String>>) -> Judgement {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for each in found {
        match each {
            Ok(reason) => known.push(reason),
            Err(line) => unknown.push(line),
        }
    }
    known.sort_unstable();
    known.dedup();
    unknown.sort_unstable();
    unknown.dedup();
    if unknown.is_empty() && known.is_empty() {
        unknown.push("nothing was said".to_owned());
    }
    if unknown.is_empty() { Judgement::Explained(known) } else { Judgement::Unexplained(unknown) }
}

/// Why Keepalived says this about a file that is accepted here.
fn reason(line: &str, text: &str) -> Result<&'static str, String> {
    if let Some(word) = unknown_keyword(line) {
        // Version 2.2.7 does not know what later ones do.
        let known = keywords::rows().find_map(|row| {
            let synonym = row.synonyms.iter().find(|synonym| synonym.word() == word);
            match synonym {
                Some(keywords::Synonym::ManPage(_)) => Some("manual-page"),
                Some(_) => Some("newer"),
                None => (row.keyword == word).then_some("newer"),
            }
        });
        return known.filter(|_| text.contains(word)).ok_or_else(|| line.to_owned());
    }
    let known = THEIRS.iter().find(|(part, _)| line.contains(part)).map(|(_, reason)| *reason);
    known.ok_or_else(|| line.to_owned())
}

fn unknown_keyword(line: &str) -> Option<&str> {
    line.split_once("Unknown keyword '")?.1.strip_suffix('\'')
}

/// Whether a line only follows from another: the number that a message about a directive refused, a value that is out of a range
/// which the next line names, a brace behind a keyword that is not known.
fn follows(line: &str, lines: &[&str]) -> bool {
    let number = |line: &str| -> Option<String> {
        let (_, rest) = line.split_once("Line ")?;
        Some(rest.chars().take_while(char::is_ascii_digit).collect())
    };
    let followed = |other: &&str| *other != line && number(other).is_some() && number(other) == number(line);
    let dependent = line.contains("Unexpected '{' - ignoring")
        || line.contains("outside range")
        || line.contains("must be between")
        || line.contains("missing '}'s");
    dependent && lines.iter().any(followed)
}

/// Whether two refusals have the same exit status, or a documented reason for another one.
pub fn statuses(ours: &Loaded, theirs: &Theirs) -> Result<&'static str, String> {
    let said = theirs.said.as_str();
    let End::Status(theirs) = theirs.end else { return Ok("crash") };
    let has = |class| ours.diagnostics.iter().any(|each| each.class == class);
    let said = |part| said.contains(part);
    match (ours.status, theirs) {
        (ours, theirs) if i32::from(ours) == theirs => Ok("same"),
        // Keepalived ends at a missing value, we go on: what it had not come to yet may be worse, or it has one more than we.
        (_, 2) if said("is missing a parameter after keyword") => Ok("ends-at-once"),
        (2, _) if has(Class::MissingArgument) => Ok("ends-at-once"),
        // A missing file is never 0 here and beats the rest; Keepalived counts only the worst of its own.
        (6, _) if has(Class::MissingFile) || has(Class::IncludeCheck) => Ok("include"),
        // Either knows more of the script than the other, which may have lost it by a mistake before it.
        (6, _) if has(Class::Security) && !said("SECURITY VIOLATION") => Ok("script-security"),
        (_, 6) if !has(Class::Security) && said("SECURITY VIOLATION") => Ok("script-security"),
        // A mistake besides, on a line about an interface that is missing, to which Keepalived does not come.
        (5, 4) if has(Class::BadInterface) && said("unknown interface") => Ok("order-of-classes"),
        (ours, theirs) => Err(format!("status {ours} here, {theirs} there")),
    }
}
