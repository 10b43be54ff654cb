//! Effective values: the state file of keepwatchd says what Debian's keepalived says of the same configuration.
//!
//! Keepalived's own samples, the recorded configurations, what an Ansible role writes, and one file with everything that can be
//! tracked: one after the other, both daemons in the same namespace. What VRRP is made of is compared with our own state
//! file, BFD sessions and the settings of the daemon with our reading of the file (`agentx_tests::effective`). Virtual
//! servers are compared in tests/ipvs, because keepalived's checkers do not run on a kernel without ip_vs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::effective::{self, Expected};
use agentx_tests::net::{Lab, Node};
use agentx_tests::wait;
use keepwatch::conf::model::Config;
use nix::sys::signal::Signal;

const SAMPLES: &str = "/usr/share/doc/keepalived/samples";
const SOON: Duration = Duration::from_secs(20);

/// Lines of keepalived's state file that ours need not have, by their beginnings, and why.
const EXCUSED: &[(&str, &str)] = &[
    ("State", "found out: the daemons ran at different times"),
    (
        "Wantstate",
        "found out: what it is about to become. Until then keepalived has `state` there, which starts nobody as master",
    ),
    ("Master router", "found out"),
    ("Master priority", "found out"),
    ("Master down timer", "found out: the skew follows from who was master"),
    ("Master advert int", "found out: what the master says"),
    ("Num", "counted: members and checks in fault"),
    ("Last transition", "a time"),
    ("Read timeout", "a time"),
    ("Effective priority", "found out: what scripts have come to; the configured priority is compared"),
    ("Status", "found out: the script's last result"),
    ("Total priority", "a sum that only keepalived keeps"),
    ("fd_in", "a descriptor"),
    ("Using src_ip", "found out: the address that the interface has"),
    ("Flags", "keepalived's own words for what other lines show"),
    ("Use VMAC", "whether it is up was found out; that it is there is in the lines of addresses"),
    (
        "Unicast checksum compatibility",
        "found out from the peer's adverts: keepalived begins with `no`, we with `auto`",
    ),
    ("Password", "ours writes no pass phrases"),
    ("Result", "found out: the script's last status"),
    ("Insecure", "told when the file is read, and not started at all"),
    ("Init state", "found out"),
    ("Fork delay timer", "a timer"),
    ("Terminate delay timer", "a timer"),
    ("Have quorum", "found out"),
    ("Current processes", "found out"),
    ("Bfd is", "found out"),
    ("Tracking VRRP instances", "a title over nothing: they stand below `Tracking instances`"),
    ("Script uid:gid", "not shown by ours: compared with our reading of the file, by `users`"),
    ("VRRP instances", "the instances themselves list what they track"),
];

/// Single lines that differ: the file, what keepalived's begins with, and why.
const EXCUSED_IN: &[(&str, &str, &str)] = &[
    (
        "keepalived.conf.vrrp",
        "Virtual IP (4):",
        "one address stands there twice: 2.2 counts both, 2.4 one, as we do (docs/differences.md)",
    ),
    (
        "keepalived.conf.vrrp",
        "192.168.200.18 dev eth0 scope global label",
        "the second of two lines for one address, which the kernel does not take",
    ),
    (
        "04-routes-rules.conf",
        "from 192.168.37.0/24",
        "keepalived cuts the id of a tunnel to 32 bits (docs/differences.md)",
    ),
    ("04-routes-rules.conf", "prepend 192.168.115.0/24", "keepalived leaves out the realm of the source"),
    ("04-routes-rules.conf", "prepend 192.168.116.0/24", "keepalived writes the label in hex before the label"),
    ("04-routes-rules.conf", "prepend 192.168.117.0/24", "keepalived writes 32 bits of the id"),
    ("04-routes-rules.conf", "prepend 192.168.119.0/24", "keepalived writes the label in hex before the label"),
    ("04-routes-rules.conf", "prepend 2001:db8:97::/64", "keepalived writes the locator as a number in network order"),
];

/// Files that keepalived cannot run on this kernel, or cannot write the state of.
const NOT_HERE: &[(&str, &str)] = &[
    ("keepalived.conf.vrrp.lvs_syncd", "its sync daemon needs ip_vs"),
    ("06-fwmark-quorum.conf", "its sync daemon needs ip_vs"),
    ("03-sync-tracking.conf", "keepalived 2.2.7 dies of SIGSEGV when it writes the state of it"),
];

/// What a daemon writes at SIGUSR1, and how we read its configuration on that host.
struct Told {
    vrrp: String,
    /// Of keepalived alone, and only if there are sessions.
    bfd: Option<String>,
    config: Config,
}

/// `None` if it does not start with this configuration.
fn state(node: &Node, program: Program, text: &str) -> Option<Told> {
    // Without -P keepalived ends where there is no ip_vs.
    let has = |word: &str| text.lines().any(|line| line.trim_start().starts_with(word));
    let more: &[&str] = if has("bfd_instance ") && !has("virtual_server ") { &[] } else { &["-P"] };
    let mut daemon = Daemon::start(node, program, text, Options { more, ..Options::default() });
    let started = wait::within(SOON, || {
        let ended = daemon.process.exited().is_some();
        (ended || daemon.log().contains("Startup complete")).then_some(!ended)
    });
    if started != Some(true) {
        assert!(started.is_some(), "{} neither starts nor ends; it said:\n{}", program.name(), daemon.log());
        return None;
    }
    let vrrp = written(&daemon, "keepalived.data", "------< Interfaces >------");
    let with_bfd = program == Program::Keepalived && more.is_empty();
    let bfd = with_bfd.then(|| written(&daemon, "keepalived_bfd.data", "last_seen"));
    let file = daemon.directory().join("keepalived.conf").to_string_lossy().into_owned();
    let config = node.enter(move || effective::read(&file));
    daemon.stop();
    for name in ["keepalived.data", "keepalived_bfd.data"] {
        let _ = std::fs::remove_file(daemon.directory().join(name));
    }
    Some(Told { vrrp, bfd, config })
}

/// A file that comes at SIGUSR1, once `mark` is in it.
fn written(daemon: &Daemon, name: &str, mark: &str) -> String {
    let file = daemon.directory().join(name);
    // keepalived's parent may be faster than its child, which then hears nothing of the signal.
    let mut asked: Option<Instant> = None;
    let mut last = String::new();
    let whole = wait::within(SOON, || {
        if asked.is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
            daemon.process.signal(Signal::SIGUSR1);
            asked = Some(Instant::now());
        }
        let text = std::fs::read(&file).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())?;
        // Written in one piece or not: twice the same is all of it.
        let whole = text.contains(mark) && text == last;
        last = text;
        whole.then(|| last.clone())
    });
    whole.unwrap_or_else(|| panic!("no {}; {} said:\n{}", file.display(), daemon.program().name(), daemon.log()))
}

/// What is compared, block by block.
const SECTIONS: [&str; 9] = [
    "VRRP Topology",
    "VRRP Sync groups",
    "VRRP Scripts",
    "VRRP Track files",
    "VRRP Track processes",
    "VRRP Track BFDs",
    "Static Addresses",
    "Static Routes",
    "Static Rules",
];

/// Sections that are not: why.
const OTHER_SECTIONS: &[(&str, &str)] = &[
    ("Global definitions", "compared with our reading of the file, by `effective::differences`"),
    ("Gratuitous ARP delays", "likewise"),
    ("GARP delay group", "likewise"),
    ("VRRP Sockpool", "descriptors"),
    ("Interfaces", "what the host has"),
];

/// The lines of each virtual router, and of what is tracked, by the name that their block begins with.
fn blocks(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut blocks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut section, mut name) = (None, String::new());
    for line in text.lines() {
        if let Some(title) = line.trim().strip_prefix("------< ").and_then(|rest| rest.strip_suffix(" >------")) {
            section = SECTIONS.iter().find(|section| section.eq_ignore_ascii_case(title));
            name = title.to_owned();
        } else if section.is_some() && !line.trim().is_empty() {
            let depth = line.len() - line.trim_start().len();
            if depth <= 1 {
                // The state of a group stands behind its name.
                let title = line.trim().split(',').next().unwrap_or_default();
                name = format!("{} / {title}", section.unwrap_or(&""));
                blocks.entry(name.clone()).or_default();
            } else {
                blocks.entry(name.clone()).or_default().push(line.trim().to_owned());
            }
        }
    }
    blocks
}

fn excused(file: &str, line: &str) -> bool {
    EXCUSED.iter().any(|(start, _)| line.starts_with(start))
        || EXCUSED_IN.iter().any(|(name, start, _)| *name == file && line.starts_with(start))
}

/// A line as far as both write it in one way: without whether an address is there, on what a VMAC stands, the number of an
/// interface, and who runs a script.
fn bare(line: &str) -> String {
    let line = line.split(", uid:gid").next().unwrap_or(line);
    let line = line.split(", vmac on").next().unwrap_or(line);
    let line = line.split(", ifindex").next().unwrap_or(line).trim_end_matches(" set");
    let line = line.split(" [installed").next().unwrap_or(line);
    // Keepalived leaves out the length of a host in some places.
    let host = |word: &'_ str| word.strip_suffix("/32").unwrap_or(word).to_owned();
    let words = line.split(' ').map(|word| host(word.split('@').next().unwrap_or(word).trim_end_matches(',')));
    words.collect::<Vec<_>>().join(" ")
}

/// What keepalived says and we do not.
fn differences(file: &str, theirs: &str, ours: &str) -> Vec<String> {
    let ours = blocks(ours);
    let mut missing = Vec::new();
    for section in effective::sections(theirs) {
        let is = |name: &str| section.title.eq_ignore_ascii_case(name);
        let other = OTHER_SECTIONS.iter().any(|(name, _)| section.title.starts_with(name));
        if !other && !SECTIONS.iter().any(|name| is(name)) {
            missing.push(format!("{}: a section that we know nothing of", section.title));
        }
    }
    for (name, lines) in blocks(theirs) {
        let Some(own) = ours.get(&name) else {
            missing.push(format!("{name} is not there; ours: {:?}", ours.keys().collect::<Vec<_>>()));
            continue;
        };
        for line in lines.iter().filter(|line| !excused(file, line)) {
            // The interface that an instance has made is shown beside the one below.
            let made = line.starts_with("Interface = ") && line.contains("vmac on");
            if !made && !own.iter().any(|have| bare(have) == bare(line)) {
                let key = line.split(" = ").next().unwrap_or(line);
                let near: Vec<_> = own.iter().filter(|have| have.starts_with(key)).collect();
                missing.push(format!("{name}: `{line}`; ours: {near:?}"));
            }
        }
    }
    missing
}

/// Who runs a script: keepalived says so behind each, ours where the file is read.
fn users(theirs: &str, config: &Config) -> Vec<String> {
    let ours: BTreeSet<String> = config
        .scripts
        .iter()
        .map(|entry| {
            let words: Vec<String> = entry.words.iter().map(|word| format!("'{word}'")).collect();
            format!("{}, uid:gid {}:{}", words.join(" "), entry.uid, entry.gid)
        })
        .collect();
    let mut tracked = String::new();
    let mut wrong = Vec::new();
    for line in theirs.lines() {
        let (name, value) = line.trim().split_once(" = ").unwrap_or_default();
        let whole = match name {
            "Command" => {
                tracked = value.to_owned();
                continue;
            }
            // A file that can be opened is no script.
            "Script uid:gid" if tracked.starts_with('<') => continue,
            "Script uid:gid" => format!("{tracked}, uid:gid {value}"),
            _ if name.ends_with("transition script") => value.to_owned(),
            _ => continue,
        };
        if !ours.contains(&whole) {
            wrong.push(format!("{name} `{whole}`; ours: {ours:?}"));
        }
    }
    wrong
}

fn compare(files: &[std::path::PathBuf]) {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for path in files {
        let name = path.display();
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if NOT_HERE.iter().any(|(name, _)| *name == file)
            || !text.lines().any(|line| line.trim_start().starts_with("vrrp_instance"))
        {
            continue;
        }
        // Logs are appended to, so each file has a host of its own.
        let lab = Lab::new();
        let node = effective::host(&lab, "R1");
        match (state(&node, Program::Keepalived, &text), state(&node, Program::Keepwatch, &text)) {
            (Some(theirs), Some(ours)) => {
                assert!(theirs.vrrp.contains(" VRRP Instance = "), "{name}: no instance:\n{}", theirs.vrrp);
                let mut told = differences(file, &theirs.vrrp, &ours.vrrp);
                told.extend(users(&theirs.vrrp, &theirs.config));
                told.extend(effective::differences(&theirs.vrrp, Expected::Vrrp, &theirs.config));
                if let Some(bfd) = &theirs.bfd {
                    told.extend(effective::differences(bfd, Expected::Bfd, &theirs.config));
                }
                wrong.extend(told.into_iter().map(|what| format!("{name}: {what}")));
                compared += 1;
            }
            (None, None) => {}
            (theirs, _) => {
                let who = if theirs.is_some() { "keepwatchd" } else { "keepalived" };
                wrong.push(format!("{name}: only {who} does not start"));
            }
        }
    }
    assert!(compared > 0, "nothing was compared");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn of_the_tree(directory: &str) -> Vec<std::path::PathBuf> {
    effective::files_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(directory), "")
}

#[test]
fn keepalived_s_samples_mean_what_keepalived_says_they_mean() {
    let files = effective::files_of(Path::new(SAMPLES), "keepalived.conf.");
    assert!(files.len() >= 20, "only {} samples in {SAMPLES}", files.len());
    compare(&files);
}

#[test]
fn recorded_configurations_mean_what_keepalived_says_they_mean() {
    compare(&of_the_tree("tests/conf/seeds"));
}

#[test]
fn what_the_ansible_role_writes_means_what_keepalived_says_it_means() {
    compare(&of_the_tree("tests/conf/ansible"));
}

#[test]
fn everything_that_can_be_tracked_means_what_keepalived_says_it_means() {
    compare(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conf/effective/trackers.conf")]);
}
