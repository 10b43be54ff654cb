//! How much a line of the log matters.

/// Engines say it; drivers log it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}
