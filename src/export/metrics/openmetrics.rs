//! OpenMetrics text 1.0, which the `prometheus` crate does not write.

use std::fmt::Write;

use prometheus::proto::{self, MetricType};

use super::family::{Family, Kind};
use crate::clock::WallTime;

/// What ends a page; nothing may follow.
pub const EOF: &str = "# EOF\n";

/// One family with its samples; `created` is when its counters began.
pub fn write(out: &mut String, facts: &Family, family: &proto::MetricFamily, created: Option<WallTime>) {
    let name = family_name(facts);
    let kind = match facts.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::Info => "info",
    };
    line(out, format_args!("# TYPE {name} {kind}"));
    if let Some(unit) = facts.unit.name() {
        line(out, format_args!("# UNIT {name} {unit}"));
    }
    out.push_str("# HELP ");
    out.push_str(name);
    out.push(' ');
    escape(out, facts.help);
    out.push('\n');
    let created = created.map(|at| format!("{}.{:03}", at.0 / 1_000_000_000, at.0 / 1_000_000 % 1_000));
    for metric in family.get_metric() {
        match family.get_field_type() {
            MetricType::HISTOGRAM => histogram(out, name, metric),
            MetricType::COUNTER => sample(out, facts.name, "", metric, None, metric.get_counter().get_value()),
            _ => sample(out, facts.name, "", metric, None, metric.get_gauge().get_value()),
        }
        if let (Some(created), Kind::Counter | Kind::Histogram) = (&created, facts.kind) {
            out.push_str(name);
            out.push_str("_created");
            labels(out, metric, None);
            line(out, format_args!(" {created}"));
        }
    }
}

/// Without what the type adds to the names of samples.
fn family_name(facts: &Family) -> &'static str {
    let suffix = match facts.kind {
        Kind::Counter => "_total",
        Kind::Info => "_info",
        Kind::Gauge | Kind::Histogram => "",
    };
    facts.name.strip_suffix(suffix).unwrap_or(facts.name)
}

fn histogram(out: &mut String, name: &str, metric: &proto::Metric) {
    let histogram = metric.get_histogram();
    for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
        // Bounds are floating point numbers, and look it: 1.0.
        let bound = format!("{:?}", bucket.upper_bound());
        sample(out, name, "_bucket", metric, Some(&bound), bucket.cumulative_count() as f64);
    }
    let count = histogram.get_sample_count() as f64;
    sample(out, name, "_bucket", metric, Some("+Inf"), count);
    sample(out, name, "_sum", metric, None, histogram.get_sample_sum());
    sample(out, name, "_count", metric, None, count);
}

fn sample(out: &mut String, name: &str, suffix: &str, metric: &proto::Metric, bound: Option<&str>, value: f64) {
    out.push_str(name);
    out.push_str(suffix);
    labels(out, metric, bound);
    // A whole number is written as one, which is faster, too.
    if value.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&value) {
        line(out, format_args!(" {}", value as u64));
    } else {
        line(out, format_args!(" {value}"));
    }
}

fn labels(out: &mut String, metric: &proto::Metric, bound: Option<&str>) {
    let mut separator = '{';
    let pairs = metric.get_label().iter().map(|label| (label.name(), label.value()));
    for (name, value) in pairs.chain(bound.map(|bound| ("le", bound))) {
        out.push(separator);
        out.push_str(name);
        out.push_str("=\"");
        escape(out, value);
        out.push('"');
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
}

fn escape(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut special = special.chars();
        out.push_str(match special.next() {
            Some('\n') => "\\n",
            Some('"') => "\\\"",
            _ => "\\\\",
        });
        rest = special.as_str();
    }
    out.push_str(rest);
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes any text");
    out.push('\n');
}
