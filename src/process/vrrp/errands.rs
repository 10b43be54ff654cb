//! The socket to the runner: what it is to do for us, and what it has found of trackers. What waits for a runner that does
//! not read has a bound; nothing here may keep an advert waiting.

use std::collections::{BTreeMap, VecDeque};

use tracing::{error, warn};

use crate::bus::frame;
use crate::bus::msg::ConfigGeneration;
use crate::bus::rows::{Finding, TrackerRuns};
use crate::bus::run::{FromRunner, ToRunner};
use crate::conf::model::TrackerKind;
use crate::sys::poll::{Poller, Token};
use crate::sys::seqpacket::{Received, Sent, Seqpacket};
use crate::vrrp::io::{Errand, Input, Output};

/// What may wait for a runner that does not read, or for one that is being started again.
const WAITING_MAX: usize = 4096;

/// Frames read in one turn: a runner that never stops talking has its next turn with everybody else.
const FRAMES_PER_TURN: usize = 8;

#[derive(Debug)]
pub struct Errands {
    socket: Option<Seqpacket>,
    waiting: VecDeque<Vec<u8>>,
    config: ConfigGeneration,
    /// What was found of a configuration that the runner has already, and this process does not: it is not said again.
    early: BTreeMap<(TrackerKind, String), (ConfigGeneration, Finding, TrackerRuns)>,
    watching: bool,
    /// Errands that had no room, since that was logged.
    lost: u64,
}

impl Errands {
    pub fn new(config: ConfigGeneration) -> Errands {
        Errands { socket: None, waiting: VecDeque::new(), config, early: BTreeMap::new(), watching: false, lost: 0 }
    }

    pub fn meet(&mut self, socket: Seqpacket, token: Token, poller: &Poller) {
        self.part(poller);
        match poller.add(&socket, token, false) {
            Ok(()) => self.socket = Some(socket),
            Err(error) => error!("cannot watch the runner's socket: {error}"),
        }
    }

    fn part(&mut self, poller: &Poller) {
        if let Some(socket) = self.socket.take() {
            let _ = poller.remove(&socket);
        }
        self.watching = false;
    }

    /// Errands from now on belong to this configuration. What was found of its trackers before is returned.
    pub fn configuration(&mut self, config: ConfigGeneration) -> Vec<Input<'static>> {
        self.config = config;
        let early = std::mem::take(&mut self.early).into_iter().filter(|(_, (of, ..))| *of == config);
        early.map(|((kind, name), (_, finding, runs))| Input::Found { kind, name, finding, runs }).collect()
    }

    /// What trackers of the configuration in force have found.
    pub fn read(&mut self, poller: &Poller, buffer: &mut [u8]) -> Vec<Input<'static>> {
        let mut found = Vec::new();
        for _ in 0..FRAMES_PER_TURN {
            let Some(socket) = &self.socket else { break };
            let messages = match socket.receive(buffer) {
                Ok(Received::Nothing) => break,
                Ok(Received::Frame(length, _)) => frame::decode::<FromRunner>(buffer.get(..length).unwrap_or_default()),
                Ok(Received::Gone) | Err(_) => {
                    self.part(poller);
                    break;
                }
            };
            match messages {
                Ok(messages) => found.extend(messages.into_iter().filter_map(|message| match message {
                    FromRunner::Found { config, kind, name, finding, runs } if config == self.config => {
                        Some(Input::Found { kind, name, finding, runs })
                    }
                    FromRunner::Found { config, kind, name, finding, runs } if config > self.config => {
                        self.early.insert((kind, name), (config, finding, runs));
                        None
                    }
                    // Of a configuration before this one: it is said again.
                    FromRunner::Found { .. } | FromRunner::Ran { .. } => None,
                })),
                Err(error) => {
                    error!("the runner cannot be understood: {error}");
                    self.part(poller);
                }
            }
        }
        found
    }

    pub fn note(&mut self, outputs: &[Output]) {
        for output in outputs {
            let Output::Errand(errand) = output else { continue };
            if self.waiting.len() >= WAITING_MAX {
                if self.lost == 0 {
                    warn!("the runner does not keep up: notifications are lost");
                }
                self.lost += 1;
                continue;
            }
            match frame::encode(&self.message(errand)) {
                Ok(bytes) => self.waiting.push_back(bytes),
                Err(error) => error!("a notification is too long to be sent: {error}"),
            }
        }
    }

    fn message(&self, errand: &Errand) -> ToRunner {
        let config = self.config;
        match errand.clone() {
            Errand::Script { script, lane, arguments } => ToRunner::Notify { config, script, lane, arguments },
            Errand::Line { fifo, text } => ToRunner::Line { config, fifo, text },
            Errand::Mail { subject, body } => ToRunner::Mail { subject, body },
        }
    }

    /// Whether nothing waits for a runner that is there.
    pub fn is_empty(&self) -> bool {
        self.socket.is_none() || self.waiting.is_empty()
    }

    /// Writes what fits.
    pub fn pump(&mut self, token: Token, poller: &Poller) {
        let Some(socket) = &self.socket else { return };
        while let Some(bytes) = self.waiting.front() {
            match socket.send(bytes, &[]) {
                Ok(Sent::Yes) => drop(self.waiting.pop_front()),
                Ok(Sent::Full) => break,
                Ok(Sent::Gone) | Err(_) => return self.part(poller),
            }
        }
        if self.waiting.is_empty() && self.lost > 0 {
            warn!("{} notifications were lost, the runner keeps up again", std::mem::take(&mut self.lost));
        }
        let wants = !self.waiting.is_empty();
        if wants != self.watching && poller.modify(socket, token, wants).is_ok() {
            self.watching = wants;
        }
    }
}
