//! `use_vmac`: addresses move with the virtual router's MAC, switches and neighbours see only that, it works beside
//! Debian's keepalived, and nothing is left behind.

use std::collections::BTreeSet;
use std::time::Duration;

use agentx_tests::capture::{Content, Frame, Witness};
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Nic, Node, Port, Switch};
use agentx_tests::pair::{Flavour, Link, VirtualMac, survive};
use agentx_tests::process::run;
use agentx_tests::wait;

const KEEPWATCH: [Program; 2] = [Program::Keepwatch; 2];
const PATIENCE: Duration = Duration::from_secs(10);
const MAC: &str = "00:00:5e:00:01:33";
const SETTINGS: [&str; 6] = [
    "net/ipv4/conf/eth0/arp_ignore",
    "net/ipv4/conf/eth0/arp_filter",
    "net/ipv4/conf/eth0/arp_announce",
    "net/ipv4/conf/eth0/rp_filter",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/default/rp_filter",
];

#[test]
fn a_pair_with_virtual_macs_survives() {
    survive(KEEPWATCH, Flavour::VMAC);
}

#[test]
fn an_ipv6_pair_with_virtual_macs_survives() {
    survive(KEEPWATCH, Flavour::VMAC_IPV6);
}

#[test]
fn a_v2_pair_that_transmits_on_the_base_survives() {
    survive(KEEPWATCH, Flavour { vmac: VirtualMac::BothOnBase, ..Flavour::VMAC_V2 });
}

#[test]
fn only_one_router_with_a_virtual_mac_survives() {
    survive(KEEPWATCH, Flavour { vmac: VirtualMac::First, ..Flavour::VMAC });
}

#[test]
fn beside_keepalived_with_virtual_macs_it_survives() {
    survive([Program::Keepwatch, Program::Keepalived], Flavour::VMAC);
    survive([Program::Keepalived, Program::Keepwatch], Flavour::VMAC);
}

#[test]
fn beside_keepalived_with_ipv6_and_virtual_macs_it_survives() {
    survive([Program::Keepwatch, Program::Keepalived], Flavour::VMAC_IPV6);
    survive([Program::Keepalived, Program::Keepwatch], Flavour::VMAC_IPV6);
}

/// The port by which a bridge reaches a MAC that it has learned.
fn learned(lab: &Lab, mac: &str) -> Option<Port> {
    let output = run(lab.switches().command(&["bridge", "fdb", "show"]));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let line =
        shown.lines().find(|line| line.starts_with(mac) && line.contains("master") && !line.contains("permanent"))?;
    line.split_whitespace().nth(2)?.strip_prefix('p')?.parse().ok()
}

fn read(node: &Node, key: &str) -> String {
    let path = format!("/proc/sys/{key}");
    node.enter(move || std::fs::read_to_string(path).unwrap_or_default()).trim().to_owned()
}

fn settings(node: &Node) -> Vec<String> {
    SETTINGS.iter().map(|key| read(node, key)).collect()
}

fn rules(node: &Node) -> String {
    String::from_utf8_lossy(&run(node.command(&["nft", "list", "ruleset"])).stdout).into_owned()
}

fn has_link(node: &Node, name: &str) -> bool {
    run(node.command(&["ip", "link", "show", name])).status.success()
}

#[test]
fn a_switch_and_a_neighbour_find_the_virtual_mac_at_the_new_master_and_never_a_cards_mac() {
    let link = Link::new();
    let client = link.lab.node("client");
    link.lab.connect(&client, &link.switch, Nic { name: "eth0", addresses: &["10.0.0.9/24"], ..Nic::default() });
    let flavour = Flavour::VMAC;
    let mut first =
        Daemon::start(&link.nodes[0], Program::Keepwatch, &flavour.configuration(1, "MASTER", 150), Options::default());
    first.wait_for_address("10.0.0.100", true, PATIENCE);
    let second =
        Daemon::start(&link.nodes[1], Program::Keepwatch, &flavour.configuration(2, "BACKUP", 100), Options::default());
    second.wait_until_it_listens();
    let pings = || run(client.command(&["ping", "-c", "1", "-W", "1", "10.0.0.100"])).status.success();
    let neighbour = || client.ip(&["neigh", "show", "10.0.0.100"]);
    assert!(pings(), "{}", first.log());
    assert!(neighbour().contains(MAC), "{}", neighbour());
    assert_eq!(learned(&link.lab, MAC), Some(link.ports[0]));

    first.kill();
    second.wait_for_address("10.0.0.100", true, PATIENCE);
    wait::until("the switch to learn", Duration::from_secs(1), || {
        (learned(&link.lab, MAC) == Some(link.ports[1])).then_some(())
    });
    assert!(pings(), "{}", second.log());
    client.ip(&["neigh", "flush", "all"]);
    assert!(pings(), "{}", second.log());
    assert!(neighbour().contains(MAC), "{}", neighbour());

    let mac = [0, 0, 0x5e, 0, 1, 0x33];
    let gives_away = |frame: &Frame| match &frame.content {
        Content::Arp { sender, .. } => {
            link.ports.contains(&frame.port) && flavour.addresses().contains(&&*sender.to_string()) && frame.mac != mac
        }
        Content::Advert(_) => frame.mac != mac,
        Content::Neighbour { .. } => false,
    };
    let frames = link.witness.frames();
    let betrayals: Vec<&Frame> = frames.iter().filter(|frame| gives_away(frame)).collect();
    assert!(betrayals.is_empty(), "a card's MAC for a virtual address: {betrayals:?}");
}

#[test]
fn a_stop_leaves_no_interface_no_rule_and_every_setting_as_it_was() {
    let link = Link::new();
    let node = &link.nodes[0];
    node.sysctl("net/ipv4/conf/all/rp_filter", "1");
    let before = settings(node);
    let mut daemon =
        Daemon::start(node, Program::Keepwatch, &Flavour::VMAC.configuration(1, "MASTER", 150), Options::default());
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    assert!(node.addresses().contains(&"vrrp.51 10.0.0.100/24".to_owned()), "{:?}", node.addresses());
    assert_eq!(settings(node), ["1", "1", "2", "1", "0", "1"]);
    assert!(rules(node).contains("dup to ip daddr device oif map @vmac_map drop"), "{}", rules(node));
    let own =
        ["arp_ignore", "accept_local", "rp_filter"].map(|key| read(node, &format!("net/ipv4/conf/vrrp.51/{key}")));
    assert_eq!(own, ["1", "1", "0"]);
    assert_eq!(read(node, "net/ipv6/conf/vrrp.51/disable_ipv6"), "1");
    assert_eq!(daemon.stop(), 0);
    assert!(!has_link(node, "vrrp.51"));
    assert_eq!(settings(node), before);
    assert_eq!(rules(node), "");
}

#[test]
fn without_reports_of_link_local_groups_nothing_is_filtered_for_ipv4_and_the_setting_goes_back_at_the_end() {
    let link = Link::new();
    let node = &link.nodes[0];
    let reports = || read(node, "net/ipv4/igmp_link_local_mcast_reports");
    assert_eq!(reports(), "1");
    let silent =
        Flavour::VMAC.configuration(1, "MASTER", 150).replace("global_defs {", "global_defs {\n disable_local_igmp");
    let mut daemon = Daemon::start(node, Program::Keepwatch, &silent, Options::default());
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    assert_eq!((reports().as_str(), rules(node).as_str()), ("0", ""));
    daemon.reload(&Flavour::VMAC.configuration(1, "MASTER", 150));
    let loud = wait::within(PATIENCE, || (reports() == "1" && rules(node).contains("vmac_map")).then_some(()));
    assert!(loud.is_some(), "{}\n{}\n{}", reports(), rules(node), daemon.log());
    daemon.reload(&silent);
    let quiet = wait::within(PATIENCE, || (reports() == "0" && rules(node).is_empty()).then_some(()));
    assert!(quiet.is_some(), "{}\n{}\n{}", reports(), rules(node), daemon.log());
    assert_eq!(daemon.stop(), 0);
    assert_eq!(reports(), "1");
}

#[test]
fn an_interface_that_somebody_deletes_or_renames_is_made_again_and_gets_its_addresses() {
    let link = Link::new();
    let node = &link.nodes[0];
    let daemon =
        Daemon::start(node, Program::Keepwatch, &Flavour::VMAC.configuration(1, "MASTER", 150), Options::default());
    let there = || node.addresses().contains(&"vrrp.51 10.0.0.101/24".to_owned()).then_some(());
    wait::until("the addresses", PATIENCE, there);
    node.ip(&["link", "del", "vrrp.51"]);
    assert!(wait::within(PATIENCE, there).is_some(), "not made again: {}", daemon.log());
    wait::observe(Duration::from_secs(1));
    node.ip(&["link", "set", "vrrp.51", "down"]);
    node.ip(&["link", "set", "vrrp.51", "name", "mine"]);
    assert!(wait::within(PATIENCE, there).is_some(), "not made again after renaming: {}", daemon.log());
    assert!(!has_link(node, "mine"), "two with one MAC");
}

#[test]
fn what_a_killed_daemon_left_is_taken_over_or_removed() {
    let link = Link::new();
    let node = &link.nodes[0];
    let flavour = Flavour::VMAC;
    let mut daemon =
        Daemon::start(node, Program::Keepwatch, &flavour.configuration(1, "MASTER", 150), Options::default());
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    daemon.kill();
    assert!(has_link(node, "vrrp.51"));
    assert!(rules(node).contains("vmac_map"), "{}", rules(node));
    let index = node.ip(&["-o", "link", "show", "vrrp.51"]).split(':').next().map(str::to_owned);
    let mut daemon =
        Daemon::start(node, Program::Keepwatch, &flavour.configuration(1, "MASTER", 150), Options::default());
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    assert_eq!(node.ip(&["-o", "link", "show", "vrrp.51"]).split(':').next().map(str::to_owned), index, "the same one");
    assert_eq!(rules(node).matches("map vmac_map").count(), 1, "{}", rules(node));
    daemon.kill();
    let plain = Flavour::V3.configuration(1, "MASTER", 150);
    let daemon = Daemon::start(node, Program::Keepwatch, &plain, Options::default());
    let here = || node.addresses().contains(&"eth0 10.0.0.100/24".to_owned()).then_some(());
    assert!(wait::within(PATIENCE, here).is_some(), "{:?}\n{}", node.addresses(), daemon.log());
    assert!(!has_link(node, "vrrp.51"), "{}", daemon.log());
    assert_eq!(rules(node), "", "{}", daemon.log());
    assert_eq!(node.addresses().iter().filter(|it| it.contains("10.0.0.100/")).count(), 1, "{:?}", node.addresses());
}

#[test]
fn a_reload_makes_and_deletes_interfaces_and_moves_addresses() {
    let link = Link::new();
    let node = &link.nodes[0];
    let plain = Flavour::V3.configuration(1, "MASTER", 150);
    let virtual_mac = Flavour::VMAC.configuration(1, "MASTER", 150);
    let daemon = Daemon::start(node, Program::Keepwatch, &plain, Options::default());
    let on = |interface: &str| {
        let line = format!("{interface} 10.0.0.100/24");
        let at_last = wait::within(PATIENCE, || {
            let found: Vec<String> = node.addresses().into_iter().filter(|it| it.contains("10.0.0.100/")).collect();
            (found == [line.clone()]).then_some(())
        });
        assert!(at_last.is_some(), "not on {interface}: {:?}\n{}", node.addresses(), daemon.log());
    };
    on("eth0");
    daemon.reload(&virtual_mac);
    on("vrrp.51");
    daemon.reload(&virtual_mac.replace("use_vmac", "use_vmac other 02:11:22:33:44"));
    on("other");
    assert!(node.ip(&["link", "show", "other"]).contains("02:11:22:33:44:33"));
    wait::until("the old one to go", PATIENCE, || (!has_link(node, "vrrp.51")).then_some(()));
    daemon.reload(&plain);
    on("eth0");
    wait::until("the new one to go", PATIENCE, || (!has_link(node, "other")).then_some(()));
}

#[test]
fn what_has_our_name_and_is_not_ours_is_left_alone_until_it_is_gone() {
    let link = Link::new();
    let node = &link.nodes[0];
    node.ip(&["link", "add", "vrrp.51", "type", "veth", "peer", "name", "other"]);
    let daemon =
        Daemon::start(node, Program::Keepwatch, &Flavour::VMAC.configuration(1, "MASTER", 150), Options::default());
    daemon.process.wait_for_log("Entering FAULT STATE", PATIENCE);
    assert!(!node.has("10.0.0.100"));
    node.ip(&["link", "del", "vrrp.51"]);
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
}

#[test]
fn an_interface_below_that_goes_and_comes_back_takes_and_brings_its_virtual_one() {
    let lab = Lab::new();
    let switch = lab.switch();
    let node = lab.node("R1");
    let plug = || {
        lab.connect(&node, &switch, Nic { name: "eth0", addresses: &["10.0.0.1/24"], ..Nic::default() });
    };
    plug();
    let configuration =
        Flavour::VMAC.configuration(1, "MASTER", 150).replace("global_defs {", "global_defs {\n dynamic_interfaces");
    let daemon = Daemon::start(&node, Program::Keepwatch, &configuration, Options::default());
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    node.ip(&["link", "del", "eth0"]);
    daemon.process.wait_for_log("Entering FAULT STATE", PATIENCE);
    assert!(!has_link(&node, "vrrp.51"));
    plug();
    let back = wait::within(PATIENCE, || node.has("10.0.0.100").then_some(()));
    assert!(back.is_some(), "{}", daemon.log());
    assert_eq!(read(&node, "net/ipv4/conf/eth0/arp_ignore"), "1");
}

/// Interfaces with a base and a MAC, and addresses, but for what is as the kernel makes it.
fn layout(node: &Node) -> BTreeSet<String> {
    let links = node.ip(&["-o", "link", "show", "type", "macvlan"]);
    let links = links.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let name = words.next()?.trim_end_matches(':').to_owned();
        let mac = line.split("link/ether ").nth(1)?.split_whitespace().next()?;
        Some(format!("{name} {mac}"))
    });
    let shown = node.ip(&["-o", "address", "show"]);
    let addresses = shown.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        format!("{} {}", words[1], words[3])
    });
    links.chain(addresses).collect()
}

const PLACES: &str = "global_defs {\n dynamic_interfaces\n}
vrrp_instance V4 {\n interface eth0\n use_vmac myvm\n vmac_xmit_base\n no_accept\n virtual_router_id 31\n priority 120
 advert_int 1\n virtual_ipaddress {\n 10.31.0.100/24\n 10.31.0.101/24 dev eth0\n 10.31.0.102/24 dev eth1
 10.31.0.103/24 dev eth1 use_vmac\n }\n virtual_ipaddress_excluded {\n 2001:db8:31::101/64\n fe80::77/64\n }\n}
vrrp_instance V4b {\n interface eth0\n use_vmac\n use_vmac_addr\n virtual_router_id 32\n priority 120\n advert_int 1
 virtual_ipaddress {\n 10.31.0.110/24\n 10.31.0.112/24 dev eth1\n }
 virtual_ipaddress_excluded {\n 2001:db8:31::111/64\n }\n}
vrrp_instance V6 {\n interface eth0\n use_vmac\n no_accept\n virtual_router_id 33\n version 3\n priority 121
 advert_int 1\n native_ipv6\n virtual_ipaddress {\n fe80::32/64\n 2001:db8:31::100/64\n }
 virtual_ipaddress_excluded {\n 10.31.0.133/24\n }\n}\n";

#[test]
fn interfaces_names_macs_and_places_of_addresses_are_those_of_keepalived() {
    let seen = [Program::Keepalived, Program::Keepwatch].map(|program| {
        let lab = Lab::new();
        let switch = lab.switch();
        let node = lab.node("R1");
        for (name, mac) in [("eth0", "02:00:00:00:07:10"), ("eth1", "02:00:00:00:07:11")] {
            let address = if name == "eth0" { "10.31.0.1/24" } else { "10.32.0.1/24" };
            lab.connect(&node, &switch, Nic { name, addresses: &[address], mac: Some(mac), ..Nic::default() });
        }
        // Keepalived does not get over an interface that comes up while it starts.
        let ready = || ["eth0", "eth1"].iter().all(|name| node.ip(&["link", "show", name]).contains("state UP"));
        wait::until("links", PATIENCE, || ready().then_some(()));
        wait::until("link-local addresses", PATIENCE, || {
            (!node.ip(&["-6", "address", "show"]).contains("tentative")).then_some(())
        });
        let mut daemon = Daemon::start(&node, program, PLACES, Options::default());
        for address in ["10.31.0.103", "10.31.0.112", "2001:db8:31::111", "10.31.0.133"] {
            daemon.wait_for_address(address, true, PATIENCE);
        }
        let layout = layout(&node);
        daemon.stop();
        layout
    });
    let [theirs, ours] = seen;
    let (missing, more): (Vec<_>, Vec<_>) = (theirs.difference(&ours).collect(), ours.difference(&theirs).collect());
    assert!(missing.is_empty() && more.is_empty(), "missing: {missing:#?}\nmore: {more:#?}");
}

#[test]
fn memberships_are_reported_from_the_card_and_adverts_from_the_virtual_mac() {
    let lab = Lab::new();
    let switch = lab.switch();
    let node = lab.node("R1");
    let addresses = ["10.0.0.1/24", "fd00:1::1/64"];
    let mac = "02:00:00:00:07:10";
    let port =
        lab.connect(&node, &switch, Nic { name: "eth0", addresses: &addresses, mac: Some(mac), ..Nic::default() });
    let file = lab.switches().directory().join("reports.pcap");
    let (path, cable) = (file.to_string_lossy().into_owned(), format!("p{port}"));
    let words = ["tcpdump", "-i", &cable, "-Q", "in", "-n", "-U", "-Z", "root", "--immediate-mode", "-w", &path];
    let reports = lab.switches().spawn("reports", lab.switches().command(&words));
    reports.wait_for_log("listening on", Duration::from_secs(20));
    let four = Flavour::VMAC.configuration(1, "MASTER", 150);
    let six = Flavour::VMAC_IPV6.configuration(1, "MASTER", 150).replace("VI_1", "VI_2");
    let both = format!("{four}{}", six.split_once("}\n").map_or("", |(_, rest)| rest));
    let daemon = Daemon::start(&node, Program::Keepwatch, &both, Options::default());
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    daemon.wait_for_address("fd00:1::100", true, PATIENCE);
    let shown = || {
        let words = ["tcpdump", "-e", "-n", "-r", &path, "igmp or (ip6 protochain 58)"];
        String::from_utf8_lossy(&run(lab.switches().command(&words)).stdout).into_owned()
    };
    let groups = |text: &str| text.contains("igmp v3 report") && text.contains("multicast listener report v2");
    wait::until("both families to report", PATIENCE, || groups(&shown()).then_some(()));
    // Reports are repeated, at random moments within a second.
    wait::observe(Duration::from_secs(2));
    let told = shown();
    let is_report = |line: &&str| ["igmp", "listener report", "router solicitation"].iter().any(|it| line.contains(it));
    let betrayals: Vec<&str> = told.lines().filter(is_report).filter(|line| line.contains("00:00:5e:00")).collect();
    assert!(betrayals.is_empty(), "sent from a virtual MAC: {betrayals:#?}");
}

/// 255 virtual routers for each family, all on one interface.
fn many(priority: u8, interval: Duration) -> String {
    let mut text = String::from("global_defs {\n vrrp_garp_master_repeat 1\n vrrp_garp_master_delay 0\n}\n");
    for vrid in 1..=255 {
        for (family, addresses) in
            [("4", format!("10.1.{vrid}.1/32")), ("6", format!("fe80::1:{vrid:x}/64\n fd00:2::{vrid:x}/128"))]
        {
            text.push_str(&format!(
                "vrrp_instance V{family}_{vrid} {{\n interface eth0\n use_vmac\n version 3\n virtual_router_id {vrid}\n \
                 priority {priority}\n advert_int {}\n nopreempt\n virtual_ipaddress {{\n {addresses}\n }}\n}}\n",
                interval.as_secs_f64()
            ));
        }
    }
    text
}

#[test]
fn five_hundred_and_ten_virtual_routers_with_their_macs_fail_over_together() {
    let lab = Lab::new();
    let switch = lab.switch();
    let nodes = ["R1", "R2"].map(|name| lab.node(name));
    let interval = Duration::from_secs(1);
    let connect = |node: &Node, number: u8, switch: &Switch| {
        let addresses = [format!("10.0.0.{number}/24"), format!("fd00:1::{number}/64")];
        let addresses = addresses.each_ref().map(String::as_str);
        lab.connect(node, switch, Nic { name: "eth0", addresses: &addresses, ..Nic::default() })
    };
    let ports = [connect(&nodes[0], 1, &switch), connect(&nodes[1], 2, &switch)];
    let witness = Witness::start(&lab);
    let virtual_addresses = |node: &Node| {
        let shown = node.ip(&["-o", "address", "show"]);
        shown.lines().filter(|line| line.contains(" 10.1.") || line.contains(" fd00:2::")).count()
    };
    let mut first = Daemon::start(&nodes[0], Program::Keepwatch, &many(150, interval), Options::default());
    wait::until("510 masters", Duration::from_secs(30), || (virtual_addresses(&nodes[0]) == 510).then_some(()));
    let second = Daemon::start(&nodes[1], Program::Keepwatch, &many(100, interval), Options::default());
    second.wait_until_it_listens();
    wait::observe(2 * interval);
    assert_eq!(virtual_addresses(&nodes[1]), 0);
    first.kill();
    wait::until("510 addresses on the other", Duration::from_secs(30), || {
        (virtual_addresses(&nodes[1]) == 510).then_some(())
    });
    wait::observe(Duration::from_millis(500));
    let frames = witness.frames();
    let last_of_first = frames
        .iter()
        .filter(|frame| frame.port == ports[0] && matches!(frame.content, Content::Advert(_)))
        .map(|frame| frame.at)
        .max();
    let macs: BTreeSet<[u8; 6]> = frames
        .iter()
        .filter(|frame| frame.port == ports[1] && matches!(frame.content, Content::Advert(_)))
        .map(|frame| frame.mac)
        .collect();
    assert_eq!(macs.len(), 510, "each from a MAC of its own");
    assert!(last_of_first.is_some());
}
