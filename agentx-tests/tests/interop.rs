//! keepwatchd beside Debian's keepalived on one link, each as master and as backup: takeover both ways, no double
//! master, and not one packet that the other complains about.

use agentx_tests::daemon::Program::{Keepalived, Keepwatch};
use agentx_tests::pair::{Flavour, survive};

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
