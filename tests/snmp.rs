//! The SNMP engine against net-snmp's tools: a responder asked by `snmpget`, `snmpwalk` and `snmpset`, and notifications heard
//! by `snmptrapd`. All over 127.0.0.1, as whoever runs the tests. Missing tools fail the tests; `make setup` installs them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::ops::Bound;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use keepwatch::bus::msg::{Command as Order, Reply};
use keepwatch::clock::{self, Instant};
use keepwatch::conf::model::{self, Access, AuthProtocol, Community, Priority, PrivacyProtocol, Secret, UsmUser};
use keepwatch::mib::table::SetError;
use keepwatch::mib::view::View;
use keepwatch::snmp::client::{Client, Heard};
use keepwatch::snmp::own::System;
use keepwatch::snmp::responder::{Action, Origin, Responder};
use keepwatch::snmp::usm::{Lane, LocalEngine, Salts, Usm};
use keepwatch::wire::oid::Oid;
use keepwatch::wire::snmp::{Message, Pdu, PduKind, TrapV1, V1Body, Value, VarBind, decode};

const AUTH: [(AuthProtocol, &str); 5] = [
    (AuthProtocol::Sha1, "SHA"),
    (AuthProtocol::Sha224, "SHA-224"),
    (AuthProtocol::Sha256, "SHA-256"),
    (AuthProtocol::Sha384, "SHA-384"),
    (AuthProtocol::Sha512, "SHA-512"),
];
const ENGINE_ID: [u8; 13] = [0x80, 0, 0x25, 0x72, 5, 1, 2, 3, 4, 5, 6, 7, 8];
const ROOT: &str = ".1.3.6.1.4.1.9586.100.5";

/// Variables, the last sub-identifier of whose names is their number. Integers can be set.
#[derive(Clone)]
struct Numbers(Arc<Mutex<BTreeMap<Oid, Value>>>);

impl View for Numbers {
    fn get(&self, name: &Oid) -> Value {
        self.0.lock().unwrap().get(name).cloned().unwrap_or(Value::NoSuchInstance)
    }

    fn next(&self, name: &Oid, include: bool, _: &Oid) -> Option<VarBind> {
        let from = if include { Bound::Included(name) } else { Bound::Excluded(name) };
        let all = self.0.lock().unwrap();
        all.range((from, Bound::Unbounded)).next().map(|(name, value)| VarBind::new(name.clone(), value.clone()))
    }

    fn test_set(&self, varbind: &VarBind) -> Result<Order, SetError> {
        match (self.get(&varbind.name), &varbind.value) {
            (Value::Integer(_), Value::Integer(number)) => {
                let priority = u8::try_from(*number).ok().and_then(Priority::new).ok_or(SetError::WrongValue)?;
                Ok(Order::SetPriority { instance: varbind.name.to_string().as_str().into(), priority })
            }
            (Value::Integer(_), _) => Err(SetError::WrongType),
            _ => Err(SetError::NotWritable),
        }
    }
}

/// Datagrams as they came, and as our codec writes them.
type Changed = Arc<Mutex<Vec<(Vec<u8>, Vec<u8>)>>>;

/// A responder on a port of its own, and who carries its commands out.
struct Agent {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// A datagram of net-snmp that did not come back from our codec as it was.
    changed: Changed,
}

impl Agent {
    fn start(numbers: Numbers) -> Agent {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("its address");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time-out");
        let stop = Arc::new(AtomicBool::new(false));
        let changed = Arc::new(Mutex::new(vec![]));
        let thread = {
            let (stop, changed) = (stop.clone(), changed.clone());
            std::thread::spawn(move || serve(&socket, &numbers, &stop, &changed))
        };
        Agent { address, stop, thread: Some(thread), changed }
    }

    /// What a tool says on success, and on failure.
    fn tool(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let address = format!("udp:{}", self.address);
        let mut all = vec!["-Onet", "-t", "10", "-r", "0"];
        // Names behind the agent's address.
        let names = arguments.iter().position(|argument| argument.starts_with(".1.")).unwrap_or(arguments.len());
        all.extend(&arguments[..names]);
        all.push(&address);
        all.extend(&arguments[names..]);
        run(program, &all)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the responder's thread failed");
            assert_eq!(*self.changed.lock().unwrap(), [], "net-snmp's datagrams and ours are the same, octet by octet");
        }
    }
}

fn serve(socket: &UdpSocket, numbers: &Numbers, stop: &AtomicBool, changed: &Mutex<Vec<(Vec<u8>, Vec<u8>)>>) {
    let mut responder = Responder::new(&settings(), &users(), engine());
    responder.describe(System { name: "lb1".to_owned(), ..System::default() });
    let mut buffer = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let datagram = &buffer[..length];
        if let Ok(message) = decode(datagram)
            && message.encode() != datagram
        {
            changed.lock().unwrap().push((datagram.to_vec(), message.encode()));
        }
        let mut actions = responder.handle(datagram, Origin { socket: 0, from }, numbers, clock::now());
        while let Some(action) = actions.pop() {
            match action {
                Action::Send { to, datagram } => {
                    socket.send_to(&datagram, to.from).expect("the answer is sent");
                }
                Action::Command { token, command } => {
                    let Order::SetPriority { instance, priority } = &command else { panic!("{command:?}") };
                    let name: Oid = instance.0.parse().expect("a name");
                    numbers.0.lock().unwrap().insert(name, Value::Integer(priority.get().into()));
                    let done = Reply::Done { undo: command, visible_at: 0 };
                    actions.extend(responder.reply(token, done, clock::now()));
                }
            }
        }
    }
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .env("MIBS", "")
        .env("SNMPCONFPATH", "/nonexistent")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}. These tests need net-snmp's tools: make setup"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr) + &text(output.stdout)) }
}

fn engine() -> LocalEngine {
    LocalEngine { id: ENGINE_ID.to_vec(), boots: 3, started: Instant::from_nanos(0) }
}

/// One user for each digest, who encrypts, too; one who only signs; one without keys.
fn users() -> Vec<UsmUser> {
    let phrase = |text: &str| Secret(text.to_owned());
    let mut users: Vec<UsmUser> = AUTH
        .iter()
        .map(|(protocol, name)| UsmUser {
            name: (*name).to_owned(),
            auth: Some((*protocol, phrase("authentication"))),
            privacy: Some((PrivacyProtocol::Aes128, phrase("confidential"))),
        })
        .collect();
    users.push(UsmUser {
        name: "signer".to_owned(),
        auth: Some((AuthProtocol::Sha1, phrase("authentication"))),
        privacy: None,
    });
    users.push(UsmUser { name: "nobody".to_owned(), auth: None, privacy: None });
    users
}

fn settings() -> model::Responder {
    let community = |name: &str, write| Community { name: Secret(name.to_owned()), write, networks: vec![] };
    let access = |user: &UsmUser| Access { user: user.name.clone(), write: user.name == "SHA-256" };
    model::Responder {
        listen: vec![],
        communities: vec![community("public", false), community("private", true)],
        users: users().iter().map(access).collect(),
    }
}

fn numbered(values: Vec<Value>) -> Numbers {
    let root: Oid = ROOT.parse().expect("an OID");
    let named = (1..).zip(values).map(|(number, value)| (root.with(&[number, 0]), value));
    Numbers(Arc::new(Mutex::new(named.collect())))
}

fn every_type() -> Numbers {
    numbered(vec![
        Value::Integer(-42),
        Value::text("text"),
        Value::ObjectIdentifier(Oid::new(&[0, 0])),
        Value::ObjectIdentifier(Oid::new(&[1, 3, 6, 4_294_967_295])),
        Value::IpAddress(vec![192, 0, 2, 1]),
        Value::Counter32(u32::MAX),
        Value::Gauge32(128),
        Value::TimeTicks(1234),
        Value::Counter64(u64::MAX),
        Value::Integer(i32::MIN),
    ])
}

const EVERY_TYPE: [&str; 10] = [
    "INTEGER: -42",
    "STRING: \"text\"",
    "OID: .0.0",
    "OID: .1.3.6.4294967295",
    "IpAddress: 192.0.2.1",
    "Counter32: 4294967295",
    "Gauge32: 128",
    "1234",
    "Counter64: 18446744073709551615",
    "INTEGER: -2147483648",
];

fn v3<'a>(user: &'a str, auth: &'a str, level: &'a str) -> Vec<&'a str> {
    vec!["-v3", "-u", user, "-l", level, "-a", auth, "-A", "authentication", "-x", "AES", "-X", "confidential"]
}

#[test]
fn every_type_is_read_as_it_is() {
    let agent = Agent::start(every_type());
    let walked = agent.tool("snmpwalk", &["-v2c", "-c", "public", ROOT]).unwrap();
    let expected: Vec<String> =
        (1..).zip(EVERY_TYPE).map(|(number, text)| format!("{ROOT}.{number}.0 = {text}")).collect();
    assert_eq!(walked.lines().collect::<Vec<_>>(), expected);
    let bulk = agent.tool("snmpbulkwalk", &["-v2c", "-c", "public", "-Cr100", ROOT]).unwrap();
    assert_eq!(bulk, walked);
    let without_counter64: Vec<&String> = expected.iter().filter(|line| !line.contains("Counter64")).collect();
    let walked = agent.tool("snmpwalk", &["-v1", "-c", "public", ROOT]).unwrap();
    assert_eq!(walked.lines().collect::<Vec<_>>(), without_counter64);
}

#[test]
fn users_of_every_digest_are_answered_at_their_level() {
    let agent = Agent::start(every_type());
    let name = format!("{ROOT}.2.0");
    let expected = format!("{name} = STRING: \"text\"\n");
    for (_, auth) in AUTH {
        let arguments = [&v3(auth, auth, "authPriv")[..], &[&name]].concat();
        assert_eq!(agent.tool("snmpget", &arguments), Ok(expected.clone()), "{auth}");
    }
    let arguments = [&v3("signer", "SHA", "authNoPriv")[..], &[&name]].concat();
    assert_eq!(agent.tool("snmpget", &arguments), Ok(expected.clone()));
    let arguments = ["-v3", "-u", "nobody", "-l", "noAuthNoPriv", &name];
    assert_eq!(agent.tool("snmpget", &arguments), Ok(expected));
}

#[test]
fn net_snmp_understands_why_it_is_refused() {
    let agent = Agent::start(every_type());
    let name = format!("{ROOT}.2.0");
    let refused =
        |arguments: Vec<&str>| agent.tool("snmpget", &[&arguments[..], &[&name]].concat()).expect_err("refused");
    let wrong_key = refused(vec!["-v3", "-u", "signer", "-l", "authNoPriv", "-a", "SHA", "-A", "something else"]);
    assert!(wrong_key.contains("Authentication failure"), "{wrong_key}");
    let stranger = refused(v3("stranger", "SHA", "authPriv"));
    assert!(stranger.contains("Unknown user name"), "{stranger}");
    let level = refused(v3("signer", "SHA", "authPriv"));
    assert!(level.contains("Unsupported security level"), "{level}");
    let too_low = refused(v3("SHA-256", "SHA-256", "authNoPriv"));
    assert!(too_low.contains("authorizationError"), "{too_low}");
    let context = refused([v3("SHA-256", "SHA-256", "authPriv"), vec!["-n", "other"]].concat());
    assert!(context.contains("1.3.6.1.6.3.12.1.5.0") || context.contains("context"), "{context}");
}

#[test]
fn a_walk_of_five_thousand_variables_in_version_3_loses_none() {
    let agent = Agent::start(numbered((0..5000).map(Value::Gauge32).collect()));
    let arguments = [&v3("SHA-256", "SHA-256", "authPriv")[..], &["-Cr2000", ROOT]].concat();
    let walked = agent.tool("snmpbulkwalk", &arguments).unwrap();
    let expected: String = (0..5000).map(|number| format!("{ROOT}.{}.0 = Gauge32: {number}\n", number + 1)).collect();
    assert_eq!(walked, expected);
}

#[test]
fn the_agent_shows_itself() {
    let agent = Agent::start(every_type());
    let walked = agent.tool("snmpwalk", &["-v2c", "-c", "public", ".1.3.6.1.2.1"]).unwrap();
    assert!(walked.contains(".1.3.6.1.2.1.1.5.0 = STRING: \"lb1\"\n"), "{walked}");
    let engine = agent.tool("snmpget", &["-v2c", "-c", "public", ".1.3.6.1.6.3.10.2.1.1.0"]).unwrap();
    assert!(engine.contains("Hex-STRING: 80 00 25 72 05 01 02 03 04 05 06 07 08"), "{engine}");
}

#[test]
fn who_may_write_sets_and_others_are_told_why_not() {
    let agent = Agent::start(every_type());
    let name = format!("{ROOT}.1.0");
    let set = |who: &[&str], kind: &str, value: &str| agent.tool("snmpset", &[who, &[&name, kind, value]].concat());
    let private = ["-v2c", "-c", "private"];
    assert_eq!(set(&private, "i", "7"), Ok(format!("{name} = INTEGER: 7\n")));
    assert_eq!(agent.tool("snmpget", &["-v2c", "-c", "public", &name]), Ok(format!("{name} = INTEGER: 7\n")));
    assert!(set(&v3("SHA-256", "SHA-256", "authPriv"), "i", "8").is_ok());
    let told = |result: Result<String, String>, reason: &str| {
        let text = result.expect_err("refused");
        assert!(text.contains(reason), "{text}");
    };
    told(set(&["-v2c", "-c", "public"], "i", "9"), "noAccess");
    told(set(&["-v1", "-c", "public"], "i", "9"), "noSuchName");
    told(set(&v3("SHA-512", "SHA-512", "authPriv"), "i", "9"), "noAccess");
    told(set(&private, "s", "text"), "wrongType");
    told(set(&private, "i", "300"), "wrongValue");
    assert_eq!(agent.tool("snmpget", &["-v2c", "-c", "public", &name]), Ok(format!("{name} = INTEGER: 8\n")));
}

/// `snmptrapd`, and the lines that it writes.
struct Trapd {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
    _directory: tempfile::TempDir,
}

impl Trapd {
    fn start() -> Trapd {
        let directory = tempfile::tempdir().expect("a directory");
        let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let engine: String = ENGINE_ID.iter().map(|octet| format!("{octet:02x}")).collect();
        let mut configuration = "authCommunity log public\nformat1 V1 %W %N %w %q %v\\n\nformat2 V2 %v\\n\n".to_owned();
        for (_, auth) in AUTH {
            let keys = format!("{auth} {auth} authentication AES confidential\nauthUser log {auth}\n");
            // For traps we are the authority, for informs snmptrapd is.
            configuration += &format!("createUser -e 0x{engine} {keys}createUser {keys}");
        }
        let file = directory.path().join("snmptrapd.conf");
        std::fs::write(&file, configuration).expect("its configuration");
        let mut child = Command::new("snmptrapd")
            .args(["-f", "-Lo", "-On", "-Oe", "-C", "-c"])
            .arg(&file)
            .args(["-x", "/nonexistent", &format!("udp:{free}")])
            .env("SNMP_PERSISTENT_DIR", directory.path())
            .env("MIBS", "")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("snmptrapd: {error}. These tests need net-snmp: make setup"));
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let trapd = Trapd { child, address: free, lines, _directory: directory };
        trapd.wait_until_it_listens();
        trapd
    }

    fn wait_until_it_listens(&self) {
        let socket = self.socket();
        let inform = Pdu::notification(PduKind::Inform, 1, 0, &oid("1.3.6.1.4.1.9586.1"), &[]);
        let datagram = Message::V2c { community: b"public".to_vec(), pdu: inform }.encode();
        let answered = (0..100).any(|_| {
            let _ = socket.send(&datagram);
            let answered = socket.recv(&mut [0; 1500]).is_ok();
            if !answered {
                std::thread::sleep(Duration::from_millis(50));
            }
            answered
        });
        assert!(answered, "snmptrapd does not answer");
        self.line("9586.1");
    }

    fn socket(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(self.address).expect("an address");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
        socket
    }

    /// The next line with this in it.
    #[track_caller]
    fn line(&self, part: &str) -> String {
        let mut seen = vec![];
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(10)) {
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line with {part} among {seen:#?}");
    }
}

impl Drop for Trapd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn oid(text: &str) -> Oid {
    text.parse().expect("an OID")
}

fn transition() -> (Oid, Vec<VarBind>) {
    let name = VarBind::new(oid("1.3.6.1.4.1.9586.100.5.2.3.1.2.1"), Value::text("VI_1"));
    let state = VarBind::new(oid("1.3.6.1.4.1.9586.100.5.2.3.1.4.1"), Value::Integer(2));
    (oid("1.3.6.1.4.1.9586.100.5.2.10.0.2"), vec![name, state])
}

#[test]
fn traps_of_every_version_arrive() {
    let trapd = Trapd::start();
    let socket = trapd.socket();
    let (trap, varbinds) = transition();
    let community = b"public".to_vec();

    let v1 = TrapV1::from_v2(&trap, &varbinds, 77, [127, 0, 0, 1].into()).expect("no Counter64");
    socket.send(&Message::V1 { community: community.clone(), body: V1Body::Trap(v1) }.encode()).unwrap();
    let line = trapd.line("V1 ");
    assert!(line.contains(".1.3.6.1.4.1.9586.100.5.2.10") && line.contains(" 6 .2 "), "{line}");

    let pdu = |kind| Pdu::notification(kind, 5, 77, &trap, &varbinds);
    let expected = |line: &str| {
        assert!(line.contains(".1.3.6.1.6.3.1.1.4.1.0 = OID: .1.3.6.1.4.1.9586.100.5.2.10.0.2"), "{line}");
        assert!(line.contains(".1.3.6.1.4.1.9586.100.5.2.3.1.2.1 = STRING: \"VI_1\""), "{line}");
    };
    socket.send(&Message::V2c { community, pdu: pdu(PduKind::TrapV2) }.encode()).unwrap();
    expected(&trapd.line("V2 "));

    let mut usm = Usm::new(engine(), &users(), Lane::Notifications);
    for (number, (_, auth)) in (1..).zip(AUTH) {
        socket.send(&usm.trap(auth, number, pdu(PduKind::TrapV2), clock::now()).expect("a user")).unwrap();
        expected(&trapd.line("V2 "));
    }
}

#[test]
fn informs_of_version_3_find_the_receiver_out_and_are_answered() {
    let trapd = Trapd::start();
    let (trap, varbinds) = transition();
    for user in users().iter().take(AUTH.len()) {
        let socket = trapd.socket();
        let mut client = Client::new(user, Salts::new(3, Lane::Notifications), 12345);
        for request_id in [1, 2] {
            let inform = Pdu::notification(PduKind::Inform, request_id, 77, &trap, &varbinds);
            let mut datagram = client.message(inform, clock::now());
            let answer = loop {
                socket.send(&datagram).unwrap();
                let mut buffer = [0; 1500];
                let length = socket.recv(&mut buffer).expect("something comes back");
                match client.handle(&buffer[..length], clock::now()) {
                    Heard::Again(again) => datagram = again,
                    Heard::Answer(pdu) => break pdu,
                    other => panic!("{}: {other:?}", user.name),
                }
            };
            assert_eq!((answer.request_id, answer.error_status), (request_id, 0), "{}", user.name);
            trapd.line("VI_1");
        }
    }
}

#[test]
fn a_receiver_with_another_key_says_so() {
    let trapd = Trapd::start();
    let socket = trapd.socket();
    let mut user = users().remove(0);
    user.auth = Some((AuthProtocol::Sha1, Secret("something else".to_owned())));
    let mut client = Client::new(&user, Salts::new(3, Lane::Notifications), 12345);
    let (trap, varbinds) = transition();
    let mut datagram = client.message(Pdu::notification(PduKind::Inform, 1, 77, &trap, &varbinds), clock::now());
    let heard = loop {
        socket.send(&datagram).unwrap();
        let mut buffer = [0; 1500];
        let length = socket.recv(&mut buffer).expect("something comes back");
        match client.handle(&buffer[..length], clock::now()) {
            Heard::Again(again) => datagram = again,
            heard => break heard,
        }
    };
    assert_eq!(heard, Heard::Refused("wrong digest"));
}
