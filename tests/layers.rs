//! Which module may know what: the directions that crate borders would enforce, read off the source.

use std::fs;
use std::path::{Path, PathBuf};

/// Words that say: here is an operating system, a runtime, a clock or a log.
const EDGE: [&str; 12] = [
    "tokio",
    "nix::",
    "libc::",
    "tracing",
    "netlink_packet",
    "std::fs",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "clock::now",
    "UdpSocket",
];

/// Modules that decide, and files in them that are the edge on purpose.
const PURE: [(&str, &[&str]); 13] = [
    ("wire", &[]),
    ("mib", &[]),
    ("store", &[]),
    ("bus", &[]),
    ("control", &[]),
    ("vrrp", &[]),
    ("bfd", &[]),
    ("track", &[]),
    // What probes do is I/O.
    ("check", &["probe", "probe.rs"]),
    ("agentx", &[]),
    ("snmp", &[]),
    ("dbus", &[]),
    ("conf", &["files.rs", "host.rs"]),
];

#[test]
fn modules_that_decide_know_no_operating_system() {
    let mut found = Vec::new();
    for (module, edges) in PURE {
        for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module)) {
            let below = |edge: &&str| file.components().any(|part| part.as_os_str() == std::ffi::OsStr::new(*edge));
            if edges.iter().any(|edge| file.ends_with(edge) || below(edge)) {
                continue;
            }
            for (number, line) in code(&file) {
                for word in EDGE {
                    if line.contains(word) {
                        found.push(format!("{}:{number}: {}", file.display(), line.trim()));
                    }
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// Each module, and modules it must not name.
const STRANGERS: [(&str, &[&str]); 12] = [
    ("track", &["crate::vrrp", "crate::check", "crate::mib", "crate::store", "crate::process", "crate::netlink"]),
    ("snmp", &["crate::vrrp", "crate::check", "crate::store", "crate::process", "crate::netlink", "crate::sys"]),
    ("dbus", &["crate::vrrp", "crate::check", "crate::process", "crate::netlink", "crate::sys"]),
    ("wire", &["crate::vrrp", "crate::bus", "crate::mib", "crate::store", "crate::agentx", "crate::process"]),
    ("mib", &["crate::agentx", "crate::process", "crate::vrrp"]),
    ("store", &["crate::mib", "crate::agentx", "crate::process", "crate::vrrp"]),
    ("vrrp", &["crate::agentx", "crate::mib", "crate::store", "crate::process", "crate::netlink", "crate::sys"]),
    ("bfd", &["crate::vrrp", "crate::check", "crate::mib", "crate::store", "crate::process", "crate::sys"]),
    ("check", &["crate::vrrp", "crate::agentx", "crate::mib", "crate::store", "crate::process", "crate::netlink"]),
    ("conf", &["crate::vrrp", "crate::check", "crate::bus", "crate::agentx", "crate::mib", "crate::process"]),
    ("bus", &["crate::vrrp", "crate::agentx", "crate::mib", "crate::store", "crate::process"]),
    ("sys", &["crate::vrrp", "crate::bus", "crate::conf", "crate::process", "crate::netlink"]),
];

#[test]
fn modules_do_not_name_those_they_know_nothing_about() {
    let mut found = Vec::new();
    for (module, strangers) in STRANGERS {
        for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module)) {
            for (number, line) in code(&file) {
                if strangers.iter().any(|stranger| line.contains(stranger)) {
                    found.push(format!("{}:{number}: {}", file.display(), line.trim()));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn unsafe_stands_in_sys_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for file in sources(&src).into_iter().filter(|file| !file.starts_with(src.join("sys"))) {
        for (number, line) in code(&file) {
            if line.contains("unsafe ") || line.contains("allow(unsafe_code)") {
                found.push(format!("{}:{number}: {}", file.display(), line.trim()));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut files: Vec<PathBuf> = entries
        .flat_map(|entry| sources(&entry.expect("a directory entry").path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    files.sort();
    files
}

/// Lines of code with their numbers: comments left out, and everything from the file's own tests on.
fn code(file: &Path) -> Vec<(usize, String)> {
    let is_test_file = file.file_name().is_some_and(|name| name == "tests.rs" || name == "fixture.rs");
    if is_test_file || file.components().any(|part| part.as_os_str() == "tests") {
        return Vec::new();
    }
    let text = fs::read_to_string(file).expect("a source file");
    (1..)
        .zip(text.lines())
        .take_while(|(_, line)| !line.contains("#[cfg(test)]"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number, line.split(" // ").next().unwrap_or_default().to_owned()))
        .collect()
}
