//! `no_accept`: a router that holds an address without owning it answers no traffic to it, and does again once it may.

use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::Node;
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::process::run;
use agentx_tests::wait;

const FLAVOUR: Flavour = Flavour::V3;

fn answers(from: &Node, address: &str) -> bool {
    run(from.command(&["ping", "-c", "1", "-W", "1", address])).status.success()
}

#[test]
fn packets_to_an_address_are_dropped_with_no_accept_and_answered_without() {
    let link = Link::new();
    let guarded = FLAVOUR.configuration(1, "MASTER", 150).replace("priority 150", "priority 150\n no_accept");
    let daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, &guarded, Options::default());
    daemon.wait_for_address("10.0.0.100", true, Duration::from_secs(10));
    assert!(answers(&link.nodes[1], "10.0.0.1"), "the router itself can be reached");
    assert!(!answers(&link.nodes[1], "10.0.0.100"), "no_accept");

    daemon.reload(&FLAVOUR.configuration(1, "MASTER", 150));
    wait::until("the address to be answered", Duration::from_secs(5), || {
        answers(&link.nodes[1], "10.0.0.100").then_some(())
    });

    daemon.reload(&guarded);
    wait::until("the address to be guarded again", Duration::from_secs(5), || {
        (!answers(&link.nodes[1], "10.0.0.100")).then_some(())
    });
    assert!(daemon.node().has("10.0.0.100"));
}
