//! Servers and quorums that come and go, as a trap daemon hears of them.

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::snmp::{KEEPALIVED, Snmpd, Trap, TrapCollector};
use agentx_tests::vm::scenario;
use agentx_tests::wait;

use crate::balancer::{Balancer, PATIENCE};

const CONFIGURATION: &str = "global_defs {
    router_id L1
    enable_traps
}
virtual_server 10.70.0.10 80 {
    delay_loop 1
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    real_server 10.71.0.11 80 {
        TCP_CHECK {
        }
    }
    real_server 10.71.0.12 80 {
        TCP_CHECK {
        }
    }
}
";

#[test]
fn a_server_and_a_quorum_that_go_and_come_back_are_trapped_in_order() {
    scenario(|| {
        let lab = Balancer::new();
        let mut webs = [11, 12].map(|last| Some(lab.web(last)));
        let collector = TrapCollector::start(&lab.director);
        let snmpd = Snmpd::start(&lab.director, Some("127.0.0.1"));
        let agentx = snmpd.agentx();
        let options = Options { agentx: Some(&agentx), ..Options::default() };
        let mut daemon = Daemon::start(&lab.director, Program::Keepwatch, CONFIGURATION, options);
        let mut wanted = vec![quorum(1, 2)];
        let heard = |wanted: &[Trap], daemon: &Daemon| {
            let reached = wait::within(PATIENCE, || (collector.traps().len() >= wanted.len()).then_some(()));
            assert_eq!(collector.traps(), wanted, "{reached:?}; the daemon said:\n{}", daemon.log());
        };
        heard(&wanted, &daemon);
        webs[0] = None;
        wanted.push(server(11, 2, 1));
        heard(&wanted, &daemon);
        webs[1] = None;
        wanted.extend([server(12, 2, 0), quorum(2, 0)]);
        heard(&wanted, &daemon);
        webs[0] = Some(lab.web(11));
        wanted.extend([server(11, 1, 1), quorum(1, 1)]);
        heard(&wanted, &daemon);
        assert_eq!(daemon.stop(), 0);
        wanted.extend([server(11, 2, 0), quorum(3, 0)]);
        heard(&wanted, &daemon);
    });
}

/// realServerStateChange of 10.71.0.`last`: alive(1) or dead(2).
fn server(last: u32, status: u32, up: u32) -> Trap {
    let row = format!("1.{}", last - 10);
    let mut varbinds = vec![
        varbind(&format!("3.4.1.3.{row}"), "INTEGER: 1"),
        varbind(&format!("3.4.1.4.{row}"), &format!("Hex-STRING: 0A 47 00 {last:02X} ")),
        varbind(&format!("3.4.1.5.{row}"), "Gauge32: 80"),
        varbind(&format!("3.4.1.6.{row}"), &format!("INTEGER: {status}")),
    ];
    varbinds.extend(service());
    varbinds.extend(counts(up));
    Trap { oid: format!("{KEEPALIVED}.3.5.0.1"), varbinds }
}

/// virtualServerQuorumStateChange: met(1), notMet(2), shutdown(3).
fn quorum(status: u32, up: u32) -> Trap {
    let mut varbinds = service();
    varbinds.push(varbind("3.3.1.23.1", &format!("INTEGER: {status}")));
    varbinds.push(varbind("3.3.1.22.1", "Gauge32: 1"));
    varbinds.extend(counts(up));
    Trap { oid: format!("{KEEPALIVED}.3.5.0.2"), varbinds }
}

fn service() -> Vec<String> {
    let columns =
        [(2, "INTEGER: 2"), (5, "INTEGER: 1"), (6, "Hex-STRING: 0A 46 00 0A "), (7, "Gauge32: 80"), (8, "INTEGER: 1")];
    columns.map(|(column, value)| varbind(&format!("3.3.1.{column}.1"), value)).to_vec()
}

fn counts(up: u32) -> [String; 3] {
    [
        varbind("3.3.1.21.1", &format!("Gauge32: {up}")),
        varbind("3.3.1.20.1", "Gauge32: 2"),
        varbind("1.2.0", "STRING: \"L1\""),
    ]
}

fn varbind(object: &str, value: &str) -> String {
    format!("{KEEPALIVED}.{object} = {value}")
}
