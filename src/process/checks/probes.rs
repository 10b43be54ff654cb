//! Probes under way: tasks of this process, and MISC_CHECKs that the runner has.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::peer::Peer;
use crate::bus::msg::ConfigGeneration;
use crate::bus::run::{Ended, FromRunner, ToRunner};
use crate::check::engine::Engine;
use crate::check::io::{Cause, Failure, Input, Outcome};
use crate::check::probe::{self, Context};
use crate::clock::{self, Instant};
use crate::conf::model::{Check, CheckerKey, MiscCheck};

/// The runner kills what is too slow; it is not waited for much longer than that.
const RUNNER_GRACE: Duration = Duration::from_secs(10);

/// Descriptors kept for everything but probes.
const DESCRIPTORS_KEPT: usize = 64;

/// Probes that may hold a socket at once, whatever the limit of open files.
const PROBES_MAX: usize = 8192;

pub struct Probes {
    context: Rc<Context>,
    slots: Rc<Semaphore>,
    tasks: HashMap<CheckerKey, (u64, AbortHandle)>,
    results: mpsc::UnboundedSender<Input>,
    /// By request number.
    scripts: BTreeMap<u64, Script>,
    /// Which request a checker waits for.
    asked: HashMap<CheckerKey, u64>,
    next_request: u64,
    config: ConfigGeneration,
}

struct Script {
    checker: CheckerKey,
    attempt: u64,
    dynamic: bool,
    latest: Instant,
    began: Instant,
}

impl Probes {
    pub fn new(results: mpsc::UnboundedSender<Input>) -> Probes {
        let open_files = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
            .map_or(1024, |(soft, _)| usize::try_from(soft).unwrap_or(PROBES_MAX));
        let slots = open_files.saturating_sub(DESCRIPTORS_KEPT).clamp(16, PROBES_MAX);
        Probes {
            context: Rc::new(Context::new()),
            slots: Rc::new(Semaphore::new(slots)),
            tasks: HashMap::new(),
            results,
            scripts: BTreeMap::new(),
            asked: HashMap::new(),
            next_request: 0,
            config: 0,
        }
    }

    /// A new configuration: what it has compiled, and the number that scripts go by. Returns complaints for the log.
    pub fn configure<'a>(
        &mut self,
        checks: impl IntoIterator<Item = &'a Check>,
        config: ConfigGeneration,
    ) -> Vec<String> {
        let mut context = Context::new();
        let complaints = context.configure(checks);
        self.context = Rc::new(context);
        self.config = config;
        complaints
    }

    pub fn start(&mut self, checker: CheckerKey, attempt: u64, check: &Check, url: usize, runner: &mut Peer) {
        self.abandon(&checker, runner);
        if let Check::Misc(check) = check {
            return self.start_script(checker, attempt, check, runner);
        }
        let (context, slots, results) = (Rc::clone(&self.context), Rc::clone(&self.slots), self.results.clone());
        let check = check.clone();
        let key = checker.clone();
        let task = tokio::task::spawn_local(async move {
            let Ok(_slot) = slots.acquire().await else { return };
            let began = clock::now();
            let outcome = probe::run(&context, &check, url).await;
            let took_us = micros(clock::now().since(began));
            let _ = results.send(Input::Probed { checker, attempt, outcome, began, took_us });
        });
        self.tasks.insert(key, (attempt, task.abort_handle()));
    }

    fn start_script(&mut self, checker: CheckerKey, attempt: u64, check: &MiscCheck, runner: &mut Peer) {
        self.next_request += 1;
        let request = self.next_request;
        let message =
            ToRunner::Check { request, config: self.config, script: check.script.id, timeout_us: check.timeout_us };
        // A runner that is just being started again is told when it is there.
        runner.say(&message);
        let began = clock::now();
        // It may wait for its turn as long as it may run.
        let latest = began + 2 * Duration::from_micros(check.timeout_us) + RUNNER_GRACE;
        self.asked.insert(checker.clone(), request);
        self.scripts.insert(request, Script { checker, attempt, dynamic: check.dynamic, latest, began });
    }

    /// The result is not wanted any more.
    pub fn abandon(&mut self, checker: &CheckerKey, runner: &mut Peer) {
        if let Some((_, task)) = self.tasks.remove(checker) {
            task.abort();
        }
        if let Some(request) = self.asked.remove(checker) {
            self.scripts.remove(&request);
            runner.say(&ToRunner::Cancel { request });
        }
    }

    /// A probe ended: forget its task.
    pub fn ended(&mut self, checker: &CheckerKey, attempt: u64) {
        if self.tasks.get(checker).is_some_and(|(running, _)| *running == attempt) {
            self.tasks.remove(checker);
        }
    }

    /// A new runner knows of nothing, and of this configuration's scripts only; what its predecessor had is begun anew.
    pub fn meet_runner(&mut self, runner: &mut Peer, engine: &Engine) {
        let scripts = std::mem::take(&mut self.scripts);
        self.asked.clear();
        for script in scripts.into_values() {
            if let Some(Check::Misc(check)) = engine.checker(&script.checker).map(|checker| &checker.check) {
                self.start_script(script.checker, script.attempt, check, runner);
            }
        }
    }

    pub fn heard(&mut self, message: FromRunner, now: Instant) -> Option<Input> {
        let FromRunner::Ran { request, ended, took_us } = message else { return None };
        let script = self.finish(request)?;
        let outcome = outcome(ended, script.dynamic);
        // The runner may have let it wait for its turn.
        let began = script.began.max(now - Duration::from_micros(took_us));
        Some(Input::Probed { checker: script.checker, attempt: script.attempt, outcome, began, took_us })
    }

    fn finish(&mut self, request: u64) -> Option<Script> {
        let script = self.scripts.remove(&request)?;
        self.asked.remove(&script.checker);
        Some(script)
    }

    /// When to call [`Self::overdue`]. Looking once a second is exact enough for what should not happen.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        (!self.scripts.is_empty()).then(|| now + Duration::from_secs(1))
    }

    /// Scripts that the runner has not spoken of in time.
    pub fn overdue(&mut self, now: Instant, runner: &mut Peer) -> Vec<Input> {
        let late: Vec<u64> =
            self.scripts.iter().filter(|(_, script)| script.latest <= now).map(|(&request, _)| request).collect();
        late.into_iter()
            .filter_map(|request| {
                let script = self.finish(request)?;
                runner.say(&ToRunner::Cancel { request });
                Some(Input::Probed {
                    checker: script.checker,
                    attempt: script.attempt,
                    outcome: Outcome::Failed(Failure::new(Cause::Timeout, "the runner process does not answer")),
                    began: script.began,
                    took_us: micros(now.since(script.began)),
                })
            })
            .collect()
    }
}

/// What the end of a MISC_CHECK means (keepalived.conf(5), MISC_CHECK).
fn outcome(ended: Ended, dynamic: bool) -> Outcome {
    match ended {
        Ended::Exited(0) => Outcome::Passed,
        // 2 is weight 0, 255 is weight 253.
        Ended::Exited(status @ 2..=255) if dynamic => Outcome::PassedWithWeight(i64::from(status) - 2),
        Ended::Exited(status) => Outcome::Failed(Failure::new(Cause::Script, format!("exit status {status}"))),
        Ended::Signalled(signal) => Outcome::Failed(Failure::new(Cause::Script, format!("ended by signal {signal}"))),
        Ended::TimedOut => Outcome::Failed(Failure::new(Cause::Timeout, "timed out")),
        Ended::NotStarted(reason) => Outcome::Failed(Failure::new(Cause::Local, reason)),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
