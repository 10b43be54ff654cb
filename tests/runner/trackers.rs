//! What VRRP tracks, looked at by a real runner: scripts, files and processes of every kind, good and bad.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use keepwatch::bus::rows::{Finding, TrackerRuns};
use keepwatch::bus::run::FromRunner;
use keepwatch::conf::model::{
    Config, FileInit, Location, ParameterMatch, Script, ScriptId, TrackCommand, TrackFile, TrackProcess, TrackScript,
    TrackerKind,
};
use keepwatch::process::lifecycle::{ToChild, ToSupervisor};

use super::{NOBODY, PATIENCE, Runner, entry, sealed};

/// Ten times a second, and out of time after 2 s.
fn script(name: &str, id: u32) -> TrackScript {
    TrackScript {
        location: Location::default(),
        name: name.to_owned(),
        command: TrackCommand::Run(Script { id: ScriptId(id), text: String::new(), path: String::new() }),
        interval_us: 100_000,
        timeout_us: 2_000_000,
        weight: 0,
        reverse: false,
        rise: 1,
        fall: 1,
        init_fail: false,
    }
}

fn file(name: &str, path: &Path) -> TrackFile {
    TrackFile {
        location: Location::default(),
        name: name.to_owned(),
        path: path.to_str().unwrap().to_owned(),
        weight: 1,
        reverse: false,
        init: None,
    }
}

fn process(name: &str, path: &str) -> TrackProcess {
    TrackProcess {
        location: Location::default(),
        name: name.to_owned(),
        path: path.to_owned(),
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

/// A directory that everybody may write, with shell scripts in it; `$D` in them is the directory.
fn directory(scripts: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let write = |(number, text): (usize, &&str)| {
        let path = directory.path().join(format!("script-{number}"));
        fs::write(&path, format!("#!/bin/bash\nD={}\n{text}\n", directory.path().display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let paths = scripts.iter().enumerate().map(write).collect();
    (directory, paths)
}

/// A runner that tracks these scripts, run by this user.
fn tracks(uid: u32, scripts: &[(&str, TrackScript)]) -> Runner {
    let texts: Vec<&str> = scripts.iter().map(|(text, _)| *text).collect();
    let (directory, paths) = directory(&texts);
    let mut config = Config { script_security: uid == 0, ..Config::default() };
    config.scripts = paths.iter().map(|path| entry(uid, &[path.to_str().unwrap()])).collect();
    config.trackers.scripts = scripts.iter().map(|(_, script)| script.clone()).collect();
    Runner::configured(directory, &config)
}

impl Runner {
    /// Waits until what was found is so; what it said of runs then.
    #[track_caller]
    fn finds(&mut self, kind: TrackerKind, name: &str, wanted: impl Fn(Finding, &TrackerRuns) -> bool) -> TrackerRuns {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        loop {
            for message in std::mem::take(&mut self.waiting) {
                if let FromRunner::Found { kind: its, name: whose, finding, runs, .. } = message
                    && (its, whose.as_str()) == (kind, name)
                {
                    last = Some(finding);
                    if wanted(finding, &runs) {
                        return runs;
                    }
                }
            }
            assert!(Instant::now() < deadline, "{name} is {last:?}; the log: {}", self.log());
            self.hear(deadline);
        }
    }

    #[track_caller]
    fn finds_script(&mut self, name: &str, wanted: Finding) -> TrackerRuns {
        self.finds(TrackerKind::Script, name, |finding, _| finding == wanted)
    }

    #[track_caller]
    fn finds_count(&mut self, kind: TrackerKind, name: &str, wanted: i64) {
        self.finds(kind, name, |finding, _| matches!(finding, Finding::Count { count, .. } if count == wanted));
    }

    fn reload(&mut self, generation: u64, config: &Config) {
        self.channel.send(&ToChild::Reload { config: generation, back: false }, Some(sealed(config))).unwrap();
        self.until("it has reloaded", |runner| {
            matches!(runner.channel.receive(), Ok(Some((ToSupervisor::Ready { config }, _))) if config == generation)
        });
    }
}

#[test]
fn a_tracked_script_is_run_again_and_again_and_told_when_its_result_changes() {
    let mut runner = tracks(NOBODY, &[("test -e $D/well", script("s", 0))]);
    runner.finds_script("s", Finding::Bad);
    fs::write(runner.file("well"), "").unwrap();
    runner.finds_script("s", Finding::Good);
    let runs = runner.finds(TrackerKind::Script, "s", |_, runs| runs.success >= 8);
    assert!(runs.failure > 0 && (runs.went_up, runs.went_down) == (1, 1), "{runs:?}");
    fs::remove_file(runner.file("well")).unwrap();
    runner.finds_script("s", Finding::Bad);
    // A new vrrp process hears it at once.
    runner.meet_engine();
    runner.waiting.clear();
    runner.finds_script("s", Finding::Bad);
    runner.stop();
}

#[test]
fn a_script_that_hangs_has_failed_when_its_time_is_over_and_is_killed_with_what_it_started() {
    let hangs = "trap '' TERM; sleep 600 & echo $! >> $D/pids; while :; do wait; done";
    let mut runner = tracks(NOBODY, &[(hangs, TrackScript { timeout_us: 300_000, ..script("s", 0) })]);
    let begun = Instant::now();
    let runs = runner.finds_script("s", Finding::Bad);
    assert!(begun.elapsed() < Duration::from_millis(1_900), "it does not wait for KILL");
    assert_eq!(runs.timeout, 1);
    runner.finds(TrackerKind::Script, "s", |_, runs| runs.timeout >= 2 && runs.skipped > 0);
    let first = runner.read("pids").lines().next().unwrap().to_owned();
    runner.until("what it started is gone", |_| !super::is_alive(&first));
    runner.stop();
}

#[test]
fn scripts_that_fork_flood_die_or_are_no_programs_are_results_and_nothing_is_left_of_them() {
    let forks = "for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 0.3; (sleep 0.2) &) & done; exit 0";
    let floods = "head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2; exit 0";
    let mut runner = tracks(
        NOBODY,
        &[(forks, script("forks", 0)), (floods, script("floods", 1)), ("kill -SEGV $$", script("dies", 2))],
    );
    runner.finds(TrackerKind::Script, "forks", |finding, runs| finding == Finding::Good && runs.success >= 3);
    runner.finds(TrackerKind::Script, "floods", |finding, runs| finding == Finding::Good && runs.success >= 3);
    let runs = runner.finds_script("dies", Finding::Bad);
    assert_eq!((runs.success, runs.timeout), (0, 0));
    assert!(runner.log().contains("due to signal 11"), "{}", runner.log());
    runner.reload(2, &Config::default());
    runner.until_childless();
    runner.stop();
}

#[test]
fn a_script_that_is_replaced_removed_or_made_writable_while_running_is_what_it_is_then() {
    let mut runner = tracks(0, &[("exit 0", script("s", 0))]);
    let path = runner.file("script-0");
    runner.finds_script("s", Finding::Good);
    let replace = |text: &str, mode| {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(&new, &path).unwrap();
    };
    replace("#!/bin/sh\nexit 3\n", 0o755);
    runner.finds_script("s", Finding::Bad);
    replace("#!/bin/sh\nexit 0\n", 0o755);
    runner.finds_script("s", Finding::Good);
    // Good for whoever could have written it, and not for root.
    replace("#!/bin/sh\nexit 0\n", 0o777);
    runner.finds_script("s", Finding::Bad);
    assert!(runner.log().contains("enable_script_security forbids"), "{}", runner.log());
    replace("#!/bin/sh\nexit 0\n", 0o755);
    runner.finds_script("s", Finding::Good);
    fs::remove_file(&path).unwrap();
    runner.finds_script("s", Finding::Bad);
    runner.stop();
}

#[test]
fn a_file_is_opened_where_that_is_all_a_script_does() {
    let (directory, _) = directory(&[]);
    let path = directory.path().join("there");
    let mut config = Config::default();
    let command = TrackCommand::Opens(path.to_str().unwrap().to_owned());
    config.trackers.scripts = vec![TrackScript { command, ..script("s", 0) }];
    let mut runner = Runner::configured(directory, &config);
    runner.finds_script("s", Finding::Bad);
    fs::write(&path, "").unwrap();
    runner.finds_script("s", Finding::Good);
    // A FIFO can be opened, and whoever would write to it is not waited for.
    fs::remove_file(&path).unwrap();
    runner.finds_script("s", Finding::Bad);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    runner.finds_script("s", Finding::Good);
    runner.stop();
}

/// A runner that tracks one file, `value`, which is there from the start if `content` is.
fn tracks_file(content: Option<&str>, init: Option<FileInit>) -> Runner {
    let (directory, _) = directory(&[]);
    let path = directory.path().join("value");
    if let Some(content) = content {
        fs::write(&path, content).unwrap();
    }
    let mut config = Config::default();
    config.trackers.files = vec![TrackFile { init, ..file("f", &path) }];
    Runner::configured(directory, &config)
}

#[test]
fn a_tracked_file_is_read_when_it_is_written_created_renamed_over_and_removed() {
    let mut runner = tracks_file(Some("5\n"), None);
    let path = runner.file("value");
    let value = |runner: &mut Runner, wanted| runner.finds_count(TrackerKind::File, "f", wanted);
    value(&mut runner, 5);
    fs::write(&path, "-7").unwrap();
    value(&mut runner, -7);
    fs::remove_file(&path).unwrap();
    value(&mut runner, 0);
    fs::write(&path, "0x10").unwrap();
    value(&mut runner, 16);
    fs::write(runner.file("new"), "8").unwrap();
    fs::rename(runner.file("new"), &path).unwrap();
    value(&mut runner, 8);
    fs::rename(&path, runner.file("away")).unwrap();
    value(&mut runner, 0);
    std::os::unix::fs::symlink("away", &path).unwrap();
    value(&mut runner, 8);
    fs::write(runner.file("away"), "9").unwrap();
    value(&mut runner, 9);
    runner.stop();
}

#[test]
fn whatever_a_tracked_file_holds_or_is_has_a_meaning() {
    let mut runner = tracks_file(Some("5\n"), None);
    let path = runner.file("value");
    let value = |runner: &mut Runner, wanted| runner.finds_count(TrackerKind::File, "f", wanted);
    value(&mut runner, 5);
    fs::write(&path, "words\n").unwrap();
    value(&mut runner, 0);
    fs::write(&path, "6").unwrap();
    value(&mut runner, 6);
    fs::write(&path, "").unwrap();
    value(&mut runner, 0);
    fs::write(&path, "6").unwrap();
    value(&mut runner, 6);
    // A gigabyte, of which nobody reads much; it begins with NUL.
    fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    value(&mut runner, 0);
    fs::write(&path, "6").unwrap();
    value(&mut runner, 6);
    fs::write(&path, "100000000000000000000\n").unwrap();
    runner.until("it says so", |runner| runner.log().contains("too large; 6 still counts"));
    fs::remove_file(&path).unwrap();
    value(&mut runner, 0);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    runner.until("it says so", |runner| runner.log().contains("no regular file"));
    fs::remove_file(&path).unwrap();
    fs::write(&path, "6").unwrap();
    value(&mut runner, 6);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    value(&mut runner, 0);
    runner.stop();
}

#[test]
fn a_directory_that_comes_later_is_found_and_one_that_comes_again_too() {
    let (directory, _) = directory(&[]);
    let inner = directory.path().join("inner");
    let mut config = Config::default();
    config.trackers.files = vec![file("f", &inner.join("value"))];
    let mut runner = Runner::configured(directory, &config);
    let value = |runner: &mut Runner, wanted| runner.finds_count(TrackerKind::File, "f", wanted);
    value(&mut runner, 0);
    for wanted in [3_i64, 4] {
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("value"), wanted.to_string()).unwrap();
        value(&mut runner, wanted);
        fs::remove_dir_all(&inner).unwrap();
        value(&mut runner, 0);
    }
    runner.stop();
}

#[test]
fn init_file_creates_a_file_and_overwrites_one_only_if_told() {
    let init = |overwrite| Some(FileInit { value: 7, overwrite });
    for (content, overwrite, wanted) in [(None, false, 7), (Some("88"), false, 88), (Some("88"), true, 7)] {
        let mut runner = tracks_file(content, init(overwrite));
        runner.finds_count(TrackerKind::File, "f", wanted);
        let path = runner.file("value");
        if content.is_none() {
            assert_eq!(runner.read("value"), "7\n");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "as Keepalived creates it");
        }
        runner.stop();
    }
}

/// A program of a name that no other process has.
struct Daemon {
    directory: tempfile::TempDir,
    name: String,
}

impl Daemon {
    fn new(name: &str) -> Daemon {
        let directory = tempfile::tempdir().unwrap();
        let name = format!("{name}{}", std::process::id() % 10_000);
        fs::copy("/bin/sleep", directory.path().join(&name)).unwrap();
        Daemon { directory, name }
    }

    fn path(&self) -> String {
        self.directory.path().join(&self.name).to_str().unwrap().to_owned()
    }

    fn start(&self, seconds: &str) -> Running {
        Running(Command::new(self.path()).arg(seconds).spawn().unwrap())
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tracks_processes(all: Vec<TrackProcess>) -> Runner {
    let (directory, _) = directory(&[]);
    let mut config = Config::default();
    config.trackers.processes = all;
    Runner::configured(directory, &config)
}

#[test]
fn processes_that_come_and_go_are_counted() {
    let daemon = Daemon::new("kwcount");
    let one = daemon.start("600");
    let name = process("name", &daemon.name);
    let full = |parameters: &[&str]| TrackProcess {
        full_command: true,
        parameter_match: ParameterMatch::Exact,
        parameters: parameters.iter().map(|&word| word.to_owned()).collect(),
        ..process("full", &daemon.path())
    };
    let mut runner = tracks_processes(vec![name.clone(), full(&["601"])]);
    let count = |runner: &mut Runner, name, wanted| runner.finds_count(TrackerKind::Process, name, wanted);
    count(&mut runner, "name", 1);
    runner.meet_engine();
    count(&mut runner, "full", 0);
    let two = daemon.start("601");
    count(&mut runner, "full", 1);
    runner.meet_engine();
    count(&mut runner, "name", 2);
    drop(one);
    count(&mut runner, "name", 1);
    drop(two);
    let runs =
        runner.finds(TrackerKind::Process, "name", |finding, _| finding == Finding::Count { count: 0, good: false });
    assert_eq!(runs.went_down, 1);
    // Others are counted after a reload, and these no more.
    let mut config = Config::default();
    config.trackers.processes = vec![TrackProcess { quorum: 0, quorum_max: Some(0), ..name }];
    runner.reload(2, &config);
    runner.finds(TrackerKind::Process, "name", |finding, _| finding == Finding::Count { count: 0, good: true });
    runner.stop();
}

#[test]
fn events_that_the_kernel_drops_do_not_confuse_the_count() {
    let daemon = Daemon::new("kwbusy");
    let (directory, _) = directory(&[]);
    let mut config = Config::default();
    config.trackers.processes = vec![process("p", &daemon.name)];
    // Room for two or three events.
    config.global.process_monitor_buffer = Some(1);
    let mut runner = Runner::configured(directory, &config);
    let _one = daemon.start("600");
    runner.finds_count(TrackerKind::Process, "p", 1);
    for _ in 0..30 {
        let many: Vec<Running> = (0..20).map(|_| daemon.start("0")).collect();
        drop(many);
    }
    let two = daemon.start("600");
    runner.finds_count(TrackerKind::Process, "p", 2);
    drop(two);
    runner.finds_count(TrackerKind::Process, "p", 1);
    runner.stop();
}
