//! Rust values as the MIB shows them.

use std::net::IpAddr;
use std::time::Duration;

use crate::bus::rows::State;
use crate::wire::value::Value;

/// `true(1)`, `enabled(1)`, `set(1)`, ... against the 2 of its opposite.
pub fn one_or_two(yes: bool) -> Value {
    Value::Integer(if yes { 1 } else { 2 })
}

/// InetAddressType; zones are never shown, so only ipv4(1) and ipv6(2) occur.
pub fn inet_type(address: IpAddr) -> Value {
    Value::Integer(if address.is_ipv4() { 1 } else { 2 })
}

/// InetAddress: 4 or 16 octets in network order.
pub fn inet(address: IpAddr) -> Value {
    Value::OctetString(match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    })
}

pub fn optional_text(text: Option<&String>) -> Option<Value> {
    text.map(|text| Value::text(text))
}

/// VrrpState in a table: what only traps may say is unknown(4).
pub fn state(state: State) -> Value {
    Value::Integer(match state {
        State::Init | State::Backup | State::Master | State::Fault => state as i32,
        State::Shutdown | State::Deleted => 4,
    })
}

/// Whole seconds, rounded down.
pub fn seconds(duration: Duration) -> Value {
    Value::Gauge32(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))
}

/// Interface numbers of the kernel are positive 32-bit signed numbers.
pub fn interface_index(index: u32) -> Option<Value> {
    i32::try_from(index).ok().map(Value::Integer)
}
