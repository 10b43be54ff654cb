//! What reads well and cannot work: each check across blocks finds its mistake, in its place, and nothing else.

use keepwatch::conf::{Diagnostic, Loaded, Severity};

use crate::{codes, load};

/// Two instances of one sync group, each with lines of its own.
fn pair(first: &str, second: &str) -> Loaded {
    let instance = |number: u8, lines: &str| {
        format!(
            "vrrp_instance VI_{number} {{\n interface eth0\n virtual_router_id {number}\n {lines}\n virtual_ipaddress {{\n \
             192.0.2.10{number}/24\n }}\n}}\n"
        )
    };
    let group = "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n sync_group_tracking_weight\n}\n";
    load(&format!("{group}{}{}", instance(1, first), instance(2, second)))
}

/// An instance with trackers; the script is known as `chk`.
fn tracking(script: &str, instance: &str) -> Loaded {
    load(&format!(
        "global_defs {{\n enable_script_security\n script_user root\n}}\nvrrp_script chk {{\n script \"</etc/hostname\"\n {script}\n}}\n\
         vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 1\n {instance}\n virtual_ipaddress {{\n 192.0.2.100/24\n }}\n}}\n"
    ))
}

fn service(lines: &str) -> Loaded {
    load(&format!("virtual_server 192.0.2.11 80 {{\n protocol TCP\n lvs_sched rr\n lvs_method NAT\n {lines}\n}}\n"))
}

fn only(loaded: &Loaded) -> &Diagnostic {
    assert_eq!(loaded.diagnostics.len(), 1, "{}", loaded.render());
    &loaded.diagnostics[0]
}

/// Line and column.
type Place = (u32, u32);

/// Severity, code, line and column, and line and column of the first related place.
fn told(loaded: &Loaded) -> (Severity, &str, Place, Option<Place>) {
    let it = only(loaded);
    assert!(it.hint.is_some(), "{it:?}");
    assert_eq!(loaded.status, 0, "Keepalived says nothing: {it:?}");
    let related = it.related.first().map(|(span, _)| (span.line, span.column));
    (it.severity, it.code, (it.span.line, it.span.column), related)
}

#[test]
fn members_of_a_sync_group_agree_about_what_decides_the_election() {
    let warned = |line, column, related| (Severity::Warning, "group-disagrees", (line, column), Some(related));
    assert_eq!(codes(&pair("priority 150", "priority 150")), [] as [&str; 0]);
    assert_eq!(told(&pair("priority 150", "priority 100")), warned(19, 11, (11, 11)));
    assert_eq!(told(&pair("priority 150", "")).2, (16, 15), "where nothing is written, the instance is pointed at");
    assert_eq!(told(&pair("nopreempt", "preempt")), warned(19, 2, (11, 2)));
    assert_eq!(told(&pair("state MASTER\n priority 150", "priority 150\n state BACKUP")), warned(21, 8, (11, 8)));
    assert_eq!(told(&pair("version 3", "version 2")), warned(19, 10, (11, 10)));
    let slow = pair("advert_int 1", "advert_int 5");
    assert_eq!(told(&slow), (Severity::Hint, "group-disagrees", (19, 13), Some((11, 13))));
    assert!(only(&slow).message.contains("every 5 s"), "{}", only(&slow).message);
}

#[test]
fn a_state_that_is_corrected_is_told_once() {
    let ah = "priority 150\n state MASTER\n authentication {\n auth_type AH\n auth_pass x\n }";
    assert_eq!(codes(&pair(ah, "priority 150\n state MASTER")), ["ah-master"]);
    assert_eq!(codes(&pair("priority 150\n state MASTER", ah)), ["ah-master"]);
    assert_eq!(codes(&pair(ah, "priority 150\n state BACKUP")), ["ah-master"]);
    let backup = ah.replace("MASTER", "BACKUP");
    assert_eq!(codes(&pair(&backup, "priority 150\n state MASTER")), ["group-disagrees"]);
}

#[test]
fn an_address_of_two_instances_is_told_whatever_its_interface_and_prefix_unless_each_link_has_its_own() {
    let two = |first: &str, second: &str| {
        let instance = |number: u8, line: &str| {
            format!(
                "vrrp_instance VI_{number} {{\n interface eth0\n virtual_router_id {number}\n virtual_ipaddress {{\n {line}\n }}\n}}\n"
            )
        };
        load(&format!("{}{}", instance(1, first), instance(2, second)))
    };
    let shared = (Severity::Warning, "shared-address", (12, 2), Some((5, 2)));
    assert_eq!(told(&two("192.0.2.100/24", "192.0.2.100/24")), shared);
    assert_eq!(told(&two("192.0.2.100/24 dev eth0", "192.0.2.100/24 dev eth1")), shared);
    assert_eq!(told(&two("192.0.2.100/24", "192.0.2.100/32 dev lo")), shared);
    assert_eq!(codes(&two("192.0.2.100/24", "192.0.2.101/24 dev eth1")), [] as [&str; 0]);
    assert_eq!(codes(&two("169.254.1.1/24", "169.254.1.1/24 dev eth1")), [] as [&str; 0]);
    assert_eq!(told(&two("169.254.1.1/24", "169.254.1.1/24 dev eth0")), shared);
}

#[test]
fn members_of_both_families_may_speak_the_versions_of_their_families() {
    let loaded = load(
        "vrrp_sync_group G {\n group {\n A\n B\n }\n}\n\
         vrrp_instance A {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 192.0.2.100/24\n }\n}\n\
         vrrp_instance B {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n fe80::100/64\n 2001:db8:1::100/64\n }\n}\n",
    );
    assert_eq!(codes(&loaded), [] as [&str; 0], "{}", loaded.render());
}

#[test]
fn a_weight_that_no_priority_has_room_for_is_told() {
    let track =
        |priority: &str, line: &str| tracking("", &format!("priority {priority}\n track_script {{\n {line}\n }}"));
    assert_eq!(codes(&track("100", "chk weight 20")), [] as [&str; 0]);
    assert_eq!(codes(&track("254", "chk weight -20")), [] as [&str; 0]);
    assert_eq!(codes(&track("254", "chk")), [] as [&str; 0]);
    let above = track("254", "chk weight 20");
    assert_eq!(told(&above), (Severity::Warning, "weight-without-effect", (14, 2), Some((12, 11))));
    assert_eq!(codes(&track("1", "chk weight -20")), ["weight-without-effect"]);
    assert_eq!(codes(&track("254", "chk weight 20 reverse")), [] as [&str; 0], "it is taken away");
    assert_eq!(codes(&track("254", "chk weight -20 reverse")), ["weight-without-effect"]);
    let interface = tracking("", "priority 254\n track_script {\n chk\n }\n track_interface {\n eth1 weight 5\n }");
    assert_eq!((told(&interface).1, told(&interface).2), ("weight-without-effect", (17, 2)));
}

#[test]
fn with_nopreempt_a_weight_moves_nothing() {
    let with = |line: &str| tracking("", &format!("nopreempt\n track_script {{\n {line}\n }}"));
    assert_eq!(told(&with("chk weight -20")), (Severity::Hint, "nopreempt-weight", (14, 2), Some((12, 2))));
    assert_eq!(codes(&with("chk")), [] as [&str; 0]);
}

#[test]
fn a_script_much_slower_than_the_election_is_pointed_out() {
    let with = |script: &str| tracking(script, "track_script {\n chk\n }");
    assert_eq!(codes(&with("interval 5\n fall 3")), [] as [&str; 0]);
    let slow = with("interval 30\n fall 3");
    assert_eq!(told(&slow), (Severity::Hint, "slow-check", (14, 2), Some((7, 11))));
    assert!(only(&slow).message.contains("needs 90 s"), "{}", only(&slow).message);
    assert!(only(&slow).message.ends_with("after 3.609 s"), "{}", only(&slow).message);
}

#[test]
fn one_fifo_for_two_kinds_of_news_is_told_with_its_first_use() {
    let global = |lines: &str| load(&format!("global_defs {{\n {lines}\n}}\n"));
    let shared = global("notify_fifo /run/a.fifo\n vrrp_notify_fifo /run/a.fifo");
    assert_eq!(told(&shared), (Severity::Warning, "same-fifo", (3, 19), Some((2, 14))));
    assert_eq!(codes(&global("notify_fifo /run/a.fifo\n vrrp_notify_fifo /run/b.fifo")), [] as [&str; 0]);
}

#[test]
fn mail_to_nobody_is_pointed_out() {
    let loaded = load(
        "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 1\n smtp_alert\n virtual_ipaddress {\n 192.0.2.100/24\n }\n}\n",
    );
    assert_eq!(told(&loaded), (Severity::Hint, "no-recipient", (4, 2), None));
}

#[test]
fn a_service_whose_address_nobody_has_is_pointed_out() {
    let text = |address: &str| {
        format!(
            "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {{\n 192.0.2.100/24\n }}\n}}\n\
             virtual_server {address} 80 {{\n protocol TCP\n lvs_sched rr\n lvs_method NAT\n real_server 198.51.100.2 80 {{\n }}\n}}\n"
        )
    };
    assert_eq!(told(&load(&text("192.0.2.101"))), (Severity::Hint, "service-nowhere", (8, 16), None));
    for held in ["192.0.2.100", "192.0.2.11"] {
        assert_eq!(codes(&load(&text(held))), [] as [&str; 0], "{held}");
    }
}

#[test]
fn a_real_server_that_is_the_service_itself_is_told() {
    let loaded = service("real_server 192.0.2.11 80 {\n }");
    assert_eq!(told(&loaded), (Severity::Warning, "server-is-service", (5, 14), Some((1, 16))));
    assert_eq!(codes(&service("real_server 192.0.2.11 8080 {\n }")), [] as [&str; 0]);
}

#[test]
fn retries_that_take_many_rounds_are_pointed_out() {
    let with = |lines: &str| {
        service(&format!("delay_loop 6\n real_server 198.51.100.2 80 {{\n TCP_CHECK {{\n {lines}\n }}\n }}"))
    };
    assert_eq!(codes(&with("retry 3\n delay_before_retry 3")), [] as [&str; 0]);
    let slow = with("retry 10\n delay_before_retry 5");
    assert_eq!((told(&slow).1, told(&slow).2), ("slow-retries", (9, 21)));
}

#[test]
fn a_source_address_that_nothing_has_is_pointed_out() {
    let with = |source: &str| {
        load(&format!(
            "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 1\n unicast_src_ip {source}\n unicast_peer {{\n \
             192.0.2.12\n }}\n virtual_ipaddress {{\n 192.0.2.100/24\n }}\n}}\n"
        ))
    };
    assert_eq!(codes(&with("192.0.2.11")), [] as [&str; 0]);
    assert_eq!(told(&with("192.0.2.13")), (Severity::Hint, "source-nowhere", (4, 17), None));
}

#[test]
fn a_peer_without_a_route_is_pointed_out() {
    let loaded = load(
        "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 1\n unicast_src_ip 192.0.2.11\n unicast_peer {\n \
         203.0.113.9\n }\n virtual_ipaddress {\n 192.0.2.100/24\n }\n}\n",
    );
    assert_eq!(told(&loaded), (Severity::Hint, "unreachable-peer", (6, 2), None));
}

#[test]
fn parts_of_the_kernel_that_are_missing_are_told_once_where_they_are_asked_for() {
    let text = "virtual_server 192.0.2.11 80 {\n protocol TCP\n lvs_sched nq\n lvs_method NAT\n real_server 198.51.100.2 80 {\n }\n}\n";
    let twice = format!("{text}{}", text.replace("11 80 {\n protocol", "11 81 {\n protocol"));
    assert_eq!(told(&load(&twice)), (Severity::Warning, "no-module", (3, 12), None));
    assert_eq!(only(&load(text)).message, "this kernel has no module ip_vs_nq");
}

#[test]
fn what_a_shell_is_given_in_quotes_is_its_business() {
    let script = |text: &str| {
        let text = format!("vrrp_script chk {{\n script \"{text}\"\n}}\n");
        let loaded = load(&(text + &super::instance("    priority 100\n    track_script {\n chk\n }")));
        loaded.diagnostics.iter().any(|each| each.code == "shell-syntax")
    };
    assert!(script("/usr/bin/pgrep nginx && /bin/true"));
    assert!(!script("/bin/sh -c 'pgrep nginx && true'"));
    assert!(script("/bin/sh -c true | logger"));
}
