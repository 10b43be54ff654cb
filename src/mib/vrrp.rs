//! Virtual routers, their addresses and the interfaces they track.

mod encap;
mod next_hop;
mod route;
mod rule;
mod track;

use std::net::IpAddr;

use super::sync_group::{SYNC_GROUP, SYNC_GROUP_MEMBER, SYNC_TRACKED_INTERFACE};
use super::table::{Access, Column, Notification, Part, SetError, Syntax, Table};
use super::value::{inet, inet_type, interface_index, one_or_two, optional_text, script, seconds, state};
use crate::bus::msg::Command;
use crate::bus::rows::{AddressRow, InstanceRow, TrackedInterfaceRow};
use crate::conf::model::{Address, Auth, InitialState, Notify, Preempt, Priority, Transport, Version};
use crate::store::Snapshot;
use crate::wire::value::Value;

pub static VRRP: Part = Part {
    module: &crate::mib::KEEPALIVED_MIB,
    root: &[2],
    name: "vrrp",
    capability: "The MIB module for KEEPALIVED-VRRP",
    scalars: &[],
    tables: &[
        &SYNC_GROUP,
        &SYNC_GROUP_MEMBER,
        &INSTANCE,
        &TRACKED_INTERFACE,
        &track::TRACKED_SCRIPT,
        &ADDRESS,
        &route::ROUTE,
        &rule::RULE,
        &track::SCRIPT,
        &next_hop::NEXT_HOP,
        &track::TRACKED_FILE,
        &track::FILE,
        &SYNC_TRACKED_INTERFACE,
        &track::SYNC_TRACKED_SCRIPT,
        &track::SYNC_TRACKED_FILE,
        &track::TRACKED_BFD,
        &track::BFD,
        &track::SYNC_TRACKED_BFD,
        &track::TRACKED_PROCESS,
        &track::PROCESS,
        &track::SYNC_TRACKED_PROCESS,
    ],
    notifications: &[SYNC_GROUP_STATE_CHANGE, INSTANCE_STATE_CHANGE],
};

/// Entry of vrrpInstanceTable: traps name its columns.
pub const INSTANCE_ENTRY: &[u32] = &[2, 3, 1];

/// Entry of vrrpSyncGroupTable.
pub const SYNC_GROUP_ENTRY: &[u32] = &[2, 1, 1];

pub const SYNC_GROUP_STATE_CHANGE: Notification = Notification {
    id: &[2, 10, 0, 1],
    name: "vrrpSyncGroupStateChange",
    objects: &["vrrpSyncGroupName", "vrrpSyncGroupState", "routerId"],
    help: "A sync group entered a state. Its objects carry the row's number (Keepalived leaves it out).",
};

pub const INSTANCE_STATE_CHANGE: Notification = Notification {
    id: &[2, 10, 0, 2],
    name: "vrrpInstanceStateChange",
    objects: &["vrrpInstanceName", "vrrpInstanceState", "vrrpInstanceInitialState", "routerId"],
    help: "An instance entered a state, shutdown(5) and deleted(6) included. Its objects carry the row's number \
           (Keepalived leaves it out).",
};

static INSTANCE: Table<InstanceRow> = Table {
    name: "vrrpInstanceTable",
    entry: INSTANCE_ENTRY,
    index: &["vrrpInstanceIndex"],
    help: "One row per `vrrp_instance`, numbered from 1 in the order of the file.",
    rows: |snapshot| &snapshot.vrrp.instances,
    columns: &[
        Column {
            id: 2,
            name: "vrrpInstanceName",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "Name of the `vrrp_instance`.",
            get: |row| Some(Value::text(&row.config.name.0)),
            set: None,
        },
        Column {
            id: 3,
            name: "vrrpInstanceVirtualRouterId",
            syntax: Syntax::UNSIGNED32,
            access: Access::ReadOnly,
            help: "`virtual_router_id`.",
            get: |row| Some(Value::Gauge32(row.config.vrid.get().into())),
            set: None,
        },
        Column {
            id: 4,
            name: "vrrpInstanceState",
            syntax: Syntax::VRRP_STATE,
            access: Access::ReadOnly,
            help: "State now; shutdown(5) and deleted(6) appear in notifications only.",
            get: |row| Some(state(row.state)),
            set: None,
        },
        Column {
            id: 5,
            name: "vrrpInstanceInitialState",
            syntax: Syntax::VRRP_STATE,
            access: Access::ReadOnly,
            help: "`state` of the configuration: master(2) or backup(1).",
            get: |row| Some(initial_state(row.config.initial_state)),
            set: None,
        },
        Column {
            id: 6,
            name: "vrrpInstanceWantedState",
            syntax: Syntax::VRRP_STATE,
            access: Access::ReadOnly,
            help: "State being moved to; equals vrrpInstanceState when settled.",
            get: |row| Some(state(row.wanted)),
            set: None,
        },
        Column {
            id: 7,
            name: "vrrpInstanceBasePriority",
            syntax: Syntax::INTEGER32,
            access: Access::ReadWrite,
            help: "`priority`, or what a SET put in its place: 1 to 255, until the next reload. Other values are wrongValue (Keepalived keeps their low octet).",
            get: |row| Some(Value::Integer(row.base_priority.get().into())),
            set: Some(set_base_priority),
        },
        Column {
            id: 8,
            name: "vrrpInstanceEffectivePriority",
            syntax: Syntax::INTEGER32,
            access: Access::ReadOnly,
            help: "Base priority plus the weights of trackers, 1 to 254; 255 for an address owner.",
            get: |row| Some(Value::Integer(row.effective_priority.get().into())),
            set: None,
        },
        Column {
            id: 9,
            name: "vrrpInstanceVipsStatus",
            syntax: Syntax::integer("INTEGER{allSet(1),notAllSet(2)}"),
            access: Access::ReadOnly,
            help: "Whether the addresses are installed.",
            get: |row| Some(one_or_two(row.addresses_set)),
            set: None,
        },
        Column {
            id: 10,
            name: "vrrpInstancePrimaryInterface",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "`interface`, or the one that `use_vmac` made on it; no instance without one.",
            get: |row| row.config.shown_interface().map(Value::text),
            set: None,
        },
        Column {
            id: 11,
            name: "vrrpInstanceTrackPrimaryIf",
            syntax: Syntax::integer("INTEGER{tracked(1),notTracked(2)}"),
            access: Access::ReadOnly,
            help: "notTracked(2) with `dont_track_primary` (Keepalived tells whether any interface is tracked).",
            get: |row| Some(one_or_two(row.config.track_primary)),
            set: None,
        },
        Column {
            id: 12,
            name: "vrrpInstanceAdvertisementsInt",
            syntax: Syntax::UNSIGNED32,
            access: Access::ReadOnly,
            help: "`advert_int`: seconds for VRRPv2, hundredths of a second for VRRPv3.",
            get: |row| Some(advert_interval(row)),
            set: None,
        },
        Column {
            id: 13,
            name: "vrrpInstancePreempt",
            syntax: Syntax::integer("INTEGER{preempt(1),noPreempt(2)}"),
            access: Access::ReadWrite,
            help: "noPreempt(2) with `nopreempt`, or what a SET put in its place until the next reload.",
            get: |row| Some(one_or_two(row.preempt)),
            set: Some(set_preempt),
        },
        Column {
            id: 14,
            name: "vrrpInstancePreemptDelay",
            syntax: Syntax::UNSIGNED32,
            access: Access::ReadOnly,
            help: "`preempt_delay` in whole seconds.",
            get: |row| Some(preempt_delay(row)),
            set: None,
        },
        Column {
            id: 15,
            name: "vrrpInstanceAuthType",
            syntax: Syntax::integer("INTEGER{none(0),password(1),ah(2)}"),
            access: Access::ReadOnly,
            help: "`auth_type`; always none(0) for VRRPv3.",
            get: |row| Some(auth_type(row)),
            set: None,
        },
        Column {
            id: 16,
            name: "vrrpInstanceLvsSyncDaemon",
            syntax: Syntax::ENABLED,
            access: Access::ReadOnly,
            help: "enabled(1) when `lvs_sync_daemon` names this instance.",
            get: |row| Some(one_or_two(row.config.lvs_sync_interface.is_some())),
            set: None,
        },
        Column {
            id: 17,
            name: "vrrpInstanceLvsSyncInterface",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "Interface of that `lvs_sync_daemon`; otherwise no instance.",
            get: |row| optional_text(row.config.lvs_sync_interface.as_ref()),
            set: None,
        },
        Column {
            id: 18,
            name: "vrrpInstanceSyncGroup",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "Name of its `vrrp_sync_group`; otherwise no instance.",
            get: |row| optional_text(row.config.sync_group.as_ref()),
            set: None,
        },
        Column {
            id: 19,
            name: "vrrpInstanceGarpDelay",
            syntax: Syntax::UNSIGNED32,
            access: Access::ReadOnly,
            help: "`garp_master_delay` in whole seconds.",
            get: |row| Some(seconds(row.config.garp.delay)),
            set: None,
        },
        Column {
            id: 20,
            name: "vrrpInstanceSmtpAlert",
            syntax: Syntax::ENABLED,
            access: Access::ReadOnly,
            help: "`smtp_alert` after the global settings.",
            get: |row| Some(one_or_two(row.config.smtp_alert)),
            set: None,
        },
        Column {
            id: 21,
            name: "vrrpInstanceNotifyExec",
            syntax: Syntax::ENABLED,
            access: Access::ReadOnly,
            help: "enabled(1) when any notify command is configured.",
            get: |row| Some(one_or_two(any_command(&row.config.notify))),
            set: None,
        },
        Column {
            id: 22,
            name: "vrrpInstanceScriptMaster",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "`notify_master`, every word in single quotes; no instance when unset.",
            get: |row| script(row.config.notify.master.as_ref()),
            set: None,
        },
        Column {
            id: 23,
            name: "vrrpInstanceScriptBackup",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "`notify_backup`, likewise.",
            get: |row| script(row.config.notify.backup.as_ref()),
            set: None,
        },
        Column {
            id: 24,
            name: "vrrpInstanceScriptFault",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "`notify_fault`, likewise.",
            get: |row| script(row.config.notify.fault.as_ref()),
            set: None,
        },
        Column {
            id: 25,
            name: "vrrpInstanceScriptStop",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "`notify_stop`, likewise.",
            get: |row| script(row.config.notify.stop.as_ref()),
            set: None,
        },
        Column {
            id: 26,
            name: "vrrpInstanceScript",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "`notify`, likewise.",
            get: |row| script(row.config.notify.any.as_ref()),
            set: None,
        },
        Column {
            id: 27,
            name: "vrrpInstanceAccept",
            syntax: Syntax::TRUE_FALSE,
            access: Access::ReadWrite,
            help: "Whether packets to the addresses are accepted; false(2) with `no_accept` (Keepalived shows 0 for VRRPv2). A SET is refused: noAccess for VRRPv3, notWritable for VRRPv2.",
            get: |row| Some(one_or_two(row.config.accept)),
            set: Some(set_accept),
        },
        Column {
            id: 28,
            name: "vrrpInstancePromoteSecondaries",
            syntax: Syntax::TRUE_FALSE,
            access: Access::ReadWrite,
            help: "true(1) with `promote_secondaries`. A SET is refused: notWritable.",
            get: |row| Some(one_or_two(row.config.promote_secondaries)),
            set: None,
        },
        Column {
            id: 29,
            name: "vrrpInstanceUseLinkbeat",
            syntax: Syntax::TRUE_FALSE,
            access: Access::ReadWrite,
            help: "true(1) with `linkbeat_use_polling`. A SET is refused: notWritable.",
            get: |row| Some(one_or_two(row.config.use_linkbeat)),
            set: None,
        },
        Column {
            id: 30,
            name: "vrrpInstanceVrrpVersion",
            syntax: Syntax::integer("INTEGER{vrrpv2(2),vrrpv3(3)}"),
            access: Access::ReadOnly,
            help: "Version of the protocol.",
            get: |row| Some(version(row.config.version)),
            set: None,
        },
        Column {
            id: 31,
            name: "vrrpInstanceScriptMstrRxLowerPri",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "`notify_master_rx_lower_pri`, every word in single quotes; no instance when unset.",
            get: |row| script(row.config.notify.master_rx_lower_pri.as_ref()),
            set: None,
        },
        Column {
            id: 32,
            name: "vrrpInstanceScriptDeleted",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "Command of `notify_deleted`, likewise.",
            get: |row| script(row.config.notify.deleted_script.as_ref()),
            set: None,
        },
        Column {
            id: 33,
            name: "vrrpInstanceNotifyDeleted",
            syntax: Syntax::TRUE_FALSE,
            access: Access::ReadWrite,
            help: "true(1) with `notify_deleted`: a removed instance reports deleted and not fault. A SET is refused: notWritable.",
            get: |row| Some(one_or_two(row.config.notify.deleted)),
            set: None,
        },
        Column {
            id: 34,
            name: "vrrpInstanceMulticastAddressType",
            syntax: Syntax::INET_ADDRESS_TYPE,
            access: Access::ReadOnly,
            help: "Family of the group that adverts go to; no instance with unicast peers.",
            get: |row| multicast_group(row).map(inet_type),
            set: None,
        },
        Column {
            id: 35,
            name: "vrrpInstanceMulticastAddress",
            syntax: Syntax::INET_ADDRESS,
            access: Access::ReadOnly,
            help: "Group that adverts go to; no instance with unicast peers.",
            get: |row| multicast_group(row).map(inet),
            set: None,
        },
        Column {
            id: 36,
            name: "vrrpInstanceV3ChecksumAsV2",
            syntax: Syntax::TRUTH_VALUE,
            access: Access::ReadOnly,
            help: "true(1) when VRRPv3 checksums leave out the pseudo header.",
            get: |row| Some(one_or_two(row.config.v3_checksum_as_v2)),
            set: None,
        },
    ],
};

static TRACKED_INTERFACE: Table<TrackedInterfaceRow> = Table {
    name: "vrrpTrackedInterfaceTable",
    entry: &[2, 4, 1],
    index: &["vrrpInstanceIndex", "ifIndex"],
    help: "Interfaces of `track_interface`, by their kernel numbers as INDEX says (Keepalived counts positions); one \
           that does not exist has no row.",
    rows: |snapshot| &snapshot.vrrp.tracked_interfaces,
    columns: &[
        Column {
            id: 1,
            name: "vrrpTrackedInterfaceName",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "Name of the interface.",
            get: |row| Some(Value::text(&row.interface)),
            set: None,
        },
        Column {
            id: 2,
            name: "vrrpTrackedInterfaceWeight",
            syntax: Syntax::INTEGER32,
            access: Access::ReadOnly,
            help: "Weight of this entry; 0: fault while the interface is down.",
            get: |row| Some(Value::Integer(row.weight.into())),
            set: None,
        },
        Column {
            id: 3,
            name: "vrrpTrackedInterfaceWgtRev",
            syntax: Syntax::INTEGER32,
            access: Access::ReadOnly,
            help: "1 with `reverse`, otherwise 2.",
            get: |row| Some(one_or_two(row.reverse)),
            set: None,
        },
    ],
};

static ADDRESS: Table<AddressRow> = Table {
    name: "vrrpAddressTable",
    entry: &[2, 6, 1],
    index: &["vrrpInstanceIndex", "vrrpAddressIndex"],
    help: "Static addresses as instance 0, then each instance's `virtual_ipaddress` and, counting on, its \
           `virtual_ipaddress_excluded`.",
    rows: |snapshot| &snapshot.vrrp.addresses,
    columns: &[
        Column {
            id: 2,
            name: "vrrpAddressType",
            syntax: Syntax::INET_ADDRESS_TYPE,
            access: Access::ReadOnly,
            help: "Family of the address.",
            get: |row| Some(inet_type(row.config.address)),
            set: None,
        },
        Column {
            id: 3,
            name: "vrrpAddressValue",
            syntax: Syntax::INET_ADDRESS,
            access: Access::ReadOnly,
            help: "The address, 4 or 16 octets.",
            get: |row| Some(inet(row.config.address)),
            set: None,
        },
        Column {
            id: 4,
            name: "vrrpAddressBroadcast",
            syntax: Syntax::INET_ADDRESS,
            access: Access::ReadOnly,
            help: "`brd`; zero octets when unset, no instance for IPv6.",
            get: |row| broadcast(&row.config),
            set: None,
        },
        Column {
            id: 5,
            name: "vrrpAddressMask",
            syntax: Syntax::PREFIX_LENGTH,
            access: Access::ReadOnly,
            help: "Length of the prefix.",
            get: |row| Some(Value::Gauge32(row.config.prefix.into())),
            set: None,
        },
        Column {
            id: 6,
            name: "vrrpAddressScope",
            syntax: Syntax::INET_SCOPE_TYPE,
            access: Access::ReadOnly,
            help: "`scope`: global 14, site 5, link 2, host 1; 0 for nowhere and unknown ones.",
            get: |row| Some(scope(row.config.scope)),
            set: None,
        },
        Column {
            id: 7,
            name: "vrrpAddressIfIndex",
            syntax: Syntax::INTERFACE_INDEX,
            access: Access::ReadOnly,
            help: "Kernel number of the interface; no instance while there is none of that name.",
            get: |row| interface_index(row.interface_index?),
            set: None,
        },
        Column {
            id: 8,
            name: "vrrpAddressIfName",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "Name of the interface.",
            get: |row| Some(Value::text(&row.config.interface)),
            set: None,
        },
        Column {
            id: 9,
            name: "vrrpAddressIfAlias",
            syntax: Syntax::DISPLAY_STRING,
            access: Access::ReadOnly,
            help: "`label`; no instance when unset.",
            get: |row| optional_text(row.config.label.as_ref()),
            set: None,
        },
        Column {
            id: 10,
            name: "vrrpAddressStatus",
            syntax: Syntax::integer("INTEGER{set(1),unset(2)}"),
            access: Access::ReadOnly,
            help: "Whether the daemon has installed the address.",
            get: |row| Some(one_or_two(row.installed)),
            set: None,
        },
        Column {
            id: 11,
            name: "vrrpAddressAdvertising",
            syntax: Syntax::integer("INTEGER{advertised(1),notAdvertised(2)}"),
            access: Access::ReadOnly,
            help: "Whether adverts list the address; not for excluded and static ones (Keepalived shows it for the first instance only).",
            get: |row| Some(one_or_two(row.advertised)),
            set: None,
        },
        Column {
            id: 12,
            name: "vrrpAddressPeer",
            syntax: Syntax::INET_ADDRESS,
            access: Access::ReadOnly,
            help: "`peer`; no instance when unset.",
            get: |row| row.config.peer.map(inet),
            set: None,
        },
    ],
};

pub(super) fn initial_state(initial: InitialState) -> Value {
    Value::Integer(match initial {
        InitialState::Backup => 1,
        InitialState::Master => 2,
    })
}

fn version(version: Version) -> Value {
    Value::Integer(match version {
        Version::V2 => 2,
        Version::V3 => 3,
    })
}

fn advert_interval(row: &InstanceRow) -> Value {
    let interval = row.config.advert_interval;
    match row.config.version {
        Version::V2 => seconds(interval),
        Version::V3 => Value::Gauge32(u32::try_from(interval.as_millis() / 10).unwrap_or(u32::MAX)),
    }
}

fn preempt_delay(row: &InstanceRow) -> Value {
    match row.config.preempt {
        Preempt::Never => Value::Gauge32(0),
        Preempt::After(delay) => seconds(delay),
    }
}

fn auth_type(row: &InstanceRow) -> Value {
    Value::Integer(match (row.config.version, &row.config.auth) {
        (Version::V3, _) | (Version::V2, None) => 0,
        (Version::V2, Some(Auth::Pass(_))) => 1,
        (Version::V2, Some(Auth::Ah(_))) => 2,
    })
}

fn any_command(notify: &Notify) -> bool {
    let Notify {
        master,
        backup,
        fault,
        stop,
        any,
        master_rx_lower_pri,
        deleted_script,
        deleted: _,
        priority_changes: _,
    } = notify;
    [master, backup, fault, stop, any, master_rx_lower_pri, deleted_script].iter().any(|command| command.is_some())
}

fn multicast_group(row: &InstanceRow) -> Option<IpAddr> {
    match row.config.transport {
        Transport::Multicast { group } => Some(group),
        Transport::Unicast { .. } => None,
    }
}

fn broadcast(address: &Address) -> Option<Value> {
    let none = std::net::Ipv4Addr::UNSPECIFIED;
    address.address.is_ipv4().then(|| inet(address.broadcast.unwrap_or(none).into()))
}

/// Kernel scope to InetScopeType (RFC 4001); what has no counterpart there is 0.
fn scope(scope: u8) -> Value {
    Value::Integer(match scope {
        0 => 14,
        200 => 5,
        253 => 2,
        254 => 1,
        _ => 0,
    })
}

fn set_base_priority(_: &Snapshot, row: &InstanceRow, value: &Value) -> Result<Command, SetError> {
    let Value::Integer(value) = value else { return Err(SetError::WrongType) };
    let priority = u8::try_from(*value).ok().and_then(Priority::new).ok_or(SetError::WrongValue)?;
    Ok(Command::SetPriority { instance: row.config.name.clone(), priority })
}

fn set_preempt(_: &Snapshot, row: &InstanceRow, value: &Value) -> Result<Command, SetError> {
    let Value::Integer(value) = value else { return Err(SetError::WrongType) };
    let preempt = match value {
        1 => true,
        2 => false,
        _ => return Err(SetError::WrongValue),
    };
    Ok(Command::SetPreempt { instance: row.config.name.clone(), preempt })
}

/// Read-write in the module, and refused before anything else is looked at.
fn set_accept(_: &Snapshot, row: &InstanceRow, _value: &Value) -> Result<Command, SetError> {
    match row.config.version {
        Version::V2 => Err(SetError::NotWritable),
        Version::V3 => Err(SetError::NoAccess),
    }
}
