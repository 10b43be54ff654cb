//! `no_accept`: drops packets to and from addresses that this router holds without being their owner. Start at
//! [`Firewall::set`]. For virtual MACs, `vmac.rs` keeps back what must not be sent from them ([`Firewall::set_ports`]).
//!
//! As Keepalived does, a table each for IPv4 and IPv6, with base chains on input and output and the addresses in sets.
//! Neighbour discovery passes: without it nobody could send to the addresses at all.

mod vmac;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Cmp, DataAttribute, ExpressionAttribute, Expressions, Hook, Immediate,
    InetHookNumber, ListAttribute, Lookup, Meta, MetaKey, NfTablesMessage, Operator, Payload, Register, RuleAttribute,
    RuleMessage, SetAttribute, SetElementAttribute, SetElementList, SetElementMessage, SetMessage, TableAttribute,
    TableMessage, Verdict, VerdictAttribute,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily};

use super::socket::{self, Answer, Arrival, NETLINK_NETFILTER, Socket};
use crate::conf::model::Family;
use crate::vrrp::io::{Block, IfIndex};

/// A virtual MAC's interface, and the one below by which its multicast reports go instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    pub family: Family,
    pub interface: IfIndex,
    pub base: IfIndex,
}

/// What the tables are to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Contents {
    blocks: BTreeSet<Block>,
    ports: BTreeSet<Port>,
}

impl Contents {
    fn of(&self, family: Family) -> Contents {
        let blocks = self.blocks.iter().filter(|block| Family::of(block.address) == family).copied().collect();
        let ports = self.ports.iter().filter(|port| port.family == family).copied().collect();
        Contents { blocks, ports }
    }

    fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.ports.is_empty()
    }
}

/// Keeps the kernel's tables equal to what was last [`set`](Self::set).
///
/// The tables exist only while they hold something. Changes of one call are one transaction: all or nothing. Only
/// differences are sent; when one fails (somebody flushed the ruleset), the tables are built anew, once.
#[derive(Debug)]
pub struct Firewall {
    socket: Socket,
    tables: Tables,
    wanted: Contents,
    /// `None` after a failure: anything may be there.
    installed: Option<Contents>,
    in_flight: Option<Transaction>,
    /// This kernel cannot send reports by another interface: then at least addresses are blocked.
    portless: bool,
    /// Building anew failed: nothing more is tried before the next call.
    gave_up: bool,
    errors: Vec<String>,
}

/// A batch whose outcome is not known yet.
#[derive(Debug)]
struct Transaction {
    first: u32,
    last: u32,
    target: Contents,
    anew: bool,
    error: Option<String>,
}

impl Firewall {
    /// `table`, `priority` and `counters` are `nftables`, `nftables_priority` and `nftables_counters`.
    ///
    /// Opens a socket only: nothing is asked of the kernel before the first address is to be blocked.
    pub fn open(table: &str, priority: i32, counters: bool) -> io::Result<Firewall> {
        let socket = Socket::open(NETLINK_NETFILTER, None)?;
        // A transaction is one message to the kernel. Unprivileged it would fail anyway.
        let _ = socket.allow_send(BATCH_MAX);
        Ok(Firewall {
            socket,
            tables: Tables { name: table.to_owned(), priority, counters },
            wanted: Contents::default(),
            installed: Some(Contents::default()),
            in_flight: None,
            portless: false,
            gave_up: false,
            errors: Vec::new(),
        })
    }

    /// Drops packets to and from exactly these addresses from now on. The kernel has obeyed when this returns; if it
    /// refused, [`read_answers`](Self::read_answers) tells.
    pub fn set(&mut self, wanted: &[Block]) -> io::Result<()> {
        self.wanted.blocks = wanted.iter().copied().collect();
        self.gave_up = false;
        self.flush()
    }

    /// Keeps from exactly these interfaces what would give virtual MACs away or collect them: reports of group membership
    /// leave by the interface below, router solicitations not at all.
    pub fn set_ports(&mut self, wanted: &BTreeSet<Port>) -> io::Result<()> {
        if !self.portless {
            self.wanted.ports.clone_from(wanted);
        }
        self.gave_up = false;
        self.flush()
    }

    /// There may be anything in the tables, as after a predecessor that crashed: the next transaction builds them anew, or
    /// deletes them. Until then they stay as they are.
    pub fn doubt(&mut self) {
        self.installed = None;
    }

    /// Deletes the tables, whoever made them: at the end, and at the start for those of a crashed predecessor.
    pub fn remove(&mut self) -> io::Result<()> {
        self.read()?;
        self.wanted = Contents::default();
        self.installed = None;
        self.gave_up = false;
        self.flush()
    }

    /// Reads the kernel's answers without blocking and adds a text to `errors` for each failed transaction.
    ///
    /// Call when the socket is readable, and after [`set`](Self::set): answers read there are told here.
    pub fn read_answers(&mut self, errors: &mut Vec<String>) -> io::Result<()> {
        let done = self.flush();
        errors.append(&mut self.errors);
        done
    }

    /// Whether the kernel is known to hold what was set.
    pub fn settled(&self) -> bool {
        self.in_flight.is_none() && self.installed.as_ref() == Some(&self.wanted)
    }

    /// Sends what is missing. If the kernel is short of memory, the next call does.
    fn flush(&mut self) -> io::Result<()> {
        self.read()?;
        // A difference that fails is followed by one attempt to build anew, and that by one without virtual MACs.
        for _ in 0..3 {
            if self.in_flight.is_some() || self.gave_up || self.settled() {
                break;
            }
            let batch = self.tables.batch(&mut self.socket, self.installed.as_ref(), &self.wanted);
            match self.socket.send(&batch.bytes) {
                Ok(()) => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS)) => return Ok(()),
                Err(error) => return Err(error),
            }
            self.in_flight = Some(Transaction {
                first: batch.first,
                last: batch.last,
                target: self.wanted.clone(),
                anew: self.installed.is_none(),
                error: None,
            });
            self.read()?;
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        loop {
            let mut answers = Vec::new();
            match self.socket.receive()? {
                Arrival::Nothing => return Ok(()),
                Arrival::Overrun => self.finish(Some("the kernel's answer was lost".to_owned())),
                Arrival::Messages(messages) => {
                    answers.extend(messages.filter_map(|message| Some((message.sequence, message.answer()?))));
                }
            }
            answers.into_iter().for_each(|(sequence, answer)| self.hear(sequence, answer));
        }
    }

    fn hear(&mut self, sequence: u32, answer: Answer) {
        let Some(transaction) = &mut self.in_flight else { return };
        let length = transaction.last.wrapping_sub(transaction.first);
        if sequence.wrapping_sub(transaction.first) > length {
            return;
        }
        if let Some(errno) = answer.errno {
            let reason = io::Error::from_raw_os_error(errno);
            let text = answer.text.map_or(reason.to_string(), |text| format!("{reason}: {text}"));
            transaction.error.get_or_insert(text);
        }
        // The last command is acknowledged even when an earlier one failed. What concerns the whole batch (no
        // privilege, no nftables, refused at commit) is told of its first message, and nothing follows.
        let whole_batch = sequence == transaction.first && answer.errno.is_some();
        if sequence == transaction.last || whole_batch {
            let error = transaction.error.take();
            self.finish(error);
        }
    }

    fn finish(&mut self, error: Option<String>) {
        let Some(transaction) = self.in_flight.take() else { return };
        match error {
            None => self.installed = Some(transaction.target),
            Some(error) => {
                self.installed = None;
                // The first failure of a difference heals itself; two in a row are for the operator.
                if !transaction.anew {
                    return;
                }
                let ported = !transaction.target.ports.is_empty();
                let what = if ported { "virtual MACs are not filtered, " } else { "" };
                self.errors.push(format!("{what}nftables table {}: {error}", self.tables.name));
                if ported {
                    self.portless = true;
                    self.wanted.ports.clear();
                } else {
                    self.gave_up = true;
                }
            }
        }
    }
}

/// Whether this kernel can have tables, as far as it tells without being asked for one: a question would make it load the
/// module.
pub fn may_have_tables() -> bool {
    // Without modules at all it is built in or missing.
    let Ok(loaded) = std::fs::read_to_string("/proc/modules") else { return true };
    let is_loaded = loaded.lines().any(|line| line.starts_with("nf_tables "));
    is_loaded || is_built_in("nf_tables.ko")
}

fn is_built_in(module: &str) -> bool {
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    let list = format!("/lib/modules/{}/modules.builtin", release.unwrap_or_default());
    let Ok(list) = std::fs::read_to_string(list) else { return false };
    list.lines().any(|line| line.rsplit('/').next() == Some(module))
}

/// Enough for tens of thousands of addresses in one transaction.
const BATCH_MAX: usize = 8 << 20;

impl AsRawFd for Firewall {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Firewall {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// How the tables look.
#[derive(Debug)]
struct Tables {
    name: String,
    priority: i32,
    counters: bool,
}

const INPUT: &str = "in";
const OUTPUT: &str = "out";
const ANYWHERE: &str = "vips";
const ON_INTERFACE: &str = "vips_link_local";

impl Tables {
    /// The transaction that leads from one state to another.
    fn batch(&self, socket: &mut Socket, before: Option<&Contents>, after: &Contents) -> Batch {
        let mut commands = Vec::new();
        for family in [Family::V4, Family::V6] {
            let before = before.map(|before| before.of(family));
            self.plan(family, before.as_ref(), &after.of(family), &mut commands);
        }
        Batch::new(socket, commands)
    }

    fn plan(&self, family: Family, before: Option<&Contents>, after: &Contents, commands: &mut Vec<Command>) {
        let was_empty = before.is_some_and(Contents::is_empty);
        let same_rules = |before: &Contents| before.ports.is_empty() == after.ports.is_empty();
        match before {
            Some(_) if was_empty && after.is_empty() => {}
            Some(before) if !was_empty && !after.is_empty() && same_rules(before) => {
                let gone: Vec<_> = before.blocks.difference(&after.blocks).collect();
                let new: Vec<_> = after.blocks.difference(&before.blocks).collect();
                self.elements(family, &gone, false, commands);
                self.elements(family, &new, true, commands);
                let gone: Vec<_> = before.ports.difference(&after.ports).collect();
                let new: Vec<_> = after.ports.difference(&before.ports).collect();
                self.port_elements(family, &gone, false, commands);
                self.port_elements(family, &new, true, commands);
            }
            _ => {
                self.clear(family, commands);
                if !after.is_empty() {
                    self.build(family, !after.ports.is_empty(), commands);
                    self.elements(family, &after.blocks.iter().collect::<Vec<_>>(), true, commands);
                    self.port_elements(family, &after.ports.iter().collect::<Vec<_>>(), true, commands);
                }
            }
        }
    }

    /// Deletes the table; makes it first, so that there is one to delete.
    fn clear(&self, family: Family, commands: &mut Vec<Command>) {
        commands.push(self.table(family));
        commands.push(Command {
            family,
            flags: 0,
            message: NfTablesMessage::DeleteTable(TableMessage {
                attributes: vec![TableAttribute::Name(self.name.clone())],
            }),
        });
    }

    fn build(&self, family: Family, ports: bool, commands: &mut Vec<Command>) {
        commands.push(self.table(family));
        if ports {
            self.port_sets(family, commands);
        }
        commands.push(self.set(family, ANYWHERE, 1, family.key_type(), family.length()));
        let (key_type, length) = (family.key_type() << TYPE_BITS | TYPE_INTERFACE, family.length() + INTERFACE);
        commands.push(self.set(family, ON_INTERFACE, 2, key_type, length));
        for (chain, hook, offset, interface) in [
            (INPUT, InetHookNumber::LocalIn, family.destination(), MetaKey::Iif),
            (OUTPUT, InetHookNumber::LocalOut, family.source(), MetaKey::Oif),
        ] {
            commands.push(self.chain(family, chain, hook));
            if ports && chain == OUTPUT {
                self.port_rules(family, commands);
            }
            if family == Family::V6 {
                commands.push(self.rule(family, chain, neighbour_discovery(), ACCEPT));
            }
            let with_interface = vec![
                load(NETWORK_HEADER, offset, family.length(), Register::Reg32_00),
                load_meta(interface, family.next_register()),
                look_up(ON_INTERFACE),
            ];
            commands.push(self.rule(family, chain, with_interface, DROP));
            let anywhere = vec![load(NETWORK_HEADER, offset, family.length(), Register::Reg32_00), look_up(ANYWHERE)];
            commands.push(self.rule(family, chain, anywhere, DROP));
        }
    }

    fn table(&self, family: Family) -> Command {
        let attributes = vec![TableAttribute::Name(self.name.clone())];
        Command { family, flags: NLM_F_CREATE, message: NfTablesMessage::NewTable(TableMessage { attributes }) }
    }

    fn set(&self, family: Family, name: &str, id: u32, key_type: u32, length: u32) -> Command {
        let attributes = vec![
            SetAttribute::Table(self.name.clone()),
            SetAttribute::Name(name.to_owned()),
            SetAttribute::KeyType(key_type),
            SetAttribute::KeyLen(length),
            SetAttribute::Id(id),
        ];
        Command { family, flags: NLM_F_CREATE, message: NfTablesMessage::NewSet(SetMessage { attributes }) }
    }

    fn chain(&self, family: Family, name: &str, hook: InetHookNumber) -> Command {
        let attributes = vec![
            ChainAttribute::Table(self.name.clone()),
            ChainAttribute::Name(name.to_owned()),
            ChainAttribute::Hook(vec![Hook::Number(hook.into()), Hook::Priority(self.priority.cast_unsigned())]),
            ChainAttribute::Policy(ACCEPT),
            ChainAttribute::Type("filter".to_owned()),
        ];
        Command { family, flags: NLM_F_CREATE, message: NfTablesMessage::NewChain(ChainMessage { attributes }) }
    }

    fn rule(&self, family: Family, chain: &str, mut expressions: Vec<Expressions>, verdict: u32) -> Command {
        if self.counters {
            expressions.push(Expressions::Other { expression_type: "counter".to_owned(), attributes: Vec::new() });
        }
        expressions.push(Expressions::Immediate(vec![
            Immediate::DestinationRegister(Register::Verdict),
            Immediate::Data(DataAttribute::Verdict(vec![VerdictAttribute::Code(Verdict::Other(verdict))])),
        ]));
        let attributes = vec![
            RuleAttribute::Table(self.name.clone()),
            RuleAttribute::Chain(chain.to_owned()),
            RuleAttribute::Expressions(
                expressions.into_iter().map(ListAttribute::<ExpressionAttribute>::from).collect(),
            ),
        ];
        let flags = NLM_F_CREATE | NLM_F_APPEND;
        Command { family, flags, message: NfTablesMessage::NewRule(RuleMessage { attributes }) }
    }

    fn elements(&self, family: Family, blocks: &[&Block], add: bool, commands: &mut Vec<Command>) {
        let (on_interface, anywhere): (Vec<&Block>, Vec<&Block>) =
            blocks.iter().copied().partition(|block| block.interface.is_some());
        for (set, blocks) in [(ANYWHERE, anywhere), (ON_INTERFACE, on_interface)] {
            for blocks in blocks.chunks(ELEMENTS_MAX) {
                let elements = blocks.iter().map(|block| {
                    let key = SetElementAttribute::Key(DataAttribute::Value(key(block)));
                    ListAttribute::Element(vec![key])
                });
                let message = SetElementMessage {
                    attributes: vec![
                        SetElementList::Table(self.name.clone()),
                        SetElementList::Set(set.to_owned()),
                        SetElementList::Elements(elements.collect()),
                    ],
                };
                commands.push(if add {
                    Command { family, flags: NLM_F_CREATE, message: NfTablesMessage::NewSetElement(message) }
                } else {
                    Command { family, flags: 0, message: NfTablesMessage::DeleteSetElement(message) }
                });
            }
        }
    }
}

/// An attribute is at most 64 KiB long; an element takes 36 bytes.
const ELEMENTS_MAX: usize = 1000;

/// Verdicts (NF_DROP, NF_ACCEPT) are also policies.
const DROP: u32 = 0;
const ACCEPT: u32 = 1;

/// Data types as the nft tool numbers them; the kernel only stores them. A concatenation is written six bits each.
const TYPE_IPV4: u32 = 7;
const TYPE_IPV6: u32 = 8;
const TYPE_INTERFACE: u32 = 20;
const TYPE_BITS: u32 = 6;

const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

/// Bytes of an interface index.
const INTERFACE: u32 = 4;

/// What the headers of the two families look like to a packet filter, in bytes.
impl Family {
    fn key_type(self) -> u32 {
        match self {
            Family::V4 => TYPE_IPV4,
            Family::V6 => TYPE_IPV6,
        }
    }

    fn length(self) -> u32 {
        match self {
            Family::V4 => 4,
            Family::V6 => 16,
        }
    }

    fn source(self) -> u32 {
        match self {
            Family::V4 => 12,
            Family::V6 => 8,
        }
    }

    fn destination(self) -> u32 {
        self.source() + self.length()
    }

    /// The register behind an address in [`Register::Reg32_00`]: the two make up one key.
    fn next_register(self) -> Register {
        match self {
            Family::V4 => Register::Reg32_01,
            Family::V6 => Register::Reg32_04,
        }
    }

    fn netfilter(self) -> NetfilterProtoFamily {
        match self {
            Family::V4 => NetfilterProtoFamily::IPv4,
            Family::V6 => NetfilterProtoFamily::IPv6,
        }
    }
}

fn key(block: &Block) -> Vec<u8> {
    let mut key = match block.address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    if let Some(interface) = block.interface {
        key.extend(interface.to_ne_bytes());
    }
    key
}

fn load(header: u32, offset: u32, length: u32, register: Register) -> Expressions {
    Expressions::Payload(vec![
        Payload::DestinationRegister(register),
        Payload::Base(header),
        Payload::Offset(offset),
        Payload::Len(length),
    ])
}

fn load_meta(key: MetaKey, register: Register) -> Expressions {
    Expressions::Meta(vec![Meta::DestinationRegister(register), Meta::Key(key)])
}

fn look_up(set: &str) -> Expressions {
    Expressions::Lookup(vec![Lookup::Set(set.to_owned()), Lookup::SourceRegister(Register::Reg32_00)])
}

fn compare(operator: Operator, byte: u8) -> Expressions {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg32_00),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(vec![byte])),
    ])
}

/// ICMPv6 types 135 and 136, neighbour solicitation and advertisement (RFC 4861 sections 4.3, 4.4).
fn neighbour_discovery() -> Vec<Expressions> {
    const ICMPV6: u8 = 58;
    vec![
        load_meta(MetaKey::L4Proto, Register::Reg32_00),
        compare(Operator::Equal, ICMPV6),
        load(TRANSPORT_HEADER, 0, 1, Register::Reg32_00),
        compare(Operator::GreatherThanEqual, 135),
        compare(Operator::LessThanEqual, 136),
    ]
}

/// One command of a transaction.
#[derive(Debug)]
struct Command {
    family: Family,
    flags: u16,
    message: NfTablesMessage,
}

/// A transaction as bytes, and the sequence numbers of its first message and its last command.
#[derive(Debug)]
struct Batch {
    bytes: Vec<u8>,
    first: u32,
    last: u32,
}

impl Batch {
    fn new(socket: &mut Socket, commands: Vec<Command>) -> Batch {
        let bracket = |message: ControlMessage| {
            let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, VERSION, NFTABLES);
            NetfilterMessage::new(header, NetfilterMessageInner::None(message))
        };
        let mut bytes = Vec::new();
        let first = socket.next_sequence();
        let mut last = first;
        socket::append(&mut bytes, bracket(ControlMessage::BatchBegin), NLM_F_REQUEST, first);
        let count = commands.len();
        for (n, command) in (1..).zip(commands) {
            last = socket.next_sequence();
            let header = NetfilterHeader::new(command.family.netfilter(), VERSION, 0);
            // Errors come for every command, asked for or not.
            let ack = if n == count { NLM_F_ACK } else { 0 };
            let message = NetfilterMessage::new(header, command.message);
            socket::append(&mut bytes, message, NLM_F_REQUEST | command.flags | ack, last);
        }
        socket::append(&mut bytes, bracket(ControlMessage::BatchEnd), NLM_F_REQUEST, socket.next_sequence());
        Batch { bytes, first, last }
    }
}

/// NFNETLINK_V0, and the subsystem number that a batch is for.
const VERSION: u8 = 0;
const NFTABLES: u16 = 10;
