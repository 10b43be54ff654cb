//! Configuration, command line and processes as an operator meets them: exit codes, messages, reload, crash, stop.

use std::time::Duration;

use agentx_tests::capture::longest_gap;
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Nic, Node};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::process::run;
use agentx_tests::wait;
use nix::sys::signal::{Signal, kill};

const FLAVOUR: Flavour = Flavour::V3;

fn alone() -> (Link, Daemon) {
    let link = Link::new();
    let daemon =
        Daemon::start(&link.nodes[0], Program::Keepwatch, &FLAVOUR.configuration(1, "MASTER", 150), Options::default());
    let master = wait::within(Duration::from_secs(10), || link.has_all(0, FLAVOUR).then_some(()));
    assert!(master.is_some(), "not master; it said:\n{}", daemon.log());
    (link, daemon)
}

/// A node with eth0 and nothing running.
fn host() -> (Lab, Node) {
    let lab = Lab::new();
    let switch = lab.switch();
    let node = lab.node("R1");
    lab.connect(&node, &switch, Nic { name: "eth0", addresses: &["10.0.0.1/24"], ..Nic::default() });
    (lab, node)
}

/// `-t` of a text: exit code and what was printed.
fn test_of(node: &Node, text: &str) -> (i32, String) {
    let file = node.directory().join("tested.conf");
    std::fs::write(&file, text).unwrap();
    let program = Program::Keepwatch.path().to_string_lossy().into_owned();
    let output = run(node.command(&[&program, "-t", "-f", &file.to_string_lossy()]));
    (
        output.status.code().unwrap_or(-1),
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
    )
}

#[test]
fn a_clean_file_tests_silently_with_status_0() {
    let (_lab, node) = host();
    assert_eq!(test_of(&node, &FLAVOUR.configuration(1, "BACKUP", 100)), (0, String::new()));
}

#[test]
fn every_mistake_is_shown_in_one_run_with_its_place_and_status_5() {
    let (_lab, node) = host();
    let text = "vrrp_instance VI_1 {\n    interface eth0\n    virtual_router_id 300\n    priority 1000\n    prioritty 7\n    \
                virtual_ipaddress {\n        10.0.0.300/24\n    }\n}\n";
    let (code, said) = test_of(&node, text);
    assert_eq!(code, 5, "{said}");
    for place in ["tested.conf:3:23", "tested.conf:4:14", "tested.conf:5:5", "tested.conf:7:9"] {
        assert!(said.contains(place), "{place} is not in:\n{said}");
    }
    assert!(said.contains("virtual_router_id 300") && said.contains('^'), "no source line with a caret in:\n{said}");
}

#[test]
fn an_unknown_interface_fails_the_test_with_status_5_and_the_start_with_status_2() {
    let (_lab, node) = host();
    let text = FLAVOUR.configuration(1, "BACKUP", 100).replace("interface eth0", "interface eth9");
    let (code, said) = test_of(&node, &text);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("eth9"), "{said}");
    let mut daemon = Daemon::start(&node, Program::Keepwatch, &text, Options::default());
    assert_eq!(daemon.process.exit_code(Duration::from_secs(10)), 2, "{}", daemon.log());
    assert!(daemon.log().lines().any(|line| line.contains("eth9")), "{}", daemon.log());
}

#[test]
fn a_missing_file_fails_the_test_and_stops_the_start_with_status_6() {
    let (_lab, node) = host();
    let program = Program::Keepwatch.path().to_string_lossy().into_owned();
    let missing = node.directory().join("missing.conf").to_string_lossy().into_owned();
    let tested = run(node.command(&[&program, "-t", "-f", &missing]));
    // Keepalived exits with 0 here, and an operator's script goes on.
    assert_eq!(tested.status.code(), Some(6), "{tested:?}");
    let daemon =
        &mut Daemon::start(&node, Program::Keepwatch, "", Options { more: &["-f", &missing], ..Options::default() });
    assert_eq!(daemon.process.exit_code(Duration::from_secs(10)), 6, "{}", daemon.log());
    assert!(daemon.log().contains("missing.conf"), "{}", daemon.log());
}

#[test]
fn without_privileges_it_says_so_and_exits_with_status_4() {
    let (_lab, node) = host();
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let directory = node.directory().join("keepwatchd");
    std::fs::create_dir_all(&directory).unwrap();
    nix::unistd::chown(&directory, Some(65534.into()), Some(65534.into())).unwrap();
    let options = Options { through: &nobody, ..Options::default() };
    let mut daemon = Daemon::start(&node, Program::Keepwatch, &FLAVOUR.configuration(1, "BACKUP", 100), options);
    assert_eq!(daemon.process.exit_code(Duration::from_secs(10)), 4, "{}", daemon.log());
    let log = daemon.log().to_lowercase();
    let told = ["permi", "privilege", "capabilit", "root"].iter().any(|word| log.contains(word));
    assert!(told, "{log}");
}

#[test]
fn a_dump_of_statistics_replaces_what_an_earlier_root_left_in_a_directory_like_tmp() {
    let (_link, daemon) = alone();
    let file = daemon.directory().join("keepalived.stats");
    std::fs::write(&file, "old").unwrap();
    daemon.process.signal(Signal::SIGUSR2);
    let replaced =
        || std::fs::read_to_string(&file).is_ok_and(|text| text.contains("VRRP Instance: VI_1")).then_some(());
    assert!(wait::within(Duration::from_secs(5), replaced).is_some(), "it said:\n{}", daemon.log());
}

#[test]
fn a_second_daemon_with_the_same_pid_file_says_so_and_exits_with_status_0() {
    let (link, first) = alone();
    let from = wait::now_ns();
    let options = Options { beside_another: true, ..Options::default() };
    let text = FLAVOUR.configuration(1, "MASTER", 150);
    let mut second = Daemon::start(&link.nodes[0], Program::Keepwatch, &text, options);
    assert_eq!(second.process.exit_code(Duration::from_secs(10)), 0, "{}", second.log());
    assert!(second.log().contains("daemon is already running"), "{}", second.log());
    never_silent(&link, from);
    drop(first);
}

/// Router 1 advertised every 0.1 s from `from` until now.
fn never_silent(link: &Link, from: u64) {
    let adverts = wait::until("adverts to judge by", Duration::from_secs(5), || {
        let mut adverts = link.witness.adverts_from(link.ports[0]);
        adverts.retain(|(at, _)| *at >= from);
        (adverts.len() >= 5).then_some(adverts)
    });
    let (gap, _) = longest_gap(&adverts).expect("adverts");
    assert!(gap < 200_000_000, "silent for {} s", wait::seconds(gap));
    assert!(adverts.iter().all(|(_, advert)| advert.priority != 0), "resigned");
}

#[test]
fn sighup_with_a_broken_file_changes_nothing_and_says_why() {
    let (link, daemon) = alone();
    let from = wait::now_ns();
    let broken = FLAVOUR
        .configuration(1, "MASTER", 150)
        .replace("priority 150", "priority 90\n priorities 91")
        .replace("virtual_router_id 51", "virtual_router_id five");
    daemon.reload(&broken);
    daemon.process.wait_for_log("priorities", Duration::from_secs(5));
    wait::observe(Duration::from_secs(1));
    never_silent(&link, from);
    let (_, last) = link.witness.adverts_from(link.ports[0]).pop().unwrap();
    assert_eq!((last.priority, last.vrid), (150, 51), "the old configuration stays in force");
    assert!(link.has_all(0, FLAVOUR));

    daemon.reload(&FLAVOUR.configuration(1, "MASTER", 140));
    link.witness.wait_for_advert("the repaired file to apply", link.ports[0], from, Duration::from_secs(5), |advert| {
        advert.priority == 140
    });
    never_silent(&link, from);
}

#[test]
fn sighup_applies_a_new_priority_and_new_addresses_without_a_pause() {
    let (link, daemon) = alone();
    let from = wait::now_ns();
    let changed = FLAVOUR.configuration(1, "MASTER", 120).replace("10.0.0.101/24", "10.0.0.102/24");
    daemon.reload(&changed);
    daemon.wait_for_address("10.0.0.102", true, Duration::from_secs(5));
    daemon.wait_for_address("10.0.0.101", false, Duration::from_secs(5));
    let listed = |advert: &agentx_tests::capture::Advert| advert.bytes.windows(4).any(|bytes| bytes == [10, 0, 0, 102]);
    let fits = |advert: &agentx_tests::capture::Advert| advert.priority == 120 && listed(advert);
    link.witness.wait_for_advert("priority and address on the wire", link.ports[0], from, Duration::from_secs(5), fits);
    never_silent(&link, from);
    let kept = link.monitors[0]
        .changes()
        .into_iter()
        .filter(|change| change.address == "10.0.0.100" && !change.added && change.at > from);
    assert_eq!(kept.count(), 0, "an address in both files was taken away for a moment");
}

#[test]
fn sighup_removes_an_instance_with_its_addresses_and_adds_another() {
    let (link, daemon) = alone();
    let from = wait::now_ns();
    let other = FLAVOUR
        .configuration(1, "MASTER", 150)
        .replace("VI_1", "VI_2")
        .replace("virtual_router_id 51", "virtual_router_id 61")
        .replace("10.0.0.10", "10.0.0.20");
    daemon.reload(&other);
    daemon.wait_for_address("10.0.0.200", true, Duration::from_secs(5));
    daemon.wait_for_address("10.0.0.100", false, Duration::from_secs(5));
    daemon.wait_for_address("10.0.0.101", false, Duration::from_secs(5));
    let resigned = |advert: &agentx_tests::capture::Advert| advert.vrid == 51 && advert.priority == 0;
    link.witness.wait_for_advert("router 51 to resign", link.ports[0], from, Duration::from_secs(5), resigned);
    let begun = |advert: &agentx_tests::capture::Advert| advert.vrid == 61 && advert.priority == 150;
    link.witness.wait_for_advert("router 61 to begin", link.ports[0], from, Duration::from_secs(5), begun);
}

#[test]
fn a_killed_vrrp_process_is_replaced_and_the_addresses_are_where_the_master_is() {
    let (link, first) = alone();
    let second =
        Daemon::start(&link.nodes[1], Program::Keepwatch, &FLAVOUR.configuration(2, "BACKUP", 100), Options::default());
    second.wait_until_it_listens();
    let before = first.wait_for_child("vrrp", Duration::from_secs(5));
    kill(before, Signal::SIGKILL).unwrap();
    let replaced = wait::within(Duration::from_secs(5), || first.child("vrrp").filter(|pid| *pid != before));
    assert!(replaced.is_some(), "no new vrrp process; it said:\n{}", first.log());
    // Whoever was faster: in the end the stronger router is master, and only it has the addresses.
    let settled = wait::within(Duration::from_secs(10), || {
        let last = link.turns().last().copied()?;
        (last.port == link.ports[0] && last.count > 5 && link.has_all(0, FLAVOUR) && link.has_none(1, FLAVOUR))
            .then_some(())
    });
    assert!(settled.is_some(), "turns {:#?}\nR1 said:\n{}\nR2 said:\n{}", link.turns(), first.log(), second.log());
}

#[test]
fn children_of_a_killed_supervisor_release_the_addresses_and_end() {
    let (link, daemon) = alone();
    let children = daemon.children();
    assert!(!children.is_empty());
    kill(daemon.process.pid(), Signal::SIGKILL).unwrap();
    let gone = wait::within(Duration::from_secs(5), || link.has_none(0, FLAVOUR).then_some(()));
    assert!(gone.is_some(), "the addresses stay; children were {children:?}; it said:\n{}", daemon.log());
    let resigned = link.witness.adverts_from(link.ports[0]).pop().map(|(_, advert)| advert.priority);
    assert_eq!(resigned, Some(0), "the last advert resigns");
    let running = |pid: &nix::unistd::Pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    };
    let ended = wait::within(Duration::from_secs(5), || (!children.iter().any(|(pid, _)| running(pid))).then_some(()));
    assert!(ended.is_some(), "still running: {children:?}");
}

#[test]
fn every_one_of_forty_reloads_in_a_row_is_applied_by_every_process() {
    let (link, daemon) = alone();
    let from = wait::now_ns();
    for priority in 101..=140 {
        daemon.reload(&FLAVOUR.configuration(1, "MASTER", priority));
        link.witness.wait_for_advert(
            &format!("priority {priority}"),
            link.ports[0],
            from,
            Duration::from_secs(5),
            |advert| advert.priority == priority,
        );
    }
    assert!(!daemon.log().contains("cannot be read"), "{}", daemon.log());
    never_silent(&link, from);
}

#[test]
fn in_the_background_the_exit_status_says_whether_it_runs_and_relative_names_are_found() {
    let (_lab, node) = host();
    let program = Program::Keepwatch.path().to_string_lossy().into_owned();
    let directory = node.directory();
    std::fs::write(directory.join("relative.conf"), FLAVOUR.configuration(1, "BACKUP", 100)).unwrap();
    let start = |file: &str| {
        let mut command = node.command(&[&program, "-G", "-f", file, "-p", "main.pid", "-r", "vrrp.pid"]);
        command.current_dir(&directory);
        run(command)
    };
    assert_eq!(start("missing.conf").status.code(), Some(6));

    let started = start("relative.conf");
    assert_eq!(started.status.code(), Some(0), "{started:?}");
    let pid_of = |file: &str| std::fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok();
    let pid = nix::unistd::Pid::from_raw(pid_of("main.pid").expect("a pid file, once it runs"));
    let stopped = || nix::sys::signal::kill(pid, None).is_err().then_some(());
    let held = wait::within(Duration::from_secs(10), || node.has("10.0.0.100").then_some(()));
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    wait::until("the daemon to stop", Duration::from_secs(15), stopped);
    assert!(held.is_some(), "it did not become master");
    assert!(!node.has("10.0.0.100"), "it kept its address");
}
