//! `keepwatchd`: the daemon, with Keepalived's flags. The same binary is each of its processes, told apart by `argv[0]`.

use std::process::ExitCode;

use keepwatch::process::options::{Options, UsageError, signal_number};
use keepwatch::process::role::{Role, exit};
use keepwatch::process::{bridge, checks, daemonize, genhash, load, logging, naming, runner, supervisor, vrrp};
use keepwatch::sys::privileges;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let argv0 = words.next().unwrap_or_default().to_string_lossy().into_owned();
    let words: Result<Vec<String>, _> = words.map(std::ffi::OsString::into_string).collect();
    // Re-executed through /proc/self/exe, the kernel would call every process "exe".
    let role = Role::from_title(&argv0);
    let program = if role.is_some() { "keepwatchd".to_owned() } else { naming::program(&argv0) };
    privileges::set_name(&program);
    let status = match role {
        Some(Role::Load) => load::run(),
        Some(Role::Vrrp) => vrrp::run(),
        Some(Role::Bridge) => bridge::run(),
        Some(Role::Checks) => checks::run(),
        Some(Role::Runner) => runner::run(),
        // The rrd role is another binary's.
        Some(Role::Rrd) | None => match words
            .map_err(|word| UsageError(format!("not UTF-8: {}\n", word.to_string_lossy())))
            .and_then(|words| asked_of(&program, words))
        {
            Ok(Asked::Genhash(words)) => genhash::run(&words),
            Ok(Asked::Daemon(options)) => start(Options { program, ..*options }),
            Err(UsageError(text)) => {
                eprint!("{text}");
                exit::FATAL
            }
        },
    };
    logging::finish();
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}

enum Asked {
    Daemon(Box<Options>),
    /// With its own words.
    Genhash(Vec<String>),
}

/// `--genhash` comes first, or the program is called by that name.
fn asked_of(program: &str, mut words: Vec<String>) -> Result<Asked, UsageError> {
    if program == "genhash" {
        return Ok(Asked::Genhash(words));
    }
    if words.first().is_some_and(|word| word == "-T" || word == "--genhash") {
        return Ok(Asked::Genhash(words.split_off(1)));
    }
    Ok(Asked::Daemon(Box::new(Options::parse_words(words)?)))
}

fn start(mut options: Options) -> i32 {
    if options.help {
        eprint!("{}", Options::help_text());
        return exit::OK;
    }
    if options.version {
        eprintln!("keepwatchd {}", env!("CARGO_PKG_VERSION"));
        return exit::OK;
    }
    if let Some(name) = &options.signum {
        return match signal_number(name) {
            Some(number) => {
                println!("{number}");
                exit::OK
            }
            None => {
                eprintln!("unknown signal name `{name}`: use STOP, RELOAD, DATA, STATS, STATS_CLEAR or JSON");
                exit::FATAL
            }
        };
    }
    let complaints = options.complaints();
    for complaint in &complaints {
        eprintln!("keepwatchd: {complaint}");
    }
    if options.config_test.is_some() {
        return load::test(&options, !complaints.is_empty());
    }
    if options.genhash {
        eprintln!("keepwatchd: --genhash must be the first option; genhash(1) tells of those behind it");
        return exit::FATAL;
    }
    if !options.dont_fork {
        if !daemonize::is_detached() {
            return daemonize::detach(options.log_console);
        }
        options.make_absolute();
        let _ = std::env::set_current_dir("/");
    }
    logging::start(&options.log(None), "");
    supervisor::run(options)
}
