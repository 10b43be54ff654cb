//! Ends and deaths: what is left of the kernel's table. Debian's keepalived goes through the same, and what it leaves is
//! what must be left.

use std::time::Duration;

use agentx_tests::capture::{Witness, longest_gap};
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::ipvsadm::{self, ipvsadm};
use agentx_tests::net::Node;
use agentx_tests::snmp::{KEEPALIVED, Manager, Snmpd};
use agentx_tests::tap::Tap;
use agentx_tests::vm::scenario;
use agentx_tests::wait;
use agentx_tests::web::fetch;
use nix::sys::signal::{Signal, kill};

use crate::balancer::{Balancer, PATIENCE, socket, times, wait_until_said};

const OURS: [&str; 5] = [
    "-A -t 10.70.0.10:80 -s rr",
    "-a -t 10.70.0.10:80 -r 10.71.0.11:80 -m -w 1",
    "-a -t 10.70.0.10:80 -r 10.71.0.12:80 -m -w 3",
    "-A -f 5 -s wlc",
    "-a -f 5 -r 10.71.0.11:0 -g -w 1",
];

const FOREIGN: [&str; 2] = ["-A -t 10.70.0.99:80 -s wlc", "-a -t 10.70.0.99:80 -r 10.71.0.13:80 -m -w 1"];

/// Somebody's server in our service.
const GUEST: &str = "-a -t 10.70.0.10:80 -r 10.71.0.99:80 -m -w 1";

fn configuration(global: &str) -> String {
    format!(
        "global_defs {{\n {global}\n}}\nvirtual_server 10.70.0.10 80 {{\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n \
         real_server 10.71.0.11 80 {{\n }}\n real_server 10.71.0.12 80 {{\n weight 3\n }}\n}}\nvirtual_server fwmark 5 \
         {{\n lvs_method DR\n real_server 10.71.0.11 80 {{\n }}\n}}\n"
    )
}

/// What was there while it ran, and after SIGTERM.
type Tables = (Vec<String>, Vec<String>);

fn runs_and_stops(node: &Node, program: Program, global: &str, words: &[&str]) -> Tables {
    ipvsadm(node, "-C");
    for line in FOREIGN {
        ipvsadm(node, line);
    }
    let mut daemon =
        Daemon::start(node, program, &configuration(global), Options { more: words, ..Options::default() });
    let complete = wait::within(PATIENCE, || {
        let found = ipvsadm::saved(node);
        OURS.iter().all(|line| found.iter().any(|it| it == line)).then_some(())
    });
    let name = program.name();
    assert!(complete.is_some(), "{name} {global}: {:#?}\n{}", ipvsadm::saved(node), daemon.log());
    ipvsadm(node, GUEST);
    let running = ipvsadm::saved(node);
    assert_eq!(daemon.stop(), 0, "{name} {global}: {}", daemon.log());
    (running, ipvsadm::saved(node))
}

#[test]
fn every_way_to_stop_leaves_the_table_that_keepalived_leaves() {
    scenario(|| {
        let lab = Balancer::new();
        let with = |more: &[&str]| {
            let mut all: Vec<String> = more.iter().map(|line| (*line).to_owned()).collect();
            all.sort_unstable();
            all
        };
        let running = with(&[OURS.as_slice(), &FOREIGN, &[GUEST]].concat());
        let flushed = with(&[OURS.as_slice(), &[GUEST]].concat());
        let variants: [(&str, &[&str], Tables); 6] = [
            ("", &[], (running.clone(), with(&FOREIGN))),
            ("lvs_flush_on_stop", &[], (running.clone(), with(&[]))),
            ("lvs_flush_on_stop VS", &[], (running.clone(), with(&FOREIGN))),
            ("lvs_flush", &[], (flushed.clone(), with(&[]))),
            ("", &["--dont-release-ipvs"], (running.clone(), running.clone())),
            ("lvs_flush_on_stop", &["--dont-release-ipvs"], (running.clone(), running.clone())),
        ];
        for (global, words, wanted) in variants {
            for program in [Program::Keepalived, Program::Keepwatch] {
                let found = runs_and_stops(&lab.director, program, global, words);
                assert_eq!(found, wanted, "{} with `{global}` {words:?}", program.name());
            }
        }
    });
}

#[test]
fn a_process_that_is_killed_comes_back_and_neither_table_counters_nor_adverts_notice() {
    scenario(|| {
        let lab = Balancer::new();
        let _webs = [11, 12].map(|last| lab.web(last));
        let snmpd = Snmpd::start(&lab.director, None);
        let agentx = snmpd.agentx();
        let pool = "vrrp_instance VI_1 {\n state MASTER\n interface eth0\n virtual_router_id 51\n priority 150\n advert_int \
                    1\n virtual_ipaddress {\n 10.70.0.20/24\n }\n}\nvirtual_server 10.70.0.10 80 {\n delay_loop 1\n \
                    lvs_sched rr\n lvs_method NAT\n protocol TCP\n real_server 10.71.0.11 80 {\n TCP_CHECK {\n }\n }\n \
                    real_server 10.71.0.12 80 {\n MISC_CHECK {\n misc_path /bin/true\n misc_timeout 60\n }\n }\n}\n";
        // The table of a predecessor is taken over whatever lvs_flush says.
        let text = format!("global_defs {{\n lvs_flush\n script_user root\n}}\n{pool}");
        let options = Options { agentx: Some(&agentx), ..Options::default() };
        let daemon = Daemon::start(&lab.director, Program::Keepwatch, &text, options);
        daemon.wait_for_address("10.70.0.20", true, PATIENCE);
        let table = [OURS[0], OURS[1], "-a -t 10.70.0.10:80 -r 10.71.0.12:80 -m -w 1"].map(str::to_owned);
        lab.wait_for_table(&daemon, &table.each_ref().map(String::as_str));
        let witness = Witness::start(&lab.lab);
        let port = lab.lab.ports(&lab.director)[0];
        let ask = || fetch(&lab.client, socket("10.70.0.10:80")).unwrap();
        let connections = || {
            let statistics = ipvsadm::settled_statistics(&lab.director);
            statistics[&("TCP 10.70.0.10:80".to_owned(), None)].connections
        };
        ask();
        ask();
        assert_eq!(connections(), 2);

        let tap = Tap::start(&lab.director);
        let from = wait::now_ns();
        for role in ["checks", "runner", "bridge"] {
            let before = daemon.wait_for_child(role, PATIENCE);
            let started = times(&daemon, &format!("Starting {role} process"));
            let changes = tap.changes(|| {
                kill(before, Signal::SIGKILL).unwrap();
                wait_until_said(&daemon, &format!("Starting {role} process"), started);
                let back = || daemon.child(role).filter(|pid| *pid != before);
                assert!(wait::within(PATIENCE, back).is_some(), "no {role}: {}", daemon.log());
                if role == "checks" {
                    wait_until_said(&daemon, "services: 1 of them are as configured and kept", 0);
                }
                let manager = Manager::on(&lab.director, "127.0.0.1");
                // realServerStatus of both: alive(1).
                let shown = wait::within(PATIENCE, || {
                    let rows = manager.walk(&format!("{KEEPALIVED}.3.4.1.6"));
                    (rows.len() == 2 && rows.iter().all(|row| row.ends_with(" 1"))).then_some(())
                });
                assert!(shown.is_some(), "SNMP after {role}'s death: {}", daemon.log());
            });
            assert_eq!(changes, [0_u8; 0], "{role}: {}", daemon.log());
        }
        assert_eq!(connections(), 2, "counters went back");
        ask();
        assert_eq!(connections(), 3);
        assert_eq!(ipvsadm::saved(&lab.director), table);

        // A backup would have waited for 3.4 s.
        let adverts: Vec<_> = witness.adverts_from(port).into_iter().filter(|(at, _)| *at >= from).collect();
        let (gap, _) = longest_gap(&adverts).unwrap_or_else(|| panic!("no adverts: {}", daemon.log()));
        assert!(Duration::from_nanos(gap) < Duration::from_secs(3), "a gap of {} s", wait::seconds(gap));
        assert!(adverts.iter().all(|(_, advert)| advert.priority == 150));
    });
}
