//! Who has asked for a reload, and whose turn it is: one configuration is read at a time, and none while another one is on trial.
//! So each request is answered about the file that was read for it.

use std::time::Duration;

use tracing::{error, info};

use super::planning::Purpose;
use super::{REFUSED, Supervisor};
use crate::bus::msg::ConfigGeneration;
use crate::clock::{self, Instant};

/// How long a trial keeps the next file from being read. Processes that are well take 2.5 s at most.
const TRIAL_PATIENCE: Duration = Duration::from_secs(5);

/// Requests that may wait, those that were given up as well.
const WAITING_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Since when the configuration is to be read, and for which requests of the bridge.
    since: Option<Instant>,
    waiting: Vec<u64>,
    /// Those whose file was accepted, until every process has it in force.
    accepted: Option<(ConfigGeneration, Vec<u64>)>,
}

impl Requests {
    pub(super) fn accepted(&mut self, config: ConfigGeneration, requests: Vec<u64>) {
        self.accepted = Some((config, requests));
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// A bridge that is gone needs no answer, and the next one counts its requests from the beginning.
    pub(super) fn bridge_started(&mut self) {
        self.waiting.clear();
        if let Some((_, requests)) = &mut self.accepted {
            requests.clear();
        }
    }
}

impl Supervisor {
    /// The configuration is to be read, from now on: what is being read already may have been changed since.
    pub(super) fn reload(&mut self, requested: Instant, request: Option<u64>) {
        if let Some(request) = request {
            if self.requests.waiting.len() >= WAITING_MAX {
                let why = "error: too many wait for a reload already\n".to_owned();
                return self.records.refuse(vec![request], why);
            }
            self.requests.waiting.push(request);
        }
        self.requests.since.get_or_insert(requested);
        self.read_next(clock::now());
    }

    /// Until when what was accepted last keeps others waiting.
    fn patience(&self) -> Option<Instant> {
        self.trial.as_ref().map(|trial| trial.since + TRIAL_PATIENCE)
    }

    /// When to ask [`Self::read_next`] again, if nothing happens before.
    pub(super) fn next_reading_due(&self) -> Option<Instant> {
        let waits = self.requests.since.is_some() || self.planning.again.is_some();
        self.patience().filter(|_| waits && self.loading.is_none())
    }

    /// Reads what is to be read, if nothing else is being read or on trial.
    pub(super) fn read_next(&mut self, now: Instant) {
        if self.loading.is_some() || self.stopping.is_some() || self.patience().is_some_and(|until| now < until) {
            return;
        }
        if let Some(requested) = self.requests.since.take() {
            self.begin_reload(requested);
        } else if let Some((number, keep)) = self.planning.again.take() {
            self.begin_plan(number, keep);
        }
    }

    fn begin_reload(&mut self, requested: Instant) {
        info!("Reloading");
        self.systemd.reloading(clock::now());
        self.begin_reading();
        let requests = std::mem::take(&mut self.requests.waiting);
        match (self.load(requested, Purpose::Apply), &mut self.loading) {
            (Ok(()), Some(loading)) => loading.answers = requests,
            (Ok(()), None) => {}
            (Err(error), _) => {
                self.reading = None;
                self.systemd.ready(REFUSED);
                error!("reload refused: cannot start the load process: {error}");
                self.records.rejected(requests, format!("error: cannot start the load process: {error}\n"));
            }
        }
    }

    /// Every process has the configuration in force.
    pub(super) fn in_force(&mut self) {
        if let Some((_, requests)) = self.requests.accepted.take_if(|(config, _)| *config == self.generation) {
            self.records.answer(requests);
        }
    }

    /// Another configuration comes. That not everybody who only watches has heard of the one before is no matter.
    pub(super) fn superseded(&mut self) {
        let Some((_, requests)) = self.requests.accepted.take() else { return };
        match self.trial {
            None => self.records.answer(requests),
            Some(_) => {
                let why = "error: not every process had it in force before the next configuration came\n".to_owned();
                self.records.refuse(requests, why);
            }
        }
    }

    /// The configuration that was accepted last is not in force after all, as is on record.
    pub(super) fn not_in_force(&mut self) {
        if let Some((_, requests)) = self.requests.accepted.take() {
            self.records.answer(requests);
        }
    }
}
