//! A director with addresses of its own: a client on one side, a host of many servers on the other.
//!
//! ```text
//!   client 10.70.0.200 ── eth0 10.70.0.1, .10 director eth1 10.71.0.1 ── servers 10.71.0.11 ... .13
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use agentx_tests::daemon::Daemon;
use agentx_tests::ipvsadm;
use agentx_tests::net::{Lab, Nic, Node, Switch};
use agentx_tests::wait;
use agentx_tests::web::Web;

pub struct Balancer {
    pub director: Node,
    pub client: Node,
    pub servers: Node,
    pub outside: Switch,
    pub lab: Lab,
}

/// An emulated machine that runs two scenarios at once has its moments.
pub const PATIENCE: Duration = Duration::from_secs(60);

impl Balancer {
    pub fn new() -> Balancer {
        let lab = Lab::new();
        let [outside, inside] = [lab.switch(), lab.switch()];
        let [director, client, servers] = ["L1", "client", "servers"].map(|name| lab.node(name));
        director.sysctl("net/ipv4/ip_forward", "1");
        lab.connect(&director, &outside, nic("eth0", 10, &["10.70.0.1/24", "10.70.0.10/24"]));
        lab.connect(&director, &inside, nic("eth1", 11, &["10.71.0.1/24"]));
        lab.connect(&client, &outside, nic("eth0", 10, &["10.70.0.200/24"]));
        lab.connect(&servers, &inside, nic("eth0", 10, &["10.71.0.11/24", "10.71.0.12/24", "10.71.0.13/24"]));
        servers.ip(&["route", "add", "default", "via", "10.71.0.1"]);
        Balancer { director, client, servers, outside, lab }
    }

    /// A web server on port 80 of 10.71.0.`last` that calls itself `W` and that number.
    pub fn web(&self, last: u8) -> Web {
        Web::start(&self.servers, socket(&format!("10.71.0.{last}:80")), &format!("W{last}"))
    }

    /// Waits until `ipvsadm-save` prints exactly these lines, whatever their order.
    #[track_caller]
    pub fn wait_for_table(&self, daemon: &Daemon, lines: &[&str]) {
        wait_for_table(&self.director, daemon, lines);
    }
}

#[track_caller]
pub fn wait_for_table(node: &Node, daemon: &Daemon, lines: &[&str]) {
    let mut wanted: Vec<&str> = lines.to_vec();
    wanted.sort_unstable();
    let mut last = Vec::new();
    let reached = wait::within(PATIENCE, || {
        last = ipvsadm::saved(node);
        (last == wanted).then_some(())
    });
    assert!(reached.is_some(), "the table is not {wanted:#?} but {last:#?}; the daemon said:\n{}", daemon.log());
}

/// Waits until the daemon has said `text` more often than `before`.
#[track_caller]
pub fn wait_until_said(daemon: &Daemon, text: &str, before: usize) {
    let said = wait::within(PATIENCE, || (times(daemon, text) > before).then_some(()));
    assert!(said.is_some(), "not said within {PATIENCE:?}: `{text}`; the daemon said:\n{}", daemon.log());
}

pub fn times(daemon: &Daemon, text: &str) -> usize {
    daemon.log().matches(text).count()
}

/// A reload that is in force everywhere when this returns.
#[track_caller]
pub fn reload(daemon: &Daemon, configuration: &str) {
    let before = times(daemon, "Reload complete");
    daemon.reload(configuration);
    wait_until_said(daemon, "Reload complete", before);
}

pub fn nic<'a>(name: &'a str, index: u32, addresses: &'a [&'a str]) -> Nic<'a> {
    Nic { name, index: Some(index), addresses, ..Nic::default() }
}

pub fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
