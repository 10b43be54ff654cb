//! What keepwatchd asks of the kernel beside adverts and addresses.

use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::process::run;
use agentx_tests::wait;

#[test]
fn no_membership_is_reported_while_local_igmp_is_disabled() {
    let link = Link::new();
    let node = &link.nodes[0];
    let setting = || {
        let path = "/proc/sys/net/ipv4/igmp_link_local_mcast_reports";
        String::from_utf8_lossy(&run(node.command(&["cat", path])).stdout).trim().to_owned()
    };
    assert_eq!(setting(), "1");
    let plain = Flavour::V2.configuration(1, "BACKUP", 100);
    let silent = plain.replace("router_id R1", "router_id R1\n disable_local_igmp");
    let mut daemon = Daemon::start(node, Program::Keepwatch, &silent, Options::default());
    daemon.wait_until_it_listens();
    wait::until("reports to be turned off", Duration::from_secs(5), || (setting() == "0").then_some(()));
    daemon.reload(&plain);
    wait::until("the reload to be told", Duration::from_secs(5), || {
        daemon.log().contains("disable_local_igmp: the change takes effect at the next start").then_some(())
    });
    assert_eq!((setting().as_str(), daemon.stop()), ("0", 0));
    assert_eq!(setting(), "1", "as it was before");
}
