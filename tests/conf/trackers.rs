//! Scripts, files, processes and BFD sessions that VRRP tracks: what is told of them, and what is made of them.

use keepwatch::bus::msg::{Feed, Source};
use keepwatch::bus::rows::{Row, RowKey};
use keepwatch::clock::{Instant, WallTime};
use keepwatch::conf::model::{Config, FileInit, ParameterMatch, Snmp, Track, TrackCommand, TrackFile, TrackerKind};
use keepwatch::mib::ROOT;
use keepwatch::mib::table::Look;
use keepwatch::mib::tree::Tree;
use keepwatch::store::Store;
use keepwatch::vrrp::engine::{Engine, EngineOptions};
use keepwatch::vrrp::io::Output;
use keepwatch::wire::oid::Oid;

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
const DIFFERENT: &[(&str, u8, &str)] = &[
    ("instance track_script", 5, "a block without braces, told as everywhere"),
    ("instance track_file { ; nope ; }", 5, "2.2.7 crashes"),
    ("top vrrp_sync_group G { ; group { ; VI_1 ; } ; track_file { ; nope ; } ; }", 5, "2.2.7 crashes"),
    ("bfd neighbor_ip", 2, "2.2.7 crashes; a missing value that nothing works without"),
    ("top bfd_instance { ; neighbor_ip 10.0.0.8 ; }", 5, "2.2.7 crashes"),
    ("in-script interval 0.001", 0, "decimals came with 2.3"),
    ("in-script interval 2.5", 0, "likewise"),
    ("in-script timeout 0.5", 0, "likewise"),
    ("in-script script", 5, "a second line without a value is a mistake, too"),
];

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

/// A configuration whose instance VI_1 has these lines.
fn config(trackers: &str, inside: &str) -> Config {
    let text = format!(
        "global_defs {{\nscript_user root\nenable_script_security\n}}\n{trackers}\nvrrp_instance VI_1 {{\n\
         interface eth0\nvirtual_router_id 1\npriority 100\nvirtual_ipaddress {{\n192.0.2.100/24\n}}\n{inside}\n}}\n"
    );
    read(&text).config
}

const TRACKERS: &str = "
vrrp_script unused { 
script /usr/bin/true
}
vrrp_script rev {
script \"/usr/bin/true 'a b' c\"
weight 7 reverse
interval 2.5
timeout 4
rise 2
fall 3
init_fail
}
vrrp_script rev {
script /usr/bin/false
}
vrrp_script opens {
script </run/flag
}
track_file unused {
file /run/unused
}
vrrp_track_file level {
file /run/level
}
vrrp_track_process unused {
process sleep
}
bfd_instance unused {
neighbor_ip 10.0.0.8
}
bfd_instance checks {
neighbor_ip 10.0.0.9
checker
}
bfd_instance peer {
neighbor_ip 10.0.0.10
weight -8
}
";

fn tracks(of: &Config) -> Vec<(TrackerKind, &str, i32, bool)> {
    of.instances[0]
        .tracks
        .iter()
        .map(|Track { kind, name, weight, reverse }| (*kind, &**name, *weight, *reverse))
        .collect()
}

#[test]
fn scripts_and_files_that_nobody_tracks_are_left_out_and_processes_and_sessions_stay() {
    let config = config(TRACKERS, "track_script {\nrev\nopens\n}\ntrack_file {\nlevel\n}");
    let trackers = &config.trackers;
    assert_eq!(trackers.scripts.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["rev", "opens"]);
    assert_eq!(trackers.files.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["level"]);
    assert_eq!(trackers.processes.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["unused"]);
    // A session for checkers only is no tracker.
    assert_eq!(
        trackers.bfds.iter().map(|it| (&*it.name, it.weight)).collect::<Vec<_>>(),
        [("unused", 0), ("peer", -8)]
    );
}

#[test]
fn a_sync_group_that_tracks_a_script_keeps_it() {
    let group = "vrrp_sync_group G {\ngroup {\nVI_1\n}\ntrack_script {\nopens\n}\n}";
    let config = config(&format!("{TRACKERS}\n{group}"), "");
    assert_eq!(config.trackers.scripts.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["opens"]);
}

#[test]
fn a_sync_group_without_members_keeps_nothing() {
    let group = "vrrp_sync_group G {\ngroup {\nVI_9\n}\ntrack_script {\nopens\n}\n}";
    assert_eq!(config(&format!("{TRACKERS}\n{group}"), "").trackers.scripts, []);
}

#[test]
fn weights_of_a_sync_group_with_an_owner_are_told_and_read_as_zero() {
    let group = "vrrp_sync_group G {\ngroup {\nVI_1\n}\nsync_group_tracking_weight\ntrack_script {\nopens\nrev\n}\n\
                 track_bfd {\npeer\n}\n}\n";
    let text = |priority: u8| {
        format!(
            "global_defs {{\nscript_user root\nenable_script_security\n}}\n{TRACKERS}\n{group}vrrp_instance VI_1 {{\n\
             interface eth0\nvirtual_router_id 1\npriority {priority}\nvirtual_ipaddress {{\n192.0.2.100/24\n}}\n}}\n"
        )
    };
    let told = |priority| {
        let loaded = read(&text(priority));
        let of = loaded.diagnostics.iter().filter(|each| each.code == "owner-weight");
        of.count()
    };
    assert_eq!((told(254), told(255)), (0, 2));
}

#[test]
fn a_script_has_the_settings_of_the_first_block_of_its_name() {
    let config = config(TRACKERS, "track_script {\nrev\nopens\n}");
    let [rev, opens] = &config.trackers.scripts[..] else { panic!("{:?}", config.trackers) };
    assert_eq!(rev.command.text(), "'/usr/bin/true' 'a b' 'c'");
    assert_eq!(rev.command.path(), "/usr/bin/true");
    assert_eq!((rev.interval_us, rev.timeout_us, rev.weight, rev.reverse), (2_500_000, 4_000_000, 7, true));
    assert_eq!((rev.rise, rev.fall, rev.init_fail), (2, 3, true));
    assert_eq!(opens.command, TrackCommand::Opens("/run/flag".to_owned()));
    assert_eq!((opens.interval_us, opens.timeout_us, opens.weight, opens.rise, opens.fall), (1_000_000, 0, 0, 1, 1));
    // The runner may execute the one that has a program.
    assert_eq!(config.scripts.iter().map(|entry| entry.words.len()).collect::<Vec<_>>(), [3]);
}

#[test]
fn an_interval_of_zero_is_a_second_and_a_timeout_of_zero_too() {
    let config = config("vrrp_script chk {\nscript /usr/bin/true\ninterval 0\ntimeout 0\n}", "track_script {\nchk\n}");
    let [chk] = &config.trackers.scripts[..] else { panic!("{:?}", config.trackers) };
    assert_eq!((chk.interval_us, chk.timeout_us), (1_000_000, 1_000_000));
}

#[test]
fn a_line_has_the_weight_that_it_says_or_else_the_trackers_and_turns_it_round_only_if_told() {
    let of = |line: &str| {
        let config = config(TRACKERS, &format!("track_script {{\nrev {line}\n}}"));
        tracks(&config).iter().map(|(_, _, weight, reverse)| (*weight, *reverse)).collect::<Vec<_>>()
    };
    assert_eq!(of(""), [(7, true)]);
    assert_eq!(of("weight 3"), [(3, true)]);
    assert_eq!(of("weight 3 noreverse"), [(3, false)]);
    assert_eq!(of("weight 3 reverse"), [(3, true)]);
    assert_eq!(of("weight -254"), [(-253, true)]);
    // A weight that is none leaves the tracker's; a line that says something else is dropped.
    assert_eq!(of("weight 300 noreverse"), [(7, false)]);
    assert_eq!(of("noreverse"), []);
    assert_eq!(of("weight"), []);
    let twice = config(TRACKERS, "track_script {\nrev weight 4\nrev weight 5\n}");
    assert_eq!(tracks(&twice), [(TrackerKind::Script, "rev", 4, true)]);
}

#[test]
fn each_kind_of_tracks_is_in_the_order_of_its_lines() {
    let inside = "track_bfd {\npeer weight 2\nunused\n}\ntrack_process {\nunused weight 5\n}\n\
                  track_file {\nlevel\n}\ntrack_script {\nopens\n}\ntrack_script {\nrev\n}";
    let config = config(TRACKERS, inside);
    let expected = [
        (TrackerKind::Script, "opens", 0, false),
        (TrackerKind::Script, "rev", 7, true),
        (TrackerKind::File, "level", 1, false),
        (TrackerKind::Process, "unused", 5, false),
        (TrackerKind::Bfd, "peer", 2, false),
        (TrackerKind::Bfd, "unused", 0, false),
    ];
    assert_eq!(tracks(&config), expected);
}

/// What Keepalived 2.2.7 dumps for an owner and for a member of a group without sync_group_tracking_weight.
#[test]
fn where_weights_cannot_count_scripts_and_sessions_go_files_lose_theirs_and_processes_pass() {
    let inside = "track_script {\nrev\nopens\n}\ntrack_file {\nlevel\n}\ntrack_process {\nunused weight 5\n}\n\
                  track_bfd {\npeer\nunused\n}";
    let left = [
        (TrackerKind::Script, "opens", 0, false),
        (TrackerKind::File, "level", 0, false),
        (TrackerKind::Process, "unused", 5, false),
        (TrackerKind::Bfd, "unused", 0, false),
    ];
    let owner = config(TRACKERS, &format!("priority 255\n{inside}"));
    assert_eq!(tracks(&owner), left);
    assert_eq!(owner.trackers.scripts.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["opens"]);
    let group = |more: &str| format!("{TRACKERS}\nvrrp_sync_group G {{\ngroup {{\nVI_1\n}}\n{more}\n}}");
    assert_eq!(tracks(&config(&group(""), inside)), left);
    assert_eq!(tracks(&config(&group("sync_group_tracking_weight"), inside)).len(), 6);
    // A line of its own makes a file go, too.
    let own = config(&group(""), "track_file {\nlevel weight 5\n}");
    assert_eq!((tracks(&own), own.trackers.files.len()), (vec![], 0));
}

#[test]
fn a_script_that_cannot_run_is_tracked_by_nobody() {
    let config = config("vrrp_script gone {\nscript /usr/bin/gone\n}", "track_script {\ngone\n}");
    assert_eq!((tracks(&config), config.trackers.scripts.len()), (vec![], 0));
}

#[test]
fn a_process_is_what_keepalived_makes_of_its_lines() {
    let process = |lines: &str| {
        let config = config(&format!("vrrp_track_process PR {{\n{lines}\n}}"), "");
        config.trackers.processes.into_iter().next().unwrap()
    };
    let quorums = |lines: &str| {
        let it = process(&format!("process sleep\n{lines}"));
        (it.quorum, it.quorum_max)
    };
    assert_eq!(quorums(""), (1, None));
    assert_eq!(quorums("quorum 3\nquorum_max 7"), (3, Some(7)));
    assert_eq!(quorums("quorum_max 0"), (0, Some(0)));
    assert_eq!(quorums("quorum_max 0\nquorum 1"), (0, Some(0)));
    assert_eq!(quorums("quorum 3\nquorum_max 2"), (3, None));
    assert_eq!(quorums("quorum_max 2\nquorum 3"), (1, Some(2)));
    let delays = |lines: &str| {
        let it = process(&format!("process sleep\n{lines}"));
        (it.fork_delay_us, it.terminate_delay_us)
    };
    assert_eq!(delays(""), (0, 0));
    assert_eq!(delays("delay 1.5\nfork_delay 2"), (2_000_000, 1_500_000));
    assert_eq!(delays("fork_delay 2\ndelay 1.5"), (1_500_000, 1_500_000));
    let compared = |lines: &str| {
        let it = process(lines);
        (it.path, it.parameters, it.parameter_match, it.full_command)
    };
    let of = |path: &str, parameters: &[&str], way, full| {
        (path.to_owned(), parameters.iter().map(ToString::to_string).collect::<Vec<_>>(), way, full)
    };
    assert_eq!(compared("process sleep"), of("sleep", &[], ParameterMatch::None, false));
    assert_eq!(compared("process sleep\nfull_command"), of("sleep", &[], ParameterMatch::None, true));
    assert_eq!(compared("process \"a b\" c \"d e\""), of("a b", &["c", "d e"], ParameterMatch::Exact, true));
    assert_eq!(compared("process sleep\nparam_match"), of("sleep", &[], ParameterMatch::Exact, true));
    assert_eq!(
        compared("process sleep a\nparam_match partial\nparam_match initial"),
        of("sleep", &["a"], ParameterMatch::Initial, true)
    );
}

#[test]
fn init_file_is_kept_with_the_files_that_vrrp_tracks_and_those_that_it_does_not() {
    let init = |line: &str, tracked: &str| {
        let config = config(&format!("track_file level {{\nfile /run/level\n{line}\n}}"), tracked);
        let of = |files: Vec<TrackFile>| files.into_iter().map(|it| it.init).collect::<Vec<_>>();
        (of(config.trackers.files), of(config.trackers.other_files))
    };
    let some = |value, overwrite| Some(FileInit { value, overwrite });
    let tracked = |line| init(line, "track_file {\nlevel\n}").0;
    assert_eq!(tracked(""), [None]);
    assert_eq!(tracked("init_file"), [some(0, false)]);
    assert_eq!(tracked("init_file 5"), [some(5, false)]);
    assert_eq!(tracked("init_file -5 overwrite"), [some(-5, true)]);
    assert_eq!(tracked("init_file overwrite"), [some(0, true)]);
    assert_eq!(init("init_file 5", ""), (vec![], vec![some(5, false)]));
    assert_eq!(init("", ""), (vec![], vec![]));
}

/// The recording's configuration, with everything on the host that it names.
fn of_the_recording() -> Config {
    let text =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/seeds/03-sync-tracking.conf")).unwrap();
    let mut memory = Memory::default().with("k.conf", text);
    for program in ["/usr/bin/true", "/usr/bin/false", "/usr/bin/test"] {
        memory = memory.with(program, "").mode(program, 0o755);
    }
    conf::load("k.conf", &Options::default(), &memory, &AnyHost).config
}

const VRRP_GROUP: &str = ".1.3.6.1.4.1.9586.100.5.2.";
/// The tables of trackers.
const TABLES: [u32; 12] = [5, 9, 12, 13, 15, 16, 17, 18, 19, 20, 21, 22];

fn is_of_trackers(line: &str) -> bool {
    let table = line.strip_prefix(VRRP_GROUP).and_then(|below| below.split('.').next()?.parse().ok());
    table.is_some_and(|table: u32| TABLES.contains(&table))
}

/// One batch, the first of them a full one.
fn commit(store: &mut Store, generation: u64, rows: impl Iterator<Item = (RowKey, Option<Row>)>) {
    let full = generation == 1;
    store.apply(Source::Vrrp, Feed::Begin { generation, config: generation, full }).unwrap();
    for (key, row) in rows {
        let frame = match row {
            Some(row) => Feed::Row(key, row),
            None => Feed::Gone(key),
        };
        store.apply(Source::Vrrp, frame).unwrap();
    }
    store.apply(Source::Vrrp, Feed::Commit { edges_dropped: 0 }).unwrap();
}

/// A walk of the tables of trackers.
fn shown(store: &Store) -> Vec<String> {
    let (snapshot, snmp) = (store.snapshot(), Snmp { vrrp: true, ..Snmp::default() });
    let tree = Tree::new(&snmp, &[Source::Vrrp]);
    let look = Look { snapshot: &snapshot, moment: Default::default() };
    let (mut lines, mut at) = (vec![], Oid::new(ROOT).with(&[2]));
    while let Some(next) = tree.next(look, &at, false, &Oid::default()) {
        lines.push(walk::line(&next));
        at = next.name;
    }
    lines.retain(|line| is_of_trackers(line));
    lines
}

#[test]
fn a_reload_brings_trackers_numbers_them_anew_and_takes_them_away() {
    let script = |name: &str| format!("vrrp_script {name} {{\nscript /usr/bin/true\n}}\n");
    let process = |name: &str| format!("vrrp_track_process {name} {{\nprocess sleep\n}}\n");
    let now = Instant::from_nanos(1_000_000_000);
    let first = config(&(script("one") + &script("two") + &process("p")), "track_script {\none\ntwo\n}");
    let mut engine = Engine::new(&first, EngineOptions::default(), now, WallTime(0));
    let mut store = Store::new();
    commit(&mut store, 1, engine.keys().into_iter().map(|key| (key.clone(), engine.row(&key))));
    let names = |store: &Store| {
        let name = |line: &String| {
            let below = line.strip_prefix(VRRP_GROUP)?;
            let name = ["9.1.2.", "5.1.2.", "21.1.2.", "13.1.2.", "12.1.2."].iter().any(|it| below.starts_with(it));
            name.then(|| below.replace(" = STRING", ""))
        };
        shown(store).iter().filter_map(name).collect::<Vec<_>>()
    };
    let before =
        [r#"5.1.2.1.1: "one""#, r#"5.1.2.1.2: "two""#, r#"9.1.2.1: "one""#, r#"9.1.2.2: "two""#, r#"21.1.2.1: "p""#];
    assert_eq!(names(&store), before);

    let file = "track_file level {\nfile /run/level\n}\n";
    let inside = "track_script {\ntwo\nnew\n}\ntrack_file {\nlevel\n}";
    let second = config(&(script("new") + &script("two") + file), inside);
    let mut out = vec![];
    engine.apply(&second, now, &mut out);
    let changed = out.into_iter().filter_map(|output| match output {
        Output::Changed(key) => Some((key.clone(), engine.row(&key))),
        _ => None,
    });
    commit(&mut store, 2, changed);
    let after = [
        r#"5.1.2.1.1: "two""#,
        r#"5.1.2.1.2: "new""#,
        r#"9.1.2.1: "new""#,
        r#"9.1.2.2: "two""#,
        r#"12.1.2.1.1: "level""#,
        r#"13.1.2.1: "level""#,
    ];
    assert_eq!(names(&store), after);
}

#[test]
fn trackers_are_shown_as_keepalived_shows_them() {
    let config = of_the_recording();
    let engine = Engine::new(&config, EngineOptions::default(), Instant::from_nanos(1), WallTime(0));
    let mut store = Store::new();
    commit(&mut store, 1, engine.keys().into_iter().map(|key| (key.clone(), engine.row(&key))));
    let shown = shown(&store);

    let different = [
        // B16: the weight of the line.
        ("12.1.3.5.1 = INTEGER: 2", "12.1.3.5.1 = INTEGER: 1"),
        ("12.1.3.5.2 = INTEGER: 1", "12.1.3.5.2 = INTEGER: -1"),
        ("17.1.3.5.1 = INTEGER: -8", "17.1.3.5.1 = INTEGER: 20"),
        ("17.1.3.5.2 = INTEGER: 12", "17.1.3.5.2 = INTEGER: 20"),
        ("20.1.3.5.1 = INTEGER: 4", "20.1.3.5.1 = INTEGER: 6"),
        // B19: `param_match initial`.
        ("21.1.5.1 = INTEGER: 2", "21.1.5.1 = INTEGER: 3"),
        // Nothing has been found yet: scripts ...
        ("9.1.6.1 = INTEGER: 3", "9.1.6.1 = INTEGER: 1"),
        ("9.1.6.2 = INTEGER: 2", "9.1.6.2 = INTEGER: 1"),
        ("9.1.6.3 = INTEGER: 2", "9.1.6.3 = INTEGER: 1"),
        ("9.1.6.4 = INTEGER: 3", "9.1.6.4 = INTEGER: 1"),
        // ... with `init_fail` (B30) ...
        ("9.1.6.5 = INTEGER: 3", "9.1.6.5 = INTEGER: 5"),
        // ... the number of a file ...
        ("13.1.4.1 = INTEGER: 3", "13.1.4.1 = INTEGER: 0"),
        // ... and a session.
        ("18.1.3.1 = INTEGER: 1", "18.1.3.1 = INTEGER: 0"),
    ];
    let mut used = 0;
    let walk = include_str!("../../agentx-tests/oracle/03-sync-tracking/walk-numeric.txt");
    let recorded: Vec<String> = walk
        .lines()
        .filter(|line| is_of_trackers(line))
        .map(|line| match different.iter().find(|(from, _)| line == format!("{VRRP_GROUP}{from}")) {
            Some((_, ours)) => {
                used += 1;
                format!("{VRRP_GROUP}{ours}")
            }
            None => line.to_owned(),
        })
        .collect();
    assert_eq!(shown, recorded);
    assert_eq!((used, recorded.len()), (different.len(), 147));
}
