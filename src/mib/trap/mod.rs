//! Edges as notifications: those of KEEPALIVED-MIB here, those of the RFC modules in `rfc.rs`.

mod rfc;
pub mod tally;

use super::ROOT;
use super::check::{
    QUORUM_STATE_CHANGE, SERVER_ENTRY, SERVER_STATE_CHANGE, SERVICE_ENTRY, protocol, quorum_status, service_type,
};
use super::value::{inet, inet_type, one_or_two};
use super::vrrp::{INSTANCE_ENTRY, INSTANCE_STATE_CHANGE, SYNC_GROUP_ENTRY, SYNC_GROUP_STATE_CHANGE};
use crate::bus::msg::Edge;
use crate::conf::model::{Global, ServiceKey, ServiceKind};
use crate::store::Snapshot;
use crate::wire::oid::Oid;
use crate::wire::value::{Value, VarBind};

/// A notification without the two variables that begin every one: sysUpTime.0 and snmpTrapOID.0 come from who sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    pub oid: Oid,
    pub varbinds: Vec<VarBind>,
}

impl Trap {
    /// Tells of a bad packet: strangers cause those, as many as they like.
    pub fn is_of_a_packet(&self) -> bool {
        rfc::is_of_a_packet(&self.oid)
    }
}

/// Which of the notifications that wait goes when there is no room: the oldest that a stranger's packet caused, so that such
/// packets push no change of a state out; else the oldest. `None`: there are none.
pub fn least_needed<'a>(mut waiting: impl Iterator<Item = &'a Trap>) -> Option<usize> {
    let first = waiting.next()?;
    let of_a_packet = std::iter::once(first).chain(waiting).position(Trap::is_of_a_packet);
    Some(of_a_packet.unwrap_or(0))
}

/// The notifications that tell of `edge`, in the order in which they are sent. None without `enable_traps`, and each only
/// with its module's `enable_snmp_...`.
///
/// The variables carry the numbers of rows as they were when it happened. Of KEEPALIVED-MIB's Keepalived leaves them out and sends names of
/// columns, which are no instances (RFC 3416 section 4.2.6).
pub fn for_edge(edge: &Edge, snapshot: &Snapshot) -> Vec<Trap> {
    let Some(global) = snapshot.global().filter(|global| global.snmp.traps) else { return vec![] };
    let notifications = [keepalived(edge, global), rfc::v2(edge, &global.snmp), rfc::v3(edge, &global.snmp)];
    notifications.into_iter().flatten().collect()
}

/// Those of KEEPALIVED-MIB.
fn keepalived(edge: &Edge, global: &Global) -> Option<Trap> {
    let (notification, mut varbinds) = match edge {
        Edge::Transition { .. } | Edge::SyncGroup { .. } if !global.snmp.vrrp => return None,
        Edge::Server { .. } | Edge::Quorum { .. } if !global.snmp.checker => return None,
        Edge::Transition { instance, index, to, initial, .. } => {
            let column = |id, value| variable(INSTANCE_ENTRY, id, &[*index], value);
            let varbinds = vec![
                column(2, Value::text(&instance.0)),
                column(4, Value::Integer(*to as i32)),
                column(5, Value::Integer(*initial as i32)),
            ];
            (INSTANCE_STATE_CHANGE, varbinds)
        }
        Edge::SyncGroup { group, index, to, .. } => {
            let column = |id, value| variable(SYNC_GROUP_ENTRY, id, &[*index], value);
            (SYNC_GROUP_STATE_CHANGE, vec![column(2, Value::text(group)), column(3, Value::Integer(*to as i32))])
        }
        Edge::BadPacket { .. } | Edge::Tracker { .. } => return None,
        Edge::Server { server, index: (service, row), up, servers_up, servers_total, .. } => {
            let column = |id, value| variable(SERVER_ENTRY, id, &[*service, *row], value);
            let mut varbinds = vec![
                column(3, inet_type(server.address)),
                column(4, inet(server.address)),
                column(5, Value::Gauge32(server.port.into())),
                column(6, one_or_two(*up)),
            ];
            varbinds.extend(named(&server.service, *service));
            varbinds.extend(counted(*service, *servers_up, *servers_total));
            (SERVER_STATE_CHANGE, varbinds)
        }
        Edge::Quorum { service, index, status, quorum, servers_up, servers_total, .. } => {
            let mut varbinds = named(service, *index);
            varbinds.push(variable(SERVICE_ENTRY, 23, &[*index], quorum_status(*status)));
            varbinds.push(variable(SERVICE_ENTRY, 22, &[*index], Value::Gauge32(*quorum)));
            varbinds.extend(counted(*index, *servers_up, *servers_total));
            (QUORUM_STATE_CHANGE, varbinds)
        }
    };
    let root = Oid::new(ROOT);
    varbinds.push(VarBind::new(root.with(&[1, 2, 0]), Value::text(&global.router_id)));
    Some(Trap { oid: root.with(notification.id), varbinds })
}

fn variable(entry: &[u32], column: u32, index: &[u32], value: Value) -> VarBind {
    VarBind::new(Oid::new(ROOT).with(entry).with(&[column]).with(index), value)
}

/// virtualServerType, what names a virtual server of that type, and its protocol; the module's OBJECTS leave the
/// middle part out.
fn named(service: &ServiceKey, row: u32) -> Vec<VarBind> {
    let column = |id, value| variable(SERVICE_ENTRY, id, &[row], value);
    let mut varbinds = vec![column(2, Value::Integer(service_type(service)))];
    match &service.kind {
        ServiceKind::Group(name) => varbinds.push(column(3, Value::text(name))),
        ServiceKind::Mark { mark, .. } => varbinds.push(column(4, Value::Gauge32(*mark))),
        ServiceKind::Address { address, port } => {
            varbinds.push(column(5, inet_type(*address)));
            varbinds.push(column(6, inet(*address)));
            varbinds.push(column(7, Value::Gauge32((*port).into())));
        }
    }
    varbinds.push(column(8, protocol(service)));
    varbinds
}

fn counted(row: u32, up: u32, total: u32) -> [VarBind; 2] {
    [(21, up), (20, total)].map(|(id, count)| variable(SERVICE_ENTRY, id, &[row], Value::Gauge32(count)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::msg::QuorumStatus;
    use crate::bus::rows::{Reason, State};
    use crate::clock::WallTime;
    use crate::conf::model::{Family, Protocol, ServerKey};
    use crate::mib::fixture;

    fn edge(to: State) -> Edge {
        Edge::Transition {
            instance: "VI_1".into(),
            index: 1,
            from: State::Backup,
            to,
            initial: State::Master,
            reason: Reason::MasterNoResponse,
            new_master: None,
            at: WallTime(0),
        }
    }

    fn one(edge: &Edge, snapshot: &Snapshot) -> Trap {
        let mut traps = for_edge(edge, snapshot);
        assert_eq!(traps.len(), 1);
        traps.remove(0)
    }

    #[test]
    fn a_transition_tells_name_state_initial_state_and_router_with_the_number_of_the_row() {
        let trap = one(&edge(State::Shutdown), &fixture::seed());
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
        assert_eq!(for_edge(&edge(State::Master), &quiet), []);
    }

    /// The varbinds of a trap, below the check group, as the recordings print them.
    fn shown(edge: &Edge) -> (String, Vec<String>) {
        let trap = one(edge, &fixture::seed());
        let below = |text: String| text.replace(".1.3.6.1.4.1.9586.100.5", "");
        (below(trap.oid.to_string()), trap.varbinds.iter().map(|varbind| below(fixture::line(varbind))).collect())
    }

    fn service(kind: ServiceKind, protocol: Option<Protocol>) -> ServiceKey {
        ServiceKey { kind, protocol }
    }

    fn quorum(service: ServiceKey, status: QuorumStatus) -> Edge {
        Edge::Quorum { service, index: 4, status, quorum: 3, servers_up: 1, servers_total: 2, at: WallTime(0) }
    }

    #[test]
    fn a_real_server_that_leaves_is_told_with_its_address_and_with_what_names_its_virtual_server() {
        let address = "2001:db8:70::30".parse().unwrap();
        let of = service(ServiceKind::Address { address, port: 80 }, Some(Protocol::Tcp));
        let edge = Edge::Server {
            server: ServerKey { service: of, address: "10.71.0.10".parse().unwrap(), port: 8080, sorry: false },
            index: (5, 2),
            up: false,
            servers_up: 1,
            servers_total: 2,
            reason: "HTTP status 503".to_owned(),
            at: WallTime(0),
        };
        let (oid, varbinds) = shown(&edge);
        assert_eq!(oid, ".3.5.0.1");
        assert_eq!(
            varbinds,
            [
                ".3.4.1.3.5.2 = INTEGER: 1",
                ".3.4.1.4.5.2 = Hex-STRING: 0A 47 00 0A ",
                ".3.4.1.5.5.2 = Gauge32: 8080",
                ".3.4.1.6.5.2 = INTEGER: 2",
                ".3.3.1.2.5 = INTEGER: 2",
                ".3.3.1.5.5 = INTEGER: 2",
                ".3.3.1.6.5 = Hex-STRING: 20 01 0D B8 00 70 00 00 00 00 00 00 00 00 00 30 ",
                ".3.3.1.7.5 = Gauge32: 80",
                ".3.3.1.8.5 = INTEGER: 1",
                ".3.3.1.21.5 = Gauge32: 1",
                ".3.3.1.20.5 = Gauge32: 2",
                ".1.2.0 = STRING: \"L1\"",
            ]
        );
    }

    #[test]
    fn a_quorum_is_told_with_the_protocol_as_it_is_also_for_sctp_and_marks() {
        let group = service(ServiceKind::Group("G_SIX".to_owned()), Some(Protocol::Sctp));
        let (oid, varbinds) = shown(&quorum(group, QuorumStatus::NotMet));
        assert_eq!(oid, ".3.5.0.2");
        assert_eq!(
            varbinds,
            [
                ".3.3.1.2.4 = INTEGER: 3",
                ".3.3.1.3.4 = STRING: \"G_SIX\"",
                ".3.3.1.8.4 = INTEGER: 3",
                ".3.3.1.23.4 = INTEGER: 2",
                ".3.3.1.22.4 = Gauge32: 3",
                ".3.3.1.21.4 = Gauge32: 1",
                ".3.3.1.20.4 = Gauge32: 2",
                ".1.2.0 = STRING: \"L1\"",
            ]
        );
        let mark = service(ServiceKind::Mark { mark: 3, family: Family::V4 }, None);
        let (_, varbinds) = shown(&quorum(mark, QuorumStatus::Shutdown));
        assert_eq!(
            varbinds[..4],
            [
                ".3.3.1.2.4 = INTEGER: 1",
                ".3.3.1.4.4 = Gauge32: 3",
                ".3.3.1.8.4 = INTEGER: 4",
                ".3.3.1.23.4 = INTEGER: 3",
            ]
        );
    }

    #[test]
    fn each_engines_notifications_need_its_own_directive() {
        let mark = || service(ServiceKind::Mark { mark: 3, family: Family::V4 }, None);
        let told = |vrrp, checker| {
            let snapshot = fixture::seed_with(|global| (global.snmp.vrrp, global.snmp.checker) = (vrrp, checker));
            [edge(State::Master), quorum(mark(), QuorumStatus::Met)].map(|edge| !for_edge(&edge, &snapshot).is_empty())
        };
        assert_eq!(told(true, false), [true, false]);
        assert_eq!(told(false, true), [false, true]);
    }
}
