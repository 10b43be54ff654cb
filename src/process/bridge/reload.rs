//! Operators who want the configuration read again, until they have an answer.

use tokio::sync::oneshot;
use tracing::{error, info};

use super::Bridge;
use crate::export::look::{Daemon, ReloadReport};
use crate::process::lifecycle::{ChannelError, ToSupervisor};

/// Who waits at most, besides those who gave up: each is a connection to the control socket.
const WAITING_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Reloads {
    /// Requests made of the supervisor; it counts them as well.
    made: u64,
    /// With the number of the request.
    waiting: Vec<(u64, oneshot::Sender<ReloadReport>)>,
}

impl Reloads {
    /// The number of one more request, unless too many wait.
    fn ask(&mut self, tell: oneshot::Sender<ReloadReport>) -> bool {
        self.waiting.retain(|(_, tell)| !tell.is_closed());
        if self.waiting.len() >= WAITING_MAX {
            return false;
        }
        self.made += 1;
        self.waiting.push((self.made, tell));
        true
    }

    /// The last one hears of it by its dropped sender; one that was not made has no number, or ours would run ahead of the
    /// supervisor's.
    fn drop_last(&mut self, made: bool) {
        self.waiting.pop();
        self.made -= u64::from(!made);
    }

    /// Answers those whose attempt was refused, or has come into force everywhere.
    pub(super) fn told(&mut self, daemon: &Daemon) {
        let reloads = &daemon.reloads;
        if reloads.successful && !daemon.all_ready {
            return;
        }
        let answered = reloads.answered;
        for (_, tell) in self.waiting.extract_if(.., |(number, _)| *number <= answered) {
            // One that has gone meanwhile needs no answer.
            let _ = tell.send(reloads.clone());
        }
    }
}

impl Bridge {
    /// A dropped sender is the answer to one too many.
    pub(super) fn reload(&mut self, tell: oneshot::Sender<ReloadReport>) {
        info!("a reload is asked for over the control socket");
        self.ask_for_reload(&ToSupervisor::Reload, tell);
    }

    /// What was read for the plan of this number comes into force. False if it cannot be asked for.
    pub(super) fn reload_as_planned(&mut self, number: u64, tell: oneshot::Sender<ReloadReport>) -> bool {
        self.ask_for_reload(&ToSupervisor::Settle { number, apply: true }, tell)
    }

    fn ask_for_reload(&mut self, message: &ToSupervisor, tell: oneshot::Sender<ReloadReport>) -> bool {
        if !self.reloads.ask(tell) {
            return false;
        }
        if let Err(error) = self.channel.send(message, None) {
            error!("the supervisor cannot be asked for a reload: {error}");
            // What has been queued may still be counted by the supervisor.
            let queued = matches!(error, ChannelError::Gone | ChannelError::Io(_));
            self.reloads.drop_last(queued);
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(answered: u64, successful: bool, all_ready: bool) -> Daemon {
        Daemon {
            reloads: ReloadReport { answered, successful, ..ReloadReport::default() },
            all_ready,
            ..Daemon::default()
        }
    }

    #[test]
    fn an_operator_hears_of_his_own_attempt_when_it_is_refused_or_in_force_everywhere() {
        let mut reloads = Reloads::default();
        let (tell, mut first) = oneshot::channel();
        assert!(reloads.ask(tell));
        let (tell, mut second) = oneshot::channel();
        assert!(reloads.ask(tell));
        for early in [daemon(0, false, true), daemon(0, true, true), daemon(2, true, false)] {
            reloads.told(&early);
            assert!(first.try_recv().is_err());
        }
        reloads.told(&daemon(1, false, true));
        assert!(!first.try_recv().unwrap().successful);
        assert!(second.try_recv().is_err(), "the file was read before this one asked");
        reloads.told(&daemon(2, true, true));
        assert!(second.try_recv().unwrap().successful);
    }

    #[test]
    fn those_who_wait_are_bounded_and_who_gave_up_makes_room() {
        let mut reloads = Reloads::default();
        let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| oneshot::channel()).collect();
        let told: Vec<_> = waiting
            .drain(..)
            .map(|(tell, told)| {
                assert!(reloads.ask(tell));
                told
            })
            .collect();
        assert!(!reloads.ask(oneshot::channel().0));
        drop(told);
        let (tell, _told) = oneshot::channel();
        assert!(reloads.ask(tell));
    }
}
