//! What collectors and people are shown. Everything is a list of columns over one [`Look`], which the bridge makes on
//! demand; nothing here asks an engine, the kernel or a disk for anything.

pub mod dump;
pub mod graph;
pub mod look;
#[cfg(feature = "daemon")]
pub mod metrics;
pub mod rrd;

pub use look::Look;
