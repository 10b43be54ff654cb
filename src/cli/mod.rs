//! Subcommands of `keepwatch`.
