//! The page that users read names all 33 places where Keepalived's SNMP is wrong, and for each a test that there is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const DIFFERENCES: &str = include_str!("../../docs/differences.md");

/// How many there are.
const BUGS: u32 = 33;

/// Cells of each table row that begins with a number, by number.
fn rows_of(part: &str) -> BTreeMap<u32, Vec<Vec<String>>> {
    let mut rows: BTreeMap<u32, Vec<Vec<String>>> = BTreeMap::new();
    for line in part.lines() {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        let number = cells.next().and_then(|cell| cell.strip_prefix('B')?.parse().ok());
        if let Some(number) = number {
            rows.entry(number).or_default().push(cells.collect());
        }
    }
    rows
}

/// The page before the table of tests, and that table.
fn parts() -> (&'static str, &'static str) {
    DIFFERENCES.split_once("## Thirty-three places").expect("the page has a table of tests")
}

#[test]
fn every_place_where_keepalived_is_wrong_is_told_to_users() {
    let told: BTreeSet<u32> = rows_of(parts().0).into_keys().collect();
    let missing: Vec<u32> = (1..=BUGS).filter(|bug| !told.contains(bug)).collect();
    assert_eq!(missing, [] as [u32; 0], "rows of the table in the chapter on SNMP");
}

#[test]
fn each_of_them_names_tests_that_exist() {
    let sources = sources();
    assert!(sources.len() > 100, "only {} source files", sources.len());
    let rows = rows_of(parts().1);
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), (1..=BUGS).collect::<Vec<_>>());
    let mut wrong = Vec::new();
    for (bug, cells) in rows {
        let names: Vec<&str> =
            cells.iter().flatten().flat_map(|cell| cell.split(", ")).filter(|it| !it.is_empty()).collect();
        if names.is_empty() {
            wrong.push(format!("B{bug} names no test"));
        }
        for name in names {
            let test = format!("fn {name}()");
            let is_there = |text: &String| {
                text.split(&test).next().filter(|before| before.len() < text.len()).is_some_and(is_a_test)
            };
            if !sources.iter().any(|(_, text)| is_there(text)) {
                wrong.push(format!("B{bug}: no test is called {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether what stands before a function makes it a test: an attribute, or `proptest!`, whose tests have one, too.
fn is_a_test(before: &str) -> bool {
    before.trim_end().rsplit('\n').take(3).any(|line| line.trim() == "#[test]")
}

/// Path and text of every source file of ours.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut directories =
        ["src", "tests", "agentx-tests/src", "agentx-tests/tests"].map(|name| root.join(name)).to_vec();
    let mut found = Vec::new();
    while let Some(directory) = directories.pop() {
        let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                found.push((path, text));
            }
        }
    }
    found
}
