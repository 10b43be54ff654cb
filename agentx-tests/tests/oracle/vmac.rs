//! 05-vmac-unicast: VMACs, unicast peers, an address owner; all three modules.

use agentx_tests::packet::Forged;
use agentx_tests::recording::known::VMAC_UNICAST;
use agentx_tests::recording::stage::Stage;
use agentx_tests::wait;
use std::time::Duration;

#[test]
fn vmacs_unicast_and_an_owner_are_as_recorded() {
    let rows = [("V4_VMAC", 1), ("V6_VMAC", 2), ("V4_UNI", 3), ("V4_OWNER", 4), ("V3_NOACCEPT", 5)];
    let stage = Stage::set(&VMAC_UNICAST, &rows);
    stage.walk();
    let unicast = |priority: u8| {
        let mut advert = Forged::v3("10.32.0.2", 33, priority, 125, &["10.32.0.100"]);
        advert.destination = "10.32.0.1".parse().unwrap();
        advert.send(&stage.peer, "peth1");
    };
    let better = || {
        unicast(200);
        wait::observe(Duration::from_millis(200));
        unicast(200);
    };
    stage.event("a better router talks to V4_UNI (priority 200, twice): MASTER -> BACKUP", better);
    stage.event("it goes silent: BACKUP -> MASTER, reason masterNoResponse", || {});
    stage.event("it comes back with priority 200, then priority 0: BACKUP -> MASTER, reason priority", || {
        better();
        unicast(0);
    });
    let carrier = |state: &str| drop(stage.peer.ip(&["link", "set", "peth0", state]));
    stage.event("eth0 down and up under the VMACs", || carrier("down"));
    stage.event("eth0 back", || carrier("up"));
    stage.sets();
    stage.finish();
}
