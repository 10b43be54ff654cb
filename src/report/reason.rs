//! Why an instance is in its state, in one line with figures.

use super::vrrp::{awaited, master_down};
use super::words;
use crate::bus::rows::{InstanceRow, Reason, State};
use crate::export::Look;
use crate::vrrp::machine::OWNER;

/// `nothing was heard of the master for 3.6 s`.
pub(super) fn of(look: &Look, row: &InstanceRow) -> String {
    if row.state == State::Fault && !row.faults.is_empty() {
        return words::and(&row.faults);
    }
    let fixed = match row.reason {
        Reason::Startup if row.state == State::Init => {
            let awaited = awaited(look, row);
            if !awaited.is_empty() {
                return format!("it waits for the first word of {}", words::and(&awaited));
            }
            return match look.snapshot.global().map_or(0, |global| global.startup_delay_ns) {
                0 => "it is not started yet".to_owned(),
                ns => {
                    let delay = words::duration(std::time::Duration::from_nanos(ns));
                    format!("it waits for vrrp_startup_delay, {delay}")
                }
            };
        }
        Reason::Startup => "it was started",
        Reason::MasterNoResponse => return silence(row),
        Reason::MasterResigned => "the master resigned: it advertised priority 0",
        Reason::Preempted if row.effective_priority.get() == OWNER => "it owns the addresses: its priority is 255",
        Reason::Preempted => {
            return format!("a master of a lower priority was heard, and this router has {}", row.effective_priority);
        }
        Reason::HigherPriorityHeard => return better(row),
        Reason::InterfaceDown | Reason::SourceMissing | Reason::NoPeers if row.state == State::Fault => {
            match row.reason {
                Reason::SourceMissing => "there is no source address for adverts",
                Reason::NoPeers => "there are no unicast peers",
                _ => "an interface is not as required",
            }
        }
        Reason::InterfaceDown | Reason::InterfaceUp => "what held it in fault is over: its interfaces are as required",
        Reason::SourceMissing => "what held it in fault is over: there is a source address for adverts",
        Reason::NoPeers => "what held it in fault is over: there are unicast peers",
        Reason::Tracker if row.state == State::Fault => "something that it tracks is not as required",
        Reason::Tracker => "what held it in fault is over: what it tracks is as required",
        Reason::Commanded if row.stood_down.is_some() => "an operator lets other routers go first",
        Reason::Commanded => "an operator said so",
        Reason::Reload => "the configuration was reloaded",
        Reason::Shutdown => "the daemon stops",
        Reason::LateTimer => "the process woke up too late, and timer_expired_backup says to go back then",
        Reason::SyncGroup => {
            let group = row.config.sync_group.as_deref().unwrap_or("it had");
            let what = if row.state == State::Fault { "is in fault" } else { "changed its state" };
            return format!("another member of sync group {group} {what}");
        }
    };
    fixed.to_owned()
}

/// The silence that made it master. It is measured from the last advert, or from when the instance began to listen.
fn silence(row: &InstanceRow) -> String {
    let least = master_down(row);
    let measured = row.last_advert.filter(|last| *last <= row.since).map(|last| words::between(last, row.since));
    match measured.filter(|silence| *silence < least * 2) {
        Some(silence) => format!("nothing was heard of the master for {}", words::duration(silence)),
        None => format!("no other master was heard for {}", words::duration(least)),
    }
}

fn better(row: &InstanceRow) -> String {
    let own = row.effective_priority.get();
    match row.master {
        Some((address, priority)) if priority > own => {
            format!("{address} was heard with priority {priority}, and this router has {own}")
        }
        Some((address, priority)) if priority == own => {
            format!("{address} was heard with the same priority {own} and a higher address")
        }
        _ => "a better master was heard".to_owned(),
    }
}
