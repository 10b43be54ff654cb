//! keepwatchd beside Debian's keepalived on one link, each as master and as backup: takeover both ways, no double
//! master, and not one packet that the other complains about. Unless they are not of one mind about a password.

use std::time::Duration;

use agentx_tests::daemon::Program::{Keepalived, Keepwatch};
use agentx_tests::daemon::{Daemon, Options};
use agentx_tests::pair::{Flavour, Link, survive};
use agentx_tests::wait;

#[test]
fn keepalived_backs_up_keepwatchd_v2_with_a_password() {
    survive([Keepwatch, Keepalived], Flavour::V2);
}

#[test]
fn keepwatchd_backs_up_keepalived_v2_with_a_password() {
    survive([Keepalived, Keepwatch], Flavour::V2);
}

#[test]
fn keepalived_backs_up_keepwatchd_v3_ten_times_a_second() {
    survive([Keepwatch, Keepalived], Flavour::V3);
}

#[test]
fn keepwatchd_backs_up_keepalived_v3_ten_times_a_second() {
    survive([Keepalived, Keepwatch], Flavour::V3);
}

#[test]
fn keepalived_backs_up_keepwatchd_over_ipv6() {
    survive([Keepwatch, Keepalived], Flavour::IPV6);
}

#[test]
fn keepwatchd_backs_up_keepalived_over_ipv6() {
    survive([Keepalived, Keepwatch], Flavour::IPV6);
}

#[test]
fn keepalived_backs_up_keepwatchd_by_unicast() {
    survive([Keepwatch, Keepalived], Flavour::UNICAST);
}

#[test]
fn keepwatchd_backs_up_keepalived_by_unicast() {
    survive([Keepalived, Keepwatch], Flavour::UNICAST);
}

#[test]
fn keepalived_backs_up_keepwatchd_by_v3_unicast() {
    survive([Keepwatch, Keepalived], Flavour::UNICAST_V3);
}

#[test]
fn keepwatchd_backs_up_keepalived_by_v3_unicast() {
    survive([Keepalived, Keepwatch], Flavour::UNICAST_V3);
}

#[test]
fn keepalived_backs_up_keepwatchd_by_ipv6_unicast() {
    survive([Keepwatch, Keepalived], Flavour::UNICAST_IPV6);
}

#[test]
fn keepwatchd_backs_up_keepalived_by_ipv6_unicast() {
    survive([Keepalived, Keepwatch], Flavour::UNICAST_IPV6);
}

#[test]
fn keepalived_backs_up_keepwatchd_with_an_authentication_header() {
    survive([Keepwatch, Keepalived], Flavour::AH);
}

#[test]
fn keepwatchd_backs_up_keepalived_with_an_authentication_header() {
    survive([Keepalived, Keepwatch], Flavour::AH);
}

#[test]
fn keepalived_backs_up_keepwatchd_by_unicast_with_an_authentication_header() {
    survive([Keepwatch, Keepalived], Flavour::UNICAST_AH);
}

#[test]
fn keepwatchd_backs_up_keepalived_by_unicast_with_an_authentication_header() {
    survive([Keepalived, Keepwatch], Flavour::UNICAST_AH);
}

/// Two masters are what such a mistake makes, whoever is the stronger one: neither believes the other.
#[test]
fn routers_with_different_passwords_do_not_believe_each_other_and_both_say_so() {
    for flavour in [Flavour::V2, Flavour::AH] {
        for priorities in [[150, 100], [100, 150]] {
            let link = Link::new();
            let text = |number: u8| flavour.configuration(number, "BACKUP", priorities[usize::from(number) - 1]);
            let ours = Daemon::start(&link.nodes[0], Keepwatch, &text(1), Options::default());
            let other = text(2).replace("s3cret", "another");
            let theirs = Daemon::start(&link.nodes[1], Keepalived, &other, Options::default());
            for (router, daemon) in [&ours, &theirs].into_iter().enumerate() {
                let master = wait::within(Duration::from_secs(10), || link.has_all(router, flavour).then_some(()));
                assert!(master.is_some(), "{flavour:?}, {priorities:?}: not master:\n{}", daemon.log());
            }
            // By its number or by its value, whichever is wrong first.
            ours.process.wait_for_log("dropped an advert from 10.0.0.2", Duration::from_secs(5));
            let theirs_says = || {
                let log = theirs.log();
                ["passwd", "IPSEC-AH"].iter().any(|word| log.contains(word)).then_some(())
            };
            assert!(wait::within(Duration::from_secs(5), theirs_says).is_some(), "{}", theirs.log());
            // Longer than any of the two would wait for a stronger one.
            wait::observe(Duration::from_secs(4));
            assert!(link.has_all(0, flavour) && link.has_all(1, flavour), "{}\n{}", ours.log(), theirs.log());
        }
    }
}
