//! What a FIFO hears of servers and quorums, from Debian's keepalived and from us.

use std::os::unix::fs::PermissionsExt;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::vm::scenario;
use agentx_tests::wait;

use crate::balancer::{Balancer, PATIENCE};

fn configuration(fifo: &str, reader: &str) -> String {
    let check = "TCP_CHECK {\n connect_timeout 1\n retry 0\n }\n";
    format!(
        "global_defs {{\n script_user root\n lvs_notify_fifo {fifo}\n lvs_notify_fifo_script {reader}\n}}\n\
         virtual_server_group GRP {{\n 10.70.0.20 80\n}}\n\
         virtual_server 10.70.0.10 80 {{\n delay_loop 1\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n quorum 2\n \
         real_server 10.71.0.11 80 {{\n {check}}}\n real_server 10.71.0.12 80 {{\n {check}}}\n}}\n\
         virtual_server fwmark 5 {{\n delay_loop 1\n lvs_sched rr\n lvs_method DR\n omega\n real_server 10.71.0.13 0 {{\n}}\n}}\n\
         virtual_server group GRP {{\n delay_loop 1\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n real_server 10.71.0.13 80 \
         {{\n}}\n}}\n"
    )
}

fn hears(program: Program) -> Vec<String> {
    let lab = Balancer::new();
    let mut webs = [11, 12].map(|last| Some(lab.web(last)));
    let directory = lab.director.directory();
    let [fifo, reader, heard] = ["fifo", "reader.sh", "heard"].map(|name| directory.join(name));
    // Keepalived ends its script before the last lines are written.
    std::fs::write(&reader, format!("#!/bin/sh\ntrap '' TERM\ncat \"$1\" >>{}\n", heard.display())).unwrap();
    std::fs::set_permissions(&reader, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = configuration(&fifo.to_string_lossy(), &reader.to_string_lossy());
    let mut daemon = Daemon::start(&lab.director, program, &text, Options::default());
    let lines =
        || -> Vec<String> { std::fs::read_to_string(&heard).unwrap_or_default().lines().map(str::to_owned).collect() };
    let wait = |count: usize, daemon: &Daemon| {
        let reached = wait::within(PATIENCE, || (lines().len() >= count).then_some(()));
        assert!(reached.is_some(), "{} lines, not {:#?}; the daemon said:\n{}", count, lines(), daemon.log());
    };
    wait(3, &daemon);
    webs[0] = None;
    wait(5, &daemon);
    webs[0] = Some(lab.web(11));
    wait(7, &daemon);
    assert_eq!(daemon.stop(), 0);
    wait(9, &daemon);
    lines()
}

#[test]
fn a_fifo_hears_of_servers_and_quorums_what_keepalived_writes() {
    scenario(|| {
        let ours = hears(Program::Keepwatch);
        assert_eq!(ours, hears(Program::Keepalived));
        assert_eq!(ours[3..5], ["RS [10.71.0.11]:tcp:80 [10.70.0.10]:tcp:80 DOWN", "VS [10.70.0.10]:tcp:80 DOWN"]);
        assert_eq!(ours[7..], ["RS [10.71.0.13]:none:0 FWM 5 DOWN", "VS FWM 5 DOWN"]);
    });
}
