//! What the runner says of scripts and mails. Nothing is ever said to it: it would hang up.

use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;
use tracing::error;

use crate::bus::frame;
use crate::bus::timing::{Deliveries, Logged, RunnerPulse};
use crate::clock::{self, Instant};
use crate::sys::aio::{self, Owned};
use crate::sys::seqpacket::{FRAME_MAX, Received, Seqpacket};

/// Frames read in one go; then others have their turn.
const FRAMES_PER_TURN: usize = 16;

/// The line from the runner, and what was heard last.
#[derive(Default)]
pub(super) struct Runner {
    line: Option<Line>,
    /// Counts of the processes before this one.
    before: RunnerPulse,
    last: Option<RunnerPulse>,
    heard: Option<Instant>,
}

struct Line {
    socket: Seqpacket,
    ready: AsyncFd<Owned>,
    buffer: Vec<u8>,
}

impl Runner {
    /// A new process, which counts from zero. What its predecessor had waiting went with it.
    pub(super) fn meet(&mut self, fd: OwnedFd) {
        // What it said last may still be there.
        self.read();
        let shown = self.shown();
        match fd.try_clone().and_then(aio::register) {
            Ok(ready) => {
                let buffer = vec![0; FRAME_MAX];
                self.line = Some(Line { socket: Seqpacket::from_fd(fd), ready, buffer });
            }
            Err(error) => {
                error!("cannot watch the runner process's socket: {error}");
                self.line = None;
            }
        }
        if let Some(shown) = shown {
            self.before = shown;
            self.last = Some(RunnerPulse { at: shown.at, ..RunnerPulse::default() });
        }
    }

    pub(super) async fn readable(&self) {
        match &self.line {
            Some(line) => aio::readable(&line.ready).await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn read(&mut self) {
        for _ in 0..FRAMES_PER_TURN {
            let Some(line) = &mut self.line else { return };
            match line.socket.receive(&mut line.buffer) {
                Ok(Received::Nothing) => return aio::drained(&line.ready),
                Ok(Received::Frame(length, _)) => {
                    match frame::decode::<RunnerPulse>(line.buffer.get(..length).unwrap_or_default()) {
                        Ok(pulses) => {
                            self.last = pulses.last().copied().or(self.last);
                            self.heard = Some(clock::now());
                        }
                        Err(error) => {
                            error!("the runner process cannot be understood: {error}");
                            self.line = None;
                        }
                    }
                }
                // What it has done stays done.
                Ok(Received::Gone) | Err(_) => self.line = None,
            }
        }
    }

    /// When one has last told that it is well.
    pub(super) fn heard(&self) -> Option<Instant> {
        self.heard
    }

    /// All runners of this daemon together; `None` until one has spoken.
    pub(super) fn shown(&self) -> Option<RunnerPulse> {
        self.last.map(|last| RunnerPulse {
            at: last.at,
            scripts: together(&self.before.scripts, &last.scripts),
            mails: together(&self.before.mails, &last.mails),
            fifos: together(&self.before.fifos, &last.fifos),
            logged: Logged {
                error: self.before.logged.error.saturating_add(last.logged.error),
                warning: self.before.logged.warning.saturating_add(last.logged.warning),
                info: self.before.logged.info.saturating_add(last.logged.info),
                debug: self.before.logged.debug.saturating_add(last.logged.debug),
                lost: self.before.logged.lost.saturating_add(last.logged.lost),
            },
        })
    }
}

fn together(before: &Deliveries, now: &Deliveries) -> Deliveries {
    Deliveries {
        sent: before.sent.saturating_add(now.sent),
        failed: before.failed.saturating_add(now.failed),
        timeout: before.timeout.saturating_add(now.timeout),
        dropped: before.dropped.saturating_add(now.dropped),
        waiting: now.waiting,
    }
}
