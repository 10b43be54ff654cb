//! The bridge between two engines that we play.

use super::*;
use crate::agentx::Token;
use crate::bus::frame::{self, Packer};
use crate::bus::msg::{Command, Edge, Feed, Generation, QuorumStatus, Reply, ToBridge, ToEngine};
use crate::bus::rows::{Row, RowKey};
use crate::clock::WallTime;
use crate::mib::fixture;
use crate::sys::seqpacket::{FRAME_MAX, Received, Seqpacket};

/// A bridge, its supervisor's end, and the engines' ends of their sockets.
struct Lab {
    bridge: Bridge,
    _supervisor: Channel,
}

/// One engine's end.
struct Engine {
    socket: Seqpacket,
    generation: Generation,
}

fn both() -> Config {
    let mut config = Config { has_virtual_servers: true, ..Config::default() };
    config.instances.push(fixture::instance("VI_1"));
    config
}

fn lab(config: Config) -> Lab {
    let (ours, theirs) = Seqpacket::pair().unwrap();
    let options = Options::parse_words([]).unwrap();
    let bridge = Bridge::start(Channel::new(ours), options, config, 1, 0).unwrap();
    Lab { bridge, _supervisor: Channel::new(theirs) }
}

impl Lab {
    fn meet(&mut self, source: Source) -> Engine {
        let (ours, theirs) = Seqpacket::pair().unwrap();
        self.bridge.meet_engine(source, theirs.into_fd());
        Engine { socket: ours, generation: 0 }
    }

    /// A full batch from a new process, read.
    fn filled(&mut self, source: Source) -> Engine {
        let mut engine = self.meet(source);
        let rows = match source {
            Source::Vrrp => fixture::rows(fixture::global()),
            Source::Checks => fixture::check::seed_rows(),
        };
        engine.batch(true, rows, vec![]);
        self.bridge.read_engine(source);
        engine
    }
}

impl Engine {
    fn say(&self, messages: Vec<ToBridge>) {
        let mut packer = Packer::default();
        messages.iter().for_each(|message| packer.push(message).unwrap());
        for bytes in packer.into_frames() {
            self.socket.send(&bytes, &[]).unwrap();
        }
    }

    fn batch(&mut self, full: bool, rows: Vec<(RowKey, Row)>, edges: Vec<Edge>) {
        self.generation += 1;
        let mut feed = vec![Feed::Begin { generation: self.generation, config: 1, full }];
        feed.extend(rows.into_iter().map(|(key, row)| Feed::Row(key, row)));
        feed.extend(edges.into_iter().map(Feed::Edge));
        feed.push(Feed::Commit { edges_dropped: 0 });
        self.say(feed.into_iter().map(ToBridge::Feed).collect());
    }

    fn heard(&self) -> Vec<ToEngine> {
        let (mut all, mut buffer) = (vec![], vec![0; FRAME_MAX]);
        while let Ok(Received::Frame(length, _)) = self.socket.receive(&mut buffer) {
            all.extend(frame::decode::<ToEngine>(&buffer[..length]).unwrap());
        }
        all
    }
}

fn set_priority() -> Command {
    let priority = crate::conf::model::Priority::new(120).unwrap();
    Command::SetPriority { instance: "VI_1".into(), priority }
}

fn set_weight() -> Command {
    Command::SetWeight { server: fixture::check::server_key("VS_GROUP_IPv4", "192.168.1.10", 80), weight: 0 }
}

fn quorum() -> Edge {
    Edge::Quorum {
        service: fixture::check::group_key("VS_GROUP_IPv4", crate::conf::model::Protocol::Tcp),
        index: 1,
        status: QuorumStatus::NotMet,
        quorum: 1,
        servers_up: 0,
        servers_total: 4,
        at: WallTime(0),
    }
}

#[tokio::test]
async fn a_command_goes_to_the_owner_of_the_thing_and_only_the_owner_answers_it() {
    let mut lab = lab(both());
    let (vrrp, checks) = (lab.filled(Source::Vrrp), lab.filled(Source::Checks));
    lab.bridge.command(Token(1), set_priority());
    lab.bridge.command(Token(2), set_weight());
    let [ToEngine::Command { request: first, command }] = &vrrp.heard()[..] else { panic!("one command") };
    assert_eq!(command, &set_priority());
    let [ToEngine::Command { request: second, command }] = &checks.heard()[..] else { panic!("one command") };
    assert_eq!(command, &set_weight());
    let reply =
        |request: &u64| ToBridge::Reply { request: *request, reply: Reply::Done { undo: set_weight(), visible_at: 2 } };
    vrrp.say(vec![reply(second)]);
    lab.bridge.read_engine(Source::Vrrp);
    assert_eq!(lab.bridge.engines.waiting(), [*first, *second], "a stranger's answer is none");
    checks.say(vec![reply(second)]);
    lab.bridge.read_engine(Source::Checks);
    assert_eq!(lab.bridge.engines.waiting(), [*first]);
    // Nobody will answer what a process was asked that is gone.
    lab.meet(Source::Vrrp);
    assert_eq!(lab.bridge.engines.waiting(), [0; 0]);
}

#[tokio::test]
async fn edges_are_acknowledged_to_who_told_them_and_a_faulty_engine_is_asked_for_everything_alone() {
    let mut lab = lab(both());
    let (mut vrrp, mut checks) = (lab.filled(Source::Vrrp), lab.filled(Source::Checks));
    checks.batch(false, vec![], vec![quorum()]);
    lab.bridge.read_engine(Source::Checks);
    assert_eq!((vrrp.heard(), checks.heard()), (vec![], vec![ToEngine::Seen(2)]));
    vrrp.generation += 5;
    vrrp.batch(false, vec![], vec![]);
    lab.bridge.read_engine(Source::Vrrp);
    assert_eq!((vrrp.heard(), checks.heard()), (vec![ToEngine::Resync], vec![]));
    checks.batch(false, vec![], vec![quorum()]);
    lab.bridge.read_engine(Source::Checks);
    assert_eq!(checks.heard(), [ToEngine::Seen(3)]);
}

#[tokio::test]
async fn rows_of_an_engine_that_crashed_stay_readable_and_those_of_one_that_is_not_wanted_go_when_it_has_gone() {
    let mut lab = lab(both());
    let (_vrrp, checks) = (lab.filled(Source::Vrrp), lab.filled(Source::Checks));
    let servers = |lab: &Lab| lab.bridge.store.snapshot().checks.servers.len();
    drop(checks);
    lab.bridge.read_engine(Source::Checks);
    assert_eq!(servers(&lab), 8);
    let checks = lab.filled(Source::Checks);
    lab.bridge.configure(&Config { has_virtual_servers: false, ..both() });
    assert_eq!(servers(&lab), 8, "it may still tell how it ended");
    drop(checks);
    lab.bridge.read_engine(Source::Checks);
    assert_eq!(servers(&lab), 0);
    assert_eq!(lab.bridge.store.snapshot().vrrp.instances.len(), 1);
    // The other order: it had gone before the configuration was known.
    lab.bridge.configure(&both());
    let checks = lab.filled(Source::Checks);
    drop(checks);
    lab.bridge.read_engine(Source::Checks);
    assert_eq!(servers(&lab), 8);
    lab.bridge.configure(&Config { has_virtual_servers: false, ..both() });
    assert_eq!(servers(&lab), 0);
}

fn with_agent(socket: &str) -> Config {
    let mut config = both();
    config.global.snmp = Snmp { socket: Some(socket.to_owned()), ..fixture::snmp() };
    config
}

impl Lab {
    /// Numbers of the connections that the supervisor was asked for.
    fn asked_to_connect(&mut self) -> Vec<u64> {
        let mut asked = vec![];
        while let Ok(Some((message, _))) = self._supervisor.receive::<ToSupervisor>() {
            if let ToSupervisor::ConnectAgentX { attempt } = message {
                asked.push(attempt);
            }
        }
        asked
    }

    fn answer_connect(&mut self, attempt: u64) -> std::os::unix::net::UnixStream {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        self.bridge.told(ToChild::AgentX { attempt, error: None }, Some(theirs.into()));
        ours
    }
}

#[tokio::test]
async fn a_connection_that_was_given_up_while_the_supervisor_opened_it_is_closed_and_not_used() {
    use std::io::{ErrorKind, Read};
    let read = |mut stream: &std::os::unix::net::UnixStream| stream.read(&mut [0; 512]);

    let mut lab = lab(with_agent("/run/one"));
    assert_eq!(lab.asked_to_connect(), [1]);
    // A reload names another master before the first one's connection is there.
    lab.bridge.configure(&with_agent("/run/two"));
    assert_eq!(lab.asked_to_connect(), [2]);
    let first = lab.answer_connect(1);
    assert_eq!(read(&first).unwrap(), 0, "closed, without a word");
    let second = lab.answer_connect(2);
    assert!(read(&second).unwrap() > 20, "Open");
    // The same answer again would be a second connection.
    let third = lab.answer_connect(2);
    assert_eq!(read(&third).unwrap(), 0);
    assert_eq!(read(&second).unwrap_err().kind(), ErrorKind::WouldBlock, "still the one that is used");
    // An error of one that was given up is nobody's error.
    lab.bridge.told(ToChild::AgentX { attempt: 1, error: Some(libc::ENOENT) }, None);
    assert_eq!(lab.bridge.session.stats().failed, 0);
}

#[tokio::test]
async fn what_a_process_that_died_was_asked_is_refused_at_once() {
    let mut lab = lab(both());
    let vrrp = lab.filled(Source::Vrrp);
    lab.bridge.command(Token(1), set_priority());
    assert_eq!(lab.bridge.engines.waiting().len(), 1);
    drop(vrrp);
    lab.bridge.read_engine(Source::Vrrp);
    let _new = lab.meet(Source::Vrrp);
    assert_eq!(lab.bridge.engines.waiting(), [0; 0]);
}

#[tokio::test]
async fn a_master_that_asks_and_never_reads_is_not_read_any_further() {
    use std::io::Write;

    use crate::process::link::QUEUE_MAX;
    use crate::wire::agentx::{Body, ByteOrder, ErrorStatus, Pdu, SearchRange};

    let mut lab = lab(with_agent("/run/one"));
    let _vrrp = lab.filled(Source::Vrrp);
    let _checks = lab.filled(Source::Checks);
    let mut master = lab.answer_connect(1);
    let says = |body| Pdu { order: ByteOrder::Network, session: 6, transaction: 1, packet: 1, context: None, body };
    let opened = Body::Response { uptime: 0, error: ErrorStatus::NO_ERROR, index: 0, varbinds: vec![] };
    master.write_all(&says(opened).encode()).unwrap();
    lab.bridge.read_link();
    // Each asks for 64 KiB, and hundreds fit what is read at once.
    let range = SearchRange { start: Default::default(), include: false, end: Default::default() };
    let bulk = Body::GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges: vec![range; 4] };
    let bytes = says(bulk).encode().repeat(4000);
    let mut rest = &bytes[..];
    for _ in 0..100 {
        rest = &rest[master.write(rest).unwrap_or(0)..];
        lab.bridge.read_link();
    }
    if let Some(link) = &lab.bridge.link {
        assert!(link.is_full() && link.waiting() < QUEUE_MAX + 6 * 1024 * 1024, "{}", link.waiting());
        assert!(!rest.is_empty(), "it is left unread");
    } else {
        assert_eq!(lab.bridge.session.stats().failed, 1, "or it was left for asking so much at once");
    }
}

#[tokio::test]
async fn the_responder_answers_from_the_store_and_a_set_goes_to_its_owner_and_is_answered_when_it_can_be_read() {
    use std::net::UdpSocket;

    use crate::conf::model::{Community, Responder, Secret};
    use crate::process::lifecycle::ToSupervisor;
    use crate::sys::udp;
    use crate::wire::snmp::{Message, Pdu, PduKind, Value, VarBind, decode};

    let mut config = both();
    config.global.snmp = fixture::snmp();
    let address = "127.0.0.1:0".parse().unwrap();
    let community = Community { name: Secret("private".to_owned()), write: true, networks: vec![] };
    config.settings.snmp.responder =
        Some(Responder { listen: vec![address], communities: vec![community], users: vec![] });
    let mut lab = lab(config);
    let mut asked = vec![];
    while let Some((message, _)) = lab._supervisor.receive::<ToSupervisor>().unwrap() {
        asked.push(message);
    }
    assert!(asked.contains(&ToSupervisor::Listen { address }) && asked.contains(&ToSupervisor::OpenState));
    let socket = UdpSocket::from(udp::bound(address).unwrap());
    let agent = socket.local_addr().unwrap();
    lab.bridge.listening(address, Ok(socket.into()));
    lab.bridge.state_opened(Ok(tempfile::tempfile().unwrap().into()));
    let counted = lab.bridge.counting.take().expect("the engine is counted").await;
    lab.bridge.engine_counted(counted);
    let mut vrrp = lab.filled(Source::Vrrp);

    let manager = UdpSocket::bind("127.0.0.1:0").unwrap();
    manager.set_nonblocking(true).unwrap();
    let name = || "1.3.6.1.4.1.9586.100.5.2.3.1.7.1".parse().unwrap();
    let ask = |kind, value| {
        let pdu = Pdu::new(kind, 7, vec![VarBind::new(name(), value)]);
        let bytes = Message::V2c { community: b"private".to_vec(), pdu }.encode();
        manager.send_to(&bytes, agent).unwrap();
    };
    let answer = || {
        let mut buffer = [0; 1500];
        let (length, from) = manager.recv_from(&mut buffer).ok()?;
        let Ok(Message::V2c { pdu, .. }) = decode(&buffer[..length]) else { panic!("an answer") };
        Some((from, pdu.error_status, pdu.varbinds[0].value.clone()))
    };
    ask(PduKind::Get, Value::Null);
    let sockets = lab.bridge.direct.readable().await;
    sockets.into_iter().for_each(|socket| lab.bridge.read_datagrams(socket));
    let (from, error, value) = answer().expect("an answer at once");
    assert_eq!((from, error), (agent, 0));
    assert!(matches!(value, Value::Integer(_)), "{value:?}");

    ask(PduKind::Set, Value::Integer(120));
    let sockets = lab.bridge.direct.readable().await;
    sockets.into_iter().for_each(|socket| lab.bridge.read_datagrams(socket));
    let [ToEngine::Command { request, command }] = &vrrp.heard()[..] else { panic!("one command") };
    assert_eq!(command, &set_priority());
    let reply = Reply::Done { undo: set_priority(), visible_at: 2 };
    vrrp.say(vec![ToBridge::Reply { request: *request, reply }]);
    lab.bridge.read_engine(Source::Vrrp);
    assert_eq!(answer(), None, "nobody could read it yet");
    vrrp.batch(false, vec![], vec![]);
    lab.bridge.read_engine(Source::Vrrp);
    assert_eq!(answer(), Some((agent, 0, Value::Integer(120))));
}
