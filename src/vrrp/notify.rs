//! Who is told of a state: notify scripts, the FIFOs and mail, of instances and of sync groups.
//!
//! The order is Keepalived's: of one thing the script for its state, then `notify`, then the FIFOs, then the mail; of a sync
//! group that follows a member, the member that moved first, the others, the group. All of that becomes [`Errand`]s, which
//! the runner does in its own time. Scripts for single states and `notify` are in two lanes: neither overtakes itself, and
//! a slow `notify_master` does not keep back what `notify` reports.

use std::time::Duration;

use super::engine::{Engine, Slot};
use super::io::{Errand, Output};
use super::machine::Transition;
use crate::bus::rows::{Reason, State};
use crate::bus::run::Fifo;
use crate::clock::Instant;
use crate::conf::model::{Global, Notify, Script, SyncGroup};

/// An instance or a sync group, as scripts and readers of FIFOs know it.
struct Subject<'a> {
    /// `INSTANCE` or `GROUP`.
    kind: &'static str,
    name: &'a str,
    /// Groups have none and say 0.
    priority: u8,
    notify: &'a Notify,
    smtp_alert: bool,
    /// The number that its lanes are made of.
    place: u64,
    mailed: Option<State>,
}

/// Scripts of one lane run one after the other.
#[derive(Debug, Clone, Copy)]
enum Lane {
    /// `notify_master` and its like.
    State = 0,
    /// `notify`.
    Any = 1,
    /// `notify_master_rx_lower_pri`.
    Weaker = 2,
}

/// Groups are numbered from here.
const GROUPS: u64 = 1 << 40;

impl Engine {
    /// An instance entered a state.
    pub(super) fn tell_instance(&mut self, slot: Slot, transition: Transition, out: &mut Vec<Output>) {
        let Some(router) = self.router(slot) else { return };
        let subject = Subject {
            kind: "INSTANCE",
            name: &router.config.name.0,
            priority: router.machine.priority(),
            notify: &router.config.notify,
            smtp_alert: router.config.smtp_alert,
            place: u64::from(slot),
            mailed: router.mailed,
        };
        // Like Keepalived: one that left the configuration is no fault that `notify_fault` could do something about.
        let quiet = transition.to == State::Fault && transition.reason == Reason::Reload;
        let mailed = subject.tell(transition.to, quiet, &self.global, out);
        if let Some(router) = self.router_mut(slot) {
            router.mailed = mailed;
        }
    }

    /// A sync group entered a state.
    pub(super) fn tell_group(&mut self, at: usize, to: State, out: &mut Vec<Output>) {
        let Some(group) = self.groups.get(at) else { return };
        let subject = Subject {
            kind: "GROUP",
            name: &group.config.name,
            priority: 0,
            notify: &group.config.notify,
            smtp_alert: group.config.smtp_alert,
            place: GROUPS + at as u64,
            mailed: group.mailed,
        };
        let mailed = subject.tell(to, false, &self.global, out);
        if let Some(group) = self.groups.get_mut(at) {
            group.mailed = mailed;
        }
    }

    /// Groups that leave the configuration and have `notify_deleted`, which the manual page describes for groups, too.
    pub(super) fn delete_groups(&mut self, new: &[SyncGroup], out: &mut Vec<Output>) {
        for at in 0..self.groups.len() {
            let leaves = |group: &&super::group::Group| {
                let stays = new.iter().any(|other| other.name == group.config.name);
                !stays && group.config.notify.deleted && group.state != State::Init
            };
            if self.groups.get(at).filter(leaves).is_some() {
                self.tell_group(at, State::Deleted, out);
            }
        }
    }

    /// An instance's priority in the election changed.
    pub(super) fn tell_priority(&self, slot: Slot, out: &mut Vec<Output>) {
        let Some(router) = self.router(slot).filter(|router| router.config.notify.priority_changes) else { return };
        let state = if router.machine.is_master() { "MASTER_PRIORITY" } else { "BACKUP_PRIORITY" };
        line(&self.global, "INSTANCE", &router.config.name.0, state, router.machine.priority(), out);
    }

    /// A master hears somebody weaker. Told once for each advert, and not more often than such a router has to send them,
    /// so that nobody on the link decides how often a script runs.
    pub(super) fn tell_weaker(&mut self, slot: Slot, now: Instant, out: &mut Vec<Output>) {
        let Some(router) = self.router_mut(slot) else { return };
        if now < router.weaker_told_until {
            return;
        }
        router.weaker_told_until = now + (router.config.advert_interval / 2).max(WEAKER_PAUSE);
        let Some(router) = self.router(slot) else { return };
        if let Some(script) = &router.config.notify.master_rx_lower_pri {
            out.push(run(script, u64::from(slot), Lane::Weaker, Vec::new()));
        }
        let (name, priority) = (&router.config.name.0, router.machine.priority());
        line(&self.global, "INSTANCE", name, "MASTER_RX_LOWER_PRI", priority, out);
    }

    /// `fifo_write_vrrp_states_on_reload`: groups, then the instances that were there before.
    pub(super) fn tell_states_again(&self, kept: &[Slot], out: &mut Vec<Output>) {
        if !self.global.fifos.states_on_reload {
            return;
        }
        for group in &self.groups {
            if let Some(state) = word(group.state) {
                line(&self.global, "GROUP", &group.config.name, state, 0, out);
            }
        }
        for router in kept.iter().filter_map(|slot| self.router(*slot)) {
            if let Some(state) = word(router.machine.state()) {
                line(&self.global, "INSTANCE", &router.config.name.0, state, router.machine.priority(), out);
            }
        }
    }
}

/// The shortest time between two runs of `notify_master_rx_lower_pri`.
const WEAKER_PAUSE: Duration = Duration::from_millis(100);

impl Subject<'_> {
    /// Returns the state that was mailed last.
    fn tell(&self, to: State, quiet: bool, global: &Global, out: &mut Vec<Output>) -> Option<State> {
        let Some(state) = word(to) else { return self.mailed };
        let notify = self.notify;
        let special = match to {
            State::Master => &notify.master,
            State::Backup => &notify.backup,
            State::Fault => &notify.fault,
            State::Shutdown => &notify.stop,
            State::Deleted => &notify.deleted_script,
            State::Init => &None,
        };
        if let Some(script) = special.as_ref().filter(|_| !quiet) {
            out.push(run(script, self.place, Lane::State, Vec::new()));
        }
        if let Some(script) = &notify.any {
            let arguments = [self.kind, self.name, state, &self.priority.to_string()];
            out.push(run(script, self.place, Lane::Any, arguments.map(str::to_owned).to_vec()));
        }
        line(global, self.kind, self.name, state, self.priority, out);
        self.mail(to, global, out)
    }

    /// A state is mailed once: one that was left for a state that is not mailed, and entered again, is no news.
    fn mail(&self, to: State, global: &Global, out: &mut Vec<Output>) -> Option<State> {
        let mail = &global.mail;
        let wanted = self.smtp_alert && self.mailed != Some(to) && (mail.faults || to != State::Fault);
        if !wanted || mail.server.is_none() || mail.to.is_empty() {
            return self.mailed;
        }
        let group = self.kind == "GROUP";
        let (what, body) = match to {
            State::Init | State::Shutdown => return self.mailed,
            State::Deleted => ("Deleted".to_owned(), "VRRP Deleted at reload".to_owned()),
            _ => {
                let state = to.name();
                let body = match to {
                    _ if group => format!("All VRRP group instances are now in {state} state"),
                    State::Master => "VRRP Instance is now owning VRRP VIPs".to_owned(),
                    _ => "VRRP Instance is no longer owning VRRP VIPs".to_owned(),
                };
                (format!("Entering {state} state"), body)
            }
        };
        let kind = if group { "Group" } else { "Instance" };
        let subject = format!("[{}] VRRP {kind} {} - {what}", global.router_id, self.name);
        out.push(Output::Errand(Errand::Mail { subject, body: format!("=> {body} <=") }));
        Some(to)
    }
}

/// States as scripts and readers of FIFOs know them.
fn word(state: State) -> Option<&'static str> {
    Some(match state {
        State::Init => return None,
        State::Backup => "BACKUP",
        State::Master => "MASTER",
        State::Fault => "FAULT",
        State::Shutdown => "STOP",
        State::Deleted => "DELETED",
    })
}

fn run(script: &Script, place: u64, lane: Lane, arguments: Vec<String>) -> Output {
    Output::Errand(Errand::Script { script: script.id, lane: place << 2 | lane as u64, arguments })
}

/// One line for each FIFO that hears of VRRP.
fn line(global: &Global, kind: &str, name: &str, state: &str, priority: u8, out: &mut Vec<Output>) {
    let fifos = [(Fifo::Both, &global.fifos.both), (Fifo::Vrrp, &global.fifos.vrrp)];
    for (fifo, _) in fifos.into_iter().filter(|(_, configured)| configured.is_some()) {
        let text = format!("{kind} \"{name}\" {state} {priority}");
        out.push(Output::Errand(Errand::Line { fifo, text }));
    }
}
