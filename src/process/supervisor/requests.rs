//! What the bridge may not do itself: sockets and files that the configuration in force names are opened here and handed over.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tracing::{error, warn};

use super::Supervisor;
use crate::export::look::Endpoint;
use crate::process::control;
use crate::process::dumps::Pending;
use crate::process::lifecycle::{Sheet, ToChild};
use crate::process::role::Role;
use crate::process::statefile;
use crate::sys::{connect, listen, udp};

/// Octets of a file that the bridge may have: certificates, keys and lists of users are small.
const FILE_MAX: u64 = 1024 * 1024;

/// What outlives a bridge, so that nobody is refused while it is started again.
#[derive(Debug, Default)]
pub(super) struct Kept {
    streams: HashMap<Endpoint, Stream>,
    /// The textfile that the bridge is filling, with the number of its request.
    filling: Option<(u64, Pending)>,
    /// Where the last whole one is: without us it would tell of a state that is not.
    textfile: Option<PathBuf>,
    /// The log has heard that it cannot be written.
    complained: bool,
}

/// A listening socket; its name, if it has one, goes with it.
#[derive(Debug)]
struct Stream {
    fd: OwnedFd,
    path: Option<PathBuf>,
    mode: u32,
    group: Option<u32>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.remove_textfile();
    }
}

impl Supervisor {
    /// Opens the master agent's socket on behalf of the bridge, which has no right to. Never waits: a listener that
    /// does not accept gives an error at once.
    pub(super) fn connect_agentx(&mut self, role: Role, attempt: u64) {
        let sheet = self.config.as_ref().and_then(|config| config.sheet.snmp_socket.as_deref());
        let address = self.options.snmp_agent_socket.as_deref().or(sheet).unwrap_or(DEFAULT_AGENTX);
        let path = PathBuf::from(address.strip_prefix("unix:").unwrap_or(address));
        match connect::unix_stream(&path) {
            Ok(socket) => self.tell(role, &ToChild::AgentX { attempt, error: None }, Some(socket)),
            Err(error) => {
                let error = Some(error.raw_os_error().unwrap_or(libc::EIO));
                self.tell(role, &ToChild::AgentX { attempt, error }, None);
            }
        }
    }

    /// Opens a connection to the system's D-Bus, if the configuration asks for one: the bus sees the user of this process.
    pub(super) fn connect_bus(&mut self, role: Role, attempt: u64) {
        let wanted = self.config.as_ref().is_some_and(|config| config.sheet.process.dbus.is_some());
        let socket = if wanted { connect::unix_stream(&bus_path()) } else { Err(not_named()) };
        self.answer(role, socket, |error| ToChild::Bus { attempt, error });
    }

    /// Binds a port of the SNMP responder, where the daemon's network is. Only those that the configuration names.
    pub(super) fn listen(&mut self, role: Role, address: SocketAddr) {
        let named = self.config.as_ref().is_some_and(|config| config.sheet.listen.contains(&address));
        let socket = if named { udp::bound(address) } else { Err(not_named()) };
        self.answer(role, socket, |error| ToChild::Listening { address, error });
    }

    /// Opens the file in which the bridge keeps its SNMP engine.
    pub(super) fn open_state(&mut self, role: Role) {
        let instance = self.config.as_ref().and_then(|config| config.sheet.instance.clone());
        let namespace = self.options.namespace.clone().or_else(|| {
            let sheet = self.config.as_ref().map(|config| &config.sheet);
            sheet.and_then(|sheet| sheet.net_namespace.clone())
        });
        let path = statefile::path(&self.options.state_dir, instance.as_deref(), namespace.as_deref());
        let file = statefile::open(&path).inspect_err(|error| {
            warn!("cannot keep the SNMP engine in {}: {error}", path.display());
        });
        self.answer(role, file, |error| ToChild::State { error });
    }

    /// Listens for HTTP at an endpoint that the configuration names, or hands over the socket that a bridge before has had.
    pub(super) fn listen_stream(&mut self, role: Role, endpoint: Endpoint) {
        let socket = self.stream(&endpoint);
        self.answer(role, socket, |error| ToChild::ListeningStream { endpoint, error });
    }

    fn stream(&mut self, endpoint: &Endpoint) -> io::Result<OwnedFd> {
        let sheet = self.config.as_ref().map(|config| &config.sheet);
        let Some(sheet) = sheet.filter(|sheet| sheet.http.contains(endpoint)) else { return Err(not_named()) };
        if let Some(stream) = self.kept.streams.get(endpoint) {
            return stream.fd.try_clone();
        }
        let (mode, group) = (sheet.http_mode, sheet.http_group);
        let (fd, path) = match endpoint {
            Endpoint::Tcp(address) => (listen::tcp(*address)?, None),
            Endpoint::Unix(path) => {
                let usual = || control::metrics_path(&self.pid_path("keepalived", self.options.pid.clone()));
                let path = path.clone().unwrap_or_else(usual);
                // Another daemon's is not taken from it; the usual place is ours, as the pid file is.
                if matches!(endpoint, Endpoint::Unix(Some(_))) && connect::unix_stream(&path).is_ok() {
                    return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
                }
                (listen::unix(&path, mode, group)?, Some(path))
            }
        };
        let stream = Stream { fd, path, mode, group };
        let shared = stream.fd.try_clone();
        self.kept.streams.insert(endpoint.clone(), stream);
        shared
    }

    /// Lets go of what the next configuration does not want, before it is in force. What it wants otherwise, the bridge has
    /// to ask for again: it does not know what the name of a group means now.
    pub(super) fn release(&mut self, next: &Sheet) -> Vec<Endpoint> {
        let released = self.kept.streams.extract_if(|endpoint, stream| {
            let same = stream.path.is_none() || (stream.mode, stream.group) == (next.http_mode, next.http_group);
            !next.http.contains(endpoint) || !same
        });
        let wanted = released.map(|(endpoint, _)| endpoint).filter(|endpoint| next.http.contains(endpoint)).collect();
        if self.kept.textfile.is_some() && self.kept.textfile != next.textfile {
            self.kept.remove_textfile();
        }
        wanted
    }

    /// Opens a file that the configuration names.
    pub(super) fn open_file(&mut self, role: Role, path: PathBuf) {
        let named = self.config.as_ref().is_some_and(|config| config.sheet.files.contains(&path));
        let file = if named { open_small(&path) } else { Err(not_named()) };
        self.answer(role, file, |error| ToChild::File { path, error });
    }

    /// Makes an empty file beside the one that the configuration names.
    pub(super) fn textfile(&mut self, role: Role, number: u64) {
        // The name of an unfinished one would be the same.
        self.kept.filling = None;
        let path = self.config.as_ref().and_then(|config| config.sheet.textfile.clone());
        let made = path.ok_or_else(not_named).and_then(|path| {
            let (pending, file) =
                Pending::for_everybody(path.clone()).inspect_err(|error| self.kept.complain(&path, error))?;
            self.kept.filling = Some((number, pending));
            Ok(file)
        });
        self.answer(role, made, |error| ToChild::Textfile { number, error });
    }

    pub(super) fn textfile_done(&mut self, number: u64) {
        // One that was given up meanwhile is nothing, and one without a word in it is not what anybody has written.
        let Some((_, pending)) = self.kept.filling.take_if(|(of, _)| *of == number) else { return };
        if pending.is_empty() {
            return;
        }
        let path = pending.path().to_owned();
        match pending.finish() {
            Ok(()) => {
                self.kept.textfile = Some(path);
                self.kept.complained = false;
            }
            Err(error) => self.kept.complain(&path, &error),
        }
    }

    pub(super) fn answer(&mut self, role: Role, fd: io::Result<OwnedFd>, message: impl FnOnce(Option<i32>) -> ToChild) {
        match fd {
            Ok(fd) => self.tell(role, &message(None), Some(fd)),
            Err(error) => self.tell(role, &message(Some(error.raw_os_error().unwrap_or(libc::EIO))), None),
        }
    }
}

impl Kept {
    fn remove_textfile(&mut self) {
        self.filling = None;
        if let Some(path) = self.textfile.take() {
            let _ = fs::remove_file(path);
        }
    }

    /// Once: it is tried again and again.
    fn complain(&mut self, path: &Path, error: &io::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            error!("cannot write the textfile {}: {error}", path.display());
        }
    }
}

/// What the configuration in force does not name, the bridge does not get.
fn not_named() -> io::Error {
    io::Error::from_raw_os_error(libc::EPERM)
}

/// Where the system's D-Bus listens, unless the environment says otherwise.
fn bus_path() -> PathBuf {
    let named = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_default();
    let first = named.split(';').next().and_then(|address| address.strip_prefix("unix:"));
    let path = first.and_then(|keys| keys.split(',').find_map(|key| key.strip_prefix("path=")));
    path.map_or_else(|| PathBuf::from("/run/dbus/system_bus_socket"), PathBuf::from)
}

/// Opens a plain file of bounded size for reading; never waits for the writer of a pipe.
fn open_small(path: &Path) -> io::Result<OwnedFd> {
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let there = file.metadata()?;
    if !there.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    if there.len() > FILE_MAX {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    Ok(file.into())
}

/// net-snmp's default for both sides.
pub const DEFAULT_AGENTX: &str = "/var/agentx/master";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bridge_gets_small_plain_files_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("key.pem"), "key").unwrap();
        std::os::unix::fs::symlink(path("key.pem"), path("link")).unwrap();
        fs::File::create(path("large")).unwrap().set_len(FILE_MAX + 1).unwrap();
        nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let errno = |name: &str| open_small(&path(name)).err().and_then(|error| error.raw_os_error());
        assert_eq!(errno("key.pem"), None);
        assert_eq!(errno("link"), None, "certificates are renewed by links");
        assert_eq!(errno("large"), Some(libc::EFBIG));
        assert_eq!(errno("pipe"), Some(libc::EINVAL));
        assert_eq!(errno("."), Some(libc::EINVAL));
        assert_eq!(errno("nowhere"), Some(libc::ENOENT));
    }
}
