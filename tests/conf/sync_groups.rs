//! Sync groups from the text of a file: what is dropped and corrected, and scenario 03 of the recordings, whose tables and
//! traps must be those of Keepalived.

use keepwatch::bus::msg::{Command, Edge, Feed, Source};
use keepwatch::bus::rows::{Finding, State, TrackerRuns};
use keepwatch::clock::{Instant, WallTime};
use keepwatch::conf::model::{Config, InstanceName, Priority, Snmp, SyncGroup, TrackerKind};
use keepwatch::mib::ROOT;
use keepwatch::mib::table::Look;
use keepwatch::mib::tree::Tree;
use keepwatch::store::Store;
use keepwatch::vrrp::engine::{Engine, EngineOptions};
use keepwatch::vrrp::io::{HostAddress, Input, Link, Output};
use keepwatch::wire::oid::Oid;

use super::walk::line;
use super::*;

const WALK: &str = include_str!("../../agentx-tests/oracle/03-sync-tracking/walk-numeric.txt");
const TRAPS: &str = include_str!("../../agentx-tests/oracle/03-sync-tracking/traps.txt");

fn load(text: &str) -> Loaded {
    conf::load("k.conf", &Options::default(), &Memory::default().with("k.conf", text), &AnyHost)
}

/// Two instances, each with more lines of its own, behind the text of groups.
fn with_groups(groups: &str, first: &str, second: &str) -> Loaded {
    load(&format!(
        "{groups}\nvrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n {first}\n \
         virtual_ipaddress {{\n 10.0.0.100\n }}\n}}\nvrrp_instance VI_2 {{\n interface eth0\n virtual_router_id 52\n \
         {second}\n virtual_ipaddress {{\n 10.0.0.101\n }}\n}}\n"
    ))
}

fn ids(loaded: &Loaded) -> Vec<&str> {
    loaded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

fn members(group: &SyncGroup) -> Vec<&str> {
    group.members.iter().map(|member| member.0.as_str()).collect()
}

fn bound(config: &Config) -> Vec<Option<&str>> {
    config.instances.iter().map(|instance| instance.sync_group.as_deref()).collect()
}

#[test]
fn a_group_has_its_members_in_order_and_members_know_it() {
    let loaded = with_groups("vrrp_sync_group G {\n group {\n VI_2 VI_1\n }\n smtp_alert\n}", "", "");
    assert_eq!(ids(&loaded), ["no-recipient"]);
    let [group] = &loaded.config.sync_groups[..] else { panic!("{:?}", loaded.config.sync_groups) };
    assert_eq!((group.name.as_str(), members(group), group.smtp_alert), ("G", vec!["VI_2", "VI_1"], true));
    assert_eq!(bound(&loaded.config), [Some("G"), Some("G")]);
    assert_eq!(loaded.config.not_built, []);
}

#[test]
fn what_keepalived_drops_of_a_group_is_dropped_and_told() {
    let cases = [
        ("vrrp_sync_group G {\n group {\n VI_1\n VI_9\n }\n}", &["unknown-instance"][..], &[&["VI_1"][..]][..]),
        ("vrrp_sync_group G {\n group {\n VI_1\n VI_1\n VI_2\n }\n}", &["two-groups"], &[&["VI_1", "VI_2"]]),
        ("vrrp_sync_group G {\n group {\n VI_1\n }\n}", &["one-member"], &[&["VI_1"]]),
        ("vrrp_sync_group G {\n group {\n }\n}", &["no-member"], &[]),
        ("vrrp_sync_group G {\n global_tracking\n}", &["missing-directive", "deprecated"], &[]),
        (
            "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n}\nvrrp_sync_group H {\n group {\n VI_1\n }\n}",
            &["two-groups"],
            &[&["VI_1", "VI_2"]],
        ),
        (
            "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n}\nvrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n}",
            &["duplicate-group"],
            &[&["VI_1", "VI_2"]],
        ),
        (
            "vrrp_sync_group G {\n group {\n VI_1\n }\n group {\n VI_2\n }\n}",
            &["already-set", "one-member"],
            &[&["VI_1"]],
        ),
    ];
    for (text, told, kept) in cases {
        let loaded = with_groups(text, "", "");
        let mut found = ids(&loaded);
        found.sort_unstable();
        let mut told = told.to_vec();
        told.sort_unstable();
        assert_eq!(found, told, "{text}: {:#?}", loaded.diagnostics);
        let groups: Vec<Vec<&str>> = loaded.config.sync_groups.iter().map(members).collect();
        assert_eq!(groups, kept, "{text}");
        let named = loaded.config.instances.iter().filter_map(|instance| instance.sync_group.as_deref());
        assert!(named.clone().all(|name| name == "G"), "{text}");
        assert_eq!(named.count(), kept.iter().map(|members| members.len()).sum::<usize>(), "{text}");
    }
}

#[test]
fn an_interface_that_a_member_and_its_group_track_is_told_and_shown_with_the_weight_that_it_has() {
    for tracking_weight in ["", "sync_group_tracking_weight"] {
        let group = format!(
            "vrrp_sync_group G {{\n group {{\n VI_1\n VI_2\n }}\n {tracking_weight}\n \
             track_interface {{\n eth1 weight -20\n }}\n}}"
        );
        for (line, weight) in [("eth1 weight -30", -30), ("eth1", 0)] {
            let loaded = with_groups(&group, "", &format!("track_interface {{\n {line}\n }}"));
            assert_eq!(ids(&loaded), ["duplicate-track"], "{line} {tracking_weight}");
            assert_eq!(loaded.config.instances[1].tracked_interfaces[0].weight, weight, "{line} {tracking_weight}");
            assert_eq!(loaded.config.sync_groups[0].tracked_interfaces[0].weight, -20);
        }
    }
}

#[test]
fn interfaces_that_a_group_tracks_keep_their_weights_unless_a_member_is_an_owner() {
    let group = "vrrp_sync_group G {\n group {\n VI_1\n VI_2\n }\n track_interface {\n eth0 weight 10\n eth1 weight -5 reverse\n \
                 eth1\n }\n}";
    let tracked = |loaded: &Loaded| {
        let tracked = loaded.config.sync_groups[0].tracked_interfaces.iter();
        tracked.map(|it| (it.interface.clone(), it.weight, it.reverse)).collect::<Vec<_>>()
    };
    let loaded = with_groups(group, "", "");
    assert_eq!(ids(&loaded), ["duplicate-track"]);
    assert_eq!(tracked(&loaded), [("eth0".into(), 10, false), ("eth1".into(), -5, true)]);
    let loaded = with_groups(group, "", "priority 255");
    assert_eq!(ids(&loaded), ["owner-weight", "owner-weight", "duplicate-track", "group-disagrees"]);
    assert_eq!(tracked(&loaded), [("eth0".into(), 0, false), ("eth1".into(), 0, true)]);
}

#[test]
fn weights_of_members_count_only_when_the_group_says_so() {
    for (word, weight) in [("", 0), ("sync_group_tracking_weight", 7)] {
        let group = format!("vrrp_sync_group G {{\n group {{\n VI_1\n VI_2\n }}\n {word}\n}}");
        let loaded = with_groups(&group, "track_interface {\n eth1 weight 7\n }", "");
        assert_eq!(loaded.config.instances[0].tracked_interfaces[0].weight, weight);
        assert_eq!(loaded.config.sync_groups[0].tracking_weight, !word.is_empty());
    }
}

/// Scenario 03 on its host: eth0 to eth4 and bfd0 with the numbers and addresses of the recording.
struct Lab {
    engine: Engine,
    now: Instant,
}

const ETH2: u32 = 12;
const ETH4: u32 = 14;

fn link(index: u32, up: bool) -> Link {
    Link {
        index,
        name: format!("eth{}", index - 10),
        admin_up: true,
        running: up,
        loopback: false,
        multicast: true,
        mac: Some([2, 0, 0, 0, 3, index as u8]),
        mtu: 1500,
        vrf: None,
    }
}

fn configuration() -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/seeds/03-sync-tracking.conf");
    let mut memory = Memory::default().with("k.conf", std::fs::read(path).unwrap());
    for program in ["true", "false", "test", "echo", "sleep"] {
        memory = memory.with(&format!("/usr/bin/{program}"), "").mode(&format!("/usr/bin/{program}"), 0o755);
    }
    conf::load("k.conf", &Options::default(), &memory, &AnyHost).config
}

impl Lab {
    /// All instances are master.
    fn settled() -> Lab {
        let config = configuration();
        let now = Instant::from_nanos(1_000_000_000_000);
        let mut lab = Lab { engine: Engine::new(&config, EngineOptions::default(), now, WallTime(0)), now };
        for number in 0..5 {
            lab.says(Input::Link(link(10 + number, true)));
            let address = IpAddr::from([10, 0, number as u8, 1]);
            let address =
                HostAddress { interface: 10 + number, address, prefix: 24, secondary: false, tentative: false };
            lab.says(Input::HostAddress(address));
        }
        // Those without a weight are waited for.
        for (kind, name) in config
            .trackers
            .names()
            .filter(|(kind, name)| config.trackers.weight(*kind, name).is_some_and(|it| it.0 == 0))
        {
            let finding = match kind {
                TrackerKind::Script | TrackerKind::Bfd => Finding::Good,
                TrackerKind::File => Finding::Count { count: 0, good: true },
                TrackerKind::Process => Finding::Count { count: 1, good: true },
            };
            let (name, runs) = (name.to_owned(), TrackerRuns::default());
            lab.says(Input::Found { kind, name, finding, runs });
        }
        // What the trackers that nobody runs here make of them: the higher one is ready first.
        for (name, priority) in [("VI_B", 80), ("VI_D", 89)] {
            let (instance, priority) = (InstanceName::from(name), Priority::new(priority).unwrap());
            lab.says(Input::Command { request: 1, command: Command::SetPriority { instance, priority } });
        }
        lab.says(Input::Wake);
        lab.runs(20);
        lab
    }

    fn says(&mut self, input: Input<'_>) -> Vec<(String, State)> {
        let mut out = vec![];
        self.engine.handle(input, self.now, &mut out);
        let told = out.iter().filter_map(|output| match output {
            Output::Edge(Edge::Transition { instance, to, .. }) => Some((instance.0.clone(), *to)),
            Output::Edge(Edge::SyncGroup { group, to, .. }) => Some((group.clone(), *to)),
            _ => None,
        });
        let told = told.collect();
        let answers = out.iter().filter_map(|output| match output {
            Output::Address(change) => Some((change.key.clone(), change.install)),
            _ => None,
        });
        for (key, install) in answers.collect::<Vec<_>>() {
            self.engine.handle(Input::AddressAnswer { key, install, error: None }, self.now, &mut vec![]);
        }
        told
    }

    fn runs(&mut self, seconds: u64) -> Vec<(String, State)> {
        let end = self.now + std::time::Duration::from_secs(seconds);
        let mut told = vec![];
        while let Some(at) = self.engine.deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            told.extend(self.says(Input::Wake));
        }
        self.now = end;
        told
    }

    /// A link goes or comes, and what follows within ten seconds.
    fn sets(&mut self, index: u32, up: bool) -> Vec<(String, State)> {
        let mut told = self.says(Input::Link(link(index, up)));
        told.extend(self.runs(10));
        told
    }
}

/// Name and state of each trap that the recording has below a headline.
fn recorded(headline: &str) -> Vec<(String, State)> {
    let part = TRAPS.split("### ").find(|part| part.starts_with(headline)).unwrap();
    part.split("TRAP\n")
        .skip(1)
        .map(|trap| {
            let value = |column: &[&str], before: &str| {
                let line = trap.lines().find(|line| column.iter().any(|column| line.contains(column))).unwrap();
                line.split_once(before).unwrap().1.trim_matches('"').to_owned()
            };
            let name = value(&["5.2.1.1.2 =", "5.2.3.1.2 ="], "STRING: ");
            let state = match value(&["5.2.1.1.3 =", "5.2.3.1.4 ="], "INTEGER: ").as_str() {
                "1" => State::Backup,
                "2" => State::Master,
                "3" => State::Fault,
                "5" => State::Shutdown,
                "6" => State::Deleted,
                other => panic!("state {other}"),
            };
            (name, state)
        })
        .collect()
}

#[test]
fn links_that_go_and_come_are_told_in_the_order_of_the_recording() {
    let mut lab = Lab::settled();
    assert_eq!(lab.sets(ETH2, false), recorded("eth2 loses its carrier"));
    assert_eq!(lab.sets(ETH2, true), recorded("eth2 back"));
    assert_eq!(lab.sets(ETH4, false), recorded("eth4 loses its carrier"));
    assert_eq!(lab.sets(ETH4, true), recorded("eth4 back"));
}

#[test]
fn a_reload_without_two_instances_and_a_stop_are_told_as_in_the_recording() {
    let mut lab = Lab::settled();
    let mut config = configuration();
    config.instances.retain(|instance| !matches!(instance.name.0.as_str(), "VI_B" | "VI_LOOSE"));
    config.sync_groups[0].members.retain(|member| member.0 != "VI_B");
    let mut out = vec![];
    lab.engine.apply(&config, lab.now, &mut out);
    let told: Vec<_> = out
        .iter()
        .filter_map(|output| match output {
            Output::Edge(Edge::Transition { instance, to, .. }) => Some((instance.0.clone(), *to)),
            Output::Edge(edge) => panic!("{edge:?}"),
            _ => None,
        })
        .collect();
    assert_eq!(told, recorded("reload"));
    assert_eq!(lab.runs(10), []);
    assert_eq!(lab.says(Input::Shutdown { keep_addresses: false }), recorded("stop (SIGTERM)"));
}

#[test]
fn groups_members_and_what_they_track_are_shown_as_keepalived_shows_them() {
    const TABLES: [&str; 3] = [".2.1.", ".2.2.", ".2.14."];
    let lab = Lab::settled();
    let mut store = Store::new();
    store.apply(Source::Vrrp, Feed::Begin { generation: 1, config: 1, full: true }).unwrap();
    for key in lab.engine.keys() {
        let row = lab.engine.row(&key).unwrap();
        store.apply(Source::Vrrp, Feed::Row(key, row)).unwrap();
    }
    store.apply(Source::Vrrp, Feed::Commit { edges_dropped: 0 }).unwrap();
    let snapshot = store.snapshot();
    let tree = Tree::new(&Snmp { vrrp: true, ..Snmp::default() }, &[Source::Vrrp]);
    let look = Look { snapshot: &snapshot, moment: Default::default() };
    let root = Oid::new(ROOT);
    let of_groups = |line: &str| {
        let below = line.strip_prefix(&root.to_string());
        below.is_some_and(|below| TABLES.iter().any(|table| below.starts_with(table)))
    };
    let (mut walked, mut at) = (vec![], root.with(&[2]));
    while let Some(next) = tree.next(look, &at, false, &Oid::default()) {
        walked.push(line(&next));
        at = next.name;
    }
    walked.retain(|line| of_groups(line));
    // B4: rows of interfaces are numbered by ifIndex.
    let right = |line: &str| match line.split_once(" = ") {
        Some((name, value)) if name.contains(".2.14.1.") => {
            let (column, place) = name.rsplit_once('.').unwrap();
            let index = if place == "1" { 13 } else { 14 };
            format!("{column}.{index} = {value}")
        }
        _ => line.to_owned(),
    };
    let recorded: Vec<String> = WALK.lines().filter(|line| of_groups(line)).map(right).collect();
    assert!(recorded.len() > 20);
    assert_eq!(walked, recorded);
}
