//! `keepwatch explain` names the cause in situations that are prepared for real: what it must say is what the library's
//! own list of situations says, where they are prepared on made-up rows.

use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::wait;
use agentx_tests::web::Web;
use keepwatch::report::explain::situations::SITUATIONS;
use serde_json::Value;

const FLAVOUR: Flavour = Flavour::V3;
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `what` is explained as the situation of this name asks for.
#[track_caller]
fn is_explained(daemon: &Daemon, what: &str, situation: &str) {
    let wanted = SITUATIONS.iter().find(|known| known.name == situation).unwrap_or_else(|| panic!("{situation}?"));
    let mut last = Value::Null;
    let explained = wait::within(PATIENCE, || {
        let said = daemon.tool(&["explain", what, "--json"]);
        last = serde_json::from_str(&said.text).unwrap_or(Value::String(said.text));
        let because = last["because"].as_str().unwrap_or_default();
        (last["state"] == wanted.state && wanted.says.iter().all(|words| because.contains(words))).then_some(())
    });
    assert!(explained.is_some(), "{situation}: {wanted:#?}\n{last:#}\nthe daemon said:\n{}", daemon.log());
}

fn start(link: &Link, router: usize, configuration: &str) -> Daemon {
    Daemon::start(&link.nodes[router], Program::Keepwatch, configuration, Options::default())
}

fn configuration(router: usize, priority: u8, more: &str) -> String {
    let number = u8::try_from(router + 1).unwrap();
    let state = if priority == 255 { "MASTER" } else { "BACKUP" };
    let text = FLAVOUR.configuration(number, state, priority);
    text.replace("virtual_router_id 51", &format!("virtual_router_id 51\n {more}"))
}

#[test]
fn elections_are_explained() {
    let link = Link::new();
    let first = start(&link, 0, &configuration(0, 150, ""));
    first.wait_for_address("10.0.0.100", true, PATIENCE);
    let mut second = start(&link, 1, &configuration(1, 100, ""));
    is_explained(&second, "VI_1", "better-master-heard");
    for (priority, more, situation) in
        [(150, "", "equal-master-heard"), (200, "nopreempt", "nopreempt"), (200, "preempt_delay 600", "preempt-delay")]
    {
        assert_eq!(second.stop(), 0);
        second = start(&link, 1, &configuration(1, priority, more));
        is_explained(&second, "VI_1", situation);
    }
    // And those that end with another master.
    assert_eq!(second.stop(), 0);
    let mut second = start(&link, 1, &configuration(1, 200, ""));
    is_explained(&second, "VI_1", "weaker-preempted");
    is_explained(&first, "VI_1", "better-master-heard");
    assert_eq!(second.stop(), 0);
    is_explained(&first, "VI_1", "master-resigned");
    let mut second = start(&link, 1, &configuration(1, 200, ""));
    is_explained(&first, "VI_1", "better-master-heard");
    second.kill();
    is_explained(&first, "VI_1", "master-fell-silent");
    let mut owner = start(&link, 1, &configuration(1, 255, ""));
    is_explained(&owner, "VI_1", "owner");
    assert_eq!(owner.stop(), 0);
}

#[test]
fn an_operators_word_and_a_tracker_are_explained() {
    let link = Link::new();
    let first = start(&link, 0, &configuration(0, 150, ""));
    first.wait_for_address("10.0.0.100", true, PATIENCE);
    // With less than the master's, and more without what is taken from it.
    link.nodes[1].ip(&["link", "add", "side0", "type", "veth", "peer", "name", "side1"]);
    link.nodes[1].ip(&["link", "set", "side1", "up"]);
    let second = start(&link, 1, &configuration(1, 200, "track_interface {\n side0 weight -100\n }"));
    is_explained(&second, "VI_1", "priority-lowered");
    link.nodes[1].ip(&["link", "set", "side0", "up"]);
    is_explained(&second, "VI_1", "weaker-preempted");
    assert_eq!(second.tool(&["failover", "VI_1", "--wait"]).status, 0);
    is_explained(&second, "VI_1", "stood-down");
}

#[test]
fn faults_are_explained() {
    let link = Link::new();
    let node = &link.nodes[0];
    node.ip(&["link", "add", "side0", "type", "veth", "peer", "name", "side1"]);
    node.ip(&["link", "set", "side1", "up"]);
    node.ip(&["link", "set", "side0", "up"]);
    let first = start(&link, 0, &configuration(0, 150, "track_interface {\n side0\n }"));
    first.wait_for_address("10.0.0.100", true, PATIENCE);
    node.ip(&["link", "set", "side0", "down"]);
    is_explained(&first, "VI_1", "tracked-interface-down");
    node.ip(&["link", "set", "side0", "up"]);
    first.wait_for_address("10.0.0.100", true, PATIENCE);
    link.lab.unplug(link.ports[0]);
    is_explained(&first, "VI_1", "interface-down");
    link.lab.plug(link.ports[0]);
    first.wait_for_address("10.0.0.100", true, PATIENCE);
}

#[test]
fn what_trackers_and_lost_routes_do_is_explained() {
    let link = Link::new();
    let node = &link.nodes[0];
    node.ip(&["link", "add", "side0", "type", "veth", "peer", "name", "side1"]);
    node.ip(&["link", "set", "side1", "up"]);
    node.ip(&["link", "set", "side0", "up"]);
    let (file, flag) = (node.directory().join("number"), node.directory().join("flag"));
    std::fs::write(&file, "0\n").unwrap();
    std::fs::write(&flag, "").unwrap();
    let trackers = format!(
        "track_file F1 {{\n file {}\n weight 0\n}}\nvrrp_script S1 {{\n script \"/usr/bin/test -e {}\"\n interval 1\n}}\n\
         vrrp_track_process P1 {{\n process no-such-program\n quorum_max 0\n}}\n\
         bfd_instance B1 {{\n neighbor_ip 10.0.0.77\n}}\n\
         track_group G1 {{\n group {{\n VI_1\n }}\n}}\n\
         static_routes {{\n 10.30.0.0/24 dev side0 track_group G1\n}}\n",
        file.display(),
        flag.display()
    );
    let router = |tracks: &str| {
        let global = "global_defs {\n script_user root";
        let text = configuration(0, 150, tracks).replacen("global_defs {", global, 1);
        format!("{text}{trackers}")
    };
    let all = "track_file {\n F1\n }\n track_script {\n S1\n }\n track_process {\n P1\n }";
    let first = start(&link, 0, &router(all));
    first.wait_for_address("10.0.0.100", true, PATIENCE);
    std::fs::write(&file, "3\n").unwrap();
    is_explained(&first, "VI_1", "file-forbids");
    std::fs::write(&file, "0\n").unwrap();
    first.wait_for_address("10.0.0.100", true, PATIENCE);
    std::fs::remove_file(&flag).unwrap();
    is_explained(&first, "VI_1", "script-fails");
    std::fs::write(&flag, "").unwrap();
    first.wait_for_address("10.0.0.100", true, PATIENCE);
    node.ip(&["link", "set", "side0", "down"]);
    is_explained(&first, "VI_1", "group-interface-down");
    node.ip(&["link", "set", "side0", "up"]);
    first.wait_for_address("10.0.0.100", true, PATIENCE);
    // Nobody is there at the other end.
    first.reload(&router("track_bfd {\n B1\n }"));
    is_explained(&first, "VI_1", "session-down");
    let session = first.tool_json(&["explain", "B1"]);
    let because = session["because"].as_str().unwrap_or_default();
    assert!(because.contains("nothing was heard of 10.0.0.77 yet"), "{session:#}");
}

#[test]
fn a_real_server_that_is_down_is_explained_also_where_there_is_no_ipvs() {
    let link = Link::new();
    let node = &link.nodes[0];
    node.ip(&["address", "add", "10.0.0.9/32", "dev", "lo"]);
    let server = |port: u16, path: &str| {
        format!(
            "real_server 10.0.0.9 {port} {{\n HTTP_GET {{\n url {{\n path {path}\n status_code 200\n }}\n retry 0\n connect_timeout 2\n }}\n }}\n"
        )
    };
    let configuration = format!(
        "virtual_server 10.0.0.100 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n {}{}}}\n",
        server(8080, "/status/503"),
        server(8081, "/")
    );
    let _web = Web::start(node, "10.0.0.9:8080".parse().unwrap(), "unwell");
    let first = start(&link, 0, &configuration);
    is_explained(&first, "10.0.0.9:8080", "http-status");
    is_explained(&first, "10.0.0.9:8081", "connection-refused");
    let checks = first.wait_for_tool(&["checks", "--failed"], PATIENCE, |said| said.text.contains("HTTP status 503"));
    assert_eq!(checks.status, 1);
}
