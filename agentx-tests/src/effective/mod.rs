//! What a configuration means: Debian's keepalived writes it into a file at SIGUSR1, and this module writes our reading of the
//! same configuration in the same words. Start at [`differences`].
//!
//! Line is held against line, in order, both ways: a value that differs, a line that is missing and one that nobody knows
//! are all differences. What is left out is in [`EXCUSED`], by the name of the line and with the reason.
//!
//! This shares the model with the daemon on purpose: it is what the daemon's processes are handed.

mod bfd;
mod checkers;
mod globals;
mod lines;
mod topology;

use std::path::{Path, PathBuf};

use keepwatch::conf::model::Config;

pub use self::lines::{Section, sections};
use crate::net::{Lab, Nic, Node};

/// The files of a directory whose names begin so, sorted.
pub fn files_of(directory: &Path, start: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(start)))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// The host that all of keepalived's samples fit.
pub fn host(lab: &Lab, name: &str) -> Node {
    let switch = lab.switch();
    let node = lab.node(name);
    for (name, addresses) in [
        ("eth0", &["192.168.0.1/24", "10.0.0.1/24", "2001:db8::1/64"][..]),
        ("eth1", &["192.168.100.2/24"]),
        ("eth2", &["192.168.99.2/24"]),
        ("eth3", &[]),
        ("eth0.1", &[]),
    ] {
        lab.connect(&node, &switch, Nic { name, addresses, ..Nic::default() });
    }
    node
}

/// Lines that say how things are, or how keepalived is built, and not what was configured: section, name of the line, reason.
pub const EXCUSED: &[(&str, &str, &str)] = &[
    ("Global definitions", "libnftnl version", "what keepalived was built with"),
    ("Global definitions", "Gratuitous ARP delay", "a default of instances: it is compared in each of them"),
    ("Global definitions", "Gratuitous ARP repeat", "a default of instances"),
    ("Global definitions", "Gratuitous ARP refresh timer", "a default of instances"),
    ("Global definitions", "Gratuitous ARP refresh repeat", "a default of instances"),
    ("Global definitions", "Gratuitous ARP lower priority delay", "a default of instances"),
    ("Global definitions", "Gratuitous ARP lower priority repeat", "a default of instances"),
    ("Global definitions", "Num adverts before down", "a default of instances"),
    ("Global definitions", "Gratuitous ARP for each secondary", "a default of instances"),
    ("Global definitions", "Gratuitous ARP interval", "a default of instances"),
    ("Global definitions", "Gratuitous NA interval", "a default of instances"),
    ("Global definitions", "Send advert after receive lower priority advert", "a default of instances"),
    ("Global definitions", "Send advert after receive higher priority advert", "a default of instances"),
    ("Global definitions", "VRRP IPv4 mcast group", "a default of instances"),
    ("Global definitions", "VRRP IPv6 mcast group", "a default of instances"),
    ("Global definitions", "VRRP default protocol version", "a default of instances"),
    ("Global definitions", "VRRP check unicast_src", "a default of instances"),
    ("Global definitions", "VRRP skip check advert addresses", "a default of instances"),
    ("Global definitions", "VRRP strict mode", "a default of instances"),
    ("Global definitions", "VRRP notify priority changes", "a default of instances"),
    ("Global definitions", "Default interface", "a default of instances and of static addresses"),
    ("Global definitions", "Default script uid", "a default of scripts: each is compared with its own"),
    ("Global definitions", "VMAC prefix", "a default of instances: it is in the names of their interfaces"),
    ("Global definitions", "VMAC address prefix", "likewise"),
    ("Global definitions", "VRRP CPU Affinity", "keepalived 2.2.7 writes no numbers behind it"),
    ("Global definitions", "Checker CPU Affinity", "likewise"),
    ("Global definitions", "No reload scheduled", "found out"),
    ("Global definitions", "Allow interface changes", "only about what keepalived complains of at start"),
    ("Global definitions", "nftables don't force use ifindex", "how keepalived keeps addresses in nftables"),
    ("Global definitions", "ipvs nftables", "not needed here (docs/compatibility.md)"),
    ("Global definitions", "current realtime", "found out"),
    ("Global definitions", "BFD process name", "BFD has no process of its own here (docs/compatibility.md)"),
    ("Global definitions", "BFD process priority", "BFD has no process of its own here (docs/compatibility.md)"),
    ("Global definitions", "BFD don't swap", "BFD has no process of its own here"),
    ("Global definitions", "BFD realtime priority", "BFD has no process of its own here"),
    ("Global definitions", "BFD realtime limit", "BFD has no process of its own here"),
    ("Global definitions", "vrrp_netlink_cmd_rcv_bufs_force", "always done here (docs/compatibility.md)"),
    ("Global definitions", "vrrp_netlink_monitor_rcv_bufs_force", "always done here"),
    ("Global definitions", "lvs_netlink_cmd_rcv_bufs_force", "always done here"),
    ("Global definitions", "lvs_netlink_monitor_rcv_bufs_force", "always done here"),
    ("LVS Topology", "System is compiled with LVS", "what keepalived was built with"),
    ("LVS Topology", "Alive", "found out"),
    ("LVS Topology", "alive", "found out"),
    ("LVS Topology", "reloaded", "what keepalived is doing"),
    ("LVS Topology", "quorum_state_up", "found out"),
    ("LVS Topology", "effective weight", "found out: what scripts and files have come to"),
    ("LVS Topology", "previous effective_weight", "found out"),
    ("LVS Topology", "num failed checkers", "found out"),
    ("LVS Topology", "RS set", "found out"),
    ("Health checkers", "Enabled", "found out: whether it runs now"),
    ("Health checkers", "Up", "found out"),
    ("Health checkers", "Has run", "found out"),
    ("Health checkers", "Current weight", "found out"),
    ("Health checkers", "Retries iterations", "found out"),
    ("Health checkers", "Last errno", "found out"),
    ("Health checkers", "Last ran", "found out"),
    ("Health checkers", "Last status", "found out"),
    ("Health checkers", "Failed URL", "found out"),
    ("Health checkers", "Reloaded", "what keepalived is doing"),
    (
        "Health checkers",
        "Default delay before retry",
        "of the kind of checker; what is in force is in `Delay before retry`",
    ),
    ("Health checkers", "Regex options", "keepalived 2.2.7 writes all of them as soon as one is set"),
    ("Health checkers", "Regex ref count", "how keepalived keeps them"),
    ("BFD Topology", "fd_out", "a descriptor"),
    ("BFD Topology", "thread_", "where keepalived keeps it"),
    ("BFD Topology", "sands_", "a timer"),
    ("BFD Topology", "send error", "found out"),
    ("BFD Topology", "local ", "found out, and agreed with the neighbour"),
    ("BFD Topology", "remote ", "found out"),
    ("BFD Topology", "!poll", "found out"),
    ("BFD Topology", "last_seen", "found out"),
    ("Checker track files", "Status", "found out"),
    ("Checker track files", "Weight", "a default: what is in force is in the lines of the servers"),
];

/// Sections that are about the state alone, or that are compared elsewhere: why.
pub const OTHER_SECTIONS: &[(&str, &str)] = &[
    ("Interfaces", "what the host has"),
    ("VRRP Sockpool", "descriptors"),
    ("BFD Data", "descriptors"),
    ("VRRP Topology", "compared with our own state file (tests/effective.rs)"),
    ("VRRP Sync groups", "likewise"),
    ("VRRP Scripts", "likewise"),
    ("VRRP Track files", "likewise"),
    ("VRRP Track processes", "likewise"),
    ("VRRP Track BFDs", "likewise"),
    ("Static Addresses", "likewise"),
    ("Static Routes", "likewise"),
    ("Static Rules", "likewise"),
    ("Gratuitous ARP delays", "a title"),
    ("GARP delay group", "compared by `pacing`"),
];

/// Which file of keepalived's: each process writes its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// keepalived_check.data: settings, virtual servers, checkers.
    Checks,
    /// keepalived.data: settings, and VRRP, which is compared elsewhere.
    Vrrp,
    /// keepalived_bfd.data: settings and sessions.
    Bfd,
}

/// What a state file of keepalived says and our reading does not, and the other way round.
pub fn differences(theirs: &str, what: Expected, config: &Config) -> Vec<String> {
    let mut wrong = Vec::new();
    let theirs = sections(theirs);
    let of_checks = what == Expected::Checks;
    let ours = expected(config, what);
    for section in &theirs {
        let title = section.title.as_str();
        if OTHER_SECTIONS.iter().any(|(other, _)| title.starts_with(other)) {
            continue;
        }
        let Some(own) = ours.iter().find(|own| own.title == title) else {
            wrong.push(format!("{title}: a section that we know nothing of:\n  {}", section.lines.join("\n  ")));
            continue;
        };
        let their_lines = normal(section, config, of_checks);
        wrong.extend(lines::diff(&their_lines, &own.lines).into_iter().map(|what| format!("{title}: {what}")));
    }
    if what == Expected::Vrrp {
        wrong.extend(globals::pacing(&theirs, config));
    }
    for own in ours.iter().filter(|own| !own.lines.is_empty()) {
        if !theirs.iter().any(|section| section.title == own.title) {
            wrong.push(format!("{}: only we have that:\n  {}", own.title, own.lines.join("\n  ")));
        }
    }
    wrong
}

/// Our reading, section by section.
fn expected(config: &Config, what: Expected) -> Vec<Section> {
    let section = |title: &str, lines| Section { title: title.to_owned(), lines };
    let mut all = vec![section("Global definitions", globals::lines(config, what == Expected::Checks))];
    match what {
        Expected::Checks => all.extend([
            section("SSL definitions", topology::tls(config)),
            section("LVS Topology", topology::lines(config)),
            section("Health checkers", checkers::lines(config)),
            section("Checker track files", checkers::files(config)),
        ]),
        Expected::Bfd => all.push(section("BFD Topology", bfd::lines(config))),
        Expected::Vrrp => {}
    }
    all
}

/// Keepalived's lines without those that are excused, and in one manner where it has several.
fn normal(section: &Section, config: &Config, of_checks: bool) -> Vec<String> {
    let excused = |line: &str| {
        EXCUSED.iter().any(|(of, name, _)| {
            *of == section.title
                && line.trim_start().strip_prefix(name).is_some_and(|rest| {
                    // A whole word, unless the name leaves it open.
                    name.ends_with([' ', '_']) || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
                })
        })
    };
    let lines = section.lines.iter().filter(|line| !excused(line)).cloned().collect();
    match section.title.as_str() {
        "Global definitions" => globals::normal(lines, config, of_checks),
        "LVS Topology" => topology::normal(lines),
        "Health checkers" => checkers::normal(lines, config),
        _ => lines,
    }
}

/// A file that the daemon does not wait for: what a test reads it as.
#[track_caller]
pub fn read(path: &str) -> Config {
    let options = keepwatch::conf::Options::default();
    let loaded = keepwatch::conf::load(path, &options, &keepwatch::conf::Disk, &keepwatch::conf::LocalHost);
    assert!(loaded.can_start, "{path}:\n{}", loaded.render());
    loaded.config
}
