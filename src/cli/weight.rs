//! `keepwatch drain`, `ready` and `weight`: real servers taken out of service and put back by hand.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::client::{Client, Connection};
use super::outcome::{Failure, finish, print_json, status};
use super::progress::Progress;
use crate::clock::{self, Instant};
use crate::control::{Code, Request, Response, Server, WEIGHT_MAX};

/// How often the connections are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Which real server.
#[derive(Debug, Args)]
struct Which {
    /// Real server: ADDRESS:PORT, [ADDRESS]:PORT, ADDRESS, or its snmp_name
    #[arg(value_name = "RS")]
    server: String,
    /// Virtual server, if more than one has this real server: ADDRESS:PORT, group name, fwmark:N, or its snmp_name
    #[arg(long, value_name = "VS")]
    service: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub struct Drain {
    #[command(flatten)]
    which: Which,
    /// Return when its active connections are gone
    #[arg(long)]
    wait: bool,
    /// With --wait: return after this many seconds at the latest
    #[arg(long, value_name = "S", default_value_t = 300, requires = "wait")]
    timeout: u32,
}

#[derive(Debug, Args)]
pub struct Ready {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
pub struct Weight {
    #[command(flatten)]
    which: Which,
    /// New weight; shows the present one when missing
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(WEIGHT_MAX)))]
    weight: Option<u32>,
}

/// A server, and how old its counters are.
struct Seen {
    server: Server,
    /// When its counters were read, or before.
    counted_at: Instant,
}

/// What `--json` prints of a drain.
#[derive(Debug, Serialize)]
struct Drained<'a> {
    /// `null` when it was not waited for.
    drained: Option<bool>,
    seconds: f64,
    active_connections: u32,
    server: &'a Server,
}

impl Drain {
    pub fn run(self) -> ExitCode {
        self.which.finish(self.drain())
    }

    fn drain(&self) -> Result<u8, Failure> {
        let mut client = self.which.connection.open()?;
        let begun = clock::now();
        let set =
            Request::SetWeight { server: self.which.server.clone(), service: self.which.service.clone(), weight: 0 };
        let mut seen = one(&mut client, &set)?;
        let seconds = || clock::now().since(begun).as_secs_f64();
        if !self.wait {
            self.tell(&seen.server, None, seconds(), format_args!("weight 0, {}", connections(&seen.server)));
            return Ok(0);
        }
        let deadline = begun + Duration::from_secs(u64::from(self.timeout));
        // What was counted before the weight was 0 may have missed a connection that came until then.
        let set_at = clock::now();
        let mut progress = Progress::new(self.which.connection.json);
        // By its key: a name may match others after a reload.
        let look =
            Request::Servers { server: Some(seen.server.server.clone()), service: Some(seen.server.service.clone()) };
        loop {
            let now = clock::now();
            if seen.server.active_connections == 0 && seen.counted_at >= set_at {
                progress.end();
                self.tell(&seen.server, Some(true), seconds(), format_args!("drained in {:.0} s", seconds()));
                return Ok(0);
            }
            if now >= deadline {
                progress.end();
                let text = match seen.server.active_connections {
                    0 => format!("not counted since it was drained, {} s ago", self.timeout),
                    _ => format!("{} left after {} s", connections(&seen.server), self.timeout),
                };
                self.tell(&seen.server, Some(false), seconds(), format_args!("{text}"));
                return Ok(status::TROUBLE);
            }
            let left = connections(&seen.server);
            progress.show(&format!("{}: {left}, {:.0} s", seen.server.server, seconds().floor()));
            std::thread::sleep(LOOK_EVERY.min(deadline.since(now)));
            seen = one(&mut client, &look)?;
        }
    }

    /// `drained`: whether it is, if that was waited for.
    fn tell(&self, server: &Server, drained: Option<bool>, seconds: f64, text: std::fmt::Arguments<'_>) {
        if self.which.connection.json {
            let active_connections = server.active_connections;
            print_json(&Drained { drained, seconds, active_connections, server });
            return;
        }
        println!("{}: {text}", title(server));
        if server.persistent_connections > 0 {
            println!(
                "note: persistence ties {} to it, and may go on to send them there until their time-out",
                count(server.persistent_connections, "client")
            );
        }
    }
}

impl Ready {
    pub fn run(self) -> ExitCode {
        self.which.finish(self.ready())
    }

    fn ready(&self) -> Result<u8, Failure> {
        let mut client = self.which.connection.open()?;
        let reset = Request::ResetWeight { server: self.which.server.clone(), service: self.which.service.clone() };
        let seen = one(&mut client, &reset)?;
        self.which.show(&seen.server);
        Ok(0)
    }
}

impl Weight {
    pub fn run(self) -> ExitCode {
        self.which.finish(self.weigh())
    }

    fn weigh(&self) -> Result<u8, Failure> {
        let mut client = self.which.connection.open()?;
        let (server, service) = (self.which.server.clone(), self.which.service.clone());
        let Some(weight) = self.weight else {
            // Shows all that match.
            let Response::Servers { servers, .. } =
                client.ask(&Request::Servers { server: Some(server), service })?.good()?
            else {
                return Err(Failure::nonsense());
            };
            match (&servers[..], self.which.connection.json) {
                (servers, true) => print_json(&servers),
                (servers, false) => servers.iter().for_each(|server| self.which.show(server)),
            }
            return Ok(0);
        };
        let seen = one(&mut client, &Request::SetWeight { server, service, weight })?;
        self.which.show(&seen.server);
        Ok(0)
    }
}

impl Which {
    fn show(&self, server: &Server) {
        if self.connection.json {
            return print_json(server);
        }
        let mut text = format!("{}: weight {}", title(server), server.weight);
        match server.configured_weight {
            Some(configured) if server.overridden => {
                // Writing to a String cannot fail.
                let _ = write!(text, " by hand ({configured} configured)");
            }
            Some(_) => text += " as configured",
            None => text += ", sorry server",
        }
        text += if server.alive { ", up" } else { ", down" };
        println!("{text}, {}", connections(server));
    }

    fn finish(&self, result: Result<u8, Failure>) -> ExitCode {
        finish(result, self.connection.json, Some(&self.server))
    }
}

/// Asks for something that exactly one server answers.
fn one(client: &mut Client, request: &Request) -> Result<Seen, Failure> {
    let Response::Servers { mut servers, statistics_at_ns, .. } = client.ask(request)?.good()? else {
        return Err(Failure::nonsense());
    };
    let counted_at = Instant::from_nanos(statistics_at_ns);
    match servers.pop() {
        Some(server) if servers.is_empty() => Ok(Seen { server, counted_at }),
        _ => {
            let message = "it has just left the configuration".to_owned();
            Err(Failure::Refused { code: Code::NoSuchServer, message, candidates: servers, meanings: Vec::new() })
        }
    }
}

fn title(server: &Server) -> String {
    format!("{} of {}", server.name.as_ref().unwrap_or(&server.server), server.service)
}

fn connections(server: &Server) -> String {
    count(server.active_connections, "active connection")
}

fn count(number: u32, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}
