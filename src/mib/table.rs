//! What an object is: a scalar, or a column of a table over rows.

use smallvec::SmallVec;

use super::sparse::Sparse;
use crate::bus::msg::Command;
use crate::clock::Instant;
use crate::store::{MibIndex, RowSet, Snapshot};
use crate::wire::value::Value;

/// A MIB module.
#[derive(Debug)]
pub struct Module {
    pub name: &'static str,
    /// What all ids of its objects stand below.
    pub root: &'static [u32],
}

/// A part of a module that is switched on and registered as one.
#[derive(Debug)]
pub struct Part {
    pub module: &'static Module,
    /// Below the module's root.
    pub root: &'static [u32],
    pub name: &'static str,
    /// Its line in sysORTable, as Keepalived writes it.
    pub capability: &'static str,
    pub scalars: &'static [Scalar],
    pub tables: &'static [&'static dyn AnyTable],
    pub notifications: &'static [Notification],
}

/// An object with one instance, `.0`.
#[derive(Debug)]
pub struct Scalar {
    /// Below the module's root.
    pub id: &'static [u32],
    pub name: &'static str,
    pub syntax: Syntax,
    pub help: &'static str,
    /// `None`: there is no instance now.
    pub get: fn(&Snapshot) -> Option<Value>,
}

/// A conceptual table; `R` is what it shows of one row.
#[derive(Debug)]
pub struct Table<R: 'static> {
    pub name: &'static str,
    /// Below the module's root; ends with the 1 of the entry.
    pub entry: &'static [u32],
    /// Names of the INDEX objects.
    pub index: &'static [&'static str],
    pub help: &'static str,
    pub rows: fn(&Snapshot) -> &RowSet<R>,
    /// In ascending order of their ids.
    pub columns: &'static [Column<R>],
}

#[derive(Debug)]
pub struct Column<R: 'static> {
    pub id: u32,
    pub name: &'static str,
    pub syntax: Syntax,
    pub access: Access,
    pub help: &'static str,
    /// `None`: this row has no such value; GET answers noSuchInstance and GETNEXT steps over it.
    pub get: fn(&R) -> Option<Value>,
    /// `None`: notWritable, whatever the module's MAX-ACCESS says.
    pub set: Option<Set<R>>,
}

impl<R> Column<R> {
    /// One that only shows something.
    pub const fn shown(
        id: u32,
        name: &'static str,
        syntax: Syntax,
        help: &'static str,
        get: fn(&R) -> Option<Value>,
    ) -> Column<R> {
        Column { id, name, syntax, access: Access::ReadOnly, help, get, set: None }
    }

    /// One that managers may create rows by, says the module; here it only shows something.
    pub const fn created(
        id: u32,
        name: &'static str,
        syntax: Syntax,
        help: &'static str,
        get: fn(&R) -> Option<Value>,
    ) -> Column<R> {
        Column { access: Access::ReadCreate, ..Column::shown(id, name, syntax, help, get) }
    }
}

/// What a SET asks of the row's owner, or why it cannot.
pub type Set<R> = fn(&Snapshot, &R, &Value) -> Result<Command, SetError>;

/// When a question is asked: some values are ages, and some are points on the scale of sysUpTime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    pub now: Instant,
    /// When sysUpTime was zero, as whoever asks counts it (RFC 3418).
    pub epoch: Instant,
}

impl Moment {
    /// A TimeStamp (RFC 2579): sysUpTime at `then`; zero for what happened before it began.
    pub fn stamp(&self, then: Instant) -> Value {
        Value::TimeTicks(ticks(self.epoch, then))
    }

    /// Hundredths of a second since `then`.
    pub fn since(&self, then: Instant) -> Value {
        Value::TimeTicks(ticks(then, self.now))
    }
}

/// Hundredths of a second; they wrap around after 497 days, as TimeTicks do.
fn ticks(from: Instant, to: Instant) -> u32 {
    let hundredths = to.nanos().saturating_sub(from.nanos()) / 10_000_000;
    (hundredths % (1 << 32)) as u32
}

/// A row set's index and what its columns show, seen at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    pub snapshot: &'a Snapshot,
    pub moment: Moment,
}

/// The SYNTAX clause of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syntax {
    /// With the textual convention taken apart: `TruthValue=INTEGER{true(1),false(2)}`.
    pub text: &'static str,
    pub base: Base,
}

/// The type that goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    Integer,
    OctetString,
    /// Gauge32 and Unsigned32 are one type (RFC 2578 section 7.1.11).
    Unsigned,
    Counter32,
    Counter64,
    IpAddress,
    TimeTicks,
}

/// MAX-ACCESS in the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
    ReadCreate,
}

impl Access {
    pub fn text(self) -> &'static str {
        match self {
            Access::ReadOnly => "read-only",
            Access::ReadWrite => "read-write",
            Access::ReadCreate => "read-create",
        }
    }
}

/// Why a SET cannot be done (RFC 3416 section 4.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetError {
    NoAccess,
    WrongType,
    WrongValue,
    NotWritable,
}

#[derive(Debug)]
pub struct Notification {
    /// Below the module's root.
    pub id: &'static [u32],
    pub name: &'static str,
    pub objects: &'static [&'static str],
    pub help: &'static str,
}

impl Syntax {
    pub const fn integer(text: &'static str) -> Syntax {
        Syntax { text, base: Base::Integer }
    }

    pub const INTEGER32: Syntax = Syntax::integer("Integer32");
    pub const INTERFACE_INDEX: Syntax = Syntax::integer("InterfaceIndex=Integer32(1..2147483647)");
    pub const ENABLED: Syntax = Syntax::integer("INTEGER{enabled(1),disabled(2)}");
    pub const TRUE_FALSE: Syntax = Syntax::integer("INTEGER{true(1),false(2)}");
    pub const TRUTH_VALUE: Syntax = Syntax::integer("TruthValue=INTEGER{true(1),false(2)}");
    pub const VRRP_STATE: Syntax =
        Syntax::integer("VrrpState=INTEGER{init(0),backup(1),master(2),fault(3),unknown(4),shutdown(5),deleted(6)}");
    pub const INET_ADDRESS_TYPE: Syntax =
        Syntax::integer("InetAddressType=INTEGER{unknown(0),ipv4(1),ipv6(2),ipv4z(3),ipv6z(4),dns(16)}");
    pub const INET_SCOPE_TYPE: Syntax = Syntax::integer(
        "InetScopeType=INTEGER{interfaceLocal(1),linkLocal(2),subnetLocal(3),adminLocal(4),siteLocal(5),organizationLocal(8),global(14)}",
    );
    pub const DISPLAY_STRING: Syntax =
        Syntax { text: "DisplayString=OCTET STRING(SIZE(0..255))", base: Base::OctetString };
    pub const INET_ADDRESS: Syntax = Syntax { text: "InetAddress=OCTET STRING(SIZE(0..255))", base: Base::OctetString };
    pub const UNSIGNED32: Syntax = Syntax { text: "Unsigned32", base: Base::Unsigned };
    pub const GAUGE32: Syntax = Syntax { text: "Gauge32", base: Base::Unsigned };
    pub const COUNTER32: Syntax = Syntax { text: "Counter32", base: Base::Counter32 };
    pub const COUNTER64: Syntax = Syntax { text: "Counter64", base: Base::Counter64 };
    pub const INET_PORT: Syntax = Syntax { text: "InetPortNumber=Unsigned32(0..65535)", base: Base::Unsigned };
    pub const PREFIX_LENGTH: Syntax =
        Syntax { text: "InetAddressPrefixLength=Unsigned32(0..2040)", base: Base::Unsigned };

    pub const IP_ADDRESS: Syntax = Syntax { text: "IpAddress", base: Base::IpAddress };
    pub const MAC_ADDRESS: Syntax = Syntax { text: "MacAddress=OCTET STRING(SIZE(6))", base: Base::OctetString };
    pub const TIME_TICKS: Syntax = Syntax { text: "TimeTicks", base: Base::TimeTicks };
    pub const TIME_STAMP: Syntax = Syntax { text: "TimeStamp=TimeTicks", base: Base::TimeTicks };
    pub const ROW_STATUS: Syntax = Syntax::integer(
        "RowStatus=INTEGER{active(1),notInService(2),notReady(3),createAndGo(4),createAndWait(5),destroy(6)}",
    );

    /// The numbers and names of an enumeration; empty for other syntaxes.
    pub fn names(&self) -> Vec<(i32, &'static str)> {
        let Some((_, inside)) = self.text.split_once('{') else { return vec![] };
        let entry = |entry: &'static str| {
            let (name, number) = entry.split_once('(')?;
            Some((number.strip_suffix(')')?.parse().ok()?, name))
        };
        inside.trim_end_matches('}').split(',').filter_map(entry).collect()
    }
}

/// What there is to know of a column without its rows.
#[derive(Debug, Clone, Copy)]
pub struct ColumnInfo {
    pub id: u32,
    pub name: &'static str,
    pub syntax: Syntax,
    pub access: Access,
    pub settable: bool,
    pub help: &'static str,
}

/// A [`Table`] whatever its rows are. Columns are named by their position in it.
pub trait AnyTable: Sync + std::fmt::Debug {
    fn name(&self) -> &'static str;
    fn entry(&self) -> &'static [u32];
    fn index(&self) -> &'static [&'static str];
    fn help(&self) -> &'static str;
    fn columns(&self) -> Vec<ColumnInfo>;
    fn get(&self, look: Look<'_>, column: usize, index: &[u32]) -> Option<Value>;
    /// The first value of the column behind `index`, or at it with `include`. `sparse` is this column's alone.
    fn next(
        &self,
        look: Look<'_>,
        column: usize,
        index: &[u32],
        include: bool,
        sparse: &Sparse,
    ) -> Option<(MibIndex, Value)>;
    fn set(&self, snapshot: &Snapshot, column: usize, index: &[u32], value: &Value) -> Result<Command, SetError>;
}

impl<R: std::fmt::Debug + Send + Sync> AnyTable for Table<R> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn entry(&self) -> &'static [u32] {
        self.entry
    }

    fn index(&self) -> &'static [&'static str] {
        self.index
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn columns(&self) -> Vec<ColumnInfo> {
        let info = |column: &Column<R>| ColumnInfo {
            id: column.id,
            name: column.name,
            syntax: column.syntax,
            access: column.access,
            settable: column.set.is_some(),
            help: column.help,
        };
        self.columns.iter().map(info).collect()
    }

    fn get(&self, look: Look<'_>, column: usize, index: &[u32]) -> Option<Value> {
        let row = (self.rows)(look.snapshot).get(index)?;
        (self.columns.get(column)?.get)(row)
    }

    fn next(
        &self,
        look: Look<'_>,
        column: usize,
        index: &[u32],
        include: bool,
        sparse: &Sparse,
    ) -> Option<(MibIndex, Value)> {
        let get = self.columns.get(column)?.get;
        let rows = (self.rows)(look.snapshot);
        let (index, value) = sparse.next(rows, rows.position(index, include), get)?;
        Some((SmallVec::from_slice(index), value))
    }

    fn set(&self, snapshot: &Snapshot, column: usize, index: &[u32], value: &Value) -> Result<Command, SetError> {
        let set = self.columns.get(column).and_then(|column| column.set).ok_or(SetError::NotWritable)?;
        let row = (self.rows)(snapshot).get(index).ok_or(SetError::NotWritable)?;
        set(snapshot, row, value)
    }
}

/// A [`Table`] with columns whose values depend on the time of the question.
#[derive(Debug)]
pub struct Clocked<R: 'static> {
    pub table: Table<R>,
    /// By the column's id; what the table itself says of such a column is not used.
    pub clocks: &'static [(u32, Clock<R>)],
}

/// A value that depends on the time of the question. Whether there is one depends on the row alone.
pub type Clock<R> = fn(&R, &Moment) -> Option<Value>;

impl<R> Clocked<R> {
    fn clock(&self, column: usize) -> Option<Clock<R>> {
        let id = self.table.columns.get(column)?.id;
        self.clocks.iter().find(|(of, _)| *of == id).map(|(_, clock)| *clock)
    }
}

impl<R: std::fmt::Debug + Send + Sync> AnyTable for Clocked<R> {
    fn name(&self) -> &'static str {
        self.table.name
    }

    fn entry(&self) -> &'static [u32] {
        self.table.entry
    }

    fn index(&self) -> &'static [&'static str] {
        self.table.index
    }

    fn help(&self) -> &'static str {
        self.table.help
    }

    fn columns(&self) -> Vec<ColumnInfo> {
        self.table.columns()
    }

    fn get(&self, look: Look<'_>, column: usize, index: &[u32]) -> Option<Value> {
        let Some(clock) = self.clock(column) else { return self.table.get(look, column, index) };
        clock((self.table.rows)(look.snapshot).get(index)?, &look.moment)
    }

    fn next(
        &self,
        look: Look<'_>,
        column: usize,
        index: &[u32],
        include: bool,
        sparse: &Sparse,
    ) -> Option<(MibIndex, Value)> {
        let Some(clock) = self.clock(column) else { return self.table.next(look, column, index, include, sparse) };
        let rows = (self.table.rows)(look.snapshot);
        let (index, value) = sparse.next(rows, rows.position(index, include), |row| clock(row, &look.moment))?;
        Some((SmallVec::from_slice(index), value))
    }

    fn set(&self, snapshot: &Snapshot, column: usize, index: &[u32], value: &Value) -> Result<Command, SetError> {
        self.table.set(snapshot, column, index, value)
    }
}
