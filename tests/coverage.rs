//! Every directive of VRRP, of what is tracked, of BFD and of the whole daemon has an effect and names a test of it, or has a
//! row in `docs/compatibility.md` that says why not. `make test` fails when that falls; run with `--nocapture` to see the
//! figures of each block.
//!
//! `tests/data/coverage.tsv` names the tests: block, directives with blanks between them, `file::function`. Several lines for
//! one directive are fine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use keepwatch::conf::keywords::{self, Effect};

/// A block and a directive in it.
type Key = (String, String);

#[test]
fn each_directive_has_an_effect_and_a_test_or_a_reason_why_not() {
    let (tests, reasons) = (named_tests(), reasons());
    let mut figures: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let mut open = Vec::new();
    let mut wrong = Vec::new();
    for key @ (block, directive) in &directives() {
        let figure = figures.entry(block.clone()).or_default();
        let (tested, explained) = (tests.contains_key(key), reasons.contains(key));
        let effect = keywords::find(block, directive).map(|(row, _)| row.effect);
        match effect {
            Some(Effect::Built) if explained => {
                wrong.push(format!("{block} {directive}: has an effect, and docs/compatibility.md says why not"));
            }
            Some(Effect::Built) if tested => figure[0] += 1,
            Some(Effect::Built) => open.push(format!("{block} {directive}: no test is named")),
            Some(Effect::NotBuilt | Effect::Nothing) | None if explained => figure[1] += 1,
            Some(Effect::NotBuilt | Effect::Nothing) | None => {
                open.push(format!("{block} {directive}: no effect, and no reason in docs/compatibility.md"));
            }
        }
        figure[2] += 1;
    }
    let mut sum = [0; 3];
    for (block, figure) in &figures {
        println!("{block}: {} with an effect and a test, {} with a reason, of {}", figure[0], figure[1], figure[2]);
        sum.iter_mut().zip(figure).for_each(|(sum, figure)| *sum += figure);
    }
    let [built, explained, all] = sum;
    println!("all: {built} with an effect and a test, {explained} with a reason, of {all}; {} open", open.len());
    let known: BTreeSet<Key> = directives().into_iter().collect();
    wrong.extend(tests.keys().chain(&reasons).filter(|key| !known.contains(key)).map(|(block, directive)| {
        format!("{block} {directive}: named in tests/data/coverage.tsv or docs/compatibility.md, and no directive")
    }));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(open.is_empty(), "{} are open:\n{}", open.len(), open.join("\n"));
}

#[test]
fn every_named_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for test in named_tests().into_values().flatten() {
        let Some((file, function)) = test.split_once("::") else {
            missing.insert(format!("{test}: not file::function"));
            continue;
        };
        let text =
            texts.entry(file.to_owned()).or_insert_with(|| fs::read_to_string(root.join(file)).unwrap_or_default());
        let is_test = text.split_once(&format!("fn {function}(")).is_some_and(|(before, _)| {
            before.trim_end().rsplit('\n').take(4).any(|line| line.trim().starts_with("#[test]"))
        });
        if !is_test {
            missing.insert(format!("{test}: there is no such test"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Those of the specification that this is about: all but the blocks of the load balancer.
fn directives() -> Vec<Key> {
    let balancer = |block: &str, directive: &str| {
        let balancer = ["virtual_server", "virtual_server_group", "SSL"];
        let first = block.split('/').next().unwrap_or_default();
        balancer.contains(&first) || block == "/" && balancer.contains(&directive)
    };
    let lines = include_str!("conf/directives.tsv").lines().skip(1);
    let keys = lines.filter_map(|line| {
        let mut cells = line.split('\t');
        Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
    });
    keys.filter(|(block, directive)| !balancer(block, directive)).collect()
}

fn named_tests() -> BTreeMap<Key, Vec<String>> {
    let mut named: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    for line in include_str!("data/coverage.tsv").lines().skip(1).filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [block, directives, test] = cells[..] else { panic!("three cells in tests/data/coverage.tsv: {line}") };
        for directive in directives.split(' ') {
            named.entry((block.to_owned(), directive.to_owned())).or_default().push(test.to_owned());
        }
    }
    named
}

/// The rows of `docs/compatibility.md` below "Directives without an effect": block, directives, why.
fn reasons() -> BTreeSet<Key> {
    let text = include_str!("../docs/compatibility.md");
    let (_, table) = text.split_once("## Directives without an effect").expect("the chapter");
    let table = table.split("\n## ").next().unwrap_or_default();
    let mut reasons = BTreeSet::new();
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [block, directives, why] = cells[..] else { panic!("three cells in docs/compatibility.md: {line}") };
        assert!(why.len() > 20, "a reason: {line}");
        for directive in directives.split(", ") {
            let plain = |cell: &str| cell.trim_matches('`').to_owned();
            assert!(reasons.insert((plain(block), plain(directive))), "{block} {directive} stands there twice");
        }
    }
    reasons
}
