//! Health checkers: by real server, and by kind.

use super::super::family::{Family, Samples, counter, gauge, histogram};
use super::super::view::{Server, Service, View};

use super::ipvs::SERVER;

/// Real servers that are checked.
fn checked<'a, 'v>(view: &'v View<'a>) -> impl Iterator<Item = (&'v Service<'a>, &'v Server<'a>)> {
    view.servers().filter(|(_, server)| !server.row.checkers.is_empty())
}

/// Why checks fail.
const REASONS: [&str; 10] =
    ["timeout", "refused", "unreachable", "protocol", "status", "digest", "regex", "tls", "script", "other"];

fn failures(view: &View<'_>, out: &mut Samples) {
    for kind in view.look.check_times().kinds {
        for reason in REASONS {
            // A cause that has no name here is another one.
            let counts = kind.failures.iter().filter(|(name, _)| match reason {
                "other" => name == "other" || !REASONS.contains(&name.as_str()),
                reason => name == reason,
            });
            out.put_first(&[&kind.kind, reason], counts.map(|(_, count)| count).sum::<u64>() as f64);
        }
    }
}

pub static FAMILIES: &[Family] = &[
    gauge("keepwatch_checker_up", "1 while that checker is content.")
        .detail()
        .labels(&["virtual_server", "protocol", "real_server", "checker"])
        .from(|view, out| {
            for (service, server) in view.servers() {
                for (at, checker) in server.row.checkers.iter().enumerate() {
                    let same = |other: &&crate::bus::rows::CheckerRow| {
                        (&other.kind, &other.target) == (&checker.kind, &checker.target)
                    };
                    let before = server.row.checkers.iter().take(at).filter(same).count();
                    let mut name = format!("{} {}", checker.kind, checker.target);
                    if before > 0 {
                        name = format!("{name} #{}", before + 1);
                    }
                    out.put_first(&server.and(service, &name), f64::from(u8::from(checker.up)));
                }
            }
        }),
    counter("keepwatch_checker_runs_total", "Finished checks of the real server: success, failure.")
        .labels(&["virtual_server", "protocol", "real_server", "result"])
        .from(|view, out| {
            for (service, server) in checked(view) {
                out.count(&server.and(service, "success"), server.totals.passed);
                out.count(&server.and(service, "failure"), server.totals.failed);
            }
        }),
    gauge("keepwatch_checker_last_duration_seconds", "How long its last check took; of several checkers, the slowest.")
        .labels(SERVER)
        .seconds()
        .from(|view, out| {
            for (service, server) in checked(view) {
                let took_us = server.row.checkers.iter().map(|checker| checker.took_us).max().unwrap_or(0);
                out.put(&server.labels(service), took_us as f64 / 1e6);
            }
        }),
    counter(
        "keepwatch_checker_failures_total",
        "Checks that failed, by kind of checker and cause: timeout, refused, unreachable, protocol, status, digest, regex, tls, script, other.",
    )
    .labels(&["type", "reason"])
    .from(failures),
    histogram("keepwatch_checker_duration_seconds", "How long checks took, by kind of checker.").labels(&["type"]).from(
        |view, out| {
            for kind in view.look.check_times().kinds {
                out.histogram(&[&kind.kind], &kind.took);
            }
        },
    ),
    histogram("keepwatch_checker_start_delay_seconds", "How late checks started, all checkers together.").from(
        |view, out| {
            if view.wanted("checks") {
                out.histogram(&[], &view.look.check_times().start_delay);
            }
        },
    ),
    gauge("keepwatch_checkers_in_flight", "Checks under way.").from(|view, out| {
        if view.wanted("checks") {
            out.put(&[], view.look.check_times().in_flight.into());
        }
    }),
];
