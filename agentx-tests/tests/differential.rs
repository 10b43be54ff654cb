//! Two thousand files, made from the keyword table or real ones with mistakes in them, through our reader and through Debian's
//! `keepalived -t`: each disagreement about who accepts what has a reason that docs/compatibility.md lists.
//!
//! `KEEPWATCH_SEED` and `KEEPWATCH_FILES` try others. `KEEPWATCH_KEEP_LOGS` leaves the files in the lab's directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use agentx_tests::daemon::Program;
use agentx_tests::dice::Dice;
use agentx_tests::differential::{self, End, Judgement};
use agentx_tests::mutate;
use agentx_tests::net::{Lab, Nic, Node};
use keepwatch::conf::{self, Disk, LocalHost};
use nix::sched::{CloneFlags, setns};

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The host on which the list of mistakes was measured.
fn host(lab: &Lab) -> Node {
    let switch = lab.switch();
    let node = lab.node("R1");
    let nic = |name, addresses| Nic { name, addresses, ..Nic::default() };
    lab.connect(&node, &switch, nic("eth0", &["192.0.2.11/24", "2001:db8:1::11/64"]));
    lab.connect(&node, &switch, nic("eth1", &["198.51.100.11/24"]));
    node
}

fn files(directory: &Path, seed: u64, count: u64) -> Vec<PathBuf> {
    let corpus = mutate::corpus();
    let mut dice = Dice::new(seed);
    let write = |number: u64| {
        let text = if number.is_multiple_of(2) {
            mutate::generated(&mut dice)
        } else {
            let (_, text) = dice.pick(&corpus).clone();
            mutate::mutated(&mut dice, &text).0
        };
        let file = directory.join(format!("{number:04}.conf"));
        std::fs::write(&file, text).unwrap();
        file
    };
    (0..count).map(write).collect()
}

#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    refused: usize,
    crashed: usize,
    reasons: BTreeMap<&'static str, usize>,
    statuses: BTreeMap<String, usize>,
    unexplained: Vec<String>,
}

impl Tally {
    fn add(&mut self, file: &Path, program: &Path) {
        let text = std::fs::read_to_string(file).unwrap();
        let ours = conf::load(&file.to_string_lossy(), &conf::Options::default(), &Disk, &LocalHost);
        let theirs = differential::keepalived(program, file);
        self.crashed += usize::from(!matches!(theirs.end, End::Status(_)));
        let complain = |what: &str| format!("{what}\n{text}--- here\n{}--- there\n{}", ours.render(), theirs.said);
        match differential::judge(&text, &ours, &theirs) {
            Judgement::Agreed if ours.status == 0 => self.accepted += 1,
            Judgement::Agreed => {
                self.refused += 1;
                match differential::statuses(&ours, &theirs) {
                    Ok(reason) => *self.statuses.entry(reason.to_owned()).or_default() += 1,
                    Err(what) => self.unexplained.push(complain(&what)),
                }
            }
            Judgement::Explained(reasons) => {
                reasons.into_iter().for_each(|reason| *self.reasons.entry(reason).or_default() += 1);
            }
            Judgement::Unexplained(why) => self.unexplained.push(complain(&why.join(" | "))),
        }
    }
}

#[test]
fn every_disagreement_with_keepalived_about_two_thousand_files_has_a_listed_reason() {
    let lab = Lab::new();
    let node = host(&lab);
    let directory = node.directory().join("files");
    std::fs::create_dir_all(&directory).unwrap();
    let (seed, count) = (number("KEEPWATCH_SEED", 7), number("KEEPWATCH_FILES", 2_000));
    let files = files(&directory, seed, count);
    let namespace = format!("/run/netns/{}", node.namespace());
    let (next, tally, program) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Program::Keepalived.path());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                setns(File::open(&namespace).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
                let mut found = Tally::default();
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    found.add(file, &program);
                }
                tally.lock().unwrap().push(found);
            });
        }
    });
    let mut all = Tally::default();
    for found in tally.into_inner().unwrap() {
        all.accepted += found.accepted;
        all.refused += found.refused;
        all.crashed += found.crashed;
        found.reasons.into_iter().for_each(|(reason, count)| *all.reasons.entry(reason).or_default() += count);
        found.statuses.into_iter().for_each(|(reason, count)| *all.statuses.entry(reason).or_default() += count);
        all.unexplained.extend(found.unexplained);
    }
    println!(
        "KEEPWATCH_SEED={seed}: {count} files; accepted by both {}, refused by both {} {:?}; Keepalived crashed on {}; \
         disagreed for {:?}",
        all.accepted, all.refused, all.statuses, all.crashed, all.reasons
    );
    assert!(all.accepted * 20 > files.len() && all.refused * 5 > files.len(), "the files say nothing: {all:?}");
    let shown = all.unexplained.iter().take(10).cloned().collect::<Vec<_>>().join("\n======\n");
    assert!(all.unexplained.is_empty(), "KEEPWATCH_SEED={seed}: {} unexplained:\n{shown}", all.unexplained.len());
}

#[test]
fn each_reason_for_a_disagreement_is_in_the_documentation_and_nothing_else_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (_, chapter) = text.split_once("## Files that only one of them accepts").expect("the chapter");
    let chapter = chapter.split("\n## ").next().unwrap_or_default();
    let mut listed: Vec<&str> =
        chapter.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    listed.sort_unstable();
    assert_eq!(listed, differential::reasons());
}
