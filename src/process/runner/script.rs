//! Scripts that run or wait to run: who asked, until when, and what becomes of their processes.
//!
//! A check has a deadline. When it is over, TERM goes to its process group and to what it started outside of that, and
//! two seconds later KILL; only then is it answered, so that the next one does not meet it. A zombie at the head of a
//! group is reaped after the group was killed: until then its number cannot be another's. Whatever daemonised itself
//! is on its own, and reaped when it ends: this process is the reaper of everything below it.
//!
//! Notify scripts have no deadline. Those of one lane follow each other, for as long as they end. A script that waits
//! already, as the last of its lane and with the same arguments, is not made to wait twice.
//!
//! Readers of FIFOs run for as long as their FIFO is there.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::launch::Job;
use crate::bus::msg::ConfigGeneration;
use crate::bus::run::{Ended, FromRunner};
use crate::bus::timing::Deliveries;
use crate::clock::Instant;
use crate::conf::model::{Config, ScriptEntry, ScriptId};
use crate::process::role::Role;
use crate::sys::children::{self, End, Process, Table};

/// Checks that run at once. Each is a process or more; past this they wait for room, and their time runs.
const RUNNING_MAX: usize = 1024;
/// Checks that wait.
const QUEUE_MAX: usize = 8192;

/// Notify scripts that run at once; they have no deadline, so those that hang stay.
const NOTIFY_MAX: usize = 256;
/// Notify scripts that wait for their lane. When full, the oldest goes.
const NOTIFY_QUEUE_MAX: usize = 1024;
/// A notify script that runs for longer does not hold up the next of its lane any more.
const LANE_PATIENCE: Duration = Duration::from_secs(30);

/// How long the reader of a FIFO may go on reading once that is closed.
const READER_PATIENCE: Duration = Duration::from_secs(1);

/// Between TERM and KILL, as Keepalived does it.
const TERM_PATIENCE: Duration = Duration::from_secs(2);
/// The same when the daemon stops.
const STOP_PATIENCE: Duration = Duration::from_millis(500);
/// A process that KILL does not end waits for a device; its check is answered without it.
const KILL_PATIENCE: Duration = Duration::from_secs(1);

/// Number of one run.
pub type RunId = u64;

/// What the driver must do.
#[derive(Debug)]
pub enum Output {
    /// Start it on a thread, and say so with [`Runs::launched`].
    Launch(RunId, Job),
    Answer(Role, FromRunner),
}

/// Totals since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    pub checks_refused: u64,
    /// Notify scripts that ended with status 0.
    pub notifies_done: u64,
    /// That could not be started, or ended otherwise.
    pub notifies_failed: u64,
    pub notifies_dropped: u64,
}

/// Everything that runs or waits.
#[derive(Debug, Default)]
pub struct Runs {
    /// Scripts of the configurations that may still be asked for, the newest last.
    books: VecDeque<Book>,
    runs: BTreeMap<RunId, Run>,
    next: RunId,
    by_pid: HashMap<i32, RunId>,
    /// Checks that are not answered yet.
    requests: HashMap<(Role, u64), RunId>,
    checks_running: usize,
    notifies_running: usize,
    launching: usize,
    /// Checks without room.
    queue: VecDeque<RunId>,
    lanes: BTreeMap<LaneKey, Lane>,
    notifies_waiting: usize,
    /// Readers whose FIFO is closed, and when they are told to go.
    dismissed: Vec<(Instant, RunId)>,
    stopping: bool,
    pub counters: Counters,
}

#[derive(Debug)]
struct Book {
    config: ConfigGeneration,
    scripts: Vec<ScriptEntry>,
    secure: bool,
}

type LaneKey = (Role, u64);

#[derive(Debug, Default)]
struct Lane {
    /// The one that the others wait for.
    current: Option<RunId>,
    waiting: VecDeque<RunId>,
}

#[derive(Debug)]
struct Run {
    kind: Kind,
    job: Job,
    phase: Phase,
    /// When it came, then when it was started.
    since: Instant,
    /// Set when it shall not go on.
    verdict: Option<Verdict>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Check {
        asker: Role,
        request: u64,
        timeout: Duration,
    },
    Notify {
        lane: LaneKey,
    },
    /// The script of a FIFO.
    Reader,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    TimedOut,
    /// Nobody waits for an answer (any more).
    Unwanted,
}

#[derive(Debug)]
enum Phase {
    Queued,
    Launching,
    Alive {
        pid: i32,
    },
    /// TERM was sent. `others` left the group, and are to go too.
    Terminating {
        pid: i32,
        kill_at: Instant,
        others: Vec<Process>,
    },
    Killed {
        pid: i32,
        give_up_at: Option<Instant>,
    },
}

impl Phase {
    fn pid(&self) -> Option<i32> {
        match self {
            Phase::Queued | Phase::Launching => None,
            Phase::Alive { pid } | Phase::Terminating { pid, .. } | Phase::Killed { pid, .. } => Some(*pid),
        }
    }
}

impl Run {
    fn deadline(&self) -> Option<Instant> {
        match (&self.phase, self.kind) {
            (Phase::Queued | Phase::Launching | Phase::Alive { .. }, Kind::Check { timeout, .. }) => {
                self.verdict.is_none().then(|| self.since + timeout)
            }
            (Phase::Queued | Phase::Launching | Phase::Alive { .. }, Kind::Notify { .. } | Kind::Reader) => None,
            (Phase::Terminating { kill_at, .. }, _) => Some(*kill_at),
            (Phase::Killed { give_up_at, .. }, _) => *give_up_at,
        }
    }
}

impl Runs {
    /// A configuration is in force: its scripts may be asked for, and for a while those of the ones before.
    pub fn configure(&mut self, generation: ConfigGeneration, config: &Config) {
        const KEPT: usize = 4;
        self.books.retain(|book| book.config != generation);
        let scripts = config.scripts.clone();
        self.books.push_back(Book { config: generation, scripts, secure: config.script_security });
        while self.books.len() > KEPT {
            self.books.pop_front();
        }
    }

    pub fn knows(&self, config: ConfigGeneration) -> bool {
        self.books.iter().any(|book| book.config == config)
    }

    // --- what is asked

    pub fn check(
        &mut self,
        (asker, request): (Role, u64),
        (config, script): (ConfigGeneration, ScriptId),
        timeout: Duration,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let refuse = |words: String| {
            Output::Answer(asker, FromRunner::Ran { request, ended: Ended::NotStarted(words), took_us: 0 })
        };
        if self.requests.contains_key(&(asker, request)) {
            warn!("the {} process asked twice with the number {request}", asker.name());
            return;
        }
        let job = match self.job(config, script, Vec::new()) {
            Ok(job) => job,
            Err(words) => return out.push(refuse(words)),
        };
        if self.stopping {
            return out.push(refuse("the daemon stops".to_owned()));
        }
        if self.queue.len() >= QUEUE_MAX {
            self.counters.checks_refused += 1;
            return out.push(refuse(format!("{RUNNING_MAX} checks run and {QUEUE_MAX} wait already")));
        }
        let run = self.add(Kind::Check { asker, request, timeout }, job, now);
        self.requests.insert((asker, request), run);
        self.queue.push_back(run);
        self.start_what_fits(now, out);
    }

    pub fn cancel(&mut self, asker: Role, request: u64, now: Instant) {
        if let Some(id) = self.requests.remove(&(asker, request)) {
            self.unwanted(vec![id], TERM_PATIENCE, now);
        }
    }

    pub fn notify(
        &mut self,
        lane: LaneKey,
        (config, script): (ConfigGeneration, ScriptId),
        arguments: Vec<String>,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let job = match self.job(config, script, arguments) {
            Ok(job) => job,
            Err(words) => {
                self.counters.notifies_dropped += 1;
                return error!("a notify script does not run: {words}");
            }
        };
        let last = self.lanes.get(&lane).and_then(|lane| self.runs.get(lane.waiting.back()?));
        if last.is_some_and(|last| last.job == job) {
            return debug!("notify script {} waits already", job.name());
        }
        if self.notifies_waiting >= NOTIFY_QUEUE_MAX {
            self.drop_oldest_notify();
        }
        let run = self.add(Kind::Notify { lane }, job, now);
        self.lanes.entry(lane).or_default().waiting.push_back(run);
        self.notifies_waiting += 1;
        self.start_what_fits(now, out);
    }

    /// Starts the script of a FIFO, which is its last argument.
    pub fn reader(
        &mut self,
        (config, script): (ConfigGeneration, ScriptId),
        fifo: String,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Option<RunId> {
        match self.job(config, script, vec![fifo]) {
            Ok(job) => {
                let run = self.add(Kind::Reader, job, now);
                self.launch(run, now, out);
                Some(run)
            }
            Err(words) => {
                error!("the script of a FIFO does not run: {words}");
                None
            }
        }
    }

    /// The FIFO of this reader is closed: it has read the end and goes by itself, or is told to go in a moment.
    pub fn dismiss(&mut self, reader: RunId, now: Instant) {
        self.dismissed.push((now + READER_PATIENCE, reader));
    }

    /// Nobody waits for the answers to these any more. Notify scripts go on.
    pub fn asker_gone(&mut self, asker: Role, now: Instant) {
        let ids: Vec<RunId> =
            self.requests.iter().filter(|((whose, _), _)| *whose == asker).map(|(_, &id)| id).collect();
        self.requests.retain(|(whose, _), _| *whose != asker);
        self.unwanted(ids, TERM_PATIENCE, now);
    }

    /// Ends the checks. Notify scripts go on, those that wait too; see [`Self::is_idle`] and [`Self::let_go`].
    pub fn stop(&mut self, now: Instant) {
        self.stopping = true;
        self.requests.clear();
        let checks = self.runs.iter().filter(|(_, run)| matches!(run.kind, Kind::Check { .. }));
        let ids = checks.map(|(&id, _)| id).collect();
        self.unwanted(ids, STOP_PATIENCE, now);
    }

    /// The last moment has come: kills what is left of the checks, and starts the notify scripts that still wait. They
    /// end without us.
    pub fn let_go(&mut self, now: Instant, out: &mut Vec<Output>) {
        for run in self.runs.values().filter(|run| run.verdict.is_some()) {
            if let Phase::Terminating { others, .. } = &run.phase {
                others.iter().for_each(|&process| children::signal_process(process, libc::SIGKILL));
            }
            if let Some(pid) = run.phase.pid() {
                children::signal_group(pid, libc::SIGKILL);
            }
        }
        for run in self.runs.values().filter(|run| matches!(run.kind, Kind::Reader)) {
            if let Some(pid) = run.phase.pid() {
                children::signal_group(pid, libc::SIGTERM);
            }
        }
        for lane in self.lanes.values_mut() {
            lane.current = None;
        }
        while self.notifies_waiting > 0 && self.notifies_running < NOTIFY_MAX {
            self.start_what_fits(now, out);
            for lane in self.lanes.values_mut() {
                lane.current = None;
            }
        }
        let running = self.notifies_running;
        if running > 0 {
            warn!("{running} notify scripts still run; they are left to themselves");
        }
    }

    /// What became of notify scripts. They have no deadline, so none of them times out; one that runs is neither waiting
    /// nor sent.
    pub fn notified(&self) -> Deliveries {
        Deliveries {
            sent: self.counters.notifies_done,
            failed: self.counters.notifies_failed,
            timeout: 0,
            dropped: self.counters.notifies_dropped,
            waiting: self.notifies_waiting as u64,
        }
    }

    /// Whether no notify script runs or waits.
    pub fn has_notified(&self) -> bool {
        self.notifies_running + self.notifies_waiting == 0
    }

    pub fn is_idle(&self) -> bool {
        self.runs.is_empty()
    }

    pub fn is_launching(&self) -> bool {
        self.launching > 0
    }

    // --- what happens

    /// The answer to [`Output::Launch`]: its process, or why there is none. Ask [`Self::reap`] afterwards: it may have
    /// ended already.
    pub fn launched(&mut self, id: RunId, result: Result<i32, String>, now: Instant, out: &mut Vec<Output>) {
        self.launching -= 1;
        let Some(run) = self.runs.get_mut(&id) else { return };
        match result {
            Ok(pid) => {
                run.phase = Phase::Alive { pid };
                self.by_pid.insert(pid, id);
                debug!("started {} (pid {pid})", run.job.name());
                if run.verdict.is_some() {
                    self.terminate(&[id], TERM_PATIENCE, now);
                }
            }
            Err(words) => {
                match run.kind {
                    Kind::Check { .. } => {}
                    Kind::Notify { .. } => error!("a notify script does not run: {words}"),
                    Kind::Reader => error!("the script of a FIFO does not run: {words}"),
                }
                self.finish(id, Ended::NotStarted(words), now, out);
            }
        }
    }

    /// Takes care of every process that has ended.
    pub fn reap(&mut self, now: Instant, out: &mut Vec<Output>) {
        loop {
            let dead = match children::dead(None) {
                Ok(Some(dead)) => dead,
                Ok(None) => return,
                Err(error) => return error!("cannot wait for scripts: {error}"),
            };
            if self.ended(dead.pid, dead.end, now, out) {
                continue;
            }
            if self.launching > 0 {
                // It may be one whose start we have not been told of. It stays, and hides others that have ended.
                let known: Vec<i32> = self.by_pid.keys().copied().collect();
                for pid in known {
                    if let Ok(Some(dead)) = children::dead(Some(pid)) {
                        self.ended(pid, dead.end, now, out);
                    }
                }
                return;
            }
            // Somebody's orphan.
            children::reap(dead.pid);
        }
    }

    /// Whether the process was one of ours; it is no zombie any more then.
    fn ended(&mut self, pid: i32, end: End, now: Instant, out: &mut Vec<Output>) -> bool {
        let Some(id) = self.by_pid.remove(&pid) else { return false };
        if let Some(run) = self.runs.get(&id)
            && run.verdict.is_some()
        {
            // What ignored TERM, or was started since.
            children::signal_group(pid, libc::SIGKILL);
            if let Phase::Terminating { others, .. } = &run.phase
                && !others.is_empty()
            {
                kill_with_all_below(&Table::read(), others);
            }
        }
        children::reap(pid);
        let ended = match end {
            End::Exited(status) => Ended::Exited(status),
            End::Signalled(signal) => Ended::Signalled(signal),
        };
        self.finish(id, ended, now, out);
        true
    }

    fn finish(&mut self, id: RunId, ended: Ended, now: Instant, out: &mut Vec<Output>) {
        let Some(run) = self.runs.remove(&id) else { return };
        match run.kind {
            Kind::Check { asker, request, .. } => {
                self.checks_running -= 1;
                if self.requests.remove(&(asker, request)).is_some() {
                    let ended = if run.verdict == Some(Verdict::TimedOut) { Ended::TimedOut } else { ended };
                    out.push(answer(asker, request, ended, run.since, now));
                }
            }
            Kind::Reader => match ended {
                Ended::NotStarted(_) | Ended::TimedOut => {}
                _ if run.verdict.is_some()
                    || self.stopping
                    || self.dismissed.iter().any(|(_, reader)| *reader == id) => {}
                Ended::Exited(status) => {
                    warn!("{} reads its FIFO no more: exited with status {status}", run.job.name())
                }
                Ended::Signalled(signal) => warn!("{} reads its FIFO no more: died of signal {signal}", run.job.name()),
            },
            Kind::Notify { lane } => {
                self.notifies_running -= 1;
                let well = ended == Ended::Exited(0);
                self.counters.notifies_done += u64::from(well);
                self.counters.notifies_failed += u64::from(!well);
                match ended {
                    Ended::Exited(0) | Ended::NotStarted(_) | Ended::TimedOut => {}
                    Ended::Exited(status) => info!("notify script {} exited with status {status}", run.job.name()),
                    Ended::Signalled(signal) => info!("notify script {} died of signal {signal}", run.job.name()),
                }
                if let Some(lane) = self.lanes.get_mut(&lane)
                    && lane.current == Some(id)
                {
                    lane.current = None;
                }
            }
        }
        self.start_what_fits(now, out);
    }

    /// When [`Self::on_time`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let lanes = self.lanes.values().filter(|lane| !lane.waiting.is_empty()).filter_map(|lane| lane.current);
        let patience = lanes.filter_map(|id| self.runs.get(&id)).map(|run| run.since + LANE_PATIENCE);
        let dismissed = self.dismissed.iter().map(|(at, _)| *at);
        self.runs.values().filter_map(Run::deadline).chain(patience).chain(dismissed).min()
    }

    pub fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        let (late, rest) = std::mem::take(&mut self.dismissed).into_iter().partition(|(at, _)| *at <= now);
        self.dismissed = rest;
        let late: Vec<(Instant, RunId)> = late;
        self.unwanted(late.into_iter().map(|(_, reader)| reader).collect(), TERM_PATIENCE, now);
        let due: Vec<RunId> =
            self.runs.iter().filter(|(_, run)| run.deadline().is_some_and(|at| at <= now)).map(|(&id, _)| id).collect();
        let mut table = None;
        let mut over = Vec::new();
        for id in due {
            let Some(run) = self.runs.get_mut(&id) else { continue };
            match &mut run.phase {
                Phase::Queued | Phase::Launching => self.not_started_in_time(id, now, out),
                Phase::Alive { .. } => {
                    run.verdict = Some(Verdict::TimedOut);
                    over.push(id);
                }
                Phase::Terminating { pid, others, .. } => {
                    let pid = *pid;
                    let table = table.get_or_insert_with(Table::read);
                    let mut all = table.below(pid);
                    all.extend(others.iter().copied());
                    children::signal_group(pid, libc::SIGKILL);
                    kill_with_all_below(table, &all);
                    run.phase = Phase::Killed { pid, give_up_at: Some(now + KILL_PATIENCE) };
                }
                Phase::Killed { pid, give_up_at } => {
                    error!("{} (pid {pid}) cannot be killed: it waits for a device or a file system", run.job.name());
                    *give_up_at = None;
                    if let Kind::Check { asker, request, .. } = run.kind
                        && self.requests.remove(&(asker, request)).is_some()
                    {
                        out.push(answer(asker, request, Ended::TimedOut, run.since, now));
                    }
                }
            }
        }
        self.terminate(&over, TERM_PATIENCE, now);
        for lane in self.lanes.values_mut().filter(|lane| !lane.waiting.is_empty()) {
            if let Some(run) = lane.current.and_then(|id| self.runs.get(&id))
                && run.since + LANE_PATIENCE <= now
            {
                warn!("notify script {} has run for {LANE_PATIENCE:?}; the next does not wait for it", run.job.name());
                lane.current = None;
            }
        }
        self.start_what_fits(now, out);
    }

    // --- helpers

    fn job(&self, config: ConfigGeneration, script: ScriptId, arguments: Vec<String>) -> Result<Job, String> {
        let book = self.books.iter().find(|book| book.config == config);
        let book = book.ok_or_else(|| format!("configuration {config} is not in force"))?;
        let entry = usize::try_from(script.0).ok().and_then(|place| book.scripts.get(place));
        let entry = entry.ok_or_else(|| format!("configuration {config} has no script {}", script.0))?;
        Ok(Job::new(entry, arguments, book.secure))
    }

    fn add(&mut self, kind: Kind, job: Job, now: Instant) -> RunId {
        self.next += 1;
        self.runs.insert(self.next, Run { kind, job, phase: Phase::Queued, since: now, verdict: None });
        self.next
    }

    fn start_what_fits(&mut self, now: Instant, out: &mut Vec<Output>) {
        while self.checks_running < RUNNING_MAX
            && let Some(id) = self.queue.pop_front()
        {
            self.checks_running += 1;
            self.launch(id, now, out);
        }
        if self.notifies_waiting == 0 {
            self.lanes.retain(|_, lane| lane.current.is_some());
            return;
        }
        let mut start = Vec::new();
        for lane in self.lanes.values_mut() {
            if self.notifies_running + start.len() >= NOTIFY_MAX {
                break;
            }
            if lane.current.is_none() {
                lane.current = lane.waiting.pop_front();
                start.extend(lane.current);
            }
        }
        self.notifies_waiting -= start.len();
        self.notifies_running += start.len();
        for id in start {
            self.launch(id, now, out);
        }
        self.lanes.retain(|_, lane| lane.current.is_some() || !lane.waiting.is_empty());
    }

    fn launch(&mut self, id: RunId, now: Instant, out: &mut Vec<Output>) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.phase = Phase::Launching;
        run.since = now;
        self.launching += 1;
        out.push(Output::Launch(id, run.job.clone()));
    }

    fn not_started_in_time(&mut self, id: RunId, now: Instant, out: &mut Vec<Output>) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Kind::Check { asker, request, timeout } = run.kind else { return };
        let launching = matches!(run.phase, Phase::Launching);
        let words = if launching {
            format!("{} did not start within {timeout:?}", run.job.name())
        } else {
            format!("no room to run it within {timeout:?}")
        };
        self.requests.remove(&(asker, request));
        out.push(answer(asker, request, Ended::NotStarted(words), run.since, now));
        if launching {
            run.verdict = Some(Verdict::Unwanted);
        } else {
            self.counters.checks_refused += 1;
            self.queue.retain(|&queued| queued != id);
            self.runs.remove(&id);
        }
    }

    /// Ends runs that nobody waits for.
    fn unwanted(&mut self, ids: Vec<RunId>, patience: Duration, now: Instant) {
        let mut alive = Vec::new();
        for id in ids {
            let Some(run) = self.runs.get_mut(&id) else { continue };
            match &mut run.phase {
                Phase::Queued => {
                    self.queue.retain(|&queued| queued != id);
                    self.runs.remove(&id);
                }
                Phase::Launching => run.verdict = Some(Verdict::Unwanted),
                Phase::Alive { .. } => {
                    run.verdict = Some(Verdict::Unwanted);
                    alive.push(id);
                }
                Phase::Terminating { kill_at, .. } => *kill_at = (*kill_at).min(now + patience),
                Phase::Killed { .. } => {}
            }
        }
        self.terminate(&alive, patience, now);
    }

    /// TERM to their groups, and to what they started outside of those.
    fn terminate(&mut self, ids: &[RunId], patience: Duration, now: Instant) {
        if ids.is_empty() {
            return;
        }
        // Now, while it can be seen who belongs to whom: the children of one that has ended are ours.
        let table = Table::read();
        for id in ids {
            let Some(run) = self.runs.get_mut(id) else { continue };
            let Some(pid) = run.phase.pid() else { continue };
            let others: Vec<Process> = table.below(pid).into_iter().filter(|process| process.group != pid).collect();
            children::signal_group(pid, libc::SIGTERM);
            others.iter().for_each(|&process| children::signal_process(process, libc::SIGTERM));
            run.phase = Phase::Terminating { pid, kill_at: now + patience, others };
        }
    }

    fn drop_oldest_notify(&mut self) {
        let oldest = self.lanes.values().filter_map(|lane| lane.waiting.front().copied()).min();
        let Some(oldest) = oldest else { return };
        let Some(run) = self.runs.remove(&oldest) else { return };
        for lane in self.lanes.values_mut() {
            lane.waiting.retain(|&id| id != oldest);
        }
        self.notifies_waiting -= 1;
        self.counters.notifies_dropped += 1;
        warn!(
            "notify script {} does not run: {NOTIFY_QUEUE_MAX} wait already ({} dropped so far)",
            run.job.name(),
            self.counters.notifies_dropped
        );
    }
}

fn answer(asker: Role, request: u64, ended: Ended, since: Instant, now: Instant) -> Output {
    let took_us = u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
    Output::Answer(asker, FromRunner::Ran { request, ended, took_us })
}

fn kill_with_all_below(table: &Table, processes: &[Process]) {
    for process in processes {
        for below in table.below(process.pid) {
            children::signal_process(below, libc::SIGKILL);
        }
        children::signal_process(*process, libc::SIGKILL);
    }
}
