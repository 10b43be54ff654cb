//! Scripts, files and processes that VRRP tracks, each as bad as it can be: what is found arrives, and no advert is late.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::pair::Link;
use agentx_tests::process::Process;
use agentx_tests::wait;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// One advert a second.
const VRID: u8 = 51;

/// A router that tracks these, and is never master or backup because of them: every weight is small.
fn start(link: &Link, blocks: &str, tracks: &str) -> Daemon {
    let configuration = format!(
        "global_defs {{\n router_id R1\n script_user root\n enable_script_security\n}}\n{blocks}\n\
         vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id {VRID}\n priority 100\n advert_int 1\n {tracks}\n \
         virtual_ipaddress {{\n 10.0.0.100/24\n }}\n}}\n"
    );
    let daemon = Daemon::start(&link.nodes[0], Program::Keepwatch, &configuration, Options::default());
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    daemon
}

fn write_script(directory: &Path, name: &str, text: &str) -> PathBuf {
    fs::create_dir_all(directory).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let (path, new) = (directory.join(name), directory.join(format!("{name}.new")));
    fs::write(&new, format!("#!/bin/bash\n{text}\n")).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, &path).unwrap();
    path
}

/// What a tracker adds to the priority, and whether it is up.
fn tracked(daemon: &Daemon, name: &str) -> Option<(Option<bool>, i64)> {
    let said: Value = serde_json::from_str(&daemon.tool(&["vrrp", "--json"]).text).ok()?;
    let tracked = said["instances"][0]["tracked"].as_array()?.iter().find(|each| each["name"] == name)?;
    Some((tracked["up"].as_bool(), tracked["adds"].as_i64()?))
}

#[track_caller]
fn becomes(daemon: &Daemon, name: &str, wanted: (Option<bool>, i64)) {
    let mut last = None;
    let reached = wait::within(PATIENCE, || {
        last = tracked(daemon, name);
        (last == Some(wanted)).then_some(())
    });
    assert!(reached.is_some(), "{name} is {last:?} and not {wanted:?}; it said:\n{}", daemon.log());
}

const UP: Option<bool> = Some(true);
const DOWN: Option<bool> = Some(false);

/// It kept advertising once a second from `from` until now.
#[track_caller]
fn undisturbed(link: &Link, from: u64) {
    let adverts = link.witness.adverts_from(link.ports[0]);
    let mut times: Vec<u64> = adverts.iter().filter(|(_, advert)| advert.vrid == VRID).map(|(at, _)| *at).collect();
    times.push(wait::now_ns());
    let gap = times.windows(2).filter(|pair| pair[1] >= from).map(|pair| pair[1].saturating_sub(pair[0])).max();
    let gap = gap.unwrap_or(u64::MAX);
    assert!(gap < 1_200_000_000, "it fell silent for {} s", wait::seconds(gap));
}

#[test]
fn scripts_that_hang_fork_flood_or_die_are_results_and_delay_no_advert() {
    let link = Link::new();
    let directory = link.lab.directory().join("scripts");
    // What hangs is found out soon; the others have time enough on a loaded machine.
    let scripts = [
        ("hangs", 1, "trap '' TERM; sleep 600 & while :; do wait; done"),
        ("forks", 4, "for i in $(seq 20); do (sleep 0.4; (sleep 0.3) &) & done; exit 0"),
        ("floods", 4, "head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2; exit 0"),
        ("dies", 4, "kill -SEGV $$"),
        ("well", 4, "exit 0"),
    ];
    let block = |(name, timeout, text): (&str, u32, &str)| {
        let path = write_script(&directory, name, text).display().to_string();
        format!("vrrp_script {name} {{\n script \"{path}\"\n interval 0.5\n timeout {timeout}\n weight 5\n}}\n")
    };
    let blocks: String = scripts.into_iter().map(block).collect();
    let daemon = start(&link, &blocks, "track_script {\n hangs\n forks\n floods\n dies\n well\n }");
    let from = wait::now_ns();
    becomes(&daemon, "well", (UP, 5));
    becomes(&daemon, "forks", (UP, 5));
    becomes(&daemon, "floods", (UP, 5));
    becomes(&daemon, "dies", (DOWN, 0));
    becomes(&daemon, "hangs", (DOWN, 0));
    wait::observe(Duration::from_secs(4));
    undisturbed(&link, from);
}

#[test]
fn a_script_that_is_replaced_or_made_writable_while_running_counts_as_what_it_is_then() {
    let link = Link::new();
    let directory = link.lab.directory().join("scripts");
    let path = write_script(&directory, "changes", "exit 0");
    let block = format!("vrrp_script changes {{\n script \"{}\"\n interval 0.2\n weight 5\n}}", path.display());
    let daemon = start(&link, &block, "track_script {\n changes\n }");
    let from = wait::now_ns();
    becomes(&daemon, "changes", (UP, 5));
    write_script(&directory, "changes", "exit 1");
    becomes(&daemon, "changes", (DOWN, 0));
    write_script(&directory, "changes", "exit 0");
    becomes(&daemon, "changes", (UP, 5));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    becomes(&daemon, "changes", (DOWN, 0));
    undisturbed(&link, from);
}

#[test]
fn whatever_a_tracked_file_holds_no_advert_is_late() {
    let link = Link::new();
    let path = link.lab.directory().join("value");
    let block = format!("track_file value {{\n file {}\n weight 1\n init_file 5\n}}", path.display());
    let daemon = start(&link, &block, "track_file {\n value\n }");
    let from = wait::now_ns();
    becomes(&daemon, "value", (UP, 5));
    assert_eq!(fs::read_to_string(&path).unwrap(), "5\n");
    for (content, adds) in
        [("6\n", 6), ("words\n", 0), ("-7", -7), ("", 0), ("9", 9), ("100000000000000000000", 9), ("3", 3)]
    {
        fs::write(&path, content).unwrap();
        becomes(&daemon, "value", (UP, adds));
    }
    fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    becomes(&daemon, "value", (UP, 0));
    fs::write(path.with_extension("new"), "8").unwrap();
    fs::rename(path.with_extension("new"), &path).unwrap();
    becomes(&daemon, "value", (UP, 8));
    fs::remove_file(&path).unwrap();
    becomes(&daemon, "value", (UP, 0));
    fs::write(&path, "4").unwrap();
    becomes(&daemon, "value", (UP, 4));
    undisturbed(&link, from);
}

#[test]
fn a_process_that_comes_and_goes_is_counted() {
    let link = Link::new();
    let program = link.lab.directory().join(format!("kwtrack{}", std::process::id() % 10_000));
    fs::copy("/bin/sleep", &program).unwrap();
    let path = program.to_string_lossy().into_owned();
    let name = program.file_name().unwrap().to_string_lossy().into_owned();
    let block = format!("vrrp_track_process app {{\n process {name}\n quorum 1\n weight 5\n}}");
    let daemon = start(&link, &block, "track_process {\n app\n }");
    let from = wait::now_ns();
    becomes(&daemon, "app", (DOWN, 0));
    for _ in 0..3 {
        let node = &link.nodes[0];
        let mut process: Process = node.spawn("tracked", node.command(&[path.as_str(), "600"]));
        becomes(&daemon, "app", (UP, 5));
        process.kill();
        becomes(&daemon, "app", (DOWN, 0));
    }
    undisturbed(&link, from);
}

#[test]
fn what_was_found_outlives_the_runner_and_is_told_to_a_new_vrrp_process() {
    let link = Link::new();
    let path = link.lab.directory().join("value");
    fs::write(&path, "5").unwrap();
    let block = format!("track_file value {{\n file {}\n weight 1\n}}", path.display());
    let daemon = start(&link, &block, "track_file {\n value\n }");
    becomes(&daemon, "value", (UP, 5));
    let from = wait::now_ns();
    for _ in 0..2 {
        let runner = daemon.wait_for_child("runner", PATIENCE);
        nix::sys::signal::kill(runner, nix::sys::signal::Signal::SIGKILL).unwrap();
        wait::until("another runner", PATIENCE, || daemon.child("runner").filter(|new| *new != runner));
        becomes(&daemon, "value", (UP, 5));
    }
    fs::write(&path, "6").unwrap();
    becomes(&daemon, "value", (UP, 6));
    undisturbed(&link, from);
    let vrrp = daemon.wait_for_child("vrrp", PATIENCE);
    nix::sys::signal::kill(vrrp, nix::sys::signal::Signal::SIGKILL).unwrap();
    wait::until("another vrrp process", PATIENCE, || daemon.child("vrrp").filter(|new| *new != vrrp));
    becomes(&daemon, "value", (UP, 6));
}
