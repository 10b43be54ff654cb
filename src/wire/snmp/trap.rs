//! Notifications in the words of SNMPv1 (RFC 3584 section 3.2).

use std::net::Ipv4Addr;

use super::TrapV1;
use crate::wire::oid::Oid;
use crate::wire::value::{Value, VarBind};

/// sysUpTime.0
pub const SYS_UP_TIME: &[u32] = &[1, 3, 6, 1, 2, 1, 1, 3, 0];
/// snmpTrapOID.0
pub const SNMP_TRAP_OID: &[u32] = &[1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];
/// snmpTrapEnterprise.0
pub const SNMP_TRAP_ENTERPRISE: &[u32] = &[1, 3, 6, 1, 6, 3, 1, 1, 4, 3, 0];
/// snmpTraps: coldStart (1) to egpNeighborLoss (6) stand below it.
pub const SNMP_TRAPS: &[u32] = &[1, 3, 6, 1, 6, 3, 1, 1, 5];

/// The generic trap of everything that is not one of the first six.
const ENTERPRISE_SPECIFIC: i32 = 6;

impl TrapV1 {
    /// The notification `oid` with its variables (without sysUpTime.0 and snmpTrapOID.0). `None`: it cannot be said in
    /// SNMPv1, because a variable is a Counter64, and is not sent (RFC 3584 section 3.2, step 6).
    pub fn from_v2(oid: &Oid, varbinds: &[VarBind], uptime: u32, agent: Ipv4Addr) -> Option<TrapV1> {
        if varbinds.iter().any(|varbind| matches!(varbind.value, Value::Counter64(_)) || varbind.value.is_exception()) {
            return None;
        }
        let (enterprise, generic, specific) = match (oid.below(SNMP_TRAPS), &oid[..]) {
            (Some([number @ 1..=6]), _) => (standard_enterprise(varbinds), (*number - 1) as i32, 0),
            (_, [enterprise @ .., 0, last]) => (Oid::new(enterprise), ENTERPRISE_SPECIFIC, *last as i32),
            (_, [enterprise @ .., last]) => (Oid::new(enterprise), ENTERPRISE_SPECIFIC, *last as i32),
            (_, []) => return None,
        };
        Some(TrapV1 { enterprise, agent, generic, specific, uptime, varbinds: varbinds.to_vec() })
    }
}

fn standard_enterprise(varbinds: &[VarBind]) -> Oid {
    let named = varbinds.iter().find(|varbind| varbind.name[..] == *SNMP_TRAP_ENTERPRISE);
    match named.map(|varbind| &varbind.value) {
        Some(Value::ObjectIdentifier(oid)) => oid.clone(),
        _ => Oid::new(SNMP_TRAPS),
    }
}
