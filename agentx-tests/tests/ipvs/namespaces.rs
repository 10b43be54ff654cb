//! Where the kernel's table is, and its timeouts, from a file that Debian's keepalived reads as well.

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::ipvsadm;
use agentx_tests::vm::scenario;
use agentx_tests::wait;

use crate::balancer::{Balancer, PATIENCE, wait_for_table};

#[test]
fn services_and_timeouts_are_those_of_the_namespace_for_ipvs_while_servers_are_checked_from_here() {
    scenario(|| {
        for program in [Program::Keepalived, Program::Keepwatch] {
            let lab = Balancer::new();
            let _web = lab.web(11);
            let elsewhere = lab.lab.node("ipvs");
            let text = format!(
                "net_namespace_ipvs {}\nglobal_defs {{\n lvs_timeouts tcp 901 tcpfin 61 udp 31\n}}\n\
                 virtual_server 10.70.0.10 80 {{\n delay_loop 1\n alpha\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n \
                 real_server 10.71.0.11 80 {{\n TCP_CHECK {{\n connect_timeout 1\n }}\n }}\n}}\n",
                elsewhere.namespace()
            );
            let mut daemon = Daemon::start(&lab.director, program, &text, Options::default());
            // With `alpha` only a check that passed brings the server in, and it is reached from the director alone.
            let table = ["-A -t 10.70.0.10:80 -s rr", "-a -t 10.70.0.10:80 -r 10.71.0.11:80 -m -w 1"];
            wait_for_table(&elsewhere, &daemon, &table);
            let times = || ipvsadm::ipvsadm(&elsewhere, "-L --timeout").contains("901 61 31").then_some(());
            assert!(wait::within(PATIENCE, times).is_some(), "{}: {}", program.name(), daemon.log());
            assert_eq!(ipvsadm::saved(&lab.director), [""; 0], "{}", program.name());
            assert_eq!(daemon.stop(), 0, "{}", daemon.log());
            assert_eq!(ipvsadm::saved(&elsewhere), [""; 0], "{}", program.name());
        }
    });
}
