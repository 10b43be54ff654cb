//! The embedded responder, without snmpd: variables per second by snmpbulkwalk, and per second of the bridge's processor time.

use std::time::{Duration, Instant};

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::usage;
use agentx_tests::wait::{observe, within};

use super::snmp::{configuration, host, lines_of_walk};

const INSTANCES: u32 = 250;
const TIMES: usize = 20;
/// More rows than fit a message: the responder fills it.
const TOOL: [&str; 2] = ["snmpbulkwalk", "-Cr500"];

const SETTINGS: &str = "snmp:\n  responder:\n    listen: [127.0.0.1]\n    communities: [{name: public}]\n";

pub fn bench() {
    println!("\nThe embedded responder under snmpbulkwalk, {INSTANCES} VRRP instances, {TIMES} walks");
    let (_lab, node) = host();
    // Settings are read beside the configuration.
    let directory = node.directory().join(Program::Keepwatch.name());
    let written =
        std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(directory.join("keepwatch.yaml"), SETTINGS));
    written.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let configuration = configuration(INSTANCES).replace(" router_id bench\n", " router_id bench\n enable_snmp_vrrp\n");
    let daemon = Daemon::start(&node, Program::Keepwatch, &configuration, Options::default());
    let masters = || node.addresses().iter().filter(|address| address.ends_with("/32")).count();
    let settled = within(Duration::from_secs(60), || (masters() == INSTANCES as usize).then_some(()));
    assert!(settled.is_some(), "master of {} only; it said:\n{}", masters(), daemon.log());
    observe(Duration::from_secs(7));
    let bridge = daemon.wait_for_child("bridge", Duration::from_secs(5));
    let rows = lines_of_walk(&node, &TOOL);
    assert!(rows > 20 * INSTANCES as usize, "a walk shows {rows} rows only; it said:\n{}", daemon.log());
    let (used, mut best) = (usage::cpu(bridge), f64::INFINITY);
    for _ in 0..TIMES {
        let began = Instant::now();
        assert_eq!(lines_of_walk(&node, &TOOL), rows);
        best = best.min(began.elapsed().as_secs_f64());
    }
    let used = (usage::cpu(bridge) - used).as_secs_f64();
    println!("{:>9} variables, best walk {best:.3} s: {:.0} variables/s", rows, rows as f64 / best);
    // The clock of processes ticks a hundred times a second.
    println!(
        "{:>9} {used:.2} s of the bridge's processor time for all walks: {:.0} variables per second of one core",
        "",
        (rows * TIMES) as f64 / used.max(0.01)
    );
}
