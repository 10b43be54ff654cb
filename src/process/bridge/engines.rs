//! The side of the engines: one bus to each, rows and edges in, commands out.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::Bridge;
use crate::agentx::{Event, Token};
use crate::bus::frame;
use crate::bus::msg::{Command, Edge, Feed, Refusal, Reply, Source, ToBridge, ToEngine};
use crate::bus::rows::RowKey;
use crate::clock::{self, Instant};
use crate::mib::trap;
use crate::snmp::responder::Responder;
use crate::store::Applied;
use crate::sys::aio::{self, Owned};
use crate::sys::seqpacket::{FRAME_MAX, Received, Sent, Seqpacket};

/// Frames read in one go; then others have their turn.
const FRAMES_PER_TURN: usize = 64;

/// The sockets to the engines, and what was asked of them.
pub(super) struct Engines {
    buses: BTreeMap<Source, Bus>,
    /// Commands that were sent, by request number.
    requests: BTreeMap<u64, (Source, Token)>,
    /// Commands that nobody will answer, and whose asker does not know it yet.
    lost: VecDeque<Token>,
    next_request: u64,
    buffer: Vec<u8>,
    /// When each has last told that it is well.
    pulses: BTreeMap<Source, Instant>,
}

struct Bus {
    socket: Seqpacket,
    ready: AsyncFd<Owned>,
}

impl Default for Engines {
    fn default() -> Self {
        let buffer = vec![0; 2 * FRAME_MAX];
        Engines {
            buses: BTreeMap::new(),
            requests: BTreeMap::new(),
            lost: VecDeque::new(),
            next_request: 0,
            buffer,
            pulses: BTreeMap::new(),
        }
    }
}

impl Engines {
    /// Waits until one has said something, or has gone; when both have, either may be told.
    pub(super) async fn readable(&self) -> Source {
        tokio::select! {
            () = self.bus_readable(Source::Vrrp) => Source::Vrrp,
            () = self.bus_readable(Source::Checks) => Source::Checks,
        }
    }

    async fn bus_readable(&self, source: Source) {
        match self.buses.get(&source) {
            Some(bus) => aio::readable(&bus.ready).await,
            None => std::future::pending().await,
        }
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> Vec<u64> {
        self.requests.keys().copied().collect()
    }

    #[cfg(test)]
    pub(super) fn lost(&self) -> Vec<Token> {
        self.lost.iter().copied().collect()
    }

    /// Whether there is a process behind this one now.
    pub(super) fn is_there(&self, source: Source) -> bool {
        self.buses.contains_key(&source)
    }

    pub(super) fn pulse(&self, source: Source) -> Option<Instant> {
        self.pulses.get(&source).copied()
    }

    /// The number under which the answer will come.
    fn ask(&mut self, source: Source, token: Token) -> u64 {
        /// What a master could make us remember of commands that are never answered.
        const REQUESTS_MAX: usize = 1024;
        self.next_request += 1;
        if self.requests.len() >= REQUESTS_MAX {
            self.lost.extend(self.requests.pop_first().map(|(_, (_, token))| token));
        }
        self.requests.insert(self.next_request, (source, token));
        self.next_request
    }

    /// Whether it is on its way there.
    pub(super) fn say(&self, source: Source, message: &ToEngine) -> bool {
        let Some(bus) = self.buses.get(&source) else { return false };
        match frame::encode(message) {
            Ok(bytes) => match bus.socket.send(&bytes, &[]) {
                Ok(Sent::Yes) => true,
                // One that is gone says so to the next read, and a new one brings a new socket.
                Ok(Sent::Gone) => false,
                Ok(Sent::Full) | Err(_) => {
                    warn!("the {} process does not take commands now", source.name());
                    false
                }
            },
            Err(error) => {
                error!("cannot speak to the {} process: {error}", source.name());
                false
            }
        }
    }
}

impl Bridge {
    pub(super) fn meet_engine(&mut self, source: Source, fd: OwnedFd) {
        match fd.try_clone().and_then(aio::register) {
            Ok(ready) => {
                self.store.expect_process(source);
                self.control.restarted(source);
                self.engines.buses.insert(source, Bus { socket: Seqpacket::from_fd(fd), ready });
                // What the old process was asked, nobody will answer, and what it did ended with it.
                let Engines { requests, lost, .. } = &mut self.engines;
                requests.retain(|_, (asked, token)| {
                    let old = *asked == source;
                    lost.extend(old.then_some(*token));
                    !old
                });
                self.refuse_lost();
                // It may have spoken already.
                self.read_engine(source);
            }
            Err(error) => error!("cannot watch the {} process's socket: {error}", source.name()),
        }
    }

    pub(super) fn read_engine(&mut self, source: Source) {
        for _ in 0..FRAMES_PER_TURN {
            let Engines { buses, buffer, .. } = &mut self.engines;
            let Some(bus) = buses.get(&source) else { return };
            match bus.socket.receive(buffer) {
                Ok(Received::Nothing) => return aio::drained(&bus.ready),
                Ok(Received::Frame(length, _)) => {
                    match frame::decode::<ToBridge>(buffer.get(..length).unwrap_or_default()) {
                        Ok(messages) => messages.into_iter().for_each(|message| self.heard(source, message)),
                        Err(error) => {
                            error!("the {} process cannot be understood: {error}", source.name());
                            self.ask_resync(source);
                        }
                    }
                }
                Ok(Received::Gone) | Err(_) => {
                    self.engines.buses.remove(&source);
                    self.forget_unwanted();
                    return;
                }
            }
        }
    }

    /// Rows of an engine that has gone and will not come back are nobody's. Until it has gone it may still have
    /// something to say; and those of one that will be started again stay readable.
    pub(super) fn forget_unwanted(&mut self) {
        for source in Source::ALL {
            if !self.wanted.contains(&source) && !self.engines.buses.contains_key(&source) {
                self.store.forget(source);
            }
        }
    }

    fn heard(&mut self, source: Source, message: ToBridge) {
        if let ToBridge::Feed(Feed::Row(RowKey::Pulse, _)) = &message {
            self.engines.pulses.insert(source, clock::now());
        }
        match message {
            ToBridge::Feed(feed) => match self.store.apply(source, feed) {
                Ok(Applied::Committed { generation, edges }) => {
                    self.tell_session(Event::StoreAt(source, generation));
                    self.show_agent(source, generation);
                    self.control.shown(source, generation);
                    for edge in &edges {
                        self.notify(edge);
                        self.tell_bus(edge);
                    }
                    if !edges.is_empty() {
                        self.engines.say(source, &ToEngine::Seen(generation));
                    }
                }
                Ok(Applied::Staged | Applied::Ignored) => {}
                Err(error) => {
                    let name = source.name();
                    error!("the {name} process's rows do not follow from each other ({error}); asking for all of them");
                    self.ask_resync(source);
                }
            },
            ToBridge::Surveyed { request, drift } => self.surveyed(request, drift),
            ToBridge::Reply { request, reply } => {
                // A number that another engine was given is not this one's to answer.
                let asked = self.engines.requests.get(&request).filter(|(asked, _)| *asked == source).copied();
                if let Some((_, token)) = asked {
                    self.engines.requests.remove(&request);
                    self.tell_asker(token, reply);
                } else {
                    let shown = self.store.snapshot().generations.of(source).generation;
                    self.control.replied(source, request, &reply, shown);
                }
            }
        }
    }

    /// Session and responder count their tokens in ranges of their own.
    fn tell_asker(&mut self, token: Token, reply: Reply) {
        if token.0 >= Responder::TOKENS_FROM {
            self.tell_agent(token, reply);
        } else {
            self.tell_session(Event::CommandReply { token, reply });
        }
    }

    /// Refuses what nobody will answer. What its asker then wants undone may be lost, too, and is refused here as well.
    pub(super) fn refuse_lost(&mut self) {
        while let Some(token) = self.engines.lost.pop_front() {
            self.tell_asker(token, Reply::Refused(Refusal::NoSuchInstance));
        }
    }

    fn ask_resync(&mut self, source: Source) {
        self.store.expect_resync(source);
        self.engines.say(source, &ToEngine::Resync);
    }

    fn notify(&mut self, edge: &Edge) {
        for trap in trap::for_edge(edge, &self.store.snapshot()) {
            self.notify_direct(&trap);
            let actions = self.session.notify(trap, clock::now());
            self.carry_out(actions);
        }
    }

    /// Over the control socket; without an owner the dropped sender is the answer.
    pub(super) fn command_of_tool(&mut self, command: Command, reply: oneshot::Sender<Reply>) {
        let owner = command.owner();
        if self.engines.is_there(owner) {
            self.engines.next_request += 1;
            let request = self.engines.next_request;
            if self.engines.say(owner, &ToEngine::Command { request, command }) {
                self.control.sent(request, owner, reply);
            }
        }
    }

    /// Not answered, the transaction meets its deadline. What cannot be sent is refused by [`Self::refuse_lost`], which the
    /// asker need not be ready for here.
    pub(super) fn command(&mut self, token: Token, command: Command) {
        let owner = command.owner();
        let request = self.engines.ask(owner, token);
        if !self.engines.say(owner, &ToEngine::Command { request, command }) {
            self.engines.requests.remove(&request);
            self.engines.lost.push_back(token);
        }
    }
}
