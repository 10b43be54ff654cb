//! Reading the configuration to say what it would change, and going over to what was read then, if an operator still wants it.

use tracing::info;

use super::{Loading, Supervisor, complaints, read_sheet};
use crate::bus::msg::ConfigGeneration;
use crate::clock;
use crate::process::lifecycle::{Sheet, ToChild};
use crate::process::role::{Role, exit};

/// What the configuration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Apply,
    /// To answer the bridge's question of this number. `keep`: it may be wanted in force afterwards.
    Plan {
        number: u64,
        keep: bool,
    },
}

#[derive(Default)]
pub(super) struct Planning {
    /// Asked for while something was being read.
    pub(super) again: Option<(u64, bool)>,
    candidate: Option<Candidate>,
}

/// Read, told, and not in force.
struct Candidate {
    number: u64,
    /// What was in force when it was compared.
    generation: ConfigGeneration,
    sheet: Sheet,
    loading: Loading,
}

impl Supervisor {
    /// A bridge that is gone asks for nothing, and the next one counts its questions from the beginning.
    pub(super) fn forget_plans(&mut self) {
        self.planning = Planning::default();
        let Some(loading) = &mut self.loading else { return };
        loading.answers.clear();
        if let Purpose::Plan { number, keep } = &mut loading.purpose {
            (*number, *keep) = (0, false);
        }
    }

    /// The file is to be read from now on, as with [`Self::reload`], and what is on trial may not stay in force.
    pub(super) fn plan(&mut self, number: u64, keep: bool) {
        self.planning.candidate = None;
        self.planning.again = Some((number, keep));
        self.read_next(clock::now());
    }

    pub(super) fn begin_plan(&mut self, number: u64, keep: bool) {
        self.begin_reading();
        if let Err(error) = self.load(clock::now(), Purpose::Plan { number, keep }) {
            self.reading = None;
            self.answer_plan(number, 0, Err(format!("error: cannot start the load process: {error}\n")));
        }
    }

    /// The load process has ended.
    pub(super) fn planned(&mut self, mut loading: Loading, status: i32, number: u64, keep: bool) {
        if status != exit::OK {
            let told = complaints(&loading.file);
            let why = || format!("error: the load process ended with status {status}; the log may say why\n");
            let error = if told.is_empty() { why() } else { told };
            return self.answer_plan(number, 0, Err(error));
        }
        let sheet = match read_sheet(&loading.file) {
            Ok(sheet) => sheet,
            Err(error) => {
                let error = format!("error: the load process left nothing usable: {error}\n");
                return self.answer_plan(number, 0, Err(error));
            }
        };
        let Some(plan) = loading.plan.take() else {
            return self.answer_plan(number, 0, Err("error: there is no configuration in force yet\n".to_owned()));
        };
        let warnings = sheet.warnings;
        if keep {
            self.planning.candidate = Some(Candidate { number, generation: loading.against, sheet, loading });
        }
        self.answer_plan(number, warnings, Ok(plan));
    }

    /// The operator has seen the plan, or the bridge for him: with a request it is to be in force. A reload that has come between
    /// reads another file, and what that does is no answer to this one.
    pub(super) fn settle_plan(&mut self, number: u64, request: Option<u64>) {
        let candidate = self.planning.candidate.take_if(|candidate| candidate.number == number);
        let Some(request) = request else { return };
        let reads = self.loading.as_ref().is_some_and(|loading| loading.purpose == Purpose::Apply);
        if reads || self.requests.is_waiting() {
            let why = "error: somebody else reloads the configuration just now; ask again\n".to_owned();
            return self.records.refuse(vec![request], why);
        }
        let Some(mut candidate) = candidate.filter(|candidate| candidate.generation == self.generation) else {
            let why = "error: another configuration is in force since the plan was made\n".to_owned();
            return self.records.refuse(vec![request], why);
        };
        info!("Reloading, as planned");
        self.systemd.reloading(clock::now());
        candidate.loading.answers = vec![request];
        self.accept(candidate.loading, candidate.sheet, false);
    }

    fn answer_plan(&mut self, number: u64, warnings: u32, plan: Result<std::os::fd::OwnedFd, String>) {
        let (error, fd) = match plan {
            Ok(fd) => (None, Some(fd)),
            Err(error) => (Some(error), None),
        };
        self.tell(Role::Bridge, &ToChild::Planned { number, warnings, error }, fd);
    }
}
