//! Sync groups, their members and the interfaces they track.

use super::table::{Column, Syntax, Table};
use super::value::{one_or_two, script, state};
use super::vrrp::SYNC_GROUP_ENTRY;
use crate::bus::rows::{SyncGroupRow, TrackedInterfaceRow};
use crate::conf::model::InstanceName;
use crate::wire::value::Value;

pub(super) static SYNC_GROUP: Table<SyncGroupRow> = Table {
    name: "vrrpSyncGroupTable",
    entry: SYNC_GROUP_ENTRY,
    index: &["vrrpSyncGroupIndex"],
    help: "One row per `vrrp_sync_group` with a member, numbered from 1 in the order of the file.",
    rows: |snapshot| &snapshot.vrrp.sync_groups,
    columns: &[
        Column::shown(2, "vrrpSyncGroupName", Syntax::DISPLAY_STRING, "Name of the `vrrp_sync_group`.", |row| {
            Some(Value::text(&row.config.name))
        }),
        Column::shown(
            3,
            "vrrpSyncGroupState",
            Syntax::VRRP_STATE,
            "State that its members share; shutdown(5) appears in notifications only.",
            |row| Some(state(row.state)),
        ),
        Column::shown(4, "vrrpSyncGroupSmtpAlert", Syntax::ENABLED, "`smtp_alert` after the global settings.", |row| {
            Some(one_or_two(row.config.smtp_alert))
        }),
        Column::shown(
            5,
            "vrrpSyncGroupNotifyExec",
            Syntax::ENABLED,
            "enabled(1) when any notify command is configured.",
            |row| Some(one_or_two(any_command(row))),
        ),
        Column::shown(
            6,
            "vrrpSyncGroupScriptMaster",
            Syntax::DISPLAY_STRING,
            "`notify_master`, every word in single quotes; no instance when unset.",
            |row| script(row.config.notify.master.as_ref()),
        ),
        Column::shown(7, "vrrpSyncGroupScriptBackup", Syntax::DISPLAY_STRING, "`notify_backup`, likewise.", |row| {
            script(row.config.notify.backup.as_ref())
        }),
        Column::shown(8, "vrrpSyncGroupScriptFault", Syntax::DISPLAY_STRING, "`notify_fault`, likewise.", |row| {
            script(row.config.notify.fault.as_ref())
        }),
        Column::shown(9, "vrrpSyncGroupScript", Syntax::DISPLAY_STRING, "`notify`, likewise.", |row| {
            script(row.config.notify.any.as_ref())
        }),
        Column::shown(
            10,
            "vrrpSyncGroupTrackingWeight",
            Syntax::ENABLED,
            "enabled(1) with `sync_group_tracking_weight`: weights of members' own trackers count.",
            |row| Some(one_or_two(row.config.tracking_weight)),
        ),
        Column::shown(11, "vrrpSyncGroupScriptStop", Syntax::DISPLAY_STRING, "`notify_stop`, likewise.", |row| {
            script(row.config.notify.stop.as_ref())
        }),
    ],
};

pub(super) static SYNC_GROUP_MEMBER: Table<InstanceName> = Table {
    name: "vrrpSyncGroupMemberTable",
    entry: &[2, 2, 1],
    index: &["vrrpSyncGroupIndex", "vrrpSyncGroupMemberInstanceIndex"],
    help: "Members of each group; the second number is the place in its `group` block, as in Keepalived, and not the \
           instance's row.",
    rows: |snapshot| &snapshot.vrrp.sync_members,
    columns: &[Column::shown(
        2,
        "vrrpSyncGroupMemberName",
        Syntax::DISPLAY_STRING,
        "Name of the `vrrp_instance`.",
        |member| Some(Value::text(&member.0)),
    )],
};

pub(super) static SYNC_TRACKED_INTERFACE: Table<TrackedInterfaceRow> = Table {
    name: "vrrpSyncTrackedInterfaceTable",
    entry: &[2, 14, 1],
    index: &["vrrpSyncGroupIndex", "ifIndex"],
    help: "One row per `track_interface` line of a group whose interface exists (Keepalived numbers the lines instead of \
           using ifIndex).",
    rows: |snapshot| &snapshot.vrrp.sync_tracked_interfaces,
    columns: &[
        Column::shown(1, "vrrpSyncTrackedInterfaceName", Syntax::DISPLAY_STRING, "Name of the interface.", |row| {
            Some(Value::text(&row.interface))
        }),
        Column::shown(
            2,
            "vrrpSyncTrackedInterfaceWeight",
            Syntax::INTEGER32,
            "Weight of this entry; 0: the group is in fault while the interface is down.",
            |row| Some(Value::Integer(row.weight.into())),
        ),
        Column::shown(3, "vrrpSyncTrackedInterfaceWgtRev", Syntax::TRUE_FALSE, "true(1) with `reverse`.", |row| {
            Some(one_or_two(row.reverse))
        }),
    ],
};

/// Commands of an instance alone are not asked for.
fn any_command(row: &SyncGroupRow) -> bool {
    let notify = &row.config.notify;
    [&notify.master, &notify.backup, &notify.fault, &notify.stop, &notify.any].iter().any(|command| command.is_some())
}
