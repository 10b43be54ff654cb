//! The configuration language as a whole: the list of operator mistakes, the recorded configurations, mutations.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not test functions to clippy")]

mod bfd;
mod bounds;
mod check;
mod differences;
mod dump;
mod expansion;
mod golden;
mod language;
mod mutations;
mod notify;
mod rfc;
mod routes;
mod samples;
mod semantics;
mod sync_groups;
mod syntax;
mod table;
mod trackers;
mod vmac;
mod walk;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use keepwatch::conf::files::{FileKind, MATCH_OPTIONS, Stat};
use keepwatch::conf::host::{Identity, Interface};
use keepwatch::conf::{self, Files, Host, Loaded, Options, Severity};

/// Files by name; everything else does not exist.
#[derive(Default)]
struct Memory {
    files: BTreeMap<String, (Vec<u8>, u32)>,
}

impl Memory {
    fn with(mut self, name: &str, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(name.to_owned(), (text.into(), 0o644));
        self
    }

    fn mode(mut self, name: &str, mode: u32) -> Self {
        self.files.entry(name.to_owned()).or_default().1 = mode;
        self
    }

    fn is_directory(&self, path: &str) -> bool {
        let inside = format!("{}/", path.trim_end_matches('/'));
        path == "." || self.files.keys().any(|name| name.starts_with(&inside))
    }
}

impl Files for Memory {
    fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let file = self.files.get(path).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(file.0.clone())
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let Ok(pattern) = glob::Pattern::new(pattern) else { return Vec::new() };
        self.files.keys().filter(|name| pattern.matches_with(name, MATCH_OPTIONS)).cloned().collect()
    }

    fn canonicalize(&self, path: &str) -> std::io::Result<String> {
        Ok(if path.starts_with('/') { path.to_owned() } else { format!("/etc/{}", path.trim_start_matches("./")) })
    }

    fn stat(&self, path: &str) -> Option<Stat> {
        let mode = self.files.get(path).map(|file| file.1);
        let kind = match mode {
            Some(_) => FileKind::Regular,
            None if self.is_directory(path) => FileKind::Directory,
            None => return None,
        };
        Some(Stat { kind, mode: mode.unwrap_or(0o755), owner: 0, group: 0 })
    }
}

/// The host of the specification: lo, eth0 and eth1, no keepalived_script user.
struct TwoInterfaces;

impl Host for TwoInterfaces {
    fn interfaces(&self) -> Vec<Interface> {
        let interface = |name: &str, addresses: &[(&str, u8)]| Interface {
            name: name.to_owned(),
            up: true,
            loopback: name == "lo",
            multicast: name != "lo",
            addresses: addresses.iter().map(|(text, prefix)| (text.parse().unwrap(), *prefix)).collect(),
        };
        vec![
            interface("lo", &[("127.0.0.1", 8), ("::1", 128)]),
            interface("eth0", &[("192.0.2.11", 24), ("2001:db8:1::11", 64)]),
            interface("eth1", &[("198.51.100.11", 24)]),
        ]
    }

    fn user(&self, name: &str) -> Option<Identity> {
        match name {
            "root" => Some(Identity::default()),
            "nobody" => Some(Identity { uid: 65534, gid: 65534 }),
            _ => None,
        }
    }

    fn group(&self, name: &str) -> Option<u32> {
        match name {
            "root" => Some(0),
            "adm" => Some(4),
            _ => None,
        }
    }

    fn own_identity(&self) -> Identity {
        Identity::default()
    }

    fn pattern_error(&self, pattern: &str, options: &[String]) -> Option<String> {
        conf::LocalHost.pattern_error(pattern, options)
    }

    fn host_name(&self) -> String {
        "node3.example.com".to_owned()
    }

    fn environment(&self, name: &str) -> Option<String> {
        (name == "SITE").then(|| "west".to_owned())
    }

    fn resolve(&self, name: &str) -> Option<IpAddr> {
        (name == "mail.example.com").then(|| IpAddr::from([192, 0, 2, 25]))
    }

    fn has_module(&self, name: &str) -> Option<bool> {
        Some(!matches!(name, "ip_vs_nq"))
    }

    /// What is on link; there is no router.
    fn reaches(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => [[192, 0, 2], [198, 51, 100], [127, 0, 0]].iter().any(|net| v4.octets().starts_with(net)),
            IpAddr::V6(v6) => v6.segments().starts_with(&[0x2001, 0xdb8, 1, 0]) || v6.is_unicast_link_local(),
        }
    }
}

/// A host where every interface exists that a file may name.
struct AnyHost;

impl Host for AnyHost {
    fn interfaces(&self) -> Vec<Interface> {
        let names = ["lo", "eth0", "eth1", "eth2", "eth3", "eth0.1"];
        let interface = |name: &str| {
            let loopback = name == "lo";
            Interface { name: name.to_owned(), up: true, loopback, multicast: !loopback, ..Interface::default() }
        };
        names.map(interface).to_vec()
    }

    fn user(&self, _: &str) -> Option<Identity> {
        Some(Identity::default())
    }

    fn group(&self, _: &str) -> Option<u32> {
        Some(0)
    }

    fn own_identity(&self) -> Identity {
        Identity::default()
    }

    fn pattern_error(&self, pattern: &str, options: &[String]) -> Option<String> {
        conf::LocalHost.pattern_error(pattern, options)
    }

    fn host_name(&self) -> String {
        "lab".to_owned()
    }

    fn environment(&self, _: &str) -> Option<String> {
        None
    }

    fn resolve(&self, _: &str) -> Option<IpAddr> {
        None
    }

    fn reaches(&self, _: IpAddr) -> bool {
        true
    }
}

fn load(text: &str) -> Loaded {
    conf::load("k.conf", &Options::default(), &Memory::default().with("k.conf", text), &TwoInterfaces)
}

/// Where our exit status or severity differs from the list on purpose.
const DIFFERENT: &[(u32, Option<&str>, Option<u8>, &str)] = &[
    (16, None, Some(0), "a byte order mark is accepted"),
    (19, None, Some(0), "lines have no longest length"),
    (29, None, Some(6), "a missing file is never 0"),
    (31, None, Some(6), "a missing file is never 0"),
    (41, Some("warning"), None, "addresses of the other family are installed"),
    (122, None, Some(0), "inet6 works as documented"),
    (126, None, Some(0), "readable works as documented"),
    (127, None, Some(0), "state_file_location works as documented"),
    (129, None, Some(6), "a missing file is never 0"),
    (131, None, Some(6), "a directory is no file"),
];

/// Where the list of mistakes is.
fn list() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/diagnostics")
}

/// The files of the list, and what else they name.
fn files_of_the_list() -> Memory {
    let mut memory = Memory::default();
    for entry in std::fs::read_dir(list()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".txt") {
            continue;
        }
        memory = memory.with(&name, std::fs::read(entry.path()).unwrap());
    }
    let executable = ["/usr/bin/true", "/usr/bin/test", "/usr/bin/logger", "/usr/bin/pgrep", "/bin/sh"];
    for name in executable {
        memory = memory.with(name, "").mode(name, 0o755);
    }
    let memory = memory.with("/etc/hostname", "").mode("/var/tmp/kw-insecure.sh", 0o777);
    memory.mode("130-config-executable.conf", 0o755)
}

/// The cases of the list that are about files: their number and cells.
fn cases() -> Vec<(u32, Vec<String>)> {
    let text = std::fs::read_to_string(list().join("cases.tsv")).unwrap();
    let cells = text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    let numbered = cells.map(|cells| (cells[0].parse().unwrap(), cells));
    // A mistake on the command line is no file's: the tests of src/process/options.rs have it.
    numbered.filter(|(number, _)| *number != 132).collect()
}

fn file_of(cells: &[String]) -> &str {
    cells[2].rsplit(' ').next().unwrap()
}

#[test]
fn every_mistake_of_the_list_is_told_where_it_is() {
    let memory = files_of_the_list();
    let mut wrong = Vec::new();
    for (number, cells) in cases() {
        let loaded = conf::load(file_of(&cells), &Options::default(), &memory, &TwoInterfaces);
        if let Err(problem) = judge(number, &cells, &loaded) {
            wrong.push(format!("{number}: {problem}\n{}", loaded.render()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn judge(number: u32, cells: &[String], loaded: &Loaded) -> Result<(), String> {
    let different = DIFFERENT.iter().find(|(case, ..)| *case == number);
    let severity = different.and_then(|(_, severity, ..)| *severity).unwrap_or(&cells[3]);
    let status = different.and_then(|(_, _, status, _)| *status);
    let status = status.or_else(|| cells[7].parse().ok()).unwrap_or(5);
    if loaded.status != status {
        return Err(format!("status {} instead of {status}", loaded.status));
    }
    let wanted = match severity {
        "ok" => {
            let complaints = loaded.diagnostics.iter().filter(|each| each.severity > Severity::Hint).count();
            return if complaints == 0 { Ok(()) } else { Err("complaints about a good file".to_owned()) };
        }
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        _ => Severity::Hint,
    };
    let place: Option<(u32, u32)> = cells[4].parse().ok().zip(cells[5].parse().ok());
    let hit = |each: &&conf::Diagnostic| {
        each.severity == wanted && place.is_none_or(|place| place == (each.span.line, each.span.column))
    };
    if !loaded.diagnostics.iter().any(|each| hit(&each)) {
        return Err(format!("no {severity} at {}:{}", cells[4], cells[5]));
    }
    // One mistake, one diagnostic; remarks about the rest of the file are remarks.
    let errors = loaded.diagnostics.iter().filter(|each| each.severity == Severity::Error && !hit(each)).count();
    if errors > usize::from(number == 1) {
        return Err("one mistake, several errors".to_owned());
    }
    Ok(())
}

#[test]
fn the_recorded_configurations_are_read_without_an_error() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/seeds");
    let mut count = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        let mut memory = Memory::default().with("k.conf", std::fs::read(entry.path()).unwrap());
        for name in ["/usr/bin/true", "/usr/bin/false", "/usr/bin/echo", "/usr/bin/test", "/bin/true"] {
            memory = memory.with(name, "").mode(name, 0o755);
        }
        memory = memory.with("/etc/iproute2/rt_tables", "100 lab\n");
        let loaded = conf::load("k.conf", &Options::default(), &memory, &AnyHost);
        // One recording has a service without servers, on purpose.
        let expected = |each: &&conf::Diagnostic| each.code == "no-servers";
        let errors = loaded.diagnostics.iter().filter(|each| each.severity == Severity::Error);
        let errors: Vec<_> = errors.filter(|each| !expected(each)).collect();
        assert!(errors.is_empty(), "{:?}:\n{}", entry.file_name(), loaded.render());
        assert!(loaded.can_start, "{:?}:\n{}", entry.file_name(), loaded.render());
        count += 1;
    }
    assert_eq!(count, 8);
}

#[test]
fn the_keyword_documentation_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keywords.md");
    let wanted = conf::keywords::markdown();
    if std::env::var_os("KEEPWATCH_RENEW").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/keywords.md is stale: KEEPWATCH_RENEW=1 cargo test --test conf renews it");
}

#[test]
fn files_on_disk_are_included_relative_to_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    std::fs::create_dir_all(directory.path().join("conf.d/sub")).unwrap();
    write("k.conf", "include conf.d/*.conf\n");
    write("conf.d/b.conf", &instance("    priority 2").replace("VI_1", "B").replace("51", "52"));
    write("conf.d/a.conf", "include sub/**.conf\n");
    write("conf.d/.hidden.conf", "frob\n");
    write("conf.d/sub/x.conf", GOOD);
    let top = directory.path().join("k.conf");
    let loaded = conf::load(top.to_str().unwrap(), &Options::default(), &conf::Disk, &TwoInterfaces);
    let names: Vec<_> = loaded.config.instances.iter().map(|each| each.name.to_string()).collect();
    assert_eq!(names, ["VI_1", "B"], "{}", loaded.render());
    assert_eq!(conf::load("/dev/null", &Options::default(), &conf::Disk, &TwoInterfaces).status, 6);
}

const GOOD: &str = "vrrp_instance VI_1 {\n    interface eth0\n    virtual_router_id 51\n    priority 100\n    \
                    virtual_ipaddress {\n        192.0.2.100/24\n    }\n}\n";

/// An instance with some lines of its own.
fn instance(lines: &str) -> String {
    GOOD.replace("    priority 100\n", &format!("{lines}\n"))
}

fn codes(loaded: &Loaded) -> Vec<&str> {
    loaded.diagnostics.iter().map(|each| each.code).collect()
}
