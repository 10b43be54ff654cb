//! A thousand broken files, one after the other, put before a running master with SIGHUP: it says of each what is wrong and where,
//! and nothing else happens.
//!
//! `KEEPWATCH_SEED` and `KEEPWATCH_FILES` change what is tried.

use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::dice::Dice;
use agentx_tests::mutate;
use agentx_tests::pair::Link;
use agentx_tests::promise::{FLAVOUR, Kept, Verdict, judge, until_clear};
use agentx_tests::wait::{self, Stalls};
use keepwatch::conf::{self, Disk, LocalHost, Severity};

/// How one file was refused.
const REFUSED: &str = "reload refused";

/// What the log says of a change of state.
const ENTERS: &str = "(VI_1) Entering";

/// Broken files: what nobody could load on this host, with the places of their errors as the log will name them.
struct Broken {
    text: String,
    /// `:LINE:COLUMN: ` of some error.
    places: Vec<String>,
}

/// Mutations of the file in force and of the recorded ones, of which keepwatch itself says that they are wrong.
fn broken(link: &Link, seed: u64, count: usize) -> Vec<Broken> {
    let directory = link.nodes[0].directory();
    let own = FLAVOUR.configuration(1, "MASTER", 150);
    link.nodes[0].enter(move || {
        let mut dice = Dice::new(seed);
        let corpus = mutate::corpus();
        let file = directory.join("candidate.conf");
        let mut found = Vec::new();
        while found.len() < count {
            let text = if dice.between(0, 1) == 0 { own.clone() } else { dice.pick(&corpus).1.clone() };
            let (text, _) = mutate::mutated(&mut dice, &text);
            std::fs::write(&file, &text).unwrap();
            let loaded = conf::load(&file.to_string_lossy(), &conf::Options::default(), &Disk, &LocalHost);
            let errors =
                loaded.diagnostics.iter().filter(|each| each.severity == Severity::Error && each.span.line > 0);
            let places: Vec<String> =
                errors.map(|each| format!(":{}:{}: ", each.span.line, each.span.column)).collect();
            if !places.is_empty() {
                found.push(Broken { text, places });
            }
        }
        found
    })
}

fn count() -> usize {
    std::env::var("KEEPWATCH_FILES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

fn storm(stalls: &Stalls) -> Verdict {
    let seed = Dice::seed();
    println!("KEEPWATCH_SEED={seed}");
    let link = Link::new();
    let files = broken(&link, seed, count());
    let master =
        Daemon::start(&link.nodes[0], Program::Keepwatch, &FLAVOUR.configuration(1, "MASTER", 150), Options::default());
    let there = wait::within(Duration::from_secs(10), || link.has_all(0, FLAVOUR).then_some(()));
    assert!(there.is_some(), "R1 did not become master; it said:\n{}", master.log());
    let backup =
        Daemon::start(&link.nodes[1], Program::Keepwatch, &FLAVOUR.configuration(2, "BACKUP", 100), Options::default());
    backup.wait_until_it_listens();
    wait::observe(Duration::from_secs(1));

    let states = master.log().matches(ENTERS).count();
    let from = wait::now_ns();
    let mut slowest = Duration::ZERO;
    for (number, file) in files.iter().enumerate() {
        let before = master.log().len();
        let said = || master.log().get(before..).unwrap_or_default().to_owned();
        let begun = std::time::Instant::now();
        master.reload(&file.text);
        let refused = wait::within(Duration::from_secs(20), || said().contains(REFUSED).then_some(()));
        slowest = slowest.max(begun.elapsed());
        let told = said();
        let what = format!("KEEPWATCH_SEED={seed}, file {number}:\n{}\n--- it said:\n{told}", file.text);
        assert!(refused.is_some(), "no answer to SIGHUP: {what}");
        assert!(file.places.iter().any(|place| told.contains(place)), "none of {:?} was told: {what}", file.places);
    }
    let until = wait::now_ns();
    println!("{} files in {:.1} s, the slowest {slowest:?}", files.len(), wait::seconds(until - from));

    let kept = Kept::since(from, &link, stalls);
    for address in FLAVOUR.addresses() {
        let spans = link.monitors[0].spans(address);
        assert!(matches!(spans[..], [(_, None)]), "{address} was not there all the time: {spans:?}");
    }
    let told = master.log();
    assert_eq!(told.matches(ENTERS).count(), states, "a state was entered:\n{told}");
    let later = link.witness.adverts_from(link.ports[0]).into_iter().filter(|(at, _)| *at > from);
    for (_, advert) in later {
        assert_eq!((advert.priority, advert.vrid, advert.count), (150, 51, 2), "the file in force stays so");
    }
    assert_eq!(told.matches(REFUSED).count(), files.len(), "each was refused once");
    judge(&format!("{} broken files, KEEPWATCH_SEED={seed}", files.len()), kept)
}

#[test]
fn a_thousand_broken_files_change_nothing_and_each_is_told_why() {
    let stalls = Stalls::watch();
    until_clear("reload storm", &stalls, || storm(&stalls));
}
