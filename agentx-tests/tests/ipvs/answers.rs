//! What `keepwatch reload` answers about the kernel's table: what somebody had changed there, what it refuses, and what is as before
//! when it was taken back.

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::ipvsadm::{ipvsadm, saved};
use agentx_tests::tap::Tap;
use agentx_tests::vm::scenario;
use agentx_tests::wait;

use crate::balancer::{Balancer, PATIENCE, wait_until_said};

/// A pool of two with these weights.
fn web(weights: [u32; 2]) -> String {
    let [first, second] = weights;
    format!(
        "virtual_server 10.70.0.10 80 {{\n lvs_method NAT\n protocol TCP\n real_server 10.71.0.11 80 {{\n weight {first}\n }}\n \
         real_server 10.71.0.12 80 {{\n weight {second}\n }}\n}}\n"
    )
}

/// What no kernel takes.
const REFUSED: &str = "virtual_server 10.70.0.10 5060 {\n lvs_method NAT\n protocol UDP\n persistence_timeout 60\n \
                       persistence_engine nosuch\n real_server 10.71.0.11 5060 {\n }\n}\n";

fn table(weights: [u32; 2]) -> Vec<String> {
    let server = |last: u8, weight: u32| format!("-a -t 10.70.0.10:80 -r 10.71.0.{last}:80 -m -w {weight}");
    vec!["-A -t 10.70.0.10:80 -s wlc".to_owned(), server(11, weights[0]), server(12, weights[1])]
}

#[track_caller]
fn wait_for(lab: &Balancer, daemon: &Daemon, weights: [u32; 2]) {
    let lines = table(weights);
    lab.wait_for_table(daemon, &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

fn started(lab: &Balancer, text: &str, weights: [u32; 2]) -> Daemon {
    let daemon = Daemon::start(&lab.director, Program::Keepwatch, text, Options::default());
    wait_for(lab, &daemon, weights);
    wait_until_said(&daemon, "Startup complete", 0);
    daemon
}

fn write(daemon: &Daemon, text: &str) {
    std::fs::write(daemon.directory().join("keepalived.conf"), text).unwrap();
}

#[test]
fn what_somebody_has_changed_is_in_the_answer_of_a_reload_which_mends_it_and_of_a_plan_which_does_not() {
    scenario(|| {
        let lab = Balancer::new();
        let daemon = started(&lab, &web([5, 1]), [5, 1]);
        let quiet = daemon.tool_json(&["reload"]);
        assert_eq!(quiet["drift"], serde_json::json!({ "lines": [], "more": 0 }));

        ipvsadm(&lab.director, "-e -t 10.70.0.10:80 -r 10.71.0.11:80 -m -w 9");
        ipvsadm(&lab.director, "-d -t 10.70.0.10:80 -r 10.71.0.12:80");
        let found = [
            "10.70.0.10:80/tcp: 10.71.0.11:80 had weight 9 instead of 5",
            "10.70.0.10:80/tcp: 10.71.0.12:80 was missing",
        ];
        // The table is looked at from time to time: then nobody has to be told any more.
        let tap = Tap::start(&lab.director);
        let plan = daemon.tool(&["reload", "--plan"]);
        let mended = daemon.log().contains("somebody changed the IPVS table");
        if !mended {
            assert!(found.iter().all(|line| plan.text.contains(line)), "{plan:?}");
            assert!(plan.status == 0 && plan.text.contains("nothing would change"), "{plan:?}");
            assert_eq!(tap.count(), 0, "a plan does nothing");
            assert!(saved(&lab.director).iter().any(|line| line.ends_with("-w 9")));
        }
        if !daemon.log().contains("somebody changed the IPVS table") {
            let done = daemon.tool(&["reload"]);
            assert_eq!(done.status, 0, "{done:?}; {}", daemon.log());
            assert!(found.iter().all(|line| done.text.contains(line)), "{done:?}; {}", daemon.log());
            assert!(done.text.contains("in force after"), "{done:?}");
        }
        wait_for(&lab, &daemon, [5, 1]);

        // A server that goes with the file is not put back before, and more than anybody reads is counted.
        let many = |count: u8| {
            let servers =
                (1..=count).map(|last| format!(" real_server 10.71.0.{last} 81 {{\n }}\n")).collect::<String>();
            format!("{}virtual_server 10.70.0.10 81 {{\n lvs_method NAT\n protocol TCP\n{servers}}}\n", web([5, 1]))
        };
        write(&daemon, &many(15));
        assert_eq!(daemon.tool(&["reload"]).status, 0, "{}", daemon.log());
        for last in 1..=15 {
            ipvsadm(&lab.director, &format!("-e -t 10.70.0.10:81 -r 10.71.0.{last}:81 -m -w 7"));
        }
        write(&daemon, &many(3));
        let told = daemon.tool_json(&["reload"]);
        let lines = told["drift"]["lines"].as_array().unwrap();
        let of_an_audit = daemon.log().matches("had weight 7 instead of 1").count() > lines.len();
        assert!(lines.len() == 10 && told["drift"]["more"] == 5 || of_an_audit, "{told}; {}", daemon.log());
        assert_eq!(saved(&lab.director).len(), 3 + 4);
    });
}

#[test]
fn a_drain_outlasts_a_reload_that_is_taken_back() {
    scenario(|| {
        let lab = Balancer::new();
        let daemon = started(&lab, &web([5, 1]), [5, 1]);
        assert_eq!(daemon.tool(&["drain", "10.71.0.11:80"]).status, 0, "{}", daemon.log());
        wait_for(&lab, &daemon, [0, 1]);
        write(&daemon, &format!("{}{REFUSED}", web([7, 3])));
        let refused = daemon.tool(&["reload"]);
        assert!(refused.status == 1 && refused.text.contains("IPVS refused"), "{refused:?}; {}", daemon.log());
        wait_until_said(&daemon, "The configuration before is in force again", 0);
        wait_for(&lab, &daemon, [0, 1]);
        let shown = daemon.tool(&["ipvs"]);
        assert!(shown.status <= 1 && shown.text.contains("10.71.0.11"), "{shown:?}");
        assert_eq!(daemon.tool(&["ready", "10.71.0.11:80"]).status, 0, "{}", daemon.log());
        wait_for(&lab, &daemon, [5, 1]);

        // The same when the file has nothing to balance any more, and vrrp is who cannot have it.
        assert_eq!(daemon.tool(&["drain", "10.71.0.12:80"]).status, 0, "{}", daemon.log());
        wait_for(&lab, &daemon, [5, 0]);
        write(
            &daemon,
            "static_routes {\n 10.50.0.0/24 via 192.0.2.254 dev eth0\n}\nvrrp_instance VI_1 {\n interface eth0\n \
                        virtual_router_id 51\n}\n",
        );
        let refused = daemon.tool(&["reload"]);
        assert!(refused.status == 1 && refused.text.contains("the kernel refuses"), "{refused:?}; {}", daemon.log());
        wait_for(&lab, &daemon, [5, 0]);
    });
}

#[test]
fn of_two_reloads_at_once_neither_lets_through_what_the_kernel_refuses() {
    scenario(|| {
        let lab = Balancer::new();
        let daemon = started(&lab, &web([5, 1]), [5, 1]);
        write(&daemon, &format!("{}{REFUSED}", web([7, 1])));
        let mut both = ["first", "second"].map(|name| daemon.tool_in_background(name, &["reload"]));
        for tool in &mut both {
            assert_eq!(tool.exit_code(PATIENCE), 1, "{}; {}", tool.log(), daemon.log());
            assert!(tool.log().contains("IPVS refused"), "{}", tool.log());
        }
        wait_for(&lab, &daemon, [5, 1]);
        write(&daemon, &web([7, 1]));
        let again = wait::within(PATIENCE, || (daemon.tool(&["reload"]).status == 0).then_some(()));
        assert!(again.is_some(), "{}", daemon.log());
        wait_for(&lab, &daemon, [7, 1]);
    });
}
