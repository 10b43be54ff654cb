//! Reloads: what did not change is not touched, and goes on.

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::ipvsadm::{self, ipvsadm};
use agentx_tests::net::Node;
use agentx_tests::process::command_line;
use agentx_tests::snmp::{KEEPALIVED, Manager, Snmpd};
use agentx_tests::tap::{Tap, command};
use agentx_tests::vm::scenario;
use agentx_tests::wait;
use agentx_tests::web::Connection;

use crate::balancer::{Balancer, PATIENCE, reload, socket, times, wait_until_said};

const WEB: &str = "-t 10.70.0.10:80";

/// A weighted pool with persistence: W11 and W12 with these weights; `more` is in its block, `others` behind it.
fn configuration(weights: [u32; 2], more: &str, others: &str) -> String {
    let [first, second] = weights;
    format!(
        "virtual_server 10.70.0.10 80 {{
    delay_loop 1
    lvs_sched wrr
    lvs_method NAT
    protocol TCP
    persistence_timeout 300
    {}
    {}
    {more}
}}
{others}
",
        real(11, first),
        real(12, second),
    )
}

fn real(last: u8, weight: u32) -> String {
    format!("real_server 10.71.0.{last} 80 {{\n weight {weight}\n TCP_CHECK {{\n connect_timeout 5\n }}\n }}")
}

fn service() -> String {
    format!("-A {WEB} -s wrr -p 300")
}

fn destination(last: u8, weight: u32) -> String {
    format!("-a {WEB} -r 10.71.0.{last}:80 -m -w {weight}")
}

fn wait_for(lab: &Balancer, daemon: &Daemon, lines: &[String]) {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lab.wait_for_table(daemon, &lines);
}

fn start(lab: &Balancer, configuration: &str, options: Options<'_>) -> Daemon {
    let daemon = Daemon::start(&lab.director, Program::Keepwatch, configuration, options);
    wait_until_said(&daemon, "Startup complete", 0);
    daemon
}

/// Clients that the kernel remembers: client, virtual address, server. A template has no client's port.
fn templates(node: &Node) -> Vec<String> {
    let lines = ipvsadm(node, "-Lnc");
    let template = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let of = words.get(3)?;
        of.ends_with(":0").then(|| words.get(3..).unwrap_or_default().join(" "))
    };
    lines.lines().filter_map(template).collect()
}

#[test]
fn a_reload_with_one_new_weight_is_one_command_and_a_broken_one_none() {
    scenario(|| {
        let lab = Balancer::new();
        let _webs = [11, 12].map(|last| lab.web(last));
        let other = format!(
            "virtual_server 10.70.0.10 8080 {{\n protocol UDP\n lvs_method NAT\n {}\n}}",
            "real_server 10.71.0.13 53 {\n}"
        );
        let daemon = start(&lab, &configuration([10, 20], "", &other), Options::default());
        let rest = ["-A -u 10.70.0.10:8080 -s wlc".to_owned(), "-a -u 10.70.0.10:8080 -r 10.71.0.13:53 -m -w 1".into()];
        let table = |weights: [u32; 2]| {
            let pool = [service(), destination(11, weights[0]), destination(12, weights[1])];
            [pool.as_slice(), rest.as_slice()].concat()
        };
        wait_for(&lab, &daemon, &table([10, 20]));
        let mut open = Connection::open(&lab.client, socket("10.70.0.10:80")).unwrap();
        let whom = open.ask().unwrap();
        let statistics = ipvsadm::settled_statistics(&lab.director);
        let remembered = templates(&lab.director);
        assert_eq!(remembered.len(), 1, "{}", ipvsadm(&lab.director, "-Lnc"));

        let tap = Tap::start(&lab.director);
        let changes = tap.changes(|| {
            reload(&daemon, &configuration([10, 30], "", &other));
            wait_for(&lab, &daemon, &table([10, 30]));
        });
        assert_eq!(changes, [command::SET_DEST], "{}", daemon.log());
        assert_eq!(ipvsadm::settled_statistics(&lab.director), statistics, "counters start anew");
        assert_eq!(templates(&lab.director), remembered);
        assert_eq!(open.ask(), Ok(whom), "the connection that was open");

        // Nothing, for the same once more, and for what cannot be understood.
        let changes = tap.changes(|| {
            reload(&daemon, &configuration([10, 30], "", &other));
            let before = times(&daemon, "reload refused");
            daemon.reload("virtual_server 10.70.0.10 80 {\n real_server 10.71.0.11 no-port {\n");
            wait_until_said(&daemon, "reload refused", before);
        });
        assert_eq!(changes, [0_u8; 0], "{}", daemon.log());
        wait_for(&lab, &daemon, &table([10, 30]));
        assert_eq!(ipvsadm::settled_statistics(&lab.director)[&("UDP 10.70.0.10:8080".into(), None)].connections, 0);

        // A setting of the service is one, too.
        let changes = tap.changes(|| {
            let text =
                configuration([10, 30], "", &other).replace("persistence_timeout 300", "persistence_timeout 360");
            reload(&daemon, &text);
            let wanted: Vec<String> = table([10, 30]).iter().map(|line| line.replace("-p 300", "-p 360")).collect();
            wait_for(&lab, &daemon, &wanted);
        });
        assert_eq!(changes, [command::SET_SERVICE], "{}", daemon.log());
        assert_eq!(templates(&lab.director), remembered);
    });
}

#[test]
fn servers_and_services_come_and_go_and_an_operator_s_weight_stays_with_a_server_that_did_not_change() {
    scenario(|| {
        let lab = Balancer::new();
        let _webs = [11, 12, 13].map(|last| lab.web(last));
        let snmpd = Snmpd::start(&lab.director, None);
        let agentx = snmpd.agentx();
        let options = Options { agentx: Some(&agentx), ..Options::default() };
        let daemon = start(&lab, &configuration([10, 20], "", ""), options);
        wait_for(&lab, &daemon, &[service(), destination(11, 10), destination(12, 20)]);
        let manager = Manager::on(&lab.director, "127.0.0.1");
        let weight = format!("{KEEPALIVED}.3.4.1.7.1.1");
        let there = wait::within(PATIENCE, || manager.number(&weight).filter(|weight| *weight == 10));
        assert!(there.is_some(), "{}", daemon.log());
        let (said, code) = manager.raw("snmpset", "private", &[&weight, "i", "0"]);
        assert_eq!(code, 0, "{said}; {}", daemon.log());
        wait_for(&lab, &daemon, &[service(), destination(11, 0), destination(12, 20)]);

        // Another server's weight, a new server, a new service.
        let tap = Tap::start(&lab.director);
        let other =
            "virtual_server 10.70.0.10 81 {\n protocol TCP\n lvs_method DR\n real_server 10.71.0.13 81 {\n }\n}";
        let others = ["-A -t 10.70.0.10:81 -s wlc".to_owned(), "-a -t 10.70.0.10:81 -r 10.71.0.13:81 -g -w 1".into()];
        let changes = tap.changes(|| {
            reload(&daemon, &configuration([10, 25], &real(13, 7), other));
            let pool = [service(), destination(11, 0), destination(12, 25), destination(13, 7)];
            wait_for(&lab, &daemon, &[pool.as_slice(), others.as_slice()].concat());
        });
        let mut sorted = changes.clone();
        sorted.sort_unstable();
        let wanted = [command::NEW_SERVICE, command::NEW_DEST, command::NEW_DEST, command::SET_DEST];
        assert_eq!(sorted, wanted, "{changes:?}");
        let shown =
            wait::within(PATIENCE, || manager.number(&format!("{KEEPALIVED}.3.4.1.7.1.3")).filter(|it| *it == 7));
        assert!(shown.is_some(), "{:#?}", manager.walk(&format!("{KEEPALIVED}.3.4.1.7")));
        assert_eq!(manager.number(&weight), Some(0));

        // They go; the operator's server is changed, which puts the file in force again.
        let changes = tap.changes(|| {
            reload(&daemon, &configuration([11, 25], "", ""));
            wait_for(&lab, &daemon, &[service(), destination(11, 11), destination(12, 25)]);
        });
        let mut sorted = changes.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [command::DEL_SERVICE, command::SET_DEST, command::DEL_DEST], "{changes:?}");
        let shown = wait::within(PATIENCE, || manager.number(&weight).filter(|it| *it == 11));
        assert!(shown.is_some(), "{:#?}", manager.walk(&format!("{KEEPALIVED}.3.4.1.7")));
        let rows = wait::within(PATIENCE, || {
            let rows = manager.walk(&format!("{KEEPALIVED}.3.4.1.7")).len();
            (rows == 2).then_some(())
        });
        assert!(rows.is_some(), "{:#?}", manager.walk(&format!("{KEEPALIVED}.3.4.1.7")));
    });
}

#[test]
fn a_script_that_is_replaced_while_it_runs_is_ended_and_the_new_one_decides() {
    scenario(|| {
        let lab = Balancer::new();
        let script = |name: &str, text: &str| {
            let path = lab.director.directory().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            path.display().to_string()
        };
        let (slow, good) = (script("slow.sh", "exec sleep 4321"), script("good.sh", "exit 0"));
        let pool = |path: &str| {
            format!(
                "global_defs {{\n script_user root\n}}\nvirtual_server 10.70.0.10 80 {{\n delay_loop 1\n alpha\n lvs_sched rr\n \
                 lvs_method NAT\n protocol TCP\n real_server 10.71.0.11 80 {{\n MISC_CHECK {{\n misc_path {path}\n \
                 misc_timeout 600\n }}\n }}\n}}\n"
            )
        };
        let daemon = start(&lab, &pool(&slow), Options::default());
        let sleepers = || {
            let sleeps = |pid: &_| command_line(*pid) == "sleep 4321";
            lab.director.pids().iter().filter(|pid| sleeps(pid)).count()
        };
        wait::until("the slow script to run", PATIENCE, || (sleepers() == 1).then_some(()));
        lab.wait_for_table(&daemon, &["-A -t 10.70.0.10:80 -s rr"]);
        reload(&daemon, &pool(&good));
        lab.wait_for_table(&daemon, &["-A -t 10.70.0.10:80 -s rr", "-a -t 10.70.0.10:80 -r 10.71.0.11:80 -m -w 1"]);
        let ended = wait::within(PATIENCE, || (sleepers() == 0).then_some(()));
        assert!(ended.is_some(), "the old script still runs; the daemon said:\n{}", daemon.log());
    });
}
