//! `/metrics` and its relatives: made at most once for all who ask at the same time.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::Mutex;

use super::Looks;
use crate::clock::{self, Instant};
use crate::conf::model::MetricsSettings;
use crate::export::Look;
use crate::export::metrics::compat::{self, Names};
use crate::export::metrics::{Build, Exporter, Format};
use crate::store::Generations;

/// As long as nothing was heard meanwhile, a page is good for this long.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// However much is heard, it is made no more often.
const AT_LEAST: Duration = Duration::from_millis(100);
/// Kinds of pages that are kept.
const KEPT: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    Metrics(Format),
    Compat(Vec<Names>),
}

impl Page {
    /// As `keepwatch_exporter_scrapes_total` names it.
    pub fn format(&self) -> &'static str {
        match self {
            Page::Metrics(Format::Text) => "text",
            Page::Metrics(Format::OpenMetrics) => "openmetrics",
            Page::Compat(_) => "compat",
        }
    }
}

pub struct Pages {
    looks: Looks,
    exporter: Arc<Exporter>,
    /// Whoever makes a page has this; others wait for it, and find what they want.
    made: Mutex<Vec<Made>>,
}

struct Made {
    page: Page,
    settings: MetricsSettings,
    generations: Generations,
    at: Instant,
    plain: Bytes,
    gzip: Option<Bytes>,
}

impl Pages {
    pub fn new(looks: Looks) -> Pages {
        Pages { looks, exporter: Arc::new(Exporter::new(Build::this())), made: Mutex::default() }
    }

    /// An answer was given.
    pub fn scraped(&self, format: &str, code: u16, took: Duration) {
        self.exporter.scraped(format, code, took);
    }

    /// Answers given so far.
    pub fn scrapes(&self) -> u64 {
        self.exporter.scrapes()
    }

    /// A page as it is now. `None`: the bridge does not answer.
    pub async fn page(&self, page: &Page, settings: &MetricsSettings, gzip: bool) -> Option<Bytes> {
        let mut made = self.made.lock().await;
        let place = made.iter().position(|made| made.page == *page && made.settings == *settings);
        let known = place.map(|place| made.swap_remove(place));
        let now = clock::now();
        let mut known = known.filter(|known| now.since(known.at) < GOOD_FOR);
        if known.as_ref().is_none_or(|known| now.since(known.at) >= AT_LEAST) {
            let look = self.looks.look().await?;
            known = known.filter(|known| known.generations == look.snapshot.generations);
            if known.is_none() {
                known = Some(self.make(page, settings, look).await?);
            }
        }
        let mut known = known?;
        if gzip && known.gzip.is_none() {
            let plain = known.plain.clone();
            known.gzip = Some(tokio::task::spawn_blocking(move || compressed(&plain)).await.ok()?);
        }
        let bytes = if gzip { known.gzip.clone()? } else { known.plain.clone() };
        // What is too old for everybody makes room.
        made.retain(|made| now.since(made.at) < GOOD_FOR);
        made.truncate(KEPT - 1);
        made.push(known);
        Some(bytes)
    }

    async fn make(&self, page: &Page, settings: &MetricsSettings, look: Arc<Look>) -> Option<Made> {
        let (exporter, wanted, limits) = (Arc::clone(&self.exporter), page.clone(), settings.clone());
        let generations = look.snapshot.generations;
        // Tens of thousands of series take a while, and other clients need not wait for them.
        let work = tokio::task::spawn_blocking(move || match wanted {
            Page::Metrics(format) => exporter.render(&look, &limits, format).body,
            Page::Compat(names) => compat::render(&look, &names),
        });
        let plain = Bytes::from(work.await.ok()?);
        Some(Made { page: page.clone(), settings: settings.clone(), generations, at: clock::now(), plain, gzip: None })
    }
}

/// Fast rather than small: these texts shrink to a twentieth at any level.
fn compressed(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default().into()
}
