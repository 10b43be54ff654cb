//! Edges as notifications.

use super::ROOT;
use super::vrrp::{INSTANCE_ENTRY, INSTANCE_STATE_CHANGE};
use crate::bus::msg::Edge;
use crate::store::Snapshot;
use crate::wire::oid::Oid;
use crate::wire::value::{Value, VarBind};

/// A notification without the two variables that begin every one: sysUpTime.0 and snmpTrapOID.0 come from who sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    pub oid: Oid,
    pub varbinds: Vec<VarBind>,
}

/// The notification that tells of `edge`; `None` unless both `enable_traps` and `enable_snmp_vrrp` are set.
///
/// The variables carry the number of the instance's row. Keepalived leaves it out and sends names of columns, which
/// are no instances (RFC 3416 section 4.2.6).
pub fn for_edge(edge: &Edge, snapshot: &Snapshot) -> Option<Trap> {
    let global = snapshot.global()?;
    if !global.snmp.traps || !global.snmp.vrrp {
        return None;
    }
    let root = Oid::new(ROOT);
    let Edge::Transition { instance, index, to, initial, .. } = edge else { return None };
    let column = |id, value| VarBind::new(root.with(INSTANCE_ENTRY).with(&[id, *index]), value);
    Some(Trap {
        oid: root.with(INSTANCE_STATE_CHANGE.id),
        varbinds: vec![
            column(2, Value::text(&instance.0)),
            column(4, Value::Integer(*to as i32)),
            column(5, Value::Integer(*initial as i32)),
            VarBind::new(root.with(&[1, 2, 0]), Value::text(&global.router_id)),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::rows::{Reason, State};
    use crate::clock::WallTime;
    use crate::mib::fixture;

    fn edge(to: State) -> Edge {
        Edge::Transition {
            instance: "VI_1".into(),
            index: 1,
            from: State::Backup,
            to,
            initial: State::Master,
            reason: Reason::MasterNoResponse,
            at: WallTime(0),
        }
    }

    #[test]
    fn a_transition_tells_name_state_initial_state_and_router_with_the_number_of_the_row() {
        let trap = for_edge(&edge(State::Shutdown), &fixture::seed()).unwrap();
        assert_eq!(trap.oid.to_string(), ".1.3.6.1.4.1.9586.100.5.2.10.0.2");
        let shown: Vec<_> = trap.varbinds.iter().map(fixture::line).collect();
        assert_eq!(
            shown,
            [
                r#".1.3.6.1.4.1.9586.100.5.2.3.1.2.1 = STRING: "VI_1""#,
                ".1.3.6.1.4.1.9586.100.5.2.3.1.4.1 = INTEGER: 5",
                ".1.3.6.1.4.1.9586.100.5.2.3.1.5.1 = INTEGER: 2",
                r#".1.3.6.1.4.1.9586.100.5.1.2.0 = STRING: "L1""#,
            ]
        );
    }

    #[test]
    fn without_enable_traps_there_are_none() {
        let quiet = fixture::seed_with(|global| global.snmp.traps = false);
        assert_eq!(for_edge(&edge(State::Master), &quiet), None);
    }
}
