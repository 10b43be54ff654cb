//! What an instance or a sync group looks at besides interfaces: scripts, files, processes, BFD sessions.

use serde::{Deserialize, Serialize};

use super::{InstanceName, Location, Notify, Script, TrackedInterface};

/// The kinds of trackers that are defined in blocks of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TrackerKind {
    Script,
    File,
    Process,
    Bfd,
}

/// One line of `track_script`, `track_file`, `track_process` or `track_bfd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    pub kind: TrackerKind,
    /// Of the tracker.
    pub name: String,
    /// The line's own weight, or else the tracker's; -254 to 254.
    pub weight: i32,
    pub reverse: bool,
}

/// Everything that can be tracked, each kind in the order of the file; this order numbers the rows of the MIB. Scripts and
/// files that nobody tracks are left out, as Keepalived does; processes and sessions stay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trackers {
    pub scripts: Vec<TrackScript>,
    pub files: Vec<TrackFile>,
    /// Files that VRRP does not track, and that have an `init_file` all the same. They have no rows.
    pub other_files: Vec<TrackFile>,
    pub processes: Vec<TrackProcess>,
    pub bfds: Vec<TrackBfd>,
}

impl Trackers {
    /// All of them, each kind in its order.
    pub fn names(&self) -> impl Iterator<Item = (TrackerKind, &str)> {
        let scripts = self.scripts.iter().map(|it| (TrackerKind::Script, it.name.as_str()));
        let files = self.files.iter().map(|it| (TrackerKind::File, it.name.as_str()));
        let processes = self.processes.iter().map(|it| (TrackerKind::Process, it.name.as_str()));
        let bfds = self.bfds.iter().map(|it| (TrackerKind::Bfd, it.name.as_str()));
        scripts.chain(files).chain(processes).chain(bfds)
    }

    /// The weight of a tracker's own and whether it is reversed; `None` when there is no such tracker.
    pub fn weight(&self, kind: TrackerKind, name: &str) -> Option<(i32, bool)> {
        match kind {
            TrackerKind::Script => self.scripts.iter().find(|it| it.name == name).map(|it| (it.weight, it.reverse)),
            TrackerKind::File => self.files.iter().find(|it| it.name == name).map(|it| (it.weight, it.reverse)),
            TrackerKind::Process => self.processes.iter().find(|it| it.name == name).map(|it| (it.weight, it.reverse)),
            TrackerKind::Bfd => self.bfds.iter().find(|it| it.name == name).map(|it| (it.weight, it.reverse)),
        }
    }
}

/// `vrrp_script`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackScript {
    pub location: Location,
    pub name: String,
    pub command: TrackCommand,
    pub interval_us: u64,
    /// Zero: not configured, which is as long as `interval`.
    pub timeout_us: u64,
    pub weight: i32,
    pub reverse: bool,
    /// Successes that make it good, failures that make it bad.
    pub rise: u32,
    pub fall: u32,
    /// `init_fail`: bad until it has succeeded.
    pub init_fail: bool,
}

/// What a `vrrp_script` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrackCommand {
    Run(Script),
    /// `script "</path"`: no program; good while the file can be opened.
    Opens(String),
}

impl TrackCommand {
    /// As the MIB shows it: every word in single quotes.
    pub fn text(&self) -> String {
        match self {
            TrackCommand::Run(script) => script.text.clone(),
            TrackCommand::Opens(path) => format!("<{path}"),
        }
    }

    /// The file that is executed or opened.
    pub fn path(&self) -> &str {
        match self {
            TrackCommand::Run(script) => &script.path,
            TrackCommand::Opens(path) => path,
        }
    }
}

/// `vrrp_track_file` (`track_file`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackFile {
    pub location: Location,
    pub name: String,
    pub path: String,
    /// What the file's number is multiplied by.
    pub weight: i32,
    pub reverse: bool,
    /// `init_file`.
    pub init: Option<FileInit>,
}

/// `init_file`: what is written at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInit {
    pub value: i32,
    /// A file that is there already gets the value, too.
    pub overwrite: bool,
}

/// `vrrp_track_process`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackProcess {
    pub location: Location,
    pub name: String,
    /// What is looked for: a name or a path.
    pub path: String,
    pub parameters: Vec<String>,
    pub parameter_match: ParameterMatch,
    /// The whole command line counts; parameters and `param_match` imply it.
    pub full_command: bool,
    pub weight: i32,
    pub reverse: bool,
    /// Zero with `quorum_max 0`: it must not run.
    pub quorum: u32,
    /// `None`: no upper bound.
    pub quorum_max: Option<u32>,
    pub fork_delay_us: u64,
    pub terminate_delay_us: u64,
}

impl TrackProcess {
    /// Whether so many processes are as many as there should be.
    pub fn met(&self, count: u32) -> bool {
        count >= self.quorum && self.quorum_max.is_none_or(|max| count <= max)
    }
}

/// `param_match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParameterMatch {
    None,
    Exact,
    Partial,
    Initial,
}

/// What tracking needs to know of a `bfd_instance`; one that is for checkers only is none. See [`BfdSession`](super::BfdSession).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackBfd {
    pub location: Location,
    pub name: String,
    pub weight: i32,
    pub reverse: bool,
}

/// `vrrp_sync_group`: instances that change their state together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGroup {
    pub location: Location,
    pub name: String,
    /// In the order of the block.
    pub members: Vec<InstanceName>,
    /// `sync_group_tracking_weight`: weights of members' trackers count.
    pub tracking_weight: bool,
    pub tracks: Vec<Track>,
    pub tracked_interfaces: Vec<TrackedInterface>,
    pub notify: Notify,
    pub smtp_alert: bool,
}
