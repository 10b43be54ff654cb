//! What the supervisor tells the bridge of the daemon: its processes, and what became of reloads.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::{Loading, Supervisor, roles};
use crate::clock::{self, Instant, WallTime};
use crate::export::look::{Daemon, DriftReport, ProcessReport, ReloadReport};
use crate::process::lifecycle::ToChild;
use crate::process::logging;
use crate::process::role::Role;
use crate::process::usage::{self, Usage};

/// How old the readings of /proc become.
const EVERY: Duration = Duration::from_secs(5);

/// Octets of what is passed on of a load process's complaints.
pub const ERRORS_MAX: usize = 16 * 1024;

/// What such a text begins with in the file where a configuration would be.
pub const COMPLAINTS: &[u8] = b"complaints of the load process\n";

/// Octets of the configuration file's name.
const NAME_MAX: usize = 4096;

/// What is remembered for [`Daemon`].
#[derive(Debug)]
pub(super) struct Records {
    started: WallTime,
    reloads: ReloadReport,
    /// Of processes that have ended.
    past: BTreeMap<Role, Past>,
    /// When the configuration was asked for that not every process has in force yet.
    requested: Option<Instant>,
    /// What became of requests, for the bridge that runs now; it hears of the daemon first.
    answers: Vec<(Vec<u64>, ReloadReport)>,
    /// Something has changed since the bridge was told.
    pub(super) changed: bool,
    due: Instant,
}

/// What is told of the configuration in force, for the case that it comes back.
#[derive(Debug)]
pub(super) struct Told {
    accepted_at: WallTime,
    hash: u64,
    warnings: u32,
}

#[derive(Debug, Default)]
struct Past {
    deaths: u64,
    cpu_ns: u64,
}

impl Records {
    pub(super) fn new() -> Records {
        Records {
            started: clock::wall(),
            reloads: ReloadReport::default(),
            past: BTreeMap::new(),
            requested: None,
            answers: Vec::new(),
            changed: false,
            due: clock::now(),
        }
    }

    /// A process that was wanted is gone, or is about to be started again.
    pub(super) fn ended(&mut self, role: Role, cpu_ns: u64) {
        self.past.entry(role).or_default().cpu_ns += cpu_ns;
        self.changed = true;
    }

    pub(super) fn restarted(&mut self, role: Role) {
        self.past.entry(role).or_default().deaths += 1;
        self.changed = true;
    }

    /// A bridge starts: it has asked for nothing, and knows nothing.
    pub(super) fn bridge_started(&mut self) {
        self.answers.clear();
        self.reloads.answered = 0;
        self.changed = true;
    }

    pub(super) fn accepted(&mut self, loading: &Loading, hash: u64, warnings: u32, first: bool) {
        let now = clock::wall();
        let reloads = &mut self.reloads;
        reloads.accepted += u64::from(!first);
        (reloads.successful, reloads.accepted_at, reloads.tried_at) = (true, now, now);
        (reloads.hash, reloads.warnings) = (hash, warnings);
        reloads.errors.clear();
        reloads.drift = DriftReport::default();
        self.requested = Some(loading.requested);
        self.changed = true;
    }

    /// There was an attempt, and not even a beginning of it; or the file was not good.
    pub(super) fn rejected(&mut self, requests: Vec<u64>, errors: String) {
        let reloads = &mut self.reloads;
        reloads.rejected += 1;
        (reloads.successful, reloads.tried_at) = (false, clock::wall());
        reloads.errors = errors;
        reloads.drift = DriftReport::default();
        self.changed = true;
        self.answer(requests);
    }

    /// These requests have come to what is on record now.
    pub(super) fn answer(&mut self, requests: Vec<u64>) {
        if !requests.is_empty() {
            self.reloads.answered += requests.len() as u64;
            self.answers.push((requests, self.reloads.clone()));
            self.changed = true;
        }
    }

    /// These have come to nothing, while what is on record is about others.
    pub(super) fn refuse(&mut self, requests: Vec<u64>, errors: String) {
        if !requests.is_empty() {
            self.reloads.answered += requests.len() as u64;
            let drift = DriftReport::default();
            let reload = ReloadReport { successful: false, errors, drift, ..self.reloads.clone() };
            self.answers.push((requests, reload));
        }
    }

    pub(super) fn drifted(&mut self, drift: DriftReport) {
        self.reloads.drift.add(drift);
        self.changed = true;
    }

    pub(super) fn told(&self) -> Told {
        let ReloadReport { accepted_at, hash, warnings, .. } = self.reloads;
        Told { accepted_at, hash, warnings }
    }

    #[cfg(test)]
    pub(super) fn told_errors(&self) -> &str {
        &self.reloads.errors
    }

    /// It was accepted, and is not in force after all.
    pub(super) fn taken_back(&mut self, told: Told, errors: String) {
        let reloads = &mut self.reloads;
        reloads.rejected += 1;
        reloads.successful = false;
        (reloads.accepted_at, reloads.hash, reloads.warnings) = (told.accepted_at, told.hash, told.warnings);
        reloads.errors = errors;
        cut(&mut reloads.errors, ERRORS_MAX);
        self.requested = None;
        self.changed = true;
    }

    /// Every process has the last configuration in force.
    pub(super) fn in_force(&mut self) {
        if let Some(requested) = self.requested.take() {
            let took = clock::now().since(requested);
            self.reloads.took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        }
        self.changed = true;
    }
}

impl Supervisor {
    /// When the bridge is told next, if it listens.
    pub(super) fn report_due(&self) -> Option<Instant> {
        let bridge = self.children.get(&Role::Bridge)?;
        (self.stopping.is_none() && !bridge.channel.wants_write()).then_some(self.records.due)
    }

    /// Tells the bridge how things are, unless it has not read the last word yet.
    pub(super) fn report(&mut self, now: Instant) {
        if self.report_due().is_some_and(|due| self.records.changed || due <= now) {
            self.records.changed = false;
            self.records.due = now + EVERY;
            let daemon = Box::new(self.daemon());
            self.tell(Role::Bridge, &ToChild::Daemon(daemon), None);
        }
        if self.report_due().is_some() {
            for (requests, reload) in std::mem::take(&mut self.records.answers) {
                self.tell(Role::Bridge, &ToChild::Reloaded { requests, reload: Box::new(reload) }, None);
            }
        }
    }

    fn daemon(&self) -> Daemon {
        let of_ours = usage::of(std::process::id());
        let supervisor =
            process("supervisor".to_owned(), std::process::id(), self.records.started, &Past::default(), of_ours);
        let children = self.children.iter().map(|(role, child)| {
            let pid = child.process.id();
            let none = Past::default();
            let past = self.records.past.get(role).unwrap_or(&none);
            process(role.name().to_owned(), pid, child.started_at, past, usage::of(pid))
        });
        // One that is to be started again, or stays dead, is shown as well: its counters go on.
        let wanted = self.config.as_ref().map(|config| roles(&config.sheet)).unwrap_or_default();
        let dead = self.records.past.iter();
        let dead = dead.filter(|(role, _)| wanted.contains(role) && !self.children.contains_key(role));
        let dead = dead.map(|(role, past)| process(role.name().to_owned(), 0, WallTime(0), past, Usage::default()));
        let mut config_file = self.options.use_file.clone();
        cut(&mut config_file, NAME_MAX);
        Daemon {
            processes: [supervisor].into_iter().chain(children).chain(dead).collect(),
            reloads: self.records.reloads.clone(),
            logged: logging::counts(),
            pid: std::process::id(),
            started: self.records.started,
            config_file,
            all_ready: self.all_ready(),
            wanted: wanted.iter().filter(|role| **role != Role::Bridge).map(|role| role.name().to_owned()).collect(),
        }
    }
}

fn process(name: String, pid: u32, started: WallTime, past: &Past, usage: Usage) -> ProcessReport {
    ProcessReport {
        name,
        pid,
        started,
        restarts: past.deaths,
        cpu_ns: past.cpu_ns.saturating_add(usage.cpu_ns),
        resident_bytes: usage.resident_bytes,
        open_fds: usage.open_fds,
        max_fds: usage.max_fds,
    }
}

/// What a load process that failed has left in its file: text for people, which is not looked into. A configuration that
/// was being written is none.
pub(super) fn complaints(file: &OwnedFd) -> String {
    let mut bytes = vec![0; COMPLAINTS.len() + ERRORS_MAX];
    let Ok(file) = file.try_clone().map(std::fs::File::from) else { return String::new() };
    let length = file.read_at(&mut bytes, 0).unwrap_or(0);
    bytes.truncate(length);
    let Some(text) = bytes.strip_prefix(COMPLAINTS) else { return String::new() };
    let mut text = String::from_utf8_lossy(text).into_owned();
    cut(&mut text, ERRORS_MAX);
    text
}

/// Shortens at the end of a character.
fn cut(text: &mut String, most: usize) {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::process::lifecycle::ToChild;
    use crate::sys::memfd;

    #[test]
    fn whatever_a_load_process_leaves_is_text_of_bounded_length() {
        let left = |bytes: &[u8]| {
            let file = memfd::create("test").unwrap();
            std::fs::File::from(file.try_clone().unwrap()).write_all(bytes).unwrap();
            complaints(&file)
        };
        assert_eq!(left(b"\x01\x05secret"), "", "half a configuration");
        let left = |bytes: &[u8]| left(&[COMPLAINTS, bytes].concat());
        assert_eq!(left(b""), "");
        assert_eq!(left("error: naïve\n".as_bytes()), "error: naïve\n");
        let nonsense = left(&vec![0xFF; 100_000]);
        assert!(nonsense.len() <= ERRORS_MAX && nonsense.len() > ERRORS_MAX - 3);
    }

    #[test]
    fn the_longest_report_fits_a_frame() {
        let drift = DriftReport { lines: vec!["x".repeat(200); DriftReport::LINES_MAX], more: u32::MAX };
        let reloads = ReloadReport { errors: "x".repeat(ERRORS_MAX), drift, ..ReloadReport::default() };
        let past = Past { deaths: u64::MAX, cpu_ns: u64::MAX };
        let usage = Usage { cpu_ns: u64::MAX, resident_bytes: u64::MAX, open_fds: u64::MAX, max_fds: u64::MAX };
        let one = process("supervisor".to_owned(), u32::MAX, WallTime(u64::MAX), &past, usage);
        let daemon = Daemon {
            processes: vec![one; 7],
            reloads,
            config_file: "x".repeat(NAME_MAX),
            wanted: vec!["supervisor".to_owned(); 7],
            ..Daemon::default()
        };
        crate::bus::frame::encode(&ToChild::Daemon(Box::new(daemon))).unwrap();
    }
}
