//! Operators who want to know what a reload would do, before it does, and those who want it only if it does no harm.
//!
//! One question at a time goes to the supervisor: each reads the file anew, as it may have changed since the last one. Beside it, one
//! who only wants to know is told what somebody has changed in the kernel's table, if checks says so soon.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{error, info};

use super::Bridge;
use crate::bus::msg::{DriftReport, Source, ToEngine};
use crate::clock::{self, Instant};
use crate::conf::plan::Plan;
use crate::process::control::Planned;
use crate::process::lifecycle::ToSupervisor;
use crate::report::{self, PlanReport};
use crate::sys::memfd;

/// How long the kernel may take to list its table.
const SURVEY_PATIENCE: Duration = Duration::from_millis(500);

/// Who waits at most: each is a connection to the control socket.
const WAITING_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Plans {
    /// The number of the last question.
    number: u64,
    asked: Option<Wanted>,
    waiting: VecDeque<Wanted>,
    /// Until when checks is waited for, with the number of the question.
    survey: Option<(u64, Instant)>,
    /// What checks has said to it.
    drift: DriftReport,
    /// A plan that waits for that.
    made: Option<(oneshot::Sender<Planned>, PlanReport)>,
}

impl Plans {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.survey.map(|(_, until)| until)
    }
}

#[derive(Debug)]
struct Wanted {
    safe: bool,
    tell: oneshot::Sender<Planned>,
}

impl Bridge {
    /// A dropped sender is the answer to one too many.
    pub(super) fn want_plan(&mut self, safe: bool, tell: oneshot::Sender<Planned>) {
        self.plans.waiting.retain(|wanted| !wanted.tell.is_closed());
        if self.plans.waiting.len() < WAITING_MAX {
            self.plans.waiting.push_back(Wanted { safe, tell });
        }
        self.ask_for_plan();
    }

    fn ask_for_plan(&mut self) {
        while self.plans.asked.is_none() && self.plans.made.is_none() {
            let Some(wanted) = self.plans.waiting.pop_front() else { return };
            self.plans.number += 1;
            let ask = ToSupervisor::Plan { number: self.plans.number, keep: wanted.safe };
            let number = self.plans.number;
            match self.channel.send(&ask, None) {
                Ok(()) => {
                    // A reload has checks tell by itself.
                    let says = !wanted.safe && self.engines.say(Source::Checks, &ToEngine::Survey { request: number });
                    self.plans.survey = says.then(|| (number, clock::now() + SURVEY_PATIENCE));
                    self.plans.drift = DriftReport::default();
                    self.plans.asked = Some(wanted);
                }
                Err(error) => error!("the supervisor cannot be asked for a plan: {error}"),
            }
        }
    }

    pub(super) fn planned(&mut self, number: u64, warnings: u32, error: Option<String>, fd: Option<OwnedFd>) {
        if number != self.plans.number {
            return;
        }
        let Some(Wanted { safe, tell }) = self.plans.asked.take() else { return };
        let report = match (error, fd.map(|fd| decode(&fd))) {
            (None, Some(Ok(plan))) => report::plan::plan(&plan, Some(&self.look()), warnings),
            (None, Some(Err(error))) => report::plan::refused(format!("error: the plan cannot be read: {error}\n")),
            (None, None) => report::plan::refused("error: the supervisor has no plan\n".to_owned()),
            (Some(errors), _) => report::plan::refused(errors),
        };
        // Whoever has gone meanwhile is not there to see what happens.
        if safe && report.safe && !tell.is_closed() {
            let (done, when) = oneshot::channel();
            if self.reload_as_planned(number, done) {
                let _ = tell.send(Planned::Does(when));
            }
        } else {
            if safe {
                let why = report.consequences.iter().find(|it| it.refuses).map_or("it has mistakes", |it| &it.text);
                info!("a reload is refused, as it was to be a safe one: {why}");
                let _ = self.channel.send(&ToSupervisor::Settle { number, request: None }, None);
            }
            self.plans.made = Some((tell, report));
            self.tell_plan();
        }
        self.ask_for_plan();
    }

    pub(super) fn surveyed(&mut self, request: u64, drift: DriftReport) {
        if self.plans.survey.take_if(|(number, _)| *number == request).is_some() {
            self.plans.drift = drift;
            self.tell_plan();
            self.ask_for_plan();
        }
    }

    pub(super) fn wake_plans(&mut self, now: Instant) {
        if self.plans.survey.take_if(|(_, until)| *until <= now).is_some() {
            self.tell_plan();
            self.ask_for_plan();
        }
    }

    /// If it is made, and nothing more is waited for.
    fn tell_plan(&mut self) {
        if self.plans.survey.is_none()
            && let Some((tell, mut report)) = self.plans.made.take()
        {
            report.drift = std::mem::take(&mut self.plans.drift);
            let _ = tell.send(Planned::Would(Box::new(report)));
        }
    }
}

fn decode(file: &OwnedFd) -> std::io::Result<Plan> {
    let bytes = memfd::read_sealed(file.as_fd())?;
    postcard::from_bytes(&bytes).map_err(std::io::Error::other)
}
