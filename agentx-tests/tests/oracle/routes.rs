//! 04-routes-rules: addresses, routes and rules, static ones and those of instances.

use agentx_tests::recording::known::ROUTES_RULES;
use agentx_tests::recording::stage::Stage;

#[test]
fn addresses_routes_and_rules_are_as_recorded() {
    let stage = Stage::set(&ROUTES_RULES, &[("VI_R1", 1), ("VI_R2", 2), ("VI_R3", 3)]);
    stage.walk();
    let carrier = |state: &str| drop(stage.peer.ip(&["link", "set", "peth1", state]));
    stage.event("eth1 loses its carrier: VI_R2 and VI_R3 to FAULT", || carrier("down"));
    stage.event("eth1 back", || carrier("up"));
    stage.event("a virtual route of VI_R1 (192.168.111.0/24, tracked) is deleted behind its back", || {
        drop(stage.node.ip(&["route", "del", "192.168.111.0/24"]))
    });
    stage.sets();
    stage.finish();
}
