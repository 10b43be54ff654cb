//! Routes and rules on the host, as `ip` shows them: they move with the addresses, come back when somebody removes them,
//! and leave with the daemon; Debian's keepalived is the peer.

use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Nic, Node};
use agentx_tests::pair::Link;
use agentx_tests::wait;
use nix::sys::signal::{Signal, kill};

const PATIENCE: Duration = Duration::from_secs(15);

/// A router with two routes and a rule that move, and one of each that stay.
fn configuration(priority: u8, more: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority {priority}\n \
         virtual_ipaddress {{\n 10.0.0.100/24\n }}\n \
         virtual_routes {{\n src 10.0.0.100 10.20.0.0/24 via 10.0.0.254 dev eth0\n 10.21.0.0/24 dev eth0 table 100\n \
         {more} }}\n virtual_rules {{\n from 10.20.0.0/24 table 100 preference 500\n }}\n}}\n\
         static_routes {{\n 10.30.0.0/24 via 10.0.0.254 dev eth0\n}}\n\
         static_rules {{\n from 10.30.0.0/24 table 101 preference 600\n}}\n"
    )
}

/// Our routes and rules, sorted; `proto` and what `ip` says of links is left out.
fn lines(node: &Node) -> Vec<String> {
    let routes = node.ip(&["-4", "route", "show", "table", "all", "proto", "keepalived"]);
    let six = node.ip(&["-6", "route", "show", "table", "all", "proto", "keepalived"]);
    let rules = node.ip(&["rule", "show"]);
    let rules = rules.lines().filter(|line| line.contains("keepalived")).collect::<Vec<_>>().join("\n");
    let mut all: Vec<String> = [routes, six, rules]
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| line.replace(" proto keepalived", "").split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    all.sort();
    all
}

const STATIC: [&str; 2] = ["10.30.0.0/24 via 10.0.0.254 dev eth0", "600: from 10.30.0.0/24 lookup 101"];
const VIRTUAL: [&str; 3] = [
    "10.20.0.0/24 via 10.0.0.254 dev eth0 src 10.0.0.100",
    "10.21.0.0/24 dev eth0 table 100",
    "500: from 10.20.0.0/24 lookup 100",
];

fn all() -> Vec<String> {
    let mut all: Vec<String> = STATIC.iter().chain(&VIRTUAL).map(|line| (*line).to_owned()).collect();
    all.sort();
    all
}

fn statics() -> Vec<String> {
    let mut all: Vec<String> = STATIC.iter().map(|line| (*line).to_owned()).collect();
    all.sort();
    all
}

#[track_caller]
fn wait_for(node: &Node, wanted: &[String], daemon: &Daemon) {
    let there = wait::within(PATIENCE, || (lines(node) == wanted).then_some(()));
    assert!(there.is_some(), "{:#?}\nare there, and not\n{wanted:#?}; the log:\n{}", lines(node), daemon.log());
}

fn start(node: &Node, program: Program, text: &str) -> Daemon {
    Daemon::start(node, program, text, Options::default())
}

#[test]
fn routes_and_rules_move_with_the_addresses_between_keepwatch_and_keepalived() {
    let link = Link::new();
    let [r1, r2] = &link.nodes;
    let mut first = start(r1, Program::Keepwatch, &configuration(150, ""));
    wait_for(r1, &all(), &first);
    let mut second = start(r2, Program::Keepalived, &configuration(100, ""));
    wait_for(r2, &statics(), &second);
    assert_eq!(first.stop(), 0);
    wait_for(r2, &all(), &second);
    assert_eq!(lines(r1), [] as [&str; 0], "everything goes with the daemon");
    let mut first = start(r1, Program::Keepwatch, &configuration(150, ""));
    wait_for(r2, &statics(), &second);
    wait_for(r1, &all(), &first);
    assert_eq!(second.stop(), 0);
    assert_eq!(first.stop(), 0);
}

#[test]
fn what_somebody_removes_comes_back_and_the_router_stays_master() {
    let link = Link::new();
    let [r1, _] = &link.nodes;
    let mut daemon = start(r1, Program::Keepwatch, &configuration(150, "10.22.0.0/24 dev eth0 no_track\n"));
    let mut with_untracked = all();
    with_untracked.push("10.22.0.0/24 dev eth0".to_owned());
    with_untracked.sort();
    wait_for(r1, &with_untracked, &daemon);
    r1.ip(&["route", "del", "10.22.0.0/24"]);
    for removed in [
        &["route", "del", "10.20.0.0/24"][..],
        &["route", "del", "10.21.0.0/24", "table", "100"],
        &["rule", "del", "preference", "500"],
        &["route", "del", "10.30.0.0/24"],
        &["rule", "del", "preference", "600"],
    ] {
        r1.ip(removed);
        wait_for(r1, &all(), &daemon);
    }
    // The kernel takes a route away with the address that it prefers, and says nothing.
    r1.ip(&["address", "del", "10.0.0.100/24", "dev", "eth0"]);
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    wait_for(r1, &all(), &daemon);
    let log = daemon.log();
    assert_eq!(log.matches("Entering MASTER STATE").count(), 1, "{log}");
    assert!(
        log.contains("route 10.20.0.0/24 via 10.0.0.254 dev eth0 was removed by somebody else and is back"),
        "{log}"
    );
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_reload_changes_what_differs_and_touches_nothing_else() {
    let link = Link::new();
    let [r1, _] = &link.nodes;
    let mut daemon = start(r1, Program::Keepwatch, &configuration(150, "10.22.0.0/24 dev eth0\n"));
    let with = |more: &str| {
        let mut lines = all();
        lines.push(more.to_owned());
        lines.sort();
        lines
    };
    wait_for(r1, &with("10.22.0.0/24 dev eth0"), &daemon);
    let changes = r1.spawn("monitor", r1.command(&["ip", "monitor", "route", "rule"]));
    // Something that the monitor sees for certain: it listens.
    wait::until("the monitor listens", PATIENCE, || {
        r1.ip(&["route", "add", "10.99.0.0/24", "dev", "eth0"]);
        r1.ip(&["route", "del", "10.99.0.0/24", "dev", "eth0"]);
        changes.log().contains("10.99.0.0/24").then_some(())
    });
    daemon.reload(&configuration(150, "10.23.0.0/24 dev eth0 metric 7\n"));
    wait_for(r1, &with("10.23.0.0/24 dev eth0 metric 7"), &daemon);
    let log = changes.log();
    let about: Vec<&str> = log.lines().filter(|line| line.contains("keepalived")).collect();
    assert_eq!(about.len(), 2, "{about:#?}");
    daemon.reload(&configuration(150, ""));
    wait_for(r1, &all(), &daemon);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_vrrp_process_that_was_killed_leaves_nothing_to_a_backup() {
    let link = Link::new();
    let [r1, r2] = &link.nodes;
    let mut first = start(r1, Program::Keepwatch, &configuration(150, ""));
    wait_for(r1, &all(), &first);
    let mut second = start(r2, Program::Keepwatch, &configuration(200, ""));
    wait_for(r1, &statics(), &first);
    second.kill();
    wait_for(r1, &all(), &first);
    kill(first.wait_for_child("vrrp", PATIENCE), Signal::SIGKILL).unwrap();
    // It comes back as a backup without the routes of its predecessor, and takes them when it is master.
    wait_for(r1, &statics(), &first);
    wait_for(r1, &all(), &first);
    assert_eq!(first.stop(), 0);
    assert_eq!(lines(r1), [] as [&str; 0]);
}

#[test]
fn an_interface_that_a_route_leads_through_is_needed() {
    let link = Link::new();
    let [r1, _] = &link.nodes;
    let other = link.lab.switch();
    let port = link.lab.connect(r1, &other, Nic { name: "eth1", addresses: &["10.8.0.1/24"], ..Nic::default() });
    let text = configuration(150, "10.22.0.0/24 via 10.8.0.254 dev eth1\n 2001:db8:9::/48 dev eth1\n");
    let mut daemon = start(r1, Program::Keepwatch, &text);
    let mut wanted = all();
    wanted.push("10.22.0.0/24 via 10.8.0.254 dev eth1".to_owned());
    wanted.push("2001:db8:9::/48 dev eth1 metric 1024 pref medium".to_owned());
    wanted.sort();
    wait_for(r1, &wanted, &daemon);
    r1.ip(&["link", "set", "eth1", "down"]);
    wait_for(r1, &statics(), &daemon);
    assert!(daemon.log().contains("Entering FAULT STATE"));
    r1.ip(&["link", "set", "eth1", "up"]);
    wait_for(r1, &wanted, &daemon);
    link.lab.unplug(port);
    wait_for(r1, &statics(), &daemon);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn instances_of_a_track_group_follow_static_lines() {
    let link = Link::new();
    let [r1, _] = &link.nodes;
    let other = link.lab.switch();
    link.lab.connect(r1, &other, Nic { name: "eth1", addresses: &["10.8.0.1/24"], ..Nic::default() });
    let text = "track_group G {\n group {\n VI_1\n }\n}\n\
                static_routes {\n 10.31.0.0/24 via 10.8.0.254 dev eth1 track_group G\n}\n\
                vrrp_instance VI_1 {\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority 150\n \
                virtual_ipaddress {\n 10.0.0.100/24\n }\n}\n";
    let mut daemon = start(r1, Program::Keepwatch, text);
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    assert_eq!(lines(r1), ["10.31.0.0/24 via 10.8.0.254 dev eth1"]);
    // Its gateway cannot be reached any more, so that it cannot be put back.
    r1.ip(&["address", "add", "10.7.0.1/24", "dev", "eth1"]);
    r1.ip(&["address", "del", "10.8.0.1/24", "dev", "eth1"]);
    r1.ip(&["route", "del", "10.31.0.0/24"]);
    daemon.wait_for_address("10.0.0.100", false, PATIENCE);
    r1.ip(&["address", "add", "10.8.0.1/24", "dev", "eth1"]);
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    assert_eq!(lines(r1), ["10.31.0.0/24 via 10.8.0.254 dev eth1"]);
    r1.ip(&["link", "set", "eth1", "down"]);
    daemon.wait_for_address("10.0.0.100", false, PATIENCE);
    assert_eq!(daemon.stop(), 0);
}
