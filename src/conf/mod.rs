//! `keepalived.conf`: text to a checked [`model::Config`] and diagnostics, without any I/O but reading files.

pub mod model;
