//! The bridge hears what became of scripts and mails. It is written to and never read from: whatever it says, and be it
//! that it is gone, ends the line. What it does not take is not kept for it.

use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;
use tracing::error;

use crate::bus::frame;
use crate::bus::timing::{Pulse, RunnerPulse};
use crate::clock::Instant;
use crate::sys::aio::{self, Owned};
use crate::sys::seqpacket::{Sent, Seqpacket};

/// The line to the bridge.
#[derive(Default)]
pub struct Teller {
    line: Option<Line>,
    due: Instant,
}

struct Line {
    socket: Seqpacket,
    ready: AsyncFd<Owned>,
}

impl Teller {
    /// A new bridge, which knows nothing and hears at once.
    pub fn meet(&mut self, fd: OwnedFd) {
        *self = Teller::default();
        match fd.try_clone().and_then(aio::register) {
            Ok(ready) => self.line = Some(Line { socket: Seqpacket::from_fd(fd), ready }),
            Err(error) => error!("cannot watch the bridge process's socket: {error}"),
        }
    }

    pub fn part(&mut self) {
        *self = Teller::default();
    }

    /// Waits until the bridge has said something or has gone, which is the same: [`Self::part`].
    pub async fn spoken_to(&self) {
        match &self.line {
            Some(line) => aio::readable(&line.ready).await,
            None => std::future::pending().await,
        }
    }

    /// When to call [`Self::tell`].
    pub fn deadline(&self) -> Option<Instant> {
        self.line.is_some().then_some(self.due)
    }

    /// Tells, when it is time. It is a sign of life as well: without news, too.
    pub fn tell(&mut self, now: Instant, pulse: impl FnOnce() -> RunnerPulse) {
        let Some(line) = self.line.as_ref().filter(|_| self.due <= now) else { return };
        self.due = now + Pulse::EVERY;
        match frame::encode(&pulse()).map(|bytes| line.socket.send(&bytes, &[])) {
            // One that does not read gets what is the latest when there is room.
            Ok(Ok(Sent::Yes | Sent::Full)) => {}
            Ok(Ok(Sent::Gone) | Err(_)) => self.part(),
            Err(error) => error!("cannot speak to the bridge process: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::timing::Deliveries;
    use crate::clock::WallTime;
    use crate::sys::seqpacket::{FRAME_MAX, Received};

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn pulse(ms: u64, sent: u64) -> RunnerPulse {
        let scripts = Deliveries { sent, ..Deliveries::default() };
        RunnerPulse { at: WallTime(ms), scripts, ..RunnerPulse::default() }
    }

    fn met() -> (Teller, Seqpacket) {
        let (ours, theirs) = Seqpacket::pair().unwrap();
        let mut teller = Teller::default();
        teller.meet(theirs.into_fd());
        (teller, ours)
    }

    fn heard(bridge: &Seqpacket) -> Vec<RunnerPulse> {
        let (mut all, mut buffer) = (vec![], vec![0; FRAME_MAX]);
        while let Received::Frame(length, _) = bridge.receive(&mut buffer).unwrap() {
            all.extend(frame::decode::<RunnerPulse>(&buffer[..length]).unwrap());
        }
        all
    }

    #[tokio::test]
    async fn a_bridge_hears_at_once_and_then_every_two_seconds() {
        let (mut teller, bridge) = met();
        assert_eq!(teller.deadline(), Some(at(0)));
        let mut told = vec![];
        for ms in (0..=6_000).step_by(500) {
            // One script ends after 2.5 s.
            teller.tell(at(ms), || pulse(ms, u64::from(ms >= 2_500)));
            told.extend(heard(&bridge).into_iter().map(|it| (it.at.0, it.scripts.sent)));
        }
        assert_eq!(told, [(0, 0), (2_000, 0), (4_000, 1), (6_000, 1)]);
        assert_eq!(teller.deadline(), Some(at(8_000)));
    }

    #[tokio::test]
    async fn a_bridge_that_does_not_read_gets_the_latest_when_it_does() {
        let (mut teller, bridge) = met();
        let mut ms = 0;
        for sent in 0..5_000 {
            teller.tell(at(ms), || pulse(ms, sent));
            ms += 2_000;
        }
        let first = heard(&bridge);
        assert!(first.len() < 5_000, "the socket takes so much and no more");
        teller.tell(at(ms), || pulse(ms, 5_000));
        assert_eq!(heard(&bridge), [pulse(ms, 5_000)]);
    }

    #[tokio::test]
    async fn a_bridge_that_speaks_or_goes_is_parted_with() {
        for speaks in [true, false] {
            let (mut teller, bridge) = met();
            let bridge = if speaks {
                bridge.send(b"run this", &[]).unwrap();
                Some(bridge)
            } else {
                drop(bridge);
                None
            };
            teller.spoken_to().await;
            teller.part();
            assert_eq!(teller.deadline(), None);
            teller.tell(at(0), || panic!("nobody is told"));
            if let Some(bridge) = bridge {
                let end = bridge.receive(&mut vec![0; FRAME_MAX]);
                assert!(matches!(end, Ok(Received::Gone)), "{end:?}");
            }
        }
    }
}
