//! The seed post's load balancer: a client, a director, four real servers that answer their names. Start at [`Pool`].
//!
//! ```text
//!   client ── eth0 director eth1 ── W1, W2, W3, W4
//!                     eth2 ── (the VRRP link)
//! ```
//!
//! The director's program is a parameter of whoever uses this: Debian's keepalived proves the lab.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::daemon::{Daemon, Options, Program};
use crate::ipvsadm;
use crate::net::{Lab, Nic, Node, Switch};
use crate::wait;
use crate::web::{Connection, Web, fetch};

/// The post's configuration of the director, completed: a group, rr, NAT and HTTP_GET for IPv4 and IPv6.
pub const CONFIGURATION: &str = include_str!("../oracle/02-seed-ipvs/keepalived.conf");

/// The virtual servers, as socket addresses and as `ipvsadm` prints them.
pub const V4: (&str, &str) = ("1.1.1.15:80", "TCP 1.1.1.15:80");
pub const V6: (&str, &str) = ("[2001:db8::15]:80", "TCP [2001:db8::15]:80");

pub const NAMES: [&str; 4] = ["W1", "W2", "W3", "W4"];

/// The lab. It has no load balancer before a [`Daemon`] on the director (or a test itself) makes one.
#[derive(Debug)]
pub struct Pool {
    pub client: Node,
    pub director: Node,
    /// W1 to W4.
    pub reals: Vec<Real>,
    /// Of the client, the real servers, VRRP.
    pub switches: [Switch; 3],
    /// Last, as it removes the namespaces of the others.
    pub lab: Lab,
}

/// A real server's host, and what runs on it.
#[derive(Debug)]
pub struct Real {
    pub name: &'static str,
    pub node: Node,
    pub v4: IpAddr,
    pub v6: IpAddr,
    pub web4: Option<Web>,
    pub web6: Option<Web>,
}

impl Pool {
    /// All web servers run. The director has the post's own addresses, and for IPv6 the virtual ones as well, which
    /// Keepalived takes no notice of in an instance for IPv4.
    #[track_caller]
    pub fn new() -> Pool {
        let lab = Lab::new();
        let switches = [lab.switch(), lab.switch(), lab.switch()];
        let director = lab.node("L1");
        director.sysctl("net/ipv4/ip_forward", "1");
        director.sysctl("net/ipv6/conf/all/forwarding", "1");
        let nics: [(&str, &[&str]); 3] = [
            ("eth0", &["1.1.1.11/24", "2001:db8::11/64", "2001:db8::15/64"]),
            ("eth1", &["192.168.1.2/24", "fd00::2/64", "fd00::1/64"]),
            ("eth2", &["10.99.0.1/24"]),
        ];
        for (number, (name, addresses)) in (0_u32..).zip(nics) {
            let mac = format!("02:00:00:00:01:1{number}");
            let nic = Nic { name, index: Some(10 + number), mac: Some(&mac), addresses };
            lab.connect(&director, &switches[number as usize], nic);
        }
        let client = lab.node("client");
        let addresses = &["1.1.1.100/24", "2001:db8::100/64"];
        lab.connect(&client, &switches[0], Nic { name: "eth0", addresses, ..Nic::default() });
        let reals = (0..).zip(NAMES).map(|(number, name)| Real::new(&lab, &switches[1], number, name)).collect();
        Pool { client, director, reals, switches, lab }
    }

    /// Gives the director the virtual addresses for IPv4, for tests without a daemon that does.
    #[track_caller]
    pub fn take_addresses(&self) {
        self.director.ip(&["address", "add", "1.1.1.15/24", "dev", "eth0"]);
        self.director.ip(&["address", "add", "192.168.1.1/24", "dev", "eth1"]);
    }

    /// Starts `program` on the director.
    #[track_caller]
    pub fn direct(&self, program: Program, configuration: &str, options: Options<'_>) -> Daemon {
        Daemon::start(&self.director, program, configuration, options)
    }

    /// Who answers the client's new connections, one after the other.
    pub fn answers(&self, to: &str, count: usize) -> Vec<Result<String, String>> {
        (0..count).map(|_| self.ask(to)).collect()
    }

    /// Who answers one new connection of the client.
    #[track_caller]
    pub fn ask(&self, to: &str) -> Result<String, String> {
        fetch(&self.client, socket_address(to))
    }

    /// A connection of the client that stays open.
    #[track_caller]
    pub fn connect(&self, to: &str) -> Result<Connection, String> {
        Connection::open(&self.client, socket_address(to))
    }

    /// Waits until the kernel has exactly these real servers (numbered from 0) with a weight above 0 in the service that
    /// `ipvsadm` prints as `service`.
    #[track_caller]
    pub fn wait_for_reals(&self, daemon: &Daemon, service: &str, numbers: &[usize], limit: Duration) {
        let address = |real: &Real| {
            let address = if service.contains('[') { real.v6 } else { real.v4 };
            SocketAddr::new(address, 80).to_string()
        };
        let mut wanted: Vec<String> = numbers.iter().map(|number| address(&self.reals[*number])).collect();
        wanted.sort();
        let mut last = None;
        let reached = wait::within(limit, || {
            let found = ipvsadm::destinations(&self.director, service);
            let with_weight = |(address, real): (&String, &ipvsadm::Real)| (real.weight > 0).then(|| address.clone());
            let working: Option<Vec<String>> = found.as_ref().map(|all| all.iter().filter_map(with_weight).collect());
            last = found;
            (working.as_ref() == Some(&wanted)).then_some(())
        });
        assert!(
            reached.is_some(),
            "{service} does not have {wanted:?} within {limit:?}, but {last:?}; {} said:\n{}",
            daemon.program().name(),
            daemon.log()
        );
    }
}

impl Default for Pool {
    fn default() -> Self {
        Pool::new()
    }
}

impl Real {
    #[track_caller]
    fn new(lab: &Lab, switch: &Switch, number: u8, name: &'static str) -> Real {
        let node = lab.node(name);
        let (v4, v6) = (format!("192.168.1.1{number}"), format!("fd00::1{number}"));
        let addresses = [format!("{v4}/24"), format!("{v6}/64")];
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        lab.connect(&node, switch, Nic { name: "eth0", addresses: &addresses, ..Nic::default() });
        node.ip(&["route", "add", "default", "via", "192.168.1.1"]);
        node.ip(&["-6", "route", "add", "default", "via", "fd00::1"]);
        let [v4, v6] = [v4, v6].map(|text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}")));
        let mut real = Real { name, node, v4, v6, web4: None, web6: None };
        real.revive();
        real
    }

    /// Its web servers end, connections and all.
    pub fn kill(&mut self) {
        self.web4 = None;
        self.web6 = None;
    }

    /// Both web servers run (again).
    #[track_caller]
    pub fn revive(&mut self) {
        self.revive_v4();
        self.revive_v6();
    }

    #[track_caller]
    pub fn revive_v4(&mut self) {
        if self.web4.is_none() {
            self.web4 = Some(Web::start(&self.node, SocketAddr::new(self.v4, 80), self.name));
        }
    }

    #[track_caller]
    pub fn revive_v6(&mut self) {
        if self.web6.is_none() {
            self.web6 = Some(Web::start(&self.node, SocketAddr::new(self.v6, 80), self.name));
        }
    }
}

#[track_caller]
fn socket_address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}
