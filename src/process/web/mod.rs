//! What is read over HTTP: a thread of the bridge with a runtime of its own, so that no scrape holds SNMP up.
//!
//! The thread has no state of the daemon: for each answer it asks the bridge's loop for a look, as a connection to the control
//! socket does. Sockets and files come from the supervisor, through the bridge. Start at [`serve`] (one request); [`listen`] has
//! connections, [`gate`] what hostile clients run into, [`guard`] TLS and passwords.

pub mod answer;
pub mod auth;
pub mod gate;
pub mod guard;
pub mod health;
pub mod limit;
pub mod listen;
pub mod negotiate;
pub mod pages;
pub mod routes;
pub mod serve;
pub mod stream;
pub mod textfile;
pub mod tls;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use self::listen::Listener;
use self::serve::Site;
use super::control::Ask;
use crate::conf::model::{HttpSettings, MetricsSettings, Settings};
use crate::export::Look;
use crate::export::graph::{GraphError, GraphRequest};
use crate::export::look::Endpoint;
use crate::sys::privileges;

/// Looking on is less urgent than what is looked at.
const NICE: i32 = 5;
/// The bridge's loop turns within a millisecond.
const LOOK: Duration = Duration::from_secs(1);
/// Threads for what computes or waits for a disk: pages, passwords, files.
const WORKERS: usize = 6;

/// Where HTTP is served with these settings.
pub fn endpoints(http: &HttpSettings) -> Vec<Endpoint> {
    let unix = http.unix.enabled.then(|| Endpoint::Unix(http.unix.path.clone()));
    unix.into_iter().chain(http.listen.iter().copied().map(Endpoint::Tcp)).collect()
}

/// What the bridge tells the thread.
#[derive(Debug)]
enum Told {
    Settings(Box<(HttpSettings, MetricsSettings)>),
    /// A socket to accept on, or why there is none.
    Socket(Endpoint, Result<OwnedFd, String>),
}

/// The bridge's end.
pub struct Web {
    site: Arc<Site>,
    /// Bounded by what the supervisor says to the bridge: there is no more than a message for each of its own.
    tell: mpsc::UnboundedSender<Told>,
}

impl Web {
    /// Starts the thread. It asks over `ask`.
    pub fn start(ask: mpsc::Sender<Ask>) -> io::Result<Web> {
        let (tell, told) = mpsc::unbounded_channel();
        if let Err(error) = privileges::raise_descriptor_limit() {
            warn!("the limit of open files cannot be raised: {error}");
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(WORKERS)
            .thread_keep_alive(Duration::from_secs(60))
            .build()?;
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let site = Arc::new(Site::new(Looks { ask: ask.clone() }, host.unwrap_or_else(|| "?".to_owned())));
        let ours = Arc::clone(&site);
        let work = move || {
            // Threads for what takes time are this one's children, and inherit it.
            if let Err(error) = privileges::nice(NICE) {
                warn!("the priority of HTTP cannot be lowered: {error}");
            }
            runtime.block_on(run(site, Looks { ask }, told));
        };
        std::thread::Builder::new().name("web".to_owned()).spawn(work)?;
        Ok(Web { site: ours, tell })
    }

    /// Scrapes that were answered.
    pub fn scrapes(&self) -> u64 {
        self.site.pages().scrapes()
    }

    pub fn configure(&self, settings: &Settings) {
        let settings = Box::new((settings.http.clone(), settings.metrics.clone()));
        let _ = self.tell.send(Told::Settings(settings));
    }

    /// The supervisor's answer.
    pub fn socket(&self, endpoint: Endpoint, socket: Result<OwnedFd, String>) {
        let _ = self.tell.send(Told::Socket(endpoint, socket));
    }
}

async fn run(site: Arc<Site>, looks: Looks, mut told: mpsc::UnboundedReceiver<Told>) {
    let changed = Arc::new(Notify::new());
    tokio::spawn(textfile::run(Arc::clone(&site), looks, Arc::clone(&changed)));
    let watched = Arc::clone(&site);
    tokio::spawn(async move { watched.watch().await });
    let mut sockets: HashMap<Endpoint, Socket> = HashMap::new();
    while let Some(told) = told.recv().await {
        match told {
            Told::Settings(settings) => {
                let (http, metrics) = *settings;
                let wanted = endpoints(&http);
                // With its sender a listener goes, and its connections when they have answered.
                sockets.retain(|endpoint, _| wanted.contains(endpoint));
                for endpoint in wanted {
                    sockets.entry(endpoint).or_insert(Socket::Missing("it is not bound yet".to_owned()));
                }
                site.configure(http, metrics);
                changed.notify_one();
                // What is wrong with a certificate is said now rather than to the first client.
                let site = Arc::clone(&site);
                tokio::spawn(async move { drop(site.guard().rules().await) });
            }
            Told::Socket(endpoint, socket) => {
                let Some(place) = sockets.get_mut(&endpoint) else { continue };
                match socket.and_then(|fd| Listener::new(&endpoint, fd).map_err(|error| error.to_string())) {
                    Ok(listener) => {
                        info!("HTTP is served at {}", listener.place());
                        let (open, until) = watch::channel(());
                        tokio::spawn(listener.run(Arc::clone(&site), until));
                        *place = Socket::Open { _until: open };
                    }
                    // What is open stays: this was another question.
                    Err(_) if matches!(place, Socket::Open { .. }) => {}
                    Err(text) => *place = Socket::Missing(text),
                }
            }
        }
        let missing = sockets.iter().filter_map(|(endpoint, socket)| match socket {
            Socket::Open { .. } => None,
            Socket::Missing(text) => Some(format!("HTTP is not served at {}: {text}", name(endpoint))),
        });
        let mut missing: Vec<String> = missing.collect();
        missing.sort();
        if let Ok(mut unbound) = site.unbound.lock() {
            *unbound = missing;
        }
    }
}

/// An endpoint that the settings name.
enum Socket {
    /// Accepted on until this goes.
    Open {
        _until: watch::Sender<()>,
    },
    Missing(String),
}

/// For people.
pub fn name(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => address.to_string(),
        Endpoint::Unix(Some(path)) => path.display().to_string(),
        Endpoint::Unix(None) => "the usual socket".to_owned(),
    }
}

/// Asks the bridge's loop.
#[derive(Debug, Clone)]
pub struct Looks {
    ask: mpsc::Sender<Ask>,
}

impl Looks {
    pub fn new(ask: mpsc::Sender<Ask>) -> Looks {
        Looks { ask }
    }

    fn ask(&self) -> &mpsc::Sender<Ask> {
        &self.ask
    }

    /// What there is to see now. `None`: the bridge does not answer in time, or stops.
    pub async fn look(&self) -> Option<Arc<Look>> {
        let asked = async {
            let (tell, told) = oneshot::channel();
            self.ask.send(Ask::Look(tell)).await.ok()?;
            told.await.ok()
        };
        timeout(LOOK, asked).await.ok()?
    }

    async fn draw(&self, request: GraphRequest) -> Result<Vec<u8>, GraphError> {
        let gone = || GraphError::Unavailable("nobody draws graphs here now".to_owned());
        let (tell, told) = oneshot::channel();
        self.ask.send(Ask::Draw(request, tell)).await.map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }

    /// An empty file for the text.
    async fn textfile(&self) -> io::Result<OwnedFd> {
        let gone = || io::Error::other("the daemon stops");
        let (tell, told) = oneshot::channel();
        self.ask.send(Ask::Textfile(tell)).await.map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }

    async fn textfile_done(&self) {
        let _ = self.ask.send(Ask::TextfileDone).await;
    }
}
