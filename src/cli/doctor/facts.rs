//! What is so on this host: read from /proc, /sys and the daemon, without judging.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::AccessFlags;

use crate::cli::client::Connection;
use crate::cli::outcome::Failure;
use crate::cli::progress::Progress;
use crate::cli::text::now;
use crate::conf;
use crate::conf::model::Config;
use crate::process::host::{HostWithoutOurs, Modules};
use crate::process::supervisor::DEFAULT_AGENTX;
use crate::report::Status;

const DEFAULT_CONFIGURATION: &str = "/etc/keepalived/keepalived.conf";

/// How long a master agent may take to accept.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct Facts {
    /// Or why there is none, and whether that is for want of a right to ask.
    pub status: Option<Status>,
    pub unreachable: String,
    pub forbidden: bool,
    /// CAP_NET_ADMIN and CAP_NET_RAW of this process, and of the daemon's that need them.
    pub own: Capabilities,
    pub of_daemon: Vec<(String, Capabilities)>,
    pub file: String,
    /// Whether the file could be opened at all.
    pub readable: bool,
    pub config: Config,
    pub errors: usize,
    pub warnings: usize,
    pub first_error: String,
    /// Kernel modules that are loaded or built in, and those that could be; `None`: nothing is known of this kernel's.
    pub loaded: BTreeSet<String>,
    pub loadable: Option<BTreeSet<String>>,
    pub ipvs_there: bool,
    /// Below /proc/sys, with slashes; those that exist.
    pub sysctls: BTreeMap<String, String>,
    /// Where the master agent should be, and what came of connecting to it.
    pub agentx: String,
    pub agentx_error: Option<String>,
    /// Processes of this network namespace and of others: name, pid.
    pub keepalived: Vec<u32>,
    pub keepalived_elsewhere: Vec<u32>,
    pub snmpd_runs: bool,
    /// A program that sets the clock.
    pub clock_keeper: Option<String>,
    /// Seconds since 1970.
    pub now: f64,
    /// Directories, and why nothing can be written there.
    pub directories: Vec<(PathBuf, Option<String>)>,
    pub rrd_program: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub known: bool,
    pub admin: bool,
    pub raw: bool,
}

impl Facts {
    pub fn look(connection: &Connection, file: Option<&str>, state: &Path, progress: &mut Progress) -> Facts {
        let mut facts = Facts { now: now(), ..Facts::default() };
        match connection.status() {
            Ok(status) => facts.status = Some(status),
            Err(failure) => {
                facts.unreachable = failure.message();
                facts.forbidden =
                    matches!(&failure, Failure::Unreachable(_)) && facts.unreachable.contains("it is root's");
            }
        }
        facts.capabilities();
        progress.show("reading the configuration");
        facts.configuration(file);
        progress.show("looking at the kernel");
        facts.kernel();
        facts.processes();
        progress.show("looking for the master agent");
        facts.master_agent();
        facts.files(state, connection);
        facts
    }

    fn capabilities(&mut self) {
        self.own = capabilities("self");
        for process in self.status.iter().flat_map(|status| &status.daemon.processes) {
            if matches!(&*process.report.name, "vrrp" | "checks") {
                self.of_daemon.push((process.report.name.clone(), capabilities(&process.report.pid.to_string())));
            }
        }
    }

    fn configuration(&mut self, file: Option<&str>) {
        let of_daemon = self.status.as_ref().map(|status| status.daemon.config_file.clone());
        let of_daemon = of_daemon.filter(|file| !file.is_empty());
        self.file = file.map(str::to_owned).or(of_daemon).unwrap_or_else(|| DEFAULT_CONFIGURATION.to_owned());
        self.readable = std::fs::File::open(&self.file).is_ok() || self.file.contains(['*', '?', '[']);
        let loaded = conf::load(&self.file, &conf::Options::default(), &conf::Disk, &HostWithoutOurs::look());
        let errors = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.severity == conf::Severity::Error);
        self.errors = errors.clone().count();
        self.first_error = errors.clone().next().map(|diagnostic| diagnostic.message.clone()).unwrap_or_default();
        let warning = |diagnostic: &&conf::Diagnostic| diagnostic.severity == conf::Severity::Warning;
        self.warnings = loaded.diagnostics.iter().filter(warning).count();
        self.config = loaded.config;
    }

    fn kernel(&mut self) {
        let Modules { loaded, loadable } = Modules::look();
        (self.loaded, self.loadable) = (loaded, loadable);
        self.ipvs_there = Path::new("/proc/net/ip_vs").exists();
        for key in [
            "net/ipv4/ip_forward",
            "net/ipv6/conf/all/forwarding",
            "net/ipv4/ip_nonlocal_bind",
            "net/ipv6/ip_nonlocal_bind",
            "net/ipv4/conf/all/rp_filter",
            "net/ipv4/conf/all/arp_ignore",
            "net/ipv4/conf/all/arp_announce",
            "net/ipv4/conf/all/promote_secondaries",
            "net/ipv4/vs/conntrack",
            "net/ipv4/vs/expire_nodest_conn",
            "net/ipv4/vs/expire_quiescent_template",
            "net/ipv4/vs/run_estimation",
        ] {
            self.sysctl(key);
        }
        let interfaces: BTreeSet<String> =
            self.config.instances.iter().filter_map(|instance| instance.interface.clone()).collect();
        for interface in interfaces.iter().filter(|interface| !interface.contains('/')) {
            for key in ["rp_filter", "arp_ignore", "arp_announce", "accept_local", "disable_policy"] {
                self.sysctl(&format!("net/ipv4/conf/{interface}/{key}"));
            }
        }
    }

    fn sysctl(&mut self, key: &str) {
        if let Ok(value) = std::fs::read_to_string(Path::new("/proc/sys").join(key)) {
            self.sysctls.insert(key.to_owned(), value.trim().to_owned());
        }
    }

    fn processes(&mut self) {
        let ours = std::fs::read_link("/proc/self/ns/net").ok();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            match name.trim() {
                "keepalived" => {
                    let here = std::fs::read_link(entry.path().join("ns/net")).ok() == ours;
                    if here { self.keepalived.push(pid) } else { self.keepalived_elsewhere.push(pid) }
                }
                "snmpd" => self.snmpd_runs = true,
                keeper @ ("chronyd" | "ntpd" | "ntpsec" | "openntpd" | "systemd-timesyn" | "phc2sys" | "ptp4l") => {
                    self.clock_keeper = Some(keeper.to_owned());
                }
                _ => {}
            }
        }
    }

    fn master_agent(&mut self) {
        let of_session = self.status.as_ref().map(|status| status.snmp.agentx.address.clone());
        let of_session = of_session.filter(|address| !address.is_empty());
        let configured = self.config.global.snmp.socket.clone();
        self.agentx = of_session.or(configured).unwrap_or_else(|| DEFAULT_AGENTX.to_owned());
        let result = match self.agentx.strip_prefix("tcp:") {
            Some(address) => tcp(address),
            None => UnixStream::connect(self.agentx.strip_prefix("unix:").unwrap_or(&self.agentx)).map(drop),
        };
        self.agentx_error = result.err().map(|error| error.to_string());
    }

    fn files(&mut self, state: &Path, connection: &Connection) {
        let mut directories: Vec<PathBuf> = vec![state.to_owned()];
        directories.extend(connection.socket().parent().map(Path::to_owned));
        directories.extend(self.config.settings.rrd.as_ref().map(|rrd| rrd.directory.clone()));
        directories.dedup();
        self.directories = directories.into_iter().map(|path| (path.clone(), unwritable(&path))).collect();
        let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("keepwatch-rrd")));
        let usual = ["/usr/sbin", "/usr/libexec", "/usr/bin", "/usr/local/sbin"]
            .map(|path| Path::new(path).join("keepwatch-rrd"));
        self.rrd_program = beside.into_iter().chain(usual).find(|path| path.is_file());
    }
}

fn capabilities(pid: &str) -> Capabilities {
    /// By their numbers in the kernel.
    const ADMIN: u64 = 1 << 12;
    const RAW: u64 = 1 << 13;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    match effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()) {
        Some(set) => Capabilities { known: true, admin: set & ADMIN != 0, raw: set & RAW != 0 },
        None => Capabilities::default(),
    }
}

fn tcp(address: &str) -> std::io::Result<()> {
    let nowhere = || std::io::Error::other(format!("{address} has no address"));
    let address = address.to_socket_addrs()?.next().ok_or_else(nowhere)?;
    TcpStream::connect_timeout(&address, PATIENCE).map(drop)
}

/// Of the directory, or of the one in which it would be made.
fn unwritable(path: &Path) -> Option<String> {
    let there = path.ancestors().find(|path| path.exists())?;
    match nix::unistd::access(there, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) if there.is_dir() => None,
        Ok(()) => Some(format!("{} is not a directory", there.display())),
        Err(error) => Some(error.desc().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_is_as_good_as_the_one_it_would_be_made_in() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(unwritable(&directory.path().join("a/b")), None);
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(unwritable(&file.join("below")).is_some());
    }

    #[test]
    fn every_process_has_capabilities_that_can_be_read() {
        assert!(capabilities("self").known);
        assert_eq!(capabilities("none"), Capabilities::default());
    }
}
