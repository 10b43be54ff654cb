//! Sentences about all trackers together: what happens at an exact time, what is to be done, and what vrrp hears.

use std::time::Duration;

use super::engine::{Engine, Output};
use super::file::Reading;
use crate::bus::rows::{Finding, TrackerRuns};
use crate::bus::run::{Ended, FromRunner};
use crate::clock::Instant;
use crate::conf::model::{
    Config, FileInit, Location, ParameterMatch, Script, ScriptEntry, ScriptId, TrackCommand, TrackFile, TrackProcess,
    TrackScript, TrackerKind,
};

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

/// Once a second, with `rise` and `fall` 1.
fn script(name: &str, id: u32) -> TrackScript {
    TrackScript {
        location: Location::default(),
        name: name.to_owned(),
        command: TrackCommand::Run(Script { id: ScriptId(id), text: "'/bin/true'".into(), path: "/bin/true".into() }),
        interval_us: 1_000_000,
        timeout_us: 0,
        weight: 0,
        reverse: false,
        rise: 1,
        fall: 1,
        init_fail: false,
    }
}

fn entry(program: &str) -> ScriptEntry {
    ScriptEntry { words: vec![program.to_owned()], uid: 0, gid: 0, all_groups: false, location: Location::default() }
}

fn scripts(all: impl IntoIterator<Item = TrackScript>) -> Config {
    let mut config = Config::default();
    config.trackers.scripts = all.into_iter().collect();
    config.scripts = config.trackers.scripts.iter().map(|_| entry("/bin/true")).collect();
    config
}

fn file(name: &str, init: Option<FileInit>) -> TrackFile {
    let path = format!("/run/{name}");
    TrackFile { location: Location::default(), name: name.to_owned(), path, weight: 1, reverse: false, init }
}

fn process(name: &str) -> TrackProcess {
    TrackProcess {
        location: Location::default(),
        name: name.to_owned(),
        path: name.to_owned(),
        parameters: vec![],
        parameter_match: ParameterMatch::None,
        full_command: false,
        weight: 0,
        reverse: false,
        quorum: 1,
        quorum_max: None,
        fork_delay_us: 0,
        terminate_delay_us: 0,
    }
}

/// An engine and the time.
struct World {
    engine: Engine,
    now: Instant,
    generation: u64,
    logs: Vec<String>,
}

impl World {
    fn new(config: &Config) -> World {
        World::started(config, false)
    }

    fn started(config: &Config, restarted: bool) -> World {
        let mut world = World { engine: Engine::new(restarted), now: at(0), generation: 0, logs: vec![] };
        world.configure(config);
        world
    }

    fn configure(&mut self, config: &Config) -> Vec<Output> {
        self.generation += 1;
        let mut out = vec![];
        self.engine.configure(self.generation, config, self.now, &mut out);
        self.sift(out)
    }

    fn sift(&mut self, out: Vec<Output>) -> Vec<Output> {
        let mut rest = vec![];
        for output in out {
            match output {
                Output::Log(_, text) => self.logs.push(text),
                other => rest.push(other),
            }
        }
        rest
    }

    /// Lets time pass; what was to be done, and when (ms).
    fn until(&mut self, ms: u64) -> Vec<(u64, Output)> {
        let mut done = vec![];
        while let Some(next) = self.engine.deadline().filter(|next| *next <= at(ms)) {
            self.now = self.now.max(next);
            let mut out = vec![];
            self.engine.wake(self.now, &mut out);
            let moment = self.now.nanos() / 1_000_000;
            done.extend(self.sift(out).into_iter().map(|output| (moment, output)));
        }
        self.now = self.now.max(at(ms));
        done
    }

    /// Lets time pass; when runs began, and their numbers.
    fn runs_until(&mut self, ms: u64) -> Vec<(u64, u64)> {
        let run = |(when, output): (u64, Output)| match output {
            Output::Run { request, .. } | Output::Open { request, .. } => Some((when, request)),
            _ => None,
        };
        self.until(ms).into_iter().filter_map(run).collect()
    }

    fn ended(&mut self, request: u64, ended: Ended) -> Vec<Output> {
        let mut out = vec![];
        self.engine.ended(request, &ended, self.now, &mut out);
        self.sift(out)
    }

    /// Lets time pass until the next run begins, and ends it.
    fn run(&mut self, ended: Ended) {
        let next = self.engine.deadline().map_or(0, |next| next.nanos() / 1_000_000);
        let [(_, request)] = self.runs_until(next)[..] else { panic!("no run is due") };
        self.ended(request, ended);
    }

    fn read(&mut self, name: &str, reading: Reading) {
        let mut out = vec![];
        self.engine.read(name, reading, self.now, &mut out);
        self.sift(out);
    }

    fn news(&mut self) -> Vec<(TrackerKind, String, Finding, TrackerRuns)> {
        let mut all = vec![];
        while let Some(FromRunner::Found { config, kind, name, finding, runs }) = self.engine.news(self.now) {
            assert_eq!(config, self.generation);
            all.push((kind, name, finding, runs));
        }
        all
    }

    fn findings(&mut self) -> Vec<(String, Finding)> {
        self.news().into_iter().map(|(_, name, finding, _)| (name, finding)).collect()
    }
}

fn found(name: &str, finding: Finding) -> (String, Finding) {
    (name.to_owned(), finding)
}

const WELL: Ended = Ended::Exited(0);
const BADLY: Ended = Ended::Exited(1);

#[test]
fn a_script_runs_at_once_and_then_every_interval_whatever_it_takes() {
    let mut world = World::new(&scripts([script("s", 0)]));
    let mut began = vec![];
    for _ in 0..4 {
        let next = world.engine.deadline().unwrap().nanos() / 1_000_000;
        let [(when, request)] = world.runs_until(next)[..] else { panic!() };
        began.push(when);
        world.now = at(when + 700);
        world.ended(request, WELL);
    }
    assert_eq!(began, [0, 1_000, 2_000, 3_000]);
}

#[test]
fn the_first_result_decides_and_then_rise_and_fall_do() {
    for init_fail in [false, true] {
        let mut world = World::new(&scripts([TrackScript { rise: 3, fall: 2, init_fail, ..script("s", 0) }]));
        let before = if init_fail { Finding::Bad } else { Finding::Unknown };
        assert_eq!(world.findings(), [found("s", before)]);
        world.run(WELL);
        assert_eq!(world.findings(), [found("s", Finding::Good)], "as Keepalived does, with init_fail too");
        let mut good = vec![];
        for ended in [BADLY, WELL, BADLY, BADLY, WELL, WELL, BADLY, WELL, WELL, WELL] {
            world.run(ended);
            // Told anew, whether it has changed or not.
            world.engine.tell_all();
            good.push(world.findings() == [found("s", Finding::Good)]);
        }
        assert_eq!(good, [true, true, true, false, false, false, false, false, false, true]);
    }
}

#[test]
fn a_run_that_is_not_over_in_time_has_failed_then_and_the_next_follows_when_it_has_been_killed() {
    let mut world = World::new(&scripts([TrackScript { timeout_us: 300_000, ..script("s", 0) }]));
    world.news();
    let [(0, first)] = world.runs_until(299)[..] else { panic!() };
    assert_eq!(world.findings(), [found("s", Finding::Unknown)], "it runs");
    assert_eq!(world.runs_until(300), []);
    assert_eq!(world.findings(), [found("s", Finding::Bad)], "TERM may take as long as it likes");
    assert_eq!(world.runs_until(1_500), [], "it is skipped");
    assert!(world.logs.last().unwrap().contains("being timed out"), "{:?}", world.logs);
    let again = world.ended(first, Ended::TimedOut);
    assert!(matches!(again[..], [Output::Run { .. }]), "{again:?}");
    let Output::Run { request, timeout, .. } = again[0] else { panic!() };
    assert_eq!(timeout, Duration::from_millis(300));
    world.ended(request, WELL);
    assert_eq!(world.runs_until(2_000).len(), 1, "the rhythm is what it was");
    world.now = at(60_000);
    let runs = world.news().last().unwrap().3;
    assert_eq!((runs.success, runs.failure, runs.timeout, runs.skipped), (1, 0, 1, 1));
}

#[test]
fn without_a_timeout_a_run_may_take_an_interval() {
    let mut world = World::new(&scripts([script("s", 0)]));
    let out = world.until(999);
    assert!(matches!(out[..], [(0, Output::Run { timeout, .. })] if timeout == Duration::from_secs(1)));
    world.news();
    world.until(1_000);
    assert_eq!(world.findings(), [found("s", Finding::Bad)]);
}

#[test]
fn where_the_run_before_goes_on_one_is_skipped_and_that_is_told_once() {
    let mut world = World::new(&scripts([TrackScript { timeout_us: 10_000_000, ..script("s", 0) }]));
    let [(0, request)] = world.runs_until(3_500)[..] else { panic!() };
    assert_eq!(world.ended(request, WELL), []);
    assert_eq!(world.logs.iter().filter(|text| text.contains("skipping run")).count(), 1);
    assert_eq!(world.runs_until(4_000).len(), 1);
    world.now = at(5_000);
    assert_eq!(world.news().last().unwrap().3.skipped, 3);
}

#[test]
fn what_was_missed_while_the_host_slept_is_not_made_up_for() {
    let mut world = World::new(&scripts([script("s", 0)]));
    world.run(WELL);
    world.now = at(3_600_500);
    let out = world.until(3_600_500);
    assert_eq!(out.len(), 1);
    assert_eq!(world.engine.deadline(), Some(at(3_601_000)));
}

#[test]
fn many_scripts_do_not_start_all_at_once() {
    let all = (0..300).map(|number| script(&format!("s{number}"), number));
    let mut world = World::new(&scripts(all));
    let began: Vec<u64> = world.runs_until(999).into_iter().map(|(when, _)| when).collect();
    let longest = began.chunk_by(|a, b| a == b).map(<[u64]>::len).max();
    assert_eq!((began.len(), longest), (100, Some(1)));
}

#[test]
fn counts_of_runs_are_told_at_most_once_a_second_and_findings_at_once() {
    let mut world = World::new(&scripts([TrackScript { interval_us: 100_000, ..script("s", 0) }]));
    let mut told = vec![];
    for step in 0..300 {
        let begun = world.runs_until(step * 10);
        for (_, request) in begun {
            world.ended(request, WELL);
        }
        told.extend(world.news().into_iter().map(|(.., finding, _)| (step * 10, finding)));
    }
    let good = Finding::Good;
    assert_eq!(told, [(0, good), (100, good), (1_100, good), (2_100, good)]);
    world.run(BADLY);
    assert_eq!(world.findings(), [found("s", Finding::Bad)]);
}

#[test]
fn a_reload_keeps_what_was_found_and_the_rhythm_and_says_it_again() {
    let config = scripts([script("s", 0)]);
    let mut world = World::new(&config);
    world.run(BADLY);
    world.until(500);
    world.news();
    let moved = scripts([script("other", 0), TrackScript { weight: 5, ..script("s", 1) }]);
    assert_eq!(world.configure(&moved), []);
    assert_eq!(world.findings(), [found("other", Finding::Unknown), found("s", Finding::Bad)]);
    let runs = world.until(1_000);
    let of = |id| {
        move |(when, output): &(u64, Output)| {
            matches!(output, Output::Run { script, config: 2, .. } if script.0 == id).then_some(*when)
        }
    };
    assert_eq!(runs.iter().find_map(of(1)), Some(1_000));
    assert_eq!(runs.iter().find_map(of(0)), Some(500));
}

#[test]
fn another_command_of_the_same_name_is_run_at_once_and_its_first_result_decides() {
    let mut config = scripts([TrackScript { rise: 3, ..script("s", 0) }]);
    let mut world = World::new(&config);
    world.run(BADLY);
    let [(1_000, running)] = world.runs_until(1_200)[..] else { panic!() };
    config.scripts[0] = entry("/bin/other");
    assert_eq!(world.configure(&config), [Output::Cancel { request: running }]);
    assert_eq!(world.findings(), [found("s", Finding::Bad)], "a reload is no reason to fail over");
    let [(1_200, request)] = world.runs_until(1_200)[..] else { panic!() };
    world.ended(running, WELL);
    assert!(world.findings().iter().all(|it| *it == found("s", Finding::Bad)), "that was the command before");
    world.ended(request, WELL);
    assert_eq!(world.findings(), [found("s", Finding::Good)]);
}

#[test]
fn a_script_that_is_gone_is_killed_and_not_told() {
    let mut world = World::new(&scripts([script("s", 0)]));
    let [(0, request)] = world.runs_until(0)[..] else { panic!() };
    assert_eq!(world.configure(&Config::default()), [Output::Cancel { request }]);
    assert_eq!(world.ended(request, WELL), []);
    assert_eq!((world.news(), world.engine.deadline()), (vec![], None));
}

#[test]
fn a_script_of_which_vrrp_knows_goes_on_where_the_runner_before_was() {
    let thrice = TrackScript { rise: 3, fall: 3, ..script("a", 0) };
    let mut world = World::started(&scripts([thrice.clone()]), true);
    assert_eq!(world.runs_until(900), [], "vrrp has a moment to say what it knows");
    world.engine.recall(1, "a", false, world.now);
    let finding = |world: &World| world.engine.scripts["a"].finding();
    for wanted in [Finding::Bad, Finding::Bad, Finding::Good] {
        world.run(Ended::Exited(0));
        assert_eq!(finding(&world), wanted);
    }
    // Too late, or of a configuration that is not in force: the first result decides, as it does without a word from vrrp.
    for late in [true, false] {
        let mut world = World::started(&scripts([thrice.clone()]), true);
        if !late {
            world.engine.recall(2, "a", false, world.now);
        }
        world.run(Ended::Exited(0));
        world.engine.recall(1, "a", false, world.now);
        assert_eq!((finding(&world), world.now >= at(1000)), (Finding::Good, true));
    }
}

#[test]
fn a_runner_that_was_started_again_says_nothing_until_it_knows() {
    let mut config = scripts([TrackScript { init_fail: true, ..script("s", 0) }]);
    config.trackers.files = vec![file("f", Some(FileInit { value: 3, overwrite: true }))];
    let mut world = World { engine: Engine::new(true), now: at(0), generation: 0, logs: vec![] };
    let out = world.configure(&config);
    assert!(matches!(&out[..], [Output::Files(files)] if files[0].init.is_none()), "{out:?}");
    assert_eq!(world.news(), []);
    world.run(WELL);
    assert_eq!(world.findings(), [found("s", Finding::Good)]);
}

#[test]
fn files_are_initialised_at_start_and_a_reload_creates_what_is_missing() {
    let init = FileInit { value: 3, overwrite: true };
    let mut config = Config::default();
    config.trackers.files = vec![file("f", Some(init)), file("g", None)];
    let mut engine = Engine::new(false);
    let mut out = vec![];
    engine.configure(1, &config, at(0), &mut out);
    engine.configure(2, &config, at(1), &mut out);
    let inits: Vec<_> = out
        .iter()
        .map(|output| match output {
            Output::Files(files) => files.iter().map(|file| file.init).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(inits, [[Some(init), None], [Some(FileInit { overwrite: false, ..init }), None]]);
}

#[test]
fn vrrp_hears_everything_when_it_connects_and_only_news_afterwards() {
    let mut config = scripts([script("s", 0)]);
    config.trackers.files = vec![file("f", None)];
    config.trackers.processes = vec![process("p")];
    let mut world = World::new(&config);
    assert_eq!(world.news().len(), 3);
    world.read("f", Reading::Number(7));
    world.read("f", Reading::Number(8));
    let eight = Finding::Count { count: 8, good: true };
    assert_eq!(world.findings(), [found("f", eight)], "the latest wins");
    world.read("f", Reading::Number(8));
    assert_eq!(world.news(), []);
    let mut out = vec![];
    world.engine.counted("p", 2, at(0), &mut out);
    assert_eq!(world.findings(), [found("p", Finding::Count { count: 2, good: true })]);
    world.engine.tell_all();
    assert_eq!(world.news().len(), 3);
}

#[test]
fn a_file_to_be_opened_is_no_program() {
    let opens = TrackScript { command: TrackCommand::Opens("/run/x".into()), ..script("s", 0) };
    let mut config = Config::default();
    config.trackers.scripts = vec![opens];
    let mut world = World::new(&config);
    world.news();
    let out = world.until(0);
    assert_eq!(out, [(0, Output::Open { request: 1, path: "/run/x".into() })]);
    world.ended(1, Ended::Exited(2));
    assert_eq!(world.findings(), [found("s", Finding::Bad)]);
}

#[test]
fn when_the_daemon_stops_nothing_is_looked_at_any_more() {
    let mut world = World::new(&scripts([script("s", 0)]));
    let [(0, request)] = world.runs_until(0)[..] else { panic!() };
    let mut out = vec![];
    world.engine.stop(&mut out);
    assert_eq!(out, [Output::Cancel { request }]);
    assert_eq!((world.engine.deadline(), world.news()), (None, vec![]));
}
