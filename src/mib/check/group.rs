//! virtualServerGroupTable and virtualServerGroupMemberTable.

use std::net::IpAddr;

use crate::bus::rows::GroupRow;
use crate::conf::model::GroupMember;
use crate::mib::table::{Column, Syntax, Table};
use crate::mib::value::{inet, inet_type};
use crate::wire::value::Value;

pub(super) static GROUP: Table<GroupRow> = Table {
    name: "virtualServerGroupTable",
    entry: &[3, 1, 1],
    index: &["virtualServerGroupIndex"],
    help: "One row per `virtual_server_group`, used or not, numbered from 1 in the order of the file.",
    rows: |snapshot| &snapshot.checks.groups,
    columns: &[Column::shown(2, "virtualServerGroupName", Syntax::DISPLAY_STRING, "Name of the group.", |row| {
        Some(Value::text(&row.config.name))
    })],
};

pub(super) static MEMBER: Table<GroupMember> = Table {
    name: "virtualServerGroupMemberTable",
    entry: &[3, 2, 1],
    index: &["virtualServerGroupIndex", "virtualServerGroupMemberIndex"],
    help: "Members of each group: firewall marks first, then addresses and ranges in the order of the file.",
    rows: |snapshot| &snapshot.checks.group_members,
    columns: &[
        Column::shown(
            2,
            "virtualServerGroupMemberType",
            Syntax::integer("INTEGER{fwmark(1),ip(2),iprange(3)}"),
            "Which of the following columns the row has.",
            |member| Some(member_type(member)),
        ),
        Column::shown(3, "virtualServerGroupMemberFwMark", Syntax::UNSIGNED32, "The mark; fwmark(1) only.", mark),
        Column::shown(
            4,
            "virtualServerGroupMemberAddrType",
            Syntax::INET_ADDRESS_TYPE,
            "Family; not for fwmark(1).",
            |member| addresses(member).map(|(first, _, _)| inet_type(first)),
        ),
        Column::shown(
            5,
            "virtualServerGroupMemberAddress",
            Syntax::INET_ADDRESS,
            "The address; ip(2) only.",
            |member| addresses(member).filter(|(first, last, _)| first == last).map(|(first, _, _)| inet(first)),
        ),
        Column::shown(
            6,
            "virtualServerGroupMemberAddr1",
            Syntax::INET_ADDRESS,
            "First address; iprange(3) only.",
            |member| addresses(member).filter(|(first, last, _)| first != last).map(|(first, _, _)| inet(first)),
        ),
        Column::shown(
            7,
            "virtualServerGroupMemberAddr2",
            Syntax::INET_ADDRESS,
            "Last address; iprange(3) only.",
            |member| addresses(member).filter(|(first, last, _)| first != last).map(|(_, last, _)| inet(last)),
        ),
        Column::shown(8, "virtualServerGroupMemberPort", Syntax::INET_PORT, "Port; not for fwmark(1).", |member| {
            addresses(member).map(|(_, _, port)| Value::Gauge32(port.into()))
        }),
    ],
};

fn member_type(member: &GroupMember) -> Value {
    Value::Integer(match member {
        GroupMember::Mark { .. } => 1,
        GroupMember::Addresses { first, last, .. } if first == last => 2,
        GroupMember::Addresses { .. } => 3,
    })
}

fn mark(member: &GroupMember) -> Option<Value> {
    match member {
        GroupMember::Mark { mark, .. } => Some(Value::Gauge32(*mark)),
        GroupMember::Addresses { .. } => None,
    }
}

fn addresses(member: &GroupMember) -> Option<(IpAddr, IpAddr, u16)> {
    match *member {
        GroupMember::Mark { .. } => None,
        GroupMember::Addresses { first, last, port } => Some((first, last, port)),
    }
}
