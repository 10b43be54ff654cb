//! SETs against reloads in any order, through everything that carries them: session, transactions, buses, both engines, a
//! model of the kernel, store and MIB. Whenever all of them rest, they agree.
//!
//! A failing seed prints itself; `KEEPWATCH_SEED` replays it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::agentx::{Action, Event, Session, Settings, Token, Wanted};
use crate::bus::frame;
use crate::bus::msg::{Source, ToBridge, ToEngine};
use crate::bus::outbox::{self, Outbox};
use crate::bus::rows::{Row, RowKey};
use crate::check;
use crate::check::tests::world::{self as pools, World as Pools};
use crate::clock::{Instant, WallTime};
use crate::conf::model::*;
use crate::mib::fixture;
use crate::mib::tree::Tree;
use crate::mib::view::Pinned;
use crate::store::{Applied, Snapshot, Store};
use crate::vrrp;
use crate::vrrp::io::{AddressKey, HostAddress, Input, Link, Output};
use crate::wire::agentx::{Body, ByteOrder, ErrorStatus, Pdu, SearchRange, Value, VarBind, decode};
use crate::wire::oid::Oid;

/// SETs, and reloads, of one run of the suite.
const EACH: u32 = 10_000;
/// Weights of this size the kernel refuses; no configuration has one.
const REFUSED: u32 = 13;
/// Every configuration is one of a few instances and services, so that most SETs meet a thing that is there.
const INSTANCES: u8 = 4;
const SERVICES: u8 = 3;
const SERVERS: u8 = 4;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, high: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % high
    }

    fn permille(&mut self, part: u64) -> bool {
        self.below(1000) < part
    }
}

/// Something that a SET can change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Priority(InstanceName),
    Preempt(InstanceName),
    Weight(ServerKey),
}

impl Thing {
    fn owner(&self) -> Source {
        match self {
            Thing::Priority(_) | Thing::Preempt(_) => Source::Vrrp,
            Thing::Weight(_) => Source::Checks,
        }
    }

    fn key(&self) -> RowKey {
        match self {
            Thing::Priority(name) | Thing::Preempt(name) => RowKey::Instance(name.clone()),
            Thing::Weight(server) => RowKey::Server(server.clone()),
        }
    }

    fn value(&self, row: &Row) -> Option<i32> {
        match (self, row) {
            (Thing::Priority(_), Row::Instance(row)) => Some(row.base_priority.get().into()),
            (Thing::Preempt(_), Row::Instance(row)) => Some(if row.preempt { 1 } else { 2 }),
            (Thing::Weight(_), Row::Server(row)) => i32::try_from(row.weight).ok(),
            _ => None,
        }
    }

    /// The variable's name, if readers see such a row now.
    fn name(&self, snapshot: &Snapshot) -> Option<Oid> {
        let root = Oid::new(crate::mib::ROOT);
        let instance = |name: &InstanceName| {
            snapshot.vrrp.instances.iter().find(|(_, row)| row.config.name == *name).map(|(_, row)| row.index)
        };
        match self {
            Thing::Priority(name) => Some(root.with(&[2, 3, 1, 7, instance(name)?])),
            Thing::Preempt(name) => Some(root.with(&[2, 3, 1, 13, instance(name)?])),
            Thing::Weight(server) => {
                let service = snapshot.checks.services.iter().find(|(_, row)| *row.key() == server.service)?.1.index;
                let of = |row: &crate::bus::rows::ServerRow| match &row.config {
                    crate::bus::rows::ServerConfig::Real(real) => {
                        row.service_index == service && (real.address, real.port) == (server.address, server.port)
                    }
                    crate::bus::rows::ServerConfig::Sorry(_) => false,
                };
                let (_, row) = snapshot.checks.servers.iter().find(|(_, row)| of(row))?;
                Some(root.with(&[3, 4, 1, 7, service, row.index]))
            }
        }
    }
}

/// A SET between its test and its cleanup.
#[derive(Debug)]
struct Set {
    transaction: u32,
    /// What each thing shall be, and what it was; the last value of each thing.
    values: BTreeMap<Thing, (i32, Option<i32>)>,
    /// Reloads of the owners when it began.
    reloads: BTreeMap<Source, u64>,
    /// Another SET was under way at the same time.
    crowded: bool,
    failed: bool,
    packet: u32,
}

/// One engine's side of its bus.
struct Side {
    outbox: Outbox,
    asked: VecDeque<ToEngine>,
    frames: VecDeque<Vec<u8>>,
    configs: VecDeque<(u64, Arc<Config>)>,
    reloads: u64,
}

impl Side {
    fn new() -> Side {
        let mut outbox = Outbox::new(1);
        outbox.connected();
        Side { outbox, asked: VecDeque::new(), frames: VecDeque::new(), configs: VecDeque::new(), reloads: 0 }
    }

    fn rests(&self) -> bool {
        self.asked.is_empty() && self.frames.is_empty() && self.configs.is_empty() && self.outbox.is_empty()
    }
}

impl outbox::Rows for vrrp::engine::Engine {
    fn row(&self, key: &RowKey) -> Option<Row> {
        vrrp::engine::Engine::row(self, key)
    }
    fn keys(&self) -> Vec<RowKey> {
        vrrp::engine::Engine::keys(self)
    }
}

impl outbox::Rows for check::engine::Engine {
    fn row(&self, key: &RowKey) -> Option<Row> {
        check::engine::Engine::row(self, key)
    }
    fn keys(&self) -> Vec<RowKey> {
        check::engine::Engine::keys(self)
    }
}

struct World {
    random: Random,
    now: Instant,
    vrrp: vrrp::engine::Engine,
    address_answers: VecDeque<(AddressKey, bool)>,
    checks: Pools,
    sides: BTreeMap<Source, Side>,
    store: Store,
    tree: Tree,
    session: Session,
    requests: BTreeMap<u64, (Source, Token)>,
    next_request: u64,
    next_packet: u32,
    next_transaction: u32,
    generation: u64,
    config: Arc<Config>,
    connected: bool,
    /// What the session said and the master has not read yet.
    said: VecDeque<Pdu>,
    sets: Vec<Set>,
    counts: Counts,
}

/// What a run came by.
#[derive(Debug, Default)]
struct Counts {
    sets: u32,
    reloads: u32,
    refused: u32,
    committed: u32,
    failed: u32,
    lost: u32,
    rests: u32,
    /// Commits of which it is known what must be there after.
    judged: u32,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let config = Arc::new(configuration(&mut random));
        let now = pools::START;
        let mut checks = Pools::waiting(&config, check::engine::EngineOptions::default());
        checks.prompt = false;
        checks.kernel.refuse_weight = Some(REFUSED);
        let engine = vrrp::engine::Engine::new(&config, vrrp::engine::EngineOptions::default(), now, WallTime(0));
        let sides = Source::ALL.map(|source| (source, Side::new())).into();
        let tree = Tree::new(&fixture::snmp(), &Source::ALL);
        let mut world = World {
            random,
            now,
            vrrp: engine,
            address_answers: VecDeque::new(),
            checks,
            sides,
            store: Store::new(),
            session: Session::new(Settings::default()),
            tree,
            requests: BTreeMap::new(),
            next_request: 0,
            next_packet: 0,
            next_transaction: 0,
            generation: 1,
            config,
            connected: false,
            said: VecDeque::new(),
            sets: vec![],
            counts: Counts::default(),
        };
        let link = Link {
            index: 12,
            name: "eth2".into(),
            admin_up: true,
            running: true,
            loopback: false,
            multicast: true,
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            vrf: None,
        };
        world.tell_vrrp(Input::Link(link));
        let address = HostAddress {
            interface: 12,
            address: pools::ip("10.99.0.1"),
            prefix: 24,
            secondary: false,
            tentative: false,
        };
        world.tell_vrrp(Input::HostAddress(address));
        world.tell_vrrp(Input::Wake);
        world.checks.say(check::io::Input::Table(vec![]));
        world.checks.say(check::io::Input::Wake);
        let wanted = Wanted { registrations: world.tree.registrations(), capabilities: world.tree.capabilities() };
        let actions = world.session.want(wanted, now);
        world.perform(actions);
        world.settle();
        world
    }

    fn side(&mut self, source: Source) -> &mut Side {
        self.sides.get_mut(&source).expect("both are there")
    }

    // --- engines

    fn tell_vrrp(&mut self, input: Input<'_>) {
        let mut out = vec![];
        self.vrrp.handle(input, self.now, &mut out);
        self.of_vrrp(out);
    }

    fn of_vrrp(&mut self, out: Vec<Output>) {
        let now = self.now;
        for output in out {
            match output {
                Output::Address(change) => self.address_answers.push_back((change.key, change.install)),
                Output::Changed(key) => self.side(Source::Vrrp).outbox.changed(key),
                Output::Counted(key) => self.side(Source::Vrrp).outbox.counted(key, now),
                Output::Edge(edge) => self.side(Source::Vrrp).outbox.edge(edge),
                Output::Reply { request, reply } => self.side(Source::Vrrp).outbox.reply(request, reply),
                _ => {}
            }
        }
    }

    fn of_checks(&mut self) {
        let now = self.now;
        for output in std::mem::take(&mut self.checks.out) {
            use check::io::Output;
            match output {
                Output::Changed(key) => self.side(Source::Checks).outbox.changed(key),
                Output::Counted(key) => self.side(Source::Checks).outbox.counted(key, now),
                Output::Edge(edge) => self.side(Source::Checks).outbox.edge(edge),
                Output::Reply { request, reply } => self.side(Source::Checks).outbox.reply(request, reply),
                _ => {}
            }
        }
        self.checks.ops.clear();
        // The kernel's list, asked for after a refusal, comes at once.
        if std::mem::take(&mut self.checks.audits) > 0 {
            self.checks.say(check::io::Input::Table(self.checks.kernel.found()));
            self.of_checks();
        }
    }

    /// One thing of what waits for this engine: a configuration, a command, an answer of the kernel, room in its bus.
    fn turn(&mut self, source: Source) {
        self.checks.now = self.now;
        match (self.random.below(4), source) {
            (0, _) => {
                if let Some((generation, config)) = self.side(source).configs.pop_front() {
                    match source {
                        Source::Vrrp => {
                            let mut out = vec![];
                            self.vrrp.apply(&config, self.now, &mut out);
                            self.of_vrrp(out);
                        }
                        Source::Checks => self.checks.reload(&config),
                    }
                    self.of_checks();
                    let side = self.side(source);
                    side.reloads += 1;
                    side.outbox.configuration(generation);
                }
            }
            (1, _) => match self.side(source).asked.pop_front() {
                Some(ToEngine::Command { request, command }) => match source {
                    Source::Vrrp => self.tell_vrrp(Input::Command { request, command }),
                    Source::Checks => self.checks.say(check::io::Input::Command { request, command }),
                },
                Some(ToEngine::Seen(generation)) => self.side(source).outbox.seen(generation),
                Some(ToEngine::Resync | ToEngine::Survey { .. }) => panic!("frames do not follow from each other"),
                None => {}
            },
            (2, Source::Vrrp) => {
                if let Some((key, install)) = self.address_answers.pop_front() {
                    self.tell_vrrp(Input::AddressAnswer { key, install, error: None });
                }
            }
            (2, Source::Checks) => drop(self.checks.answer()),
            _ => {}
        }
        self.of_checks();
        // A socket has room for a few frames.
        let now = self.now;
        let (vrrp, checks) = (&self.vrrp, &self.checks.engine);
        let side = self.sides.get_mut(&source).expect("both are there");
        let Side { outbox, frames, .. } = side;
        let send = |bytes: &[u8]| {
            if frames.len() > 3 {
                return outbox::Sent::Full;
            }
            frames.push_back(bytes.to_vec());
            outbox::Sent::Yes
        };
        match source {
            Source::Vrrp => outbox.pump(vrrp, now, send),
            Source::Checks => outbox.pump(checks, now, send),
        }
    }

    fn row(&self, key: &RowKey) -> Option<Row> {
        match key {
            RowKey::Server(_) => self.checks.engine.row(key),
            _ => self.vrrp.row(key),
        }
    }

    fn value(&self, thing: &Thing) -> Option<i32> {
        thing.value(&self.row(&thing.key())?)
    }

    // --- bridge

    fn hear(&mut self, source: Source) {
        let Some(bytes) = self.side(source).frames.pop_front() else { return };
        for message in frame::decode::<ToBridge>(&bytes).unwrap() {
            match message {
                ToBridge::Feed(feed) => match self.store.apply(source, feed).unwrap() {
                    Applied::Committed { generation, edges } => {
                        self.event(Event::StoreAt(source, generation));
                        if !edges.is_empty() {
                            self.side(source).asked.push_back(ToEngine::Seen(generation));
                        }
                    }
                    Applied::Staged | Applied::Ignored => {}
                },
                ToBridge::Reply { request, reply } => {
                    let (of, token) = self.requests.remove(&request).expect("what was asked is answered once");
                    assert_eq!(of, source);
                    self.event(Event::CommandReply { token, reply });
                }
                ToBridge::Surveyed { .. } => panic!("nobody has asked"),
            }
        }
    }

    fn event(&mut self, event: Event<'_>) {
        let snapshot = self.store.snapshot();
        let view = Pinned { tree: &self.tree, look: fixture::look(&snapshot) };
        let actions = self.session.handle(event, &view, self.now);
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Connect => self.connected = false,
                Action::Send(bytes) => self.said.push_back(decode(&bytes).unwrap().0),
                Action::Disconnect => panic!("this master gives no cause"),
                Action::Command { token, command } => {
                    self.next_request += 1;
                    let (request, owner) = (self.next_request, command.owner());
                    self.requests.insert(request, (owner, token));
                    self.side(owner).asked.push_back(ToEngine::Command { request, command });
                }
                Action::Log(_) => {}
            }
        }
    }

    // --- master

    fn say(&mut self, transaction: u32, body: Body) -> u32 {
        self.next_packet += 1;
        let packet = 1_000_000 + self.next_packet;
        let order = if packet.is_multiple_of(2) { ByteOrder::Network } else { ByteOrder::Little };
        let bytes = Pdu { order, session: 6, transaction, packet, context: None, body }.encode();
        self.event(Event::Bytes(&bytes));
        packet
    }

    /// Says something that is answered at once.
    fn ask(&mut self, transaction: u32, body: Body) -> (ErrorStatus, Vec<VarBind>) {
        let packet = self.say(transaction, body);
        let at = self.said.iter().position(|pdu| pdu.packet == packet).expect("an answer at once");
        match self.said.remove(at).map(|pdu| pdu.body) {
            Some(Body::Response { error, varbinds, .. }) => (error, varbinds),
            other => panic!("{other:?}"),
        }
    }

    fn get(&mut self, thing: &Thing) -> Option<i32> {
        let name = thing.name(&self.store.snapshot())?;
        let range = SearchRange { start: name, include: false, end: Oid::default() };
        match self.ask(0, Body::Get(vec![range])).1.first()?.value {
            Value::Integer(value) => Some(value),
            _ => None,
        }
    }

    fn read_master(&mut self) {
        if !self.connected {
            self.connected = true;
            self.event(Event::Connected);
        }
        let Some(pdu) = self.said.pop_front() else { return };
        let Body::Response { error, .. } = pdu.body else {
            let body = Body::Response { uptime: 1, error: ErrorStatus::NO_ERROR, index: 0, varbinds: vec![] };
            let bytes = Pdu { session: 6, body, ..pdu }.encode();
            return self.event(Event::Bytes(&bytes));
        };
        let at = self.sets.iter().position(|set| set.packet == pdu.packet);
        let at = at.unwrap_or_else(|| panic!("nobody asked for {pdu:?}"));
        if error == ErrorStatus::COMMIT_FAILED && !self.sets[at].failed {
            self.sets[at].failed = true;
            let transaction = self.sets[at].transaction;
            // Named before it is said: the answer may come with it.
            self.sets[at].packet = 1_000_000 + self.next_packet + 1;
            self.say(transaction, Body::UndoSet);
            return;
        }
        let set = self.sets.remove(at);
        self.judge(&set, error);
        self.say(set.transaction, Body::CleanupSet);
    }

    /// What a manager that was told this may rely on.
    fn judge(&mut self, set: &Set, error: ErrorStatus) {
        match (set.failed, error) {
            (false, ErrorStatus::NO_ERROR) => self.counts.committed += 1,
            (true, ErrorStatus::NO_ERROR) => self.counts.failed += 1,
            // What a reload has taken away cannot be put back.
            (true, ErrorStatus::UNDO_FAILED) => {
                assert!(self.sides.iter().any(|(source, side)| side.reloads != set.reloads[source]), "{set:?}");
                self.counts.failed += 1;
            }
            other => panic!("{other:?} {set:?}"),
        }
        for (thing, (wanted, before)) in &set.values {
            // Who came in between may have changed it, too.
            if set.crowded || self.sides[&thing.owner()].reloads != set.reloads[&thing.owner()] {
                continue;
            }
            self.counts.judged += 1;
            let expected = if set.failed { *before } else { Some(*wanted) };
            assert_eq!(self.value(thing), expected, "{thing:?} of its owner, after {set:?}");
            if self.sides[&thing.owner()].configs.is_empty() {
                assert_eq!(self.get(thing), expected, "a GET after {set:?}");
            }
        }
    }

    fn start_set(&mut self) {
        self.counts.sets += 1;
        let snapshot = self.store.snapshot();
        let (mut varbinds, mut values, mut good) = (vec![], BTreeMap::new(), true);
        for _ in 0..=self.random.below(3) {
            let instance = InstanceName(format!("VI_{}", 1 + self.random.below(INSTANCES.into())));
            let (service, server) = (1 + self.random.below(SERVICES.into()), 1 + self.random.below(SERVERS.into()));
            let (thing, value, fits) = match self.random.below(3) {
                0 => {
                    let value = self.random.below(260) as i32;
                    (Thing::Priority(instance), value, (1..=255).contains(&value))
                }
                1 => {
                    let value = 1 + self.random.below(40) as i32 % 21 % 3;
                    (Thing::Preempt(instance), value, value < 3)
                }
                _ => {
                    let value = self.random.below(20) as i32 - 1;
                    (Thing::Weight(pools::key(service as u8, server as u8)), value, value >= 0)
                }
            };
            // Nobody can name a row that is not shown.
            let Some(name) = thing.name(&snapshot) else { continue };
            good &= fits;
            varbinds.push(VarBind::new(name, Value::Integer(value)));
            let before = self.value(&thing);
            values.insert(thing, (value, before));
        }
        if self.random.permille(20) {
            // Row zero, and one far behind the last.
            let row = self.random.below(2) as u32 * 1000;
            varbinds.push(VarBind::new(Oid::new(crate::mib::ROOT).with(&[2, 3, 1, 7, row]), Value::Integer(1)));
            good = false;
        }
        if varbinds.is_empty() {
            return;
        }
        self.next_transaction += 1;
        let transaction = self.next_transaction;
        let (error, _) = self.ask(transaction, Body::TestSet(varbinds));
        assert_eq!(error == ErrorStatus::NO_ERROR, good, "{error:?} {values:?}");
        if !good {
            self.counts.refused += 1;
            self.say(transaction, Body::CleanupSet);
            return;
        }
        let crowded = !self.sets.is_empty();
        self.sets.iter_mut().for_each(|set| set.crowded = true);
        let reloads = self.sides.iter().map(|(source, side)| (*source, side.reloads)).collect();
        let packet = 1_000_000 + self.next_packet + 1;
        self.sets.push(Set { transaction, values, reloads, crowded, failed: false, packet });
        self.say(transaction, Body::CommitSet);
    }

    fn lose_master(&mut self) {
        self.counts.lost += 1;
        self.sets.clear();
        self.said.clear();
        self.event(Event::Closed("end of stream"));
        let due = self.session.deadline().expect("another attempt");
        self.now = self.now.max(due);
        self.event(Event::Wake);
    }

    // --- everybody

    fn reload(&mut self) {
        self.counts.reloads += 1;
        self.generation += 1;
        self.config = Arc::new(configuration(&mut self.random));
        for source in Source::ALL {
            let entry = (self.generation, Arc::clone(&self.config));
            self.side(source).configs.push_back(entry);
        }
    }

    /// Something small happens somewhere.
    fn step(&mut self) {
        match self.random.below(8) {
            0 | 1 => self.turn(Source::Vrrp),
            2 | 3 => self.turn(Source::Checks),
            4 => self.hear(Source::Vrrp),
            5 => self.hear(Source::Checks),
            6 => self.read_master(),
            _ => {
                let time = Duration::from_micros(self.random.below(3_000));
                self.pass(time);
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let deadlines = [self.vrrp.deadline(), self.checks.engine.deadline(), self.session.deadline()];
            let Some(due) = deadlines.into_iter().flatten().min().filter(|due| *due <= end) else { break };
            self.now = due.max(self.now);
            self.checks.now = self.now;
            self.tell_vrrp(Input::Wake);
            self.checks.say(check::io::Input::Wake);
            self.of_checks();
            self.event(Event::Wake);
            // Masters are not pinged in vain.
            if !self.said.is_empty() {
                self.read_master();
            }
        }
        self.now = end;
        self.checks.now = end;
    }

    fn rests(&self) -> bool {
        self.sides.values().all(Side::rests)
            && self.session.stats().up
            && self.said.is_empty()
            && self.sets.is_empty()
            && self.requests.is_empty()
            && self.address_answers.is_empty()
            && self.checks.asked.is_empty()
    }

    fn settle(&mut self) {
        for round in 0..100_000 {
            if self.rests() {
                self.counts.rests += 1;
                return;
            }
            self.step();
            // Counters that nobody waits for are told within a second.
            if round % 500 == 499 {
                self.pass(Duration::from_millis(10));
            }
        }
        panic!("no rest: {} sets, {} requests", self.sets.len(), self.requests.len());
    }

    /// Kernel, engines, store and MIB say the same of whatever can be set.
    fn agree(&mut self) {
        let snapshot = self.store.snapshot();
        assert_eq!(snapshot.vrrp.instances.len(), self.config.instances.len());
        let generations = [snapshot.generations.vrrp.config, snapshot.generations.checks.config];
        assert_eq!(generations, [self.generation; 2], "both say that the last configuration is in force");
        for instance in &self.config.clone().instances {
            for thing in [Thing::Priority(instance.name.clone()), Thing::Preempt(instance.name.clone())] {
                assert_eq!(self.get(&thing), self.value(&thing), "{thing:?}");
                assert!(self.value(&thing).is_some());
            }
        }
        let mut services = 0;
        for vs in &self.config.clone().services {
            services += 1;
            let ServiceKind::Address { address: std::net::IpAddr::V4(address), .. } = vs.key.kind else { panic!() };
            let held: BTreeMap<u8, u32> = self.checks.kernel.weights(address.octets()[3]).into_iter().collect();
            assert_eq!(held.len(), vs.servers.len(), "{:?}", vs.key);
            for real in &vs.servers {
                let thing = Thing::Weight(vs.server_key(real));
                let std::net::IpAddr::V4(address) = real.address else { panic!() };
                let kernel = held.get(&address.octets()[3]).and_then(|weight| i32::try_from(*weight).ok());
                assert_eq!((self.get(&thing), kernel), (self.value(&thing), self.value(&thing)), "{thing:?}");
                assert_ne!(kernel, Some(REFUSED as i32));
            }
        }
        assert_eq!(self.checks.kernel.services.len(), services);
    }

    /// The whole MIB is what a bridge would show that came up now.
    fn agree_in_everything(&mut self) {
        let mut fresh = Store::new();
        let vrrp = self.vrrp.keys().into_iter().filter_map(|key| Some((key.clone(), self.vrrp.row(&key)?)));
        fixture::commit_from(&mut fresh, Source::Vrrp, 1, true, vrrp.collect::<Vec<_>>());
        let engine = &self.checks.engine;
        let checks = engine.keys().into_iter().filter_map(|key| Some((key.clone(), engine.row(&key)?)));
        fixture::commit_from(&mut fresh, Source::Checks, 1, true, checks.collect::<Vec<_>>());
        let walk = |snapshot: &Snapshot| {
            let (mut found, mut name) = (vec![], Oid::default());
            while let Some(next) = self.tree.next(fixture::look(snapshot), &name, false, &Oid::default()) {
                name = next.name.clone();
                found.push(next);
            }
            found
        };
        assert_eq!(walk(&self.store.snapshot()), walk(&fresh.snapshot()));
    }

    /// So many SETs against so many reloads.
    fn run(&mut self, each: u32) {
        while self.counts.sets < each || self.counts.reloads < each {
            // Now many of one, now many of the other.
            let left =
                (u64::from(each.saturating_sub(self.counts.sets)), u64::from(each.saturating_sub(self.counts.reloads)));
            if self.random.below(left.0 + left.1) < left.0 {
                if self.session.stats().up && self.sets.len() < 1 + self.random.below(3) as usize {
                    self.start_set();
                }
            } else {
                self.reload();
            }
            for _ in 0..self.random.below(40) {
                self.step();
            }
            if self.random.permille(2) && self.session.stats().up {
                self.lose_master();
            }
            if self.random.permille(100) {
                self.settle();
                self.agree();
                if self.random.permille(25) {
                    self.agree_in_everything();
                }
            }
        }
        self.settle();
        self.agree();
        self.agree_in_everything();
    }
}

/// Some of the instances and services there are, in any order.
fn configuration(random: &mut Random) -> Config {
    let some = |of: u8, random: &mut Random| {
        let mut all: Vec<u8> = (1..=of).filter(|_| random.permille(800)).collect();
        for at in (1..all.len()).rev() {
            all.swap(at, random.below(at as u64 + 1) as usize);
        }
        all
    };
    let weight = |random: &mut Random| random.below(u64::from(REFUSED)) as u32;
    let services = some(SERVICES, random).into_iter().map(|service| {
        let servers = some(SERVERS, random).into_iter().map(|last| pools::server(last, weight(random), vec![]));
        // Not all at zero, or there were no quorum: what a pool does then is shown elsewhere.
        let servers: Vec<RealServer> = servers.collect();
        VirtualServer { quorum: 1, ..pools::service(service, servers) }
    });
    let services = services.collect();
    let instances = some(INSTANCES, random).into_iter().map(|number| {
        let mut instance = fixture::instance(&format!("VI_{number}"));
        instance.vrid = Vrid::new(number).expect("not zero");
        instance.initial_state = InitialState::Backup;
        instance.priority = Priority::new(1 + random.below(254) as u8).expect("not zero");
        instance.preempt = if random.permille(500) { Preempt::Never } else { Preempt::After(Duration::ZERO) };
        let address = std::net::IpAddr::from([10, 1, number, 1]);
        instance.addresses = vec![fixture::address_row(1, 1, address, 24, ("eth2", 12)).config];
        instance
    });
    let instances = instances.collect();
    Config { instances, ..pools::config(services) }
}

/// Prints the seed if the run panics.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the failing run is KEEPWATCH_SEED={}", self.0);
        }
    }
}

fn run(seed: u64, each: u32) -> Counts {
    let _replay = Replay(seed);
    let mut world = World::new(seed);
    world.run(each);
    world.counts
}

#[test]
fn ten_thousand_sets_against_ten_thousand_reloads_leave_kernel_store_and_mib_in_agreement() {
    let given = std::env::var("KEEPWATCH_SEED").ok();
    let seeds = given.map_or((1..=10).collect(), |seed| vec![seed.parse::<u64>().expect("KEEPWATCH_SEED is a number")]);
    let each = EACH / seeds.len() as u32;
    let mut total = Counts::default();
    for seed in seeds {
        let counts = run(seed, each);
        total.sets += counts.sets;
        total.reloads += counts.reloads;
        total.committed += counts.committed;
        total.failed += counts.failed;
        total.refused += counts.refused;
        total.lost += counts.lost;
        total.rests += counts.rests;
        total.judged += counts.judged;
    }
    println!("{total:?}");
    assert!(total.sets >= EACH && total.reloads >= EACH);
    let few = EACH / 100;
    assert!(total.committed > 10 * few && total.failed > few && total.refused > few && total.judged > few, "{total:?}");
}
