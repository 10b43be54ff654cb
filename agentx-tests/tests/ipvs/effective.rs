//! Effective values of virtual servers and of the whole daemon: what Debian's keepalived writes at SIGUSR1 of a configuration,
//! and how we read the same file. Keepalived's checkers run only where there is ip_vs. VRRP is compared in tests/effective.rs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::effective::{self, Expected};
use agentx_tests::net::Lab;
use agentx_tests::process::must;
use agentx_tests::vm::{in_guest, scenario};
use agentx_tests::wait;
use nix::sys::signal::Signal;

use crate::balancer::PATIENCE;

const SAMPLES: &str = "/usr/share/doc/keepalived/samples";

/// What differs on purpose: file, how the difference begins, why.
const CHOSEN: &[(&str, &str, &str)] = &[
    ("keepalived.conf.SMTP_CHECK", "Health checkers: only keepalived has `Timeout = 0.000000`", SMTP_HOST),
    ("keepalived.conf.SMTP_CHECK", "Health checkers: only we have `Timeout = 10.000000`", SMTP_HOST),
    ("keepalived.conf.vrrp.lvs_syncd", "Global definitions: only keepalived has `LVS syncd syncid = 0`", SYNCD),
    ("keepalived.conf.vrrp.lvs_syncd", "Global definitions: only we have `LVS syncd vrrp name = VI_1`", SYNCD),
    ("keepalived.conf.vrrp.lvs_syncd", "Global definitions: only we have `LVS syncd interface = eth1`", SYNCD),
    ("keepalived.conf.vrrp.lvs_syncd", "Global definitions: only we have `LVS syncd syncid = 51`", SYNCD),
];

const SYNCD: &str =
    "a line inside of an instance, which keepalived's checks do not read; keepalived.data has it as we do";

const SMTP_HOST: &str = "`host` in SMTP_CHECK: no time at all there, what stands around it here (docs/differences.md)";

#[test]
fn virtual_servers_of_the_first_of_keepalived_s_samples_have_the_values_that_keepalived_gives_them() {
    scenario(|| assert!(compare(&samples()[..10]) >= 7, "fewer files with virtual servers than there are"));
}

#[test]
fn virtual_servers_of_the_other_samples_have_the_values_that_keepalived_gives_them() {
    scenario(|| assert!(compare(&samples()[10..]) >= 7, "fewer files with virtual servers than there are"));
}

/// All at once take longer than a scenario may.
fn samples() -> Vec<PathBuf> {
    let all = effective::files_of(Path::new(SAMPLES), "keepalived.conf.");
    assert!(all.len() >= 20, "only {} samples in {SAMPLES}", all.len());
    all
}

#[test]
fn virtual_servers_of_recorded_configurations_and_of_the_ansible_role_have_the_values_that_keepalived_gives_them() {
    scenario(|| {
        let files = ["seeds", "ansible"].map(|name| effective::files_of(&of_the_tree(name), ""));
        assert!(compare(&files.concat()) >= 3, "fewer files with virtual servers than there are");
    });
}

#[test]
fn every_value_of_checkers_and_of_the_whole_daemon_is_the_one_that_keepalived_has() {
    scenario(|| {
        let mut command = Command::new("openssl");
        command.args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-passout",
            "pass:secret",
            "-subj",
            "/CN=lab",
            "-days",
            "30",
        ]);
        command.args(["-keyout", "/run/kw-key.pem", "-out", "/run/kw-certificate.pem"]);
        must(command);
        assert_eq!(compare(&effective::files_of(&of_the_tree("effective"), "")), 3);
    });
}

/// Of all files with virtual servers at once, each on a host of its own; gives how many there are.
fn compare(files: &[PathBuf]) -> usize {
    prepare();
    let lab = Lab::new();
    let mut running = Vec::new();
    for (number, path) in files.iter().enumerate() {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if text.lines().any(|line| line.trim_start().starts_with("virtual_server ")) {
            let node = effective::host(&lab, &format!("R{number}"));
            let with_vrrp = text.lines().any(|line| line.trim_start().starts_with("vrrp_instance"));
            let daemon = Daemon::start(&node, Program::Keepalived, &text, Options::default());
            running.push((path, node, daemon, with_vrrp));
        }
    }
    let mut wrong = Vec::new();
    for (path, node, daemon, with_vrrp) in &mut running {
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let configuration = daemon.directory().join("keepalived.conf").to_string_lossy().into_owned();
        let config = node.enter(move || effective::read(&configuration));
        let mut told = Vec::new();
        for (name, needed) in [("check", true), ("", *with_vrrp)] {
            if needed {
                let theirs = state(daemon, name);
                let what = if name == "check" { Expected::Checks } else { Expected::Vrrp };
                told.extend(effective::differences(&theirs, what, &config));
            }
        }
        let told: BTreeSet<String> = told.into_iter().collect();
        let chosen: Vec<&str> = CHOSEN.iter().filter(|(of, ..)| *of == file).map(|(_, start, _)| *start).collect();
        for start in &chosen {
            // What does not differ any more is no choice.
            assert!(told.iter().any(|what| what.starts_with(start)), "{file}: no `{start}` in {told:#?}");
        }
        let left = told.iter().filter(|what| !chosen.iter().any(|start| what.starts_with(start)));
        wrong.extend(left.map(|what| format!("{file}: {what}")));
        daemon.stop();
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    running.len()
}

/// What a child writes at SIGUSR1. The parent may be faster than a child that has just begun, which hears nothing of it.
fn state(daemon: &mut Daemon, child: &str) -> String {
    let name = if child.is_empty() { "keepalived.data".to_owned() } else { format!("keepalived_{child}.data") };
    let file = daemon.directory().join(name);
    let mut asked: Option<Instant> = None;
    let mut last = String::new();
    let whole = wait::within(PATIENCE, || {
        assert!(daemon.process.exited().is_none(), "keepalived ended; it said:\n{}", daemon.log());
        if asked.is_none_or(|at| at.elapsed() > Duration::from_secs(3)) {
            daemon.process.signal(Signal::SIGUSR1);
            asked = Some(Instant::now());
        }
        let text = std::fs::read(&file).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())?;
        // Written in one piece or not: twice the same is all of it.
        let whole = text.ends_with('\n') && text == last;
        last = text;
        whole.then(|| last.clone())
    });
    whole.unwrap_or_else(|| panic!("no {}; keepalived said:\n{}", file.display(), daemon.log()))
}

/// Scripts that the files name, and a name of the host that somebody knows: without one keepalived has no router id of its own. Two scenarios at once may do this.
fn prepare() {
    if !in_guest() {
        return;
    }
    for script in ["/usr/local/bin/script.sh", "/usr/local/sbin/quorum-up.sh", "/usr/local/sbin/quorum-down.sh"] {
        let own = format!("{script}.{}", std::process::id());
        let copied = std::fs::copy("/bin/true", &own).and_then(|_| std::fs::rename(&own, script));
        copied.unwrap_or_else(|error| panic!("{script}: {error}"));
    }
    std::fs::write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 director\n").unwrap();
    let mut command = Command::new("hostname");
    command.arg("director");
    must(command);
}

fn of_the_tree(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conf").join(name)
}
