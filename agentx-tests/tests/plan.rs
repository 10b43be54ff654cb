//! `keepwatch reload --plan` and `--safe` on a running router: what is told before it happens, what is refused, what is left
//! alone, and what is taken back when the kernel does not take it.

use std::time::Duration;

use agentx_tests::capture::Content;
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::Link;
use agentx_tests::wait;

const PATIENCE: Duration = Duration::from_secs(20);

/// Two instances on eth0, at 10 adverts a second; `more` is in the first one.
fn configuration(priority: u8, addresses: &str, more: &str) -> String {
    let instance = |name: &str, vrid: u8, priority: u8, addresses: &str, more: &str| {
        format!(
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n priority {priority}\n version 3\n advert_int \
             0.1\n {more}\n virtual_ipaddress {{\n {addresses}\n }}\n}}\n"
        )
    };
    instance("VI_1", 51, priority, addresses, more) + &instance("VI_2", 52, 100, "10.0.0.102/24", "")
}

const ADDRESSES: &str = "10.0.0.100/24\n 10.0.0.101/24";

fn masters(link: &Link) -> Daemon {
    let text = configuration(150, ADDRESSES, "");
    let daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, &text, Options::default());
    daemon.wait_for_address("10.0.0.101", true, PATIENCE);
    daemon.wait_for_address("10.0.0.102", true, PATIENCE);
    daemon.process.wait_for_log("Startup complete", PATIENCE);
    daemon
}

fn write(daemon: &Daemon, text: &str) {
    std::fs::write(daemon.directory().join("keepalived.conf"), text).unwrap();
}

fn priority(daemon: &Daemon) -> serde_json::Value {
    daemon.tool_json(&["vrrp", "VI_1"])["instances"][0]["priority"]["configured"].clone()
}

#[test]
fn a_plan_says_what_a_reload_would_do_and_a_safe_one_drops_no_mastership() {
    let link = Link::new();
    let daemon = masters(&link);

    let plan = daemon.tool(&["reload", "--plan"]);
    assert!(plan.status == 0 && plan.text.contains("nothing would change"), "{plan:?}\n{}", daemon.log());

    write(&daemon, &configuration(120, "10.0.0.100/24", ""));
    let plan = daemon.tool(&["reload", "--plan"]);
    assert_eq!(plan.status, 1, "{plan:?}\n{}", daemon.log());
    for text in [
        "VI_1: priority 150 → 120, virtual_ipaddress 10.0.0.101/24 dev eth0 removed\n",
        "consequences:\n",
        "  VI_1: priority 150 → 120, a peer with a higher one takes over, as this router is MASTER now\n",
        "  address 10.0.0.101/24 dev eth0 of VI_1 leaves this host\n",
    ] {
        assert!(plan.text.contains(text), "`{text}` is not in\n{}", plan.text);
    }
    assert!(!plan.text.contains("VI_2"), "what does not change is not told: {}", plan.text);
    let document = daemon.tool_json(&["reload", "--plan"]);
    assert_eq!(document["changes"][0]["values"][0]["directive"], "priority", "{document}");
    assert_eq!(document["changes"][0]["values"][0]["new"], "120", "{document}");
    assert_eq!((&document["safe"], document["consequences"].as_array().unwrap().len()), (&false.into(), 2));
    let refused = daemon.tool(&["reload", "--safe"]);
    assert!(refused.status == 4 && refused.text.contains("refused, as it has consequences"), "{refused:?}");
    assert_eq!(priority(&daemon), 150);
    assert!(daemon.node().has("10.0.0.101"));

    write(&daemon, &configuration(150, ADDRESSES, "no_such_word"));
    for words in [["reload", "--plan"], ["reload", "--safe"]] {
        let refused = daemon.tool(&words);
        assert!(refused.status == 1 && refused.text.contains("no_such_word"), "{refused:?}");
    }

    write(&daemon, &configuration(200, ADDRESSES, ""));
    let done = daemon.tool(&["reload", "--safe"]);
    assert!(done.status == 0 && done.text.contains("in force after"), "{done:?}\n{}", daemon.log());
    assert_eq!(priority(&daemon), 200);

    // An ordinary one asks nobody, and the log has the plan.
    daemon.reload(&configuration(120, ADDRESSES, ""));
    daemon.process.wait_for_log("VI_1: priority 200 → 120, no address changes", PATIENCE);
    wait::until("the new priority", PATIENCE, || (priority(&daemon) == 120).then_some(()));
}

#[test]
fn what_a_reload_does_not_change_goes_on_without_a_word_to_anybody() {
    let link = Link::new();
    let daemon = masters(&link);
    // The second announcements of a new master come 5 s after the first.
    wait::observe(Duration::from_secs(6));
    let before = daemon.statistics();
    let from = wait::now_ns();
    daemon.reload(&configuration(120, ADDRESSES, ""));
    daemon.process.wait_for_log("Reload complete", PATIENCE);
    let port = link.ports[0];
    link.witness.wait_for_advert("an advert with the new priority", port, from, PATIENCE, |it| it.priority == 120);
    wait::observe(Duration::from_secs(1));

    let frames: Vec<_> = link.witness.frames().into_iter().filter(|it| it.port == port && it.at > from).collect();
    let arps =
        frames.iter().filter(|it| matches!(&it.content, Content::Arp { sender, target, .. } if sender == target));
    assert_eq!(arps.count(), 0, "nobody is told anew of addresses that stay");
    assert!(link.witness.adverts_from(port).iter().all(|(_, advert)| advert.priority != 0), "nobody resigned");
    let after = daemon.statistics();
    for name in ["VI_1", "VI_2"] {
        for (counter, value) in &before[name] {
            assert!(after[name][counter] >= *value, "{name}: {counter} went down");
            if counter.contains("aster") || counter.contains("Priority Zero") {
                assert_eq!(after[name][counter], *value, "{name}: {counter}");
            }
        }
    }
}

#[test]
fn a_reload_that_the_kernel_does_not_take_is_taken_back_everywhere() {
    let link = Link::new();
    let daemon = masters(&link);
    link.nodes[0].sysctl("net/ipv6/conf/eth0/disable_ipv6", "1");
    let more = "virtual_ipaddress_excluded {\n 10.0.0.109/24\n fd00:1::109/64\n }";
    write(&daemon, &configuration(120, ADDRESSES, more));
    let refused = daemon.tool(&["reload"]);
    assert_eq!(refused.status, 1, "{refused:?}\n{}", daemon.log());
    assert!(refused.text.contains("the kernel refuses address fd00:1::109/64 dev eth0"), "{refused:?}");
    // All of it is taken back.
    wait::until("the old priority", PATIENCE, || (priority(&daemon) == 150).then_some(()));
    daemon.wait_for_address("10.0.0.109", false, PATIENCE);
    daemon.process.wait_for_log("The configuration before is in force again", PATIENCE);
    let spans = link.monitors[0].spans("10.0.0.109");
    assert!(matches!(spans[..], [(_, Some(_))]), "it was there, and is taken away: {spans:?}");
    assert!(daemon.node().has("10.0.0.100") && daemon.node().has("10.0.0.102"));
    assert!(link.witness.adverts_from(link.ports[0]).iter().all(|(_, advert)| advert.priority != 0));

    write(&daemon, &configuration(120, ADDRESSES, ""));
    assert_eq!(daemon.tool(&["reload"]).status, 0);
    assert_eq!(priority(&daemon), 120);
}

#[test]
fn a_route_a_rule_or_an_interface_that_the_kernel_does_not_take_takes_a_reload_back_as_well() {
    let link = Link::new();
    let daemon = masters(&link);
    let node = daemon.node();
    node.ip(&["link", "add", "vrrp.60", "type", "veth", "peer", "name", "other"]);
    let route = |via: &str| format!("virtual_routes {{\n 10.50.0.0/24 via {via} dev eth0\n }}");
    let foreign = configuration(120, ADDRESSES, "")
        + "vrrp_instance VI_3 {\n interface eth0\n virtual_router_id 60\n use_vmac vrrp.60\n virtual_ipaddress {\n \
           10.0.0.160/24\n }\n}\n";
    // Bits of congestion are no part of what a rule may look at, which only the kernel knows.
    let rule = "virtual_rules {\n from 10.51.0.0/24 tos 0x03 table 100 preference 500\n }";
    for (text, why) in [
        (configuration(120, ADDRESSES, &route("192.0.2.254")), "the kernel refuses route 10.50.0.0/24"),
        (configuration(120, ADDRESSES, rule), "the kernel refuses rule"),
        (foreign, "the kernel refuses the interface vrrp.60"),
    ] {
        write(&daemon, &text);
        let refused = daemon.tool(&["reload"]);
        assert!(refused.status == 1 && refused.text.contains(why), "{refused:?}\n{}", daemon.log());
        wait::until("the old priority", PATIENCE, || (priority(&daemon) == 150).then_some(()));
    }
    assert!(!node.ip(&["route", "show"]).contains("10.50.0.0/24"));
    assert!(link.witness.adverts_from(link.ports[0]).iter().all(|(_, advert)| advert.priority != 0), "nobody resigned");

    // What it takes is there when the reload is over.
    write(&daemon, &configuration(120, ADDRESSES, &route("10.0.0.254")));
    let done = daemon.tool(&["reload"]);
    assert_eq!(done.status, 0, "{done:?}\n{}", daemon.log());
    assert!(node.ip(&["route", "show"]).contains("10.50.0.0/24 via 10.0.0.254"));
}
