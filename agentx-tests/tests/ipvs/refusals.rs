//! What the kernel does not take, and what others do to the table behind the daemon's back.

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::ipvsadm::ipvsadm;
use agentx_tests::tap::{Tap, command};
use agentx_tests::vm::scenario;
use agentx_tests::wait;

use crate::balancer::{Balancer, PATIENCE, reload, times, wait_until_said};

#[test]
fn a_refusal_is_one_line_with_its_place_and_the_rest_goes_on() {
    scenario(|| {
        let lab = Balancer::new();
        let text = "virtual_server 10.70.0.10 5060 {
    lvs_method NAT
    protocol UDP
    persistence_timeout 60
    persistence_engine nosuch
    real_server 10.71.0.11 5060 {
    }
}
virtual_server 10.70.0.10 80 {
    lvs_method NAT
    protocol TCP
    real_server 10.71.0.11 80 {
    }
    real_server 10.71.0.255 80 {
    }
    real_server 2001:db8:71::11 80 {
    }
    real_server 10.71.0.12 80 {
    }
}
";
        let tap = Tap::start(&lab.director);
        let mut daemon = None;
        let web = [
            "-A -t 10.70.0.10:80 -s wlc",
            "-a -t 10.70.0.10:80 -r 10.71.0.11:80 -m -w 1",
            "-a -t 10.70.0.10:80 -r 10.71.0.12:80 -m -w 1",
        ];
        let changes = tap.changes(|| {
            let daemon = daemon.insert(Daemon::start(&lab.director, Program::Keepwatch, text, Options::default()));
            wait_until_said(daemon, "keepalived.conf:1: IPVS refused to add the virtual server", 0);
            lab.wait_for_table(daemon, &web);
        });
        let daemon = daemon.unwrap();
        assert!(changes.contains(&command::NEW_SERVICE));
        // The network's broadcast address, which only the kernel knows to be one; another family, by NAT, is seen before.
        let broadcast = "keepalived.conf:14: IPVS refused to add 10.71.0.255:80";
        wait_until_said(&daemon, broadcast, 0);
        wait_until_said(&daemon, "keepalived.conf:16:17: 2001:db8:71::11 is of another family", 0);
        // Tried again, and not told again.
        let tries = tap.changes(|| {
            let last = tap.count();
            let more = || (tap.count() >= last + 3).then_some(());
            wait::until("more tries", PATIENCE, more);
        });
        assert!(tries.contains(&command::NEW_SERVICE), "{tries:?}");
        assert_eq!(times(&daemon, "keepalived.conf:1: IPVS refused"), 1, "{}", daemon.log());
        assert_eq!(times(&daemon, broadcast), 1, "{}", daemon.log());
        lab.wait_for_table(&daemon, &web);

        // What was wrong is put right.
        let right = text.replace("    persistence_engine nosuch\n", "");
        reload(&daemon, &right.replace("    real_server 2001:db8:71::11 80 {\n    }\n", ""));
        let sip = ["-A -u 10.70.0.10:5060 -s wlc -p 60", "-a -u 10.70.0.10:5060 -r 10.71.0.11:5060 -m -w 1"];
        lab.wait_for_table(&daemon, &[web.as_slice(), &sip].concat());
    });
}

#[test]
fn a_reload_of_which_the_kernel_refuses_something_is_taken_back_as_a_whole() {
    scenario(|| {
        let lab = Balancer::new();
        let text = |weight: u8| {
            format!(
                "virtual_server 10.70.0.10 80 {{\n lvs_method NAT\n protocol TCP\n real_server 10.71.0.11 80 {{\n weight \
                 {weight}\n }}\n}}\n"
            )
        };
        let daemon = Daemon::start(&lab.director, Program::Keepwatch, &text(5), Options::default());
        let ours = ["-A -t 10.70.0.10:80 -s wlc", "-a -t 10.70.0.10:80 -r 10.71.0.11:80 -m -w 5"];
        lab.wait_for_table(&daemon, &ours);
        wait_until_said(&daemon, "Startup complete", 0);
        let sip = "virtual_server 10.70.0.10 5060 {\n lvs_method NAT\n protocol UDP\n persistence_timeout 60\n \
                   persistence_engine nosuch\n real_server 10.71.0.11 5060 {\n }\n}\n";
        daemon.reload(&format!("{}{sip}", text(7)));
        wait_until_said(&daemon, "reload taken back", 0);
        wait_until_said(&daemon, "The configuration before is in force again", 0);
        lab.wait_for_table(&daemon, &ours);
        reload(&daemon, &text(7));
        lab.wait_for_table(&daemon, &[ours[0], "-a -t 10.70.0.10:80 -r 10.71.0.11:80 -m -w 7"]);
    });
}

#[test]
fn what_somebody_changes_by_hand_is_told_and_mended_and_what_is_others_is_left_alone() {
    scenario(|| {
        let lab = Balancer::new();
        let text = "virtual_server 10.70.0.10 80 {\n lvs_method NAT\n protocol TCP\n real_server 10.71.0.11 80 {\n weight 5\n \
                    }\n real_server 10.71.0.12 80 {\n }\n}\nvirtual_server 10.70.0.10 81 {\n lvs_method NAT\n protocol \
                    TCP\n real_server 10.71.0.11 81 {\n }\n}\n";
        let daemon = Daemon::start(&lab.director, Program::Keepwatch, text, Options::default());
        let ours = [
            "-A -t 10.70.0.10:80 -s wlc",
            "-a -t 10.70.0.10:80 -r 10.71.0.11:80 -m -w 5",
            "-a -t 10.70.0.10:80 -r 10.71.0.12:80 -m -w 1",
            "-A -t 10.70.0.10:81 -s wlc",
            "-a -t 10.70.0.10:81 -r 10.71.0.11:81 -m -w 1",
        ];
        lab.wait_for_table(&daemon, &ours);
        wait_until_said(&daemon, "Startup complete", 0);
        for change in [
            "-e -t 10.70.0.10:80 -r 10.71.0.11:80 -m -w 9",
            "-d -t 10.70.0.10:80 -r 10.71.0.12:80",
            "-D -t 10.70.0.10:81",
            "-A -t 10.70.0.99:80 -s rr",
        ] {
            ipvsadm(&lab.director, change);
        }
        lab.wait_for_table(&daemon, &[ours.as_slice(), &["-A -t 10.70.0.99:80 -s rr"]].concat());
        for line in [
            "10.70.0.10:80/tcp: 10.71.0.11:80 had weight 9 instead of 5",
            "10.70.0.10:80/tcp: 10.71.0.12:80 was missing",
            "10.70.0.10:81/tcp was missing",
        ] {
            let line = format!("somebody changed the IPVS table: {line}");
            assert_eq!(times(&daemon, &line), 1, "`{line}`; the daemon said:\n{}", daemon.log());
        }

        // Somebody was first with what a reload brings: it becomes ours, but for a server of theirs.
        ipvsadm(&lab.director, "-A -t 10.70.0.10:82 -s rr");
        ipvsadm(&lab.director, "-a -t 10.70.0.10:82 -r 10.71.0.13:82 -m -w 1");
        let more =
            "virtual_server 10.70.0.10 82 {\n lvs_method NAT\n protocol TCP\n real_server 10.71.0.12 82 {\n }\n}\n";
        reload(&daemon, &format!("{text}{more}"));
        let all = [
            "-A -t 10.70.0.99:80 -s rr",
            "-A -t 10.70.0.10:82 -s wlc",
            "-a -t 10.70.0.10:82 -r 10.71.0.12:82 -m -w 1",
            "-a -t 10.70.0.10:82 -r 10.71.0.13:82 -m -w 1",
        ];
        lab.wait_for_table(&daemon, &[ours.as_slice(), &all].concat());
        wait_until_said(&daemon, "the IPVS table is not as expected", 0);

        // All of ours go with the last virtual server, and come back.
        reload(&daemon, "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n}\n");
        lab.wait_for_table(&daemon, &["-A -t 10.70.0.99:80 -s rr"]);
        reload(&daemon, text);
        lab.wait_for_table(&daemon, &[ours.as_slice(), &["-A -t 10.70.0.99:80 -s rr"]].concat());
    });
}
