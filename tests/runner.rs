//! The runner process as it is: started by re-exec, asked over its sockets, watched through /proc.
//!
//! These tests need root: scripts run as other users.
#![cfg(feature = "daemon")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keepwatch::bus::frame;
use keepwatch::bus::run::{Ended, FromRunner, ToRunner};
use keepwatch::bus::timing::{Deliveries, RunnerPulse};
use keepwatch::conf::model::{Config, Location, ScriptEntry, ScriptId};
use keepwatch::process::lifecycle::{Channel, Sheet, ToChild, ToSupervisor};
use keepwatch::process::options::Options;
use keepwatch::process::role::Role;
use keepwatch::sys::memfd;
use keepwatch::sys::seqpacket::{FRAME_MAX, Received, Sent, Seqpacket};

#[path = "runner/trackers.rs"]
mod trackers;

/// Long enough for a busy machine; nothing waits this long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

const NOBODY: u32 = 65534;

/// A runner, its supervisor and an engine that asks.
struct Runner {
    process: Child,
    channel: Channel,
    engine: Option<Seqpacket>,
    waiting: Vec<FromRunner>,
    directory: tempfile::TempDir,
    scripts: Vec<ScriptEntry>,
    next: u64,
}

impl Runner {
    /// Runs these shell scripts as this user; `$D` in them is a directory that everybody may write.
    fn new(uid: u32, scripts: &[&str]) -> Runner {
        assert!(nix::unistd::geteuid().is_root(), "these tests run scripts as other users: run them as root");
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let scripts = scripts
            .iter()
            .enumerate()
            .map(|(number, text)| {
                let path = directory.path().join(format!("script-{number}"));
                fs::write(&path, format!("#!/bin/bash\nD={}\n{text}\n", directory.path().display())).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
                entry(uid, &[path.to_str().unwrap(), "first", "second word"])
            })
            .collect();
        Runner::with(directory, scripts)
    }

    fn with(directory: tempfile::TempDir, scripts: Vec<ScriptEntry>) -> Runner {
        let config = Config { scripts: scripts.clone(), ..Config::default() };
        Runner::configured(directory, &config)
    }

    fn configured(directory: tempfile::TempDir, config: &Config) -> Runner {
        let (ours, theirs) = Seqpacket::pair().unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_keepwatchd"))
            .arg0(Role::Runner.title())
            .env("FROM_THE_OUTSIDE", "kept")
            .current_dir("/")
            .stdin(Stdio::from(theirs.into_fd()))
            .stdout(Stdio::null())
            .stderr(File::create(directory.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut channel = Channel::new(ours);
        // With `--all` it takes itself for a part of a router, whatever the configuration.
        let options = Options::parse_words(["-l", "-G", "-D", "--all"].map(str::to_owned)).unwrap();
        let options = Box::new(options);
        let start = ToChild::Start { options, config: 1, restarted: false };
        channel.send(&start, Some(sealed(config))).unwrap();
        let scripts = config.scripts.clone();
        let mut runner = Runner { process, channel, engine: None, waiting: Vec::new(), directory, scripts, next: 0 };
        runner.meet_engine();
        runner.until("it is ready", |runner| {
            matches!(runner.channel.receive(), Ok(Some((ToSupervisor::Ready { config: 1 }, _))))
        });
        runner
    }

    /// A new engine process, in place of the one before.
    fn meet_engine(&mut self) {
        let (ours, theirs) = Seqpacket::pair().unwrap();
        self.channel.send(&ToChild::Peer(Role::Vrrp), Some(theirs.into_fd())).unwrap();
        self.engine = Some(ours);
    }

    fn ask(&mut self, message: &ToRunner) {
        let bytes = frame::encode(message).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while self.engine.as_ref().unwrap().send(&bytes, &[]).unwrap() == Sent::Full {
            // It does not listen to one that does not read its answers.
            self.hear(deadline);
        }
    }

    fn start(&mut self, script: u32, timeout: Duration) -> u64 {
        self.next += 1;
        let timeout_us = u64::try_from(timeout.as_micros()).unwrap();
        self.ask(&ToRunner::Check { request: self.next, config: 1, script: ScriptId(script), timeout_us });
        self.next
    }

    fn notify(&mut self, script: u32, lane: u64, arguments: &[&str]) {
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        self.ask(&ToRunner::Notify { config: 1, script: ScriptId(script), lane, arguments });
    }

    fn ended(&mut self, wanted: u64) -> (Ended, Duration) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let is = |it: &FromRunner| matches!(it, FromRunner::Ran { request, .. } if *request == wanted);
            let place = self.waiting.iter().position(is);
            if let Some(place) = place {
                let FromRunner::Ran { ended, took_us, .. } = self.waiting.remove(place) else { unreachable!() };
                return (ended, Duration::from_micros(took_us));
            }
            self.hear(deadline);
        }
    }

    fn hear(&mut self, deadline: Instant) {
        assert!(Instant::now() < deadline, "no answer; the log: {}", self.log());
        let mut buffer = vec![0; FRAME_MAX];
        let checks = self.engine.as_ref().unwrap();
        match checks.receive(&mut buffer).unwrap() {
            Received::Frame(length, _) => self.waiting.extend(frame::decode::<FromRunner>(&buffer[..length]).unwrap()),
            Received::Nothing => {
                let mut poll = [nix::poll::PollFd::new(checks.as_fd(), nix::poll::PollFlags::POLLIN)];
                nix::poll::poll(&mut poll, 100_u8).unwrap();
            }
            Received::Gone => panic!("the runner is gone; the log: {}", self.log()),
        }
    }

    fn run(&mut self, script: u32) -> Ended {
        let request = self.start(script, PATIENCE);
        self.ended(request).0
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    fn log(&self) -> String {
        self.read("log")
    }

    fn until(&mut self, what: &str, mut condition: impl FnMut(&mut Runner) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "never: {what}; the log: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Nothing runs below it any more, and nothing is left there as a zombie.
    fn until_childless(&mut self) {
        self.until("the runner is without children", |runner| below(runner.pid()).is_empty());
    }

    fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        self.channel.send(&ToChild::Stop, None).unwrap();
        let mut status = None;
        self.until("it stops", |runner| {
            status = runner.process.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success());
        begun.elapsed()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        for (pid, _) in below(self.pid()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn entry(uid: u32, words: &[&str]) -> ScriptEntry {
    let words = words.iter().map(|&word| word.to_owned()).collect();
    ScriptEntry { words, uid, gid: uid, all_groups: false, location: Location::default() }
}

fn sealed(config: &Config) -> OwnedFd {
    let fd = memfd::create("test").unwrap();
    let mut bytes = postcard::to_stdvec(&Sheet::default()).unwrap();
    bytes.extend(postcard::to_stdvec(config).unwrap());
    File::from(fd.try_clone().unwrap()).write_all(&bytes).unwrap();
    memfd::seal(fd.as_fd()).unwrap();
    fd
}

/// Processes below this one, zombies too, with their state letters.
fn below(pid: i32) -> Vec<(i32, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let Ok(stat) = fs::read(entry.path().join("stat")) else { continue };
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let mut words = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace();
        let state = words.next().unwrap().to_owned();
        all.push((pid, words.next().unwrap().parse::<i32>().unwrap(), state));
    }
    let mut found = vec![pid];
    let mut result = Vec::new();
    while let Some(parent) = found.pop() {
        for (pid, _, state) in all.iter().filter(|(_, of, _)| *of == parent) {
            found.push(*pid);
            result.push((*pid, state.clone()));
        }
    }
    result
}

fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid.trim()).exists()
}

/// What Debian's keepalived 2.2.7 was seen to give to its scripts.
#[test]
fn a_script_finds_what_it_would_find_under_keepalived() {
    let mut runner = Runner::new(
        NOBODY,
        &[r#"{ grep -E '^(Uid|Gid|Groups|SigBlk|CapEff|NoNewPrivs):' /proc/$$/status
              echo "umask $(umask)"; echo "arguments $1,$2,$#"; echo "outside $FROM_THE_OUTSIDE"
              read -r pid _ _ parent group rest < /proc/$$/stat; [ $$ = $group ] && echo "own group"
              echo "nice $(nice)"; pwd; } > $D/out 3>&- ; ls -l /proc/$$/fd | awk '{print $9, $11}' > $D/fds; echo out; echo err >&2; exit 7"#],
    );
    assert_eq!(runner.run(0), Ended::Exited(7));
    let out = runner.read("out").replace('\t', " ");
    for line in [
        "Uid: 65534 65534 65534 65534",
        "Gid: 65534 65534 65534 65534",
        "CapEff: 0000000000000000",
        "NoNewPrivs: 0",
        "umask 0177",
        "arguments first,second word,2",
        "outside kept",
        "own group",
        "nice 0",
        "/",
    ] {
        assert!(out.lines().any(|have| have == line), "{line} in {out}");
    }
    let groups = out.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
    assert!(groups.trim().is_empty() || groups.trim() == "65534", "a supplementary group of root's is left: {groups}");
    // bash blocks CHLD (bit 16) while it waits for what writes this, and INT and TERM (1 and 14) while it starts it.
    let blocked = out.lines().find_map(|line| line.strip_prefix("SigBlk: ")).unwrap();
    assert_eq!(u64::from_str_radix(blocked, 16).unwrap() & !(1 << 16 | 1 << 14 | 1 << 1), 0);
    let fds = runner.read("fds");
    let open: Vec<&str> = fds.lines().filter(|line| line.contains(' ') && !line.ends_with("script-0")).collect();
    for line in open {
        assert!(line.starts_with(|first: char| first.is_ascii_digit()) || line == " ", "{fds}");
        assert!(
            line.ends_with("/dev/null") || line.ends_with("/out") || line.ends_with("/fds") || line == " ",
            "{fds}"
        );
    }
    runner.until_childless();
}

#[test]
fn roots_scripts_have_what_root_has_and_the_runner_itself_does_not() {
    let mut runner = Runner::new(0, &["grep ^CapEff: /proc/$$/status > $D/out"]);
    assert_eq!(runner.run(0), Ended::Exited(0));
    let own = fs::read_to_string(format!("/proc/{}/status", runner.pid())).unwrap();
    let capabilities = |status: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim().to_owned();
        u64::from_str_radix(&line, 16).unwrap()
    };
    let kept = 1 << 0 | 1 << 1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 12;
    assert_eq!(capabilities(&own), kept, "CHOWN, DAC_OVERRIDE, KILL, SETGID, SETUID, NET_ADMIN");
    let ours = fs::read_to_string("/proc/self/status").unwrap();
    assert_eq!(capabilities(&runner.read("out")), capabilities(&ours));
}

#[test]
fn ends_are_told_apart() {
    let mut runner = Runner::new(NOBODY, &["exit 0", "exit 255", "kill -9 $$", "kill -40 $$"]);
    assert_eq!(runner.run(0), Ended::Exited(0));
    assert_eq!(runner.run(1), Ended::Exited(255));
    assert_eq!(runner.run(2), Ended::Signalled(9));
    // A real-time signal: nothing that an enumeration of signals knows.
    assert_eq!(runner.run(3), Ended::Signalled(40));
    assert_eq!(runner.run(0), Ended::Exited(0));
    runner.until_childless();
}

#[test]
fn a_script_that_cannot_run_says_why() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let plain = directory.path().join("plain");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    let missing = directory.path().join("missing");
    let scripts = vec![
        entry(NOBODY, &[missing.to_str().unwrap()]),
        entry(NOBODY, &[plain.to_str().unwrap()]),
        entry(NOBODY, &["no-such-program-anywhere"]),
        entry(NOBODY, &["true", "x"]),
    ];
    let mut runner = Runner::with(directory, scripts);
    let words = |ended| match ended {
        Ended::NotStarted(words) => words,
        other => panic!("{other:?}"),
    };
    assert!(words(runner.run(0)).contains("missing: No such file or directory"));
    assert!(words(runner.run(1)).contains("plain: Permission denied"));
    assert!(words(runner.run(2)).contains("no-such-program-anywhere is not in PATH"));
    assert_eq!(runner.run(3), Ended::Exited(0), "a name is looked for in PATH");
    assert!(words(runner.run(4)).contains("no script 4"));
    runner.until_childless();
}

#[test]
fn script_security_is_asked_again_when_the_script_runs() {
    let mut runner = Runner::new(0, &["exit 0"]);
    let path = runner.file("script-0");
    let config = Config { scripts: runner.scripts.clone(), script_security: true, ..Config::default() };
    runner.channel.send(&ToChild::Reload { config: 1, back: false }, Some(sealed(&config))).unwrap();
    runner.until("the new one is in force", |runner| matches!(runner.channel.receive::<ToSupervisor>(), Ok(Some(_))));
    assert_eq!(runner.run(0), Ended::Exited(0));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    match runner.run(0) {
        Ended::NotStarted(words) => assert!(words.contains("enable_script_security forbids"), "{words}"),
        other => panic!("{other:?}"),
    }
}

/// The fault that two years of Keepalived showed: a check that outlived its time-out left a spinning process.
#[test]
fn nothing_is_left_of_a_check_that_resists_its_end() {
    let mut runner = Runner::new(
        NOBODY,
        &[r#"trap '' TERM
             ( trap '' TERM; echo $BASHPID > $D/spinning; while :; do :; done ) &
             setsid bash -c "trap '' TERM; echo \$\$ > $D/session; while :; do sleep 1; done" &
             ( setsid bash -c "echo \$\$ > $D/daemon; exec sleep 4" & )
             while :; do sleep 1; done"#],
    );
    let request = runner.start(0, Duration::from_secs(1));
    for name in ["spinning", "session", "daemon"] {
        runner.until("all of them have started", |runner| runner.read(name).ends_with('\n'));
    }
    let (ended, took) = runner.ended(request);
    assert_eq!(ended, Ended::TimedOut);
    assert!(took >= Duration::from_secs(3), "TERM, and KILL two seconds later: {took:?}");
    for name in ["spinning", "session"] {
        runner.until("it is gone", |runner| !is_alive(&runner.read(name)));
    }
    assert!(is_alive(&runner.read("daemon")), "what made itself a daemon is on its own");
    // Until it ends; then it is no zombie.
    runner.until_childless();
}

#[test]
fn a_check_that_obeys_term_is_answered_at_its_time_out() {
    let mut runner = Runner::new(NOBODY, &["trap 'echo bye > $D/bye; exit 0' TERM; sleep 600 & wait"]);
    let request = runner.start(0, Duration::from_millis(500));
    let (ended, took) = runner.ended(request);
    assert_eq!(ended, Ended::TimedOut, "whatever status it left with");
    assert!(took >= Duration::from_millis(500) && took < Duration::from_millis(2400), "{took:?}");
    assert_eq!(runner.read("bye"), "bye\n");
    runner.until_childless();
}

#[test]
fn every_kind_of_script_ends_without_leaving_a_process() {
    let traps = ["", "trap '' TERM;"];
    let children = ["", "sleep 900 &", "setsid sleep 900 &", "(trap '' TERM; sleep 900) &", "timeout 900 sleep 800 &"];
    let ends = ["sleep 700", "kill -STOP $$", "while :; do :; done"];
    let texts: Vec<String> = traps
        .iter()
        .flat_map(|trap| children.iter().map(move |child| format!("{trap} {child}")))
        .flat_map(|start| ends.iter().map(move |end| format!("{start} {end}")))
        .collect();
    let scripts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut runner = Runner::new(NOBODY, &scripts);
    let requests: Vec<u64> =
        (0..scripts.len()).map(|script| runner.start(u32::try_from(script).unwrap(), Duration::from_secs(2))).collect();
    for (request, script) in requests.into_iter().zip(scripts) {
        assert_eq!(runner.ended(request).0, Ended::TimedOut, "{script}");
    }
    runner.until_childless();
}

#[test]
fn a_flood_of_output_holds_nobody_up() {
    let mut runner = Runner::new(NOBODY, &["head -c 300000000 /dev/zero; head -c 300000000 /dev/zero >&2; exit 3"]);
    assert_eq!(runner.run(0), Ended::Exited(3));
}

#[test]
fn a_check_that_is_not_wanted_any_more_is_killed_and_not_answered() {
    let mut runner = Runner::new(NOBODY, &["echo $$ > $D/pid; sleep 600", "exit 0"]);
    let request = runner.start(0, PATIENCE);
    runner.until("it runs", |runner| runner.read("pid").ends_with('\n'));
    runner.ask(&ToRunner::Cancel { request });
    runner.until_childless();
    assert_eq!(runner.run(1), Ended::Exited(0));
    assert_eq!(runner.waiting, [], "the cancelled one was answered");
}

#[test]
fn checks_of_a_process_that_died_are_killed_and_its_notify_scripts_go_on() {
    let mut runner = Runner::new(
        NOBODY,
        &[
            "echo $$ > $D/check; sleep 600",
            "echo > $D/begun; while [ ! -e $D/go ]; do sleep 0.01; done; echo > $D/notified",
        ],
    );
    runner.start(0, PATIENCE);
    runner.notify(1, 0, &[]);
    runner.until("both run", |runner| runner.read("check").ends_with('\n') && runner.file("begun").exists());
    runner.engine = None;
    runner.until("the check is gone", |runner| !is_alive(&runner.read("check")));
    fs::write(runner.file("go"), "").unwrap();
    runner.until("the notify script has ended", |runner| runner.file("notified").exists());
    runner.meet_engine();
    runner.until_childless();
}

#[test]
fn notify_scripts_of_one_lane_follow_each_other_and_lanes_do_not_wait() {
    let mut runner = Runner::new(
        NOBODY,
        &["sleep 0.0$((RANDOM % 5)); echo $3 >> $D/order", "while [ ! -e $D/go ]; do sleep 0.01; done"],
    );
    runner.notify(1, 1, &[]);
    for number in 0..20 {
        runner.notify(0, 2, &[&number.to_string()]);
    }
    runner.until("the second lane is empty", |runner| runner.read("order").lines().count() == 20);
    let order: Vec<u32> = runner.read("order").lines().map(|line| line.parse().unwrap()).collect();
    assert!(order.is_sorted(), "{order:?}");
    fs::write(runner.file("go"), "").unwrap();
    runner.until_childless();
}

#[test]
fn scripts_of_the_configurations_before_may_still_be_asked_for_and_much_older_ones_not() {
    let mut runner = Runner::new(NOBODY, &["exit 5"]);
    let ask = |runner: &mut Runner, config, request| {
        runner.ask(&ToRunner::Check { request, config, script: ScriptId(0), timeout_us: 30_000_000 });
        runner.ended(request).0
    };
    for generation in 2..6 {
        let config = Config { scripts: vec![entry(NOBODY, &["/bin/true"])], ..Config::default() };
        runner.channel.send(&ToChild::Reload { config: generation, back: false }, Some(sealed(&config))).unwrap();
        // Asked at once: the runner may not have read of the new one yet.
        assert_eq!(ask(&mut runner, generation, 100 + generation), Ended::Exited(0));
        let before = ask(&mut runner, generation - 1, 200 + generation);
        assert_eq!(before, Ended::Exited(if generation == 2 { 5 } else { 0 }));
    }
    assert!(matches!(ask(&mut runner, 1, 300), Ended::NotStarted(words) if words.contains("configuration 1")));
}

#[test]
fn thousands_of_checks_at_once_are_all_answered() {
    let mut runner = Runner::with(tempfile::tempdir().unwrap(), vec![entry(NOBODY, &["/bin/true"])]);
    let deadline = Instant::now() + 2 * PATIENCE;
    for _ in 0..3000 {
        runner.start(0, 2 * PATIENCE);
    }
    while runner.waiting.len() < 3000 {
        runner.hear(deadline);
    }
    for answer in &runner.waiting {
        assert!(matches!(answer, FromRunner::Ran { ended: Ended::Exited(0), .. }), "{answer:?}");
    }
    runner.until_childless();
}

#[test]
fn a_stop_kills_checks_and_gives_notify_scripts_a_moment() {
    let mut runner = Runner::new(
        NOBODY,
        &[
            "trap '' TERM; echo $$ > $D/check; while :; do sleep 1; done",
            "sleep 0.2; echo $3 >> $D/notified",
            "echo $$ > $D/long; sleep 2.5; echo > $D/long-ended",
        ],
    );
    runner.start(0, PATIENCE);
    runner.until("the check runs", |runner| runner.read("check").ends_with('\n'));
    runner.notify(1, 0, &["first"]);
    runner.notify(1, 0, &["second"]);
    runner.notify(2, 1, &[]);
    let took = runner.stop();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(2), "{took:?}");
    runner.until("the check, killed at the last moment, is gone", |runner| !is_alive(&runner.read("check")));
    assert_eq!(runner.read("notified"), "first\nsecond\n");
    assert!(is_alive(&runner.read("long")), "it is left to itself");
    runner.until("it ends in its own time", |runner| runner.file("long-ended").exists());
}

#[test]
fn a_runner_with_nothing_to_do_stops_at_once() {
    let mut runner = Runner::new(NOBODY, &[]);
    assert!(runner.stop() < Duration::from_millis(900));
}

#[test]
fn a_runner_whose_supervisor_died_goes_and_takes_its_checks_along() {
    let mut runner = Runner::new(NOBODY, &["trap '' TERM; echo $$ > $D/check; while :; do sleep 1; done"]);
    runner.start(0, PATIENCE);
    runner.until("the check runs", |runner| runner.read("check").ends_with('\n'));
    let (other, _) = Seqpacket::pair().unwrap();
    runner.channel = Channel::new(other);
    runner.until("it ends", |runner| runner.process.try_wait().unwrap().is_some());
    runner.until("the check is gone", |runner| !is_alive(&runner.read("check")));
}

#[test]
fn the_process_that_faces_hostile_servers_adds_no_words_to_a_command() {
    let mut runner = Runner::new(NOBODY, &["echo \"$@\" >> $D/out"]);
    let (ours, theirs) = Seqpacket::pair().unwrap();
    runner.channel.send(&ToChild::Peer(Role::Checks), Some(theirs.into_fd())).unwrap();
    runner.engine = Some(ours);
    for arguments in [vec!["-o".to_owned()], Vec::new()] {
        runner.ask(&ToRunner::Notify { config: 1, script: ScriptId(0), lane: 1, arguments });
    }
    runner.until("the one without runs", |runner| !runner.read("out").is_empty());
    assert_eq!(runner.read("out"), "first second word\n", "its own words, once");
}

impl Runner {
    /// A new bridge process.
    fn meet_bridge(&mut self) -> Seqpacket {
        let (ours, theirs) = Seqpacket::pair().unwrap();
        self.channel.send(&ToChild::Peer(Role::Bridge), Some(theirs.into_fd())).unwrap();
        ours
    }

    /// Waits until the bridge has heard this; it hears every two seconds.
    fn until_told(&mut self, bridge: &Seqpacket, what: &str, mut wanted: impl FnMut(&RunnerPulse) -> bool) {
        let mut buffer = vec![0; FRAME_MAX];
        self.until(what, |_| match bridge.receive(&mut buffer).unwrap() {
            Received::Frame(length, _) => {
                frame::decode::<RunnerPulse>(&buffer[..length]).unwrap().iter().any(&mut wanted)
            }
            Received::Nothing => false,
            Received::Gone => panic!("the runner hung up"),
        });
    }
}

#[test]
fn the_bridge_hears_what_became_of_scripts_and_mails_without_asking() {
    let mut runner = Runner::new(NOBODY, &["exit 0", "exit 3", "echo > $D/first; read < <(sleep 600)"]);
    let bridge = runner.meet_bridge();
    runner.until_told(&bridge, "a new bridge hears at once", |pulse| pulse.scripts == Deliveries::default());
    // The lane of the third is not free before it has ended.
    for (script, lane) in [(0, 1), (0, 2), (1, 3), (99, 4), (2, 5), (2, 5)] {
        runner.notify(script, lane, &[]);
    }
    // There is no relay.
    runner.ask(&ToRunner::Mail { subject: "down".into(), body: "it is".into() });
    let wanted = Deliveries { sent: 2, failed: 1, dropped: 1, waiting: 1, ..Deliveries::default() };
    runner.until_told(&bridge, "all scripts are told of", |pulse| {
        pulse.scripts == wanted && pulse.mails.dropped == 1 && pulse.logged.error > 0
    });
}

#[test]
fn a_bridge_that_speaks_to_the_runner_starts_nothing_and_is_hung_up_on() {
    let mut runner = Runner::new(NOBODY, &["echo > $D/ran; exit 5"]);
    let bridge = runner.meet_bridge();
    let order = ToRunner::Notify { config: 1, script: ScriptId(0), lane: 1, arguments: vec![] };
    bridge.send(&frame::encode(&order).unwrap(), &[]).unwrap();
    let mut buffer = vec![0; FRAME_MAX];
    runner
        .until("it hangs up", |_| !matches!(bridge.receive(&mut buffer), Ok(Received::Nothing | Received::Frame(..))));
    assert!(!runner.file("ran").exists());
    // Engines notice nothing, and the next bridge is listened to as little and told as much.
    assert_eq!(runner.run(0), Ended::Exited(5));
    let next = runner.meet_bridge();
    runner.until_told(&next, "the next one hears", |_| true);
}
