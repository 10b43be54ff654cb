//! `keepwatch drain`, `ready` and `weight` with connections that are open.

use std::process::Output;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::process::run;
use agentx_tests::vm::scenario;
use agentx_tests::web::{Connection, fetch};

use crate::balancer::{Balancer, PATIENCE, socket};

const CONFIGURATION: &str = "global_defs {
    snmp_rs_stats_update_interval 1
}
virtual_server 10.70.0.10 80 {
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    real_server 10.71.0.11 80 {
    }
    real_server 10.71.0.12 80 {
    }
}
";

#[test]
fn a_drain_waits_for_open_connections_says_how_many_are_left_and_ready_puts_the_server_back() {
    scenario(|| {
        let lab = Balancer::new();
        let _webs = [11, 12].map(|last| lab.web(last));
        let daemon = Daemon::start(&lab.director, Program::Keepwatch, CONFIGURATION, Options::default());
        let table = |weight: u32| {
            let lines = [
                "-A -t 10.70.0.10:80 -s rr".to_owned(),
                format!("-a -t 10.70.0.10:80 -r 10.71.0.11:80 -m -w {weight}"),
                "-a -t 10.70.0.10:80 -r 10.71.0.12:80 -m -w 1".to_owned(),
            ];
            lab.wait_for_table(&daemon, &lines.each_ref().map(String::as_str));
        };
        table(1);
        let tool = Program::Keepwatch.path().with_file_name("keepwatch").display().to_string();
        let control = daemon.directory().join("main.sock").display().to_string();
        let keepwatch = |words: &str| {
            let mut all = vec![tool.as_str()];
            all.extend(words.split_whitespace());
            all.extend(["--socket", &control]);
            lab.director.command(&all)
        };
        let said = |output: &Output| {
            let text =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            (output.status.code(), text)
        };

        let mut open: Vec<Connection> =
            (0..2).map(|_| Connection::open(&lab.client, socket("10.70.0.10:80")).unwrap()).collect();
        let mut names: Vec<String> = open.iter_mut().map(|connection| connection.ask().unwrap()).collect();
        let (code, text) = said(&run(keepwatch("drain 10.71.0.11:80 --wait --timeout 3")));
        assert_eq!(code, Some(1), "{text}; {}", daemon.log());
        assert!(text.contains("1 active"), "{text}");
        table(0);
        for _ in 0..4 {
            assert_eq!(fetch(&lab.client, socket("10.70.0.10:80")).as_deref(), Ok("W12"));
        }
        let at = names.iter().position(|name| name == "W11").unwrap();
        assert_eq!(open[at].ask().as_deref(), Ok("W11"), "it was open before");

        let mut drain = lab.director.spawn("drain", keepwatch("drain 10.71.0.11:80 --wait --timeout 120"));
        drop(open.remove(at));
        names.remove(at);
        assert_eq!(drain.exit_code(PATIENCE), 0, "{}; {}", drain.log(), daemon.log());

        let (code, text) = said(&run(keepwatch("weight 10.71.0.99:80 1")));
        assert_eq!(code, Some(3), "{text}");
        let (code, text) = said(&run(keepwatch("ready 10.71.0.11")));
        assert_eq!(code, Some(0), "{text}");
        table(1);
        let mut answers: Vec<String> = (0..2).map(|_| fetch(&lab.client, socket("10.70.0.10:80")).unwrap()).collect();
        answers.sort();
        assert_eq!(answers, ["W11", "W12"]);
        assert_eq!(open[0].ask(), Ok(names.remove(0)));
    });
}
