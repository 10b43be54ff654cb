//! The only netlink in the program.
