//! The daemon as processes and files: names, signals and what they write, what surrounds a reload, how it is scheduled.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::process::{must, run};
use agentx_tests::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const FLAVOUR: Flavour = Flavour::V3;
const SOON: Duration = Duration::from_secs(10);

/// Real-time signals by Keepalived's numbers for them.
const JSON: i32 = 36;
const STATS_CLEAR: i32 = 63;

/// A configuration with these lines in `global_defs`.
fn with_globals(lines: &str) -> String {
    FLAVOUR.configuration(1, "MASTER", 150).replacen("global_defs {", &format!("global_defs {{\n {lines}"), 1)
}

fn started(link: &Link, configuration: &str, options: Options<'_>) -> Daemon {
    let daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, configuration, options);
    let master = wait::within(SOON, || link.has_all(0, FLAVOUR).then_some(()));
    assert!(master.is_some(), "not master; it said:\n{}", daemon.log());
    daemon.process.wait_for_log("Startup complete", SOON);
    daemon
}

fn send(pid: Pid, number: i32) {
    let mut command = Command::new("kill");
    command.args([format!("-{number}"), pid.to_string()]);
    must(command);
}

#[track_caller]
fn wait_for_file(daemon: &Daemon, path: &Path) -> String {
    let text = || fs::read_to_string(path).ok().filter(|text| !text.is_empty());
    match wait::within(SOON, text) {
        Some(text) => text,
        None => panic!("no {}; it said:\n{}", path.display(), daemon.log()),
    }
}

fn comm(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
        & 0o7777
}

fn names_in(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Instances of every kind that both programs can run alone on a link.
const MANY: &str = "global_defs {
 router_id R1
 enable_script_security
 script_user root
 vrrp_garp_master_delay 2
}
vrrp_instance VI_1 {
 state MASTER
 interface eth0
 virtual_router_id 51
 priority 150
 advert_int 1
 authentication {
  auth_type PASS
  auth_pass s3cret
 }
 virtual_ipaddress {
  10.0.0.100/24 brd 10.0.0.255 dev eth0 label eth0:1
  10.0.0.101/24 scope link
 }
 virtual_ipaddress_excluded {
  10.0.0.102/32
  fd00:5::5/64
 }
 notify_master \"/usr/bin/true m x\"
 notify \"/usr/bin/true n\"
 smtp_alert
}
vrrp_instance VI_2 {
 interface eth0
 virtual_router_id 52
 priority 100
 version 3
 advert_int 0.25
 nopreempt
 dont_track_primary
 garp_master_refresh 60
 unicast_src_ip 10.0.0.1
 unicast_peer {
  10.0.0.2
 }
 virtual_ipaddress {
  10.0.0.110
 }
}
vrrp_instance VI_6 {
 interface eth0
 virtual_router_id 53
 priority 200
 version 3
 preempt_delay 5
 skip_check_adv_addr
 lower_prio_no_advert
 higher_prio_send_advert
 virtual_ipaddress {
  fe80::100
  fd00:1::100/64
 }
}
";

fn json_of(program: Program) -> Value {
    let link = Link::new();
    let mut daemon = Daemon::start(&link.nodes[0], program, MANY, Options::default());
    let all = ["10.0.0.102", "10.0.0.110", "fd00:1::100"];
    let there = wait::within(Duration::from_secs(20), || all.iter().all(|it| link.nodes[0].has(it)).then_some(()));
    assert!(there.is_some(), "{} is not master everywhere; it said:\n{}", program.name(), daemon.log());
    let file = daemon.directory().join("keepalived.json");
    let whole = || {
        // Rows of ours are a moment old; Keepalived's file is not written in one piece.
        let _ = fs::remove_file(&file);
        send(daemon.process.pid(), JSON);
        let text = wait::within(SOON, || fs::read_to_string(&file).ok().filter(|text| !text.is_empty()))?;
        let value: Value = serde_json::from_str(&text).ok()?;
        value.as_array()?.iter().all(|instance| instance["data"]["vipset"] == true).then_some(value)
    };
    let value = wait::within(SOON, whole);
    let Some(value) = value else { panic!("{} wrote no JSON; it said:\n{}", program.name(), daemon.log()) };
    assert_eq!(daemon.stop(), 0, "{}", daemon.log());
    value
}

#[test]
fn the_json_of_an_exporter_has_keepalived_s_fields_with_keepalived_s_values() {
    let (ours, theirs) = (json_of(Program::Keepwatch), json_of(Program::Keepalived));
    assert_eq!(ours.as_array().map(Vec::len), Some(3));
    for (ours, theirs) in ours.as_array().unwrap().iter().zip(theirs.as_array().unwrap()) {
        let keys = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let name = theirs["data"]["iname"].clone();
        assert_eq!(keys(&ours["data"]), keys(&theirs["data"]), "{name}");
        assert_eq!(keys(&ours["stats"]), keys(&theirs["stats"]), "{name}");
        for (key, value) in theirs["data"].as_object().unwrap() {
            let have = &ours["data"][key];
            match key.as_str() {
                "last_transition" => assert!(have.as_f64().is_some_and(|at| at > 1.7e9), "{name} {key}: {have}"),
                // 2.4 hides it, as we do.
                "auth_data" => assert_eq!(have, "********"),
                // A number is a number, with or without a point.
                _ if value.is_number() => assert_eq!(have.as_f64(), value.as_f64(), "{name} {key}"),
                _ => assert_eq!(have, value, "{name} {key}"),
            }
        }
        for (key, value) in theirs["stats"].as_object().unwrap() {
            let have = ours["stats"][key].as_u64();
            match key.as_str() {
                "advert_sent" => assert!(have.is_some_and(|count| count > 0), "{name} {key}"),
                _ => assert_eq!(have, value.as_u64(), "{name} {key}"),
            }
        }
    }
}

#[test]
fn sigusr1_writes_state_files_that_only_root_reads_and_replaces_a_planted_link() {
    let link = Link::new();
    let daemon = started(&link, &FLAVOUR.configuration(1, "MASTER", 150), Options::default());
    let (file, victim) = (daemon.directory().join("keepalived.data"), daemon.directory().join("victim"));
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, &file).unwrap();
    daemon.process.signal(Signal::SIGUSR1);
    let replaced = wait::within(SOON, || fs::symlink_metadata(&file).ok().filter(|it| it.is_file()));
    assert!(replaced.is_some(), "it said:\n{}", daemon.log());
    let text = fs::read_to_string(&file).unwrap();
    for line in [
        "------< Global definitions >------",
        " Router ID = R1",
        "------< VRRP Topology >------",
        " VRRP Instance = VI_1",
        "   VRRP Version = 3",
        "   State = MASTER",
        "   Virtual Router ID = 51",
        "   Effective priority = 150",
        "   Advert interval = 100 milli-sec",
        "     10.0.0.100/24 dev eth0 scope global set",
        " Name = eth0",
        "   IPv4 address = 10.0.0.1",
    ] {
        assert!(text.lines().any(|have| have == line), "`{line}` is not in:\n{text}");
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let parent = daemon.directory().join("keepalived_parent.data");
    assert!(wait_for_file(&daemon, &parent).contains(" Router ID = R1"));
    assert_eq!((mode(&file), mode(&parent)), (0o600, 0o600));
    let unfinished: Vec<_> = names_in(daemon.directory()).into_iter().filter(|name| name.contains(".new-")).collect();
    assert_eq!(unfinished, Vec::<String>::new());
    assert!(!daemon.directory().join("keepalived_check.data").exists(), "there are no checks");
}

#[test]
fn state_files_go_where_the_configuration_says_with_its_mask_and_the_name_of_the_instance() {
    let link = Link::new();
    let place = link.nodes[0].directory().join("dumps");
    fs::create_dir_all(&place).unwrap();
    let place = place.to_string_lossy();
    let text = with_globals(&format!(
        "umask IWGRP | IWOTH\n data_use_instance\n state_dump_file {place}/state.txt\n stats_dump_file {place}/\n json_dump_file \
         {place}/vrrp.json\n json_version 2"
    ));
    let daemon = started(&link, &format!("instance i1\n{text}"), Options::default());
    daemon.process.signal(Signal::SIGUSR1);
    daemon.process.signal(Signal::SIGUSR2);
    send(daemon.process.pid(), JSON);
    let place = PathBuf::from(place.into_owned());
    assert!(wait_for_file(&daemon, &place.join("state.i1.txt")).contains(" VRRP Instance = VI_1"));
    assert!(wait_for_file(&daemon, &place.join("state_parent.i1.txt")).contains(" umask = 022"));
    assert!(wait_for_file(&daemon, &place.join("keepalived.stats")).contains("VRRP Instance: VI_1"));
    let json: Value = serde_json::from_str(&wait_for_file(&daemon, &place.join("vrrp.json"))).unwrap();
    assert_eq!(json["vrrp"][0]["data"]["iname"], "VI_1");
    assert_eq!(mode(&place.join("state.i1.txt")), 0o644);
}

#[test]
fn clearing_writes_the_counters_first_and_begins_anew() {
    let link = Link::new();
    let daemon = started(&link, &FLAVOUR.configuration(1, "MASTER", 150), Options::default());
    let sent = |daemon: &Daemon| daemon.statistics()["VI_1"]["Advertisements / Sent"];
    let before = wait::until("adverts to be counted", SOON, || Some(sent(&daemon)).filter(|sent| *sent >= 30));
    let file = daemon.directory().join("keepalived.stats");
    fs::remove_file(&file).unwrap();
    send(daemon.process.pid(), STATS_CLEAR);
    let text = wait_for_file(&daemon, &file);
    let written: u64 = text.lines().find_map(|line| line.trim().strip_prefix("Sent: ")?.parse().ok()).unwrap();
    assert!(written >= before, "{written} after {before}");
    let after = wait::within(SOON, || Some(sent(&daemon)).filter(|sent| *sent < before));
    assert!(after.is_some(), "counted on; it said:\n{}", daemon.log());
}

#[test]
fn processes_are_named_as_configured_as_keepalived_names_them_or_as_the_link_that_started_them() {
    let link = Link::new();
    let bare = FLAVOUR.configuration(1, "MASTER", 150);
    let daemon = started(&link, &bare, Options::default());
    let (main, vrrp) = (daemon.process.pid(), daemon.wait_for_child("vrrp", SOON));
    assert_eq!((comm(main), comm(vrrp)), ("keepwatchd".to_owned(), "keepwatchd".to_owned()));
    daemon.reload(&with_globals("process_names\n process_name lord"));
    let named = || (comm(main) == "lord" && comm(vrrp) == "keepalived_vrrp").then_some(());
    assert!(wait::within(SOON, named).is_some(), "{} {}", comm(main), comm(vrrp));
    // A second one recognises it by its program.
    let beside = Options { beside_another: true, ..Options::default() };
    let mut second = Daemon::start(&link.nodes[0], Program::Keepwatch, &bare, beside);
    assert_eq!(second.process.exit_code(SOON), 0, "{}", second.log());
    assert!(second.log().contains("daemon is already running"), "{}", second.log());
    drop((second, daemon));

    let linked = link.nodes[1].directory().join("keepalived");
    std::os::unix::fs::symlink(Program::Keepwatch.path(), &linked).unwrap();
    let config = link.nodes[1].directory().join("k.conf");
    fs::write(&config, FLAVOUR.configuration(2, "MASTER", 150)).unwrap();
    let file = |name: &str| link.nodes[1].directory().join(name).to_string_lossy().into_owned();
    let words = [
        linked.to_string_lossy().into_owned(),
        "-nl".to_owned(),
        "-f".to_owned(),
        config.to_string_lossy().into_owned(),
        "-p".to_owned(),
        file("main.pid"),
        "-r".to_owned(),
        file("vrrp.pid"),
        "--state-dir".to_owned(),
        file("state"),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let process = link.nodes[1].spawn("linked", link.nodes[1].command(&words));
    process.wait_for_log("Startup complete", SOON);
    let vrrp = fs::read_to_string(file("vrrp.pid")).unwrap().trim().parse().map(Pid::from_raw).unwrap();
    assert_eq!((comm(process.pid()), comm(vrrp)), ("keepalived".to_owned(), "keepalived".to_owned()));
}

#[test]
fn complaints_about_a_new_configuration_go_into_the_log_of_reload_check_config() {
    let link = Link::new();
    let log = link.nodes[0].directory().join("check.log");
    let text = with_globals(&format!("reload_check_config {}", log.display()));
    let daemon = started(&link, &text, Options::default());
    fs::write(&log, "of before\n").unwrap();
    daemon.reload(&text.replace("priority 150", "prioritty 150"));
    daemon.process.wait_for_log("New config failed validation", SOON);
    let told = fs::read_to_string(&log).unwrap();
    assert!(told.contains("prioritty") && !told.contains("of before"), "{told}");
    daemon.reload(&text.replace("priority 150", "priority 140"));
    daemon.process.wait_for_log("Reload complete", SOON);
    assert_eq!(fs::read_to_string(&log).unwrap(), "");
}

#[test]
fn the_reload_file_is_emptied_when_reading_begins_and_gone_when_it_is_over() {
    let link = Link::new();
    let file = link.nodes[0].directory().join("reading");
    let daemon = started(&link, &with_globals(&format!("reload_file {}", file.display())), Options::default());
    for text in [with_globals(&format!("reload_file {}", file.display())), "nonsense {\n".to_owned()] {
        fs::write(&file, "as who changes files makes it").unwrap();
        daemon.reload(&text);
        let gone = wait::within(SOON, || (!file.exists()).then_some(()));
        assert!(gone.is_some(), "it said:\n{}", daemon.log());
    }
}

#[test]
fn a_time_file_says_when_to_reload_and_is_gone_afterwards() {
    let link = Link::new();
    let file = link.nodes[0].directory().join("time");
    let text = with_globals(&format!("reload_time_file {}", file.display()));
    let daemon = started(&link, &text, Options::default());
    fs::write(&file, "soon\n").unwrap();
    daemon.process.wait_for_log("does not say when to reload", SOON);
    let mut date = Command::new("date");
    let at = must({
        date.args(["-u", "-d", "+5 seconds", "+%Y-%m-%d %H:%M:%SZ"]);
        date
    });
    fs::write(&file, at).unwrap();
    daemon.process.wait_for_log("Scheduling reload for", SOON);
    assert!(!daemon.log().contains("Reload complete"));
    daemon.process.wait_for_log("Reload complete", SOON);
    assert!(!file.exists());
    fs::write(&file, "2001-01-01 00:00:00\n").unwrap();
    daemon.process.wait_for_log("asks for no reload to come", SOON);
}

#[test]
fn configurations_and_state_around_a_reload_are_kept_where_the_configuration_says() {
    let link = Link::new();
    let place = link.nodes[0].directory().join("saved");
    let text = with_globals(&format!("config_save_dir {}", place.display()));
    let daemon = started(&link, &text, Options::default());
    daemon.reload(&text.replace("priority 150", "priority 140"));
    daemon.process.wait_for_log("Reload complete", SOON);
    let find = |start: &str, end: &str| {
        let names = names_in(&place).into_iter();
        names.filter(|name| name.starts_with(start) && name.ends_with(end)).collect::<Vec<_>>()
    };
    let post = wait::within(SOON, || find("keepalived_vrrp.", ".post").first().map(|name| place.join(name)));
    let Some(post) = post else { panic!("{:?}\n{}", names_in(&place), daemon.log()) };
    let pre = place.join(&find("keepalived_vrrp.", ".pre")[0]);
    let priority = |file: &Path| {
        let text = fs::read_to_string(file).unwrap();
        text.lines().find_map(|line| line.strip_prefix("   Priority = ").map(str::to_owned)).unwrap()
    };
    assert_eq!((priority(&pre), priority(&post)), ("150".to_owned(), "140".to_owned()));
    let configurations = find("keepalived.conf.", "");
    assert_eq!(configurations.len(), 2, "{configurations:?}");
    let texts = configurations.iter().map(|name| fs::read_to_string(place.join(name)).unwrap());
    assert!(texts.into_iter().any(|text| text.contains("priority 140")));
    assert_eq!((mode(&place), mode(&pre), mode(&place.join(&configurations[0]))), (0o700, 0o600, 0o600));
}

#[test]
fn a_process_that_is_woken_too_late_takes_a_real_time_priority_and_no_higher_one_than_it_may() {
    let link = Link::new();
    let text = with_globals("max_auto_priority 2\n min_auto_priority_delay 700000");
    let daemon = started(&link, &text, Options::default());
    let vrrp = daemon.wait_for_child("vrrp", SOON);
    // Fields 40 and 41 of proc(5): the priority, and 2 for SCHED_RR.
    let scheduling = || {
        let stat = fs::read_to_string(format!("/proc/{vrrp}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        (fields[37].parse::<u32>().unwrap(), fields[38].parse::<u32>().unwrap())
    };
    assert_eq!(scheduling(), (0, 0));
    for expected in [(1, 2), (2, 2), (2, 2)] {
        kill(vrrp, Signal::SIGSTOP).unwrap();
        std::thread::sleep(Duration::from_millis(1100));
        kill(vrrp, Signal::SIGCONT).unwrap();
        let raised = wait::within(SOON, || (scheduling() == expected).then_some(()));
        assert!(raised.is_some(), "{:?} instead of {expected:?}; it said:\n{}", scheduling(), daemon.log());
    }
    assert_eq!(daemon.child("vrrp"), Some(vrrp), "it was started again; it said:\n{}", daemon.log());
}

/// Fields of proc(5) from the third on, as the second may hold blanks.
fn stat(pid: Pid, field: usize) -> i64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    fields.split_whitespace().nth(field - 3).and_then(|text| text.parse().ok()).unwrap_or(i64::MIN)
}

/// What stands behind a name in a file of a process.
fn told(pid: Pid, file: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim_start_matches(':').split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_process_runs_where_and_how_the_configuration_says() {
    let link = Link::new();
    let settings = |of: &str, nice: i32, cpu: u32, priority: u8, limit: u32| {
        format!(
            "{of}_priority {nice}\n {of}_cpu_affinity {cpu}\n {of}_rt_priority {priority}\n {of}_rlimit_rttime {limit}\n"
        )
    };
    let globals = settings("vrrp", -7, 0, 20, 300_000) + &settings("checker", 5, 1, 10, 400_000);
    let server = "virtual_server 10.0.0.100 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n real_server 10.0.0.9 80 {\n \
                  TCP_CHECK {\n }\n }\n}\n";
    let daemon = started(&link, &format!("{}{server}", with_globals(&globals)), Options::default());
    for (role, nice, cpu, priority, limit) in [("vrrp", -7, "0", 20, "300000"), ("checks", 5, "1", 10, "400000")] {
        let pid = daemon.wait_for_child(role, SOON);
        // 2 is SCHED_RR.
        let seen = || (stat(pid, 19), stat(pid, 40), stat(pid, 41), told(pid, "status", "Cpus_allowed_list"));
        let wanted = (nice, priority, 2, cpu.to_owned());
        let there = wait::within(SOON, || (seen() == wanted).then_some(()));
        assert!(there.is_some(), "{role}: {:?} instead of {wanted:?}; it said:\n{}", seen(), daemon.log());
        assert_eq!(told(pid, "limits", "Max realtime timeout").split(' ').next(), Some(limit), "{role}");
    }
    let bridge = daemon.wait_for_child("bridge", SOON);
    assert_eq!((stat(bridge, 19), stat(bridge, 41)), (0, 0));
}

#[test]
fn an_address_that_goes_leaves_the_others_of_its_subnet_where_promote_secondaries_is_set() {
    let link = Link::new();
    let node = &link.nodes[0];
    let key = "net/ipv4/conf/eth0/promote_secondaries";
    node.sysctl(key, "0");
    let read =
        || node.enter(move || fs::read_to_string(format!("/proc/sys/{key}")).unwrap_or_default()).trim().to_owned();
    let text = FLAVOUR
        .configuration(1, "MASTER", 150)
        .replacen("interface eth0", "interface eth0\n promote_secondaries", 1)
        .replace("10.0.0.100/24", "10.9.0.100/24");
    let mut daemon = Daemon::start(node, Program::Keepwatch, &text, Options::default());
    daemon.wait_for_address("10.9.0.100", true, SOON);
    assert_eq!(read(), "1");
    // Somebody else's, in the subnet of the virtual address: secondary to that.
    node.ip(&["address", "add", "10.9.0.7/24", "dev", "eth0"]);
    assert_eq!(daemon.stop(), 0);
    assert!(!node.has("10.9.0.100") && node.has("10.9.0.7"), "{:?}", node.addresses());
    assert_eq!(read(), "0", "as it was");
}

#[test]
fn a_daemon_works_in_the_namespace_that_the_configuration_names() {
    for program in [Program::Keepalived, Program::Keepwatch] {
        let link = Link::new();
        let [here, there] = &link.nodes;
        let text = FLAVOUR.configuration(2, "MASTER", 150);
        let text = format!("net_namespace {}\n{text}", there.namespace());
        let mut daemon = Daemon::start(here, program, &text, Options::default());
        let serves = wait::within(SOON, || link.has_all(1, FLAVOUR).then_some(()));
        assert!(serves.is_some() && link.has_none(0, FLAVOUR), "{}: {}", program.name(), daemon.log());
        assert_eq!(daemon.stop(), 0, "{}", daemon.log());
        assert!(link.has_none(1, FLAVOUR), "{}: {:?}", program.name(), there.addresses());
    }
}

#[test]
fn pid_files_are_where_keepalived_has_them() {
    let link = Link::new();
    let node = &link.nodes[0];
    let directory = node.directory();
    let text = FLAVOUR.configuration(1, "MASTER", 150);
    let found = |program: Program, lines: &str| {
        let file = directory.join("places.conf");
        fs::write(&file, format!("{lines}\n{text}")).unwrap();
        // In a /run of its own.
        let state = if program == Program::Keepwatch { "--state-dir /run/state" } else { "" };
        let script = format!(
            "mount -t tmpfs none /run && exec {} -n -l -f {} {state}",
            program.path().display(),
            file.display()
        );
        let command = node.command(&["unshare", "--mount", "sh", "-c", &script]);
        let mut process = node.spawn(program.name(), command);
        let master = wait::within(SOON, || link.has_all(0, FLAVOUR).then_some(()));
        assert!(master.is_some(), "{lines}: {}", process.log());
        let run = PathBuf::from(format!("/proc/{}/root/run", process.pid()));
        let files: BTreeSet<PathBuf> = [run.clone(), run.join("keepalived")]
            .iter()
            .filter_map(|directory| fs::read_dir(directory).ok())
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "pid"))
            .map(|path| path.strip_prefix(&run).unwrap().to_owned())
            .collect();
        process.signal(Signal::SIGTERM);
        assert_eq!(process.exit_code(SOON), 0, "{}", process.log());
        files
    };
    for lines in ["", "use_pid_dir", "instance i1", "use_pid_dir\ninstance i1"] {
        let [theirs, ours] = [Program::Keepalived, Program::Keepwatch].map(|program| found(program, lines));
        assert_eq!(ours, theirs, "{lines}");
        assert_eq!(ours.len(), 2, "{lines}: {ours:?}");
    }
}

#[test]
fn a_process_that_does_not_stop_is_killed_after_child_wait_time() {
    let link = Link::new();
    let text = FLAVOUR.configuration(1, "MASTER", 150);
    let mut daemon = started(&link, &format!("child_wait_time 1\n{text}"), Options::default());
    let vrrp = daemon.wait_for_child("vrrp", SOON);
    kill(vrrp, Signal::SIGSTOP).unwrap();
    let begun = Instant::now();
    assert_eq!(daemon.stop(), 0);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_millis(4500), "{took:?}");
    assert!(daemon.log().contains("does not stop; killing it"), "{}", daemon.log());
}

#[test]
fn the_parsed_configuration_goes_into_the_log_on_request_and_cores_are_allowed() {
    let link = Link::new();
    let options = Options { more: &["-d", "-m"], ..Options::default() };
    let daemon = started(&link, &FLAVOUR.configuration(1, "MASTER", 150), options);
    daemon.process.wait_for_log("VRRP Instance = VI_1", SOON);
    daemon.process.wait_for_log("Virtual Router ID = 51", SOON);
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.wait_for_child("vrrp", SOON))).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let soft = core.split_whitespace().nth(4).unwrap();
    assert_ne!(soft, "0", "{core}");
    for option in ["--dump-conf", "--core-dump"] {
        assert!(!daemon.log().contains(&format!("{option} is understood")), "{}", daemon.log());
    }
}

#[test]
fn signal_numbers_and_a_daemon_without_virtual_servers_that_is_told_to_check_only() {
    let program = Program::Keepwatch.path();
    for (name, number) in [("STOP", 15), ("RELOAD", 1), ("DATA", 10), ("STATS", 12), ("STATS_CLEAR", 63), ("JSON", 36)]
    {
        let mut command = Command::new(&program);
        command.arg(format!("--signum={name}"));
        assert_eq!(must(command).trim(), number.to_string());
    }
    let mut unknown = Command::new(&program);
    unknown.arg("--signum=stop");
    assert_eq!(run(unknown).status.code(), Some(1));
    let link = Link::new();
    let options = Options { more: &["-C"], ..Options::default() };
    let mut daemon =
        Daemon::start(&link.nodes[0], Program::Keepwatch, &FLAVOUR.configuration(1, "MASTER", 150), options);
    daemon.process.wait_for_log("Startup complete", SOON);
    assert_eq!(daemon.child("vrrp"), None);
    assert_eq!(daemon.stop(), 0);
}

/// A system bus of its own, with our policy.
struct SystemBus {
    process: agentx_tests::process::Process,
    address: String,
}

const BUS_NAME: &str = "org.keepalived.Vrrp1";
const VRRP_OBJECT: &str = "/org/keepalived/Vrrp1/Vrrp";
const VI_1_OBJECT: &str = "/org/keepalived/Vrrp1/Instance/eth0/51/IPv4";

impl SystemBus {
    #[track_caller]
    fn start(link: &Link) -> SystemBus {
        let directory = link.nodes[0].directory();
        let (socket, config) = (directory.join("bus"), directory.join("bus.conf"));
        let _ = fs::remove_file(&socket);
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/org.keepalived.Vrrp1.conf");
        // As system.conf of the distribution: nobody may own a name or call a method unless a policy says so.
        let text = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n<busconfig>\n<type>system</type>\n\
             <listen>unix:path={}</listen>\n<auth>EXTERNAL</auth>\n<policy context=\"default\">\n<allow user=\"*\"/>\n\
             <deny own=\"*\"/>\n<deny send_type=\"method_call\"/>\n<allow send_type=\"signal\"/>\n\
             <allow send_requested_reply=\"true\" send_type=\"method_return\"/>\n\
             <allow send_requested_reply=\"true\" send_type=\"error\"/>\n<allow receive_type=\"method_call\"/>\n\
             <allow receive_type=\"method_return\"/>\n<allow receive_type=\"error\"/>\n<allow receive_type=\"signal\"/>\n\
             <allow send_destination=\"org.freedesktop.DBus\"/>\n</policy>\n<include>{}</include>\n</busconfig>\n",
            socket.display(),
            policy.display()
        );
        fs::write(&config, text).unwrap();
        let config = format!("--config-file={}", config.display());
        let command = link.nodes[0].command(&["dbus-daemon", &config, "--nofork", "--nopidfile"]);
        let process = link.nodes[0].spawn("dbus", command);
        wait::until("the bus to listen", SOON, || socket.exists().then_some(()));
        // Whoever the caller is, as on a real bus.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        SystemBus { process, address: format!("unix:path={}", socket.display()) }
    }

    fn call(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("busctl");
        command.arg(format!("--address={}", self.address)).args(words);
        let output = run(command);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn state(&self) -> Result<String, String> {
        self.call(&["get-property", BUS_NAME, VI_1_OBJECT, "org.keepalived.Vrrp1.Instance", "State"])
    }

    fn method(&self, method: &str) -> Result<String, String> {
        self.call(&["call", BUS_NAME, VRRP_OBJECT, "org.keepalived.Vrrp1.Vrrp", method])
    }
}

#[test]
fn the_system_bus_has_keepalived_s_objects_for_root_and_nobody_else() {
    let link = Link::new();
    let bus = SystemBus::start(&link);
    let mut monitor = Command::new("dbus-monitor");
    monitor.args(["--address", &bus.address, "type='signal',interface='org.keepalived.Vrrp1.Vrrp'"]);
    monitor.args(["type='signal',interface='org.keepalived.Vrrp1.Instance'"]);
    let monitor = link.nodes[0].spawn("monitor", monitor);
    monitor.wait_for_log("NameAcquired", SOON);
    let environment = format!("DBUS_SYSTEM_BUS_ADDRESS={}", bus.address);
    let options = Options { through: &["env", &environment], ..Options::default() };
    let text = with_globals("enable_dbus");
    let mut daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, &text, options);
    let master = wait::within(SOON, || bus.state().ok().filter(|state| state == "(us) 2 \"Master\""));
    assert!(master.is_some(), "{:?}; it said:\n{}", bus.state(), daemon.log());
    monitor.wait_for_log("member=VrrpStarted", SOON);
    let tree = bus.call(&["tree", BUS_NAME, "--list"]).unwrap();
    for object in [VRRP_OBJECT, VI_1_OBJECT] {
        assert!(tree.lines().any(|line| line.trim() == object), "{tree}");
    }
    assert_eq!(
        bus.call(&["get-property", BUS_NAME, VI_1_OBJECT, "org.keepalived.Vrrp1.Instance", "Name"]).unwrap(),
        "(s) \"VI_1\""
    );
    bus.method("PrintData").unwrap();
    assert!(wait_for_file(&daemon, &daemon.directory().join("keepalived.data")).contains(" VRRP Instance = VI_1"));
    bus.method("PrintStats").unwrap();
    assert!(wait_for_file(&daemon, &daemon.directory().join("keepalived.stats")).contains("VRRP Instance: VI_1"));
    bus.call(&["call", BUS_NAME, VI_1_OBJECT, "org.keepalived.Vrrp1.Instance", "SendGarp"]).unwrap();
    assert!(bus.method("CreateInstance").unwrap_err().contains("no method"));
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "busctl"];
    let mut refused = Command::new("setpriv");
    refused.args(nobody).arg(format!("--address={}", bus.address));
    refused.args(["call", BUS_NAME, VRRP_OBJECT, "org.keepalived.Vrrp1.Vrrp", "ReloadConfig"]);
    let refused = run(refused);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.to_lowercase().contains("access"), "{why}");
    assert!(!daemon.log().contains("Reloading"), "{}", daemon.log());
    bus.method("ReloadConfig").unwrap();
    daemon.process.wait_for_log("Reload complete", SOON);
    monitor.wait_for_log("member=VrrpReloaded", SOON);
    assert_eq!(daemon.stop(), 0, "{}", daemon.log());
    monitor.wait_for_log("member=VrrpStopped", SOON);
    let log = monitor.log();
    let states: Vec<&str> = log.lines().filter_map(|line| line.trim().strip_prefix("uint32 ")).collect();
    assert!(states.contains(&"2"), "master is not in {states:?}:\n{log}");
}

#[test]
fn a_bus_that_stops_or_goes_holds_up_nothing_and_one_that_comes_back_is_joined_again() {
    let link = Link::new();
    let mut bus = SystemBus::start(&link);
    let environment = format!("DBUS_SYSTEM_BUS_ADDRESS={}", bus.address);
    let options = Options { through: &["env", &environment], ..Options::default() };
    let daemon = started(&link, &with_globals("enable_dbus"), options);
    let there = |bus: &SystemBus| wait::within(Duration::from_secs(30), || bus.state().ok());
    assert!(there(&bus).is_some(), "{:?}; it said:\n{}", bus.state(), daemon.log());
    let bus_pid = |bus: &SystemBus| {
        let family = agentx_tests::process::descendants(bus.process.pid());
        family.last().copied().unwrap_or(bus.process.pid())
    };
    kill(bus_pid(&bus), Signal::SIGSTOP).unwrap();
    let before = daemon.statistics()["VI_1"]["Advertisements / Sent"];
    daemon.reload(&with_globals("enable_dbus").replace("priority 150", "priority 140"));
    daemon.process.wait_for_log("Reload complete", SOON);
    let sent = wait::within(SOON, || {
        Some(daemon.statistics()["VI_1"]["Advertisements / Sent"]).filter(|sent| *sent > before + 5)
    });
    assert!(sent.is_some(), "it said:\n{}", daemon.log());
    bus.process.kill();
    let bus = SystemBus::start(&link);
    assert!(there(&bus).is_some(), "{:?}; it said:\n{}", bus.state(), daemon.log());
}

#[test]
fn systemd_is_told_when_all_is_ready_reloaded_refused_and_stopping_and_scripts_do_not_hear_of_it() {
    let link = Link::new();
    let path = link.nodes[0].directory().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let heard = || {
        let mut buffer = [0; 512];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let environment = format!("NOTIFY_SOCKET={}", path.display());
    let options = Options { through: &["env", &environment], ..Options::default() };
    let text = FLAVOUR.configuration(1, "MASTER", 150);
    let mut daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, &text, options);
    let ready = heard();
    assert!(ready.starts_with(&format!("READY=1\nMAINPID={}\n", daemon.process.pid())), "{ready}");
    assert!(daemon.log().contains("Startup complete"));
    for (configuration, status) in [(text.clone(), "Running"), ("nonsense {\n".to_owned(), "refused")] {
        daemon.reload(&configuration);
        assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        let ready = heard();
        assert!(ready.starts_with("READY=1\n") && ready.contains(status), "{ready}");
    }
    let inherited = fs::read(format!("/proc/{}/environ", daemon.wait_for_child("vrrp", SOON))).unwrap();
    assert!(!String::from_utf8_lossy(&inherited).contains("NOTIFY_SOCKET"));
    assert_eq!(daemon.stop(), 0);
    assert!(heard().starts_with("STOPPING=1"));
}
