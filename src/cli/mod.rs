//! Subcommands of `keepwatch`, the operators' tool: those that need no running daemon, and those that ask one over its
//! control socket ([`client`], [`ask`]).
//!
//! Each has its own file; what it prints is made by a function of a document and a [`text::Page`], which tests hold to
//! files in `src/cli/golden`. `KEEPWATCH_RENEW=1 cargo test -p keepwatch --lib cli` writes these files anew.

mod ask;
mod bfd;
mod check;
mod checks;
mod client;
mod directive;
mod doctor;
mod effective;
mod events;
mod explain;
mod failover;
#[cfg(test)]
mod fixture;
mod generate;
mod graph;
mod ipvs;
mod nagios;
mod outcome;
mod progress;
mod reload;
mod schema;
mod snmp;
mod status;
mod text;
mod top;
mod vrrp;
mod watch;
mod weight;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use self::outcome::STATUSES;

/// Looks at what keepwatchd does and would do, and tells a running one what to do.
#[derive(Debug, Parser)]
#[command(name = "keepwatch", version, after_help = STATUSES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The daemon at a glance: troubles, instances, virtual servers
    ///
    /// Exits with 1 when there is anything worse than a note among the troubles.
    #[command(after_help = STATUSES)]
    Status(status::Show),
    /// VRRP instances, sync groups and what is tracked, or all that is known of one instance
    ///
    /// Exits with 1 when one is in fault, when another router is master, too, or when an address, a route or a rule is not
    /// where it belongs.
    #[command(after_help = STATUSES)]
    Vrrp(vrrp::Show),
    /// BFD sessions, or one of them with all that is known of it
    ///
    /// Exits with 1 when one is not up.
    #[command(after_help = STATUSES)]
    Bfd(bfd::Show),
    /// Virtual servers and their real servers
    ///
    /// Exits with 1 when a real server is down, a quorum is lost, or the kernel's table is not as it should be.
    #[command(after_help = STATUSES)]
    Ipvs(ipvs::Show),
    /// What each health checker has found
    ///
    /// Exits with 1 when one fails.
    #[command(after_help = STATUSES)]
    Checks(checks::Show),
    /// What happened, and what happens
    #[command(after_help = STATUSES)]
    Events(events::Show),
    /// Why an instance, a virtual server, a real server or a BFD session is in the state that it is in
    ///
    /// A name that means more than one thing changes nothing: the candidates are listed (3).
    #[command(after_help = STATUSES)]
    Explain(explain::Explain),
    /// Live view of instances and servers with their rates
    #[command(after_help = STATUSES)]
    Top(top::Top),
    /// Let another router have an instance's addresses, or take part in the election again
    ///
    /// The instance resigns, and takes over only when nobody else does, until --back, or until the daemon or its vrrp
    /// process is started again. With --wait it exits with 1 when nobody took over (with --back: when this router has not).
    #[command(after_help = STATUSES)]
    Failover(failover::Failover),
    /// Give a real server no new connections (weight 0), and wait until it has none
    ///
    /// With --wait it exits with 1 when the time was up and connections are left.
    #[command(after_help = STATUSES)]
    Drain(weight::Drain),
    /// Draw what was recorded of an instance, a virtual or real server, IPVS or the daemon
    ///
    /// Works on the RRD files, with or without a daemon. Exits with 0 when done, 2 when the request makes no sense, 3 when
    /// nothing was recorded of that, 1 when it failed otherwise.
    Graph(graph::Graph),
    /// Give a real server its configured weight back
    #[command(after_help = STATUSES)]
    Ready(weight::Ready),
    /// Show or set the weight of a real server
    #[command(after_help = STATUSES)]
    Weight(weight::Weight),
    /// Look after the RRD files
    Rrd(graph::Rrd),
    /// Show the AgentX session, the receivers of notifications, and the SNMP responder
    ///
    /// Exits with 1 when something is not as configured: no session, refused registrations, a receiver that is away, a port
    /// that is taken.
    #[command(after_help = STATUSES)]
    Snmp(snmp::Snmp),
    /// Check a configuration and say what is wrong with it
    ///
    /// The files are judged for themselves; --here adds what depends on this host. Exits as `keepwatchd -t` does: 0 clean, 5 for anything to mend, 6 for a missing file or a script that is a risk,
    /// 4 for an unknown interface alone, 2 for a missing argument.
    Check(check::Check),
    /// Read the configuration again; a refused one is told with its errors, and changes nothing
    ///
    /// With --plan it only says what would change, and exits with 1 when that has consequences (a mastership that is dropped, an
    /// address that leaves, a virtual server that goes or is left without a server) or when the configuration would be refused.
    /// With --safe it does nothing, and exits with 4, when there are such. Otherwise it exits with 1 when it is refused.
    #[command(after_help = STATUSES)]
    Reload(reload::Reload),
    /// Look for what commonly goes wrong on this host
    ///
    /// Exits with 1 when there is a problem; notes are none.
    #[command(after_help = STATUSES)]
    Doctor(doctor::Doctor),
    /// A plugin for Nagios, Icinga and NRPE
    ///
    /// Exits as plugins do: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. A daemon that does not answer is UNKNOWN.
    Nagios(nagios::Nagios),
    /// Explain a directive: where it belongs, what it takes, what it does
    Directive(directive::Directive),
    /// Print completions for a shell
    Completions(generate::Completions),
    /// Print the manual page, or write all of them
    Man(generate::Pages),
}

/// Runs the subcommand; its exit status is the program's.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&error),
    };
    match cli.command {
        Command::Status(show) => show.run(),
        Command::Vrrp(show) => show.run(),
        Command::Bfd(show) => show.run(),
        Command::Ipvs(show) => show.run(),
        Command::Checks(show) => show.run(),
        Command::Events(show) => show.run(),
        Command::Explain(explain) => explain.run(),
        Command::Top(top) => top.run(),
        Command::Failover(failover) => failover.run(),
        Command::Drain(drain) => drain.run(),
        Command::Graph(graph) => graph.run(),
        Command::Ready(ready) => ready.run(),
        Command::Rrd(rrd) => rrd.run(),
        Command::Snmp(snmp) => snmp.run(),
        Command::Weight(weight) => weight.run(),
        Command::Check(check) => check.run(),
        Command::Reload(reload) => reload.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Nagios(nagios) => nagios.run(),
        Command::Directive(directive) => directive.run(),
        Command::Completions(completions) => completions.run(Cli::command()),
        Command::Man(pages) => pages.run(Cli::command()),
    }
}

/// Help is none; and a plugin's status of 2 would be CRITICAL.
fn misunderstood(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ if std::env::args_os().nth(1).is_some_and(|word| word == "nagios") => ExitCode::from(nagios::USAGE),
        _ => ExitCode::from(outcome::status::USAGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_of_the_command_line_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_subcommand_takes_what_its_help_says() {
        for words in [
            "status --json",
            "status -w",
            "status -w 5",
            "vrrp",
            "vrrp VI_1 --json",
            "bfd",
            "bfd B1 --json",
            "check k.conf --dump",
            "check --dump=json --secrets k.conf",
            "check --dump --defaults k.conf",
            "check --explain k.conf",
            "check --schema",
            "man --conf",
            "explain B1 --kind bfd-session",
            "ipvs 192.0.2.10:80 --watch 0.5",
            "checks --failed",
            "events --follow --since 10m -n 5",
            "explain 10.0.0.1:80 --service web --kind real-server",
            "failover VI_1",
            "failover VI_1 --back --wait --timeout 10",
            "top --once",
            "nagios instance VI_1 --expect master",
            "nagios instance --expect any-but-fault -t 3",
            "nagios servers -w 1 -c 50%",
            "nagios quorum web",
            "nagios daemon --socket /tmp/s",
            "doctor --json",
            "reload",
            "reload --plan --json",
            "reload --safe",
            "man --out /tmp/x",
            "completions bash",
        ] {
            let words = std::iter::once("keepwatch").chain(words.split(' '));
            let words: Vec<&str> = words.collect();
            Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        }
        for words in [
            "failover",
            "failover VI_1 --timeout 3",
            "nagios servers -w many",
            "status -w 0",
            "events --since never",
            "doctor x",
            "reload --plan --safe",
        ] {
            let words = std::iter::once("keepwatch").chain(words.split(' '));
            assert!(Cli::try_parse_from(words).is_err());
        }
    }
}
