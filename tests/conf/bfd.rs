//! `bfd_instance`: what is made of its lines, and which sessions there are none of.

use keepwatch::conf::model::BfdSession;

use super::*;

/// Sessions and the codes of what is told.
fn sessions(text: &str) -> (Vec<BfdSession>, Vec<&'static str>) {
    let memory = Memory::default().with("k.conf", text);
    let loaded = conf::load("k.conf", &Options::default(), &memory, &TwoInterfaces);
    (loaded.config.bfd, loaded.diagnostics.iter().map(|it| it.code).collect())
}

fn one(lines: &str) -> BfdSession {
    let (mut sessions, _) = sessions(&format!("bfd_instance B {{\n{lines}\n}}\n"));
    assert_eq!(sessions.len(), 1, "{lines}");
    sessions.remove(0)
}

#[test]
fn a_session_that_names_only_its_neighbour_has_keepaliveds_defaults() {
    let session = one("neighbour_ip 192.0.2.2");
    let intervals = (session.min_rx_us, session.min_tx_us, session.idle_tx_us, session.multiplier);
    assert_eq!(intervals, (10_000, 10_000, 1_000_000, 5));
    assert_eq!((session.sent_ttl(), session.least_ttl(), session.source), (255, 255, None));
    assert!(!session.passive && !session.multihop && session.for_vrrp && session.for_checks);
}

#[test]
fn each_line_has_its_effect() {
    let session =
        one("neighbor_ip 192.0.2.2\nsource_ip 192.0.2.1\nmin_rx 3.312\nmin_tx 4294967\nidle_tx 2000\nmultiplier 255\n\
         passive\nttl 64\nmax_hops 10\nmultihop\nvrrp");
    assert_eq!(session.source, "192.0.2.1".parse().ok());
    let intervals = (session.min_rx_us, session.min_tx_us, session.idle_tx_us, session.multiplier);
    assert_eq!(intervals, (3_312, 4_294_967_000, 2_000_000, 255));
    assert_eq!((session.sent_ttl(), session.least_ttl()), (64, 54));
    assert!(session.passive && session.multihop && session.for_vrrp && !session.for_checks);
    let told = |lines| {
        let session = one(&format!("neighbor_ip 192.0.2.2\n{lines}"));
        (session.for_vrrp, session.for_checks)
    };
    assert_eq!((told("checker"), told("vrrp\nchecker")), ((false, true), (true, true)));
}

#[test]
fn hops_are_counted_from_what_keepalived_would_send() {
    let hops = |lines: &str| {
        let session = one(lines);
        (session.sent_ttl(), session.least_ttl())
    };
    assert_eq!(hops("neighbor_ip 2001:db8::2"), (255, 64));
    assert_eq!(hops("neighbor_ip 2001:db8::2\nhoplimit 255"), (255, 255));
    assert_eq!(hops("neighbor_ip 192.0.2.2\nmax_hops 255"), (255, 0));
    assert_eq!(hops("neighbor_ip 192.0.2.2\nmax_hops -1"), (255, 0));
    let (sessions, told) = sessions("bfd_instance B {\nneighbor_ip 192.0.2.2\nttl 10\nmax_hops 30\n}\n");
    assert_eq!((sessions[0].least_ttl(), &told[..]), (0, &["max-hops"][..]));
}

#[test]
fn sessions_that_would_claim_each_others_packets_are_none_but_the_first() {
    let block = |name: &str, lines: &str| format!("bfd_instance {name} {{\nneighbor_ip 192.0.2.2\n{lines}\n}}\n");
    for (first, second, both) in [
        ("", "", false),
        ("source_ip 192.0.2.1", "", false),
        ("source_ip 192.0.2.1", "source_ip 192.0.2.1", false),
        ("source_ip 192.0.2.1", "source_ip 192.0.2.9", true),
    ] {
        let (sessions, told) = sessions(&format!("{}{}", block("A", first), block("B", second)));
        let names: Vec<&str> = sessions.iter().map(|it| it.name.as_str()).collect();
        let wanted = if both { (vec!["A", "B"], vec![]) } else { (vec!["A"], vec!["duplicate-neighbor"]) };
        assert_eq!((names, told), wanted, "{first}, {second}");
    }
}

#[test]
fn a_session_whose_ends_are_of_two_families_is_none_and_one_that_is_slow_is_told_quietly() {
    let (found, told) = sessions("bfd_instance B {\nneighbor_ip 192.0.2.2\nsource_ip 2001:db8::1\n}\n");
    assert_eq!((found, told), (vec![], vec!["source-family"]));
    let (found, told) = sessions("bfd_instance B {\nneighbor_ip 192.0.2.2\nmin_rx 20000\n}\n");
    assert_eq!((found[0].min_rx_us, told), (20_000_000, vec!["slow-bfd"]));
}
