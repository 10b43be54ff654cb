//! What brings a reload about and what surrounds it: times in a file, two who ask at once. Where Debian's keepalived has the same, the
//! same is asked of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::Link;
use agentx_tests::process::must;
use agentx_tests::wait;
use nix::sys::signal::{Signal, kill};

const PATIENCE: Duration = Duration::from_secs(20);

/// An instance on eth0, at 10 adverts a second.
fn instance(priority: u8) -> String {
    format!(
        "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n version 3\n advert_int 0.1\n \
         virtual_ipaddress {{\n 10.0.0.100/24\n }}\n}}\n"
    )
}

fn with_globals(lines: &str, priority: u8) -> String {
    format!("global_defs {{\n {lines}\n}}\n{}", instance(priority))
}

fn master(link: &Link, program: Program, text: &str) -> Daemon {
    let daemon = Daemon::start(&link.nodes[0], program, text, Options::default());
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    daemon.process.wait_for_log("Startup complete", PATIENCE);
    daemon
}

fn write(daemon: &Daemon, text: &str) {
    fs::write(daemon.directory().join("keepalived.conf"), text).unwrap();
}

/// So many seconds from now, as date(1) writes it.
fn moment(seconds: u32, format: &str) -> String {
    let mut date = Command::new("date");
    date.args(["-d", &format!("+{seconds} seconds"), format]);
    must(date).trim().to_owned()
}

/// A router whose time file is looked at, and what it advertises.
struct Timed {
    link: Link,
    daemon: Daemon,
    file: PathBuf,
    log: PathBuf,
}

impl Timed {
    fn start(program: Program) -> Timed {
        let link = Link::new();
        let file = |name: &str| link.nodes[0].directory().join(name);
        let (time, log) = (file("time"), file("check.log"));
        let daemon = master(&link, program, &text(&time, &log, "", 150));
        Timed { link, daemon, file: time, log }
    }

    fn write(&self, more: &str, priority: u8) {
        write(&self.daemon, &text(&self.file, &self.log, more, priority));
    }

    fn reload(&self, more: &str, priority: u8) {
        self.daemon.reload(&text(&self.file, &self.log, more, priority));
    }

    fn schedule(&self, line: &str) {
        fs::write(&self.file, format!("{line}\n")).unwrap();
    }

    #[track_caller]
    fn wait_for(&self, priority: u8) {
        let adverts = || self.link.witness.adverts_from(self.link.ports[0]);
        let there = || adverts().last().filter(|(_, advert)| advert.priority == priority).map(|_| ());
        let found = wait::within(PATIENCE, there);
        assert!(found.is_some(), "no advert with {priority}; the daemon said:\n{}", self.daemon.log());
    }

    #[track_caller]
    fn stays(&self, priority: u8, window: Duration) {
        let from = wait::now_ns();
        wait::observe(window);
        let adverts = self.link.witness.adverts_from(self.link.ports[0]);
        let others = adverts.iter().filter(|(at, advert)| *at > from && advert.priority != priority).count();
        assert_eq!(others, 0, "it was reloaded; the daemon said:\n{}", self.daemon.log());
    }

    #[track_caller]
    fn wait_until_it_is_gone(&self) {
        let gone = wait::within(PATIENCE, || (!self.file.exists()).then_some(()));
        assert!(gone.is_some(), "the time file stays; the daemon said:\n{}", self.daemon.log());
    }
}

fn text(time: &Path, log: &Path, more: &str, priority: u8) -> String {
    let (time, log) = (time.display(), log.display());
    with_globals(&format!("reload_time_file {time}\n reload_check_config {log}\n {more}"), priority)
}

const TIME: &str = "+%H:%M:%S";
const MOMENT: &str = "+%Y-%m-%d %H:%M:%S";

fn a_time_file_is_acted_on(program: Program) {
    let timed = Timed::start(program);
    // What is past, or no time, asks for nothing, and stays.
    timed.write("", 149);
    for line in ["2001-01-01 00:00:00", "soon", &format!("{} ", moment(4, TIME)), &moment(86_340, TIME)] {
        timed.schedule(line);
        timed.stays(150, Duration::from_millis(2500));
        assert!(timed.file.exists(), "`{line}`");
    }
    timed.stays(150, Duration::from_secs(2));

    // A time goes on to be waited for when somebody reloads before it, and then the file goes.
    timed.schedule(&moment(6, TIME));
    wait::observe(Duration::from_millis(1500));
    timed.reload("", 140);
    timed.wait_for(140);
    assert!(timed.file.exists());
    timed.write("", 141);
    timed.wait_for(141);
    assert!(!timed.file.exists());

    // Without the file, or the directive, nothing comes.
    timed.schedule(&moment(4, MOMENT));
    wait::observe(Duration::from_millis(1500));
    fs::remove_file(&timed.file).unwrap();
    timed.write("", 142);
    timed.stays(141, Duration::from_secs(5));
    timed.schedule(&moment(5, TIME));
    wait::observe(Duration::from_millis(1500));
    timed.daemon.reload(&with_globals("", 143));
    timed.wait_for(143);
    timed.write("", 144);
    timed.stays(143, Duration::from_secs(5));
    assert!(timed.file.exists());
    fs::remove_file(&timed.file).unwrap();
    timed.reload("", 145);
    timed.wait_for(145);
}

fn a_bad_file_at_its_time_changes_nothing_and_is_complained_of(program: Program) {
    let timed = Timed::start(program);
    let bad = text(&timed.file, &timed.log, "", 140).replace("priority 140", "prioritty 140");
    write(&timed.daemon, &bad);
    timed.schedule(&moment(3, TIME));
    timed.wait_until_it_is_gone();
    let told = || fs::read_to_string(&timed.log).ok().filter(|log| log.contains("prioritty"));
    assert!(wait::within(PATIENCE, told).is_some(), "{}", timed.daemon.log());
    timed.stays(150, Duration::from_secs(2));
    // A good one leaves nothing of that.
    timed.reload("", 141);
    timed.wait_for(141);
    let empty = wait::within(PATIENCE, || fs::read_to_string(&timed.log).ok().filter(|log| log.is_empty()));
    assert!(empty.is_some(), "{:?}", fs::read_to_string(&timed.log));
}

fn a_time_that_repeats_keeps_its_file_unless_it_has_a_date(program: Program) {
    let timed = Timed::start(program);
    timed.reload("reload_repeat", 149);
    timed.wait_for(149);
    timed.write("reload_repeat", 148);
    timed.schedule(&moment(3, TIME));
    timed.wait_for(148);
    wait::observe(Duration::from_secs(1));
    assert!(timed.file.exists(), "{}", timed.daemon.log());
    timed.write("reload_repeat", 147);
    timed.schedule(&moment(3, MOMENT));
    timed.wait_for(147);
    timed.wait_until_it_is_gone();
}

#[test]
fn a_time_file_says_when_once() {
    a_time_file_is_acted_on(Program::Keepwatch);
}

#[test]
fn a_time_file_says_when_once_to_keepalived() {
    a_time_file_is_acted_on(Program::Keepalived);
}

#[test]
fn a_bad_file_at_its_time_changes_nothing() {
    a_bad_file_at_its_time_changes_nothing_and_is_complained_of(Program::Keepwatch);
}

#[test]
fn a_bad_file_at_its_time_changes_nothing_in_keepalived() {
    a_bad_file_at_its_time_changes_nothing_and_is_complained_of(Program::Keepalived);
}

#[test]
fn a_time_of_day_may_repeat() {
    a_time_that_repeats_keeps_its_file_unless_it_has_a_date(Program::Keepwatch);
}

#[test]
fn a_time_of_day_may_repeat_in_keepalived() {
    a_time_that_repeats_keeps_its_file_unless_it_has_a_date(Program::Keepalived);
}

/// The reload file goes when the files have been read, whatever they are.
fn who_changes_files_sees_when_they_have_been_read(program: Program) {
    let link = Link::new();
    let file = link.nodes[0].directory().join("reading");
    let globals = format!("reload_file {}\n reload_check_config", file.display());
    let daemon = master(&link, program, &with_globals(&globals, 150));
    for text in [with_globals(&globals, 140), with_globals(&globals, 130).replace("priority 130", "prioritty 130")] {
        fs::write(&file, "as who changes files makes it").unwrap();
        daemon.reload(&text);
        let gone = wait::within(PATIENCE, || (!file.exists()).then_some(()));
        assert!(gone.is_some(), "it said:\n{}", daemon.log());
    }
    let (from, port) = (wait::now_ns(), link.ports[0]);
    link.witness.wait_for_advert("an advert of the good file", port, from, PATIENCE, |it| it.priority == 140);
}

#[test]
fn the_reload_file_is_gone_when_the_files_have_been_read() {
    who_changes_files_sees_when_they_have_been_read(Program::Keepwatch);
}

#[test]
fn the_reload_file_is_gone_when_keepalived_has_read_the_files() {
    who_changes_files_sees_when_they_have_been_read(Program::Keepalived);
}

#[test]
fn each_of_two_who_reload_in_quick_succession_hears_of_his_own_file() {
    let link = Link::new();
    let daemon = master(&link, Program::Keepwatch, &instance(150));
    let vrrp = daemon.wait_for_child("vrrp", PATIENCE);
    let priority =
        || daemon.tool_json(&["vrrp", "VI_1"])["instances"][0]["priority"]["configured"].as_u64().unwrap_or(0);

    // The first is not in force yet when the next ones ask.
    kill(vrrp, Signal::SIGSTOP).unwrap();
    write(&daemon, &instance(140));
    let mut first = daemon.tool_in_background("first", &["reload"]);
    daemon.process.wait_for_log("VI_1: priority 150 → 140", PATIENCE);
    write(&daemon, &instance(130).replace("priority 130", "prioritty 130"));
    let mut second = daemon.tool_in_background("second", &["reload"]);
    let mut third = daemon.tool_in_background("third", &["reload", "--safe"]);
    wait::observe(Duration::from_millis(500));
    kill(vrrp, Signal::SIGCONT).unwrap();
    assert_eq!(first.exit_code(PATIENCE), 0, "{}; {}", first.log(), daemon.log());
    assert!(first.log().contains("in force after"), "{}", first.log());
    for tool in [&mut second, &mut third] {
        assert_eq!(tool.exit_code(PATIENCE), 1, "{}; {}", tool.log(), daemon.log());
        assert!(tool.log().contains("prioritty"), "{}", tool.log());
    }
    assert_eq!(priority(), 140);

    // Nor does a safe one take for its own answer what became of another file.
    kill(vrrp, Signal::SIGSTOP).unwrap();
    write(&daemon, &instance(150));
    let mut first = daemon.tool_in_background("fourth", &["reload"]);
    daemon.process.wait_for_log("VI_1: priority 140 → 150", PATIENCE);
    write(&daemon, &instance(100));
    let mut safe = daemon.tool_in_background("fifth", &["reload", "--safe"]);
    wait::observe(Duration::from_millis(500));
    kill(vrrp, Signal::SIGCONT).unwrap();
    assert_eq!(first.exit_code(PATIENCE), 0, "{}; {}", first.log(), daemon.log());
    assert_eq!(safe.exit_code(PATIENCE), 4, "{}; {}", safe.log(), daemon.log());
    assert!(safe.log().contains("priority 150 → 100"), "{}", safe.log());
    assert_eq!(priority(), 150);
}
