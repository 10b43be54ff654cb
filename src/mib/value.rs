//! Rust values as the MIB shows them.

use std::net::IpAddr;
use std::time::Duration;

use crate::bus::rows::State;
use crate::conf::model::{Forwarding, Script, Tunnel, TunnelChecksum};
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

pub fn script(script: Option<&Script>) -> Option<Value> {
    script.map(|script| Value::text(&script.text))
}

/// The file that is executed.
pub fn script_path(script: Option<&Script>) -> Option<Value> {
    script.map(|script| Value::text(&script.path))
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

/// Whole seconds of so many microseconds.
pub fn seconds_of_us(us: u64) -> Value {
    seconds(Duration::from_micros(us))
}

/// Microseconds; more than 71 minutes show as the most that fits.
pub fn micros(us: u64) -> Value {
    Value::Gauge32(u32::try_from(us).unwrap_or(u32::MAX))
}

/// Weights go up to 2,147,483,647.
pub fn weight(weight: u32) -> Value {
    Value::Integer(i32::try_from(weight).unwrap_or(i32::MAX))
}

/// The low 32 bits.
pub fn low(count: u64) -> Value {
    Value::Gauge32(low_half(count))
}

/// The high 32 bits.
pub fn high(count: u64) -> Value {
    Value::Gauge32(low_half(count >> 32))
}

/// Counters wrap around (RFC 2578 section 7.1.6).
pub fn counter32(count: u64) -> Value {
    Value::Counter32(low_half(count))
}

fn low_half(count: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = count.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// A netmask in host order as InetAddress.
pub fn mask(mask: u32) -> Value {
    inet(std::net::Ipv4Addr::from_bits(mask).into())
}

pub fn forwarding(forwarding: Forwarding) -> Value {
    Value::Integer(match forwarding {
        Forwarding::Nat => 1,
        Forwarding::Direct => 2,
        Forwarding::Tunnel(_) => 3,
    })
}

/// Of tunnels only.
pub fn tunnel_type(forwarding: Forwarding) -> Option<Value> {
    let Forwarding::Tunnel(tunnel) = forwarding else { return None };
    Some(Value::Integer(match tunnel {
        Tunnel::Ipip => 1,
        Tunnel::Gue { .. } => 2,
        Tunnel::Gre { .. } => 3,
    }))
}

/// Of GUE only.
pub fn tunnel_port(forwarding: Forwarding) -> Option<Value> {
    let Forwarding::Tunnel(Tunnel::Gue { port, .. }) = forwarding else { return None };
    Some(Value::Gauge32(port.into()))
}

/// Of GUE and GRE only.
pub fn tunnel_checksum(forwarding: Forwarding) -> Option<Value> {
    let Forwarding::Tunnel(Tunnel::Gue { checksum, .. } | Tunnel::Gre { checksum }) = forwarding else { return None };
    Some(Value::Integer(match checksum {
        TunnelChecksum::None => 1,
        TunnelChecksum::Checksum => 2,
        TunnelChecksum::Remote => 3,
    }))
}
