//! The kernel's connection synchronisation daemons: which ones run, and which ones should.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::plan::errno;
use super::table::{Daemon, Op, SyncRole};
use crate::bus::rows::State;
use crate::clock::Instant;
use crate::conf::model::{InstanceName, SyncDaemon};

const RETRY_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Daemons {
    config: Option<SyncDaemon>,
    /// The followed instance is master.
    master: bool,
    running: BTreeMap<SyncRole, Daemon>,
    /// What may run although it was not started here: stopped before anything is started.
    uncertain: BTreeSet<SyncRole>,
    flight: usize,
    failures: u32,
    retry_at: Option<Instant>,
    stopping: bool,
}

impl Daemons {
    pub fn configure(&mut self, config: Option<&SyncDaemon>) {
        let strip = |it: &SyncDaemon| SyncDaemon { location: Default::default(), ..it.clone() };
        if self.config.as_ref().map(strip) != config.map(strip) {
            if self.config.is_none() && self.running.is_empty() {
                self.uncertain = BTreeSet::from([SyncRole::Master, SyncRole::Backup]);
            }
            if self.config.as_ref().map(|it| &it.instance) != config.map(|it| &it.instance) {
                self.master = false;
            }
            self.retry_at = None;
        }
        self.config = config.cloned();
    }

    pub fn config(&self) -> Option<&SyncDaemon> {
        self.config.as_ref()
    }

    pub fn follow(&mut self, instance: &InstanceName, state: State) {
        if self.config.as_ref().is_some_and(|config| config.instance.as_ref() == Some(instance)) {
            self.master = state == State::Master;
        }
    }

    pub fn running(&self) -> Vec<Daemon> {
        self.running.values().cloned().collect()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    pub fn wake(&mut self, now: Instant) {
        self.retry_at = self.retry_at.filter(|at| *at > now);
    }

    /// All daemons go, for good.
    pub fn stop(&mut self) -> Vec<Op> {
        self.stopping = true;
        let roles: BTreeSet<SyncRole> = self.running.keys().copied().chain(self.wanted().into_keys()).collect();
        roles.into_iter().map(|role| Op::StopDaemon { role, id: self.id(role) }).collect()
    }

    /// The next operations: what runs and should not is stopped first.
    pub fn plan(&mut self) -> Vec<Op> {
        if self.flight > 0 || self.retry_at.is_some() || self.stopping {
            return Vec::new();
        }
        let wanted = self.wanted();
        let mut ops = Vec::new();
        for role in [SyncRole::Master, SyncRole::Backup] {
            let right = self.running.get(&role) == wanted.get(&role);
            if self.uncertain.contains(&role) || (self.running.contains_key(&role) && !right) {
                ops.push(Op::StopDaemon { role, id: self.id(role) });
            }
        }
        let starts =
            wanted.into_iter().filter(|(role, it)| self.uncertain.contains(role) || self.running.get(role) != Some(it));
        ops.extend(starts.map(|(_, daemon)| Op::StartDaemon(daemon)));
        self.uncertain.clear();
        self.flight = ops.len();
        ops
    }

    /// The kernel's answer to one of them. The refusal is returned if it is one.
    pub fn answer(&mut self, op: &Op, error: Option<i32>, now: Instant) -> Option<i32> {
        self.flight = self.flight.saturating_sub(1);
        match (op, error) {
            (Op::StopDaemon { role, .. }, _) => {
                // One that was not running is as stopped as any.
                self.running.remove(role);
                error.filter(|errno| !matches!(*errno, errno::ESRCH | errno::ENOENT))
            }
            (Op::StartDaemon(daemon), None) => {
                self.running.insert(daemon.role, daemon.clone());
                self.failures = 0;
                None
            }
            (Op::StartDaemon(daemon), Some(errno)) => {
                if errno == errno::EEXIST {
                    self.uncertain.insert(daemon.role);
                }
                let pause = Duration::from_secs(1 << self.failures.min(6)).min(RETRY_MAX);
                self.failures = self.failures.saturating_add(1);
                self.retry_at = Some(now + pause);
                Some(errno)
            }
            _ => error,
        }
    }

    /// The kernel's table is another one.
    pub fn lose(&mut self) {
        self.running.clear();
    }

    fn id(&self, role: SyncRole) -> u8 {
        self.running.get(&role).map(|it| it.id).or(self.config.as_ref().map(|it| it.id)).unwrap_or(0)
    }

    fn wanted(&self) -> BTreeMap<SyncRole, Daemon> {
        let Some(config) = &self.config else { return BTreeMap::new() };
        let roles = match (&config.instance, self.master) {
            (None, _) => vec![SyncRole::Master, SyncRole::Backup],
            (Some(_), true) => vec![SyncRole::Master],
            (Some(_), false) => vec![SyncRole::Backup],
        };
        let daemon = |role| Daemon {
            role,
            interface: config.interface.clone(),
            id: config.id,
            max_length: config.max_length,
            port: config.port,
            ttl: config.ttl,
            group: config.group,
        };
        roles.into_iter().map(|role| (role, daemon(role))).collect()
    }
}
