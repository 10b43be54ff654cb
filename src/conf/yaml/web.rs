//! The file that `http.web_config` names, in the format of Prometheus' exporter toolkit (`--web.config.file`).
//!
//! Certificates and keys are named in it and read elsewhere. What the toolkit knows and we do not do is told with its place;
//! nothing that would protect somebody is passed over.

use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use super::super::diag::{Diagnostic, Severity};
use super::super::model::{ClientAuth, Secret, TlsConfig, TlsVersion, WebConfig};
use super::reader::{Keys, Reader};
use super::tree::{Kind, Node};

/// Every mapping of the file with the keys it may have. Users and headers are the operator's own.
pub const KEYS: Keys = &[
    ("", &["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"]),
    (
        "tls_server_config",
        &[
            "cert_file",
            "key_file",
            "client_ca_file",
            "client_auth_type",
            "client_allowed_sans",
            "min_version",
            "max_version",
            "cipher_suites",
            "prefer_server_cipher_suites",
            "curve_preferences",
            // Known, to say what to do instead.
            "cert",
            "key",
            "client_ca",
        ],
    ),
    ("http_server_config", &["http2", "headers"]),
    ("rate_limit", &["interval", "burst"]),
];

/// Headers that the toolkit lets an operator set.
const HEADERS: [&str; 6] = [
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
    "Content-Security-Policy",
    "Permissions-Policy",
];

/// As Go names them, and as OpenSSL does. Those of TLS 1.3 cannot be chosen with Go.
const CIPHERS: [(&str, &str); 14] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA"),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA"),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA"),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA"),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
];

const CURVES: [(&str, &str); 4] =
    [("CurveP256", "P-256"), ("CurveP384", "P-384"), ("CurveP521", "P-521"), ("X25519", "X25519")];

const AUTH_TYPES: [(&str, ClientAuth); 5] = [
    ("NoClientCert", ClientAuth::NoClientCert),
    ("RequestClientCert", ClientAuth::RequestClientCert),
    ("RequireAnyClientCert", ClientAuth::RequireAnyClientCert),
    ("VerifyClientCertIfGiven", ClientAuth::VerifyClientCertIfGiven),
    ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerifyClientCert),
];

const VERSIONS: [(&str, TlsVersion); 4] = [
    ("TLS10", TlsVersion::Tls10),
    ("TLS11", TlsVersion::Tls11),
    ("TLS12", TlsVersion::Tls12),
    ("TLS13", TlsVersion::Tls13),
];

/// A hash of a higher cost takes minutes for each new client.
const COST_MAX: u32 = 16;

/// Reads a text that stands in the file `path`; `file` is where the diagnostics say that it is. `None` with any mistake;
/// diagnostics may be remarks as well.
pub fn read(text: &str, path: &FilePath, file: u32) -> (Option<WebConfig>, Vec<Diagnostic>) {
    let mut reader = Reader::new(text, file, KEYS);
    let root = reader.root();
    let config = root.and_then(|root| reader.web_config(&root, path)).filter(|_| !reader.has_mistakes());
    (config, reader.diagnostics)
}

/// The mistakes of a file in one line, for a log.
pub fn in_a_line(path: &FilePath, diagnostics: &[Diagnostic]) -> String {
    let mistakes = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let told: Vec<String> =
        mistakes.map(|it| format!("{}:{}:{}: {}", path.display(), it.span.line, it.span.column, it.message)).collect();
    told.join("; ")
}

impl Reader<'_> {
    fn web_config(&mut self, root: &Node, path: &FilePath) -> Option<WebConfig> {
        let fields = self.map(root, "")?;
        let directory = path.parent().unwrap_or(FilePath::new("/"));
        let tls = fields.get("tls_server_config").and_then(|node| self.tls(node, directory));
        let headers = fields.get("http_server_config").map(|node| self.http_server(node, tls.is_some()));
        let users = fields.get("basic_auth_users").map(|node| self.users(node)).unwrap_or_default();
        if let (None, Some(node), true) = (&tls, fields.get("basic_auth_users"), !users.is_empty()) {
            let remark = |span| {
                Diagnostic::note("settings", span, "without TLS everybody on the way reads these passwords")
                    .hint("`tls_server_config` encrypts them")
            };
            self.remark(remark, &node.path);
        }
        Some(WebConfig {
            path: path.to_owned(),
            tls,
            users,
            rate_limit: fields.get("rate_limit").and_then(|node| self.rate_limit(node)),
            headers: headers.unwrap_or_default(),
        })
    }

    fn tls(&mut self, node: &Node, directory: &FilePath) -> Option<TlsConfig> {
        let fields = self.map(node, "tls_server_config")?;
        if fields.is_empty() {
            return None;
        }
        for (key, file) in [("cert", "cert_file"), ("key", "key_file"), ("client_ca", "client_ca_file")] {
            if let Some(node) = fields.get(key) {
                let hint = format!("put it into a file and name that with `{file}`");
                self.advise(&node.path, format!("`{key}` with the text itself is not possible here"), hint);
            }
        }
        let file = |reader: &mut Self, key: &str, required: bool| {
            let node = if required { reader.required(&fields, key) } else { fields.get(key) };
            // Relative to this file, as there.
            node.and_then(|node| reader.path(node)).map(|path| directory.join(path))
        };
        let certificate = file(self, "cert_file", true);
        let key = file(self, "key_file", true);
        let client_ca = file(self, "client_ca_file", false);
        let client_auth = fields.get("client_auth_type").and_then(|node| self.choice(node, &AUTH_TYPES));
        let client_auth = client_auth.unwrap_or(ClientAuth::NoClientCert);
        let verifies =
            matches!(client_auth, ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert);
        match (verifies, fields.get("client_ca_file"), fields.get("client_auth_type")) {
            (true, None, Some(node)) => {
                let hint = "without it nobody knows which certificates are good";
                self.advise(&node.path, "this needs a `client_ca_file`".to_owned(), hint);
            }
            (false, Some(node), _) => {
                let hint = "set `client_auth_type: RequireAndVerifyClientCert`";
                self.advise(&node.path, "nobody is asked for a certificate of this authority".to_owned(), hint);
            }
            _ => {}
        }
        let sans = self.each(fields.get("client_allowed_sans"), |reader, node| reader.sized(node, "a name", 1..=255));
        if let (false, true, Some(node)) = (verifies, !sans.is_empty(), fields.get("client_allowed_sans")) {
            let hint = "set `client_auth_type: RequireAndVerifyClientCert`";
            self.advise(&node.path, "names of certificates that nobody verifies say nothing".to_owned(), hint);
        }
        let version = |reader: &mut Self, key: &str| fields.get(key).and_then(|node| reader.choice(node, &VERSIONS));
        let min_version = version(self, "min_version").unwrap_or(TlsVersion::Tls12);
        let max_version = version(self, "max_version").unwrap_or(TlsVersion::Tls13);
        if min_version > max_version {
            let at = fields.get("max_version").or(fields.get("min_version")).unwrap_or(node);
            self.complain(&at.path, "`max_version` is below `min_version`: nobody could connect");
        }
        let ciphers = self.each(fields.get("cipher_suites"), Self::cipher);
        let curves = self.each(fields.get("curve_preferences"), |reader, node| reader.choice(node, &CURVES));
        if let Some(node) = fields.get("prefer_server_cipher_suites") {
            self.truth(node);
        }
        let owned = |names: Vec<(&str, &Node)>| names.into_iter().map(|(name, _)| name.to_owned()).collect();
        Some(TlsConfig {
            certificate_file: certificate?,
            key_file: key?,
            client_ca_file: client_ca,
            client_auth,
            client_allowed_sans: sans.into_iter().map(|(name, _)| name).collect(),
            min_version,
            max_version,
            ciphers: owned(ciphers),
            curves: owned(curves),
        })
    }

    fn cipher(&mut self, node: &Node) -> Option<&'static str> {
        let word = self.word(node)?;
        if ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"].contains(&word.as_str())
        {
            let hint = "`cipher_suites` are those up to TLS 1.2; leave it out";
            self.advise(&node.path, "the suites of TLS 1.3 cannot be chosen".to_owned(), hint);
            return None;
        }
        self.choice(node, &CIPHERS)
    }

    fn http_server(&mut self, node: &Node, tls: bool) -> Vec<(String, String)> {
        let Some(fields) = self.map(node, "http_server_config") else { return vec![] };
        if let Some(node) = fields.get("http2")
            && self.truth(node) == Some(true)
            && tls
        {
            let text = "HTTP/2 is not spoken here: clients that could use it use HTTP/1.1";
            self.remark(|span| Diagnostic::note("settings", span, text), &node.path);
        }
        let Some(headers) = fields.get("headers") else { return vec![] };
        let mut found = vec![];
        for (name, value, path) in self.entries(headers, "a mapping of headers to their values") {
            let Some(known) = HEADERS.iter().find(|known| known.eq_ignore_ascii_case(name)) else {
                self.advise(
                    &path,
                    format!("the header `{name}` cannot be set"),
                    format!("known here: {}", HEADERS.join(", ")),
                );
                continue;
            };
            let Some(word) = self.word(value) else { continue };
            if word.chars().all(|c| matches!(c, ' '..='~')) {
                found.push(((*known).to_owned(), word));
            } else {
                self.complain(&value.path, "a header has printable ASCII characters only");
            }
        }
        found
    }

    fn users(&mut self, node: &Node) -> Vec<(String, Secret)> {
        let mut users = vec![];
        for (name, value, path) in self.entries(node, "a mapping of names to bcrypt hashes") {
            if name.contains(':') {
                self.complain(&path, "a name with a colon cannot be sent (RFC 7617 section 2)");
            }
            let Some(hash) = self.word(value) else { continue };
            match cost(&hash) {
                Some(cost) if cost <= COST_MAX => users.push((name.to_owned(), Secret(hash))),
                Some(cost) => {
                    let message =
                        format!("a hash of cost {cost} takes minutes for each client; at most {COST_MAX} is possible");
                    self.complain(&value.path, message);
                }
                None => {
                    let hint = "`htpasswd -nBC 10 NAME` makes one";
                    self.advise(&value.path, "expected a bcrypt hash, as $2y$10$ and 53 characters".to_owned(), hint);
                }
            }
        }
        users
    }

    fn rate_limit(&mut self, node: &Node) -> Option<(u32, u32)> {
        let fields = self.map(node, "rate_limit")?;
        let range = Duration::ZERO..=Duration::from_secs(3600);
        let interval = fields.get("interval").and_then(|node| match &node.kind {
            Kind::Word(word) if word == "0" => Some(Duration::ZERO),
            _ => self.duration(node, range),
        });
        let burst = fields.get("burst").and_then(|node| self.number(node, 0..=1_000_000));
        let ms = interval.and_then(|interval| u32::try_from(interval.as_millis()).ok()).unwrap_or(0);
        match (ms, burst) {
            // As there: no interval, no limit.
            (0, _) => None,
            (ms, Some(burst)) if burst > 0 => Some((ms, burst)),
            (_, _) => {
                let at = fields.get("burst").unwrap_or(node);
                self.complain(&at.path, "with `interval` a `burst` of at least 1 is needed: nobody would be answered");
                None
            }
        }
    }
}

/// Of a bcrypt hash, if it is one.
fn cost(hash: &str) -> Option<u32> {
    let mut parts = hash.strip_prefix('$')?.split('$');
    let (version, cost, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let known = matches!(version, "2a" | "2b" | "2x" | "2y") && parts.next().is_none();
    let alphabet = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/');
    let fits = known && cost.len() == 2 && rest.len() == 53 && rest.chars().all(alphabet);
    cost.parse().ok().filter(|cost| fits && (4..=31).contains(cost))
}

/// Every file that a configuration was made of.
pub fn files(config: &WebConfig) -> Vec<PathBuf> {
    let tls = config.tls.iter().flat_map(|tls| {
        [Some(&tls.certificate_file), Some(&tls.key_file), tls.client_ca_file.as_ref()].into_iter().flatten()
    });
    std::iter::once(&config.path).chain(tls).cloned().collect()
}

#[cfg(test)]
mod tests;
