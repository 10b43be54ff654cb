//! Scripts, files and processes that VRRP tracks, each as bad as it can be, and a kernel whose news are lost or come too
//! late: what is found arrives, and no advert is late.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::dice::Dice;
use agentx_tests::net::Node;
use agentx_tests::pair::Link;
use agentx_tests::process::Process;
use agentx_tests::promise::{self, FLAVOUR, Kept, Verdict};
use agentx_tests::wait::{self, Stalls};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// R1, master at an advert every 0.1 s, tracks things; R2 waits for it to be late.
struct Pair {
    link: Link,
    daemon: Daemon,
    _second: Daemon,
    /// When both were there, ns since 1970.
    from: u64,
}

impl Pair {
    /// `blocks` stand before R1's instance, `tracks` in it. No weight is worth the difference in priority. Where scripts take
    /// all processors R1 has `vrrp_rt_priority`, as an operator would give it: who is to run is not for it to decide.
    #[track_caller]
    fn start(link: Link, blocks: &str, tracks: &str) -> Pair {
        let configuration = format!(
            "global_defs {{\n router_id R1\n script_user root\n enable_script_security\n vrrp_rt_priority 1\n}}\n{blocks}\n\
             vrrp_instance VI_1 {{\n state MASTER\n interface eth0\n virtual_router_id 51\n version 3\n priority 150\n \
             advert_int 0.1\n {tracks}\n virtual_ipaddress {{\n 10.0.0.100/24\n 10.0.0.101/24\n }}\n}}\n"
        );
        let daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, &configuration, Options::default());
        daemon.wait_for_address("10.0.0.100", true, PATIENCE);
        let backup = FLAVOUR.configuration(2, "BACKUP", 100);
        let second = Daemon::start(&link.nodes[1], Program::Keepwatch, &backup, Options::default());
        second.wait_until_it_listens();
        Pair { link, daemon, _second: second, from: wait::now_ns() }
    }

    fn node(&self) -> &Node {
        &self.link.nodes[0]
    }

    /// Whether it has kept advertising from the beginning until now.
    #[track_caller]
    fn kept(&self, what: &str, stalls: &Stalls) -> Verdict {
        promise::judge(what, Kept::since(self.from, &self.link, stalls))
    }

    #[track_caller]
    fn becomes(&self, name: &str, wanted: (Option<bool>, i64)) {
        let mut last = None;
        let reached = wait::within(PATIENCE, || {
            last = tracked(&self.daemon, name);
            (last == Some(wanted)).then_some(())
        });
        assert!(reached.is_some(), "{name} is {last:?} and not {wanted:?}; it said:\n{}", self.daemon.log());
    }

    /// Waits for `reached`.
    #[track_caller]
    fn until(&self, what: &str, reached: impl Fn() -> bool) {
        let there = wait::within(PATIENCE, || reached().then_some(()));
        assert!(there.is_some(), "waited in vain: {what}; it said:\n{}", self.daemon.log());
    }
}

/// Makes an experiment on a machine that is quiet enough.
#[track_caller]
fn judged(what: &str, experiment: impl Fn(&Stalls) -> Verdict) {
    let stalls = Stalls::watch();
    promise::until_clear(what, &stalls, || experiment(&stalls));
}

fn write_script(directory: &Path, name: &str, text: &str) -> PathBuf {
    fs::create_dir_all(directory).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let (path, new) = (directory.join(name), directory.join(format!("{name}.new")));
    fs::write(&new, format!("#!/bin/bash\n{text}\n")).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, &path).unwrap();
    path
}

/// What a tracker adds to the priority, and whether it is up.
fn tracked(daemon: &Daemon, name: &str) -> Option<(Option<bool>, i64)> {
    let said: Value = serde_json::from_str(&daemon.tool(&["vrrp", "--json"]).text).ok()?;
    let instance = said["instances"].as_array()?.iter().find(|each| each["name"] == "VI_1")?;
    let tracked = instance["tracked"].as_array()?.iter().find(|each| each["name"] == name)?;
    Some((tracked["up"].as_bool(), tracked["adds"].as_i64()?))
}

const UP: Option<bool> = Some(true);
const DOWN: Option<bool> = Some(false);

#[test]
fn scripts_that_hang_fork_flood_or_die_are_results_and_delay_no_advert() {
    judged("scripts", |stalls| {
        let link = Link::new();
        let directory = link.lab.directory().join("scripts");
        // What hangs is found out soon; the others have time enough on a loaded machine.
        let scripts = [
            ("hangs", 1, "trap '' TERM; sleep 600 & while :; do wait; done"),
            ("forks", 4, "for i in $(seq 20); do (sleep 0.4; (sleep 0.3) &) & done; exit 0"),
            ("floods", 4, "head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2; exit 0"),
            ("dies", 4, "kill -SEGV $$"),
            ("well", 4, "exit 0"),
        ];
        let block = |(name, timeout, text): (&str, u32, &str)| {
            let path = write_script(&directory, name, text).display().to_string();
            format!("vrrp_script {name} {{\n script \"{path}\"\n interval 0.5\n timeout {timeout}\n weight 5\n}}\n")
        };
        let blocks: String = scripts.into_iter().map(block).collect();
        let pair = Pair::start(link, &blocks, "track_script {\n hangs\n forks\n floods\n dies\n well\n }");
        pair.becomes("well", (UP, 5));
        pair.becomes("forks", (UP, 5));
        pair.becomes("floods", (UP, 5));
        pair.becomes("dies", (DOWN, 0));
        pair.becomes("hangs", (DOWN, 0));
        wait::observe(Duration::from_secs(4));
        pair.kept("scripts", stalls)
    });
}

#[test]
fn a_script_that_is_replaced_or_made_writable_while_running_counts_as_what_it_is_then() {
    judged("a script that changes", |stalls| {
        let link = Link::new();
        let directory = link.lab.directory().join("scripts");
        let path = write_script(&directory, "changes", "sleep 0.1; exit 0");
        let block = format!("vrrp_script changes {{\n script \"{}\"\n interval 0.2\n weight 5\n}}", path.display());
        let pair = Pair::start(link, &block, "track_script {\n changes\n }");
        for _ in 0..4 {
            write_script(&directory, "changes", "sleep 0.1; exit 0");
            pair.becomes("changes", (UP, 5));
            write_script(&directory, "changes", "sleep 0.1; exit 1");
            pair.becomes("changes", (DOWN, 0));
            write_script(&directory, "changes", "sleep 0.1; exit 0");
            pair.becomes("changes", (UP, 5));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
            pair.becomes("changes", (DOWN, 0));
        }
        pair.kept("a script that changes", stalls)
    });
}

#[test]
fn whatever_a_tracked_file_holds_no_advert_is_late() {
    judged("a file", |stalls| {
        let link = Link::new();
        let path = link.lab.directory().join("value");
        let block = format!("track_file value {{\n file {}\n weight 1\n init_file 5\n}}", path.display());
        let pair = Pair::start(link, &block, "track_file {\n value\n }");
        pair.becomes("value", (UP, 5));
        assert_eq!(fs::read_to_string(&path).unwrap(), "5\n");
        for _ in 0..15 {
            for (content, adds) in
                [("6\n", 6), ("words\n", 0), ("-7", -7), ("", 0), ("9", 9), ("100000000000000000000", 9), ("3", 3)]
            {
                fs::write(&path, content).unwrap();
                pair.becomes("value", (UP, adds));
            }
            fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
            pair.becomes("value", (UP, 0));
            fs::write(path.with_extension("new"), "8").unwrap();
            fs::rename(path.with_extension("new"), &path).unwrap();
            pair.becomes("value", (UP, 8));
            fs::remove_file(&path).unwrap();
            pair.becomes("value", (UP, 0));
            fs::write(&path, "4").unwrap();
            pair.becomes("value", (UP, 4));
        }
        pair.kept("a file", stalls)
    });
}

#[test]
fn a_process_that_comes_and_goes_is_counted() {
    judged("a process", |stalls| {
        let link = Link::new();
        let program = link.lab.directory().join(format!("kwtrack{}", std::process::id() % 10_000));
        fs::copy("/bin/sleep", &program).unwrap();
        let path = program.to_string_lossy().into_owned();
        let name = program.file_name().unwrap().to_string_lossy().into_owned();
        let block = format!("vrrp_track_process app {{\n process {name}\n quorum 1\n weight 5\n}}");
        let pair = Pair::start(link, &block, "track_process {\n app\n }");
        pair.becomes("app", (DOWN, 0));
        for _ in 0..3 {
            let mut process: Process = pair.node().spawn("tracked", pair.node().command(&[path.as_str(), "600"]));
            pair.becomes("app", (UP, 5));
            process.kill();
            pair.becomes("app", (DOWN, 0));
        }
        pair.kept("a process", stalls)
    });
}

#[test]
fn what_was_found_outlives_the_runner_and_is_told_to_a_new_vrrp_process() {
    judged("a runner that is killed", |stalls| {
        let link = Link::new();
        let path = link.lab.directory().join("value");
        fs::write(&path, "5").unwrap();
        let block = format!("track_file value {{\n file {}\n weight 1\n}}", path.display());
        let pair = Pair::start(link, &block, "track_file {\n value\n }");
        let daemon = &pair.daemon;
        pair.becomes("value", (UP, 5));
        for _ in 0..6 {
            let runner = daemon.wait_for_child("runner", PATIENCE);
            kill(runner, Signal::SIGKILL).unwrap();
            wait::until("another runner", PATIENCE, || daemon.child("runner").filter(|new| *new != runner));
            pair.becomes("value", (UP, 5));
        }
        fs::write(&path, "6").unwrap();
        pair.becomes("value", (UP, 6));
        let verdict = pair.kept("a runner that is killed", stalls);
        let vrrp = daemon.wait_for_child("vrrp", PATIENCE);
        kill(vrrp, Signal::SIGKILL).unwrap();
        wait::until("another vrrp process", PATIENCE, || daemon.child("vrrp").filter(|new| *new != vrrp));
        pair.becomes("value", (UP, 6));
        verdict
    });
}

/// A script's result takes `rise` and `fall` runs to come about: a runner that starts anew must not forget them, nor take
/// back meanwhile what they came to.
#[test]
fn states_of_scripts_outlive_the_runner_that_found_them() {
    judged("scripts of a runner that is killed", |stalls| {
        let link = Link::new();
        let directory = link.lab.directory().join("scripts");
        let fails = link.lab.directory().join("fails");
        let text = format!("[ ! -e {} ]", fails.display());
        let path = write_script(&directory, "changes", &text).display().to_string();
        let block = format!(
            "vrrp_script changes {{\n script \"{path}\"\n interval 1\n rise 3\n fall 3\n weight 5\n init_fail\n}}\n"
        );
        let pair = Pair::start(link, &block, "track_script {\n changes\n }");
        let daemon = &pair.daemon;
        let replace = || {
            let runner = daemon.wait_for_child("runner", PATIENCE);
            kill(runner, Signal::SIGKILL).unwrap();
            wait::until("another runner", PATIENCE, || daemon.child("runner").filter(|new| *new != runner));
        };
        pair.becomes("changes", (UP, 5));
        replace();
        // Long enough for a first run, and too short for three.
        for _ in 0..15 {
            wait::observe(Duration::from_millis(100));
            assert_eq!(tracked(daemon, "changes"), Some((UP, 5)), "it said:\n{}", daemon.log());
        }
        fs::write(&fails, "").unwrap();
        pair.becomes("changes", (DOWN, 0));
        replace();
        fs::remove_file(&fails).unwrap();
        let began = std::time::Instant::now();
        pair.becomes("changes", (UP, 5));
        assert!(began.elapsed() > Duration::from_millis(1500), "one success is not three: {:?}", began.elapsed());
        pair.kept("scripts of a runner that is killed", stalls)
    });
}

const LOST: &str = "the kernel's news of interfaces came faster than they were read";

/// The kernel keeps two or three messages for a receive buffer this small, and says ENOBUFS instead of the others.
const SMALL: &str = "global_defs {\n vrrp_netlink_monitor_rcv_bufs 4096\n}\n";

/// Commands for `ip -batch`: hundreds of addresses come and go, and in the midst of them `happens`.
fn flood(happens: &str) -> String {
    let addresses = || (0..400).map(|n| format!("10.9.{}.{}/32 dev noise\n", n / 200, n % 200 + 1));
    let add: String = addresses().map(|one| format!("address add {one}")).collect();
    let remove: String = addresses().map(|one| format!("address del {one}")).collect();
    format!("{add}{happens}{remove}")
}

#[test]
fn news_of_the_kernel_that_are_lost_are_found_out_and_no_advert_is_late() {
    judged("lost news", |stalls| {
        let link = Link::new();
        let node = &link.nodes[0];
        node.ip(&["link", "add", "noise", "type", "veth", "peer", "name", "quiet"]);
        for name in ["noise", "quiet"] {
            node.ip(&["link", "set", name, "up"]);
        }
        let pair = Pair::start(
            link,
            SMALL,
            "track_interface {\n quiet weight 5\n }\n virtual_routes {\n 10.7.0.0/24 dev eth0\n }",
        );
        let node = pair.node();
        let batch = node.directory().join("batch");
        let has_route = || node.ip(&["-4", "route", "show", "10.7.0.0/24"]).contains("eth0");
        pair.until("the virtual route", has_route);
        let times_lost = || pair.daemon.log().matches(LOST).count();
        let mut up = true;
        let mut floods = 0;
        // In each of them the address and the route go; an interface goes down, or comes back. How many are lost is a matter
        // of who runs when: a daemon that has a processor for itself reads nearly all.
        while times_lost() < 20 || floods < 24 {
            floods += 1;
            assert!(floods < 400, "too little was lost; it said:\n{}", pair.daemon.log());
            up = !up;
            let state = if up { "up" } else { "down" };
            let happens =
                format!("address del 10.0.0.100/24 dev eth0\nroute del 10.7.0.0/24\nlink set quiet {state}\n");
            fs::write(&batch, flood(&happens)).unwrap();
            node.ip(&["-batch", &batch.to_string_lossy()]);
            pair.until("the address is put back", || node.has("10.0.0.100"));
            pair.until("the route is put back", has_route);
            pair.until("the state of the interface is known", || {
                priority(&pair.daemon) == Some(150 + 5 * i64::from(up))
            });
        }
        pair.kept("lost news", stalls)
    });
}

/// Instances on interfaces that go at any moment: before an address is added, among many, or when an advert is due.
#[test]
fn an_interface_that_disappears_between_check_and_use_makes_no_advert_late_anywhere_else() {
    judged("interfaces that disappear", |stalls| {
        let link = Link::new();
        let addresses: String = (1..=20).map(|n| format!(" 10.8.0.{n}/32\n")).collect();
        let brief = format!(
            "vrrp_instance VI_2 {{\n interface brief\n virtual_router_id 52\n version 3\n priority 255\n advert_int 0.1\n \
             virtual_ipaddress {{\n 10.8.1.1/32\n }}\n virtual_ipaddress_excluded {{\n{addresses} }}\n virtual_routes {{\n \
             10.7.0.0/24 dev brief\n }}\n}}\n"
        );
        let comes = |node: &Node| {
            node.ip(&["link", "add", "brief", "type", "veth", "peer", "name", "nowhere"]);
            node.ip(&["address", "add", "10.8.2.1/24", "dev", "brief"]);
            node.ip(&["link", "set", "nowhere", "up"]);
            node.ip(&["link", "set", "brief", "up"]);
        };
        comes(&link.nodes[0]);
        let blocks = format!("global_defs {{\n dynamic_interfaces\n}}\n{brief}");
        let pair = Pair::start(link, &blocks, "track_interface {\n brief weight 5\n }");
        let node = pair.node();
        let mut dice = Dice::new(5);
        pair.until("it has its addresses", || node.has("10.8.0.20"));
        for _ in 0..40 {
            node.ip(&["link", "del", "brief"]);
            wait::observe(Duration::from_micros(dice.between(0, 20_000)));
            comes(node);
            // Somewhere between the first thing that is done about it and the last.
            wait::observe(Duration::from_micros(dice.between(0, 60_000)));
        }
        pair.until("the last one has its addresses", || node.has("10.8.0.20"));
        pair.until("the interface counts", || priority(&pair.daemon) == Some(155));
        pair.kept("interfaces that disappear", stalls)
    });
}

/// The effective priority of VI_1.
fn priority(daemon: &Daemon) -> Option<i64> {
    let said: Value = serde_json::from_str(&daemon.tool(&["vrrp", "--json"]).text).ok()?;
    let instance = said["instances"].as_array()?.iter().find(|each| each["name"] == "VI_1")?;
    instance["priority"]["effective"].as_i64()
}
