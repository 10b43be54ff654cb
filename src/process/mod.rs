//! Processes: who runs where.
