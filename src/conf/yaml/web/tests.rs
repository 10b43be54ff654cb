use std::path::Path;

use super::super::super::diag::{Source, Sources};
use super::super::super::files::{FileKind, Files, Stat};
use super::super::{Loaded, load};
use super::*;

const HASH: &str = "$2y$10$QQUl4o6gkbQlo0Fo9dW9yObzIsaRBlXEnQFFx4UqQ6c4vU3rMZTVO";

fn good(text: &str) -> WebConfig {
    let (config, diagnostics) = read(text, Path::new("/etc/keepalived/web.yml"), 0);
    assert_eq!(diagnostics, [], "{text}");
    config.expect("a configuration")
}

/// Places, severities and words of what is said of a text.
fn said(text: &str) -> Vec<String> {
    let (config, diagnostics) = read(text, Path::new("/w.yml"), 0);
    let error = diagnostics.iter().any(|it| it.severity == Severity::Error);
    assert_eq!(config.is_none(), error, "a mistake leaves nothing in force: {text}");
    diagnostics.iter().map(|it| format!("{}:{} {}", it.span.line, it.span.column, it.message)).collect()
}

#[test]
fn a_whole_file_of_the_exporter_toolkit_is_understood() {
    let text = format!(
        "tls_server_config:
  cert_file: node.crt
  key_file: /keys/node.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca/ca.crt
  client_allowed_sans: [prometheus.example.com]
  min_version: TLS13
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: true
  curve_preferences: [CurveP256, X25519]
http_server_config:
  http2: false
  headers:
    strict-transport-security: max-age=31536000
basic_auth_users:
  alice: {HASH}
rate_limit:
  interval: 100ms
  burst: 20
"
    );
    let config = good(&text);
    let tls = config.tls.clone().unwrap();
    assert_eq!(tls.certificate_file, Path::new("/etc/keepalived/node.crt"), "relative to the file");
    assert_eq!(tls.key_file, Path::new("/keys/node.key"));
    assert_eq!(tls.client_ca_file.as_deref(), Some(Path::new("/etc/keepalived/ca/ca.crt")));
    assert_eq!(tls.client_auth, ClientAuth::RequireAndVerifyClientCert);
    assert_eq!((tls.min_version, tls.max_version), (TlsVersion::Tls13, TlsVersion::Tls13));
    assert_eq!(tls.client_allowed_sans, ["prometheus.example.com"]);
    assert_eq!(tls.ciphers, ["ECDHE-RSA-AES128-GCM-SHA256"]);
    assert_eq!(tls.curves, ["P-256", "X25519"]);
    assert_eq!(config.users, [("alice".to_owned(), Secret(HASH.to_owned()))]);
    assert_eq!(config.rate_limit, Some((100, 20)));
    assert_eq!(config.headers, [("Strict-Transport-Security".to_owned(), "max-age=31536000".to_owned())]);
    assert_eq!(files(&config).len(), 4);
}

#[test]
fn an_empty_file_asks_for_nothing_and_defaults_are_those_of_the_toolkit() {
    for text in ["", "# nothing\n", "tls_server_config: {}\n", "tls_server_config:\nbasic_auth_users:\nrate_limit:\n"] {
        let config = good(text);
        assert_eq!((&config.tls, config.users.len(), config.rate_limit), (&None, 0, None), "{text:?}");
    }
    let tls = good("tls_server_config: {cert_file: c, key_file: k}").tls.unwrap();
    assert_eq!(
        (tls.client_auth, tls.min_version, tls.max_version),
        (ClientAuth::NoClientCert, TlsVersion::Tls12, TlsVersion::Tls13)
    );
    assert_eq!(good("rate_limit: {interval: 0, burst: 5}").rate_limit, None, "no interval is no limit");
}

#[test]
fn what_cannot_be_done_is_told_with_its_place() {
    for (text, expected) in [
        ("tls_server_config:\n  cert_file: c\n", "2:3 `key_file` is missing here"),
        (
            "tls_server_config: {cert_file: c, key_file: k, certfile: c}",
            "1:48 there is no setting `certfile` in tls_server_config",
        ),
        (
            "tls_server_config: {cert_file: c, key_file: k, client_auth_type: RequireAndVerifyClientCert}",
            "1:66 this needs a `client_ca_file`",
        ),
        (
            "tls_server_config:\n  cert_file: c\n  key_file: k\n  client_ca_file: ca\n",
            "4:19 nobody is asked for a certificate of this authority",
        ),
        (
            "tls_server_config:\n  cert_file: c\n  key_file: k\n  client_allowed_sans: [me]\n",
            "4:24 names of certificates that nobody verifies say nothing",
        ),
        ("tls_server_config: {cert_file: c, key_file: k, min_version: TLS1.2}", "1:61 `TLS1.2` is not known here"),
        (
            "tls_server_config: {cert_file: c, key_file: k, max_version: TLS11}",
            "1:61 `max_version` is below `min_version`: nobody could connect",
        ),
        (
            "tls_server_config: {cert_file: c, key_file: k, cipher_suites: [TLS_AES_128_GCM_SHA256]}",
            "1:64 the suites of TLS 1.3 cannot be chosen",
        ),
        (
            "tls_server_config: {cert_file: c, key_file: k, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}",
            "1:64 `TLS_RSA_WITH_RC4_128_SHA` is not known here",
        ),
        (
            "tls_server_config: {cert: 'x', cert_file: c, key_file: k}",
            "1:27 `cert` with the text itself is not possible here",
        ),
        ("http_server_config:\n  headers:\n    Server: me\n", "3:5 the header `Server` cannot be set"),
        (
            "http_server_config: {headers: {X-Frame-Options: 'a\tb'}}",
            "1:49 a header has printable ASCII characters only",
        ),
        ("basic_auth_users:\n  bob: secret\n", "2:8 expected a bcrypt hash, as $2y$10$ and 53 characters"),
        (
            "rate_limit: {interval: 1s}",
            "1:13 with `interval` a `burst` of at least 1 is needed: nobody would be answered",
        ),
        ("basic_auth_user: {}", "1:1 there is no setting `basic_auth_user`"),
    ] {
        assert_eq!(said(text), [expected], "{text}");
    }
    let costly = HASH.replace("$10$", "$31$");
    let text = format!(
        "tls_server_config: {{cert_file: c, key_file: k}}\nbasic_auth_users: {{'a:b': '{HASH}', c: '{costly}'}}\n"
    );
    assert_eq!(said(&text).len(), 2, "{:?}", said(&text));
}

#[test]
fn remarks_are_no_mistakes() {
    let tls = "tls_server_config: {cert_file: c, key_file: k}\n";
    assert_eq!(said(&format!("{tls}http_server_config: {{http2: true}}")).len(), 1);
    assert_eq!(
        said(&format!("basic_auth_users: {{a: '{HASH}'}}")),
        ["1:19 without TLS everybody on the way reads these passwords"]
    );
}

/// Files by name.
struct Shelf(Vec<(&'static str, String, u32)>);

impl Files for Shelf {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let found = self.0.iter().find(|(name, ..)| *name == path).map(|(_, text, _)| text.clone().into_bytes());
        found.ok_or(std::io::ErrorKind::NotFound.into())
    }
    fn glob(&self, _: &str) -> Vec<String> {
        vec![]
    }
    fn canonicalize(&self, path: &str) -> std::io::Result<String> {
        Ok(path.to_owned())
    }
    fn stat(&self, path: &str) -> Option<Stat> {
        let mode = self.0.iter().find(|(name, ..)| *name == path).map(|(_, _, mode)| *mode)?;
        Some(Stat { kind: FileKind::Regular, mode, owner: 0, group: 0 })
    }
}

/// What is printed when the settings name `web.yml` and these files are there.
fn loaded(files: Vec<(&'static str, String, u32)>) -> (Loaded, String) {
    let mut sources = Sources::default();
    sources.add(Source::unread("keepalived.conf"));
    let mut shelf = vec![("/e/keepwatch.yaml", "http:\n  web_config: tls/web.yml\n".to_owned(), 0o600)];
    shelf.extend(files);
    let loaded = load(None, "/e/keepalived.conf", &Shelf(shelf), &mut sources);
    let said = loaded.diagnostics.iter().map(|it| it.render(&sources)).collect();
    (loaded, said)
}

#[test]
fn the_file_is_found_beside_the_settings_and_its_mistakes_have_their_places_in_it() {
    let tls = "tls_server_config: {cert_file: c.pem, key_file: k.pem}\n";
    let pems = [("/e/tls/c.pem", String::new(), 0o644), ("/e/tls/k.pem", String::new(), 0o600)];
    let mut files = vec![("/e/tls/web.yml", tls.to_owned(), 0o644)];
    files.extend(pems);
    let (all, said) = loaded(files);
    assert_eq!(said, "");
    let web = all.settings.http.web.unwrap();
    assert_eq!(web.path, Path::new("/e/tls/web.yml"));
    assert_eq!(web.tls.unwrap().key_file, Path::new("/e/tls/k.pem"));

    let (none, said) = loaded(vec![]);
    assert_eq!(none.settings, Default::default());
    assert!(said.contains("there is no file /e/tls/web.yml\n  --> /e/keepwatch.yaml:2:15\n"), "{said}");

    let (_, said) = loaded(vec![("/e/tls/web.yml", "tls_server_config: 7\n".to_owned(), 0o644)]);
    assert!(said.contains("  --> /e/tls/web.yml:1:20\n"), "{said}");

    let (some, said) = loaded(vec![("/e/tls/web.yml", tls.to_owned(), 0o644)]);
    assert!(some.settings.http.web.is_some(), "the certificate may come later");
    assert!(said.contains("warning: there is no file /e/tls/c.pem"), "{said}");

    let users = format!("basic_auth_users: {{a: '{HASH}'}}");
    let (_, said) = loaded(vec![("/e/tls/web.yml", users, 0o644)]);
    assert!(said.contains("everybody may read the hashes"), "{said}");
}
