//! What the checks process hears from this one: which instance is in which state, and which BFD session is up. The latest
//! state wins, so what waits for a process that does not read is a set of names.

use std::collections::{BTreeMap, BTreeSet};

use tracing::error;

use crate::bus::frame;
use crate::bus::msg::{Edge, ToChecks};
use crate::bus::rows::State;
use crate::conf::model::InstanceName;
use crate::sys::poll::{Poller, Token};
use crate::sys::seqpacket::{Received, Sent, Seqpacket};
use crate::vrrp::io::Output;

#[derive(Debug, Default)]
pub struct Sibling {
    socket: Option<Seqpacket>,
    states: BTreeMap<InstanceName, State>,
    waiting: BTreeSet<InstanceName>,
    /// BFD sessions, and those that are to be told of.
    sessions: BTreeMap<String, bool>,
    sessions_waiting: BTreeSet<String>,
    watching: bool,
}

impl Sibling {
    /// A new checks process knows nothing.
    pub fn meet(&mut self, socket: Seqpacket, token: Token, poller: &Poller) {
        self.part(poller);
        match poller.add(&socket, token, false) {
            Ok(()) => {
                self.socket = Some(socket);
                self.waiting = self.states.keys().cloned().collect();
                self.sessions_waiting = self.sessions.keys().cloned().collect();
            }
            Err(error) => error!("cannot watch the checks process's socket: {error}"),
        }
    }

    pub fn part(&mut self, poller: &Poller) {
        if let Some(socket) = self.socket.take() {
            let _ = poller.remove(&socket);
        }
        self.watching = false;
    }

    /// It never says anything: what can be read is its end.
    pub fn read(&mut self, poller: &Poller, buffer: &mut [u8]) {
        // One that speaks all the same has lost its mind, and shall not keep us awake.
        let gone = self.socket.as_ref().is_some_and(|socket| !matches!(socket.receive(buffer), Ok(Received::Nothing)));
        if gone {
            self.part(poller);
        }
    }

    pub fn note(&mut self, outputs: &[Output]) {
        for output in outputs {
            if let Output::Edge(Edge::Transition { instance, to, .. }) = output {
                self.states.insert(instance.clone(), *to);
                self.waiting.insert(instance.clone());
            }
        }
    }

    pub fn session(&mut self, name: &str, up: bool) {
        self.sessions.insert(name.to_owned(), up);
        self.sessions_waiting.insert(name.to_owned());
    }

    /// It is not for checks any more.
    pub fn session_gone(&mut self, name: &str) {
        self.sessions.remove(name);
        self.sessions_waiting.remove(name);
    }

    /// Writes what fits.
    pub fn pump(&mut self, token: Token, poller: &Poller) {
        let Some(socket) = &self.socket else { return };
        while let Some(instance) = self.waiting.first() {
            let state = self.states.get(instance).copied().unwrap_or(State::Init);
            let Ok(bytes) = frame::encode(&ToChecks::State { instance: instance.clone(), state }) else { break };
            match socket.send(&bytes, &[]) {
                Ok(Sent::Yes) => {
                    if matches!(state, State::Deleted) {
                        self.states.remove(instance);
                    }
                    self.waiting.pop_first();
                }
                Ok(Sent::Full) => break,
                Ok(Sent::Gone) | Err(_) => return self.part(poller),
            }
        }
        while let Some(session) = self.sessions_waiting.first() {
            let up = self.sessions.get(session).copied().unwrap_or(false);
            let Ok(bytes) = frame::encode(&ToChecks::Bfd { session: session.clone(), up }) else { break };
            match socket.send(&bytes, &[]) {
                Ok(Sent::Yes) => drop(self.sessions_waiting.pop_first()),
                Ok(Sent::Full) => break,
                Ok(Sent::Gone) | Err(_) => return self.part(poller),
            }
        }
        let wants = !self.waiting.is_empty() || !self.sessions_waiting.is_empty();
        if wants != self.watching && poller.modify(socket, token, wants).is_ok() {
            self.watching = wants;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = 1;

    fn heard(socket: &Seqpacket) -> Vec<(String, bool)> {
        let mut buffer = vec![0; crate::sys::seqpacket::FRAME_MAX];
        let mut heard = Vec::new();
        while let Ok(Received::Frame(length, _)) = socket.receive(&mut buffer) {
            for message in frame::decode::<ToChecks>(&buffer[..length]).expect("our own words") {
                if let ToChecks::Bfd { session, up } = message {
                    heard.push((session, up));
                }
            }
        }
        heard
    }

    #[test]
    fn of_a_session_only_the_latest_state_is_told_and_a_new_process_hears_of_all_of_them() {
        let poller = Poller::new().unwrap();
        let mut sibling = Sibling::default();
        let (ours, theirs) = Seqpacket::pair().unwrap();
        sibling.meet(ours, TOKEN, &poller);
        sibling.session("a", true);
        sibling.session("a", false);
        sibling.session("b", true);
        sibling.session("c", true);
        sibling.session_gone("c");
        sibling.pump(TOKEN, &poller);
        let said = |name: &str, up| (name.to_owned(), up);
        assert_eq!(heard(&theirs), [said("a", false), said("b", true)]);
        sibling.pump(TOKEN, &poller);
        assert_eq!(heard(&theirs), []);
        let (ours, theirs) = Seqpacket::pair().unwrap();
        sibling.meet(ours, TOKEN, &poller);
        sibling.pump(TOKEN, &poller);
        assert_eq!(heard(&theirs), [said("a", false), said("b", true)]);
    }
}
