//! Dumps of the seed's snapshot.

use super::*;
use crate::conf::model::{Script, ScriptId};
use crate::mib::fixture;

fn facts<'a>(snapshot: &'a Snapshot, interfaces: &'a [Interface]) -> Facts<'a> {
    Facts { snapshot, when: &|at| format!("at {}", at.0), interfaces }
}

#[test]
fn a_state_file_has_the_sections_and_names_that_scripts_look_for() {
    let snapshot = fixture::seed();
    let interfaces = [Interface {
        name: "eth2".to_owned(),
        index: 12,
        addresses: vec!["10.99.0.1".parse().unwrap()],
        mac: Some([2, 0, 0, 0, 1, 0x12]),
        up: true,
        running: true,
        broadcast: true,
        multicast: true,
        ..Interface::default()
    }];
    let text = render(Kind::Vrrp, &facts(&snapshot, &interfaces));
    for line in [
        "------< Global definitions >------",
        " Router ID = L1",
        "------< VRRP Topology >------",
        " VRRP Instance = VI_1",
        "   VRRP Version = 2",
        "   State = MASTER",
        "   Wantstate = MASTER",
        "   Last transition = 0.000000 (at 0)",
        "   Interface = eth2",
        "   Using src_ip = 10.99.0.1",
        "   Virtual Router ID = 1",
        "   Priority = 150",
        "   Effective priority = 150",
        "   Advert interval = 2 sec",
        "   Authentication type = SIMPLE_PASSWORD",
        "   Virtual IP (2):",
        "     1.1.1.15/24 dev eth0 scope global set",
        "------< Interfaces >------",
        "   MAC = 02:00:00:00:01:12",
        "   State = UP, RUNNING",
        "     VI_1",
    ] {
        assert!(text.lines().any(|have| have == line), "`{line}` is not in:\n{text}");
    }
    assert!(!text.contains("blibli"), "a pass phrase");
    let parent = render(Kind::Parent, &facts(&snapshot, &[]));
    assert!(text.starts_with(&parent) && !parent.contains("VRRP Topology"));
}

#[test]
fn what_an_outsider_wrote_begins_no_line_of_its_own() {
    let mut page = Page::default();
    page.pair(0, "Last error", "x\n VRRP Instance = forged\u{7}");
    assert_eq!(page.text, " Last error = x  VRRP Instance = forged \n");
}

#[cfg(feature = "daemon")]
mod of_json {
    use super::*;
    use crate::conf::model::JsonVersion;

    fn parsed(snapshot: &Snapshot) -> serde_json::Value {
        serde_json::from_str(&json::document(snapshot)).unwrap()
    }

    #[test]
    fn json_is_an_array_of_instances_with_data_and_stats() {
        let value = parsed(&fixture::seed());
        let data = &value[0]["data"];
        assert_eq!((&data["iname"], &data["vrid"], &data["state"]), (&"VI_1".into(), &1.into(), &2.into()));
        assert_eq!(data["adver_int"], 2.0);
        assert_eq!(data["auth_data"], "********");
        assert_eq!(data["vips"][0], "1.1.1.15/24 dev eth0 scope global set");
        assert_eq!(value[0]["stats"]["advert_sent"], 0);
        assert_eq!(value.as_array().unwrap().len(), 1);
    }

    #[test]
    fn the_second_layout_is_an_object() {
        let value = parsed(&fixture::seed_with(|global| global.process.dumps.json_version = JsonVersion::V2));
        assert_eq!(value["vrrp"][0]["data"]["iname"], "VI_1");
        assert!(value.get("track_process").is_none());
    }

    #[test]
    fn without_an_instance_there_is_nothing_to_write() {
        assert_eq!(json::document(&Snapshot::default()), "");
    }

    proptest::proptest! {
        #[test]
        fn names_of_any_kind_are_read_back(name in "\\PC*|[\u{0}-\u{ff}]*") {
            let mut rows = fixture::rows(fixture::global());
            for (_, row) in &mut rows {
                if let crate::bus::rows::Row::Instance(row) = row {
                    row.config.notify.any =
                        Some(Script { id: ScriptId(0), text: name.clone(), path: "/it".to_owned() });
                }
            }
            let value = parsed(&fixture::committed(rows).snapshot());
            proptest::prop_assert_eq!(&value[0]["data"]["script"], &serde_json::Value::from(name));
        }
    }
}

#[test]
fn the_state_of_checks_has_each_virtual_server_with_its_real_servers_and_checkers() {
    let snapshot = fixture::check::seed();
    let text = render(Kind::Check, &facts(&snapshot, &[]));
    let mut places = vec![];
    for (_, row) in snapshot.checks.servers.iter() {
        if let crate::bus::rows::ServerConfig::Real(real) = &row.config {
            let line = format!("   RIP = {}, RPORT = {}, WEIGHT = {} ", real.address, real.port, real.weight);
            let found = text.lines().any(|have| have.starts_with(&line));
            assert!(found, "`{line}` is not in:\n{text}");
            places.push(line);
        }
    }
    assert!(!places.is_empty());
    assert!(text.contains("------< LVS Topology >------\n") && text.contains(" VS "), "{text}");
}
