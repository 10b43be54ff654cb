//! The load process: reads the configuration, says what is wrong with it, and leaves a sealed copy of what it means.
//!
//! `keepwatchd -t` is the same in the foreground. Whatever a hostile or broken file does, it does it here, in a process
//! that nobody waits for.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tracing::{error, info, warn};

use super::dumps::{self, Pending};
use super::host::HostWithoutOurs;
use super::lifecycle::{Channel, Sheet, ToChild};
use super::logging;
use super::options::Options;
use super::role::exit;
use super::supervisor::{COMPLAINTS, ERRORS_MAX};
use crate::bus::msg::Source;
use crate::clock;
use crate::conf::model::{Config, Trackers, WebConfig};
use crate::conf::plan::Plan;
use crate::conf::{self, Disk, Host, Loaded, LocalHost, Severity};
use crate::export::look::Endpoint;
use crate::sys::memfd;

/// Reads the first message from standard input, loads, and exits with what Keepalived would exit with.
pub fn run() -> i32 {
    let Ok(mut channel) = Channel::from_stdin() else { return exit::SOFTWARE };
    let Ok((ToChild::Start { options, config: generation, .. }, Some(file))) = channel.wait::<ToChild>() else {
        return exit::SOFTWARE;
    };
    logging::start(&options.log(None), "");
    logging::write_file();
    let reloading = generation > 1;
    let Ok(before) = before(&mut channel, reloading) else { return exit::SOFTWARE };
    let plan_only = before.as_ref().is_some_and(|before| before.plan_only);
    let loaded = load(&options);
    if plan_only {
        return plan(&options, &loaded, &file, before.as_ref());
    }
    for diagnostic in &loaded.diagnostics {
        let line = diagnostic.in_a_line(&loaded.sources);
        match diagnostic.severity {
            Severity::Error => error!("{line}"),
            Severity::Warning => warn!("{line}"),
            Severity::Hint => info!("{line}"),
        }
    }
    if let Some(log) = options.reload_log.as_deref().filter(|_| reloading)
        && let Err(error) = write_log(log, &loaded.render())
    {
        error!("cannot write complaints to {}: {error}", log.display());
    }
    if let Some(directory) = loaded.config.global.process.reload.save_dir.as_deref() {
        let name = format!("keepalived.conf.{}.{generation}", std::process::id());
        if let Err(error) = save(directory, &name, &loaded) {
            warn!("cannot save the configuration in {}: {error}", directory.display());
        }
    }
    if !loaded.can_start {
        complain(&file, &complaints(&loaded));
        return i32::from(loaded.start_status);
    }
    // At start a file with mistakes is better than no VRRP, and Keepalived thinks so too. While one is in force that
    // somebody has seen to work, a file with mistakes is worse than none.
    if reloading && loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        complain(&file, &complaints(&loaded));
        return exit::CONFIG;
    }
    report_not_built(&loaded);
    match write(&options, &loaded, &file) {
        Ok(()) => {
            if let Some(before) = &before {
                tell_changes(&conf::plan::plan(&before.config, &loaded.config));
            }
            exit::OK
        }
        Err(error) => {
            error!("cannot hand the configuration on: {error}");
            complain(&file, &format!("error: cannot hand the configuration on: {error}\n"));
            exit::SOFTWARE
        }
    }
}

/// What is in force while another configuration is read.
struct Before {
    config: Config,
    /// For the plan.
    file: OwnedFd,
    plan_only: bool,
}

/// At the first configuration there is none.
fn before(channel: &mut Channel, reloading: bool) -> Result<Option<Before>, ()> {
    if !reloading {
        return Ok(None);
    }
    let Ok((ToChild::Previous { plan_only }, Some(previous))) = channel.wait::<ToChild>() else { return Err(()) };
    let Ok((ToChild::PlanInto, Some(file))) = channel.wait::<ToChild>() else { return Err(()) };
    let config = super::vrrp::decode(&previous).map_err(|_| error!("the configuration in force cannot be read"))?;
    Ok(Some(Before { config, file, plan_only }))
}

/// Leaves the new configuration and what it would change, or what is wrong. Nothing is logged but what goes wrong here: whoever
/// asked has the answer.
fn plan(options: &Options, loaded: &Loaded, file: &OwnedFd, before: Option<&Before>) -> i32 {
    let wrong = loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    if !loaded.can_start || wrong {
        complain(file, &complaints(loaded));
        return exit::CONFIG;
    }
    let left = write(options, loaded, file).and_then(|()| {
        let Some(before) = before else { return Ok(()) };
        let plan = conf::plan::plan(&before.config, &loaded.config);
        let bytes = postcard::to_stdvec(&plan).map_err(std::io::Error::other)?;
        std::fs::File::from(before.file.try_clone()?).write_all(&bytes)?;
        memfd::seal(before.file.as_fd())
    });
    match left {
        Ok(()) => exit::OK,
        Err(error) => {
            error!("cannot hand the plan on: {error}");
            exit::SOFTWARE
        }
    }
}

/// For the log: what changes, as far as anybody reads on.
fn tell_changes(plan: &Plan) {
    const LINES_MAX: usize = 50;
    if plan.is_empty() {
        info!("Nothing has changed");
    }
    plan.lines().take(LINES_MAX).for_each(|line| info!("{line}"));
    if let Some(more @ 1..) = plan.changes.len().checked_sub(LINES_MAX) {
        info!("and {more} more changes");
    }
}

/// `-t`: every complaint on standard error (or in the file given), and the exit status that Keepalived would give.
pub fn test(options: &Options, complained: bool) -> i32 {
    let loaded = load_by(options, conf::load_last);
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
    let status = i32::from(loaded.status);
    // The process ends: nobody needs a large configuration to be taken apart piece by piece.
    std::mem::forget(loaded);
    if status == exit::OK && complained { GENERAL } else { status }
}

/// What `-t` would print, in the place of what the reload before has left there.
fn write_log(path: &Path, text: &str) -> std::io::Result<()> {
    // Lines of settings may hold secrets.
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    let mut file = options.open(path)?;
    // /dev/null takes text, too, but not its removal.
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(text.as_bytes())
}

/// `config_save_dir`: the files as they were read, one after the other, each with its name before it.
fn save(directory: &Path, name: &str, loaded: &Loaded) -> std::io::Result<()> {
    let mut text = String::new();
    for source in loaded.sources.iter() {
        text.extend(["# ", &source.name, "\n"]);
        source.lines(0..source.len()).for_each(|line| text.extend([line, "\n"]));
    }
    if !directory.is_dir() {
        std::fs::DirBuilder::new().mode(0o700).create(directory)?;
    }
    let (pending, file) = Pending::create(directory.join(name), 0o077)?;
    dumps::write(file, &text)?;
    pending.finish()
}

fn load(options: &Options) -> Loaded {
    load_by(options, conf::load)
}

fn load_by(options: &Options, load: fn(&str, &conf::Options, &dyn conf::Files, &dyn conf::Host) -> Loaded) -> Loaded {
    let conf_options = conf::Options {
        config_id: options.config_id.clone(),
        all_config_checks: options.all_config,
        snmp_all: options.snmp,
        agent_socket: options.snmp_agent_socket.clone(),
        namespace: options.namespace.clone(),
        settings: options.settings.clone(),
        random_seed: clock::wall().0,
    };
    load(&options.use_file, &conf_options, &Disk, &HostWithoutOurs::look())
}

fn report_not_built(loaded: &Loaded) {
    for directive in &loaded.config.not_built {
        warn!("{}: {} is understood, and has no effect yet", directive.location, directive.directive);
    }
}

/// What is wrong, for those who see no log. The status page shows it to people who may not read the files: `-t` has it all.
/// If it is too much, mistakes count more than the rest.
fn complaints(loaded: &Loaded) -> String {
    const MORE: &str = "...\n";
    let told = |least: Severity| {
        let all = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.severity >= least);
        all.map(|diagnostic| diagnostic.render_discreetly(&loaded.sources)).collect::<Vec<_>>().join("\n")
    };
    let mut text = told(Severity::Hint);
    if text.len() > ERRORS_MAX {
        text = told(Severity::Error);
    }
    if text.len() > ERRORS_MAX {
        let room = text.as_bytes().get(..ERRORS_MAX - MORE.len()).unwrap_or_default();
        let lines = room.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        text.truncate(lines);
        text.push_str(MORE);
    }
    text
}

/// Leaves text in the place of a configuration.
fn complain(file: &OwnedFd, text: &str) {
    let written = file.try_clone().map(std::fs::File::from).and_then(|file| {
        file.set_len(0)?;
        file.write_all_at(&[COMPLAINTS, text.as_bytes()].concat(), 0)
    });
    if let Err(error) = written {
        error!("cannot say what is wrong with the configuration: {error}");
    }
}

fn write(options: &Options, loaded: &Loaded, file: &OwnedFd) -> std::io::Result<()> {
    let config = &loaded.config;
    let engines = options.engines(config);
    let encoded = postcard::to_stdvec(config).map_err(std::io::Error::other)?;
    let (http, metrics) = (&config.settings.http, &config.settings.metrics);
    let unix = http.unix.enabled.then(|| Endpoint::Unix(http.unix.path.clone()));
    let tcp = http.listen.iter().copied().map(Endpoint::Tcp);
    let sheet = Sheet {
        wants_vrrp: engines.contains(&Source::Vrrp),
        wants_checks: engines.contains(&Source::Checks),
        wants_runner: wants_runner(config, &engines),
        snmp_socket: config.global.snmp.socket.clone(),
        net_namespace: config.global.net_namespace.clone(),
        instance: config.global.instance.clone(),
        use_pid_dir: config.global.use_pid_dir,
        has_bfd: !config.trackers.bfds.is_empty() && !options.no_bfd,
        process: config.global.process.clone(),
        listen: config.settings.snmp.responder.iter().flat_map(|responder| responder.listen.clone()).collect(),
        http: unix.into_iter().chain(tcp).collect(),
        http_mode: http.unix.mode & 0o777,
        http_group: http.unix.group.as_deref().and_then(group),
        files: http.web.as_ref().map(files).unwrap_or_default(),
        textfile: metrics.textfile.as_ref().map(|textfile| textfile.path.clone()),
        rrd: config.settings.rrd.as_ref().map(|rrd| rrd.directory.clone()),
        hash: hash(&encoded),
        warnings: u32::try_from(
            loaded.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning).count(),
        )
        .unwrap_or(u32::MAX),
        startup_s: config.global.startup.as_ref().map(|script| script.timeout_s),
        shutdown_s: config.global.shutdown.as_ref().map(|script| script.timeout_s),
    };
    let mut bytes = postcard::to_stdvec(&sheet).map_err(std::io::Error::other)?;
    bytes.extend_from_slice(&encoded);
    std::fs::File::from(file.try_clone()?).write_all(&bytes)?;
    memfd::seal(file.as_fd())
}

/// Whether there is something to run, to write or to look at.
fn wants_runner(config: &Config, engines: &[Source]) -> bool {
    let fifos = &config.global.fifos;
    let writes = [&fifos.both, &fifos.vrrp, &fifos.checks].into_iter().any(Option::is_some);
    !config.scripts.is_empty() || config.global.mail.server.is_some() || writes || tracks(config, engines)
}

/// Whether there is something that the runner looks at for vrrp.
fn tracks(config: &Config, engines: &[Source]) -> bool {
    let Trackers { scripts, files, other_files, processes, bfds: _ } = &config.trackers;
    let none = scripts.is_empty() && files.is_empty() && other_files.is_empty() && processes.is_empty();
    engines.contains(&Source::Vrrp) && !none
}

/// The first 48 bits of the SHA-256: a number that Prometheus keeps exactly.
fn hash(config: &[u8]) -> u64 {
    Sha256::digest(config).iter().take(6).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A group that is not known gives nobody more than the daemon's own does.
fn group(name: &str) -> Option<u32> {
    let number = LocalHost.group(name);
    if number.is_none() {
        warn!("there is no group `{name}`: the socket for HTTP has the daemon's own");
    }
    number
}

/// What the bridge reads again when it changes.
fn files(web: &WebConfig) -> Vec<PathBuf> {
    let tls = web.tls.iter().flat_map(|tls| {
        [Some(&tls.certificate_file), Some(&tls.key_file), tls.client_ca_file.as_ref()].into_iter().flatten()
    });
    [&web.path].into_iter().chain(tls).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memfd;

    fn loaded(text: &str) -> Loaded {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keepalived.conf");
        std::fs::write(&path, text).unwrap();
        conf::load(path.to_str().unwrap(), &conf::Options::default(), &Disk, &LocalHost)
    }

    #[test]
    fn what_is_too_long_is_cut_at_a_line_and_mistakes_come_before_warnings() {
        let short = complaints(&loaded("vrrp_instance a {\n  virtual_router_id 300\n}\n"));
        assert!(short.contains("keepalived.conf:2:21\n") && !short.ends_with("...\n"), "{short}");
        let mut long = loaded(&format!("vrrp_instance a {{\n{}}}\n", "  virtual_router_id 300\n".repeat(500)));
        let mut warning = long.diagnostics.first().unwrap().clone();
        warning.severity = Severity::Warning;
        long.diagnostics.splice(0..0, std::iter::repeat_n(warning, 500));
        let long = complaints(&long);
        assert!(
            long.len() <= ERRORS_MAX && long.len() > ERRORS_MAX - 200 && long.ends_with("\n...\n"),
            "{}",
            long.len()
        );
        assert!(!long.contains("warning:"));
    }

    #[test]
    fn complaints_take_the_place_of_what_was_written_before() {
        let file = memfd::create("test").unwrap();
        std::fs::File::from(file.try_clone().unwrap()).write_all(&[7; 100]).unwrap();
        complain(&file, "error: x\n");
        let mut left = vec![0; 200];
        let length = std::fs::File::from(file).read_at(&mut left, 0).unwrap();
        assert_eq!(&left[..length], [COMPLAINTS, b"error: x\n"].concat());
    }

    #[test]
    fn neither_the_bridge_nor_the_log_hears_a_secret() {
        let directory = tempfile::tempdir().unwrap();
        let (path, settings) = (directory.path().join("keepalived.conf"), directory.path().join("keepwatch.yaml"));
        let conf = "vrrp_instance a {\n  interface lo\n  virtual_router_id 300\n  authentication {\n    auth_type PASS\n    \
                    auth_pass canarysecret123 canary\n  }\n  auth_hmac {\n    key canary canary canary\n  }\n  stat canarx\n}\n\
                    SSL {\n  password canary canary\n}\n";
        let yaml = "snmp:\n  users:\n  - name: n\n    auth: {protocol: SHA, passphrase: canary}\n    \
                    privacy: {protocol: canary, passphrase: [canary]}\n  receivers:\n  - {address: x, community: {canary: 1}}\n  \
                    responder:\n    communities:\n    - canary\n    - {name: canary, canary: 1}\nhttp: canarx\n";
        for yaml in [yaml, "snmp:\n  users:\n  - passphrase: \"canary\n  x: [}\n", "a: &canary 1\nb: *canarysecret\n"] {
            std::fs::write(&path, conf).unwrap();
            std::fs::write(&settings, yaml).unwrap();
            let options =
                conf::Options { settings: Some(settings.to_str().unwrap().to_owned()), ..conf::Options::default() };
            let loaded = conf::load(path.to_str().unwrap(), &options, &Disk, &LocalHost);
            let told = complaints(&loaded);
            assert!(told.contains(":3:") && told.contains("`stat`"), "{told}");
            assert!(told.contains("keepwatch.yaml:"), "{told}");
            assert!(!told.contains("canary"), "{told}");
            for diagnostic in &loaded.diagnostics {
                let line = diagnostic.in_a_line(&loaded.sources);
                assert!(!line.contains("canary"), "{line}");
            }
            assert!(loaded.render().contains("canary"), "-t shows the lines");
        }
    }

    #[test]
    fn the_hash_is_48_bits_of_sha_256() {
        // echo -n abc | sha256sum
        assert_eq!(hash(b"abc"), 0xba78_16bf_8f01);
    }
}
