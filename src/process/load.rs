//! The load process: reads the configuration, says what is wrong with it, and leaves a sealed copy of what it means.
//!
//! `keepwatchd -t` is the same in the foreground. Whatever a hostile or broken file does, it does it here, in a process
//! that nobody waits for.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use tracing::{error, info, warn};

use super::host::HostWithoutOurs;
use super::lifecycle::{Channel, Sheet, ToChild};
use super::logging;
use super::options::Options;
use super::role::exit;
use crate::bus::msg::{ConfigGeneration, Source};
use crate::clock;
use crate::conf::{self, Diagnostic, Disk, Loaded, Severity};
use crate::sys::memfd;

/// Reads the first message from standard input, loads, and exits with what Keepalived would exit with.
pub fn run() -> i32 {
    let Ok(mut channel) = Channel::from_stdin() else { return exit::SOFTWARE };
    let Ok((ToChild::Start { options, config: generation, .. }, Some(file))) = channel.wait::<ToChild>() else {
        return exit::SOFTWARE;
    };
    logging::start(&options.log(None), "");
    let loaded = load(&options);
    for diagnostic in &loaded.diagnostics {
        let line = one_line(&loaded, diagnostic);
        match diagnostic.severity {
            Severity::Error => error!("{line}"),
            Severity::Warning => warn!("{line}"),
            Severity::Hint => info!("{line}"),
        }
    }
    if !loaded.can_start {
        return i32::from(loaded.start_status);
    }
    // At start a file with mistakes is better than no VRRP, and Keepalived thinks so too. While one is in force that
    // somebody has seen to work, a file with mistakes is worse than none.
    let reloading = generation > 1;
    if reloading && loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return exit::CONFIG;
    }
    report_not_built(&options, &loaded, generation);
    match write(&options, &loaded, &file) {
        Ok(()) => exit::OK,
        Err(error) => {
            error!("cannot hand the configuration on: {error}");
            exit::SOFTWARE
        }
    }
}

/// `-t`: every complaint on standard error (or in the file given), and the exit status that Keepalived would give.
pub fn test(options: &Options, complained: bool) -> i32 {
    let loaded = load(options);
    let text = loaded.render();
    match options.config_test.as_deref() {
        Some(path) if !path.is_empty() => {
            let opened = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                // Lines of settings may hold secrets.
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(path)
                .and_then(|mut file| file.write_all(text.as_bytes()));
            if let Err(error) = opened {
                eprintln!("keepwatchd: cannot write {path}: {error}");
                return exit::FATAL;
            }
        }
        _ => eprint!("{text}"),
    }
    /// What a general complaint makes of a clean file.
    const GENERAL: i32 = 5;
    match i32::from(loaded.status) {
        exit::OK if complained => GENERAL,
        status => status,
    }
}

fn load(options: &Options) -> Loaded {
    let conf_options = conf::Options {
        config_id: options.config_id.clone(),
        all_config_checks: options.all_config,
        snmp_all: options.snmp,
        agent_socket: options.snmp_agent_socket.clone(),
        namespace: options.namespace.clone(),
        settings: options.settings.clone(),
        random_seed: clock::wall().0,
    };
    conf::load(&options.use_file, &conf_options, &Disk, &HostWithoutOurs::look())
}

/// A diagnostic as a line of a log, which has no room for carets.
fn one_line(loaded: &Loaded, diagnostic: &Diagnostic) -> String {
    let span = diagnostic.span;
    let place = format!("{}:{}:{}", loaded.sources.name(span.file), span.line, span.column);
    let hint = diagnostic.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{place}: {}{hint}", diagnostic.message)
}

fn report_not_built(options: &Options, loaded: &Loaded, generation: ConfigGeneration) {
    if generation == 1 {
        for name in options.not_built() {
            warn!("{name} is understood, and has no effect yet");
        }
    }
    for directive in &loaded.config.not_built {
        warn!("{}: {} is understood, and has no effect yet", directive.location, directive.directive);
    }
}

fn write(options: &Options, loaded: &Loaded, file: &OwnedFd) -> std::io::Result<()> {
    let config = &loaded.config;
    let engines = options.engines(config);
    let sheet = Sheet {
        wants_vrrp: engines.contains(&Source::Vrrp),
        wants_checks: engines.contains(&Source::Checks),
        wants_runner: !config.scripts.is_empty() || config.global.mail.server.is_some(),
        snmp_socket: config.global.snmp.socket.clone(),
        net_namespace: config.global.net_namespace.clone(),
        instance: config.global.instance.clone(),
        use_pid_dir: config.global.use_pid_dir,
        listen: config.settings.snmp.responder.iter().flat_map(|responder| responder.listen.clone()).collect(),
        ..Sheet::default()
    };
    let mut bytes = postcard::to_stdvec(&sheet).map_err(std::io::Error::other)?;
    bytes = postcard::to_extend(config, bytes).map_err(std::io::Error::other)?;
    std::fs::File::from(file.try_clone()?).write_all(&bytes)?;
    memfd::seal(file.as_fd())
}
