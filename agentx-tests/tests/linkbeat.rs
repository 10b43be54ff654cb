//! Links that are polled: keepwatchd and Debian's keepalived notice the same, and say it in the same words.

use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Nic};
use agentx_tests::wait;

const PATIENCE: Duration = Duration::from_secs(20);

/// `top` stands before an instance on eth0 that tracks eth1, `inside` in it. What is unplugged, and must be noticed by its
/// driver's word, is `unplugged`.
fn notices(program: Program, top: &str, inside: &str, unplugged: usize) {
    let lab = Lab::new();
    let switches = [lab.switch(), lab.switch()];
    let node = lab.node("R1");
    let ports = [0, 1].map(|link| {
        let (name, address) = (format!("eth{link}"), format!("10.0.{link}.1/24"));
        lab.connect(&node, &switches[link], Nic { name: &name, addresses: &[&address], ..Nic::default() })
    });
    let configuration = format!(
        "{top}\nvrrp_instance VI_1 {{\n interface eth0\n {inside}\n virtual_router_id 51\n priority 100\n advert_int 1\n \
         track_interface {{\n eth1\n }}\n virtual_ipaddress {{\n 10.0.9.1/32\n }}\n}}\n"
    );
    let daemon = Daemon::start(&node, program, &configuration, Options::default());
    let says = |what: &str, times: usize| {
        let there = wait::within(PATIENCE, || (daemon.log().matches(what).count() >= times).then_some(()));
        assert!(there.is_some(), "{}, {top} {inside}: no `{what}` in:\n{}", program.name(), daemon.log());
    };
    daemon.wait_for_address("10.0.9.1", true, PATIENCE);
    for round in 1..=2 {
        lab.unplug(ports[unplugged]);
        says(&format!("Linkbeat reports eth{unplugged} down"), round);
        daemon.wait_for_address("10.0.9.1", false, PATIENCE);
        lab.plug(ports[unplugged]);
        says(&format!("Linkbeat reports eth{unplugged} up"), round);
        daemon.wait_for_address("10.0.9.1", true, PATIENCE);
    }
}

#[test]
fn interfaces_of_linkbeat_interfaces_are_polled_by_the_method_that_they_support() {
    for program in [Program::Keepwatch, Program::Keepalived] {
        notices(program, "linkbeat_interfaces {\n eth1 ETHTOOL\n}", "", 1);
    }
    // It has no MII: ethtool is next.
    notices(Program::Keepwatch, "linkbeat_interfaces {\n eth1 MII\n}", "", 1);
    notices(Program::Keepwatch, "linkbeat_interfaces {\n eth1 IOCTL\n}", "", 1);
}

#[test]
fn linkbeat_use_polling_is_for_every_interface_in_use_or_for_that_of_its_instance() {
    for program in [Program::Keepwatch, Program::Keepalived] {
        notices(program, "linkbeat_use_polling", "", 0);
        notices(program, "", "linkbeat_use_polling", 0);
    }
    notices(Program::Keepwatch, "linkbeat_use_polling", "", 1);
}
