//! `use_ipvlan` beside Debian's keepalived, which makes the same of the same lines.

use agentx_tests::capture::{Content, Witness};
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::Lab;
use agentx_tests::vm::scenario;
use agentx_tests::wait;

use crate::balancer::{PATIENCE, nic};

fn configuration(ipvlan: &str, priority: u8) -> String {
    format!(
        "vrrp_instance VI_1 {{\n interface eth0\n {ipvlan}\n virtual_router_id 51\n priority {priority}\n advert_int 1\n \
         virtual_ipaddress {{\n 10.0.0.100/24\n }}\n}}\n"
    )
}

#[test]
fn a_router_on_an_ipvlan_sends_from_its_address_and_keepalived_backs_it_up() {
    scenario(|| {
        let lab = Lab::new();
        let link = lab.switch();
        let [one, two] = ["R1", "R2"].map(|name| lab.node(name));
        let ports = [(&one, "10.0.0.1/24"), (&two, "10.0.0.2/24")]
            .map(|(node, address)| lab.connect(node, &link, nic("eth0", 10, &[address])));
        let mut backup = Daemon::start(&two, Program::Keepalived, &configuration("", 100), Options::default());
        backup.wait_until_it_listens();
        for (program, mode) in [
            (Program::Keepalived, "bridge"),
            (Program::Keepwatch, "bridge"),
            (Program::Keepwatch, "private"),
            (Program::Keepwatch, "vepa"),
        ] {
            let who = format!("{}, {mode}", program.name());
            let witness = Witness::start(&lab);
            let text = configuration(&format!("use_ipvlan ipv 10.0.0.7/24 {mode}"), 150);
            let mut first = Daemon::start(&one, program, &text, Options::default());
            let wanted = "eth0 10.0.0.100/24".to_owned();
            let there = wait::within(PATIENCE, || one.addresses().contains(&wanted).then_some(()));
            assert!(there.is_some(), "{who}: {:?}; it said:\n{}", one.addresses(), first.log());
            backup.wait_for_address("10.0.0.100", false, PATIENCE);
            let shown = one.ip(&["-d", "address", "show", "ipv"]);
            assert!(shown.contains("inet 10.0.0.7/24") && shown.contains(&format!("mode l2 {mode}")), "{who}: {shown}");
            let sent = || {
                let frames = witness.frames();
                let advert =
                    |source| frames.iter().any(|frame| frame.port == ports[0] && advert_from(&frame.content, source));
                assert!(!advert("10.0.0.1"), "{who}: sent from the card's address");
                advert("10.0.0.7").then_some(())
            };
            assert!(wait::within(PATIENCE, sent).is_some(), "{who}: no advert; it said:\n{}", first.log());
            assert_eq!(first.stop(), 0, "{who}: {}", first.log());
            backup.wait_for_address("10.0.0.100", true, PATIENCE);
            assert!(!one.ip(&["-o", "link"]).contains(" ipv@"), "{who} leaves its interface behind");
        }
        assert_eq!(backup.stop(), 0);
    });
}

fn advert_from(content: &Content, source: &str) -> bool {
    matches!(content, Content::Advert(advert) if advert.source.to_string() == source)
}
