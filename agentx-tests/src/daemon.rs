//! The daemon under test, and Debian's keepalived beside it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::net::Node;
use crate::process::{Process, command_line, descendants};
use crate::wait;

/// Which program plays the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Keepwatch,
    Keepalived,
}

impl Program {
    /// `$KEEPWATCHD`, else the `keepwatchd` that was built beside the running test; Debian's keepalived.
    #[track_caller]
    pub fn path(self) -> PathBuf {
        match self {
            Program::Keepalived => {
                let path = PathBuf::from("/usr/sbin/keepalived");
                assert!(path.exists(), "Debian's keepalived is not installed: `make setup` does that");
                path
            }
            Program::Keepwatch => {
                if let Some(path) = std::env::var_os("KEEPWATCHD") {
                    let path = PathBuf::from(path);
                    assert!(path.is_file(), "KEEPWATCHD={} is not a file", path.display());
                    return path;
                }
                let this = std::env::current_exe().unwrap_or_else(|error| panic!("who am I? {error}"));
                let beside = this.ancestors().skip(1).take(2).map(|directory| directory.join("keepwatchd"));
                let found = beside.into_iter().find(|path| path.is_file());
                found.unwrap_or_else(|| panic!("no keepwatchd beside {}: run `make build` first", this.display()))
            }
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Program::Keepwatch => "keepwatchd",
            Program::Keepalived => "keepalived",
        }
    }
}

/// A running router with its own configuration, pid files and dump directory.
#[derive(Debug)]
pub struct Daemon {
    pub process: Process,
    program: Program,
    node: Node,
    directory: PathBuf,
}

/// Options of a start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// `-A`, with `-x`.
    pub agentx: Option<&'a str>,
    /// More words for the command line.
    pub more: &'a [&'a str],
    /// Words before the program: `setpriv ...`.
    pub through: &'a [&'a str],
    /// `keepwatch.yaml`, beside the configuration.
    pub settings: Option<&'a str>,
    /// Another one runs with the same files already.
    pub beside_another: bool,
}

impl Daemon {
    /// `PROGRAM -n -l -D -f FILE -p PID -r PID -c PID -b PID [-x -A ADDRESS]` on `node`.
    #[track_caller]
    pub fn start(node: &Node, program: Program, configuration: &str, options: Options<'_>) -> Daemon {
        let directory = node.directory().join(program.name());
        std::fs::create_dir_all(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        // Dumps go here, and the process that writes them need not be root's: like /tmp.
        let _ = std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o1777));
        let daemon = |process| Daemon { process, program, node: node.clone(), directory: directory.clone() };
        write(&directory.join("keepalived.conf"), configuration);
        if let Some(settings) = options.settings {
            write(&directory.join("keepwatch.yaml"), settings);
        }
        let path = program.path().to_string_lossy().into_owned();
        let file = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let files = [file("keepalived.conf"), file("main.pid"), file("vrrp.pid"), file("check.pid"), file("bfd.pid")];
        if !options.beside_another {
            after_the_dead(&files[1..]);
        }
        let mut words: Vec<&str> = options.through.to_vec();
        words.extend([path.as_str(), "-n", "-l", "-D"]);
        for (option, file) in ["-f", "-p", "-r", "-c", "-b"].into_iter().zip(&files) {
            words.extend([option, file]);
        }
        // Nothing of a test is to be found on the host.
        let state = file("state");
        if program == Program::Keepwatch {
            words.extend(["--state-dir", state.as_str()]);
        }
        if let Some(agentx) = options.agentx {
            words.extend(["-x", "-A", agentx]);
        }
        words.extend(options.more);
        let mut command = node.command(&words);
        command.env("TMPDIR", &directory);
        daemon(node.spawn(program.name(), command))
    }

    pub fn program(&self) -> Program {
        self.program
    }

    pub fn node(&self) -> &Node {
        &self.node
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Puts another text into the configuration file and sends SIGHUP.
    #[track_caller]
    pub fn reload(&self, configuration: &str) {
        write(&self.directory.join("keepalived.conf"), configuration);
        self.process.signal(Signal::SIGHUP);
    }

    /// Stops it with SIGTERM; gives the exit code.
    #[track_caller]
    pub fn stop(&mut self) -> i32 {
        self.process.signal(Signal::SIGTERM);
        self.process.exit_code(Duration::from_secs(15))
    }

    /// SIGKILL to all of its processes at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Its processes other than the first, with what they call themselves.
    pub fn children(&self) -> Vec<(Pid, String)> {
        descendants(self.process.pid()).into_iter().map(|pid| (pid, command_line(pid))).collect()
    }

    /// The child whose title says `keepwatchd: ROLE`.
    pub fn child(&self, role: &str) -> Option<Pid> {
        let title = format!("keepwatchd: {role}");
        self.children().into_iter().find(|(_, title_now)| title_now.starts_with(&title)).map(|(pid, _)| pid)
    }

    #[track_caller]
    pub fn wait_for_child(&self, role: &str, limit: Duration) -> Pid {
        match wait::within(limit, || self.child(role)) {
            Some(pid) => pid,
            None => panic!("no process `keepwatchd: {role}` within {limit:?}, only {:?}", self.children()),
        }
    }

    /// Waits until somebody on the node (who else?) has a raw socket for VRRP, or for authentication headers: adverts sent from now on are heard.
    #[track_caller]
    pub fn wait_until_it_listens(&self) {
        let listens = || {
            let tables = self.node.enter(|| {
                ["raw", "raw6"]
                    .map(|table| std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default())
            });
            let vrrp = |line: &str| {
                line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(":0070") || local.ends_with(":0033"))
            };
            tables.iter().any(|table| table.lines().any(vrrp)).then_some(())
        };
        let listening = wait::within(Duration::from_secs(10), listens);
        assert!(listening.is_some(), "{} opens no VRRP socket; it said:\n{}", self.process.name(), self.log());
    }

    /// Waits until `address` is on (or off) the node.
    #[track_caller]
    pub fn wait_for_address(&self, address: &str, present: bool, limit: Duration) {
        let reached = wait::within(limit, || (self.node.has(address) == present).then_some(()));
        let wish = if present { "appear on" } else { "leave" };
        assert!(
            reached.is_some(),
            "{address} did not {wish} {} within {limit:?}: it has {:?}; {} said:\n{}",
            self.node.name(),
            self.node.addresses(),
            self.program.name(),
            self.log()
        );
    }

    /// Counters of `keepalived.stats` after a SIGUSR2: instance, `Section / Name`, value.
    #[track_caller]
    pub fn statistics(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        let file = self.directory.join("keepalived.stats");
        let _ = std::fs::remove_file(&file);
        self.process.signal(Signal::SIGUSR2);
        let mut last = String::new();
        let text = wait::within(Duration::from_secs(5), || {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let whole = !text.is_empty() && text == last; // written in one piece or not: twice the same is all of it
            last = text;
            whole.then(|| last.clone())
        });
        match text {
            Some(text) => parse_statistics(&text),
            None => panic!("no {} within 5 s of SIGUSR2; the log says:\n{}", file.display(), self.log()),
        }
    }

    /// Removes the pid files of a killed daemon, as a reboot would.
    pub fn remove_pid_files(&self) {
        for name in ["main.pid", "vrrp.pid", "check.pid", "bfd.pid"] {
            let _ = std::fs::remove_file(self.directory.join(name));
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Waits until those whom old pid files name are gone: a killed daemon's children stay in the process table until init
/// looks after them, and look alive to a daemon that starts before.
fn after_the_dead(pid_files: &[String]) {
    let pids: Vec<String> = pid_files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    let exists = |pid: &String| Path::new("/proc").join(pid.trim()).exists();
    wait::until("init to reap a killed daemon's children", Duration::from_secs(20), || {
        (!pids.iter().any(exists)).then_some(())
    });
}

/// `VRRP Instance: NAME` (or keepwatch's `VRRP Router:` for errors of no instance), then indented sections ending in a colon, then deeper `Name: value` lines.
fn parse_statistics(text: &str) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut all: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let (mut instance, mut section) = (String::new(), String::new());
    for line in text.lines() {
        let Some((name, value)) = line.trim().split_once(':') else { continue };
        match value.trim() {
            "" if line.starts_with(char::is_whitespace) => section = name.to_owned(),
            "" => instance = name.to_owned(),
            value if name == "VRRP Instance" => instance = value.to_owned(),
            value => {
                if let Ok(value) = value.parse() {
                    all.entry(instance.clone()).or_default().insert(format!("{section} / {name}"), value);
                }
            }
        }
    }
    all
}

#[track_caller]
fn write(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
