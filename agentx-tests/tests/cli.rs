//! The operators' tool against two routers: what it shows, what it moves, what it refuses, how a plugin sees it.

use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::wait;

const FLAVOUR: Flavour = Flavour::V3;
const PATIENCE: Duration = Duration::from_secs(20);

/// R1 (priority 150) is master, R2 (100) its backup.
fn pair(link: &Link) -> [Daemon; 2] {
    let start = |router: usize, state: &str, priority| {
        let file = FLAVOUR.configuration(router as u8 + 1, state, priority);
        Daemon::start(&link.nodes[router], Program::Keepwatch, &file, Options::default())
    };
    let first = start(0, "MASTER", 150);
    first.wait_for_address("10.0.0.100", true, PATIENCE);
    let second = start(1, "BACKUP", 100);
    second.wait_until_it_listens();
    second.wait_for_tool(&["vrrp"], PATIENCE, |said| said.text.contains("10.0.0.1 (150)"));
    first.wait_for_tool(&["nagios", "daemon"], PATIENCE, |said| said.status == 0);
    [first, second]
}

#[test]
fn an_operator_sees_a_pair_and_moves_its_addresses_there_and_back() {
    let link = Link::new();
    let [first, mut second] = pair(&link);

    let status = first.wait_for_tool(&["status"], PATIENCE, |said| said.status == 0);
    assert!(status.text.contains("VI_1      master"), "{status:?}");
    let vrrp = second.tool(&["vrrp"]);
    assert!(vrrp.status == 0 && vrrp.text.contains("VI_1      backup"), "{vrrp:?}");
    let full = second.tool(&["vrrp", "VI_1"]);
    assert!(full.text.contains("master     10.0.0.1, priority 150, heard"), "{full:?}");
    assert_eq!(second.tool(&["vrrp", "VI_2"]).status, 3);
    assert_eq!(second.tool_json(&["vrrp"])["instances"][0]["state"], "backup");

    let why = second.tool(&["explain", "VI_1"]);
    assert!(why.status == 0 && why.text.contains("10.0.0.1 has priority 150"), "{why:?}");
    // By one of its addresses, too.
    assert_eq!(second.tool(&["explain", "10.0.0.101"]).text.lines().next(), why.text.lines().next());

    let top = first.tool(&["top", "--once"]);
    let line = top.text.lines().find(|line| line.starts_with("VI_1")).unwrap_or_else(|| panic!("{top:?}"));
    let rate: f64 = line.split_whitespace().rev().nth(2).and_then(|rate| rate.parse().ok()).unwrap_or(0.0);
    assert!((5.0..15.0).contains(&rate), "ten adverts a second: {line}");

    let follower = second.tool_in_background("follow", &["events", "--follow"]);
    wait::until("events to follow", PATIENCE, || follower.log().contains("VI_1").then_some(()));
    let failover = first.tool(&["failover", "VI_1", "--wait"]);
    assert_eq!(failover.status, 0, "{failover:?}\n{}\n{}", first.log(), second.log());
    assert!(failover.text.contains("10.0.0.2 took over (priority 100)"), "{failover:?}");
    assert!(link.has_none(0, FLAVOUR));
    second.wait_for_address("10.0.0.100", true, PATIENCE);
    wait::until("the failover among the events", PATIENCE, || {
        follower.log().lines().any(|line| line.contains("vrrp VI_1") && line.contains("backup to master")).then_some(())
    });
    let down = first.tool(&["vrrp"]);
    assert!(down.text.contains("backup, stood down"), "{down:?}");

    let back = first.tool(&["failover", "VI_1", "--back", "--wait"]);
    assert!(back.status == 0 && back.text.contains("this router is master again"), "{back:?}\n{}", first.log());
    first.wait_for_address("10.0.0.100", true, PATIENCE);

    // With nobody else there, nobody takes over.
    assert_eq!(second.stop(), 0);
    let alone = first.tool(&["failover", "VI_1", "--wait", "--json"]);
    assert!(alone.status == 1 && alone.text.contains("\"outcome\":\"nobody\""), "{alone:?}");
    wait::until("its addresses again", PATIENCE, || link.has_all(0, FLAVOUR).then_some(()));
    assert_eq!(first.tool(&["failover", "VI_9"]).status, 3);
}

#[test]
fn a_reload_is_in_force_when_the_tool_returns_and_a_refused_one_changes_nothing() {
    let link = Link::new();
    let good = FLAVOUR.configuration(1, "MASTER", 150);
    let first = Daemon::start(&link.nodes[0], Program::Keepwatch, &good, Options::default());
    first.wait_for_address("10.0.0.100", true, PATIENCE);
    let write = |text: &str| std::fs::write(first.directory().join("keepalived.conf"), text).unwrap();
    let priority = || first.tool_json(&["vrrp", "VI_1"])["instances"][0]["priority"]["configured"].clone();

    write(&good.replace("priority 150", "priority 120"));
    let reload = first.tool(&["reload"]);
    assert!(reload.status == 0 && reload.text.contains("in force after"), "{reload:?}\n{}", first.log());
    assert_eq!(priority(), 120);

    write(&good.replace("virtual_router_id 51", "virtual_router_id 300"));
    let reload = first.tool(&["reload"]);
    assert_eq!(reload.status, 1, "{reload:?}\n{}", first.log());
    assert!(reload.text.contains("300") && reload.text.contains("keepalived.conf:"), "{reload:?}");
    assert_eq!(priority(), 120, "what was in force is in force");
    let status = first.tool(&["status"]);
    assert!(status.status == 1 && status.text.contains("was refused"), "{status:?}");
    assert_eq!(first.tool(&["nagios", "daemon"]).status, 1, "WARNING");

    write(&good);
    assert_eq!(first.tool(&["reload"]).status, 0);
    assert_eq!(first.tool(&["nagios", "daemon"]).status, 0);
    assert_eq!(priority(), 150);
}

#[test]
fn a_plugin_tells_good_from_bad_states_by_its_exit_status() {
    let link = Link::new();
    let [mut first, second] = pair(&link);
    let ask = |daemon: &Daemon, words: &[&str]| daemon.tool(&[&["nagios"], words].concat());

    let good = ask(&first, &["instance", "VI_1", "--expect", "master"]);
    assert!(good.status == 0 && good.text.starts_with("KEEPWATCH OK - VI_1 is MASTER"), "{good:?}");
    assert!(good.text.contains(" | state=2;;;0;3 priority=150;;;0;255 "), "{good:?}");
    assert_eq!(ask(&second, &["instance", "VI_1", "--expect", "backup"]).status, 0);
    assert_eq!(ask(&second, &["instance", "VI_1", "--expect", "master"]).status, 2);
    assert_eq!(ask(&second, &["instance"]).status, 0);
    assert_eq!(ask(&second, &["instance", "VI_2"]).status, 3);
    assert_eq!(ask(&second, &["servers"]).status, 0, "there are none");

    // In fault, and a pair that lost its better half.
    link.lab.unplug(link.ports[0]);
    let fault = first.wait_for_tool(&["nagios", "instance", "VI_1"], PATIENCE, |said| said.status == 2);
    assert!(fault.text.contains("FAULT") && fault.text.contains("eth0"), "{fault:?}");
    second.wait_for_tool(&["nagios", "instance", "VI_1", "--expect", "master"], PATIENCE, |said| said.status == 0);

    assert_eq!(first.stop(), 0);
    let gone = ask(&first, &["instance", "VI_1"]);
    assert!(gone.status == 3 && gone.text.starts_with("KEEPWATCH UNKNOWN"), "{gone:?}");
    assert_eq!(first.tool(&["status"]).status, 5);
}

#[test]
fn the_doctor_finds_what_is_wrong_on_a_host() {
    let link = Link::new();
    let node = &link.nodes[0];
    let file = FLAVOUR.configuration(1, "MASTER", 150);
    let first = Daemon::start(node, Program::Keepwatch, &file, Options::default());
    first.wait_for_address("10.0.0.100", true, PATIENCE);
    node.sysctl("net/ipv4/ip_forward", "0");
    let state = first.directory().join("state");
    let words = ["doctor", "--state-dir", state.to_str().unwrap()];
    let findings = |verdict: &str| -> Vec<String> {
        let told = first.tool_json(&words);
        let all = told["findings"].as_array().unwrap_or_else(|| panic!("{told:#}"));
        let which = all.iter().filter(|finding| finding["verdict"] == verdict);
        which
            .map(|finding| format!("{}: {}", finding["area"].as_str().unwrap(), finding["text"].as_str().unwrap()))
            .collect()
    };
    wait::until("the daemon's processes to be told", PATIENCE, || {
        let good = findings("ok");
        good.iter().any(|text| text.starts_with("capabilities: the vrrp process has")).then_some(())
    });
    assert_eq!(findings("problem"), Vec::<String>::new());
    assert!(findings("note").iter().any(|text| text.contains("net.ipv4.ip_forward is 0")), "{:#?}", findings("note"));
    assert_eq!(first.tool(&words).status, 0);

    // An address that somebody takes away comes back, or is told; Keepalived beside us is told.
    let other = "vrrp_instance OTHER {\n interface eth0\n virtual_router_id 99\n priority 10\n virtual_ipaddress {\n 10.0.0.200/24\n }\n}\n";
    let _keepalived = Daemon::start(node, Program::Keepalived, other, Options::default());
    wait::until("Keepalived to be found", PATIENCE, || {
        findings("problem").iter().any(|text| text.contains("Keepalived runs here, too")).then_some(())
    });
    let said = first.tool(&words);
    assert!(said.status == 1 && said.text.contains("PROBLEM  keepalived"), "{said:?}");
}
