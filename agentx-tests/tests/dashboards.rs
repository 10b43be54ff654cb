//! `dashboards/` is what its sources say, and promtool agrees with it.

use std::fs;
use std::path::Path;
use std::process::Command;

use agentx_tests::dashboards::{alerts, files, root};

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

fn promtool(directory: &Path, words: &[&str]) {
    let output =
        Command::new("promtool").args(words).current_dir(directory).output().expect("promtool: run `make setup`");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {words:?}:\n{text}");
}
