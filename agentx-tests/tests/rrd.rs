//! History: files as Debian's rrdtool sees them, over restarts, beside files of others, with rrdcached that dies and hangs;
//! and the pictures of it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use agentx_tests::capture::longest_gap;
use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Nic, Node};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::process::{Process, run};
use agentx_tests::{usage, wait};
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(60);
const STEP: u64 = 10;
/// `%` and `:` mean something to rrdtool, `/` to the file system.
const ODD: &str = "a:b/..%s";

fn configuration(virtual_servers: bool) -> String {
    let mut text = format!(
        "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority 150\n version 3\n advert_int 0.1\n \
         virtual_ipaddress {{\n 10.0.0.100/24\n }}\n}}\n\
         vrrp_instance {ODD} {{\n interface eth0\n virtual_router_id 52\n priority 150\n version 3\n advert_int 0.1\n \
         virtual_ipaddress {{\n 10.0.0.102/24\n }}\n}}\n"
    );
    if virtual_servers {
        text += "virtual_server 10.0.0.100 80 {\n delay_loop 1\n lvs_method NAT\n protocol TCP\n \
                 real_server 127.0.0.1 8011 {\n TCP_CHECK {\n }\n }\n real_server 127.0.0.1 8012 {\n TCP_CHECK {\n }\n }\n}\n\
                 virtual_server fwmark 47 {\n delay_loop 1\n lvs_method NAT\n real_server 127.0.0.1 8013 {\n TCP_CHECK {\n }\n }\n}\n";
    }
    text
}

fn alone() -> (Lab, Node) {
    let lab = Lab::new();
    let (node, switch) = (lab.node("R1"), lab.switch());
    lab.connect(&node, &switch, Nic { name: "eth0", addresses: &["10.0.0.1/24"], ..Nic::default() });
    (lab, node)
}

fn start(node: &Node, directory: &Path, virtual_servers: bool, more: &str) -> Daemon {
    let settings = format!("rrd:\n  directory: {}\n{more}", directory.display());
    let options = Options { settings: Some(&settings), ..Options::default() };
    Daemon::start(node, Program::Keepwatch, &configuration(virtual_servers), options)
}

fn rrdtool(words: &[&str]) -> String {
    let mut command = Command::new("rrdtool");
    command.args(words).env("LC_ALL", "C").env("TZ", "UTC");
    let output = run(command);
    assert!(output.status.success(), "rrdtool {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn info(file: &Path) -> BTreeMap<String, String> {
    let text = rrdtool(&["info", &file.to_string_lossy()]);
    let items = text.lines().filter_map(|line| line.split_once(" = "));
    items.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned())).collect()
}

fn last_update(file: &Path) -> u64 {
    if !file.exists() {
        return 0;
    }
    rrdtool(&["last", &file.to_string_lossy()]).trim().parse().unwrap_or(0)
}

#[track_caller]
fn wait_for_update(file: &Path, after: u64, daemon: &Daemon) -> u64 {
    let reached = wait::within(LIMIT, || Some(last_update(file)).filter(|last| *last > after));
    reached.unwrap_or_else(|| {
        panic!("{} was not updated after {after}; the daemon said:\n{}", file.display(), daemon.log())
    })
}

/// Rows of one data source: seconds since 1970 and the value, when it is known.
fn fetch(file: &Path, ds: &str, start: u64, end: u64) -> Vec<(u64, Option<f64>)> {
    let (start, end) = (start.to_string(), end.to_string());
    let text = rrdtool(&["fetch", &file.to_string_lossy(), "AVERAGE", "-r", "10", "-s", &start, "-e", &end]);
    let mut lines = text.lines();
    let at = lines.next().unwrap_or_default().split_whitespace().position(|name| name == ds).expect("a data source");
    let rows = lines.filter_map(|line| {
        let (time, values) = line.split_once(':')?;
        let value: f64 = values.split_whitespace().nth(at)?.parse().ok()?;
        Some((time.parse().ok()?, Some(value).filter(|value| value.is_finite())))
    });
    rows.collect()
}

fn keepwatch(words: &[&str]) -> Output {
    let mut command = Command::new(Program::Keepwatch.path().with_file_name("keepwatch"));
    command.args(words);
    run(command)
}

/// The table of data sources: file, and name, type, maximum of each.
const TABLE: [(&str, &str); 7] = [
    (
        "vrrp/VI_1.rrd",
        "state GAUGE 4, master GAUGE 1, priority GAUGE 255, adv_sent DERIVE U, adv_rcvd DERIVE U, adv_dropped DERIVE U, \
         transitions DERIVE U, addr_missing GAUGE U, other_master GAUGE 1",
    ),
    (
        "vrrp/a%3Ab%2F..%25s.rrd",
        "state GAUGE 4, master GAUGE 1, priority GAUGE 255, adv_sent DERIVE U, adv_rcvd DERIVE U, adv_dropped DERIVE U, \
         transitions DERIVE U, addr_missing GAUGE U, other_master GAUGE 1",
    ),
    ("vs/tcp-10.0.0.100%3A80.rrd", VS),
    ("vs/fwmark%3A47.rrd", VS),
    (
        "rs/tcp-10.0.0.100%3A80/127.0.0.1%3A8012.rrd",
        "conns DERIVE U, in_pkts DERIVE U, out_pkts DERIVE U, in_bytes DERIVE U, out_bytes DERIVE U, active GAUGE U, \
         inactive GAUGE U, persistent GAUGE U, weight GAUGE 65535, up GAUGE 1, check_ms GAUGE U",
    ),
    ("ipvs.rrd", "conns DERIVE U, in_pkts DERIVE U, out_pkts DERIVE U, in_bytes DERIVE U, out_bytes DERIVE U"),
    (
        "daemon.rrd",
        "adv_delay_max_ms GAUGE U, loop_lag_max_ms GAUGE U, agentx_up GAUGE 1, scrapes DERIVE U, rss_bytes GAUGE U",
    ),
];
const VS: &str = "conns DERIVE U, in_pkts DERIVE U, out_pkts DERIVE U, in_bytes DERIVE U, out_bytes DERIVE U, \
                  rs_up GAUGE U, weight_up GAUGE U, quorum_met GAUGE 1";

const ARCHIVES: &str = "AVERAGE 1 8640, AVERAGE 30 2016, AVERAGE 180 1488, AVERAGE 2160 1464, MAX 30 2016, MAX 180 1488, \
                        MAX 2160 1464, MIN 30 2016, MIN 180 1488, MIN 2160 1464";

fn number(text: &str) -> String {
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map_or("U".to_owned(), |number| number.to_string())
}

fn sources_of(info: &BTreeMap<String, String>) -> String {
    let mut sources: Vec<(usize, String)> = Vec::new();
    for (key, index) in info {
        let Some(name) = key.strip_prefix("ds[").and_then(|rest| rest.strip_suffix("].index")) else { continue };
        let field = |field: &str| info[&format!("ds[{name}].{field}")].clone();
        assert_eq!((field("minimal_heartbeat").as_str(), number(&field("min")).as_str()), ("20", "0"), "{name}");
        sources.push((index.parse().unwrap(), format!("{name} {} {}", field("type"), number(&field("max")))));
    }
    sources.sort();
    sources.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ")
}

fn archives_of(info: &BTreeMap<String, String>) -> String {
    let archives = (0..).map_while(|at| {
        let field = |field: &str| info.get(&format!("rra[{at}].{field}")).cloned();
        assert!(field("xff").is_none_or(|xff| number(&xff) == "0.5"));
        Some(format!("{} {} {}", field("cf")?, field("pdp_per_row")?, field("rows")?))
    });
    archives.collect::<Vec<_>>().join(", ")
}

#[test]
fn files_are_as_the_table_says_and_every_picture_can_be_drawn() {
    let (_lab, node) = alone();
    let directory = node.directory().join("history");
    let mut daemon = start(&node, &directory, true, "");
    for (file, _) in TABLE {
        wait_for_update(&directory.join(file), 0, &daemon);
    }
    let file = |name: &str| directory.join(name);
    let first = last_update(&file("vrrp/VI_1.rrd"));
    assert_eq!(first % STEP, 0, "steps begin at multiples of ten seconds");
    for (name, sources) in TABLE {
        let info = info(&file(name));
        assert_eq!(info["step"], "10", "{name}");
        assert_eq!(sources_of(&info), sources, "{name}");
        assert_eq!(archives_of(&info), ARCHIVES, "{name}");
        let metadata = std::fs::metadata(file(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (65534, 0o644), "{name}");
    }
    // Only the rrd process has librrd, and it has no privileges.
    let with_librrd = |pid| std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default().contains("librrd");
    let family = usage::family(daemon.process.pid());
    assert!(family.len() >= 5, "{family:?}");
    let rrd = daemon.wait_for_child("rrd", LIMIT);
    for pid in family {
        assert_eq!(with_librrd(pid), pid == rrd, "{:?}", daemon.children());
    }
    let status = std::fs::read_to_string(format!("/proc/{rrd}/status")).unwrap();
    assert!(status.contains("Uid:\t65534") && status.contains("CapEff:\t0000000000000000"), "{status}");

    // A real server that is down, and what adverts come to: ten in a second.
    let last = wait_for_update(&file("vrrp/VI_1.rrd"), first + STEP, &daemon);
    let sent: Vec<f64> =
        fetch(&file("vrrp/VI_1.rrd"), "adv_sent", first, last).into_iter().filter_map(|(_, value)| value).collect();
    assert!(!sent.is_empty() && sent.iter().all(|rate| (8.0..12.0).contains(rate)), "{sent:?}\n{}", daemon.log());
    let up = fetch(&file("rs/tcp-10.0.0.100%3A80/127.0.0.1%3A8012.rrd"), "up", first, last);
    assert_eq!(up.iter().rev().find_map(|(_, value)| *value), Some(0.0), "{up:?}");

    assert_eq!(daemon.stop(), 0);
    every_picture(&directory);
    prune(&directory);
}

fn every_picture(directory: &Path) {
    let at = directory.to_string_lossy().into_owned();
    let list = keepwatch(&["graph", "--list", "--directory", &at]);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.contains(ODD) && list.contains("10.0.0.100:80/tcp,127.0.0.1:8012"), "{list}");
    let objects = [
        ("vrrp", "VI_1", &["state", "adverts"][..]),
        ("vrrp", ODD, &["state"]),
        ("vs", "10.0.0.100:80", &["connections", "traffic", "servers"]),
        ("vs", "fwmark:47", &["connections"]),
        ("rs", "10.0.0.100:80/tcp,127.0.0.1:8012", &["connections", "open", "check", "traffic"]),
        ("ipvs", "", &["connections", "traffic"]),
        ("daemon", "", &["delays", "memory"]),
    ];
    for (kind, name, views) in objects {
        for view in views {
            for format in ["svg", "png"] {
                let out = directory.join(format!("picture.{format}"));
                let mut words = vec!["graph", kind];
                words.extend((!name.is_empty()).then_some(name));
                let out_word = out.to_string_lossy().into_owned();
                words.extend(["--view", view, "--span", "10m", "--width", "640", "--height", "250"]);
                words.extend(["--out", &out_word, "--directory", &at]);
                let output = keepwatch(&words);
                assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
                let picture = std::fs::read(&out).unwrap();
                if format == "svg" {
                    let text = String::from_utf8(picture).unwrap();
                    assert_eq!(not_xml(&text), None, "{words:?}");
                    assert!(text.contains("<svg") && text.contains("width=\"640"), "{words:?}");
                } else {
                    assert_eq!(picture[..8], *b"\x89PNG\r\n\x1a\n", "{words:?}");
                    let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
                    assert_eq!((number(16), number(20)), (640, 250), "{words:?}");
                }
                std::fs::remove_file(out).unwrap();
            }
        }
    }
    for (words, status) in [
        (vec!["graph", "vrrp", "nobody"], 3),
        (vec!["graph", "vrrp", "../../../etc/passwd"], 3),
        (vec!["graph", "vrrp", "VI_1", "--view", "none"], 2),
        (vec!["graph", "vrrp", "VI_1", "--span", "1s"], 2),
        (vec!["graph", "vrrp", "VI_1", "--width", "100000"], 2),
        (vec!["graph", "vrrp"], 2),
    ] {
        let out = directory.join("picture.svg").to_string_lossy().into_owned();
        let output = keepwatch(&[&words[..], &["--directory", &at, "--out", &out]].concat());
        assert_eq!(output.status.code(), Some(status), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Why a text is not well-formed: tags that do not match, or an ampersand on its own.
fn not_xml(text: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut pieces = text.split('<');
    if pieces.next().is_some_and(|before| !before.trim().is_empty()) {
        return Some("text before the root".to_owned());
    }
    for piece in pieces {
        let Some((tag, after)) = piece.split_once('>') else { return Some(format!("no end: {piece}")) };
        let entity = |rest: &str| rest.split_once(';').is_some_and(|(name, _)| name.len() < 8);
        if !after.split('&').skip(1).all(entity) {
            return Some(format!("an ampersand: {after}"));
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name.trim()) {
                return Some(format!("</{name}> closes nothing"));
            }
        } else if !tag.ends_with(['/', '?', '-']) && !tag.starts_with('!') {
            open.push(tag.split_whitespace().next().unwrap_or_default());
        }
    }
    open.pop().map(|name| format!("<{name}> is not closed"))
}

/// Files that nobody writes to go when they are told to, and no other.
fn prune(directory: &Path) {
    let at = directory.to_string_lossy().into_owned();
    let old = directory.join("vrrp/VI_1.rrd.2");
    let foreign = directory.join("vrrp/other.rrd");
    for file in [&old, &foreign] {
        let path = file.to_string_lossy().into_owned();
        rrdtool(&["create", &path, "-b", "1000000000", "-s", "10", "DS:x:GAUGE:20:0:U", "RRA:AVERAGE:0.5:1:10"]);
    }
    let listed = |words: &[&str]| {
        let output = keepwatch(&[&["rrd", "prune", "--older-than", "400d", "--directory", &at], words].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(listed(&["--dry-run"]), old.to_string_lossy());
    assert!(old.exists());
    assert_eq!(listed(&[]), old.to_string_lossy());
    assert!(!old.exists() && foreign.exists() && directory.join("vrrp/VI_1.rrd").exists());
}

#[test]
fn a_restart_goes_on_in_the_same_file_without_a_spike_and_a_file_of_another_layout_is_left_alone() {
    let (_lab, node) = alone();
    let directory = node.directory().join("history");
    let (ours, other) = (directory.join("vrrp/VI_1.rrd"), directory.join("daemon.rrd"));
    let successor = PathBuf::from(format!("{}.2", other.display()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = other.to_string_lossy().into_owned();
    rrdtool(&["create", &path, "-b", "1000000000", "-s", "10", "DS:x:GAUGE:20:0:U", "RRA:AVERAGE:0.5:1:10"]);
    std::fs::write(directory.join("names.tsv"), "").unwrap();
    let before = std::fs::read(&other).unwrap();

    let mut daemon = start(&node, &directory, false, "");
    let first = wait_for_update(&ours, 0, &daemon);
    wait_for_update(&ours, first + STEP, &daemon);
    assert_eq!(std::fs::read(&other).unwrap(), before, "what was there stays as it was");
    assert!(last_update(&successor) > 0);
    let told = daemon.log().lines().filter(|line| line.contains("daemon.rrd is left as it is")).count();
    assert_eq!(told, 1, "{}", daemon.log());
    // The rrd process may die, too: nothing is lost.
    nix::sys::signal::kill(daemon.wait_for_child("rrd", LIMIT), Signal::SIGKILL).unwrap();
    let again = wait_for_update(&ours, last_update(&ours) + STEP, &daemon);
    let rows = fetch(&ours, "adv_sent", first, again);
    assert!(
        rows.iter().filter(|(time, _)| *time > first && *time <= again).all(|(_, rate)| rate.is_some()),
        "{rows:?}"
    );
    assert_eq!(daemon.stop(), 0);
    let stopped = last_update(&ours);
    let mut daemon = start(&node, &directory, false, "");
    let resumed = wait_for_update(&ours, stopped, &daemon);
    let last = wait_for_update(&ours, resumed + STEP, &daemon);
    let rows = fetch(&ours, "adv_sent", first, last);
    let of = |wanted: u64| rows.iter().find(|(time, _)| *time == wanted).and_then(|(_, value)| *value);
    // The counters began anew: nothing is known of that step, and nothing is made up.
    assert_eq!(of(resumed), None, "{rows:?}");
    assert!(rows.iter().filter_map(|(_, rate)| *rate).all(|rate| (5.0..12.0).contains(&rate)), "{rows:?}");
    assert!(of(last).is_some(), "{rows:?}");
    assert!(!PathBuf::from(format!("{}.2", ours.display())).exists());
    assert!(!PathBuf::from(format!("{}.3", other.display())).exists());
    assert_eq!(daemon.stop(), 0);
}

fn rrdcached(node: &Node, socket: &str, directory: &Path) -> Process {
    let _ = std::fs::remove_file(socket);
    let base = directory.to_string_lossy().into_owned();
    let listen = format!("unix:{socket}");
    // Not the host's.
    let pid = format!("{socket}.pid");
    let words = [
        "rrdcached",
        "-g",
        "-p",
        &pid,
        "-m",
        "0666",
        "-l",
        &listen,
        "-b",
        &base,
        "-B",
        "-R",
        "-F",
        "-w",
        "5",
        "-z",
        "1",
    ];
    let process = node.spawn("rrdcached", node.command(&words));
    wait::until("rrdcached listens", LIMIT, || std::os::unix::net::UnixStream::connect(socket).ok());
    process
}

fn open_files(daemon: &Daemon) -> BTreeMap<String, usize> {
    let count = |pid| std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    daemon.children().into_iter().map(|(pid, title)| (title, count(pid))).collect()
}

#[test]
fn an_rrdcached_that_is_killed_or_hangs_costs_no_advert_and_what_waited_is_written_when_it_is_back() {
    wait::unless_stalled(an_rrdcached_that_is_killed_or_hangs);
}

fn an_rrdcached_that_is_killed_or_hangs() {
    let link = Link::new();
    let [node, second] = &link.nodes;
    let directory = node.directory().join("history");
    let socket = node.directory().join("rrdcached.sock").to_string_lossy().into_owned();
    std::fs::create_dir_all(&directory).unwrap();
    let mut cached = rrdcached(node, &socket, &directory);
    let flavour = Flavour::V3;
    let mut backup =
        Daemon::start(second, Program::Keepwatch, &flavour.configuration(2, "BACKUP", 100), Options::default());
    backup.wait_until_it_listens();
    // The names of nobody's writing: rrdcached makes the files, the list is ours.
    std::fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    let settings = format!("rrd:\n  directory: {}\n  cached: unix:{socket}\n", directory.display());
    let options = Options { settings: Some(&settings), ..Options::default() };
    let mut daemon = Daemon::start(node, Program::Keepwatch, &flavour.configuration(1, "MASTER", 150), options);
    let file = directory.join("vrrp/VI_1.rrd");
    let first = wait_for_update(&file, 0, &daemon);
    let steady = open_files(&daemon);
    let began = wait::now_ns();

    cached.signal(Signal::SIGSTOP);
    daemon.process.wait_for_log("does not take updates", LIMIT);
    // A picture is drawn of what is in the file all the same.
    let out = directory.join("x.svg").to_string_lossy().into_owned();
    let drawn = keepwatch(&["graph", "vrrp", "VI_1", "--directory", &directory.to_string_lossy(), "--out", &out]);
    assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    cached.signal(Signal::SIGCONT);
    daemon.process.wait_for_log("takes updates again", LIMIT);
    cached.kill();
    let killed = last_update(&file);
    let away = daemon.log().matches("does not take updates").count();
    wait::until("the next step finds it dead", LIMIT, || {
        (daemon.log().matches("does not take updates").count() > away).then_some(())
    });
    let mut cached = rrdcached(node, &socket, &directory);
    let last = wait_for_update(&file, killed + 2 * STEP, &daemon);
    let rows = fetch(&file, "state", first, last);
    let waited: Vec<_> = rows.iter().filter(|(time, _)| *time > killed && *time < last).collect();
    assert!(!waited.is_empty() && waited.iter().all(|(_, state)| *state == Some(2.0)), "{rows:?}");

    let adverts = link.witness.adverts_from(link.ports[0]);
    let adverts: Vec<_> = adverts.into_iter().filter(|(at, _)| *at >= began).collect();
    let gap = longest_gap(&adverts).map(|(gap, _)| Duration::from_nanos(gap)).expect("adverts");
    assert!(gap < flavour.interval * 2, "an advert was {gap:?} behind the one before it");
    assert!(link.has_all(0, flavour) && link.has_none(1, flavour));
    let files = wait::within(LIMIT, || (open_files(&daemon) == steady).then_some(()));
    assert!(files.is_some(), "{:?} instead of {steady:?}", open_files(&daemon));
    assert_eq!(daemon.stop(), 0);
    assert_eq!(backup.stop(), 0);
    cached.kill();
}
