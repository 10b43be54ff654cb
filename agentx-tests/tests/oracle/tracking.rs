//! 03-sync-tracking: two sync groups, and every kind of tracker on instances and on groups.

use agentx_tests::recording::known::{SYNC_TRACKING, SYNC_TRACKING_RELOADED, SYNC_TRACKING_RELOADED_NOT_YET};
use agentx_tests::recording::stage::Stage;

const RELOAD: &str = include_str!("../../oracle/03-sync-tracking/reload.sh");

#[test]
fn sync_groups_and_trackers_are_as_recorded() {
    let rows = [("VI_A", 1), ("VI_B", 2), ("VI_C", 3), ("VI_D", 4), ("VI_LOOSE", 5), ("G_ONE", 1), ("G_TWO", 2)];
    let stage = Stage::set(&SYNC_TRACKING, &rows);
    let file = |name: &str| stage.place().join(name);
    let write = |name: &str, text: &str| std::fs::write(file(name), text).unwrap();
    // No `sleep 4711`: the recorded daemon counted none, as processes cannot be watched from inside a namespace.
    write("level", "3\n");
    write("switch", "0\n");
    stage.walk();
    stage.event("track file level 3 -> 20 (weight 2): priority only, no state change", || write("level", "20\n"));
    stage.event("chk_fatal fails: the whole group G_ONE goes to FAULT", || write("fatal", ""));
    stage.event("chk_fatal passes again", || std::fs::remove_file(file("fatal")).unwrap());
    let carrier = |end: &str, state: &str| drop(stage.peer.ip(&["link", "set", end, state]));
    stage.event("eth2 loses its carrier: G_TWO goes to FAULT", || carrier("peth2", "down"));
    stage.event("eth2 back", || carrier("peth2", "up"));
    stage.event("eth4 loses its carrier: tracked without weight by G_ONE", || carrier("peth4", "down"));
    stage.event("eth4 back", || carrier("peth4", "up"));
    stage.sets();
    let configuration = without_two(SYNC_TRACKING.configuration);
    let rows = [("VI_A", 1), ("VI_C", 2), ("VI_D", 3), ("G_ONE", 1), ("G_TWO", 2)];
    stage.reload("reload", &configuration, &rows);
    let recorded = SYNC_TRACKING.sets.split_once("## reload").unwrap().1;
    let script = format!("I=.1.3.6.1.4.1.9586.100.5.2.3.1\n{}", RELOAD.split_once("sleep 12\n").unwrap().1);
    stage.requests(recorded, &script, SYNC_TRACKING_RELOADED, SYNC_TRACKING_RELOADED_NOT_YET);
    stage.finish();
}

/// Without VI_B and VI_LOOSE, as the scenario's `reload.sh` leaves it.
fn without_two(configuration: &str) -> String {
    let mut kept = String::new();
    let mut skipping = false;
    for line in configuration.lines().filter(|line| *line != "      VI_B") {
        skipping |= line == "vrrp_instance VI_B {" || line == "vrrp_instance VI_LOOSE {";
        if !skipping {
            kept.push_str(line);
            kept.push('\n');
        }
        skipping &= line != "}";
    }
    kept
}
