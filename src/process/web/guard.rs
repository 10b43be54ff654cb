//! What TCP clients must bring: TLS, certificates, passwords, patience. Read again while it is in use.
//!
//! The files are opened by the supervisor; we have no right to. A connection that comes 5 s after the last look has them looked
//! at again, so that renewed certificates are shown without a reload, as with the exporter toolkit. What is broken changes
//! nothing: what was in force stays, and the log says so once.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openssl::ssl::SslContext;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as Turn, mpsc, oneshot};
use tokio::time::timeout;
use tracing::{info, warn};

use super::auth::{Doorkeeper, Verdict};
use super::limit::Bucket;
use super::tls::{self, Pems};
use crate::clock::{self, Instant};
use crate::conf::model::{ClientAuth, Secret, TlsConfig, WebConfig};
use crate::conf::yaml::{SIZE_MAX, web};
use crate::process::control::Ask;

/// How old what is known of the files may be when a connection comes.
const EVERY: Duration = Duration::from_secs(5);
/// How long a connection waits for them.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is in force.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub tls: Option<Tls>,
    pub users: Arc<Vec<(String, Secret)>>,
    pub headers: Arc<Vec<(String, String)>>,
}

/// TLS is asked for.
#[derive(Clone)]
pub struct Tls {
    /// `None`: the files were never good. Nobody is served then.
    pub context: Option<SslContext>,
    pub sans: Arc<Vec<String>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("ready", &self.context.is_some()).field("sans", &self.sans).finish()
    }
}

#[derive(Debug)]
pub struct Guard {
    ask: mpsc::Sender<Ask>,
    door: Doorkeeper,
    state: Mutex<State>,
    /// Who reads the files.
    reading: Turn<()>,
}

#[derive(Debug, Default)]
struct State {
    /// As the load process read it; `None`: nothing is asked of anybody.
    configured: Option<WebConfig>,
    rules: Rules,
    /// What the rules were made of.
    made_of: Option<Made>,
    limit: Option<((u32, u32), Bucket)>,
    looked_at: Option<Instant>,
    /// What the log has heard.
    complaint: Option<String>,
}

/// What rules were made of: the configuration, and a digest of the files that it names. Keys are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    config: WebConfig,
    pems: Option<[u8; 32]>,
}

impl Guard {
    pub fn new(ask: mpsc::Sender<Ask>) -> Guard {
        let mut key = [0; 32];
        if openssl::rand::rand_bytes(&mut key).is_err() {
            // Only the cache of passwords needs it, and that is ours alone.
            key.iter_mut().zip(clock::now().nanos().to_ne_bytes()).for_each(|(to, from)| *to = from);
        }
        Guard { ask, door: Doorkeeper::new(key), state: Mutex::default(), reading: Turn::new(()) }
    }

    /// A configuration that the load process has read. Rules that are in force stay until the files are read.
    pub fn configure(&self, web: Option<WebConfig>) {
        let Ok(mut state) = self.state.lock() else { return };
        // The file may have changed and changed back meanwhile.
        if state.configured == web && state.in_force() == web.as_ref() {
            return;
        }
        match &web {
            // Until the files are there nobody is served rather than everybody; nor anybody by rules that are no more.
            Some(config) => {
                let before = state.in_force().and_then(|config| config.tls.as_ref());
                let same = before.zip(config.tls.as_ref()).is_some_and(|(before, tls)| policy(before) == policy(tls));
                let context = state.rules.tls.take().and_then(|tls| tls.context).filter(|_| same);
                state.rules = rules(config, context);
            }
            None => state.rules = Rules::default(),
        }
        state.set_limit(web.as_ref().and_then(|config| config.rate_limit));
        (state.made_of, state.looked_at, state.complaint) = (None, None, None);
        state.configured = web;
    }

    /// What is in force for a connection that comes now.
    pub async fn rules(&self) -> Rules {
        if self.is_due() {
            // Whoever finds the files being read waits as well: it takes a moment, and he wants the new certificate, too.
            let _ = timeout(PATIENCE, self.look()).await;
        }
        self.state.lock().map(|state| state.rules.clone()).unwrap_or_default()
    }

    /// Whether a request may be answered at all now.
    pub fn has_token(&self) -> bool {
        let Ok(mut state) = self.state.lock() else { return false };
        state.limit.as_mut().is_none_or(|(_, bucket)| bucket.take(clock::now()))
    }

    pub async fn admits(&self, header: Option<&str>) -> Verdict {
        let Ok(users) = self.state.lock().map(|state| Arc::clone(&state.rules.users)) else { return Verdict::Refused };
        self.door.admits(header, &users).await
    }

    pub fn headers(&self) -> Arc<Vec<(String, String)>> {
        self.state.lock().map(|state| Arc::clone(&state.rules.headers)).unwrap_or_default()
    }

    fn is_due(&self) -> bool {
        let Ok(state) = self.state.lock() else { return false };
        let old = |at: Instant| clock::now().since(at) >= EVERY;
        state.configured.is_some() && state.looked_at.is_none_or(old)
    }

    async fn look(&self) {
        let _turn = self.reading.lock().await;
        if !self.is_due() {
            return;
        }
        let Some(configured) = self.state.lock().ok().and_then(|state| state.configured.clone()) else { return };
        let read = self.read(&configured.path).await;
        let Ok(mut state) = self.state.lock() else { return };
        if state.configured.as_ref() != Some(&configured) {
            return;
        }
        state.looked_at = Some(clock::now());
        let made = read.and_then(|(config, pems)| {
            state.may_follow(&config)?;
            let made = Made { pems: pems.as_ref().map(digest), config };
            if state.made_of.as_ref() == Some(&made) {
                return Ok(None);
            }
            let context = match (&made.config.tls, &pems) {
                (Some(tls), Some(pems)) => Some(tls::context(tls, pems).map_err(|error| error.to_string())?),
                _ => None,
            };
            Ok(Some((context, made)))
        });
        match made {
            Ok(None) => state.complaint = None,
            Ok(Some((context, made))) => {
                if state.made_of.is_some() {
                    info!("{} or a file that it names has changed, and is in force", made.config.path.display());
                }
                state.rules = rules(&made.config, context);
                state.set_limit(made.config.rate_limit);
                (state.made_of, state.complaint) = (Some(made), None);
            }
            Err(text) => {
                if state.complaint.as_ref() != Some(&text) {
                    let what = match (&state.made_of, &state.rules.tls) {
                        (Some(_), _) => "what was in force stays in force",
                        (None, Some(Tls { context: Some(_), .. })) => "the certificate from before stays in force",
                        (None, Some(_)) => "nobody can connect with TLS",
                        (None, None) => "what was read at the last reload is in force",
                    };
                    warn!("{text}; {what}");
                }
                state.complaint = Some(text);
            }
        }
    }

    /// The configuration as it is in its file now, and what is in the files that it names.
    async fn read(&self, path: &Path) -> Result<(WebConfig, Option<Pems>), String> {
        let text = self.text(path).await?;
        let text = String::from_utf8(text).map_err(|_| format!("{} is not UTF-8", path.display()))?;
        if text.trim().is_empty() && !self.is_configured_as(&web::read("", path, 0).0) {
            return Err(format!("{} is empty: reload to do without it", path.display()));
        }
        let config = match web::read(&text, path, 0) {
            (Some(config), _) => config,
            (None, diagnostics) => return Err(web::in_a_line(path, &diagnostics)),
        };
        let Some(tls) = &config.tls else { return Ok((config, None)) };
        let client_ca = match &tls.client_ca_file {
            Some(path) => Some(self.text(path).await?),
            None => None,
        };
        let certificate = self.text(&tls.certificate_file).await?;
        let key = self.text(&tls.key_file).await?;
        Ok((config, Some(Pems { certificate, key, client_ca })))
    }

    fn is_configured_as(&self, web: &Option<WebConfig>) -> bool {
        self.state.lock().is_ok_and(|state| state.in_force() == web.as_ref())
    }

    async fn text(&self, path: &Path) -> Result<Vec<u8>, String> {
        let told = |error: io::Error| match error.raw_os_error() {
            Some(libc::EPERM) => {
                format!("{} is not among the files of the last reload: reload to have it read", path.display())
            }
            _ => format!("{} cannot be read: {error}", path.display()),
        };
        let fd = self.open(path.to_owned()).await.map_err(told)?;
        // A thread may wait for a disk.
        let read = move || {
            let mut bytes = Vec::new();
            let most = u64::try_from(SIZE_MAX).unwrap_or(u64::MAX) + 1;
            File::from(fd).take(most).read_to_end(&mut bytes).map(|_| bytes)
        };
        let bytes = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?.map_err(told)?;
        if bytes.len() > SIZE_MAX {
            return Err(format!("{} is longer than {} KiB", path.display(), SIZE_MAX / 1024));
        }
        Ok(bytes)
    }

    async fn open(&self, path: PathBuf) -> io::Result<OwnedFd> {
        let (tell, told) = oneshot::channel();
        let gone = || io::Error::other("the daemon stops");
        self.ask.send(Ask::OpenFile(path, tell)).await.map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }
}

impl State {
    fn in_force(&self) -> Option<&WebConfig> {
        self.made_of.as_ref().map(|made| &made.config).or(self.configured.as_ref())
    }

    /// A file that somebody is writing looks like one that asks nothing of anybody. To ask less takes a reload.
    fn may_follow(&self, config: &WebConfig) -> Result<(), String> {
        let Some(before) = self.in_force() else { return Ok(()) };
        let checked =
            |config: &WebConfig| config.tls.as_ref().is_some_and(|tls| tls.client_auth != ClientAuth::NoClientCert);
        let named = |config: &WebConfig| config.tls.as_ref().is_some_and(|tls| !tls.client_allowed_sans.is_empty());
        let gone = if before.tls.is_some() && config.tls.is_none() {
            "tls_server_config"
        } else if !before.users.is_empty() && config.users.is_empty() {
            "basic_auth_users"
        } else if checked(before) && !checked(config) {
            "client_auth_type"
        } else if named(before) && !named(config) {
            "client_allowed_sans"
        } else {
            return Ok(());
        };
        Err(format!("{} has no {gone} any more: reload to do without", config.path.display()))
    }

    /// One that has not changed keeps what it has counted.
    fn set_limit(&mut self, limit: Option<(u32, u32)>) {
        if self.limit.as_ref().map(|(limit, _)| *limit) != limit {
            self.limit = limit.map(|(ms, burst)| ((ms, burst), Bucket::new(Duration::from_millis(ms.into()), burst)));
        }
    }
}

/// What TLS asks of clients; the rest of its configuration is what it shows them.
fn policy(tls: &TlsConfig) -> impl PartialEq + '_ {
    let TlsConfig {
        client_ca_file, client_auth, client_allowed_sans, min_version, max_version, ciphers, curves, ..
    } = tls;
    (client_ca_file, client_auth, client_allowed_sans, min_version, max_version, ciphers, curves)
}

fn rules(config: &WebConfig, context: Option<SslContext>) -> Rules {
    Rules {
        tls: config.tls.as_ref().map(|tls| Tls { context, sans: Arc::new(tls.client_allowed_sans.clone()) }),
        users: Arc::new(config.users.clone()),
        headers: Arc::new(config.headers.clone()),
    }
}

fn digest(pems: &Pems) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [&pems.certificate[..], &pems.key, pems.client_ca.as_deref().unwrap_or_default()] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use openssl::ssl::SslMethod;

    use super::*;
    use crate::conf::model::TlsVersion;

    const HASH: &str = "$2b$10$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    /// With a supervisor that opens what it is asked for.
    fn guard() -> Guard {
        let (ask, mut asked) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Some(ask) = asked.recv().await {
                if let Ask::OpenFile(path, tell) = ask {
                    let _ = tell.send(File::open(path).map(OwnedFd::from));
                }
            }
        });
        Guard::new(ask)
    }

    fn tls() -> WebConfig {
        let tls = TlsConfig {
            certificate_file: "/nowhere/cert.pem".into(),
            key_file: "/nowhere/key.pem".into(),
            client_ca_file: None,
            client_auth: ClientAuth::NoClientCert,
            client_allowed_sans: vec![],
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            ciphers: vec![],
            curves: vec![],
        };
        WebConfig { path: "/nowhere/web.yml".into(), tls: Some(tls), users: vec![], rate_limit: None, headers: vec![] }
    }

    fn with(change: impl FnOnce(&mut TlsConfig)) -> WebConfig {
        let mut config = tls();
        change(config.tls.as_mut().unwrap());
        config
    }

    #[tokio::test]
    async fn what_a_reload_asks_of_clients_is_asked_even_while_the_files_cannot_be_read() {
        let certificate_moved = with(|tls| tls.certificate_file = "/nowhere/other.pem".into());
        let stricter = [
            with(|tls| tls.client_auth = ClientAuth::RequireAndVerifyClientCert),
            with(|tls| tls.client_ca_file = Some("/nowhere/ca.pem".into())),
            with(|tls| tls.client_allowed_sans = vec!["a".to_owned()]),
            with(|tls| tls.min_version = TlsVersion::Tls13),
            with(|tls| tls.ciphers = vec!["AES128-GCM-SHA256".to_owned()]),
            with(|tls| tls.curves = vec!["X25519".to_owned()]),
        ];
        let served = stricter.into_iter().map(|next| (next, false)).chain([(certificate_moved, true)]);
        for (next, served) in served {
            let guard = guard();
            guard.configure(Some(tls()));
            let context = SslContext::builder(SslMethod::tls_server()).unwrap().build();
            guard.state.lock().unwrap().rules.tls.as_mut().unwrap().context = Some(context);
            guard.configure(Some(next.clone()));
            let rules = guard.rules().await;
            assert_eq!(rules.tls.unwrap().context.is_some(), served, "{next:?}");
        }
    }

    #[tokio::test]
    async fn a_file_that_asks_for_less_is_in_force_after_a_reload_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.yml");
        let written = |text: &str| {
            std::fs::write(&path, text).unwrap();
            web::read(text, &path, 0).0
        };
        let user = |name: &str| format!("basic_auth_users:\n  {name}: {HASH}\n");
        let configured = written(&user("first"));
        assert!(configured.is_some());
        let guard = guard();
        guard.configure(configured.clone());
        let names = async || {
            guard.state.lock().unwrap().looked_at = None;
            guard.rules().await.users.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names().await, ["first"]);
        let other = written(&user("second"));
        assert_eq!(names().await, ["second"], "changes need no reload");
        for less in ["", " \n", "# being written\n", "{}", "basic_auth_users: {}\n", "http_server_config: {}\n"] {
            let _ = written(less);
            assert_eq!(names().await, ["second"], "{less:?}");
        }
        let open = written("rate_limit: {interval: 1s, burst: 9}\n");
        guard.configure(open.clone());
        assert_eq!(names().await, [""; 0], "an operator wants it so");
        // Without a reload to more, and with one back to what was configured before.
        let _ = written(&user("third"));
        assert_eq!(names().await, ["third"]);
        let _ = written("rate_limit: {interval: 1s, burst: 9}\n");
        assert_eq!(names().await, ["third"]);
        guard.configure(open);
        assert_eq!(names().await, [""; 0]);
        drop(other);
    }
}
