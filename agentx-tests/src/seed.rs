//! The seed post's lab: VI_1 with two IPv4 and two IPv6 addresses on two networks, adverts on a third.

use crate::net::{Lab, Nic, Node, Port, Switch};

/// `vrrp_instance VI_1` as the post has it, for the first router.
pub const FIRST: &str = include_str!("../oracle/01-seed-vrrp/keepalived.conf");

/// The same for the second router: `state BACKUP`, priority 100.
pub fn second() -> String {
    FIRST
        .replace("state MASTER", "state BACKUP")
        .replace("priority 150", "priority 100")
        .replace("router_id L1", "router_id L2")
}

/// The four virtual addresses, with the interface each belongs on.
pub const ADDRESSES: [(&str, &str); 4] =
    [("eth0", "1.1.1.15/24"), ("eth0", "2001:db8::15/64"), ("eth1", "192.168.1.1/24"), ("eth1", "fd00::1/64")];

/// Three networks, two routers, a client on the first network and a server on the second, which reaches the client
/// through the virtual addresses only.
#[derive(Debug)]
pub struct SeedLab {
    pub first: Node,
    pub second: Node,
    pub client: Node,
    pub server: Node,
    /// Cables of the routers: eth0, eth1, eth2.
    pub first_ports: [Port; 3],
    pub second_ports: [Port; 3],
    pub switches: [Switch; 3],
    /// Last, as it removes the namespaces of the others.
    pub lab: Lab,
}

impl SeedLab {
    #[track_caller]
    pub fn new() -> SeedLab {
        let lab = Lab::new();
        let switches = [lab.switch(), lab.switch(), lab.switch()];
        let router = |name: &str, last: u8| {
            let node = lab.node(name);
            node.sysctl("net/ipv4/ip_forward", "1");
            node.sysctl("net/ipv6/conf/all/forwarding", "1");
            let ports = router_nics(last).map(|(switch, name, index, mac, addresses)| {
                let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
                lab.connect(
                    &node,
                    &switches[switch],
                    Nic { name, index: Some(index), mac: Some(&mac), addresses: &addresses },
                )
            });
            (node, ports)
        };
        let (first, first_ports) = router("L1", 1);
        let (second, second_ports) = router("L2", 2);
        let host = |name: &str, switch: usize, addresses: &[&str], route: &[(&str, &str)]| {
            let node = lab.node(name);
            lab.connect(&node, &switches[switch], Nic { name: "eth0", addresses, ..Nic::default() });
            for (to, via) in route {
                node.ip(&["route", "add", to, "via", via]);
            }
            node
        };
        let client = host(
            "client",
            0,
            &["1.1.1.100/24", "2001:db8::100/64"],
            &[("192.168.1.0/24", "1.1.1.15"), ("fd00::/64", "2001:db8::15")],
        );
        let server = host(
            "server",
            1,
            &["192.168.1.10/24", "fd00::10/64"],
            &[("1.1.1.0/24", "192.168.1.1"), ("2001:db8::/64", "fd00::1")],
        );
        SeedLab { first, second, client, server, first_ports, second_ports, switches, lab }
    }
}

impl Default for SeedLab {
    fn default() -> Self {
        SeedLab::new()
    }
}

/// Interfaces of router `last` (1 or 2), numbered and addressed as in the recordings.
fn router_nics(last: u8) -> [(usize, &'static str, u32, String, [String; 2]); 3] {
    let mac = |interface: u8| format!("02:00:00:00:0{last}:1{interface}");
    [
        (0, "eth0", 10, mac(0), [format!("1.1.1.1{last}/24"), format!("2001:db8::1{last}/64")]),
        (1, "eth1", 11, mac(1), [format!("192.168.1.{}/24", last + 1), format!("fd00::{}/64", last + 1)]),
        (2, "eth2", 12, mac(2), [format!("10.99.0.{last}/24"), format!("fd99::{last}/64")]),
    ]
}
