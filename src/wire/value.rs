//! Values of SNMP variables (RFC 3416 section 3), as AgentX carries them.

use super::oid::Oid;

/// One value, or one of the three exceptions that stand in its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    Integer(i32),
    OctetString(Vec<u8>),
    Null,
    ObjectIdentifier(Oid),
    /// Four octets in practice; RFC 2741 carries them as an octet string.
    IpAddress(Vec<u8>),
    Counter32(u32),
    /// Also Unsigned32.
    Gauge32(u32),
    /// Hundredths of a second.
    TimeTicks(u32),
    Opaque(Vec<u8>),
    Counter64(u64),
    /// No object of that name is known here.
    NoSuchObject,
    /// The object is known and has no such instance.
    NoSuchInstance,
    /// Nothing follows.
    EndOfMibView,
}

impl Value {
    /// A `DisplayString`.
    pub fn text(text: &str) -> Value {
        Value::OctetString(text.as_bytes().to_vec())
    }

    /// Whether this stands in place of a value.
    pub fn is_exception(&self) -> bool {
        matches!(self, Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView)
    }
}

/// A variable: its name and its value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VarBind {
    pub name: Oid,
    pub value: Value,
}

impl VarBind {
    pub fn new(name: Oid, value: Value) -> Self {
        VarBind { name, value }
    }
}
