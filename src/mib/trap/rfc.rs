//! Notifications of VRRP-MIB and VRRPV3-MIB. Their variables carry the numbers that the tables use, of the base interface.

use super::Trap;
use crate::bus::msg::{Edge, PacketFault};
use crate::conf::model::Snmp;
use crate::mib::rfc::{v2, v3};
use crate::mib::table::{Module, Notification};
use crate::mib::value::inet;
use crate::store::{rfc_v2_index, rfc_v3_index};
use crate::wire::oid::Oid;
use crate::wire::value::{Value, VarBind};

/// Those of VRRP-MIB.
pub(super) fn v2(edge: &Edge, snmp: &Snmp) -> Option<Trap> {
    if !snmp.rfcv2 {
        return None;
    }
    let variable = |id: &[u32], index: &[u32], value| VarBind::new(name(&v2::MODULE, id).with(index), value);
    match edge {
        Edge::Transition { new_master: Some(told), .. } => {
            let index = rfc_v2_index(&told.router)?;
            let address =
                variable(&column(v2::OPER_ENTRY, v2::MASTER_IP_ADDR), &index, v2::ip_address(Some(told.primary)));
            Some(trap(&v2::MODULE, &v2::NEW_MASTER, vec![address]))
        }
        Edge::BadPacket { router, source, fault: PacketFault::Auth(error), .. } => {
            let index = rfc_v2_index(router)?;
            let varbinds = vec![
                variable(v2::TRAP_PACKET_SRC, &index, v2::ip_address(Some(*source))),
                variable(v2::TRAP_AUTH_ERROR_TYPE, &index, Value::Integer(*error as i32)),
            ];
            Some(trap(&v2::MODULE, &v2::AUTH_FAILURE, varbinds))
        }
        _ => None,
    }
}

/// Those of VRRPV3-MIB.
pub(super) fn v3(edge: &Edge, snmp: &Snmp) -> Option<Trap> {
    if !snmp.rfcv3 {
        return None;
    }
    let variable =
        |entry, id, index: &[u32], value| VarBind::new(name(&v3::MODULE, &column(entry, id)).with(index), value);
    match edge {
        Edge::Transition { new_master: Some(told), .. } => {
            let index = rfc_v3_index(&told.router)?;
            let varbinds = vec![
                variable(v3::OPERATIONS_ENTRY, v3::MASTER_IP_ADDR, &index, inet(told.primary)),
                variable(v3::STATISTICS_ENTRY, v3::NEW_MASTER_REASON, &index, Value::Integer(told.reason as i32)),
            ];
            Some(trap(&v3::MODULE, &v3::NEW_MASTER, varbinds))
        }
        Edge::BadPacket { router, fault: PacketFault::Protocol(error), .. } => {
            let index = rfc_v3_index(router)?;
            let reason = Value::Integer(*error as i32);
            let varbinds = vec![variable(v3::STATISTICS_ENTRY, v3::PROTO_ERR_REASON, &index, reason)];
            Some(trap(&v3::MODULE, &v3::PROTO_ERROR, varbinds))
        }
        _ => None,
    }
}

pub(super) fn is_of_a_packet(oid: &Oid) -> bool {
    let is = |module: &Module, notification: &Notification| oid.below(module.root) == Some(notification.id);
    is(&v2::MODULE, &v2::AUTH_FAILURE) || is(&v3::MODULE, &v3::PROTO_ERROR)
}

fn trap(module: &Module, notification: &Notification, varbinds: Vec<VarBind>) -> Trap {
    Trap { oid: name(module, notification.id), varbinds }
}

fn name(module: &Module, below: &[u32]) -> Oid {
    Oid::new(module.root).with(below)
}

fn column(entry: &[u32], id: u32) -> Vec<u32> {
    [entry, &[id]].concat()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::bus::msg::{NewMaster, RouterId};
    use crate::bus::rows::{AuthError, MasterReason, ProtocolError, Reason, State};
    use crate::clock::WallTime;
    use crate::conf::model::{Family, Global, Version};
    use crate::mib::fixture;
    use crate::mib::trap::for_edge;

    const V4: RouterId =
        RouterId { interface_index: Some(10), vrid: 61, family: Family::V4, version: Version::V2, advertises: true };

    fn v6() -> RouterId {
        RouterId { vrid: 51, family: Family::V6, version: Version::V3, ..V4 }
    }

    fn master(router: RouterId, primary: &str, reason: MasterReason) -> Edge {
        let primary: IpAddr = primary.parse().unwrap();
        Edge::Transition {
            instance: "VI_1".into(),
            index: 3,
            from: State::Backup,
            to: State::Master,
            initial: State::Backup,
            reason: Reason::MasterNoResponse,
            new_master: Some(NewMaster { router, primary, reason }),
            at: WallTime(0),
        }
    }

    fn bad(router: RouterId, fault: PacketFault) -> Edge {
        let source = "10.61.0.2".parse().unwrap();
        Edge::BadPacket { instance: "VI_1".into(), router, source, fault, unreported: 5, at: WallTime(0) }
    }

    /// Ids and varbinds as the recordings print them; those of KEEPALIVED-MIB by their id alone.
    fn told_with(edge: &Edge, change: impl FnOnce(&mut Global)) -> Vec<String> {
        let mut lines = vec![];
        for trap in for_edge(edge, &fixture::seed_with(change)) {
            lines.push(trap.oid.to_string());
            if !lines.last().unwrap().contains(".9586.") {
                lines.extend(trap.varbinds.iter().map(fixture::line));
            }
        }
        lines
    }

    fn told(edge: &Edge) -> Vec<String> {
        told_with(edge, |global| global.snmp = fixture::snmp_all())
    }

    const KEEPALIVED: &str = ".1.3.6.1.4.1.9586.100.5.2.10.0.2";

    #[test]
    fn a_new_master_is_told_by_each_module_that_knows_it_in_the_order_of_keepalived() {
        let of_v3 = [
            ".1.3.6.1.2.1.207.0.1",
            ".1.3.6.1.2.1.207.1.1.1.1.3.10.61.1 = Hex-STRING: 0A 3D 00 01 ",
            ".1.3.6.1.2.1.207.1.2.5.1.2.10.61.1 = INTEGER: 3",
        ];
        let of_v2 = [".1.3.6.1.2.1.68.0.1", ".1.3.6.1.2.1.68.1.3.1.7.10.61 = IpAddress: 10.61.0.1"];
        let all = [&[KEEPALIVED][..], &of_v2, &of_v3].concat();
        assert_eq!(told(&master(V4, "10.61.0.1", MasterReason::MasterNoResponse)), all);
        let version_3 = RouterId { version: Version::V3, ..V4 };
        let without_v2 = [&[KEEPALIVED][..], &of_v3].concat();
        assert_eq!(told(&master(version_3, "10.61.0.1", MasterReason::MasterNoResponse)), without_v2);
        assert_eq!(
            told(&master(v6(), "fe80::ff:fe00:910", MasterReason::Priority)),
            [
                KEEPALIVED,
                ".1.3.6.1.2.1.207.0.1",
                ".1.3.6.1.2.1.207.1.1.1.1.3.10.51.2 = Hex-STRING: FE 80 00 00 00 00 00 00 00 00 00 FF FE 00 09 10 ",
                ".1.3.6.1.2.1.207.1.2.5.1.2.10.51.2 = INTEGER: 1",
            ]
        );
    }

    #[test]
    fn a_router_without_an_interface_or_an_advertised_address_is_unknown_to_the_rfc_modules() {
        for router in [RouterId { interface_index: None, ..V4 }, RouterId { advertises: false, ..V4 }] {
            assert_eq!(told(&master(router, "10.61.0.1", MasterReason::Preempted)), [KEEPALIVED]);
            assert_eq!(told(&bad(router, PacketFault::Auth(AuthError::Failure))), [""; 0]);
            assert_eq!(told(&bad(router, PacketFault::Protocol(ProtocolError::Ttl))), [""; 0]);
        }
    }

    #[test]
    fn an_authentication_error_is_told_with_where_the_packet_came_from_and_the_routers_numbers() {
        for (error, number) in [(AuthError::InvalidType, 1), (AuthError::TypeMismatch, 2), (AuthError::Failure, 3)] {
            assert_eq!(
                told(&bad(V4, PacketFault::Auth(error))),
                [
                    ".1.3.6.1.2.1.68.0.2".to_owned(),
                    ".1.3.6.1.2.1.68.1.5.10.61 = IpAddress: 10.61.0.2".to_owned(),
                    format!(".1.3.6.1.2.1.68.1.6.10.61 = INTEGER: {number}"),
                ]
            );
        }
    }

    #[test]
    fn a_protocol_error_is_told_of_routers_of_version_2_too() {
        for (error, number) in [(ProtocolError::Ttl, 1), (ProtocolError::Version, 2), (ProtocolError::Checksum, 3)] {
            assert_eq!(
                told(&bad(V4, PacketFault::Protocol(error))),
                [".1.3.6.1.2.1.207.0.2".to_owned(), format!(".1.3.6.1.2.1.207.1.2.5.1.6.10.61.1 = INTEGER: {number}"),]
            );
        }
    }

    #[test]
    fn each_module_needs_its_directive_and_all_need_enable_traps() {
        let edge = master(V4, "10.61.0.1", MasterReason::Preempted);
        let ids = |vrrp, rfcv2, rfcv3, traps| {
            let snmp = Snmp { vrrp, rfcv2, rfcv3, traps, ..Snmp::default() };
            let lines = told_with(&edge, |global| global.snmp = snmp);
            lines.into_iter().filter(|line| !line.contains('=')).collect::<Vec<_>>()
        };
        assert_eq!(ids(true, false, false, true), [KEEPALIVED]);
        assert_eq!(ids(false, true, false, true), [".1.3.6.1.2.1.68.0.1"]);
        assert_eq!(ids(false, false, true, true), [".1.3.6.1.2.1.207.0.1"]);
        assert_eq!(ids(true, true, true, false), [""; 0]);
    }
}
