//! The command line of `keepwatchd`: Keepalived's, option for option (keepalived(8)).
//!
//! What getopt_long does and clap does not is done before clap sees the words: values glued to `-t`, `-g` and `-M`.

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};
use serde::{Deserialize, Serialize};
use tracing::Level;

use crate::bus::msg::Source;
use crate::conf::model::Config;

/// Runs VRRP and IPVS with health checks as `keepalived.conf` says.
///
/// keepwatchd reads Keepalived's configuration unchanged and takes its options. Monitoring runs in a process of its own.
#[derive(Debug, Clone, PartialEq, Parser, Serialize, Deserialize)]
#[command(
    name = "keepwatchd",
    version,
    disable_version_flag = true,
    disable_help_flag = true,
    infer_long_args = true,
    args_override_self = true
)]
pub struct Options {
    /// Configuration file (a glob pattern)
    #[arg(short = 'f', long, value_name = "FILE", default_value = "/etc/keepalived/keepalived.conf")]
    pub use_file: String,
    /// keepwatch's own settings (YAML); without it keepwatch.yaml beside the configuration file, if it is there
    #[arg(long, value_name = "FILE")]
    pub settings: Option<String>,
    /// Directory of what is kept over restarts: SNMP engine id and boots
    #[arg(long, value_name = "DIR", default_value = "/var/lib/keepwatch")]
    pub state_dir: PathBuf,
    /// Only run VRRP, no checker
    #[arg(short = 'P', long)]
    pub vrrp: bool,
    /// Only run the checkers, no VRRP
    #[arg(short = 'C', long)]
    pub check: bool,
    /// No BFD
    #[arg(short = 'B', long = "no_bfd")]
    pub no_bfd: bool,
    /// Run every process, even without configuration for it
    #[arg(long)]
    pub all: bool,
    /// Log to the console (standard error) besides syslog
    #[arg(short = 'l', long)]
    pub log_console: bool,
    /// Detailed log; twice for more
    #[arg(short = 'D', long, action = ArgAction::Count)]
    pub log_detail: u8,
    /// Syslog facility: 0-7, local0-local7, user or daemon
    #[arg(short = 'S', long, value_name = "FACILITY")]
    pub log_facility: Option<String>,
    /// Log to a file too; other processes than the first insert _vrrp, _healthcheckers and so on before its extension
    #[arg(short = 'g', long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = LOG_FILE)]
    pub log_file: Option<PathBuf>,
    /// Write each line of the log file on its own, not with those that follow it at once
    #[arg(long)]
    pub flush_log_file: bool,
    /// No syslog
    #[arg(short = 'G', long)]
    pub no_syslog: bool,
    /// File creation mask, octal
    #[arg(short = 'u', long, value_name = "MASK")]
    pub umask: Option<String>,
    /// Drop addresses when a signal ends the daemon: it always does, unless --dont-release-vrrp is given
    #[arg(short = 'X', long)]
    pub release_vips: bool,
    /// Keep addresses when stopping
    #[arg(short = 'V', long)]
    pub dont_release_vrrp: bool,
    /// Keep the IPVS table when stopping
    #[arg(short = 'I', long)]
    pub dont_release_ipvs: bool,
    /// Do not restart processes that die
    #[arg(short = 'R', long)]
    pub dont_respawn: bool,
    /// Stay in the foreground
    #[arg(short = 'n', long)]
    pub dont_fork: bool,
    /// Write the parsed configuration to the log
    #[arg(short = 'd', long)]
    pub dump_conf: bool,
    /// Pid file of the daemon
    #[arg(short = 'p', long, value_name = "FILE")]
    pub pid: Option<PathBuf>,
    /// Pid file of the VRRP process
    #[arg(short = 'r', long = "vrrp_pid", value_name = "FILE")]
    pub vrrp_pid: Option<PathBuf>,
    /// Pid file of the checker process
    #[arg(short = 'c', long = "checkers_pid", value_name = "FILE")]
    pub checkers_pid: Option<PathBuf>,
    /// Pid file for BFD, with the number of the VRRP process, which has the sessions
    #[arg(short = 'b', long = "bfd_pid", value_name = "FILE")]
    pub bfd_pid: Option<PathBuf>,
    /// Log every address that comes or goes
    #[arg(short = 'a', long)]
    pub address_monitoring: bool,
    /// Run in this network namespace
    #[arg(short = 's', long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Every include check is an error
    #[arg(short = 'e', long)]
    pub all_config: bool,
    /// Name of this node for @ID lines; the host name up to the first dot by default
    #[arg(short = 'i', long, value_name = "ID")]
    pub config_id: Option<String>,
    /// Enable every part of SNMP
    #[arg(short = 'x', long)]
    pub snmp: bool,
    /// AgentX master: unix:PATH, PATH or tcp:HOST:PORT
    #[arg(short = 'A', long, value_name = "ADDRESS")]
    pub snmp_agent_socket: Option<String>,
    /// Allow core dumps
    #[arg(short = 'm', long)]
    pub core_dump: bool,
    /// Allow core dumps and set their pattern
    #[arg(short = 'M', long, value_name = "PATTERN", num_args = 0..=1, require_equals = true, default_missing_value = "core")]
    pub core_dump_pattern: Option<String>,
    /// Act as genhash(1), which the other words are for; must come first
    #[arg(short = 'T', long)]
    pub genhash: bool,
    /// Print the number of the signal for STOP, RELOAD, DATA, STATS, STATS_CLEAR or JSON
    #[arg(long, value_name = "NAME")]
    pub signum: Option<String>,
    /// Check the configuration and exit; complaints go to standard error or FILE
    #[arg(short = 't', long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub config_test: Option<String>,
    /// Ignore SIGINT
    #[arg(long)]
    pub ignore_sigint: bool,
    /// Of special builds of Keepalived, as the next ones: accepted, without effect
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub perf: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub debug: Option<String>,
    #[arg(long, hide = true)]
    pub no_mem_check: bool,
    #[arg(short = 'L', long, hide = true)]
    pub mem_check_log: bool,
    #[arg(short = 'O', long, hide = true)]
    pub openssl_mem_check: bool,
    /// Keepalived's own, for its children
    #[arg(long, hide = true, value_name = "N")]
    pub config_fd: Option<i32>,
    /// Print the version
    #[arg(short = 'v', long)]
    pub version: bool,
    /// Print this help
    #[arg(short = 'h', long)]
    pub help: bool,
    /// What the program was called by: the name of its processes, unless the configuration gives another.
    #[arg(skip)]
    pub program: String,
    /// `umask` of the configuration; the option wins.
    #[arg(skip)]
    pub configured_umask: Option<u16>,
    /// `reload_check_config` of the configuration in force: where the load process writes its complaints to.
    #[arg(skip)]
    pub reload_log: Option<PathBuf>,
}

/// `--log-file` without a value.
const LOG_FILE: &str = "/var/log/keepwatch.log";

/// How a process logs.
#[derive(Debug, Clone)]
pub struct LogOptions {
    pub ident: String,
    /// `None`: no syslog.
    pub facility: Option<u8>,
    pub console: bool,
    /// After each line of the file.
    pub flush: bool,
    file: Option<PathBuf>,
    detail: u8,
}

impl LogOptions {
    /// The log file of a process, which is called as Keepalived calls it. `role` as in `_vrrp`.
    pub fn file(&self, role: &str) -> Option<PathBuf> {
        let path = self.file.as_ref()?;
        let role = if role == "_checks" { "_healthcheckers" } else { role };
        let name = path.file_name()?.to_string_lossy();
        Some(path.with_file_name(match name.rsplit_once('.') {
            Some((stem, extension)) => format!("{stem}{role}.{extension}"),
            None => format!("{name}{role}"),
        }))
    }

    pub fn level(&self) -> Level {
        if self.detail >= 2 { Level::DEBUG } else { Level::INFO }
    }
}

/// A command line that cannot be used: a message for standard error, and exit status 1.
#[derive(Debug)]
pub struct UsageError(pub String);

impl Options {
    /// The engine processes that run with this configuration. `-P` and `-C` leave only one of them, unless both are given.
    pub fn engines(&self, config: &Config) -> Vec<Source> {
        let vrrp = !config.instances.is_empty() || !config.static_addresses.is_empty();
        // They live there, whoever tracks them.
        let bfd = !config.bfd.is_empty() && !self.no_bfd;
        let mut engines = vec![];
        if ((vrrp || self.all) && (!self.check || self.vrrp)) || bfd {
            engines.push(Source::Vrrp);
        }
        let checks = config.has_virtual_servers || config.global.lvs.sync_daemon.is_some();
        if (checks || self.all) && (!self.vrrp || self.check) {
            engines.push(Source::Checks);
        }
        engines
    }

    /// Parses the words after the program's name.
    pub fn parse_words(words: impl IntoIterator<Item = String>) -> Result<Options, UsageError> {
        let words = std::iter::once("keepwatchd".to_owned()).chain(words.into_iter().flat_map(unglue));
        let matches = Options::command().try_get_matches_from(words).map_err(|error| misunderstood(&error))?;
        Options::from_arg_matches(&matches).map_err(|error| UsageError(error.to_string()))
    }

    pub fn help_text() -> String {
        Options::command().render_long_help().to_string()
    }

    /// Complaints that do not stop the daemon, as Keepalived's do not.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.log_facility.as_deref().is_some_and(|text| facility(text).is_none()) {
            complaints.push(format!(
                "invalid log facility `{}`: use 0-7, local0-local7, user or daemon",
                self.log_facility.as_deref().unwrap_or_default()
            ));
        }
        if self.umask.as_deref().is_some_and(|text| umask(text).is_none()) {
            complaints.push(format!("invalid umask `{}`: use octal digits", self.umask.as_deref().unwrap_or_default()));
        }
        complaints
    }

    /// Options that are accepted and do nothing: they are for looking into Keepalived itself.
    pub fn without_effect(&self) -> Vec<&'static str> {
        let all = [
            (self.perf.is_some(), "--perf"),
            (self.debug.is_some(), "--debug"),
            (self.no_mem_check, "--no-mem-check"),
            (self.mem_check_log, "--mem-check-log"),
            (self.openssl_mem_check, "--openssl-mem-check"),
            (self.config_fd.is_some(), "--config-fd"),
        ];
        all.into_iter().filter(|(given, _)| *given).map(|(_, name)| name).collect()
    }

    pub fn log(&self, instance: Option<&str>) -> LogOptions {
        LogOptions {
            ident: instance.map_or("keepwatch".to_owned(), |name| format!("keepwatch_{name}")),
            facility: (!self.no_syslog)
                .then(|| self.log_facility.as_deref().and_then(facility).unwrap_or(FACILITY_DAEMON)),
            console: self.log_console,
            flush: self.flush_log_file,
            file: self.log_file.clone(),
            detail: self.log_detail,
        }
    }

    /// Files by their full names, for a daemon that leaves the directory it was started in.
    pub fn make_absolute(&mut self) {
        let Ok(here) = std::env::current_dir() else { return };
        if !self.use_file.starts_with('/') {
            self.use_file = here.join(&self.use_file).to_string_lossy().into_owned();
        }
        if let Some(settings) = self.settings.as_mut().filter(|path| !path.starts_with('/')) {
            *settings = here.join(&*settings).to_string_lossy().into_owned();
        }
        self.state_dir = here.join(&self.state_dir);
        let files = [&mut self.pid, &mut self.vrrp_pid, &mut self.checkers_pid, &mut self.bfd_pid, &mut self.log_file];
        for path in files.into_iter().flatten() {
            *path = here.join(&*path);
        }
    }

    /// The mask for files that we create; Keepalived's default is 0177.
    pub fn file_mask(&self) -> u32 {
        let configured = || self.configured_umask.map(u32::from);
        self.umask.as_deref().and_then(umask).or_else(configured).unwrap_or(0o177)
    }
}

const FACILITY_DAEMON: u8 = 3;

fn facility(text: &str) -> Option<u8> {
    const LOCAL0: u8 = 16;
    match text {
        "user" => Some(1),
        "daemon" => Some(FACILITY_DAEMON),
        _ => {
            let number: u8 = text.strip_prefix("local").unwrap_or(text).parse().ok()?;
            (number < 8).then_some(LOCAL0 + number)
        }
    }
}

fn umask(text: &str) -> Option<u32> {
    let mask = u32::from_str_radix(text, 8).ok()?;
    (mask <= 0o777).then_some(mask)
}

/// What clap says, and what was probably meant by a word that is no option: a file without its `-f`.
fn misunderstood(error: &clap::Error) -> UsageError {
    let mut text = error.to_string();
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
        && !word.starts_with('-')
    {
        text.push_str(&format!("\nDid you mean `-f {word}`? The configuration file follows `-f`\n"));
    }
    UsageError(text)
}

/// Splits `-tFILE` (and `-g`, `-M`) so that clap sees an optional value only where getopt would: glued on.
fn unglue(word: String) -> Vec<String> {
    const TAKE_NEXT: &str = "fSuprcbsiA";
    let Some(cluster) = word.strip_prefix('-').filter(|rest| !rest.starts_with('-') && !rest.is_empty()) else {
        return vec![word];
    };
    for (at, option) in cluster.char_indices() {
        if TAKE_NEXT.contains(option) {
            return vec![word];
        }
        let long = match option {
            't' => "--config-test",
            'g' => "--log-file",
            'M' => "--core-dump-pattern",
            _ => continue,
        };
        let (before, value) = (&cluster[..at], &cluster[at + option.len_utf8()..]);
        let mut words = Vec::new();
        if !before.is_empty() {
            words.push(format!("-{before}"));
        }
        words.push(if value.is_empty() { long.to_owned() } else { format!("{long}={value}") });
        return words;
    }
    vec![word]
}

/// Signal numbers by Keepalived's names for them.
pub fn signal_number(name: &str) -> Option<i32> {
    match name {
        "STOP" => Some(libc::SIGTERM),
        "RELOAD" => Some(libc::SIGHUP),
        "DATA" => Some(libc::SIGUSR1),
        "STATS" => Some(libc::SIGUSR2),
        "STATS_CLEAR" => Some(libc::SIGRTMAX() - 1),
        "JSON" => Some(libc::SIGRTMIN() + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, UsageError> {
        Options::parse_words(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn short_options_combine_and_values_may_be_glued() {
        let options = parse("-nlDD -f/etc/k.conf -xA unix:/run/agentx -p /run/a.pid").unwrap();
        assert!(options.dont_fork && options.log_console && options.snmp);
        assert_eq!(options.log_detail, 2);
        assert_eq!(options.use_file, "/etc/k.conf");
        assert_eq!(options.snmp_agent_socket.as_deref(), Some("unix:/run/agentx"));
    }

    #[test]
    fn a_config_test_takes_a_log_file_only_when_glued() {
        assert_eq!(parse("-t -f x").unwrap().config_test.as_deref(), Some(""));
        assert_eq!(parse("-t/tmp/log -f x").unwrap().config_test.as_deref(), Some("/tmp/log"));
        assert_eq!(parse("-nt/tmp/log").unwrap().config_test.as_deref(), Some("/tmp/log"));
        assert_eq!(parse("--config-test=/tmp/log").unwrap().config_test.as_deref(), Some("/tmp/log"));
    }

    #[test]
    fn long_options_may_be_abbreviated_as_getopt_allows() {
        assert!(parse("--log-con --dont-f").is_ok_and(|o| o.log_console && o.dont_fork));
        assert_eq!(parse("--log-facility=6").unwrap().log(None).facility, Some(16 + 6));
    }

    #[test]
    fn the_mask_of_the_command_line_beats_that_of_the_configuration_which_beats_keepalived_s_own() {
        let of = |line, configured_umask| Options { configured_umask, ..parse(line).unwrap() }.file_mask();
        assert_eq!((of("", None), of("", Some(0o22)), of("-u 27", Some(0o22))), (0o177, 0o22, 0o27));
        assert_eq!(of("-u 99", Some(0o22)), 0o22, "a bad one is complained of and ignored");
    }

    #[test]
    fn each_process_has_a_log_file_of_its_own_beside_the_one_that_is_named() {
        let of = |line: &str, role| parse(line).unwrap().log(None).file(role).map(|path| path.display().to_string());
        assert_eq!(of("-g/var/log/k.d/k.log", "").as_deref(), Some("/var/log/k.d/k.log"));
        assert_eq!(of("-g/var/log/k.d/k.log", "_vrrp").as_deref(), Some("/var/log/k.d/k_vrrp.log"));
        assert_eq!(of("--log-file=/var/log/k.d/k", "_checks").as_deref(), Some("/var/log/k.d/k_healthcheckers"));
        assert_eq!(of("-g", "_bridge").as_deref(), Some("/var/log/keepwatch_bridge.log"));
        assert_eq!(of("-n", "_bridge"), None);
    }

    #[test]
    fn of_an_option_given_twice_the_last_counts() {
        let options = parse("-D -f one -D -f two -n -n").unwrap();
        assert_eq!((options.use_file.as_str(), options.log_detail), ("two", 2));
    }

    #[test]
    fn options_of_special_builds_are_accepted_and_do_nothing() {
        let options = parse("-LOn --perf=run --debug=DEv --no-mem-check --config-fd 5").unwrap();
        assert!(options.dont_fork);
        let all = ["--perf", "--debug", "--no-mem-check", "--mem-check-log", "--openssl-mem-check", "--config-fd"];
        assert_eq!(options.without_effect(), all);
        assert!(parse("--perf --debug -n").unwrap().dont_fork, "their values are glued on");
    }

    #[test]
    fn stray_words_and_unknown_options_are_errors() {
        let told = |line: &str| parse(line).map_err(|UsageError(text)| text).unwrap_err();
        assert!(told("-t some.conf").ends_with("Did you mean `-f some.conf`? The configuration file follows `-f`\n"));
        assert!(!told("--no-such-option").contains("Did you mean"));
        assert!(parse("--no-such-option").is_err());
        assert!(parse("-f").is_err());
    }
}
