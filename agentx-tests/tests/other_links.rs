//! `use_ipvlan` and VRFs, on Debian's kernel: in a virtual machine where this one lacks them (see [`vm`]).

use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Nic, Node};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::process::run;
use agentx_tests::{vm, wait};

const PATIENCE: Duration = Duration::from_secs(30);
/// An emulated processor is slow: nothing here is about milliseconds.
const SLOWLY: Flavour = Flavour { interval: Duration::from_secs(1), ..Flavour::V3 };

fn client(link: &Link) -> Node {
    let client = link.lab.node("client");
    let addresses = ["10.0.0.9/24", "fd00:1::9/64"];
    link.lab.connect(&client, &link.switch, Nic { name: "eth0", addresses: &addresses, ..Nic::default() });
    client
}

fn pings(client: &Node, address: &str) -> bool {
    let answered = || run(client.command(&["ping", "-c", "1", "-W", "1", address])).status.success();
    wait::within(PATIENCE, || answered().then_some(())).is_some()
}

fn has_link(node: &Node, name: &str) -> bool {
    run(node.command(&["ip", "link", "show", name])).status.success()
}

fn there(node: &Node, line: &str) -> bool {
    wait::within(PATIENCE, || node.addresses().contains(&line.to_owned()).then_some(())).is_some()
}

#[test]
fn an_ipvlan_has_the_mode_and_the_name_of_its_line_and_a_reload_makes_it_anew() {
    vm::scenario(|| {
        let link = Link::new();
        let node = &link.nodes[0];
        let with = |line: &str| {
            SLOWLY.configuration(1, "MASTER", 150).replace("interface eth0", &format!("interface eth0\n {line}"))
        };
        let daemon =
            Daemon::start(node, Program::Keepwatch, &with("use_ipvlan mine 10.0.0.51/24 private"), Options::default());
        assert!(there(node, "eth0 10.0.0.100/24"), "{:?}\n{}", node.addresses(), daemon.log());
        assert!(there(node, "mine 10.0.0.51/24"), "{:?}", node.addresses());
        let kind = node.ip(&["-d", "link", "show", "mine"]);
        assert!(kind.contains("ipvlan  mode l2 private"), "{kind}");
        daemon.reload(&with("use_ipvlan mine 10.0.0.61/24 vepa"));
        let changed = || node.ip(&["-d", "link", "show", "mine"]).contains("ipvlan  mode l2 vepa").then_some(());
        assert!(wait::within(PATIENCE, changed).is_some(), "{}", daemon.log());
        assert!(there(node, "mine 10.0.0.61/24"), "{:?}\n{}", node.addresses(), daemon.log());
        assert!(there(node, "eth0 10.0.0.100/24"), "{:?}\n{}", node.addresses(), daemon.log());
    });
}

#[test]
fn what_a_killed_daemon_left_of_ipvlans_is_taken_over_or_removed() {
    vm::scenario(|| {
        let link = Link::new();
        let node = &link.nodes[0];
        let plain = SLOWLY.configuration(1, "MASTER", 150);
        let configuration = plain.replace("interface eth0", "interface eth0\n use_ipvlan 10.0.0.51/24");
        let index = || node.ip(&["-o", "link", "show", "vrrp.51"]).split(':').next().map(str::to_owned);
        let mut daemon = Daemon::start(node, Program::Keepwatch, &configuration, Options::default());
        assert!(there(node, "eth0 10.0.0.100/24"), "{}", daemon.log());
        let before = index();
        daemon.kill();
        let mut daemon = Daemon::start(node, Program::Keepwatch, &configuration, Options::default());
        daemon.wait_until_it_listens();
        assert!(there(node, "vrrp.51 10.0.0.51/24"), "{}", daemon.log());
        assert_eq!(index(), before, "the same one");
        daemon.kill();
        let daemon = Daemon::start(node, Program::Keepwatch, &plain, Options::default());
        let gone = wait::within(PATIENCE, || (!has_link(node, "vrrp.51")).then_some(()));
        assert!(gone.is_some(), "{}", daemon.log());
        assert!(there(node, "eth0 10.0.0.100/24"), "{}", daemon.log());
    });
}

/// Puts eth0 into a VRF `blue` with a table of its own.
fn into_vrf(node: &Node) {
    node.ip(&["link", "add", "blue", "type", "vrf", "table", "10"]);
    node.ip(&["link", "set", "blue", "up"]);
    node.ip(&["link", "set", "eth0", "master", "blue"]);
}

#[test]
fn a_unicast_pair_in_a_vrf_fails_over() {
    vm::scenario(|| {
        vrfs_fail_over();
    });
}

/// A unicast instance without an interface speaks in a VRF.
fn vrfs_fail_over() {
    let link = Link::new();
    let client = client(&link);
    link.nodes.iter().for_each(into_vrf);
    let configuration = |number: u8, state: &str, priority| {
        let flavour = Flavour { unicast: true, ..SLOWLY };
        let text = flavour.configuration(number, state, priority).replace("interface eth0", "vrf blue");
        text.replace("10.0.0.100/24", "10.0.0.100/24 dev eth0").replace("10.0.0.101/24", "10.0.0.101/24 dev eth0")
    };
    let [one, two] = &link.nodes;
    let mut first = Daemon::start(one, Program::Keepwatch, &configuration(1, "MASTER", 150), Options::default());
    assert!(there(one, "eth0 10.0.0.100/24"), "{:?}\n{}", one.addresses(), first.log());
    let second = Daemon::start(two, Program::Keepwatch, &configuration(2, "BACKUP", 100), Options::default());
    second.wait_until_it_listens();
    // It would have taken over by now, did it not hear.
    wait::observe(Duration::from_secs(6));
    assert!(!two.has("10.0.0.100"), "{}", second.log());
    assert!(pings(&client, "10.0.0.100"), "{}", first.log());
    first.stop();
    assert!(there(two, "eth0 10.0.0.100/24"), "{:?}\n{}", two.addresses(), second.log());
    assert!(pings(&client, "10.0.0.100"), "{}", second.log());
}

#[test]
fn a_virtual_mac_is_put_into_the_vrf_of_its_base_and_is_master_there() {
    vm::scenario(|| {
        let link = Link::new();
        let client = client(&link);
        let node = &link.nodes[0];
        into_vrf(node);
        let configuration =
            Flavour { interval: Duration::from_secs(1), ..Flavour::VMAC }.configuration(1, "MASTER", 150);
        let mut daemon = Daemon::start(node, Program::Keepwatch, &configuration, Options::default());
        assert!(there(node, "vrrp.51 10.0.0.100/24"), "{:?}\n{}", node.addresses(), daemon.log());
        let shown = node.ip(&["link", "show", "vrrp.51"]);
        assert!(shown.contains("master blue"), "{shown}");
        assert!(pings(&client, "10.0.0.100"), "{}", daemon.log());
        let neighbour = client.ip(&["neigh", "show", "10.0.0.100"]);
        assert!(neighbour.contains("00:00:5e:00:01:33"), "{neighbour}");
        assert_eq!(daemon.stop(), 0);
        assert!(!has_link(node, "vrrp.51"));
    });
}
