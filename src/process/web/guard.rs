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
use crate::conf::model::{Secret, WebConfig};
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
        if state.configured == web {
            return;
        }
        match &web {
            // Until the files are there nobody is served rather than everybody.
            Some(config) => state.rules = rules(config, state.rules.tls.take().and_then(|tls| tls.context)),
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
    /// One that has not changed keeps what it has counted.
    fn set_limit(&mut self, limit: Option<(u32, u32)>) {
        if self.limit.as_ref().map(|(limit, _)| *limit) != limit {
            self.limit = limit.map(|(ms, burst)| ((ms, burst), Bucket::new(Duration::from_millis(ms.into()), burst)));
        }
    }
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
