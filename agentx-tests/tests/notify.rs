//! Who is told of states: notify scripts, FIFOs, mail, and the scripts around the daemon's life. keepwatchd and Debian's
//! keepalived go through the same story with the same configuration and must say the same; then come scripts, relays and
//! readers that behave badly, and adverts that must not be late for it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentx_tests::daemon::{Daemon, Options, Program};
use agentx_tests::net::{Lab, Nic, Node, Port, Switch};
use agentx_tests::pair::{Flavour, Link};
use agentx_tests::promise::{self, Kept, Verdict};
use agentx_tests::wait::{self, Stalls};
use nix::sys::signal::{Signal, kill};

use Program::{Keepalived, Keepwatch};

/// A takeover, and a loaded machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// One router on two links.
struct Stage {
    node: Node,
    ports: [Port; 2],
    _switches: [Switch; 2],
    /// Last, as it removes the namespaces of the others.
    lab: Lab,
}

impl Stage {
    fn new() -> Stage {
        let lab = Lab::new();
        let switches = [lab.switch(), lab.switch()];
        let node = lab.node("R1");
        let ports = [0, 1].map(|link| {
            let (name, address) = (format!("eth{link}"), format!("10.0.{link}.1/24"));
            lab.connect(&node, &switches[link], Nic { name: &name, addresses: &[&address], ..Nic::default() })
        });
        Stage { node, ports, _switches: switches, lab }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.node.directory().join(name)
    }

    /// A script, executable, at a path of this stage.
    fn script(&self, name: &str, text: &str) -> String {
        script(&self.node, name, text)
    }

    /// What scripts have appended to a file.
    fn lines(&self, name: &str) -> Vec<String> {
        lines(&self.path(name))
    }

    #[track_caller]
    fn wait_for_line(&self, file: &str, wanted: &str, times: usize, daemon: &Daemon) {
        let there = || (self.lines(file).iter().filter(|line| *line == wanted).count() >= times).then_some(());
        let reached = wait::within(PATIENCE, there);
        assert!(
            reached.is_some(),
            "{}: no `{wanted}` in {file}, which has {:#?}; it said:\n{}",
            daemon.program().name(),
            self.lines(file),
            daemon.log()
        );
    }
}

fn script(node: &Node, name: &str, text: &str) -> String {
    let path = node.directory().join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_string_lossy().into_owned()
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A relay that takes everything. Gives subject and body of what it was sent.
fn relay(node: &Node) -> Arc<Mutex<Vec<(String, String)>>> {
    let listener = node.enter(|| TcpListener::bind("127.0.0.1:2525").expect("the port is free in a new namespace"));
    let mails = Arc::<Mutex<Vec<(String, String)>>>::default();
    let all = Arc::clone(&mails);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let all = Arc::clone(&all);
            std::thread::spawn(move || converse(stream, &all));
        }
    });
    mails
}

fn converse(stream: TcpStream, mails: &Mutex<Vec<(String, String)>>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut say = |text: &str| writer.write_all(text.as_bytes()).ok();
    say("220 relay\r\n")?;
    let mut text: Option<Vec<String>> = None;
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        match &mut text {
            Some(letter) if line == "." => {
                let subject = letter.iter().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default();
                let body = letter.iter().find(|line| line.starts_with("=>")).cloned().unwrap_or_default();
                mails.lock().unwrap().push((subject.to_owned(), body));
                text = None;
                say("250 ok\r\n")?;
            }
            Some(letter) => letter.push(line),
            None if line.starts_with("DATA") => {
                text = Some(Vec::new());
                say("354 go on\r\n")?;
            }
            None if line.starts_with("QUIT") => return say("221 bye\r\n"),
            None => say("250 ok\r\n")?,
        }
    }
    None
}

/// Two members of a group on two links, and two instances that a reload takes away. `record` is a script, `reader` the
/// script of the FIFO.
fn story(record: &str, reader: &str, fifo: &str, whole: bool) -> String {
    let notify = |tag: &str, more: &[&str]| {
        let of = |what: &&str| {
            let directive = if *what == "any" { "notify".to_owned() } else { format!("notify_{what}") };
            format!(" {directive} \"{record} {tag}-{what}\"\n")
        };
        let all = ["master", "backup", "fault", "stop", "any"];
        all.iter().chain(more).map(of).collect::<String>()
    };
    let instance = |number: u8, interface: &str, priority: u8, more: &str| {
        format!(
            "vrrp_instance VI_{number} {{\n interface {interface}\n virtual_router_id {}\n priority {priority}\n advert_int 1\n \
             smtp_alert\n virtual_ipaddress {{\n 10.0.9.{number}/32\n }}\n{}{more}}}\n",
            50 + number,
            notify(&format!("i{number}"), &[])
        )
    };
    let mut text = format!(
        "global_defs {{\n router_id LAB\n script_user root\n notification_email {{\n ops@example.com\n }}\n \
         notification_email_from lab@example.com\n smtp_server 127.0.0.1 2525\n vrrp_notify_fifo {fifo}\n \
         vrrp_notify_fifo_script \"{reader}\"\n}}\n\
         vrrp_sync_group G {{\n group {{\n VI_1\n VI_2\n }}\n smtp_alert\n{}}}\n",
        notify("g", &[])
    );
    // The better one is ready first, and waits for the other, which leads.
    text += &instance(1, "eth0", 200, "");
    text += &instance(2, "eth1", 100, "");
    let changes = " notify_priority_changes on\n track_interface {\n eth1 weight 10\n }\n";
    text += &instance(3, "eth0", 90, changes);
    if whole {
        text += &instance(4, "eth0", 80, &format!(" notify_deleted \"{record} i4-deleted\"\n"));
        text += &instance(5, "eth0", 70, "");
    }
    text
}

/// Five instances and a group become backup and master; two and the group are in fault and come back; two leave.
const MAILS: usize = 6 + 6 + 3 + 3 + 3 + 2;

/// What was told, by whom it was told to.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    lines: Vec<String>,
    /// By the first word of the script's own arguments: Keepalived starts scripts at once, and they may overtake each other.
    scripts: BTreeMap<String, Vec<String>>,
    mails: Vec<(String, String)>,
}

fn tells(program: Program) -> Told {
    let stage = Stage::new();
    let mails = relay(&stage.node);
    let record = stage.script("record.sh", &format!("echo \"$*\" >>{}", stage.path("scripts").display()));
    // Keepalived ends this script before the last lines are written; one that will not go reads them.
    let reader = stage.script("reader.sh", &format!("trap '' TERM\ncat \"$1\" >>{}", stage.path("lines").display()));
    let fifo = stage.path("fifo").to_string_lossy().into_owned();
    let file = |whole| story(&record, &reader, &fifo, whole);
    let mut daemon = Daemon::start(&stage.node, program, &file(true), Options::default());
    let wait = |line: &str, times| stage.wait_for_line("lines", line, times, &daemon);
    wait("INSTANCE \"VI_5\" MASTER 70", 1);
    wait("GROUP \"G\" MASTER 0", 1);
    let mode = std::fs::metadata(&fifo).unwrap();
    assert_eq!((mode.mode() & 0o7777, mode.uid()), (0o600, 0), "the FIFO that {} made", program.name());
    stage.lab.unplug(stage.ports[1]);
    wait("GROUP \"G\" FAULT 0", 1);
    wait("INSTANCE \"VI_3\" MASTER_PRIORITY 90", 1);
    stage.lab.plug(stage.ports[1]);
    wait("GROUP \"G\" MASTER 0", 2);
    daemon.reload(&file(false));
    wait("INSTANCE \"VI_4\" DELETED 80", 1);
    wait("INSTANCE \"VI_5\" FAULT 70", 1);
    let reloaded = wait::within(PATIENCE, || daemon.log().contains("Reload complete").then_some(()));
    assert!(reloaded.is_some(), "{}", daemon.log());
    // Before it stops the mails are out: Keepalived gives up what is on its way then.
    let all = wait::within(2 * PATIENCE, || (mails.lock().unwrap().len() >= MAILS).then_some(()));
    assert!(all.is_some(), "{}: {:#?}; it said:\n{}", program.name(), mails.lock().unwrap(), daemon.log());
    assert_eq!(daemon.stop(), 0, "{}", daemon.log());
    stage.wait_for_line("lines", "GROUP \"G\" STOP 0", 1, &daemon);
    // Each of the last scripts runs for itself, and may be the last.
    for tag in ["i1", "i2", "i3", "g"] {
        stage.wait_for_line("scripts", &format!("{tag}-stop"), 1, &daemon);
        let told = |line: &String| line.starts_with(&format!("{tag}-any ")) && line.contains(" STOP ");
        let there = wait::within(PATIENCE, || stage.lines("scripts").iter().any(told).then_some(()));
        assert!(there.is_some(), "{}: {tag}: {:#?}", program.name(), stage.lines("scripts"));
    }
    assert!(!Path::new(&fifo).exists(), "{} leaves its FIFO behind", program.name());
    let mut scripts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in stage.lines("scripts") {
        let (tag, arguments) = line.split_once(' ').unwrap_or((&line, ""));
        scripts.entry(tag.to_owned()).or_default().push(arguments.to_owned());
    }
    let mut mails = mails.lock().unwrap().clone();
    mails.sort_unstable();
    // Keepalived tells of priorities at a reload, too, and as if everything were backup.
    let mut lines = stage.lines("lines");
    lines.retain(|line| !line.contains(" BACKUP_PRIORITY "));
    Told { lines, scripts, mails }
}

#[test]
fn scripts_fifos_and_mail_are_told_what_keepalived_tells_them_in_its_order() {
    let (ours, theirs) = (tells(Keepwatch), tells(Keepalived));
    assert_eq!(ours.lines, theirs.lines, "lines of the FIFO");
    assert_eq!(ours.scripts, theirs.scripts, "arguments of scripts");
    assert_eq!(ours.mails, theirs.mails, "mails");
    // So that both having said nothing is not the same.
    assert_eq!(ours.scripts["i2-any"].len(), 6, "{:?}", ours.scripts);
    assert_eq!(ours.lines.last().unwrap(), "GROUP \"G\" STOP 0");
}

/// The script and the instance of the post, with another path and interface.
#[test]
fn the_notify_script_of_the_post_gets_its_four_arguments() {
    for program in [Keepwatch, Keepalived] {
        let stage = Stage::new();
        let said = stage.path("status");
        let script = stage.script(
            "keepalived_notify.sh",
            &format!(
                "echo \"$1 $2 has transitioned to the $3 state with a priority of $4\" > {0}.new; mv {0}.new {0}",
                said.display()
            ),
        );
        let configuration = format!(
            "vrrp_instance VI_1 {{\nstate MASTER\ninterface eth0\nvirtual_router_id 51\npriority 244\nadvert_int 1\n\
             authentication {{\nauth_type PASS\nauth_pass 12345\n}}\nvirtual_ipaddress {{\n192.168.122.200/24\n}}\n\
             notify \"{script}\"\n}}\n"
        );
        let mut daemon = Daemon::start(&stage.node, program, &configuration, Options::default());
        let status =
            |state: &str| format!("INSTANCE VI_1 has transitioned to the {state} state with a priority of 244");
        let reaches = |state: &str, daemon: &Daemon| {
            let there = wait::within(PATIENCE, || (stage.lines("status") == [status(state)]).then_some(()));
            assert!(there.is_some(), "{state}: {:?}; it said:\n{}", stage.lines("status"), daemon.log());
        };
        reaches("MASTER", &daemon);
        stage.lab.unplug(stage.ports[0]);
        reaches("FAULT", &daemon);
        stage.lab.plug(stage.ports[0]);
        reaches("MASTER", &daemon);
        assert_eq!(daemon.stop(), 0);
        reaches("STOP", &daemon);
    }
}

#[test]
fn a_script_before_the_start_and_one_after_the_end_stand_around_everything_else() {
    for program in [Keepwatch, Keepalived] {
        let stage = Stage::new();
        let record = stage.script("record.sh", &format!("echo \"$*\" >>{}", stage.path("scripts").display()));
        let slow = stage.script("slow.sh", &format!("sleep 1; exec {record} startup"));
        let configuration = format!(
            "global_defs {{\n script_user root\n startup_script \"{slow}\"\n shutdown_script \"{record} shutdown now\"\n}}\n\
             vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority 100\n advert_int 1\n \
             virtual_ipaddress {{\n 10.0.9.1/32\n }}\n notify \"{record}\"\n}}\n"
        );
        let mut daemon = Daemon::start(&stage.node, program, &configuration, Options::default());
        stage.wait_for_line("scripts", "INSTANCE VI_1 MASTER 100", 1, &daemon);
        assert_eq!(daemon.stop(), 0, "{}", daemon.log());
        stage.wait_for_line("scripts", "shutdown now", 1, &daemon);
        let order = [
            "startup",
            "INSTANCE VI_1 BACKUP 100",
            "INSTANCE VI_1 MASTER 100",
            "INSTANCE VI_1 STOP 100",
            "shutdown now",
        ];
        assert_eq!(stage.lines("scripts"), order, "{}", program.name());
    }
}

#[test]
fn scripts_around_the_daemon_that_hang_are_ended_and_a_failed_one_keeps_nobody_from_starting() {
    let stage = Stage::new();
    let hangs = stage.script("hangs.sh", "sleep 600 & wait");
    let stubborn = stage.script("stubborn.sh", "trap '' TERM; while true; do sleep 600 & wait; done");
    for (startup, shutdown) in [(hangs.as_str(), stubborn.as_str()), ("/bin/false", "/bin/false")] {
        let configuration = format!(
            "global_defs {{\n script_user root\n startup_script {startup}\n startup_script_timeout 1\n shutdown_script \
             {shutdown}\n shutdown_script_timeout 1\n}}\nvrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n \
             priority 255\n advert_int 1\n virtual_ipaddress {{\n 10.0.9.1/32\n }}\n}}\n"
        );
        let mut daemon = Daemon::start(&stage.node, Keepwatch, &configuration, Options::default());
        daemon.wait_for_address("10.0.9.1", true, PATIENCE);
        assert_eq!(daemon.stop(), 0, "{}", daemon.log());
        let sleeps = stage.node.pids().len();
        assert_eq!(sleeps, 0, "nothing is left running; it said:\n{}", daemon.log());
        let log = daemon.log();
        let said = if startup == "/bin/false" { "failed, status 1" } else { "timed out" };
        for name in ["startup", "shutdown"] {
            assert!(log.contains(&format!("{name} script {said}")), "{log}");
        }
    }
}

#[test]
fn a_fifo_that_is_there_is_used_and_left_and_one_that_is_made_belongs_to_whom_the_file_says() {
    for program in [Keepwatch, Keepalived] {
        let stage = Stage::new();
        let [ours, mine] = ["made", "there"].map(|name| stage.path(name));
        nix::unistd::mkfifo(&mine, nix::sys::stat::Mode::from_bits_truncate(0o640)).unwrap();
        std::fs::set_permissions(&mine, std::fs::Permissions::from_mode(0o640)).unwrap();
        let configuration = format!(
            "global_defs {{\n notify_fifo {} nobody daemon\n vrrp_notify_fifo {} nobody\n}}\nvrrp_instance VI_1 {{\n interface \
             eth0\n virtual_router_id 51\n priority 100\n advert_int 1\n virtual_ipaddress {{\n 10.0.9.1/32\n }}\n}}\n",
            ours.display(),
            mine.display()
        );
        let mut daemon = Daemon::start(&stage.node, program, &configuration, Options::default());
        let owners = |path: &Path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.mode() & 0o7777, found.uid(), found.gid()))
        };
        let made = wait::within(PATIENCE, || (owners(&ours) == Some((0o600, 65534, 1))).then_some(()));
        assert!(made.is_some(), "{}: {:?}; it said:\n{}", program.name(), owners(&ours), daemon.log());
        assert_eq!(owners(&mine), Some((0o640, 0, 0)), "{}", program.name());
        daemon.wait_for_address("10.0.9.1", true, PATIENCE);
        // Who comes late finds what was said before.
        let reader = std::fs::File::open(&mine).unwrap();
        let first = BufReader::new(reader).lines().next().unwrap().unwrap();
        assert_eq!(first, "INSTANCE \"VI_1\" BACKUP 100", "{}", program.name());
        assert_eq!(daemon.stop(), 0);
        assert_eq!((owners(&ours), owners(&mine)), (None, Some((0o640, 0, 0))), "{}", program.name());
    }
}

#[test]
fn a_fifo_that_a_runner_left_when_it_died_is_written_to_by_the_next_and_goes_with_the_daemon() {
    let stage = Stage::new();
    let fifo = stage.path("fifo");
    let configuration = format!(
        "global_defs {{\n vrrp_notify_fifo {}\n}}\nvrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority \
         100\n advert_int 1\n virtual_ipaddress {{\n 10.0.9.1/32\n }}\n}}\n",
        fifo.display()
    );
    let mut daemon = Daemon::start(&stage.node, Keepwatch, &configuration, Options::default());
    daemon.wait_for_address("10.0.9.1", true, PATIENCE);
    assert!(fifo.exists(), "it said:\n{}", daemon.log());
    let runner = daemon.wait_for_child("runner", PATIENCE);
    kill(runner, Signal::SIGKILL).unwrap();
    wait::until("another runner", PATIENCE, || daemon.child("runner").filter(|new| *new != runner));
    stage.lab.unplug(stage.ports[0]);
    // What the first one wrote went with it: nobody had the FIFO open.
    let reader = std::fs::File::open(&fifo).unwrap();
    let first = BufReader::new(reader).lines().next().unwrap().unwrap();
    assert_eq!(first, "INSTANCE \"VI_1\" FAULT 100", "it said:\n{}", daemon.log());
    assert_eq!(daemon.stop(), 0);
    assert!(!fifo.exists(), "it said:\n{}", daemon.log());
}

#[test]
fn what_is_no_fifo_is_not_written_to() {
    let stage = Stage::new();
    let [file, link, target] = ["file", "link", "target"].map(|name| stage.path(name));
    std::fs::write(&file, "precious").unwrap();
    nix::unistd::mkfifo(&target, nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let configuration = format!(
        "global_defs {{\n notify_fifo {}\n vrrp_notify_fifo {}\n}}\nvrrp_instance VI_1 {{\n interface eth0\n \
         virtual_router_id 51\n priority 255\n advert_int 1\n virtual_ipaddress {{\n 10.0.9.1/32\n }}\n}}\n",
        file.display(),
        link.display()
    );
    let mut daemon = Daemon::start(&stage.node, Keepwatch, &configuration, Options::default());
    daemon.wait_for_address("10.0.9.1", true, PATIENCE);
    for path in [&file, &link] {
        let said = format!("{} is no FIFO", path.display());
        let there = wait::within(PATIENCE, || daemon.log().contains(&said).then_some(()));
        assert!(there.is_some(), "no `{said}` in:\n{}", daemon.log());
    }
    assert_eq!(daemon.stop(), 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    assert!(link.exists());
}

/// Scripts that hang, fork, flood, die; a relay that accepts and says nothing; FIFOs that nobody reads: all at once, and
/// with a runner that is killed and one that is stopped. Scripts that take all processors are the scheduler's business, so R1
/// has `vrrp_rt_priority`, as an operator would give it.
#[test]
fn nobody_who_is_told_makes_an_advert_late() {
    let stalls = Stalls::watch();
    promise::until_clear("told", &stalls, || everybody_is_told(&stalls));
}

fn everybody_is_told(stalls: &Stalls) -> Verdict {
    let link = Link::new();
    let node = &link.nodes[0];
    let hangs = script(node, "hangs.sh", "trap '' TERM; while true; do sleep 600; done");
    let forks = script(node, "forks.sh", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 600 & done; wait");
    let floods = script(node, "floods.sh", "exec yes out of my way");
    let dies = script(node, "dies.sh", "kill -SEGV $$");
    let silent = node.enter(|| TcpListener::bind("127.0.0.1:2525").expect("the port is free"));
    // Twenty more on an interface that leads nowhere, which comes and goes.
    node.ip(&["link", "add", "quiet", "type", "veth", "peer", "name", "nowhere"]);
    node.ip(&["link", "set", "nowhere", "up"]);
    node.ip(&["address", "add", "10.0.5.254/24", "dev", "quiet"]);
    node.ip(&["link", "set", "quiet", "up"]);
    let instance = |number: u8, interface: &str, addresses: &str| {
        format!(
            "vrrp_instance VI_{number} {{\n interface {interface}\n virtual_router_id {}\n version 3\n priority 150\n \
             advert_int 0.1\n virtual_ipaddress {{\n {addresses}\n }}\n notify_master \"{hangs}\"\n notify_backup \
             \"{floods}\"\n notify \"{forks}\"\n notify_fault \"{dies}\"\n notify_stop \"{dies}\"\n}}\n",
            50 + number
        )
    };
    // One of the FIFOs is full from the beginning, and nobody reads it.
    let full = full_fifo(&node.directory().join("vrrp"));
    let mut configuration = format!(
        "global_defs {{\n router_id R1\n vrrp_rt_priority 1\n script_user root\n smtp_alert\n smtp_server 127.0.0.1 2525\n smtp_connect_timeout 2\n \
         notification_email {{\n ops@example.com\n }}\n notify_fifo {0}/both\n vrrp_notify_fifo {0}/vrrp\n \
         vrrp_notify_fifo_script \"{hangs}\"\n vrrp_notify_priority_changes\n}}\n",
        node.directory().display()
    );
    configuration += &instance(1, "eth0", "10.0.0.100/24\n 10.0.0.101/24");
    for number in 2..=21 {
        configuration += &instance(number, "quiet", &format!("10.0.5.{number}/32"));
    }
    let mut daemon = Daemon::start(node, Keepwatch, &configuration, Options::default());
    daemon.wait_for_address("10.0.0.100", true, PATIENCE);
    let second =
        Daemon::start(&link.nodes[1], Keepwatch, &Flavour::V3.configuration(2, "BACKUP", 100), Options::default());
    second.wait_until_it_listens();
    let from = wait::now_ns();
    for round in 0..12 {
        wait::observe(Duration::from_millis(500));
        node.ip(&["link", "set", "quiet", if round % 2 == 0 { "down" } else { "up" }]);
        let runner = daemon.child("runner");
        match (round, runner) {
            (3, Some(runner)) => kill(runner, Signal::SIGSTOP).unwrap(),
            (6, Some(runner)) => kill(runner, Signal::SIGKILL).unwrap(),
            (9, _) => daemon.reload(&configuration),
            _ => {}
        }
    }
    let kept = Kept::since(from, &link, stalls);
    drop((silent, full));
    assert_eq!(daemon.stop(), 0, "{}", daemon.log());
    promise::judge("told", kept)
}

/// A FIFO with no room left. It stays full as long as this is open.
fn full_fifo(path: &Path) -> std::fs::File {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
    let mut fifo = options.open(path).unwrap();
    while fifo.write(&[b'\n'; 4096]).is_ok() {}
    fifo
}
