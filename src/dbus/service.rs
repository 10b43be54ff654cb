//! One connection to a bus.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::wire::{Body, Incomplete, Kind, MESSAGE_MAX, Message};
use crate::bus::rows::{InstanceRow, State};
use crate::conf::model::{Family, InstanceName};
use crate::store::Snapshot;

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PEER: &str = "org.freedesktop.DBus.Peer";
const VRRP: &str = "org.keepalived.Vrrp1.Vrrp";
const INSTANCE: &str = "org.keepalived.Vrrp1.Instance";
const ROOT: &str = "/org/keepalived/Vrrp1";

/// `dbus_service_name` and `dbus_no_interface_name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub name: String,
    pub no_interface: String,
    /// As whom this process says it has connected: the bus asks the kernel whether that is so.
    pub user: u32,
}

/// What a caller wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    PrintData,
    PrintStats,
    PrintStatsClear,
    Reload,
    SendGarp(InstanceName),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The bus is to accept who we are.
    Auth,
    /// These calls are to be answered.
    Hello(u32),
    Name(u32),
    Up,
    Over,
}

#[derive(Debug)]
pub struct Service {
    settings: Settings,
    stage: Stage,
    received: Vec<u8>,
    /// Bytes of a message that is too long.
    skip: usize,
    serial: u32,
    out: Vec<u8>,
    asks: Vec<Ask>,
    /// Why it is over.
    trouble: Option<String>,
}

impl Service {
    /// A connection that has just come about. [`Self::take_output`] says what to write first.
    pub fn new(settings: Settings) -> Service {
        let user = settings.user.to_string();
        let user: String = user.bytes().map(|digit| format!("{digit:02x}")).collect();
        Service {
            settings,
            stage: Stage::Auth,
            received: Vec::new(),
            skip: 0,
            serial: 0,
            out: format!("\0AUTH EXTERNAL {user}\r\n").into_bytes(),
            asks: Vec::new(),
            trouble: None,
        }
    }

    /// What to write now.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// What callers want done, in their order.
    pub fn take_asks(&mut self) -> Vec<Ask> {
        std::mem::take(&mut self.asks)
    }

    /// The name is ours, and callers are answered.
    pub fn is_up(&self) -> bool {
        self.stage == Stage::Up
    }

    /// Why the connection is of no use any more.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Bytes from the bus; `snapshot` is what callers are told of.
    pub fn bytes(&mut self, bytes: &[u8], snapshot: &Snapshot) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.received.extend(bytes.get(skipped..).unwrap_or_default());
        if self.stage == Stage::Auth {
            self.authenticate();
        }
        while !matches!(self.stage, Stage::Auth | Stage::Over) {
            match Message::decode(&self.received) {
                Ok((message, size)) => {
                    self.received.drain(..size);
                    self.heard(&message, snapshot);
                }
                Err(Incomplete::More) => return,
                Err(Incomplete::Skip(size)) => {
                    let here = size.min(self.received.len());
                    self.received.drain(..here);
                    self.skip = size - here;
                }
                Err(Incomplete::Malformed) => self.end("the bus cannot be understood"),
            }
        }
    }

    /// Lines end in CR LF: `OK` and a number of the bus, or a refusal.
    fn authenticate(&mut self) {
        const LINE_MAX: usize = 1024;
        let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") else {
            if self.received.len() > LINE_MAX {
                self.end("the bus cannot be understood");
            }
            return;
        };
        let accepted = self.received.starts_with(b"OK ");
        self.received.drain(..end + 2);
        if !accepted {
            return self.end("the bus does not accept who we are");
        }
        self.out.extend(b"BEGIN\r\n");
        let serial = self.send(Message::call(BUS, BUS_PATH, BUS, "Hello"));
        self.stage = Stage::Hello(serial);
    }

    fn heard(&mut self, message: &Message, snapshot: &Snapshot) {
        match (self.stage, message.kind) {
            (Stage::Hello(serial), Kind::Return) if message.reply_to == Some(serial) => {
                // DBUS_NAME_FLAG_DO_NOT_QUEUE: two daemons of one name would take turns.
                const DO_NOT_QUEUE: u32 = 4;
                let body = Body::default().string(&self.settings.name).u32(DO_NOT_QUEUE);
                let serial = self.send(Message::call(BUS, BUS_PATH, BUS, "RequestName").with("su", body));
                self.stage = Stage::Name(serial);
            }
            (Stage::Name(serial), Kind::Return) if message.reply_to == Some(serial) => match message.number() {
                // PRIMARY_OWNER and ALREADY_OWNER.
                Some(1 | 4) => self.stage = Stage::Up,
                _ => self.end(&format!("somebody else has the name {}", self.settings.name)),
            },
            (Stage::Hello(serial) | Stage::Name(serial), Kind::Error) if message.reply_to == Some(serial) => {
                let why = message.strings::<1>().map(|[why]| why).or_else(|| message.error.clone()).unwrap_or_default();
                self.end(&why);
            }
            (Stage::Up, Kind::Signal) if message.member.as_deref() == Some("NameLost") => {
                let lost = message.strings::<1>().is_some_and(|[name]| name == self.settings.name);
                if lost && message.sender.as_deref() == Some(BUS) {
                    self.end("the name was taken away");
                }
            }
            (Stage::Up, Kind::Call) => {
                let answer = self.called(message, snapshot);
                if !message.no_reply {
                    self.send(answer);
                }
            }
            _ => {}
        }
    }

    fn called(&mut self, call: &Message, snapshot: &Snapshot) -> Message {
        let (path, member) = (call.path.as_deref().unwrap_or_default(), call.member.as_deref().unwrap_or_default());
        let object = self.object(path, snapshot);
        let unknown = || {
            let text = format!("there is no method {member} of this interface at {path}");
            Message::refusal(call, "org.freedesktop.DBus.Error.UnknownMethod", &text)
        };
        let done = Message::reply(call);
        match (call.interface.as_deref().unwrap_or_default(), member, object) {
            (PEER | "", "Ping", _) => done,
            (PEER, ..) => unknown(),
            (INTROSPECTABLE | "", "Introspect", object) => {
                let text = self.introspection(path, object.as_ref(), snapshot);
                done.with("s", Body::default().string(&text))
            }
            (_, _, Object::None) => {
                let text = format!("there is no object at {path}");
                Message::refusal(call, "org.freedesktop.DBus.Error.UnknownObject", &text)
            }
            (PROPERTIES, "Get", object) => self.get(call, object.row()).unwrap_or_else(|| {
                Message::refusal(call, "org.freedesktop.DBus.Error.InvalidArgs", "there is no such property")
            }),
            (PROPERTIES, "GetAll", object) => {
                let wanted = call.strings::<1>().is_some_and(|[interface]| interface == INSTANCE);
                let row = object.row().filter(|_| wanted);
                done.with("a{sv}", Body::default().array(|body| row.map_or(body.clone(), |row| properties(body, row))))
            }
            (PROPERTIES, "Set", _) => {
                Message::refusal(call, "org.freedesktop.DBus.Error.PropertyReadOnly", "properties cannot be set")
            }
            (VRRP | "", _, Object::Vrrp) => {
                self.asks.push(match member {
                    "PrintData" => Ask::PrintData,
                    "PrintStats" => Ask::PrintStats,
                    "PrintStatsClear" => Ask::PrintStatsClear,
                    "ReloadConfig" => Ask::Reload,
                    _ => return unknown(),
                });
                done
            }
            (INSTANCE | "", "SendGarp", Object::Instance(row)) => {
                self.asks.push(Ask::SendGarp(row.config.name.clone()));
                done
            }
            _ => unknown(),
        }
    }

    fn get(&self, call: &Message, row: Option<&InstanceRow>) -> Option<Message> {
        let ([interface, property], row) = (call.strings::<2>()?, row?);
        let body = match property.as_str() {
            _ if interface != INSTANCE => return None,
            "Name" => name(Body::default(), row),
            "State" => state(Body::default(), row),
            _ => return None,
        };
        Some(Message::reply(call).with("v", body))
    }

    fn object<'a>(&self, path: &str, snapshot: &'a Snapshot) -> Object<'a> {
        if path == format!("{ROOT}/Vrrp") {
            return Object::Vrrp;
        }
        let mut rows = snapshot.vrrp.instances.iter().map(|(_, row)| row);
        rows.find(|row| self.path(row) == path).map_or(Object::None, Object::Instance)
    }

    /// `/org/keepalived/Vrrp1/Instance/eth0/51/IPv4`.
    fn path(&self, row: &InstanceRow) -> String {
        let config = &row.config;
        let family = match config.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        let interface = config.interface.as_deref().unwrap_or(&self.settings.no_interface);
        format!("{ROOT}/Instance/{}/{}/{family}", element(interface), config.vrid)
    }

    fn introspection(&self, path: &str, object: Option<&Object<'_>>, snapshot: &Snapshot) -> String {
        let mut text = "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n \
                        \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n"
            .to_owned();
        if let Some(object) = object {
            text.push_str(STANDARD_XML);
            match object {
                Object::Vrrp => text.push_str(VRRP_XML),
                Object::Instance(_) => text.push_str(INSTANCE_XML),
                Object::None => {}
            }
        }
        let above = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let instances = snapshot.vrrp.instances.iter().map(|(_, row)| self.path(row));
        let all = instances.chain([format!("{ROOT}/Vrrp")]);
        let children: BTreeSet<String> =
            all.filter_map(|full| Some(full.strip_prefix(&above)?.split('/').next()?.to_owned())).collect();
        for child in children {
            // Writing to a String cannot fail; elements of paths need no escapes.
            let _ = writeln!(text, "  <node name=\"{child}\"/>");
        }
        text.push_str("</node>\n");
        text
    }

    /// The instance is in this state now.
    pub fn changed(&mut self, row: &InstanceRow, to: State) {
        let body = Body::default().u32(to as u32);
        let path = self.path(row);
        self.tell(Message::signal(&path, INSTANCE, "VrrpStatusChange").with("u", body));
        let row = InstanceRow { state: to, ..row.clone() };
        let changed = Body::default().string(INSTANCE).array(|body| state(body.structure().string("State"), &row));
        let body = changed.u32(0);
        self.tell(Message::signal(&path, PROPERTIES, "PropertiesChanged").with("sa{sv}as", body));
    }

    /// `VrrpStarted`, `VrrpReloaded` or `VrrpStopped`.
    pub fn happened(&mut self, what: &str) {
        self.tell(Message::signal(&format!("{ROOT}/Vrrp"), VRRP, what));
    }

    fn tell(&mut self, message: Message) {
        if self.is_up() {
            self.send(message);
        }
    }

    fn send(&mut self, message: Message) -> u32 {
        // Zero is no serial.
        self.serial = self.serial.wrapping_add(1).max(1);
        let bytes = Message { serial: self.serial, ..message }.encode();
        debug_assert!(bytes.len() <= MESSAGE_MAX || self.is_up());
        self.out.extend(bytes);
        self.serial
    }

    fn end(&mut self, why: &str) {
        self.stage = Stage::Over;
        self.trouble = Some(why.to_owned());
        self.received.clear();
    }
}

#[derive(Debug)]
enum Object<'a> {
    None,
    Vrrp,
    Instance(&'a InstanceRow),
}

impl Object<'_> {
    fn as_ref(&self) -> Option<&Self> {
        if matches!(self, Object::None) { None } else { Some(self) }
    }

    fn row(&self) -> Option<&InstanceRow> {
        match self {
            Object::Instance(row) => Some(row),
            Object::None | Object::Vrrp => None,
        }
    }
}

/// An element of an object's path has letters, digits and underscores only.
fn element(of: &str) -> String {
    of.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// As a variant. Keepalived says `s` in its interface, and answers with a structure.
fn name(body: Body, row: &InstanceRow) -> Body {
    body.variant("(s)").structure().string(&row.config.name.0)
}

fn state(body: Body, row: &InstanceRow) -> Body {
    let word = match row.state {
        State::Init => "Init",
        State::Backup => "Backup",
        State::Master => "Master",
        State::Fault => "Fault",
        State::Shutdown => "Stop",
        State::Deleted => "Deleted",
    };
    body.variant("(us)").structure().u32(row.state as u32).string(word)
}

fn properties(body: Body, row: &InstanceRow) -> Body {
    let body = name(body.structure().string("Name"), row);
    state(body.structure().string("State"), row)
}

const STANDARD_XML: &str = r#"  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg type="s" name="interface_name" direction="in"/>
      <arg type="s" name="property_name" direction="in"/>
      <arg type="v" name="value" direction="out"/>
    </method>
    <method name="GetAll">
      <arg type="s" name="interface_name" direction="in"/>
      <arg type="a{sv}" name="properties" direction="out"/>
    </method>
    <signal name="PropertiesChanged">
      <arg type="s" name="interface_name"/>
      <arg type="a{sv}" name="changed_properties"/>
      <arg type="as" name="invalidated_properties"/>
    </signal>
  </interface>
  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg type="s" name="xml_data" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
  </interface>
"#;

const VRRP_XML: &str = r#"  <interface name="org.keepalived.Vrrp1.Vrrp">
    <method name="PrintData"/>
    <method name="PrintStats"/>
    <method name="PrintStatsClear"/>
    <method name="ReloadConfig"/>
    <signal name="VrrpStarted"/>
    <signal name="VrrpReloaded"/>
    <signal name="VrrpStopped"/>
  </interface>
"#;

const INSTANCE_XML: &str = r#"  <interface name="org.keepalived.Vrrp1.Instance">
    <method name="SendGarp"/>
    <signal name="VrrpStatusChange">
      <arg type="u" name="status"/>
    </signal>
    <property type="(s)" name="Name" access="read"/>
    <property type="(us)" name="State" access="read"/>
  </interface>
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mib::fixture;

    fn settings() -> Settings {
        Settings { name: "org.keepalived.Vrrp1".to_owned(), no_interface: "none".to_owned(), user: 0 }
    }

    fn sent(service: &mut Service) -> Vec<Message> {
        let bytes = service.take_output();
        let mut rest = bytes.as_slice();
        let mut messages = vec![];
        while let Ok((message, size)) = Message::decode(rest) {
            rest = &rest[size..];
            messages.push(message);
        }
        assert!(rest.is_empty(), "{rest:?}");
        messages
    }

    fn up() -> Service {
        let snapshot = Snapshot::default();
        let mut service = Service::new(settings());
        assert_eq!(service.take_output(), b"\0AUTH EXTERNAL 30\r\n");
        service.bytes(b"OK 1234deadbeef", &snapshot);
        assert_eq!(service.take_output(), b"");
        service.bytes(b"\r\n", &snapshot);
        let first = service.take_output();
        let hello = Message::decode(first.strip_prefix(b"BEGIN\r\n").unwrap()).unwrap().0;
        assert_eq!(hello.member.as_deref(), Some("Hello"));
        service.bytes(&Message { serial: 1, ..Message::reply(&hello) }.encode(), &snapshot);
        let request = sent(&mut service).remove(0);
        assert_eq!(request.strings::<1>().unwrap(), ["org.keepalived.Vrrp1"]);
        assert!(!service.is_up());
        let granted = Message::reply(&request).with("u", Body::default().u32(1));
        service.bytes(&granted.encode(), &snapshot);
        assert!(service.is_up());
        service
    }

    fn call(path: &str, interface: &str, member: &str) -> Message {
        let sender = Some(":1.5".to_owned());
        Message { serial: 9, sender, ..Message::call("org.keepalived.Vrrp1", path, interface, member) }
    }

    fn answer(service: &mut Service, call: &Message) -> Message {
        service.bytes(&call.encode(), &fixture::seed());
        let answer = sent(service).remove(0);
        assert_eq!((answer.reply_to, answer.destination.as_deref()), (Some(call.serial), Some(":1.5")));
        answer
    }

    const VI_1: &str = "/org/keepalived/Vrrp1/Instance/eth2/1/IPv4";

    #[test]
    fn a_connection_says_who_it_is_and_takes_its_name_before_it_answers() {
        up();
        let mut taken = Service::new(settings());
        taken.bytes(b"REJECTED EXTERNAL\r\n", &Snapshot::default());
        assert!(taken.trouble().is_some_and(|why| why.contains("who we are")));
    }

    #[test]
    fn properties_are_structures_as_keepalived_answers_them() {
        let mut service = up();
        let body = |property| Body::default().string(INSTANCE).string(property);
        let get = |property| call(VI_1, PROPERTIES, "Get").with("ss", body(property));
        let state = answer(&mut service, &get("State"));
        let expected = Body::default().variant("(us)").structure().u32(2).string("Master");
        assert_eq!((state.signature.as_str(), state.body), ("v", expected.0));
        let name = answer(&mut service, &get("Name"));
        assert_eq!(name.body, Body::default().variant("(s)").structure().string("VI_1").0);
        assert_eq!(answer(&mut service, &get("Colour")).kind, Kind::Error);
        let all = call(VI_1, PROPERTIES, "GetAll").with("s", Body::default().string(INSTANCE));
        assert_eq!(answer(&mut service, &all).signature, "a{sv}");
    }

    #[test]
    fn methods_ask_for_what_they_are_called_and_others_are_refused() {
        let mut service = up();
        let vrrp = "/org/keepalived/Vrrp1/Vrrp";
        for member in ["PrintData", "PrintStats", "PrintStatsClear", "ReloadConfig"] {
            assert_eq!(answer(&mut service, &call(vrrp, VRRP, member)).kind, Kind::Return, "{member}");
        }
        assert_eq!(answer(&mut service, &call(VI_1, INSTANCE, "SendGarp")).kind, Kind::Return);
        let asked = [Ask::PrintData, Ask::PrintStats, Ask::PrintStatsClear, Ask::Reload, Ask::SendGarp("VI_1".into())];
        assert_eq!(service.take_asks(), asked);
        for refused in [
            call(vrrp, VRRP, "CreateInstance"),
            call(vrrp, VRRP, "DestroyInstance"),
            call(vrrp, INSTANCE, "SendGarp"),
            call("/org/keepalived/Vrrp1/Instance/eth0/1/IPv4", INSTANCE, "SendGarp"),
            call(VI_1, PROPERTIES, "Set"),
        ] {
            assert_eq!(answer(&mut service, &refused).kind, Kind::Error, "{refused:?}");
        }
        assert_eq!(service.take_asks(), []);
    }

    #[test]
    fn the_tree_of_objects_is_found_from_its_root() {
        let mut service = up();
        let mut path = String::new();
        for child in ["org", "keepalived", "Vrrp1", "Instance", "eth2", "1", "IPv4"] {
            let at = if path.is_empty() { "/" } else { &path };
            let [text] = answer(&mut service, &call(at, INTROSPECTABLE, "Introspect")).strings::<1>().unwrap();
            assert!(text.contains(&format!("<node name=\"{child}\"/>")), "{at}: {text}");
            path = format!("{path}/{child}");
        }
        let [text] = answer(&mut service, &call(&path, INTROSPECTABLE, "Introspect")).strings::<1>().unwrap();
        assert!(text.contains("VrrpStatusChange") && !text.contains("PrintData"), "{text}");
    }

    #[test]
    fn changes_are_signals_and_nobody_waits_for_them_before_there_is_a_name() {
        let snapshot = fixture::seed();
        let row = snapshot.vrrp.instances.get(&[1]).unwrap();
        let mut early = Service::new(settings());
        early.take_output();
        early.changed(row, State::Backup);
        assert_eq!(early.take_output(), b"");
        let mut service = up();
        service.changed(row, State::Backup);
        service.happened("VrrpReloaded");
        let signals = sent(&mut service);
        let members: Vec<_> = signals.iter().map(|signal| signal.member.as_deref().unwrap()).collect();
        assert_eq!(members, ["VrrpStatusChange", "PropertiesChanged", "VrrpReloaded"]);
        assert_eq!((signals[0].number(), signals[0].path.as_deref()), (Some(1), Some(VI_1)));
    }

    #[test]
    fn a_message_that_is_too_long_is_passed_over_and_the_next_one_answered() {
        let mut service = up();
        let long = call("/", PEER, "Ping").with("s", Body::default().string(&"x".repeat(MESSAGE_MAX)));
        for piece in long.encode().chunks(1000) {
            service.bytes(piece, &Snapshot::default());
        }
        assert_eq!(service.take_output(), b"");
        assert_eq!(answer(&mut service, &call("/", PEER, "Ping")).kind, Kind::Return);
    }

    proptest::proptest! {
        #[test]
        fn no_bus_is_a_fault(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), is_up: bool) {
            let mut service = if is_up { up() } else { Service::new(settings()) };
            service.bytes(&bytes, &fixture::seed());
        }
    }
}
