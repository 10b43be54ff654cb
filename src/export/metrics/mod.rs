//! `/metrics`: what Prometheus is shown, and what the exporters that there are for Keepalived and IPVS would show.
//!
//! [`families`] is the page as data, each family a function from one moment ([`view`]) to its samples; here it is cut to its
//! limit and written. Where the text goes is not known here.

pub mod compat;
pub mod doc;
pub mod families;
pub mod family;
mod format;
mod openmetrics;
pub mod view;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{HistogramOpts, IntCounterVec, IntGauge, Opts, Registry, TextEncoder, proto};

pub use self::format::Format;

use self::families::exporter::{SCRAPE_DURATION, SCRAPES, SERIES, SERIES_DROPPED};
use self::family::{Family, Level, Samples, Spare, by_name, series_of};
use self::view::View;
use crate::bus::timing::BOUNDS_NS;
use crate::conf::model::{MetricsSettings, RealServerSeries};
use crate::export::look::Look;

/// Which build this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub version: String,
    pub revision: String,
    pub rustc: String,
    /// With commas in between.
    pub features: String,
}

impl Build {
    /// What the compiler was told; whoever builds packages sets `KEEPWATCH_REVISION`.
    pub fn this() -> Build {
        let features = [("daemon", cfg!(feature = "daemon")), ("rrd", cfg!(feature = "rrd"))];
        let features: Vec<_> = features.into_iter().filter_map(|(name, there)| there.then_some(name)).collect();
        Build {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: option_env!("KEEPWATCH_REVISION").unwrap_or("unknown").to_owned(),
            rustc: env!("KEEPWATCH_RUSTC").to_owned(),
            features: features.join(","),
        }
    }
}

/// Writes pages and counts what it does.
#[derive(Debug)]
pub struct Exporter {
    build: Build,
    registry: Registry,
    scrapes: IntCounterVec,
    durations: prometheus::Histogram,
    series: IntGauge,
    dropped: IntGauge,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub body: Vec<u8>,
    pub series: usize,
    /// Left out because of the limit.
    pub dropped: usize,
}

impl Exporter {
    pub fn new(build: Build) -> Exporter {
        const VALID: &str = "names of the table are valid, and each is there once";
        let help = |name: &str| {
            let family = families::all().find(|family| family.name == name).expect("it is in the table");
            (family.name, family.help)
        };
        let (name, about) = help(SCRAPES);
        let scrapes = IntCounterVec::new(Opts::new(name, about), &["format", "code"]).expect(VALID);
        for format in ["text", "openmetrics", "compat", "json"] {
            // So that the first answer is seen as an increase.
            scrapes.with_label_values(&[format, "200"]);
        }
        let (name, about) = help(SCRAPE_DURATION);
        let bounds = BOUNDS_NS.iter().map(|bound| *bound as f64 / 1e9).collect();
        let durations = HistogramOpts::new(name, about).buckets(bounds);
        let durations = prometheus::Histogram::with_opts(durations).expect(VALID);
        let gauge = |name: &str| {
            let (name, about) = help(name);
            IntGauge::new(name, about).expect(VALID)
        };
        let (series, dropped) = (gauge(SERIES), gauge(SERIES_DROPPED));
        let registry = Registry::new();
        let own: [Box<dyn Collector>; 4] = [
            Box::new(scrapes.clone()),
            Box::new(durations.clone()),
            Box::new(series.clone()),
            Box::new(dropped.clone()),
        ];
        for collector in own {
            registry.register(collector).expect(VALID);
        }
        Exporter { build, registry, scrapes, durations, series, dropped }
    }

    /// An answer was given: in which format (`text`, `openmetrics`, `compat`, `json`), with which HTTP status, after how long.
    pub fn scraped(&self, format: &str, code: u16, took: Duration) {
        self.scrapes.with_label_values(&[format, &code.to_string()]).inc();
        self.durations.observe(took.as_secs_f64());
    }

    /// Answers given so far.
    pub fn scrapes(&self) -> u64 {
        self.durations.get_sample_count()
    }

    /// The whole page.
    pub fn render(&self, look: &Look, settings: &MetricsSettings, format: Format) -> Rendered {
        let view = View::new(look, &self.build);
        let mut own = by_name(self.registry.gather());
        let mut chosen: Vec<(&Family, usize)> = families::all()
            .filter(|family| shown(family, settings))
            .map(|family| (family, own.get(family.name).map_or_else(|| count(family, &view), series_of)))
            .collect();
        let dropped = cut(&mut chosen, settings.max_series);
        let series: usize = chosen.iter().map(|(_, series)| series).sum();
        self.series.set(i64::try_from(series).unwrap_or(i64::MAX));
        self.dropped.set(i64::try_from(dropped).unwrap_or(i64::MAX));
        own.extend(by_name(self.registry.gather()));
        Rendered { body: write(&view, &chosen, own, format), series, dropped }
    }
}

/// Whether the settings let it be seen at all.
fn shown(family: &Family, settings: &MetricsSettings) -> bool {
    let detail = family.level == Level::Basic || settings.detail;
    let real_server = match settings.real_servers {
        RealServerSeries::Full => true,
        RealServerSeries::Basic => !family.per_real_server() || is_basic(family),
        RealServerSeries::Off => !family.per_real_server(),
    };
    detail && real_server
}

/// What remains of real servers when there are too many of them.
fn is_basic(family: &Family) -> bool {
    [
        "keepwatch_ipvs_real_server_up",
        "keepwatch_ipvs_real_server_weight",
        "keepwatch_ipvs_real_server_active_connections",
        "keepwatch_ipvs_real_server_connections_total",
    ]
    .contains(&family.name)
}

fn count(family: &Family, view: &View<'_>) -> usize {
    let mut samples = Samples::counting();
    (family.samples)(view, &mut samples);
    samples.series()
}

/// Leaves whole families out until the rest is within the limit: details, then what is not basic of real servers, each from the
/// end of the page. What remains after that stays: without it nobody could tell what is up. Gives the number of series that went.
fn cut(chosen: &mut Vec<(&Family, usize)>, limit: usize) -> usize {
    let mut series: usize = chosen.iter().map(|(_, series)| series).sum();
    let mut dropped = 0;
    let expendable: [fn(&Family) -> bool; 2] =
        [|family| family.level == Level::Detail, |family| family.per_real_server() && !is_basic(family)];
    for expendable in expendable {
        while series > limit {
            let Some(last) = chosen.iter().rposition(|(family, series)| *series > 0 && expendable(family)) else {
                break;
            };
            let (_, gone) = chosen.remove(last);
            series -= gone;
            dropped += gone;
        }
    }
    dropped
}

fn write(
    view: &View<'_>,
    chosen: &[(&Family, usize)],
    mut own: HashMap<String, proto::MetricFamily>,
    format: Format,
) -> Vec<u8> {
    // Real servers make the length of a page, and their lines have about that.
    let mut out = String::with_capacity(4096 + 128 * chosen.iter().map(|(_, series)| series).sum::<usize>());
    let mut spare = Spare::default();
    for (family, expected) in chosen {
        let made = match own.remove(family.name) {
            Some(made) => made,
            None => {
                let mut samples = Samples::keeping(family, *expected, std::mem::take(&mut spare));
                (family.samples)(view, &mut samples);
                family.proto(samples.into_metrics())
            }
        };
        match format {
            Format::Text => write_text(&mut out, family, &made),
            Format::OpenMetrics => openmetrics::write(&mut out, family, &made, view.created(family.since)),
        }
        spare = Spare::of(family, made);
    }
    if format == Format::OpenMetrics {
        out.push_str(openmetrics::EOF);
    }
    out.into_bytes()
}

/// A family without samples is still named: who looks at the page learns that there is such a thing.
fn write_text(out: &mut String, family: &Family, made: &proto::MetricFamily) {
    if made.get_metric().is_empty() {
        out.extend(["# HELP ", family.name, " ", family.help, "\n# TYPE ", family.name, " ", family.type_name(), "\n"]);
    } else {
        TextEncoder::new().encode_utf8(std::slice::from_ref(made), out).expect("it has a name and samples");
    }
}
