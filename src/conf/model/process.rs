//! How the daemon behaves as processes and files: names, masks, dumps, and what surrounds a reload.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProcessSettings {
    pub names: ProcessNames,
    /// `child_wait_time`: seconds that processes have to stop in good order; `None` is 5.
    pub child_wait_s: Option<u32>,
    pub auto_priority: AutoPriority,
    /// `umask`; the command line's wins. At most 0777.
    pub umask: Option<u16>,
    pub dumps: DumpSettings,
    pub reload: ReloadSettings,
    /// `enable_dbus`.
    pub dbus: Option<Dbus>,
}

/// What `ps -o comm` shows; `None` is the program's own name. At most 15 octets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProcessNames {
    /// `process_names`: Keepalived's names for those that have none of their own.
    pub all: bool,
    pub parent: Option<String>,
    pub vrrp: Option<String>,
    pub checker: Option<String>,
}

/// `max_auto_priority` and `min_auto_priority_delay`: a process that is woken too late takes a higher real-time priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoPriority {
    /// 1 to 99; zero: never.
    pub max: u8,
    /// How late is too late, microseconds. 1 to 10,000,000.
    pub delay_us: u32,
}

impl Default for AutoPriority {
    fn default() -> Self {
        AutoPriority { max: 0, delay_us: 1_000_000 }
    }
}

/// Files that are written on a signal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DumpSettings {
    /// `state_dump_file`: a directory if it ends in a slash, else a template. A relative path is below TMPDIR.
    pub state: Option<String>,
    /// `stats_dump_file` and `json_dump_file`.
    pub stats: Option<String>,
    pub json: Option<String>,
    /// `data_use_instance`: the names of state files tell network namespace and instance.
    pub use_instance: bool,
    pub json_version: JsonVersion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum JsonVersion {
    /// An array of instances.
    #[default]
    V1,
    /// An object, with tracked processes beside the instances.
    V2,
}

/// Keepalived's interface on the system's D-Bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dbus {
    /// `dbus_service_name`.
    pub name: String,
    /// `dbus_no_interface_name`: in the path of an instance that has no interface.
    pub no_interface: String,
}

/// What happens before, around and after a reload.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReloadSettings {
    /// `reload_check_config`: where complaints about a new configuration go. Checked it is in any case.
    pub check_log: Option<PathBuf>,
    /// `reload_file`: exists while the configuration is read.
    pub file: Option<ReloadFile>,
    /// `reload_time_file`: says when to reload.
    pub time_file: Option<PathBuf>,
    /// `reload_repeat`: the time file stays, and a time without a date comes again each day.
    pub repeat: bool,
    /// `config_save_dir`: state and configuration of before and after each reload are kept here.
    pub save_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReloadFile {
    /// `keepalived.reload` beside the pid file.
    Usual,
    At(PathBuf),
}
