//! One session: state machine, timers and what is sent (RFC 5880 section 6).
//!
//! The caller has found out that a packet is for this session and that its TTL is good.

use std::time::Duration;

use super::random::Random;
use crate::bus::bfd::BfdCounters;
use crate::clock::Instant;
use crate::conf::model::BfdSession;
use crate::wire::bfd::{Diagnostic, Packet, State};

/// What the neighbour has said of itself last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    pub state: State,
    pub diagnostic: Diagnostic,
    /// 0: not known.
    pub discriminator: u32,
    pub multiplier: u8,
    pub desired_min_tx_us: u32,
    /// 0: it wants no periodic packets.
    pub required_min_rx_us: u32,
    pub demand: bool,
}

impl Remote {
    /// Of a neighbour that was not heard of (section 6.8.1).
    const UNKNOWN: Remote = Remote {
        state: State::Down,
        diagnostic: Diagnostic::NONE,
        discriminator: 0,
        multiplier: 0,
        desired_min_tx_us: 0,
        required_min_rx_us: 1,
        demand: false,
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Send(Packet),
    Entered {
        from: State,
        to: State,
    },
    /// Nothing was heard for `detection`, and this was noticed `late` after that.
    Expired {
        detection: Duration,
        late: Duration,
    },
}

#[derive(Debug)]
pub struct Session {
    config: BfdSession,
    discriminator: u32,
    random: Random,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    /// A poll sequence is under way (section 6.5).
    polling: bool,
    /// The interval to send at and the one to expect: the configured ones, but for changes that wait for the end of a poll
    /// sequence (section 6.8.3).
    tx_us: u32,
    rx_us: u32,
    /// The last packet that was no answer to a poll.
    sent_at: Option<Instant>,
    /// When to send the next periodic packet, and the interval that this was reckoned with; `None`: none is sent.
    next: Option<(Instant, u64)>,
    /// When the neighbour was heard last; `None` once its discriminator is forgotten.
    heard_at: Option<Instant>,
    pub counters: BfdCounters,
}

impl Session {
    /// Begins in Down. An active session sends at once: see [`deadline`](Self::deadline).
    pub fn new(config: &BfdSession, discriminator: u32, random: Random, now: Instant) -> Session {
        let mut session = Session {
            config: config.clone(),
            discriminator,
            random,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            remote: Remote::UNKNOWN,
            polling: false,
            tx_us: config.idle_tx_us,
            rx_us: config.min_rx_us,
            sent_at: None,
            next: None,
            heard_at: None,
            counters: BfdCounters::default(),
        };
        session.plan(now);
        session
    }

    pub fn config(&self) -> &BfdSession {
        &self.config
    }

    pub fn discriminator(&self) -> u32 {
        self.discriminator
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    pub fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// When to call [`wake`](Self::wake) if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let send = self.next.map(|(at, _)| at);
        [send, self.expires_at()].into_iter().flatten().min()
    }

    /// How often packets go, jitter aside, microseconds: as often as both ends can bear (section 6.8.2).
    pub fn interval_us(&self) -> u64 {
        u64::from(self.tx_us.max(self.remote.required_min_rx_us))
    }

    /// Silence after which the neighbour is taken for lost, microseconds; 0 as long as it was not heard (section 6.8.4).
    pub fn detection_us(&self) -> u64 {
        u64::from(self.remote.multiplier) * u64::from(self.rx_us.max(self.remote.desired_min_tx_us))
    }

    fn expires_at(&self) -> Option<Instant> {
        Some(self.heard_at? + Duration::from_micros(self.detection_us()))
    }

    /// Takes in a packet of the neighbour (section 6.8.6, from where the session is known).
    pub fn hear(&mut self, packet: &Packet, now: Instant, out: &mut Vec<Action>) {
        if self.state == State::AdminDown {
            return;
        }
        self.counters.received += 1;
        self.heard_at = Some(now);
        self.remote = Remote {
            state: packet.state,
            diagnostic: packet.diagnostic,
            discriminator: packet.mine,
            multiplier: packet.multiplier,
            desired_min_tx_us: packet.desired_min_tx_us,
            required_min_rx_us: packet.required_min_rx_us,
            demand: packet.demand,
        };
        if packet.finish && self.polling {
            self.polling = false;
            (self.tx_us, self.rx_us) = (self.desired_min_tx_us(), self.config.min_rx_us);
        }
        let entered = match (self.state, packet.state) {
            (State::Up | State::Init, State::AdminDown) | (State::Up, State::Down) => {
                Some((State::Down, Diagnostic::NEIGHBOUR_SIGNALED_DOWN))
            }
            (State::Down, State::Down) => Some((State::Init, Diagnostic::NONE)),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => Some((State::Up, Diagnostic::NONE)),
            (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up)
            | (State::AdminDown, _) => None,
        };
        if let Some((state, diagnostic)) = entered {
            self.enter(state, diagnostic, out);
        }
        if packet.poll {
            // An answer to a poll has its own time (section 6.8.7); the periodic packets keep theirs.
            self.push(true, out);
        } else if entered.is_some() && self.transmits() {
            self.send(now, out);
        }
        self.plan(now);
    }

    /// Time passed: does what is due.
    pub fn wake(&mut self, now: Instant, out: &mut Vec<Action>) {
        if let Some(at) = self.expires_at().filter(|at| *at <= now) {
            let detection = Duration::from_micros(self.detection_us());
            let was = self.state;
            self.heard_at = None;
            self.remote = Remote { diagnostic: self.remote.diagnostic, ..Remote::UNKNOWN };
            if matches!(was, State::Init | State::Up) {
                self.counters.expired += 1;
                out.push(Action::Expired { detection, late: now.since(at) });
                self.enter(State::Down, Diagnostic::DETECTION_TIME_EXPIRED, out);
                if self.transmits() {
                    self.send(now, out);
                }
            }
        }
        if self.next.is_some_and(|(at, _)| at <= now) && self.transmits() {
            self.send(now, out);
        }
        self.plan(now);
    }

    /// Goes down on purpose, and says so (section 6.8.16).
    pub fn stop(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.state == State::AdminDown {
            return;
        }
        let known = self.transmits();
        self.enter(State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN, out);
        if known {
            self.send(now, out);
        }
        self.next = None;
        self.heard_at = None;
    }

    /// Another configuration of the same session. Intervals change as section 6.8.3 wants it: nobody is surprised by a
    /// slower sender or a shorter patience before the neighbour has confirmed that it knows.
    pub fn configure(&mut self, config: &BfdSession, now: Instant) {
        let before = (self.config.min_tx_us, self.config.min_rx_us);
        self.config = config.clone();
        let desired = self.desired_min_tx_us();
        if self.state == State::Up && before != (config.min_tx_us, config.min_rx_us) {
            self.polling = true;
            self.tx_us = self.tx_us.min(desired);
            self.rx_us = self.rx_us.max(config.min_rx_us);
        } else if self.state != State::Up {
            (self.tx_us, self.rx_us) = (desired, config.min_rx_us);
        }
        self.plan(now);
    }

    /// Not more often than once a second, unless the session is up (section 6.8.3).
    fn desired_min_tx_us(&self) -> u32 {
        if self.state == State::Up { self.config.min_tx_us } else { self.config.idle_tx_us }
    }

    fn enter(&mut self, state: State, diagnostic: Diagnostic, out: &mut Vec<Action>) {
        let from = std::mem::replace(&mut self.state, state);
        self.diagnostic = diagnostic;
        // The neighbour has to confirm the faster pace; in the other states nobody has to know.
        self.polling = state == State::Up;
        (self.tx_us, self.rx_us) = (self.desired_min_tx_us(), self.config.min_rx_us);
        match (from, state) {
            (_, State::Up) => self.counters.went_up += 1,
            (State::Up, _) => self.counters.went_down += 1,
            _ => {}
        }
        out.push(Action::Entered { from, to: state });
    }

    /// Whether periodic packets are sent (section 6.8.7).
    fn transmits(&self) -> bool {
        let waits = self.config.passive && self.remote.discriminator == 0;
        let both_up = self.state == State::Up && self.remote.state == State::Up;
        let quiet = self.remote.demand && both_up && !self.polling;
        self.state != State::AdminDown && !waits && !quiet && self.remote.required_min_rx_us != 0
    }

    /// A periodic packet, or one that tells of a new state without waiting for its time.
    fn send(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.push(false, out);
        self.sent_at = Some(now);
        self.next = None;
    }

    fn push(&mut self, finish: bool, out: &mut Vec<Action>) {
        self.counters.sent += 1;
        out.push(Action::Send(Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.polling && !finish,
            finish,
            demand: false,
            multiplier: self.config.multiplier,
            mine: self.discriminator,
            yours: self.remote.discriminator,
            desired_min_tx_us: self.desired_min_tx_us(),
            required_min_rx_us: self.config.min_rx_us,
            required_min_echo_rx_us: 0,
        }));
    }

    /// Makes the time of the next packet true: it stays as it was chosen unless the interval is another one.
    fn plan(&mut self, now: Instant) {
        if !self.transmits() {
            self.next = None;
            return;
        }
        let interval = self.interval_us();
        match self.next {
            Some((_, reckoned)) if reckoned == interval => {}
            _ => {
                let at = self.sent_at.map_or(now, |sent_at| sent_at + self.jittered(interval));
                self.next = Some((at.max(now), interval));
            }
        }
    }

    /// Up to a quarter less, so that senders do not fall into step; at least a tenth less where a single packet counts
    /// (section 6.8.7).
    fn jittered(&mut self, interval_us: u64) -> Duration {
        let ns = interval_us.saturating_mul(1000);
        let most = if self.config.multiplier == 1 { ns / 10 * 9 } else { ns };
        Duration::from_nanos(self.random.between(ns / 4 * 3, most))
    }
}
