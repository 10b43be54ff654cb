//! Scripts, files, processes and BFD sessions that VRRP tracks: what is told of them, and what is made of them.

use keepwatch::conf::model::{Config, ParameterMatch, Track, TrackCommand, TrackerKind};

use super::*;

fn read(text: &str) -> Loaded {
    let mut memory = Memory::default().with("k.conf", text);
    for program in ["/usr/bin/true", "/usr/bin/false"] {
        memory = memory.with(program, "").mode(program, 0o755);
    }
    conf::load("k.conf", &Options::default(), &memory, &TwoInterfaces)
}

/// The configuration that a line of `trackers.tsv` was recorded with.
fn recorded(place: &str, lines: &str) -> String {
    let lines = lines.replace(" ; ", "\n");
    let of = |wanted: &str| if place == wanted { lines.as_str() } else { "" };
    let whole = |own: &str, always: &str| match place == own {
        true => lines.clone(),
        false => format!("{always}\n{}", of(&format!("in-{own}"))),
    };
    let tracks = match place {
        "instance" | "plain" | "instance2" | "both" => lines.as_str(),
        "group" | "weighted" => "",
        _ => "track_script {\nchk\n}\ntrack_file {\nTF\n}\ntrack_process {\nPR\n}\ntrack_bfd {\nB\n}",
    };
    let in_group = if place == "instance2" { "" } else { lines.as_str() };
    let weighted = if place == "weighted" { "sync_group_tracking_weight" } else { "" };
    let second = match place {
        "instance2" | "group" | "weighted" | "both" => format!(
            "vrrp_instance VI_2 {{\ninterface eth0\nvirtual_router_id 2\npriority 100\n\
             virtual_ipaddress {{\n192.0.2.102/24\n}}\n}}\n\
             vrrp_sync_group G {{\ngroup {{\nVI_1\nVI_2\n}}\n{weighted}\n{in_group}\n}}"
        ),
        _ => String::new(),
    };
    format!(
        "global_defs {{\nscript_user root\nenable_script_security\n{}\n}}\n\
         vrrp_script chk {{\n{}\n}}\ntrack_file TF {{\n{}\n}}\nvrrp_track_process PR {{\n{}\n}}\nbfd_instance B {{\n{}\n}}\n\
         {}\nvrrp_instance VI_1 {{\ninterface eth0\nvirtual_router_id 1\npriority 100\n\
         virtual_ipaddress {{\n192.0.2.100/24\n}}\n{tracks}\n}}\n{}\n{second}",
        of("global"),
        whole("script", "script /usr/bin/true"),
        whole("file", "file /run/tf"),
        whole("process", "process sleep"),
        whole("bfd", "neighbor_ip 10.0.0.9"),
        of("top"),
        of("end"),
    )
}

/// Lines that 2.2.7 answers otherwise, with our status and the reason.
const DIFFERENT: &[(&str, u8, &str)] = &[];

#[test]
fn the_exit_status_of_a_test_run_is_the_one_that_keepalived_gave() {
    let mut wrong = Vec::new();
    let list = include_str!("trackers.tsv");
    for line in list.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let loaded = read(&recorded(cells[1], cells[2]));
        let different = DIFFERENT.iter().find(|(of, ..)| *of == format!("{} {}", cells[1], cells[2]));
        let status = different.map_or(cells[0].to_owned(), |(_, status, _)| status.to_string());
        if loaded.status.to_string() != status {
            wrong.push(format!("{line}: {}\n{}", loaded.status, loaded.render()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(list.lines().count() > 200);
}
