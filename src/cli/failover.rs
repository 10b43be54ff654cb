//! `keepwatch failover`: an instance gives its addresses to another router, and takes them back.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::client::Connection;
use super::outcome::{Failure, finish, print, print_json, status};
use super::progress::Progress;
use super::text::{now, span};
use super::watch::seconds;
use crate::control::{Request, Response};
use crate::report::InstanceReport;

const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub struct Failover {
    /// Instance
    instance: String,
    /// Take part in the election as before
    #[arg(long)]
    back: bool,
    /// Wait until somebody has taken over; with --back, until this router has or another one keeps it
    #[arg(long)]
    wait: bool,
    /// With --wait: how long at most; three advert intervals, the preempt delay and 5 s when missing
    #[arg(long, value_name = "S", requires = "wait", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    connection: Connection,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    /// Asked for, and not waited for.
    Asked,
    /// Another router is master: its address and priority.
    Taken {
        by: String,
        priority: u8,
    },
    /// This router is master.
    Ours,
    /// This router was, or still is, master, as nobody else wanted to be.
    Nobody,
    /// It cannot take part in any election.
    Fault,
    TimeUp,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Told<'a> {
    /// `asked`, `taken-over`, `master`, `nobody`, `fault` or `timeout`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_over_by: Option<&'a str>,
    seconds: f64,
    instance: &'a InstanceReport,
}

/// What was seen of the instance since it was asked.
#[derive(Debug)]
struct Watcher {
    back: bool,
    /// Seconds since 1970.
    begun: f64,
    /// It was no master for a moment.
    left: bool,
}

impl Failover {
    pub fn run(self) -> ExitCode {
        finish(self.failover(), self.connection.json, Some(&self.instance))
    }

    fn failover(&self) -> Result<u8, Failure> {
        let mut progress = Progress::new(self.connection.json);
        let begun = now();
        let before = self.connection.instance(&self.instance)?;
        let mut client = self.connection.open()?;
        let request = Request::Failover { instance: self.instance.clone(), back: self.back };
        let Response::Instance { instance } = client.ask(&request)?.good()? else { return Err(Failure::nonsense()) };
        let mut instance = *instance;
        if !self.wait {
            return Ok(self.tell(&instance, Outcome::Asked, progress.seconds()));
        }
        let timeout = self.timeout.unwrap_or_else(|| patience(&before)).as_secs_f64();
        let mut watcher = Watcher { back: self.back, begun, left: false };
        let outcome = loop {
            if let Some(outcome) = watcher.sees(&instance) {
                break outcome;
            }
            if progress.seconds() >= timeout {
                break watcher.gives_up(&instance);
            }
            progress.show(&format!("{}: {}, {:.0} s", instance.name, instance.state, progress.seconds()));
            std::thread::sleep(LOOK_EVERY);
            instance = self.connection.instance(&self.instance)?;
        };
        progress.end();
        Ok(self.tell(&instance, outcome, progress.seconds()))
    }

    fn tell(&self, instance: &InstanceReport, outcome: Outcome, seconds: f64) -> u8 {
        if self.connection.json {
            let taken_over_by = match &outcome {
                Outcome::Taken { by, .. } => Some(by.as_str()),
                _ => None,
            };
            print_json(&Told { outcome: outcome.name(), taken_over_by, seconds, instance });
        } else {
            print(&shown(instance, &outcome, self.back, seconds));
        }
        if outcome.is_good(self.back) { status::GOOD } else { status::TROUBLE }
    }
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Outcome::Asked => "asked",
            Outcome::Taken { .. } => "taken-over",
            Outcome::Ours => "master",
            Outcome::Nobody => "nobody",
            Outcome::Fault => "fault",
            Outcome::TimeUp => "timeout",
        }
    }

    fn is_good(&self, back: bool) -> bool {
        match self {
            Outcome::Asked => true,
            Outcome::Taken { .. } => !back,
            Outcome::Ours => back,
            Outcome::Nobody | Outcome::Fault | Outcome::TimeUp => false,
        }
    }
}

impl Watcher {
    /// Whether there is nothing more to wait for.
    fn sees(&mut self, instance: &InstanceReport) -> Option<Outcome> {
        match (&*instance.state, self.back) {
            ("fault", _) => Some(Outcome::Fault),
            ("master", true) => Some(Outcome::Ours),
            // It entered master after it was asked to leave: it has waited for others already.
            ("master", false) if self.left || instance.since > self.begun => Some(Outcome::Nobody),
            ("master", false) => None,
            (_, false) => {
                self.left = true;
                self.master(instance)
            }
            // Who may preempt does; that takes a moment.
            (_, true) => match self.master(instance) {
                Some(Outcome::Taken { priority, .. }) if keeps(instance, priority) => self.master(instance),
                _ => None,
            },
        }
    }

    /// Another router that was heard since.
    fn master(&self, instance: &InstanceReport) -> Option<Outcome> {
        let master = instance.master.as_ref()?;
        let heard = master.at.is_some_and(|at| at > self.begun) && master.priority > 0;
        heard.then(|| Outcome::Taken { by: master.address.clone(), priority: master.priority })
    }

    fn gives_up(&self, instance: &InstanceReport) -> Outcome {
        match (&*instance.state, self.back) {
            ("master", false) => Outcome::Nobody,
            (_, true) => self.master(instance).unwrap_or(Outcome::TimeUp),
            _ => Outcome::TimeUp,
        }
    }
}

/// A master of this priority is not preempted by this router.
fn keeps(instance: &InstanceReport, priority: u8) -> bool {
    !instance.preempt || priority >= instance.priority.effective
}

/// What an election takes, and a moment for what comes before and after.
fn patience(instance: &InstanceReport) -> Duration {
    let election = 2.0 * instance.master_down_interval.max(3.0 * instance.advert_interval);
    Duration::try_from_secs_f64(election + instance.preempt_delay + 5.0).unwrap_or(Duration::from_secs(60))
}

fn shown(instance: &InstanceReport, outcome: &Outcome, back: bool, seconds: f64) -> String {
    let name = &instance.name;
    match (outcome, back) {
        (Outcome::Asked, false) => {
            format!("{name}: lets others go first until `keepwatch failover {name} --back`; now {}\n", instance.state)
        }
        (Outcome::Asked, true) => format!("{name}: takes part as before; now {}\n", instance.state),
        (Outcome::Taken { by, priority }, false) => {
            format!("{name}: {by} took over (priority {priority}), seen after {}\n", span(seconds))
        }
        (Outcome::Taken { by, priority }, true) => {
            let why = if !instance.preempt {
                "this one does not preempt".to_owned()
            } else {
                format!("this one has {}", instance.priority.effective)
            };
            format!("{name}: {by} stays master (priority {priority}; {why})\n")
        }
        (Outcome::Ours, _) => format!("{name}: this router is master again after {}\n", span(seconds)),
        (Outcome::Nobody, _) => format!("{name}: nobody took over; this router is master\n"),
        (Outcome::Fault, _) => {
            let why = instance.faults.join("; ");
            format!("{name}: in fault{}{why}\n", if why.is_empty() { "" } else { ": " })
        }
        (Outcome::TimeUp, _) => {
            format!("{name}: still {} after {}, and no other master was heard\n", instance.state, span(seconds))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixture;
    use crate::report::MasterReport;

    fn instance(state: &str, since: f64, heard: Option<(f64, u8)>) -> InstanceReport {
        InstanceReport {
            state: state.to_owned(),
            since,
            master: heard.map(|(at, priority)| MasterReport { address: "10.0.0.2".to_owned(), priority, at: Some(at) }),
            ..fixture::vrrp().instances.swap_remove(0)
        }
    }

    fn seen(back: bool, story: &[InstanceReport]) -> Option<Outcome> {
        let mut watcher = Watcher { back, begun: 100.0, left: false };
        story.iter().find_map(|instance| watcher.sees(instance))
    }

    #[test]
    fn who_is_heard_after_the_resignation_took_over() {
        let story = [instance("master", 10.0, None), instance("backup", 100.1, Some((99.0, 100)))];
        assert_eq!(seen(false, &story), None, "that master was heard before");
        let after = [story[0].clone(), story[1].clone(), instance("backup", 100.1, Some((100.9, 100)))];
        let taken = Outcome::Taken { by: "10.0.0.2".to_owned(), priority: 100 };
        assert_eq!(seen(false, &after), Some(taken.clone()));
        assert!(taken.is_good(false) && !taken.is_good(true));
        let text = shown(&after[2], &taken, false, 0.9);
        assert_eq!(text, "VI_1: 10.0.0.2 took over (priority 100), seen after 900 ms\n");
    }

    #[test]
    fn one_that_comes_back_by_itself_was_left_alone() {
        let quick = [instance("master", 10.0, None), instance("master", 103.0, None)];
        assert_eq!(seen(false, &quick), Some(Outcome::Nobody), "not seen as backup in between");
        let watcher = Watcher { back: false, begun: 100.0, left: false };
        assert_eq!(watcher.gives_up(&quick[0]), Outcome::Nobody, "it has never left");
        assert_eq!(watcher.gives_up(&instance("backup", 101.0, None)), Outcome::TimeUp);
    }

    #[test]
    fn a_resignation_heard_of_another_is_no_master() {
        assert_eq!(seen(false, &[instance("backup", 100.1, Some((100.5, 0)))]), None);
    }

    #[test]
    fn back_ends_with_us_as_master_or_with_one_whom_we_do_not_preempt() {
        assert_eq!(
            seen(true, &[instance("backup", 10.0, Some((100.5, 100))), instance("master", 101.0, None)]),
            Some(Outcome::Ours)
        );
        let stronger = instance("backup", 10.0, Some((100.5, 200)));
        let stays = seen(true, std::slice::from_ref(&stronger)).unwrap();
        assert_eq!(
            shown(&stronger, &stays, true, 1.0),
            "VI_1: 10.0.0.2 stays master (priority 200; this one has 150)\n"
        );
        let polite = InstanceReport { preempt: false, ..instance("backup", 10.0, Some((100.5, 100))) };
        let stays = seen(true, std::slice::from_ref(&polite)).unwrap();
        assert_eq!(
            shown(&polite, &stays, true, 1.0),
            "VI_1: 10.0.0.2 stays master (priority 100; this one does not preempt)\n"
        );
    }
}
