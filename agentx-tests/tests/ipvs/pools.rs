//! The seeds' other load balancer: two directors that share an address, checks where the address is, a server of last
//! resort.

use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Node};
use agentx_tests::vm::scenario;
use agentx_tests::wait;
use agentx_tests::web::{Web, fetch};

use crate::balancer::{PATIENCE, nic, socket, wait_for_table, wait_until_said};

/// As posted, but for mail, the check's interval (10 s there) and what the second node has otherwise.
fn configuration(own: &str, peer: &str, state: &str, priority: u8) -> String {
    format!(
        "global_defs {{
        router_id {own}.toto.fr
        smtp_connect_timeout 30
}}
vrrp_instance VIP {{
    state {state}
    priority {priority}
    virtual_router_id 10
    interface eth0
    advert_int 2
    unicast_src_ip {own}
    unicast_peer {{
        {peer}
    }}
    authentication {{
        auth_type PASS
        auth_pass toto
    }}
    virtual_ipaddress {{
        192.168.0.10 label eth0:1
    }}
}}
virtual_server 192.168.0.10 636 {{
    delay_loop 1 #interval check in seconds
    protocol TCP
    lvs_sched wrr #weighted round-robin
    lvs_method NAT
    persistence_timeout 7200
    ha_suspend #if node is backup for current VIP, dont check real servers
    sorry_server 192.168.0.13 636

    # serveur applicatif 1
    real_server 192.168.0.11 636 {{
        weight 100 #ratio used by lvs_scheduler
        TCP_CHECK {{
          connect_port 636
          connect_timeout 5
        }}
    }}

    # serveur applicatif 2
    real_server 192.168.0.12 636 {{
        weight 100 #ratio used by lvs_scheduler
        TCP_CHECK {{
          connect_port 636
          connect_timeout 5
        }}
    }}
}}
"
    )
}

const SERVICE: &str = "-A -t 192.168.0.10:636 -s wrr -p 7200";
const FIRST: &str = "-a -t 192.168.0.10:636 -r 192.168.0.11:636 -m -w 100";
const SECOND: &str = "-a -t 192.168.0.10:636 -r 192.168.0.12:636 -m -w 100";
const SORRY: &str = "-a -t 192.168.0.10:636 -r 192.168.0.13:636 -m -w 1";

const VIP: &str = "192.168.0.10";
const FAILOVER_MAX: Duration = Duration::from_secs(60);

#[test]
fn a_pool_with_persistence_a_sorry_server_and_checks_where_the_address_is() {
    scenario(|| {
        let lab = Lab::new();
        let [inside, outside] = [lab.switch(), lab.switch()];
        let [n1, n2, client] = ["N1", "N2", "client"].map(|name| lab.node(name));
        for (node, last) in [(&n1, 1), (&n2, 2)] {
            node.sysctl("net/ipv4/ip_forward", "1");
            lab.connect(node, &inside, nic("eth0", 10, &[&format!("192.168.0.{last}/24")]));
            lab.connect(node, &outside, nic("eth1", 11, &[&format!("10.1.0.{last}/24")]));
        }
        lab.connect(&client, &outside, nic("eth0", 10, &["10.1.0.100/24"]));
        let reals = lab.node("reals");
        lab.connect(&reals, &inside, nic("eth0", 10, &["192.168.0.11/24", "192.168.0.12/24", "192.168.0.13/24"]));
        reals.ip(&["route", "add", "default", "via", VIP]);
        let web = |last: u8| Web::start(&reals, socket(&format!("192.168.0.{last}:636")), &format!("RS{last}"));
        let (mut first, mut second, _sorry) = (Some(web(11)), Some(web(12)), web(13));

        let start = |node: &Node, text: &str| Daemon::start(node, Program::Keepwatch, text, Options::default());
        let mut one = start(&n1, &configuration("192.168.0.1", "192.168.0.2", "MASTER", 100));
        one.wait_for_address(VIP, true, FAILOVER_MAX);
        let two = start(&n2, &configuration("192.168.0.2", "192.168.0.1", "BACKUP", 90));
        for (node, daemon) in [(&n1, &one), (&n2, &two)] {
            wait_for_table(node, daemon, &[SERVICE, FIRST, SECOND]);
        }
        wait_until_said(&two, "Suspending healthcheckers", 0);
        let checks = |web: &Option<Web>, of: &str| web.as_ref().unwrap().connections_from(of.parse().unwrap());
        let next_checks = |web: &Option<Web>, of: &str, count: usize| {
            let enough = checks(web, of) + count;
            wait::until("checks", PATIENCE, || (checks(web, of) >= enough).then_some(()));
        };
        next_checks(&first, "192.168.0.1", 3);
        assert_eq!(checks(&first, "192.168.0.2"), 0, "{}", two.log());

        // A client stays where it came first.
        client.ip(&["route", "add", VIP, "via", "10.1.0.1"]);
        let ask = || fetch(&client, socket("192.168.0.10:636"));
        let whom = ask().unwrap();
        for _ in 0..3 {
            assert_eq!(ask().as_ref(), Ok(&whom));
        }

        // Last resort, and back.
        (first, second) = (None, None);
        wait_for_table(&n1, &one, &[SERVICE, SORRY]);
        assert_eq!(ask().as_deref(), Ok("RS13"), "{}", one.log());
        first = first.or_else(|| Some(web(11)));
        wait_for_table(&n1, &one, &[SERVICE, FIRST]);
        assert_eq!(ask().as_deref(), Ok("RS11"), "{}", one.log());
        second = second.or_else(|| Some(web(12)));
        wait_for_table(&n1, &one, &[SERVICE, FIRST, SECOND]);
        wait_for_table(&n2, &two, &[SERVICE, FIRST, SECOND]);

        // The address moves, and checks with it.
        assert_eq!(checks(&second, "192.168.0.2"), 0);
        assert_eq!(one.stop(), 0);
        two.wait_for_address(VIP, true, FAILOVER_MAX);
        next_checks(&first, "192.168.0.2", 3);
        client.ip(&["route", "replace", VIP, "via", "10.1.0.2"]);
        assert!(["RS11", "RS12"].contains(&ask().unwrap().as_str()));
        second = None;
        wait_for_table(&n2, &two, &[SERVICE, FIRST]);
        assert_eq!(ask().as_deref(), Ok("RS11"));
        assert!(second.is_none());

        // It moves back: the pool stays as it was found, and nobody looks.
        one = start(&n1, &configuration("192.168.0.1", "192.168.0.2", "MASTER", 100));
        one.wait_for_address(VIP, true, FAILOVER_MAX);
        wait_until_said(&two, "Suspending healthcheckers", 1);
        next_checks(&first, "192.168.0.1", 2);
        let so_far = checks(&first, "192.168.0.2");
        next_checks(&first, "192.168.0.1", 4);
        assert_eq!(checks(&first, "192.168.0.2"), so_far, "{}", two.log());
        wait_for_table(&n2, &two, &[SERVICE, FIRST]);
        wait_for_table(&n1, &one, &[SERVICE, FIRST]);
    });
}
