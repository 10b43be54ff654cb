//! Files that the bridge fills: opened here, where the rights and the names are, and put in their place when they are whole.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use tracing::{error, info};

use super::Supervisor;
use crate::bus::msg::ConfigGeneration;
use crate::export::dump::Kind;
use crate::process::dumps::{self, Pending};
use crate::process::lifecycle::ToChild;
use crate::process::role::Role;

/// What is being filled, by the numbers of the requests.
#[derive(Debug, Default)]
pub(super) struct Dumps {
    number: u64,
    pending: BTreeMap<u64, Pending>,
}

impl Dumps {
    /// A bridge that is gone finishes nothing.
    pub(super) fn bridge_started(&mut self) {
        self.pending.clear();
    }
}

impl Supervisor {
    /// SIGUSR1: what every process knows.
    pub(super) fn dump_state(&mut self) {
        let Some(config) = &self.config else { return };
        let kinds = [
            (true, Kind::Parent),
            (config.sheet.wants_vrrp, Kind::Vrrp),
            (config.sheet.wants_checks, Kind::Check),
            (config.sheet.has_bfd && config.sheet.wants_vrrp, Kind::Bfd),
        ];
        for (_, kind) in kinds.into_iter().filter(|(wanted, _)| *wanted) {
            self.dump(kind);
        }
    }

    /// SIGUSR2 and the signal for JSON: of VRRP only.
    pub(super) fn dump_vrrp(&mut self, kind: Kind) {
        if self.config.as_ref().is_some_and(|config| config.sheet.wants_vrrp) {
            self.dump(kind);
        }
    }

    fn dump(&mut self, kind: Kind) {
        let Some(config) = &self.config else { return };
        let namespace = self.options.namespace.as_deref().or(config.sheet.net_namespace.as_deref());
        let path = dumps::path(kind, &config.sheet.process.dumps, config.sheet.instance.as_deref(), namespace);
        info!("Writing {}", path.display());
        self.fill(kind, path, self.options.file_mask(), self.announced);
    }

    /// `config_save_dir`: state of before (`pre`) or after (`post`) a reload.
    pub(super) fn save_state(&mut self, when: &str, config: ConfigGeneration) {
        let Some(sheet) = self.config.as_ref().map(|config| &config.sheet) else { return };
        let Some(directory) = sheet.process.reload.save_dir.clone() else { return };
        let kinds = [(sheet.wants_vrrp, Kind::Vrrp, "vrrp"), (sheet.wants_checks, Kind::Check, "check")];
        if !directory.is_dir()
            && let Err(error) = DirBuilder::new().mode(0o700).create(&directory)
        {
            error!("cannot make {}: {error}", directory.display());
            return;
        }
        for (_, kind, of) in kinds.into_iter().filter(|(wanted, ..)| *wanted) {
            let name = format!("keepalived_{of}.{}.{}.{when}", std::process::id(), self.reloads);
            self.fill(kind, directory.join(name), 0o077, config);
        }
    }

    fn fill(&mut self, kind: Kind, path: PathBuf, mask: u32, config: ConfigGeneration) {
        if !self.children.contains_key(&Role::Bridge) {
            error!("cannot write {}: the process that knows what to write does not run", path.display());
            return;
        }
        // The name of an unfinished one would be the same.
        self.dumps.pending.retain(|_, pending| pending.path() != path);
        match Pending::create(path.clone(), mask) {
            Ok((pending, file)) => {
                self.dumps.number += 1;
                let number = self.dumps.number;
                self.dumps.pending.insert(number, pending);
                self.tell(Role::Bridge, &ToChild::Dump { number, kind, config }, Some(file));
            }
            Err(error) => error!("cannot write {}: {error}", path.display()),
        }
    }

    pub(super) fn dumped(&mut self, number: u64) {
        // One that was given up is nothing, and where there is nothing to tell there is no file.
        let Some(pending) = self.dumps.pending.remove(&number).filter(|pending| !pending.is_empty()) else { return };
        let path = pending.path().to_owned();
        if let Err(error) = pending.finish() {
            error!("cannot put {} in its place: {error}", path.display());
        }
    }
}
