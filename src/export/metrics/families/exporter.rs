//! How fresh all of this is, and what exporters do. The `keepwatch_exporter_` families have no samples here: the exporter keeps
//! them itself, in the types of the crate.

use super::super::family::{Family, Since, counter, gauge, histogram};
use super::super::view::{View, seconds};
use crate::bus::timing::Pulse;
use crate::clock::WallTime;
use crate::export::look::RrdReport;

fn rrd<'a>(view: &View<'a>, put: impl FnOnce(&'a RrdReport)) {
    if let Some(rrd) = view.look.rrd.as_deref() {
        put(rrd);
    }
}

pub const SCRAPES: &str = "keepwatch_exporter_scrapes_total";
pub const SCRAPE_DURATION: &str = "keepwatch_exporter_scrape_duration_seconds";
pub const SERIES: &str = "keepwatch_exporter_series";
pub const SERIES_DROPPED: &str = "keepwatch_exporter_series_dropped";

const BRIDGE: Since = Since::Process("bridge");

pub static FAMILIES: &[Family] = &[
    gauge("keepwatch_store_last_update_timestamp_seconds", "When that source said anything last: vrrp, checker, ipvs.")
        .labels(&["source"])
        .seconds()
        .from(|view, out| {
            let rows = &view.look.snapshot;
            let said = |pulse: &Option<std::sync::Arc<Pulse>>| pulse.as_ref().map_or(WallTime(0), |pulse| pulse.at);
            if view.wanted("vrrp") {
                out.put(&["vrrp"], seconds(said(&rows.vrrp.pulse)));
            }
            if view.wanted("checks") {
                out.put(&["checker"], seconds(said(&rows.checks.pulse)));
                out.put(&["ipvs"], seconds(rows.checks.ipvs.counted_wall));
            }
        }),
    counter(SCRAPES, "Answers given, by format (text, openmetrics, compat, json) and HTTP status.")
        .labels(&["format", "code"])
        .since(BRIDGE),
    histogram(SCRAPE_DURATION, "How long answers took.").since(BRIDGE),
    gauge(SERIES, "Series in the last answer."),
    gauge(SERIES_DROPPED, "Series left out of it because of the limit."),
    counter("keepwatch_rrd_updates_total", "Updates of RRD files: success, failure, dropped.")
        .labels(&["result"])
        .since(BRIDGE)
        .from(|view, out| {
            rrd(view, |rrd| {
                out.count(&["success"], rrd.success);
                out.count(&["failure"], rrd.failure);
                out.count(&["dropped"], rrd.dropped);
            });
        }),
    gauge("keepwatch_rrd_files", "RRD files kept.").from(|view, out| rrd(view, |rrd| out.count(&[], rrd.files))),
    gauge("keepwatch_rrd_flush_duration_seconds", "How long the last batch of updates took.")
        .seconds()
        .from(|view, out| rrd(view, |rrd| out.put(&[], rrd.flush_us as f64 / 1e6))),
];
