//! Subcommands of `keepwatch`, the operators' tool: those that need no running daemon, and those that ask one over its
//! control socket ([`client`]).

mod check;
mod client;
mod explain;
mod graph;
mod snmp;
mod weight;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Looks at what keepwatchd would do, and tells a running one what to do.
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
    /// Give a real server no new connections (weight 0), and wait until it has none
    ///
    /// Exits with 0 when done, 1 when the time was up and connections are left, 3 when no server or more than one is
    /// meant, 4 when refused, 5 when no daemon answers.
    Drain(weight::Drain),
    /// Draw what was recorded of an instance, a virtual or real server, IPVS or the daemon
    ///
    /// Works on the RRD files, with or without a daemon. Exits with 0 when done, 2 when the request makes no sense, 3 when
    /// nothing was recorded of that, 1 when it failed otherwise.
    Graph(graph::Graph),
    /// Give a real server its configured weight back
    Ready(weight::Ready),
    /// Look after the RRD files
    Rrd(graph::Rrd),
    /// Show the AgentX session, the receivers of notifications, and the SNMP responder
    ///
    /// Exits with 0 when all is as configured, 1 when something is not (no session, refused registrations, a receiver that
    /// is away, a port that is taken), 4 when refused, 5 when no daemon answers.
    Snmp(snmp::Snmp),
    /// Show or set the weight of a real server
    Weight(weight::Weight),
}

/// Runs the subcommand; its exit status is the program's.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(check) => check.run(),
        Command::Directive(directive) => directive.run(),
        Command::Drain(drain) => drain.run(),
        Command::Graph(graph) => graph.run(),
        Command::Ready(ready) => ready.run(),
        Command::Rrd(rrd) => rrd.run(),
        Command::Snmp(snmp) => snmp.run(),
        Command::Weight(weight) => weight.run(),
    }
}
