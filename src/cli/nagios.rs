//! `keepwatch nagios`: a plugin for Nagios, Icinga, Naemon and NRPE, by the Monitoring Plugins' guidelines.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::client::Connection;
use super::outcome::{Failure, print, print_json};
use super::text::{Page, clean, count};
use super::watch::seconds;
use crate::report::{InstanceReport, IpvsReport, ServiceReport, Status, VrrpReport};

#[derive(Debug, Args)]
pub struct Nagios {
    #[command(subcommand)]
    what: What,
    /// A daemon that does not answer within this is UNKNOWN
    #[arg(short, long, value_name = "S", default_value = "5", value_parser = seconds, global = true)]
    timeout: Duration,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The state of an instance: CRITICAL when it is not the expected one, when two routers are master, or when a master
    /// lacks an address
    Instance {
        /// Instance; all of them when missing
        name: Option<String>,
        #[arg(long, value_enum, default_value_t = Expect::AnyButFault)]
        expect: Expect,
    },
    /// Real servers that are down
    Servers {
        /// Virtual server: ADDRESS:PORT, group name, fwmark:N, or its snmp_name; all of them when missing
        service: Option<String>,
        /// WARNING when so many or more are down: a number or a percentage
        #[arg(short, long, value_name = "N", default_value = "1")]
        warning: Threshold,
        /// CRITICAL when so many or more are down: a number or a percentage
        #[arg(short, long, value_name = "N", default_value = "100%")]
        critical: Threshold,
    },
    /// CRITICAL when a virtual server has lost its quorum
    Quorum {
        /// Virtual server; all of them when missing
        service: Option<String>,
    },
    /// CRITICAL when a process does not run or answer, WARNING when the configuration file was refused
    Daemon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Expect {
    Master,
    Backup,
    AnyButFault,
}

/// `3` or `25%`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Threshold {
    Number(u64),
    Percent(f64),
}

/// As plugins exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

/// One line, performance data, and lines that are shown on demand.
#[derive(Debug, Serialize)]
struct Verdict {
    level: Level,
    text: String,
    performance: Vec<String>,
    long: Vec<String>,
}

impl Nagios {
    pub fn run(mut self) -> ExitCode {
        self.connection.patience = Some(self.timeout);
        let verdict = self.judge().unwrap_or_else(|failure| unknown(&failure.message()));
        if self.connection.json {
            print_json(&verdict);
        } else {
            print(&verdict.shown());
        }
        ExitCode::from(verdict.level as u8)
    }

    fn judge(&self) -> Result<Verdict, Failure> {
        let page = Page::stdout();
        match &self.what {
            What::Instance { name, expect } => Ok(instances(&self.connection.vrrp(name.as_deref())?, *expect, &page)),
            What::Servers { service, warning, critical } => {
                Ok(servers(&self.connection.ipvs(service.as_deref())?, *warning, *critical))
            }
            What::Quorum { service } => Ok(quorum(&self.connection.ipvs(service.as_deref())?, &page)),
            What::Daemon => Ok(daemon(&self.connection.status()?, &page)),
        }
    }
}

/// Exit status for a command line that is wrong: 2 would be CRITICAL.
pub const USAGE: u8 = Level::Unknown as u8;

impl Verdict {
    fn shown(&self) -> String {
        let word = match self.level {
            Level::Ok => "OK",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
            Level::Unknown => "UNKNOWN",
        };
        // What follows a bar is taken for performance data.
        let plain = |text: &str| clean(text).replace('|', "/");
        let mut out = format!("KEEPWATCH {word} - {}", plain(&self.text));
        if !self.performance.is_empty() {
            out += " | ";
            out += &self.performance.join(" ");
        }
        out += "\n";
        for line in &self.long {
            out += &plain(line);
            out += "\n";
        }
        out
    }
}

/// What a process said before it fell silent is not judged: by now anything may be true.
fn unknown(silent: &str) -> Verdict {
    Verdict { level: Level::Unknown, text: silent.to_owned(), performance: vec![], long: vec![] }
}

fn instances(vrrp: &VrrpReport, expect: Expect, page: &Page) -> Verdict {
    if let Some(silent) = &vrrp.silent {
        return unknown(silent);
    }
    let instances = &vrrp.instances;
    let judged: Vec<(Level, String)> = instances.iter().map(|instance| judge(instance, expect, page)).collect();
    let level = judged.iter().map(|(level, _)| *level).max().unwrap_or(Level::Unknown);
    let (text, long) = match &judged[..] {
        [] => ("there are no instances".to_owned(), vec![]),
        [(_, text)] => (text.clone(), vec![]),
        many => {
            let bad = many.iter().filter(|(level, _)| *level > Level::Ok);
            let text = match level {
                Level::Ok => format!("{} in order", count(many.len(), "instance")),
                _ => bad.map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("; "),
            };
            (text, many.iter().map(|(_, text)| text.clone()).collect())
        }
    };
    let alone = instances.len() == 1;
    let performance = instances.iter().flat_map(|instance| {
        let label = |what: &str| if alone { what.to_owned() } else { label(&format!("{} {what}", instance.name)) };
        let state = match &*instance.state {
            "init" => 0,
            "backup" => 1,
            "master" => 2,
            _ => 3,
        };
        let counters = &instance.counters;
        [
            format!("{}={state};;;0;3", label("state")),
            format!("{}={};;;0;255", label("priority"), instance.priority.effective),
            format!("{}={}c;;;0", label("became_master"), counters.became_master),
            format!("{}={}c;;;0", label("adverts_sent"), counters.adverts_sent),
            format!("{}={}c;;;0", label("adverts_received"), counters.adverts_received),
            format!("{}={}c;;;0", label("adverts_dropped"), counters.adverts_dropped),
        ]
    });
    Verdict { level, text, performance: performance.collect(), long }
}

fn judge(instance: &InstanceReport, expect: Expect, page: &Page) -> (Level, String) {
    let state = instance.state.to_uppercase();
    let mut found: Vec<(Level, String)> = Vec::new();
    let mut also = |level: Level, words: String| found.push((level, words));
    let expected = match expect {
        Expect::Master => instance.state == "master",
        Expect::Backup => instance.state == "backup",
        Expect::AnyButFault => instance.state != "fault",
    };
    if !expected {
        let why = match (expect, instance.faults.is_empty()) {
            (_, false) => instance.faults.join("; "),
            (Expect::Master, true) => "expected MASTER".to_owned(),
            (Expect::Backup, true) => "expected BACKUP".to_owned(),
            (Expect::AnyButFault, true) => instance.reason.clone(),
        };
        also(Level::Critical, why);
    }
    if let Some(other) = &instance.other_master {
        also(Level::Critical, format!("{} is master, too", other.address));
    }
    let missing: Vec<&str> = instance
        .addresses
        .iter()
        .filter(|address| address.wanted && !address.present)
        .map(|address| &*address.address)
        .collect();
    if !missing.is_empty() {
        also(Level::Critical, format!("without {}", missing.join(", ")));
    }
    let strange = instance.addresses.iter().any(|address| !address.wanted && address.present);
    if strange {
        also(Level::Warning, "with addresses that are not its own now".to_owned());
    }
    if instance.stood_down.is_some() {
        also(Level::Ok, "stood down by an operator".to_owned());
    }
    if instance.state != "master"
        && let Some(master) = &instance.master
    {
        also(Level::Ok, format!("master is {}", master.address));
    }
    let level = found.iter().map(|(level, _)| *level).max().unwrap_or(Level::Ok);
    let text = format!("{} is {state} for {}", instance.name, page.age(instance.since));
    (level, found.into_iter().fold(text, |text, (_, words)| format!("{text}, {words}")))
}

fn servers(ipvs: &IpvsReport, warning: Threshold, critical: Threshold) -> Verdict {
    if let Some(silent) = &ipvs.silent {
        return unknown(silent);
    }
    // Where the address is elsewhere, nothing is checked.
    let services = ipvs.services.iter().filter(|report| !report.service.suspended);
    let real: Vec<_> = services.flat_map(|report| report.servers.iter().filter(|server| !server.sorry)).collect();
    let down: Vec<_> = real.iter().filter(|server| !server.alive).collect();
    let (total, number) = (real.len() as u64, down.len() as u64);
    let level = if critical.reached(number, total) {
        Level::Critical
    } else if warning.reached(number, total) {
        Level::Warning
    } else {
        Level::Ok
    };
    let mut text = format!("{} of {} up", total - number, count(real.len(), "real server"));
    if !down.is_empty() {
        let names: Vec<&str> =
            down.iter().take(5).map(|server| server.name.as_deref().unwrap_or(&server.server)).collect();
        text += &format!(", down: {}{}", names.join(", "), if down.len() > 5 { ", ..." } else { "" });
    }
    if !ipvs.unavailable.is_empty() {
        text += &format!(" ({})", ipvs.unavailable);
    }
    let level = if ipvs.unavailable.is_empty() { level } else { level.max(Level::Critical) };
    let drained = real.iter().filter(|server| server.alive && server.weight == 0).count();
    let active: u64 = real.iter().map(|server| u64::from(server.active_connections)).sum();
    let long = down.iter().map(|server| {
        let why = server.checkers.iter().find(|checker| !checker.up && !checker.error.is_empty());
        let why = why.map(|checker| format!(": {}: {}", checker.kind, checker.error)).unwrap_or_default();
        format!("{} of {} is down{why}", server.server, server.service)
    });
    Verdict {
        level,
        text,
        performance: vec![
            format!("down={number};{};{};0;{total}", warning.last_good(total), critical.last_good(total)),
            format!("up={};;;0;{total}", total - number),
            format!("drained={drained};;;0;{total}"),
            format!("active_connections={active};;;0"),
        ],
        long: long.collect(),
    }
}

fn quorum(ipvs: &IpvsReport, page: &Page) -> Verdict {
    if let Some(silent) = &ipvs.silent {
        return unknown(silent);
    }
    let lost: Vec<&ServiceReport> =
        ipvs.services.iter().filter(|report| !report.service.quorum_met && !report.service.suspended).collect();
    let told = |report: &ServiceReport| {
        let service = &report.service;
        let name = service.name.as_ref().unwrap_or(&service.service);
        let word = match (service.suspended, service.quorum_met, service.sorry_active) {
            (true, ..) => "is suspended",
            (_, true, _) => "has its quorum",
            (_, false, true) => "has lost its quorum, the sorry server serves",
            (_, false, false) => "has lost its quorum",
        };
        let (up, total) = (service.servers_up, service.servers_total);
        format!(
            "{name} {word} for {} ({up} of {total} up, weight {})",
            page.age(report.quorum_since),
            service.weight_up
        )
    };
    let (level, text) = match (&ipvs.services[..], &lost[..]) {
        _ if !ipvs.unavailable.is_empty() => (Level::Critical, ipvs.unavailable.clone()),
        ([], _) => (Level::Ok, "there are no virtual servers".to_owned()),
        ([one], _) => (if lost.is_empty() { Level::Ok } else { Level::Critical }, told(one)),
        (all, []) => (Level::Ok, format!("{} with quorum", count(all.len(), "virtual server"))),
        (_, lost) => (Level::Critical, lost.iter().map(|report| told(report)).collect::<Vec<_>>().join("; ")),
    };
    let performance = ipvs.services.iter().map(|report| {
        let service = &report.service;
        format!("{}={};;{}:;0", label(&service.service), service.weight_up, service.quorum)
    });
    let long = if ipvs.services.len() > 1 { ipvs.services.iter().map(told).collect() } else { vec![] };
    Verdict { level, text, performance: performance.collect(), long }
}

fn daemon(status: &Status, page: &Page) -> Verdict {
    let daemon = &status.daemon;
    let mut level = Level::Ok;
    let mut text = format!("keepwatch {} for {}", status.version, page.age(daemon.started));
    let mut also = |worse: Level, words: String| {
        level = level.max(worse);
        text += &format!(", {words}");
    };
    for process in daemon.processes.iter().filter(|process| !process.up) {
        also(Level::Critical, format!("{} does not answer", process.report.name));
    }
    let reload = &daemon.reload;
    if !reload.successful && reload.tried_at.0 > 0 {
        also(Level::Warning, format!("its configuration was refused {} ago", page.age(reload.tried_at.0 as f64 / 1e9)));
    }
    let restarts: u64 = daemon.processes.iter().map(|process| process.report.restarts).sum();
    let mut performance = vec![
        format!("uptime={}s;;;0", (page.now - daemon.started).max(0.0) as u64),
        format!("restarts={restarts}c;;;0"),
        format!("reloads_rejected={}c;;;0", reload.rejected),
    ];
    performance.extend(daemon.processes.iter().map(|process| {
        format!("{}={}B;;;0", label(&format!("{} memory", process.report.name)), process.report.resident_bytes)
    }));
    let long = daemon.processes.iter().map(|process| {
        let word = if process.up { "is up" } else { "DOES NOT ANSWER" };
        let restarts = count(process.report.restarts as usize, "time");
        format!("{} {word}, pid {}, restarted {restarts}", process.report.name, process.report.pid)
    });
    let long = long.chain(reload.errors.lines().map(str::to_owned)).collect();
    Verdict { level, text, performance, long }
}

/// Quoted where it must be; equals signs and quotes cannot be in one.
fn label(text: &str) -> String {
    let text: String = clean(text).chars().filter(|c| !matches!(c, '=' | '\'' | '|')).collect();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') { text } else { format!("'{text}'") }
}

impl Threshold {
    fn reached(self, number: u64, of: u64) -> bool {
        match self {
            Threshold::Number(at) => number >= at,
            // Of none, none is missing.
            Threshold::Percent(at) => of > 0 && number as f64 * 100.0 >= at * of as f64,
        }
    }

    /// As ranges of performance data are: above this it is reached. Empty where it never can be.
    fn last_good(self, of: u64) -> String {
        (0..=of).find(|number| self.reached(*number, of)).map(|at| at.saturating_sub(1).to_string()).unwrap_or_default()
    }
}

impl FromStr for Threshold {
    type Err = String;
    fn from_str(text: &str) -> Result<Threshold, String> {
        let problem = || format!("expected a number or a percentage, found `{text}`");
        match text.strip_suffix('%') {
            Some(percent) => match percent.parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Threshold::Percent(percent)),
                _ => Err(problem()),
            },
            None => text.parse().map(Threshold::Number).map_err(|_| problem()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;

    fn page() -> Page {
        Page::plain(fixture::NOW)
    }

    #[test]
    fn an_instance_is_judged_by_what_is_expected_of_it() {
        let vrrp = fixture::vrrp();
        let judged = |place: usize, expect| {
            let one = VrrpReport { instances: vec![vrrp.instances[place].clone()], ..vrrp.clone() };
            let verdict = instances(&one, expect, &page());
            (verdict.level, verdict.text)
        };
        assert_eq!(judged(0, Expect::Master), (Level::Ok, "VI_1 is MASTER for 3 h".to_owned()));
        assert_eq!(judged(0, Expect::AnyButFault).0, Level::Ok);
        assert_eq!(judged(0, Expect::Backup), (Level::Critical, "VI_1 is MASTER for 3 h, expected BACKUP".to_owned()));
        assert_eq!(judged(1, Expect::AnyButFault).0, Level::Critical, "fault");
        assert_eq!(judged(2, Expect::Master).0, Level::Critical, "two masters");
        assert_eq!(judged(3, Expect::Backup).0, Level::Ok);
        fixture::golden("nagios-instances", &instances(&vrrp, Expect::AnyButFault, &page()).shown());
        let none = VrrpReport { instances: vec![], ..vrrp };
        assert_eq!(instances(&none, Expect::Master, &page()).level, Level::Unknown);
    }

    #[test]
    fn what_a_process_said_before_it_fell_silent_is_not_judged() {
        let silent = || Some("vrrp does not run, heard last 3 min ago".to_owned());
        let vrrp = VrrpReport { silent: silent(), ..fixture::vrrp() };
        let shown = instances(&vrrp, Expect::AnyButFault, &page()).shown();
        assert_eq!(shown, "KEEPWATCH UNKNOWN - vrrp does not run, heard last 3 min ago\n");
        let ipvs = IpvsReport { silent: silent(), ..fixture::ipvs() };
        assert_eq!(servers(&ipvs, Threshold::Number(1), Threshold::Percent(100.0)).level, Level::Unknown);
        assert_eq!(quorum(&ipvs, &page()).level, Level::Unknown);
        // Before the first word there are no rows, and that is no good news.
        let nothing = IpvsReport { silent: silent(), ..IpvsReport::default() };
        assert_eq!(quorum(&nothing, &page()).level, Level::Unknown);
    }

    #[test]
    fn servers_that_are_down_are_counted_against_numbers_and_percentages() {
        let ipvs = fixture::ipvs();
        let level =
            |warning: &str, critical: &str| servers(&ipvs, warning.parse().unwrap(), critical.parse().unwrap()).level;
        // One of four.
        assert_eq!(level("1", "100%"), Level::Warning);
        assert_eq!(level("2", "3"), Level::Ok);
        assert_eq!(level("1", "25%"), Level::Critical);
        assert_eq!(level("25%", "26%"), Level::Warning);
        fixture::golden("nagios-servers", &servers(&ipvs, Threshold::Number(1), Threshold::Percent(50.0)).shown());
        let none = servers(&IpvsReport::default(), Threshold::Number(1), Threshold::Percent(100.0));
        assert_eq!((none.level, &*none.text), (Level::Ok, "0 of 0 real servers up"));
    }

    #[test]
    fn a_lost_quorum_is_critical_and_a_suspended_one_is_not() {
        let mut ipvs = fixture::ipvs();
        fixture::golden("nagios-quorum", &quorum(&ipvs, &page()).shown());
        assert_eq!(quorum(&ipvs, &page()).level, Level::Critical);
        ipvs.services.iter_mut().for_each(|report| report.service.suspended = true);
        assert_eq!(quorum(&ipvs, &page()).level, Level::Ok);
    }

    #[test]
    fn the_daemon_is_as_good_as_its_processes_and_its_configuration() {
        let mut status = fixture::status();
        fixture::golden("nagios-daemon", &daemon(&status, &page()).shown());
        assert_eq!(daemon(&status, &page()).level, Level::Critical);
        status.daemon.processes.iter_mut().for_each(|process| process.up = true);
        assert_eq!(daemon(&status, &page()).level, Level::Warning);
        status.daemon.reload.successful = true;
        assert_eq!(daemon(&status, &page()).level, Level::Ok);
    }

    #[test]
    fn thresholds_in_performance_data_are_ranges() {
        let last_good = |text: &str, of| Threshold::from_str(text).unwrap().last_good(of);
        assert_eq!(
            [last_good("1", 4), last_good("50%", 4), last_good("100%", 3), last_good("9", 4)],
            ["0", "1", "2", ""]
        );
        for text in ["", "-1", "101%", "a", "1:2"] {
            assert!(Threshold::from_str(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_that_a_server_says_becomes_performance_data() {
        let verdict = Verdict {
            level: Level::Ok,
            text: "a|b\n".to_owned(),
            performance: vec![format!("{}=1", label("x='|y z"))],
            long: vec!["c|d".to_owned()],
        };
        assert_eq!(verdict.shown(), "KEEPWATCH OK - a/b\\n | 'xy z'=1\nc/d\n");
    }
}
