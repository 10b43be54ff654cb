//! What a graph shows. Who draws it is the rrd process's matter.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphRequest {
    pub kind: GraphKind,
    /// As the configuration names it: an instance, `192.0.2.10:80/tcp`, or `192.0.2.10:80/tcp,10.0.0.1:80`.
    pub name: String,
    /// Which picture of that object; see `keepwatch graph --help`. `None`: the first.
    pub view: Option<String>,
    /// Up to now.
    pub span: Duration,
    pub format: GraphFormat,
    /// Pixels of the whole picture.
    pub width: u32,
    pub height: u32,
    pub dark: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GraphKind {
    Vrrp,
    Vs,
    Rs,
    Ipvs,
    Daemon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GraphFormat {
    Svg,
    Png,
}

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum GraphError {
    /// No such object, or nothing was recorded of it.
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    BadRequest(String),
    /// There is no rrd process, or it is busy.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Failed(String),
}
