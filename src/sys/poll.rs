//! Waiting: an epoll set and a timer with nanoseconds. Used by processes that must not be late (vrrp) or must stay
//! small (supervisor); the others use tokio.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::clock::Instant;

/// What a caller wants to be told by; chosen by the caller, opaque here.
pub type Token = u64;

/// A descriptor became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    pub token: Token,
    pub readable: bool,
    pub writable: bool,
    /// Error or hang-up: read to learn which.
    pub broken: bool,
}

/// An epoll set with one timer.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    timer: TimerFd,
    armed: Option<Instant>,
    events: Vec<EpollEvent>,
}

const TIMER: Token = Token::MAX;

impl Poller {
    pub fn new() -> io::Result<Poller> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        epoll.add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        Ok(Poller { epoll, timer, armed: None, events: vec![EpollEvent::empty(); 64] })
    }

    /// Watches for input, and for room to write when `write` is set. Level-triggered.
    pub fn add(&self, fd: impl AsFd, token: Token, write: bool) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(flags(write), token))?)
    }

    pub fn modify(&self, fd: impl AsFd, token: Token, write: bool) -> io::Result<()> {
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(flags(write), token))?)
    }

    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Sleeps until a descriptor is ready or `deadline` is reached. The timer is only touched when it changes.
    pub fn wait(&mut self, deadline: Option<Instant>, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        if deadline != self.armed {
            match deadline {
                Some(at) => {
                    let nanos = at.nanos().max(1);
                    let spec = TimeSpec::new(
                        i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX),
                        i64::try_from(nanos % 1_000_000_000).unwrap_or(0),
                    );
                    self.timer.set(Expiration::OneShot(spec), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
                }
                None => self.timer.unset()?,
            }
            self.armed = deadline;
        }
        self.collect(EpollTimeout::NONE, ready)
    }

    /// What is ready now, without sleeping; some of it, if it is much.
    pub fn look(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        self.collect(EpollTimeout::ZERO, ready)
    }

    fn collect(&mut self, timeout: EpollTimeout, ready: &mut Vec<Ready>) -> io::Result<()> {
        let count = match self.epoll.wait(&mut self.events, timeout) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in self.events.iter().take(count) {
            if event.data() == TIMER {
                // Fired: the next wait must arm it again, even for the same deadline.
                let mut ticks = [0; 8];
                let _ = nix::unistd::read(self.timer.as_fd(), &mut ticks);
                self.armed = None;
                continue;
            }
            let flags = event.events();
            ready.push(Ready {
                token: event.data(),
                readable: flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR),
                writable: flags.contains(EpollFlags::EPOLLOUT),
                broken: flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR),
            });
        }
        Ok(())
    }
}

fn flags(write: bool) -> EpollFlags {
    if write { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN }
}

/// Signals as a descriptor, so that a loop hears of them in order with everything else.
#[derive(Debug)]
pub struct Signals(nix::sys::signalfd::SignalFd);

impl Signals {
    /// Blocks `signals` for this thread and its children until they unblock them, and queues them here.
    pub fn new(signals: &[i32]) -> io::Result<Signals> {
        let mut set = nix::sys::signal::SigSet::empty();
        // nix has no real-time signals in its enumeration; the mask is a plain set of numbers.
        let mut raw: libc::sigset_t = *set.as_ref();
        for &signal in signals {
            // SAFETY: `raw` is an initialised signal set; an invalid number is an error return, not undefined.
            unsafe { libc::sigaddset(&mut raw, signal) };
        }
        // SAFETY: `raw` was initialised by sigemptyset above and changed only by sigaddset.
        set = unsafe { nix::sys::signal::SigSet::from_sigset_t_unchecked(raw) };
        set.thread_block()?;
        let fd = nix::sys::signalfd::SignalFd::with_flags(
            &set,
            nix::sys::signalfd::SfdFlags::SFD_CLOEXEC | nix::sys::signalfd::SfdFlags::SFD_NONBLOCK,
        )?;
        Ok(Signals(fd))
    }

    /// The next queued signal number, or `None`.
    pub fn take(&mut self) -> io::Result<Option<i32>> {
        Ok(self.0.read_signal()?.map(|info| i32::try_from(info.ssi_signo).unwrap_or(0)))
    }

    pub fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Gives a spawned process the default signal mask and dispositions: blocked signals are inherited through exec.
pub fn unblock_signals() {
    let _ = nix::sys::signal::SigSet::all().thread_unblock();
}

/// Sets a descriptor's `O_NONBLOCK`.
pub fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
