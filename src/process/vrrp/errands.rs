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
    waiting: VecDeque<ToRunner>,
    /// What errands belong to.
    config: ConfigGeneration,
    /// Configurations that were handed to the engine, and of which it has not said yet that its errands are theirs.
    next: VecDeque<ConfigGeneration>,
    /// What was found of a configuration that the runner has already, and this process does not: it is not said again.
    early: BTreeMap<(TrackerKind, String), (ConfigGeneration, Finding, TrackerRuns)>,
    watching: bool,
    /// Errands that had no room, since that was logged.
    lost: u64,
}

impl Errands {
    pub fn new(config: ConfigGeneration) -> Errands {
        let (waiting, next, early) = (VecDeque::new(), VecDeque::new(), BTreeMap::new());
        Errands { socket: None, waiting, config, next, early, watching: false, lost: 0 }
    }

    pub fn meet(&mut self, socket: Seqpacket, token: Token, poller: &Poller) {
        self.part(poller);
        match poller.add(&socket, token, false) {
            Ok(()) => self.socket = Some(socket),
            Err(error) => error!("cannot watch the runner's socket: {error}"),
        }
    }

    /// What a new runner should know of scripts, before anything else is said to it.
    pub fn remind<'a>(&mut self, scripts: impl Iterator<Item = (&'a str, bool)>) {
        self.waiting.retain(|message| !matches!(message, ToRunner::Known { .. }));
        let config = self.next.back().copied().unwrap_or(self.config);
        for (name, good) in scripts {
            self.waiting.push_front(ToRunner::Known { config, name: name.to_owned(), good });
        }
    }

    fn part(&mut self, poller: &Poller) {
        if let Some(socket) = self.socket.take() {
            let _ = poller.remove(&socket);
        }
        self.watching = false;
    }

    /// The engine was handed this configuration; [`Output::NewScripts`] says from where on errands belong to it. What was
    /// found of its trackers before is returned.
    pub fn configuration(&mut self, config: ConfigGeneration) -> Vec<Input<'static>> {
        self.next.push_back(config);
        let known = std::mem::take(&mut self.early).into_iter();
        let (early, later): (BTreeMap<_, _>, _) = known.partition(|(_, (of, ..))| *of <= config);
        self.early = later;
        let early = early.into_iter().filter(|(_, (of, ..))| *of == config);
        early.map(|((kind, name), (_, finding, runs))| Input::Found { kind, name, finding, runs }).collect()
    }

    /// What trackers of the configuration in force have found.
    pub fn read(&mut self, poller: &Poller, buffer: &mut [u8]) -> Vec<Input<'static>> {
        let latest = self.next.back().copied().unwrap_or(self.config);
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
                    FromRunner::Found { config, kind, name, finding, runs } if config == latest => {
                        Some(Input::Found { kind, name, finding, runs })
                    }
                    FromRunner::Found { config, kind, name, finding, runs } if config > latest => {
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
            let errand = match output {
                Output::Errand(errand) => errand,
                Output::NewScripts => {
                    self.config = self.next.pop_front().unwrap_or(self.config);
                    continue;
                }
                _ => continue,
            };
            if self.waiting.len() >= WAITING_MAX {
                if self.lost == 0 {
                    warn!("the runner does not keep up: notifications are lost");
                }
                self.lost += 1;
                // What is true now is said last.
                self.waiting.pop_front();
            }
            // Written when adverts have left.
            self.waiting.push_back(self.message(errand));
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
        while let Some(message) = self.waiting.front() {
            let bytes = match frame::encode(message) {
                Ok(bytes) => bytes,
                Err(error) => {
                    error!("a notification is too long to be sent: {error}");
                    self.waiting.pop_front();
                    continue;
                }
            };
            match socket.send(&bytes, &[]) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::run::Fifo;
    use crate::conf::model::ScriptId;
    use crate::sys::seqpacket::FRAME_MAX;

    const RUNNER: Token = 1;

    fn line(text: &str) -> Output {
        Output::Errand(Errand::Line { fifo: Fifo::Vrrp, text: text.to_owned() })
    }

    fn script(id: u32) -> Output {
        Output::Errand(Errand::Script { script: ScriptId(id), lane: 0, arguments: vec![] })
    }

    fn met(errands: &mut Errands, poller: &Poller) -> Seqpacket {
        let (ours, theirs) = Seqpacket::pair().unwrap();
        errands.meet(ours, RUNNER, poller);
        theirs
    }

    fn heard(runner: &Seqpacket) -> Vec<ToRunner> {
        let (mut all, mut buffer) = (vec![], vec![0; FRAME_MAX]);
        while let Received::Frame(length, _) = runner.receive(&mut buffer).unwrap() {
            all.extend(frame::decode::<ToRunner>(&buffer[..length]).unwrap());
        }
        all
    }

    fn texts(heard: Vec<ToRunner>) -> Vec<String> {
        let text = |message| match message {
            ToRunner::Line { text, .. } => text,
            other => panic!("{other:?}"),
        };
        heard.into_iter().map(text).collect()
    }

    #[test]
    fn what_is_said_while_there_is_no_runner_waits_for_one_in_its_order() {
        let poller = Poller::new().unwrap();
        let mut errands = Errands::new(1);
        errands.note(&[line("a"), line("b")]);
        errands.pump(RUNNER, &poller);
        assert!(errands.is_empty(), "nobody there is nobody to wait for");
        let runner = met(&mut errands, &poller);
        assert!(!errands.is_empty());
        errands.pump(RUNNER, &poller);
        assert_eq!(texts(heard(&runner)), ["a", "b"]);
        assert!(errands.is_empty());
        drop(runner);
        errands.note(&[line("c")]);
        errands.pump(RUNNER, &poller);
        let runner = met(&mut errands, &poller);
        errands.pump(RUNNER, &poller);
        assert_eq!(texts(heard(&runner)), ["c"], "what its predecessor did not take goes to the next one");
    }

    #[test]
    fn of_too_much_the_oldest_goes_and_the_latest_state_is_told() {
        let poller = Poller::new().unwrap();
        let mut errands = Errands::new(1);
        for number in 0..WAITING_MAX + 10 {
            errands.note(&[line(&number.to_string())]);
        }
        let runner = met(&mut errands, &poller);
        let mut all = vec![];
        while !errands.is_empty() {
            errands.pump(RUNNER, &poller);
            all.extend(texts(heard(&runner)));
        }
        assert_eq!((all.first().unwrap().as_str(), all.len()), ("10", WAITING_MAX));
        assert_eq!(all.last().unwrap(), &(WAITING_MAX + 9).to_string());
    }

    #[test]
    fn a_runner_that_does_not_read_makes_nobody_wait() {
        let poller = Poller::new().unwrap();
        let mut errands = Errands::new(1);
        let _runner = met(&mut errands, &poller);
        for number in 0..5 * WAITING_MAX {
            errands.note(&[line(&number.to_string())]);
            errands.pump(RUNNER, &poller);
        }
        assert!(!errands.is_empty() && errands.waiting.len() <= WAITING_MAX);
    }

    #[test]
    fn scripts_belong_to_the_configuration_of_which_the_engine_took_their_numbers() {
        let poller = Poller::new().unwrap();
        let mut errands = Errands::new(1);
        let runner = met(&mut errands, &poller);
        // Two reloads in one turn.
        errands.configuration(2);
        errands.configuration(3);
        errands.note(&[script(1), Output::NewScripts, script(2), Output::NewScripts, script(3)]);
        errands.note(&[script(4)]);
        errands.pump(RUNNER, &poller);
        let all: Vec<(ConfigGeneration, u32)> = heard(&runner)
            .into_iter()
            .map(|message| match message {
                ToRunner::Notify { config, script, .. } => (config, script.0),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(all, [(1, 1), (2, 2), (3, 3), (3, 4)]);
    }

    #[test]
    fn a_runner_that_comes_is_reminded_of_scripts_first_and_once() {
        let poller = Poller::new().unwrap();
        let mut errands = Errands::new(1);
        errands.remind([("a", true)].into_iter());
        errands.note(&[line("x")]);
        errands.remind([("a", false)].into_iter());
        let runner = met(&mut errands, &poller);
        errands.pump(RUNNER, &poller);
        let known = ToRunner::Known { config: 1, name: "a".to_owned(), good: false };
        let line = ToRunner::Line { config: 1, fifo: Fifo::Vrrp, text: "x".to_owned() };
        assert_eq!(heard(&runner), [known, line]);
    }

    fn found(config: ConfigGeneration, name: &str) -> FromRunner {
        let (kind, finding, runs) = (TrackerKind::Script, Finding::Good, TrackerRuns::default());
        FromRunner::Found { config, kind, name: name.to_owned(), finding, runs }
    }

    fn names(inputs: Vec<Input<'static>>) -> Vec<String> {
        let name = |input| if let Input::Found { name, .. } = input { Some(name) } else { None };
        inputs.into_iter().filter_map(name).collect()
    }

    #[test]
    fn what_is_found_of_a_configuration_to_come_is_there_when_it_comes() {
        let (ours, runner) = Seqpacket::pair().unwrap();
        let poller = Poller::new().unwrap();
        let mut errands = Errands::new(2);
        errands.meet(ours, 7, &poller);
        for (config, name) in [(1, "before"), (2, "now"), (3, "next"), (4, "later")] {
            runner.send(&frame::encode(&found(config, name)).unwrap(), &[]).unwrap();
        }
        let mut buffer = vec![0; frame::FRAME_MAX];
        assert_eq!(names(errands.read(&poller, &mut buffer)), ["now"]);
        assert_eq!(names(errands.configuration(3)), ["next"]);
        assert_eq!(names(errands.configuration(4)), ["later"], "two reloads may follow each other");
    }
}
