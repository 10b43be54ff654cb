//! What must not leave by a virtual MAC's interface.
//!
//! A switch learns where a MAC is from whatever it sends. A backup's interface that reports its group memberships would
//! draw the virtual MAC's traffic to the backup, so reports (IGMP, MLDv2) leave by the interface below, as a copy, and the
//! original is dropped; router solicitations are only dropped. The rules are Keepalived's.

use netlink_packet_core::{DefaultNla, NLM_F_CREATE};
use netlink_packet_netfilter::nftables::{
    DataAttribute, Expressions, ListAttribute, Lookup, MetaKey, NfTablesMessage, Operator, Register, SetAttribute,
    SetElementAttribute, SetElementList, SetElementMessage, SetFlags, SetMessage,
};

use super::{
    Command, DROP, ELEMENTS_MAX, INTERFACE, NETWORK_HEADER, OUTPUT, Port, TRANSPORT_HEADER, TYPE_INTERFACE, Tables,
    compare, load, load_meta,
};
use crate::conf::model::Family;

const BASES: &str = "vmac_map";
const INTERFACES: &str = "vmac_set";

/// Tells nft that keys and values are numbers of this host, so that it shows them as names: type, length, and one for
/// host order, in the form of libnftnl.
const HOST_ORDER: [[u8; 6]; 2] = [[0, 4, 1, 0, 0, 0], [1, 4, 1, 0, 0, 0]];

impl Tables {
    pub(super) fn port_sets(&self, family: Family, commands: &mut Vec<Command>) {
        let attributes = vec![
            SetAttribute::Table(self.name.clone()),
            SetAttribute::Name(BASES.to_owned()),
            SetAttribute::Flags(SetFlags::Map),
            SetAttribute::KeyType(TYPE_INTERFACE),
            SetAttribute::KeyLen(INTERFACE),
            SetAttribute::DataType(TYPE_INTERFACE),
            SetAttribute::DataLen(INTERFACE),
            SetAttribute::Id(3),
            SetAttribute::UserData(HOST_ORDER.concat()),
        ];
        commands.push(Command {
            family,
            flags: NLM_F_CREATE,
            message: NfTablesMessage::NewSet(SetMessage { attributes }),
        });
        if family == Family::V6 {
            let mut set = self.set(family, INTERFACES, 4, TYPE_INTERFACE, INTERFACE);
            if let NfTablesMessage::NewSet(message) = &mut set.message {
                message
                    .attributes
                    .push(SetAttribute::UserData(HOST_ORDER.first().into_iter().flatten().copied().collect()));
            }
            commands.push(set);
        }
    }

    pub(super) fn port_rules(&self, family: Family, commands: &mut Vec<Command>) {
        let mut by_base = match family {
            Family::V4 => igmp(),
            Family::V6 => icmpv6(MLD2_REPORT),
        };
        by_base.push(load(NETWORK_HEADER, family.destination(), family.length(), Register::Reg32_00));
        by_base.push(load_meta(MetaKey::Oif, family.next_register()));
        by_base.push(Expressions::Lookup(vec![
            Lookup::Set(BASES.to_owned()),
            Lookup::SourceRegister(family.next_register()),
            Lookup::DestinationRegister(family.next_register()),
        ]));
        by_base.push(duplicate(Register::Reg32_00, family.next_register()));
        commands.push(self.rule(family, OUTPUT, by_base, DROP));
        if family == Family::V6 {
            let mut solicitation = icmpv6(ROUTER_SOLICITATION);
            solicitation.push(load_meta(MetaKey::Oif, Register::Reg32_00));
            solicitation.push(super::look_up(INTERFACES));
            commands.push(self.rule(family, OUTPUT, solicitation, DROP));
        }
    }

    pub(super) fn port_elements(&self, family: Family, ports: &[&Port], add: bool, commands: &mut Vec<Command>) {
        let sets: &[&str] = if family == Family::V6 { &[BASES, INTERFACES] } else { &[BASES] };
        for set in sets {
            for ports in ports.chunks(ELEMENTS_MAX) {
                let index = |index: u32| DataAttribute::Value(index.to_ne_bytes().to_vec());
                let elements = ports.iter().map(|port| {
                    let mut element = vec![SetElementAttribute::Key(index(port.interface))];
                    if add && *set == BASES {
                        element.push(SetElementAttribute::Data(index(port.base)));
                    }
                    ListAttribute::Element(element)
                });
                let message = SetElementMessage {
                    attributes: vec![
                        SetElementList::Table(self.name.clone()),
                        SetElementList::Set((*set).to_owned()),
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

/// RFC 4861 section 4.1, RFC 3810 section 5.2.
const ROUTER_SOLICITATION: u8 = 133;
const MLD2_REPORT: u8 = 143;

/// The protocol field of an IPv4 header says IGMP.
fn igmp() -> Vec<Expressions> {
    const PROTOCOL: u32 = 9;
    const IGMP: u8 = 2;
    vec![load(NETWORK_HEADER, PROTOCOL, 1, Register::Reg32_00), compare(Operator::Equal, IGMP)]
}

/// ICMPv6 of this type, behind whatever extension headers.
fn icmpv6(kind: u8) -> Vec<Expressions> {
    const ICMPV6: u8 = 58;
    vec![
        load_meta(MetaKey::L4Proto, Register::Reg32_00),
        compare(Operator::Equal, ICMPV6),
        load(TRANSPORT_HEADER, 0, 1, Register::Reg32_00),
        compare(Operator::Equal, kind),
    ]
}

/// Sends a copy of the packet to the address in one register by the interface in another.
fn duplicate(address: Register, device: Register) -> Expressions {
    const NFTA_DUP_SREG_ADDR: u16 = 1;
    const NFTA_DUP_SREG_DEV: u16 = 2;
    let register = |kind, register: Register| DefaultNla::new(kind, u32::from(register).to_be_bytes().to_vec());
    Expressions::Other {
        expression_type: "dup".to_owned(),
        attributes: vec![register(NFTA_DUP_SREG_ADDR, address), register(NFTA_DUP_SREG_DEV, device)],
    }
}
