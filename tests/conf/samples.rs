//! Files as operators have them: Keepalived's own samples, the recorded configurations, what an Ansible role writes.

use super::*;

const SAMPLES: &str = "/usr/share/doc/keepalived/samples";

/// What is really wrong with Keepalived's samples: the file, the kinds of mistake, and why each is one.
const EXPECTED: &[(&str, &[&str], &str)] = &[
    ("SMTP_CHECK", &["deprecated"], "a `host` block is a checker of its own since 2.0"),
    ("SSL_GET", &["ah-master"], "Keepalived clears the initial state, too"),
    ("conditional_conf", &["config-id", "missing-directive"], "made for the ids high and low"),
    ("track_interface", &["untracked-route"], "Keepalived warns of it, too"),
    ("vrrp", &["duplicate-address"], "the last address is listed twice"),
    (
        "vrrp.lvs_syncd",
        &["missing-directive", "unknown-keyword", "deprecated"],
        "members of the group stand outside `group`; Keepalived does not know them either",
    ),
    ("vrrp.routes", &["untracked-route", "deprecated"], "Keepalived warns of `or`, `gw` and routes without dev, too"),
    ("vrrp.rules", &["address", "rule-preference"], "192.168.100./24 is no prefix for Keepalived either"),
    ("vrrp.static_ipaddress", &["untracked-route"], "Keepalived warns of it, too"),
];

fn complaints(loaded: &Loaded) -> Vec<&'static str> {
    let told = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.severity > Severity::Hint);
    // Which scripts this host has is no matter of the text.
    let told = told.filter(|diagnostic| !matches!(diagnostic.code, "no-script" | "script-security"));
    let mut codes: Vec<&'static str> = told.map(|diagnostic| diagnostic.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

#[test]
fn keepalived_s_own_samples_have_no_mistakes_but_those_that_are_there() {
    let entries = std::fs::read_dir(SAMPLES);
    let entries = entries.unwrap_or_else(|error| panic!("{SAMPLES}: {error}; `make setup` installs keepalived"));
    let mut seen = 0;
    let mut wrong = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_prefix("keepalived.conf.")) else {
            continue;
        };
        assert!(!name.ends_with(".gz"), "{name} is packed: this test reads plain files");
        seen += 1;
        let loaded = conf::load(path.to_str().unwrap(), &Options::default(), &conf::Disk, &AnyHost);
        let mut expected =
            EXPECTED.iter().find(|(file, ..)| *file == name).map(|(_, codes, _)| codes.to_vec()).unwrap_or_default();
        expected.sort_unstable();
        let found = complaints(&loaded);
        if found != expected {
            wrong.push(format!("{name}: {found:?} instead of {expected:?}\n{}", loaded.render()));
        }
        wrong.extend(super::dump::problem(path.to_str().unwrap(), &conf::Disk, &AnyHost));
    }
    assert!(seen >= 20, "only {seen} samples in {SAMPLES}");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_the_ansible_role_writes_is_without_a_mistake() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf/ansible");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_str().unwrap();
        let loaded = conf::load(name, &Options::default(), &conf::Disk, &AnyHost);
        assert_eq!(complaints(&loaded), [] as [&str; 0], "{name}:\n{}", loaded.render());
        assert_eq!((loaded.status, loaded.can_start), (0, true), "{name}");
        assert_eq!(super::dump::problem(name, &conf::Disk, &AnyHost), None);
        seen += 1;
    }
    assert!(seen >= 4, "only {seen} files");
}
