//! All trackers of the runner: when each is looked at, and what vrrp is to hear.
//!
//! The driver says what happened, carries out the [`Output`]s, calls [`Engine::wake`] at [`Engine::deadline`], and asks
//! [`Engine::news`] whenever vrrp has room. What waits for vrrp is a set of names, so it has a bound, and the latest
//! finding wins.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::file::{File, Reading};
use super::process::{Pattern, Process};
use super::script::{Action, Script};
use crate::bus::msg::ConfigGeneration;
use crate::bus::rows::{Finding, TrackerRuns};
use crate::bus::run::{Ended, FromRunner};
use crate::clock::Instant;
use crate::conf::model::{Config, FileInit, ScriptEntry, ScriptId, TrackCommand, TrackFile, TrackScript, TrackerKind};
use crate::level::Level;

/// Counts of runs alone are told so often at most.
const RUNS_EVERY: Duration = Duration::from_secs(1);

/// Between the first runs of two scripts, so that not all of them start at once, and never again.
const SPREAD: Duration = Duration::from_millis(10);
/// The last one starts after this.
const SPREAD_MAX: Duration = Duration::from_secs(1);

/// For so long a runner that was started again waits for vrrp to say what scripts had come to.
const RECALL: Duration = Duration::from_secs(1);

/// What the driver must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Run this script; [`Engine::ended`] says how it went. Its process group is killed when `timeout` is over.
    Run {
        request: u64,
        config: ConfigGeneration,
        script: ScriptId,
        timeout: Duration,
    },
    /// Look whether the file can be opened; [`Engine::ended`] says so, as a script would by its status.
    Open {
        request: u64,
        path: String,
    },
    /// Nobody waits for this run any more: kill it.
    Cancel {
        request: u64,
    },
    /// The complete set of files to watch from now on.
    Files(Vec<Watched>),
    /// The complete set of processes to count from now on, by tracker.
    Processes(BTreeMap<String, Pattern>),
    Log(Level, String),
}

/// A file to be read now and whenever it changes; [`Engine::read`] says what it holds. Of those that are there only to be
/// initialised that is nobody's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    pub name: String,
    pub path: String,
    /// What is to be written first, if the file is not there. With `overwrite`, if it is, too.
    pub init: Option<FileInit>,
}

type Key = (TrackerKind, String);

/// Every tracker in force.
#[derive(Debug, Default)]
pub struct Engine {
    config: ConfigGeneration,
    pub(super) scripts: BTreeMap<String, Script>,
    files: BTreeMap<String, File>,
    processes: BTreeMap<String, Process>,
    /// Who waits for which run.
    asked: BTreeMap<u64, String>,
    requests: u64,
    /// Started in place of one that died: vrrp knows more than we do until there is a first result.
    restarted: bool,
    configured: bool,
    /// When the last script that vrrp knew of runs first.
    recalled_at: Instant,
    /// What vrrp was told last.
    told: BTreeMap<Key, (Finding, TrackerRuns)>,
    /// To be told at once.
    news: BTreeSet<Key>,
    /// Only counts have changed.
    counted: BTreeSet<Key>,
    /// When those are told.
    counted_at: Instant,
    stopping: bool,
}

impl Engine {
    /// `restarted`: in place of a runner that died. Files are not initialised again then, and `init_fail` does not count.
    pub fn new(restarted: bool) -> Engine {
        Engine { restarted, ..Engine::default() }
    }

    /// A configuration is in force. What did not change goes on as it was; everything is told again, as vrrp takes
    /// findings of the configuration in force only.
    pub fn configure(&mut self, generation: ConfigGeneration, config: &Config, now: Instant, out: &mut Vec<Output>) {
        if self.stopping {
            return;
        }
        self.config = generation;
        self.configure_scripts(config, now, out);
        self.configure_files(config, out);
        self.configure_processes(config, out);
        self.configured = true;
        self.counted.clear();
        self.told.clear();
        self.tell_all();
    }

    fn configure_scripts(&mut self, config: &Config, now: Instant, out: &mut Vec<Output>) {
        let mut before = std::mem::take(&mut self.scripts);
        let mut start = now;
        for tracker in &config.trackers.scripts {
            let entry = entry(config, tracker);
            let name = tracker.name.clone();
            let script = match before.remove(&name) {
                Some(mut script) => {
                    if let Some(request) = script.reconfigure(tracker.clone(), entry, now) {
                        self.cancel(request, out);
                    }
                    script
                }
                None => {
                    let spread = (start + SPREAD).since(now).min(SPREAD_MAX);
                    let first = std::mem::replace(&mut start, now + spread);
                    let assume = self.configured || !self.restarted;
                    // vrrp may still say what it knows of it.
                    let first = if assume { first } else { first + RECALL };
                    Script::new(tracker.clone(), entry, first, assume)
                }
            };
            self.scripts.insert(name, script);
        }
        let gone: Vec<u64> = before.keys().flat_map(|name| self.requests_of(name)).collect();
        gone.into_iter().for_each(|request| self.cancel(request, out));
    }

    /// What vrrp knows of a script from a runner before this one, so that `rise` and `fall` count from there.
    pub fn recall(&mut self, generation: ConfigGeneration, name: &str, good: bool, now: Instant) {
        if !self.restarted || generation != self.config || self.stopping {
            return;
        }
        let at = (self.recalled_at + SPREAD).max(now).min(now + SPREAD_MAX);
        if self.scripts.get_mut(name).is_some_and(|script| script.recall(good, at)) {
            self.recalled_at = at;
        }
    }

    fn requests_of(&self, name: &str) -> Vec<u64> {
        self.asked.iter().filter(|(_, who)| *who == name).map(|(&request, _)| request).collect()
    }

    fn cancel(&mut self, request: u64, out: &mut Vec<Output>) {
        self.asked.remove(&request);
        out.push(Output::Cancel { request });
    }

    fn configure_files(&mut self, config: &Config, out: &mut Vec<Output>) {
        let mut before = std::mem::take(&mut self.files);
        let at_start = !self.configured && !self.restarted;
        let configured = self.configured;
        // As in Keepalived: a reload creates what is missing, and overwrites nothing.
        let init = |tracker: &TrackFile| match tracker.init {
            Some(init) if at_start => Some(init),
            Some(init) if configured => Some(FileInit { overwrite: false, ..init }),
            _ => None,
        };
        let mut watched = Vec::new();
        let others = config.trackers.other_files.iter().filter(|tracker| init(tracker).is_some());
        for tracker in config.trackers.files.iter().chain(others) {
            watched.push(Watched { name: tracker.name.clone(), path: tracker.path.clone(), init: init(tracker) });
        }
        for tracker in &config.trackers.files {
            let file = match before.remove(&tracker.name) {
                Some(mut file) => {
                    file.reconfigure(tracker.clone());
                    file
                }
                None => File::new(tracker.clone()),
            };
            self.files.insert(tracker.name.clone(), file);
        }
        if !watched.is_empty() || !before.is_empty() {
            out.push(Output::Files(watched));
        }
    }

    fn configure_processes(&mut self, config: &Config, out: &mut Vec<Output>) {
        let mut before = std::mem::take(&mut self.processes);
        let had_some = !before.is_empty();
        for tracker in &config.trackers.processes {
            let name = tracker.name.clone();
            let process = match before.remove(&name) {
                Some(mut process) => {
                    log(process.reconfigure(tracker.clone()), out);
                    process
                }
                None => Process::new(tracker.clone()),
            };
            self.processes.insert(name, process);
        }
        if had_some || !self.processes.is_empty() {
            let patterns = self.processes.iter().map(|(name, it)| (name.clone(), Pattern::new(it.config())));
            out.push(Output::Processes(patterns.collect()));
        }
    }

    // --- what happens

    /// A run is over, or a file could be opened (status 0) or not.
    pub fn ended(&mut self, request: u64, ended: &Ended, now: Instant, out: &mut Vec<Output>) {
        let Some(name) = self.asked.remove(&request) else { return };
        let next = self.next_request();
        let Some(script) = self.scripts.get_mut(&name) else { return };
        let mut actions = Vec::new();
        script.ended(request, ended, now, next, &mut actions);
        self.act(&name, actions, now, out);
    }

    /// A file was read.
    pub fn read(&mut self, name: &str, reading: Reading, now: Instant, out: &mut Vec<Output>) {
        let Some(file) = self.files.get_mut(name) else { return };
        log(file.read(reading), out);
        self.look_at((TrackerKind::File, name.to_owned()), now);
    }

    /// So many processes match now.
    pub fn counted(&mut self, name: &str, count: u32, now: Instant, out: &mut Vec<Output>) {
        let Some(process) = self.processes.get_mut(name) else { return };
        log(process.counted(count, now), out);
        self.look_at((TrackerKind::Process, name.to_owned()), now);
    }

    /// The daemon stops: nothing is run or told any more.
    pub fn stop(&mut self, out: &mut Vec<Output>) {
        self.stopping = true;
        let requests: Vec<u64> = self.asked.keys().copied().collect();
        requests.into_iter().for_each(|request| self.cancel(request, out));
        self.scripts.clear();
        self.processes.clear();
        self.files.clear();
        self.news.clear();
        self.counted.clear();
    }

    /// When [`Self::wake`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let scripts = self.scripts.values().map(Script::deadline);
        let processes = self.processes.values().filter_map(Process::deadline);
        scripts.chain(processes).min()
    }

    /// Time has passed.
    pub fn wake(&mut self, now: Instant, out: &mut Vec<Output>) {
        let due = |script: &Script| script.deadline() <= now;
        let scripts: Vec<String> =
            self.scripts.iter().filter(|(_, script)| due(script)).map(|(name, _)| name.clone()).collect();
        for name in scripts {
            let request = self.next_request();
            let mut actions = Vec::new();
            if let Some(script) = self.scripts.get_mut(&name) {
                script.wake(now, request, &mut actions);
            }
            self.act(&name, actions, now, out);
        }
        let due = |process: &Process| process.deadline().is_some_and(|at| at <= now);
        let processes: Vec<String> =
            self.processes.iter().filter(|(_, process)| due(process)).map(|(name, _)| name.clone()).collect();
        for name in processes {
            if let Some(process) = self.processes.get_mut(&name) {
                log(process.wake(now), out);
            }
            self.look_at((TrackerKind::Process, name), now);
        }
    }

    fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    fn act(&mut self, name: &str, actions: Vec<Action>, now: Instant, out: &mut Vec<Output>) {
        for action in actions {
            match action {
                Action::Log(level, text) => out.push(Output::Log(level, text)),
                Action::Run(request) => {
                    let Some(script) = self.scripts.get(name) else { continue };
                    self.asked.insert(request, name.to_owned());
                    out.push(match &script.config().command {
                        TrackCommand::Run(it) => {
                            let timeout = script.timeout();
                            Output::Run { request, config: self.config, script: it.id, timeout }
                        }
                        TrackCommand::Opens(path) => Output::Open { request, path: path.clone() },
                    });
                }
            }
        }
        self.look_at((TrackerKind::Script, name.to_owned()), now);
    }

    // --- what vrrp hears

    /// A new vrrp process, or one that lost its socket: it hears everything.
    pub fn tell_all(&mut self) {
        self.told.clear();
        self.counted.clear();
        let scripts = self.scripts.keys().map(|name| (TrackerKind::Script, name.clone()));
        let files = self.files.keys().map(|name| (TrackerKind::File, name.clone()));
        let processes = self.processes.keys().map(|name| (TrackerKind::Process, name.clone()));
        self.news = scripts.chain(files).chain(processes).collect();
    }

    fn look_at(&mut self, key: Key, now: Instant) {
        let Some((finding, runs)) = self.value(&key) else { return };
        match self.told.get(&key) {
            Some((told, _)) if *told != finding => {
                self.news.insert(key);
            }
            Some((_, told)) if *told != runs => {
                if self.counted.is_empty() {
                    self.counted_at = self.counted_at.max(now);
                }
                self.counted.insert(key);
            }
            Some(_) => {}
            None => {
                self.news.insert(key);
            }
        }
    }

    fn value(&self, (kind, name): &Key) -> Option<(Finding, TrackerRuns)> {
        match kind {
            TrackerKind::Script => self.scripts.get(name).map(|it| (it.finding(), it.runs())),
            TrackerKind::File => self.files.get(name).map(|it| (it.finding(), it.runs())),
            TrackerKind::Process => self.processes.get(name).map(|it| (it.finding(), it.runs())),
            TrackerKind::Bfd => None,
        }
    }

    /// When [`Self::news`] has counts to tell, if nothing else happens before. What is to be told at once is there at
    /// once.
    pub fn news_at(&self) -> Option<Instant> {
        (!self.counted.is_empty()).then_some(self.counted_at)
    }

    /// The next thing for vrrp; call it as long as there is room.
    pub fn news(&mut self, now: Instant) -> Option<FromRunner> {
        if !self.counted.is_empty() && self.counted_at <= now {
            self.news.append(&mut self.counted);
            self.counted_at = now + RUNS_EVERY;
        }
        while let Some(key) = self.news.pop_first() {
            let Some((finding, runs)) = self.value(&key) else { continue };
            // What the one before us had found stands until we know better.
            if finding == Finding::Unknown && self.restarted {
                continue;
            }
            self.counted.remove(&key);
            self.told.insert(key.clone(), (finding, runs));
            let (kind, name) = key;
            return Some(FromRunner::Found { config: self.config, kind, name, finding, runs });
        }
        None
    }
}

fn entry(config: &Config, tracker: &TrackScript) -> Option<ScriptEntry> {
    match &tracker.command {
        TrackCommand::Run(script) => config.scripts.get(usize::try_from(script.id.0).ok()?).cloned(),
        TrackCommand::Opens(_) => None,
    }
}

fn log(told: Option<(Level, String)>, out: &mut Vec<Output>) {
    out.extend(told.map(|(level, text)| Output::Log(level, text)));
}
