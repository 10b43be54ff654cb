//! One request, answered: who may ask, what for, and within which limits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Looks;
use super::answer::{
    self, Answer, Content, EVENTS, HTML, JSON, answer, busy, closing, method_not_allowed, plain, unauthorized,
};
use super::auth::Verdict;
use super::guard::Guard;
use super::health;
use super::listen::Door;
use super::negotiate::gzip;
use super::pages::{Page, Pages};
use super::routes::{Document, Route, route};
use super::stream::Hub;
use crate::clock;
use crate::conf::model::{HttpSettings, MetricsSettings};
use crate::export::Look;
use crate::export::graph::{GraphError, GraphFormat, GraphRequest};
use crate::export::metrics::Format;
use crate::export::metrics::compat::Names;
use crate::report;
use crate::report::page::PageOptions;

/// A scrape that takes longer is cut.
const SCRAPE: Duration = Duration::from_secs(1);
/// Other documents are made from the same; a graph is drawn by a process that may be busy.
const DOCUMENT: Duration = Duration::from_secs(5);
const GRAPH: Duration = Duration::from_secs(15);

/// Documents made at once; others wait.
const WRITING_MAX: usize = 2;
/// Documents of one door in memory: of those that are made and those that a slow client has not taken yet.
const DOCUMENTS_MAX: usize = 16;

/// Everything that answers need. Lives as long as the thread.
pub struct Site {
    looks: Looks,
    guard: Guard,
    pages: Arc<Pages>,
    hub: Hub,
    host: Arc<str>,
    /// Documents in the making: they leave workers for scrapes and passwords.
    writing: Arc<Semaphore>,
    rooms: Mutex<Rooms>,
    /// What is said of sockets that are not there.
    pub unbound: Mutex<Vec<String>>,
}

/// What the settings in force allow. Each door has places of its own: who fills one does not stand in the other.
struct Rooms {
    http: HttpSettings,
    metrics: MetricsSettings,
    unix: Room,
    tcp: Room,
}

#[derive(Clone)]
struct Room {
    connections: Arc<Semaphore>,
    scrapes: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    documents: Arc<Semaphore>,
}

impl Room {
    fn new(http: &HttpSettings) -> Room {
        let semaphore = |places: usize| Arc::new(Semaphore::new(places));
        Room {
            connections: semaphore(http.connections),
            scrapes: semaphore(http.scrapes),
            // Those who watch must leave room for those who ask.
            streams: semaphore(http.connections.div_ceil(2)),
            documents: semaphore(DOCUMENTS_MAX),
        }
    }
}

impl Site {
    pub fn new(looks: Looks, host: String) -> Site {
        let http = HttpSettings::default();
        let (unix, tcp) = (Room::new(&http), Room::new(&http));
        Site {
            guard: Guard::new(looks.ask().clone()),
            pages: Arc::new(Pages::new(looks.clone())),
            hub: Hub::default(),
            host: host.into(),
            writing: Arc::new(Semaphore::new(WRITING_MAX)),
            rooms: Mutex::new(Rooms { http, metrics: MetricsSettings::default(), unix, tcp }),
            unbound: Mutex::default(),
            looks,
        }
    }

    pub fn configure(&self, http: HttpSettings, metrics: MetricsSettings) {
        self.guard.configure(http.web.clone());
        let Ok(mut rooms) = self.rooms.lock() else { return };
        if (rooms.http.connections, rooms.http.scrapes) != (http.connections, http.scrapes) {
            // Those who are inside keep their places in the old rooms.
            (rooms.unix, rooms.tcp) = (Room::new(&http), Room::new(&http));
        }
        (rooms.http, rooms.metrics) = (http, metrics);
    }

    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    pub fn pages(&self) -> &Arc<Pages> {
        &self.pages
    }

    /// Looks for those who watch.
    pub async fn watch(&self) {
        self.hub.run(&self.looks).await;
    }

    pub fn metrics(&self) -> MetricsSettings {
        self.rooms.lock().map(|rooms| rooms.metrics.clone()).unwrap_or_default()
    }

    /// Places for connections.
    pub fn room(&self, door: Door) -> Arc<Semaphore> {
        self.places(door).connections
    }

    pub fn speaks_tls(&self) -> bool {
        let Ok(rooms) = self.rooms.lock() else { return false };
        rooms.http.web.as_ref().is_some_and(|web| web.tls.is_some())
    }

    fn places(&self, door: Door) -> Room {
        let rooms = match self.rooms.lock() {
            Ok(rooms) => rooms,
            Err(poisoned) => poisoned.into_inner(),
        };
        match door {
            Door::Unix => rooms.unix.clone(),
            Door::Tcp => rooms.tcp.clone(),
        }
    }

    /// The answer to one request, whatever it is.
    pub async fn answer(&self, request: &Parts, door: Door) -> Answer {
        let mut answer = self.admit(request, door).await;
        let body_follows = request.headers.contains_key(hyper::header::TRANSFER_ENCODING)
            || request.headers.get(hyper::header::CONTENT_LENGTH).is_some_and(|length| length != "0");
        if body_follows {
            answer = closing(answer);
        }
        if door == Door::Tcp {
            answer::set(answer.headers_mut(), &self.guard.headers());
        }
        answer
    }

    /// TCP clients have to be patient, and somebody we know.
    async fn admit(&self, request: &Parts, door: Door) -> Answer {
        if door == Door::Tcp {
            if !self.guard.has_token() {
                return busy(StatusCode::TOO_MANY_REQUESTS, "there are too many requests");
            }
            match self.guard.admits(header(request, &AUTHORIZATION)).await {
                Verdict::Welcome => {}
                Verdict::Refused => return unauthorized(),
                Verdict::Busy => {
                    return busy(StatusCode::SERVICE_UNAVAILABLE, "there are too many passwords to compare");
                }
            }
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return method_not_allowed();
        }
        let route = match route(request.uri.path(), request.uri.query()) {
            Ok(route) => route,
            Err(nowhere) => return plain(nowhere.status, &nowhere.text),
        };
        self.find(request, door, route).await
    }

    async fn find(&self, request: &Parts, door: Door, route: Route) -> Answer {
        match route {
            Route::Index => answer(StatusCode::OK, HTML, self.index()),
            Route::Metrics => {
                self.scrape(request, door, Page::Metrics(Format::negotiate(header(request, &ACCEPT)))).await
            }
            Route::Compat(query) => match Names::parse(query.as_deref()) {
                Ok(names) => self.scrape(request, door, Page::Compat(names)).await,
                Err(text) => plain(StatusCode::BAD_REQUEST, &text),
            },
            Route::Status => {
                let host = Arc::clone(&self.host);
                let page =
                    move |look: &Look| report::page::render(&report::status(look, &host), &PageOptions::default());
                let answer = self.document(door, HTML, move |look| Some(page(look))).await;
                answer::with_policy(answer, report::page::CSP)
            }
            Route::StatusEvents => match self.place_to_watch(door) {
                Ok(place) => stream(self.hub.status(Arc::clone(&self.host), place)),
                Err(answer) => *answer,
            },
            Route::Events { since, watch: true } => {
                // A browser that comes back says what it has seen.
                let last = header(request, &LAST_EVENT_ID).and_then(|last| last.parse::<u64>().ok());
                let since = last.map(|last| last.saturating_add(1)).or(since).unwrap_or(0);
                match self.place_to_watch(door) {
                    Ok(place) => stream(self.hub.events(since, place)),
                    Err(answer) => *answer,
                }
            }
            Route::Events { since, watch: false } => {
                self.json(door, move |look| serde_json::to_string(&report::events(look, since.unwrap_or(0)))).await
            }
            Route::Api(Document::Status) => {
                let host = Arc::clone(&self.host);
                self.json(door, move |look| serde_json::to_string(&report::status(look, &host))).await
            }
            Route::Api(Document::Vrrp) => self.json(door, |look| serde_json::to_string(&report::vrrp(look))).await,
            Route::Api(Document::Bfd) => self.json(door, |look| serde_json::to_string(&report::bfd(look))).await,
            Route::Api(Document::Ipvs) => self.json(door, |look| serde_json::to_string(&report::ipvs(look))).await,
            Route::Api(Document::Checkers) => {
                self.json(door, |look| serde_json::to_string(&report::checkers(look))).await
            }
            Route::Livez => self.healthy(health::stuck).await,
            Route::Readyz => {
                let unbound = self.unbound.lock().map(|unbound| unbound.clone()).unwrap_or_default();
                self.healthy(|look| health::unready(look, &unbound)).await
            }
            Route::Vip => self.healthy(health::misplaced).await,
            Route::Graph(request) => self.graph(*request).await,
        }
    }

    async fn scrape(&self, request: &Parts, door: Door, page: Page) -> Answer {
        let began = clock::now();
        let answer = self.scraped(request, door, &page).await;
        self.pages.scraped(page.format(), answer.status().as_u16(), clock::now().since(began));
        answer
    }

    async fn scraped(&self, request: &Parts, door: Door, page: &Page) -> Answer {
        let Ok(place) = self.places(door).scrapes.try_acquire_owned() else {
            return busy(StatusCode::SERVICE_UNAVAILABLE, "there are too many scrapes at once");
        };
        let gzip = gzip(header(request, &ACCEPT_ENCODING));
        let (pages, wanted, settings) = (Arc::clone(&self.pages), page.clone(), self.metrics());
        // What was begun is brought to its end, and is there for the next who asks.
        let work = tokio::spawn(async move { (pages.page(&wanted, &settings, gzip).await, place) });
        let (bytes, place) = match timeout(SCRAPE, work).await {
            Ok(Ok((Some(bytes), place))) => (bytes, place),
            Ok(_) => return busy(StatusCode::SERVICE_UNAVAILABLE, "the bridge does not answer"),
            Err(_) => return busy(StatusCode::SERVICE_UNAVAILABLE, "the page was not ready in time"),
        };
        let kind = match page {
            Page::Metrics(format) => format.content_type(),
            Page::Compat(_) => Format::Text.content_type(),
        };
        let mut answer = answer(StatusCode::OK, kind, bytes);
        if gzip {
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer.body_mut().holds(place);
        answer
    }

    /// A place among those who watch.
    fn place_to_watch(&self, door: Door) -> Result<OwnedSemaphorePermit, Box<Answer>> {
        let full = || Box::new(busy(StatusCode::SERVICE_UNAVAILABLE, "there are too many who watch"));
        self.places(door).streams.try_acquire_owned().map_err(|_| full())
    }

    async fn json(
        &self,
        door: Door,
        make: impl FnOnce(&Look) -> serde_json::Result<String> + Send + 'static,
    ) -> Answer {
        let began = clock::now();
        let answer = self.document(door, JSON, move |look| make(look).ok()).await;
        self.pages.scraped("json", answer.status().as_u16(), clock::now().since(began));
        answer
    }

    /// What `make` makes of a look, on a thread that may take its time. It has a place until the client has taken it.
    async fn document(
        &self,
        door: Door,
        kind: &'static str,
        make: impl FnOnce(&Look) -> Option<String> + Send + 'static,
    ) -> Answer {
        let (documents, writing) = (self.places(door).documents, Arc::clone(&self.writing));
        let work = async move {
            let place = documents.acquire_owned().await.ok()?;
            let Some(look) = self.looks.look().await else {
                return Some(Err(busy(StatusCode::SERVICE_UNAVAILABLE, "the bridge does not answer")));
            };
            let turn = writing.acquire_owned().await.ok()?;
            let make = move || {
                let _turn = turn;
                // A document that is given up has its place until it is made.
                (make(&look), place)
            };
            let (text, place) = tokio::task::spawn_blocking(make).await.ok()?;
            Some(Ok((text?, place)))
        };
        match timeout(DOCUMENT, work).await {
            Ok(Some(Ok((text, place)))) => {
                let mut answer = answer(StatusCode::OK, kind, text);
                answer.body_mut().holds(place);
                answer
            }
            Ok(Some(Err(answer))) => answer,
            Ok(None) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the document cannot be written"),
            Err(_) => busy(StatusCode::SERVICE_UNAVAILABLE, "the document was not ready in time"),
        }
    }

    /// 200, or 503 and why in a line each.
    async fn healthy(&self, why: impl FnOnce(&Look) -> Vec<String>) -> Answer {
        let Some(look) = self.looks.look().await else {
            return busy(StatusCode::SERVICE_UNAVAILABLE, "the bridge does not answer");
        };
        match why(&look) {
            why if why.is_empty() => plain(StatusCode::OK, "ok"),
            why => plain(StatusCode::SERVICE_UNAVAILABLE, &why.join("\n")),
        }
    }

    async fn graph(&self, request: GraphRequest) -> Answer {
        let kind = match request.format {
            GraphFormat::Svg => "image/svg+xml",
            GraphFormat::Png => "image/png",
        };
        match timeout(GRAPH, self.looks.draw(request)).await {
            Ok(Ok(picture)) => answer(StatusCode::OK, kind, picture),
            Ok(Err(error)) => match &error {
                GraphError::NotFound(text) => plain(StatusCode::NOT_FOUND, text),
                GraphError::BadRequest(text) => plain(StatusCode::BAD_REQUEST, text),
                GraphError::Unavailable(text) => busy(StatusCode::SERVICE_UNAVAILABLE, text),
                GraphError::Failed(text) => plain(StatusCode::INTERNAL_SERVER_ERROR, text),
            },
            Err(_) => busy(StatusCode::SERVICE_UNAVAILABLE, "the graph was not ready in time"),
        }
    }

    fn index(&self) -> String {
        const LINKS: [(&str, &str); 13] = [
            ("/status", "what is the matter, for people; it keeps itself up to date"),
            ("/metrics", "for Prometheus: text, or OpenMetrics where that is asked for"),
            ("/metrics/compat", "the names of other exporters: ?names=mehdy, gen2brain, node_ipvs"),
            ("/api/v1/status", "all there is, in short, as JSON"),
            ("/api/v1/vrrp", "instances and sync groups, what is tracked, static routes and rules"),
            ("/api/v1/bfd", "BFD sessions"),
            ("/api/v1/ipvs", "virtual and real servers"),
            ("/api/v1/checkers", "health checks"),
            ("/api/v1/events", "what happened; ?since=NUMBER, ?watch=1 for those to come"),
            ("/livez", "whether the engines turn"),
            ("/readyz", "whether the configuration is in force"),
            ("/healthz/vip", "whether each address is where it belongs"),
            ("/graph/daemon/daemon.svg", "graphs: /graph/{vrrp,vs,rs,ipvs,daemon}/NAME.{svg,png}?span=1d"),
        ];
        let rows: String = LINKS
            .iter()
            .map(|(path, what)| format!("<dt><a href=\"{path}\">{path}</a></dt><dd>{what}</dd>\n"))
            .collect();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>keepwatch on {host}</title>\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <style>:root{{color-scheme:light dark;font-family:sans-serif}} body{{max-width:45em;margin:2em auto;padding:0 1em}} \
             dt{{font-family:monospace;margin-top:.7em}}</style></head>\n\
             <body><h1>keepwatch on {host}</h1>\n<dl>\n{rows}</dl></body></html>\n",
            host = escaped(&self.host),
        )
    }
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

fn stream(bytes: tokio::sync::mpsc::Receiver<Bytes>) -> Answer {
    answer::with_content(StatusCode::OK, EVENTS, Content::stream(Bytes::new(), bytes))
}

fn header<'r>(request: &'r Parts, name: &HeaderName) -> Option<&'r str> {
    request.headers.get(name).and_then(|value| value.to_str().ok())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::control::Ask;

    #[tokio::test]
    async fn a_document_has_its_place_until_it_is_sent_and_one_too_many_waits() {
        let (ask, mut asked) = tokio::sync::mpsc::channel(8);
        tokio::spawn(async move {
            while let Some(ask) = asked.recv().await {
                if let Ask::Look(tell) = ask {
                    drop(tell.send(Arc::new(Look::default())));
                }
            }
        });
        let site = Site::new(Looks::new(ask), "lb1".to_owned());
        for route in [|| Route::Api(Document::Status), || Route::Status] {
            let (request, ()) = hyper::Request::new(()).into_parts();
            let mut unsent = vec![];
            for _ in 0..DOCUMENTS_MAX {
                unsent.push(site.find(&request, Door::Tcp, route()).await);
            }
            assert!(unsent.iter().all(|answer| answer.status() == StatusCode::OK));
            assert_eq!(site.places(Door::Tcp).documents.available_permits(), 0);
            let mut waiting = Box::pin(site.find(&request, Door::Tcp, route()));
            assert!(is_pending(&mut waiting).await);
            assert_eq!(site.find(&request, Door::Unix, route()).await.status(), StatusCode::OK, "the other door");
            unsent.pop();
            assert_eq!(waiting.await.status(), StatusCode::OK);
        }
    }

    /// Whether it waits although the others have had their turn.
    async fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
        for _ in 0..100 {
            if std::future::poll_fn(|context| {
                std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_ready())
            })
            .await
            {
                return false;
            }
            tokio::task::yield_now().await;
        }
        true
    }
}
