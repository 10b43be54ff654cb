//! `dashboards/` is what its sources say, and promtool agrees with it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use agentx_tests::dashboards::{alerts, dashboards, files, root};

#[test]
fn the_files_are_made_from_their_sources() {
    let renew = std::env::var_os("KEEPWATCH_RENEW").is_some();
    for (path, text) in files() {
        let whole = root().join(&path);
        if renew {
            fs::create_dir_all(whole.parent().expect("a directory")).expect("a directory");
            fs::write(&whole, &text).expect("a writable tree");
        }
        let found = fs::read_to_string(&whole).unwrap_or_default();
        assert!(found == text, "{path} is old: KEEPWATCH_RENEW=1 cargo test -p agentx-tests --test dashboards");
    }
    for (directory, kept) in [("docs/runbooks", "md"), ("dashboards/grafana", "json")] {
        for entry in fs::read_dir(root().join(directory)).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = format!("{directory}/{}", path.file_name().expect("a name").to_string_lossy());
            assert!(!name.ends_with(kept) || files().contains_key(&name), "{name} is made from nothing");
        }
    }
}

#[test]
fn promtool_accepts_the_rules_and_each_alert_fires_and_stays_silent_when_it_should() {
    let directory = root().join("dashboards/prometheus");
    promtool(&directory, &["check", "rules", "rules.yml"]);
    promtool(&directory, &["test", "rules", "tests.yml"]);
    let tests = fs::read_to_string(directory.join("tests.yml")).expect("the tests");
    for alert in alerts().alerts {
        for word in ["fires", "silent"] {
            assert!(tests.contains(&format!("- name: {} {word}\n", alert.alert)), "{} {word}", alert.alert);
        }
    }
}

/// Names of our families in a query: what follows the prefix, without the parts of a histogram.
fn families(expr: &str) -> BTreeSet<String> {
    let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("keepwatch_"));
    ours.map(|word| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| word.strip_suffix(part));
        base.unwrap_or(word).to_owned()
    })
    .collect()
}

#[test]
fn every_query_asks_for_families_that_there_are() {
    let known = fs::read_to_string(root().join("docs/metrics.md")).expect("docs/metrics.md");
    let panels = dashboards();
    let panels = panels.iter().flat_map(|dashboard| dashboard.panels()).flat_map(|panel| &panel.targets);
    let rules = alerts().alerts;
    let queries = panels.map(|target| target.expr.as_str()).chain(rules.iter().map(|alert| alert.expr.as_str()));
    for query in queries {
        for family in families(query) {
            assert!(known.contains(&format!("`{family}`")), "{family} in {query}");
        }
    }
}

fn promtool(directory: &Path, words: &[&str]) {
    let output =
        Command::new("promtool").args(words).current_dir(directory).output().expect("promtool: run `make setup`");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {words:?}:\n{text}");
}
