//! The bridge between two engines that we play.

use std::net::{SocketAddr, UdpSocket};

use tokio::sync::oneshot;

use super::*;
use crate::agentx::Token;
use crate::bus::frame::{self, Packer};
use crate::bus::msg::{Command, Edge, Feed, Generation, QuorumStatus, Reply, ToBridge, ToEngine};
use crate::bus::rows::{Row, RowKey};
use crate::bus::timing::{Deliveries, RunnerPulse};
use crate::clock::WallTime;
use crate::conf::model::{Community, Responder, Secret};
use crate::mib::fixture;
use crate::snmp::engine::Kept;
use crate::sys::seqpacket::{FRAME_MAX, Received, Sent, Seqpacket};
use crate::sys::udp;
use crate::wire::snmp::{Message, Pdu, PduKind, Value, VarBind, decode as decode_snmp};

/// A bridge, its supervisor's end, and the engines' ends of their sockets.
pub(super) struct Lab {
    pub(super) bridge: Bridge,
    _supervisor: Channel,
}

/// One engine's end.
pub(super) struct Engine {
    socket: Seqpacket,
    generation: Generation,
}

pub(super) fn both() -> Config {
    let mut config = Config { has_virtual_servers: true, ..Config::default() };
    config.instances.push(fixture::instance("VI_1"));
    config
}

pub(super) fn lab(config: Config) -> Lab {
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
    pub(super) fn filled(&mut self, source: Source) -> Engine {
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
async fn what_runners_have_done_stays_done_when_one_takes_the_place_of_another() {
    let mut lab = lab(both());
    assert_eq!(lab.bridge.look().runner, None);
    let pulse = |at, sent, waiting| RunnerPulse {
        at: WallTime(at),
        scripts: Deliveries { sent, waiting, ..Deliveries::default() },
        ..RunnerPulse::default()
    };
    let say =
        |runner: &Seqpacket, pulse| assert_eq!(runner.send(&frame::encode(&pulse).unwrap(), &[]).unwrap(), Sent::Yes);
    let (first, theirs) = Seqpacket::pair().unwrap();
    lab.bridge.told(ToChild::Peer(Role::Runner), Some(theirs.into_fd()));
    say(&first, pulse(1, 3, 2));
    lab.bridge.runner.read();
    assert_eq!(lab.bridge.look().runner, Some(pulse(1, 3, 2)));
    // Its last words are there, too.
    say(&first, pulse(2, 4, 5));
    drop(first);
    let (second, theirs) = Seqpacket::pair().unwrap();
    lab.bridge.told(ToChild::Peer(Role::Runner), Some(theirs.into_fd()));
    assert_eq!(lab.bridge.look().runner, Some(pulse(2, 4, 0)));
    say(&second, pulse(3, 1, 0));
    lab.bridge.runner.read();
    assert_eq!(lab.bridge.look().runner, Some(pulse(3, 5, 0)));
    // It is never spoken to, and one that speaks nonsense is not listened to.
    second.send(&[0xff; 40], &[]).unwrap();
    lab.bridge.runner.read();
    assert!(matches!(second.receive(&mut vec![0; FRAME_MAX]), Ok(Received::Gone)));
    assert_eq!(lab.bridge.look().runner, Some(pulse(3, 5, 0)));
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

const ANYWHERE: &str = "127.0.0.1:0";

fn answering(communities: &[&str]) -> Config {
    let mut config = both();
    config.global.snmp = fixture::snmp();
    let community = |name: &&str| Community { name: Secret((*name).to_owned()), write: true, networks: vec![] };
    let communities = communities.iter().map(community).collect();
    let listen = vec![ANYWHERE.parse().unwrap()];
    config.settings.snmp.responder = Some(Responder { listen, communities, users: vec![] });
    config
}

/// Who asks a responder.
struct Manager {
    socket: UdpSocket,
    agent: SocketAddr,
}

impl Manager {
    /// With a bridge whose responder has begun.
    async fn new() -> (Lab, Manager) {
        let address = ANYWHERE.parse().unwrap();
        let mut lab = lab(answering(&["private"]));
        let mut asked = vec![];
        while let Some((message, _)) = lab._supervisor.receive::<ToSupervisor>().unwrap() {
            asked.push(message);
        }
        assert!(asked.contains(&ToSupervisor::Listen { address }) && asked.contains(&ToSupervisor::OpenState));
        let agent = UdpSocket::from(udp::bound(address).unwrap());
        let at = agent.local_addr().unwrap();
        lab.bridge.listening(address, Ok(agent.into()));
        lab.bridge.state_opened(Ok(tempfile::tempfile().unwrap().into()));
        let counted = lab.bridge.counting.take().expect("the engine is counted").await;
        lab.bridge.engine_counted(counted);
        let socket = UdpSocket::bind(ANYWHERE).unwrap();
        socket.set_nonblocking(true).unwrap();
        (lab, Manager { socket, agent: at })
    }

    async fn ask(&self, lab: &mut Lab, kind: PduKind, value: Value) {
        let name = "1.3.6.1.4.1.9586.100.5.2.3.1.7.1".parse().unwrap();
        let pdu = Pdu::new(kind, 7, vec![VarBind::new(name, value)]);
        let bytes = Message::V2c { community: b"private".to_vec(), pdu }.encode();
        self.socket.send_to(&bytes, self.agent).unwrap();
        let sockets = lab.bridge.direct.readable().await;
        sockets.into_iter().for_each(|socket| lab.bridge.read_datagrams(socket));
    }

    /// Error and value.
    fn answer(&self) -> Option<(i32, Value)> {
        let mut buffer = [0; 1500];
        let (length, from) = self.socket.recv_from(&mut buffer).ok()?;
        assert_eq!(from, self.agent);
        let Ok(Message::V2c { pdu, .. }) = decode_snmp(&buffer[..length]) else { panic!("an answer") };
        Some((pdu.error_status, pdu.varbinds[0].value.clone()))
    }
}

#[tokio::test]
async fn the_responder_answers_from_the_store_and_a_set_goes_to_its_owner_and_is_answered_when_it_can_be_read() {
    let (mut lab, manager) = Manager::new().await;
    let mut vrrp = lab.filled(Source::Vrrp);
    manager.ask(&mut lab, PduKind::Get, Value::Null).await;
    let (error, value) = manager.answer().expect("an answer at once");
    assert!(error == 0 && matches!(value, Value::Integer(_)), "{error} {value:?}");

    manager.ask(&mut lab, PduKind::Set, Value::Integer(120)).await;
    let [ToEngine::Command { request, command }] = &vrrp.heard()[..] else { panic!("one command") };
    assert_eq!(command, &set_priority());
    let reply = Reply::Done { undo: set_priority(), visible_at: 2 };
    vrrp.say(vec![ToBridge::Reply { request: *request, reply }]);
    lab.bridge.read_engine(Source::Vrrp);
    assert_eq!(manager.answer(), None, "nobody could read it yet");
    vrrp.batch(false, vec![], vec![]);
    lab.bridge.read_engine(Source::Vrrp);
    assert_eq!(manager.answer(), Some((0, Value::Integer(120))));
}

/// commitFailed.
const FAILED: i32 = 14;

#[tokio::test]
async fn a_set_over_udp_that_nobody_will_carry_out_fails_at_once() {
    let (mut lab, manager) = Manager::new().await;
    let vrrp = lab.filled(Source::Vrrp);
    manager.ask(&mut lab, PduKind::Set, Value::Integer(120)).await;
    drop(vrrp);
    lab.bridge.read_engine(Source::Vrrp);
    assert_eq!(manager.answer(), None, "it may have been heard");
    let vrrp = lab.filled(Source::Vrrp);
    assert_eq!(manager.answer(), Some((FAILED, Value::Integer(120))), "asked of the process before");
    drop(vrrp);
    lab.bridge.read_engine(Source::Vrrp);
    manager.ask(&mut lab, PduKind::Set, Value::Integer(121)).await;
    lab.bridge.refuse_lost();
    assert_eq!(manager.answer(), Some((FAILED, Value::Integer(121))), "there is no process");
    // One that does not read.
    let vrrp = lab.filled(Source::Vrrp);
    while lab.bridge.engines.waiting().len() < 1000 && lab.bridge.engines.lost().is_empty() {
        lab.bridge.command(Token(1), set_priority());
    }
    assert_eq!(lab.bridge.engines.lost(), [Token(1)], "what it was not told");
    lab.bridge.refuse_lost();
    manager.ask(&mut lab, PduKind::Set, Value::Integer(122)).await;
    lab.bridge.refuse_lost();
    assert_eq!(manager.answer(), Some((FAILED, Value::Integer(122))));
    drop(vrrp);
}

#[tokio::test]
async fn an_answer_to_a_set_from_before_a_reload_is_not_taken_for_one_to_a_set_behind_it() {
    let (mut lab, manager) = Manager::new().await;
    let vrrp = lab.filled(Source::Vrrp);
    manager.ask(&mut lab, PduKind::Set, Value::Integer(120)).await;
    let [ToEngine::Command { request: first, .. }] = &vrrp.heard()[..] else { panic!("one command") };
    lab.bridge.configure(&answering(&["public", "private"]));
    manager.ask(&mut lab, PduKind::Set, Value::Integer(121)).await;
    assert_eq!(vrrp.heard(), [], "the same object waits for what may have to be taken back");
    let reply = Reply::Refused(crate::bus::msg::Refusal::NoSuchInstance);
    vrrp.say(vec![ToBridge::Reply { request: *first, reply }]);
    lab.bridge.read_engine(Source::Vrrp);
    assert_eq!(manager.answer(), None, "neither is answered by that");
    let [ToEngine::Command { request: second, .. }] = &vrrp.heard()[..] else { panic!("now it is asked for") };
    assert_ne!(first, second);
    vrrp.say(vec![ToBridge::Reply { request: *second, reply: Reply::Done { undo: set_priority(), visible_at: 1 } }]);
    lab.bridge.read_engine(Source::Vrrp);
    assert_eq!(manager.answer(), Some((0, Value::Integer(121))));
}

#[tokio::test]
async fn a_socket_that_is_open_stays_when_an_earlier_question_is_answered_with_an_error() {
    let (mut lab, manager) = Manager::new().await;
    let _vrrp = lab.filled(Source::Vrrp);
    lab.bridge.listening(ANYWHERE.parse().unwrap(), Err(std::io::Error::from_raw_os_error(libc::EADDRINUSE)));
    assert!(lab.bridge.direct.listening[0].error.is_none());
    manager.ask(&mut lab, PduKind::Get, Value::Null).await;
    assert!(manager.answer().is_some());
}

#[tokio::test]
async fn a_supervisor_that_cannot_be_asked_for_a_socket_is_asked_again_later() {
    let mut lab = lab(both());
    while lab.bridge.channel.send(&ToSupervisor::Dumped { number: 0 }, None).is_ok() {}
    lab.bridge.configure(&answering(&["private"]));
    assert!(lab.bridge.direct.deadline().is_some());
}

#[tokio::test]
async fn nobody_who_always_has_something_to_say_keeps_another_from_being_heard() {
    let (mut lab, manager) = Manager::new().await;
    let (mut vrrp, mut checks) = (lab.filled(Source::Vrrp), lab.filled(Source::Checks));
    // What nobody reads stays readable.
    vrrp.batch(false, vec![], vec![]);
    checks.batch(false, vec![], vec![]);
    manager.socket.send_to(b"x", manager.agent).unwrap();
    let mut woken = [0; 3];
    for _ in 0..400 {
        match lab.bridge.wait(lab.bridge.deadline()).await {
            Woken::Engine(Source::Vrrp) => woken[0] += 1,
            Woken::Engine(Source::Checks) => woken[1] += 1,
            Woken::Datagrams(_) => woken[2] += 1,
            _ => {}
        }
    }
    assert!(woken.iter().all(|turns| *turns > 0), "{woken:?}");
}

#[test]
fn an_engine_that_cannot_be_kept_is_another_one_at_each_start() {
    use std::fs::File;
    use std::io::Write;

    use super::direct::count;

    let mut kept = tempfile::NamedTempFile::new().unwrap();
    let before = Kept { id: vec![7; 8], boots: 3 };
    kept.write_all(before.file().as_bytes()).unwrap();
    let read_only = || Some(File::open(kept.path()).unwrap());
    let now = 1_800_000_000;
    let counted = count(read_only(), None, now, vec![]);
    assert_eq!(counted.notices.len(), 1);
    assert_ne!(counted.kept.id, before.id);
    assert_ne!(counted.kept.id, count(read_only(), None, now, vec![]).kept.id);
    let boots = |now| count(read_only(), Some(&[7; 8]), now, vec![]).kept.boots;
    assert!(boots(now) > 1_000_000 && boots(now + 1) == boots(now) + 1);
    let writable = || Some(File::options().read(true).write(true).open(kept.path()).unwrap());
    assert_eq!(count(writable(), None, now, vec![]).kept, Kept { id: vec![7; 8], boots: 4 });
    assert_eq!(count(writable(), None, now, vec![]).kept, Kept { id: vec![7; 8], boots: 5 });
}

/// What the supervisor has heard since it was asked last.
fn told_supervisor(lab: &mut Lab) -> Vec<ToSupervisor> {
    let mut all = vec![];
    while let Ok(Some((message, _))) = lab._supervisor.receive::<ToSupervisor>() {
        all.push(message);
    }
    all
}

#[tokio::test]
async fn a_socket_for_http_that_the_supervisor_has_released_is_asked_for_again() {
    let mut lab = lab(both());
    let endpoint = crate::export::look::Endpoint::Unix(None);
    let wanted = ToSupervisor::ListenStream { endpoint: endpoint.clone() };
    assert_eq!(told_supervisor(&mut lab).iter().filter(|message| **message == wanted).count(), 1);
    lab.bridge.configure(&both());
    assert!(!told_supervisor(&mut lab).contains(&wanted), "for the bridge nothing has changed");
    lab.bridge.stream_released(&endpoint);
    assert_eq!(told_supervisor(&mut lab), [wanted]);
    lab.bridge.stream_released(&crate::export::look::Endpoint::Unix(Some("/nowhere".into())));
    assert_eq!(told_supervisor(&mut lab), []);
}

#[tokio::test]
async fn a_supervisor_that_answers_late_gives_nobody_a_textfile_that_he_has_given_up() {
    let file = || Ok(std::os::fd::OwnedFd::from(tempfile::tempfile().unwrap()));
    let mut lab = lab(both());
    let (tell, late) = oneshot::channel();
    lab.bridge.want_textfile(tell);
    drop(late);
    let (tell, mut second) = oneshot::channel();
    lab.bridge.want_textfile(tell);
    told_supervisor(&mut lab);
    lab.bridge.textfile_opened(1, file());
    assert!(second.try_recv().is_err(), "the supervisor throws the first away as it makes the second");
    lab.bridge.textfile_opened(2, file());
    assert!(second.try_recv().unwrap().is_ok());
    lab.bridge.textfile_is_whole();
    assert_eq!(told_supervisor(&mut lab), [ToSupervisor::TextfileDone { number: 2 }]);
}

#[tokio::test]
async fn who_asks_for_a_reload_that_the_supervisor_does_not_hear_of_is_told_and_the_next_has_an_answer() {
    let mut lab = lab(both());
    while lab.bridge.channel.send(&ToSupervisor::Dumped { number: 0 }, None).is_ok() {}
    let (tell, mut told) = oneshot::channel();
    lab.bridge.reload(tell);
    assert_eq!(told.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    loop {
        told_supervisor(&mut lab);
        lab.bridge.channel.flush().unwrap();
        if !lab.bridge.channel.wants_write() {
            break;
        }
    }
    told_supervisor(&mut lab);
    let (tell, mut told) = oneshot::channel();
    lab.bridge.reload(tell);
    assert_eq!(told_supervisor(&mut lab), [ToSupervisor::Reload { request: 2 }]);
    let reload = crate::export::look::ReloadReport { successful: true, ..Default::default() };
    lab.bridge.reloads.told(&[2], &reload);
    assert!(told.try_recv().unwrap().successful);
}

#[tokio::test]
async fn a_safe_reload_is_done_when_its_plan_does_no_harm_and_one_is_asked_for_at_a_time() {
    use crate::conf::plan::{Consequence, Plan};
    use crate::process::control::Planned;
    use crate::sys::memfd;

    let left = |plan: &Plan| {
        let file = memfd::create("test").unwrap();
        let mut writer = std::fs::File::from(file.try_clone().unwrap());
        std::io::Write::write_all(&mut writer, &postcard::to_stdvec(plan).unwrap()).unwrap();
        memfd::seal(file.as_fd()).unwrap();
        Some(file)
    };
    let mut lab = lab(both());
    told_supervisor(&mut lab);
    let ask = |lab: &mut Lab, safe| {
        let (tell, told) = oneshot::channel();
        lab.bridge.want_plan(safe, tell);
        told
    };
    let mut first = ask(&mut lab, true);
    let mut second = ask(&mut lab, true);
    let mut third = ask(&mut lab, false);
    assert_eq!(told_supervisor(&mut lab), [ToSupervisor::Plan { number: 1, keep: true }]);

    // An answer to a question that nobody has asked is none.
    lab.bridge.planned(9, 0, None, left(&Plan::default()));
    assert!(first.try_recv().is_err());
    lab.bridge.planned(1, 0, None, left(&Plan::default()));
    let Planned::Does(mut done) = first.try_recv().unwrap() else { panic!("it does no harm") };
    let settle = ToSupervisor::Settle { number: 1, request: Some(1) };
    assert_eq!(told_supervisor(&mut lab), [settle, ToSupervisor::Plan { number: 2, keep: true }]);
    let reload = crate::export::look::ReloadReport { successful: true, ..Default::default() };
    lab.bridge.reloads.told(&[1], &reload);
    assert!(done.try_recv().unwrap().successful);

    let gone = Consequence::AddressRemoved { instance: None, address: "192.0.2.7/24 dev eth0".to_owned() };
    lab.bridge.planned(2, 0, None, left(&Plan { changes: vec![], consequences: vec![gone] }));
    let Planned::Would(plan) = second.try_recv().unwrap() else { panic!("an address leaves") };
    assert!(!plan.safe && plan.consequences[0].text.contains("192.0.2.7/24"));
    let settle = ToSupervisor::Settle { number: 2, request: None };
    assert_eq!(told_supervisor(&mut lab), [settle, ToSupervisor::Plan { number: 3, keep: false }]);

    lab.bridge.planned(3, 0, Some("error: a\n".to_owned()), None);
    let Planned::Would(plan) = third.try_recv().unwrap() else { panic!("nothing was to be done") };
    assert_eq!((plan.errors.as_str(), plan.safe), ("error: a\n", false));
}
