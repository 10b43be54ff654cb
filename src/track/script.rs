//! One `vrrp_script`: when it runs, and what its results come to.
//!
//! Runs begin at fixed times, one `interval` apart, whatever they take. Where the one before is not over, a run is
//! skipped and counted. The first result decides alone, as in Keepalived, with `init_fail` too; afterwards it takes `rise`
//! successes or `fall` failures in a row. A run that is not over in time has failed then and there, however long it takes
//! to be killed.

use std::time::Duration;

use crate::bus::rows::{Finding, TrackerRuns};
use crate::bus::run::Ended;
use crate::clock::Instant;
use crate::conf::model::{ScriptEntry, TrackCommand, TrackScript};
use crate::level::Level;

/// What is to be done for one script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run it under this number; answered with [`Script::ended`] however that goes.
    Run(u64),
    Log(Level, String),
}

/// One `vrrp_script` in force.
#[derive(Debug, Clone)]
pub struct Script {
    config: TrackScript,
    /// What is executed; `None` when a file is opened instead.
    entry: Option<ScriptEntry>,
    good: Option<bool>,
    /// The next result decides without `rise` and `fall`.
    fresh: bool,
    /// Results in a row that contradict `good`.
    against: u32,
    next_at: Instant,
    run: Option<Run>,
    last: Option<Outcome>,
    runs: TrackerRuns,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    request: u64,
    since: Instant,
    over_at: Instant,
    /// It has failed already, and is being killed.
    overdue: bool,
    /// A run was due meanwhile, and follows at once.
    again: bool,
    /// Its skipping was logged.
    told: bool,
}

/// What a run came to, as far as it matters whether two were the same.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Exited(i32),
    Signalled(i32),
    TimedOut,
    NotStarted(String),
}

impl Outcome {
    fn of(ended: &Ended) -> Outcome {
        match ended {
            Ended::Exited(status) => Outcome::Exited(*status),
            Ended::Signalled(signal) => Outcome::Signalled(*signal),
            Ended::TimedOut => Outcome::TimedOut,
            Ended::NotStarted(reason) => Outcome::NotStarted(reason.clone()),
        }
    }

    fn text(&self) -> String {
        match self {
            Outcome::Exited(0) => "succeeded".to_owned(),
            Outcome::Exited(status) => format!("failed (exited with status {status})"),
            Outcome::Signalled(signal) => format!("failed (due to signal {signal})"),
            Outcome::TimedOut => "timed_out".to_owned(),
            Outcome::NotStarted(reason) => format!("failed ({reason})"),
        }
    }
}

impl Script {
    /// First run at `start`. `init_fail` counts when `assume` is set: not for a runner that was started again, whose vrrp
    /// process knows better.
    pub fn new(config: TrackScript, entry: Option<ScriptEntry>, start: Instant, assume: bool) -> Script {
        let good = (config.init_fail && assume).then_some(false);
        Script {
            config,
            entry,
            good,
            fresh: true,
            against: 0,
            next_at: start,
            run: None,
            last: None,
            runs: TrackerRuns::default(),
        }
    }

    /// A new configuration. What was found stays, as in Keepalived: a reload is no reason to fail over. Where another
    /// command is run now, or as somebody else, its first result decides, and an unfinished run of the one before is not
    /// waited for: `Some` number of that run.
    pub fn reconfigure(&mut self, config: TrackScript, entry: Option<ScriptEntry>, now: Instant) -> Option<u64> {
        let same = entry.as_ref().map(as_run) == self.entry.as_ref().map(as_run)
            && opened(&config.command) == opened(&self.config.command);
        if config.interval_us != self.config.interval_us {
            self.next_at = self.next_at.min(now + Duration::from_micros(config.interval_us));
        }
        self.config = config;
        self.entry = entry;
        if same {
            return None;
        }
        self.fresh = true;
        self.against = 0;
        self.last = None;
        self.next_at = now;
        self.runs.running = false;
        self.run.take().map(|run| run.request)
    }

    /// What it had come to in a process before this one; the next run is at `at`. It is of no use once a run has ended here.
    pub fn recall(&mut self, good: bool, at: Instant) -> bool {
        if self.last.is_some() || self.good.is_some() {
            return false;
        }
        self.good = Some(good);
        self.fresh = false;
        self.next_at = self.next_at.min(at);
        true
    }

    pub fn config(&self) -> &TrackScript {
        &self.config
    }

    pub fn finding(&self) -> Finding {
        match self.good {
            None => Finding::Unknown,
            Some(true) => Finding::Good,
            Some(false) => Finding::Bad,
        }
    }

    pub fn runs(&self) -> TrackerRuns {
        self.runs
    }

    /// After which time a run has failed: `timeout`, or else `interval`.
    pub fn timeout(&self) -> Duration {
        let us = if self.config.timeout_us > 0 { self.config.timeout_us } else { self.config.interval_us };
        Duration::from_micros(us.max(1))
    }

    /// When [`Self::wake`] has something to do.
    pub fn deadline(&self) -> Instant {
        match &self.run {
            Some(run) if !run.overdue => run.over_at.min(self.next_at),
            _ => self.next_at,
        }
    }

    /// Time has passed. `request` numbers a run that begins.
    pub fn wake(&mut self, now: Instant, request: u64, out: &mut Vec<Action>) {
        if let Some(run) = self.run.as_mut().filter(|run| !run.overdue && run.over_at <= now) {
            run.overdue = true;
            self.runs.timeout += 1;
            self.runs.took_us = micros(now.since(run.since));
            self.result(false, Outcome::TimedOut, out);
        }
        if self.next_at > now {
            return;
        }
        let interval = Duration::from_micros(self.config.interval_us.max(1_000));
        self.next_at += interval;
        if self.next_at <= now {
            // We were asleep: the rhythm is kept, what was missed is not made up for.
            let late = now.since(self.next_at).as_nanos() / interval.as_nanos() + 1;
            self.next_at += interval * u32::try_from(late).unwrap_or(u32::MAX);
        }
        let Some(run) = &mut self.run else { return self.begin(now, request, out) };
        self.runs.skipped += 1;
        run.again = run.overdue;
        if !std::mem::replace(&mut run.told, true) {
            let why = if run.overdue { "is being timed out" } else { "is already running" };
            let name = &self.config.name;
            out.push(Action::Log(Level::Info, format!("Track script {name} {why}, expect idle - skipping run")));
        }
    }

    fn begin(&mut self, now: Instant, request: u64, out: &mut Vec<Action>) {
        let over_at = now + self.timeout();
        self.run = Some(Run { request, since: now, over_at, overdue: false, again: false, told: false });
        self.runs.running = true;
        out.push(Action::Run(request));
    }

    /// The run of this number is over. `next` numbers one that follows at once.
    pub fn ended(&mut self, request: u64, ended: &Ended, now: Instant, next: u64, out: &mut Vec<Action>) {
        let Some(run) = self.run.take_if(|run| run.request == request) else { return };
        self.runs.running = false;
        if !run.overdue {
            self.runs.took_us = micros(now.since(run.since));
            match ended {
                Ended::Exited(0) => self.runs.success += 1,
                Ended::TimedOut => self.runs.timeout += 1,
                Ended::Exited(_) | Ended::Signalled(_) | Ended::NotStarted(_) => self.runs.failure += 1,
            }
            self.result(*ended == Ended::Exited(0), Outcome::of(ended), out);
        } else if run.again {
            self.begin(now, next, out);
        }
    }

    fn result(&mut self, success: bool, outcome: Outcome, out: &mut Vec<Action>) {
        let name = &self.config.name;
        let enough = match self.good {
            Some(good) if good == success => {
                self.against = 0;
                self.fresh = false;
                false
            }
            good => {
                self.against = self.against.saturating_add(1);
                let wanted = if success { self.config.rise } else { self.config.fall };
                good.is_none() || self.fresh || self.against >= wanted
            }
        };
        if enough {
            let level = if success { Level::Info } else { Level::Warn };
            out.push(Action::Log(level, format!("VRRP_Script({name}) {}", outcome.text())));
            self.good = Some(success);
            self.against = 0;
            self.fresh = false;
            let counter = if success { &mut self.runs.went_up } else { &mut self.runs.went_down };
            *counter += 1;
        } else if self.last.as_ref().is_some_and(|last| *last != outcome) {
            let text = match &outcome {
                Outcome::Exited(status) => format!("Script `{name}` now returning {status}"),
                other => format!("Script `{name}` {}", other.text()),
            };
            out.push(Action::Log(Level::Info, text));
        }
        self.last = Some(outcome);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// All of an entry but the place where it is written.
fn as_run(entry: &ScriptEntry) -> (&[String], u32, u32) {
    (&entry.words, entry.uid, entry.gid)
}

fn opened(command: &TrackCommand) -> Option<&str> {
    match command {
        TrackCommand::Opens(path) => Some(path),
        TrackCommand::Run(_) => None,
    }
}
