//! Operators who want the configuration read again, until they have an answer.

use tokio::sync::oneshot;
use tracing::{error, info};

use super::Bridge;
use crate::export::look::ReloadReport;
use crate::process::lifecycle::ToSupervisor;

/// Who waits at most, besides those who gave up: each is a connection to the control socket.
const WAITING_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Reloads {
    /// The number of the last request.
    made: u64,
    /// With the number of the request.
    waiting: Vec<(u64, oneshot::Sender<ReloadReport>)>,
}

impl Reloads {
    /// The number of one more request, unless too many wait.
    fn ask(&mut self, tell: oneshot::Sender<ReloadReport>) -> Option<u64> {
        self.waiting.retain(|(_, tell)| !tell.is_closed());
        if self.waiting.len() >= WAITING_MAX {
            return None;
        }
        self.made += 1;
        self.waiting.push((self.made, tell));
        Some(self.made)
    }

    /// Answers those whose file was refused, or has come into force everywhere.
    pub(super) fn told(&mut self, requests: &[u64], reload: &ReloadReport) {
        for (_, tell) in self.waiting.extract_if(.., |(number, _)| requests.contains(number)) {
            // One that has gone meanwhile needs no answer.
            let _ = tell.send(reload.clone());
        }
    }
}

impl Bridge {
    /// A dropped sender is the answer to one too many.
    pub(super) fn reload(&mut self, tell: oneshot::Sender<ReloadReport>) {
        info!("a reload is asked for over the control socket");
        self.ask_for_reload(|request| ToSupervisor::Reload { request }, tell);
    }

    /// What was read for the plan of this number comes into force. False if it cannot be asked for.
    pub(super) fn reload_as_planned(&mut self, number: u64, tell: oneshot::Sender<ReloadReport>) -> bool {
        self.ask_for_reload(|request| ToSupervisor::Settle { number, request: Some(request) }, tell)
    }

    fn ask_for_reload(
        &mut self,
        message: impl FnOnce(u64) -> ToSupervisor,
        tell: oneshot::Sender<ReloadReport>,
    ) -> bool {
        let Some(request) = self.reloads.ask(tell) else { return false };
        if let Err(error) = self.channel.send(&message(request), None) {
            error!("the supervisor cannot be asked for a reload: {error}");
            self.reloads.waiting.pop();
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_hears_what_became_of_his_own_request_and_of_no_other() {
        let mut reloads = Reloads::default();
        let mut ask = || {
            let (tell, told) = oneshot::channel();
            (reloads.ask(tell).unwrap(), told)
        };
        let ((first, mut one), (second, mut two), (third, mut three)) = (ask(), ask(), ask());
        let became = |successful| ReloadReport { successful, ..ReloadReport::default() };
        reloads.told(&[second], &became(false));
        assert!(!two.try_recv().unwrap().successful);
        assert!(one.try_recv().is_err() && three.try_recv().is_err());
        reloads.told(&[second, 99], &became(true));
        reloads.told(&[third, first], &became(true));
        assert!(one.try_recv().unwrap().successful && three.try_recv().unwrap().successful);
    }

    #[test]
    fn those_who_wait_are_bounded_and_who_gave_up_makes_room() {
        let mut reloads = Reloads::default();
        let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| oneshot::channel()).collect();
        let told: Vec<_> = waiting
            .drain(..)
            .map(|(tell, told)| {
                assert!(reloads.ask(tell).is_some());
                told
            })
            .collect();
        assert!(reloads.ask(oneshot::channel().0).is_none());
        drop(told);
        let (tell, _told) = oneshot::channel();
        assert!(reloads.ask(tell).is_some());
    }
}
