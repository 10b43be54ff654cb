//! The tool against a bridge as it is, with an engine and a supervisor that are played by the test.
//!
//! Needs root only where a test says so.
#![cfg(feature = "daemon")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use keepwatch::bus::frame::{self, Packer};
use keepwatch::bus::msg::{self, Feed, Reply, ToBridge, ToEngine};
use keepwatch::bus::rows::{IpvsRow, Row, RowKey, ServerConfig, ServerRow, ServiceRow};
use keepwatch::check::table::{Load, Stats};
use keepwatch::clock::{self, WallTime};
use keepwatch::conf::model::{
    Config, Family, Global, Protocol, RealServer, ServerKey, ServiceKey, ServiceKind, VirtualServer,
};
use keepwatch::export::look::ReloadReport;
use keepwatch::process::control::ControlSocket;
use keepwatch::process::lifecycle::{Channel, Sheet, ToChild, ToSupervisor};
use keepwatch::process::options::Options;
use keepwatch::process::role::Role;
use keepwatch::sys::memfd;
use keepwatch::sys::seqpacket::{FRAME_MAX, Received, Seqpacket};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// Counters are this old at most.
const STATISTICS: Duration = Duration::from_millis(1500);

/// A bridge, its supervisor and its checks process.
struct Lab {
    bridge: Child,
    channel: Channel,
    socket: ControlSocket,
    directory: tempfile::TempDir,
    engine: Option<JoinHandle<()>>,
    /// What the engine shall show from now on.
    connections: mpsc::Sender<u32>,
}

impl Lab {
    fn new() -> Lab {
        let directory = tempfile::tempdir().unwrap();
        let socket = ControlSocket::bind(&directory.path().join("control.sock")).unwrap();
        let (ours, theirs) = Seqpacket::pair().unwrap();
        let bridge = Command::new(env!("CARGO_BIN_EXE_keepwatchd"))
            .arg0(Role::Bridge.title())
            .stdin(Stdio::from(theirs.into_fd()))
            .stdout(Stdio::null())
            .stderr(File::create(directory.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut channel = Channel::new(ours);
        let options = Box::new(Options::parse_words(["-l", "-G"].map(str::to_owned)).unwrap());
        let config = Config { has_virtual_servers: true, ..Config::default() };
        channel.send(&ToChild::Start { options, config: 1, restarted: false }, Some(sealed(&config))).unwrap();
        channel.send(&ToChild::Control, Some(socket.share().unwrap())).unwrap();
        let (ours, theirs) = Seqpacket::pair().unwrap();
        channel.send(&ToChild::Peer(Role::Checks), Some(theirs.into_fd())).unwrap();
        let (connections, news) = mpsc::channel();
        let engine = std::thread::spawn(move || Engine::new(ours).run(&news));
        let lab = Lab { bridge, channel, socket, directory, engine: Some(engine), connections };
        let deadline = Instant::now() + PATIENCE;
        while lab.keepwatch(&["weight", "w1"]).status.code() != Some(0) {
            assert!(Instant::now() < deadline, "{}", lab.log());
        }
        lab
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    fn keepwatch(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keepwatch"));
        command.args(words).env("KEEPWATCH_SOCKET", self.path()).stdin(Stdio::null()).output().unwrap()
    }

    /// Its exit status and what it printed.
    fn says(&self, words: &[&str]) -> (i32, String) {
        let output = self.keepwatch(words);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.bridge.kill();
        let _ = self.bridge.wait();
        if let Some(engine) = self.engine.take() {
            let _ = engine.join();
        }
    }
}

/// A checks process as far as the bridge can tell.
struct Engine {
    socket: Seqpacket,
    generation: u64,
    services: Vec<ServiceRow>,
    servers: Vec<ServerRow>,
    /// When the counters were read last, and when they are read next.
    counted: clock::Instant,
    count_at: clock::Instant,
}

impl Engine {
    fn new(socket: Seqpacket) -> Engine {
        let key = |address: &str, port| ServiceKey {
            kind: ServiceKind::Address { address: address.parse().unwrap(), port },
            protocol: Some(Protocol::Tcp),
        };
        let (counted, count_at) = (clock::now(), clock::now() + STATISTICS);
        let mut engine = Engine { socket, generation: 0, services: vec![], servers: vec![], counted, count_at };
        engine.add(1, key("192.0.2.10", 80), &[("192.168.1.10", Some("w1")), ("192.168.1.11", None)]);
        engine.add(2, key("192.0.2.10", 8080), &[("192.168.1.11", None), ("fd00::10", None)]);
        engine
    }

    fn add(&mut self, index: u32, key: ServiceKey, servers: &[(&str, Option<&str>)]) {
        let row = ServiceRow {
            index,
            config: VirtualServer::new(key, Family::V4),
            installed: true,
            quorum_met: true,
            quorum_since: WallTime(0),
            sorry_active: false,
            suspended: false,
            servers_total: 2,
            servers_up: 2,
            weight_up: 6,
            stats: Stats::default(),
            trouble: vec![],
        };
        for (place, (address, name)) in (1..).zip(servers) {
            self.servers.push(ServerRow {
                service_index: index,
                index: place,
                config: ServerConfig::Real(server(&row.config, address.parse().unwrap(), *name)),
                alive: true,
                weight: 3,
                overridden: false,
                installed: true,
                failed_checks: 0,
                checks_not_run: 0,
                since: WallTime(0),
                load: Load { active: 2, persistent: 1, ..Load::default() },
                checkers: vec![],
                went_up: 0,
                went_down: 0,
            });
        }
        self.services.push(row);
    }

    fn key(&self, row: &ServerRow) -> ServerKey {
        let ServerConfig::Real(server) = &row.config else { unreachable!() };
        let service = self.services.iter().find(|service| service.index == row.service_index).unwrap();
        ServerKey { service: service.config.key.clone(), address: server.address, port: server.port, sorry: false }
    }

    fn tell(&mut self) {
        self.generation += 1;
        let global = Global {
            lvs: keepwatch::conf::model::Lvs {
                server_statistics_us: u64::try_from(STATISTICS.as_micros()).unwrap(),
                ..Default::default()
            },
            ..Global::default()
        };
        let mut packer = Packer::default();
        let mut put = |feed| packer.push(&ToBridge::Feed(feed)).unwrap();
        put(Feed::Begin { generation: self.generation, config: 1, full: self.generation == 1 });
        put(Feed::Row(RowKey::Global, Row::Global(Box::new(global))));
        let ipvs = IpvsRow { counted_at: self.counted, ..IpvsRow::default() };
        put(Feed::Row(RowKey::Ipvs, Row::Ipvs(Box::new(ipvs))));
        for row in &self.services {
            put(Feed::Row(RowKey::Service(row.config.key.clone()), Row::Service(Box::new(row.clone()))));
        }
        for row in &self.servers {
            put(Feed::Row(RowKey::Server(self.key(row)), Row::Server(Box::new(row.clone()))));
        }
        put(Feed::Commit { edges_dropped: 0 });
        packer.into_frames().iter().for_each(|frame| self.send(frame));
    }

    fn send(&self, frame: &[u8]) {
        let _ = self.socket.send(frame, &[]);
    }

    fn run(&mut self, connections: &mpsc::Receiver<u32>) {
        self.tell();
        let mut buffer = vec![0; FRAME_MAX];
        loop {
            while let Ok(active) = connections.try_recv() {
                self.servers.iter_mut().for_each(|row| row.load.active = active);
                self.tell();
            }
            if clock::now() >= self.count_at {
                (self.counted, self.count_at) = (clock::now(), clock::now() + STATISTICS);
                self.tell();
            }
            match self.socket.receive(&mut buffer) {
                Ok(Received::Frame(length, _)) => {
                    for message in frame::decode::<ToEngine>(&buffer[..length]).unwrap() {
                        if let ToEngine::Command { request, command } = message {
                            self.carry_out(request, &command);
                        }
                    }
                }
                Ok(Received::Nothing) => std::thread::sleep(Duration::from_millis(5)),
                _ => return,
            }
        }
    }

    fn carry_out(&mut self, request: u64, command: &msg::Command) {
        let (msg::Command::SetWeight { server, .. } | msg::Command::ResetWeight { server }) = command else {
            panic!("{command:?}")
        };
        let place = self.servers.iter().position(|row| self.key(row) == *server).unwrap();
        let row = &mut self.servers[place];
        (row.weight, row.overridden) = match command {
            msg::Command::SetWeight { weight, .. } => (*weight, true),
            _ => (3, false),
        };
        // Readers see it a while after the answer: who was told must not see the old weight.
        let undo = msg::Command::ResetWeight { server: server.clone() };
        let reply = ToBridge::Reply { request, reply: Reply::Done { undo, visible_at: self.generation + 1 } };
        self.send(&frame::encode(&reply).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        self.tell();
        // The next count is a whole interval away: what readers see until then is from before.
        self.count_at = clock::now() + STATISTICS;
    }
}

fn server(service: &VirtualServer, address: IpAddr, name: Option<&str>) -> RealServer {
    RealServer { weight: 3, snmp_name: name.map(str::to_owned), ..RealServer::new(service, address, 80) }
}

fn sealed(config: &Config) -> OwnedFd {
    let fd = memfd::create("test").unwrap();
    let mut bytes = postcard::to_stdvec(&Sheet::default()).unwrap();
    bytes.extend(postcard::to_stdvec(config).unwrap());
    File::from(fd.try_clone().unwrap()).write_all(&bytes).unwrap();
    memfd::seal(fd.as_fd()).unwrap();
    fd
}

#[test]
fn a_server_is_drained_looked_at_and_made_ready_again() {
    let lab = Lab::new();
    let note = "note: persistence ties 1 client to it, and may go on to send them there until their time-out\n";
    assert_eq!(
        lab.says(&["drain", "w1"]),
        (0, format!("w1 of 192.0.2.10:80/tcp: weight 0, 2 active connections\n{note}"))
    );
    assert_eq!(
        lab.says(&["weight", "192.168.1.10:80"]),
        (0, "w1 of 192.0.2.10:80/tcp: weight 0 by hand (3 configured), up, 2 active connections\n".to_owned())
    );
    assert_eq!(
        lab.says(&["ready", "w1"]),
        (0, "w1 of 192.0.2.10:80/tcp: weight 3 as configured, up, 2 active connections\n".to_owned())
    );
    assert_eq!(
        lab.says(&["weight", "[fd00::10]:80", "7"]),
        (
            0,
            "[fd00::10]:80 of 192.0.2.10:8080/tcp: weight 7 by hand (3 configured), up, 2 active connections\n"
                .to_owned()
        )
    );
}

#[test]
fn a_name_of_more_than_one_server_changes_none_and_lists_them() {
    let lab = Lab::new();
    let (status, text) = lab.says(&["drain", "192.168.1.11:80"]);
    assert_eq!(status, 3);
    assert!(text.contains("2 real servers match"), "{text}");
    for line in ["  192.168.1.11:80 --service 192.0.2.10:80/tcp", "  192.168.1.11:80 --service 192.0.2.10:8080/tcp"] {
        assert!(text.lines().any(|have| have == line), "{text}");
    }
    let (status, text) = lab.says(&["weight", "192.168.1.11:80"]);
    assert_eq!((status, text.lines().filter(|line| line.contains("weight 3 as configured")).count()), (0, 2));
    let (status, text) = lab.says(&["drain", "192.168.1.11:80", "--service", "192.0.2.10:8080"]);
    assert_eq!(status, 0);
    assert!(text.starts_with("192.168.1.11:80 of 192.0.2.10:8080/tcp: weight 0"), "{text}");
    assert_eq!(lab.says(&["drain", "192.168.1.12"]).0, 3);
    assert_eq!(lab.says(&["drain", "w1", "--service", "nowhere"]).0, 3);
    let (status, text) = lab.says(&["drain", "192.168.1.11:80", "--json"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (status, &answer["code"], answer["candidates"].as_array().unwrap().len()),
        (3, &Value::from("ambiguous"), 2)
    );
}

#[test]
fn a_drain_that_waits_returns_when_the_last_connection_is_gone() {
    let lab = Lab::new();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| lab.says(&["drain", "w1", "--wait", "--timeout", "60", "--json"]));
        std::thread::sleep(2 * STATISTICS);
        assert!(!drain.is_finished(), "two connections are left");
        lab.connections.send(0).unwrap();
        let (status, text) = drain.join().unwrap();
        assert_eq!(status, 0);
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&answer["drained"], &answer["active_connections"]), (&Value::from(true), &Value::from(0)));
        assert_eq!(answer["server"]["weight"], 0);
    });
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn a_count_of_zero_from_before_the_drain_is_not_believed() {
    let lab = Lab::new();
    lab.connections.send(0).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !lab.says(&["weight", "w1"]).1.contains(" 0 active connections") {
        assert!(Instant::now() < deadline);
    }
    let begun = Instant::now();
    let (status, text) = lab.says(&["drain", "w1", "--wait"]);
    assert_eq!(status, 0, "{text}");
    assert!(begun.elapsed() >= STATISTICS, "the counters could have been older than the drain");
}

#[test]
fn a_drain_whose_time_is_up_before_anything_was_counted_does_not_claim_to_be_done() {
    let lab = Lab::new();
    lab.connections.send(0).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !lab.says(&["weight", "w1"]).1.contains(" 0 active connections") {
        assert!(Instant::now() < deadline);
    }
    let (status, text) = lab.says(&["drain", "w1", "--wait", "--timeout", "1", "--json"]);
    assert_eq!(status, 1, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["drained"], Value::from(false));
}

#[test]
fn a_drain_that_waited_long_enough_says_what_is_left() {
    let lab = Lab::new();
    let (status, text) = lab.says(&["drain", "w1", "--wait", "--timeout", "2"]);
    assert_eq!(status, 1);
    assert!(text.starts_with("w1 of 192.0.2.10:80/tcp: 2 active connections left after 2 s\n"), "{text}");
}

#[test]
fn mistakes_and_absent_daemons_have_statuses_of_their_own() {
    let mut lab = Lab::new();
    assert_eq!(lab.says(&["weight", "w1", "-5"]).0, 2);
    assert_eq!(lab.says(&["weight", "w1", "2147483648"]).0, 2);
    assert_eq!(lab.says(&["drain", "w1", "--timeout", "5"]).0, 2, "without --wait it would mean nothing");
    // The checks process dies.
    let _ = lab.bridge.kill();
    lab.bridge.wait().unwrap();
    drop(std::mem::replace(&mut lab.socket, ControlSocket::bind(&lab.directory.path().join("other.sock")).unwrap()));
    let (status, text) = lab.says(&["drain", "w1"]);
    assert_eq!(status, 5);
    assert!(text.contains("is keepwatchd running?"), "{text}");
}

#[test]
fn a_command_to_a_checks_process_that_is_gone_is_not_waited_for() {
    let mut lab = Lab::new();
    let (ours, theirs) = Seqpacket::pair().unwrap();
    lab.channel.send(&ToChild::Peer(Role::Checks), Some(theirs.into_fd())).unwrap();
    drop(ours);
    let deadline = Instant::now() + PATIENCE;
    // What it said last stays readable.
    loop {
        let (status, text) = lab.says(&["drain", "w1"]);
        if status == 5 {
            assert!(text.contains("the checks process is not there"), "{text}");
            break;
        }
        assert!(Instant::now() < deadline);
    }
    assert_eq!(lab.says(&["weight", "w1"]).0, 0);
}

#[test]
fn documents_are_shown_to_people_and_to_programs() {
    let lab = Lab::new();
    let (status, text) = lab.says(&["ipvs"]);
    assert_eq!(status, 0, "{text}");
    assert!(text.starts_with("192.0.2.10:80/tcp\n") && text.contains("w1 (192.168.1.10:80)  up"), "{text}");
    let (status, text) = lab.says(&["ipvs", "192.0.2.10:8080", "--json"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, answer["services"][0]["service"].as_str()), (0, Some("192.0.2.10:8080/tcp")));
    assert_eq!(lab.says(&["ipvs", "nowhere"]), (3, "keepwatch: no virtual server nowhere\n".to_owned()));
    assert_eq!(lab.says(&["checks"]), (0, "no checkers\n".to_owned()));
    assert_eq!(lab.says(&["events"]), (0, String::new()));
    let (status, text) = lab.says(&["status", "--json"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["ipvs"]["services"].as_array().unwrap().len(), 2, "{status} {text}");
    assert!(lab.says(&["status"]).1.contains("192.0.2.10:80/tcp"));
    let (status, text) = lab.says(&["top", "--once", "--delay", "0.1"]);
    assert!(status == 0 && text.contains("VIRTUAL SERVER") && text.contains("w1"), "{status} {text}");
    // There is no terminal here.
    assert_eq!(lab.says(&["top"]).0, 4);
}

#[test]
fn an_explanation_needs_a_name_of_one_thing() {
    let lab = Lab::new();
    let (status, text) = lab.says(&["explain", "w1"]);
    assert!(status == 0 && text.contains("192.168.1.10:80"), "{status} {text}");
    let (status, text) = lab.says(&["explain", "192.168.1.11:80"]);
    assert_eq!(status, 3);
    for line in ["  192.168.1.11:80 --service 192.0.2.10:80/tcp", "  192.168.1.11:80 --service 192.0.2.10:8080/tcp"] {
        assert!(text.lines().any(|have| have == line), "{text}");
    }
    assert_eq!(lab.says(&["explain", "192.168.1.11:80", "--service", "192.0.2.10:80"]).0, 0);
    let (status, text) = lab.says(&["explain", "virtual_router_id"]);
    assert!(status == 3 && text.contains("keepwatch directive"), "{text}");
}

#[test]
fn a_plugin_exits_as_plugins_do() {
    let lab = Lab::new();
    let (status, text) = lab.says(&["nagios", "servers"]);
    let data = "down=0;0;3;0;4 up=4;;;0;4 drained=0;;;0;4 active_connections=8;;;0";
    assert_eq!((status, text), (0, format!("KEEPWATCH OK - 4 of 4 real servers up | {data}\n")));
    assert_eq!(lab.says(&["nagios", "quorum", "192.0.2.10:80"]).0, 0);
    let (status, text) = lab.says(&["nagios", "quorum", "nowhere"]);
    assert_eq!((status, &*text), (3, "KEEPWATCH UNKNOWN - no virtual server nowhere\n"));
    assert_eq!(lab.says(&["nagios", "instance", "VI_1", "--expect", "master"]).0, 3, "no vrrp process");
    assert_eq!(lab.says(&["nagios", "servers", "-w", "several"]).0, 3, "a mistake is not CRITICAL");
    let nowhere = lab.directory.path().join("nowhere");
    let (status, text) = lab.says(&["nagios", "daemon", "--socket", nowhere.to_str().unwrap()]);
    assert!(status == 3 && text.starts_with("KEEPWATCH UNKNOWN - cannot connect"), "{text}");
}

#[test]
fn a_reload_is_the_supervisors_and_its_errors_are_told() {
    let mut lab = Lab::new();
    let reload = |lab: &mut Lab, report: ReloadReport| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keepwatch"));
        let tool = command.arg("reload").env("KEEPWATCH_SOCKET", lab.path()).stdin(Stdio::null());
        let tool = tool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let request = loop {
            match lab.channel.receive::<ToSupervisor>().unwrap() {
                Some((ToSupervisor::Reload { request }, _)) => break request,
                Some(_) => {}
                None => std::thread::sleep(Duration::from_millis(5)),
            }
            assert!(Instant::now() < deadline, "{}", lab.log());
        };
        let answer = ToChild::Reloaded { requests: vec![request], reload: Box::new(report) };
        lab.channel.send(&answer, None).unwrap();
        let output = tool.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    };
    let good = ReloadReport { successful: true, took_us: 30_000, ..ReloadReport::default() };
    assert_eq!(reload(&mut lab, good), (0, "in force after 30 ms\n".to_owned()));
    let bad = ReloadReport { errors: "error: no such thing\n".to_owned(), ..ReloadReport::default() };
    let told = "error: no such thing\nrefused: the configuration in force stays in force\n";
    assert_eq!(reload(&mut lab, bad), (1, told.to_owned()));
}

#[test]
fn completions_and_manual_pages_are_made_from_the_command_line_itself() {
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_keepwatch")).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).contains("failover"), "{shell}");
    }
    assert!(run(&["man"]).contains(".TH keepwatch 1"));
    let directory = tempfile::tempdir().unwrap();
    run(&["man", "--out", directory.path().to_str().unwrap()]);
    for page in ["keepwatch.1", "keepwatch-status.1", "keepwatch-nagios-servers.1"] {
        let text =
            std::fs::read_to_string(directory.path().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(text.contains("keepwatch"), "{page}");
    }
    let status = std::fs::read_to_string(directory.path().join("keepwatch-status.1")).unwrap();
    assert!(status.contains("no daemon answers"), "exit statuses are part of the page: {status}");
}

/// Needs root: it is somebody else.
#[test]
fn others_than_root_and_the_daemons_user_may_read_if_the_socket_lets_them_and_not_write() {
    assert!(nix::unistd::geteuid().is_root(), "this test becomes another user: run it as root");
    let lab = Lab::new();
    use std::os::unix::fs::PermissionsExt;
    // The tool has to be reachable, too.
    let tool = lab.directory.path().join("keepwatch");
    std::fs::copy(env!("CARGO_BIN_EXE_keepwatch"), &tool).unwrap();
    std::fs::set_permissions(lab.directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(&tool);
        command.args(words).env("KEEPWATCH_SOCKET", lab.path()).uid(65534).gid(65534).current_dir("/");
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (status, text) = run(&["weight", "w1"]);
    assert!(status == 5 && text.contains("Permission denied"), "{text}");
    std::fs::set_permissions(lab.path(), std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(run(&["weight", "w1"]).0, 0);
    let (status, text) = run(&["drain", "w1"]);
    assert!(status == 4 && text.contains("only root"), "{text}");
}
