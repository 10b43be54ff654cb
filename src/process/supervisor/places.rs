//! Where this daemon is on its host: network namespace, pid files, sockets with names.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use tracing::{error, warn};

use super::Supervisor;
use crate::process::control::{self, ControlSocket};
use crate::process::lifecycle::Sheet;
use crate::process::pidfile::{self, PidFile};
use crate::process::role::exit;

impl Supervisor {
    pub(super) fn enter_namespace(&mut self, name: &str) -> Result<(), i32> {
        let path = format!("/run/netns/{name}");
        let result = std::fs::File::open(&path)
            .and_then(|file| Ok(nix::sched::setns(file.as_fd(), nix::sched::CloneFlags::CLONE_NEWNET)?));
        match result {
            Ok(()) => {
                self.entered_namespace = true;
                Ok(())
            }
            Err(error) => {
                error!("cannot enter the network namespace {name}: {error}");
                // Keepalived's status here.
                Err(if error.kind() == io::ErrorKind::NotFound { exit::OK } else { exit::PERMISSION })
            }
        }
    }

    /// Makes sure that no other daemon runs here, and says that we do.
    pub(super) fn claim(&mut self, sheet: &Sheet) -> Result<(), i32> {
        let path = self.options.pid.clone().unwrap_or_else(|| {
            pidfile::default_path("keepalived", sheet.instance.as_deref(), sheet.use_pid_dir || self.entered_namespace)
        });
        if let Some(pid) = pidfile::running(&path) {
            error!("daemon is already running (pid {pid}, according to {})", path.display());
            return Err(exit::OK);
        }
        match PidFile::create(&path, std::process::id()) {
            Ok(file) => self.pid_file = Some(file),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                error!("cannot write the pid file {}: {error}; keepwatchd must run as root", path.display());
                return Err(exit::PERMISSION);
            }
            Err(error) => {
                error!("cannot write the pid file {}: {error}", path.display());
                return Err(exit::FATAL);
            }
        }
        let socket = control::path(&path);
        match ControlSocket::bind(&socket) {
            Ok(control) => self.control = Some(control),
            Err(error) => warn!("there is no control socket at {}: {error}", socket.display()),
        }
        Ok(())
    }

    pub(super) fn pid_path(&self, name: &str, given: Option<PathBuf>) -> PathBuf {
        let sheet = self.config.as_ref().map(|config| &config.sheet);
        given.unwrap_or_else(|| {
            pidfile::default_path(
                name,
                sheet.and_then(|sheet| sheet.instance.as_deref()),
                self.entered_namespace || sheet.is_some_and(|sheet| sheet.use_pid_dir),
            )
        })
    }
}
