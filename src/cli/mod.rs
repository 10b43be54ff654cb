//! Subcommands of `keepwatch`, the operators' tool. It has what needs no running daemon; the rest comes with the
//! bridge's socket.

mod check;
mod explain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Looks at what keepwatchd would do.
#[derive(Debug, Parser)]
#[command(name = "keepwatch", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration and say what is wrong with it
    Check(check::Check),
    /// Explain a directive: where it belongs, what it takes, what it does
    Directive(explain::Directive),
}

/// Runs the subcommand; its exit status is the program's.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(check) => check.run(),
        Command::Directive(directive) => directive.run(),
    }
}
