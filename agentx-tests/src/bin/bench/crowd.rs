//! A configuration with many instances and virtual servers.

use std::fmt::Write as _;
use std::time::Duration;

/// Each instance is master at `interval`; each of the `services` has as many real servers, which nobody checks.
pub fn configuration(instances: u32, interval: Duration, services: u32, servers: u32) -> String {
    let mut text = "global_defs {\n router_id bench\n}\n".to_owned();
    for instance in 1..=instances {
        let _ = write!(
            text,
            "vrrp_instance VI_{instance} {{\n state MASTER\n interface eth0\n virtual_router_id {instance}\n priority 150\n version 3\n \
             advert_int {}\n virtual_ipaddress {{\n  10.1.0.{instance}/32\n }}\n}}\n",
            interval.as_secs_f64()
        );
    }
    for service in 1..=services {
        let _ = write!(text, "virtual_server 10.1.0.{service} 80 {{\n lvs_sched wrr\n lvs_method NAT\n protocol TCP\n");
        for server in 1..=servers {
            let _ = write!(text, " real_server 10.2.{service}.{server} 80 {{\n  weight 1\n }}\n");
        }
        text.push_str("}\n");
    }
    text
}
