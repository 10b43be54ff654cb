//! What a metric family is: its facts, and a function from one moment to its samples.

use std::collections::{HashMap, HashSet};

use prometheus::proto;

use super::view::View;
use crate::bus::timing::{BOUNDS_NS, Histogram};

/// One family of the page. The facts are the interface: `docs/metrics.md` and the tests are made from them.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// As in the text format: counters with `_total`.
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    /// In the order of the values that [`Samples::put`] is given.
    pub labels: &'static [&'static str],
    pub level: Level,
    /// One line.
    pub help: &'static str,
    /// Since when its counters count.
    pub since: Since,
    pub samples: fn(&View<'_>, &mut Samples),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// A gauge that is always 1 and has its facts in labels; OpenMetrics has a type for it.
    Info,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    One,
    Seconds,
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    Basic,
    /// One series for each address or checker: `metrics.detail`.
    Detail,
}

/// When a counter was created, as far as that is known. Counters of a virtual router or a kernel service outlive processes, and
/// nobody remembers where they began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Since {
    Unknown,
    /// With the daemon, or with its process of that name.
    Daemon,
    Process(&'static str),
}

pub const fn counter(name: &'static str, help: &'static str) -> Family {
    family(name, help, Kind::Counter)
}

pub const fn gauge(name: &'static str, help: &'static str) -> Family {
    family(name, help, Kind::Gauge)
}

pub const fn histogram(name: &'static str, help: &'static str) -> Family {
    Family { unit: Unit::Seconds, ..family(name, help, Kind::Histogram) }
}

pub const fn info(name: &'static str, help: &'static str) -> Family {
    family(name, help, Kind::Info)
}

const fn family(name: &'static str, help: &'static str, kind: Kind) -> Family {
    let (unit, level, since) = (Unit::One, Level::Basic, Since::Unknown);
    Family { name, kind, unit, labels: &[], level, help, since, samples: |_, _| {} }
}

impl Family {
    pub const fn labels(self, labels: &'static [&'static str]) -> Family {
        Family { labels, ..self }
    }

    pub const fn seconds(self) -> Family {
        Family { unit: Unit::Seconds, ..self }
    }

    pub const fn bytes(self) -> Family {
        Family { unit: Unit::Bytes, ..self }
    }

    pub const fn detail(self) -> Family {
        Family { level: Level::Detail, ..self }
    }

    pub const fn since(self, since: Since) -> Family {
        Family { since, ..self }
    }

    pub const fn from(self, samples: fn(&View<'_>, &mut Samples)) -> Family {
        Family { samples, ..self }
    }

    /// One or more series for each real server.
    pub fn per_real_server(&self) -> bool {
        self.labels.contains(&"real_server")
    }

    /// How the formats call it.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge | Kind::Info => "gauge",
            Kind::Histogram => "histogram",
        }
    }

    pub(super) fn proto(&self, metrics: Vec<proto::Metric>) -> proto::MetricFamily {
        let mut family = proto::MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(match self.kind {
            Kind::Counter => proto::MetricType::COUNTER,
            Kind::Gauge | Kind::Info => proto::MetricType::GAUGE,
            Kind::Histogram => proto::MetricType::HISTOGRAM,
        });
        family.set_metric(metrics);
        family
    }
}

impl Unit {
    pub fn name(self) -> Option<&'static str> {
        match self {
            Unit::One => None,
            Unit::Seconds => Some("seconds"),
            Unit::Bytes => Some("bytes"),
        }
    }
}

/// Takes the samples of one family: counts them, or keeps them.
#[derive(Debug, Default)]
pub struct Samples {
    kept: Option<Kept>,
    series: usize,
    seen: HashSet<String>,
}

#[derive(Debug)]
struct Kept {
    kind: Kind,
    labels: &'static [&'static str],
    metrics: Vec<proto::Metric>,
    spare: Spare,
}

/// Samples that were written already. Families that follow each other often have the same labels in the same order, and
/// making these is most of the work: such a sample gets a new value, and that is all.
#[derive(Debug, Default)]
pub(super) struct Spare {
    labels: &'static [&'static str],
    metrics: std::vec::IntoIter<proto::Metric>,
}

impl Spare {
    /// Of a family that was written.
    pub(super) fn of(family: &Family, mut written: proto::MetricFamily) -> Spare {
        // What the histogram of a sample was is not cleared by setting a value.
        if family.kind == Kind::Histogram {
            return Spare::default();
        }
        Spare { labels: family.labels, metrics: written.take_metric().into_iter() }
    }
}

impl Samples {
    /// Counts only.
    pub(super) fn counting() -> Samples {
        Samples::default()
    }

    pub(super) fn keeping(family: &Family, expected: usize, spare: Spare) -> Samples {
        let spare = if spare.labels == family.labels { spare } else { Spare::default() };
        let metrics = Vec::with_capacity(expected);
        let kept = Kept { kind: family.kind, labels: family.labels, metrics, spare };
        Samples { kept: Some(kept), ..Samples::default() }
    }

    /// A value, with those of the family's labels in their order.
    pub fn put(&mut self, values: &[&str], value: f64) {
        self.series += 1;
        if let Some(kept) = &mut self.kept {
            let mut metric = kept.metric(values);
            match kept.kind {
                Kind::Counter => {
                    let mut counter = proto::Counter::default();
                    counter.set_value(value);
                    metric.set_counter(counter);
                }
                Kind::Gauge | Kind::Info | Kind::Histogram => {
                    let mut gauge = proto::Gauge::default();
                    gauge.set_value(value);
                    metric.set_gauge(gauge);
                }
            }
            kept.metrics.push(metric);
        }
    }

    /// As [`put`](Self::put) where the configuration may say the same thing twice: the first one counts.
    pub fn put_first(&mut self, values: &[&str], value: f64) {
        if self.seen.insert(values.join("\0")) {
            self.put(values, value);
        }
    }

    pub fn count(&mut self, values: &[&str], value: u64) {
        // Exact up to 2^53, and never less than before above it.
        self.put(values, value as f64);
    }

    pub fn flag(&mut self, values: &[&str], value: bool) {
        self.put(values, f64::from(u8::from(value)));
    }

    pub fn histogram(&mut self, values: &[&str], seen: &Histogram) {
        // Buckets, +Inf among them, the sum and the count.
        self.series += seen.buckets.len() + 2;
        let Some(kept) = &mut self.kept else { return };
        let mut below = 0;
        let buckets = BOUNDS_NS.iter().zip(seen.buckets).map(|(bound, count)| {
            below += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound as f64 / 1e9);
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(seen.count());
        histogram.set_sample_sum(seen.sum_ns as f64 / 1e9);
        let mut metric = kept.metric(values);
        metric.set_histogram(histogram);
        kept.metrics.push(metric);
    }

    /// As lines of the text format.
    pub(super) fn series(&self) -> usize {
        self.series
    }

    pub(super) fn into_metrics(self) -> Vec<proto::Metric> {
        self.kept.map(|kept| kept.metrics).unwrap_or_default()
    }
}

impl Kept {
    fn metric(&mut self, values: &[&str]) -> proto::Metric {
        debug_assert_eq!(values.len(), self.labels.len(), "{:?}", self.labels);
        if let Some(spare) = self.spare.metrics.next() {
            let labels = spare.get_label();
            if labels.len() == values.len() && labels.iter().zip(values).all(|(label, value)| label.value() == *value) {
                return spare;
            }
        }
        let labels = self.labels.iter().zip(values).map(|(name, value)| label(name, value));
        proto::Metric::from_label(labels.collect())
    }
}

fn label(name: &str, value: &str) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.to_owned());
    // A zero octet ends the input for Prometheus' own parser, wherever it stands.
    pair.set_value(if value.contains('\0') { value.replace('\0', "\u{fffd}") } else { value.to_owned() });
    pair
}

/// How many series a family of the crate's own types has, counted as [`Samples::series`] does.
pub(super) fn series_of(family: &proto::MetricFamily) -> usize {
    let each = |metric: &proto::Metric| match family.get_field_type() {
        proto::MetricType::HISTOGRAM => metric.get_histogram().get_bucket().len() + 3,
        _ => 1,
    };
    family.get_metric().iter().map(each).sum()
}

/// Families by name.
pub(super) fn by_name(families: Vec<proto::MetricFamily>) -> HashMap<String, proto::MetricFamily> {
    families.into_iter().map(|family| (family.name().to_owned(), family)).collect()
}
