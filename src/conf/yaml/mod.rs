//! `keepwatch.yaml`: text to checked [`Settings`] and diagnostics like those for `keepalived.conf`.
//!
//! Start at [`read`]. [`KEYS`] has every key; the sample `conf/keepwatch.yaml` documents them. One module reads each group of
//! sections; [`web`] reads the file that `http.web_config` names. Nothing outside of this module knows that there is YAML.

mod export;
mod reader;
mod snmp;
mod tree;
pub mod web;

use std::path::Path as FilePath;

use self::reader::{Keys, Reader};
use self::tree::Node;
use super::diag::{Class, Diagnostic, Source, Sources, Span};
use super::files::{FileKind, Files};
use super::model::{Config, Security, Settings, SnmpSettings, WebConfig};

/// Longest file, octets.
pub const SIZE_MAX: usize = 256 * 1024;

/// Its name beside the main configuration file.
pub const DEFAULT_NAME: &str = "keepwatch.yaml";

/// Every mapping, by its place in the file, and the keys it may have.
pub const KEYS: Keys = &[
    ("", &["snmp", "http", "metrics", "rrd"]),
    ("snmp", &["queue", "users", "receivers", "responder", "engine_id"]),
    ("snmp.queue", &["length", "expires"]),
    ("snmp.users", &["name", "auth", "privacy"]),
    ("snmp.users.auth", &["protocol", "passphrase"]),
    ("snmp.users.privacy", &["protocol", "passphrase"]),
    ("snmp.receivers", &["address", "version", "community", "user", "inform"]),
    ("snmp.receivers.inform", &["timeout", "retries"]),
    ("snmp.responder", &["listen", "communities", "users"]),
    ("snmp.responder.communities", &["name", "write", "networks"]),
    ("snmp.responder.users", &["user", "write"]),
    ("http", &["unix", "listen", "web_config", "connections", "scrapes"]),
    ("http.unix", &["path", "mode", "group"]),
    ("metrics", &["max_series", "real_servers", "detail", "textfile"]),
    ("metrics.textfile", &["path", "interval"]),
    ("rrd", &["directory", "profile", "real_servers", "cached"]),
];

/// What became of the file.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) settings: Settings,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Its place among the sources.
    pub(super) file: u32,
}

/// Reads the file `named`, or the one beside `main` if it is there. With any mistake the settings are the default ones.
pub(super) fn load(named: Option<&str>, main: &str, files: &dyn Files, sources: &mut Sources) -> Loaded {
    let path = match (named, main.rsplit_once('/')) {
        (Some(named), _) => named.to_owned(),
        (None, Some((directory, _))) => format!("{directory}/{DEFAULT_NAME}"),
        (None, None) => DEFAULT_NAME.to_owned(),
    };
    let stat = files.stat(&path);
    if stat.is_none() && named.is_none() {
        return Loaded::default();
    }
    let mut refuse = |class, message: String| {
        let file = sources.add(Source::unread(path.clone()));
        let span = Span { file, ..Span::default() };
        let diagnostics = vec![Diagnostic::error("settings", span, message).class(class)];
        Loaded { diagnostics, file, ..Loaded::default() }
    };
    let Some(stat) = stat else {
        return refuse(Class::MissingFile, format!("there is no file {path}, which --settings names"));
    };
    if stat.kind != FileKind::Regular {
        return refuse(Class::General, format!("{path} is not a file"));
    }
    let bytes = match files.read_some(&path, SIZE_MAX + 1) {
        Ok(bytes) if bytes.len() > SIZE_MAX => {
            return refuse(Class::General, format!("{path} is longer than {} KiB", SIZE_MAX / 1024));
        }
        Ok(bytes) => bytes,
        Err(error) => return refuse(Class::General, format!("{path} cannot be read: {error}")),
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return refuse(Class::General, format!("{path} is not UTF-8"));
    };
    let file = sources.add(Source::of_text(path.clone(), text.clone()));
    let (mut settings, mut diagnostics) = read(&text, file);
    if let Some(web) = &mut settings.http.web {
        let at = place_of_web_config(&text, file);
        let (read, more) = load_web(&web.path, &path, at, files, sources);
        diagnostics.extend(more);
        match read {
            Some(read) => *web = read,
            None => settings = Settings::default(),
        }
    }
    if settings.has_secrets() && stat.mode & 0o007 != 0 {
        let span = Span { file, ..Span::default() };
        let note = Diagnostic::note("settings", span, "everybody may read the pass phrases in this file");
        diagnostics.push(note.hint("chmod 0600 is enough for keepwatchd"));
    }
    Loaded { settings, diagnostics, file }
}

/// Reads the file that `http.web_config` names; relative to the directory of the settings. `at`: where it is named.
fn load_web(
    named: &FilePath,
    settings: &str,
    at: Span,
    files: &dyn Files,
    sources: &mut Sources,
) -> (Option<WebConfig>, Vec<Diagnostic>) {
    let path = FilePath::new(settings).parent().unwrap_or(FilePath::new("")).join(named);
    let name = path.to_string_lossy().into_owned();
    let refuse = |class, message: String| (None, vec![Diagnostic::error("settings", at, message).class(class)]);
    let Some(stat) = files.stat(&name) else { return refuse(Class::MissingFile, format!("there is no file {name}")) };
    if stat.kind != FileKind::Regular {
        return refuse(Class::General, format!("{name} is not a file"));
    }
    let text = match files.read_some(&name, SIZE_MAX + 1).map(String::from_utf8) {
        Ok(Ok(text)) if text.len() <= SIZE_MAX => text,
        Ok(Ok(_)) => return refuse(Class::General, format!("{name} is longer than {} KiB", SIZE_MAX / 1024)),
        Ok(Err(_)) => return refuse(Class::General, format!("{name} is not UTF-8")),
        Err(error) => return refuse(Class::General, format!("{name} cannot be read: {error}")),
    };
    let file = sources.add(Source::of_text(name, text.clone()));
    let (config, mut diagnostics) = web::read(&text, &path, file);
    let span = Span { file, ..Span::default() };
    for path in config.iter().flat_map(web::files) {
        let readable = files.stat(&path.to_string_lossy()).is_some_and(|stat| stat.kind == FileKind::Regular);
        if !readable {
            // A certificate may come later than the daemon; the rest of the settings need not wait for it.
            let text = format!("there is no file {}: until it is there nobody can connect with TLS", path.display());
            diagnostics.push(Diagnostic::warning("settings", span, text).class(Class::MissingFile));
        }
    }
    if config.as_ref().is_some_and(|config| !config.users.is_empty()) && stat.mode & 0o007 != 0 {
        let note = Diagnostic::note("settings", span, "everybody may read the hashes of passwords in this file");
        diagnostics.push(note.hint("chmod 0600 is enough for keepwatchd"));
    }
    (config, diagnostics)
}

/// The value of `http.web_config`.
fn place_of_web_config(text: &str, file: u32) -> Span {
    let mut reader = Reader::new(text, file, KEYS);
    let root = reader.root();
    let http = root.as_ref().and_then(|root| reader.map(root, "")).and_then(|fields| fields.get("http"));
    let fields = http.and_then(|http| reader.map(http, "http"));
    fields.and_then(|fields| fields.get("web_config")).map(|node| reader.span(node)).unwrap_or_default()
}

/// What is no mistake in either file, and has no effect without something in the other. The diagnostics are for the settings'
/// file as a whole.
pub(super) fn advice(config: &Config, file: u32) -> Vec<Diagnostic> {
    let (snmp, global) = (&config.settings.snmp, &config.global.snmp);
    let note = |text| Diagnostic::note("settings", Span { file, ..Span::default() }, text);
    let mut notes = vec![];
    if !snmp.receivers.is_empty() && !global.traps {
        notes.push(note("the receivers get nothing: `enable_traps` in global_defs switches notifications on"));
    }
    if snmp.responder.is_some() && !(global.vrrp || global.checker || global.rfcv2 || global.rfcv3) {
        notes.push(note(
            "the responder has nothing to show: enable_snmp_vrrp, enable_snmp_checker or -x switch its tables on",
        ));
    }
    if !snmp.receivers.is_empty() && global.traps && !(global.vrrp || global.checker || global.rfcv2 || global.rfcv3) {
        notes
            .push(note("the receivers get nothing: enable_snmp_vrrp, enable_snmp_checker or -x switch the modules on"));
    }
    let http = &config.settings.http;
    if http.web.is_none()
        && let Some(open) = http.listen.iter().find(|address| !address.ip().is_loopback())
    {
        notes.push(note("metrics and the status page are for everybody who can connect").hint(format!(
            "name a `web_config` in http with certificates or users, or listen at 127.0.0.1 instead of {open}"
        )));
    }
    let Some(responder) = &snmp.responder else { return notes };
    if responder.communities.is_empty() && responder.users.is_empty() {
        notes.push(note("the responder answers nobody: list `communities` or `users`"));
    }
    if responder.communities.iter().any(|community| community.write && community.networks.is_empty()) {
        notes.push(note("a community may write from everywhere: give it `networks`"));
    }
    notes
}

/// Reads a text. `file` is where the diagnostics say that it is. With any mistake the settings are the default ones. Of the
/// file that `http.web_config` names, the name alone is in them.
pub fn read(text: &str, file: u32) -> (Settings, Vec<Diagnostic>) {
    let mut reader = Reader::new(text, file, KEYS);
    let settings = reader.root().map(|root| reader.settings(&root)).unwrap_or_default();
    if reader.has_mistakes() { (Settings::default(), reader.diagnostics) } else { (settings, reader.diagnostics) }
}

impl Reader<'_> {
    fn settings(&mut self, root: &Node) -> Settings {
        let Some(fields) = self.map(root, "") else { return Settings::default() };
        Settings {
            snmp: fields.get("snmp").map(|node| self.snmp(node)).unwrap_or_default(),
            http: fields.get("http").map(|node| self.http(node)).unwrap_or_default(),
            metrics: fields.get("metrics").map(|node| self.metrics(node)).unwrap_or_default(),
            rrd: fields.get("rrd").and_then(|node| self.rrd(node)),
        }
    }
}

impl Settings {
    fn has_secrets(&self) -> bool {
        let SnmpSettings { users, receivers, responder, .. } = &self.snmp;
        users.iter().any(|user| user.auth.is_some())
            || receivers.iter().any(|receiver| !matches!(receiver.security, Security::V3 { .. }))
            || responder.as_ref().is_some_and(|responder| !responder.communities.is_empty())
    }
}

#[cfg(test)]
mod tests;
