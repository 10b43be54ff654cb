//! `docs/metrics.md`, from the table.

use std::fmt::Write;

use super::compat::Names;
use super::families::SECTIONS;
use super::family::{Family, Level};

/// The page; `docs/metrics.md` is this text, and a test renews it (`KEEPWATCH_RENEW=1`).
pub fn page() -> String {
    let mut out = String::from(
        "# Metrics\n\n\
         Generated from the tables in `src/export/metrics`; do not edit. `/metrics` is Prometheus text 0.0.4, or OpenMetrics 1.0 \
         for who asks for it; there, counters lose `_total` and infos `_info` in their `# TYPE`, and counters whose beginning is \
         known have `_created`.\n\n\
         Families of level *detail* have a series for each address or checker; `metrics.detail: false` in keepwatch.yaml \
         leaves them out. With `metrics.real_servers: basic` the families with a label `real_server` go, except `up`, `weight`, \
         `active_connections` and `connections_total`; with `off`, those too. When a page would have more than \
         `metrics.max_series` series, families go by themselves, in this order and whole: those of level detail, then those that \
         `basic` leaves out. `keepwatch_exporter_series_dropped` counts what is missing; nothing else is ever left out.\n\n\
         A family is named on the page when it has no series, too. Its series appear with what they are about: a tracked \
         script, a session, a kind of checker. Counters do not go down while their object is configured.\n",
    );
    for (section, families) in SECTIONS {
        write_table(&mut out, "##", section, families.iter()).expect("a String takes any text");
    }
    out.push_str(
        "\n## /metrics/compat\n\n\
         The names of other exporters, for dashboards and rules that are there: `?names=mehdy` (also without a query), \
         `?names=gen2brain`, `?names=node_ipvs`, or several with commas. Labels and numbers are as there. `keepalived_up` is 1 \
         exactly when VRRP and the checkers run, as far as the configuration wants them.\n",
    );
    for names in Names::ALL {
        write_table(&mut out, "###", names.name(), names.families()).expect("a String takes any text");
    }
    out
}

fn write_table<'a>(
    out: &mut String,
    level: &str,
    title: &str,
    families: impl Iterator<Item = &'a Family>,
) -> std::fmt::Result {
    writeln!(out, "\n{level} {title}\n\n| name | type | labels | unit | level | meaning |\n|---|---|---|---|---|---|")?;
    for family in families {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(", ") };
        let level = if family.level == Level::Basic { "basic" } else { "detail" };
        let (kind, unit) = (family.type_name(), family.unit.name().unwrap_or("1"));
        writeln!(out, "| `{}` | {kind} | {labels} | {unit} | {level} | {} |", family.name, family.help)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_in_docs_is_the_one_that_the_table_gives() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let page = super::page();
        if std::env::var_os("KEEPWATCH_RENEW").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let on_disk = std::fs::read_to_string(path).unwrap_or_default();
        assert!(on_disk == page, "docs/metrics.md is out of date: run the tests with KEEPWATCH_RENEW=1");
    }
}
